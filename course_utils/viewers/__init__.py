"""Latent spaces to move over and trainings to play, in a notebook and as pages that need nothing else."""

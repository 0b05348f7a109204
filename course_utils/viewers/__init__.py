"""Latent spaces to move over and trainings to play, in a notebook and as pages that need nothing else."""

from course_utils import later

later("course_utils.viewers.animation")
later("course_utils.viewers.explorer")  # anywidget and ipywidgets

"""Section 3: the VAE, its loss, its training step, its test ELBO and its log-likelihood.

The small VAE that is handed to the answers notes what it is asked (see `witness`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import (
    Evidence,
    NotNumbers,
    Parts,
    as_array,
    look,
    looking_at,
    one,
    record,
)
from course_utils.checks.probes.inputs import generator, loss_looks
from course_utils.checks.probes.predictions import prediction
from course_utils.checks.probes.witness import Witness, greys, steps

# --- shared by the exercises ------------------------------------------------------------------------


def _between(low: int, high: int, seed: int, stream: int) -> int:
    """A whole number from the seed, both ends included."""
    return int(torch.randint(low, high + 1, (), generator=generator(seed, stream)))


def images(seed: int, n: int, stream: int = 10) -> Tensor:
    """Binary images (n, 1, 28, 28) that grow brighter along the batch, so that their ELBOs differ."""
    share = torch.linspace(0.6 / n, 0.6, n).view(n, 1, 1, 1)
    return (torch.rand(n, 1, 28, 28, generator=generator(seed, stream)) < share).float()


def _several(answer: Callable[..., Any], *names: str, tensors: bool = False) -> Callable[..., Any]:
    """The answer, as one that returns an array of what has these names: (names,), or (names, n) where these
    are no scalars. Where it returns the first alone, NaN stands for the others. Where `tensors` are asked
    for, plain numbers beside one are complained of."""

    def together(*given: Any) -> Any:
        value = answer(*given)
        if value is None:
            return None  # `record` has the sentence for it
        asked = f"{', '.join(names[:-1])} and {names[-1]}"
        if isinstance(value, dict):
            raise NotNumbers(f"It returned a dict: return {asked}, one after the other.")
        several = isinstance(value, tuple | list) or (isinstance(value, Tensor | np.ndarray) and value.ndim)
        parts = list(value) if several else [value, *[math.nan] * (len(names) - 1)]
        if len(parts) != len(names):
            raise NotNumbers(f"It returned {len(parts)} values; {len(names)} are asked for: {asked}.")
        numbers = list(np.broadcast_arrays(*map(as_array, parts)))
        if tensors and several and {float, Tensor} <= set(map(type, parts)):
            return Parts(numbers, "Plain numbers came beside a tensor: return scalar tensors, as they are.")
        return np.stack(numbers)

    return together


# --- 3.1 MyVAE --------------------------------------------------------------------------------------


def vaes(seed: int) -> dict[str, layers.Case]:
    """The VAE of two sizes."""

    def case(latent_dim: int, n: int) -> layers.Case:
        x, z = (layers.images(seed, n),), (layers.codes(seed, n, latent_dim),)
        return layers.Case((latent_dim,), layers.of_vae(x, z))

    return {"main": case(20, 5), layers.SINGLE: case(1, 1)}


# --- 3.2 vae_loss -----------------------------------------------------------------------------------


def vae_loss_looks(seed: int) -> dict[str, tuple[Tensor, Tensor, Tensor, Tensor]]:
    return loss_looks(seed, 28, 28)


def probe_vae_loss(evidence: Evidence, answer: Any, seed: int) -> None:
    looks = vae_loss_looks(seed)
    look(evidence, _several(answer, "loss", "reconstruction", "KL", tensors=True), looks)
    x_logits, x, mu, logvar = looks["grey"]

    def loss(x_logits: Tensor, mu: Tensor, logvar: Tensor) -> Any:
        value = answer(x_logits, x, mu, logvar)
        return value if isinstance(value, Tensor) and not value.ndim else value[0]

    record(evidence, "gradients", layers.of_loss, loss, x_logits, mu, logvar)


# --- 3.3 vae_train_step -----------------------------------------------------------------------------


NOISY = (40, 12)  # images and latent dimensions where noise is judged


def training_model(seed: int) -> Witness:
    return Witness(seed, 3, contrast=0.1)  # so pale that the KL has a share in the step


def training(seed: int) -> tuple[list[Tensor], float]:
    """Batches of 7, 1 and 3 images, and a learning rate at which the later steps stay small."""
    rate = (1 + 2 * torch.rand((), generator=generator(seed, 7)).item()) / 5e4
    return [greys(seed, n, 30 + n) for n in (7, 1, 3)], rate


def noisy(seed: int) -> tuple[Witness, Tensor]:
    return Witness(seed, NOISY[1]), greys(seed, NOISY[0], 29)


def probe_vae_train_step(evidence: Evidence, answer: Any, seed: int) -> None:
    model, (batches, rate) = training_model(seed), training(seed)
    steps(evidence, answer, model, batches, rate)
    record(evidence, "mode", model.in_mode, seed, True)
    for call in range(2):
        (fresh, x), noted = noisy(seed), Evidence()
        steps(noted, answer, fresh, [x], rate)
        fresh.asked(evidence, f" noisy{call}")
        evidence["optimizer noisy"] = noted["optimizer0"]


# --- 3.4 test_elbo ----------------------------------------------------------------------------------


def test_set(seed: int) -> tuple[Witness, Tensor, int]:
    """The model, images, and a batch size that leaves a much smaller last batch, of the brightest images.

    There are more batches than images in one: who takes batch_size for the number of batches shows.
    """
    size = _between(5, 6, seed, 8)
    return Witness(seed, 16).float(), greys(seed, size * (size + 2) + _between(2, 3, seed, 9), 28), size


def probe_test_elbo(evidence: Evidence, answer: Any, seed: int) -> None:
    _, x, size = test_set(seed)
    for name, most in (("", size), (" whole", 2 * len(x))):
        model, *_ = test_set(seed)
        record(evidence, f"estimate{name}", _several(answer, "mean", "standard error"), model, x, most)
        model.asked(evidence, name)
        if not name:
            record(evidence, "batches", model.in_batches, seed, size)
            record(evidence, "mode", model.in_mode, seed, False)
            record(evidence, "gradients", model.untracked, seed)


# --- 3.5 estimate_log_likelihood --------------------------------------------------------------------


def likelihood_looks(seed: int) -> dict[str, tuple[Witness, Tensor, Tensor]]:
    """The model, binary images (N, 1, 28, 28) and noise (K, N, 2). In "bold" the logits lie between about -60
    and 60; as in the lesson no gradients are tracked."""
    g = generator(seed, 16)

    def given(contrast: float, k: int, n: int) -> tuple[Witness, Tensor, Tensor]:
        x = images(seed, n, 17 + n)
        return Witness(seed, 2, contrast).float().requires_grad_(False), x, torch.randn(k, n, 2, generator=g)

    n, k = _between(3, 5, seed, 12), _between(6, 9, seed, 13)
    return {
        "bound": given(0.2, k, n),  # so pale that no sample outweighs the rest
        "one image": given(0.2, k, 1),
        "one sample": given(0.2, 1, n),
        "one": given(0.2, 1, 1),
        "bold": given(8.0, k, n),
    }


WIDE_OFFERED = {
    "total KL": ("lower by more than a quarter", "within a quarter", "higher by more than a quarter"),
    "dimensions with 95% of the KL": ("at most 20", "21 to 40", "more than 40"),
    "test -ELBO": ("better by more than 1 nat", "within 1 nat", "worse by more than 1 nat"),
}

PROBES = {
    "MyVAE": partial(layers.probe, vaes),
    "vae_loss": probe_vae_loss,
    "vae_train_step": probe_vae_train_step,
    "test_elbo": probe_test_elbo,
    "estimate_log_likelihood": looking_at(likelihood_looks, one),
    "predict_wide": prediction(WIDE_OFFERED),
}

"""Section 1: the autoencoder, one training step, the share of holes.

The autoencoder is looked at with weights that the judge knows (see `layers`), the training step with a small
one that notes what it is asked (see `witness`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import (
    AGAIN,
    Evidence,
    NotNumbers,
    alone,
    as_array,
    called,
    note,
    record,
)
from course_utils.checks.probes.inputs import generator
from course_utils.checks.probes.predictions import prediction
from course_utils.checks.probes.witness import Witness, greys, steps

# --- 1.1 MyAutoencoder ------------------------------------------------------------------------------


LATENT = 16  # enough for codes of either sign: a ReLU on them must show


def images_and_codes(seed: int) -> tuple[Tensor, Tensor, np.ndarray]:
    """Images (5, 1, 28, 28) in [0, 1], codes (5, 16) and directions (784, 16) for slopes."""
    g = generator(seed, 1)
    directions = torch.randn(784, 16, generator=g, dtype=torch.float64).numpy()
    return torch.rand(5, 1, 28, 28, generator=g), 2 * torch.randn(5, LATENT, generator=g), directions


def probe_my_autoencoder(evidence: Evidence, answer: Any, seed: int) -> None:
    x, z, directions = images_and_codes(seed)

    @functools.cache
    def model(latent_dim: int) -> Any:
        """One for each latent size; an error in the constructor comes up in every finding."""
        made = answer(latent_dim)
        layers.fill(made, seed, forward=(x,))
        return made

    record(evidence, "layers", lambda: layers.described(model(LATENT)))
    record(evidence, "code", lambda: alone(called(evidence, model(LATENT).encode, x)))
    record(evidence, "logits", lambda: alone(called(evidence, model(LATENT).decode, z)))
    record(evidence, "forward", lambda: layers.calls(model(LATENT), x))
    record(evidence, "single", lambda: layers.calls(model(1), x[:1]))
    record(evidence, "slopes", lambda: _first_slopes(model(LATENT), x, directions))


def _first_slopes(model: nn.Module, x: Tensor, directions: np.ndarray) -> Tensor:
    """Derivative of the sum of all outputs when the images move along `directions` (784, k): (k,).

    It is taken at the first layer, W x + b, where it equals that of b along W times a direction: an answer
    may do to its images what it likes, but it must train this layer.
    """
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    first = next((layer for layer in linear if layer.in_features == 784 and layer.bias is not None), None)
    if first is None:
        raise NotNumbers("There is no linear layer with 784 inputs and a bias.")
    slopes = layers.slopes(layers.calls(model, x), first.bias)
    return slopes @ first.weight.detach() @ torch.from_numpy(directions).to(first.weight)


# --- 1.2 train_step ---------------------------------------------------------------------------------


def small_autoencoder(seed: int) -> Witness:
    return Witness(seed, 4, heads=False)


def autoencoder_batches(seed: int) -> tuple[list[Tensor], float]:
    """Batches of 7, 1 and 3 images, and a rate at which even the gradient of a sum makes a small step."""
    rate = (1 + torch.rand((), generator=generator(seed, 2)).item()) / 2e3
    return [greys(seed, n, 30 + n) for n in (7, 1, 3)], rate


def probe_train_step(evidence: Evidence, answer: Any, seed: int) -> None:
    model, again, (batches, rate) = (
        small_autoencoder(seed),
        small_autoencoder(seed),
        autoencoder_batches(seed),
    )
    steps(evidence, answer, model, batches, rate)
    record(evidence, "mode", model.in_mode, seed, True)
    second: Evidence = {}
    steps(second, answer, again, batches[:1], rate)
    once, twice = evidence["move0"], second["move0"]
    if once.dtype.kind == twice.dtype.kind == "f" and not np.allclose(
        once, twice, 1e-3, np.abs(once).max() / 1e3
    ):
        note(evidence, AGAIN)


# --- 1.3 hole_share ---------------------------------------------------------------------------------


CLAIMS = {
    "shares": ("it is the share of points that lose more than the threshold", 2.0),
    "single": ("it works for one point and a code of one number", 0.5),
    "ties": ("who loses exactly the threshold is no hole", 0.5),
}


@dataclass(frozen=True)
class Pair:
    """A decoder, codes (N, d) to images (N, pixels) in [0, 1], and an encoder that undoes it badly."""

    image: Callable[[np.ndarray], np.ndarray]
    code: Callable[[np.ndarray], np.ndarray]
    sides: tuple[int, int]

    def decode(self, z: Tensor) -> Tensor:
        return torch.from_numpy(self.image(as_array(z).astype(np.float64))).view(-1, 1, *self.sides)

    def encode(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.code(as_array(x.flatten(1)).astype(np.float64)))


def _blurred(seed: int, latent_dim: int) -> Pair:
    """A layer with a sigmoid, and one that goes back too far."""
    up = torch.randn(latent_dim, 30, generator=generator(seed, 3), dtype=torch.float64).numpy()
    down = 1.5 * np.linalg.pinv(up)
    return Pair(lambda z: 1 / (1 + np.exp(-z @ up)), lambda x: (x - 0.5) @ down, (6, 5))


def _exact() -> Pair:
    """A code k from 1 to 31 lights pixel k alone and loses exactly (k / 32)^2 of it, without rounding."""

    def image(z: np.ndarray) -> np.ndarray:
        place = np.abs(z).astype(int)
        return np.where(np.arange(32) == place, np.where(z > 0, 1.0, 1 - place / 32), 0.0)

    return Pair(image, lambda x: -x.argmax(1)[:, None].astype(np.float64), (4, 8))


@functools.lru_cache(maxsize=2)
def hole_calls(seed: int) -> dict[str, list[tuple[Pair, Tensor, float]]]:
    """Decoder and encoder, codes and threshold of every call; those of 'ties' equal an error exactly."""
    g = generator(seed, 4)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    def thresholds(low: float, high: float, count: int) -> list[float]:
        return (low * (high / low) ** draw(count)).tolist()

    pair, z = _blurred(seed, 3), 2 * torch.randn(97, 3, generator=g, dtype=torch.float64)
    short = _blurred(seed, 1)
    points = (1 + 2 * draw(60, 1, 1)) * torch.where(draw(60, 1, 1) < 0.5, -1, 1)  # far from 0: no loss there
    codes = torch.randint(1, 17, (61, 1), generator=g).double()
    steps = [t for low in np.geomspace(2e-4, 20, 12) for t in thresholds(low, 2 * low, 2)]
    return {
        "shares": [(pair, z, t) for t in steps],
        "single": [(short, p, t) for p, t in zip(points, thresholds(0.05, 0.25, 60), strict=True)],
        "ties": [(_exact(), codes, (k / 32) ** 2) for k in range(1, 17)],
    }


def probe_hole_share(evidence: Evidence, answer: Any, seed: int) -> None:
    def shares(key: str) -> np.ndarray:
        return np.stack(
            [
                as_array(alone(called(evidence, answer, p.decode, p.encode, z, t)))
                for p, z, t in hole_calls(seed)[key]
            ]
        )

    for key in CLAIMS:
        record(evidence, key, shares, key)


HOLES_OFFERED = {
    "z from N(0, 9 I): holes in 32 dimensions, against 2": ("fewer", "about as many", "more"),
    "32 dimensions: holes under N(0, I), against N(0, 9 I)": ("fewer", "about as many", "more"),
    "32 dimensions: holes under a Gaussian fitted to the codes": (
        "hardly any, under a tenth",
        "some",
        "most, over a half",
    ),
}

PROBES = {
    "MyAutoencoder": probe_my_autoencoder,
    "train_step": probe_train_step,
    "hole_share": probe_hole_share,
    "predict_holes": prediction(HOLES_OFFERED),
}

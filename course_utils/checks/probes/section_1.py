"""Section 1: the autoencoder, one training step, the share of holes.

The autoencoder is looked at with weights that the judge knows (see `layers`), the training step with a small
one that notes what it is asked (see `witness`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import (
    AGAIN,
    Evidence,
    alone,
    as_array,
    called,
    look,
    note,
    record,
    same_dtype,
)
from course_utils.checks.probes.inputs import generator
from course_utils.checks.probes.predictions import prediction
from course_utils.checks.probes.witness import Witness, greys, steps

# --- 1.1 MyAutoencoder ------------------------------------------------------------------------------


def autoencoders(seed: int) -> dict[str, layers.Case]:
    """The autoencoder of two sizes; what `forward` gives is held to decode after encode."""

    def calls(x: Tensor, z: Tensor) -> dict[str, layers.Call]:
        methods = {
            "code": ("encode", x),
            "logits": ("decode", z),
            "forward": ("forward", x),
            "both": ("both", x),
        }
        return {key: layers.Call(method, (given,)) for key, (method, given) in methods.items()}

    return layers.two_sizes(seed, 32, calls)


# --- 1.2 train_step ---------------------------------------------------------------------------------


def small_autoencoder(seed: int, gain: float = 1.0) -> Witness:
    return Witness(seed, 4, heads=False, gain=gain)


STEEP = 2000.0  # the gain with which a gradient is longer than anybody clips it


def autoencoder_batches(seed: int) -> tuple[list[Tensor], float]:
    """Batches of 7, 1 and 3 images, and a rate at which even the gradient of a sum makes a small step."""
    rate = (1 + torch.rand((), generator=generator(seed, 2)).item()) / 2e3
    return [greys(seed, n, 30 + n) for n in (7, 1, 3)], rate


def probe_train_step(evidence: Evidence, answer: Any, seed: int) -> None:
    model, (batches, rate) = small_autoencoder(seed), autoencoder_batches(seed)
    steps(evidence, answer, model, batches, rate)
    record(evidence, "mode", model.in_mode, seed, True)
    second, steep = Evidence(), Evidence()
    steps(steep, answer, small_autoencoder(seed, STEEP), batches[:1], rate)
    evidence |= {f"steep {key}": value for key, value in steep.items()}
    steps(second, answer, small_autoencoder(seed), batches[:1], rate)
    once, twice = evidence["move0"], second["move0"]
    moved = once.dtype.kind == twice.dtype.kind == "f"
    if moved and not np.allclose(once, twice, 1e-3, np.abs(once).max() / 1e3):
        note(evidence, AGAIN)


# --- 1.3 hole_share ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A decoder, codes (N, d) to images (N, 1, *sides) in [0, 1], and an encoder that undoes it badly.

    Like those of the lesson they take these shapes, in float32, and no others.
    """

    latent_dim: int
    sides: tuple[int, int]
    image: Callable[[np.ndarray], np.ndarray]
    code: Callable[[np.ndarray], np.ndarray]

    def decode(self, z: Tensor) -> Tensor:
        return self._through(self.image, "decode", z, (self.latent_dim,), (1, *self.sides))

    def encode(self, x: Tensor) -> Tensor:
        return self._through(self.code, "encode", x, (1, *self.sides), (self.latent_dim,))

    def _through(self, function: Any, name: str, given: Tensor, takes: Any, gives: Any) -> Tensor:
        if given.shape[1:] != takes or not given.ndim:
            wanted = ", ".join(map(str, takes))
            raise ValueError(f"`{name}` takes the shape (N, {wanted}); it was given {tuple(given.shape)}")
        same_dtype(given, torch.float32)
        flat = as_array(given).astype(np.float64).reshape(len(given), -1)
        return torch.from_numpy(function(flat)).float().view(-1, *gives)


def _blurred(seed: int, latent_dim: int, shade: float = 1.0) -> Pair:
    """A layer with a sigmoid, which paints as bright as `shade`, and one that goes back too far.

    Images and codes have so few digits that float32 holds them, and sums of their squares, without rounding:
    else a loss might lie on the other side of a threshold than in float64.
    """
    up = torch.randn(latent_dim, 30, generator=generator(seed, 3), dtype=torch.float64).numpy()
    down = 1.5 * np.linalg.pinv(up)
    return Pair(
        latent_dim,
        (6, 5),
        lambda z: np.ceil(512 * shade / (1 + np.exp(-z @ up))) / 512,
        lambda x: np.round(4096 * (x / shade - 0.5) @ down) / 4096,
    )


def _exact() -> Pair:
    """A code k from 1 to 31 lights pixel k alone and loses exactly (k / 32)^2 of it, without rounding."""

    def image(z: np.ndarray) -> np.ndarray:
        place = np.abs(z).astype(int)
        return np.where(np.arange(32) == place, np.where(z > 0, 1.0, 1 - place / 32), 0.0)

    return Pair(1, (4, 8), image, lambda x: -x.argmax(1)[:, None].astype(np.float64))


@functools.lru_cache(maxsize=2)
def hole_looks(seed: int) -> dict[str, tuple[tuple[Pair, Tensor, float], ...]]:
    """Decoder and encoder, codes and threshold of every call; those of 'ties' equal an error exactly."""
    g = generator(seed, 4)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=g, dtype=torch.float64)

    pair, faint, short, exact = _blurred(seed, 3), _blurred(seed, 3, 0.1), _blurred(seed, 1), _exact()
    near, far = (s * torch.randn(53, 3, generator=g) for s in (1, 2))
    points = (1 + 2 * draw(16, 1, 1)) * torch.where(draw(16, 1, 1) < 0.5, -1, 1)  # far from 0: no loss there
    codes = torch.randint(1, 17, (31, 1), generator=g).float()
    steps = (np.geomspace(2e-4, 20, 20) * (1 + draw(20).numpy())).tolist()
    asked = itertools.cycle(((pair, near), (pair, far), (faint, near)))
    limits = (0.05 * 5 ** draw(16)).tolist()
    return {
        "shares": tuple((*next(asked), t) for t in steps),
        "single": tuple((short, p, t) for p, t in zip(points.float(), limits, strict=True)),
        "ties": tuple((exact, codes, (k / 32) ** 2) for k in range(2, 17, 2)),
    }


def probe_hole_share(evidence: Evidence, answer: Any, seed: int) -> None:
    def share(pair: Pair, z: Tensor, threshold: float) -> np.ndarray:
        value = called(evidence, answer, pair.decode, pair.encode, z, threshold)
        return as_array(value if isinstance(value, list) else alone(value))

    look(evidence, lambda *calls: np.stack([share(*call) for call in calls]), hole_looks(seed))


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
    "MyAutoencoder": functools.partial(layers.probe, autoencoders),
    "train_step": probe_train_step,
    "hole_share": probe_hole_share,
    "predict_holes": prediction(HOLES_OFFERED),
}

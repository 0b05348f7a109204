"""Section 1: the autoencoder, one training step, the share of holes.

The autoencoder is looked at with weights that the judge knows (see `layers`); the training step with plain
gradient descent instead of Adam, because the first step of Adam looks the same for a gradient of any size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import Evidence, NotNumbers, alone, as_array, called, look, record
from course_utils.checks.probes.inputs import fact, generator
from course_utils.checks.probes.predictions import prediction

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


PIXELS = 784
CODE = 4


def small_autoencoder(seed: int) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    """Weights of a small linear autoencoder (down, up, bias), batches of 5 images and of 1, learning rate."""
    g = generator(seed, 2)
    scales = {(CODE, PIXELS): 0.07, (PIXELS, CODE): 0.7, (PIXELS,): 0.7}
    parameters = [scale * torch.randn(shape, generator=g) for shape, scale in scales.items()]
    batches = [torch.rand(n, 1, 28, 28, generator=g) for n in (5, 1)]
    rate = float(0.2 + 0.2 * torch.rand((), generator=g))
    return [p.numpy() for p in parameters], [b.numpy() for b in batches], rate


class _Small(nn.Module):
    """The small autoencoder; it notes whether it was in training mode when it was called."""

    def __init__(self, parameters: list[np.ndarray]) -> None:
        super().__init__()
        self.down, self.up, self.shift = (nn.Parameter(torch.tensor(p)) for p in parameters)
        self.modes: list[bool] = []

    def encode(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        return x.flatten(1) @ self.down.T

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.up.T + self.shift).view(-1, 1, 28, 28)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


def probe_train_step(evidence: Evidence, answer: Any, seed: int) -> None:
    parameters, batches, rate = small_autoencoder(seed)
    model = _Small(parameters)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    returned: list[Any] = []

    def step(images: np.ndarray, move: str) -> Any:
        def counted(x: Tensor) -> Any:
            before = parameters_to_vector(model.parameters()).detach().clone()
            returned.append(answer(model, optimizer, x))
            evidence[move] = as_array(parameters_to_vector(model.parameters()) - before)
            return returned[-1]

        return called(evidence, counted, torch.tensor(images))

    for index, images in enumerate(batches):
        record(evidence, f"loss{index}", step, images, f"move{index}")
        evidence.setdefault(f"move{index}", evidence[f"loss{index}"])  # what stopped the step
    if not returned:
        evidence.update(plain=evidence["loss0"], training=evidence["loss0"])
        return
    record(evidence, "plain", lambda: fact(seed, "plain", _is_plain(returned[0])))
    in_training = model.training and bool(model.modes) and all(model.modes)
    record(evidence, "training", fact, seed, "training", in_training)


def _is_plain(value: Any) -> bool:
    """Whether it is a plain number; NotNumbers says what else it is."""
    if isinstance(value, Tensor) and value.requires_grad:
        raise NotNumbers(
            "It is a tensor that still holds on to its graph, and with it to the memory of the whole step."
        )
    if isinstance(value, Tensor | np.ndarray):
        raise NotNumbers("It is a tensor: `.item()` makes it a number.")
    if not isinstance(value, int | float | np.number):
        raise NotNumbers(f"It returned a {type(value).__name__}; is the `return` right?")
    return True


# --- 1.3 hole_share ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A decoder, codes (N, d) to images (N, 1, *sides) in [0, 1], and an encoder that undoes it badly.

    Like those of the lesson they take these shapes and no others.
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
        flat = as_array(given).astype(np.float64).reshape(len(given), -1)
        return torch.from_numpy(function(flat)).view(-1, *gives)


def _blurred(seed: int, latent_dim: int) -> Pair:
    """A layer with a sigmoid, and one that goes back too far."""
    up = torch.randn(latent_dim, 30, generator=generator(seed, 3), dtype=torch.float64).numpy()
    down = 1.5 * np.linalg.pinv(up)
    return Pair(latent_dim, (6, 5), lambda z: 1 / (1 + np.exp(-z @ up)), lambda x: (x - 0.5) @ down)


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

    pair, short, exact = _blurred(seed, 3), _blurred(seed, 1), _exact()
    near, far = (s * torch.randn(53, 3, generator=g, dtype=torch.float64) for s in (1, 2))
    points = (1 + 2 * draw(16, 1, 1)) * torch.where(draw(16, 1, 1) < 0.5, -1, 1)  # far from 0: no loss there
    codes = torch.randint(1, 17, (31, 1), generator=g).double()
    steps = (np.geomspace(2e-4, 20, 10) * (1 + draw(10).numpy())).tolist()
    limits = (0.05 * 5 ** draw(16)).tolist()
    return {
        "shares": tuple((pair, z, t) for t in steps for z in (near, far)),
        "single": tuple((short, p, t) for p, t in zip(points, limits, strict=True)),
        "ties": tuple((exact, codes, (k / 32) ** 2) for k in range(1, 17)),
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
    "MyAutoencoder": probe_my_autoencoder,
    "train_step": probe_train_step,
    "hole_share": probe_hole_share,
    "predict_holes": prediction(HOLES_OFFERED),
}

"""Section 5: sizes of convolutions, the convolutional decoder, a feature map with its axes in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import Evidence, NotNumbers, as_array, one, record
from course_utils.checks.probes.inputs import generator
from course_utils.checks.probes.predictions import prediction

# --- 5.1 conv_sizes ---------------------------------------------------------------------------------


Layer = tuple[str, int, int, int]
Stack = list[Layer]
Stacks = list[tuple[Stack, int]]
RUN = 12  # starting sizes of each stack


def drawn_stacks(seed: int) -> dict[str, Stacks]:
    """Three stacks each of convolutions alone, of transposed ones alone, of both: layers and starting size.

    Each has a run of starting sizes: a wrong way to round agrees with the right one at some.
    """
    g = generator(seed, 1)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=g))

    def run(stack: Stack, low: int, high: int) -> Stacks:
        first = draw(low, high - RUN)
        return [(stack, size) for size in range(first, first + RUN)]

    def down() -> Stack:
        return [("conv", 5, 3, 1), ("conv", draw(3, 4), 2, 2), ("conv", 3, 2, 0), ("conv", 2, 3, 1)]

    def up() -> Stack:
        geometries = (draw(3, 5), 2, 1), (draw(4, 6), 3, 2), (3, 1, 0)
        return [("transposed", *geometry) for geometry in geometries]

    def mixed() -> Stack:
        first, second = draw(3, 5), draw(4, 6)
        return [
            ("conv", first, 3, 2),
            ("transposed", second, 2, 1),
            ("conv", 3, 2, 2),
            ("transposed", 4, 3, 1),
        ]

    return {
        "down": [one for _ in range(3) for one in run(down(), 150, 300)],
        "up": [one for _ in range(3) for one in run(up(), 3, 30)],
        "mixed": [one for _ in range(3) for one in run(mixed(), 30, 90)],
    }


def probe_conv_sizes(evidence: Evidence, answer: Any, seed: int) -> None:
    def sizes(stacks: Stacks) -> np.ndarray:
        return np.stack([untouched(list(stack), size) for stack, size in stacks])

    def untouched(stack: list[Any], size: int) -> np.ndarray:
        before = list(stack)
        value = as_array(answer(stack, size))
        if stack != before:
            raise NotNumbers("It changes the list of layers that it is given: only read it.")
        return value

    for key, stacks in drawn_stacks(seed).items():
        record(evidence, key, sizes, stacks)


# --- 5.2 ConvDecoder --------------------------------------------------------------------------------


def decoders(seed: int) -> dict[str, layers.Case]:
    """The decoder of two sizes."""

    def case(latent_dim: int, n: int) -> layers.Case:
        calls = {"logits": layers.Call("forward", (layers.codes(seed, n, latent_dim),))}
        return layers.Case((latent_dim,), calls)

    return {"main": case(20, 5), layers.SINGLE: case(1, 1)}


def probe_conv_decoder(evidence: Evidence, answer: Any, seed: int) -> None:
    layers.probe(evidence, answer, seed, decoders(seed))


# --- 5.3 fixed_feature_map --------------------------------------------------------------------------


def hidden_units(seed: int, n: int, channels: int, height: int, width: int) -> Tensor:
    """Numbers (n, height * width * channels), all different."""
    size = n * channels * height * width
    return torch.randperm(size, generator=generator(seed, 3)).float().view(n, -1)


SHAPES = {"square": (5, 64, 7, 7), "unequal": (5, 3, 4, 6), "single": (1, 1, 2, 5)}


def probe_fixed_feature_map(evidence: Evidence, answer: Any, seed: int) -> None:
    for key, shape in SHAPES.items():
        record(evidence, key, one(answer), hidden_units(seed, *shape), *shape[1:])


CONV_OFFERED = {
    "products of two numbers for one image": (
        "fewer in the convolutional VAE",
        "as many in both, within a tenth",
        "more in the convolutional VAE",
    ),
    "lower test -ELBO after equal epochs": ("MLP", "level, within 1 nat", "convolutional"),
    "lower test -ELBO after equal seconds": ("MLP", "level, within 1 nat", "convolutional"),
}

PROBES = {
    "conv_sizes": probe_conv_sizes,
    "ConvDecoder": probe_conv_decoder,
    "fixed_feature_map": probe_fixed_feature_map,
    "predict_conv": prediction(CONV_OFFERED),
}

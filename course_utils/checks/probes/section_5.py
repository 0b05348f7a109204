"""Section 5: sizes of convolutions, the convolutional decoder, a feature map with its axes in order."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch

from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import Evidence, NotNumbers, as_array, look, looking_at, note, one
from course_utils.checks.probes.inputs import generator
from course_utils.checks.probes.predictions import prediction

# --- 5.1 conv_sizes ---------------------------------------------------------------------------------


Stack = list[tuple[str, int, int, int]]
RUN = 8  # starting sizes of each stack: a wrong way to round agrees with the right one at some


def drawn_stacks(seed: int) -> dict[str, tuple[Stack, range]]:
    """Three stacks each of convolutions ("down"), of transposed ones ("up"), of both ("mixed", where the last
    layer keeps the size), with a run of starting sizes."""
    g = generator(seed, 1)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=g))

    looks: dict[str, tuple[Stack, range]] = {}
    for i in range(3):
        down = [(5, 3, 1), (draw(3, 4), 2, 2), (3, 2, 0), (2, 3, 1)]
        up = [(draw(3, 5), 2, 1), (draw(4, 6), 3, 2), (3, 1, 0)]
        mixed = [(draw(3, 5), 3, 2), (draw(4, 6), 2, 1), (3, 2, 2), (4, 3, 1), (3, 1, 1)]
        for key, kinds, stack, low, high in (
            ("down", ["conv"], down, 60, 160),
            ("up", ["transposed"], up, 3, 30),
            ("mixed", ["conv", "transposed"], mixed, 30, 90),
        ):
            first = draw(low, high - RUN)
            layers = [(kinds[place % len(kinds)], *layer) for place, layer in enumerate(stack)]
            looks[f"{key} {i}"] = (layers, range(first, first + RUN))
    return looks


def probe_conv_sizes(evidence: Evidence, answer: Any, seed: int) -> None:
    def run(stack: Stack, sizes: range) -> list[Any]:
        given = [list(stack) for _ in sizes]
        lists = [as_array(answer(own, size)) for own, size in zip(given, sizes, strict=True)]
        if any(own != stack for own in given):
            note(evidence, "It changes the list of layers that it is given: work on a copy.")
        if len({each.shape for each in lists}) > 1:
            raise NotNumbers("Lists for one stack differ in length: are sizes kept from before, or left out?")
        return lists

    look(evidence, run, drawn_stacks(seed))


# --- 5.2 ConvDecoder --------------------------------------------------------------------------------


def decoders(seed: int) -> dict[str, layers.Case]:
    """The decoder of two sizes."""
    return layers.two_sizes(seed, 20, lambda _, z: {"logits": layers.Call("forward", (z,))})


# --- 5.3 fixed_feature_map --------------------------------------------------------------------------


SHAPES = {"unequal": (5, 3, 4, 6), "tall": (2, 4, 5, 3), "lesson": (5, 64, 7, 7), "single": (1, 1, 2, 5)}


def feature_looks(seed: int) -> dict[str, tuple[Any, ...]]:
    """Numbers (N, height * width * channels), all different and of both signs, and the three sizes; "part"
    is of the shape of "tall", float64, and the first half of longer rows."""
    looks: dict[str, tuple[Any, ...]] = {}
    for key, shape in SHAPES.items():
        count = math.prod(shape)
        numbers = torch.randperm(count, generator=generator(seed, 3)).float().view(shape[0], -1) - count // 2
        looks[key] = (numbers / 2, *shape[1:])
    hidden, *sizes = looks["tall"]
    return looks | {
        "part": (torch.cat([-hidden, hidden + 0.25], dim=1).double()[:, : hidden.shape[1]], *sizes)
    }


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
    "ConvDecoder": partial(layers.probe, decoders),
    "fixed_feature_map": looking_at(feature_looks, one),
    "predict_conv": prediction(CONV_OFFERED),
}

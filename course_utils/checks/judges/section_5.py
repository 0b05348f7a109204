"""Section 5: sizes of convolutions, the convolutional decoder, a feature map with its axes in order.

Oracles: torch's own convolutions for the sizes they give; for the decoder, transposed convolutions written
out in NumPy with known weights; for the feature map, one number at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from course_utils.checks.judges import layers
from course_utils.checks.judges.core import Exercise, Finding, expect, unless
from course_utils.checks.judges.layers import advised
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import Evidence, as_array
from course_utils.checks.probes.section_5 import (
    CONV_OFFERED,
    SHAPES,
    Layer,
    Stack,
    decoders,
    drawn_stacks,
    hidden_units,
)

# --- 5.1 conv_sizes ---------------------------------------------------------------------------------


def _convolved(n: int, k: int, s: int, p: int) -> float:
    return (n + 2 * p - k) // s + 1


def _transposed(n: int, k: int, s: int, p: int) -> float:
    return (n - 1) * s - 2 * p + k


Rule = Callable[[int, int, int, int], float]


def _by(
    stack: Iterable[Layer], size: float, conv: Rule = _convolved, transposed: Rule = _transposed
) -> list[float]:
    """The sizes that these two rules give; for wrong rules."""
    sizes = []
    for kind, *numbers in stack:
        size = (conv if kind == "conv" else transposed)(size, *numbers)  # type: ignore[arg-type]
        sizes.append(size)
    return sizes


# Rules under the mistakes that lead to them; the right ones under ''.
WRONG_CONV: dict[str, Rule] = {
    "The padding counts twice, on either side.": lambda n, k, s, p: (n + p - k) // s + 1,
    "The padding is added on both sides, not cut off.": lambda n, k, s, p: (n - 2 * p - k) // s + 1,
    "The padding is left out.": lambda n, k, s, p: (n - k) // s + 1,
    "A window that does not fit is left out: round down, not up.": lambda n, k, s, p: (
        math.ceil((n + 2 * p - k) / s) + 1
    ),
    "The number of strides is rounded to the nearest: round down.": lambda n, k, s, p: (
        round((n + 2 * p - k) / s) + 1
    ),
    "A part of a window does not count: round down to a whole number.": lambda n, k, s, p: (
        (n + 2 * p - k) / s + 1
    ),
    "The first window is missing: it adds 1 to the number of strides.": lambda n, k, s, p: (
        (n + 2 * p - k) // s
    ),
    "The stride divides only what is left after the first window.": lambda n, k, s, p: (
        (n + 2 * p - k + 1) // s
    ),
    "A convolution makes the side smaller: this is the rule of the transposed one.": _transposed,
}
WRONG_TRANSPOSED: dict[str, Rule] = {
    "Transposed: the padding counts twice, on either side.": lambda n, k, s, p: (n - 1) * s - p + k,
    "Transposed: the padding is cut off, not added.": lambda n, k, s, p: (n - 1) * s + 2 * p + k,
    "Transposed: the padding is left out.": lambda n, k, s, p: (n - 1) * s + k,
    "Transposed: n places are n - 1 strides apart from first to last.": lambda n, k, s, p: n * s - 2 * p + k,
    "Transposed: the kernel adds its whole width.": lambda n, k, s, p: (n - 1) * s - 2 * p + k - 1,
    "A transposed convolution goes the other way: it undoes the size of a convolution.": _convolved,
}
RULES: dict[str, tuple[Rule, Rule]] = {
    "": (_convolved, _transposed),
    **{hint: (rule, _transposed) for hint, rule in WRONG_CONV.items()},
    **{hint: (_convolved, rule) for hint, rule in WRONG_TRANSPOSED.items()},
    "The stride is left out.": (lambda n, k, s, p: n + 2 * p - k + 1, lambda n, k, s, p: n - 1 - 2 * p + k),
    "The stride is taken to be 2: use that of the layer.": (
        lambda n, k, s, p: _convolved(n, k, 2, p),
        lambda n, k, s, p: _transposed(n, k, 2, p),
    ),
    "The layers of this section are built in: use the numbers of each layer.": (
        lambda n, k, s, p: _convolved(n, 3, 2, 1),
        lambda n, k, s, p: _transposed(n, 4, 2, 1),
    ),
    "The two rules are swapped: look at the kind.": (_transposed, _convolved),
    "Kernel and stride are swapped: a layer is (kind, kernel, stride, padding).": (
        lambda n, k, s, p: _convolved(n, s, k, p),
        lambda n, k, s, p: _transposed(n, s, k, p),
    ),
}


def _true_sizes(stack: Stack, size: int) -> list[int]:
    kinds: dict[str, Any] = {"conv": F.conv2d, "transposed": F.conv_transpose2d}
    image, sizes = torch.zeros(1, 1, size, size), []
    for kind, kernel, stride, padding in stack:
        weight = torch.zeros(1, 1, kernel, kernel)
        image = kinds[kind](image, weight, stride=stride, padding=padding)
        sizes.append(image.shape[-1])
    return sizes


def judge_conv_sizes(seed: int, evidence: Evidence) -> list[Finding]:
    claims = {
        "down": ("the sizes after convolutions", 1.0),
        "up": ("the sizes after transposed convolutions", 0.5),
        "mixed": ("the sizes after a mixture of both, each layer from the one before", 0.5),
    }
    findings = []
    for key, stacks in drawn_stacks(seed).items():
        claim, weight = claims[key]
        each = [_answers(stack, size) for stack, size in stacks]
        values = {hint: [answers[hint] for answers in each] for hint in each[0]}
        finding = expect(evidence, key, values.pop(""), claim, weight, values, tolerance=1e-6)
        findings.append(advised(finding, "Look at the padding, the rounding, and which size a layer takes."))
    return findings


def _answers(stack: Stack, size: int) -> dict[str, Any]:
    """The right sizes under '' and likely wrong answers under their hints."""
    right = _true_sizes(stack, size)
    return {hint: _by(stack, size, *rule) for hint, rule in RULES.items()} | {
        "": right,
        "The starting size is no layer's: leave it out of the list.": [size, *right],
        "The size that enters each layer is listed; the one that comes out is asked for.": [
            size,
            *right[:-1],
        ],
        "Only the last size: return one for each layer.": right[-1],
        "Only the first layer's size: does the `return` stand inside the loop?": right[:1],
        "Each layer starts from the first size: it takes what the layer before it gave.": [
            _true_sizes([layer], size)[0] for layer in stack
        ],
        "The list runs backwards: the first layer's size comes first.": right[::-1],
    }


# --- 5.2 ConvDecoder --------------------------------------------------------------------------------


def judge_conv_decoder(seed: int, evidence: Evidence) -> list[Finding]:
    asked = {"logits": ("the logits", [3136, 32, 1])}
    found = layers.Networks(seed, evidence, decoders(seed), asked)
    inside = "inside stand a ReLU, 64 maps of 7 x 7 in torch's order, transposed convolutions and a ReLU"
    sizes = "latent_dim to 64 x 7 x 7, then 64-32-1 with kernel 4, stride 2 and padding 1"
    return [
        unless(inside, 2, found.inside("logits")),
        unless(
            "what comes out are logits (N, 1, 28, 28), as the last layer gives them", 1, found.end("logits")
        ),
        unless(sizes, 1, found.sizes() or found.kernels("logits")),
        unless("one code of one number works too", 0.5, found.batches()),
        unless("gradients reach all weights and the codes", 0.5, found.gradients()),
    ]


# --- 5.3 fixed_feature_map --------------------------------------------------------------------------


def judge_fixed_feature_map(seed: int, evidence: Evidence) -> list[Finding]:
    claims = {
        "square": ("every number of 64 channels of 7 x 7 stands where it belongs", 1.5),
        "unequal": ("so it does where height, width and channels differ", 1.0),
        "single": ("it works for one image and one channel", 0.5),
    }
    findings = []
    for key, (n, channels, height, width) in SHAPES.items():
        hidden = as_array(hidden_units(seed, n, channels, height, width))
        right = np.empty((n, channels, height, width))
        for image, channel, row, column in np.ndindex(*right.shape):
            right[image, channel, row, column] = hidden[image, (row * width + column) * channels + channel]
        last = hidden.reshape(n, height, width, channels)
        mistakes = {
            "Height and width are still swapped.": right.swapaxes(2, 3),
            "This only renames the axes: `view` moves no number, so the channels do not come forward.": (
                hidden.reshape(n, channels, height, width)
            ),
            "The channels still stand last.": last,
            "Height and width are swapped before the reshape: the list runs through rows first.": (
                hidden.reshape(n, width, height, channels).transpose(0, 3, 2, 1)
            ),
            "The axes are swapped and then renamed: a reshape cannot put rows and columns back in order.": (
                last.transpose(0, 3, 2, 1).reshape(right.shape)
            ),
            "The numbers are moved, but still in a flat list.": right.reshape(n, -1),
            "An axis of length 1 is gone: keep those of the images and of the channels.": right[0],
        }
        claim, weight = claims[key]
        finding = expect(evidence, key, right, claim, weight, mistakes, tolerance=1e-6)
        advice = "Name the axes in the order in which the list runs; no size may be fixed."
        findings.append(advised(finding, advice))
    return findings


EXERCISES = (
    Exercise("5.1", "conv_sizes", 2, judge_conv_sizes),
    Exercise(
        "5.2",
        "ConvDecoder",
        3,
        judge_conv_decoder,
        ("models.ConvVAE",),
        why="With kernel 4 and stride 2 every pixel inside is painted equally often, because 2 divides 4; "
        "kernel 3 would leave a pattern like a chessboard.",
    ),
    Exercise("5.3", "fixed_feature_map", 3, judge_fixed_feature_map),
    prediction(
        "5.5",
        "predict_conv",
        CONV_OFFERED,
        (
            "A linear layer uses each of its weights once for an image. A convolution uses each at every "
            "place of its map, here 49 or 196 times, so that a quarter of the weights does more work.",
            "What a convolution learns in one place holds everywhere, so it needs fewer images to begin "
            "well: an advantage while epochs are few and images scarce, and less of one later.",
            "It depends on the price of an epoch on this machine: where a convolutional epoch costs "
            "several of the MLP's, the MLP has made several times as many steps by then.",
        ),
    ),
)

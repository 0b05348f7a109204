"""Section 5: sizes of convolutions, the convolutional decoder, a feature map with its axes in order.

Oracles: torch's own convolutions for the sizes they give; for the decoder, transposed convolutions written
out in NumPy with known weights; for the feature map, one number at a time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.judges import layers
from course_utils.checks.judges.core import Exercise, Finding, unless
from course_utils.checks.judges.diagnoser import CALLS
from course_utils.checks.judges.looks import Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes import section_5 as probes
from course_utils.checks.probes.evidence import Evidence

# --- 5.1 conv_sizes ---------------------------------------------------------------------------------


Rule = Callable[[float, int, int, float], float]  # side, kernel, stride and padding to the next side


def _strides(n: float, k: int, s: int, p: float) -> float:
    """How many strides the window has to go."""
    return (n + 2 * p - k) / s


def _convolved(n: float, k: int, s: int, p: float) -> float:
    return math.floor(_strides(n, k, s, p)) + 1


def _transposed(n: float, k: int, s: int, p: float) -> float:
    return (n - 1) * s - 2 * p + k


def _taking(taken: Callable[[int, int, float], tuple[int, int, float]]) -> tuple[Rule, Rule]:
    """Both rules, with kernel, stride and padding as a mistake takes them."""
    return lambda n, *layer: _convolved(n, *taken(*layer)), lambda n, *layer: _transposed(n, *taken(*layer))


# Rules under the mistakes that lead to them.
PADDED: dict[str, tuple[Rule, Rule]] = {
    "counts twice, on either side": _taking(lambda k, s, p: (k, s, p / 2)),
    "is left out": _taking(lambda k, s, p: (k, s, 0)),
    "has the wrong sign: a convolution has it added on both sides, a transposed one cut off, not added": (
        _taking(lambda k, s, p: (k, s, -p))
    ),
}
CONV: dict[str, Rule] = {
    **{f"The padding {words}.": rule for words, (rule, _) in PADDED.items()},
    "A window that does not fit is left out: round down, not up.": lambda *by: math.ceil(_strides(*by)) + 1,
    "The number of strides is rounded to the nearest: round down.": lambda *by: round(_strides(*by)) + 1,
    "A part of a window does not count: round down to a whole number.": lambda *by: _strides(*by) + 1,
    "The first window is missing: it adds 1 to the number of strides.": lambda *by: _convolved(*by) - 1,
    "The size alone is divided, the rest by itself: divide their sum.": (
        lambda n, k, s, p: n // s + (2 * p - k) // s + 1
    ),
    "The padding stands outside the division: it is 2 p inside it.": lambda n, k, s, p: (n - k) // s + p + 1,
    "Only the kernel is divided by the stride: use brackets.": lambda n, k, s, p: n + 2 * p - k // s + 1,
    "The kernel counts one less: so a window too many fits.": lambda n, k, s, p: _convolved(n, k - 1, s, p),
    "The stride divides what is left after the first window.": lambda n, k, s, p: (n + 2 * p - k + 1) // s,
    "A convolution makes the side smaller: is this the transposed rule, or its kind misspelt?": _transposed,
    "The size is only divided by the stride, and rounded up.": lambda n, k, s, p: -(-n // s),
    "The size is only divided by the stride: kernel and padding count too.": lambda n, k, s, p: n // s,
}
TRANSPOSED: dict[str, Rule] = {
    **{f"Transposed: the padding {words}.": rule for words, (_, rule) in PADDED.items()},
    "Transposed: n places are n - 1 strides apart, first to last.": lambda n, *by: _transposed(n + 1, *by),
    "Transposed: 1 is missing, as the kernel adds its whole width.": lambda *by: _transposed(*by) - 1,
    "Transposed: these are the sizes of a convolution: is this its rule, or the kind misspelt?": _convolved,
    "Transposed: the size is only multiplied by the stride; the others count too.": lambda n, k, s, p: n * s,
    "Transposed: a 2 stands where the stride should: (n - 1) s is n s less s.": (
        lambda n, k, s, p: n * s - 2 - 2 * p + k
    ),
    "Transposed: the padding is counted in strides: it is cut off as it is.": (
        lambda n, k, s, p: (n - 1 - p) * s + k
    ),
    "Transposed: the stride less 1 is added: is it output padding?": lambda n, k, s, p: n * s - 2 * p + k - 1,
    "Transposed: the size stays; is their kind spelled as in the text?": lambda n, k, s, p: n,
}
RULES: dict[str, tuple[Rule, Rule]] = {
    **{hint: (rule, _transposed) for hint, rule in CONV.items()},
    **{hint: (_convolved, rule) for hint, rule in TRANSPOSED.items()},
    **{f"The padding {words}. Both rules do so.": rules for words, rules in PADDED.items()},
    "The padding is worked out from the kernel: use the one that is given.": (
        _taking(lambda k, s, p: (k, s, (k - 1) // 2))
    ),
    "The stride is left out.": _taking(lambda k, s, p: (k, 1, p)),
    "The stride is taken to be 2: use that of the layer.": _taking(lambda k, s, p: (k, 2, p)),
    "Kernel and stride are swapped: a layer is (kind, kernel, stride, padding).": _taking(
        lambda k, s, p: (s, k, p)
    ),
    "The size is only divided or multiplied by the stride: kernel and padding count too.": (
        lambda n, k, s, p: n // s,
        lambda n, k, s, p: n * s,
    ),
    "The layers of this section are built in: use the numbers of each layer.": (
        lambda n, *_: _convolved(n, 3, 2, 1),
        lambda n, *_: _transposed(n, 4, 2, 1),
    ),
    "The two rules are swapped: look at the kind.": (_transposed, _convolved),
}


def _sizes(stack: probes.Stack, size: float, conv: Rule, transposed: Rule) -> list[float]:
    """The sizes that these two rules give."""
    sizes = []
    for kind, *numbers in stack:
        size = (conv if kind == "conv" else transposed)(size, *numbers)  # type: ignore[arg-type]
        sizes.append(size)
    return sizes


def _by_torch(n: int, kernel: int, stride: int, padding: int, layer: Callable[..., Tensor]) -> int:
    weight = torch.zeros(1, 1, kernel, kernel)
    return layer(torch.zeros(1, 1, n, n), weight, stride=stride, padding=padding).shape[-1]


TRUE = (partial(_by_torch, layer=F.conv2d), partial(_by_torch, layer=F.conv_transpose2d))


def judge_conv_sizes(seed: int, evidence: Evidence) -> list[Finding]:
    """The last window has to fit, so sizes may come out alike: here 27 and 28 both give 14. A transposed
    convolution cannot know which of the two it was, and gives one of them."""
    table = Table.of(probes.drawn_stacks, seed, _size_lists, lambda _, run: {CALLS: len(run)}, 1e-6)
    downs, ups, mixtures = ([f"{kind} {i}" for i in range(3)] for kind in ("down", "up", "mixed"))
    down, up, mixed = table.judge(
        evidence,
        Property("the sizes after convolutions", 3, downs),
        Property("the sizes after transposed convolutions", 1.5, ups),
        Property("the sizes after a mixture of both, each layer from the one before", 0.5, mixtures),
    )
    if up.hint and mixed.holds:  # by the answer's own rule
        mixed = replace(mixed, claim="in a mixture each layer starts from the size that the last one gave")
    return [down, up, mixed]


def _size_lists(stack: probes.Stack, run: range) -> Iterator[Any]:
    """For each starting size the sizes (RUN, layers), and what mistakes would give."""
    right = np.array([_sizes(stack, size, *TRUE) for size in run])
    yield right
    entering = np.column_stack([run, right])
    yield {
        **{hint: [_sizes(stack, size, *rules) for size in run] for hint, rules in RULES.items()},
        "The starting size is no layer's: leave it out of the list.": entering,
        "The size that enters each layer is listed; the one that comes out is asked for.": entering[:, :-1],
        "Only the last size: return one for each layer.": right[:, -1],
        "Only the first layer's size: does the `return` stand inside the loop?": right[:, :1],
        "Each size stands there twice: return one number for each layer.": np.stack([right, right], axis=2),
        "Each layer starts from the first size: it takes what the layer before it gave.": [
            [_sizes([layer], size, *TRUE)[0] for layer in stack] for size in run
        ],
        "The list runs backwards: the first layer's size comes first.": right[:, ::-1],
    }


# --- 5.2 ConvDecoder --------------------------------------------------------------------------------


def judge_conv_decoder(seed: int, evidence: Evidence) -> list[Finding]:
    """With kernel 4 and stride 2 every pixel inside is painted equally often, because 2 divides 4; kernel
    3 would leave a pattern like a chessboard."""
    asked = {"logits": ("the logits", [3136, 32, 1])}
    found = layers.Networks(seed, evidence, probes.decoders(seed), asked)
    inside = "inside stand 64 maps of 7 x 7 in torch's order, and a ReLU between transposed convolutions"
    sizes = found.sizes("latent_dim to 64 x 7 x 7, then 64-32-1 with kernel 4, stride 2 and padding 1")
    hint = found.inside("logits")
    if not (hint or sizes.holds):
        inside = inside.replace("64 maps of 7 x 7", "maps")
    return [
        unless(inside, 2, hint),
        unless(
            "what comes out are logits (N, 1, 28, 28), as the last layer gives them", 1, found.end("logits")
        ),
        sizes,
        unless("one code of one number works too", 0.5, found.batches()),
        unless("gradients reach the codes and all weights in use", 0.5, found.gradients()),
    ]


# --- 5.3 fixed_feature_map --------------------------------------------------------------------------


def judge_fixed_feature_map(seed: int, evidence: Evidence) -> list[Finding]:
    """A list is read rightly with its axes in the order in which it runs; `permute` then moves names and
    numbers together. Any other order gives the same shape, so no error warns of it."""
    uneven = ["unequal", "tall"]
    table = Table.of(probes.feature_looks, seed, _maps, lambda hidden, *_: {"images": len(hidden)}, 1e-6)
    return table.judge(
        evidence,
        Property("every number stands in its place, where height, width and channels differ", 3, uneven),
        Property("so it does in the lesson's maps, 64 channels of 7 x 7", 1, ["lesson"]),
        Property("it works for one image with one channel", 0.5, ["single"]),
        Property("it works for float64, and for a part of longer rows", 0.5, ["part"]),
    )


def _maps(hidden: Tensor, channels: int, height: int, width: int) -> dict[str, np.ndarray]:
    """The maps (N, channels, height, width), number by number, and what mistakes would give."""
    numbers, n = hidden.double().numpy(), len(hidden)
    right = np.empty((n, channels, height, width))
    for channel, row, column in np.ndindex(*right.shape[1:]):
        right[:, channel, row, column] = numbers[:, (row * width + column) * channels + channel]
    last = numbers.reshape(n, height, width, channels)
    swapped = numbers.reshape(n, width, height, channels)
    sides = {"channels": channels, "rows": height, "columns": width}
    maps = {
        "": right,
        "Height and width are still swapped.": right.swapaxes(2, 3),
        "Each channel is one piece of the list, but the channels run fastest: its numbers lie apart.": (
            numbers.reshape(right.shape)
        ),
        "The channels still stand last.": last,
        "The list is read column by column: it runs through rows first.": swapped.transpose(0, 3, 2, 1),
        "Height and width are swapped, in the shape as well: the list runs through rows first.": (
            swapped.transpose(0, 3, 1, 2)
        ),
        "Rows and columns are swapped, and a reshape does not put them back in order.": (
            last.transpose(0, 3, 2, 1).reshape(right.shape)
        ),
        "The images of a batch are mixed: a transpose put the channels before them.": (
            numbers.reshape(-1, channels).T.reshape(right.shape)
        ),
        "The images are taken for the last axis: they are the first.": (
            numbers.reshape(*last.shape[1:], n).transpose(3, 2, 0, 1)
        ),
        "Images and channels have changed places: images come first.": right.swapaxes(0, 1),
        "The rows of each map and its channels have changed places.": last.swapaxes(2, 3),
        "The numbers are moved, but still in a flat list.": right.reshape(n, -1),
    }
    for read, order in itertools.product(itertools.permutations(sides), repeat=2):
        listed = numbers.reshape(n, *(sides[side] for side in read))
        moved = listed.transpose(0, *(1 + read.index(side) for side in order))
        hint = f"The list is read as {', '.join(read)}: it runs through rows first, channels last."
        if order != tuple(sides):
            hint += f" Then the axes are put in the order {', '.join(order)}, not {', '.join(sides)}."
        maps[hint] = moved
        maps[f"{hint} A reshape at the end moves no number back."] = moved.reshape(right.shape)
    return maps


EXERCISES = (
    Exercise("5.1", "conv_sizes", 2, judge_conv_sizes),
    Exercise("5.2", "ConvDecoder", 3, judge_conv_decoder, ("models.ConvVAE",)),
    Exercise("5.3", "fixed_feature_map", 3, judge_fixed_feature_map),
    prediction(
        "5.4",
        "predict_conv",
        probes.CONV_OFFERED,
        "A linear layer uses each of its weights once for an image. A convolution uses each at every "
        "place of its map, here 49 or 196 times, so that a quarter of the weights does more work.",
        "What a convolution learns in one place holds everywhere, so it needs fewer images to begin "
        "well: an advantage while epochs are few and images scarce, and less of one later.",
        "It depends on the price of an epoch on this machine: where a convolutional epoch costs "
        "several of the MLP's, the MLP has made several times as many steps by then.",
    ),
)

"""Section 5: sizes of convolutions, the convolutional decoder, a feature map with its axes in order.

Oracles: torch's own convolutions for the sizes they give; for the decoder, transposed convolutions written
out in NumPy with weights that the judge knows (see `layers`); for the feature map, one number at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.core import Exercise, Finding, expect, problem_with
from course_utils.checks.evidence import Evidence, as_array, generator, record
from course_utils.checks.layers import bias, calls, fill, relu, same, sigmoid, weights
from course_utils.models import Model

# --- 5.1 conv_sizes ---------------------------------------------------------------------------------

Layers = list[tuple[str, int, int, int]]
COURSE: Layers = [("conv", 3, 2, 1), ("conv", 3, 2, 1), ("transposed", 4, 2, 1), ("transposed", 4, 2, 1)]


def _convolved(n: int, k: int, s: int, p: int) -> float:
    return (n + 2 * p - k) // s + 1


def _transposed(n: int, k: int, s: int, p: int) -> float:
    return (n - 1) * s - 2 * p + k


Rule = Callable[[int, int, int, int], float]


def _by(layers: Layers, size: float, conv: Rule = _convolved, transposed: Rule = _transposed) -> list[float]:
    """The sizes that these two rules give; for wrong rules."""
    sizes = []
    for kind, *numbers in layers:
        size = (conv if kind == "conv" else transposed)(size, *numbers)  # type: ignore[arg-type]
        sizes.append(size)
    return sizes


# Likely wrong rules under their hints; the right one under ''.
RULES: dict[str, tuple[Rule, Rule]] = {
    "": (_convolved, _transposed),
    "The padding counts twice, on either side.": (lambda n, k, s, p: (n + p - k) // s + 1, _transposed),
    "Transposed: the padding counts twice, on either side.": (
        _convolved,
        lambda n, k, s, p: (n - 1) * s - p + k,
    ),
    "A window that does not fit is left out: round down, not up.": (
        lambda n, k, s, p: math.ceil((n + 2 * p - k) / s) + 1,
        _transposed,
    ),
    "A part of a window does not count: round down to a whole number.": (
        lambda n, k, s, p: (n + 2 * p - k) / s + 1,
        _transposed,
    ),
    "The first window is missing: it adds 1 to the number of strides.": (
        lambda n, k, s, p: (n + 2 * p - k) // s,
        _transposed,
    ),
    "The stride divides only what is left after the first window.": (
        lambda n, k, s, p: (n + 2 * p - k + 1) // s,
        _transposed,
    ),
    "The stride is left out.": (lambda n, k, s, p: n + 2 * p - k + 1, lambda n, k, s, p: n - 1 - 2 * p + k),
    "A transposed convolution goes the other way: it undoes the size of a convolution.": (
        _convolved,
        _convolved,
    ),
    "Transposed: n places are n - 1 strides apart from first to last.": (
        _convolved,
        lambda n, k, s, p: n * s - 2 * p + k,
    ),
    "Transposed: the kernel adds its whole width.": (
        _convolved,
        lambda n, k, s, p: (n - 1) * s - 2 * p + k - 1,
    ),
    "Transposed: the padding is cut off, not added.": (
        _convolved,
        lambda n, k, s, p: (n - 1) * s + 2 * p + k,
    ),
}


def _telling(layers: Layers, low: int, high: int) -> list[int]:
    """The starting sizes from `low` to `high` at which the most rules differ in what they give."""
    different = {
        size: len({tuple(_by(layers, size, *rule)) for rule in RULES.values()})
        for size in range(low, high + 1)
    }
    return [size for size, count in different.items() if count == max(different.values())]


def _stacks(seed: int) -> dict[str, tuple[Layers, int]]:
    """Layers and the starting size: convolutions alone, transposed ones alone, a mixture."""
    g = generator(seed, 1)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=g))

    def pick(layers: Layers, low: int, high: int) -> tuple[Layers, int]:
        sizes = _telling(layers, low, high)
        return layers, sizes[draw(0, len(sizes) - 1)]

    down: Layers = [("conv", 5, 3, 1), ("conv", draw(3, 4), 2, 2), ("conv", 3, 2, 0), ("conv", 2, 3, 1)]
    up: Layers = [("transposed", draw(3, 5), 2, 1), ("transposed", draw(4, 6), 3, 2), ("transposed", 3, 1, 0)]
    return {
        "down": pick(down, 150, 300),
        "up": pick(up, 3, 9),
        "mixed": pick([*COURSE, ("conv", 4, 3, 0)], 30, 50),
    }


def probe_conv_sizes(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    for key, (layers, size) in _stacks(seed).items():
        record(evidence, key, answer, list(layers), size)
    return evidence


def _true_sizes(layers: Layers, size: int) -> list[int]:
    kinds: dict[str, Any] = {"conv": F.conv2d, "transposed": F.conv_transpose2d}
    image, sizes = torch.zeros(1, 1, size, size), []
    for kind, kernel, stride, padding in layers:
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
    for key, (layers, size) in _stacks(seed).items():
        claim, points = claims[key]
        sizes = _true_sizes(layers, size)
        mistakes: dict[str, Any] = {hint: _by(layers, size, *rule) for hint, rule in RULES.items() if hint}
        mistakes["The starting size is no layer's: leave it out of the list."] = [size, *sizes]
        mistakes["Only the last size: return one for each layer."] = sizes[-1]
        alone = [_true_sizes([layer], size)[0] for layer in layers]
        mistakes["Each layer starts from the first size: it takes what the layer before it gave."] = alone
        findings.append(expect(evidence, key, sizes, claim, points, mistakes, tolerance=1e-6))
    return findings


# --- 5.2 ConvDecoder --------------------------------------------------------------------------------

LATENT = 3
WANTED = [(1, LATENT, 3136, 0, 0, 0), (2, 64, 32, 4, 2, 1), (2, 32, 1, 4, 2, 1)]


def _codes(seed: int, latent_dim: int, n: int) -> Tensor:
    return 2 * torch.randn(n, latent_dim, generator=generator(seed, 2))


def probe_conv_decoder(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    made: dict[int, Model] = {}

    def model(latent_dim: int) -> Model:
        if latent_dim not in made:
            made[latent_dim] = answer(latent_dim)
            fill(made[latent_dim], seed, _codes(seed, latent_dim, 5))
        return made[latent_dim]

    def layers() -> list[tuple[int, ...]]:
        rows: list[tuple[int, ...]] = []
        for layer in model(LATENT).modules():
            if isinstance(layer, nn.Linear):
                rows.append((1, layer.in_features, layer.out_features, 0, 0, 0))
            elif isinstance(layer, nn.ConvTranspose2d):
                geometry = (layer.kernel_size[0], layer.stride[0], int(layer.padding[0]))
                rows.append((2, layer.in_channels, layer.out_channels, *geometry))
        return rows

    record(evidence, "layers", layers)
    record(evidence, "logits", lambda: calls(model(LATENT), _codes(seed, LATENT, 5)))
    record(evidence, "single", lambda: calls(model(1), _codes(seed, 1, 1)))
    return evidence


def _upwards(x: np.ndarray, seed: int, channels: int) -> np.ndarray:
    """A transposed convolution with kernel 4, stride 2, padding 1: each input paints a 4 x 4 patch."""
    n, inside, height, width = x.shape
    weight = weights(seed, inside, channels, 4, 4)
    out = np.zeros((n, channels, 2 * height + 2, 2 * width + 2))
    for a, b in np.ndindex(4, 4):
        patch = np.einsum("nchw,cd->ndhw", x, weight[:, :, a, b])
        out[:, :, a : a + 2 * height : 2, b : b + 2 * width : 2] += patch
    return out[:, :, 1:-1, 1:-1] + bias(seed, channels)[:, None, None]


def _in_order(hidden: np.ndarray) -> np.ndarray:
    return hidden.reshape(-1, 64, 7, 7)


def _decoded(
    z: Tensor,
    seed: int,
    reshape: Callable[[np.ndarray], np.ndarray] = _in_order,
    first: Callable[[np.ndarray], np.ndarray] = relu,
    second: Callable[[np.ndarray], np.ndarray] = relu,
) -> np.ndarray:
    """What the decoder should answer; `reshape`, `first` and `second` take its place in wrong ones."""
    latent_dim = z.shape[1]
    hidden = as_array(z).astype(np.float64) @ weights(seed, 3136, latent_dim).T + bias(seed, 3136)
    hidden = reshape(first(hidden))
    return _upwards(second(_upwards(hidden, seed, 32)), seed, 1)


def judge_conv_decoder(seed: int, evidence: Evidence) -> list[Finding]:
    z = _codes(seed, LATENT, 5)
    logits = _decoded(z, seed)
    mistakes = {
        "A sigmoid has been applied already: logits are asked for.": sigmoid(logits),
        "There is a ReLU after the last layer: logits may be negative.": relu(logits),
        "There is a tanh after the last layer: logits are unbounded.": np.tanh(logits),
        "The ReLU after `fc_decode` is missing.": _decoded(z, seed, first=same),
        "The ReLU between the two transposed convolutions is missing.": _decoded(z, seed, second=same),
        "Both ReLUs are missing.": _decoded(z, seed, first=same, second=same),
        "Height and width of the 7 x 7 map are swapped.": _decoded(
            z, seed, lambda h: _in_order(h).swapaxes(2, 3)
        ),
        "The reshape reads 7 x 7 x 64; the order is channels, height, width.": _decoded(
            z, seed, lambda h: h.reshape(-1, 7, 7, 64).transpose(0, 3, 1, 2)
        ),
        "The reshape reads 7 x 7 x 64, and height and width are swapped too.": _decoded(
            z, seed, lambda h: h.reshape(-1, 7, 7, 64).transpose(0, 3, 2, 1)
        ),
        "Rows and columns of the image are swapped.": logits.swapaxes(2, 3),
        "The image is flat: keep the shape (N, 1, 28, 28).": logits.reshape(-1, 784),
        "The channel is missing: the shape is (N, 1, 28, 28).": logits[:, 0],
    }
    return [
        _layers(evidence),
        expect(
            evidence,
            "logits",
            logits,
            "it gives the logits of 5 images from 5 codes of 3 numbers",
            2,
            mistakes,
        ),
        expect(
            evidence,
            "single",
            _decoded(_codes(seed, 1, 1), seed),
            "one code of one number works too",
            1,
        ),
    ]


def _layers(evidence: Evidence) -> Finding:
    """The three layers, in whatever order the class defines them."""
    claim = "the layers are latent to 64 x 7 x 7, then transposed convolutions 64-32-1"
    problem = problem_with(evidence, "layers")
    if problem:
        return Finding(claim, False, 1, problem)
    found = sorted(map(tuple, evidence["layers"].reshape(-1, 6).tolist()))
    if found == sorted(WANTED):
        return Finding(claim, True, 1)
    if [row[:3] for row in found] == [row[:3] for row in sorted(WANTED)]:
        hint = "The sizes fit, but each transposed convolution has kernel 4, stride 2, padding 1."
        return Finding(claim, False, 1, hint)
    seen = "; ".join(
        f"linear {a} to {b}" if kind == 1 else f"transposed {a} to {b}, kernel {k}, stride {s}, padding {p}"
        for kind, a, b, k, s, p in found
    )
    return Finding(claim, False, 1, f"With a code of {LATENT} numbers your layers are: {seen or 'none'}.")


# --- 5.3 fixed_feature_map --------------------------------------------------------------------------


def _hidden(seed: int, n: int, channels: int, height: int, width: int) -> Tensor:
    """Numbers (n, height * width * channels), all different."""
    size = n * channels * height * width
    return torch.randperm(size, generator=generator(seed, 3)).float().view(n, -1)


_SHAPES = {"square": (5, 64, 7, 7), "unequal": (5, 3, 4, 6), "single": (1, 1, 2, 5)}


def probe_fixed_feature_map(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    for key, (n, channels, height, width) in _SHAPES.items():
        hidden = _hidden(seed, n, channels, height, width)
        record(evidence, key, answer, hidden, channels, height, width)
    return evidence


def judge_fixed_feature_map(seed: int, evidence: Evidence) -> list[Finding]:
    claims = {
        "square": ("every number of 64 channels of 7 x 7 stands where it belongs", 1.5),
        "unequal": ("so it does where height, width and channels differ", 1.0),
        "single": ("it works for one image and one channel", 0.5),
    }
    findings = []
    for key, (n, channels, height, width) in _SHAPES.items():
        hidden = as_array(_hidden(seed, n, channels, height, width))
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
            "The numbers are moved, but still in a flat list.": right.reshape(n, -1),
        }
        claim, points = claims[key]
        findings.append(expect(evidence, key, right, claim, points, mistakes, tolerance=1e-6))
    return findings


EXERCISES = (
    Exercise("5.1", "conv_sizes", 2, probe_conv_sizes, judge_conv_sizes),
    Exercise("5.2", "ConvDecoder", 4, probe_conv_decoder, judge_conv_decoder),
    Exercise("5.3", "fixed_feature_map", 3, probe_fixed_feature_map, judge_fixed_feature_map),
)

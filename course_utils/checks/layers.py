"""Models whose weights the judge knows without having seen them.

The probe overwrites a model's layers with numbers that depend on the seed and on a layer's shape alone.
The judge draws the same numbers and works out in NumPy what the model should answer.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks.evidence import NotNumbers, alone, generator

KNOWN = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def weights(seed: int, *shape: int) -> np.ndarray:
    """A layer's weight in float64, scaled so that activations stay near 1."""
    fan_in = math.prod(shape[1:]) if len(shape) == 2 else shape[0]
    return math.sqrt(2 / fan_in) * _normal(seed, *shape)


def bias(seed: int, size: int) -> np.ndarray:
    """A layer's bias in float64, too large to go missing unseen."""
    return 0.5 * _normal(seed, size)


def _normal(seed: int, *shape: int) -> np.ndarray:
    stream = sum(side * 1009**place for place, side in enumerate(shape))
    return torch.randn(*shape, generator=generator(seed, stream), dtype=torch.float64).numpy()


def fill(model: nn.Module, seed: int, example: Tensor) -> None:
    """Overwrite the layers of `model`, which is first run on `example` so that lazy layers take shape."""
    with contextlib.suppress(Exception), torch.no_grad():
        model(example)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, KNOWN):
                layer.weight.copy_(torch.from_numpy(weights(seed, *layer.weight.shape)))
                if layer.bias is not None:
                    layer.bias.copy_(torch.from_numpy(bias(seed, len(layer.bias))))


def calls(model: nn.Module, x: Tensor) -> Any:
    """What the model answers to `x`; says so where it has no `forward` of its own."""
    if not isinstance(model, nn.Module):
        raise NotNumbers("The class is no nn.Module")
    if type(model).forward is nn.Module.forward:
        raise NotNumbers("The class has no method `forward`")
    return alone(model(x))


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))  # no overflow far from 0


def same(x: np.ndarray) -> np.ndarray:
    return x

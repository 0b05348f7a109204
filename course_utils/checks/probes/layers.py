"""Models whose weights the judge knows without having seen them.

A probe overwrites a model's layers with numbers that depend on the seed and on a layer's shape alone; a judge
draws the same numbers.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks.probes.evidence import NotNumbers, alone, as_array
from course_utils.checks.probes.inputs import generator

KNOWN = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)

# --- known weights ----------------------------------------------------------------------------------


def weights(seed: int, *shape: int) -> np.ndarray:
    """A layer's weight in float64, scaled so that activations stay near 1."""
    fan_in = math.prod(shape[1:]) if len(shape) == 2 else shape[0]
    return math.sqrt(2 / fan_in) * _normal(seed, *shape)


def bias(seed: int, size: int) -> np.ndarray:
    """A layer's bias in float64, too large to go missing unseen."""
    return 0.5 * _normal(seed, size)


@functools.lru_cache(maxsize=32)
def _normal(seed: int, *shape: int) -> np.ndarray:
    stream = sum(side * 1009**place for place, side in enumerate(shape))
    return torch.randn(*shape, generator=generator(seed, stream), dtype=torch.float64).numpy()


def fill(model: nn.Module, seed: int, **examples: tuple[Tensor, ...]) -> None:
    """Overwrite the layers of `model`, after a call of these methods, by which lazy layers take shape."""
    if not isinstance(model, nn.Module):
        raise NotNumbers("The class is no nn.Module")
    for method, example in examples.items():
        with contextlib.suppress(Exception), torch.no_grad():
            getattr(model, method)(*example)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, KNOWN):
                layer.weight.copy_(torch.from_numpy(weights(seed, *layer.weight.shape)))
                if layer.bias is not None:
                    layer.bias.copy_(torch.from_numpy(bias(seed, len(layer.bias))))


# --- calling ----------------------------------------------------------------------------------------


def calls(model: nn.Module, x: Tensor) -> Any:
    """What the model answers to `x`; says so where it has no `forward` of its own."""
    if type(model).forward is nn.Module.forward:
        raise NotNumbers("The class has no method `forward`")
    return alone(model(x))


def slopes(output: Any, start: Tensor) -> Tensor:
    """Gradient of the sum of all outputs with respect to `start`; says so where none arrives."""
    as_array(output)  # says what else it is
    gradient = None
    if isinstance(output, Tensor) and output.requires_grad:
        (gradient,) = torch.autograd.grad(output.sum(), start, allow_unused=True)
    if gradient is None:
        raise NotNumbers("No gradient comes through: is something detached, or under `no_grad`?")
    return gradient


def of_loss(loss: Callable[..., Any], *leaves: Tensor) -> Tensor:
    """The gradient of loss(*leaves) by each of them, one after the other: 0 where none arrives."""
    leaves = tuple(leaf.clone().requires_grad_() for leaf in leaves)
    value = loss(*leaves)
    if isinstance(value, Tensor) and value.requires_grad:
        value.sum().backward()
    parts = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    return torch.cat([part.flatten() for part in parts])


# --- layers as evidence -----------------------------------------------------------------------------


def described(model: nn.Module) -> list[tuple[float, ...]]:
    """For each layer its kind, inputs, outputs, kernel, stride, padding and the sums of weight and bias."""
    rows = []
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            shape: tuple[Any, ...] = (0, layer.in_features, layer.out_features, 0, 0, 0)
        elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            padding = 0 if isinstance(layer.padding, str) else layer.padding[0]
            kind = 1 + isinstance(layer, nn.ConvTranspose2d)
            channels = (layer.in_channels, layer.out_channels)
            shape = (kind, *channels, layer.kernel_size[0], layer.stride[0], padding)
        else:
            continue
        total_bias = 0.0 if layer.bias is None else layer.bias.sum().item()
        rows.append((*shape, layer.weight.sum().item(), total_bias))
    return rows


def linear(model: nn.Module) -> list[tuple[int, int, bool]]:
    """For each linear layer its inputs, its outputs and whether it has a bias."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    return [(layer.in_features, layer.out_features, layer.bias is not None) for layer in layers]

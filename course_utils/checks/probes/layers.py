"""Networks with weights that the judge knows without having seen them.

A probe overwrites every parameter of a model with numbers that depend on the seed and on the parameter's
place among them, so that no two are alike. A judge that is told their shapes draws the same numbers, and
finds out from what comes out which of them plays which part.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from course_utils.checks.probes.evidence import (
    AGAIN,
    STEADY,
    Evidence,
    NotNumbers,
    alone,
    as_array,
    look,
    note,
    record,
)
from course_utils.checks.probes.inputs import fact, generator, seed_draws

SINGLE = "one image and latent_dim = 1"  # the name of that case
KEPT = "Other inputs of the same shape get what came of earlier ones: compute it anew in every call."
DROPOUT = "Calls differ in training mode, and not in evaluation mode: is there dropout, or noise?"

# --- what is asked of a model -----------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """One output of a model: the method, its arguments, and which part of what it returns (None: all).

    The method 'both' is decode after encode.
    """

    method: str
    args: tuple[Tensor, ...]
    part: int | None = None


@dataclass(frozen=True)
class Case:
    """What a class is made with, the latent size first, and what its model is then asked, by key."""

    sizes: tuple[int, ...]
    calls: Mapping[str, Call]


def of_vae(images: tuple[Tensor, ...], codes: tuple[Tensor, ...]) -> dict[str, Call]:
    """The outputs of a VAE from these arguments of encode and decode."""
    return {
        "mu": Call("encode", images, 0),
        "logvar": Call("encode", images, 1),
        "logits": Call("decode", codes),
    }


def images(seed: int, n: int) -> Tensor:
    """Grey images (n, 1, 28, 28), from a dark one to a bright one."""
    brightness = torch.linspace(1, 0.1, n).view(n, 1, 1, 1)
    return brightness * torch.rand(n, 1, 28, 28, generator=generator(seed, 32))


def codes(seed: int, n: int, latent_dim: int) -> Tensor:
    """Codes (n, latent_dim), from large ones to small ones."""
    return torch.logspace(1, -1, n)[:, None] * torch.randn(n, latent_dim, generator=generator(seed, 33))


def two_sizes(
    seed: int, latent_dim: int, calls: Callable[[Tensor, Tensor], dict[str, Call]]
) -> dict[str, Case]:
    """Five images, six codes of this size, and one of each with a code of one number; `calls` makes calls."""
    sizes = {"main": (latent_dim, 5, 6), SINGLE: (1, 1, 1)}
    return {name: Case((d,), calls(images(seed, n), codes(seed, m, d))) for name, (d, n, m) in sizes.items()}


# --- known numbers ----------------------------------------------------------------------------------


def numbers(seed: int, place: int, shape: tuple[int, ...]) -> Tensor:
    """What the parameter at this place gets: so large that outputs reach about 50, and clamps show."""
    drawn = torch.randn(shape, generator=generator(seed, 1000 + place))
    if len(shape) < 2:
        return drawn
    side = math.sqrt(math.prod(shape[2:])) / 2 if len(shape) > 2 else 1.0  # of a kernel, by a stride of 2
    return drawn * 4 * math.sqrt(2 / (shape[0] + shape[1])) / side


@dataclass(frozen=True)
class Known:
    """A parameter: `registered` says whether torch finds it; `says` is 1 where its name speaks of a mean and
    2 where it speaks of a variance; stride, padding and output padding are those of its convolution."""

    value: Tensor
    registered: bool
    says: int
    geometry: tuple[int, int, int]


def parameters(model: nn.Module) -> list[Known]:
    """All that can be trained: what torch finds, then what lies in plain lists and the like."""
    registered = {id(parameter) for parameter in model.parameters()}
    found: list[Known] = []
    for name, owner, value in _tensors(model, "", model, set()):
        if value.is_leaf and value.requires_grad and not is_lazy(value) and value.ndim <= 4:
            says = 1 if "mu" in name or "mean" in name else 2 if "var" in name or "sig" in name else 0
            found.append(Known(value, id(value) in registered, says, _geometry(owner)))
    return sorted(found, key=lambda known: not known.registered)


def _tensors(
    thing: Any, name: str, owner: nn.Module, seen: set[int]
) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """Each tensor in there once, with its name and its module, in plain lists and dicts as well."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, Tensor):
        yield name.lower(), owner, thing
    owner = thing if isinstance(thing, nn.Module) else owner
    parts = vars(thing) if owner is thing else thing if isinstance(thing, dict) else {}
    if isinstance(thing, list | tuple):
        parts = dict(enumerate(thing))
    for key, part in parts.items():
        yield from _tensors(part, f"{name}.{key}", owner, seen)


def _geometry(layer: nn.Module) -> tuple[int, int, int]:
    if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) or isinstance(layer.padding, str):
        return 2, 1, 0
    outer = layer.output_padding if isinstance(layer, nn.ConvTranspose2d) else (0,)
    return layer.stride[0], layer.padding[0], outer[0]


# --- the probe of every network -----------------------------------------------------------------------


def output(model: Any, call: Call, *args: Tensor) -> Any:
    """What the model answers to a call with these arguments."""
    if call.method == "both":
        return alone(model.decode(alone(model.encode(*args))))
    if call.method == "forward" and type(model).forward is nn.Module.forward:
        raise NotNumbers("The class has no method `forward`.")
    value = (model if call.method == "forward" else getattr(model, call.method))(*args)
    if call.part is None:
        return alone(value)
    if value is None:
        return value  # there is a sentence for it
    found = len(value) if isinstance(value, tuple | list) else 1
    if found != 2:
        raise NotNumbers(f"It returned {found} value{'s' * (found > 1)}; mu and logvar are asked for.")
    return value[call.part]


def again(model: Any, call: Call, *args: Tensor) -> Any:
    """The same from copies of the arguments, or of these, and without a word: it has been seen already."""
    with contextlib.redirect_stdout(io.StringIO()):
        return output(model, call, *(arg.clone() for arg in args or call.args))


def made(answer: Any, case: Case, seed: int) -> nn.Module:
    """A model with known numbers, after its calls, by which lazy layers take shape."""
    model = answer(*case.sizes)
    if not isinstance(model, nn.Module):
        raise NotNumbers("The class is no nn.Module.")
    with torch.no_grad():
        for call in case.calls.values():
            with contextlib.suppress(Exception):
                again(model, call)
        for place, one in enumerate(parameters(model)):
            one.value.copy_(numbers(seed, place, tuple(one.value.shape)))
    return model


def probe(of: Callable[[int], Mapping[str, Case]], evidence: Evidence, answer: Any, seed: int) -> None:
    """Record what every case gives, its parameters, and for the case 'main' on which of them each output
    depends and whether gradients reach these. `of` gives the cases of a seed."""
    cases, models = of(seed), dict[tuple[int, ...], nn.Module]()

    def model(name: str) -> nn.Module:
        """One for each of the sizes; an error in the constructor comes up in every finding."""
        case = cases[name]
        if case.sizes not in models:
            models[case.sizes] = made(answer, case, seed)
        return models[case.sizes]

    asked = {
        f"{key} {name}": (name, call, *call.args)
        for name, case in cases.items()
        for key, call in case.calls.items()
    }

    def answered(name: str, call: Call, *args: Tensor) -> Any:
        return output(model(name), call, *args)

    used = functools.cache(lambda key: _used(model("main"), cases["main"].calls[key], seed))
    look(evidence, answered, asked)
    for name in cases:
        record(evidence, f"parameters {name}", lambda name=name: _rows(model(name)))
    for key, call in cases["main"].calls.items():
        if call.method != "both":
            record(evidence, f"alone {key}", answered, "main", call, *(arg[:1] for arg in call.args))
            record(evidence, f"used {key}", used, key)
            record(
                evidence,
                f"gradients {key}",
                lambda key=key, call=call: _flows(model("main"), used(key), key, call, seed),
            )
    with contextlib.suppress(Exception):
        evidence["others"] = np.array(", ".join(_other_layers(model("main"))))
        _steady(evidence, model("main"), cases["main"].calls)
    if str(evidence.get(STEADY)) == AGAIN:
        calm: Evidence = {}
        for name in cases:
            model(name).eval()
        look(calm, answered, asked)
        if STEADY not in calm:
            evidence |= {STEADY: np.array(DROPOUT)} | {f"calm {key}": value for key, value in calm.items()}


def _steady(evidence: Evidence, model: nn.Module, calls: Mapping[str, Call]) -> None:
    """Note where a call fails, or gives two results, or two calls one. They have many rows: what happens
    seldom happens in one of them."""
    for key, call in calls.items():
        if evidence[f"{key} main"].dtype.kind == "U":
            continue  # few rows have told already what stops it
        many = [arg.repeat_interleave(32, 0) for arg in call.args]
        seen: Evidence = {}
        asked = {"once": tuple(many), "other": tuple(arg.flip(0) for arg in many)}
        look(seen, functools.partial(again, model, call), asked)
        once, other = seen["once"], seen["other"]
        if said := [value.item() for value in seen.values() if value.dtype.kind == "U"]:
            note(evidence, said[0])
        elif np.array_equal(once, other) and not np.array_equal(once, once[::-1]):
            note(evidence, KEPT)


def _rows(model: nn.Module) -> np.ndarray:
    """A row for each parameter: registered, says, stride, padding, output padding, and its shape."""
    rows = [
        (one.registered, one.says, *one.geometry, *one.value.shape, *[0] * (4 - one.value.ndim))
        for one in parameters(model)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 9)


PLAIN = {"Linear", "Conv2d", "ConvTranspose2d", "Embedding", "Flatten", "Unflatten", "ReLU", "Identity"}
PLAIN |= {"Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}


def _other_layers(model: nn.Module) -> list[str]:
    """The kinds of torch's layers that play a part in no network of the course."""
    kinds = {type(one).__name__ for one in model.modules() if type(one).__module__.startswith("torch.nn.")}
    return sorted(kinds - PLAIN)


def _used(model: nn.Module, call: Call, seed: int) -> list[bool]:
    """For each parameter, whether the output changes with its sign."""

    def value() -> np.ndarray:
        seed_draws(seed)
        return as_array(again(model, call))

    used = []
    with torch.no_grad():
        before = value()
        for one in parameters(model):
            one.value.neg_()
            now = value()
            one.value.neg_()
            used.append(not np.allclose(now, before, rtol=1e-5, atol=1e-6, equal_nan=True))
    return used


def _flows(model: nn.Module, used: list[bool], key: str, call: Call, seed: int) -> float:
    """The fact that gradients reach every parameter that the output depends on, and the codes."""
    args = [arg.clone().requires_grad_(arg.ndim == 2) for arg in call.args]
    pairs = zip(parameters(model), used, strict=True)
    needed = [one.value for one, part in pairs if part] + [arg for arg in args if arg.ndim == 2]
    value = again(model, call, *args)
    gradients: Any = [None]
    if isinstance(value, Tensor) and value.requires_grad:
        gradients = torch.autograd.grad(value.sum(), needed, allow_unused=True)
    return fact(seed, f"gradients {key}", all(one is not None and bool(one.any()) for one in gradients))


def of_loss(loss: Callable[..., Any], *leaves: Tensor) -> Tensor:
    """The gradient of loss(*leaves) by each of them, one after the other: 0 where none arrives."""
    leaves = tuple(leaf.clone().requires_grad_() for leaf in leaves)
    value = loss(*leaves)
    if isinstance(value, Tensor) and value.requires_grad:
        value.sum().backward()
    parts = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
    return torch.cat([part.flatten() for part in parts])

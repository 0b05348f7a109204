"""Networks with weights that the judge knows without having seen them.

A probe has given every parameter numbers of its own (see the probes' `layers`). Here the same numbers are
drawn, and it is searched which way from the inputs gives what the model answered (`explain`): which weights
in which order, what stands between them and at the end, with at most one mistake of each kind. A way found
can be gone again with other inputs (`Way.value`), and says what is wrong with it (`Way.hint`).
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.judges.core import Finding, is_fact, problem_with, unless
from course_utils.checks.judges.diagnoser import Change, Seen, changed, diagnose
from course_utils.checks.probes.evidence import AGAIN, CHANGED, STEADY, Evidence
from course_utils.checks.probes.layers import DROPOUT, Call, Case, Known, numbers

Map = Callable[[Tensor], Tensor]

MOST = 12_000_000  # numbers in all parameters together; what is asked for has 1.1 million
SHARED = "decode uses a weight of encode once more: each layer has weights of its own."
FEW = " Only {} of {} layers belong to the model: is one made anew in every call?"
MIXED = "What an image gives depends on the other images of the batch: where do they meet?"
CUT_OFF = "No gradient comes back: is something detached, or computed under no_grad?"
HIDDEN = "Torch does not find a layer's weights: a plain list hides it, nn.ModuleList does not."

# --- the parameters -----------------------------------------------------------------------------------


def parameters(seed: int, evidence: Evidence, case: str) -> tuple[Known, ...]:
    """The parameters of one case's model, in float64."""
    if problem_with(evidence, f"parameters {case}"):
        return ()
    return _drawn(seed, tuple(map(tuple, evidence[f"parameters {case}"].astype(int).tolist())))


@functools.lru_cache(maxsize=4)
def _drawn(seed: int, rows: tuple[tuple[int, ...], ...]) -> tuple[Known, ...]:
    shapes = [tuple(side for side in row[5:] if side) for row in rows]
    if sum(map(math.prod, shapes)) > MOST or len(rows) > 99:
        return ()
    return tuple(
        Known(numbers(seed, place, shape).double(), bool(row[0]), row[1], (row[2], row[3], row[4]))
        for place, (row, shape) in enumerate(zip(rows, shapes, strict=True))
    )


# --- what may stand on the way --------------------------------------------------------------------------


def same(x: Any) -> Any:
    return x


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))  # no overflow far from 0


BENDS: dict[str, Map] = {
    "a ReLU": F.relu, "nothing": same, "a sigmoid": torch.sigmoid, "a tanh": torch.tanh,
    **{f"a leaky ReLU ({a})": partial(F.leaky_relu, negative_slope=a) for a in (0.01, 0.1, 0.2)},
    "a softplus": F.softplus, "an ELU": F.elu, "a GELU": F.gelu, "a SiLU": F.silu, "a ReLU6": F.relu6,
    "a softmax": partial(F.softmax, dim=1),
}  # fmt: skip
ENDS: dict[str, Map] = {
    "": same, **{name: bend for name, bend in BENDS.items() if name != "nothing"},
    "an exp": torch.exp, "an exp of the half": lambda y: (y / 2).exp(),
    "a minus softplus": lambda y: -F.softplus(y), "a log-sigmoid": F.logsigmoid,
    "a normalisation to length 1": F.normalize,
}  # fmt: skip
STARTS: dict[str, Map] = {
    "": same,
    "Pixels are multiplied by 255: an image goes in as it is.": lambda x: 255 * x,
    "Pixels are divided by 255: they lie between 0 and 1 already.": lambda x: x / 255,
    "Pixels are moved to -1 to 1: an image goes in as it is.": lambda x: 2 * x - 1,
    "1/2 is subtracted from pixels: an image goes in as it is.": lambda x: x - 0.5,
    "The mean 0.1307 of MNIST is taken off: an image goes in as it is.": lambda x: (x - 0.1307) / 0.3081,
    "Pixels are made black or white: grey ones go in as they are.": lambda x: (x > 0.5).double(),
    "Every pixel above 0 is made white: grey ones go in as they are.": lambda x: (x > 0).double(),
    "Black and white are exchanged: an image goes in as it is.": lambda x: 1 - x,
    "The image plays no part.": lambda x: 0 * x,
    "Rows and columns of the image are swapped.": lambda x: x.view(-1, 28, 28).mT.flatten(1),
}
_CODES: dict[str, Map] = {
    **{f"There is {name} before the first layer": bend for name, bend in ENDS.items() if name},
    **{f"There is a factor of {a} before the first layer": partial(torch.mul, a) for a in (2, 0.5, -1)},
    **{f"The code is kept between -{a} and {a}": partial(torch.clamp, min=-a, max=a) for a in range(1, 6)},
}
STARTS_OF_CODES = {"": same} | {f"{hint}: it goes in as it is.": start for hint, start in _CODES.items()}


def _smoothed(e: float, y: Tensor, c: int) -> Tensor:
    return torch.eye(c)[y] * (1 - e) + e / c


LABELS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "": lambda y, c: torch.eye(c)[y],
    "The label joins as a single number, but classes have no order: use one-hot.": lambda y, c: y[:, None],
    "The label joins as a single number between 0 and 1: use one-hot.": lambda y, c: y[:, None] / c,
    "There is room for 10 labels, whatever num_classes is.": lambda y, c: torch.eye(max(10, c))[y],
    "Every row gets the label of the first image.": lambda y, c: torch.eye(c)[y[:1]].expand(len(y), -1),
    "The label is one class too far: classes count from 0.": lambda y, c: torch.eye(c)[(y + 1) % c],
    "One class has no place of its own: the label has num_classes numbers.": lambda y, c: torch.eye(c)[y, 1:],
    "The label is twice as large: one-hot means 0 and 1.": lambda y, c: 2 * torch.eye(c)[y],
    "The label is made of -1 and 1: one-hot means 0 and 1.": lambda y, c: 2 * torch.eye(c)[y] - 1,
    "The label plays no part: it is 0 throughout.": lambda y, c: 0 * torch.eye(c)[y],
    **{f"The label is smoothed by {e}: one-hot means 0 and 1.": partial(_smoothed, e)
       for e in (0.01, 0.05, 0.1, 0.2)},
}  # fmt: skip
NO_LABEL = "The label is not used: encoder and decoder both need it."
LATE = "The label joins after the first layer: it joins what goes in."
THROUGH = "The label goes through a layer before it joins: join it one-hot."


def _maps(h: Tensor, channels: int, last: bool = False) -> Tensor:
    """(N, channels * side * side) as square maps, read in torch's order or with the channels last."""
    side = math.isqrt(h.shape[1] // channels)
    if last:
        return h.reshape(-1, side, side, channels).permute(0, 3, 1, 2)
    return h.reshape(-1, channels, side, side)


FOLDS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "": _maps,
    "Height and width of the 7 x 7 map are swapped.": lambda h, c: _maps(h, c).mT,
    "The reshape reads 7 x 7 x 64; the order is channels, height, width.": lambda h, c: _maps(h, c, True),
    "The reshape reads 7 x 7 x 64, and height and width are swapped too.": lambda h, c: _maps(h, c, True).mT,
}
TURNED = "Rows and columns of the image are swapped."
FORMS: dict[str, Map] = {  # rows of pixels, as a model may return them
    "": lambda flat: flat.reshape(-1, 1, 28, 28),
    "The numbers are right but no images: give them the shape (N, 1, 28, 28).": same,
    "The channel is missing: the shape is (N, 1, 28, 28).": lambda flat: flat.reshape(-1, 28, 28),
    "The channel stands last: the shape is (N, 1, 28, 28).": lambda flat: flat.reshape(-1, 28, 28, 1),
    TURNED: lambda flat: flat.reshape(-1, 1, 28, 28).mT,
}
CUTS: dict[str, Map] = {  # out of a layer of twice the width
    "low": lambda y: y[:, : y.shape[1] // 2],
    "high": lambda y: y[:, y.shape[1] // 2 :],
    "even": lambda y: y[:, ::2],
    "odd": lambda y: y[:, 1::2],
}


# --- ways ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """What goes in, in float64: rows (N, D), and for some a label (N,) of so many classes."""

    rows: Tensor
    label: Tensor | None
    classes: int
    starts: Mapping[str, Map]

    @classmethod
    def of(cls, case: Case, call: Call) -> Given:
        first, *rest = call.args
        starts, label = STARTS_OF_CODES if first.ndim == 2 else STARTS, rest[0] if rest else None
        return cls(first.double().flatten(1), label, case.sizes[-1], starts)

    def first(self, n: int) -> Given:
        label = None if self.label is None else self.label[:n]
        return replace(self, rows=self.rows[:n], label=label)

    def joined(self, hint: str) -> Tensor:
        """The label as it joins, (N, classes) or what a mistake makes of it."""
        if self.label is None:
            return self.rows[:, :0]
        return LABELS[hint](self.label, self.classes).double()


@dataclass(frozen=True)
class Stage:
    """One weight's part in a way, and that of its biases.

    `kind` is 'linear', 'label' (a layer for the label alone), 'transposed' or 'convolution', `turned` says
    that a linear weight is stored as (in, out). The label may stand behind (`joins` 1) or before (-1) what
    comes in, or have a weight of its own (`apart`). Before a convolution may stand an upsampling.
    """

    weight: int
    out: int
    kind: str = "linear"
    turned: bool = False
    joins: int = 0
    apart: tuple[int, bool] | None = None
    upsampling: str = ""
    biases: tuple[int, ...] = ()


@dataclass(frozen=True)
class Way:
    """How an output comes about. Strings are hints or names of what is not as asked for, '' for what is."""

    stages: tuple[Stage, ...]
    bends: tuple[str, ...]
    start: str = ""
    label: str = ""
    fold: str = ""
    cut: str = ""
    end: str = ""
    change: Map = same  # what `end` does
    form: str | None = None  # None for rows that are no images

    def raw(self, known: Sequence[Known], given: Given) -> Tensor:
        """What the last weight gives: (N, D)."""
        h, label = given.starts[self.start](given.rows), given.joined(self.label)
        bends = iter(self.bends)
        for stage in self.stages:
            weight = known[stage.weight].value
            bias: Any = sum(known[place].value.flatten() for place in stage.biases)
            if stage.kind == "label":
                label = label @ _matrix(weight, stage.turned) + bias
                continue
            if stage.kind == "linear":
                h = torch.cat([h, label][:: stage.joins], 1) if stage.joins else h
                h = h @ _matrix(weight, stage.turned) + bias
                if stage.apart:
                    h = h + label @ _matrix(known[stage.apart[0]].value, stage.apart[1])
            else:
                channels = weight.shape[stage.kind == "convolution"]
                h = FOLDS[self.fold](h, channels) if h.ndim == 2 else h
                h = _convolved(h, stage, known[stage.weight]) + (bias.view(-1, 1, 1) if stage.biases else 0)
            h = BENDS[next(bends, "nothing")](h)
        return h.flatten(1)

    def value(self, known: Sequence[Known], given: Given) -> np.ndarray:
        """What the network gives, in its shape."""
        rows = self.raw(known, given)
        rows = self.change(CUTS[self.cut](rows) if self.cut else rows)
        return (rows if self.form is None else FORMS[self.form](rows)).numpy()

    @property
    def sizes(self) -> list[int]:
        """How many numbers come out of each layer; of convolutions, channels."""
        *inside, last = [stage.out for stage in self.stages if stage.kind != "label"]
        return [*inside, last // 2 if self.cut else last]

    def hint(self, known: Sequence[Known], given: Given, inside: int) -> str:
        """What is wrong before the end, where `inside` layers should stand before the last one; but for
        their sizes."""
        places = [place for stage in self.stages for place in (stage.weight, *stage.biases)]
        if not all(known[place].registered for place in places):
            return HIDDEN
        if given.label is not None and not any(s.joins or s.apart or s.kind == "label" for s in self.stages):
            return NO_LABEL
        if any(stage.kind == "label" for stage in self.stages):
            return THROUGH
        if any(stage.joins or stage.apart for stage in self.stages[1:]):
            return LATE
        if self.start or self.label:
            return self.start or self.label
        if len(self.bends) != inside:
            sizes = ", ".join(map(str, self.sizes))
            return f"{inside + 1} layers are asked for, one after the other; here they give {sizes} numbers."
        convolutions = [stage for stage in self.stages if stage.kind == "convolution"]
        if convolutions:
            before = "An upsampling before it, a" if convolutions[0].upsampling else "A"
            return f"{before} convolution stands in place of a transposed one."
        return self._bent() or self.fold

    def _bent(self) -> str:
        """What is wrong with the activations inside."""
        off = [place for place, bend in enumerate(self.bends) if bend != "a ReLU"]
        if not off:
            return ""
        found, layers = self.bends[off[0]], len(self.bends) + 1
        if len(off) == layers - 1 > 1:
            if found == "nothing":
                return "Nothing stands between the layers: put a ReLU after each hidden one."
            return f"The activation inside is {found}, not a ReLU."
        if found == "nothing":
            return f"The ReLU after layer {off[0] + 1} of {layers} is missing."
        return f"After layer {off[0] + 1} of {layers} stands {found}, not a ReLU."

    def at_end(self, name: str) -> str:
        """What stands after the last layer of the output of this name."""
        if self.end.startswith(("a ", "an ")):
            return f"There is {self.end} on {name}: nothing should stand after the last layer."
        return f"Of {name}: {self.end}" if self.end else ""


def _matrix(weight: Tensor, turned: bool) -> Tensor:
    """(in, out)"""
    return weight if turned else weight.T


def _convolved(h: Tensor, stage: Stage, known: Known) -> Tensor:
    stride, padding, outer = known.geometry
    if stage.kind == "transposed":
        return F.conv_transpose2d(h, known.value, None, stride, padding, outer)
    if stage.upsampling:
        h = F.interpolate(h, scale_factor=2, mode=stage.upsampling)
    return F.conv2d(h, known.value, None, stride, padding)


# --- the search -----------------------------------------------------------------------------------------


def explain(actual: np.ndarray, known: Sequence[Known], used: Sequence[bool], given: Given) -> Way | None:
    """The way that gives `actual`, of those that go through all used parameters the one with the fewest
    mistakes; None where none does."""
    rows = torch.zeros(len(given.rows), 784)
    images = actual.ndim != 2 or actual.shape[1] == 784
    shapes = {form: shaped(rows).shape for form, shaped in FORMS.items() if images}
    fitting: list[str | None] = [form for form, shape in shapes.items() if shape == actual.shape]
    for form in fitting or [None]:
        if actual.ndim > 1 and len(actual) == len(given.rows):
            flat = (actual.swapaxes(2, 3) if form == TURNED else actual).reshape(len(actual), -1)
            way = _explained(flat, known, used, given, form == TURNED)
            if way:
                return replace(way, form=form)
    return None


def _explained(
    actual: np.ndarray, known: Sequence[Known], used: Sequence[bool], given: Given, plain: bool
) -> Way | None:
    """The way to these rows; where `plain`, without any other mistake than at the end."""
    few = given.first(2)

    @functools.cache
    def plans(labels: int) -> list[tuple[Stage, ...]]:
        return list(itertools.islice(_plans(known, used, given.rows.shape[1], labels), 24))

    for start, label, fold, bends in _deviations(given, plain):
        for stages in plans(few.joined(label).shape[1]):
            if fold and all(stage.kind == "linear" for stage in stages):
                continue
            for bent in bends(_hidden(stages)):
                way = Way(stages, bent, start, label, fold)
                for one in _ended(way, actual[:2], way.raw(known, few), actual):
                    if _alike(actual, one.value(known, given), one.end):
                        return one
    for stages in plans(few.joined("").shape[1])[:4]:
        way = Way(stages, ("a ReLU",) * _hidden(stages))
        right = way.raw(known, given).numpy()
        found = diagnose([Seen(actual, right)], 1e-3) if right.shape == actual.shape else None
        if found:
            return replace(way, end=found[0], change=partial(_changed, found[1]))
    return None


def _hidden(stages: Sequence[Stage]) -> int:
    return sum(stage.kind != "label" for stage in stages) - 1


def _changed(change: Change, rows: Tensor) -> Tensor:
    return torch.as_tensor(changed(change, rows.numpy(), {}))


Bends = Callable[[int], Iterable[tuple[str, ...]]]


def _deviations(given: Given, plain: bool) -> Iterator[tuple[str, str, str, Bends]]:
    """Start, label, fold and activations, of which one at most is not as asked for; where `plain`, none."""

    def relus(n: int) -> list[tuple[str, ...]]:
        return [("a ReLU",) * n]

    def others(n: int) -> Iterator[tuple[str, ...]]:
        names = [name for name in BENDS if name != "a ReLU"]
        yield from ((name,) * n for name in names)
        for place in range(n) if n > 1 else ():
            yield from ((*relus(place)[0], name, *relus(n - place - 1)[0]) for name in names[:6])

    yield "", "", "", relus
    if plain:
        return
    yield "", "", "", others
    yield from ((start, "", "", relus) for start in given.starts if start)
    if given.label is not None:
        yield from (("", label, "", relus) for label in LABELS if label)
    yield from (("", "", fold, relus) for fold in FOLDS if fold)


def _ended(way: Way, actual: np.ndarray, raw: Tensor, whole: np.ndarray) -> Iterator[Way]:
    """The way with the cuts and ends by which the raw numbers become the actual ones."""
    width = actual.shape[1]
    cuts: Iterable[str] = [""] if raw.shape[1] == width else CUTS if raw.shape[1] == 2 * width else []
    low, high = float(whole.min(initial=0)), float(whole.max(initial=0))
    clamps: dict[str, Map] = {
        f"a bound of {low:.4g} below": lambda y: y.clamp(min=low),
        f"a bound of {high:.4g} above": lambda y: y.clamp(max=high),
        f"a clamp to {low:.4g} and {high:.4g}": lambda y: y.clamp(low, high),
    }
    for cut in cuts:
        rows = CUTS[cut](raw) if cut else raw
        # an end keeps the largest the largest, or makes it the least: this alone refuses most
        first, top = actual[0], actual[0, int(rows[0].argmax())]
        near = 1e-3 * np.ptp(first) if np.isfinite(first).all() else 0
        if not (top >= first.max() - near or top <= first.min() + near):
            continue
        for end, change in (ENDS | clamps | _line(rows.numpy(), actual)).items():
            if _alike(actual, change(rows).numpy(), end):
                yield replace(way, cut=cut, end=end, change=change)
                break


def _line(x: np.ndarray, y: np.ndarray) -> dict[str, Map]:
    """The factor and the shift that lead from x to y, if it is a straight line."""
    if x.size < 3 or not np.isfinite(y).all():
        return {}
    factor, shift = (float(f"{number:.4g}") for number in np.polyfit(x.ravel(), y.ravel(), 1))
    factor, shift = (1.0 if abs(factor - 1) < 1e-3 else factor), (0.0 if abs(shift) < 1e-2 else shift)
    words = [f"a factor of {factor:g}"] * (factor != 1) + [f"a shift by {shift:g}"] * (shift != 0)
    return {" and ".join(words): lambda y: factor * y + shift} if words else {}


def _alike(actual: np.ndarray, value: np.ndarray, end: str = "", least: float = 1e-7) -> bool:
    """The same up to what float32 loses, which is measured by the largest number of a row."""
    if actual.shape != value.shape or not actual.size:
        return False
    value = value.astype(np.float32).astype(float)  # what overflows there, overflows here
    size = np.where(np.isfinite(value), np.abs(value), 0)
    if end.startswith("an exp"):
        room = 1e-2 * size + 1e-3
    else:
        largest = size.reshape(len(size), -1).max(1).reshape(-1, *[1] * (size.ndim - 1))
        # what stands at the end may make differences of large numbers seem large
        room = 1e-4 * (size + 0.5 * largest) + (5e-3 if end else least)
    return bool(((actual == value) | (np.abs(actual - value) <= room)).all())


def _plans(
    known: Sequence[Known], used: Sequence[bool], width: int, labels: int
) -> Iterator[tuple[Stage, ...]]:
    """Every order of all used weights in which each takes what the one before it gives, with biases."""
    shapes = [tuple(one.value.shape) for one in known]
    is_bias = [math.prod(shape) == max(shape, default=1) for shape in shapes]
    weights = tuple(place for place, bias in enumerate(is_bias) if used[place] and not bias)
    biases = [place for place, bias in enumerate(is_bias) if used[place] and bias]
    for stages in _orders(shapes, weights, (width, labels, False)):
        takers = [[i for i, s in enumerate(stages) if s.out == math.prod(shapes[place])] for place in biases]
        for taken in itertools.product(*takers):
            yield tuple(
                replace(stage, biases=tuple(p for p, at in zip(biases, taken, strict=True) if at == i))
                for i, stage in enumerate(stages)
            )


Shapes = Sequence[tuple[int, ...]]


State = tuple[int, int, bool]  # how many numbers go in next, or maps of so many channels; the label's width


def _orders(shapes: Shapes, places: tuple[int, ...], state: State) -> Iterator[tuple[Stage, ...]]:
    """The orders of these weights in which each fits what comes before it."""
    if not places:
        yield ()
    for place in places:
        rest = tuple(other for other in places if other != place)
        for stage, left, after in _stages(shapes, place, rest, state):
            yield from ((stage, *later) for later in _orders(shapes, left, after))


def _stages(
    shapes: Shapes, place: int, rest: tuple[int, ...], state: State
) -> Iterator[tuple[Stage, tuple[int, ...], State]]:
    """What the weight at this place may do next, the weights that are left, and what comes out."""
    shape, (width, labels, maps) = shapes[place], state
    if len(shape) == 4:
        for stage in _convolutions(place, shape, width, maps):
            yield stage, rest, (stage.out, labels, True)
    elif len(shape) == 2 and not maps:
        for turned, (out, into) in ((False, shape), (True, shape[::-1])):
            stage, after = Stage(place, out, turned=turned), (out, labels, False)
            if into == width:
                yield stage, rest, after
                for apart in _apart(shapes, rest, out, labels):
                    left = tuple(one for one in rest if one != apart[0])
                    yield replace(stage, apart=apart), left, after
            if labels and into == width + labels:
                yield from ((replace(stage, joins=joins), rest, after) for joins in (1, -1))
            if labels and into == labels and any(width + out in shapes[one] for one in rest):
                yield replace(stage, kind="label"), rest, (width, out, False)


def _convolutions(place: int, shape: tuple[int, ...], width: int, maps: bool) -> Iterator[Stage]:
    for kind, into, out in (("transposed", shape[0], shape[1]), ("convolution", shape[1], shape[0])):
        side = math.isqrt(max(width // into, 1))
        if into == width if maps else into * side * side == width:
            for upsampling in ("",) if kind == "transposed" else ("", "nearest", "bilinear"):
                yield Stage(place, out, kind, upsampling=upsampling)


def _apart(shapes: Shapes, rest: tuple[int, ...], out: int, labels: int) -> Iterator[tuple[int, bool]]:
    """The weights that may take the label alone, and whether they are turned."""
    for other in rest if labels else ():
        for turned in (False, True):
            if shapes[other][:: -1 if turned else 1] == (out, labels):
                yield other, turned


# --- findings -------------------------------------------------------------------------------------------


class Networks:
    """What the models of an answer make of the cases; `names` says what messages call each output, and
    `asked` how many numbers each of its layers should give."""

    def __init__(
        self,
        seed: int,
        evidence: Evidence,
        cases: Mapping[str, Case],
        asked: Mapping[str, tuple[str, list[int]]],
    ) -> None:
        self.seed, self.evidence, self.cases = seed, evidence, cases
        self.names = {key: name for key, (name, _) in asked.items()}
        self.asked = {key: sizes for key, (_, sizes) in asked.items()}
        self.known = parameters(seed, evidence, "main")
        self.reasons: dict[str, str] = {}  # why an output was explained by its evidence of another kind
        self.ways = {key: self._way(key) for key in asked}
        self.first = next((self.unknown(key) for key, way in self.ways.items() if not way), "")

    def given(self, key: str, case: str = "main") -> Given:
        return Given.of(self.cases[case], self.cases[case].calls[key])

    def _way(self, key: str) -> Way | None:
        """The way to an output; where none is found, that in evaluation mode, or that of one image alone."""
        given, used = self.given(key), self.used(key)
        kinds = {f"{key} main": ("", given), f"calm {key} main": (DROPOUT, given)}
        if self._mixed(key):
            kinds[f"alone {key}"] = (MIXED, given.first(1))
        for place, (self.reasons[key], rows) in kinds.items():
            if not problem_with(self.evidence, place) and any(used):
                way = explain(self.evidence[place], self.known, used, rows)
                if way:
                    return way
        return None

    def _mixed(self, key: str) -> bool:
        """Does the first image alone give something else than in its batch?"""
        places = f"alone {key}", f"{key} main"
        problems = [problem_with(self.evidence, place) for place in places]
        if problem_with(self.evidence, STEADY) == AGAIN or any(problems):
            return False
        alone, whole = (self.evidence[place] for place in places)
        return whole.ndim > 0 and not _alike(alone, whole[:1])

    def used(self, key: str) -> list[bool]:
        """On which parameters an output depends, as far as was seen."""
        place = f"used {key}"
        if problem_with(self.evidence, place) or self.evidence[place].shape != (len(self.known),):
            return []
        return [bool(one) for one in self.evidence[place]]

    def inside(self, key: str) -> str:
        """What is wrong with an output before its end, or ''."""
        way = self.ways[key]
        if not way:
            return self.unknown(key)
        hint = way.hint(self.known, self.given(key), len(self.asked[key]) - 1)
        return self.reasons[key] or hint or (SHARED if self._shares(key) else "")

    def _shares(self, key: str) -> bool:
        """Does decode use a weight of encode?"""
        weights = {one: set(_weights(way)) for one, way in self.ways.items() if way}
        own = weights.pop(key)
        return key == "logits" and any(own & others for others in weights.values())

    def end(self, key: str) -> str:
        """What stands at the end of an output, or ''."""
        way = self.ways[key]
        if not way:
            return self.unknown(key)
        return way.form or way.at_end(self.names[key]) or (self._shape(key) if way.form is None else "")

    def whole(self, key: str) -> str:
        """Both."""
        return " ".join(dict.fromkeys(filter(None, (self.inside(key), self.end(key)))))

    def _shape(self, key: str) -> str:
        """A wrong shape, unless it is that of another latent size, or ''."""
        found, way = self.evidence[f"{key} main"].shape, self.ways[key]
        right = len(self.given(key).rows), *((1, 28, 28) if self._image(key) else self.asked[key][-1:])
        if found == right or (way and found == (right[0], way.sizes[-1])):
            return ""
        return f"The shape of {self.names[key]} is {found}; expected {right}."

    def _image(self, key: str) -> bool:
        return self.asked[key][-1] in (1, 784)

    def unknown(self, key: str) -> str:
        """What can be said of an output that no way explains."""
        name, place = self.names[key], f"{key} main"
        problem = problem_with(self.evidence, place) or problem_with(self.evidence, f"used {key}")
        if problem:
            return with_question(problem, len(self.given(key).rows))
        complaint, shape = problem_with(self.evidence, STEADY), self._shape(key)
        if shape and not (self._image(key) and self.evidence[place].shape[1:] == (784,)):
            return shape
        used = zip(self.known, self.used(key), strict=False)
        weights = [" x ".join(map(str, one.value.shape)) for one, part in used if part and one.value.ndim > 1]
        if complaint in (AGAIN, CHANGED, DROPOUT):
            few = len(weights) < len(self.asked[key]) and complaint == AGAIN
            return complaint + FEW.format(len(weights), len(self.asked[key])) * few
        if not weights:
            return f"No weight of the model plays a part in {name}: are its layers out of torch's sight?"
        others = self.evidence.get(f"others {key}", np.array(""))
        if others.dtype.kind == "U" and others.item():
            return f"On the way to {name} stand layers of other kinds: {others.item()}."
        found = ", ".join(weights)
        mixed = MIXED if self._mixed(key) else f"Linear layers and ReLU alone do not give {name}."
        return f"{mixed} Weights of {found} play a part."

    # Each of these is a hint that fits all outputs that could be explained.

    def sizes(self) -> str:
        for key, way in self.ways.items():
            if way and len(way.sizes) == len(self.asked[key]) and way.sizes != self.asked[key]:
                found, asked = (", ".join(map(str, sizes)) for sizes in (way.sizes, self.asked[key]))
                return f"The layers up to {self.names[key]} give {found} numbers; asked for are {asked}."
        return self._any()

    def kernels(self, key: str) -> str:
        """What is wrong with kernel, stride and padding of the convolutions."""
        way = self.ways[key]
        stages = [stage for stage in way.stages if stage.kind == "transposed"] if way else []
        for one in (self.known[stage.weight] for stage in stages):
            kernel = one.value.shape[-1], *one.geometry
            if kernel != (4, 2, 1, 0):
                found = "kernel {}, stride {}, padding {} and output padding {}".format(*kernel)
                return f"A transposed convolution has {found}; asked for are 4, 2, 1 and 0."
        return self._any()

    def batches(self) -> str:
        """Do the other cases go the same ways?"""
        for case in self.cases:
            known = parameters(self.seed, self.evidence, case)
            for key, way in self.ways.items():
                if case == "main" or not way or self.reasons[key] or way.sizes[-1] != self.asked[key][-1]:
                    continue
                hint = self._same_way(key, case, way, known)
                if hint:
                    return f"With {case}, {self.names[key]}: {hint}"
        return self._any()

    def _same_way(self, key: str, case: str, way: Way, known: Sequence[Known]) -> str:
        given, problem = self.given(key, case), problem_with(self.evidence, f"{key} {case}")
        if problem:
            return with_question(problem, len(given.rows))
        try:
            value = way.value(known, given)
        except (RuntimeError, IndexError):
            return "its parameters are others than those of the first batch."
        found = self.evidence[f"{key} {case}"]
        if way.form is None and self._image(key):
            found = found.reshape(len(found), -1)
        if found.shape != value.shape:
            return f"its shape is {found.shape}; expected {value.shape}."
        alike = _alike(found, value, way.end, 2e-3)  # a lone number may be a small difference of large ones
        return "" if alike else "its numbers are not those of the same network."

    def gradients(self) -> str:
        for key in (key for key, way in self.ways.items() if way):
            if not is_fact(self.evidence, f"gradients {key}", self.seed, "", 0, "").holds:
                problem = problem_with(self.evidence, f"gradients {key}")
                return problem or f"{self.names[key]}: {CUT_OFF}"
        return self._any()

    def _any(self) -> str:
        """'' where at least one output is explained: of others nothing holds."""
        return "" if any(self.ways.values()) else self.first


def judge_vae(
    seed: int, evidence: Evidence, cases: Mapping[str, Case], claims: Mapping[str, str]
) -> list[Finding]:
    """The findings on a VAE, conditional or not, whose encode gives mu and logvar."""
    latent_dim = cases["main"].sizes[0]
    heads = {key: (key, [512, 256, latent_dim]) for key in ("mu", "logvar")}
    found = Networks(seed, evidence, cases, heads | {"logits": ("the logits", [256, 512, 784])})
    batches = found.batches()
    if "without the last class" in batches and "cannot be multiplied" in batches:
        batches += ". Does F.one_hot know the number of classes?"
    return [
        unless(claims["trunk"], 0.75, _trunk(found)),
        unless("a linear layer each leads on to mu and logvar, with nothing after it", 0.75, _heads(found)),
        unless(claims["decode"], 1.5, found.whole("logits")),
        unless(claims["sizes"], 1, found.sizes()),
        unless(claims["batches"], 0.5, batches),
        unless("gradients reach all weights and the codes", 0.5, found.gradients()),
    ]


def _trunk(found: Networks) -> str:
    """What is wrong with the hidden layers of the encoder."""
    mu, logvar = found.ways["mu"], found.ways["logvar"]
    explained = [key for key in ("mu", "logvar") if found.ways[key]]
    if not explained:
        return found.unknown("mu")
    if mu and logvar and _weights(mu) == _weights(logvar)[: len(mu.stages)] != _weights(logvar):
        return found.inside("mu")  # logvar comes out of mu: that is said of the heads
    hint = next(filter(None, map(found.inside, explained)), "")
    if not hint and mu and logvar and _weights(mu)[:-1] != _weights(logvar)[:-1]:
        return "mu and logvar come through hidden layers of their own: one encoder leads to both heads."
    return hint


def _heads(found: Networks) -> str:
    """What is wrong with the two heads, whatever stands before them."""
    mu, logvar = found.ways["mu"], found.ways["logvar"]
    if mu and not logvar and not problem_with(found.evidence, "logvar main"):
        place = mu.stages[-1].weight
        if not mu.cut and found.used("logvar")[place]:
            return "logvar depends on the layer that gives mu: each comes out of a layer of its own."
    for key, way in (("mu", mu), ("logvar", logvar)):
        harmless = key == "logvar" and way and _wide(way.end)
        if way is None or (way.end and not harmless):
            return found.end(key)
    if mu is None or logvar is None:
        return ""
    if _weights(mu) == _weights(logvar)[: len(mu.stages)] != _weights(logvar):
        return "logvar comes out of mu, through one more layer: it takes the same hidden units as mu."
    one, two = mu.stages[-1], logvar.stages[-1]
    if (one.weight, mu.cut) == (two.weight, logvar.cut):
        return "mu and logvar are the same numbers: they need a layer each."
    if (found.known[one.weight].says, found.known[two.weight].says) == (2, 1):
        return "mu and logvar have changed places: `encode` returns mu first."
    if {mu.cut, logvar.cut} in ({"low", "even"}, {"low", "odd"}, {"high", "even"}, {"high", "odd"}):
        return "mu and logvar mix the outputs of one layer."
    return ""


def _weights(way: Way) -> list[int]:
    return [stage.weight for stage in way.stages]


def _wide(end: str) -> bool:
    """Is this a bound so far away that no variance in use meets it?"""
    bounds = [float(word) for word in re.findall(r"-?\d[\d.]*", end)]
    bounded = ("a clamp", "a bound", "All lies between", "Nothing lies")
    return end.startswith(bounded) and all(abs(bound) >= 20 for bound in bounds)


def with_question(problem: str, n: int) -> str:
    """The problem; where a shape begins with another number than that of the images, with a question."""
    fixed = re.search(r"shape '\[(\d+), .*' is invalid for input of size", problem)
    if fixed and int(fixed[1]) != n:
        return f"{problem}. Is the number of images written into a shape? Let -1 stand there."
    return problem

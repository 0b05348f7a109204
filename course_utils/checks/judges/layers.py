"""Networks with weights that the judge knows without having seen them.

A probe has given every parameter numbers of its own (see the probes' `layers`). Here the same numbers are
drawn, and it is searched which way from the inputs gives what the model answered (`explain`): which weights
in which order, what stands between them and at the end, with at most one mistake of each kind. A way found
can be gone again with other inputs (`Way.value`), and says what is wrong with it (`Way.hint`).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.judges.core import Finding, is_fact, problem_with, unless
from course_utils.checks.judges.diagnoser import Change, Seen, changed, diagnose
from course_utils.checks.probes.evidence import AGAIN, CHANGED, STEADY, Evidence
from course_utils.checks.probes.layers import DROPOUT, Case, Known, numbers

Map = Callable[[Tensor], Tensor]

MOST = 12_000_000  # numbers in all parameters together; what is asked for has 1.1 million
SHARED = "decode uses a weight of encode once more: each layer has weights of its own."
AS_FAR = "with latent_dim = {}, the layers asked for that are there give as many numbers as asked for"
FEW = " Only {} of {} layers of the model play a part: is one made anew in every call?"
MIXED = "What an image gives depends on the other images of the batch: where do they meet?"
CUT_OFF = "A gradient does not reach all that it should: is something detached, rounded, or under no_grad?"
HIDDEN = "Torch does not find all weights: a plain list hides layers, and a plain tensor is no nn.Parameter."
NO_LABEL = "The label is not used: encoder and decoder both need it."
LATE = "The label joins after the first layer: it joins what goes in, and nothing else."
THROUGH = "The label goes through a layer before it joins: join it one-hot."


def parameters(seed: int, evidence: Evidence, case: str) -> list[Known]:
    """The parameters of one case's model, in float64."""
    if problem_with(evidence, f"parameters {case}"):
        return []
    rows = evidence[f"parameters {case}"].astype(int).tolist()
    shapes = [tuple(side for side in row[5:] if side) for row in rows]
    if sum(map(math.prod, shapes)) > MOST or len(rows) > 99:
        return []
    return [
        Known(numbers(seed, place, shape).double(), bool(registered), says, tuple(geometry))
        for place, ((registered, says, *geometry), shape) in enumerate(
            zip((row[:5] for row in rows), shapes, strict=True)
        )
    ]


# --- what may stand on the way --------------------------------------------------------------------------


def same(x: Any) -> Any:
    return x


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))  # no overflow far from 0


BENDS: dict[str, Map] = {
    "a ReLU": F.relu,
    "nothing": same,
    "a sigmoid": torch.sigmoid,
    "a tanh": torch.tanh,
    **{f"a leaky ReLU ({a})": partial(F.leaky_relu, negative_slope=a) for a in (0.01, 0.1, 0.2)},
    "a softplus": F.softplus,
    "an ELU": F.elu,
    "a GELU": F.gelu,
    "a SiLU": F.silu,
}
ENDS: dict[str, Map] = {
    "": same,
    **{name: bend for name, bend in BENDS.items() if name != "nothing"},
    "a softmax": partial(F.softmax, dim=1),
    "an exp": torch.exp,
    "an exp of the half": lambda y: (y / 2).exp(),
    "a minus softplus": lambda y: -F.softplus(y),
}
TURNED = "Rows and columns of the image are swapped."
STARTS: dict[str, Map] = {
    TURNED: lambda x: x.view(-1, 28, 28).mT.flatten(1) if x.shape[1] == 784 else x,  # codes have no rows
    "What comes in is multiplied by 255: take it as it is.": lambda x: 255 * x,
    "What comes in is divided by 255: take it as it is.": lambda x: x / 255,
    "What comes in is doubled, less 1, as if moved to -1 to 1: take it as it is.": lambda x: 2 * x - 1,
    "The mean 0.1307 of MNIST is taken off: take what comes in as it is.": lambda x: (x - 0.1307) / 0.3081,
    "What comes in is made 0 or 1, as if black or white: take it as it is.": lambda x: (x > 0.5).double(),
    **{
        f"There is {name} before the first layer: it goes in as it is.": BENDS[name]
        for name in ("a ReLU", "a sigmoid", "a tanh")
    },
    **{
        f"What comes in is kept between -{a} and {a}: take it as it is.": partial(torch.clamp, min=-a, max=a)
        for a in range(1, 6)
    },
}
LABELS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "": lambda y, c: torch.eye(c)[y],
    "The label joins as a single number, but classes have no order: use one-hot.": lambda y, c: y[:, None],
    "The label joins as a single number between 0 and 1: use one-hot.": lambda y, c: y[:, None] / c,
    "The classes are counted from 1: class 0 has no place.": lambda y, c: F.pad(torch.eye(c), (0, 0, 1, 0))[
        y
    ],
    "There is room for 10 labels, whatever num_classes is.": lambda y, c: torch.eye(max(10, c))[y],
    "Every row gets the label of the first image.": lambda y, c: torch.eye(c)[y[:1]].expand(len(y), -1),
    "The label is one class too far: classes count from 0.": lambda y, c: torch.eye(c)[(y + 1) % c],
    "One class has no place of its own: the label has num_classes numbers.": lambda y, c: torch.eye(c)[y, 1:],
    "The label itself stands in its place: one-hot means 0 and 1.": lambda y, c: torch.eye(c)[y] * y[:, None],
    "The label goes through a softmax: one-hot means 0 and 1.": lambda y, c: torch.eye(c)[y].softmax(1),
    "The label joins as a single number, repeated: use one-hot.": lambda y, c: y[:, None].repeat(1, c) / c,
    "The label is smoothed by 0.1: one-hot means 0 and 1.": lambda y, c: 0.9 * torch.eye(c)[y] + 0.1 / c,
}


def _maps(h: Tensor, channels: int, last: bool = False) -> Tensor:
    """(N, channels * side * side) as square maps, read in torch's order or with the channels last."""
    side = math.isqrt(h.shape[1] // channels)
    if last:
        return h.reshape(-1, side, side, channels).permute(0, 3, 1, 2)
    return h.reshape(-1, channels, side, side)


FOLDS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "": _maps,
    "Height and width of the maps are swapped.": lambda h, c: _maps(h, c).mT,
    "Channels are read last; the order is channels, height, width.": lambda h, c: _maps(h, c, True),
    "Channels are read last, and height and width are swapped too.": lambda h, c: _maps(h, c, True).mT,
}
FORMS: dict[str, Map] = {  # rows of pixels, as a model may return them
    "": lambda flat: flat.reshape(-1, 1, 28, 28),
    "These are rows of pixels and no images: give them the shape (N, 1, 28, 28).": same,
    "The channel is missing: the shape is (N, 1, 28, 28).": lambda flat: flat.reshape(-1, 28, 28),
    "The channel stands last: the shape is (N, 1, 28, 28).": lambda flat: flat.reshape(-1, 28, 28, 1),
    TURNED: lambda flat: flat.reshape(-1, 1, 28, 28).mT,
}
CUTS: dict[str, Map] = {  # out of a layer of twice the width
    "": same,
    "low": lambda y: y[:, : y.shape[1] // 2],
    "high": lambda y: y[:, y.shape[1] // 2 :],
    "even": lambda y: y[:, ::2],
    "odd": lambda y: y[:, 1::2],
}

# --- ways ---------------------------------------------------------------------------------------------


class Given(NamedTuple):
    """A model's parameters and what goes in, in float64: rows (N, D), and the label as it joins them by hint,
    (N, classes) or what a mistake makes of it."""

    known: Sequence[Known]
    rows: Tensor
    labels: Mapping[str, Tensor]


Part = tuple[int, bool]  # the place of a weight, and whether it is stored as (in, out)


@dataclass(frozen=True)
class Stage:
    """What one weight does on a way, with its biases and the activation behind it.

    `kind` is 'linear', 'label' (a layer for the label alone), 'transposed' or 'convolution'. The label may
    stand behind (`joins` 1) or before (-1) what comes in; it may have a weight of its own, the second part.
    Before a convolution may stand an upsampling.
    """

    parts: tuple[Part, ...]
    out: int
    kind: str = "linear"
    joins: int = 0
    upsampling: str = ""
    biases: tuple[int, ...] = ()
    bend: str = "nothing"

    @property
    def weight(self) -> int:
        return self.parts[0][0]

    def linear(self, h: Tensor, known: Sequence[Known]) -> Tensor:
        """(N, in) to (N, out)"""
        values = [known[place].value if turned else known[place].value.T for place, turned in self.parts]
        parts = zip(h.split([len(value) for value in values], 1), values, strict=True)
        return sum((part @ value for part, value in parts), torch.zeros(1))

    def convolved(self, h: Tensor, known: Known) -> Tensor:
        stride, padding, outer = known.geometry
        if self.kind == "transposed":
            return F.conv_transpose2d(h, known.value, None, stride, padding, outer)
        if self.upsampling:
            h = F.interpolate(h, scale_factor=2, mode=self.upsampling)
        return F.conv2d(h, known.value, None, stride, padding)


def between(stage: Stage, then: Stage) -> str:
    """The activation that should stand between two: a ReLU, but nothing where a list becomes maps."""
    becomes_maps = stage.kind == "linear" and then.kind in ("transposed", "convolution")
    return "nothing" if becomes_maps or stage.kind == "label" else "a ReLU"


@dataclass(frozen=True)
class Way:
    """How an output comes about. Strings are hints or names of what is not as asked for, '' for what is."""

    stages: tuple[Stage, ...]
    form: str | None  # None for rows that are no images
    start: str = ""
    label: str = ""
    fold: str = ""
    cut: str = ""
    end: str = ""
    change: Map = same  # what `end` does

    def raw(self, given: Given) -> Tensor:
        """What the last weight gives: (N, D)."""
        h, label = STARTS.get(self.start, same)(given.rows), given.labels[self.label]
        for stage in self.stages:
            bias = sum((given.known[place].value.flatten() for place in stage.biases), torch.zeros(1))
            if stage.kind == "label":
                label = stage.linear(label, given.known) + bias
                continue
            if stage.kind == "linear":
                h = torch.cat([h, label][:: stage.joins], 1) if stage.joins else h
                h = stage.linear(h, given.known) + bias
            else:
                weight = given.known[stage.weight]
                channels = weight.value.shape[stage.kind == "convolution"]
                h = FOLDS[self.fold](h, channels) if h.ndim == 2 else h
                h = stage.convolved(h, weight) + bias.view(-1, 1, 1)
            h = BENDS[stage.bend](h)
        return h.flatten(1)

    def value(self, given: Given) -> np.ndarray:
        """What the network gives, in its shape."""
        rows = self.change(CUTS[self.cut](self.raw(given)))
        return (rows if self.form is None else FORMS[self.form](rows)).numpy()

    @property
    def weights(self) -> list[int]:
        return [stage.weight for stage in self.stages]

    @property
    def hidden(self) -> list[int]:
        """Which stages have an activation behind them."""
        return [i for i, stage in enumerate(self.stages[:-1]) if stage.kind != "label"]

    @property
    def sizes(self) -> list[int]:
        """How many numbers come out of each layer; of convolutions, channels."""
        last = self.stages[-1].out
        return [*(self.stages[i].out for i in self.hidden), last // 2 if self.cut else last]

    def bent(self, places: Sequence[int], bend: str) -> Way:
        """The way with this activation in these places."""
        stages = (replace(stage, bend=bend) if i in places else stage for i, stage in enumerate(self.stages))
        return replace(self, stages=tuple(stages))

    def hint(self, given: Given, name: str, inside: int) -> str:
        """What is wrong before the end of the output of this name, where `inside` layers should stand before
        the last one; but for their sizes."""
        places = [place for stage in self.stages for place in (stage.weight, *stage.biases)]
        if not all(given.known[place].registered for place in places):
            return HIDDEN
        kinds, joins = {stage.kind for stage in self.stages}, [stage.joins != 0 for stage in self.stages]
        if "label" in kinds:
            return THROUGH
        if len(given.labels) > 1 and not any(joins):
            return NO_LABEL
        if any(joins[1:]):
            return LATE
        if self.start or self.label:
            return self.start or self.label
        if len(self.hidden) != inside:
            sizes = ", ".join(map(str, self.sizes))
            asked = f"{inside + 1} layers one after the other should lead to {name}"
            return f"{asked}; here they give {sizes} numbers."
        if "convolution" in kinds:
            before = "An upsampling before it, a" if any(stage.upsampling for stage in self.stages) else "A"
            return f"{before} convolution stands in place of a transposed one."
        return self._bent() or self.fold

    def _bent(self) -> str:
        """What is wrong with the activations inside."""
        pairs = [(self.stages[i].bend, between(*self.stages[i : i + 2])) for i in self.hidden]
        off = [(place, *pair) for place, pair in enumerate(pairs, 1) if pair[0] != pair[1]]
        if len(off) == len(pairs) > 1 and {asked for *_, asked in off} == {"a ReLU"}:
            if off[0][1] == "nothing":
                return "Nothing stands between the layers: put a ReLU after each hidden one."
            return f"The activation inside is {off[0][1]}, not a ReLU."
        hints = []
        for place, found, asked in off:
            where = f"fter layer {place} of {len(pairs) + 1}"
            if found == "nothing":
                hints.append(f"The ReLU a{where} is missing.")
            elif asked == "nothing":
                hints.append(f"A{where} stands {found}: nothing stands between it and the convolutions.")
            else:
                hints.append(f"A{where} stands {found}, not a ReLU.")
        return " ".join(hints)

    def at_end(self, name: str) -> str:
        """What stands after the last layer of the output of this name."""
        if self.end.startswith(("a ", "an ")):
            return f"There is {self.end} on {name}: nothing should stand after the last layer."
        return f"Of {name}: {self.end}" if self.end else ""


# --- the search -----------------------------------------------------------------------------------------


def explain(actual: np.ndarray, used: Sequence[bool], given: Given) -> Way | None:
    """The way that gives `actual`, of those that go through all used parameters one with the fewest
    mistakes; None where none does."""
    if actual.ndim < 2 or len(actual) != len(given.rows):
        return None
    rows = torch.zeros(len(actual), 784)
    form = next((form for form, shaped in FORMS.items() if shaped(rows).shape == actual.shape), None)
    for way in _ways(used, given, form):
        flat, raw = _flat(actual, way.form), way.raw(given)
        for cut in (cut for cut, part in CUTS.items() if part(raw).shape == flat.shape):
            rows = CUTS[cut](raw)
            # An end keeps the largest the largest, or makes it the least: this alone refuses most.
            first, top = flat[0], flat[0, int(rows[0].argmax())]
            if 1e-3 * np.ptp(first) < top - first.min() < 0.999 * np.ptp(first):
                continue
            for end, change in (ENDS | _bounds(flat) | _line(rows.numpy(), flat)).items():
                if _alike(flat, change(rows).numpy(), end):
                    return replace(way, cut=cut, end=end, change=change)
    for way in _plain(used, given, form)[:4]:
        if found := diagnose([Seen(_flat(actual, form), way.raw(given).numpy())], 1e-3):
            return replace(way, end=found[0], change=partial(_changed, found[1]))
    return None


def _flat(actual: np.ndarray, form: str | None) -> np.ndarray:
    """What was returned in this form as rows (N, D)."""
    return (actual.swapaxes(2, 3) if form == TURNED else actual).reshape(len(actual), -1)


def _changed(change: Change, rows: Tensor) -> Tensor:
    return torch.as_tensor(changed(change, rows.numpy(), {}).copy())  # torch takes no array turned round


def _plain(used: Sequence[bool], given: Given, form: str | None, label: str = "") -> list[Way]:
    """The ways through the used parameters without a mistake, but for how the label joins."""
    plans = _plans(given.known, used, given.rows.shape[1], given.labels[label].shape[1])
    return [Way(stages, form, label=label) for stages in itertools.islice(plans, 24)]


def _ways(used: Sequence[bool], given: Given, form: str | None) -> Iterator[Way]:
    """All ways through the used parameters, those without a mistake first, then those with one."""
    plain = _plain(used, given, form)
    yield from plain
    for way in plain:
        for bend in BENDS:
            yield from (way.bent(places, bend) for places in (way.hidden, *([i] for i in way.hidden)))
        yield from (replace(way, start=start) for start in STARTS)
        if any(stage.kind != "linear" for stage in way.stages):
            yield from (replace(way, fold=fold) for fold in FOLDS)
            yield way.bent(way.hidden[:1], "a ReLU").bent(way.hidden[1:], "nothing")
        if form == "":
            yield replace(way, form=TURNED)
    for label in given.labels:
        yield from _plain(used, given, form, label)


def _bounds(actual: np.ndarray) -> dict[str, Map]:
    """That nothing lies beyond the least and the largest that was seen."""
    low, high = float(actual.min(initial=0)), float(actual.max(initial=0))
    return {
        f"a bound of {low:.4g} below": lambda y: y.clamp(min=low),
        f"a bound of {high:.4g} above": lambda y: y.clamp(max=high),
        f"a clamp to {low:.4g} and {high:.4g}": lambda y: y.clamp(low, high),
    }


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
    weights = [place for place, bias in enumerate(is_bias) if used[place] and not bias]
    biases = [place for place, bias in enumerate(is_bias) if used[place] and bias]
    for stages in _orders(shapes, weights, (width, labels, False)):
        takers = [[stage for stage in stages if stage.out == math.prod(shapes[bias])] for bias in biases]
        for taken in itertools.product(*takers):
            of = list(zip(biases, taken, strict=True))
            yield tuple(replace(one, biases=tuple(bias for bias, its in of if its is one)) for one in stages)


Shapes = Sequence[tuple[int, ...]]
State = tuple[int, int, bool]  # how many numbers go in next, or maps of so many channels; the label's width


def _orders(shapes: Shapes, places: Sequence[int], state: State) -> Iterator[tuple[Stage, ...]]:
    """The orders of these weights in which each fits what comes before it; nothing stands after the last."""
    width, labels, maps = state
    for stage in itertools.chain(_convolutions(shapes, places, state), _layers(shapes, places, state)):
        left = [place for place in places if place not in dict(stage.parts)]
        if not left:
            yield (stage,)
            continue
        if stage.kind == "label":
            after = width, stage.out, maps
        else:
            after = stage.out, labels, stage.kind != "linear"
        for later in _orders(shapes, left, after):
            yield replace(stage, bend=between(stage, later[0])), *later


def _layers(shapes: Shapes, places: Sequence[int], state: State) -> Iterator[Stage]:
    """The linear layers that may stand next."""
    width, labels, maps = state
    flat = [] if maps else [place for place in places if len(shapes[place]) == 2]
    matrices: list[tuple[Part, int, int]] = []  # with how many numbers go in and come out
    for place in flat:
        first, second = shapes[place]
        matrices += [((place, False), second, first), ((place, True), first, second)]
    for part, into, out in matrices:
        if into == width:
            yield Stage((part,), out)
            for other, label, same_out in matrices:
                if (label, same_out) == (labels, out) and other[0] != part[0]:
                    yield Stage((part, other), out, joins=1)
        if labels and into == width + labels:
            yield from (Stage((part,), out, joins=joins) for joins in (1, -1))
        if into == labels and any(width + out in shapes[one] for one in flat):
            yield Stage((part,), out, "label")


def _convolutions(shapes: Shapes, places: Sequence[int], state: State) -> Iterator[Stage]:
    """The convolutions that may stand next."""
    width, _, maps = state
    for place in (place for place in places if len(shapes[place]) == 4):
        first, second, *_ = shapes[place]
        for kind, into, out in (("transposed", first, second), ("convolution", second, first)):
            side = math.isqrt(max(width // into, 1))
            if into == width if maps else into * side * side == width:
                for upsampling in ("", "nearest", "bilinear") if kind == "convolution" else ("",):
                    yield Stage(((place, False),), out, kind, upsampling=upsampling)


# --- findings -------------------------------------------------------------------------------------------


class Networks:
    """What the models of an answer make of the cases; `asked` says what messages call each output, and how
    many numbers each of its layers should give."""

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
        self.known = {case: parameters(seed, evidence, case) for case in cases}
        self.reasons: dict[str, str] = {}  # why an output was explained by its evidence of another kind
        self.ways = {key: self._way(key) for key in asked}

    def given(self, key: str, case: str = "main", n: int | None = None) -> Given:
        """What is given to the call of an output; where `n` is, the first n rows of it."""
        first, *label = self.cases[case].calls[key].args
        rows, classes = first.double().flatten(1)[:n], self.cases[case].sizes[-1]
        labels = {hint: joined(label[0][:n], classes).double() for hint, joined in LABELS.items() if label}
        return Given(self.known[case], rows, labels or {"": rows[:, :0]})

    def _way(self, key: str) -> Way | None:
        """The way to an output; where none is found, that in evaluation mode, or that of one image alone."""
        used, whole = self.used(key), f"{key} main"
        if problem_with(self.evidence, whole) or not any(used):
            return None
        kinds: list[tuple[str, str, int | None]] = [("", whole, None), (DROPOUT, f"calm {whole}", None)]
        first, alone = np.atleast_1d(self.evidence[whole])[:1], self.evidence[f"alone {key}"]
        if problem_with(self.evidence, STEADY) != AGAIN and not _alike(first, alone):
            kinds.append((MIXED, f"alone {key}", 1))
        for self.reasons[key], place, n in kinds:
            given, known = self.given(key, n=n), not problem_with(self.evidence, place)
            if known and (way := explain(self.evidence[place], used, given)):
                return way
        return None

    def used(self, key: str) -> list[bool]:
        """On which parameters an output depends, as far as was seen."""
        return [] if problem_with(self.evidence, f"used {key}") else self.evidence[f"used {key}"].tolist()

    def inside(self, key: str) -> str:
        """What is wrong with an output before its end, or ''."""
        way = self.ways[key]
        if not way:
            return self.unknown(key)
        hint = way.hint(self.given(key), self.names[key], len(self.asked[key]) - 1)
        others = {place for one, way in self.ways.items() if one != key and way for place in way.weights}
        shares = key == "logits" and not others.isdisjoint(way.weights)
        return self.reasons[key] or hint or SHARED * shares

    def end(self, key: str) -> str:
        """What stands at the end of an output, or ''."""
        way = self.ways[key]
        if not way:
            return self.unknown(key)
        shape = self._shape(key) if way.form is None else way.form
        return " ".join(filter(None, (shape, way.at_end(self.names[key]))))

    def whole(self, key: str) -> str:
        """Both."""
        return " ".join(dict.fromkeys(filter(None, (self.inside(key), self.end(key)))))

    def _shape(self, key: str) -> str:
        """A wrong shape, unless it is that of another latent size, or ''."""
        found, way = self.evidence[f"{key} main"].shape, self.ways[key]
        right = len(self.given(key).rows), *((1, 28, 28) if key == "logits" else self.asked[key][-1:])
        if found == right or (way and found == (right[0], way.sizes[-1])):
            return ""
        return f"The shape of {self.names[key]} is {found}; expected {right}."

    def unknown(self, key: str) -> str:
        """What can be said of an output that no way explains."""
        name, place = self.names[key], f"{key} main"
        if problem := problem_with(self.evidence, place) or problem_with(self.evidence, f"used {key}"):
            return with_question(problem, len(self.given(key).rows))
        if shape := self._shape(key):
            return shape
        used = zip(self.known["main"], self.used(key), strict=False)
        weights = [" x ".join(map(str, one.value.shape)) for one, part in used if part and one.value.ndim > 1]
        complaint, asked = problem_with(self.evidence, STEADY), len(self.asked[key])
        if complaint in (AGAIN, CHANGED, DROPOUT):
            return complaint + FEW.format(len(weights), asked) * (complaint == AGAIN and len(weights) < asked)
        if not weights:
            return f"No layer of the model makes {name}: is it fixed, or are its layers out of torch's sight?"
        others = problem_with(self.evidence, "others")
        besides = f" Layers of other kinds, not asked for, are part of the model: {others}." if others else ""
        found = ", ".join(weights)
        given = self.given(key)
        takes = given.rows.shape[1] + given.labels[""].shape[1]
        if not any(takes in one.value.shape[:2] for one in self.known["main"] if one.value.ndim > 1):
            joined = ": is all that is given joined in front?" if len(given.labels) > 1 else "."
            besides = f" None takes {takes} numbers{joined}{besides}"
        return (
            f"Layers and ReLU alone do not make {name} of what is given: is something else done on the way, "
            f"or to what goes in? Weights of {found} play a part.{besides}"
        )

    # Each of these fits all outputs that could be explained.

    @property
    def unseen(self) -> list[str]:
        """The names of the outputs without a way to which the other cases can be held."""
        held = {key for key, way in self.ways.items() if way and way.sizes[-1] == self.asked[key][-1]}
        return [self.names[key] for key in self.ways if key not in held or self.reasons[key]]

    def sizes(self, claim: str) -> Finding:
        """That the sizes are those asked for; of other layers, or where other cases differ, it says less."""
        others = self.batches() or any(
            len(way.sizes) != len(self.asked[key]) or any(one.kind == "convolution" for one in way.stages)
            for key, way in self.ways.items()
            if way
        )
        hint = self._sizes()
        partly = AS_FAR.format(self.cases["main"].sizes[0])
        return so_far(partly if others and not hint else claim, 1, hint, self.unseen)

    def _sizes(self) -> str:
        for key, way in self.ways.items():
            if not way:
                continue
            few, many = sorted((way.sizes, self.asked[key]), key=len)
            left = iter(many)
            if any(size not in left for size in few):  # the few are not the many with some left out
                found, asked = (", ".join(map(str, sizes)) for sizes in (way.sizes, self.asked[key]))
                return f"The layers up to {self.names[key]} give {found} numbers; asked for are {asked}."
            for stage in way.stages:
                one = self.known["main"][stage.weight]
                kernel = one.value.shape[-1], *one.geometry
                if stage.kind == "transposed" and kernel != (4, 2, 1, 0):
                    found = "kernel {}, stride {}, padding {} and output padding {}".format(*kernel)
                    return f"A transposed convolution has {found}; asked for are 4, 2, 1 and 0."
        return self._any()

    def batches(self) -> str:
        """Do the other cases go the same ways?"""
        for case in self.cases:
            for key, way in self.ways.items():
                if case == "main" or not way or self.names[key] in self.unseen:
                    continue
                if hint := self._same_way(key, case, way):
                    return f"With {case}, {self.names[key]}: {hint}"
        return self._any()

    def _same_way(self, key: str, case: str, way: Way) -> str:
        given, problem = self.given(key, case), problem_with(self.evidence, f"{key} {case}")
        if problem:
            return with_question(problem, len(given.rows))
        try:
            value = way.value(given)
        except (RuntimeError, IndexError):
            return "its layers are others than those of the first model."
        found = self.evidence[f"{key} {case}"]
        if way.form is None and key == "logits":
            found = found.reshape(len(found), -1)
        if found.shape != value.shape:
            right = (len(value), 1, 28, 28) if key == "logits" else value.shape
            return f"its shape is {found.shape}; expected {right}."
        (own, *_), (first, *_) = self.cases[case].sizes, self.cases["main"].sizes
        if self.asked[key][-1] == first and found.shape[1] != own:
            return f"its shape is {found.shape}; expected {(len(value), own)}."
        alike = _alike(found, value, way.end, 2e-3)  # a lone number may be a small difference of large ones
        return "" if alike else "its numbers come about in another way than with the first model."

    def gradients(self) -> str:
        for key in (key for key, way in self.ways.items() if way):
            if not is_fact(self.evidence, f"gradients {key}", self.seed, "", 0, "").holds:
                problem = problem_with(self.evidence, f"gradients {key}")
                return problem or f"{self.names[key]}: {CUT_OFF}"
        return self._any()

    def _any(self) -> str:
        """'' where at least one output is explained: of others nothing holds."""
        return "" if any(self.ways.values()) else self.unknown(next(iter(self.ways)))


def so_far(claim: str, weight: float, hint: str, unseen: Sequence[str]) -> Finding:
    """A finding; where it holds, it says without which outputs it could be seen."""
    beside = f", as far as could be seen without {', '.join(unseen)}" if unseen and not hint else ""
    return unless(claim + beside, weight, hint)


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
        so_far(claims["trunk"], 0.75, _trunk(found), [name for name in found.unseen if name in heads]),
        unless("a linear layer each leads on to mu and logvar, with nothing after it", 0.75, _heads(found)),
        unless(claims["decode"], 1.5, found.whole("logits")),
        found.sizes(claims["sizes"]),
        so_far(claims["batches"], 0.5, batches, found.unseen),
        so_far("gradients reach the codes and all weights in use", 0.5, found.gradients(), found.unseen),
    ]


def _trunk(found: Networks) -> str:
    """What is wrong with the hidden layers of the encoder."""
    mu, logvar = found.ways["mu"], found.ways["logvar"]
    if not (mu and logvar):
        return found.inside("logvar" if logvar else "mu")
    if _goes_on(mu, logvar):
        return found.inside("mu")  # that is said of the heads
    hint = found.inside("mu") or found.inside("logvar")
    if not hint and mu.weights[:-1] != logvar.weights[:-1]:
        return "mu and logvar come through hidden layers of their own: one encoder leads to both heads."
    return hint


def _heads(found: Networks) -> str:
    """What is wrong with the two heads, whatever stands before them."""
    mu, logvar = found.ways["mu"], found.ways["logvar"]
    own = mu and not mu.cut and not logvar and not problem_with(found.evidence, "logvar main")
    if mu and own and found.used("logvar")[mu.weights[-1]]:
        return "logvar depends on the layer that gives mu: each comes out of a layer of its own."
    if not (mu and logvar) or mu.end:
        return found.end("mu") or found.end("logvar")
    if logvar.end and not _wide(logvar):
        return found.end("logvar")
    if _goes_on(mu, logvar):
        return "logvar comes out of mu, through one more layer: it takes the same hidden units as mu."
    one, two = mu.weights[-1], logvar.weights[-1]
    if (one, mu.cut) == (two, logvar.cut):
        return "mu and logvar come out of the same layer: they need one each."
    if [found.known["main"][place].says for place in (one, two)] == [2, 1]:
        return "mu and logvar have changed places: `encode` returns mu first."
    return ""


def _goes_on(mu: Way, logvar: Way) -> bool:
    """Does logvar come out of mu?"""
    return mu.weights == logvar.weights[: len(mu.stages)] != logvar.weights


def _wide(way: Way) -> bool:
    """Does what stands at the end leave alone all logvar in use, from -20 to 20?"""
    logvar = torch.linspace(-20, 20, 24, dtype=torch.float64).view(8, 3)
    return torch.equal(way.change(logvar), logvar)


def with_question(problem: str, n: int) -> str:
    """The problem; where a shape begins with another number than that of the images, with a question."""
    fixed = re.search(r"shape '\[(\d+), .*' is invalid for input of size", problem)
    if fixed and int(fixed[1]) != n:
        return f"{problem}. Is the number of images written into that shape, or left out? -1 stands for it."
    return problem

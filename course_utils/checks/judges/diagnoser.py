"""From a number to a sentence: what learners do to a right result, tried one after the other.

`diagnose` looks for the change that turns what is right into what was seen, in every look at once: a
factor, a sign, another reduction, swapped axes, one entry for all, rounding, a bound. It names one only where
it gives the very numbers; `described` says what can be seen where none does. Neither knows any formula: the
mistakes of one exercise stand in its judge.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

Sizes = Mapping[str, int]  # what is counted, in the plural: 'images', 'latent dimensions', 'pixels'
Change = Callable[[np.ndarray, Sizes], Any]


@dataclass(frozen=True)
class Seen:
    """What came out of one look, what is right, and the sizes that play a part in it."""

    actual: np.ndarray
    right: np.ndarray
    sizes: Sizes = field(default_factory=dict)


def diagnose(looks: Sequence[Seen], tolerance: float = 1e-4) -> tuple[str, Change] | None:
    """The sentence for the change that explains every look, and the change; None where none does.

    One number may agree by chance: it is held to 2e-6, about as float32 has it.
    """
    numbers = sum(look.actual.size for look in looks)
    tolerance = min(tolerance, 2e-6) if numbers < 2 else tolerance
    if not looks or not all(np.isfinite(look.actual).all() for look in looks):
        return None
    several = _pairs(looks) if numbers > 3 else ()
    for sentence, change in itertools.chain(changes(looks), _bounds(looks), several):
        if all(_gives(change, look, tolerance) for look in looks):
            return sentence, change
    return None


def changed(change: Change, right: Any, sizes: Sizes) -> Any:
    """What a change makes of what is right; NaN, which no answer equals, where it makes nothing of it."""
    with np.errstate(all="ignore"):
        try:
            return np.asarray(change(np.asarray(right, dtype=float), sizes), dtype=float)
        except (ValueError, IndexError, TypeError, KeyError, ZeroDivisionError):
            return np.array(np.nan)


def _gives(change: Change, look: Seen, tolerance: float) -> bool:
    value = changed(change, look.right, look.sizes)
    return value.shape == look.actual.shape and bool(
        np.allclose(look.actual, value, rtol=tolerance, atol=tolerance)
    )


# --- the changes ------------------------------------------------------------------------------------
FIXED: dict[str, Callable[[np.ndarray], Any]] = {
    "It has the wrong sign.": lambda y: -y,
    "It is twice what it should be: is a 1/2 missing, or does a term count double?": lambda y: 2 * y,
    "It is half of what it should be: is there a 1/2 too many?": lambda y: y / 2,
    "It is too large by 1 / log 2: these are bits; take natural logarithms.": lambda y: y / math.log(2),
    "It is log 2 times what it should be: are bits and nats mixed up?": lambda y: y * math.log(2),
    "It is 100 times what it should be: is it a percentage?": lambda y: 100 * y,
    "It is 255 times what it should be: are pixels counted from 0 to 255?": lambda y: 255 * y,
    "It is 1 / 255 of what it should be: are pixels divided by 255?": lambda y: y / 255,
    "It is 0 throughout: does the result reach the `return`?": lambda y: 0 * y,
    "It is too large by 1 everywhere.": lambda y: y + 1,
    "It is too small by 1 everywhere.": lambda y: y - 1,
    "It is too large by 1/2 everywhere.": lambda y: y + 0.5,
    "It is too small by 1/2 everywhere.": lambda y: y - 0.5,
    "It is too large by log(2 pi) / 2 everywhere.": lambda y: y + math.log(2 * math.pi) / 2,
    "It is too small by log(2 pi) / 2 everywhere.": lambda y: y - math.log(2 * math.pi) / 2,
    "It is the absolute value: the sign is lost.": np.abs,
    "Negative numbers have become 0.": lambda y: np.maximum(y, 0),
    "It is squared.": np.square,
    "The square root has been taken.": np.sqrt,
    "The logarithm has been taken.": np.log,
    "The exponential has been taken.": np.exp,
    "This is 1 minus what is asked for.": lambda y: 1 - y,
    "This is 1 divided by what is asked for.": lambda y: 1 / y,
    "A sigmoid has been applied.": lambda y: 1 / (1 + np.exp(-y)),
    "A tanh has been applied.": np.tanh,
    "It is cut off to a whole number.": np.trunc,
    "It is rounded to a whole number.": np.round,
    "It is rounded to one digit.": lambda y: np.round(y, 1),
    "It is rounded to two digits.": lambda y: np.round(y, 2),
    "It is rounded to three digits.": lambda y: np.round(y, 3),
    "It is rounded to four digits.": lambda y: np.round(y, 4),
    "It has half precision only.": lambda y: y.astype(np.float16).astype(float),
    "The numbers are right; they are flattened.": np.ravel,
    "The numbers are right; an axis of length 1 is missing.": np.squeeze,
}
BY_SIZE: dict[str, Callable[[np.ndarray, int], Any]] = {
    "It is as many times too large as there are {}: summed where a mean is asked for?": lambda y, n: y * n,
    "It is as many times too small as there are {}: averaged where a sum is asked for?": lambda y, n: y / n,
    "It is too large by the square root of the number of {}.": lambda y, n: y * math.sqrt(n),
    "It is too small by the square root of the number of {}.": lambda y, n: y / math.sqrt(n),
    "It is N / (N - 1) times too large, with N {}: what is it divided by?": lambda y, n: y * n / (n - 1),
    "It is N / (N - 1) times too small, with N {}: what is it divided by?": lambda y, n: y * (n - 1) / n,
    "It is too large by the logarithm of the number of {}.": lambda y, n: y + math.log(n),
    "It is too small by the logarithm of the number of {}.": lambda y, n: y - math.log(n),
    "It is too large by the number of {}.": lambda y, n: y + n,
    "It is too small by the number of {}.": lambda y, n: y - n,
    "It is too large by half the number of {}.": lambda y, n: y + n / 2,
    "It is too small by half the number of {}.": lambda y, n: y - n / 2,
}
REDUCED: dict[str, Callable[..., Any]] = {
    "the sum": np.sum,
    "the mean": np.mean,
    "the first": lambda y, axis: y.take(0, axis),
    "the last": lambda y, axis: y.take(-1, axis),
    "the largest": np.max,
}
ORDINAL = ("first", "second", "third", "fourth", "fifth")


def changes(looks: Sequence[Seen]) -> Iterator[tuple[str, Change]]:
    """All that a learner may have done, the simplest first."""
    names, right = list(looks[0].sizes), looks[0].right
    yield from ((sentence, _plain(function)) for sentence, function in FIXED.items())
    for name in names:
        yield from ((sentence.format(name), _sized(function, name)) for sentence, function in BY_SIZE.items())
    for name, other in itertools.permutations(names, 2):
        sentence = f"It is multiplied by the number of {name}, and divided by that of {other}."
        yield sentence, _ratio(name, other)
    for axis in range(right.ndim):
        yield from ((sentence, _plain(function)) for sentence, function in _along(axis, right))
    for verb in ("the sum", "the mean"):
        sentence = f"It is {verb} of everything: the shape has to stay."
        yield sentence, _plain(_reducing(REDUCED[verb], None, False))
    if right.ndim == 2:
        yield "The two axes have changed places.", _plain(np.transpose)
    for axis in range(right.ndim + 1):
        yield "The numbers are right; there is an axis of length 1 too many.", _plain(_longer(axis))


def _along(axis: int, right: np.ndarray) -> Iterator[tuple[str, Callable[[np.ndarray], Any]]]:
    """What may have happened along one axis."""
    where = f"along the {ORDINAL[axis]} axis" if right.ndim > 1 else "of the entries"
    before: tuple[slice, ...] = (slice(None),) * axis
    if right.shape[axis] == 2:
        yield f"The two have changed places {where}.", lambda y: np.flip(y, axis)
    yield f"The order {where} is turned round.", lambda y: np.flip(y, axis)
    yield f"Each entry {where} is the one before it.", lambda y: np.roll(y, 1, axis)
    yield f"Each entry {where} is the one after it.", lambda y: np.roll(y, -1, axis)
    yield f"The first entry {where} is missing.", lambda y: y[(*before, slice(1, None))]
    yield f"The last entry {where} is missing.", lambda y: y[(*before, slice(None, -1))]
    yield f"Only the first entry {where} is there.", lambda y: y[(*before, slice(None, 1))]
    yield f"Only the last entry {where} is there.", lambda y: y[(*before, slice(-1, None))]
    if right.shape[axis] == 1:  # nothing is lost there
        yield "The numbers are right; an axis of length 1 is missing.", lambda y: np.squeeze(y, axis)
        return
    for verb, reduce in REDUCED.items():
        yield f"It is {verb} {where}: that axis has to stay.", _reducing(reduce, axis, False)
        yield f"All entries {where} are {verb} of them: each has its own.", _reducing(reduce, axis, True)


def _bounds(looks: Sequence[Seen]) -> Iterator[tuple[str, Change]]:
    """That nothing lies beyond what was seen at most, or that all that was seen is one number."""
    numbers = np.concatenate([look.actual.ravel() for look in looks])
    if not numbers.size:
        return
    low, high = float(numbers.min()), float(numbers.max())
    if low == high and numbers.size > 1:
        constant = f"It is {low:.4g} whatever it is given: is it computed from the arguments?"
        yield constant, _plain(lambda y: np.full_like(y, low))
    if low == high:
        return
    rights = np.concatenate([look.right.ravel() for look in looks])
    for least, most, words in (
        (low, math.inf, f"Nothing lies below {low:.4g}"),
        (-math.inf, high, f"Nothing lies above {high:.4g}"),
        (low, high, f"All lies between {low:.4g} and {high:.4g}"),
    ):
        kept = (rights >= least) & (
            rights <= most
        )  # a bound explains any one number: two show that it is one
        if kept.sum() > 1 and (~kept).sum() > 1:
            yield f"{words}: is it clamped?", _plain(partial(np.clip, a_min=least, a_max=most))


def _pairs(looks: Sequence[Seen]) -> Iterator[tuple[str, Change]]:
    """A sign or a factor 2 on top of one other change."""
    for sentence, first in list(FIXED.items())[:3]:
        for other, second in changes(looks):
            yield f"{sentence} Besides: {other[0].lower()}{other[1:]}", _then(second, first)


def _plain(function: Callable[[np.ndarray], Any]) -> Change:
    return lambda right, _: function(right)


def _sized(function: Callable[[np.ndarray, int], Any], name: str) -> Change:
    return lambda right, sizes: function(right, sizes[name])


def _ratio(name: str, other: str) -> Change:
    return lambda right, sizes: right * sizes[name] / sizes[other]


def _then(first: Change, second: Callable[[np.ndarray], Any]) -> Change:
    return lambda right, sizes: second(np.asarray(first(right, sizes)))


def _longer(axis: int) -> Callable[[np.ndarray], Any]:
    return lambda y: np.expand_dims(y, axis)


def _reducing(reduce: Callable[..., Any], axis: int | None, spread: bool) -> Callable[[np.ndarray], Any]:
    if not spread or axis is None:
        return lambda y: reduce(y, axis=axis)
    return lambda y: np.broadcast_to(np.expand_dims(reduce(y, axis=axis), axis), y.shape)


# --- what can be seen anyway --------------------------------------------------------------------------


def described(look: Seen, tolerance: float = 1e-4) -> str:
    """How one look differs from what is right, where no change explains it."""
    actual, right = look.actual, look.right
    if actual.shape != right.shape:
        return f"It has shape {actual.shape}; expected {right.shape}."
    actual, right = actual.astype(float), right.astype(float)
    odd = ~np.isfinite(actual)
    if odd.any():
        share = f" ({odd.sum()} of {odd.size} numbers)" if odd.size > 1 else ""
        return f"It contains NaN or infinity{share}: a logarithm of 0, an overflow, or a division by 0?"
    step = actual - right
    off = np.abs(step)
    largest = f"Largest difference: {off.max():.3g}"
    if off.size > 1:
        with np.errstate(all="ignore"):
            factor, shift = (abs(part.std() / part.mean()) for part in (actual / right - 1, step))
        if shift < min(factor, 1e-3):
            return f"{largest}. Every number is off by the same {step.mean():.4g}."
        if factor < 1e-3:
            return f"{largest}. Every number is {(actual / right).mean():.4g} times what it should be."
    if (off <= 1e-3 * (1 + np.abs(right))).all():
        return f"{largest}. That is little: rounding, half precision, or a small constant inside?"
    wrong = off > tolerance * (1 + np.abs(right))
    if off.ndim and wrong.any() and not wrong.all():
        return f"{largest}. {_where(wrong)}"
    if off.size > 1 and (step > 0).all() | (step < 0).all():
        return f"{largest}. Every number is too {'large' if (step > 0).all() else 'small'}."
    return f"{largest}."


def _where(wrong: np.ndarray) -> str:
    """Which of the numbers are wrong: whole entries along an axis, where that is so."""
    for axis in range(wrong.ndim):
        others = tuple(other for other in range(wrong.ndim) if other != axis)
        some = np.atleast_1d(wrong.any(others)) if others else wrong
        if some.all() or len(some) < 2:
            continue
        places, n = np.flatnonzero(some), len(some)
        which = f"the {ORDINAL[axis]} axis" if wrong.ndim > 1 else "the result"
        if len(places) == 1:
            return f"Along {which} only entry {places[0]} of 0 to {n - 1} is wrong."
        if len(places) == n - places[0]:
            return (
                f"Along {which} entries 0 to {places[0] - 1} are right, from {places[0]} on they are wrong."
            )
        if places[-1] == len(places) - 1:
            return f"Along {which} entries 0 to {places[-1]} are wrong, the others right."
        return f"Along {which} {len(places)} of {n} entries are wrong, the first is {places[0]}."
    return f"{wrong.sum()} of {wrong.size} numbers are wrong."

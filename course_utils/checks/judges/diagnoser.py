"""From a number to a sentence: what learners do to a right result, tried one after the other.

`diagnose` looks for the change that turns what is right into what was seen, in every look at once: a
factor, a sign, another reduction, swapped axes, one entry for all, rounding, a bound; in the whole result or
in a part of it; and two such changes, one after the other. It names one only where it gives the very numbers;
`described` says what can be seen where none does. Neither knows any formula: the mistakes of one exercise
stand in its judge.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

Sizes = Mapping[str, int]  # what is counted, in the plural: 'images', 'latent dimensions', 'pixels'
CALLS = "calls"  # a size of looks whose first axis runs over calls
Change = Callable[[np.ndarray, Sizes], Any]
Named = tuple[str, Change]  # a change under its sentence


@dataclass(frozen=True)
class Seen:
    """What came out of one look, what is right, and the sizes that play a part in it."""

    actual: np.ndarray
    right: np.ndarray
    sizes: Sizes = field(default_factory=dict)


def diagnose(looks: Sequence[Seen], tolerance: float = 1e-4) -> Named | None:
    """The sentence for the change that explains every look, and the change; None where none does."""
    if len(_finite(looks)) < (1 if all(np.isfinite(look.actual).all() for look in looks) else 2):
        return None
    names = _counted(looks)
    one = itertools.chain(changes(looks[0].right.shape, names, _calls(looks[0])), _bounds(looks))
    more = itertools.chain(_parts(looks, names, tolerance), _pairs(looks, names, tolerance))
    return _first(itertools.chain(one, more), looks, tolerance)


def _finite(looks: Sequence[Seen]) -> np.ndarray:
    """The numbers that were seen, each once."""
    numbers = np.unique(np.concatenate([look.actual.ravel() for look in looks]))
    return numbers[np.isfinite(numbers)]


def _counted(looks: Sequence[Seen]) -> list[str]:
    """The names of the sizes; of those that are equal in every look, the first."""
    names: dict[tuple[int | None, ...], str] = {}
    for name in filter(CALLS.__ne__, looks[0].sizes):
        names.setdefault(tuple(look.sizes.get(name) for look in looks), name)
    return [*names.values()]


def _first(tried: Iterable[Named], looks: Sequence[Seen], tolerance: float) -> Named | None:
    """The first change that gives what was seen in every look, and not in every look what is right. A single
    number may agree by chance: it is held to 2e-6, about as float32 has it."""
    if sum(look.actual.size for look in looks) < 2:
        tolerance = min(tolerance, 2e-6)
    idle = [Seen(look.right, look.right, look.sizes) for look in looks]
    for sentence, change in tried:
        seen = all(
            _gives(change, look, tolerance) and explains(changed(change, look.right, look.sizes), look)
            for look in looks
        )
        if seen and not all(_gives(change, look, tolerance) for look in idle):
            return sentence, change
    return None


def explains(value: np.ndarray, look: Seen) -> bool:
    """Does this value leave hardly anything of the difference between what was seen and what is right: what
    float32 may lose, or a five-hundredth? Beside large numbers a small mistake would pass for any other."""
    if look.actual.shape != look.right.shape:
        return True
    actual, largest = look.actual.astype(float), []
    for part in (value, look.right):
        with np.errstate(all="ignore"):
            far = np.where(_close(part, actual, 0), 0, np.abs(actual - part) / (1 + np.abs(look.right)))
        largest.append(np.nan_to_num(far, nan=np.inf).max(initial=0))
    left, whole = largest
    return bool(50 * left <= whole and left <= max(2e-6, whole / 500))


def told(looks: Sequence[Seen], tolerance: float = 1e-4) -> str:
    """The sentence for what is wrong with these looks, or what can be seen of the first."""
    found = diagnose(looks, tolerance)
    return found[0] if found else described(looks[0], tolerance)


def changed(change: Change, right: Any, sizes: Sizes) -> np.ndarray:
    """What a change makes of what is right; NaN, which no answer equals, where it makes nothing of it."""
    with np.errstate(all="ignore"):
        try:
            return np.asarray(change(np.asarray(right, dtype=float), sizes), dtype=float)
        except (ValueError, IndexError, TypeError, KeyError, ZeroDivisionError):
            return np.array(np.nan)


def _gives(change: Change, look: Seen, tolerance: float) -> bool:
    value = changed(change, look.right, look.sizes)
    return value.shape == look.actual.shape and bool(_close(value, look.actual, tolerance).all())


def _close(value: np.ndarray, actual: np.ndarray, tolerance: float) -> np.ndarray:
    """Which numbers are the same, NaN and infinity too."""
    with np.errstate(invalid="ignore"):
        near = np.abs(actual - value) <= tolerance * (1 + np.abs(value))
    return (near & np.isfinite(value)) | (actual == value) | (np.isnan(actual) & np.isnan(value))


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
    "It is 0 throughout.": lambda y: 0 * y,
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
    "A sigmoid has been applied.": lambda y: _squashed(1 / (1 + np.exp(-y)), y),
    "A tanh has been applied.": lambda y: _squashed(np.tanh(y), y),
    "It is cut off to a whole number.": np.trunc,
    "It is rounded to a whole number: by `round`, or by a low precision?": np.round,
    "It is rounded to one digit.": lambda y: np.round(y, 1),
    "It is rounded to two digits.": lambda y: np.round(y, 2),
    "It is rounded to three digits.": lambda y: np.round(y, 3),
    "It is rounded to four digits.": lambda y: np.round(y, 4),
    "It has half precision only.": lambda y: y.astype(np.float16).astype(float),
}
BY_SIZE: dict[str, Callable[[np.ndarray, int], Any]] = {
    "It is as many times too large as there are {}: summed where a mean is asked for?": lambda y, n: y * n,
    "It is as many times too small as there are {}: averaged where a sum is asked for?": lambda y, n: y / n,
    "It is too large by a factor: the square root of the number of {}.": lambda y, n: y * math.sqrt(n),
    "It is too small by a factor: the square root of the number of {}.": lambda y, n: y / math.sqrt(n),
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
LONG = "There is an axis of length 1 too many."
ORDINAL = ("first", "second", "third", "fourth", "fifth")


def _squashed(values: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The values of a squashing function; NaN where all are at its ends, where anything may have put them."""
    return values if (np.abs(y) < 5).any() else np.full_like(y, np.nan)


def changes(shape: tuple[int, ...], names: Sequence[str], calls: int = 0) -> Iterator[Named]:
    """All that a learner may have done to a result of this shape, where these are counted: the simplest
    first. So many axes at its front are those of calls, which nobody mixes."""
    yield from _of_numbers(names)
    yield from _of_form(shape, calls)


def _of_numbers(names: Sequence[str]) -> Iterator[Named]:
    """What is done to each number by itself."""
    yield from ((sentence, _sized(function)) for sentence, function in FIXED.items())
    for name in names:
        yield from ((sentence.format(name), _sized(function, name)) for sentence, function in BY_SIZE.items())
    for name, other in itertools.permutations(names, 2):
        sentence = f"It is multiplied by the number of {name}, and divided by that of {other}."
        yield sentence, _sized(lambda y, n, m: y * n / m, name, other)


def _of_form(shape: tuple[int, ...], calls: int = 0) -> Iterator[Named]:
    """What moves, drops or reduces numbers."""
    if not calls:
        yield "It is flattened: the shape has to stay.", _sized(np.ravel)
    for axis in range(calls, len(shape)):
        yield from ((sentence, _sized(function)) for sentence, function in _along(axis, shape, calls))
    if calls:
        return
    yield "It is the sum of everything: the shape has to stay.", _sized(np.sum)
    yield "It is the mean of everything: the shape has to stay.", _sized(np.mean)
    if len(shape) == 2:
        yield "The two axes have changed places.", _sized(np.transpose)
    for axis in range(len(shape) + 1):
        yield LONG, _sized(partial(np.expand_dims, axis=axis))


def _sized(function: Callable[..., Any], *names: str) -> Change:
    """The change that a function of the numbers, and of how many there are of these, makes."""
    return lambda right, sizes: function(right, *(sizes[name] for name in names))


def _calls(look: Seen) -> int:
    """How many axes of the look are those of calls."""
    return int(CALLS in look.sizes)


def _along(
    axis: int, shape: tuple[int, ...], calls: int
) -> Iterator[tuple[str, Callable[[np.ndarray], Any]]]:
    """What may have happened along one axis."""
    along = f" along the {ORDINAL[axis - calls]} axis" if len(shape) > 1 + calls else ""
    where = along.strip() or "of the entries"
    if shape[axis] == 2:
        yield f"The two have changed places{along}.", lambda y: np.flip(y, axis)
    yield f"The order {where} is turned round.", lambda y: np.flip(y, axis)
    yield f"Each entry{along} is the one before it.", lambda y: np.roll(y, 1, axis)
    yield f"Each entry{along} is the one after it.", lambda y: np.roll(y, -1, axis)
    yield f"The first entry{along} is missing.", lambda y: np.delete(y, 0, axis)
    yield f"The last entry{along} is missing.", lambda y: np.delete(y, -1, axis)
    yield f"Only the first entry{along} is there.", lambda y: y.take([0], axis)
    yield f"Only the last entry{along} is there.", lambda y: y.take([-1], axis)
    if shape[axis] == 1:  # nothing is lost there
        yield "An axis of length 1 is missing.", lambda y: np.squeeze(y, axis)
        return
    for verb, reduce in REDUCED.items():
        yield f"It is {verb} {where}: that axis has to stay.", partial(reduce, axis=axis)
        yield f"All entries{along} are {verb} of them: each has its own.", partial(_spread, reduce, axis)


def _spread(reduce: Callable[..., Any], axis: int, y: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.expand_dims(reduce(y, axis=axis), axis), y.shape)


def _bounds(looks: Sequence[Seen]) -> Iterator[Named]:
    """That nothing lies beyond what was seen at most, or that all that was seen is one number."""
    numbers = np.concatenate([look.actual.ravel() for look in looks])
    low, high = float(numbers.min()), float(numbers.max())
    if low == high:
        several = len(looks) > 1 or _calls(looks[0])
        said = (
            f"Here it is {low:.4g} whatever it is given" if several else f"All its numbers here are {low:.4g}"
        )
        constant = f"{said}: is it held at a limit, or is what makes a difference lost on the way?"
        if numbers.size > 1:
            yield constant, _sized(lambda y: np.full_like(y, low))
        return
    rights = np.concatenate([look.right.ravel() for look in looks])
    for least, most, words in (
        (low, math.inf, f"Nothing lies below {low:.4g}"),
        (-math.inf, high, f"Nothing lies above {high:.4g}"),
        (low, high, f"All lies between {low:.4g} and {high:.4g}"),
    ):
        kept = (rights >= least) & (rights <= most)
        # a bound explains any one number: two show that it is one
        if kept.sum() > 1 and (~kept).sum() > 1:
            yield f"{words}: is it clamped?", _sized(partial(np.clip, a_min=least, a_max=most))


def _parts(looks: Sequence[Seen], names: Sequence[str], tolerance: float) -> Iterator[Named]:
    """What has happened to some of the entries along an axis, where the others are right."""
    if any(look.actual.shape != look.right.shape for look in looks):
        return
    for axis, wrong in _entries(~_close(looks[0].right, looks[0].actual, tolerance)):
        places = np.flatnonzero(wrong)
        if any(look.right.shape[axis] <= places[-1] for look in looks):
            continue
        rest = [Seen(one.actual.take(places, axis), one.right.take(places, axis), one.sizes) for one in looks]
        numbers = np.concatenate([part.ravel() for one in rest for part in (one.actual, one.right)])
        if len(numbers) < 8 and (numbers == numbers.round()).all():
            continue  # a few counts: some change is sure to give them by chance
        every = changes(rest[0].right.shape, names, _calls(looks[0]))
        tried = itertools.chain(every, _pairs(rest, names, tolerance))
        if all(np.unique(part).size == 1 for one in rest for part in (one.actual, one.right)):
            tried = itertools.chain(_bounds(rest))  # one number in place of another tells no more
        if found := _first(tried, rest, tolerance):
            where = _said(axis, wrong, looks[0])
            yield f"{where} There: {_lower(found[0])}", _within(axis, places, found[1])


def _within(axis: int, places: np.ndarray, change: Change) -> Change:
    """The change at these places alone."""

    def within(right: np.ndarray, sizes: Sizes) -> np.ndarray:
        value = np.moveaxis(right.copy(), axis, 0)
        value[places] = np.moveaxis(change(right.take(places, axis), sizes), axis, 0)
        return np.moveaxis(value, 0, axis)

    return within


def _pairs(looks: Sequence[Seen], names: Sequence[str], tolerance: float) -> Iterator[Named]:
    """One change after another, as far as the first look tells. There are many pairs, so numbers may agree by
    chance: two are needed that differ, and are held to 2e-6, or eight where all are whole."""
    look, finite = looks[0], _finite(looks)
    if len(finite) < (8 if (finite == finite.round()).all() else 2):
        return
    tolerance = min(tolerance, 2e-6) if len(finite) == 2 else tolerance
    firsts = list(changes(look.right.shape, names, _calls(look)))
    between = [changed(change, look.right, look.sizes) for _, change in firsts]
    fitting = [place for place, value in enumerate(between) if value.shape == look.actual.shape]
    # What is done to each number is tried on a few of them, and after all first changes at once.
    few = np.stack([between[place].ravel()[:20] for place in fitting]) if fitting else None
    for two in _of_numbers(names) if fitting else ():
        alike = _close(changed(two[1], few, look.sizes), look.actual.ravel()[:20], tolerance).all(1)
        yield from (_both(firsts[fitting[place]], two) for place in np.flatnonzero(alike))
    forms = {
        shape: [
            two
            for two in _of_form(shape, _calls(look))
            if changed(two[1], np.zeros(shape), {}).shape == look.actual.shape
        ]
        for shape in {value.shape for value in between}
    }
    for one, value in zip(firsts, between, strict=True):
        seen = Seen(look.actual, value, look.sizes)
        yield from (_both(one, two) for two in forms[value.shape] if _gives(two[1], seen, tolerance))


def _both(one: Named, two: Named) -> Named:
    """The second after the first."""
    alike = one[0] == two[0]
    if two[0] == LONG:  # an axis may have gone before
        two = "An axis of length 1 is put in.", two[1]
    sentence = f"Twice: {_lower(two[0])}" if alike else f"{one[0]} Besides: {_lower(two[0])}"
    return sentence, lambda right, sizes: two[1](np.asarray(one[1](right, sizes)), sizes)


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


# --- what can be seen anyway --------------------------------------------------------------------------


NO_NUMBER = "a logarithm, a root or a quantile of what has none, an overflow, or a division by 0?"


def described(look: Seen, tolerance: float = 1e-4, alone: bool = True) -> str:
    """How one look differs from what is right, where no change explains it; `alone`: no other differs."""
    actual, right = look.actual, look.right
    if actual.shape != right.shape:
        lost = " An axis is lost on the way: by which step?" if actual.ndim < right.ndim else ""
        return f"It has shape {actual.shape}; expected {right.shape}.{lost}"
    actual, right = actual.astype(float), right.astype(float)
    odd = ~np.isfinite(actual)
    if odd.any():
        share = f" ({odd.sum()} of {odd.size} numbers)" if odd.size > 1 else ""
        return f"It contains NaN or infinity{share}: {NO_NUMBER}"
    step = actual - right
    off = np.abs(step)
    largest = f"Largest difference: {off.max():.3g}"
    if off.size > 1:
        with np.errstate(all="ignore"):
            ratio = actual / right
            times, shift = ratio.mean(), abs(step.std() / step.mean())
            factor = ratio.std() / min(abs(times), abs(times - 1))
        if shift < min(factor, 1e-3):
            return f"{largest}. Every number is off by the same {step.mean():.4g}."
        said = f"{times:.4g}" if abs(times - 1) > 1e-2 else f"{times:.6g}"
        if factor < 1e-3 and said != "1":
            return f"{largest}. Every number is {said} times what it should be."
    # a lone number may come near by chance
    little = 1e-4 * (1 + np.abs(right)) if off.size > 1 else 1e-5 * np.abs(right)
    if alone and (off <= little).all():
        return f"{largest}. That is little: rounding, low precision, a limit, or a small constant inside?"
    wrong = ~_close(look.right, look.actual, tolerance)
    if off.ndim and wrong.any() and not wrong.all():
        several = f"{wrong.sum()} of {wrong.size} numbers are wrong."
        where = next((_said(axis, some, look) for axis, some in _entries(wrong)), several)
        return f"{largest}. {where}"
    if off.size > 1 and (step > 0).all() | (step < 0).all():
        return f"{largest}. Every number is too {'large' if (step > 0).all() else 'small'}."
    return f"{largest}."


def _entries(wrong: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Which entries hold wrong numbers, along each axis along which others hold none."""
    for axis in range(wrong.ndim):
        some = np.asarray(wrong.any(tuple(other for other in range(wrong.ndim) if other != axis)))
        if some.any() and not some.all():
            yield axis, some


def _said(axis: int, wrong: np.ndarray, look: Seen) -> str:
    """Which of the entries along an axis are wrong."""
    places, n = np.flatnonzero(wrong), len(wrong)
    calls = _calls(look)
    if axis < calls:
        return f"It is wrong in {len(places)} of {n} calls."
    which = f"the {ORDINAL[axis - calls]} axis" if look.right.ndim > 1 + calls else "the result"
    if len(places) == 1:
        return f"Along {which} only entry {places[0]} of 0 to {n - 1} is wrong."
    if len(places) == n - places[0]:
        right = "entry 0 is" if places[0] == 1 else f"entries 0 to {places[0] - 1} are"
        return f"Along {which} {right} right, from {places[0]} on they are wrong."
    return f"Along {which} {len(places)} of {n} entries are wrong, the first is {places[0]}."

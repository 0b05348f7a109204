"""From a number to a sentence: what learners do to a right result, tried one after the other.

`diagnose` looks for the change that turns what is right into what was seen, in every look at once: a factor,
a sign, another reduction, swapped axes, one sample for all, rounding, a bound. It names one only where it
gives the very numbers; `described` says what can be seen where none does. Neither knows any formula: the
mistakes of one exercise stand in its judge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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

    A few numbers may agree by chance: then they are held to 2e-6, as float32 has them.
    """
    numbers = sum(look.actual.size for look in looks)
    tolerance = min(tolerance, 2e-6) if numbers < 4 else tolerance
    if not looks or not all(np.isfinite(look.actual).all() for look in looks):
        return None
    return next(
        (found for found in _changes(looks) if all(_gives(found[1], look, tolerance) for look in looks)), None
    )


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


def _changes(looks: Sequence[Seen]) -> Iterator[tuple[str, Change]]:
    """All of them, the simplest first."""
    names = [name for name in looks[0].sizes if all(name in look.sizes for look in looks)]
    yield from _factors(names)
    yield from _added(names)
    yield from _reductions(looks[0].right)
    yield from _places(looks[0].right)
    yield from _forms(looks)


def _factors(names: Sequence[str]) -> Iterator[tuple[str, Change]]:
    fixed = {
        -1.0: "It has the wrong sign.",
        2.0: "It is twice what it should be: is a 1/2 missing, or does a term count double?",
        0.5: "It is half of what it should be: is there a 1/2 too many, or half of it missing?",
        -2.0: "It has the wrong sign and is twice as large: is a 1/2 missing?",
        -0.5: "It has the wrong sign and is half as large.",
        1 / math.log(2): "It is 1 / log 2 times what it should be: these are bits; take natural logarithms.",
        math.log(2): "It is log 2 times what it should be: are bits and nats mixed up?",
        100.0: "It is 100 times what it should be: is it a percentage?",
        255.0: "It is 255 times what it should be: are pixels counted from 0 to 255?",
        0.0: "It is 0 throughout: does the result reach the `return`?",
    }
    for factor, sentence in fixed.items():
        yield sentence, lambda right, _, factor=factor: factor * right
    for name in names:
        for power, words in (
            (
                1,
                "times too large, {n}: summed over them where a mean is asked for, or counted once for each?",
            ),
            (
                -1,
                "times too small, {n}: averaged over them where a sum is asked for, or divided by too much?",
            ),
        ):
            sentence = f"It is N {words.format(n='N the number of ' + name)}"
            yield sentence, lambda right, sizes, name=name, power=power: right * float(sizes[name]) ** power
            root = f"It is off by the square root of the number of {name}."
            yield root, lambda right, sizes, name=name, power=power: right * sizes[name] ** (power / 2)
            bessel = f"It is off by the factor N / (N - 1), N the number of {name}: which of the two divides?"
            yield (
                bessel,
                lambda right, sizes, name=name, power=power: (
                    right * (sizes[name] / (sizes[name] - 1)) ** power
                ),
            )
        for other in names:
            if other != name:
                mixed = f"It is multiplied by the number of {name} and divided by that of {other}."
                yield mixed, lambda right, sizes, a=name, b=other: right * sizes[a] / sizes[b]


def _added(names: Sequence[str]) -> Iterator[tuple[str, Change]]:
    for amount, words in (
        (1.0, "1"),
        (0.5, "1/2"),
        (math.log(2), "log 2"),
        (math.log(2 * math.pi) / 2, "log(2 pi) / 2"),
    ):
        for sign, way in ((1, "large"), (-1, "small")):
            sentence = f"It is too {way} by {words} everywhere: is a constant missing or added?"
            yield sentence, lambda right, _, step=sign * amount: right + step
    for name in names:
        for sign, way in ((1, "large"), (-1, "small")):
            yield (
                f"It is too {way} by the logarithm of the number of {name}.",
                lambda right, sizes, name=name, sign=sign: right + sign * math.log(sizes[name]),
            )
            yield (
                f"It is too {way} by the number of {name}.",
                lambda right, sizes, name=name, sign=sign: right + sign * sizes[name],
            )
            yield (
                f"It is too {way} by half the number of {name}.",
                lambda right, sizes, name=name, sign=sign: right + sign * sizes[name] / 2,
            )


_REDUCED: dict[str, Callable[..., Any]] = {
    "summed": np.sum,
    "averaged": np.mean,
    "reduced to the largest": np.max,
    "reduced to the first": lambda right, axis: right.take(0, axis),
    "reduced to the last": lambda right, axis: right.take(-1, axis),
}
_ORDINAL = ("first", "second", "third", "fourth", "fifth")


def _reductions(right: np.ndarray) -> Iterator[tuple[str, Change]]:
    ndim = right.ndim
    for verb, reduce in _REDUCED.items():
        for axis in range(ndim):
            if right.shape[axis] == 1:  # nothing is lost there
                continue
            where = f"along its {_ORDINAL[axis]} axis" if ndim > 1 else "over all of them"
            sentence = f"It is {verb} {where}: that axis has to stay."
            yield sentence, lambda right, _, reduce=reduce, axis=axis: reduce(right, axis=axis)
            kept = f"All entries {where} are alike, {verb} over them: each has its own."
            yield (
                kept,
                lambda right, _, reduce=reduce, axis=axis: np.broadcast_to(
                    np.expand_dims(reduce(right, axis=axis), axis), right.shape
                ),
            )
    if ndim > 1:
        for verb in ("summed", "averaged"):
            yield (
                f"It is {verb} over everything: the shape has to stay.",
                lambda right, _, reduce=_REDUCED[verb]: reduce(right, axis=None),
            )


def _places(right: np.ndarray) -> Iterator[tuple[str, Change]]:
    ndim = right.ndim
    if ndim == 2:
        yield "The two axes have changed places.", lambda right, _: right.T
    for axis in range(ndim):
        name = f"along the {_ORDINAL[axis]} axis" if ndim > 1 else "of the entries"
        if right.shape[axis] == 2:
            yield f"The two have changed places {name}.", lambda right, _, axis=axis: np.flip(right, axis)
        yield f"The order {name} is turned round.", lambda right, _, axis=axis: np.flip(right, axis)
        for step, way in ((1, "before"), (-1, "after")):
            yield (
                f"Each entry {name} is the one {way} it.",
                lambda right, _, axis=axis, step=step: np.roll(right, step, axis),
            )
        for cut, words in (
            (slice(1, None), f"The first entry {name} is missing."),
            (slice(None, -1), f"The last entry {name} is missing."),
            (slice(None, 1), f"Only the first entry {name} is there."),
            (slice(-1, None), f"Only the last entry {name} is there."),
        ):
            yield words, lambda right, _, axis=axis, cut=cut: right[(slice(None),) * axis + (cut,)]
    for axis in range(ndim + 1):
        yield (
            "The numbers are right; there is an axis of length 1 too many.",
            lambda right, _, axis=axis: np.expand_dims(right, axis),
        )
    for which in [*range(ndim), None][: ndim and ndim + 1]:
        missing = "The numbers are right; an axis of length 1 is missing."
        yield missing, lambda right, _, axis=which: np.squeeze(right, axis)
    if ndim:
        yield "The numbers are right; they are flattened.", lambda right, _: right.ravel()


def _forms(looks: Sequence[Seen]) -> Iterator[tuple[str, Change]]:
    for digits in range(4):
        yield f"It is rounded to {digits or 'no'} digits.", lambda right, _, n=digits: np.round(right, n)
    yield "It is cut off to a whole number.", lambda right, _: np.trunc(right)
    yield "It has half precision only.", lambda right, _: right.astype(np.float16).astype(float)
    yield "It is the absolute value: the sign is lost.", lambda right, _: np.abs(right)
    yield "Negative numbers have become 0.", lambda right, _: np.maximum(right, 0)
    yield "It is squared.", lambda right, _: right**2
    yield "The square root has been taken.", lambda right, _: np.sqrt(right)
    yield "The logarithm has been taken.", lambda right, _: np.log(right)
    yield "The exponential has been taken.", lambda right, _: np.exp(right)
    yield "This is 1 minus what is asked for.", lambda right, _: 1 - right
    yield "This is the inverse of what is asked for.", lambda right, _: 1 / right
    yield "A sigmoid has been applied.", lambda right, _: 1 / (1 + np.exp(-right))
    yield "A tanh has been applied.", lambda right, _: np.tanh(right)
    numbers = np.concatenate([look.actual.ravel() for look in looks])
    low, high = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
    rights = np.concatenate([look.right.ravel() for look in looks])
    for bounds, words in (
        ((low, math.inf), f"Nothing lies below {low:.4g}"),
        ((-math.inf, high), f"Nothing lies above {high:.4g}"),
        ((low, high), f"All lies between {low:.4g} and {high:.4g}"),
    ):
        kept = rights == np.clip(rights, *bounds)  # a bound explains any one number; two show that it is one
        if kept.sum() > 1 and (~kept).sum() > 1:
            yield f"{words}: is it clamped?", lambda right, _, bounds=bounds: np.clip(right, *bounds)


# --- what can be seen anyway --------------------------------------------------------------------------


def described(look: Seen, tolerance: float = 1e-4) -> str:
    """How one look differs from what is right, where no change explains it."""
    actual, right = look.actual, look.right
    if actual.shape != right.shape:
        return f"It has shape {actual.shape}; expected {right.shape}."
    actual, right = actual.astype(float), right.astype(float)
    odd = ~np.isfinite(actual)
    if odd.any():
        share = "It contains NaN or infinity" + (
            f" ({odd.sum()} of {odd.size} numbers)" if odd.size > 1 else ""
        )
        return f"{share}: a logarithm of 0, an overflow, or a division by 0?"
    off = np.abs(actual - right)
    largest = f"Largest difference: {off.max():.3g}"
    wrong = off > tolerance * (1 + np.abs(right))
    if (off <= 5e-3 * (1 + np.abs(right))).all():
        return f"{largest}. That is little: rounding, half precision, or a small constant inside?"
    if off.ndim and wrong.any() and not wrong.all():
        return f"{largest}. {_where(wrong)}"
    with np.errstate(all="ignore"):
        ratio = actual / right
    if off.size > 1 and np.isfinite(ratio).all() and np.ptp(ratio) < 1e-3 * abs(ratio.mean()):
        return f"{largest}. Every number is {ratio.mean():.4g} times what it should be."
    if off.size > 1 and np.ptp(actual - right) < 1e-3 * off.max():
        return f"{largest}. Every number is off by the same {(actual - right).mean():.4g}."
    if off.size > 1 and ((actual > right).all() or (actual < right).all()):
        return f"{largest}. Every number is too {'large' if (actual > right).all() else 'small'}."
    return f"{largest}."


def _where(wrong: np.ndarray) -> str:
    """Which of the numbers are wrong: whole entries along an axis, where that is so."""
    for axis in range(wrong.ndim):
        others = tuple(other for other in range(wrong.ndim) if other != axis)
        some = wrong.any(others) if others else wrong
        if some.all() or len(some) < 2:
            continue
        places, n = np.flatnonzero(some), len(some)
        which = f"the {_ORDINAL[axis]} axis" if wrong.ndim > 1 else "the result"
        if len(places) == 1:
            return f"Along {which} only entry {places[0]} of 0 to {n - 1} is wrong."
        if len(places) == n - places[0]:
            return (
                f"Along {which} entries 0 to {places[0] - 1} are right, from {places[0]} on they are wrong."
            )
        if len(places) == places[-1] + 1:
            return f"Along {which} entries 0 to {places[-1]} are wrong, the others right."
        return f"Along {which} {len(places)} of {n} entries are wrong, the first is {places[0]}."
    return f"{wrong.sum()} of {wrong.size} numbers are wrong."

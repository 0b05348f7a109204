"""Exercises that are functions: a table of looks, properties that share them out, and a formula per mistake.

One rule decides what a wrong answer keeps. The first property is the exercise's purpose; it carries at least
half of the points. A mistake that explains all looks of a property costs no later one: these are held to the
answer's own formula, so that what follows from one mistake is counted once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from inspect import isgeneratorfunction
from typing import Any

import numpy as np
from torch import Tensor

from course_utils.checks.judges.core import Finding, close, problem_with, unless
from course_utils.checks.judges.diagnoser import Seen, Sizes, changed, described, diagnose, explains
from course_utils.checks.probes.evidence import AGAIN, CHANGED, FORM, STEADY, Evidence, as_array

PARTLY = " (Not everywhere: other numbers are right.)"  # of a mistake that would show in more looks
ELSEWHERE = " Other calls give what is right."
CHANCE = 1e-5  # by how much a single number, which may agree with something by chance, may be off
Formula = Callable[[str], Any]  # what a look with this key should give
Formulas = Mapping[str, Any]  # what one look gives: the right value under '', each mistake's under its hint


@dataclass(frozen=True)
class Property:
    """A claim about the looks with these keys, and its weight. `otherwise` is added where no mistake is known
    to explain what is seen."""

    claim: str
    weight: float
    keys: Sequence[str]
    otherwise: str = ""


@dataclass(frozen=True)
class Table:
    """What the looks of one exercise should give: formulas and sizes by the evidence's key, and the terms of
    which it is the sum, some of them none of it, where it is one."""

    formulas: Mapping[str, Formulas]
    sizes: Mapping[str, Sizes]
    tolerance: float
    terms: Callable[[str], Mapping[str, Any]] = lambda _: {}

    @classmethod
    def of(
        cls,
        looks: Callable[[int], Mapping[str, Sequence[Any]]],
        seed: int,
        formulas: Callable[..., Any],
        sizes: Callable[..., Sizes] = lambda *_: {},
        tolerance: float = 1e-4,
        terms: Callable[..., Mapping[str, Any]] = lambda *_: {},
    ) -> Table:
        """The table of the looks, arguments by key, that belong to this seed. Rows and columns of what is
        given are counted too. `formulas` gives `Formulas`; where it is a generator, the right value and then
        those of the mistakes, which are worked out only for an answer that has another."""
        given = looks(seed)
        counted = {key: {**sizes(*args), **_rows_and_columns(args)} for key, args in given.items()}
        known = _worked_out(looks, seed, formulas)
        return cls(known, counted, tolerance, lambda key: terms(*given[key]))

    def judge(self, evidence: Evidence, *properties: Property) -> list[Finding]:
        """A finding for each property; the first is the purpose."""
        purpose, *others = properties
        complaint = problem_with(evidence, FORM) if FORM in evidence else ""
        evidence = self._formed(evidence, complaint) if complaint else evidence
        hint, own = self._explained(evidence, purpose)
        if hint and self._idle(evidence, [key for looked in properties for key in looked.keys]):
            own = None
        # Fewer looks agree with a mistake by chance: none is named that the purpose's looks do not have.
        named = own is not None
        understood = named or not hint
        hints = [complaint or hint]
        for other in others:
            hint, formula = self._explained(evidence, other, own, understood)
            understood &= formula is not None or not hint
            bare, first = (said.removesuffix(PARTLY) for said in (hint, hints[0]))
            again = named and bare == first and bare in self.formulas[purpose.keys[0]]
            hints.append("" if again else hint)  # that counts once
            own = own or formula
        found = [unless(one.claim, one.weight, hint) for one, hint in zip(properties, hints, strict=True)]
        # Where nobody knows what the purpose misses, the same may be all that others miss.
        lost = bool(hints[0]) and not named
        follows = [
            bool(self._off(evidence, looked.keys))
            if one.holds
            else lost and looked is not purpose and not problem_with(evidence, *looked.keys)
            for one, looked in zip(found, properties, strict=True)
        ]
        return [replace(one, follows=follow) for one, follow in zip(found, follows, strict=True)]

    def _formed(self, evidence: Evidence, complaint: str) -> Evidence:
        """The evidence in the shape that is asked for; the complaint for flat arrays that cannot be."""
        shapes = {key: np.shape(as_array(self._right(key))) for key in self.formulas if key in evidence}
        fit = {key for key, shape in shapes.items() if evidence[key].size == math.prod(shape)}
        return evidence | {
            key: evidence[key].reshape(shape) if key in fit else np.array(complaint)
            for key, shape in shapes.items()
            if not problem_with(evidence, key) and (key in fit or evidence[key].ndim == 1)
        }

    def _idle(self, evidence: Evidence, keys: Sequence[str]) -> bool:
        """Is the answer one and the same number in every look? Nothing follows from that."""
        seen = [evidence[key].ravel() for key in keys if not problem_with(evidence, key)]
        return bool(seen) and np.unique(np.concatenate(seen)).size == 1

    @property
    def loose(self) -> float:
        """A mistake may lose more digits than what is right: its numbers may be larger on the way."""
        return 5 * self.tolerance

    def _explained(
        self, evidence: Evidence, looked: Property, own: Formula | None = None, named: bool = True
    ) -> tuple[str, Formula | None]:
        """What is wrong, and the formula that the answer follows; '' where each look is right, or what the
        answer's `own` formula gives."""
        if problem := problem_with(evidence, *looked.keys):
            return problem, None

        def holds(key: str) -> bool:
            return close(evidence[key], self._right(key), self.tolerance) or (
                own is not None and close(evidence[key], own(key), self.loose)
            )

        if all(map(holds, looked.keys)):
            return "", None
        off = self._off(evidence, looked.keys)
        for keys in (off, off[:1]):  # one mistake explains all, or most
            found = self._mistake(evidence, keys) if named else None
            if found and 2 * self._agreeing(evidence, found[1], off) > len(off):
                hint, formula = found
                right = [key for key in looked.keys if key not in off]
                whole = self._agreeing(evidence, formula, right) == len(right)
                return hint + PARTLY * (not whole), formula
        complaint = problem_with(evidence, STEADY)
        if complaint in (AGAIN, CHANGED):  # then numbers tell little
            return complaint, None
        seen = described(self._seen(evidence, off[0]), self.tolerance, named)
        if len(off) > 1:
            seen = f"One of {len(off)} calls that differ: {seen}"
        elsewhere = ELSEWHERE * (len(off) < len(looked.keys))
        return f"{seen}{elsewhere} {looked.otherwise}".strip(), None

    def _off(self, evidence: Evidence, keys: Sequence[str]) -> list[str]:
        """The looks that are not right."""
        return [
            key
            for key in keys
            if problem_with(evidence, key) or not close(evidence[key], self._right(key), self.tolerance)
        ]

    def _agreeing(self, evidence: Evidence, formula: Formula | None, keys: Sequence[str]) -> int:
        """In how many of these looks the formula gives what is seen."""
        return sum(formula is None or close(evidence[key], formula(key), self.loose) for key in keys)

    def _mistake(self, evidence: Evidence, keys: Sequence[str]) -> tuple[str, Formula | None] | None:
        """The mistake that gives what is seen in all of these looks, and what it gives in any."""
        seen = [self._seen(evidence, key) for key in keys]
        one = seen[0]
        if one.right.size == 1 and close(one.actual.ravel(), one.right.ravel(), self.tolerance):
            return f"The number is right, its shape is not. {described(one)}", None

        def agrees(hint: str, key: str) -> bool:
            if problem_with(evidence, key) or not close(evidence[key], self._by(hint, key), near):
                return False
            return key not in keys or explains(as_array(self._by(hint, key)), self._seen(evidence, key))

        numbers = np.concatenate([part.ravel() for look in seen for part in (look.actual, look.right)])
        near = self.loose if numbers.size > 2 else min(self.loose, CHANCE)
        # A few counts agree by chance: then all looks have to.
        counts = numbers.size < 16 and (numbers == numbers.round()).all()
        needed = [key for key in self.formulas if counts and not problem_with(evidence, key)] or keys
        fitting = [one for one in self.formulas[keys[0]] if one and all(agrees(one, key) for key in needed)]
        if fitting:  # of several the one that explains most of all looks, and comes nearest

            def worth(hint: str) -> tuple[int, bool]:
                nearly = all(close(evidence[key], self._by(hint, key), self.tolerance) for key in needed)
                return sum(agrees(hint, key) for key in self.formulas), nearly

            hint = max(fitting, key=worth)
            return hint, partial(self._by, hint)
        found = diagnose(seen, self.tolerance)
        if not found:
            return self._weighed(evidence, keys)
        sentence, change = found
        return sentence, lambda key: changed(change, self._right(key), self.sizes[key])

    def _weighed(self, evidence: Evidence, keys: Sequence[str]) -> tuple[str, Formula] | None:
        """The factors before the terms with which they add up to what is seen in these looks."""
        terms = {key: {name: as_array(term) for name, term in self.terms(key).items()} for key in keys}
        names = list(terms[keys[0]])
        if not names:
            return None
        columns = np.concatenate([[term.ravel() for term in terms[key].values()] for key in keys], axis=1).T
        seen, right = (  # in float64: lstsq takes no half precision
            np.concatenate([as_array(of(key)).ravel() for key in keys], dtype=float)
            for of in (evidence.get, self._right)
        )
        if len(seen) != len(columns) or len(seen) <= len(names) or not np.isfinite(seen).all():
            return None
        scale = 1 + np.abs(seen)
        found, asked = (
            np.linalg.lstsq(columns / scale[:, None], part / scale, rcond=None)[0] for part in (seen, right)
        )
        sums = columns @ found
        if not close(sums / scale, seen / scale, self.tolerance) or not explains(sums, Seen(seen, right)):
            return None
        said = [
            f"{name} counts {round(factor, 4) + 0:.4g} times, not {round(due)}"
            for name, factor, due in zip(names, found, asked, strict=True)
            if abs(factor - due) > 1e-3
        ]
        if not said:
            return None
        factors = dict(zip(names, found, strict=True))
        return f"In the sum {', '.join(said)}.", lambda key: sum(
            factors[name] * as_array(term) for name, term in self.terms(key).items()
        )

    def _right(self, key: str) -> Any:
        return self.formulas[key][""]

    def _by(self, hint: str, key: str) -> Any:
        return self.formulas[key].get(hint, self.formulas[key][""])

    def _seen(self, evidence: Evidence, key: str) -> Seen:
        return Seen(evidence[key], as_array(self._right(key)), self.sizes[key])


def _rows_and_columns(given: Any) -> dict[str, int]:
    """Of the first tensor in it that has several axes."""
    if isinstance(given, Tensor):
        return {"rows": len(given), "columns": given.shape[-1]} if given.ndim > 1 else {}
    parts = given if isinstance(given, tuple | list) else ()
    return next(filter(None, map(_rows_and_columns, parts)), {})


class LazyFormulas(Mapping[str, Any]):
    """What one look gives: the right value at once, those of mistakes when somebody asks for them."""

    def __init__(self, formulas: Callable[[], Iterator[Any]]) -> None:
        self.right, self.formulas = next(formulas()), formulas

    @cached_property
    def all(self) -> Formulas:
        right, mistakes = self.formulas()
        return {**mistakes, "": right}

    def __getitem__(self, hint: str) -> Any:
        return self.all[hint] if hint else self.right

    def __iter__(self) -> Iterator[str]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)


@lru_cache(maxsize=32)
def _worked_out(
    looks: Callable[[int], Mapping[str, Sequence[Any]]],
    seed: int,
    formulas: Callable[..., Any],
) -> dict[str, Formulas]:
    """What each look gives by each formula: the same for all answers that are judged with this seed."""
    late = isgeneratorfunction(formulas)
    every = {key: partial(formulas, *given) for key, given in looks(seed).items()}
    return {key: LazyFormulas(found) if late else found() for key, found in every.items()}

"""What judges have in common: findings, reports, and the words in which a judge says what it expects.

A judge sees only the seed and the evidence that a probe has brought back, works out from an independent
source what should have come out, and gives points and one message per finding. A verdict is never an
exception: what goes wrong in an answer is evidence too, a sentence.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from course_utils.checks.probes import Observation, undisturbed
from course_utils.checks.probes.evidence import STEADY, Evidence, as_array
from course_utils.checks.probes.inputs import fact
from course_utils.checks.words import NOT_YET, OWN
from course_utils.viewers.standalone import sentence

REPORT_MIME = "application/vnd.vae-course.report+json"


COUNTS = "It counts where"  # so begins the hint of what another finding keeps from view
UNSHOWN = f"{COUNTS} something else holds."
BARE = re.compile(r"(One of \d+ calls that differ: )?Largest difference: \S+\.")  # and no more


@dataclass(frozen=True)
class Finding:
    """One property of the answer: what should hold, whether it does, its weight, the likely mistake.

    Where it `follows`, it holds only as far as the answer's own mistake, named elsewhere, explains it; or it
    fails where that mistake may be the reason, and nobody knows.

    An exercise's points are shared out by weight. So the findings of one exercise weigh the same together,
    whatever its judge finds (tests/checks/test_bank.py looks).
    """

    claim: str
    holds: bool
    weight: float
    hint: str = ""
    follows: bool = False


@dataclass(frozen=True)
class Exercise:
    """An autograded exercise.

    `answer` is the name that the student's code defines; `reference` names what the package holds of its
    solution, as `module.name`: an answer that runs it earns nothing. `questions` holds the answers on
    offer for each question of a prediction.
    """

    number: str
    answer: str
    points: int
    judge: Callable[[int, Evidence], list[Finding]]
    reference: tuple[str, ...] = ()
    questions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def why(self) -> str:
        """Why the answer works, said folded after a right one: the docstring of its judge."""
        return "" if self.questions else " ".join((self.judge.__doc__ or "").split())


@dataclass(frozen=True)
class Report:
    """What a check found. It displays as a report and reads as the number of points.

    nbgrader takes the text of a graded cell's result, as a number, for its score: hence `repr`.
    """

    exercise: Exercise
    findings: tuple[Finding, ...]
    note: str = ""
    puzzle: str = ""  # HTML: the lines of an answer to put in order

    @property
    def points(self) -> float:
        """The exercise's points in the share, by weight, of the findings that hold."""
        of = sum(finding.weight for finding in self.findings)
        held = sum(finding.weight for finding in self.findings if finding.holds)
        # Rounded: a hair above the maximum would be an error for nbgrader.
        return round(self.exercise.points * held / of, 6) if of else 0.0

    def _says_little(self, finding: Finding) -> bool:
        """Whether this holds beside a missed purpose, or by a mistake alone, or one sentence explains several
        failures."""
        half = sum(one.weight for one in self.findings) / 2
        missed = any(one.weight >= half and not one.holds for one in self.findings)
        return finding.holds and (finding.follows or missed or bool(self.note))

    @property
    def rows(self) -> Iterator[tuple[str, str, str]]:
        """A word for each finding, its claim and its hint. What an earlier hint explains may hold or not: it
        is 'not shown', and the hint not said again, nor one that is a bare number."""
        said: list[str] = []
        for one in self.findings:
            hint = "" if one.holds else one.hint
            known = hint in said and not self.exercise.questions
            if one.holds:
                word = "no further fault" if self._says_little(one) else "holds"
            else:
                word = "not shown" if known or one.follows or hint.startswith(COUNTS) else "fails"
                said.append(hint)
            bare = word == "not shown" and BARE.fullmatch(hint)
            yield word, one.claim, "" if known or bare else hint

    @property
    def why(self) -> str:
        return self.exercise.why if self.points == self.exercise.points else ""

    @property
    def title(self) -> str:
        return (
            f"Exercise {self.exercise.number}, {self.exercise.answer}: "
            f"{self.points:g} of {self.exercise.points} points"
        )

    def __repr__(self) -> str:
        return f"{self.points:.9g}"

    def __str__(self) -> str:
        """The report as text, for terminals."""
        lines = [self.title]
        if self.note:
            lines.append(f"  {self.note}")
        for word, claim, hint in self.rows:
            lines.append(f"  {word}: {claim}")
            if hint:
                lines.append(f"         {hint}")
        if self.why:
            lines.append(f"  Why: {self.why}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for word, claim, hint in self.rows:
            sign = {"holds": "✓ ", "fails": "✗ "}.get(word, "")
            rows.append(
                f"<li><strong>{sign}{word.capitalize()}:</strong> "
                f"{sentence(claim)}{f'<br><em>{sentence(hint)}</em>' if hint else ''}</li>"
            )
        note = f"<p>{sentence(self.note)}</p>" if self.note else ""
        items = f'<ul style="list-style:none;padding-left:0.5em">{"".join(rows)}</ul>' if rows else ""
        why = f"<details><summary>Why it works</summary>{sentence(self.why)}</details>" if self.why else ""
        return f"<div><strong>{sentence(self.title)}</strong>{note}{items}{why}{self.puzzle}</div>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Beside the views for readers, the bare numbers for programs."""
        numbers = {
            "exercise": self.exercise.number,
            "answer": self.exercise.answer,
            "points": self.points,
            "of": self.exercise.points,
        }
        return {"text/plain": repr(self), "text/html": self._repr_html_(), REPORT_MIME: numbers}


def verdict(exercise: Exercise, observation: Observation) -> Report:
    """Judge the evidence. Never raises: evidence that no probe would write earns nothing."""
    if observation.note:
        return Report(exercise, (), observation.note)
    if observation.entered:
        return Report(exercise, (), OWN.format(observation.entered[0]))
    try:
        with warnings.catch_warnings(), undisturbed(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            evidence = observation.evidence
            report = _report(exercise, observation.seed, evidence, exercise.judge(observation.seed, evidence))
    except Exception:  # forged evidence may make a judge stumble anywhere
        return Report(exercise, (), "What your answer returned has a form that could not be judged.")
    if not report.points and any(
        problem_with(observation.evidence, k) == NOT_YET for k in observation.evidence
    ):
        return Report(exercise, (), "Not yet: the exercise above is still to be solved.")
    return report


def _report(exercise: Exercise, seed: int, evidence: Evidence, findings: list[Finding]) -> Report:
    """The findings as a report; one sentence that explains several failures, and all, is said once."""
    hints = [finding.hint for finding in findings if not finding.holds]
    note = hints[0] if len(hints) > 1 and len(set(hints)) == 1 else ""
    if note:
        findings = [finding if finding.holds else replace(finding, hint="") for finding in findings]
    if not exercise.questions:
        findings = [*findings, _steady(evidence, seed, findings, hints)]
    return Report(exercise, tuple(findings), note)


def _steady(evidence: Evidence, seed: int, findings: list[Finding], hints: list[str]) -> Finding:
    """A sixth of every exercise: an answer leaves all as it was, and called again it gives the same.

    An answer of which nothing else holds has not shown that; a complaint said elsewhere costs nothing here,
    and beside any other it says little that nothing was seen.
    """
    claim = "called again it does the same, and it leaves what it is given and all switches as they were"
    weight = sum(finding.weight for finding in findings) / 5
    finding = is_fact(evidence, STEADY, seed, claim, weight, "")
    said = finding.hint in hints
    shown = any(one.holds for one in findings)
    if said and shown:
        return replace(finding, holds=True, claim="called again, beside what is said above", follows=True)
    return replace(
        finding,
        holds=finding.holds and shown,
        hint=finding.hint or UNSHOWN * (not shown),
        follows=finding.holds and not all(one.holds for one in findings),
    )


# --- for judges -------------------------------------------------------------------------------------


def problem_with(evidence: Evidence, *keys: str) -> str:
    """What kept the first of these, where one is none, from being numbers, or ''."""
    for key in keys:
        if key not in evidence:
            return "This could not be looked at."
        if evidence[key].dtype.kind == "U":
            return str(evidence[key].item())
    return ""


def close(actual: np.ndarray, expected: Any, tolerance: float) -> bool:
    """Same shape and the same numbers to a relative and absolute `tolerance`."""
    expected = as_array(expected)
    return actual.shape == expected.shape and bool(
        np.allclose(actual, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    )


def unless(claim: str, weight: float, hint: str) -> Finding:
    """A finding that holds where there is nothing to hint at."""
    return Finding(claim, not hint, weight, hint)


def is_fact(evidence: Evidence, key: str, seed: int, claim: str, weight: float, hint: str) -> Finding:
    """A finding that evidence[key] was recorded by `fact(seed, key, ...)` and is true."""
    problem = problem_with(evidence, key)
    true = not problem and close(evidence[key], fact(seed, key, True), 1e-9)
    return Finding(claim, true, weight, "" if true else problem or hint)

"""How an answer is checked: a probe looks, a judge decides.

The *probe* runs beside the student's code. It calls the answer on inputs drawn from a seed and records
what came out as plain arrays, the evidence. The *judge* sees only the seed and the evidence, works out
from an independent source what should have come out, and gives points and one message per finding. The
two halves share nothing but those plain arrays, so a judge may sit in another process than the answer.

A check never raises. What goes wrong in an answer becomes evidence too, under the same key: an array
holding one string.
"""

from __future__ import annotations

import contextlib
import html
import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Evidence = dict[str, np.ndarray]
REPORT_MIME = "application/vnd.vae-course.report+json"


class NotYet(Exception):
    """The answer is not written yet."""


@dataclass(frozen=True)
class Finding:
    """One property of the answer: what should hold, whether it does, its worth, the likely mistake."""

    claim: str
    holds: bool
    points: float
    hint: str = ""


@dataclass(frozen=True)
class Exercise:
    """An autograded exercise: `answer` is the name that the student's code defines."""

    number: str
    answer: str
    points: int
    probe: Callable[[Any, int], Evidence]
    judge: Callable[[int, Evidence], list[Finding]]


@dataclass(frozen=True)
class Report:
    """What a check found. It displays as a report and reads as the number of points.

    nbgrader takes the text of a graded cell's result, as a number, for its score: hence `repr`.
    """

    exercise: Exercise
    findings: tuple[Finding, ...]
    note: str = ""

    @property
    def points(self) -> float:
        return sum(finding.points for finding in self.findings if finding.holds)

    @property
    def title(self) -> str:
        return (
            f"Exercise {self.exercise.number}, {self.exercise.answer}: "
            f"{self.points:g} of {self.exercise.points} points"
        )

    def __repr__(self) -> str:
        return f"{self.points:g}"

    def __str__(self) -> str:
        """The report as text, for terminals."""
        lines = [self.title]
        if self.note:
            lines.append(f"  {self.note}")
        for finding in self.findings:
            lines.append(f"  {'holds' if finding.holds else 'fails'}: {finding.claim}")
            if not finding.holds and finding.hint:
                lines.append(f"         {finding.hint}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for finding in self.findings:
            sign, colour = ("✓", "#00704e") if finding.holds else ("✗", "#a33b00")
            hint = "" if finding.holds or not finding.hint else f"<br><em>{_text(finding.hint)}</em>"
            rows.append(
                f'<li><span style="color:{colour};font-weight:bold">{sign}</span> '
                f"{_text(finding.claim)}{hint}</li>"
            )
        note = f"<p>{_text(self.note)}</p>" if self.note else ""
        items = f'<ul style="list-style:none;padding-left:0.5em">{"".join(rows)}</ul>' if rows else ""
        return f"<div><strong>{_text(self.title)}</strong>{note}{items}</div>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Beside the views for readers, the bare numbers for programs such as `course run`."""
        numbers = {
            "exercise": self.exercise.number,
            "answer": self.exercise.answer,
            "points": self.points,
            "of": self.exercise.points,
        }
        return {"text/plain": repr(self), "text/html": self._repr_html_(), REPORT_MIME: numbers}


def _text(sentence: str) -> str:
    """A sentence as HTML; what stands between backquotes becomes code."""
    parts = html.escape(sentence).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


def run(exercise: Exercise, namespace: Mapping[str, Any], seed: int) -> Report:
    """Probe and judge the answer that `namespace` holds.

    Whatever the answer prints to stderr stays out of the notebook: nbgrader scores a graded cell with
    any stderr output 0, and a warning is no mistake.
    """
    answer = namespace.get(exercise.answer)
    if answer is None:
        return Report(exercise, (), f"`{exercise.answer}` is not defined: run the cell above first.")
    try:
        with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings(), _own_randomness():
            warnings.simplefilter("ignore")
            evidence = exercise.probe(answer, seed)
    except NotYet:
        return Report(exercise, (), "Not yet: the exercise above is still to be solved.")
    with warnings.catch_warnings(), _own_randomness():
        warnings.simplefilter("ignore")
        return Report(exercise, tuple(exercise.judge(seed, evidence)))


@contextlib.contextmanager
def _own_randomness() -> Any:
    """Checks draw random numbers without disturbing those of the lesson that follows."""
    with torch.random.fork_rng(), torch.enable_grad():
        yield


# --- for probes -----------------------------------------------------------------------------------


def record(evidence: Evidence, key: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Call `function` and keep what it returns as evidence[key], or the sentence that says what went wrong.

    Raises NotYet for an answer that raises NotImplementedError.
    """
    try:
        evidence[key] = as_array(function(*args, **kwargs))
    except NotImplementedError:
        raise NotYet from None
    except Exception as problem:  # an answer may raise anything; the report says it
        sentence = str(problem).strip().partition("\n")[0]
        evidence[key] = np.array(f"{type(problem).__name__}: {sentence}")


def as_array(value: Any) -> np.ndarray:
    """A returned value as a plain array of numbers; TypeError says what it is instead."""
    if value is None:
        raise TypeError("it returned None; is a `return` missing?")
    with torch.no_grad():
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(_detached(value))
    if array.dtype.kind not in "bifu":
        raise TypeError(f"it returned a {type(value).__name__}, not numbers")
    return array


def _detached(value: Any) -> Any:
    """Tensors inside lists and tuples without their graphs, which NumPy refuses."""
    if isinstance(value, list | tuple):
        return [_detached(item) for item in value]
    return value.detach().cpu() if isinstance(value, Tensor) else value


def generator(seed: int, stream: int = 0) -> torch.Generator:
    """Random numbers that depend on the seed and on the purpose `stream` alone."""
    return torch.Generator().manual_seed(seed * 1009 + stream)


# --- for judges -----------------------------------------------------------------------------------


def problem_with(evidence: Evidence, key: str) -> str:
    """What kept evidence[key] from being numbers, or ''."""
    if key not in evidence:
        return "This could not be looked at."
    value = evidence[key]
    return f"Your code stopped with {value.item()}" if value.dtype.kind == "U" else ""


def close(actual: np.ndarray, expected: Any, tolerance: float) -> bool:
    """Same shape and the same numbers to a relative and absolute `tolerance`."""
    expected = as_array(expected)
    return actual.shape == expected.shape and bool(
        np.allclose(actual, expected, rtol=tolerance, atol=tolerance)
    )


def expect(
    evidence: Evidence,
    key: str,
    expected: Any,
    claim: str,
    points: float,
    mistakes: Mapping[str, Any] | None = None,
    tolerance: float = 1e-4,
) -> Finding:
    """A finding that evidence[key] equals `expected`.

    `mistakes` maps a hint to the value that the mistake it describes would give: the first one that the
    evidence equals is the diagnosis.
    """
    problem = problem_with(evidence, key)
    if problem:
        return Finding(claim, False, points, problem)
    actual = evidence[key]
    if close(actual, expected, tolerance):
        return Finding(claim, True, points)
    for hint, wrong in (mistakes or {}).items():
        if close(actual, wrong, tolerance):
            return Finding(claim, False, points, hint)
    wanted = as_array(expected)
    if actual.shape != wanted.shape:
        return Finding(claim, False, points, f"It has shape {actual.shape}; expected {wanted.shape}.")
    if not np.isfinite(actual).all():
        return Finding(claim, False, points, "It contains NaN or infinity.")
    difference = np.abs(actual.astype(float) - wanted).max()
    return Finding(claim, False, points, f"Largest difference: {difference:.3g}.")


def holds(evidence: Evidence, key: str, claim: str, points: float, hint: str) -> Finding:
    """A finding that evidence[key], recorded as a truth value, is true."""
    problem = problem_with(evidence, key)
    if problem:
        return Finding(claim, False, points, problem)
    true = bool(np.all(evidence[key]))
    return Finding(claim, true, points, "" if true else hint)

"""How an answer is checked: a probe looks, a judge decides.

The *probe* runs beside the student's code. It calls the answer on inputs drawn from a seed and records
what came out as plain arrays, the evidence (see `evidence`). The *judge* sees only the seed and the
evidence, works out from an independent source what should have come out, and gives points and one message
per finding. The two halves share nothing but those plain arrays, so a judge may sit in another process
than the answer; in grading it does.

A check never raises. What goes wrong in an answer becomes evidence too: a sentence.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from course_utils.checks.evidence import NOT_YET, Evidence, as_array, pack, quiet, sentence
from course_utils.checks.inputs import fact, seed_draws

REPORT_MIME = "application/vnd.vae-course.report+json"
EVIDENCE_MIME = "application/vnd.vae-course.evidence+json"
SEED_VARIABLE = "COURSE_CHECK_SEED"  # set by the grader; it also asks for the evidence itself


@dataclass(frozen=True)
class Finding:
    """One property of the answer: what should hold, whether it does, its weight, the likely mistake.

    An exercise's points are shared out by weight. So the findings of one exercise weigh the same together,
    whatever its judge finds (tests/checks/test_bank.py looks).
    """

    claim: str
    holds: bool
    weight: float
    hint: str = ""


@dataclass(frozen=True)
class Exercise:
    """An autograded exercise.

    `answer` is the name that the student's code defines; `reference` names what the package holds of its
    solution, as `module.name`, for those who look after students' own work. `measured` names the variable
    that a prediction stands beside (see `predictions`), which its probe gets as well, and `questions` holds
    the answers on offer for each of its questions.
    """

    number: str
    answer: str
    points: int
    probe: Callable[..., None]
    judge: Callable[[int, Evidence], list[Finding]]
    reference: tuple[str, ...] = ()
    measured: str = ""
    questions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """What a probe brings back; `note` says why there is no evidence, where there is none."""

    seed: int
    evidence: Evidence
    note: str = ""

    @property
    def digest(self) -> str:
        """The same for two probes that brought back the very same, bit for bit."""
        whole = json.dumps([self.seed, self.note, pack(self.evidence)], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()

    def packed(self, exercise: Exercise) -> dict[str, Any]:
        """As what JSON can hold, with the name of the exercise that it belongs to."""
        return {
            "answer": exercise.answer,
            "seed": self.seed,
            "note": self.note,
            "evidence": pack(self.evidence),
        }


@dataclass(frozen=True)
class Report:
    """What a check found. It displays as a report and reads as the number of points.

    nbgrader takes the text of a graded cell's result, as a number, for its score: hence `repr`.
    """

    exercise: Exercise
    findings: tuple[Finding, ...]
    note: str = ""
    observation: Observation | None = None  # only for a grader

    @property
    def points(self) -> float:
        """The exercise's points in the share, by weight, of the findings that hold."""
        of = sum(finding.weight for finding in self.findings)
        held = sum(finding.weight for finding in self.findings if finding.holds)
        # Rounded: a hair above the maximum would be an error for nbgrader.
        return round(self.exercise.points * held / of, 6) if of else 0.0

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
        """Beside the views for readers, the bare numbers for programs, and evidence for a grader."""
        numbers = {
            "exercise": self.exercise.number,
            "answer": self.exercise.answer,
            "points": self.points,
            "of": self.exercise.points,
        }
        bundle = {"text/plain": repr(self), "text/html": self._repr_html_(), REPORT_MIME: numbers}
        if self.observation is not None:
            bundle[EVIDENCE_MIME] = self.observation.packed(self.exercise)
        return bundle


def _text(sentence: str) -> str:
    """A sentence as HTML; what stands between backquotes becomes code."""
    parts = html.escape(sentence).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))


# --- the two halves, and both together --------------------------------------------------------------


def observe(exercise: Exercise, namespace: Mapping[str, Any], seed: int) -> Observation:
    """Probe the answer that `namespace` holds. Never raises."""
    answer = namespace.get(exercise.answer)
    if answer is None:
        return Observation(
            seed,
            {},
            f"`{exercise.answer}` is not defined: run the cell above first, and mend it if it fails.",
        )
    if hasattr(answer, "_torchdynamo_orig_callable"):
        note = f"Compiling `{exercise.answer}` takes longer than a check may: take `torch.compile` away."
        return Observation(seed, {}, note)
    try:
        with quiet(), _undisturbed():
            seed_draws(seed)  # the same evidence, whatever ran before
            beside = (namespace.get(exercise.measured),) if exercise.measured else ()
            evidence: Evidence = {}
            exercise.probe(evidence, _function(exercise, answer), seed, *beside)
            return Observation(seed, evidence)
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # whatever an answer raises where nothing was expected
        return Observation(seed, {}, sentence(problem))


def _function(exercise: Exercise, answer: Any) -> Any:
    """The answer; where a function is asked for and a class with `__call__` was written, an instance."""
    if exercise.answer[0].isupper() or not isinstance(answer, type):
        return answer
    if any("__call__" in vars(base) for base in answer.__mro__):
        with contextlib.suppress(Exception):
            return answer()
    return answer


def verdict(exercise: Exercise, observation: Observation) -> Report:
    """Judge the evidence. Never raises: evidence that no probe would write earns nothing."""
    if observation.note:
        return Report(exercise, (), observation.note)
    try:
        with warnings.catch_warnings(), _undisturbed(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            report = _report(exercise, exercise.judge(observation.seed, observation.evidence))
    except Exception:  # forged evidence may make a judge stumble anywhere
        return Report(exercise, (), "What your answer returned has a form that could not be judged.")
    if not report.points and any(
        problem_with(observation.evidence, k) == NOT_YET for k in observation.evidence
    ):
        return Report(exercise, (), "Not yet: the exercise above is still to be solved.")
    return report


def _report(exercise: Exercise, findings: list[Finding]) -> Report:
    """The findings as a report; one sentence that explains several failures, and all, is said once."""
    hints = [finding.hint for finding in findings if not finding.holds]
    if len(hints) == 1 or len(set(hints)) != 1:
        return Report(exercise, tuple(findings))
    unexplained = (finding if finding.holds else replace(finding, hint="") for finding in findings)
    return Report(exercise, tuple(unexplained), hints[0])


def run(exercise: Exercise, namespace: Mapping[str, Any], seed: int | None = None) -> Report:
    """Probe and judge. The seed is the grader's where one grades, otherwise 0."""
    asked = os.environ.get(SEED_VARIABLE, "")
    if seed is None:
        seed = int(asked) if asked.isdecimal() else 0
    observation = observe(exercise, namespace, seed)
    report = verdict(exercise, observation)
    return Report(exercise, report.findings, report.note, observation if asked else None)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Probe and judge draw alike, whatever defaults a lesson has set, and leave its random numbers alone."""
    dtype, here = torch.get_default_dtype(), torch.get_default_device().type == "cpu"
    torch.set_default_dtype(torch.float32)
    device = contextlib.nullcontext() if here else torch.device("cpu")  # which every call would pass through
    try:
        with device, torch.random.fork_rng(), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)


# --- for judges -------------------------------------------------------------------------------------

CHANGED = "Your function changes its inputs: work on new tensors."


def problem_with(evidence: Evidence, key: str) -> str:
    """What kept evidence[key] from being numbers, or ''."""
    if key not in evidence:
        return "This could not be looked at."
    value = evidence[key]
    return str(value.item()) if value.dtype.kind == "U" else ""


def close(actual: np.ndarray, expected: Any, tolerance: float) -> bool:
    """Same shape and the same numbers to a relative and absolute `tolerance`."""
    expected = as_array(expected)
    return actual.shape == expected.shape and bool(
        np.allclose(actual, expected, rtol=tolerance, atol=tolerance)
    )


def diagnosis(evidence: Evidence, key: str, values: Mapping[Any, Any], tolerance: float = 1e-4) -> Any:
    """The name of the first of `values` that evidence[key] equals; None where it equals none."""
    if problem_with(evidence, key):
        return None
    return next((name for name, value in values.items() if close(evidence[key], value, tolerance)), None)


def unless(claim: str, weight: float, hint: str) -> Finding:
    """A finding that holds where there is nothing to hint at."""
    return Finding(claim, not hint, weight, hint)


def untouched(finding: Finding, evidence: Evidence, key: str, given: Any) -> Finding:
    """The finding, unless evidence[key] shows that the answer changed the inputs it was `given`."""
    if finding.holds and not close(evidence[key], given, 0):
        return replace(finding, holds=False, hint=CHANGED)
    return finding


def expect(
    evidence: Evidence,
    key: str,
    expected: Any,
    claim: str,
    weight: float,
    mistakes: Mapping[str, Any] | None = None,
    tolerance: float = 1e-4,
    *,
    not_finite: str = "",
) -> Finding:
    """A finding that evidence[key] equals `expected`.

    `mistakes` maps a hint to the value that the mistake it describes would give: the first one that the
    evidence equals is the diagnosis. `not_finite` is the hint where a number is NaN or infinite.
    """
    problem = problem_with(evidence, key)
    if problem:
        return Finding(claim, False, weight, problem)
    if not_finite and not np.isfinite(evidence[key]).all():
        return Finding(claim, False, weight, not_finite)
    hint = diagnosis(evidence, key, {"": expected, **(mistakes or {})}, tolerance)
    return unless(claim, weight, _unlike(evidence[key], as_array(expected)) if hint is None else hint)


def _unlike(actual: np.ndarray, wanted: np.ndarray) -> str:
    """What can be said where no mistake explains the numbers."""
    if actual.shape != wanted.shape:
        return f"It has shape {actual.shape}; expected {wanted.shape}."
    if not np.isfinite(actual).all():
        return "It contains NaN or infinity."
    return f"Largest difference: {np.abs(actual.astype(float) - wanted).max():.3g}."


def is_fact(evidence: Evidence, key: str, seed: int, claim: str, weight: float, hint: str) -> Finding:
    """A finding that evidence[key] was recorded by `fact(seed, key, ...)` and is true."""
    problem = problem_with(evidence, key)
    true = not problem and close(evidence[key], fact(seed, key, True), 1e-9)
    return Finding(claim, true, weight, "" if true else problem or hint)

"""Predictions: said before the cell that finds out.

A prediction earns its points by being made: for each question, one of the answers on offer. What the lesson
then measures stands beside it in the report and earns nothing, right or wrong: who is paid for being right
looks first. Under the smoke budget, in which models hardly learn, there is nothing to compare with.

The answer, `predict_holes` say, is a function without arguments that returns {question: answer}; the lesson
keeps what it measures in the same form, as `measured_holes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from course_utils import settings
from course_utils.checks.core import Exercise, Finding, is_fact, problem_with
from course_utils.checks.evidence import Evidence, NotNumbers, record
from course_utils.checks.inputs import fact

Questions = Mapping[str, tuple[tuple[str, ...], str]]  # the answers on offer, and why it comes out as it does
Offered = Mapping[str, tuple[str, ...]]

HINT = "Answer every question with one of the answers on offer, word for word."


def prediction(number: str, answer: str, questions: Questions) -> Exercise:
    """An exercise of one point."""
    offered = {question: answers for question, (answers, _) in questions.items()}
    measured = answer.replace("predict", "measured")
    judge = partial(_judge, questions)
    return Exercise(number, answer, 1, partial(_probe, offered), judge, measured=measured, questions=offered)


def _probe(offered: Offered, evidence: Evidence, answer: Callable[[], Any], seed: int, measured: Any) -> None:
    record(evidence, "predicted", lambda: _chosen(offered, answer()))
    record(evidence, "made", fact, seed, "made", evidence["predicted"].dtype.kind != "U")
    if settings.budget().name != "smoke":
        record(evidence, "measured", _chosen, offered, measured)


def _chosen(offered: Offered, said: Any) -> list[int]:
    """The place of each answer among those on offer."""
    if not isinstance(said, Mapping):
        raise NotNumbers(f"It returned a {type(said).__name__}; return a dict with an answer per question.")
    for question, answers in offered.items():
        if said.get(question) not in answers:
            listed = ", ".join(f"'{answer}'" for answer in answers)
            raise NotNumbers(
                f"For '{question}' it says {said.get(question)!r}; the answers on offer are {listed}."
            )
    return [answers.index(said[question]) for question, answers in offered.items()]


def _judge(questions: Questions, seed: int, evidence: Evidence) -> list[Finding]:
    claim = "every question has a prediction"
    problem = problem_with(evidence, "predicted")
    if problem:
        return [Finding(claim, False, 1, problem)]
    findings = [is_fact(evidence, "made", seed, claim, 1, HINT)]
    if "measured" not in evidence or not findings[0].holds:  # evidence of another run says nothing
        return findings
    if problem_with(evidence, "measured"):
        note = "Run the cells between your prediction and this one."
        return [*findings, Finding("what was measured stands beside it", False, 0, note)]
    rows = zip(questions.items(), evidence["predicted"], evidence["measured"], strict=True)
    for (question, (answers, why)), predicted, measured in rows:
        said, seen = answers[int(predicted)], answers[int(measured)]
        findings.append(Finding(f"{question}: predicted '{said}', measured '{seen}'", said == seen, 0, why))
    return findings

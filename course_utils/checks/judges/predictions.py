"""Predictions: said before the cell that finds out.

A prediction earns its points by being made: for each question, one of the answers on offer. What the lesson
then measures stands beside it in the report and earns nothing, right or wrong: who is paid for being right
looks first. Under the smoke budget, in which models hardly learn, there is nothing to compare with.

The answer, `predict_holes` say, is a function without arguments that returns {question: answer}; the lesson
keeps what it measures in the same form, as `measured_holes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from course_utils.checks.judges.core import Exercise, Finding, is_fact, problem_with
from course_utils.checks.probes.evidence import Evidence
from course_utils.checks.probes.predictions import Offered

HINT = "Answer every question with one of the answers on offer, word for word."


def prediction(number: str, answer: str, offered: Offered, *reasons: str) -> Exercise:
    """An exercise of one point; `reasons` say of each question why it comes out as it does."""
    return Exercise(number, answer, 1, partial(_judge, offered, reasons), questions=offered)


def _judge(offered: Offered, reasons: Sequence[str], seed: int, evidence: Evidence) -> list[Finding]:
    claim = "every question has a prediction"
    if problem := problem_with(evidence, "predicted"):
        return [Finding(claim, False, 1, problem)]
    findings = [is_fact(evidence, "made", seed, claim, 1, HINT)]
    if "measured" not in evidence or not findings[0].holds:  # evidence of another run says nothing
        return findings
    if problem_with(evidence, "measured"):
        note = "Run the cells between your prediction and this one."
        return [*findings, Finding("what was measured stands beside it", False, 0, note)]
    rows = zip(offered.items(), reasons, evidence["predicted"], evidence["measured"], strict=True)
    for (question, answers), why, predicted, measured in rows:
        said, seen = answers[int(predicted)], answers[int(measured)]
        findings.append(Finding(f"{question}: predicted '{said}', measured '{seen}'", said == seen, 0, why))
    return findings

"""Predictions: an answer to each question, made before the cell that finds out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from course_utils import settings
from course_utils.checks.probes.evidence import Evidence, NotNumbers, record
from course_utils.checks.probes.inputs import fact

Offered = Mapping[str, tuple[str, ...]]  # the answers on offer, by question


def prediction(offered: Offered) -> Callable[..., None]:
    """The probe of a prediction; it is also given what the lesson has measured."""
    return partial(_probe, offered)


def measured(answer: str) -> str:
    """The variable in which the lesson keeps what it measures, '' where the answer is no prediction."""
    return answer.replace("predict", "measured") if answer.startswith("predict_") else ""


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

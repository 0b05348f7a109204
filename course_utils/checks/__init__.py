"""What the graded cells call: `check("gaussian_kl", globals())`.

A *probe* runs beside the student's code, calls the answer and records what came out; a *judge* sees only
that record and the seed, and gives points and one message per finding. `check` asks both. A grader asks the
probe in the student's kernel and the judge in its own process: the two share nothing but plain arrays.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from course_utils.checks import versions
from course_utils.settings import CourseError

ELSEWHERE = "Answers are judged elsewhere while this notebook is graded."
versions.note_runs()


def _judged_here() -> bool:
    """Whether judges are here: in a grader's kernel their room is empty."""
    try:
        return find_spec(f"{__name__}.judges.core") is not None
    except ModuleNotFoundError:
        return False


def check(answer: str, namespace: Mapping[str, Any], seed: int = 0) -> Any:
    """A `Report` on the notebook's answer of that name: what holds, what fails and why.

    In a grader's kernel, where no judge is, a sentence says so. Raises CourseError for a name that no
    exercise has.
    """
    from course_utils.checks.probes import PROBES, observe  # here, so that a lesson begins sooner

    if answer not in PROBES:
        raise CourseError(f"No exercise asks for '{answer}'; did the graded cell change?")
    if not _judged_here():
        return ELSEWHERE
    from course_utils.checks.judges import EXERCISES, core, standing, worked

    report = core.verdict(EXERCISES[answer], observe(answer, namespace, seed, EXERCISES[answer].reference))
    if answer in namespace and not report.note.startswith("Not yet"):  # an honest try
        standing.note(report, versions.source(namespace[answer]))
        if report.points < report.exercise.points:
            report = replace(report, puzzle=worked.puzzle(answer))
    if versions.earlier(namespace.get(answer)):
        report = replace(report, note=f"{versions.EARLIER} {report.note}".strip())
    if "NBGRADER_VALIDATING" in os.environ and report.points < report.exercise.points:
        # nbgrader's Validate shows what a cell complains of, or one sentence that fits nobody.
        print(report, file=sys.stderr)
    return report


def solved(answer: str, own: Any, reference: Any) -> Any:
    """The notebook's own answer where it has all points; otherwise `reference`, and a line that says so."""
    if _judged_here():
        from course_utils.checks.judges import EXERCISES, core
        from course_utils.checks.probes import observe

        report = core.verdict(EXERCISES[answer], observe(answer, {answer: own}, 0))
        if report.points == report.exercise.points:
            return own
    print(f"`{answer}` is still to be solved: the lesson's own steps in.")
    return reference


def progress() -> Any:
    """Where you stand: exercises, points, tries, worked solutions where you have earned them."""
    if not _judged_here():
        return ELSEWHERE
    from course_utils.checks.judges import standing

    return standing.Progress()

"""Sixty strangers' answers that the checks misjudged or misread on 28 November 2026, where they are at hand.

Their twins of our own are in the bank. Run as a program, this renews their table in docs/kept-points.md.
"""

import contextlib
import io
import json

import pytest
from programs import ROOT

from bank import Answer
from course_utils.checks import check
from course_utils.checks.judges.core import Report
from courseware import record

FILE = ROOT.parent / "shared" / "cases" / "graders" / "cases.json"
CASES = json.loads(FILE.read_text("utf-8")) if FILE.is_file() else []
REFUSED = ["ConvDecoder: functional with own parameters"]  # right then: its text now has no first ReLU


def name(case: dict[str, str]) -> str:
    return f"{case['exercise']}: {case['mistake'] or case['style']}"


def report(case: dict[str, str]) -> Report:
    with contextlib.redirect_stdout(io.StringIO()):
        return check(case["exercise"], Answer(case["exercise"], "", case["code"]).namespace(), 0)


@pytest.mark.skipif(not CASES, reason=f"The strangers' answers are not on this machine: {FILE} is missing.")
def test_of_strangers_answers_the_right_ones_are_accepted_and_the_wrong_ones_are_not() -> None:
    full = {name(case): (one := report(case)).points == one.exercise.points for case in CASES}
    assert len(full) == 60
    assert full == {name(case): case["verdict"] == "right" and name(case) not in REFUSED for case in CASES}


def row(case: dict[str, str]) -> tuple[str, ...]:
    """Exercise, mistake, what was said then and is said now, each by its first sentence, and the points."""
    now = report(case)
    said = next(filter(None, [now.note, *(hint for *_, hint in now.rows)]), "")
    exercise, points = now.exercise, f"{now.points:.3g}"
    cells = (case["mistake"] or f"none: {case['style']}", case["today"].partition(" / ")[0], points, said)
    where = f"{exercise.number} `{exercise.answer}`, of {exercise.points}"
    return where, *(cell.partition(". ")[0].strip(".").replace("|", "\\|") for cell in cells)


if __name__ == "__main__":
    columns = ("exercise", "mistake", "then", "keeps", "hears first")
    record.quote(ROOT, "strangers", record.table(columns, sorted(map(row, CASES))))

"""Lines to put in order: taken from the bank, an answer that works among them, shown after an honest try."""

from __future__ import annotations

import pytest

from bank.answers import Answer, notebook_names
from course_utils.checks import check
from course_utils.checks.judges import puzzles
from courseware.authoring import puzzles as making

MADE = making.made()


def test_twenty_exercises_have_a_puzzle_and_the_kept_ones_are_those_of_the_bank():
    assert len(MADE) >= 20
    assert puzzles.FILE.read_text(encoding="utf-8") == making.text(), "`course build` makes them anew"


@pytest.mark.parametrize("answer", MADE)
def test_the_lines_in_order_earn_all_points_and_those_too_many_are_others(answer):
    found = puzzles.puzzle(answer)
    report = check(answer, Answer(answer, "", "\n".join(found["right"])).namespace())
    assert report.points == report.exercise.points
    assert report.puzzle == ""
    assert len(found["wrong"]) == 3 and not {line for line, _ in found["wrong"]} & {*found["right"]}


def test_no_line_is_shown_before_an_honest_try():
    names = notebook_names()
    assert "<ol>" not in check("reparameterize", names)._repr_html_()
    exec("def reparameterize(mu, logvar, eps=None):\n    raise NotImplementedError", names)
    assert "<ol>" not in check("reparameterize", names)._repr_html_()
    exec("def reparameterize(mu, logvar, eps=None):\n    return mu", names)
    shown = check("reparameterize", names)._repr_html_()
    assert shown.count("<li data-is=") == len(MADE["reparameterize"]["right"]) + 3

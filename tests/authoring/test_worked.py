"""Worked answers: made of solutions/ and the bank, and shown to nobody who has not tried."""

import json
from pathlib import Path

import pytest
import tiers

from bank.answers import Answer, notebook_names
from course_utils import settings
from course_utils.checks import check, progress, versions
from course_utils.checks.judges import EXERCISES, standing, worked
from courseware.authoring import worked as making

ROOT = Path(__file__).resolve().parents[2]
MADE = making.made(ROOT)
PUZZLES = [name for name, one in MADE.items() if "right" in one]
WRONG = "def reparameterize(mu, logvar, eps=None):\n    return mu"


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A course's folder of somebody who watches."""
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(settings, "project_folder", lambda: tmp_path)
    return tmp_path


def tried(code: str, answer: str = "reparameterize"):
    names = notebook_names()
    exec(code, names)
    return check(answer, names)


def test_twenty_exercises_have_lines_to_order_and_the_kept_ones_are_those_of_solutions_and_bank():
    assert len(PUZZLES) >= 20
    assert {name for name in EXERCISES if not EXERCISES[name].questions} == set(MADE)
    assert worked.FILE.read_text(encoding="utf-8") == making.text(ROOT), "`course build` makes them anew"


@pytest.mark.parametrize("answer", tiers.exercises(PUZZLES))
def test_the_lines_in_order_earn_all_points_and_those_too_many_are_others(answer):
    found = worked.every()[answer]
    report = check(answer, Answer(answer, "", "\n".join(found["right"])).namespace())
    assert report.points == report.exercise.points
    assert report.puzzle == ""
    assert len(found["wrong"]) == 3 and not {line for line, _ in found["wrong"]} & {*found["right"]}


def test_no_line_is_shown_before_an_honest_try(home):
    assert "<ol>" not in tried("")._repr_html_()
    stub = WRONG.replace("return mu", "raise NotImplementedError")
    assert "<ol>" not in tried(stub)._repr_html_()
    assert not standing.file().exists()
    shown = tried(WRONG)._repr_html_()
    assert shown.count("<li data-is=") == len(MADE["reparameterize"]["right"]) + 3


def test_a_worked_solution_unfolds_after_full_points_or_enough_tries(home):
    solution = MADE["reparameterize"]["solution"]
    for of in range(1, standing.TRIES + 1):
        tried(WRONG)
        (row,) = (row for row in standing.rows() if row.tries)
        unfolded = solution if of == standing.TRIES else ""
        assert (row.answer, row.tries, row.worked) == ("reparameterize", of, unfolded)
    tried(MADE["gaussian_kl"]["solution"], "gaussian_kl")
    assert f"1 of {len(EXERCISES)} exercises solved" in repr(progress())
    assert progress()._repr_html_().count("Worked solution") == 2


def test_the_best_try_counts_and_a_damaged_file_costs_only_what_it_held(home):
    tried(MADE["reparameterize"]["solution"])
    tried(WRONG)
    assert json.loads(standing.file().read_text())["reparameterize"][:2] == [3, 2]
    for damaged in ("{", '{"reparameterize": ["three", null]}', '{"reparameterize": 3}', "[]"):
        standing.file().write_text(damaged)
        assert not any(row.tries for row in standing.rows())
        tried(WRONG)
        assert json.loads(standing.file().read_text()).keys() == {"reparameterize"}
        assert [row.tries for row in standing.rows() if row.tries] == [1]


def test_the_same_cell_run_again_is_no_new_try(home, monkeypatch):
    for source, tries in (("a", 1), ("a", 1), ("b", 2), ("a", 3), ("", 4), ("", 5)):
        monkeypatch.setattr(versions, "source", lambda answer, read=source: read)
        tried(WRONG)
        assert [row.tries for row in standing.rows() if row.tries] == [tries]


def test_a_teacher_may_leave_the_worked_answers_out(home, monkeypatch):
    monkeypatch.setattr(worked, "FILE", home / "none.json")
    worked.every.cache_clear()
    assert tried(WRONG).puzzle == "" and {row.worked for row in standing.rows()} == {""}
    worked.every.cache_clear()

"""The summary of a graded class says what the records hold."""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nbgrader.api import Gradebook

from course_utils.checks.judges import core
from course_utils.checks.words import ENDLESS
from courseware import doctor
from courseware.classroom import summary
from courseware.classroom.export import Export
from courseware.grading import work
from courseware.grading.judging import Verdict
from courseware.grading.kernel import seccomp
from courseware.grading.reasons import Fault, Reason
from courseware.grading.submission.own_work import Remark
from courseware.grading.work import Notebook, Result

SIGMA = "sigma is exp(logvar / 2)"


def result(student, points, hints: dict[str, str], faults=(), remarks=(), sandboxed=True, note="") -> Result:
    verdicts = [
        Verdict("2.1", "gaussian_kl", points, 3.0, note, hints),
        Verdict("2.10", "late_one", 1.0, 1.0, "", {}),
        Verdict("2.2", "reparameterize", 2.0, 2.0, "", {}),
    ]
    notebook = Notebook("", "", {"a": points, "essay": None}, {}, verdicts, list(remarks))
    audit = {"terms": vars(work.Rules(sandboxed=sandboxed)), "released": "old" if student == "ada" else "now"}
    return Result(student, "02-theory", "", None, 1, list(faults), {"theory": notebook}, audit)


CLASS = [
    result("ada", 3.0, {}),
    result("bob", 1.0, {"one claim": SIGMA, "another": SIGMA, "a third": core.UNSHOWN}),
    result("cy", 0.0, {"one claim": SIGMA}, [Fault(Reason.KILLED, "theory", "cell 3")]),
    result("dee", 0.0, {}, [Fault(Reason.TIMEOUT, "theory", "cell 4")], sandboxed=False, note="=Not yet."),
    result("eve", 3.0, {}, remarks=[Remark("a", 1, "x", "reaches for the checks")]),
]


@pytest.fixture
def found() -> summary.Summary:
    return summary.of(CLASS, "now", {"ada": (0.0, 1), "bob": (1.5, 2)}, ["ada", "zoe"])


def test_exercises_stand_in_order_with_shares_of_students_with_all_some_and_no_points(found):
    assert [one.number for one in found.exercises] == ["2.1", "2.2", "2.10"]
    assert found.exercises[0].shares() == (2 / 5, 1 / 5, 2 / 5)


def test_a_mistake_is_counted_once_for_each_student_who_made_it(found):
    assert found.mistakes == [(2, "2.1", SIGMA), (1, "2.1", "=Not yet.")]


def test_a_look_is_asked_for_where_more_than_an_answer_is_wrong(found):
    assert found.for_a_look == {
        "zoe": ["not graded: call `course grade` again"],
        "bob": ["late: 1.5 points taken"],
        "cy": ["theory: killed (cell 3)"],
        "dee": ["theory: timeout (cell 4)"],
        "eve": ["theory: cell a, line 1: reaches for the checks: x"],
    }


def test_answers_for_a_person_and_results_without_a_sandbox_or_of_an_earlier_release_are_counted(found):
    assert (found.students, found.by_hand, found.unsafe, found.outdated) == (5, 3, 1, 1)
    assert "1 results are of an earlier release" in found.warnings("02-theory")[1]


def test_a_wall_that_this_machine_has_not_is_a_warning(found, monkeypatch):
    assert not [said for said in found.warnings("02-theory") if "libseccomp" in said]
    monkeypatch.setattr(seccomp, "compiled", lambda: b"")
    assert [said for said in found.warnings("02-theory") if "install libseccomp" in said]
    assert "install libseccomp" in doctor.sandbox().advice


def test_what_matters_most_comes_first():
    reasons = Reason.MISSING_CELLS, Reason.TIMEOUT, Reason.FORGED
    forged = [Fault(reason, "theory", "x") for reason in reasons]
    one = result("ada", 0.0, {"one": ENDLESS}, forged, [Remark("a", 1, "x", "reaches for the checks")])
    (why,) = summary.of([one], "now", {"ada": (2.0, 0)}).for_a_look.values()
    assert [line.partition(" (")[0] for line in why] == [
        "theory: forged",
        "theory: missing cells",
        "theory: timeout",
        "points were lost to a limit of time",
        "theory: cell a, line 1: reaches for the checks: x",
        "late: 2 points taken",
    ]


def test_errors_that_differ_only_in_what_a_student_wrote_are_one_mistake():
    note = "The answer's cell cannot be read as Python: SyntaxError"
    both = [result(what, 0.0, {}, note=f"{note}: {what}") for what in ("'(' ...", "x y")]
    assert summary.of(both, "", {}).mistakes == [(2, "2.1", note)]


def test_the_chart_says_in_words_what_it_shows(found):
    assert "2.1 gaussian_kl: all points 40%, some 20%, none 40%" in found.chart("02-theory").alt


def test_what_is_written_has_a_row_per_student_and_exercise_and_no_formula(found, tmp_path):
    summary.write(found, CLASS, "02-theory", tmp_path)
    with open(tmp_path / "exercises.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    (row,) = (row for row in rows if (row["student"], row["exercise"]) == ("dee", "2.1"))
    assert (row["points"], row["note"]) == ("0.0", "'=Not yet.")
    assert (tmp_path / "scores.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "summary.md").read_text()
    assert "| 2.1 | gaussian_kl | 1.40 | 3 | 40% | 20% | 40% |" in text
    assert f"- 2 × 2.1: {SIGMA}" in text and "1 results were NOT graded in a sandbox" in text


STEERING = ("=1+1", "@SUM(A1)", "+1", "-2+3", "\tx", "\rx", "\nx", "=Ng, Jr")


@pytest.mark.parametrize("text", STEERING)
def test_no_text_column_of_a_spreadsheet_is_a_formula_and_numbers_stay_numbers(text, tmp_path):
    one = replace(result(text, -1.0, {}, note=text), assignment=text)
    summary.write(summary.of([one], "now", {}), [one], text, tmp_path)
    with open(tmp_path / "exercises.csv", newline="") as file:
        row = next(iter(csv.DictReader(file)))
    assert (row["student"], row["assignment"], row["note"]) == (f"'{text}",) * 3
    assert (row["points"], row["of"]) == ("-1.0", "3.0")


@pytest.mark.parametrize("text", STEERING)
def test_no_name_that_nbgrader_exports_is_a_formula(text, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))  # where nbgrader finds alembic
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as book:
        book.add_assignment("small")
        book.add_student("ada", last_name=text)
        Export(to=str(tmp_path / "grades.csv")).export(book)
    with open(tmp_path / "grades.csv", newline="") as file:
        row = next(iter(csv.DictReader(file)))
    assert (row["student_id"], row["last_name"], row["score"]) == ("ada", f"'{text}", "0.0")


def test_a_student_s_name_is_no_html_in_the_summary():
    one = result("<img src=x>", 1.0, {}, [Fault(Reason.KILLED, "theory", "cell 3")])
    assert "- &lt;img src=x&gt;: theory: killed" in summary.of([one], "now", {}).markdown("02-theory")


def test_what_a_student_s_error_says_is_neither_html_nor_a_picture_in_the_summary():
    note = "The check could not run: ![x](http://192.0.2.1/x.png): <img src='http://192.0.2.1/y.png'>"
    remark = Remark("a", 1, "![x](http://192.0.2.1/z.png)", "reaches for the checks")
    text = summary.of([result("ada", 0.0, {}, remarks=[remark], note=note)], "now", {}).markdown("02-theory")
    assert "[x](http://192.0.2.1/x.png): &lt;img" in text and "<img" not in text and "![" not in text


def test_who_has_a_page_that_is_not_what_the_gradebook_says_is_named(found):
    (warning,) = summary.of(CLASS[1:3], "now", {}, stale=["bob"]).warnings("02-theory")
    assert "`course feedback 02-theory` renews them. These are bob." in warning


def of_class(points: list[tuple[float, ...]]) -> summary.Summary:
    """A class whose students have these points in three exercises, or in none of them."""
    results = []
    for row in points:
        verdicts = [Verdict(f"2.{n}", f"answer {n}", one, 3.0, "", {}) for n, one in enumerate(row)]
        notebooks = {"theory": Notebook("", "", {}, {}, verdicts, [])}
        results.append(replace(result(f"student {len(results)}", 0.0, {}), notebooks=notebooks))
    return summary.of(results, "now", {})


def test_discrimination_is_the_correlation_with_all_other_exercises_and_its_interval():
    drawn = np.random.default_rng(5)
    points = [tuple(drawn.integers(0, 4, 3).astype(float)) for _ in range(30)]
    found = of_class(points)
    one, *others = np.array(points).T
    r = np.corrcoef(one, sum(others))[0, 1]
    low, high = np.tanh(np.arctanh(r) + np.array([-1, 1]) * 1.959964 / np.sqrt(27))
    assert found.discrimination(found.exercises[0]) == f"{r:.2f} ({low:.2f} to {high:.2f})"


def test_discrimination_is_not_said_of_few_students_or_of_points_that_are_all_the_same(tmp_path):
    few, same = (
        of_class([(n % 4, n % 3, n % 2) for n in range(19)]),
        of_class([(3.0, n % 3, 1) for n in range(20)]),
    )
    assert {few.discrimination(one) for one in few.exercises} == {""}
    assert same.discrimination(same.exercises[0]) == ""
    page = summary.lecture(few, None, "02-theory", tmp_path).read_text("utf-8")
    assert "Discrimination needs at least 20 students; here are 19." in page


def test_who_handed_in_nothing_that_can_be_read_counts_with_no_points():
    found = of_class([(3.0, 3.0, 3.0), ()])
    assert [one.shares() for one in found.exercises] == [(0.5, 0.0, 0.5)] * 3


def test_an_empty_class_has_an_empty_summary(tmp_path):
    summary.write(summary.of([], "", {}), [], "02-theory", tmp_path)
    assert "0 submissions" in (tmp_path / "summary.md").read_text()

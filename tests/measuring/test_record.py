"""What is measured is kept whole, and the README quotes it word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from course_utils.checks import EXERCISES
from course_utils.settings import CourseError
from courseware import record
from courseware.authoring import runner
from courseware.measuring import contestants, graders, literature, loops, speed

ROOT = Path(__file__).parents[2]


def test_what_is_kept_is_read_as_it_was(tmp_path):
    file = tmp_path / "new" / "kept.json"
    record.keep(file, {"a": [1.5, None]})
    assert record.kept(file) == {"a": [1.5, None]}
    assert [path.name for path in file.parent.iterdir()] == ["kept.json"]


@pytest.mark.parametrize("content", [None, "{", "\udcff"])
def test_nothing_is_read_from_a_missing_or_damaged_file(content, tmp_path):
    file = tmp_path / "kept.json"
    if content is not None:
        file.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert record.kept(file) is None


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match=r"cannot be written .*: make room"):
        record.keep(tmp_path / "file" / "kept.json", {})


def test_a_table_has_its_columns_and_its_rows():
    assert record.table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_figure_is_put_at_its_place_and_nothing_else_changes(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("one\n<!-- a -->old\n<!-- /a -->\ntwo <!-- b --><!-- /b -->")
    record.quote(tmp_path, "a", r"new \1 | text")
    assert file.read_text() == "one\n<!-- a -->\nnew \\1 | text\n<!-- /a -->\ntwo <!-- b --><!-- /b -->"
    assert record.quoted(tmp_path, "a") == r"new \1 | text"


def test_a_readme_without_the_place_is_left_as_it_is(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("one")
    with pytest.raises(CourseError, match="no place <!-- a -->"):
        record.quote(tmp_path, "a", "text")
    assert file.read_text() == "one"


def test_the_readme_quotes_the_stored_notebooks():
    assert record.quoted(ROOT, "results") == runner.markdown(runner.stored(ROOT / "solutions"))


def test_the_readme_quotes_the_stored_measure_of_the_checks():
    found = graders.stored(ROOT)
    assert {row.answer for row in found} == set(EXERCISES)
    assert record.quoted(ROOT, "graders") == f"{graders.sentence(found).capitalize()}."


def test_the_readme_counts_exercises_and_points_as_they_are():
    cells = [cell for one in runner.stored(ROOT / "solutions") for cell in one.notebook.cells]
    marks = [mark for cell in cells if (mark := cell.metadata.get("nbgrader", {})).get("grade")]
    by_hand = [mark for mark in marks if mark["solution"]]
    points = sum(mark["points"] for mark in marks)
    checked = sum(exercise.points for exercise in EXERCISES.values())
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"{len(EXERCISES)} exercises checked by program, {len(by_hand)} questions graded by hand" in text
    assert f"worth {points:g} points, {checked:g} of them checked by program" in text


def test_the_readme_quotes_the_stored_benchmark():
    found = loops.stored(ROOT)
    assert {one.kind for one in found} == set(contestants.KINDS)
    for one in found:
        assert record.quoted(ROOT, one.place) == one.markdown()


def test_the_readme_quotes_the_stored_figures_beside_the_literature():
    found = literature.stored(ROOT)
    assert found
    assert record.quoted(ROOT, "reproduced") == literature.markdown(found)


def test_the_readme_quotes_the_stored_speed_of_grading():
    assert record.quoted(ROOT, "grading speed") == speed.stored(ROOT).sentence()

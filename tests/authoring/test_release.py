"""The two editions: solutions/ is the source, notebooks/ is what nbgrader makes of it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from traitlets.config import PyFileConfigLoader

from course_utils import checks
from courseware.authoring import exercises, release, sections

ROOT = Path(__file__).parents[2]
LESSONS = sections.lessons()
by_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)


def notebook(edition: str, lesson: sections.Lesson) -> NotebookNode:
    return nbformat.read(ROOT / edition / lesson.path, as_version=4)


def marked(cells: list[NotebookNode], **wanted: bool) -> list[NotebookNode]:
    """The cells whose nbgrader metadata has these values."""
    return [
        cell
        for cell in cells
        if "nbgrader" in cell.metadata
        and all(cell.metadata.nbgrader[key] is value for key, value in wanted.items())
    ]


def test_the_student_notebooks_are_what_nbgrader_makes_of_the_solutions():
    assert release.drift(ROOT) == []


def test_drift_is_noticed(tmp_path):
    for name in ("nbgrader_config.py", "solutions", "notebooks"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "notebooks").unlink()
    (tmp_path / "notebooks").mkdir()
    assert release.drift(tmp_path) == [str(lesson.path) for lesson in LESSONS]


@by_lesson
def test_no_student_notebook_holds_a_solution_or_a_hidden_test(lesson):
    text = (ROOT / "notebooks" / lesson.path).read_text(encoding="utf-8")
    for trace in ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", "Model answer", "Mark scheme"):
        assert trace not in text


@by_lesson
def test_no_line_of_a_solution_survives_in_the_student_edition(lesson):
    student = {cell.id: cell.source for cell in notebook("notebooks", lesson).cells}
    for cell in marked(notebook("solutions", lesson).cells, solution=True, grade=False):
        for answer in re.findall(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", cell.source, re.DOTALL):
            for line in map(str.strip, answer.splitlines()):
                if len(line) > 15:  # a lone bracket gives nothing away
                    assert line not in student[cell.id]


@by_lesson
def test_student_notebooks_come_without_outputs(lesson):
    cells = notebook("notebooks", lesson).cells
    assert not any(cell.get("outputs") for cell in cells)


@by_lesson
def test_every_exercise_raises_before_it_is_solved_and_lets_run_all_go_on(lesson):
    for cell in marked(notebook("notebooks", lesson).cells, solution=True, grade=False):
        assert "raise NotImplementedError()" in cell.source
        assert "raises-exception" in cell.metadata.tags


@by_lesson
def test_no_exercise_lacks_anything(lesson):
    assert exercises.lacks(notebook("solutions", lesson)) == []


def test_every_checked_exercise_stands_in_a_notebook():
    asked = {
        re.search(r'check\("(\w+)"', cell.source).group(1)
        for lesson in LESSONS
        for cell in marked(notebook("solutions", lesson).cells, grade=True, solution=False)
    }
    assert asked == set(checks.EXERCISES)


def test_every_section_has_an_exercise_and_a_question_graded_by_hand():
    for section in sections.SECTIONS:
        cells = [
            cell
            for lesson in LESSONS
            if lesson.section == section
            for cell in notebook("solutions", lesson).cells
        ]
        assert marked(cells, solution=True, grade=False)
        assert marked(cells, solution=True, grade=True)


def test_the_course_is_worth_100_points_and_one_for_every_prediction():
    graded = [
        cell.metadata.nbgrader.points
        for lesson in LESSONS
        for cell in marked(notebook("solutions", lesson).cells, grade=True)
    ]
    predictions = [exercise for exercise in checks.EXERCISES.values() if exercise.questions]
    assert sum(exercise.points for exercise in predictions) == len(predictions)
    assert sum(graded) == 100 + len(predictions)


@by_lesson
def test_stored_solutions_are_executed_without_an_error(lesson):
    for cell in notebook("solutions", lesson).cells:
        if cell.cell_type == "code":
            assert cell.execution_count is not None
            assert not any(output.output_type == "error" for output in cell.outputs)


@by_lesson
def test_every_stored_figure_has_alternative_text_of_its_own(lesson):
    for cell in notebook("solutions", lesson).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                assert len(output.metadata["image/png"]["alt"]) > 30


# --- where the course is missing --------------------------------------------------------------------------

ADDRESS = "git+https://host.example/teacher/course"


def first_code(nb: NotebookNode) -> str:
    return next(cell.source for cell in nb.cells if cell.cell_type == "code")


def where_it_is_missing(source: str) -> list[list[str]]:
    """What the cell calls instead of pip where no course_utils is to be found."""
    calls: list[list[str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        patch.setattr(subprocess, "run", lambda command, check: calls.append(command))
        exec(source, {})
    return calls


def test_every_notebook_begins_with_the_same_door():
    assert len({first_code(notebook("solutions", lesson)) for lesson in LESSONS}) == 1


def test_without_an_address_it_says_that_the_course_is_missing():
    with pytest.raises(SystemExit, match="No course_utils here: start with `make lab`"):
        where_it_is_missing(first_code(notebook("notebooks", LESSONS[0])))


def test_with_the_teacher_s_address_it_installs_the_course_from_there(tmp_path):
    lesson = LESSONS[1]
    shutil.copytree(
        ROOT / "solutions" / lesson.section.folder, tmp_path / "solutions" / lesson.section.folder
    )
    config = PyFileConfigLoader("nbgrader_config.py", path=str(ROOT)).load_config()
    config.CourseDirectory.root = str(tmp_path)
    config.Door.address = ADDRESS
    release.generate(lesson.section.folder, config)
    calls = where_it_is_missing(first_code(nbformat.read(tmp_path / "notebooks" / lesson.path, as_version=4)))
    assert [command[-1] for command in calls] == [ADDRESS, "safetensors"]


def test_where_the_course_is_there_it_does_nothing(monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("nothing is to be installed"))
    exec(first_code(notebook("notebooks", LESSONS[0])), {})

"""The whole path: release, submit, grade, feedback, export; with `course grade` and nbgrader's own commands.

Two students hand in: `ada` the solutions as they stand, `bob` the untouched student notebooks. One assignment
goes through `course grade` and through nbgrader with its own configuration (with ours: `test_damages`).
`make test-all` grades ada's solutions of every section.
"""

import os
import shutil
import sys
from pathlib import Path

import faked
import nbformat
import pytest
from cells import SECTIONS, asked_in
from nbformat import NotebookNode
from programs import PROGRAMS, ROOT, call, run

from course_utils.checks.judges import EXERCISES
from courseware.authoring import release
from courseware.classroom import batch
from courseware.grading.kernel import sandbox
from courseware.grading.preprocessors import asked_of
from courseware.grading.submission import own_work

ONE, NOTEBOOK = SECTIONS["02-theory"], "theory"  # whose beginning is quick to run


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Path:
    """A course folder in which one assignment has been released, handed in and graded."""
    root = released(tmp_path_factory.mktemp("course"))
    call(root, "course", "grade", "--workers=1", *["--unsafe"] * bool(sandbox.missing()))
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A course folder in which ada's solutions of every section have been graded."""
    root = tmp_path_factory.mktemp("whole")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    for edition in ("solutions", "notebooks"):
        shutil.copytree(ROOT / edition, root / edition)
    for name in SECTIONS:
        hand_in(root, "ada", root / "solutions" / name)
    call(root, "course", "grade", *["--unsafe"] * bool(sandbox.missing()))
    return root


def released(root: Path, configuration: str = "") -> Path:
    """The course's folder `root`: one assignment released and handed in, under this configuration or ours."""
    ours = (ROOT / "nbgrader_config.py").read_text("utf-8")
    (root / "solutions" / ONE.folder).mkdir(parents=True)
    (root / "nbgrader_config.py").write_text(configuration or ours, encoding="utf-8")
    nbformat.write(lesson(), root / "solutions" / ONE.folder / f"{NOTEBOOK}.ipynb")
    release.generate(ONE.folder, batch.Course(root).config)
    hand_in(root, "ada", root / "solutions" / ONE.folder)
    hand_in(root, "bob", root / "notebooks" / ONE.folder)
    return root


def lesson() -> NotebookNode:
    """The beginning of a lesson, up to its second exercise."""
    nb = nbformat.read(ROOT / "solutions" / ONE.folder / f"{NOTEBOOK}.ipynb", as_version=4)
    graded = [place for place, cell in enumerate(nb.cells) if asked_of(cell)]
    nb.cells = nb.cells[: graded[1] + 1]
    return nb


def due() -> dict[str, float]:
    """What the two are to score in it."""
    return {
        "ada": sum(EXERCISES[name].points for cell in lesson().cells if (name := asked_of(cell))),
        "bob": 0,
    }


def hand_in(root: Path, student: str, folder: Path) -> None:
    shutil.copytree(folder, root / "submitted" / student / folder.name)


def test_a_solution_scores_all_points_that_are_graded_by_program_and_a_stub_none(course):
    assert faked.scores(course, ONE.folder) == due()


@pytest.mark.slow
def test_the_solutions_of_every_section_score_all_points_that_are_graded_by_program(whole):
    scored = {row["assignment"]: float(row["raw_score"]) for row in faked.exported(whole)}
    assert scored == {
        name: sum(exercise.points for exercise in asked_in(section)) for name, section in SECTIONS.items()
    }


@pytest.mark.slow
def test_feedback_shows_the_report_of_every_graded_cell(whole):
    every = [(name, exercise) for name, section in SECTIONS.items() for exercise in asked_in(section)]
    assert len(every) == len(EXERCISES)
    for name, exercise in every:
        pages = (whole / "feedback" / "ada" / name).glob("*.html")
        points = f"{exercise.points} of {exercise.points} points"
        title = f"Exercise {exercise.number}, {exercise.answer}: {points}"
        assert any(title in page.read_text("utf-8") for page in pages), title


def test_feedback_tells_a_student_who_has_not_begun_so(course):
    (page,) = (course / "feedback" / "bob" / ONE.folder).glob("*.html")
    assert "Not yet: the exercise above is still to be solved." in page.read_text("utf-8")


STOCK = """
c = get_config()
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks"
c.Execute.timeout = 600
"""


@pytest.mark.slow
def test_the_same_cells_score_under_nbgrader_s_own_configuration(tmp_path):
    """One section, without this course's preprocessors: the verdict is then the student's process's own."""
    released(tmp_path, STOCK)
    call(tmp_path, "nbgrader", "autograde", ONE.folder)
    assert faked.scores(tmp_path, ONE.folder) == due()


def test_results_say_their_seed_which_is_the_submission_s_own_and_whether_they_come_from_the_sandbox(course):
    files = (course / "autograded").glob("*/*/*.ipynb")
    told = [nbformat.read(file, as_version=4).metadata["course"] for file in files]
    assert len({one["seed"] for one in told}) == 2
    assert {one["sandboxed"] for one in told} == {not sandbox.missing()}


def test_a_solution_handed_in_is_remarked_on_and_a_stub_is_not(course):
    found = {student for student, _, _ in own_work.kept(course / "autograded")}
    assert found == {"ada"}


@pytest.mark.slow
def test_without_a_sandbox_nothing_is_graded_and_the_reader_is_told_why(tmp_path):
    """bubblewrap is not on this PATH."""
    for tool in ("prlimit", "setpriv", "choom"):
        (tmp_path / tool).symlink_to("/bin/true")
    path, root = f"{PROGRAMS}{os.pathsep}{tmp_path}", released(tmp_path / "course")
    done = run(root, "nbgrader", "autograde", ONE.folder, "--student=ada", PATH=path)
    assert done.returncode != 0
    expected = "Sandboxed grading needs bwrap" if sys.platform.startswith("linux") else "needs Linux"
    assert expected in done.stderr

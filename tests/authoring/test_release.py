"""The two editions: solutions/ is the source, notebooks/ is what nbgrader makes of it."""

import functools
import importlib.util
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import faked
import pytest
from cells import KERNEL, graded_cell
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from programs import ROOT, run

import bank
from course_utils.checks.judges import EXERCISES
from course_utils.settings import CourseError
from courseware import notebooks, sections
from courseware.authoring import exercises, release
from courseware.grading.submission.repair import asked

LESSONS = sections.lessons()
by_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)


@functools.cache  # only read
def notebook(edition: str, lesson: sections.Lesson) -> NotebookNode:
    return notebooks.read(ROOT / edition / lesson.path)


def marked(cells: list[NotebookNode], **wanted: bool) -> list[NotebookNode]:
    """The cells whose nbgrader metadata has these values."""
    ours = [cell for cell in cells if "nbgrader" in cell.metadata]
    return [cell for cell in ours if wanted.items() <= cell.metadata.nbgrader.items()]


def test_the_student_notebooks_are_what_nbgrader_makes_of_the_solutions():
    assert release.drift(ROOT) == []


@by_lesson
def test_no_line_of_a_solution_survives_in_the_student_edition(lesson):
    student = {cell.id: cell.source for cell in notebook("notebooks", lesson).cells}
    for cell in marked(notebook("solutions", lesson).cells, solution=True, grade=False):
        for line in map(str.strip, "".join(exercises.SOLUTION.findall(cell.source)).splitlines()):
            assert len(line) <= 15 or line not in student[cell.id]  # a lone bracket gives nothing away


@by_lesson
def test_every_exercise_raises_before_it_is_solved_and_lets_run_all_go_on(lesson):
    for cell in marked(notebook("notebooks", lesson).cells, solution=True, grade=False):
        assert "raise NotImplementedError()" in cell.source
        assert "raises-exception" in cell.metadata.tags


@by_lesson
def test_no_exercise_lacks_anything(lesson):
    assert exercises.lacks(notebook("solutions", lesson)) == []


def test_every_checked_exercise_stands_in_a_notebook():
    cells = [cell for lesson in LESSONS for cell in notebook("solutions", lesson).cells]
    assert {asked(cell.source) for cell in marked(cells, grade=True, solution=False)} == set(EXERCISES)


def test_every_section_has_an_exercise_and_a_question_graded_by_hand():
    for number in {section.number for section in sections.SECTIONS}:
        lessons = sections.lessons((number,))
        cells = [cell for lesson in lessons for cell in notebook("solutions", lesson).cells]
        assert marked(cells, solution=True, grade=False)
        assert marked(cells, solution=True, grade=True)


def test_a_further_section_stands_behind_its_core_and_has_points_of_its_own():
    for core, further in pairwise(sections.SECTIONS):
        if further.further:
            assert further.folder == f"{core.folder}-further"
            (lesson,) = [lesson for lesson in LESSONS if lesson.section == further]
            assert marked(notebook("solutions", lesson).cells, grade=True)


def test_a_count_that_is_no_longer_right_is_renewed_wherever_it_stands(tmp_path):
    (tmp_path / "solutions").symlink_to(ROOT / "solutions")
    (tmp_path / "docs").mkdir()
    text = (
        "1 exercises checked\nby program, 2 questions graded by hand, course is worth 3 points, 4 more, "
        "all 6 graded cells with full points, further notebooks are worth 5.\n"
    )
    (tmp_path / "docs" / "page.md").write_text(text)
    graded = {lesson: marked(notebook("solutions", lesson).cells, grade=True) for lesson in LESSONS}
    cells = [cell for those in graded.values() for cell in those]
    by_hand = len(marked(cells, solution=True))
    checked, points = len(cells) - by_hand, {False: 0, True: 0}
    for lesson, those in graded.items():
        points[lesson.section.further] += sum(cell.metadata.nbgrader.points for cell in those)
    (renewed,) = release.outdated(tmp_path).values()
    assert renewed == (
        f"{checked} exercises checked\nby program, {by_hand} questions graded by hand, "
        f"course is worth {points[False]} points, 4 more, all {checked} graded cells with full points, "
        f"further notebooks are worth {points[True]}.\n"
    )


def test_a_prediction_is_worth_one_point():
    assert {exercise.points for exercise in EXERCISES.values() if exercise.questions} == {1}


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


# --- a course of two small sections -----------------------------------------------------------------------

ONE, TWO = Path("01-one") / "one.ipynb", Path("02-two") / "two.ipynb"
TABLE = tuple(sections.Section(path.parent.name, "Title", "Aim.") for path in (ONE, TWO))


def write(root: Path, path: Path, *cells: NotebookNode) -> None:
    notebook = new_notebook(cells=list(cells), metadata={"kernelspec": KERNEL})
    notebooks.write(notebook, root / "solutions" / path)


def shown(source: str, **more: str) -> NotebookNode:
    """A cell that no other needs."""
    return new_code_cell(source, metadata={"tags": ["demonstration"]}, **more)


def graded(source: str, points: int, name: str = "same") -> NotebookNode:
    return graded_cell(grade_id=name, source=source, points=points)


def state(root: Path) -> dict[str, bytes]:
    """All that a build makes."""
    made = [*(root / "notebooks").rglob("*"), root / "gradebook.db"]
    return {str(path): path.read_bytes() for path in made if path.is_file()}


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The course as it was released once."""
    root = tmp_path_factory.mktemp("small")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    for path in (ONE, TWO):
        write(root, path, new_markdown_cell("# Title", id="m"), shown("1 + 1", id="c"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "SECTIONS", TABLE)
        release.build(root)
    return root


@pytest.fixture
def small(released, tmp_path, monkeypatch) -> Path:
    """A copy of it, for a test to change."""
    monkeypatch.setattr(sections, "SECTIONS", TABLE)
    return shutil.copytree(released, tmp_path / "course")


def test_drift_is_noticed(small):
    text = (small / "notebooks" / ONE).read_text()
    (small / "notebooks" / ONE).write_text(text.replace("1 + 1", "1 + 2"))
    (small / "notebooks" / TWO).unlink()
    (small / "notebooks" / "03-three").mkdir()
    (small / "notebooks" / "03-three" / "three.ipynb").write_text(text)
    assert release.drift(small) == [str(ONE), str(TWO), "03-three/three.ipynb"]


def test_a_notebook_says_under_its_title_until_when_it_may_be_handed_in(small):
    with (small / "nbgrader_config.py").open("a") as config:
        config.write(f'c.Due.dates = {{"{ONE.parent.name}": "2030-01-31"}}\n')
    release.build(small)
    due, other = (notebooks.read(small / "notebooks" / path).cells[0].source for path in (ONE, TWO))
    assert due == "# Title\n\n**Due** 2030-01-31, unless your teacher gives you longer.\n"
    assert other == "# Title"


@pytest.mark.slow
def test_line_ends_are_no_drift_and_change_no_release(small):
    before = state(small)
    for path in small.glob("*/*/*.ipynb"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert release.drift(small) == []
    release.build(small)
    after = state(small)
    assert [name for name in after if name.endswith(".ipynb") and after[name] != before[name]] == []


def twice_the_same(small: Path, path: Path) -> None:
    """A notebook that nbgrader cannot release."""
    cells = [graded("assert True", 1), graded("assert True", 1)]
    cells[1].id = "h"
    write(small, path, *cells)


def generated(small: Path, force: bool) -> dict[str, Any]:
    """What comes of `nbgrader generate_assignment` for the first section."""
    config = release.settings(small)
    api = NbGraderAPI(CourseDirectory(config=config), config=config)
    return api.generate_assignment(ONE.parent.name, force=force)


def test_nbgrader_s_own_command_that_fails_leaves_the_former_release(small):
    twice_the_same(small, ONE)
    before = state(small)
    assert not generated(small, force=True)["success"]
    assert state(small) == before


@pytest.mark.slow
def test_what_is_released_in_a_fresh_clone_is_entered_by_nbgrader_s_own_command(small):
    (small / "gradebook.db").unlink()
    assert generated(small, force=False)["success"]
    with faked.book(small) as book:
        assert [notebook.name for notebook in book.find_assignment(ONE.parent.name).notebooks] == ["one"]


def refused(root: Path) -> str:
    """What `build` says; it has changed nothing."""
    before = state(root)
    with pytest.raises(CourseError) as problem:
        release.build(root)
    assert state(root) == before
    return str(problem.value)


def handed_in(small: Path, *cells: NotebookNode) -> None:
    """The first section with a graded cell of one point, and a submission of it; then with these cells."""
    write(small, ONE, shown("1 + 1", id="c"), graded("assert True", 1))
    release.build(small)
    with faked.book(small) as book:
        book.add_student("ada")
        book.add_submission(ONE.parent.name, "ada")
    write(small, ONE, shown("1 + 1", id="c"), *cells)


@pytest.mark.slow
def test_fewer_exercises_than_those_that_were_graded_are_refused_and_nothing_changes(small):
    handed_in(small)
    assert re.search(r"01-one lacks exercises that its 1 sub.* have \(one, same\)", refused(small))


@pytest.mark.slow
def test_a_new_exercise_is_released_and_left_to_a_regrade_of_everybody(small):
    handed_in(small, graded("assert True", 1), graded("assert 2", 2, "another"))
    (sentence,) = release.build(small)
    assert "(one, another: 2, new): `course build`, then `course regrade 01-one`" in sentence
    with faked.book(small) as book:
        release.make_room(book, "01-one", {"one": notebooks.read(small / "notebooks" / ONE)})
        release.enter("01-one", release.settings(small))
        book.db.expire_all()
        (entry,) = book.find_submission("01-one", "ada").notebooks
        assert {grade.name: grade.max_score for grade in entry.grades} == {"same": 1, "another": 2}
        assert book.find_source_cell("another", "one", "01-one").source == "assert 2"


@pytest.mark.slow
def test_other_points_are_released_and_left_to_a_regrade_of_everybody(small):
    handed_in(small, graded("assert True", 5))
    (sentence,) = release.build(small)
    assert "(one, same: 5, before 1): `course build`, then `course regrade 01-one`" in sentence
    with faked.book(small) as book:
        assert book.find_grade_cell("same", "one", "01-one").max_score == 1
    assert '"points": 5' in (small / "notebooks" / ONE).read_text()
    assert "regrade 01-one" in str(generated(small, force=True))


@pytest.mark.slow
def test_a_build_that_fails_leaves_the_former_release_and_the_gradebook_as_they_were(small):
    write(small, ONE, new_markdown_cell("# Another title", id="m"), shown("1 + 1", id="c"))
    twice_the_same(small, TWO)
    assert re.search("could not release 02-two .*Duplicate grade id: same", refused(small))


@pytest.mark.slow
def test_a_section_that_is_gone_loses_its_release(small, monkeypatch):
    shutil.rmtree(small / "solutions" / TWO.parent)
    monkeypatch.setattr(sections, "SECTIONS", TABLE[:1])
    release.build(small)
    assert [path.name for path in (small / "notebooks").iterdir()] == [ONE.parent.name]


THREE = Path("03-three") / "three.ipynb"
REFERS = f"solutions/ cannot be released: {TWO}: it refers to section 3, which the course lacks."


def test_a_notebook_that_is_not_there_is_named(small):
    shutil.rmtree(small / "solutions" / TWO.parent)
    said = f"{TWO} is in the table of contents, courseware/sections.py, and not in solutions/."
    assert said in refused(small)


@pytest.mark.parametrize(
    ("path", "text", "code", "said"),
    [
        (THREE, "# Title", ["1"], f"{THREE} has no place in the table of contents"),
        (TWO, "# Title", [], f"{TWO}: it lacks a code cell"),
        (TWO, "### Exercise 2.1: more", ["1"], f"{TWO}: exercise 2.1 lacks its line of difficulty"),
        (TWO, "As in section 3.", ["1"], REFERS),
        (TWO, f"[there](../{THREE})", ["1"], REFERS),
        (TWO, "Sections 1, 2 and\n3.", ["1"], REFERS),
    ],
)
def test_a_notebook_that_cannot_be_released_is_named(small, path, text, code, said):
    write(small, path, new_markdown_cell(text), *map(shown, code))
    assert said in refused(small)


def test_what_the_bank_lacks_is_named(small, monkeypatch):
    monkeypatch.setattr(bank, "lacks", lambda: ["the bank of `new` lacks 3 right answers (it has 0)"])
    assert refused(small).endswith("the bank of `new` lacks 3 right answers (it has 0).")


@pytest.mark.slow
def test_nbgrader_s_own_command_refuses_points_that_do_not_add_up(small):
    """A check, its graded cell and the statement above them name the same points, by `nbgrader_config.py`."""
    write(small, TWO, graded('check("gaussian_kl", globals())', 5))
    done = run(small, "nbgrader", "generate_assignment", TWO.parent.name, "--force")
    assert done.returncode != 0
    assert "same lacks agreement on its points: 5 in the graded cell, 3 in the check." in done.stderr


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


@pytest.mark.slow
def test_with_the_teacher_s_address_it_installs_the_course_from_there(tmp_path):
    lesson = LESSONS[1]
    source = Path("solutions", lesson.section.folder)
    shutil.copytree(ROOT / source, tmp_path / source)
    config = release.settings(ROOT)
    config.CourseDirectory.root = str(tmp_path)
    config.Door.address = ADDRESS
    release.generate(lesson.section.folder, config)
    calls = where_it_is_missing(first_code(notebooks.read(tmp_path / "notebooks" / lesson.path)))
    assert [command[-1] for command in calls] == [ADDRESS, "anywidget"]


def test_where_the_course_is_there_it_does_nothing(monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("nothing is to be installed"))
    exec(first_code(notebook("notebooks", LESSONS[0])), {})

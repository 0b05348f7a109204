"""What students are handed holds all they need, nothing of the instructor's, and is the same every time."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from cells import SECTIONS, asked_in
from nbformat import NotebookNode
from nbgrader.utils import is_solution
from programs import ROOT, run

from course_utils.settings import CourseError
from courseware import notebooks, sections
from courseware.authoring import bundle, exercises

LESSONS = sections.lessons()
THEORY = Path("02-theory") / "theory.ipynb"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def no_drift():
    """That notebooks/ is what solutions/ gives takes seconds to see: test_release looks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("courseware.authoring.release.drift", lambda root: [])
        yield


@pytest.fixture(scope="module")
def archive(tmp_path_factory, no_drift) -> Path:
    file = tmp_path_factory.mktemp("out") / "course.zip"
    bundle.write(ROOT, file)
    return file


@pytest.fixture(scope="module")
def unpacked(archive, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    shutil.unpack_archive(archive, folder)
    return folder / bundle.TOP


def files(folder: Path) -> dict[str, bytes]:
    every = [one for one in folder.rglob("*") if one.is_file() and "__pycache__" not in one.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in every}


# An editable install of the course, as `make test` has one, would lend what was not handed out.
ALONE = """
import sys
lends = lambda finder: getattr(finder, "__module__", "").startswith("__editable__")
sys.meta_path[:] = [finder for finder in sys.meta_path if not lends(finder)]
"""


def course(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a student has it, with what was handed out."""
    return alone(folder, "from courseware.cli import main; main()", *arguments)


def alone(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python where nothing of the course is but what was handed out."""
    own = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "120"}
    return run(folder, sys.executable, "-c", ALONE + code, *arguments, **own)


# --- nothing of the instructor's --------------------------------------------------------------------------


def answer_lines() -> set[str]:
    """The lines of the instructor's answers that say something: a bracket gives nothing away."""
    sources = [cell.source for cell in cells("solutions") if is_solution(cell)]
    answers = ["\n".join(exercises.SOLUTION.findall(source)) or source for source in sources]
    return {line.strip() for answer in answers for line in answer.splitlines() if len(line.strip()) > 15}


def cells(edition: str) -> list[NotebookNode]:
    """The cells of all lessons."""
    return [cell for lesson in LESSONS for cell in notebooks.read(ROOT / edition / lesson.path).cells]


def test_no_file_beside_the_package_holds_a_line_of_an_answer_that_is_not_the_lessons_own(unpacked):
    """What students read in other cells, in the package and on the one page is theirs to read."""
    beside = {name: content.decode() for name, content in files(unpacked).items()}
    text = {name: beside[name] for name in beside if not name.startswith(("course_utils", "vae.py"))}
    lessons_own = "\n".join(cell.source for cell in cells("solutions") if not is_solution(cell))
    told = [
        (name, line)
        for line in answer_lines()
        if line not in lessons_own
        for name, content in text.items()
        if line in content or json.dumps(line, ensure_ascii=False)[1:-1] in content
    ]
    assert told == []


TRACES = ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", "Model answer", "Mark scheme", "Rubric.")


def test_no_file_holds_a_mark_of_an_answer(unpacked):
    held = {name: content.decode() for name, content in files(unpacked).items()}
    assert [(name, trace) for name, text in held.items() for trace in TRACES if trace in text] == []


def test_only_what_students_need_is_there(unpacked):
    folders = {path.name for path in unpacked.iterdir() if path.is_dir()}
    assert folders == {"course_utils", "courseware", "docs", "notebooks", "release"}
    assert {path.name for path in unpacked.iterdir() if path.is_file()} - {"vae.py"} == {
        ".dockerignore", "Dockerfile", "LICENSE", "Makefile", "README.md", "constraints.txt",
        "environment.yml", "jupyter_lab_config.py", "nbgrader_config.py", "pyproject.toml",
    }  # fmt: skip


PLACES = ".github bank courseware courseware/authoring docs notebooks/03-vae notes tests"


def test_whatever_else_lies_in_the_course_stays_there(unpacked, tmp_path):
    root = shutil.copytree(unpacked, tmp_path / "course")
    before = bundle.contents(root).keys()
    for place in ("", *PLACES.split()):
        (root / place).mkdir(exist_ok=True)
        for stray in ("secret.py", "secret.json", "gradebook.db", "LICENSE.old"):
            (root / place / stray).write_text("secret")
    assert bundle.contents(root).keys() == before


# --- all that they need -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["explorer", "animation"])
def test_what_a_lesson_shows_in_a_page_has_its_script_and_style(unpacked, name):
    for folder in ("standalone", name):
        there = unpacked / "course_utils" / "viewers" / "templates" / folder
        assert (there / f"{folder}.js").is_file() and (there / f"{folder}.css").is_file()


@pytest.mark.parametrize("edition", ["notebooks", "release"])
def test_every_notebook_is_the_released_one(unpacked, edition):
    for lesson in LESSONS:
        released = ROOT / "notebooks" / lesson.path
        assert (unpacked / edition / lesson.path).read_bytes() == released.read_bytes()


def test_a_notebook_is_checked_with_what_was_handed_out(unpacked):
    done = course(unpacked, "check", str(Path("notebooks") / THEORY))
    assert done.returncode == 0, done.stderr
    of = sum(exercise.points for exercise in asked_in(SECTIONS["02-theory"]))
    assert f"Points that programs give: 0 of {of}." in done.stdout
    assert "only copy" not in done.stdout  # release/ is the other


EVERY_MODULE = """
import importlib, pathlib
for path in sorted(p for top in ("course_utils", "courseware") for p in pathlib.Path(top).rglob("*.py")):
    importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
"""


def test_every_module_that_is_handed_out_can_be_imported(unpacked):
    """And so nothing that it imports is left out."""
    done = alone(unpacked, EVERY_MODULE)
    assert done.returncode == 0, done.stderr


def test_no_notebook_imports_more_than_the_students_package(unpacked):
    code = "\n".join(cell.source for cell in cells("notebooks") if cell.cell_type == "code")
    assert re.search(r"^\s*from course_utils", code, re.MULTILINE)
    assert not re.search(r"^\s*(from|import) (courseware|bank)\b", code, re.MULTILINE)


@pytest.mark.parametrize("command", ["run", "build", "grade"])
def test_what_needs_the_solutions_says_so_in_one_sentence(unpacked, command):
    done = course(unpacked, command)
    assert done.returncode == 2
    said = "This is the students' edition of the course; that needs the instructor's, with solutions/."
    assert done.stderr == f"course: {said}\n"


def test_the_files_of_their_own_set_up_without_the_tests(unpacked):
    for name in ("Makefile", "README.md", "environment.yml"):
        text = (unpacked / name).read_text("utf-8")
        assert "-e ." in text and "[test]" not in text and "course run" not in text


def test_the_readme_says_how_long_every_section_takes(unpacked):
    text = (unpacked / "README.md").read_text("utf-8")
    theory = notebooks.read(ROOT / "solutions" / THEORY)
    points = sum(cell.metadata.get("nbgrader", {}).get("points", 0) for cell in theory.cells)
    assert re.search(rf"^\| 2\. Theory \| \d+ \| {points} \|$", text, re.MULTILINE)
    assert all(section.title in text for section in sections.SECTIONS if len(section.notebooks) == 1)


# --- the archive ------------------------------------------------------------------------------------------


def test_the_same_course_gives_the_same_bytes(archive, tmp_path):
    bundle.write(ROOT, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    names = zipfile.ZipFile(archive).namelist()
    assert names == sorted(names)  # on whatever file system


def test_notebooks_that_are_not_what_solutions_give_are_not_handed_out(tmp_path, monkeypatch):
    monkeypatch.setattr("courseware.authoring.release.drift", lambda root: ["02-theory/theory.ipynb"])
    with pytest.raises(CourseError, match=r"not what solutions/ gives: 02-theory/theory\.ipynb"):
        bundle.write(ROOT, tmp_path / "course.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CourseError, match=r"course\.zip cannot be written"):
        bundle.write(ROOT, tmp_path / "file" / "course.zip")

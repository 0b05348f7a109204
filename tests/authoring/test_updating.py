"""A student's folder takes a newer edition, and nothing that the student wrote is lost."""

import copy
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from programs import ROOT

from course_utils.settings import CourseError
from courseware import notebooks, updating

LESSON = Path("02-theory") / "theory.ipynb"
BASE = notebooks.read(ROOT / "notebooks" / LESSON)
ANSWER, CHECK = "gaussian-kl", "gaussian-kl-check"


@pytest.fixture
def mine() -> NotebookNode:
    """What was handed out, with an answer, a cell of one's own and a changed text."""
    found = copy.deepcopy(BASE)
    by_id(found)[ANSWER].source = "def gaussian_kl(mu, logvar): return 'mine'"
    found.cells.insert(5, nbformat.v4.new_code_cell("print('my own')"))
    return found


@pytest.fixture
def new() -> NotebookNode:
    return copy.deepcopy(BASE)


def by_id(notebook: NotebookNode) -> dict[str, NotebookNode]:
    return {cell.id: cell for cell in notebook.cells}


def sources(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells]


def test_what_the_teacher_changed_comes_in_and_what_the_student_wrote_stays(mine, new):
    new.cells[0].source = "# A better title"
    before = sources(mine)
    assert updating.merge(BASE, mine, new) == 0
    assert sources(mine) == ["# A better title", *before[1:]]


def test_a_check_is_the_teachers_whoever_changed_it(mine, new):
    by_id(mine)[CHECK].source = "print(3)"
    by_id(new)[CHECK].source = "check('gaussian_kl')  # anew"
    assert updating.merge(BASE, mine, new) == 0
    assert by_id(mine)[CHECK].source == "check('gaussian_kl')  # anew"


def test_where_both_changed_an_answer_the_students_stays_and_the_teachers_stands_below(mine, new):
    by_id(new)[ANSWER].source = "def gaussian_kl(mu, logvar, prior): ..."
    assert updating.merge(BASE, mine, new) == 1
    place = sources(mine).index("def gaussian_kl(mu, logvar): return 'mine'")
    assert "def gaussian_kl(mu, logvar, prior): ..." in mine.cells[place + 1].source
    assert mine.cells[place + 1].cell_type == "markdown"


def test_new_cells_stand_where_the_teacher_put_them(mine, new):
    new.cells.insert(8, nbformat.v4.new_markdown_cell("A new part."))
    after = new.cells[7].source
    updating.merge(BASE, mine, new)
    assert sources(mine)[sources(mine).index("A new part.") - 1] == after


def test_what_the_teacher_took_out_goes_unless_the_student_changed_it(mine, new):
    gone = new.cells.pop(3)
    new.cells = [cell for cell in new.cells if cell.id != ANSWER]
    updating.merge(BASE, mine, new)
    assert gone.source not in sources(mine)
    assert "def gaussian_kl(mu, logvar): return 'mine'" in sources(mine)


def test_points_follow_the_new_edition(mine, new):
    by_id(new)[CHECK].metadata.nbgrader.points = 7
    updating.merge(BASE, mine, new)
    assert by_id(mine)[CHECK].metadata.nbgrader.points == 7


def test_a_cell_that_the_student_deleted_comes_back_only_if_points_hang_on_it(mine, new):
    plain = mine.cells.pop(0).source
    mine.cells.remove(by_id(mine)[CHECK])
    updating.merge(BASE, mine, new)
    assert plain not in sources(mine)
    assert CHECK in by_id(mine)


# --- folders and archives ---------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, mine) -> Path:
    for edition, notebook in (("release", BASE), ("notebooks", mine)):
        notebooks.write(notebook, tmp_path / "student" / edition / LESSON)
    return tmp_path / "student"


def archive(tmp_path: Path, new: NotebookNode, **others: str) -> Path:
    file, text = tmp_path / "new.zip", nbformat.writes(new) + "\n"
    both = {f"{edition}/{LESSON.as_posix()}": text for edition in ("release", "notebooks")}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as found:
        for name, content in {"nbgrader_config.py": "c = 0", **both, **others}.items():
            found.writestr(f"vae-course/{name}", content)
    return file


def test_an_update_keeps_what_was_there_and_a_second_one_finds_nothing_to_do(folder, tmp_path, new):
    new.cells[0].source = "# A better title"
    file = archive(tmp_path, new)
    before = (folder / "notebooks" / LESSON).read_bytes()
    kept = updating.apply(folder, updating.changes(folder, file), folder / "build")
    assert (kept / "notebooks" / LESSON).read_bytes() == before
    found = sources(notebooks.read(folder / "notebooks" / LESSON))
    assert "# A better title" in found and "print('my own')" in found
    assert updating.changes(folder, file) == []


def test_the_same_edition_leaves_the_students_notebook_to_the_byte(folder, tmp_path, new):
    found = updating.changes(folder, archive(tmp_path, new))
    assert [change.name for change in found] == ["nbgrader_config.py"]


STRANGE = [
    "../outside.py",
    "/outside.py",
    "a/../../outside.py",
    "C:\\outside.py",
    f"notebooks/{LESSON.name}.txt",
]


@pytest.mark.parametrize("name", STRANGE)
def test_an_archive_whose_names_lead_elsewhere_or_are_those_of_no_notebook_is_refused(
    folder, tmp_path, new, name
):
    with pytest.raises(CourseError, match="no archive of the course"):
        updating.changes(folder, archive(tmp_path, new, **{name: "x"}))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"text"])
def test_what_is_no_archive_is_refused(folder, tmp_path, content):
    (tmp_path / "new.zip").write_bytes(content)
    with pytest.raises(CourseError, match="no archive of the course"):
        updating.changes(folder, tmp_path / "new.zip")


def test_an_archive_that_is_damaged_is_refused(folder, tmp_path, new):
    file = archive(tmp_path, new)
    with file.open("r+b") as damaged:
        damaged.seek(file.stat().st_size // 2)
        damaged.write(bytes(200))
    with pytest.raises(CourseError, match="no archive of the course"):
        updating.changes(folder, file)


def test_where_nothing_was_unpacked_it_is_said_how_the_newer_edition_comes(tmp_path, new):
    with pytest.raises(CourseError, match="`nbgrader fetch_assignment"):
        updating.changes(tmp_path, archive(tmp_path, new))


def test_the_instructors_edition_is_not_updated(tmp_path, new):
    (tmp_path / "solutions").mkdir()
    with pytest.raises(CourseError, match="instructor's edition"):
        updating.changes(tmp_path, archive(tmp_path, new))

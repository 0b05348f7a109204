"""A newer edition of the course in a student's folder, without losing work.

Three editions of a notebook meet, cell by cell: as it was handed out (release/ of an archive, a copy of what
was fetched), the student's, and the new one. What only the teacher changed comes in; what the student wrote
stays; where both changed a cell, the student's stays and the teacher's stands below it. Cells are told apart
by their grade ids and ids, which every editor keeps that keeps a notebook of nbformat 4.5.
"""

import zipfile
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import is_locked

from course_utils.files import write
from course_utils.settings import CourseError
from courseware import notebooks

LARGEST = 50_000_000  # bytes of the archive, unpacked
BOTH = "**The assignment was changed here.** Your cell above is as you left it. The teacher's is now:\n\n"


class Change(NamedTuple):
    """A file of the archive that is not as the student has it; `conflicts` are cells that both changed."""

    name: str
    content: bytes
    conflicts: int = 0


def changes(root: Path, archive: Path) -> list[Change]:
    """What the archive would change in the folder. Raises CourseError where it is none."""
    if (root / "solutions").is_dir():
        raise CourseError("This is the instructor's edition: a student's folder is updated, yours by git.")
    handed_out = root / "release"
    if not handed_out.is_dir():
        raise CourseError(
            f"There is no {handed_out}: call this in the folder that unpacking the course has made; what you "
            "have fetched takes a newer release by `nbgrader fetch_assignment ASSIGNMENT`, once more."
        )
    found = []
    for name, content in _contents(archive).items():
        was = handed_out / name.partition("/")[2] if name.startswith("notebooks/") else None
        found += _change(name, content, root / name, was)
    return found


def fetched(release: Path, handed_out: Path, own: Path) -> list[Change]:
    """What a newer release changes in the student's folder: nothing where one of the two is not there.

    Names begin with the folder's.
    """
    found = []
    for name, content in files(release).items() if handed_out.is_dir() and own.is_dir() else ():
        known = (was := handed_out / name).is_file()
        if not known or was.read_bytes() != content:
            base = was if known and name.endswith(".ipynb") else None
            found += _change(f"{own.name}/{name}", content, own / name, base)
    return found


def files(folder: Path) -> dict[str, bytes]:
    """What is in a folder and those below, by names below it."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def apply(root: Path, found: list[Change], build: Path) -> Path:
    """Write the changes; what was there before is kept in a folder of `build`, which is returned."""
    kept = build / f"before-update-{datetime.now():%Y-%m-%d-%H%M%S}"
    # The handed-out edition last: an update that is cut off is then done again from the same base.
    for change in sorted(found, key=lambda change: change.name.startswith("release/")):
        path = root / change.name
        if path.exists():
            write(kept / change.name, path.read_bytes())
        write(path, change.content)
    return kept


def _contents(archive: Path) -> dict[str, bytes]:
    """The files of an edition by their names below its folder."""
    none = f"{archive} is no archive of the course: take the vae-course.zip that your teacher hands out."
    try:
        with zipfile.ZipFile(archive) as file:
            entries = [entry for entry in file.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > LARGEST:
                raise CourseError(none)
            found = {entry.filename.partition("/")[2]: file.read(entry) for entry in entries}
        for name, content in found.items():
            if name.startswith("notebooks/"):
                nbformat.reads(content.decode("utf-8"), as_version=4)
    except Exception:  # zipfile promises no closed list
        raise CourseError(none) from None
    # A name that leads elsewhere goes up, begins at a root ("" before the first slash) or names a drive.
    strange = any({"..", ""} & {*name.split("/")} or {"\\", ":"} & {*name} for name in found)
    if strange or "nbgrader_config.py" not in found:
        raise CourseError(none)
    return found


def _change(name: str, content: bytes, own: Path, was: Path | None) -> list[Change]:
    """What becomes of the student's file: a notebook that was handed out as `was` is merged."""
    conflicts = 0
    if was and own.exists():
        content, conflicts = _merged(was, own, content)
    same = own.exists() and own.read_bytes() == content
    return [] if same else [Change(name, content, conflicts)]


def _merged(was: Path, own: Path, content: bytes) -> tuple[bytes, int]:
    """The student's notebook with what the new edition brings, and the number of cells that both changed."""
    if not was.exists():
        raise CourseError(f"{was} is missing, with which your changes are told from your teacher's.")
    base, mine = notebooks.read(was), notebooks.read(own)
    new = nbformat.reads(content.decode("utf-8"), as_version=4)
    if _sources(new) == _sources(base):
        return own.read_bytes(), 0
    conflicts = merge(base, mine, new)
    return (nbformat.writes(mine) + "\n").encode(), conflicts


def merge(base: NotebookNode, mine: NotebookNode, new: NotebookNode) -> int:
    """Bring into `mine` what `new` changed in `base`; the number of cells that both changed."""
    was, now = _by_key(base), _by_key(new)
    cells, conflicts = list[NotebookNode](), 0
    for cell in mine.cells:
        key = _key(cell)
        own = key not in was or _differ(cell, was[key])
        if key not in now:  # written by the student, or taken out by the teacher
            cell.metadata.pop("nbgrader", None)
            cells += [cell] * own
        elif _differ(cell, now[key]) and (not own or is_locked(now[key])):
            cells.append(now[key])
        else:
            cell.metadata = now[key].metadata  # such as an exercise's points
            cells.append(cell)
            if _differ(cell, now[key]) and (key not in was or _differ(was[key], now[key])):
                conflicts += 1
                cells.append(nbformat.v4.new_markdown_cell(BOTH + _quoted(now[key])))
    _put_in(cells, [cell for cell in new.cells if _key(cell) not in was or "nbgrader" in cell.metadata], new)
    mine.cells = cells
    return conflicts


def _put_in(cells: list[NotebookNode], wanted: list[NotebookNode], new: NotebookNode) -> None:
    """Put in what is not there, each after the nearest cell before it in the new edition that is."""
    order = [_key(cell) for cell in new.cells]
    for cell in wanted:
        there = {_key(one): place for place, one in enumerate(cells)}
        if _key(cell) not in there:
            before = order[: order.index(_key(cell))]
            place = next((there[key] for key in reversed(before) if key in there), -1)
            cells.insert(place + 1, cell)


def _quoted(cell: NotebookNode) -> str:
    return cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"


def _differ(one: NotebookNode, other: NotebookNode) -> bool:
    return notebooks.plain(one.source) != notebooks.plain(other.source)


def _by_key(notebook: NotebookNode) -> dict[str, NotebookNode]:
    return {_key(cell): cell for cell in notebook.cells}


def _key(cell: NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id") or cell.get("id", "")


def _sources(notebook: NotebookNode) -> list[tuple[str, str, object]]:
    """What makes one edition of a notebook another."""
    return [(_key(cell), cell.source, cell.metadata.get("nbgrader")) for cell in notebook.cells]

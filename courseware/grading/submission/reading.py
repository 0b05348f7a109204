"""Reading what a student handed in: files and notebooks of which nothing is taken on trust.

`collect` takes the notebooks out of a submission's folder: regular files of bounded size, under the names
that the assignment knows. `repair` takes three things from each cell of such a notebook (its type, its
source, and which cell of the assignment it is) and puts the answers into a copy of the released notebook.
Both report what was wrong instead of raising. No student's code is run or parsed here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from errno import ELOOP
from pathlib import Path
from typing import Any, BinaryIO

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell
from nbgrader.utils import is_solution, parse_utc

from courseware.grading.reasons import Fault, Reason

LARGEST = 16 * 2**20  # bytes of a notebook; a submission may have four times as many
MOST_CELLS = 2000
LONGEST = 2**20  # bytes of a cell's source
TIMESTAMP = "timestamp.txt"
TIMESTAMP_LENGTH = 100  # characters; nbgrader's own have 30
SHOWN = 80  # characters of a file's name

NEW_CELL = {"code": new_code_cell, "markdown": new_markdown_cell, "raw": new_raw_cell}


@dataclass(frozen=True)
class Submission:
    """What was handed in: the bytes of each notebook that the assignment knows, and what was left out.

    The digest is that of notebooks and faults: not of who handed them in, nor of when.
    """

    student: str
    assignment: str
    notebooks: dict[str, bytes]
    faults: tuple[Fault, ...]
    digest: str
    timestamp: str | None


class _Refused(Exception):
    """A file that is not read, or is no notebook: the reason, and what the file is or has."""

    def __init__(self, reason: Reason, why: str) -> None:
        super().__init__(why)
        self.reason, self.why = reason, why


def collect(folder: Path, student: str, assignment: str, expected: Collection[str]) -> Submission:
    """The submission in a folder; what cannot be read becomes a fault, nothing is raised."""
    stems = {f"{stem}.ipynb": stem for stem in sorted(expected)}
    try:
        # Files are opened relative to this, whatever becomes of the path meanwhile.
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            notebooks, faults, timestamp = _files(directory, stems)
        finally:
            os.close(directory)
    except OSError as problem:
        reason = Reason.MISSING_NOTEBOOK if isinstance(problem, FileNotFoundError) else Reason.LINK
        notebooks, timestamp = {}, None
        faults = [Fault(reason, "", f"the submission is no folder that can be read: {problem.strerror}")]
    digest = _digest(notebooks, faults)
    return Submission(student, assignment, notebooks, tuple(faults), digest, timestamp)


def _files(directory: int, stems: dict[str, str]) -> tuple[dict[str, bytes], list[Fault], str | None]:
    """The notebooks of an open directory, what is wrong with its files, and the timestamp."""
    notebooks: dict[str, bytes] = {}
    faults, timestamp = [], None
    present = sorted(os.listdir(directory))
    for name in present:
        if name != TIMESTAMP and not name.lower().endswith(".ipynb"):
            continue
        try:
            with _opened(directory, name) as file:
                if name == TIMESTAMP:
                    timestamp = _timestamp(_content(file, 4 * TIMESTAMP_LENGTH))
                elif name in stems:
                    left = 4 * LARGEST - sum(map(len, notebooks.values()))
                    notebooks[stems[name]] = _content(file, min(LARGEST, left))
                else:
                    raise _Refused(Reason.WRONG_NAME, f"is none of {', '.join(stems)}")
        except _Refused as refusal:
            faults.append(Fault(refusal.reason, stems.get(name, ""), f"{_shown(name)} {refusal.why}"))
    for name in sorted(stems.keys() - set(present)):
        faults.append(Fault(Reason.MISSING_NOTEBOOK, stems[name], f"{name} is not there"))
    return notebooks, faults, timestamp


@contextmanager
def _opened(directory: int, name: str) -> Iterator[BinaryIO]:
    """A regular file of an open directory. Raises _Refused for anything else, or if it cannot be read."""
    try:
        # O_NONBLOCK: opening a fifo would otherwise wait until somebody writes.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _Refused(Reason.LINK, "is a folder, a device or a pipe")
            with open(handle, "rb", closefd=False) as file:
                yield file
        finally:
            os.close(handle)
    except OSError as problem:
        why = "is a link" if problem.errno == ELOOP else f"cannot be read: {problem.strerror}"
        raise _Refused(Reason.LINK, why) from None


def _content(file: BinaryIO, limit: int) -> bytes:
    """What a file holds. Raises _Refused if that is more than `limit` bytes."""
    content = b""
    if os.fstat(file.fileno()).st_size <= limit:
        content = file.read(limit + 1)  # it may grow meanwhile
        if len(content) <= limit:
            return content
    raise _Refused(Reason.TOO_LARGE, f"has more than the {limit:,} bytes that are left for it")


def _timestamp(content: bytes) -> str | None:
    """The text of nbgrader's timestamp, None if nbgrader could not read it."""
    try:
        text = content.decode().strip()
        # dateutil would open the file that a time zone with a slash names.
        if len(text) > TIMESTAMP_LENGTH or "/" in text:
            return None
        parse_utc(text)
    except Exception:  # dateutil promises no closed list
        return None
    return text


def _shown(name: str) -> str:
    """A file's name as it may be printed."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name[:SHOWN])


def _digest(notebooks: dict[str, bytes], faults: list[Fault]) -> str:
    contents = {stem: hashlib.sha256(content).hexdigest() for stem, content in sorted(notebooks.items())}
    whole = [contents, [[fault.reason.name, fault.notebook, fault.detail] for fault in faults]]
    return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


@dataclass(frozen=True)
class _Cell:
    """What is taken from a student's cell; `grade_id` is '' unless it is a cell of the assignment."""

    kind: str
    source: str
    grade_id: str


def repair(raw: bytes, release: NotebookNode, name: str) -> tuple[NotebookNode, tuple[Fault, ...]]:
    """The released notebook (of nbformat 4.5) with what the student wrote put in; raises nothing.

    Cells with nbgrader metadata are all there, once each, and only answers differ from the release. All
    other cells are the student's. What is no notebook leaves the release as it is, unanswered.
    """
    result = deepcopy(release)
    try:
        found = _cells(raw)
    except _Refused as refusal:
        return result, (Fault(refusal.reason, name, refusal.why),)
    faults = []
    if len(found) > MOST_CELLS:
        detail = f"{len(found):,} cells; those after the first {MOST_CELLS:,} were left out"
        faults.append(Fault(Reason.TOO_LARGE, name, detail))
    released = {cell.metadata.nbgrader.grade_id: cell for cell in result.cells if "nbgrader" in cell.metadata}
    cells = [cell for value in found[:MOST_CELLS] if (cell := _cell(value, released))]

    cells, duplicated = _without_duplicates(cells, released)
    changed = [cell.grade_id for cell in cells if _is_changed(cell, released)]
    missing = _put_back(cells, released)
    _order(cells, released)
    for reason, concerned in {
        Reason.MISSING_CELLS: missing,
        Reason.DUPLICATED_CELLS: duplicated,
        Reason.CHANGED_CELLS: changed,
    }.items():
        if concerned:
            faults.append(Fault(reason, name, ", ".join(concerned)))

    result.cells, too_long, own = [], [], 0
    for cell in cells:
        source = cell.source
        if len(source.encode()) > LONGEST:
            too_long.append(cell.grade_id or "a cell of the student's own")
            source = ""
        if cell.grade_id:
            node = released[cell.grade_id]
            if is_solution(node):
                node.source = source
        else:
            own += 1
            node = NEW_CELL[cell.kind](source, id=f"student-{own:04}")
        result.cells.append(node)
    if too_long:
        detail = f"more than {LONGEST:,} bytes, emptied: {', '.join(dict.fromkeys(too_long))}"
        faults.append(Fault(Reason.TOO_LARGE, name, detail))
    return result, tuple(faults)


def _cells(raw: bytes) -> list[Any]:
    """The cells of a notebook as JSON has them. Raises _Refused if it is no notebook of nbformat 4."""
    try:
        notebook = json.loads(raw.decode("utf-8-sig"))
    except RecursionError:
        raise _Refused(Reason.NOT_A_NOTEBOOK, "its JSON is nested too deeply") from None
    except ValueError as problem:  # of the encoding, of JSON, or a number with too many digits
        raise _Refused(Reason.NOT_A_NOTEBOOK, f"it is no JSON in UTF-8: {problem}") from None
    version = _item(notebook, "nbformat")
    if isinstance(version, int) and version < 4:
        raise _Refused(Reason.NOT_A_NOTEBOOK, "its format is an old one: save it with a current Jupyter")
    cells = _item(notebook, "cells")
    if not isinstance(version, int) or not isinstance(cells, list):
        raise _Refused(Reason.NOT_A_NOTEBOOK, "its JSON is not that of a notebook")
    return cells


def _item(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _cell(value: Any, released: Collection[str]) -> _Cell | None:
    """What is taken from a cell, None if it is of no known type."""
    kind, source = _item(value, "cell_type"), _item(value, "source")
    if not isinstance(kind, str) or kind not in NEW_CELL:
        return None
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        source = ""
    grade_id = _item(_item(_item(value, "metadata"), "nbgrader"), "grade_id")
    known = isinstance(grade_id, str) and grade_id in released
    # JSON can hold halves of surrogate pairs, which no file can.
    return _Cell(kind, re.sub(r"[\0\ud800-\udfff]", "\ufffd", source), grade_id if known else "")


def _without_duplicates(
    cells: list[_Cell], released: dict[str, NotebookNode]
) -> tuple[list[_Cell], list[str]]:
    """Each cell of the assignment at most once, and the names of those that were there more often.

    Of an answer the first copy that answers is kept, of other cells the first that was not changed. Copies
    that follow it directly are what Jupyter makes of a cell that is split: an answer is joined again. Other
    copies become cells of the student's own if they say something else.
    """
    places: dict[str, list[int]] = {}
    for place, cell in enumerate(cells):
        if cell.grade_id:
            places.setdefault(cell.grade_id, []).append(place)
    result: dict[int, _Cell] = dict(enumerate(cells))
    duplicated = [grade_id for grade_id in released if len(places.get(grade_id, [])) > 1]
    for grade_id in duplicated:
        copies = {place: cells[place].source for place in places[grade_id]}
        origin, answers = released[grade_id].source, is_solution(released[grade_id])
        answered = [place for place, source in copies.items() if source.strip() and source != origin]
        intact = [place for place, source in copies.items() if source == origin]
        kept = end = [*(answered if answers else intact), *copies][0]
        while answers and copies.get(end + 1, origin) != origin:
            end += 1
        parts = [copies[place] for place in range(kept, end + 1)]
        whole = "\n".join(dict.fromkeys(part for part in parts if part.strip()))
        said = {origin, *parts}
        for place, source in copies.items():
            if place == kept:
                result[place] = replace(cells[place], source=whole)
            elif kept < place <= end or source in said or not source.strip():
                del result[place]
            else:
                result[place] = replace(cells[place], grade_id="")
    return list(result.values()), duplicated


def _is_changed(cell: _Cell, released: dict[str, NotebookNode]) -> bool:
    """Whether it is a cell of the assignment that no student is to change, and was changed."""
    origin = released.get(cell.grade_id)
    return (
        origin is not None
        and not is_solution(origin)
        and (cell.kind, cell.source) != (origin.cell_type, origin.source)
    )


def _put_back(cells: list[_Cell], released: dict[str, NotebookNode]) -> list[str]:
    """Insert every cell of the assignment that is missing behind the one before it; returns their names."""
    missing, behind = [], 0
    for grade_id, origin in released.items():
        place = next((place for place, cell in enumerate(cells) if cell.grade_id == grade_id), None)
        if place is None:
            place = behind
            cells.insert(place, _Cell(origin.cell_type, origin.source, grade_id))
            missing.append(grade_id)
        behind = place + 1
    return missing


def _order(cells: list[_Cell], released: Collection[str]) -> None:
    """Move every check that stands above its answer to directly below."""
    for grade_id in released:
        if f"{grade_id}-check" in released:
            names = [cell.grade_id for cell in cells]
            answer, check = names.index(grade_id), names.index(f"{grade_id}-check")
            if check < answer:
                cells.insert(answer, cells.pop(check))

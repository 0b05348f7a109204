"""What students hand in, and what can be made to look like it: it is read, put right or refused."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import compute_checksum, is_locked, is_solution

from courseware import sections
from courseware.grading.reasons import Fault, Reason
from courseware.grading.submission import reading
from courseware.grading.submission.reading import Submission, collect, repair

ROOT = Path(__file__).parents[2]
by_lesson = pytest.mark.parametrize("lesson", sections.lessons(), ids=lambda lesson: lesson.name)

RELEASE = nbformat.read(ROOT / "notebooks/07-exercises/latent_dimension.ipynb", as_version=4)
ANSWER, CHECK, WRITTEN = "count-active", "count-active-check", "sweet-spot"  # two cells and a text


def marked(notebook: NotebookNode) -> dict[str, NotebookNode]:
    """The cells with nbgrader metadata; no two have the same grade_id."""
    cells = [cell for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert len({cell.metadata.nbgrader.grade_id for cell in cells}) == len(cells)
    return {cell.metadata.nbgrader.grade_id: cell for cell in cells}


def said(notebook: NotebookNode) -> list[tuple[str, str, dict]]:
    return [(cell.cell_type, cell.source, cell.metadata.get("nbgrader", {})) for cell in notebook.cells]


def assert_sound(notebook: NotebookNode, release: NotebookNode = RELEASE) -> None:
    """It is valid, for nbgrader too, and all of the assignment is in it, with what is not the student's."""
    nbformat.validate(notebook)
    json.dumps(notebook, ensure_ascii=False).encode()
    MetadataValidator().validate_nb(notebook)
    assert marked(notebook).keys() == marked(release).keys()
    for grade_id, cell in marked(notebook).items():
        origin = marked(release)[grade_id]
        assert (cell.metadata, cell.cell_type, cell.id) == (origin.metadata, origin.cell_type, origin.id)
        assert is_solution(cell) or cell.source == origin.source
        assert not is_locked(cell) or compute_checksum(cell) == cell.metadata.nbgrader.checksum


class Edited:
    """The released notebook, as JSON, for a test to change."""

    def __init__(self) -> None:
        self.json: dict[str, Any] = json.loads(nbformat.writes(RELEASE))

    @property
    def cells(self) -> list[Any]:
        return self.json["cells"]

    def place(self, grade_id: str) -> int:
        return next(
            place
            for place, cell in enumerate(self.cells)
            if cell["metadata"].get("nbgrader", {}).get("grade_id") == grade_id
        )

    def answer(self, grade_id: str, *sources: str) -> None:
        """Let these be the sources of as many copies of a cell, one below the other."""
        place = self.place(grade_id)
        self.cells[place : place + 1] = [self.cells[place] | {"source": source} for source in sources]

    def repaired(self) -> tuple[NotebookNode, dict[Reason, str]]:
        """The notebook as it is read, and its faults."""
        notebook, faults = repair(json.dumps(self.json).encode(), RELEASE, "latent_dimension")
        assert_sound(notebook)
        assert {fault.notebook for fault in faults} <= {"latent_dimension"}
        assert len({fault.reason for fault in faults}) == len(faults)
        return notebook, {fault.reason: fault.detail for fault in faults}


@pytest.fixture
def edited() -> Edited:
    return Edited()


def own(notebook: NotebookNode) -> list[str]:
    """The sources of the cells that neither nbgrader nor the release knows."""
    released = {cell.source for cell in RELEASE.cells}
    return [
        cell.source
        for cell in notebook.cells
        if "nbgrader" not in cell.metadata and cell.source not in released
    ]


# --- what belongs to the assignment and what to the student -----------------------------------------------


@by_lesson
@pytest.mark.parametrize("edition", ["notebooks", "solutions"])
def test_what_nobody_damaged_is_taken_as_it_is(lesson, edition):
    raw = (ROOT / edition / lesson.path).read_bytes()
    release = nbformat.read(ROOT / "notebooks" / lesson.path, as_version=4)
    notebook, faults = repair(raw, release, lesson.name)
    assert faults == ()
    assert_sound(notebook, release)
    handed_in = nbformat.reads(raw.decode(), as_version=4)
    assert [(c.cell_type, c.source) for c in notebook.cells] == [
        (c.cell_type, c.source) for c in handed_in.cells
    ]


def test_repairing_twice_changes_nothing(edited):
    edited.answer(ANSWER, "a = 1", "b = 2")
    once, _ = edited.repaired()
    twice, faults = repair(nbformat.writes(once).encode(), RELEASE, "")
    assert (said(twice), faults) == (said(once), ())


def test_the_release_itself_is_not_touched(edited):
    before = deepcopy(RELEASE)
    edited.answer(ANSWER, "mine")
    edited.repaired()
    assert before == RELEASE


def test_cells_without_metadata_are_the_students(edited):
    edited.cells[0]["source"] = ["mine, ", "in two parts"]
    del edited.cells[-1]
    notebook, faults = edited.repaired()
    assert (notebook.cells[0].source, len(notebook.cells), faults) == (
        "mine, in two parts",
        len(RELEASE.cells) - 1,
        {},
    )


def test_only_type_source_and_name_are_taken(edited):
    edited.json["metadata"] = {"kernelspec": {"name": "bash"}, "poison": 1}
    for cell in edited.cells:
        cell["metadata"] = {"nbgrader": cell["metadata"].get("nbgrader", {}) | {"points": 99, "grade": True}}
        cell["metadata"]["poison"] = cell["poison"] = cell["id"] = "poison"
        cell["outputs"] = [{"output_type": "poison"}]
        cell["attachments"] = {"poison": {}}
    notebook, faults = edited.repaired()
    assert faults == {}
    assert "poison" not in nbformat.writes(notebook)
    assert notebook.metadata == RELEASE.metadata


def test_a_name_that_the_assignment_does_not_know_is_none(edited):
    edited.cells[0]["metadata"] = {"nbgrader": {"grade_id": "own-exercise", "points": 50}}
    notebook, faults = edited.repaired()
    assert (notebook.cells[0].metadata, faults) == ({}, {})


def test_changed_checks_are_put_back(edited):
    edited.answer(CHECK, "3")
    edited.cells[edited.place("predict-dimensions-check")]["cell_type"] = "raw"
    _, faults = edited.repaired()
    assert faults == {Reason.CHANGED_CELLS: f"predict-dimensions-check, {CHECK}"}


@pytest.mark.parametrize("grade_id", [ANSWER, WRITTEN])
def test_an_answer_keeps_its_source_and_its_released_type(edited, grade_id):
    edited.answer(grade_id, "mine")
    edited.cells[edited.place(grade_id)]["cell_type"] = "raw"
    notebook, faults = edited.repaired()
    assert (marked(notebook)[grade_id].source, faults) == ("mine", {})


# --- missing cells and their order ------------------------------------------------------------------------


@pytest.mark.parametrize("grade_id", marked(RELEASE))
def test_a_missing_cell_is_put_back_behind_the_one_before_it(edited, grade_id):
    del edited.cells[edited.place(grade_id)]
    notebook, faults = edited.repaired()
    names, at = list(marked(RELEASE)), list(marked(RELEASE)).index(grade_id)
    assert faults == {Reason.MISSING_CELLS: grade_id}
    assert list(marked(notebook)) == names
    before = notebook.cells.index(marked(notebook)[names[at - 1]]) if at else -1
    assert notebook.cells[before + 1].source == marked(RELEASE)[grade_id].source


def test_of_an_empty_notebook_the_assignment_is_left(edited):
    edited.cells.clear()
    notebook, faults = edited.repaired()
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in marked(RELEASE).values()]
    assert faults.keys() == {Reason.MISSING_CELLS}


def test_the_students_order_is_kept(edited):
    exercise = edited.cells[edited.place(ANSWER) : edited.place(CHECK) + 1]
    edited.json["cells"] = exercise + [cell for cell in edited.cells if cell not in exercise]
    notebook, faults = edited.repaired()
    assert ([cell.source for cell in notebook.cells], faults) == (
        ["".join(cell["source"]) for cell in edited.cells],
        {},
    )


def test_a_check_above_its_answer_is_moved_directly_below(edited):
    edited.cells.insert(0, edited.cells.pop(edited.place(CHECK)))
    notebook, faults = edited.repaired()
    names = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells]
    assert (names.index(CHECK), faults) == (names.index(ANSWER) + 1, {})


def test_a_missing_check_is_put_back_below_an_answer_that_was_moved_down(edited):
    del edited.cells[edited.place(CHECK)]
    edited.cells.append(edited.cells.pop(edited.place(ANSWER)))
    notebook, _ = edited.repaired()
    assert [cell.metadata.nbgrader.grade_id for cell in notebook.cells[-2:]] == [ANSWER, CHECK]


# --- duplicated cells -------------------------------------------------------------------------------------

STUB, ELSEWHERE = marked(RELEASE)[ANSWER].source, None


@pytest.mark.parametrize(
    ("copies", "kept", "others"),
    [
        (["a", "b"], "a\nb", []),  # what Jupyter makes of a cell that is split
        (["a", "", "b", "c"], "a\nb\nc", []),
        (["a", "a"], "a", []),
        (["a\n", STUB], "a\n", []),
        ([STUB, "a"], "a", []),
        (["", "a"], "a", []),
        ([STUB, STUB], STUB, []),
        ([STUB.partition("\n")[0], STUB.partition("\n")[2]], STUB, []),
        (["a", STUB, "b"], "a", ["b"]),
        (["a", ELSEWHERE, "b"], "a", ["b"]),
        (["a", ELSEWHERE, "a"], "a", []),
        ([STUB, ELSEWHERE, "a"], "a", []),
        (["", ELSEWHERE, "a"], "a", []),
        (["a", "b", ELSEWHERE, "b", "c"], "a\nb", ["c"]),
    ],
)
def test_one_of_the_copies_of_an_answer_is_the_answer(edited, copies, kept, others):
    place = edited.place(ANSWER)
    cell = edited.cells[place]
    edited.cells[place : place + 1] = [
        {"cell_type": "markdown", "source": "own"} if source is ELSEWHERE else cell | {"source": source}
        for source in copies
    ]
    notebook, faults = edited.repaired()
    assert marked(notebook)[ANSWER].source == kept
    assert [source for source in own(notebook) if source != "own"] == others
    assert faults == {Reason.DUPLICATED_CELLS: ANSWER}


def test_of_the_copies_of_a_check_the_unchanged_one_is_kept(edited):
    check = marked(RELEASE)[CHECK].source
    edited.answer(CHECK, "mine = 1", check, "mine = 2", check)
    notebook, faults = edited.repaired()
    assert (own(notebook), faults) == (["mine = 1", "mine = 2"], {Reason.DUPLICATED_CELLS: CHECK})


# --- what no notebook is ----------------------------------------------------------------------------------

CELLS = b'"cells": [{"cell_type": "code", "source": "mine"}]'


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "JSON"),
        (b"\x00\xff\xfe", "UTF-8"),
        (nbformat.writes(RELEASE).encode("utf-16"), "UTF-8"),
        (nbformat.writes(RELEASE).encode("utf-16-le"), "JSON"),
        (nbformat.writes(RELEASE).encode()[:-50], "JSON"),
        (b"[" * 100_000, "deeply"),
        (b'{"a":' * 100_000, "deeply"),
        (b'{"nbformat": ' + b"4" * 5000 + b", " + CELLS + b"}", "digits"),
        (b"[]", "not that of a notebook"),
        (b"{" + CELLS + b"}", "not that of a notebook"),
        (b'{"nbformat": NaN, ' + CELLS + b"}", "not that of a notebook"),
        (b'{"nbformat": "4", ' + CELLS + b"}", "not that of a notebook"),
        (b'{"nbformat": 4, "cells": {}}', "not that of a notebook"),
        (b'{"nbformat": 3, "worksheets": [{' + CELLS + b"}]}", "current Jupyter"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value[:20]),
)
def test_what_is_no_notebook_leaves_the_release_unanswered(raw, word):
    notebook, (fault,) = repair(raw, RELEASE, "name")
    assert (notebook, fault.reason, fault.notebook) == (RELEASE, Reason.NOT_A_NOTEBOOK, "name")
    assert word in fault.detail


def test_a_byte_order_mark_is_accepted():
    assert repair(b"\xef\xbb\xbf" + nbformat.writes(RELEASE).encode(), RELEASE, "")[1] == ()


@pytest.mark.parametrize("kind", ["heading", None, 1, ["code"], {}])
def test_a_cell_of_an_unknown_type_is_dropped(edited, kind):
    edited.cells.append({"cell_type": kind, "source": "mine"})
    assert own(edited.repaired()[0]) == []


@pytest.mark.parametrize("source", [None, 1, ["mine", 1], {"mine": 1}])
def test_a_source_that_is_no_text_is_empty(edited, source):
    edited.answer(ANSWER, source)
    assert marked(edited.repaired()[0])[ANSWER].source == ""


def test_what_no_file_can_hold_is_replaced(edited):
    edited.answer(ANSWER, "a\0b\ud800c\U0001f600")
    assert marked(edited.repaired()[0])[ANSWER].source == "a\ufffdb\ufffdc\U0001f600"


def test_cells_after_the_first_two_thousand_are_left_out(edited):
    edited.json["cells"] = [{"cell_type": "raw", "source": "mine"}] * 2000 + edited.cells
    notebook, faults = edited.repaired()
    assert len(notebook.cells) == 2000 + len(marked(RELEASE))
    assert faults.keys() == {Reason.TOO_LARGE, Reason.MISSING_CELLS}


@pytest.mark.parametrize(("length", "faults"), [(2**19, set()), (2**19 + 1, {Reason.TOO_LARGE})])
def test_a_source_longer_than_a_mebibyte_is_emptied(edited, length, faults):
    edited.answer(WRITTEN, "é" * length)
    notebook, found = edited.repaired()
    assert (bool(marked(notebook)[WRITTEN].source), found.keys()) == (not faults, faults)


# --- anything whatever ------------------------------------------------------------------------------------

JSON_VALUES = (None, True, 0, -1, 4.5, float("nan"), float("inf"), 10**4000, "", "code", "\ud800\0", [], {})
TEXTS = (b"[" * 100_000, b"9" * 5000, b"1e999999", b"NaN", b'"\\ud800"', b"\xff", b"\0", b"{}", b"null")


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a JSON value with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [place for key in keys for place in [(value, key), *places(value[key])]]


def replace_values(notebook: Edited, draw: random.Random) -> None:
    for _ in range(draw.randint(1, 20)):
        container, key = draw.choice(places(notebook.json))
        container[key] = deepcopy(draw.choice([*JSON_VALUES, *(c[k] for c, k in places(notebook.json)[:99])]))


def replace_one_key_everywhere(notebook: Edited, draw: random.Random) -> None:
    name = draw.choice(["cell_type", "source", "metadata", "nbgrader", "grade_id", "id", "outputs"])
    for container, key in places(notebook.json):
        if key == name and draw.random() < 0.7:
            container[key] = draw.choice(JSON_VALUES)


def shuffle_cells(notebook: Edited, draw: random.Random) -> None:
    notebook.json["cells"] = draw.choices(notebook.cells, k=draw.randint(0, 2 * len(notebook.cells)))


def answer_all(notebook: Edited, draw: random.Random) -> None:
    for cell in notebook.cells:
        cell["source"] = draw.choice(["mine", "", "other", cell["source"]])


def as_it_is(notebook: Edited, draw: random.Random) -> None:
    pass


def truncate(raw: bytes, draw: random.Random) -> bytes:
    return raw[: draw.randrange(len(raw))]


def insert_text(raw: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(raw))
    return raw[:at] + draw.choice(TEXTS) + raw[at + draw.randint(0, 3) :]


def insert_value(raw: bytes, draw: random.Random) -> bytes:
    at = draw.choice([place for place, letter in enumerate(raw) if letter == ord(":")]) + 1
    return raw[:at] + draw.choice(TEXTS) + b"," + b'"more":' + raw[at:]


def random_bytes(raw: bytes, draw: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(draw.randint(1, 30)):
        changed[draw.randrange(len(raw))] = draw.randrange(256)
    return bytes(changed)


CHANGES = (replace_values, replace_one_key_everywhere, shuffle_cells, answer_all, as_it_is)
DAMAGES = (truncate, insert_text, insert_value, random_bytes)


@pytest.mark.parametrize("seed", range(300))
def test_whatever_is_handed_in_a_sound_notebook_comes_out(seed):
    draw, notebook = random.Random(seed), Edited()
    for _ in range(draw.randint(1, 3)):
        if isinstance(notebook.json.get("cells"), list) and all(
            isinstance(cell, dict) for cell in notebook.cells
        ):
            draw.choice(CHANGES)(notebook, draw)
    raw = json.dumps(notebook.json).encode()
    if draw.random() < 0.3:
        raw = draw.choice(DAMAGES)(raw, draw)
    repaired, faults = repair(raw, RELEASE, "name")
    assert_sound(repaired)
    assert all(isinstance(fault, Fault) for fault in faults)


# --- files ------------------------------------------------------------------------------------------------


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Submission]:
    """Read the folder, of an assignment with these notebooks."""

    def collected(*expected: str) -> Submission:
        return collect(tmp_path, "ada", "03-vae", expected or ("vae",))

    return collected


def reasons(submission: Submission) -> list[tuple[Reason, str]]:
    return [(fault.reason, fault.notebook) for fault in submission.faults]


def test_the_notebooks_of_the_assignment_are_read(tmp_path, read):
    (tmp_path / "b.ipynb").write_bytes(b"second")
    (tmp_path / "a.ipynb").write_bytes(b"first")
    (tmp_path / "notes.txt").write_bytes(b"ignored")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    submission = read("b", "a")
    assert (submission.student, submission.assignment) == ("ada", "03-vae")
    assert list(submission.notebooks.items()) == [("a", b"first"), ("b", b"second")]
    assert submission.faults == ()


@pytest.mark.parametrize("name", ["vae (1).ipynb", "vae-final.ipynb", "VAE.ipynb", "vae.IPYNB"])
def test_another_name_is_not_guessed_at(tmp_path, read, name):
    (tmp_path / name).write_bytes(b"{}")
    submission = read()
    assert submission.notebooks == {}
    assert reasons(submission) == [(Reason.WRONG_NAME, ""), (Reason.MISSING_NOTEBOOK, "vae")]
    assert submission.faults[0].detail == f"{name} is none of vae.ipynb"


def test_a_name_is_shown_as_it_can_be_printed(tmp_path, read):
    (tmp_path / "vae.ipynb").write_bytes(b"{}")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n\x1b[31m" + b"x" * 200 + b".ipynb")).write_bytes(b"{}")
    (detail,) = [fault.detail for fault in read().faults]
    assert detail.isprintable()
    assert len(detail) < 120


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    (path.parent / "target").write_bytes(b"of another student")
    path.symlink_to(path.parent / "target")


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", ["vae.ipynb", "other.ipynb", "timestamp.txt"])
@pytest.mark.parametrize("make", [fifo, link, dangling, link_to_a_device, Path.mkdir])
def test_only_files_are_opened(tmp_path, read, make, name):
    make(tmp_path / name)
    submission = read()
    assert (submission.notebooks, submission.timestamp) == ({}, None)
    assert (Reason.LINK, "vae" if name == "vae.ipynb" else "") in reasons(submission)


def test_a_file_that_may_not_be_read_is_a_fault(tmp_path, read, monkeypatch):
    (tmp_path / "vae.ipynb").write_bytes(b"{}")
    opened = os.open

    def refusing(path: Any, *rest: Any, dir_fd: int | None = None) -> int:
        if dir_fd is not None:
            raise PermissionError(13, "Permission denied")
        return opened(path, *rest)

    monkeypatch.setattr(reading.os, "open", refusing)
    (fault,) = read().faults
    assert fault == Fault(Reason.LINK, "vae", "vae.ipynb cannot be read: Permission denied")


def test_a_folder_that_is_a_link_is_not_entered(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "vae.ipynb").write_bytes(b"{}")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    submission = collect(tmp_path / "link", "ada", "03-vae", ["vae"])
    assert (submission.notebooks, reasons(submission)) == ({}, [(Reason.LINK, "")])


def test_without_a_folder_nothing_was_handed_in(tmp_path):
    submission = collect(tmp_path / "nowhere", "ada", "03-vae", ["vae"])
    assert reasons(submission) == [(Reason.MISSING_NOTEBOOK, "")]


def test_a_file_that_is_too_large_is_not_read(tmp_path, read, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST", 10)
    (tmp_path / "a.ipynb").write_bytes(b"x" * 11)
    (tmp_path / "b.ipynb").write_bytes(b"x" * 10)
    submission = read("a", "b")
    assert (list(submission.notebooks), reasons(submission)) == (["b"], [(Reason.TOO_LARGE, "a")])


def test_notebooks_are_read_while_the_sum_is_not_too_large(tmp_path, read, monkeypatch):
    monkeypatch.setattr(reading, "LARGEST", 10)
    for name in "abcde":
        (tmp_path / f"{name}.ipynb").write_bytes(b"x" * 9)
    submission = read(*"abcde")
    assert (list(submission.notebooks), reasons(submission)) == (list("abcd"), [(Reason.TOO_LARGE, "e")])


def test_a_file_that_grows_while_it_is_read_is_too_large(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    class Growing:
        def fileno(self) -> int:
            return file.fileno()

        def read(self, size: int) -> bytes:
            return b"x" * size

    with open(tmp_path / "file", "rb") as file, pytest.raises(reading._Refused):
        reading._content(Growing(), 10)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b" 2025-02-02 15:58:23.948203 UTC\n", "2025-02-02 15:58:23.948203 UTC"),
        (b"2025-02-02 15:58:23 CET", "2025-02-02 15:58:23 CET"),
        (b"", None),
        (b"yesterday", None),
        (b"\xff\xfe", None),
        (b"2025-02-02 " + b"9" * 80, None),
        (b"2025-02-02 10:00 " + b"9" * 60, None),
        (b"2025-02-02" + b" " * 100 + b"10:00", None),
        (b"2025-02-02 10:00 /etc/localtime", None),
    ],
)
def test_a_timestamp_is_what_nbgrader_can_read(tmp_path, read, content, expected):
    (tmp_path / "timestamp.txt").write_bytes(content)
    assert read().timestamp == expected


def test_a_timestamp_without_end_is_too_large(tmp_path, read):
    (tmp_path / "timestamp.txt").write_bytes(b" " * 1000)
    assert (Reason.TOO_LARGE, "") in reasons(read())


def test_the_digest_is_the_same_for_the_same_files(tmp_path, read):
    (tmp_path / "vae.ipynb").write_bytes(b"{}")
    assert read().digest == collect(tmp_path, "bob", "03-vae", ["vae"]).digest


@pytest.mark.parametrize("name", ["vae.ipynb", "other.ipynb"])
def test_the_digest_tells_what_counts(tmp_path, read, name):
    (tmp_path / "vae.ipynb").write_bytes(b"{}")
    before = read().digest
    (tmp_path / name).write_bytes(b"2025-02-02")
    assert read().digest != before


@pytest.mark.parametrize("name", ["notes.txt", "timestamp.txt"])
def test_the_digest_does_not_tell_what_does_not_count(tmp_path, read, name):
    before = read().digest
    (tmp_path / name).write_bytes(b"2025-02-02")
    assert read().digest == before

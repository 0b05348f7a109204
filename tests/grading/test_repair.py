"""What students hand in, and what can be made to look like it: it is read, put right or refused."""

import base64
import cProfile
import json
import pstats
import random
from copy import deepcopy
from typing import Any
from urllib.parse import quote

import nbformat
import pytest
from cells import png
from nbformat import NotebookNode
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import compute_checksum, is_locked, is_solution
from programs import ROOT

from courseware import sections
from courseware.grading.reasons import Fault, Reason
from courseware.grading.submission import demonstrations, own_work
from courseware.grading.submission.repair import repair
from courseware.notebooks import plain

by_lesson = pytest.mark.parametrize("lesson", sections.lessons(), ids=lambda lesson: lesson.name)

SOLUTION = ROOT / "solutions/07-exercises/latent_dimension.ipynb"
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
    released = {plain(cell.source) for cell in RELEASE.cells}
    return [
        cell.source
        for cell in notebook.cells
        if "nbgrader" not in cell.metadata and plain(cell.source) not in released
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
    taken, given = ([(c.cell_type, c.source) for c in nb.cells] for nb in (notebook, handed_in))
    assert taken == given


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
    assert (notebook.cells[0].source, faults) == ("mine, in two parts", {})
    assert len(notebook.cells) == len(RELEASE.cells) - 1


def test_only_type_source_and_name_are_taken(edited):
    edited.json["metadata"] = {"kernelspec": {"name": "bash"}, "poison": 1}
    for cell in edited.cells:
        cell["metadata"] = {"nbgrader": cell["metadata"].get("nbgrader", {}) | {"points": 99, "grade": True}}
        cell["metadata"]["poison"] = cell["poison"] = cell["id"] = "poison"
        cell["outputs"] = [{"output_type": "poison"}]
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
    assert [cell.source for cell in notebook.cells] == ["".join(cell["source"]) for cell in edited.cells]
    assert faults == {}


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


# --- cells that have lost their marks ---------------------------------------------------------------------

MINE = {ANSWER: "def count_active(mu, threshold=0.01):\n    return 3", WRITTEN: "Ten, by the ELBO."}


def stripped(edited: Edited, *, ids: bool) -> None:
    """Leave no metadata, and no ids either, of a notebook with MINE in it."""
    for grade_id, source in MINE.items():
        edited.cells[edited.place(grade_id)]["source"] = source
    for cell in edited.cells:
        del cell["metadata"]
        cell["id"] = cell["id"] if ids else "lost"


def answers(notebook: NotebookNode) -> dict[str, str]:
    return {grade_id: marked(notebook)[grade_id].source for grade_id in MINE}


@pytest.mark.parametrize("colab", [False, True])  # which moves ids into the metadata
def test_a_cell_without_a_mark_is_recognised_by_its_id(edited, colab):
    stripped(edited, ids=True)
    for cell in edited.cells if colab else ():
        cell["metadata"] = {"id": cell.pop("id")}
    notebook, faults = edited.repaired()
    assert (answers(notebook), own(notebook), faults) == (MINE, [], {})


def test_without_ids_cells_are_recognised_by_what_they_say_and_where_they_stand(edited):
    stripped(edited, ids=False)
    notebook, faults = edited.repaired()
    assert (answers(notebook), own(notebook)) == (MINE, [])
    assert faults == {Reason.UNMARKED_CELLS: ", ".join(marked(RELEASE))}


def test_an_answer_is_the_cell_that_defines_its_name_whatever_stands_between(edited):
    place = edited.place(ANSWER)
    stripped(edited, ids=False)
    helper = {"cell_type": "code", "source": "import math"}
    edited.cells.insert(place, helper)
    edited.cells.insert(place + 2, helper | {"source": "scratch = 1"})
    notebook, _ = edited.repaired()
    assert (answers(notebook), own(notebook)) == (MINE, ["import math", "scratch = 1"])


def test_an_answer_that_is_no_python_is_the_cell_in_its_place(edited):
    stripped(edited, ids=False)
    (cell,) = (cell for cell in edited.cells if cell["source"] == MINE[ANSWER])
    cell["source"] = "def count_active(:"
    assert answers(edited.repaired()[0])[ANSWER] == "def count_active(:"


def test_two_cells_with_the_same_id_prove_nothing(edited):
    stripped(edited, ids=True)
    for cell in edited.cells:
        if cell["source"] == MINE[ANSWER]:
            cell["id"] = WRITTEN
    notebook, faults = edited.repaired()
    assert (answers(notebook), faults.keys()) == (MINE, {Reason.UNMARKED_CELLS})


# --- written answers --------------------------------------------------------------------------------------


def text(source: str, **more: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source, **more}


def test_a_text_in_cells_directly_below_an_untouched_stub_is_the_answer(edited):
    place = edited.place(WRITTEN) + 1
    edited.cells[place:place] = [text("Ten,"), text("", attachments={}), text("by the ELBO.")]
    notebook, faults = edited.repaired()
    assert (marked(notebook)[WRITTEN].source, own(notebook), faults) == ("Ten,\n\nby the ELBO.", [], {})


QUESTION = RELEASE.cells[RELEASE.cells.index(marked(RELEASE)[WRITTEN]) - 1].source
CODE = {"cell_type": "code", "source": "x = 1"}


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ([text("mine")], []),
        ([text("mine"), CODE], []),
        ([], [CODE, text("mine")]),
        ([], [{"cell_type": "raw", "source": "mine"}]),
        ([], [{"cell_type": "code", "source": "mine: it is no Python"}]),
        ([], [{"cell_type": "code", "source": "# mine"}]),
        ([text(f"{QUESTION}\n\nmine")], []),
    ],
)
def test_a_text_beside_an_untouched_stub_is_the_answer_whatever_its_cell(edited, above, below):
    place = edited.place(WRITTEN)
    if QUESTION in "".join(cell["source"] for cell in above):  # in which the answer was written
        place -= 1
        del edited.cells[place]
    edited.cells[place : place + 1] = [*above, edited.cells[place], *below]
    notebook, faults = edited.repaired()
    (mine,) = (cell["source"] for cell in (*above, *below) if cell != CODE)
    assert (marked(notebook)[WRITTEN].source, faults) == (mine, {})
    assert own(notebook) == [CODE["source"]] * (CODE in (*above, *below))


def test_a_text_below_an_answer_stays_where_it_is(edited):
    edited.answer(WRITTEN, "mine")
    edited.cells.insert(edited.place(WRITTEN) + 1, text("more"))
    assert "more" in own(edited.repaired()[0])


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_stays_in_the_text_that_it_belongs_to(edited, kind):
    pasted = {"a.png": {f"image/{kind.lower()}": png(kind=kind), "image/svg+xml": "<svg/>"}}
    edited.cells[edited.place(WRITTEN)] |= {"source": "![](attachment:a.png)", "attachments": pasted}
    edited.cells.append(text("![](attachment:a.png)", attachments=pasted))
    notebook, faults = edited.repaired()
    for cell in (marked(notebook)[WRITTEN], notebook.cells[-1]):
        assert cell.attachments == {"a.png": {f"image/{kind.lower()}": png(kind=kind)}}
    assert faults == {}


PICTURES = {
    "another kind": {"image/svg+xml": "<svg/>"},
    "one that only says it is a PNG": {"image/png": base64.b64encode(b"<script>").decode()},
    "one with too many pixels": {"image/png": png(6000, 6000)},
    "no base64": {"image/png": "é"},
    "no text": {"image/png": 3},
    "no bundle": 3,
}


@pytest.mark.parametrize("bundle", PICTURES.values(), ids=PICTURES)
def test_a_picture_that_no_page_shows_is_left_out_and_told(edited, bundle):
    edited.cells[edited.place(WRITTEN)] |= {"source": "mine", "attachments": {"a.png": bundle}}
    notebook, faults = edited.repaired()
    assert "attachments" not in marked(notebook)[WRITTEN]
    assert "a.png" in faults[Reason.LEFT_OUT]


TAG = '<img src="{}" width="300">'


@pytest.mark.parametrize("shown", ["![x]({})", TAG])
def test_a_picture_that_a_text_holds_is_attached_however_long_it_is(edited, shown):
    encoded = png(300, 300, noise=True)
    assert len(encoded) > 300_000
    edited.answer(WRITTEN, f"mine {shown.format(f'data:image/png;base64,{encoded}')}")
    notebook, faults = edited.repaired()
    answer = marked(notebook)[WRITTEN]
    ((name, bundle),) = answer.attachments.items()
    assert answer.source == f"mine {shown.format(f'attachment:{name}')}"
    assert (bundle, faults) == ({"image/png": encoded}, {})


@pytest.mark.parametrize("shown", ["![x](a%20%C3%A4.png)", "![x](<a ä.png>)", TAG.format("./img/a ä.png")])
def test_a_picture_beside_the_notebook_is_attached_where_it_is_shown(edited, shown):
    edited.answer(WRITTEN, f"{shown} ![](https://example.org/other.png) [link](a.png)")
    beside = {"a ä.png": base64.b64decode(png()), "other.png": b""}
    notebook, faults = repair(json.dumps(edited.json).encode(), RELEASE, "name", beside)
    ((name, bundle),) = marked(notebook)[WRITTEN].attachments.items()
    assert name.endswith("a ä.png") and f"attachment:{quote(name)}" in marked(notebook)[WRITTEN].source
    assert (bundle, faults) == ({"image/png": png()}, ())


def test_pictures_are_kept_while_the_sum_is_not_too_large(edited, monkeypatch):
    monkeypatch.setattr("courseware.grading.submission.repair.MOST_PICTURES", 2 * len(png()))
    pasted = {f"{name}.png": {"image/png": png()} for name in "abc"}
    edited.cells[edited.place(WRITTEN)] |= {"source": "mine", "attachments": pasted}
    notebook, faults = edited.repaired()
    assert list(marked(notebook)[WRITTEN].attachments) == ["a.png", "b.png"]
    assert faults[Reason.LEFT_OUT].endswith(": c.png")


# --- an answer in a cell that is not for it ---------------------------------------------------------------


@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize("whole", ["{answer}\n\n{check}", "{check}\n{answer}", "{answer}"])
def test_an_answer_in_the_cell_of_its_check_is_one(edited, merged, whole):
    edited.answer(CHECK, whole.format(answer=MINE[ANSWER], check=marked(RELEASE)[CHECK].source))
    if merged:
        del edited.cells[edited.place(ANSWER)]
    notebook, faults = edited.repaired()
    assert (marked(notebook)[ANSWER].source, own(notebook)) == (MINE[ANSWER], [])
    assert faults.keys() == {Reason.CHANGED_CELLS} | ({Reason.MISSING_CELLS} if merged else set())


def test_of_a_changed_check_only_what_was_written_into_it_is_kept(edited):
    edited.answer(CHECK, f"helper = 1\n{marked(RELEASE)[CHECK].source}")
    notebook, faults = edited.repaired()
    assert (own(notebook), faults) == (["helper = 1"], {Reason.CHANGED_CELLS: CHECK})


@pytest.mark.parametrize("place", [0, -1, len(RELEASE.cells)])
def test_an_answer_in_a_cell_of_its_own_takes_the_place_of_its_stub_above_the_check(edited, place):
    edited.cells.insert(place, {"cell_type": "code", "source": MINE[ANSWER]})
    notebook, faults = edited.repaired()
    assert (marked(notebook)[ANSWER].source, own(notebook), faults) == (MINE[ANSWER], [], {})
    names = list(marked(notebook))
    assert names.index(ANSWER) < names.index(CHECK)


def test_a_later_use_of_the_name_does_not_move_a_check(edited):
    edited.answer(ANSWER, MINE[ANSWER])
    edited.cells.append({"cell_type": "code", "source": "count_active = None"})
    assert edited.repaired()[0].cells[-1].source == "count_active = None"


# --- what no notebook is ----------------------------------------------------------------------------------

CELLS = b'"cells": [{"cell_type": "code", "source": "mine"}]'


@pytest.mark.parametrize(
    ("raw", "word"),
    [
        (b"", "it is empty"),
        (b" \n<!DOCTYPE html>", "a web page"),
        (b"%PDF-1.7", "a PDF"),
        (b"PK\3\4", "an archive"),
        (b'{"cells": [\n<<<<<<< HEAD\n]}', "a conflict in git"),
        (b"\x00\xff\xfe", "no JSON"),
        (nbformat.writes(RELEASE).encode("utf-16"), "UTF-16"),
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
        (b'{"nbformat": 3, "worksheets": [{' + CELLS + b"}]}", "old one"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value[:20]),
)
def test_what_is_no_notebook_leaves_the_release_unanswered(raw, word):
    notebook, (fault,) = repair(raw, RELEASE, "name")
    assert (notebook, fault.reason, fault.notebook) == (RELEASE, Reason.NOT_A_NOTEBOOK, "name")
    assert word in fault.detail
    assert "hand in the notebook that JupyterLab opens and saves" in fault.detail


def test_a_byte_order_mark_is_accepted():
    assert repair(b"\xef\xbb\xbf" + nbformat.writes(RELEASE).encode(), RELEASE, "")[1] == ()


@pytest.mark.parametrize("kind", ["heading", None, 1, ["code"], {}])
def test_a_cell_of_an_unknown_type_is_dropped_and_counted(edited, kind):
    edited.cells.append({"cell_type": kind, "source": "mine"})
    notebook, faults = edited.repaired()
    assert (own(notebook), faults) == ([], {Reason.LEFT_OUT: "1 cells of no known type"})


HALF = ("a\0b\ud800c\U0001f600", "a\ufffdb\ufffdc\U0001f600")


@pytest.mark.parametrize(("source", "taken"), [(None, ""), (1, ""), (["a", 1], ""), ({"a": 1}, ""), HALF])
def test_of_a_source_what_is_no_text_is_left_out_and_what_no_file_can_hold_replaced(edited, source, taken):
    edited.answer(ANSWER, source)
    assert marked(edited.repaired()[0])[ANSWER].source == taken


@pytest.mark.parametrize("end", ["\r\n", "\r", " \t\n"])
def test_the_ends_of_lines_make_no_cell_the_students_own(edited, end):
    for cell in edited.cells:
        cell["source"] = "".join(cell["source"]).replace("\n", end) + end
    notebook, faults = edited.repaired()
    assert (own(notebook), faults) == ([], {})
    taken, given = ({name: cell.source for name, cell in marked(nb).items()} for nb in (notebook, RELEASE))
    assert taken == given


def test_cells_after_the_first_two_thousand_are_left_out(edited):
    edited.json["cells"] = [{"cell_type": "code", "source": "mine = 1"}] * 2000 + edited.cells
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
    name = draw.choice(["cell_type", "source", "metadata", "nbgrader", "grade_id", "id", "attachments"])
    for container, key in places(notebook.json):
        if key == name and draw.random() < 0.7:
            container[key] = draw.choice(JSON_VALUES)


def shuffle_cells(notebook: Edited, draw: random.Random) -> None:
    notebook.json["cells"] = draw.choices(notebook.cells, k=draw.randint(0, 2 * len(notebook.cells)))


def answer_all(notebook: Edited, draw: random.Random) -> None:
    for cell in notebook.cells:
        cell["source"] = draw.choice(["mine", "", "other", cell["source"]])


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


CHANGES = (replace_values, replace_one_key_everywhere, shuffle_cells, answer_all)
DAMAGES = (truncate, insert_text, insert_value, random_bytes)


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] * (seed >= 100)) for seed in range(300)]
)
def test_whatever_is_handed_in_a_sound_notebook_comes_out(seed):
    draw, notebook = random.Random(seed), Edited()
    notebook.cells[-1]["attachments"] = {"a.png": {"image/png": png()}}
    for _ in range(draw.randint(0, 3)):
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


# --- many cells -------------------------------------------------------------------------------------------

LINES = {
    "assignments": "a{n} = {n}",
    "uses of an answer's name": "count_active({n})",
    "shell commands": "!ls {n}",
    "no Python": "a{n} = (",
}


def calls(line: str, cells: int) -> int:
    """Functions called to read a notebook with so many cells of one's own, and to choose among them."""
    edited = Edited()
    lines = [line.format(n=n) for n in range(cells)]
    edited.cells[1:1] = [{"cell_type": "code", "source": source} for source in lines]
    raw, solution = json.dumps(edited.json).encode(), nbformat.read(SOLUTION, as_version=4)
    with cProfile.Profile() as profile:
        notebook, _ = repair(raw, RELEASE, "")
        own_work.remarks(notebook, solution)
        demonstrations.needed(notebook, RELEASE)
    return pstats.Stats(profile).total_calls  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_reading_four_times_as_many_cells_is_no_more_than_four_times_the_work(line):
    calls(line, 10)  # what is remembered is remembered
    nothing, some, many = (calls(line, cells) for cells in (0, 100, 400))
    assert many - nothing < 4.4 * (some - nothing)

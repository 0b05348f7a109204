"""Every damage both ways: `course grade` and `nbgrader autograde` give the same scores for the same reasons.

The solution of one section is handed in with one damage each, in a fresh clone in which nothing was released.
To be quick, the section has only its first exercise and its written one.
"""

from __future__ import annotations

import base64
import json
import shutil
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import faked
import nbformat
import pytest
from cells import shortened
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from PIL import Image
from programs import ROOT, call

from courseware import sections
from courseware.classroom import batch
from courseware.grading.preprocessors import asked_of

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

SECTION = sections.SECTIONS[4]
(NAME,) = SECTION.notebooks
FILE = f"{NAME}.ipynb"
FULL, WRITTEN, ANSWER = 2.0, "better", "conv-sizes"

Notebook = dict[str, Any]
HandIn = Callable[[Notebook, Path], None]


def written(nb: Notebook) -> bytes:
    return json.dumps(nb).encode()


def at(nb: Notebook, grade_id: str) -> int:
    marks = [cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") for cell in nb["cells"]]
    return marks.index(grade_id)


def handed_in_as(name: str, content: Callable[[Notebook], bytes] = written) -> HandIn:
    """The notebook, or what becomes of it, in another file."""

    def hand_in(nb: Notebook, folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content(nb))

    return hand_in


def changed(change: Callable[[Notebook], Any]) -> HandIn:
    """The notebook changed, under its own name."""

    def hand_in(nb: Notebook, folder: Path) -> None:
        change(nb)
        (folder / FILE).write_bytes(written(nb))

    return hand_in


def beside(name: str, content: bytes) -> HandIn:
    """The notebook as it is, and another file."""

    def hand_in(nb: Notebook, folder: Path) -> None:
        handed_in_as(FILE)(nb, folder)
        handed_in_as(name, lambda _: content)(nb, folder)

    return hand_in


def like_colab(nb: Notebook) -> None:
    nb["nbformat_minor"] = 0
    for cell in nb["cells"]:
        cell["metadata"]["id"] = cell.pop("id")


def without(key: str) -> Callable[[Notebook], None]:
    return lambda nb: [cell.pop(key) for cell in nb["cells"]]


def stripped(nb: Notebook) -> None:
    for key in ("id", "metadata"):
        without(key)(nb)


def other_ends_of_lines(nb: Notebook) -> None:
    for cell in nb["cells"]:
        cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")


def deleted(grade_id: str) -> Callable[[Notebook], None]:
    return lambda nb: nb["cells"].pop(at(nb, grade_id))


def copied(nb: Notebook) -> None:
    place = at(nb, ANSWER)
    nb["cells"].append(dict(nb["cells"][place], source="raise ValueError"))


def split(nb: Notebook) -> None:
    place = at(nb, ANSWER)
    lines = "".join(nb["cells"][place]["source"]).split("\n")
    halves = ["\n".join(lines), "scratch = 1"]
    nb["cells"][place : place + 1] = [dict(nb["cells"][place], source=half) for half in halves]


def moved(nb: Notebook) -> None:
    nb["cells"].insert(0, nb["cells"].pop(at(nb, f"{ANSWER}-check")))


def below_the_stub(nb: Notebook) -> None:
    place = at(nb, WRITTEN)
    nb["cells"][place]["source"] = "*Write your answer here.*"
    nb["cells"].insert(place + 1, {"cell_type": "markdown", "metadata": {}, "source": "My own words."})


def in_its_check(nb: Notebook) -> None:
    """As Jupyter merges two cells when the lower one is chosen first."""
    answer = nb["cells"].pop(at(nb, ANSWER))
    check = nb["cells"][at(nb, f"{ANSWER}-check")]
    check["source"] = "".join([*answer["source"], "\n\n", *check["source"]])


def png() -> bytes:
    file = BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    return file.getvalue()


def with_a_picture(nb: Notebook) -> None:
    picture = {"image/png": base64.b64encode(png()).decode()}
    nb["cells"][at(nb, WRITTEN)] |= {"source": "![](attachment:a.png)", "attachments": {"a.png": picture}}


def beside_the_notebook(nb: Notebook, folder: Path) -> None:
    nb["cells"][at(nb, WRITTEN)]["source"] = "![](img/a.png)"
    beside("img/a.png", png())(nb, folder)


def forged_count(nb: Notebook) -> None:
    cell = {"cell_type": "code", "metadata": {}, "source": "get_ipython().execution_count = -5"}
    nb["cells"].insert(3, cell | {"outputs": [], "execution_count": -5})


def zipped(nb: Notebook) -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"ada/{NAME}.ipynb", written(nb))
    return packed.getvalue()


def linked(nb: Notebook, folder: Path) -> None:
    (folder / FILE).symlink_to("/etc/hostname")


def several(nb: Notebook, folder: Path) -> None:
    handed_in_as("one.ipynb")(nb, folder)
    handed_in_as("two.ipynb")(nb | {"metadata": {}}, folder)


# What is handed in, the points that programs give, whether a person grades the written answer, and why.
DAMAGES: dict[str, tuple[HandIn, float, bool, set[str]]] = {
    "nothing": (changed(lambda nb: None), FULL, True, set()),
    "Colab's format": (changed(like_colab), FULL, True, set()),
    "no ids": (changed(without("id")), FULL, True, set()),
    "no metadata": (changed(without("metadata")), FULL, True, set()),
    "neither": (changed(stripped), FULL, True, {"UNMARKED_CELLS"}),
    "a byte-order mark": (handed_in_as(FILE, lambda nb: b"\xef\xbb\xbf" + written(nb)), FULL, True, set()),
    "other ends of lines": (changed(other_ends_of_lines), FULL, True, set()),
    "a check deleted": (changed(deleted(f"{ANSWER}-check")), FULL, True, {"MISSING_CELLS"}),
    "an answer deleted": (changed(deleted(ANSWER)), 0, True, {"MISSING_CELLS"}),
    "an answer copied": (changed(copied), FULL, True, {"DUPLICATED_CELLS"}),
    "an answer split": (changed(split), FULL, True, {"DUPLICATED_CELLS"}),
    "a check moved": (changed(moved), FULL, True, set()),
    "an answer in its check": (changed(in_its_check), FULL, True, {"MISSING_CELLS", "CHANGED_CELLS"}),
    "a text below the stub": (changed(below_the_stub), FULL, True, set()),
    "a picture": (changed(with_a_picture), FULL, True, set()),
    "a picture beside": (beside_the_notebook, FULL, True, set()),
    "a forged count": (changed(forged_count), FULL, True, set()),
    "a browser's copy": (handed_in_as(f"{NAME} (1).ipynb"), FULL, True, {"WRONG_NAME"}),
    "another ending": (handed_in_as(f"{NAME}.ipynb.txt"), FULL, True, {"WRONG_NAME"}),
    "a folder": (handed_in_as(f"05/{NAME}.ipynb"), FULL, True, {"WRONG_NAME"}),
    "an archive": (handed_in_as("ada.zip", zipped), FULL, True, {"WRONG_NAME"}),
    "a helper file": (beside("helpers.py", b""), FULL, True, {"LEFT_OUT"}),
    "a Mac's files": (beside(f"._{NAME}.ipynb", b"\0"), FULL, True, set()),
    "a named zone": (beside("timestamp.txt", b"2030-01-02 10:00:00 Europe/Berlin"), FULL, True, set()),
    "no time": (beside("timestamp.txt", b"yesterday"), FULL, True, {"TIME_OF_SUBMISSION"}),
    "several": (several, 0, False, {"SEVERAL_NOTEBOOKS"}),
    "a web page": (
        handed_in_as(f"{NAME}.html", lambda _: b"<html>"), 0, False, {"MISSING_NOTEBOOK", "LEFT_OUT"}
    ),
    "another encoding": (
        handed_in_as(FILE, lambda nb: written(nb).decode().encode("utf-16")), 0, False, {"NOT_A_NOTEBOOK"}
    ),
    "a link": (linked, 0, False, {"LINK"}),
    "an empty folder": (lambda nb, folder: None, 0, False, {"MISSING_NOTEBOOK"}),
}  # fmt: skip


def short(edition: str) -> Notebook:
    return shortened(ROOT / edition / SECTION.folder / FILE, f"{ANSWER}-check", WRITTEN)


def clone(root: Path) -> Path:
    shutil.copy(ROOT / "nbgrader_config.py", root)
    for edition in ("solutions", "notebooks"):
        (root / edition / SECTION.folder).mkdir(parents=True)
        (root / edition / SECTION.folder / FILE).write_bytes(written(short(edition)))
    for name, (hand_in, *_) in DAMAGES.items():
        folder = root / "submitted" / name / SECTION.folder
        folder.mkdir(parents=True)
        hand_in(short("solutions"), folder)
    return root


@pytest.fixture(scope="module")
def ways(tmp_path_factory) -> list[Path]:
    """The same class graded by `course grade` and by nbgrader's own command."""
    ours, theirs = (clone(tmp_path_factory.mktemp(name)) for name in ("ours", "theirs"))
    call(ours, "course", "grade", SECTION.folder, "--workers", "2")
    call(theirs, "nbgrader", "autograde", SECTION.folder)
    return [ours, theirs]


def test_formgrader_s_button_grades_one_student_whatever_their_name_and_file(tmp_path):
    root = faked.make_course(tmp_path / "course")
    folder = faked.hand_in(root, "[group] 1", answer="total = 2")
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for file in list(folder.glob("*.ipynb")):
            archive.writestr(file.name, file.read_bytes())
            file.unlink()
    course = batch.Course(root)
    formgrader = NbGraderAPI(course.directory, config=course.config)
    found = formgrader.autograde(faked.ASSIGNMENT, "[group] 1")
    assert found["success"], found["log"]
    assert faked.entries(root)["[group] 1"]["score"] == 3
    assert formgrader.coursedir.submitted_directory == "submitted"


def faults(root: Path, student: str) -> list[dict[str, str]]:
    file = root / "autograded" / student / SECTION.folder / FILE
    return nbformat.read(file, as_version=4).metadata["course"]["faults"]


@pytest.mark.parametrize("name", DAMAGES)
def test_both_ways_give_the_points_that_are_due_for_the_same_reasons(ways, name):
    _, points, by_hand, reasons = DAMAGES[name]
    ours, theirs = (faked.entries(root, SECTION.folder)[name] for root in ways)
    assert ours == theirs
    assert ours["score"] == points
    assert ours[f"{NAME} {WRITTEN}"] == ((None, None, True) if by_hand else (0.0, None, False))
    assert faults(ways[0], name) == faults(ways[1], name)
    assert {fault["reason"] for fault in faults(ways[0], name)} == reasons


@pytest.mark.parametrize("name", ["several", "a web page", "another encoding", "a link", "an empty folder"])
def test_who_handed_in_nothing_that_can_be_read_is_told_so_and_not_that_answers_are_missing(ways, name):
    for root in ways:
        nb = nbformat.read(root / "autograded" / name / SECTION.folder / FILE, as_version=4)
        (report,) = (cell.outputs[0].data["text/html"] for cell in nb.cells if asked_of(cell))
        assert "Nothing that could be read was handed in." in report and "Not yet" not in report
        with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
            entry = book.find_submission_notebook(NAME, SECTION.folder, name)
            assert {comment.auto_comment for comment in entry.comments} == {None}  # no "No response."


@pytest.mark.parametrize("name", ["a picture", "a picture beside"])
def test_a_picture_is_in_the_graded_notebook(ways, name):
    for root in ways:
        nb = nbformat.read(root / "autograded" / name / SECTION.folder / FILE, as_version=4)
        (attached,) = (cell.attachments for cell in nb.cells if "attachments" in cell)
        assert [base64.b64decode(bundle["image/png"]) for bundle in attached.values()] == [png()]

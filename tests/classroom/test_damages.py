"""Damages both ways: `course grade` and `nbgrader autograde` give the same scores for the same reasons.

The solution of one section is handed in with one damage each, in a fresh clone in which nothing was released.
One of each kind will do: test_collect and test_repair have all. To be quick, the section has only its first
exercise and its written one.
"""

import shutil
import zipfile
from pathlib import Path
from typing import Any

import faked
import nbformat
import pytest
from cells import SECTIONS, png, shortened
from damages import DAMAGES, Notebook, written
from nbgrader.apps import NbGraderAPI
from programs import ROOT, call

from courseware.classroom import batch
from courseware.grading.preprocessors import asked_of

pytestmark = [pytest.mark.slow, pytest.mark.sandbox]

SECTION = SECTIONS["05-convolutional-vae"]
(NAME,) = SECTION.notebooks
FILE = f"{NAME}.ipynb"
FULL, WRITTEN, ANSWER = 2.0, "better", "conv-sizes"

# What a damage leaves: points that programs give, whether a person grades the written answer, why.
DUE: dict[str, tuple[float, bool, set[str]]] = {
    "nothing": (FULL, True, set()),
    "Colab's format": (FULL, True, set()),
    "a check deleted": (FULL, True, {"MISSING_CELLS"}),
    "neither": (FULL, True, {"UNMARKED_CELLS"}),
    "an answer deleted": (0, True, {"MISSING_CELLS"}),
    "an answer copied": (FULL, True, {"DUPLICATED_CELLS"}),
    "numbers for checks": (FULL, True, {"CHANGED_CELLS"}),
    "a picture": (FULL, True, set()),
    "a picture beside": (FULL, True, set()),
    "a forged count": (FULL, True, set()),
    "an archive": (FULL, True, {"WRONG_NAME"}),
    "a helper file": (FULL, True, {"LEFT_OUT"}),
    "a named zone": (FULL, True, set()),
    "no time": (FULL, True, {"TIME_OF_SUBMISSION"}),
    "several": (0, False, {"SEVERAL_NOTEBOOKS"}),
    "half a file": (0, False, {"NOT_A_NOTEBOOK"}),
    "a link": (0, False, {"LINK"}),
    "an empty folder": (0, False, {"MISSING_NOTEBOOK"}),
}


def short(edition: str) -> Notebook:
    return shortened(ROOT / edition / SECTION.folder / FILE, f"{ANSWER}-check", WRITTEN)


def clone(root: Path) -> Path:
    shutil.copy(ROOT / "nbgrader_config.py", root)
    for edition in ("solutions", "notebooks"):
        (root / edition / SECTION.folder).mkdir(parents=True)
        (root / edition / SECTION.folder / FILE).write_bytes(written(short(edition)))
    for name in DUE:
        folder = root / "submitted" / name / SECTION.folder
        folder.mkdir(parents=True)
        DAMAGES[name](short("solutions"), folder / FILE)
    return root


@pytest.fixture(scope="module")
def ways(tmp_path_factory) -> dict[Path, dict[str, Any]]:
    """The same class graded by `course grade` and by nbgrader's own command, with what the gradebook says."""
    ours, theirs = (clone(tmp_path_factory.mktemp(name)) for name in ("ours", "theirs"))
    call(ours, "course", "grade", SECTION.folder, "--workers", "2")
    call(theirs, "nbgrader", "autograde", SECTION.folder)
    return {root: faked.entries(root, SECTION.folder) for root in (ours, theirs)}


def test_formgrader_s_button_grades_one_student_whatever_their_name_and_file(released, tmp_path):
    root = shutil.copytree(released, tmp_path / "course")
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


@pytest.mark.parametrize("name", DUE)
def test_both_ways_give_the_points_that_are_due_for_the_same_reasons(ways, name):
    points, by_hand, reasons = DUE[name]
    ours, theirs = ((entries[name], faults(root, name)) for root, entries in ways.items())
    assert ours == theirs
    entry, found = ours
    assert entry["score"] == points
    assert entry[f"{NAME} {WRITTEN}"] == ((None, None, True) if by_hand else (0.0, None, False))
    assert {fault["reason"] for fault in found} == reasons


@pytest.mark.parametrize("name", ["several", "half a file", "a link"])
def test_who_handed_in_nothing_that_can_be_read_is_told_so_and_not_that_answers_are_missing(ways, name):
    for root, entries in ways.items():
        nb = nbformat.read(root / "autograded" / name / SECTION.folder / FILE, as_version=4)
        (report,) = (cell.outputs[0].data["text/html"] for cell in nb.cells if asked_of(cell))
        assert "Nothing that could be read was handed in." in report and "Not yet" not in report
        said = {value for key, value in entries[name].items() if key.endswith("comment")}
        assert said == {(None, None)}  # no "No response."


@pytest.mark.parametrize("name", ["a picture", "a picture beside"])
def test_a_picture_is_in_the_graded_notebook(ways, name):
    for root in ways:
        nb = nbformat.read(root / "autograded" / name / SECTION.folder / FILE, as_version=4)
        (attached,) = (cell.attachments for cell in nb.cells if "attachments" in cell)
        assert [*attached.values()] == [{"image/png": png()}]

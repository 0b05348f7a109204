"""Students' pages say what the gradebook says now, whoever gave the points, and can be released."""

import functools
import shutil
from pathlib import Path

import faked
import pytest
from click.testing import CliRunner
from faked import ASSIGNMENT, AUTOMATIC, hand_in
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

from courseware import cli
from courseware.classroom import batch, feedback, gradebook

FILES = {"first.html", "second.html", "timestamp.txt", "submission_secret.txt"}
LATE = "2030-01-03 10:00:00 UTC"


@pytest.fixture(scope="module")
def graded_once(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = shutil.copytree(released, tmp_path_factory.mktemp("graded") / "course")
    for student in ("ada", "bob"):
        hand_in(root, student)
    (root / "submitted" / "ada" / ASSIGNMENT / "submission_secret.txt").write_text("of ada's")
    faked.run(root)
    return root


@pytest.fixture
def root(graded_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(graded_once, tmp_path / "course")


give = functools.partial(faked.give, score=1.5, comment="Well argued.")


def stale(root: Path) -> list[str]:
    course = batch.Course(root)
    with gradebook.opened(course, [ASSIGNMENT]) as book:
        return feedback.stale(course, book, ASSIGNMENT)


def renew(root: Path) -> list[str]:
    course = batch.Course(root)
    with gradebook.opened(course, [ASSIGNMENT]) as book:
        found = feedback.stale(course, book, ASSIGNMENT)
        for student in found:
            feedback.renew(course, book, ASSIGNMENT, student)
    return found


def folder(root: Path, student: str) -> Path:
    return root / "feedback" / student / ASSIGNMENT


def page(root: Path, student: str) -> str:
    return (folder(root, student) / "first.html").read_text("utf-8")


def test_points_and_comment_by_hand_make_that_page_stale_and_reach_it(root):
    before = page(root, "bob")
    give(root, "ada")
    assert renew(root) == ["ada"]
    assert "Well argued." in page(root, "ada") and "1.5 / 2.0" in page(root, "ada")
    assert (stale(root), page(root, "bob")) == ([], before)


def test_a_submission_graded_anew_keeps_on_its_page_what_a_person_gave(root):
    give(root, "ada")
    hand_in(root, "ada", "total = 3")
    faked.run(root)
    assert "Well argued." in page(root, "ada") and stale(root) == []


def test_what_lateness_costs_reaches_the_page(root):
    faked.take_points_of_the_late(root)
    faked.set_due(root)
    hand_in(root, "eve", timestamp=LATE)
    faked.run(root)
    late = [name for name in ("first", "second") if faked.entries(root)["eve"][f"{name} {AUTOMATIC}"][0]]
    pages = [(folder(root, "eve") / f"{name}.html").read_text("utf-8") for name in late]
    assert pages and all("Late submission penalty" in page for page in pages) and stale(root) == []


def test_who_has_a_damaged_notebook_keeps_the_page_and_does_not_count_as_renewed(root, monkeypatch):
    give(root, "ada")
    before = page(root, "ada")
    (root / "autograded" / "ada" / ASSIGNMENT / "first.ipynb").write_text("{")
    monkeypatch.chdir(root)
    said = CliRunner().invoke(cli.main, ["feedback", ASSIGNMENT]).output
    assert "pages of 0 of 2 students renewed." in said
    assert "Notebooks in autograded/ are damaged; their pages stay as they were: ada." in said
    assert page(root, "ada") == before


@pytest.mark.parametrize("file", ["first.html", "timestamp.txt", "submission_secret.txt", "result.json"])
def test_a_folder_of_pages_that_lacks_a_file_or_holds_another_is_renewed(root, file):
    place = folder(root, "ada") / file
    place.unlink() if place.exists() else place.write_text("{}")
    assert renew(root) == ["ada"]
    assert {path.name for path in folder(root, "ada").iterdir()} == FILES


def test_nbgrader_s_own_command_gives_the_same_pages_and_nothing_else(root):
    give(root, "ada")
    renew(root)
    ours = {path.name: path.read_bytes() for path in folder(root, "ada").iterdir()}
    course = batch.Course(root)
    done = NbGraderAPI(course.directory, config=Config(course.config)).generate_feedback(ASSIGNMENT)
    assert done["success"], done
    assert {path.name: path.read_bytes() for path in folder(root, "ada").iterdir()} == ours
    assert "Removing existing" in done["log"] and stale(root) == []


# --- release ----------------------------------------------------------------------------------------------


def secret(root: Path, student: str) -> str:
    return (folder(root, student) / "submission_secret.txt").read_text("utf-8")


def test_the_secret_goes_from_what_was_handed_in_to_the_pages(root):
    assert secret(root, "ada") == "of ada's"


def test_who_has_no_secret_gets_one_that_is_theirs_alone_and_stays(root):
    made = secret(root, "bob")
    hand_in(root, "bob", "total = 3")
    hand_in(root, "zoe")
    faked.run(root)
    assert len(made) == 64 and secret(root, "bob") == made != secret(root, "zoe")


@pytest.mark.parametrize("damage", ["empty", "bytes", "folder", "link"])
def test_a_secret_that_is_none_keeps_nobody_from_their_pages(root, damage):
    handed_in = hand_in(root, "ada", "total = 3") / "submission_secret.txt"
    if damage == "folder":
        handed_in.mkdir()
    elif damage == "link":
        handed_in.symlink_to(root / "autograded" / ".secret")
    else:
        handed_in.write_bytes({"empty": b"", "bytes": b"\xff\xfe"}[damage])
    faked.run(root)
    assert len(secret(root, "ada")) == 64


def test_the_same_notebook_handed_in_again_is_released_under_its_new_secret_and_time(root):
    handed_in = hand_in(root, "ada", timestamp=LATE)
    (handed_in / "submission_secret.txt").write_text("another")
    assert faked.graded_now(root) == []
    assert secret(root, "ada") == "another"
    assert (folder(root, "ada") / "timestamp.txt").read_text() == LATE
    assert stale(root) == []


def test_points_by_hand_are_seen_among_a_class_s_automatic_ones(root):
    with faked.book(root) as book:
        grade = book.find_grade(AUTOMATIC, "second", ASSIGNMENT, "bob")
        grade.extra_credit = 1.0
        book.db.commit()
    assert renew(root) == ["bob"]
    assert stale(root) == []

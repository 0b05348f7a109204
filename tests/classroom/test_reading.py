"""Written answers: what formgrader is told of a pile, and what follows when a rubric changes."""

import shutil
from pathlib import Path
from typing import Any

import faked
import pytest
from click.testing import CliRunner
from faked import ASSIGNMENT, BY_HAND

from courseware import cli
from courseware.classroom import batch, reading

STUDENTS = ("ada", "bob", "eve", "joe")
A, X = "- **a, +1.5:** You say why.", "- **x, −0.5:** Which one?"


@pytest.fixture(scope="module")
def graded_once(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = shutil.copytree(released, tmp_path_factory.mktemp("graded") / "course")
    for student in STUDENTS:
        faked.hand_in(root, student)
    faked.run(root)
    faked.set_rubric(root, A, X)
    return root


@pytest.fixture
def root(graded_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two have item a, one of these x too and a word; one has points and words alone; one waits."""
    course = shutil.copytree(graded_once, tmp_path / "course")
    faked.give(course, "ada", 1.5, comment=A)
    faked.give(course, "bob", 1.0, comment=f"{A}\n\n{X}\n\nWell argued.")
    faked.give(course, "eve", 0.5, comment="Well argued.\n\nSee me.")
    monkeypatch.chdir(course)
    return course


def rubric(root: Path, *arguments: str, types: str = "") -> str:
    return CliRunner().invoke(cli.main, ["rubric", ASSIGNMENT, *arguments], input=types).output


def given(root: Path) -> dict[str, tuple[float | None, str | None]]:
    """Points and comment that everybody has by hand."""
    found = faked.entries(root).items()
    return {who: (one[f"first {BY_HAND}"][1], one[f"first {BY_HAND} comment"][1]) for who, one in found}


def beside(root: Path, student: str) -> dict[str, Any]:
    """What formgrader's template is told at this student's answer."""
    with faked.book(root) as book:
        me = book.find_submission_notebook("first", ASSIGNMENT, student).id
    told: dict[str, Any] = {"submission_id": me, "notebook_id": "first"}
    told["metadata"] = {"path": str(root / "autograded" / student / ASSIGNMENT)}
    return reading.Beside(config=batch.Course(root).config).preprocess(None, told)[1]


def test_a_changed_worth_changes_all_who_have_the_item_and_nobody_else(root):
    before, new = given(root), "- **a, +1:** You say why, and how."
    faked.set_rubric(root, new, X)
    says = f"{BY_HAND}: 2 comments change, and the points of 2 of these answers."
    assert says in rubric(root, types="n\n") and given(root) == before
    assert says in rubric(root, types="y\n")
    changed = {"ada": (1.0, new), "bob": (0.5, f"{new}\n\n{X}\n\nWell argued.")}
    assert given(root) == before | changed
    assert "all answers have their items as solutions/ say" in rubric(root)


def test_nobody_is_kept_waiting_while_a_person_thinks(root, monkeypatch):
    def thinks(_: str) -> bool:
        with batch.Course(root).alone(wait=False):
            return True

    monkeypatch.setattr(cli.click, "confirm", thinks)
    faked.set_rubric(root, "- **a, +1:** You say why.", X)
    rubric(root)
    assert given(root)["ada"] == (1.0, "- **a, +1:** You say why.")


def test_points_that_a_person_set_to_something_else_stay(root):
    faked.give(root, "ada", 0.75, comment=A)
    faked.set_rubric(root, "- **a, +1:** You say why.", X)
    assert "2 comments change, and the points of 1 " in rubric(root, "--yes")
    assert given(root)["ada"] == (0.75, "- **a, +1:** You say why.")


def test_an_item_that_is_gone_while_answers_have_it_is_one_sentence(root):
    before = given(root)
    faked.set_rubric(root, X)
    said = " ".join(rubric(root, "--yes").split())
    assert f"The rubric of {BY_HAND} has no item a any more, but 2 answers have it: put it back" in said
    assert given(root) == before


def test_items_survive_what_is_handed_in_anew_and_reach_the_page(root):
    before = given(root)
    faked.hand_in(root, "bob", "total = 3")
    faked.run(root)
    page = (root / "feedback" / "bob" / ASSIGNMENT / "first.html").read_text("utf-8")
    assert given(root) == before
    assert "You say why." in page and "Which one?" in page and "Well argued." in page


def test_formgrader_is_told_the_rubric_the_pile_and_comments_to_use_again(root):
    last, told = beside(root, "joe"), beside(root, "ada")["beside"][BY_HAND]
    assert [one.key for one in told["rubric"]] == ["a", "x"] and "Rubric" not in told["model"]
    assert (told["size"], told["others"], told["waits"], told["next"]) == (4, 1, False, last["submission_id"])
    assert told["words"] == ["Well argued.", "See me."]
    (root / "autograded" / "bob" / ASSIGNMENT / "first.ipynb").unlink()  # who has handed nothing in
    last = beside(root, "joe")["beside"][BY_HAND]
    assert (last["size"], last["others"], last["waits"], last["next"]) == (3, 0, True, "")
    feedback = {"metadata": {"path": str(root)}}
    assert reading.Beside().preprocess(None, dict(feedback)) == (None, feedback)


def test_a_rubric_that_cannot_be_used_is_told_in_formgrader(root):
    faked.set_rubric(root, A, A)
    assert "two have the key a" in beside(root, "ada")["problem"]

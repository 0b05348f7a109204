"""An instructor's way through formgrader in a real browser, from release to points given by hand."""

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import faked
import lab
import nbformat
import pytest
from cells import UNSAFE
from programs import ROOT, call, configure

ASSIGNMENT = "02-theory"  # the cheapest to run
BY_PROGRAM, BY_HAND = 12, 4  # points of it


class Formgrader:
    """Somebody who has opened formgrader from JupyterLab's menu."""

    def __init__(self, chromium: Any, address: str) -> None:
        self.chromium, self.address = chromium, address
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page = lab.loaded(chromium, f"{address}/lab", "nbgrader:open-formgrader", self.asked)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.get_by_role("menuitem", name="Nbgrader").click()
        self.page.get_by_role("menuitem", name="Formgrader", exact=True).click()
        self.frame = self.page.frame_locator("#formgrader-iframe iframe")

    def look_at(self, notebook: Path) -> None:
        """Open a notebook of the course's folder in JupyterLab."""
        page = lab.opened(self.chromium, self.address, notebook.as_posix(), self.asked)
        page.wait_for_timeout(2000)
        page.context.close()

    def faults(self) -> list[str]:
        """What pages have failed at, and asked for elsewhere."""
        own = (self.address, "data:", "blob:")
        return self.errors + [url for url in self.asked if not url.startswith(own)]

    def press(self, column: str) -> None:
        """Click the symbol in the table's only row and wait until formgrader reports success."""
        self.frame.locator(f"td.{column} a").click()
        told = self.frame.locator(".modal.in .modal-content")
        told.get_by_role("heading", name="Success").wait_for()
        told.get_by_role("button", name="OK").click()
        told.wait_for(state="detached")

    def go(self, link: str) -> None:
        """Follow a link until its page has come: a click before that would meet the links of this one."""
        with self.page.expect_event("framenavigated"):
            self.frame.get_by_role("link", name=link, exact=True).first.click()

    def grade_by_hand(self, points: int, comment: str) -> None:
        """Give points and a comment for the question that a person reads."""
        self.go("Manual Grading")
        for link in (ASSIGNMENT, "theory", "Submission #1"):
            self.go(link)
        # What is typed before the page has fetched the points and comments so far is overwritten by these.
        for fetched in ("input.extra-credit[placeholder]", "#derivation-comment[placeholder]"):
            self.frame.locator(fetched).first.wait_for()
        for box, value in (("input.score#derivation", str(points)), ("#derivation-comment", comment)):
            with self.page.expect_response(lambda answer: answer.request.method == "PUT" and answer.ok):
                self.frame.locator(box).fill(value)
                self.frame.locator(box).press("Tab")


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """An instructor's folder with one assignment, and an exchange."""
    root, exchange = tmp_path / "course", tmp_path / "exchange"
    shutil.copytree(ROOT / "solutions" / ASSIGNMENT, root / "solutions" / ASSIGNMENT)
    exchange.mkdir()
    exchange.chmod(0o2775)
    configure(root, f"c.Exchange.root = {str(exchange)!r}", f"c.Probe.unsafe = {UNSAFE}")
    return root


def calling_out(solved: str) -> str:
    """The notebook with a cell that shows pictures from another machine, and one that has it shown."""
    notebook, pictures = nbformat.reads(solved, 4), "![x](http://192.0.2.1/a) <img src='http://192.0.2.1/b'>"
    pictures += '\n\n```mermaid\nflowchart\n  A@{ img: "http://192.0.2.1/c" }\n```\n'
    told = "from course_utils import settings\nprint('budget', settings.budget().name)\n"
    show = f"{told}from IPython.display import *\ndisplay(HTML({pictures!r}), Markdown({pictures!r}))"
    notebook.cells += [nbformat.v4.new_markdown_cell(pictures), nbformat.v4.new_code_cell(show)]
    return nbformat.writes(notebook)


def test_from_release_to_feedback(course, chromium, tmp_path):
    with lab.running(course) as address:
        formgrader = Formgrader(chromium, address)
        formgrader.press("assign")
        formgrader.press("release")
        shutil.copytree(course / "solutions" / ASSIGNMENT, tmp_path / "student" / ASSIGNMENT)
        shutil.copy(course / "nbgrader_config.py", tmp_path / "student")
        notebook = tmp_path / "student" / ASSIGNMENT / "theory.ipynb"
        notebook.write_text(calling_out(notebook.read_text("utf-8")), encoding="utf-8")
        call(tmp_path / "student", "nbgrader", "submit", ASSIGNMENT)
        formgrader.press("collect")
        formgrader.frame.locator("td.num-submissions a").click()
        formgrader.press("autograde")
        formgrader.frame.locator("td.score", has_text=f"{BY_PROGRAM} / {BY_PROGRAM + BY_HAND}").wait_for()
        (graded,) = (course / "autograded").glob(f"*/{ASSIGNMENT}/theory.ipynb")
        assert "budget smoke" in graded.read_text("utf-8")  # though JupyterLab has another
        formgrader.look_at(graded.relative_to(course))

        formgrader.grade_by_hand(3, "Well argued.")
        formgrader.go("Manual Grading")
        formgrader.go("Manage Assignments")
        formgrader.press("generate-feedback")
        assert formgrader.faults() == []
        formgrader.page.context.close()
    (file,) = (course / "feedback").glob(f"*/{ASSIGNMENT}/theory.html")
    page = file.read_text("utf-8")
    assert "Well argued." in page and "Exercise 2.1, gaussian_kl: 3 of 3 points" in page
    assert [float(row["score"]) for row in faked.exported(course)] == [BY_PROGRAM + 3]


# --- written answers --------------------------------------------------------------------------------------

A, X = "- **a, +1.5:** You say why: $x > 0$.", "- **x, −0.5:** Which one?"


@pytest.fixture
def pile(released: Path, tmp_path: Path) -> Path:
    """A course in which three have answered a question with a rubric, and one has been told something."""
    root = shutil.copytree(released, tmp_path / "course")
    faked.set_rubric(root, A, X, "- **z, 0:** Begin anew.")
    for student in ("ada", "bob", "eve"):
        faked.hand_in(root, student)
    faked.run(root)
    faked.give(root, "eve", 1, comment="See me.")
    return root


def test_keys_give_an_answer_its_items_points_and_comment(pile, chromium):
    with faked.book(pile) as book:
        found = partial(book.find_submission_notebook, "first", faked.ASSIGNMENT)
        ada, bob = (found(who).id for who in ("ada", "bob"))

    def pressed(*keys: str, ticked: str, told: str) -> tuple[str, str]:
        """Points and comment after these keys, when these are ticked, this is told, and all is kept."""
        for key in keys:
            formgrader.page.keyboard.press(key)
        frame.wait_for_function(
            "([ticked, told]) => document.activeElement?.closest('.rubric') && jQuery.active === 0"
            " && $('.rubric [aria-pressed=true] kbd').text() === ticked"
            " && $('.rubric [role=status]').text().startsWith(told)",
            arg=[ticked, told],
        )
        points, comment = (frame.locator(f"#{faked.BY_HAND}{kind}") for kind in ("", "-comment"))
        return points.input_value(), comment.input_value()

    with lab.running(pile) as address:
        formgrader = Formgrader(chromium, address)
        formgrader.frame.locator("td.name").first.wait_for()
        frame = next(one for one in formgrader.page.frames if "/formgrader" in one.url)
        frame.goto(f"{address}/formgrader/submissions/{ada}/")
        assert pressed(ticked="", told="1 of 3 answers graded, 2 left") == ("", "")
        assert pressed("a", ticked="a", told="2 of 3 answers graded, 1 left") == ("1.5", A)
        assert pressed("x", "1", ticked="ax1", told="2 of 3") == ("1", f"{A}\n\n{X}\n\nSee me.")
        # To the first item's button, which unticks it.
        assert pressed("Tab", "Enter", ticked="x1", told="2 of 3") == ("0", f"{X}\n\nSee me.")
        assert pressed("a", "x", "/", ticked="a1", told="2 of 3") == ("1.5", f"See me.\n\n{A}")
        assert frame.get_by_text("Because.").is_visible()
        assert pressed(".", ticked="", told="2 of 3 answers graded, 1 left") == ("", "")
        assert bob in frame.url
        assert pressed("z", ticked="z", told="3 of 3 answers graded, 0 left")[0] == "0"
        frame.locator(f"#{faked.BY_HAND}-comment").fill("- **z, 0:** Begin anew.\nIn words of one's own.")
        told = "2 of 3 answers graded, 1 left"
        assert pressed("Tab", "z", ticked="", told=told) == ("", "In words of one's own.")
        assert formgrader.faults() == []
        formgrader.page.context.close()
    first, second = (faked.entries(pile)[who] for who in ("ada", "bob"))
    assert first[f"first {faked.BY_HAND}"] == (None, 1.5, False)
    assert first[f"first {faked.BY_HAND} comment"][1] == f"See me.\n\n{A}"
    assert second[f"first {faked.BY_HAND}"] == (None, None, True)

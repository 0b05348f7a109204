"""A term as docs/instructors.md tells it: a clone, an exchange, and three users with an account each.

The lines are those of the document, called one after the other.
"""

import os
import pwd
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cells
import faked
import pytest
from people import MARKS, STUDENTS, TEACHER, Person, share
from programs import ROOT, configure

pytestmark = MARKS

ASSIGNMENT = "02-theory"
NOTEBOOK = Path(ASSIGNMENT, "theory.ipynb")
BY_PROGRAM, BY_HAND = 3.0, 4.0  # of the first exercise and the derivation: the rest would only take time


class Term(NamedTuple):
    """The people."""

    teacher: Person
    students: tuple[Person, ...]

    def act(self, lines: list[tuple[str, str]]) -> None:
        """Call the lines of (role, command); a student's, every student does."""
        grading, unsafe = f"course grade {ASSIGNMENT}", " --unsafe" * cells.UNSAFE
        for role, line in lines:
            for one in (self.teacher,) if role == "teacher" else self.students:
                one.call(line.replace(grading, f"{grading}{unsafe}"))


def lines(first: str = "", end: str = "") -> list[tuple[str, str]]:
    """The lines of the document with who calls them, from one that begins like `first` to before `end`."""
    text = (ROOT / "docs" / "instructors.md").read_text("utf-8")
    block = re.search(r"^## A term.*?^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block
    found, role = [], ""
    for line in block[1].splitlines():
        if line.startswith("# "):
            role = re.findall(r"\w+", line)[0]
        else:
            found.append((role, line.partition(" #")[0].strip()))
    begin = next(place for place, (_, line) in enumerate(found) if line.startswith(first))
    last = next((place for place, (_, line) in enumerate(found) if end and line.startswith(end)), None)
    assert last or not end
    return found[begin:last]


@pytest.fixture
def term() -> Iterator[Term]:
    """A clone that is the teacher's, folders of two students, an exchange: one student has solved the
    assignment, both have handed it in, and the teacher has collected it."""
    with tempfile.TemporaryDirectory() as place:
        top = Path(place)
        top.chmod(0o755)
        people = [Person(name, top / name) for name in (TEACHER, *STUDENTS)]
        exchange = top / "exchange"
        share(exchange)
        cells.clone(people[0].folder)
        for person in people:
            person.folder.mkdir(exist_ok=True)
            settings = f"c.Exchange.root = {str(exchange)!r}", f"c.Probe.unsafe = {cells.UNSAFE}"
            configure(person.folder, *settings)
            account = pwd.getpwnam(person.name)
            for path in (person.folder, *person.folder.rglob("*")):
                os.chown(path, account.pw_uid, account.pw_gid)
            person.folder.chmod(0o700)
        term = Term(people[0], tuple(people[1:]))
        term.act(lines(end="nbgrader submit"))
        solve(term.teacher, term.students[0])
        term.act(lines("nbgrader submit", "course grade"))
        yield term


def solve(teacher: Person, student: Person) -> None:
    """The student's own work: the model answer, in the notebook that was fetched."""
    notebook = student.folder / NOTEBOOK
    assert "raise NotImplementedError" in notebook.read_text("utf-8")
    solution = (teacher.folder / "solutions" / NOTEBOOK).read_text("utf-8")
    notebook.write_text(solution, encoding="utf-8")


def test_a_term_ends_with_the_points_and_comments_in_the_students_hands(term):
    term.act(lines("course grade", "course feedback"))
    comment = "Which step is Jensen's?"
    faked.give(term.teacher.folder, term.students[0].name, 2.5, "derivation", comment, "theory", ASSIGNMENT)
    term.act(lines("course feedback"))
    for student, points in zip(term.students, (BY_PROGRAM + 2.5, 0.0), strict=True):
        (page,) = (student.folder / ASSIGNMENT / "feedback").glob("*/theory.html")
        text = page.read_text("utf-8")
        assert f"theory (Score: {points} / {BY_PROGRAM + BY_HAND})" in text
        assert ("Which step is Jensen" in text) == (points > 0)

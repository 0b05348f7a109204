"""Students' pages, made of the autograded notebooks and of what the gradebook says of them now.

A page ends with a stamp of all that it was told, so one that the gradebook has moved on from, by points or
comments given by hand or by another due date, is found without making it anew. Beside its pages a folder
below feedback/ holds the two files by which nbgrader's exchange gives them to their student.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nbgrader.api import Assignment, Gradebook, SubmittedAssignment, SubmittedNotebook
from sqlalchemy.orm import selectinload

from course_utils import files
from course_utils.settings import CourseError
from courseware import notebooks
from courseware.classroom.course import MEND, Course
from courseware.grading import pages
from courseware.grading.submission.collect import SECRET, TIMESTAMP

Said = dict[str, dict[str, Any]]  # by notebook: scores, comments and late_penalty, as `pages` takes them


def entries(book: Gradebook, assignment: str) -> Any:
    """A query of all submitted notebooks and whose they are, with grades and comments loaded too."""
    return (
        book.db.query(SubmittedNotebook, SubmittedAssignment.student_id)  # or a query for each
        .join(SubmittedNotebook.assignment)
        .join(SubmittedAssignment.assignment)
        .filter(Assignment.name == assignment)
        .options(selectinload(SubmittedNotebook.grades), selectinload(SubmittedNotebook.comments))
    )


def said(book: Gradebook, assignment: str, student: str = "") -> dict[str, Said]:
    """What the gradebook says, by student and notebook: of one student, or of all."""
    found: dict[str, Said] = {}
    every = entries(book, assignment)
    for entry, who in every.filter(SubmittedAssignment.student_id == student) if student else every:
        found.setdefault(who, {})[entry.name] = {
            "scores": {grade.name: (grade.score, grade.cell.max_score) for grade in entry.grades},
            "comments": {comment.name: comment.comment for comment in entry.comments if comment.comment},
            "late_penalty": entry.late_submission_penalty or 0.0,
        }
    return found


def stale(course: Course, book: Gradebook, assignment: str) -> list[str]:
    """Those whose folder below feedback/ is not what the gradebook says now."""
    found = []
    for student, known in sorted(said(book, assignment).items()):
        folder = course.folder("feedback", student, assignment)
        there = set(os.listdir(folder)) if folder.is_dir() else set()
        graded = {f"{name}.html": known[name] for name in _graded(course, student, assignment, known)}
        told = all(pages.stamp_of(folder / file) == pages.stamp(**one) for file, one in graded.items())
        if graded and not (told and there == graded.keys() | {TIMESTAMP, SECRET}):
            found.append(student)
    return found


def _graded(course: Course, student: str, assignment: str, known: Iterable[str]) -> dict[str, Path]:
    """The student's autograded notebooks, by name."""
    folder = course.folder("autograded", student, assignment)
    return {name: file for name in sorted(known) if (file := folder / f"{name}.ipynb").is_file()}


def renew(course: Course, book: Gradebook, assignment: str, student: str) -> bool:
    """Make a student's pages anew; where an autograded notebook is damaged they stay: False comes back."""
    known = said(book, assignment, student)[student]
    graded = _graded(course, student, assignment, known)
    try:
        found = {name: notebooks.read(file) for name, file in graded.items()}
    except CourseError:
        return False
    made = {f"{name}.html": pages.page(nb, title=name, **known[name]) for name, nb in found.items()}
    folder = course.folder("autograded", student, assignment)
    there = {name: folder / name for name in (TIMESTAMP, SECRET) if (folder / name).is_file()}
    told = {name: file.read_text("utf-8", "replace") for name, file in there.items()}
    whole = carried(course, student, assignment, told.get(TIMESTAMP), told.get(SECRET)) | made
    files.put(course.folder("feedback", student, assignment), whole, MEND)
    return True


def carried(course: Course, student: str, name: str, time: str | None, secret: str | None) -> dict[str, str]:
    """The files that go with a submission all the way.

    nbgrader's exchange stops in the middle of a class at one who lacks them, as those do who hand in by
    another way: their time is empty, and their secret is one that nobody knows.
    """
    return {TIMESTAMP: time or "", SECRET: secret or course.derived(f"{SECRET}\n{student}\n{name}").hex()}


def after_nbgrader(assignment: str, student: str, notebooks: list[str]) -> None:
    """What `nbgrader generate_feedback` calls after each submission: its page becomes the one made here."""
    folder = Path(notebooks[0]).parent  # root/autograded/STUDENT/ASSIGNMENT
    course = Course(folder.parents[2])
    with Gradebook(course.directory.db_url, course.directory.course_id) as book:
        renew(course, book, folder.name, folder.parent.name)

"""What goes to Canvas or Moodle: the table that the platform gave, filled, and pages under its names.

Ids, order, and what is not ours to say stay as they were. Everything is written to build/export/.
"""

import csv
import html
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nbgrader.api import Gradebook

from course_utils.checks.words import printable
from course_utils.files import whole
from course_utils.settings import CourseError
from courseware import record
from courseware.authoring import release
from courseware.classroom import feedback
from courseware.classroom.course import Course
from courseware.classroom.export import harmless
from courseware.classroom.sheets import Row, Sheet
from courseware.classroom.students import POINTS, Roll, participant
from courseware.grading.submission.repair import listed

SETTLED = ("EX", "N/A")  # of Canvas' cells: who is excused, and to whom the assignment is not given
TITLE = re.compile(r"(.+) \(\d+\)")  # of an assignment's column in Canvas
LONGEST = 2000  # letters of a comment on one answer
COMMENTS = "feedbackcomments"


class Mark(NamedTuple):
    points: float
    comment: list[str]  # in lines


class Layout(NamedTuple):
    """Where a platform's table has what: students' rows, columns of assignments, and what these are worth."""

    rows: list[Row]
    columns: dict[str, int]
    worth: dict[str, set[str]]


def export(
    course: Course, book: Gradebook, platform: str, file: Path, names: Sequence[str], say: record.Say
) -> None:
    """Fill a platform's table for these assignments. Raises CourseError before anything is written."""
    sheet = Sheet(file)
    target = course.root / "build" / "export" / sheet.path.name
    if target.resolve() == sheet.path.resolve():
        raise CourseError(f"{sheet.path} lies where the filled one is written: move it elsewhere.")
    table = (_canvas if platform == "canvas" else _moodle)(sheet, names)
    rows = _students(sheet, table.rows, Roll(book), say)
    graded = {name: marks(book, name) for name in table.columns}
    for name, found in graded.items():
        _require_worth(sheet, book, name, table.worth[name])
        if waiting := sum(release.graded(book, name).values()):
            say(f"{name}: {waiting} answers still wait for a person, and count nothing yet.")
        if stale := feedback.stale(course, book, name):
            say(f"{name}: {len(stale)} pages are not what the gradebook says: `course feedback {name}`.")
        if absent := sorted(found.keys() - rows.keys()):
            say(f"{name}: graded, and not in {file.name}: {listed(absent)}.")
        for student in found.keys() & rows.keys():
            _fill(sheet, rows[student], table.columns[name], found[student])
    sheet.write(target)
    say(f"Open: {target}")
    for name, found in graded.items():
        known = record.kept(attachments(course, name)) if platform == "canvas" else _folders(sheet, rows)
        pages = {student: known[student] for student in found if student in (known or {})}
        say(f"Pages of {len(pages)} of {len(found)} students: {_pages(course, name, pages)}")
        if COMMENTS not in sheet.columns:
            say(f"Comments, for which the table has no column: {_comments(course, name, found)}")


def _require_worth(sheet: Sheet, book: Gradebook, name: str, cells: set[str]) -> None:
    of = book.find_assignment(name).max_score
    if other := {one.replace(",", ".") or "nothing" for one in cells} - {f"{of:g}", f"{of:.1f}", f"{of:.2f}"}:
        said = f"{name} is worth {_number(of)} points, and in {sheet.path} {listed(sorted(other))}"
        raise CourseError(f"{said}: change that on the platform, then download the file again.")


def _fill(sheet: Sheet, row: Row, column: int, mark: Mark) -> None:
    if sheet.get(row, column) not in SETTLED:
        sheet.set(row, column, _number(mark.points))
        if COMMENTS in sheet.columns:
            sheet.set(row, COMMENTS, harmless("<br>".join(map(html.escape, mark.comment))))


def marks(book: Gradebook, assignment: str) -> dict[str, Mark]:
    """Points of everybody who is graded, as `nbgrader export` has them, and in words."""
    said, found = feedback.said(book, assignment), {}
    for student in sorted(release.graded(book, assignment)):
        notebooks = said[student].values()
        scores = [score for one in notebooks for score in one["scores"].values()]
        late = sum(one["late_penalty"] for one in notebooks)
        points = max(0.0, sum(score for score, _ in scores) - late)
        lost = f", {_number(late)} taken because it came late" if late else ""
        total = f"{_number(points)} of {_number(sum(of for _, of in scores))} points{lost}"
        comments = [f"{cell}: {text}" for one in notebooks for cell, text in one["comments"].items()]
        found[student] = Mark(points, [total, *(printable(one, LONGEST) for one in comments)])
    return found


def attachments(course: Course, assignment: str) -> Path:
    """Where it is kept, for every student, what Canvas wants names of files to begin with."""
    return course.root / course.directory.submitted_directory / f".canvas-{assignment}.json"


def _canvas(sheet: Sheet, names: Sequence[str]) -> Layout:
    sheet.require("gradebook of Canvas'", "ID", "SIS Login ID")
    heads = [at for at, row in enumerate(sheet.rows) if sheet.get(row, 0) == POINTS]
    if not heads:
        raise CourseError(f"{sheet.path} lacks the row '{POINTS}': export it from Canvas, in English.")
    titles = [TITLE.fullmatch(sheet.get(sheet.heads, at)) for at in range(len(sheet.heads))]
    found = [(title[1], at) for at, title in enumerate(titles) if title and title[1] in names]
    if not found or len(dict(found)) < len(found):
        needed = f"{sheet.path} needs one column for each of {listed(names)}"
        raise CourseError(f"{needed}: call them so in Canvas.")
    worth = {name: {sheet.get(sheet.rows[heads[0]], at)} for name, at in found}
    return Layout(sheet.rows[heads[0] + 1 :], dict(found), worth)


def _moodle(sheet: Sheet, names: Sequence[str]) -> Layout:
    needed = ("Identifier", "Full name", "Grade", "Maximum grade", "Feedback comments")
    sheet.require("grading worksheet of Moodle's", *needed)
    worth = {sheet.get(row, "maximumgrade") for row in sheet.rows}
    return Layout(sheet.rows, {names[0]: sheet.columns["grade"]}, {names[0]: worth})


def _students(sheet: Sheet, rows: Sequence[Row], roll: Roll, say: record.Say) -> dict[str, Row]:
    """The rows of the gradebook's students; who else has one is said."""
    found: dict[str, Row] = {}
    strangers = []
    for row in rows:
        if (student := roll.of(sheet, row)) in found:
            raise CourseError(f"{student} has two rows in {sheet.path}: leave the right one.")
        if student:
            found[student] = row
        else:
            strangers.append(sheet.get(row, "fullname") or sheet.get(row, 0))
    if not found:
        raise CourseError(f"The gradebook knows nobody in {sheet.path}: see `course students import`.")
    if strangers:
        say(f"Not in the gradebook, so left as they were: {listed(strangers)}.")
    return found


def _number(points: float) -> str:
    return f"{round(points, 2):.12g}"


def _folders(sheet: Sheet, rows: Mapping[str, Row]) -> dict[str, str]:
    """What Moodle wants names of files to begin with, by student."""
    names = {student: re.sub(r"[\W_]+", " ", sheet.get(row, "fullname")) for student, row in rows.items()}
    return {
        who: f"{name}_{participant(sheet, rows[who])}_assignsubmission_file_/" for who, name in names.items()
    }


def _pages(course: Course, assignment: str, names: Mapping[str, str]) -> Path:
    """An archive of pages; `names` are what theirs begin with, by student."""
    target = course.root / "build" / "export" / f"{assignment}-feedback.zip"
    with whole(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for student, name in names.items():
            for page in sorted(course.folder("feedback", student, assignment).glob("*.html")):
                archive.write(page, name + page.name)
    return target


def _comments(course: Course, assignment: str, found: Mapping[str, Mark]) -> Path:
    target = course.root / "build" / "export" / f"{assignment}-comments.csv"
    rows = [(who, _number(one.points), "\n".join(one.comment)) for who, one in found.items()]
    with whole(target) as part, open(part, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("student", "points", "comment"), *(map(harmless, row) for row in rows)])
    return target

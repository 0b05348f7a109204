"""The table of grades that `nbgrader export` writes, as a CSV file in which no name is a formula.

nbgrader's own plug-in joins texts with commas as they are: a name with a comma moves the grades behind it.
"""

import csv
from collections.abc import Iterator
from typing import Any

from nbgrader.api import Assignment, Gradebook, MissingEntry, Student
from nbgrader.plugins import CsvExportPlugin

HEADS = ("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email",
         "raw_score", "late_submission_penalty", "score", "max_score")  # fmt: skip


class Export(CsvExportPlugin):
    """nbgrader's columns in nbgrader's order."""

    def export(self, gradebook: Gradebook) -> None:
        """Write a row for each student and assignment, or for those that are asked for."""
        assignments, students = (set(map(str, names)) for names in (self.assignment, self.student))
        asked = [one for one in gradebook.assignments if not assignments or one.name in assignments]
        who = [one for one in gradebook.students if not students or one.id in students]
        rows = [_row(gradebook, assignment, student) for assignment in asked for student in who]
        with open(self.to or "grades.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([HEADS, *rows])


def _row(book: Gradebook, assignment: Assignment, student: Student) -> Iterator[Any]:
    try:
        found = book.find_submission(assignment.name, student.id)
        timestamp, raw, penalty = found.timestamp, found.score, found.late_submission_penalty
    except MissingEntry:
        timestamp, raw, penalty = None, 0.0, 0.0
    who = (student.id, student.last_name, student.first_name, student.email)
    yield from (harmless(assignment.name), assignment.duedate, timestamp)
    yield from (harmless(text or "") for text in who)
    yield from (raw, penalty, max(0.0, raw - penalty), assignment.max_score)


def harmless(text: str) -> str:
    """The text for a spreadsheet, which takes cells that begin like this for formulas."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text

"""`nbgrader autograde` reads submissions as `course grade` does: nbgrader_config.py names this exporter.

nbgrader makes the exporter when it has seen which folders were handed in and before it opens any. What it
then finds in them is what `collect` and `repair` have made of them: every notebook of the assignment under
its name, sound, with its faults in the metadata, and nothing else but nbgrader's own two files.
"""

from __future__ import annotations

import copy
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbgrader.converters import Autograde, NbGraderException

from course_utils.settings import CourseError
from courseware import notebooks
from courseware.classroom import gradebook
from courseware.classroom.course import Assignment, Course
from courseware.grading.submission.collect import SECRET, TIMESTAMP


class Exporter(NotebookExporter):
    """nbgrader's own, which hands `parent` a clean copy of every submission first.

    Raises NbGraderException, with the reason in the log, where the assignment was not released.
    """

    def __init__(self, *, parent: Autograde, **how: Any) -> None:
        super().__init__(parent=parent, **how)
        self.folder = TemporaryDirectory(prefix="submitted-")  # as long as this exporter is there
        try:
            _clean(parent, self.folder.name)
        except CourseError as problem:
            parent.log.error("%s", problem)
            raise NbGraderException(str(problem)) from None


def _clean(autograde: Autograde, folder: str) -> None:
    """Put clean copies of the submissions that were asked for into a folder, and let these be graded."""
    asked = autograde.coursedir
    course = Course(Path(asked.root), autograde.config)
    gradebook.opened(course, [asked.assignment_id]).close()
    assignment = course.assignment(asked.assignment_id)
    autograde.coursedir = copy.copy(asked)  # formgrader goes on with its own
    autograde.coursedir.submitted_directory = folder
    autograde.assignments = {}
    for sentence in course.nameless(assignment.name):
        autograde.log.error("%s", sentence)
    for student in course.students(assignment.name):
        if student == asked.student_id or fnmatchcase(student, asked.student_id):
            target = Path(autograde.coursedir.format_path(folder, student, assignment.name))
            files = _write(assignment, student, target)
            autograde.assignments[str(target)] = [
                str(file) for file in files if fnmatchcase(file.stem, asked.notebook_id)
            ]


def _write(assignment: Assignment, student: str, target: Path) -> list[Path]:
    """A clean copy of a submission; its notebooks."""
    submission = assignment.submission(student)
    target.mkdir(parents=True)
    for name, content in {TIMESTAMP: submission.timestamp, SECRET: submission.secret}.items():
        if content:
            (target / name).write_text(content, encoding="utf-8")
    files: list[Path] = []
    for name, text in assignment.released.items():
        release = nbformat.reads(text, as_version=4)
        nb, _ = submission.read(name, release, first=not files)
        files.append(target / f"{name}.ipynb")
        notebooks.write(nb, files[-1])
    return files

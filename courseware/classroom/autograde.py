"""`nbgrader autograde`, and formgrader's button, read submissions as `course grade` does.

What nbgrader opens is a clean copy of what was handed in: every notebook of the assignment under its name,
repaired, with its faults in the metadata, and nothing else but nbgrader's own two files. nbgrader has no
setting for that, but one for its exporter: nbgrader_config.py names the one below, so this module is loaded
where submissions are graded, and nowhere else. It replaces the step in which nbgrader looks for notebooks,
and lets nobody else write during the one in which it grades them.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from logging import Logger
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbconvert.exporters import NotebookExporter
from nbgrader.apps import NbGraderAPI
from nbgrader.converters import Autograde, NbGraderException

from course_utils.settings import CourseError
from courseware import notebooks
from courseware.classroom import gradebook
from courseware.classroom.course import Assignment, Course
from courseware.grading.reasons import Fault
from courseware.grading.submission.collect import SECRET, TIMESTAMP

Exporter = NotebookExporter  # nbgrader's own


@contextmanager
def _told(autograde: Autograde) -> Iterator[None]:
    """Log what is wrong, and say it as nbgrader does."""
    try:
        yield
    except CourseError as problem:
        autograde.log.error("%s", problem)
        raise NbGraderException(str(problem)) from None


def init_notebooks(autograde: Autograde) -> None:
    """Let clean copies of the submissions that were asked for be graded."""
    autograde.notebooks, autograde.assignments = [], {}
    with _told(autograde):
        _read(autograde)


def convert_notebooks(autograde: Autograde) -> None:
    """Grade them while nobody else writes."""
    # Formgrader's server does nothing else meanwhile: were it to wait for a `course grade` in one of its
    # terminals, that would wait for the server to show its progress.
    wait = not isinstance(autograde.parent, NbGraderAPI)
    with _told(autograde), Course(Path(autograde.coursedir.root), autograde.config).alone(wait):
        converted(autograde)


converted = Autograde.convert_notebooks
Autograde.init_notebooks, Autograde.convert_notebooks = init_notebooks, convert_notebooks


def _read(autograde: Autograde) -> None:
    asked = autograde.coursedir
    course = Course(Path(asked.root), autograde.config)
    with gradebook.opened(course, [asked.assignment_id]):
        pass  # there is such an assignment, and it is entered
    assignment = course.assignment(asked.assignment_id)
    autograde.clean = TemporaryDirectory(prefix="submitted-")  # as long as this is there
    autograde.coursedir = copy.copy(asked)  # formgrader goes on with its own
    autograde.coursedir.submitted_directory = autograde.clean.name
    for sentence in course.astray(assignment.name):
        autograde.log.error("%s", sentence)
    for student in course.students(assignment.name):
        if student == asked.student_id or fnmatchcase(student, asked.student_id):
            target = Path(autograde.coursedir.format_path(autograde.clean.name, student, assignment.name))
            files = _write(assignment, student, target, autograde.log)
            wanted = [str(file) for file in files if fnmatchcase(file.stem, asked.notebook_id)]
            autograde.assignments[str(target)] = wanted
    if not autograde.assignments:
        raise CourseError(f"{asked.student_id} has handed nothing in for {assignment.name}.")


def _write(assignment: Assignment, student: str, target: Path, log: Logger) -> list[Path]:
    """A clean copy of a submission; its notebooks. What an instructor should look at goes into the log."""
    submission = assignment.submission(student)
    target.mkdir(parents=True)
    for name, content in {TIMESTAMP: submission.timestamp, SECRET: submission.secret}.items():
        if content:
            (target / name).write_text(content, encoding="utf-8")
    files: list[Path] = []
    for name, text in assignment.released.items():
        release, solved = nbformat.reads(text, as_version=4), assignment.solved.get(name)
        nb, _, remarks = submission.read(name, release, solved, first=not files)
        for found in [*map(Fault.of, nb.metadata["course"]["faults"]), *remarks]:
            log.warning("%s, %s: %s", student, name, found)
        files.append(target / f"{name}.ipynb")
        notebooks.write(nb, files[-1])
    return files

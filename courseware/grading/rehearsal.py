"""What a student may know before handing in: their own notebook, graded as the instructor will.

The same steps with the same limits (`work`); only the seed is the one that the notebook itself uses. Code
runs in a sandbox where one can be made, and otherwise as it runs in Jupyter: it is the student's own.
"""

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode
from nbgrader.apps import NbGrader
from nbgrader.exchange.default import Exchange
from nbgrader.utils import is_grade, is_solution
from traitlets.config import Application

from course_utils import settings
from course_utils.settings import CourseError
from courseware import notebooks, sections
from courseware.grading import work
from courseware.grading.judging import Verdict
from courseware.grading.kernel import sandbox
from courseware.grading.reasons import Fault, Reason
from courseware.grading.submission.collect import LARGEST, Submission, recognised
from courseware.grading.submission.repair import grade_ids, repair
from courseware.grading.work import Job, Rules

SEED = 0  # what checks take in the notebook


class ByHand(NamedTuple):
    """An answer that a person will grade."""

    grade_id: str
    points: float
    answered: bool


class Rehearsal(NamedTuple):
    """What a program finds in a notebook, and what is left to a person."""

    verdicts: list[Verdict]
    by_hand: list[ByHand]
    faults: list[Fault]
    sandboxed: bool
    remark: str  # on what could not be looked at, or ''
    due: str  # as the assignment says below its title, or ''


def rehearse(path: Path) -> Rehearsal:
    """Grade the notebook at `path`. Raises CourseError where it is none of the course's, or no notebook."""
    raw = _content(path)
    folders = _folders()
    lesson = _lesson(path, raw, folders)
    released, remark = _released(path, raw, lesson, folders)
    _, faults = repair(raw, released, lesson.name)
    if [fault.reason for fault in faults] == [Reason.NOT_A_NOTEBOOK]:
        raise CourseError(f"{path} is no notebook that can be checked: {faults[0].detail}.")
    sandboxed = not sandbox.missing()
    # What the student changed counts as released where there is no other copy: then every cell is run.
    rules = Rules(sandboxed=sandboxed, whole=bool(remark))
    digest = hashlib.sha256(raw).hexdigest()
    renamed = Fault(Reason.WRONG_NAME, lesson.name, f"call {path.name} {lesson.name}.ipynb")
    named = (renamed,) * (path.stem != lesson.name)
    submission = Submission("you", lesson.section.folder, {lesson.name: raw}, named, digest, None)
    # Its warnings are for instructors: what they say is among the faults.
    logging.getLogger("course.grading").setLevel(logging.ERROR)
    result = work.grade(Job(submission, {lesson.name: nbformat.writes(released)}, {}, SEED, rules))
    scores = result.notebooks[lesson.name].scores
    marks = [cell.metadata.nbgrader for cell in released.cells if is_grade(cell) and is_solution(cell)]
    by_hand = [ByHand(mark.grade_id, float(mark.points), scores[mark.grade_id] is None) for mark in marks]
    return Rehearsal(result.verdicts, by_hand, result.faults, sandboxed, remark, _due(released))


def _due(released: NotebookNode) -> str:
    """When it is due: students have no gradebook."""
    texts = "\n".join(cell.source for cell in released.cells)
    found = re.search(rf"^{re.escape(notebooks.DUE).replace('UNTIL', '(.+)')}$", texts, re.MULTILINE)
    return found[1] if found else ""


def _folders() -> list[Path]:
    """Where assignments may lie as they were handed out: below the course's folder, or in the exchange."""
    here = settings.project_folder()
    if own := [here / edition for edition in ("release", "notebooks") if (here / edition).is_dir()]:
        return own
    nbgrader = NbGrader(log_level="ERROR")  # it warns where no configuration is
    nbgrader.load_config_file()
    Application.load_config_file(nbgrader, nbgrader.config_file_name, str(here))
    course = nbgrader.config.CourseDirectory.get("course_id", "")
    # Fetched is what the exchange holds into where the student is.
    return [Path(Exchange(config=nbgrader.config).root, course, "outbound"), here]


def _lesson(path: Path, raw: bytes, folders: Sequence[Path]) -> sections.Lesson:
    """Which of the course's notebooks a file is, by its name or its cells. Raises CourseError if none."""
    lessons = {lesson.name: lesson for lesson in sections.lessons()}
    stem = path.stem
    if path.name != f"{stem}.ipynb" or stem not in lessons:
        copies = {name: copy for name, lesson in lessons.items() for copy in _copies(lesson, folders)[:1]}
        known = {name: grade_ids(copy.read_bytes()) for name, copy in copies.items()}
        stem, _ = recognised(path.name, raw, known)
    if not stem:
        names = ", ".join(f"{name}.ipynb" for name in lessons)
        none = f"{path.name} is none of the course's notebooks, by its name and by its cells"
        raise CourseError(f"{none}: {names}.")
    return lessons[stem]


def _copies(lesson: sections.Lesson, folders: Sequence[Path]) -> list[Path]:
    """The notebook in these folders."""
    return [folder / lesson.path for folder in folders if os.path.isfile(folder / lesson.path)]


def _content(path: Path) -> bytes:
    """The bytes of a file. Raises CourseError if it is larger than what is graded, or cannot be read."""
    if path.is_dir():
        raise CourseError(f"{path} is a folder: name one notebook in it.")
    if not path.exists():
        raise CourseError(f"There is no file {path}.")
    if path.stat().st_size > LARGEST:
        raise CourseError(f"{path} has more than the {LARGEST:,} bytes that are graded: clear its outputs.")
    try:
        return path.read_bytes()
    except OSError as problem:
        raise CourseError(f"{path} cannot be read: {problem.strerror}.") from None


def _released(
    path: Path, raw: bytes, lesson: sections.Lesson, folders: Sequence[Path]
) -> tuple[NotebookNode, str]:
    """The notebook as it was handed out, and a remark where only the student's own copy is there."""
    present = _copies(lesson, folders)
    if not present:
        missing = f"There is neither release/ nor notebooks/ nor an exchange with {lesson.path} here"
        raise CourseError(f"{missing}: call this inside the course's folder, or where you have fetched it.")
    pristine = next((copy for copy in present if not copy.samefile(path)), None)
    try:
        if pristine:
            return nbformat.read(pristine, as_version=4), ""
        own = nbformat.reads(raw.decode("utf-8-sig"), as_version=4)
        repair(raw, own, lesson.name)
    except Exception as problem:  # nbformat promises no closed list
        why = f"{pristine or path} is no notebook that can be read ({type(problem).__name__})"
        raise CourseError(f"{why}: take it anew from what was handed out.") from None
    alone = f"{path} is the only copy here, so whether cells of the assignment were changed or deleted"
    return own, f"{alone} cannot be told."

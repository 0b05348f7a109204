"""A class graded: the coordinator, which alone reads submissions and writes gradebook and files.

What nbgrader calls autograding and feedback is done for everything below submitted/ that is not graded yet:
notebooks go to autograded/, pages to feedback/, scores to nbgrader's own gradebook, and formgrader and
`nbgrader export` go on from there.

Never half done. A submission's files are put in place as whole folders, its record last: `pending.json`
until the gradebook has the scores, `result.json` from then on. A batch that is killed at any moment goes on
from these: what is recorded stays, what is pending is entered (again, with the same scores), the rest is
graded. A record is of one digest of what was handed in, so a resubmission is graded anew, and it alone.

Seeds are derived from a secret of the course (autograded/.secret), the student and what was handed in:
nobody can know them before, and a batch that is done again has the same.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.utils import parse_utc
from traitlets.config import Config, PyFileConfigLoader

from course_utils import record, release, runner, sections
from course_utils.grading import pool, reading, work
from course_utils.grading.own_work import Remark
from course_utils.grading.reasons import Fault, Reason
from course_utils.grading.work import Job, Notebook, Result, Terms, Verdict
from course_utils.settings import CourseError

PENDING, RECORDED = "pending.json", "result.json"


class Course:
    """An instructor's folder: where nbgrader's configuration says things are."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config: Config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
        self.config.CourseDirectory.root = str(root)
        self.directory = CourseDirectory(config=self.config)

    def folder(self, kind: str, student: str, assignment: str) -> Path:
        """`kind` is submitted, autograded, feedback, release or source."""
        named = getattr(self.directory, f"{kind}_directory")
        return Path(self.directory.format_path(named, student, assignment))

    def students(self, assignment: str) -> list[str]:
        """Everybody who handed something in. Raises CourseError where nobody did."""
        submitted = self.root / self.directory.submitted_directory
        names = sorted(path.parent.name for path in submitted.glob(f"*/{assignment}"))
        if not names:
            raise CourseError(
                f"Nothing is handed in for {assignment}: {submitted.name}/STUDENT/{assignment}/ is where "
                "nbgrader puts it (`nbgrader collect`, `nbgrader zip_collect`)."
            )
        return names

    def has(self, assignment: str) -> bool:
        """Whether somebody handed something in."""
        return any((self.root / self.directory.submitted_directory).glob(f"*/{assignment}"))

    def notebooks(self, kind: str, assignment: str) -> dict[str, str]:
        """The assignment's notebooks by name, as JSON: `release` or `source`."""
        files = sorted(self.folder(kind, ".", assignment).glob("*.ipynb"))
        return {file.stem: nbformat.writes(runner.read_notebook(file)) for file in files}

    @cached_property
    def secret(self) -> bytes:
        """What seeds are derived from; made once."""
        file = self.root / self.directory.autograded_directory / ".secret"
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return file.read_bytes()
        with os.fdopen(descriptor, "wb") as made:
            made.write(secret := secrets.token_hex(16).encode())
        return secret

    def seed(self, submission: reading.Submission) -> int:
        """31 bits that follow from the secret, the student and what was handed in."""
        about = f"{submission.student}\n{submission.assignment}\n{submission.digest}".encode()
        return int.from_bytes(hmac.digest(self.secret, about, hashlib.sha256)[:4], "big") >> 1


@dataclass
class Progress:
    """What a batch says about itself."""

    done: int
    of: int
    result: Result


def grade(
    course: Course,
    assignment: str,
    terms: Terms,
    make: Callable[[], Any],
    workers: int,
    students: list[str] | None = None,
    anew: bool = False,
) -> Iterator[Progress]:
    """Grade what is not graded yet (`anew`: all) and enter it; yields every result as it is entered.

    Raises CourseError where the assignment is unknown or nothing is handed in.
    """
    students = students or course.students(assignment)
    with gradebook(course, assignment) as book:
        released = course.notebooks("release", assignment)
        if not released:
            raise CourseError(f"{assignment} has no released notebooks: run `course build`.")
        solved = course.notebooks("source", assignment)
        for leftover in course.root.glob(f"{course.directory.autograded_directory}/*/.{assignment}.*"):
            shutil.rmtree(leftover)

        todo, done = [], 0
        for student in students:
            found = kept(course, student, assignment)
            submission = reading.collect(
                course.folder("submitted", student, assignment), student, assignment, released
            )
            if (
                anew
                or found is None
                or found[0].digest != submission.digest
                or found[0].audit["terms"] != vars(terms)
            ):
                todo.append(student)
                continue
            result, entered = found
            if not entered:
                enter(course, book, result)
            done += 1
            yield Progress(done, len(students), result)

        def jobs() -> Iterator[Job]:
            """Read when their turn comes: a thousand submissions are not held in memory."""
            for student in todo:
                folder = course.folder("submitted", student, assignment)
                submission = reading.collect(folder, student, assignment, released)
                yield Job(submission, released, solved, course.seed(submission), terms)

        for job, outcome in pool.outcomes(work.grade, jobs(), make, workers):
            result = outcome or lost(job)
            put(course, result)
            enter(course, book, result)
            done += 1
            yield Progress(done, len(students), result)


def gradebook(course: Course, assignment: str) -> Gradebook:
    """nbgrader's gradebook, with the assignment in it. Raises CourseError for an unknown assignment."""
    book = Gradebook(course.directory.db_url, course.directory.course_id)
    try:
        book.find_assignment(assignment)
    except MissingEntry:
        book.close()
        known = [section.folder for section in sections.SECTIONS]
        if not course.folder("source", ".", assignment).is_dir():
            raise CourseError(
                f"There is no assignment '{assignment}'; choose one of: {', '.join(known)}."
            ) from None
        release.generate(assignment, Config(course.config))
        book = Gradebook(course.directory.db_url, course.directory.course_id)
    return book


def lost(job: Job) -> Result:
    """The result of a submission whose workers died: nothing of it was run, and a person has to look."""
    empty = replace(job, submission=replace(job.submission, notebooks={}))
    result = work.grade(empty)
    fault = Fault(Reason.WORKER_LOST, "", f"{pool.ATTEMPTS} times")
    return replace(result, faults=[*job.submission.faults, fault])


# --- files ------------------------------------------------------------------------------------------------


def put(course: Course, result: Result) -> None:
    """Put notebooks, pages and the pending record in place, each folder whole or not at all."""
    pages = {f"{name}.html": one.page for name, one in result.notebooks.items()}
    _replace(course.folder("feedback", result.student, result.assignment), pages)
    files = {f"{name}.ipynb": one.executed for name, one in result.notebooks.items()}
    if result.timestamp:
        files["timestamp.txt"] = result.timestamp
    files[PENDING] = json.dumps(_plain(result), indent=1)
    _replace(course.folder("autograded", result.student, result.assignment), files)


def _replace(folder: Path, files: dict[str, str]) -> None:
    """Make `folder` hold these files and no others."""
    new, old = (folder.with_name(f".{folder.name}.{what}") for what in ("new", "old"))
    try:
        for leftover in (new, old):
            shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir(parents=True)
        for name, content in files.items():
            (new / name).write_text(content, encoding="utf-8")
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as problem:
        raise CourseError(
            f"{folder} cannot be written ({problem.strerror}): make room, then give the same command again."
        ) from None


def _plain(result: Result) -> dict[str, Any]:
    """The record: all but the notebooks and pages, which are files beside it."""
    plain = asdict(result)
    for name, one in plain["notebooks"].items():
        plain["notebooks"][name] = {
            key: value for key, value in one.items() if key not in ("executed", "page")
        } | {"sha256": hashlib.sha256(one["executed"].encode()).hexdigest()}
    for fault in plain["faults"]:
        fault["reason"] = fault["reason"].name
    return plain


def kept(course: Course, student: str, assignment: str) -> tuple[Result, bool] | None:
    """The record of a submission, without its notebooks, and whether the gradebook has it; None if none."""
    folder = course.folder("autograded", student, assignment)
    for name in (RECORDED, PENDING):
        plain = record.kept(folder / name)
        if plain is not None:
            return _result(plain), name == RECORDED
    return None


def results(course: Course, assignment: str) -> Iterator[Result]:
    """The records of everybody whose submission is graded, one at a time."""
    for student in course.students(assignment):
        found = kept(course, student, assignment)
        if found:
            yield found[0]


def _result(plain: dict[str, Any]) -> Result:
    notebooks = {
        name: Notebook(
            "",
            "",
            one["scores"],
            one["comments"],
            [Verdict(**verdict) for verdict in one["verdicts"]],
            [Remark(**remark) for remark in one["remarks"]],
        )
        for name, one in plain["notebooks"].items()
    }
    faults = [Fault(Reason[one["reason"]], one["notebook"], one["detail"]) for one in plain["faults"]]
    return Result(**{**plain, "notebooks": notebooks, "faults": faults})


# --- the gradebook ------------------------------------------------------------------------------------------


def enter(course: Course, book: Gradebook, result: Result) -> None:
    """Write scores, comments and what lateness costs in one transaction, then call the result recorded.

    A score that a person has given stays; the answer is marked to be looked at again, as nbgrader does it.
    """
    book.update_or_create_student(result.student)
    timestamp = parse_utc(result.timestamp) if result.timestamp else None
    submission = book.update_or_create_submission(result.assignment, result.student, timestamp=timestamp)
    policy = LateSubmissionPlugin(config=course.config)
    for entry in submission.notebooks:
        one = result.notebooks[entry.name]
        for grade in entry.grades:
            grade.auto_score = one.scores[grade.name]
            grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None
        for comment in entry.comments:
            comment.auto_comment = one.comments[comment.name]
    book.db.flush()
    for entry in submission.notebooks:
        entry.late_submission_penalty = None
        if submission.total_seconds_late > 0:
            entry.late_submission_penalty = policy.late_submission_penalty(
                result.student, entry.score, submission.total_seconds_late
            )
    book.db.commit()
    folder = course.folder("autograded", result.student, result.assignment)
    os.replace(folder / PENDING, folder / RECORDED)

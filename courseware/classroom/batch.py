"""A class graded: the coordinator, which alone reads submissions and writes gradebook and files.

What nbgrader calls autograding and feedback is done for everything below submitted/ that is not graded yet:
notebooks go to autograded/, pages to feedback/, scores to nbgrader's own gradebook, and formgrader and
`nbgrader export` go on from there.

Never half done. A submission's files are put in place as whole folders, its record last: `pending.json`
until the gradebook has the scores, `result.json` from then on. A batch that is killed at any moment goes on
from these: what is recorded stays, what is pending is entered (again, with the same scores), the rest is
graded. A record is of one digest of what was handed in, so a resubmission is graded anew, and it alone;
where no more than the time of submission has changed, or when it was due, or the policy, what lateness costs
is entered anew.

One batch of a course runs at a time. Nobody is entered who has handed nothing in.

Seeds are derived from a secret of the course (autograded/.secret), the student and what was handed in:
nobody can know them before, and a batch that is done again has the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config, PyFileConfigLoader

from course_utils.files import whole, writable
from course_utils.settings import CourseError
from courseware import notebooks, record
from courseware.classroom import gradebook, pool
from courseware.classroom.gradebook import MEND
from courseware.grading import work
from courseware.grading.reasons import Fault, Reason
from courseware.grading.submission import reading
from courseware.grading.submission.own_work import Remark
from courseware.grading.work import Job, Notebook, Result, Rules, Verdict

PENDING, RECORDED = "pending.json", "result.json"
LONGEST_NAME = 128  # of a student, in nbgrader's gradebook
UNPRINTABLE = re.compile(r"[\0-\x1f\x7f\ud800-\udfff]")  # control characters, bytes that are not UTF-8


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

    @property
    def graded(self) -> Path:
        """Where the records of everybody are, made if need be."""
        folder = self.root / self.directory.autograded_directory
        with writable(folder, MEND):
            folder.mkdir(exist_ok=True)
        return folder

    def students(self, assignment: str) -> list[str]:
        """Everybody who handed something in. Raises CourseError where nobody did."""
        names = list(self._handed_in(assignment))
        if not names:
            raise CourseError(
                f"Nothing is handed in for {assignment}: {self.directory.submitted_directory}/STUDENT/"
                f"{assignment}/ is where nbgrader puts it (`nbgrader collect`, `nbgrader zip_collect`)."
            )
        for name in names:
            if len(name) > LONGEST_NAME or UNPRINTABLE.search(name):
                raise CourseError(
                    f"The gradebook cannot hold a student called {name!a}: give the folder below "
                    f"{self.directory.submitted_directory}/ a name of at most {LONGEST_NAME} letters."
                )
        return sorted(names)

    def has(self, assignment: str) -> bool:
        """Whether somebody handed something in."""
        return any(self._handed_in(assignment))

    def _handed_in(self, assignment: str) -> Iterator[str]:
        """Students; hidden folders are nobody, as they are for nbgrader."""
        submitted = self.root / self.directory.submitted_directory
        for folder in submitted.iterdir() if submitted.is_dir() else ():
            # a link that leads nowhere has been handed in as well
            if not folder.name.startswith(".") and os.path.lexists(folder / assignment):
                yield folder.name

    def notebooks(self, kind: str, assignment: str) -> dict[str, str]:
        """The assignment's notebooks by name, as JSON: `release` or `source`."""
        files = sorted(self.folder(kind, ".", assignment).glob("*.ipynb"))
        return {file.stem: nbformat.writes(notebooks.read(file)) for file in files}

    def assignment(self, name: str) -> Assignment:
        """Raises CourseError where it has no released notebooks."""
        released = self.notebooks("release", name)
        if not released:
            raise CourseError(f"{name} has no released notebooks: run `course build`.")
        return Assignment(self, name, released, self.notebooks("source", name))

    def tidy(self, assignment: str) -> None:
        """Remove what a batch has not come to put in place."""
        for kind in (self.directory.autograded_directory, self.directory.feedback_directory):
            for leftover in self.root.glob(f"{kind}/*/.{assignment}.*"):
                shutil.rmtree(leftover, ignore_errors=True)
        for pattern in (".*.part", f"*/{assignment}/.*.part"):
            for leftover in self.graded.glob(pattern):
                leftover.unlink()

    @cached_property
    def secret(self) -> bytes:
        """What seeds are derived from; made once."""
        file = self.graded / ".secret"
        if not file.exists():
            with whole(file, MEND) as made:
                made.touch(0o600)
                made.write_text(secrets.token_hex(16))
        return file.read_bytes()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other batches of this course out. Raises CourseError where one is under way."""
        descriptor = os.open(self.graded, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with this process
            except BlockingIOError:
                raise CourseError("This course is being graded already: wait until that has ended.") from None
            yield
        finally:
            os.close(descriptor)

    def seed(self, submission: reading.Submission) -> int:
        """31 bits that follow from the secret, the student and what was handed in."""
        about = f"{submission.student}\n{submission.assignment}\n{submission.digest}".encode()
        return int.from_bytes(hmac.digest(self.secret, about, hashlib.sha256)[:4], "big") >> 1


@dataclass(frozen=True)
class Assignment:
    """One assignment of a course: its notebooks as released and as solved (JSON by name)."""

    course: Course
    name: str
    released: dict[str, str]
    solved: dict[str, str]

    def submission(self, student: str) -> reading.Submission:
        """What a student has handed in."""
        folder = self.course.folder("submitted", student, self.name)
        return reading.collect(folder, student, self.name, self.released)

    def job(self, student: str, rules: Rules, seed: int | None = None) -> Job:
        """A student's submission, read now, to be graded with this seed or the one that follows from it."""
        submission = self.submission(student)
        drawn = self.course.seed(submission) if seed is None else seed
        return Job(submission, self.released, self.solved, drawn, rules)


@dataclass
class Progress:
    """What a batch says about itself."""

    done: int
    of: int
    result: Result


def grade(
    course: Course,
    assignments: Sequence[str],
    rules: Rules,
    crew: pool.Crew,
    students: Sequence[str] = (),
    *,
    anew: bool = False,
    grader: Callable[[Job], Result] = work.grade,
) -> Iterator[Progress]:
    """Grade what is not graded yet (`anew`: all) and enter it; yields every result as it is entered.

    Raises CourseError where an assignment is unknown or nothing is handed in, where somebody else grades,
    and where something cannot be written.
    """
    chosen = {assignment: _chosen(course, assignment, students) for assignment in assignments}
    with course.alone(), closing(gradebook.opened(course, assignments)) as book:
        todo: list[tuple[Assignment, str]] = []
        done = Counter[str]()

        def progress(result: Result) -> Progress:
            done[result.assignment] += 1
            return Progress(done[result.assignment], len(chosen[result.assignment]), result)

        for assignment in map(course.assignment, assignments):
            course.tidy(assignment.name)
            gradebook.enter_lateness(course, book, assignment.name)
            for student in chosen[assignment.name]:
                result = None if anew else _graded(book, assignment, student, rules)
                if result is None:
                    todo.append((assignment, student))
                else:
                    yield progress(result)
        # Read when their turn comes: a thousand submissions are not held in memory.
        jobs = (assignment.job(student, rules) for assignment, student in todo)
        with closing(pool.outcomes(grader, jobs, crew)) as outcomes:
            for job, outcome in outcomes:
                result = outcome or lost(job, grader)
                put(course, result)
                enter(course, book, result)
                yield progress(result)


def _chosen(course: Course, assignment: str, students: Sequence[str]) -> Sequence[str]:
    """Who is graded: these students, or all. Raises CourseError for one who handed nothing in."""
    handed_in = course.students(assignment)
    for student in students:
        if student not in handed_in:
            raise CourseError(f"{student} has handed nothing in for {assignment}.")
    return students or handed_in


def _graded(book: Gradebook, assignment: Assignment, student: str, rules: Rules) -> Result | None:
    """The stored result, entered with the present time of submission; None where that has to be graded."""
    found = kept(assignment.course, student, assignment.name)
    submission = assignment.submission(student)
    if found is None:
        return None
    result, entered = found
    if result.digest != submission.digest or result.audit.get("terms") != vars(rules):
        return None
    if result.timestamp != submission.timestamp:
        result, entered = retimed(assignment.course, result, submission.timestamp), False
    if not entered:
        enter(assignment.course, book, result)
    return result


def lost(job: Job, grader: Callable[[Job], Result] = work.grade) -> Result:
    """The result of a submission whose workers died: nothing of it was run, and a person has to look."""
    empty = replace(job, submission=replace(job.submission, notebooks={}))
    result = grader(empty)
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
    files[PENDING] = json.dumps(_plain(result), indent=1) + "\n"
    _replace(course.folder("autograded", result.student, result.assignment), files)


def enter(course: Course, book: Gradebook, result: Result) -> None:
    """Enter a result in the gradebook, then call it recorded."""
    gradebook.enter(course, book, result)
    folder = course.folder("autograded", result.student, result.assignment)
    with writable(folder, MEND):
        os.replace(folder / PENDING, folder / RECORDED)


def _replace(folder: Path, files: dict[str, str]) -> None:
    """Make `folder` hold these files and no others."""
    new, old = (folder.with_name(f".{folder.name}.{what}") for what in ("new", "old"))
    with writable(folder, MEND):
        try:
            for leftover in (new, old):
                shutil.rmtree(leftover, ignore_errors=True)
            new.mkdir(parents=True)
            for name, content in files.items():
                (new / name).write_text(content, encoding="utf-8")
            if folder.exists():
                os.replace(folder, old)
            os.replace(new, folder)
        finally:
            for leftover in (new, old):
                shutil.rmtree(leftover, ignore_errors=True)


def retimed(course: Course, result: Result, timestamp: str | None) -> Result:
    """The result of what was handed in again unchanged, pending; its old record goes when it is entered."""
    folder = course.folder("autograded", result.student, result.assignment)
    file = folder / reading.TIMESTAMP
    with writable(file, MEND):
        if timestamp:
            file.write_text(timestamp, encoding="utf-8")
        else:
            file.unlink(missing_ok=True)
    plain = record.kept(folder / RECORDED) or record.kept(folder / PENDING)
    record.keep(folder / PENDING, plain | {"timestamp": timestamp})
    return replace(result, timestamp=timestamp)


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
    """The record of a submission, without its notebooks, and whether the gradebook has it.

    None where there is none that can be read.
    """
    folder = course.folder("autograded", student, assignment)
    for name in (RECORDED, PENDING):
        try:
            return _result(record.kept(folder / name)), name == RECORDED
        except (TypeError, KeyError, AttributeError):  # no record, or not one of ours
            continue
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

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
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook, InvalidEntry, SubmittedNotebook
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import parse_utc
from sqlalchemy.exc import SQLAlchemyError
from traitlets.config import Config, PyFileConfigLoader

from course_utils.settings import CourseError
from courseware import notebooks, record, sections
from courseware.authoring import release
from courseware.classroom import pool
from courseware.grading import work
from courseware.grading.reasons import Fault, Reason
from courseware.grading.submission import reading
from courseware.grading.submission.own_work import Remark
from courseware.grading.work import Job, Notebook, Result, Terms, Verdict

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
        with _written(folder):
            folder.mkdir(parents=True, exist_ok=True)
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

    def released(self, assignment: str) -> dict[str, str]:
        """The notebooks that students were given. Raises CourseError where there are none."""
        found = self.notebooks("release", assignment)
        if not found:
            raise CourseError(f"{assignment} has no released notebooks: run `course build`.")
        return found

    def collected(self, student: str, assignment: str, expected: Collection[str]) -> reading.Submission:
        """What a student has handed in."""
        return reading.collect(self.folder("submitted", student, assignment), student, assignment, expected)

    def tidy(self, assignment: str) -> None:
        """Remove folders that a batch has not come to put in place."""
        for kind in (self.directory.autograded_directory, self.directory.feedback_directory):
            for leftover in self.root.glob(f"{kind}/*/.{assignment}.*"):
                shutil.rmtree(leftover, ignore_errors=True)

    @cached_property
    def secret(self) -> bytes:
        """What seeds are derived from; made once."""
        file = self.graded / ".secret"
        if not file.exists():
            part = file.with_suffix(".part")
            with _written(file):
                part.unlink(missing_ok=True)
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as made:
                    made.write(secrets.token_hex(16).encode())
                os.replace(part, file)
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


@dataclass
class Progress:
    """What a batch says about itself."""

    done: int
    of: int
    result: Result


def grade(
    course: Course,
    assignments: Sequence[str],
    terms: Terms,
    make: Callable[[], Any],
    workers: int,
    students: Sequence[str] = (),
    *,
    anew: bool = False,
    grader: Callable[[Job], Result] = work.grade,
) -> Iterator[Progress]:
    """Grade what is not graded yet (`anew`: all) and enter it; yields every result as it is entered.

    Raises CourseError where an assignment is unknown or nothing is handed in, where somebody else grades,
    and where something cannot be written.
    """
    classes = {assignment: course.students(assignment) for assignment in assignments}
    for assignment, handed_in in classes.items():
        for student in students:
            if student not in handed_in:
                raise CourseError(f"{student} has handed nothing in for {assignment}.")
    with course.alone(), closing(gradebook(course, assignments)) as book:
        released = {assignment: course.released(assignment) for assignment in assignments}
        solved = {assignment: course.notebooks("source", assignment) for assignment in assignments}
        done = dict.fromkeys(assignments, 0)

        def progress(result: Result) -> Progress:
            done[result.assignment] += 1
            return Progress(done[result.assignment], len(students or classes[result.assignment]), result)

        todo: list[tuple[str, str]] = []
        for assignment in assignments:
            course.tidy(assignment)
            enter_lateness(course, book, assignment)
            for student in students or classes[assignment]:
                submission = course.collected(student, assignment, released[assignment])
                found = kept(course, student, assignment)
                if anew or found is None or not _is_of(found[0], submission, terms):
                    todo.append((assignment, student))
                    continue
                result, entered = found
                if result.timestamp != submission.timestamp:
                    result, entered = retimed(course, result, submission.timestamp), False
                if not entered:
                    enter(course, book, result)
                yield progress(result)

        def jobs() -> Iterator[Job]:
            """Read when their turn comes: a thousand submissions are not held in memory."""
            for assignment, student in todo:
                submission = course.collected(student, assignment, released[assignment])
                seed = course.seed(submission)
                yield Job(submission, released[assignment], solved[assignment], seed, terms)

        with closing(pool.outcomes(grader, jobs(), make, workers)) as outcomes:
            for job, outcome in outcomes:
                result = outcome or lost(job, grader)
                put(course, result)
                enter(course, book, result)
                yield progress(result)


def _is_of(result: Result, submission: reading.Submission, terms: Terms) -> bool:
    """Whether a result is what grading this submission on these terms would give."""
    return result.digest == submission.digest and result.audit.get("terms") == vars(terms)


def gradebook(course: Course, assignments: Sequence[str]) -> Gradebook:
    """nbgrader's gradebook, with the assignments in it. Raises CourseError for an unknown one.

    `c.CourseDirectory.db_url` may name any database: an empty one is all that nbgrader needs, it makes its
    tables itself. For PostgreSQL: `postgresql+psycopg://...` and the extra `postgres`.
    """
    with _entered():
        book = Gradebook(course.directory.db_url, course.directory.course_id)
        known = {one.name for one in book.assignments}
        for assignment in assignments:
            if assignment not in known:
                if not course.folder("source", ".", assignment).is_dir():
                    book.close()
                    names = ", ".join(section.folder for section in sections.SECTIONS)
                    raise CourseError(f"There is no assignment '{assignment}'; choose one of: {names}.")
                release.generate(assignment, Config(course.config))
        book.db.expire_all()  # others have written meanwhile
    return book


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


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Say in one sentence what cannot be written, and why."""
    try:
        yield
    except OSError as problem:
        raise CourseError(
            f"{path} cannot be written ({problem.strerror}): mend that, then give the same command again."
        ) from None


def _replace(folder: Path, files: dict[str, str]) -> None:
    """Make `folder` hold these files and no others."""
    new, old = (folder.with_name(f".{folder.name}.{what}") for what in ("new", "old"))
    with _written(folder):
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
    with _written(file):
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


# --- the gradebook ------------------------------------------------------------------------------------------


def enter(course: Course, book: Gradebook, result: Result) -> None:
    """Write scores, comments and what lateness costs in one transaction, then call the result recorded.

    A score that a person has given stays; the answer is marked to be looked at again, as nbgrader does it.
    """
    with _entered():
        book.update_or_create_student(result.student)
        timestamp = parse_utc(result.timestamp) if result.timestamp else None
        with book.db.no_autoflush:  # nbgrader's objects are not in the session yet when it asks for others
            submission = book.update_or_create_submission(
                result.assignment, result.student, timestamp=timestamp
            )
        for entry in submission.notebooks:
            one = result.notebooks[entry.name]
            for grade in entry.grades:
                grade.auto_score = one.scores.get(grade.name)  # tasks have none
                grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None
            for comment in entry.comments:
                comment.auto_comment = one.comments.get(comment.name)
        book.db.flush()
        for entry in submission.notebooks:
            book.db.refresh(entry)  # its score is a sum that the database forms
            entry.late_submission_penalty = _penalty(course, entry, submission.total_seconds_late)
        book.db.commit()
    folder = course.folder("autograded", result.student, result.assignment)
    with _written(folder):
        os.replace(folder / PENDING, folder / RECORDED)


def enter_lateness(course: Course, book: Gradebook, assignment: str) -> None:
    """Enter anew what lateness costs where that has changed: by a due date, the policy, a manual score."""
    with _entered():
        for submission in book.assignment_submissions(assignment):
            late = submission.total_seconds_late
            for entry in submission.notebooks if late > 0 or submission.late_submission_penalty else ():
                entry.late_submission_penalty = _penalty(course, entry, late)
        book.db.commit()


def _penalty(course: Course, entry: SubmittedNotebook, seconds_late: float) -> float | None:
    """What lateness costs by the course's policy: at most the score."""
    if seconds_late <= 0:
        return None
    policy = AssignLatePenalties(config=course.config)
    policy.init_plugin()
    penalty = policy.plugin_inst.late_submission_penalty(entry.student.id, entry.score, seconds_late)
    return None if penalty is None else max(0.0, min(penalty, entry.score))


@contextmanager
def _entered() -> Iterator[None]:
    """Say in one sentence what keeps the gradebook from being written."""
    try:
        yield
    except (SQLAlchemyError, InvalidEntry, ModuleNotFoundError) as problem:  # the last: a driver
        reason = str(problem).partition("\n")[0]
        raise CourseError(
            f"The gradebook cannot be written ({reason}): mend that, then give the same command again."
        ) from None

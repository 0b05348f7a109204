"""nbgrader's gradebook of a course: assignments, scores, comments, and what lateness costs."""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from nbgrader.api import Gradebook, InvalidEntry, SubmittedNotebook
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import parse_utc
from sqlalchemy.exc import SQLAlchemyError

from course_utils.settings import CourseError
from courseware import sections
from courseware.authoring import exercises, release
from courseware.classroom.course import MEND, Course
from courseware.grading.work import Result

Scores = dict[str, dict[str, dict[str, float | None]]]  # by student, notebook and nbgrader's name of the cell


@contextmanager
def opened(course: Course, assignments: Sequence[str], anew: Collection[str] = ()) -> Iterator[Gradebook]:
    """The gradebook, with the assignments in it. Raises CourseError for an unknown one.

    Also for one released with other points since, unless everybody is among those to be graded `anew`.
    Due dates of nbgrader_config.py (`c.Due.dates`) are entered; others stay as the gradebook has them.
    `c.CourseDirectory.db_url` may name any empty database, such as `postgresql+psycopg://...`.
    """
    with _written(ModuleNotFoundError):  # of a database's driver
        book = Gradebook(course.directory.db_url, course.directory.course_id)
    with book, _written():
        known = {one.name for one in book.assignments}
        for assignment in [name for name in assignments if name not in known]:
            if not course.folder("source", ".", assignment).is_dir():
                names = ", ".join(section.folder for section in sections.SECTIONS)
                raise CourseError(f"There is no assignment '{assignment}'; choose one of: {names}.")
            release.enter(assignment, course.config)
        dates = course.config.Due.get("dates", {})
        for assignment in [name for name in assignments if name in dates]:
            book.update_or_create_assignment(assignment, duedate=moment(str(dates[assignment])))
        book.db.expire_all()  # others have written meanwhile
        for assignment in assignments:
            require_same_points(course, book, assignment, anew)
        yield book


@contextmanager
def _written(*more: type[Exception]) -> Iterator[None]:
    """Say in one sentence what keeps the gradebook from being written."""
    try:
        yield
    except (SQLAlchemyError, InvalidEntry, *more) as problem:
        reason = str(problem).partition("\n")[0]
        raise CourseError(f"The gradebook cannot be written ({reason}): {MEND}.") from None


def require_same_points(course: Course, book: Gradebook, assignment: str, anew: Collection[str]) -> None:
    """Raise CourseError where points of the release are neither those of the checks nor of the gradebook."""
    released = course.notebooks("release", assignment)
    lacking = [what for notebook in released.values() for what in exercises.disagreements(notebook)]
    if lacking:
        raise CourseError(
            f"{assignment} was released with other points than its checks give ({'; '.join(lacking)}): make "
            "them agree in solutions/, then call `course build`."
        )
    if sentence := release.revaluation(book, assignment, released):
        left = sorted(release.graded(book, assignment).keys() - set(anew))
        if left:
            raise CourseError(f"{sentence} Not among them now: {', '.join(left)}." if anew else sentence)


def moment(text: str) -> datetime:
    """A time in UTC, which it is read as where it names no other zone; a day alone is meant to its end."""
    try:
        return parse_utc(f"{text} 23:59:59" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text)
    except (ValueError, OverflowError):
        raise CourseError(f"'{text}' is no time: write 2030-01-31, or 2030-01-31T18:00+01:00.") from None


def scores(book: Gradebook, assignment: str) -> Scores:
    """What programs have given, as the gradebook has it."""
    found: Scores = {}
    for submission in book.assignment_submissions(assignment):
        for entry in submission.notebooks:
            points = {grade.name: grade.auto_score for grade in entry.grades}
            found.setdefault(submission.student_id, {})[entry.name] = points
    return found


def standing(book: Gradebook, assignment: str) -> dict[str, tuple[float, int]]:
    """For every student what lateness costs, and how many answers wait for a person."""
    return {
        submission.student_id: (
            submission.late_submission_penalty or 0.0,
            sum(grade.needs_manual_grade for entry in submission.notebooks for grade in entry.grades),
        )
        for submission in book.assignment_submissions(assignment)
    }


def enter(course: Course, book: Gradebook, result: Result) -> bool:
    """Write scores, comments and lateness at once; whether these or a person change what a student reads.

    A score that a person has given stays; the answer is marked to be looked at again, as nbgrader does it.
    """
    book.update_or_create_student(result.student)
    when = parse_utc(result.timestamp) if result.timestamp else None
    with book.db.no_autoflush:  # nbgrader's objects are not in the session yet when it asks for others
        submission = book.update_or_create_submission(result.assignment, result.student, timestamp=when)
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
    grades = [grade for entry in submission.notebooks for grade in entry.grades]
    by_hand = [given for grade in grades for given in (grade.manual_score, grade.extra_credit)]
    by_hand += [comment.manual_comment for entry in submission.notebooks for comment in entry.comments]
    late = any(entry.late_submission_penalty for entry in submission.notebooks)
    book.db.commit()
    return late or any(given is not None for given in by_hand)


def enter_lateness(course: Course, book: Gradebook, assignment: str) -> None:
    """Enter anew what lateness costs where that has changed: by a due date, the policy, a manual score."""
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

"""A class graded: the coordinator, which alone reads submissions and writes gradebook and files.

Notebooks go to autograded/, pages to feedback/, scores to nbgrader's own gradebook, and formgrader and
`nbgrader export` go on from there. Nobody is entered who has handed nothing in.

Never half done (docs/graders.md). A submission's files are put in place as whole folders, its record last:
`pending.json` until the gradebook has the scores, `result.json` from then on. A record is of one digest of
what was handed in, so a resubmission is graded anew, and it alone.
"""

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from typing import Any

from nbgrader.api import Gradebook

from course_utils import files
from course_utils.files import writable
from course_utils.settings import CourseError
from courseware import record
from courseware.classroom import feedback, gradebook, pool
from courseware.classroom.course import MEND, Assignment, Course
from courseware.grading import work
from courseware.grading.judging import Verdict
from courseware.grading.kernel import sandbox
from courseware.grading.reasons import Fault, Reason
from courseware.grading.submission.collect import Submission
from courseware.grading.submission.own_work import Remark
from courseware.grading.work import Job, Notebook, Result, Rules

PENDING, RECORDED = "pending.json", "result.json"


def grade(
    course: Course,
    assignments: Sequence[str],
    rules: Rules,
    crew: pool.Crew,
    students: Sequence[str] = (),
    *,
    grader: Callable[[Job], Result] = work.grade,
) -> Iterator[Result]:
    """Grade what is not graded yet and enter it; yields every result as it is entered.

    Where the machine failed, and not the student, the result is yielded and nothing else: no points follow
    from it, and the next batch grades that submission.
    """
    wanted = {assignment: chosen(course, assignment, students) for assignment in assignments}
    todo: list[tuple[Assignment, str]] = []
    sandbox.sweep()
    with course.alone(), gradebook.opened(course, assignments) as book:
        for assignment in map(course.assignment, assignments):
            course.tidy(assignment.name)
            gradebook.enter_lateness(course, book, assignment.name)
            scores = gradebook.scores(book, assignment.name)
            for student in wanted[assignment.name]:
                if known := _graded(book, scores, assignment, student, rules):
                    yield known
                else:
                    todo.append((assignment, student))
        with closing(graded(grader, todo, rules, crew)) as results:
            for result in results:
                if not result.broken:
                    put(course, result)
                    enter(course, book, result)
                yield result


def graded(
    grader: Callable[[Job], Result], todo: Sequence[tuple[Assignment, str]], rules: Rules, crew: pool.Crew
) -> Generator[Result, None, None]:
    """What came of everybody's: who may have lost points to a clock or the machine is graded again, alone."""
    again: list[tuple[Assignment, str]] = []
    by_name = {assignment.name: assignment for assignment, _ in todo}
    # Read when their turn comes: a thousand submissions are not held in memory.
    jobs = (assignment.job(student, rules) for assignment, student in todo)
    with closing(pool.outcomes(grader, jobs, crew)) as outcomes:
        for job, outcome in outcomes:
            if outcome and (outcome.waited or outcome.broken) and len(todo) > 1:
                again.append((by_name[job.submission.assignment], job.submission.student))
            else:
                yield outcome or lost(job)
    for one in again:
        yield from graded(grader, [one], rules, crew)


def chosen(course: Course, assignment: str, students: Sequence[str]) -> Sequence[str]:
    """Who is graded: these students, or all. Raises CourseError for one who handed nothing in."""
    handed_in = course.students(assignment)
    for student in students:
        if student not in handed_in:
            raise CourseError(f"{student} has handed nothing in for {assignment}.")
    return students or handed_in


def _graded(
    book: Gradebook, scores: gradebook.Scores, assignment: Assignment, student: str, rules: Rules
) -> Result | None:
    """The stored result, entered with the present time of submission; None where that has to be graded.

    A gradebook that was lost, or put back from a copy, has other `scores`: they are entered anew.
    """
    found = kept(assignment.course, student, assignment.name)
    if found is None:
        return None
    (result, whole), submission = found, assignment.submission(student)
    if result.digest != submission.digest or result.audit.get("terms") != vars(rules):
        return None
    if result.timestamp != submission.timestamp:
        result, whole = retimed(assignment.course, result, submission), False
    entered = scores.get(student, {})
    known = all(one.scores.items() <= entered.get(name, {}).items() for name, one in result.notebooks.items())
    if not whole:
        enter(assignment.course, book, result)
    elif not known:
        gradebook.enter(assignment.course, book, result)
    return result


def lost(job: Job) -> Result:
    """The result of a submission whose workers died: nothing follows from it."""
    fault = Fault(Reason.WORKER_LOST, "", f"{pool.ATTEMPTS} times")
    return Result.of(job, [*job.submission.faults, fault], {}, {})


def put(course: Course, result: Result) -> None:
    """Put notebooks, pages and the pending record in place, each folder whole or not at all."""
    carried = feedback.carried(course, result.student, result.assignment, result.timestamp, result.secret)
    pages = {f"{name}.html": one.page for name, one in result.notebooks.items()}
    files.put(course.folder("feedback", result.student, result.assignment), carried | pages, MEND)
    made = {f"{name}.ipynb": one.executed for name, one in result.notebooks.items()}
    made[PENDING] = json.dumps(_plain(result), indent=1) + "\n"
    files.put(course.folder("autograded", result.student, result.assignment), carried | made, MEND)


def enter(course: Course, book: Gradebook, result: Result) -> None:
    """Enter a result in the gradebook, renew pages that a person had a say in, then call it recorded."""
    if gradebook.enter(course, book, result):
        feedback.renew(course, book, result.assignment, result.student)
    folder = course.folder("autograded", result.student, result.assignment)
    with writable(folder, MEND):
        os.replace(folder / PENDING, folder / RECORDED)


def retimed(course: Course, result: Result, submission: Submission) -> Result:
    """The result of what was handed in again unchanged, pending; its old record goes when it is entered."""
    now: Any = {"timestamp": submission.timestamp, "secret": submission.secret}
    result = replace(result, **now)
    carried = feedback.carried(course, result.student, result.assignment, result.timestamp, result.secret)
    for kind in ("feedback", "autograded"):
        folder = course.folder(kind, result.student, result.assignment)
        for name, text in carried.items():
            files.write(folder / name, text, MEND)
    record.keep(folder / PENDING, (record.kept(folder / RECORDED) or record.kept(folder / PENDING)) | now)
    return result


def _plain(result: Result) -> dict[str, Any]:
    """The record: all but the notebooks and pages, which are files beside it."""
    plain = asdict(result)
    for one in plain["notebooks"].values():
        del one["page"]
        one["sha256"] = hashlib.sha256(one.pop("executed").encode()).hexdigest()
    plain["faults"] = [fault.plain for fault in result.faults]
    return plain


def kept(course: Course, student: str, assignment: str) -> tuple[Result, bool] | None:
    """The record of a submission that can be read, without its notebooks; whether the gradebook has it."""
    folder = course.folder("autograded", student, assignment)
    for name in (RECORDED, PENDING):
        with suppress(TypeError, KeyError, AttributeError):  # no record, or not one of ours
            return _result(record.kept(folder / name)), name == RECORDED
    return None


def results(course: Course, assignment: str) -> Iterator[Result]:
    """The records of everybody whose submission is graded, one at a time."""
    for student in course.students(assignment):
        if found := kept(course, student, assignment):
            yield found[0]


def _result(plain: dict[str, Any]) -> Result:
    notebooks = {}
    for name, one in plain["notebooks"].items():
        verdicts = [Verdict(**verdict) for verdict in one["verdicts"]]
        remarks = [Remark(**remark) for remark in one["remarks"]]
        notebooks[name] = Notebook("", "", one["scores"], one["comments"], verdicts, remarks)
    return Result(**{**plain, "notebooks": notebooks, "faults": list(map(Fault.of, plain["faults"]))})

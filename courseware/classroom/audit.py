"""Stored results graded once more, to see whether they come out as they did, or to replace them.

A result's record says what decided it: what was handed in, seed, rules, versions. With these the same work
gives the same scores and, where the answer draws no random numbers from generators that checks do not seed
(numpy's and Python's global ones), the very same evidence. Of other evidence only the scores are compared.
"""

import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from course_utils.settings import CourseError
from courseware.authoring import release
from courseware.classroom import batch, gradebook, pool
from courseware.classroom.course import Course
from courseware.classroom.pool import Crew
from courseware.grading import work
from courseware.grading.work import Result, Rules


@dataclass(frozen=True)
class Verification:
    """What came of one submission; `differences` make a result wrong, `notes` do not."""

    student: str
    said: str  # one of the outcomes below
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    scores: list[tuple[str, str, str]] = field(default_factory=list)  # what for, then, now


REPRODUCED, DIFFERS = "reproduced", "differs"
ANEW, UNGRADED = "handed in anew, not verified", "not graded yet"


def verify(
    course: Course, name: str, crew: Crew, students: list[str], unsafe: bool = False
) -> Iterator[Verification]:
    """Grade an assignment again, with the stored seeds and rules, and compare; nothing is stored."""
    assignment = course.assignment(name)
    stored: dict[str, Result] = {}
    for student in students:
        found = batch.kept(course, student, name)
        if found is None:
            yield Verification(student, UNGRADED)
        elif assignment.submission(student).digest != found[0].digest:
            yield Verification(student, ANEW)
        elif not found[0].audit["terms"]["sandboxed"] and not unsafe:
            why = f"{student}'s {name} was graded without a sandbox"
            raise CourseError(f"{why}: add --unsafe to do so again.")
        else:
            stored[student] = found[0]
    jobs = (assignment.job(who, Rules(**one.audit["terms"]), one.seed) for who, one in stored.items())
    for job, outcome in pool.outcomes(work.grade, jobs, crew):
        yield compare(stored[job.submission.student], outcome or batch.lost(job))


def regrade(
    course: Course, name: str, rules: Rules, crew: Crew, students: Sequence[str], approve: Callable[[], None]
) -> Iterator[Verification]:
    """Grade these students' submissions anew and compare; nothing is kept before `approve` has returned.

    Nobody is kept waiting while a person thinks about that: who has handed in again then stays as they are.
    """
    assignment = course.assignment(name)
    chosen = batch.chosen(course, name, students)
    graded: dict[str, str] = {}  # students whom the machine did not fail, and the digest of what was graded
    with tempfile.TemporaryFile() as file:  # a thousand results are not held in memory
        todo = [(assignment, one) for one in chosen]
        with (
            course.alone(),
            gradebook.opened(course, [name], chosen),
            closing(batch.graded(work.grade, todo, rules, crew)) as results,
        ):
            for result in results:
                if not result.broken:
                    pickle.dump(result, file)
                    graded[result.student] = result.digest
                found = batch.kept(course, result.student, name)
                new = Verification(result.student, UNGRADED, [UNGRADED])
                yield compare(found[0], result) if found else new
        approve()
        file.seek(0)
        with course.alone():
            whole = [one for one, digest in graded.items() if assignment.submission(one).digest == digest]
            with gradebook.opened(course, [name], whole) as book:
                # Its points may be others now, and there may be more of them.
                release.make_room(book, name, course.notebooks("release", name))
                release.enter(name, course.config)
                book.db.expire_all()
                for result in (pickle.load(file) for _ in graded):
                    if result.student in whole:
                        batch.put(course, result)
                        batch.enter(course, book, result)
    if left := sorted(set(chosen).difference(whole)):
        why = "the grader itself failed on them, or they have handed in again meanwhile"
        raise CourseError(f"Not graded anew: {', '.join(left)} ({why}); what they had stays.")


def _changed(before: Result, after: Result) -> list[tuple[str, str, str]]:
    """What has another score: its name, the score then and now."""
    changed = []
    for name in sorted(before.notebooks.keys() & after.notebooks.keys()):
        then, now = (
            {what: "by hand" if score is None else f"{score:g}" for what, score in one.scores.items()}
            for one in (before.notebooks[name], after.notebooks[name])
        )
        for grade_id in sorted(then.keys() | now.keys()):
            pair = then.get(grade_id, "not there"), now.get(grade_id, "not there")
            changed += [(grade_id, *pair)] * (pair[0] != pair[1])
    return changed


def compare(before: Result, after: Result) -> Verification:
    """What differs in scores, verdicts and faults, and what else is to be known of the comparison."""
    scores = _changed(before, after)
    if after.broken:
        return Verification(before.student, DIFFERS, [str(fault) for fault in after.faults], [], scores)
    differences = [f"{what}: {then} then, {now} now" for what, then, now in scores]
    notes: list[str] = []
    for name, one in before.notebooks.items():
        again = after.notebooks.get(name)
        if again is None:
            differences.append(f"{name} is no longer part of the assignment")
            continue
        verdicts = {verdict.answer: verdict for verdict in again.verdicts}
        for verdict in one.verdicts:
            other = verdicts.get(verdict.answer, verdict)
            if other.evidence != verdict.evidence:
                notes.append(f"{verdict.answer}: other evidence, so only its score was compared")
            elif replace(other, points=verdict.points) != verdict:
                differences.append(f"{verdict.answer}: the report says something else of the same evidence")
    then, now = (
        {f"{fault.notebook or 'submission'}: {fault.reason}" for fault in result.faults}
        for result in (before, after)
    )
    differences += [f"{fault} then, not now" for fault in sorted(then - now)]
    differences += [f"{fault} now, not then" for fault in sorted(now - then)]
    notes += _circumstances(before.audit, after.audit)
    return Verification(before.student, DIFFERS if differences else REPRODUCED, differences, notes, scores)


def _circumstances(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is no longer as it was when the result came about."""
    notes = [
        f"{name} {then['versions'].get(name, 'missing')} then, {version} now"
        for name, version in now["versions"].items()
        if then["versions"].get(name) != version
    ]
    changed = {"released": "the assignment was released anew", "limits": "the sandbox has other limits"}
    return notes + [what for key, what in changed.items() if key in then and then[key] != now[key]]

"""What an instructor wants to know of a graded class: scores, misconceptions, and who needs a human's eye.

Everything is read from the records that `batch` left beside the autograded notebooks, one at a time.
"""

import csv
import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.stats import pearsonr

from course_utils import plotting
from course_utils.checks.judges import core
from course_utils.checks.words import ENDLESS
from course_utils.plotting import Picture
from courseware import record
from courseware.classroom import handouts, likeness
from courseware.classroom.course import Course
from courseware.classroom.export import harmless
from courseware.grading import pages
from courseware.grading.kernel import sandbox
from courseware.grading.reasons import Reason
from courseware.grading.submission.repair import asked
from courseware.grading.work import Result

ORDINARY = {Reason.CHANGED_CELLS}  # happens to careful students; all other reasons want a look
FIRST = (Reason.FORGED, Reason.MESSAGES)  # of what is said of a student; then as `Reason` has them
SHOWN = 10  # of the most frequent mistakes
LEAST = 20  # students, below which a correlation says next to nothing
PARTS = {"all points": plotting.COLOURS[0], "some": plotting.COLOURS[4], "none": "#d9d9d9"}  # of a bar
COLUMNS = ("exercise", "answer", "mean", "of", *PARTS)


@dataclass
class ExerciseSummary:
    """How a class did in one exercise: points by student, and who made which mistake."""

    number: str
    answer: str
    of: float
    points: dict[str, float] = field(default_factory=dict)
    mistakes: dict[str, list[str]] = field(default_factory=dict)

    def shares(self) -> tuple[float, float, float]:
        """Of students with all points, some and none: PARTS."""
        full = sum(points >= self.of for points in self.points.values())
        none = sum(points == 0 for points in self.points.values())
        count = len(self.points)
        return full / count, (count - full - none) / count, none / count

    def cells(self) -> tuple[str, ...]:
        mean = sum(self.points.values()) / len(self.points)
        return self.number, self.answer, f"{mean:.2f}", f"{self.of:g}", *(f"{x:.0%}" for x in self.shares())


@dataclass
class Summary:
    exercises: list[ExerciseSummary]
    students: int
    for_a_look: dict[str, list[str]]  # student: why, what matters first
    by_hand: int  # answers that wait for a person
    unsafe: int  # results that were graded outside a sandbox
    outdated: int  # results of an earlier release of the assignment
    stale: Sequence[str] = ()  # students whose page says something else than the gradebook

    @property
    def mistakes(self) -> list[tuple[int, str, str]]:
        """How often, in which exercise, what: the most frequent first."""
        found = [(len(who), one.number, what) for one in self.exercises for what, who in one.mistakes.items()]
        return sorted(found, key=lambda one: (-one[0], *one[1:]))[:SHOWN]

    def discrimination(self, exercise: ExerciseSummary) -> str:
        """The correlation of an exercise's points with all others', and its 95% interval by Fisher's z; ''
        where that cannot be said: fewer than LEAST students, no other exercise, or everybody alike."""
        mine = list(exercise.points.values())
        others = [one for one in self.exercises if one is not exercise]
        rest = [sum(one.points[who] for one in others) for who in exercise.points]
        if len(mine) < LEAST or len(set(mine)) == 1 or len(set(rest)) == 1:
            return ""
        found = pearsonr(mine, rest)
        low, high = found.confidence_interval(0.95)
        return f"{found.statistic:.2f} ({low:.2f} to {high:.2f})"

    def warnings(self, assignment: str) -> list[str]:
        found = []
        if self.unsafe:
            found.append(f"{self.unsafe} results were NOT graded in a sandbox.")
        if self.unsafe < self.students and sandbox.lacking():
            found.append(sandbox.lacking())
        if self.outdated:
            old = f"{self.outdated} results are of an earlier release of the assignment"
            found.append(f"{old}: `course regrade {assignment}` grades anew.")
        if self.stale:
            pages = f"{len(self.stale)} students' pages say something else than the gradebook now"
            who = f"`course feedback {assignment}` renews them. These are {', '.join(self.stale)}."
            found.append(f"{pages}: {who}")
        return found

    def markdown(self, assignment: str) -> str:
        rows = [one.cells() for one in self.exercises]
        mistakes = [_inert(f"- {count} × {number}: {mistake}") for count, number, mistake in self.mistakes]
        looks = [_inert(f"- {who}: {'; '.join(why)}") for who, why in self.for_a_look.items()]
        warnings = [line for warning in self.warnings(assignment) for line in (f"**{warning}**", "")]
        return "\n".join(
            [f"# {assignment}: {self.students} submissions", "", *warnings, record.table(COLUMNS, rows), "",
             "## Most frequent mistakes", "", *(mistakes or ["None."]), "",
             "## Who needs a human's eye", "", f"{self.by_hand} answers are to be graded by hand.", "",
             *looks, ""]
        )  # fmt: skip

    @plotting.styled
    def chart(self, assignment: str) -> Picture:
        """How many students have all points, some and none: a bar per exercise, from top to bottom."""
        names = [f"{one.number} {one.answer}" for one in self.exercises]
        shares = np.array([one.shares() for one in self.exercises])
        bars = [zip(PARTS, row, strict=True) for row in shares]
        texts = [", ".join(f"{part} {share:.0%}" for part, share in bar) for bar in bars]
        said = "; ".join(f"{name}: {text}" for name, text in zip(names, texts, strict=True))
        title = f"{assignment}: {self.students} students"
        picture = Picture(plotting.WIDTH, 1.3 + 0.3 * len(names), title, f"Divided bars. {said}.")
        axes = picture.subplots()
        lefts = shares.cumsum(1) - shares
        for part, colour, left, width in zip(PARTS, PARTS.values(), lefts.T, shares.T, strict=True):
            axes.barh(range(len(names)), width, left=left, label=part, color=colour, height=0.7)
        axes.set(yticks=range(len(names)), yticklabels=names, xlabel="share of students", xlim=(0, 1))
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        picture.legend(loc="outside lower center", ncols=len(PARTS))
        return picture


def _inert(line: str) -> str:
    """Markdown with what students wrote, which shows no HTML of theirs and asks no other machine."""
    return pages.loading_nothing(html.escape(line, quote=False))


def of(
    results: Iterable[Result],
    released: str,
    standing: Mapping[str, tuple[float, int]],
    handed_in: Iterable[str] = (),
    stale: Sequence[str] = (),
) -> Summary:
    """The summary of a class's results; `released` is the release's digest, `standing` the gradebook's."""
    exercises: dict[str, ExerciseSummary] = {}
    looks = {who: ["not graded: call `course grade` again"] for who in handed_in}
    students: list[str] = []
    unsafe = outdated = 0
    for result in results:
        students.append(result.student)
        unsafe += not result.audit["terms"]["sandboxed"]
        outdated += result.audit.get("released", released) != released
        looks[result.student] = _for_a_look(result, standing.get(result.student, (0.0, 0))[0])
        for one in result.verdicts:
            known = exercises.setdefault(one.answer, ExerciseSummary(one.exercise, one.answer, one.of))
            known.points[result.student] = one.points
            kind = re.sub(r"(: \w*Error)\b.*", r"\1", one.note)  # without the text of a student's own error
            told = {hint for hint in one.failed.values() if hint and not hint.startswith(core.COUNTS)}
            for mistake in told or {kind} - {""}:
                known.mistakes.setdefault(mistake, []).append(result.student)
    order = sorted(exercises.values(), key=lambda one: [int(part) for part in one.number.split(".")])
    for exercise in order:  # who left nothing that can be read has no points, and counts
        exercise.points = {who: exercise.points.get(who, 0.0) for who in students}
    for_a_look = {who: why for who, why in looks.items() if why}
    by_hand = sum(waiting for _, waiting in standing.values())
    return Summary(order, len(students), for_a_look, by_hand, unsafe, outdated, stale)


def _for_a_look(result: Result, penalty: float) -> list[str]:
    faults = [fault for fault in result.faults if fault.reason not in ORDINARY]
    order = [*FIRST, *(reason for reason in Reason if reason not in FIRST)]
    why = [str(fault) for fault in sorted(faults, key=lambda fault: order.index(fault.reason))]
    said = [line for one in result.verdicts for line in (one.note, *one.failed.values())]
    if result.waited or any(line.endswith(ENDLESS) for line in said):
        why.append("points were lost to a limit of time")
    why += [f"{name}: {remark}" for name, one in result.notebooks.items() for remark in one.remarks]
    return why + [f"late: {penalty:g} points taken"] * (penalty > 0)


def write(found: Summary, results: Iterable[Result], assignment: str, folder: Path) -> None:
    """Summary, chart, and a table with a row per student and exercise, beside `nbgrader export`'s."""
    folder.mkdir(parents=True, exist_ok=True)
    if found.exercises:
        found.chart(assignment).savefig(folder / "scores.png", dpi=150)
    (folder / "summary.md").write_text(found.markdown(assignment), encoding="utf-8")
    with open(folder / "exercises.csv", "w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out)
        rows.writerow(["student", "assignment", "exercise", "answer", "points", "of", "note"])
        for result in results:
            for one in result.verdicts:
                who = map(harmless, (result.student, result.assignment, one.exercise, one.answer))
                rows.writerow([*who, one.points, one.of, harmless(one.note)])


def lecture(found: Summary, course: Course, assignment: str, folder: Path) -> Path:
    """The page for the next lecture: how each exercise went, the commonest mistakes with a line of code."""
    exercises = {one.number: one for one in found.exercises}
    mistakes = [
        (count, exercises[number], mistake, _line(course, assignment, exercises[number], mistake))
        for count, number, mistake in found.mistakes
    ]
    content = {"assignment": assignment, "found": found, "mistakes": mistakes, "least": LEAST}
    return handouts.write(folder / "lecture.html", "lecture", **content)


def _line(course: Course, assignment: str, exercise: ExerciseSummary, mistake: str) -> str:
    """Of an answer with this mistake, a short one, the line least like a right answer; '' if none."""
    known = course.assignment(assignment)
    for notebook, released in known.released.items():
        given = likeness.codes(released)
        if exercise.answer in map(asked, given):
            who = exercise.mistakes[mistake][:SHOWN]
            wrote = {one: likeness.written(course, one, assignment, notebook, given) for one in who}
            lesson = [*given, *likeness.codes(known.solved.get(notebook, released))]
            answers = likeness.answered(exercise.answer, lesson, wrote).values()
            if own := [one for one in answers if one.own]:
                shortest = min(own, key=lambda one: len(one.own))
                at = Counter(line for lines in shortest.own.values() for line in lines)
                return shortest.lines[max(at, key=at.__getitem__) - 1].strip()
    return ""

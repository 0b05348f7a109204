"""Likeness between students: whose code is alike beyond what an exercise makes inevitable.

For each exercise, and for a notebook's exercises together, students are compared by what is their own: the
fingerprints that neither the lesson has, nor its solution, nor a right answer of the bank, nor much of the
class. Pairs are shown side by side, for a person to judge. No score and no remark comes of it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import nbformat

import bank
from course_utils.checks.judges import EXERCISES
from course_utils.settings import CourseError
from courseware import fingerprints, notebooks
from courseware.classroom import handouts
from courseware.classroom.course import Course
from courseware.grading.submission.own_work import defines
from courseware.grading.submission.repair import asked
from courseware.notebooks import plain

FEW, MUCH = 4, 0.1  # students, and of the class: what more than both have is nobody's own
SHOWN, MOST_LINES = 50, 200  # pairs on the page, those with most in common first; lines of an answer
COLUMNS = ("exercise", "answer", "compared", "too short to tell", "pairs alike")
Two = tuple[str, str]
Side = tuple[str, list[tuple[str, bool]]]  # a student, and lines with whether they are marked


@dataclass
class Answer:
    """What a student wrote for one exercise, and the lines of each fingerprint that is their own."""

    lines: list[str] = field(default_factory=list)
    own: dict[str, set[int]] = field(default_factory=dict)


@dataclass
class ExerciseAnswers:
    number: str
    name: str
    answers: dict[str, Answer]  # by student
    pairs: set[Two] = field(default_factory=set)

    def cells(self) -> tuple[str, ...]:
        short = sum(len(one.own) < fingerprints.ENOUGH for one in self.answers.values())
        return self.number, self.name, str(len(self.answers)), str(short), str(len(self.pairs))

    def owns(self, two: Two) -> tuple[dict[str, set[int]], ...]:
        return tuple(self.answers.get(who, Answer()).own for who in two)

    def shared(self, two: Two) -> set[str]:
        one, other = self.owns(two)
        return one.keys() & other.keys()

    def sides(self, two: Two) -> Iterator[Side]:
        for who, own in zip(two, self.owns(two), strict=True):
            marked = {line for one in self.shared(two) for line in own[one]}
            lines = enumerate(self.answers[who].lines[:MOST_LINES], 1)
            yield who, [(line, at in marked) for at, line in lines]


@dataclass(frozen=True)
class Likeness:
    """A class compared: its exercises, and the pairs with where they are alike, most in common first."""

    exercises: list[ExerciseAnswers]
    students: int
    pairs: dict[Two, list[str]]


def of(course: Course, name: str) -> Likeness:
    """Compare everybody whose submission is graded. Raises CourseError where nobody's is."""
    assignment = course.assignment(name)
    students = [who for who in course.students(name) if course.folder("autograded", who, name).is_dir()]
    if not students:
        raise CourseError(f"Nobody's {name} is graded yet: call `course grade {name}` first.")
    exercises: list[ExerciseAnswers] = []
    pairs = defaultdict[Two, list[str]](list)
    for notebook, released in assignment.released.items():
        given = codes(released)
        lesson = [*given, *codes(assignment.solved.get(notebook, released))]
        wrote = {who: written(course, who, name, notebook, given) for who in students}
        here = [_compared(one, lesson, wrote) for one in map(asked, given) if one in EXERCISES]
        for one in here:
            for two in one.pairs:
                pairs[two].append(f"{one.number} {one.name}")
        together: dict[str, set[str]] = {who: set() for who in students}
        for one in here:
            for who, answer in one.answers.items():
                together[who].update(f"{one.name} {own}" for own in answer.own)
        for two in _alike(together).difference(*(one.pairs for one in here)):
            pairs[two].append(f"{notebook} as a whole")
        exercises += here
    most = sorted(pairs, key=lambda two: (-sum(len(one.shared(two)) for one in exercises), two))
    return Likeness(exercises, len(students), {two: pairs[two] for two in most})


def codes(notebook: str) -> list[str]:
    """The sources of the code cells of a notebook in JSON."""
    return [cell.source for cell in nbformat.reads(notebook, as_version=4).cells if cell.cell_type == "code"]


def written(course: Course, student: str, assignment: str, notebook: str, given: Iterable[str]) -> list[str]:
    """The code cells of a graded notebook that the student wrote or changed."""
    nb = notebooks.kept(course.folder("autograded", student, assignment) / f"{notebook}.ipynb")
    known = set(map(plain, given))
    sources = [cell.source for cell in nb.cells if cell.cell_type == "code"] if nb else []
    return [source for source in sources if plain(source) not in known]


def answered(name: str, lesson: Iterable[str], wrote: Mapping[str, Iterable[str]]) -> dict[str, Answer]:
    """By student the answers to an exercise, with what is in neither lesson nor bank."""
    right = [one.code for one in bank.RIGHT if one.exercise == name]
    known = set().union(*map(fingerprints.prints, [*lesson, *right]))
    found = defaultdict[str, Answer](Answer)
    for student, cells in wrote.items():
        for source in (source for source in cells if defines(source, name)):
            before = len(found[student].lines)
            for one, lines in fingerprints.prints(source).items():
                if one not in known:
                    found[student].own.setdefault(one, set()).update(before + line for line in lines)
            found[student].lines += source.split("\n")
    return dict(found)


def _compared(name: str, lesson: Iterable[str], wrote: Mapping[str, Iterable[str]]) -> ExerciseAnswers:
    answers = answered(name, lesson, wrote)
    held = Counter(one for answer in answers.values() for one in answer.own)
    for answer in answers.values():
        rare = {one: lines for one, lines in answer.own.items() if held[one] <= max(FEW, MUCH * len(wrote))}
        answer.own = rare
    pairs = _alike({who: set(answer.own) for who, answer in answers.items()})
    return ExerciseAnswers(EXERCISES[name].number, name, answers, pairs)


def _alike(owns: Mapping[str, set[str]]) -> set[Two]:
    """The pairs that are alike, sought among those who share anything at all."""
    holders = defaultdict[str, list[str]](list)
    for who in sorted(owns):
        for one in owns[who]:
            holders[one].append(who)
    meeting = {two for names in holders.values() for two in combinations(names, 2)}
    return {(one, other) for one, other in meeting if fingerprints.alike(owns[one], owns[other])}


def write(found: Likeness, assignment: str, folder: Path) -> Path:
    """The page for a person to judge."""
    shown = list(found.pairs.items())[:SHOWN]
    content = {"assignment": assignment, "found": found, "shown": shown}
    return handouts.write(folder / "likeness.html", "likeness", **content)

"""Submissions graded a minute, beside plain `nbgrader autograde`: measured, kept, quoted by the documents.

    python tests/speed.py --store

The same submissions of one section, the same two programs' sandbox, on the same cores and in turns: each is
the solved notebook with one answer, another for each student, put back to what was released. What counts is
the time from the command to its end, so the time in which workers start counts as well; scores must agree.

A third way grades nobody, and says how much could be saved at all: the same cells, and what checks compute
in kernels, in processes that have imported everything, without kernel, sandbox, judges and pages. And one
process alone grades the class once more, with a watch at each of its STAGES.
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.utils import is_solution
from programs import ROOT

from course_utils.checks.judges import EXERCISES
from course_utils.settings import CourseError
from courseware import notebooks, record
from courseware.classroom import batch, gradebook
from courseware.grading import judging, pages, preprocessors, work
from courseware.grading.kernel import sandbox, zygote
from courseware.grading.submission import collect, demonstrations
from courseware.measuring import loops

ASSIGNMENT, NOTEBOOK = "03-vae", "vae.ipynb"
STUDENTS, ROUNDS = 30, 3  # a class

PLAIN, OURS, CODE = "nbgrader autograde", "course grade", "the code alone"
STAGES: dict[str, tuple[Any, str]] = {
    "kernels, from start to end": (preprocessors.Probe, "preprocess"),
    "judges": (judging.Judge, "preprocess"),
    "the pages": (pages, "page"),
    "reading and repairing": (collect.Submission, "read"),
    "finding the cells to run": (demonstrations, "needed"),
    "files": (batch, "put"),
    "the gradebook": (batch, "enter"),
}


@dataclass(frozen=True)
class Speed:
    """Seconds for STUDENTS submissions, by command, one for each round; submissions a minute follow."""

    seconds: dict[str, list[float]]
    stages: dict[str, float]  # seconds for all, by stage, one submission after the other
    students: int
    machine: str
    date: str

    def per_minute(self, command: str) -> float:
        """The median over rounds."""
        return 60 * self.students / statistics.median(self.seconds[command])

    @property
    def ratios(self) -> list[float]:
        """How many times as many `course grade` does, round by round."""
        return [plain / ours for plain, ours in zip(self.seconds[PLAIN], self.seconds[OURS], strict=True)]

    def short(self) -> str:
        """What README says of it."""
        plain, ours = (f"{self.per_minute(command):.1f}" for command in (PLAIN, OURS))
        return (
            f"`course grade` does {ours} submissions a minute, plain `nbgrader autograde` {plain}: section 3."
        )

    def sentence(self) -> str:
        """What documents and terminal say."""
        plain, ours = (f"{self.per_minute(command):.1f}" for command in (PLAIN, OURS))
        ratios = sorted(self.ratios)
        return (
            f"{self.students} submissions of section 3, same scores: `course grade` does {ours} a minute, "
            f"plain `nbgrader autograde` {plain}; {statistics.median(ratios):.1f} times as many "
            f"({ratios[0]:.1f} to {ratios[-1]:.1f}), the start of the workers included (medians of "
            f"{len(ratios)} rounds, {self.machine}, {self.date}). "
            f"Without kernel, sandbox, judges, pages and gradebook, the students' cells and what the checks "
            f"compute beside them would be done {self.per_minute(CODE):.0f} times a minute. {self.profile()}"
        )

    def profile(self) -> str:
        """What one submission takes, and which part of it each stage."""
        whole = sum(self.stages.values())
        shares = (f"{stage} {seconds / whole:.0%}" for stage, seconds in self.stages.items())
        return f"Alone, one takes {whole / self.students:.2f} s: {', '.join(shares)}."


def measure() -> Speed:
    """Grade the same class with both commands, in turns. Raises CourseError where their scores differ."""
    seconds: dict[str, list[float]] = {PLAIN: [], OURS: []}
    code: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for round_ in range(1, ROUNDS + 1):
            scores = []
            for command, taken in seconds.items():
                course = Path(folder) / command.replace(" ", "-")
                _make(course)
                started = time.perf_counter()
                _call(course, command)
                taken.append(time.perf_counter() - started)
                scores.append(_scores(course))
                shutil.rmtree(course)
                print(f"round {round_}, {command}: {taken[-1]:.0f} s", flush=True)
            if unlike := sorted(scores[0].items() ^ scores[1].items(), key=str):
                raise CourseError(f"The two commands give different scores; see who is right: {unlike}.")
            code.append(_code_alone())
            print(f"round {round_}, {CODE}: {code[-1]:.0f} s")
        course = Path(folder) / "stages"
        _make(course)
        stages = _stages(batch.Course(course))
    return Speed(seconds | {CODE: code}, stages, STUDENTS, loops.machine(), date.today().isoformat())


def _stages(course: batch.Course) -> dict[str, float]:
    """Seconds of each stage, all submissions graded in this process, one after the other."""
    seconds = dict.fromkeys([*STAGES, "the rest"], 0.0)
    assignment, rules = course.assignment(ASSIGNMENT), work.Rules()
    work.ready()
    with ExitStack() as stack:
        for stage, (owner, name) in STAGES.items():
            watched = _watched(getattr(owner, name), seconds, stage)
            stack.enter_context(mock.patch.object(owner, name, watched))
        book = stack.enter_context(gradebook.opened(course, [ASSIGNMENT]))
        started = time.perf_counter()
        for student in course.students(ASSIGNMENT):
            result = work.grade(assignment.job(student, rules))
            batch.put(course, result)
            batch.enter(course, book, result)
        seconds["the rest"] = time.perf_counter() - started - sum(seconds.values())
    return seconds


def _watched(function: Callable[..., Any], seconds: dict[str, float], stage: str) -> Callable[..., Any]:
    """The function, which adds to the stage's seconds what it takes."""

    def watched(*args: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*args, **named)
        finally:
            seconds[stage] += time.perf_counter() - started

    return watched


def _make(course: Path) -> None:
    """A course folder in which the section is released and handed in."""
    course.mkdir()
    shutil.copy(ROOT / "nbgrader_config.py", course)
    shutil.copytree(ROOT / "solutions" / ASSIGNMENT, course / "solutions" / ASSIGNMENT)
    _call(course, "nbgrader generate_assignment")
    released = notebooks.read(course / "notebooks" / ASSIGNMENT / NOTEBOOK)
    for student, submission in enumerate(_submissions(released)):
        notebooks.write(submission, course / "submitted" / f"student{student:02}" / ASSIGNMENT / NOTEBOOK)


def _submissions(released: NotebookNode) -> Iterator[NotebookNode]:
    """What each student hands in: all is solved but one answer."""
    stubs = [cell for cell in released.cells if is_solution(cell)]
    for student in range(STUDENTS):
        submission = notebooks.read(ROOT / "solutions" / ASSIGNMENT / NOTEBOOK)
        left_out = stubs[student % len(stubs)]
        (answer,) = (cell for cell in submission.cells if cell.id == left_out.id)
        answer.source = left_out.source
        yield submission


def _code_alone() -> float:
    """Seconds for all submissions, as many at a time as there are processors."""
    os.environ.update(preprocessors.ENVIRONMENT)
    zygote.import_all()
    torch.set_num_threads(1)  # as in the kernels of a batch
    released = notebooks.read(ROOT / "notebooks" / ASSIGNMENT / NOTEBOOK)
    work = [_to_run(submission, released) for submission in _submissions(released)]
    with multiprocessing.get_context("fork").Pool() as pool:
        started = time.perf_counter()
        pool.map(_run, work, chunksize=1)
        return time.perf_counter() - started


def _to_run(submission: NotebookNode, released: NotebookNode) -> list[str]:
    """The cells that are run for a grade; in place of a check's, what it is in a student's kernel."""
    needed = demonstrations.needed(submission, released)
    sources = []
    for place, cell in enumerate(submission.cells):
        name = preprocessors.asked_of(cell)
        if name in EXERCISES:
            watched = EXERCISES[name].reference
            sources.append(preprocessors.ASK.format(name=name, seed=31, watched=watched))
        elif cell.cell_type == "code" and place in needed:
            sources.append(cell.source)
    return sources


def _run(sources: list[str]) -> None:
    """In a process of its own, as a kernel is."""
    if child := os.fork():
        os.waitpid(child, 0)
        return
    os.chdir(tempfile.gettempdir())  # where no training is kept
    names: dict[str, object] = {"__name__": "__main__"}
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        for source in sources:
            with suppress(Exception):  # of an answer that is not there
                exec(source, names)
    os._exit(0)


def _call(course: Path, command: str) -> None:
    program, what = command.split()
    words = [str(Path(sys.executable).parent / program), what, ASSIGNMENT]
    done = subprocess.run(words, cwd=course, capture_output=True, text=True)
    if done.returncode:
        raise CourseError(f"{command} failed: {done.stderr.strip().splitlines()[-1]}")


def _scores(course: Path) -> dict[tuple[str, str], float | None]:
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "vae-course") as book:
        return {
            (submission.student.id, grade.name): grade.auto_score
            for submission in book.assignment_submissions(ASSIGNMENT)
            for notebook in submission.notebooks
            for grade in notebook.grades
        }


FIGURES = record.Measurement[Speed | None](
    "grading-speed",
    lambda kept: Speed(**kept) if kept else None,
    lambda found: {"grading speed": found.sentence(), "grading in short": found.short()} if found else {},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", action="store_true", help="Keep the figures in docs/.")
    wanted = parser.parse_args()
    sandbox.require()
    found = measure()
    print(found.sentence())
    if wanted.store:
        FIGURES.store(ROOT, found)


if __name__ == "__main__":
    main()

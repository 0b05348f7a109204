"""A small course, and a way to grade it that takes no time: what the tests of the coordinator grade with.

Its processes are forked from a server that has imported this module (`forked`), so that a coordinator
is there in a few milliseconds and can be killed and started again many times.
"""

import csv
import json
import os
import random
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import nbformat
from cells import marked
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader import utils
from nbgrader.api import Gradebook, MissingEntry
from programs import call, configure
from sqlalchemy import event
from sqlalchemy.engine import Engine

from courseware.authoring import release
from courseware.classroom import batch, pool
from courseware.grading import pages
from courseware.grading.judging import Verdict
from courseware.grading.work import Job, Notebook, Result, Rules

ASSIGNMENT, NAMES = "small", ("first", "second")
AUTOMATIC, BY_HAND, TASK = "sum-check", "essay", "poster"  # grade_ids
RULES = Rules()
LOSES_ITS_WORKER = "print('kill')"


def at_once(work: Any, job: Any, _: float) -> Future:
    """Does the work in this process."""
    future: Future = Future()
    future.set_result(work(job))
    return future


SERIAL = pool.Crew(at_once, 1)


# --- the course -------------------------------------------------------------------------------------------


def make_course(root: Path, settings: str = "") -> Path:
    """A folder with an assignment of two notebooks, released and in the gradebook."""
    source = root / "solutions" / ASSIGNMENT
    source.mkdir(parents=True)
    configure(root, settings)
    for name in NAMES:
        cells = [
            marked(new_code_cell("total = 1 + 1"), "sum", solution=True),
            marked(new_code_cell("assert total == 2"), AUTOMATIC, grade=True, locked=True, points=3),
            marked(new_markdown_cell("Because."), BY_HAND, grade=True, solution=True, points=2),
            marked(new_markdown_cell("Draw a poster."), TASK, task=True, locked=True, points=1),
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), source / f"{name}.ipynb")
    release.generate(ASSIGNMENT, release.settings(root))
    (root / "autograded").mkdir()
    (root / "autograded" / ".secret").write_bytes(b"the same for every test")
    return root


def set_rubric(root: Path, *items: str) -> None:
    """Give the first notebook's written question, in solutions/ alone, a rubric of these items."""
    file = root / "solutions" / ASSIGNMENT / f"{NAMES[0]}.ipynb"
    notebook = nbformat.read(file, as_version=4)
    (essay,) = (cell for cell in notebook.cells if cell.id == BY_HAND)
    essay.source = "\n".join(["**Model answer.** Because.", "", "**Rubric.**", *items])
    nbformat.write(notebook, file)


def take_points_of_the_late(root: Path) -> None:
    """All of them."""
    configure(root, 'c.LateSubmissionPlugin.penalty_method = "zero"')


def set_due(root: Path) -> None:
    with book(root) as gradebook:
        gradebook.update_or_create_assignment(ASSIGNMENT, duedate="2030-01-02 10:00:00 UTC")


def hand_in(root: Path, student: str, answer: str = "", timestamp: str = "") -> Path:
    """Submit the released notebooks with this answer in the first; the submission's folder."""
    folder = root / "submitted" / student / ASSIGNMENT
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(root / "notebooks" / ASSIGNMENT, folder)
    notebook = nbformat.read(folder / "first.ipynb", as_version=4)
    notebook.cells[0].source = answer or f"total = {student!r}"
    nbformat.write(notebook, folder / "first.ipynb")
    if timestamp:
        (folder / "timestamp.txt").write_text(timestamp, encoding="utf-8")
    return folder


def hand_in_class(root: Path, students: int) -> list[str]:
    """Submissions of so many students, every third with a time; their names."""
    names = [f"student {number:02}" for number in range(students)]
    for number, name in enumerate(names):
        hand_in(root, name, timestamp="2030-01-02 10:00:00 UTC" if number % 3 == 0 else "")
    return names


# --- grading ----------------------------------------------------------------------------------------------


def grade(job: Job) -> Result:
    """A result that follows from the submission alone, at once; one answer ends the process instead."""
    submission = job.submission
    if any(LOSES_ITS_WORKER.encode() in content for content in submission.notebooks.values()):
        os.kill(os.getpid(), signal.SIGKILL)
    notebooks = {}
    for name, text in job.released.items():
        nb = nbformat.reads(text, as_version=4)
        drawn = random.Random(f"{submission.digest} {name} {job.seed}")
        handed_in = name in submission.notebooks
        cells = {cell.metadata.nbgrader.grade_id: cell for cell in nb.cells}
        scores = {
            grade_id: None if cell.cell_type == "markdown" else float(drawn.randint(0, 3) * handed_in)
            for grade_id, cell in cells.items()
            if utils.is_grade(cell)
        }
        answers = [grade_id for grade_id, cell in cells.items() if utils.is_solution(cell)]
        comments = {grade_id: drawn.choice([None, "No response."]) for grade_id in answers}
        verdict = Verdict("1.1", "sum", scores[AUTOMATIC] or 0.0, 3.0, "", {"it is 2": "count again"})
        marks = [cell.metadata.nbgrader for cell in nb.cells]
        shown = {one.grade_id: (scores.get(one.grade_id), one.points) for one in marks if "points" in one}
        said = {grade_id: comment for grade_id, comment in comments.items() if comment}
        page = f"<p>{submission.student} {name} {drawn.random()}</p>{pages.stamp(shown, said)}"
        notebooks[name] = Notebook(text, page, scores, comments, [verdict], [])
    return Result.of(job, list(submission.faults), notebooks, {"terms": vars(job.rules), "versions": {}})


def slowly(job: Job) -> Result:
    time.sleep(0.02)
    return grade(job)


def steps(root: Path, crew=SERIAL, grader=grade, rules: Rules = RULES, students=()) -> Iterator[Result]:
    """Grade what is not graded yet; each result as it is entered."""
    return batch.grade(batch.Course(root), [ASSIGNMENT], rules, crew, students, grader=grader)


def run(root: Path, *how: Any, **more: Any) -> int:
    """The same to the end; how many results there were."""
    return len(list(steps(root, *how, **more)))


def graded_now(root: Path, **how: Any) -> list[str]:
    """Grade what is not graded yet; who that was."""
    seen: list[str] = []

    def noting(job: Job) -> Result:
        seen.append(job.submission.student)
        return grade(job)

    run(root, grader=noting, **how)
    return seen


STEPS = {"os.rename", "os.mkdir", "shutil.rmtree"}


def dies_at(root: Path, step: int) -> None:
    """Grade, and end at once before the given step: a change of a folder, a file opened, a commit.

    Files in a folder that is not in place yet count as one with it.
    """
    left = step

    def one_more(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(9)

    def audited(what: str, arguments: tuple) -> None:
        opened = what == "open" and arguments[1] == "w" and Path(str(arguments[0])).parent.name != "new"
        nothing = what == "shutil.rmtree" and not Path(arguments[0]).exists()
        if opened or (what in STEPS and not nothing):
            one_more()

    secrets.token_hex = no_secret  # type: ignore[assignment]
    grading = steps(root)
    sys.addaudithook(audited)
    event.listen(Engine, "commit", one_more)
    list(grading)


def no_secret(length: int) -> str:
    return "5" * 2 * length


# --- what has come of it ----------------------------------------------------------------------------------


def book(root: Path) -> Gradebook:
    return Gradebook(batch.Course(root).directory.db_url, "vae-course")


def give(
    root: Path,
    student: str,
    score: float,
    grade_id: str = BY_HAND,
    comment: str = "",
    notebook: str = "first",
    assignment: str = ASSIGNMENT,
) -> None:
    """A person's points and comment, as formgrader writes them."""
    with book(root) as gradebook:
        grade = gradebook.find_grade(grade_id, notebook, assignment, student)
        grade.manual_score, grade.needs_manual_grade = score, False
        if comment:
            gradebook.find_comment(grade_id, notebook, assignment, student).manual_comment = comment
        gradebook.db.commit()


def entries(root: Path, assignment: str = ASSIGNMENT) -> dict[str, Any]:
    """All that the gradebook says of the assignment, by student."""
    found: dict[str, Any] = {}
    with book(root) as gradebook:
        for student in gradebook.students:
            try:
                submission = gradebook.find_submission(assignment, student.id)
            except MissingEntry:
                continue
            entry = {"timestamp": submission.timestamp, "score": submission.score}
            entry["penalty"] = submission.late_submission_penalty
            for notebook in submission.notebooks:
                for one in notebook.grades:
                    points = one.auto_score, one.manual_score, one.needs_manual_grade
                    entry[f"{notebook.name} {one.name}"] = points
                for one in notebook.comments:
                    entry[f"{notebook.name} {one.name} comment"] = one.auto_comment, one.manual_comment
            found[student.id] = entry
    return found


def scores(root: Path, assignment: str = ASSIGNMENT) -> dict[str, float]:
    """Everybody's score in the gradebook."""
    return {student: entry["score"] for student, entry in entries(root, assignment).items()}


def files(root: Path) -> dict[str, bytes]:
    """Every file below autograded/ and feedback/, hidden ones as well."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for kind in ("autograded", "feedback")
        for path in sorted((root / kind).rglob("*"))
        if path.is_file()
    }


def state(root: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """All that a batch has left."""
    return entries(root), files(root)


def records(root: Path) -> dict[str, dict[str, Any]]:
    """The records of everybody, by student."""
    found = sorted((root / "autograded").glob(f"*/{ASSIGNMENT}/result.json"))
    return {path.parent.parent.name: json.loads(path.read_text("utf-8")) for path in found}


def exported(root: Path) -> Iterator[dict[str, str]]:
    """The rows that `nbgrader export` writes."""
    call(root, "nbgrader", "export", "--to", "grades.csv")
    with open(root / "grades.csv", newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)

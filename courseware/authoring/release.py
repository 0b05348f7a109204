"""Student notebooks from solutions, made by nbgrader itself: its generate_assignment, for every section."""

import copy
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbgrader.api import Assignment, Comment, Grade, Gradebook, SubmittedAssignment, SubmittedNotebook
from nbgrader.apps import NbGraderAPI
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_locked, is_solution, is_task
from sqlalchemy import case, func, or_
from traitlets import Dict, Unicode
from traitlets.config import Config, PyFileConfigLoader

from course_utils.checks import judges
from course_utils.files import writable, write
from course_utils.settings import CourseError
from courseware import notebooks, sections
from courseware.authoring import exercises
from courseware.grading.submission import demonstrations
from courseware.grading.submission.repair import asked

FOLDERS = "[0-9][0-9]-*"  # what a section's folder is called
MENTIONED = re.compile(r"\b[Ss]ections?\s+(\d+(?:(?:,|,? and| to| or)\s+\d+)*)|\.\./(\d\d)-")


def build(root: Path) -> list[str]:
    """Generate the student edition of every section: into notebooks/, and into the gradebook of `root`.

    The new edition is made beside the former one and takes its place when it is whole; README.md and docs/
    then quote its numbers. Nothing changes where anything is wrong with solutions/. Where a section has other
    points or more exercises than its graded submissions, the gradebook stays as it is until everybody is
    graded anew; the sentences that say so are returned.
    """
    import bank  # with PyTorch, which nbgrader's other commands can do without

    if found := [*_faults(root), *bank.lacks()]:
        raise CourseError("solutions/ cannot be released: " + "; ".join(found) + ".")
    released, config = root / "notebooks", settings(root)
    with writable(released / sections.SECTIONS[0].folder):
        beside = tempfile.TemporaryDirectory(prefix=".release-", dir=released)
    with beside as folder:
        fresh, former = Path(folder) / "fresh", Path(folder) / "former"
        made = _made(config, target=fresh)  # what fails fails here ...
        course = CourseDirectory(config=config)
        with closing(Gradebook(course.db_url, course.course_id)) as book:
            revalued = {name: revaluation(book, name, one) for name, one in made.items()}
            for name in [name for name in made if not revalued[name]]:
                make_room(book, name, made[name])
                enter(name, config)  # ... and so not halfway through the gradebook
        former.mkdir()
        for old in released.glob(FOLDERS):  # a section that is gone as well
            os.replace(old, former / old.name)
        for new in fresh.glob(FOLDERS):
            os.replace(new, released / new.name)
    for path, text in outdated(root).items():
        write(path, text)
    return [sentence for sentence in revalued.values() if sentence]


def _faults(root: Path) -> Iterator[str]:
    """One sentence for each thing in solutions/ that keeps it from being released."""
    source, contents = root / "solutions", "the table of contents, courseware/sections.py"
    wanted = [lesson.path for lesson in sections.lessons()]
    there = {path.relative_to(source) for path in source.glob(f"{FOLDERS}/*.ipynb")}
    yield from (f"{path} has no place in {contents}" for path in sorted(there.difference(wanted)))
    for path in wanted:
        if path in there:
            yield from (f"{path}: {sentence}" for sentence in _lacks(notebooks.read(source / path)))
        else:
            yield f"{path} is in {contents}, and not in solutions/"


def _lacks(notebook: NotebookNode) -> Iterator[str]:
    """One sentence for each thing that a lesson lacks."""
    yield from (*exercises.lacks(notebook), *demonstrations.doubts(notebook))
    if not any(cell.cell_type == "code" for cell in notebook.cells):
        yield "it lacks a code cell: let it begin with the one that every lesson begins with"
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    mentioned = {int(number) for said in MENTIONED.findall(text) for number in re.findall(r"\d+", str(said))}
    absent = sorted(mentioned - {section.number for section in sections.SECTIONS})
    yield from (f"it refers to section {number}, which the course lacks" for number in absent)


def settings(root: Path) -> Config:
    """What nbgrader_config.py says of the course at `root`."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    return Config(config)


def _made(
    config: Config, names: Sequence[str] = (), target: Path | None = None, *, entered: bool = False
) -> dict[str, dict[str, NotebookNode]]:
    """The notebooks of these assignments, or of all, released into another folder, and if wanted entered."""
    names = names or [section.folder for section in sections.SECTIONS]
    aside = copy.deepcopy(config)
    with tempfile.TemporaryDirectory() as folder:
        place = target or Path(folder)
        aside.CourseDirectory.release_directory = str(place)
        aside.GenerateAssignment.exporter_class = NotebookExporter  # not Rehearsed, which calls this
        if not entered:
            aside.CourseDirectory.db_url = f"sqlite:///{folder}/gradebook.db"
        for name in names:
            generate(name, aside)
        files = {name: sorted((place / name).glob("*.ipynb")) for name in names}
        return {name: {file.stem: notebooks.read(file) for file in found} for name, found in files.items()}


def enter(assignment: str, config: Config) -> None:
    """Enter an assignment into the gradebook as it is in solutions/; notebooks/ stays as it is."""
    _made(config, [assignment], entered=True)


def make_room(book: Gradebook, assignment: str, released: Mapping[str, NotebookNode]) -> None:
    """Room for the cells of a release that the gradebook has not, also in what has been handed in.

    nbgrader's own step, which then fills in the rest, adds none once there are submissions.
    """
    if not book.assignment_submissions(assignment):
        return
    for name, notebook in released.items():
        entry = book.update_or_create_notebook(name, assignment)
        for submission in book.assignment_submissions(assignment):
            if name not in {one.name for one in submission.notebooks}:
                book.db.add(SubmittedNotebook(notebook=entry, assignment=submission))
        book.db.commit()
        known = {cell.name for cell in entry.source_cells}
        for cell in filter(_entered, notebook.cells):
            mark, kind = cell.metadata.nbgrader, cell.cell_type
            if mark.grade_id in known:
                continue
            where = (mark.grade_id, name, assignment)
            book.add_source_cell(*where, cell_type=kind)
            rows: list[tuple[Any, Any]] = []
            if is_grade(cell):
                rows.append((Grade, book.add_grade_cell(*where, max_score=mark.points, cell_type=kind)))
            if is_solution(cell):
                rows.append((Comment, book.add_solution_cell(*where)))
            if is_task(cell):
                task = book.add_task_cell(*where, max_score=mark.points, cell_type=kind)
                rows += (Grade, task), (Comment, task)
            book.db.add_all(row(cell=its, notebook=one) for row, its in rows for one in entry.submissions)
        book.db.commit()


def _entered(cell: NotebookNode) -> bool:
    """Whether nbgrader's gradebook holds the cell."""
    return is_grade(cell) or is_solution(cell) or is_locked(cell) or is_task(cell)


def generate(assignment: str, config: Config) -> None:
    """Run nbgrader's generate_assignment; CourseError with the reason from its log if it fails."""
    result = NbGraderAPI(CourseDirectory(config=config), config=config).generate_assignment(assignment)
    if not result["success"]:
        # The exception that matters is the first one in the log; others point back to it.
        raised = re.search(r"^ {4}(?:[\w.]+\.)?(\w+: .+)$", result.get("log", ""), re.MULTILINE)
        reason = raised[1].removeprefix("CourseError: ").rstrip(".") if raised else "it gave no reason"
        raise CourseError(f"nbgrader could not release {assignment} ({reason}); mend it in solutions/.")


def revaluation(book: Gradebook, assignment: str, released: Mapping[str, NotebookNode]) -> str:
    """A sentence where a release has other points or more exercises than its graded submissions, else ''.

    Raises CourseError where it lacks cells that they have: nbgrader's gradebook cannot take that.
    """
    if not (entered := len(book.assignment_submissions(assignment))):
        return ""
    before = {
        f"{one.name}, {cell.name}": getattr(cell, "max_score", 0.0)  # which source cells have none of
        for one in book.find_assignment(assignment).notebooks
        for cell in (*one.source_cells, *one.grade_cells, *one.task_cells)
    }
    now = {
        f"{name}, {cell.metadata.nbgrader.grade_id}": float(cell.metadata.nbgrader.get("points", 0))
        for name, notebook in released.items()
        for cell in filter(_entered, notebook.cells)
    }
    if gone := sorted(before.keys() - now):
        raise CourseError(
            f"{assignment} lacks exercises that its {entered} submissions in the gradebook have "
            f"({'; '.join(gone)}), which nbgrader cannot take: put them back in solutions/ and call "
            "`course build`, or begin a new gradebook (the old one has the points given by hand)."
        )
    points = [
        f"{one}: {now[one]:g}, {f'before {before[one]:g}' if one in before else 'new'}"
        for one in now
        if now[one] != before.get(one, 0)
    ]
    count = len(graded(book, assignment)) if points else 0
    said = f"{assignment} is worth other points than its {count} submissions were graded by"
    mend = f"`course build`, then `course regrade {assignment}` grades everybody by the new ones."
    return f"{said} ({'; '.join(points)}): {mend}" if count else ""


def graded(book: Gradebook, assignment: str) -> dict[str, int]:
    """Whose work is graded, and how many of their answers wait for a person: more time alone is no work."""
    waits, given = Grade.needs_manual_grade, (Grade.auto_score, Grade.manual_score)
    found = (
        book.db.query(SubmittedAssignment.student_id, func.sum(case((waits, 1), else_=0)))
        .join(SubmittedAssignment.assignment)
        .join(SubmittedAssignment.notebooks)
        .join(SubmittedNotebook.grades)
        .filter(Assignment.name == assignment, or_(waits, *(points.isnot(None) for points in given)))
        .group_by(SubmittedAssignment.student_id)
    )
    return {student: int(count) for student, count in found}


def outdated(root: Path) -> dict[Path, str]:
    """The texts that quote other numbers of exercises or points than the lessons have, put right."""
    guessed = {name for name, exercise in judges.EXERCISES.items() if exercise.questions}
    cells = [
        (cell.metadata.nbgrader.points, one.section.further, is_solution(cell), asked(cell.source) in guessed)
        for one in sections.lessons()
        for cell in filter(is_grade, notebooks.read(root / "solutions" / one.path).cells)
    ]
    points, further, by_hand, predicted = np.reshape(cells, (-1, 4)).T
    core = points * (1 - further)
    numbers = {
        "NUMBER exercises checked by program": sum(1 - by_hand),
        "all NUMBER graded cells with full points": sum(1 - by_hand),
        "NUMBER questions graded by hand": sum(by_hand),
        "course is worth NUMBER points": sum(core),
        "NUMBER of them checked by program": sum(core * (1 - by_hand)),
        "NUMBER of these for making a prediction": sum(core * predicted),
        "further notebooks are worth NUMBER": sum(points * further),
    }
    found = {}
    for path in (*root.glob("README.md"), *root.glob("docs/*.md")):
        text = before = path.read_text("utf-8")
        for phrase, number in numbers.items():
            left, right = phrase.replace(" ", r"\s").split("NUMBER")  # a line may end anywhere
            text = re.sub(rf"(?<={left})\b\d+(?={right})", f"{number:g}", text)
        if text != before:
            found[path] = text
    return found


def drift(root: Path) -> list[str]:
    """The student notebooks that are not, in cells and metadata, what nbgrader makes of solutions/ now."""
    released, made = root / "notebooks", _made(settings(root))
    fresh = {Path(name, f"{stem}.ipynb"): nb for name, found in made.items() for stem, nb in found.items()}
    paths = fresh.keys() | {path.relative_to(released) for path in released.glob(f"{FOLDERS}/*.ipynb")}
    return [str(path) for path in sorted(paths) if notebooks.kept(released / path) != fresh.get(path)]


def require_current(root: Path) -> None:
    """Raises CourseError where notebooks/ has drifted."""
    if found := drift(root):
        raise CourseError(f"notebooks/ is not what solutions/ gives: {', '.join(found)}; run `course build`.")


class AddsUp(NbGraderPreprocessor):
    """Refuse a notebook in which an exercise's statement, graded cell and check name different points."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        if found := exercises.disagreements(nb):
            raise CourseError("; ".join(found) + ".")
        return nb, resources


class Rehearsed(NotebookExporter):
    """What nbgrader writes a release with: it first sees that all of it can be made and entered.

    `nbgrader generate_assignment --force`, which is formgrader's way, deletes the former release before it
    fails. Without --force nbgrader passes over what is released, as in a fresh clone: it is entered here.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        converter: Any = self.parent  # GenerateAssignment
        course, config = converter.coursedir, copy.deepcopy(converter.config)
        config.CourseDirectory.update(root=course.root, db_url=course.db_url)
        name = course.assignment_id
        try:
            with closing(Gradebook(course.db_url, course.course_id)) as book:
                if converter.force:
                    made = _made(config, [name])[name]
                    if sentence := revaluation(book, name, made):
                        raise CourseError(sentence)
                    make_room(book, name, made)
                known = name in {one.name for one in book.assignments}
            if not known:
                enter(name, config)
        except CourseError as problem:
            self.log.error(str(problem))
            raise NbGraderException(str(problem)) from None


class Door(NbGraderPreprocessor):
    """Write into a notebook's first code cell from where it installs the course if that is missing."""

    address = Unicode("", help="What pip installs the course from, in students' notebooks.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        named = f"COURSE = {json.dumps(self.address)}"
        for first in [cell for cell in nb.cells if cell.cell_type == "code"][:1]:
            first.source = re.sub(r'^COURSE = ""', lambda _: named, first.source, flags=re.MULTILINE)
        return nb, resources


class Due(NbGraderPreprocessor):
    """Write under a notebook's title until when it may be handed in."""

    dates = Dict(help="Until when, by assignment: 2030-01-31, or 2030-01-31T18:00+01:00.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        if until := self.dates.get(resources["nbgrader"]["assignment"]):
            title, _, rest = nb.cells[0].source.partition("\n")
            nb.cells[0].source = f"{title}\n\n{notebooks.DUE.replace('UNTIL', str(until))}\n{rest}"
        return nb, resources

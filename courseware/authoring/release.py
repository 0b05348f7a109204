"""Student notebooks from solutions, made by nbgrader itself.

`build` runs nbgrader's generate_assignment for every section: solutions/ -> notebooks/. Nothing in
notebooks/ is ever edited; `drift` tells where it is not what nbgrader would make today.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_grade, is_solution
from traitlets import Unicode
from traitlets.config import Config, PyFileConfigLoader

import bank
from course_utils.checks import EXERCISES
from course_utils.files import whole, writable
from course_utils.settings import CourseError
from courseware import notebooks, sections
from courseware.authoring import exercises
from courseware.grading.submission import demonstrations

FOLDERS = "[0-9][0-9]-*"  # what a section's folder is called
MENTIONED = re.compile(r"\b[Ss]ections?\s+(\d+(?:(?:,|,? and| to| or)\s+\d+)*)|\.\./(\d\d)-")


def build(root: Path) -> None:
    """Generate the student edition of every section: into notebooks/, and into the gradebook of `root`.

    README.md and docs/ then quote the numbers of exercises and points that the lessons have.

    The new edition is made beside the former one and takes its place when it is whole. Raises CourseError,
    and changes nothing, where something is wrong with solutions/ or nbgrader refuses a section.
    """
    if found := [*_faults(root), *bank.lacks()]:
        raise CourseError("solutions/ cannot be released: " + "; ".join(found) + ".")
    released = root / "notebooks"
    with writable(released / sections.SECTIONS[0].folder):
        beside = tempfile.TemporaryDirectory(prefix=".release-", dir=released)
    with beside as folder:
        fresh, former = Path(folder) / "fresh", Path(folder) / "former"
        _generate_all(root, fresh, f"sqlite:///{folder}/gradebook.db")  # what fails fails here
        _generate_all(root, fresh)  # ... and so not halfway through the gradebook
        former.mkdir()
        for old in released.glob(FOLDERS):  # a section that is gone as well
            os.replace(old, former / old.name)
        for new in fresh.glob(FOLDERS):
            os.replace(new, released / new.name)
    for path, text in outdated(root).items():
        with whole(path) as part:
            part.write_text(text, encoding="utf-8")


def _faults(root: Path) -> Iterator[str]:
    """One sentence for each thing in solutions/ that keeps it from being released."""
    source = root / "solutions"
    wanted = [lesson.path for lesson in sections.lessons()]
    there = {path.relative_to(source) for path in source.glob(f"{FOLDERS}/*.ipynb")}
    for path in sorted(there.difference(wanted)):
        yield f"{path} has no place in the table of contents, courseware/sections.py"
    for path in wanted:
        if path in there:
            yield from (f"{path}: {sentence}" for sentence in _lacks(notebooks.read(source / path)))
        else:
            yield f"{path} is in the table of contents, courseware/sections.py, and not in solutions/"


def _lacks(notebook: NotebookNode) -> list[str]:
    """One sentence for each thing that a lesson lacks."""
    found = [*exercises.lacks(notebook), *demonstrations.doubts(notebook)]
    if not any(cell.cell_type == "code" for cell in notebook.cells):
        found.append("it lacks a code cell: let it begin with the one that every lesson begins with")
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    mentioned = {int(number) for said in MENTIONED.findall(text) for number in re.findall(r"\d+", str(said))}
    absent = sorted(mentioned - {section.number for section in sections.SECTIONS})
    return [*found, *(f"it refers to section {number}, which the course lacks" for number in absent)]


def _generate_all(root: Path, target: Path, gradebook: str = "") -> None:
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    config.CourseDirectory.release_directory = str(target)
    if gradebook:
        config.CourseDirectory.db_url = gradebook
    for section in sections.SECTIONS:
        generate(section.folder, Config(config))


def generate(assignment: str, config: Config) -> None:
    """Run nbgrader's generate_assignment; CourseError with the reason from its log if it fails."""
    course = CourseDirectory(config=config)
    result = NbGraderAPI(course, config=config).generate_assignment(assignment)
    if result["success"]:
        return
    # The exception that matters is the first one in the log; others point back to it.
    raised = re.search(r"^ {4}(?:[\w.]+\.)?(\w+: .+)$", result.get("log", ""), re.MULTILINE)
    reason = raised[1].removeprefix("CourseError: ").rstrip(".") if raised else "it gave no reason"
    raise CourseError(f"nbgrader could not release {assignment} ({reason}); mend it in solutions/.")


def outdated(root: Path) -> dict[Path, str]:
    """The texts that quote other numbers of exercises or points than the lessons have, put right."""
    checked: list[float] = []
    by_hand: list[float] = []
    for lesson in sections.lessons():
        for cell in filter(is_grade, notebooks.read(root / "solutions" / lesson.path).cells):
            (by_hand if is_solution(cell) else checked).append(cell.metadata.nbgrader.points)
    numbers = {
        "NUMBER exercises checked by program": len(checked),
        "NUMBER questions graded by hand": len(by_hand),
        "course is worth NUMBER points": sum(checked + by_hand),
        "NUMBER of them checked by program": sum(checked),
        "NUMBER of these for making a prediction": sum(e.points for e in EXERCISES.values() if e.questions),
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
    """The student notebooks whose content is not what nbgrader makes of solutions/ now.

    Cells and metadata count, bytes do not: a clone may end its lines as its system does.
    """
    released = root / "notebooks"
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        _generate_all(root, fresh, f"sqlite:///{folder}/gradebook.db")
        tops = (released, fresh)
        paths = {path.relative_to(top) for top in tops for path in top.glob(f"{FOLDERS}/*.ipynb")}
        read = notebooks.kept
        return [str(path) for path in sorted(paths) if read(released / path) != read(fresh / path)]


def require_current(root: Path) -> None:
    """Raise CourseError where notebooks/ has drifted."""
    if differing := drift(root):
        raise CourseError(
            f"notebooks/ is not what solutions/ gives: {', '.join(differing)}; run `course build`."
        )


class AddsUp(NbGraderPreprocessor):
    """Refuse a notebook in which an exercise's statement, graded cell and check name different points."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        if found := exercises.disagreements(nb):
            raise CourseError("; ".join(found) + ".")
        return nb, resources


class Door(NbGraderPreprocessor):
    """Write into a notebook's first code cell from where it installs the course if that is missing."""

    address = Unicode("", help="What pip installs the course from, in students' notebooks.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        for first in [cell for cell in nb.cells if cell.cell_type == "code"][:1]:
            named = f'COURSE = "{self.address}"'
            first.source = re.sub(r'^COURSE = ""', named, first.source, flags=re.MULTILINE)
        return nb, resources

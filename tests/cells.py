"""Cells of small submissions about one exercise, and their way through the grader."""

import base64
import json
import random
import shutil
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from programs import ROOT

from course_utils.checks.judges import EXERCISES
from course_utils.checks.judges.core import Exercise
from course_utils.checks.probes import observe
from courseware import notebooks, sections
from courseware.grading import work
from courseware.grading.judging import Judge
from courseware.grading.kernel import sandbox
from courseware.grading.preprocessors import Probe, asked_of, seed_of
from courseware.grading.submission.collect import Submission

SECTIONS = {section.folder: section for section in sections.SECTIONS}
KL = EXERCISES["gaussian_kl"]
UNSAFE = bool(sandbox.missing())  # what holds of grading holds in the sandbox and outside
RIGHT_KL = "def gaussian_kl(mu, logvar):\n    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)"
RESOURCES: dict[str, Any] = {"nbgrader": {"student": "ada", "assignment": "02-theory", "notebook": "theory"}}


def marked(cell: NotebookNode, grade_id: str, **marks: Any) -> NotebookNode:
    """The cell with nbgrader's marks."""
    none = {"grade": False, "solution": False, "task": False, "locked": False, "schema_version": 3}
    cell.id, cell.metadata["nbgrader"] = grade_id, none | marks | {"grade_id": grade_id}
    return cell


def answer_cell(source: str, grade_id: str = "gaussian-kl") -> NotebookNode:
    return marked(new_code_cell(source), grade_id, solution=True)


def graded_cell(
    name: str = "gaussian_kl", grade_id: str = "gaussian-kl-check", source: str = "", points: int = 3
) -> NotebookNode:
    """A cell that checks the answer of this name, or one with a source of its own."""
    cell = new_code_cell(source or f'check("{name}", globals())')
    return marked(cell, grade_id, grade=True, locked=True, points=points)


def imports() -> NotebookNode:
    return new_code_cell("import torch\nfrom torch import nn\nfrom course_utils.checks import check")


KERNEL = {"name": "python3", "display_name": "", "language": "python"}


def grade(*cells: NotebookNode) -> list[NotebookNode]:
    """Run a submission as `nbgrader autograde` would, but for the gradebook and for where its kernel comes
    from; its graded cells."""
    notebook = new_notebook(cells=list(cells), metadata={"kernelspec": KERNEL})
    with tempfile.TemporaryDirectory() as folder:
        resources: dict[str, Any] = {**RESOURCES, "metadata": {"path": folder}}
        for step in (Probe(timeout=30, unsafe=UNSAFE), Judge()):
            notebook, resources = step.preprocess(notebook, resources)
    return [cell for cell in notebook.cells if asked_of(cell)]


def grade_file(handed_in: bytes, released: str, solved: str) -> work.Notebook:
    """What becomes of a notebook that is handed in: `course grade`, without files and gradebook."""
    submission = Submission("ada", "a", {"b": handed_in}, (), "", None)
    rules = work.Rules(cell_seconds=30)
    return work.grade(work.Job(submission, {"b": released}, {"b": solved}, 7, rules)).notebooks["b"]


def shortened(notebook: Path, check: str, written: str) -> dict[str, Any]:
    """Of a lesson's notebook the cells up to this check, without demonstrations, and this written answer with
    its question."""
    nb: dict[str, Any] = json.loads(notebook.read_text("utf-8"))
    names = [cell["id"] for cell in nb["cells"]]
    first = nb["cells"][: names.index(check) + 1]
    kept = [cell for cell in first if "demonstration" not in cell["metadata"].get("tags", ())]
    place = names.index(written)
    return nb | {"cells": [*kept, *nb["cells"][place - 1 : place + 1]]}


def clone(folder: Path, short: bool = True) -> None:
    """The course as git has it; where `short`, with the beginning of section 2: the rest only takes time."""
    left_out = {".git", ".venv", "build", "data", "submitted", "autograded", "feedback", "gradebook.db"}
    shutil.copytree(ROOT, folder, ignore=lambda of, _: left_out if Path(of) == ROOT else {"__pycache__"})
    for edition in ("solutions", "notebooks") if short else ():
        theory = Path(edition, "02-theory", "theory.ipynb")
        kept = shortened(ROOT / theory, "gaussian-kl-check", "derivation")
        (folder / theory).write_text(json.dumps(kept), encoding="utf-8")


def asked_in(section: sections.Section) -> list[Exercise]:
    """The exercises that a section checks by program."""
    paths = [lesson.path for lesson in sections.lessons() if lesson.section == section]
    cells = [cell for path in paths for cell in notebooks.read(ROOT / "solutions" / path).cells]
    return [EXERCISES[name] for cell in cells if (name := asked_of(cell))]


def points(cell: NotebookNode) -> float:
    """What nbgrader reads."""
    (output,) = cell.outputs
    assert output.output_type == "execute_result"
    return float(output.data["text/plain"])


def packed(seed: int, answer: str = RIGHT_KL) -> dict[str, Any]:
    """What the probe of gaussian_kl hands over for a submission of this seed."""
    names: dict[str, Any] = {}
    exec(answer, names)
    return json.loads(json.dumps(observe("gaussian_kl", names, seed_of(seed, "gaussian_kl")).packed))


def png(width: int = 3, height: int = 2, kind: str = "PNG", noise: bool = False) -> str:
    """A picture in base64, black or of noise, which cannot be packed."""
    file, size = BytesIO(), 3 * width * height
    drawn = random.Random(0).randbytes(size) if noise else bytes(size)
    Image.frombytes("RGB", (width, height), drawn).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()

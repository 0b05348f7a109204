"""What of an executed notebook its readers see: instructors everything, students no answers.

The instructors' edition folds answers and model answers away under the name of their exercise. The students'
edition is built the other way round: its cells are those of the student notebook, and only outputs are taken
from the run, those of cells that are the same in both. So no answer can be left over. Figures and numbers of
demonstrations stay, for students see what to expect; reports of graded cells go, and with them what the cell
above shows, for that is what a prediction is held against.
"""

from __future__ import annotations

import copy
import re

from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_solution

from courseware.authoring.runner import Executed

EXERCISE = re.compile(r"^### (Exercise .+)$", re.MULTILINE)


def for_instructors(executed: Executed) -> NotebookNode:
    """The notebook, each answer with the name under which it is folded."""
    notebook = copy.deepcopy(executed.notebook)
    exercise = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := EXERCISE.search(cell.source)):
            exercise = found[1]
        if is_solution(cell):
            kind = "Solution" if cell.cell_type == "code" else "Model answer and mark scheme"
            cell.metadata["fold"] = f"{kind}: {exercise}" if exercise else kind
    return notebook


def for_students(executed: Executed, released: NotebookNode) -> NotebookNode:
    """The student notebook with the outputs of what the run has in common with it."""
    run = {cell.id: cell for cell in executed.notebook.cells if cell.cell_type == "code"}
    notebook = copy.deepcopy(released)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, below in zip(code, [*code[1:], NotebookNode(metadata={})], strict=True):
        twin = run.get(cell.id, cell)
        hidden = is_solution(cell) or is_grade(cell) or is_grade(below)
        cell.outputs = [] if hidden or twin.source != cell.source else copy.deepcopy(twin.outputs)
    return notebook

"""What every exercise of the course must have, and which one lacks what.

A statement with difficulty, minutes, points and two hints folded away; then, for an exercise checked by
program, a stub with a typed signature and a docstring around a solution, and a graded cell (below a
prediction the cells that measure come first); for a question graded by hand, a model answer with a mark
scheme. `course build` refuses to release a notebook in which something is missing.
"""

from __future__ import annotations

import ast
import re
from itertools import pairwise

from nbformat import NotebookNode

from course_utils import checks

HEADING = re.compile(r"^### Exercise (\d+\.\d+): ", re.MULTILINE)
TERMS = re.compile(r"\*Difficulty [1-5] of 5 · about \d+ minutes · (\d+) points?(, graded by hand)?\*")
HINT = re.compile(r"<details><summary>Hint (\d): [^<]+</summary>\n\n(.+?)\n</details>", re.DOTALL)
SOLUTION = re.compile(r"### BEGIN SOLUTION\n(.+?)### END SOLUTION", re.DOTALL)


def lacks(notebook: NotebookNode) -> list[str]:
    """One sentence for each thing that an exercise of this solution notebook lacks."""
    found = []
    cells = notebook.cells
    starts = [
        i for i, cell in enumerate(cells) if cell.cell_type == "markdown" and HEADING.search(cell.source)
    ]
    for start, end in pairwise([*starts, len(cells)]):
        statement = cells[start].source
        answers = [i for i in range(start + 1, end) if _mark(cells[i], "solution")]
        missing = _statement(statement)
        if len(answers) == 1:
            graded = (cell for cell in cells[answers[0] + 1 : end] if _mark(cell, "grade"))
            after = next(graded, NotebookNode(metadata={}, source=""))
            missing += _answer(statement, cells[answers[0]], after)
        else:
            missing.append("one cell for its answer")
        found += [f"exercise {HEADING.findall(statement)[0]} lacks {what}" for what in missing]
    first = starts[0] if starts else len(cells)
    found += [
        f"the answer {cell.metadata.nbgrader.grade_id} lacks a statement above it"
        for cell in cells[:first]
        if _mark(cell, "solution")
    ]
    return found


def _mark(cell: NotebookNode, key: str) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get(key))


def _statement(text: str) -> list[str]:
    missing = []
    if not TERMS.search(text):
        missing.append("its line of difficulty, minutes and points")
    hints = HINT.findall(text)
    if [number for number, _ in hints] != ["1", "2"]:
        missing.append("two hints folded away")
    elif not hints[0][1].rstrip().endswith("?"):
        missing.append("a question as its first hint")
    if any("```" in hint for _, hint in hints):
        missing.append("hints without code")
    return missing


def _answer(statement: str, cell: NotebookNode, after: NotebookNode) -> list[str]:
    if _mark(cell, "grade"):
        terms = TERMS.search(statement)
        missing = [] if terms and int(terms[1]) == cell.metadata.nbgrader.points else ["agreement on points"]
        return missing + [
            part for part in ("Model answer.", "Mark scheme.") if f"**{part}**" not in cell.source
        ]
    missing = [] if re.search(r"\b[Ee]xpected\b", statement) else ["an expected figure or number"]
    return missing + _stub(cell.source) + _graded(statement, cell.source, after)


def _stub(source: str) -> list[str]:
    """Of the cell that holds stub and solution."""
    missing = [] if SOLUTION.search(source) else ["a solution"]
    defined = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    functions = [f for node in defined for f in ast.walk(node) if isinstance(f, ast.FunctionDef)]
    if not defined or not ast.get_docstring(defined[0]):
        missing.append("a docstring")
    for function in functions:
        arguments = [a for a in function.args.args if a.arg != "self"]
        if not all(a.annotation for a in arguments) or function.returns is None:
            missing.append(f"types in the signature of `{function.name}`")
    return missing


def _graded(statement: str, source: str, cell: NotebookNode) -> list[str]:
    call = re.fullmatch(r'check\("(\w+)", globals\(\)\)', cell.source)
    if not (_mark(cell, "grade") and call):
        return ["a graded cell below its answer"]
    exercise, terms = checks.EXERCISES.get(call[1]), TERMS.search(statement)
    if exercise is None or not re.search(rf"^(def|class) {call[1]}\b", source, re.MULTILINE):
        return [f"an answer and a check called `{call[1]}`"]
    points = {exercise.points, cell.metadata.nbgrader.points, int(terms[1]) if terms else None}
    number = HEADING.search(statement)
    agrees = len(points) == 1 and number is not None and number[1] == exercise.number
    return [] if agrees else ["agreement on number and points between statement, graded cell and check"]

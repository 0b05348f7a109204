"""What every exercise of the course must have, as CONTRIBUTING.md tells, and which one lacks what."""

import ast
import re

from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_solution

from course_utils.checks import judges
from courseware.authoring import rubrics
from courseware.grading.submission.repair import asked

HEADING = re.compile(r"^### Exercise (\d+\.\d+): ", re.MULTILINE)
TERMS = re.compile(r"\*Difficulty [1-5] of 5 · about (\d+) minutes · (\d+) points?(?:, graded by hand)?\*")
HINT = re.compile(r"<details><summary>Hint (\d): [^<]+</summary>\n\n(.+?)\n</details>", re.DOTALL)
SOLUTION = re.compile(r"### BEGIN SOLUTION\n(.+?)### END SOLUTION", re.DOTALL)


def lacks(notebook: NotebookNode) -> list[str]:
    """One sentence for each thing that an exercise of this solution notebook lacks."""
    found = []
    for number, statement, cells in _exercises(notebook):
        answers = [i for i, cell in enumerate(cells) if is_solution(cell)]
        if not number:
            ids = [cells[i].metadata.nbgrader.grade_id for i in answers]
            found += [f"the answer {grade_id} lacks a statement above it" for grade_id in ids]
            continue
        missing = _statement(statement)
        if len(answers) == 1:
            after = next(filter(is_grade, cells[answers[0] + 1 :]), None)
            missing += _answer(number, statement, cells[answers[0]], after)
        else:
            missing.append("one cell for its answer")
        found += [f"exercise {number} lacks {what}" for what in missing]
    return found + disagreements(notebook)


def disagreements(notebook: NotebookNode) -> list[str]:
    """One sentence for each graded cell whose statement or check names other points than it does."""
    found = []
    for number, statement, cells in _exercises(notebook):
        for cell in filter(is_grade, cells):
            points = {"the graded cell": cell.metadata.nbgrader.get("points", 0)}
            if terms := TERMS.search(statement):
                points["the statement"] = int(terms[2])
            if exercise := judges.EXERCISES.get(asked(cell.source)):
                points["the check"] = exercise.points
            if len(set(points.values())) > 1:
                name = f"exercise {number}" if number else cell.metadata.nbgrader.grade_id
                said = ", ".join(f"{of:g} in {place}" for place, of in points.items())
                found.append(f"{name} lacks agreement on its points: {said}")
    return found


def _exercises(notebook: NotebookNode) -> list[tuple[str, str, list[NotebookNode]]]:
    """Each number and statement with the cells below it; first '' and '' with those above all statements."""
    parts: list[tuple[str, str, list[NotebookNode]]] = [("", "", [])]
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (heading := HEADING.search(cell.source)):
            parts.append((heading[1], cell.source, []))
        else:
            parts[-1][2].append(cell)
    return parts


def _statement(text: str) -> list[str]:
    hints = HINT.findall(text)
    two = [number for number, _ in hints] == ["1", "2"]
    has = {
        "its line of difficulty, minutes and points": TERMS.search(text),
        "two hints folded away": two,
        "a question as its first hint": not two or hints[0][1].rstrip().endswith("?"),
        "hints without code": not any("```" in hint for _, hint in hints),
    }
    return [what for what, there in has.items() if not there]


def _answer(number: str, statement: str, cell: NotebookNode, after: NotebookNode | None) -> list[str]:
    if is_grade(cell):
        rubrics.items(cell)  # raises CourseError where these cannot be used
        parts = ("Model answer.", "Mark scheme.", "Rubric.")
        return [part for part in parts if f"**{part}**" not in cell.source]
    missing = [] if re.search(r"\b[Ee]xpected\b", statement) else ["an expected figure or number"]
    return missing + _stub(cell.source) + _graded(number, cell.source, after)


def _stub(source: str) -> list[str]:
    missing = [] if SOLUTION.search(source) else ["a solution"]
    try:
        body = ast.parse(source).body
    except SyntaxError as problem:
        return [*missing, f"code that Python can read (line {problem.lineno}: {problem.msg})"]
    defined = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    if not defined or not ast.get_docstring(defined[0]):
        missing.append("a docstring")
    for function in (f for node in defined for f in ast.walk(node) if isinstance(f, ast.FunctionDef)):
        typed = all(argument.annotation for argument in function.args.args if argument.arg != "self")
        if not typed or function.returns is None:
            missing.append(f"types in the signature of `{function.name}`")
    return missing


def _graded(number: str, source: str, cell: NotebookNode | None) -> list[str]:
    name = asked(cell.source) if cell else ""
    if not name:
        return ["a graded cell below its answer"]
    exercise = judges.EXERCISES.get(name)
    if exercise is None or not re.search(rf"^(def|class) {name}\b", source, re.MULTILINE):
        return [f"an answer and a check called `{name}`"]
    return [] if number == exercise.number else [f"the number of its check, {exercise.number}"]

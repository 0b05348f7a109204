"""What this course adds to `nbgrader autograde`, as preprocessors that nbgrader_config.py names.

    TidyOrder     before anything runs: an exercise's graded cell stands below its answer
    OwnWork       what of the submission an instructor should look at; never a change of score
    Probe         nbgrader's Execute; graded cells probe with a seed that no student has seen
    Judge         computes the verdict from the evidence, in this process, and writes it into the cell

The student's kernel only hands over evidence. Whatever else it prints, displays or patches, the one
result that nbgrader reads was written by Judge.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from traitlets import Unicode

from course_utils.checks import EXERCISES, core, evidence
from course_utils.grading import own_work
from course_utils.settings import CourseError

Resources = dict[str, Any]


def asked_of(cell: NotebookNode) -> str:
    """The name of the answer that a graded cell checks, '' for other cells.

    nbgrader has put back the source of every graded cell by the time this is asked.
    """
    found = re.fullmatch(r'check\("(\w+)", globals\(\)\)', cell.source.strip().rpartition("\n")[2])
    return found[1] if found and _mark(cell, "grade") and cell.cell_type == "code" else ""


def _mark(cell: NotebookNode, key: str) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get(key))


class TidyOrder(NbGraderPreprocessor):
    """Move a graded cell that a student has put above the answer to where it was released: below."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        for graded in [cell for cell in nb.cells if _mark(cell, "grade") and not _mark(cell, "solution")]:
            grade_id = str(graded.metadata.nbgrader.get("grade_id", ""))
            for place, cell in reversed(list(enumerate(nb.cells))):
                answers = _mark(cell, "solution") and not _mark(cell, "grade")
                if answers and f"{cell.metadata.nbgrader.get('grade_id')}-check" == grade_id:
                    if nb.cells.index(graded) < place:
                        nb.cells.remove(graded)
                        nb.cells.insert(place, graded)
                    break
        return nb, resources


class OwnWork(NbGraderPreprocessor):
    """Report code that a student has not written, and attempts on the checks: in the log and the metadata."""

    solutions = Unicode("solutions", help="Folder of the instructor's notebooks.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Resources) -> tuple[NotebookNode, Resources]:
        names = resources["nbgrader"]
        path = Path(self.solutions) / names["assignment"] / f"{names['notebook']}.ipynb"
        found = own_work.remarks(nb, nbformat.read(path, as_version=4))
        nb.metadata["course"] = {"remarks": [vars(remark) for remark in found]}
        for remark in found:
            self.log.warning("%s, %s: %s", names["student"], names["notebook"], remark)
        return nb, resources


class Probe(Execute):
    """Run the notebook; its graded cells find a fresh seed in the environment and hand over evidence.

    The cells call the check by its full name meanwhile: a variable `check` of the student's own harms
    nobody.
    """

    def preprocess(
        self, nb: NotebookNode, resources: Resources | None = None, km: Any = None
    ) -> tuple[NotebookNode, Resources]:
        seed = secrets.randbelow(2**31)
        resources = resources or {}
        resources["course_seed"] = seed
        nb.metadata.setdefault("course", {})["seed"] = seed
        sources = {}
        for cell in nb.cells:
            if asked_of(cell):
                sources[cell.id] = cell.source
                call = f'__import__("course_utils.checks").checks.check("{asked_of(cell)}", globals())'
                cell.source = call
        before = os.environ.get(core.SEED_VARIABLE)
        os.environ[core.SEED_VARIABLE] = str(seed)
        try:
            return super().preprocess(nb, resources, km)
        finally:
            if before is None:
                del os.environ[core.SEED_VARIABLE]
            else:
                os.environ[core.SEED_VARIABLE] = before
            for cell in nb.cells:
                cell.source = sources.get(cell.id, cell.source)


class Judge(NbGraderPreprocessor):
    """Replace the outputs of every graded cell by the verdict on the evidence that it handed over."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: Resources, cell_index: int
    ) -> tuple[NotebookNode, Resources]:
        name = asked_of(cell)
        if name in EXERCISES:
            report = judged(EXERCISES[name], cell.outputs, resources["course_seed"])
            cell.outputs = [
                nbformat.v4.new_output(
                    "execute_result", data=report._repr_mimebundle_(), execution_count=cell.execution_count
                )
            ]
        return cell, resources


def judged(exercise: core.Exercise, outputs: list[NotebookNode], seed: int) -> core.Report:
    """The verdict on a graded cell's outputs, by the evidence among them."""
    packed = [
        output.data[core.EVIDENCE_MIME] for output in outputs if core.EVIDENCE_MIME in output.get("data", {})
    ]
    try:
        if not packed:
            raise CourseError(_why_no_evidence(outputs))
        return core.verdict(exercise, observation(packed[0], exercise, seed))
    except CourseError as problem:
        return core.Report(exercise, (), str(problem))


def observation(packed: Any, exercise: core.Exercise, seed: int) -> core.Observation:
    """What a probe has packed. Raises CourseError if it is not of this exercise and seed, or malformed."""
    if not isinstance(packed, dict) or (packed.get("answer"), packed.get("seed")) != (exercise.answer, seed):
        raise CourseError("The evidence of this cell belongs to another exercise or another run.")
    arrays = evidence.unpack(packed.get("evidence"))
    return core.Observation(seed, arrays, str(packed.get("note", ""))[: evidence.SENTENCE])


def _why_no_evidence(outputs: list[NotebookNode]) -> str:
    """One sentence for a graded cell that handed over nothing."""
    errors = [output for output in outputs if output.output_type == "error"]
    if not errors:
        return "The check handed over no evidence: was it replaced?"
    if errors[0].ename == "CellTimeoutError":
        return "The check was stopped at the time limit: is there a loop that never ends?"
    return f"The check could not run: {errors[0].ename}: {errors[0].evalue}"[: evidence.SENTENCE]

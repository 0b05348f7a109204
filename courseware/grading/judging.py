"""The verdict on a graded cell, by the evidence that its kernel handed over: nbgrader's step after the run.

Whatever the student's kernel printed, displayed or patched, the one result that nbgrader reads is written by
`Judge`, in the grader's own process. It leaves a notebook that asks no other machine when it is opened.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import NbGraderPreprocessor
from nbgrader.utils import is_solution

from course_utils.checks import words
from course_utils.checks.judges import EXERCISES, core
from course_utils.checks.probes import EVIDENCE_MIME, Observation, evidence
from course_utils.settings import CourseError
from courseware.grading import pages
from courseware.grading.preprocessors import Processed, Resources, asked_of, note, seed_of
from courseware.grading.reasons import Fault, Reason
from courseware.grading.submission.own_work import Remark

NOTHING = "Nothing that could be read was handed in."
SYNTAX = {"SyntaxError", "IndentationError", "TabError"}


@dataclass(frozen=True)
class Verdict:
    """What one check found: the exercise's number, its answer, points, and what is wrong, by claim."""

    exercise: str
    answer: str
    points: float
    of: float
    note: str
    failed: dict[str, str]  # the claim that does not hold: the likely mistake, or ''
    evidence: str = ""  # digest of what was judged, '' if there was nothing


class Judge(NbGraderPreprocessor):
    """Replace the outputs of every graded cell by the verdict on the evidence that it handed over."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.verdicts: list[Verdict] = []
        self.faults: list[Fault] = []  # evidence that was missing or forged
        self.remarks: list[Remark] = []  # answers that ran the package's own, and points that are withheld
        self.waiting: dict[str, Remark] = {}  # by answer, code that hides what it calls; '' for all answers
        self.errors: dict[str, NotebookNode] = {}  # of answers' cells, by grade_id
        self.read = True  # whether what was handed in could be read

    def preprocess(self, nb: NotebookNode, resources: Resources) -> Processed:
        course = nb.metadata.get("course", {})
        self.read = course.get("read", True)
        self.waiting = {name: Remark(**fields) for name, fields in course.get("waiting", {}).items()}
        nb, resources = super().preprocess(nb, resources)
        note(nb, self.faults, self.remarks)
        return nb, resources

    def preprocess_cell(self, cell: NotebookNode, resources: Resources, cell_index: int) -> Processed:
        name, grade_id = asked_of(cell), cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if cell.cell_type == "code" and is_solution(cell):
            self.errors.update((grade_id, one) for one in cell.outputs if one.output_type == "error")
        if cell.cell_type == "code" and name not in EXERCISES:
            pages.clean_outputs(cell)
        elif cell.cell_type == "markdown":
            cell.source = pages.loading_nothing(cell.source)
        if name in EXERCISES:
            exercise, seed = EXERCISES[name], seed_of(resources["course_seed"], name)
            report, reason, seen = core.Report(exercise, (), NOTHING), None, None
            if self.read:
                report, reason, seen = judged(exercise, cell.outputs, seed)
            if report.note.startswith(f"`{name}` is not defined"):
                error = self.errors.get(grade_id.removesuffix("-check"))
                report = replace(report, note=_why_undefined(name, error))
            if reason:
                notebook = resources.get("nbgrader", {}).get("notebook", "")
                self.faults.append(Fault(reason, notebook, f"exercise {exercise.number}: {report.note}"))
            report, digest = self._withheld(report), seen.digest if seen else ""
            failed = {finding.claim: finding.hint for finding in report.findings if not finding.holds}
            self.verdicts.append(
                Verdict(exercise.number, name, report.points, exercise.points, report.note, failed, digest)
            )
            for path in seen.entered if seen else ():
                why = f"ran `course_utils.{path}`, which solves {name}, when it was checked"
                self.remarks.append(Remark(grade_id, 1, cell.source, why))
            shown, count = report._repr_mimebundle_(), cell.execution_count
            cell.outputs = [new_output("execute_result", data=shown, execution_count=count)]
        return cell, resources

    def _withheld(self, report: core.Report) -> core.Report:
        """The report without its points where code hides what is called: such evidence proves nothing."""
        hiding = self.waiting.get(report.exercise.answer) or self.waiting.get("")
        if not report.points or not hiding:
            return report
        points = f"{report.points:g} of {report.exercise.points} points for {report.exercise.answer}"
        self.remarks.append(replace(hiding, why=f"{hiding.why}: {points} wait for a person"))
        where = f"cell {hiding.cell}, line {hiding.line}, {hiding.why}"
        sentence = f"{points} wait until your instructor has looked at your code: {where}."
        return core.Report(report.exercise, (), words.printable(sentence, words.SENTENCE))


def _why_undefined(name: str, error: NotebookNode | None) -> str:
    """Why there is no such answer; `error` is what its cell ended in, if it did."""
    if error is None:
        return f"The notebook defines no `{name}`: was it renamed, or deleted?"
    what = "cannot be read as Python" if error.ename in SYNTAX else f"stopped before it had defined `{name}`"
    said = re.sub(r"\(\d+\.py, ", "(", error.evalue)  # the kernel's own name of the cell
    kind = "" if error.ename in Reason.__members__ else f"{error.ename}: "
    return words.printable(f"The answer's cell {what}: {kind}{said}", words.SENTENCE)


def judged(
    exercise: core.Exercise, outputs: list[NotebookNode], seed: int
) -> tuple[core.Report, Reason | None, Observation | None]:
    """The verdict on a graded cell, what was wrong with its outputs, and the evidence that is among them."""
    shown = [output.data[EVIDENCE_MIME] for output in outputs if EVIDENCE_MIME in output.get("data", {})]
    reason: Reason | None = Reason.FORGED
    sentence = "The check handed over evidence more than once."
    if not shown:
        reason, sentence = _why_no_evidence(outputs)
    elif len(shown) == 1:
        try:
            seen = observation(shown[0], exercise, seed)
            return core.verdict(exercise, seen), None, seen
        except CourseError as problem:
            sentence = str(problem)
    return core.Report(exercise, (), words.printable(sentence, words.SENTENCE)), reason, None


def observation(packed: Any, exercise: core.Exercise, seed: int) -> Observation:
    """What a probe has packed. Raises CourseError if it is not of this exercise and seed, or malformed."""
    if not isinstance(packed, dict) or (packed.get("answer"), packed.get("seed")) != (exercise.answer, seed):
        raise CourseError("The evidence of this cell belongs to another exercise or another run.")
    arrays = evidence.unpack(packed.get("evidence"))
    note, entered = packed.get("note", ""), packed.get("entered")
    if not isinstance(note, str):
        raise CourseError("The evidence has a note that is no text.")
    known = tuple(path for path in exercise.reference if isinstance(entered, list) and path in entered)
    return Observation(exercise.answer, seed, arrays, words.printable(note, words.SENTENCE), known)


def _why_no_evidence(outputs: list[NotebookNode]) -> tuple[Reason | None, str]:
    """The reason and one sentence for a graded cell that handed over nothing."""
    errors = [output for output in outputs if output.output_type == "error"]
    if not errors:
        return Reason.NO_EVIDENCE, "The check handed over no evidence: was it replaced?"
    ended = Reason.__members__.get(errors[0].ename)
    if ended is Reason.TIMEOUT:
        return None, "The check was stopped at the time limit: is there a loop that never ends?"
    if ended is not None:
        return None, f"Your answer was not judged: {ended.value}. The rest was run without it."
    sentence = f"The check could not run: {errors[0].ename}: {errors[0].evalue}"
    return Reason.NO_EVIDENCE, sentence[: words.SENTENCE]

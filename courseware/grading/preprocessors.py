"""What this course adds to `nbgrader autograde`, as preprocessors that nbgrader_config.py names.

The student's kernel only hands over evidence; what follows from it is the affair of `judging`.
"""

import hashlib
import math
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import nbformat
from nbclient.client import CellExecutionComplete
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbgrader.preprocessors import Execute, SaveAutoGrades
from nbgrader.utils import is_grade
from traitlets import Bool, Integer

from course_utils.checks import words
from course_utils.checks.judges import EXERCISES
from course_utils.checks.probes import EVIDENCE_MIME
from courseware.grading.kernel import messages, sandbox
from courseware.grading.reasons import Fault, Reason
from courseware.grading.submission.own_work import Remark
from courseware.grading.submission.repair import asked

Resources = dict[str, Any]
Processed = tuple[NotebookNode, Resources]

# Scores do not depend on the demonstrations between the exercises: the smallest budget, embedded data. Beyond
# that budget predictions are compared with what demonstrations measure, which `demonstrations` leaves out.
ENVIRONMENT = {"COURSE_BUDGET": "smoke", "COURSE_DATASET": "digits", "TQDM_DISABLE": "1"}
MESSAGES = {"stream", "display_data", "execute_result", "error", "clear_output", "execute_input", "status"}
# What a graded cell is while it runs: the seed comes with the request, when the student's cells have run.
ASK = '__import__("course_utils.checks.probes").checks.probes.observe("{name}", globals(), {seed}, {watched})'
NOT_RUN = "[not run in grading: no graded cell needs it]\n"
ATTEMPTS = 3  # at a cell in which the kernel ended, or at a start: somebody else may have killed it
GRADED_SECONDS = 120  # a check stops an answer long before; only one that cannot be stopped is still there


def asked_of(cell: NotebookNode) -> str:
    """The name of the answer that a graded cell, as it was released, checks, '' for other cells."""
    return asked(cell.source) if is_grade(cell) and cell.cell_type == "code" else ""


def seed_of(seed: int, name: str) -> int:
    """An exercise's own seed, from that of the submission: one says nothing of another."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:4], "big") % 2**31


def note(nb: NotebookNode, faults: list[Fault], remarks: list[Remark] | None = None) -> None:
    """Add to a notebook's metadata what went wrong with it, and what is remarked on."""
    course = nb.metadata.setdefault("course", NotebookNode())
    course["faults"] = [*course.get("faults", []), *(fault.plain for fault in faults)]
    course["remarks"] = [*course.get("remarks", []), *map(vars, remarks or ())]


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Kernels that are started meanwhile have these variables."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


class _LostKernel(Exception):
    """A cell that ended its kernel, or cannot be stopped, and the fault."""


class Probe(Execute):
    """Run the notebook; its graded cells are given a seed that no student has seen, and hand over evidence.

    They call the probe alone, by its full name: no judge is where the kernel runs, and a variable `check` of
    the student's own harms nobody. After a cell that takes the kernel with it the notebook is run anew
    without that cell, so that the other exercises still count; when the time for the whole notebook is over,
    what has been earned stays. Where a kernel simply ended, the cell is blamed after ATTEMPTS times.
    """

    unsafe = Bool(help="Run students' code with your own rights, outside the sandbox.").tag(config=True)
    seconds_in_all = Integer(1800, help="The most that one notebook may take.").tag(config=True)
    output_bytes = Integer(2**24, help="The most that one notebook may print and display.").tag(config=True)

    relevant: set[int] | None = None  # places of the cells to be run, None for all

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # which chooses a manager of its own
        self.faults: list[Fault] = []  # what went wrong
        if not self.unsafe:
            self.kernel_manager_class = sandbox.KernelManager
        self.shutdown_kernel = "immediate"  # what a kernel still has to do is nobody's affair
        self.iopub_timeout = 10  # from a reply to the end of the output, on a machine that may be busy

    def create_kernel_manager(self) -> Any:
        """As ever, with a client that trusts no message."""
        manager: Any = super().create_kernel_manager()
        manager.client_factory, manager.output_bytes = messages.Client, self.output_bytes
        return manager

    def preprocess(self, nb: NotebookNode, resources: Resources, km: Any = None) -> Processed:
        if self.unsafe:
            self.log.warning("NOT SANDBOXED: this submission's code runs with your own rights.")
        else:
            sandbox.require()
        seed = resources.setdefault("course_seed", secrets.randbelow(2**31))
        self.notebook = resources.get("nbgrader", {}).get("notebook", "")
        nb.metadata.setdefault("course", {}).update(seed=seed, sandboxed=not self.unsafe)
        if not nb.metadata.course.get("read", True):
            return nb, resources  # it is the release
        asked = {name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()}
        self._prepare(nb, seed)
        try:
            with environment(asked):
                return self._run(nb, resources, km)
        finally:
            note(nb, self.faults)
            for cell in nb.cells:
                cell.source = self.sources.get(cell.id, cell.source)
                if cell.id in self.lost:
                    cell.outputs = [_ended_by(self.lost[cell.id])]

    def _prepare(self, nb: NotebookNode, seed: int) -> None:
        """Put into every cell what is to be run there, and start the clock."""
        self.sources: dict[str, str] = {}  # of cells in which something else is run, or nothing
        self.lost: dict[str, str] = {}  # why cells are left out
        self.ended: Counter[str] = Counter()  # how often the kernel ended, by cell
        self.ran: set[str] = set()
        self.asked: set[str] = set()  # cells that are to hand over evidence
        for place, cell in enumerate(nb.cells):
            name = asked_of(cell)
            if name in EXERCISES:
                self.asked.add(cell.id)
                self.sources[cell.id] = cell.source
                watched = EXERCISES[name].reference
                cell.source = ASK.format(name=name, seed=seed_of(seed, name), watched=watched)
            elif cell.cell_type == "code" and self.relevant is not None and place not in self.relevant:
                self.sources[cell.id] = cell.source
                cell.source, cell.outputs = "", [nbformat.v4.new_output("stream", text=NOT_RUN)]
        self.over_at, self.timeout_func = time.monotonic() + self.seconds_in_all, self._seconds

    def _run(self, nb: NotebookNode, resources: Resources, km: Any) -> Processed:
        """As nbgrader does it; anew without each cell that takes the kernel with it."""
        while True:
            began = time.monotonic()
            try:
                return super().preprocess(nb, resources, km)
            except _LostKernel as loss:
                if not self._again(loss, time.monotonic() - began) and self._seconds_left() <= 0:
                    for cell in nb.cells:
                        self._out_of_time(cell)
                    return nb, resources
            except Exception as problem:  # before the first cell, or after the last
                self.ended[""] += 1
                with suppress(Exception):
                    self._cleanup_kernel()
                if self.ended[""] == ATTEMPTS or self._seconds_left() <= 0:
                    raise
                self.log.warning("A kernel did not start, or not end (%s): once more.", problem)

    def _again(self, loss: _LostKernel, seconds: float) -> bool:
        """Whether the cell that lost its kernel, after such a run, may try again; if not, it is left out."""
        cell, fault = loss.args
        self.ended[cell.id] += 1
        few = sum(self.ended.values()) <= 2 * ATTEMPTS  # it may end elsewhere every time
        killed = fault.reason is Reason.KILLED and self.ended[cell.id] < ATTEMPTS
        if killed and few and self._seconds_left() > 2 * seconds:
            self.log.warning("A kernel has ended (%s): once more.", fault)
            return True
        self.faults.append(fault)
        self.log.warning("A cell took its kernel with it (%s).", fault)
        self.sources.setdefault(cell.id, cell.source)
        self.lost[cell.id] = fault.reason.name
        cell.source = ""
        return False

    def _seconds_left(self) -> int:
        return math.ceil(self.over_at - time.monotonic())

    def _seconds(self, cell: NotebookNode) -> int:
        """How long a cell may run."""
        most = GRADED_SECONDS if cell.id in self.sources else self.timeout
        return max(1, min(self._seconds_left(), self.timeout, most))

    def _clocks(self) -> tuple[float, float]:
        """Seconds for which this kernel computed, and had to wait for a processor, as far as is known."""
        provisioner = self.km.provisioner if self.km else None
        return getattr(provisioner, "computed", math.inf), getattr(provisioner, "waited", 0.0)

    def preprocess_cell(self, cell: NotebookNode, resources: Resources, index: int) -> Processed:
        if cell.cell_type == "code" and not cell.source:
            return cell, resources
        if self._seconds_left() <= 0:
            self._out_of_time(cell)
            return cell, resources
        problem, mute, seconds, (computed, waited) = "", False, self._seconds(cell), self._clocks()
        began = time.monotonic()
        limit = began + seconds
        try:
            cell, resources = super().preprocess_cell(cell, resources, index)
        except (CellTimeoutError, DeadKernelError) as error:
            problem = type(error).__name__
            mute = "IOPub" in str(error) and time.monotonic() < limit  # a reply, but no end of the output
        except Exception as error:  # a forged reply may make nbclient stumble anywhere
            raise _LostKernel(cell, self._fault(cell, index, Reason.MESSAGES, type(error).__name__)) from None
        finally:
            now = self._clocks()
            self.over_at += messages.patience(seconds, now[1] - waited)
        # A student's own exception of that name would end nothing; the first output is then something else.
        names = [output.get("ename") for output in cell.get("outputs", [])]
        if problem or CellTimeoutError.__name__ in names:
            idle = now[0] - computed < seconds / 2  # of no kernel whose seconds are not known
            silent = Reason.MESSAGES if mute else Reason.WAITING if idle else Reason.TIMEOUT
            reason = Reason.KILLED if problem == DeadKernelError.__name__ else silent
            raise _LostKernel(cell, self._fault(cell, index, reason))
        # Filling gigabytes takes a while: what is over at once is spared the look, which takes some too.
        if time.monotonic() - began > sandbox.LOOK / 4 and getattr(self.km.provisioner, "overfull", bool)():
            raise _LostKernel(cell, self._fault(cell, index, Reason.MEMORY))
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                _make_plain(output)
        self.ran.add(cell.get("id", ""))
        return cell, resources

    def _out_of_time(self, cell: NotebookNode) -> None:
        """Say of a cell that was not run that the time for the notebook was over."""
        if cell.cell_type == "code" and cell.source and cell.id not in self.ran:
            cell.outputs = [_ended_by(Reason.TIMEOUT.name)]
            over = Fault(Reason.TIMEOUT, self.notebook, "the whole notebook")
            self.faults += [over] * (over not in self.faults)

    def _fault(self, cell: NotebookNode, index: int, otherwise: Reason, detail: str = "") -> Fault:
        """Why the kernel is gone, or has to go."""
        name = asked_of(cell) or cell.metadata.get("nbgrader", {}).get("grade_id") or f"number {index + 1}"
        excess = getattr(self.km.provisioner, "excess", None) if self.km else None
        return Fault(excess or otherwise, self.notebook, f"cell {name}{detail and f': {detail}'}")

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> Any:
        """As ever, for what cells show; widgets, later changes and what is malformed are dropped."""
        kind, content = msg["msg_type"], msg["content"]
        if kind not in MESSAGES:
            return None
        content.pop("transient", None)
        count = content.get("execution_count", 0)
        if type(count) is not int or count < 0:
            content["execution_count"] = None
        try:
            if "data" in content:
                content["metadata"] = {}  # sizes of pictures and the like; it would be read many times
                if EVIDENCE_MIME in content["data"] and cell.id not in self.asked:
                    unasked = self._fault(cell, cell_index, Reason.FORGED, "evidence that nobody asked for")
                    self.faults += [unasked] * (unasked not in self.faults)
                    return None
                for mime, shown in list(content["data"].items()):
                    if not isinstance(shown, str) and mime != EVIDENCE_MIME:
                        del content["data"][mime]
            return super().process_message(msg, cell, cell_index)
        except CellExecutionComplete:
            raise
        except Exception:
            return None


def _make_plain(error: NotebookNode) -> None:
    """Leave text of an error of the student's, and no name that is ours."""
    name, value, trace = (error.get(key) for key in ("ename", "evalue", "traceback"))
    error.ename = words.printable(name, words.SENTENCE) if isinstance(name, str) else ""
    error.ename += " (the code's own)" * (error.ename in Reason.__members__)
    error.evalue = value if isinstance(value, str) else ""
    error.traceback = [line for line in trace if isinstance(line, str)] if isinstance(trace, list) else []


def _ended_by(reason: str) -> NotebookNode:
    return nbformat.v4.new_output("error", ename=reason, evalue=Reason[reason].value, traceback=[])


class SaveGrades(SaveAutoGrades):
    """nbgrader's, but that nobody whose notebook could not be read is told that they gave no response."""

    def preprocess(self, nb: NotebookNode, resources: Resources) -> Processed:
        self.was_read = nb.metadata.get("course", {}).get("read", True)
        return super().preprocess(nb, resources)

    def _add_comment(self, cell: NotebookNode, resources: Resources) -> None:
        if self.was_read:
            super()._add_comment(cell, resources)

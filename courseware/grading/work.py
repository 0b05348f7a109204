"""One submission graded: bytes in, results out, and nothing else touched.

A `Job` holds all that decides a result, so any process on any machine with this package can do it, twice if
need be: the answer is the same. Only the coordinator (`batch`) reads submissions and writes gradebooks.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import platform
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader import utils

from course_utils import __version__
from course_utils.checks.words import WAITING, printable
from course_utils.settings import CourseError
from courseware.grading import pages, preprocessors
from courseware.grading.judging import Judge, Verdict
from courseware.grading.kernel import sandbox
from courseware.grading.kernel.forked import zygote
from courseware.grading.preprocessors import ENVIRONMENT, Probe
from courseware.grading.reasons import MACHINE, Fault, Reason
from courseware.grading.submission import demonstrations
from courseware.grading.submission.collect import Submission
from courseware.grading.submission.own_work import Remark
from courseware.grading.submission.repair import asked

PACKAGES = ("nbgrader", "nbclient", "ipykernel", "torch", "numpy", "scipy", "scikit-learn")
NO_RESPONSE = "No response."  # nbgrader's comment on a cell that is as it was released
OWN_SECONDS = 180  # of processor time, for all that is done without the student's kernel; it takes a few


@dataclass(frozen=True)
class Rules:
    """How a batch is graded, the same for every submission."""

    sandboxed: bool = True
    whole: bool = False  # run every cell, also those that no graded cell needs
    cell_seconds: int = 120
    notebook_seconds: int = 600


@dataclass(frozen=True)
class Job:
    """A submission, the assignment as it was released and as it was solved (JSON by name), and a seed."""

    submission: Submission
    released: Mapping[str, str]
    solved: Mapping[str, str]
    seed: int
    rules: Rules


@dataclass(frozen=True)
class Notebook:
    """One notebook of a submission: executed and judged (JSON), its page, scores and comments by grade_id."""

    executed: str
    page: str
    scores: dict[str, float | None]  # None: a person has to look
    comments: dict[str, str | None]
    verdicts: list[Verdict]
    remarks: list[Remark]


@dataclass(frozen=True)
class Result:
    """All that is known of one graded submission; `audit` says how it came about."""

    student: str
    assignment: str
    digest: str
    timestamp: str | None
    seed: int
    faults: list[Fault]
    notebooks: dict[str, Notebook]
    audit: dict[str, Any] = field(default_factory=dict)
    secret: str | None = None  # by which nbgrader's exchange hides feedback

    @classmethod
    def of(cls, job: Job, faults: list[Fault], notebooks: dict[str, Notebook], audit: dict) -> Result:
        one = job.submission
        who = (one.student, one.assignment, one.digest, one.timestamp)
        return cls(*who, job.seed, faults, notebooks, audit, one.secret)

    @property
    def waited(self) -> bool:
        """Whether points may have been lost to a clock: something was stopped that mostly waited."""
        hints = (hint for one in self.verdicts for hint in (one.note, *one.failed.values()))
        return any(fault.reason is Reason.WAITING for fault in self.faults) or WAITING in hints

    @property
    def broken(self) -> bool:
        """Whether the machine failed, and not the student: nothing follows from such a result."""
        return any(fault.reason in MACHINE for fault in self.faults)

    @property
    def points(self) -> float:
        """What programs have given so far."""
        return sum(score or 0 for notebook in self.notebooks.values() for score in notebook.scores.values())

    @property
    def verdicts(self) -> list[Verdict]:
        return [verdict for notebook in self.notebooks.values() for verdict in notebook.verdicts]


_one_at_a_time = threading.Lock()  # threads share the environment, and the limit of processor time


def grade(job: Job) -> Result:
    """Grade one submission. Never raises for anything that a student can hand in.

    A regular expression that backtracks without end can be interrupted by nothing: a signal ends this process
    when it has taken OWN_SECONDS. `pool` does once more what it had to do, and then gives it up.
    """
    faults, notebooks = list(job.submission.faults), {}
    with _one_at_a_time, preprocessors.environment(ENVIRONMENT), _limited(OWN_SECONDS):
        started = time.time()
        for name in job.released:
            try:
                notebooks[name], found = _notebook(job, name)
            except Exception as problem:  # a batch always ends: this notebook is left to a person
                told = printable("".join(traceback.format_exception_only(problem)), 500)
                found = [Fault(Reason.GRADER_FAILED, name, told)]
                nothing = replace(job, submission=replace(job.submission, notebooks={}))
                notebooks[name], _ = _notebook(nothing, name)
            faults += found
    limits = {"graded_cell_seconds": preprocessors.GRADED_SECONDS, "output_bytes": Probe().output_bytes}
    audit = {
        "versions": _versions(),
        "platform": platform.platform(),
        "terms": vars(job.rules),
        "limits": limits | (asdict(sandbox.Limits()) if job.rules.sandboxed else {}),
        "environment": ENVIRONMENT,
        "released": digest_of(job.released),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 3),
    }
    return Result.of(job, faults, notebooks, audit)


@functools.cache
def _versions() -> dict[str, str]:
    ours = {"vae-course": __version__, "python": platform.python_version()}
    return ours | {name: metadata.version(name) for name in PACKAGES}


def ready(address: str = "") -> None:
    """Wait for what kernels are forked from, at that address, where there can be any: no job needs to."""
    with suppress(CourseError):
        sandbox.require()
        zygote(address).wait()


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End this process if it takes more processor time inside; kernels have limits of their own."""
    if not hasattr(signal, "setitimer"):  # Windows, where everybody grades their own notebook alone
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def digest_of(released: Mapping[str, str]) -> str:
    """One name for the notebooks that students were given."""
    return hashlib.sha256(json.dumps(dict(released), sort_keys=True).encode()).hexdigest()


def _notebook(job: Job, name: str) -> tuple[Notebook, list[Fault]]:
    """One notebook of the assignment, repaired, run and judged; one that was not handed in is the release."""
    released, first = nbformat.reads(job.released[name], as_version=4), name == next(iter(job.released))
    nb, repairs, found = job.submission.read(name, released, job.solved.get(name), first)
    names = {"student": job.submission.student, "assignment": job.submission.assignment, "notebook": name}
    rules, log = job.rules, logging.getLogger("course.grading")
    seconds = {"timeout": rules.cell_seconds, "seconds_in_all": rules.notebook_seconds}
    probe = Probe(unsafe=not rules.sandboxed, log=log, **seconds)
    probe.relevant = None if rules.whole else demonstrations.needed(nb, released)
    # Windows keeps a folder for a while after the kernel that ran there has ended.
    with tempfile.TemporaryDirectory(prefix=sandbox.own_prefix(), ignore_cleanup_errors=True) as folder:
        resources = {"nbgrader": names, "course_seed": job.seed, "metadata": {"path": folder}}
        nb, _ = probe.preprocess(nb, resources)
    judge = Judge()
    nb, _ = judge.preprocess(nb, resources)
    found += judge.remarks
    return _result(nb, name, judge.verdicts, found), [*repairs, *probe.faults, *judge.faults]


def _result(nb: NotebookNode, name: str, verdicts: list[Verdict], found: list[Remark]) -> Notebook:
    """Scores, comments and page of a judged notebook."""
    scores: dict[str, float | None] = {}
    comments: dict[str, str | None] = {}
    points: pages.Scores = {}
    for cell in (cell for cell in nb.cells if "nbgrader" in cell.metadata):
        mark = cell.metadata.nbgrader
        if utils.is_solution(cell):
            unchanged = mark.get("checksum") == utils.compute_checksum(cell)
            silent = nb.metadata["course"]["read"] and unchanged and not utils.is_task(cell)
            comments[mark.grade_id] = NO_RESPONSE if silent else None
        if utils.is_grade(cell):
            # nbgrader's own reading; a check that shows no report, or was not run, is worth nothing
            silent = cell.cell_type == "code" and not utils.is_solution(cell) and not cell.outputs
            not_run = silent and bool(asked(cell.source) or not nb.metadata["course"]["read"])
            scores[mark.grade_id] = 0.0 if not_run else utils.determine_grade(cell)[0]
        if utils.is_grade(cell) or utils.is_task(cell):
            points[mark.grade_id] = scores.get(mark.grade_id), float(mark.points)
    said = {grade_id: comment for grade_id, comment in comments.items() if comment}
    page = pages.page(nb, points, said, title=name)
    executed, page = (text.encode("utf-8", "replace").decode() for text in (nbformat.writes(nb), page))
    return Notebook(executed, page, scores, comments, verdicts, found)

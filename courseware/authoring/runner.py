"""Executing the course: every notebook in a fresh kernel, several at once, resumable.

Each finished notebook is stored under a key made of its source, the package's source and the settings, so a
run that was interrupted goes on where it stopped. The cores are shared out among the notebooks: small models
train faster side by side with one thread each than one after the other with all threads.
"""

import asyncio
import logging
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import nbformat
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

import course_utils
from course_utils.checks.judges.core import REPORT_MIME
from course_utils.evaluation import RESULT_MIME
from course_utils.files import writable
from courseware import notebooks, sections
from courseware.authoring import claims
from courseware.sections import Lesson

QUIET = logging.Logger("course.nbclient", logging.CRITICAL)
Progress = Callable[[Lesson, int, int], None]


@dataclass
class Executed:
    """A notebook after its run, and what its cells reported."""

    lesson: Lesson
    notebook: NotebookNode
    failure: str = ""
    reused: bool = False

    def __post_init__(self) -> None:
        self.claimed: claims.Values = self.notebook.metadata.get("course", {}).get("claimed", {})
        self.outputs = [output for cell in self.notebook.cells for output in cell.get("outputs", [])]
        shown = [output.get("data", {}) for output in self.outputs]
        self.results: list[dict[str, Any]] = [data[RESULT_MIME] for data in shown if RESULT_MIME in data]
        self.reports: list[dict[str, Any]] = [data[REPORT_MIME] for data in shown if REPORT_MIME in data]


@dataclass(frozen=True)
class Run:
    """Settings of one run: where sources lie, where results go, and the kernels' environment."""

    source: Path
    target: Path
    environment: dict[str, str]
    jobs: int

    def key(self, lesson: Lesson) -> str:
        """Changes whenever the outputs of the notebook might."""
        cells = [(cell.cell_type, cell.source) for cell in notebooks.read(self.source / lesson.path).cells]
        package = [one.read_bytes() for one in sorted(Path(course_utils.__file__).parent.rglob("*.py"))]
        claimed = claims.cell(claims.ledger(self.source, lesson)).source
        return str(joblib.hash([cells, claimed, package, self.environment, torch.__version__]))


def plan_jobs(notebooks: int) -> tuple[int, int]:
    """How many notebooks to run at once and how many threads each gets."""
    cores = joblib.cpu_count()  # that this process may use
    jobs = min(notebooks, cores, 4)
    return jobs, cores // jobs


def execute(run: Run, lessons: list[Lesson], on_progress: Progress) -> list[Executed]:
    """Run the notebooks; each is stored in `run.target` as soon as it is done, unless a cell has failed.

    `on_progress(lesson, cells done, cells in all)` is called after every cell.
    """
    with writable(run.target / "notebooks"), tempfile.TemporaryFile(dir=run.target):
        pass  # better told now than after the first notebook

    async def every() -> list[Executed]:
        places = asyncio.Semaphore(run.jobs)
        # Last what goes on with a model of another lesson: that is trained once, and kept.
        order = sorted(lessons, key=lambda lesson: lesson.section.further)
        done = await asyncio.gather(*(_execute(run, one, on_progress, places) for one in order))
        return sorted(done, key=lambda one: lessons.index(one.lesson))

    return asyncio.run(every())


async def _execute(run: Run, lesson: Lesson, on_progress: Progress, places: asyncio.Semaphore) -> Executed:
    target = run.target / lesson.path
    key = run.key(lesson)
    stored = notebooks.kept(target)
    if stored and stored.metadata.get("course", {}).get("key") == key:
        on_progress(lesson, len(stored.cells), len(stored.cells))
        return Executed(lesson, stored, reused=True)

    notebook = notebooks.read(run.source / lesson.path)
    notebook.cells.append(claims.cell(claims.ledger(run.source, lesson)))
    total = len(notebook.cells)
    client = NotebookClient(
        notebook,
        timeout=3600,  # seconds, of a cell
        resources={"metadata": {"path": str((run.source / lesson.path).parent)}},
        record_timing=False,
        on_cell_executed=lambda cell, cell_index, **_: on_progress(lesson, cell_index + 1, total),
        log=QUIET,
    )
    try:
        async with places:
            on_progress(lesson, 0, total)
            # A kernel's chatter about its transport belongs to no reader of this terminal.
            await client.async_execute(env={**os.environ, **run.environment}, stderr=subprocess.DEVNULL)
    except CellExecutionError as problem:
        why = f"a cell stopped with {problem.ename}: {problem.evalue}".strip().partition("\n")[0]
        if problem.ename == "ModuleNotFoundError" and "course_utils" in problem.evalue:
            why = "its kernel has no course_utils: run `make` anew, or install the course into that kernel"
        return Executed(lesson, notebook, why)
    except DeadKernelError:
        return Executed(lesson, notebook, "its kernel died, most likely for want of memory")
    notebook.metadata["course"] = {"key": key, "claimed": claims.values(notebook.cells.pop())}
    notebooks.write(notebook, target)
    return Executed(lesson, notebook)


def store(executed: Executed, source: Path) -> None:
    """Write an executed notebook back over its source: the same cells, with their outputs."""
    notebook = nbformat.from_dict(executed.notebook)
    notebook.metadata.pop("course", None)
    notebooks.write(notebook, source / executed.lesson.path)


def stored(source: Path) -> list[Executed]:
    """The notebooks below `source` with the outputs that are kept there."""
    return [Executed(lesson, notebooks.read(source / lesson.path)) for lesson in sections.lessons()]


def claimed(target: Path) -> dict[str, claims.Values]:
    """What the claims of each lesson came to in the latest run that is kept in `target`."""
    found = ((lesson, notebooks.kept(target / lesson.path)) for lesson in sections.lessons())
    return {lesson.name: Executed(lesson, notebook).claimed for lesson, notebook in found if notebook}


def summary(executed: list[Executed]) -> str:
    """In a line what run these are from, by what every lesson prints at its beginning."""
    outputs = (output for one in executed for output in one.outputs)
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    used = sorted(set(re.findall(r"^([a-z-]+): [\d,]+ training and", printed, re.MULTILINE)))
    budgets = sorted(set(re.findall(r"^(budget '.+); device: ", printed, re.MULTILINE)))
    data = [f"Data: {', '.join(used)}"] if used else []
    return "; ".join([*data, *budgets, "seed 0"]) + "."


COLUMNS = ("section", "model", "data", "test -ELBO", "reconstruction", "KL")


def rows(executed: list[Executed]) -> Iterator[tuple[str, ...]]:
    """What the notebooks' models come to, as COLUMNS say: nats per test image."""
    for title, row in ((one.lesson.title, row) for one in executed for row in one.results):
        whole = f"{row['negative_elbo']:.2f} ± {row['standard_error']:.2f}"
        parts = f"{row['reconstruction']:.2f}", f"{row['kl']:.2f}"
        yield title, row["model"], row["data"], whole, *parts

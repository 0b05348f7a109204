"""How good the checks are, measured on the bank of right and wrong answers (tests/bank).

Every answer is checked with several seeds. A wrong answer is *caught* if no seed gives it full points, a
right one *accepted* if every seed does, and a wrong one *diagnosed* if with every seed its report holds
the hint for its misconception.

The limits are one-sided 95% Clopper-Pearson limits with one trial per answer: the answers of the bank are
no random sample of what students write, but they, not the seeds, are what there are few of.
"""

from __future__ import annotations

import contextlib
import io
import math
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from scipy.stats import beta

from course_utils.checks import EXERCISES, core
from course_utils.settings import CourseError
from courseware import record

FILE = Path("docs") / "graders.json"


@dataclass(frozen=True)
class Row:
    """One exercise: how many answers of each kind, how many of them were treated as they should be, and how
    long a check of a right answer takes, in seconds (median over seeds, the slowest answer)."""

    number: str
    answer: str
    seeds: int
    wrong: int
    caught: int
    right: int
    accepted: int
    diagnosed: int
    seconds: float


def limit(good: int, of: int) -> float:
    """The share of which one can be 95% sure, after `good` of `of` independent trials."""
    return float(beta.ppf(0.05, good, of - good + 1)) if good else 0.0


def share(good: int, of: int) -> str:
    """A count with its limit, as the tables show it: rounded down, as a limit must be."""
    return f"{good} of {of} (≥ {math.floor(100 * limit(good, of))}%)"


def total(rows: Iterable[Row]) -> Row:
    """All exercises together."""
    rows = list(rows)
    sums = {
        name: sum(getattr(row, name) for row in rows)
        for name in ("wrong", "caught", "right", "accepted", "diagnosed")
    }
    return Row("", "all exercises", rows[0].seeds, **sums, seconds=max(row.seconds for row in rows))


def measure(root: Path, seeds: int, on_progress: Callable[[int, int], None]) -> tuple[list[Row], list[str]]:
    """Check every answer of the bank with seeds 0, 1, ...; a row per exercise, and what went wrong.

    Raises CourseError where there is no bank.
    """
    if not (root / "tests" / "bank").is_dir():
        raise CourseError(f"There is no tests/bank below {root}: call this in a clone of the course.")
    bank = _bank(root)
    answers = [*((a, True) for a in bank.RIGHT), *((a, False) for a in bank.WRONG)]
    outcomes: dict[int, tuple[bool, bool, float]] = {}
    with ProcessPoolExecutor(
        os.cpu_count(), mp_context=multiprocessing.get_context("spawn"), initializer=_start, initargs=(root,)
    ) as pool:
        futures = {pool.submit(_try, answer, right, seeds): i for i, (answer, right) in enumerate(answers)}
        for done, future in enumerate(as_completed(futures), 1):
            outcomes[futures[future]] = future.result()
            on_progress(done, len(answers))

    rows, faults = [], []
    for name, exercise in EXERCISES.items():
        counts = dict.fromkeys(("wrong", "caught", "right", "accepted", "diagnosed"), 0)
        slowest = 0.0
        for index, (answer, right) in enumerate(answers):
            if answer.exercise != name:
                continue
            good, diagnosed, seconds = outcomes[index]
            slowest = max(slowest, seconds if right else 0.0)
            counts["right" if right else "wrong"] += 1
            counts["accepted" if right else "caught"] += good
            counts["diagnosed"] += diagnosed and not right
            if not (good and diagnosed):
                fault = "refused" if right else "accepted" if not good else "not diagnosed"
                faults.append(f"{name}, {answer.name}: {fault}")
        rows.append(Row(exercise.number, name, seeds, **counts, seconds=round(slowest, 3)))
    return rows, faults


def _bank(root: Path) -> Any:
    sys.path.insert(0, str(root / "tests"))
    import bank

    return bank


def _start(root: Path) -> None:
    torch.set_num_threads(1)
    _bank(root)


def _try(answer: Any, right: bool, seeds: int) -> tuple[bool, bool, float]:
    """Whether an answer is treated as it should be and its mistake named, with every seed; median seconds."""
    exercise, good, named, seconds = EXERCISES[answer.exercise], True, True, []
    for seed in range(seeds):
        names, started = answer.namespace(), time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            report = core.run(exercise, names, seed)
        seconds.append(time.perf_counter() - started)
        good &= math.isclose(report.points, exercise.points) == right
        named &= answer.hint in str(report)
    return good, named, statistics.median(seconds)


def store(rows: list[Row], root: Path) -> None:
    """Keep the rows where README and site quote them from."""
    record.keep(root / FILE, [asdict(row) for row in rows])


def stored(root: Path) -> list[Row]:
    """The rows of the last stored measurement, none if there is none."""
    return [Row(**row) for row in record.kept(root / FILE) or []]


def sentence(rows: Iterable[Row]) -> str:
    """The totals, as the README says them."""
    row = total(rows)
    return (
        f"with {row.seeds} seeds each, {row.caught} of {row.wrong} wrong answers are caught "
        f"(95% limit: at least {limit(row.caught, row.wrong):.1%}), "
        f"{row.accepted} of {row.right} right ones accepted (at least {limit(row.accepted, row.right):.1%}) "
        f"and {row.diagnosed} of {row.wrong} mistakes named (at least {limit(row.diagnosed, row.wrong):.1%})"
    )

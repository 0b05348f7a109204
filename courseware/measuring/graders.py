"""How good the checks are, measured on the bank (bank/) and on generated answers (see `generated`).

Every answer is checked with several seeds. A wrong answer is *caught* if no seed gives it full points, a
right one *accepted* if every seed does, and a wrong one *diagnosed* if with every seed its report holds
the hint for its misconception.

The limits are one-sided 95% Clopper-Pearson limits with one trial per answer: the answers of the bank are
no random sample of what students write, but they, not the seeds, are what there are few of.
"""

import contextlib
import io
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from scipy.stats import binomtest

import bank
from course_utils.checks import check
from course_utils.checks.judges import EXERCISES
from courseware import record

COUNTS = ("wrong", "caught", "right", "accepted", "diagnosed", "nothing", "half")


@dataclass(frozen=True)
class Tally:
    """One exercise: how many answers of each kind, and how many of them were treated as they should be."""

    number: str
    answer: str
    seeds: int
    wrong: int
    caught: int
    right: int
    accepted: int
    diagnosed: int
    seconds: float  # of a check of a right answer: the median over seeds, of the slowest answer
    nothing: int = 0  # wrong answers that keep no point with any seed
    half: int = 0  # that keep some, and at most half of the points

    def cells(self) -> tuple[str, ...]:
        """Number, answer, the three shares and the seconds, as the terminal's table shows them."""
        pairs = ((self.caught, self.wrong), (self.accepted, self.right), (self.diagnosed, self.wrong))
        return self.number, self.answer, *(share(good, of) for good, of in pairs), f"{self.seconds:.2f}"


@dataclass(frozen=True)
class Outcome:
    """What became of one answer: whether it was treated as it should be, and its mistake named; the seconds
    that it took, and the largest share of the points that it kept."""

    exercise: str
    label: str
    right: bool
    good: bool
    named: bool
    seconds: float = 0.0
    kept: float = 0.0


def limit(good: int, of: int) -> float:
    """The share of which one can be 95% sure, after `good` of `of` independent trials."""
    return float(binomtest(good, of, alternative="greater").proportion_ci(0.95).low)


def share(good: int, of: int) -> str:
    """A count with its limit, as the tables show it: rounded down, as a limit must be."""
    return f"{good} of {of} (≥ {math.floor(100 * limit(good, of))}%)"


def total(tallies: Sequence[Tally]) -> Tally:
    sums = {name: sum(getattr(tally, name) for tally in tallies) for name in COUNTS}
    slowest = max(tally.seconds for tally in tallies)
    return Tally("", "all exercises", tallies[0].seeds, **sums, seconds=slowest)


Track = Callable[[Iterable, int], Iterable]  # follows work of known length, with a bar


def measure(seeds: int, track: Track) -> tuple[list[Tally], list[str]]:
    """Check every answer of the bank, followed by `track`; a tally per exercise, and what went wrong."""
    answers = [*((a, True) for a in bank.RIGHT), *((a, False) for a in bank.WRONG)]
    return tallied(partial(_try, seeds=seeds), answers, seeds, track)


def tallied(
    work: Callable[[Any], Outcome | None], answers: Sequence[Any], seeds: int, track: Track
) -> tuple[list[Tally], list[str]]:
    """What becomes of these answers: a tally for each exercise, and a line for each fault."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), spawn, torch.set_num_threads, (1,)) as pool:
        checked = pool.map(work, answers, chunksize=8)
        outcomes = [outcome for outcome in track(checked, len(answers)) if outcome]
    tallies, faults = [], []
    for name, exercise in EXERCISES.items():
        counts, slowest = dict.fromkeys(COUNTS, 0), 0.0
        for one in outcomes:
            if one.exercise != name:
                continue
            slowest = max(slowest, one.seconds if one.right else 0.0)
            counts["right" if one.right else "wrong"] += 1
            counts["accepted" if one.right else "caught"] += one.good
            counts["diagnosed"] += one.named and not one.right
            counts["nothing"] += not one.right and not one.kept
            counts["half"] += not one.right and 0 < one.kept <= 0.5 + 1e-9
            if not (one.good and one.named):
                fault = "refused" if one.right else "accepted" if not one.good else "not diagnosed"
                faults.append(f"{name}, {one.label}: {fault}")
        if counts["right"] + counts["wrong"]:
            tallies.append(Tally(exercise.number, name, seeds, **counts, seconds=round(slowest, 3)))
    return tallies, faults


def _try(given: tuple[bank.Answer, bool], seeds: int) -> Outcome:
    """What becomes of an answer with every seed; median seconds."""
    answer, right = given
    exercise, good, named, seconds, kept = EXERCISES[answer.exercise], True, True, [], 0.0
    for seed in range(seeds):
        names, started = answer.namespace(), time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            report = check(exercise.answer, names, seed)
        seconds.append(time.perf_counter() - started)
        good &= math.isclose(report.points, exercise.points) == right
        named &= answer.hint in str(report)
        kept = max(kept, report.points / exercise.points)
    return Outcome(exercise.answer, answer.name, right, good, named, statistics.median(seconds), kept)


def sentence(tallies: Sequence[Tally]) -> str:
    """The totals, as documents and site say them."""
    whole = total(tallies)
    seeds = f"{whole.seeds} seeds" if whole.seeds > 1 else "one seed"
    return (
        f"with {seeds} each, {whole.caught} of {whole.wrong} wrong answers are caught "
        f"(95% limit: at least {limit(whole.caught, whole.wrong):.1%}), "
        f"{whole.accepted} of {whole.right} right ones accepted "
        f"(at least {limit(whole.accepted, whole.right):.1%}) and {whole.diagnosed} of {whole.wrong} "
        f"mistakes named (at least {limit(whole.diagnosed, whole.wrong):.1%})"
    )


def _treated(tallies: Sequence[Tally]) -> str:
    columns = ("exercise", "answer", "wrong caught", "right accepted", "mistakes named")
    return record.table(columns, [tally.cells()[:5] for tally in [*tallies, total(tallies)]])


def _kept(tallies: Sequence[Tally]) -> str:
    """How many wrong answers keep which share of the points."""
    columns = ("exercise", "answer", "keep nothing", "keep up to half", "keep more")
    kept = [(one, one.nothing, one.half) for one in [*tallies, total(tallies)]]
    rows = [
        (one.number, one.answer, nothing, half, one.caught - nothing - half) for one, nothing, half in kept
    ]
    return record.table(columns, [tuple(map(str, row)) for row in rows])


def _figures(
    name: str, sample: str, rows: Callable[[Sequence[Tally]], str]
) -> record.Measurement[list[Tally]]:
    return record.Measurement(
        name,
        lambda kept: [Tally(**one) for one in kept or []],
        lambda tallies: {
            name: f"{sentence(tallies).capitalize()}.\n\n{rows(tallies)}",
            f"{name} in short": f"On {sample}: {sentence(tallies)}.",
        },
    )


FIGURES = _figures("graders", "the bank of answers that we wrote", _kept)
GENERATED = _figures("generated", "generated ones, slips in form and arithmetic", _treated)

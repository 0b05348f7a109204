"""How good the checks are, measured on the bank (bank/) and on generated answers (see `generated`).

docs/graders.md says when an answer is caught, accepted, or its mistake named ("diagnosed" here). The limits
are one-sided 95% Clopper-Pearson limits with one trial per answer: of these, not of seeds, there are few.
"""

import contextlib
import io
import math
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest

import bank
from course_utils.checks import check
from course_utils.checks.judges import EXERCISES
from courseware import record

LONG = {"train": 3}  # seeds at most, where a check trains for seconds
COUNTS = ("wrong", "caught", "right", "accepted", "diagnosed")
COLUMNS = ("exercise", "answer", "wrong caught", "right accepted", "mistakes named")


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
    seconds: float  # of a processor, to check a right answer: the median over seeds, of the slowest one
    kept: Mapping[str, Sequence[str]] = field(default_factory=dict)  # the bank's wrong ones by their points

    def cells(self) -> tuple[str, ...]:
        """Number, answer, the three shares and the seconds, as the terminal's table shows them."""
        pairs = ((self.caught, self.wrong), (self.accepted, self.right), (self.diagnosed, self.wrong))
        return self.number, self.answer, *(share(good, of) for good, of in pairs), f"{self.seconds:.2f}"


@dataclass(frozen=True)
class Outcome:
    """What became of one answer: whether it was treated as it should be, and its mistake named; the seconds
    that it took, and the points that an answer of the bank kept, with each seed."""

    exercise: str
    label: str
    right: bool
    good: bool
    named: bool
    seconds: float = 0.0
    kept: tuple[float, ...] = ()


def limit(good: int, of: int) -> float:
    """The share of which one can be 95% sure, after `good` of `of` independent trials."""
    return float(binomtest(good, of, alternative="greater").proportion_ci(0.95).low)


def share(good: int, of: int) -> str:
    """A count with its limit, as the tables show it: rounded down, as a limit must be."""
    if not of:
        return "none"  # of what returns nothing, generated answers change nothing
    return f"{good} of {of} (≥ {math.floor(100 * limit(good, of))}%)"


Tallies = Sequence[Tally]
Tallied = tuple[list[Tally], list[str]]  # one for each exercise, and a line for each fault
Track = Callable[[Iterable, int], Iterable]  # follows work of known length, with a bar


def total(tallies: Tallies) -> Tally:
    sums = {name: sum(getattr(tally, name) for tally in tallies) for name in COUNTS}
    slowest = max(tally.seconds for tally in tallies)
    return Tally("", "all exercises", tallies[0].seeds, **sums, seconds=slowest)


def measure(seeds: int, track: Track) -> Tallied:
    """Check every answer of the bank, followed by `track`; a tally per exercise, and what went wrong."""
    answers = [*((a, True) for a in bank.RIGHT), *((a, False) for a in bank.WRONG)]
    return tallied(partial(_try, seeds=seeds), answers, seeds, track)


def tallied(work: Callable[[Any], Outcome | None], answers: Sequence, seeds: int, track: Track) -> Tallied:
    """What becomes of these answers; a tally per exercise, and what went wrong."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), spawn, torch.set_num_threads, (1,)) as pool:
        checked = pool.map(work, answers, chunksize=2)
        outcomes = [outcome for outcome in track(checked, len(answers)) if outcome]
    tallies, faults = [], []
    for name, exercise in EXERCISES.items():
        counts, slowest, kept = dict.fromkeys(COUNTS, 0), 0.0, dict[str, list[str]]()
        for one in (one for one in outcomes if one.exercise == name):
            slowest = max(slowest, one.seconds if one.right else 0.0)
            counts["right" if one.right else "wrong"] += 1
            counts["accepted" if one.right else "caught"] += one.good
            counts["diagnosed"] += one.named and not one.right
            if one.kept and not one.right:
                points = " to ".join(sorted({f"{points:.3g}" for points in (min(one.kept), max(one.kept))}))
                kept.setdefault(points, []).append(one.label)
            if not (one.good and one.named):
                fault = "refused" if one.right else "accepted" if not one.good else "not diagnosed"
                faults.append(f"{name}, {one.label}: {fault}")
        if counts["right"] + counts["wrong"]:
            ordered = {points: kept[points] for points in sorted(kept, key=_most)}
            looked = min(seeds, LONG.get(name, seeds))
            seconds = round(slowest, 3)
            tallies.append(Tally(exercise.number, name, looked, **counts, seconds=seconds, kept=ordered))
    return tallies, faults


def _try(given: tuple[bank.Answer, bool], seeds: int) -> Outcome:
    """What becomes of an answer with every seed; median seconds."""
    answer, right = given
    exercise, good, named, seconds, kept = EXERCISES[answer.exercise], True, True, [], []
    for seed in range(min(seeds, LONG.get(answer.exercise, seeds))):
        names, started = answer.namespace(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            report = check(exercise.answer, names, seed)
        seconds.append(time.process_time() - started)
        good &= math.isclose(report.points, exercise.points) == right
        named &= answer.hint in str(report)
        kept.append(report.points)
    return Outcome(exercise.answer, answer.name, right, good, named, statistics.median(seconds), tuple(kept))


def sentence(tallies: Tallies) -> str:
    """The totals, as documents and site say them."""
    whole = total(tallies)
    seeds = f"{whole.seeds} seeds" if whole.seeds > 1 else "one seed"
    fewer = "".join(f" ({one.number} with {one.seeds})" for one in tallies if one.seeds < whole.seeds)
    return (
        f"with {seeds} each{fewer}, {whole.caught} of {whole.wrong} wrong answers are caught "
        f"(95% limit: at least {limit(whole.caught, whole.wrong):.1%}), "
        f"{whole.accepted} of {whole.right} right ones accepted "
        f"(at least {limit(whole.accepted, whole.right):.1%}) and {whole.diagnosed} of {whole.wrong} "
        f"mistakes named (at least {limit(whole.diagnosed, whole.wrong):.1%})"
    )


def _treated(tallies: Tallies) -> str:
    return record.table(COLUMNS, [tally.cells()[:5] for tally in [*tallies, total(tallies)]])


def _kept(tallies: Tallies) -> str:
    """How many wrong answers keep which share of the points."""
    rows, every = [], np.zeros(3, int)
    for one in tallies:
        most = [_most(points) for points, names in one.kept.items() for _ in names]
        shares = np.divide(most, EXERCISES[one.answer].points)
        counts, _ = np.histogram(shares, (0, 0.001, 0.501, 1))  # nothing, up to half, more
        rows.append((one.number, one.answer, *map(str, counts)))
        every += counts
    rows.append(("", "all exercises", *map(str, every)))
    return record.table(("exercise", "answer", "keep nothing", "keep up to half", "keep more"), rows)


def _most(points: str) -> float:
    """Of '1.5', or of '1.5 to 2' where it depends on the seed."""
    return float(points.split()[-1])


def _by_mistake(tallies: Tallies) -> str:
    """What each wrong answer keeps: a row for those that keep the same."""
    rows = []
    for one in tallies:
        exercise = f"{one.number} `{one.answer}`, of {EXERCISES[one.answer].points}"
        for points, names in one.kept.items():
            rows.append((exercise, points, "; ".join(names).replace("|", "\\|")))
            exercise = ""
    return record.table(("exercise", "keeps", "mistakes"), rows)


def _figures(name: str, sample: str, rows: Callable[[Tallies], str]) -> record.Measurement[list[Tally]]:
    return record.Measurement(
        name,
        lambda kept: [Tally(**one) for one in kept or []],
        lambda tallies: {
            name: f"{sentence(tallies).capitalize()}.\n\n{rows(tallies)}",
            f"{name} in short": f"On {sample}: {sentence(tallies)}.",
            **({"kept points": _by_mistake(tallies)} if rows is _kept else {}),
        },
    )


FIGURES = _figures("graders", "the bank of answers that we wrote", _kept)
GENERATED = _figures("generated", "generated ones, slips in form and arithmetic", _treated)

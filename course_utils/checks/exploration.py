"""Section 4: a walk between two codes and a grid over the plane.

Oracles: the formulas in NumPy and float64, one point at a time, and the quantiles of the standard
library's `statistics.NormalDist`. The two ends of a walk have different lengths, so that an answer which
loses the length shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.core import Exercise, Finding, close, expect, problem_with
from course_utils.checks.evidence import Evidence, as_array, generator, record

# --- 4.1 interpolate --------------------------------------------------------------------------------

STEPS = 6


def _ends(seed: int) -> tuple[Tensor, Tensor]:
    """Two codes (3,) of lengths 1.5 and 4, between 50 and 110 degrees apart."""
    g = generator(seed, 40)
    start, other = torch.nn.functional.normalize(torch.randn(2, 3, generator=g)).unbind()
    across = torch.nn.functional.normalize(other - (other @ start) * start, dim=0)
    angle = torch.deg2rad(50 + 60 * torch.rand((), generator=g))
    return 1.5 * start, 4 * (angle.cos() * start + angle.sin() * across)


def _parallel(seed: int) -> tuple[Tensor, Tensor]:
    """Ten codes (10, 7), and ten in the same directions, 1.1 to 2 times as long."""
    start = 2 * torch.randn(10, 7, generator=generator(seed, 41))
    return start, start * torch.linspace(1.1, 2.0, 10).unsqueeze(1)


def probe_interpolate(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    start, end = _ends(seed)
    record(evidence, "straight", answer, start, end, STEPS, False)
    record(evidence, "spherical", answer, start, end, STEPS, True)
    record(evidence, "single", answer, start[:1], end[:1], 3, False)

    def parallel() -> np.ndarray:
        return np.stack([as_array(answer(a, b, 3, True)) for a, b in zip(*_parallel(seed), strict=True)])

    record(evidence, "parallel", parallel)
    return evidence


def _walk(path: Callable[[float], np.ndarray], times: Iterable[float]) -> np.ndarray:
    return np.stack([path(t) for t in times])


def judge_interpolate(seed: int, evidence: Evidence) -> list[Finding]:
    a, b = (end.double().numpy() for end in _ends(seed))
    times = [i / (STEPS - 1) for i in range(STEPS)]
    omega = math.acos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    def line(t: float) -> np.ndarray:
        return (1 - t) * a + t * b

    def sines(t: float) -> np.ndarray:
        return math.sin((1 - t) * omega) * a + math.sin(t * omega) * b

    def arc(t: float) -> np.ndarray:
        return sines(t) / math.sin(omega)

    def unit(t: float) -> np.ndarray:
        a1, b1 = a / np.linalg.norm(a), b / np.linalg.norm(b)
        return (math.sin((1 - t) * omega) * a1 + math.sin(t * omega) * b1) / math.sin(omega)

    def apart(t: float) -> np.ndarray:
        return unit(t) * ((1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b))

    def common(path: Callable[[float], np.ndarray]) -> dict[str, np.ndarray]:
        walk = _walk(path, times)
        return {
            "It runs from z_end to z_start: at t = 0 it should stand at z_start.": walk[::-1],
            "The end point is left out: the last row should be z_end.": _walk(
                path, (i / STEPS for i in range(STEPS))
            ),
            "The start is left out: the first row should be z_start.": _walk(
                path, ((i + 1) / STEPS for i in range(STEPS))
            ),
            "Both end points are left out: they belong to the walk.": _walk(
                path, ((i + 1) / (STEPS + 1) for i in range(STEPS))
            ),
            "There is one row too many: steps counts points, both ends included.": _walk(
                path, (i / STEPS for i in range(STEPS + 1))
            ),
            "The axes are swapped: one row per step, one column per dimension.": walk.T,
        }

    straight, spherical = _walk(line, times), _walk(arc, times)
    a1, b1 = a[:1], b[:1]
    return [
        expect(
            evidence,
            "straight",
            straight,
            "the straight walk has equal steps from z_start to z_end",
            0.75,
            {"This is the arc: with spherical=False the walk is straight.": spherical} | common(line),
        ),
        expect(
            evidence,
            "spherical",
            spherical,
            "the spherical walk follows the arc",
            1,
            {
                "This is the straight line, not the arc: is `spherical` used?": straight,
                "All points have length 1: the ends go into the sum as they are, unnormalised.": _walk(
                    unit, times
                ),
                "Direction and length are interpolated apart; the formula's sum does both at once.": _walk(
                    apart, times
                ),
                "The sum of sines is not divided by sin(omega).": _walk(sines, times),
            }
            | common(arc),
        ),
        _ends_are_met(evidence, a, b),
        expect(
            evidence,
            "single",
            np.stack([a1, (a1 + b1) / 2, b1]),
            "it also works in one dimension",
            0.25,
        ),
        _parallel_ends(seed, evidence),
    ]


def _ends_are_met(evidence: Evidence, a: np.ndarray, b: np.ndarray) -> Finding:
    claim = "both walks begin at z_start and end at z_end"
    for key in ("straight", "spherical"):
        problem = problem_with(evidence, key)
        if problem:
            return Finding(claim, False, 0.5, problem)
        walk = evidence[key]
        if walk.ndim != 2 or len(walk) == 0:
            return Finding(claim, False, 0.5, f"The {key} walk has shape {walk.shape}.")
        for name, row, end in (("first", walk[0], a), ("last", walk[-1], b)):
            if not close(row, end, 1e-5):
                return Finding(claim, False, 0.5, f"The {name} row of the {key} walk is another point.")
    return Finding(claim, True, 0.5)


def _parallel_ends(seed: int, evidence: Evidence) -> Finding:
    claim = "between ends of the same direction the spherical walk is the straight line"
    a, b = (end.double().numpy() for end in _parallel(seed))
    walks = np.stack([a, (a + b) / 2, b], axis=1)
    problem = problem_with(evidence, "parallel")
    if not problem and not np.isfinite(evidence["parallel"]).all():
        problem = (
            "Some points are NaN or infinite: rounding may push a cosine beyond 1, and sin(omega) may be 0."
        )
    if problem:
        return Finding(claim, False, 0.5, problem)
    return expect(evidence, "parallel", walks, claim, 0.5, tolerance=1e-3)


# --- 4.2 quantile_grid ------------------------------------------------------------------------------


def probe_quantile_grid(answer: Any, seed: int) -> Evidence:
    del seed
    evidence: Evidence = {}
    for n in (5, 4, 1):
        record(evidence, str(n), answer, n)
    return evidence


def _ticks(n: int) -> np.ndarray:
    return np.array([NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)])


def _plane(ticks: np.ndarray) -> np.ndarray:
    """Row i, column j at place i * n + j: (ticks[j], ticks[i])."""
    n = len(ticks)
    return np.array([[ticks[j], ticks[i]] for i in range(n) for j in range(n)])


def _ordering_mistakes(ticks: np.ndarray) -> dict[str, np.ndarray]:
    n = len(ticks)
    plane = _plane(ticks)
    return {
        "z1 and z2 are swapped: along a row z1 changes, and z2 stays.": plane[:, ::-1],
        "The rows run from the top: row 0 has the smallest z2.": plane.reshape(n, n, 2)[::-1].reshape(-1, 2),
        "The grid has a shape of its own: return one row per point, (n * n, 2).": plane.reshape(n, n, 2),
        "One row per point is asked for, (n * n, 2): these are its columns.": plane.T,
        "These are the n coordinates; the grid has all n * n pairs of them.": ticks,
        "These are the n points of the diagonal; the grid has all n * n pairs.": np.stack([ticks, ticks], 1),
    }


def judge_quantile_grid(seed: int, evidence: Evidence) -> list[Finding]:
    del seed
    ticks = _own_ticks(evidence)
    return [
        _spacing(evidence),
        expect(
            evidence,
            "5",
            _plane(ticks),
            "row i, column j is the point (coordinates[j], coordinates[i])",
            1,
            _ordering_mistakes(ticks),
        ),
        expect(evidence, "4", _plane(_ticks(4)), "it also works for an even number", 0.5),
        expect(evidence, "1", np.zeros((1, 2)), "a grid of one point lies at the median, 0", 0.5),
    ]


def _own_ticks(evidence: Evidence) -> np.ndarray:
    """The five coordinates that the answer uses: the order of its points is judged apart from these."""
    values = np.array([]) if problem_with(evidence, "5") else np.sort(evidence["5"].astype(float).ravel())
    groups = values.reshape(5, -1) if values.size == 50 and np.isfinite(values).all() else np.empty((0, 0))
    own = groups.mean(1) if groups.size and np.ptp(groups, axis=1).max() < 1e-4 else _ticks(5)
    return own if np.ptp(own) > 1e-3 else _ticks(5)


def _spacing(evidence: Evidence) -> Finding:
    """The values that occur, whatever their order."""
    claim = "its coordinates are the normal quantiles of (i + 1/2) / n"
    problem = problem_with(evidence, "5")
    if problem:
        return Finding(claim, False, 1, problem)
    values = np.sort(evidence["5"].astype(float).ravel())
    if not np.isfinite(values).all():
        return Finding(claim, False, 1, "Probability 0 or 1 has no finite quantile: use (i + 1/2) / n.")
    if values.size % 5:
        return Finding(claim, False, 1, f"5 coordinates are expected; it has {values.size} numbers.")
    seen = values.reshape(5, -1)
    right = _ticks(5)
    middle = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    inverse = np.vectorize(NormalDist().inv_cdf)
    mistakes = {
        "The coordinates are equally spaced: take quantiles of equally spaced probabilities.": np.linspace(
            -3, 3, 5
        ),
        "These are the probabilities: their normal quantiles are asked for.": middle,
        "This is the normal CDF; its inverse is asked for.": np.vectorize(NormalDist().cdf)(middle),
        "A factor sqrt(2) is missing: the quantile is sqrt(2) erfinv(2 p - 1).": right / math.sqrt(2),
        "These are quantiles of (i + 1) / (n + 1); use (i + 1/2) / n.": inverse(np.arange(1, 6) / 6),
        "These are quantiles from 0.05 to 0.95; use (i + 1/2) / n.": inverse(np.linspace(0.05, 0.95, 5)),
        "These are quantiles from 0.01 to 0.99; use (i + 1/2) / n.": inverse(np.linspace(0.01, 0.99, 5)),
    }
    for hint, wrong in mistakes.items():
        if close(seen, np.repeat(wrong[:, None], seen.shape[1], 1), 1e-4):
            return Finding(claim, False, 1, hint)
    holds = close(seen, np.repeat(right[:, None], seen.shape[1], 1), 1e-4)
    found = ", ".join(f"{value:.2f}" for value in seen[:, 0])
    return Finding(claim, holds, 1, "" if holds else f"For n = 5 the coordinates look like {found}.")


EXERCISES = (
    Exercise("4.1", "interpolate", 3, probe_interpolate, judge_interpolate),
    Exercise("4.2", "quantile_grid", 3, probe_quantile_grid, judge_quantile_grid),
)

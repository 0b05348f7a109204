"""Section 4: a walk between two codes, a grid over the plane, the two parts of the KL term.

Oracles: the formulas in NumPy and float64, one point at a time, the quantiles of the standard library's
`statistics.NormalDist`, and torch.distributions for densities.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
from torch import Tensor
from torch.distributions import Normal

from course_utils.checks.judges.core import Exercise, Finding, close, problem_with
from course_utils.checks.judges.gaussians import EPSILONS, altered, kls, posterior
from course_utils.checks.judges.looks import Formulas, LazyFormulas, Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes import section_4 as probes
from course_utils.checks.probes.evidence import Evidence

# --- 4.1 interpolate --------------------------------------------------------------------------------


def judge_interpolate(seed: int, evidence: Evidence) -> list[Finding]:
    """Between ends of equal length the point moves along a circle around 0 at constant speed, so its
    length stays. As the angle goes to 0, sin(t omega) / sin(omega) goes to t: the line is the limit."""
    claims = {
        "arc": ("the spherical walk follows the arc in equal steps, whatever the angle", 3),
        "line": ("unless asked otherwise the walk is straight, in equal steps, both ends included", 1),
        "parallel": ("between ends of the same direction the spherical walk is the straight line", 0.5),
        "narrow": ("it also works in one dimension", 0.5),
    }
    table = Table.of(probes.walk_looks, seed, _walks, lambda a, b, steps, *_: {"steps": steps})
    keys = {kind: [key for key in table.formulas if key.startswith(kind)] for kind in claims}
    return table.judge(evidence, *(Property(*claim, keys[kind]) for kind, claim in claims.items()))


def _walks(start: Tensor, end: Tensor, steps: int, spherical: bool = False) -> dict[str, np.ndarray]:
    """The walk (steps, d) under '', and what mistakes would give."""
    a, b = start.double().numpy(), end.double().numpy()
    t, omega = np.linspace(0, 1, steps)[:, None], _angle(a, b)
    curved = spherical and omega > 1e-3

    def walk(t: np.ndarray) -> np.ndarray:
        return _arc(a, b, t, omega) if curved else _line(a, b, t)

    walks = {"": walk(t)} | {hint: walk(times[:, None]) for hint, times in _times(steps).items()}
    if not spherical:
        arc = _arc(a, b, t, omega)
        return walks | {"This is the arc: without spherical=True the walk is straight.": arc}
    acute = math.acos(np.clip(math.cos(omega), 0, 1))
    if acute > 1e-3:
        walks["The cosine is held above 0: angles up to pi may occur."] = _arc(a, b, t, acute)
    for bound in (0.9, 0.95, 0.98, 0.99, 0.995, 0.999):
        hint = f"The cosine is held below {bound}: every angle down to 0 may occur."
        walks[hint] = _arc(a, b, t, math.acos(np.clip(math.cos(omega), -bound, bound)))
    walks["The cosine itself stands where the angle should: take its acos."] = _arc(a, b, t, math.cos(omega))
    right_angle = "The angle is always a right one: it is that between the ends."
    walks[right_angle] = _arc(a, b, t, math.pi / 2)
    if curved:
        return walks | _wrong_arcs(a, b, t)
    same, zero = "Where the ends point the same way", 0 * walks[""]
    return walks | {
        f"{same} it gives NaN: is the cosine above 1 by rounding, or the sine 0?": zero + np.nan,
        f"{same} it gives only zeros: there it should be the line.": zero,
        f"{same} it stays at z_start.": zero + a,
        f"{same} it stays at z_end.": zero + b,
    }


def _times(n: int) -> dict[str, np.ndarray]:
    """Where a walk of n points may stand by mistake."""
    t, i = np.linspace(0, 1, n), np.arange(n)
    return {
        "It runs from z_end to z_start: at t = 0 it should stand at z_start.": t[::-1],
        "The end point is left out: the last row should be z_end.": i / n,
        "The start is left out: the first row should be z_start.": (i + 1) / n,
        "Both end points are left out: they belong to the walk.": (i + 1) / (n + 1),
        "There is one row too many: steps counts points, both ends included.": np.linspace(0, 1, n + 1),
        "There is one row too few: steps counts points, both ends included.": np.linspace(0, 1, n - 1),
        "It always takes ten steps: use `steps`.": np.linspace(0, 1, 10),
        "The last step is longer: n points are n - 1 steps apart.": np.append(i[:-1] / n, 1),
        "The steps are not equal in t: they begin and end slowly.": 3 * t**2 - 2 * t**3,
        "The steps are not equal in t: they begin and end slowly, as a cosine does.": (
            (1 - np.cos(math.pi * t)) / 2
        ),
        "The steps are not equal in t: they grow, as t squared does.": t**2,
        "The steps are not equal in t: they shrink, as those of its root do.": np.sqrt(t),
    }


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    return math.acos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))


def _line(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    return (1 - t) * a + t * b


def _arc(a: np.ndarray, b: np.ndarray, t: np.ndarray, omega: float) -> np.ndarray:
    """The spherical walk from a to b (d,) at the times t (n, 1)."""
    return (np.sin((1 - t) * omega) * a + np.sin(t * omega) * b) / math.sin(omega)


def _wrong_arcs(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> dict[str, np.ndarray]:
    line, omega, short, long = _line(a, b, t), _angle(a, b), np.linalg.norm(a), np.linalg.norm(b)
    arc, sine, walks = _arc(a, b, t, omega), math.sin(omega), {}
    for bound in (*probes.ANGLES[:-1], 0.1):  # the last is near to pi
        if omega < bound + 0.01:
            hint = f"For angles up to {bound} radians or more it is the line: that is for an angle of 0."
            walks[hint] = line
        if bound < 1 and min(omega, math.pi - omega) < bound + 0.01:
            hint = f"For angles up to {bound} radians or more, and so near to pi, it is the line."
            walks[hint] = line
    walks["This is the straight line: is `spherical` used, and the cosine divided by both lengths?"] = line
    walks["The angle stands outside the sine: it is the sine of t times omega."] = (
        omega * (np.sin(1 - t) * a + np.sin(t) * b) / sine
    )
    cosine = math.cos(omega) * short * long
    inside = _arc(a, b, t, math.acos(cosine)) if abs(cosine) <= 1 else line + np.nan
    hint = "The cosine is not divided by both lengths."
    walks[hint] = inside
    walks[f"{hint} Above 1 it is the straight line."] = inside if cosine < 1 else line
    walks[f"{hint} Above 1 and below -1 it is the straight line."] = inside if abs(cosine) < 1 else line
    for k in range(2, 7):
        hint = f"1e-{k} is added to sin(omega): that is not small beside the sine of a small angle."
        walks[hint] = arc * sine / (sine + 10.0**-k)
    chord, unit = line / np.linalg.norm(line, axis=1, keepdims=True), _arc(a / short, b / long, t, omega)
    length, chords = (1 - t) * short + t * long, "These are points of the straight line, brought to"
    return walks | {
        "All points have the length of z_start: the ends go into the sum as they are.": unit * short,
        "The sine of the angle is sqrt(1 - cos^2), the cosine squared.": (
            arc * sine / math.sqrt(1 - math.cos(omega))
        ),
        "All points have length 1: the ends go into the sum as they are, unnormalised.": unit,
        "Direction and length are interpolated apart; the formula's sum does both at once.": unit * length,
        "The direction follows the arc, and the length is a geometric mean of both.": (
            unit * short ** (1 - t) * long**t
        ),
        "The sum of sines is not divided by sin(omega).": arc * sine,
        "The sum of sines is divided by omega, not by its sine.": arc * sine / omega,
        "The angle is in degrees: sines take radians.": _arc(a, b, t, math.degrees(omega)),
        "Where the ends are more than a right angle apart, z_end has changed its sign.": (
            arc if omega < math.pi / 2 else _arc(a, -b, t, math.pi - omega)
        ),
        f"{chords} length 1: follow the arc instead.": chord,
        f"{chords} another length: follow the arc instead.": chord * length,
        f"{chords} the first length: follow the arc instead.": chord * short,
        "Its weights are a cosine and a sine, which only a right angle has.": (
            np.cos(t * omega) * a + np.sin(t * omega) * b
        ),
    }


# --- 4.2 quantile_grid ------------------------------------------------------------------------------


def judge_quantile_grid(seed: int, evidence: Evidence) -> list[Finding]:
    """Quantiles of equally spaced probabilities lie in cells of equal mass, so each image stands for as
    many codes as the next. The half keeps the outermost ones away from infinity."""
    odd, others = probes.sizes(seed)
    taken: Evidence = {}
    for n in odd + others:
        taken |= _taken_apart(evidence, n)
    formulas = {f"coordinates {n}": _coordinates(n, taken, max(odd)) for n in odd + others}
    formulas |= {f"order {n}": _orders(n) for n in odd + others}
    table = Table(formulas, {key: {"coordinates": int(key.split()[1])} for key in formulas}, 1e-4)
    claim = "its coordinates are the normal quantiles of (i + 1/2) / n"
    return table.judge(
        evidence | taken,
        Property(
            claim, 3, [f"coordinates {n}" for n in odd], _probabilities(taken[f"coordinates {max(odd)}"])
        ),
        Property("row i, column j is (coordinates[j], coordinates[i])", 1.5, [f"order {n}" for n in odd]),
        Property(
            "it also works for even numbers, for 51, for 2, and for a single point at the median",
            0.5,
            [f"{kind} {n}" for n in others for kind in ("coordinates", "order")],
        ),
    )


def _taken_apart(evidence: Evidence, n: int) -> Evidence:
    """The coordinates (n,) of a grid, from the smallest up, and in the shape of the grid the place of each
    number among them; of what is no grid, the sentence that says so."""
    problem = problem_with(evidence, f"{n}")
    if not problem:
        grid = evidence[f"{n}"].astype(float)
        values = np.sort(grid.ravel())
        even = values.size == 2 * n * n and not (np.ptp(values.reshape(n, -1), 1) > 1e-4).any()
        ticks = values.reshape(n, -1).mean(1) if even else values[np.diff(values, prepend=-np.inf) > 1e-4]
        if len(ticks) == n:
            order = np.abs(grid[..., None] - ticks).argmin(-1)
            if grid.shape == (n * n, 2) and not np.isfinite(grid).all():
                order = np.array("Among numbers that are NaN or infinite no order can be seen.")
            return {f"coordinates {n}": ticks, f"order {n}": order}
        problem = f"For n = {n} it has {len(ticks)} different coordinates, and its shape is {grid.shape}."
    return dict.fromkeys((f"coordinates {n}", f"order {n}"), np.array(problem))


def _quantiles(p: np.ndarray) -> np.ndarray:
    """Of N(0, 1), at probabilities from 0 to 1."""
    ends = {0.0: -math.inf, 1.0: math.inf}
    return np.array([ends[x] if x in ends else NormalDist().inv_cdf(x) for x in p.clip(0, 1)])


def _coordinates(n: int, taken: Evidence, largest: int) -> Formulas:
    """The coordinates (n,), and what mistakes would give; some are known by what was seen."""
    i = np.arange(n)
    middle = (i + 0.5) / n
    right, cdf = _quantiles(middle), np.vectorize(NormalDist().cdf)
    formulas = {
        "": right,
        "These are the probabilities: their normal quantiles are asked for.": middle,
        "This is the normal CDF; its inverse is asked for.": cdf(middle),
        "A factor sqrt(2) is missing: the quantile is sqrt(2) erfinv(2 p - 1).": right / math.sqrt(2),
        "Probability 0 has no finite quantile: use (i + 1/2) / n.": _quantiles(i / n),
        "Probability 1 has no finite quantile: use (i + 1/2) / n.": _quantiles((i + 1) / n),
        "Probability 0 or 1 has no finite quantile: use (i + 1/2) / n.": _quantiles(np.linspace(0, 1, n)),
    }
    for e in EPSILONS[:7]:
        hint = f"Probabilities from 0 to 1 are kept {e:.0e} away from both: use (i + 1/2) / n."
        formulas[hint] = _quantiles(np.linspace(0, 1, n).clip(e, 1 - e))
    with np.errstate(all="ignore"):
        formulas["These are quantiles of the logistic distribution, not of the normal one."] = np.log(
            middle / (1 - middle)
        )
    for sigma in (2, 3):
        formulas[f"These are quantiles of N(0, {sigma}^2): sigma is 1."] = sigma * right
    own, shown = (taken[f"coordinates {count}"] for count in (n, largest))
    said = _probabilities(shown)
    if not said or own.dtype.kind == "U":
        return formulas

    def straightened(p: np.ndarray) -> np.ndarray:
        """The same at both ends and next to them, and equally spaced in between."""
        return np.array([*p[:1], *np.linspace(p[1], p[-2], len(p) - 2), *p[-1:]]) if len(p) > 2 else p

    if close(np.diff(shown), np.full(largest - 1, shown[1] - shown[0]), 1e-4):
        hint = "The coordinates are equally spaced: take quantiles of equally spaced probabilities."
        formulas[hint] = np.linspace(own[0], own[-1], n)
    elif close(cdf(shown), straightened(cdf(shown)), 1e-5):
        formulas[said] = _quantiles(straightened(cdf(own)))
    return formulas


def _probabilities(shown: np.ndarray) -> str:
    """At which probabilities coordinates lie, if these are numbers that differ."""
    if shown.dtype.kind == "U" or not 0 < np.ptp(shown) < np.inf:
        return ""
    n = len(shown)
    pair = np.vectorize(NormalDist().cdf)(shown), (np.arange(n) + 0.5) / n
    seen, right = (f"{p[0]:.3f} over {p[1]:.3f} to {p[-1]:.3f}" for p in pair)
    if seen == right:
        return ""
    return (
        f"For n = {n} the probabilities of your coordinates run from {seen}; (i + 1/2) / n runs from {right}."
    )


def _orders(n: int) -> Formulas:
    """Row i, column j at place i * n + j: the places (j, i) of its coordinates; and other arrangements."""
    plane = np.array([[j, i] for i in range(n) for j in range(n)])
    square = plane.reshape(n, n, 2)
    apart, once = np.moveaxis(square, 2, 0), np.argwhere(np.triu(np.ones((n, n))))
    torn = "z1 and z2 are torn apart: a pair has to lie side by side before you reshape."
    return {
        "": plane,
        "z1 and z2 are swapped: along a row z1 changes, and z2 stays.": plane[:, ::-1],
        "The rows run from the top: row 0 should have the smallest z2.": square[::-1].reshape(-1, 2),
        "z1 falls along a row: it should grow to the right.": square[:, ::-1].reshape(-1, 2),
        "z1 falls along a row, and the rows run from the top: both should grow.": plane[::-1],
        "The grid has a shape of its own: return one row per point, (n * n, 2).": square,
        "The grid is in two layers: return one row per point, (n * n, 2).": apart,
        "One row per point is asked for, (n * n, 2): these are its columns.": plane.T,
        "These are the n coordinates; the grid has all n * n pairs of them.": np.arange(n),
        "These are the n points of the diagonal; the grid has all n * n pairs.": plane[:: n + 1],
        "Each pair of coordinates stands there once; the grid has both orders.": once,
        "Pairs of a coordinate with itself are missing, and each other pair stands there once.": (
            once[once[:, 0] < once[:, 1]]
        ),
        torn: apart.reshape(-1, 2),
        f"{torn} (And z1 and z2 are swapped.)": apart[::-1].reshape(-1, 2),
    }


# --- 4.4 kl_decomposition ---------------------------------------------------------------------------


def judge_kl_decomposition(seed: int, evidence: Evidence) -> list[Finding]:
    """log q(z) enters once with each sign, so the two parts add up to the estimate of the whole KL.
    Measured on N images the first cannot exceed log N, however much the codes say."""
    formulas, sizes, seen = {}, {}, {}
    for case, known in Table.of(probes.part_looks, seed, _parts).formulas.items():
        n, d = probes.CASES[case]
        for part, key in enumerate(_keys(case)):
            formulas[key] = LazyFormulas(partial(_of_part, known, part))
            sizes[key] = {"images": n, "latent dimensions": d}
            seen[key] = evidence[case] if problem_with(evidence, case) else evidence[case][part]
    information, marginal = _keys(*probes.USUAL)[::2], _keys(*probes.USUAL)[1::2]
    far, few = _keys("wide", "narrow"), _keys("one", "near")
    properties = (
        Property("first comes the mutual information, the mean of log q(z|x) - log q(z)", 3, information),
        Property("then comes the marginal KL, the mean of log q(z) - log p(z)", 1, marginal),
        Property("both stay right in 150 dimensions, and for very narrow and wide q(z|x)", 0.5, far),
        Property("so they do for one image in one dimension, and where they fall below 0", 0.5, few),
    )
    return Table(formulas, sizes, 3e-4).judge(evidence | seen, *properties)


def _of_part(known: Formulas, part: int) -> Iterator[Any]:
    yield known[""][part]
    yield {hint: parts[part] for hint, parts in known.items()}


def _keys(*cases: str) -> list[str]:
    """Of the mutual information and of the marginal KL, case by case."""
    return [f"{case}, {part}" for case in cases for part in ("information", "marginal")]


def _log_densities(z: Tensor, mu: Tensor, logvar: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """log q(z_n|x_m) as (n, m, d) and log p(z_n) as (n, d), in float64."""
    z = z.double()
    return posterior(mu, logvar).log_prob(z.unsqueeze(1)).numpy(), Normal(0.0, 1.0).log_prob(z).numpy()


def _log_mean_exp(values: np.ndarray, axis: int = 1) -> np.ndarray:
    return np.logaddexp.reduce(values, axis) - math.log(values.shape[axis])


def _means(own: np.ndarray, aggregate: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """Mutual information and marginal KL (2,) from log q(z_n|x_n), log q(z_n) and log p(z_n), each (N,)."""
    return np.array([(own - aggregate).mean(), (aggregate - log_p).mean()])


def _by_densities(pairs: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The same from log q(z_n|x_m) as (n, m, d) and log p(z_n) as (n, d)."""
    matrix = pairs.sum(2)
    return _means(matrix.diagonal(), _log_mean_exp(matrix), prior.sum(1))


def _parts(z: Tensor, mu: Tensor, logvar: Tensor) -> Iterator[Any]:
    """Mutual information and marginal KL (2,), and what mistakes would give."""
    (n, d), of = z.shape, _by_densities
    pairs, prior = _log_densities(z, mu, logvar)
    right = of(pairs, prior)
    yield right
    matrix, log_p = pairs.sum(2), prior.sum(1)
    own, largest, total = matrix.diagonal(), matrix.max(1), np.logaddexp.reduce(matrix, 1)
    others = np.logaddexp.reduce(np.where(np.eye(n, dtype=bool), -np.inf, matrix), 1)
    weighted = np.exp(matrix - total[:, None]) * matrix
    by_dimension, mixed = _log_mean_exp(pairs), _log_mean_exp(pairs.reshape(d, n, n).sum(0))
    constant = 0.5 * math.log(2 * math.pi)
    exact = kls(mu, logvar).sum(1).mean().item()
    square, variance = (z.double().unsqueeze(1) - mu).numpy() ** 2 / 2, logvar.double().exp().numpy()
    no_square, mean = pairs + square / variance, mu.double()
    single = Normal(mean.mean(0), (logvar.double().exp().mean(0) + mean.var(0, correction=0)).sqrt())
    fitted = Normal(z.double().mean(0), z.double().std(0, correction=0).clamp(min=1e-300))
    within = Normal(mean.mean(0), logvar.double().exp().mean(0).sqrt())
    underflow = "exp(log q) is 0 here: use torch.logsumexp"
    apart = _means(np.diagonal(pairs).T, by_dimension, prior)
    aggregates = {
        "In q(z) each code meets all means with its own image's logvar: each mean has its own.": (
            _log_mean_exp(posterior(mu, logvar.unsqueeze(1)).log_prob(z.double().unsqueeze(1)).numpy().sum(2))
        ),
        "In q(z) each code meets all logvars with its own image's mean: each logvar has its own.": (
            _log_mean_exp(posterior(mu.unsqueeze(1), logvar).log_prob(z.double().unsqueeze(1)).numpy().sum(2))
        ),
        "- log N is missing: q(z) is the mean of N densities, not their sum.": total,
        "log N is added: q(z) is the mean of N densities, so log N is subtracted.": total + math.log(n),
        "log d is subtracted: q(z) is a mean over N images, so it is log N.": total - math.log(d),
        "The logs are averaged: q(z) is a mean of densities, so its log is a logsumexp.": matrix.mean(1),
        "This is the whole KL. The prior stands where q(z) should, the mean of all N posteriors.": log_p,
        "Each image's own posterior belongs to q(z) as well: leave none out.": others - np.log(n - 1.0),
        "Each image's own posterior belongs to q(z), as one of N: leave none out.": others - math.log(n),
        "The sum runs over the wrong axis: one z, the posteriors of all images.": _log_mean_exp(matrix, 0),
        "All pairs are in one sum: each z has a q(z) of its own.": np.logaddexp.reduce(total) - math.log(n),
        "All pairs are in one mean: each z has a q(z) of its own.": (
            np.logaddexp.reduce(total) - 2 * math.log(n)
        ),
        "Each code meets its own posterior only: q(z) has those of all images.": _log_mean_exp(own, 0),
        "The logs are weighted by their softmax: q(z) is the plain mean of N densities.": weighted.sum(1),
        "A softmax compares the posteriors with each other; q(z) is their mean.": own - total,
        "In q(z) logvar is halved, as if it were log sigma: it is log sigma^2.": _log_mean_exp(
            posterior(mu, logvar / 2).log_prob(z.double().unsqueeze(1)).numpy().sum(2)
        ),
        "Only the largest density counts here: q(z) is the mean of all N.": largest,
        "Only the largest density counts here, as one of N: q(z) is the mean of all.": largest - math.log(n),
        "Each dimension has an aggregate of its own: sum over dimensions first.": by_dimension.sum(1),
        "Dimensions and images are mixed up: view and reshape do not swap axes.": mixed,
        **{
            f"Only the first {m} posteriors belong to q(z) here: it is the mean of all N.": (
                _log_mean_exp(matrix[:, :m])
            )
            for m in (10, 16, 32, 50, 64, 100, 128)
        },
        f"{underflow}.": np.log(np.exp(matrix.astype(np.float32)).astype(float).sum(1) / n),
        "One Gaussian stands for q(z), which is the mean of all N densities.": (
            single.log_prob(z.double()).sum(1).numpy()
        ),
        "One Gaussian fitted to the codes stands for q(z), which is the mean of all N densities.": (
            fitted.log_prob(z.double()).sum(1).numpy()
        ),
        "One Gaussian with the mean variance stands for q(z), the mean of all N densities.": (
            within.log_prob(z.double()).sum(1).numpy()
        ),
    }
    for floor in (-10, -20, -30, -50, -100):
        hint = f"log q(z) is held above {floor}: it may be any number."
        aggregates[hint] = np.maximum(total - math.log(n), floor)
    for e in EPSILONS:
        hint = f"{underflow}, and put no small constant ({e:.0e})"
        aggregates[f"{hint} into the log."] = np.log(np.exp(total) + e) - math.log(n)
        aggregates[f"{hint} beside the mean."] = np.log(np.exp(total) / n + e)
    for size in (10_000, 50_000, 60_000, 70_000):
        hint = f"log {size} is subtracted as well: N is the number of codes given here."
        aggregates[hint] = total - math.log(n * size)
    each = np.array([own - total + math.log(n), total - math.log(n) - log_p])
    yield {
        "These are numbers per image: take their mean.": each,
        "This is the other of the two results: the mutual information comes first.": right[::-1],
        "The sign is turned: log q(z|x) - log q(z) first, then log q(z) - log p(z).": -right,
        "Averaged over dimensions: the log-density of a vector is a sum over its dimensions.": (
            of(pairs / d, prior / d)
        ),
        "The dimensions are kept apart: sum each log-density over them before anything else.": apart,
        "Summed over images: take the mean.": n * right,
        "Your sigma is exp(logvar); logvar is log sigma^2.": of(*_log_densities(z, mu, 2 * logvar)),
        "Your variance is exp(logvar / 2); logvar is log sigma^2.": of(*_log_densities(z, mu, logvar / 2)),
        "The square is divided by sigma^4: divide by sigma^2.": of(no_square - square / variance**2, prior),
        "The square is divided by sigma: divide by sigma^2.": of(no_square - square / variance**0.5, prior),
        "The 1/2 in front of the log-densities is missing.": of(2 * pairs, 2 * prior),
        "The densities are those of the means: put in the samples z.": of(*_log_densities(mu, mu, logvar)),
        "log p is taken at mu: put in the samples z.": of(pairs, _log_densities(mu, mu, logvar)[1]),
        "log p(z) has the means of the posteriors: the prior's are 0.": of(
            pairs, Normal(mean, 1.0).log_prob(z.double()).numpy()
        ),
        "log p(z) has the variances of the posteriors: the prior's are 1.": of(
            pairs, posterior(0 * mu, logvar).log_prob(z.double()).numpy()
        ),
        "log p(z) is that of logvar = 1: log 1 = 0 is that of N(0, 1).": of(
            pairs, Normal(0.0, math.exp(0.5)).log_prob(z.double()).numpy()
        ),
        "The densities lack their normalisation, - logvar / 2.": of(pairs + np.log(variance) / 2, prior),
        "log p(z) lacks the log(2 pi) that log q has.": of(pairs, prior + constant),
        "log q lacks the log(2 pi) that log p(z) has.": of(pairs + constant, prior),
        "The largest density stands for log q(z|x): it is the image's own.": (
            _means(largest, total - math.log(n), log_p)
        ),
        "This is the whole KL, not yet one of its two parts.": np.array([right[0], right.sum()]),
        "This is the closed form of the whole KL, of which the mutual information is a part.": np.array(
            [right[0], exact]
        ),
        "This is the closed form of the whole KL: take densities at the samples z.": np.array(
            [exact, right[1]]
        ),
        "This is what is left of the closed form: take densities at the samples z.": exact - right[::-1],
        "These are bits: take natural logarithms.": right / math.log(2),
        "Negative numbers have become 0: an estimate may fall below 0.": right.clip(0),
        **altered(lambda mu, logvar: of(*_log_densities(z, mu, logvar)), mu, logvar),
    } | {hint: _means(own, aggregate, log_p) for hint, aggregate in aggregates.items()}


EXERCISES = (
    Exercise("4.1", "interpolate", 3, judge_interpolate, ("evaluation.interpolate",)),
    Exercise(
        "4.2",
        "quantile_grid",
        3,
        judge_quantile_grid,
        ("evaluation.normal_quantiles", "evaluation.plane_points"),
    ),
    Exercise("4.4", "kl_decomposition", 3, judge_kl_decomposition, ("evaluation.kl_decomposition",)),
    prediction(
        "4.5",
        "predict_surgery",
        probes.SURGERY_OFFERED,
        "Mutual information pays for itself: the decoder that knows which image is meant rebuilds it "
        "better. The marginal KL is a cost without a return, and training holds it down.",
        "Training goes on by telling more images apart. That is mutual information; the gaps between the "
        "codes grow only as far as they cannot be avoided.",
        "Measured on N images it is at most log N. Where codes of different images hardly overlap it "
        "stands near this limit, and four times as many images raise the limit by log 4 = 1.39 nats.",
    ),
)

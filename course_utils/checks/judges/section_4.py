"""Section 4: a walk between two codes, a grid over the plane, the two parts of the KL term.

Oracles: the formulas in NumPy and float64, one point at a time, the quantiles of the standard library's
`statistics.NormalDist`, and torch.distributions for densities. The two ends of a walk have different
lengths, so that an answer which loses the length shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import NormalDist

import numpy as np
from torch import Tensor
from torch.distributions import Normal

from course_utils.checks.judges.core import (
    Exercise,
    Finding,
    close,
    diagnosis,
    expect,
    problem_with,
    unless,
)
from course_utils.checks.judges.gaussians import kls, posterior
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import CHANGED, Evidence
from course_utils.checks.probes.section_4 import (
    ACUTE,
    CASES,
    STEPS,
    SURGERY_OFFERED,
    end_points,
    parallel_ends,
    samples,
    sizes,
)

# --- 4.1 interpolate --------------------------------------------------------------------------------


def _times(steps: int) -> np.ndarray:
    return np.linspace(0, 1, steps)[:, None]


def _arc(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The spherical walk from a to b (d,) at the times t (n, 1)."""
    omega = math.acos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return (np.sin((1 - t) * omega) * a + np.sin(t * omega) * b) / math.sin(omega)


def _wrong_times(path: Callable[[np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    """Likely mistakes in where a walk begins, how it runs and where it ends."""
    walk, longer = path(_times(STEPS)), path(_times(STEPS + 1))
    return {
        "It runs from z_end to z_start: at t = 0 it should stand at z_start.": walk[::-1],
        "The end point is left out: the last row should be z_end.": longer[:-1],
        "The start is left out: the first row should be z_start.": longer[1:],
        "Both end points are left out: they belong to the walk.": path(_times(STEPS + 2))[1:-1],
        "There is one row too many: steps counts points, both ends included.": longer,
        "It always takes ten steps: use `steps`.": path(_times(10)),
        "The axes are swapped: one row per step, one column per dimension.": walk.T,
    }


def judge_interpolate(seed: int, evidence: Evidence) -> list[Finding]:
    a, b = (end.double().numpy() for end in end_points(seed))
    near_a, near_b = (end.double().numpy() for end in end_points(seed, ACUTE))
    first, last = (end.double().numpy() for end in parallel_ends(seed))
    t, lengths = _times(STEPS), np.linalg.norm([a, b], axis=1)
    sin_omega = np.linalg.norm(np.cross(a, b)) / lengths.prod()

    def line(t: np.ndarray) -> np.ndarray:
        return (1 - t) * a + t * b

    straight, spherical = line(t), _arc(a, b, t)
    unit, length = _arc(a / lengths[0], b / lengths[1], t), (1 - t) * lengths[0] + t * lengths[1]
    chord = straight / np.linalg.norm(straight, axis=1, keepdims=True)
    long = chord * length
    lines = {"This is the arc: without spherical=True the walk is straight.": spherical} | _wrong_times(line)
    arcs = _wrong_times(lambda t: _arc(a, b, t)) | {
        "This is the straight line: is `spherical` used, and the cosine divided by both lengths?": straight,
        "All points have length 1: the ends go into the sum as they are, unnormalised.": unit,
        "Direction and length are interpolated apart; the formula's sum does both at once.": unit * length,
        "The sum of sines is not divided by sin(omega).": spherical * sin_omega,
        "These are points of the straight line, brought to length 1: follow the arc instead.": chord,
        "These are points of the straight line, brought to another length: follow the arc instead.": long,
    }
    by_line = "the straight walk, taken unless asked otherwise, has equal steps from z_start to z_end"
    by_arc = "the spherical walk follows the arc"
    same = "between ends of the same direction the spherical walk is the straight line"
    followed = expect(evidence, "spherical", spherical, by_arc, 1, arcs)
    single, parallel = line(_times(3))[:, :1], np.stack([first, (first + last) / 2, last], axis=1)
    met = "both walks begin at z_start and end at z_end, which stay as they are"
    return [
        expect(evidence, "straight", straight, by_line, 0.75, lines),
        _also_narrow(followed, evidence, _arc(near_a, near_b, t)),
        unless(met, 0.5, _ends_hint(evidence, a, b)),
        expect(evidence, "single", single, "it also works in one dimension", 0.25),
        expect(evidence, "parallel", parallel, same, 0.5, tolerance=1e-3),
    ]


def _also_narrow(finding: Finding, evidence: Evidence, walk: np.ndarray) -> Finding:
    """The finding, unless the arc is left where the ends are less than a right angle apart."""
    problem = problem_with(evidence, "acute")
    if not finding.holds or (not problem and close(evidence["acute"], walk, 1e-4)):
        return finding
    hint = "Only wide angles follow the arc: the line is for ends of the same direction alone."
    return replace(finding, holds=False, hint=problem or hint)


def _ends_hint(evidence: Evidence, a: np.ndarray, b: np.ndarray) -> str:
    """'' where both walks begin at a and end at b."""
    for key in ("straight", "spherical"):
        problem = problem_with(evidence, key)
        if problem:
            return problem
        walk = evidence[key]
        if not close(evidence[f"{key} ends"], [a, b], 1e-7):
            return CHANGED
        if walk.ndim != 2 or len(walk) == 0:
            return f"The {key} walk has shape {walk.shape}."
        for name, row, end in (("first", walk[0], a), ("last", walk[-1], b)):
            if not close(row, end, 1e-5):
                return f"The {name} row of the {key} walk is another point."
    return ""


# --- 4.2 quantile_grid ------------------------------------------------------------------------------


def _ticks(n: int) -> np.ndarray:
    return np.array([NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)])


def _plane(ticks: np.ndarray) -> np.ndarray:
    """Row i, column j at place i * n + j: (ticks[j], ticks[i])."""
    n = len(ticks)
    return np.array([[ticks[j], ticks[i]] for i in range(n) for j in range(n)])


def judge_quantile_grid(seed: int, evidence: Evidence) -> list[Finding]:
    odd, even = sizes(seed)
    spacing, order = (
        _first(hint(evidence, key, n) for key, n in odd.items()) for hint in (_spacing_hint, _order_hint)
    )
    both = _first(_even_hint(evidence, key, n, order) for key, n in even.items())
    return [
        unless("its coordinates are the normal quantiles of (i + 1/2) / n", 1, spacing),
        unless("row i, column j is the point (coordinates[j], coordinates[i])", 1, order),
        unless("it also works for an even number, and for a single point at the median", 1, both),
    ]


def _first(hints: Iterable[str]) -> str:
    """The first hint that there is, or ''."""
    return next(filter(None, hints), "")


def _even_hint(evidence: Evidence, key: str, n: int, order: str) -> str:
    """Both properties at once; a mistaken `order` that was told already costs nothing here."""
    ordering = _order_hint(evidence, key, n)
    return _spacing_hint(evidence, key, n) or ("" if ordering == order else ordering)


def _spacing_hint(evidence: Evidence, key: str, n: int) -> str:
    """What is wrong with the values that occur, whatever their order."""
    problem = problem_with(evidence, key)
    if problem:
        return problem
    values = np.sort(evidence[key].astype(float).ravel())
    if values.size == 0 or values.size % n:
        return f"{n} coordinates are expected; it has {values.size} numbers."
    if not np.isfinite(values).all():
        return "Probability 0 or 1 has no finite quantile: use (i + 1/2) / n."
    seen, right = values.reshape(n, -1), _ticks(n)
    if close(seen, np.repeat(right[:, None], seen.shape[1], 1), 1e-4):
        return ""
    ticks = seen.mean(1)
    middle, shares = (np.arange(n) + 0.5) / n, np.vectorize(NormalDist().cdf)
    equal, p = np.linspace(ticks[0], ticks[-1], n), shares(ticks)
    mistakes = {
        "These are the probabilities: their normal quantiles are asked for.": middle,
        "This is the normal CDF; its inverse is asked for.": shares(middle),
        "A factor sqrt(2) is missing: the quantile is sqrt(2) erfinv(2 p - 1).": right / math.sqrt(2),
        "The coordinates are equally spaced: take quantiles of equally spaced probabilities.": equal,
    }
    hint = diagnosis({"ticks": ticks}, "ticks", mistakes)
    if hint is None and close(p, np.linspace(p[0], p[-1], n), 1e-4):
        return (
            f"Your n = {n} probabilities run from {p[0]:.3f} to {p[-1]:.3f}; "
            f"(i + 1/2) / n runs from {middle[0]:.3f} to {middle[-1]:.3f}."
        )
    found = ", ".join(f"{tick:.2f}" for tick in ticks[:5])
    return hint or f"For n = {n} the coordinates look like {found} ..."


def _order_hint(evidence: Evidence, key: str, n: int) -> str:
    """What is wrong with the points' order, whatever the coordinates: the answer's own where it has n."""
    ticks = _ticks(n)
    values = np.array([]) if problem_with(evidence, key) else np.sort(evidence[key].astype(float).ravel())
    if values.size == 2 * n * n and np.isfinite(values).all():
        groups = values.reshape(n, -1)
        own = groups.mean(1)
        if np.ptp(groups, axis=1).max() < 1e-4 and np.ptp(own) > 1e-3:
            ticks = own
    plane = _plane(ticks)
    square = plane.reshape(n, n, 2)
    apart = np.moveaxis(square, 2, 0)
    torn = "z1 and z2 are torn apart: a pair has to lie side by side before you reshape."
    mistakes = {
        "z1 and z2 are swapped: along a row z1 changes, and z2 stays.": plane[:, ::-1],
        "The rows run from the top: row 0 has the smallest z2.": square[::-1].reshape(-1, 2),
        "z1 falls along a row: it should grow to the right.": square[:, ::-1].reshape(-1, 2),
        "The grid has a shape of its own: return one row per point, (n * n, 2).": square,
        "The grid is in two layers: return one row per point, (n * n, 2).": apart,
        "One row per point is asked for, (n * n, 2): these are its columns.": plane.T,
        "These are the n coordinates; the grid has all n * n pairs of them.": ticks,
        "These are the n points of the diagonal; the grid has all n * n pairs.": np.stack([ticks, ticks], 1),
        torn: apart.reshape(-1, 2),
        f"{torn} (And z1 and z2 are swapped.)": apart[::-1].reshape(-1, 2),
    }
    return expect(evidence, key, plane, "", 1, mistakes).hint


# --- 4.3 kl_decomposition ---------------------------------------------------------------------------


def _log_densities(z: Tensor, mu: Tensor, logvar: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """log q(z_n|x_m) as (n, m, d) and log p(z_n) as (n, d), in float64."""
    z = z.double()
    return posterior(mu, logvar).log_prob(z.unsqueeze(1)).numpy(), Normal(0.0, 1.0).log_prob(z).numpy()


def _log_mean_exp(values: np.ndarray, axis: int = 1) -> np.ndarray:
    return np.logaddexp.reduce(values, axis) - math.log(values.shape[axis])


def _means(own: np.ndarray, aggregate: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """Mutual information and marginal KL (2,) from log q(z_n|x_n), log q(z_n) and log p(z_n), each (N,)."""
    return np.array([(own - aggregate).mean(), (aggregate - log_p).mean()])


def _parts(z: Tensor, mu: Tensor, logvar: Tensor) -> dict[str, np.ndarray]:
    """Mutual information and marginal KL (2,): the right ones under '', likely wrong ones by their hint."""
    n, d = z.shape
    pairs, prior = _log_densities(z, mu, logvar)
    matrix, log_p = pairs.sum(2), prior.sum(1)
    own, largest, total = matrix.diagonal(), matrix.max(1), np.logaddexp.reduce(matrix, 1)
    others = np.logaddexp.reduce(np.where(np.eye(n, dtype=bool), -np.inf, matrix), 1)
    weighted = np.exp(matrix - total[:, None]) * matrix
    by_dimension, mixed = _log_mean_exp(pairs), _log_mean_exp(pairs.reshape(d, n, n).sum(0))
    constant = 0.5 * math.log(2 * math.pi)
    exact = kls(mu, logvar).sum(1).mean().item()
    square, variance = (z.double().unsqueeze(1) - mu).numpy() ** 2 / 2, logvar.double().exp().numpy()
    no_square = pairs + square / variance

    def of(pairs: np.ndarray, prior: np.ndarray) -> np.ndarray:
        matrix = pairs.sum(2)
        return _means(matrix.diagonal(), _log_mean_exp(matrix), prior.sum(1))

    right, averaged = of(pairs, prior), of(pairs / d, prior / d)
    own_each = by_dimension.sum(1)
    apart = _means(np.diagonal(pairs).T, by_dimension, prior)
    aggregates = {
        "- log N is missing: q(z) is the mean of N densities, not their sum.": total,
        "log N is added: q(z) is the mean of N densities, so log N is subtracted.": total + math.log(n),
        "log d is subtracted: q(z) is a mean over N images, so it is log N.": total - math.log(d),
        "The logs are averaged: q(z) is a mean of densities, so its log is a logsumexp.": matrix.mean(1),
        "The prior stands where q(z) should: the aggregate is the mean of all N posteriors.": log_p,
        "Each image's own posterior belongs to q(z) as well: leave none out.": others - np.log(n - 1.0),
        "Each image's own posterior belongs to q(z), as one of N: leave none out.": others - math.log(n),
        "The sum runs over the wrong axis: one z, the posteriors of all images.": _log_mean_exp(matrix, 0),
        "The logs are weighted by their softmax: q(z) is the plain mean of N densities.": weighted.sum(1),
        "A softmax compares the posteriors with each other; q(z) is their mean.": own - total,
        "Only the largest density counts here: q(z) is the mean of all N.": largest,
        "Only the largest density counts here, as one of N: q(z) is the mean of all.": largest - math.log(n),
        "Each dimension has an aggregate of its own: sum over dimensions first, then over images.": own_each,
        "Dimensions and images are mixed up: view and reshape do not swap axes.": mixed,
    }
    return {
        "": right,
        "The two results are swapped: the mutual information comes first.": right[::-1],
        "The sign is turned: log q(z|x) - log q(z) first, then log q(z) - log p(z).": -right,
        "Averaged over dimensions: the log-density of a vector is a sum over its dimensions.": averaged,
        "The dimensions are kept apart: sum each log-density over them before anything else.": apart,
        "Summed over images: take the mean.": n * right,
        "Your sigma is exp(logvar); logvar is log sigma^2.": of(*_log_densities(z, mu, 2 * logvar)),
        "Your variance is exp(logvar / 2); logvar is log sigma^2.": of(*_log_densities(z, mu, logvar / 2)),
        "The square is divided by exp(2 logvar): divide by sigma^2.": of(
            no_square - square / variance**2, prior
        ),
        "The square is divided by sigma: divide by sigma^2.": of(no_square - square / variance**0.5, prior),
        "The 1/2 in front of the log-densities is missing.": of(2 * pairs, 2 * prior),
        "The densities are those of the means: put in the samples z.": of(*_log_densities(mu, mu, logvar)),
        "The densities lack their normalisation, - logvar / 2.": of(pairs + np.log(variance) / 2, prior),
        "log p(z) lacks the log(2 pi) that log q has.": of(pairs, prior + constant),
        "log q lacks the log(2 pi) that log p(z) has.": of(pairs + constant, prior),
        "This is the whole KL, not yet one of its two parts.": np.full(2, right.sum()),
        "This is the whole KL in closed form: take densities at the samples z.": np.full(2, exact),
        "This is what is left of the closed form: take densities at the samples z.": exact - right[::-1],
        "These are bits: take natural logarithms.": right / math.log(2),
    } | {hint: _means(own, aggregate, log_p) for hint, aggregate in aggregates.items()}


def judge_kl_decomposition(seed: int, evidence: Evidence) -> list[Finding]:
    values = {case: _parts(*samples(seed, case)) for case in CASES}
    main = {hint: np.stack([value, values["other"][hint]]) for hint, value in values["main"].items()}
    seen = _two_batches(evidence)
    claims = (
        "the first result is the mutual information, log q(z|x) - log q(z) averaged over images",
        "the second is the marginal KL, log q(z) - log p(z) averaged over images",
    )
    findings, formulas = [], []
    for part, claim in enumerate(claims):
        likely = {hint: value[:, part] for hint, value in main.items()}
        looked = {"part": seen if seen.dtype.kind == "U" else seen[:, part]}
        formulas.append(diagnosis(looked, "part", likely) or "")
        findings.append(expect(looked, "part", likely.pop(""), claim, 1, likely))
    return [
        *findings,
        _wide_parts(evidence, [values["wide"][formula][part] for part, formula in enumerate(formulas)]),
        _one_image(seed, evidence, values["one"]),
    ]


def _two_batches(evidence: Evidence) -> np.ndarray:
    """Both parts (2, 2) of two batches, one per row, or the sentence that says what is wrong with them."""
    for case in ("main", "other"):
        problem = problem_with(evidence, case)
        shape = () if problem else evidence[case].shape[1:]
        if shape == (CASES[case][0],):
            problem = "These are numbers per image: take their mean."
        elif shape:
            problem = f"Each of the two results has shape {shape}: return one number."
        if problem:
            return np.array(problem)
    return np.stack([evidence["main"], evidence["other"]])


def _wide_parts(evidence: Evidence, expected: list[float]) -> Finding:
    """Judged by the formulas that the answer uses, so that a mistake in one costs its own points alone."""
    claim = "both stay right in 150 dimensions, where the densities are too small for exp"
    finding = expect(evidence, "wide", expected, claim, 0.5, tolerance=1e-3)
    if finding.holds or problem_with(evidence, "wide"):
        return finding
    hint = "exp(log q) is 0 here: use torch.logsumexp, and put no small constant into the log."
    return replace(finding, hint=hint)


def _one_image(seed: int, evidence: Evidence, values: dict[str, np.ndarray]) -> Finding:
    claim = "one image and one dimension work too, and its inputs stay as they are"
    mistakes = {hint: value for hint, value in values.items() if hint}
    finding = expect(evidence, "one", values[""], claim, 0.5, mistakes)
    return finding


EXERCISES = (
    Exercise("4.1", "interpolate", 3, judge_interpolate, ("evaluation.interpolate",)),
    Exercise(
        "4.2",
        "quantile_grid",
        3,
        judge_quantile_grid,
        ("evaluation.normal_quantiles", "evaluation.plane_points"),
    ),
    Exercise(
        "4.3",
        "kl_decomposition",
        3,
        judge_kl_decomposition,
        ("evaluation.kl_decomposition",),
    ),
    prediction(
        "4.5",
        "predict_surgery",
        SURGERY_OFFERED,
        (
            "Mutual information pays for itself: the decoder that knows which image is meant rebuilds it "
            "better. The marginal KL is a cost without a return, and training holds it down.",
            "Training goes on by telling more images apart. That is mutual information; the gaps between "
            "the codes grow only as far as they cannot be avoided.",
            "Measured on N images it is at most log N. Where codes of different images hardly overlap it "
            "stands near this limit, and four times as many images raise the limit by log 4 = 1.39 nats.",
        ),
    ),
)

"""Section 6: the beta loss, its warm-up schedule, and the mutual information gap.

Oracles: torch.distributions in float64, the gradients of the closed forms, the schedule's straight line
by hand, and entropies of counted values in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.judges import losses
from course_utils.checks.judges.core import Exercise, Finding, problem_with
from course_utils.checks.judges.gaussians import kls
from course_utils.checks.judges.looks import Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import Evidence
from course_utils.checks.probes.section_6 import (
    BETA_OFFERED,
    beta_loss_looks,
    gap_looks,
    schedule_looks,
)

# --- 6.1 beta_loss ----------------------------------------------------------------------------------


def judge_beta_loss(seed: int, evidence: Evidence) -> list[Finding]:
    looks = beta_loss_looks(seed)
    findings = Table.of(beta_loss_looks, seed, _beta_losses, losses.sizes).judge(
        evidence,
        Property(
            "it is cross-entropy plus beta times KL, nats per image, for beta above and below 1",
            3,
            ["grey", "binary"],
        ),
        Property(
            "with beta = 0 it is the cross-entropy; it stays exact for large logits", 0.5, ["zero", "bold"]
        ),
        Property("one image, one dimension and any logvar work too", 0.5, ["one", "narrow", "wide"]),
    )
    return [*findings, losses.gradients_reach(evidence, findings, looks["grey"][:4])]


def _beta_losses(x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, *betas: float) -> dict[str, Tensor]:
    """The losses of all betas, and what mistakes would give: (betas,), or (betas, n)."""
    beta = torch.tensor(betas, dtype=torch.float64)

    def of_all(r: Tensor, k: Tensor) -> Tensor:
        weight = beta.view(-1, *[1] * max(r.ndim, k.ndim))
        return r + weight * k

    values = losses.combined(of_all, x_logits, x, mu, logvar)
    r, k = losses.reconstructions(x_logits, x)[""], kls(mu, logvar).sum(1).mean()
    pixels, latent_dim, one = x[0].numel(), mu.shape[1], torch.ones_like(beta)
    weights = {
        "beta makes no difference, as if it were 1: is it used?": one,
        "beta makes no difference, as if it were 4: is it used?": 4 * one,
        "beta is held below 1: it may be any number from 0 on.": beta.clamp(max=1),
        "beta is held above 1: it may be any number from 0 on.": beta.clamp(min=1),
        "The KL's weight is beta squared.": beta**2,
        "The KL's weight is the root of beta.": beta.sqrt(),
        "The KL is divided by beta.": 1 / beta,
        "The KL's weight is 1 + beta: beta itself is asked for.": 1 + beta,
        "The KL's weight is 1 - beta: beta itself is asked for.": 1 - beta,
        "beta is multiplied by latent dimensions over pixels: that is another convention.": (
            beta * latent_dim / pixels
        ),
        "beta is multiplied by pixels over latent dimensions: that is another convention.": (
            beta * pixels / latent_dim
        ),
    }
    return (
        values
        | {hint: r + weight * k for hint, weight in weights.items()}
        | {
            "beta stands at the reconstruction; it belongs to the KL.": beta * r + k,
            "beta stands at both terms; it belongs to the KL alone.": beta * (r + k),
            "beta divides the reconstruction: it multiplies the KL.": r / beta + k,
            "A larger beta makes the reconstruction lighter: only the KL has a factor.": (1 - beta) * r
            + beta * k,
            "beta is added to the loss: multiply the KL by it.": r + k + beta,
            "beta is taken off the KL, as a target: multiply the KL by it.": r + (k - beta).abs(),
        }
    )


# --- 6.2 warm_up ------------------------------------------------------------------------------------


def judge_warm_up(seed: int, evidence: Evidence) -> list[Finding]:
    looks = schedule_looks(seed)
    table = Table.of(schedule_looks, seed, _schedules, tolerance=1e-5)

    def point(key: str) -> str:
        """The first point of a curve that is wrong."""
        share, top, *times = looks[key]
        right = table.formulas[key][""]
        if problem_with(evidence, key) or evidence[key].shape != right.shape:
            return ""
        wrong = np.flatnonzero(~np.isclose(evidence[key], right, 1e-5, 1e-5))
        shown = f"With share = {share:.2f} and top = {top:.2f}"
        return "".join(f"{shown}, t = {times[i]:.2f} gives {evidence[key][i]:.3g}." for i in wrong[:1])

    claims = {
        "usual": "it rises from 0 in a straight line to `top` at t = share, and stays there",
        "early": "a `top` below 1 is reached early in training",
        "whole": "with share = 1 it rises over the whole training",
    }
    weights = {"usual": 3, "early": 1, "whole": 1}
    return table.judge(evidence, *(Property(claims[k], weights[k], [k], point(k)) for k in claims))


def _schedules(share: float, top: float, *times: float) -> dict[str, np.ndarray]:
    t = np.array(times)
    right = np.interp(t, [0, share, 2], [0, top, top])
    rising, done = top * t / share, right / top  # without an end; how much of the rise
    late = np.clip((t - share) / max(1 - share, 1e-9), 0, 1)
    curves = {
        "": right,
        "It goes on rising after t = share: hold it at `top`.": rising,
        "It rises over the whole training: `share` is where the rise ends.": top * t,
        "It rises to 1, not to `top`.": done,
        "It stops at 1 on the way: its upper limit is `top`.": np.minimum(rising, 1),
        "t is not divided by `share`: at t = share it should reach `top`.": top * np.minimum(t, share),
        "t is multiplied by `share`: how much of the rise is done at t = share?": top * t * share,
        "`top` is only the upper limit here; the slope must depend on it too.": np.minimum(t / share, top),
        "It falls from `top` to 0: a warm-up rises.": top - right,
        "It jumps at t = share: the rise should be gradual.": np.where(share <= t, top, 0.0),
        "It jumps after t = share: the rise should be gradual.": np.where(share < t, top, 0.0),
        "After t = share it falls back to 0.": np.where(share >= t, right, 0.0),
        "From t = share on it falls back to 0.": np.where(share > t, right, 0.0),
        "It starts again after t = share: hold it at `top`.": top * (t % share) / share,
        "It rises only after t = share: `share` is where the rise ends.": top * late,
        "It is never below `top`: the smaller of two is needed, not the larger.": np.maximum(top, rising),
        "It is never below 0.01: it starts from 0.": np.maximum(right, 0.01),
        "It rises in a curve, a square: a straight line is asked for.": top * done**2,
        "It rises in a curve, a cube: a straight line is asked for.": top * done**3,
        "It rises in a curve, a root: a straight line is asked for.": top * done**0.5,
        "It rises in a curve, a cosine: a straight line is asked for.": top * (1 - np.cos(np.pi * done)) / 2,
        "It rises in a curve, a sine: a straight line is asked for.": top * np.sin(np.pi * done / 2),
        "It rises in a curve, an exponential: a straight line is asked for.": top * -np.expm1(-t / share),
        "It rises in a curve, a tanh: a straight line is asked for.": top * np.tanh(t / share),
        "It stays at `top` from the start: is the schedule used?": np.full_like(right, top),
        "t is taken as a percentage: it runs from 0 to 1.": top * np.minimum(t / 100 / share, 1),
        "1 - share is where it reaches `top`: `share` is.": top * np.minimum(t / max(1 - share, 1e-9), 1),
    }
    for slope in (5, 6, 8, 10, 12, 20):
        for words, middle in (("share / 2", share / 2), ("share", share), ("1/2", 0.5)):
            curve = top / (1 + np.exp(-slope * (t - middle)))
            curves[f"It is a sigmoid of {slope} (t - {words}): a straight line is asked for."] = curve
        curve = top / (1 + np.exp(-slope * (t / share - 0.5)))
        curves[f"It is a sigmoid of {slope} (t / share - 1/2): a straight line is asked for."] = curve
    for number in (0.01, 0.1, 0.001, 1e-4):
        added = f"{number:g} is added to `share`: at t = share the weight is not yet `top`."
        curves[added] = top * np.minimum(t / (share + number), 1)
        first = f"It starts at {number:g} in place of 0."
        curves[first] = number + (top - number) * done
    for fixed in (0.5, 0.25, 0.1, 0.2, 0.3):
        curves[f"It reaches `top` at t = {fixed:g}, whatever `share` is."] = top * np.minimum(t / fixed, 1)
    for fixed in (4.0, 8.0):
        curves[f"It rises to {fixed:g}, whatever `top` is."] = fixed * done
    for steps in (5, 10, 20, 100):
        curves[f"It rises in {steps} steps: a straight line is asked for."] = (
            top * np.floor(steps * done) / steps
        )
        rounded = np.minimum(np.round(t / share * steps) / steps, 1)
        curves[f"It rises in steps, rounded to 1/{steps}: a straight line is asked for."] = top * rounded
    return curves


# --- 6.3 mutual_information_gap ---------------------------------------------------------------------


def _gap_scores(codes: Tensor, factors: Tensor) -> dict[str, Any]:
    return _scores(codes.numpy(), factors.numpy())


def judge_mutual_information_gap(seed: int, evidence: Evidence) -> list[Finding]:
    def sizes(codes: Tensor, factors: Tensor) -> dict[str, int]:
        return {"images": len(codes), "codes": codes.shape[1], "factors": factors.shape[1]}

    advice = "Try its parts alone, against `sklearn.metrics.mutual_info_score` of two columns."
    claim = "it is the gap between the best two codes, a share of the factor's entropy, averaged over factors"
    return Table.of(gap_looks, seed, _gap_scores, sizes, 1e-5).judge(
        evidence,
        Property(claim, 3, ["last", "several"], advice),
        Property("values and pairs of values may be missing", 1, ["sparse"], advice),
        Property("there may be one factor, and any number of values and pairs", 1, ["one", "many"], advice),
    )


Count = Callable[[np.ndarray], np.ndarray]


def _mutual(a: np.ndarray, b: np.ndarray, count: Count = np.asarray) -> float:
    """Mutual information of two columns (N,) in nats, from what `count` makes of their joint histogram."""
    width = int(b.max()) + 1
    joint = count(np.bincount(a * width + b, minlength=(int(a.max()) + 1) * width).reshape(-1, width))
    p = joint / joint.sum()
    outer = p.sum(1, keepdims=True) * p.sum(0)
    return float((p[p > 0] * np.log(p[p > 0] / outer[p > 0])).sum())


def _information(codes: np.ndarray, factors: np.ndarray, count: Count = np.asarray) -> np.ndarray:
    """Mutual information in nats of every code (N, d) with every factor (N, k): (d, k)."""
    return np.array([[_mutual(code, factor, count) for factor in factors.T] for code in codes.T])


def _gaps(information: np.ndarray) -> np.ndarray:
    """The largest less the second largest of each column."""
    ranked = np.sort(information, 0)
    return ranked[-1] - ranked[-2]


def _score(codes: np.ndarray, factors: np.ndarray, count: Count = np.asarray) -> float:
    """The mutual information gap, where `count` changes joint histograms."""
    entropy = [_mutual(factor, factor, count) for factor in factors.T]
    return float((_gaps(_information(codes, factors, count)) / entropy).mean())


def _wrapped(joint: np.ndarray) -> np.ndarray:
    """The joint histogram where a pair's number is kept in a byte."""
    flat = joint.ravel()
    return np.bincount(np.arange(flat.size) % 256, flat, flat.size).reshape(joint.shape)


COUNTS: dict[str, Count] = {
    "Every pair counts once, however often it occurs: count all its images.": np.sign,
    "1 is added to each number of the joint histogram: a pair that never occurs adds nothing.": lambda j: (
        j + 1
    ),
    "A pair's number is kept in a byte, where 256 is 0: there may be more pairs.": _wrapped,
    "The counts are kept in bytes, where 256 is 0: a pair may occur more often.": lambda j: j % 256,
    "Values from 20 on are left out: there may be any number of them.": lambda j: j[:20, :20],
    "The value 0 is left out: it is a bin like the others.": lambda j: j[1:, 1:],
}


def _scores(codes: np.ndarray, factors: np.ndarray) -> dict[str, Any]:
    """The mutual information gap under '', and what mistakes would give."""
    information = _information(codes, factors)
    entropy, of_codes = (np.array([_mutual(column, column) for column in t.T]) for t in (factors, codes))
    ranked = np.sort(information, 0)
    first, second, least = ranked[-1], ranked[-2], ranked[0]
    gaps, scores, best = first - second, (first - second) / entropy, information.argmax(0)
    other = np.array([np.diff(np.unique([0, *column.round(9)]))[-1] for column in information.T])
    levels, n = factors.max(0) + 1, len(codes)
    of_counts = n * (entropy - math.log(n))
    sums = of_codes[:, None] + entropy
    correlations = np.abs(np.corrcoef(codes.T, factors.T)[: codes.shape[1], codes.shape[1] :])
    per_factor = {
        "": scores,
        "The gap is in nats: divide it by the factor's entropy.": gaps,
        "The gap is divided by the code's entropy; take the factor's.": gaps / of_codes[best],
        "The gap is divided by the last code's entropy; take the factor's.": gaps / of_codes[-1],
        "The gap is divided by the mutual information; take the factor's entropy.": gaps / first,
        "The gap is divided by the joint entropy; take the factor's.": (
            gaps / (of_codes[best] + entropy - first)
        ),
        "The entropy is log of the number of values only where all are as frequent.": gaps / np.log(levels),
        "Mean gap over mean entropy: divide each factor's gap by its own entropy.": gaps / entropy.mean(),
        "Only the best code counts here: subtract the runner-up.": first / entropy,
        "The runner-up is looked at alone: subtract it from the best.": second / entropy,
        "The mean is subtracted: subtract the second largest.": (first - information.mean(0)) / entropy,
        "The third largest is subtracted: subtract the second.": (first - ranked[-min(3, len(ranked))])
        / entropy,
        "The smallest is subtracted: subtract the second largest.": (first - least) / entropy,
        "Only the first two codes are looked at: rank all of them.": _gaps(information[:2]) / entropy,
        "Only the last two codes are looked at: rank all of them.": _gaps(information[-2:]) / entropy,
        "The last code is left out.": (_gaps(information[:-1]) if len(ranked) > 2 else first) / entropy,
        "The first code is left out.": (_gaps(information[1:]) if len(ranked) > 2 else first) / entropy,
        "These are the first two codes: sort first.": (information[0] - information[1]) / entropy,
        "These are the last two codes: sort first.": (information[-1] - information[-2]) / entropy,
        "These are the codes that know least: sort the other way.": (least - ranked[1]) / entropy,
        "These are the two codes that know least: sort the other way.": (ranked[1] - least) / entropy,
        "Two codes that know equally much have a gap of 0: keep equal values apart.": other / entropy,
        "It is negative: is the entropy's minus missing, or the gap turned round?": -scores,
        "The joint histogram has to be divided by the number of images.": n * scores,
        "The entropy is that of counts: divide them by the number of images.": gaps / of_counts,
        "Mutual information in bits, entropy in nats: use one unit.": scores / math.log(2),
        "Entropy in bits, mutual information in nats: use one unit.": scores * math.log(2),
        "This is the gap of normalised information: only the gap is divided, by the factor's entropy.": (
            _gaps(2 * information / sums)
        ),
        "This is the gap of information over the root of both entropies: divide by the factor's alone.": (
            _gaps(information / np.sqrt(of_codes[:, None] * entropy))
        ),
        "These are correlations: mutual information is asked for.": _gaps(correlations),
        "These are correlations over entropies: mutual information is asked for.": _gaps(correlations)
        / entropy,
        "These are squared correlations: mutual information is asked for.": _gaps(correlations**2),
        "Only the first factor counts: average over all.": scores[0],
        "Only the last factor counts: average over all.": scores[-1],
        "Only the first two factors count: average over all.": scores[:2],
        "It is the median over factors: average.": np.median(scores),
        "It is the largest over factors: average.": scores.max(),
        "Summed over factors: average.": scores.sum(),
    }
    everywhere = np.sort(information, None)
    turned = codes.reshape(codes.shape[::-1]).T, factors.reshape(factors.shape[::-1]).T
    values = {hint: np.mean(values) for hint, values in per_factor.items()} | {
        "One score per factor: average over them.": scores,
        "The best two of all codes and factors together: rank the codes for each factor.": (
            (everywhere[-1] - everywhere[-2]) / entropy[information.max(0).argmax()]
        ),
        "`codes` was reshaped, which mixes its columns: transpose it.": _score(turned[0], factors),
        "`factors` was reshaped, which mixes its columns: transpose it.": _score(codes, turned[1]),
        "Reshaping mixes the columns of `codes` and `factors`: transpose them.": _score(turned[0], turned[1]),
    }
    if len(entropy) > 1:
        hint = "The gap is taken over factors: for each factor compare the codes."
        values[hint] = (_gaps(information.T) / of_codes).mean()
    pairs = [a * (b.max() + 1) + b for a in codes.T for b in factors.T]
    if any(len(np.unique(pair)) <= pair.max() for pair in pairs):
        values["0 log 0 is NaN: a value or a pair that never occurs adds nothing."] = np.nan
    for hint, count in COUNTS.items():
        values[hint] = _score(codes, factors, count)
        values[f"{hint} The entropy is right."] = (
            _gaps(_information(codes, factors, count)) / entropy
        ).mean()
    for bins in (5, 10, 16, 20):
        cut = [
            np.stack([np.digitize(column, np.histogram(column, bins)[1][1:-1]) for column in t.T], 1)
            for t in (codes, factors)
        ]
        values[f"{bins} bins are too few: every value is a bin of its own."] = _score(cut[0], cut[1])
        values[f"{bins} bins are too few for codes: every value is a bin of its own."] = _score(
            cut[0], factors
        )
    return values


# --- 6.5 predict_beta (before 6.2 in the lesson) -----------------------------------------------------
_PREDICTION = prediction(
    "6.5",
    "predict_beta",
    BETA_OFFERED,
    (
        "A detail is kept if the distortion it saves is worth beta times its nats. What "
        "the code leaves out the decoder fills with an average over all that it could be, "
        "and an average is soft.",
        "beta is the price of a nat of KL. Of two models that are the best at their own "
        "price the one with the higher price never buys more: 6.3 proves it.",
        "The cheaper the KL, the less it matters where the codes lie: they spread out with "
        "little regard to the prior, and its samples fall between them.",
        "Two things work against each other. Codes that fill the prior better leave fewer "
        "gaps; codes that say less make the decoder draw blends, of which a round trip may "
        "make something else. Data and training decide which is ahead.",
    ),
)

EXERCISES = (
    Exercise(
        "6.1",
        "beta_loss",
        3,
        judge_beta_loss,
        ("objectives.negative_elbo",),
        why="beta is the price of a nat of KL, paid in nats of reconstruction. It says that only while "
        "both terms are sums: with a mean in either, the same number means another price for another "
        "size of image.",
    ),
    Exercise(
        "6.2",
        "warm_up",
        3,
        judge_warm_up,
        ("training.warm_up",),
        why="While the KL costs little, codes can become useful before they have to be cheap. Only what "
        "is left at t = 1 is the objective: with `share` = 1 the model meets the full price at the "
        "very end.",
    ),
    Exercise(
        "6.3",
        "mutual_information_gap",
        3,
        judge_mutual_information_gap,
        ("evaluation.mutual_information_gap",),
        why="The gap asks that one code alone knows a factor; dividing by the entropy makes factors of 2 "
        "and of 40 values comparable. Two codes that share a factor between them score 0, however "
        "good they are.",
    ),
    _PREDICTION,
)

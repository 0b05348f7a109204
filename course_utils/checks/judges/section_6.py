"""Section 6: the beta loss, its warm-up schedule, and the mutual information gap.

Oracles: torch.distributions in float64, the gradients of the closed forms, the schedule's straight line
by hand, and entropies of counted values in NumPy.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli

from course_utils.checks.judges import gradients
from course_utils.checks.judges.core import Exercise, Finding, expect, problem_with
from course_utils.checks.judges.gaussians import kls, wrong_kls
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import (
    Evidence,
)
from course_utils.checks.probes.section_6 import (
    BETA_OFFERED,
    TWICE,
    codes_and_factors,
    drawn_beta,
    drawn_times,
    loss_batch,
    loss_single,
    schedules,
)


def _both(findings: list[Finding]) -> Finding:
    """The first that fails; where none does, the first."""
    return next((finding for finding in findings if not finding.holds), findings[0])


# --- 6.1 beta_loss ----------------------------------------------------------------------------------


def judge_beta_loss(seed: int, evidence: Evidence) -> list[Finding]:
    return [
        _both([_without(seed, evidence, time) for time in TWICE]),
        _both([_added(seed, evidence, time) for time in TWICE]),
        _both([_of_one_image(seed, evidence, time) for time in TWICE]),
        gradients.reach(evidence, *loss_batch(seed, 0)),
    ]


def _nll(x_logits: Tensor, x: Tensor, *_: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """-log p(x|z) averaged over images, in float64, and what mistakes would make of it."""
    x_logits, x, n = x_logits.double(), x.double(), len(x)
    nll = -Bernoulli(logits=x_logits).log_prob(x).flatten(1).sum(1)
    pi, pixels = x_logits.sigmoid(), x[0].numel()
    swapped = torch.nn.functional.binary_cross_entropy_with_logits(x, x_logits, reduction="sum") / n
    return nll.mean(), {
        "The reconstruction is averaged over pixels: sum over them.": nll.mean() / pixels,
        "784 pixels are hard-coded: sum over those that there are.": nll.mean() * 784 / pixels,
        "Summed over the batch: average over images.": nll.sum(),
        "The batch size is hard-coded: average over the images that there are.": nll.sum() / 128,
        "The sign is wrong: a loss is minus the log-likelihood.": -nll.mean(),
        "It returns one loss per image: average over the batch.": nll,
        "The logits go through a sigmoid twice.": -Bernoulli(logits=pi).log_prob(x).sum() / n,
        "Images and logits have changed places in the cross-entropy.": swapped,
        "This is a squared error: the cross-entropy is asked for.": (pi - x).square().sum() / n,
        "The squared error of the logits is no cross-entropy.": (x_logits - x).square().sum() / n,
    }


def _kl(_: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The KL averaged over images, in float64, and what mistakes would make of it."""
    parts = kls(mu, logvar)
    kl = parts.sum(1)
    return kl.mean(), {
        "The KL is missing: is beta used?": 0 * kl.mean(),
        "The KL is subtracted; the loss adds it.": -kl.mean(),
        "The KL is averaged over latent dimensions: sum over them.": parts.mean(),
        "The KL is summed over the batch: average over images.": kl.sum(),
        "The KL is divided by the number of pixels: sum over dimensions.": kl.mean() / x[0].numel(),
        "It returns one loss per image: average over the batch.": kl,
        "It keeps the latent dimensions: sum over them.": parts.mean(0),
    } | {hint: part.sum(1).mean() for hint, part in wrong_kls(mu, logvar).items()}


def _without(seed: int, evidence: Evidence, time: int) -> Finding:
    nll, wrong_nlls = _nll(*loss_batch(seed, time))
    kl, _ = _kl(*loss_batch(seed, time))
    mistakes = {
        "With beta = 0 nothing is left: beta belongs to the KL alone.": 0 * nll,
        "beta stands at the reconstruction; it belongs to the KL.": kl,
        "The KL counts even with beta = 0: is beta used?": nll + kl,
    } | wrong_nlls
    claim = "with beta = 0 it is the cross-entropy in nats per image"
    return expect(evidence, f"without{time}", nll, claim, 1, mistakes)


def _added(seed: int, evidence: Evidence, time: int) -> Finding:
    """What beta adds, whatever the reconstruction term is: loss(beta) - loss(0)."""
    beta = drawn_beta(seed)
    claim = f"beta = {beta:.3g} adds {beta:.3g} times the KL in nats per image"
    problem = problem_with(evidence, f"without{time}") or problem_with(evidence, f"with{time}")
    if problem:
        return Finding(claim, False, 1, problem)
    less, more = evidence[f"without{time}"], evidence[f"with{time}"]
    if less.shape != more.shape:
        return Finding(claim, False, 1, "The loss has another shape for another beta.")
    nll, _ = _nll(*loss_batch(seed, time))
    kl, wrong_kl_terms = _kl(*loss_batch(seed, time))
    mistakes = {hint: beta * value for hint, value in wrong_kl_terms.items()} | {
        "beta stands at the reconstruction; it belongs to the KL.": beta * nll,
        "A larger beta makes the reconstruction lighter: only the KL has a factor.": beta * (kl - nll),
        "A larger beta makes the reconstruction heavier: only the KL has a factor.": beta * (kl + nll),
        "The KL's weight is beta squared.": beta**2 * kl,
        "beta is added to the loss: multiply the KL by it.": 0 * kl + beta,
    }
    return expect({"added": more.astype(float) - less}, "added", beta * kl, claim, 1, mistakes, 5e-4)


def _of_one_image(seed: int, evidence: Evidence, time: int) -> Finding:
    nll, wrong_nlls = _nll(*loss_single(seed, time))
    kl, wrong_kl_terms = _kl(*loss_single(seed, time))
    beta = 1 / drawn_beta(seed)
    mistakes = (
        {hint: wrong + beta * kl for hint, wrong in wrong_nlls.items()}
        | {hint: nll + beta * wrong for hint, wrong in wrong_kl_terms.items()}
        | {"The KL is divided by beta.": nll + kl / beta}
    )
    claim = "it also works for one image, one latent dimension and a beta below 1"
    return expect(evidence, f"single{time}", nll + beta * kl, claim, 0.5, mistakes)


# --- 6.2 warm_up ------------------------------------------------------------------------------------


def judge_warm_up(seed: int, evidence: Evidence) -> list[Finding]:
    share, _ = schedules(seed)["first"]
    t = drawn_times(seed, share)
    rises = "it rises from 0 in a straight line to `top` at t = share"
    return [
        _part(seed, evidence, "first", rises, 1, t <= share),
        _part(seed, evidence, "first", "from t = share on it stays at `top`", 1, t >= share),
        _part(seed, evidence, "early", "a `top` below 1 is reached early in training", 0.5),
        _part(seed, evidence, "whole", "with share = 1 it rises over the whole training", 0.5),
    ]


def _part(
    seed: int, evidence: Evidence, key: str, claim: str, weight: float, part: np.ndarray | bool = True
) -> Finding:
    """A finding on the times in `part` alone, so that a schedule may be half right."""
    share, top = schedules(seed)[key]
    t = drawn_times(seed, share)
    right = np.interp(t, [0, share, 2], [0, top, top])
    finding = expect(evidence, key, right, claim, weight, _schedule_mistakes(t, share, top), 1e-5)
    if problem_with(evidence, key) or evidence[key].shape != right.shape:
        return finding
    wrong = part & ~np.isclose(evidence[key], right, 1e-5, 1e-5)
    if not wrong.any():
        return Finding(claim, True, weight)
    if "difference" not in finding.hint:
        return finding
    at = int(np.argmax(wrong))
    where = f"With share = {share:.2f} and top = {top:.2f}, t = {t[at]:.2f} gives {evidence[key][at]:.3g}."
    return Finding(claim, False, weight, where)


def _schedule_mistakes(t: np.ndarray, share: float, top: float) -> dict[str, np.ndarray]:
    right = np.interp(t, [0, share, 2], [0, top, top])
    rising, done = top * t / share, right / top  # without an end; how much of the rise
    late = np.clip((t - share) / max(1 - share, 1e-9), 0, 1)
    return {
        "It goes on rising after t = share: hold it at `top`.": rising,
        "It rises over the whole training: `share` is where the rise ends.": top * t,
        "It rises to 1, not to `top`.": done,
        "It stops at 1 on the way: its upper limit is `top`.": np.minimum(rising, 1),
        "t is not divided by `share`: at t = share it should reach `top`.": top * np.minimum(t, share),
        "t is multiplied by `share`: how much of the rise is done at t = share?": top * t * share,
        "`top` is only the upper limit here; the slope must depend on it too.": np.minimum(t / share, top),
        "It falls from `top` to 0: a warm-up rises.": top - right,
        "It jumps: the rise should be gradual.": np.where(share <= t, top, 0.0),
        "It jumps: the rise should be gradual, from 0.": np.where(share < t, top, 0.0),
        "After t = share it falls back to 0.": np.where(share >= t, right, 0.0),
        "It starts again after t = share: hold it at `top`.": top * (t % share) / share,
        "It rises only after t = share: `share` is where the rise ends.": top * late,
        "It is never below `top`: the smaller of two is needed, not the larger.": np.maximum(top, rising),
        "It rises in a curve, a square: a straight line is asked for.": top * done**2,
        "It rises in a curve, a root: a straight line is asked for.": top * done**0.5,
        "It rises in a curve, a cosine: a straight line is asked for.": top * (1 - np.cos(np.pi * done)) / 2,
        "It stays at `top` from the start: is the schedule used?": np.full_like(right, top),
    }


# --- 6.3 mutual_information_gap ---------------------------------------------------------------------


def judge_mutual_information_gap(seed: int, evidence: Evidence) -> list[Finding]:
    claims = {
        "one": "for one factor it is the gap between two codes, as a share of the factor's entropy",
        "several": "it is the average over factors of the gap between the best two of all codes",
        "sparse": "values and pairs of values may be missing",
    }
    return [
        _both([_gap(evidence, f"{key}{time}", claim, *_known(seed, time)[key]) for time in TWICE])
        for key, claim in claims.items()
    ]


@lru_cache(maxsize=4)
def _known(seed: int, time: int) -> dict[str, tuple[float, dict[str, Any]]]:
    """The score of every key and what mistakes would give."""
    looks = codes_and_factors(seed, time)
    return {
        key: _score_and_mistakes(codes.numpy(), factors.numpy()) for key, (codes, factors) in looks.items()
    }


def _gap(evidence: Evidence, key: str, claim: str, right: float, mistakes: dict[str, Any]) -> Finding:
    # Two mistakes may look alike: the nearest comes first.
    if not problem_with(evidence, key) and evidence[key].ndim == 0:
        mistakes = dict(sorted(mistakes.items(), key=lambda item: np.abs(item[1] - evidence[key]).max()))
    finding = expect(evidence, key, right, claim, 1, mistakes)
    if "difference" not in finding.hint:
        return finding
    hint = "Try its parts alone, against `sklearn.metrics.mutual_info_score` of two columns."
    return replace(finding, hint=hint)


def _information(codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Mutual information in nats of every code (N, d) with every factor (N, k): (d, k)."""

    def mutual(a: np.ndarray, b: np.ndarray) -> float:
        return _entropy(a) + _entropy(b) - _entropy(a * (b.max() + 1) + b)

    return np.array([[mutual(code, factor) for factor in factors.T] for code in codes.T])


def _entropy(values: np.ndarray) -> float:
    """Of the shares in which the values (N,) occur: nats."""
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return float(-(shares * np.log(shares)).sum())


def _gaps(information: np.ndarray) -> np.ndarray:
    """The largest less the second largest of each column."""
    ranked = np.sort(information, 0)
    return ranked[-1] - ranked[-2]


def _score(codes: np.ndarray, factors: np.ndarray) -> float:
    entropy = [_entropy(factor) for factor in factors.T]
    return float((_gaps(_information(codes, factors)) / entropy).mean())


def _score_and_mistakes(codes: np.ndarray, factors: np.ndarray) -> tuple[float, dict[str, Any]]:
    """The mutual information gap, and what mistakes would give."""
    information = _information(codes, factors)
    entropy, of_codes = (np.array([_entropy(column) for column in table.T]) for table in (factors, codes))
    ranked = np.sort(information, 0)
    first, second, least = ranked[-1], ranked[-2], ranked[0]
    gaps, scores, best = first - second, (first - second) / entropy, information.argmax(0)
    other = np.array([np.diff(np.unique(column.round(12)))[-1] for column in information.T])
    levels, n = factors.max(0) + 1, len(codes)
    of_counts = n * (entropy - math.log(n))
    per_factor = {
        "The gap is in nats: divide it by the factor's entropy.": gaps,
        "The gap is divided by the code's entropy; take the factor's.": gaps / of_codes[best],
        "The gap is divided by the last code's entropy; take the factor's.": gaps / of_codes[-1],
        "The gap is divided by the mutual information; take the factor's entropy.": gaps / first,
        "The entropy is log of the number of values only where all are as frequent.": gaps / np.log(levels),
        "Mean gap over mean entropy: divide each factor's gap by its own entropy.": gaps / entropy.mean(),
        "Only the best code counts here: subtract the runner-up.": first / entropy,
        "The mean is subtracted: subtract the second largest.": (first - information.mean(0)) / entropy,
        "The smallest is subtracted: subtract the second largest.": (first - least) / entropy,
        "These are the first two codes: sort first.": (information[0] - information[1]) / entropy,
        "These are the last two codes: sort first.": (information[-1] - information[-2]) / entropy,
        "These are the codes that know least: sort the other way.": (least - ranked[1]) / entropy,
        "Two codes that know equally much have a gap of 0: keep equal values apart.": other / entropy,
        "It is negative: is the entropy's minus missing, or the gap turned round?": -scores,
        "The joint histogram has to be divided by the number of images.": n * scores,
        "The entropy is that of counts: divide them by the number of images.": gaps / of_counts,
        "Mutual information in bits, entropy in nats: use one unit.": scores / math.log(2),
        "Entropy in bits, mutual information in nats: use one unit.": scores * math.log(2),
        "Only the first factor counts: average over all.": scores[0],
        "Only the last factor counts: average over all.": scores[-1],
        "Only the first two factors count: average over all.": scores[:2],
        "Summed over factors: average.": scores.sum(),
    }
    everywhere = np.sort(information, None)
    turned = codes.reshape(codes.shape[::-1]).T, factors.reshape(factors.shape[::-1]).T
    mistakes = {hint: np.mean(values) for hint, values in per_factor.items()} | {
        "One score per factor: average over them.": scores,
        "The best two of all codes and factors together: rank the codes for each factor.": (
            (everywhere[-1] - everywhere[-2]) / entropy[information.max(0).argmax()]
        ),
        "`codes` was reshaped, which mixes its columns: transpose it.": _score(turned[0], factors),
        "`factors` was reshaped, which mixes its columns: transpose it.": _score(codes, turned[1]),
        "Reshaping mixes the columns of `codes` and `factors`: transpose them.": _score(*turned),
    }
    if len(entropy) > 1:
        hint = "The gap is taken over factors: for each factor compare the codes."
        mistakes[hint] = (_gaps(information.T) / of_codes).mean()
    for bins in (10, 20):
        merged = [np.digitize(code, np.histogram(code, bins)[1][1:-1]) for code in codes.T]
        hint = f"{bins} bins are too few here: every value is a bin of its own."
        mistakes[hint] = _score(np.stack(merged, 1), factors)
    return scores.mean(), mistakes


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
    Exercise("6.1", "beta_loss", 3, judge_beta_loss, ("objectives.negative_elbo",)),
    Exercise("6.2", "warm_up", 3, judge_warm_up, ("training.warm_up",)),
    Exercise(
        "6.3",
        "mutual_information_gap",
        3,
        judge_mutual_information_gap,
        ("evaluation.mutual_information_gap",),
    ),
    _PREDICTION,
)

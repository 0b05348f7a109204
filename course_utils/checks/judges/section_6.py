"""Section 6: the beta loss, its warm-up schedule, and the mutual information gap.

Oracles: torch.distributions in float64, the gradients of the closed forms, the schedule's straight line
by hand, and entropies of counted values in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.judges import losses
from course_utils.checks.judges.core import Exercise, Finding, problem_with
from course_utils.checks.judges.gaussians import EPSILONS, kls
from course_utils.checks.judges.looks import Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes import section_6 as probes
from course_utils.checks.probes.evidence import Evidence

# --- 6.1 beta_loss ----------------------------------------------------------------------------------


def judge_beta_loss(seed: int, evidence: Evidence) -> list[Finding]:
    """beta is the price of a nat of KL, paid in nats of reconstruction. It says that only while both
    terms are sums: with a mean in either, the same number means another price for another size of image."""
    looks = probes.beta_loss_looks(seed)
    findings = Table.of(probes.beta_loss_looks, seed, _beta_losses, losses.sizes).judge(
        evidence,
        Property(
            "cross-entropy plus beta times KL, nats per image, for beta above and below 1; gradients pass",
            3,
            ["grey", "binary"],
        ),
        Property(
            "with beta = 0 it is the cross-entropy; it stays exact for large logits", 1, ["zero", "bold"]
        ),
        Property("one image, one dimension and logvar from -60 to 20 work too", 1, ["one", "narrow", "wide"]),
    )
    return losses.with_gradients(evidence, findings, looks["grey"][:4])


def _beta_losses(x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, *betas: float) -> Iterator[Any]:
    """The losses of all betas, and what mistakes would give: (betas,), or (betas, n)."""
    (r, k), beta = losses.terms(x_logits, x, mu, logvar), torch.tensor(betas, dtype=torch.float64)
    yield r + beta * k

    def of_all(r: Tensor, k: Tensor) -> Tensor:
        weight = beta.view(-1, *[1] * max(r.ndim, k.ndim))
        return r + weight * k

    each, of_mu = kls(mu, logvar).sum(1), mu.double().square().sum(1).mean() / 2
    pixels, latent_dim = x[0].numel(), mu.shape[1]
    weights = {
        "beta makes no difference, as if it were 1: is it used?": beta**0,
        "beta makes no difference, as if it were 4: is it used?": 4 * beta**0,
        **{f"beta = 0 is taken for {b}: is it taken as missing?": beta.where(beta > 0, b) for b in (1, 4)},
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
        "beta is multiplied by latent dimensions over 784: that is another convention.": (
            beta * latent_dim / 784
        ),
    }
    yield {
        **losses.combined(of_all, x_logits, x, mu, logvar),
        **losses.divided(of_all(r, k), x, mu),
        **{hint: r + weight * k for hint, weight in weights.items()},
        "beta stands at the reconstruction; it belongs to the KL.": beta * r + k,
        "The whole is divided by 1 + beta: a sum is asked for.": (r + beta * k) / (1 + beta),
        "beta stands at the half of the KL that has mu in it alone.": r + k + (beta - 1) * of_mu,
        **{
            f"A capacity of {c} nats is taken off {what}: multiply the KL itself by beta.": (
                r + beta * (kl - c).abs().mean()
            )
            for c in (5, 10, 20, 25, 30, 50)
            for what, kl in {"each image's KL": each, "the KL": k}.items()
        },
        "beta stands at both terms; it belongs to the KL alone.": beta * (r + k),
        "beta divides the reconstruction: it multiplies the KL.": r / beta + k,
        "A larger beta makes the reconstruction lighter: only the KL has a factor.": (
            (1 - beta) * r + beta * k
        ),
        "beta is added to the loss: multiply the KL by it.": r + k + beta,
        "beta is taken off the KL, as a target: multiply the KL by it.": r + (k - beta).abs(),
    }


# --- 6.3 warm_up ------------------------------------------------------------------------------------


def judge_warm_up(seed: int, evidence: Evidence) -> list[Finding]:
    """While the KL costs little, codes can become useful before they have to be cheap. Only what is left
    at t = 1 is the objective: with `share` = 1 the model meets the full price at the very end."""
    looks = probes.schedule_looks(seed)
    table = Table.of(probes.schedule_looks, seed, _schedules, tolerance=1e-5)

    def point(key: str) -> str:
        """The first point of a curve that is wrong, and the slope where it rises in another straight line."""
        share, top, *times = looks[key]
        t, right = np.array(times), table.formulas[key][""]
        if problem_with(evidence, key) or evidence[key].shape != right.shape:
            return ""
        weights = evidence[key]
        first = int(np.argmin(np.isclose(weights, right, 1e-5, 1e-5)))  # not reached where all are right
        said = f"With share = {share:.3g} and top = {top:.3g}, t = {t[first]:.3g} gives {weights[first]:.3g}."
        rising = (t > 0) & (t < share) & (weights < top)
        slopes = weights[rising] / t[rising]
        if slopes.size < 3 or np.ptp(slopes) > 1e-4 * slopes.max():
            return said
        return f"{said} It rises by {slopes[0]:.3g} times t; top / share is {top / share:.3g}."

    claims = {
        "usual": ("it rises from 0 in a straight line to `top` at t = share, and stays there", 3),
        "early": ("a `top` below 1 is reached early in training", 1),
        "whole": ("with share = 1 it rises over the whole training", 1),
    }
    return table.judge(evidence, *(Property(*claim, [key], point(key)) for key, claim in claims.items()))


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
        "t is not divided by `share`, so it jumps to `top` there.": np.where(t < share, top * t, top),
        "t is multiplied by `share`: how much of the rise is done at t = share?": top * t * share,
        "`top` is only the upper limit here; the slope must depend on it too.": np.minimum(t / share, top),
        "It falls from `top` to 0: a warm-up rises.": top - right,
        "It jumps at t = share: the rise should be gradual.": np.where(share <= t, top, 0.0),
        "It jumps after t = share: the rise should be gradual.": np.where(share < t, top, 0.0),
        "After the rise it is 1: hold it at `top`.": np.where(t < share, rising, 1.0),
        "After t = share it falls again: hold it at `top`.": np.where(t <= share, rising, top * (1 - late)),
        "`top` and `share` have changed places.": share * np.minimum(t / top, 1),
        "After t = share it falls back to 0.": np.where(share >= t, right, 0.0),
        "From t = share on it falls back to 0.": np.where(share > t, right, 0.0),
        "It starts again after t = share: hold it at `top`.": top * (t % share) / share,
        "It rises only after t = share: `share` is where the rise ends.": top * late,
        "It stays at `top` from the start: is the schedule used?": np.full_like(right, top),
        "It is never below `top`: the smaller of two is needed, not the larger.": np.maximum(top, rising),
        "It is never below 0.01: it starts from 0.": np.maximum(right, 0.01),
        "It rises in a curve, as powers of `top`: a straight line is asked for.": (
            np.where(t > 0, float(top) ** done, 0)
        ),
        "It rises in a curve, a square: a straight line is asked for.": top * done**2,
        "It rises in an S-curve: a straight line is asked for.": top * done**2 * (3 - 2 * done),
        "It rises in a curve, a root: a straight line is asked for.": top * done**0.5,
        "It rises in a curve, a cosine: a straight line is asked for.": top * (1 - np.cos(np.pi * done)) / 2,
        "It rises in a curve, a sine: a straight line is asked for.": top * np.sin(np.pi * done / 2),
        "It rises in a curve, an exponential: a straight line is asked for.": top * -np.expm1(-t / share),
        "t is taken as a percentage: it runs from 0 to 1.": top * np.minimum(t / 100 / share, 1),
        "1 - share is where it reaches `top`: `share` is.": top * np.minimum(t / max(1 - share, 1e-9), 1),
    }
    sigmoids = {"t - share": t - share, "t - share / 2": t - share / 2, "t / share - 1/2": t / share - 0.5}
    for slope in (5, 6, 8, 10, 12, 20):
        for words, x in sigmoids.items():
            hint = f"It is a sigmoid of {slope} ({words}): a straight line is asked for."
            curves[hint] = top / (1 + np.exp(-slope * x))
    for number in (0.1, 0.01, 0.001, 1e-4):
        hint = f"{number:g} is added to `share`: at t = share the weight is not yet `top`."
        curves[hint] = top * np.minimum(t / (share + number), 1)
        curves[f"It starts at {number:g} in place of 0."] = number + (top - number) * done
    for fixed in (0.1, 0.2, 0.25, 0.3, 0.5):
        curves[f"It reaches `top` at t = {fixed:g}, not at t = share."] = top * np.minimum(t / fixed, 1)
    for fixed in (4.0, 8.0):
        curves[f"It rises to {fixed:g}, not to `top`."] = fixed * done
    for steps in (2, 3, 4, 5, 10, 20, 100):
        for words, whole in (("cut", np.floor), ("rounded", np.round)):
            hint = f"It rises in steps, {words} to 1/{steps}: a straight line is asked for."
            curves[hint] = top * np.minimum(whole(steps * t / share) / steps, 1)
    return curves


# --- 6.5 mutual_information_gap ---------------------------------------------------------------------


def judge_mutual_information_gap(seed: int, evidence: Evidence) -> list[Finding]:
    """The gap asks that one code alone knows a factor; dividing by the entropy makes factors of 2 and of
    40 values comparable. Two codes that share a factor between them score 0, however good they are."""

    def sizes(codes: Tensor, factors: Tensor) -> dict[str, int]:
        return {"images": len(codes), "codes": codes.shape[1], "factors": factors.shape[1]}

    advice = "Try its parts alone, against `sklearn.metrics.mutual_info_score` of two columns."
    claim = "it is the gap between the best two codes, a share of the factor's entropy, averaged over factors"
    return Table.of(probes.gap_looks, seed, _scores, sizes, 1e-5).judge(
        evidence,
        Property(claim, 3, ["last", "several", "shared"], advice),
        Property("values and pairs of values may be missing", 1, ["sparse"], advice),
        Property("there may be one factor, and any number of values and pairs", 1, ["one", "many"], advice),
    )


Count = Callable[[np.ndarray], np.ndarray]


def _joint(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How often each pair of values occurs in two columns (N,)."""
    shape = int(a.max()) + 1, int(b.max()) + 1
    return np.bincount(a * shape[1] + b, minlength=math.prod(shape)).reshape(shape)


def _information(
    codes: np.ndarray, factors: np.ndarray, count: Count = np.asarray, epsilon: float = 0.0
) -> np.ndarray:
    """Mutual information in nats of every code (N, d) with every factor (N, k), from what `count` makes of
    their joint histogram, with `epsilon` added inside the logarithms: (d, k)."""

    def mutual(joint: np.ndarray) -> float:
        p = joint / joint.sum()
        outer = p.sum(1, keepdims=True) * p.sum(0)
        return float((p[p > 0] * np.log((p[p > 0] + epsilon) / (outer[p > 0] + epsilon))).sum())

    return np.array([[mutual(count(_joint(code, factor))) for factor in factors.T] for code in codes.T])


def _gaps(information: np.ndarray) -> np.ndarray:
    """The largest less the second largest of each column."""
    ranked = np.sort(information, 0)
    return ranked[-1] - ranked[-2]


def _own_column(information: np.ndarray) -> np.ndarray:
    """How much more the code with a factor's number knows of it than the best other; NaN without one."""
    codes, factors = information.shape
    if codes < max(factors, 2):
        return np.full(factors, np.nan)
    own = np.eye(codes, factors, dtype=bool)
    return information[own] - np.where(own, -np.inf, information).max(0)


def _score(codes: np.ndarray, factors: np.ndarray, count: Count = np.asarray) -> float:
    """The mutual information gap, where `count` changes joint histograms."""
    entropy = _information(factors, factors, count).diagonal()
    return float((_gaps(_information(codes, factors, count)) / entropy).mean())


def _wrapped(joint: np.ndarray) -> np.ndarray:
    """The joint histogram where a pair's number is kept in a byte."""
    flat = joint.ravel()
    return np.bincount(np.arange(flat.size) % 256, flat, flat.size).reshape(joint.shape)


COUNTS: dict[str, Count] = {
    "Every pair counts once, however often it occurs: count all its images.": np.sign,
    "1 is added to each pair's number: a pair that never occurs adds nothing.": lambda j: j + 1,
    "A pair's number is kept in a byte, where 256 is 0: there may be more pairs.": _wrapped,
    "The counts are kept in bytes, where 256 is 0: a pair may occur more often.": lambda j: j % 256,
    "Values from 20 on are left out: there may be any number of them.": lambda j: j[:20, :20],
    "The value 0 is left out: it is a bin like the others.": lambda j: j[1:, 1:],
}


def _binned(columns: np.ndarray, bins: int) -> np.ndarray:
    """Each column (N, d) in so many bins of equal width."""
    edges = np.linspace(columns.min(0), columns.max(0), bins + 1)[1:-1]
    return (columns >= edges[:, None]).sum(0)


def _scores(*given: Tensor) -> dict[str, Any]:
    """The mutual information gap of codes (N, d) and factors (N, k), and what mistakes would give."""
    codes, factors = (columns.numpy() for columns in given)
    information = _information(codes, factors)
    entropy, of_codes = (_information(t, t).diagonal() for t in (factors, codes))
    ranked = np.sort(information, 0)
    first, second, least = ranked[-1], ranked[-2], ranked[0]
    gaps, scores, best = first - second, (first - second) / entropy, information.argmax(0)
    apart = np.array([np.diff(np.unique([0, *column.round(9)]))[-1] for column in information.T])
    n, several = len(codes), len(ranked) > 2
    correlations = np.abs(np.corrcoef(codes.T, factors.T)[: codes.shape[1], codes.shape[1] :])
    runner_up = np.zeros((2, len(entropy)))  # best and second, where what was best does not become the second
    for row in information:
        best_now, second_now = runner_up
        runner_up = np.where(row > best_now, (row, second_now), (best_now, np.maximum(second_now, row)))
    taken: list[int] = []
    left = information.copy()
    for factor in left.T:
        factor[taken] = 0
        taken.append(int(factor.argmax()))
    differences = {  # in nats, to be divided by the factor's entropy
        "A code is left out once it is the best of a factor: it may serve several factors.": _gaps(left),
        "Only the best code counts here: subtract the runner-up.": first,
        "The best so far is lost when a better one comes: it is the second then.": np.subtract(*runner_up),
        "The mean is subtracted: subtract the second largest.": first - information.mean(0),
        "The mean of the other codes is subtracted: subtract the second largest.": first
        - ranked[:-1].mean(0),
        "The third largest is subtracted: subtract the second.": first - ranked[-3 if several else -2],
        "The smallest is subtracted: subtract the second largest.": first - least,
        "Only the first two codes are looked at: rank all of them.": _gaps(information[:2]),
        "The last code is left out.": _gaps(information[:-1]) if several else first,
        "The first code is left out.": _gaps(information[1:]) if several else first,
        "These are the first two codes: sort first.": information[0] - information[1],
        "These are the last two codes: sort first.": information[-1] - information[-2],
        "These are the codes that know least: sort the other way.": least - ranked[1],
        "This is the gap between the codes that know least: sort the other way.": ranked[1] - least,
        "Two codes that know equally much have a gap of 0: keep equal values apart.": apart,
        "The best code is taken to stand in the factor's own column: rank all of them.": (
            _own_column(information)
        ),
    }
    divisors = {  # of the gap, in place of the factor's entropy
        "The gap is in nats: divide it by the factor's entropy.": 1,
        "The gap is divided by the code's entropy; take the factor's.": of_codes[best],
        "The gap is divided by the last code's entropy; take the factor's.": of_codes[-1],
        "The gap is divided by the mutual information; take the factor's entropy.": first,
        "The gap is divided by the joint entropy; take the factor's.": of_codes[best] + entropy - first,
        "The entropy is log of the number of values only where all are as frequent.": (
            np.log(factors.max(0) + 1)
        ),
        "Mean gap over mean entropy: divide each factor's gap by its own entropy.": entropy.mean(),
        "The entropy is that of counts: divide them by the number of images.": n * (entropy - math.log(n)),
        "Counts stand where probabilities should: divide the joint histogram by the number of images.": (
            entropy - math.log(n)
        ),
    }
    per_factor = {
        "": scores,
        **{hint: difference / entropy for hint, difference in differences.items()},
        **{hint: gaps / divisor for hint, divisor in divisors.items()},
        "It is negative: is the entropy's minus missing, or the gap turned round?": -scores,
        "The joint histogram has to be divided by the number of images.": n * scores,
        "Mutual information in bits, entropy in nats: use one unit.": scores / math.log(2),
        "Entropy in bits, mutual information in nats: use one unit.": scores * math.log(2),
        "This is the gap of normalised information: only the gap is divided, by the factor's entropy.": (
            _gaps(2 * information / (of_codes[:, None] + entropy))
        ),
        "Information is divided by the root of both entropies: divide the gap by the factor's.": (
            _gaps(information / np.sqrt(of_codes[:, None] * entropy).clip(1e-12))
        ),
        "These are correlations: mutual information is asked for.": _gaps(correlations),
        "These are squared correlations: mutual information is asked for.": _gaps(correlations**2),
        "Only the first factor counts: average over all.": scores[0],
        "Only the last factor counts: average over all.": scores[-1],
        "Only the factor with the largest gap counts: average over all.": scores.max(),
        "Only the first two factors count: average over all.": scores[:2],
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
        "Reshaping mixes the columns of `codes` and `factors`: transpose them.": _score(*turned),
    }
    if len(entropy) > 1:
        hint = "The gap is taken over factors: for each factor compare the codes."
        values[hint] = (_gaps(information.T) / of_codes).mean()
        values[f"{hint} The entropy is the factor's."] = _gaps((information / entropy).T).mean()
        values[f"{hint} The entropy is that of the best factor."] = (
            _gaps(information.T) / entropy[information.argmax(1)]
        ).mean()
    values["It is NaN, as 0 log 0 is: does a value or a pair that never occurs add something?"] = np.nan
    for hint, count in COUNTS.items():
        values[hint] = _score(codes, factors, count)
        own = _gaps(_information(codes, factors, count))
        values[f"{hint} The entropy is right."] = (own / entropy).mean()
    counted = [np.bincount(column) / n for column in factors.T]
    for e in EPSILONS[:6]:
        near = _gaps(_information(codes, factors, epsilon=e))
        unsure = [-(p * np.log(p + e)).sum() for p in counted]
        hint = f"{e:.0e} is added inside the logarithms"
        values[f"{hint}: leave out the pairs that never occur."] = (near / unsure).mean()
        values[f"{hint} of the information: leave out the pairs that never occur."] = (near / entropy).mean()
        values[f"{hint} of the entropy: leave out the values that never occur."] = (gaps / unsure).mean()
    for bins in (10, 20):
        hint, few = "every value is a bin of its own.", _binned(codes, bins)
        values[f"{bins} bins are too few: {hint}"] = _score(few, _binned(factors, bins))
        values[f"{bins} bins are too few for codes: {hint}"] = _score(few, factors)
    return values


EXERCISES = (
    Exercise("6.1", "beta_loss", 3, judge_beta_loss, ("objectives.negative_elbo",)),
    prediction(
        "6.2",
        "predict_beta",
        probes.BETA_OFFERED,
        "A detail is kept if the distortion it saves is worth beta times its nats. What the code leaves "
        "out the decoder fills with an average over all that it could be, and an average is soft.",
        "beta is the price of a nat of KL. Of two models that are the best at their own price the one "
        "with the higher price never buys more: 6.3 proves it.",
        "The cheaper the KL, the less it matters where the codes lie: they spread out with little regard "
        "to the prior, and its samples fall between them.",
        "Two things work against each other. Codes that fill the prior better leave fewer gaps; codes "
        "that say less make the decoder draw blends, of which a round trip may make something else. Data "
        "and training decide which is ahead.",
    ),
    Exercise("6.3", "warm_up", 3, judge_warm_up, ("training.warm_up",)),
    Exercise(
        "6.5",
        "mutual_information_gap",
        3,
        judge_mutual_information_gap,
        ("evaluation.mutual_information_gap", "evaluation.known_shares"),
    ),
)

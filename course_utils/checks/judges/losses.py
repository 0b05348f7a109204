"""The two terms of a VAE's loss as judges know them: in nats, in float64, and as mistakes would have them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.distributions import Bernoulli
from torch.nn.functional import binary_cross_entropy, softplus

from course_utils.checks.judges import gradients
from course_utils.checks.judges.core import Finding, problem_with
from course_utils.checks.judges.gaussians import BOUNDS, EPSILONS, altered, floored, kls, wrong_kls
from course_utils.checks.probes.evidence import Evidence

Terms = Callable[[Tensor, Tensor], Tensor]  # what an answer makes of its reconstruction and its KL


def nll(x_logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x|z) of each pixel, for logits of any size and pixels from 0 to 1."""
    return -Bernoulli(logits=x_logits.double(), validate_args=False).log_prob(x.double())


def unsafe(x_logits: Tensor, x: Tensor) -> dict[str, Tensor]:
    """-log p(x|z) of each pixel by formulas that lose large logits, in float32 as an answer would have it."""
    p, x = x_logits.float().sigmoid(), x.float().expand_as(x_logits)
    values = {
        "A sigmoid comes before the cross-entropy, which is exact with logits only.": binary_cross_entropy(
            p, x, reduction="none"
        ),
        "A sigmoid comes before the logarithm: far out it is 0 or 1, and 0 times log 0 is NaN.": (
            -x * p.log() - (1 - x) * (1 - p).log()
        ),
        "A sigmoid comes before the logarithm: far out it is 0 or 1, and the loss infinite.": (
            -torch.xlogy(x, p) - torch.xlogy(1 - x, 1 - p)
        ),
    }
    for epsilon in EPSILONS[:9]:
        hint = f"{epsilon:.0e} is added to probabilities before the logarithm: use the loss with logits."
        values[hint] = -x * (p + epsilon).log() - (1 - x) * (1 - p + epsilon).log()
        hint = f"Probabilities are kept {epsilon:.0e} away from 0 and 1: use the loss with logits."
        values[hint] = binary_cross_entropy(p.clamp(epsilon, 1 - epsilon), x, reduction="none")
    for bound in BOUNDS:
        hint = f"Logits are kept between -{bound:g} and {bound:g}: they may be any numbers."
        values[hint] = nll(x_logits.clamp(-bound, bound), x)
    return {hint: value.double() for hint, value in values.items()}


def reconstructions(x_logits: Tensor, x: Tensor) -> dict[str, Tensor]:
    """-log p(x|z) averaged over images under '', and what mistakes would give."""
    x_logits, x, (n, _, height, width) = x_logits.double(), x.double(), x.shape
    pixels, p = nll(x_logits, x), x_logits.sigmoid()
    of_each, size = pixels.sum((1, 2, 3)), height * width
    r, squares = of_each.mean(), (p - x).square()
    values = {
        "": r,
        "The reconstruction is a sum over the batch: average over images.": n * r,
        "The reconstruction is divided by 128: average over the images that there are.": n * r / 128,
        "The reconstruction is a mean over pixels: sum over them.": r / size,
        "The reconstruction is one value per image: average over the batch.": of_each,
        "The reconstruction is summed down the columns of an image, then averaged: sum over both.": r / width,
        "The reconstruction is summed along the rows of an image, then averaged: sum over both.": r / height,
        "The reconstruction has the wrong sign: it is minus the log-likelihood.": -r,
        "The reconstruction is in bits: take natural logarithms.": r / math.log(2),
        "The reconstruction is halved: the cross-entropy has no 1/2.": r / 2,
        "The reconstruction is missing.": 0 * r,
        "The logits go through a sigmoid twice.": nll(p, x).sum() / n,
        "The logits are treated as probabilities: use the loss with logits.": (
            binary_cross_entropy(x_logits.clamp(0, 1), x, reduction="sum") / n
        ),
        "Images and logits have changed places in the cross-entropy.": nll(x, x_logits).sum() / n,
        "Only white pixels count: a black one costs -log(1 - p).": (x * softplus(-x_logits)).sum() / n,
        "Only black pixels count: a white one costs -log p.": ((1 - x) * softplus(x_logits)).sum() / n,
        "The cross-entropy is multiplied by the image: every pixel counts once.": (x * pixels).sum() / n,
        "The images are rounded to black and white: a grey pixel costs a bit of both.": (
            nll(x_logits, x > 0.5).sum() / n
        ),
        "This is a squared error: the cross-entropy is asked for.": squares.sum() / n,
        "This is half a squared error: the cross-entropy is asked for.": squares.sum() / n / 2,
        "This is the mean squared error: the cross-entropy is asked for.": squares.mean(),
        "This is an absolute error: the cross-entropy is asked for.": (p - x).abs().sum() / n,
        "The squared error of the logits is no cross-entropy.": (x_logits - x).square().sum() / n,
    }
    if size != 784:
        values["784 pixels are hard-coded: sum over those that there are."] = r * 784 / size
    return values


def divergences(mu: Tensor, logvar: Tensor, pixels: int) -> dict[str, Tensor]:
    """The KL averaged over images under '', and what mistakes would give."""
    parts = kls(mu, logvar)
    n, k = len(mu), parts.sum(1).mean()
    values = {
        "": k,
        "The KL is missing.": 0 * k,
        "The KL has the wrong sign: a KL is never negative, and the loss adds it.": -k,
        "The KL is a sum over the batch: average over images.": n * k,
        "The KL is divided by 128: average over the images that there are.": n * k / 128,
        "The KL is a mean over latent dimensions: sum over them.": parts.mean(),
        "The KL is divided by the number of pixels: only sum it over dimensions.": k / pixels,
        "The KL is one value per image: average over the batch.": parts.sum(1),
        "The KL is one value per dimension: sum over them.": parts.mean(0),
        "The KL is in bits: take natural logarithms.": k / math.log(2),
    } | {hint: part.sum(1).mean() for hint, part in wrong_kls(mu, logvar).items()}
    each = {hint: part.sum(1).mean() for hint, part in floored(parts).items()}
    means = {f"Averaged over images: {hint}": part.sum() for hint, part in floored(parts.mean(0)).items()}
    return values | each | means


def sizes(_: Tensor, x: Tensor, mu: Tensor, *__: object) -> dict[str, int]:
    """What is counted in a look, for the diagnoser."""
    return {"images": len(x), "latent dimensions": mu.shape[1], "pixels": x[0].numel()}


def combined(combine: Terms, x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> dict[str, Tensor]:
    """What `combine` makes of reconstruction and KL: the right ones under '', and with mistakes in either
    or in both under their hints."""
    nlls, divergence = reconstructions(x_logits, x), divergences(mu, logvar, x[0].numel())
    values = {}
    for (hint, r), (other, k) in itertools.product(nlls.items(), divergence.items()):
        if r.shape in (k.shape, ()) or not k.ndim:
            values[f"{hint} {other}".strip()] = combine(r, k)
    r, k = nlls[""], divergence[""]
    far = {hint: combine(wrong.sum() / len(x), k) for hint, wrong in unsafe(x_logits, x).items()}
    kept = altered(lambda mu, logvar: combine(r, kls(mu, logvar).sum(1).mean()), mu, logvar)
    return values | far | kept


def gradients_reach(
    evidence: Evidence, findings: Sequence[Finding], look: tuple[Tensor, Tensor, Tensor, Tensor]
) -> Finding:
    """The finding that gradients reach logits, mu and logvar; of a mistake that is named, the first of
    `findings`, only that there are any."""
    finding = gradients.reach(evidence, *look)
    arrives = not problem_with(evidence, "gradients") and bool(evidence["gradients"].any())
    named = not findings[0].holds and any(other.holds for other in findings)
    known = not finding.hint.startswith("Largest difference")
    hint = finding.hint if known else "The gradients are not those of this loss, though its value is right."
    holds = finding.holds or (arrives and named)
    return replace(finding, holds=holds, weight=1, hint="" if holds else hint)

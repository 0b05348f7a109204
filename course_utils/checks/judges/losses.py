"""The two terms of a VAE's loss as judges know them: in nats, in float64, and as mistakes would have them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import Bernoulli
from torch.nn.functional import binary_cross_entropy, normalize, softplus

from course_utils.checks.judges.core import Finding, problem_with, unless
from course_utils.checks.judges.diagnoser import Sizes
from course_utils.checks.judges.gaussians import BOUNDS, EPSILONS, altered, floored, kls, wrong_kls
from course_utils.checks.probes.evidence import Evidence

Combination = Callable[[Tensor, Tensor], Tensor]  # what an answer makes of its reconstruction and its KL

# --- factors before a term ------------------------------------------------------------------------------


def factors(sizes: Sizes) -> dict[str, float]:
    """What may stand before a term of a loss, under the end of a sentence that says so.

    `sizes` counts images, and pixels and latent dimensions that are summed over; "averaged pixels" are those
    of a term that is a mean over them.
    """
    n = sizes["images"]
    known = {
        "": 1.0,
        "is missing, or weighs next to nothing": 0.0,
        "has the wrong sign": -1.0,
        "counts twice: is it added twice, or is its 1/2 missing?": 2.0,
        "counts half": 0.5,
        "is in bits: take natural logarithms": 1 / math.log(2),
        "is summed over the batch: average over images": n,
        "is divided by the number of images once more": 1 / n,
        "is divided by 128 once more": 1 / 128,
        "is divided by 128: average over the images that there are": n / 128,
    }
    if d := sizes.get("latent dimensions"):
        known["is a mean over latent dimensions: sum over them"] = 1 / d
        known["is a mean over latent dimensions, and its 1/2 is missing"] = 2 / d
        known["is a mean over latent dimensions and a sum over images: it is the other way round"] = n / d
    if pixels := sizes.get("pixels"):
        known["is a mean over pixels: sum over them"] = 1 / pixels
        known["is a mean over pixels, and over images once more"] = 1 / pixels / n
        known["is a mean over pixels and a sum over images: it is the other way round"] = n / pixels
    if pixels := sizes.get("averaged pixels"):
        known["is summed over pixels: take their mean"] = pixels
        known["is summed over everything: take the mean"] = n * pixels
        known["is divided by the number of pixels once more"] = 1 / pixels
    return known


def sentence(hint: str, phrases: Mapping[str, str], whole: str = "loss") -> str:
    """The hint of a loss, and what is wrong with its terms: all of them at once where that is the same."""
    if len(set(phrases.values())) == 1 and len(phrases) > 1:
        phrases = {whole: next(iter(phrases.values()))}
    said = [f"The {name} {phrase}." for name, phrase in phrases.items() if phrase]
    return " ".join(filter(None, (hint, *said))).replace("?.", "?")


def weighed(name: str, term: Tensor, sizes: Sizes) -> dict[str, Tensor]:
    """The term under '', and with each factor under the sentence that says so."""
    return {sentence("", {name: phrase}): factor * term for phrase, factor in factors(sizes).items()}


# --- the terms --------------------------------------------------------------------------------------------


INFINITE = "It is infinite: is a sigmoid taken before the logarithm? Far out it is 0 or 1."


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
        "It is NaN: is a sigmoid taken before the logarithm? Far out it is 0 or 1, and 0 log 0 is NaN.": (
            -x * p.log() - (1 - x) * (1 - p).log()
        ),
        INFINITE: (-torch.xlogy(x, p) - torch.xlogy(1 - x, 1 - p)),
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


def other_nlls(x_logits: Tensor, x: Tensor) -> dict[str, Tensor]:
    """What mistakes give for -log p(x|z) of each pixel, in float64."""
    x_logits, x = x_logits.double(), x.double()
    pixels, p = nll(x_logits, x), x_logits.sigmoid()
    squares, size = (p - x).square(), x_logits.abs().clamp(min=1e-6)
    return {
        "The logits go through a sigmoid twice.": nll(p, x),
        "The logits are treated as probabilities: use the loss with logits.": (
            binary_cross_entropy(x_logits.clamp(0, 1), x.expand_as(x_logits), reduction="none")
        ),
        "Images and logits have changed places in the cross-entropy.": nll(x.expand_as(x_logits), x_logits),
        "Only white pixels count: a black one costs -log(1 - p).": x * softplus(-x_logits),
        "Only black pixels count: a white one costs -log p.": (1 - x) * softplus(x_logits),
        "The images are scaled to [-1, 1]: compare with them as they are.": nll(x_logits, 2 * x - 1),
        "The cross-entropy is multiplied by the image: every pixel counts once.": x * pixels,
        "The images are rounded to black and white: a grey pixel costs a bit of both.": nll(
            x_logits, x > 0.5
        ),
        "This is a squared error: the cross-entropy is asked for.": squares,
        "This is half a squared error: the cross-entropy is asked for.": squares / 2,
        "This is an absolute error: the cross-entropy is asked for.": (p - x).abs(),
        "The squared error of the logits is no cross-entropy.": (x_logits - x).square(),
        "The entropy of the images' own greys is subtracted: the whole cross-entropy is asked for.": (
            pixels + torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x)
        ),
        "The continuous Bernoulli's normaliser is in it.": pixels - (size / (size / 2).tanh()).log(),
    }


def wrong_nlls(x_logits: Tensor, x: Tensor) -> dict[str, Tensor]:
    """-log p(x|z) of each pixel by all of these mistakes."""
    return other_nlls(x_logits, x) | unsafe(x_logits, x)


def reconstructions(x_logits: Tensor, x: Tensor) -> dict[str, Tensor]:
    """-log p(x|z) averaged over images under '', and what mistakes would give."""
    x_logits, x, (n, _, height, width) = x_logits.double(), x.double(), x.shape
    of_each, squares = nll(x_logits, x).sum((1, 2, 3)), (x_logits.sigmoid() - x).square()
    r, size = of_each.mean(), height * width
    down, along = ("down the columns", "along the rows") if height != width else ["along one side"] * 2
    values = {
        "": r,
        "The reconstruction has the wrong sign: it is minus the log-likelihood.": -r,
        "The reconstruction is one value per image: average over the batch.": of_each,
        f"The reconstruction is summed {down} of an image, then averaged: sum over both.": r / width,
        f"The reconstruction is summed {along} of an image, then averaged: sum over both.": r / height,
        "This is the mean squared error: the cross-entropy is asked for.": squares.mean(),
        **{hint: each.sum() / n for hint, each in other_nlls(x_logits, x).items()},
        **weighed("reconstruction", r, {"images": n, "pixels": size}),
    }
    if size != 784:
        values["784 pixels are hard-coded: sum over those that there are."] = r * 784 / size
    return values


def divergences(mu: Tensor, logvar: Tensor, pixels: int) -> dict[str, Tensor]:
    """The KL averaged over images under '', and what mistakes would give."""
    parts = kls(mu, logvar)
    k, (n, d) = parts.sum(1).mean(), mu.shape
    sums = wrong_kls(mu, logvar) | floored(parts)
    return {
        "": k,
        "The KL has the wrong sign: a KL is never negative, and the loss adds it.": -k,
        "The KL is one value per image: average over the batch.": parts.sum(1),
        "The KL is one value per dimension: sum over them.": parts.mean(0),
        "The KL is that of the batch's mean posterior: take that of each image, then their mean.": (
            kls(mu.mean(0), logvar.mean(0)).sum()
        ),
        **{hint: part.sum(1).mean() for hint, part in sums.items()},
        **{hint: kept.mean() for hint, kept in floored(parts.sum(1), "An image").items()},
        **weighed("KL", k, {"images": n, "latent dimensions": d}),
        "The KL is divided by the number of pixels: only sum it over dimensions.": k / pixels,
    }


# --- losses of both ---------------------------------------------------------------------------------------


def sizes(_: Tensor, x: Tensor, mu: Tensor, *__: object) -> dict[str, int]:
    """What is counted in a look, for the diagnoser."""
    return {"images": len(x), "latent dimensions": mu.shape[1], "pixels": x[0].numel()}


def terms(x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction and KL, averaged over images, in float64."""
    return nll(x_logits, x).sum((1, 2, 3)).mean(), kls(mu, logvar).sum(1).mean()


def divided(value: Tensor, x: Tensor, mu: Tensor) -> dict[str, Tensor]:
    """A loss that is divided by another number than that of its images."""
    sizes = (2, 3, 4, 5, 6, 8, 10, 16, 32, 50, 64, 100, 256)
    by_dimensions = "It is divided by the number of latent dimensions: average over the images."
    return {by_dimensions: value * len(x) / mu.shape[1]} | {
        f"It is divided by {n}, whatever comes: average over the images that there are.": value * len(x) / n
        for n in sizes
    }


def combined(
    combine: Combination, x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor
) -> dict[str, Tensor]:
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


# By the cosines of the gradients by logits, mu and logvar with those that are right.
REACHED: dict[tuple[float, ...], str] = {
    (1, 1, 1): "",
    (0, 0, 0): "No gradient arrives: is the loss a plain number, or detached?",
    (0, 1, 1): "No gradient reaches the logits: is the reconstruction detached?",
    (1, 0, 0): "No gradient reaches mu and logvar: is the KL detached?",
    (1, 0, 1): "No gradient reaches mu.",
    (1, 1, 0): "No gradient reaches logvar.",
}


def with_gradients(
    evidence: Evidence, findings: Sequence[Finding], look: tuple[Tensor, Tensor, Tensor, Tensor]
) -> list[Finding]:
    """The findings of a loss whose purpose, the first of them, is missed as well where evidence["gradients"],
    as `of_loss` gives it, does not point along sigmoid(logits) - x, mu and (exp(logvar) - 1) / 2."""
    purpose, *others = findings
    if purpose.holds:
        purpose = unless(purpose.claim, purpose.weight, _gradient_hint(evidence, look))
    return [purpose, *others]


def _gradient_hint(evidence: Evidence, look: tuple[Tensor, Tensor, Tensor, Tensor]) -> str:
    if problem := problem_with(evidence, "gradients"):
        return problem
    x_logits, x, mu, logvar = (tensor.double() for tensor in look)
    parts = [x_logits.sigmoid() - x, mu, (logvar.exp() - 1) / 2]
    found = torch.as_tensor(evidence["gradients"]).double().split([part.numel() for part in parts])
    cosines = tuple(
        round(float(normalize(seen, dim=0) @ normalize(part.flatten(), dim=0)), 6)
        for seen, part in zip(found, parts, strict=True)
    )
    return REACHED.get(cosines, "The gradients are not those of this loss, though its value is right.")

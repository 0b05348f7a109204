"""Section 2: the KL term, the sample, the two bounds and the real beta.

Oracles: torch.distributions in float64 for densities and divergences, finite arithmetic by hand for the
rest. Inputs lie far from sigma = 1, where wrong formulas for sigma agree with right ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Normal

from course_utils.checks.judges import losses, noise
from course_utils.checks.judges.core import Exercise, Finding, close, problem_with, unless
from course_utils.checks.judges.diagnoser import CALLS
from course_utils.checks.judges.gaussians import altered, floored, kls, posterior, wrong_kls
from course_utils.checks.judges.looks import PARTLY, Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes import section_2 as probes
from course_utils.checks.probes.evidence import AGAIN, Evidence

# --- 2.1 gaussian_kl --------------------------------------------------------------------------------


def judge_gaussian_kl(seed: int, evidence: Evidence) -> list[Finding]:
    """The KL needs no logarithm and no root: logvar is at hand, so it stays finite however narrow q
    becomes. It is 0 only at the prior, and each dimension pays for itself."""
    return Table.of(probes.kl_looks, seed, _kls, _sizes, terms=_kl_terms).judge(
        evidence,
        Property("it equals the KL of torch.distributions, entry by entry", 3, ["kl", "turned"]),
        Property("it also works for one image and one dimension", 1, ["single"]),
        Property("it stays right for far means, and for logvar from -60 to 20", 1, ["extreme"]),
    )


def _kl_terms(mu: Tensor, logvar: Tensor) -> dict[str, Tensor]:
    mu, logvar = mu.double(), logvar.double()
    terms = {"mu^2 / 2": mu**2, "sigma^2 / 2": logvar.exp(), "-1/2": -torch.ones_like(mu)}
    return {name: term / 2 for name, term in {**terms, "-log(sigma^2) / 2": -logvar}.items()}


def _sizes(mu: Tensor, *_: Tensor) -> dict[str, int]:
    return {"images": len(mu), "latent dimensions": mu.shape[-1]}


def _kls(mu: Tensor, logvar: Tensor) -> Iterator[Any]:
    kl, of = kls(mu, logvar), "return one value per image and dimension."
    m, lv = mu.half(), logvar.half()
    half = 0.5 * (m**2 + lv.exp() - 1 - lv)
    yield kl
    yield {
        **wrong_kls(mu, logvar),
        "It is the negative of the KL: check the sign. A KL divergence is never negative.": -kl,
        "The first image's logvar counts for all: each image has its own.": kls(mu, logvar[:1].expand_as(mu)),
        "The first image's mu counts for all: each image has its own.": kls(mu[:1].expand_as(mu), logvar),
        f"Summed over latent dimensions already: {of}": kl.sum(1),
        f"Averaged over latent dimensions: {of}": kl.mean(1),
        f"Summed over everything: {of}": kl.sum(),
        f"Averaged over everything: {of}": kl.mean(),
        f"Averaged over the batch: {of}": kl.mean(0),
        "Images and dimensions have changed places: return the shape of mu.": kl.T,
        "It contains NaN: is a logarithm taken of `logvar`, which may be negative?": (
            (mu**2 + logvar - 1 - logvar.log()) / 2
        ),
        "It is worked out in half precision, which has three digits: keep the dtype that is given.": half,
        **floored(kl),
        **altered(kls, mu, logvar),
    }


# --- 2.2 reparameterize -----------------------------------------------------------------------------


def judge_reparameterize(seed: int, evidence: Evidence) -> list[Finding]:
    """The noise comes from outside and depends on no weight, so mu and sigma enter the sample by a sum
    and a product, which have gradients. Drawing itself has none."""
    looks = probes.sample_looks(seed)
    table = Table.of(probes.sample_looks, seed, _samples, _sizes, terms=_sample_terms)
    claim = (
        "with eps given, z = mu + sigma * eps, also where eps is 0 and where gradients are off; "
        "gradients pass to mu and logvar, also without eps"
    )
    (given,) = table.judge(evidence, Property(claim, 3, list(looks)))
    still = problem_with(evidence, "zero") or close(evidence["zero"], looks["zero"][0].numpy(), 1e-4)
    if given.hint == AGAIN and not still:
        noisy = "Where `eps` is 0 it is not mu, nor twice the same: is there other noise than `eps`?"
        given = replace(given, hint=noisy)
    named = not given.holds and given.hint.removesuffix(PARTLY) in table.formulas["given"]
    drawn = _noise_hint(seed, evidence)
    gradient = _gradient_hint(evidence, *looks["given"])
    if given.holds or (gradient == CUT_OFF and not named):  # a sample that stops gradients misses the purpose
        given = unless(given.claim, given.weight, gradient)
    if drawn:  # what holds there is said below
        given = replace(given, claim=given.claim.removesuffix(", also without eps"))
    claim = "without eps it draws its own standard normal noise, a new one for every image and dimension"
    # What is said above counts once.
    return [given, unless(claim, 2, drawn * (not named or drawn != given.hint))]


def _sample_terms(mu: Tensor, logvar: Tensor, eps: Tensor) -> dict[str, Tensor]:
    mu, logvar, eps = mu.double(), logvar.double(), eps.double()
    sigma = (logvar / 2).exp()
    terms = {"mu": mu, "sigma * eps": sigma * eps, "logvar * eps": logvar * eps, "sigma": sigma}
    return terms | {"sigma^2 * eps": sigma**2 * eps, "eps": eps}


def _samples(mu: Tensor, logvar: Tensor, eps: Tensor) -> dict[str, Any]:
    mu, logvar, eps = mu.double(), logvar.double(), eps.double()
    sigma = (logvar / 2).exp()
    drawn = {hint: mean + std * eps for hint, (mean, std) in noise.samplers(mu, logvar).items()}
    return drawn | {
        "Your sigma looks like exp(logvar / 4): one root too many.": mu + sigma.sqrt() * eps,
        "Your sigma looks like exp(2 * logvar); it should be exp(logvar / 2).": mu + sigma**4 * eps,
        "mu and sigma have changed places.": sigma + mu * eps,
        "The noise is missing: this is mu itself.": mu,
        "The noise is missing: this is mu + sigma.": mu + sigma,
        "The noise is subtracted; it should be added.": mu - sigma * eps,
        "The noise is multiplied by mu: only sigma stands before it.": (mu + sigma) * eps,
        "`logvar` may be negative, so it has no root and no logarithm.": mu + logvar.sqrt() * eps,
        **altered(lambda mu, logvar: mu + (logvar / 2).exp() * eps, mu, logvar),
    }


CUT_OFF = "No gradient arrives: is the sample detached, or drawn by `sample` or under no_grad?"


def _gradient_hint(evidence: Evidence, mu: Tensor, logvar: Tensor, eps: Tensor) -> str:
    """'' where dz/dmu is 1 and dz/dlogvar is sigma * eps / 2 or, with noise of its own, (z - mu) / 2."""
    by_noise = (eps * (logvar / 2).exp() / 2).numpy()
    for where, key, known in (("", "gradients", [by_noise]), ("Without eps: ", "own gradients", [])):
        if problem := problem_with(evidence, key):
            return where * (problem != problem_with(evidence, "drawn")) + problem
        z, *found = evidence[key]
        rights = [*known, (z - mu.numpy()) / 2]
        if not any(close(np.stack(found), [np.ones_like(z), by_logvar], 1e-4) for by_logvar in rights):
            missing = {
                (False, False): CUT_OFF,
                (True, False): "Only mu gets a gradient: sigma or the noise term is detached.",
                (False, True): "Only logvar gets a gradient: the mean is missing or detached.",
                (True, True): "The gradients are not those of mu + sigma * eps.",
            }
            return where + missing[found[0].any(), found[1].any()]
    return ""


def _noise_hint(seed: int, evidence: Evidence) -> str:
    """'' where the noise drawn by the answer itself is standard normal and new for every number."""
    if problem := problem_with(evidence, "drawn"):
        return problem
    z = torch.as_tensor(evidence["drawn"])
    if z.shape != (2, *probes.DRAWS):
        return f"It has shape {tuple(z.shape[1:])}; expected {probes.DRAWS}."
    mu, logvar = probes.wide_posterior(seed)
    if close(z[1].numpy(), mu, 1e-4) and not close(z[0].numpy(), mu, 1e-4):
        return "With gradients off it returns mu: the noise belongs there, too."
    distribution, shared = noise.judged(z, mu, logvar)
    return shared or distribution


# --- 2.3 monte_carlo_elbo ---------------------------------------------------------------------------


def judge_monte_carlo_elbo(seed: int, evidence: Evidence) -> list[Finding]:
    """The mean over samples is unbiased for any number of them, one included; that is what training uses.
    The KL is known exactly, so sampling it would only add noise."""

    def sizes(_: Decode, x: Tensor, mu: Tensor, logvar: Tensor, eps: Tensor) -> dict[str, int]:
        return _sizes(mu) | {"samples": len(eps), "pixels": 784}

    # Beside hundreds of nats of log p(x|z) a KL of few has to show.
    table = Table.of(probes.elbo_looks, seed, _elbos, sizes, 2e-5, terms=_terms)
    return table.judge(
        evidence,
        Property("it is the mean of log p(x|z) over samples, minus the KL, per image", 3, ["elbo", "prior"]),
        Property("it also works for one image and one sample", 0.5, ["one"]),
        Property("it stays exact for logits from -60 to 60", 1, ["bold"]),
        Property("it stays exact where q is very narrow", 0.5, ["extreme"]),
    )


Decode = Callable[[Tensor], Tensor]


def _terms(decode: Decode, x: Tensor, mu: Tensor, logvar: Tensor, eps: Tensor) -> dict[str, Tensor]:
    """What the ELBO per image is the sum of, in float64."""
    x, mu, logvar, eps = (given.double() for given in (x, mu, logvar, eps))
    z = mu + (logvar / 2).exp() * eps
    nlls = torch.stack([losses.nll(decode(row), x).sum((1, 2, 3)) for row in z])
    return {"log p(x|z)": -nlls.mean(0), "the KL": -kls(mu, logvar).sum(1)}


def _elbos(decode: Decode, x: Tensor, mu: Tensor, logvar: Tensor, eps: Tensor) -> Iterator[Any]:
    """The ELBO per image in float64, and what mistakes would give."""
    yield sum(_terms(decode, x, mu, logvar, eps).values(), torch.zeros(()))
    x, mu, logvar, eps = (given.double() for given in (x, mu, logvar, eps))
    sigma, s, n = (logvar / 2).exp(), len(eps), len(x)
    z, kl_of_each = mu + sigma * eps, kls(mu, logvar)
    x_logits, kl = decode(z.flatten(0, 1)).unflatten(0, (s, n)), kl_of_each.sum(1)

    def log_p(x_logits: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) of logits (samples, n, 1, 28, 28): (samples, n)."""
        return -losses.nll(x_logits, x).sum((2, 3, 4))

    def of(z: Tensor) -> Tensor:
        """log p(x|z) of codes (samples, n, 2): (samples, n)."""
        return log_p(decode(z.flatten(0, 1)).unflatten(0, z.shape[:2]), x)

    right = log_p(x_logits, x)
    mean = right.mean(0)
    log_ratio = posterior(mu, logvar).log_prob(z) - Normal(0.0, 1.0).log_prob(z)
    mixed = (torch.arange(s * n) // s).view(s, n)  # the images, each s times before the next
    codes = {  # (samples, n, 2)
        "All images share one noise: eps has some for each.": mu + sigma * eps[:, :1],
        "The noise is missing: every sample is the mean of q.": mu[None],
        "As many samples count as there are images: use all of eps, along its first axis.": z[:n],
        "The noise is subtracted; it should be added.": mu - sigma * eps,
        # For a linear decoder codes and logits are one.
        "Codes or logits are averaged over samples: average the log-likelihoods.": z.mean(0, keepdim=True),
        "Samples and images are mixed up: the noise of one image goes to another.": (
            mu + sigma * eps.reshape(n, s, -1).transpose(0, 1)
        ),
        "Samples and images are mixed up: q of one image meets the noise of another.": (
            mu[mixed] + sigma[mixed] * eps
        ),
        **{hint: mean + std * eps for hint, (mean, std) in noise.samplers(mu, logvar).items() if hint},
    }
    wrong_terms = {  # (samples, n): their mean over samples stands where that of log p(x|z) should
        "The cross-entropy is -log p(x|z): the first term has the wrong sign.": -right,
        "Averaged over pixels: log p(x|z) is a sum over pixels.": right / 784,
        "Averaged over pixels and images: log p(x|z) is a sum over the pixels of each image.": (
            right.mean(1, keepdim=True) / 784
        ),
        "log p(x|z) is summed over the batch: each image has its own.": right.sum(1, keepdim=True),
        "The number of images divides the sum over samples: divide by that of samples.": s * right / n,
        "Summed over samples: take their mean.": s * right,
        "The best sample counts alone: average over all of them.": right.max(0, keepdim=True).values,
        "The last sample alone is divided by their number: add all of them up.": right[-1:] / s,
        "Only the first sample counts: average over all of them.": right[:1],
        "Only the last sample counts: average over all of them.": right[-1:],
        "This is the log of the mean likelihood; the ELBO has the mean of the log.": (
            right.logsumexp(0, keepdim=True) - math.log(s)
        ),
        "Probabilities of pixels are averaged over samples: average the log-likelihoods.": log_p(
            x_logits.sigmoid().mean(0, keepdim=True).logit(), x
        ),
        "Samples and images are mixed up: look at which axis of the flat result is which.": (
            right.reshape(n, s).T
        ),
        "Samples and images are mixed up: codes go through in another order than the images.": log_p(
            x_logits.transpose(0, 1).reshape(x_logits.shape), x
        ),
        "Samples and images are mixed up: the codes of one image are compared with another.": (
            log_p(x_logits, x[mixed])
        ),
        **{hint: of(wrong) for hint, wrong in codes.items()},
        **{hint: -wrong.sum((2, 3, 4)) for hint, wrong in losses.wrong_nlls(x_logits, x).items()},
    }
    wrong_kl_terms = {
        "The KL is added; the ELBO subtracts it.": -kl,
        "The KL term is missing.": 0 * kl,
        "The KL counts once for every sample: it needs no samples, subtract it once.": s * kl,
        "The KL is divided by the number of samples: it needs none, subtract it once.": kl / s,
        "The KL counts double: is it subtracted twice, or is its 1/2 missing?": 2 * kl,
        # Here are two dimensions.
        "The KL is half of what it should be: averaged over latent dimensions, or halved twice?": kl / 2,
        "The KL is summed over the batch: each image has its own.": kl.sum(),
        "The KL is averaged over the batch: each image has its own.": kl.mean(),
        "The KL is that of the samples: use the closed form, which has no noise.": log_ratio.sum(2).mean(0),
        **{hint: wrong.sum(1) for hint, wrong in (wrong_kls(mu, logvar) | floored(kl_of_each)).items()},
        **floored(kl, "An image"),
    }
    elbo = mean - kl
    yield {
        "This is -ELBO, the loss: the ELBO itself is asked for.": -elbo,
        "Summed over samples, the KL too: take their mean.": s * elbo,
        "Averaged over the batch: return one value per image.": elbo.mean(),
        "One value per sample and image: average over the samples.": right - kl,
        **{hint: wrong.mean(0) - kl for hint, wrong in wrong_terms.items()},
        **{hint: mean - wrong for hint, wrong in wrong_kl_terms.items()},
        **altered(lambda mu, logvar: mean - kls(mu, logvar).sum(1), mu, logvar),
    }


# --- 2.4 importance_weighted_bound ------------------------------------------------------------------


def judge_importance_weighted_bound(seed: int, evidence: Evidence) -> list[Finding]:
    """Weights of images lie hundreds of nats below 1, where exp gives 0; logsumexp takes the largest out
    first. With one sample the bound is the ELBO's, with more it can only rise, on average."""

    def sizes(log_w: Tensor) -> dict[str, int]:
        return {"samples": len(log_w), "images": log_w.shape[1]}

    return Table.of(probes.bound_looks, seed, _bounds, sizes, 1e-6).judge(
        evidence,
        Property("it is the log of the mean weight, per image", 3, ["bound", "float32"]),
        Property(
            "it stays finite for weights too small for exp, and counts those of 0", 1, ["tiny", "nothing"]
        ),
        Property("it also works for one sample and for one image", 1, ["one image", "one sample", "one"]),
    )


def _bounds(log_w: Tensor) -> dict[str, Any]:
    log_w = log_w.double()
    k, n = log_w.shape
    log_k, log_n, losses = math.log(k), math.log(n), -log_w

    def without(extreme: Tensor) -> Tensor:
        """The log of the mean weight, with this one (n,) taken out first."""
        return extreme + (log_w - extreme).exp().mean(0).log()

    bound = without(log_w.max(0).values)  # by hand: logsumexp is what is asked for
    averaged = log_w[0]
    for row in log_w[1:]:
        averaged = torch.logaddexp(averaged, row) - math.log(2)
    return {
        "": bound,
        "exp(log_w) is 0 or infinite here: use torch.logsumexp.": without(torch.zeros(n)),
        "An exponential is infinite here: take each image's largest weight out.": without(
            log_w.min(0).values
        ),
        "An exponential is infinite here: take the largest weight out, not the first.": without(log_w[0]),
        "An exponential is infinite here: take the largest weight out, not the last.": without(log_w[-1]),
        "Only the first two samples count: all K enter the mean.": log_w[:2].logsumexp(0)
        - math.log(min(k, 2)),
        "The sum starts from a log-weight of 0, a weight of 1: nothing weighs exp(-infinity).": (
            np.logaddexp(bound + log_k, 0) - log_k
        ),
        "The largest weight of all images is taken out: take out each image's own.": without(
            log_w.max().float().expand(n).double()
        ),
        "The largest weight is taken out and not put back: add its logarithm.": bound - log_w.max(0).values,
        "The - log K is missing: log-mean-exp, not log-sum-exp.": bound + log_k,
        "log K is added; dividing by K subtracts it.": bound + 2 * log_k,
        "K is subtracted, not its logarithm.": bound + log_k - k,
        "log K has base 2: the bound is in nats.": bound + log_k - math.log2(k),
        "log K has base 10: the bound is in nats.": bound + log_k - math.log10(k),
        "K - 1 divides the sum of the weights: it is K.": bound + log_k - math.log(max(k - 1, 1)),
        "K + 1 divides the sum of the weights: it is K.": bound + log_k - math.log(k + 1),
        "Samples of weight 0 are left out of K: all samples count.": (
            bound + log_k - log_w.isfinite().sum(0).log()
        ),
        "K divides the logarithm; it divides the sum inside it.": (bound + log_k) / k,
        "This is the mean of the log-weights, the ELBO: take the log of the mean weight.": log_w.mean(0),
        "This is the sum of the log-weights: take the log of the mean weight.": log_w.sum(0),
        "Each weight is averaged with the mean of those before: the last ones weigh most.": averaged,
        "Only the largest weight counts: all K enter the mean.": log_w.max(0).values,
        "Only the largest weight counts, as one of K: all enter the mean.": log_w.max(0).values - log_k,
        "K is taken to be 2: it is the number of samples.": bound + log_k - math.log(2),
        "The axes are swapped: K is the first axis, images the second.": log_w.logsumexp(1) - log_n,
        "The axes are swapped: sum over the first axis, the samples.": log_w.logsumexp(1) - log_k,
        "Log K has the size of the batch in it; K is the number of samples.": bound + log_k - log_n,
        "The log-weights are weighted by their own softmax: that is another quantity.": (
            log_w.softmax(0) * log_w
        ).sum(0),
        "The softmax is taken over losses: the worst sample counts most.": (losses.softmax(0) * log_w).sum(0),
        "The log-weights have the wrong sign: they are no losses.": losses.logsumexp(0) - log_k,
        "The signs are turned inside and outside: the worst sample counts most.": log_k - losses.logsumexp(0),
        "This is a loss, the negative of the bound.": -bound,
        "This is a loss, and its log K is missing: the bound is asked for.": -bound - log_k,
        "The logsumexp is negated and log K is not: this is no bound.": -bound - 2 * log_k,
        "This is the mean weight itself: its logarithm is asked for.": bound.exp(),
        "Averaged over images: return one value per image.": bound.mean(),
        "Images and samples are thrown together.": log_w.flatten().logsumexp(0) - log_k - log_n,
        "The samples' axis is still there: return one value per image.": bound[None],
        **{
            f"Log-weights are raised to -{least} at least: they may be any numbers.": (
                log_w.clamp(min=-least).logsumexp(0) - log_k
            )
            for least in (30, 50, 87, 88, 100, 103, 500, 700, 745, 1000)
        },
    }


# --- 2.6 what_is_my_beta ----------------------------------------------------------------------------


def judge_what_is_my_beta(seed: int, evidence: Evidence) -> list[Finding]:
    """Only the ratio of the two terms is learnt from, so every mean and every sigma hides in beta. Two
    papers with the same number in front of the KL may be thousands apart."""
    keys = list(probes.beta_looks(seed))
    return Table.of(probes.beta_looks, seed, _betas, lambda *_: {CALLS: 2}, 1e-6).judge(
        evidence,
        Property("cross-entropy: beta is 1 where both are sums, and each mean has its share", 3, keys[:4]),
        Property("squared error: sigma has its share as well", 2, keys[4:]),
    )


def _betas(
    reconstruction: str, kl: str, pixels: list[int], latent_dims: list[int], sigma: float | None
) -> dict[str, np.ndarray]:
    """beta (2,) for both sizes, and what mistakes would give."""
    # By what the terms in the loss must be multiplied to be sums in nats; beta is their ratio.
    means, one = (reconstruction == "mean", kl == "mean"), np.ones(2)
    of_pixels, of_kl = np.where(means[0], pixels, 1), np.where(means[1], latent_dims, 1)
    two, deviation = (1, 1.0) if sigma is None else (2, sigma)
    squares = two * deviation**2
    beta = of_pixels / squares / of_kl
    values = {
        "": beta,
        "The second model gets what the first should: is a result kept from before?": beta[0] * one,
        "This is the inverse: how much too heavy is the KL term?": 1 / beta,
        "Two means do not cancel: one divides by pixels, the other by latent dimensions.": (
            one / squares if all(means) else beta
        ),
        "It is 1 where it should be less: is something forgotten there, or is 1 a limit?": beta.clip(1),
        "It is 1 where it should be more: is something forgotten there, or is 1 a limit?": beta.clip(max=1),
        "It is 1 here: is something forgotten, or is 1 a limit?": one,
        "Where the KL alone is a mean, its latent dimensions are missing: divide by them there too.": (
            beta * of_kl if means == (False, True) else beta
        ),
        "The reductions count for a squared error as well.": beta if sigma is None else one / squares,
        "sum and mean are taken the wrong way round.": (
            np.where(means[0], 1, pixels) / squares / np.where(means[1], 1, latent_dims)
        ),
        "Whole division cuts off what is left: divide by /.": of_pixels // of_kl / squares,
        "A mean over pixels weakens the reconstruction, so it makes beta larger.": beta / of_pixels**2,
        "The mean over pixels divides the reconstruction: it must show in beta.": beta / of_pixels,
        "A mean over latent dimensions weakens the KL term, so it makes beta smaller.": beta * of_kl**2,
        "The mean over latent dimensions divides the KL term: it must show in beta.": beta * of_kl,
        "The KL's mean runs over latent dimensions, not over pixels.": (
            beta * of_kl / np.where(means[1], pixels, 1)
        ),
        "None is no sigma of 1: the cross-entropy has no 2 sigma^2.": beta * two / 2,
        "A sigma of 1 is not None: the 2 of 2 sigma^2 counts there, too.": two * beta if sigma == 1 else beta,
        "The Gaussian's -log p is SSE / (2 sigma^2): the 2 is missing.": two * beta,
        "sigma enters squared.": beta * deviation,
        "sigma counts as 1 here: use the one that is given.": beta * deviation**2,
        "1 / 2 * sigma^2 multiplies by sigma^2: brackets are missing.": (
            of_pixels / of_kl * (1 if sigma is None else sigma**2 / 2)
        ),
        "pixels and latent_dim have changed places.": (
            np.where(means[0], latent_dims, 1) / squares / np.where(means[1], pixels, 1)
        ),
        "sigma makes no difference here: it counts in every squared error.": beta * squares,
        "A smaller sigma makes an error cost more nats: divide by it.": beta * squares**2,
    }
    fixed = "784 pixels are hard-coded: use the number given."
    values[fixed] = of_fixed = beta * (784 / of_pixels if means[0] else 1)
    for size in (10, 20, 32, 64, 100, 128):
        hint = f"{size} is hard-coded in place of the latent dimensions"
        ratio = of_kl / size if means[1] else 1
        values[f"{hint}: use the number that is given."] = beta * ratio
        values[f"{hint}, and 784 in place of the pixels."] = of_fixed * ratio
    return values


EXERCISES = (
    Exercise("2.1", "gaussian_kl", 3, judge_gaussian_kl, ("objectives.gaussian_kl",)),
    Exercise("2.2", "reparameterize", 3, judge_reparameterize, ("objectives.reparameterize",)),
    Exercise("2.3", "monte_carlo_elbo", 3, judge_monte_carlo_elbo),
    Exercise(
        "2.4",
        "importance_weighted_bound",
        3,
        judge_importance_weighted_bound,
        ("objectives.importance_weighted_bound",),
    ),
    Exercise("2.6", "what_is_my_beta", 3, judge_what_is_my_beta, ("objectives.real_beta",)),
    prediction(
        "2.7",
        "predict_gap",
        probes.GAP_OFFERED,
        "Linear maps keep Gaussians Gaussian, and a rotation of the latent space that makes W's columns "
        "orthogonal makes the posterior's covariance diagonal: then q can be the posterior. A gap that "
        "is left after training is one of unfinished training.",
        "Through a nonlinear decoder the posterior is no Gaussian with independent dimensions, and one "
        "encoder serves all images; each costs nats that training does not win back.",
        "A fit of its own to each image shows what the family costs; the rest is the encoder's. Where "
        "posteriors are bent or in pieces, the family's part grows; where each is narrow and close to "
        "Gaussian, it is small, and to miss its place by a few of its widths is what costs.",
        "By Jensen the bound cannot lie above log p(x) in expectation, and it rises with K. Where q "
        "misses the posterior by g nats it takes about exp(g) samples to come near, so the images with "
        "the worst q hold it down; where none is left, it stands at log p(x).",
    ),
)

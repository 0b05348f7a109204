"""Section 2: the KL term, the sample, the two bounds and the real beta.

Oracles: torch.distributions in float64 for densities and divergences, finite arithmetic by hand for the
rest. Inputs lie far from sigma = 1, where wrong formulas for sigma agree with right ones.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli

from course_utils.checks.core import Exercise, Finding, close, expect, problem_with, unless
from course_utils.checks.evidence import Evidence, NotNumbers, alone, as_array, intact, record, record_tensor
from course_utils.checks.gaussians import kls, standard_normal, wrong_kls
from course_utils.checks.inputs import generator, posterior_parameters, seed_draws
from course_utils.checks.predictions import prediction


def _parameters(seed: int, n: int = 5, latent_dim: int = 3) -> tuple[Tensor, Tensor]:
    """mu and logvar of a seed, each (n, latent_dim)."""
    return posterior_parameters(generator(seed), n, latent_dim)


# --- 2.1 gaussian_kl --------------------------------------------------------------------------------


def probe_gaussian_kl(evidence: Evidence, answer: Any, seed: int) -> None:
    record_tensor(evidence, "kl", answer, *_parameters(seed))
    record_tensor(evidence, "single", intact, answer, *_parameters(seed + 1, n=1, latent_dim=1))


def judge_gaussian_kl(seed: int, evidence: Evidence) -> list[Finding]:
    def finding(key: str, mu: Tensor, logvar: Tensor, claim: str, weight: float) -> Finding:
        kl = kls(mu, logvar)
        mistakes = wrong_kls(mu, logvar) | {
            "It is the negative of the KL: check the sign. A KL divergence is never negative.": -kl,
            "Summed over latent dimensions already: return one value per image and dimension.": kl.sum(1),
            "Averaged over latent dimensions: return one value per image and dimension.": kl.mean(1),
            "Summed over everything: return one value per image and dimension.": kl.sum(),
            "Averaged over everything: return one value per image and dimension.": kl.mean(),
            "Summed over the batch: return one value per image and dimension.": kl.sum(0),
            "Averaged over the batch: return one value per image and dimension.": kl.mean(0),
            "Images and dimensions have changed places: return the shape of mu.": kl.T,
        }
        of_logvar = "It contains NaN or infinity: is a logarithm taken of `logvar`, which may be negative?"
        return expect(evidence, key, kl, claim, weight, mistakes, not_finite=of_logvar)

    single = _parameters(seed + 1, n=1, latent_dim=1)
    return [
        finding("kl", *_parameters(seed), "it equals the KL of torch.distributions", 2),
        finding("single", *single, "it also works for one image and one dimension", 1),
    ]


# --- 2.2 reparameterize -----------------------------------------------------------------------------

DRAWS = (400, 50)  # images, latent dimensions


def _wide_posterior(seed: int) -> tuple[Tensor, Tensor]:
    """mu and logvar (400, 50), the same in each row, sigma between 0.1 and 1."""
    g = generator(seed, 2)
    mu, logvar = 3 * torch.randn(DRAWS[1], generator=g), -4.6 * torch.rand(DRAWS[1], generator=g)
    return mu.expand(DRAWS), logvar.expand(DRAWS)


def _eps(seed: int) -> Tensor:
    """Noise (5, 3) for `_parameters`."""
    return torch.randn(5, 3, generator=generator(seed, 1))


def probe_reparameterize(evidence: Evidence, answer: Any, seed: int) -> None:
    for key in ("given", "again"):
        record_tensor(evidence, key, intact, answer, *_parameters(seed), _eps(seed))

    def gradients(eps: Tensor | None) -> list[Tensor]:
        """z, and the gradients of its sum by mu and logvar, each (n, latent_dim)."""
        mu, logvar = (t.requires_grad_() for t in _parameters(seed))
        z = alone(answer(mu, logvar, eps))
        if not isinstance(z, Tensor):
            raise NotNumbers(f"It returned a {type(z).__name__}, through which no gradient can flow.")
        if z.requires_grad:
            z.sum().backward()
        return [z, *(torch.zeros_like(t) if t.grad is None else t.grad for t in (mu, logvar))]

    def drawn() -> np.ndarray:
        """Two calls one after the other: (2, 400, 50)."""
        return np.stack([as_array(alone(answer(*_wide_posterior(seed), None))) for _ in range(2)])

    record(evidence, "gradients", lambda: gradients(_eps(seed))[1:])
    seed_draws(seed)
    record(evidence, "own gradients", gradients, None)
    record(evidence, "drawn", drawn)


def judge_reparameterize(seed: int, evidence: Evidence) -> list[Finding]:
    mu, logvar = (t.double() for t in _parameters(seed))
    eps, sigma = _eps(seed).double(), (logvar / 2).exp()
    one, derivative = torch.ones_like(mu), eps * sigma / 2
    z = {
        "Your sigma looks like exp(logvar); it should be exp(logvar / 2).": mu + logvar.exp() * eps,
        "Your sigma looks like logvar itself; take exp(logvar / 2).": mu + logvar * eps,
        "Your sigma looks like logvar / 2: the exponential is missing.": mu + logvar / 2 * eps,
        "The mean is missing: z = mu + sigma * eps.": sigma * eps,
        "sigma is missing: this is mu + eps.": mu + eps,
        "The noise is missing: this is mu itself.": mu,
        "The noise is missing: this is mu + sigma.": mu + sigma,
        "The noise is subtracted; it should be added.": mu - sigma * eps,
        "The noise is multiplied by mu: only sigma stands before it.": (mu + sigma) * eps,
    }
    gradients = {
        "No gradient arrives: is the sample detached, or drawn under no_grad?": (0 * one, 0 * one),
        "Only mu gets a gradient: sigma or the noise term is detached.": (one, 0 * one),
        "Only logvar gets a gradient: the mean is missing or detached.": (0 * one, derivative),
        "The gradient is that of sigma = exp(logvar); it should be exp(logvar / 2).": (
            one,
            eps * logvar.exp(),
        ),
    }
    claim = "with eps given, z = mu + sigma * eps"
    no_root = "It contains NaN or infinity: `logvar` may be negative, so it has no root and no logarithm."
    given = expect(evidence, "given", mu + sigma * eps, claim, 1, z, not_finite=no_root)
    claim = "gradients reach mu and logvar, with eps given and without"
    wrong = {hint: torch.stack(parts) for hint, parts in gradients.items()}
    reached = expect(evidence, "gradients", torch.stack([one, derivative]), claim, 1, wrong)
    claim = "without eps it draws its own standard normal noise, a new one for every image and dimension"
    return [
        _same_again(given, evidence["given"], evidence["again"]),
        _own_gradients(evidence, mu, reached),
        unless(claim, 1, _noise_hint(seed, evidence)),
    ]


def _own_gradients(evidence: Evidence, mu: Tensor, finding: Finding) -> Finding:
    """The finding; where it holds, noise of the answer's own is asked the same: dz/dlogvar = (z - mu) / 2."""
    if not finding.holds:
        return finding
    problem = problem_with(evidence, "own gradients")
    if problem or evidence["own gradients"].shape != (3, *mu.shape):
        return replace(finding, holds=False, hint=problem or "Without eps, z has another shape than mu.")
    z, *found = torch.as_tensor(evidence["own gradients"]).double()
    if close(torch.stack(found).numpy(), torch.stack([torch.ones_like(mu), (z - mu) / 2]), 1e-4):
        return finding
    hint = "Without eps no gradient arrives: a sample of a distribution is cut off, mu + sigma * eps is not."
    return replace(finding, holds=False, hint=hint)


def _same_again(finding: Finding, once: np.ndarray, again: np.ndarray) -> Finding:
    """The finding; where no mistake is known, and a second call gave something else, it says so."""
    if "difference" not in finding.hint or np.array_equal(once, again):
        return finding
    hint = "Two calls with the same eps differ: noise is drawn although eps is given."
    return replace(finding, hint=hint)


def _noise_hint(seed: int, evidence: Evidence) -> str:
    """'' where the noise drawn by the answer itself is standard normal and new for every number.

    Of the first call's 20,000 numbers a right answer fails with probability below 10^-8. Uniform noise of
    mean 0 and variance 1 lies 16 standard errors off in its mean absolute value, Laplace noise 21; no noise,
    one noise for several numbers and `rand` are patterns that need no statistics. (Noise
    within 2.5 standard deviations is called uniform; normal noise is, with probability 10^-108.)
    """
    problem = problem_with(evidence, "drawn")
    if problem:
        return problem
    z = torch.as_tensor(evidence["drawn"]).double()
    if z.shape != (2, *DRAWS):
        return f"It has shape {tuple(z.shape[1:])}; expected {DRAWS}."
    mu, logvar = (t.double() for t in _wide_posterior(seed))
    noise, again = (z - mu) / (logvar / 2).exp()
    if (noise - again).abs().max() < 1e-6:
        silent = noise.abs().max() < 1e-6
        return "No noise is drawn." if silent else "Every call draws the same noise: do not set the seed."
    if noise.std(0).max() < 1e-3:
        return "Every image gets the same noise: draw it in the shape of mu."
    if noise.std(1).max() < 1e-3:
        return "All dimensions share one noise: draw it in the shape of mu."
    if noise.min() > -1e-3 and noise.max() < 1 + 1e-3:
        return "The noise lies in [0, 1]: use torch.randn, not torch.rand."
    if noise.abs().max() < 2.5 * noise.std():
        return (
            f"The noise never leaves [{noise.min():.1f}, {noise.max():.1f}]: is it normal, as torch.randn's?"
        )
    shown = f"Your noise has mean {noise.mean():.2f} and std {noise.std():.2f}; is it standard normal?"
    return "" if standard_normal(noise) else shown


# --- 2.3 monte_carlo_elbo ---------------------------------------------------------------------------


class _Linear(torch.nn.Module):
    """A tiny decoder with fixed weights: z (N, 2) to logits (N, 1, 28, 28)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        # so pale that a sigmoid does not round to 0 or 1
        self.weight = 0.3 * torch.randn(2, 784, generator=generator(seed, 2))

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.weight.to(z.dtype)).view(-1, 1, 28, 28)


def _elbo_inputs(seed: int, samples: int = 7, n: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Binary x (n, 1, 28, 28), mu and logvar (n, 2), eps (samples, n, 2)."""
    mu, logvar = _parameters(seed, n=n, latent_dim=2)
    g = generator(seed, 3)
    x = (torch.rand(n, 1, 28, 28, generator=g) < 0.3).float()
    return x, mu / 2, logvar / 2, torch.randn(samples, n, 2, generator=g)


def _elbo_cases(seed: int) -> dict[str, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The inputs by the evidence's key; in the first q is the prior, so that the KL is 0."""
    x, mu, logvar, eps = _elbo_inputs(seed + 1)
    return {
        "prior": (x, 0 * mu, 0 * logvar, eps),
        "elbo": _elbo_inputs(seed),
        "again": _elbo_inputs(seed),
        "one": _elbo_inputs(seed + 2, samples=1, n=1),
    }


def probe_monte_carlo_elbo(evidence: Evidence, answer: Any, seed: int) -> None:
    for key, inputs in _elbo_cases(seed).items():
        function = partial(intact, answer) if key == "one" else answer
        record_tensor(evidence, key, function, _Linear(seed).decode, *inputs)


def judge_monte_carlo_elbo(seed: int, evidence: Evidence) -> list[Finding]:
    claims = {
        "prior": "where q is the prior it is the mean of log p(x|z) over samples, per image",
        "elbo": "elsewhere it is that mean minus the KL, per image",
        "one": "it also works for one image and one sample",
    }
    findings = {}
    for key, claim in claims.items():
        inputs = (tensor.double() for tensor in _elbo_cases(seed)[key])
        elbo, mistakes = _elbo_and_mistakes(_Linear(seed), *inputs)
        findings[key] = expect(evidence, key, elbo, claim, 1, mistakes)
    findings["elbo"] = _same_again(findings["elbo"], evidence["elbo"], evidence["again"])
    return list(findings.values())


def _elbo_and_mistakes(
    decoder: _Linear, x: Tensor, mu: Tensor, logvar: Tensor, eps: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """The ELBO per image in float64, and what mistakes would give."""
    sigma, s = (logvar / 2).exp(), len(eps)

    def log_likelihood(z: Tensor) -> Tensor:
        """log p(x|z) for codes (samples, n, 2): (samples, n)."""
        return Bernoulli(logits=logits(z)).log_prob(x).sum((2, 3, 4))

    def logits(z: Tensor) -> Tensor:
        return decoder.decode(z.flatten(0, 1)).unflatten(0, z.shape[:2])

    log_p, pi = log_likelihood(mu + sigma * eps), logits(mu + sigma * eps).sigmoid()
    wide, odd = log_likelihood(mu + logvar.exp() * eps), log_likelihood(mu + logvar * eps)
    mean, squares = log_p.mean(0), (pi - x).square().sum((2, 3, 4))
    kl_of_each = kls(mu, logvar)
    kl = kl_of_each.sum(1)
    log_of_mean = log_p.logsumexp(0) - math.log(s)
    swapped = Bernoulli(logits=x, validate_args=False).log_prob(logits(mu + sigma * eps)).sum((2, 3, 4))
    wrong_means = {
        "The cross-entropy is -log p(x|z): the first term has the wrong sign.": -mean,
        "Averaged over pixels: log p(x|z) is a sum over pixels.": mean / 784,
        "Summed over samples: take their mean.": s * mean,
        "Only the first sample counts: average over all of them.": log_p[0],
        "Only the last sample counts: average over all of them.": log_p[-1],
        "This is the log of the mean likelihood; the ELBO has the mean of the log.": log_of_mean,
        "All images share one noise: eps has some for each.": log_likelihood(mu + sigma * eps[:, :1]).mean(0),
        "The noise is missing: every sample is the mean of q.": log_likelihood(mu[None])[0],
        "Your sigma looks like exp(logvar); it should be exp(logvar / 2).": wide.mean(0),
        "Your sigma looks like logvar itself; take exp(logvar / 2).": odd.mean(0),
        "Images and logits have changed places in the cross-entropy.": swapped.mean(0),
        "The logits go through a sigmoid twice.": Bernoulli(logits=pi).log_prob(x).sum((2, 3, 4)).mean(0),
        "This is a squared error: log p(x|z) is minus the cross-entropy.": -squares.mean(0),
        "One value per sample and image: average over the samples.": log_p,
    }
    wrong_kl_terms = {
        "The KL is added; the ELBO subtracts it.": -kl,
        "The KL term is missing.": 0 * kl,
        "The KL counts once for every sample: it needs no samples, subtract it once.": s * kl,
        "The KL counts double: is it subtracted twice, or is its 1/2 missing?": 2 * kl,
        "The KL is averaged over latent dimensions: sum over them.": kl_of_each.mean(1),
        "The KL is summed over the batch: each image has its own.": kl.sum(),
        "The KL is averaged over the batch: each image has its own.": kl.mean(),
    } | {hint: wrong.sum(1) for hint, wrong in wrong_kls(mu, logvar).items()}
    mistakes = {
        "This is -ELBO, the loss: the ELBO itself is asked for.": kl - mean,
        "Summed over samples, the KL too: take their mean.": s * (mean - kl),
        "Averaged over the batch: return one value per image.": (mean - kl).mean(),
        "Summed over the batch: return one value per image.": (mean - kl).sum(),
        **{hint: wrong - kl for hint, wrong in wrong_means.items()},
        **{hint: mean - wrong for hint, wrong in wrong_kl_terms.items()},
    }
    return mean - kl, mistakes


# --- 2.4 importance_weighted_bound ------------------------------------------------------------------


def _log_weights(seed: int) -> Tensor:
    """(6, 4), around -100 nats, spread over several nats."""
    return -100 + 4 * torch.randn(6, 4, generator=generator(seed, 4), dtype=torch.float64)


def _tiny_log_weights(seed: int) -> Tensor:
    """(6, 4), around -1000 nats; for half of the images they lie thousands of nats apart."""
    return (_log_weights(seed) + 100) * torch.tensor([1.0, 1.0, 300.0, 300.0]) - 1000


def probe_importance_weighted_bound(evidence: Evidence, answer: Any, seed: int) -> None:
    record_tensor(evidence, "bound", answer, _log_weights(seed))
    record_tensor(evidence, "tiny", intact, answer, _tiny_log_weights(seed))


def judge_importance_weighted_bound(seed: int, evidence: Evidence) -> list[Finding]:
    def finding(key: str, log_w: Tensor, claim: str, weight: float) -> Finding:
        largest = log_w.max(0).values
        bound = largest + (log_w - largest).exp().mean(0).log()  # by hand: logsumexp is what is asked for
        lost = "exp(log_w) is 0 or infinite here: use torch.logsumexp."
        return expect(evidence, key, bound, claim, weight, _wrong_bounds(log_w, bound), 1e-7, not_finite=lost)

    return [
        finding("bound", _log_weights(seed), "it is the log of the mean weight, per image", 2),
        finding("tiny", _tiny_log_weights(seed), "it stays finite for weights too small for exp", 1),
    ]


def _wrong_bounds(log_w: Tensor, bound: Tensor) -> dict[str, Tensor]:
    k, n = log_w.shape
    log_k, log_n, losses = math.log(k), math.log(n), -log_w
    return {
        "The - log K is missing: log-mean-exp, not log-sum-exp.": bound + log_k,
        "log K is added; dividing by K subtracts it.": bound + 2 * log_k,
        "K is subtracted, not its logarithm.": bound + log_k - k,
        "K divides the logarithm; it divides the sum inside it.": (bound + log_k) / k,
        "This is the mean of the log-weights, the ELBO: take the log of the mean weight.": log_w.mean(0),
        "This is the sum of the log-weights: take the log of the mean weight.": log_w.sum(0),
        "Only the largest weight counts: all K enter the mean.": log_w.max(0).values,
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
    }


# --- 2.5 what_is_my_beta ----------------------------------------------------------------------------


def _losses(seed: int) -> list[tuple[str, str, int, int, float | None]]:
    """Seven losses: reductions of reconstruction and KL, pixels, latent_dim, and sigma where Gaussian."""
    g = generator(seed, 5)
    pixels = torch.randint(100, 2000, (7,), generator=g).tolist()
    latent_dims = torch.randint(3, 300, (7,), generator=g).tolist()
    sigmas = [None] * 3 + (0.1 + 0.8 * torch.rand(4, generator=g)).tolist()
    kinds = [("mean", "sum"), ("sum", "mean"), ("mean", "mean"), ("sum", "sum")]
    kinds = [*kinds[:3], *kinds]  # cross-entropy summed and KL summed: 1, whatever the seed
    return [(*kind, *rest) for kind, *rest in zip(kinds, pixels, latent_dims, sigmas, strict=True)]


def probe_what_is_my_beta(evidence: Evidence, answer: Any, seed: int) -> None:
    for index, loss in enumerate(_losses(seed)):
        record(evidence, str(index), answer, *loss)


def judge_what_is_my_beta(seed: int, evidence: Evidence) -> list[Finding]:
    findings = []
    for index, (reconstruction, kl, pixels, latent_dim, sigma) in enumerate(_losses(seed)):
        # By what the terms in the loss must be multiplied to be sums in nats; beta is their ratio.
        of_pixels = pixels if reconstruction == "mean" else 1
        of_kl = latent_dim if kl == "mean" else 1
        squares = 1 if sigma is None else 2 * sigma**2
        beta = of_pixels / squares / of_kl
        turned = (pixels / of_pixels) / squares / (latent_dim / of_kl)
        # Where a loss has no mean, or no sigma, the mistakes about it give the right number.
        mistakes = {
            "This is the inverse: how much too heavy is the KL term?": 1 / beta,
            "beta is not always 1: see what the reductions divide by.": 1.0,
            "The reductions count for a squared error as well.": 1 / squares,
            "sum and mean are taken the wrong way round.": turned,
            "784 pixels are hard-coded: use the number that is given.": beta * 784 / of_pixels,
            "A mean over pixels weakens the reconstruction, so it makes beta larger.": beta / of_pixels**2,
            "The mean over pixels divides the reconstruction: it must show in beta.": beta / of_pixels,
            "20 latent dimensions are hard-coded: use the number that is given.": beta * of_kl / 20,
            "A mean over latent dimensions weakens the KL term, so it makes beta smaller.": beta * of_kl**2,
            "The mean over latent dimensions divides the KL term: it must show in beta.": beta * of_kl,
        }
        if sigma is not None:
            mistakes |= {
                "The Gaussian's -log p is SSE / (2 sigma^2): the 2 is missing.": 2 * beta,
                "sigma enters squared.": beta * sigma,
                "sigma makes no difference in your answer.": beta * squares,
                "A smaller sigma makes an error cost more nats, so beta is larger: divide by it.": (
                    beta * squares**2
                ),
            }
        loss = "cross-entropy" if sigma is None else f"squared error with sigma = {sigma:.2f}"
        weight = 0.4 if sigma is None else 0.45
        claim = f"{loss}, {reconstruction} over {pixels} pixels, KL by {kl} over {latent_dim}"
        findings.append(expect(evidence, str(index), beta, claim, weight, mistakes, tolerance=1e-6))
    return findings


EXERCISES = (
    Exercise("2.1", "gaussian_kl", 3, probe_gaussian_kl, judge_gaussian_kl, ("objectives.gaussian_kl",)),
    Exercise(
        "2.2", "reparameterize", 3, probe_reparameterize, judge_reparameterize, ("objectives.reparameterize",)
    ),
    Exercise("2.3", "monte_carlo_elbo", 3, probe_monte_carlo_elbo, judge_monte_carlo_elbo),
    Exercise(
        "2.4",
        "importance_weighted_bound",
        3,
        probe_importance_weighted_bound,
        judge_importance_weighted_bound,
        ("objectives.importance_weighted_bound",),
    ),
    Exercise(
        "2.5", "what_is_my_beta", 3, probe_what_is_my_beta, judge_what_is_my_beta, ("objectives.real_beta",)
    ),
    prediction(
        "2.7",
        "predict_gap",
        {
            "gap of the linear VAE": (
                ("closes", "stays open"),
                "Linear maps keep Gaussians Gaussian, and a rotation of the latent space that makes W's "
                "columns orthogonal makes the posterior's covariance diagonal: then q can be the posterior. "
                "A gap that is left after training is one of unfinished training.",
            ),
            "gap of the VAE with two latents": (
                ("closes", "stays open"),
                "Through a nonlinear decoder the posterior is no Gaussian with independent dimensions, and "
                "one encoder serves all images; each costs nats that training does not win back.",
            ),
            "most of that second gap": (
                ("no Gaussian fits the posterior", "the encoder misses the best Gaussian"),
                "A fit of its own to each image shows what the family costs; the rest is the encoder's. "
                "Where posteriors are bent or in pieces, the family's part grows; where each is narrow and "
                "close to Gaussian, it is small, and to miss its place by a few of its widths is what costs.",
            ),
            "bound with 1,000 samples there": (
                ("below log p(x)", "at log p(x)", "above log p(x)"),
                "By Jensen the bound cannot lie above log p(x) in expectation, and it rises with K. Where q "
                "misses the posterior by g nats it takes about exp(g) samples to come near, so the images "
                "with the worst q hold it down; where none is left, it stands at log p(x).",
            ),
        },
    ),
)

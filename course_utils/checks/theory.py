"""Section 2: the KL term, the sample, the two bounds and the real beta.

Oracles: torch.distributions in float64 for densities and divergences, finite arithmetic by hand for the
rest. Inputs lie far from sigma = 1, where wrong formulas for sigma agree with right ones.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from course_utils.checks.core import Exercise, Finding, expect, problem_with
from course_utils.checks.evidence import Evidence, NotNumbers, alone, generator, record, record_tensor


def posterior_parameters(seed: int, n: int = 5, latent_dim: int = 3) -> tuple[Tensor, Tensor]:
    """mu and logvar (n, latent_dim) with sigma between about 0.1 and 5."""
    g = generator(seed)
    mu = 2 * torch.randn(n, latent_dim, generator=g)
    logvar = -4.5 + 7.5 * torch.rand(n, latent_dim, generator=g)
    return mu, logvar


# --- 2.1 gaussian_kl --------------------------------------------------------------------------------


def probe_gaussian_kl(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    record_tensor(evidence, "kl", answer, *posterior_parameters(seed))
    record_tensor(evidence, "single", answer, *posterior_parameters(seed + 1, n=1, latent_dim=1))
    return evidence


def judge_gaussian_kl(seed: int, evidence: Evidence) -> list[Finding]:
    mu, logvar = (t.double() for t in posterior_parameters(seed))
    q, p = Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), 1.0)
    kl = kl_divergence(q, p)
    as_sigma = 0.5 * (mu**2 + (2 * logvar).exp() - 1 - 2 * logvar)
    mistakes = {
        "It is twice what it should be: is the 1/2 in front missing?": 2 * kl,
        "It is the negative of the KL: check the sign. A KL divergence is never negative.": -kl,
        "This is KL(p || q): the two distributions are swapped.": kl_divergence(p, q),
        "logvar is log sigma^2, but you seem to read it as log sigma.": as_sigma,
        "Summed over latent dimensions already: return one value per image and dimension.": kl.sum(1),
        "Averaged over latent dimensions: return one value per image and dimension.": kl.mean(1),
        "Summed over everything: return one value per image and dimension.": kl.sum(),
        "Averaged over everything: return one value per image and dimension.": kl.mean(),
        "The -1 seems to be missing: KL of N(0, I) to itself must be 0.": kl + 0.5,
    }
    mu1, logvar1 = (t.double() for t in posterior_parameters(seed + 1, n=1, latent_dim=1))
    single = kl_divergence(Normal(mu1, (logvar1 / 2).exp()), Normal(torch.zeros_like(mu1), 1.0))
    return [
        expect(evidence, "kl", kl, "it equals the KL of torch.distributions", 2, mistakes),
        expect(evidence, "single", single, "it also works for one image and one dimension", 1, mistakes),
    ]


# --- 2.2 reparameterize -----------------------------------------------------------------------------

DRAWS = (400, 50)  # images, latent dimensions


def _wide_posterior(seed: int) -> tuple[Tensor, Tensor]:
    """mu and logvar (400, 50), the same in each row, sigma between 0.1 and 1."""
    g = generator(seed, 2)
    mu, logvar = 3 * torch.randn(DRAWS[1], generator=g), -4.6 * torch.rand(DRAWS[1], generator=g)
    return mu.expand(DRAWS), logvar.expand(DRAWS)


def probe_reparameterize(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    mu, logvar = posterior_parameters(seed)
    eps = torch.randn(mu.shape, generator=generator(seed, 1))
    record_tensor(evidence, "given", answer, mu, logvar, eps)

    mu, logvar = mu.clone().requires_grad_(), logvar.clone().requires_grad_()

    def gradients() -> Tensor:
        z = alone(answer(mu, logvar, eps))
        if not isinstance(z, Tensor):
            raise NotNumbers(f"It returned a {type(z).__name__}, through which no gradient can flow.")
        if z.requires_grad:
            z.sum().backward()
        return torch.stack([torch.zeros_like(t) if t.grad is None else t.grad for t in (mu, logvar)])

    def drawn() -> Tensor:
        """Two calls one after the other: (2, 400, 50)."""
        return torch.stack([torch.as_tensor(alone(answer(*_wide_posterior(seed), None))) for _ in range(2)])

    record(evidence, "gradients", gradients)
    torch.manual_seed(seed)
    record(evidence, "drawn", drawn)
    return evidence


def judge_reparameterize(seed: int, evidence: Evidence) -> list[Finding]:
    mu, logvar = (t.double() for t in posterior_parameters(seed))
    eps = torch.randn(mu.shape, generator=generator(seed, 1)).double()
    sigma = (logvar / 2).exp()
    gradients = torch.stack([torch.ones_like(mu), eps * sigma / 2])
    return [
        expect(
            evidence,
            "given",
            mu + sigma * eps,
            "with eps given, z = mu + sigma * eps",
            1,
            {
                "Your sigma looks like exp(logvar); it should be exp(logvar / 2).": mu + logvar.exp() * eps,
                "Your sigma looks like logvar itself; take exp(logvar / 2).": mu + logvar * eps,
                "The mean is missing: z = mu + sigma * eps.": sigma * eps,
                "sigma is missing: this is mu + eps.": mu + eps,
                "The noise is missing: this is mu itself.": mu,
                "The noise is subtracted; it should be added.": mu - sigma * eps,
            },
        ),
        expect(
            evidence,
            "gradients",
            gradients,
            "gradients reach mu and logvar",
            1,
            {
                "No gradient arrives: is the sample detached, or drawn under no_grad?": 0 * gradients,
                "Only mu gets a gradient: sigma or the noise term is detached.": torch.stack(
                    [torch.ones_like(mu), torch.zeros_like(mu)]
                ),
            },
        ),
        _drawn(seed, evidence),
    ]


def _drawn(seed: int, evidence: Evidence) -> Finding:
    """The noise drawn by the answer itself is standard normal and new for every number.

    Mean, standard deviation and mean absolute value of the first call's 20,000 numbers are held to six
    of their standard errors, each: a right answer fails with probability below 10^-8. Uniform noise of
    mean 0 and variance 1 lies 16 standard errors off in the last of the three.
    """
    claim = "without eps it draws its own standard normal noise, a new one for every image and dimension"
    problem = problem_with(evidence, "drawn")
    if problem:
        return Finding(claim, False, 1, problem)
    z = torch.as_tensor(evidence["drawn"]).double()
    if z.shape != (2, *DRAWS):
        return Finding(claim, False, 1, f"It has shape {tuple(z.shape[1:])}; expected {DRAWS}.")
    mu, logvar = (t.double() for t in _wide_posterior(seed))
    noise, again = (z - mu) / (logvar / 2).exp()
    if (noise - again).abs().max() < 1e-6:
        silent = noise.abs().max() < 1e-6
        hint = "No noise is drawn." if silent else "Every call draws the same noise: do not set the seed."
        return Finding(claim, False, 1, hint)
    if noise.std(0).max() < 1e-3:
        return Finding(claim, False, 1, "Every image gets the same noise: draw it in the shape of mu.")
    if noise.std(1).max() < 1e-3:
        return Finding(claim, False, 1, "All dimensions share one noise: draw it in the shape of mu.")
    if noise.min() > -1e-3 and noise.max() < 1 + 1e-3:
        return Finding(claim, False, 1, "The noise lies in [0, 1]: use torch.randn, not torch.rand.")
    n, half = noise.numel(), (2 / math.pi) ** 0.5
    right = (
        abs(noise.mean()) < 6 / n**0.5
        and abs(noise.std() - 1) < 6 / (2 * n) ** 0.5
        and abs(noise.abs().mean() - half) < 6 * ((1 - half**2) / n) ** 0.5
    )
    hint = f"Your noise has mean {noise.mean():.2f} and std {noise.std():.2f}; is it standard normal?"
    return Finding(claim, bool(right), 1, "" if right else hint)


# --- 2.3 monte_carlo_elbo ---------------------------------------------------------------------------


class _Linear(torch.nn.Module):
    """A tiny decoder with fixed weights: z (N, 2) to logits (N, 1, 28, 28)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.weight = torch.randn(2, 784, generator=generator(seed, 2))

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.weight.to(z.dtype)).view(-1, 1, 28, 28)


def _elbo_inputs(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Binary x (3, 1, 28, 28), mu and logvar (3, 2), eps (7, 3, 2)."""
    mu, logvar = posterior_parameters(seed, n=3, latent_dim=2)
    g = generator(seed, 3)
    x = (torch.rand(3, 1, 28, 28, generator=g) < 0.3).float()
    return x, mu / 2, logvar / 2, torch.randn(7, 3, 2, generator=g)


def probe_monte_carlo_elbo(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    x, mu, logvar, eps = _elbo_inputs(seed)
    record_tensor(evidence, "elbo", answer, _Linear(seed).decode, x, mu, logvar, eps)
    record_tensor(evidence, "one", answer, _Linear(seed).decode, x[:1], mu[:1], logvar[:1], eps[:1, :1])
    return evidence


def _elbo_terms(seed: int) -> tuple[Tensor, Tensor]:
    """log p(x|z_s) and KL in float64: (7, 3) and (3,)."""
    x, mu, logvar, eps = (t.double() for t in _elbo_inputs(seed))
    z = mu + (logvar / 2).exp() * eps
    logits = torch.stack([_Linear(seed).decode(row) for row in z])
    log_likelihood = Bernoulli(logits=logits).log_prob(x).sum((2, 3, 4))
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), 1.0)).sum(1)
    return log_likelihood, kl


def judge_monte_carlo_elbo(seed: int, evidence: Evidence) -> list[Finding]:
    log_likelihood, kl = _elbo_terms(seed)
    elbo = log_likelihood.mean(0) - kl
    mistakes = {
        "This is -ELBO, the loss: the ELBO itself is asked for.": -elbo,
        "The KL is added; the ELBO subtracts it.": log_likelihood.mean(0) + kl,
        "The KL term is missing.": log_likelihood.mean(0),
        "Averaged over pixels: log p(x|z) is a sum over pixels.": log_likelihood.mean(0) / 784 - kl,
        "Summed over samples: take their mean.": log_likelihood.sum(0) - kl,
        "Only the first sample counts: average over all of them.": log_likelihood[0] - kl,
        "Averaged over the batch: return one value per image.": elbo.mean(),
    }
    return [
        expect(evidence, "elbo", elbo, "it is the mean of log p(x|z) minus the KL, per image", 3, mistakes),
        expect(
            evidence,
            "one",
            log_likelihood[:1, 0] - kl[:1],
            "it also works for one image and one sample",
            1,
            mistakes,
        ),
    ]


# --- 2.4 importance_weighted_bound ------------------------------------------------------------------


def _log_weights(seed: int) -> Tensor:
    """(6, 4), around -100 nats, spread over several nats."""
    return -100 + 4 * torch.randn(6, 4, generator=generator(seed, 4), dtype=torch.float64)


def probe_importance_weighted_bound(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    record_tensor(evidence, "bound", answer, _log_weights(seed))
    record_tensor(evidence, "tiny", answer, _log_weights(seed) - 900)
    return evidence


def judge_importance_weighted_bound(seed: int, evidence: Evidence) -> list[Finding]:
    log_w = _log_weights(seed)
    k = torch.tensor(6.0, dtype=torch.float64)
    bound = (log_w + 100).exp().mean(0).log() - 100
    mistakes = {
        "The - log K is missing: log-mean-exp, not log-sum-exp.": bound + k.log(),
        "This is the mean of the log-weights, the ELBO: take the log of the mean weight.": log_w.mean(0),
        "The axes are swapped: K is the first axis, images the second.": torch.logsumexp(log_w, 1)
        - torch.tensor(4.0).log(),
        "Log K has the size of the batch in it; K is the number of samples.": torch.logsumexp(log_w, 0)
        - torch.tensor(4.0).log(),
        "The log-weights are weighted by their own softmax: that is another quantity.": (
            log_w.softmax(0) * log_w
        ).sum(0),
        "This is a loss, the negative of the bound.": -bound,
        "Averaged over images: return one value per image.": bound.mean(),
    }
    return [
        expect(evidence, "bound", bound, "it is the log of the mean weight, per image", 2, mistakes),
        expect(
            evidence,
            "tiny",
            bound - 900,
            "it stays finite for weights too small for exp",
            1,
            mistakes={"exp(log_w) underflows to 0 here: use torch.logsumexp.": torch.full((4,), -torch.inf)},
        ),
    ]


# --- 2.5 what_is_my_beta ----------------------------------------------------------------------------


def _losses(seed: int) -> list[tuple[str, str, int, int, float | None]]:
    """Five losses: reductions of reconstruction and KL, pixels, latent_dim, and sigma where Gaussian."""
    g = generator(seed, 5)
    pixels = torch.randint(100, 2000, (5,), generator=g).tolist()
    latent_dims = torch.randint(3, 60, (5,), generator=g).tolist()
    sigmas = (0.1 + 0.8 * torch.rand(5, generator=g)).tolist()
    kinds = [("mean", "sum"), ("sum", "mean"), ("mean", "mean"), ("sum", "sum"), ("mean", "mean")]
    return [
        (reconstruction, kl, pixels[i], latent_dims[i], sigmas[i] if i > 2 else None)
        for i, (reconstruction, kl) in enumerate(kinds)
    ]


def probe_what_is_my_beta(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    for index, loss in enumerate(_losses(seed)):
        record(evidence, str(index), answer, *loss)
    return evidence


def judge_what_is_my_beta(seed: int, evidence: Evidence) -> list[Finding]:
    findings = []
    for index, (reconstruction, kl, pixels, latent_dim, sigma) in enumerate(_losses(seed)):
        # Nats of reconstruction and of KL for each unit that they add to the loss; beta is their ratio.
        nats = (pixels if reconstruction == "mean" else 1) / (1 if sigma is None else 2 * sigma**2)
        nats_kl = latent_dim if kl == "mean" else 1
        beta = nats / nats_kl
        mistakes: dict[str, Any] = {
            "This is the inverse: how much too heavy is the KL term?": 1 / beta,
            "beta is not always 1: see what the reductions divide by.": 1.0,
        }
        if sigma is not None:
            mistakes["The Gaussian's -log p is SSE / (2 sigma^2): the 2 is missing."] = 2 * beta
            mistakes["sigma enters squared."] = beta * sigma
            mistakes["sigma makes no difference in your answer."] = beta * 2 * sigma**2
            mistakes["With a smaller sigma an error costs more nats, so beta is larger: divide by it."] = (
                beta * 4 * sigma**4
            )
        if reconstruction == "mean":
            mistakes["784 pixels are hard-coded: use the number that is given."] = beta * 784 / pixels
            mistakes["A mean over pixels weakens the reconstruction, so it makes beta larger."] = (
                beta / pixels**2
            )
            mistakes["The mean over pixels divides the reconstruction: it must show in beta."] = beta / pixels
        if kl == "mean":
            mistakes["The mean over latent dimensions divides the KL term: it must show in beta."] = (
                beta * latent_dim
            )
            mistakes["A mean over latent dimensions weakens the KL term, so it makes beta smaller."] = (
                beta * latent_dim**2
            )
        loss = "cross-entropy" if sigma is None else f"squared error with sigma = {sigma:.2f}"
        claim = f"{loss}, {reconstruction} over {pixels} pixels, KL by {kl} over {latent_dim}"
        findings.append(expect(evidence, str(index), beta, claim, 0.6, mistakes, tolerance=1e-6))
    return findings


EXERCISES = (
    Exercise("2.1", "gaussian_kl", 3, probe_gaussian_kl, judge_gaussian_kl),
    Exercise("2.2", "reparameterize", 3, probe_reparameterize, judge_reparameterize),
    Exercise("2.3", "monte_carlo_elbo", 4, probe_monte_carlo_elbo, judge_monte_carlo_elbo),
    Exercise(
        "2.4",
        "importance_weighted_bound",
        3,
        probe_importance_weighted_bound,
        judge_importance_weighted_bound,
    ),
    Exercise("2.5", "what_is_my_beta", 3, probe_what_is_my_beta, judge_what_is_my_beta),
)

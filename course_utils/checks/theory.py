"""Section 2: the KL term, the sample, the two bounds and the real beta.

Oracles: torch.distributions in float64 for densities and divergences, finite arithmetic by hand for the
rest. Inputs lie far from sigma = 1, where wrong formulas for sigma agree with right ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from course_utils.checks.core import (
    Evidence,
    Exercise,
    Finding,
    expect,
    generator,
    problem_with,
    record,
)


def posterior_parameters(seed: int, n: int = 5, latent_dim: int = 3) -> tuple[Tensor, Tensor]:
    """mu and logvar (n, latent_dim) with sigma between about 0.1 and 5."""
    g = generator(seed)
    mu = 2 * torch.randn(n, latent_dim, generator=g)
    logvar = -4.5 + 7.5 * torch.rand(n, latent_dim, generator=g)
    return mu, logvar


# --- 2.1 gaussian_kl --------------------------------------------------------------------------------


def probe_gaussian_kl(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    record(evidence, "kl", answer, *posterior_parameters(seed))
    record(evidence, "single", answer, *posterior_parameters(seed + 1, n=1, latent_dim=1))
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


def probe_reparameterize(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    mu, logvar = posterior_parameters(seed)
    eps = torch.randn(mu.shape, generator=generator(seed, 1))
    record(evidence, "given", answer, mu, logvar, eps)

    mu, logvar = mu.clone().requires_grad_(), logvar.clone().requires_grad_()

    def gradients() -> Tensor:
        answer(mu, logvar, eps).sum().backward()
        zero = torch.zeros_like(mu)
        return torch.stack([zero if t.grad is None else t.grad for t in (mu, logvar)])

    record(evidence, "gradients", gradients)

    torch.manual_seed(seed)
    record(evidence, "drawn", answer, torch.full((400, 50), 3.0), torch.full((400, 50), -2.0), None)
    return evidence


def judge_reparameterize(seed: int, evidence: Evidence) -> list[Finding]:
    mu, logvar = posterior_parameters(seed)
    eps = torch.randn(mu.shape, generator=generator(seed, 1))
    sigma = (logvar / 2).exp()
    gradients = torch.stack([torch.ones_like(mu), eps * sigma / 2])
    zeros = torch.zeros_like(gradients)
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
            },
        ),
        expect(
            evidence,
            "gradients",
            gradients,
            "gradients reach mu and logvar",
            1,
            {"No gradient arrives: is the sample detached, or drawn under no_grad?": zeros},
        ),
        _drawn(evidence),
    ]


def _drawn(evidence: Evidence) -> Finding:
    """The noise drawn by the answer itself is standard normal and new for every number.

    20,000 draws of N(3, e^-2): mean and standard deviation are held to six standard errors, so a right
    answer fails fewer than 1 in 10^8 times.
    """
    claim = "without eps it draws its own standard normal noise, a new one for every image and dimension"
    problem = problem_with(evidence, "drawn")
    if problem:
        return Finding(claim, False, 1, problem)
    z = torch.as_tensor(evidence["drawn"])
    if z.shape != (400, 50):
        return Finding(claim, False, 1, f"It has shape {tuple(z.shape)}; expected (400, 50).")
    noise = ((z - 3) / torch.tensor(-1.0).exp()).double()
    if noise.std(0).max() < 1e-6:
        return Finding(claim, False, 1, "Every image gets the same noise: draw it in the shape of mu.")
    if noise.std(1).max() < 1e-6:
        return Finding(claim, False, 1, "All dimensions share one noise: draw it in the shape of mu.")
    if noise.min() >= 0 and noise.max() <= 1:
        return Finding(claim, False, 1, "The noise lies in [0, 1]: use torch.randn, not torch.rand.")
    right = abs(noise.mean()) < 6 / 20_000**0.5 and abs(noise.std() - 1) < 6 / 40_000**0.5
    return Finding(
        claim, bool(right), 1, f"Your noise has mean {noise.mean():.2f} and std {noise.std():.2f}."
    )


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
    record(evidence, "elbo", answer, _Linear(seed).decode, x, mu, logvar, eps)
    record(evidence, "one", answer, _Linear(seed).decode, x[:1], mu[:1], logvar[:1], eps[:1, :1])
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
    record(evidence, "bound", answer, _log_weights(seed))
    record(evidence, "tiny", answer, _log_weights(seed) - 900)
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

_LOSSES: tuple[tuple[str, str, int, int, float | None, float], ...] = (
    # reconstruction, kl, pixels, latent_dim, sigma, beta -> what is really trained
    ("sum", "sum", 784, 20, None, 784.0 / 784.0),
    ("mean", "sum", 784, 20, None, 784.0),
    ("mean", "mean", 784, 20, None, 784.0 / 20.0),
    ("sum", "sum", 784, 20, 0.1, 50.0),
    ("mean", "sum", 1024, 8, 1.0, 512.0),
)


def probe_what_is_my_beta(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    for index, (reconstruction, kl, pixels, latent_dim, sigma, _) in enumerate(_LOSSES):
        record(evidence, str(index), answer, reconstruction, kl, pixels, latent_dim, sigma)
    return evidence


def judge_what_is_my_beta(seed: int, evidence: Evidence) -> list[Finding]:
    findings = []
    for index, (reconstruction, kl, pixels, latent_dim, sigma, beta) in enumerate(_LOSSES):
        loss = "cross-entropy" if sigma is None else f"squared error with sigma = {sigma}"
        mistakes: dict[str, Any] = {
            "This is the inverse: how much too heavy is the KL term?": 1 / beta,
            "A mean over pixels weakens the reconstruction, so it makes beta larger.": beta / pixels**2,
        }
        if kl == "mean":
            mistakes["The mean over latent dimensions weakens the KL term by latent_dim."] = beta * latent_dim
        if sigma is not None:
            mistakes["The Gaussian's -log p is SSE / (2 sigma^2): the 2 is missing."] = 2 * beta
            mistakes["sigma enters squared."] = beta * sigma
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

"""Section 3: the VAE, its loss, its training step, its test ELBO and its log-likelihood.

Oracles: torch.distributions in float64; for the training step, autograd on the formulas written out.
Models handed to the answers are tiny and linear. Where an answer draws its own noise the posterior is
so narrow (sigma = e^-10) that the noise changes nothing beyond the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from course_utils.checks.core import Exercise, Finding, expect, problem_with
from course_utils.checks.evidence import Evidence, generator, record

NARROW = -20.0  # log-variance of the tiny models' posterior


def images(seed: int, n: int, stream: int = 10) -> Tensor:
    """Binary images (n, 1, 28, 28), about a third of the pixels 1."""
    return (torch.rand(n, 1, 28, 28, generator=generator(seed, stream)) < 0.3).float()


class Linear(nn.Module):
    """Linear encoder and decoder with 2 latent dimensions and a fixed log-variance; notes its mode."""

    def __init__(self, seed: int, logvar: float = NARROW, scale: float = 0.05) -> None:
        super().__init__()
        self.weight = nn.Parameter(scale * torch.randn(784, 2, generator=generator(seed, 11)))
        self.logvar = logvar
        self.modes: list[bool] = []

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.modes.append(self.training)
        mu = x.flatten(1) @ self.weight
        return mu, torch.full_like(mu, self.logvar)

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.weight.T).view(-1, 1, 28, 28)


def terms(weight: Tensor, x: Tensor, logvar: float) -> tuple[Tensor, Tensor]:
    """-log p(x|z) at z = mu and the KL, per image, of a Linear with this weight."""
    mu = x.flatten(1) @ weight
    nll = -Bernoulli(logits=mu @ weight.T).log_prob(x.flatten(1)).sum(1)
    q = Normal(mu, torch.full_like(mu, math.exp(logvar / 2)))
    return nll, kl_divergence(q, Normal(torch.zeros_like(mu), 1.0)).sum(1)


# --- 3.1 MyVAE --------------------------------------------------------------------------------------


def probe_my_vae(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}

    def shapes(n: int, latent_dim: int) -> Callable[[], np.ndarray]:
        def call() -> np.ndarray:
            model = answer(latent_dim)
            mu, logvar = model.encode(images(seed, n))
            x_logits = model.decode(torch.zeros(n, latent_dim))
            return np.array([*mu.shape, *logvar.shape, *x_logits.shape])

        return call

    record(evidence, "shapes", shapes(5, 7))
    record(evidence, "single", shapes(1, 1))
    record(evidence, "parameters", lambda: sum(p.numel() for p in answer(20).parameters()))

    def heads() -> Tensor:
        mu, logvar = answer(20).encode(images(seed, 50))
        spread = (mu - logvar).abs().max()
        return torch.stack([mu.min(), mu.max(), logvar.min(), logvar.max(), spread])

    record(evidence, "heads", heads)
    record(evidence, "logits", lambda: answer(20).decode(50 * torch.randn(50, 20, generator=generator(seed))))

    def silent() -> int:
        model = answer(3)
        mu, logvar = model.encode(images(seed, 5))
        (model.decode(mu).square().sum() + mu.sum() + logvar.sum()).backward()
        return sum(p.grad is None or not p.grad.any() for p in model.parameters())

    record(evidence, "silent", silent)
    return evidence


def judge_my_vae(seed: int, evidence: Evidence) -> list[Finding]:
    del seed
    return [
        expect(
            evidence,
            "shapes",
            np.array([5, 7, 5, 7, 5, 1, 28, 28]),
            "5 images and 7 latent dimensions: mu and logvar are (5, 7), logits (5, 1, 28, 28)",
            0.5,
        ),
        expect(evidence, "single", np.array([1, 1, 1, 1, 1, 1, 28, 28]), "one image, one dimension", 0.5),
        expect(
            evidence,
            "parameters",
            1_082_680,
            "784-512-256 and back with two heads: 1,082,680 weights at 20 dimensions",
            1,
            {
                "One head serves for both mu and logvar: they need a layer each.": 1_077_540,
                "The decoder's 256-512 layer seems to be missing.": 1_082_680 - 256 * 512 - 512,
            },
        ),
        _free_heads(evidence),
        _logits(evidence),
        expect(evidence, "silent", 0, "gradients reach every weight", 0.5),
    ]


def _free_heads(evidence: Evidence) -> Finding:
    claim = "mu and logvar are different and take either sign"
    problem = problem_with(evidence, "heads")
    if problem:
        return Finding(claim, False, 1, problem)
    mu_low, mu_high, logvar_low, logvar_high, spread = evidence["heads"]
    if spread < 1e-6:
        return Finding(claim, False, 1, "mu and logvar are the same numbers: they need a layer each.")
    if mu_low >= 0 or logvar_low >= 0:
        return Finding(claim, False, 1, "A head never goes below 0: it must end without an activation.")
    return Finding(claim, bool(mu_high > 0 and logvar_high > 0), 1, "A head never goes above 0.")


def _logits(evidence: Evidence) -> Finding:
    claim = "decode returns logits, any real numbers"
    problem = problem_with(evidence, "logits")
    if problem:
        return Finding(claim, False, 0.5, problem)
    low, high = evidence["logits"].min(), evidence["logits"].max()
    hint = "All outputs are at least 0: leave the sigmoid (or ReLU) away at the end."
    return Finding(claim, bool(low < 0 < high), 0.5, hint)


# --- 3.2 vae_loss -----------------------------------------------------------------------------------


def _loss_inputs(seed: int, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    g = generator(seed, 12)
    x_logits = 2 * torch.randn(n, 1, 28, 28, generator=g)
    mu = 2 * torch.randn(n, 3, generator=g)
    return x_logits, images(seed, n), mu, -3 + 4 * torch.rand(n, 3, generator=g)


def probe_vae_loss(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    for key, n in (("loss", 5), ("single", 1)):
        record(
            evidence,
            key,
            lambda n=n: torch.stack([torch.as_tensor(t) for t in answer(*_loss_inputs(seed, n))]),
        )
    return evidence


def judge_vae_loss(seed: int, evidence: Evidence) -> list[Finding]:
    findings = []
    for key, n, claim, points in (
        ("loss", 5, "loss, reconstruction and KL are nats per image, averaged over the batch", 2),
        ("single", 1, "they are right for a single image too", 1),
    ):
        x_logits, x, mu, logvar = (t.double() for t in _loss_inputs(seed, n))
        pixels = -Bernoulli(logits=x_logits).log_prob(x)
        dims = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), 1.0))
        r, k = pixels.sum() / n, dims.sum() / n

        def triple(r: Tensor, k: Tensor) -> Tensor:
            return torch.stack([r + k, r, k])

        hard = torch.nn.functional.binary_cross_entropy(
            x_logits.clamp(0, 1), x, reduction="sum"
        ) / n  # fmt: skip
        mistakes = {
            "Both terms are sums over the batch: divide by the number of images.": triple(n * r, n * k),
            "The reconstruction is a mean over pixels: sum over the 784 pixels.": triple(r / 784, k),
            "The KL is a mean over latent dimensions: sum over them.": triple(r, k / 3),
            "Both are means: sum over pixels and over dimensions, average over images only.": triple(
                r / 784, k / 3
            ),
            "Only the reconstruction is averaged over the batch.": triple(r, n * k),
            "Only the KL is averaged over the batch.": triple(n * r, k),
            "The KL lacks its 1/2.": triple(r, 2 * k),
            "The KL has the wrong sign.": triple(r, -k),
            "The loss subtracts the KL; the ELBO does, its negative adds it.": torch.stack([r - k, r, k]),
            "The logits are treated as probabilities: use the loss 'with logits'.": triple(hard, k),
        }
        findings.append(expect(evidence, key, triple(r, k), claim, points, mistakes))
    return findings


# --- 3.3 vae_train_step -----------------------------------------------------------------------------


def probe_vae_train_step(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    model = Linear(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    batch = images(seed, 5)
    for step in ("first", "second"):
        record(evidence, f"{step} loss", answer, model, optimizer, batch)
        record(evidence, f"{step} weight", model.weight.detach().clone)
    return evidence


def judge_vae_train_step(seed: int, evidence: Evidence) -> list[Finding]:
    x = images(seed, 5).double()
    weights, gradients, losses = [Linear(seed).weight.detach().double()], [], []
    for _ in range(2):
        weight = weights[-1].clone().requires_grad_()
        nll, kl = terms(weight, x, NARROW)
        loss = (nll + kl).mean()
        (gradient,) = torch.autograd.grad(loss, weight)
        losses.append(loss.detach())
        gradients.append(gradient)
        weights.append(weights[-1] - 1e-3 * gradient)
    return [
        expect(
            evidence,
            "first weight",
            weights[1],
            "one call makes one step down the gradient of the loss",
            0.75,
            {
                "The weights did not move: does optimizer.step() come after backward()?": weights[0],
                "The step goes uphill: check the sign of the loss.": 2 * weights[0] - weights[1],
                "The step is as long as for a loss summed over the batch.": weights[0] - 5e-3 * gradients[0],
            },
        ),
        expect(
            evidence,
            "second weight",
            weights[2],
            "a second call starts from fresh gradients",
            0.75,
            {
                "The old gradient is still there: call optimizer.zero_grad().": weights[1]
                - 1e-3 * (gradients[0] + gradients[1]),
                "The weights did not move.": weights[0],
            },
        ),
        expect(
            evidence, "first loss", losses[0], "it returns the loss in nats per image", 0.5, tolerance=1e-3
        ),
    ]


# --- 3.4 test_elbo ----------------------------------------------------------------------------------


def _sharp(seed: int) -> Linear:
    """ELBOs that differ between images by far more than the noise of their sample."""
    return Linear(seed, logvar=-30.0, scale=0.2)


def probe_test_elbo(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    model = _sharp(seed)
    x = images(seed, 7)
    record(evidence, "elbo", lambda: [float(value) for value in answer(model, x, 3)])
    record(evidence, "modes", lambda: np.array([any(model.modes), len(model.modes)]))
    record(evidence, "one batch", lambda: [float(value) for value in answer(_sharp(seed), x, 100)])
    return evidence


def judge_test_elbo(seed: int, evidence: Evidence) -> list[Finding]:
    weight = _sharp(seed).weight.detach().double()
    nll, kl = terms(weight, images(seed, 7).double(), -30.0)
    elbo = -(nll + kl)

    def pair(values: Tensor, root: float = 7**0.5) -> Tensor:
        return torch.stack([values.mean(), values.std() / root])

    expected = pair(elbo)
    batches = torch.stack([part.mean() for part in elbo.split(3)])
    mistakes = {
        "This is the loss, -ELBO: the ELBO itself is asked for.": pair(-elbo),
        "The mean of the batches' means: the last batch is smaller and must weigh less.": torch.stack(
            [batches.mean(), expected[1]]
        ),
        "Only the first batch counts: is the return inside the loop?": pair(elbo[:3], 3**0.5),
        "The last, smaller batch is left out.": pair(elbo[:6], 6**0.5),
        "That is the standard deviation; the standard error is smaller by sqrt(N).": pair(elbo, 1.0),
        "The standard error divides by sqrt(N), not by N.": pair(elbo, 7.0),
        "The KL term is missing.": pair(-nll),
    }
    claim = "mean and standard error of the ELBO over all images, whatever the batch size"
    modes = problem_with(evidence, "modes") or problem_with(evidence, "elbo")
    trained = not modes and bool(evidence["modes"][0])
    return [
        expect(evidence, "elbo", expected, claim, 1.5, mistakes, tolerance=1e-4),
        expect(evidence, "one batch", expected, "one large batch gives the same", 0.75, mistakes, 1e-4),
        Finding(
            "the model is in evaluation mode meanwhile",
            not modes and not trained and evidence["modes"][1] > 0,
            0.75,
            modes or "The model is still in training mode: call model.eval() first.",
        ),
    ]


# --- 3.5 estimate_log_likelihood --------------------------------------------------------------------


def _likelihood_inputs(seed: int) -> tuple[Linear, Tensor, Tensor]:
    return (
        Linear(seed, logvar=-1.0),
        images(seed, 3),
        torch.randn(6, 3, 2, generator=generator(seed, 13)),
    )


def probe_estimate_log_likelihood(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    record(evidence, "bound", answer, *_likelihood_inputs(seed))
    return evidence


def judge_estimate_log_likelihood(seed: int, evidence: Evidence) -> list[Finding]:
    model, x, eps = _likelihood_inputs(seed)
    weight, x, eps = model.weight.detach().double(), x.double().flatten(1), eps.double()
    mu = x @ weight
    q, prior = Normal(mu, math.exp(-0.5)), Normal(torch.zeros_like(mu), 1.0)
    z = mu + math.exp(-0.5) * eps
    likelihood = Bernoulli(logits=z @ weight.T).log_prob(x).sum(2)
    log_prior, log_q = prior.log_prob(z).sum(2), q.log_prob(z).sum(2)
    log_w = likelihood + log_prior - log_q

    def bound(log_w: Tensor) -> Tensor:
        return torch.logsumexp(log_w, 0) - math.log(6)

    mistakes = {
        "The - log K is missing.": torch.logsumexp(log_w, 0),
        "K is the number of samples, the first axis of eps, not the number of images.": torch.logsumexp(
            log_w, 0
        )
        - math.log(3),
        "This is the mean of the log-weights, the ELBO: average the weights, then take the log.": log_w.mean(
            0
        ),
        "The weight lacks the prior p(z).": bound(likelihood - log_q),
        "The weight lacks q(z|x): divide by it.": bound(likelihood + log_prior),
        "The weight is p(x|z) alone; z was drawn from q(z|x), not from the prior.": bound(likelihood),
        "q(z|x) multiplies the weight; it must divide it.": bound(likelihood + log_prior + log_q),
        "This is the negative log-likelihood: return log p(x) itself.": -bound(log_w),
        "Averaged over images: return one value per image.": bound(log_w).mean(),
    }
    claim = "it is the log of the mean weight p(x|z) p(z) / q(z|x), per image"
    return [expect(evidence, "bound", bound(log_w), claim, 3, mistakes)]


EXERCISES = (
    Exercise("3.1", "MyVAE", 4, probe_my_vae, judge_my_vae),
    Exercise("3.2", "vae_loss", 3, probe_vae_loss, judge_vae_loss),
    Exercise("3.3", "vae_train_step", 2, probe_vae_train_step, judge_vae_train_step),
    Exercise("3.4", "test_elbo", 3, probe_test_elbo, judge_test_elbo),
    Exercise(
        "3.5",
        "estimate_log_likelihood",
        3,
        probe_estimate_log_likelihood,
        judge_estimate_log_likelihood,
    ),
)

"""Section 2: the KL term, the sample, the two bounds and the real beta.

Inputs lie far from sigma = 1, where wrong formulas for sigma agree with right ones.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.probes.evidence import (
    Evidence,
    NotNumbers,
    alone,
    as_array,
    intact,
    record,
    record_tensor,
)
from course_utils.checks.probes.inputs import generator, posterior_parameters, seed_draws
from course_utils.checks.probes.predictions import prediction


def parameters(seed: int, n: int = 5, latent_dim: int = 3) -> tuple[Tensor, Tensor]:
    """mu and logvar of a seed, each (n, latent_dim)."""
    return posterior_parameters(generator(seed), n, latent_dim)


# --- 2.1 gaussian_kl --------------------------------------------------------------------------------


def probe_gaussian_kl(evidence: Evidence, answer: Any, seed: int) -> None:
    record_tensor(evidence, "kl", answer, *parameters(seed))
    record_tensor(evidence, "single", intact, answer, *parameters(seed + 1, n=1, latent_dim=1))


# --- 2.2 reparameterize -----------------------------------------------------------------------------


DRAWS = (400, 50)  # images, latent dimensions


def wide_posterior(seed: int) -> tuple[Tensor, Tensor]:
    """mu and logvar (400, 50), the same in each row, sigma between 0.1 and 1."""
    g = generator(seed, 2)
    mu, logvar = 3 * torch.randn(DRAWS[1], generator=g), -4.6 * torch.rand(DRAWS[1], generator=g)
    return mu.expand(DRAWS), logvar.expand(DRAWS)


def given_noise(seed: int) -> Tensor:
    """Noise (5, 3) for `parameters`."""
    return torch.randn(5, 3, generator=generator(seed, 1))


def probe_reparameterize(evidence: Evidence, answer: Any, seed: int) -> None:
    for key in ("given", "again"):
        record_tensor(evidence, key, intact, answer, *parameters(seed), given_noise(seed))

    def gradients(eps: Tensor | None) -> list[Tensor]:
        """z, and the gradients of its sum by mu and logvar, each (n, latent_dim)."""
        mu, logvar = (t.requires_grad_() for t in parameters(seed))
        z = alone(answer(mu, logvar, eps))
        if not isinstance(z, Tensor):
            raise NotNumbers(f"It returned a {type(z).__name__}, through which no gradient can flow.")
        if z.requires_grad:
            z.sum().backward()
        return [z, *(torch.zeros_like(t) if t.grad is None else t.grad for t in (mu, logvar))]

    def drawn() -> np.ndarray:
        """Two calls one after the other: (2, 400, 50)."""
        return np.stack([as_array(alone(answer(*wide_posterior(seed), None))) for _ in range(2)])

    record(evidence, "gradients", lambda: gradients(given_noise(seed))[1:])
    seed_draws(seed)
    record(evidence, "own gradients", gradients, None)
    record(evidence, "drawn", drawn)


# --- 2.3 monte_carlo_elbo ---------------------------------------------------------------------------


class Linear(torch.nn.Module):
    """A tiny decoder with fixed weights: z (N, 2) to logits (N, 1, 28, 28)."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        # so pale that a sigmoid does not round to 0 or 1
        self.weight = 0.3 * torch.randn(2, 784, generator=generator(seed, 2))

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.weight.to(z.dtype)).view(-1, 1, 28, 28)


def _elbo_inputs(seed: int, samples: int = 7, n: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Binary x (n, 1, 28, 28), mu and logvar (n, 2), eps (samples, n, 2)."""
    mu, logvar = parameters(seed, n=n, latent_dim=2)
    g = generator(seed, 3)
    x = (torch.rand(n, 1, 28, 28, generator=g) < 0.3).float()
    return x, mu / 2, logvar / 2, torch.randn(samples, n, 2, generator=g)


def elbo_cases(seed: int) -> dict[str, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The inputs by the evidence's key; in the first q is the prior, so that the KL is 0."""
    x, mu, logvar, eps = _elbo_inputs(seed + 1)
    return {
        "prior": (x, 0 * mu, 0 * logvar, eps),
        "elbo": _elbo_inputs(seed),
        "again": _elbo_inputs(seed),
        "one": _elbo_inputs(seed + 2, samples=1, n=1),
    }


def probe_monte_carlo_elbo(evidence: Evidence, answer: Any, seed: int) -> None:
    for key, inputs in elbo_cases(seed).items():
        function = partial(intact, answer) if key == "one" else answer
        record_tensor(evidence, key, function, Linear(seed).decode, *inputs)


# --- 2.4 importance_weighted_bound ------------------------------------------------------------------


def log_weights(seed: int) -> Tensor:
    """(6, 4), around -100 nats, spread over several nats."""
    return -100 + 4 * torch.randn(6, 4, generator=generator(seed, 4), dtype=torch.float64)


def tiny_log_weights(seed: int) -> Tensor:
    """(6, 4), around -1000 nats; for half of the images they lie thousands of nats apart."""
    return (log_weights(seed) + 100) * torch.tensor([1.0, 1.0, 300.0, 300.0]) - 1000


def probe_importance_weighted_bound(evidence: Evidence, answer: Any, seed: int) -> None:
    record_tensor(evidence, "bound", answer, log_weights(seed))
    record_tensor(evidence, "tiny", intact, answer, tiny_log_weights(seed))


# --- 2.5 what_is_my_beta ----------------------------------------------------------------------------


def losses(seed: int) -> list[tuple[str, str, int, int, float | None]]:
    """Seven losses: reductions of reconstruction and KL, pixels, latent_dim, and sigma where Gaussian."""
    g = generator(seed, 5)
    pixels = torch.randint(100, 2000, (7,), generator=g).tolist()
    latent_dims = torch.randint(3, 300, (7,), generator=g).tolist()
    sigmas = [None] * 3 + (0.1 + 0.8 * torch.rand(4, generator=g)).tolist()
    kinds = [("mean", "sum"), ("sum", "mean"), ("mean", "mean"), ("sum", "sum")]
    kinds = [*kinds[:3], *kinds]  # cross-entropy summed and KL summed: 1, whatever the seed
    return [(*kind, *rest) for kind, *rest in zip(kinds, pixels, latent_dims, sigmas, strict=True)]


def probe_what_is_my_beta(evidence: Evidence, answer: Any, seed: int) -> None:
    for index, loss in enumerate(losses(seed)):
        record(evidence, str(index), answer, *loss)


GAP_OFFERED = {
    "gap of the linear VAE": ("closes", "stays open"),
    "gap of the VAE with two latents": ("closes", "stays open"),
    "most of that second gap": ("no Gaussian fits the posterior", "the encoder misses the best Gaussian"),
    "bound with 1,000 samples there": ("below log p(x)", "at log p(x)", "above log p(x)"),
}

PROBES = {
    "gaussian_kl": probe_gaussian_kl,
    "reparameterize": probe_reparameterize,
    "monte_carlo_elbo": probe_monte_carlo_elbo,
    "importance_weighted_bound": probe_importance_weighted_bound,
    "what_is_my_beta": probe_what_is_my_beta,
    "predict_gap": prediction(GAP_OFFERED),
}

"""Section 2: the KL term, the sample, the two bounds and the real beta.

Inputs lie far from sigma = 1, where wrong formulas for sigma agree with right ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.probes.evidence import (
    Evidence,
    NotNumbers,
    alone,
    as_array,
    look,
    looking_at,
    one,
    record,
    same_dtype,
)
from course_utils.checks.probes.inputs import generator
from course_utils.checks.probes.predictions import prediction


def parameters(seed: int, n: int = 5, latent_dim: int = 3) -> tuple[Tensor, Tensor]:
    """mu and logvar, each (n, latent_dim), with sigma between about 0.1 and 5."""
    g = generator(seed)
    mu = 2 * torch.randn(n, latent_dim, generator=g)
    return mu, -4.5 + 7.5 * torch.rand(n, latent_dim, generator=g)


def extreme_parameters(seed: int) -> tuple[Tensor, Tensor]:
    """mu and logvar (2, 8): far means, logvar from -60 to 20, and once mu = logvar = 0."""
    g = generator(seed, 6)
    mu = torch.randn(2, 8, generator=g) * torch.tensor([0.0, 1, 3, 30, 100, 1, 0.01, 1])
    ends = torch.tensor([0.0, -60, -35, -18, -9, 9, 14, 20])
    return mu, ends * (0.9 + 0.1 * torch.rand(2, 8, generator=g))


# --- 2.1 gaussian_kl --------------------------------------------------------------------------------


def kl_looks(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """mu and logvar; "turned" are float64, not contiguous, and of the first ones' shape."""
    turned = (tensor.double().T for tensor in parameters(seed + 2, 3, 5))
    return {
        "kl": parameters(seed),
        "turned": (next(turned), next(turned)),
        "single": parameters(seed + 1, n=1, latent_dim=1),
        "extreme": extreme_parameters(seed),
    }


# --- 2.2 reparameterize -----------------------------------------------------------------------------

DRAWS = (400, 50)  # images, latent dimensions


def wide_posterior(seed: int) -> tuple[Tensor, Tensor]:
    """mu and logvar (400, 50), the same in each row, sigma between 0.1 and 1."""
    g = generator(seed, 2)
    mu, logvar = 3 * torch.randn(DRAWS[1], generator=g), -4.6 * torch.rand(DRAWS[1], generator=g)
    return mu.expand(DRAWS), logvar.expand(DRAWS)


def sample_looks(seed: int) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """mu, logvar and eps; "zero" has no noise, in "single" all have one dimension only.

    The last two are looked at with gradients off, as where a model is judged.
    """
    g = generator(seed, 1)
    mu, logvar = extreme_parameters(seed)
    return {
        "given": (*parameters(seed), torch.randn(5, 3, generator=g)),
        "zero": (*parameters(seed + 1, 3, 2), torch.zeros(3, 2)),
        "single": (mu[0, :3], logvar[1, :3] / 9, torch.randn(3, generator=g)),
        "extreme": (mu, logvar, torch.randn(2, 8, generator=g)),
    }


def probe_reparameterize(evidence: Evidence, answer: Any, seed: int) -> None:
    looks = sample_looks(seed)
    off = {key: looks.pop(key) for key in ("single", "extreme")}
    look(evidence, one(answer), looks)
    look(evidence, torch.no_grad()(one(answer)), off)

    def gradients(eps: Tensor | None) -> np.ndarray:
        """z, and the gradients of its sum by mu and logvar: (3, n, latent_dim)."""
        mu, logvar = (t.requires_grad_() for t in parameters(seed))
        z = alone(answer(mu, logvar, eps))
        if not isinstance(z, Tensor):
            raise NotNumbers(f"It returned a {type(z).__name__}, through which no gradient can flow.")
        if z.requires_grad:
            z.sum().backward()
        return as_array([z, *(torch.zeros_like(t) if t.grad is None else t.grad for t in (mu, logvar))])

    def drawn() -> np.ndarray:
        """Two calls one after the other, the second with gradients off: (2, 400, 50)."""
        tracked = as_array(alone(answer(*wide_posterior(seed), None)))
        with torch.no_grad():
            return np.stack([tracked, as_array(alone(answer(*wide_posterior(seed), None)))])

    record(evidence, "gradients", gradients, looks["given"][2])
    record(evidence, "own gradients", gradients, None)
    record(evidence, "drawn", drawn)


# --- 2.3 monte_carlo_elbo ---------------------------------------------------------------------------


def linear(seed: int, contrast: float = 0.3) -> Callable[[Tensor], Tensor]:
    """A tiny decoder with fixed weights: z (N, 2) to logits (N, 1, 28, 28) that grow with `contrast`."""
    weight = contrast * torch.randn(2, 784, generator=generator(seed, 2))

    def decode(z: Tensor) -> Tensor:
        same_dtype(z, weight.dtype)
        return (z @ weight.to(z.dtype)).view(-1, 1, 28, 28)

    return decode


def _elbo_inputs(seed: int, samples: int = 7, n: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Binary x (n, 1, 28, 28), mu and logvar (n, 2), eps (samples, n, 2)."""
    mu, logvar = parameters(seed, n=n, latent_dim=2)
    g = generator(seed, 3)
    x = (torch.rand(n, 1, 28, 28, generator=g) < 0.3).float()
    return x, mu / 2, logvar / 2, torch.randn(samples, n, 2, generator=g)


def elbo_looks(seed: int) -> dict[str, tuple[Any, ...]]:
    """decode, x, mu, logvar and eps. In "prior" q is the prior for the first image, and in one dimension for
    the others; in "bold" the logits lie between about -60 and 60; in "extreme" q is narrow or far away."""
    x, mu, logvar, eps = _elbo_inputs(seed + 1)
    pale, narrow = linear(seed), torch.tensor([[-30.0, 1], [4, -12], [0, -50]])
    away = torch.tensor([[0.0, 0], [1, 0], [1, 0]])
    return {
        "elbo": (pale, *_elbo_inputs(seed)),
        "prior": (pale, x, away * mu, away * logvar, eps),
        "one": (pale, *_elbo_inputs(seed + 2, samples=1, n=1)),
        "bold": (linear(seed, 8.0), *_elbo_inputs(seed + 3, samples=4)),
        "extreme": (linear(seed, 0.05), x, 5 * mu, narrow, eps),
    }


# --- 2.4 importance_weighted_bound ------------------------------------------------------------------


def bound_looks(seed: int) -> dict[str, tuple[Tensor]]:
    """Log-weights (K, N), around -100 nats; those of "float32" it holds, those of "tiny" lie around -1000,
    for half of the images thousands of nats apart, the lightest once first and once last; in "nothing" some
    weights are 0. Also one image, one sample, and one of each."""
    spread = 4 * torch.randn(6, 4, generator=generator(seed, 4), dtype=torch.float64)
    log_w = spread - 100
    rising, falling = 300 * spread[:, 2].sort().values, 300 * spread[:, 3].sort(descending=True).values
    rising, falling = rising - rising[-1] + 2000, falling - falling[0] - 2000
    apart = torch.stack([spread[:, 0], spread[:, 1], rising, falling], 1)
    return {
        "bound": (log_w,),
        "float32": (log_w.T[:3].float() + 90,),
        "tiny": (apart - 1000,),
        "nothing": (log_w[:5].where(torch.eye(5, 4) == 0, -torch.inf),),
        "one image": (log_w[:, 1:2],),
        "one sample": (log_w[2:3],),
        "one": (log_w[:1, :1],),
    }


# --- 2.6 what_is_my_beta ----------------------------------------------------------------------------


def beta_looks(seed: int) -> dict[str, tuple[Any, ...]]:
    """Eight losses: the reductions of reconstruction and KL, pixels and latent_dim of two models each, and
    sigma: None for a cross-entropy, "0" to "3", 1 in the last. All have the same sizes: a kept result, by
    whatever it is found again, comes back where it is wrong."""
    g = generator(seed, 5)
    pixels = torch.randint(300, 2000, (2,), generator=g).tolist()
    latent_dims = torch.randint(3, 300, (2,), generator=g).tolist()
    sigmas = [None] * 4 + (0.1 + 0.8 * torch.rand(3, generator=g)).tolist() + [1.0]
    kinds = 2 * [("mean", "sum"), ("sum", "mean"), ("mean", "mean"), ("sum", "sum")]
    losses = zip(kinds, sigmas, strict=True)
    return {f"{place}": (*kind, pixels, latent_dims, sigma) for place, (kind, sigma) in enumerate(losses)}


def for_both(answer: Callable[..., Any]) -> Callable[..., np.ndarray]:
    def betas(
        reconstruction: str, kl: str, pixels: list[int], latent_dims: list[int], sigma: float | None
    ) -> np.ndarray:
        sizes = zip(pixels, latent_dims, strict=True)
        found = [as_array(answer(reconstruction, kl, *both, sigma)) for both in sizes]
        if found[0].shape:
            raise NotNumbers(f"It has shape {found[0].shape}; expected ().")
        return np.stack(found)

    return betas


GAP_OFFERED = {
    "gap of the linear VAE": ("closes", "stays open"),
    "gap of the VAE with two latents": ("closes", "stays open"),
    "most of that second gap": ("no Gaussian fits the posterior", "the encoder misses the best Gaussian"),
    "bound with 1,000 samples there": ("below log p(x)", "at log p(x)", "above log p(x)"),
}

PROBES = {
    "gaussian_kl": looking_at(kl_looks, one),
    "reparameterize": probe_reparameterize,
    "monte_carlo_elbo": looking_at(elbo_looks, one),
    "importance_weighted_bound": looking_at(bound_looks, one),
    "what_is_my_beta": looking_at(beta_looks, for_both),
    "predict_gap": prediction(GAP_OFFERED),
}

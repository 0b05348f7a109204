"""Section 2: the KL term, the sample, the two bounds and the real beta.

Inputs lie far from sigma = 1, where wrong formulas for sigma agree with right ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.probes.evidence import Evidence, NotNumbers, alone, as_array, look, one, record
from course_utils.checks.probes.inputs import generator, posterior_parameters, seed_draws
from course_utils.checks.probes.predictions import prediction


def parameters(seed: int, n: int = 5, latent_dim: int = 3) -> tuple[Tensor, Tensor]:
    """mu and logvar of a seed, each (n, latent_dim)."""
    return posterior_parameters(generator(seed), n, latent_dim)


def extreme_parameters(seed: int) -> tuple[Tensor, Tensor]:
    """mu and logvar (2, 8): far means, logvar from -60 to 20, and once mu = logvar = 0."""
    g = generator(seed, 6)
    mu = torch.randn(2, 8, generator=g) * torch.tensor([0.0, 1, 3, 30, 100, 1, 0.01, 1])
    ends = torch.tensor([0.0, -60, -35, -18, -9, 9, 14, 20])
    return mu, ends * (0.9 + 0.1 * torch.rand(2, 8, generator=g))


# --- 2.1 gaussian_kl --------------------------------------------------------------------------------


def kl_looks(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """mu and logvar; "turned" are float64 and not contiguous."""
    turned = (tensor.double().T for tensor in parameters(seed + 2, 4, 6))
    return {
        "kl": parameters(seed),
        "turned": (next(turned), next(turned)),
        "single": parameters(seed + 1, n=1, latent_dim=1),
        "extreme": extreme_parameters(seed),
    }


def probe_gaussian_kl(evidence: Evidence, answer: Any, seed: int) -> None:
    look(evidence, one(answer), kl_looks(seed))


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

    record(evidence, "gradients", lambda: gradients(sample_looks(seed)["given"][2])[1:])
    seed_draws(seed)
    record(evidence, "own gradients", gradients, None)
    record(evidence, "drawn", drawn)


# --- 2.3 monte_carlo_elbo ---------------------------------------------------------------------------


class Linear(torch.nn.Module):
    """A tiny decoder with fixed weights: z (N, 2) to logits (N, 1, 28, 28) that grow with `contrast`."""

    def __init__(self, seed: int, contrast: float = 0.3) -> None:
        super().__init__()
        self.weight = contrast * torch.randn(2, 784, generator=generator(seed, 2))

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.weight.to(z.dtype)).view(-1, 1, 28, 28)


def _elbo_inputs(seed: int, samples: int = 7, n: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Binary x (n, 1, 28, 28), mu and logvar (n, 2), eps (samples, n, 2)."""
    mu, logvar = parameters(seed, n=n, latent_dim=2)
    g = generator(seed, 3)
    x = (torch.rand(n, 1, 28, 28, generator=g) < 0.3).float()
    return x, mu / 2, logvar / 2, torch.randn(samples, n, 2, generator=g)


ElboInputs = tuple[Linear, Tensor, Tensor, Tensor, Tensor]


def elbo_looks(seed: int) -> dict[str, ElboInputs]:
    """Decoder, x, mu, logvar and eps. In "prior" q is the prior, so that the KL is 0; in "bold" the logits
    lie between about -60 and 60, in "extreme" q is very narrow or far away."""
    x, mu, logvar, eps = _elbo_inputs(seed + 1)
    pale, narrow = Linear(seed), torch.tensor([[-30.0, 1], [4, -12], [0, -50]])
    return {
        "elbo": (pale, *_elbo_inputs(seed)),
        "prior": (pale, x, 0 * mu, 0 * logvar, eps),
        "one": (pale, *_elbo_inputs(seed + 2, samples=1, n=1)),
        "bold": (Linear(seed, 8.0), *_elbo_inputs(seed + 3, samples=4)),
        "extreme": (Linear(seed, 0.05), x, 5 * mu, narrow, eps),
    }


def probe_monte_carlo_elbo(evidence: Evidence, answer: Any, seed: int) -> None:
    looks = elbo_looks(seed).items()
    look(evidence, one(answer), {key: (decoder.decode, *rest) for key, (decoder, *rest) in looks})


# --- 2.4 importance_weighted_bound ------------------------------------------------------------------


def log_weights(seed: int) -> Tensor:
    """(6, 4), around -100 nats, spread over several nats."""
    return -100 + 4 * torch.randn(6, 4, generator=generator(seed, 4), dtype=torch.float64)


def tiny_log_weights(seed: int) -> Tensor:
    """(6, 4), around -1000 nats; for half of the images they lie thousands of nats apart."""
    return (log_weights(seed) + 100) * torch.tensor([1.0, 1.0, 300.0, 300.0]) - 1000


def bound_looks(seed: int) -> dict[str, tuple[Tensor]]:
    """Log-weights (K, N); one image, one sample, one of each, and weights that float32 holds."""
    log_w = log_weights(seed)
    return {
        "bound": (log_w,),
        "float32": (log_w.T[:3].float() + 90,),
        "tiny": (tiny_log_weights(seed),),
        "one image": (log_w[:, 1:2],),
        "one sample": (log_w[2:3],),
        "one": (log_w[:1, :1],),
    }


def probe_importance_weighted_bound(evidence: Evidence, answer: Any, seed: int) -> None:
    look(evidence, one(answer), bound_looks(seed))


# --- 2.5 what_is_my_beta ----------------------------------------------------------------------------


def losses(seed: int) -> list[tuple[str, str, int, int, float | None]]:
    """Eight losses: reductions of reconstruction and KL, pixels, latent_dim, and sigma where Gaussian."""
    g = generator(seed, 5)
    pixels = torch.randint(100, 2000, (8,), generator=g).tolist()
    latent_dims = torch.randint(3, 300, (8,), generator=g).tolist()
    sigmas = [None] * 4 + (0.1 + 0.8 * torch.rand(4, generator=g)).tolist()
    kinds = [("mean", "sum"), ("sum", "mean"), ("mean", "mean"), ("sum", "sum")]
    return [(*kind, *rest) for kind, *rest in zip(2 * kinds, pixels, latent_dims, sigmas, strict=True)]


def beta_looks(seed: int) -> dict[str, tuple[Any, ...]]:
    """One look for each loss, named after its kind."""
    return {
        f"{'cross-entropy' if loss[-1] is None else 'squared error'}, {loss[0]}, {loss[1]}": loss
        for loss in losses(seed)
    }


def probe_what_is_my_beta(evidence: Evidence, answer: Any, seed: int) -> None:
    look(evidence, answer, beta_looks(seed))


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

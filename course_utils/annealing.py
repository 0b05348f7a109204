"""log p(x) from below and from above: annealed importance sampling.

The importance-weighted bound draws from q(z|x) and weighs in one step. Annealing (Neal 2001,
arXiv:physics/9803008; for VAEs Wu et al. 2017, arXiv:1611.04273) goes from q to the posterior in T small
steps, through the densities

    f_b(z) = q(z|x)^(1 - b) (p(x|z) p(z))^b,    b = 0, 1/T, ..., 1,

with a Hamiltonian move at each, and multiplies the small weights. Their mean is p(x) too, so that the mean of
their logarithms is a lower bound. From an exact sample of the posterior the same way is gone backwards, and
the bound is an upper one (Grosse et al. 2015, arXiv:1511.02543). Images that the model has drawn itself have
exact samples: the codes they were drawn from.

Departures: those papers begin at the prior; q makes T = 1 the importance-weighted bound. The moves take their
lengths from the sigma of q and are not tuned on the way.
"""

import itertools
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from course_utils.models import Model, device_of, judged
from course_utils.objectives import gaussian_log_density, reparameterize, weighed

STEP, LEAPS = 0.3, 5  # of a Hamiltonian move: the length of a leap, in sigmas of q, and how many


def simulate(model: Model, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Codes z ~ N(0, I) (count, latent_dim) and a binary image x ~ p(x|z) of each: x, z."""
    with judged(model, seed):
        z = torch.randn(count, model.latent_dim, device=device_of(model))
        return torch.bernoulli(model.decode(z).sigmoid()), z


def annealed_log_weights(
    model: Model, x: Tensor, temperatures: int, *, chains: int = 1, exact: Tensor | None = None, seed: int = 0
) -> Tensor:
    """log w of every chain and binary image x (N, 1, 28, 28) over `temperatures` steps: (chains, N), nats.

    E[w] = p(x): `objectives.importance_weighted_bound` of them is a lower bound on log p(x). With `exact`,
    samples (N, latent_dim) of the posteriors, the chains go backwards from there, E[1 / w] = 1 / p(x), and
    the mean of log w is an upper bound.
    """
    with judged(model, seed):
        mu, logvar = (one.expand(chains, *one.shape) for one in model.encode(x))
        steps = list(itertools.pairwise(torch.linspace(0, 1, temperatures + 1).tolist()))
        log_ratio = partial(weighed, model, x, mu=mu, logvar=logvar)  # log p(x, z) - log q(z|x), (chains, N)

        def move(z: Tensor, b: float) -> Tensor:
            def log_f(z: Tensor) -> Tensor:
                return gaussian_log_density(z, mu, logvar) + b * log_ratio(z)

            return _hamiltonian(log_f, z, (0.5 * logvar).exp())

        log_w = torch.zeros(chains, len(x), device=x.device)
        z = reparameterize(mu, logvar) if exact is None else exact.expand(chains, *exact.shape)
        for before, after in steps if exact is None else reversed(steps):
            if exact is not None:
                z = move(z, after)
            log_w += (after - before) * log_ratio(z)
            if exact is None and after < 1:  # what follows the last weight would count for nothing
                z = move(z, after)
        return log_w


def _hamiltonian(log_f: Callable[[Tensor], Tensor], z: Tensor, scale: Tensor) -> Tensor:
    """One move of every z (..., d) that leaves exp(log_f) as it is: leapfrog steps, then accept or stay."""

    def slope(z: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            value = log_f(z)
            return value.detach(), scale * torch.autograd.grad(value.sum(), z)[0]

    momentum, here = torch.randn_like(z), z
    value, gradient = slope(here)
    before = value - momentum.square().sum(-1) / 2
    for _ in range(LEAPS):
        momentum = momentum + STEP / 2 * gradient
        here = here + STEP * scale * momentum
        value, gradient = slope(here)
        momentum = momentum + STEP / 2 * gradient
    after = value - momentum.square().sum(-1) / 2
    accepted = torch.rand_like(after).log() < after - before
    return torch.where(accepted.unsqueeze(-1), here, z)

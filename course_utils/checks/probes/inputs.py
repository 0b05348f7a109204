"""What both halves draw from the seed.

Every number that earns points depends on it: evidence copied from another run, or made up, earns nothing.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor

SEEDED = 31_415_926  # no answer sets this seed by chance: that it sets one shows


def generator(seed: int, stream: int = 0) -> torch.Generator:
    """Random numbers that depend on the seed and on the purpose `stream` alone."""
    return torch.Generator().manual_seed(seed * 1009 + stream)


def seed_draws(seed: int) -> None:
    """What an answer draws without a generator of its own depends on the seed, on the processor.

    `torch.manual_seed` also looks for other devices, which takes longer than most answers do.
    """
    torch.default_generator.manual_seed(SEEDED + seed)


def fact(seed: int, name: str, true: bool) -> float:
    """A truth about an answer as evidence: a number from the seed and the fact's name, or 0 if untrue."""
    stream = zlib.crc32(name.encode())
    return float(1 + torch.rand((), generator=generator(seed, stream))) if true else 0.0


def posterior_parameters(g: torch.Generator, n: int, latent_dim: int) -> tuple[Tensor, Tensor]:
    """mu and logvar (n, latent_dim) with sigma between about 0.1 and 5."""
    mu = 2 * torch.randn(n, latent_dim, generator=g)
    return mu, -4.5 + 7.5 * torch.rand(n, latent_dim, generator=g)

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


def loss_looks(seed: int, *sides: int) -> dict[str, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """x_logits and x (n, 1, *sides), mu and logvar (n, d), by look.

    "grey", "binary" and "one", a single image and dimension, are as in a lesson; "bold" has logits from -60
    to 60, "narrow" has logvar down to -60, "wide" up to 20. All but the first two and "bold" are 28 x 28.
    """
    g = generator(seed, 12)

    def between(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=g))

    def batch(
        n: int, d: int, low: float = -3.0, high: float = 1.0, sides: tuple[int, ...] = sides
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x_logits = 2 * torch.randn(n, 1, *sides, generator=g)
        # images grow brighter along the batch, so that their losses differ
        x = torch.rand(n, 1, *sides, generator=g) ** torch.linspace(3, 0.5, n).view(-1, 1, 1, 1)
        mu = 2 * torch.randn(n, d, generator=g)
        return x_logits, x, mu, low + (high - low) * torch.rand(n, d, generator=g)

    sizes = between(4, 7), between(9, 14)
    grey, (x_logits, x, mu, logvar) = batch(*sizes), batch(*sizes)
    pale, edged, *narrow = batch(3, 4)
    bold = torch.linspace(-60, 60, pale.numel())[torch.randperm(pale.numel(), generator=g)].view(pale.shape)
    return {
        "grey": grey,
        "binary": (x_logits, (x > 0.6).float(), mu, logvar),
        "one": batch(1, 1, sides=(28, 28)),
        "bold": (bold, (1.4 * edged - 0.2).clamp(0, 1), narrow[0], narrow[1]),
        "narrow": batch(3, 8, -60, 0, (28, 28)),
        "wide": batch(3, 2, 4, 20, (28, 28)),
    }

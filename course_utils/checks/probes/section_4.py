"""Section 4: a walk between two codes, a grid over the plane, the two parts of the KL term."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from course_utils.checks.probes.evidence import ARRAY, NotNumbers, Parts, as_array, looking_at, one
from course_utils.checks.probes.inputs import generator
from course_utils.checks.probes.predictions import prediction

# --- 4.1 interpolate --------------------------------------------------------------------------------

ANGLES = (0.02, 0.06, 0.12, 0.19, 0.35, 0.8, 1.3, 1.9, 2.5, math.pi - 0.1)  # in radians
PARALLEL = 24  # so many that rounding brings some cosine above 1


def end_points(seed: int, stream: int, angle: float) -> tuple[Tensor, Tensor]:
    """Two codes (3,) of lengths 1.5 and 4, so that an answer which loses the length shows."""
    start, other = normalize(torch.randn(2, 3, generator=generator(seed, stream))).unbind()
    across = normalize(other - (other @ start) * start, dim=0)
    return 1.5 * start, 4 * (math.cos(angle) * start + math.sin(angle) * across)


Walk = tuple[Any, ...]  # z_start, z_end, steps and, where it is given, spherical


def walk_looks(seed: int) -> dict[str, Walk]:
    """Arcs, straight lines, arcs between ends of the same direction, and walks in one dimension."""
    a, b = end_points(seed, 40, 2.0)
    start = 2 * torch.randn(PARALLEL, 7, generator=generator(seed, 41))
    end = start * torch.linspace(1.1, 2.0, PARALLEL).unsqueeze(1)
    walks: dict[str, list[Walk]] = {
        "arc": [(*end_points(seed, 400 + i, angle), 3 + i, True) for i, angle in enumerate(ANGLES)],
        "line": [(a, b, 6), (b, a, 2, False), (a, b, 50, False)],
        "parallel": [(start[i], end[i], 3, True) for i in range(PARALLEL)],
        "narrow": [(a[:1].abs(), b[:1].abs(), 3, False), (a[:1], 3 * a[:1], 4, True)],
    }
    return {f"{kind} {i}": walk for kind, some in walks.items() for i, walk in enumerate(some)}


# --- 4.2 quantile_grid ------------------------------------------------------------------------------


def sizes(seed: int) -> tuple[list[int], list[int]]:
    """Four odd numbers of coordinates, and others: four even ones, 1, 2 and 51."""
    g = generator(seed, 42)
    odd, even = ((2 * torch.randperm(10, generator=g)[:4]).tolist() for _ in range(2))
    return [n + 5 for n in odd], [*(n + 4 for n in even), 1, 2, 51]


def grid_looks(seed: int) -> dict[str, tuple[int]]:
    return {f"{n}": (n,) for some in sizes(seed) for n in some}


# --- 4.4 kl_decomposition ---------------------------------------------------------------------------


USUAL = ("main", "other", "third", "flat")
CASES = {  # images and latent dimensions
    "main": (7, 3),
    "other": (9, 2),
    "third": (6, 4),
    "flat": (130, 1),
    "near": (6, 4),  # posteriors near the prior, codes such that both estimates fall below 0
    "wide": (5, 150),  # densities far below what exp can hold in float32, and far from one another
    "narrow": (5, 3),  # densities of which some are enormous
    "one": (1, 1),
}


def part_looks(seed: int) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """z, mu and logvar (N, d) of posteriors that overlap a little, off the prior: both parts are above 0."""
    return {case: _samples(seed, case) for case in CASES}


def _samples(seed: int, case: str) -> tuple[Tensor, Tensor, Tensor]:
    n, latent_dim = CASES[case]
    g = generator(seed, 43 + n)
    spread = 1.5 / math.sqrt(latent_dim)
    mu = spread * torch.randn(n, latent_dim, generator=g)
    mu[100:] += 4  # who takes fewer posteriors shows
    if case == "near":
        return -0.3 * mu, 0.5 * mu, 0.4 + 0.2 * torch.rand(n, latent_dim, generator=g)
    mu, shared = mu + 1.8, 2 * torch.rand(latent_dim, generator=g) - 2
    logvar = shared + spread * (torch.rand(n, latent_dim, generator=g) - 0.5)
    if case == "wide":
        logvar = logvar + torch.linspace(-1, 1, n).unsqueeze(1)
    if case == "narrow":
        logvar = torch.linspace(-16, 9, latent_dim) + logvar
    noise = torch.randn(n, latent_dim, generator=g).clamp(-1.5, 1.5)
    return mu + (logvar / 2).exp() * noise, mu, logvar


def two_numbers(answer: Callable[..., Any]) -> Callable[..., Any]:
    def parts(*given: Tensor) -> Any:
        value = answer(*given)
        found = as_array(value)
        if found.shape[:1] != (2,):
            raise NotNumbers("Two numbers are asked for: the mutual information and the marginal KL.")
        found = found.reshape(2) if found.size == 2 else found
        return Parts([found], ARRAY) if isinstance(value, np.ndarray) else found

    return parts


SURGERY_OFFERED = {
    "2 dimensions, after training: the larger part of the KL": ("mutual information", "marginal KL"),
    "2 dimensions, first to last epoch: most of what the KL gains": ("mutual information", "marginal KL"),
    "20 dimensions, four times as many images: the mutual information measured on them": (
        "hardly differs",
        "is larger by half a nat or more",
    ),
}

PROBES = {
    "interpolate": looking_at(walk_looks, one),
    "quantile_grid": looking_at(grid_looks, one),
    "kl_decomposition": looking_at(part_looks, two_numbers),
    "predict_surgery": prediction(SURGERY_OFFERED),
}

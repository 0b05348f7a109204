"""Section 4: a walk between two codes, a grid over the plane, the two parts of the KL term.

The two ends of a walk have different lengths, so that an answer which loses the length shows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.probes.evidence import Evidence, NotNumbers, as_array, one, record
from course_utils.checks.probes.inputs import generator
from course_utils.checks.probes.predictions import prediction

# --- 4.1 interpolate --------------------------------------------------------------------------------


STEPS = 6
ACUTE = 30
PARALLEL = 40  # so many that rounding brings some cosine above 1


def end_points(seed: int, least: float = 105) -> tuple[Tensor, Tensor]:
    """Two codes (3,) of lengths 1.5 and 4, between `least` and `least` + 35 degrees apart."""
    g = generator(seed, 40)
    start, other = torch.nn.functional.normalize(torch.randn(2, 3, generator=g)).unbind()
    across = torch.nn.functional.normalize(other - (other @ start) * start, dim=0)
    angle = torch.deg2rad(least + 35 * torch.rand((), generator=g))
    return 1.5 * start, 4 * (angle.cos() * start + angle.sin() * across)


def parallel_ends(seed: int) -> tuple[Tensor, Tensor]:
    """Codes (40, 7), and others in the same directions, 1.1 to 2 times as long."""
    start = 2 * torch.randn(PARALLEL, 7, generator=generator(seed, 41))
    return start, start * torch.linspace(1.1, 2.0, PARALLEL).unsqueeze(1)


def probe_interpolate(evidence: Evidence, answer: Any, seed: int) -> None:
    for key, spherical in (("straight", ()), ("spherical", (True,))):
        ends = end_points(seed)
        record(evidence, key, one(answer), *ends, STEPS, *spherical)
        evidence[f"{key} ends"] = as_array(list(ends))
    record(evidence, "single", one(answer), *(end[:1] for end in end_points(seed)), 3, False)
    record(evidence, "acute", one(answer), *end_points(seed, ACUTE), STEPS, True)

    def parallel() -> np.ndarray:
        return np.stack([as_array(answer(a, b, 3, True)) for a, b in zip(*parallel_ends(seed), strict=True)])

    record(evidence, "parallel", parallel)


# --- 4.2 quantile_grid ------------------------------------------------------------------------------


def sizes(seed: int) -> tuple[dict[str, int], dict[str, int]]:
    """Four odd and four even numbers of coordinates, the even ones followed by 1, by the evidence's key."""
    g = generator(seed, 42)
    odd, even = ((2 * torch.randperm(10, generator=g)[:4]).tolist() for _ in range(2))
    even = [*(n + 4 for n in even), 1]
    return {f"odd{i}": n + 5 for i, n in enumerate(odd)}, {f"even{i}": n for i, n in enumerate(even)}


def probe_quantile_grid(evidence: Evidence, answer: Any, seed: int) -> None:
    odd, even = sizes(seed)
    for key, n in (odd | even).items():
        record(evidence, key, one(answer), n)


# --- 4.3 kl_decomposition ---------------------------------------------------------------------------


CASES = {  # images and latent dimensions
    "main": (7, 3),
    "other": (9, 2),
    "wide": (5, 150),  # densities far below what exp can hold in float32
    "one": (1, 1),
}


def samples(seed: int, case: str) -> tuple[Tensor, Tensor, Tensor]:
    """z, mu and logvar (N, d) of posteriors that overlap a little, so that neither part is trivial."""
    n, latent_dim = CASES[case]
    g = generator(seed, 43 + n)
    spread = 1.5 / math.sqrt(latent_dim)
    mu = spread * torch.randn(n, latent_dim, generator=g)
    shared = 2.5 * torch.rand(latent_dim, generator=g) - 1.5
    logvar = shared + spread * (torch.rand(n, latent_dim, generator=g) - 0.5)
    return mu + (logvar / 2).exp() * torch.randn(n, latent_dim, generator=g), mu, logvar


def probe_kl_decomposition(evidence: Evidence, answer: Any, seed: int) -> None:
    def pair(*given: Tensor) -> np.ndarray:
        parts = as_array(answer(*given))
        if parts.shape[:1] != (2,):
            raise NotNumbers("Two numbers are asked for: the mutual information and the marginal KL.")
        return parts

    for case in CASES:
        given = samples(seed, case)
        record(evidence, case, pair, *given)
        evidence[f"{case} inputs"] = as_array(list(given))


SURGERY_OFFERED = {
    "2 dimensions, after training: the larger part of the KL": ("mutual information", "marginal KL"),
    "2 dimensions, first to last epoch: most of what the KL gains": ("mutual information", "marginal KL"),
    "20 dimensions, four times as many images: the mutual information measured on them": (
        "hardly differs",
        "is larger by half a nat or more",
    ),
}

PROBES = {
    "interpolate": probe_interpolate,
    "quantile_grid": probe_quantile_grid,
    "kl_decomposition": probe_kl_decomposition,
    "predict_surgery": prediction(SURGERY_OFFERED),
}

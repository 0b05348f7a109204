"""Section 4: a walk between two codes and a grid over the plane.

Oracles: NumPy in float64, one point at a time, and the quantiles of the standard library's
`statistics.NormalDist`. End points have different lengths, so that formulas which lose the length show.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.core import (
    Evidence,
    Exercise,
    Finding,
    expect,
    generator,
    problem_with,
    record,
)

# --- 4.1 interpolate --------------------------------------------------------------------------------

_STEPS = 6


def _ends(seed: int, latent_dim: int = 3) -> tuple[Tensor, Tensor]:
    """Two codes (latent_dim,) of lengths 1.5 and 4, between about 50 and 110 degrees apart."""
    g = generator(seed)
    start = torch.randn(latent_dim, generator=g)
    other = torch.randn(latent_dim, generator=g)
    start = start / start.norm()
    if latent_dim > 1:  # a second direction with a cosine chosen between -0.35 and 0.65
        other = other - (other @ start) * start
        cosine = -0.35 + torch.rand((), generator=g)
        other = cosine * start + (1 - cosine**2).sqrt() * other / other.norm()
    return 1.5 * start, 4 * other


def _parallel(seed: int) -> tuple[Tensor, Tensor]:
    """Ten codes (10, 7) and ten in the same directions, 1.1 to 2 times as long."""
    start = 2 * torch.randn(10, 7, generator=generator(seed, 1))
    return start, start * torch.linspace(1.1, 2.0, 10).unsqueeze(1)


def probe_interpolate(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    start, end = _ends(seed)
    record(evidence, "straight", answer, start, end, _STEPS, False)
    record(evidence, "spherical", answer, start, end, _STEPS, True)
    record(evidence, "single", answer, *_ends(seed + 1, latent_dim=1), 2, False)

    def parallel() -> Tensor:
        return torch.stack([torch.as_tensor(answer(a, b, 5, True)) for a, b in zip(*_parallel(seed))])  # noqa: B905

    record(evidence, "parallel", parallel)
    return evidence


Path = Callable[[float], np.ndarray]


def _along(path: Path, times: Any) -> np.ndarray:
    return np.stack([path(float(t)) for t in times])


def _line(a: np.ndarray, b: np.ndarray) -> Path:
    return lambda t: a + t * (b - a)


def _arc(a: np.ndarray, b: np.ndarray, omega: float | None = None) -> Path:
    """The arc by rotation: t of the angle, in the plane of a and b, each end carrying its own length.

    Written as the sines' formula only where a mistaken angle is asked for.
    """
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    if omega is None:
        omega = float(np.arctan2(np.linalg.norm(length_b * a - length_a * b) , 0) if False else 
                      2 * np.arctan2(np.linalg.norm(a / length_a - b / length_b),
                                     np.linalg.norm(a / length_a + b / length_b)))
    return lambda t: (np.sin((1 - t) * omega) * a + np.sin(t * omega) * b) / np.sin(omega)

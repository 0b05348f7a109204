"""Section 6: the beta loss, its warm-up schedule, and the mutual information gap."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import Evidence, NotNumbers, alone, as_array, one, record
from course_utils.checks.probes.inputs import generator, posterior_parameters
from course_utils.checks.probes.predictions import prediction

TWICE = (0, 1)  # a loss or a score is one number, which another run may have by chance: look at two


# --- 6.1 beta_loss ----------------------------------------------------------------------------------


def loss_batch(
    seed: int, time: int, n: int = 5, latent_dim: int = 3
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits and binary images (n, 1, 12, 7), mu and logvar (n, latent_dim), sigma from 0.1 to 5."""
    g = generator(seed, 60 + time)
    x_logits = 2 * torch.randn(n, 1, 12, 7, generator=g)
    x = (torch.rand(n, 1, 12, 7, generator=g) < 0.3).float()
    return x_logits, x, *posterior_parameters(g, n, latent_dim)


def loss_single(seed: int, time: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return loss_batch(seed, 2 + time, n=1, latent_dim=1)


def drawn_beta(seed: int) -> float:
    """Between 2 and 6."""
    return 2 + 4 * torch.rand((), generator=generator(seed, 64)).item()


def probe_beta_loss(evidence: Evidence, answer: Any, seed: int) -> None:
    beta = drawn_beta(seed)

    for time in TWICE:
        record(evidence, f"without{time}", one(answer), *loss_batch(seed, time), 0.0)
        record(evidence, f"with{time}", one(answer), *loss_batch(seed, time), beta)
        record(evidence, f"single{time}", one(answer), *loss_single(seed, time), 1 / beta)

    x_logits, x, mu, logvar = loss_batch(seed, 0)

    def loss(x_logits: Tensor, mu: Tensor, logvar: Tensor) -> Any:
        return alone(answer(x_logits, x, mu, logvar, beta))

    record(evidence, "gradients", layers.of_loss, loss, x_logits, mu, logvar)


# --- 6.2 warm_up ------------------------------------------------------------------------------------


def schedules(seed: int) -> dict[str, tuple[float, float]]:
    """share and top, by the evidence's key."""
    a, b, c, d, e = torch.rand(5, generator=generator(seed, 65), dtype=torch.float64).tolist()
    return {
        "first": (0.3 + 0.4 * a, 2 + 6 * b),
        "early": (0.1 + 0.15 * c, 0.3 + 0.5 * d),
        "whole": (1.0, 5 + 10 * e),
    }


def drawn_times(seed: int, share: float) -> np.ndarray:
    """t, the share of training done: 0, `share`, 1 and four numbers on each side of `share`, sorted."""
    before, after = torch.rand(2, 4, generator=generator(seed, 66), dtype=torch.float64).numpy()
    return np.sort(np.concatenate([[0, share, 1], share * before, share + (1 - share) * after]))


def probe_warm_up(evidence: Evidence, answer: Any, seed: int) -> None:
    def one(t: float, share: float, top: float) -> float:
        weight = as_array(answer(t, share, top))
        if weight.size != 1:
            raise NotNumbers(f"It returned {weight.size} numbers for one t; return one.")
        return float(weight.item())

    def schedule(share: float, top: float) -> list[float]:
        return [one(t, share, top) for t in drawn_times(seed, share).tolist()]

    for key, (share, top) in schedules(seed).items():
        record(evidence, key, schedule, share, top)


# --- 6.3 mutual_information_gap ---------------------------------------------------------------------


def codes_and_factors(seed: int, time: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Codes (N, d) and factors (N, k) by the evidence's key, all of N, d, k and the levels unequal.

    "one" has a single factor and two codes, the better one last. "several" has two copies of one code.
    In both every pair of values occurs; in "sparse" most pairs, and many values, never do.
    """
    g = generator(seed, 67 + time)

    def factor(n: int, levels: int) -> Tensor:
        return torch.multinomial(0.6 + torch.rand(levels, generator=g), n, replacement=True, generator=g)

    def noisy(values: Tensor, levels: int, noise: float) -> Tensor:
        """A code of `levels` values that follows `values` but for a share of noise."""
        lost = torch.rand(len(values), generator=g) < noise + 0.1 * torch.rand((), generator=g)
        return torch.where(lost, torch.randint(levels, (len(values),), generator=g), values % levels)

    a = factor(900, 3)
    one = [noisy(a, 4, 0.6), noisy(a, 5, 0.3)]

    b = [factor(2000, levels) for levels in (2, 3, 5)]
    twice = noisy(b[0], 3, 0.4)
    several = [noisy(b[2], 6, 0.7), twice, twice, noisy(b[2], 5, 0.3), noisy(b[1], 4, 0.5)]

    c = [torch.tensor([0, 2, 3, 6])[factor(90, 4)], torch.tensor([1, 4, 5])[factor(90, 3)]]
    copy = torch.tensor([5, 0, 6, 7, 0, 0, 60])[c[0]]
    sparse = [3 + (c[1] > 1), copy, 30 + (c[0] > 2), 20 + noisy(c[1], 27, 0.4)]
    return {
        "one": (torch.stack(one, 1), a.unsqueeze(1)),
        "several": (torch.stack(several, 1), torch.stack(b, 1)),
        "sparse": (torch.stack(sparse, 1).long(), torch.stack(c, 1)),
    }


def probe_mutual_information_gap(evidence: Evidence, answer: Any, seed: int) -> None:
    for time in TWICE:
        for key, tensors in codes_and_factors(seed, time).items():
            record(evidence, f"{key}{time}", answer, *tensors)


# --- 6.5 predict_beta (before 6.2 in the lesson) -----------------------------------------------------


BETAS = ("beta 0.1", "beta 1", "beta 4")

BETA_OFFERED = {
    "the blurriest reconstructions": BETAS,
    "the KL as beta grows": ("it falls", "it rises", "neither"),
    "the most holes under the prior": BETAS,
    "holes at beta 4 against beta 1": ("fewer", "about as many", "more"),
}

PROBES = {
    "beta_loss": probe_beta_loss,
    "warm_up": probe_warm_up,
    "mutual_information_gap": probe_mutual_information_gap,
    "predict_beta": prediction(BETA_OFFERED),
}

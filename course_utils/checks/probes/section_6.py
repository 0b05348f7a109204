"""Section 6: the beta loss, its warm-up schedule, and the mutual information gap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import (
    Evidence,
    NotNumbers,
    Parts,
    as_array,
    called,
    look,
    looking_at,
    record,
)
from course_utils.checks.probes.inputs import generator, loss_looks
from course_utils.checks.probes.predictions import prediction

# --- 6.1 beta_loss ----------------------------------------------------------------------------------


def beta_loss_looks(seed: int) -> dict[str, tuple[Any, ...]]:
    """Logits and images (n, 1, 12, 7), mu and logvar (n, latent_dim), and the betas with which they are
    looked at: one above 1 and one below; none in "zero" and "bold"."""
    below, above = torch.rand(2, generator=generator(seed, 64)).tolist()
    looks = loss_looks(seed, 12, 7)
    betas = dict.fromkeys(looks, (0.2 + 0.6 * below, 2 + 4 * above)) | {"zero": (0.0,), "bold": (0.0,)}
    return {key: (*(looks | {"zero": looks["grey"]})[key], *betas[key]) for key in betas}


def probe_beta_loss(evidence: Evidence, answer: Any, seed: int) -> None:
    def losses(x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, *betas: float) -> Any:
        """One for each beta."""
        values = [called(evidence, answer, x_logits, x, mu, logvar, beta) for beta in betas]
        if all(isinstance(value, tuple | list) and value for value in values):
            return Parts([value[0] for value in values], "It returned several values: return the loss alone.")
        return [as_array(value) for value in values]

    looks = beta_loss_looks(seed)
    look(evidence, losses, looks)
    x_logits, x, mu, logvar, beta, _ = looks["grey"]

    def loss(x_logits: Tensor, mu: Tensor, logvar: Tensor) -> Any:
        value = answer(x_logits, x, mu, logvar, beta)
        return value[0] if isinstance(value, tuple | list) else value

    record(evidence, "gradients", layers.of_loss, loss, x_logits, mu, logvar)


# --- 6.3 warm_up ------------------------------------------------------------------------------------


def schedule_looks(seed: int) -> dict[str, tuple[float, ...]]:
    """share, top and the times t at which the schedule is looked at: 0, `share`, 1 and nine numbers on each
    side of `share`."""
    g = generator(seed, 65)
    a, b, c, d, e = torch.rand(5, generator=g, dtype=torch.float64).tolist()
    schedules = {
        "usual": (0.55 + 0.3 * a, 2 + 6 * b),  # who is there at 1/2 is there too early
        "early": (0.03 + 0.06 * c, 0.3 + 0.5 * d),
        "whole": (1.0, 5 + 10 * e),
    }

    def times(share: float) -> list[float]:
        before, after = torch.rand(2, 9, generator=g, dtype=torch.float64).numpy()
        return [0.0, *(share * before), share, *(share + (1 - share) * after), 1.0]

    return {key: (share, top, *map(float, times(share))) for key, (share, top) in schedules.items()}


def over_time(answer: Callable[..., Any]) -> Callable[..., list[float]]:
    def schedule(share: float, top: float, *times: float) -> list[float]:
        weights = [as_array(answer(t, share, top)) for t in times]
        for weight in weights:
            if weight.size != 1:
                raise NotNumbers(f"It returned {weight.size} numbers for one t; return one.")
        return [weight.item() for weight in weights]

    return schedule


# --- 6.5 mutual_information_gap ---------------------------------------------------------------------


def gap_looks(seed: int) -> dict[str, tuple[Tensor, Tensor]]:
    """Codes (N, d) and factors (N, k), all of N, d, k and the numbers of values unequal.

    "one" has a single factor and two codes, the better one last; in "last" the best two codes are the last of
    five; "several" has two copies of one code; in "shared", of the shape of "last", one code is the best for
    both factors. In these every pair of values occurs; in "sparse" most pairs, and many values, never do.
    "many" has more values than 20, more pairs than 256, and one of these more often than 256 times.
    """
    g = generator(seed, 67)

    def factor(n: int, levels: int) -> Tensor:
        return torch.multinomial(0.6 + torch.rand(levels, generator=g), n, replacement=True, generator=g)

    def noisy(values: Tensor, levels: int, noise: float) -> Tensor:
        """A code of `levels` values that follows `values` but for a share of noise."""
        lost = torch.rand(len(values), generator=g) < noise + 0.1 * torch.rand((), generator=g)
        return torch.where(lost, torch.randint(levels, (len(values),), generator=g), values % levels)

    a, b = factor(400, 3), [factor(900, levels) for levels in (2, 3, 5)]
    twice = noisy(b[0], 3, 0.4)
    several = [noisy(b[2], 6, 0.7), twice, twice, noisy(b[2], 5, 0.3), noisy(b[1], 4, 0.5)]
    e = [factor(1400, levels) for levels in (4, 6)]
    mixed, pair = (e[0] + e[1]) % 6, 6 * e[0] + e[1]
    last = [noisy(mixed, 5, 0.8), noisy(e[1], 3, 0.75), noisy(mixed, 6, 0.7), noisy(mixed, 6, 0.25)]
    both = [noisy(pair, 24, 0.2), *(noisy(v, 6, 0.4) for v in e), *(noisy(v, 3, 0.8) for v in e)]
    c = [torch.tensor([0, 2, 3, 6])[factor(90, 4)], torch.tensor([1, 4, 5])[factor(90, 3)]]
    copy = torch.tensor([5, 0, 6, 7, 0, 0, 60])[c[0]]
    sparse = [3 + (c[1] > 1), copy, 30 + (c[0] > 2), 20 + noisy(c[1], 27, 0.4)]
    f = factor(1200, 23) * (torch.rand(1200, generator=g) < 0.7)
    many = [noisy(f, 23, 0.1), noisy(f, 31, 0.3), torch.randint(41, (1200,), generator=g)]
    return {
        "one": (torch.stack([noisy(a, 4, 0.6), noisy(a, 5, 0.3)], 1), a.unsqueeze(1)),
        "last": (torch.stack([*last, noisy(e[0], 7, 0.4)], 1), torch.stack(e, 1)),
        "several": (torch.stack(several, 1), torch.stack(b, 1)),
        "shared": (torch.stack(both, 1), torch.stack(e, 1)),
        "sparse": (torch.stack(sparse, 1).long(), torch.stack(c, 1)),
        "many": (torch.stack(many, 1), f.unsqueeze(1)),
    }


# --- 6.2 predict_beta -----------------------------------------------------------------------------

BETAS = ("beta 0.1", "beta 1", "beta 4")

BETA_OFFERED = {
    "the blurriest reconstructions": BETAS,
    "the KL as beta grows": ("it falls", "it rises", "neither"),
    "the most holes under the prior": BETAS,
    "holes at beta 4 against beta 1": ("fewer", "about as many", "more"),
}

PROBES = {
    "beta_loss": probe_beta_loss,
    "warm_up": looking_at(schedule_looks, over_time),
    "mutual_information_gap": looking_at(gap_looks),
    "predict_beta": prediction(BETA_OFFERED),
}

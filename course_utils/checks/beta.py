"""Section 6: the beta loss and its warm-up schedule.

Oracles: torch.distributions in float64, the gradients of the closed forms, and the schedule's straight
line by hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from course_utils.checks.core import Exercise, Finding, expect, problem_with
from course_utils.checks.evidence import Evidence, generator, record

# --- 6.1 beta_loss ----------------------------------------------------------------------------------

BETA = 4.0


def _inputs(seed: int, n: int = 5, latent_dim: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Logits and binary images (n, 1, 12, 7), mu and logvar (n, latent_dim), sigma from 0.1 to 5."""
    g = generator(seed, 60)
    x_logits = 2 * torch.randn(n, 1, 12, 7, generator=g)
    x = (torch.rand(n, 1, 12, 7, generator=g) < 0.3).float()
    mu = 2 * torch.randn(n, latent_dim, generator=g)
    logvar = -4.5 + 7.5 * torch.rand(n, latent_dim, generator=g)
    return x_logits, x, mu, logvar


def _terms(x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """-log p(x|z) per pixel, (n, pixels), and the KL per dimension, (n, latent_dim), in float64."""
    nll = -Bernoulli(logits=x_logits.double()).log_prob(x.double()).flatten(1)
    q = Normal(mu.double(), (logvar.double() / 2).exp())
    return nll, kl_divergence(q, Normal(torch.zeros_like(q.loc), 1.0))


def probe_beta_loss(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    inputs = _inputs(seed)
    record(evidence, "without", answer, *inputs, 0.0)
    record(evidence, "with", answer, *inputs, BETA)
    record(evidence, "single", answer, *_inputs(seed + 1, n=1, latent_dim=1), 0.25)

    def gradients() -> Tensor:
        x_logits, x, mu, logvar = inputs
        leaves = [tensor.clone().requires_grad_() for tensor in (x_logits, mu, logvar)]
        loss = answer(leaves[0], x, leaves[1], leaves[2], BETA)
        if isinstance(loss, Tensor) and loss.requires_grad:
            loss.sum().backward()
        parts = [torch.zeros_like(t) if t.grad is None else t.grad for t in leaves]
        return torch.cat([part.flatten() for part in parts])

    record(evidence, "gradients", gradients)
    return evidence


def judge_beta_loss(seed: int, evidence: Evidence) -> list[Finding]:
    nll, kl = _terms(*_inputs(seed))
    reconstruction, rate = nll.sum(1), kl.sum(1)
    single_nll, single_kl = _terms(*_inputs(seed + 1, n=1, latent_dim=1))
    return [
        expect(
            evidence,
            "without",
            reconstruction.mean(),
            "with beta = 0 it is the cross-entropy in nats per image",
            1,
            {
                "With beta = 0 nothing is left: beta belongs to the KL alone.": torch.tensor(0.0),
                "beta stands at the reconstruction; it belongs to the KL.": rate.mean(),
                "The KL counts even with beta = 0: is beta used?": reconstruction.mean() + rate.mean(),
                "The reconstruction is averaged over pixels: sum over them.": nll.mean(),
                "Summed over the batch: average over images.": reconstruction.sum(),
                "The sign is wrong: a loss is minus the log-likelihood.": -reconstruction.mean(),
                "It returns one loss per image: average over the batch.": reconstruction,
            },
        ),
        _difference(evidence, reconstruction, kl),
        expect(
            evidence,
            "single",
            single_nll.sum() + 0.25 * single_kl.sum(),
            "it also works for one image and one latent dimension",
            0.5,
        ),
        _gradients(seed, evidence),
    ]


def _difference(evidence: Evidence, reconstruction: Tensor, kl: Tensor) -> Finding:
    """What beta adds, whatever the reconstruction term is: loss(beta) - loss(0)."""
    claim = f"beta = {BETA:g} adds {BETA:g} times the KL in nats per image"
    problem = problem_with(evidence, "without") or problem_with(evidence, "with")
    if not problem and evidence["with"].shape != evidence["without"].shape:
        problem = "The loss has another shape for another beta."
    if problem:
        return Finding(claim, False, 1, problem)
    rate = kl.sum(1)
    added = {"added": evidence["with"].astype(float) - evidence["without"]}
    mistakes = {
        "beta changes nothing: is it used?": torch.tensor(0.0),
        "beta stands at the reconstruction; it belongs to the KL.": BETA * reconstruction.mean(),
        "A larger beta also makes the reconstruction lighter: only the KL has a factor.": BETA
        * (rate - reconstruction).mean(),
        "The KL is subtracted; the loss adds it.": -BETA * rate.mean(),
        "The KL is averaged over latent dimensions: sum over them.": BETA * kl.mean(),
        "The KL is summed over the batch: average over images.": BETA * rate.sum(),
        "The KL's 1/2 is missing.": 2 * BETA * rate.mean(),
        "The KL's weight is beta squared.": BETA**2 * rate.mean(),
        "It returns one loss per image: average over the batch.": BETA * rate,
        "It keeps the latent dimensions: sum over them.": BETA * kl,
    }
    return expect(added, "added", BETA * rate.mean(), claim, 1, mistakes, tolerance=5e-4)


def _gradients(seed: int, evidence: Evidence) -> Finding:
    x_logits, x, mu, logvar = (tensor.double() for tensor in _inputs(seed))
    parts = (x_logits.sigmoid() - x, BETA * mu, BETA * (logvar.exp() - 1) / 2)
    gradients = torch.cat([part.flatten() for part in parts]) / len(x)
    none = torch.zeros_like(gradients)
    hint = "No gradient arrives: is the loss a plain number, or detached?"
    claim = "its gradients reach the logits, mu and logvar"
    return expect(evidence, "gradients", gradients, claim, 0.5, {hint: none})


# --- 6.2 warm_up ------------------------------------------------------------------------------------

TIMES = np.linspace(0, 1, 11)  # t, the share of training done
SCHEDULES = ((0.5, 4.0), (0.2, 0.75), (1.0, 10.0))  # share, top


def probe_warm_up(answer: Any, seed: int) -> Evidence:
    del seed
    evidence: Evidence = {}

    def schedule(share: float, top: float) -> np.ndarray:
        return np.array([float(answer(float(t), share, top)) for t in TIMES])

    for share, top in SCHEDULES:
        record(evidence, str(share), schedule, share, top)
    return evidence


def judge_warm_up(seed: int, evidence: Evidence) -> list[Finding]:
    del seed
    end = SCHEDULES[0][0]
    return [
        _part(evidence, "it rises from 0 in a straight line to `top` at t = share", end >= TIMES),
        _part(evidence, "from t = share on it stays at `top`", end <= TIMES),
        *(
            expect(
                evidence,
                str(other),
                _schedule(other, height),
                f"share = {other:g}, top = {height:g}",
                0.5,
                _schedule_mistakes(other, height),
            )
            for other, height in SCHEDULES[1:]
        ),
    ]


def _schedule(share: float, top: float) -> np.ndarray:
    return np.interp(TIMES, [0.0, share, 2.0], [0.0, top, top])


def _schedule_mistakes(share: float, top: float) -> dict[str, np.ndarray]:
    right = _schedule(share, top)
    return {
        "It goes on rising after t = share: hold it at `top`.": top * TIMES / share,
        "It rises over the whole training: `share` is where the rise ends.": top * TIMES,
        "It rises to 1, not to `top`.": right / top,
        "It stops at 1 on the way: its upper limit is `top`.": np.minimum(top * TIMES / share, 1),
        "t is not divided by `share`: at t = share it should reach `top`.": top * np.minimum(TIMES, share),
        "`top` is only the upper limit here; the slope must depend on it too.": np.minimum(
            TIMES / share, top
        ),
        "It falls from `top` to 0: a warm-up rises.": top - right,
        "It jumps: the rise should be gradual.": np.where(share <= TIMES, top, 0.0),
        "It jumps: the rise should be gradual, from 0.": np.where(share < TIMES, top, 0.0),
        "After t = share it falls back to 0.": np.where(share >= TIMES, right, 0.0),
        "It stays at `top` from the start: is the schedule used?": np.full_like(right, top),
    }


def _part(evidence: Evidence, claim: str, part: np.ndarray) -> Finding:
    """A finding on the times in `part` alone, so that a schedule may be half right."""
    share, top = SCHEDULES[0]
    problem = problem_with(evidence, str(share))
    if problem:
        return Finding(claim, False, 1, problem)
    actual, right = evidence[str(share)], _schedule(share, top)
    if np.allclose(actual[part], right[part], rtol=1e-5, atol=1e-6):
        return Finding(claim, True, 1)
    finding = expect(evidence, str(share), right, claim, 1, _schedule_mistakes(share, top))
    first = int(np.argmax(part & ~np.isclose(actual, right, rtol=1e-5, atol=1e-6)))
    where = f"With share = {share:g} and top = {top:g}, t = {TIMES[first]:.1f} gives {actual[first]:.3g}."
    return Finding(claim, False, 1, finding.hint if "difference" not in finding.hint else where)


EXERCISES = (
    Exercise("6.1", "beta_loss", 3, probe_beta_loss, judge_beta_loss),
    Exercise("6.2", "warm_up", 3, probe_warm_up, judge_warm_up),
)

"""Do the gradients of a loss reach all that they should, and are they cleared before the next step?

Of gradients only directions are judged: the size is that of the loss, which has findings of its own.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.judges.core import Finding, close, expect, problem_with
from course_utils.checks.probes.evidence import Evidence

NOT_MOVED = "The weights do not move: clear the gradients, then `backward`, then `step`, in this order."


def reach(evidence: Evidence, x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Finding:
    """The finding that evidence["gradients"], as `of_loss` gives it, is that of reconstruction and KL.

    By logits, mu and logvar of Bernoulli pixels and the Gaussian KL: sigmoid(logits) - x, mu and
    (exp(logvar) - 1) / 2, each up to a factor.
    """
    x_logits, x, mu, logvar = (tensor.double() for tensor in (x_logits, x, mu, logvar))
    parts = [x_logits.sigmoid() - x, mu, (logvar.exp() - 1) / 2]
    claim = "its gradients reach the logits, mu and logvar"
    problem = problem_with(evidence, "gradients")
    sizes = [part.numel() for part in parts]
    if not problem and evidence["gradients"].shape != (sum(sizes),):
        problem = "Its gradients have another size than its inputs."
    if problem:
        return Finding(claim, False, 0.5, problem)
    found = [_direction(part) for part in torch.as_tensor(evidence["gradients"]).double().split(sizes)]
    right = [_direction(part.flatten()) for part in parts]
    none, away = [torch.zeros_like(part) for part in right], [right[0], -right[1], -right[2]]
    mistakes = {
        "No gradient arrives: is the loss a plain number, or detached?": none,
        "No gradient reaches the logits: is the reconstruction detached?": [none[0], *right[1:]],
        "No gradient reaches mu and logvar: is the KL detached?": [right[0], *none[1:]],
        "No gradient reaches mu.": [right[0], none[1], right[2]],
        "No gradient reaches logvar.": [*right[:2], none[2]],
        "The gradient goes uphill: the loss has the wrong sign.": [-part for part in right],
        "The KL pushes mu and logvar away from the prior: it has the wrong sign.": away,
    }
    wrong = {hint: torch.cat(directions) for hint, directions in mistakes.items()}
    return expect({"found": torch.cat(found).numpy()}, "found", torch.cat(right), claim, 0.5, wrong)


def alike(move: np.ndarray, step: np.ndarray, tolerance: float = 1e-4) -> bool:
    """Moves of weights are small numbers: they are held relative to the largest of them."""
    scale = np.abs(step).max()
    return close(move / scale, step / scale, tolerance)


def cleared(move: np.ndarray, steps: Iterable[tuple[np.ndarray, np.ndarray]], tolerance: float = 1e-4) -> str:
    """What is wrong with the move in a second step, '' where it follows the second batch alone.

    `steps` holds what the first step may have been, and then the second one.
    """
    if not move.any():
        return "The weights do not move in the second step."
    kept = "The gradient of the first step is still in the second: clear the gradients in each step."
    for first, second in steps:
        scale = np.abs(first + second).max()
        for hint, step in (("", second), (kept, first + second)):
            if close(move / scale, step / scale, tolerance):
                return hint
    return "The second step is not that of the second batch's gradient alone."


def _direction(gradient: Tensor) -> Tensor:
    """Of length 1, or 0 where there is none."""
    return torch.nn.functional.normalize(gradient, dim=0)

"""Models whose weights the judge knows without having seen them.

A probe has given its layers numbers that depend on the seed and on a layer's shape alone (see the probes'
`layers`). Here the same numbers are drawn, and it is worked out in NumPy what the model should answer, and
what it would answer with a likely mistake in it (`Network`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from course_utils.checks.judges.core import Finding, close, problem_with, unless
from course_utils.checks.probes.evidence import Evidence
from course_utils.checks.probes.layers import bias, weights

Map = Callable[[np.ndarray], np.ndarray]

OTHER_LAYERS = "Other layers give other numbers: mend these first."
FIRST = "What is said above comes first."
FIXED_SIZE = "Is the size of the batch or of the code fixed somewhere?"

KINDS = ("linear", "convolution", "transposed")

# --- layers as evidence -----------------------------------------------------------------------------


def same_layers(
    seed: int,
    evidence: Evidence,
    key: str,
    wanted: list[tuple[int, int, int, int, int, int]],
    claim: str,
    weight: float,
) -> Finding:
    """A finding that evidence[key], made by `described`, holds these layers, filled, in any order.

    `wanted` has for each layer its kind, inputs, outputs, kernel, stride and padding.
    """
    problem = problem_with(evidence, key)
    if problem:
        return Finding(claim, False, weight, problem)
    rows = evidence[key].reshape(-1, 8)
    found = sorted(map(tuple, rows.tolist()))
    if [row[:6] for row in found] != sorted(wanted):
        seen = "; ".join(
            f"{KINDS[int(kind)]} {a:g} to {b:g}"
            + (f", kernel {k:g}, stride {s:g}, padding {p:g}" if k else "")
            for kind, a, b, k, s, p in rows[:, :6].tolist()
        )
        hidden = " Is one in a plain list, where torch does not see it?" if len(rows) < len(wanted) else ""
        return Finding(claim, False, weight, f"Your layers are: {seen or 'none'}.{hidden}")
    if not all(row[7] for row in found):
        return Finding(claim, False, weight, "At least one layer has no bias.")
    sums = []
    for kind, a, b, k, _, _ in sorted(wanted):
        shape = ((b, a), (b, a, k, k), (a, b, k, k))[kind]
        sums.append((weights(seed, *shape).sum(), bias(seed, b).sum()))
    kept = close(np.array([row[6:] for row in found]), sums, 1e-3)
    return unless(claim, weight, "" if kept else "The weights change when the model is called.")


def other_linear(evidence: Evidence, key: str, wanted: list[list[tuple[int, int]]], sizes: str) -> str:
    """What is wrong with evidence[key], made by `linear`: '' for inputs and outputs as in one of `wanted`."""
    found = evidence[key].reshape(-1, 3).tolist()
    if sorted((a, b) for a, b, _ in found) not in map(sorted, wanted):
        seen = ", ".join(f"{a:.0f} to {b:.0f}" for a, b, _ in found) or "none"
        return f"With {sizes} your linear layers are: {seen}."
    return "" if all(biased for *_, biased in found) else "At least one layer has no bias."


# --- what a model should answer ---------------------------------------------------------------------


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -x))  # no overflow far from 0


def same(x: np.ndarray) -> np.ndarray:
    return x


def affine(x: np.ndarray, seed: int, size: int) -> np.ndarray:
    """What the linear layer with `size` outputs and known weights makes of x (N, d)."""
    return x @ weights(seed, size, x.shape[1]).T + bias(seed, size)


BENDS: dict[str, Map] = {
    "a ReLU": relu,
    "a sigmoid": sigmoid,
    "a tanh": np.tanh,
    "a softplus": lambda x: np.logaddexp(0, x),
    "an exp": np.exp,
}


def activations(none: str, first: str, second: str) -> list[tuple[str, Map, Map]]:
    """What may stand at two places inside, by its hint: that there is `none`, or which ReLU is missing."""
    return [
        ("", relu, relu),
        (none, same, same),
        (first, same, relu),
        (second, relu, same),
        ("The activation inside is a sigmoid, not ReLU.", sigmoid, sigmoid),
        ("The activation inside is tanh, not ReLU.", np.tanh, np.tanh),
    ]


@dataclass(frozen=True)
class Network:
    """A network in NumPy: its inside, then its end; right under '', with a likely mistake under its hint."""

    insides: Mapping[str, Map]
    ends: Mapping[str, Map]

    def version(self, seen: tuple[str, str] | None = None) -> Map:
        """The network with these two mistakes; by default the right one."""
        inside, end = seen or ("", "")
        return lambda x: self.ends[end](self.insides[inside](x))

    def seen(self, evidence: Evidence, key: str, x: np.ndarray) -> tuple[str, str] | None:
        """Which inside and which end give evidence[key] from x."""
        if problem_with(evidence, key):
            return None
        for inside, first in self.insides.items():
            values = first(x)
            for end, last in self.ends.items():
                if close(evidence[key], last(values), 1e-4):
                    return inside, end
        return None


def advised(finding: Finding, advice: str) -> Finding:
    """The finding; where all it says is that the numbers differ or the code stopped, with advice added."""
    bare = finding.hint.startswith(("Largest difference", "It has shape", "Your code stopped"))
    return replace(finding, hint=f"{finding.hint.rstrip('.')}. {advice}") if bare else finding


def differences(function: Map, x: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Derivative of each row's summed output when x (N, d) moves along the columns of `directions` (d, k):
    (N, k), by central differences."""
    h, (n, d), k = 1e-6, x.shape, directions.shape[1]
    moved = [(x[:, None] + sign * h * directions.T).reshape(n * k, d) for sign in (1, -1)]
    up, down = (function(at).reshape(n, k, -1).sum(2) for at in moved)
    return (up - down) / (2 * h)


def smooth(evidence: Evidence, key: str, expected: np.ndarray, claim: str, weight: float) -> Finding:
    """A finding that evidence[key] holds these slopes.

    Rounding may turn single ReLUs on or off, so a fifth is allowed; a gradient that is cut off somewhere
    lies much further away.
    """
    hint = problem_with(evidence, key)
    if not hint and not (
        evidence[key].shape == expected.shape
        and np.linalg.norm(evidence[key] - expected) < 0.2 * np.linalg.norm(expected)
    ):
        hint = "They are not those of the network: mend its numbers; if those are right, a part is detached."
    return unless(claim, weight, hint)

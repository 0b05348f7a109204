"""Section 1: the autoencoder, one training step, the share of holes.

Oracles: matrix products and gradients written out in NumPy, in float64. The autoencoder is judged with
weights that the judge knows (see `layers`); the training step with plain gradient descent instead of
Adam, because the first step of Adam looks the same for a gradient of any size.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks.core import Exercise, Finding, close, expect, holds, problem_with
from course_utils.checks.evidence import Evidence, alone, as_array, generator, record
from course_utils.checks.layers import bias, calls, fill, relu, same, sigmoid, weights
from course_utils.models import Model

# --- 1.1 MyAutoencoder ------------------------------------------------------------------------------

LATENT = 3


def _images_and_codes(seed: int, latent_dim: int = LATENT) -> tuple[Tensor, Tensor]:
    """Images (5, 1, 28, 28) in [0, 1] and codes (5, latent_dim)."""
    g = generator(seed, 1)
    return torch.rand(5, 1, 28, 28, generator=g), 2 * torch.randn(5, latent_dim, generator=g)


def probe_my_autoencoder(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    x, z = _images_and_codes(seed)
    made: dict[int, Model] = {}

    def model(latent_dim: int) -> Model:
        """One instance per latent size; an error in the constructor comes up in every finding."""
        if latent_dim not in made:
            made[latent_dim] = answer(latent_dim)
            fill(made[latent_dim], seed, x)
        return made[latent_dim]

    def layers() -> list[tuple[int, int, bool]]:
        linear = [m for m in model(LATENT).modules() if isinstance(m, nn.Linear)]
        return [(m.in_features, m.out_features, m.bias is not None) for m in linear]

    record(evidence, "layers", layers)
    record(evidence, "code", lambda: alone(model(LATENT).encode(x)))
    record(evidence, "logits", lambda: alone(model(LATENT).decode(z)))
    record(evidence, "forward", lambda: calls(model(LATENT), x))
    record(evidence, "single", lambda: calls(model(1), x[:1]))
    return evidence


def _chain(
    x: np.ndarray,
    sizes: tuple[int, ...],
    seed: int,
    inside: Callable[[np.ndarray], np.ndarray] = relu,
    last: Callable[[np.ndarray], np.ndarray] = same,
) -> np.ndarray:
    """Linear layers of these sizes, `inside` between two of them and `last` after the last."""
    for index, (n_in, n_out) in enumerate(pairwise(sizes)):
        x = x @ weights(seed, n_out, n_in).T + bias(seed, n_out)
        x = inside(x) if index < len(sizes) - 2 else last(x)
    return x


def judge_my_autoencoder(seed: int, evidence: Evidence) -> list[Finding]:
    x, z = (as_array(t).astype(np.float64) for t in _images_and_codes(seed))
    x = x.reshape(5, 784)
    down, up = (784, 256, 128, LATENT), (LATENT, 128, 256, 784)

    def image(flat: np.ndarray) -> np.ndarray:
        return flat.reshape(-1, 1, 28, 28)

    def single() -> np.ndarray:
        return _chain(_chain(x[:1], (784, 256, 128, 1), seed), (1, 128, 256, 784), seed)

    code, logits = _chain(x, down, seed), _chain(z, up, seed)
    forward = _chain(code, up, seed)
    after_relu = _chain(relu(code), up, seed)
    no_activation = "Nothing stands between the linear layers: put a ReLU between each two."
    squashed = "A sigmoid has been applied already: logits are asked for."
    return [
        _sizes(evidence, [*pairwise(down), *pairwise(up)]),
        expect(
            evidence,
            "code",
            code,
            "encode gives the code of each image, ReLU inside and nothing after the last layer",
            1,
            {
                no_activation: _chain(x, down, seed, inside=same),
                "There is a ReLU on the code itself: the last layer stays linear.": relu(code),
                "There is a sigmoid on the code: the last layer stays linear.": sigmoid(code),
                "There is a tanh on the code: the last layer stays linear.": np.tanh(code),
                "The activation inside is a sigmoid, not ReLU.": _chain(x, down, seed, inside=sigmoid),
                "The activation inside is tanh, not ReLU.": _chain(x, down, seed, inside=np.tanh),
            },
        ),
        expect(
            evidence,
            "logits",
            image(logits),
            "decode gives logits of shape (N, 1, 28, 28)",
            1,
            {
                squashed: image(sigmoid(logits)),
                "The numbers are right but not yet images: give them the shape (N, 1, 28, 28).": logits,
                "The channel is missing: the shape is (N, 1, 28, 28).": logits.reshape(-1, 28, 28),
                "Rows and columns of the image are swapped.": image(logits).swapaxes(2, 3),
                no_activation: image(_chain(z, up, seed, inside=same)),
                "There is a ReLU after the last layer: logits may be negative.": image(relu(logits)),
                "There is a tanh after the last layer: logits are unbounded.": image(np.tanh(logits)),
            },
        ),
        expect(
            evidence,
            "forward",
            image(forward),
            "forward decodes the code of the image and returns logits",
            0.5,
            {
                squashed: image(sigmoid(forward)),
                "forward returns the code: decode it as well.": code,
                "There is a ReLU on the code itself: the last layer stays linear.": image(after_relu),
            },
        ),
        expect(evidence, "single", image(single()), "one image and a code of one number work too", 0.5),
    ]


def _sizes(evidence: Evidence, wanted: list[tuple[int, int]]) -> Finding:
    """The linear layers, whatever the order in which the class defines them."""
    claim = "the layers are 784-256-128-latent and back, each with a bias"
    problem = problem_with(evidence, "layers")
    if problem:
        return Finding(claim, False, 1, problem)
    found = evidence["layers"].reshape(-1, 3).tolist()
    if sorted((a, b) for a, b, _ in found) != sorted(wanted):
        seen = ", ".join(f"{a} to {b}" for a, b, _ in found) or "none"
        return Finding(claim, False, 1, f"With a code of {LATENT} numbers your linear layers are: {seen}.")
    biased = all(has_bias for *_, has_bias in found)
    return Finding(claim, biased, 1, "" if biased else "At least one layer has no bias.")


# --- 1.2 train_step ---------------------------------------------------------------------------------

SIDES = (6, 5)
PIXELS = 30
CODE = 4


def _start(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights of a tiny linear autoencoder (down, up, bias) and two batches, of 5 images and of 1."""
    g = generator(seed, 2)
    shapes = ((CODE, PIXELS), (PIXELS, CODE), (PIXELS,))
    parameters = [0.7 * torch.randn(shape, generator=g, dtype=torch.float64) for shape in shapes]
    batches = [torch.rand(n, 1, *SIDES, generator=g, dtype=torch.float64) for n in (5, 1)]
    return [p.numpy() for p in parameters], [b.numpy() for b in batches]


class _Tiny(nn.Module):
    """The tiny autoencoder; it notes whether it was in training mode when it was called."""

    def __init__(self, parameters: list[np.ndarray]) -> None:
        super().__init__()
        self.down, self.up, self.shift = (nn.Parameter(torch.tensor(p)) for p in parameters)
        self.modes: list[bool] = []

    def encode(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        return x.flatten(1) @ self.down.T

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.up.T + self.shift).view(-1, 1, *SIDES)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


def probe_train_step(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    parameters, batches = _start(seed)
    model = _Tiny(parameters)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model.train()

    def weights_now() -> np.ndarray:
        return np.concatenate([as_array(p).ravel().copy() for p in model.parameters()])

    def step(index: int) -> Any:
        before = weights_now()
        value = answer(model, optimizer, torch.tensor(batches[index]))
        evidence[f"move{index}"] = weights_now() - before
        evidence["kind"] = np.array(_kind(value))
        evidence["modes"] = np.array(model.modes)
        return value

    for index in range(2):
        record(evidence, f"loss{index}", step, index)
        problem = problem_with(evidence, f"loss{index}")
        for key in (f"move{index}", "kind", "modes"):
            if problem and key not in evidence:
                evidence[key] = evidence[f"loss{index}"]
    return evidence


def _kind(value: Any) -> int:
    """0 for a plain number, 1 for a tensor or array, 2 for a tensor that still holds its graph, 3 else."""
    if isinstance(value, Tensor):
        return 2 if value.requires_grad else 1
    if isinstance(value, np.ndarray):
        return 1
    return 0 if isinstance(value, int | float | np.number) else 3


def _losses(logits: np.ndarray, x: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
    """The right loss under '' and likely wrong ones under their hints, each with d loss / d logits."""
    n, pi = x.size, sigmoid(logits)
    squares, slope = (pi - x) ** 2, 2 * (pi - x) * pi * (1 - pi)
    entropy = np.logaddexp(0, logits) - x * logits
    batch_sum = "The squares are summed over everything: take their mean."
    image_sum = "The squares are summed over pixels: take the mean over pixels too."
    no_sigmoid = "The model returns logits: compare their sigmoid with the images."
    cross_entropy = "This is the cross-entropy; the mean squared error is asked for."
    return {
        "": (squares.mean(), slope / n),
        batch_sum: (squares.sum(), slope),
        image_sum: (squares.sum() / len(x), slope / len(x)),
        no_sigmoid: (((logits - x) ** 2).mean(), 2 * (logits - x) / n),
        cross_entropy: (entropy.mean(), (pi - x) / n),
        "This is the absolute error; square it.": (
            np.abs(pi - x).mean(),
            np.sign(pi - x) * pi * (1 - pi) / n,
        ),
    }


def _forward(flat: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Logits (N, pixels), codes and the weight matrices from all weights in one row."""
    down, up, shift = np.split(flat, [CODE * PIXELS, 2 * CODE * PIXELS])
    down, up = down.reshape(CODE, PIXELS), up.reshape(PIXELS, CODE)
    z = x @ down.T
    return z @ up.T + shift, z, up


def _gradients(flat: np.ndarray, x: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
    """Loss and gradient with respect to all weights, by the chain rule, for the losses of `_losses`."""
    logits, z, up = _forward(flat, x)
    result = {}
    for hint, (loss, slope) in _losses(logits, x).items():
        parts = [(slope @ up).T @ x, slope.T @ z, slope.sum(0)]
        result[hint] = (loss, np.concatenate([part.ravel() for part in parts]))
    return result


def judge_train_step(seed: int, evidence: Evidence) -> list[Finding]:
    parameters, batches = _start(seed)
    start = np.concatenate([p.ravel() for p in parameters])
    x = [b.reshape(-1, PIXELS) for b in batches]
    first = _gradients(start, x[0])
    loss, gradient = first[""]

    values = {hint: value for hint, (value, _) in first.items() if hint}
    values["The loss is taken after the step: return the one that the step was computed from."] = _gradients(
        start - gradient, x[0]
    )[""][0]
    values["This is the root of the mean squared error."] = loss**0.5
    moves = {hint: -slope for hint, (_, slope) in first.items() if hint}
    still = "The weights do not move: clear the gradients, then `backward`, then `step`, in this order."
    moves[still] = np.zeros_like(start)
    adam = -1e-3 * gradient / (np.abs(gradient) + 1e-8)  # its first step, at the usual settings
    moves["The step is not that of the optimizer handed in: do not make a new one."] = adam
    return [
        expect(evidence, "loss0", loss, "it returns the mean squared error of the batch", 1, values),
        _plain(evidence),
        # Small gradients: held relative to the largest of them.
        _move(evidence, "move0", gradient, moves),
        _cleared(evidence, start, x),
        holds(
            evidence,
            "modes",
            "the model stays in training mode",
            0.5,
            "The model is called in evaluation mode: a training step leaves it in training mode.",
        ),
    ]


def _plain(evidence: Evidence) -> Finding:
    claim = "what it returns is a plain number"
    problem = problem_with(evidence, "kind")
    hints = {
        0: "",
        1: "It is a tensor: `.item()` makes it a number.",
        2: "It is a tensor that still holds on to its graph, and with it to the memory of the whole step.",
        3: "It returned no number; is a `return` missing?",
    }
    kind = -1 if problem else int(evidence["kind"])
    return Finding(claim, kind == 0, 0.5, problem or hints[kind])


def _move(evidence: Evidence, key: str, gradient: np.ndarray, mistakes: dict[str, Any]) -> Finding:
    claim = "the weights move by one step of the optimizer, down the gradient"
    scale = np.abs(gradient).max()
    scaled = dict(evidence)
    if not problem_with(evidence, key):
        scaled[key] = evidence[key] / scale
    wrong = {hint: move / scale for hint, move in mistakes.items()}
    return expect(scaled, key, -gradient / scale, claim, 1, wrong)


def _cleared(evidence: Evidence, start: np.ndarray, x: list[np.ndarray]) -> Finding:
    """The second step follows the second batch's gradient alone, of whichever loss the first step used."""
    claim = "the next step starts from cleared gradients"
    problem = problem_with(evidence, "move0") or problem_with(evidence, "move1")
    if "inplace operation" in problem:  # the weights changed between the loss and its backward
        return Finding(claim, False, 1, "`step` comes before `backward`.")
    if problem:
        return Finding(claim, False, 1, problem)
    first, second = _gradients(start, x[0]), _gradients(start + evidence["move0"], x[1])
    if not evidence["move1"].any():
        return Finding(claim, False, 1, "The weights do not move in the second step.")
    for hint, (_, gradient) in first.items():
        scale = np.abs(gradient).max()
        if not close(evidence["move0"] / scale, -gradient / scale, 1e-4):
            continue
        move = -evidence["move1"] / scale
        if close(move, second[hint][1] / scale, 1e-4):
            return Finding(claim, True, 1)
        if close(move, (gradient + second[hint][1]) / scale, 1e-4):
            hint = "The gradient of the first step is still in the second: clear the gradients in each step."
            return Finding(claim, False, 1, hint)
    if close(evidence["move1"], -first[""][1], 1e-6):
        hint = "The second step follows the first batch: `step` comes before `backward`."
        return Finding(claim, False, 1, hint)
    return Finding(claim, False, 1, "The second step is not that of the second batch's gradient alone.")


# --- 1.3 hole_share ---------------------------------------------------------------------------------


class _Pair:
    """A decoder z (N, d) to images (N, 1, 6, 5) in [0, 1], and an encoder that undoes it badly."""

    def __init__(self, seed: int, latent_dim: int) -> None:
        g = generator(seed, 3)
        self.up = torch.randn(latent_dim, PIXELS, generator=g, dtype=torch.float64).numpy()
        self.down = 1.5 * np.linalg.pinv(self.up)

    def decode(self, z: Tensor) -> Tensor:
        return (z @ torch.tensor(self.up)).sigmoid().view(-1, 1, *SIDES)

    def encode(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - 0.5) @ torch.tensor(self.down)


def _holes(seed: int, n: int, latent_dim: int) -> tuple[Tensor, dict[str, np.ndarray], np.ndarray]:
    """Codes, their round-trip errors by NumPy (the right ones under '') and thresholds between those.

    Three thresholds lie halfway between two neighbouring errors; the others reach far enough to tell the
    wrong errors apart. In float64 none comes so close to an error that rounding could flip a point.
    """
    pair = _Pair(seed, latent_dim)
    g = generator(seed, 4)
    z = 2 * torch.randn(n, latent_dim, generator=g, dtype=torch.float64)
    if n == 1:
        z = z.abs() + 1  # away from 0, where nothing is lost

    def decoded(codes: np.ndarray) -> np.ndarray:
        return sigmoid(codes @ pair.up)

    x = decoded(z.numpy())
    code = (x - 0.5) @ pair.down
    again = decoded(code)
    lost, energy = ((again - x) ** 2).sum(1), (x**2).sum(1)
    errors = {
        "": lost / energy,
        "The error is divided by the number of pixels: divide it by the image's energy |x|^2.": lost / PIXELS,
        "The error is not divided by anything: divide it by the image's energy |x|^2.": lost,
        "This compares norms: the error and the energy are both squared.": np.sqrt(lost / energy),
        "This compares codes: decode again and compare images.": ((code - z.numpy()) ** 2).sum(1)
        / (z.numpy() ** 2).sum(1),
        "The energy is that of the second image: divide by that of the first.": lost / (again**2).sum(1),
        "The energy is that of the whole batch: divide each point's error by its own.": lost / energy.sum(),
        "The energy is an average over the batch: divide each point's error by its own.": lost
        / energy.mean(),
    }
    ordered = np.sort(errors[""])
    if n == 1:
        return z, errors, np.array([0.5, 2.0]) * ordered[0]
    picks = np.array([12, 48, 80]) + torch.randint(-6, 7, (3,), generator=g).numpy()
    between = (ordered[picks] + ordered[picks + 1]) / 2
    return z, errors, np.concatenate([between, np.geomspace(2e-4, 40, 14)])


def probe_hole_share(answer: Any, seed: int) -> Evidence:
    evidence: Evidence = {}
    for key, n, latent_dim in (("shares", 97, 3), ("single", 1, 1)):
        z, _, thresholds = _holes(seed, n, latent_dim)
        pair = _Pair(seed, latent_dim)
        record(
            evidence,
            key,
            lambda pair=pair, z=z, thresholds=thresholds: np.stack(
                [as_array(answer(pair.decode, pair.encode, z, float(t))) for t in thresholds]
            ),
        )
    return evidence


def judge_hole_share(seed: int, evidence: Evidence) -> list[Finding]:
    findings = []
    claims = {
        "shares": ("it is the share of points that lose more than the threshold", 97, 3, 2.0),
        "single": ("it works for one point and a code of one number", 1, 1, 1.0),
    }
    for key, (claim, n, latent_dim, points) in claims.items():
        _, errors, thresholds = _holes(seed, n, latent_dim)
        beyond = errors[""][None] > thresholds[:, None]
        share = beyond.mean(1)
        mistakes = {
            "The threshold is always 0.1: use the one handed in.": np.full_like(
                share, (errors[""] > 0.1).mean()
            ),
            "This is the share of points that are no holes.": 1 - share,
            "This is the number of holes: divide by the number of points.": beyond.sum(1),
            "This is a percentage: return a share between 0 and 1.": 100 * share,
            "One truth value per point: return their mean.": beyond,
            "This is the mean error: count the points beyond the threshold instead.": np.full_like(
                share, errors[""].mean()
            ),
        }
        for hint, values in errors.items():
            if hint:
                mistakes[hint] = (values[None] > thresholds[:, None]).mean(1)
        findings.append(expect(evidence, key, share, claim, points, mistakes, tolerance=1e-6))
    return findings


EXERCISES = (
    Exercise("1.1", "MyAutoencoder", 4, probe_my_autoencoder, judge_my_autoencoder),
    Exercise("1.2", "train_step", 4, probe_train_step, judge_train_step),
    Exercise("1.3", "hole_share", 3, probe_hole_share, judge_hole_share),
)

"""Section 1: the autoencoder, one training step, the share of holes.

Oracles: matrix products and gradients written out in NumPy, in float64. The autoencoder is judged with
weights that the judge knows (see `layers`); the training step with plain gradient descent instead of
Adam, because the first step of Adam looks the same for a gradient of any size.
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.judges import gradients, layers
from course_utils.checks.judges.core import (
    Exercise,
    Finding,
    close,
    diagnosis,
    expect,
    is_fact,
    problem_with,
    unless,
)
from course_utils.checks.judges.layers import advised, sigmoid
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import AGAIN, CHANGED, STEADY, Evidence
from course_utils.checks.probes.layers import DROPOUT, SINGLE
from course_utils.checks.probes.section_1 import (
    CLAIMS,
    CODE,
    HOLES_OFFERED,
    PIXELS,
    Pair,
    autoencoders,
    hole_calls,
    small_autoencoder,
)

# --- 1.1 MyAutoencoder ------------------------------------------------------------------------------


def judge_my_autoencoder(seed: int, evidence: Evidence) -> list[Finding]:
    cases = autoencoders(seed)
    asked = {
        "code": ("the code", [256, 128, *cases["main"].sizes]),
        "logits": ("the logits", [128, 256, 784]),
    }
    found = layers.Networks(seed, evidence, cases, asked)
    encode, decode = map(found.whole, asked)
    forward = encode if encode and decode else _forward_hint(evidence, found, "main")
    single = "" if forward else _forward_hint(evidence, found, SINGLE)
    return [
        unless("encode gives the code: ReLU after each hidden layer, nothing at the end", 1.25, encode),
        unless("decode gives logits (N, 1, 28, 28), ReLU inside and nothing at the end", 1.25, decode),
        unless("forward decodes the code of the image", 0.5, forward),
        unless("the layers are 784-256-128-latent_dim and back", 1, found.sizes()),
        unless("one image and a code of one number work too", 0.5, found.batches() or single),
        unless("gradients reach all weights", 0.5, found.gradients() or _cut_off(seed, evidence, forward)),
    ]


def _forward_hint(evidence: Evidence, found: layers.Networks, case: str) -> str:
    """'' where forward gives what the answer's own decode makes of what its own encode gives."""
    key, both = f"forward {case}", f"both {case}"
    problem = problem_with(evidence, key) or problem_with(evidence, both)
    if problem:
        return layers.with_question(problem, 5 if case == "main" else 1)
    right, code = evidence[both], evidence[f"code {case}"]
    mistakes = {"forward returns the code: decode it as well.": code}
    for name, change in layers.ENDS.items():
        hint = f"There is {name} on what forward gives: logits are asked for."
        mistakes |= {hint: change(torch.as_tensor(right)).numpy()} if name else {}
    given, way = found.given("logits"), found.ways["logits"]
    if case == "main" and way:
        for hint, change in given.starts.items():
            rows = change(torch.as_tensor(code).double())
            mistakes[f"In forward: {hint}"] = way.value(found.known, replace(given, rows=rows))
    hint = diagnosis(evidence, key, {"": right, **mistakes}, 1e-3)
    complaint = problem_with(evidence, STEADY)
    if hint is None and complaint in (AGAIN, CHANGED, DROPOUT):
        return complaint
    return expect(evidence, key, right, "", 0, tolerance=1e-3).hint if hint is None else hint


def _cut_off(seed: int, evidence: Evidence, forward: str) -> str:
    """'' where gradients come through forward, or where it is no forward."""
    held = is_fact(evidence, "gradients forward", seed, "", 0, "").holds
    return "" if held or forward else f"forward: {layers.CUT_OFF}"


# --- 1.2 train_step ---------------------------------------------------------------------------------
Loss = tuple[float, np.ndarray]  # its value and its gradient


def _losses(logits: np.ndarray, x: np.ndarray) -> dict[str, Loss]:
    """The right loss under '' and likely wrong ones under their hints, each with d loss / d logits."""
    n, (b, pixels), pi, tanh = x.size, x.shape, sigmoid(logits), np.tanh(logits)
    twice, step = sigmoid(pi), pi * (1 - pi)
    entropy = np.logaddexp(0, logits) - x * logits

    def squared(image: np.ndarray, step: np.ndarray | float) -> Loss:
        """The mean squared error of an image that moves by `step` for each logit."""
        return ((image - x) ** 2).mean(), 2 * (image - x) * step / n

    mse, slope = squared(pi, step)
    bounded = squared(tanh, 1 - tanh**2)
    return {
        "": (mse, slope),
        "The squares are summed over everything: take their mean.": (n * mse, n * slope),
        "The squares are summed over pixels: take the mean over pixels too.": (pixels * mse, pixels * slope),
        "The mean is multiplied by the size of the batch: return the mean itself.": (b * mse, b * slope),
        "This is half of the mean squared error.": (mse / 2, slope / 2),
        "This is the root of the mean squared error.": (mse**0.5, slope / (2 * mse**0.5)),
        "The model returns logits: compare their sigmoid with the images.": squared(logits, 1),
        "This is the tanh of the logits; their sigmoid lies in [0, 1], as the images do.": bounded,
        "The sigmoid is taken twice.": squared(twice, twice * (1 - twice) * step),
        "This is the cross-entropy; the mean squared error is asked for.": (entropy.mean(), (pi - x) / n),
        "This is the absolute error; square it.": (np.abs(pi - x).mean(), np.sign(pi - x) * step / n),
    }


def _gradients(flat: np.ndarray, x: np.ndarray) -> dict[str, Loss]:
    """Loss and gradient with respect to all weights, by the chain rule, for the losses of `_losses`."""
    down, up, shift = np.split(flat, [CODE * PIXELS, 2 * CODE * PIXELS])
    down, up = down.reshape(CODE, PIXELS), up.reshape(PIXELS, CODE)
    z = x @ down.T
    result = {}
    for hint, (loss, slope) in _losses(z @ up.T + shift, x).items():
        parts = [(slope @ up).T @ x, slope.T @ z, slope.sum(0)]
        result[hint] = (loss, np.concatenate([part.ravel() for part in parts]))
    return result


def _descended(move: np.ndarray, losses: dict[str, Loss]) -> list[tuple[str, float]]:
    """The losses, by their hints, down whose gradient the weights move, each with its learning rate."""
    rates = {hint: -(move @ gradient) / (gradient @ gradient) for hint, (_, gradient) in losses.items()}
    return [
        (hint, rate)
        for hint, rate in rates.items()
        if rate and gradients.alike(move, -rate * losses[hint][1], 1e-3)
    ]


def judge_train_step(seed: int, evidence: Evidence) -> list[Finding]:
    parameters, batches, rate = small_autoencoder(seed)
    start = np.concatenate([p.ravel() for p in parameters]).astype(np.float64)
    x = [b.reshape(-1, PIXELS).astype(np.float64) for b in batches]
    first = _gradients(start, x[0])
    loss, gradient = first[""]

    mistakes = {hint: value for hint, (value, _) in first.items() if hint}
    later = _gradients(start - rate * gradient, x[0])[""][0]
    mistakes["The loss is taken after the step: return the one that the step was computed from."] = later
    for digits in (2, 3, 4):
        mistakes[f"It is rounded to {digits} digits: return it in full."] = round(loss, digits)
    claim = "it returns the mean squared error of the batch"
    moves = "the weights move by one step of the optimizer, down the gradient of the loss"
    advice = "Each number of the sigmoid meets the number of the image in its place; the mean is over all."
    if "does not require grad" in problem_with(evidence, "loss0"):
        advice = "No gradient can flow: is something detached, or under `no_grad`?"
    mode = "The model is put into evaluation mode, or never called: a training step trains it."
    claim_plain = "what it returns is a plain number"
    plain = is_fact(evidence, "plain", seed, claim_plain, 0.5, "It is no plain number.")
    values = [loss, *mistakes.values()]
    unclear = problem_with(evidence, "loss0")
    if plain.holds and not unclear and not any(close(evidence["loss0"], value, 1e-5) for value in values):
        plain = replace(plain, holds=False, hint="It is a number, but no loss of this batch.")
    return [
        advised(expect(evidence, "loss0", loss, claim, 0.5, mistakes, tolerance=1e-5), advice),
        plain,
        unless(moves, 0.5, _move_hint(evidence, first, rate)),
        unless("the next step starts from cleared gradients", 1, _cleared_hint(evidence, start, x)),
        is_fact(evidence, "training", seed, "the model stays in training mode", 0.5, mode),
    ]


def _move_hint(evidence: Evidence, first: dict[str, Loss], rate: float) -> str:
    """'' where the step follows the right loss, or the one that was returned: that is said elsewhere."""
    problem = problem_with(evidence, "move0")
    if problem:
        return problem
    move = evidence["move0"]
    if move.shape != first[""][1].shape:
        return "The weights change their shapes."
    if not move.any():
        return gradients.NOT_MOVED
    descended = _descended(move, first)
    for hint, its_rate in descended:
        if close(np.array(its_rate), rate, 1e-3):
            returned = not problem_with(evidence, "loss0") and close(evidence["loss0"], first[hint][0], 1e-5)
            return "" if returned or not hint else f"The step descends another loss. {hint}"
    if descended and descended[0][1] < 0:
        return "The weights go up the gradient: the loss itself is sent backwards, not its negative."
    if descended and close(np.array(descended[0][1]), 2 * rate, 1e-3):
        return "The optimizer steps twice, or the gradient is counted twice."
    return "The step is not that of the optimizer handed in: do not make a new one, and step once."


def _cleared_hint(evidence: Evidence, start: np.ndarray, x: list[np.ndarray]) -> str:
    """'' where the second step follows the second batch alone, by whichever loss the first step used."""
    problem = problem_with(evidence, "move0") or problem_with(evidence, "move1")
    if problem:  # torch complains where weights change between the loss and its backward
        return "`step` comes before `backward`." if "inplace operation" in problem else problem
    first, second = _gradients(start, x[0]), _gradients(start + evidence["move0"], x[1])
    rates = _descended(evidence["move0"], first)
    steps = [(-rate * first[hint][1], -rate * second[hint][1]) for hint, rate in rates]
    return gradients.cleared(evidence["move1"], steps, 1e-3)


# --- 1.3 hole_share ---------------------------------------------------------------------------------


def _errors(pair: Pair, z: Tensor) -> dict[str, np.ndarray]:
    """What each code loses on the round trip: right under '', and likely wrong ones under their hints."""
    codes = z.numpy()
    x = pair.image(codes)
    code = pair.code(x)
    again = pair.image(code)
    dim = sigmoid(x)
    dim_again = sigmoid(pair.image(pair.code(dim)))
    lost, energy, none = ((again - x) ** 2).sum(1), (x**2).sum(1), np.zeros(len(x))
    of_batch, averaged = none + lost.sum() / energy.sum(), none + (lost / energy).mean()

    per_pixel, per_mean_energy = lost / len(x[0]), lost / energy.mean()

    def relative(a: np.ndarray, b: np.ndarray, power: int = 2) -> np.ndarray:
        return (np.abs(a - b) ** power).sum(1) / (np.abs(b) ** power).sum(1)

    return {
        "": relative(again, x),
        "The error is divided by the number of pixels: divide it by the image's energy |x|^2.": per_pixel,
        "The error is not divided by anything: divide it by the image's energy |x|^2.": lost,
        "This compares norms: the error and the energy are both squared.": np.sqrt(lost / energy),
        "This takes absolute values: the error and the energy are sums of squares.": relative(again, x, 1),
        "This compares codes: decode again and compare images.": relative(code, codes),
        "This compares an image with itself: encode it and decode once more.": none,
        "`decode` gives images already: no sigmoid on top of it.": relative(dim_again, dim),
        "The energy is missing its square: divide by |x|^2.": lost / np.sqrt(energy),
        "The energy is that of the second image: divide by that of the first.": lost / (again**2).sum(1),
        "The energy is that of the whole batch: divide each point's error by its own.": lost / energy.sum(),
        "The energy is an average over the batch: divide each point's error by its own.": per_mean_energy,
        "All points get one verdict together: compare each point's own error.": of_batch,
        "The errors are averaged first: compare each point's own error.": averaged,
    }


def _shares(pair: Pair, z: Tensor, threshold: float) -> dict[str, np.ndarray]:
    """The right share under '' and likely wrong answers under their hints."""
    errors = _errors(pair, z)
    right = errors[""]
    beyond, reached = right > threshold, right >= threshold
    return {hint: (error > threshold).mean() for hint, error in errors.items()} | {
        "A point that loses exactly the threshold is no hole: more than that is asked for.": reached.mean(),
        "The threshold is always 0.1: use the one handed in.": (right > 0.1).mean(),
        "This is the share of points that are no holes.": 1 - beyond.mean(),
        "This is the number of holes: divide by the number of points.": beyond.sum(),
        "This is a percentage: return a share between 0 and 1.": 100 * beyond.mean(),
        "One truth value per point: return their mean.": beyond,
        "This is the mean error: count the points beyond the threshold instead.": right.mean(),
    }


@functools.lru_cache(maxsize=2)
def _known_shares(seed: int) -> dict[str, dict[str, np.ndarray]]:
    """Of every call, the right share under '' and likely wrong answers under their hints."""
    each = {key: [_shares(*call) for call in called] for key, called in hole_calls(seed).items()}
    return {
        key: {hint: np.stack([shares[hint] for shares in called]) for hint in called[0]}
        for key, called in each.items()
    }


def judge_hole_share(seed: int, evidence: Evidence) -> list[Finding]:
    advice = "Square, sum over each image's own pixels, divide, compare; the batch may have any size."
    findings = []
    for key, shares in _known_shares(seed).items():
        mistakes = {hint: share for hint, share in shares.items() if hint}
        finding = expect(evidence, key, shares[""], *CLAIMS[key], mistakes, 1e-6)
        findings.append(advised(finding, advice))
    return findings


EXERCISES = (
    Exercise(
        "1.1",
        "MyAutoencoder",
        3,
        judge_my_autoencoder,
        ("models.Autoencoder",),
        why="Without a ReLU between them, linear layers collapse into a single one, which can do little more "
        "than a principal component analysis. At the end a ReLU would forbid negative codes and logits.",
    ),
    Exercise(
        "1.2", "train_step", 3, judge_train_step, ("training.fit", "engine.fast.fit", "engine.cache.fit")
    ),
    Exercise("1.3", "hole_share", 3, judge_hole_share, ("evaluation.hole_share",)),
    prediction(
        "1.5",
        "predict_holes",
        HOLES_OFFERED,
        (
            "The images crowd a plane, so the encoder has met most of what its decoder can draw. In 32 "
            "dimensions they leave nearly all of the space empty, and a guess seldom meets them.",
            "A guess misses less where its scale is that of the codes. If these spread by 2 or 3 units "
            "in every dimension, hardly any of them is near the origin: a small code is no safe code.",
            "The fitted Gaussian knows where the codes lie, how far they spread and which of their "
            "coordinates go together; the two guesses know none of it.",
        ),
    ),
)

"""Section 1: the autoencoder, one training step, the share of holes.

Oracles: matrix products in NumPy, in float64; for the training step autograd, in float64 (see `gradients`).
The autoencoder is judged with weights that the judge knows (see `layers`).
"""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.judges import gradients, layers
from course_utils.checks.judges.core import (
    Exercise,
    Finding,
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
    HOLES_OFFERED,
    Pair,
    autoencoder_batches,
    autoencoders,
    hole_calls,
    small_autoencoder,
)
from course_utils.checks.probes.witness import Witness

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


def _losses(model: Witness, x: Tensor, _: Tensor) -> gradients.Parts:
    """The right loss under '' and likely wrong ones under their hints."""
    logits = model(x)
    x_hat = logits.sigmoid()
    losses = {
        "": F.mse_loss(x_hat, x),
        "This is the root of the mean squared error.": F.mse_loss(x_hat, x).sqrt(),
        "The model returns logits: compare their sigmoid with the images.": F.mse_loss(logits, x),
        "This is the tanh of the logits; their sigmoid lies in [0, 1], as the images do.": (
            F.mse_loss(logits.tanh(), x)
        ),
        "The sigmoid is taken twice.": F.mse_loss(x_hat.sigmoid(), x),
        "This is the cross-entropy; the mean squared error is asked for.": (
            F.binary_cross_entropy_with_logits(logits, x)
        ),
        "This is the absolute error; square it.": F.l1_loss(x_hat, x),
        "The images are rounded before they are compared: keep their greys.": F.mse_loss(x_hat, x.round()),
        "Rows and columns of the images are swapped before they are compared.": F.mse_loss(x_hat, x.mT),
        "Only the first image is compared: take the mean over all of them.": F.mse_loss(x_hat[:1], x[:1]),
        "Only the last image is compared: take the mean over all of them.": F.mse_loss(x_hat[-1:], x[-1:]),
    }
    return {hint: {"squared error" if not hint else "loss": loss} for hint, loss in losses.items()}


def judge_train_step(seed: int, evidence: Evidence) -> list[Finding]:
    walk = gradients.Walk(
        evidence, lambda: small_autoencoder(seed), *autoencoder_batches(seed), _losses
    ).judged()
    return [
        unless(
            "the weights take one step of the optimizer, down the gradient of the squared error", 3, walk.step
        ),
        unless("each step starts from cleared gradients, whatever the size of the batch", 1, walk.later),
        unless("it returns the mean squared error before the step, as a plain number", 0.75, walk.value),
        walk.unmoved(is_fact(evidence, "mode", seed, "the model stays in training mode", 0.25, "")),
    ]


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
    Exercise("1.1", "MyAutoencoder", 3, judge_my_autoencoder, ("models.Autoencoder",)),
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

"""Section 1: the autoencoder, one training step, the share of holes.

Oracles: matrix products in NumPy, in float64; for the training step autograd, in float64 (see `gradients`).
The autoencoder is judged with weights that the judge knows (see `layers`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.judges import gradients, layers
from course_utils.checks.judges.core import COUNTS, Exercise, Finding, close, is_fact, problem_with, unless
from course_utils.checks.judges.diagnoser import CALLS, Seen, told
from course_utils.checks.judges.layers import sigmoid, so_far
from course_utils.checks.judges.looks import Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes import section_1 as probes
from course_utils.checks.probes.evidence import AGAIN, CHANGED, STEADY, Evidence, as_array
from course_utils.checks.probes.layers import DROPOUT, SINGLE
from course_utils.checks.probes.witness import Witness

# --- 1.1 MyAutoencoder ------------------------------------------------------------------------------


def judge_my_autoencoder(seed: int, evidence: Evidence) -> list[Finding]:
    """Without a ReLU between them, linear layers collapse into a single one, which can do little more
    than a principal component analysis. At the end a ReLU would forbid negative codes and logits."""
    cases = probes.autoencoders(seed)
    asked = {
        "code": ("the code", [256, 128, *cases["main"].sizes]),
        "logits": ("the logits", [128, 256, 784]),
    }
    found = layers.Networks(seed, evidence, cases, asked)
    encode, decode = map(found.whole, asked)
    forward = _forward_hint(evidence, found, "main")
    forward = forward or f"{COUNTS} encode or decode holds." * bool(encode and decode)
    unseen = found.unseen + ["forward"] * bool(forward)
    single = "" if forward else _forward_hint(evidence, found, SINGLE)
    flows = forward or is_fact(evidence, "gradients forward", seed, "", 0, "").holds
    cut_off = "" if flows else f"forward: {layers.CUT_OFF}"
    return [
        unless("encode gives the code: ReLU after each hidden layer, nothing at the end", 1.25, encode),
        unless("decode gives logits (N, 1, 28, 28), ReLU inside and nothing at the end", 1.25, decode),
        unless("forward decodes the code of the image", 0.5, forward),
        found.sizes("the layers are 784-256-128-latent_dim and back"),
        so_far("one image and a code of one number work too", 0.5, found.batches() or single, unseen),
        so_far("gradients reach all weights in use", 0.5, found.gradients() or cut_off, unseen),
    ]


def _forward_hint(evidence: Evidence, found: layers.Networks, case: str) -> str:
    """'' where forward gives what the answer's own decode makes of what its own encode gives."""
    key, both = f"forward {case}", f"both {case}"
    if problem := problem_with(evidence, key) or problem_with(evidence, both):
        return layers.with_question(problem, 5 if case == "main" else 1)
    right, code = torch.as_tensor(evidence[both]), evidence[f"code {case}"]
    if evidence[key].shape != right.shape and right.numel() % 784 == 0:
        right = right.reshape(-1, 1, 28, 28)  # flat images are decode's mistake
    values: dict[str, Any] = {"": right, "forward returns the code: decode it as well.": code}
    for end in filter(None, layers.ENDS):
        values[f"There is {end} on what forward gives: logits are asked for."] = layers.ENDS[end](right)
    way = found.ways["logits"]
    if case == "main" and way:
        given = found.given("logits")._replace(rows=torch.as_tensor(code).double().flatten(1))
        for start in layers.STARTS:
            values[f"In forward, on the way into decode: {start}"] = replace(way, start=start).value(given)
    for hint, value in values.items():
        if close(evidence[key], value, 1e-3):
            return hint
    complaint = problem_with(evidence, STEADY)
    unsteady = complaint in (AGAIN, CHANGED, DROPOUT)
    return complaint if unsteady else told([Seen(evidence[key], as_array(right))], 1e-3)


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
        "The mean is squared: square each difference, then take the mean.": (x_hat - x).mean().square(),
        "The square is missing: errors of both signs cancel.": (x_hat - x).mean(),
        "The square is missing, so errors of both signs cancel.": (x - x_hat).mean(),
        "The sigmoid is taken twice.": F.mse_loss(x_hat.sigmoid(), x),
        "The images go through a sigmoid, too: compare with them as they are.": F.mse_loss(
            x_hat, x.sigmoid()
        ),
        "The sigmoid is taken of the images, not of the logits: it is the other way round.": F.mse_loss(
            logits, x.sigmoid()
        ),
        "This is the cross-entropy; the mean squared error is asked for.": (
            F.binary_cross_entropy_with_logits(logits, x)
        ),
        "This is the absolute error; square it.": F.l1_loss(x_hat, x),
        "The images are rounded before they are compared: keep their greys.": F.mse_loss(x_hat, x.round()),
        "Rows and columns of the images are swapped before they are compared.": F.mse_loss(x_hat, x.mT),
        "Only the first image is compared: take the mean over all of them.": F.mse_loss(x_hat[:1], x[:1]),
    }
    return {hint: partial(dict, {"loss" if hint else "squared error": loss}) for hint, loss in losses.items()}


def judge_train_step(seed: int, evidence: Evidence) -> list[Finding]:
    """Where the gradients are cleared is free, if only each step sees those of its own batch alone. That
    `backward` adds has its use: several small batches before one step make a large one."""
    batches, rate = probes.autoencoder_batches(seed)
    walk = gradients.Walk(evidence, lambda: probes.small_autoencoder(seed), batches, rate, _losses).judged()
    clipped = {
        key.removeprefix("steep "): value for key, value in evidence.items() if key.startswith("steep ")
    }
    steep = gradients.Walk(
        clipped, lambda: probes.small_autoencoder(seed, probes.STEEP), batches[:1], rate, _losses
    )
    claim = "the weights take one step of the optimizer, down the gradient of the squared error"
    return [
        unless(claim, 3, walk.step or steep.judged().step),
        unless("each step starts from cleared gradients, whatever the size of the batch", 1, walk.later),
        unless("it returns the mean squared error before the step, as a plain number", 0.75, walk.value),
        walk.unmoved(is_fact(evidence, "mode", seed, "the model stays in training mode", 0.25, "")),
    ]


# --- 1.3 hole_share ---------------------------------------------------------------------------------


def judge_hole_share(seed: int, evidence: Evidence) -> list[Finding]:
    """What an encoder has never met it cannot name, so the round trip lands elsewhere. Dividing by the
    image's own energy lets bright and dark images be judged alike; it would bite where an image is black."""

    def sizes(*calls: tuple[probes.Pair, Tensor, float]) -> dict[str, int]:
        return {"codes": len(calls[0][1]), CALLS: len(calls)}

    return Table.of(probes.hole_looks, seed, _shares, sizes, 1e-6).judge(
        evidence,
        Property("it is the share of codes that lose more than the threshold of their image", 3, ["shares"]),
        Property("it works for one code, and for a code of one number", 1, ["single"]),
        Property("who loses exactly the threshold is no hole", 1, ["ties"]),
    )


def _shares(*calls: tuple[probes.Pair, Tensor, float]) -> dict[str, np.ndarray]:
    """The share of each call under '', and what likely mistakes would give under their hints."""
    each = [_share(*call) for call in calls]
    return {hint: np.stack([shares[hint] for shares in each]) for hint in each[0]}


def _share(pair: probes.Pair, z: Tensor, threshold: float) -> dict[str, Any]:
    errors = _errors(pair, z.double().numpy())
    right = errors[""]
    beyond, reached = right > threshold, right >= threshold
    shares = {hint: (error > threshold).mean() for hint, error in errors.items()} | {
        "A code that loses exactly the threshold is no hole: more than that is asked for.": reached.mean(),
        "The threshold is always 0.1: use the one handed in.": (right > 0.1).mean(),
        "This is the share of codes that are no holes.": 1 - beyond.mean(),
        "This is the share of codes that lose less than the threshold.": 1 - reached.mean(),
        "This is the number of holes: divide by the number of codes.": beyond.sum(),
        "This is a percentage: return a share between 0 and 1.": 100 * beyond.mean(),
        "One truth value per code: return their mean.": beyond,
        "This is the mean loss: count the codes beyond the threshold instead.": right.mean(),
        "The losses beyond the threshold are averaged: count them.": np.where(beyond, right, 0).mean(),
    }
    for size in (2, 3, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64):
        parts = [beyond[i : i + size].mean() for i in range(0, len(beyond), size)]
        hint = f"It is the mean of shares of {size} codes each, but fewer are left for the last: count once."
        shares[hint] = np.mean(parts)
    for size in (4, 100, 1000, 2000):
        shares[f"The number of codes is taken to be {size}: it may be any."] = beyond.sum() / size
    return shares


def _errors(pair: probes.Pair, codes: np.ndarray) -> dict[str, np.ndarray]:
    """What each code loses on the round trip: right under '', and likely wrong ones under their hints."""
    x = pair.image(codes)
    code = pair.code(x)
    again = pair.image(code)
    dim, dark = sigmoid(x), (x > 0.5).astype(float)
    dim_again, dark_again = sigmoid(pair.image(pair.code(dim))), pair.image(pair.code(dark))
    rows, rows_again = x.reshape(-1, *pair.sides), again.reshape(-1, *pair.sides)
    lost, energy, each = ((again - x) ** 2).sum(1), (x**2).sum(1), np.ones(len(x))

    def relative(a: np.ndarray, b: np.ndarray, power: int = 2, axis: int = 1) -> np.ndarray:
        return (np.abs(a - b) ** power).sum(axis) / (np.abs(b) ** power).sum(axis)

    along_rows = relative(rows_again, rows, axis=2)
    squeezed = {
        "With one code there is one verdict for each row of pixels: is its axis squeezed away?": along_rows
    }
    return {
        "": relative(again, x),
        "The error is divided by the number of pixels: divide it by the image's energy |x|^2.": (
            lost / len(x[0])
        ),
        "The error is a mean over pixels and the energy a sum: take two sums.": lost / energy / len(x[0]),
        "Each pixel's error is divided by that pixel: divide the sums over the image.": (
            (((again - x) / x) ** 2).mean(1)
        ),
        "This compares energies: the error is the energy of the difference.": (
            np.abs((again**2).sum(1) - energy) / energy
        ),
        "The error is not divided by anything: divide it by the image's energy |x|^2.": lost,
        "This compares norms: the error and the energy are both squared.": np.sqrt(lost / energy),
        "This takes absolute values: the error and the energy are sums of squares.": relative(again, x, 1),
        "This compares codes: decode again and compare images.": relative(code, codes),
        "Nothing is lost: is an image compared with itself? Encode it and decode once more.": 0 * each,
        "There are two round trips: one is asked for.": relative(pair.image(pair.code(again)), x),
        "The energy is a variance: take the sum of squares, |x|^2.": lost / len(x[0]) / x.var(1, ddof=1),
        "The energy is taken about the image's mean: take the sum of squares, |x|^2.": (
            lost / ((x - x.mean(1, keepdims=True)) ** 2).sum(1)
        ),
        "Every code loses 1: is the error divided by itself, is x changed in place before that?": lost / lost,
        "`decode` gives images already: no sigmoid on top of it.": relative(dim_again, dim),
        "The first images are rounded to black and white: they are grey.": relative(dark_again, dark),
        "The energy is missing its square: divide by |x|^2.": lost / np.sqrt(energy),
        "The energy is that of the second image: divide by that of the first.": lost / (again**2).sum(1),
        "The energy is kept above 1, which spares faint images: divide by the energy itself.": (
            lost / np.maximum(energy, 1)
        ),
        "1 is added to the energy: divide by the energy itself.": lost / (energy + 1),
        "The energy is that of the whole batch: divide each code's error by its own.": lost / energy.sum(),
        "The energy is an average over the batch: divide each code's error by its own.": lost / energy.mean(),
        "All codes get one verdict together: compare each code's own error.": (
            lost.sum() / energy.sum() * each
        ),
        "The errors are averaged first: compare each code's own error.": (lost / energy).mean() * each,
        **(squeezed if len(x) == 1 else {}),
        "The sums run along the rows of an image only: they run over all of it.": along_rows,
        "The sums run along the columns of an image only: they run over all of it.": (
            relative(rows_again, rows, axis=1)
        ),
        "There is a verdict for every pixel: sum over an image's pixels first.": ((again - x) / x) ** 2,
        "The sums run over the batch: they run over the pixels of each image.": relative(again, x, axis=0),
    }


EXERCISES = (
    Exercise("1.1", "MyAutoencoder", 3, judge_my_autoencoder, ("models.Autoencoder",)),
    Exercise(
        "1.2", "train_step", 3, judge_train_step, ("training.fit", "engine.fast.fit", "engine.cache.fit")
    ),
    Exercise("1.3", "hole_share", 3, judge_hole_share, ("evaluation.hole_share",)),
    prediction(
        "1.4",
        "predict_holes",
        probes.HOLES_OFFERED,
        "The images crowd a plane, so the encoder has met most of what its decoder can draw. In 32 "
        "dimensions they leave nearly all of the space empty, and a guess seldom meets them.",
        "A guess misses less where its scale is that of the codes. If these spread by 2 or 3 units "
        "in every dimension, hardly any of them is near the origin: a small code is no safe code.",
        "The fitted Gaussian knows where the codes lie, how far they spread and which of their "
        "coordinates go together; the two guesses know none of it.",
    ),
)

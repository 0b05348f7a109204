"""Section 7: the conditional VAE, counting active units, collecting means, the confusion matrix; predictions
of what a label and what the size of a code do.

Oracles: matrix products in NumPy for the CVAE, whose weights the judge knows (see `layers`), and loops over
plain numbers for the rest. The decoder and the encoder that an answer is given are tiny and known exactly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.judges import layers
from course_utils.checks.judges.core import (
    Exercise,
    Finding,
    close,
    diagnosis,
    expect,
    unless,
)
from course_utils.checks.judges.layers import sigmoid
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import Evidence
from course_utils.checks.probes.section_7 import (
    BATCH,
    DIMENSIONS,
    DIMENSIONS_OFFERED,
    IN_TRAINING,
    LABEL_OFFERED,
    TOO_MANY,
    cvaes,
    drawn_classes,
    drawn_decoder,
    drawn_images,
    drawn_models,
    drawn_request,
    lone_image,
    strict_threshold,
)

# --- 7.1 MyCVAE -------------------------------------------------------------------------------------


def judge_my_cvae(seed: int, evidence: Evidence) -> list[Finding]:
    claims = {
        "trunk": "pixels and one-hot label go through hidden layers, a ReLU after each, to both heads",
        "decode": "z and one-hot label become logits (N, 1, 28, 28), ReLU inside and nothing at the end",
        "sizes": "the hidden layers have 512 and 256 units, then 256 and 512",
        "batches": "any batch works: without some class, of one image, with other sizes",
    }
    return layers.judge_vae(seed, evidence, cvaes(seed), claims)


# --- 7.2 request_digits -----------------------------------------------------------------------------


def judge_request_digits(seed: int, evidence: Evidence) -> list[Finding]:
    labels, z = drawn_request(seed)

    def logits(labels: Tensor) -> np.ndarray:
        return np.concatenate(
            [drawn_decoder(code.expand(len(labels), -1), labels).double().numpy() for code in z]
        )

    images = sigmoid(logits(labels))
    by_row = images.reshape(2, 3, 1, 28, 28)
    unordered = {
        "": images,
        "Rows and columns are swapped: all labels of the first z come first.": images[[0, 3, 1, 4, 2, 5]],
        "Every row shows the first z.": images[[0, 1, 2, 0, 1, 2]],
        "z changes within a row: keep it for all the labels.": images[[0, 4, 2, 3, 1, 5]],
        "Ten labels are written in: use those that are given.": sigmoid(logits(torch.arange(10))),
        "There is an axis too many: return all images in one row, (R * C, 1, 28, 28).": by_row,
    }
    no_images = {
        "The decoder ends in logits: the image is their sigmoid.": logits(labels),
        "The sigmoid is taken twice.": sigmoid(images),
        "The pixels are rounded to black and white: keep the greys.": images.round(),
    }
    grid = expect(evidence, "grid", images, "one row per z, one column per label", 1, unordered | no_images)
    if grid.hint.startswith("Largest difference") and np.isin(evidence["grid"], (0, 1)).all():
        grid = replace(grid, hint="The pixels are black or white: return the mean image, no sample.")
    elif grid.hint.startswith("Largest difference") and _other_codes(evidence["grid"], z):
        grid = replace(grid, hint="The codes are not those handed in: decode each z as it is.")
    placed = grid.holds or grid.hint in no_images
    pixels = grid.holds or grid.hint in unordered
    first = {hint: value[:1] for hint, value in no_images.items()}
    return [
        unless(grid.claim, 1, "" if placed else grid.hint),
        unless("they are images in [0, 1]", 0.5, "" if pixels else grid.hint),
        expect(evidence, "one", images[:1], "it works for one z and one label", 0.5, first),
    ]


def _other_codes(images: np.ndarray, z: Tensor) -> bool:
    """Are there images of a code that was not given? The codes are read back from the images' logits."""
    p = images.reshape(len(images), -1).clip(1e-6, 1 - 1e-6)
    basis = (
        drawn_decoder(torch.tensor([[1.0, 0], [0, 1], [0, 0]]), torch.tensor([0, 0, 1])).flatten(1).numpy()
    )
    codes = np.linalg.lstsq(basis.T, np.log(p / (1 - p)).T, rcond=None)[0][:2].T
    distances = np.abs(codes[:, None] - z.numpy()).max(2).min(1)
    return bool(distances.max() > 0.01)


# --- 7.4 count_active -------------------------------------------------------------------------------


def judge_count_active(seed: int, evidence: Evidence) -> list[Finding]:
    mu = np.stack([model.double().numpy() for model in drawn_models(seed)])
    std, square, distance = mu.std(1), (mu**2).mean(1), np.abs(mu).mean(1)  # each (6, 40)

    def counts(threshold: float) -> tuple[np.ndarray, dict[str, Any]]:
        right = (mu.var(1) > threshold).sum(1)
        return right, {
            "The standard deviation is compared with the threshold: take the variance.": (
                (std > threshold).sum(1)
            ),
            "A constant far from 0 is counted: subtract the mean over images.": (square > threshold).sum(1),
            "The distance from 0 is compared: take the variance over images.": (distance > threshold).sum(1),
            "This counts the dimensions that are switched off.": DIMENSIONS - right,
            "This is a share: return the number of dimensions.": right / DIMENSIONS,
            "This counts images: take the variance over images, dim 0.": (mu.var(2) > threshold).sum(1),
            "There is one variance over everything: take one per dimension, dim 0.": (
                mu.var((1, 2)) > threshold
            ),
        }

    count, mistakes = counts(0.01)
    strict, others = counts(strict_threshold(seed))
    fixed = {"The threshold is fixed at 0.01: use the one that is given.": count}
    single = [model.double().numpy().var() > 0.01 for model in lone_image(seed)]
    claim = "it uses the given threshold and leaves the means as they are"
    used = expect(evidence, "strict", strict, claim, 0.5, fixed | others)
    return [
        expect(evidence, "count", count, "it counts the means that vary over images", 2, mistakes),
        used,
        expect(evidence, "single", single, "it works for one dimension", 0.5),
    ]


# --- 7.6 posterior_means ----------------------------------------------------------------------------


def judge_posterior_means(seed: int, evidence: Evidence) -> list[Finding]:
    mu = 4 * drawn_images(seed)[:, 0, 0, :3].double().numpy()
    averaged = [mu[i : i + BATCH].mean(0) for i in range(0, 97, BATCH)]
    mistakes = {
        "The last, smaller batch is missing.": mu[: 97 - 97 % BATCH],
        "Only the first batch is there: collect every batch before you return.": mu[:BATCH],
        "Only the last batch is there: collect every batch, then join them.": mu[97 - 97 % BATCH :],
        "These are log-variances: encode returns mu first.": mu - 5,
        "More than batch_size images are encoded at once.": mu + TOO_MANY,
        "Averaged over each batch: keep one row per image.": averaged,
    }
    actual = evidence.get("all", np.zeros(0))
    if actual.shape == mu.shape:
        # A sample's 291 noises have standard deviation 1 up to 7 standard errors.
        if 0.7 < np.std((actual - mu) / np.exp((mu - 5) / 2)) < 1.3:
            mistakes["These look like samples z: return the mean itself."] = actual
        if close(np.sort(actual, 0), np.sort(mu, 0), 1e-4):
            mistakes["All means are there, but in another order than the images."] = actual
    kept = {
        "The means still carry a gradient: encode without recording one.": mu + 1,
        "Gradients stay switched off after the call: leave the model as it is and use a context manager.": (
            mu + 2
        ),
    }
    on = {"The model encodes in training mode: switch to evaluation mode first.": mu + IN_TRAINING}
    after = {
        "The model is left in evaluation mode: put back the mode it came in.": [mu, mu],
        "The model always ends in training mode: put back the mode it came in.": 2 * [mu + IN_TRAINING],
        "The mode is turned round: put back the mode it came in.": [mu, mu + IN_TRAINING],
    }
    restored = [mu + IN_TRAINING, mu]
    return [
        expect(evidence, "all", mu, "97 images in batches of 20: every mean, in order", 1, mistakes),
        expect(evidence, "one", mu[:1], "it works for one image and a larger batch size", 0.5),
        expect(evidence, "gradient", mu, "no gradient is kept", 0.5, kept),
        expect(evidence, "training", mu, "it encodes in evaluation mode", 0.5, on),
        expect(evidence, "modes", restored, "afterwards the model's mode is what it was", 0.5, after),
    ]


# --- 7.7 confusion ----------------------------------------------------------------------------------


def judge_confusion(seed: int, evidence: Evidence) -> list[Finding]:
    labels = drawn_classes(seed)
    pairs = list(zip(*(group.tolist() for group in labels), strict=True))
    counts = np.array([[pairs.count((row, column)) for column in range(5)] for row in range(5)])

    def formulas(matrix: np.ndarray) -> dict[str, Any]:
        right = matrix.diagonal()
        diagonal = np.diag(right)
        return {
            "": matrix,
            "Rows and columns are swapped: rows are the true classes.": matrix.T,
            "Each pair counts once: an indexed += adds 1 however often an index repeats.": matrix > 0,
            "These are shares of each row: return counts.": matrix / matrix.sum(1, keepdims=True).clip(1),
            "These are shares of each column: return counts.": matrix / matrix.sum(0).clip(1),
            "These are shares of all images: return counts.": matrix / 97,
            "Only right predictions are counted: count the wrong ones too.": diagonal,
            "Right predictions are left out: they belong on the diagonal.": matrix - diagonal,
            "These are the counts in one row: give them a row per true class.": matrix.ravel(),
            "These are the right predictions of each class: the wrong ones belong beside them.": right,
        }

    right = formulas(counts[:4, :4])
    seen = diagnosis(evidence, "counts", right) or ""
    small = "The matrix is as large as the classes that occur: give it num_classes rows and columns."
    claim = "a class that never occurs has its row and column, and the labels stay as they are"
    absent = expect(evidence, "absent", formulas(counts)[seen], claim, 0.5, {small: right[seen]})
    claim = "rows are true classes, columns predicted ones"
    return [expect(evidence, "counts", right.pop(""), claim, 1.5, right), absent]


# --- predictions ------------------------------------------------------------------------------------


_LABEL = prediction(
    "7.9",
    "predict_label",
    LABEL_OFFERED,
    (
        "Of one model, a label among ten can save log 10 = 2.30 nats on average at most. Two "
        "trained networks are two models: a label also spares the work of finding the classes, "
        "and may save more by that, or less.",
        "The KL term charges for every nat in z, and the decoder has been told the class: to "
        "say it again is not worth its price. Nothing forbids it either, and what style and "
        "class share stays.",
        "A sample is the mean plus noise that knows nothing of the label: a trace that can be "
        "read from the mean drowns in it.",
    ),
)

_DIMENSIONS = prediction(
    "7.10",
    "predict_dimensions",
    DIMENSIONS_OFFERED,
    (
        "Two numbers cannot hold a digit. From 10 dimensions on, what limits the error is "
        "the price of a nat and the length of the training, not the room: the larger a "
        "model, the later it gets there.",
        "A nat of KL has to save a nat of reconstruction. What pays is in the images, and "
        "ten times the room does not put more there.",
        "A dimension that does not pay is pushed to the prior, and its mean stops moving. "
        "The pull is as weak as what it saves: after few steps many a mean still trembles "
        "by more than the threshold.",
        "At its optimum more room cannot hurt, since dimensions can be switched off. Until "
        "they are, their noise disturbs the decoder, and the larger model is behind.",
    ),
)


EXERCISES = (
    Exercise(
        "7.1",
        "MyCVAE",
        3,
        judge_my_cvae,
        ("models.CVAE",),
        why="Joining a one-hot label to the input of a linear layer adds one learned vector for each class "
        "to its output. As the decoder is told the class, z is free to hold what else differs: style.",
    ),
    Exercise("7.2", "request_digits", 2, judge_request_digits),
    Exercise("7.4", "count_active", 3, judge_count_active, ("evaluation.active_units",)),
    Exercise("7.6", "posterior_means", 3, judge_posterior_means, ("evaluation.codes",)),
    Exercise("7.7", "confusion", 2, judge_confusion),
    _LABEL,
    _DIMENSIONS,
)

"""Section 7: the conditional VAE, counting active units, collecting means, the confusion matrix; predictions
of what a label and what the size of a code do.

Oracles: matrix products in NumPy for the CVAE, whose weights the judge knows (see `layers`), and loops over
plain numbers for the rest. The decoder and the encoder that an answer is given are tiny and known exactly.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

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
from course_utils.checks.judges.layers import Map, sigmoid
from course_utils.checks.judges.looks import Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import Evidence
from course_utils.checks.probes.section_7 import (
    CASES,
    DIMENSIONS,
    DIMENSIONS_OFFERED,
    LABEL_OFFERED,
    drawn_classes,
    drawn_decoder,
    drawn_models,
    drawn_request,
    labelled,
    lone_image,
    means_looks,
    shifts,
    strict_threshold,
)
from course_utils.checks.probes.witness import Witness

# --- 7.1 MyCVAE -------------------------------------------------------------------------------------


Formula = tuple[str, np.ndarray]  # the hint, '' for what is right, and what comes out


class _Oracle:
    """What a CVAE with the known weights answers to one case: every right way, and likely wrong ones.

    The lists of two cases go in step, so that an answer's formula for one can be held against the other.
    """

    def __init__(self, seed: int, case: str) -> None:
        self.seed, (self.latent_dim, self.classes, _) = seed, CASES[case]
        x, z, y = labelled(seed, case)
        self.x, self.z, self.y = x.flatten(1).double().numpy(), z.double().numpy(), y.numpy()
        self.shifts = shifts(seed, self.latent_dim)

    def linear(self, x: np.ndarray, size: int) -> np.ndarray:
        return layers.affine(x, self.seed, size)

    def joined(self, first: np.ndarray, size: int) -> Iterator[Formula]:
        """The first layer's output: label behind or before `first`, or through a layer of its own."""
        label, number = np.eye(self.classes)[self.y], self.y[:, None].astype(float)
        apart = self.linear(first, size) + label @ layers.weights(self.seed, size, self.classes).T
        yield "", self.linear(np.hstack([first, label]), size)
        yield "", self.linear(np.hstack([label, first]), size)
        yield "", apart
        yield "", apart + layers.bias(self.seed, size)
        single = "The label joins as a single number, but classes have no order: use one-hot."
        yield single, self.linear(np.hstack([first, number]), size)
        yield single, self.linear(np.hstack([number, first]), size)
        first_label = np.repeat(label[:1], len(label), 0)
        for hint, wrong in {
            "There is room for 10 labels, whatever num_classes is.": np.eye(10)[self.y],
            "Every row gets the label of one image: join along dim 1, row by row.": first_label,
            "The label goes through a layer before it joins: join it one-hot.": (
                label @ layers.weights(self.seed, self.classes, self.classes).T
            ),
        }.items():
            yield hint, self.linear(np.hstack([first, wrong]), size)
        yield "The label is not used: encoder and decoder both need it.", self.linear(first, size)

    def hidden(self, first: np.ndarray, sizes: tuple[int, int]) -> Iterator[Formula]:
        """Both hidden layers; a mistake in one place at most."""
        missing = "A ReLU is missing: put one after each hidden layer."
        activations = layers.activations(missing, missing, missing)
        for hint, before in self.joined(first, sizes[0]):
            for other, inside, outside in activations if not hint else activations[:1]:
                yield hint or other, outside(self.linear(inside(before), sizes[1]))

    def encoded(self) -> Iterator[Formula]:
        """mu and logvar (2, N, latent_dim) from two heads, or from one of twice the size cut in two."""
        for hint, hidden in self.hidden(self.x, (512, 256)):
            mu, logvar, first, second = self.linear(hidden, self.latent_dim) + self.shifts[:, None]
            joint = self.linear(hidden, 2 * self.latent_dim)
            halves = np.split(joint, 2, axis=1)
            right = [(mu, logvar), (first, second), (second, first), halves, (joint[:, ::2], joint[:, 1::2])]
            for pair in right:
                yield hint, np.stack(pair)
            if hint:
                continue
            yield "mu and logvar have changed places: encode returns mu first.", np.stack([logvar, mu])
            for head in (mu, logvar, first, second):
                yield "mu and logvar come out of the same layer: a head each.", np.stack([head, head])
            for name, bend in _BENDS.items():
                wrong = f"There is {name} after a head: mu and logvar may be any real number."
                for one, two in right:
                    yield wrong, np.stack([one, bend(two)])
                    yield wrong, np.stack([bend(one), bend(two)])

    def decoded(self) -> Iterator[Formula]:
        """Logits (N, 1, 28, 28)."""
        for hint, hidden in self.hidden(self.z, (256, 512)):
            flat = self.linear(hidden, 784)
            image = flat.reshape(-1, 1, 28, 28)
            yield hint, image
            if hint:
                continue
            for name, bend in _BENDS.items():
                yield f"There is {name} at the end: the loss takes logits, any real numbers.", bend(image)
            yield "The numbers are right but not yet images: give them the shape (N, 1, 28, 28).", flat
            yield "The channel is missing: the shape is (N, 1, 28, 28).", image[:, 0]
            yield "Rows and columns of the image are swapped.", image.swapaxes(2, 3)


_BENDS: dict[str, Map] = layers.BENDS | {"an exp of the half": lambda x: np.exp(x / 2)}


@functools.lru_cache(maxsize=2)
def _known_formulas(seed: int) -> tuple[dict[str, list[Formula]], dict[str, list[Formula]]]:
    """What encode and decode answer to every case."""
    oracles = {case: _Oracle(seed, case) for case in CASES}
    return (
        {case: list(oracle.encoded()) for case, oracle in oracles.items()},
        {case: list(oracle.decoded()) for case, oracle in oracles.items()},
    )


def judge_my_cvae(seed: int, evidence: Evidence) -> list[Finding]:
    encoded, decoded = _known_formulas(seed)
    encoder = "the one-hot label joins the pixels, and 512 and 256 units with ReLU lead to mu and logvar"
    decoder = "the one-hot label joins z, and 256 and 512 units with ReLU lead to logits (N, 1, 28, 28)"
    return [
        *_half(evidence, "encode", encoded, encoder),
        *_half(evidence, "decode", decoded, decoder),
    ]


def _half(
    evidence: Evidence, half: str, formulas: dict[str, list[Formula]], claim: str
) -> tuple[Finding, Finding]:
    """Is the formula right, and does it hold, right or wrong, for other batches as well?"""
    problem = problem_with(evidence, f"{half} main")
    places = [] if problem else _matches(evidence[f"{half} main"], formulas["main"])
    hint = problem
    if not problem:
        hint = formulas["main"][places[0]][0] if places else _unlike(evidence, half, formulas["main"])
    if not places:
        places = [place for place, (mistake, _) in enumerate(formulas["main"]) if not mistake]
    other = problem or _other_batch(evidence, half, formulas, places)
    batches = f"{half} takes any batch, a single image or none of some class, and lets gradients through"
    return unless(claim, 1, _advised(hint)), unless(batches, 0.5, _advised(other))


def _matches(actual: np.ndarray, formulas: list[Formula]) -> list[int]:
    return [place for place, (_, value) in enumerate(formulas) if close(actual, value, 1e-4)]


def _other_batch(evidence: Evidence, half: str, formulas: dict[str, list[Formula]], places: list[int]) -> str:
    """What is wrong with the other batches, '' if each follows one of the formulas at `places`."""
    for case in ("absent", "one"):
        key, wanted = f"{half} {case}", [formulas[case][place] for place in places]
        problem = problem_with(evidence, key)
        if case == "absent" and "shapes cannot be multiplied" in problem:
            return "It fails for a batch without the last class: tell F.one_hot the number of classes."
        if problem or not _matches(evidence[key], wanted):
            return problem or expect(evidence, key, wanted[0][1], "", 0).hint
    return ""


def _advised(hint: str) -> str:
    fixed = "is invalid for input of size" in hint
    return hint + ". Is the number of images written into a shape? Let -1 stand there." * fixed


def _unlike(evidence: Evidence, half: str, formulas: list[Formula]) -> str:
    """A hint for what follows no known formula: the layers, if those are others than asked for."""
    if not problem_with(evidence, "layers"):
        wanted = [(788, 512), (512, 256), (256, 3), (256, 3), (7, 256), (256, 512), (512, 784)]
        hint = layers.other_linear(evidence, "layers", [wanted], "3 latent dimensions and 4 classes")
        if hint:
            return hint
    other = expect(evidence, f"{half} main", formulas[0][1], "", 0).hint
    return f"{other} See what stands between the layers, and how the label joins."


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
    looks = means_looks(seed)
    found = Table.of(looks, _means, lambda _, x, __: {"images": len(x)}).judge(
        evidence,
        Property("it returns the mean of every image, in order", 3, ["all"]),
        Property("one image works, alone or as the last batch", 0.25, ["few", "one", "last one"]),
    )
    model, x, _ = looks["all"]
    mu, logvar = (part.detach().numpy() for part in model.encode(x.double()))
    if not (found[0].holds or problem_with(evidence, "all")) and evidence["all"].shape == mu.shape:
        seen, hint = evidence["all"], found[0].hint
        # A sample's 198 noises have standard deviation 1 up to 6 standard errors.
        if 0.7 < np.std((seen - mu) / np.exp(logvar / 2)) < 1.3:
            hint = "These look like samples z: return the mean itself."
        if close(np.sort(seen, 0), np.sort(mu, 0), 1e-4):
            hint = "All means are there, but in another order than the images."
        found[0] = replace(found[0], hint=hint)
    facts = {
        "mode": ("it encodes in evaluation mode", 0.5),
        "restored": ("afterwards the model's mode is what it was", 0.5),
        "kept": ("no gradient is kept, and the weights stay as they were", 0.5),
        "batches": ("at most batch_size images go through at a time", 0.25),
    }
    return [*found, *(is_fact(evidence, key, seed, *fact, "") for key, fact in facts.items())]


def _means(model: Witness, x: Tensor, size: int) -> dict[str, Any]:
    """The means and what mistakes would give."""
    n = len(x)
    mu, logvar = (part.detach() for part in model.encode(x.double()))
    parts = mu.split(size)
    return {
        "": mu,
        "The last, smaller batch is missing.": mu[: n - n % size],
        "Only the first batch is there: collect every batch before you return.": parts[0],
        "Only the last batch is there: collect every batch, then join them.": parts[-1],
        "These are log-variances: encode returns mu first.": logvar,
        "These are standard deviations: return the means.": (logvar / 2).exp(),
        "Averaged over each batch: keep one row per image.": torch.stack([part.mean(0) for part in parts]),
        "The batches come in reverse order.": torch.cat(parts[::-1]),
        "mu and logvar stand beside each other: return the means alone.": torch.cat([mu, logvar], 1),
        **{
            f"The images are {hint}: encode them as they are.": model.encode(change(x.double()))[0].detach()
            for hint, change in gradients.CHANGED.items()
        },
    }


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
    Exercise("7.1", "MyCVAE", 3, judge_my_cvae, ("models.CVAE",)),
    Exercise("7.2", "request_digits", 2, judge_request_digits),
    Exercise("7.4", "count_active", 3, judge_count_active, ("evaluation.active_units",)),
    Exercise(
        "7.6",
        "posterior_means",
        3,
        judge_posterior_means,
        ("evaluation.codes",),
        why="Dropout and batch normalisation read the flag of their own module: hence `eval` goes through "
        "all of them. Put back, the mode lets a training go on as if nobody had looked.",
    ),
    Exercise("7.7", "confusion", 2, judge_confusion),
    _LABEL,
    _DIMENSIONS,
)

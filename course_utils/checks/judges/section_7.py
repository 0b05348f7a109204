"""Section 7: the conditional VAE, counting active units, collecting means, the confusion matrix, the race;
predictions of what a label, the size of a code and changes to a training loop do.

Oracles: matrix products in NumPy for the CVAE, whose weights the judge knows (see `layers`), and loops over
plain numbers for the rest. The decoder and the encoder that an answer is given are tiny and known exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils import objectives
from course_utils.checks.judges import gradients, layers
from course_utils.checks.judges.core import Exercise, Finding, close, is_fact, problem_with, unless
from course_utils.checks.judges.diagnoser import CALLS
from course_utils.checks.judges.gaussians import standard_normal
from course_utils.checks.judges.layers import sigmoid
from course_utils.checks.judges.looks import Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes import section_7 as probes
from course_utils.checks.probes.evidence import STEADY, Evidence
from course_utils.checks.probes.witness import Witness
from course_utils.engine import race

# --- 7.1 MyCVAE -------------------------------------------------------------------------------------


def judge_my_cvae(seed: int, evidence: Evidence) -> list[Finding]:
    """Joining a one-hot label to the input of a linear layer adds one learned vector for each class to
    its output. As the decoder is told the class, z is free to hold what else differs: style."""
    claims = {
        "trunk": "pixels and one-hot label go through hidden layers, a ReLU after each, to both heads",
        "decode": "z and one-hot label become logits (N, 1, 28, 28), ReLU inside and nothing at the end",
        "sizes": "the hidden layers have 512 and 256 units, then 256 and 512",
        "batches": "any batch works: without some class, of one image, with other sizes",
    }
    return layers.judge_vae(seed, evidence, probes.cvaes(seed), claims)


# --- 7.2 request_digits -----------------------------------------------------------------------------


def judge_request_digits(seed: int, evidence: Evidence) -> list[Finding]:
    """Along a row only the label changes, down a column only z. So a column shares the digit, and a row
    shares what z was left to say: the style."""

    def sizes(_: object, labels: Tensor, z: Tensor) -> dict[str, int]:
        return {"labels": len(labels), "codes": len(z)}

    return Table.of(probes.request_looks, seed, _requests, sizes).judge(
        evidence,
        Property("the images are in [0, 1], one row per z, one column per label", 3, ["grid", "square"]),
        Property("labels may come in any order, and more than once", 1, ["mixed"]),
        Property("it works for one z, and for one label", 1, ["one z", "one"]),
    )


def _requests(decode: Callable[[Tensor, Tensor], Tensor], labels: Tensor, z: Tensor) -> dict[str, Any]:
    """The images (R * C, 1, 28, 28), and what mistakes would give."""
    rows, columns = len(z), len(labels)

    def shown(codes: Tensor, labels: Tensor) -> np.ndarray:
        """The images of these pairs."""
        return sigmoid(decode(codes, labels).detach().double().numpy())

    def grid(labels: Tensor, codes: Tensor) -> np.ndarray:
        return np.concatenate([shown(code.expand(len(labels), -1), labels) for code in codes])

    images, pairs, ends = grid(labels, z), min(rows, columns), "the image is the sigmoid of the logits."
    raw, by_row = np.log(images / (1 - images)), images.reshape(rows, columns, 1, 28, 28)
    swapped, each = by_row.swapaxes(0, 1).reshape(images.shape), labels.repeat_interleave(rows)
    codes, every = z.repeat(columns, 1), labels.repeat(rows)
    return {
        "": images,
        "Rows and columns are swapped: all labels of the first z come first.": swapped,
        "Every row shows the first z.": grid(labels, z[:1].expand(rows, -1)),
        "Only the first z is decoded.": grid(labels, z[:1]),
        "Only the first label is decoded.": by_row[:, 0],
        "Every row shows the mean of all z.": grid(labels, z.mean(0, keepdim=True).expand(rows, -1)),
        "The labels are sorted first: keep their order.": grid(labels.sort().values, z),
        "The labels run backwards: keep their order.": grid(labels.flip(0), z),
        "Every column shows the first label.": grid(labels[:1].expand(columns), z),
        "Codes and labels go in pairs: every label is wanted for every z.": shown(z[:pairs], labels[:pairs]),
        "z changes within a row: keep it for all the labels.": shown(codes, every),
        "Codes and labels both repeat one by one: labels repeat as a whole.": (
            shown(z.repeat_interleave(columns, 0), each)
        ),
        "Single numbers of z are repeated, not its rows: repeat along dim 0.": (
            shown(z.repeat_interleave(columns).view(-1, z.shape[1]), every)
        ),
        "Ten labels are written in: use those that are given.": grid(torch.arange(10), z),
        "The labels are counted from 0: use those that are given.": grid(torch.arange(columns), z),
        "Each label is decoded once, in order: use the labels as they are given.": grid(labels.unique(), z),
        "There is an axis too many: return all images in one row, (R * C, 1, 28, 28).": by_row,
        "The decoder ends in logits: the image is their sigmoid.": raw,
        "The sigmoid is taken twice.": sigmoid(images),
        "The pixels are rounded to black and white: keep the greys.": images.round(),
        "The pixels are whole numbers from 0 to 255: leave them in [0, 1].": np.floor(255 * images),
        f"The logits are clamped to [0, 1]: {ends}": raw.clip(0, 1),
        **{
            f"The {pixels}{of} are scaled by their extremes: {ends}": (
                (values - values.min(axes, keepdims=True)) / np.ptp(values, axes, keepdims=True)
            )
            for pixels, values in {"logits": raw, "pixels": images}.items()
            for of, axes in {"": None, " of each image": (1, 2, 3)}.items()
        },
        f"This is a tanh: {ends}": np.tanh(raw),
        f"This is (tanh + 1) / 2, the sigmoid of twice the logits: {ends}": sigmoid(2 * raw),
        f"This is a softmax over pixels: {ends}": (np.exp(raw) / np.exp(raw).sum((1, 2, 3), keepdims=True)),
        **{
            f"The codes have been multiplied by {scale}: decode each z as it is.": grid(labels, scale * z)
            for scale in (2, 3, 0.5)
        },
    }


# --- 7.4 count_active -------------------------------------------------------------------------------


def judge_count_active(seed: int, evidence: Evidence) -> list[Finding]:
    """Only what differs between images can tell the decoder which one is meant. The variance says nothing
    of the noise, though: where sigma stays near 1, a mean that just passes says little."""

    def sizes(mu: Tensor, _: float) -> dict[str, int]:
        return {"images": mu.shape[1], CALLS: len(mu)}

    return Table.of(probes.count_looks, seed, _counts, sizes).judge(
        evidence,
        Property("it counts the means that vary over images", 3, ["count"]),
        Property("it uses the given threshold, and counts only what lies above", 1, ["strict", "tie"]),
        Property(
            "all images count, also far from 0, and a single dimension does",
            1,
            ["late", "far", "one", "skewed"],
        ),
    )


def _counts(means: Tensor, threshold: float) -> dict[str, Any]:
    """Of means (models, N, d) the counts (models,), and what mistakes would give."""
    mu, n, d = means.double().numpy(), means.shape[1], means.shape[2]
    centre, across = mu.mean(1, keepdims=True), mu.mean(2, keepdims=True)
    var, short = mu.var(1), (means.square().mean(1) - means.mean(1).square()).double().numpy()

    apart = np.median(np.abs(mu - np.median(mu, 1, keepdims=True)), 1)

    def above(values: np.ndarray, threshold: float = threshold) -> np.ndarray:
        return (values > threshold).sum(-1)

    centres = {  # from which squares are taken, in place of the mean over images
        "A constant far from 0 is counted: subtract the mean over images.": 0,
        "The distance from the first image is compared: take that from the mean.": mu[:, :1],
        "The median is subtracted: subtract the mean.": np.median(mu, 1, keepdims=True),
        "One mean over everything is subtracted: each dimension has its own.": mu.mean((1, 2), keepdims=True),
        "The mean over dimensions is subtracted: take that over images.": across,
    }
    others = {  # whose variance is taken, in place of that of the means
        "The variance is that of absolute values: take it of the means as they are.": np.abs(mu),
        "Each image is centred over its dimensions first: only the mean over images goes.": mu - across,
        "The differences between one image and the next vary: take the means themselves.": np.diff(
            mu, axis=1
        ),
    }
    compared = {  # in place of the variance over images
        **{hint: ((mu - point) ** 2).mean(1) for hint, point in centres.items()},
        **{hint: other.var(1, ddof=1) for hint, other in others.items()},
        "The standard deviation is compared with the threshold, or the variance with its square.": mu.std(1),
        "Squares are summed over images: the variance is their mean.": n * var,
        "Squares are divided by the number of dimensions: divide by that of images.": n * var / d,
        "The range from the smallest to the largest is compared: take the variance.": np.ptp(mu, 1),
        "The distance between the quartiles is compared: take the variance.": np.subtract(
            *np.quantile(mu, (0.75, 0.25), axis=1)
        ),
        "The mean distance from the mean is compared: take the variance.": np.abs(mu - centre).mean(1),
        "The distance from 0 is compared: take the variance over images.": np.abs(mu).mean(1),
        "The variance is that of squares: take the variance of the means themselves.": (mu**2).var(1),
        "The size of the mean is compared: take the variance over images.": np.abs(mu.mean(1)),
        "The square of the variance is compared with the threshold, or the variance with its root.": (
            mu.var(1, ddof=1) ** 2
        ),
        "The square of the mean is compared: take the variance over images.": mu.mean(1) ** 2,
        "One image far from the mean suffices: take the mean of all squares.": ((mu - centre) ** 2).max(1),
        "The mean is compared: take the variance over images.": mu.mean(1),
        "The largest distance from 0 is compared: take the variance over images.": np.abs(mu).max(1),
        "E[x^2] - E[x]^2 loses its digits far from 0: subtract the mean first.": short,
        "This counts images: take the variance over images, dim 0.": mu.var(2, ddof=1),
        "It counts one at most: is there one variance over everything? Take one per dimension.": (
            mu.var((1, 2))[:, None]
        ),
        "Each dimension is scaled to variance 1 first: take the variance as it is.": 1.0 * (var > 0),
        "The squared median distance from the median is compared: take the variance.": 1.4826**2 * apart**2,
        "The median distance from the median is compared: take the variance.": apart,
        "The mean step from one image to the next is compared: take the variance over images.": (
            np.abs(np.diff(mu, axis=1)).mean(1)
        ),
        "Only the first 100 images are looked at.": mu[:, :100].var(1),
        "Only the first 20 dimensions are looked at.": var[:, :20],
        "The first dimension is left out.": var[:, 1:],
        "The last dimension is left out.": var[:, :-1],
        "The variance is divided by the number of images, as that of a mean is: take it as it is.": (
            mu.var(1, ddof=1) / n
        ),
    }
    right = above(var)
    return {
        "": right,
        "The threshold is fixed at 0.01: use the one that is given.": above(var, 0.01),
        "What lies just at the threshold is counted: active is what lies above.": (var >= threshold).sum(1),
        "The threshold is taken as a share of the largest variance: use it as it is.": (
            above(var / var.max(1, keepdims=True))
        ),
        "Single numbers are counted: count dimensions, by their mean square.": (
            torch.stack([((one - one.mean(0)).square() > threshold).sum() for one in means])  # in float32
        ),
        "This counts the dimensions that are switched off.": d - right,
        "This counts the dimensions below the threshold.": (var < threshold).sum(1),
        "This is a share: return the number of dimensions.": right / d,
        "This is the place of the last one that is active: count them.": (
            (var > threshold) * (np.arange(d) + 1)
        ).max(1),
        "Counting ends at the first that is not active: those after it count as well.": (
            np.cumprod(var > threshold, axis=1).sum(1)
        ),
        "It counts one at most: each dimension that is active counts for itself.": 1.0 * (right > 0),
        "The variances above the threshold are summed: count them.": np.where(var > threshold, var, 0).sum(1),
        "The variances above the threshold are summed, and cut to a whole number: count them.": np.trunc(
            np.where(var > threshold, mu.var(1, ddof=1), 0).sum(1)
        ),
        **{hint: above(values) for hint, values in compared.items()},
    }


# --- 7.6 posterior_means ----------------------------------------------------------------------------


def judge_posterior_means(seed: int, evidence: Evidence) -> list[Finding]:
    """Dropout and batch normalisation read the flag of their own module: hence `eval` goes through all of
    them. Put back, the mode lets a training go on as if nobody had looked."""
    looks = probes.means_looks(seed)
    found = Table.of(probes.means_looks, seed, _means, lambda _, x, __: {"images": len(x)}).judge(
        evidence,
        Property("it returns the mean of every image, in order", 3, ["all"]),
        Property("one image works, alone or as the last batch", 0.25, ["few", "one", "last one"]),
    )
    model, x, _ = looks["all"]
    mu, logvar = (part.detach().numpy() for part in model.encode(x.double()))
    if not (found[0].holds or problem_with(evidence, "all")) and evidence["all"].shape == mu.shape:
        seen, hint = evidence["all"], found[0].hint
        noise = torch.from_numpy((seen - mu) / np.exp(logvar / 2))
        if standard_normal(noise) and problem_with(evidence, STEADY):  # drawn anew, or after a seed
            hint = "These look like samples z: return the mean itself."
        if close(np.sort(seen, 0), np.sort(mu, 0), 1e-4) and not close(seen, mu, 1e-4):
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
        "The last image of each batch is missing: a slice leaves its end out by itself.": torch.cat(
            [part[:-1] for part in parts]
        ),
        "The last, smaller batch is missing.": mu[: n - n % size],
        "Only the first batch is there: collect every batch before you return.": parts[0],
        "Only the last batch is there: collect every batch, then join them.": parts[-1],
        "The batches overlap: each image goes through once.": torch.cat(
            [mu[i : i + size] for i in range(0, n, max(1, size - 1))]
        ),
        "These are log-variances: encode returns mu first.": logvar,
        "These are standard deviations: return the means.": (logvar / 2).exp(),
        "Averaged over each batch: keep one row per image.": torch.stack([part.mean(0) for part in parts]),
        "mu and logvar stand beside each other: return the means alone.": torch.cat([mu, logvar], 1),
        **{
            f"The images are {hint}: encode them as they are.": model.encode(change(x.double()))[0].detach()
            for hint, change in gradients.CHANGED.items()
        },
    }


# --- 7.7 confusion ----------------------------------------------------------------------------------


def judge_confusion(seed: int, evidence: Evidence) -> list[Finding]:
    """An accuracy is one number; here each kind of error has its own. A large one off the diagonal names
    two classes that look alike, and a full column a class that is guessed too often."""

    def sizes(true: Tensor, _: Tensor, classes: int) -> dict[str, int]:
        return {"images": len(true), "classes": classes}

    return Table.of(probes.label_looks, seed, _matrices, sizes).judge(
        evidence,
        Property("each pair counts: rows are true classes, columns predicted ones", 3, ["counts", "again"]),
        Property("a class that never occurs has its row and column", 1, ["absent"]),
        Property("it is right for 20 classes, and for 300 equal pairs", 1, ["many", "equal"]),
    )


def _matrices(true: Tensor, predicted: Tensor, num_classes: int) -> dict[str, Any]:
    """The counts (num_classes, num_classes), and what mistakes would give."""
    rows, columns = true.tolist(), predicted.tolist()
    matrix, wrapped, crowded = np.zeros((3, num_classes, num_classes))
    for row, column in zip(rows, columns, strict=True):
        matrix[row, column] += 1
        wrapped.ravel()[(row * num_classes + column) % 256] += 1
        crowded.ravel()[row * (num_classes - 1) + column] += 1
    right, last = np.diag(matrix.diagonal()), max(rows + columns) + 1
    at_first, at_last = np.zeros((2, *matrix.shape))
    at_first[rows[0], columns[0]] = at_last[rows[-1], columns[-1]] = 1
    occur = np.flatnonzero(matrix.sum(0) + matrix.sum(1))
    binned, *_ = np.histogram2d(rows, columns, num_classes)
    return {
        "": matrix,
        "Rows and columns are swapped: rows are the true classes.": matrix.T,
        "Each pair counts once, however often it occurs: truth values, or an indexed += ?": matrix > 0,
        "These are shares of each row: return counts.": matrix / matrix.sum(1, keepdims=True).clip(1),
        "These are shares of each column: return counts.": matrix / matrix.sum(0).clip(1),
        "Ten classes are built in: use num_classes.": np.pad(matrix, (0, max(0, 10 - num_classes))),
        "The last pair is left out.": matrix - at_last,
        "The first pair is left out.": matrix - at_first,
        "Only right predictions are counted: count the wrong ones too.": right,
        "Right predictions are left out: they belong on the diagonal.": matrix - right,
        "These are the right predictions of each class: wrong ones belong beside them.": matrix.diagonal(),
        "A class that is predicted and never true is left out: pairs with it count.": matrix
        * np.isin(range(num_classes), rows),
        "A class that is true and never predicted is left out: pairs with it count.": matrix
        * np.isin(range(num_classes), columns)[:, None],
        "Class 0 is left out: classes are counted from 0.": np.pad(matrix[1:, 1:], ((1, 0), (1, 0))),
        "Images of one class or the other are counted: both have to be right.": (
            matrix.sum(1, keepdims=True) + matrix.sum(0) - matrix
        ),
        "Cells are products of how often two classes occur: count how often they occur together.": (
            matrix.sum(1, keepdims=True) * matrix.sum(0)
        ),
        "Both orders of a pair are counted: rows are true classes only.": matrix + matrix.T,
        "Both orders of a wrong pair are counted: rows are true classes only.": matrix + matrix.T - right,
        "Pairs are numbered in 8 bits: from 256 on the numbers begin again.": wrapped,
        "Different pairs share a number: it is true * num_classes + predicted.": crowded,
        "Counts are kept in 8 bits: from 256 on they begin again.": matrix % 256,
        "The matrix is as large as the classes that occur: it has num_classes rows.": matrix[
            np.ix_(occur, occur)
        ],
        "The matrix is as large as the largest label: give it num_classes rows.": matrix[:last, :last],
        "There is room for one class too many: it has num_classes rows.": np.pad(matrix, (0, 1)),
        "Bins run from the smallest label to the largest: take all classes.": binned,
        "Bins of each row run from its smallest label to its largest: take all classes.": [
            np.histogram(predicted[true == row], num_classes)[0] for row in range(num_classes)
        ],
    }


# --- 7.12 train -------------------------------------------------------------------------------------

UNTRAINED = 784 * math.log(2)  # nats: every pixel is grey
MEAN_IMAGE = 180.0  # nats: with the mean of all images, drawn for each of them, it is 167
DIVERGED = "The weights are no numbers any more, or far too large: training diverges."
LEAST = 0.05  # of the budget: with less work nobody gets to the level


def judge_train(seed: int, evidence: Evidence) -> list[Finding]:
    """A step costs what its batch costs, and early on the gradient of a few images points the right way
    already: so the first batches are small. Later their noise is in the way, and a larger batch or a
    lower rate takes it out."""
    runs = [_result(seed, evidence, run) for run in range(len(probes.RUNS))]
    findings = [
        unless(f"seed {run} of {len(runs)}: the level is reached within the budget", 1, hint)
        for run, (_, hint) in enumerate(runs, 1)
    ]
    problem = problem_with(evidence, *(f"run{run}" for run in range(len(probes.RUNS))))
    high = max(loss for loss, _ in runs)
    if not problem and abs(high - UNTRAINED) < 5:
        problem = "A network is as it was: train the one that is given, in place."
    elif not problem and high == math.inf:
        problem = DIVERGED
    elif not problem and high > MEAN_IMAGE:
        problem = f"-ELBO is {high:.0f} nats with one seed; who draws the mean of all images has 167."
    findings.append(unless("the network given learns to draw about the mean image, or better", 1, problem))
    if not problem and np.array_equal(evidence["run0"], evidence["run2"]):
        problem = "Another seed makes no difference: do steps move the weights, and follow the seed given?"
    return [*findings, unless("another seed is another training", 1, problem)]


def _result(seed: int, evidence: Evidence, run: int) -> tuple[float, str]:
    """-ELBO of the held-out images, nats, and what keeps this run from the level."""
    if problem := problem_with(evidence, f"run{run}", f"work{run}"):
        return math.inf, problem
    drawn = torch.from_numpy(evidence[f"run{run}"]).double()
    x = probes.shuffled(race.images()[1], seed, probes.RUNS[run][0])
    logits, mu, logvar = drawn.split([784, 10, 10], dim=1)
    reconstruction = objectives.bernoulli_nll(logits.view_as(x), x.double()).mean().item()
    kl = objectives.gaussian_kl(mu, logvar).sum(1).mean().item()
    loss, work = reconstruction + kl, float(evidence[f"work{run}"])
    if not math.isfinite(loss):
        return math.inf, DIVERGED
    if loss > race.LEVEL:
        idle = "; with a KL of 0 the codes say nothing" if kl < 0.05 else ""
        parts = f"reconstruction {reconstruction:.0f}, KL {kl:.1f}{idle}"
        return loss, f"-ELBO is {loss:.0f} nats ({parts}); the level is {race.LEVEL:.0f}."
    if work > race.BUDGET:
        return loss, f"It takes the work of {work:,.0f} images; the budget is {race.BUDGET:,}."
    few = work < LEAST * race.BUDGET
    return loss, "Hardly any work was counted: train inside the call, with torch." * few


EXERCISES = (
    Exercise("7.1", "MyCVAE", 3, judge_my_cvae, ("models.CVAE",)),
    Exercise("7.2", "request_digits", 2, judge_request_digits),
    prediction(
        "7.3",
        "predict_label",
        probes.LABEL_OFFERED,
        "Of one model, a label among ten can save log 10 = 2.30 nats on average at most. Two trained "
        "networks are two models: a label also spares the work of finding the classes, and may save more "
        "by that, or less.",
        "The KL term charges for every nat in z, and the decoder has been told the class: to say it "
        "again is not worth its price. Nothing forbids it either, and what style and class share stays.",
        "A sample is the mean plus noise that knows nothing of the label: a trace that can be read from "
        "the mean drowns in it.",
    ),
    prediction(
        "7.5",
        "predict_dimensions",
        probes.DIMENSIONS_OFFERED,
        "Two numbers cannot hold a digit. From 10 dimensions on, what limits the error is the price of a "
        "nat and the length of the training, not the room: the larger a model, the later it gets there.",
        "A nat of KL has to save a nat of reconstruction. What pays is in the images, and ten times the "
        "room does not put more there.",
        "A dimension that does not pay is pushed to the prior, and its mean stops moving. The pull is as "
        "weak as what it saves: after few steps many a mean still trembles by more than the threshold.",
        "At its optimum more room cannot hurt, since dimensions can be switched off. Until they are, "
        "their noise disturbs the decoder, and the larger model is behind.",
    ),
    Exercise("7.6", "count_active", 3, judge_count_active, ("evaluation.active_units",)),
    Exercise("7.8", "posterior_means", 3, judge_posterior_means, ("evaluation.codes",)),
    Exercise("7.9", "confusion", 2, judge_confusion),
    prediction(
        "7.11",
        "predict_race",
        probes.RACE_OFFERED,
        "Muon gives all directions of a matrix the same length: a step does more, also along those in "
        "which the gradient is short.",
        "Small batches make more steps of the same images, and Muon makes more of a step.",
        "A step of Muon's also multiplies its matrices with themselves, fifteen times: where a processor "
        "has to imitate bfloat16, that takes longer than all the rest.",
        "Seeds leave the plateau of the mean image at different times.",
    ),
    Exercise("7.12", "train", 3, judge_train, ("training.fit",)),
)

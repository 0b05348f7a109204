"""Section 1: the autoencoder, one training step, the share of holes.

Oracles: matrix products and gradients written out in NumPy, in float64. The autoencoder is judged with
weights that the judge knows (see `layers`); the training step with plain gradient descent instead of
Adam, because the first step of Adam looks the same for a gradient of any size.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from course_utils.checks.judges import gradients, layers
from course_utils.checks.judges.core import Exercise, Finding, close, expect, is_fact, problem_with, unless
from course_utils.checks.judges.layers import Map, Network, advised, relu, same, sigmoid
from course_utils.checks.judges.looks import Property, Table
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import Evidence, as_array
from course_utils.checks.probes.section_1 import (
    CODE,
    HOLES_OFFERED,
    LATENT,
    PIXELS,
    Pair,
    hole_looks,
    images_and_codes,
    small_autoencoder,
)

# --- 1.1 MyAutoencoder ------------------------------------------------------------------------------


INSIDE = layers.activations(
    "Nothing stands between the linear layers: put a ReLU between each two.",
    "The ReLU between the first two layers is missing.",
    "The ReLU between the last two layers is missing.",
)


def _insides(seed: int, *sizes: int) -> dict[str, Map]:
    """Linear layers of these three sizes, right and with likely mistakes in the activations between them."""

    def chain(*inside: Map) -> Map:
        def output(x: np.ndarray) -> np.ndarray:
            for size, after in zip(sizes, (*inside, same), strict=True):
                x = after(layers.affine(x, seed, size))
            return x

        return output

    return {hint: chain(*inside) for hint, *inside in INSIDE}


SQUASHED = "A sigmoid has been applied already: logits are asked for."


def _encoder(seed: int, latent_dim: int) -> Network:
    ends: dict[str, Map] = {
        "": same,
        "There is a ReLU on the code itself: the last layer stays linear.": relu,
        "There is a sigmoid on the code: the last layer stays linear.": sigmoid,
        "There is a tanh on the code: the last layer stays linear.": np.tanh,
    }
    return Network(_insides(seed, 256, 128, latent_dim), ends)


def _image(flat: np.ndarray) -> np.ndarray:
    return flat.reshape(-1, 1, 28, 28)


def _decoder(seed: int) -> Network:
    insides = _insides(seed, 128, 256, 784)
    right = insides[""]
    before = "There is an activation before decode's first layer: the code goes in as it is."
    insides[before] = lambda z: right(relu(z))
    ends: dict[str, Map] = {
        "": _image,
        SQUASHED: lambda flat: _image(sigmoid(flat)),
        "The numbers are right but not yet images: give them the shape (N, 1, 28, 28).": same,
        "The channel is missing: the shape is (N, 1, 28, 28).": lambda flat: flat.reshape(-1, 28, 28),
        "Rows and columns of the image are swapped.": lambda flat: _image(flat).swapaxes(2, 3),
        "There is a ReLU after the last layer: logits may be negative.": lambda flat: _image(relu(flat)),
        "There is a tanh after the last layer: logits are unbounded.": lambda flat: _image(np.tanh(flat)),
    }
    return Network(insides, ends)


def judge_my_autoencoder(seed: int, evidence: Evidence) -> list[Finding]:
    """`forward` is held to be decode after encode, as the answer has these two; so a mistake counts once."""
    images, codes, directions = images_and_codes(seed)
    x, z = (as_array(t).astype(np.float64).reshape(5, -1) for t in (images, codes))
    sizes = (784, 256), (256, 128), (128, LATENT), (LATENT, 128), (128, 256), (256, 784)
    wanted = [(0, *pair, 0, 0, 0) for pair in sizes]
    claim = f"the layers are 784-256-128-latent and back, with biases (looked at with latent size {LATENT})"
    built = layers.same_layers(seed, evidence, "layers", wanted, claim, 0.5)
    advice = (
        "Each image or code is one row of numbers; between two linear layers stands a ReLU and nothing else."
    )
    if not built.holds:
        advice = layers.OTHER_LAYERS
    claim = "encode gives the code of each image, ReLU inside and nothing after the last layer"
    encoding, encode_seen = _part(evidence, "code", _encoder(seed, LATENT), x, claim, advice)
    claim = "decode gives logits of shape (N, 1, 28, 28), ReLU inside and nothing after the last layer"
    decoding, decode_seen = _part(evidence, "logits", _decoder(seed), z, claim, advice)

    def whole(latent_dim: int) -> Network:
        encode = _encoder(seed, latent_dim).version(encode_seen)
        decode = _decoder(seed).version(decode_seen)
        insides: dict[str, Map] = {
            "": lambda x: decode(encode(x)),
            "There is a ReLU on the code in forward: decode it as it is.": lambda x: decode(relu(encode(x))),
            "forward returns the code: decode it as well.": encode,
        }
        return Network(insides, {"": same, SQUASHED: sigmoid})

    claim = "forward decodes the code of the image and returns logits"
    advice = "It does what encode does, then what decode does, and nothing else."
    if not (encoding.holds and decoding.holds):
        advice = layers.FIRST
    forward, seen = _part(evidence, "forward", whole(LATENT), x, claim, advice)
    right = whole(1).version(seen)(x[:1])
    moved = layers.differences(whole(LATENT).version(seen), x, directions)
    single = expect(evidence, "single", right, "one image and a code of one number work too", 0.5)
    return [
        built,
        encoding,
        decoding,
        forward,
        advised(single, layers.FIXED_SIZE if seen else layers.FIRST),
        layers.smooth(evidence, "slopes", moved.sum(0), "gradients reach the first layer", 0.5),
    ]


def _part(
    evidence: Evidence, key: str, network: Network, x: np.ndarray, claim: str, advice: str
) -> tuple[Finding, tuple[str, str] | None]:
    """A finding that evidence[key] is what `network` gives from x; beside it the version seen, if any."""
    version = network.seen(evidence, key, x)
    if version is None:
        return advised(expect(evidence, key, network.version()(x), claim, 0.5), advice), None
    return unless(claim, 0.5, " ".join(part for part in version if part)), version


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


def judge_hole_share(seed: int, evidence: Evidence) -> list[Finding]:
    table = Table.of(hole_looks(seed), _shares, lambda *calls: {"codes": len(calls[0][1])}, 1e-6)
    return table.judge(
        evidence,
        Property("it is the share of codes that lose more than the threshold of their image", 3, ["shares"]),
        Property("it works for one code, and for a code of one number", 1, ["single"]),
        Property("who loses exactly the threshold is no hole", 1, ["ties"]),
    )


def _shares(*calls: tuple[Pair, Tensor, float]) -> dict[str, np.ndarray]:
    """The share of each call under '', and what likely mistakes would give under their hints."""
    each = [_share(*call) for call in calls]
    return {hint: np.stack([shares[hint] for shares in each]) for hint in each[0]}


def _share(pair: Pair, z: Tensor, threshold: float) -> dict[str, Any]:
    errors = _errors(pair, z.numpy())
    right = errors[""]
    beyond, reached = right > threshold, right >= threshold
    shares = {hint: (error > threshold).mean() for hint, error in errors.items()} | {
        "A code that loses exactly the threshold is no hole: more than that is asked for.": reached.mean(),
        "The threshold is always 0.1: use the one handed in.": (right > 0.1).mean(),
        "This is the share of codes that are no holes.": 1 - beyond.mean(),
        "This is the number of holes: divide by the number of codes.": beyond.sum(),
        "This is a percentage: return a share between 0 and 1.": 100 * beyond.mean(),
        "One truth value per code: return their mean.": beyond,
        "One loss per code: count those beyond the threshold.": right,
        "This is the mean loss: count the codes beyond the threshold instead.": right.mean(),
    }
    for size in (2, 3, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64):
        parts = [beyond[i : i + size].mean() for i in range(0, len(beyond), size)]
        hint = f"It is the mean of shares of {size} codes each, but fewer are left for the last: count once."
        shares[hint] = np.mean(parts)
    for size in (4, 100, 1000, 2000):
        shares[f"The number of codes is taken to be {size}: it may be any."] = beyond.sum() / size
    return shares


def _errors(pair: Pair, codes: np.ndarray) -> dict[str, np.ndarray]:
    """What each code loses on the round trip: right under '', and likely wrong ones under their hints."""
    x = pair.image(codes)
    code = pair.code(x)
    again = pair.image(code)
    dim, dark, flat = sigmoid(x), (x > 0.5).astype(float), x.reshape(-1, *pair.sides)
    dim_again, dark_again = sigmoid(pair.image(pair.code(dim))), pair.image(pair.code(dark))
    flat_again = again.reshape(flat.shape)
    lost, energy, none = ((again - x) ** 2).sum(1), (x**2).sum(1), np.zeros(len(x))

    def relative(a: np.ndarray, b: np.ndarray, power: int = 2, axis: int = 1) -> np.ndarray:
        return (np.abs(a - b) ** power).sum(axis) / (np.abs(b) ** power).sum(axis)

    errors = {
        "": relative(again, x),
        "The error is divided by the number of pixels: divide it by the image's energy |x|^2.": (
            lost / len(x[0])
        ),
        "The error is not divided by anything: divide it by the image's energy |x|^2.": lost,
        "This compares norms: the error and the energy are both squared.": np.sqrt(lost / energy),
        "This takes absolute values: the error and the energy are sums of squares.": relative(again, x, 1),
        "This compares codes: decode again and compare images.": relative(code, codes),
        "This compares an image with itself: encode it and decode once more.": none,
        "The error is divided by itself: is x changed in place before its energy is taken?": lost / lost,
        "`decode` gives images already: no sigmoid on top of it.": relative(dim_again, dim),
        "The images are rounded to black and white: they are grey.": relative(dark_again > 0.5, dark),
        "The first images are rounded to black and white: they are grey.": relative(dark_again, dark),
        "Both images are rounded before they are compared: they are grey.": relative(again > 0.5, dark),
        "The energy is missing its square: divide by |x|^2.": lost / np.sqrt(energy),
        "The energy is that of the second image: divide by that of the first.": lost / (again**2).sum(1),
        "1 is added to the energy: divide by the energy itself.": lost / (energy + 1),
        "The energy is taken around the image's mean: it is the sum of squares.": (
            lost / ((x - x.mean(1, keepdims=True)) ** 2).sum(1)
        ),
        "The error is that of the largest pixel: sum over all.": ((again - x) ** 2).max(1) / energy,
        "Each pixel is divided by its own square: sum both first.": (((again - x) / x) ** 2).mean(1),
        "The energy is that of the whole batch: divide each code's error by its own.": lost / energy.sum(),
        "The energy is an average over the batch: divide each code's error by its own.": lost / energy.mean(),
        "All codes get one verdict together: compare each code's own error.": lost.sum() / energy.sum()
        + none,
        "The errors are averaged first: compare each code's own error.": none + (lost / energy).mean(),
    }
    columns = "The sums run along the columns of an image only: they run over all of it."
    rows = "The sums run along the rows of an image only: they run over all of it."
    pixels = "There is a verdict for every pixel: sum over an image's pixels first."
    if len(x) == 1:
        squeezed = "With one code there is one verdict for each row of pixels: is its axis squeezed away?"
        errors[squeezed] = relative(flat_again, flat, axis=2)
    errors |= {
        rows: relative(flat_again, flat, axis=2),
        columns: relative(flat_again, flat, axis=1),
        pixels: ((again - x) / x) ** 2,
        "The sums run over the batch: they run over the pixels of each image.": relative(again, x, axis=0),
    }
    return errors


EXERCISES = (
    Exercise("1.1", "MyAutoencoder", 3, judge_my_autoencoder, ("models.Autoencoder",)),
    Exercise(
        "1.2", "train_step", 3, judge_train_step, ("training.fit", "engine.fast.fit", "engine.cache.fit")
    ),
    Exercise(
        "1.3",
        "hole_share",
        3,
        judge_hole_share,
        ("evaluation.hole_share",),
        why="What an encoder has never met it cannot name, so the round trip lands elsewhere. Dividing by "
        "the image's own energy lets bright and dark images be judged alike; it would bite where an "
        "image is black.",
    ),
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

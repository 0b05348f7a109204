"""Section 1: the autoencoder, one training step, the share of holes.

Oracles: matrix products in NumPy, in float64; for the training step autograd, in float64 (see `gradients`).
The autoencoder is judged with weights that the judge knows (see `layers`).
"""

from __future__ import annotations

import functools

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.judges import gradients, layers
from course_utils.checks.judges.core import Exercise, Finding, expect, is_fact, unless
from course_utils.checks.judges.layers import Map, Network, advised, relu, same, sigmoid
from course_utils.checks.judges.predictions import prediction
from course_utils.checks.probes.evidence import Evidence, as_array
from course_utils.checks.probes.section_1 import (
    CLAIMS,
    HOLES_OFFERED,
    LATENT,
    Pair,
    autoencoder_batches,
    hole_calls,
    images_and_codes,
    small_autoencoder,
)
from course_utils.checks.probes.witness import Witness

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
        "This is the ReLU of the logits; the sigmoid is asked for.": F.mse_loss(logits.relu(), x),
        "The logits are cut off at 0 and 1; the sigmoid is asked for.": F.mse_loss(logits.clamp(0, 1), x),
        "The square is missing: errors of both signs cancel.": (x_hat - x).mean(),
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
        "1.2",
        "train_step",
        3,
        judge_train_step,
        ("training.fit", "engine.fast.fit", "engine.cache.fit"),
        why="Where the gradients are cleared is free, if only each step sees those of its own batch alone. "
        "That `backward` adds has its use: several small batches before one step make a large one.",
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

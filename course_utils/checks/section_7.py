"""Section 7: the conditional VAE, counting active units, collecting means, the confusion matrix; predictions
of what a label and what the size of a code do.

Oracles: matrix products in NumPy for the CVAE, whose weights the judge knows (see `layers`), and loops over
plain numbers for the rest. The decoder and the encoder that an answer is given are tiny and known exactly.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks import layers
from course_utils.checks.core import (
    Exercise,
    Finding,
    close,
    diagnosis,
    expect,
    problem_with,
    unless,
    untouched,
)
from course_utils.checks.evidence import Evidence, NotNumbers, alone, as_array, record, record_tensor
from course_utils.checks.inputs import generator
from course_utils.checks.layers import Map, sigmoid
from course_utils.checks.predictions import prediction

# --- 7.1 MyCVAE -------------------------------------------------------------------------------------

_CASES: dict[str, tuple[int, int, list[int]]] = {  # latent dimensions, classes, labels of the batch
    "main": (3, 4, [2, 0, 3, 1, 0, 2]),
    "absent": (3, 4, [1, 0, 1]),
    "one": (1, 2, [0]),
}

NO_GRADIENT = "No gradient comes back: is something detached, or under no_grad?"


def _labelled(seed: int, case: str) -> tuple[Tensor, Tensor, Tensor]:
    """Images (N, 1, 28, 28), codes z (N, latent_dim) and labels (N,)."""
    latent_dim, _, labels = _CASES[case]
    g = generator(seed)
    x, z = torch.rand(len(labels), 1, 28, 28, generator=g), torch.randn(len(labels), latent_dim, generator=g)
    return x, 2 * z, torch.tensor(labels)


def _shifts(seed: int, latent_dim: int) -> np.ndarray:
    """What the biases of two heads of one shape get besides, (4, latent_dim): the heads of mu and of logvar
    where their names tell, otherwise the first and the second.

    They are larger than what a head gives by itself, and of both signs: whatever bends or clamps shows."""
    size = 5 + 3 * torch.rand(4, latent_dim, generator=generator(seed, 5), dtype=torch.float64)
    return (size * (1 - 2 * (torch.arange(latent_dim) % 2))).numpy()


def _known(model: Any, seed: int, case: str) -> Any:
    """The model with weights that the judge knows; an embedding of labels counts as a linear layer."""
    if not isinstance(model, nn.Module):
        raise NotNumbers("The class is no nn.Module.")
    latent_dim, _, _ = _CASES[case]
    x, z, y = _labelled(seed, case)
    layers.fill(model, seed, encode=(x, y), decode=(z, y))
    heads = [
        (name.lower(), layer)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == latent_dim and layer.bias is not None
    ]
    heads.sort(key=lambda head: "mu" not in head[0] and "mean" not in head[0])
    named = ["mu" in name or "mean" in name for name, _ in heads] == [True, False]
    with torch.no_grad():
        for (_, head), shift in zip(heads, _shifts(seed, latent_dim)[0 if named else 2 :], strict=False):
            head.bias.add_(torch.from_numpy(shift))
        for layer in model.modules():
            if isinstance(layer, nn.Embedding) and layer.weight.requires_grad:
                layer.weight.copy_(torch.from_numpy(layers.weights(seed, *layer.weight.T.shape).T))
    return model


def probe_my_cvae(evidence: Evidence, answer: Any, seed: int) -> None:
    @functools.cache
    def model(case: str) -> Any:
        """One for each case; an error in the constructor comes up in every finding."""
        latent_dim, classes, _ = _CASES[case]
        return _known(answer(latent_dim, classes), seed, case)

    def encode(case: str) -> np.ndarray:
        """mu and logvar: (2, N, latent_dim)."""
        x, _, y = _labelled(seed, case)
        parts = model(case).encode(x.requires_grad_(case == "one"), y)
        if isinstance(parts, Tensor) or len(parts) != 2:
            raise NotNumbers("encode has to return two tensors, mu and logvar.")
        mu, logvar = (as_array(part) for part in parts)
        if mu.shape != logvar.shape:
            raise NotNumbers(f"mu has shape {mu.shape}, logvar {logvar.shape}; they should be alike.")
        _must_depend(x, parts, case)
        return np.stack([mu, logvar])

    def decode(case: str) -> np.ndarray:
        _, z, y = _labelled(seed, case)
        logits = alone(model(case).decode(z.requires_grad_(case == "one"), y))
        _must_depend(z, [logits], case)
        return as_array(logits)

    record(evidence, "layers", lambda: layers.linear(model("main")))
    for case in _CASES:
        record(evidence, f"encode {case}", _steady, encode, case)
        record(evidence, f"decode {case}", _steady, decode, case)


def _steady(half: Callable[[str], np.ndarray], case: str) -> np.ndarray:
    """What two calls agree on. Raises NotNumbers where they do not."""
    first, again = half(case), half(case)
    if not np.allclose(first, again, rtol=1e-4, atol=1e-4, equal_nan=True):
        raise NotNumbers("Two calls give two answers: is there dropout inside, or a sample drawn?")
    return first


def _must_depend(given: Tensor, outputs: Iterable[Any], case: str) -> None:
    """Raise NotNumbers where, in the case 'one', a gradient of an output does not reach what was given."""
    if case == "one" and not all(_flows(output, given) for output in outputs):
        raise NotNumbers(NO_GRADIENT)


def _flows(output: Any, given: Tensor) -> bool:
    """Does a gradient of the output reach what was given?"""
    if not isinstance(output, Tensor) or not output.requires_grad:
        return False
    (gradient,) = torch.autograd.grad(output.sum(), given, retain_graph=True, allow_unused=True)
    return gradient is not None


Formula = tuple[str, np.ndarray]  # the hint, '' for what is right, and what comes out


class _Oracle:
    """What a CVAE with the known weights answers to one case: every right way, and likely wrong ones.

    The lists of two cases go in step, so that an answer's formula for one can be held against the other.
    """

    def __init__(self, seed: int, case: str) -> None:
        self.seed, (self.latent_dim, self.classes, _) = seed, _CASES[case]
        x, z, y = _labelled(seed, case)
        self.x, self.z, self.y = x.flatten(1).double().numpy(), z.double().numpy(), y.numpy()
        self.shifts = _shifts(seed, self.latent_dim)

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
    oracles = {case: _Oracle(seed, case) for case in _CASES}
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


def _decoder(z: Tensor, y: Tensor) -> Tensor:
    """Logits (N, 1, 28, 28): every pixel has a slope of its own in z (N, 2) and in y."""
    if len(z) != len(y):
        raise ValueError(f"decode got {len(z)} codes but {len(y)} labels")
    pixel = torch.linspace(-1, 1, 784)
    return (z[:, :1] * pixel + z[:, 1:] * pixel**2 + y[:, None] * (pixel.flip(0) - 0.3)).view(-1, 1, 28, 28)


def _request(seed: int) -> tuple[Tensor, Tensor]:
    """Labels (3,) in no order and codes z (2, 2)."""
    return torch.tensor([2, 0, 1]), torch.randn(2, 2, generator=generator(seed, 1))


def probe_request_digits(evidence: Evidence, answer: Any, seed: int) -> None:
    labels, z = _request(seed)
    record_tensor(evidence, "grid", answer, _decoder, labels, z)
    record_tensor(evidence, "one", answer, _decoder, labels[:1], z[:1])


def judge_request_digits(seed: int, evidence: Evidence) -> list[Finding]:
    labels, z = _request(seed)

    def logits(labels: Tensor) -> np.ndarray:
        return np.concatenate([_decoder(code.expand(len(labels), -1), labels).double().numpy() for code in z])

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
    basis = _decoder(torch.tensor([[1.0, 0], [0, 1], [0, 0]]), torch.tensor([0, 0, 1])).flatten(1).numpy()
    codes = np.linalg.lstsq(basis.T, np.log(p / (1 - p)).T, rcond=None)[0][:2].T
    distances = np.abs(codes[:, None] - z.numpy()).max(2).min(1)
    return bool(distances.max() > 0.01)


# --- 7.4 count_active -------------------------------------------------------------------------------

IMAGES, DIMENSIONS = 29, 40


def _means(seed: int, stream: int, varies: Tensor) -> Tensor:
    """Means (29, d) whose dimensions vary by kind: 0 not at all, 1 by a trembling, 2 clearly, 3 widely.

    The variances are at most 0.0025 for the first two kinds, from 0.09 to 0.3 for the third and at least 0.8
    for the last. Every other dimension lies far from 0.
    """
    g = generator(seed, stream)
    smallest = torch.tensor([1e-4, 0.02, 0.3, 0.9])[varies]
    scale = smallest * (1 + 0.8 * torch.rand(len(varies), generator=g))
    offset = (1 + torch.rand(len(varies), generator=g)) * (torch.arange(len(varies)) % 2)
    noise = torch.randn(IMAGES, len(varies), generator=g)
    return offset + scale * (noise - noise.mean(0)) / noise.std(0)


def _models(seed: int) -> list[Tensor]:
    """The means of six models, (29, 40) each, with another mixture of kinds in each."""
    g = generator(seed, 2)
    kinds = [torch.multinomial(torch.rand(4, generator=g), DIMENSIONS, True, generator=g) for _ in range(6)]
    return [_means(seed, 20 + place, varies) for place, varies in enumerate(kinds)]


def _alone(seed: int) -> list[Tensor]:
    """Twelve models of one dimension, half of them active, in an order from the seed."""
    order = torch.randperm(12, generator=generator(seed, 3))
    return [_means(seed, 30 + place, kind[None] % 2 * 2) for place, kind in enumerate(order)]


def _strict(seed: int) -> float:
    """A threshold between 0.4 and 0.7."""
    return 0.4 + 0.3 * float(torch.rand((), generator=generator(seed, 4)))


def probe_count_active(evidence: Evidence, answer: Any, seed: int) -> None:
    def count(mu: Tensor, threshold: float) -> np.ndarray:
        found = as_array(answer(mu, threshold))
        if found.ndim:
            raise NotNumbers(f"It returned {found.size} values: return one number, the count.")
        return found

    def counts(models: list[Tensor], threshold: float) -> list[np.ndarray]:
        return [count(mu, threshold) for mu in models]

    models = _models(seed)
    record(evidence, "count", counts, _models(seed), 0.01)
    record(evidence, "strict", counts, models, _strict(seed))
    record(evidence, "single", counts, _alone(seed), 0.01)
    evidence["means"] = as_array(models)


def judge_count_active(seed: int, evidence: Evidence) -> list[Finding]:
    mu = np.stack([model.double().numpy() for model in _models(seed)])
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
    strict, others = counts(_strict(seed))
    fixed = {"The threshold is fixed at 0.01: use the one that is given.": count}
    single = [model.double().numpy().var() > 0.01 for model in _alone(seed)]
    claim = "it uses the given threshold and leaves the means as they are"
    used = expect(evidence, "strict", strict, claim, 0.5, fixed | others)
    return [
        expect(evidence, "count", count, "it counts the means that vary over images", 2, mistakes),
        untouched(used, evidence, "means", _models(seed)),
        expect(evidence, "single", single, "it works for one dimension", 0.5),
    ]


# --- 7.6 posterior_means ----------------------------------------------------------------------------

BATCH = 7  # less than there are batches: who takes it for their number shows
IN_TRAINING, TOO_MANY = 100.0, 50.0  # what an encoder adds to mu when it is called in the wrong way


class _Encoder(nn.Module):
    """mu and logvar (N, 3) from three pixels; training mode and a batch above `limit` move mu."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))
        self.limit = limit

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        moved = IN_TRAINING * self.training + TOO_MANY * (len(x) > self.limit)
        mu = self.scale * x[:, 0, 0, :3] + moved
        return mu, mu - 5


def _images(seed: int) -> Tensor:
    return torch.rand(97, 1, 28, 28, generator=generator(seed, 3))


def probe_posterior_means(evidence: Evidence, answer: Any, seed: int) -> None:
    images = _images(seed)

    def gradient() -> np.ndarray:
        """The means, moved by 1 if they carry a gradient, by 2 if gradients are switched off for good."""
        model = _Encoder(97).eval()
        means = alone(answer(model, images, 97))
        carried = bool(getattr(means, "requires_grad", False))
        lasting = not (torch.is_grad_enabled() and model.scale.requires_grad)
        return as_array(means) + carried + 2 * lasting

    def modes() -> Tensor:
        """What a model that came in training mode and one in evaluation mode encode after a call."""
        models = [_Encoder(97).train(), _Encoder(97).eval()]
        for model in models:
            as_array(alone(answer(model, images, 97)))
        return torch.stack([model.encode(images)[0] for model in models])

    record_tensor(evidence, "all", answer, _Encoder(BATCH).eval(), images, BATCH)
    record_tensor(evidence, "one", answer, _Encoder(500).eval(), images[:1], 500)
    record(evidence, "gradient", gradient)
    record_tensor(evidence, "training", answer, _Encoder(97).train(), images, 97)
    record(evidence, "modes", modes)


def judge_posterior_means(seed: int, evidence: Evidence) -> list[Finding]:
    mu = 4 * _images(seed)[:, 0, 0, :3].double().numpy()
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


def _classes(seed: int) -> tuple[Tensor, Tensor]:
    """97 true labels among 4 classes and predictions that name only the first two."""
    g = generator(seed, 4)
    return torch.randint(4, (97,), generator=g), torch.randint(2, (97,), generator=g)


def probe_confusion(evidence: Evidence, answer: Any, seed: int) -> None:
    for key, num_classes in (("counts", 4), ("absent", 5)):
        true, predicted = _classes(seed)
        record(evidence, key, answer, true, predicted, num_classes)
        evidence[f"{key} labels"] = as_array([true, predicted])


def judge_confusion(seed: int, evidence: Evidence) -> list[Finding]:
    labels = _classes(seed)
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
    for key in ("counts", "absent"):
        absent = untouched(absent, evidence, f"{key} labels", list(labels))
    claim = "rows are true classes, columns predicted ones"
    return [expect(evidence, "counts", right.pop(""), claim, 1.5, right), absent]


# --- predictions ------------------------------------------------------------------------------------

_LABEL = prediction(
    "7.9",
    "predict_label",
    {
        "test -ELBO of the CVAE": (
            ("higher than the VAE's", "lower, by at most 2.3 nats", "lower, by more than 2.3 nats"),
            "Of one model, a label among ten can save log 10 = 2.30 nats on average at most. Two "
            "trained networks are two models: a label also spares the work of finding the classes, "
            "and may save more by that, or less.",
        ),
        "linear probe on samples z of the CVAE": (
            ("at chance", "above chance, below the VAE", "no worse than on the VAE"),
            "The KL term charges for every nat in z, and the decoder has been told the class: to "
            "say it again is not worth its price. Nothing forbids it either, and what style and "
            "class share stays.",
        ),
        "linear probe on its means mu": (
            ("worse than on samples", "as on samples", "better than on samples"),
            "A sample is the mean plus noise that knows nothing of the label: a trace that can be "
            "read from the mean drowns in it.",
        ),
    },
)

_DIMENSIONS = prediction(
    "7.10",
    "predict_dimensions",
    {
        "lowest reconstruction error": (
            ("2", "10", "50", "100"),
            "Two numbers cannot hold a digit. From 10 dimensions on, what limits the error is "
            "the price of a nat and the length of the training, not the room: the larger a "
            "model, the later it gets there.",
        ),
        "KL with 100 dimensions against 10": (
            ("less than 1.5 times", "1.5 to 5 times", "more than 5 times"),
            "A nat of KL has to save a nat of reconstruction. What pays is in the images, and "
            "ten times the room does not put more there.",
        ),
        "active of 100 dimensions": (
            ("fewer than 30", "30 to 90", "more than 90"),
            "A dimension that does not pay is pushed to the prior, and its mean stops moving. "
            "The pull is as weak as what it saves: after few steps many a mean still trembles "
            "by more than the threshold.",
        ),
        "test -ELBO from 50 to 100 dimensions": (
            ("falls by more than 0.5 nats", "moves by at most 0.5 nats", "rises by more than 0.5 nats"),
            "At its optimum more room cannot hurt, since dimensions can be switched off. Until "
            "they are, their noise disturbs the decoder, and the larger model is behind.",
        ),
    },
)


EXERCISES = (
    Exercise("7.1", "MyCVAE", 3, probe_my_cvae, judge_my_cvae, ("models.CVAE",)),
    Exercise("7.2", "request_digits", 2, probe_request_digits, judge_request_digits),
    Exercise("7.4", "count_active", 3, probe_count_active, judge_count_active, ("evaluation.active_units",)),
    Exercise(
        "7.6", "posterior_means", 3, probe_posterior_means, judge_posterior_means, ("evaluation.codes",)
    ),
    Exercise("7.7", "confusion", 2, probe_confusion, judge_confusion),
    _LABEL,
    _DIMENSIONS,
)

"""Section 7: the conditional VAE, counting active units, collecting means, the confusion matrix; predictions
of what a label and what the size of a code do.

The decoder and the encoder that an answer is given are tiny and known exactly.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import (
    Evidence,
    NotNumbers,
    alone,
    as_array,
    called,
    look,
    one,
    record,
)
from course_utils.checks.probes.inputs import fact, generator
from course_utils.checks.probes.predictions import prediction
from course_utils.checks.probes.witness import NEVER, Witness, greys

# --- 7.1 MyCVAE -------------------------------------------------------------------------------------


CASES: dict[str, tuple[int, int, list[int]]] = {  # latent dimensions, classes, labels of the batch
    "main": (3, 4, [2, 0, 3, 1, 0, 2]),
    "absent": (3, 4, [1, 0, 1]),
    "one": (1, 2, [0]),
}

NO_GRADIENT = "No gradient comes back: is something detached, or under no_grad?"


def labelled(seed: int, case: str) -> tuple[Tensor, Tensor, Tensor]:
    """Images (N, 1, 28, 28), codes z (N, latent_dim) and labels (N,)."""
    latent_dim, _, labels = CASES[case]
    g = generator(seed)
    x, z = torch.rand(len(labels), 1, 28, 28, generator=g), torch.randn(len(labels), latent_dim, generator=g)
    return x, 2 * z, torch.tensor(labels)


def shifts(seed: int, latent_dim: int) -> np.ndarray:
    """What the biases of two heads of one shape get besides, (4, latent_dim): the heads of mu and of logvar
    where their names tell, otherwise the first and the second.

    They are larger than what a head gives by itself, and of both signs: whatever bends or clamps shows."""
    size = 5 + 3 * torch.rand(4, latent_dim, generator=generator(seed, 5), dtype=torch.float64)
    return (size * (1 - 2 * (torch.arange(latent_dim) % 2))).numpy()


def _known(model: Any, seed: int, case: str) -> Any:
    """The model with weights that the judge knows; an embedding of labels counts as a linear layer."""
    if not isinstance(model, nn.Module):
        raise NotNumbers("The class is no nn.Module.")
    latent_dim, _, _ = CASES[case]
    x, z, y = labelled(seed, case)
    layers.fill(model, seed, encode=(x, y), decode=(z, y))
    heads = [
        (name.lower(), layer)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == latent_dim and layer.bias is not None
    ]
    heads.sort(key=lambda head: "mu" not in head[0] and "mean" not in head[0])
    named = ["mu" in name or "mean" in name for name, _ in heads] == [True, False]
    with torch.no_grad():
        for (_, head), shift in zip(heads, shifts(seed, latent_dim)[0 if named else 2 :], strict=False):
            head.bias.add_(torch.from_numpy(shift))
        for layer in model.modules():
            if isinstance(layer, nn.Embedding) and layer.weight.requires_grad:
                layer.weight.copy_(torch.from_numpy(layers.weights(seed, *layer.weight.T.shape).T))
    return model


def probe_my_cvae(evidence: Evidence, answer: Any, seed: int) -> None:
    @functools.cache
    def model(case: str) -> Any:
        """One for each case; an error in the constructor comes up in every finding."""
        latent_dim, classes, _ = CASES[case]
        return _known(answer(latent_dim, classes), seed, case)

    def encode(case: str) -> np.ndarray:
        """mu and logvar: (2, N, latent_dim)."""
        x, _, y = labelled(seed, case)
        parts = model(case).encode(x.requires_grad_(case == "one"), y)
        if isinstance(parts, Tensor) or len(parts) != 2:
            raise NotNumbers("encode has to return two tensors, mu and logvar.")
        mu, logvar = (as_array(part) for part in parts)
        if mu.shape != logvar.shape:
            raise NotNumbers(f"mu has shape {mu.shape}, logvar {logvar.shape}; they should be alike.")
        _must_depend(x, parts, case)
        return np.stack([mu, logvar])

    def decode(case: str) -> np.ndarray:
        _, z, y = labelled(seed, case)
        logits = alone(model(case).decode(z.requires_grad_(case == "one"), y))
        _must_depend(z, [logits], case)
        return as_array(logits)

    record(evidence, "layers", lambda: layers.linear(model("main")))
    for case in CASES:
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


# --- 7.2 request_digits -----------------------------------------------------------------------------


class _Decoder(nn.Module):
    """Takes what the lesson's `decode` takes: codes z (N, 2) and labels (N,) below 10, whole numbers. Every
    pixel has a slope of its own in z, and in each label."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(12, 784, generator=generator(0, 8)))

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        joined = torch.cat([z, F.one_hot(y, 10)], dim=1)
        return (joined @ self.weight).view(-1, 1, 28, 28)


decode = _Decoder().decode


def request_looks(seed: int) -> dict[str, tuple[Any, Tensor, Tensor]]:
    """decode, labels (C,) and codes (R, 2); in "mixed" a label comes twice, and they are in no order."""
    z = torch.randn(9, 2, generator=generator(seed, 1))
    return {
        "grid": (decode, torch.tensor([1, 4, 7]), z[:2]),
        "square": (decode, torch.tensor([0, 2, 9]), z[2:5]),
        "mixed": (decode, torch.tensor([5, 2, 5, 1]), z[5:8]),
        "one z": (decode, torch.tensor([3, 8]), z[8:]),
        "one": (decode, torch.tensor([6]), z[:1]),
    }


def probe_request_digits(evidence: Evidence, answer: Any, seed: int) -> None:
    look(evidence, one(answer), request_looks(seed))


# --- 7.4 count_active -------------------------------------------------------------------------------


IMAGES, DIMENSIONS, MODELS = 29, 40, 6
# Standard deviations from these to 1.4 times as much. At the threshold 0.01 the first four do not count, but
# the range, the deviation itself or the sum of squares of some lies above it.
DEVIATIONS = torch.tensor([1e-4, 0.004, 0.012, 0.022, 0.104, 0.3, 0.9])


def drawn_means(seed: int, stream: int, images: int = IMAGES, dimensions: int = DIMENSIONS) -> Tensor:
    """Means (models, images, dimensions), each model with a mixture of deviations of its own; every other
    dimension lies 1 to 2 from 0."""
    g = generator(seed, stream)
    kinds = torch.multinomial(torch.rand(MODELS, len(DEVIATIONS), generator=g), dimensions, True, generator=g)
    scale = DEVIATIONS[kinds] * (1 + 0.4 * torch.rand(MODELS, dimensions, generator=g))
    offset = (1 + torch.rand(MODELS, dimensions, generator=g)) * ((torch.arange(dimensions) + stream) % 2)
    noise = torch.randn(MODELS, images, dimensions, generator=g)
    noise = (noise - noise.mean(1, keepdim=True)) / noise.std(1, keepdim=True)
    return offset.unsqueeze(1) + scale.unsqueeze(1) * noise


def count_looks(seed: int) -> dict[str, tuple[Tensor, float]]:
    """Means (models, N, d) and a threshold. "tie": some variances are 0, not more than 0; "late": only the
    last 100 of 230 images vary; "far": 1,000 from 0."""
    g = generator(seed, 4)
    whole = torch.randint(-2, 3, (MODELS, IMAGES, DIMENSIONS), generator=g).float()
    still = torch.rand(MODELS, 1, DIMENSIONS, generator=g) < 0.1 + 0.8 * torch.rand(MODELS, 1, 1, generator=g)
    late = 2 * drawn_means(seed, 22, 230)  # then no variance is near the threshold
    late[:, :130] = late.mean(1, keepdim=True)
    return {
        "count": (drawn_means(seed, 20), 0.01),
        "strict": (drawn_means(seed, 21), 0.4 + 0.3 * float(torch.rand((), generator=g))),
        "tie": (torch.where(still, whole[:, :1], whole), 0.0),
        "late": (late, 0.01),
        "far": (drawn_means(seed, 24) + 1000, 0.01),
        "single": (drawn_means(seed, 26, dimensions=1), 0.01),
        "lone": (drawn_means(seed, 27, dimensions=1), 0.01),
    }


def probe_count_active(evidence: Evidence, answer: Any, seed: int) -> None:
    def counts(models: Tensor, threshold: float) -> list[np.ndarray]:
        found = [as_array(called(evidence, answer, mu, threshold)) for mu in models]
        for count in found:
            if count.size != 1:
                raise NotNumbers(f"It returned {count.size} values: return one number, the count.")
        return [count.reshape(()) for count in found]

    look(evidence, counts, count_looks(seed))


# --- 7.6 posterior_means ----------------------------------------------------------------------------


BATCH = 7  # less than there are batches: who takes it for their number shows


def means_looks(seed: int) -> dict[str, tuple[Witness, Tensor, int]]:
    """A model in evaluation mode, images (N, 1, 28, 28) and a batch size; in "last one" the last batch is a
    single image."""
    x = greys(seed, 66, 3)
    looks = {"all": (x, BATCH), "few": (x[:5], 500), "one": (x[:1], 500), "last one": (x[:22], BATCH)}
    return {key: (Witness(seed, 3).eval(), *given) for key, given in looks.items()}


def probe_posterior_means(evidence: Evidence, answer: Any, seed: int) -> None:
    look(evidence, one(answer), means_looks(seed))
    came = {True: Witness(seed, 3).train(), False: Witness(seed, 3).eval()}
    x = greys(seed, 66, 4)

    def kept() -> float:
        """The fact that neither the means nor the model show that gradients were on or off."""
        means = [alone(called(evidence, answer, model, x, BATCH)) for model in came.values()]
        if any(getattr(part, "requires_grad", False) for part in means):
            raise NotNumbers("The means still carry a gradient: encode without recording one.")
        if not all(weight.requires_grad for model in came.values() for weight in model.parameters()):
            raise NotNumbers("The weights stay frozen after the call: leave them as they are.")
        return fact(seed, "kept", bool(came[True].modes))

    def restored() -> float:
        for mode, model in came.items():
            if not model.modes:
                raise NotNumbers(NEVER)
            if model.training != mode:
                raise NotNumbers(
                    f"The model came in {MODES[mode]} mode and is left in {MODES[not mode]} mode."
                )
            if model.inside.training != mode:
                raise NotNumbers(
                    "The mode is put back on top only: model.train(mode) reaches what is inside."
                )
        return fact(seed, "restored", True)

    record(evidence, "kept", kept)
    record(evidence, "mode", came[True].in_mode, seed, False)
    record(evidence, "batches", came[True].in_batches, seed, BATCH)
    record(evidence, "restored", restored)


MODES = {True: "training", False: "evaluation"}


# --- 7.7 confusion ----------------------------------------------------------------------------------


def label_looks(seed: int) -> dict[str, tuple[Any, ...]]:
    """True and predicted labels (N,) and the number of classes."""
    g = generator(seed, 4)

    def drawn(n: int, *classes: int) -> list[Tensor]:
        return [torch.randint(count, (n,), generator=g) for count in classes]

    true, predicted = drawn(97, 4, 4)
    less, equal = drawn(83, 3, 2), drawn(40, 4, 4)
    return {
        "counts": (true, predicted, 4),
        "again": (*drawn(60, 4, 4), 4),
        "absent": (less[0] + 1, less[1] + 2, 6),
        "many": (*drawn(400, 20, 20), 20),
        "equal": (*(torch.cat([labels, torch.full((300,), i)]) for i, labels in enumerate(equal)), 4),
    }


def probe_confusion(evidence: Evidence, answer: Any, seed: int) -> None:
    look(evidence, one(answer), label_looks(seed))


LABEL_OFFERED = {
    "test -ELBO of the CVAE": (
        "higher than the VAE's",
        "lower, by at most 2.3 nats",
        "lower, by more than 2.3 nats",
    ),
    "linear probe on samples z of the CVAE": (
        "at chance",
        "above chance, below the VAE",
        "no worse than on the VAE",
    ),
    "linear probe on its means mu": ("worse than on samples", "as on samples", "better than on samples"),
}

DIMENSIONS_OFFERED = {
    "lowest reconstruction error": ("2", "10", "50", "100"),
    "KL with 100 dimensions against 10": ("less than 1.5 times", "1.5 to 5 times", "more than 5 times"),
    "active of 100 dimensions": ("fewer than 30", "30 to 90", "more than 90"),
    "test -ELBO from 50 to 100 dimensions": (
        "falls by more than 0.5 nats",
        "moves by at most 0.5 nats",
        "rises by more than 0.5 nats",
    ),
}

PROBES = {
    "MyCVAE": probe_my_cvae,
    "request_digits": probe_request_digits,
    "count_active": probe_count_active,
    "posterior_means": probe_posterior_means,
    "confusion": probe_confusion,
    "predict_label": prediction(LABEL_OFFERED),
    "predict_dimensions": prediction(DIMENSIONS_OFFERED),
}

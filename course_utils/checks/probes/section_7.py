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


def drawn_decoder(z: Tensor, y: Tensor) -> Tensor:
    """Logits (N, 1, 28, 28): every pixel has a slope of its own in z (N, 2) and in y."""
    if len(z) != len(y):
        raise ValueError(f"decode got {len(z)} codes but {len(y)} labels")
    pixel = torch.linspace(-1, 1, 784)
    return (z[:, :1] * pixel + z[:, 1:] * pixel**2 + y[:, None] * (pixel.flip(0) - 0.3)).view(-1, 1, 28, 28)


def drawn_request(seed: int) -> tuple[Tensor, Tensor]:
    """Labels (3,) in no order and codes z (2, 2)."""
    return torch.tensor([2, 0, 1]), torch.randn(2, 2, generator=generator(seed, 1))


def probe_request_digits(evidence: Evidence, answer: Any, seed: int) -> None:
    labels, z = drawn_request(seed)
    record(evidence, "grid", one(answer), drawn_decoder, labels, z)
    record(evidence, "one", one(answer), drawn_decoder, labels[:1], z[:1])


# --- 7.4 count_active -------------------------------------------------------------------------------


IMAGES, DIMENSIONS = 29, 40


def drawn_means(seed: int, stream: int, varies: Tensor) -> Tensor:
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


def drawn_models(seed: int) -> list[Tensor]:
    """The means of six models, (29, 40) each, with another mixture of kinds in each."""
    g = generator(seed, 2)
    kinds = [torch.multinomial(torch.rand(4, generator=g), DIMENSIONS, True, generator=g) for _ in range(6)]
    return [drawn_means(seed, 20 + place, varies) for place, varies in enumerate(kinds)]


def lone_image(seed: int) -> list[Tensor]:
    """Twelve models of one dimension, half of them active, in an order from the seed."""
    order = torch.randperm(12, generator=generator(seed, 3))
    return [drawn_means(seed, 30 + place, kind[None] % 2 * 2) for place, kind in enumerate(order)]


def strict_threshold(seed: int) -> float:
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

    models = drawn_models(seed)
    record(evidence, "count", counts, drawn_models(seed), 0.01)
    record(evidence, "strict", counts, models, strict_threshold(seed))
    record(evidence, "single", counts, lone_image(seed), 0.01)
    evidence["means"] = as_array(models)


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
    facts = {
        "kept": lambda: _kept(seed, [*came.values()], carried),
        "mode": lambda: came[True].in_mode(seed, False),
        "batches": lambda: came[True].in_batches(seed, BATCH),
        "restored": lambda: _restored(seed, came),
    }
    carried: list[bool] = []

    def means(model: Witness) -> Any:
        value = alone(called(evidence, answer, model, greys(seed, 66, 4), BATCH))
        carried.append(getattr(value, "requires_grad", False))
        return value

    for model in came.values():
        record(evidence, "means", means, model)
        if not model.modes:
            evidence["means"] = np.array(NEVER)
        if evidence["means"].dtype.kind == "U":
            evidence.update(dict.fromkeys(facts, evidence["means"]))
            return
    for name, found in facts.items():
        record(evidence, name, found)


def _kept(seed: int, models: list[Witness], carried: list[bool]) -> float:
    """The fact that neither the means nor the models show that gradients were on or off."""
    if any(carried):
        raise NotNumbers("The means still carry a gradient: encode without recording one.")
    if not all(weight.requires_grad for model in models for weight in model.parameters()):
        raise NotNumbers("The weights stay frozen after the call: leave them as they are.")
    return fact(seed, "kept", True)


def _restored(seed: int, came: dict[bool, Witness]) -> float:
    """The fact that each model is in the mode that it came in."""
    for mode, model in came.items():
        if model.training != mode:
            raise NotNumbers(f"The model came in {MODES[mode]} mode and is left in {MODES[not mode]} mode.")
        if model.inside.training != mode:
            raise NotNumbers("The mode is put back on top only: model.train(mode) reaches what is inside.")
    return fact(seed, "restored", True)


MODES = {True: "training", False: "evaluation"}


# --- 7.7 confusion ----------------------------------------------------------------------------------


def drawn_classes(seed: int) -> tuple[Tensor, Tensor]:
    """97 true labels among 4 classes and predictions that name only the first two."""
    g = generator(seed, 4)
    return torch.randint(4, (97,), generator=g), torch.randint(2, (97,), generator=g)


def probe_confusion(evidence: Evidence, answer: Any, seed: int) -> None:
    for key, num_classes in (("counts", 4), ("absent", 5)):
        true, predicted = drawn_classes(seed)
        record(evidence, key, answer, true, predicted, num_classes)
        evidence[f"{key} labels"] = as_array([true, predicted])


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

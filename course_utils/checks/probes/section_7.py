"""Section 7: the conditional VAE, counting active units, collecting means, the confusion matrix; predictions
of what a label and what the size of a code do.

The decoder and the encoder that an answer is given are tiny and known exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import Evidence, NotNumbers, alone, as_array, one, record
from course_utils.checks.probes.inputs import generator
from course_utils.checks.probes.predictions import prediction

# --- 7.1 MyCVAE -------------------------------------------------------------------------------------


def cvaes(seed: int) -> dict[str, layers.Case]:
    """The conditional VAE, also for a batch without the last class, for one image and for two classes.

    Images and codes come with labels of their own: who remembers one of the two, shows."""

    def case(sizes: tuple[int, int], of_images: list[int], of_codes: list[int]) -> layers.Case:
        x, z = layers.images(seed, len(of_images)), layers.codes(seed, len(of_codes), sizes[0])
        calls = layers.of_vae((x, torch.tensor(of_images)), (z, torch.tensor(of_codes)))
        return layers.Case(sizes, calls)

    return {
        "main": case((20, 4), [2, 0, 3, 1, 0], [1, 3, 0, 2, 3]),
        "a batch without the last class": case((20, 4), [1, 0, 1], [0, 2, 0]),
        "one image, latent_dim = 1 and two classes": case((1, 2), [0], [1]),
    }


def probe_my_cvae(evidence: Evidence, answer: Any, seed: int) -> None:
    layers.probe(evidence, answer, seed, cvaes(seed))


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


def drawn_images(seed: int) -> Tensor:
    return torch.rand(97, 1, 28, 28, generator=generator(seed, 3))


def probe_posterior_means(evidence: Evidence, answer: Any, seed: int) -> None:
    images = drawn_images(seed)

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

    record(evidence, "all", one(answer), _Encoder(BATCH).eval(), images, BATCH)
    record(evidence, "one", one(answer), _Encoder(500).eval(), images[:1], 500)
    record(evidence, "gradient", gradient)
    record(evidence, "training", one(answer), _Encoder(97).train(), images, 97)
    record(evidence, "modes", modes)


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

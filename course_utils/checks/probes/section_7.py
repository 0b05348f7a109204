"""Section 7: the conditional VAE, counting active units, collecting means, the confusion matrix, the race;
predictions of what a label, the size of a code and changes to a training loop do.

The decoder and the encoder that an answer is given are tiny and known exactly, but for the race's network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils import objectives
from course_utils.checks.probes import layers
from course_utils.checks.probes.evidence import (
    AGAIN,
    Evidence,
    NotNumbers,
    as_array,
    look,
    looking_at,
    note,
    one,
    record,
)
from course_utils.checks.probes.inputs import fact, generator
from course_utils.checks.probes.predictions import prediction
from course_utils.checks.probes.witness import Witness, greys
from course_utils.engine import race

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


# --- 7.2 request_digits -----------------------------------------------------------------------------


SLOPES = torch.randn(12, 784, generator=generator(0, 8)).requires_grad_()


def decode(z: Tensor, y: Tensor) -> Tensor:
    """As the lesson's: codes (N, 2) and labels (N,) below 10, whole numbers, to logits (N, 1, 28, 28). Every
    pixel has a slope of its own in z, and in each label."""
    return (torch.cat([z, F.one_hot(y, 10)], dim=1) @ SLOPES).view(-1, 1, 28, 28)


def request_looks(seed: int) -> dict[str, tuple[Any, Tensor, Tensor]]:
    """decode, labels (C,) and codes (R, 2); in "mixed" a label comes twice, and they are in no order."""
    z = torch.randn(9, 2, generator=generator(seed, 1))
    return {
        "grid": (decode, torch.tensor([1, 4, 7]), z[:2]),
        "square": (decode, torch.tensor([0, 2, 9]), z[2:5]),
        "mixed": (decode, torch.tensor([5, 2, 5]), z[5:8]),
        "one z": (decode, torch.tensor([3, 8]), z[8:]),
        "one": (decode, torch.tensor([6]), z[:1]),
    }


# --- 7.4 count_active -------------------------------------------------------------------------------


IMAGES, DIMENSIONS, MODELS = 29, 40, 6
# Standard deviations from these to 1.4 times as much. At the threshold 0.01 the first four do not count, but
# the range, the deviation itself, the sum of squares or the largest of them lies above it for some.
DEVIATIONS = torch.tensor([1e-4, 0.004, 0.012, 0.022, 0.104, 0.3, 1.2])


def drawn_means(seed: int, stream: int, images: int = IMAGES, dimensions: int = DIMENSIONS) -> Tensor:
    """Means (models, images, dimensions), each model with a mixture of deviations of its own; every other
    dimension lies 1 to 2 from 0. One image lies far out; the first model's means vary most, the first and
    the last of them too."""
    g = generator(seed, stream)
    weights = torch.rand(MODELS, len(DEVIATIONS), generator=g)
    weights[0, -1] += 12
    kinds = torch.multinomial(weights, dimensions, True, generator=g)
    kinds[0, 0] = kinds[0, -1] = len(DEVIATIONS) - 1
    scale = DEVIATIONS[kinds] * (1 + 0.4 * torch.rand(MODELS, dimensions, generator=g))
    offset = (1 + torch.rand(MODELS, dimensions, generator=g)) * ((torch.arange(dimensions) + stream) % 2)
    noise = torch.randn(MODELS, images, dimensions, generator=g)
    noise[:, images // 2] *= 4
    noise = (noise - noise.mean(1, keepdim=True)) / noise.std(1, keepdim=True)
    return offset.unsqueeze(1) + scale.unsqueeze(1) * noise


def count_looks(seed: int) -> dict[str, tuple[Tensor, float]]:
    """Means (models, N, d) and a threshold. "strict": neither variances nor deviations lie near it; "tie":
    some variances are 0, not more than 0; "late": only the last 100 of 230 images vary; "far": 1,000 from 0;
    "one": one dimension; "skewed": 13 images apart."""
    g = generator(seed, 4)
    whole = torch.randint(-2, 3, (MODELS, IMAGES, DIMENSIONS), generator=g).float()
    still = torch.rand(MODELS, 1, DIMENSIONS, generator=g) < 0.1 + 0.8 * torch.rand(MODELS, 1, 1, generator=g)
    late = 2 * drawn_means(seed, 22, 230)  # then no variance is near the threshold
    late[:, :130] = late.mean(1, keepdim=True)
    # so many lie apart, from median and mean
    few = torch.rand(MODELS, IMAGES, DIMENSIONS, generator=g).argsort(1) < 13
    apart = torch.where(torch.rand(MODELS, 1, DIMENSIONS, generator=g) < 0.5, 0.6, 1.4)
    return {
        "skewed": (few * (apart * 0.01 / (13 * 16 / 29**2)).sqrt(), 0.01),
        "count": (drawn_means(seed, 20), 0.01),
        "strict": (drawn_means(seed, 21), 0.45 + 0.3 * float(torch.rand((), generator=g))),
        "tie": (torch.where(still, whole[:, :1], whole), 0.0),
        "late": (late, 0.01),
        "far": (drawn_means(seed, 24) + 1000, 0.01),
        "one": (torch.cat([drawn_means(seed, stream, dimensions=1) for stream in (26, 27)]), 0.01),
    }


def for_each_model(answer: Callable[..., Any]) -> Callable[..., list[float]]:
    def counts(models: Tensor, threshold: float) -> list[float]:
        found = [as_array(answer(mu, threshold)) for mu in models]
        for count in found:
            if count.size != 1:
                raise NotNumbers(f"It returned {count.size} values: return one number, the count.")
        return [count.item() for count in found]

    return counts


# --- 7.6 posterior_means ----------------------------------------------------------------------------


BATCH = 7  # less than there are batches: who takes it for their number shows


def means_looks(seed: int) -> dict[str, tuple[Witness, Tensor, int]]:
    """A model in evaluation mode, images (N, 1, 28, 28) and a batch size; in "last one" the last batch is a
    single image."""
    x = greys(seed, 66, 3)
    looks = {"all": (x, BATCH), "few": (x[:5], 500), "one": (x[:1], 500), "last one": (x[:22], BATCH)}
    return {key: (Witness(seed, 3).float().eval(), *given) for key, given in looks.items()}


def probe_posterior_means(evidence: Evidence, answer: Any, seed: int) -> None:
    looks = means_looks(seed)
    look(evidence, one(answer), looks)
    came = {"training": Witness(seed, 3).float(), "evaluation": Witness(seed, 3).float().eval()}
    carried: list[bool] = []

    def means(model: Witness) -> Any:
        # Whole batches, whatever comes back: how these are joined is seen above.
        value = answer(model, greys(seed, 9 * BATCH, 4), BATCH)
        if not model.modes:
            raise NotNumbers(
                "A model is given and never called: is a result kept from before, or another used?"
            )
        parts = value if isinstance(value, list | tuple) else [value]
        carried.append(any(getattr(part, "requires_grad", False) for part in parts))
        return value

    for model in came.values():
        record(evidence, "means", means, model)
        if evidence["means"].dtype.kind == "U":
            break
    facts = {
        "kept": lambda: _kept(seed, list(came.values()), carried),
        "mode": lambda: came["training"].in_mode(seed, False),
        "batches": lambda: looks["all"][0].in_batches(seed, BATCH),  # of which the last is smaller
        "restored": lambda: _restored(seed, came),
    }
    for name, found in facts.items():
        if evidence["means"].dtype.kind == "U":  # what stopped the answer
            evidence[name] = evidence["means"]
        else:
            record(evidence, name, found)


def _kept(seed: int, models: list[Witness], carried: list[bool]) -> float:
    """The fact that neither the means nor the models show that gradients were on or off."""
    if any(carried):
        raise NotNumbers("The means still carry a gradient: encode without recording one.")
    if not all(weight.requires_grad for model in models for weight in model.parameters()):
        raise NotNumbers("The weights stay frozen after the call: leave them as they are.")
    return fact(seed, "kept", True)


def _restored(seed: int, came: dict[str, Witness]) -> float:
    """The fact that each model is in the mode that it came in."""
    for mode, model in came.items():
        left = "training" if model.training else "evaluation"
        if left != mode:
            raise NotNumbers(f"The model came in {mode} mode and is left in {left} mode.")
        if model.inside.training != model.training:
            raise NotNumbers("The mode is put back on top only: model.train(mode) reaches what is inside.")
    return fact(seed, "restored", True)


# --- 7.7 confusion ----------------------------------------------------------------------------------


def label_looks(seed: int) -> dict[str, tuple[Any, ...]]:
    """True and predicted labels (N,) and the number of classes. In "again" class 0 is always found, and
    nothing else is taken for it."""
    g = generator(seed, 4)

    def drawn(n: int, *classes: int) -> list[Tensor]:
        return [torch.randint(count, (n,), generator=g) for count in classes]

    true, predicted = drawn(97, 4, 4)
    less, equal, (other, found) = drawn(83, 3, 2), drawn(40, 4, 4), drawn(97, 4, 4)
    return {
        "counts": (true, predicted, 4),
        "again": (other, found.clamp(min=1) * (other > 0), 4),
        "absent": (torch.tensor([1, 2, 4])[less[0]], less[1] + 2, 6),  # 3 is predicted only
        "many": (*(torch.cat([labels, torch.tensor([19])]) for labels in drawn(400, 20, 20)), 20),
        "equal": (*(torch.cat([labels, torch.full((300,), i)]) for i, labels in enumerate(equal)), 4),
    }


# --- 7.12 train -------------------------------------------------------------------------------------


RUNS = ((0, 0), (1, 1), (0, 2))  # network and seed of each run that is judged
LONGER = 3  # than other calls: many small steps are a good answer, also on a slow machine


def shuffled(images: Tensor, seed: int, network: int) -> Tensor:
    """The images with their pixels in an order of this run's: nothing changes for a network of linear layers,
    and weights or images from elsewhere are of no use to it."""
    order = torch.randperm(784, generator=generator(seed, 70 + network))
    return images.flatten(1)[:, order].view_as(images)


def probe_train(evidence: Evidence, answer: Any, seed: int) -> None:
    """Keeps per run i what the network makes of the held-out images, (N, 784 logits + 10 mu + 10 logvar), as
    "run i", and the images' worth of work as "work i". That a call can be repeated is tried on few images."""
    trained_on, held_out = race.images()
    few = trained_on[:256]
    for run, (images, network, number) in enumerate(
        [*((trained_on, *each) for each in RUNS), (few, *RUNS[0]), (few, *RUNS[0])]
    ):
        model, unseen = race.network(10 * seed + network), shuffled(held_out, seed, network)

        def raced(images: Tensor, run: int = run, number: int = number, model: Any = model) -> Tensor:
            with torch.random.fork_rng():
                torch.manual_seed(run)  # who draws without the seed that is given draws otherwise each time
                try:
                    with race.Work(2 * race.BUDGET) as work:
                        answer(model, images, 10 * seed + number)
                except race.Overspent as problem:
                    raise NotNumbers(str(problem)) from None
            evidence[f"work{run}"] = as_array(work.images)
            return _drawn(model, unseen, seed)  # noqa: B023 - called at once

        record(evidence, f"run{run}", raced, shuffled(images, seed, network), times_longer=LONGER)
    first, again = evidence[f"run{len(RUNS)}"], evidence[f"run{len(RUNS) + 1}"]
    if first.dtype.kind == "U" and evidence["run0"].dtype.kind == "f":
        note(evidence, f"With {len(few)} images: {first}")
    if first.dtype.kind == again.dtype.kind == "f" and not np.allclose(first, again, 1e-2, 1e-2, True):
        note(evidence, AGAIN)


@torch.no_grad()
def _drawn(model: Any, x: Tensor, seed: int) -> Tensor:
    """By a network with these weights, and with the layers that it had."""
    fresh = race.network(0)
    try:
        fresh.load_state_dict(model.state_dict())
    except Exception:
        raise NotNumbers("It changes the layers of the network: train those that it has.") from None
    mu, logvar = fresh.encode(x)
    eps = torch.randn(mu.shape, generator=generator(seed, 75))
    logits = fresh.decode(objectives.reparameterize(mu, logvar, eps)).flatten(1)
    return torch.cat([logits, mu, logvar], dim=1).half()


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

WAYS = ("plain", "one-cycle", "growing batches", "Muon")

RACE_OFFERED = {
    "fewest steps": WAYS,
    "fewest images": WAYS,
    "fewest processor seconds": WAYS,
    "plain: steps of the slowest seed over those of the fastest": (
        "less than 1.05",
        "1.05 to 1.5",
        "more than 1.5",
    ),
}

PROBES = {
    "MyCVAE": partial(layers.probe, cvaes),
    "request_digits": looking_at(request_looks, one),
    "count_active": looking_at(count_looks, for_each_model),
    "posterior_means": probe_posterior_means,
    "confusion": looking_at(label_looks, one),
    "predict_label": prediction(LABEL_OFFERED),
    "predict_dimensions": prediction(DIMENSIONS_OFFERED),
    "predict_race": prediction(RACE_OFFERED),
    "train": probe_train,
}

"""`course reproduce`: figures of the literature, trained again, and reference runs of the course's own.

Published are figures of Burda, Grosse & Salakhutdinov 2016 (arXiv:1509.00519): pixels drawn anew in every
step, importance-weighted bounds, judged on test images binarised once. The reference runs have grey pixels.
docs/measurements.md says how each is done; every result is kept at once in `build/reproduce/`, and a call
after an interruption goes on from there. Figures are nats per MNIST test image, lower is better.
"""

import _thread
import math
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from course_utils import evaluation, files, models, objectives, settings
from course_utils.data import Dataset
from course_utils.engine import cache, fast
from course_utils.models import PIXELS, Model
from courseware import record

SHORT, FULL = 10, 3280
SAMPLES = 5000
RATES = (1e-3, 2e-3, 5e-3)  # from which one is chosen on a twentieth of the training images, by fewer samples
FEWER = 500

BURDA = "Burda et al. 2016, 3,280 epochs"
Network = Callable[[], Model]


@dataclass(frozen=True)
class Figure:
    """Nats per test image of one training; where `source` has `published` it, why ours may lie elsewhere."""

    title: str
    published: float | None = None
    source: str = ""
    why: str = ""


class Experiment(NamedTuple):
    """One training and the figures that `train` gives, at one of these learning rates if there are any."""

    name: str
    figures: tuple[Figure, ...]
    train: Callable[..., list[float]]
    rates: tuple[float, ...] = ()


class Mlp(models.VAE):
    """784-hidden-latent and mirrored back: the networks that papers give as a row of sizes."""

    def __init__(self, hidden: tuple[int, ...], latent_dim: int, activation: type[nn.Module]) -> None:
        nn.Module.__init__(self)  # VAE's own would draw weights for layers that are not used
        self.latent_dim = latent_dim
        self.encoder = models.dense(PIXELS, *hidden, activation=activation).append(activation())
        self.fc_mu = nn.Linear(hidden[-1], latent_dim)
        self.fc_logvar = nn.Linear(hidden[-1], latent_dim)
        self.decoder = models.dense(latent_dim, *reversed(hidden), PIXELS, activation=activation)


def grey(
    dataset: Dataset, seed: int, *, network: Network, images: int | None = None, **recipe: int
) -> dict[str, list[float]]:
    """-ELBO on the test images and its parts after every epoch of a training with Adam at 0.001."""
    torch.manual_seed(seed)
    model, train = network().to(dataset.train_images.device), dataset.train_images[:images]
    always: Any = {"test_images": dataset.test_images, "seed": seed, "recorded": True}
    return cache.fit(model, train, objectives.negative_elbo, **always, **recipe).test


def after(dataset: Dataset, seed: int, *, epochs: tuple[int, ...], network: Network) -> list[float]:
    """-ELBO after each of these epochs of one training."""
    losses = grey(dataset, seed, network=network, epochs=max(epochs))["loss"]
    return [losses[epoch - 1] for epoch in epochs]


def on_few_images(dataset: Dataset, seed: int, *, network: Network) -> list[float]:
    """-ELBO, reconstruction and KL with batches of 64, -ELBO with batches of 128: 5,000 images, 30 epochs."""
    few = partial(grey, dataset, seed, network=network, epochs=30, images=5000)
    small, large = few(batch_size=64), few(batch_size=128)
    return [*(small[term][-1] for term in ("loss", "reconstruction", "kl")), large["loss"][-1]]


def for_choices(dataset: Dataset, share: float = 0.2) -> Dataset:
    """A part of the training images to train with, and as test images the validation part."""
    rows, held_out = dataset.validation_split(share)
    images, labels = dataset.train_images, dataset.train_labels
    training, testing = (images[rows], labels[rows]), (images[held_out], labels[held_out])
    return Dataset(dataset.name, *training, *testing, dataset.class_names, dataset.source)


def dynamic(model: Model, x: Tensor, *, samples: int) -> objectives.Single:
    """What an importance-weighted autoencoder descends, in nats, on pixels that are drawn anew each time."""
    return objectives.doubly_reparameterized(model, torch.bernoulli(x), samples)


def burda_schedule(share: float) -> float:
    """Their learning rate as a share of the first: 10^(-i/7) for 3^i epochs, i = 0 to 7, 3,280 in all."""
    epoch = min(int(share * FULL), FULL - 1)
    return 10 ** (-int(math.log(2 * epoch + 1, 3) + 1e-9) / 7)


def importance_weighted(
    dataset: Dataset, seed: int, rate: float = 1e-3, *, samples: int, epochs: int, judged: int = SAMPLES
) -> list[float]:
    """-log p(x) of test images by `judged` importance samples, after a training with `samples`."""
    torch.manual_seed(seed)
    model, images = Mlp((200, 200), 50, nn.Tanh).to(dataset.train_images.device), dataset.train_images
    if epochs == FULL:
        recipe: dict[str, Any] = {"batch_size": 20, "schedule": burda_schedule}
    else:
        late = epochs // 4
        recipe = {"batch_size": [128] * (epochs - late) + [min(512, len(images))] * late}
        recipe |= {"betas": (0.9, 0.99), "schedule": fast.one_cycle}
        fast.start(model, images)
    recipe |= {"epochs": epochs, "learning_rate": rate, "seed": seed}
    # Python does the same in every step of `dynamic`, so a GPU may record one.
    cache.fit(model, images, partial(dynamic, samples=samples), recorded=True, **recipe)
    binary = evaluation.binarize(dataset.test_images)
    return [-evaluation.log_likelihood(model, binary, samples=judged).mean]


def experiments(epochs: int = SHORT, names: tuple[str, ...] = ()) -> list[Experiment]:
    """All of them, the cheap ones first, or those of these names, Burda's networks with so many epochs."""
    small, twenty = partial(Mlp, (400,), 20, nn.ReLU), partial(models.VAE, 20)
    example = (Figure("784-400-20, 10 epochs"),)
    course = (Figure("784-512-256-20, 10 epochs"), Figure("784-512-256-20, 20 epochs"))
    why = "Reimplementations differ by 1.4 nats at k = 1 and 0.2 at k = 50."
    if epochs != FULL:
        why = f"The schedule is shorter: {epochs:,} epochs instead of {FULL:,}."
    planned = [
        Experiment("784-400-20", example, partial(after, epochs=(10,), network=small)),
        Experiment("784-512-256-20", course, partial(after, epochs=(10, 20), network=twenty)),
    ]
    for latents in (20, 2):
        titles = (" images, 30 epochs, batch 64", ": its reconstruction", ": its KL", ", batch 128")
        figures = tuple(Figure(f"784-512-256-{latents} on 5,000{title}") for title in titles)
        few = partial(on_few_images, network=partial(models.VAE, latents))
        planned.append(Experiment(f"5,000 images, {latents} latents, two batch sizes", figures, few))
    for name, samples, nats in (("VAE", 1, 86.76), ("IWAE-5", 5, 85.54), ("IWAE-50", 50, 84.78)):
        figure = Figure(f"{name}, 784-200-200-50, {epochs:,} epochs", nats, BURDA, why)
        train = partial(importance_weighted, samples=samples, epochs=epochs)
        rates = RATES if epochs != FULL else ()
        planned.append(Experiment(f"{name}, {epochs:,} epochs", (figure,), train, rates))
    for name in names:
        settings.one_of("experiment", name, [experiment.name for experiment in planned])
    return [experiment for experiment in planned if not names or experiment.name in names]


@dataclass(frozen=True, kw_only=True)
class Reproduction(Figure):
    """A figure as `experiment` gave it: one result per seed, nats per test image, trained on `device`."""

    experiment: str
    found: list[float]
    device: str
    rate: float | None = None  # chosen on validation images

    @property
    def mean(self) -> float:
        return statistics.fmean(self.found)

    @property
    def spread(self) -> float:
        """Standard deviation over seeds."""
        return statistics.stdev(self.found)

    @property
    def difference(self) -> float:
        """From the published figure; nan where there is none."""
        return self.mean - (math.nan if self.published is None else self.published)


def run(
    dataset: Dataset, planned: list[Experiment], seeds: int, file: Path, say: record.Say, minutes: float = 1e4
) -> list[Reproduction]:
    """Train what `file` does not hold yet, as far as these minutes reach, and keep each result there at once.

    All figures of what was trained at least twice; what was not run is said.
    """
    here = {"torch": torch.__version__, "device": settings.device_name(), "candidates": list(RATES)}
    kept = {"results": {}, "rates": {}} | record.begun(file, **here)
    with within(minutes):
        for experiment in planned:
            _train(dataset, experiment, seeds, file, kept, say)
    found = []
    for experiment in planned:
        results = kept["results"].get(experiment.name, {})
        if missing := [str(seed) for seed in range(seeds) if str(seed) not in results]:
            say(f"NOT RUN in {minutes:g} minutes: {experiment.name}, seed {', '.join(missing)}.")
        if len(results) > 1:
            here_too = {"experiment": experiment.name, "device": kept["device"]}
            here_too["rate"] = best(kept["rates"][experiment.name])
            for figure, *ours in zip(experiment.figures, *results.values(), strict=True):
                found.append(Reproduction(**vars(figure) | here_too, found=ours))
    return found


@contextmanager
def within(minutes: float) -> Iterator[None]:
    """After so many minutes leave the block, as the stop button would: an epoch's work is lost."""
    end = time.monotonic() + 60 * minutes
    clock = threading.Timer(60 * minutes, _thread.interrupt_main)
    # A process that was started in the background may have been told to ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    clock.start()
    try:
        yield
    except KeyboardInterrupt:
        if time.monotonic() < end:
            raise
    finally:
        clock.cancel()
        signal.signal(signal.SIGINT, before)


def _train(
    dataset: Dataset, experiment: Experiment, seeds: int, file: Path, kept: dict[str, Any], say: record.Say
) -> None:
    """What is not `kept` yet of one experiment: first the trainings that choose a rate."""
    name = experiment.name
    tried, results = kept["rates"].setdefault(name, {}), kept["results"].setdefault(name, {})
    for rate in [rate for rate in experiment.rates if str(rate) not in tried]:
        (tried[str(rate)],) = experiment.train(for_choices(dataset, 0.05), 0, rate, judged=FEWER)
        record.keep(file, kept)
        say(f"{name}, rate {rate:g}: {tried[str(rate)]:.2f} on validation images")
    for seed in range(seeds):
        if len(results.get(str(seed), [])) != len(experiment.figures):
            chosen = [best(tried)] if tried else []
            results[str(seed)] = experiment.train(dataset, seed, *chosen)
            record.keep(file, kept)
        say(f"{name}, seed {seed}: {', '.join(f'{nats:.2f}' for nats in results[str(seed)])}")


def best(tried: dict[str, float]) -> float | None:
    """The rate that was best on validation images, if one was to be chosen."""
    return float(min(tried, key=lambda rate: tried[rate])) if tried else None


def notes(found: Iterable[Reproduction]) -> list[str]:
    """A sentence for each published figure that could not be one more seed of ours: three spreads off."""
    return [
        f"{row.title}: {abs(row.difference):.2f} nats {'above' if row.difference > 0 else 'below'} the "
        f"published figure. {row.why}{f' Learning rate: {row.rate:g}.' if row.rate else ''}"
        for row in found
        if abs(row.difference) > 3 * row.spread
    ]


def tables(found: Iterable[Reproduction]) -> dict[str, list[tuple[str, ...]]]:
    """Heads and rows, nats per MNIST test image: ours beside what is published, and the reference runs."""
    heads = "what", "published", "ours, mean ± spread", "difference", "on", "published by"
    published: list[tuple[str, ...]] = [heads]
    reference: list[tuple[str, ...]] = [("what", "mean ± spread", "seeds", "on", "course reproduce --only")]
    for one in found:
        ours = f"{one.mean:.2f} ± {one.spread:.2f}"
        if one.published is None:
            seeds = f"0 to {len(one.found) - 1}"
            reference.append((one.title, ours, seeds, one.device, f"'{one.experiment}'"))
        else:
            figures = f"{one.published:.2f}", ours, f"{one.difference:+.2f}"
            published.append((one.title, *figures, one.device, one.source))
    both = {"Reference runs": reference, "Published figures": published}
    return {name: rows for name, rows in both.items() if rows[1:]}


def markdown(found: list[Reproduction]) -> str:
    """The figures as documents and lessons show them, and what is to be said of those beyond chance."""
    parts = [f"**{name}**\n\n{record.table(rows[0], rows[1:])}" for name, rows in tables(found).items()]
    return "\n\n".join([*parts, *notes(found)])


FIGURES = record.Measurement[list[Reproduction]](
    "reproduced",
    lambda kept: [Reproduction(**one) for one in kept or []],
    lambda found: {"reproduced": markdown(found)},
)


def store(root: Path, found: list[Reproduction]) -> None:
    """Keep and quote the figures, beside those of other experiments; section 3 shows docs/reproduced.md."""
    by_title = {one.title: one for one in FIGURES.stored(root) + found}
    planned = [figure.title for experiment in experiments() for figure in experiment.figures]
    order = [*planned, *by_title]
    figures = sorted(by_title.values(), key=lambda one: order.index(one.title))
    FIGURES.store(root, figures)
    files.write(root / "docs" / "reproduced.md", markdown(figures) + "\n")

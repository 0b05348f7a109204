"""The training loop, written to be read: `fit` is what runs under every training of the course.

Draw a batch, compute the loss, step down its gradient, and record what came of it; whatever else a training
needs, observers do. Images are one tensor on one device, so a batch is a row selection.

The lessons call `engine.cache.fit`, which keeps what is trained. It calls `engine.fast.fit`, which takes less
time and shows how it goes, and that calls `fit`.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from course_utils.models import Model, judged
from course_utils.settings import CourseError

Loss: TypeAlias = Callable[..., Any]  # (model, *batch) to a named tuple whose first field is to be descended
Step: TypeAlias = Callable[..., Any]  # (share of training done, *batch) to the terms of the loss
Watch: TypeAlias = Callable[[Any], Mapping[str, Any]]  # a model to numbers or lists of them, by name

LOOK = 50  # steps from one look at the loss to the next; each makes a GPU wait


@dataclass
class History:
    """What happened in each epoch; every list has one entry per epoch.

    `train` and `test` map the names of the loss's terms ('loss', and for a VAE 'reconstruction' and 'kl') to
    their averages over images: `train` while the weights still move, `test`, empty without test images, after
    the epoch with beta = 1. `watched` is what `watch` returned; `seconds` add up those of training.
    """

    train: dict[str, list[float]] = field(default_factory=dict)
    test: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    watched: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        return len(self.seconds)

    def __repr__(self) -> str:
        terms = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.train.items())
        return f"{self.epochs} epochs in {self.seconds[-1]:.0f} s; last epoch's training average: {terms}"


@dataclass
class State:
    """With the random numbers to come, all that decides how a training goes on; and how far it is."""

    model: Model
    optimizer: Optimizer
    history: History
    images: int  # in an epoch
    epochs: int  # when it is done
    seen: int = 0  # images, over all epochs

    @property
    def share(self) -> float:
        """Of the training that is done: from 0 to 1."""
        return self.seen / (self.images * self.epochs)


class Observer:
    """What a training tells of itself: those who listen override what they want to hear."""

    def start(self, state: State) -> None:
        """Before the first step. Who has kept an earlier training may put `state` where that stood."""

    def step(self, state: State, terms: Any, images: int) -> None:
        """After a step on so many images; `terms` are those of the loss."""

    def epoch(self, state: State) -> None:
        """After an epoch."""


def descend(model: Model, loss: Loss, optimizer: Optimizer, *batch: Tensor, **now: float) -> Any:
    """One step down the gradient of the loss on a batch; returns the terms of the loss."""
    terms = loss(model, *batch, **now)
    optimizer.zero_grad()
    terms[0].backward()
    optimizer.step()
    return terms


def adam(model: Model, loss: Loss, learning_rate: float) -> tuple[Optimizer, Step]:
    """Adam, and what `fit` does with it for every batch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)

    def step(share: float, *batch: Tensor) -> Any:
        return descend(model, loss, optimizer, *batch, **keywords(loss, share))

    return optimizer, step


def fit(
    model: Model,
    images: Tensor,
    loss: Loss,
    *,
    epochs: int,
    labels: Tensor | None = None,
    test_images: Tensor | None = None,
    test_labels: Tensor | None = None,
    watch: Watch | None = None,
    batch_size: int | Sequence[int] = 128,
    learning_rate: float = 1e-3,
    seed: int = 0,
    descent: Callable[[Model, Loss, float], tuple[Optimizer, Step]] = adam,
    observers: Sequence[Observer] = (),
) -> History:
    """Train `model` in place with Adam and return the record of its epochs.

    `loss(model, x)` returns a named tuple whose first field is the scalar to descend, such as
    `objectives.negative_elbo`; with `labels` it is called as `loss(model, x, y)`. A beta that changes as
    training goes on is the loss's own: `Scheduled`. After every epoch the loss of `test_images` is recorded,
    and so are the numbers that `watch(model)` returns. `batch_size` may be a list with an entry per epoch.
    Images (N, 1, 28, 28) live on the model's device. `seed` fixes the order of batches and the noise, not the
    initial weights. Raises CourseError for settings that cannot work, before the first step, and for a loss
    that diverges or is no number.
    """
    for problem in problems(model, images, epochs, batch_size, learning_rate):
        raise CourseError(problem)
    torch.manual_seed(seed)
    pairs = (images, labels), (test_images, test_labels)
    data, held_out = ([tensor for tensor in pair if tensor is not None] for pair in pairs)
    optimizer, step = descent(model, loss, learning_rate)
    history = History()
    state = State(model, optimizer, history, len(images), epochs)
    observers = [Guard(), *observers]
    for observer in observers:
        observer.start(state)

    model.train()
    sizes = [batch_size] * epochs if isinstance(batch_size, int) else batch_size
    for size in sizes[history.epochs :]:
        sums: Any = 0.0  # they stay on the device: to read a number makes a GPU wait
        began = time.perf_counter()
        for rows in torch.randperm(len(images), device=images.device).split(size):
            terms = step(state.share, *(tensor[rows] for tensor in data))
            sums = sums + torch.stack(terms).detach() * len(rows)
            state.seen += len(rows)
            for observer in observers:
                observer.step(state, terms, len(rows))
        averages = [total / len(images) for total in sums.tolist()]  # waits for the device, ...
        seconds = time.perf_counter() - began  # ... so that this is the time it took
        history.seconds.append(seconds + sum(history.seconds[-1:]))
        append(history.train, dict(zip(terms._fields, averages, strict=True)))
        if held_out:
            append(history.test, average(model, loss, *held_out))
        if watch is not None:
            with judged(model, seed=0):  # with noise of its own: the training goes as if unwatched
                append(history.watched, watch(model))
        for observer in observers:
            observer.epoch(state)
    model.eval()
    return history


@dataclass(frozen=True)
class Scheduled:
    """A loss whose beta follows a schedule: a function of the share of training done, from 0 to 1.

    `Scheduled(objectives.negative_elbo, partial(warm_up, share=0.5, top=1.0))`: test images see it without.
    """

    loss: Loss
    beta: Callable[[float], float]

    def __call__(self, model: Model, *batch: Tensor, **now: Any) -> Any:
        return self.loss(model, *batch, **now)


def keywords(loss: Loss, share: float) -> dict[str, float]:
    """What a step tells the loss besides the batch: its beta at this share of the training, if it has one."""
    return {"beta": loss.beta(share)} if isinstance(loss, Scheduled) else {}


def warm_up(t: float, share: float, top: float) -> float:
    """KL warm-up: beta rises from 0 in a straight line to `top` at t = `share` of the training, and stays."""
    return top * min(1.0, t / share)  # (Bowman et al. 2016, arXiv:1511.06349)


class Guard(Observer):
    """Stops a training whose loss is no number, or ten times what it began with, by a CourseError."""

    def __init__(self) -> None:
        self.steps, self.first = itertools.count(), math.nan

    def step(self, state: State, terms: Any, images: int) -> None:
        if next(self.steps) % LOOK == 0:
            self.check(terms[0].item(), state.history.epochs + 1)

    def epoch(self, state: State) -> None:
        self.check(next(iter(state.history.train.values()))[-1], state.history.epochs)

    def check(self, loss: float, epoch: int) -> None:
        """Compare `loss` with the first that was finite."""
        if not math.isfinite(loss):
            raise CourseError(
                f"The loss is {loss} in epoch {epoch}: lower the learning rate, or look for a log of 0 or a "
                "division by 0 in the loss."
            )
        if math.isnan(self.first):
            self.first = loss
        if loss > 10 * abs(self.first) + 1:  # + 1 nat: a loss may begin at 0
            risen = f"The loss has risen from {self.first:.4g} to {loss:.4g} in epoch {epoch}"
            raise CourseError(f"{risen}: training diverges; lower the learning rate.")


def append(record: dict[str, list[Any]], values: Mapping[str, Any]) -> None:
    """One more entry under each name."""
    for name, value in values.items():
        record.setdefault(name, []).append(value)


def average(model: Model, loss: Loss, *data: Tensor, batch_size: int = 1000) -> dict[str, float]:
    """The terms of `loss` averaged over all images; its mode and the random state stay as they were."""
    sums: dict[str, float] = {}
    with judged(model, seed=0):
        for batch in zip(*(tensor.split(batch_size) for tensor in data), strict=True):
            for name, value in loss(model, *batch)._asdict().items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(batch[0])
    return {name: total / len(data[0]) for name, total in sums.items()}


def problems(
    model: Model, images: Tensor, epochs: int, batch_size: int | Sequence[int], learning_rate: float
) -> Iterator[str]:
    """What a training cannot work with: the first of these sentences is what the reader gets."""
    if images.ndim != 4 or not len(images):
        yield f"Images have shape {tuple(images.shape)}; they need to be (N, 1, 28, 28), N > 0."
    if not images.is_floating_point():
        yield f"Images are {images.dtype}: turn them into floats in [0, 1] (images / 255)."
    for device in {parameter.device for parameter in model.parameters()} - {images.device}:
        both = f"The model is on {device} and the images are on {images.device}"
        yield f"{both}: move one of them with .to(device)."
    low, high = (value.item() for value in images.aminmax())
    if not 0 <= low <= high <= 1:  # also where a pixel is NaN
        yield f"Pixels reach from {low:.4g} to {high:.4g}: scale the images to [0, 1]."
    if epochs < 1:
        yield f"epochs is {epochs}: ask for at least one."
    sizes = [batch_size] * epochs if isinstance(batch_size, int) else batch_size
    if len(sizes) != epochs:
        yield f"{len(sizes)} batch sizes for {epochs} epochs: give one number, or one each."
    if not 1 <= min(sizes) <= max(sizes) <= len(images):
        yield f"batch_size is {batch_size}: it has to lie between 1 and the {len(images):,} images there are."
    if not 0 < learning_rate < math.inf:
        yield f"learning_rate is {learning_rate}: it has to be a positive number."

"""The training loop, written to be read.

`fit` is the loop of sections 1 and 3: draw a batch, compute the loss, step down its gradient. `run` adds
what any loop needs, a record of every epoch, a look at the loss, and a view of both (`feedback`). Images are
one tensor on one device, so a batch is a row selection and costs nothing beside the model.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from course_utils.engine import watching
from course_utils.models import Model
from course_utils.settings import CourseError

Watch = Callable[[Model], Mapping[str, Any]]  # numbers or lists of them, by name

LOOK = 50  # steps from one look at the loss to the next; each makes a GPU wait


@dataclass
class History:
    """What happened in each epoch; every list has one entry per epoch.

    `train` and `test` map the names of the loss's terms ('loss', and for a VAE 'reconstruction' and
    'kl') to their averages over images; `train` is averaged while the weights still move, `test` is
    taken after the epoch with beta = 1 and is empty unless test images were given. `watched` holds what
    the caller's own `watch` returned after each epoch. `seconds` counts training alone, from the start.
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
    """With the random numbers to come, all that decides how a training goes on."""

    model: Model
    optimizer: torch.optim.Optimizer
    history: History


class Checkpoint(Protocol):
    """Where a training leaves its state after every epoch, and finds it again."""

    def restore(self, state: State) -> None:
        """Put `state` where it was after the last epoch saved; leave it as it is if there is none."""

    def save(self, state: State) -> None:
        """Keep `state` as it is now."""


def fit(
    model: Model,
    images: Tensor,
    loss: Callable[..., Any],
    *,
    epochs: int,
    labels: Tensor | None = None,
    beta: Callable[[float], float] | None = None,
    test_images: Tensor | None = None,
    test_labels: Tensor | None = None,
    watch: Watch | None = None,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Train `model` in place with Adam and return the record of its epochs.

    `loss(model, x)` returns a named tuple whose first field is the scalar to descend, such as
    `objectives.negative_elbo`; with `labels` it is called as `loss(model, x, y)`. `beta`, if given, is
    a schedule: a function of the share of training done, from 0 to 1, whose value goes to the loss as
    its keyword `beta`. `watch(model)` is called after every epoch; the numbers it returns are recorded.
    Images (N, 1, 28, 28) live on the model's device. `seed` fixes the order of batches and the noise; the
    model's initial weights are the caller's to seed. From a `checkpoint` (see `cache`) the training goes on
    after the last epoch that is there.

    Raises CourseError, before the first step, for settings that cannot work, and within the first steps for
    a loss that diverges or is no number.
    """
    check_request(model, images, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)

    def step(share: float, *batch: Tensor) -> Any:
        schedule = {} if beta is None else {"beta": beta(share)}
        terms = loss(model, *batch, **schedule)
        optimizer.zero_grad()
        terms[0].backward()
        optimizer.step()
        return terms

    data = (images,) if labels is None else (images, labels)
    held_out = tuple(tensor for tensor in (test_images, test_labels) if tensor is not None)
    state = State(model, optimizer, History())
    return run(state, step, loss, data, held_out, watch, [batch_size] * epochs, checkpoint)


def run(
    state: State,
    step: Callable[..., Any],
    loss: Callable[..., Any],
    data: tuple[Tensor, ...],
    held_out: tuple[Tensor, ...],
    watch: Watch | None,
    batch_sizes: Sequence[int],
    checkpoint: Checkpoint | None,
) -> History:
    """Every image once an epoch, in an order drawn anew; what each epoch gave is recorded and kept.

    `step(share, *batch)` makes one step at a share of the training, from 0 to 1, and returns the terms of
    the loss. `held_out` is judged by `loss` after every epoch, and the model looked at by `watch`.
    `batch_sizes` has an entry per epoch.
    """
    model, history = state.model, state.history
    if checkpoint is not None:
        checkpoint.restore(state)
    count, device = len(data[0]), data[0].device
    images, seen = count * len(batch_sizes), count * history.epochs
    step_number, first_loss = 0, math.nan

    model.train()
    with watching.View(history, images, len(batch_sizes)) as view:
        for batch_size in batch_sizes[history.epochs :]:
            started = time.perf_counter()
            sums = torch.zeros((), device=device)
            for rows in torch.randperm(count, device=device).split(batch_size):
                terms = step(seen / images, *(tensor[rows] for tensor in data))
                sums = sums + torch.stack(terms).detach() * len(rows)
                if step_number % LOOK == 0:
                    first_loss = check_loss(terms[0].item(), first_loss, history.epochs + 1)
                    view.loss(terms)
                step_number += 1
                seen += len(rows)
                view.step(len(rows))

            # .tolist() waits for the device, so the clock is read after it.
            for name, total in zip(terms._fields, sums.tolist(), strict=True):
                history.train.setdefault(name, []).append(total / count)
            history.seconds.append(
                time.perf_counter() - started + (history.seconds[-1] if history.seconds else 0.0)
            )
            average_loss = next(iter(history.train.values()))[-1]
            first_loss = check_loss(average_loss, first_loss, history.epochs)
            if held_out:
                for name, mean in average(model, loss, *held_out).items():
                    history.test.setdefault(name, []).append(mean)
            if watch is not None:
                for name, value in _looked_at(model, watch).items():
                    history.watched.setdefault(name, []).append(value)
            if checkpoint is not None:
                checkpoint.save(state)
            view.epoch()
    model.eval()
    return history


@torch.no_grad()
def _looked_at(model: Model, watch: Watch) -> Mapping[str, Any]:
    """What `watch` sees, with noise from a seed of its own: a training that is watched goes as it would."""
    model.eval()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        seen = watch(model)
    model.train()
    return seen


def check_request(
    model: Model, images: Tensor, *, epochs: int, batch_size: int | Sequence[int], learning_rate: float
) -> None:
    """Raise CourseError for what a training cannot work with."""
    if images.ndim != 4 or not len(images):
        raise CourseError(f"Images have shape {tuple(images.shape)}; they need to be (N, 1, 28, 28), N > 0.")
    if not images.is_floating_point():
        raise CourseError(f"Images are {images.dtype}: turn them into floats in [0, 1] (images / 255).")
    for parameter in model.parameters():
        if parameter.device != images.device:
            raise CourseError(
                f"The model is on {parameter.device} and the images are on {images.device}: "
                "move one of them with .to(device)."
            )
    low, high = (value.item() for value in images.aminmax())
    if not 0 <= low <= high <= 1:  # also where a pixel is NaN
        raise CourseError(f"Pixels reach from {low:.4g} to {high:.4g}: scale the images to [0, 1].")
    if epochs < 1:
        raise CourseError(f"epochs is {epochs}: ask for at least one.")
    batch_sizes = [batch_size] * epochs if isinstance(batch_size, int) else batch_size
    if len(batch_sizes) != epochs:
        raise CourseError(
            f"{len(batch_sizes)} batch sizes for {epochs} epochs: give one number, or one each."
        )
    if not 1 <= min(batch_sizes) <= max(batch_sizes) <= len(images):
        raise CourseError(
            f"batch_size is {batch_size}: it has to lie between 1 and the number of images, {len(images):,}."
        )
    if not 0 < learning_rate < math.inf:
        raise CourseError(f"learning_rate is {learning_rate}: it has to be a positive number.")


def check_loss(loss: float, first: float, epoch: int) -> float:
    """The first finite loss; CourseError where the loss is no number or ten times what it began with."""
    first = loss if math.isnan(first) else first
    if not math.isfinite(loss):
        raise CourseError(
            f"The loss is {loss} in epoch {epoch}: lower the learning rate, or look for a log of 0 or a "
            "division by 0 in the loss."
        )
    if loss > 10 * abs(first) + 1:  # + 1 nat: a loss may begin at 0
        raise CourseError(
            f"The loss has risen from {first:.4g} to {loss:.4g} in epoch {epoch}: training diverges; "
            "lower the learning rate."
        )
    return first


def warm_up(t: float, share: float, top: float) -> float:
    """KL warm-up: beta rises from 0 at t = 0 in a straight line to `top` at t = `share` and stays there.

    t is the share of training done; `partial(warm_up, share=0.5, top=1.0)` is a schedule for `fit`.
    (Bowman et al. 2016, arXiv:1511.06349)
    """
    return top * min(1.0, t / share)


@torch.no_grad()
def average(
    model: Model, loss: Callable[..., Any], *data: Tensor, batch_size: int = 1000, seed: int = 0
) -> dict[str, float]:
    """The terms of `loss` averaged over all images, without training; the model's mode is kept.

    The noise is drawn from `seed` and the random state put back: a training that is judged after every
    epoch goes the way it goes unjudged.
    """
    was_training = model.training
    model.eval()
    sums: dict[str, float] = {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for batch in zip(*(tensor.split(batch_size) for tensor in data), strict=True):
            for name, value in loss(model, *batch)._asdict().items():
                sums[name] = sums.get(name, 0.0) + value.item() * len(batch[0])
    model.train(was_training)
    return {name: total / len(data[0]) for name, total in sums.items()}

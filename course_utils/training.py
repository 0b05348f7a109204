"""The training loop, written to be read.

`fit` is the loop of sections 1 and 3 with a progress bar and a record of every epoch: draw a batch,
compute the loss, step down its gradient. Images are one tensor on one device, so a batch is a row
selection and costs nothing beside the model.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from course_utils.models import Model


@dataclass
class History:
    """What happened in each epoch; every list has one entry per epoch.

    `train` and `test` map the names of the loss's terms ('loss', and for a VAE 'reconstruction' and
    'kl') to their averages over images; `train` is averaged while the weights still move, `test` is
    taken after the epoch with beta = 1 and is empty unless test images were given. `seconds` counts
    training alone, from the start.
    """

    train: dict[str, list[float]] = field(default_factory=dict)
    test: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        return len(self.seconds)

    def __repr__(self) -> str:
        terms = ", ".join(f"{name} {values[-1]:.4g}" for name, values in self.train.items())
        return f"{self.epochs} epochs in {self.seconds[-1]:.0f} s; last epoch's training average: {terms}"


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
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> History:
    """Train `model` in place with Adam and return the record of its epochs.

    `loss(model, x)` returns a named tuple whose first field is the scalar to descend, such as
    `objectives.negative_elbo`; with `labels` it is called as `loss(model, x, y)`. `beta`, if given, is
    a schedule: a function of the share of training done, from 0 to 1, whose value goes to the loss as
    its keyword `beta`. Images (N, 1, 28, 28) live on the model's device. `seed` fixes the order of
    batches and the noise; the model's initial weights are the caller's to seed.
    """
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    data = (images,) if labels is None else (images, labels)
    history = History()
    steps, step = epochs * -(-len(images) // batch_size), 0

    model.train()
    # tqdm's bar for notebooks overlooks the TQDM_DISABLE that its other bars heed.
    with tqdm(total=steps, unit="step", leave=False, disable="TQDM_DISABLE" in os.environ) as bar:
        for epoch in range(epochs):
            started = time.perf_counter()
            sums: dict[str, Tensor] = {}
            for rows in torch.randperm(len(images), device=images.device).split(batch_size):
                schedule = {} if beta is None else {"beta": beta(step / steps)}
                terms = loss(model, *(tensor[rows] for tensor in data), **schedule)

                optimizer.zero_grad()
                terms[0].backward()
                optimizer.step()

                for name, value in terms._asdict().items():
                    sums[name] = sums.get(name, 0) + value.detach() * len(rows)
                step += 1
                bar.update()

            # .item() waits for the device, so the clock is read after it.
            for name, total in sums.items():
                history.train.setdefault(name, []).append(total.item() / len(images))
            history.seconds.append(
                time.perf_counter() - started + (history.seconds[-1] if history.seconds else 0.0)
            )
            if test_images is not None:
                held_out = (test_images,) if test_labels is None else (test_images, test_labels)
                for name, mean in average(model, loss, *held_out).items():
                    history.test.setdefault(name, []).append(mean)
            bar.set_postfix_str(f"epoch {epoch + 1}: loss {history.train['loss'][-1]:.4g}")
    model.eval()
    return history


def warm_up(t: float, share: float, top: float) -> float:
    """KL warm-up: beta rises from 0 at t = 0 in a straight line to `top` at t = `share` and stays there.

    t is the share of training done; `partial(warm_up, share=0.5, top=1.0)` is a schedule for `fit`.
    (Bowman et al. 2016, arXiv:1511.06349)
    """
    return top * min(1.0, t / share)


@torch.no_grad()
def average(
    model: Model, loss: Callable[..., Any], *data: Tensor, batch_size: int = 1000
) -> dict[str, float]:
    """The terms of `loss` averaged over all images, without training; the model's mode is kept."""
    was_training = model.training
    model.eval()
    sums: dict[str, float] = {}
    for batch in zip(*(tensor.split(batch_size) for tensor in data), strict=True):
        for name, value in loss(model, *batch)._asdict().items():
            sums[name] = sums.get(name, 0.0) + value.item() * len(batch[0])
    model.train(was_training)
    return {name: total / len(data[0]) for name, total in sums.items()}

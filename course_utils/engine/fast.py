"""The fast path: the same model, the same objective, less time.

`fit` runs `training.fit`, the same loop, with another step and a view of the training (`watching`). Asked for
nothing else, it gives the same losses to rounding. What makes a step cheaper:

- Adam in one pass over all weights (PyTorch's fused kernel) instead of one per operation;
- images laid out channels last on the processor, which convolutions there are made for;
- Adam's memories of gradients that have become 0 are let go (`forget`). Else they shrink to numbers too small
  for a normal float, 15% of all in the VAE's second epoch, and its third takes half as long again;
- no more threads than there are cores for this process: waiting for each other costs more than they bring;
- on a CUDA GPU, a step that is recorded and replayed (`graphs`).

What makes fewer of them enough: a learning rate that rises and falls (`one_cycle`; Smith & Topin 2018,
arXiv:1708.07120), with a shorter second memory of Adam's (`betas`); batches that grow in place of a falling
rate (Smith et al. 2018, arXiv:1711.00489); hidden matrices that go as far in every direction (`muon`); biases
from which few epochs go further (`start`).
"""

import itertools
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from functools import partial
from typing import Any

import joblib
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from course_utils import training
from course_utils.engine import graphs, watching
from course_utils.engine.muon import Muon
from course_utils.models import Model
from course_utils.training import History, Loss, Observer, Step

FORGET, TRACE = 100, 1e-30  # every so many steps what is below; 0.9^100 of it is a normal float still


def fit(
    model: Model,
    images: Tensor,
    loss: Loss,
    *,
    schedule: Callable[[float], float] | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    muon: bool = False,
    precision: torch.dtype = torch.float32,
    recorded: bool | None = None,
    observers: Sequence[Observer] = (),
    **plain: Any,
) -> History:
    """`training.fit` with a step that takes less time, and a view of how it goes.

    It takes what that takes, and: `schedule` maps the share of the training done, from 0 to 1, to the share
    of `learning_rate` used; with `muon`, hidden matrices are not Adam's but Muon's; `precision` is that of
    the matrix products, weights stay float32; `recorded` says whether a CUDA GPU may record a step (None:
    only of this package's model and loss).
    """
    # PyTorch counts the machine's cores, of which a container or a batch job may have been given few.
    torch.set_num_threads(min(torch.get_num_threads(), joblib.cpu_count()))
    device = images.device.type
    recorded = device == "cuda" and (graphs.recordable(model, loss) if recorded is None else recorded)
    if device == "cpu":
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def descent(model: Model, loss: Loss, learning_rate: float) -> tuple[Optimizer, Step]:
        # A recording can follow a rate that is a tensor.
        rate = torch.tensor(learning_rate, device=device) if recorded else learning_rate
        given: Any = {"lr": rate, "betas": betas, "fused": True, "capturable": recorded}
        optimizer = Muon(model, **given) if muon else torch.optim.Adam(model.parameters(), **given)
        reduced = torch.autocast(device, precision, enabled=precision != torch.float32)(loss)
        plain_step = partial(training.descend, model, reduced, optimizer)
        descend = graphs.recorded(plain_step) if recorded else plain_step
        steps = itertools.count(1)

        def step(share: float, *batch: Tensor) -> Any:
            if schedule is not None:
                for group in optimizer.param_groups:
                    now = learning_rate * schedule(share)
                    group["lr"] = group["lr"].fill_(now) if recorded else now
            terms = descend(*batch, **training.keywords(loss, share))
            if next(steps) % FORGET == 0:
                forget(optimizer)
            return terms

        return optimizer, step

    with graphs.stream() if recorded else nullcontext(), closing(watching.View()) as view:
        return training.fit(model, images, loss, descent=descent, observers=[*observers, view], **plain)


@torch.no_grad()
def forget(optimizer: torch.optim.Optimizer) -> None:
    """Set memories of gradients that have become 0 to 0, which beside Adam's eps changes nothing."""
    for state in optimizer.state.values():
        for memory in state.values():
            memory.masked_fill_(memory.abs() < TRACE, 0)


@torch.no_grad()
def start(model: Model, images: Tensor) -> None:
    """Let a VAE begin at the mean image, where training would take it first.

    Its first layer is given the images less their mean, its last adds the mean's log-odds; both by their
    biases. A convolution has one bias for all pixels: there the mean is that of all.
    """
    first, last, mean = model.encoder[0], model.decoder[-1], images.mean(0).flatten()
    if isinstance(first, nn.Linear):
        first.bias.sub_(first.weight @ mean)
        last.bias.copy_(torch.logit(mean, eps=1e-3))
    else:
        first.bias.sub_(first.weight.sum((1, 2, 3)) * mean.mean())
        last.bias.copy_(torch.logit(mean.mean(), eps=1e-3))


def one_cycle(share: float) -> float:
    """A share of the peak learning rate: from 0.1 in a straight line to 1 at half-way, and so back."""
    # Slowly, since a VAE that begins at a high rate gives up dimensions for good.
    return 0.1 + 1.8 * min(share, 1 - share)


def early_peak(share: float) -> float:
    """A share of the peak learning rate: from 0.1 in a straight line to 1 at 0.15, and so to 0."""
    return 0.1 + 6 * share if share < 0.15 else (1 - share) / 0.85

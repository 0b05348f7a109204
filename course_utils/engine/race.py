"""The race of section 7: a fixed network, fixed images, a level to reach, and what it costs to get there.

As in speedruns of training (Jordan et al. 2024, modded-nanogpt), whoever reaches a fixed level of the loss at
the least cost wins: no entry gains by stopping early, or by training on. Theirs is in seconds of one machine;
here cost is counted in products of matrices, which are nearly all the work and the same on every machine.
Images are the embedded digits, whatever data set the lessons run on.
"""

import math
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from course_utils import data, evaluation, models, objectives
from course_utils.models import Model

LEVEL = 140.0  # nats: -ELBO of the held-out images
BUDGET = 6_000  # images that may go through the network and back


@cache
def images() -> tuple[Tensor, Tensor]:
    """What everybody trains on, (2000, 1, 28, 28), and what everybody is judged on, (200, 1, 28, 28)."""
    digits = data.load("digits", train=2600)
    trained_on, held_out = digits.validation_split()
    return digits.train_images[trained_on][:2000], digits.train_images[held_out][:200]


def network(seed: int) -> Model:
    """The network that everybody trains, with its initial weights of this seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return models.VAE(latent_dim=10)


def negative_elbo(model: Model) -> float:
    """Of the held-out images, in nats: what the level is held against."""
    return evaluation.test_elbo(model, images()[1], model_name="", data_name="").negative_elbo.mean


def tried(train: Callable[[Model, Tensor, int], object], seed: int) -> str:
    """How far an entry gets with this seed, and what that costs."""
    model, began = network(seed), time.process_time()
    with Work() as work:
        train(model, images()[0], seed)
    seconds = time.process_time() - began
    cost = f"the work of {work.images:,.0f} images, {seconds:.1f} s of a processor"
    return f"seed {seed}: −ELBO {negative_elbo(model):.1f} for {cost}"


class Overspent(Exception):
    """An entry goes on far beyond the budget."""


class Work(TorchDispatchMode):
    """Counts what runs inside: multiplications in products of matrices, an optimiser's own among them.

    PyTorch's FlopCounterMode counts the same, module by module, and makes a step take twice as long. Raises
    Overspent after the work of `most` images.
    """

    def __init__(self, most: float = math.inf) -> None:
        super().__init__()
        self.flops = 0
        self.limit = most * _of_an_image() if most < math.inf else math.inf

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.flops += count(*args, **(kwargs or {}), out_val=result)
            if self.flops > self.limit:
                raise Overspent(
                    f"It was stopped after the work of {self.images:,.0f} images: the budget is {BUDGET:,}."
                )
        return result

    @property
    def images(self) -> float:
        """The same in images that go through the network and back."""
        return self.flops / _of_an_image()


@cache
def _of_an_image() -> int:
    with Work() as work:
        objectives.negative_elbo(network(0), torch.zeros(1, 1, 28, 28)).loss.backward()
    return work.flops

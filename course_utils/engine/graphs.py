"""A training step recorded once on a CUDA GPU and replayed as one launch.

A step of a small network is some hundred kernels of a few microseconds each, and the processor takes longer
to launch them one by one than the GPU to run them. A CUDA graph holds them all, with the addresses they
read and write; replaying it costs one launch (Nguyen et al. 2021, "Accelerating PyTorch with CUDA Graphs").

What Python does while a step is recorded is not done again in the replays. So only steps made of this
package's own models and losses are recorded: a student's loss may print, count or look at a number, and runs
as it is written.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from course_utils import training
from course_utils.settings import CourseError

WARM_UP = 3  # steps of one batch size run as they are before one is recorded: libraries set up their memory


class Recorded:
    """`step(*batch, **constants)`, tensors and numbers in, tensors out, recorded for every usual batch size.

    In a recording the constants are tensors too, so that they can change. All calls have to be made under
    `stream()`; what a call returns is overwritten by the next one.
    """

    def __init__(self, step: Callable[..., Any]) -> None:
        self.step = step
        self.calls: Counter[int] = Counter()
        self.recordings: dict[int, Callable[..., Any]] = {}

    def __call__(self, *batch: Tensor, **constants: float) -> Any:
        size = len(batch[0])
        self.calls[size] += 1
        if self.calls[size] == WARM_UP + 1:
            self.recordings[size] = record(self.step, *batch, **constants)
        return self.recordings.get(size, self.step)(*batch, **constants)


def record(step: Callable[..., Any], *batch: Tensor, **constants: float) -> Callable[..., Any]:
    """A recording of `step`, which is not run by it; called like `step`, it replays that.

    Raises CourseError where the step does what no recording can hold: wait for a number, say.
    """
    graph, device = torch.cuda.CUDAGraph(), batch[0].device
    places = [tensor.clone() for tensor in batch]  # the graph reads its arguments from these addresses
    numbers = {name: torch.full((), value, device=device) for name, value in constants.items()}
    try:
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            results = step(*places, **numbers)
    except RuntimeError as problem:
        raise CourseError(
            f"This model and loss cannot be recorded ({str(problem).splitlines()[0]}): restart the "
            "kernel and train with recorded=False."
        ) from None

    def replay(*batch: Tensor, **constants: float) -> Any:
        for place, tensor in zip(places, batch, strict=True):
            place.copy_(tensor)
        for name, value in constants.items():
            numbers[name].fill_(value)
        graph.replay()
        return results

    return replay


@contextmanager
def stream() -> Iterator[None]:
    """A queue of the GPU's that can be recorded: the default one cannot."""
    own, default = torch.cuda.Stream(), torch.cuda.current_stream()
    own.wait_stream(default)
    with torch.cuda.stream(own):
        yield
    default.wait_stream(own)


def recordable(*parts: Any) -> bool:
    """Whether models and losses are this package's own, whatever was bound to them."""
    return all(map(_own, parts))


def _own(part: Any) -> bool:
    if isinstance(part, training.Scheduled):  # its beta is asked for outside of the recording
        return _own(part.loss)
    if isinstance(part, functools.partial):
        return recordable(part.func, *filter(callable, [*part.args, *part.keywords.values()]))
    definition = type(part) if isinstance(part, torch.nn.Module) else part
    return str(getattr(definition, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]

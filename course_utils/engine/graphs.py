"""A training step recorded once on a CUDA GPU and replayed as one launch.

A step of a small network is some hundred kernels of a few microseconds each, which take longer to launch than
to run. A CUDA graph holds them all, with the addresses they read and write (Nguyen et al. 2021, "Accelerating
PyTorch with CUDA Graphs"). What Python does while a step is recorded is not done again: only steps of this
package's own models and losses are recorded, as a student's loss may print, count or look at a number.
"""

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


def recorded(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step(*batch, **constants)`, tensors and numbers in, tensors out, recorded for every usual batch size.

    In a recording the constants are tensors too, so that they can change. All calls have to be made under
    `stream()`; what a call returns is overwritten by the next one.
    """
    calls: Counter[int] = Counter()
    recordings: dict[int, Callable[..., Any]] = {}

    def run(*batch: Tensor, **constants: float) -> Any:
        size = len(batch[0])
        calls[size] += 1
        if calls[size] == WARM_UP + 1:
            recordings[size] = record(step, *batch, **constants)
        return recordings.get(size, step)(*batch, **constants)

    return run


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

    def own(part: Any) -> bool:
        if isinstance(part, training.Scheduled):  # its beta is asked for outside of the recording
            return own(part.loss)
        if isinstance(part, functools.partial):
            return recordable(part.func, *filter(callable, [*part.args, *part.keywords.values()]))
        definition = type(part) if isinstance(part, torch.nn.Module) else part
        return str(getattr(definition, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]

    return all(map(own, parts))

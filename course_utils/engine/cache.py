"""Trainings kept on disk: none is done twice, and one that was interrupted goes on where it stopped.

`fit` is `fast.fit` with a memory. A finished training lies in `build/models/` under a key of all that
decides its result: the code of loss, model and package, the initial weights, the data, the settings and the
seed. After every epoch the state of the training is kept as well, so the stop button, a dead kernel or a
power cut costs one epoch; on the processor the result is the same to the last bit.

Files are tensors without a pickle (safetensors) and carry a digest of their content. A file that is cut
short, changed or not of this key is reported in one line and the training done anew.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from course_utils import models, objectives, settings, training
from course_utils.engine import fast, graphs
from course_utils.files import whole
from course_utils.models import Model
from course_utils.settings import CourseError
from course_utils.training import History, Loss, Observer, State

Tensors = dict[str, Tensor]

PARTIAL = ".partial"
PACKAGE = __name__.partition(".")[0]


def folder() -> Path:
    """Where trainings are kept: inside the project."""
    return settings.project_folder() / "build" / "models"


def summary() -> str:
    """How much is kept, and how to be rid of it."""
    files = list(folder().glob("*.safetensors"))
    size = sum(file.stat().st_size for file in files) / 1e6
    where = folder().relative_to(settings.project_folder())
    return f"trainings in {where}: {len(files)}, {size:.0f} MB; `course cache --empty` deletes them"


def empty() -> int:
    """Delete every kept training and say how many there were."""
    files = [*folder().glob("*.safetensors"), *folder().glob(".*.part")]
    for file in files:
        file.unlink()
    return len(files)


# --- trainings that are kept --------------------------------------------------------------------------


def fit(model: Model, images: Tensor, loss: Loss, **settings_: Any) -> History:
    """`fast.fit` with a memory: train `model`, or give it the weights that the same call left earlier."""
    key = _key(model=model, images=images, loss=loss, **settings_)
    file = folder() / f"{key}.safetensors"
    found = _read(file, key)
    if found is not None:
        tensors, history = found
        model.load_state_dict(_part(tensors, "model"))
        _set_random_state(tensors, _device(model))
        model.eval()
        settings.remark(f"Trained before, taken from the cache ({summary()}).")
        return history

    partial = Partial(file.with_name(f"{key}{PARTIAL}.safetensors"), key)
    history = fast.fit(model, images, loss, observers=[partial], **settings_)
    finished = {**_named("model", model.state_dict()), **_random_state(_device(model))}
    if _write(file, key, finished, history):
        partial.file.unlink(missing_ok=True)
    return history


class Partial(Observer):
    """Keeps how a training stands after every epoch, in a file of its own, and goes on from there."""

    def __init__(self, file: Path, key: str) -> None:
        self.file, self.key, self.writable = file, key, True

    def start(self, state: State) -> None:
        """Put model, optimizer, history and random numbers where they were after the last epoch kept."""
        found = _read(self.file, self.key)
        if found is None:
            return
        tensors, history = found
        state.model.load_state_dict(_part(tensors, "model"))
        moments: dict[int, Tensors] = {}
        for name, tensor in _part(tensors, "optimizer").items():
            index, _, moment = name.partition(".")
            moments.setdefault(int(index), {})[moment] = tensor
        groups = state.optimizer.state_dict()["param_groups"]
        state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        state.history.__dict__.update(vars(history))
        state.seen = state.images * history.epochs
        _set_random_state(tensors, _device(state.model))
        settings.remark(f"Going on after epoch {history.epochs} of an earlier, interrupted training.")

    def epoch(self, state: State) -> None:
        """Keep all of it; where that fails, say so once and train on."""
        moments = {
            f"{index}.{name}": value
            for index, values in state.optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        tensors = {
            **_named("model", state.model.state_dict()),
            **_named("optimizer", moments),
            **_random_state(_device(state.model)),
        }
        if self.writable:
            self.writable = _write(self.file, self.key, tensors, state.history)


def _device(model: Model) -> torch.device:
    return next(model.parameters()).device


def _named(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def _random_state(device: torch.device) -> Tensors:
    """The state of the random numbers, for all that draws on the processor and on `device`."""
    states = {"random.cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states["random.device"] = getattr(torch, device.type).get_rng_state()
    return states


def _set_random_state(tensors: Tensors, device: torch.device) -> None:
    torch.set_rng_state(tensors["random.cpu"])
    if device.type != "cpu":
        getattr(torch, device.type).set_rng_state(tensors["random.device"])


# --- files --------------------------------------------------------------------------------------------


def _write(file: Path, key: str, tensors: Tensors, history: History) -> bool:
    """Whether the file could be written; it is there whole or not at all."""
    plain = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    record = json.dumps(vars(history))
    metadata = {"key": key, "history": record, "digest": _digest(plain, key, record)}
    try:
        with whole(file) as part:
            part.write_bytes(save(plain, metadata))
    except CourseError as problem:
        print(f"This training is not kept. {problem}")
        return False
    return True


def _read(file: Path, key: str) -> tuple[Tensors, History] | None:
    """What the file holds; None, and a line that says why, where it is not what was written."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as content:
            metadata = content.metadata() or {}
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - no dict
        if metadata.get("digest") != _digest(tensors, key, metadata.get("history", "")):
            raise ValueError("its content is not what was written")
        return tensors, History(**json.loads(metadata["history"]))
    except (OSError, SafetensorError, ValueError, TypeError) as problem:
        print(f"{file.name} in the cache is damaged and left aside ({problem}); training anew.")
        return None


def _digest(tensors: Tensors, key: str, record: str) -> str:
    content = hashlib.sha256(f"{key}\n{record}".encode())
    for name in sorted(tensors):
        content.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode())
        content.update(_bytes(tensors[name]))
    return content.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    """What the tensor holds, as a buffer."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


# --- keys ---------------------------------------------------------------------------------------------


def _key(model: Model, **call: Any) -> str:
    """One name for all that decides what a training gives."""
    content = hashlib.sha256()
    for part in _described({"model": model, **call}, {}):
        content.update(part.encode() + b"\0")
    for module in (models, objectives, training, fast, graphs):
        content.update(_source(module).encode())
    content.update(f"{torch.__version__} {_device(model).type}".encode())
    return content.hexdigest()[:24]


def _described(thing: Any, seen: dict[int, Any]) -> Iterator[str]:
    """Text that differs where `thing` differs: values, and the code of what no library defines.

    `seen` holds what was described before, which also keeps its id from being given to something else.
    """
    yield type(thing).__name__
    if isinstance(thing, str | int | float | bool | type(None) | torch.dtype | torch.device):
        yield repr(thing)
    elif id(thing) not in seen:
        seen[id(thing)] = thing
        for part in _parts(thing):
            yield from _described(part, seen)


def _parts(thing: Any) -> Any:
    """What `thing` is made of, as far as it decides what a training gives."""
    return next(parts(thing) for kind, parts in PARTS.items() if isinstance(thing, kind))


def _of_function(function: Any) -> list[Any]:
    """All that a function does depends on: code, defaults, what it closes over, the globals it names."""
    names: list[str] = []
    codes = [function.__code__]
    for code in codes:  # grows while it is gone through
        names += code.co_names
        codes += [item for item in code.co_consts if isinstance(item, types.CodeType)]
    used = {name: function.__globals__[name] for name in sorted(set(names)) if name in function.__globals__}
    closure = [cell.cell_contents for cell in function.__closure__ or ()]
    return [function.__code__, function.__defaults__, function.__kwdefaults__, closure, used]


def _of_a_library(thing: Any) -> list[str]:
    """The name of code that comes with Python or was installed, of which a version says enough; of this
    package's its source as well. Nothing for code that was written elsewhere, such as in a notebook."""
    name = (thing.__module__ or "builtins").partition(".")[0]
    file = str(getattr(sys.modules.get(name), "__file__", ""))
    known = name in sys.stdlib_module_names or name == PACKAGE or "site-packages" in file
    if name == "__main__" or not known:
        return []
    source = [_source(sys.modules[thing.__module__])] if name == PACKAGE else []
    return [f"{thing.__module__}.{thing.__qualname__}", *source]


@functools.cache
def _source(module: types.ModuleType) -> str:
    """As it was when this process first asked: an edit since then is not what runs."""
    return inspect.getsource(module)


# The first kind that a thing is of counts.
PARTS: dict[type, Callable[[Any], Any]] = {
    Tensor: lambda x: [x.dtype, tuple(x.shape), hashlib.sha256(_bytes(x)).hexdigest()],
    nn.Module: lambda x: [type(x), repr(x), x.state_dict()],
    list: list,
    tuple: list,
    Mapping: lambda x: [part for name, item in x.items() for part in (str(name), item)],
    types.ModuleType: lambda x: [x.__name__],
    functools.partial: lambda x: [x.func, x.args, x.keywords],
    types.FunctionType: lambda x: _of_a_library(x) or _of_function(x),
    types.BuiltinFunctionType: lambda x: _of_a_library(x) or [type(x)],
    types.MethodType: lambda x: [x.__func__, x.__self__],
    types.CodeType: lambda x: [x.co_code.hex(), x.co_consts, x.co_names],
    type: lambda x: _of_a_library(x) or [x.__qualname__, x.__mro__[1:], vars(x)],
    object: lambda x: [type(x), getattr(x, "__dict__", None)],
}

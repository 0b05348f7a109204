"""Trainings kept on disk: none is done twice, and one that was interrupted goes on where it stopped.

`fit` is `fast.fit` with a memory. A finished training lies in `build/models/` under a key of all that decides
its result: the code of loss, model and package, the initial weights, the data, the settings and the seed. One
that somebody has put into `models/` of the data folder, for all, is taken as well. The state after every
epoch is kept, so the stop button, a dead kernel or a power cut costs one epoch; on the processor the result
is the same to the last bit. Files hold tensors and text: no code in them runs.
"""

import functools
import hashlib
import inspect
import io
import json
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from torch import Tensor, nn

from course_utils import models, objectives, settings, training
from course_utils.engine import fast, graphs, muon
from course_utils.files import write
from course_utils.models import Model, device_of
from course_utils.training import History, Loss, Observer, State

SUFFIX = ".training"
PARTIAL = ".partial"
PACKAGE = __name__.partition(".")[0]


def folder() -> Path:
    """Where trainings are kept."""
    return settings.build_folder() / "models"


def summary() -> str:
    """How much is kept, and how to be rid of it."""
    files = list(folder().glob(f"*{SUFFIX}"))
    size = sum(file.stat().st_size for file in files) / 1e6
    where = folder()
    with suppress(ValueError):  # outside
        where = where.relative_to(settings.project_folder())
    return f"trainings in {where}: {len(files)}, {size:.0f} MB; `course cache --empty` deletes them"


def empty() -> int:
    """Delete every kept training and say how many there were."""
    files = list(folder().glob("*.*"))  # also what an earlier version or an interrupted write left
    for file in files:
        file.unlink()
    return len(files)


def fit(model: Model, images: Tensor, loss: Loss, **settings_: Any) -> History:
    """`fast.fit` with a memory: train `model`, or give it the weights that the same call left earlier."""
    key = _key(model=model, images=images, loss=loss, **settings_)
    file = folder() / f"{key}{SUFFIX}"
    shared = settings.data_folder() / "models" / file.name  # for everybody; nothing is written there
    if kept := _read(file, key) or _read(shared, key):
        history = _restore(kept, model.eval())
        settings.remark(f"Trained before, taken from the cache ({summary()}).")
        return history

    partial = Partial(file.with_name(f"{key}{PARTIAL}{SUFFIX}"), key)
    try:
        history = fast.fit(model, images, loss, observers=[partial], **settings_)
    except KeyboardInterrupt:
        raise Stopped(
            f"{partial.kept} of {settings_['epochs']} epochs are kept: run the cell again to go on."
        ) from None
    if _write(file, key, _standing(model, history)):
        partial.file.unlink(missing_ok=True)
    return history


class Stopped(KeyboardInterrupt):
    """Somebody has stopped a training: a notebook shows one line in place of the traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"Stopped. {self}"]


class Partial(Observer):
    """Keeps how a training stands after every epoch, in a file of its own, and goes on from there."""

    def __init__(self, file: Path, key: str) -> None:
        self.file, self.key, self.writable, self.kept = file, key, True, 0

    def start(self, state: State) -> None:
        """Put model, optimizer, history and random numbers where they were after the last epoch kept."""
        if kept := _read(self.file, self.key):
            groups = state.optimizer.state_dict()["param_groups"]  # this call's own
            state.optimizer.load_state_dict({"state": kept["optimizer"], "param_groups": groups})
            vars(state.history).update(vars(_restore(kept, state.model)))
            self.kept = state.history.epochs
            state.seen = state.images * self.kept
            settings.remark(f"Going on after epoch {self.kept} of an earlier, interrupted training.")

    def epoch(self, state: State) -> None:
        """Keep all of it; where that fails, say so once and train on."""
        optimizer = {"optimizer": state.optimizer.state_dict()["state"]}
        standing = _standing(state.model, state.history) | optimizer
        self.writable = self.writable and _write(self.file, self.key, standing)
        self.kept = state.history.epochs if self.writable else self.kept


def _standing(model: Model, history: History) -> dict[str, Any]:
    """Weights, record, and the random numbers of all that draws."""
    random = [source.get_rng_state() for source in _sources(model)]
    return {"model": model.state_dict(), "history": json.dumps(vars(history)), "random": random}


def _restore(kept: dict[str, Any], model: Model) -> History:
    """Put weights and random numbers where they were; the record."""
    model.load_state_dict(kept["model"])
    for source, state in zip(_sources(model), kept["random"], strict=True):
        source.set_rng_state(state)
    return History(**json.loads(kept["history"]))


def _sources(model: Model) -> list[Any]:
    """Of random numbers: the processor's, and that of the model's device."""
    kind = device_of(model).type
    return [torch] if kind == "cpu" else [torch, getattr(torch, kind)]


def _write(file: Path, key: str, content: dict[str, Any]) -> bool:
    """Whether the file could be written; it is there whole or not at all."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    saved = buffer.getvalue()
    try:
        write(file, hashlib.sha256(key.encode() + saved).digest() + saved)
    except settings.CourseError as problem:
        print(f"This training is not kept. {problem}")
        return False
    return True


def _read(file: Path, key: str) -> dict[str, Any] | None:
    """What the file holds; None, and a line that says why, where that is not what was written."""
    if not file.is_file():
        return None
    try:
        written = file.read_bytes()
        digest, saved = written[:32], written[32:]
        if digest != hashlib.sha256(key.encode() + saved).digest():
            raise ValueError("its content is not what was written")
        return torch.load(io.BytesIO(saved), map_location="cpu", weights_only=True)
    except (OSError, ValueError) as problem:
        print(f"{file.name} in the cache is damaged and left aside ({problem}); training anew.")
        return None


def _key(model: Model, **call: Any) -> str:
    """One name for all that decides what a training gives."""
    code = map(_source, (models, objectives, training, fast, graphs, muon))
    parts = [*_described({"model": model, **call}, {}), *code, torch.__version__, device_of(model).type]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _described(thing: Any, seen: dict[int, Any]) -> Iterator[str]:
    """Text that differs where `thing` differs: values, and the code of what no library defines.

    `seen` holds what was described before, which also keeps its id from being given to something else.
    """
    # A module is one also before it is loaded (`course_utils.later`), when its type has another name.
    yield "module" if isinstance(thing, types.ModuleType) else type(thing).__name__
    if isinstance(thing, str | int | float | bool | type(None) | torch.dtype | torch.device):
        yield repr(thing)
    elif id(thing) not in seen:
        seen[id(thing)] = thing
        parts = next(parts for kind, parts in PARTS.items() if isinstance(thing, kind))
        for part in parts(thing):
            yield from _described(part, seen)


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
    """The name of installed code, and of this package's its source; nothing of a notebook's code."""
    module = thing.__module__ or "builtins"
    if not _installed(module):
        return []
    source = [_source(sys.modules[module])] if module.startswith(PACKAGE) else []
    return [f"{module}.{thing.__qualname__}", *source]


def _installed(module: str) -> bool:
    """Whether the module of this name is a library's or this package's: no notebook, no file beside one."""
    name = module.partition(".")[0]
    file = str(getattr(sys.modules.get(name), "__file__", ""))
    known = name in sys.stdlib_module_names or name == PACKAGE or "site-packages" in file
    return known and name != "__main__"


def _of_a_layer(layer: nn.Module) -> list[Any]:
    """Its code, and what it holds beside weights and layers of its own: a number that `forward` reads."""
    known = vars(nn.Module())
    return [type(layer), {name: held for name, held in vars(layer).items() if name not in known}]


@functools.cache
def _source(module: types.ModuleType) -> str:
    """As it was when this process first asked: an edit since then is not what runs. A folder has none."""
    with suppress(OSError, TypeError):
        return inspect.getsource(module)
    return ""


# What a thing is made of, as far as it decides what a training gives; the first kind that it is of counts.
PARTS: dict[Any, Callable[[Any], Any]] = {
    Tensor: lambda x: [x.dtype, x.shape, joblib.hash(x.detach().cpu().reshape(-1).view(torch.uint8).numpy())],
    np.ndarray | np.generic | set | frozenset | bytes | range | complex: lambda x: [joblib.hash(x)],
    nn.Module: lambda x: [repr(x), x.state_dict(), *map(_of_a_layer, x.modules())],
    list: list,
    tuple: list,
    Mapping: lambda x: [part for name, item in x.items() for part in (str(name), item)],
    types.ModuleType: lambda x: [x.__name__, "" if _installed(x.__name__) else _source(x)],
    functools.partial: lambda x: [x.func, x.args, x.keywords],
    types.FunctionType: lambda x: _of_a_library(x) or _of_function(x),
    types.BuiltinFunctionType: lambda x: _of_a_library(x) or [type(x)],
    types.MethodType: lambda x: [x.__func__, x.__self__],
    staticmethod | classmethod: lambda x: [x.__func__],
    property: lambda x: [x.fget],
    types.CodeType: lambda x: [x.co_code.hex(), x.co_consts, x.co_names],
    type: lambda x: _of_a_library(x) or [x.__qualname__, x.__mro__[1:], vars(x)],
    object: lambda x: [type(x), getattr(x, "__dict__", None)],
}

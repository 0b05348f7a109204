"""The probe's half: calling an answer, and keeping what came out as plain arrays.

Evidence is a dict of named NumPy arrays of numbers; where an answer went wrong, the array is one string,
the sentence that says how. Evidence can leave the process as JSON (`pack`) and come back (`unpack`),
without a pickle, so that a judge elsewhere can look at it.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import random
import re
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.words import CALL_SECONDS, ENDLESS, NOT_YET, PATIENCE, SENTENCE, WAITING, printable
from course_utils.settings import CourseError

Evidence = dict[str, np.ndarray]

PACKED_BYTES = 8_000_000  # the largest honest evidence has 0.5 million

# What an answer leaves behind: under this key, the fact that it is nothing, or the first complaint.
STEADY = "steady"
# Under this key the complaint that not one tensor came where one is asked for: then arrays may be flat.
FORM = "form"
AGAIN = (
    "Called again with the same inputs it gives something else: does it draw, or keep something from before?"
)
ARRAY = "It is a NumPy array; a tensor is asked for."
CHANGED = "It changes what it is given in place: work on a copy."
SEED_SET = "It sets a seed, so that what is drawn repeats: do not set the seed."


class NotNumbers(TypeError):
    """An answer returned something that is no array of numbers; the sentence says what."""


class _TookTooLong(BaseException):
    """A call was cut off; no `except Exception` of an answer may swallow this. Its text says why."""


# --- calling an answer ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """Values of an answer that should be one, and the sentence that says so."""

    values: list[Any] | tuple[Any, ...]
    complaint: str


def record(
    evidence: Evidence, key: str, function: Callable[..., Any], *args: Any, times_longer: int = 1
) -> None:
    """Call `function` and keep what it returns as evidence[key], or the sentence that says what went wrong.

    It is given copies of tensors, lists and dicts; that it changes one, or leaves a switch another way, is
    noted. Once a call did not return, the others are not tried. One that trains may take longer, and is free
    to set seeds.
    """
    for value in evidence.values():
        if value.dtype.kind == "U" and value.item().endswith((ENDLESS, WAITING)):
            evidence[key] = value
            return
    try:
        seeds = _seeds(evidence) if times_longer == 1 else contextlib.nullcontext()
        with _time_limit(times_longer * CALL_SECONDS), _switches(evidence), seeds:
            value = called(evidence, function, *args)
            evidence[key] = _flat(evidence, value) if isinstance(value, Parts) else as_array(value)
    except KeyboardInterrupt:  # the stop button is the student's
        raise
    except BaseException as problem:  # an answer may raise anything; the report says it
        evidence[key] = np.array(sentence(problem))


def look(evidence: Evidence, answer: Callable[..., Any], calls: Mapping[str, tuple[Any, ...]]) -> None:
    """Record what `answer` makes of each of these arguments, then call it with each once more, the last
    first: it has to give the same again, whatever came between."""
    for key, args in calls.items():
        record(evidence, key, answer, *args)
    for key, args in reversed(list(calls.items())):
        second: Evidence = {STEADY: evidence[STEADY]} if STEADY in evidence else {}
        record(second, key, answer, *args)
        once, again = evidence[key], second[key]
        if not (once.shape == again.shape and _same(once, again)):
            note(evidence, AGAIN)


def _same(once: np.ndarray, again: np.ndarray) -> bool:
    if "U" in (once.dtype.kind, again.dtype.kind):
        return bool((once == again).all())
    return bool(np.allclose(once, again, rtol=1e-4, atol=1e-6, equal_nan=True))


def _flat(evidence: Evidence, parts: Parts) -> np.ndarray:
    evidence[FORM] = np.array(parts.complaint)
    values = [as_array(value) for value in parts.values]
    return values[0] if len(values) == 1 else np.concatenate([value.ravel() for value in values])


def alone(value: Any) -> Any:
    """The value itself; NotNumbers where several were returned at once."""
    if isinstance(value, tuple | list | dict):
        raise NotNumbers(f"It returned a {type(value).__name__}; return one tensor.")
    return value


def one(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, for answers that return one tensor."""

    def single(*args: Any) -> Any:
        value = function(*args)
        if isinstance(value, np.ndarray):
            return Parts([value], ARRAY)
        if isinstance(value, list | tuple) and value:
            return Parts(value, f"It returned a {type(value).__name__}; return one tensor.")
        return alone(value)

    return single


def looking_at(
    looks: Callable[[int], Mapping[str, tuple[Any, ...]]],
    through: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda answer: answer,
) -> Callable[[Evidence, Any, int], None]:
    """The probe of an answer of which no more is seen than these looks, at what `through` makes of it."""
    return lambda evidence, answer, seed: look(evidence, through(answer), looks(seed))


def called(evidence: Evidence, function: Callable[..., Any], *args: Any) -> Any:
    """What `function` returns; that it changes a tensor, a list or a dict that it was given is noted."""
    given = [_copy(arg) for arg in args]
    value = function(*given)
    if not all(map(_unchanged, args, given)):
        note(evidence, CHANGED)
    return value


def _copy(arg: Any) -> Any:
    if isinstance(arg, Tensor):
        # the same strides, also of a part of longer rows: an answer may meet them
        copy = torch.empty_strided(arg.shape, arg.stride(), dtype=arg.dtype, device=arg.device)
        copy = arg.detach().clone() if 0 in arg.stride() else copy.copy_(arg.detach())
        return copy.requires_grad_(arg.requires_grad)
    return type(arg)(arg) if isinstance(arg, list | dict) else arg


def _unchanged(arg: Any, given: Any) -> bool:
    if isinstance(arg, Tensor):
        return arg.shape == given.shape and bool(((arg == given) | (arg != arg)).all())
    return not isinstance(arg, list | dict) or arg == given


def note(evidence: Evidence, complaint: str) -> None:
    """Keep the first complaint about what an answer leaves behind (see STEADY)."""
    evidence.setdefault(STEADY, np.array(complaint))


def sentence(problem: BaseException) -> str:
    """What stopped the code, told by its kind and its first line; NOT_YET where it was the stub."""
    if isinstance(problem, NotNumbers | _TookTooLong):
        return str(problem)[:SENTENCE]
    if isinstance(problem, NotImplementedError) and not problem.args:  # torch raises some with a message
        return NOT_YET
    message = ""
    with contextlib.suppress(Exception):  # an answer may raise what cannot even be printed
        message = str(problem).strip().partition("\n")[0] + _meant(str(problem))
    told = f": {message}" if message else "."
    where = _line(problem)
    return f"Your code stopped with {type(problem).__name__}{told}"[: SENTENCE - len(where)] + where


_PRODUCT = re.compile(r"mat1 and mat2 shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)")


def _meant(message: str) -> str:
    """The error that newcomers meet most, in words."""
    found = _PRODUCT.match(message)
    return f": a layer for {found[2]} numbers was given {found[1]}" if found else ""


def _line(problem: BaseException) -> str:
    """In which line of a cell, whose file exists nowhere, this was raised; '' where no cell says so."""
    with contextlib.suppress(Exception):
        for frame in reversed(traceback.extract_tb(problem.__traceback__)):
            if frame.line and not os.path.exists(frame.filename):
                return f" (line {frame.lineno}: `{frame.line[:100]}`)"
    return ""


_answering = threading.Event()  # set while an answer is called, in whatever thread


def same_dtype(given: Tensor, own: torch.dtype) -> None:
    """Refuse to an answer what torch's layers refuse; a judge, which has doubles, may go on."""
    if _answering.is_set() and given.dtype != own:
        raise RuntimeError(f"mat1 and mat2 must have the same dtype, but got {given.dtype} and {own}")


_SWITCHES: tuple[tuple[Callable[[], Any], Callable[[Any], Any], str], ...] = (
    (
        torch.is_grad_enabled,
        torch.set_grad_enabled,
        "It leaves gradients switched off for all that comes later: `with torch.no_grad():` ends by itself.",
    ),
    (
        torch.get_default_dtype,
        torch.set_default_dtype,
        "It leaves another default dtype behind: convert tensors, not the default.",
    ),
    (torch.default_generator.initial_seed, lambda _: None, SEED_SET),
    (
        np.geterr,
        lambda errors: np.seterr(**errors),
        "It leaves NumPy with other rules for errors: `with np.errstate(...):` ends by itself.",
    ),
    (
        lambda: [action for action, *_ in warnings.filters[:1]] == ["error"],  # an import may add others
        lambda _: warnings.simplefilter("ignore"),  # as `quiet` has it
        "It turns later warnings into errors: `with warnings.catch_warnings():` ends by itself.",
    ),
    (
        torch.get_num_threads,
        torch.set_num_threads,
        "It leaves torch with another number of threads: do not set it.",
    ),
    (
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
        "It leaves torch's deterministic algorithms switched another way: do not switch them.",
    ),
    (
        torch.is_anomaly_enabled,
        torch.autograd.set_detect_anomaly,
        "It leaves torch's detection of anomalies switched on: `with torch.autograd.detect_anomaly():` ends.",
    ),
)


@contextlib.contextmanager
def _switches(evidence: Evidence) -> Iterator[None]:
    """Note what a call leaves switched another way, and put it back."""
    before = [get() for get, *_ in _SWITCHES]
    _answering.set()
    try:
        yield
    finally:
        _answering.clear()
        for (get, put, complaint), value in zip(_SWITCHES, before, strict=True):
            if get() != value:
                note(evidence, complaint)
                put(value)


@contextlib.contextmanager
def _seeds(evidence: Evidence) -> Iterator[None]:
    """Note that a call sets NumPy's or Python's seed, which their states do not show, and put these back."""
    with contextlib.ExitStack() as after:

        def noting(seed: Any, get: Any, put: Any) -> Callable[..., None]:
            def noted(*args: Any, **named: Any) -> None:
                note(evidence, SEED_SET)
                after.callback(put, get())
                seed(*args, **named)

            return noted

        for module, get, put in (
            (np.random, np.random.get_state, np.random.set_state),
            (random, random.getstate, random.setstate),
        ):
            after.callback(setattr, module, "seed", module.seed)
            module.seed = noting(module.seed, get, put)  # type: ignore[attr-defined]
        yield


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the main thread as the stop button would, once it has computed for `seconds`; elsewhere there
    is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    clock, passing = _own_seconds(), lambda: time.monotonic() - _queued()
    started, began, over, rang = passing(), clock(), threading.Event(), []

    def watch() -> None:
        left = seconds
        while not over.wait(left):
            used, passed = clock() - began, passing() - started
            if used >= seconds or passed >= PATIENCE * seconds:
                rang.append(
                    f"It did not return within {seconds:.0f} seconds: {ENDLESS}"
                    if used >= seconds
                    else f"It was stopped after {PATIENCE * seconds:.0f} seconds {WAITING}"
                )
                _interrupt()
                return
            left = max(min(seconds - used, PATIENCE * seconds - passed), seconds / 100)

    # A process that was started in the background may have been told to ignore the signal.
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        if rang:
            raise _TookTooLong(rang[0]) from None
        raise
    finally:
        over.set()
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _own_seconds() -> Callable[[], float]:
    """A clock of the main thread's seconds on a processor; on Windows, of all seconds."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return time.monotonic
    clock = time.pthread_getcpuclockid(threading.main_thread().ident or 0)
    return lambda: time.clock_gettime(clock)


def _queued() -> float:
    """Seconds for which the main thread had to wait for a processor, as Linux counts them; 0 elsewhere."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    return 0.0


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # ends a sleep as well
    else:
        signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep stderr out of the notebook, Python's and that of compiled code.

    nbgrader scores a graded cell with any stderr output 0, and a warning or progress bar is no mistake.
    """
    stream = sys.stderr
    stream.flush()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(AttributeError):  # loggers and progress bars may hold on to the stream
            stream.write = len  # type: ignore[method-assign,assignment]
            stack.callback(delattr, stream, "write")
        with contextlib.suppress(OSError):
            kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, 2)
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


# --- what comes out ---------------------------------------------------------------------------------


def as_array(value: Any) -> np.ndarray:
    """A returned value as a plain array of numbers; NotNumbers says what it is instead."""
    if value is None:
        raise NotNumbers("It returned None; is a `return` missing?")
    try:
        array = _plain(value) if isinstance(value, Tensor) else np.asarray(_plain(value))
    except ValueError:
        raise NotNumbers("What it returned has parts of different shapes: they form no array.") from None
    if array.dtype.kind not in "bifu":
        raise NotNumbers(f"It returned a {type(value).__name__}, not numbers.")
    return np.array(array)  # never a view: the answer may go on to change its tensor


def _plain(value: Any) -> Any:
    """Tensors, also inside lists and tuples, as arrays: off their device and graph."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if not isinstance(value, Tensor):
        return value
    if value.is_meta:
        raise NotNumbers("It returned a tensor on the meta device, which holds no numbers.")
    with torch.no_grad():
        value = value.detach().cpu()
        value = value if value.layout == torch.strided else value.to_dense()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


# --- evidence as JSON ---------------------------------------------------------------------------------


def pack(evidence: Evidence) -> dict[str, Any]:
    """Evidence as what JSON can hold; sentences as strings, arrays with their dtype, shape and bytes."""
    return {
        key: value.item()
        if value.dtype.kind == "U"
        else {
            "dtype": value.dtype.newbyteorder("<").str,
            "shape": list(value.shape),
            "data": base64.b64encode(value.astype(value.dtype.newbyteorder("<")).tobytes()).decode("ascii"),
        }
        for key, value in evidence.items()
    }


def unpack(packed: Any) -> Evidence:
    """The evidence that `pack` made. Raises CourseError for anything else, whatever it is."""
    try:
        if not isinstance(packed, Mapping):
            raise TypeError("it is no mapping")
        return {str(key): _unpack_one(value) for key, value in packed.items()}
    except Exception as problem:  # what was forged may make NumPy stumble anywhere
        raise CourseError(f"The evidence is not as a probe writes it ({type(problem).__name__}).") from None


def _unpack_one(value: Any) -> np.ndarray:
    if isinstance(value, str):
        return np.array(printable(value, SENTENCE))
    dtype = np.dtype(value["dtype"])
    if dtype.kind not in "bifu" or dtype.itemsize > 8:
        raise ValueError("a dtype that no answer has")
    if len(value["data"]) > PACKED_BYTES:
        raise ValueError("an array that is too large")
    data = np.frombuffer(base64.b64decode(value["data"], validate=True), dtype)
    return data.reshape([int(side) for side in value["shape"]]).copy()

"""What runs beside the student's code: of every exercise, a probe.

A probe calls the answer on inputs drawn from a seed and records what came out as plain arrays, the evidence
(see `evidence`). It knows nothing of what should come out. In grading this package is in the sandbox and the
judges are not: nothing here may import them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import json
import mmap
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

import torch
from torch.distributions import Bernoulli, constraints

from course_utils.checks.probes.evidence import STEADY, Evidence, as_array, pack, quiet, sentence
from course_utils.checks.probes.inputs import fact, seed_draws
from course_utils.checks.probes.predictions import measured

EVIDENCE_MIME = "application/vnd.vae-course.evidence+json"

# By the answer's name. A prediction's probe is also given what the lesson has measured.
PROBES: dict[str, Callable[..., None]] = {
    name: probe
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
    if module.name.startswith("section_")
    for name, probe in importlib.import_module(f"{__name__}.{module.name}").PROBES.items()
}

_entered: dict[str, mmap.mmap] = {}  # by function or class, a byte that threads and forks share: 1 if it ran


@dataclass(frozen=True)
class Observation:
    """What a probe brings back; `note` says why there is no evidence, where there is none.

    `entered` names what of the package's own solutions ran meanwhile, where somebody asked.
    """

    answer: str
    seed: int
    evidence: Evidence
    note: str = ""
    entered: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The same for two probes that brought back the very same, bit for bit."""
        whole = json.dumps([self.seed, self.note, pack(self.evidence)], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()

    @property
    def packed(self) -> dict[str, Any]:
        """As what JSON can hold."""
        return vars(self) | {"evidence": pack(self.evidence)}

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Displayed, it is handed over to a grader elsewhere."""
        return {"text/plain": "evidence", EVIDENCE_MIME: self.packed}


GREY = {"vae_loss", "beta_loss"}  # whose texts say so: what fails on grey images is wrong


def observe(answer: str, namespace: Mapping[str, Any], seed: int, watched: Sequence[str] = ()) -> Observation:
    """Probe the answer of that name, which `namespace` holds. Never raises.

    `watched` are functions and classes of the package, as `module.name`: those that run meanwhile are noted.
    """
    value = namespace.get(answer)
    if value is None:
        note = f"`{answer}` is not defined: run the cell above first, and mend it if it fails."
        return Observation(answer, seed, {}, note)
    if str(getattr(value, "__module__", "")).startswith("course_utils."):
        return Observation(answer, seed, {}, f"This `{answer}` is the course's own: write one of yours.")
    if hasattr(value, "_torchdynamo_orig_callable"):
        note = f"Compiling `{answer}` takes longer than a check may: take `torch.compile` away."
        return Observation(answer, seed, {}, note)
    try:
        note_entries(watched)
        for path in watched:
            _entered[path][0] = 0
        with quiet(), undisturbed(), contextlib.nullcontext() if answer in GREY else _grey_as_well():
            seed_draws(seed)  # the same evidence, whatever ran before
            beside = (namespace.get(name),) if (name := measured(answer)) else ()
            evidence: Evidence = {}
            PROBES[answer](evidence, _function(answer, value), seed, *beside)
            evidence.setdefault(STEADY, as_array(fact(seed, STEADY, True)))
        entered = tuple(path for path in watched if _entered[path][0])
        return Observation(answer, seed, evidence, entered=entered)
    except KeyboardInterrupt:
        raise
    except BaseException as problem:  # whatever an answer raises where nothing was expected
        return Observation(answer, seed, {}, sentence(problem))


def _function(answer: str, value: Any) -> Any:
    """The answer; where a function is asked for and a class with `__call__` was written, an instance."""
    if answer[0].isupper() or not isinstance(value, type):
        return value
    if any("__call__" in vars(base) for base in value.__mro__):
        with contextlib.suppress(Exception):
            return value()
    return value


def note_entries(paths: Sequence[str]) -> None:
    """From here on, functions and classes of the package, as `module.name`, note that they are entered: in
    whatever thread, and in whatever process is forked."""
    for path in (path for path in paths if path not in _entered):
        module, _, name = path.rpartition(".")
        found = getattr(importlib.import_module(f"course_utils.{module}"), name)
        _entered[path] = mmap.mmap(-1, 1)
        methods = vars(found).items() if isinstance(found, type) else ()
        for key, method in [(key, one) for key, one in methods if isinstance(one, FunctionType)]:
            setattr(found, key, _noting(method, _entered[path]))
        if methods:
            continue
        noting = _noting(found, _entered[path])
        # A module that waits to be loaded is of another type; it will find the noting one.
        ours = [one for key, one in list(sys.modules.items()) if key.startswith("course_utils.")]
        for place in [vars(one) for one in ours if type(one) is ModuleType]:
            place.update({key: noting for key, one in place.items() if one is found})


def _noting(function: Callable[..., Any], entered: mmap.mmap) -> Callable[..., Any]:
    @functools.wraps(function)
    def noting(*args: Any, **kwargs: Any) -> Any:
        entered[0] = 1
        return function(*args, **kwargs)

    return noting


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Probe and judge draw alike, whatever defaults a lesson has set, and leave its random numbers alone."""
    dtype, here = torch.get_default_dtype(), torch.get_default_device().type == "cpu"
    torch.set_default_dtype(torch.float32)
    device = contextlib.nullcontext() if here else torch.device("cpu")  # which every call would pass through
    try:
        with device, torch.random.fork_rng(), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)


@contextlib.contextmanager
def _grey_as_well() -> Iterator[None]:
    """Grey images are no samples of a Bernoulli distribution, but its log_prob is given for them."""
    support = Bernoulli.support
    Bernoulli.support = constraints.unit_interval  # type: ignore[assignment]
    try:
        yield
    finally:
        Bernoulli.support = support

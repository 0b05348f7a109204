"""Single edits of the lessons' modules, each of which a test of the module must notice.

`python tests/module_mutants.py [MODULE ...]` prints what survives, and fails where something does or no edit
is made; `make test-all` does so for every module. Edits that REASONS lists are not made. EDITS=4 in the
environment makes four times as many, in as many times the time.
The tests run once as things are. Each edit is then made in a fork of that process, by giving a function its
edited code; there the tests that run this function go on until one fails. The edits are those of `mutants`,
inside functions and methods; sentences for people are left as they are.
"""

import ast
import contextlib
import gc
import importlib
import inspect
import io
import itertools
import os
import resource
import signal
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import mutants
import pytest
from programs import ROOT

# Of each module: its tests, and of how many edits one is made. Which ones, a checksum of the edit's text
# says: a change elsewhere in the module chooses no others.
MODULES = {
    "objectives": ("lessons/test_objectives.py", 8),
    "training": ("lessons/test_training.py", 8),
    "evaluation": ("lessons/test_evaluation.py", 48),
    "data.loading": ("data/test_data.py", 16),
    "data.digits": ("data/test_digits.py", 12),
    "data.garments": ("data/test_garments.py", 160),
    "data.sprites": ("data/test_sprites.py", 12),
}
EDITS = int(os.environ.get("EDITS", "1"))
SECONDS = 3.0  # of a processor that a test may take beyond four times what it takes without an edit
HANGS = 300  # seconds on the wall after which tests wait for what will not come

GPU = "differs on a GPU alone"
PARTS = "only how much is done at a time"
DIGITS = "only the last digits of float32"
EDGE = "no point lies on the edge itself"
ROUNDING = "an average of what lies in [0, 1] leaves it by rounding alone"
OWN_PROCESS = "test_torchvision.py runs it in a process of its own"
DEFAULT = "the default, said to make it seen"
NEGATIVE = "NumPy and the like take any negative number there"
AS_MANY = "of labels there are as many as of images"
STRICT = "the two are always of one length"
MASKED = "what stands in for a logit of the other kind: its result is not taken"
ORDER = "the order in which a term is looked at, or looked for"

# By module: edits that no test can or should notice, with the reason.
REASONS: dict[str, dict[str, str]] = {
    "objectives": {
        "log_weights: torch.randn(samples, *mu.shape, dtype=mu.dtype, device=mu.device) -> "
        "torch.randn(samples, *mu.shape, dtype=mu.dtype)": GPU,
        "doubly_reparameterized: torch.randn(samples, *mu.shape, dtype=mu.dtype, device=mu.device) -> "
        "torch.randn(samples, *mu.shape, dtype=mu.dtype)": GPU,
        "doubly_reparameterized: log_w.detach() -> log_w": "nobody asks for a gradient of a gradient",
        "ContinuousBernoulli: self.logits.abs() < NEAR_ZERO -> self.logits.abs() <= NEAR_ZERO": EDGE,
        "ContinuousBernoulli: self.logits < 0 -> self.logits <= 0": "at 0 both give the same",
        "ContinuousBernoulli: 0.0 -> 1.0": MASKED,
        "ContinuousBernoulli: 0.0 -> -1.0": MASKED,
        "ContinuousBernoulli: 1.0 -> 2.0": MASKED,
        "ContinuousBernoulli: 1.0 -> -1.0": MASKED,
        "ContinuousBernoulli: 90720 -> 90721": "less than the term after it",
        "ContinuousBernoulli: 90720 -> 90719": "less than the term after it",
        "ContinuousBernoulli: 0.0001 -> 0.0002": "as near to uniform",
        "real_beta: (reconstruction, kl) -> (kl, reconstruction)": ORDER,
        "real_beta: ('sum', 'mean') -> ('mean', 'sum')": ORDER,
    },
    "training": {
        "fit: torch.randperm(len(images), device=images.device) -> torch.randperm(len(images))": GPU,
        "fit: zip(terms._fields, averages, strict=True) -> zip(terms._fields, averages)": STRICT,
        "fit: True -> False": STRICT,
        "average: 0 -> -1": AS_MANY,
        "average: 0 -> -1 (2)": AS_MANY,
        "problems: value.item() -> value": mutants.NUMBER,
        "fit: 0 -> 1": "the noise of what watches may come from any seed of its own",
        "fit: 0 -> -1": "the noise of what watches may come from any seed of its own",
    },
    "evaluation": {
        "binarize: torch.bernoulli(images.cpu(), generator=generator).to(images.device) -> "
        "torch.bernoulli(images.cpu(), generator=generator).to()": GPU,
        "log_likelihood: _batches(images, *condition, size=WEIGHED) -> _batches(images, *condition)": PARTS,
        "kl_decomposition: 10000000 -> 9999999": PARTS,
        "linear_probe_accuracy: 0.1 -> 0.2": "one of several strengths, of which validation images choose",
        "interpolate: 0 -> -1 (2)": "the one axis of a code is its first and its last",
        "knn_accuracy: KNeighborsClassifier(5) -> KNeighborsClassifier()": DEFAULT,
        "linear_probe_accuracy: linear_model.LogisticRegression(max_iter=500) -> "
        "linear_model.LogisticRegression()": "only how long an optimizer may take",
        "_accuracy: tensor.cpu() -> tensor": GPU,
        "_accuracy: 1 -> 2": NEGATIVE,
        "_accuracy: 1 -> 2 (2)": NEGATIVE,
        "hole_share: (round_trip_error(model, z) > threshold).float() -> "
        "round_trip_error(model, z) > threshold": "an estimate makes numbers of it",
        "binned: torch.finfo(means.dtype) -> torch.finfo()": "both are tiny",
        "known_shares: factors.amax(0) -> factors.amax()": "pairs still have numbers of their own",
        "sampled_information_gap: group.sum(0) -> group.sum()": "adds the same to what every code knows",
    },
    "data.loading": {
        "torchvision: str(problem) -> problem": OWN_PROCESS,
        "torchvision: m.partition('.') -> m": OWN_PROCESS,
        "torchvision: 0 -> 1": OWN_PROCESS,
    },
    "data.digits": {
        "_affine_variant: F.affine_grid(torch.stack(rows, 1).view(n, 2, 3), list(images.shape), "
        "align_corners=False) -> F.affine_grid(torch.stack(rows, 1).view(n, 2, 3), list(images.shape))": (
            DEFAULT
        ),
        "_affine_variant: F.grid_sample(images, grid, align_corners=False).clamp(0, 1) -> "
        "F.grid_sample(images, grid, align_corners=False)": ROUNDING,
        "_affine_variant: F.grid_sample(images, grid, align_corners=False).clamp(0, 1) -> "
        "F.grid_sample(images, grid, align_corners=False).clamp(0)": ROUNDING,
        "_affine_variant: 1 -> 2": ROUNDING,
        "_affine_variant: F.grid_sample(images, grid, align_corners=False) -> "
        "F.grid_sample(images, grid)": DEFAULT,
        "_affine_variant: list(images.shape) -> images.shape": "PyTorch takes both; its types ask for a list",
    },
    "data.sprites": {
        "draw: 320 -> 321": PARTS,
        "_pictures: torch.maximum(u.abs(), v.abs()) < 0.9 -> torch.maximum(u.abs(), v.abs()) <= 0.9": EDGE,
        "_pictures: u ** 2 + (v / 0.55) ** 2 < 1.2 -> u ** 2 + (v / 0.55) ** 2 <= 1.2": EDGE,
        "_pictures: 1.15 -> -1.15": "squared, so that its sign does not matter",
    },
}


# --- edits ------------------------------------------------------------------------------------------------


def functions(code: CodeType, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], CodeType]]:
    """The functions and methods that a module's or class's code defines, by their path of names."""
    for part in code.co_consts:
        if isinstance(part, CodeType) and not part.co_name.startswith("<"):
            own = (*path, part.co_name)
            is_class = not part.co_flags & inspect.CO_OPTIMIZED
            yield from functions(part, own) if is_class else [(own, part)]


def edits(
    module: ModuleType, wanted: Callable[[str], bool] = lambda text: True
) -> Iterator[tuple[str, dict[tuple[str, ...], CodeType]]]:
    """The edits of which one wants the text: that, and the new code of the functions that they change."""
    file = inspect.getfile(module)
    for unit in ast.parse(Path(file).read_text("utf-8")).body:
        if not isinstance(unit, ast.FunctionDef | ast.ClassDef):
            continue
        tree = ast.Module([unit], [])
        before = dict(functions(compile(tree, file, "exec", dont_inherit=True)))
        own = f"{unit.name}: "
        for text, edited in mutants.mutants(
            tree, lambda text, own=own: not _is_for_people(text) and wanted(own + text)
        ):
            with contextlib.suppress(SyntaxError), warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                after = dict(functions(compile(edited, file, "exec", dont_inherit=True)))
                if changed := {path: code for path, code in after.items() if code != before.get(path)}:
                    yield own + text, changed


def _is_for_people(text: str) -> bool:
    """Whether the edit is one of a sentence."""
    old = text.partition(" -> ")[0]
    return old[0] in "'\"" and " " in old


def live(module: ModuleType, path: tuple[str, ...]) -> FunctionType:
    """The function of this path, below its decorators."""
    found: Any = module
    for name in path:
        found = inspect.getattr_static(found, name)
    found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    return inspect.unwrap(found)


# --- tests of an edit -------------------------------------------------------------------------------------


@dataclass
class Tested:
    """A test, the first lines of the functions that it runs, and the processor's seconds that it takes."""

    item: pytest.Item
    lines: set[int]
    seconds: float


def forked(work: Callable[[], bool]) -> bool:
    """Whether this is so in a fork of this process; one that ends in another way says no."""
    if pid := os.fork():
        return os.waitpid(pid, 0)[1] == 0
    try:
        os._exit(not work())
    except BaseException:
        os._exit(1)


def all_pass(items: list[pytest.Item]) -> bool:
    """Whether these tests pass, as none at all do; the first that fails ends it."""
    for item, following in itertools.zip_longest(items, items[1:]):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return False
    return True


def forget() -> None:
    """Empty the caches of the course's functions, so that the next test runs them."""
    for name in [name for name in sys.modules if name.startswith("course_utils")]:
        for value in list(vars(sys.modules[name]).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def watched(item: pytest.Item, file: str) -> Tested:
    """Run a test, which has to pass, and note which functions of the file it runs."""
    lines: set[int] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename == file:
            lines.add(frame.f_code.co_firstlineno)

    forget()
    begun = time.process_time()
    threading.setprofile(note)
    sys.setprofile(note)
    passed = all_pass([item])
    sys.setprofile(None)
    threading.setprofile(None)
    if not passed:
        raise pytest.UsageError(f"{item.nodeid} fails without an edit.")
    return Tested(item, lines, time.process_time() - begun)


class Mutation:
    """A plugin of pytest that, in place of running the tests, looks for edits which they let pass."""

    def __init__(self, name: str) -> None:
        self.told = os.fdopen(os.dup(1), "w", buffering=1)  # pytest captures the other
        self.module = importlib.import_module(f"course_utils.{name}")
        self.reasons = REASONS.get(name, {})
        self.unknown = set(self.reasons)  # until such an edit is met
        one_in = max(1, MODULES[name][1] // EDITS)

        def wanted(text: str) -> bool:
            self.unknown.discard(text)
            return text not in self.reasons and not zlib.crc32(text.encode()) % one_in

        self.edits = dict(edits(self.module, wanted))
        self.tested: dict[pytest.Item, Tested] = {}
        self.survivors: list[str] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        # In this process, so that what the tests import is there in every fork.
        file = inspect.getfile(self.module)
        tested = sorted((watched(item, file) for item in session.items), key=lambda test: test.seconds)
        self.tested = {test.item: test for test in tested}
        forget()
        gc.freeze()  # a collection in a fork would copy all memory
        for text, changed in self.edits.items():
            lines = {code.co_firstlineno for code in changed.values()}
            chosen = [test for test in tested if test.lines & lines]
            if forked(partial(self._survives, changed, chosen)):
                self.survivors.append(text)
                print(f"    {text}", file=self.told)
        return True

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """In a fork, end it where the test takes much more of the processor than it did."""
        if item in self.tested:
            limit = int(time.process_time() + SECONDS + 4 * self.tested[item].seconds)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))

    def _survives(self, changed: dict[tuple[str, ...], CodeType], chosen: list[Tested]) -> bool:
        for path, code in changed.items():
            live(self.module, path).__code__ = code
        signal.alarm(HANGS)
        return all_pass([test.item for test in chosen])


def tried(name: str) -> Mutation:
    """What came of the edits of this module."""
    mutation, told = Mutation(name), io.StringIO()
    plugins = [f"-pno:{name}" for name in ("xdist", "nbval", "cacheprovider")]
    options = [*plugins, "--assert=plain", "--tb=native", f"--rootdir={ROOT}"]
    with contextlib.redirect_stdout(told):
        status = pytest.main([*options, str(ROOT / "tests" / MODULES[name][0])], [mutation])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        sys.exit(told.getvalue())
    return mutation


def main() -> None:
    if os.environ.get("OMP_NUM_THREADS") != "1":  # forks of a process with several threads hang
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"OMP_NUM_THREADS": "1"})
    failed = False
    for name in sys.argv[1:] or MODULES:
        mutation = tried(name)
        print(f"{name}: {len(mutation.edits)} edits, {len(mutation.survivors)} survive without a reason")
        for text in sorted(mutation.unknown):
            print(f"    no such edit, though listed: {text}")
        failed |= bool(mutation.survivors or mutation.unknown or not mutation.edits)
    sys.exit(failed)


if __name__ == "__main__":
    main()

"""Single edits of the lessons' modules, each of which a test of the module must notice.

`python tests/module_mutants.py [MODULE ...]` prints what survives, and fails where REASONS says otherwise;
`make test-all` does so for the modules that REASONS lists.
The tests run once as things are. Each edit is then made in a fork of that process, by giving a function its
edited code; there the tests that run this function go on until one fails. The edits are those of `mutants`,
inside functions and methods; sentences for people are left as they are.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import io
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
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import mutants
import pytest

ROOT = Path(__file__).parent.parent

# Of each module: its tests, and of how many edits one is made. Which ones, a checksum of the edit's text
# says: a change elsewhere in the module chooses no others.
MODULES = {
    "objectives": ("lessons/test_objectives.py", 1),
    "training": ("lessons/test_training.py", 1),
    "evaluation": ("lessons/test_evaluation.py", 2),
    "data.loading": ("data/test_data.py", 2),
    "data.digits": ("data/test_data.py", 1),
    "data.garments": ("data/test_garments.py", 12),
    "data.sprites": ("data/test_sprites.py", 4),
}
SECONDS = 3.0  # of a processor that a test may take beyond four times what it takes without an edit
HANGS = 300  # seconds on the wall after which tests wait for what will not come

CHECKING = "only whether torch looks at the arguments"
ORDER = "the order in which a term is looked at, or looked for"

# By module: edits that no test can or should notice, with the reason.
REASONS: dict[str, dict[str, str]] = {
    "objectives": {
        "continuous_bernoulli_nll: ContinuousBernoulli(logits=x_logits, validate_args=False) -> "
        "ContinuousBernoulli(logits=x_logits)": CHECKING,
        "continuous_bernoulli_nll: False -> True": CHECKING,
        "mean_squared_error: F.mse_loss(model(x).sigmoid(), x) -> F.mse_loss(x, model(x).sigmoid())": (
            "the squared error is symmetric"
        ),
        "log_weights: torch.randn(samples, *mu.shape, dtype=mu.dtype, device=mu.device) -> "
        "torch.randn(samples, *mu.shape, dtype=mu.dtype)": "differs on a GPU alone",
        "log_weights: gaussian_log_density(z, zero, zero) -> gaussian_log_density(zero, z, zero)": (
            mutants.SYMMETRIC
        ),
        "log_weights: gaussian_log_density(z, mu, logvar) -> gaussian_log_density(mu, z, logvar)": (
            mutants.SYMMETRIC
        ),
        "real_beta: (reconstruction, kl) -> (kl, reconstruction)": ORDER,
        "real_beta: ('sum', 'mean') -> ('mean', 'sum')": ORDER,
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


def edits(module: ModuleType, one_in: int) -> Iterator[tuple[str, dict[tuple[str, ...], CodeType]]]:
    """One in so many edits: its description, and the new code of the functions that it changes."""
    file = inspect.getfile(module)
    for unit in ast.parse(Path(file).read_text("utf-8")).body:
        if not isinstance(unit, ast.FunctionDef | ast.ClassDef):
            continue
        tree = ast.Module([unit], [])
        before = dict(functions(compile(tree, file, "exec")))
        for text, edited in mutants.mutants(tree):
            text = f"{unit.name}: {text}"
            if zlib.crc32(text.encode()) % one_in or _is_for_people(text):
                continue
            with contextlib.suppress(SyntaxError), warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                after = dict(functions(compile(edited, file, "exec", dont_inherit=True)))
                if changed := {path: code for path, code in after.items() if code != before.get(path)}:
                    yield text, changed


def _is_for_people(text: str) -> bool:
    """Whether the edit is one of a sentence."""
    old = text.partition(": ")[2].partition(" -> ")[0]
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
    """Whether these tests pass; the first that fails ends it."""
    for item, following in zip(items, [*items[1:], None], strict=True):
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
        self.name, self.told = name, os.fdopen(os.dup(1), "w", buffering=1)  # pytest captures the other
        self.module = importlib.import_module(f"course_utils.{name}")
        self.one_in = MODULES[name][1]
        self.tested: dict[pytest.Item, Tested] = {}
        self.survivors: list[str] = []
        self.count = 0

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        # In this process, so that what the tests import is there in every fork.
        file = inspect.getfile(self.module)
        tested = sorted((watched(item, file) for item in session.items), key=lambda test: test.seconds)
        self.tested = {test.item: test for test in tested}
        forget()
        for text, changed in edits(self.module, self.one_in):
            lines = {code.co_firstlineno for code in changed.values()}
            chosen = [test for test in tested if test.lines & lines]
            self.count += 1
            if forked(lambda changed=changed, chosen=chosen: self._survives(changed, chosen)):
                self.survivors.append(text)
                reason = REASONS.get(self.name, {}).get(text, "no reason")
                print(f"    {text}    [{reason}]", file=self.told)
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


def survivors(name: str) -> tuple[list[str], int]:
    """The edits of this module that all its tests let pass, and how many edits were made."""
    mutation, told = Mutation(name), io.StringIO()
    options = ["-p", "no:xdist", "-p", "no:nbval", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    with contextlib.redirect_stdout(told):
        status = pytest.main([*options, str(ROOT / "tests" / MODULES[name][0])], [mutation])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        sys.exit(told.getvalue())
    return mutation.survivors, mutation.count


def main() -> None:
    if os.environ.get("OMP_NUM_THREADS") != "1":  # forks of a process with several threads hang
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"OMP_NUM_THREADS": "1"})
    surprises = False
    for name in sys.argv[1:] or MODULES:
        alive, count = survivors(name)
        known = REASONS.get(name, {})
        surprises |= set(alive) != set(known)
        print(f"{name}: {count} edits, {len(alive)} survive, {len(set(alive) - set(known))} without a reason")
        for text in set(known) - set(alive):
            print(f"    does not survive, though listed: {text}")
    sys.exit(surprises)


if __name__ == "__main__":
    main()

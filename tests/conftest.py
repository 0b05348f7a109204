"""What the tests share: one thread each, an environment of their own, small data in MNIST's layout."""

import functools
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbgrader.api
import nbval.plugin
import needs
import numpy as np
import pytest
import torch
from pictures import write_idx
from programs import ROOT

from course_utils.data.loading import MNIST_SHA256
from courseware import sections
from courseware.authoring import claims

DATA_AT_START = os.environ.get("COURSE_DATA")  # before the tests' own environment hides it

# Files that take minutes, the longest first.
LONGEST = (
    "test_module_mutants",
    "test_attacks",
    "test_mutants",
    "test_term",
    "test_hub",
    "test_damages",
    "test_batch",
    "test_browser_formgrader",
    "test_browser_lab",
    "test_docs",
    "test_bank",
    "test_kills",
    "test_cluster",
    "test_bundle",
)

torch.set_num_threads(1)  # pytest-xdist runs one process per core


def pytest_configure() -> None:
    needs.require(os.environ.get("COURSE_REQUIRE", ""))
    # It asks alembic, in a process that takes two seconds, whenever a gradebook is made.
    nbgrader.api.get_alembic_version = functools.cache(nbgrader.api.get_alembic_version)
    nbval.plugin.IPyNbFile.collect = with_claims(nbval.plugin.IPyNbFile.collect)
    if sys.platform == "linux":
        import forked

        nbval.kernel.KernelManager = forked.Kernels


def with_claims(collect: Callable) -> Callable:
    """nbval's cells of a lesson, and after them one that tries what the lesson claims."""

    def collected(file: Any) -> Iterator[pytest.Item]:
        yield from collect(file)
        for lesson in sections.lessons():
            if file.path == ROOT / "solutions" / lesson.path:
                cell = claims.trial(claims.ledger(ROOT / "solutions", lesson))
                yield nbval.plugin.IPyNbCell.from_parent(
                    file, name="claims", cell_num=len(file.nb.cells), cell=cell, options=defaultdict(bool)
                )

    return collected


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process for each core, hyperthreads counted; two where tests wait for browsers and kernels."""
    return (os.cpu_count() or 1) * (1 if config.option.markexpr.startswith("not") else 2)


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and begin with what a worker would be alone with at the end."""
    items.sort(key=lambda item: [*LONGEST, item.path.stem].index(item.path.stem))
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        for name in needs.MISSING:
            if item.get_closest_marker(name) and (sentence := needs.MISSING[name]()):
                item.add_marker(pytest.mark.skip(reason=sentence))


@pytest.fixture(autouse=True)
def no_course_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test starts without the COURSE_* variables of the shell that started pytest."""
    for name in [name for name in os.environ if name.startswith("COURSE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def same_random_state() -> None:
    """What a test draws without a generator of its own is the same in every run and in any order."""
    torch.default_generator.manual_seed(0)  # torch.manual_seed would look for every kind of device


@pytest.fixture(scope="session")
def real_mnist() -> Path:
    """A folder that holds the real MNIST, or the test is skipped."""
    places = [ROOT / DATA_AT_START] if DATA_AT_START else []
    for folder in [*places, ROOT.parent / "shared" / "data"]:
        if all((folder / "MNIST" / "raw" / file).is_file() for file in MNIST_SHA256):
            return folder
    pytest.skip("The real MNIST is not on this machine: point COURSE_DATA at a folder that holds it.")


@pytest.fixture
def tiny_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """COURSE_DATA names a folder with a whole, valid MNIST of 600 training and 20 test images of noise."""
    rng = np.random.default_rng(0)
    for kind, count in (("train", 600), ("t10k", 20)):
        raw = tmp_path / "MNIST" / "raw"
        write_idx(raw / f"{kind}-images-idx3-ubyte", rng.integers(0, 256, (count, 28, 28)))
        write_idx(raw / f"{kind}-labels-idx1-ubyte", rng.permutation(count) % 10)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course of `faked`, in which nothing is handed in yet; only copies of it are used."""
    import faked

    return faked.make_course(tmp_path_factory.mktemp("released") / "course")


@pytest.fixture(scope="session")
def forks() -> None:
    """Processes that multiprocessing's server forks are there at once."""
    import forked

    forked.start_server("faked")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A running browser, for modules that import `browser`."""
    import browser
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tools:
        running = tools.chromium.launch(executable_path=needs.CHROMIUM, args=browser.FLAGS)
        yield running
        running.close()


@pytest.fixture
def visitor(chromium: Any) -> Iterator[Any]:
    """Somebody who opens pages; at the end none has complained."""
    import browser

    visitor = browser.Visitor(chromium)
    yield visitor
    visitor.leave()

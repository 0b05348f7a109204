"""A check says so where the answer in the kernel is not what its cell shows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from course_utils.checks import versions

RIGHT = "def gaussian_kl(mu, logvar):\n    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)"
Run = Callable[..., str]


@pytest.fixture
def run() -> Iterator[Run]:
    """Run a cell with an id, as JupyterLab does, and give back what the check says then."""
    shell = InteractiveShell.instance()
    shell.run_cell("from course_utils.checks import check, versions\nversions.note_runs()")

    def one(code: str, cell: str = "answer") -> str:
        shell.run_cell(code, store_history=True, cell_id=cell)
        shell.run_cell("said = str(check('gaussian_kl', globals()))", store_history=True, cell_id="check")
        return shell.user_ns["said"]

    yield one
    versions._runs.clear()
    InteractiveShell.clear_instance()


@pytest.mark.parametrize(
    "later",
    [RIGHT.replace("0.5 * (", "0.5 * ("[:-1]), RIGHT.replace("gaussian_kl", "my_kl"), "1 / 0\n" + RIGHT],
    ids=["a syntax error", "another name", "an error above"],
)
def test_a_cell_that_no_longer_makes_the_answer_is_told(run: Run, later: str) -> None:
    assert versions.EARLIER not in run(RIGHT)
    said = run(later)
    assert versions.EARLIER in said
    assert "3 of 3 points" in said
    assert versions.EARLIER not in run(RIGHT)


@pytest.mark.parametrize(
    "code",
    [
        f"import torch\n@torch.no_grad()\n{RIGHT}",
        f"import functools\n@functools.lru_cache\n{RIGHT}",
        f"import functools\n{RIGHT.replace('gaussian_kl', 'kl')}\ngaussian_kl = functools.partial(kl)",
        "import torch\nclass gaussian_kl:\n    @torch.no_grad()\n    def forward(self): pass",
    ],
    ids=["torch's decorator", "a cache", "a partial", "a method"],
)
def test_a_decorated_answer_has_the_source_of_its_cell(run: Run, code: str) -> None:
    run(code)
    assert versions.source(InteractiveShell.instance().user_ns["gaussian_kl"]) == code
    assert versions.EARLIER in run(code + "(")


@pytest.mark.parametrize("kind", ["function", "class"])
def test_an_answer_that_is_mended_in_its_cell_is_no_earlier_version(run: Run, kind: str) -> None:
    code = (
        RIGHT
        if kind == "function"
        else f"class gaussian_kl:\n    def __call__(self, mu, logvar): return {'mu'}"
    )
    run(code.replace("0.5 * ", ""))
    assert versions.EARLIER not in run(code)


def test_other_cells_do_not_count(run: Run) -> None:
    run(RIGHT)
    assert versions.EARLIER not in run("mu = 3", "another")


def test_a_notebook_saved_after_the_run_is_looked_into(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(RIGHT)
    file = tmp_path / "theory.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", str(file))
    file.write_text(json.dumps({"cells": [{"id": "answer", "source": [RIGHT, "  # more"]}]}))
    os.utime(file, (0, 0))
    assert versions.EARLIER not in run("pass", "other")  # saved before it was run
    os.utime(file, None)
    assert versions.EARLIER in run("pass", "other")
    file.write_text("no notebook")
    assert versions.EARLIER not in run("pass", "other")

"""Small jobs for the tests of the pool; this module is imported by its workers, and quick to import."""

import os
import re
import signal
import time
from functools import partial
from pathlib import Path

from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from courseware.classroom import pool
from courseware.grading import work
from courseware.grading.kernel import sandbox

two_workers = partial(pool.local, 2, "forkserver")  # forked from a server of multiprocessing's, at once

KILLER = -1


def square(number: int) -> int:
    """Ends its process where the number is KILLER."""
    if number == KILLER:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def stuck(number: int) -> int:
    """Where the number is KILLER, held by what no signal handler interrupts."""
    return -1 if number == KILLER and re.match("(a+)+b", "a" * 60) else number**2


def limited(number: int) -> int:
    """The same with a limit of processor time, as grading has one."""
    with work._limited(0.3):
        return stuck(number)


def noted(folder: Path) -> int:
    """Leaves a file behind for every attempt at it, then ends its process."""
    (folder / str(time.monotonic_ns())).touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def told(folder: Path) -> int:
    """Says in a file in which process it is done, then waits for `go` to be there."""
    (folder / f"{os.getpid()}.pid").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return os.getpid()


def told_or_square(job: Path | int) -> int:
    return square(job) if isinstance(job, int) else told(job)


def in_a_kernel(folder: Path) -> None:
    """Runs a sandboxed kernel that never ends, and says in which process."""
    (folder / f"{os.getpid()}.pid").touch()
    notebook = new_notebook(cells=[new_code_cell("while True: pass")])
    NotebookClient(notebook, kernel_name="python3", kernel_manager_class=sandbox.KernelManager).execute()


def own_pid(_: object) -> int:
    return os.getpid()


def tells_its_workers(folder: Path) -> None:
    """A coordinator whose two workers wait for what never comes."""
    with pool.local(2, "fork") as crew:
        list(pool.outcomes(told, [folder, folder], crew))


def fails(number: int) -> int:
    raise ValueError(f"no {number}")

"""Small jobs for the tests of the pool; this module is imported by its workers, and quick to import."""

from __future__ import annotations

import os
import re
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

from courseware.classroom import pool
from courseware.grading import work

two_workers = partial(pool.local, 2, "forkserver")

KILLER = -1


def square(number: int) -> int:
    """Ends its process where the number is KILLER."""
    if number == KILLER:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def stuck(number: int) -> int:
    """Where the number is KILLER, held by what no signal interrupts."""
    with work.in_time(0.3):
        return -1 if number == KILLER and re.match("(a+)+b", "a" * 60) else number**2


def noted(job: tuple[Path, int]) -> int:
    """Leaves a file behind for every attempt at it, then ends its process."""
    folder, _ = job
    (folder / str(time.monotonic_ns())).touch()
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def slow(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def tells_its_workers(pids: Any) -> None:
    """Puts the number of the process that did a job into a queue, then waits for the rest."""
    for _, pid in pool.outcomes(slow, [0.1, 0.1, 60.0, 60.0], two_workers, 2):
        pids.put(pid)


def fails(number: int) -> int:
    raise ValueError(f"no {number}")

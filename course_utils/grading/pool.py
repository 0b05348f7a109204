"""Many jobs done by few workers, of which any may die.

`outcomes` hands jobs to an executor, a few at a time, and yields each with its result as it comes. A process
pool breaks as a whole when one of its processes is killed; then a new one is made, the jobs that were under
way are done again, one at a time, and a job that breaks ATTEMPTS pools is given up: its outcome is None.
Dask's executor (`course grade --scheduler`) replaces workers by itself and raises for such a job.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from course_utils.settings import CourseError

J = TypeVar("J")
R = TypeVar("R")

ATTEMPTS = 3
AHEAD = 2  # jobs per worker that are under way or wait for one


@dataclass
class _Task:
    job: Any
    attempts: int = 0


def outcomes(
    work: Callable[[J], R], jobs: Iterable[J], make: Callable[[], Executor], workers: int
) -> Iterator[tuple[J, R | None]]:
    """Every job with its result, None where it could not be had, in the order in which they come.

    `make` gives an executor, anew after each that has broken. An error that `work` itself raises is raised.
    """
    executor = make()
    waiting, suspects = iter(jobs), deque[_Task]()
    running: dict[Future, _Task] = {}
    try:
        while True:
            if suspects:  # one at a time, so that the next to break a pool is known
                if not running:
                    task = suspects.popleft()
                    running[executor.submit(work, task.job)] = task
            else:
                while len(running) < AHEAD * workers and (job := next(waiting, None)) is not None:
                    running[executor.submit(work, job)] = _Task(job)
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            broken = False
            for future in done:
                task = running.pop(future)
                error = future.exception()
                if error is None:
                    yield task.job, future.result()
                elif _is_a_death(error):
                    broken = True
                    yield from _once_more(task, suspects)
                else:
                    raise error
            if broken and isinstance(executor, ProcessPoolExecutor):
                for task in running.values():
                    yield from _once_more(task, suspects)
                running.clear()
                executor.shutdown(wait=False, cancel_futures=True)
                executor = make()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _once_more(task: _Task, suspects: deque[_Task]) -> Iterator[tuple[Any, None]]:
    task.attempts += 1
    if task.attempts < ATTEMPTS:
        suspects.append(task)
    else:
        yield task.job, None


def _is_a_death(error: BaseException) -> bool:
    """Whether it was the worker that ended, not the work that failed."""
    return type(error).__name__ in ("BrokenProcessPool", "KilledWorker", "CancelledError")


def local(workers: int) -> Executor:
    """A pool of processes on this machine, each with one thread to compute with."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def dask(address: str) -> tuple[Callable[[], Executor], int]:
    """The workers of a Dask cluster, and how many they are. Raises CourseError where there is none."""
    try:
        from distributed import Client
    except ImportError:
        raise CourseError("--scheduler needs Dask: install it with `pip install -e '.[dask]'`.") from None
    try:
        client = Client(address, timeout=10)
    except (OSError, TimeoutError, ValueError) as problem:
        raise CourseError(f"No Dask scheduler answers at {address}: {problem}.") from None
    workers = len(client.scheduler_info(n_workers=-1)["workers"])
    if not workers:
        raise CourseError(f"The Dask scheduler at {address} has no workers: start some (`dask worker`).")
    return lambda: client.get_executor(pure=False), workers

"""Many jobs done by few workers, of which any may die.

`outcomes` hands jobs to an executor, a few at a time, and yields each with its result as it comes. A process
pool breaks as a whole when one of its processes is killed; then a new one is made, the jobs that were under
way are done again, one at a time, and a job that breaks ATTEMPTS pools is given up: its outcome is None.
Dask's executor (`course grade --scheduler`) replaces workers by itself and gives such a job up by itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing.connection import Connection
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
) -> Generator[tuple[J, R | None], None, None]:
    """Every job with its result, None where it could not be had, in the order in which they come.

    `make` gives an executor, anew after each that has broken. An error that `work` itself raises is raised,
    and CourseError where the scheduler of a cluster has gone.
    """
    executor = make()
    waiting, suspects = iter(jobs), deque[_Task]()
    running: dict[Future, _Task] = {}
    try:
        while True:
            if suspects:  # one at a time, so that the next to break a pool is known
                if not running:
                    task = suspects.popleft()
                    running[_submitted(executor, work, task.job)] = task
            else:
                while len(running) < AHEAD * workers and (job := next(waiting, None)) is not None:
                    running[_submitted(executor, work, job)] = _Task(job)
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            broken = False
            for future in [
                future for future in running if future in done
            ]:  # as handed out: `done` has no order
                task = running.pop(future)
                if future.cancelled():
                    raise CourseError(
                        "The scheduler has dropped what it was given to do: see whether it still runs, then "
                        "give the same command again."
                    )
                error = future.exception()
                if error is None:
                    yield task.job, future.result()
                elif isinstance(error, BrokenExecutor):
                    broken = True
                    yield from _once_more(task, suspects)
                elif type(error).__name__ == "KilledWorker":  # Dask's, after several workers
                    yield task.job, None
                else:
                    raise error
            if broken:
                for task in running.values():
                    yield from _once_more(task, suspects)
                running.clear()
                executor.shutdown(wait=False)
                executor = make()
    finally:
        executor.shutdown(wait=False)


def _submitted(executor: Executor, work: Callable[[J], R], job: J) -> Future[R]:
    """The job's future, which has failed already where the pool broke while nobody looked."""
    try:
        return executor.submit(work, job)
    except BrokenExecutor as problem:
        failed: Future[R] = Future()
        failed.set_exception(problem)
        return failed


def _once_more(task: _Task, suspects: deque[_Task]) -> Iterator[tuple[Any, None]]:
    task.attempts += 1
    if task.attempts < ATTEMPTS:
        suspects.append(task)
    else:
        yield task.job, None


class _Pool(ProcessPoolExecutor):
    """Processes that end with the one that made them, however it ends, or when it waits for them no longer.

    Each holds one end of a pipe of which nobody else has the other.
    """

    def __init__(self, workers: int, start: str) -> None:
        context = multiprocessing.get_context(start)
        theirs, self._lifeline = context.Pipe(duplex=False)
        super().__init__(workers, context, _begin, (theirs,))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=wait, cancel_futures=cancel_futures or not wait)
        self._lifeline.close()


def _begin(lifeline: Connection) -> None:
    """What a worker does first. Ctrl-C is the affair of the process that hands out the jobs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    lifeline.poll(None)
    os._exit(1)


def local(workers: int, start: str = "spawn") -> Executor:
    """A pool of processes on this machine, each with one thread to compute with."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return _Pool(workers, start)


def dask(address: str, patience: float = 10) -> tuple[Callable[[], Executor], int]:
    """The workers of a Dask cluster, and how many they are. Raises CourseError where there is none
    that answers within seconds of patience.

    A worker grades one submission at a time, however many threads it has.
    """
    try:
        from distributed import Client
    except ImportError:
        raise CourseError("--scheduler needs Dask: install it with `pip install -e '.[dask]'`.") from None
    try:
        client = Client(address, timeout=patience)
    except (OSError, TimeoutError, ValueError) as problem:
        raise CourseError(f"No Dask scheduler answers at {address}: {problem}.") from None
    workers = len(client.nthreads())
    if not workers:
        client.close()
        raise CourseError(
            f"The Dask scheduler at {address} has no workers: start some "
            f"(`dask worker {address} --nthreads 1`)."
        )
    return lambda: client.get_executor(pure=False), workers

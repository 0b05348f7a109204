"""Many jobs done by few workers, of which any may die.

`outcomes` hands jobs to a crew, a few at a time. A job has a turn of some seconds: one that is not done by
then goes behind all that have not had theirs, and so does a job whose worker died. So a few that are slow, on
purpose perhaps, keep nobody waiting. After ATTEMPTS dead workers, or its longest turn, a job is given up.

On one machine the crew is a process pool of Pebble's, in which a worker that dies costs its own job alone;
one that dies while none has a job breaks the pool, and the next job is given to a new one. On a cluster of
Dask's (`course grade --scheduler`) there are no turns; it replaces workers and gives jobs up by itself.
"""

import multiprocessing
import os
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, TimeoutError, wait
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, NamedTuple, TypeVar

import joblib
from pebble import ProcessExpired, ProcessPool

from course_utils.settings import CourseError

J = TypeVar("J")
R = TypeVar("R")

ATTEMPTS = 3
AHEAD = 2  # jobs per worker that are under way or wait for one
TURNS = (10, 60, 600, 7200)  # seconds from a job's start; an honest one takes two to three
DIED = (ProcessExpired, BrokenExecutor)
START = "forkserver" if sys.platform == "linux" else "spawn"  # elsewhere forks of what has libraries may hang


class Crew(NamedTuple):
    """Workers: how work, a job and the seconds of its turn are handed to them, and how many they are."""

    submit: Callable[[Callable[[Any], Any], Any, float], Future]
    workers: int


def outcomes(
    work: Callable[[J], R], jobs: Iterable[J], crew: Crew
) -> Generator[tuple[J, R | None], None, None]:
    """Every job with its result, None where it could not be had; what `work` itself raises is raised."""
    waiting = iter(jobs)
    behind: deque[tuple[J, int, int]] = deque()  # with the turn that they are to have, and their dead workers
    running: dict[Future, tuple[J, int, int]] = {}
    while True:
        line = chain(((job, 0, 0) for job in waiting), (behind.popleft() for _ in range(len(behind))))
        for job, turn, died in islice(line, AHEAD * crew.workers - len(running)):
            running[crew.submit(work, job, TURNS[turn])] = job, turn, died
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job, turn, died = running.pop(future)
            if future.cancelled():
                raise CourseError(
                    "The scheduler has dropped what it was given to do: see whether it still runs, then give "
                    "the same command again."
                )
            error = future.exception()
            if isinstance(error, TimeoutError) and turn + 1 < len(TURNS):
                behind.append((job, turn + 1, died))
            elif isinstance(error, DIED) and died + 1 < ATTEMPTS:
                behind.append((job, turn, died + 1))
            elif isinstance(error, (*DIED, TimeoutError)) or type(error).__name__ == "KilledWorker":  # Dask's
                yield job, None
            else:
                yield job, future.result()


def prepare(module: str, start: str = START) -> None:
    """Start what workers are forked from, which imports this module meanwhile."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if start == "forkserver":
        from multiprocessing import forkserver  # on Linux and macOS only

        multiprocessing.set_forkserver_preload([module])
        forkserver.ensure_running()


@contextmanager
def local(count: int | None = None, start: str = START, ready: Callable[[], object] = int) -> Iterator[Crew]:
    """Processes on this machine, one per core unless told, of one thread each; they end with the context.

    Each calls `ready` before its first job, in nobody's turn.
    """
    count = count or joblib.cpu_count()
    context: Any = multiprocessing.get_context(start)
    pools: list[ProcessPool] = []  # at most one

    def end() -> None:
        while pools:
            pools[-1].stop()
            pools.pop().join()

    def submit(work: Callable[[J], R], job: J, seconds: float) -> Future[R]:
        if pools and not pools[-1].active:
            end()
        if not pools:
            prepare(work.__module__, start)
            pools.append(ProcessPool(count, initializer=_begin, initargs=[work, ready], context=context))
        return pools[-1].schedule(work, [job], timeout=seconds)

    try:
        yield Crew(submit, count)
    finally:
        end()


def _begin(work: Callable, ready: Callable[[], object]) -> None:
    """What a worker does first: import `work`, by being given it, and end with the process that made it.

    Jobs are fetched under a lock, in which an import would keep all others waiting.
    """
    parent: Any = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    ready()


def unprotected(address: str) -> bool:
    """Whether work for a scheduler there, and its results, can be read and changed on the way."""
    scheme, _, rest = address.partition("://")
    here = re.match(r"(localhost|127(\.\d+){3}|\[?::1\]?)(:\d+)?$", rest or scheme)
    return scheme not in ("tls", "wss", "inproc") and not here


@contextmanager
def dask(address: str, patience: float = 10) -> Iterator[Crew]:
    """The workers of a Dask cluster, which grade one submission at a time, however many threads they have.

    An address that begins with tls:// takes the certificates that Dask's own configuration names.
    """
    try:
        from distributed import Client
    except ImportError:
        raise CourseError("--scheduler needs Dask: install it with `pip install -e '.[dask]'`.") from None
    try:
        client = Client(address, timeout=patience)
    except (OSError, TimeoutError, TypeError, ValueError) as problem:  # tls:// without certificates
        raise CourseError(f"No Dask scheduler answers at {address}: {problem}.") from None
    with client, client.get_executor(pure=False) as executor:
        workers = len(client.nthreads())
        if not workers:
            raise CourseError(
                f"The Dask scheduler at {address} has no workers: start some "
                f"(`dask worker {address} --nthreads 1`)."
            )
        try:
            yield Crew(lambda work, job, _: executor.submit(work, job), workers)
        finally:
            executor.shutdown(wait=False)

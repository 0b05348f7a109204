"""Jobs handed to workers that may die: every outcome once, and none lost but those that kill.

The workers are real processes, forked from a server of multiprocessing's, which starts them in no time.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import psutil
import pytest
from jobs import KILLER, fails, noted, slow, square, stuck, tells_its_workers, two_workers

from course_utils.settings import CourseError
from courseware.classroom import pool

pytestmark = pytest.mark.usefixtures("forks")


def found(numbers: list[int], make=two_workers) -> list[tuple[int, int | None]]:
    return sorted(pool.outcomes(square, numbers, make, 2))


def ended(pids: set[int], seconds: float = 10) -> bool:
    """Whether all of these have ended within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(psutil.pid_exists(pid) and _runs(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_every_job_comes_back_once_with_its_result():
    assert found([*range(50)]) == [(n, n**2) for n in range(50)]


def test_no_jobs_give_no_outcomes():
    assert found([]) == []


def test_a_job_that_kills_its_worker_is_given_up_and_the_others_come_through():
    numbers = [*range(10), KILLER, *range(10, 20)]
    assert dict(found(numbers)) == {KILLER: None} | {n: n**2 for n in range(20)}


def test_a_job_that_nothing_can_interrupt_is_given_up_when_its_time_is_over():
    assert dict(pool.outcomes(stuck, [1, KILLER, 2], two_workers, 2)) == {1: 1, KILLER: None, 2: 4}


def test_several_killers_in_a_row_are_all_given_up():
    numbers = [1, KILLER, KILLER, 2, KILLER]
    assert sorted(pool.outcomes(square, numbers, two_workers, 2), key=str) == sorted(
        [(1, 1), (2, 4), *[(KILLER, None)] * 3], key=str
    )


def test_a_killer_is_tried_as_often_as_is_said(tmp_path):
    assert list(pool.outcomes(noted, [(tmp_path, 0)], two_workers, 2)) == [((tmp_path, 0), None)]
    assert len(list(tmp_path.iterdir())) == pool.ATTEMPTS


def test_workers_killed_from_outside_lose_nothing():
    """Each pool that is made loses one worker, at a random moment of its first quarter second; as often as
    jobs may be tried, less one."""
    rng, deaths = random.Random(0), 0

    def make() -> Executor:
        nonlocal deaths
        made = pool.local(2, "forkserver")
        if deaths < pool.ATTEMPTS - 1:
            deaths += 1
            threading.Thread(target=kill_one, args=(made, rng.uniform(0, 0.25))).start()
        return made

    def kill_one(made: pool._Pool, after: float) -> None:
        time.sleep(after)
        while not made._processes:
            time.sleep(0.01)
        os.kill(rng.choice(list(made._processes)), signal.SIGKILL)

    jobs = [0.02 + n / 10_000 for n in range(40)]
    outcomes = list(pool.outcomes(slow, jobs, make, 2))
    assert (sorted(job for job, _ in outcomes), deaths) == (jobs, pool.ATTEMPTS - 1)
    assert all(outcome for _, outcome in outcomes)


def test_a_pool_that_breaks_while_nobody_looks_is_replaced():
    """Its worker is killed between two results; the next job cannot be submitted any more."""
    pools: list[pool._Pool] = []

    def make() -> Executor:
        pools.append(pool.local(1, "forkserver"))
        return pools[-1]

    outcomes = pool.outcomes(square, range(9), make, 1)
    found = [next(outcomes)]
    (worker,) = pools[0]._processes
    os.kill(worker, signal.SIGKILL)
    until = time.monotonic() + 10
    while not pools[0]._broken and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted([*found, *outcomes]) == [(n, n**2) for n in range(9)]
    assert len(pools) == 2


def test_an_error_of_the_work_is_raised():
    with pytest.raises(ValueError, match="no 7"):
        list(pool.outcomes(fails, [7, 7], two_workers, 2))


def test_jobs_are_taken_as_they_are_needed():
    taken = itertools.count()
    ahead = []

    def jobs() -> Iterator[int]:
        for number in range(100):
            next(taken)
            yield number

    with ThreadPoolExecutor(2) as threads:
        for done, _ in enumerate(pool.outcomes(square, jobs(), lambda: threads, 2), 1):
            ahead.append(int(repr(taken)[6:-1]) - done)
    assert max(ahead) <= pool.AHEAD * 2


def test_workers_end_when_nobody_waits_for_the_rest():
    """What Ctrl-C comes to: the generator is closed while jobs are under way."""
    made: list[pool._Pool] = []

    def make() -> Executor:
        made.append(pool.local(2, "forkserver"))
        return made[-1]

    outcomes = pool.outcomes(slow, [0.0, 60.0, 60.0], make, 2)
    next(outcomes)
    workers = set(made[0]._processes)
    outcomes.close()
    assert workers and ended(workers)


def test_an_interruption_is_raised_and_ends_the_workers(monkeypatch):
    workers: set[int] = set()
    made = two_workers()

    def interrupted(*_: object, **__: object) -> None:
        workers.update(made._processes)
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(pool.outcomes(slow, [60.0, 60.0], lambda: made, 2))
    assert workers and ended(workers)


def test_workers_end_when_the_process_that_made_them_is_killed():
    context = multiprocessing.get_context("forkserver")
    pids = context.SimpleQueue()
    coordinator = context.Process(target=tells_its_workers, args=(pids,))
    coordinator.start()
    workers = {pids.get(), pids.get()}
    coordinator.kill()
    coordinator.join()
    assert ended(workers)


class _Cluster(Executor):
    """What Dask's executor does of all this: nothing is run, and futures end as they are told."""

    def __init__(self, end) -> None:
        self.end = end

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        self.end(future)
        return future

    def shutdown(self, wait: bool = True) -> None:
        """Takes no more than this."""


class KilledWorker(Exception):
    """Called like Dask's."""


def test_a_job_that_a_cluster_has_given_up_is_given_up():
    def end(future: Future) -> None:
        future.set_exception(KilledWorker())

    assert list(pool.outcomes(square, [1, 1], lambda: _Cluster(end), 1)) == [(1, None)] * 2


def test_a_scheduler_that_drops_its_jobs_stops_the_batch_with_one_sentence():
    def end(future: Future) -> None:
        future.cancel()
        future.set_running_or_notify_cancel()

    with pytest.raises(CourseError, match="see whether it still runs, then give the same command again"):
        list(pool.outcomes(square, [1], lambda: _Cluster(end), 1))

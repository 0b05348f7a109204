"""Jobs handed to workers that may die: every outcome once, and none lost but those that kill.

The workers are real processes.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import jobs
import psutil
import pytest

from course_utils.settings import CourseError
from courseware.classroom import pool
from courseware.grading.kernel import sandbox

pytestmark = pytest.mark.usefixtures("forks")
PATIENCE = 300  # seconds for what takes none: it ends tests that hang


def found(numbers: list[int], work: Callable[[int], int] = jobs.square) -> list[tuple[int, int | None]]:
    with jobs.two_workers() as crew:
        return list(pool.outcomes(work, numbers, crew))


def becomes_true(condition: Callable[[], object]) -> bool:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.01)
    return False


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def at_work(folder: Path, count: int) -> set[int]:
    """The processes in which `jobs.told` is under way, once there are as many."""
    assert becomes_true(lambda: len(list(folder.glob("*.pid"))) >= count)
    return {int(file.stem) for file in folder.glob("*.pid")}


def test_every_job_comes_back_once_with_its_result():
    assert sorted(found([*range(50)])) == [(n, n**2) for n in range(50)]


SEVERAL = pytest.param([1, jobs.KILLER, jobs.KILLER, 2, jobs.KILLER], id="several", marks=pytest.mark.slow)


@pytest.mark.parametrize("numbers", [[*range(10), jobs.KILLER, *range(10, 20)], SEVERAL])
def test_a_job_that_kills_its_worker_is_given_up_and_the_others_come_through(numbers):
    expected = [(n, None if n == jobs.KILLER else n**2) for n in numbers]
    assert sorted(found(numbers), key=str) == sorted(expected, key=str)


@pytest.mark.slow
def test_a_job_that_takes_more_processor_time_than_it_may_is_given_up():
    assert dict(found([1, jobs.KILLER, 2], jobs.limited)) == {1: 1, jobs.KILLER: None, 2: 4}


@pytest.mark.slow
def test_a_job_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(pool, "TURNS", (0.2, 0.5))
    assert dict(found([jobs.KILLER], jobs.stuck)) == {jobs.KILLER: None}


@pytest.mark.slow
def test_jobs_that_take_long_keep_nobody_waiting(monkeypatch, tmp_path):
    """None of the four that come first ends before the others are all done."""
    monkeypatch.setattr(pool, "TURNS", (3, PATIENCE))
    late = threading.Timer(PATIENCE / 2, (tmp_path / "go").touch)  # so that it fails instead of waiting
    late.start()
    with jobs.two_workers() as crew:
        outcomes = pool.outcomes(jobs.told_or_square, [*[tmp_path] * 4, *range(6)], crew)
        assert sorted(islice(outcomes, 6)) == [(n, n**2) for n in range(6)]
        (tmp_path / "go").touch()
        late.cancel()
        assert [job for job, _ in outcomes] == [tmp_path] * 4


def test_a_job_that_waits_for_a_worker_is_not_taken_for_one_that_hangs(tmp_path):
    """Time counts from the moment at which a worker has the job."""
    with pool.local(1, "forkserver") as crew:
        first, second = crew.submit(jobs.told, tmp_path, 60), crew.submit(jobs.own_pid, 0, 60)
        at_work(tmp_path, 1)
        assert not second.running()
        (tmp_path / "go").touch()
        assert first.result() == second.result()


@pytest.mark.slow
def test_a_killer_is_tried_as_often_as_is_said(tmp_path):
    with jobs.two_workers() as crew:
        assert list(pool.outcomes(jobs.noted, [tmp_path], crew)) == [(tmp_path, None)]
    assert len(list(tmp_path.iterdir())) == pool.ATTEMPTS


@pytest.mark.slow
def test_workers_killed_from_outside_lose_nothing(tmp_path):
    """As often as jobs may be tried, less one, both workers are killed in the middle of their jobs."""
    seen: set[int] = set()

    def kill_both() -> None:
        for _ in range(pool.ATTEMPTS - 1):
            at_work(tmp_path, len(seen) + 2)
            for pid in at_work(tmp_path, len(seen) + 2) - seen:
                os.kill(pid, signal.SIGKILL)
                seen.add(pid)
        at_work(tmp_path, len(seen) + 2)
        (tmp_path / "go").touch()

    with jobs.two_workers() as crew, ThreadPoolExecutor(1) as killer:
        killing = killer.submit(kill_both)
        outcomes = list(pool.outcomes(jobs.told, [tmp_path] * 4, crew))
        killing.result()
    assert len(outcomes) == 4
    assert all(outcome and outcome not in seen for _, outcome in outcomes)


@pytest.mark.slow
def test_workers_that_all_die_while_there_is_nothing_to_do_are_replaced():
    """Pebble's pool breaks then."""
    with jobs.two_workers() as crew:
        workers = {crew.submit(jobs.own_pid, 0, 60).result()}
        outcomes = pool.outcomes(jobs.own_pid, [1, 2, 3], crew)
        psutil.Process(*workers).kill()
        assert becomes_true(lambda: not any(map(runs, workers)))
        after = [pid for _, pid in outcomes]
    assert len(after) == 3 and not workers & set(after)


def test_an_error_of_the_work_is_raised():
    with pytest.raises(ValueError, match="no 7"):
        found([7, 7], jobs.fails)


def test_jobs_are_taken_as_they_are_needed():
    taken: list[int] = []
    with ThreadPoolExecutor(2) as threads:
        crew = pool.Crew(lambda work, job, _: threads.submit(work, job), 2)
        numbers = (taken.append(number) or number for number in range(100))
        ahead = [len(taken) - done for done, _ in enumerate(pool.outcomes(jobs.square, numbers, crew), 1)]
    assert max(ahead) <= pool.AHEAD * 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, CourseError])
def test_workers_end_when_nobody_waits_for_the_rest(error, tmp_path):
    """What Ctrl-C and a full disk come to."""
    with pytest.raises(error), jobs.two_workers() as crew:
        for _ in range(2):
            crew.submit(jobs.told, tmp_path, 60)
        workers = at_work(tmp_path, 2)
        raise error
    assert not any(map(runs, workers))


@pytest.mark.slow
@pytest.mark.skipif(bool(sandbox.missing()), reason=sandbox.missing())
def test_a_worker_that_is_ended_leaves_no_kernel_behind_and_nothing_to_fork_one_from(tmp_path):
    def kernel() -> list[psutil.Process]:
        try:
            below = psutil.Process(worker).children()
            zygotes = [child for child in below if "zygote" in " ".join(child.cmdline())]
            return [kernel for one in zygotes for keeper in one.children() for kernel in keeper.children()]
        except psutil.Error:  # one of them has just ended
            return []

    with pool.local(1, "forkserver") as crew:
        crew.submit(jobs.in_a_kernel, tmp_path, 600)
        (worker,) = at_work(tmp_path, 1)
        assert becomes_true(kernel)
        below = {child.pid for child in psutil.Process(worker).children(recursive=True)}
    assert len(below) >= 4  # a zygote, a keeper, the kernel and its room
    assert becomes_true(lambda: not any(map(runs, below)))


def test_workers_end_when_the_process_that_made_them_is_killed(tmp_path):
    context = multiprocessing.get_context("forkserver")
    coordinator = context.Process(target=jobs.tells_its_workers, args=(tmp_path,))
    coordinator.start()
    workers = at_work(tmp_path, 2)
    coordinator.kill()
    coordinator.join()
    assert becomes_true(lambda: not any(map(runs, workers)))


class KilledWorker(Exception):
    """Called like Dask's."""


def test_a_job_that_a_cluster_has_given_up_is_given_up():
    future: Future = Future()
    future.set_exception(KilledWorker())
    assert list(pool.outcomes(jobs.square, [1], pool.Crew(lambda *_: future, 1))) == [(1, None)]


def test_a_scheduler_that_drops_its_jobs_stops_the_batch_with_one_sentence():
    future: Future = Future()
    future.cancel()
    future.set_running_or_notify_cancel()
    with pytest.raises(CourseError, match="see whether it still runs, then give the same command again"):
        list(pool.outcomes(jobs.square, [1], pool.Crew(lambda *_: future, 1)))

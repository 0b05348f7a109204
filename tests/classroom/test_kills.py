"""A class graded for real while processes of every kind are killed: it ends as if nothing had happened.

KILLS=50 in the environment makes it fifty kills; that takes minutes. `test_batch` kills the coordinator of a
class that takes no time before every step, `test_pool` workers.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import faked
import psutil
import pytest
import scale

from courseware.classroom import audit, batch
from courseware.grading.work import Result, Rules

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]

KILLS = int(os.environ.get("KILLS", "4"))
SUBMISSIONS = max(4, KILLS // 2)
KINDS = ("kernel", "zygote", "worker", "coordinator", "kernel")
LATEST = {"kernel": 0.4, "zygote": 2, "worker": 3, "coordinator": 4}  # seconds after one is seen
LONGEST = 900  # seconds that a batch may take however often it is killed


def start(root: Path) -> subprocess.Popen:
    """`course grade`, in a group of processes of its own."""
    command = [sys.executable, "-m", "courseware.cli", "grade", scale.ASSIGNMENT, "--workers=1"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=root, start_new_session=True, **quiet)


def below(process: psutil.Process, part: str) -> list[psutil.Process]:
    """The children whose command holds this."""
    return [child for child in process.children() if part in " ".join(child.cmdline())]


def victims(kind: str, coordinator: int) -> list[psutil.Process]:
    """The processes of a kind that are there now: a kernel is the child of a keeper, a zygote's child."""
    try:
        own = psutil.Process(coordinator)
        workers = [worker for server in below(own, "forkserver") for worker in server.children()]
        zygotes = below(own, "kernel.zygote")
        keepers = [keeper for zygote in zygotes for keeper in zygote.children()]
        kernels = [kernel for keeper in keepers for kernel in keeper.children()]
    except psutil.Error:
        return []
    return {"coordinator": [own], "worker": workers, "zygote": zygotes, "kernel": kernels}[kind]


def results(root: Path) -> dict[str, Result]:
    return {result.student: result for result in batch.results(batch.Course(root), scale.ASSIGNMENT)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    """A small class that has been graded, one after the other in this process."""
    root = tmp_path_factory.mktemp("undisturbed")
    course = scale.make_course(root, SUBMISSIONS, {}, 1)
    assert len(list(batch.grade(course, [scale.ASSIGNMENT], Rules(), faked.SERIAL))) == SUBMISSIONS
    return root


def test_a_class_ends_with_the_same_results_whatever_is_killed_meanwhile(undisturbed, tmp_path):
    root, rng, killed = tmp_path / "disturbed", random.Random(0), 0
    root.mkdir()
    scale.make_course(root, SUBMISSIONS, {}, 1)
    (root / "autograded").mkdir()
    shutil.copy(undisturbed / "autograded" / ".secret", root / "autograded")
    coordinator, end = start(root), time.monotonic() + LONGEST
    try:
        while coordinator.poll() is None or killed < KILLS or coordinator.returncode:
            assert time.monotonic() < end, f"not done after {killed} kills"
            assert coordinator.returncode in (None, 0, -signal.SIGKILL)
            if coordinator.returncode == 0:  # nobody is left to be killed for: somebody is graded anew
                shutil.rmtree(next((root / "autograded").glob("student-*")))
            if coordinator.returncode is not None:
                coordinator = start(root)
            kind = KINDS[killed % len(KINDS)]
            if killed < KILLS and (found := victims(kind, coordinator.pid)):
                time.sleep(rng.uniform(0, LATEST[kind]))
                with contextlib.suppress(psutil.NoSuchProcess):
                    rng.choice(found).kill()
                    killed += 1
            time.sleep(0.02)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(coordinator.pid, signal.SIGKILL)
    found, expected = results(root), results(undisturbed)
    assert found.keys() == expected.keys()
    differing = {who: audit.compare(expected[who], found[who]).differences for who in expected}
    assert not any(differing.values()), differing
    assert faked.entries(root, scale.ASSIGNMENT) == faked.entries(undisturbed, scale.ASSIGNMENT)

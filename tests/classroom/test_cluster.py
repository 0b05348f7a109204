"""A class graded by a Dask cluster of two workers: real processes on this machine, one of them killed."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faked
import jobs
import psutil
import pytest
from cells import SECTIONS
from programs import PATH, ROOT, free_ports, wait_for

from course_utils.settings import CourseError
from courseware.classroom import batch, pool
from courseware.grading import work
from courseware.grading.submission.collect import Submission

distributed = pytest.importorskip("distributed")
config = pytest.importorskip("dask.config")
pytestmark = pytest.mark.slow


@dataclass
class Cluster:
    """A scheduler, and the workers that have been started."""

    scheduler: subprocess.Popen
    address: str
    folder: Path
    options: tuple[str, ...] = ()
    workers: list[subprocess.Popen] = field(default_factory=list)

    def add_worker(self) -> None:
        options = ["--nthreads", "1", "--no-dashboard", "--local-directory", str(self.folder)]
        self.workers.append(dask("worker", self.address, *options, *self.options))

    def await_workers(self, count: int) -> None:
        with distributed.Client(self.address) as client:
            client.wait_for_workers(count, timeout=60)

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            with_children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            psutil.wait_procs([child for child in with_children if not child.kill()])


def dask(*arguments: str) -> subprocess.Popen:
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", "PATH": PATH, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "dask", *arguments], env=environment, **quiet)


@contextmanager
def started(folder: Path, *options: str, scheme: str = "tcp") -> Iterator[Cluster]:
    (port,) = free_ports(1)
    address = f"{scheme}://127.0.0.1:{port}"
    places = ["--host", f"{scheme}://127.0.0.1", "--port", str(port)]
    scheduler = dask("scheduler", *places, "--no-dashboard", *options)
    found = Cluster(scheduler, address, folder, options)
    wait_for(lambda: socket.create_connection(("127.0.0.1", port), 1).close())
    yield found
    found.end()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started(tmp_path_factory.mktemp("dask")) as found:
        yield found


@pytest.fixture(scope="module")
def course(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = shutil.copytree(released, tmp_path_factory.mktemp("class") / "course")
    faked.hand_in_class(root, 20)
    return root


# In this order: a scheduler without workers, then with two, of which one is killed.


def test_a_scheduler_without_workers_is_one_sentence(cluster):
    with pytest.raises(CourseError, match="has no workers: start some"), pool.dask(cluster.address):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://here"])
def test_an_address_where_nobody_answers_is_one_sentence(address):
    with pytest.raises(CourseError, match=f"No Dask scheduler answers at {address}"), pool.dask(address, 1):
        pass


def test_a_class_is_graded_by_a_cluster_though_a_worker_is_killed(cluster, course, tmp_path):
    alone = shutil.copytree(course, tmp_path / "alone")
    faked.run(alone)
    for _ in range(2):
        cluster.add_worker()
    cluster.await_workers(2)
    with pool.dask(cluster.address) as crew:
        assert crew.workers == 2
        steps = faked.steps(course, crew, faked.slowly)
        next(steps)
        below = psutil.Process(cluster.workers[0].pid).children(recursive=True)
        (worker,) = [child for child in below if "spawn_main" in " ".join(child.cmdline())]
        worker.kill()
        assert len(list(steps)) == 19
    assert faked.state(course) == faked.state(alone)


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl, which makes certificates, is not here.")
def test_with_certificates_only_who_has_one_is_let_in(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=course"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    own = ["--tls-ca-file", str(certificate), "--tls-cert", str(certificate), "--tls-key", str(key)]
    names = {"ca-file": str(certificate), "client.cert": str(certificate), "client.key": str(key)}
    with started(tmp_path, *own, scheme="tls") as cluster:
        cluster.add_worker()
        with config.set({f"distributed.comm.tls.{name}": value for name, value in names.items()}):
            cluster.await_workers(1)
            with pool.dask(cluster.address) as crew:
                assert [result for _, result in pool.outcomes(jobs.square, [3], crew)] == [9]
        with pytest.raises(CourseError, match="answers at tls://"), pool.dask(cluster.address, 2):
            pass


@pytest.mark.parametrize(
    ("address", "told"),
    [("tcp://grader:8786", True), ("10.0.0.7:8786", True), ("tls://grader:8786", False),
     ("tcp://127.0.0.1:8786", False), ("localhost:8786", False), ("tcp://[::1]:8786", False),
     ("tcp://localhost.example.org:8786", True), ("127.0.0.1.example.org:8786", True)],
)  # fmt: skip
def test_an_address_beyond_this_machine_without_certificates_is_told(address, told):
    assert pool.unprotected(address) == told


@pytest.mark.sandbox
def test_a_real_submission_is_graded_on_a_cluster_as_here(cluster):
    section = SECTIONS["02-theory"]
    given = batch.Course(ROOT).assignment(section.folder)
    solution = (ROOT / "solutions" / section.folder / "theory.ipynb").read_bytes()
    submission = Submission("ada", given.name, {"theory": solution}, (), "digest", None)
    job = work.Job(submission, given.released, given.solved, 7, work.Rules())
    with pool.dask(cluster.address) as crew:
        ((_, result),) = pool.outcomes(work.grade, [job], crew)
    points = {one.answer: (one.points, one.of) for one in result.notebooks["theory"].verdicts}
    assert points and all(got == of for got, of in points.values())
    assert result.audit["terms"]["sandboxed"]

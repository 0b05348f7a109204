"""Hostile submissions in one batch with honest ones: none gains, reaches, stops or spoils anything.

What the attacks are stands in `attacks`. They are graded once, by the coordinator and a few workers with
small limits, and every test looks at what that batch left.
"""

import copy
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import attacks
import faked
import nbformat
import pytest
from attacks import ATTACKS, CANARY, FILES, SLEEP
from programs import ROOT

from courseware.authoring import release
from courseware.classroom import batch, pool, summary
from courseware.grading.work import Result, Rules

ASSIGNMENT = "02-theory"
WORKERS = 3
pytestmark = [pytest.mark.sandbox, pytest.mark.slow]

every_attack = pytest.mark.parametrize("name", ATTACKS)
every_submission = pytest.mark.parametrize("name", [*ATTACKS, *FILES, "perfect", "wrong"])


@dataclass
class Class:
    """What a batch left: the course, results by student, and what came to the canary servers."""

    root: Path
    results: dict[str, Result]
    connections: list[Any]
    canaries: list[Path]
    written: dict[str, str]  # by student: everything in autograded/ and feedback/
    entered: dict[str, float]  # by student: the score in the gradebook


def student(name: str) -> str:
    """The name of an attack as a student's."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> Iterator[Class]:
    root = tmp_path_factory.mktemp("class")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    perfect = nbformat.read(ROOT / "solutions" / ASSIGNMENT / "theory.ipynb", as_version=4)
    names = [cell.id for cell in perfect.cells]
    # Two exercises: the first is attacked, the second is solved.
    perfect.cells = perfect.cells[: names.index("reparameterize-check") + 1]
    wrong = with_answer(perfect, attacks.WRONG)
    source = root / "solutions" / ASSIGNMENT / "theory.ipynb"
    source.parent.mkdir(parents=True)
    nbformat.write(perfect, source)
    release.generate(ASSIGNMENT, batch.Course(root).config)
    (source.parent / "notes.txt").write_text(CANARY)

    outside, beside = tmp_path_factory.mktemp("outside"), Path(f"/tmp/canary-{os.getpid()}")
    canaries = [outside / "canary", beside]
    for path in canaries:
        path.write_text(CANARY)
    servers = listening()
    port = servers[0].getsockname()[1]
    places = {"ROOT": root, "PROJECT": ROOT, "HOME": outside, "PORT": port, "TMP": beside}
    for name, notebook in {"perfect": perfect, "wrong": wrong}.items():
        nbformat.write(notebook, submitted(root, name))
    for name, one in ATTACKS.items():
        code = one.code
        for word, place in places.items():
            code = code.replace(f"{{{word}}}", str(place))
        nbformat.write(with_answer(perfect, code + one.ending), submitted(root, student(name)))
    for name, (make, _, _) in FILES.items():
        make(submitted(root, student(name)), json.loads(nbformat.writes(perfect)), root)

    course = batch.Course(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKEN_OF_THE_GRADER", CANARY)
        patch.setenv("OMP_NUM_THREADS", "1")
        rules = Rules(cell_seconds=3, notebook_seconds=60)
        # More workers than there are cores: they wait for time limits most of the time.
        with ProcessPoolExecutor(WORKERS, get_context("spawn"), attacks.small_limits) as workers:
            crew = pool.Crew(lambda work, job, _: workers.submit(work, job), WORKERS)
            graded = batch.grade(course, [ASSIGNMENT], rules, crew)
            results = {result.student: result for result in graded}
    written = {
        name: "".join(
            path.read_text(encoding="utf-8")
            for kind in ("autograded", "feedback")
            for path in course.folder(kind, name, ASSIGNMENT).iterdir()
        )
        for name in results
    }
    came = [came for server in servers if (came := what_came(server))]
    yield Class(root, results, came, canaries, written, faked.scores(root, ASSIGNMENT))
    for path in canaries:
        path.unlink()
    for server in servers:
        server.close()


def with_answer(notebook: Any, source: str) -> Any:
    """A copy of the notebook with this answer to its first exercise."""
    notebook = copy.deepcopy(notebook)
    (cell,) = (cell for cell in notebook.cells if cell.id == "gaussian-kl")
    cell.source = source
    return notebook


def submitted(root: Path, name: str) -> Path:
    """Where this student's notebook is to lie."""
    folder = root / "submitted" / name / ASSIGNMENT
    folder.mkdir(parents=True)
    return folder / "theory.ipynb"


def listening() -> list[socket.socket]:
    """Servers on the grader's own machine: TCP, UDP on the same port, and a Unix socket with that number."""
    tcp = socket.create_server(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unix.bind(f"\0canary-{port}")
    unix.listen()
    for server in (tcp, udp, unix):
        server.setblocking(False)
    return [tcp, udp, unix]


def what_came(server: socket.socket) -> Any:
    try:
        return server.recv(100) if server.type == socket.SOCK_DGRAM else server.accept()
    except BlockingIOError:
        return None


def points(result: Result) -> dict[str, float | None]:
    return result.notebooks["theory"].scores


# --- scores and reasons -----------------------------------------------------------------------------------


def test_honest_students_have_their_points(graded):
    assert points(graded.results["perfect"]) == {"gaussian-kl-check": 3, "reparameterize-check": 3}
    assert points(graded.results["wrong"]) == {"gaussian-kl-check": 0, "reparameterize-check": 3}
    assert not graded.results["perfect"].faults + graded.results["wrong"].faults


@every_attack
def test_an_attack_gains_nothing_and_spoils_no_other_exercise(graded, name):
    got = points(graded.results[student(name)])
    assert got["gaussian-kl-check"] == 0
    assert ATTACKS[name].spoils or got["reparameterize-check"] == 3


@every_attack
def test_an_attack_ends_in_its_reason_and_no_other(graded, name):
    faults, ways = graded.results[student(name)].faults, ATTACKS[name].reasons
    found = {fault.reason.name for fault in faults}
    assert found <= ways and (found or "" in ways), faults


@every_attack
def test_an_attack_is_made_and_not_ended_by_a_slip_in_its_own_code(graded, name):
    folder = graded.root / "autograded" / student(name) / ASSIGNMENT
    (cell,) = (one for one in nbformat.read(folder / "theory.ipynb", 4).cells if one.id == "gaussian-kl")
    errors = {output.ename for output in cell.outputs if output.output_type == "error"}
    slips = {
        "AssertionError",
        "AttributeError",
        "NameError",
        "SyntaxError",
        "TypeError",
        "UnicodeEncodeError",
    }
    assert not errors & slips or name == "halves of letters"  # which no kernel sends


@pytest.mark.parametrize("name", FILES)
def test_files_end_in_their_reason_and_gain_nothing(graded, name):
    result, (_, reasons, kept) = graded.results[student(name)], FILES[name]
    assert ({fault.reason.name for fault in result.faults}, result.points) == (reasons, kept)


# --- the batch --------------------------------------------------------------------------------------------


@every_submission
def test_the_batch_goes_on_and_every_result_is_recorded_and_in_the_gradebook(graded, name):
    folder = graded.root / "autograded" / student(name) / ASSIGNMENT
    assert (folder / batch.RECORDED).is_file()
    assert graded.entered[student(name)] == graded.results[student(name)].points


def test_summary_and_table_can_be_written(graded, tmp_path):
    results = list(graded.results.values())
    summary.write(summary.of(results, "", {}), results, ASSIGNMENT, tmp_path)
    with open(tmp_path / "exercises.csv", newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert "\x1b" not in (tmp_path / "summary.md").read_text(encoding="utf-8")


# --- nothing was reached ----------------------------------------------------------------------------------


@every_submission
def test_nothing_secret_was_written(graded, name):
    secret = (graded.root / "autograded" / ".secret").read_text()
    written = graded.written[student(name)]
    assert not [word for word in (CANARY, secret, *attacks.SUCCESSES) if word in written]


def test_nothing_outside_was_changed(graded):
    assert {path.read_text() for path in graded.canaries} == {CANARY}
    marked = subprocess.run(
        ["grep", "-rlF", attacks.WRITTEN, graded.root / "solutions", graded.root / "submitted" / "perfect",
         ROOT / "course_utils", os.__file__, sys.modules["torch"].__file__],
        capture_output=True, text=True,
    )  # fmt: skip
    assert marked.stdout == ""
    assert not [path for path in ("/tmp", "/usr", "/etc", "/") if Path(path, attacks.MADE).exists()]


def test_nobody_called_the_grader_s_machine(graded):
    assert graded.connections == []


def test_no_process_is_left(graded):
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert SLEEP not in listed


@every_submission
def test_no_script_is_on_a_page(graded, name):
    page = (graded.root / "feedback" / student(name) / ASSIGNMENT / "theory.html").read_text(encoding="utf-8")
    assert attacks.SCRIPT not in page

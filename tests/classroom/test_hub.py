"""A classroom on a JupyterHub: the files that `course hub` writes and takes back, and a term on a real hub.

The hub has its proxy, an account that grades, two students with accounts and two instructors, who need none.
Everybody acts through the servers that the hub starts, each with a token of their own.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import cells
import hubs
import pytest
from click.testing import CliRunner, Result
from hubs import Person
from programs import PATH, ROOT, call, configure
from traitlets.config import PyFileConfigLoader

from courseware import cli
from courseware.classroom import hub

# --- files ----------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the account that grades, with the course's settings in a folder, where commands are called."""
    course = tmp_path / "home" / "vae-course"
    course.mkdir(parents=True)
    shutil.copy(ROOT / "nbgrader_config.py", course)
    monkeypatch.chdir(course)
    owner = SimpleNamespace(
        pw_name="grader", pw_dir=str(course.parent), pw_uid=os.getuid() or 4321, pw_gid=os.getgid()
    )
    monkeypatch.setattr(hub, "pwd", SimpleNamespace(getpwuid=lambda _: owner, struct_passwd=object))
    return course.parent


def course_hub(folder: Path, *words: str) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(cli.main, ["hub", "--folder", str(folder), *words])


def below(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_text("utf-8") for file in files}


def test_it_shows_what_it_would_write_and_writes_it_when_told_to(home, tmp_path):
    folder = tmp_path / "srv"
    shown = course_hub(folder, "grace")
    assert shown.exit_code == 0 and "access:servers!user=grader" in shown.stdout
    assert not folder.exists()
    done = course_hub(folder, "grace", "--write")
    assert done.exit_code == 0
    assert all(text.strip() in shown.stdout for name, text in below(folder).items() if name != hub.RECORD)
    assert f"load_subconfig('{folder}/jupyterhub_config.py')" in done.stdout
    assert {name: (folder / name).stat().st_mode & 0o7777 for name in hub.FOLDERS} == hub.FOLDERS


def test_undone_there_is_what_was_there_before(home, tmp_path):
    course_hub(tmp_path / "srv", "grace", "--write")
    course_hub(tmp_path / "srv", "ada", "grace", "--memory", "2G", "--write")  # and once more, for another
    assert "'ada'" in (tmp_path / "srv" / "jupyterhub_config.py").read_text("utf-8")
    done = course_hub(tmp_path / "srv", "--undo")
    assert done.exit_code == 0 and done.stdout.count("Removed") == 4
    assert not (tmp_path / "srv").exists()


def test_what_others_have_written_is_neither_replaced_nor_removed(home, tmp_path):
    folder = tmp_path / "srv"
    (folder / "jupyter").mkdir(parents=True)
    (folder / "jupyter" / "nbgrader_config.py").write_text("theirs")
    refused = course_hub(folder, "grace", "--write")
    assert refused.exit_code == 2 and "nbgrader_config.py; move it away" in refused.stderr
    assert below(folder) == {"jupyter/nbgrader_config.py": "theirs"}
    (folder / "jupyter" / "nbgrader_config.py").unlink()
    course_hub(folder, "grace", "--write")
    (folder / "jupyterhub_config.py").write_text("changed")
    (folder / "exchange" / "handed-in").write_text("work")
    assert course_hub(folder, "grace", "--write").exit_code == 2
    assert "so it stays" in course_hub(folder, "--undo").stdout
    assert below(folder) == {"jupyterhub_config.py": "changed", "exchange/handed-in": "work"}


def test_what_an_interruption_left_is_finished_or_undone(home, tmp_path, monkeypatch):
    folder = tmp_path / "srv"
    with monkeypatch.context() as patch:
        patch.setattr(hub, "whole", lambda *_: 1 / 0)
        course_hub(folder, "grace", "--write")
    assert list(below(folder)) == [hub.RECORD]
    assert course_hub(folder, "grace", "--write").exit_code == 0
    course_hub(folder, "--undo")
    assert not folder.exists()


def test_what_cannot_become_a_classroom_is_one_sentence(home, tmp_path, monkeypatch):
    folder = tmp_path / "srv"
    assert "Say who teaches" in course_hub(folder).stderr
    assert "such as 4G" in course_hub(folder, "grace", "--memory", "four").stderr
    owner = hub.pwd.getpwuid(0)
    monkeypatch.setattr(owner, "pw_dir", "/nowhere")
    assert "formgrader sees nothing outside" in course_hub(folder, "grace").stderr
    monkeypatch.setattr(owner, "pw_uid", 0)
    assert "is root's" in course_hub(folder, "grace").stderr
    assert not folder.exists()


def test_settings_are_those_of_the_caller_s_clone_and_the_folder_is_the_graders_own(
    home, tmp_path, monkeypatch
):
    theirs = home / "vae-course"
    (tmp_path / "own").mkdir()
    shutil.move(theirs / "nbgrader_config.py", tmp_path / "own")
    monkeypatch.chdir(tmp_path / "own")
    assert (
        "is no clone of the course" in course_hub(tmp_path / "srv", "grace", "--course", str(theirs)).stderr
    )
    (theirs / "nbgrader_config.py").write_text("raise SystemExit('run by root')")
    done = course_hub(tmp_path / "srv", "grace", "--course", str(theirs), "--write")
    assert done.exit_code == 0
    grading = (tmp_path / "srv" / "jupyter" / "nbgrader_config.py").read_text("utf-8")
    assert f"c.CourseDirectory.root = {str(theirs)!r}" in grading and "course_id = 'vae-course'" in grading


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone is refused")
def test_root_runs_nothing_that_others_can_change(home, tmp_path):
    os.chown(home / "vae-course", 4321, 4321)
    refused = course_hub(tmp_path / "srv", "grace", "--write")
    assert refused.exit_code == 2 and f"--course {home / 'vae-course'}" in refused.stderr
    assert not (tmp_path / "srv").exists()


def test_the_hub_keeps_what_it_was_told_before(home, tmp_path):
    course_hub(tmp_path / "srv", "grace", "--write")
    before = "c.JupyterHub.load_roles = [{'name': 'own'}]\nc.Spawner.environment = {'OWN': '1'}\n"
    config = tmp_path / "hub.py"
    for head in ("", before):
        config.write_text(f"{head}load_subconfig({str(tmp_path / 'srv' / 'jupyterhub_config.py')!r})")
        found = PyFileConfigLoader(str(config)).load_config()
        roles, variables = found.JupyterHub.load_roles, found.Spawner.environment
        if head:
            assert [role["name"] for role in roles] == ["own", "formgrade-vae-course"]
            assert variables["OWN"] == "1" and variables["COURSE_BUILD"] == "~/build"
        else:
            assert roles.get_value([])[0]["users"] == ["grader", "grace"]


def test_terminals_know_the_commands_whatever_a_login_shell_sets(home, tmp_path, monkeypatch):
    course_hub(tmp_path / "srv", "grace", "--write")
    monkeypatch.setattr(os, "getuid", lambda: -1)  # a student's
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("SHELL", "/bin/dash")
    found = PyFileConfigLoader("jupyter_server_config.py", str(tmp_path / "srv" / "jupyter")).load_config()
    assert shutil.which("course") and found.ServerApp.terminado_settings == {"shell_command": ["/bin/dash"]}


def test_the_littlest_jupyterhub_reads_its_part_from_its_own_folder(home, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "LITTLEST", tmp_path)
    monkeypatch.setattr(hub.pwd.getpwuid(0), "pw_name", "jupyter-grader")
    done = course_hub(tmp_path / "srv", "grace", "--write")
    assert "/user/grader/lab" in done.stdout
    assert "access:servers!user=grader" in (tmp_path / "vae-course.py").read_text("utf-8")
    course_hub(tmp_path / "srv", "--undo")
    assert not (tmp_path / "vae-course.py").exists()


# --- a term ---------------------------------------------------------------------------------------------

COURSE_ID, ASSIGNMENT = "vae-course", "02-theory"
NOTEBOOK = f"{ASSIGNMENT}/theory.ipynb"
GRADER, STUDENTS, INSTRUCTORS = "hub-grader", ("hub-ada", "hub-bob"), ("grace", "emmy")


class Class(NamedTuple):
    """A hub that runs, and who is on it."""

    top: Path
    admin: Person
    grace: Person
    emmy: Person
    ada: Person
    bob: Person
    lin: Person  # of whom the hub has not been told


@pytest.fixture(scope="module")
def classroom() -> Iterator[Class]:
    """Accounts, a course, `course hub`, and the hub, with the servers of students and grader started."""
    with tempfile.TemporaryDirectory() as place, hubs.made((GRADER, *STUDENTS), Path(place)):
        top = Path(place)
        top.chmod(0o755)
        cells.clone(top / GRADER / COURSE_ID)
        configure(top / GRADER / COURSE_ID, f"c.Probe.unsafe = {cells.UNSAFE}")
        for name in (GRADER, *STUDENTS):
            subprocess.run(["chown", "-R", f"{name}:", top / name], check=True)
        course = ["--course", str(top / GRADER / COURSE_ID)]
        words = ["hub", *INSTRUCTORS, "--folder", str(top / "srv"), *course, "--write"]
        cells.clone(top / "own", short=False)  # which nobody but root can change
        call(top / "own", sys.executable, "-m", "courseware.cli", *words)
        snippet = top / "srv" / "jupyterhub_config.py"
        with hubs.running(top, snippet, (*INSTRUCTORS, *STUDENTS, "lin")) as people:
            found = Class(top, *people)
            for student in (found.ada, found.bob):
                student.start(student.name)
            found.grace.start(GRADER)
            yield found


def formgrader(who: Person, path: str, content: Any = None, method: str = "POST") -> Any:
    """What formgrader answers an instructor, in the server of the account that grades."""
    answer = who.at(GRADER, method, f"formgrader/api/{path}", content)
    assert not isinstance(answer, dict) or answer.get("success", True), answer
    return answer


def exchange(student: Person, action: str) -> None:
    """What the assignment list's buttons do: fetch, submit, fetch_feedback."""
    asked = {"course_id": COURSE_ID, "assignment_id": ASSIGNMENT}
    answer = student.own("POST", f"assignments/{action}", asked)
    assert answer["success"], answer


def solve(student: Person, solution: Path) -> None:
    """Put the model answers into the notebook, as JupyterLab saves it, and validate that."""
    notebook = student.own("GET", f"api/contents/{NOTEBOOK}")["content"]
    assert "raise NotImplementedError" in str(notebook)
    answers = {cell["id"]: cell["source"] for cell in json.loads(solution.read_text("utf-8"))["cells"]}
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = "".join(answers[cell["id"]])
    student.own("PUT", f"api/contents/{NOTEBOOK}", {"type": "notebook", "content": notebook})
    answer = student.own("POST", "assignments/validate", {"path": NOTEBOOK})
    assert answer == {"success": True, "value": {}}  # nothing failed


def submission(instructor: Person, student: Person) -> str:
    """Under which number formgrader has somebody's notebook."""
    every = formgrader(instructor, f"submitted_notebooks/{ASSIGNMENT}/theory", method="GET")
    (notebook,) = (one["id"] for one in every if one["student"] == student.name)
    return notebook


def by_hand(instructor: Person, student: Person) -> None:
    """Points and a comment, as formgrader's page sends them."""
    notebook = submission(instructor, student)
    given = {"grade": {"manual_score": 2.5}, "comment": {"manual_comment": "Which step is Jensen's?"}}
    for kind, content in given.items():
        found = formgrader(instructor, f"{kind}s?submission_id={notebook}", method="GET")
        (written,) = (one["id"] for one in found if one["name"] == "derivation")
        formgrader(instructor, f"{kind}/{written}", content, "PUT")


@pytest.fixture(scope="module")
def term(classroom: Class) -> Class:
    """A term, to where feedback is fetched; ada has solved the assignment, bob hands in what he fetched."""
    top, _, grace, emmy, ada, bob, _ = classroom
    with timed("generate, release"):
        for step in ("assign", "release"):
            formgrader(grace, f"assignment/{ASSIGNMENT}/{step}")
    with timed("fetch, type, validate, submit"):
        for student in (ada, bob):
            exchange(student, "fetch")
        solve(ada, top / GRADER / COURSE_ID / "solutions" / NOTEBOOK)
        for student in (ada, bob):
            exchange(student, "submit")
    with timed("collect, autograde"):
        formgrader(emmy, f"assignment/{ASSIGNMENT}/collect")
        for student in (ada, bob):
            formgrader(emmy, f"submission/{ASSIGNMENT}/{student.name}/autograde")
    with timed("points by hand, feedback"):
        by_hand(grace, ada)
        for step in ("generate_feedback", "release_feedback"):
            formgrader(emmy, f"assignment/{ASSIGNMENT}/{step}")
    with timed("fetch feedback"):
        for student in (ada, bob):
            exchange(student, "fetch_feedback")
    return classroom


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Say how long it took: docs/instructors.md has a table."""
    began = time.monotonic()
    yield
    print(f"{step}    [{time.monotonic() - began:.1f} s]")


def on_a_hub(function: Any) -> Any:
    return pytest.mark.hub(pytest.mark.slow(function))


def feedback(student: Person) -> list[str]:
    """Where the pages lie that this student has fetched."""
    handed_in = student.own("GET", f"api/contents/{ASSIGNMENT}/feedback")["content"]
    return [f"{one['path']}/theory.html" for one in handed_in]


@on_a_hub
def test_feedback_with_points_and_comment_by_hand_is_read_by_its_owner(term):
    for student, score in ((term.ada, "5.5 / 7.0"), (term.bob, "0.0 / 7.0")):
        (page,) = feedback(student)
        text = student.own("GET", f"api/contents/{page}")["content"]
        assert f"theory (Score: {score})" in text
        assert ("Which step is Jensen" in text) == (student is term.ada)


@on_a_hub
def test_another_instructor_reads_an_answer_beside_its_rubric_and_what_was_written(term):
    path = f"user/{GRADER}/formgrader/submissions/{submission(term.emmy, term.bob)}/"
    with term.emmy.answer("GET", path) as answer:
        page = answer.read().decode()
    beside = page.partition('data-question="derivation"')[2].partition("</section>")[0]
    assert re.findall(r'aria-keyshortcuts="(\w)"', beside) == [*"abcdxyz1"]
    assert beside.count("Which step is Jensen") == 2 and "Model answer" in beside  # to read, and to use


@on_a_hub
def test_a_student_s_check_knows_what_was_handed_out(term):
    said = term.ada.call(f"{sys.executable} -m courseware.cli check {NOTEBOOK}")
    assert "Points that programs give: 3 of 3." in said and "only copy" not in said, said


@on_a_hub
def test_and_by_nobody_else(term):
    (page,) = feedback(term.ada)
    assert term.bob.refused(term.ada.name, f"api/contents/{page}")
    inbound = term.top / "srv" / "exchange" / COURSE_ID / "inbound"
    (box,) = inbound.glob(f"{term.ada.name}+*")
    for path in (term.top / term.ada.name / page, inbound, box):
        assert "Permission denied" in term.bob.call(f"ls {shlex.quote(str(path))}")


@on_a_hub
def test_only_instructors_open_the_server_of_the_account_that_grades(classroom):
    for who in (classroom.grace, classroom.emmy):
        assert formgrader(who, "status", method="GET") == {"status": True}
        assert who.refused(classroom.ada.name, "api/status")
        with who.answer("GET", f"user/{GRADER}/formgrader/") as page:  # which JupyterLab shows in a frame
            assert page.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    assert classroom.ada.refused(GRADER, "formgrader/api/status")


@on_a_hub
def test_an_admin_lets_an_instructor_in_without_a_restart(classroom):
    group = f"hub/api/groups/formgrade-{COURSE_ID}/users"
    classroom.admin.ask("POST", group, {"users": [classroom.lin.name]})
    assert formgrader(classroom.lin, "status", method="GET") == {"status": True}


TRAINING = """
import torch
from course_utils import models, objectives
from course_utils.engine import cache
torch.manual_seed(0)
images = torch.zeros(40, 1, 28, 28)
cache.fit(models.VAE(2), images, objectives.negative_elbo, epochs=1, batch_size=16, seed=1)
"""


@on_a_hub
def test_what_the_account_has_trained_no_student_trains(classroom):
    train = f"unset TQDM_DISABLE; {sys.executable} -c {shlex.quote(TRAINING)}"
    (copy,) = re.findall(r"`(install -D [^`]+)`", (ROOT / "docs" / "instructors.md").read_text("utf-8"))
    grader = Person(classroom.grace.hub, GRADER, "")
    grader.call(f"{train}; {copy.replace('/srv/vae-course', str(classroom.top / 'srv'))}")
    assert "Trained before" in classroom.ada.call(train)


@on_a_hub
def test_handed_in_is_the_notebook_and_nothing_that_was_made_beside_it(term):
    submitted = term.top / GRADER / COURSE_ID / "submitted" / term.ada.name / ASSIGNMENT
    own = {"theory.ipynb", "timestamp.txt", "submission_secret.txt"}
    assert {file.name for file in submitted.iterdir()} == own
    line = f"cd {ASSIGNMENT} && python -c 'from course_utils.engine import cache; print(cache.folder())'"
    assert term.ada.call(f"PATH={PATH}; {line}").strip() == f"{term.top / term.ada.name}/build/models"


@on_a_hub
def test_validate_waits_for_a_cell_longer_than_nbgrader_would(classroom):
    source = "import time\ntime.sleep(32)\nopen('waited', 'w').close()"
    content = {"cells": [cells.answer_cell(source)], "metadata": {"kernelspec": cells.KERNEL}}
    notebook = {"type": "notebook", "content": content | {"nbformat": 4, "nbformat_minor": 5}}
    classroom.bob.own("PUT", "api/contents/long.ipynb", notebook)
    classroom.bob.own("POST", "assignments/validate", {"path": "long.ipynb"})
    assert classroom.bob.own("GET", "api/contents/waited")["size"] == 0


@on_a_hub
def test_the_doctor_finds_nothing_wrong_and_jupyterlab_asks_nothing(classroom):
    grader = Person(classroom.grace.hub, GRADER, "")
    doctor = f"{sys.executable} -m courseware.cli doctor --hub"
    for who, faults in (grader, [[]]), (classroom.ada, [[], ["edition"]]):  # with answers, in these tests
        said = who.call(f"cd {COURSE_ID if who is grader else '.'}; {doctor}")
        assert re.findall(r"^no +(\w+)", said, re.MULTILINE) in faults and "scopes" in said, said
        assert "Limits are not kept" in said  # by the spawner of this hub
    assert classroom.ada.call("echo $MEM_LIMIT $CPU_LIMIT $OMP_NUM_THREADS").split() == [
        "4294967296",
        "2.0",
        "2",
    ]
    news = classroom.ada.own("GET", "lab/api/settings/@jupyterlab/apputils-extension:notification")
    assert news["schema"]["properties"]["fetchNews"]["default"] == "false"

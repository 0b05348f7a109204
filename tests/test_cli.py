"""The `course` command says in one sentence what is wrong, and its good path ends with the page to open."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from nbformat.v4 import new_notebook
from programs import ROOT, call, run

from courseware import cli, record, sections
from courseware.authoring import claims, runner

DIGITS = claims.SETTINGS["digits"]


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command in this process, which has imported what it needs already."""

    def call(*arguments: str, cwd: Path = ROOT, **environment: str) -> Result:
        monkeypatch.chdir(cwd)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return CliRunner(env={"COLUMNS": "200"}).invoke(cli.main, arguments)

    return call


ALONE = sys.executable, "-m", "courseware.cli"  # the command in a process of its own


@pytest.fixture
def project(tmp_path) -> Path:
    """A project with section 2 alone, for runs that write."""
    (tmp_path / "nbgrader_config.py").symlink_to(ROOT / "nbgrader_config.py")
    (tmp_path / "solutions").symlink_to(ROOT / "solutions")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["--section", "9"], {}, "section '9'; choose one of: 1, 2, 3, 4, 5, 6, 7."),
        (["--budget", "huge"], {}, "budget 'huge'; choose one of: smoke, laptop, full."),
        ([], {"COURSE_BUDGET": "huge"}, "budget 'huge'; choose one of: smoke, laptop, full."),
        (["--data", "cifar"], {}, "data set 'cifar'; choose one of: digits, mnist, garments, fashion-mnist."),
    ],
)
def test_an_unknown_name_is_answered_with_the_choices(course, arguments, environment, sentence):
    done = course("run", *arguments, **environment)
    assert (done.exit_code, done.stderr) == (2, f"course: There is no {sentence}\n")


def test_the_help_comes_without_the_libraries_that_take_long_to_import(tmp_path):
    code = """
import sys
from courseware.cli import main
main(["--help"], standalone_mode=False)
print({"torch", "numpy", "nbgrader", "nbformat", "joblib", "jinja2", "IPython"} & set(sys.modules))
"""
    done = run(tmp_path, Path(sys.executable), "-c", code)
    assert done.stdout.splitlines()[-1] == "set()"


def test_outside_the_course_the_command_says_where_to_go(course, tmp_path):
    done = course("run", cwd=tmp_path)
    said = "course: There is no solutions/ here: call this command inside the course's folder.\n"
    assert (done.exit_code, done.stderr) == (2, said)


def test_in_a_shared_folder_all_that_a_command_makes_is_the_groups_to_change(course, project):
    project.chmod(0o2770)
    own = os.umask(0o022)
    try:
        course("quiz", cwd=project)  # which asks for none of nbgrader's settings
    finally:
        os.umask(own)
    made = [project / "build", *(project / "build").rglob("*")]
    assert len(made) == 4 and all(one.stat().st_mode & 0o060 == 0o060 for one in made)


def test_damaged_data_stop_the_run_before_it_starts(course, project):
    raw = project / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{part}-ubyte").write_bytes(b"garbled")
    done = course("run", "--data", "mnist", cwd=project)
    assert done.exit_code == 2
    assert "is not a whole MNIST file; delete the folder" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (project / "build").exists()


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\u202eb", "a\x9bb", "a\rb", "[bold]x[/bold]"], ids=ascii)
def test_a_name_is_letters_and_steers_no_terminal(name, capsys):
    cli._say(name)
    cli._show(("student",), [(name,)], name)
    said = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in said)
    assert said.count(re.sub("[\x1b\u202e\x9b\r]", "\ufffd", name)) == 3


@pytest.mark.slow
def test_a_run_ends_with_the_report_and_the_page_to_open(project):
    said = call(project, *ALONE, "run", "--section=5", "--budget=smoke", "--data=digits", COLUMNS="200")
    index = project / "build" / "site" / "index.html"
    assert index.is_file()
    assert "Graded cells with full points: 4 of 4." in said
    assert said.rstrip().endswith(f"Open: {index}")


@pytest.mark.parametrize("holds", [True, False])
def test_outputs_are_stored_where_every_claim_holds_and_the_run_fails_where_one_does_not(
    holds, course, project, monkeypatch
):
    lesson, _ = sections.lessons((2,))  # and what is further
    ledger = claims.ledger(ROOT / "solutions", lesson)
    values = {one.value: limits[0] for one in ledger.claims if (limits := one.on(DIGITS))}
    if not holds:
        values["(truth - naive).item()"] = 3.0
    stored: list = []
    done = runner.Executed(lesson, new_notebook(metadata={"course": {"claimed": values}}))
    monkeypatch.setattr(runner, "execute", lambda *_: [done])
    monkeypatch.setattr(runner, "store", lambda one, _: stored.append(one.lesson.name))
    monkeypatch.setattr(cli, "_write_site", lambda *_: project / "index.html")
    monkeypatch.setattr(record, "quote", lambda *_: None)
    ended = course("run", "--section", "2", "--data", "digits", "--store", cwd=project)
    count = len(ledger.claims)
    assert f"claims: {count if holds else count - 1} of {count} hold" in ended.stdout
    assert stored == (["theory"] if holds else [])
    assert (DIGITS in claims.kept(project)) is holds
    said = "theory: 'the estimate is off by more than two hundred nats' (digits at laptop)"
    assert (ended.exit_code, said in ended.stderr) == ((0, False) if holds else (2, True))


@pytest.mark.slow
def test_where_files_cannot_be_locked_as_on_windows_a_class_is_not_graded(tmp_path):
    (tmp_path / "fcntl.py").write_text("raise ModuleNotFoundError('not here', name='fcntl')")
    done = run(ROOT, *ALONE, "grade", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}", COLUMNS="200")
    assert done.returncode == 2
    assert done.stderr == "course: A class is graded on Linux: on Windows, in its subsystem for Linux.\n"

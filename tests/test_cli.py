"""The `course` command says in one sentence what is wrong, and its good path ends with the page to open."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from nbformat.v4 import new_notebook

from courseware import cli, record, sections
from courseware.authoring import claims, runner

ROOT = Path(__file__).parent.parent
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


def alone(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "courseware.cli", *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def project(tmp_path) -> Path:
    """A project with section 2 alone, for runs that write."""
    (tmp_path / "nbgrader_config.py").symlink_to(ROOT / "nbgrader_config.py")
    (tmp_path / "solutions").symlink_to(ROOT / "solutions")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--section", "9"], "There is no section '9'; choose one of: 1, 2, 3, 4, 5, 6, 7."),
        (["--budget", "huge"], "There is no budget 'huge'; choose one of: smoke, laptop, full."),
        (
            ["--data", "cifar"],
            "There is no data set 'cifar'; choose one of: digits, mnist, garments, fashion-mnist.",
        ),
    ],
)
def test_an_unknown_name_is_answered_with_the_choices(course, arguments, sentence):
    done = course("run", *arguments)
    assert (done.exit_code, done.stderr) == (2, f"course: {sentence}\n")


def test_an_unknown_name_in_the_environment_is_answered_alike(course):
    done = course("run", COURSE_BUDGET="huge")
    assert done.exit_code == 2 and "no budget 'huge'" in done.stderr


def test_outside_the_course_the_command_says_where_to_go(course, tmp_path):
    done = course("run", cwd=tmp_path)
    assert (done.exit_code, done.stderr) == (
        2,
        "course: There is no solutions/ here: call this command inside the course's folder.\n",
    )


def test_damaged_data_stop_the_run_before_it_starts(course, project):
    raw = project / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{part}-ubyte").write_bytes(b"garbled")
    done = course("run", "--data", "mnist", cwd=project)
    assert done.exit_code == 2
    assert "is not an MNIST file; delete the folder" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (project / "build").exists()


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\u202eb", "a\x9bb", "a\rb"], ids=ascii)
def test_no_name_steers_the_terminal(name, capsys):
    cli._say(name)
    cli._show(("student",), [(name,)], name)
    said = capsys.readouterr().out
    assert all(letter.isprintable() or letter == "\n" for letter in said) and "a\ufffd" in said


def test_brackets_in_a_name_are_letters(capsys):
    cli._say("[bold]x[/bold]")
    cli._show(("student",), [("[red]y[/red]",)], "[bold]z")
    said = capsys.readouterr().out
    assert all(text in said for text in ("[bold]x[/bold]", "[red]y[/red]", "[bold]z"))


@pytest.mark.slow
def test_a_run_ends_with_the_report_and_the_page_to_open(project):
    done = alone("run", "--section", "5", "--budget", "smoke", "--data", "digits", cwd=project)
    assert done.returncode == 0, done.stderr
    index = project / "build" / "site" / "index.html"
    assert index.is_file()
    assert "Graded cells with full points: 4 of 4." in done.stdout
    assert done.stdout.rstrip().endswith(f"Open: {index}")


@pytest.mark.parametrize("holds", [True, False])
def test_outputs_are_stored_where_every_claim_holds_and_the_run_fails_where_one_does_not(
    holds, course, project, monkeypatch
):
    ledgers = {lesson.name: claims.ledger(ROOT / "solutions", lesson) for lesson in sections.lessons((2,))}
    values = {
        one.value: one.limits["always"][0] for one in ledgers["theory"].claims if "always" in one.limits
    }
    values |= {one.value: one.limits[DIGITS][0] for one in ledgers["theory"].claims if DIGITS in one.limits}
    if not holds:
        values["(truth - naive).item()"] = 3.0
    stored: list = []
    metadata = {"course": {"claimed": values}}
    (lesson,) = sections.lessons((2,))
    done = runner.Executed(lesson, new_notebook(metadata=metadata))
    monkeypatch.setattr(runner, "execute", lambda *_: [done])
    monkeypatch.setattr(runner, "store", lambda one, _: stored.append(one.lesson.name))
    monkeypatch.setattr(cli, "_write_site", lambda *_: project / "index.html")
    monkeypatch.setattr(record, "quote", lambda *_: None)
    ended = course("run", "--section", "2", "--data", "digits", "--store", cwd=project)
    count = len(ledgers["theory"].claims)
    assert f"claims: {count if holds else count - 1} of {count} hold" in ended.stdout
    assert stored == (["theory"] if holds else [])
    assert (DIGITS in claims.kept(project)) is holds
    if not holds:
        assert ended.exit_code == 2
        assert (
            "theory: 'the estimate is off by more than two hundred nats' (digits at laptop)" in ended.stderr
        )


@pytest.mark.slow
def test_where_files_cannot_be_locked_as_on_windows_a_class_is_not_graded(tmp_path):
    (tmp_path / "fcntl.py").write_text("raise ModuleNotFoundError('not here', name='fcntl')")
    done = alone("grade", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert done.returncode == 2
    assert done.stderr == "course: A class is graded on Linux: on Windows, in its subsystem for Linux.\n"

"""Budgets, folders, and errors that a reader can act on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from course_utils import settings
from course_utils.settings import BUDGETS, CourseError


@pytest.mark.parametrize("choice", BUDGETS)
def test_an_unknown_budget_is_refused_with_the_choices(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_BUDGET", "huge")
    with pytest.raises(CourseError, match=choice):
        settings.budget()


def test_the_refusal_names_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_BUDGET", "huge")
    with pytest.raises(CourseError, match="'huge'"):
        settings.budget()


@pytest.mark.parametrize("name", BUDGETS)
def test_the_budget_is_the_one_that_the_environment_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_BUDGET", name)
    assert settings.budget().name == name


@pytest.mark.parametrize("value", [None, ""])
def test_the_budget_is_laptop_where_none_is_named(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv("COURSE_BUDGET", value)
    assert settings.budget().name == "laptop"


@pytest.mark.parametrize("full", [1, 2, 15, 50])
@pytest.mark.parametrize("name", BUDGETS)
def test_every_budget_trains_for_at_least_one_epoch(name: str, full: int) -> None:
    assert BUDGETS[name].epochs(full) >= 1


@pytest.mark.parametrize("full", [1, 7, 50])
def test_the_full_budget_trains_for_all_epochs(full: int) -> None:
    assert BUDGETS["full"].epochs(full) == full


COSTS = {
    "training images": lambda budget: budget.train_images or 60_000,
    "test images": lambda budget: budget.test_images or 10_000,
    "epochs of 20": lambda budget: budget.epochs(20),
    "importance samples": lambda budget: budget.importance_samples,
}


@pytest.mark.parametrize("cost", COSTS)
def test_smoke_costs_less_than_laptop_and_laptop_less_than_full(cost: str) -> None:
    smoke, laptop, full = (COSTS[cost](BUDGETS[name]) for name in ("smoke", "laptop", "full"))
    assert smoke < laptop < full


@pytest.mark.parametrize("name", BUDGETS)
def test_a_budget_says_its_name(name: str) -> None:
    assert f"'{name}'" in str(BUDGETS[name])


# --- folders -------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds the course, with the working folder two levels below it."""
    (tmp_path / "nbgrader_config.py").touch()
    inside = tmp_path / "notebooks" / "03-vae"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    return tmp_path


def test_the_project_is_found_from_a_notebook_s_folder(project: Path) -> None:
    assert settings.project_folder() == project


def test_data_lies_in_the_project_where_nothing_else_is_named(project: Path) -> None:
    assert settings.data_folder() == project / "data"


def test_a_relative_data_folder_is_relative_to_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSE_DATA", "../images")
    assert settings.data_folder() == project / "../images"


def test_a_tilde_is_the_home_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("COURSE_DATA", "~/images")
    assert settings.data_folder() == Path("/home/ada/images")


def test_an_absolute_data_folder_is_taken_as_it_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_DATA", "/somewhere/else")
    assert settings.data_folder() == Path("/somewhere/else")


def test_the_working_folder_is_the_project_where_there_is_no_course(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings.project_folder() == tmp_path


# --- errors --------------------------------------------------------------------------------------


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """IPython without its history file."""
    yield InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    InteractiveShell.clear_instance()


def test_ipython_shows_a_course_error_as_one_line(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("from course_utils.settings import CourseError\nraise CourseError('Do this.')")
    assert capsys.readouterr().out == "CourseError: Do this.\n"

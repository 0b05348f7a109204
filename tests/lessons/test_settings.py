"""Budgets, folders, and errors that a reader can act on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from course_utils import settings
from course_utils.settings import BUDGETS


@pytest.mark.parametrize(
    ("named", "name"), [*zip(BUDGETS, BUDGETS, strict=True), ("", "laptop"), (None, "laptop")]
)
def test_the_budget_is_the_one_that_the_environment_names_or_laptop(named, name, monkeypatch):
    if named is None:
        monkeypatch.delenv("COURSE_BUDGET", raising=False)
    else:
        monkeypatch.setenv("COURSE_BUDGET", named)
    assert settings.budget().name == name and f"'{name}'" in str(settings.budget())


@pytest.mark.parametrize("full", [1, 2, 7, 15, 50])
def test_every_budget_trains_for_at_least_one_epoch_and_the_full_one_for_all(full):
    assert min(budget.epochs(full) for budget in BUDGETS.values()) >= 1
    assert BUDGETS["full"].epochs(full) == full


COSTS = {
    "training images": lambda budget: budget.train_images or 60_000,
    "test images": lambda budget: budget.test_images or 10_000,
    "epochs of 20": lambda budget: budget.epochs(20),
    "importance samples": lambda budget: budget.importance_samples,
}


@pytest.mark.parametrize("cost", COSTS)
def test_smoke_costs_less_than_laptop_and_laptop_less_than_full(cost):
    smoke, laptop, full = (COSTS[cost](BUDGETS[name]) for name in ("smoke", "laptop", "full"))
    assert smoke < laptop < full


# --- folders -------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds the course, with the working folder two levels below it."""
    (tmp_path / "nbgrader_config.py").touch()
    inside = tmp_path / "notebooks" / "03-vae"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    return tmp_path


def test_the_project_is_found_from_a_notebook_s_folder(project):
    assert settings.project_folder() == project


@pytest.mark.parametrize(
    ("named", "folder"),
    [
        (None, "{project}/data"),
        ("../images", "{project}/../images"),
        ("~/images", "/home/ada/images"),
        ("/somewhere/else", "/somewhere/else"),
    ],
)
def test_the_data_folder_is_relative_to_the_project(named, folder, project, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    if named:
        monkeypatch.setenv("COURSE_DATA", named)
    assert settings.data_folder() == Path(folder.format(project=project))


def test_the_working_folder_is_the_project_where_there_is_no_course(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings.project_folder() == tmp_path


# --- errors --------------------------------------------------------------------------------------


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """IPython without its history file."""
    yield InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    InteractiveShell.clear_instance()


def test_ipython_shows_a_course_error_as_one_line(shell, capsys):
    shell.run_cell("from course_utils.settings import CourseError\nraise CourseError('Do this.')")
    assert capsys.readouterr().out == "CourseError: Do this.\n"

"""`course run`'s machinery, on notebooks of one or two cells."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiers
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.settings import CourseError
from courseware import notebooks
from courseware.authoring import runner
from courseware.sections import Lesson, Section

LESSON = Lesson(Section("02-small", "Small", "A tiny section."), "small")


def write(source: Path, *cells: str) -> None:
    notebook = new_notebook(cells=[new_code_cell(cell, id=f"c{i}") for i, cell in enumerate(cells)])
    notebooks.write(notebook, source / LESSON.path)


@pytest.fixture
def run(tmp_path) -> runner.Run:
    return runner.Run(tmp_path / "solutions", tmp_path / "run", {"GREETING": "hello"}, jobs=1)


def execute(run: runner.Run) -> runner.Executed:
    (executed,) = runner.execute(run, [LESSON], lambda *_: None)
    return executed


def test_a_finished_notebook_is_not_run_again(run):
    write(run.source, "import time; print(time.time_ns())")
    first, second = execute(run), execute(run)
    assert not first.reused and second.reused
    assert first.notebook.cells[0].outputs == second.notebook.cells[0].outputs


@pytest.mark.slow
def test_a_notebook_is_run_again_with_another_source_or_environment_or_where_it_was_cut_off(run):
    write(run.source, "1")
    assert not execute(run).reused
    write(run.source, "2")
    assert not execute(run).reused
    run = replace(run, environment={"GREETING": "good evening"})
    assert not execute(run).reused
    stored = run.target / LESSON.path
    stored.write_text(stored.read_text()[:50])
    assert not execute(run).reused


FAILURES = {
    "error": ("1 / 0", "a cell stopped with ZeroDivisionError: division by zero"),
    "no package": ("raise ModuleNotFoundError('course_utils')", "its kernel has no course_utils"),
    "death": ("import os; os._exit(1)", "its kernel died"),
}


@pytest.mark.parametrize(("cell", "failure"), tiers.quick(FAILURES, 1))
def test_a_failing_cell_is_reported_in_one_sentence_and_not_stored(cell, failure, run):
    write(run.source, cell)
    assert execute(run).failure.startswith(failure)
    assert not (run.target / LESSON.path).exists()


def test_a_malformed_notebook_is_named_with_the_remedy(run):
    write(run.source, "1")
    (run.source / LESSON.path).write_text("{ not a notebook")
    with pytest.raises(CourseError, match="is not a notebook any more: restore it with git"):
        execute(run)


def test_a_file_in_place_of_the_target_folder_ends_in_one_sentence(run):
    write(run.source, "1")
    run.target.parent.mkdir(exist_ok=True)
    run.target.write_text("in the way")
    with pytest.raises(CourseError, match="cannot be written"):
        execute(run)


@pytest.mark.slow
def test_of_a_run_progress_results_reports_and_summary_are_told_and_its_outputs_can_be_stored(run):
    write(
        run.source,
        "import os; print(os.environ['GREETING'])",
        "print('digits: 1,415 training and 382 test images (embedded)')",
        "print(\"budget 'smoke': up to 640 images, 1 epoch each; device: cpu\")",
        "from course_utils.evaluation import Estimate, TestElbo\n"
        "TestElbo('VAE', 'digits', Estimate(100.0, 1.0, 10), 80.0, 20.0, None)",
        "from course_utils.checks import check\n"
        "gaussian_kl = lambda mu, logvar: (mu**2 + logvar.exp() - 1 - logvar) / 2\n"
        "check('gaussian_kl', globals())",
    )
    seen = []
    (executed,) = runner.execute(run, [LESSON], lambda lesson, *done_and_all: seen.append(done_and_all))
    assert (seen[0], seen[-1]) == ((0, 6), (6, 6))  # five cells, and what the lesson claims
    assert [row["negative_elbo"] for row in executed.results] == [100.0]
    assert [(row["points"], row["of"]) for row in executed.reports] == [(3, 3)]
    summary = runner.summary([executed])
    assert summary == "Data: digits; budget 'smoke': up to 640 images, 1 epoch each; seed 0."
    runner.store(executed, run.source)
    stored = notebooks.read(run.source / LESSON.path)
    assert stored.cells[0].outputs[0].text == "hello\n"
    assert "course" not in stored.metadata


def test_lessons_that_go_on_with_a_model_of_another_are_run_last_and_listed_in_their_place(run, monkeypatch):
    further = Lesson(replace(LESSON.section, folder="01-small-further"), "small")
    begun: list[Lesson] = []

    async def executed(run: runner.Run, lesson: Lesson, *_: object) -> runner.Executed:
        begun.append(lesson)
        return runner.Executed(lesson, new_notebook())

    monkeypatch.setattr(runner, "_execute", executed)
    done = runner.execute(run, [further, LESSON], lambda *_: None)
    assert (begun, [one.lesson for one in done]) == ([LESSON, further], [further, LESSON])

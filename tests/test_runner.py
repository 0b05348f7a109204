"""`course run`'s machinery, on notebooks of one or two cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils import runner, site
from course_utils.grading.measure import Row
from course_utils.sections import Lesson, Section
from course_utils.settings import CourseError

SECTION = Section(2, "02-small", "Small", "A tiny section.", ("small",))
LESSON = Lesson(SECTION, "small")


def write(source: Path, *cells: str, metadata: dict | None = None) -> None:
    path = source / LESSON.path
    path.parent.mkdir(parents=True, exist_ok=True)
    notebook = new_notebook(cells=[new_code_cell(cell, id=f"c{i}") for i, cell in enumerate(cells)])
    notebook.metadata.update(metadata or {})
    nbformat.write(notebook, path)


@pytest.fixture
def run(tmp_path) -> runner.Run:
    return runner.Run(tmp_path / "solutions", tmp_path / "run", {"GREETING": "hello"}, jobs=1)


def execute(run: runner.Run) -> runner.Executed:
    (executed,) = runner.execute(run, [LESSON], lambda *_: None)
    return executed


def test_cells_see_the_environment_of_the_run(run):
    write(run.source, "import os; print(os.environ['GREETING'])")
    assert execute(run).notebook.cells[0].outputs[0].text == "hello\n"


def test_progress_ends_with_all_cells_done(run):
    write(run.source, "1", "2")
    seen = []
    runner.execute(run, [LESSON], lambda lesson, done, total: seen.append((done, total)))
    assert seen[0] == (0, 2) and seen[-1] == (2, 2)


def test_a_finished_notebook_is_not_run_again(run):
    write(run.source, "import time; print(time.time_ns())")
    first, second = execute(run), execute(run)
    assert not first.reused and second.reused
    assert first.notebook.cells[0].outputs == second.notebook.cells[0].outputs


@pytest.mark.parametrize("change", ["source", "environment", "truncated"])
def test_a_notebook_is_run_again_after_a_change_of(change, run):
    write(run.source, "1")
    execute(run)
    if change == "source":
        write(run.source, "2")
    elif change == "environment":
        run = replace(run, environment={"GREETING": "good evening"})
    else:
        stored = run.target / LESSON.path
        stored.write_text(stored.read_text()[:50])
    assert not execute(run).reused


def test_a_failing_cell_is_reported_in_one_sentence_and_not_stored(run):
    write(run.source, "1 / 0")
    executed = execute(run)
    assert executed.failure == "a cell stopped with ZeroDivisionError: division by zero"
    assert not (run.target / LESSON.path).exists()


def test_a_kernel_without_the_package_is_named_as_such(run):
    write(run.source, "raise ModuleNotFoundError(\"No module named 'course_utils'\")")
    assert execute(run).failure.startswith("its kernel has no course_utils")


def test_a_kernel_that_dies_is_reported(run):
    write(run.source, "import os; os._exit(1)")
    assert execute(run).failure.startswith("its kernel died")


def test_a_malformed_notebook_is_named_with_the_remedy(run):
    write(run.source, "1")
    (run.source / LESSON.path).write_text("{ not a notebook")
    with pytest.raises(CourseError, match="is not a notebook any more: restore it with git"):
        execute(run)


def test_results_and_reports_are_collected_from_the_outputs(run):
    write(
        run.source,
        "from course_utils.evaluation import Estimate, TestElbo\n"
        "TestElbo('VAE', 'digits', Estimate(100.0, 1.0, 10), 80.0, 20.0)",
        "from course_utils.checks import check\n"
        "from course_utils.objectives import gaussian_kl\n"
        "check('gaussian_kl', globals())",
    )
    executed = execute(run)
    assert [row["negative_elbo"] for row in executed.results] == [100.0]
    assert [(row["points"], row["of"]) for row in executed.reports] == [(3, 3)]


def test_a_file_in_place_of_the_target_folder_ends_in_one_sentence(run):
    write(run.source, "1")
    run.target.parent.mkdir(exist_ok=True)
    run.target.write_text("in the way")
    with pytest.raises(CourseError, match="cannot be written"):
        execute(run)


def test_storing_keeps_the_cells_and_drops_the_run_key(run):
    write(run.source, "print(6 * 7)")
    runner.store(execute(run), run.source)
    stored = nbformat.read(run.source / LESSON.path, as_version=4)
    assert stored.cells[0].outputs[0].text == "42\n"
    assert "course" not in stored.metadata


# --- the site -------------------------------------------------------------------------------------


@pytest.fixture
def page(tmp_path) -> str:
    """The page of a lesson with a formula, a folded solution and a figure."""
    solution = new_code_cell("answer = 42", id="s", execution_count=1)
    solution.metadata["nbgrader"] = {"solution": True, "grade": False}
    figure = new_code_cell("figure", id="f", execution_count=2)
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    figure.outputs = [
        nbformat.v4.new_output(
            "display_data", {"image/png": pixel}, metadata={"image/png": {"alt": "One dark pixel."}}
        )
    ]
    cells = [new_markdown_cell("# Title\n\nInline $z = \\mu$.\n\n$$ \\log p(x) $$", id="m"), solution, figure]
    executed = runner.Executed(LESSON, new_notebook(cells=cells))
    index = site.write([executed], tmp_path / "site", "summary")
    return (index.parent / site.page_name(LESSON)).read_text("utf-8")


def test_formulas_are_drawn_and_carry_their_latex(page):
    assert 'aria-label="z = \\mu"' in page and 'aria-label="\\log p(x)"' in page
    assert "$" not in page


def test_figures_are_files_with_their_own_alternative_text(page, tmp_path):
    assert 'alt="One dark pixel."' in page
    assert len(list((tmp_path / "site" / "figures").glob("*.png"))) == 1


def test_solutions_are_folded_away(page):
    assert page.index('<details class="solution">') < page.index("answer") < page.index("</details>")


def test_pages_ask_nothing_of_the_network(page, tmp_path):
    index = (tmp_path / "site" / "index.html").read_text("utf-8")
    for text in (page, index):
        assert "<script" not in text
        assert 'src="http' not in text and '<link rel="stylesheet" href="http' not in text


def test_the_index_shows_how_each_check_does_on_the_bank(tmp_path):
    solved = {"exercise": "2.1", "answer": "gaussian_kl", "points": 3, "of": 3}
    executed = runner.Executed(
        LESSON, new_notebook(cells=[new_markdown_cell("# Small", id="m")]), reports=[solved]
    )
    graders = [
        Row("2.1", "gaussian_kl", 20, wrong=10, caught=9, right=4, accepted=4, diagnosed=8, seconds=0.1)
    ]
    index = site.write([executed], tmp_path / "site", "summary", graders).read_text("utf-8")
    assert "<td>9 of 10 (≥ 60%)</td><td>4 of 4 (≥ 47%)</td><td>8 of 10 (≥ 49%)</td>" in index
    assert "9 of 10 wrong answers are caught" in index


def test_a_second_site_replaces_the_first_whole(tmp_path):
    target = tmp_path / "site"
    target.mkdir()
    (target / "old.html").write_text("old")
    executed = runner.Executed(LESSON, new_notebook(cells=[new_markdown_cell("# New", id="m")]))
    site.write([executed], target, "summary")
    assert not (target / "old.html").exists() and (target / "index.html").exists()

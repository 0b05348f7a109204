"""A student's way through JupyterLab in a real browser: open, run, solve by typing, validate."""

import json
import urllib.request
from collections.abc import Iterator

import lab
import pytest
from lab import Notebook
from programs import PROGRAMS, ROOT
from websocket import create_connection

from course_utils.checks.judges.core import REPORT_MIME
from courseware.authoring import bundle

SMALL = {"COURSE_BUDGET": "smoke", "COURSE_DATASET": "digits"}
# All lessons take minutes; one, and section 2 further down, are enough to see figures, bars and reports.
OPENED = "notebooks/04-exploration/exploration.ipynb"
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"
ANSWER = "return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)"


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab in what a student unpacks, with nothing else of the course in reach."""
    folder = tmp_path_factory.mktemp("student") / bundle.TOP
    for name, content in bundle.contents(ROOT).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with lab.running(folder, PYTHONPATH=str(folder), **SMALL) as address:
        yield address


def test_the_first_sight_is_the_first_notebook_and_nobody_asks_anything(chromium, student):
    page = lab.opened(chromium, student)
    Notebook(page)
    page.wait_for_timeout(1000)  # a question would come up by now
    assert page.url == f"{student}/lab/tree/notebooks/01-autoencoder/autoencoder.ipynb"
    assert page.locator(".jp-toastContainer .Toastify__toast, .jp-Dialog").count() == 0
    page.context.close()


@pytest.mark.slow
def test_a_terminal_knows_the_command_of_the_course(student):
    """As JupyterLab asks for a terminal and types into it, without the page around it."""
    ask = urllib.request.Request(f"{student}/api/terminals", b"", {"Authorization": "token T"})
    name = json.load(urllib.request.urlopen(ask))["name"]
    typed = json.dumps(["stdin", "command -v course; echo $((1 + 1)) said\r"])
    shell = create_connection(f"{student}/terminals/websocket/{name}?token=T".replace("http", "ws", 1), 60)
    shell.send(typed)
    shown = ""
    while "2 said" not in shown:
        kind, said = json.loads(shell.recv())
        shown += said if kind == "stdout" else ""
    shell.close()
    assert str(PROGRAMS / "course") in shown


def test_run_all_shows_every_figure_and_stops_nowhere(chromium, student):
    requests: list[str] = []
    page = lab.opened(chromium, student, OPENED, requests)
    notebook = Notebook(page)
    notebook.run_all()
    outputs = [output for cell in notebook.outputs().values() for output in cell]
    errors = {output["ename"] for output in outputs if output["output_type"] == "error"}
    assert errors <= {"NotImplementedError"}
    assert not any(output.get("name") == "stderr" for output in outputs)
    figures = sum("image/png" in output.get("data", {}) for output in outputs)
    page.wait_for_function(
        "count => [...document.querySelectorAll('.jp-RenderedImage img, img.on-dark')]"
        ".filter(image => image.complete && image.naturalWidth > 0).length === count",
        arg=figures,
    )
    explorers = (ROOT / OPENED).read_text("utf-8").count("explorer.explore(")
    assert page.locator(".vae-explorer[data-ready]").count() == explorers
    # Of widgets a notebook that is opened again without its kernel shows errors: bars are none.
    assert sum(WIDGET_MIME in output.get("data", {}) for output in outputs) == explorers
    reports = [output for output in outputs if REPORT_MIME in output.get("data", {})]
    assert page.locator(".jp-OutputArea strong", has_text="points").count() == len(reports)
    assert {url for url in requests if not url.startswith((student, "data:", "blob:"))} == set()
    page.context.close()


def test_an_exercise_solved_by_typing_turns_its_report_and_validate_says_what_is_left(chromium, student):
    page = lab.opened(chromium, student, "notebooks/02-theory/theory.ipynb")
    notebook = Notebook(page)
    notebook.run_all()
    notebook.cell("theory-picture").get_by_role("slider", name="mean of q").press("ArrowRight")
    said = notebook.cell("theory-picture").locator("output").inner_text()
    assert said.startswith("q around -0.4: ELBO -6.")
    report = notebook.cell("gaussian-kl-check").locator(".jp-RenderedHTML")
    report.get_by_text("0 of 3 points").wait_for()
    report.get_by_text("Not yet").wait_for()
    answer = notebook.cell("gaussian-kl")

    def edit(line: str, text: str, *keys: str) -> None:
        """At the end of this line press keys and type, then run the answer and the check below it."""
        answer.locator(".cm-line", has_text=line).click()
        for key in ("End", *keys):
            page.keyboard.press(key)
        page.keyboard.type(text)
        page.keyboard.press("Shift+Enter")
        page.keyboard.press("Shift+Enter")

    edit("raise NotImplementedError()", ANSWER, "Shift+Home")
    report.get_by_text("3 of 3 points").wait_for()
    edit(ANSWER, " +")  # which cannot be read as Python any more
    report.get_by_text("an earlier version of your answer").wait_for()
    edit(ANSWER, "", "Backspace", "Backspace")
    report.get_by_text("an earlier version of your answer").wait_for(state="detached")

    page.locator(".jp-NotebookPanel:visible jp-button.validate-button").click()
    page.locator(".nbgrader-ErrorDialog").wait_for()
    said = page.locator(".nbgrader-ErrorDialog .jp-Dialog-content").inner_text()
    assert "gaussian_kl" not in said
    assert "Exercise 2.2, reparameterize: 0 of 3 points\n  Not yet:" in said
    assert "*Write your answer here.*\nYou did not provide a response." in said
    page.context.close()

"""The web site without a browser: both editions, made by `course site` from what is stored in solutions/."""

import functools
import html
import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest
import torch
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.utils import is_solution

from course_utils import data, models, plotting
from course_utils.training import History
from course_utils.viewers import animation, explorer
from courseware import cli, markup, notebooks, sections
from courseware.authoring import exercises, runner
from courseware.authoring.site import pages as site
from courseware.authoring.site import rendering
from courseware.measuring.graders import Tally
from courseware.sections import Lesson, Section

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
SECTION = Section("02-small", "Small", "A tiny section.")
LESSON = Lesson(SECTION, "small")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCENES = {"animation-1.html", "explorer-1.html", "explorer-2.html"}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of each edition, as the command writes it."""
    project = tmp_path_factory.mktemp("project")
    for name in ("nbgrader_config.py", "solutions", "notebooks", "docs"):
        (project / name).symlink_to(ROOT / name)
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        for edition, options in (("student", []), ("instructor", ["--answers"])):
            done = CliRunner().invoke(cli.main, ["site", *options])
            assert done.exit_code == 0, done.output
            folders[edition] = Path(done.output.removeprefix("Open: ").strip()).parent
    return folders


@pytest.fixture(params=["student", "instructor"])
def edition(request: pytest.FixtureRequest, sites: dict[str, Path]) -> Path:
    return sites[request.param]


@functools.cache
def pages(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.html"))}


def test_unless_told_otherwise_the_command_makes_the_students_edition(sites):
    assert [folder.name for folder in sites.values()] == ["site-student", "site"]


# --- no answers for students ----------------------------------------------------------------------------


def plain(text: str) -> str:
    """On one line, without the marks of Markdown, quotes as Python prints them: as a page reads."""
    unmarked = re.sub(r"^- |\*\*|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)|`", "", text)
    return " ".join(unmarked.replace('"', "'").split())


def answers() -> list[tuple[str, str]]:
    """Page and line of every answer and model answer, but for lines that some student notebook has too."""
    given = plain("\n".join(cell.source for _, cell in cells("notebooks")))
    found = []
    for lesson, cell in cells("solutions"):
        if is_solution(cell):
            for region in exercises.SOLUTION.findall(cell.source) or [cell.source]:
                lines = [plain(line).rstrip(",") for line in region.splitlines()]
                found += [(site.page_name(lesson), line) for line in lines if line and line not in given]
    return found


def cells(edition: str) -> list[tuple[Lesson, nbformat.NotebookNode]]:
    """The cells of all lessons."""
    lessons = sections.lessons()
    return [(one, cell) for one in lessons for cell in notebooks.read(ROOT / edition / one.path).cells]


@functools.cache
def readable(folder: Path) -> dict[str, str]:
    """What the pages and the search index of a site say, by file."""
    found = {name: plain(rendering.words(text)) for name, text in pages(folder).items()}
    passages = json.loads((folder / "search.js").read_text("utf-8").partition("= ")[2].rstrip(";\n"))
    return found | {"search.js": plain(" ".join(" ".join(passage) for passage in passages))}


def test_no_line_of_an_answer_is_in_the_students_edition(sites):
    written = readable(sites["student"])
    assert [(page, line) for page, line in answers() if line in written[page] + written["search.js"]] == []


def test_the_same_search_finds_the_answers_in_the_instructors_edition(sites):
    """Lines with formulas read otherwise on a page; of the others hardly one is missed."""
    written = readable(sites["instructor"])
    lines = [(page, line) for page, line in answers() if "$" not in line]
    found = [line for page, line in lines if line in written[page]]
    assert len(lines) > 200
    assert len(found) > 0.97 * len(lines)


def test_students_see_no_reports_and_no_marks_of_solutions(sites):
    for text in readable(sites["student"]).values():
        assert not re.search(r"BEGIN SOLUTION|Model answer|Mark scheme|predicted '", text)
        assert not re.search(r"\d of \d points", text)


def test_students_see_stubs_and_the_figures_of_the_demonstrations(sites):
    student, instructor = (pages(sites[edition])["03-vae.html"] for edition in ("student", "instructor"))
    assert "NotImplementedError" in student
    assert student.count("<img ") == instructor.count("<img ") > 5


# --- what holds on every page ---------------------------------------------------------------------------


def test_every_image_says_what_it_shows(edition):
    for name, text in pages(edition).items():
        for image in re.findall(r"<img\b[^>]*>", text):
            alt, source = (re.search(rf'{what}="([^"]+)"', image) for what in ("alt", "src"))
            assert alt and len(alt[1]) > 20 and alt[1] != markup.UNDESCRIBED, f"{name}: {image}"
            assert source and (edition / source[1]).is_file()


def test_headings_come_in_order(edition):
    for name, text in pages(edition).items():
        levels = [int(level) for level in re.findall(r"<h([1-6])\b", text)]
        assert levels[0] == 1 and levels.count(1) == 1, name
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels)), name


def test_every_link_within_the_site_has_an_end(edition):
    every = pages(edition)
    anchors = {name: re.findall(r'\bid="([^"]+)"', text) for name, text in every.items()}
    for name, text in every.items():
        assert len(set(anchors[name])) == len(anchors[name]), name
        for link in re.findall(r'href="([^"]*)"', text):
            file, _, anchor = html.unescape(link).partition("#")
            if not file.startswith("https:") and not file.startswith("http:"):
                assert (edition / (file or name)).is_file(), f"{name}: {link}"
                assert not anchor or anchor in anchors[file or name], f"{name}: {link}"


def test_nothing_is_loaded_from_elsewhere(edition):
    for name, text in pages(edition).items():
        loaded = re.findall(r'\bsrc="([^"]+)"|<link\b[^>]*href="([^"]+)"', text)
        assert not [one for one in loaded if ":" in "".join(one)], name
        (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)
        assert policy.startswith("default-src 'none';") and not re.search(r"https?:|\*", policy), name
        scripts = policy.partition("script-src")[2].partition(";")[0]
        assert ("unsafe-inline" in scripts) == (name in SCENES)
    assert "http" not in (edition / "site.js").read_text("utf-8")
    assert "url(" not in (edition / "site.css").read_text("utf-8")


def test_the_sections_stand_in_order_on_every_page(edition):
    lessons = [site.page_name(lesson) for lesson in sections.lessons()]
    order = ["index.html", *lessons, "explorer-1.html", "numbers.html"]
    assert {*order, *SCENES} == set(pages(edition))
    entry = re.compile(r'<li><a href="([^"#]+)"(?: aria-current="(page|true)")?>')
    for name, text in pages(edition).items():
        entries = entry.findall(text.partition("</nav>")[0])
        assert [file for file, _ in entries] == order
        assert [file for file, current in entries if current == "page"] == [name] * (name in order)


def test_the_home_page_says_what_each_section_is_for_and_how_long_it_takes(sites):
    home = pages(sites["student"])["index.html"]
    assert "Start with 1. Autoencoder" in home
    assert all(section.aim in home for section in sections.SECTIONS)
    assert len(re.findall(r'class="time">[^<]*(?:minutes|hours)', home)) == len(sections.lessons())
    assert "<code>make lab</code>" in home and "<code>make run</code>" not in home
    assert "<code>make run</code>" in pages(sites["instructor"])["index.html"]


def test_covers_and_hero_are_figures_that_cells_still_draw():
    outputs = [(cell.id, output) for _, cell in cells("solutions") for output in cell.get("outputs", [])]
    drawing = {name for name, output in outputs if "image/png" in output.get("data", {})}
    assert {section.cover for section in sections.SECTIONS} | {site.HERO} <= drawing


# --- small sites ----------------------------------------------------------------------------------------


def made(folder: Path, *cells: nbformat.NotebookNode, reports: Sequence = (), **options: object) -> Path:
    """The folder of a site of one lesson with these cells."""
    executed = runner.Executed(LESSON, new_notebook(cells=list(cells)))
    executed.reports += reports
    return site.write([executed], folder / "site", **options).parent


def page(folder: Path) -> str:
    return (folder / site.page_name(LESSON)).read_text("utf-8")


def drawn(**metadata) -> nbformat.NotebookNode:
    output = new_output("display_data", {"image/png": PIXEL}, metadata={"image/png": metadata})
    return new_code_cell("figure", outputs=[output])


def test_a_picture_with_a_twin_on_dark_paper_is_one_figure_that_has_it(tmp_path):
    bundle = {"image/png": PIXEL, "text/html": plotting.on_either(PIXEL, "DARK", "a twin")}
    output = new_output("display_data", bundle, metadata={"image/png": {"alt": "a twin"}})
    text = page(made(tmp_path, new_markdown_cell("# Title"), new_code_cell("f", id="f", outputs=[output])))
    assert text.count("<img") == 1 and 'style="--dark:url(data:image/png;base64,DARK)"' in text


def test_a_figure_is_a_file_that_a_link_shows_large_and_one_without_description_says_so(tmp_path):
    folder = made(tmp_path, drawn(alt="One dark pixel."), drawn())
    text = page(folder)
    for file in (folder / "figures").glob("*.png"):
        assert f'<a class="figure" href="figures/{file.name}"><img src="figures/{file.name}"' in text
    assert 'alt="One dark pixel." width="1" height="1"' in text
    assert 'alt="A picture without a description."' in text


def test_answers_are_folded_away_under_the_name_of_their_exercise(tmp_path):
    statement = new_markdown_cell("### Exercise 2.1: the half\n\nText.")
    answer = new_code_cell("answer = 42", id="s")
    answer.metadata["nbgrader"] = {"solution": True, "grade": False}
    model = new_markdown_cell("**Model answer.** Because.")
    model.metadata["nbgrader"] = {"solution": True, "grade": True}
    text = page(made(tmp_path, statement, answer, model))
    folded = r'<details class="solution"><summary>(.+?)</summary>(.+?)</details>'
    code, words = re.findall(folded, text, re.DOTALL)
    assert code[0] == "Solution: Exercise 2.1: the half" and "answer" in code[1]
    assert words[0] == "Model answer and mark scheme: Exercise 2.1: the half" and "Because" in words[1]


def test_a_student_notebook_that_has_moved_on_shows_no_stale_output():
    run = new_code_cell("print(1)", id="c", outputs=[new_output("stream", name="stdout", text="1")])
    executed = runner.Executed(LESSON, new_notebook(cells=[run]))
    now = [new_notebook(cells=[new_code_cell(source, id="c")]) for source in ("print(1)", "print(2)")]
    same, other = (rendering.for_students(executed, one) for one in now)
    assert [output.text for output in same.cells[0].outputs] == ["1"]
    assert other.cells[0].outputs == []


def test_search_knows_what_stands_below_each_heading():
    text = "# Top\n\nOne & two.\n\n## Below $\\log p(x \\mid z)$\n\n`name` of $\\mathcal{N}(0, I)$"
    cells = [new_markdown_cell(text), new_code_cell("evaluation.codes(model)", id="c")]
    body = rendering.render(new_notebook(cells=cells), "stem", Counter())
    top, below = rendering.passages(body.html)
    assert (top.level, top.anchor, top.heading, top.text) == (1, "top", "Top", "One & two.")
    assert (below.level, below.heading) == (2, "Below log p(x | z)")
    assert below.text == "name of N (0, I) evaluation.codes(model)"


def test_code_that_is_hidden_and_shows_nothing_is_left_out(tmp_path):
    hidden = {"jupyter": {"source_hidden": True}}
    silent = new_code_cell("import guard", id="a", metadata=hidden)
    shows = new_code_cell("print()", id="b", metadata=hidden, outputs=[new_output("stream", text="seen")])
    text = page(made(tmp_path, new_markdown_cell("# Title"), silent, shows))
    assert "guard" not in text and "seen" in text


def test_a_saved_explorer_becomes_a_page_to_which_the_lesson_leads(tmp_path):
    cells = []
    for k in (2, 3):
        bundle = explorer.explore(models.VAE(k), data.load("digits"))._repr_mimebundle_()
        cells.append(new_code_cell("explore", id=f"e{k}", outputs=[new_output("display_data", bundle)]))
    folder = made(tmp_path, new_markdown_cell("# Title"), *cells)
    assert 'href="explorer-1.html"' in page(folder) and 'href="explorer-2.html"' in page(folder)
    assert "srcdoc" not in page(folder)
    for k in (2, 3):
        own = (folder / f"explorer-{k - 1}.html").read_text("utf-8")
        given = re.search(r'<script type="application/json" id="data">(.*?)</script>', own, re.DOTALL)
        assert given and json.loads(given[1])["latent"] == k
        assert ".vae-explorer " in own and "body {" not in own
        assert "script-src 'self' file: 'unsafe-inline';" in own
        assert own.count('href="explorer-1.html"') == 2  # navigation, and the choice of models
    assert "explorer-1.html" in (folder / "index.html").read_text("utf-8")


def test_a_saved_animation_becomes_a_page_that_leads_back_to_its_lesson(tmp_path):
    moves = {"means": [[[0, 0], [100, 50]]] * 2, "samples": [[[0] * 784]] * 2}
    history = History({"loss": [2.0, 1.0]}, {}, [1.0, 2.0], moves)
    film = animation.Film(history, torch.tensor([0, 1]), ["zero", "one"])
    cell = new_code_cell("film", id="f", outputs=[new_output("display_data", film._repr_mimebundle_())])
    folder = made(tmp_path, new_markdown_cell("# Title"), cell)
    assert 'href="animation-1.html"' in page(folder) and "srcdoc" not in page(folder)
    own = (folder / "animation-1.html").read_text("utf-8")
    assert ".vae-animation" in own and "body {" not in own
    assert f'<a href="{site.page_name(LESSON)}">← Back to the lesson</a>' in own
    assert "animation-1.html" not in (folder / "index.html").read_text("utf-8")


def test_the_numbers_show_how_each_check_does_on_the_bank(tmp_path):
    solved = {"exercise": "2.1", "answer": "gaussian_kl", "points": 3, "of": 3}
    row = Tally("2.1", "gaussian_kl", 20, wrong=10, caught=9, right=4, accepted=4, diagnosed=8, seconds=0.1)
    folder = made(tmp_path, new_markdown_cell("# Small"), reports=[solved], measured=([row], ()))
    numbers = (folder / "numbers.html").read_text("utf-8")
    assert "<td>9 of 10 (≥ 60%)</td><td>4 of 4 (≥ 47%)</td><td>8 of 10 (≥ 49%)</td>" in numbers
    assert "9 of 10 wrong answers are caught" in numbers


def test_a_second_site_replaces_the_first_whole(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "old.html").write_text("old")
    folder = made(tmp_path, new_markdown_cell("# New"))
    assert not (folder / "old.html").exists() and (folder / "index.html").exists()

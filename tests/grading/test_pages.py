"""What a student's code displays and writes reaches a page as text and pictures, and nothing of it runs."""

import base64
import copy
import json
import re
import shutil
import time
import types

import nbformat
import pytest
from bs4 import BeautifulSoup
from cells import SECTIONS, asked_in, png
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader.api import Gradebook
from nbgrader.converters import GenerateFeedback
from nbgrader.server_extensions.formgrader.formgrader import FormgradeExtension
from programs import ROOT

from course_utils.checks.judges import EXERCISES, core
from courseware import markup
from courseware.grading import pages
from courseware.grading.preprocessors import asked_of
from courseware.grading.reasons import Fault, Reason
from courseware.grading.submission import pictures
from courseware.grading.submission.repair import shown_in

ACTIVE = ["script", "iframe", "object", "embed", "link", "meta", "base", "form", "style", "svg", "input"]
FETCHED = ["src", "srcset", "poster", "data", "background", "action", "formaction", "xlink:href"]


def displayed(data: dict[str, object], metadata: object = None) -> dict:
    return {"output_type": "display_data", "data": data, "metadata": metadata or {}}


def stream(text: object) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": text}


def cleaned(*outputs: object) -> list[NotebookNode]:
    """The outputs of a cell that displayed `outputs`, after cleaning; they form a valid notebook."""
    cell = new_code_cell()
    cell["outputs"] = list(outputs)
    pages.clean_outputs(cell)
    nbformat.validate(new_notebook(cells=[cell]))
    return cell.outputs


EVIL = "<script>alert(1)</script>"
POISONED_OUTPUTS = {
    "html": displayed({"text/html": EVIL}),
    "html like a report": displayed({"text/html": EVIL, core.REPORT_MIME: {"points": 9}, "text/plain": "9"}),
    "an isolated html": displayed({"text/html": EVIL}, {"text/html": {"isolated": True}}),
    "markdown": displayed({"text/markdown": "[x](javascript:alert(1))"}),
    "latex": displayed({"text/latex": f"$x$ {EVIL}"}),
    "svg": displayed({"image/svg+xml": "<svg onload=alert(1)>"}),
    "javascript": displayed({"application/javascript": "alert(1)"}),
    "a widget": displayed({"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}),
    "mermaid": displayed({"text/vnd.mermaid": "graph TD; A--><img src=x onerror=alert(1)>"}),
    "an unknown type named to hurt": displayed({EVIL: "x"}),
    "a jpeg": displayed({"image/jpeg": 'x" onerror="alert(1)'}),
    "a png that is none": displayed({"image/png": 'x" onerror="alert(1)'}),
    "a png with a width": displayed({"image/png": png()}, {"image/png": {"width": "1 onerror=alert(1)"}}),
    "a png with a file and a text": displayed(
        {"image/png": png()},
        {"filenames": {"image/png": "https://x/y.png"}, "image/png": {"alt": '" onerror="x'}},
    ),
    "text": displayed({"text/plain": EVIL}),
    "a stream": stream(f"\x1b[31m{EVIL}\x1b[0m<img src=x onerror=alert(1)>"),
    "an error": {"output_type": "error", "ename": EVIL, "evalue": EVIL, "traceback": [EVIL]},
    "a count that is no number": {**displayed({"text/plain": "1"}), "execution_count": EVIL},
}
POISONED_SOURCES = {
    "script": EVIL,
    "script in a paragraph": f"Well, {EVIL} and more",
    "onerror": '<img src="x" onerror="alert(1)">',
    "onerror, split over lines": "<img\nsrc=x\nonerror\n=\nalert(1)>",
    "a link": "[x](javascript:alert(1))",
    "a link in capitals with a tab": '<a href="JaVa\tScRiPt:alert(1)">x</a>',
    "a link in entities": '<a href="&#106;avascript:alert(1)">x</a>',
    "a link to a page in itself": f"[x](data:text/html;base64,{base64.b64encode(EVIL.encode()).decode()})",
    "iframe": '<iframe src="https://x"></iframe>',
    "style": "<style>body {display: none}</style>",
    "a style that loads": '<p style="color:red;list-style:url(https://x/y)">x</p>',
    "a style that loads, in escapes": r'<p style="list-style:\75rl(https://x/y)">x</p>',
    "refresh": '<meta http-equiv="refresh" content="0;url=https://x">',
    "svg": "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "mathml that is none": "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)></style></math>",
    "form": '<form action="https://x"><input name="password"><button formaction="javascript:1">',
    "base": '<base href="https://x/">',
    "object": '<object data="x.swf"></object><embed src="x">',
    "a picture from elsewhere": "![x](https://x/y.png)",
    "a reader's own session": "![x](/logout)",
    "a comment that ends early": f"<!-- --!>{EVIL} -->",
    "the end of the page": f"</div></div></body></html>{EVIL}",
    "a formula": r"$\text{<script>alert(1)</script>}$ and $$\text{&lt;img src=x onerror=alert(1)&gt;}$$",
    "a formula with a link": r"$\href{javascript:alert(1)}{x} \style{background:url(https://x)}{y}$",
    "a formula in an attribute": r'![a $\text{" onerror=alert(1) x="}$ b](x "$\text{" onerror=alert(1)}$")',
    "a mark in an attribute": '<p title=\'<span class="formula">\\text{ " onclick=x }</span>\'>x</p>',
    "a code block": f'```html\n{EVIL}\n```\n\n```x"onclick="alert(1)\nx\n```',
    "a diagram": f"```mermaid\n{EVIL}\n```",
    "no end of nesting": "<div>" * 3000 + EVIL,
    "an attachment that is none": "![x](attachment:none.png)",
}


def assert_inert(part: BeautifulSoup) -> None:
    """Nothing in this part of a page runs, loads, or leads to what runs."""
    for element in part.find_all(True):
        assert element.name not in ACTIVE, element
        for name, value in element.attrs.items():
            text = "".join(value) if isinstance(value, list) else value
            told = re.sub(r"[\s\x00-\x20]", "", text).lower()
            assert not name.startswith("on"), element
            assert not told.startswith(("javascript:", "vbscript:", "data:text", "data:image/svg")), element
            assert name not in FETCHED or told.startswith("data:image/png;base64,"), element
            assert name != "style" or not re.search(r"[(\\]", text), element


def notebook_part(page: str) -> BeautifulSoup:
    """The cells of a page. Nothing that a cell wrote stands outside them."""
    soup = BeautifulSoup(page, "html.parser")
    part = soup.select_one("#notebook-container")
    assert part is not None
    return part


def poisoned(source: str = "", outputs: tuple[object, ...] = ()) -> NotebookNode:
    """A notebook of a student's in which every place holds poison."""
    mark = {"grade_id": "answer", "solution": True, "grade": False, "locked": False, "schema_version": 3}
    forged = {**mark, "grade_id": '"><script>alert(1)</script>', "grade": True}
    cells = [
        new_markdown_cell(source, metadata={"nbgrader": mark}),
        new_markdown_cell(source, metadata={"nbgrader": forged}),
        new_code_cell(f"%%html\n{source}", metadata={"tags": [EVIL], "magics_language": EVIL}),
    ]
    nb = new_notebook(cells=cells, metadata={"title": EVIL, "widgets": {}})  # which would refuse the rest
    nb.cells[2]["outputs"] = [nbformat.from_dict(copy.deepcopy(output)) for output in outputs]
    nb.cells[2]["execution_count"] = EVIL
    return nb


# --- outputs ----------------------------------------------------------------------------------------


FAR = "http://192.0.2.1/x.png"
LOADED = {
    "a picture": f"![x]({FAR})",
    "a picture in a link": f"[![x]({FAR})](#a)",
    "a picture by its name": f"![x][far]\n\n[far]: {FAR}",
    "a picture in a picture": f"![![x](attachment:x)]({FAR})",
    "a picture behind an escaped bracket": f"![x\\](attachment:x]({FAR})",
    "a picture behind code": f"![`](attachment:`]({FAR})",
    "a picture behind an address": f"![<xx:](attachment:x>]({FAR})",
    "a picture behind a formula": f"![$](attachment:$]({FAR})",
    "a picture in HTML": f"a <img src={FAR}> b",
    "a picture behind a line's end": f'<img\nsrc="{FAR}">',
    "a film": f'<video poster="{FAR}"></video>',
    "a background": f"<div style='background:url({FAR})'>x</div>",
}
KEPT = [
    "![mine](attachment:mine.png)",
    "a < b, c > d, x = y",
    "<details><summary>s</summary></details>",
    "!important",
]


@pytest.mark.parametrize("source", LOADED.values(), ids=LOADED)
def test_nothing_in_markdown_is_loaded_from_elsewhere(source):
    shown = BeautifulSoup(markup.markdown(pages.loading_nothing(source)).decode(), "html.parser")
    assert not [tag for tag in shown.find_all(True) if {"src", "poster", "style"} & set(tag.attrs)]
    assert FAR in str(shown)


@pytest.mark.parametrize("fence", ["```mermaid", "> ~~~~ Mermaid", "- ```\tmermaid x"])
def test_no_diagram_is_drawn(fence):
    assert "mermaid" not in pages.loading_nothing(f'{fence}\nflowchart\n  A@{{ img: "{FAR}" }}\n').lower()


@pytest.mark.parametrize("part", ["<a=", "<a", "`", "![", "](<)"])
def test_long_texts_are_read_once(part):
    began = time.process_time()
    pages.loading_nothing(part * 100_000)
    shown_in(part.encode() * 100_000)
    assert time.process_time() - began < 5  # what reads them again for every part takes minutes


@pytest.mark.parametrize("source", KEPT)
def test_other_markdown_stays_as_it_is(source):
    assert pages.loading_nothing(source) == source


@pytest.mark.parametrize("name", POISONED_OUTPUTS)
def test_only_text_errors_and_pictures_remain_of_a_cell_s_outputs(name):
    (output,) = cleaned(POISONED_OUTPUTS[name])
    assert set(output.get("data", {})) <= {"text/plain", "image/png"}
    assert output.get("metadata", {}) == {}


def test_text_and_pictures_stay_as_they_are():
    picture = displayed({"image/png": png(), "text/plain": "<Figure>"})
    error = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["\x1b[31mE\x1b[0m", "v"]}
    assert cleaned(stream("a\n"), picture, error) == [stream("a\n"), picture, error]


def test_what_was_left_out_is_said_where_nothing_remains():
    (output,) = cleaned(displayed({"text/html": "<b>x</b>", "image/svg+xml": "<svg/>"}))
    assert output.data == {"text/plain": "[left out: image/svg+xml, text/html]"}


MALFORMED = [
    None, 1, "text", [], {}, {"output_type": []}, {"output_type": "stream"}, {"output_type": "display_data"},
    stream(3), stream([1]), stream(None), {"output_type": "update", "data": {}},
    {"output_type": "error", "ename": 1, "evalue": None, "traceback": 2},
    {"output_type": "error", "ename": "E", "evalue": "v", "traceback": [3]},
    {"output_type": "display_data", "data": [1]},
    {"output_type": "display_data", "data": {"text/plain": {"a": 1}}, "metadata": 3},
]  # fmt: skip


@pytest.mark.parametrize("malformed", MALFORMED)
def test_malformed_outputs_are_dropped(malformed):
    assert [output for output in cleaned(malformed, stream("after")) if output != stream("after")] in (
        [],
        [displayed({"text/plain": "a"})],  # the text of a dict: its keys
    )


@pytest.mark.parametrize("outputs", [None, 3, "text", {"a": 1}])
def test_outputs_that_are_no_list_become_none(outputs):
    cell = NotebookNode(outputs=outputs)
    pages.clean_outputs(cell)
    assert cell.outputs == []


CONTENT = base64.b64decode(png())
NO_PICTURES = [
    *(base64.b64encode(one).decode() for one in (b"GIF89a" + bytes(40), CONTENT[:20])),
    base64.b64encode(CONTENT + bytes(pictures.MOST_BYTES)).decode(),
    png(6000, 6000), png()[:-3] + "é", {"a": 1}, [3],
]  # fmt: skip


@pytest.mark.parametrize("picture", NO_PICTURES)
def test_a_picture_that_is_no_png_or_too_large_is_left_out(picture):
    (output,) = cleaned(displayed({"image/png": picture}))
    assert output.data == {"text/plain": "[left out: image/png]"}


def test_outputs_are_bounded():
    outputs = cleaned(*[stream("x" * 10**6)] * 10**3)
    assert all(len(output.get("text", "")) <= pages.MOST_CHARACTERS for output in outputs)
    assert sum(len(output.get("text", "")) for output in outputs) <= pages.MOST_CHARACTERS_OF_CELL
    assert outputs[0].text.endswith("[cut: 1,000,000 characters]")
    assert len(cleaned(*[stream("x")] * 10**4)) == pages.MOST_OUTPUTS


def test_text_that_no_file_could_hold_is_made_writable():
    (output,) = cleaned(stream("\ud800"))
    assert output.text.encode("utf-8")


# --- pages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", POISONED_OUTPUTS)
def test_outputs_are_inert_on_the_page(name):
    nb = poisoned(outputs=(POISONED_OUTPUTS[name],))
    assert_inert(notebook_part(pages.page(nb, {}, {}, title="x")))


def test_a_picture_is_described_by_the_text_beside_it():
    said = f'<Picture: "it">{EVIL}'
    outputs = displayed({"image/png": png(), "text/plain": said}), displayed({"image/png": png()})
    part = notebook_part(pages.page(poisoned(outputs=outputs), {}, {}, title="theory"))
    assert [image["alt"] for image in part.select("img")] == [said, pages.UNDESCRIBED]


@pytest.mark.parametrize("name", POISONED_SOURCES)
def test_sources_are_inert_on_the_page(name):
    page = pages.page(poisoned(POISONED_SOURCES[name]), {}, {}, title="x")
    assert_inert(notebook_part(page))
    assert not BeautifulSoup(page, "html.parser").find_all("script")


def solved() -> tuple[NotebookNode, dict, dict]:
    """A notebook as Judge leaves it, its scores and comments."""
    nb = nbformat.read(ROOT / "solutions" / "02-theory" / "theory.ipynb", as_version=4)
    scores, comments = {}, {}
    for cell in nb.cells:
        mark = cell.metadata.get("nbgrader", {})
        if mark.get("grade"):
            scores[mark.grade_id] = (mark.points / 4, mark.points)
        if mark.get("solution"):
            comments[mark.grade_id] = f"A remark on *{mark.grade_id}*"
        if name := asked_of(cell):
            failing = core.Finding("no", False, 0.5), core.Finding("nor that", False, 0.5)
            findings = (core.Finding("it `holds`", True, 1), *failing)
            shown = core.Report(EXERCISES[name], findings)._repr_mimebundle_()
            cell.outputs = [new_output("execute_result", data=shown)]
    return nb, scores, comments


def test_the_page_shows_every_report_score_and_comment():
    nb, scores, comments = solved()
    page = pages.page(nb, scores, comments, title="theory")
    part = notebook_part(page)
    text = part.get_text()
    for exercise in asked_in(SECTIONS["02-theory"]):
        told = f"{exercise.points / 2:g} of {exercise.points} points"
        assert f"Exercise {exercise.number}, {exercise.answer}: {told}" in text
        assert f">Exercise {exercise.number}, {exercise.answer}</a> (Score: " in page  # in the contents
    for score, points in scores.values():
        assert f"Score: {round(score, 2)} / {points:.1f}" in text
    for name in comments:
        assert f"A remark on {name}" in text
    assert "✓ Holds:" in [mark.get_text() for mark in part.find_all("strong")]


def test_the_page_begins_with_what_was_wrong_with_the_file():
    nb, scores, comments = solved()
    fault = Fault(Reason.NOT_A_NOTEBOOK, "theory", "theory.ipynb is a text: hand in <b>the notebook</b>")
    nb.metadata["course"] = {"faults": [fault.plain]}
    part = notebook_part(pages.page(nb, scores, comments, title="theory"))
    text = part.get_text()
    assert "a file is no notebook: theory.ipynb is a text: hand in the notebook" in text
    assert text.index("What grading met") < text.index("2.1")


def test_formulas_and_instructors_markdown_look_right():
    source = (
        "# Title\n\n$\\alpha^2$ and\n\n$$\\log p(x)$$\n\n| a | b |\n|--:|---|\n| 1 | 2 |\n\n"
        f"<details><summary>Hint</summary>x</details>\n\n![a figure](data:image/png;base64,{png()})\n\n[a paper](https://arxiv.org)"
    )
    part = notebook_part(pages.page(new_notebook(cells=[new_markdown_cell(source)]), {}, {}, title="x"))
    assert [formula["display"] for formula in part.find_all("math")] == ["inline", "block"]
    assert part.math.mrow.get_text() == "α2"
    for name in ("h1", "table", "details", "summary", "img", "a"):
        assert part.find(name) is not None, name
    assert part.img["src"].startswith("data:image/png")
    assert part.a["href"] == "https://arxiv.org"


def test_the_page_loads_nothing_from_elsewhere():
    nb, scores, comments = solved()
    page = BeautifulSoup(pages.page(nb, scores, comments, title="theory"), "html.parser")
    assert not page.find_all(["script", "link", "iframe"])
    assert all(found["src"].startswith("data:image/png;base64,") for found in page.find_all(src=True))
    assert not any("http" in style.get_text() and "@import" in style.get_text() for style in page("style"))
    assert "default-src 'none'" in page.find("meta", {"http-equiv": True})["content"]


def test_a_page_is_a_function_of_its_arguments():
    nb, scores, comments = solved()
    before = json.dumps(nb)
    first = pages.page(nb, scores, comments, title="a <b>")
    assert pages.page(nb, scores, comments, title="a <b>") == first
    assert json.dumps(nb) == before
    assert "<title>a &lt;b&gt;</title>" in first


# --- nbgrader's own ---------------------------------------------------------------------------------


@pytest.fixture
def formgrader(tmp_path, monkeypatch) -> FormgradeExtension:
    """formgrader as JupyterLab starts it in a course's folder, with what it shows pages by in `settings`."""
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    extension = FormgradeExtension()
    extension.root_dir = str(tmp_path)
    extension.initialize([])
    extension.settings = {}
    extension.init_tornado_settings(types.SimpleNamespace(settings=extension.settings))
    return extension


SHOWN = dict(assignment_id="a", notebook_id="n", submission_id="s", index=0, total=1, base_url="")


@pytest.mark.slow
def test_formgrader_shows_a_submission_harmless_and_with_its_own_tools(formgrader):
    outputs = tuple(output for name, output in POISONED_OUTPUTS.items() if "count" not in name)
    for source in POISONED_SOURCES.values():
        nb = poisoned(source, outputs)
        nb.cells[2].execution_count = None  # malformed notebooks are refused by nbconvert
        del nb.metadata["widgets"]
        page, _ = formgrader.settings["nbgrader_exporter"].from_notebook_node(nb, resources=dict(SHOWN))
        part = notebook_part(page)
        for own in part.select("textarea, input, button"):
            own.decompose()
        assert_inert(part)
        assert "formgrade.js" in page
        loaded = BeautifulSoup(page, "html.parser").find_all(["script", "link", "img"])
        addresses = [one.get("src") or one.get("href") or "" for one in loaded]
        assert not any("//" in address for address in addresses if not address.startswith("data:"))


NAMED = '<img src=x onerror=alert(1)>";alert(1);"'


def test_formgrader_shows_a_student_s_name_and_does_not_run_it(formgrader):
    templates = formgrader.settings["nbgrader_jinja2_env"]
    names = {"student_id": NAMED, "assignment_id": NAMED, "notebook_id": NAMED, "base_url": ""}
    pages = ("manage_students_assignments", "manage_students_notebook_submissions")
    made = [templates.get_template(f"{page}.tpl").render(**names) for page in pages]
    resources = SHOWN | {"student": NAMED, "notebook_path": NAMED, "last_name": None, "first_name": None}
    exporter = formgrader.settings["nbgrader_exporter"]
    made.append(exporter.from_notebook_node(new_notebook(), resources=resources)[0])
    for page in map(BeautifulSoup, made, ["html.parser"] * 3):
        assert NAMED in page.get_text() and not page.find("img")
        assert not any(NAMED[-10:] in script.get_text() for script in page("script"))


@pytest.mark.slow
def test_the_page_is_the_one_that_nbgrader_makes_from_its_gradebook(formgrader, tmp_path):
    nb, scores, comments = solved()
    nb.cells.append(new_markdown_cell(EVIL))
    folder = tmp_path / "autograded" / "ada" / "02-theory"
    folder.mkdir(parents=True)
    nbformat.write(nb, folder / "theory.ipynb")
    with Gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}") as gradebook:
        gradebook.add_assignment("02-theory", duedate="2030-01-01")
        gradebook.add_notebook("theory", "02-theory")
        gradebook.add_student("ada")
        for name, (_, points) in scores.items():
            gradebook.add_grade_cell(name, "theory", "02-theory", max_score=points, cell_type="code")
        for name in comments:
            gradebook.add_solution_cell(name, "theory", "02-theory")
        gradebook.add_submission("02-theory", "ada")
        entry = gradebook.find_submission_notebook("theory", "02-theory", "ada")
        for grade in entry.grades:
            grade.manual_score = scores[grade.name][0]
        for comment in entry.comments:
            comment.manual_comment = comments[comment.name]
        entry.late_submission_penalty = 1.5
        gradebook.db.commit()
    formgrader.coursedir.assignment_id = "02-theory"
    config = formgrader.config.copy()
    del config.HTMLExporter["template_name"]  # formgrader's
    GenerateFeedback(coursedir=formgrader.coursedir, config=config).start()
    theirs = (tmp_path / "feedback" / "ada" / "02-theory" / "theory.html").read_text("utf-8")
    ours = pages.page(nb, scores, comments, title="theory", late_penalty=1.5)
    shown = [BeautifulSoup(page, "html.parser").get_text() for page in (theirs, ours)]
    assert "Late submission penalty (Score: -1.5)" in shown[0]
    assert shown[0] == shown[1]
    assert_inert(notebook_part(theirs))

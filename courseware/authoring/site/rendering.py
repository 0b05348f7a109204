"""An executed notebook as the body of a web page.

nbconvert renders it through a small template. Figures come out as files, headings get anchors, and a saved
latent explorer or animation becomes a page of its own. Instructors see answers folded away; students none.
"""

import base64
import copy
import functools
import html
import re
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bs4 import BeautifulSoup, Tag
from jinja2 import pass_context
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor
from nbformat import NotebookNode
from nbgrader.utils import is_grade, is_solution

from courseware import markup
from courseware.authoring.runner import Executed

TEMPLATES = Path(__file__).parent / "templates"
DOORS = {  # from a lesson to what it has saved, by the kind of that
    "explorer": '<p class="door"><a href="{file}">Open the explorer</a> {title}, to be moved over.</p>',
    "animation": '<p class="door"><a href="{file}">Play the animation</a> {title}, epoch by epoch.</p>',
}
PARTS = {  # of a scene, by where its page has them
    "title": "h1",
    "lead": ".lead",
    "colophon": ".colophon",
    "css": "style",
    "data": "#data",
    "js": 'script[type="module"]',
}
EXERCISE = re.compile(r"^### (Exercise .+)$", re.MULTILINE)
TWIN = re.compile(r"--dark:url\([^)]*\)")  # of a picture, in its HTML
HEADING = re.compile(r'<h([1-6]) id="([^"]+)">(.*?)</h\1>', re.DOTALL)
FORMULA = re.compile(r"<math\b.*?<annotation[^>]*>(.*?)</annotation>.*?</math>", re.DOTALL)
UNSEEN = re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL)
WITHIN_WORDS = re.compile(r"</?(?:a|b|code|em|mark|small|span|strong|sub|sup)\b[^>]*>")
LATEX = re.compile(r"\\(?:mathcal|mathrm|mathbb|mathbf|text|left|right|quad|[,;! ])|[\\{}&]")


@dataclass(frozen=True)
class LessonImage:
    """A picture of a lesson: the cell that drew it, its file, what it shows, its size in pixels."""

    cell: str
    file: str
    alt: str
    width: int
    height: int
    content: bytes
    dark: str  # the style with its twin for dark pages, '' where it has none


class Scene(NamedTuple):
    """An explorer or animation that a cell has left in a notebook: PARTS of it, for a page around them."""

    kind: str  # of DOORS
    file: str
    parts: dict[str, str]


class Passage(NamedTuple):
    """A heading with its anchor, and the words below it up to the next heading."""

    level: int
    anchor: str
    heading: str
    text: str


class Body(NamedTuple):
    html: str
    figures: list[LessonImage]
    scenes: list[Scene]


def for_instructors(executed: Executed) -> NotebookNode:
    """The notebook, each answer with the name under which it is folded."""
    notebook = copy.deepcopy(executed.notebook)
    exercise = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := EXERCISE.search(cell.source)):
            exercise = found[1]
        if is_solution(cell):
            kind = "Solution" if cell.cell_type == "code" else "Model answer and mark scheme"
            cell.metadata["fold"] = f"{kind}: {exercise}" if exercise else kind
    return notebook


def for_students(executed: Executed, released: NotebookNode) -> NotebookNode:
    """The student notebook with the outputs of the cells that it has in common with the run.

    Made of it and not of the run, so that no answer can be left over. Figures and numbers of demonstrations
    stay, for students see what to expect; reports of graded cells go, and with them what the cell above
    shows, for that is what a prediction is held against.
    """
    run = {cell.id: cell for cell in executed.notebook.cells if cell.cell_type == "code"}
    notebook = copy.deepcopy(released)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, below in zip(code, [*code[1:], NotebookNode(metadata={})], strict=True):
        twin = run.get(cell.id, cell)
        hidden = is_solution(cell) or is_grade(cell) or is_grade(below)
        cell.outputs = [] if hidden or twin.source != cell.source else copy.deepcopy(twin.outputs)
    return notebook


def render(notebook: NotebookNode, stem: str, numbers: Counter[str]) -> Body:
    """The body of the page `stem`.html; a cell whose metadata has a `fold` is folded away under that name.

    Code that JupyterLab hides and that shows nothing is left out: it looks whether the course is there.
    `numbers` count the scenes of each kind, on all pages. `notebook` does not stay as it is.
    """
    notebook.cells = [
        cell
        for cell in notebook.cells
        if cell.get("outputs") or not cell.metadata.get("jupyter", {}).get("source_hidden")
    ]
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
    figures: list[LessonImage] = []
    scenes: list[Scene] = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                content = base64.b64decode(data["image/png"])
                width, height = struct.unpack(">II", content[16:24])  # where every PNG has them
                alt = output.metadata.get("image/png", {}).get("alt") or markup.UNDESCRIBED
                file = f"figures/{stem}-{len(figures) + 1}.png"
                dark = TWIN.search(data.pop("text/html", ""))
                figures.append(
                    LessonImage(cell.id, file, alt, width, height, content, dark[0] if dark else "")
                )
                output.metadata["figure"] = figures[-1]
            for kind, door in DOORS.items():
                if f'class="{kind}-saved"' in data.get("text/html", ""):
                    numbers[kind] += 1
                    scenes.append(_scene(kind, f"{kind}-{numbers[kind]}.html", data["text/html"]))
                    data["text/html"] = door.format(file=scenes[-1].file, **scenes[-1].parts)
    body, _ = _exporter().from_notebook_node(notebook, resources={"anchors": Counter()})
    return Body(body, figures, scenes)


def passages(body: str) -> list[Passage]:
    """What stands in the HTML of a page, heading by heading."""
    parts = HEADING.split(FORMULA.sub(_spoken, UNSEEN.sub("", body)))[1:]
    return [
        Passage(int(level), anchor, words(heading), words(text))
        for level, anchor, heading, text in zip(*(parts[i::4] for i in range(4)), strict=True)
    ]


def words(fragment: str) -> str:
    """HTML without its tags, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", WITHIN_WORDS.sub("", fragment))).split())


def _spoken(formula: re.Match[str]) -> str:
    """A formula's LaTeX, as one would type it into a search field."""
    latex = html.unescape(formula[1]).replace(r"\mid", "|")
    return f" {html.escape(LATEX.sub(' ', latex))} "


def _scene(kind: str, file: str, saved: str) -> Scene:
    """The parts of the page that stands in the frame of a saved output."""
    frame = BeautifulSoup(saved, "html.parser").find("iframe", class_=f"{kind}-saved")
    assert isinstance(frame, Tag)
    page = BeautifulSoup(str(frame["srcdoc"]), "html.parser")
    found = {part: page.select_one(selector) for part, selector in PARTS.items()}
    parts = {part: tag.decode_contents() if tag else "" for part, tag in found.items()}
    parts["css"] = parts["css"].partition("\nbody {")[0]  # what comes then dresses the page around it
    return Scene(kind, file, parts)


@pass_context
def _markdown(context: Any, source: str) -> str:
    """Markdown as HTML whose headings have anchors, of plain words, and whose tables scroll by themselves."""
    tree = markup.markdown(source)
    for heading in tree.find_all(re.compile("^h[1-6]$")):
        anchor = re.sub(r"[^a-z0-9]+", "-", words(FORMULA.sub(_spoken, str(heading))).lower()).strip("-")
        given = context["resources"]["anchors"]  # on this page
        given[anchor] += 1
        heading["id"] = anchor if given[anchor] == 1 else f"{anchor}-{given[anchor]}"
    for table in tree.find_all("table"):
        table.wrap(tree.new_tag("div", attrs={"class": "scroll"}))
    for empty in tree.find_all(lambda tag: tag.name == "th" and not tag.get_text()):
        empty.name = "td"  # an empty heading tells a screen reader nothing
    return str(tree)


@functools.cache
def _exporter() -> markup.Exporter:
    """One for all lessons: its templates are compiled once."""
    without_prompts = {"exclude_input_prompt": True, "exclude_output_prompt": True}
    own: Any = {"extra_template_basedirs": [str(TEMPLATES)], "filters": {"markdown2html": _markdown}}
    return markup.Exporter(template_name="lesson", **without_prompts, **own)

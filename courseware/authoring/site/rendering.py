"""An executed notebook as the body of a web page.

nbconvert renders it through a small template; ziamath typesets the formulas while the page is made, as
drawings that carry their LaTeX as alternative text. Figures come out as files, headings get anchors, and a
saved latent explorer or animation becomes a page of its own, to which the lesson links.
"""

from __future__ import annotations

import base64
import copy
import functools
import html
import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ziamath
from bs4 import BeautifulSoup, Tag
from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor
from nbformat import NotebookNode

TEMPLATES = Path(__file__).parent / "templates"
FORMULA_SIZE = 17.5  # px, beside body text of 17 px
DOORS = {  # from a lesson to what it has saved, by the kind of that
    "explorer": '<p class="door"><a href="{file}">Open the explorer</a> {title}, to be moved over.</p>',
    "animation": '<p class="door"><a href="{file}">Play the animation</a> {title}, epoch by epoch.</p>',
}
HEADING = re.compile(r'<h([1-6]) id="([^"]+)">(.*?)</h\1>', re.DOTALL)
FORMULA = re.compile(
    r'<span class="(?:inline-)?formula" role="img" aria-label="([^"]*)".*?</svg></span>', re.DOTALL
)
GLYPH = re.compile(r'<symbol id="([^"]+)"[^>]*?(?:/>|>.*?</symbol>)', re.DOTALL)
UNSEEN = re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL)
WITHIN_WORDS = re.compile(r"</?(?:a|b|code|em|mark|small|span|strong|sub|sup)\b[^>]*>")
LATEX = re.compile(r"\\(?:mathcal|mathrm|mathbb|mathbf|text|left|right|quad|[,;! ])|[\\{}&]")


@dataclass(frozen=True)
class Figure:
    """A picture of a lesson: the cell that drew it, its file, what it shows, its size in pixels."""

    cell: str
    file: str
    alt: str
    width: int
    height: int
    content: bytes


@dataclass(frozen=True)
class Scene:
    """An explorer or animation that a cell has left in a notebook: its parts, for a page around them."""

    kind: str  # of DOORS
    file: str
    title: str
    lead: str
    colophon: str
    css: str
    data: str
    js: str


@dataclass(frozen=True)
class Passage:
    """A heading with its anchor, and the words below it up to the next heading."""

    level: int
    anchor: str
    heading: str
    text: str


@dataclass(frozen=True)
class Body:
    """A rendered lesson."""

    html: str
    figures: list[Figure]
    scenes: list[Scene]


def render(notebook: NotebookNode, stem: str, before: Mapping[str, int] | None = None) -> Body:
    """The body of the page `stem`.html; a cell whose metadata has a `fold` is folded away under that name.

    Code that JupyterLab hides and that shows nothing is left out: it looks whether the course is there.
    The pages of scenes are numbered by kind, from one more than `before` says.
    """
    notebook = copy.deepcopy(notebook)
    notebook.cells = [cell for cell in notebook.cells if not _is_behind_the_scenes(cell)]
    notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
    figures: list[Figure] = []
    scenes: list[Scene] = []
    numbers = Counter(before or {})
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                figure = _figure(cell.id, output, f"figures/{stem}-{len(figures) + 1}.png")
                output.metadata["figure"] = figure
                figures.append(figure)
            for kind, door in DOORS.items():
                if f'class="{kind}-saved"' in data.get("text/html", ""):
                    numbers[kind] += 1
                    scenes.append(_scene(kind, f"{kind}-{numbers[kind]}.html", data["text/html"]))
                    data["text/html"] = door.format(file=scenes[-1].file, title=scenes[-1].title)
    body, _ = _exporter().from_notebook_node(notebook)
    return Body(_glyphs_once(body), figures, scenes)


def _is_behind_the_scenes(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("jupyter", {}).get("source_hidden")) and not cell.get("outputs")


def passages(body: str) -> list[Passage]:
    """What stands in the HTML of a page, heading by heading."""
    readable = FORMULA.sub(lambda found: f" {_spoken(found[1])} ", UNSEEN.sub("", body))
    parts = HEADING.split(readable)[1:]
    return [
        Passage(int(level), anchor, words(heading), words(text))
        for level, anchor, heading, text in zip(*(parts[i::4] for i in range(4)), strict=True)
    ]


def words(fragment: str) -> str:
    """HTML without its tags, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", WITHIN_WORDS.sub("", fragment))).split())


def _spoken(latex: str) -> str:
    """LaTeX as one would type it into a search field."""
    return LATEX.sub(" ", latex.replace(r"\mid", "|"))


# --- the parts of a notebook ----------------------------------------------------------------------------


def _figure(cell: str, output: NotebookNode, file: str) -> Figure:
    content = base64.b64decode(output.data["image/png"])
    width, height = struct.unpack(">II", content[16:24])  # where every PNG has them
    # Without a description nbconvert's sentence stands there, which a test looks for.
    missing = "No description has been provided for this image"
    alt = output.metadata.get("image/png", {}).get("alt") or missing
    return Figure(cell, file, alt, width, height, content)


def _scene(kind: str, file: str, saved: str) -> Scene:
    """The parts of the page that stands in the frame of a saved output."""
    frame = BeautifulSoup(saved, "html.parser").find("iframe", class_=f"{kind}-saved")
    assert isinstance(frame, Tag)
    page = BeautifulSoup(str(frame["srcdoc"]), "html.parser")

    def inside(selector: str) -> str:
        found = page.select_one(selector)
        return found.decode_contents() if found else ""

    return Scene(
        kind=kind,
        file=file,
        title=inside("h1"),
        lead=inside(".lead"),
        colophon=inside(".colophon"),
        css=inside("style").partition("\nbody {")[0],  # what comes then dresses the page around it
        data=inside("#data"),
        js=inside('script[type="module"]'),
    )


def _glyphs_once(body: str) -> str:
    """The page with each glyph drawn once, in front, instead of in every formula: half as long."""
    glyphs = {found[1]: found[0] for found in GLYPH.finditer(body)}
    if not glyphs:
        return body
    drawn = "".join(glyphs.values())
    return f'<svg class="glyphs" aria-hidden="true" width="0" height="0">{drawn}</svg>{GLYPH.sub("", body)}'


# --- Markdown -------------------------------------------------------------------------------------------


@functools.cache
def _drawn(latex: str, inline: bool) -> str:
    size = FORMULA_SIZE if inline else FORMULA_SIZE * 1.1
    formula = ziamath.Latex(latex, size=size, inline=inline, color="currentColor")
    kind, style = "formula", ""
    if inline:
        kind, style = "inline-formula", f' style="vertical-align:{formula.getyofst():.1f}px"'
    return f'<span class="{kind}" role="img" aria-label="{html.escape(latex)}"{style}>{formula.svg()}</span>'


class _Renderer(IPythonRenderer):
    """nbconvert's Markdown with formulas drawn instead of left to a script, and anchors of plain words."""

    def __init__(self, anchors: dict[str, int]) -> None:
        super().__init__(escape=False, exclude_anchor_links=True)
        self.anchors = anchors  # how often each has been given on this page

    def inline_math(self, body: str) -> str:
        return _drawn(body.strip(), True)

    def block_math(self, body: str) -> str:
        return _drawn(body.strip(), False)

    def heading(self, text: str, level: int, **_: Any) -> str:
        anchor = re.sub(r"[^a-z0-9]+", "-", words(FORMULA.sub(r"\1", text)).lower()).strip("-")
        self.anchors[anchor] = self.anchors.get(anchor, 0) + 1
        if self.anchors[anchor] > 1:
            anchor = f"{anchor}-{self.anchors[anchor]}"
        return f'<h{level} id="{anchor}">{text}</h{level}>\n'

    def table(self, text: str) -> str:
        filled = text.replace("<th></th>", "<td></td>")  # an empty heading tells a screen reader nothing
        return f'<div class="scroll"><table>{filled}</table></div>\n'


class _LessonExporter(HTMLExporter):
    """The bodies of lessons' pages.

    HTMLExporter parses each page anew, to add alternative texts and tab stops that are here already; that
    took half of the time, so it is left out.
    """

    def __init__(self) -> None:
        super().__init__(
            template_name="lesson",
            extra_template_basedirs=[str(TEMPLATES)],
            exclude_input_prompt=True,
            exclude_output_prompt=True,
        )
        self.register_filter("highlight_code", Highlight2HTML(pygments_lexer="ipython3", parent=self))

    def from_notebook_node(self, nb: NotebookNode, resources: Any = None, **kw: Any) -> Any:
        self._anchors: dict[str, int] = {}
        return super(HTMLExporter, self).from_notebook_node(nb, resources, **kw)

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        return MarkdownWithMath(renderer=_Renderer(self._anchors)).render(source)


@functools.cache
def _exporter() -> _LessonExporter:
    """One for all lessons: its templates are compiled once."""
    return _LessonExporter()

"""Markdown, formulas and code as HTML, the same on the site, on feedback pages and in formgrader.

Formulas are MathML, which browsers draw themselves; latex2mathml makes it, and `mathml` puts right what that
reads otherwise than TeX. templates/base/math.css goes with it.
"""

import functools
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from bs4 import BeautifulSoup
from latex2mathml.converter import convert_to_element
from nbconvert import HTMLExporter, TemplateExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import InvalidNotebook, IPythonRenderer, MarkdownWithMath
from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter
from nbformat import NotebookNode
from traitlets import Bool

TEMPLATES = Path(__file__).parent / "templates"
MOST_LATEX = 2_000  # characters of a formula
REMEMBERED = 512  # cells and formulas, once rendered: most stand in every student's notebook ...
MOST_REMEMBERED = 6_000  # ... and are no longer than this: what students write must not fill the memory
UNDESCRIBED = "A picture without a description."

ROMAN = re.compile(r"\\mathrm\{((?:[A-Za-z]|\\ )+)\}")  # whose letters would come out one by one
SIGNS = {"~": "∼", "‖": "‖", "′": "′"}  # that latex2mathml takes for names
SUMS, BAR = ("&#x02211;", "&#x0220F;"), "&#x02015;"  # as latex2mathml writes ∑, ∏ and a line above
SCRIPTED = {"msub", "msup", "msubsup", "munder", "mover", "munderover"}
THIN = "0.167em"  # between a name like log and what stands beside it
OPENING, CLOSING = "([{", ")]}|‖′"


def remembering(render: Callable[..., str]) -> Callable[..., str]:
    """The same function of a text, which remembers what became of short ones."""
    remembered = functools.lru_cache(REMEMBERED)(render)

    @functools.wraps(render)
    def rendered(source: Any, *rest: Any) -> str:
        text = str(source)
        return (remembered if len(text) <= MOST_REMEMBERED else render)(text, *rest)

    return rendered


@remembering
def mathml(latex: str, block: bool = False) -> str:
    """A formula as MathML, annotated with its LaTeX, or as the text that it is where it cannot be read."""
    source = f"$${latex}$$" if block else f"${latex}$"
    if len(latex) > MOST_LATEX:
        return html.escape(source)
    try:
        read = ROMAN.sub(lambda found: rf"\text{{{found[1].replace(chr(92), '')}}}", latex.strip())
        read = re.sub(r"(\\(?:begin|end)){aligned}", r"\1{split}", read)
        root = convert_to_element(read, display="block" if block else "inline")
        for element in list(root.iter()):
            _mend(element)
        for row in root.iter("mrow"):
            _space(row)
        semantics = Element("semantics")
        semantics.extend(root)
        SubElement(semantics, "annotation", encoding="application/x-tex").text = latex.strip()
        root[:] = [semantics]
        return ElementTree.tostring(root, encoding="unicode")
    except Exception:  # LaTeX of a student's
        return html.escape(source)


def _mend(element: Element) -> None:
    """Leave nothing in it that a student could misuse, and make it the element that TeX would mean."""
    # latex2mathml leaves its text unescaped, and LaTeX can set links, styles and classes.
    element.text = html.unescape(element.text or "")
    for name in ("href", "style", "class", "id"):
        element.attrib.pop(name, None)
    if element.tag in ("mi", "mo") and element.text in SIGNS:
        element.tag, element.text = "mo", SIGNS[element.text]
        element.set("stretchy", "false")
    elif element.text in ("|", "/"):
        element.attrib.update(lspace="0", rspace="0")
    elif _is_name(element):  # log p, with the space that browsers leave out after an identifier
        element.tag = "mo"
        element.attrib.update(lspace=THIN, rspace=THIN)
    elif element.get("width") == "negativethinmathspace":
        element.set("width", f"-{THIN}")
    elif element.tag == "msubsup" and element[0].text in SUMS:
        element.tag = "munderover"  # the limits of a sum within a group
    elif element.tag == "mover" and element[1].text == BAR:
        element.remove(element[1])
        element.tag = "mrow"
        element.set("class", "overlined")  # math.css draws the line: fonts have none of every length
    if element.tag in SCRIPTED:
        for sign in (sign for script in element[1:] for sign in script.iter("mo")):
            sign.attrib.update(lspace="0", rspace="0")


def _is_name(element: Element) -> bool:
    text = element.text or ""
    return element.tag in ("mi", "mo") and len(text) > 1 and text.isascii() and text.isalpha()


def _space(row: Element) -> None:
    """No space between a name and a bracket, none after the sign of a single term."""
    for before, element, after in zip([None, *row], row, [*row[1:], None], strict=False):
        first = before is None or (before.tag == "mo" and (before.text or "") in OPENING)
        if element.tag == "mo" and element.text in ("+", "−"):
            if first or (before is not None and before.tag == "mo" and before.text not in CLOSING):
                element.set("form", "prefix")
        elif _is_name(element):
            if first:
                element.set("lspace", "0")
            if after is not None and after.text in ("(", "["):
                element.set("rspace", "0")


class _Renderer(IPythonRenderer):
    """nbconvert's Markdown with formulas marked, for they are drawn after cleaning."""

    def inline_math(self, body: str) -> str:
        return f'<span class="formula">{html.escape(body)}</span>'

    def block_math(self, body: str) -> str:
        return f'<span class="formula block">{html.escape(body)}</span>'

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """A picture; of one that is not in the notebook, a word that it is missing."""
        if url.startswith("attachment:"):
            url = unquote(url)  # as names in the notebook are not
        try:
            return super().image(text, url, title)
        except InvalidNotebook as problem:
            return f"<em>[{html.escape(str(problem))}]</em>"

    def latex_environment(self, name: str, body: str) -> str:
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")


def markdown(
    source: str, attachments: dict[str, Any] | None = None, clean: Callable[[str], str] = str
) -> BeautifulSoup:
    """Markdown as a tree of HTML that `clean` has seen before formulas were drawn in it."""

    def attached(found: re.Match[str]) -> str:
        bundle = (attachments or {}).get(unquote(found[1]), {})
        return next((f"data:{mime};base64,{content}" for mime, content in bundle.items()), found[0])

    renderer = _Renderer(escape=False, exclude_anchor_links=True, attachments=attachments)
    made = MarkdownWithMath(renderer=renderer).render(source)
    made = re.sub(r"""(?<=src=["'])attachment:([^"']+)""", attached, made)  # in tags
    # In the parsed tree, not in the text: a formula may stand in an attribute, where a tag would end it.
    tree = BeautifulSoup(clean(made), "html.parser")
    for mark in tree.select("span.formula"):
        mark.replace_with(BeautifulSoup(mathml(mark.get_text(), "block" in mark["class"]), "html.parser"))
    for picture in tree.select("img:not([alt])"):
        picture["alt"] = UNDESCRIBED
    return tree


_highlighted = remembering(Highlight2HTML(pygments_lexer="python"))


class Exporter(HTMLExporter):
    """nbconvert's, but that pages are not parsed once more, in half of the time, to describe pictures, and
    that a notebook is looked at once, not after each preprocessor, for whether it is well-formed."""

    optimistic_validation = Bool(True)

    def from_notebook_node(  # type: ignore[override]
        self, nb: NotebookNode, resources: Any = None, **kw: Any
    ) -> tuple[str, dict[str, Any]]:
        resources = self._init_resources(resources)
        self.register_filter("highlight_code", lambda source, **_: _highlighted(source))
        self.register_filter("filter_data_type", WidgetsDataTypeFilter({}, parent=self))
        return TemplateExporter.from_notebook_node(self, nb, resources, **kw)

"""What readers see of a graded notebook, made harmless: a student's code is untrusted, and so is its output.

EXPORTER sets up nbconvert for the feedback page, `nbgrader generate_feedback` and formgrader
(nbgrader_config.py): HTML passes bleach with the short lists below, and nothing is loaded from the network.
"""

import copy
import functools
import hashlib
import html
import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import bleach
import jinja2
import nbformat
import nbgrader
from bleach.css_sanitizer import CSSSanitizer
from bleach.sanitizer import ALLOWED_TAGS
from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from nbgrader.utils import is_grade, is_solution
from traitlets.config import Config

from course_utils.checks import judges
from courseware import markup
from courseware.grading.reasons import Fault
from courseware.grading.submission.pictures import picture
from courseware.grading.submission.repair import asked
from courseware.markup import UNDESCRIBED, remembering

MOST_OUTPUTS = 100  # of a cell
MOST_CHARACTERS = 20_000  # of an output
MOST_CHARACTERS_OF_CELL = 100_000
MOST_ALT = 1_000  # characters of its description
MOST_MARKDOWN = 50_000  # characters of a cell; the longest of the course has 5,000
MERMAID = re.compile("mermaid", re.IGNORECASE)
MOST_SIGNS = 1_000  # that open something; a cell of the course has up to 90, and nesting costs their square

Scores = dict[str, tuple[float | None, float]]  # points got and to be had, by nbgrader's name of the cell
OURS = Path(__file__).parent / "templates"  # they come first, and replace the macro that would load MathJax
FORMGRADER = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader"
BOOTSTRAP = [  # Bootstrap's, in nbgrader from 0.9.6 on and before
    str(FORMGRADER / "static" / place)
    for place in ("node_modules/bootstrap/dist/css", "components/bootstrap/css")
]
EXPORTER: dict[str, Any] = {
    "sanitize_html": True,
    "preprocessors": [f"{__name__}.Inert"],
    # nbgrader's templates leave Markdown as it is even so, hence a filter that does not.
    "filters": {"markdown2html": f"{__name__}.markdown", "clean_html": f"{__name__}.clean_html"},
    "extra_template_basedirs": [str(folder) for folder in (OURS, markup.TEMPLATES, FORMGRADER / "templates")],
}


def clean_outputs(cell: NotebookNode, texts: tuple[str, ...] = ("text/plain",)) -> None:
    """Keep errors, PNG pictures and these kinds of text of a cell's outputs, within bounds. Never raises."""
    outputs = cell.get("outputs")
    kept: list[NotebookNode] = []
    room = MOST_CHARACTERS_OF_CELL
    for output in outputs if isinstance(outputs, list) else []:
        if len(kept) == MOST_OUTPUTS - 1 or room < MOST_CHARACTERS // 100:  # leaving room for the note
            kept.append(_displayed({"text/plain": "[further output left out]"}))
            break
        try:
            clean, used = _clean(output, min(room, MOST_CHARACTERS), texts)
        except (KeyError, TypeError, ValueError):  # no output that a kernel would make
            continue
        kept.append(clean)
        room -= used
    cell["outputs"] = kept


def _clean(output: Any, most: int, texts: tuple[str, ...]) -> tuple[NotebookNode, int]:
    """An output and its characters. Raises KeyError, TypeError or ValueError where it is malformed."""
    kind = output["output_type"]
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        text = _text(output["text"], most)
        return NotebookNode(output_type=kind, name=name, text=text), len(text)
    if kind == "error":
        name, value = _text(output["ename"], most // 10), _text(output["evalue"], most // 4)
        trace = _text("\n".join(output["traceback"]), most // 2)
        error = NotebookNode(output_type=kind, ename=name, evalue=value, traceback=trace.split("\n"))
        return error, len(name) + len(value) + len(trace)
    if kind not in ("display_data", "execute_result") or not isinstance(output["data"], dict):
        raise ValueError("not an output")
    data = output["data"]
    shown = {mime: _text(data[mime], most // len(texts)) for mime in texts if mime in data}
    used = sum(map(len, shown.values()))
    if png := picture(data.get("image/png"), "PNG"):
        shown["image/png"] = png
    if not shown:
        left_out = sorted(str(mime)[:40] for mime in data)
        shown = {"text/plain": f"[left out: {', '.join(left_out[:5])}]"}
    clean = _displayed(shown)
    if kind == "execute_result":
        count = output.get("execution_count")
        clean.update(output_type=kind, execution_count=count if type(count) is int else None)
    return clean, used


def _displayed(data: dict[str, str]) -> NotebookNode:
    return nbformat.from_dict({"output_type": "display_data", "data": data, "metadata": {}})


def _text(value: Any, most: int) -> str:
    """The text, cut to `most` characters. Raises TypeError where it is none."""
    text = value if isinstance(value, str) else "".join(value)
    text = text.encode("utf-8", "replace").decode()  # half a surrogate pair could not be written to a file
    note = f"\n[cut: {len(text):,} characters]"
    return text if len(text) <= most else text[: max(0, most - len(note))] + note


def loading_nothing(source: str) -> str:
    """Markdown for which JupyterLab asks no other machine: pictures from elsewhere become links; tags with
    attributes, and diagrams, which can hold pictures, become text."""
    source = re.sub(r"(`{3}|~{3}).*", lambda fence: MERMAID.sub("text", fence[0]), source)
    # Of a description in which something may hide its end the address is not known.
    source = re.sub(r"!(?=\[)(?!\[[^][\\`<$\n]*\]\((attachment:|data:image/))", "", source)
    *tags, rest = source.split(">")  # of each what stands before its end: long texts are read once
    return ">".join([*map(_without_attributes, tags), rest])


def _without_attributes(tag: str) -> str:
    before, equals, value = tag.rpartition("=")
    return re.sub("<(?=[a-zA-Z])", "&lt;", before) + equals + value


TAGS = ALLOWED_TAGS | {
    "br", "dd", "del", "details", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img", "kbd",
    "p", "pre", "s", "span", "sub", "summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "u",
}  # fmt: skip
STYLES = ["color", "font-style", "font-weight", "list-style", "padding-left", "text-align"]
PROTOCOLS = ["http", "https", "mailto", "data"]
VALUES = {
    "href": r"(https?://|mailto:|#).*",
    "src": r"data:image/(png|jpeg|gif);base64,[A-Za-z0-9+/=]*",  # nothing that would be fetched
    "style": r"[\w\s:;.%#-]*",  # no url(), and no escapes that could spell it
    "class": r"formula|formula block|highlight|[a-z][a-z0-9]{0,2}",  # ours, and Pygments' for code
    "title|alt": r".*",
    "start|width|height|colspan|rowspan": r"\d{1,4}",
    "open": r"(open)?",
}


def _allowed(tag: str, name: str, value: str) -> bool:
    return any(
        re.fullmatch(names, name) and re.fullmatch(values, value, re.IGNORECASE | re.DOTALL)
        for names, values in VALUES.items()
    )


@remembering
def clean_html(source: str) -> str:
    """HTML in which nothing runs and nothing is loaded; forbidden tags are shown as text."""
    styles = CSSSanitizer(allowed_css_properties=STYLES)
    return bleach.clean(source, TAGS, _allowed, PROTOCOLS, css_sanitizer=styles)


@pass_context
def markdown(context: Any, source: str) -> str:
    """Markdown of anybody's as clean HTML. Never raises: what cannot be rendered is shown as it stands."""
    try:
        attachments = dict(context.get("cell", {}).get("attachments", {}))
        if sum(map(str(source).count, "<>&$[")) > MOST_SIGNS:
            raise ValueError("more than anybody writes")
        return _rendered(source, attachments) if attachments else _rendered_alone(source)
    except Exception:  # a forged attachment, nesting without end
        return f"<pre>{html.escape(str(source)[:MOST_MARKDOWN])}</pre>"


def _rendered(source: str, attachments: dict[str, Any]) -> str:
    return str(markup.markdown(source[:MOST_MARKDOWN], attachments, clean_html))


_rendered_alone = remembering(functools.partial(_rendered, attachments={}))


NAMES = {"student", "last_name", "first_name", "notebook_path"}  # that formgrader's heading shows


def escape_names() -> None:
    """See to it that formgrader's other pages, which it makes later, show names instead of running them."""
    formgrader: Any = sys.modules.get("nbgrader.server_extensions.formgrader.formgrader")
    if formgrader:
        formgrader.Environment = functools.partial(jinja2.Environment, autoescape=True)


class Inert(Preprocessor):
    """Leave of a notebook what a page shows; templates write the rest of it into HTML as it stands."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        nb.metadata = NotebookNode(language_info=NotebookNode(name="python"))
        for name in NAMES & resources.keys():
            resources[name] = html.escape(str(resources[name] or ""))
        for cell in nb.cells:
            mark = cell.metadata.get("nbgrader")
            cell.metadata = NotebookNode()
            if isinstance(mark, dict) and re.fullmatch(r"[\w-]+", str(mark.get("grade_id", ""))):
                cell.metadata.nbgrader = mark
            if cell.cell_type == "code":
                if type(cell.get("execution_count")) is not int:
                    cell.execution_count = None
                # Only a graded cell that is not the student's own answer holds a report.
                graded = is_grade(cell) and not is_solution(cell)
                clean_outputs(cell, ("text/html", "text/plain") if graded else ("text/plain",))
                for output in (one for one in cell.outputs if "image/png" in one.get("data", {})):
                    # This course's figures describe themselves by the text that stands beside them.
                    said = output.data.get("text/plain", "").strip()[:MOST_ALT] or UNDESCRIBED
                    output.metadata["image/png"] = NotebookNode(alt=said)
        return nb, resources


@functools.cache
def _exporter() -> HTMLExporter:
    """nbconvert as nbgrader sets it up for feedback."""
    settings = EXPORTER | {"template_name": "feedback", "extra_template_paths": BOOTSTRAP}
    return markup.Exporter(config=Config({"HTMLExporter": settings}))


def page(
    nb: NotebookNode, scores: Scores, comments: dict[str, str], *, title: str, late_penalty: float = 0.0
) -> str:
    """The feedback page of a graded notebook, with what grading met; its total is of all `scores`."""
    faults = [Fault.of(plain) for plain in nb.metadata.get("course", {}).get("faults", [])]
    checks = {cell.metadata.nbgrader.grade_id: asked(cell.source) for cell in nb.cells if is_grade(cell)}
    nb, _ = Inert().preprocess(copy.deepcopy(nb), {})  # before nbconvert looks whether all is well-formed
    for cell in nb.cells:
        mark = cell.metadata.get("nbgrader", {})
        name = mark.get("grade_id")
        if (mark.get("grade") or mark.get("task")) and name not in scores:
            del cell.metadata["nbgrader"]  # no cell of the assignment
        mark["comment"] = comments.get(name, "")
        mark["score"], mark["points"] = scores.get(name, (None, 0.0))
    totals = {
        "notebook": html.escape(title),
        "score": sum(score or 0.0 for score, _ in scores.values()) - late_penalty,
        "max_score": sum(points for _, points in scores.values()),
        "late_penalty": late_penalty,
    }
    if faults:
        met = "".join(f"\n- {fault.reason.value}: {fault.detail}" for fault in faults)
        nb.cells.insert(0, new_markdown_cell(f"**What grading met in what you handed in**\n{met}"))
    made = _exporter().from_notebook_node(nb, resources={"nbgrader": totals})[0]
    for grade_id, answer in checks.items():
        if answer in judges.EXERCISES:
            name = f"Exercise {judges.EXERCISES[answer].number}, {answer}"
            made = made.replace(f'#{grade_id}">Test cell<', f'#{grade_id}">{name}<', 1)
    return f"{made}{stamp(scores, comments, late_penalty)}"


def stamp(scores: Scores, comments: dict[str, str], late_penalty: float = 0.0) -> str:
    """What a page ends with: the same for all that is told the same points and comments."""
    points = {name: [float(score or 0), float(of)] for name, (score, of) in scores.items()}
    told = json.dumps([points, comments, float(late_penalty)], sort_keys=True)
    return f"<!-- {hashlib.sha256(told.encode()).hexdigest()} -->"


def stamp_of(page: Path) -> str:
    """What a page on disk ends with, '' where there is none."""
    with suppress(OSError), open(page, "rb") as file:
        file.seek(-len(stamp({}, {})), os.SEEK_END)
        return file.read().decode("utf-8", "replace")
    return ""

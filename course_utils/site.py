"""The executed course as web pages that need neither a network nor a script.

nbconvert renders the notebooks through two small templates; ziamath typesets the formulas while the page
is made, as drawings that carry their LaTeX as alternative text.
"""

from __future__ import annotations

import html
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ziamath
from jinja2 import Environment, FileSystemLoader, pass_context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import ExtractOutputPreprocessor
from pygments.formatters import HtmlFormatter

from course_utils import reproduce
from course_utils.grading import measure
from course_utils.grading.measure import Row
from course_utils.runner import Executed
from course_utils.sections import SECTIONS, Lesson
from course_utils.settings import CourseError

TEMPLATES = Path(__file__).parent / "templates"
FORMULA_SIZE = 17.5  # px, beside body text of 17 px


class _Renderer(IPythonRenderer):
    """nbconvert's Markdown with formulas drawn instead of left to a script."""

    def inline_math(self, body: str) -> str:
        formula = ziamath.Latex(body.strip(), size=FORMULA_SIZE, inline=True, color="currentColor")
        return (
            f'<span class="inline-formula" role="img" aria-label="{html.escape(body.strip())}" '
            f'style="vertical-align:{formula.getyofst():.1f}px">{formula.svg()}</span>'
        )

    def block_math(self, body: str) -> str:
        formula = ziamath.Latex(body.strip(), size=FORMULA_SIZE * 1.1, color="currentColor")
        return (
            f'<span class="formula" role="img" aria-label="{html.escape(body.strip())}">'
            f"{formula.svg()}</span>"
        )


class _LessonExporter(HTMLExporter):
    """The body of a lesson's page; figures come out as files beside it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            template_name="lesson",
            extra_template_basedirs=[str(TEMPLATES)],
            **options,
        )

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        renderer = _Renderer(escape=False, exclude_anchor_links=True)
        return MarkdownWithMath(renderer=renderer).render(source)


def page_name(lesson: Lesson) -> str:
    """The file that shows the lesson."""
    return f"{lesson.section.folder}-{lesson.name.replace('_', '-')}.html"


def write(
    executed: list[Executed],
    target: Path,
    summary: str,
    graders: Sequence[Row] = (),
    literature: Sequence[reproduce.Row] = (),
) -> Path:
    """Render executed lessons into `target` and return the path of its index page.

    `graders` are the measured figures of the checks, shown beside the graded cells; `literature` are
    published figures with ours.

    The pages are made beside `target` and replace it when all are there. Raises CourseError where the
    folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".site-", dir=target.parent))
    except OSError as problem:
        raise CourseError(
            f"{target} cannot be written ({problem.strerror}): work in a folder of your own."
        ) from None
    try:
        _write_pages(executed, part, summary, graders, literature)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    target.chmod(0o755)
    return target / "index.html"


def _write_pages(
    executed: list[Executed],
    target: Path,
    summary: str,
    graders: Sequence[Row],
    literature: Sequence[reproduce.Row],
) -> None:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=False)
    frame = environment.get_template("page.html.j2")
    pages = [{"page": page_name(one.lesson), "title": one.lesson.title} for one in executed]

    for index, one in enumerate(executed):
        name = page_name(one.lesson)
        exporter = _LessonExporter()
        exporter.register_preprocessor(
            ExtractOutputPreprocessor(
                output_filename_template=f"figures/{Path(name).stem}-{{cell_index}}-{{index}}{{extension}}"
            ),
            enabled=True,
        )
        body, resources = exporter.from_notebook_node(one.notebook)
        for file, content in resources["outputs"].items():
            path = target / file
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        text = frame.render(
            title=one.lesson.title,
            page=name,
            pages=pages,
            body=body,
            previous=pages[index - 1] if index else None,
            next=pages[index + 1] if index + 1 < len(pages) else None,
            colophon=summary,
        )
        (target / name).write_text(text, encoding="utf-8")

    index_body = environment.get_template("index.html.j2").render(
        sections=_cards(executed, target),
        summary=summary,
        results=[{**row, "section": one.lesson.title} for one in executed for row in one.results],
        reports=[row for one in executed for row in one.reports],
        graders={row.answer: row for row in graders},
        share=measure.share,
        measured=measure.sentence(graders) if graders else "",
        columns=reproduce.COLUMNS,
        literature=[row.cells() for row in literature],
        notes=reproduce.notes(literature),
    )
    index_page = frame.render(
        title="Contents",
        page="index.html",
        pages=pages,
        body=index_body,
        previous=None,
        next=pages[0] if pages else None,
        colophon=summary,
    )
    (target / "index.html").write_text(index_page, encoding="utf-8")
    colours = HtmlFormatter(style="default").get_style_defs(".highlight")
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    (target / "style.css").write_text(f"{colours}\n{style}", encoding="utf-8")


def _cards(executed: list[Executed], target: Path) -> list[dict[str, Any]]:
    """What the index shows of each section: its first figure and its pages."""
    cards = []
    for section in SECTIONS:
        own = [one.lesson for one in executed if one.lesson.section == section]
        if not own:
            continue
        figures = sorted(
            (target / "figures").glob(f"{section.folder}-*.png"),
            key=lambda path: [int(part) if part.isdigit() else 0 for part in path.stem.split("-")[-2:]],
        )
        cards.append(
            {
                "number": section.number,
                "title": section.title,
                "aim": section.aim,
                "page": page_name(own[0]),
                "image": f"figures/{figures[0].name}" if figures else None,
                "more": [
                    {"page": page_name(lesson), "short": lesson.title.partition(" ")[2]}
                    for lesson in (own if len(own) > 1 else [])
                ],
            }
        )
    return cards

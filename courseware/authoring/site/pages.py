"""The executed course as a web site: one folder of files that asks nothing of any other machine.

`rendering` makes the bodies of the lessons, `editions` says what of them is shown; here stand the pages
around them: a home page, the lessons in order, explorers and animations, the numbers, and an index to search
in. Without scripts all of it can be read; site.js adds search, enlarged figures and the choice between light
and dark.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from course_utils.files import writable
from courseware import markup, notebooks
from courseware.authoring import runner
from courseware.authoring.runner import Executed
from courseware.authoring.site import editions, rendering
from courseware.authoring.site.rendering import Body, Scene
from courseware.measuring import graders as measured
from courseware.measuring import literature as published
from courseware.sections import Lesson

TEMPLATES = Path(__file__).parent / "templates" / "site"
SHEETS = ((TEMPLATES, "site.css"), (markup.TEMPLATES, "base/math.css"))
HERO = "exploration-31"  # the cell whose figure opens the home page: the decoded plane
TIME = re.compile(r"\*\*Time\*\*\s+(.+?)[,.]", re.DOTALL)  # in the opening of every lesson


@dataclass(frozen=True)
class Page:
    """One page: its file, its name in navigation and search, and what stands in it."""

    file: str
    title: str
    body: str
    inline_scripts: bool = False
    listed: bool = True  # in the navigation; of scenes only the first explorer is


def page_name(lesson: Lesson) -> str:
    """The file that shows the lesson."""
    return f"{lesson.section.number:02}-{lesson.name.replace('_', '-')}.html"


def write(
    executed: list[Executed],
    target: Path,
    graders: Sequence[measured.Tally] = (),
    literature: Sequence[published.Reproduction] = (),
    *,
    released: Path | None = None,
) -> Path:
    """Render executed lessons into `target` and return the path of its index page.

    `graders` are the measured figures of the checks, `literature` published figures with ours. Of students'
    notebooks, in the folder `released`, it makes the students' edition: no answers, no mark schemes.

    The pages are made beside `target` and replace it when all are there. Raises CourseError where the
    folder cannot be written.
    """
    with writable(target), tempfile.TemporaryDirectory(prefix=".site-", dir=target.parent) as part:
        lessons = _rendered(executed, released)
        summary = runner.summary(executed)
        pages = _pages(executed, lessons, summary, graders, literature, for_students=released is not None)
        made = Path(part) / "site"
        made.mkdir()
        _write_files(made, pages, lessons, summary)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(made, target)
    return target / "index.html"


def _rendered(executed: list[Executed], released: Path | None) -> list[Body]:
    bodies: list[Body] = []
    for one in executed:
        if released:
            notebook = editions.for_students(one, notebooks.read(released / one.lesson.path))
        else:
            notebook = editions.for_instructors(one)
        before = Counter(scene.kind for body in bodies for scene in body.scenes)
        bodies.append(rendering.render(notebook, Path(page_name(one.lesson)).stem, before))
    return bodies


def _pages(
    executed: list[Executed],
    lessons: list[Body],
    summary: str,
    graders: Sequence[measured.Tally],
    literature: Sequence[published.Reproduction],
    for_students: bool,
) -> list[Page]:
    """All pages in the order in which they are read."""
    explorers = [scene for body in lessons for scene in body.scenes if scene.kind == "explorer"]
    figures = [figure for body in lessons for figure in body.figures]
    reports = [row for one in executed for row in one.reports]
    home = _template("home").render(
        sections=_cards(executed, lessons),
        hero=next((figure for figure in figures if figure.cell == HERO), None),
        hero_page=next((page_name(one.lesson) for one in executed if one.lesson.section.number == 4), ""),
        explorer=explorers[0].file if explorers else "",
        summary=summary,
        exercises=len(reports),
        for_students=for_students,
    )
    numbers = _template("numbers").render(
        summary=summary,
        results=[{**row, "section": one.lesson.title} for one in executed for row in one.results],
        reports=reports,
        graders={row.answer: row.cells()[2:5] for row in graders},
        measured=measured.sentence(graders) if graders else "",
        columns=published.COLUMNS,
        literature=[row.cells() for row in literature],
        notes=published.notes(literature),
        for_students=for_students,
    )
    pages = [Page("index.html", "Home", home)]
    for one, body in zip(executed, lessons, strict=True):
        pages.append(Page(page_name(one.lesson), one.lesson.title, body.html))
        animations = [scene for scene in body.scenes if scene.kind == "animation"]
        pages += [_scene_page(scene, pages[-1].file, []) for scene in animations]
    for scene in explorers:
        pages.append(_scene_page(scene, "", explorers))
    return [*pages, Page("numbers.html", "Numbers", numbers)]


def _cards(executed: list[Executed], lessons: list[Body]) -> list[dict[str, Any]]:
    """What the home page shows of each section: its aim, a figure, its pages and how long they take."""
    cards = []
    shown = zip(executed, lessons, strict=True)
    for section, own in itertools.groupby(shown, lambda pair: pair[0].lesson.section):
        figures, pages = [], []
        for one, body in own:
            figures += body.figures
            title = one.lesson.title.partition(" ")[2]
            pages.append({"file": page_name(one.lesson), "title": title, "time": _time(one)})
        covers = [figure for figure in figures if figure.cell == section.cover] or figures
        cards.append({**vars(section), "figure": next(iter(covers), None), "pages": pages})
    return cards


def _time(one: Executed) -> str:
    """How long the lesson says that it takes, '' if it does not say."""
    found = TIME.search("".join(cell.source for cell in one.notebook.cells[:1]))
    return " ".join(found[1].split()) if found else ""


def _scene_page(scene: Scene, lesson: str, others: list[Scene]) -> Page:
    """A page for a scene, leading to its lesson, or to `others` of its kind; of these the first is listed."""
    body = _template("scene").render(scene=scene, lesson=lesson, others=others)
    first = others[:1] == [scene]
    title = scene.kind.capitalize() if first else scene.title
    return Page(scene.file, title, body, inline_scripts=True, listed=first)


def _write_files(target: Path, pages: list[Page], lessons: list[Body], summary: str) -> None:
    (target / "figures").mkdir()
    for figure in (figure for body in lessons for figure in body.figures):
        (target / figure.file).write_bytes(figure.content)
    frame = _template("page")
    listed = [page for page in pages if page.listed]
    index, place = [], -1
    for page in pages:
        place += page.listed
        below = rendering.passages(page.body)
        index += [[page.file, page.title, p.anchor, p.heading, p.text] for p in below]
        text = frame.render(
            page=page,
            pages=listed,
            current=listed[place],
            contents=[p for p in below if p.level in (2, 3)],
            previous=listed[place - 1] if place else None,
            next=listed[place + 1] if place + 1 < len(listed) else None,
            summary=summary,
        )
        (target / page.file).write_text(text, encoding="utf-8")
    passages = json.dumps(index, ensure_ascii=False, separators=(",", ":"))
    (target / "search.js").write_text(f"window.coursePassages = {passages};\n", encoding="utf-8")
    shutil.copyfile(TEMPLATES / "site.js", target / "site.js")
    sheets = [(folder / name).read_text("utf-8") for folder, name in SHEETS]
    (target / "site.css").write_text("\n".join(sheets), encoding="utf-8")


def _template(name: str) -> Any:
    return Environment(loader=FileSystemLoader(TEMPLATES), autoescape=False).get_template(f"{name}.html.j2")

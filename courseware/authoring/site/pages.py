"""The executed course as a web site: one folder of files that asks nothing of any other machine.

`rendering` makes the bodies of the lessons; here stand the pages around them. Without scripts all of it can
be read; site.js adds search, enlarged figures and the choice between light and dark.
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader

from course_utils import files
from course_utils.viewers import standalone
from courseware import markup, notebooks
from courseware.authoring import runner
from courseware.authoring.runner import Executed
from courseware.authoring.site import rendering
from courseware.authoring.site.rendering import Body, LessonImage, Scene
from courseware.measuring.graders import Tally, sentence
from courseware.measuring.literature import Reproduction, notes, tables
from courseware.sections import Lesson

TEMPLATES = Path(__file__).parent / "templates" / "site"
FRAMES = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=False)
SHEETS = (TEMPLATES / "site.css", markup.TEMPLATES / "base" / "math.css")
HERO = "exploration-31"  # the cell whose figure opens the home page: the decoded plane
Shown = list[tuple[Executed, Body]]  # what a run has left of each lesson, and its rendering
Measured = tuple[Sequence[Tally], Sequence[Reproduction]]  # the checks, and published figures with ours
NOTEBOOK = re.compile(r'<a href="\.\./[^"#]*?(\w+)\.(?:ipynb|md)(#?[^"]*)">(.*?)</a>', re.DOTALL)
TIME = re.compile(r"\*\*Time\*\*\s+(.+?)[,.]", re.DOTALL)  # in the opening of every lesson


class Page(NamedTuple):
    """One page: its file, its name in navigation and search, and what stands in it."""

    file: str
    title: str
    body: str
    inline_scripts: bool = False
    listed: bool = True  # in the navigation; of scenes only the first explorer is


def page_name(lesson: Lesson) -> str:
    return f"{lesson.section.number:02}-{lesson.name.replace('_', '-')}.html"


def write(
    executed: list[Executed], target: Path, measured: Measured = ((), ()), released: Path | None = None
) -> Path:
    """Render executed lessons into `target`, whole or not at all, and return the path of its index page;
    for students what of them is in the notebooks below `released`: no answers, no mark schemes."""
    shown: Shown = []
    numbers = Counter[str]()
    for one in executed:
        if released:
            notebook = rendering.for_students(one, notebooks.read(released / one.lesson.path))
        else:
            notebook = rendering.for_instructors(one)
        shown.append((one, rendering.render(notebook, Path(page_name(one.lesson)).stem, numbers)))
    summary = runner.summary(executed)
    pages = _pages(shown, summary, measured, for_students=released is not None)
    files.put(target, _contents(pages, _figures(shown), summary))
    return target / "index.html"


def _figures(shown: Shown) -> list[LessonImage]:
    return [figure for _, body in shown for figure in body.figures]


def _pages(shown: Shown, summary: str, measured: Measured, for_students: bool) -> list[Page]:
    graders, literature = measured
    explorers = [scene for _, body in shown for scene in body.scenes if scene.kind == "explorer"]
    reports = [row for one, _ in shown for row in one.reports]
    home = FRAMES.get_template("home.html.j2").render(
        sections=_cards(shown),
        hero=next((figure for figure in _figures(shown) if figure.cell == HERO), None),
        hero_page=next((page_name(one.lesson) for one, _ in shown if one.lesson.section.number == 4), ""),
        explorer=explorers[0].file if explorers else "",
        summary=summary,
        exercises=len(reports),
        for_students=for_students,
    )
    numbers = FRAMES.get_template("numbers.html.j2").render(
        summary=summary,
        results=runner.rows([one for one, _ in shown]),
        reports=reports,
        graders={row.answer: row.cells()[2:5] for row in graders},
        measured=sentence(graders) if graders else "",
        literature=tables(literature),
        notes=notes(literature),
        for_students=for_students,
    )
    pages = [Page("index.html", "Home", home)]
    names = {one.lesson.name: page_name(one.lesson) for one, _ in shown}

    def led(link: re.Match[str]) -> str:
        """A link from notebook to notebook, from page to page; of one to what has no page the words."""
        name, anchor, words = link.groups()
        return f'<a href="{names[name]}{anchor.lower()}">{words}</a>' if name in names else words

    for one, body in shown:
        html = NOTEBOOK.sub(led, body.html)
        for name in standalone.SCRIPTS:
            html = html.replace(standalone.script(name), f'<script src="{name}"></script>')
        lesson = Page(page_name(one.lesson), one.lesson.title, html)
        animations = [scene for scene in body.scenes if scene.kind == "animation"]
        pages += [lesson, *(_scene_page(scene, lesson.file, []) for scene in animations)]
    pages += [_scene_page(scene, "", explorers) for scene in explorers]
    return [*pages, Page("numbers.html", "Numbers", numbers)]


def _cards(shown: Shown) -> list[dict[str, Any]]:
    """What the home page shows of each section: its aim, a figure, its pages and how long they take."""
    cards = []
    for section, own in itertools.groupby(shown, lambda pair: pair[0].lesson.section):
        lessons = list(own)
        figures, pages = _figures(lessons), []
        for one, _ in lessons:
            said = TIME.search("".join(cell.source for cell in one.notebook.cells[:1]))
            time, title = " ".join(said[1].split()) if said else "", one.lesson.title.partition(" ")[2]
            pages.append({"file": page_name(one.lesson), "title": title, "time": time})
        figures.sort(key=lambda figure: figure.cell != section.cover)  # the cover first, if it is there
        figure = next(iter(figures), None)
        cards.append({**vars(section), "number": section.number, "figure": figure, "pages": pages})
    return cards


def _scene_page(scene: Scene, lesson: str, others: list[Scene]) -> Page:
    """A page for a scene, leading to its lesson, or to `others` of its kind; of these the first is listed."""
    body = FRAMES.get_template("scene.html.j2").render(scene=scene, lesson=lesson, others=others)
    first = others[:1] == [scene]
    title = scene.kind.capitalize() if first else scene.parts["title"]
    return Page(scene.file, title, body, inline_scripts=True, listed=first)


def _contents(pages: list[Page], figures: list[LessonImage], summary: str) -> dict[str, str | bytes]:
    """Every file of the site by its name."""
    found: dict[str, str | bytes] = {figure.file: figure.content for figure in figures}
    frame = FRAMES.get_template("page.html.j2")
    listed = [page for page in pages if page.listed]
    index, place = [], -1
    for page in pages:
        place += page.listed
        below = rendering.passages(page.body)
        index += [[page.file, page.title, p.anchor, p.heading, p.text] for p in below]
        found[page.file] = frame.render(
            page=page,
            pages=listed,
            current=listed[place],
            contents=[p for p in below if p.level in (2, 3)],
            previous=listed[place - 1] if place else None,
            next=listed[place + 1] if place + 1 < len(listed) else None,
            summary=summary,
        )
    passages = json.dumps(index, ensure_ascii=False, separators=(",", ":"))
    found["search.js"] = f"window.coursePassages = {passages};\n"
    found["site.css"] = "\n".join(sheet.read_text("utf-8") for sheet in SHEETS)
    scripts = TEMPLATES / "site.js", *(standalone.TEMPLATES / name for name in standalone.SCRIPTS)
    return found | {script.name: script.read_bytes() for script in scripts}

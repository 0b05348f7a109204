"""What a change in one place of the lessons leaves wrong in another: minutes, numbers and links."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from courseware import notebooks, sections
from courseware.authoring.exercises import HEADING, TERMS
from courseware.sections import Lesson

TIME = re.compile(
    r"\*\*Time\*\*\s+about\s+(\d+)\s+minutes,\s+by\s+estimate:\s+(\d+)\s+for\s+the\s+exercises,\s+(\d+)\s"
)
NOTATION = "](../02-theory/theory.ipynb#Notation)"  # section 2's table of symbols
HAND_IN = "](../../docs/students.md#check-and-hand-in)"


def doubts(source: Path) -> Iterator[str]:
    """One sentence for each thing that is no longer right of a lesson or of a section's numbers."""
    lessons = sections.lessons()
    texts = {lesson: _texts(source / lesson.path) for lesson in lessons}
    for place, lesson in enumerate(lessons):
        said = (*_minutes(texts[lesson]), *_links(texts[lesson], lesson, lessons[place + 1 :]))
        yield from (f"{lesson.path}: {sentence}" for sentence in said)
    for number in dict.fromkeys(lesson.section.number for lesson in lessons):
        own = "\n".join(text for lesson in sections.lessons((number,)) for text in texts[lesson])
        found = HEADING.findall(own)
        if found != [f"{number}.{place}" for place in range(1, len(found) + 1)]:
            yield f"Section {number} numbers its exercises {', '.join(found)}: number them as they stand."


def _texts(file: Path) -> list[str]:
    return [cell.source for cell in notebooks.read(file).cells if cell.cell_type == "markdown"] or [""]


def _minutes(texts: Sequence[str]) -> Iterator[str]:
    need = sum(int(minutes) for minutes, _ in TERMS.findall("\n".join(texts)))
    stated = TIME.search(texts[0])
    whole, exercises, reading = map(int, stated.groups()) if stated else (0, 0, 0)
    if (whole, exercises) != (need + reading, need):
        line = f"**Time** about N minutes, by estimate: {need} for the exercises, M for reading"
        yield f"let its first cell say '{line}', with N = {need} + M."


def _links(texts: Sequence[str], lesson: Lesson, later: Sequence[Lesson]) -> Iterator[str]:
    core = [one for one in later if not one.section.further]
    following = [*core[:1], *(one for one in later[:1] if one.section.further)]
    for link in (HAND_IN, *(f"](../{one.path.as_posix()})" for one in following)):
        if link not in texts[-1]:
            yield f"let its last cell link to {link[2:-1]}."
    if lesson.name != "theory" and NOTATION not in texts[0]:
        yield f"let its first cell link to {NOTATION[2:-1]}."

"""What a lesson refers to is there: a part of a section, by its number, or an exercise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from courseware import notebooks, sections

ROOT = Path(__file__).parents[2]
HEADING = re.compile(r"^## (\d\.\d+) ", re.MULTILINE)
EXERCISE = re.compile(r"^### Exercise (\d\.\d+): ", re.MULTILINE)
WORD = (
    r"(?<!earning rate )\b(sections?|exercises?|of|in|from|by|since) ([1-7]\.\d{1,2}(?: and [1-7]\.\d{1,2})?)"
)
REFERENCE = re.compile(rf"{WORD}\b(?![%\d]| (?:nats|times|per|bits|to \d))", re.IGNORECASE)
TEXTS = {
    (lesson.name, cell.id): cell.source
    for lesson in sections.lessons()
    for cell in notebooks.read(ROOT / "solutions" / lesson.path).cells
    if cell.cell_type == "markdown"
}


def references(of_exercises: bool) -> Iterator[tuple[str, str, str]]:
    """Lesson, cell and number of every reference to an exercise, or to a part of a section."""
    for (lesson, cell), text in TEXTS.items():
        for word, numbers in REFERENCE.findall(text):
            if word.lower().startswith("exercise") is of_exercises:
                yield from ((lesson, cell, number) for number in numbers.split(" and "))


def numbered(heading: re.Pattern[str]) -> set[str]:
    return {number for text in TEXTS.values() for number in heading.findall(text)}


@pytest.mark.parametrize("of_exercises", [True, False], ids=["exercises", "parts"])
def test_what_is_referred_to_by_number_is_there(of_exercises):
    there = numbered(EXERCISE if of_exercises else HEADING)
    found = [*references(of_exercises)]
    assert len(found) > 15
    assert not [reference for reference in found if reference[2] not in there]

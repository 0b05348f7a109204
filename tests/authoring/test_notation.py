"""Symbols are explained by the time they are used; exercises, minutes, links and references add up."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from courseware import notebooks, sections

ROOT = Path(__file__).parents[2]
LESSONS = sections.lessons()
CELLS = {lesson.name: notebooks.read(ROOT / "solutions" / lesson.path).cells for lesson in LESSONS}
TEXTS = {name: [c.source for c in cells if c.cell_type == "markdown"] for name, cells in CELLS.items()}
DISPLAYED = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<!\$)\$([^$]+)\$(?!\$)")
EXERCISE = re.compile(r"^### Exercise (\d+\.\d+): ", re.MULTILINE)
NUMBERS = re.compile(r"2\s*\\pi( e)?|\be\^")  # pi and e where they are the numbers
WORDS = re.compile(r"\\(?:mathrm|text|operatorname)\{[^}]*\}|\\(?:begin|end)\{\w+\}")
SYMBOL = re.compile(
    r"\\hat\{?\s*x\}?|\\math(?:cal|bb)\{\w\}"
    r"|\\(?:alpha|beta|gamma|delta|varepsilon|epsilon|eta|theta|lambda|mu|pi|sigma|tau|phi|omega|odot)(?![a-z])"
    r"|(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])"
)


def symbols(formula: str) -> set[str]:
    """The symbols of a formula in LaTeX, without words, numbers and signs."""
    return set(SYMBOL.findall(WORDS.sub(" ", NUMBERS.sub(" ", formula))))


def spoken_of(texts: list[str]) -> set[str]:
    inline = [formula for text in texts for formula in INLINE.findall(DISPLAYED.sub(" ", text))]
    return set().union(*map(symbols, inline))


TABLE = next(text for text in TEXTS["theory"] if text.startswith("## Notation"))
IN_TABLE = spoken_of([row.split("|")[1] for row in TABLE.splitlines() if row.startswith("| $")])


@pytest.mark.parametrize("name", TEXTS)
def test_a_symbol_of_a_displayed_formula_is_in_the_table_or_spoken_of_by_then(name):
    for place, text in enumerate(TEXTS[name]):
        for formula in DISPLAYED.findall(text):
            unknown = symbols(formula) - IN_TABLE - spoken_of(TEXTS[name][: place + 1])
            assert not unknown, f"{sorted(unknown)} in {formula}"


def test_every_symbol_of_the_table_is_used():
    others = [text for texts in TEXTS.values() for text in texts if text != TABLE]
    displayed = [formula for text in others for formula in DISPLAYED.findall(text)]
    assert len(IN_TABLE) > 20
    assert spoken_of(others).union(*map(symbols, displayed)) >= IN_TABLE


@pytest.mark.parametrize("number", sorted({lesson.section.number for lesson in LESSONS}))
def test_exercises_are_numbered_as_they_stand(number):
    own = [text for lesson in sections.lessons((number,)) for text in TEXTS[lesson.name]]
    found = EXERCISE.findall("\n".join(own))
    assert found == [f"{number}.{place}" for place in range(1, len(found) + 1)] != []


TIME = re.compile(
    r"\*\*Time\*\*\s+about\s+(\d+)\s+minutes,\s+by\s+estimate:\s+(\d+)\s+for\s+the\s+exercises,\s+(\d+)\s"
)


@pytest.mark.parametrize("name", sorted(TEXTS.keys() - {"closing"}))
def test_the_minutes_of_a_lesson_are_the_sum_of_its_parts(name):
    (stated,) = TIME.findall(TEXTS[name][0])
    whole, exercises, reading = map(int, stated)
    each = re.findall(r"about (\d+) minutes · \d+ point", "\n".join(TEXTS[name]))
    assert exercises == sum(map(int, each))
    assert whole == exercises + reading


@pytest.mark.parametrize("name", [lesson.name for lesson in LESSONS if lesson.section.further])
def test_a_further_notebook_says_that_it_is_optional_and_what_it_is_worth(name):
    opening = " ".join(TEXTS[name][0].split())
    points = re.findall(r"minutes · (\d+) point", "\n".join(TEXTS[name]))
    assert "**Optional.**" in opening
    assert f"**Points** {sum(map(int, points))}, if your teacher collects it" in opening


def test_every_lesson_ends_with_the_next_of_the_core_and_with_handing_in():
    core = [lesson for lesson in LESSONS if not lesson.section.further]
    following = dict(pairwise(core))
    ends = [*following.items()]
    for lesson, follower in pairwise(LESSONS):
        if follower.section.further:
            ends += [(lesson, follower), (follower, following.get(lesson, lesson))]  # the last: back to it
    for lesson, other in ends:
        assert f"](../{other.path.as_posix()})" in TEXTS[lesson.name][-1]
    assert all("](../../docs/students.md#check-and-hand-in)" in texts[-1] for texts in TEXTS.values())
    assert "\n## Check and hand in\n" in (ROOT / "docs" / "students.md").read_text("utf-8")


@pytest.mark.parametrize("name", sorted(TEXTS.keys() - {"theory"}))
def test_every_lesson_links_to_the_table(name):
    assert "](../02-theory/theory.ipynb#Notation)" in TEXTS[name][0]


# --- references -----------------------------------------------------------------------------------------

PART = re.compile(r"^## (\d\.\d+) ", re.MULTILINE)
WORD = (
    r"(?<!earning rate )\b(sections?|exercises?|of|in|from|by|since) ([1-7]\.\d{1,2}(?: and [1-7]\.\d{1,2})?)"
)
REFERENCE = re.compile(rf"{WORD}\b(?![%\d]| (?:nats|times|per|bits|to \d))", re.IGNORECASE)


@pytest.mark.parametrize("heading", [EXERCISE, PART], ids=["exercises", "parts"])
def test_what_is_referred_to_by_number_is_there(heading):
    every = [(name, text) for name, texts in TEXTS.items() for text in texts]
    there = {number for _, text in every for number in heading.findall(text)}
    found = [
        (name, number)
        for name, text in every
        for word, numbers in REFERENCE.findall(text)
        if word.lower().startswith("exercise") == (heading is EXERCISE)
        for number in numbers.split(" and ")
    ]
    assert len(found) > 15
    assert not [reference for reference in found if reference[1] not in there]

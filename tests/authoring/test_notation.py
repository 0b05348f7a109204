"""Symbols are explained by the time they are used; exercises, minutes, links and references add up."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from nbformat import NotebookNode

from courseware import notebooks, sections
from courseware.authoring import agreement
from courseware.authoring.exercises import HEADING as EXERCISE

ROOT = Path(__file__).parents[2]
LESSONS = sections.lessons()
CELLS = {lesson.name: notebooks.read(ROOT / "solutions" / lesson.path).cells for lesson in LESSONS}
TEXTS = {name: [c.source for c in cells if c.cell_type == "markdown"] for name, cells in CELLS.items()}
DISPLAYED = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
INLINE = re.compile(r"(?<!\$)\$([^$]+)\$(?!\$)")
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


def test_minutes_numbers_and_links_agree():
    assert [*agreement.doubts(ROOT / "solutions")] == []
    assert "\n## Check and hand in\n" in (ROOT / "docs" / "students.md").read_text("utf-8")


NEED = sum(map(int, re.findall(r"about (\d+) minutes · \d+ point", "\n".join(TEXTS["autoencoder"]))))
MINUTES = f"let its first cell say '**Time** about N minutes, by estimate: {NEED} for the exercises, M for"
CHANGED = {
    "another sum": ("**Time** about ", "**Time** about 9", MINUTES),
    "another time of the exercises": (f" {NEED} for", f" 9{NEED} for", MINUTES),
    "no time": ("**Time**", "Time:", MINUTES),
    "a gap": ("### Exercise 1.1", "### Exercise 1.9", "Section 1 numbers its exercises 1.9, 1.2, 1.3,"),
    "no next": ("../02-theory/theory.ipynb)", "", "let its last cell link to ../02-theory/theory.ipynb."),
    "no table": ("#Notation", "", "let its first cell link to ../02-theory/theory.ipynb#Notation."),
    "no handing in": ("docs/students.md", "", "let its last cell link to ../../docs/students.md#"),
}


@pytest.mark.parametrize(("old", "new", "said"), CHANGED.values(), ids=CHANGED)
def test_what_a_change_leaves_wrong_elsewhere_is_said_in_a_sentence(old, new, said, monkeypatch):
    def read(file: Path) -> NotebookNode:
        notebook = notebooks.read(file)
        for cell in notebook.cells if file.stem == "autoencoder" else ():
            cell.source = cell.source.replace(old, new)
        return notebook

    monkeypatch.setattr(agreement, "notebooks", SimpleNamespace(read=read))
    (sentence,) = agreement.doubts(ROOT / "solutions")
    assert said in sentence


@pytest.mark.parametrize("name", [lesson.name for lesson in LESSONS if lesson.section.further])
def test_a_further_notebook_says_that_it_is_optional_and_what_it_is_worth(name):
    opening = " ".join(TEXTS[name][0].split())
    points = re.findall(r"minutes · (\d+) point", "\n".join(TEXTS[name]))
    assert "**Optional.**" in opening
    assert f"**Points** {sum(map(int, points))}, if your teacher collects it" in opening


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

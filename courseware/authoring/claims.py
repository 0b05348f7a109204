"""The ledger: every sentence of a lesson that says something measurable, bound to what measures it.

NAME.claims.toml beside solutions/NN-section/NAME.ipynb holds them; CONTRIBUTING.md says how. `course run`
evaluates the expressions in the notebook's kernel after its last cell. docs/claims.json keeps the values of
the runs that were stored, so that a change of text or limits is checked without a run.
"""

import ast
import itertools
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course_utils.settings import CourseError
from courseware import notebooks, record
from courseware.sections import Lesson

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MIME = "application/vnd.course.claims+json"
SETTINGS = {"digits": "digits at laptop", "mnist": "mnist at full"}
Limits = tuple[float, float]
ANY: Limits = (-math.inf, math.inf)
Values = Mapping[str, float | str]  # of each expression, or why it has none


@dataclass(frozen=True)
class Claim:
    """A sentence, what it says of the outputs as a number, and the limits of that number by setting."""

    says: str
    value: str
    limits: dict[str, Limits]

    def on(self, setting: str) -> Limits | None:
        """The limits under a setting such as 'digits at laptop'; None where the sentence promises nothing."""
        return self.limits.get(setting, self.limits.get("always"))


@dataclass(frozen=True)
class Ledger:
    """What one lesson claims, and words of its sentences that need no claim."""

    lesson: Lesson
    claims: list[Claim] = field(default_factory=list)
    exempt: list[str] = field(default_factory=list)

    @property
    def spoken_for(self) -> list[str]:
        return [*(claim.says for claim in self.claims), *self.exempt]

    def broken(self, values: Values, setting: str) -> list[str]:
        """A sentence for every claim that has no value, or one outside its limits."""
        data, budget = setting.split(" at ")
        run = f"course run --section {self.lesson.section.number} --data {data} --budget {budget}"
        found = []
        for claim in self.claims:
            value = values.get(claim.value, f"not stored: call `{run}`, then `course claims --store`")
            low, high = limits = claim.on(setting) or ANY
            if isinstance(value, str) or not low <= value <= high:
                wanted = f", which should lie in [{low:g}, {high:g}]" if limits != ANY else ""
                shown = f"{claim.value} is {value if isinstance(value, str) else format(value, '.5g')}"
                found.append(f"{self.lesson.name}: '{claim.says}' ({setting}): {shown}{wanted}")
        return found


def ledger(source: Path, lesson: Lesson) -> Ledger:
    """The claims of a lesson below `source`; CourseError names the entry that cannot be read or used."""
    file = source / lesson.path.with_suffix(".claims.toml")
    if not file.is_file():
        return Ledger(lesson)
    try:
        entries = tomllib.loads(file.read_text("utf-8"))
        exempt = [plain(words) for several in entries.get("exempt", {}).values() for words in several]
        found = Ledger(lesson, [_claim(entry) for entry in entries.get("claim", [])], exempt)
    except (OSError, ValueError, TypeError, AttributeError) as problem:
        raise CourseError(f"{file}: {problem}.") from None
    text = plain(" ".join(itertools.chain(*asserted(notebooks.read(source / lesson.path)))))
    if unsaid := [words for words in found.spoken_for if words not in text]:
        why = f"the lesson does not say '{unsaid[0]}': change the claim with the sentence"
        raise CourseError(f"{file}: {why}.")
    return found


def _claim(entry: dict[str, Any]) -> Claim:
    """One entry of the file. Raises ValueError with what is wrong with it."""
    says, value = plain(str(entry.pop("says", ""))), str(entry.pop("value", ""))
    claim = f"the claim '{says}'"
    limits = {
        SETTINGS.get(name, name): (float(low), float(high))
        for key, (low, high) in entry.items()
        for name in (SETTINGS if key == "both" else [key])
    }
    if unknown := set(limits) - {*SETTINGS.values(), "always"}:
        raise ValueError(f"{claim} has '{unknown.pop()}', and may have digits, mnist, both, always")
    if not (says and value and limits):
        raise ValueError(f"{claim} lacks one of: says, value, and limits")
    with suppress(SyntaxError):
        compile(value, says, "eval")
        return Claim(says, value, limits)
    raise ValueError(f"{claim} has '{value}', which is no expression of Python")


# --- values -----------------------------------------------------------------------------------------------


CLAIMED = """
def _claimed(expression):
    try:
        return repr(float(eval(expression, globals())))
    except ZeroDivisionError:
        return "nan"  # as tensors have it
    except Exception as problem:
        return f"an error ({type(problem).__name__}: {problem})"
"""


def cell(of: Ledger) -> NotebookNode:
    """A code cell that evaluates the claims where the lesson has run."""
    expressions = sorted({claim.value for claim in of.claims})
    return new_code_cell(
        f"{CLAIMED}\nfrom IPython.display import display as _display\n"
        f"_display({{{MIME!r}: {{one: _claimed(one) for one in {expressions!r}}}}}, raw=True)"
    )


def trial(of: Ledger) -> NotebookNode:
    """A code cell that fails where a claim has no value, or not the one it has under every budget; it may be
    nan, a share of nothing, after a training too short for anything."""
    entries = [(one.says, one.value, *one.limits.get("always", ANY)) for one in of.claims]
    return new_code_cell(
        f"{CLAIMED}\nfrom math import inf\nfor _says, _value, _low, _high in {entries!r}:\n"
        "    _found = _claimed(_value)\n"
        "    assert _found == 'nan' or _low <= float(_found) <= _high, (_says, _value, _found)"
    )


def values(ran: NotebookNode) -> dict[str, float | str]:
    """What a cell of `cell` displayed."""
    shown: dict[str, str] = {}
    for output in ran.get("outputs", []):
        shown |= output.get("data", {}).get(MIME, {})
    none = ("nan", "an error")
    return {one: value if value.startswith(none) else float(value) for one, value in shown.items()}


def judged(source: Path, found: Mapping[Lesson, Values], setting: str) -> tuple[list[str], int]:
    """The claims of these lessons that do not hold, a sentence each, and how many there are in all."""
    ledgers = [ledger(source, lesson) for lesson in found]
    broken = [sentence for one in ledgers for sentence in one.broken(found[one.lesson], setting)]
    return broken, sum(len(one.claims) for one in ledgers)


def kept(root: Path) -> dict[str, dict[str, dict[str, float | str]]]:
    """The stored values by setting, name of the lesson, and expression."""
    return record.kept(root / "docs" / "claims.json") or {}


def keep(root: Path, setting: str, found: Mapping[str, Values]) -> None:
    """Store the values of some lessons' runs under a setting beside those of the others."""
    stored = kept(root)
    stored[setting] = {**stored.get(setting, {}), **found}  # type: ignore[dict-item]
    record.keep(root / "docs" / "claims.json", stored)


COLUMNS = ("lesson", "sentence", "expression", *SETTINGS.values())


def rows(ledgers: Sequence[Ledger], stored: Mapping[str, Mapping[str, Values]]) -> Iterator[tuple[str, ...]]:
    """Every claim as COLUMNS say, with its stored values and their limits."""
    for one in ledgers:
        for claim in one.claims:
            shown = []
            for setting in SETTINGS.values():
                value = stored.get(setting, {}).get(one.lesson.name, {}).get(claim.value)
                limits = claim.on(setting)
                number = "?" if value is None else f"{value:.4g}" if isinstance(value, float) else value
                shown.append(f"{number} in [{limits[0]:g}, {limits[1]:g}]" if limits else f"({number})")
            yield (one.lesson.name, claim.says, claim.value, *shown)


# --- sentences --------------------------------------------------------------------------------------------

PARAGRAPHS = re.compile(  # that ask, name books, or are boxes
    r"\A### Exercise.*|"
    r"^(>|\*\*(You need|To think about|Papers|Mark scheme|Rubric|Next|Again)\b).*?(\n\s*\n|\Z)",
    re.DOTALL | re.MULTILINE,
)
UNSAID = re.compile(  # formulas, code, links, years, and what is referred to by number
    r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\[[^\]]*\]\([^)]*\)|<[^>]*>|\b(19|20)\d\d\b|^#+ \d(\.\d+)?"
    r"|\b(sections?|exercises?|chapters?|equations?|cells?|projects?|hints?|of|in|from|by|that|at|\()\s?[1-7](\.\d+)?"
    r"((,| and| to| or) [1-7](\.\d+)?)*\b(?![.\d]*( nats|%| times| per| bits| dim| epoch| point| of |\d))",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)
ADJECTIVE = (
    "larg|small|bigg|high|low|great|sharp|wid|narrow|short|long|clos|fast|slow|steep|cheap|clean|blurr|tight|weak|strong|"
    "few|near|rough|smooth|rich|poor|hard|eas"
)
MEASURABLE = re.compile(
    rf"(?<![\w.])\d[\d,.]*(?!\w)|\b(more|less|fewer|better|worse|best|worst|most|least|half|twice|"
    rf"({ADJECTIVE})(i?er|i?est))\b",
    re.IGNORECASE,
)


def asserted(notebook: NotebookNode) -> tuple[list[str], list[str]]:
    """What a lesson asserts: its Markdown without exercises, and the titles of its figures."""
    cells = notebook.cells
    markdown = [PARAGRAPHS.sub("", one.source) for one in cells if one.cell_type == "markdown"]
    return markdown, [title for one in cells if one.cell_type == "code" for title in _titles(one.source)]


def measurable(notebook: NotebookNode) -> Iterator[str]:
    """Every sentence with a number, a comparative or a superlative, questions left out."""
    markdown, titles = asserted(notebook)
    for said in markdown:
        for sentence in re.split(r"\n\s*\n|\n\s*(?:[-*|]|\d\.) |(?<=[.!?:;])\)?\s+(?=[A-Z*(`$'])", said):
            if not sentence.rstrip(" *)").endswith("?") and MEASURABLE.search(UNSAID.sub(" ", sentence)):
                yield plain(sentence)
    yield from (plain(title) for title in titles if MEASURABLE.search(title))


def unbound(source: Path, of: Ledger) -> list[str]:
    """The measurable sentences of a lesson that have neither a claim nor a reason to need none."""
    every = measurable(notebooks.read(source / of.lesson.path))
    return [said for said in every if not any(one in said or said in one for one in of.spoken_for)]


def plain(words: str) -> str:
    """Words on one line."""
    return " ".join(words.split())


def _titles(code: str) -> Iterator[str]:
    """The texts that a cell hands to `plotting`, titles of figures, with `...` for what is computed."""
    with suppress(SyntaxError):  # of a cell of IPython's own commands
        calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
        for given in (call.args for call in calls if ast.unparse(call.func).startswith("plotting.")):
            for one in given:
                parts = one.values if isinstance(one, ast.JoinedStr) else [one]
                said = [getattr(part, "value", None) for part in parts]
                title = "".join(words if isinstance(words, str) else "..." for words in said)
                if " " in title:
                    yield title

"""How well copies are told from like minds (`fingerprints`), measured on the bank.

A copy is a right answer rewritten as in `generated`, set out anew, its methods in another order. Honest pairs
are right answers in different styles, and wrong ones with different mistakes: most of these differ from a
right one in one piece, as what two have who follow one lesson. What is compared is out of the bank for that
long. Answers in even places of the bank choose the threshold, those in odd places try it.
"""

import ast
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import NamedTuple

import bank
from course_utils.checks.judges import EXERCISES
from courseware import fingerprints, notebooks, record, sections
from courseware.grading.submission.repair import asked
from courseware.measuring import generated
from courseware.measuring.graders import Track, limit, share

COPIES = 20  # of each right answer
FOUND, FLAGGED = 0.99, 0.001  # what a threshold has to reach on the first half, the latter by its limit
# Shorter answers first, and as strict as copies allow. Of 1,728 pairs of answers by strangers to each other
# (November 2026) 7 are called alike with 10 and 80%, one with 20, none with 25.
GRID = tuple(product((25, 30, 40), (0.8, 0.7, 0.6)))
COLUMNS = ("exercise", "answer", "long enough", "copies found", "honest pairs alike")


class Trial(NamedTuple):
    """Two answers by what is their own: places in the bank of two honest ones, or of one and its copy."""

    kind: str  # copy, right or wrong
    place: int
    other: int
    ours: set[str]
    theirs: set[str]


@dataclass(frozen=True)
class Detection:
    """Right answers, those long enough, and what became of copies of these and of honest pairs."""

    number: str
    answer: str
    right: int
    tell: int
    copies: int
    found: int
    pairs: int
    flagged: int

    def cells(self) -> tuple[str, ...]:
        copies = share(self.found, self.copies) if self.copies else "too short to tell"
        pairs = f"{self.flagged} of {self.pairs} (≤ {percent(at_most(self.flagged, self.pairs))})"
        return self.number, self.answer, f"{self.tell} of {self.right}", copies, pairs


@dataclass(frozen=True)
class Figures:
    """The threshold that the first half chose; how it does on the second, by exercise and over notebooks."""

    enough: int
    share: float
    tallies: Sequence[Detection]
    wholes: Sequence[Detection]

    def total(self) -> Detection:
        names = ("right", "tell", "copies", "found", "pairs", "flagged")
        return Detection("", "all", *(sum(getattr(one, name) for one in self.tallies) for name in names))

    def rows(self) -> list[tuple[str, ...]]:
        return [one.cells() for one in (*self.tallies, self.total(), *self.wholes)]

    def sentence(self) -> str:
        total = self.total()
        return (
            f"{total.found} of {total.copies} copies are found (95% limit: at least "
            f"{limit(total.found, total.copies):.1%}) and {total.flagged} of {total.pairs} honest pairs "
            f"called alike (at most {percent(at_most(total.flagged, total.pairs))}): those that share "
            f"{self.enough} fingerprints and {self.share:.0%} of the shorter one's, as the first half chose"
        )


def at_most(bad: int, of: int) -> float:
    """The share that one can be 95% sure not to exceed, after `bad` of `of` independent trials."""
    return 1 - limit(of - bad, of)


def percent(share: float) -> str:
    """With two decimals, rounded up, as a limit must be."""
    return f"{math.ceil(1e4 * share) / 1e4:.2%}"


def measure(track: Track) -> Figures:
    """Compare every right answer with copies, and all honest pairs. CourseError without solutions/."""
    trials: dict[str, list[Trial]] = {}
    wholes = {}
    lessons = sections.lessons()
    for lesson in track(lessons, len(lessons)):
        cells = notebooks.read(sections.folder("solutions") / lesson.path).cells
        codes = [cell.source for cell in cells if cell.cell_type == "code"]
        given = set().union(*map(fingerprints.prints, codes))
        here = {name: list(_trials(name, given)) for name in map(asked, codes) if name}
        trials |= here
        if len(here) > 1:
            wholes[lesson.name] = list(_together(here))
    for chosen in GRID:
        first = _tally("", [one for these in trials.values() for one in these], 0, *chosen)
        if first.found >= FOUND * first.copies and at_most(first.flagged, first.pairs) < FLAGGED:
            break
    tallies = [_tally(name, these, 1, *chosen) for name, these in trials.items()]
    return Figures(*chosen, tallies, [_tally(name, these, 1, *chosen) for name, these in wholes.items()])


def _tally(name: str, trials: Sequence[Trial], half: int, enough: int, least: float) -> Detection:
    tried = [one for one in trials if one.place % 2 == half]
    copies = [one for one in tried if one.kind == "copy"]
    long = [one for one in copies if len(one.ours) >= enough]
    honest = [one for one in tried if one.kind != "copy"]
    found, flagged = (
        sum(fingerprints.alike(one.ours, one.theirs, enough, least) for one in these)
        for these in (long, honest)
    )
    number = EXERCISES[name].number if name in EXERCISES else ""
    right, tell = len(copies) // COPIES, len(long) // COPIES
    return Detection(number, name, right, tell, len(long), found, len(honest), flagged)


def _trials(name: str, lesson: set[str]) -> Iterator[Trial]:
    answers = [one for one in bank.RIGHT if one.exercise == name]
    rights = [set(fingerprints.prints(one.code)) for one in answers]
    wrongs = [set(fingerprints.prints(one.code)) for one in bank.WRONG if one.exercise == name]

    def known(*places: int) -> set[str]:
        return lesson.union(*(one for place, one in enumerate(rights) if place not in places))

    for place, answer in enumerate(answers):
        for number in range(COPIES):
            copy = set(fingerprints.prints(copied(answer, random.Random(f"{name} {place} {number}"))))
            yield Trial("copy", place, number, rights[place] - known(place), copy - known(place))
    owns = [one - known() for one in wrongs]
    for half in (0, 1):
        for one, other in combinations(range(half, len(rights), 2), 2):
            yield Trial("right", one, other, *(rights[place] - known(one, other) for place in (one, other)))
        for one, other in combinations(range(half, len(wrongs), 2), 2):
            yield Trial("wrong", one, other, owns[one], owns[other])


def _together(trials: Mapping[str, Sequence[Trial]]) -> Iterator[Trial]:
    """Over a notebook: who has the answers in these places of the bank, to all of its exercises."""
    by_places = [{one[:3]: (name, one) for one in these} for name, these in trials.items()]
    for places in sorted(set(by_places[0]).intersection(*by_places)):
        parts = [known[places] for known in by_places]
        ours = {f"{name} {one}" for name, part in parts for one in part.ours}
        theirs = {f"{name} {one}" for name, part in parts for one in part.theirs}
        yield Trial(*places, ours, theirs)


def copied(answer: bank.Answer, draw: random.Random) -> str:
    """The answer as somebody might hand it in who has it from another: it does the same."""
    tree = ast.parse(generated.rewritten(answer, draw)[0])
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            draw.shuffle(methods := [part for part in node.body if isinstance(part, ast.FunctionDef)])
            node.body = [*(part for part in node.body if part not in methods), *methods]
    return f"# My own work.\n{ast.unparse(tree)}"


FIGURES = record.Measurement[Figures](
    "likeness",
    lambda kept: Figures(
        **kept | {key: [Detection(**x) for x in kept[key]] for key in ("tallies", "wholes")}
    ),
    lambda found: {
        "likeness": f"On the second half, {found.sentence()}.\n\n{record.table(COLUMNS, found.rows())}"
    },
)

"""The lines that students put in order, taken from the bank: a right answer, and wrong ones' single lines.

A wrong answer serves where one line sets it apart from the right one. With fewer than LEAST lines there is
nothing to order.
"""

import json
from pathlib import Path

import bank
from course_utils.checks.judges import EXERCISES, puzzles

LEAST = 4  # lines of a right answer
MOST_WRONG = 3  # lines beside them
IDLE = ("pass", "nn.Identity")  # what stands for a line that is missing


def made() -> dict[str, puzzles.Puzzle]:
    """A puzzle for each exercise that has enough lines."""
    found = {name: _puzzle(name) for name in EXERCISES if not EXERCISES[name].questions}
    return {name: one for name, one in found.items() if one}


def _puzzle(name: str) -> puzzles.Puzzle | None:
    """Of the right answer with the most wrong ones a line away, as many of their lines as are shown."""
    every = [(_lines(one.code), one) for one in bank.RIGHT if one.exercise == name]
    wrong = [(_lines(one.code), one.name) for one in bank.WRONG if one.exercise == name]
    right, near = max(((lines, _near(lines, wrong)) for lines, _ in every), key=lambda one: len(one[1]))
    if len(right) < LEAST:
        return None
    chosen: dict[int, tuple[str, str]] = {}  # at most one beside each right line, while others are left
    for place, line, mistake in near:
        if len(chosen) < MOST_WRONG and line not in right and line.strip(" (),") not in IDLE:
            chosen.setdefault(place, (line, mistake))
    return {"right": right, "wrong": [list(one) for one in chosen.values()]}


def _near(right: list[str], wrong: list[tuple[list[str], str]]) -> list[tuple[int, str, str]]:
    """Place, line and mistake of those that differ from `right` in one line."""
    found = []
    for lines, mistake in wrong:
        other = [at for at, pair in enumerate(zip(right, lines, strict=False)) if len(set(pair)) > 1]
        if len(lines) == len(right) and len(other) == 1:
            found.append((other[0], lines[other[0]], mistake))
    return found


def _lines(code: str) -> list[str]:
    return [line for line in code.split("\n") if line.strip()]


def text() -> str:
    """What puzzles.json holds."""
    return json.dumps({name: puzzles.obscured(one) for name, one in sorted(made().items())}, indent=1) + "\n"


def write(root: Path) -> None:
    (root / "course_utils" / "checks" / "judges" / "puzzles.json").write_text(text(), encoding="utf-8")

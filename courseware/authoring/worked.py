"""Worked answers for students who have tried, made of solutions/ and the bank: `course build` calls this.

A solution is the one in solutions/. The lines to order are a right answer's of the bank, with single lines of
wrong ones among them; an answer with fewer than LEAST lines has nothing to order.
"""

import json
from pathlib import Path

from nbgrader.utils import is_solution

import bank
from course_utils import files
from course_utils.checks.judges import EXERCISES, worked
from courseware import notebooks, sections
from courseware.grading.submission.repair import asked

LEAST = 4  # lines of a right answer
MOST_WRONG = 3  # lines beside them
IDLE = ("pass", "nn.Identity")  # what stands for a line that is missing


def made(root: Path) -> dict[str, worked.Worked]:
    """The worked answer to each exercise that is checked by program and no prediction."""
    found: dict[str, worked.Worked] = {}
    for lesson in sections.lessons():
        answer = ""
        for cell in notebooks.read(root / "solutions" / lesson.path).cells:
            answer = cell.source if is_solution(cell) else answer
            name = asked(cell.source)
            if name in EXERCISES and not EXERCISES[name].questions:
                lines = (line for line in answer.split("\n") if not line.strip().startswith("### "))
                found[name] = {"solution": "\n".join(lines)} | _puzzle(name)
    return found


def _puzzle(name: str) -> worked.Worked:
    """Of the right answers with the most wrong lines to show, the shortest."""
    wrong = [(_lines(one.code), one.name) for one in bank.WRONG if one.exercise == name]
    every = (_lines(one.code) for one in bank.RIGHT if one.exercise == name)
    shown = [(right, _beside(right, wrong)) for right in every if len(right) >= LEAST]
    right, beside = max(shown, key=lambda one: (len(one[1]), -len(one[0])), default=([], []))
    return {"right": right, "wrong": beside} if beside else {}


def _beside(right: list[str], wrong: list[tuple[list[str], str]]) -> list[list[str]]:
    """The one line in which a wrong answer differs, with its mistake; at most one beside each right line."""
    chosen: dict[int, list[str]] = {}
    for lines, mistake in wrong:
        others = [at for at, line in enumerate(lines) if right[at : at + 1] != [line]]
        if len(lines) == len(right) and len(others) == 1 and len(chosen) < MOST_WRONG:
            line = lines[others[0]]
            if line not in right and line.strip(" (),") not in IDLE:
                chosen.setdefault(others[0], [line, mistake])
    return list(chosen.values())


def _lines(code: str) -> list[str]:
    return [line for line in code.split("\n") if line.strip()]


def text(root: Path) -> str:
    """What worked.json holds."""
    return json.dumps(worked.obscured(made(root))) + "\n"


def write(root: Path) -> None:
    files.write(root / "course_utils" / "checks" / "judges" / "worked.json", text(root))

"""Worked answers for students who have tried, made of solutions/ and the bank: `course build` calls this.

A solution is the one in solutions/. The lines to order are a right answer's of the bank, with single lines of
wrong ones among them; an answer with fewer than LEAST lines has nothing to order.
"""

import json
from pathlib import Path

from nbgrader.utils import is_solution

import bank
from course_utils.checks.judges import EXERCISES, worked
from courseware import notebooks, sections
from courseware.grading.submission.repair import asked

LEAST = 4  # lines of a right answer
MOST_WRONG = 3  # lines beside them
IDLE = ("pass", "nn.Identity")  # what stands for a line that is missing


def made(root: Path) -> dict[str, worked.Worked]:
    """The worked answer to each exercise that is checked by program and no prediction."""
    solutions = {}
    for lesson in sections.lessons():
        answer = ""
        for cell in notebooks.read(root / "solutions" / lesson.path).cells:
            answer = cell.source if is_solution(cell) else answer
            if name := asked(cell.source):
                lines = (line for line in answer.split("\n") if not line.strip().startswith("### "))
                solutions[name] = "\n".join(lines)
    wanted = [name for name in solutions if name in EXERCISES and not EXERCISES[name].questions]
    return {name: {"solution": solutions[name]} | _puzzle(name) for name in wanted}


def _puzzle(name: str) -> worked.Worked:
    """Of the right answers with the most wrong lines to show, the shortest."""
    wrong = [(_lines(one.code), one.name) for one in bank.WRONG if one.exercise == name]
    every = (_lines(one.code) for one in bank.RIGHT if one.exercise == name)
    shown = [(right, _beside(right, wrong)) for right in every if len(right) >= LEAST]
    right, beside = max(shown, key=lambda one: (len(one[1]), -len(one[0])), default=([], []))
    return {"right": right, "wrong": beside} if beside else {}


def _beside(right: list[str], wrong: list[tuple[list[str], str]]) -> list[list[str]]:
    """Wrong lines, each with its mistake, at most one beside each right line."""
    chosen: dict[int, list[str]] = {}
    for place, line, mistake in _near(right, wrong):
        if len(chosen) < MOST_WRONG and line not in right and line.strip(" (),") not in IDLE:
            chosen.setdefault(place, [line, mistake])
    return list(chosen.values())


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


def text(root: Path) -> str:
    """What worked.json holds."""
    return json.dumps(worked.obscured(made(root))) + "\n"


def write(root: Path) -> None:
    (root / "course_utils" / "checks" / "judges" / "worked.json").write_text(text(root), encoding="utf-8")

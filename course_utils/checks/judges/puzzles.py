"""Lines to put in order, the last hint of an exercise: those of an answer that works, and some that do not.

Ordering given lines takes about half the time of writing them and teaches as much (Ericson, Margulieux & Rick
2017, doi:10.1145/3141880.3141895). Wrong lines are the bank's, each named after its mistake. `course build`
chooses them (courseware/authoring/puzzles.py) and keeps them in puzzles.json, obscured: nobody meets an
answer by chance, and no secret. They lie here since students' code meets no judge while it is graded.
"""

from __future__ import annotations

import base64
import html
import json
import random
import zlib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FILE = HERE / "puzzles.json"
Puzzle = dict[str, Any]  # "right": lines in order; "wrong": [line, mistake] of each


def obscured(puzzle: Puzzle) -> str:
    return base64.b64encode(zlib.compress(json.dumps(puzzle).encode(), 9)).decode()


def puzzle(answer: str) -> Puzzle | None:
    """The lines for an exercise, None where it has too few to order."""
    kept = json.loads(FILE.read_text(encoding="utf-8")).get(answer)
    return json.loads(zlib.decompress(base64.b64decode(kept))) if kept else None


def page(answer: str, seed: int = 0) -> str:
    """The folded puzzle as HTML, '' where there is none; the order of its lines follows the seed."""
    found = puzzle(answer)
    if not found:
        return ""
    # What a line is: its place in the answer, or the mistake that it holds.
    lines = [(line, str(place)) for place, line in enumerate(found["right"])] + list(
        map(tuple, found["wrong"])
    )
    items = (
        f'<li data-is="{html.escape(what)}"><code>{html.escape(line)}</code></li>'
        for line, what in random.Random(f"{seed} {answer}").sample(lines, len(lines))
    )
    shell = (HERE.parents[1] / "templates" / "puzzle.html").read_text(encoding="utf-8")
    return shell.replace("<!-- wrong -->", str(len(found["wrong"]))).replace(
        "<!-- lines -->", "\n".join(items)
    )

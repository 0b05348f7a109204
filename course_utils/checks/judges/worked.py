"""Worked answers for those who have tried: lines to put in order as the last hint, and a whole solution.

Ordering given lines takes about half the time of writing them and teaches as much (Ericson, Margulieux & Rick
2017, doi:10.1145/3141880.3141895). Wrong lines among them are the bank's, each named after its mistake.
`course build` keeps all this in worked.json (courseware/authoring/worked.py), obscured: nobody meets it
by chance, and it is no secret. Without that file there are no worked answers. They lie here since students'
code meets no judge while it is graded.
"""

from __future__ import annotations

import base64
import functools
import json
import random
import zlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

HERE = Path(__file__).parent
FILE = HERE / "worked.json"
# "solution": code; "right": lines in order, perhaps none; "wrong": [line, mistake] of each.
Worked = dict[str, Any]


def obscured(every: dict[str, Worked]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(every, sort_keys=True).encode(), 9)).decode()


@functools.cache
def every() -> dict[str, Worked]:
    """The worked answers, by the name of the exercise's answer."""
    if not FILE.is_file():
        return {}
    return json.loads(zlib.decompress(base64.b64decode(json.loads(FILE.read_text(encoding="utf-8")))))


def puzzle(answer: str, seed: int = 0) -> str:
    """The lines to order as HTML, folded; '' where there are none. Their order follows the seed."""
    found = every().get(answer, {})
    if not found.get("right"):
        return ""
    # What a line is: its place in the answer, or the mistake that it holds.
    lines = [*((line, str(place)) for place, line in enumerate(found["right"])), *map(tuple, found["wrong"])]
    mixed = random.Random(f"{seed} {answer}").sample(lines, len(lines))
    return rendered("puzzle.html.j2", lines=mixed, wrong=len(found["wrong"]))


def rendered(template: str, **parts: Any) -> str:
    """A template of the package with these parts; what is no Markup is escaped."""
    environment = Environment(
        loader=FileSystemLoader(HERE.parents[1] / "templates"), autoescape=True, trim_blocks=True
    )
    return environment.get_template(template).render(parts)

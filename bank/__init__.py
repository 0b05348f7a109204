"""Right and wrong answers to every exercise, as a student would write them.

One module per section holds RIGHT and WRONG. Right answers differ in style; wrong ones are named after
the misconception that they hold, and most are a right answer with one piece of code replaced.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Sequence

from bank.answers import Answer
from course_utils.checks.judges import EXERCISES

_NAMES = sorted(
    module.name for module in pkgutil.iter_modules(__path__) if module.name.startswith("section_")
)
_MODULES = [importlib.import_module(f"{__name__}.{name}") for name in (*_NAMES, "predictions")]
RIGHT: list[Answer] = [answer for module in _MODULES for answer in module.RIGHT]
WRONG: list[Answer] = [answer for module in _MODULES for answer in module.WRONG]
LEAST = {"right": 3, "wrong": 8}  # answers to each exercise


def lacks(right: Sequence[Answer] = RIGHT, wrong: Sequence[Answer] = WRONG) -> list[str]:
    """One sentence for each exercise whose answers fall short, and for each name that no exercise has."""
    found = []
    for name in sorted({*EXERCISES, *(answer.exercise for answer in (*right, *wrong))}):
        answers = {
            "right": [answer for answer in right if answer.exercise == name],
            "wrong": [answer for answer in wrong if answer.exercise == name],
        }
        missing = [
            f"{LEAST[kind]} {kind} answers (it has {len(those)})"
            for kind, those in answers.items()
            if len(those) < LEAST[kind]
        ]
        missing += [f"a hint for '{answer.name}'" for answer in answers["wrong"] if not answer.hint]
        names = Counter(answer.name for those in answers.values() for answer in those)
        missing += [f"a name of its own for each '{one}'" for one, count in names.items() if count > 1]
        if name not in EXERCISES:
            missing = ["an exercise of that name"]
        if missing:
            found.append(f"the bank of `{name}` lacks {', '.join(missing)}")
    return found

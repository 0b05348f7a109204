"""What decides: of every exercise, a judge, which knows what should come out.

One module per section holds its exercises; the probes of the same name say what is looked at. In grading this
package is never where a student's code runs.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from course_utils.checks.judges.core import Exercise

    EXERCISES: dict[str, Exercise]


def __getattr__(name: str) -> Any:
    """EXERCISES by the names of their answers, gathered when first asked for: judges import PyTorch."""
    if name != "EXERCISES":
        raise AttributeError(name)
    globals()[name] = {
        exercise.answer: exercise
        for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
        if module.name.startswith("section_")
        for exercise in importlib.import_module(f"{__name__}.{module.name}").EXERCISES
    }
    return globals()[name]

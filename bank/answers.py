"""What an answer of the bank is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# The imports that the lessons' notebooks have between them.
_NOTEBOOK: dict[str, Any] = {}
exec(
    """
import math
from collections.abc import Callable
import numpy as np
import torch
from torch import distributions, nn
from torch.distributions import Bernoulli, Normal, kl_divergence
from torch.nn import functional as F
from course_utils import evaluation, models, objectives
""",
    _NOTEBOOK,
)


def notebook_names() -> dict[str, Any]:
    """A fresh copy of the names that a lesson's notebook has imported."""
    return dict(_NOTEBOOK)


@dataclass(frozen=True)
class Answer:
    """A student's cell. `name` is its style if it is right, its misconception if it is wrong.

    `hint` is a part of the report that a wrong answer must get, '' for a right one.
    """

    exercise: str
    name: str
    code: str
    hint: str = ""

    def namespace(self) -> dict[str, Any]:
        """The notebook's variables once the cell has run."""
        names = notebook_names()
        exec(self.code, names)
        return names


def edited(exercise: str, right: str, edits: Iterable[tuple[str, str, str, str]]) -> list[Answer]:
    """Wrong answers, each a right one with one piece of code replaced: (misconception, old, new, hint)."""
    answers = []
    for name, old, new, hint in edits:
        if old not in right:
            raise ValueError(f"{exercise}, {name}: {old!r} is not in the answer to edit")
        answers.append(Answer(exercise, name, right.replace(old, new), hint))
    return answers

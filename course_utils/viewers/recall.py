"""Coming back to it: the questions on earlier sections that each section from 2 on opens with.

Retrieving an idea weeks later helps more than reading it again at once (spaced against massed retrieval: g =
0.74 in the meta-analysis of Latimier, Peyre & Ramus 2021, doi:10.1007/s10648-020-09572-8). So every idea of
questions.toml returns in at least three sections. The HTML needs no kernel; a script counts first tries.
"""

import functools
import itertools
import math
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from course_utils.settings import CourseError
from course_utils.viewers import standalone

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Question:
    """As questions.toml has it: texts with expressions in braces, the right answer first."""

    name: str
    idea: str
    part: str  # the notebook that opens with it
    numbers: dict[str, list[float]]
    ask: str
    answers: list[list[str]]  # each with what is said to it

    def every(self) -> Iterator[dict[str, float]]:
        """Every choice of numbers."""
        for chosen in itertools.product(*self.numbers.values()):
            yield dict(zip(self.numbers, chosen, strict=True))

    def asked(self, chosen: Mapping[str, float]) -> tuple[str, dict[str, str]]:
        """The question with these numbers, and what is said to each answer."""
        return _filled(self.ask, chosen), {
            _filled(answer, chosen): _filled(said, chosen) for answer, said in self.answers
        }


def _filled(text: str, numbers: Mapping[str, float]) -> str:
    return str(eval("f" + repr(text), vars(math) | dict(numbers)))  # the course's own text, and no student's


@functools.cache
def every() -> tuple[Question, ...]:
    """The questions of all notebooks."""
    text = (HERE / "questions.toml").read_text(encoding="utf-8")
    return tuple(Question(**fields) for fields in tomllib.loads(text)["question"])


@dataclass(frozen=True)
class Opening:
    """The questions of one notebook as shown: their numbers and the order of answers follow the seed."""

    part: str
    seed: int

    def _asked(self) -> Iterator[tuple[str, str, str, dict[str, str]]]:
        """Name, text, right answer, and what is said to each answer, in the order in which they stand."""
        for one in (one for one in every() if one.part == self.part):
            drawn = random.Random(f"{self.seed} {one.name}")
            text, answers = one.asked(drawn.choice(list(one.every())))
            order = drawn.sample(list(answers), len(answers))
            yield one.name, text, next(iter(answers)), {answer: answers[answer] for answer in order}

    def __repr__(self) -> str:
        listed = ("\n   - ".join([text, *offered]) for _, text, _, offered in self._asked())
        return "\n".join(f"{number}. {one}" for number, one in enumerate(listed, 1))

    def _repr_html_(self) -> str:
        items = []
        for name, text, right, offered in self._asked():
            answers = "".join(
                f"<details><summary>{standalone.sentence(answer)}</summary>"
                f"<p><b>{'Yes.' if answer == right else 'No.'}</b> {standalone.sentence(said)}</p></details>"
                for answer, said in offered.items()
            )
            asked = f"<p>{standalone.sentence(text)}</p>{answers}"
            items.append(f'<li data-name="{name}" data-right="{list(offered).index(right)}">{asked}</li>')
        page = (HERE / "templates" / "recall.html").read_text(encoding="utf-8")
        page = page.replace("<!-- questions -->", "\n".join(items))
        return page.replace("<!-- script -->", standalone.script("recall.js"))


def questions(part: str, seed: int = 0) -> Opening:
    """What a notebook opens with; another seed gives other numbers. CourseError where it has no questions."""
    parts = dict.fromkeys(one.part for one in every())
    if part not in parts:
        raise CourseError(f"No questions come back in '{part}'; they do in {', '.join(parts)}.")
    return Opening(part, seed)

"""The rubric of a question that a person grades: items to tick, below the mark scheme in solutions/.

    **Rubric.**
    - **a, +1:** You see that the two values bound different quantities.
    - **x, −0.5:** The label has a price: how many nats is it?

That is a key, a worth in points, and what the student reads. An answer that has an item has this line in its
comment. Its points are the sum of its items, at least 0 and at most what the question is worth.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from nbformat import NotebookNode

from course_utils.settings import CourseError

HEAD = "**Rubric.**"
ITEM = re.compile(r"^- \*\*([a-z]), ([+−-]?\d+(?:\.\d+)?):\*\* .+", re.MULTILINE)  # rubric.js has it too


class Item(NamedTuple):
    line: str  # all of it
    key: str
    worth: float


def found(text: str | None) -> list[Item]:
    """The items in a comment, or in a rubric, as they stand there."""
    return [Item(one[0], one[1], float(one[2].replace("−", "-"))) for one in ITEM.finditer(text or "")]


def items(cell: NotebookNode) -> dict[str, Item]:
    """The items below a model answer, by key. Raises CourseError where they cannot be used."""
    text = re.sub(r"\n[ \t]+", " ", cell.source.partition(HEAD)[2])  # one may go on in further lines
    mark, read = cell.metadata.nbgrader, found(text)
    known = {one.key: one for one in read}
    other = [line for line in ITEM.sub("", text).splitlines() if line.strip()]
    faults = [f"'{line}' has not the form `- **a, +1:** sentence`" for line in other]
    faults += [f"two have the key {one.key}" for one in read if one is not known[one.key]]
    beyond = [one for one in read if abs(one.worth) > mark.points]
    faults += [f"{one.key} is worth {one.worth:g}, beyond its {mark.points:g} points" for one in beyond]
    if faults:
        raise CourseError(f"The rubric of {mark.grade_id} cannot be used ({faults[0]}): mend solutions/.")
    return known


def points(ticked: Iterable[Item], most: float) -> float:
    """What an answer with these items gets of a question that is worth `most`."""
    return min(max(sum(one.worth for one in ticked), 0.0), most)

"""Where a student stands: tries and points of each exercise, kept in build/progress.json and nowhere else.

A try counts where there was an answer to look at, and another than the last time. After full points, or after
TRIES of them, the page shows a worked solution. Questions to come back to are those that this browser has
seen answered wrong (recall.py).
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from course_utils import settings
from course_utils.checks.judges import EXERCISES, worked
from course_utils.checks.judges.core import Report
from course_utils.engine import cache
from course_utils.files import whole
from course_utils.settings import CourseError
from course_utils.viewers import recall, standalone

TRIES = 5


class Standing(NamedTuple):
    """One exercise: points of the best try."""

    number: str
    answer: str
    points: float
    of: float
    tries: int

    @property
    def worked(self) -> str:
        """A solution, for whoever has found one or tried often enough."""
        earned = self.points == self.of or self.tries >= TRIES
        return worked.every().get(self.answer, {}).get("solution", "") if earned else ""


def file() -> Path:
    return settings.build_folder() / "progress.json"


def note(report: Report, source: str) -> None:
    """Count a try where somebody watches; a place that cannot be written to costs the count alone.

    An answer whose `source` is that of the last try, as in 'Run All', is none; one of unknown source, '', is.
    """
    if settings.watched() and "NBGRADER_VALIDATING" not in os.environ:
        kept, exercise = _kept(), report.exercise
        best, _, tries = _points(kept.get(exercise.answer), exercise.points)
        mark, last = zlib.crc32(source.encode()), kept.get(exercise.answer)
        again = bool(source) and isinstance(last, list) and last[2:] == [mark]
        kept[exercise.answer] = [max(best, report.points), tries + (not again), mark]
        with suppress(CourseError), whole(file()) as part:
            part.write_text(json.dumps(kept), encoding="utf-8")


def _kept() -> dict[str, Any]:
    if not settings.watched():
        return {}  # what is stored in solutions/ is nobody's
    try:
        return dict(json.loads(file().read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def rows() -> list[Standing]:
    """Every exercise that is checked by program, in the order of the course."""
    kept = _kept()
    return [
        Standing(one.number, name, *_points(kept.get(name), one.points))
        for name, one in sorted(EXERCISES.items(), key=lambda item: [*map(int, item[1].number.split("."))])
    ]


def _points(kept: Any, of: float) -> tuple[float, float, int]:
    """Points, maximum, tries; of a file that somebody has edited, as little as it says."""
    try:
        best, tries, *_ = kept
        return min(float(best), of), of, int(tries)
    except (TypeError, ValueError):
        return 0, of, 0


class Progress:
    """What has been solved, as a table."""

    def _lines(self) -> Iterator[str]:
        found = rows()
        solved = sum(row.points == row.of for row in found)
        yield f"{solved} of {len(found)} exercises solved, {sum(row.points for row in found):g} of " + (
            f"{sum(row.of for row in found):g} points that programs give."
        )
        yield f"Kept {cache.summary()}."

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        return self.page(alone=False)

    def page(self, alone: bool) -> str:
        """The table as HTML, or as a page of its own."""
        return worked.rendered(
            "progress.html.j2",
            alone=alone,
            lines=[*self._lines()],
            rows=rows(),
            tries=TRIES,
            asked={one.name: one.asked(next(one.every()))[0] for one in recall.every()},
            script=Markup(standalone.script("recall.js")),
        )


def document() -> str:
    """The table as a page of its own."""
    return Progress().page(alone=True)

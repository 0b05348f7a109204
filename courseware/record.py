"""Measured figures on their way to the reader: kept as JSON, put into tables, quoted by the documents.

Nobody types a figure into docs/measurements.md or README.md: it stands between `<!-- NAME -->` and
`<!-- /NAME -->`, which the rendered page does not show, and the command that measures it puts it there.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from course_utils import files
from course_utils.settings import CourseError

DOCUMENTS = (Path("docs") / "measurements.md", Path("README.md"), Path("docs") / "kept-points.md")
Figures = TypeVar("Figures")
Say = Callable[[str], None]  # prints a line


def keep(file: Path, content: Any) -> None:
    """Write `content` as JSON: whole or not at all. Raises CourseError where it cannot be written."""
    files.write(file, json.dumps(content, indent=1, default=asdict) + "\n", "make room, then go on")


def kept(file: Path) -> Any:
    """What `keep` wrote, None where there is nothing readable."""
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def begun(file: Path, **here: Any) -> dict[str, Any]:
    """What an earlier run kept under the conditions of this one; if there is nothing, the conditions."""
    found = kept(file) or {}
    return found if all(found.get(name) == value for name, value in here.items()) else here


@dataclass(frozen=True)
class Measurement(Generic[Figures]):
    """Figures of one kind: docs/NAME.json keeps them, docs/measurements.md quotes them."""

    name: str
    load: Callable[[Any], Figures]  # of what the JSON holds, None before the first measurement
    texts: Callable[[Figures], dict[str, str]]  # what stands at which place of the document

    def stored(self, root: Path) -> Figures:
        return self.load(kept(root / "docs" / f"{self.name}.json"))

    def store(self, root: Path, figures: Figures) -> None:
        """Keep the figures and quote them; CourseError where a file cannot be written or lacks the place."""
        keep(root / "docs" / f"{self.name}.json", figures)
        for place, text in self.texts(figures).items():
            quote(root, place, text)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def quote(root: Path, name: str, text: str) -> None:
    """Put `text` at that place of a document; CourseError where none has such a place."""
    place = re.compile(rf"(?<=<!-- {name} -->).*?(?=<!-- /{name} -->)", re.DOTALL)
    for document in filter(Path.is_file, (root / document for document in DOCUMENTS)):
        quoting, places = place.subn(lambda _: f"\n{text}\n", document.read_text("utf-8"), count=1)
        if places:
            files.write(document, quoting)
            return
    documents = ", ".join(map(str, DOCUMENTS))
    raise CourseError(f"{documents} have no place <!-- {name} --> ... <!-- /{name} -->: put one in.")

"""Measured figures on their way to the reader: kept as JSON, put into tables, quoted by the README.

Nobody types a figure into the README: it stands between `<!-- NAME -->` and `<!-- /NAME -->`, which the
rendered page does not show, and the command that measures it puts it there.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from course_utils.settings import CourseError


def keep(file: Path, content: Any) -> None:
    """Write `content` as JSON: whole or not at all. Raises CourseError where it cannot be written."""
    part = file.with_suffix(".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(part, file)
    except OSError as problem:
        raise CourseError(f"{file} cannot be written ({problem.strerror}): make room, then go on.") from None


def kept(file: Path) -> Any:
    """What `keep` wrote, None where there is nothing readable."""
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as a Markdown table."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def quote(root: Path, name: str, text: str) -> None:
    """Put `text` at the README's place of that name; CourseError where there is no such place."""
    file = root / "README.md"
    before = file.read_text("utf-8")
    if quoted(root, name) is None:
        raise CourseError(f"README.md has no place <!-- {name} --> ... <!-- /{name} -->: put one in.")
    after = re.sub(_place(name), lambda found: f"{found[1]}\n{text}\n{found[3]}", before)
    file.write_text(after, encoding="utf-8")


def quoted(root: Path, name: str) -> str | None:
    """What stands at the README's place of that name, None if there is none."""
    found = re.search(_place(name), (root / "README.md").read_text("utf-8"))
    return found[2].strip("\n") if found else None


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->)(.*?)(<!-- /{name} -->)", re.DOTALL)

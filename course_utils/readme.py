"""Figures in the README, put there by the commands that measure them and typed by nobody.

A figure stands between `<!-- NAME -->` and `<!-- /NAME -->`, which the rendered page does not show.
"""

from __future__ import annotations

import re
from pathlib import Path

from course_utils.settings import CourseError


def quote(root: Path, name: str, text: str) -> None:
    """Put `text` at the place of that name; CourseError where there is no such place."""
    file = root / "README.md"
    before = file.read_text("utf-8")
    if quoted(root, name) is None:
        raise CourseError(f"README.md has no place <!-- {name} --> ... <!-- /{name} -->: put one in.")
    after = re.sub(_place(name), lambda found: f"{found[1]}\n{text}\n{found[3]}", before)
    file.write_text(after, encoding="utf-8")


def quoted(root: Path, name: str) -> str | None:
    """What stands at the place of that name, None if there is none."""
    found = re.search(_place(name), (root / "README.md").read_text("utf-8"))
    return found[2].strip("\n") if found else None


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->)(.*?)(<!-- /{name} -->)", re.DOTALL)

"""Pages about a class: one file each, that asks nothing of any other machine. What students wrote is text."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from course_utils import files

TEMPLATES = Path(__file__).parent / "templates" / "class"
LONGEST = 160  # characters of a line of code


def line(text: str) -> str:
    """A line of a student's code, in which no letter moves another."""
    shown = text.expandtabs(4)[:LONGEST]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in shown)


def write(file: Path, template: str, **content: Any) -> Path:
    """Write a page: the template of that name, filled."""
    pages = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters["line"] = line
    files.write(file, pages.get_template(f"{template}.html.j2").render(content))
    return file

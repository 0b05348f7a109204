"""Notebooks from disk and back, each whole or not at all."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils.files import whole
from course_utils.settings import CourseError

DUE = "**Due** UNTIL, unless your teacher gives you longer."  # a line below the title


def plain(source: str) -> str:
    """A cell's source as it is compared: editors and systems differ in ends of lines and blanks there."""
    return "\n".join(line.rstrip() for line in source.splitlines()).strip("\n")


def read(path: Path) -> NotebookNode:
    """A notebook from disk; CourseError if it is missing or malformed."""
    try:
        return nbformat.read(path, as_version=4)
    except OSError as problem:
        raise CourseError(f"{path} cannot be read ({problem.strerror}): restore it with git.") from None
    except Exception:
        raise CourseError(f"{path} is not a notebook any more: restore it with git.") from None


def kept(path: Path) -> NotebookNode | None:
    """As `read`; None where there is no notebook that can be read."""
    try:
        return read(path)
    except CourseError:
        return None


def write(notebook: NotebookNode, path: Path) -> None:
    """Write it whole or not at all. Raises CourseError where it cannot be written."""
    with whole(path) as part:
        nbformat.write(notebook, part)

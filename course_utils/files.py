"""Files that are there whole or not at all, and one sentence where they cannot be."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from course_utils.settings import CourseError

MEND = "work in a folder of your own with free space"


@contextmanager
def writable(path: Path, mend: str = MEND) -> Iterator[None]:
    """Make the folder of `path`; CourseError, with what to do, where something inside cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as problem:
        raise CourseError(f"{path} cannot be written ({problem.strerror}): {mend}.") from None


@contextmanager
def whole(path: Path, mend: str = MEND) -> Iterator[Path]:
    """A place beside `path` to write to, moved there at the end: an interruption leaves `path` as it was.

    Raises CourseError, with what to do, where it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writable(path, mend):
        try:
            yield part
            os.replace(part, path)
        finally:
            with suppress(OSError):
                part.unlink()

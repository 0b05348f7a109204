"""Files that are there whole or not at all, and one sentence where they cannot be."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

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


def write(path: Path, content: str | bytes, mend: str = MEND) -> None:
    """Write one file as `whole` does."""
    with whole(path, mend) as part:
        _fill(part, content)


def put(folder: Path, files: Mapping[str, str | bytes], mend: str = MEND) -> None:
    """Make `folder` hold these files and no others, whole or not at all; raises CourseError as `whole`."""
    with (
        writable(folder, mend),
        TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent, ignore_cleanup_errors=True) as place,
    ):
        new, old = Path(place, "new"), Path(place, "old")
        new.mkdir()
        for name, content in files.items():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            _fill(new / name, content)
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)


def _fill(file: Path, content: str | bytes) -> None:
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content, encoding="utf-8")

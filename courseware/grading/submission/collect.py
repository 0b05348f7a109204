"""The files of a submission: regular files of bounded size, and which of them are the assignment's notebooks.

A notebook is taken by its name. Where that is not there, it is looked for by what nbgrader's marks in its
cells say, under any name, one folder down or in an archive, and taken if there is just one. Nothing is
followed out of the folder, unpacked to disk or run. What lies there and is not used becomes a fault.
"""

import hashlib
import json
import os
import re
import stat
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from errno import ELOOP
from io import BytesIO
from mimetypes import guess_type
from pathlib import Path
from typing import IO, Any, BinaryIO

import nbformat
from nbformat import NotebookNode
from nbgrader.utils import gettz, parse_utc

from course_utils.checks.words import printable
from courseware.grading.reasons import Fault, Reason, Refused
from courseware.grading.submission.own_work import Remark, remarks, waiting
from courseware.grading.submission.repair import LONGEST_NAME, PICTURES, grade_ids, listed, repair, shown_in

LARGEST = 16 * 2**20  # bytes of a notebook; a submission may have four times as many
MOST_FILES = 200  # that are looked at, of a folder or an archive
TIMESTAMP, SECRET = "timestamp.txt", "submission_secret.txt"  # nbgrader's own
SMALL = 400  # bytes of these
TIMESTAMP_LENGTH = 100  # characters; nbgrader's own have 30
ZONE = re.compile(r"[\w+-]+(/[\w+-]+)*", re.ASCII)  # dateutil would open the file that another text names

# What systems leave behind, what this course writes, and where nbgrader puts feedback.
UNHEEDED = re.compile(r"\..*|__MACOSX|__pycache__|Thumbs\.db|desktop\.ini|build|data|feedback")
# What browsers and editors append. Of all names only one reading is tried: students choose them.
COPY = re.compile(r"([ _-]*(\(\d+\)|copy|kopie|\d+(?!\d)))+$")
KINDS = {".pdf": "a PDF", ".py": "a script", ".zip": "an archive"} | dict.fromkeys(
    (".html", ".htm"), "a web page"
)


@dataclass(frozen=True)
class Submission:
    """What was handed in: the bytes of each notebook that the assignment knows, and what was left out."""

    student: str
    assignment: str
    notebooks: dict[str, bytes]
    faults: tuple[Fault, ...]
    digest: str  # of notebooks and faults: not of who handed them in, nor of when
    timestamp: str | None
    secret: str | None = None  # by which nbgrader's exchange hides feedback
    pictures: dict[str, bytes] = field(default_factory=dict)  # that lie beside the notebooks, which show them

    def read(
        self, name: str, release: NotebookNode, solved: str | None, first: bool
    ) -> tuple[NotebookNode, tuple[Fault, ...], list[Remark]]:
        """A notebook repaired, or as released where it was not handed in; what was wrong with it, remarks.

        Its metadata say so too, whether it was `read`, and of the `first` notebook what was wrong with the
        submission. `solved` is the instructor's, as JSON: without it nothing is remarked on.
        """
        nb, faults = deepcopy(release), tuple[Fault, ...]()
        if name in self.notebooks:
            nb, faults = repair(self.notebooks[name], release, name, self.pictures)
        was_read = name in self.notebooks and not any(one.reason is Reason.NOT_A_NOTEBOOK for one in faults)
        about = [one for one in self.faults if one.notebook == name or (first and not one.notebook)]
        found = remarks(nb, nbformat.reads(solved, as_version=4) if solved else release)
        nb.metadata["course"] = NotebookNode(
            faults=[one.plain for one in (*about, *faults)],
            remarks=[vars(one) for one in found if solved],
            waiting={name: vars(one) for name, one in waiting(nb, release, found).items()},
            read=was_read,
        )
        return nb, faults, found if solved else []


def collect(folder: Path, student: str, assignment: str, known: Mapping[str, Collection[str]]) -> Submission:
    """The submission in a folder; `known` has each notebook's grade_ids. What cannot be read is a fault."""
    found = _Files(known)
    try:
        with entered(folder) as directory:  # files are opened relative to it, whatever becomes of the path
            found.read(directory)
    except OSError as problem:
        reason = Reason.MISSING_NOTEBOOK if isinstance(problem, FileNotFoundError) else Reason.LINK
        what = f"the submission is no folder that can be read: {problem.strerror}"
        found.faults = [Fault(reason, "", what)]
    notebooks, faults = dict(sorted(found.notebooks.items())), tuple(found.faults)
    parts = notebooks | found.pictures
    contents = {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}
    whole = [contents, [[fault.reason.name, fault.notebook, fault.detail] for fault in faults]]
    digest = hashlib.sha256(json.dumps(whole).encode()).hexdigest()
    about = (found.timestamp, found.secret, found.pictures)
    return Submission(student, assignment, notebooks, faults, digest, *about)


def recognised(name: str, content: bytes, known: Mapping[str, Collection[str]]) -> tuple[str, bool]:
    """Which notebook a file is ('' if none), and whether its cells say so or only its name."""
    ids = grade_ids(content)
    shared = {stem: len(ids.intersection(names)) for stem, names in known.items()}
    alike = [stem for stem in known if name.lower().endswith(".ipynb") and _bare(name) == _bare(stem)]
    best = max(known, key=lambda stem: (shared[stem], stem in alike), default="")
    return (best, True) if best and shared[best] else ("".join(alike[:1]), False)


def _bare(name: str) -> str:
    """A notebook's name without what makes copies differ."""
    return COPY.sub("", name.rpartition("/")[2].lower().removesuffix(".ipynb")[-LONGEST_NAME:])


class _Files:
    """What is found in a submission's folder."""

    def __init__(self, known: Mapping[str, Collection[str]]) -> None:
        self.known = known
        self.notebooks: dict[str, bytes] = {}
        self.pictures: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.timestamp: str | None = None
        self.secret: str | None = None
        self.room = 4 * LARGEST

    def read(self, directory: int) -> None:
        present = sorted(os.listdir(directory))
        stems = {f"{stem}.ipynb": stem for stem in sorted(self.known)}
        lying: list[str] = []
        for name in present:
            stem = stems.get(name, "")
            if stem or name in (TIMESTAMP, SECRET):
                try:
                    with opened(directory, name) as file:
                        self._take(name, stem, file)
                except Refused as refusal:
                    advice = ": clear its outputs" * (refusal.reason is Reason.TOO_LARGE and bool(stem))
                    self.faults.append(Fault(refusal.reason, stem, f"{name} {refusal.why}{advice}"))
            elif not UNHEEDED.fullmatch(name):
                lying.append(name)
        missing = [stem for name, stem in stems.items() if name not in present]
        if left := self._search(directory, lying, missing):
            self.faults.append(Fault(Reason.LEFT_OUT, "", f"not used: {listed(left)}"))

    def _take(self, name: str, stem: str, file: BinaryIO) -> None:
        """A notebook that has its name, or what nbgrader wrote."""
        if stem:
            self.notebooks[stem] = self._content(file)
        elif name == SECRET:
            self.secret = _content(file, SMALL).decode("ascii", "ignore").strip()
        else:
            self.timestamp, problem = _timestamp(_content(file, SMALL))
            if problem:
                self.faults.append(Fault(Reason.TIME_OF_SUBMISSION, "", f"{name} {problem}"))

    def _content(self, file: IO[bytes]) -> bytes:
        """What a file holds. Raises Refused where that is more than it or the submission may have."""
        content = _content(file, min(LARGEST, self.room))
        self.room -= len(content)
        return content

    def _search(self, directory: int, names: list[str], missing: list[str]) -> list[str]:
        """Look in files of these names for missing notebooks and for pictures; what is left of all that."""
        left = dict(enumerate(self._inside(directory, names)))  # an archive may name two files alike
        files = {at: content for at, (_, content) in left.items() if isinstance(content, bytes)}
        known = {at: recognised(left[at][0], content, self.known) for at, content in files.items()}
        for stem in missing:
            mine = [at for at, (which, _) in known.items() if which == stem]
            mine = [at for at in mine if known[at][1]] or mine
            paths = [printable(left.pop(at)[0], LONGEST_NAME) for at in mine]
            reason, what = Reason.SEVERAL_NOTEBOOKS, f"{listed(paths)}: leave one, and call it {stem}.ipynb"
            if len({files[at] for at in mine}) == 1:
                self.notebooks[stem] = files[mine[0]]
                reason, what = Reason.WRONG_NAME, f"{paths[0]} was taken for {stem}.ipynb"
            elif not mine:
                reason = Reason.MISSING_NOTEBOOK
                what = f"{stem}.ipynb is not there: hand in the notebook itself, under this name"
            self.faults.append(Fault(reason, stem, what))
        pictures = {at: path.rpartition("/")[2] for at, (path, _) in left.items() if at in files}
        pictures = {at: name for at, name in pictures.items() if guess_type(name)[0] in PICTURES}
        shown = {name for raw in self.notebooks.values() for name in shown_in(raw)} if pictures else ()
        self.pictures = {name: files[at] for at, name in pictures.items() if name in shown and left.pop(at)}
        return [_told(*one) for one in left.values()]

    def _inside(self, directory: int, names: list[str]) -> Iterator[tuple[str, bytes | str]]:
        """Files of these names, in folders of theirs and in one archive: what they hold, or why nothing."""
        archives: dict[str, bytes] = {}
        for path, content in self._flat(directory, names):
            if path.lower().endswith(".zip") and isinstance(content, bytes):
                archives[path] = content
            else:
                yield path, content
        if len(archives) == 1:
            yield from self._unpacked(*archives.popitem())
        yield from ((path, "one of several archives") for path in archives)

    def _flat(self, directory: int, names: list[str], above: str = "") -> Iterator[tuple[str, bytes | str]]:
        """Files in an open directory, and those one level down."""
        for name in names[:MOST_FILES]:
            path = above + name
            try:
                with opened(directory, name, folders=not above) as file:
                    if isinstance(file, int):
                        inside = [one for one in sorted(os.listdir(file)) if not UNHEEDED.fullmatch(one)]
                        yield from self._flat(file, inside, f"{path}/")
                    else:
                        yield path, self._content(file)
            except Refused as refusal:
                yield path, refusal.why
        if names[MOST_FILES:]:
            yield f"{above}{len(names) - MOST_FILES} more files", "too many"

    def _unpacked(self, archive: str, content: bytes) -> Iterator[tuple[str, bytes | str]]:
        """Files in an archive; nothing is written."""
        if content.count(b"PK\1\2") > MOST_FILES:  # as every entry of its directory begins
            yield archive, f"more than {MOST_FILES} files in it"
            return
        try:
            with zipfile.ZipFile(BytesIO(content)) as unpacked:
                for entry in unpacked.infolist():
                    if not entry.is_dir() and not any(map(UNHEEDED.fullmatch, entry.filename.split("/"))):
                        yield f"{archive}/{entry.filename}", self._entry(unpacked, entry)
        except Exception as problem:  # zipfile promises no closed list
            yield archive, f"an archive that cannot be opened ({type(problem).__name__})"

    def _entry(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | str:
        """A file in an archive, or why it is not read."""
        if stat.S_ISLNK(entry.external_attr >> 16):
            return "a link"
        if entry.flag_bits & 1:
            return "encrypted"
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return "packed in an unusual way"
        try:
            with archive.open(entry) as file:
                return self._content(file)
        except Refused as refusal:
            return refusal.why
        except Exception as problem:
            return f"damaged ({type(problem).__name__})"


@contextmanager
def entered(folder: str | Path, above: int | None = None) -> Iterator[int]:
    """A folder, open, and nothing that only leads to one; OSError for anything else."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def opened(directory: int, name: str, folders: bool = False) -> Iterator[Any]:
    """A regular file, or a descriptor of a folder where these are asked for; Refused for anything else."""
    try:
        # O_NONBLOCK: opening a fifo would otherwise wait until somebody writes.
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        try:
            mode = os.fstat(handle).st_mode
            if folders and stat.S_ISDIR(mode):
                yield handle
            elif stat.S_ISREG(mode):
                with open(handle, "rb", closefd=False) as file:
                    yield file
            else:
                raise Refused(Reason.LINK, "is a folder, a device or a pipe")
        finally:
            os.close(handle)
    except OSError as problem:
        why = "is a link" if problem.errno == ELOOP else f"cannot be read: {problem.strerror}"
        raise Refused(Reason.LINK, why) from None


def _content(file: IO[bytes], limit: int) -> bytes:
    """What a file holds. Raises Refused if that is more than `limit` bytes."""
    content = file.read(limit + 1)  # whatever is said of its size: it may grow, an archive may lie
    if len(content) > limit:
        raise Refused(Reason.TOO_LARGE, f"has more than the {limit:,} bytes that are left for it")
    return content


def _timestamp(content: bytes) -> tuple[str | None, str]:
    """The text of nbgrader's timestamp, None if nbgrader could not read it, and what is wrong with it."""
    try:
        text = content.decode().strip()
        words = text.split(" ")
        zone = words[2] if len(words) == 3 else "0"
        if len(text) > TIMESTAMP_LENGTH or not ZONE.fullmatch(zone):
            raise ValueError(text)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            parse_utc(text)
    except Exception:  # dateutil promises no closed list
        return None, "holds no time that nbgrader can read, so nobody knows how late it was"
    known = re.fullmatch(r"[+-]?\d+", zone) or gettz(zone)
    return text, "" if known and not said else "names a zone that is not known: it was read as UTC"


def _told(name: str, content: bytes | str) -> str:
    """A file's name, and why it was not read or else what it is, as far as that is known."""
    why = content.removeprefix("is ") if isinstance(content, str) else ""
    said = why or KINDS.get(os.path.splitext(name)[1].lower())
    return printable(name, LONGEST_NAME) + (f" ({said})" if said else "")

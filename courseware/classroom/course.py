"""An instructor's folder: its assignments, who has handed in what, and the seeds that grading draws.

Seeds are derived from a secret of the course (autograded/.secret), the student and what was handed in:
nobody can know them before, and a batch that is done again has the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from course_utils.files import whole, writable
from course_utils.settings import CourseError
from courseware import notebooks
from courseware.authoring import release
from courseware.grading.submission.collect import Submission, collect
from courseware.grading.submission.repair import grade_ids, listed
from courseware.grading.work import Job, Rules

log = logging.getLogger("course.grading")
MEND = "mend that, then give the same command again"
LONGEST_NAME = 128  # of a student, in nbgrader's gradebook


class Course:
    """An instructor's folder: where nbgrader's configuration says things are."""

    def __init__(self, root: Path, config: Config | None = None) -> None:
        """`config` is that of a command of nbgrader's, which knows more than the file."""
        self.root = root
        self.config = release.settings(root) if config is None else Config(config)
        self.config.CourseDirectory.root = str(root)
        self.directory = CourseDirectory(config=self.config)

    def folder(self, kind: str, student: str, assignment: str) -> Path:
        """`kind` is submitted, autograded, feedback, release or source."""
        named = getattr(self.directory, f"{kind}_directory")
        return Path(self.directory.format_path(named, student, assignment))

    @property
    def graded(self) -> Path:
        """Where the records of everybody are, made if need be."""
        folder = self.root / self.directory.autograded_directory
        with writable(folder, MEND):
            folder.mkdir(exist_ok=True)
        return folder

    def students(self, assignment: str) -> list[str]:
        """Everybody who handed something in. Raises CourseError where nobody did."""
        names = self.handed_in(assignment)
        if not names:
            raise CourseError(
                f"Nothing is handed in for {assignment}: {self.directory.submitted_directory}/STUDENT/"
                f"{assignment}/ is where nbgrader puts it (`nbgrader collect`, `nbgrader zip_collect`)."
            )
        if not any(map(can_be_kept, names)):
            raise CourseError(" ".join(self.astray(assignment)))
        return list(filter(can_be_kept, names))

    def astray(self, assignment: str) -> list[str]:
        """A sentence for each folder whose name no student can have, and for what lies in no such folder."""
        submitted = self.root / self.directory.submitted_directory
        known = {path.name for path in (self.root / self.directory.source_directory).iterdir()}
        files = [path for path in submitted.glob("[!.]*") if path.is_file()]
        files += [path for path in submitted.glob("[!.]*/[!.]*") if path.name not in known]
        found = listed(sorted(ascii(str(path.relative_to(submitted)))[1:-1] for path in files))
        where = f"{self.directory.submitted_directory}/STUDENT/ASSIGNMENT/"
        return [f"Not graded, since it does not lie in a folder {where}: {found}."] * bool(found) + [
            f"The gradebook cannot hold a student called {name!a}, whose submission is not graded: give the "
            f"folder below {self.directory.submitted_directory}/ a name of at most {LONGEST_NAME} letters, "
            "all of which can be seen, without < > & and double quotes."
            for name in self.handed_in(assignment)
            if not can_be_kept(name)
        ]

    def handed_in(self, assignment: str) -> list[str]:
        """Names of folders with a submission; hidden ones are nobody's, as they are for nbgrader."""
        submitted = self.root / self.directory.submitted_directory
        folders = submitted.iterdir() if submitted.is_dir() else ()
        # A link that leads nowhere has been handed in as well.
        named = (folder.name for folder in folders if os.path.lexists(folder / assignment))
        return sorted(name for name in named if not name.startswith("."))

    def notebooks(self, kind: str, assignment: str) -> dict[str, NotebookNode]:
        """The assignment's notebooks by name: `release` or `source`."""
        files = sorted(self.folder(kind, ".", assignment).glob("*.ipynb"))
        return {file.stem: notebooks.read(file) for file in files}

    def assignment(self, name: str) -> Assignment:
        """Raises CourseError where it has no released notebooks."""
        released, solved = (
            {stem: nbformat.writes(nb) for stem, nb in self.notebooks(kind, name).items()}
            for kind in ("release", "source")
        )
        if not released:
            raise CourseError(f"{name} has no released notebooks: run `course build`.")
        return Assignment(self, name, released, solved)

    def tidy(self, assignment: str) -> None:
        """Remove what a batch has not come to put in place."""
        for kind in (self.directory.autograded_directory, self.directory.feedback_directory):
            folder = self.root / kind
            for leftover in folder.glob(f"*/.{assignment}.*"):
                shutil.rmtree(leftover, ignore_errors=True)
            for leftover in (*folder.glob(".*.part"), *folder.glob(f"*/{assignment}/.*.part")):
                leftover.unlink()

    @cached_property
    def secret(self) -> bytes:
        """What seeds are derived from; made once."""
        file = self.graded / ".secret"
        if not file.exists() or not file.stat().st_size:  # a full disk leaves empty files
            with whole(file, MEND) as made:
                made.touch(0o660 if self.directory.groupshared else 0o600)
                made.write_text(secrets.token_hex(16))
        return file.read_bytes()

    @contextmanager
    def alone(self, wait: bool = True) -> Iterator[None]:
        """Keep others who write out, once they have ended. Without `wait` CourseError where one has not."""
        descriptor = os.open(self.graded, os.O_RDONLY)
        try:
            try:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with this process
                except BlockingIOError:
                    if not wait:
                        raise CourseError("Another is grading here: try again when that has ended.") from None
                    log.warning("Another is grading here; this goes on when that has ended.")
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as problem:
                raise CourseError(
                    f"{self.graded} cannot be locked ({problem.strerror}), which keeps two from grading at "
                    "once: grade on a disk of this machine, or one whose server knows locks."
                ) from None
            yield
        finally:
            os.close(descriptor)

    def derived(self, about: str) -> bytes:
        """32 bytes that follow from the secret and from what they are about."""
        return hmac.digest(self.secret, about.encode(), hashlib.sha256)


def can_be_kept(name: str) -> bool:
    """Whether the gradebook has room for it, people see every letter, and no page takes one as its own."""
    return len(name) <= LONGEST_NAME and name.isprintable() and not set(name) & set('<>&"')


@dataclass(frozen=True)
class Assignment:
    """One assignment of a course: its notebooks as released and as solved (JSON by name)."""

    course: Course
    name: str
    released: dict[str, str]
    solved: dict[str, str]

    def submission(self, student: str) -> Submission:
        return collect(self.course.folder("submitted", student, self.name), student, self.name, self._known)

    @cached_property
    def _known(self) -> dict[str, set[str]]:
        """The grade_ids of each notebook, by which it is recognised."""
        return {name: grade_ids(text.encode()) for name, text in self.released.items()}

    def job(self, student: str, rules: Rules, seed: int | None = None) -> Job:
        """A student's submission, read now, to be graded with this seed or the one that follows from it."""
        submission = self.submission(student)
        if seed is None:
            about = f"{student}\n{self.name}\n{submission.digest}"
            seed = int.from_bytes(self.course.derived(about)[:4], "big") >> 1
        return Job(submission, self.released, self.solved, seed, rules)

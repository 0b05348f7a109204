"""nbgrader's exchange where nobody reads or changes what is another's: by accounts and modes alone.

A submission is a box in inbound/: a folder of its student and of the instructors' group, which nobody else
can enter, and into which its feedback is put. All may put boxes there, the group alone can list them, and
nobody moves what is another's. Nothing rests on a name that is secret. Whose a box is says its owner, and
when it was handed in says the file system (ctime), which no user can set: both whatever a student wrote.
What lies in a box is a stranger's: no link is followed, no pipe waited for, nothing read without end.

nbgrader loads its plug-ins together, so students have all of them. docs/instructors.md has the set-up.
"""

import filecmp
import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.exchange import default
from nbgrader.utils import parse_utc

from course_utils import settings
from course_utils.checks.words import printable
from course_utils.files import put
from course_utils.settings import CourseError
from courseware import updating
from courseware.grading.reasons import Refused
from courseware.grading.submission import collect
from courseware.grading.submission.collect import LARGEST, MOST_FILES, SECRET, TIMESTAMP, entered, opened

SHARED, INBOUND = 0o2775, 0o3773  # what is made in them is the group's; inbound is sticky and not listed
FEEDBACK = "feedback"  # the folder of a box that instructors write to
TOLD = 128  # letters of a name that somebody else gave


class Guarded(default.Exchange):
    """What every command does first: refuse an exchange that keeps no secrets."""

    def start(self) -> Any:
        self.ensure_root()  # nbgrader leaves it out where instructors share a folder
        try:
            return super().start()
        except CourseError as problem:
            self.fail(str(problem))

    def ensure_root(self) -> None:
        root = Path(self.root)
        if not root.is_dir():
            self.fail(f"There is no exchange at {root}: docs/instructors.md says how to make one.")
        course, group = root / self.coursedir.course_id, root.stat().st_gid
        needed = {root: (SHARED, 0o2002), course: (SHARED, 0o2002), course / "inbound": (INBOUND, 0o3004)}
        for folder, (mode, bits) in needed.items():
            there = folder.stat() if folder.is_dir() else None
            if there and ((there.st_mode ^ mode) & bits or there.st_gid != group):
                self.fail(
                    f"This exchange keeps no secrets yet: the owner of {folder} has to call `chgrp GROUP "
                    f"{folder}`, GROUP being that of the instructors, then `chmod {mode:o} {folder}`."
                )

    @property
    def boxes(self) -> Path:
        """The folder that they are in."""
        folder = Path(self.root, self.coursedir.course_id, "inbound")
        if not self.coursedir.course_id or not folder.is_dir():
            self.fail(f"There is no {folder}: is the course's name right (--course), an assignment released?")
        return folder


class ReleaseAssignment(Guarded, default.ExchangeReleaseAssignment):
    """Makes folders that belong to the group, whichever instructor makes them."""

    def ensure_directory(self, path: str, mode: int) -> None:
        if not os.path.isdir(path):
            os.mkdir(path)
            os.chmod(path, INBOUND if path == self.inbound_path else SHARED)


class FetchAssignment(Guarded, default.ExchangeFetchAssignment):
    """As nbgrader does it; into a folder that is there already comes what a newer release has changed."""

    replace_missing_files: bool

    def init_dest(self) -> None:
        asked, self.replace_missing_files = self.replace_missing_files, True  # nbgrader refuses without
        super().init_dest()
        own = Path(self.dest_path)
        # A copy of what was handed out, whose folder the student may have in several places.
        self.handed_out = Path(self.cache, self.coursedir.course_id, "fetched", *own.parts[1:])
        self.changes = updating.fetched(Path(self.src_path), self.handed_out, own)
        if not self.changes:
            self.replace_missing_files = asked
            super().init_dest()

    def copy_files(self) -> None:
        own, new = Path(self.dest_path), updating.files(Path(self.src_path))
        known = self.changes or not own.is_dir()
        if self.changes:
            kept = updating.apply(own.parent, self.changes, settings.build_folder())
            names = ", ".join(one.name for one in self.changes)
            both = f"{sum(one.conflicts for one in self.changes)} cells that you changed as well"
            self.log.info("Your teacher changed %s, %s; what you had is kept in %s.", names, both, kept)
        super().copy_files()
        if known:
            put(self.handed_out, new)


class Submit(Guarded, default.ExchangeSubmit):
    """Hands in a box; the student's own copy of it, which knows the box's name, is nobody else's either."""

    inbound_path: str

    def copy_files(self) -> None:
        inbound, name, cache = Path(self.inbound_path), self.assignment_filename, Path(self.cache_path)
        if inbound.stat().st_gid in (os.getegid(), *os.getgroups()):
            self.log.warning("Your group reads all that is handed in: if you are no instructor, tell yours.")
        cache.mkdir(parents=True, exist_ok=True)
        cache.chmod(0o700)
        with TemporaryDirectory(prefix=".", dir=inbound) as private:  # mode 0700, of the group of inbound
            self.inbound_path = private
            super().copy_files()
            box = Path(private, name)
            for file in (TIMESTAMP, SECRET):
                (box / file).unlink()  # `collect` does not ask a student for these
            self.set_perms(box, 0o640, 0o770)
            box.rename(inbound / name)
        copy = "+".join(name.split("+")[:3])  # as nbgrader calls it
        (cache / copy / SECRET).write_text(name, encoding="utf-8")


class Collect(Guarded, default.ExchangeCollect):
    """Takes from each student's boxes the last; one that cannot be read stops nobody else's."""

    def init_src(self) -> None:
        assignment, found = self.coursedir.assignment_id, dict[str, list[tuple[datetime, str]]]()
        try:
            names = sorted(os.listdir(self.boxes))
        except PermissionError:
            self.fail("Only the instructors' group reads what is handed in: once you are in it, log in anew.")
        for name in [one for one in names if f"+{assignment}+" in one and not one.startswith(".")]:
            try:
                with _box(self.boxes, name) as (box, owner):
                    when = _time(box)
            except OSError as problem:
                self._leave_out(name, f"cannot be read ({problem.strerror or problem})")
                continue
            if not name.startswith(f"{owner}+{assignment}+"):
                self._leave_out(name, f"was handed in by {owner}, under another's name")
            elif fnmatchcase(owner, self.coursedir.student_id or "*"):
                found.setdefault(owner, []).append((when, name))
        due = self._due() if self.before_duedate else None
        timely = {who: [one for one in boxes if due and one[0] <= due] for who, boxes in found.items()}
        self.src_records = {who: max(timely[who] or boxes) for who, boxes in found.items()}

    def _leave_out(self, what: str, why: str) -> None:
        self.log.warning("Not collected: %s %s.", printable(what, TOLD), why)

    def _due(self) -> datetime | None:
        with Gradebook(self.coursedir.db_url, self.coursedir.course_id) as book, suppress(MissingEntry):
            return book.find_assignment(self.coursedir.assignment_id).duedate
        return None

    def copy_files(self) -> None:
        course, assignment = self.coursedir, self.coursedir.assignment_id
        if not self.src_records:
            self.log.warning("Nobody has handed in %s.", assignment)
        for student, (when, name) in sorted(self.src_records.items()):
            target = Path(course.format_path(course.submitted_directory, student, assignment))
            told = collect.collect(target, student, assignment, {}).timestamp
            newer = not told or (when != parse_utc(told) if self.before_duedate else when > parse_utc(told))
            if target.is_dir() and not (newer and (self.update or self.before_duedate)):
                self.log.info("%s is there already%s.", target, "; --update takes the newer" * newer)
                continue
            try:
                with _box(self.boxes, name, student) as (box, _):
                    put(target, self._read(name, box))
            except OSError as problem:  # another's or gone meanwhile
                self._leave_out(name, f"cannot be read ({problem.strerror or problem})")
            else:
                self.log.info("Collected: %s %s, handed in %s UTC.", student, assignment, when)

    def _read(self, name: str, box: int) -> dict[str, bytes]:
        """A submission as nbgrader keeps it; of a file no more than it takes to see that it is too large."""
        files, room = dict[str, bytes](), 4 * LARGEST
        for path, file in _files(box):
            if isinstance(file, str) or room < 0:
                self._leave_out(f"{name}/{path}", file if isinstance(file, str) else "is too much")
            else:
                files[path] = file.read(min(LARGEST, room) + 1)
                room -= len(files[path])
        # Asked afterwards: what was changed while it was read was handed in later.
        return files | {
            TIMESTAMP: f"{_time(box):%Y-%m-%d %H:%M:%S.%f} UTC".encode(),
            SECRET: os.fsencode(name),
        }


class ReleaseFeedback(Guarded, default.ExchangeReleaseFeedback):
    """Puts each student's pages into the box that they belong to, if that is the student's."""

    def init_dest(self) -> None:
        self.dest_path = self.boxes

    def copy_files(self) -> None:
        left_out = self.coursedir.student_id_exclude.split(",")
        for folder in sorted(map(Path, glob.glob(self.src_path))):
            student, pages = folder.parent.name, sorted(folder.glob("*.html"))
            if student in left_out or not pages:
                continue
            try:
                self._release(student, (folder / SECRET).read_text("utf-8", "replace"), pages)
            except OSError as problem:
                why = problem.strerror or problem
                self.log.warning("No feedback released to %s, who has no box for it (%s).", student, why)
            else:
                self.log.info("Feedback released to %s.", student)

    def _release(self, student: str, name: str, pages: list[Path]) -> None:
        with _box(self.dest_path, name, student) as (box, _):
            with suppress(FileExistsError):
                os.mkdir(FEEDBACK, dir_fd=box)
            with entered(FEEDBACK, box) as place:
                if os.fstat(place).st_uid == os.geteuid():  # or else it is made already
                    os.fchown(place, -1, self.dest_path.stat().st_gid)
                    os.fchmod(place, SHARED)
                for page in pages:
                    part = f".{secrets.token_hex(8)}"  # the student may have put anything under other names
                    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=place)
                    with open(handle, "wb") as file:
                        os.fchmod(handle, 0o644)  # whoever can enter the box
                        file.write(page.read_bytes())
                    os.replace(part, page.name, src_dir_fd=place, dst_dir_fd=place)


class FetchFeedback(Guarded, default.ExchangeFetchFeedback):
    """Takes the pages out of one's own boxes."""

    def init_src(self) -> None:
        self.src_path, self.feedback_files = self.boxes, []
        cache = Path(self.cache, self.coursedir.course_id)
        for copy in sorted(cache.glob(f"*+{self.coursedir.assignment_id or '*'}+*")):
            pages, time = sorted(_feedback(self.boxes, copy).glob("*.html")), copy.name.split("+")[2]
            self.feedback_files += [(page.stem, time, page) for page in pages]
            if not pages:
                self.log.warning("There is no feedback yet on what you handed in at %s.", time)


class List(Guarded, default.ExchangeList):
    """Says which feedback can be fetched, and to instructors who handed in; it looks into nobody's box."""

    def parse_assignments(self) -> list[dict[str, Any]]:
        if self.inbound:
            found = [self.parse_assignment(path) for path in self.assignments]
            told = [{key: printable(text or "", TOLD) for key, text in one.items()} for one in found]
            return [one | {"submissions": [one | {"status": "handed in"}]} for one in told]
        listed = super().parse_assignments()
        for copy in [copy for one in listed if self.cached for copy in one["submissions"]]:
            inbound = Path(self.root, copy["course_id"], "inbound")
            for one in copy["notebooks"]:
                page = _feedback(inbound, Path(copy["path"])) / f"{one['notebook_id']}.html"
                here, there = one["local_feedback_path"], page.is_file()
                updated = bool(there and here and not filecmp.cmp(page, here, shallow=False))
                one |= {"has_exchange_feedback": there, "feedback_updated": updated}
            copy["has_exchange_feedback"] = all(one["has_exchange_feedback"] for one in copy["notebooks"])
            copy["feedback_updated"] = any(one["feedback_updated"] for one in copy["notebooks"])
        return listed


def _feedback(inbound: Path, copy: Path) -> Path:
    """Where the feedback on a submission is, of which a student has this copy."""
    known = copy / SECRET
    return (inbound / known.read_text("utf-8") if known.is_file() else copy) / FEEDBACK


@contextmanager
def _box(inbound: Path, name: str, student: str = "") -> Iterator[tuple[int, str]]:
    """A box, open, and the account that it belongs to: this student's, or OSError."""
    import pwd  # which Windows lacks

    with entered(inbound / Path(name).name) as box:  # no path, whatever somebody wrote
        try:
            owner = pwd.getpwuid(os.fstat(box).st_uid).pw_name
        except KeyError:
            raise PermissionError("its owner has no account") from None
        if student not in ("", owner):
            raise PermissionError(f"it belongs to {owner}")
        if os.fstat(box).st_dev != inbound.stat().st_dev:
            raise PermissionError("something is mounted there")
        yield box, owner


def _files(folder: int, above: str = "") -> Iterator[tuple[str, BinaryIO | str]]:
    """The files of a box and of its folders, each open, or why it is left out."""
    names = [name for name in sorted(os.listdir(folder)) if name not in (TIMESTAMP, SECRET, FEEDBACK)]
    for name in names[:MOST_FILES]:
        try:
            with opened(folder, name, folders=not above) as file:
                handle = file if isinstance(file, int) else file.fileno()
                if _whose(handle) != _whose(folder):
                    yield above + name, "is another's file"
                elif handle is file:
                    yield from _files(handle, f"{name}/")
                else:
                    yield above + name, file
        except Refused as refusal:
            yield above + name, refusal.why


def _whose(handle: int) -> tuple[int, int]:
    """Owner and file system: a student's own file system, mounted into a box, would say anything."""
    found = os.fstat(handle)
    return found.st_uid, found.st_dev


def _time(box: int) -> datetime:
    """When the last of its files was written, in UTC: not when feedback was put beside them."""
    times = [os.fstat(file.fileno()).st_ctime for _, file in _files(box) if not isinstance(file, str)]
    last = max(times, default=os.fstat(box).st_ctime)
    return datetime.fromtimestamp(last, timezone.utc).replace(tzinfo=None)

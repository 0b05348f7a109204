"""What comes from Canvas or Moodle: archives of submissions, put where nbgrader wants them.

Names in an archive are students': none becomes a path before it is looked at, nothing is followed, and all of
it is read before any of it is put in place.
"""

import re
import stat
import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from nbgrader.api import Gradebook

from course_utils.checks.words import printable
from course_utils.files import put
from course_utils.settings import CourseError
from courseware import record
from courseware.classroom import gradebook, lms, students
from courseware.classroom.course import MEND, Course
from courseware.classroom.sheets import Sheet
from courseware.classroom.students import Roll, participant
from courseware.grading.submission.collect import LARGEST as GRADED
from courseware.grading.submission.collect import SECRET, TIMESTAMP
from courseware.grading.submission.repair import listed

LARGEST = 4 * 2**30  # bytes of an archive, unpacked
MOST = 4 * GRADED  # bytes of a file: no submission may have more
LONGEST = 60  # letters of a file's name: no system takes more than 255 bytes
NAMED = {  # what a platform calls a student's file
    "canvas": re.compile(r"(?P<prefix>[^/]*?_(?P<late>LATE_)?(?P<id>\d+)_(?P<order>\d+)_)(?P<file>[^/]+)"),
    "moodle": re.compile(r"(?P<name>[^/]+?)_(?P<id>\d+)_assignsubmission_file(?:_?/|_)(?P<file>.+)"),
}
NO_FILE = re.compile(r"[^/]*_\d+_(text|link)\.html|[^/]+_\d+_assignsubmission_(?!file[_/]).+")
UNHEEDED = re.compile(r"(.*/)?(\..*|__MACOSX/.*)")  # what systems leave behind
AGAIN = re.compile(r"-\d+(?=\.ipynb$)")  # what Canvas adds to the name of what is handed in again


class Sent(NamedTuple):
    """A student's file in an archive, and what its name says."""

    entry: zipfile.ZipInfo
    named: re.Match[str]

    @property
    def title(self) -> str:
        """Under which name it is put in place."""
        title = printable(AGAIN.sub("", self.named["file"].replace("/", " - ")), 255)
        return title[-LONGEST:].lstrip(". ") or "file"

    @property
    def order(self) -> int:
        return int(self.named.groupdict().get("order", 0))

    @property
    def time(self) -> datetime:
        """When the entry was made, by the clock of this machine: archives know no zone."""
        try:
            return _utc(datetime(*self.entry.date_time))
        except ValueError:
            return datetime(1980, 1, 1)  # the first that an archive knows


# By Moodle's number: who it is, and when they handed in.
Worksheet = dict[str, tuple[str | None, datetime | None]]


def collect(
    course: Course, book: Gradebook, platform: str, file: Path, name: str, sheet: Path | None, say: record.Say
) -> None:
    """Put an archive of submissions in place: all of it, or with a CourseError nothing.

    Its files bear the time of the download. Moodle's worksheet has those of submission, and who is who;
    Canvas says who was late, and nobody else is later than the due date.
    """
    roll, due = Roll(book), students.due(book, name)
    told = _worksheet(Sheet(sheet), roll) if sheet else None
    new, times, prefixes = [], [], {}
    with _opened(file) as archive:
        found = _sorted(archive, platform, roll, told, say)
        for student, sent in found.items():
            latest = max(sent.values(), key=lambda one: one.order)
            time = max(one.time for one in sent.values())
            if told:
                time = told[latest.named["id"]][1] or time
            elif platform == "canvas" and due and not latest.named["late"]:
                time = min(time, due.get(student, due[""]))
            files: dict[str, str | bytes] = {title: archive.read(one.entry) for title, one in sent.items()}
            folder = course.folder("submitted", student, name)
            if told or _there(folder) != files:  # a later download is no later submission
                put(folder, files | {TIMESTAMP: f"{time:%Y-%m-%d %H:%M:%S} UTC"}, MEND)
                new.append(student)
            times.append(time)
            prefixes[student] = latest.named.groupdict().get("prefix")
    if platform == "canvas":
        kept = lms.attachments(course, name)
        record.keep(kept, (record.kept(kept) or {}) | prefixes)
    say(f"{len(new)} submissions of {name} are new, {len(found) - len(new)} are as they were.")
    say(f"Their times are from {min(times)} to {max(times)} UTC.")


def _worksheet(sheet: Sheet, roll: Roll) -> Worksheet:
    sheet.require("grading worksheet of Moodle's", "Identifier", "Last modified (submission)")
    found: Worksheet = {}
    for row in sheet.rows:
        said = sheet.get(row, "lastmodifiedsubmission")
        time = _utc(gradebook.moment(said)) if re.search(r"\d", said) else None
        found[participant(sheet, row)] = roll.of(sheet, row), time
    return found


def _utc(local: datetime) -> datetime:
    return local.astimezone(timezone.utc).replace(tzinfo=None)


def _opened(file: Path) -> zipfile.ZipFile:
    """The archive, looked through. Raises CourseError where it is damaged, or no platform has made it."""
    try:
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
        names = Counter(entry.filename for entry in entries)
        strange = [entry.filename for entry in entries if not _is_below(entry) or names[entry.filename] > 1]
        size = sum(entry.file_size for entry in entries)
        damaged = None if strange or size > LARGEST else archive.testzip()
    except Exception as problem:  # zipfile promises no closed list
        why = f"{file} is no ZIP archive that can be read ({type(problem).__name__})"
        raise CourseError(f"{why}: name what the platform gave you.") from None
    if strange or damaged:
        what = listed([ascii(name)[1:-1] for name in strange or [damaged or ""]])
        raise CourseError(f"{file} is damaged, or no platform's, at {what}: download it again.")
    if size > LARGEST:
        raise CourseError(f"{file} unpacks to {size:,} bytes, and {LARGEST:,} are allowed: take it apart.")
    return archive


def _is_below(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is a file or a folder below the archive's own top."""
    parts = re.split(r"[/\\]", entry.filename.removesuffix("/"))
    regular = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
    return regular and not {"", ".", ".."} & set(parts)


def _sorted(
    archive: zipfile.ZipFile, platform: str, roll: Roll, told: Worksheet | None, say: record.Say
) -> dict[str, dict[str, Sent]]:
    """The files of an archive by student and name, of two attempts the latest; what is left out is said."""
    found: dict[str, dict[str, Sent]] = defaultdict(dict)
    senders: dict[str, str] = {}
    unknown, left = list[str](), list[str]()
    for entry in archive.infolist():
        if entry.is_dir() or UNHEEDED.fullmatch(entry.filename):
            continue
        named = NAMED[platform].fullmatch(entry.filename)
        student = named and _sender(named, roll, told)
        if not (named and student):
            known = not named and NO_FILE.fullmatch(entry.filename)
            (left if known else unknown).append(entry.filename)
        elif senders.setdefault(student, named["id"]) != named["id"]:
            raise CourseError(f"{archive.filename} has two senders who may be {student}: add --worksheet.")
        elif (sent := Sent(entry, named)).title in (TIMESTAMP, SECRET) or entry.file_size > MOST:
            left.append(entry.filename)  # those are not for students to write
        elif found[student].get(sent.title, sent).order <= sent.order:
            found[student][sent.title] = sent
    if unknown or not found:
        names = listed([ascii(name)[1:-1] for name in unknown]) or "anything"
        why = f"The gradebook knows nobody who sent {names} in {archive.filename}, and nothing was collected"
        raise CourseError(f"{why}: see `course students import`, or name what the platform gave you.")
    if left:
        say(f"Left out, being no files of an answer: {listed([ascii(name)[1:-1] for name in left])}.")
    return found


def _sender(named: re.Match[str], roll: Roll, told: Worksheet | None) -> str | None:
    if told:
        return told.get(named["id"], (None, None))[0]
    name = named.groupdict().get("name")
    return roll.find([("name", name) if name else ("lms_user_id", named["id"])])


def _there(folder: Path) -> Mapping[str, bytes]:
    """What lies in a folder but for nbgrader's own."""
    files = [file for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []
    return {file.name: file.read_bytes() for file in files if file.name not in (TIMESTAMP, SECRET)}

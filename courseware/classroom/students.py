"""The class list: students with their names and ids, whom a platform means by these, who has more time."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry, Student, SubmittedAssignment

from course_utils.settings import CourseError
from courseware.classroom import gradebook
from courseware.classroom.course import LONGEST_NAME, Course, can_be_kept
from courseware.classroom.sheets import Row, Sheet, plain
from courseware.grading.submission.repair import listed

TEST_STUDENT = ("Student", "Test")  # Canvas' own, last name and first
POINTS = "Points Possible"  # what the row above Canvas' students is called

# Of nbgrader's fields of a student: the headings (`sheets.plain`) that lists and platforms have for it.
SPELLED = {
    "id": ("studentid", "sisloginid", "login", "username", "id", "idnumber", "emailaddress"),
    "lms_user_id": ("lmsuserid", "lmsid", "canvasid", "moodleid", "id", "idnumber"),
    "first_name": ("firstname", "givenname"),
    "last_name": ("lastname", "familyname", "surname"),
    "email": ("email", "emailaddress", "mail"),
}
NAMES = ("student", "fullname", "name")  # headings of first and last name in one

# What a platform's column may say of a student, what says most first.
MEANT = {
    "id": ("lms_user_id",),
    "sisuserid": ("lms_user_id", "id"),
    "sisloginid": ("id", "email", "lms_user_id"),
    "username": ("id", "lms_user_id"),
    "idnumber": ("lms_user_id", "id"),
    "emailaddress": ("email", "id"),
}


def enter(book: Gradebook, file: Path) -> tuple[list[str], list[str]]:
    """Enter a class list, or with a CourseError nothing of it; who is new, and who has changed."""
    found = _read(Sheet(file))
    there = {one.id: one for one in book.students}
    lms = {one.id: one.lms_user_id for one in there.values() if one.lms_user_id}
    lms |= {one["id"]: one["lms_user_id"] for one in found if "lms_user_id" in one}
    ids = Counter(one["id"] for one in found) + Counter(f"LMS id {one}" for one in lms.values())
    if twice := sorted(one for one, count in ids.items() if count > 1):
        raise CourseError(f"In {file} and the gradebook these are more than one student's: {listed(twice)}.")
    new, changed = [], []
    for one in found:
        student = there.get(one["id"]) or Student()
        if student.id is None:
            book.db.add(student)
            new.append(one["id"])
        elif any(getattr(student, field) != text for field, text in one.items()):
            changed.append(one["id"])
        for field, text in one.items():
            setattr(student, field, text)
    book.db.commit()  # once: nbgrader's own methods do so for every student
    return new, changed


def _read(sheet: Sheet) -> list[dict[str, str]]:
    """Fields of every student, those that are given. Raises CourseError where an id is missing or unfit."""
    columns: dict[str, str] = {}
    for field, headings in SPELLED.items():
        free = [one for one in headings if field == "email" or one not in columns.values()]
        if there := [one for one in free if one in sheet.columns]:
            columns[field] = there[0]
    if "id" not in columns:
        raise CourseError(f"{sheet.path} has no column with students' ids: call one `id`.")
    found, unfit = [], []
    for number, row in enumerate(sheet.rows, 2):
        name = next((text for heading in NAMES if (text := sheet.get(row, heading))), "")
        one = _parted(name) | {field: sheet.get(row, column) for field, column in columns.items()}
        tests = "sisloginid" in sheet.columns and (one["last_name"], one["first_name"]) == TEST_STUDENT
        if tests or POINTS in (name, one["last_name"]) or not any(one.values()):
            continue
        found.append({field: text for field, text in one.items() if text})
        if not _fit(one):
            unfit.append(f"{number} ({one['id']!a})" if one["id"] else str(number))
    if unfit or not found:
        where = f"in rows {listed(unfit)}" if unfit else "at all"
        raise CourseError(
            f"{sheet.path} has no ids that the gradebook can hold {where}: give each student one of at most "
            f"{LONGEST_NAME} letters that can be seen, without < > & / \\ and double quotes, no dot in front."
        )
    return found


def _fit(one: dict[str, str]) -> bool:
    """Whether a student can be entered, and have a folder."""
    name = one["id"]
    seen = all(len(text) <= LONGEST_NAME and text.isprintable() for text in one.values())
    return bool(name) and seen and can_be_kept(name) and name[0] != "." and not set(name) & set("/\\")


def _parted(name: str) -> dict[str, str]:
    """First and last name of `Doe, Jane` or `Jane Doe`."""
    last, comma, first = name.partition(",")
    if not comma:
        first, _, last = name.rpartition(" ")
    return {"first_name": first.strip(), "last_name": last.strip()}


def participant(sheet: Sheet, row: Row) -> str:
    """The number by which Moodle knows a student in one assignment: `Participant 12` is 12."""
    return sheet.get(row, "identifier").rpartition(" ")[2]


class Roll:
    """The students of a gradebook, by what a platform calls them."""

    def __init__(self, book: Gradebook) -> None:
        self._known: dict[tuple[str, str], set[str]] = defaultdict(set)
        for one in book.students:
            name = f"{one.first_name or ''} {one.last_name or ''}"
            fields = {"id": one.id, "lms_user_id": one.lms_user_id, "email": one.email, "name": name}
            for field, text in fields.items():
                if text and text.strip():
                    self._known[field, _alike(field, text)].add(one.id)

    def of(self, sheet: Sheet, row: Row) -> str | None:
        """Who stands in a row: by an id or address, and by the name where the row has neither."""
        ids = [(field, text) for one in MEANT if (text := sheet.get(row, one)) for field in MEANT[one]]
        return self.find(ids or [("name", sheet.get(row, "fullname"))])

    def find(self, fields: Iterable[tuple[str, str]]) -> str | None:
        """Whom the first of these that is known means. Raises CourseError where it is more than one's."""
        for field, text in fields:
            if found := sorted(self._known.get((field, _alike(field, text)), ())):
                if found[1:]:
                    raise CourseError(f"{text!r} may be {listed(found)}: give each an id of their own.")
                return found[0]
        return None


def _alike(field: str, text: str) -> str:
    """Ids in any case; of names their letters, since platforms leave out of file names what files dislike."""
    return plain(text) if field == "name" else text.casefold()


def extend(course: Course, book: Gradebook, student: str, assignment: str, until: str) -> timedelta:
    """Give one student until then, and enter at once what lateness costs now; how much longer that is.

    nbgrader keeps it with the submission and adds it to the due date itself. Where nothing is handed in yet
    the submission is entered empty, and nobody waits for points.
    """
    due, moment = book.find_assignment(assignment).duedate, gradebook.moment(until)
    if due is None:
        raise CourseError(f"{assignment} has no due date yet: set it in nbgrader_config.py (`c.Due.dates`).")
    if moment < due:
        raise CourseError(f"{assignment} is due {due} UTC, which {until} is before: name a later time.")
    if student not in course.handed_in(assignment) and student not in {one.id for one in book.students}:
        raise CourseError(f"The gradebook knows nobody called {student!a}: see `course students import`.")
    _submission(book, assignment, student).extension = (moment - due) or None
    book.db.commit()
    gradebook.enter_lateness(course, book, assignment)
    return moment - due


def _submission(book: Gradebook, assignment: str, student: str) -> SubmittedAssignment:
    try:
        return book.find_submission(assignment, student)
    except MissingEntry:
        book.update_or_create_student(student)
        with book.db.no_autoflush:  # nbgrader's objects are not in the session yet when it asks for others
            made = book.add_submission(assignment, student)
        for grade in (grade for entry in made.notebooks for grade in entry.grades):
            grade.needs_manual_grade = False
        return made


def due(book: Gradebook, assignment: str) -> dict[str, datetime]:
    """Until when, in UTC, everybody may hand in; without their time, under '', all others."""
    every = book.find_assignment(assignment).duedate
    if every is None:
        return {}
    return {"": every} | {one.student_id: one.duedate for one in book.assignment_submissions(assignment)}

"""A class list is entered whole or not at all, and more time counts wherever lateness is computed."""

import shutil
from pathlib import Path

import faked
import nbformat
import pytest
from click.testing import CliRunner
from faked import ASSIGNMENT, hand_in
from nbgrader.preprocessors import AssignLatePenalties
from traitlets.config import Config

from course_utils.settings import CourseError
from courseware import cli
from courseware.authoring import release
from courseware.classroom import batch, gradebook, students

DUE, LATE, LATER = "2030-01-02 10:00:00 UTC", "2030-01-03 10:00:00 UTC", "2030-01-04"
FIELDS = ("id", "first_name", "last_name", "email", "lms_user_id")
ADA = ("ada", "Ada", "Lovelace", "ada@uni.edu", "7")


@pytest.fixture(scope="module")
def made(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = shutil.copytree(released, tmp_path_factory.mktemp("made") / "course")
    faked.take_points_of_the_late(root)
    faked.set_due(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "course")


def enter(root: Path, text: str) -> tuple[list[str], list[str]]:
    (root / "class.csv").write_text(text, encoding="utf-8")
    with gradebook.opened(batch.Course(root), []) as book:
        return students.enter(book, root / "class.csv")


def entered(root: Path) -> list[tuple[str | None, ...]]:
    with faked.book(root) as book:
        return [tuple(getattr(one, field) for field in FIELDS) for one in book.students]


def extend(root: Path, student: str, until: str) -> None:
    course = batch.Course(root)
    with gradebook.opened(course, [ASSIGNMENT]) as book:
        students.extend(course, book, student, ASSIGNMENT, until)


# --- the class list -----------------------------------------------------------------------------------------

PLAIN = "id,first name,last name,email,lms id\nada,Ada,Lovelace,ada@uni.edu,7\n"
LISTS = {
    "plain": PLAIN,
    "nbgrader's": PLAIN.replace("lms id", "lms_user_id").replace(" name", "_name"),
    "of a spreadsheet": "\ufeff" + PLAIN.replace(",", ";"),
    "a gradebook of Canvas'": (
        "Student,ID,SIS Login ID,Section,E-Mail,small (3)\r\n"
        ",,,,,Manual Posting\r\n    Points Possible,,,,,12.00\r\n"
        '"Lovelace, Ada",7,ada,One,ada@uni.edu,\r\n"Student, Test",99,2e5f,One,,\r\n'
    ),
    "participants of Moodle's": (
        "First name,Last name,Username,ID number,Email address\nAda,Lovelace,ada,7,ada@uni.edu\n"
    ),
    "a worksheet of Moodle's": (
        "Identifier,Full name,Username,ID number,Email address\n"
        "Participant 1,Ada Lovelace,ada,7,ada@uni.edu\n"
    ),
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_lists_are_read_as_people_and_platforms_head_them(root, text):
    assert enter(root, text) == (["ada"], [])
    assert entered(root) == [ADA]


def test_what_a_list_does_not_say_stays(root):
    enter(root, PLAIN)
    assert enter(root, "id,first name,email\nada,Augusta,\nbob,Bob,\n") == (["bob"], ["ada"])
    assert ("ada", "Augusta", *ADA[2:]) in entered(root)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,mail\nAda,a@b\n", "has no column with students' ids: call one `id`."),
        ("id,name\nada,Ada\nada,Bob\n", "these are more than one student's: ada."),
        ("id,lms id\nzoe,7\n", "these are more than one student's: LMS id 7."),
        ("id,name\nzoe,Zoe\n,Bob\n", "no ids that the gradebook can hold in rows 3: give each student one"),
        ("id,name\n../zoe,Zoe\n", "no ids that the gradebook can hold in rows 2 ('../zoe'): give each"),
        ("id,name\nz\u202eoe,Zoe\n", "no ids that the gradebook can hold in rows 2"),
        ("id,name\n", "no ids that the gradebook can hold at all"),
        ("id,name\nzoe\n", "Row 2 of"),
        ("", "has no column with students' ids"),
    ],
)
def test_a_list_that_does_not_do_is_one_sentence_and_nobody_is_entered(root, text, sentence):
    enter(root, PLAIN)
    with pytest.raises(CourseError) as refused:
        enter(root, text)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)
    assert entered(root) == [ADA]


# --- more time ----------------------------------------------------------------------------------------------


def cost(root: Path) -> float:
    return faked.entries(root)["eve"]["penalty"]


@pytest.mark.parametrize("given", ["before", "after"])
def test_who_has_more_time_loses_nothing_whether_it_is_given_before_grading_or_after(root, given):
    for student in ("eve", "bob"):
        hand_in(root, student, timestamp=LATE)
    if given == "before":
        extend(root, "eve", LATER)
    faked.run(root)
    if given == "after":
        assert cost(root) > 0
        extend(root, "eve", LATER)
    assert cost(root) == 0 < faked.entries(root)["bob"]["penalty"]


def test_nbgrader_s_own_step_counts_it_too(root):
    hand_in(root, "eve", timestamp=LATE)
    faked.run(root)
    course = batch.Course(root)
    about = {"student": "eve", "assignment": ASSIGNMENT, "db_url": course.directory.db_url}

    def taken() -> float:
        for name in faked.NAMES:
            step = AssignLatePenalties(config=Config(course.config))
            step.preprocess(nbformat.v4.new_notebook(), {"nbgrader": about | {"notebook": name}})
        return cost(root)

    before = taken()
    extend(root, "eve", LATER)
    assert (before > 0, taken()) == (True, 0)


def test_the_due_date_takes_it_back(root):
    hand_in(root, "eve", timestamp=LATE)
    faked.run(root)
    extend(root, "eve", LATER)
    extend(root, "eve", DUE)
    assert cost(root) > 0


def test_who_has_more_time_and_nothing_handed_in_waits_for_no_points_and_stops_no_new_release(root):
    enter(root, PLAIN)
    extend(root, "ada", LATER)
    course = batch.Course(root)
    with gradebook.opened(course, [ASSIGNMENT]) as book:
        assert gradebook.standing(book, ASSIGNMENT) == {"ada": (0.0, 0)}
        assert release.graded(book, ASSIGNMENT) == {}
        released = course.notebooks("release", ASSIGNMENT)
        released["first"].cells[1].metadata.nbgrader.points = 5
        assert release.revaluation(book, ASSIGNMENT, released) == ""


@pytest.mark.parametrize(
    ("student", "until", "sentence"),
    [
        ("nobody", LATER, "The gradebook knows nobody called 'nobody': see `course students import`."),
        ("ada", "2030-01-01", "small is due 2030-01-02 10:00:00 UTC, which 2030-01-01 is before"),
        ("ada", "soon", "'soon' is no time: write 2030-01-31, or 2030-01-31T18:00+01:00."),
    ],
)
def test_time_that_cannot_be_given_is_one_sentence(root, student, until, sentence):
    enter(root, PLAIN)
    with pytest.raises(CourseError) as refused:
        extend(root, student, until)
    assert sentence in str(refused.value)


def test_due_dates_of_the_configuration_are_entered_and_a_day_is_meant_to_its_end(root):
    faked.configure(root, f'c.Due.dates = {{"{ASSIGNMENT}": "2031-05-06"}}')
    with gradebook.opened(batch.Course(root), [ASSIGNMENT]) as book:
        assert str(book.find_assignment(ASSIGNMENT).duedate) == "2031-05-06 23:59:59"
    faked.configure(root, f'c.Due.dates = {{"{ASSIGNMENT}": "soon"}}')
    with pytest.raises(CourseError, match="'soon' is no time"):
        extend(root, "ada", LATER)


def test_the_commands_say_what_they_did(root, monkeypatch):
    monkeypatch.chdir(root)
    (root / "class.csv").write_text(PLAIN)
    commands = ("students", "import", "class.csv"), ("extend", "ada", ASSIGNMENT, LATER)
    said = [CliRunner().invoke(cli.main, words).output for words in commands]
    assert said[0] == "1 students are new, 0 have changed.\n"
    assert (
        "ada has until 2030-01-04 23:59:59 UTC for small, 2 days, 13:59:59 more than the others." in said[1]
    )

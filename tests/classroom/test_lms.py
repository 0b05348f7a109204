"""Canvas' and Moodle's tables come back filled and otherwise as they were; their archives are collected."""

import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faked
import pytest
from click.testing import CliRunner
from faked import ASSIGNMENT, hand_in

from courseware import cli
from courseware.classroom import batch, gradebook, students
from courseware.classroom.sheets import Sheet

CLASS = (
    "id,first name,last name,email,lms id\nada,Ada,Lovelace,ada@uni.edu,101\nbob,Bob,O'Neil,bob@uni.edu,102\n"
    "eve,Eve,Ng,eve@uni.edu,103\nzoe,Zoé,Ng,zoe@uni.edu,104\n"
)
CANVAS = (
    '\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,"Quiz, one (1)",small (22),Final Score\r\n'
    ",,,,,Manual Posting,,\r\n"
    "    Points Possible,,,,,5.00,12.00,(read only)\r\n"
    '"Lovelace, Ada",101,S1,ada,"A ""1""",3.00,,80.00\r\n'
    '"O\'Neil, Bob",102,,bob,A,=1+1,{bob},\r\n'
    '"Ng, Eve","103",,eve,A,,EX,\r\n'
    '"Student, Test",999,,9f,A,,,\r\n'
)
MOODLE = (
    'Identifier,"Full name","Email address",Status,Grade,"Maximum grade",'
    '"Last modified (submission)","Feedback comments"\n'
    'Participant 11,"Ada Lovelace",ada@uni.edu,Submitted,,12.00,"Tuesday, 1 January 2030, 9:00 AM",\n'
    'Participant 12,"Bob O\'Neil",BOB@uni.edu,"Draft",1.00,12.00,"Tuesday, 1 January 2030, 9:30 AM",old\n'
    'Participant 14,"Zoé Ng",zoe@uni.edu,"No submission",,12.00,-,\n'
    'Participant 15,"Guest",guest@uni.edu,"No submission",,12.00,-,"a ""b"""\n'
)


@pytest.fixture(scope="module")
def made(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course of which ada, bob and eve have handed in an assignment, and zoe has not."""
    root = shutil.copytree(released, tmp_path_factory.mktemp("made") / "course")
    (root / "class.csv").write_text(CLASS, encoding="utf-8")
    with gradebook.opened(batch.Course(root), []) as book:
        students.enter(book, root / "class.csv")
    for student in ("ada", "bob", "eve"):
        hand_in(root, student)
    faked.run(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shutil.copytree(made, tmp_path / "course")
    monkeypatch.chdir(root)
    return root


def course(*words: str) -> str:
    """What a command that ends well says."""
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli.main, words)
    assert done.exit_code == 0, done.output
    return done.output


def refused(*words: str) -> str:
    """The one sentence of a command that does not."""
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli.main, words)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.output
    return done.stderr


def given(root: Path, text: str, name: str = "table.csv") -> str:
    (root / name).write_bytes(text.encode())
    return name


def filled(root: Path, name: str = "table.csv") -> str:
    return (root / "build" / "export" / name).read_bytes().decode()


def points(root: Path, student: str) -> str:
    found = faked.entries(root)[student]
    return f"{found['score'] - found['penalty']:g}"


# --- there --------------------------------------------------------------------------------------------------


def test_canvas_own_table_has_the_points_and_every_other_byte_as_it_was(root):
    faked.give(root, "ada", 1.25)
    before = CANVAS.replace("{bob}", "0.00")
    said = course("export", "--canvas", given(root, before), ASSIGNMENT)
    after = before.replace("3.00,,80", f"3.00,{points(root, 'ada')},80")
    assert filled(root) == after.replace("0.00,\r", f"{points(root, 'bob')},\r")
    assert (root / "table.csv").read_bytes().decode() == before
    assert "small: 11 answers still wait for a person, and count nothing yet." in said
    assert "Not in the gradebook, so left as they were: Student, Test." in said


def test_what_canvas_has_no_column_for_is_a_table_beside_it(root):
    faked.give(root, "ada", 1.25, comment="=Well argued.")
    course("export", "--canvas", given(root, CANVAS), ASSIGNMENT)
    comments = Sheet(root / "build" / "export" / f"{ASSIGNMENT}-comments.csv")
    (ada,) = [row for row in comments.rows if comments.get(row, "student") == "ada"]
    assert comments.get(ada, "comment").startswith(f"{points(root, 'ada')} of 12 points\n")
    assert "essay: =Well argued." in comments.get(ada, "comment")


def test_moodle_s_own_worksheet_has_points_and_comments_and_every_other_cell_as_it_was(root):
    faked.give(root, "ada", 1.25, comment='a < b, "c"')
    course("export", "--moodle", given(root, MOODLE), ASSIGNMENT)
    before, after = Sheet(root / "table.csv"), Sheet(root / "build" / "export" / "table.csv")
    for old, new, student in zip(before.rows, after.rows, ("ada", "bob", "", ""), strict=True):
        if student:
            assert after.get(new, "grade") == points(root, student)
            assert after.get(new, "feedbackcomments").startswith(f"{points(root, student)} of 12 points")
        ours = {before.columns["grade"], before.columns["feedbackcomments"]} if student else set()
        assert [cell for at, cell in enumerate(old) if at not in ours] == [
            cell for at, cell in enumerate(new) if at not in ours
        ]
    assert "essay: a &lt; b, &quot;c&quot;" in after.get(after.rows[0], "feedbackcomments")


def test_pages_are_packed_under_the_names_that_moodle_gives(root):
    course("export", "--moodle", given(root, MOODLE), ASSIGNMENT)
    with zipfile.ZipFile(root / "build" / "export" / f"{ASSIGNMENT}-feedback.zip") as archive:
        assert sorted(archive.namelist()) == [
            f"{who}_assignsubmission_file_/{page}.html"
            for who in ("Ada Lovelace_11", "Bob O Neil_12")
            for page in ("first", "second")
        ]


@pytest.mark.parametrize(
    ("platform", "text", "sentence"),
    [
        ("canvas", MOODLE, "is no gradebook of Canvas', in English: it lacks ID, SIS Login ID."),
        ("moodle", CANVAS, "is no grading worksheet of Moodle's, in English: it lacks Identifier, Full name"),
        ("canvas", CANVAS.replace("small", "other"), "needs one column for each of small"),
        ("canvas", CANVAS.replace("Quiz, one", "small"), "needs one column for each of small"),
        ("canvas", CANVAS.replace("    Points Possible", "Punkte"), "lacks the row 'Points Possible'"),
        ("canvas", CANVAS.replace("12.00", "10.00"), "is worth 12 points, and in table.csv 10.00: change"),
        ("moodle", MOODLE.replace("12.00", "100.00"), "is worth 12 points, and in table.csv 100.00: change"),
        ("canvas", CANVAS.replace("102", "101"), "ada has two rows in table.csv: leave the right one."),
        ("moodle", MOODLE.replace("uni.edu", "x.org"), "The gradebook knows nobody in table.csv"),
        ("canvas", CANVAS.replace("EX,", "EX"), "Row 6 of table.csv has 7 cells, its headings are 8"),
        ("canvas", "PK\x03", "is no gradebook of Canvas'"),
    ],
)
def test_a_table_that_does_not_fit_is_one_sentence_and_nothing_is_written(root, platform, text, sentence):
    said = refused("export", f"--{platform}", given(root, text), ASSIGNMENT)
    assert sentence in said and not (root / "build" / "export").exists()


def test_the_file_that_is_filled_is_not_written_over(root):
    (root / "build" / "export").mkdir(parents=True)
    file = given(root, CANVAS, "build/export/table.csv")
    assert "lies where the filled one is written" in refused("export", "--canvas", file, ASSIGNMENT)
    assert filled(root) == CANVAS


# --- and back -----------------------------------------------------------------------------------------------

NOTEBOOK = '{"cells": []}'
WHEN = (2030, 1, 3, 12, 0, 0)


def packed(root: Path, files: dict[Any, str], when: Any = WHEN) -> str:
    with zipfile.ZipFile(root / "sent.zip", "w") as archive:
        for entry, text in files.items():
            archive.writestr(zipfile.ZipInfo(entry, when) if isinstance(entry, str) else entry, text)
    return "sent.zip"


def handed_in(root: Path, student: str) -> dict[str, str]:
    folder = root / "submitted" / student / ASSIGNMENT
    return {file.name: file.read_text() for file in folder.iterdir()}


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_of_canvas_archive_the_latest_attempt_is_in_place_under_the_gradebook_s_id(root):
    sent = {
        "lovelaceada_101_5_first.ipynb": "old",
        "lovelaceada_101_9_first-1.ipynb": "new",
        "lovelaceada_101_7_a_b.png": "picture",
        "lovelaceada_101_8_..": "nowhere",
        "ngeve_LATE_103_6_first.ipynb": NOTEBOOK,
        "ngzo_104_text.html": "words",
    }
    said = course("collect", "--canvas", packed(root, sent), ASSIGNMENT)
    assert handed_in(root, "ada") == {
        "first.ipynb": "new", "a_b.png": "picture", "file": "nowhere",
        "timestamp.txt": "2030-01-03 12:00:00 UTC",
    }  # fmt: skip
    assert "Left out, being no files of an answer: ngzo_104_text.html." in said
    assert not (root / "submitted" / "zoe").exists()


def test_who_is_not_late_for_canvas_is_not_later_than_the_due_date(root):
    faked.set_due(root)
    sent = {"lovelaceada_101_5_first.ipynb": NOTEBOOK, "ngeve_LATE_103_6_first.ipynb": NOTEBOOK}
    course("collect", "--canvas", packed(root, sent), ASSIGNMENT)
    times = [handed_in(root, who)["timestamp.txt"] for who in ("ada", "eve")]
    assert times == ["2030-01-02 10:00:00 UTC", "2030-01-03 12:00:00 UTC"]


@pytest.mark.parametrize("end", ["_/", "/"])
def test_of_moodle_s_archive_names_say_who_it_is(root, end):
    top = f"Ada Lovelace_11_assignsubmission_file{end}"
    sent = {f"{top}first.ipynb": NOTEBOOK, f"{top}more/first.ipynb": "2",
            "Bob ONeil_12_assignsubmission_file_second.ipynb": NOTEBOOK,
            "Zoé Ng_14_assignsubmission_onlinetext_/onlinetext.html": "words"}  # fmt: skip
    course("collect", "--moodle", packed(root, sent), ASSIGNMENT)
    assert handed_in(root, "ada").keys() == {"first.ipynb", "more - first.ipynb", "timestamp.txt"}
    assert handed_in(root, "bob").keys() == {"second.ipynb", "timestamp.txt"}


def test_a_worksheet_says_who_is_who_and_when_they_handed_in(root):
    sent = {"Participant_12_assignsubmission_file_/first.ipynb": NOTEBOOK}
    words = ("collect", "--moodle", packed(root, sent), ASSIGNMENT)
    assert "knows nobody who sent Participant_12_" in refused(*words)
    course(*words, "--worksheet", given(root, MOODLE))
    assert handed_in(root, "bob") == {"first.ipynb": NOTEBOOK, "timestamp.txt": "2030-01-01 09:30:00 UTC"}


def test_a_later_download_of_the_same_is_no_later_submission(root):
    sent = {"Ada Lovelace_11_assignsubmission_file_/first.ipynb": NOTEBOOK}
    course("collect", "--moodle", packed(root, sent), ASSIGNMENT)
    again = packed(root, sent, (2030, 2, 1, 0, 0, 0))
    said = course("collect", "--moodle", again, ASSIGNMENT)
    assert "0 submissions of small are new, 1 are as they were." in said
    assert handed_in(root, "ada")["timestamp.txt"] == "2030-01-03 12:00:00 UTC"


def test_no_student_writes_the_time_or_the_secret_of_a_submission(root):
    top = "lovelaceada_101_5_"
    sent = {"first.ipynb": NOTEBOOK, "timestamp.txt": "1999-01-01", "submission_secret.txt": "x"}
    sent = {top + name: text for name, text in sent.items()}
    course("collect", "--canvas", packed(root, sent), ASSIGNMENT)
    assert handed_in(root, "ada") == {"first.ipynb": NOTEBOOK, "timestamp.txt": "2030-01-03 12:00:00 UTC"}


def test_pages_go_back_to_canvas_under_the_names_that_it_gave(root):
    sent = {"lovelaceada_101_5_first.ipynb": NOTEBOOK, "oneilbob_LATE_102_6_first.ipynb": NOTEBOOK}
    course("collect", "--canvas", packed(root, sent), ASSIGNMENT)
    said = course("export", "--canvas", given(root, CANVAS), ASSIGNMENT)
    assert "Pages of 2 of 3 students" in said
    with zipfile.ZipFile(root / "build" / "export" / f"{ASSIGNMENT}-feedback.zip") as archive:
        assert {"lovelaceada_101_5_first.html", "oneilbob_LATE_102_6_second.html"} < set(archive.namelist())


LINK = zipfile.ZipInfo("ngeve_103_6_first.ipynb", WHEN)
LINK.create_system, LINK.external_attr = 3, 0o120777 << 16
GOOD = {"lovelaceada_101_5_first.ipynb": NOTEBOOK}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"../lovelaceada_101_6_first.ipynb": ""}, "is damaged, or no platform's, at ../lovelaceada"),
        ({"/ngeve_103_6_first.ipynb": ""}, "is damaged, or no platform's, at /ngeve"),
        ({"x\\..\\ngeve_103_6_first.ipynb": ""}, "is damaged, or no platform's, at x"),
        ({LINK: "/etc/passwd"}, "is damaged, or no platform's, at ngeve"),
        ({"ngeve_103_6_first.ipynb": "x" * 5000}, "unpacks to 5,013 bytes, and 5,000 are allowed"),
        ({"nobody_555_6_first.ipynb": ""}, "knows nobody who sent nobody_555_6_first.ipynb in"),
        ({"notes.txt": ""}, "knows nobody who sent notes.txt in"),
    ],
)
def test_a_strange_archive_is_one_sentence_and_nothing_is_collected(root, monkeypatch, files, sentence):
    monkeypatch.setattr("courseware.classroom.archives.LARGEST", 5000)
    before = handed_in(root, "ada")
    assert sentence in refused("collect", "--canvas", packed(root, GOOD | files), ASSIGNMENT)
    assert handed_in(root, "ada") == before


def test_an_archive_that_names_a_file_twice_or_is_none_is_one_sentence(root):
    packed(root, GOOD)
    with pytest.warns(UserWarning), zipfile.ZipFile(root / "sent.zip", "a") as archive:
        archive.writestr("lovelaceada_101_5_first.ipynb", NOTEBOOK)
    collecting = "collect", ASSIGNMENT, "--canvas"
    assert "is damaged, or no platform's, at lovelaceada" in refused(*collecting, "sent.zip")
    packed(root, GOOD)
    (root / "sent.zip").write_bytes((root / "sent.zip").read_bytes().replace(b"cells", b"CELLS"))
    assert "is damaged, or no platform's, at lovelaceada" in refused(*collecting, "sent.zip")
    assert "no ZIP archive that can be read" in refused(*collecting, "class.csv")


def test_two_who_may_be_the_same_student_are_one_sentence(root):
    sent = {f"Ada Lovelace_{number}_assignsubmission_file_/first.ipynb": "" for number in (11, 12)}
    said = refused("collect", "--moodle", packed(root, sent), ASSIGNMENT)
    assert "two senders who may be ada: add --worksheet." in said


def test_whose_file_it_is_has_to_be_said(root):
    assert "Say whose file it is" in refused("collect", ASSIGNMENT)
    assert "is of one assignment" in refused("export", "--moodle", given(root, MOODLE))

"""The coordinator: whatever happens on the way, everybody's result is entered once and is the same.

Submissions are graded by `faked`, at once; files, gradebook, workers and kills are real.
"""

import errno
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import faked
import jobs
import pytest
from faked import ASSIGNMENT, AUTOMATIC, BY_HAND, RULES, hand_in, hand_in_class
from sqlalchemy import event
from sqlalchemy.engine import Engine
from tiers import quick

from course_utils.settings import CourseError
from courseware.classroom import audit, batch, summary
from courseware.grading.reasons import Fault, Reason
from courseware.grading.work import Job, Result, Rules

IN_TIME, LATE = "2030-01-01 10:00:00 UTC", "2030-01-03 10:00:00 UTC"
RELEASING = ("timestamp.txt", "submission_secret.txt")  # what nbgrader's release_feedback reads


@pytest.fixture
def course(released: Path, tmp_path: Path) -> Path:
    return shutil.copytree(released, tmp_path / "course")


@pytest.fixture(scope="session")
def undisturbed(released: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class of sixteen, graded one after the other and without a disturbance."""
    root = shutil.copytree(released, tmp_path_factory.mktemp("undisturbed") / "course")
    hand_in_class(root, 16)
    faked.run(root)
    return root


@pytest.fixture
def class_of_16(undisturbed: Path, released: Path, tmp_path: Path) -> Path:
    """The same class, not graded yet."""
    root = shutil.copytree(released, tmp_path / "class")
    shutil.copytree(undisturbed / "submitted", root / "submitted")
    return root


# --- what is entered --------------------------------------------------------------------------------------


def test_the_gradebook_has_the_scores_and_comments_of_the_records(undisturbed):
    entries, records = faked.entries(undisturbed), faked.records(undisturbed)
    assert len(records) == 16 and entries.keys() == records.keys()
    for student, record in records.items():
        for name, one in record["notebooks"].items():
            assert entries[student][f"{name} {AUTOMATIC}"][0] == one["scores"][AUTOMATIC]
            assert entries[student][f"{name} sum comment"][0] == one["comments"]["sum"]


def test_what_only_a_person_can_judge_is_left_to_one(undisturbed):
    entries = faked.entries(undisturbed).values()
    assert {entry[f"first {BY_HAND}"] for entry in entries} == {(None, None, True)}


def test_notebooks_pages_and_what_releases_them_are_where_nbgrader_puts_them(undisturbed):
    below = {name for name in faked.files(undisturbed) if "/student 00/" in name}
    graded, pages = ("first.ipynb", "second.ipynb", "result.json"), ("first.html", "second.html")
    assert below == {
        *(f"autograded/student 00/{ASSIGNMENT}/{name}" for name in (*graded, *RELEASING)),
        *(f"feedback/student 00/{ASSIGNMENT}/{name}" for name in (*pages, *RELEASING)),
    }


def test_everybody_is_yielded_once(course):
    names = hand_in_class(course, 4)
    faked.run(course, students=["student 01"])
    assert sorted(one.student for one in faked.steps(course)) == names


# --- what is graded anew ----------------------------------------------------------------------------------


@pytest.fixture
def graded(course: Path) -> Path:
    """Three students whose submissions are graded: ada, bob and eve."""
    for student in ("ada", "bob", "eve"):
        hand_in(course, student, timestamp=IN_TIME)
    faked.run(course)
    return course


def test_a_second_call_grades_nothing_and_changes_nothing(graded):
    before = faked.state(graded)
    assert faked.graded_now(graded) == []
    assert faked.state(graded) == before


def test_a_resubmission_is_graded_anew_and_it_alone(graded):
    before = faked.entries(graded)
    hand_in(graded, "bob", "total = 3", IN_TIME)
    assert faked.graded_now(graded) == ["bob"]
    after = faked.entries(graded)
    assert after["bob"] != before["bob"]
    assert (after["ada"], after["eve"]) == (before["ada"], before["eve"])


def test_other_terms_grade_everybody_anew(graded):
    assert faked.graded_now(graded, rules=Rules(whole=True)) == ["ada", "bob", "eve"]


def test_only_those_who_are_named_are_graded(graded):
    for student in ("ada", "bob"):
        hand_in(graded, student, "total = 3")
    assert faked.graded_now(graded, students=["bob"]) == ["bob"]


UNKNOWN = '{"reason": "BAD", "notebook": "", "detail": ""}'
DAMAGED = {
    "cut off": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "other JSON": lambda text: "[1, 2]",
    "without notebooks": lambda text: json.dumps({**json.loads(text), "notebooks": None}),
    "without scores": lambda text: text.replace('"scores"', '"points"'),
    "an unknown reason": lambda text: text.replace('"faults": []', f'"faults": [{UNKNOWN}]'),
    "nested without end": lambda text: "[" * 3000 + "]" * 3000,
    "without terms": lambda text: text.replace('"terms"', '"words"'),
}


@pytest.mark.parametrize("damage", quick(DAMAGED))
def test_a_damaged_record_is_made_anew(graded, damage):
    before, record = faked.state(graded), graded / "autograded" / "bob" / ASSIGNMENT / "result.json"
    text = record.read_text("utf-8")
    assert damage(text) != text
    record.write_text(damage(text), encoding="utf-8")
    assert faked.graded_now(graded) == ["bob"]
    assert faked.state(graded) == before


def test_a_submission_that_is_gone_keeps_its_grade(graded):
    before = faked.state(graded)
    shutil.rmtree(graded / "submitted" / "bob")
    assert faked.graded_now(graded) == []
    assert faked.state(graded) == before


def test_somebody_who_handed_nothing_in_is_not_entered(graded):
    with pytest.raises(CourseError, match="bo has handed nothing in for small"):
        faked.run(graded, students=["bo"])
    assert set(faked.entries(graded)) == {"ada", "bob", "eve"}


# --- time of submission -----------------------------------------------------------------------------------


def test_lateness_costs_what_the_policy_says_and_by_default_nothing(course):
    faked.set_due(course)
    hand_in(course, "ada", timestamp=LATE)
    hand_in(course, "bob", timestamp=IN_TIME)
    faked.run(course)
    assert faked.entries(course)["ada"]["penalty"] == 0
    faked.take_points_of_the_late(course)
    faked.run(course)
    found = faked.entries(course)
    assert found["ada"]["penalty"] == found["ada"]["score"] > 0
    assert found["bob"]["penalty"] == 0


def test_a_policy_of_the_course_s_own_counts_and_takes_no_more_than_there_is(course):
    (course / "harsh.py").write_text(
        "from nbgrader.plugins import BasePlugin\n"
        "class Harsh(BasePlugin):\n"
        "    def late_submission_penalty(self, student_id, score, total_seconds_late):\n"
        "        return 1000\n"
    )
    faked.configure(course, "sys.path.insert(0, str(Path(__file__).parent))")
    faked.configure(course, "c.AssignLatePenalties.plugin_class = 'harsh.Harsh'")
    faked.set_due(course)
    hand_in(course, "ada", timestamp=LATE)
    try:
        faked.run(course)
    finally:
        sys.path.remove(str(course))
    entry = faked.entries(course)["ada"]
    assert entry["penalty"] == entry["score"] > 0


@pytest.mark.parametrize(("before", "after"), [(IN_TIME, LATE), (LATE, IN_TIME), ("", LATE), (LATE, "")])
def test_another_time_of_the_same_notebooks_is_entered_and_nothing_is_graded(course, before, after):
    faked.set_due(course)
    faked.take_points_of_the_late(course)
    hand_in(course, "ada", timestamp=before)
    faked.run(course)
    hand_in(course, "ada", timestamp=after)
    assert faked.graded_now(course) == []
    entry = faked.entries(course)["ada"]
    assert entry["penalty"] == (entry["score"] if after == LATE else 0)
    assert faked.records(course)["ada"]["timestamp"] == (after or None)


def test_a_due_date_set_afterwards_costs_as_if_it_had_been_there(course):
    faked.take_points_of_the_late(course)
    hand_in(course, "ada", timestamp=LATE)
    faked.run(course)
    before = faked.entries(course)["ada"]["penalty"]
    faked.set_due(course)
    assert faked.graded_now(course) == []
    entry = faked.entries(course)["ada"]
    assert (before, entry["penalty"]) == (0, entry["score"]) and entry["score"] > 0


def test_points_given_by_hand_afterwards_are_late_as_well(course):
    faked.set_due(course)
    faked.take_points_of_the_late(course)
    hand_in(course, "ada", timestamp=LATE)
    faked.run(course)
    faked.give(course, "ada", 2.0)
    faked.run(course)
    entry = faked.entries(course)["ada"]
    assert entry["penalty"] == entry["score"]


def test_another_time_leaves_what_grading_it_at_once_leaves(course, released, tmp_path):
    other = shutil.copytree(released, tmp_path / "other")
    hand_in(course, "ada", timestamp=IN_TIME)
    faked.run(course)
    for root in (course, other):
        hand_in(root, "ada", timestamp=LATE)
        faked.run(root)
    assert faked.state(course) == faked.state(other)


# --- people -----------------------------------------------------------------------------------------------


def test_a_score_that_a_person_gave_stays_and_is_to_be_looked_at_again(graded):
    faked.give(graded, "bob", 2.5, AUTOMATIC)
    faked.give(graded, "bob", 1.5)
    hand_in(graded, "bob", "total = 3", IN_TIME)
    faked.run(graded)
    entry = faked.entries(graded)["bob"]
    assert entry[f"first {AUTOMATIC}"][1:] == (2.5, True)
    assert entry[f"first {BY_HAND}"] == (None, 1.5, True)


def test_a_score_that_a_person_gave_is_not_touched_where_nothing_is_handed_in_anew(graded):
    faked.give(graded, "bob", 1.5)
    faked.run(graded)
    assert faked.entries(graded)["bob"][f"first {BY_HAND}"] == (None, 1.5, False)


STRANGE = ["a b", "Zoë Müller", "李 小龍", "a'b", "%s {} $HOME", "*", "-rf", "n" * 128, "🙂" * 40]


@pytest.mark.slow
def test_students_may_be_called_anything(course):
    for student in STRANGE:
        hand_in(course, student)
    faked.run(course)
    assert set(faked.entries(course)) == set(faked.records(course)) == set(STRANGE)
    told = {row["student_id"].removeprefix("'") for row in faked.exported(course)}  # '-rf: no formula
    assert told == set(STRANGE)


def test_an_empty_secret_is_none(course):
    (course / "autograded" / ".secret").write_bytes(b"")
    assert len(batch.Course(course).secret) == 32


HIDDEN = ["n" * 129, "a\nb", os.fsdecode(b"a\xffb"), "a\x1b[31m", "a\u202eb", "a\x9bb"]
HIDDEN += ["<img src=x onerror=alert(1)>", 'x" onmouseover="alert(1)', "a&lt;b"]


@pytest.mark.parametrize("name", HIDDEN, ids=ascii)
def test_a_name_that_the_gradebook_cannot_hold_is_one_sentence_and_nobody_else_s_affair(course, name):
    hand_in(course, "ada")
    shutil.copytree(course / "submitted" / "ada", course / "submitted" / name)
    assert faked.graded_now(course) == ["ada"]
    (sentence,) = batch.Course(course).astray(ASSIGNMENT)
    assert f"cannot hold a student called {name!a}" in sentence
    assert sentence.isprintable()


@pytest.mark.parametrize("name", ["n" * 129, "a\nb"], ids=ascii)
def test_where_nobody_else_handed_in_that_sentence_is_all(course, name):
    os.rename(hand_in(course, "ada").parent, course / "submitted" / name)
    with pytest.raises(CourseError, match="The gradebook cannot hold a student called"):
        faked.run(course)


def test_what_lies_in_no_assignment_s_folder_is_told(course):
    hand_in(course, "ada")
    for name in ("bob.zip", "bob/first.ipynb", "ada/small.zip", "ada/.DS_Store", ".DS_Store"):
        (course / "submitted" / name).parent.mkdir(exist_ok=True)
        (course / "submitted" / name).touch()
    (sentence,) = batch.Course(course).astray(ASSIGNMENT)
    assert sentence.endswith("submitted/STUDENT/ASSIGNMENT/: ada/small.zip, bob.zip, bob/first.ipynb.")


def test_hidden_folders_are_nobody_as_they_are_for_nbgrader(course):
    hand_in(course, "ada")
    hand_in(course, ".ipynb_checkpoints")
    assert faked.graded_now(course) == ["ada"]


@pytest.mark.parametrize("target", ["../../elsewhere", "nowhere"])
def test_a_submission_that_is_a_link_is_entered_with_nothing_and_not_followed(course, target):
    moved = hand_in(course, "ada").rename(course / "elsewhere")
    assert moved.is_dir()
    (course / "submitted" / "ada" / ASSIGNMENT).symlink_to(target)
    faked.run(course)
    assert faked.entries(course)["ada"]["score"] == 0
    assert [fault["reason"] for fault in faked.records(course)["ada"]["faults"]] == ["LINK"]


def test_without_submissions_there_is_one_sentence(course):
    with pytest.raises(CourseError, match="Nothing is handed in for small: submitted/STUDENT/small/ is"):
        faked.run(course)


def test_an_unknown_assignment_is_one_sentence(course):
    (course / "submitted" / "ada" / "unknown").mkdir(parents=True)
    with pytest.raises(CourseError, match="There is no assignment 'unknown'; choose one of: 01-"):
        list(batch.grade(batch.Course(course), ["unknown"], RULES, faked.SERIAL))


# --- corrections after release ----------------------------------------------------------------------------


def change(root: Path, *, points: int = 3, cell: str = AUTOMATIC) -> None:
    """What `course build` makes of a graded cell that has other points, or another name."""
    for file in root.glob(f"[ns]o*/{ASSIGNMENT}/*.ipynb"):
        notebook = json.loads(file.read_text("utf-8"))
        (mark,) = (one["metadata"]["nbgrader"] for one in notebook["cells"] if one["id"] == AUTOMATIC)
        mark.update(points=points, grade_id=cell)
        file.write_text(json.dumps(notebook), encoding="utf-8")


def regrade(root: Path, monkeypatch: pytest.MonkeyPatch, *students: str, agreed: bool = True) -> list[str]:
    """Grade anew, every score three points higher; who is told another score."""
    monkeypatch.setattr(batch.work, "grade", better)

    def approve() -> None:
        if not agreed:
            raise CourseError("no")

    course = batch.Course(root)
    steps = audit.regrade(course, ASSIGNMENT, RULES, faked.SERIAL, students, approve)
    return sorted(one.student for one in steps if one.scores)


def better(job: Any) -> Any:
    """As `faked.grade`, and three points more in each automatic score."""
    result = faked.grade(job)
    for one in result.notebooks.values():
        one.scores[AUTOMATIC] += 3.0
    return result


def test_everybody_is_graded_anew_and_told_what_changes_before_it_is_kept(graded, monkeypatch):
    before = faked.state(graded)
    with pytest.raises(CourseError, match="no"):
        regrade(graded, monkeypatch, agreed=False)
    assert faked.state(graded) == before
    assert regrade(graded, monkeypatch) == ["ada", "bob", "eve"]
    for student, entry in faked.entries(graded).items():
        assert entry[f"first {AUTOMATIC}"][0] == before[0][student][f"first {AUTOMATIC}"][0] + 3


def test_other_points_since_release_are_refused_until_everybody_is_graded_by_them(graded, monkeypatch):
    before = faked.state(graded)
    change(graded, points=6)
    told = r"other points than its 3 submissions .*first, sum-check: 6, before 3.*`course regrade small`"
    for students in ([], ["ada"]):
        with pytest.raises(CourseError, match=told):
            faked.run(graded, students=students)
    with pytest.raises(CourseError, match="Not among them now: bob, eve"):
        regrade(graded, monkeypatch, "ada")
    assert faked.state(graded) == before
    assert regrade(graded, monkeypatch) == ["ada", "bob", "eve"]
    with faked.book(graded) as book:
        assert book.find_grade_cell(AUTOMATIC, "first", ASSIGNMENT).max_score == 6
    assert faked.run(graded) == 3


def test_other_exercises_since_release_are_one_sentence(graded, monkeypatch):
    change(graded, cell="another")
    for again in (faked.run, lambda root: regrade(root, monkeypatch)):
        with pytest.raises(CourseError, match=r"small lacks exercises .*first, sum-check.*put them back"):
            again(graded)


@pytest.mark.slow
def test_a_gradebook_made_anew_leaves_the_release_as_it_is(graded):
    released = {path: path.read_bytes() for path in (graded / "notebooks").rglob("*.ipynb")}
    (graded / "gradebook.db").unlink()
    for file in (graded / "solutions" / ASSIGNMENT).iterdir():
        file.write_text("damaged")
    with pytest.raises(CourseError, match="could not release small"):
        faked.run(graded)
    assert {path: path.read_bytes() for path in (graded / "notebooks").rglob("*.ipynb")} == released


# --- workers that die -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_submission_that_costs_its_workers_alone_is_not_graded(class_of_16, undisturbed, forks):
    hand_in(class_of_16, "zoe", faked.LOSES_ITS_WORKER)
    course = batch.Course(class_of_16)
    with jobs.two_workers() as crew:
        faked.run(class_of_16, crew)
    assert faked.entries(class_of_16) == faked.entries(undisturbed)
    found = summary.of(batch.results(course, ASSIGNMENT), "", {}, course.students(ASSIGNMENT))
    assert found.for_a_look == {"zoe": ["not graded: call `course grade` again"]}


# --- what is no grade -------------------------------------------------------------------------------------


def test_a_fault_of_the_machine_s_enters_nothing_and_the_next_call_grades(course):
    def stumbles(job: Job) -> Result:
        return replace(faked.grade(job), faults=[Fault(Reason.GRADER_FAILED, "first", "OSError: no room")])

    hand_in(course, "ada", "1 + 1")
    (broken,) = faked.steps(course, grader=stumbles)
    assert broken.broken
    assert faked.entries(course) == {}
    assert faked.graded_now(course) == ["ada"]
    assert faked.entries(course).keys() == {"ada"}


@pytest.mark.parametrize("reason", [Reason.WAITING, Reason.GRADER_FAILED])
def test_who_was_stopped_while_waiting_or_by_the_machine_is_graded_once_more_in_the_end(course, reason):
    order: list[str] = []

    def stumbles_once(job: Job) -> Result:
        order.append(job.submission.student)
        return replace(faked.grade(job), faults=[Fault(reason, "first", "")] * (order == ["ada", "bob"]))

    for student in ("ada", "bob", "cy"):
        hand_in(course, student, "1 + 1")
    found = list(faked.steps(course, grader=stumbles_once))
    assert order == ["ada", "bob", "cy", "bob"]
    assert [(one.student, one.faults) for one in found] == [("ada", []), ("cy", []), ("bob", [])]


def test_a_gradebook_that_was_lost_is_filled_from_the_records(graded):
    before = faked.entries(graded)
    (graded / "gradebook.db").unlink()
    assert faked.graded_now(graded) == []
    assert faked.entries(graded) == before


# --- kills ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_kill_before_any_step_changes_nothing(course, tmp_path, monkeypatch, forks):
    """Somebody new, somebody who hands in anew, and somebody whose time alone has changed."""
    hand_in(course, "bob", timestamp=IN_TIME)
    hand_in(course, "eve", timestamp=IN_TIME)
    faked.run(course)
    (course / "autograded" / ".secret").unlink()  # it is made in these steps as well
    hand_in(course, "ada")
    hand_in(course, "bob", "total = 3")
    hand_in(course, "eve", timestamp=LATE)
    monkeypatch.setattr("secrets.token_hex", faked.no_secret)
    expected, context = None, multiprocessing.get_context("forkserver")
    for step in range(1000):
        root = shutil.copytree(course, tmp_path / str(step))
        killed = context.Process(target=faked.dies_at, args=(root, step))
        killed.start()
        killed.join()
        assert killed.exitcode in (0, 9)
        faked.run(root)
        expected = expected or faked.state(root)
        assert faked.state(root) == expected, f"killed before step {step}"
        shutil.rmtree(root)
        if killed.exitcode == 0:
            break
    assert step > 30


# --- what cannot be written -------------------------------------------------------------------------------


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, when: Callable[[Path], bool]) -> None:
    """Let files be written no longer where `when` says so."""
    write = Path.write_text

    def refusing(path: Path, *content: Any, **how: Any) -> int:
        if when(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, *content, **how)

    monkeypatch.setattr(Path, "write_text", refusing)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first.html", "second.ipynb", "pending.json"])
def test_a_full_disk_is_one_sentence_and_the_same_call_goes_on(class_of_16, undisturbed, monkeypatch, name):
    with monkeypatch.context() as patch:
        fill_the_disk(patch, lambda path: path.name == name and "student 10" in str(path))
        with pytest.raises(CourseError, match=r"small cannot be written \(No space left on device\): mend"):
            faked.run(class_of_16)
    entered = set(faked.records(class_of_16))
    assert entered
    assert not list(class_of_16.glob("*/*/.small.*"))  # what was begun is not left to fill the disk
    assert set(faked.graded_now(class_of_16)) == set(faked.records(class_of_16)) - entered
    assert faked.state(class_of_16) == faked.state(undisturbed)


def test_a_full_disk_leaves_the_earlier_grade_of_a_resubmission(graded, monkeypatch):
    before = faked.state(graded)
    hand_in(graded, "bob", "total = 3", IN_TIME)
    fill_the_disk(monkeypatch, lambda path: path.suffix == ".html")
    with pytest.raises(CourseError):
        faked.run(graded)
    assert faked.state(graded) == before


def test_a_folder_that_cannot_be_written_is_one_sentence(course):
    hand_in(course, "ada")
    (course / "feedback").write_text("a file where a folder should be")
    with pytest.raises(CourseError, match="feedback/ada/small cannot be written"):
        faked.run(course)


@pytest.mark.slow
def test_a_gradebook_that_cannot_be_written_is_one_sentence_and_is_gone_on_with(class_of_16, undisturbed):
    """SQLite says so when the database may not grow any more, as on a full disk."""
    limit = event.listens_for(Engine, "connect")

    def small(connection: Any, _: Any) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 4}")

    limit(small)
    try:
        with pytest.raises(CourseError, match=r"The gradebook cannot be written .*full.*: mend that"):
            faked.run(class_of_16)
    finally:
        event.remove(Engine, "connect", small)
    assert 0 < len(faked.records(class_of_16)) < 16
    faked.run(class_of_16)
    assert faked.state(class_of_16) == faked.state(undisturbed)


def test_a_disk_without_locks_is_one_sentence(course, monkeypatch):
    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    hand_in(course, "ada")
    monkeypatch.setattr("courseware.classroom.course.fcntl.flock", no_locks)
    with pytest.raises(CourseError, match=r"cannot be locked \(No locks available\)"):
        faked.run(course)

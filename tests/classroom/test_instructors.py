"""Several instructors, one folder: two accounts of a group grade in it by turns, and never at once."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import faked
import nbgrader.api
import pytest
from faked import hand_in
from nbgrader.apps import NbGraderAPI
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from people import COLLEAGUE, GROUP, MARKS, TEACHER, Failed, act, share
from programs import ROOT
from traitlets.config import Config

from courseware.authoring import release
from courseware.classroom import course as classroom
from courseware.classroom.course import Course
from courseware.grading.work import Job, Result

pytestmark = MARKS


@pytest.fixture
def course() -> Iterator[Path]:
    """A folder set up as the document says, in which an instructor has made an assignment and a gradebook."""
    release.settings(ROOT)  # which puts on the PATH what is asked
    nbgrader.api.get_alembic_version()  # once, by one who may ask it
    with TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        root = Path(top) / "course"
        share(root)
        root.chmod(0o2770)
        act(TEACHER, lambda: (faked.make_course(root), hand_in(root, "ada")), umask=0o007)
        yield root


def test_all_that_one_makes_the_other_can_change(course):
    act(TEACHER, faked.run, course)
    made = [*course.rglob("*")]
    assert {"gradebook.db", ".secret", "result.json", "first.html"} <= {path.name for path in made}
    for path in made:
        found = path.stat()
        assert (found.st_gid, found.st_mode & 0o060) == (GROUP, 0o060), path


def test_they_grade_by_turns(course):
    act(TEACHER, faked.run, course)
    for instructor, answer in ((COLLEAGUE, "total = 2"), (TEACHER, "total = 3"), (COLLEAGUE, "total = 4")):
        act(instructor, hand_in, course, "ada", answer, umask=0o007)
        act(instructor, hand_in, course, instructor, umask=0o007)
        assert "ada" in act(instructor, faked.graded_now, course)
    act(TEACHER, faked.give, course, "ada", 1.5)
    assert act(COLLEAGUE, faked.entries, course)["ada"]["first essay"][1] == 1.5
    assert act(TEACHER, faked.graded_now, course) == []


def test_the_seeds_of_both_follow_from_one_secret(course):
    (course / "autograded" / ".secret").unlink()
    assert act(COLLEAGUE, lambda: Course(course).secret) == act(TEACHER, lambda: Course(course).secret)


def test_who_grades_at_the_same_time_is_told_and_waits(course, monkeypatch):
    started, told, on = course / "started", course / "told", course / "on"

    def slowly(job: Job) -> Result:
        started.touch()
        while not on.exists():
            time.sleep(0.01)
        return faked.grade(job)

    monkeypatch.setattr(classroom.log, "warning", told.write_text)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(act, TEACHER, lambda: faked.run(course, grader=slowly))
        while not started.exists() and not first.done():
            time.sleep(0.01)
        second = pool.submit(act, COLLEAGUE, faked.graded_now, course)
        while not told.exists() and not second.done():
            time.sleep(0.01)
        on.touch()
        assert (first.result(), second.result()) == (1, [])
    assert told.read_text() == "Another is grading here; this goes on when that has ended."


@pytest.fixture
def held(course) -> Iterator[Path]:
    """The folder while another is grading in it."""
    with Course(course, Config()).alone():
        yield course


def asked(course: Path) -> dict[str, Any]:
    """What nbgrader grades ada's with."""
    config = Course(course).config
    directory = CourseDirectory(config=config, assignment_id=faked.ASSIGNMENT, student_id="ada")
    return {"coursedir": directory, "config": config}


def test_nbgrader_s_command_waits_as_well(held, monkeypatch):
    monkeypatch.setattr(classroom.log, "warning", lambda _: 1 / 0)
    with pytest.raises(Failed, match="ZeroDivisionError"):
        act(COLLEAGUE, lambda: Autograde(**asked(held)).start(), seconds=60)


def test_formgrader_whose_server_would_stand_still_does_not(held):
    said = act(COLLEAGUE, lambda: NbGraderAPI(**asked(held)).autograde(faked.ASSIGNMENT, "ada"), seconds=60)
    assert "Another is grading here: try again when that has ended." in said["log"]

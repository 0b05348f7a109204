"""The exchange as several users of a machine meet it: what classmates try on each other and the collector.

Every attack is tried on nbgrader's own exchange and on ours, by somebody who knows all names in it, and
comes out as the table in docs/instructors.md says.
"""

import logging
import os
import pwd
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook
from nbgrader.api import Gradebook
from nbgrader.auth import Authenticator
from nbgrader.coursedir import CourseDirectory
from nbgrader.exchange import ExchangeError, ExchangeFactory
from nbgrader.utils import parse_utc
from people import COLLEAGUE, GROUP, MARKS, STUDENTS, TEACHER, Failed, act, share
from programs import ROOT
from traitlets.config import Config

from courseware.authoring import release
from courseware.grading.submission.collect import LARGEST

pytestmark = MARKS

CONFIGURATION = release.settings(ROOT)  # and `alembic`, which makes gradebooks, is on the PATH
ADA, EVE = STUDENTS
OURS, NBGRADERS = "this one", "nbgrader's"
ASSIGNMENT, NAME = "02-theory", "theory.ipynb"
ANSWER, EVES, TEACHERS, PAGE = "ada's answer", "eve's answer", "the teacher's own", "<p>ada's feedback</p>"


class Broken(Exception):
    """A command of nbgrader's ended in an error, or not at all."""


class World:
    """An exchange with an assignment in it, and the folders of all who use it."""

    def __init__(self, top: Path, kind: str) -> None:
        self.top, self.exchange, self.kind = top, top / "exchange", kind
        self.config = Config()
        self.config.CourseDirectory.course_id = "vae-course"
        self.config.CourseDirectory.root = str(self.folder(TEACHER))
        self.config.Exchange.root = str(self.exchange)
        if kind == OURS:
            self.config.ExchangeFactory = CONFIGURATION.ExchangeFactory

    def folder(self, who: str) -> Path:
        return self.top / who

    @property
    def inbound(self) -> Path:
        return self.exchange / "vae-course" / "inbound"

    def box(self, who: str) -> Path:
        return max(self.inbound.glob(f"{who}+*"))

    def collected(self, who: str, name: str = NAME) -> str:
        """What the teacher has of somebody's submission, '' for nothing."""
        file = self.folder(TEACHER) / "submitted" / who / ASSIGNMENT / name
        return file.read_text("utf-8") if file.is_file() else ""

    def command(self, who: str, what: str, umask: int = 0o022, **traits: Any) -> tuple[Any, str]:
        """What a command of nbgrader's gives and logs when somebody calls it."""
        try:
            return act(who, self._command, who, what, traits, umask=umask)
        except Failed as problem:
            raise Broken(str(problem)) from None

    def _command(self, who: str, what: str, traits: dict[str, Any]) -> tuple[Any, str]:
        os.chdir(self.folder(who))
        config, said = self.config.copy(), list[str]()
        config.Exchange.cache = str(self.folder(who) / "cache")
        if who not in STUDENTS and self.kind == OURS:  # as nbgrader_config.py has it in a shared folder
            config.CourseDirectory.groupshared = True
            os.umask(0o007)
        factory, course = ExchangeFactory(config=config), CourseDirectory(config=config)
        course.assignment_id = ASSIGNMENT
        course.student_id = traits.pop("student_id", "*")
        known = {"coursedir": course, "authenticator": Authenticator(config=config), "config": config}
        plugin = getattr(factory, what)(**known, **traits)
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
        plugin.log.addHandler(handler)
        plugin.log.setLevel("INFO")
        try:
            return plugin.start(), "\n".join(said)
        except ExchangeError:
            raise ExchangeError(said[-1]) from None

    def hand_in(self, who: str, answer: str, **how: Any) -> Path:
        (self.folder(who) / ASSIGNMENT / NAME).write_text(answer, encoding="utf-8")
        self.command(who, "Submit", **how)
        return self.box(who)

    def give(self, who: str, page: str) -> None:
        """Feedback as grading leaves it in the teacher's folder."""
        handed_in = self.folder(TEACHER) / "submitted" / who / ASSIGNMENT
        folder = self.folder(TEACHER) / "feedback" / who / ASSIGNMENT
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("timestamp.txt", "submission_secret.txt"):
            shutil.copy(handed_in / name, folder)
        (folder / "theory.html").write_text(page, encoding="utf-8")


def made(kind: str, top: Path) -> World:
    """A world in which ada has handed in; the teacher's folder is closed, students' homes are not."""
    top.chmod(0o755)
    world = World(top, kind)
    share(world.exchange)
    if kind == NBGRADERS:
        world.exchange.chmod(0o777)
    for who in (TEACHER, COLLEAGUE, ADA, EVE):
        (world.folder(who) / ASSIGNMENT).mkdir(parents=True)
        os.chown(world.folder(who), pwd.getpwnam(who).pw_uid, GROUP if who == TEACHER else -1)
        os.chown(world.folder(who) / ASSIGNMENT, pwd.getpwnam(who).pw_uid, -1)
    for file in (f"release/{ASSIGNMENT}/{NAME}", "private"):
        path = world.folder(TEACHER) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TEACHERS, encoding="utf-8")
    with Gradebook(f"sqlite:///{world.folder(TEACHER)}/gradebook.db", "vae-course") as book:
        book.add_assignment(ASSIGNMENT, duedate="2020-01-01 00:00:00 UTC")
    for path in (world.folder(TEACHER), *world.folder(TEACHER).rglob("*")):
        os.chown(path, pwd.getpwnam(TEACHER).pw_uid, GROUP)
        path.chmod(0o2770 if path.is_dir() else 0o660)
    world.command(TEACHER, "ReleaseAssignment")
    world.hand_in(ADA, ANSWER)
    return world


@pytest.fixture
def world() -> Iterator[World]:
    with TemporaryDirectory() as top:
        yield made(OURS, Path(top))


# --- attacks: each is whether it came to something --------------------------------------------------------


def lists(world: World) -> bool:
    return bool(act(EVE, os.listdir, world.inbound))


def reads(world: World) -> bool:
    return act(EVE, (world.box(ADA) / NAME).read_text) == ANSWER


def reads_the_copy(world: World) -> bool:
    (copy,) = world.folder(ADA).glob(f"cache/*/*/{NAME}")
    return act(EVE, copy.read_text) == ANSWER


def changes(world: World) -> bool:
    file = world.box(ADA) / NAME
    act(EVE, lambda: (file.unlink(), file.write_text(EVES)))
    return file.read_text() == EVES


def takes_away(world: World) -> bool:
    act(EVE, world.box(ADA).rename, world.inbound / ".away")  # where it can be emptied at leisure
    return not list(world.inbound.glob(f"{ADA}+*"))


def replaces(world: World) -> bool:
    box = world.box(ADA)
    act(EVE, lambda: (box.rename(world.inbound / "away"), box.mkdir(), (box / NAME).write_text(EVES)))
    world.command(TEACHER, "Collect")
    return world.collected(ADA) == EVES


def takes_the_course(world: World) -> bool:
    course = world.exchange / "vae-course"
    act(EVE, lambda: (course.rename(world.exchange / "away"), (course / "inbound").mkdir(parents=True)))
    return not list(world.inbound.glob(f"{ADA}+*"))


def forges_the_name(world: World) -> bool:
    (world.folder(EVE) / ASSIGNMENT / NAME).write_text(EVES)
    world.command(EVE, "Submit", student_id=ADA)
    world.command(TEACHER, "Collect")
    return world.collected(ADA) == EVES


def forges_the_time(world: World) -> bool:
    handed_in = datetime.now(timezone.utc).replace(tzinfo=None)
    box = world.hand_in(EVE, EVES)
    early = box.with_name(f"{EVE}+{ASSIGNMENT}+2019-01-01 00:00:00 UTC")

    def forge() -> None:
        (box / "timestamp.txt").write_text("2019-01-01 00:00:00 UTC")
        for path in (*box.iterdir(), box):
            os.utime(path, (0, 0))
        box.rename(early)

    act(EVE, forge)
    world.command(TEACHER, "Collect")
    return parse_utc(world.collected(EVE, "timestamp.txt")) < handed_in


def works_on(world: World) -> bool:
    box = world.hand_in(EVE, EVES)
    handed_in = datetime.now(timezone.utc).replace(tzinfo=None)
    time.sleep(0.1)  # file systems count in milliseconds
    act(EVE, (box / NAME).write_text, "better")
    world.command(TEACHER, "Collect")
    assert world.collected(EVE) == "better"
    return parse_utc(world.collected(EVE, "timestamp.txt")) < handed_in


def stops_by_a_name(world: World) -> bool:
    act(EVE, (world.inbound / f"{EVE}+{ASSIGNMENT}+never\udcff").mkdir)
    return _stopped(world)


def stops_by_a_pipe(world: World) -> bool:
    act(EVE, os.mkfifo, world.hand_in(EVE, EVES) / "pipe.ipynb")
    return _stopped(world)


def stops_by_a_size(world: World) -> bool:
    act(EVE, os.truncate, world.hand_in(EVE, EVES) / NAME, 2**40)
    return _stopped(world)


def _stopped(world: World) -> bool:
    """Whether the collector ended in an error, or not at all, or without ada's."""
    with suppress(Broken):
        world.command(TEACHER, "Collect")
        return world.collected(ADA) != ANSWER
    return True


def steals_by_a_link(world: World) -> bool:
    file = world.hand_in(EVE, EVES) / NAME
    act(EVE, lambda: (file.unlink(), file.symlink_to(world.folder(TEACHER) / "private")))
    world.command(TEACHER, "Collect")
    return world.collected(EVE) == TEACHERS


def steals_by_a_second_name(world: World) -> bool:
    file = world.hand_in(EVE, EVES) / NAME
    file.unlink()
    file.hardlink_to(world.folder(TEACHER) / "private")  # by root, as kernels did for her without protection
    world.command(TEACHER, "Collect")
    return world.collected(EVE) == TEACHERS


def reads_feedback(world: World) -> bool:
    world.command(TEACHER, "Collect")
    world.give(ADA, PAGE)
    world.command(TEACHER, "ReleaseFeedback")
    (page,) = world.exchange.rglob("*.html")
    return act(EVE, page.read_text) == PAGE


def leads_feedback_astray(world: World) -> bool:
    box = world.hand_in(EVE, EVES)
    world.command(TEACHER, "Collect")
    world.give(EVE, PAGE)
    act(EVE, (box / "feedback").symlink_to, world.folder(TEACHER))
    world.command(TEACHER, "ReleaseFeedback")
    return (world.folder(TEACHER) / "theory.html").exists()


ATTACKS: dict[str, Callable[[World], bool]] = {
    "lists what is handed in": lists,
    "reads another's submission": reads,
    "reads the copy that nbgrader keeps in another's home, which is open": reads_the_copy,
    "changes another's submission": changes,
    "takes it away": takes_away,
    "puts one of their own in its place": replaces,
    "puts a course of their own in the course's place": takes_the_course,
    "hands in under another's name": forges_the_name,
    "hands in under an earlier time": forges_the_time,
    "goes on working under the old time": works_on,
    "stops `nbgrader collect` for all by a folder's name": stops_by_a_name,
    "stops it by a pipe": stops_by_a_pipe,
    "stops it by a file of a terabyte": stops_by_a_size,
    "hands in a link to a file of the instructor's, who reads it for them": steals_by_a_link,
    "the same by a second name of the file (hard link)": steals_by_a_second_name,
    "reads another's feedback": reads_feedback,
    "makes the instructor write feedback to another folder": leads_feedback_astray,
}


def table() -> dict[str, dict[str, bool]]:
    """Of each attack in the document, where it succeeds."""
    text = (ROOT / "docs" / "instructors.md").read_text("utf-8")
    rows = re.findall(r"^\| (.+) \| (succeeds|fails) \| (succeeds|fails) \|$", text, re.MULTILINE)
    return {what: {NBGRADERS: one == "succeeds", OURS: two == "succeeds"} for what, one, two in rows}


def tried(attack: Callable[[World], bool], world: World) -> bool:
    try:
        return attack(world)
    except Failed as refusal:
        assert re.match("PermissionError|OSError", str(refusal))
        return False


def test_the_document_tells_of_every_attack():
    assert table().keys() == ATTACKS.keys()
    assert not any(one[OURS] for one in table().values())


@pytest.mark.parametrize("kind", [NBGRADERS, OURS])
@pytest.mark.parametrize("what", ATTACKS)
def test_attacks_come_out_as_the_document_says(what, kind):
    with TemporaryDirectory() as top:
        assert tried(ATTACKS[what], made(kind, Path(top))) == table()[what][kind]


# --- what goes on working ---------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_submission_is_its_students_and_the_groups_whatever_the_umask(world, umask):
    (world.folder(ADA) / ASSIGNMENT / "figures").mkdir(mode=0o777)
    (world.folder(ADA) / ASSIGNMENT / "figures" / "one.png").touch(0o666)
    for path in (box := world.hand_in(ADA, ANSWER, umask=umask), *box.rglob("*")):
        found = path.stat()
        wanted = 0o770 if path.is_dir() else 0o640
        assert (stat.S_IMODE(found.st_mode), found.st_gid, found.st_uid) == (wanted, GROUP, box.stat().st_uid)
    world.command(COLLEAGUE, "Collect")
    assert world.collected(ADA) == ANSWER


def test_feedback_of_any_instructor_comes_into_its_students_hands_and_is_listed(world):
    for teacher in (TEACHER, COLLEAGUE):
        world.command(teacher, "Collect", update=True)
        world.give(ADA, f"{PAGE} by {teacher}")
        assert "feedback ready" not in world.command(ADA, "List", cached=True)[1] or teacher == COLLEAGUE
        world.command(teacher, "ReleaseFeedback")
        assert "(feedback ready to be fetched)" in world.command(ADA, "List", cached=True)[1]
        world.command(ADA, "FetchFeedback")
        (page,) = world.folder(ADA).rglob("*.html")
        assert page.read_text() == f"{PAGE} by {teacher}"
        assert "(feedback already fetched)" in world.command(ADA, "List", cached=True)[1]
    assert "vae-course 02-theory" in world.command(EVE, "List")[1]
    assert f"vae-course {ADA} {ASSIGNMENT}" in world.command(TEACHER, "List", inbound=True)[1]


def test_a_later_submission_is_collected_where_it_is_asked_for(world):
    world.command(TEACHER, "Collect")
    first = world.collected(ADA, "timestamp.txt")
    world.hand_in(ADA, "better")
    assert "--update" in world.command(TEACHER, "Collect")[1]
    assert (world.collected(ADA), world.collected(ADA, "timestamp.txt")) == (ANSWER, first)
    world.command(TEACHER, "Collect", update=True)
    assert world.collected(ADA) == "better" and world.collected(ADA, "timestamp.txt") > first


def test_the_last_one_in_time_is_collected_where_that_is_asked_for(world):
    world.hand_in(ADA, "too late")
    due = datetime.fromtimestamp((min(world.inbound.glob(f"{ADA}+*")) / NAME).stat().st_ctime, timezone.utc)
    with Gradebook(f"sqlite:///{world.folder(TEACHER)}/gradebook.db", "vae-course") as book:
        book.update_or_create_assignment(ASSIGNMENT, duedate=due.strftime("%Y-%m-%d %H:%M:%S.%f UTC"))
    world.command(TEACHER, "Collect", before_duedate=True)
    assert world.collected(ADA) == ANSWER


def test_feedback_is_not_taken_for_a_later_submission(world):
    world.command(TEACHER, "Collect")
    world.give(ADA, PAGE)
    world.command(TEACHER, "ReleaseFeedback")
    assert "is there already." in world.command(TEACHER, "Collect", update=True)[1]


def test_of_a_file_that_is_too_large_the_grader_sees_that_it_is(world):
    act(ADA, os.truncate, world.box(ADA) / NAME, 2**40)
    world.command(TEACHER, "Collect")
    file = world.folder(TEACHER) / "submitted" / ADA / ASSIGNMENT / NAME
    assert file.stat().st_size == LARGEST + 1


def test_who_handed_in_under_anothers_name_is_told(world):
    world.hand_in(EVE, EVES)
    forged = world.box(EVE).with_name(f"{ADA}+{ASSIGNMENT}+2099-01-01 00:00:00 UTC+x")
    act(EVE, world.box(EVE).rename, forged)
    said = world.command(TEACHER, "Collect")[1]
    assert f"{forged.name} was handed in by {EVE}, under another's name." in said


def test_a_newer_release_comes_in_when_it_is_fetched_again_and_what_the_student_wrote_stays(fetched):
    world, file = fetched
    write(file, "A title.", EVES)
    before = file.read_bytes()
    release_(world, "A better title.", "Write here, please.")
    said = world.command(EVE, "FetchAssignment")[1]
    title, answer, conflict = read(file)
    assert (title, answer) == ("A better title.", EVES) and "Write here, please." in conflict
    assert f"Your teacher changed {ASSIGNMENT}/{NAME}, 1 cells that you changed as well" in said
    (kept,) = world.folder(EVE).rglob(f"before-update-*/{ASSIGNMENT}/{NAME}")
    assert kept.read_bytes() == before


def test_and_the_next_one_meets_what_came_in_then(fetched):
    world, file = fetched
    for title in ("A better title.", "The best title."):
        release_(world, title, "Write here.")
        assert ", 0 cells" in world.command(EVE, "FetchAssignment")[1]
        assert read(file) == [title, "Write here."]


@pytest.mark.parametrize("newer", [False, True])
def test_a_second_fetch_is_refused_where_nothing_is_newer_or_what_was_handed_out_is_not_known(fetched, newer):
    world, file = fetched
    if newer:
        release_(world, "A better title.", "Write here.")
        shutil.rmtree(world.folder(EVE) / "cache")
    with pytest.raises(Broken, match="You already have a copy"):
        world.command(EVE, "FetchAssignment")
    assert read(file) == ["A title.", "Write here."]


@pytest.fixture
def fetched(world) -> tuple[World, Path]:
    """A released notebook of two texts, and eve's copy of it."""
    release_(world, "A title.", "Write here.")
    shutil.rmtree(world.folder(EVE) / ASSIGNMENT)
    world.command(EVE, "FetchAssignment")
    return world, world.folder(EVE) / ASSIGNMENT / NAME


def release_(world: World, *texts: str) -> None:
    write(world.folder(TEACHER) / "release" / ASSIGNMENT / NAME, *texts)
    world.command(TEACHER, "ReleaseAssignment", force=True)


def write(file: Path, *texts: str) -> None:
    cells = [new_markdown_cell(text, id=f"cell-{place}") for place, text in enumerate(texts)]
    nbformat.write(new_notebook(cells=cells), file)


def read(file: Path) -> list[str]:
    return [cell.source for cell in nbformat.read(file, as_version=4).cells]


@pytest.mark.parametrize("where", ["", "vae-course", "vae-course/inbound"])
def test_an_exchange_that_keeps_no_secrets_is_refused_with_what_to_do(world, where):
    (world.exchange / where).chmod(0o3777)
    with pytest.raises(Broken, match=rf"`chmod {'3773' if 'inbound' in where else '2775'} .*{where}`"):
        world.command(ADA, "Submit")
    assert len(list(world.inbound.iterdir())) == 1


def test_who_is_in_the_instructors_group_is_told_that_it_reads_all(world):
    act(COLLEAGUE, shutil.copy, world.exchange / "vae-course/outbound" / ASSIGNMENT / NAME,
        world.folder(COLLEAGUE) / ASSIGNMENT)  # fmt: skip
    assert "tell yours" in world.command(COLLEAGUE, "Submit")[1]
    assert "tell yours" not in world.command(ADA, "Submit")[1]

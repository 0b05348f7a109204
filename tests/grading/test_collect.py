"""Which files of a submission are its notebooks, and that whatever else lies there is told."""

import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from damages import zipped

from courseware.grading.reasons import Fault, Reason, Refused
from courseware.grading.submission import collect as collecting
from courseware.grading.submission.collect import Submission, collect

GRADE_IDS = {"vae": {"my-vae", "vae-loss"}, "a": {"first"}, "b": {"second"}}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Submission]:
    """Read the folder, of an assignment with these notebooks."""

    def collected(*expected: str) -> Submission:
        known = {name: GRADE_IDS.get(name, set()) for name in expected or ("vae",)}
        return collect(tmp_path, "ada", "03-vae", known)

    return collected


def notebook(*names: str, more: str = "") -> bytes:
    """A notebook whose cells have these grade_ids."""
    cells = [
        {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": name}}, "source": more} for name in names
    ]
    return json.dumps({"nbformat": 4, "cells": cells}).encode()


VAE = notebook("my-vae", "vae-loss")


def put(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def reasons(submission: Submission) -> list[tuple[Reason, str]]:
    return [(fault.reason, fault.notebook) for fault in submission.faults]


def details(submission: Submission) -> dict[Reason, str]:
    return {fault.reason: fault.detail for fault in submission.faults}


def test_the_notebooks_of_the_assignment_are_read(tmp_path, read):
    put(tmp_path, {"b.ipynb": b"second", "a.ipynb": b"first"})
    submission = read("b", "a")
    assert (submission.student, submission.assignment) == ("ada", "03-vae")
    assert list(submission.notebooks.items()) == [("a", b"first"), ("b", b"second")]
    assert submission.faults == ()


UNHEEDED = (
    "._vae.ipynb", ".DS_Store", "__MACOSX/._vae.ipynb", ".ipynb_checkpoints/vae-checkpoint.ipynb",
    "__pycache__/x", "build/models/x", "data/MNIST/x", "feedback/vae.html", "submission_secret.txt",
)  # fmt: skip


@pytest.mark.parametrize("name", UNHEEDED)
def test_what_systems_nbgrader_and_the_course_leave_there_is_nobody_s_affair(tmp_path, read, name):
    put(tmp_path, {"vae.ipynb": b"{}", name: VAE})
    assert read().faults == ()
    (tmp_path / "vae.ipynb").unlink()
    assert reasons(read()) == [(Reason.MISSING_NOTEBOOK, "vae")]


# --- a notebook that is not where it should be ------------------------------------------------------------

ELSEWHERE = {
    "a browser's copy": {"vae (1).ipynb": VAE},
    "JupyterLab's copy": {"vae-Copy1.ipynb": VAE},
    "another case": {"VAE.ipynb": VAE},
    "any other name": {"My solution, final.ipynb": VAE},
    "as a text": {"vae.ipynb.txt": VAE},
    "as JSON": {"vae.json": VAE},
    "a folder down": {"03-vae/vae.ipynb": VAE},
    "in an archive": {"vae.zip": zipped({"vae.ipynb": VAE, "__MACOSX/._vae.ipynb": b"\0"})},
    "in a folder of an archive": {"ada.zip": zipped({"ada/03-vae/vae.ipynb": VAE}, zipfile.ZIP_STORED)},
    "twice the same": {"vae (1).ipynb": VAE, "vae (2).ipynb": VAE},
    "without marks, by its name": {"Vae_1.ipynb": b'{"nbformat": 4, "cells": []}'},
    "no notebook, by its name": {"vae - Copy (2).ipynb": b"<html>"},
    "beside one of the same name without marks": {"final.ipynb": VAE, "vae-1.ipynb": b"{}"},
}


@pytest.mark.parametrize("files", ELSEWHERE.values(), ids=ELSEWHERE)
def test_the_only_file_that_can_be_the_notebook_is_taken_and_named(tmp_path, read, files):
    put(tmp_path, files)
    submission = read()
    name, content = next(iter(files.items()))
    assert submission.notebooks["vae"] == (VAE if name.endswith(".zip") else content)
    assert reasons(submission)[0] == (Reason.WRONG_NAME, "vae")
    assert submission.faults[0].detail.startswith(name)
    assert submission.faults[0].detail.endswith("was taken for vae.ipynb")


@pytest.mark.parametrize("part", ["1", "1-", "copy-", "(1)"])
def test_a_name_that_may_be_read_in_many_ways_keeps_nobody_waiting(tmp_path, read, part):
    put(tmp_path, {f"vae{part * 40}x.ipynb": b"{}"})
    assert reasons(read())[0] == (Reason.MISSING_NOTEBOOK, "vae")


def test_of_several_different_ones_none_is_taken_and_all_are_named(tmp_path, read):
    put(tmp_path, {"one.ipynb": VAE, "two/vae.ipynb": notebook("my-vae", more="x = 1")})
    submission = read()
    assert submission.notebooks == {}
    assert details(submission) == {
        Reason.SEVERAL_NOTEBOOKS: "one.ipynb, two/vae.ipynb: leave one, and call it vae.ipynb"
    }


def test_a_notebook_is_the_one_whose_marks_most_of_its_cells_have(tmp_path, read):
    mixed, other = notebook("my-vae", "first", "vae-loss"), notebook("first")
    put(tmp_path, {"x.ipynb": mixed, "y.ipynb": other})
    assert read("vae", "a").notebooks == {"vae": mixed, "a": other}


def locked() -> bytes:
    """An archive with a link and an encrypted file."""
    link, file = zipfile.ZipInfo("vae.ipynb"), zipfile.ZipInfo("locked.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed = bytearray(zipped({link: VAE, file: VAE}))
    packed[packed.rfind(b"PK\1\2") + 8] |= 1  # the flag in the archive's directory
    return bytes(packed)


ZIP = zipped({"vae.ipynb": VAE})
LEFT_OUT = {
    "a web page": ({"vae.html": b"<html>"}, "vae.html (a web page)"),
    "a PDF": ({"vae.pdf": b"%PDF"}, "vae.pdf (a PDF)"),
    "another notebook": ({"notes.ipynb": notebook("nobody-s")}, "notes.ipynb"),
    "two folders down": ({"a/b/vae.ipynb": VAE}, "a/b (a folder, a device or a pipe)"),
    "an archive in an archive": ({"a.zip": zipped({"b.zip": ZIP})}, "a.zip/b.zip (an archive)"),
    "half an archive": ({"a.zip": ZIP[:-30]}, "a.zip (an archive that cannot be opened (BadZipFile))"),
    "an archive of too many": (
        {"a.zip": zipped(dict.fromkeys(map(str, range(201)), VAE))}, "a.zip (more than 200 files in it)"
    ),
    "what cannot be unpacked": (
        {"a.zip": locked()}, "a.zip/vae.ipynb (a link), a.zip/locked.ipynb (encrypted)"
    ),
    "two archives": (
        {"a.zip": ZIP, "b.zip": ZIP}, "a.zip (one of several archives), b.zip (one of several archives)"
    ),
    "copies of what is there": (
        {"vae.ipynb": b"mine", "vae-Copy1.ipynb": VAE, "vae.zip": ZIP}, "vae-Copy1.ipynb, vae.zip/vae.ipynb"
    ),
    "helper files": (
        {"vae.ipynb": VAE, "helpers.py": b"", "lib/x.py": b"", "notes.txt": b""},
        "helpers.py (a script), lib/x.py (a script), notes.txt",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "told"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_not_the_notebook_is_listed_and_what_to_do_is_said(tmp_path, read, files, told):
    put(tmp_path, files)
    submission, found = read(), {Reason.LEFT_OUT: f"not used: {told}"}
    if "vae.ipynb" not in files:
        advice = "hand in the notebook itself, under this name"
        found[Reason.MISSING_NOTEBOOK] = f"vae.ipynb is not there: {advice}"
    assert submission.notebooks == ({"vae": files["vae.ipynb"]} if "vae.ipynb" in files else {})
    assert details(submission) == found


def test_an_archive_that_swells_is_read_no_further_than_a_submission_may_be_large(
    tmp_path, read, monkeypatch
):
    monkeypatch.setattr(collecting, "LARGEST", 5000)
    swelling = {f"{name}.ipynb": b" " * 4500 for name in range(9)} | {"vae.ipynb": VAE + b" " * 90000}
    put(tmp_path, {"a.zip": zipped(swelling)})
    submission = read()
    assert submission.notebooks == {}
    assert "a.zip/vae.ipynb (has more than" in details(submission)[Reason.LEFT_OUT]


def test_no_more_than_some_files_are_looked_at(tmp_path, read):
    put(tmp_path, {f"{n:03}.txt": b"" for n in range(205)})
    detail = details(read())[Reason.LEFT_OUT]
    assert detail.endswith("009.txt and 191 more")
    assert len(detail) < 200


def showing(*addresses: str) -> bytes:
    """VAE with texts that show what is at these addresses."""
    texts = [{"cell_type": "markdown", "source": f"![x]({address})"} for address in addresses]
    whole = json.loads(VAE)
    return json.dumps(whole | {"cells": whole["cells"] + texts}).encode()


@pytest.mark.parametrize("place", ["a ä.png", "img/a ä.png", "vae.zip/img/a ä.png"])
def test_a_picture_that_a_notebook_shows_is_taken_and_no_other(tmp_path, read, place):
    mine = showing("./img/a%20%C3%A4.png", "helpers.py")
    files = {place: b"mine", "b.png": b"", "helpers.py": b"", "vae.ipynb": mine}
    if place.startswith("vae.zip/"):
        files["vae.zip"] = zipped({place.removeprefix("vae.zip/"): files.pop(place)})
    put(tmp_path, files)
    submission = read()
    assert submission.pictures == {"a ä.png": b"mine"}
    assert details(submission) == {Reason.LEFT_OUT: "not used: b.png, helpers.py (a script)"}
    put(tmp_path, {place: b"other"} if ".zip" not in place else {"vae.zip": zipped({"a ä.png": b"other"})})
    assert read().digest != submission.digest


def test_a_name_is_shown_as_it_can_be_printed(tmp_path, read):
    (tmp_path / "vae.ipynb").write_bytes(b"{}")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n\x1b[31m" + b"x" * 200 + b".ipynb")).write_bytes(b"{}")
    (detail,) = [fault.detail for fault in read().faults]
    assert detail.isprintable()
    assert len(detail) < 120


NO_FILES: dict[str, Callable[[Path], None]] = {
    "a pipe": os.mkfifo,
    "a link": lambda path: path.symlink_to("/etc/hostname"),
    "a link that leads nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("name", ["vae.ipynb", "other.ipynb", "timestamp.txt"])
@pytest.mark.parametrize("kind", NO_FILES)
def test_only_files_are_opened(tmp_path, read, kind, name):
    NO_FILES[kind](tmp_path / name)
    submission = read()
    assert (submission.notebooks, submission.timestamp) == ({}, None)
    if name == "other.ipynb":
        assert (Reason.LEFT_OUT in details(submission)) is (kind != "a folder")  # which is empty
    else:
        assert submission.faults[0].reason is Reason.LINK


def test_a_file_that_may_not_be_read_is_a_fault(tmp_path, read, monkeypatch):
    (tmp_path / "vae.ipynb").write_bytes(b"{}")
    opened = os.open

    def refusing(path: Any, *rest: Any, dir_fd: int | None = None) -> int:
        if dir_fd is not None:
            raise PermissionError(13, "Permission denied")
        return opened(path, *rest)

    monkeypatch.setattr(collecting.os, "open", refusing)
    (fault,) = read().faults
    assert fault == Fault(Reason.LINK, "vae", "vae.ipynb cannot be read: Permission denied")


def test_a_folder_that_is_a_link_is_not_entered(tmp_path):
    put(tmp_path, {"real/vae.ipynb": b"{}"})
    (tmp_path / "link").symlink_to(tmp_path / "real")
    submission = collect(tmp_path / "link", "ada", "03-vae", {"vae": set()})
    assert (submission.notebooks, reasons(submission)) == ({}, [(Reason.LINK, "")])


def test_without_a_folder_nothing_was_handed_in(tmp_path):
    submission = collect(tmp_path / "nowhere", "ada", "03-vae", {"vae": set()})
    assert reasons(submission) == [(Reason.MISSING_NOTEBOOK, "")]


def test_a_file_that_is_too_large_is_not_read(tmp_path, read, monkeypatch):
    monkeypatch.setattr(collecting, "LARGEST", 10)
    put(tmp_path, {"a.ipynb": b"x" * 11, "b.ipynb": b"x" * 10})
    submission = read("a", "b")
    assert (list(submission.notebooks), reasons(submission)) == (["b"], [(Reason.TOO_LARGE, "a")])
    assert details(submission)[Reason.TOO_LARGE].endswith("clear its outputs")


def test_notebooks_are_read_while_the_sum_is_not_too_large(tmp_path, read, monkeypatch):
    monkeypatch.setattr(collecting, "LARGEST", 10)
    put(tmp_path, {f"{name}.ipynb": b"x" * 9 for name in "abcde"})
    submission = read(*"abcde")
    assert (list(submission.notebooks), reasons(submission)) == (list("abcd"), [(Reason.TOO_LARGE, "e")])


def test_a_file_that_grows_while_it_is_read_is_too_large():
    with pytest.raises(Refused):
        collecting._content(SimpleNamespace(read=bytes), 10)


NOBODY_KNOWS, AS_UTC = "nobody knows how late it was", "read as UTC"
TIMES = {
    b" 2025-02-02 15:58:23.948203 UTC\n": "",
    b"2025-02-02 15:58:23 CET": "",
    b"2025-02-02 15:58:23 Europe/Berlin": "",
    b"2025-02-02 15:58:23 EST5EDT": "",
    b"2025-02-02 15:58:23 +3600": "",
    b"2025-02-02T15:58:23+01:00": "",
    b"2 Feb 2025 15:58:23": "",
    b"2025-02-02 15:58:23 Nowhere": AS_UTC,
    b"2025-02-02T15:58:23 XYZ": AS_UTC,
    b"2025-02-02 10:00 PM": AS_UTC,
    b"": NOBODY_KNOWS,
    b"yesterday": NOBODY_KNOWS,
    b"\xff\xfe": NOBODY_KNOWS,
    b"2025-02-02 " + b"9" * 80: NOBODY_KNOWS,
    b"2025-02-02 10:00 " + b"9" * 60: NOBODY_KNOWS,
    b"2025-02-02" + b" " * 100 + b"10:00": NOBODY_KNOWS,
    b"2025-02-02 10:00 /etc/localtime": NOBODY_KNOWS,
    b"2025-02-02 10:00 ../../../../etc/localtime": NOBODY_KNOWS,
    b"2025-02-02 10:00 :/etc/localtime": NOBODY_KNOWS,
}


@pytest.mark.parametrize("content", TIMES)
def test_a_time_is_what_nbgrader_can_read_and_another_is_told(tmp_path, read, content):
    put(tmp_path, {"vae.ipynb": VAE, "timestamp.txt": content})
    submission, told = read(), TIMES[content]
    assert submission.timestamp == (None if told == NOBODY_KNOWS else content.decode().strip())
    assert told in details(submission).get(Reason.TIME_OF_SUBMISSION, "")
    assert len(submission.faults) == bool(told)


def test_the_exchange_s_secret_is_kept(tmp_path, read):
    put(tmp_path, {"vae.ipynb": VAE, "submission_secret.txt": b"5d41\n"})
    assert (read().secret, read().faults) == ("5d41", ())


def test_a_timestamp_without_end_is_too_large(tmp_path, read):
    put(tmp_path, {"timestamp.txt": b" " * 1000})
    assert (Reason.TOO_LARGE, "") in reasons(read())


@pytest.mark.parametrize(
    ("name", "counts"),
    [("vae.ipynb", True), ("other.ipynb", True), (".DS_Store", False), ("timestamp.txt", False)],
)
def test_the_digest_tells_what_counts_and_not_whose_it_is(tmp_path, read, name, counts):
    put(tmp_path, {"vae.ipynb": b"{}"})
    before = collect(tmp_path, "bob", "03-vae", {"vae": set()}).digest
    assert read().digest == before
    put(tmp_path, {name: b"2025-02-02"})
    assert (read().digest != before) is counts

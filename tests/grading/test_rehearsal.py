"""`course check` tells students what they will get, and in one sentence what is no notebook of the course."""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import nbformat
import pytest
from cells import RIGHT_KL, SECTIONS, asked_in
from programs import ROOT

from course_utils.settings import CourseError
from courseware.grading import rehearsal
from courseware.grading.kernel import sandbox
from courseware.grading.reasons import Reason

pytestmark = pytest.mark.slow

THEORY = Path("02-theory") / "theory.ipynb"
DUE = {"theory-00": "# Theory\n\n**Due** 2030-01-31, unless your teacher gives you longer.\n"}
WRONG_KL = RIGHT_KL.replace("0.5 * ", "")


@pytest.fixture(autouse=True)
def in_the_course(monkeypatch):
    monkeypatch.chdir(ROOT)


def notebook(folder: Path, answers: dict[str, str], without: str = "") -> Path:
    """A student's copy of the theory notebook with these answers, and one cell deleted."""
    nb = nbformat.read(ROOT / "notebooks" / THEORY, as_version=4)
    nb.cells = [cell for cell in nb.cells if cell.id != without]
    for cell in nb.cells:
        cell.source = answers.get(cell.id, cell.source)
    file = folder / THEORY.name
    nbformat.write(nb, file)
    return file


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> rehearsal.Rehearsal:
    """The rehearsal of a notebook with one right answer, one by hand, and a check deleted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        answers = {"gaussian-kl": RIGHT_KL, "derivation": "By Jensen's inequality."}
        return rehearsal.rehearse(notebook(tmp_path_factory.mktemp("own"), answers, "reparameterize-check"))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> rehearsal.Rehearsal:
    """The rehearsal of a wrong answer where no sandbox can be made, and the only copy is the student's."""
    own = tmp_path_factory.mktemp("course")
    (own / "nbgrader_config.py").touch()
    (own / "notebooks" / THEORY.parent).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(own)
        patch.setattr(sys, "platform", "darwin")
        # Its kernel finds the package as an installed one would.
        patch.setenv("PYTHONPATH", str(ROOT))
        sandbox.missing.cache_clear()
        result = rehearsal.rehearse(
            notebook(own / "notebooks" / THEORY.parent, {"gaussian-kl": WRONG_KL} | DUE)
        )
    sandbox.missing.cache_clear()
    return result


def test_each_answer_has_its_points_or_its_mistake_named(found, elsewhere):
    got = {verdict.answer: verdict.points for verdict in found.verdicts}
    assert got["gaussian_kl"] == sum(got.values()) == 3
    of = sum(exercise.points for exercise in asked_in(SECTIONS["02-theory"]))
    assert sum(verdict.of for verdict in found.verdicts) == of
    (wrong,) = (verdict for verdict in elsewhere.verdicts if verdict.answer == "gaussian_kl")
    assert wrong.points < 3 and wrong.note + "".join(wrong.failed.values())


def test_an_answer_for_a_person_is_said_to_be_answered_or_missing(found, elsewhere):
    assert found.by_hand == [rehearsal.ByHand("derivation", 4, True)]
    assert elsewhere.by_hand == [rehearsal.ByHand("derivation", 4, False)]


def test_a_check_that_was_deleted_is_put_back_and_named(found):
    assert [(fault.reason, fault.detail) for fault in found.faults] == [
        (Reason.MISSING_CELLS, "reparameterize-check")
    ]


def test_sandbox_only_copy_and_due_date_are_told_as_they_are(found, elsewhere):
    assert (found.sandboxed, elsewhere.sandboxed) == (not sandbox.missing(), False)
    assert found.remark == "" and "is the only copy here" in elsewhere.remark
    assert (found.due, elsewhere.due) == ("", "2030-01-31")


@pytest.mark.parametrize("configured", ["jupyter", "home"])  # as on a hub; as where nbgrader alone is
def test_what_was_fetched_is_compared_with_what_the_exchange_holds(tmp_path, monkeypatch, configured):
    outbound, own = (tmp_path / folder / THEORY.parent for folder in ("exchange/vae/outbound", "home"))
    for folder, answers in (outbound, DUE), (own, {}), (tmp_path / configured, {}):
        folder.mkdir(parents=True, exist_ok=True)
        notebook(folder, answers)
    (tmp_path / configured / "nbgrader_config.py").write_text(
        f"c.CourseDirectory.course_id, c.Exchange.root = 'vae', '{tmp_path / 'exchange'}'"
    )
    none = SimpleNamespace(verdicts=[], faults=[], notebooks={"theory": Mock(scores=defaultdict(int))})
    monkeypatch.setattr(rehearsal.work, "grade", lambda job: none)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path / "jupyter"))
    monkeypatch.chdir(own)
    found = rehearsal.rehearse(Path(THEORY.name))
    assert (found.remark, found.due) == ("", "2030-01-31")


# --- what is no notebook of the course ------------------------------------------------------------------


def test_a_copy_is_recognised_by_its_name_or_its_cells(tmp_path, monkeypatch):
    def graded(job):
        raise LookupError(job.submission.faults[0].detail)

    monkeypatch.setattr(rehearsal.work, "grade", graded)
    file = notebook(tmp_path, {})
    for name in ("theory-Copy1.ipynb", "mine.txt"):
        with pytest.raises(LookupError, match=f"call {name} theory.ipynb"):
            rehearsal.rehearse(file.replace(tmp_path / name))
        file = tmp_path / name


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("theory.ipynb", None, r"There is no file .*theory\.ipynb\."),
        ("", None, "is a folder: name one notebook in it"),
        ("mine.ipynb", "", r"mine\.ipynb is none of .* theory\.ipynb, theory_further\.ipynb"),
        ("theory.ipynb", "not JSON", "no notebook that can be checked: .*no JSON"),
    ],
)
def test_what_is_no_notebook_of_the_course_is_said_to_be_none(tmp_path, name, content, why):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(CourseError, match=why):
        rehearsal.rehearse(tmp_path / name)


def test_a_notebook_too_large_to_be_graded_is_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "LARGEST", 100)
    with pytest.raises(CourseError, match="more than the 100 bytes that are graded: clear its outputs"):
        rehearsal.rehearse(notebook(tmp_path, {}))


def test_outside_the_course_the_sentence_says_where_to_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CourseError, match="neither release/ nor notebooks/"):
        rehearsal.rehearse(notebook(tmp_path, {}))


# --- other systems ----------------------------------------------------------------------------------------

WITHOUT_LINUX = """
import ctypes, os, sys
import courseware.grading.work  # everybody else's modules know which system they are on
for name in [name for name in sys.modules if name.startswith(("course_utils", "courseware"))]:
    del sys.modules[name]
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "geteuid", "getuid", "fork", "pidfd_open", "setns"):
    if hasattr(os, name):
        delattr(os, name)
sys.platform = "win32"
ctypes.CDLL = None  # Windows has no library without a name
from pathlib import Path
from courseware.grading import rehearsal, work
graded = []
def grade(job):
    graded.append(job)
    raise SystemExit(0 if not job.rules.sandboxed and job.seed == 0 else 1)
work.grade = grade
rehearsal.rehearse(Path(sys.argv[1]))
"""


def test_on_windows_everything_up_to_the_kernel_works(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LINUX, str(notebook(tmp_path, {}))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr

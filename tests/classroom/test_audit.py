"""Stored results are graded again: the same comes out, or what differs is named."""

import functools
import json
import operator
import re
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import faked
import nbformat
import pytest
from click.testing import CliRunner

from course_utils.settings import CourseError
from courseware import cli
from courseware.classroom import audit, batch
from courseware.grading import work
from courseware.grading.judging import Verdict
from courseware.grading.kernel import sandbox
from courseware.grading.reasons import Fault, Reason
from courseware.grading.work import Notebook, Result, Rules

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
THEORY = "02-theory"
KL = "notebooks", "theory", "scores", "gaussian-kl-check"  # in a record
SANDBOXED = not sandbox.missing()
RULES = Rules(sandboxed=SANDBOXED)
ANSWERS = {
    "gaussian-kl": "def gaussian_kl(mu, logvar):\n    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)",
    # Draws from numpy's generator, which no check seeds: other evidence every time, never a point.
    "reparameterize": "import numpy as np\ndef reparameterize(mu, logvar, eps=None):\n"
    "    return mu + float(np.random.rand())",
}


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> batch.Course:
    """A course in which Ada has handed in section 2 and was graded."""
    root = tmp_path_factory.mktemp("course")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    for edition in ("solutions", "notebooks"):
        shutil.copytree(ROOT / edition / THEORY, root / edition / THEORY)
    folder = root / "submitted" / "ada" / THEORY
    folder.mkdir(parents=True)
    nb = nbformat.read(ROOT / "notebooks" / THEORY / "theory.ipynb", as_version=4)
    for cell in nb.cells:
        cell.source = ANSWERS.get(cell.id, cell.source)
    nbformat.write(nb, folder / "theory.ipynb")
    course = batch.Course(root)
    list(batch.grade(course, [THEORY], RULES, faked.SERIAL))
    return course


@pytest.fixture
def record(graded):
    """What is stored of Ada's result, to be read and, for one test, changed."""
    file = graded.folder("autograded", "ada", THEORY) / batch.RECORDED
    before = file.read_text("utf-8")
    yield file
    file.write_text(before, encoding="utf-8")


def change(record: Path, value: object, *keys: str) -> None:
    """Let something else stand in the record."""
    kept = json.loads(record.read_text("utf-8"))
    functools.reduce(operator.getitem, keys[:-1], kept)[keys[-1]] = value
    record.write_text(json.dumps(kept), encoding="utf-8")


def verify(course: batch.Course, student: str = "ada", unsafe: bool = not SANDBOXED) -> audit.Verification:
    (found,) = audit.verify(course, THEORY, faked.SERIAL, [student], unsafe)
    return found


def test_an_untouched_result_comes_out_again_and_random_numbers_of_an_answer_s_own_are_noted(graded):
    found = verify(graded)
    assert (found.said, found.differences) == (audit.REPRODUCED, [])
    assert found.notes == ["reparameterize: other evidence, so only its score was compared"]


def test_the_record_says_what_decided_the_result(record):
    kept = json.loads(record.read_text("utf-8"))
    assert {"seed", "digest", "timestamp", "faults", "notebooks"} <= kept.keys()
    assert set(kept["audit"]) == {
        "versions", "platform", "terms", "limits", "environment", "released", "started", "seconds"
    }  # fmt: skip
    digests = {one["answer"]: len(one["evidence"]) for one in kept["notebooks"]["theory"]["verdicts"]}
    assert digests["gaussian_kl"] == digests["reparameterize"] == 64  # hexadecimal digits


def test_what_was_handed_in_anew_is_not_verified(graded, record):
    change(record, "another", "digest")
    assert verify(graded).said == audit.ANEW


def test_what_is_not_graded_is_not_verified(graded):
    assert verify(graded, "bob").said == audit.UNGRADED


def test_code_that_ran_without_a_sandbox_does_so_again_only_where_that_is_allowed(graded, record):
    change(record, False, "audit", "terms", "sandboxed")
    with pytest.raises(CourseError, match="was graded without a sandbox: add --unsafe"):
        verify(graded, unsafe=False)


# --- the command ------------------------------------------------------------------------------------------


@pytest.fixture
def command(graded, monkeypatch):
    """`course regrade` in the course's folder, where grading again gives what was stored."""
    monkeypatch.chdir(graded.root)
    monkeypatch.setattr("courseware.classroom.pool.local", lambda workers, ready: nullcontext(faked.SERIAL))
    again, _ = batch.kept(graded, "ada", THEORY) or pytest.fail("nothing is stored")
    monkeypatch.setattr(work, "grade", lambda job: replace(again, seed=job.seed))
    safe = [] if SANDBOXED else ["--unsafe"]
    return lambda *arguments: CliRunner().invoke(cli.main, ["regrade", *arguments, *safe])


def test_a_result_that_comes_out_again_ends_well(command):
    done = command("--verify")
    assert (done.exit_code, "02-theory, ada: reproduced" in done.output) == (0, True)


def test_a_result_that_was_changed_ends_with_one_sentence_and_status_2(command, record):
    change(record, 1.0, *KL)
    done = command("--verify", THEORY, "--student", "ada")
    assert done.exit_code == 2
    assert "differs (gaussian-kl-check: 1 then, 3 now" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--yes"], "Say what to grade anew"),
        (["--student", "bob", "--yes"], "Nothing is handed in by bob."),
        ([THEORY], "add --yes"),  # there is no terminal to ask at
    ],
)
def test_nothing_is_graded_anew_unless_it_is_named_there_and_agreed_to(words, said, command):
    done = command(*words)
    assert (done.exit_code, said in done.output) == (2, True)


@pytest.mark.parametrize("agreed", [True, False])
def test_a_whole_class_is_shown_what_changes_and_asked_before_anything_is_kept(
    command, record, agreed, monkeypatch
):
    change(record, 1.0, *KL)
    before = record.read_bytes()
    monkeypatch.setattr(cli, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))

    def thinks(_: str) -> bool:
        with batch.Course(record.parents[3]).alone(wait=False):  # nobody is kept waiting
            return agreed

    monkeypatch.setattr(cli.click, "confirm", thinks)
    done = command(THEORY)
    assert re.search(r"ada +│ gaussian-kl-check +│ 1 +│ 3", done.output)
    assert "points of 1 of 1 students change" in done.output
    assert (done.exit_code, record.read_bytes() == before) == ((0, False) if agreed else (2, True))


def test_who_hands_in_again_before_it_is_agreed_to_stays_as_they_are(command, graded, record):
    before, submitted = record.read_bytes(), graded.folder("submitted", "ada", THEORY) / "theory.ipynb"
    handed_in = submitted.read_bytes()
    regraded = audit.regrade(graded, THEORY, RULES, faked.SERIAL, ["ada"], lambda: submitted.write_text("{}"))
    with pytest.raises(CourseError, match="Not graded anew: ada"):
        list(regraded)
    submitted.write_bytes(handed_in)
    assert record.read_bytes() == before


def test_grading_anew_keeps_what_a_person_gave(command, graded):
    faked.give(graded.root, "ada", 2.5, "derivation", "", "theory", THEORY)
    assert command(THEORY, "--student", "ada").exit_code == 0
    with faked.book(graded.root) as book:
        assert book.find_grade("derivation", "theory", THEORY, "ada").manual_score == 2.5


# --- the comparison ---------------------------------------------------------------------------------------

VERDICT = Verdict("2.1", "a", 3.0, 3.0, "", {}, "e")
ONE = Notebook("", "", {"a-check": 3.0, "by-hand": None}, {}, [VERDICT], [])
AUDIT = {"versions": {"torch": "1"}, "released": "r", "limits": {"memory": 1}}
RESULT = Result("ada", THEORY, "digest", None, 7, [], {"theory": ONE}, AUDIT)


def again(verdict: Verdict = VERDICT, scores: dict = ONE.scores, **changed) -> Result:
    """The result with another verdict, other scores or other parts."""
    one = replace(ONE, verdicts=[verdict], scores=scores)
    return replace(RESULT, **{"notebooks": {"theory": one}, **changed})


KILLED = Fault(Reason.KILLED, "theory", "cell a")


@pytest.mark.parametrize(
    ("after", "differences"),
    [
        (again(), []),
        (again(scores={"a-check": 2.0, "by-hand": None}), ["a-check: 3 then, 2 now"]),
        (again(scores={"a-check": 3.0, "by-hand": 0.0}), ["by-hand: by hand then, 0 now"]),
        (again(scores={"a-check": 3.0}), ["by-hand: by hand then, not there now"]),
        (again(replace(VERDICT, note="x")), ["a: the report says something else of the same evidence"]),
        (again(replace(VERDICT, note="x", evidence="f")), []),
        (again(faults=[KILLED]), ["theory: killed now, not then"]),
        (again(notebooks={}), ["theory is no longer part of the assignment"]),
    ],
    ids=["nothing", "points", "by hand", "gone", "report", "other evidence", "fault", "notebook"],
)
def test_what_differs_is_named(after, differences):
    assert audit.compare(RESULT, after).differences == differences


def test_a_fault_that_is_gone_is_named():
    assert audit.compare(again(faults=[KILLED]), RESULT).differences == ["theory: killed then, not now"]


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        ({"versions": {"torch": "2"}}, "torch 1 then, 2 now"),
        ({"released": "s"}, "the assignment was released anew"),
        ({"limits": {"memory": 2}}, "the sandbox has other limits"),
    ],
)
def test_what_has_changed_around_it_is_noted(changed, note):
    found = audit.compare(RESULT, again(audit=AUDIT | changed))
    assert (found.differences, found.notes) == ([], [note])

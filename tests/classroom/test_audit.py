"""Stored results are graded again: the same comes out, or what differs is named."""

from __future__ import annotations

import json
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
from nbgrader.api import Gradebook

from course_utils.settings import CourseError
from courseware import cli
from courseware.classroom import audit, batch
from courseware.grading import work
from courseware.grading.kernel import sandbox
from courseware.grading.reasons import Fault, Reason
from courseware.grading.work import Notebook, Result, Rules, Verdict

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
THEORY = "02-theory"
SANDBOXED = not sandbox.missing()
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
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = ANSWERS.get(grade_id, cell.source)
    nbformat.write(nb, folder / "theory.ipynb")
    course = batch.Course(root)
    list(batch.grade(course, [THEORY], Rules(sandboxed=SANDBOXED), faked.SERIAL))
    return course


@pytest.fixture
def record(graded):
    """What is stored of Ada's result, to be read and, for one test, changed."""
    file = graded.folder("autograded", "ada", THEORY) / batch.RECORDED
    before = file.read_text("utf-8")
    yield file
    file.write_text(before, encoding="utf-8")


def verify(course: batch.Course, **options) -> audit.Comparison:
    (found,) = audit.verify(course, THEORY, faked.SERIAL, ["ada"], unsafe=not SANDBOXED, **options)
    return found


@pytest.fixture(scope="module")
def verified(graded) -> audit.Comparison:
    return verify(graded)


def test_an_untouched_result_comes_out_again(verified):
    assert (verified.said, verified.differences) == (audit.REPRODUCED, [])


def test_an_answer_that_draws_random_numbers_of_its_own_is_noted(verified):
    assert verified.notes == ["reparameterize: other evidence, so only its score was compared"]


def test_the_record_says_what_decided_the_result(record):
    kept = json.loads(record.read_text("utf-8"))
    assert {"seed", "digest", "timestamp", "faults", "notebooks"} <= kept.keys()
    assert set(kept["audit"]) == {
        "versions", "platform", "terms", "limits", "environment", "released", "started", "seconds"
    }  # fmt: skip


def test_the_record_holds_the_digest_of_the_evidence_of_every_solved_exercise(record):
    verdicts = json.loads(record.read_text("utf-8"))["notebooks"]["theory"]["verdicts"]
    lengths = {one["answer"]: len(one["evidence"]) for one in verdicts}
    assert lengths["gaussian_kl"] == lengths["reparameterize"] == 64  # hexadecimal digits


def test_what_was_handed_in_anew_is_not_verified(graded, record):
    record.write_text(json.dumps(json.loads(record.read_text("utf-8")) | {"digest": "another"}))
    assert verify(graded).said == audit.ANEW


def test_what_is_not_graded_is_not_verified(graded):
    (found,) = audit.verify(graded, THEORY, faked.SERIAL, ["bob"])
    assert found.said == audit.UNGRADED


def test_code_that_ran_without_a_sandbox_does_so_again_only_where_that_is_allowed(graded, record):
    kept = json.loads(record.read_text("utf-8"))
    kept["audit"]["terms"]["sandboxed"] = False
    record.write_text(json.dumps(kept))
    with pytest.raises(CourseError, match="was graded without a sandbox: add --unsafe"):
        list(audit.verify(graded, THEORY, faked.SERIAL, ["ada"]))


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
    kept = json.loads(record.read_text("utf-8"))
    kept["notebooks"]["theory"]["scores"]["gaussian-kl-check"] = 1.0
    record.write_text(json.dumps(kept))
    done = command("--verify", THEORY, "--student", "ada")
    assert done.exit_code == 2
    assert "differs (gaussian-kl-check: 1 then, 3 now" in done.output


def test_nothing_is_graded_anew_unless_it_is_named(command):
    done = command("--yes")
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)


def test_who_handed_in_nothing_is_not_graded_anew(command):
    assert command("--student", "bob", "--yes").exit_code == 2


def test_without_a_terminal_to_ask_at_nothing_is_graded_anew(command):
    done = command(THEORY)
    assert (done.exit_code, "add --yes" in done.output) == (2, True)


@pytest.mark.parametrize("agreed", [True, False])
def test_a_whole_class_is_shown_what_changes_and_asked_before_anything_is_kept(
    command, record, agreed, monkeypatch
):
    kept = json.loads(record.read_text("utf-8"))
    kept["notebooks"]["theory"]["scores"]["gaussian-kl-check"] = 1.0
    record.write_text(json.dumps(kept))
    before = record.read_bytes()
    monkeypatch.setattr(cli, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    monkeypatch.setattr(cli.click, "confirm", lambda _: agreed)
    done = command(THEORY)
    assert re.search(r"ada +│ gaussian-kl-check +│ 1 +│ 3", done.output)
    assert "points of 1 of 1 students change" in done.output
    assert (done.exit_code, record.read_bytes() == before) == ((0, False) if agreed else (2, True))


def test_grading_anew_keeps_what_a_person_gave(command, graded):
    with Gradebook(graded.directory.db_url, graded.directory.course_id) as book:
        book.find_grade("derivation", "theory", THEORY, "ada").manual_score = 2.5
        book.db.commit()
    assert command(THEORY, "--student", "ada").exit_code == 0
    with Gradebook(graded.directory.db_url, graded.directory.course_id) as book:
        assert book.find_grade("derivation", "theory", THEORY, "ada").manual_score == 2.5


# --- the comparison ---------------------------------------------------------------------------------------

RESULT = Result(
    "ada",
    THEORY,
    "digest",
    None,
    7,
    [],
    {
        "theory": Notebook(
            "", "", {"a-check": 3.0, "by-hand": None}, {}, [Verdict("2.1", "a", 3.0, 3.0, "", {}, "e")], []
        )
    },
    {"versions": {"torch": "1"}, "released": "r", "limits": {"memory": 1}},
)


def again(verdict: Verdict | None = None, scores: dict | None = None, **changed) -> Result:
    """The result with another verdict, other scores or other parts."""
    one = RESULT.notebooks["theory"]
    one = replace(one, verdicts=[verdict or one.verdicts[0]], scores=scores or one.scores)
    return replace(RESULT, **{"notebooks": {"theory": one}, **changed})


VERDICT = RESULT.notebooks["theory"].verdicts[0]
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
    found = audit.compare(RESULT, again(audit=RESULT.audit | changed))
    assert (found.differences, found.notes) == ([], [note])

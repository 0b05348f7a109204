"""What grading leaves out: tagged demonstrations as they were released, unless one of them may matter."""

import functools

import nbformat
import pytest
import torch
from cells import answer_cell, graded_cell
from nbformat.v4 import new_code_cell, new_notebook
from programs import ROOT

from course_utils.checks.judges import EXERCISES
from course_utils.checks.probes import observe
from course_utils.checks.probes.predictions import measured
from course_utils.engine import cache, fast
from courseware import sections
from courseware.grading import preprocessors
from courseware.grading.submission import demonstrations

NAMES = [str(lesson.path) for lesson in sections.lessons()]
SETUP = "import torch\nfrom torch import nn\nfrom course_utils import data"
STUB = "def gaussian_kl(mu, logvar):\n    raise NotImplementedError()"
ANSWER = "def gaussian_kl(mu, logvar):\n    return mu"
SHOWN = "model = nn.Linear(1, 1)"


def shown(source: str):
    return new_code_cell(source, metadata={"tags": [demonstrations.TAG]})


def lesson(demonstration: str = SHOWN, solution: str = STUB):
    """Set-up, a demonstration, an answer and its check: places 0 to 3."""
    return [new_code_cell(SETUP), shown(demonstration), answer_cell(solution), graded_cell()]


def runs(cells, release=None) -> list[int]:
    """The places of the cells that run, in a copy without tags as students hand it in."""
    handed_in = nbformat.from_dict(new_notebook(cells=cells))
    for cell in handed_in.cells:
        cell.metadata.pop("tags", None)
    return sorted(demonstrations.needed(handed_in, new_notebook(cells=release or lesson())))


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    for name, value in preprocessors.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


# --- grading ------------------------------------------------------------------------------------------


NEEDED_AFTER_ALL = [*lesson(), new_code_cell("print(model)")]
CALLS = "gaussian_kl(1, 2)"  # what students make
RUN = {
    "a tag that was released": (lesson(), lesson(), [0, 2, 3]),
    "the same beside an answer": (lesson(solution=f"import math\n{ANSWER}"), lesson(), [0, 2, 3]),
    "no tag": (lesson(), [new_code_cell(SETUP), new_code_cell(SHOWN), *lesson()[2:]], [0, 1, 2, 3]),
    "a demonstration that was changed": (lesson("model = nn.Linear(2, 2)"), lesson(), [0, 1, 2, 3]),
    "an answer that repeats it": (lesson(solution=SHOWN), lesson(), [0, 2, 3]),
    "one that the lesson needs after all": (NEEDED_AFTER_ALL, NEEDED_AFTER_ALL, [0, 1, 2, 3, 4]),
    "one that gets at an answer": (lesson(CALLS, ANSWER), lesson(CALLS), [0, 1, 2, 3]),
    "one that gets at a stub": (lesson(CALLS), lesson(CALLS), [0, 2, 3]),
}


@pytest.mark.parametrize(("cells", "release", "places"), RUN.values(), ids=RUN)
def test_a_demonstration_is_left_out_as_it_was_released_and_tagged(cells, release, places):
    assert runs(cells, release) == places


@pytest.mark.parametrize(
    "source",
    [
        "print(model)",
        "model += 1",
        "del model",
        "print(f'{model}')",
        "@model\ndef f(): pass",
        "def f(x=model): pass",
        "def f(x: model): pass",
        "class A(model): pass",
        "class A:\n    model = model",
        "[model for x in ()]",
        "sum(model for x in ())",
        "f = lambda: model",
        "def f():\n    def g():\n        return model",
        "if 0 in ():\n    model = 2\nprint(model)",
        "y = torch and (model := 2)\nprint(model)",
        "def f():\n    return model\nmodel = 2",
        "model = 2\ndef f():\n    return model",
    ],
)
def test_a_name_that_a_demonstration_binds_makes_every_cell_run(source):
    assert runs(lesson(solution=f"{ANSWER}\n{source}")) == [0, 1, 2, 3]
    assert runs([*lesson(), new_code_cell(source)]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "source",
    [
        "model = 2\nprint(model)\nprint([model for x in ()])",
        "def f(model): return model",
        "'model'",
        "[model for model in ()]",
        "torch.eval()\nfor _ in (): pass",
    ],
)
def test_a_name_of_its_own_is_no_reason(source):
    assert runs(lesson(solution=f"{ANSWER}\n{source}")) == [0, 2, 3]


@pytest.mark.parametrize(
    "binding",
    [
        "a, (b, *needle) = 1, (2, 3)",
        "print(needle := 1)",
        "import os.path as needle",
        "def needle(): pass",
        "for needle in (): pass",
        "with open('x') as needle: pass",
        "def f():\n    global needle\n    needle = 1",
    ],
)
def test_every_way_to_bind_a_name_counts(binding):
    use = f"{ANSWER} + needle"
    assert runs(lesson(binding, use), lesson(binding)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "source",
    [
        "globals()['x'] = 1",
        "exec('x = 1')",
        "eval('x')",
        "__import__('os')",
        "get_ipython()",
        "import inspect",
        "import __main__",
        "import sys\nsys.modules['__main__']",
        "from math import *",
        "import os\nos.environ['COURSE_BUDGET'] = 'full'",
        "print(_)",
        "Out[3]",
        "%time 1",
        "!ls",
        "def f(:",
        "nn.Linear.forward = None",
        "for kind in (nn.Linear,):\n    kind.forward = None",
        "del nn.Linear",
        "setattr(nn.Linear, 'forward', None)",
        "vars(nn)['Linear'] = None",
        "-" * 100_000 + "1",
        "x = 1\n" * 50_000,
    ],
    ids=lambda source: source[:20],
)
def test_where_code_may_reach_names_unseen_or_change_modules_every_cell_runs(source):
    assert runs([*lesson(), new_code_cell(source)]) == [0, 1, 2, 3, 4]


def test_no_check_of_a_prediction_looks_at_what_was_measured_under_the_smoke_budget():
    for exercise in (one for one in EXERCISES.values() if one.questions):
        names = {exercise.answer: lambda: {}}
        with_it = observe(exercise.answer, names | {measured(exercise.answer): {}}, 1)
        assert with_it.packed == observe(exercise.answer, names, 1).packed


# --- tags ---------------------------------------------------------------------------------------------


def doubts(*cells) -> str:
    return " ".join(demonstrations.doubts(new_notebook(cells=list(cells))))


RIGHT = lesson(solution=f"{ANSWER} * torch.ones(1)")
ITS_OWN = [shown("rows = {}\nrows[1] = vars(rows)"), shown("model.bias[0] = 1")]
TAGGED = answer_cell(ANSWER)
TAGGED.metadata.tags = [demonstrations.TAG]
DOUBTS = {
    "right tags": (RIGHT, ""),
    "a demonstration changes what it has made": ([*RIGHT, *ITS_OWN], ""),
    "a cell that nobody needs": ([*RIGHT, new_code_cell("x = 1", id="needless")], "cell needless binds no"),
    "a cell that an answer prints": (lesson(solution="print(model)"), "needs its `model`: take the tag away"),
    "a cell that an answer calls": (lesson(solution="def f():\n    return model"), "needs its `model`:"),
    "what a check asks for": ([shown(ANSWER), graded_cell()], "needs its `gaussian_kl`"),
    "an answer": ([TAGGED, graded_cell()], "it is an answer or graded: take the tag away"),
    "no Python": ([new_code_cell("def f(:", id="broken")], "cell broken is no Python: "),
}  # fmt: skip


@pytest.mark.parametrize(("cells", "told"), DOUBTS.values(), ids=DOUBTS)
def test_a_tag_that_is_wrong_or_missing_is_told(cells, told):
    assert told in doubts(*cells)
    assert bool(doubts(*cells)) == bool(told)


@pytest.mark.parametrize(
    "source",
    [
        "nn.Linear.forward = None",
        "torch.set_default_dtype(torch.float64)",
        "data.images[:1] = 0",
        "import matplotlib.pyplot as plt\nplt.rcParams['font.size'] = 3",
        "import warnings\nwarnings.filterwarnings('ignore')",
        "exec('torch = 3')",
    ],
)
def test_a_cell_that_changes_what_it_has_not_made_is_no_demonstration_and_needs_no_tag(source):
    assert "may change what others find: take the tag away" in doubts(*RIGHT, shown(source))
    assert doubts(*RIGHT, new_code_cell(source)) == ""


# --- every section ------------------------------------------------------------------------------------

TRIED_OUT = {  # trainings whose model an answer's last lines try the answer on
    "03-vae/vae.ipynb": {"vae-14"},
    "07-exercises/conditional_vae.ipynb": {"conditional-vae-07"},
    "07-exercises/fashion_mnist.ipynb": {"fashion-mnist-05"},
}


@functools.cache  # only read
def notebook(folder: str, name: str):
    return nbformat.read(ROOT / folder / name, 4)


def code(nb) -> set[int]:
    return {i for i, cell in enumerate(nb.cells) if cell.cell_type == "code"}


@pytest.mark.parametrize("folder", ["solutions", "notebooks"])
@pytest.mark.parametrize("name", NAMES)
def test_beside_the_marked_cells_only_set_up_runs_and_what_answers_are_tried_out_on(folder, name):
    nb, release = (notebook(place, name) for place in (folder, "notebooks"))
    run = demonstrations.needed(nb, release)
    marked = {i for i in code(nb) if "nbgrader" in nb.cells[i].metadata}
    assert marked <= run
    others = {nb.cells[i].id for i in run - marked}
    assert TRIED_OUT.get(name, set()) <= others
    assert all(cell_id.endswith(("-guard", "-01")) for cell_id in others - TRIED_OUT.get(name, set()))


def graded_evidence(nb, places: set[int]) -> dict[str, dict]:
    """What every graded cell hands over if those cells run; where a check does not seed torch, this does."""
    names: dict = {"display": print}
    found = {}
    for i in sorted(places):
        if asked := preprocessors.asked_of(nb.cells[i]):
            torch.manual_seed(0)
            found[asked] = observe(asked, names, 3).packed
        else:
            exec(nb.cells[i].source, names)
    return found


def test_the_needed_cells_alone_give_the_same_evidence(monkeypatch):
    monkeypatch.setattr(cache, "fit", fast.fit)  # each run trains anew
    monkeypatch.setenv("MPLBACKEND", "agg")
    nb = notebook("solutions", "07-exercises/conditional_vae.ipynb")
    every, some = (graded_evidence(nb, places) for places in (code(nb), demonstrations.needed(nb, nb)))
    assert len(every) == 3 and every == some

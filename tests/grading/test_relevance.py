"""Which cells a grading run needs: each rule on a notebook of a few lines, then every section as it is."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.checks import EXERCISES, core, evidence
from course_utils.engine import cache, fast
from courseware.grading import preprocessors
from courseware.grading.submission import relevance

ROOT = Path(__file__).parents[2]
NAMES = sorted(str(path.relative_to(ROOT / "notebooks")) for path in (ROOT / "notebooks").glob("*/*.ipynb"))
SETUP = "import torch\nfrom torch import nn\nfrom course_utils import data, settings"
TRAINING = "model = nn.Linear(1, 1)"
ANSWER = "def gaussian_kl(mu, logvar):\n    return mu"


def answer(source: str):
    return new_code_cell(source, metadata={"nbgrader": {"solution": True, "grade": False, "grade_id": "a"}})


def graded(name: str = "gaussian_kl"):
    mark = {"solution": False, "grade": True, "grade_id": "a-check"}
    return new_code_cell(f'check("{name}", globals())', metadata={"nbgrader": mark})


def runs(*cells, own: tuple[int, ...] = ()) -> list[int]:
    """The places of the cells that run; those in `own` are the student's, other texts released."""
    nodes = [new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    release = new_notebook(cells=[node for i, node in enumerate(nodes) if i not in own])
    return sorted(relevance.needed(new_notebook(cells=nodes), release))


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    for name, value in {"COURSE_BUDGET": "smoke", "COURSE_DATASET": "digits", "TQDM_DISABLE": "1"}.items():
        monkeypatch.setenv(name, value)


# --- the rules ----------------------------------------------------------------------------------------


def test_a_demonstration_that_nobody_reads_is_left_out():
    assert runs(SETUP, TRAINING, answer(ANSWER), graded()) == [2, 3]


def test_what_an_answer_reads_runs_and_what_that_reads_too():
    assert runs(SETUP, TRAINING, answer(f"{ANSWER}\nprint(model)"), graded()) == [0, 1, 2, 3]


def test_a_cell_of_the_students_own_runs():
    assert runs("x = 1", answer(ANSWER), graded(), own=(0,)) == [0, 1, 2]


def test_a_changed_demonstration_runs():
    cells = [new_code_cell("x = 2"), answer(ANSWER), graded()]
    release = new_notebook(cells=[new_code_cell("x = 1"), *cells[1:]])
    assert relevance.needed(new_notebook(cells=cells), release) == {0, 1, 2}


def test_a_copy_of_a_released_answer_is_no_demonstration():
    cells = [new_code_cell(ANSWER), graded()]
    assert relevance.needed(new_notebook(cells=cells), new_notebook(cells=[answer(ANSWER)])) == {0, 1}


def test_a_tag_has_no_say():
    tagged = new_code_cell("x = 1", metadata={"tags": ["raises-exception"]})
    assert runs(tagged, answer(ANSWER), graded()) == [1, 2]


def test_a_helper_of_the_students_own_needs_what_it_reads():
    use = answer("def gaussian_kl(mu, logvar):\n    return half(mu)")
    assert runs("factor = 0.5", "def half(x): return factor * x", use, graded(), own=(1,)) == [0, 1, 2, 3]


def test_names_that_a_function_reads_may_be_bound_below_it():
    late = answer("def gaussian_kl(mu, logvar):\n    return scale * mu")
    assert runs(late, "scale = 2", graded()) == [0, 1, 2]


def test_what_comes_after_the_last_look_is_left_out():
    late = answer("def gaussian_kl(mu, logvar):\n    return scale * mu")
    assert runs("scale = 2", late, graded(), "scale = 3") == [0, 1, 2]


def test_a_name_that_the_cell_binds_first_is_its_own():
    assert runs("x = 1", answer(f"{ANSWER}\nx = 2\nprint(x)"), graded()) == [1, 2]


def test_a_name_bound_under_a_condition_may_be_anothers():
    assert runs("x = 1", answer(f"{ANSWER}\nif 0:\n    x = 2\nprint(x)"), graded()) == [0, 1, 2]


def test_a_walrus_that_may_not_be_reached_leaves_the_name_anothers():
    assert runs("x = 1", answer(f"{ANSWER}\ny = 0 and (x := 2)\nprint(x)"), graded()) == [0, 1, 2]


@pytest.mark.parametrize(
    "source",
    [
        "needle = 1",
        "needle: int = 1",
        "a, (b, *needle) = 1, (2, 3)",
        "print(needle := 1)",
        "needle += 1",
        "import os.path as needle",
        "from os import path as needle",
        "def needle(): pass",
        "class needle: pass",
        "for needle in (): pass",
        "with open('x') as needle: pass",
        "try:\n    pass\nexcept OSError as needle:\n    pass",
        "del needle",
        "def f():\n    global needle\n    needle = 1",
    ],
)
def test_every_way_to_bind_a_name_counts(source):
    assert 0 in runs(source, answer("def gaussian_kl(mu, logvar):\n    return needle"), graded())


@pytest.mark.parametrize(
    "source",
    [
        "@needle\ndef f(): pass",
        "def f(x=needle): pass",
        "def f(x: needle): pass",
        "class A(needle): pass",
        "class A:\n    x = needle",
        "class A:\n    needle = needle",
        "[x for x in needle]",
        "[needle for x in ()]",
        "{x: needle for x in ()}",
        "f = lambda: needle",
        "def f():\n    def g():\n        return needle",
        "print(f'{needle}')",
    ],
)
def test_every_way_to_read_a_name_counts(source):
    assert 0 in runs("needle = 1", answer(f"{ANSWER}\n{source}"), graded())


@pytest.mark.parametrize("source", ["def f(needle): return needle", "[needle for needle in ()]", "'needle'"])
def test_a_local_name_and_a_text_read_nothing(source):
    assert 0 not in runs("needle = 1", answer(f"{ANSWER}\n{source}"), graded())


def test_a_builtin_that_a_demonstration_binds_anew_counts():
    assert 0 in runs("sum = max", answer("def gaussian_kl(mu, logvar):\n    return sum(mu)"), graded())


@pytest.mark.parametrize(
    "source",
    [
        "model.weight.data.zero_()",
        "print(model)",
        "for m in (model,):\n    m.train()",
        "def f():\n    model.train()",
    ],
)
def test_a_cell_that_gets_at_an_object_in_use_may_change_it(source):
    assert 2 in runs(SETUP, TRAINING, source, answer(f"{ANSWER}\nprint(model)"), graded())


@pytest.mark.parametrize("between", ["other = model", "def other():\n    return model"])
def test_an_object_may_be_changed_under_another_name(between):
    assert 3 in runs(SETUP, TRAINING, between, "print(other)", answer(f"{ANSWER}\nprint(model)"), graded())


def test_an_object_may_be_changed_through_what_it_came_from():
    cells = "parts = [[1]]", "part = parts[0]", "parts[0].append(2)"
    assert 2 in runs(*cells, answer(f"{ANSWER}\nprint(part)"), graded())


def test_calling_what_a_student_defined_may_change_it():
    use = "def gaussian_kl(mu, logvar, seen=[]):\n    seen.append(mu)"
    assert 1 in runs(answer(use), "gaussian_kl(1, 2)", graded())


DATASET = "dataset = data.for_lesson(settings.budget())"


def test_a_mention_of_the_lessons_data_does_not_change_it():
    assert 2 not in runs(SETUP, DATASET, "print(dataset)", answer(f"{ANSWER}\nprint(dataset)"), graded())


@pytest.mark.parametrize(
    "source",
    [
        "dataset.train_images[:1] = 0",
        "dataset.train_images.zero_()",
        "x = dataset.train_images\nx += 1",
        "torch.exp(dataset.train_images, out=dataset.train_images)",
    ],
)
def test_work_in_place_may_change_the_lessons_data(source):
    assert 2 in runs(SETUP, DATASET, source, answer(f"{ANSWER}\nprint(dataset)"), graded())


@pytest.mark.parametrize(
    "source",
    [
        "nn.Linear.forward = None",
        "Linear = nn.Linear\nLinear.forward = None",
        "for kind in (nn.Linear,):\n    kind.forward = None",
        "del nn.Linear",
        "setattr(nn.Linear, 'forward', None)",
        "vars(nn)['Linear'] = None",
        "torch.set_default_dtype(torch.float64)",
        "import random\nrandom.seed(0)",
        "import numpy as np\nnp.random.seed(0)",
        "import warnings\nwarnings.filterwarnings('ignore')",
        "import matplotlib.pyplot as plt\nplt.rcParams['font.size'] = 3",
        "import sys\nsys.setrecursionlimit(99)",
    ],
)
def test_a_change_of_a_module_or_the_process_always_runs(source):
    assert 1 in runs(SETUP, source, answer(ANSWER), graded())


def test_seeding_torch_is_no_reason_to_run():
    assert runs(SETUP, "torch.manual_seed(0)", answer(ANSWER), graded()) == [2, 3]


@pytest.mark.parametrize(
    "source",
    [
        "globals()['x'] = 1",
        "locals()",
        "vars()",
        "exec('x = 1')",
        "eval('x')",
        "__import__('os')",
        "compile('x', '', 'eval')",
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
        "print?",
        "def f(:",
    ],
)
def test_where_names_can_be_had_unseen_every_cell_runs(source):
    assert runs("x = 1", source, answer(ANSWER), graded(), own=(1,)) == [0, 1, 2, 3]


@pytest.mark.parametrize("source", ["model.eval()", "vars(model)", "for _ in (): pass"])
def test_what_only_looks_like_it_hides_nothing(source):
    assert 0 not in runs("x = 1", answer(f"{ANSWER}\nmodel = print\n{source}"), graded())


def test_a_prediction_needs_what_was_measured_beyond_the_smoke_budget(monkeypatch):
    cells = "measured_gap = 1", answer("def predict_gap(): return {}"), graded("predict_gap")
    assert runs(*cells) == [1, 2]
    monkeypatch.setenv("COURSE_BUDGET", "laptop")
    assert runs(*cells) == [0, 1, 2]


def test_no_check_of_a_prediction_looks_at_what_was_measured_under_the_smoke_budget():
    for exercise in (one for one in EXERCISES.values() if one.measured):
        names = {exercise.answer: lambda: {}}
        with_it = core.observe(exercise, names | {exercise.measured: {}}, 1)
        assert with_it.packed(exercise) == core.observe(exercise, names, 1).packed(exercise)


# --- every section ------------------------------------------------------------------------------------

TRIED_OUT = {  # trainings whose model an answer's last lines try the answer on
    "03-vae/vae.ipynb": {"vae-14"},
    "07-exercises/conditional_vae.ipynb": {"conditional-vae-07"},
    "07-exercises/fashion_mnist.ipynb": {"fashion-mnist-05"},
}


def code(nb) -> list[int]:
    return [i for i, cell in enumerate(nb.cells) if cell.cell_type == "code"]


@pytest.mark.parametrize("folder", ["solutions", "notebooks"])
@pytest.mark.parametrize("name", NAMES)
def test_of_the_trainings_only_those_run_that_an_answer_is_tried_out_on(folder, name):
    nb = nbformat.read(ROOT / folder / name, 4)
    run = relevance.needed(nb, nb)  # a solved notebook's demonstrations are those of its own release
    trainings = {nb.cells[i].id for i in run if "cache.fit(" in nb.cells[i].source}
    print(f"{folder}/{name}: {len(run)} of {len(code(nb))} cells run, trainings: {trainings or 'none'}")
    assert trainings == TRIED_OUT.get(name, set())


@pytest.mark.parametrize("name", NAMES)
def test_answers_and_graded_cells_run(name):
    nb = nbformat.read(ROOT / "solutions" / name, 4)
    marked = {i for i in code(nb) if "nbgrader" in nb.cells[i].metadata}
    assert marked <= relevance.needed(nb, nb)


def graded_evidence(nb, places: set[int]) -> dict[str, core.Observation]:
    """What every graded cell hands over if those cells run; where a check does not seed torch, this does."""
    names: dict = {"display": print}
    found = {}
    for i in sorted(places):
        asked = preprocessors.asked_of(nb.cells[i])
        if asked:
            torch.manual_seed(0)
            found[asked] = core.observe(EXERCISES[asked], names, 3)
        else:
            exec(nb.cells[i].source, names)
    return found


def test_the_needed_cells_alone_give_the_same_evidence(monkeypatch):
    monkeypatch.setattr(cache, "fit", fast.fit)  # each run trains anew
    monkeypatch.setenv("MPLBACKEND", "agg")
    nb = nbformat.read(ROOT / "solutions" / "07-exercises" / "conditional_vae.ipynb", 4)
    every, some = (graded_evidence(nb, places) for places in (set(code(nb)), relevance.needed(nb, nb)))
    assert len(every) == 3
    assert {name: evidence.pack(seen.evidence) for name, seen in every.items()} == {
        name: evidence.pack(seen.evidence) for name, seen in some.items()
    }


@pytest.mark.parametrize("code", ["-" * 100_000 + "1", "x = 1\n" * 50_000], ids=["deep", "long"])
def test_code_that_would_take_long_to_read_is_run_as_it_is(code):
    released = new_notebook(cells=[new_code_cell("demonstration()")])
    nb = new_notebook(cells=[*released.cells, new_code_cell(code)])
    assert relevance.needed(nb, released) == {0, 1}

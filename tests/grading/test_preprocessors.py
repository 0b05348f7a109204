"""nbgrader with this course's configuration: probe in the kernel, judge outside, an eye on own work."""

import ast
import functools
import html
import importlib
import re
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import cells
import nbformat
import numpy as np
import pytest
from cells import KERNEL, RIGHT_KL, answer_cell, grade, graded_cell, imports, packed, points
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbgrader.preprocessors import Execute

import bank
from course_utils import objectives
from course_utils.checks import check, words
from course_utils.checks.judges import EXERCISES
from course_utils.checks.probes import EVIDENCE_MIME, Observation, evidence
from course_utils.settings import CourseError
from courseware.grading import preprocessors
from courseware.grading.judging import Judge
from courseware.grading.kernel import forked, sandbox
from courseware.grading.preprocessors import Probe, asked_of, seed_of
from courseware.grading.reasons import Fault, Reason
from courseware.grading.submission import own_work
from courseware.grading.submission.collect import Submission


def judged(*bundles: Any, above: NotebookNode | None = None) -> NotebookNode:
    """A graded cell with these evidence bundles, of the seed 41, after Judge has seen the answer `above`."""
    cell = graded_cell()
    cell.outputs = [
        new_output("execute_result", data={"text/plain": "3", EVIDENCE_MIME: bundle}) for bundle in bundles
    ]
    judge, resources = Judge(), {"course_seed": 41}
    judge.preprocess_cell(above or answer_cell(""), resources, 0)
    return judge.preprocess_cell(cell, resources, 1)[0]


def report(cell: NotebookNode) -> str:
    """What students read, with the tags that stand in it."""
    return html.unescape(cell.outputs[0].data["text/html"])


# --- the verdict ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graded() -> dict[str, NotebookNode]:
    """One submission with everything in it that must not cost a right answer its points."""
    noise = (
        "    print('half', file=sys.stderr); warnings.warn('old'); print('x' * 10)\n"
        "    for _ in tqdm(range(3)):\n"
        "        plt.plot([1, 2]); plt.show()\n"
        "    mu = torch.from_numpy(np.asarray(mu))\n"
        "    logvar = torch.from_numpy(2 * scipy.special.expit(0) * logvar.numpy())\n"
    )
    libraries = "import sys, warnings, scipy, numpy as np, matplotlib.pyplot as plt\nfrom tqdm import tqdm\n"
    noisy = libraries + RIGHT_KL.replace("    return", noise + "    return")
    class_based = (
        "class reparameterize(nn.Module):\n"
        "    def forward(self, mu, logvar, eps=None, **more):\n"
        "        eps = torch.randn_like(mu.double()) if eps is None else eps\n"
        "        return mu.double() + (logvar.double() / 2).exp() * eps"
    )
    answers = {
        "gaussian_kl": noisy,
        "reparameterize": class_based,
        "what_is_my_beta": "def what_is_my_beta(*arguments:\n    return 1",
        "monte_carlo_elbo": "def monte_carlo_elbo(*arguments):\n    raise NotImplementedError",
    }
    cells = [imports(), new_code_cell("1 / 0")]
    for name, code in answers.items():
        cells += [answer_cell(code, name), graded_cell(name, f"{name}-check")]
        cells.append(new_code_cell("check = sum = None  # names of the course's, used for something else"))
    return {asked_of(cell): cell for cell in grade(*cells)}


SHOWN = {
    "gaussian_kl": (3, "3 of 3 points"),  # with noise and shadowed names
    "reparameterize": (3, "3 of 3 points"),  # a class with extra keywords in float64
    "what_is_my_beta": (0, "cannot be read as Python: SyntaxError: '(' was never closed (line 1)"),
    "monte_carlo_elbo": (0, "Not yet"),  # unsolved
}


@pytest.mark.parametrize("name", SHOWN)
def test_each_exercise_has_its_points_and_its_report_whatever_the_others_do(graded, name):
    earned, said = SHOWN[name]
    assert points(graded[name]) == earned
    assert said in report(graded[name])
    assert EVIDENCE_MIME not in graded[name].outputs[0].data
    assert graded[name].source == f'check("{name}", globals())'


# --- evidence that is not what it seems ---------------------------------------------------------------


LEAVES = """import time
for place in ('/tmp', '/dev/shm'):
    for i in range(2): open(f"{place}/{i}", "wb").write(bytes(12 * 10**7))
time.sleep(0.3)
"""
TAKES = """import time
taken = b"x" * 2 * 10**8  # zeros would take none
time.sleep(0.8)
def reparameterize(mu, logvar, eps=None):
    return mu + (logvar / 2).exp() * (torch.randn_like(mu) if eps is None else eps)
"""


@pytest.mark.sandbox
def test_a_cell_that_leaves_hardly_any_memory_to_the_next_is_blamed_itself(monkeypatch):
    limits = replace(sandbox.Limits(), memory=900_000_000)
    monkeypatch.setattr(sandbox.SandboxProvisioner, "limits", limits)
    lost, kept = grade(
        imports(),
        answer_cell(LEAVES + RIGHT_KL),
        graded_cell(),
        answer_cell(TAKES, "reparameterize"),
        graded_cell("reparameterize", "reparameterize-check"),
    )
    assert (points(lost), points(kept)) == (0, 3)


@pytest.mark.slow
@pytest.mark.sandbox
def test_a_kernel_that_cannot_be_forked_is_forked_from_another_process(monkeypatch):
    fork, kills = forked.Zygote.fork, iter([True])

    def killed(zygote: forked.Zygote, *request: Any) -> int:
        if next(kills, False):
            zygote.process.kill()
        return fork(zygote, *request)

    monkeypatch.setattr(forked.Zygote, "fork", killed)
    (cell,) = grade(imports(), answer_cell(RIGHT_KL), graded_cell())
    assert points(cell) == 3


@pytest.mark.sandbox
def test_where_no_kernel_starts_at_all_that_is_an_error(monkeypatch):
    monkeypatch.setattr(forked.Zygote, "fork", Mock(side_effect=CourseError("no kernel today")))
    with pytest.raises(CourseError, match="no kernel today"):
        grade(imports(), answer_cell(RIGHT_KL), graded_cell())


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.parametrize(("times", "expected"), [(1, 3), (preprocessors.ATTEMPTS, 0)])
def test_a_cell_is_blamed_for_the_end_of_its_kernel_when_that_happens_several_times(
    times, expected, monkeypatch
):
    run, kills = Execute.preprocess_cell, iter([True] * times)

    def killing(probe: Probe, cell: NotebookNode, *how: Any) -> Any:
        if "def gaussian_kl" in cell.source and next(kills, False):
            probe.km.provisioner.process.kill()
        return run(probe, cell, *how)

    monkeypatch.setattr(Execute, "preprocess_cell", killing)
    slow = f"import time\ntime.sleep(1)\n{RIGHT_KL}"
    answer = answer_cell(slow)
    (cell,) = grade(imports(), answer, graded_cell())
    assert (points(cell), answer.source) == (expected, slow)


@pytest.mark.slow
@pytest.mark.sandbox
def test_what_has_been_earned_stays_where_the_time_ends_in_a_later_run(monkeypatch):
    run, asked = Execute.preprocess_cell, []

    def killing(probe: Probe, cell: NotebookNode, *how: Any) -> Any:
        if "sleep" in cell.source and not asked:
            asked.append("killed")
            probe.km.provisioner.process.kill()
        return run(probe, cell, *how)

    def left(_: Probe) -> int:
        """Enough until a little after the kernel was killed, so that there is another run."""
        asked.extend(["asked"] * bool(asked))
        return 100 if len(asked) < 6 else 0

    monkeypatch.setattr(Execute, "preprocess_cell", killing)
    monkeypatch.setattr(Probe, "_seconds_left", left)
    slow = new_code_cell("import time\ntime.sleep(1)")
    cells = [imports(), answer_cell(RIGHT_KL), graded_cell(), slow, new_code_cell("late = 1")]
    (cell,) = grade(*cells)
    assert points(cell) == 3
    assert cells[-1].outputs[0].ename == "TIMEOUT"


def test_evidence_is_judged_whatever_the_kernel_said_about_points():
    assert points(judged(packed(41, RIGHT_KL.replace("0.5 * ", "")))) == cells.KL.points / 2
    assert points(judged(packed(41))) == 3


FORGED = {
    "none": [],
    "twice": [packed(41), packed(41)],
    "of another seed": [packed(40)],
    "of another seed, relabelled": [packed(40) | {"seed": seed_of(41, "gaussian_kl")}],
    "of another exercise": [packed(41) | {"answer": "vae_loss"}],
    "a list": [[1, 2, 3]],
    "a string": ["full marks"],
    "without arrays": [{"answer": "gaussian_kl", "seed": seed_of(41, "gaussian_kl")}],
    "another shape": [packed(41) | {"evidence": evidence.pack({"kl": np.zeros((2, 2, 2))})}],
    "a note of praise": [packed(41) | {"note": "<script>full marks</script>"}],
}


@pytest.mark.parametrize("bundles", FORGED.values(), ids=FORGED)
def test_forged_evidence_earns_nothing_and_runs_nothing(bundles):
    cell = judged(*bundles)
    assert points(cell) == 0
    assert "<script>" not in cell.outputs[0].data["text/html"]


def error(name: str, value: str = "") -> NotebookNode:
    return new_output("error", ename=name, evalue=value, traceback=[])


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (
            [error("IndentationError", "unexpected indent (123.py, line 2)")],
            "cannot be read as Python: IndentationError: unexpected indent (line 2)",
        ),
        (
            [error("ImportError", "No module named 'x'")],
            "stopped before it had defined `gaussian_kl`: ImportError: No module named 'x'",
        ),
        ([error("KILLED", "the code ended")], "stopped before it had defined `gaussian_kl`: the code ended"),
        ([], "The notebook defines no `gaussian_kl`: was it renamed, or deleted?"),
    ],
)
def test_why_an_answer_is_not_there_is_said(errors, said):
    answer = answer_cell("")
    answer.outputs = errors
    undefined = "`gaussian_kl` is not defined: run the cell above first"
    bundle = Observation("gaussian_kl", seed_of(41, "gaussian_kl"), {}, undefined).packed
    assert said in re.sub("</?code>", "`", report(judged(bundle, above=answer)))


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([], "handed over no evidence"),
        ([error("TIMEOUT")], "stopped at the time limit"),
        ([error("KILLED")], "ended the process that ran it. The rest was run without it."),
    ],
)
def test_why_there_is_no_evidence_is_said(outputs, said):
    cell = graded_cell()
    cell.outputs = outputs
    Judge().preprocess_cell(cell, {"course_seed": 1}, 0)
    assert points(cell) == 0
    assert said in report(cell)


@pytest.mark.parametrize("marks", [{"locked": True}, {"solution": True}])  # assertions, a person
def test_what_a_teacher_s_own_graded_cells_show_is_made_harmless_too(marks):
    cell = cells.marked(new_code_cell("assert half(4) == 2"), "half-check", grade=True, points=1, **marks)
    shown = {"text/html": "<img src='http://192.0.2.1/x.png'>", "text/plain": "x"}
    cell.outputs = [new_output("display_data", data=shown)]
    Judge().preprocess_cell(cell, {"course_seed": 1}, 0)
    assert cell.outputs[0].data == {"text/plain": "x"}


# --- own work -----------------------------------------------------------------------------------------


@functools.cache  # only read
def source() -> NotebookNode:
    return nbformat.read("solutions/02-theory/theory.ipynb", as_version=4)


def remarks_on(*codes: str, answer: str = "") -> list[str]:
    """What is remarked on a submission with these cells of the student's own, and this answer."""
    cells = [new_code_cell(code) for code in codes] + [answer_cell(answer)] * bool(answer)
    return [f"{r.why}: {r.code}" for r in own_work.remarks(new_notebook(cells=cells), source())]


def test_a_solved_notebook_of_one_s_own_gets_no_remark():
    cells = [
        "import matplotlib.pyplot as plt\nplt.rcParams['figure.dpi'] = 80",
        "torch.manual_seed(3)\ntorch.backends.cudnn.deterministic = True",
        "%matplotlib inline\nfrom course_utils.checks import check\n!pip install -q torch==2",
        "%load_ext autoreload\n%autoreload 2\n%config InlineBackend.figure_format = 'retina'",
        "%timeit -n 1 -r 1 -q model(x)\n%time y = model(x)\n%pip install 'torch>=2,<3'",
        "%%capture out --no-stderr\nx = 1",
        "x = torch.zeros(3)\nx[0] = 1\nmodel.weight.data = x",
        "notes = {'solutions': 1, 'gradebook': 2}",  # words that are also folders'
        'check("gaussian_kl", globals())',
        "def (",  # what cannot be read is no reason to stop
        "x = '''",
    ]
    assert remarks_on(*cells, answer=RIGHT_KL) == remarks_on(answer="def gaussian_kl(:") == []


USES = {
    "imported": "from course_utils.objectives import gaussian_kl",
    "imported under another name": "from course_utils.objectives import gaussian_kl as f\ng = f",
    "called through the module": "def gaussian_kl(*both):\n    return objectives.gaussian_kl(*both)",
    "called through another name": "import course_utils.objectives as o\ngaussian_kl = o.gaussian_kl",
    "fetched by its name": "gaussian_kl = getattr(objectives, 'gaussian_kl')",
    "assigned": "gaussian_kl = objectives.gaussian_kl",
    "all names imported": "from course_utils.objectives import *",
    "put among the globals": "globals()['gaussian_kl'] = objectives.gaussian_kl",
    "taken from the module's names": "gaussian_kl = vars(objectives)['gaussian_kl']",
    "taken from its __dict__": "gaussian_kl = objectives.__dict__['gaussian_kl']",
    "handed in by default": "def kl(*both, o=objectives):\n    return o.gaussian_kl(*both)",
    "named on the way": "(o := objectives).gaussian_kl",
    "assigned in a pair": "o, p = objectives, 1\ngaussian_kl = o.gaussian_kl",
    "its source run": "import inspect\nexec(inspect.getsource(objectives.gaussian_kl))",
}


@pytest.mark.parametrize("code", USES.values(), ids=USES)
def test_an_answer_that_uses_the_package_s_solution_is_reported_with_its_line(code):
    found = remarks_on("from course_utils import objectives", "x = 1", answer=code + "\n" + RIGHT_KL)
    assert any("which solves gaussian_kl" in text for text in found)


def test_code_that_a_person_grades_is_read_as_well():
    cell = cells.marked(new_code_cell("import ctypes"), "by-hand", grade=True, solution=True, points=1)
    assert own_work.remarks(new_notebook(cells=[cell]), source())


def test_a_class_that_inherits_the_package_s_model_is_reported():
    vae = nbformat.read("solutions/03-vae/vae.ipynb", as_version=4)
    cell = answer_cell("from course_utils import models\nclass MyVAE(models.VAE):\n    pass", "my-vae")
    (remark,) = own_work.remarks(new_notebook(cells=[cell]), vae)
    assert (remark.cell, remark.line, remark.code) == ("my-vae", 2, "class MyVAE(models.VAE):")


def test_every_reference_is_in_the_package():
    for path in (path for exercise in EXERCISES.values() for path in exercise.reference):
        module, _, name = path.rpartition(".")
        assert callable(getattr(importlib.import_module(f"course_utils.{module}"), name))


IN_A_PROCESS = """
from course_utils import objectives
import os, pickle
(asks, asked), (told, tells) = (map(os.fdopen, os.pipe(), ("rb", "wb")) for _ in range(2))
if not os.fork():
    while True: pickle.dump(objectives.gaussian_kl(*pickle.load(asks)), tells); tells.flush()
def gaussian_kl(*both): pickle.dump(both, asked); asked.flush(); return pickle.load(told)
"""


@pytest.mark.sandbox
def test_the_package_s_solution_is_noted_when_it_runs_for_an_answer():
    notebook = new_notebook(cells=[imports(), answer_cell(IN_A_PROCESS), graded_cell()], metadata=KERNEL)
    resources: dict[str, Any] = {}
    for step in (Probe(timeout=30), Judge()):
        notebook, resources = step.preprocess(notebook, resources)
    assert points(notebook.cells[-1]) == 0
    (remark,) = notebook.metadata["course"]["remarks"]
    assert remark["why"].startswith("ran `course_utils.objectives.gaussian_kl`, which solves gaussian_kl,")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda mu, logvar: objectives.gaussian_kl(mu, logvar), words.OWN.format("objectives.gaussian_kl")),
        (objectives.gaussian_kl, "This `gaussian_kl` is the course's own: write one of yours."),
    ],
)
def test_a_lesson_says_so_too(answer, said):
    found = check("gaussian_kl", {"gaussian_kl": answer})
    assert (found.points, found.note) == (0, said)


WAITING = {
    "in the answer": ("", "exec('x = 1')\n", ["gaussian_kl"]),
    "in a cell of its own": ("import gc\ngc.get_objects()", "", [""]),
    "what students do there": ("exec('x = 1')\nimport importlib\nimportlib.reload(torch)", "", []),
    "as lessons do": ("import subprocess", "", []),
    "harmless, in the answer": ("", "print(torch.__file__)\n", []),
    "harmless, in a cell that gives two": ("", "globals()\nvae_loss = 3\n", ["gaussian_kl", "vae_loss"]),
    "Colab?": ("import sys\n'google.colab' in sys.modules", "", []),
}


@pytest.mark.parametrize(("before", "within", "names"), WAITING.values(), ids=WAITING)
def test_points_wait_for_a_person_where_code_hides_what_it_calls(before, within, names):
    handed_in = new_notebook(cells=[new_code_cell(before), answer_cell(within + RIGHT_KL)])
    given = new_code_cell("import subprocess # as on Colab\nimport  subprocess")
    release = new_notebook(cells=[given, answer_cell("")])
    found = own_work.remarks(handed_in, source())
    assert sorted(own_work.waiting(handed_in, release, found)) == names


def test_an_answer_s_cell_that_defines_none_may_give_any():
    hiding = new_notebook(cells=[answer_cell("exec('gaussian_kl = 1')")])
    assert list(own_work.waiting(hiding, new_notebook(), own_work.remarks(hiding, source()))) == [""]


def test_evidence_that_nobody_asked_for_is_a_fault():
    code = f"get_ipython().display_pub.publish({{{EVIDENCE_MIME!r}: {packed(5)!r}}})"
    notebook = new_notebook(cells=[imports(), new_code_cell(code)], metadata=KERNEL)
    probe = Probe(timeout=30, unsafe=cells.UNSAFE)
    notebook, _ = probe.preprocess(notebook, {"course_seed": 5})
    (fault,) = probe.faults
    assert (fault.reason, notebook.cells[1].outputs) == (Reason.FORGED, [])


def test_the_lesson_s_own_cells_may_use_the_package():
    assert own_work.remarks(nbformat.read("notebooks/02-theory/theory.ipynb", as_version=4), source()) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "how"),
    [
        ("gaussian_kl", "", "", "word for word"),  # at any length
        ("monte_carlo_elbo", "sigma", "s", "but for names"),
        ("monte_carlo_elbo", "    return", "    print(1)\n    return", "but for names"),
    ],
)
def test_the_instructor_s_solution_is_reported_in_any_cell(name, old, new, how):
    solution = next(c.source for c in source().cells if f"def {name}" in c.source)
    cell = new_code_cell(solution.replace(old, new) if old else solution)
    (remark,) = own_work.remarks(new_notebook(cells=[cell]), source())
    assert remark.why == f"is the instructor's solution {how}"


REACHES = {
    "torch patched": "torch.allclose = lambda *a, **k: True",
    "torch patched by name": "setattr(torch, 'allclose', print)",
    "a builtin patched": "import builtins\nbuiltins.float = print",
    "a builtin patched without import": "__builtins__.len = print",
    "a module replaced": "import sys\nsys.modules['course_utils.checks'] = None",
    "the checks imported": "from course_utils.checks import probes",
    "the checks patched": "import course_utils\ncourse_utils.checks.probes.observe = print",
    "input transformed": "get_ipython().input_transformers_post.append(print)",
    "syntax transformed": "ip = get_ipython()\nip.ast_transformers.append(1)",
    "solutions read": "open('../../solutions/02-theory/theory.ipynb')",
    "solutions run": "%run ../../solutions/02-theory/theory.ipynb",
    "the gradebook": "import sqlite3\nsqlite3.connect('../../gradebook.db')",
    "a module under two names": "import sys\none = other = sys\nother.modules",
    "a module with a type": "import sys\none: object = sys\none.modules",
    "a module of another's": "torch.sys.modules",
    "a module from another": "from os import sys as other\nother.modules",
    "the caller's frame": "import sys\nsys._getframe(1).f_locals",
    "an object that lies": "class A:\n    def __eq__(self, other):\n        return True",
    "a mock": "from unittest.mock import patch",
    "torch patched through its names": "vars(torch)['allclose'] = print",
    "torch patched by update": "torch.__dict__.update(allclose=print)",
    "torch patched by a loop": "for torch.allclose in [print]:\n    pass",
    "torch patched by a with": "with nullcontext(print) as torch.allclose:\n    pass",
    "code from a text": "exec('import torch; torch.allclose = print')",
    "a name that is computed": "f = getattr(objectives, 'gaussian' + '_kl')",
    "a name from a loop": "for name in dir(objectives):\n    vars(objectives)[name]",
    "the globals of a function": "f = check.__globals__",
    "exec inside a check": "check(exec('x = 1'))",
    "the globals by a text": "globals()['check'] = print",
    "the globals under another name": "g = globals\ng()['check'] = print",
    "exec under another name": "run = exec\nrun('x = 1')",
    "an import by name": "__import__('course_utils')",
    "an import by its parts": "import importlib\nimportlib.import_module('course_' + 'utils')",
    "the environment": "import os\nos.environ.get('COURSE_BUDGET')",
    "a traceback's frame": "try:\n    1 / 0\nexcept Exception as e:\n    e.__traceback__.tb_frame",
    "every object": "import gc\ngc.get_objects()",
    "every class": "object.__subclasses__()",
    "C": "import ctypes",
    "an inside by its text": "getattr(check, '__globals__')",
    "another program": "!cat ../../solutions/02-theory/theory.ipynb",
    "another process": "import os\nos.fork()",
    "a pool of processes": "from concurrent.futures import ProcessPoolExecutor",
    "in a cell with a magic": "%%time\nimport ctypes",
    "behind a magic": "%time import ctypes",
    "in a cell with many magics": "import ctypes\n" + 30 * "%time 1\n",
    "behind many magics": 30 * "%time import ctypes\n",
    "in what a call gives a magic": "ip = get_ipython()\nip.run_cell_magic('time', '', 'import ctypes')",
    "in what is put together for a magic": "get_ipython().run_cell_magic('time', '', 'import ' + 'ctypes')",
    "a magic under another name": "magic = get_ipython().run_line_magic\nmagic('time', 'import ctypes')",
    "behind a magic's options": "%timeit -n 1 -r1 exec('x')",
    "in what a magic sets up": "%%timeit -n1 import ctypes\npass",
    "in a magic of a magic": "%%time\nx = 1\n%time exec('x')",
    "in what a magic puts in": "%config InteractiveShell.colors = $code",
    "an extension of its own": "%load_ext written_9d41",
    "in a cell with many magics that is no Python": "x = !ls\nimport ctypes\n" + 30 * "%time 1\n",
    "in a cell too deep to be read here": f"import ctypes\nx = {4000 * '-'}1",
    "in a cell too deep for what reads it": f"import ctypes\n1 == {400 * '-'}1",
    "behind a number too long to be read here": f"import ctypes\nx = {5000 * '9'}",
    "another Python": "from __future__ import barry_as_FLUFL",
    "a magic for other languages": "%%python\nimport ctypes",
    "a program that is put together": "!{sys.executable} -c {code}",
    "a cell run from a text": "get_ipython().run_cell('import ctypes')",
    "names of displays": "get_ipython().display_formatter.mimebundle_formatter.for_type(str, print)",
    "an attribute of that name": "import operator\nf = operator.attrgetter('gaussian_kl')(objectives)",
    "all members": "import inspect\ninspect.getmembers(objectives)",
    "a lookup that is handed on": "(f,) = map(getattr, [objectives], ['gaussian_kl'])",
    "a field of a text": "import string\nstring.Formatter().get_field('0.gaussian_kl', (objectives,), {})",
    "an inside that is matched": "match check:\n    case object(__code__=code):\n        pass",
    "what is wrapped": "check.__wrapped__",
    "a pickle": "import pickle\npickle.loads(b'ccourse_utils.objectives\\ngaussian_kl\\n.')",
    "a function made of code": "import types\ntypes.FunctionType(1, {})",
    "the package's files": "open('/x/course_utils/objectives.py')",
    "a module that was written there": "import written_9d41",
}


@pytest.mark.parametrize("code", REACHES.values(), ids=REACHES)
def test_code_that_reaches_for_checks_or_solutions_is_reported(code):
    assert remarks_on("import torch", code)


@pytest.mark.parametrize("kind", ["RIGHT", "WRONG"])
def test_no_answer_of_the_bank_reaches_for_anything_or_hides_what_it_calls(kind):
    trees = {f"{one.exercise} {one.name}": ast.parse(one.code) for one in getattr(bank, kind)}
    found = {name: list(own_work._reaches(tree, own_work._Names([tree]))) for name, tree in trees.items()}
    assert len(found) > 100 and not any(found.values())


def test_remarks_are_kept_with_the_notebook():
    notebook = new_notebook(cells=[new_code_cell("import builtins")])
    handed_in = Submission("ada", "02-theory", {"theory": nbformat.writes(notebook).encode()}, (), "", None)
    read, _, (remark,) = handed_in.read("theory", new_notebook(), nbformat.writes(source()), first=True)
    assert read.metadata["course"]["remarks"] == [vars(remark)] and remark.code == "import builtins"


def test_cells_that_were_not_run_when_the_time_was_over_say_so(monkeypatch):
    nb = new_notebook(cells=[answer_cell("while True: print()"), graded_cell()])

    def lost(probe: Probe, nb: NotebookNode, *_: Any) -> None:
        raise preprocessors._LostKernel(nb.cells[0], Fault(Reason.OUTPUT, "", "cell 1"))

    monkeypatch.setattr(Execute, "preprocess", lost)
    Probe(unsafe=True, seconds_in_all=0).preprocess(nb, {})
    assert [cell.outputs[0].ename for cell in nb.cells] == ["OUTPUT", "TIMEOUT"]


@pytest.mark.slow
def test_outside_the_sandbox_a_submission_is_marked(caplog):
    notebook = new_notebook(cells=[imports()], metadata={"kernelspec": KERNEL})
    Probe(timeout=30, unsafe=True).preprocess(notebook, dict(cells.RESOURCES))
    assert notebook.metadata["course"]["sandboxed"] is False
    assert "NOT SANDBOXED" in caplog.text

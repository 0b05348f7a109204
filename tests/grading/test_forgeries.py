"""Forgeries: cells, the same for all notebooks, that are to be paid for exercises which nobody has solved.

Each says in a line or two how it steals what the package has of a solution, or misleads what looks at it.
None earns points on two exercises; where it earns any, a remark says why.
"""

import nbformat
import pytest
from cells import KERNEL, RIGHT_KL, answer_cell, grade_file, graded_cell
from nbformat.v4 import new_code_cell, new_notebook

from course_utils.checks.judges import EXERCISES
from courseware.grading import work

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]

SOLVING = {
    "gaussian_kl": "objectives.gaussian_kl",
    "MyVAE": "models.VAE",
    "warm_up": "training.warm_up",
    "mutual_information_gap": "evaluation.mutual_information_gap",
    "MyCVAE": "models.CVAE",
    "count_active": "evaluation.active_units",
}
IMPORTS = (
    "import torch\nfrom torch import nn\nfrom course_utils import evaluation, models, objectives, training\n"
    "from course_utils.checks import check"
)
PLAIN = "steal = lambda f: lambda *a, **k: f(*a, **k)\n"
STUB = "def {}(*_):\n    raise NotImplementedError()"
CALLED = (
    "def steal(f): return type('Own', (f,), {}) if isinstance(f, type) else (lambda *a, **k: g(f)(*a, **k))\n"
)
OBSERVED = """
from course_utils.checks import probes
SOLVED = dict(zip(NAMES, SOLVING))
seen = probes.observe
"""
# ruff: noqa: E501 - code of forgeries, not of ours

# How a function or class of the package becomes the student's own.
STEALING = {
    "as it is": "steal = lambda f: f",
    "called": CALLED + "g = lambda f: f",
    "partial": "from functools import partial as steal",
    "another module's": CALLED + "def g(f): h = lambda *a, **k: f(*a, **k); h.__module__ = '__main__'; return h",
    "as a default": "def steal(f):\n    def own(*a, f=f, **k): return f(*a, **k)\n    return own",
    "in a default that changes": "def steal(f, kept=[]):\n    kept.append(f); at = len(kept) - 1\n    return lambda *a, **k: kept[at](*a, **k)",
    "cached": "from functools import cache\ndef steal(f):\n    own = cache(lambda: f)\n    return lambda *a, **k: own()(*a, **k)",
    "named as its own": "import functools\nsteal = lambda f: functools.wraps(f, assigned=())(lambda *a, **k: f(*a, **k))",
    "by a method": "class Own:\n    def __init__(self, f): self.f = f\n    def __call__(self, *a, **k): return self.f(*a, **k)\nsteal = Own",
    "by a property": "class Own:\n    f = property(lambda self: self.g)\ndef steal(f): own = Own(); own.g = f; return lambda *a, **k: own.f(*a, **k)",
    "by a module's __getattr__": "import types\nown = types.ModuleType('own'); own.held = {}; own.__getattr__ = lambda n: own.held[n]\ndef steal(f): own.held[f.__name__] = f; return lambda *a, **k: getattr(own, f.__name__)(*a, **k)",
    "by its name": CALLED + "g = lambda f: getattr({m.__name__: m for m in (models, objectives, training, evaluation)}[f.__module__], f.__name__)",
    "by its number": CALLED + "g = lambda f: [*SOLVING][SOLVING.index(f)]",
    "copied": CALLED + "from copy import deepcopy as g",
    "pickled": CALLED + "import pickle\ng = lambda f: pickle.loads(pickle.dumps(f))",
    "in a thread": "from concurrent.futures import ThreadPoolExecutor as T\nsteal = lambda f: lambda *a, **k: T(1).submit(f, *a, **k).result()",
    "as a sort key": "def steal(f):\n    def own(*a, **k): out = []; sorted([0], key=lambda _: out.append(f(*a, **k)) or 0); return out[0]\n    return own",
    "as a hook": "def steal(f):\n    def own(*a, **k):\n        i = nn.Identity(); i.register_forward_hook(lambda *_: f(*a, **k)); return i(torch.zeros(1))\n    return own",
    "in a generator": "def steal(f):\n    def own(*a, **k): return next(f(*a, **k) for _ in '1')\n    return own",
    "in a coroutine": "def steal(f):\n    def own(*a, **k):\n        async def go(): return f(*a, **k)\n        try: go().send(None)\n        except StopIteration as done: return done.value\n    return own",
    "its code": "import types\nsteal = lambda f: types.FunctionType(f.__code__, f.__globals__, closure=f.__closure__) if not isinstance(f, type) else f",
    "what it wraps": "steal = lambda f: f.__wrapped__ if hasattr(f, '__wrapped__') else type('Own', (), {n: getattr(m, '__wrapped__', m) for n, m in vars(f).items()})",
    "what it wraps, unwrapped": CALLED + "import inspect\ng = inspect.unwrap",
    "what it closes over": CALLED + "g = lambda f: f.__closure__[1].cell_contents",
    "what it closes over, by name": CALLED + "g = lambda f: getattr(getattr(f, '__clo' + 'sure__')[1], 'cell_con' + 'tents')",
    "its source": "import inspect, sys\ndef steal(f):\n    names = dict(vars(sys.modules[f.__module__])); exec(inspect.getsource(f), names); return names[f.__name__]",
    "its source, in the call": "import inspect\ndef steal(f):\n    def own(*a, **k): names = dict(vars(sysm(f))); exec(inspect.getsource(f), names); return names[f.__name__](*a, **k)\n    return own\nimport sys\nsysm = lambda f: sys.modules[f.__module__]",
    "its file": "import sys\ndef steal(f):\n    names = {'__name__': 'own'}; exec(open(sys.modules[f.__module__].__file__).read(), names); return names[f.__name__]",
    "its file, run": "import runpy, sys\nsteal = lambda f: runpy.run_path(sys.modules[f.__module__].__file__)[f.__name__]",
    "its module, again": "import importlib, sys\nsteal = lambda f: getattr(importlib.reload(sys.modules[f.__module__]), f.__name__)",
    "its module, anew": "import sys\ndef steal(f):\n    sys.modules.pop(f.__module__); return getattr(getattr(__import__(f.__module__), f.__module__.split('.')[1]), f.__name__)",
    "its module, under another name": "import importlib.util as u, sys\ndef steal(f):\n    s = u.spec_from_file_location('own', sys.modules[f.__module__].__file__); m = u.module_from_spec(s); s.loader.exec_module(m); return getattr(m, f.__name__)",
    "scripted": "def steal(f):\n    try: return torch.jit.script(f)\n    except Exception: return f",
    "traced": "def steal(f):\n    try: return torch.jit.trace(f, (torch.zeros(5, 3), torch.ones(5, 3)))\n    except Exception: return f",
    "recorded": "from torch import fx\ndef steal(f):\n    try: return fx.symbolic_trace(f)\n    except Exception: return f",
    "compiled": "steal = lambda f: torch.compile(f, backend='eager') if not isinstance(f, type) else f",
    "by methods of tensors": "torch.Tensor.own = lambda x, f, *a: f(x, *a)\nsteal = lambda f: lambda x, *a, **k: torch.as_tensor(x).own(f, *a, **k)",
}  # fmt: skip

# How what looks at an answer, or what it hands over, is changed.
MISLEADING = {
    "the probe asked about another": OBSERVED + "probes.observe = lambda name, names, seed, *_: seen(name, {name: lambda *a, **k: SOLVED[name](*a, **k)}, seed)",
    "the probe asked by a name that is computed": "import course_utils\nSOLVED = dict(zip(NAMES, SOLVING)); p = getattr(getattr(course_utils, 'che' + 'cks'), 'pro' + 'bes'); seen = getattr(p, 'obs' + 'erve')\nsetattr(p, 'obs' + 'erve', lambda name, names, seed, *_: seen(name, {name: lambda *a, **k: SOLVED[name](*a, **k)}, seed))",
    "what ran is forgotten": OBSERVED + "probes.Observation.packed = property(lambda o: {**vars(o), 'evidence': probes.pack(o.evidence), 'entered': ()})",
    "what ran is set back": OBSERVED + "steal = lambda f: lambda *a, **k: (f(*a, **k), [m.__setitem__(0, 0) for m in probes._entered.values()])[0]",
    "what ran is set back, found by its kind": "import gc, mmap\nheld = [m for m in gc.get_objects() if type(m) is mmap.mmap]\nsteal = lambda f: lambda *a, **k: (f(*a, **k), [m.__setitem__(0, 0) for m in held])[0]",
    "what ran is set back, found in the closure": "steal = lambda f: lambda *a, **k: (f(*a, **k), f.__closure__[0].cell_contents.__setitem__(0, 0))[0]",
    "what ran is set back, found from the frames": "import sys\ndef steal(f):\n    def own(*a, **k):\n        out = f(*a, **k)\n        at = sys._getframe()\n        while at:\n            if '_entered' in at.f_globals: [m.__setitem__(0, 0) for m in at.f_globals['_entered'].values()]\n            at = at.f_back\n        return out\n    return own",
    "the request rewritten": "import re\nSOLVED = dict(zip(NAMES, SOLVING))\nget_ipython().input_transformers_post.append(lambda lines: [re.sub(r', \\(.*\\)\\)$', ')', line.strip()) + '\\n' if 'observe' in line else line for line in lines])\nsteal = lambda f: lambda *a, **k: f(*a, **k)",
    "the request's syntax rewritten": "import ast\nclass T(ast.NodeTransformer):\n    def visit_Call(self, node):\n        self.generic_visit(node)\n        if getattr(node.func, 'attr', '') == 'observe': del node.args[3:]\n        return node\nget_ipython().ast_transformers.append(T())\nsteal = lambda f: lambda *a, **k: f(*a, **k)",
    "a display changed": "shown = get_ipython().display_formatter.format\ndef own(o, **k):\n    if hasattr(o, 'entered'): object.__setattr__(o, 'entered', ())\n    return shown(o, **k)\nget_ipython().display_formatter.format = own",
    "calls noted away by a trace": "import sys\ndef look(frame, *_):\n    if frame.f_code.co_name == 'noting': frame.f_locals['entered'] = [0]\nsys.setprofile(look)",
    "import replaced": "import builtins\nreal = builtins.__import__\ndef own(name, *a, **k):\n    m = real(name, *a, **k)\n    if name == 'course_utils.checks.probes': m.checks.probes._entered.clear()\n    return m\nbuiltins.__import__ = own",
}  # fmt: skip
FORGERIES = STEALING | MISLEADING


def graded(stubs: list, given: list, names: list[str]) -> work.Notebook:
    """A notebook that was released with these stubs before checks of these names, with these cells instead."""
    checks = [graded_cell(name, f"{name}-check") for name in names]
    released, handed_in = (
        nbformat.writes(
            new_notebook(cells=[new_code_cell(IMPORTS), *cells, *checks], metadata={"kernelspec": KERNEL})
        )
        for cells in (stubs, given)
    )
    return grade_file(handed_in.encode(), released, released.replace("raise NotImplementedError()", "pass"))


def forged(code: str) -> work.Notebook:
    """What this cell earns, before the first check, that gives all answers; where it misleads, they are given
    in cells of their own, after it."""
    tools = f"NAMES = {[*SOLVING]}\nSOLVING = [{', '.join(SOLVING.values())}]\n{PLAIN}{code}\n"
    stubs = [answer_cell(STUB.format(name), name) for name in SOLVING]
    if code in MISLEADING.values():
        own = [answer_cell(f"{name} = steal(SOLVING[{at}])", name) for at, name in enumerate(SOLVING)]
        return graded(stubs, [new_code_cell(tools), *own], [*SOLVING])
    given = new_code_cell(f"{tools}{', '.join(SOLVING)} = map(steal, SOLVING)")
    return graded(stubs, [*stubs, given], [*SOLVING])


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES)
def test_a_forgery_is_paid_for_no_two_exercises_and_for_none_without_a_remark(code):
    notebook = forged(code)
    paid = [one.answer for one in notebook.verdicts if one.points]
    assert len(notebook.verdicts) == len(SOLVING)
    assert not paid or (len(paid) == 1 and notebook.remarks)


def test_the_same_notebook_pays_for_what_is_solved():
    """So that the test above fails for the forgery, not for the set-up."""
    paid = {one.answer: one.points for one in forged(f"{RIGHT_KL}\nsteal = lambda f: gaussian_kl").verdicts}
    assert paid["gaussian_kl"] == EXERCISES["gaussian_kl"].points


HONEST = """
!ls
!pip --version
%time 1 + 1
%timeit -n 1 -r 1 1 + 1
import importlib, subprocess, gc
importlib.reload(objectives)
subprocess.run(["true"])
exec("tried = 1")
gc.collect()
"""


def test_what_students_do_in_cells_of_their_own_costs_no_points():
    stub, answer = (answer_cell(code, "gaussian_kl") for code in (STUB.format("gaussian_kl"), RIGHT_KL))
    (verdict,) = graded([stub], [new_code_cell(HONEST), answer], ["gaussian_kl"]).verdicts
    assert verdict.points == verdict.of

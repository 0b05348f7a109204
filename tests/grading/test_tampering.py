"""Attacks on the checks from inside a submission: under this course's configuration none gains a point.

Each attack is a cell of its own before two wrong answers, run by a real kernel and judged outside it. The
answers ask for numbers (gaussian_kl) and for facts about a training step (train_step).
"""

from __future__ import annotations

import json

import pytest
from cells import answer_cell, grade, graded_cell, imports, packed, points
from nbformat.v4 import new_code_cell

pytestmark = pytest.mark.slow

WRONG = {
    "gaussian_kl": "def gaussian_kl(mu, logvar):\n    return torch.zeros(7)",
    "train_step": "def train_step(model, optimizer, images):\n    return torch.zeros(7)",
}
KEPT = json.dumps(packed(0)["evidence"])  # of a right answer, with the seed that students have

PREPARE = "import course_utils.checks as checks\nfrom course_utils.checks import probes\n"

ATTACKS = {
    "torch.allclose and numpy.allclose always true": """
import numpy
torch.allclose = torch.equal = numpy.allclose = numpy.array_equal = lambda *a, **k: True
""",
    "built-in functions replaced": """
import builtins
builtins.all = builtins.any = lambda *a: True
builtins.abs = lambda *a: 0.0
""",
    "the checks replaced in sys.modules": """
import sys, types
class Three(float):
    __repr__ = lambda self: "3"
fake = types.ModuleType("course_utils.checks")
fake.checks = fake
fake.check = lambda *a: Three(3)
sys.modules["course_utils.checks"] = sys.modules["course_utils"].checks = fake
""",
    "check itself replaced": PREPARE + "checks.check = lambda name, names: 3",
    "the probe replaced": PREPARE + "probes.observe = lambda *a: 3",
    "every fact true, every number kept as one": PREPARE
    + """
import numpy
from course_utils.checks.probes import evidence, section_1, section_2
def keep(kept, key, *rest, **more):
    kept[key] = numpy.array(1.0)
for module in (evidence, section_1, section_2):
    module.record = module.record_tensor = keep
""",
    "evidence of a right answer handed in again": PREPARE
    + f"""
kept = probes.evidence.unpack({KEPT})
for name in ("gaussian_kl", "train_step"):
    probes.PROBES[name] = lambda brought, *a: brought.update(kept)
""",
    "the seed set back": PREPARE
    + """
drawn = probes.inputs.generator
probes.inputs.generator = probes.section_2.generator = lambda seed, stream=0: drawn(0, stream)
""",
    "evidence published by hand": f"""
from IPython.display import display
def gaussian_kl_evidence():
    bundle = {{"answer": "gaussian_kl", "seed": 0, "note": "", "evidence": {KEPT}}}
    display({{"application/vnd.vae-course.evidence+json": bundle, "text/plain": "3"}}, raw=True)
get_ipython().events.register("pre_run_cell", lambda *a: gaussian_kl_evidence())
""",
    "input of the graded cell rewritten": """
def three(lines):
    return ["3\\n"] if any("check" in line for line in lines) else lines
get_ipython().input_transformers_post.append(three)
""",
    "syntax of the graded cell rewritten": """
import ast
class Three(ast.NodeTransformer):
    def visit_Call(self, node):
        return ast.Constant(3)
get_ipython().ast_transformers.append(Three())
""",
    "reports that show as three": PREPARE
    + """
probes.Observation.__repr__ = lambda self: "3"
probes.Observation._repr_mimebundle_ = lambda self, **k: {"text/plain": "3"}
""",
}


def scores(*before: str) -> list[float]:
    """Points of the two wrong answers, after these cells."""
    answers = [part for name, code in WRONG.items() for part in (answer_cell(code, name), graded_cell(name))]
    return [points(cell) for cell in grade(imports(), *map(new_code_cell, before), *answers)]


@pytest.fixture(scope="module")
def honest_scores() -> list[float]:
    return scores()


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_gains_no_point(attack, honest_scores):
    assert all(got <= honest for got, honest in zip(scores(attack), honest_scores, strict=True))


LIES = """
class Lie(torch.Tensor):
    __eq__ = __lt__ = __gt__ = __le__ = __ge__ = lambda self, other: True
    __bool__ = lambda self: True

def gaussian_kl(mu, logvar):
    return torch.zeros_like(mu).as_subclass(Lie)
"""


def test_a_result_that_says_it_equals_everything_gains_no_point():
    (cell,) = grade(imports(), answer_cell(LIES), graded_cell())
    assert points(cell) == 0


def test_the_same_cells_without_an_attack_and_with_right_answers_earn_their_points():
    """So that the tests above fail for the attack, not for the set-up."""
    right = "def gaussian_kl(mu, logvar):\n    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)"
    (cell,) = grade(imports(), answer_cell(right), graded_cell())
    assert points(cell) == 3

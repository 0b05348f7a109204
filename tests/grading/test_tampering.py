"""Attacks on the evidence from inside a submission: it alone, with nobody reading the code, earns no point.

Each attack is a cell of its own before two wrong answers, run by a real kernel and judged outside it. The
answers ask for numbers (gaussian_kl) and for facts about a training step (train_step). What brings no
evidence, or forged evidence, is among `attacks` and in test_forgeries.
"""

import itertools
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

ATTACKS = {
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
    "every fact true, every number kept as one": """
import numpy
from course_utils.checks.probes import evidence, section_1, section_2
def keep(kept, key, *rest, **more):
    kept[key] = numpy.array(1.0)
for module in (evidence, section_1, section_2):
    module.record = keep
""",
    "evidence of a right answer handed in again": f"""
from course_utils.checks import probes
kept = probes.evidence.unpack({KEPT})
for name in ("gaussian_kl", "train_step"):
    probes.PROBES[name] = lambda brought, *a: brought.update(kept)
""",
    "the seed set back": """
from course_utils.checks import probes
drawn = probes.inputs.generator
probes.inputs.generator = probes.section_2.generator = lambda seed, stream=0: drawn(0, stream)
""",
}


def scores(*before: str) -> list[float]:
    """Points of the two wrong answers, after these cells."""
    pairs = [(answer_cell(code, name), graded_cell(name, f"{name}-check")) for name, code in WRONG.items()]
    answers = itertools.chain(*pairs)
    return [points(cell) for cell in grade(imports(), *map(new_code_cell, before), *answers)]


@pytest.fixture(scope="module")
def honest_scores() -> list[float]:
    return scores()


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_gains_no_point(attack, honest_scores):
    assert all(got <= honest for got, honest in zip(scores(attack), honest_scores, strict=True))

"""Copies are told from like minds: what was measured reaches what is promised, with the threshold in use."""

import ast
import random
from pathlib import Path

import pytest

import bank
from course_utils.checks.judges import EXERCISES
from courseware import fingerprints
from courseware.measuring import likeness

ROOT = Path(__file__).parents[2]
STORED = likeness.FIGURES.stored(ROOT)


def test_the_threshold_in_use_is_the_one_that_the_first_half_chose():
    assert (STORED.enough, STORED.share) == (fingerprints.ENOUGH, fingerprints.ALIKE)


def test_every_exercise_is_measured_on_this_bank():
    assert {one.answer for one in STORED.tallies} == set(EXERCISES)
    for one in STORED.tallies:
        assert one.right == sum(answer.exercise == one.answer for answer in bank.RIGHT) // 2


def test_the_stored_figures_reach_the_goals():
    whole = STORED.total()
    assert whole.found >= 0.99 * whole.copies
    assert whole.flagged < 0.001 * whole.pairs


@pytest.mark.parametrize("name", ["gaussian_kl", "MyVAE"])
def test_a_copy_reads_otherwise_and_defines_the_same(name):
    answer = next(one for one in bank.RIGHT if one.exercise == name)
    copy = likeness.copied(answer, random.Random(3))
    assert ast.dump(ast.parse(copy)) != ast.dump(ast.parse(answer.code))
    assert name in {getattr(node, "name", "") for node in ast.parse(copy).body}


def test_limits_are_one_sided_and_rounded_up():
    assert likeness.at_most(0, 3000) == pytest.approx(1 - 0.05 ** (1 / 3000))
    assert likeness.at_most(5, 5) == 1
    assert likeness.percent(0.00101) == "0.11%"

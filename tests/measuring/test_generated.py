"""Answers that nobody wrote: right ones in other words are right, slips are wrong, and a number makes one."""

import ast
import random
from pathlib import Path

import pytest
import torch

from courseware.measuring import generated, graders

ROOT = Path(__file__).parents[2]
CODE = """
def gaussian_kl(mu, logvar):
    square = mu.square() + logvar.exp()
    return 0.5 * (square - 1 - logvar)
"""


def drawn(rewrite) -> str:
    tree = ast.parse(CODE)
    rewrite(tree, "gaussian_kl", random.Random(2))
    return ast.unparse(ast.fix_missing_locations(tree))


@pytest.mark.parametrize("rewrite", generated.REWRITES)
def test_a_rewrite_reads_otherwise_and_does_the_same(rewrite, capsys):
    code, mu, logvar = drawn(rewrite), torch.randn(2, 3), torch.randn(2, 3)
    assert code.strip() != ast.unparse(ast.parse(CODE)).strip()
    values = []
    for one in (CODE, code):
        names: dict = {"torch": torch}
        exec(one, names)
        values.append(names["gaussian_kl"](mu, logvar))
    assert torch.equal(*values)


def test_a_number_makes_the_same_answer_again_and_another_number_another():
    found = [generated.outcome(number) for number in (8, 8, 8 + 2 * len(generated.SAMPLE))]
    assert found[0] == found[1]
    assert found[0] != found[2]


@pytest.mark.parametrize("number", range(0, 40, 4))
def test_rewritten_answers_are_accepted_and_slips_are_caught(number):
    for one in (generated.outcome(number), generated.outcome(number + 1)):
        assert one is None or one.good, one


def test_a_slip_that_changes_nothing_is_no_wrong_answer(monkeypatch):
    monkeypatch.setattr(generated.diagnoser, "changes", lambda *_: [("Nothing.", lambda y, _: y)] * 2)
    assert generated.outcome(1) is None


def test_the_stored_figures_reach_the_goals():
    """What strangers asked for: 99.5% caught, all but a handful accepted, 92% named."""
    row = graders.total(graders.GENERATED.stored(ROOT))
    assert row.right + row.wrong >= 1000
    assert row.accepted >= 0.995 * row.right
    assert row.caught >= 0.995 * row.wrong
    assert row.diagnosed >= 0.92 * row.wrong

"""Every single edit of a reference answer that changes its behaviour loses points."""

from __future__ import annotations

import ast

import mutants
import pytest

from course_utils.checks.judges import EXERCISES
from course_utils.checks.probes import evidence


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, one in EXERCISES.items() if not one.questions and name not in mutants.OPEN]
)
def test_only_edits_that_change_nothing_survive(name, monkeypatch):
    monkeypatch.setattr(evidence, "CALL_SECONDS", 3.0)  # an edit may make a loop endless
    alive, count = mutants.survivors(name)
    assert count
    assert sorted(alive) == sorted(mutants.EQUIVALENT.get(name, {}))


@pytest.mark.parametrize(
    ("code", "edit"),
    [
        ("a + b", "a + b -> a - b"),
        ("a < b", "a < b -> a <= b"),
        ("-a", "-a -> a"),
        ("x.sum(1)", "x.sum(1) -> x"),
        ("x.sum(1)", "x.sum -> x.mean"),
        ("f(a, b)", "f(a, b) -> f(b, a)"),
        ("f(a, k=1)", "f(a, k=1) -> f(a)"),
        ("f(0.5)", "0.5 -> 1.0"),
        ("a if b else c", "a if b else c -> c if b else a"),
        ("f(reduction='none')", "'none' -> 'mean'"),
    ],
)
def test_an_edit_of_each_kind_is_made(code, edit):
    assert edit in dict(mutants.mutants(ast.parse(code)))


def test_edits_leave_the_original_alone():
    tree = ast.parse("a + b * 2")
    list(mutants.mutants(tree))
    assert ast.unparse(tree) == "a + b * 2"

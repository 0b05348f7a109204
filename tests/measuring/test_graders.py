"""The figures of the checks: counts, limits, and the bank that they were measured on."""

from __future__ import annotations

from pathlib import Path

import pytest

from bank.answers import Answer
from courseware.measuring import graders

ROOT = Path(__file__).parents[2]
RIGHT = "def gaussian_kl(mu, logvar):\n    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)"
TALLY = graders.Tally("2.1", "gaussian_kl", 20, 10, 10, 4, 4, 9, 0.1)


def test_a_right_answer_is_accepted():
    found = graders._try((Answer("gaussian_kl", "right", RIGHT), True), 2)
    assert (found.good, found.named, found.kept) == (True, True, (3.0, 3.0))


def test_a_right_answer_counted_as_wrong_is_not_caught():
    assert not graders._try((Answer("gaussian_kl", "right", RIGHT), False), 2).good


@pytest.mark.parametrize(("hint", "named"), [("1/2", True), ("sign", False)])
def test_a_wrong_answer_is_diagnosed_by_its_hint(hint, named):
    answer = Answer("gaussian_kl", "no half", RIGHT.replace("0.5 * ", ""), hint)
    found = graders._try((answer, False), 2)
    assert (found.good, found.named, found.kept) == (True, named, (1.5, 1.5))


@pytest.mark.parametrize(
    ("good", "of", "expected"),
    [(20, 20, 0.05 ** (1 / 20)), (0, 5, 0.0), (9, 10, 0.606)],  # the last from a table of binomial limits
)
def test_limits_are_one_sided_clopper_pearson(good, of, expected):
    assert graders.limit(good, of) == pytest.approx(expected, abs=1e-3)


def test_the_total_adds_answers_and_takes_the_slowest_check():
    row = graders.total([TALLY, graders.Tally("2.2", "reparameterize", 20, 5, 4, 3, 3, 4, 0.5)])
    assert (row.wrong, row.caught, row.right, row.diagnosed, row.seconds) == (15, 14, 7, 13, 0.5)


@pytest.mark.slow
def test_every_answer_is_tallied_and_what_goes_wrong_is_named(monkeypatch):
    """A bank of two answers: one is right, the other is called wrong but is not."""
    import bank

    right = Answer("gaussian_kl", "right", RIGHT)
    monkeypatch.setattr(bank, "RIGHT", [right])
    monkeypatch.setattr(bank, "WRONG", [Answer("gaussian_kl", "as right", RIGHT, "sign")])
    monkeypatch.setattr(graders, "EXERCISES", {"gaussian_kl": graders.EXERCISES["gaussian_kl"]})
    seen = []

    def track(outcomes, of):
        for done, outcome in enumerate(outcomes, 1):
            seen.append((done, of))
            yield outcome

    (tally,), faults = graders.measure(1, track)
    assert (tally.wrong, tally.caught, tally.right, tally.accepted, tally.diagnosed) == (1, 0, 1, 1, 0)
    assert tally.kept == {"3": ["as right"]}
    assert faults == ["gaussian_kl, as right: accepted"]
    assert seen == [(1, 2), (2, 2)]


def test_the_stored_figures_are_of_this_bank():
    import bank

    row = graders.total(graders.FIGURES.stored(ROOT))
    assert (row.right, row.wrong) == (len(bank.RIGHT), len(bank.WRONG))
    assert row.seeds >= 11


def test_the_stored_figures_meet_the_goals():
    row = graders.total(graders.FIGURES.stored(ROOT))
    assert row.caught == row.wrong
    assert row.accepted == row.right
    assert row.diagnosed >= 0.95 * row.wrong

"""The figures of the checks: counts, limits, and the bank that they were measured on."""

from pathlib import Path

import pytest

import bank
from bank.answers import Answer
from courseware.measuring import graders

ROOT = Path(__file__).parents[2]
RIGHT = "def gaussian_kl(mu, logvar):\n    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)"
TALLY = graders.Tally("2.1", "gaussian_kl", 20, 10, 10, 4, 4, 9, 0.1)


WRONG = RIGHT.replace("0.5 * ", "")


@pytest.mark.parametrize(
    ("code", "hint", "right", "good", "named", "points"),
    [
        (RIGHT, "", True, True, True, 3.0),
        (RIGHT, "", False, False, True, 3.0),  # counted as wrong it is not caught
        (WRONG, "1/2", False, True, True, 1.5),
        (WRONG, "sign", False, True, False, 1.5),
    ],
)
def test_an_answer_is_accepted_or_caught_and_named_by_its_hint(code, hint, right, good, named, points):
    found = graders._try((Answer("gaussian_kl", "", code, hint), right), 2)
    assert (found.good, found.named, found.kept) == (good, named, (points, points))


@pytest.mark.parametrize(
    ("good", "of", "expected"),
    [(20, 20, 0.05 ** (1 / 20)), (0, 5, 0.0), (9, 10, 0.606)],  # the last from a table of binomial limits
)
def test_limits_are_one_sided_clopper_pearson(good, of, expected):
    assert graders.limit(good, of) == pytest.approx(expected, abs=1e-3)


def test_the_total_adds_answers_and_takes_the_slowest_check():
    row = graders.total([TALLY, graders.Tally("2.2", "reparameterize", 20, 5, 4, 3, 3, 4, 0.5)])
    assert (row.wrong, row.caught, row.right, row.diagnosed, row.seconds) == (15, 14, 7, 13, 0.5)


def test_where_fewer_seeds_are_tried_the_sentence_says_so():
    trained = graders.Tally("7.12", "train", 3, 5, 5, 3, 3, 5, 9.0)
    assert graders.sentence([TALLY, trained]).startswith("with 20 seeds each (7.12 with 3), 15 of 15 wrong")


@pytest.mark.slow
def test_every_answer_is_tallied_and_what_goes_wrong_is_named(monkeypatch):
    """A bank of two answers: one is right, the other is called wrong but is not."""
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


def test_the_stored_figures_are_of_this_bank_and_meet_the_goals():
    row = graders.total(graders.FIGURES.stored(ROOT))
    assert (row.right, row.wrong) == (len(bank.RIGHT), len(bank.WRONG))
    assert row.seeds >= 11
    assert row.caught == row.wrong
    assert row.accepted == row.right
    assert row.diagnosed >= 0.95 * row.wrong


def test_a_table_says_that_there_is_none_where_no_answer_of_a_kind_could_be_made():
    cells = graders.Tally("7.12", "train", 1, 0, 0, 3, 3, 0, 5.0).cells()
    assert cells == ("7.12", "train", "none", "3 of 3 (≥ 36%)", "none", "5.00")

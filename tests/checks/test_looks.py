"""Tables of looks, the diagnoser, and what an answer leaves behind."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from course_utils.checks.judges import core
from course_utils.checks.judges.diagnoser import Seen, changes, described, diagnose
from course_utils.checks.judges.looks import Property, Table
from course_utils.checks.probes import evidence, inputs

RIGHT = np.array([[1.3, -2.0, 0.7], [4.1, 0.2, -1.1]])
SIZES = {"images": 2, "latent dimensions": 3}
PROPERTIES = (Property("the purpose", 3, ["a", "b"]), Property("one too", 2, ["one"]))


def table() -> Table:
    """y = 3 x on three looks, of which the last is a single number."""
    looks = {"a": (RIGHT,), "b": (RIGHT + 1,), "one": (np.array([5.5]),)}
    return Table.of(
        lambda _: looks, 0, lambda x: {"": 3 * x, "It is x + 3.": x + 3}, lambda x: {"images": len(x)}
    )


def judged(answer: Callable[[np.ndarray], Any]) -> list[tuple[bool, str]]:
    seen = {
        key: np.asarray(answer(x)) for key, x in {"a": RIGHT, "b": RIGHT + 1, "one": np.array([5.5])}.items()
    }
    return [(finding.holds, finding.hint) for finding in table().judge(seen, *PROPERTIES)]


# --- tables -----------------------------------------------------------------------------------------


def test_what_is_right_in_every_look_holds() -> None:
    assert judged(lambda x: 3 * x) == [(True, ""), (True, "")]


def test_a_known_mistake_is_named_and_costs_the_purpose_alone() -> None:
    assert judged(lambda x: x + 3) == [(False, "It is x + 3."), (True, "")]


def test_a_change_that_learners_make_costs_the_purpose_alone() -> None:
    assert judged(lambda x: -3 * x) == [(False, "It has the wrong sign."), (True, "")]


def test_a_sum_that_no_mistake_explains_is_told_by_the_factors_before_its_terms() -> None:
    looks = {"a": (RIGHT,), "b": (RIGHT[:1],)}
    sums = Table.of(lambda _: looks, 0, lambda x: {"": x + x**3}, terms=lambda x: {"x": x, "x^3": x**3})
    seen = {key: x + 0.7 * x**3 for key, (x,) in looks.items()}
    found = sums.judge(seen, Property("the purpose", 3, ["a"]), Property("one too", 2, ["b"]))
    assert [one.hint for one in found] == ["In the sum x^3 counts 0.7 times, not 1.", ""]


def test_the_right_numbers_in_a_list_miss_the_purpose_alone() -> None:
    seen: evidence.Evidence = {}
    rows = evidence.one(lambda x: [*(3 * x)])
    evidence.look(seen, rows, {"a": (RIGHT,), "b": (RIGHT + 1,), "one": (np.array([5.5]),)})
    found = [(one.holds, one.hint) for one in table().judge(seen, *PROPERTIES)]
    assert found == [(False, "It returned a list; return one tensor."), (True, "")]


def test_a_mistake_in_one_look_is_named_by_that_look() -> None:
    assert judged(lambda x: x + 3 if len(x) == 1 else 3 * x) == [(True, ""), (False, "It is x + 3.")]


def test_a_mistake_beside_the_purpose_costs_what_follows_from_it_once() -> None:
    looks = {key: (np.full(3, x),) for key, x in {"a": 1.5, "b": 7.0, "c": 9.0}.items()}
    few = Table.of(lambda _: looks, 0, lambda x: {"": 3 * x, "It is x + 3.": x + 3})
    seen = {key: 3 * x if key == "a" else x + 3 for key, (x,) in looks.items()}
    found = few.judge(seen, *(Property(key, 1, [key]) for key in looks))
    assert [one.hint for one in found] == ["", "It is x + 3.", ""]


def test_a_mistake_that_would_show_where_numbers_are_right_is_said_with_that() -> None:
    (_, said), _ = judged(lambda x: x + 3 if x.max() == RIGHT.max() else 3 * x)
    assert said == "It is x + 3. (Not everywhere: other numbers are right.)"


def test_what_follows_from_a_mistake_is_not_said_to_hold() -> None:
    seen = {"a": 3 * RIGHT, "b": RIGHT + 4, "one": np.array([8.5])}
    found = table().judge(seen, Property("a", 3, ["a"]), Property("b", 1, ["b"]), Property("one", 1, ["one"]))
    assert [(one.holds, one.follows) for one in found] == [(True, False), (False, False), (True, True)]
    report = core.Report(core.Exercise("9.9", "it", 2, lambda *_: found), tuple(found))
    assert "holds: a" in str(report) and "no further fault: one" in str(report)


def test_an_array_is_told_that_a_tensor_is_asked_for() -> None:
    seen: evidence.Evidence = {}
    evidence.look(seen, evidence.one(lambda x: 3 * x), {"a": (RIGHT,), "b": (RIGHT + 1,), "one": (RIGHT[0],)})
    found = table().judge(seen, *PROPERTIES)
    assert found[0].hint == "It is a NumPy array; a tensor is asked for."


def test_of_two_mistakes_that_explain_the_purpose_the_one_that_explains_more_is_named() -> None:
    looks = {"a": (np.array([2.0, 4.0]),), "b": (np.array([-2.0, -4.0]),)}
    few = Table.of(lambda _: looks, 0, lambda x: {"": 3 * x, "No sign.": np.abs(x), "No factor.": x})
    found = few.judge({key: x for key, (x,) in looks.items()}, *(Property(key, 1, [key]) for key in looks))
    assert [one.hint for one in found] == ["No factor.", ""]


def test_what_nothing_explains_is_described_and_keeps_nothing() -> None:
    (purpose, said), (other, _) = judged(lambda x: x**2 + np.sin(9 * x))
    assert not purpose and not other
    assert re.match(r"One of \d calls that differ: Largest difference", said)


def test_a_hint_needs_the_numbers_of_every_look_that_is_wrong() -> None:
    assert judged(lambda x: x + 3.01)[0][1] != "It is x + 3."


# --- the diagnoser ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("sentence", "change"), list(changes(RIGHT.shape, [*SIZES])))
def test_every_change_is_explained_by_one_that_gives_the_same(sentence: str, change: Any) -> None:
    with np.errstate(all="ignore"):
        actual = np.asarray(change(RIGHT, SIZES), dtype=float)
    if not np.isfinite(actual).all() or (actual.shape == RIGHT.shape and np.allclose(actual, RIGHT)):
        return  # a root of a negative number; a clip that changes nothing
    found = diagnose([Seen(actual, RIGHT, SIZES)])
    assert found is not None, sentence
    np.testing.assert_allclose(found[1](RIGHT, SIZES), actual, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("actual", "said"),
    [
        (-RIGHT.T, ("wrong sign", "axes have changed places")),
        (100 * (RIGHT + 0.5), ("1/2 everywhere", "a percentage")),
        (np.exp(RIGHT).mean(0), ("exponential", "the mean along the first axis")),
    ],
    ids=["a sign and axes", "a shift and a factor", "a function and a reduction"],
)
def test_two_changes_are_named_together(actual: np.ndarray, said: tuple[str, str]) -> None:
    found = diagnose([Seen(actual, RIGHT, SIZES)])
    assert found is not None and " Besides: " in found[0] and all(part in found[0] for part in said)


def test_a_change_of_some_entries_is_named_with_its_place() -> None:
    found = diagnose([Seen(RIGHT * [1, 1, -1], RIGHT)])
    assert found is not None
    assert found[0] == "Along the second axis only entry 2 of 0 to 2 is wrong. There: it has the wrong sign."
    np.testing.assert_array_equal(found[1](RIGHT, {}), RIGHT * [1, 1, -1])


def test_a_change_is_named_where_it_gives_no_numbers_if_it_gives_some() -> None:
    with np.errstate(invalid="ignore"):
        found = diagnose([Seen(np.log(RIGHT), RIGHT)])
    assert found is not None and found[0] == "The logarithm has been taken."
    assert diagnose([Seen(np.full(3, np.nan), np.array([-1.0, -2.0, -3.0]))]) is None


def test_one_number_is_held_to_seven_digits_so_that_nothing_is_named_by_chance() -> None:
    rng, named = np.random.default_rng(0), 0
    for _ in range(300):
        actual, right = np.exp(rng.normal(size=2))
        named += diagnose([Seen(np.array(actual), np.array(right), SIZES)]) is not None
    assert named <= 1


def test_nothing_is_made_of_a_few_wrong_counts_among_right_ones() -> None:
    right = np.array([12.0, 7.0, 15.0, 9.0, 11.0, 4.0])
    assert diagnose([Seen(right + 3 * (right == 9), right, {"rows": 6})]) is None
    found = diagnose([Seen(right + 3, right, {"rows": 6})])
    assert found is not None and found[0] == "It is too large by half the number of rows."


def test_two_changes_are_not_named_by_chance() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        actual, right = np.exp(rng.normal(size=(2, 3)))
        assert diagnose([Seen(actual, right, SIZES)]) is None


@pytest.mark.parametrize(
    ("actual", "said"),
    [
        (RIGHT[:, :2], "It has shape (2, 2); expected (2, 3)."),
        (np.where(RIGHT > 4, np.nan, RIGHT), "It contains NaN or infinity (1 of 6 numbers)"),
        (1.37 * RIGHT, "Every number is 1.37 times what it should be."),
        (RIGHT + 0.37, "off by the same 0.37"),
        (RIGHT * [[1.0], [1.4]] + [[0.0], [0.9]], "Along the first axis only entry 1 of 0 to 1 is wrong."),
        (RIGHT + np.array([1e-4, -9e-5, 8e-5]), "That is little"),
    ],
    ids=["a shape", "no number", "a factor", "a step", "one row", "little"],
)
def test_what_cannot_be_explained_is_described(actual: np.ndarray, said: str) -> None:
    assert said in described(Seen(actual, RIGHT))


@pytest.mark.parametrize(
    ("actual", "right", "said"),
    [
        (0 * RIGHT, RIGHT, "Largest difference: 4.1."),  # and not '0 times'
        (np.array(-1500.9), np.array(-1500.0), "Largest difference: 0.9."),  # one number shows no rounding
        (np.array([3.0, 1]), np.array([3.0, 2]), "Largest difference: 1. It is wrong in 1 of 2 calls."),
        (
            RIGHT + np.array([[0.0, 1, 4], [0, 2, 3]]),  # the first axis is that of calls
            RIGHT,
            "Largest difference: 4. Along the result entry 0 is right, from 1 on they are wrong.",
        ),
    ],
    ids=["zeros", "one number", "calls", "lists of calls"],
)
def test_no_more_is_said_than_is_seen(actual: np.ndarray, right: np.ndarray, said: str) -> None:
    assert described(Seen(actual, right, {"calls": 2})) == said


def test_of_several_calls_each_is_changed_by_itself() -> None:
    found = diagnose([Seen(RIGHT[:, -1:], RIGHT, {"calls": 2})])
    assert found is not None and found[0] == "Only the last entry is there."
    assert diagnose([Seen(RIGHT[::-1], RIGHT, {"calls": 2})]) is None


def test_numbers_at_the_ends_of_a_sigmoid_do_not_show_one() -> None:
    found = diagnose([Seen(np.ones(2), np.array([20.0, 15.0]))])
    assert found is not None and found[0].startswith("All its numbers here are 1: ")


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_one_change_made_twice_is_said_once() -> None:
    found = diagnose([Seen(RIGHT, RIGHT[None, None])])
    assert found is not None and found[0] == "Twice: an axis of length 1 is missing."


# --- what an answer leaves behind -------------------------------------------------------------------

KEPT: list[int] = []


def switch(call: Callable[[], object]) -> Callable[[torch.Tensor], torch.Tensor]:
    def answer(x: torch.Tensor) -> torch.Tensor:
        call()
        return 2 * x

    return answer


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda x: 2 * x, None),
        (lambda x: x.mul_(2), evidence.CHANGED),
        (lambda x: 2 * x + len(KEPT) * (KEPT.append(1) is None), evidence.AGAIN),
        (lambda x: torch.randn_like(x), evidence.AGAIN),
        (switch(lambda: torch.set_grad_enabled(False)), "gradients switched off"),
        (switch(lambda: torch.manual_seed(0)), evidence.SEED_SET),
        (switch(lambda: torch.set_default_dtype(torch.float64)), "another default dtype"),
        (switch(lambda: np.random.seed(seed=0)), evidence.SEED_SET),
        (switch(lambda: random.seed(0)), evidence.SEED_SET),
        (switch(lambda: (np.random.rand(999), random.random())), None),
        (switch(lambda: np.seterr(all="raise")), "other rules for errors"),
        (switch(lambda: warnings.simplefilter("error")), "warnings into errors"),
        (switch(lambda: warnings.simplefilter("always")), None),
        (switch(lambda: torch.set_num_threads(3)), "number of threads"),
        (switch(lambda: torch.use_deterministic_algorithms(True)), "deterministic algorithms"),
        (switch(lambda: torch.autograd.set_detect_anomaly(True)), "detection of anomalies"),
    ],
    ids=[
        "nothing", "in place", "kept", "drawn", "gradients", "seed", "dtype", "NumPy's seed", "Python's seed",
        "drawn aside", "NumPy's errors", "warnings", "more warnings", "threads", "deterministic", "anomalies",
    ],
)  # fmt: skip
def test_what_an_answer_leaves_behind_is_noted_and_put_back(answer: Any, complaint: str | None) -> None:
    before = [get() for get, *_ in evidence._SWITCHES]
    kept: evidence.Evidence = {}
    with torch.random.fork_rng(), warnings.catch_warnings():
        inputs.seed_draws(0)
        evidence.look(kept, answer, {"a": (torch.ones(2),), "b": (torch.zeros(3, 1),)})
    assert [get() for get, *_ in evidence._SWITCHES] == before
    said = core.problem_with(kept, evidence.STEADY) if evidence.STEADY in kept else None
    assert said == complaint or (complaint and said and complaint in said)


@pytest.mark.parametrize("module", [np.random, random], ids=["NumPy", "Python"])
def test_what_is_drawn_later_does_not_repeat_after_a_seed_that_an_answer_sets(module: Any) -> None:
    drawn = []
    for _ in range(2):
        evidence.record({}, "it", lambda: module.seed(0))
        drawn.append(module.random())
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(("times_longer", "noted"), [(1, True), (3, False)])
def test_one_that_trains_may_set_a_seed(times_longer: int, noted: bool) -> None:
    kept: evidence.Evidence = {}
    evidence.record(kept, "it", lambda: np.random.seed(0), times_longer=times_longer)
    assert (evidence.STEADY in kept) == noted


def test_an_answer_gets_what_the_look_has_strides_and_gradients_too() -> None:
    seen = []
    for given in (
        torch.ones(2, 3, requires_grad=True).T,
        torch.ones(2, 5)[:, :3],
        torch.ones(3).expand(2, 3),
    ):
        evidence.record({}, "it", lambda x: seen.append(x) or 0, given)
        assert torch.equal(seen[-1], given)
    assert seen[0].stride() == (1, 3) and seen[0].requires_grad
    assert seen[1].stride() == (5, 1)  # a part of longer rows

"""The graded cells against a bank of right and wrong answers, and the parts that probes and judges share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from bank import RIGHT, WRONG, Answer
from torch import nn

from course_utils import checks
from course_utils.checks import EXERCISES, check, core
from course_utils.settings import CourseError

# A judge that warns would write to stderr, which nbgrader scores 0 points.
pytestmark = pytest.mark.filterwarnings("error")

SLOW = {"MyAutoencoder", "ConvDecoder", "MyVAE", "MyCVAE"}  # a tenth of a second each: one seed
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


def over_seeds(answers: list[Answer]) -> pytest.MarkDecorator:
    """Every answer with the seeds 0, 1 and 7, or with 7 alone where looking takes long."""
    cases = [(a, seed) for a in answers for seed in ((7,) if a.exercise in SLOW else (0, 1, 7))]
    return pytest.mark.parametrize(
        ("answer", "seed"), cases, ids=[f"{a.exercise}: {a.name} ({seed})" for a, seed in cases]
    )


def possible(report: core.Report) -> float:
    return sum(finding.points for finding in report.findings)


# --- the bank ---------------------------------------------------------------------------------------


@over_seeds(RIGHT)
def test_a_right_answer_earns_every_point(answer: Answer, seed: int) -> None:
    report = check(answer.exercise, answer.namespace(), seed)
    assert report.points == pytest.approx(report.exercise.points), str(report)
    assert possible(report) == pytest.approx(report.exercise.points)
    assert all(finding.holds for finding in report.findings)


@over_seeds(WRONG)
def test_a_wrong_answer_loses_points_and_hears_its_mistake(answer: Answer, seed: int) -> None:
    report = check(answer.exercise, answer.namespace(), seed)
    assert report.points < report.exercise.points, str(report)
    assert answer.hint in str(report)
    assert possible(report) == pytest.approx(report.exercise.points)


@every_exercise
def test_every_exercise_has_right_answers_and_wrong_ones(exercise: core.Exercise) -> None:
    assert sum(answer.exercise == exercise.answer for answer in RIGHT) >= 3
    assert sum(answer.exercise == exercise.answer for answer in WRONG) >= 6


def test_every_answer_has_a_name_of_its_own_and_belongs_to_an_exercise() -> None:
    names = [(answer.exercise, answer.name) for answer in RIGHT + WRONG]
    assert len(set(names)) == len(names)
    assert {exercise for exercise, _ in names} == set(EXERCISES)


def test_wrong_answers_have_a_hint_and_right_ones_have_none() -> None:
    assert all(answer.hint for answer in WRONG)
    assert not any(answer.hint for answer in RIGHT)


# --- answers that are no answers --------------------------------------------------------------------


def unsolved(*args: Any, **kwargs: Any) -> Any:
    raise NotImplementedError


class Unsolved(nn.Module):
    """A class whose constructor is written and whose methods are not."""

    def __init__(self, *args: Any) -> None:
        super().__init__()

    encode = decode = forward = unsolved


@every_exercise
def test_an_unsolved_exercise_is_not_yet_and_earns_nothing(exercise: core.Exercise) -> None:
    report = check(exercise.answer, {exercise.answer: unsolved})
    assert report.points == 0
    assert "Not yet" in str(report)


@pytest.mark.parametrize("name", sorted(SLOW))
def test_a_class_with_unwritten_methods_is_not_yet(name: str) -> None:
    report = check(name, {name: Unsolved})
    assert report.points == 0
    assert "Not yet" in str(report)


@every_exercise
def test_an_undefined_name_gives_a_sentence(exercise: core.Exercise) -> None:
    for namespace in ({}, {exercise.answer: None}):
        report = check(exercise.answer, namespace)
        assert report.points == 0
        assert f"`{exercise.answer}` is not defined: run the cell above first." in str(report)


def failing(*args: Any) -> Any:
    raise ValueError("the student's own words\nand a second line")


STRANGE: dict[str, Any] = {
    "an int in place of a function": 7,
    "raises": failing,
    "returns None": lambda *args: None,
    "returns a string": lambda *args: "done",
    "returns several strings": lambda *args: ["done", "and done"],
    "returns a dict": lambda *args: {"loss": 1.0},
    "returns itself": lambda *args: unsolved,
    "returns an empty list": lambda *args: [],
    "returns True": lambda *args: True,
    "returns NaN": lambda *args: torch.tensor(torch.nan),
    "returns infinity": lambda *args: torch.tensor(torch.inf),
    "returns a large tensor": lambda *args: torch.zeros(2, 3, 5, 7),
    "returns its first argument": lambda *args: args[0],
    "returns complex numbers": lambda *args: torch.tensor(1j),
}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
@every_exercise
def test_a_check_never_raises_whatever_the_answer_is(exercise: core.Exercise, strange: Any) -> None:
    report = check(exercise.answer, {exercise.answer: strange})
    assert 0 <= report.points < exercise.points
    assert possible(report) == pytest.approx(exercise.points)


# --- the report -------------------------------------------------------------------------------------


@every_exercise
def test_a_report_reads_as_a_number_and_goes_out_as_json(exercise: core.Exercise) -> None:
    first = [next(a for a in answers if a.exercise == exercise.answer) for answers in (WRONG, RIGHT)]
    for namespace in ({}, {exercise.answer: unsolved}, *(answer.namespace() for answer in first)):
        report = check(exercise.answer, namespace)
        assert 0 <= float(repr(report)) <= exercise.points
        assert float(repr(report)) == pytest.approx(report.points)
        bundle = json.loads(json.dumps(report._repr_mimebundle_(include=None, exclude=None)))
        assert bundle["text/plain"] == repr(report)
        assert bundle[core.REPORT_MIME] == {
            "exercise": exercise.number,
            "answer": exercise.answer,
            "points": report.points,
            "of": exercise.points,
        }


def test_html_escapes_the_answers_own_words() -> None:
    def tagged(*args: Any) -> Any:
        raise ValueError("<b>bold</b>")

    page = check("gaussian_kl", {"gaussian_kl": tagged})._repr_html_()
    assert "&lt;b&gt;bold" in page
    assert "<b>" not in page


def test_an_error_is_told_by_its_kind_and_first_line() -> None:
    text = str(check("gaussian_kl", {"gaussian_kl": failing}))
    assert "ValueError: the student's own words" in text
    assert "second line" not in text


@every_exercise
def test_nothing_goes_to_stderr_even_if_the_answer_warns(
    exercise: core.Exercise, capfd: pytest.CaptureFixture[str]
) -> None:
    names = next(answer for answer in RIGHT if answer.exercise == exercise.answer).namespace()
    names["right"] = names[exercise.answer]
    noisy = """
import sys, warnings
def noisy(*args):
    warnings.warn("this is old")
    print("half done", file=sys.stderr)
    return right(*args)
"""
    exec(noisy, names)
    report = check(exercise.answer, names | {exercise.answer: names["noisy"]})
    assert report.points == exercise.points
    assert capfd.readouterr().err == ""


@every_exercise
def test_a_check_leaves_the_lessons_random_numbers_alone(exercise: core.Exercise) -> None:
    names = next(answer for answer in RIGHT if answer.exercise == exercise.answer).namespace()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check(exercise.answer, names)
    assert torch.equal(torch.rand(2), expected)


def test_the_same_seed_gives_the_same_report() -> None:
    names = next(answer for answer in WRONG if answer.exercise == "vae_loss").namespace()
    assert str(check("vae_loss", names, 5)) == str(check("vae_loss", names, 5))


def test_an_exercise_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CourseError, match="No exercise asks for 'gausian_kl'"):
        checks.check("gausian_kl", {})


# --- what probes and judges share -------------------------------------------------------------------


def recorded(function: Callable[..., Any], *args: Any) -> core.Evidence:
    evidence: core.Evidence = {}
    core.record(evidence, "it", function, *args)
    return evidence


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (True, True),
        ([1.5, 2.5], [1.5, 2.5]),
        (((1, 2), (3, 4)), [[1, 2], [3, 4]]),
        (range(3), [0, 1, 2]),
        (np.float32(0.5), 0.5),
        (torch.ones(2, 3), np.ones((2, 3))),
        (torch.ones(2, requires_grad=True) * 2, [2.0, 2.0]),
        ([torch.tensor(1.0), torch.tensor(2.0)], [1.0, 2.0]),
        ([], []),
    ],
    ids=repr,
)
def test_numbers_in_any_container_become_an_array(value: Any, expected: Any) -> None:
    array = core.as_array(value)
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, np.asarray(expected))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "it returned None; is a `return` missing?"),
        ({"loss": 1}, "it returned a dict, not numbers"),
        (object(), "it returned a object, not numbers"),
        ([1, None], "it returned a list, not numbers"),
        (print, "it returned a builtin_function_or_method, not numbers"),
    ],
    ids=["None", "dict", "object", "list with None", "function"],
)
def test_what_holds_no_numbers_is_refused_by_name(value: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words.replace("?", r"\?")):
        core.as_array(value)


@pytest.mark.parametrize("value", ["done", ["a", "b"], [1, "two"]], ids=repr)
def test_strings_are_no_numbers(value: Any) -> None:
    with pytest.raises(TypeError, match="not numbers"):
        core.as_array(value)


def test_a_list_of_tensors_that_require_grad_becomes_an_array() -> None:
    weight = torch.ones(2, requires_grad=True)
    np.testing.assert_array_equal(core.as_array([weight.sum(), weight.prod()]), [2.0, 1.0])


def test_record_keeps_what_a_function_returns() -> None:
    np.testing.assert_array_equal(recorded(lambda a, b: [a, b], 1, 2)["it"], [1, 2])


def test_record_keeps_the_sentence_of_an_error() -> None:
    evidence = recorded(failing)
    assert evidence["it"].item() == "ValueError: the student's own words"
    assert core.problem_with(evidence, "it") == "Your code stopped with ValueError: the student's own words"


def test_record_says_that_none_was_returned() -> None:
    assert "is a `return` missing?" in core.problem_with(recorded(lambda: None), "it")


def test_record_takes_not_implemented_for_not_yet() -> None:
    with pytest.raises(core.NotYet):
        recorded(unsolved)


def test_evidence_that_was_never_recorded_is_a_problem() -> None:
    assert core.problem_with({}, "it") == "This could not be looked at."
    assert not core.expect({}, "it", 1.0, "", 1).holds
    assert not core.holds({}, "it", "", 1, "").holds


def test_expect_holds_to_its_tolerance() -> None:
    evidence = {"it": np.array([1.0, 2.0])}
    assert core.expect(evidence, "it", [1.0, 2.00019], "they agree", 2) == core.Finding("they agree", True, 2)
    assert not core.expect(evidence, "it", [1.0, 2.001], "", 2).holds
    assert core.expect(evidence, "it", [1.0, 2.001], "", 2, tolerance=1e-3).holds


def test_expect_takes_tensors_lists_and_numbers_for_the_expected_value() -> None:
    assert core.expect({"it": np.ones(2)}, "it", torch.ones(2, requires_grad=True), "", 1).holds
    assert core.expect({"it": np.ones(2)}, "it", [1, 1], "", 1).holds
    assert core.expect({"it": np.array(1.0)}, "it", 1, "", 1).holds


def test_expect_does_not_broadcast() -> None:
    finding = core.expect({"it": np.ones((3, 1))}, "it", np.ones(3), "", 1)
    assert not finding.holds
    assert finding.hint == "It has shape (3, 1); expected (3,)."


def test_expect_names_the_first_mistake_that_the_evidence_equals() -> None:
    mistakes = {"other": 5.0, "doubled": 2.0, "doubled again": 2.0}
    finding = core.expect({"it": np.array(2.0)}, "it", 1.0, "", 1, mistakes)
    assert not finding.holds
    assert finding.hint == "doubled"


def test_a_mistake_that_equals_the_right_value_is_no_mistake() -> None:
    assert core.expect({"it": np.array(1.0)}, "it", 1.0, "", 1, {"inverse": 1.0}).holds


def test_a_mistake_may_have_another_shape() -> None:
    finding = core.expect({"it": np.array(6.0)}, "it", [1.0, 2.0, 3.0], "", 1, {"summed": 6.0})
    assert finding.hint == "summed"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_expect_names_numbers_that_are_not_finite(value: float) -> None:
    finding = core.expect({"it": np.array([1.0, value])}, "it", [1.0, 2.0], "", 1)
    assert not finding.holds
    assert finding.hint == "It contains NaN or infinity."


def test_nan_is_never_right() -> None:
    assert not core.close(np.array(np.nan), np.nan, 1.0)


def test_expect_tells_the_largest_difference_where_no_mistake_fits() -> None:
    finding = core.expect({"it": np.array([1.0, 4.5])}, "it", [1.0, 2.0], "", 1)
    assert finding.hint == "Largest difference: 2.5."


def test_expect_compares_truth_values() -> None:
    assert core.expect({"it": np.array([True, False])}, "it", [True, False], "", 1).holds
    assert not core.expect({"it": np.array([False, True])}, "it", [True, False], "", 1).holds


def test_holds_is_true_where_every_value_is() -> None:
    assert core.holds({"it": np.array([True, True])}, "it", "", 1, "why not").holds
    finding = core.holds({"it": np.array([True, False])}, "it", "", 1, "why not")
    assert (finding.holds, finding.hint) == (False, "why not")


def test_holds_tells_what_kept_it_from_looking() -> None:
    assert "ValueError" in core.holds(recorded(failing), "it", "", 1, "why not").hint


def test_generators_depend_on_seed_and_stream_alone() -> None:
    def draw(seed: int, stream: int) -> float:
        return torch.rand((), generator=core.generator(seed, stream)).item()

    assert draw(3, 1) == draw(3, 1)
    assert len({draw(seed, stream) for seed in range(5) for stream in range(5)}) == 25

"""The graded cells against a bank of right and wrong answers, and the parts that probes and judges share."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tiers import LONG, exercises, quick
from torch import nn

import bank
from bank import RIGHT, WRONG, Answer
from course_utils import checks
from course_utils.checks import check
from course_utils.checks.judges import EXERCISES, core
from course_utils.checks.probes import Observation, evidence, observe, section_1
from course_utils.settings import CourseError

# A judge that warns would write to stderr, which nbgrader scores 0 points.
pytestmark = pytest.mark.filterwarnings("error")

NETWORKS = ["ConvDecoder", "MyAutoencoder", "MyCVAE", "MyVAE"]
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


def over_seeds(answers: list[Answer], first: int, *others: int) -> pytest.MarkDecorator:
    """Every answer with these seeds, of which 0 is the students'; `course graders` takes eleven.

    Of exercises that take long every third has one seed, and in `make test` only the first.
    """
    long = [answer for answer in answers if answer.exercise in LONG]
    brief = [answer for answer in answers if answer.exercise not in LONG]

    def looked(answer: Answer, seed: int) -> Any:
        slow = seed != first or answer in long[1:]
        name = f"{answer.exercise}: {answer.name} ({seed})"
        return pytest.param(answer, seed, id=name, marks=pytest.mark.slow if slow else ())

    return pytest.mark.parametrize(
        ("answer", "seed"),
        [
            *(looked(answer, first) for answer in [*brief, *long[::3]]),
            *(looked(answer, seed) for seed in others for answer in brief),
        ],
    )


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is: only what an answer computes counts."""
    monkeypatch.setattr(evidence, "PATIENCE", 30)


def right(exercise: str) -> Answer:
    """The bank's first right answer; the test fails with a sentence where there is none."""
    answers = [answer for answer in RIGHT if answer.exercise == exercise]
    return answers[0] if answers else pytest.fail(f"The bank holds no right answer to `{exercise}`.")


def weight(report: core.Report) -> float:
    return sum(finding.weight for finding in report.findings)


def assert_goes_out(report: core.Report) -> None:
    """It reads as a number and is written as JSON."""
    exercise = report.exercise
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


@functools.cache
def whole(exercise: str) -> float:
    """What the findings on a right answer weigh together."""
    return weight(core.verdict(EXERCISES[exercise], kept(exercise)))


@functools.cache
def kept(exercise: str) -> Observation:
    """What the probe brings back of a right answer."""
    return observe(exercise, right(exercise).namespace(), 5)


# --- the bank ---------------------------------------------------------------------------------------


@over_seeds(RIGHT, 0, 7)
def test_a_right_answer_earns_every_point_and_a_check_leaves_random_numbers_alone(
    answer: Answer, seed: int
) -> None:
    names = answer.namespace()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    report = check(answer.exercise, names, seed)
    assert torch.equal(torch.rand(2), expected)
    assert report.points == pytest.approx(report.exercise.points), str(report)
    assert weight(report) == pytest.approx(whole(answer.exercise))
    assert all(finding.holds for finding in report.findings)
    assert_goes_out(report)


@over_seeds(WRONG, 0)
def test_a_wrong_answer_loses_points_and_hears_its_mistake(answer: Answer, seed: int) -> None:
    report = check(answer.exercise, answer.namespace(), seed)
    assert report.points < report.exercise.points, str(report)
    assert answer.hint in str(report)
    # What calls the package's own solution has no findings.
    assert not report.findings or weight(report) == pytest.approx(whole(answer.exercise))
    assert_goes_out(report)


FUNCTIONS = [name for name, one in EXERCISES.items() if name not in (*NETWORKS, *LONG) and not one.questions]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_right_result_that_is_kept_by_the_shapes_of_what_is_given_is_wrong(name: str) -> None:
    names, kept = right(name).namespace(), {}
    function = names[name]

    def key(given: Any) -> Any:
        if isinstance(given, tuple | list):
            return tuple(map(key, given))
        return given.shape if isinstance(given, torch.Tensor) else type(given)

    def remembering(*args: Any) -> Any:
        if key(args) not in kept:
            kept[key(args)] = function(*args)
        return kept[key(args)]

    report = check(name, names | {name: remembering}, 0)
    assert report.points < report.exercise.points, str(report)


@every_exercise
@pytest.mark.parametrize("points", [1, 5])
def test_whatever_an_exercise_is_worth_a_right_answer_earns_it(exercise: core.Exercise, points: int) -> None:
    assert core.verdict(replace(exercise, points=points), kept(exercise.answer)).points == points


def test_the_bank_lacks_nothing() -> None:
    assert bank.lacks() == []
    assert not any(answer.hint for answer in RIGHT)


def test_what_the_bank_lacks_is_said_in_a_sentence_for_each_exercise() -> None:
    few = [answer for answer in RIGHT if answer.exercise != "gaussian_kl"]
    wrong = [replace(WRONG[0], hint=""), *WRONG[1:], WRONG[-1], replace(WRONG[0], exercise="gausian_kl")]
    assert sorted(bank.lacks(few, wrong)) == sorted(
        [
            f"the bank of `{WRONG[0].exercise}` lacks a hint for '{WRONG[0].name}'",
            f"the bank of `{WRONG[-1].exercise}` lacks a name of its own for each '{WRONG[-1].name}'",
            "the bank of `gaussian_kl` lacks 3 right answers (it has 0)",
            "the bank of `gausian_kl` lacks an exercise of that name",
        ]
    )


@every_exercise
def test_evidence_of_another_run_earns_nothing(exercise: core.Exercise) -> None:
    """Who keeps the evidence of a right answer and hands it in under the grader's seed gains no point."""
    forged = Observation(exercise.answer, 12, kept(exercise.answer).evidence)
    assert [finding.claim for finding in core.verdict(exercise, forged).findings if finding.holds] == []


@every_exercise
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan], ids=str)
def test_evidence_that_is_all_one_number_earns_nothing(exercise: core.Exercise, value: float) -> None:
    evidence = kept(exercise.answer).evidence
    forged = {key: np.full_like(array, value, dtype=float) for key, array in evidence.items()}
    assert core.verdict(exercise, Observation(exercise.answer, 5, forged)).points == 0


@every_exercise
def test_the_judge_needs_only_what_leaves_the_process(exercise: core.Exercise) -> None:
    packed = json.loads(json.dumps(kept(exercise.answer).packed))
    arrived = Observation(
        packed["answer"], packed["seed"], evidence.unpack(packed["evidence"]), packed["note"]
    )
    assert core.verdict(exercise, arrived).points == exercise.points


@pytest.mark.parametrize("numbers", [900, 20_000])
def test_six_standard_errors_refuse_less_than_one_right_sampler_in_a_million(numbers: int) -> None:
    """Mean and second moment of so many normal numbers, by their exact distributions (three tests in all;
    the third, on the mean absolute value, is as nearly normal as the first)."""
    off = 6 * (2 / numbers) ** 0.5
    squares = stats.chi2.sf(numbers * (1 + off), numbers) + stats.chi2.cdf(numbers * (1 - off), numbers)
    assert squares + 2 * 2 * stats.norm.sf(6) < 1e-6


def test_a_loop_over_codes_meets_so_few_that_the_share_of_holes_is_checked_within_a_second() -> None:
    calls = [call for look in section_1.hole_looks(0).values() for call in look]
    assert sum(len(z) for _, z, _ in calls) <= 1400


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reparameterize", "vae_train_step", "test_elbo"])
def test_answers_that_draw_their_own_noise_are_accepted_over_many_seeds(name: str) -> None:
    answer = right(name)
    points = [check(name, answer.namespace(), seed).points for seed in range(100, 140)]
    assert points == [EXERCISES[name].points] * 40


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
    assert_goes_out(report)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_class_with_unwritten_methods_is_not_yet(name: str) -> None:
    report = check(name, {name: Unsolved})
    assert report.points == 0
    assert "Not yet" in str(report)


@every_exercise
def test_an_undefined_name_gives_a_sentence(exercise: core.Exercise) -> None:
    for namespace in ({}, {exercise.answer: None}):
        report = check(exercise.answer, namespace)
        assert report.points == 0
        assert f"`{exercise.answer}` is not defined: run the cell above first" in str(report)
        assert_goes_out(report)


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


@pytest.mark.parametrize("strange", quick(STRANGE, 5))
@every_exercise
def test_a_check_never_raises_whatever_the_answer_is(exercise: core.Exercise, strange: Any) -> None:
    report = check(exercise.answer, {exercise.answer: strange})
    assert 0 <= report.points < exercise.points
    assert weight(report) == pytest.approx(whole(exercise.answer))


# --- the report -------------------------------------------------------------------------------------


def test_html_escapes_the_answers_own_words() -> None:
    def tagged(*args: Any) -> Any:
        raise ValueError("<b>bold</b>")

    page = check("gaussian_kl", {"gaussian_kl": tagged})._repr_html_()
    assert "&lt;b&gt;bold" in page
    assert "<b>" not in page


@pytest.mark.parametrize("name", exercises(EXERCISES))
def test_nothing_goes_to_stderr_even_if_the_answer_warns(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    names = right(name).namespace()
    names["right"] = names[name]
    noisy = """
import sys, warnings
def noisy(*args):
    warnings.warn("this is old")
    print("half done", file=sys.stderr)
    return right(*args)
"""
    exec(noisy, names)
    report = check(name, names | {name: names["noisy"]})
    assert report.points == EXERCISES[name].points
    assert capfd.readouterr().err == ""


def test_the_same_seed_gives_the_same_report() -> None:
    names = next(answer for answer in WRONG if answer.exercise == "vae_loss").namespace()
    assert str(check("vae_loss", names, 5)) == str(check("vae_loss", names, 5))


def test_an_exercise_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CourseError, match="No exercise asks for 'gausian_kl'"):
        checks.check("gausian_kl", {})

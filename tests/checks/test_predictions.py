"""Predictions earn their point by being made, and what was measured stands beside them."""

from __future__ import annotations

from typing import Any

import pytest

from course_utils.checks.judges import core
from course_utils.checks.judges import predictions as judges
from course_utils.checks.probes import PROBES, Observation, observe
from course_utils.checks.probes import predictions as probes
from course_utils.checks.probes.inputs import fact

OFFERED = {"sky": ("clear", "grey"), "wind": ("falls", "stays", "rises")}
EXERCISE = judges.prediction("9.0", "predict_weather", OFFERED, "It is November.", "A front came through.")
SEEN = {"sky": "grey", "wind": "rises"}


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROBES, "predict_weather", probes.prediction(OFFERED))


@pytest.fixture(autouse=True)
def laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_BUDGET", "laptop")


def report(said: Any, seen: Any = SEEN) -> core.Report:
    return judged(lambda: said, seen)


def judged(answer: Any, seen: Any) -> core.Report:
    names = {"predict_weather": answer, "measured_weather": seen}
    return core.verdict(EXERCISE, observe("predict_weather", names, 7))


@pytest.mark.parametrize("said", [SEEN, {"sky": "clear", "wind": "falls"}])
def test_a_prediction_earns_its_point_right_or_wrong(said):
    assert report(said).points == 1


def test_what_was_measured_stands_beside_it():
    text = str(report({"sky": "clear", "wind": "rises"}))
    assert "fails: sky: predicted 'clear', measured 'grey'\n         It is November." in text
    assert "holds: wind: predicted 'rises', measured 'rises'" in text


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ({"sky": "clear"}, "For 'wind' it says None; the answers on offer are 'falls', 'stays', 'rises'."),
        ({"sky": "blue", "wind": "falls"}, "For 'sky' it says 'blue'"),
        ({"sky": ["grey"], "wind": "falls"}, "For 'sky' it says ['grey']"),
        (["grey", "falls"], "It returned a list; return a dict"),
        (None, "It returned a NoneType; return a dict"),
    ],
)
def test_an_answer_that_was_not_on_offer_earns_nothing(said, hint):
    found = report(said)
    assert found.points == 0
    assert hint in str(found)


def test_a_stub_is_said_to_be_one():
    def stub() -> None:
        raise NotImplementedError

    assert "Not yet" in str(judged(stub, SEEN))


@pytest.mark.parametrize("seen", [None, {"sky": "grey"}])
def test_without_a_measurement_the_prediction_stands_alone(seen):
    found = report(SEEN, seen)
    assert found.points == 1
    assert "Run the cells between" in str(found)


def test_under_the_smoke_budget_nothing_is_compared(monkeypatch):
    monkeypatch.setenv("COURSE_BUDGET", "smoke")
    assert len(report(SEEN).findings) == 1


def test_the_point_depends_on_the_seed():
    evidence = observe(
        "predict_weather", {"predict_weather": lambda: SEEN, "measured_weather": SEEN}, 7
    ).evidence
    assert evidence["made"] == fact(7, "made", True)
    assert core.verdict(EXERCISE, Observation("predict_weather", 8, evidence)).points == 0

"""What probes and judges share: calling an answer, evidence, findings."""

from __future__ import annotations

import json
import linecache
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tiers
import torch
from torch import Tensor, nn

from bank import RIGHT, WRONG
from course_utils.checks import check, solved, words
from course_utils.checks.judges import EXERCISES, core, gradients, looks, losses, noise
from course_utils.checks.probes import EVIDENCE_MIME, Observation, evidence, inputs, observe
from course_utils.settings import CourseError


def unsolved(*args: Any) -> Any:
    raise NotImplementedError


def spin() -> None:
    while True:
        pass


def failing(*args: Any) -> Any:
    raise ValueError("the student's own words\nand a second line")


def recorded(function: Callable[..., Any], *args: Any) -> evidence.Evidence:
    kept: evidence.Evidence = {}
    evidence.record(kept, "it", function, *args)
    return kept


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
        (torch.ones(2, dtype=torch.bfloat16), [1, 1]),
        ([torch.tensor(1.0), torch.tensor(2.0)], [1.0, 2.0]),
        ([torch.ones(2, requires_grad=True).sum(), torch.tensor(3.0)], [2.0, 3.0]),
        ([], []),
    ],
    ids=repr,
)
def test_numbers_in_any_container_become_an_array(value: Any, expected: Any) -> None:
    array = evidence.as_array(value)
    assert type(array) is np.ndarray
    np.testing.assert_array_equal(array, np.asarray(expected))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "It returned None; is a `return` missing?"),
        ({"loss": 1}, "It returned a dict, not numbers."),
        (object(), "It returned a object, not numbers."),
        ([1, None], "It returned a list, not numbers."),
        ([1, "two"], "It returned a list, not numbers."),
        ("done", "It returned a str, not numbers."),
        (print, "It returned a builtin_function_or_method, not numbers."),
    ],
    ids=["None", "dict", "object", "list with None", "list with a string", "string", "function"],
)
def test_what_holds_no_numbers_is_refused_by_name(value: Any, words: str) -> None:
    with pytest.raises(TypeError, match=re.escape(words)):
        evidence.as_array(value)


def test_record_keeps_what_a_function_returns() -> None:
    np.testing.assert_array_equal(recorded(lambda a, b: [a, b], 1, 2)["it"], [1, 2])


class Unprintable(BaseException):
    def __str__(self) -> str:
        raise ValueError


def raising(problem: BaseException) -> Callable[[], Any]:
    def raises() -> Any:
        raise problem

    return raises


SAID: dict[str, tuple[Callable[[], Any], str]] = {
    "an error": (failing, "Your code stopped with ValueError: the student's own words"),
    "a layer of another size": (
        lambda: nn.Linear(20, 3)(torch.zeros(5, 1)),
        "a layer for 20 numbers was given 1",
    ),
    "an unprintable error": (raising(Unprintable()), "with Unprintable."),
    "an error without words": (raising(AssertionError()), "with AssertionError."),
    "sys.exit": (lambda: sys.exit(3), "SystemExit: 3"),
    "exit": (exit, "SystemExit"),
    "quit": (quit, "SystemExit"),
    "the stub": (unsolved, words.NOT_YET),
    "torch's own NotImplementedError": (
        raising(NotImplementedError("Could not run 'aten::mm'")),
        "NotImplementedError: Could not run",
    ),
    "None": (lambda: None, "is a `return` missing?"),
    "a ragged list": (lambda: [torch.ones(2), torch.ones(3)], "parts of different shapes"),
    "a meta tensor": (lambda: torch.ones(2, device="meta"), "on the meta device"),
}


@pytest.mark.parametrize(("answer", "said"), SAID.values(), ids=SAID)
def test_what_brings_back_no_numbers_becomes_a_sentence(answer: Callable[[], Any], said: str) -> None:
    assert said in core.problem_with(recorded(answer), "it")


def test_an_error_is_told_with_its_line_in_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = "def answer():\n    return torch.ones(2) @ torch.ones(3)\n"
    monkeypatch.setitem(linecache.cache, "cell.py", (len(cell), None, cell.splitlines(True), "cell.py"))
    names = {"torch": torch}
    exec(compile(cell, "cell.py", "exec"), names)
    sentence = core.problem_with(recorded(names["answer"]), "it")
    assert sentence.endswith("(line 2: `return torch.ones(2) @ torch.ones(3)`)")


def test_a_sparse_tensor_is_taken() -> None:
    np.testing.assert_array_equal(recorded(lambda: torch.eye(2).to_sparse())["it"], np.eye(2))


@pytest.fixture
def defaults() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device("cpu")


@pytest.mark.parametrize("name", tiers.exercises(EXERCISES))
def test_a_lesson_s_default_dtype_and_device_change_no_evidence(name: str, defaults: None) -> None:
    exercise, answer = EXERCISES[name], next(a for a in RIGHT if a.exercise == name)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    names = answer.namespace()
    observation = observe(exercise.answer, names, 5)
    assert torch.get_default_dtype() == torch.float64
    torch.set_default_dtype(torch.float32)
    torch.set_default_device("cpu")
    assert core.verdict(exercise, observation).points == exercise.points


def test_a_class_that_is_half_written_keeps_the_points_of_that_half() -> None:
    whole = next(a for a in RIGHT if a.exercise == "MyVAE").namespace()["MyVAE"]

    class MyVAE(whole):
        def decode(self, z: Tensor) -> Tensor:
            raise NotImplementedError()

    report = check("MyVAE", {"MyVAE": MyVAE}, 3)
    assert 0 < report.points < 3
    assert words.NOT_YET in str(report)


def test_what_holds_on_to_stderr_is_kept_quiet_too(capsys: pytest.CaptureFixture[str]) -> None:
    held = sys.stderr
    with evidence.quiet():
        print("a logger bound before", file=held)
    print("afterwards", file=held)
    assert capsys.readouterr().err == "afterwards\n"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="There is no CUDA GPU on this machine.")
def test_a_result_on_a_gpu_is_taken() -> None:
    np.testing.assert_array_equal(recorded(lambda: torch.ones(2, device="cuda"))["it"], [1, 1])


def test_evidence_that_was_never_recorded_is_a_problem() -> None:
    assert core.problem_with({}, "it") == "This could not be looked at."
    assert not core.is_fact({}, "it", 0, "", 1, "").holds


@pytest.mark.parametrize(
    ("actual", "expected", "tolerance", "same"),
    [
        ([1.0, 2.0], [1.0, 2.00019], 1e-4, True),
        ([1.0, 2.0], [1.0, 2.001], 1e-4, False),
        ([1.0, 2.0], [1.0, 2.001], 1e-3, True),
        ([1.0, 1.0], torch.ones(2, requires_grad=True), 1e-4, True),
        (1.0, 1, 1e-4, True),
        (np.ones((3, 1)), np.ones(3), 1e-4, False),  # nothing is broadcast
        (np.nan, np.nan, 1e-4, True),  # as a mistake may give
        (np.nan, 1.0, 1e-4, False),
        ([False, True], [True, False], 1e-4, False),
    ],
)
def test_numbers_are_close_in_one_shape_and_to_a_tolerance(actual, expected, tolerance, same) -> None:
    assert core.close(np.array(actual), expected, tolerance) == same


def test_numbers_are_rounded_that_have_few_digits_though_float32_would_hold_others() -> None:
    assert "has 2 digits after the point" in gradients.rounded(np.array([1247.19, 1243.68]))
    assert "has no digits after the point" in gradients.rounded(np.array([1247.0, 1244.0]))
    assert not gradients.rounded(np.array([1247.1875, 1243.71875]))  # in float32 few digits come by chance


def test_a_fact_holds_under_its_own_seed_and_name_alone() -> None:
    kept = {"it": np.array(inputs.fact(3, "it", True))}
    assert core.is_fact(kept, "it", 3, "so it is", 1, "why not") == core.Finding("so it is", True, 1)
    assert not core.is_fact(kept, "it", 4, "", 1, "").holds
    assert not core.is_fact({"other": kept["it"]}, "other", 3, "", 1, "").holds


def test_an_untrue_fact_gets_its_hint() -> None:
    kept = {"it": np.array(inputs.fact(3, "it", False))}
    assert core.is_fact(kept, "it", 3, "so it is", 1, "why not") == core.Finding(
        "so it is", False, 1, "why not"
    )


def test_generators_depend_on_seed_and_stream_alone() -> None:
    def draw(seed: int, stream: int) -> float:
        return torch.rand((), generator=inputs.generator(seed, stream)).item()

    assert draw(3, 1) == draw(3, 1)
    assert len({draw(seed, stream) for seed in range(5) for stream in range(5)}) == 25


# --- calls that do not come back as they should -------------------------------------------------------


@pytest.mark.parametrize(
    ("endless", "said"),
    [(lambda: time.sleep(60), words.WAITING), (spin, words.ENDLESS)],
    ids=["sleep", "loop"],
)
def test_a_call_that_never_returns_is_cut_off(endless: Callable[[], Any], said: str, monkeypatch) -> None:
    monkeypatch.setattr(evidence, "CALL_SECONDS", 0.05)
    monkeypatch.setattr(evidence, "PATIENCE", 10 if said == words.WAITING else 10_000)
    assert core.problem_with(recorded(endless), "it").endswith(said)


def test_a_call_has_the_seconds_that_it_computes_however_long_it_waits_for_a_processor(monkeypatch) -> None:
    """The clock of a machine that gives this process one tenth of a processor."""
    monkeypatch.setattr(evidence, "CALL_SECONDS", 0.2)
    monkeypatch.setattr(evidence, "PATIENCE", 10_000)
    monkeypatch.setattr(evidence, "_own_seconds", lambda: lambda: time.monotonic() / 10)
    kept = recorded(lambda: (time.sleep(0.5), 1.0)[1])
    assert kept["it"] == 1.0


def test_time_in_which_others_have_the_processor_is_no_waiting(monkeypatch) -> None:
    monkeypatch.setattr(evidence, "CALL_SECONDS", 0.1)
    monkeypatch.setattr(evidence, "PATIENCE", 2)
    monkeypatch.setattr(evidence, "_queued", lambda: 0.9 * time.monotonic())
    kept = recorded(lambda: (time.sleep(0.5), 1.0)[1])
    assert kept["it"] == 1.0


def test_it_is_cut_off_in_a_process_that_ignores_interruptions_as_well(monkeypatch) -> None:
    """As one does that a shell has started in the background."""
    monkeypatch.setattr(evidence, "CALL_SECONDS", 0.05)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        kept = recorded(lambda: time.sleep(3))
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert core.problem_with(kept, "it").endswith(words.WAITING)


def test_after_a_call_that_never_returns_no_other_is_tried(monkeypatch) -> None:
    monkeypatch.setattr(evidence, "CALL_SECONDS", 0.05)
    kept = recorded(lambda: time.sleep(60))
    evidence.record(kept, "next", lambda: 1.0)
    assert core.problem_with(kept, "next").endswith(words.WAITING)


def test_one_that_trains_may_compute_longer(monkeypatch) -> None:
    monkeypatch.setattr(evidence, "CALL_SECONDS", 0.05)
    monkeypatch.setattr(evidence, "PATIENCE", 10_000)
    kept: evidence.Evidence = {}
    evidence.record(kept, "it", spin, times_longer=40)
    assert core.problem_with(kept, "it").startswith("It did not return within 2 seconds: ")


def test_a_compiled_answer_is_told_so_at_once() -> None:
    answer = torch.compile(lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 - logvar))
    report = check("gaussian_kl", {"gaussian_kl": answer})
    assert report.points == 0
    assert "take `torch.compile` away" in str(report)


def test_a_real_interruption_is_not_swallowed() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recorded(stop)


def test_an_answer_that_asks_for_one_tensor_is_told_of_a_list() -> None:
    kept: evidence.Evidence = {}
    evidence.record(kept, "it", evidence.one(lambda: [1.0, 2.0]))
    assert core.problem_with(kept, evidence.FORM) == "It returned a list; return one tensor."
    assert kept["it"].tolist() == [1.0, 2.0]


def test_evidence_is_a_copy() -> None:
    tensor = torch.zeros(2)
    kept = recorded(lambda: tensor)
    tensor += 1
    np.testing.assert_array_equal(kept["it"], [0, 0])


def test_what_compiled_code_writes_to_stderr_is_kept_out(capfd: pytest.CaptureFixture[str]) -> None:
    with evidence.quiet():
        os.write(2, b"a warning from compiled code")
        print("a progress bar", file=sys.stderr)
        warnings.warn("this is old", stacklevel=1)
    os.write(2, b"afterwards")
    assert capfd.readouterr().err == "afterwards"


def test_a_class_that_can_be_called_stands_for_a_function() -> None:
    class Kl(nn.Module):
        def forward(self, mu: Tensor, logvar: Tensor) -> Tensor:
            return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)

    exercise = EXERCISES["gaussian_kl"]
    assert check(exercise.answer, {"gaussian_kl": Kl}, 3).points == exercise.points


# --- evidence that leaves the process -----------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.array(True),
        np.array(3),
        np.zeros((0, 2), np.float32),
        np.array("words"),
    ],
    ids=str,
)
def test_packed_evidence_comes_back_as_it_was(array: np.ndarray) -> None:
    (back,) = evidence.unpack(json.loads(json.dumps(evidence.pack({"it": array})))).values()
    np.testing.assert_array_equal(back, array)
    assert (back.dtype.kind, back.shape) == (array.dtype.kind, array.shape)


BAD = {
    "no mapping": [1, 2],
    "a number": {"it": 3},
    "no data": {"it": {"dtype": "<f8", "shape": [1]}},
    "no base64": {"it": {"dtype": "<f8", "shape": [1], "data": "???"}},
    "too short": {"it": {"dtype": "<f8", "shape": [2], "data": "AAAAAAAAAAA="}},
    "a negative shape": {"it": {"dtype": "<f8", "shape": [-2, -1], "data": "AAAAAAAAAAA="}},
    "objects": {"it": {"dtype": "|O", "shape": [1], "data": "AAAAAAAAAAA="}},
    "records": {"it": {"dtype": "i4,i4", "shape": [1], "data": "AAAAAAAAAAA="}},
    "a text for a dtype": {"it": {"dtype": "float99", "shape": [1], "data": "AAAAAAAAAAA="}},
    "a megabyte too many": {"it": {"dtype": "|u1", "shape": [1], "data": "A" * 9_000_000}},
}


@pytest.mark.parametrize("packed", BAD.values(), ids=BAD)
def test_forged_evidence_is_refused_in_one_sentence(packed: Any) -> None:
    with pytest.raises(CourseError, match="The evidence is not as a probe writes it"):
        evidence.unpack(packed)


def test_a_judge_survives_evidence_of_any_form() -> None:
    for exercise in EXERCISES.values():
        for forged in ({}, {"it": np.zeros(3)}, {"loss0": np.zeros((0, 3)), "modes": np.array("x")}):
            assert core.verdict(exercise, Observation(exercise.answer, 0, forged)).points == 0


def test_an_observation_displays_as_evidence_with_its_seed() -> None:
    answer = {"gaussian_kl": lambda mu, logvar: 0.5 * (mu**2 + logvar.exp() - 1 - logvar)}
    handed_over = observe("gaussian_kl", answer, 41)._repr_mimebundle_()[EVIDENCE_MIME]
    assert (handed_over["answer"], handed_over["seed"]) == ("gaussian_kl", 41)


def test_a_sentence_that_explains_every_failure_is_said_once() -> None:
    report = check("gaussian_kl", {"gaussian_kl": failing})
    assert len(report.findings) > 1
    assert report.note == "Your code stopped with ValueError: the student's own words"
    assert str(report).count(report.note) == 1 and "second line" not in str(report)


def test_beside_a_failure_nothing_is_said_to_be_left_as_it_was() -> None:
    slips = [answer for answer in WRONG if answer.exercise == "importance_weighted_bound"]
    slip = next(answer for answer in slips if answer.name == "the mean log-weight taken out")
    *rows, (word, claim, _) = check(slip.exercise, slip.namespace()).rows
    assert [row[0] for row in rows] == ["holds", "fails", "holds"]
    assert word == "no further fault" and "called again" in claim


def test_a_complaint_of_noise_of_one_s_own_says_so() -> None:
    def reparameterize(mu: Tensor, logvar: Tensor, eps: Any = None) -> Tensor:
        if eps is None:
            half = torch.randn_like(mu[: len(mu) // 2])
            eps = torch.cat([half, -half])  # no noise for the last of an odd number
        return mu + (logvar / 2).exp() * eps

    assert "Without eps: Your code stopped" in str(
        check("reparameterize", {"reparameterize": reparameterize})
    )


def test_the_hint_of_a_single_failure_stays_with_it() -> None:
    findings = [core.Finding("one", True, 1), core.Finding("two", False, 1, "doubled")]
    exercise = core.Exercise("9.9", "it", 2, lambda seed, evidence: findings)
    report = core.verdict(exercise, Observation(exercise.answer, 0, {}))
    assert (report.note, report.findings[1].hint) == ("", "doubled")


@pytest.mark.parametrize(("weight", "word"), [(3, "no further fault"), (1, "holds")])
def test_beside_a_missed_purpose_nothing_is_said_to_hold(weight: float, word: str) -> None:
    """What carries less than half is no purpose."""
    findings = core.Finding("it adds", False, weight), core.Finding("one works", True, 2)
    report = core.Report(EXERCISES["confusion"], findings)
    assert f"  {word}: one works" in str(report)
    assert ("✓" in report._repr_html_()) == (word == "holds")


def test_a_report_says_in_words_and_without_colours_what_holds() -> None:
    """So it is read on paper of any colour, and aloud."""
    findings = [core.Finding("it adds", True, 3), core.Finding("one works", False, 2, "It is doubled.")]
    page = core.Report(EXERCISES["confusion"], tuple(findings))._repr_html_()
    assert "✓ Holds:" in page and "✗ Fails:" in page and "color" not in page


def test_beside_one_sentence_for_several_failures_nothing_is_said_to_hold() -> None:
    def findings(seed: int, evidence: Any) -> list[core.Finding]:
        missed = [core.Finding(claim, False, 1, "It returned 1 value.") for claim in ("it adds", "it ends")]
        return [*missed, core.Finding("gradients pass", True, 3)]

    exercise = core.Exercise("9.9", "it", 2, findings)
    report = core.verdict(exercise, Observation(exercise.answer, 0, {}))
    assert (report.note, "no further fault: gradients pass" in str(report)) == ("It returned 1 value.", True)


@pytest.mark.parametrize(
    ("hint", "follows"),
    [("It is doubled.", False), (f"{core.COUNTS} something else holds.", False), ("It is 3 off.", True)],
    ids=["said before", "of no use alone", "perhaps by the same mistake"],
)
def test_what_an_earlier_mistake_keeps_from_view_is_not_said_to_fail(hint: str, follows: bool) -> None:
    exercise = core.Exercise("9.9", "it", 2, lambda *_: [])
    first = core.Finding("it adds", False, 1, "It is doubled.")
    report = core.Report(exercise, (first, core.Finding("one works", False, 1, hint, follows)))
    assert [word for word, *_ in report.rows] == ["fails", "not shown"]
    assert str(report).count("It is doubled.") == report._repr_html_().count("It is doubled.") == 1


@pytest.mark.parametrize(
    ("hint", "follows", "said"),
    [
        ("Largest difference: 0.5.", True, False),
        ("One of 3 calls that differ: Largest difference: 2e-05.", True, False),
        ("Largest difference: 0.5. Every number is too large.", True, True),
        ("Largest difference: 0.5.", False, True),
    ],
)
def test_what_is_not_shown_gets_no_bare_number(hint: str, follows: bool, said: bool) -> None:
    report = core.Report(EXERCISES["confusion"], (core.Finding("one works", False, 1, hint, follows),))
    assert (hint in str(report)) == said


def test_of_a_complaint_said_before_the_last_row_claims_nothing() -> None:
    seen = {evidence.STEADY: np.array("It draws.")}
    findings = [core.Finding("it adds", False, 3, "It draws."), core.Finding("one works", True, 1)]
    exercise = core.Exercise("9.9", "it", 2, lambda *_: findings)
    *_, (word, claim, _) = core.verdict(exercise, Observation("it", 0, seen)).rows
    assert (word, claim) == ("no further fault", "called again, beside what is said above")


def test_a_student_s_report_carries_no_evidence() -> None:
    assert EVIDENCE_MIME not in check("gaussian_kl", {})._repr_mimebundle_()


FUNCTIONS = (
    "gaussian_kl", "reparameterize", "monte_carlo_elbo", "importance_weighted_bound", "vae_loss",
    "estimate_log_likelihood", "kl_decomposition", "interpolate", "quantile_grid", "fixed_feature_map",
    "beta_loss", "posterior_means",
)  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_right_answer_in_double_precision_is_right(name: str) -> None:
    names = next(one for one in RIGHT if one.exercise == name).namespace()
    answer = names[name]

    def doubled(*args: Any, **named: Any) -> Any:
        value = answer(*args, **named)
        return value.double() if isinstance(value, Tensor) else tuple(part.double() for part in value)

    assert check(name, names | {name: doubled}).points == EXERCISES[name].points


def test_an_answer_that_holds_goes_on_in_the_lesson_and_otherwise_the_reference_does(capsys):
    def kl(mu, logvar):
        return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)

    assert solved("gaussian_kl", kl, None) is kl
    assert capsys.readouterr().out == ""
    assert solved("gaussian_kl", lambda mu, logvar: mu, kl) is kl
    assert "the lesson's own steps in" in capsys.readouterr().out


# --- what is said only where it is so -----------------------------------------------------------------


def test_mistakes_are_worked_out_only_for_an_answer_that_is_not_right(monkeypatch):
    answer = next(one for one in RIGHT if one.exercise == "vae_loss")
    monkeypatch.setattr(losses, "combined", lambda *_: pytest.fail("mistakes were worked out"))
    assert check("vae_loss", answer.namespace(), 31).points == 3


def test_noise_that_comes_again_with_each_batch_is_not_said_to_have_the_wrong_shape():
    eps = torch.randn(2, 6, 20, generator=torch.Generator().manual_seed(0)).repeat(1, 3, 1)
    said = noise.judged(eps, torch.zeros(18, 20), torch.zeros(18, 20))
    assert said == ("", "After 6 images the same noise comes again: is a seed set, or the noise kept?")


def test_a_batch_size_that_is_written_in_is_named():
    def vae_loss(x_logits: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r = nn.functional.binary_cross_entropy_with_logits(x_logits, x, reduction="sum") / 3
        k = (mu**2 + logvar.exp() - 1 - logvar).sum() / 6
        return r + k, r, k

    assert "It is divided by 3, whatever comes" in str(check("vae_loss", {"vae_loss": vae_loss}))


def test_a_mistake_that_fits_a_single_number_by_chance_is_not_named():
    table = looks.Table({"one": {"": 0.5, "named": 0.3}}, {"one": {}}, 1e-4)
    (near,), (exact,) = (
        table.judge({"one": np.array(seen)}, looks.Property("", 1, ["one"])) for seen in (0.3001, 0.3)
    )
    assert (near.hint != "named", exact.hint) == (True, "named")


def test_of_a_network_that_lacks_a_layer_the_sizes_asked_for_are_not_said_to_stand_there():
    full = next(one for one in RIGHT if one.exercise == "MyAutoencoder")
    lacks = replace(
        full, code=full.code.replace("nn.Linear(256, 128), nn.ReLU(), nn.Linear(128,", "nn.Linear(256,")
    )
    claim = "the layers are 784-256-128-latent_dim and back"
    assert claim in str(check("MyAutoencoder", full.namespace()))
    assert claim not in str(check("MyAutoencoder", lacks.namespace()))

"""The benchmark: every contestant trains the model it is given, and the figures are what was measured."""

import json
import math

import pytest
import torch
from torch import Tensor

from course_utils import data, objectives
from course_utils.data import Dataset
from course_utils.engine import fast
from course_utils.models import VAE
from course_utils.settings import CourseError
from courseware.measuring import contestants, loops
from courseware.measuring.contestants import EQUAL, OWN, How, Laps


@pytest.fixture(scope="module")
def small() -> Dataset:
    return data.load("digits", train=512, test=64)


def loss(model: VAE, images: Tensor) -> float:
    torch.manual_seed(0)
    with torch.no_grad():
        return objectives.negative_elbo(model, images).loss.item()


EVERY = EQUAL | {"recipe": OWN["fast"]}


@pytest.mark.parametrize(("name", "contestant"), EVERY.items(), ids=EVERY)
def test_every_contestant_trains_the_model_and_laps_every_epoch(name, contestant, small, monkeypatch):
    if name.startswith("pythae"):
        pytest.importorskip("pythae", reason="pythae is not installed: `make bench` installs it.")
    monkeypatch.setitem(contestants.RECIPES, "VAE", {"batch_size": [64, 128], "learning_rate": 1e-3})
    torch.manual_seed(0)
    model, laps = VAE(), Laps(small.test_images)
    before = loss(model, small.test_images)
    contestant(model, small, 2, laps, loops._how(name))
    assert loss(model, small.test_images) < 0.8 * before
    assert len(laps.seconds) == len(laps.negative_elbo) == 2
    assert 0 < laps.seconds[0] < laps.seconds[1]


def test_the_watch_stands_still_while_the_model_is_judged(small, monkeypatch):
    laps = Laps(small.test_images)
    readings = iter([1.0, 100.0, 101.0, 200.0])
    laps.running_since = 0.0
    monkeypatch.setattr(contestants.time, "perf_counter", lambda: next(readings))
    model = VAE()
    laps.lap(model)
    laps.lap(model)
    assert laps.seconds == [1.0, 2.0]


def test_the_data_set_of_the_textbook_loop_hands_out_the_same_pixels(small):
    image, label = contestants.pictures(small)[3]
    torch.testing.assert_close(image, small.train_images[3], rtol=0, atol=1 / 500)
    assert label == small.train_labels[3]


@pytest.mark.parametrize("name", ["textbook", "textbook, tuned", "plain"])
def test_seed_and_rate_are_the_training_s_own(name, small):
    def weights(**how: float) -> Tensor:
        torch.manual_seed(0)
        model = VAE()
        OWN[name](model, small, 1, Laps(None), loops._how(name)._replace(**how))
        return model.fc_mu.weight.detach().clone()

    assert torch.equal(weights(), weights())
    assert not torch.equal(weights(), weights(seed=1))
    assert not torch.equal(weights(), weights(rate=2e-3))


def test_the_tuned_ones_alone_have_workers_and_the_rate():
    tuned, plain = loops._how("textbook, tuned", 3, 0.004), loops._how("textbook", 3, 0.004)
    assert (tuned.seed, tuned.rate, tuned.workers > 0) == (3, 0.004, True)
    assert plain == How(3)


def test_a_rate_is_chosen_on_training_images_that_were_not_trained_with(small, monkeypatch):
    def look(model, dataset, epochs, laps, how):
        seen.append((dataset.train_images, laps.test_images))

    seen: list[tuple[Tensor, Tensor]] = []
    monkeypatch.setattr(contestants.data, "load", lambda *_, **__: small)
    monkeypatch.setitem(OWN, "plain", look)
    contestants.train("plain", "VAE", "digits", 1, How(), choosing=True)
    ((trained, judged),) = seen
    rows, held_out = small.validation_split()
    assert torch.equal(trained.cpu(), small.train_images[rows])
    assert torch.equal(judged.cpu(), small.train_images[held_out])


@pytest.mark.parametrize("part", ["", *contestants.LACKING])
def test_a_recipe_may_lack_a_part(part, small, monkeypatch):
    def fit(model, *_, **recipe):
        used.update(recipe, start=bool(started))

    used: dict = {}
    started: list = []
    monkeypatch.setattr(contestants.fast, "start", lambda *_: started.append(1))
    monkeypatch.setattr(contestants.fast, "fit", fit)
    OWN["fast"](VAE(), small, 0, Laps(None), How(lacking=part))
    whole = {**contestants.RECIPES["VAE"], "betas": (0.9, 0.99), "schedule": fast.early_peak, "start": True}
    wanted = whole | contestants.LACKING.get(part, {})
    assert {name: used[name] for name in wanted} == wanted


def test_every_network_has_a_recipe():
    assert set(contestants.RECIPES) == set(contestants.KINDS)


RECIPE = {"batch_size": [64, 128, 128], "learning_rate": 0.005}
FIGURES = {
    "here": {"machine": "a machine", "device": "cpu", "recipe": RECIPE},
    "date": "2026-11-24",
    "images": 1500,
    "rounds": [
        {
            "limits": {"float32": 1e9, "bfloat16": 1e9, "operations_per_image": 1e6},
            "textbook": {"seconds": [7.0, 7.0 + textbook], "memory": 0.5},
            "fast": {"seconds": [1.0, 1.0 + fast], "memory": fast / 4},
        }
        for textbook, fast in ((8.0, 2.0), (9.0, 3.0), (50.0, 10.0))
    ],
    "rates": {"0.001": 5.0, "0.002": 4.5, "0.004": 4.7},
    "parts": {"": [4.4, 4.6], "from the usual biases": [6.0]},
    "curves": {
        "textbook": {
            "0": {"seconds": [70.0, 80.0, 90.0], "negative_elbo": [9.0, 5.0, 3.9]},
            "1": {"seconds": [1.0, 2.0, 3.0], "negative_elbo": [9.0, 5.0, 4.3]},
            "2": {"seconds": [2.0, 4.0, 6.0], "negative_elbo": [9.0, 3.95, 3.8]},
        },
        "fast": {
            "0": {"seconds": [0.25, 0.5], "negative_elbo": [5.0, 3.9]},
            "1": {"seconds": [0.25, 0.75], "negative_elbo": [5.0, 3.9]},
            "2": {"seconds": [0.25, 1.0], "negative_elbo": [5.0, 3.9]},
        },
    },
}
FAST = {"seconds": [0.5], "negative_elbo": [3.0]}
SLOW = {"seconds": [1.0], "negative_elbo": [9.0]}


COMPARED = loops.comparison("VAE", "digits", FIGURES)


def compared(**curves: list[dict]) -> loops.Comparison:
    """What trainings with these curves come to, one list for each contestant."""
    by_seed = {name: dict(zip("012", several, strict=False)) for name, several in curves.items()}
    return loops.comparison("VAE", "digits", {**FIGURES, "curves": by_seed})


def test_ratios_are_medians_of_ratios_within_a_round():
    fast = COMPARED.loop("fast")
    assert (fast.speed_up, fast.seconds) == (4.0, 3.0)
    assert fast.share == pytest.approx(0.5)  # operations over what the machine could do


def test_the_target_is_where_the_textbook_loop_ends_on_average_over_seeds():
    assert COMPARED.target == pytest.approx(4.0)


@pytest.mark.parametrize(
    "said",
    [
        "on digits, medians over 3 seeds: the fast path reaches",
        # 27 s against 0.75 s; at equal settings an epoch is 4 times as fast.
        "36.0 times sooner than the textbook loop, 4.0 times by its code and 9.0 by its recipe.",
        " It takes 3 epochs, 48 steps where the others take 12 an epoch (batches of 64 for 1, 128 for 2; a",
        " it ends at 4.50 nats on them; 6.00 from the usual biases.",
        "0.005 and falls again).",
        "The tuned ones have a rate of 0.002.",  # the best on validation images
        "the products alone would take 1.50 s per epoch.",  # the share of the limit in seconds
    ],
)
def test_the_sentence_says_what_was_found(said):
    assert said in COMPARED.sentence()


@pytest.mark.parametrize(("target", "seconds"), [(6.0, 2.0), (5.0, 2.0), (3.8, math.inf)])
def test_a_target_is_reached_at_the_end_of_the_first_epoch_below_it(target, seconds):
    assert loops.seconds_to(FIGURES["curves"]["textbook"]["1"], target) == seconds


def test_an_epoch_at_equal_settings_takes_what_the_rounds_say_and_one_of_the_recipe_its_own_time():
    timed = {name: [curve["seconds"] for curve in curves] for name, curves in loops.clocked(FIGURES).items()}
    assert timed["textbook"] == [[9.0, 18.0, 27.0]] * 3
    assert timed["fast"] == [[0.25, 0.5], [0.25, 0.75], [0.25, 1.0]]


def test_times_are_those_of_all_trainings_also_of_those_that_never_reach_the_target():
    textbook = COMPARED.loop("textbook")
    assert textbook.reached == [27.0, math.inf, 18.0]
    assert textbook.cells()[5:7] == ("2 of 3", "27 (18 to never)")


def test_a_target_that_most_trainings_never_reach_is_not_reached():
    one = compared(textbook=[FAST], fast=[SLOW, SLOW, FAST])
    assert one.loop("fast").cells()[5:7] == ("1 of 3", "never (0.5 to never)")
    assert "the fast path does not reach 3.00 nats." in one.sentence()


def test_where_only_the_fast_path_gets_there_it_is_said_when():
    ends = [SLOW | {"negative_elbo": [nats]} for nats in (3.0, 7.0, 8.0)]
    one = compared(textbook=ends, fast=[FAST])
    assert "reaches 6.00 nats after 0.5 s, the textbook loop never." in one.sentence()


def test_figures_of_other_networks_and_devices_stay_stored(tmp_path):
    on_gpu = {**FIGURES, "here": FIGURES["here"] | {"device": "cuda"}}
    measured = ("VAE", FIGURES), ("VAE", on_gpu), ("ConvVAE", FIGURES)
    found = [loops.comparison(kind, "digits", figures) for kind, figures in measured]
    document = tmp_path / "docs" / "measurements.md"
    document.parent.mkdir()
    places = [*(one.place for one in found), "bench in short"]
    document.write_text("".join(f"<!-- {place} --><!-- /{place} -->" for place in places))
    for one in found:
        loops.store(tmp_path, one)
    anew = loops.comparison("VAE", "digits", {**FIGURES, "date": "2026-11-25"})
    loops.store(tmp_path, anew)
    assert loops.FIGURES.stored(tmp_path) == [anew, *found[1:]]


def test_the_table_has_a_row_per_loop():
    lines = COMPARED.markdown().splitlines()
    assert lines[2] == "| textbook | 9.00 | 1.0 | 17% | 4.00 ± 0.26 | 2 of 3 | 27 (18 to never) | 0.50 |"
    assert lines[3] == "| fast | 3.00 | 4.0 | 50% | 3.90 ± 0.00 | 3 of 3 | 0.8 (0.5 to 1.0) | 2.50 |"


def test_of_one_training_there_is_no_spread():
    assert compared(textbook=[FAST], fast=[FAST]).loop("fast").cells()[4:7] == ("3.00", "1 of 1", "0.5")


def test_the_chart_has_a_thin_line_per_seed_and_a_thick_one_for_their_median():
    (axes,) = loops.chart("VAE", FIGURES).axes
    thin = [line.get_xydata().tolist() for line in axes.lines if line.get_linewidth() < 1]
    assert len(thin) == 6
    assert [[9.0, 9.0], [18.0, 3.95], [27.0, 3.8]] in thin
    thick = [line.get_xydata().tolist() for line in axes.lines if line.get_linewidth() > 1]
    assert [[9.0, 9.0], [18.0, 5.0], [27.0, 3.9]] in thick


def test_an_unknown_network_is_refused(tmp_path):
    with pytest.raises(CourseError, match="There is no network 'GAN'; choose one of: VAE, ConvVAE"):
        loops.measure("GAN", "digits", 1, tmp_path, print)


@pytest.mark.slow
def test_the_operations_of_a_step_are_three_times_those_of_its_products():
    """Forward once, backward twice, but for the first layer, whose input needs no gradient."""
    products = 2 * (784 * 512 + 512 * 256 + 2 * 256 * 20 + 20 * 256 + 256 * 512 + 512 * 784)
    assert loops._limits("VAE")["operations_per_image"] == 3 * products - 2 * 784 * 512


NAMES = ("textbook", "textbook, tuned", "plain", "fast")


class Later:
    """Work that is done when its result is asked for."""

    def __init__(self, function, *given, **named) -> None:
        self.result = lambda: function(*given, **named)


class Faked:
    """Trainings in name, in this process, which stop at one of them; every call is noted."""

    def __init__(self, stop: int = -1) -> None:
        self.calls: list[tuple] = []
        self.stop = stop

    def __call__(self, name, kind, data_name, epochs, how, *, judge=True, choosing=False):
        if len(self.calls) == self.stop:
            raise KeyboardInterrupt
        chosen_by = ("part", how.lacking) if name == "fast" else ("rate", how.rate)
        self.calls.append(chosen_by if choosing else (name, judge and how.seed, how.rate))
        return {"seconds": [1.0, 3.0], "negative_elbo": [9.0, abs(how.rate - 2e-3)], "memory": 1.0}

    def submit(self, *work, **how):
        return Later(*work, **how)

    def shutdown(self, cancel_futures):
        pass


@pytest.fixture
def faked(monkeypatch):
    def trainings(stop: int = -1) -> list[tuple]:
        one = Faked(stop)
        monkeypatch.setattr(loops, "ProcessPoolExecutor", lambda *_: one)
        monkeypatch.setattr(loops, "as_completed", list)
        monkeypatch.setattr(contestants, "train", one)
        return one.calls

    limits = FIGURES["rounds"][0]["limits"]
    monkeypatch.setattr(loops, "_limits", lambda kind: limits)
    monkeypatch.setattr(loops, "ROUNDS", 1)
    monkeypatch.setattr(loops, "PARTS", 1)
    monkeypatch.setattr(loops, "LACKING", ["without Muon"])
    monkeypatch.setattr(loops, "EQUAL", dict.fromkeys(NAMES))
    return trainings


def test_all_are_timed_then_a_rate_is_chosen_then_each_is_trained_in_turn(faked, tmp_path):
    calls = faked()
    loops.measure("VAE", "digits", 2, tmp_path, print)
    timed, rates, parts, trained = calls[:4], calls[4:8], calls[8:10], calls[10:]
    rate_of = dict.fromkeys(NAMES, 1e-3) | {"textbook, tuned": 2e-3}
    assert timed == [(name, False, 1e-3) for name in NAMES]
    assert rates == [("rate", rate) for rate in contestants.RATES]
    assert parts == [("part", ""), ("part", "without Muon")]
    every = [
        *(("fast", seed) for seed in range(4)),
        *((name, seed) for seed in (0, 1) for name in NAMES[:-1]),
    ]
    assert trained == [(name, seed, rate_of[name]) for name, seed in every]  # what is timed comes first


def test_where_the_usual_rate_is_the_best_a_tuned_loop_trains_as_the_untuned_one(
    faked, tmp_path, monkeypatch
):
    monkeypatch.setattr(loops, "RATES", (1e-3,))
    calls = faked()
    figures = loops.measure("VAE", "digits", 2, tmp_path, print)
    assert [call[:2] for call in calls if call[0] == "textbook, tuned"] == [
        ("textbook, tuned", False)
    ]  # timed
    every = loops.clocked(figures)
    assert list(every) == list(NAMES)
    nats = [[curve["negative_elbo"] for curve in every[name]] for name in NAMES[:2]]
    assert nats[0] == nats[1]


@pytest.mark.parametrize(("stop", "kept"), [(2, 0), (6, 6), (9, 9), (12, 12), (16, 16)], ids=str)
def test_an_interrupted_run_goes_on_where_it_stopped(stop, kept, faked, tmp_path):
    """After the training before; a round is timed as a whole."""
    whole = faked()
    figures = loops.measure("VAE", "digits", 2, tmp_path / "whole", print)
    before = faked(stop)
    with pytest.raises(KeyboardInterrupt):
        loops.measure("VAE", "digits", 2, tmp_path, print)
    after = faked()
    assert loops.measure("VAE", "digits", 2, tmp_path, print) == figures
    assert before[:kept] + after == whole
    assert json.loads((tmp_path / "VAE-digits.json").read_text()) == figures


@pytest.mark.slow
def test_a_run_trains_every_loop_in_a_process_of_its_own(tiny_mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(loops, "ROUNDS", 1)
    monkeypatch.setattr(
        loops, "_parts", lambda kind: []
    )  # its batches are larger than what is held out leaves
    monkeypatch.setattr(loops, "EPOCHS", 2)
    monkeypatch.setattr(loops, "EQUAL", {name: EQUAL[name] for name in NAMES})
    monkeypatch.setattr(loops, "RATES", (2e-3,))
    figures = loops.measure("VAE", "mnist", 1, tmp_path, lambda line: None)
    assert 0 < figures["curves"]["textbook, tuned"]["0"]["negative_elbo"][-1] < 784
    assert figures["rounds"][0]["fast"]["memory"] > 0.1
    assert loops.chart("VAE", figures).alt.endswith("one line each: textbook, textbook, tuned, plain, fast.")


# --- what the machine can do --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "chosen"), [(1.05, torch.float32), (0.6, torch.float32), (2.0, torch.bfloat16)]
)
def test_bfloat16_is_chosen_where_products_gain_clearly(gain, chosen, monkeypatch):
    rates = {torch.float32: 1e11, torch.bfloat16: gain * 1e11}
    monkeypatch.setattr(contestants, "product_rate", lambda device, precision: rates[precision])
    assert contestants.best_precision(torch.device("cpu")) == chosen


def test_the_rate_of_products_is_a_processor_s():
    assert 1e8 < contestants.product_rate(torch.device("cpu"), torch.float32, (64, 64, 64)) < 1e14

"""The benchmark: every contestant trains the model it is given, and the figures are what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from course_utils import data, objectives
from course_utils.data import Dataset
from course_utils.models import VAE
from course_utils.settings import CourseError
from courseware.measuring import contestants, literature, loops
from courseware.measuring.contestants import EQUAL, OWN, Laps


@pytest.fixture(scope="module")
def small() -> Dataset:
    return data.load("digits", train=512, test=64)


def loss(model: VAE, images: Tensor) -> float:
    torch.manual_seed(0)
    with torch.no_grad():
        return objectives.negative_elbo(model, images).loss.item()


@pytest.mark.parametrize(
    ("name", "contestant"), [*EQUAL.items(), ("recipe", OWN["fast"])], ids=[*EQUAL, "recipe"]
)
def test_every_contestant_trains_the_model_and_laps_every_epoch(name, contestant, small, monkeypatch):
    if name == "pythae":
        pytest.importorskip("pythae", reason="pythae is not installed: `make bench` installs it.")
    monkeypatch.setitem(contestants.RECIPES, "VAE", {"batch_size": [64, 128], "learning_rate": 1e-3})
    torch.manual_seed(0)
    model, laps = VAE(), Laps(small.test_images)
    before = loss(model, small.test_images)
    contestant(model, small, 2, laps)
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


def test_every_network_has_a_recipe():
    assert set(contestants.RECIPES) == set(contestants.KINDS)


FIGURES = {
    "here": {
        "machine": "a machine",
        "device": "cpu",
        "recipe": {"batch_size": [64, 128, 128], "learning_rate": 0.005},
    },
    "date": "2026-11-24",
    "images": 1500,
    "rounds": [
        {
            "limits": {"float32": 1e9, "bfloat16": 1e9, "operations_per_image": 1e6},
            "textbook": {"seconds": [7.0, 7.0 + textbook]},
            "fast": {"seconds": [1.0, 1.0 + fast]},
        }
        for textbook, fast in ((8.0, 2.0), (9.0, 3.0), (50.0, 10.0))
    ],
    "curves": {
        "textbook": {"seconds": [1.0, 2.0, 3.0], "negative_elbo": [9.0, 5.0, 4.0], "memory": 0.5},
        "fast": {"seconds": [0.25, 0.5], "negative_elbo": [5.0, 3.9], "memory": 0.25},
    },
}


def test_ratios_are_medians_of_ratios_within_a_round():
    fast = loops.comparison("VAE", "digits", FIGURES).loop("fast")
    assert (fast.speed_up, fast.seconds) == (4.0, 3.0)


def test_the_share_of_the_limit_is_operations_over_what_the_machine_could_do():
    assert loops.comparison("VAE", "digits", FIGURES).loop("fast").share == pytest.approx(0.5)


def test_the_target_is_where_the_textbook_loop_ends():
    assert loops.target("VAE", "digits", FIGURES) == 4.0


def test_on_mnist_the_target_is_the_mean_of_the_reference_run():
    (run,) = (
        one
        for one in literature.FIGURES.stored(Path(__file__).parents[2])
        if one.title == "784-512-256-20, 20 epochs"
    )
    assert loops.target("VAE", "mnist", FIGURES) == pytest.approx(run.mean, abs=0.005)


@pytest.mark.parametrize(("target", "seconds"), [(6.0, 2.0), (5.0, 2.0), (3.9, None)])
def test_a_target_is_reached_at_the_end_of_the_first_epoch_below_it(target, seconds):
    assert loops.seconds_to(FIGURES["curves"]["textbook"], target) == seconds


def test_how_much_sooner_the_fast_path_is_compares_the_times_to_the_target():
    assert loops.comparison("VAE", "digits", FIGURES).sooner == 6.0


def test_a_target_never_reached_is_not_called_sooner():
    slow = {**FIGURES, "curves": {**FIGURES["curves"], "fast": FIGURES["curves"]["textbook"]}}
    slow["curves"]["fast"] = {"seconds": [1.0], "negative_elbo": [9.0], "memory": 0.5}
    one = loops.comparison("VAE", "digits", slow)
    assert one.sooner is None
    assert one.loop("fast").cells()[5] == "not reached"
    assert "does not reach 4.00 nats" in one.sentence()


def test_where_only_the_fast_path_gets_there_it_is_said_when():
    slow = {"seconds": [1.0], "negative_elbo": [200.0], "memory": 0.5}
    quick = {"seconds": [0.5], "negative_elbo": [100.0], "memory": 0.5}
    one = loops.comparison("VAE", "mnist", {**FIGURES, "curves": {"textbook": slow, "fast": quick}})
    assert "reaches 100.50 nats after 0.5 s, the textbook loop never" in one.sentence()


def test_figures_of_other_networks_and_devices_stay_stored(tmp_path):
    on_gpu = {**FIGURES, "here": FIGURES["here"] | {"device": "cuda"}}
    found = [
        loops.comparison(kind, "digits", figures)
        for kind, figures in (("VAE", FIGURES), ("VAE", on_gpu), ("ConvVAE", FIGURES))
    ]
    document = tmp_path / "docs" / "measurements.md"
    document.parent.mkdir()
    document.write_text("".join(f"<!-- {one.place} --><!-- /{one.place} -->" for one in found))
    for one in found:
        loops.store(tmp_path, one)
    anew = loops.comparison("VAE", "digits", {**FIGURES, "date": "2026-11-25"})
    loops.store(tmp_path, anew)
    assert loops.FIGURES.stored(tmp_path) == [anew, *found[1:]]


def test_the_sentence_says_the_recipe_of_the_fast_path():
    sentence = loops.comparison("VAE", "digits", FIGURES).sentence()
    assert (
        "6.0 times sooner than the textbook loop; it takes 3 epochs (batches of 64 for 1, 128 for 2; a"
        in sentence
    )


def test_the_table_has_a_row_per_loop():
    lines = loops.comparison("VAE", "digits", FIGURES).markdown().splitlines()
    assert lines[2] == "| textbook | 9.00 | 1.0 | 17% | 4.00 | 3 | 0.50 |"
    assert lines[3] == "| fast | 3.00 | 4.0 | 50% | 3.90 | 0 | 0.25 |"


def test_an_unknown_network_is_refused(tmp_path):
    with pytest.raises(CourseError, match="There is no network 'GAN'; choose one of: VAE, ConvVAE"):
        loops.measure("GAN", "digits", tmp_path, print)


@pytest.mark.slow
def test_the_operations_of_a_step_are_three_times_those_of_its_products():
    """Forward once, backward twice, but for the first layer, whose input needs no gradient."""
    products = 2 * (784 * 512 + 512 * 256 + 2 * 256 * 20 + 20 * 256 + 256 * 512 + 512 * 784)
    assert loops._limits("VAE")["operations_per_image"] == 3 * products - 2 * 784 * 512


def test_the_floor_is_the_share_of_the_limit_in_seconds():
    sentence = loops.comparison("VAE", "digits", FIGURES).sentence()
    assert "the products alone would take 1.50 s per epoch." in sentence


@pytest.mark.slow
def test_a_run_is_kept_and_not_repeated(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(loops, "ROUNDS", 1)
    monkeypatch.setattr(loops, "EPOCHS", 1)
    monkeypatch.setattr(loops, "EQUAL", {name: EQUAL[name] for name in ("textbook", "fast")})
    first = loops.measure("VAE", "digits", tmp_path, lambda line: None)
    assert json.loads((tmp_path / "VAE-digits.json").read_text()) == first
    assert first["curves"]["textbook"]["negative_elbo"][0] < 250
    assert first["curves"]["fast"]["memory"] > 0.1

    said: list[str] = []
    assert loops.measure("VAE", "digits", tmp_path, said.append) == first
    assert not [line for line in said if "round" in line]
    assert loops.chart("VAE", "digits", first).alt.endswith("one line each: textbook, fast.")


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

"""Published figures: the networks are theirs, results are kept one by one, rows say what holds."""

import json
import math
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from tiers import quick
from torch import Tensor, nn

from course_utils import data, models, objectives, settings
from course_utils.data import Dataset
from course_utils.evaluation import Estimate
from course_utils.settings import CourseError
from courseware.measuring import literature
from courseware.measuring.literature import Experiment, Figure, Mlp, Reproduction


@pytest.fixture(scope="module")
def small() -> Dataset:
    return data.load("digits", train=256, test=64)


@pytest.fixture
def in_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, so that trainings are kept there."""
    (tmp_path / "nbgrader_config.py").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- the networks ---------------------------------------------------------------------------------------


def shapes(module: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in module.parameters() if parameter.ndim == 2]


def test_the_network_of_the_examples_is_784_400_20_and_back():
    assert shapes(Mlp((400,), 20, nn.ReLU)) == [(400, 784), (20, 400), (20, 400), (400, 20), (784, 400)]


def test_burda_s_network_is_784_200_200_50_and_back_with_tanh():
    network = Mlp((200, 200), 50, nn.Tanh)
    assert shapes(network) == [
        (200, 784), (200, 200), (50, 200), (50, 200), (200, 50), (200, 200), (784, 200),
    ]  # fmt: skip
    assert sum(isinstance(layer, nn.Tanh) for layer in network.modules()) == 4


def test_with_the_course_s_sizes_the_network_is_the_course_s():
    ours, theirs = models.VAE(20), Mlp((512, 256), 20, nn.ReLU)
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(5, 1, 28, 28)
    assert torch.equal(theirs.decode(theirs.encode(x)[0]), ours(x))


# --- the trainings --------------------------------------------------------------------------------------


def test_dynamic_binarisation_draws_each_pixel_with_its_grey_value_as_probability(monkeypatch):
    seen: list[Tensor] = []
    monkeypatch.setattr(objectives, "doubly_reparameterized", lambda model, x, samples: seen.append(x))
    grey = torch.linspace(0, 1, 11).view(-1, 1, 1, 1).expand(11, 1, 100, 100)
    for _ in range(2):
        literature.dynamic(None, grey, samples=1)
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(*seen)
    means, p = seen[0].mean((1, 2, 3)), grey[:, 0, 0, 0]
    assert ((means - p).abs() <= 6 * (p * (1 - p) / 10_000).sqrt()).all()


def test_burda_s_schedule_lasts_3_to_the_i_epochs_at_each_of_eight_rates():
    rates = [literature.burda_schedule((epoch + 0.5) / 3280) for epoch in range(3280)]
    expected = [10 ** (-i / 7) for i in range(8) for _ in range(3**i)]
    assert rates == pytest.approx(expected)


def test_one_training_gives_the_figures_after_each_epoch_asked_for(small, in_project):
    network = partial(models.VAE, 2)
    two = literature.after(small, 0, epochs=(1, 3), network=network)
    losses = literature.grey(small, 0, network=network, epochs=3)["loss"]
    assert two == [losses[0], losses[2]]


def test_the_figures_on_few_images_are_those_of_two_batch_sizes(small, in_project, monkeypatch):
    fits = literature.cache.fit
    monkeypatch.setattr(literature.cache, "fit", lambda *a, **k: fits(*a, **{**k, "epochs": 1}))
    network = partial(models.VAE, 2)
    loss, reconstruction, kl, large = literature.on_few_images(small, 0, network=network)
    assert loss == pytest.approx(reconstruction + kl, rel=1e-5)
    of = {size: literature.grey(small, 0, network=network, epochs=1, batch_size=size) for size in (64, 128)}
    assert (loss, large) == (of[64]["loss"][0], of[128]["loss"][0])


@pytest.mark.parametrize("samples", quick({"1": 1, "5": 5}, 1))
def test_a_training_on_binarised_pixels_learns(samples, small, in_project, monkeypatch):
    """A pixel of an untrained decoder costs log 2, 543 nats an image."""
    monkeypatch.setattr(literature, "SAMPLES", 20)
    (nats,) = literature.importance_weighted(small, 0, 5e-3, samples=samples, epochs=8)
    assert 50 < nats < 0.6 * 784 * math.log(2)


@pytest.mark.parametrize(("epochs", "sizes"), [(3, [128] * 3), (8, [128] * 6 + [512] * 2), (3280, 20)])
def test_batches_grow_in_the_last_quarter_and_burda_s_stay(epochs, sizes, monkeypatch):
    given: dict = {}
    monkeypatch.setattr(literature.cache, "fit", lambda *_, **how: given.update(how))
    monkeypatch.setattr(literature.evaluation, "log_likelihood", lambda *_, samples: Estimate(0.0, 0.0, 1))
    literature.importance_weighted(data.load("digits", train=600, test=2), 0, samples=1, epochs=epochs)
    assert (given["batch_size"], given["learning_rate"]) == (sizes, 1e-3)


def test_images_for_choices_are_training_images_that_are_not_trained_with(small):
    part = literature.for_choices(small, 0.25)
    rows, held_out = small.validation_split(0.25)
    assert torch.equal(part.train_images, small.train_images[rows])
    assert torch.equal(part.test_images, small.train_images[held_out])
    assert torch.equal(part.test_labels, small.train_labels[held_out])


def test_published_are_the_figures_of_a_paper_and_no_others():
    planned = [figure for experiment in literature.experiments() for figure in experiment.figures]
    assert [one.published for one in planned if one.source] == [86.76, 85.54, 84.78]
    assert {one.published for one in planned if not one.source} == {None}


# --- the run --------------------------------------------------------------------------------------------


def counting(calls: list[tuple[str, int]], fails_at: int = -1) -> list[Experiment]:
    def train(name: str, dataset: Dataset | None, seed: int) -> list[float]:
        if len(calls) == fails_at:
            raise KeyboardInterrupt
        calls.append((name, seed))
        return [100.0 + seed, 10.0]

    figures = (Figure("whole"), Figure("part", 20.0, "them", "It is a test."))
    return [Experiment(name, figures, partial(train, name)) for name in ("a", "b")]


def test_a_run_that_was_interrupted_goes_on_where_it_stopped(tmp_path):
    file, calls, again, said = tmp_path / "kept.json", [], [], []
    with pytest.raises(KeyboardInterrupt):
        literature.run(None, counting(calls, fails_at=3), 2, file, print)
    found = literature.run(None, counting(again), 2, file, said.append)
    assert (calls, again) == ([("a", 0), ("a", 1), ("b", 0)], [("b", 1)])
    assert said[1] == "a, seed 1: 101.00, 10.00"
    assert [one.found for one in found] == [[100.0, 101.0], [10.0, 10.0]] * 2


def choosing(calls: list[tuple], rates: tuple[float, ...] = (0.1, 0.3, 0.2)) -> Experiment:
    """An experiment whose best rate is the last but one."""

    def train(dataset: Dataset, seed: int, rate: float, judged: int = 0) -> list[float]:
        calls.append((len(dataset.test_images), seed, rate, judged))
        return [abs(rate - 0.3)]

    return Experiment("c", (Figure("whole", 20.0, "them", "It is a test."),), train, rates)


def test_a_rate_is_chosen_on_validation_images_and_kept(small, tmp_path):
    file, calls, again = tmp_path / "kept.json", [], []
    (found,) = literature.run(small, [choosing(calls)], 2, file, print)
    _, held_out = small.validation_split(0.05)
    chosen_on = [(len(held_out), 0, rate, literature.FEWER) for rate in (0.1, 0.3, 0.2)]
    assert calls == [*chosen_on, (64, 0, 0.3, 0), (64, 1, 0.3, 0)]
    said = "whole: 20.00 nats below the published figure. It is a test. Learning rate: 0.3."
    assert literature.notes([found]) == [said]
    literature.run(small, [choosing(again)], 3, file, print)
    assert again == [(64, 2, 0.3, 0)]


@pytest.fixture(
    params=[signal.default_int_handler, signal.SIG_IGN], ids=["at a terminal", "in the background"]
)
def started(request) -> Iterator[None]:
    """However this process was started, which says what it makes of the stop button."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


def test_after_the_minutes_what_was_not_run_is_said(started, tmp_path):
    def slow(dataset: None, seed: int) -> list[float]:
        while seed == 2:
            time.sleep(0.01)
        return [100.0 + seed]

    said: list[str] = []
    planned = [Experiment(name, (Figure(name),), slow) for name in ("a", "b")]
    (found,) = literature.run(None, planned, 4, tmp_path / "kept.json", said.append, minutes=0.02)
    assert (found.title, found.found) == ("a", [100.0, 101.0])
    left = ("a, seed 2, 3.", "b, seed 0, 1, 2, 3.")
    assert said[-2:] == [f"NOT RUN in 0.02 minutes: {what}" for what in left]


@pytest.mark.parametrize("content", ['{"torch": "0.1", "device": "cpu", "results": {"a": {}}}', "{", "[]"])
def test_results_of_another_pytorch_or_a_damaged_file_are_not_taken(content, tmp_path):
    file, calls = tmp_path / "kept.json", []
    file.write_text(content)
    literature.run(None, counting(calls), 2, file, print)
    assert len(calls) == 4


def test_a_result_with_fewer_figures_than_are_asked_for_is_not_taken(tmp_path):
    file, calls = tmp_path / "kept.json", []
    results, device = {"a": {"0": [100.0], "1": [101.0, 10.0]}}, settings.device_name()
    here = {"torch": torch.__version__, "device": device, "candidates": literature.RATES}
    file.write_text(json.dumps(here | {"results": results}))
    literature.run(None, counting(calls), 2, file, print)
    assert calls == [("a", 0), ("b", 0), ("b", 1)]


# --- what it comes to -----------------------------------------------------------------------------------


def ours(published: float | None, *found: float, title: str = "whole") -> Reproduction:
    """Of 100, 101 and 102 nats, or these."""
    figure = title, published, "us", "It is a test."
    return Reproduction(*figure, experiment="both", found=[*found] or [100.0, 101.0, 102.0], device="cpu")


@pytest.mark.parametrize(
    ("published", "cells"),
    [
        (101.5, ("whole", "101.50", "101.00 ± 1.00", "-0.50", "cpu", "us")),
        (None, ("whole", "101.00 ± 1.00", "0 to 2", "cpu", "'both'")),  # its seeds and command
    ],
    ids=["published", "a reference run"],
)
def test_a_row_has_the_mean_and_the_standard_deviation_over_seeds(published, cells):
    ((_, row),) = literature.tables([ours(published)]).values()
    assert row == cells


@pytest.mark.parametrize(
    ("published", "beyond"),
    [(104.0, ""), (98.1, ""), (104.1, "3.10 nats below"), (97.9, "3.10 nats above")],
)
def test_what_is_beyond_three_spreads_is_said_with_its_reason(published, beyond):
    said = [f"whole: {beyond} the published figure. It is a test."] * bool(beyond)
    assert literature.notes([ours(published), ours(101.0)]) == said


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A project whose docs/measurements.md has the place of these figures."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "measurements.md").write_text("<!-- reproduced --><!-- /reproduced -->")
    return tmp_path


def test_figures_of_other_experiments_stay_stored_and_in_order(document):
    titles = [figure.title for e in literature.experiments() for figure in e.figures]
    found = [ours(100.0, 99.0, 101.0, title=title) for title in ["of 100 epochs", *titles]]
    literature.store(document, found[:-1])
    anew = ours(100.0, 98.0, 99.0, title=titles[2])
    literature.store(document, [anew, found[-1]])
    assert literature.FIGURES.stored(document) == [*found[1:3], anew, *found[4:], found[0]]


def test_section_3_shows_what_the_documents_quote(document):
    literature.store(document, [ours(90.0)])
    files = (document / "docs" / name for name in ("measurements.md", "reproduced.md"))
    quoted, shown = (file.read_text("utf-8") for file in files)
    assert quoted == f"<!-- reproduced -->\n{shown}<!-- /reproduced -->"
    assert "whole: 11.00 nats above the published figure. It is a test." in shown


def test_one_experiment_can_be_asked_for_by_its_name():
    (one,) = literature.experiments(names=("IWAE-5, 10 epochs",))
    assert [figure.published for figure in one.figures] == [85.54]


def test_an_unknown_experiment_is_refused_with_the_known_ones():
    with pytest.raises(CourseError, match="There is no experiment 'GAN'; choose one of: 784-400-20, "):
        literature.experiments(names=("GAN",))

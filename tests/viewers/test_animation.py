"""The animation without a browser: what it records, what its page holds, and what it refuses."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from pages import content_of, loads_nothing
from torch import Tensor

from course_utils import evaluation, objectives, training
from course_utils.models import VAE
from course_utils.settings import CourseError
from course_utils.training import History
from course_utils.viewers import animation
from course_utils.viewers.animation import Film

NAMES = [str(digit) for digit in range(10)]
EPOCHS, COUNT, SAMPLES = 3, 40, 5
LABELS = torch.arange(COUNT) % 3


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(COUNT, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def trained(images: Tensor) -> tuple[VAE, History, dict[str, Any]]:
    """A model, the record of its training and the snapshot before it."""
    torch.manual_seed(0)
    model, z = VAE(2), torch.randn(SAMPLES, 2)
    before = animation.snapshot(model, images, z)
    history = training.fit(
        model,
        images,
        objectives.negative_elbo,
        epochs=EPOCHS,
        batch_size=10,
        test_images=images[:10],
        watch=lambda model: animation.snapshot(model, images, z),
    )
    return model, history, before


@pytest.fixture(scope="module")
def film(trained: tuple[VAE, History, dict[str, Any]]) -> Film:
    return Film(trained[1], LABELS, NAMES, before=trained[2])


def test_a_snapshot_is_made_of_lists_that_json_keeps(trained):
    seen = trained[2]
    assert json.loads(json.dumps(seen)) == seen


def test_the_last_snapshot_is_of_the_trained_model(trained, film, images):
    codes = evaluation.codes(trained[0], images).numpy()
    assert np.abs(film.means[-1] - codes).max() <= animation.STEP / 2 + 1e-6


def test_with_the_untrained_model_a_film_begins_at_epoch_0(trained, film):
    assert film.epochs == [0, 1, 2, 3] and len(film.means) == len(film.samples) == 4
    assert Film(trained[1], LABELS, NAMES).epochs == [1, 2, 3]


def test_a_page_s_moves_add_up_to_the_codes_and_its_samples_are_those_recorded(film):
    _, arrays = content_of(film.page())
    places = arrays["moves"].reshape(4, COUNT, 2).cumsum(0) * animation.STEP
    np.testing.assert_allclose(places, film.means, atol=1e-9)
    samples = arrays["samples"].reshape(4, SAMPLES, 784) / animation.GREYS
    assert np.abs(samples - film.samples).max() <= 0.5 / animation.GREYS + 1e-9


def test_a_page_says_what_each_epoch_s_losses_are(trained, film):
    said, history = content_of(film.page())[0]["said"], trained[1]
    assert said[0] == "before training"
    assert said[3].startswith(f"test images: loss {history.test['loss'][2]:.1f}, reconstruction ")
    untested = History(history.train, {}, history.seconds, history.watched)
    said = content_of(Film(untested, LABELS, NAMES).page())[0]["said"]
    assert said[0].startswith("training images: loss ")


def test_a_page_loads_nothing(film):
    assert loads_nothing(film.page())


def test_the_same_training_gives_the_same_output(film):
    assert film._repr_mimebundle_() == film._repr_mimebundle_()


def test_thirty_epochs_of_2000_codes_stay_below_600_kb():
    """Codes and samples of pure noise, which packs worse than anything a model does."""
    rng = np.random.default_rng(0)
    means = rng.normal(0, 100, (31, 2000, 2)).astype(int)
    samples = np.where(rng.random((31, 25, 784)) < 0.25, rng.integers(0, 256, (31, 25, 784)), 0)
    watched = {"means": means[1:].tolist(), "samples": samples[1:].tolist()}
    history = History({"loss": [1.0] * 30}, {}, [1.0] * 30, watched)
    before = {"means": means[0].tolist(), "samples": samples[0].tolist()}
    film = Film(history, torch.arange(2000) % 10, NAMES, before=before)
    assert len(film._repr_mimebundle_()["text/html"]) < 600_000


@pytest.mark.parametrize(("count", "epochs"), [(6, "0, 1, 2, 3"), (3, "0, 1, 3"), (2, "0, 3")])
def test_stills_are_of_the_first_and_the_last_epoch_and_some_between(count, epochs, film):
    assert f"epochs {epochs}: maps of 40 codes" in film.stills(count).alt


def test_a_training_of_one_epoch_has_stills(trained):
    short = {name: values[:1] for name, values in trained[1].watched.items()}
    history = History({"loss": [1.0]}, {}, [1.0], short)
    assert "epochs 1: maps" in Film(history, LABELS, NAMES).stills().alt


def test_a_training_without_snapshots_is_refused():
    with pytest.raises(CourseError, match="This training has no snapshots"):
        Film(History({"loss": [1.0]}, {}, [1.0]), LABELS, NAMES)


@pytest.mark.parametrize(("dimensions", "count"), [(3, COUNT), (2, COUNT + 1)])
def test_what_is_no_labelled_plane_is_refused(dimensions, count):
    watched = {"means": np.zeros((1, COUNT, dimensions)).tolist(), "samples": np.zeros((1, 1, 784)).tolist()}
    with pytest.raises(CourseError, match="a plane and one label per image"):
        Film(History({"loss": [1.0]}, {}, [1.0], watched), torch.zeros(count), NAMES)

"""The latent explorer without a browser: what a page holds, and that it computes what PyTorch computes."""

import json
import re
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from IPython.display import display
from IPython.testing.globalipapp import start_ipython
from IPython.utils.capture import capture_output
from pages import content_of, loads_nothing

from course_utils import data, evaluation, models, objectives
from course_utils.data import Dataset
from course_utils.engine import fast
from course_utils.settings import CourseError
from course_utils.viewers import explorer

WORST = 0.5  # largest difference of a pixel between 0 and 1


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return data.load("digits")


@pytest.fixture(scope="module", params=[2, 20])
def model(request: pytest.FixtureRequest, digits: Dataset) -> models.VAE:
    """A VAE that has learned enough to draw different digits."""
    torch.manual_seed(0)
    vae = models.VAE(request.param)
    fast.fit(vae, digits.train_images[:3000], objectives.negative_elbo, epochs=4)
    return vae.eval()


def layers(arrays: dict[str, np.ndarray], names: list[str], x: np.ndarray) -> np.ndarray:
    """Linear layers with a ReLU between them, from whole numbers and their rows' scales."""
    for i, name in enumerate(names):
        scale, bias = arrays[f"{name}.scale"], arrays[f"{name}.bias"]
        weight = arrays[f"{name}.weight"].reshape(len(bias), -1) * scale[:, None]
        x = (np.maximum(x, 0) if i else x) @ weight.T + bias
    return x


def test_a_page_is_one_small_file_that_loads_nothing(model, digits):
    page = explorer.page(model, digits)
    assert len(page.encode()) < 3_000_000 and loads_nothing(page)


def test_the_weights_in_a_page_decode_as_pytorch_does(model, digits):
    """The difference that the page states is the one it has, and it is small."""
    page = explorer.page(model, digits)
    content, arrays = content_of(page)
    means = evaluation.codes(model, digits.test_images)
    truth = evaluation.decode(model, means).numpy().reshape(-1, models.PIXELS)
    logits = layers(arrays, content["decoder"], means.numpy())
    largest = np.abs(1 / (1 + np.exp(-logits)) - truth).max()
    stated = re.search(r"([\d.]+) at most,", page)
    assert stated and largest == pytest.approx(float(stated[1]), abs=6e-4)
    assert largest < WORST


def test_the_weights_in_a_page_encode_as_pytorch_does(model, digits):
    content, arrays = content_of(explorer.page(model, digits))
    mu, logvar = evaluation.posterior(model, digits.test_images)
    pixels = digits.test_images.flatten(1).numpy()
    for head, truth in zip(content["heads"], (mu, logvar), strict=True):
        ours = layers(arrays, [*content["encoder"], head], pixels)
        assert np.abs(ours - truth.numpy()).mean() < 0.02


def test_a_page_carries_means_labels_and_grey_images(model, digits):
    content, arrays = content_of(explorer.page(model, digits))
    means = arrays["means"].reshape(382, content["latent"]) / 1000
    assert np.allclose(means, evaluation.codes(model, digits.test_images).numpy(), atol=6e-4)
    assert arrays["labels"].tolist() == digits.test_labels.tolist()
    images = arrays["images"].reshape(382, 1, 28, 28) / explorer.GREYS
    assert np.abs(images - digits.test_images.numpy()).max() < 0.51 / explorer.GREYS


def test_sliders_come_in_the_order_of_the_kl_numbered_as_in_the_lessons(model, digits):
    content, _ = content_of(explorer.page(model, digits))
    kl = evaluation.kl_per_dimension(model, digits.test_images)
    expected = kl.argsort(descending=True, stable=True)[: explorer.SLIDERS]
    assert content["order"] == expected.tolist()
    assert content["kl"] == pytest.approx(kl.tolist(), abs=1e-3)
    assert content["axisNames"] == (["z1", "z2"] if model.latent_dim == 2 else ["PC 1", "PC 2"])
    assert content["first"] == (model.latent_dim == 2) != ("numbered from 0" in content["sliderNote"])


def test_a_plane_is_its_own_map():
    means = np.random.default_rng(0).standard_normal((50, 2))
    axes, centre, *_ = explorer.plane(means)
    assert np.array_equal((means - centre) @ axes.T, means)


def test_a_map_of_more_dimensions_shows_the_two_leading_principal_components():
    rng = np.random.default_rng(0)
    means = rng.standard_normal((500, 5)) * [0.1, 4, 0.1, 1, 0.1] + 7
    axes, centre, _, note = explorer.plane(means)
    assert np.allclose(np.abs(axes), [[0, 1, 0, 0, 0], [0, 0, 0, 1, 0]], atol=0.05)
    assert np.allclose(centre, means.mean(0))
    assert "100% of their variance" in note


def test_a_map_of_fewer_points_is_the_same_map(model, digits, monkeypatch):
    """Axes, order and names agree between the live explorer and the smaller page that a notebook saves."""
    monkeypatch.setattr(explorer, "SAVED_POINTS", 50)
    whole, part = explorer.explore(model, digits).live().meta, content_of(explorer.page(model, digits))[0]
    same = ("axes", "centre", "half", "kl", "order", "names", "reach")
    assert json.loads(json.dumps({key: whole[key] for key in same})) == {key: part[key] for key in same}
    assert "382 test images" in whole["mapNote"] and "50 test images" in part["mapNote"]


def test_a_class_name_cannot_end_the_data_and_a_title_is_text(digits):
    names = ["</script><b>", *digits.class_names[1:]]
    page = explorer.page(models.VAE(2), replace(digits, name="a < b", class_names=tuple(names)))
    assert "</script><b>" not in page and "on a &lt; b</title>" in page
    assert content_of(page)[0]["classes"] == names


def refused(model: models.Model, dataset: Dataset) -> str:
    """The one sentence with which both forms of the explorer refuse."""
    with pytest.raises(CourseError) as first:
        explorer.page(model, dataset)
    with pytest.raises(CourseError) as second:
        explorer.explore(model, dataset)
    assert str(first.value) == str(second.value)
    assert "\n" not in str(first.value)
    return str(first.value)


def test_models_that_a_page_cannot_compute_are_refused(digits):
    assert "CVAE is not" in refused(models.CVAE(2), digits)
    assert "ConvVAE is not" in refused(models.ConvVAE(2), digits)
    assert "Autoencoder is not" in refused(models.Autoencoder(2), digits)
    assert "two latent dimensions" in refused(models.VAE(1), digits)


# --- in a notebook --------------------------------------------------------------------------------------


def shown(thing: object) -> list[dict[str, Any]]:
    """The outputs that a cell gets which ends with `thing`."""
    with capture_output() as captured:
        display(thing)
    return [output.data for output in captured.outputs]


def test_a_watched_cell_shows_the_widget_and_saves_a_page_which_is_left_where_nobody_watches(
    digits, monkeypatch
):
    start_ipython()  # so that `display` publishes, as in a notebook
    explored = explorer.explore(models.VAE(2), digits)
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    live, saved = shown(explored)
    assert "application/vnd.jupyter.widget-view+json" in live
    assert 'sandbox="allow-scripts"' in saved["text/html"]
    assert saved["text/html"].startswith("<style>")
    monkeypatch.setenv("TQDM_DISABLE", "1")
    (first,) = shown(explored)
    assert set(first) == {"text/html", "text/plain"}


def test_what_a_notebook_saves_is_small_and_always_the_same(model, digits):
    explored = explorer.explore(model, digits)
    bundle = explored._repr_mimebundle_()
    assert len(bundle["text/html"].encode()) < 1_300_000
    assert bundle == explored._repr_mimebundle_()
    assert bundle["text/plain"] == repr(explored)


def test_the_kernel_answers_the_front_end_with_pytorch_s_images(model, digits):
    live = explorer.explore(model, digits).live()
    sent: list[tuple[dict[str, int], list[bytes]]] = []
    live.send = lambda content, buffers: sent.append((content, buffers))
    z = torch.randn(3, model.latent_dim)
    live._reply(live, {"id": 7, "task": "decode", "rows": z.tolist()}, None)
    image = digits.test_images[:1]
    live._reply(live, {"id": 8, "task": "encode", "rows": image.flatten(1).tolist()}, None)
    (decoded, pixels), (encoded, parameters) = sent
    assert (decoded, encoded) == ({"id": 7}, {"id": 8})
    truth = evaluation.decode(model, z).flatten().numpy()
    assert np.allclose(np.frombuffer(pixels[0], "<f4"), truth, atol=1e-6)
    truth = torch.cat(evaluation.posterior(model, image)).flatten().numpy()
    assert np.allclose(np.frombuffer(parameters[0], "<f4"), truth, atol=1e-6)


def test_an_answer_takes_less_than_a_tenth_of_a_second_of_a_processor(model, digits):
    live = explorer.explore(model, digits).live()
    live.send = lambda content, buffers: None
    begun = time.process_time()
    for _ in range(20):
        live._reply(live, {"id": 0, "task": "decode", "rows": [[0.5] * model.latent_dim]}, None)
    assert time.process_time() - begun < 20 * 0.1

"""What is seen of a training: a bar that says enough, curves that are exchanged in place, or nothing."""

import io
import time
from collections.abc import Callable
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
import torch
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from torch import Tensor

from course_utils import objectives, plotting, progress
from course_utils.engine import fast, watching
from course_utils.models import VAE, Autoencoder
from course_utils.training import History

EPOCHS = 4


@pytest.fixture
def images() -> Tensor:
    return torch.rand(20, 1, 28, 28)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, watched: None, terminal: object) -> CapturingDisplayPublisher:
    """What a watched notebook would be sent, in order, with no pause between two drawings."""
    publisher = CapturingDisplayPublisher()
    monkeypatch.setattr(InteractiveShell.instance(), "display_pub", publisher)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(watching, "PAUSE", 0.0)
    yield publisher
    InteractiveShell.clear_instance()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Bars as a terminal of 100 columns gets them: the text so far."""
    text = io.StringIO()
    bar = progress.tqdm
    there = {"file": text, "ncols": 100, "mininterval": 0}
    monkeypatch.setattr(progress, "tqdm", lambda **options: bar(**options | there))
    return text.getvalue


def curves(shown: CapturingDisplayPublisher) -> list[dict]:
    """The outputs that are not the bar's."""
    return [output for output in shown.outputs if "<svg" in output["data"]["text/html"]]


def train(images: Tensor, kind: type = VAE, loss: Callable = objectives.negative_elbo, **options) -> History:
    torch.manual_seed(0)
    return fast.fit(kind(2), images, loss, epochs=EPOCHS, batch_size=10, test_images=images[:10], **options)


# --- the bar ------------------------------------------------------------------------------------------


def test_the_bar_says_epoch_speed_time_left_and_loss(images, watched, terminal):
    train(images)
    for said in ("epoch 1 of 4:", "epoch 4 of 4:", "images/s", " left, loss ", " nats"):
        assert said in terminal()


class Own(NamedTuple):
    error: Tensor


@pytest.mark.parametrize("named", [objectives.Single, Own])
def test_a_loss_that_is_not_in_nats_is_not_said_to_be(named, images, watched, terminal):
    train(images, Autoencoder, lambda model, x: named(objectives.mean_squared_error(model, x).loss))
    assert "loss 0." in terminal() and "nats" not in terminal()


# --- the curves ---------------------------------------------------------------------------------------


def test_a_notebook_gets_one_output_that_is_exchanged_in_its_place(images, shown):
    train(images)
    assert [output.get("update", False) for output in curves(shown)] == [False] + [True] * (EPOCHS - 1)
    assert len({output["transient"]["display_id"] for output in curves(shown)}) == 1


def test_drawings_keep_a_pause(images, shown, monkeypatch):
    monkeypatch.setattr(watching, "PAUSE", 1000.0)
    train(images)
    assert curves(shown) == []


def test_at_the_end_the_curves_are_gone_so_that_a_lesson_s_own_figure_is_the_only_one(images, shown):
    train(images)
    last = [one["data"] for one in shown.outputs if one["transient"] == curves(shown)[0]["transient"]][-1]
    assert last == {"text/html": "", "text/plain": ""}


@pytest.mark.parametrize("pause", [0.0, 1000.0])
def test_an_interrupted_training_leaves_its_epochs(images, shown, monkeypatch, pause):
    monkeypatch.setattr(watching, "PAUSE", pause)

    def stop(model: VAE) -> dict[str, float]:
        if calls.append(1) or len(calls) == 3:
            raise KeyboardInterrupt
        return {}

    calls: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train(images, watch=stop)
    assert "to epoch 3 of 4" in curves(shown)[-1]["data"]["text/html"]


@pytest.mark.parametrize("watched_in", ["a terminal", None])
def test_there_are_no_curves_without_a_notebook_and_no_bar_where_nobody_watches(
    watched_in, images, terminal, shown, monkeypatch
):
    if watched_in:
        monkeypatch.setattr(progress, "in_notebook", lambda: False)
    else:
        monkeypatch.setenv("TQDM_DISABLE", "1")
    train(images)
    assert bool(terminal()) == bool(watched_in) and shown.outputs == []


TRAIN = {"loss": [180.0, 120.0, 100.0], "kl": [5.0, 9.0, 8.0]}
TEST = {"loss": [140.0, 110.0, 101.0], "kl": [7.0, 8.5, 8.0]}


ELBO = {"loss": [9.0], "reconstruction": [8.0], "kl": [1.0]}


def html() -> ElementTree.Element:
    return ElementTree.fromstring(watching.curves(TRAIN, TEST, 10))


def test_each_term_has_a_line_of_training_and_one_of_test_images():
    lines = html().findall(".//polyline")
    assert [len(line.get("points").split()) for line in lines] == [3] * 4
    assert [line.get("stroke-dasharray") is None for line in lines] == [True, False] * 2


def test_a_line_falls_where_its_values_do_and_leaves_room_for_the_epochs_to_come():
    points = html().find(".//polyline").get("points").split()
    across, heights = zip(*(map(float, point.split(",")) for point in points), strict=True)
    assert sorted(heights) == list(heights)  # downwards in a picture
    left, right = watching.AXES["left"], watching.AXES["right"]
    assert (across[-1] - left) / (right - left) == pytest.approx(2 / 9, abs=1e-3)


@pytest.mark.parametrize(
    ("terms", "unit"), [(("loss",), ""), (("loss", "kl"), ""), (objectives.Terms._fields, "nats")]
)
def test_what_has_the_elbo_s_terms_is_in_nats(terms, unit):
    assert watching.unit(terms) == unit


def test_the_unit_stands_at_the_terms():
    titles = [text.text for text in ElementTree.fromstring(watching.curves(ELBO, {}, 3)).iter("tspan")]
    assert titles[0] == "loss, nats" and "kl, nats" in titles


def test_the_curves_are_described_for_who_does_not_see_them():
    labels = [panel.get("aria-label") for panel in html()]
    assert labels[0] == "Curve of loss, to epoch 3 of 10: train 100, test 101"


def test_one_epoch_alone_can_be_drawn():
    assert ElementTree.fromstring(watching.curves({"loss": [3.0]}, {}, 1)).find(".//circle") is not None


def test_lines_have_the_course_s_colours():
    assert tuple(watching.COLOURS.values()) == plotting.COLOURS[:2]


def test_a_drawing_takes_less_than_a_hundredth_of_the_pause_between_two():
    line = [100.0 + i for i in range(100)]
    started = time.process_time()
    for _ in range(5):
        watching.curves(dict.fromkeys(("loss", "reconstruction", "kl"), line), TEST, 100)
    assert (time.process_time() - started) / 5 < watching.PAUSE / 100

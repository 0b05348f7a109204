"""The training loop: every image once an epoch, records that are averages, nothing left to chance."""

import functools
import itertools
import math
import weakref
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from course_utils import objectives, training
from course_utils.models import CVAE, VAE, Autoencoder, ConvVAE
from course_utils.settings import CourseError
from course_utils.training import History, Observer, Scheduled, State, average, fit

COUNT = 50  # not a multiple of the batch size below: the last batch is smaller
BATCH = 16
SIZES = [16, 16, 16, 2]


class Loss(NamedTuple):
    loss: Tensor
    brightness: Tensor


class Scale(nn.Module):
    """The least that can be trained: one number. Training it counts as little as possible."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))


class Spy:
    """A loss that notes what it is called with: batches, keywords, the model's mode, gradients on or off."""

    def __init__(self) -> None:
        self.batches: list[tuple[Tensor, ...]] = []
        self.keywords: list[dict[str, float]] = []
        self.training: list[bool] = []
        self.gradients: list[bool] = []

    def __call__(self, model: Scale, *batch: Tensor, **keywords: float) -> Loss:
        self.batches.append(batch)
        self.keywords.append(keywords)
        self.training.append(model.training)
        self.gradients.append(torch.is_grad_enabled())
        return Loss((model.weight - 2) ** 2, batch[0].mean())


@pytest.fixture
def spy() -> Spy:
    return Spy()


@pytest.fixture
def numbered() -> Tensor:
    """Images told apart by their grey value: image i is i / 64 everywhere."""
    return (torch.arange(COUNT) / 64).view(-1, 1, 1, 1).expand(COUNT, 1, 28, 28)


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Bright squares at random places: easy to learn something about."""
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(COUNT, 1, 28, 28)
    corners = torch.randint(0, 18, (COUNT, 2), generator=generator)
    for image, (row, column) in zip(images, corners, strict=True):
        image[0, row : row + 10, column : column + 10] = 1
    return images


def numbers(batch: tuple[Tensor, ...]) -> list[int]:
    return (64 * batch[0][:, 0, 0, 0]).int().tolist()


# --- watching ---------------------------------------------------------------------------------------


def test_what_is_watched_is_recorded_after_every_epoch(images):
    weights: list[float] = []

    def watch(model: nn.Module) -> dict[str, float]:
        assert not model.training
        assert not torch.is_grad_enabled()
        weights.append(model.fc_mu.weight.sum().item())
        return {"weight": weights[-1]}

    model = VAE(2)
    history = fit(model, images, objectives.negative_elbo, epochs=3, batch_size=BATCH, watch=watch)
    assert history.watched == {"weight": weights}
    assert len(set(weights)) == 3
    assert weights[-1] == model.fc_mu.weight.sum().item()


@pytest.mark.parametrize("how", ["watch", "test_images"])
def test_a_training_that_is_watched_or_judged_goes_as_it_would_unseen(how, images):
    seen = {"watch": lambda model: {"noise": torch.rand(1).item()}, "test_images": images[:5]}[how]
    models = []
    for extra in ({}, {how: seen}):
        torch.manual_seed(0)
        models.append(VAE(2))
        fit(models[-1], images, objectives.negative_elbo, epochs=2, batch_size=BATCH, **extra)
    assert all(map(torch.equal, *(model.parameters() for model in models)))


# --- fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rises", [False, True])
@pytest.mark.parametrize("kind", [Autoencoder, VAE, ConvVAE, CVAE])
def test_it_is_the_loop_that_anybody_would_write(kind, rises, images):
    """Equal to the last bit: the record, the weights, and the random number that comes next. And the images
    are left as they were."""
    loss = objectives.mean_squared_error if kind is Autoencoder else objectives.negative_elbo
    rises = rises and kind is not Autoencoder
    labels = torch.arange(COUNT) % 10 if kind is CVAE else None
    data = (images,) if labels is None else (images, labels)
    before = images.clone()

    torch.manual_seed(0)
    model = kind(2)
    torch.manual_seed(5)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    record, seen = [], 0
    for _ in range(3):
        total = 0.0
        for rows in torch.randperm(COUNT).split(BATCH):
            beta = {"beta": 2.0 * (seen / (3 * COUNT))} if rises else {}
            value = loss(model, *(tensor[rows] for tensor in data), **beta).loss
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            total = total + value.detach() * len(rows)
            seen += len(rows)
        record.append(total.item() / COUNT)
    drawn = torch.rand(1)

    torch.manual_seed(0)
    ours = kind(2)
    given = Scheduled(loss, lambda share: 2.0 * share) if rises else loss
    how = {"epochs": 3, "batch_size": BATCH, "learning_rate": 2e-3, "seed": 5}
    assert fit(ours, images, given, labels=labels, **how).train["loss"] == record
    assert torch.equal(torch.rand(1), drawn) and torch.equal(images, before)
    assert all(map(torch.equal, ours.parameters(), model.parameters()))


def test_observers_are_told_of_the_start_every_step_and_every_epoch(spy, numbered):
    """In the order in which they are given, and when what they may look at has been recorded."""
    told: list[tuple] = []

    class Listener(Observer):
        def __init__(self, name: str) -> None:
            self.name = name

        def start(self, state: State) -> None:
            told.append((self.name, "start", state.history.epochs, state.share))

        def step(self, state: State, terms: Loss, images: int) -> None:
            told.append((self.name, "step", images, state.share))

        def epoch(self, state: State) -> None:
            told.append((self.name, "epoch", state.history.epochs, state.share))

    fit(Scale(), numbered, spy, epochs=2, batch_size=COUNT, observers=[Listener("a"), Listener("b")])
    calls = [("start", 0, 0.0), ("step", 50, 0.5), ("epoch", 1, 0.5), ("step", 50, 1.0), ("epoch", 2, 1.0)]
    assert told == [(name, *call) for call in calls for name in ("a", "b")]


def test_training_happens_in_training_mode_and_ends_in_evaluation_mode(spy, numbered):
    model = Scale()
    model.eval()
    fit(model, numbered, spy, epochs=2, test_images=numbered[:5], batch_size=BATCH)
    assert spy.training == ([True] * len(SIZES) + [False]) * 2 and not model.training


# --- what cannot work is said before time is lost --------------------------------------------------


class Runaway(nn.Module):
    """Adam moves each of its numbers by the learning rate in every step, upwards."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.0))


def rising(model: Runaway, x: Tensor) -> Loss:
    """A loss whose value rises, whatever its gradient says."""
    return Loss(1 - model.weight + 2 * model.weight.detach() ** 2, x.mean())


def turning_nan(model: Runaway, x: Tensor) -> Loss:
    return Loss((1 - model.weight).log(), x.mean())


BAD = {
    "no epoch": ({"epochs": 0}, "epochs is 0: ask for at least one"),
    "no batch": ({"batch_size": 0}, "batch_size is 0: it has to lie between 1 and the 50 images there are"),
    "a batch larger than the data": ({"batch_size": 51}, "batch_size is 51: it has to lie between 1 and"),
    "too many batch sizes": ({"batch_size": [16, 16]}, "2 batch sizes for 1 epochs: give one number, or one"),
    "one batch of none": (
        {"epochs": 2, "batch_size": [0, 16]},
        r"batch_size is \[0, 16\]: it has to lie between",
    ),
    "an endless learning rate": (
        {"learning_rate": math.inf},
        "learning_rate is inf: it has to be a positive",
    ),
    "no learning rate": ({"learning_rate": 0.0}, "learning_rate is 0.0: it has to be a positive number"),
}


@pytest.mark.parametrize(("setting", "sentence"), BAD.values(), ids=BAD)
def test_settings_that_cannot_work_are_refused(setting, sentence, images):
    with pytest.raises(CourseError, match=sentence):
        fit(VAE(2), images, objectives.negative_elbo, **{"epochs": 1, "batch_size": BATCH, **setting})


BAD_IMAGES = {
    "integers": (lambda x: (255 * x).to(torch.uint8), "Images are torch.uint8: turn them into floats"),
    "0 to 255": (lambda x: 255 * x, r"Pixels reach from 0 to 255: scale the images to \[0, 1\]"),
    "beyond 1": (lambda x: 1.5 * x, "Pixels reach from 0 to 1.5: scale"),
    "standardised": (lambda x: (x - 0.5) / 0.5, "Pixels reach from -1 to 1"),
    "NaN": (lambda x: x / 0, "Pixels reach from nan to nan"),
    "flat": (lambda x: x.flatten(1), r"Images have shape \(50, 784\)"),
    "none": (lambda x: x[:0], r"Images have shape \(0, 1, 28, 28\)"),
    "elsewhere": (lambda x: x.to("meta"), "The model is on cpu and the images are on meta"),
}


@pytest.mark.parametrize(("spoil", "sentence"), BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_images_that_cannot_work_are_refused(spoil, sentence, images):
    with pytest.raises(CourseError, match=sentence):
        fit(VAE(2), spoil(images), objectives.negative_elbo, epochs=1, batch_size=BATCH)


@pytest.mark.parametrize(
    ("loss", "learning_rate", "sentence"),
    [
        (turning_nan, 0.5, r"The loss is nan in epoch \d+: lower the learning rate"),
        (rising, 1.0, r"The loss has risen from 1 to [\d.]+ in epoch \d+: training diverges; lower the"),
        (lambda model, x: Loss(model.weight + x.mean() / 0, x.mean()), 1e-3, "The loss is inf in epoch 1:"),
    ],
    ids=["NaN", "diverges", "infinite at once"],
)
def test_a_loss_that_runs_away_stops_the_training(loss, learning_rate, sentence, images):
    steps: list[int] = []

    def counted(model: Runaway, x: Tensor) -> Loss:
        steps.append(len(x))
        return loss(model, x)

    with pytest.raises(CourseError, match=sentence):
        fit(Runaway(), images + 1e-3 * (images == 0), counted, epochs=1000, batch_size=1,
            learning_rate=learning_rate)  # fmt: skip
    assert len(steps) <= training.LOOK + 1


def test_an_epoch_of_one_step_is_looked_at_when_it_ends(images):
    with pytest.raises(CourseError, match=r"The loss is nan in epoch [3-9]:"):
        fit(Runaway(), images, turning_nan, epochs=1000, batch_size=COUNT, learning_rate=0.5)


def test_a_loss_may_rise_to_ten_times_what_it_began_with_and_one_nat():
    guard = training.Guard()
    for loss in (-2.0, 21.0):
        guard.check(loss, epoch=1)
    with pytest.raises(CourseError, match=r"The loss has risen from -2 to 21.5 in epoch 7"):
        guard.check(21.5, epoch=7)


# --- the schedule --------------------------------------------------------------------------------


def test_the_schedule_does_not_change_how_test_images_are_judged(spy, numbered):
    loss = Scheduled(spy, lambda share: 0.0)
    fit(Scale(), numbered, loss, epochs=1, test_images=numbered[:5], batch_size=BATCH)
    assert spy.keywords[-1] == {}


@pytest.mark.parametrize(("t", "beta"), [(0, 0), (0.1, 1), (0.2, 2), (0.4, 4), (0.7, 4), (1, 4)])
def test_beta_warms_up_in_a_straight_line_and_stays_at_the_top(t, beta):
    assert training.warm_up(t, share=0.4, top=4) == pytest.approx(beta)


# --- the record ----------------------------------------------------------------------------------


@pytest.fixture
def history(spy: Spy, numbered: Tensor) -> History:
    return fit(Scale(), numbered, spy, epochs=3, test_images=numbered[:7], batch_size=BATCH)


def test_the_record_is_of_averages_over_images_for_every_epoch(history):
    """Unequal batches: an average over batches would be another number."""
    assert history.epochs == 3
    assert history.train["brightness"] == pytest.approx([(COUNT - 1) / 2 / 64] * 3)
    assert history.test["brightness"] == pytest.approx([3 / 64] * 3)
    lists = [*history.train.values(), *history.test.values(), history.seconds]
    assert [len(values) for values in lists] == [3] * 5
    assert {type(value) for value in itertools.chain(*lists)} == {float}


def test_the_test_record_is_taken_after_the_epoch(history):
    """The weight moves towards its goal within the epoch, so the loss after it is below the average."""
    assert all(test < train for test, train in zip(history.test["loss"], history.train["loss"], strict=True))


def test_the_test_record_is_empty_without_test_images(spy, numbered):
    assert fit(Scale(), numbered, spy, epochs=1, batch_size=BATCH).test == {}


def test_test_labels_go_with_the_test_images(spy, numbered):
    labels = torch.arange(COUNT)
    held_out = {"test_images": numbered[:5], "test_labels": labels[:5]}
    fit(Scale(), numbered, spy, epochs=1, labels=labels, batch_size=BATCH, **held_out)
    assert spy.batches[-1][1].tolist() == [0, 1, 2, 3, 4]


def test_seconds_are_counted_from_the_start_of_training(spy, numbered, monkeypatch):
    """Each epoch here takes 1 second by the clock that training reads, and the pause after it 10."""
    readings = iter([0.0, 1.0, 11.0, 12.0, 22.0, 23.0])
    monkeypatch.setattr(training.time, "perf_counter", lambda: next(readings))
    assert fit(Scale(), numbered, spy, epochs=3, batch_size=BATCH).seconds == [1.0, 2.0, 3.0]


def test_the_record_s_line_gives_its_last_loss_and_seconds():
    history = History({"loss": [5.0, 4.0, 3.5]}, {}, [1.0, 2.0, 4.0])
    assert repr(history) == "3 epochs in 4 s; last epoch's training average: loss 3.5"


def test_the_record_holds_no_graph_from_one_step_to_the_next(numbered):
    """That of the second term, which no backward pass frees."""
    graphs: weakref.WeakSet[Callable] = weakref.WeakSet()
    alive: list[int] = []

    def loss(model: Scale, x: Tensor) -> Loss:
        alive.append(len(graphs))
        held = functools.partial(torch.mul, 3)  # goes when the graph goes
        graphs.add(held)
        term = model.weight.clone()
        term.grad_fn.metadata["held"] = held
        return Loss(model.weight**2, term)

    fit(Scale(), numbered, loss, epochs=1, batch_size=5)
    assert max(alive) <= 2


# --- average -------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, BATCH, COUNT, 1000])
def test_an_average_weighs_every_image_alike_and_keeps_labels_with_images(batch_size, spy, numbered):
    found = average(Scale(), spy, numbered, torch.arange(COUNT), batch_size=batch_size)
    assert found == pytest.approx({"loss": 1.5**2, "brightness": 24.5 / 64})
    assert all(numbers(batch) == batch[1].tolist() for batch in spy.batches)


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
def test_an_average_is_taken_in_evaluation_mode_and_leaves_the_model_in_its_own(mode, spy, numbered):
    model = Scale().train(mode)
    average(model, spy, numbered, batch_size=BATCH)
    assert spy.training == spy.gradients == [False] * len(SIZES)
    assert model.training == mode


def test_an_average_draws_the_same_noise_every_time(images):
    model = VAE(2)
    assert average(model, objectives.negative_elbo, images) == average(
        model, objectives.negative_elbo, images
    )

"""The fast path: the plain loop's losses with the plain settings, and what it offers beyond them."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from course_utils import objectives, training
from course_utils.engine import fast
from course_utils.models import CVAE, VAE, Autoencoder, ConvVAE
from course_utils.training import History

KINDS: dict[type[nn.Module], object] = {
    Autoencoder: objectives.mean_squared_error,
    VAE: objectives.negative_elbo,
    ConvVAE: objectives.negative_elbo,
    CVAE: objectives.negative_elbo,
}


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round()


def train(
    fit, kind: type[nn.Module], images: Tensor, **settings
) -> tuple[list[list[float]], nn.Module, History]:
    """The terms of every single step, the model and its record."""
    steps: list[list[float]] = []

    def noted(model, *batch, **keywords):
        terms = KINDS[kind](model, *batch, **keywords)
        if model.training:
            steps.append([term.item() for term in terms])
        return terms

    torch.manual_seed(0)
    model = kind(3).to(images.dtype)
    if kind is CVAE:
        settings["labels"] = torch.arange(len(images)) % 10
    history = fit(model, images, noted, **{"epochs": 4, "batch_size": 16, **settings})
    return steps, model, history


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_plain_settings_every_step_has_the_plain_loop_s_loss(kind, images):
    """In float64, where rounding has no time to grow, so that all that differs is the algorithm."""
    ours, plain = (train(fit, kind, images.double())[0] for fit in (fast.fit, training.fit))
    assert len(ours) == 4 * 3
    assert ours == [pytest.approx(terms, rel=1e-8) for terms in plain]


def test_so_it_does_with_a_schedule_of_beta_and_test_images(images):
    loss = training.Scheduled(objectives.negative_elbo, partial(training.warm_up, share=0.5, top=2.0))
    records = []
    for fit in (fast.fit, training.fit):
        torch.manual_seed(0)
        records.append(fit(VAE(3), images, loss, epochs=4, batch_size=16, test_images=images[:7]))
    ours, plain = records
    for split in ("train", "test"):
        for name, values in getattr(plain, split).items():
            assert getattr(ours, split)[name] == pytest.approx(values, rel=1e-4)


def test_a_schedule_scales_each_step_of_adam(images):
    """Adam moves every weight by the learning rate in its first step: here by half of it, then not at all."""
    torch.manual_seed(0)
    model = VAE(3)
    before = model.decoder[-1].bias.detach().clone()
    shares = []

    def half_then_nothing(share: float) -> float:
        shares.append(share)
        return 0.5 if share == 0 else 0.0

    fast.fit(model, images, objectives.negative_elbo, epochs=1, batch_size=16, learning_rate=0.01,
             schedule=half_then_nothing)  # fmt: skip
    moved = (model.decoder[-1].bias - before).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.005), rtol=1e-3, atol=0)
    assert shares == pytest.approx([0, 16 / 40, 32 / 40])


def test_every_epoch_may_have_a_batch_size_of_its_own(images):
    sizes = []

    def sized(model, x):
        sizes.append(len(x))
        return objectives.negative_elbo(model, x)

    fast.fit(VAE(2), images, sized, epochs=3, batch_size=[10, 20, 40])
    assert sizes == [10] * 4 + [20] * 2 + [40]


@pytest.mark.parametrize(
    ("schedule", "heights"),
    [
        (fast.one_cycle, {0: 0.1, 0.25: 0.55, 0.5: 1, 0.75: 0.55, 1: 0.1}),
        (fast.early_peak, {0: 0.1, 0.075: 0.55, 0.15: 1, 0.575: 0.5, 1: 0}),
    ],
)
def test_a_schedule_rises_and_falls_in_straight_lines(schedule, heights):
    assert {share: schedule(share) for share in heights} == pytest.approx(heights)


@pytest.mark.parametrize("kind", [VAE, ConvVAE])
def test_a_started_decoder_draws_the_mean_image(kind, images):
    """With no weights but the last biases: of every pixel where there is one for each, else of all."""
    model = kind(3)
    fast.start(model, images)
    torch.nn.init.zeros_(model.decoder[-1].weight)
    mean = images.mean(0) if kind is VAE else images.mean().expand(1, 28, 28)
    drawn = model.decode(torch.randn(1, 3)).sigmoid()[0]
    torch.testing.assert_close(drawn, mean.clamp(1e-3, 1 - 1e-3))


@pytest.mark.parametrize("kind", [VAE, ConvVAE])
def test_a_started_encoder_sees_images_less_their_mean(kind, images):
    """A convolution less the mean of all pixels."""
    torch.manual_seed(0)
    model, started = (kind(3) for _ in range(2))
    started.load_state_dict(model.state_dict())
    fast.start(started, images)
    seen, mean = (images.flatten(1), images.mean(0).flatten()) if kind is VAE else (images, images.mean())
    inside = ... if kind is VAE else (..., slice(1, None), slice(1, None))  # where no padding is seen
    expected = model.encoder[0](seen - mean)
    torch.testing.assert_close(started.encoder[0](seen)[inside], expected[inside])


def test_a_start_with_pixels_that_never_change_stays_finite():
    model = VAE(3)
    fast.start(model, torch.zeros(5, 1, 28, 28))
    assert model.decoder[-1].bias.isfinite().all()


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 2), (64, 2)])
def test_there_are_no_more_threads_than_cores_and_no_more_than_asked_for(cores, threads, images, monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(fast.joblib, "cpu_count", lambda: cores)
    train(fast.fit, VAE, images, epochs=1)
    assert chosen == [threads]


def test_memories_that_have_become_tiny_are_let_go(images, monkeypatch):
    monkeypatch.setattr(fast, "FORGET", 3)
    monkeypatch.setattr(fast, "TRACE", 1e-4)
    memories: list[Tensor] = []

    class Look(training.Observer):
        def epoch(self, state):
            memories.extend(memory for one in state.optimizer.state.values() for memory in one.values())

    train(fast.fit, VAE, images, epochs=1, observers=[Look()])
    tiny = [memory.abs() < 1e-4 for memory in memories]
    assert any(one.any() for one in tiny)
    assert not any(memory[one].any() for memory, one in zip(memories, tiny, strict=True))


def test_forgetting_moves_nothing(images, monkeypatch):
    """The same weights to the last bit, whether traces are forgotten after every step or never."""
    weights = []
    for every in (1, 10**9):
        monkeypatch.setattr(fast, "FORGET", every)
        weights.append(list(train(fast.fit, VAE, images, epochs=10)[1].parameters()))
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


def test_in_bfloat16_the_losses_agree_to_its_precision_and_weights_stay_float32(images):
    _, model, ours = train(fast.fit, VAE, images, precision=torch.bfloat16)
    _, _, plain = train(training.fit, VAE, images)
    assert ours.train["loss"] == pytest.approx(plain.train["loss"], rel=0.02)
    assert ours.train["loss"] != pytest.approx(plain.train["loss"], rel=1e-6)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}

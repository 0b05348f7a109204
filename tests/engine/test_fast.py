"""The fast path: the plain loop's losses with the plain settings, and what it offers beyond them."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from course_utils import objectives, training
from course_utils.engine import cache, fast
from course_utils.models import CVAE, VAE, Autoencoder, ConvVAE
from course_utils.settings import CourseError
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


@pytest.fixture
def same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise that is drawn in float32 whatever the precision of the model."""

    def reparameterize(mu: Tensor, logvar: Tensor) -> Tensor:
        return mu + (0.5 * logvar).exp() * torch.randn(mu.shape).to(mu.dtype)

    monkeypatch.setattr(objectives, "reparameterize", reparameterize)


def losses(fit, kind: type[nn.Module], images: Tensor) -> Tensor:
    """The terms of all steps, (12, terms), float64."""
    return torch.tensor(train(fit, kind, images)[0], dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_plain_settings_every_step_has_the_plain_loop_s_loss(kind, images, same_noise):
    """In float64, where rounding has no time to grow, so that all that differs is the algorithm."""
    ours, plain = (losses(fit, kind, images.double()) for fit in (fast.fit, training.fit))
    assert len(ours) == 4 * 3
    torch.testing.assert_close(ours, plain, rtol=1e-8, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_in_float32_it_has_it_to_rounding(kind, images, same_noise):
    """No further off, at any step, than a few times what rounding has done to the plain loop by then."""
    ours, plain = (losses(fit, kind, images) for fit in (fast.fit, training.fit))
    rounding = (plain - losses(training.fit, kind, images.double())).abs().cummax(dim=0).values
    assert ((ours - plain).abs() <= 10 * rounding + 1e-6 * plain.abs()).all()


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
    ("sizes", "sentence"),
    [
        ([10, 20], "2 batch sizes for 3 epochs"),
        ([10, 20, 41], "has to lie between 1 and the 40 images there are"),
        ([10, 0, 20], "has to lie between 1 and"),
    ],
)
def test_batch_sizes_that_cannot_work_are_refused(sizes, sentence, images):
    with pytest.raises(CourseError, match=sentence):
        fast.fit(VAE(2), images, objectives.negative_elbo, epochs=3, batch_size=sizes)


@pytest.mark.parametrize(("share", "height"), [(0, 0.1), (0.25, 0.55), (0.5, 1), (0.75, 0.55), (1, 0.1)])
def test_one_cycle_rises_and_falls_in_straight_lines(share, height):
    assert fast.one_cycle(share) == pytest.approx(height)


@pytest.mark.parametrize(("share", "height"), [(0, 0.1), (0.075, 0.55), (0.15, 1), (0.575, 0.5), (1, 0)])
def test_an_early_peak_rises_soon_and_falls_to_nothing(share, height):
    assert fast.early_peak(share) == pytest.approx(height)


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


def tiny(optimizer: torch.optim.Optimizer) -> int:
    """Memories that are no normal floats, and not 0."""
    smallest = torch.finfo(torch.float32).tiny
    memories = [s[name] for s in optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    return sum(int(((memory != 0) & (memory.abs() < smallest)).sum()) for memory in memories)


@pytest.mark.slow
def test_hardly_a_memory_of_a_gradient_that_has_become_0_is_kept_as_a_tiny_number(images, monkeypatch):
    """A pixel is bright in one image of the first batches and black ever after; memories are shorter than
    usual, and so is the test."""
    optimizers = []
    adam = torch.optim.Adam
    monkeypatch.setattr(
        torch.optim,
        "Adam",
        lambda *a, **k: optimizers.append(adam(*a, **k | {"betas": (0.7, 0.999)})) or optimizers[-1],
    )
    monkeypatch.setattr(fast, "FORGET", 20)

    def loss(model, x):
        x = x.clone()
        x[..., 0, 0] = float(len(steps) < 5)
        steps.append(len(x))
        return objectives.mean_squared_error(model, x)

    for fit in (training.fit, fast.fit):
        steps: list[int] = []
        torch.manual_seed(0)
        fit(Autoencoder(2), images, loss, epochs=270, batch_size=40)
    plain, ours = (tiny(optimizer) for optimizer in optimizers)
    assert plain > 100 > 10 * ours


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


@pytest.mark.parametrize("muon", [False, True])
def test_a_fast_training_interrupted_goes_on_to_the_same_weights(muon, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"schedule": fast.one_cycle, "betas": (0.9, 0.99), "batch_size": [8, 16, 20, 40], "muon": muon}
    whole = train(fast.fit, VAE, images, **settings)[1]

    calls = 0

    def dies(model, *batch, **keywords):
        nonlocal calls
        calls += 1
        if calls == 8:
            raise KeyboardInterrupt
        return objectives.negative_elbo(model, *batch, **keywords)

    partial_file = cache.Partial(tmp_path / "one.training", "key")
    for loss in (dies, objectives.negative_elbo):
        torch.manual_seed(0)
        model = VAE(3)
        try:
            fast.fit(model, images, loss, epochs=4, observers=[partial_file], **settings)
        except KeyboardInterrupt:
            assert loss is dies
    for a, b in zip(whole.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)

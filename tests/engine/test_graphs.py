"""Steps recorded and replayed: on a CUDA GPU the plain loop's losses, elsewhere what can be run of it."""

import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from course_utils import objectives, training
from course_utils.engine import cache, fast, graphs
from course_utils.models import CVAE, VAE, ConvVAE

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="There is no CUDA GPU on this machine.")


@pytest.fixture(scope="module")
def images() -> Tensor:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.rand(200, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round().to(device)


def train(fit, kind: type[nn.Module], images: Tensor, loss=objectives.negative_elbo, **settings):
    torch.manual_seed(0)
    model = kind(3).to(images.device)
    if kind is CVAE:
        settings["labels"] = torch.arange(len(images), device=images.device) % 10
    history = fit(model, images, loss, **{"epochs": 6, "batch_size": 32, **settings})
    return history, model


@on_a_gpu
@pytest.mark.parametrize("kind", [VAE, ConvVAE, CVAE])
def test_a_recorded_training_has_the_plain_loop_s_losses(kind, images):
    """Batches of 32 and, at the end of every epoch, of 8; beta rises, which a recording has to follow."""
    loss = training.Scheduled(objectives.negative_elbo, partial(training.warm_up, share=0.5, top=2.0))
    held_out = {} if kind is CVAE else {"test_images": images[:50]}
    ours, plain = (train(fit, kind, images, loss, **held_out)[0] for fit in (fast.fit, training.fit))
    for split in ("train", "test"):
        for name, values in getattr(plain, split).items():
            assert getattr(ours, split)[name] == pytest.approx(values, rel=2e-4, abs=0.05)


@on_a_gpu
def test_a_recording_follows_the_learning_rate(images, monkeypatch):
    schedule = {"schedule": fast.one_cycle, "learning_rate": 5e-3}
    ours, _ = train(fast.fit, VAE, images, **schedule)
    monkeypatch.setattr(graphs, "recordable", lambda *parts: False)
    unrecorded, _ = train(fast.fit, VAE, images, **schedule)
    assert ours.train["loss"] == pytest.approx(unrecorded.train["loss"], rel=2e-4)


@on_a_gpu
@pytest.mark.parametrize(("recorded", "calls"), [(True, 8), (None, 42)])
def test_a_loss_of_one_s_own_is_recorded_where_that_is_allowed(recorded, calls, images):
    """Python then runs three steps of each batch size and the one that is recorded, of the 42."""
    sizes = []

    def loss(model, x):
        sizes.append(len(x))
        return objectives.negative_elbo(model, x)

    train(fast.fit, VAE, images, loss, recorded=recorded)
    assert len(sizes) == calls


@on_a_gpu
def test_a_recorded_training_interrupted_goes_on_where_it_stopped(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"schedule": fast.one_cycle, "batch_size": [32, 32, 32, 64, 64, 64]}
    whole, _ = train(fast.fit, VAE, images, **settings)

    class Stops(cache.Partial):
        def epoch(self, state) -> None:
            super().epoch(state)
            if state.history.epochs == 4:
                raise KeyboardInterrupt

    file = tmp_path / "one.training"
    with pytest.raises(KeyboardInterrupt):
        train(fast.fit, VAE, images, observers=[Stops(file, "key")], **settings)
    resumed, _ = train(fast.fit, VAE, images, observers=[cache.Partial(file, "key")], **settings)
    assert resumed.train["loss"] == pytest.approx(whole.train["loss"], rel=2e-4)


@on_a_gpu
def test_a_loss_that_no_recording_holds_is_refused_in_one_sentence():
    """It waits for a number from the GPU. In a process of its own: no recording can be made in it again."""
    code = (
        "import torch\n"
        "from course_utils import models, objectives\n"
        "from course_utils.engine import fast\n"
        "def loss(model, x):\n"
        "    return objectives.negative_elbo(model, x, beta=x.mean().item())\n"
        "images = torch.rand(200, 1, 28, 28).cuda()\n"
        "fast.fit(models.VAE(2).cuda(), images, loss, epochs=1, batch_size=20, recorded=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("course_utils.settings.CourseError: This model and loss cannot be recorded (")
    assert last.endswith("restart the kernel and train with recorded=False.")


# --- without a GPU ---------------------------------------------------------------------------------------


def test_a_batch_size_is_recorded_once_it_has_come_four_times(monkeypatch):
    """Here a recording is played by a function; on a GPU by the graph that it made."""
    made, ran = [], []

    def record(step, x, beta):
        made.append(len(x))
        return lambda x, beta: ("replayed", len(x), {"beta": beta})

    monkeypatch.setattr(graphs, "record", record)
    recorded = graphs.recorded(lambda x, beta: ran.append(len(x)) or ("run", len(x), {"beta": beta}))
    results = [recorded(torch.zeros(size), beta=0.5) for size in [4, 4, 4, 4, 2, 4]]
    assert results == [("run", 4, {"beta": 0.5})] * 3 + [
        ("replayed", 4, {"beta": 0.5}), ("run", 2, {"beta": 0.5}), ("replayed", 4, {"beta": 0.5}),
    ]  # fmt: skip
    assert (made, ran) == ([4], [4, 4, 4, 2])


def test_a_replay_reads_the_new_batch_and_the_new_numbers(monkeypatch):
    """Here to replay is to do the step again, with the arguments that it was recorded with."""
    recorded_with, result = [], torch.zeros(3)

    def step(x, beta):
        recorded_with[:] = x, beta
        return result.copy_(x * beta)

    graph = SimpleNamespace(replay=lambda: step(*recorded_with))
    fakes = {"CUDAGraph": lambda: graph, "graph": lambda graph, stream: nullcontext(), "current_stream": list}
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    replay = graphs.record(step, torch.ones(3), beta=1.0)
    torch.testing.assert_close(replay(torch.arange(3.0), beta=2.0), torch.tensor([0.0, 2.0, 4.0]))


def a_student_s_loss(model, x):
    return objectives.negative_elbo(model, x)


class AStudentsModel(VAE):
    pass


@pytest.mark.parametrize(
    ("parts", "own"),
    [
        ((VAE(2), objectives.negative_elbo), True),
        ((VAE(2), partial(objectives.free_bits_elbo, nats=0.1)), True),
        ((VAE(2), training.Scheduled(objectives.negative_elbo, lambda share: share)), True),
        ((VAE(2), training.Scheduled(a_student_s_loss, training.warm_up)), False),
        ((VAE(2), partial(objectives.negative_elbo, nll=objectives.continuous_bernoulli_nll)), True),
        ((VAE(2), a_student_s_loss), False),
        ((VAE(2), partial(objectives.negative_elbo, nll=a_student_s_loss)), False),
        ((AStudentsModel(2), objectives.negative_elbo), False),
        ((VAE(2), lambda model, x: objectives.negative_elbo(model, x)), False),
    ],
)
def test_only_the_package_s_own_models_and_losses_are_recorded(parts, own):
    assert graphs.recordable(*parts) is own

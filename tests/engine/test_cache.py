"""Kept trainings: the same result to the last bit, done once, gone on with after an interruption."""

import copy
import functools
import importlib
import linecache
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from tiers import quick
from torch import Tensor, nn

from course_utils import files as files_
from course_utils import models, objectives, training
from course_utils.engine import cache, fast, graphs, muon
from course_utils.models import VAE
from course_utils.training import History

EPOCHS = 3


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round()


def files(project: Path) -> list[Path]:
    return sorted((project / "build" / "models").glob("*"))


def train(fit, images: Tensor, **settings) -> tuple[nn.Module, History, Tensor]:
    """A training, its record, and the random number that the lesson draws next."""
    torch.manual_seed(0)
    model = VAE(2)
    loss = settings.pop("loss", objectives.negative_elbo)
    history = fit(model, images, loss, **{"epochs": EPOCHS, "batch_size": 16, "seed": 1, **settings})
    return model, history, torch.randn(3)


def assert_same(one, other) -> None:
    for a, b in zip(one[0].parameters(), other[0].parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert (one[1].train, one[1].test) == (other[1].train, other[1].test)
    torch.testing.assert_close(one[2], other[2], rtol=0, atol=0)


class Stopped(Exception):
    """The kernel died."""


def interrupted(images: Tensor, step: int, **settings) -> None:
    """A kept training that dies in the loss of one step."""
    calls = 0
    true_kl = objectives.gaussian_kl

    def dying(mu: Tensor, logvar: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == step:
            raise Stopped
        return true_kl(mu, logvar)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(objectives, "gaussian_kl", dying)
        train(cache.fit, images, **settings)


# --- a training is done once --------------------------------------------------------------------------


def test_a_kept_training_is_that_of_the_fast_path_the_second_time_too(images):
    """With the same random numbers after it, and the model in evaluation mode."""
    first, second, plain = (train(fit, images) for fit in (cache.fit, cache.fit, fast.fit))
    assert_same(first, plain)
    assert_same(second, plain)
    assert not second[0].training


def test_the_second_time_takes_no_step_and_says_so(images, capsys, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    train(cache.fit, images)
    monkeypatch.setattr(torch.optim.Adam, "step", None)
    train(cache.fit, images)
    assert (
        "Trained before, taken from the cache (trainings in build/models: 1, 4 MB; "
        "`course cache --empty` deletes them)." in capsys.readouterr().out
    )


def test_a_training_that_lies_with_the_data_is_everybody_s(images, project, monkeypatch):
    """Where a hub says so; what a student trains is kept in a folder of their own."""
    first = train(cache.fit, images)
    (project / "data").mkdir()
    (project / "build" / "models").rename(project / "data" / "models")
    own = project.with_name(f"{project.name}-own")
    monkeypatch.setenv("COURSE_BUILD", str(own))
    assert_same(train(cache.fit, images), first)
    assert not own.exists()
    train(cache.fit, images, seed=2)
    assert f"trainings in {own / 'models'}: 1" in cache.summary()


def rising(top: float) -> training.Scheduled:
    """-ELBO with a warm-up."""
    schedule = functools.partial(training.warm_up, share=0.5, top=top)
    return training.Scheduled(objectives.negative_elbo, schedule)


OTHERWISE = {
    "seed": {"seed": 2},
    "epochs": {"epochs": 2},
    "batch size": {"batch_size": 8},
    "learning rate": {"learning_rate": 2e-3},
    "schedule": {"loss": rising(1.0)},
    "top of the schedule": {"loss": rising(2.0)},
    "loss": {"loss": functools.partial(objectives.negative_elbo, beta=2.0)},
}


@pytest.mark.parametrize("settings", quick(OTHERWISE))
def test_another_setting_is_another_training(settings, images, project):
    train(cache.fit, images)
    train(cache.fit, images, **settings)
    assert len(files(project)) == 2


def test_other_data_weights_or_another_pytorch_are_another_training(images, project, monkeypatch):
    for seed, x in ((0, images), (1, images), (0, 1 - images)):
        torch.manual_seed(seed)
        cache.fit(VAE(2), x, objectives.negative_elbo, epochs=1, batch_size=16)
    monkeypatch.setattr(torch, "__version__", "0.0")
    torch.manual_seed(0)
    cache.fit(VAE(2), images, objectives.negative_elbo, epochs=1, batch_size=16)
    assert len(files(project)) == 4


TRAINING = [models, objectives, training, fast, graphs, muon]


@pytest.mark.parametrize("module", quick({module.__name__: module for module in TRAINING}))
def test_an_edit_of_what_trains_makes_kept_trainings_invalid(module, images, project, monkeypatch):
    train(cache.fit, images)
    source = cache._source
    monkeypatch.setattr(cache, "_source", lambda m: source(m) + "# edited" * (m is module))
    train(cache.fit, images)
    assert len(files(project)) == 2


# --- what a key sees of a student's code ----------------------------------------------------------------


def key(loss, images: Tensor) -> str:
    torch.manual_seed(0)
    return cache._key(VAE(2), images=images, loss=loss)


def define(source: str) -> dict:
    """A cell of a notebook, run."""
    names = {"__name__": "__main__", "objectives": objectives, "nn": nn, "VAE": VAE}
    exec(compile(source, f"cell {len(source)}", "exec"), names)
    return names


CELL = """
beta = 1.0
def kl(mu, logvar):
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)
def loss(model, x):
    weigh = lambda value: beta * value
    return weigh(kl(*model.encode(x)).sum())
"""


def test_the_same_cell_has_the_same_key_whatever_its_comments_and_blank_lines(images):
    commented = CELL.replace("def kl", "# the divergence\n\ndef kl")
    assert len({key(define(cell)["loss"], images) for cell in (CELL, CELL, commented)}) == 1


THROUGH_A_MODULE = "def loss(model, x):\n    return tool.loss(model, x)\n"


def test_a_module_has_the_same_key_before_and_after_it_is_loaded(images):
    class Lazy(types.ModuleType):
        """As a module is that `course_utils.later` has not loaded yet."""

    keys = set()
    for kind in (types.ModuleType, Lazy):
        names = define(THROUGH_A_MODULE)
        names["tool"] = kind("tool")
        keys.add(key(names["loss"], images))
    assert len(keys) == 1


def test_a_change_of_a_file_beside_the_notebook_changes_the_key(images, project, monkeypatch):
    monkeypatch.syspath_prepend(project)
    keys = []
    for code in ("beta = 1.0", "beta = 1.0", "beta = 2.0"):
        (project / "tool.py").write_text(code)
        linecache.clearcache()  # as in a kernel that has been restarted
        monkeypatch.delitem(sys.modules, "tool", raising=False)
        names = define(THROUGH_A_MODULE)
        names["tool"] = importlib.import_module("tool")
        keys.append(key(names["loss"], images))
    assert keys[0] == keys[1] != keys[2]


CHANGES = {
    "a global number": ("beta = 1.0", "beta = 2.0"),
    "a function that is called": ("0.5 * ", ""),
    "the loss itself": (".sum()", ".mean()"),
    "a function inside": ("beta * value", "value"),
}


@pytest.mark.parametrize(("old", "new"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_loss_changes_the_key(old, new, images):
    assert key(define(CELL)["loss"], images) != key(define(CELL.replace(old, new))["loss"], images)


MINE = """
class Mine(VAE):
    gain = 1.0
    def __init__(self, d):
        super().__init__(d)
        self.steps = 2
        self.part = nn.Flatten(3)
        self.part.times = 4
    def encode(self, x):
        return super().encode(x + 5)
    @staticmethod
    def shared(x):
        return x + 6
    @classmethod
    def made(cls, x):
        return x + 7
    @property
    def read(self):
        return 8
"""


@pytest.mark.parametrize("number", "12345678")
def test_a_change_of_the_model_s_code_or_of_what_it_holds_changes_the_key(number, images):
    keys = []
    for source in (MINE, MINE, MINE.replace(number, "9")):
        torch.manual_seed(0)
        model = define(source)["Mine"](2)
        keys.append(cache._key(model, images=images, loss=objectives.negative_elbo))
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1.0, 2.0), (np.int64(1), np.int64(2)), (np.ones(2), np.zeros(2)), ({1, 2}, {1, 3}),
        (range(2), range(3)), (torch.ones(2), torch.zeros(2)),
    ],
)  # fmt: skip
def test_what_a_closure_holds_changes_the_key(one, other, images):
    def holding(value):
        return lambda model, x: objectives.negative_elbo(model, x, beta=value)

    assert key(holding(one), images) == key(holding(copy.deepcopy(one)), images)
    assert key(holding(one), images) != key(holding(other), images)


# --- an interrupted training goes on --------------------------------------------------------------------

STEPS = 3  # of 16, 16 and 8 images


@pytest.mark.parametrize("step", [1, STEPS + 2, 3 * STEPS], ids=["first epoch", "second", "last step"])
def test_after_an_interruption_the_result_is_the_uninterrupted_one(
    step, images, project, capsys, monkeypatch
):
    """It says where it goes on, and leaves no partial file."""
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    interrupted(images, step)
    assert_same(train(cache.fit, images), train(fast.fit, images))
    said = f"Going on after epoch {(step - 1) // STEPS} of an earlier, interrupted training."
    assert (said in capsys.readouterr().out) == (step > STEPS)
    assert [cache.PARTIAL in file.name for file in files(project)] == [False]


def test_who_stops_a_training_reads_one_line(images, monkeypatch):
    calls = iter([objectives.gaussian_kl] * (STEPS + 1))
    shell = InteractiveShell()

    def interrupted_kl(mu: Tensor, logvar: Tensor) -> Tensor:
        return next(calls, stop)(mu, logvar)

    def stop(*_: Tensor) -> Tensor:
        raise KeyboardInterrupt

    monkeypatch.setattr(objectives, "gaussian_kl", interrupted_kl)
    shown: list[str] = []
    monkeypatch.setattr(shell, "_showtraceback", lambda kind, value, lines: shown.extend(lines))
    shell.push({"train": lambda: train(cache.fit, images, epochs=2)})
    assert not shell.run_cell("train()").success
    assert shown == ["Stopped. 1 of 2 epochs are kept: run the cell again to go on."]


QUICK = {"schedule": fast.one_cycle, "betas": (0.9, 0.99), "batch_size": [8, 16, 20, 40]}
RISING = {"loss": rising(2.0), "test_images": torch.ones(5, 1, 28, 28)}  # judged by a call more each epoch


@pytest.mark.parametrize("settings", [RISING, QUICK, QUICK | {"muon": True}], ids=["rising", "quick", "muon"])
def test_it_survives_two_interruptions_with_test_images_and_schedules(settings, images):
    settings = settings | {"epochs": 4}
    interrupted(images, STEPS + 3, **settings)
    interrupted(images, STEPS + 3, **settings)
    assert_same(train(cache.fit, images, **settings), train(fast.fit, images, **settings))


# --- files that are not what was written -----------------------------------------------------------------


DAMAGE = {
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "one bit": lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
    "a pickle": lambda content: b"\x80\x04\x95" + content,
    "another record": lambda content: content.replace(b'"seconds": [', b'"seconds": [1', 1),
}


@pytest.mark.parametrize("damage", quick(DAMAGE))
def test_a_damaged_file_is_noticed_and_the_training_done_anew(damage, images, project, capsys, monkeypatch):
    """Where nobody watches, nothing is said of a good one."""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    good = train(cache.fit, images)
    (file,) = files(project)
    content = file.read_bytes()
    assert damage(content) != content
    file.write_bytes(damage(content))
    assert_same(train(cache.fit, images), good)
    assert capsys.readouterr().out.count("is damaged and left aside") == 1
    train(cache.fit, images)
    assert capsys.readouterr().out == ""


def test_a_file_under_another_s_key_is_noticed(images, project, capsys):
    train(cache.fit, images, seed=1)
    (first,) = files(project)
    train(cache.fit, images, seed=2)
    (second,) = set(files(project)) - {first}
    second.write_bytes(first.read_bytes())
    train(cache.fit, images, seed=2)
    assert "is damaged and left aside" in capsys.readouterr().out


def test_a_full_disk_costs_no_training_and_is_said_once_per_file(images, project, capsys, monkeypatch):
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert_same(train(cache.fit, images), train(fast.fit, images))
    assert capsys.readouterr().out.count("This training is not kept.") == 2
    assert not files(project)


def test_a_write_that_is_cut_off_leaves_the_file_before_it(project, monkeypatch):
    file = project / "model.training"
    cache._write(file, "key", {"weight": torch.ones(2)})
    monkeypatch.setattr(files_.os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cache._write(file, "key", {"weight": torch.zeros(2)})
    assert cache._read(file, "key")["weight"].tolist() == [1, 1]
    assert list(project.glob(".*.part")) == []


def test_emptying_deletes_every_training(images, project):
    interrupted(images, STEPS + 2)
    assert cache.empty() == 1
    assert files(project) == []

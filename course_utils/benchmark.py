"""`course bench`: the course's loops beside a textbook loop and a library, in one run.

Four ways to train one network on one objective (batch 128, Adam 1e-3, 20 epochs, unless said):

- textbook: torchvision's data set, one image at a time through ToTensor and a DataLoader, and three
  `.item()` per step for the running averages;
- pythae (Chadebec, Vincent & Allassonnière 2022, arXiv:2206.08309), where it is installed, on the very
  same layers;
- plain: `training.fit`;
- fast: `fast.fit`, at the plain settings for the time of an epoch, by `RECIPES` for the curve.

Each lives in a process of its own, so that its memory can be told from the others'. Epochs are timed in
rounds, one contestant after the other, so that whatever else the machine does meets all of them; a round
trains for two epochs and counts the second, and the figures are medians over rounds. Judging the model is
not timed, but for one figure of its own: what the importance-weighted estimate of log p(x) takes, beside
the time of its matrix products alone. What is measured is kept at once in `build/bench/`, and a call after
an interruption measures what is missing.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torch.utils.flop_counter import FlopCounterMode

from course_utils import data, evaluation, fast, models, objectives, plotting, settings, training
from course_utils.data import Dataset
from course_utils.models import Model
from course_utils.plotting import Picture

FILE = Path("docs") / "bench.json"
KINDS: dict[str, type[nn.Module]] = {"VAE": models.VAE, "ConvVAE": models.ConvVAE}
EPOCHS = 20
BATCH = 128
ROUNDS = 5

WEIGHED = 500  # test images whose likelihood is estimated, with
SAMPLES = 1000  # importance samples each

# Where the fast path may choose: few epochs, a higher learning rate, batches that grow.
RECIPES: dict[str, dict[str, Any]] = {
    "VAE": {"batch_size": [128] + [256] * 3 + [512] * 3, "learning_rate": 5e-3},
    "ConvVAE": {"batch_size": [128] * 7, "learning_rate": 5e-3},
}


class Laps:
    """A watch that is stopped while the model is judged. Serves as the checkpoint of a training."""

    def __init__(self, test_images: Tensor | None) -> None:
        self.test_images = test_images
        self.seconds: list[float] = []
        self.negative_elbo: list[float] = []
        self.running_since = time.perf_counter()

    def lap(self, model: Model) -> None:
        """An epoch is over."""
        before = self.seconds[-1] if self.seconds else 0.0
        self.seconds.append(before + time.perf_counter() - self.running_since)
        if self.test_images is not None:
            judged = evaluation.test_elbo(model, self.test_images, model_name="", data_name="")
            self.negative_elbo.append(judged.negative_elbo.mean)
            model.train()
        self.running_since = time.perf_counter()

    def restore(self, state: training.State) -> None:
        """Nothing to go on from."""

    def save(self, state: training.State) -> None:
        """The training loop calls this after every epoch."""
        self.lap(state.model)


# --- the contestants ------------------------------------------------------------------------------------


class Pictures(TorchDataset):
    """Images kept and handed out as torchvision's MNIST does it, for data that torchvision does not have."""

    def __init__(self, dataset: Dataset, transform: Callable[[Image.Image], Tensor]) -> None:
        self.pixels = (255 * dataset.train_images[:, 0]).round().to(torch.uint8)
        self.labels, self.transform = dataset.train_labels, transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.pixels[index].numpy(), mode="L")
        return self.transform(picture), int(self.labels[index])


def textbook(model: Model, dataset: Dataset, epochs: int, laps: Laps) -> None:
    """The loop that most tutorials show."""
    vision = data.torchvision()
    from torchvision import datasets, transforms  # after data.torchvision has made it importable

    assert vision
    pictures: Any = Pictures(dataset, transforms.ToTensor())
    if dataset.name == "mnist":
        pictures = datasets.MNIST(str(settings.data_folder()), train=True, transform=transforms.ToTensor())
    loader = DataLoader(pictures, batch_size=BATCH, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    device = next(model.parameters()).device
    for _ in range(epochs):
        totals = [0.0, 0.0, 0.0]
        for x, _label in loader:
            terms = objectives.negative_elbo(model, x.to(device))
            optimizer.zero_grad()
            terms.loss.backward()
            optimizer.step()
            totals = [total + term.item() * len(x) for total, term in zip(totals, terms, strict=True)]
        laps.lap(model)


def pythae(model: Model, dataset: Dataset, epochs: int, laps: Laps) -> None:
    """The library's own trainer and loss around the layers of `model`."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE as PythaeVAE
    from pythae.models import VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Encoder(BaseEncoder):
        def forward(self, x: Tensor) -> ModelOutput:
            mu, logvar = model.encode(x)
            return ModelOutput(embedding=mu, log_covariance=logvar)

    class Decoder(BaseDecoder):
        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=model.decode(z).sigmoid())

    class Watch(TrainingCallback):
        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            laps.lap(model)

    encoder, decoder = Encoder(), Decoder()
    encoder.layers = model  # registers the weights, once
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=model.latent_dim, reconstruction_loss="bce")
    vae = PythaeVAE(config, encoder=encoder, decoder=decoder)
    with tempfile.TemporaryDirectory() as folder:
        settings_ = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=epochs,
            per_device_train_batch_size=BATCH,
            learning_rate=1e-3,
            optimizer_cls="Adam",
            no_cuda=next(model.parameters()).device.type != "cuda",
        )
        trainer = BaseTrainer(
            vae, BaseDataset(dataset.train_images, dataset.train_labels), training_config=settings_,
            callbacks=[Watch()],
        )  # fmt: skip
        laps.running_since = time.perf_counter()
        trainer.train()


def plain(model: Model, dataset: Dataset, epochs: int, laps: Laps) -> None:
    """The loop that students read."""
    training.fit(
        model,
        dataset.train_images,
        objectives.negative_elbo,
        epochs=epochs,
        batch_size=BATCH,
        checkpoint=laps,
    )


def quick(model: Model, dataset: Dataset, epochs: int, laps: Laps) -> None:
    """The fast path: at the plain settings for a round, by its recipe for a curve."""
    settings_: dict[str, Any] = {"epochs": epochs, "batch_size": BATCH}
    if epochs == EPOCHS:
        recipe = RECIPES[type(model).__name__]
        fast.start(model, dataset.train_images)
        settings_ = {
            **recipe, "epochs": len(recipe["batch_size"]), "betas": (0.9, 0.99), "schedule": fast.one_cycle,
        }  # fmt: skip
    fast.fit(
        model, dataset.train_images, objectives.negative_elbo, checkpoint=laps,
        precision=fast.best_precision(dataset.train_images.device), **settings_,
    )  # fmt: skip


CONTESTANTS = {"textbook": textbook, "pythae": pythae, "plain": plain, "fast": quick}


# --- in a contestant's process --------------------------------------------------------------------------


def _start(threads: int) -> None:
    torch.set_num_threads(threads)
    os.environ["TQDM_DISABLE"] = "1"


def _train(name: str, kind: str, data_name: str, epochs: int, seed: int, judge: bool) -> dict[str, Any]:
    """Seconds after each epoch, -ELBO on test images after each if asked, and the process's memory."""
    device = settings.device()
    dataset = data.load(data_name, download=False).to(device)
    torch.manual_seed(seed)
    model = KINDS[kind]().to(device)
    laps = Laps(dataset.test_images if judge else None)
    with open(os.devnull, "w") as nowhere:  # pythae reports to both
        kept, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), nowhere, nowhere
        try:
            # Importing `fast` has prepared this thread's workers. A thread of its own has those of anybody.
            with ThreadPoolExecutor(1) as own:
                run = CONTESTANTS[name]
                if name == "fast":
                    run(model, dataset, epochs, laps)
                else:
                    own.submit(run, model, dataset, epochs, laps).result()
        finally:
            sys.stdout, sys.stderr = kept
    return {"seconds": laps.seconds, "negative_elbo": laps.negative_elbo, "memory": _memory()}


def _memory() -> float | None:
    """The most memory this process has held, GiB; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _limits(kind: str) -> dict[str, float]:
    """Rates of matrix products, in operations per second, and the operations of one epoch of training."""
    device = settings.device()
    model = KINDS[kind]().to(device)
    x = torch.rand(BATCH, 1, 28, 28, device=device)
    with FlopCounterMode(display=False) as counter:
        objectives.negative_elbo(model, x).loss.backward()
    return {
        "float32": fast.product_rate(device, torch.float32, (1024, 1024, 1024)),
        "bfloat16": fast.product_rate(device, torch.bfloat16, (1024, 1024, 1024)),
        "operations_per_image": counter.get_total_flops() / BATCH,
    }


def _weigh(kind: str, data_name: str) -> dict[str, float]:
    """Seconds of an importance-weighted estimate of log p(x), and the operations of its products."""
    device = settings.device()
    images = evaluation.binarize(data.load(data_name, download=False).test_images[:WEIGHED].to(device))
    model: Model = KINDS[kind]().to(device)
    z = torch.zeros(1, model.latent_dim, device=device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.decode(z)
    started = time.perf_counter()
    evaluation.log_likelihood(model, images, samples=SAMPLES)
    return {
        "seconds": time.perf_counter() - started,
        "operations": counter.get_total_flops() * len(images) * SAMPLES,
    }


# --- the run --------------------------------------------------------------------------------------------


def measure(kind: str, data_name: str, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """All figures for one network, kept in `folder` as they come; what is there already is not repeated.

    Raises CourseError for an unknown network.
    """
    settings.one_of("network", kind, list(KINDS))
    file = folder / f"{kind}-{data_name}.json"
    figures: dict[str, Any] = _kept(file)
    here = {"torch": torch.__version__, "machine": _machine()}
    if figures.get("here") != here:
        images = len(data.load(data_name, download=False).train_images)
        figures = {
            "here": here, "images": images, "rounds": [], "curves": {}, "date": date.today().isoformat(),
        }  # fmt: skip

    if figures.get("recipe") != RECIPES[kind]:
        figures["recipe"] = RECIPES[kind]
        figures["curves"].pop("fast", None)

    names = [name for name in CONTESTANTS if name != "pythae" or _has_pythae()]
    if "pythae" not in names:
        say("pythae is not installed: left out (`make bench` installs it).")
    threads = torch.get_num_threads()
    spawn = multiprocessing.get_context("spawn")
    pools = {name: ProcessPoolExecutor(1, spawn, _start, (threads,)) for name in names}
    try:
        while len(figures["rounds"]) < ROUNDS:
            row: dict[str, Any] = {
                "limits": pools["fast"].submit(_limits, kind).result(),
                "weighing": pools["fast"].submit(_weigh, kind, data_name).result(),
            }
            for name in names:
                row[name] = pools[name].submit(_train, name, kind, data_name, 2, 0, False).result()
                say(f"round {len(figures['rounds']) + 1}, {name}: {_second_epoch(row[name]):.2f} s per epoch")
            figures["rounds"].append(row)
            _keep(file, figures)
        for name in names:
            if name not in figures["curves"]:
                curve = pools[name].submit(_train, name, kind, data_name, EPOCHS, 0, True).result()
                figures["curves"][name] = curve
                say(f"{name}: {curve['negative_elbo'][-1]:.2f} nats after {curve['seconds'][-1]:.0f} s")
                _keep(file, figures)
    finally:
        for pool in pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
    return figures


def _has_pythae() -> bool:
    import importlib.util

    return importlib.util.find_spec("pythae") is not None


def _machine() -> str:
    """The processor, as the system names it, and how many cores there are."""
    name = platform.processor() or platform.machine()
    with_model = Path("/proc/cpuinfo")
    if with_model.is_file():
        lines = with_model.read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{gpu}"


def _kept(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _keep(file: Path, figures: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    os.replace(part, file)


# --- what it comes to -----------------------------------------------------------------------------------


def _second_epoch(round_: dict[str, Any]) -> float:
    first, second = round_["seconds"]
    return second - first


def seconds_per_epoch(figures: dict[str, Any], name: str) -> float:
    """The median over rounds."""
    return statistics.median(_second_epoch(row[name]) for row in figures["rounds"])


def speed_up(figures: dict[str, Any], slow: str, quick: str) -> float:
    """The median over rounds of the ratio of two contestants' times for one epoch."""
    return statistics.median(_second_epoch(r[slow]) / _second_epoch(r[quick]) for r in figures["rounds"])


def seconds_to(curve: dict[str, Any], target: float) -> float | None:
    """When the curve first comes down to `target` nats, at the end of an epoch; None if never."""
    pairs = zip(curve["seconds"], curve["negative_elbo"], strict=True)
    return next((seconds for seconds, nats in pairs if nats <= target), None)


def share_of_limit(figures: dict[str, Any], name: str) -> float:
    """Operations that an epoch needs over what the machine's float32 products would do in its time."""
    images = figures["images"]
    return statistics.median(
        row["limits"]["operations_per_image"] * images / _second_epoch(row[name]) / row["limits"]["float32"]
        for row in figures["rounds"]
    )


def cost_of_weighing(figures: dict[str, Any]) -> float:
    """What the estimate of log p(x) takes, in times what its float32 products alone would."""
    return statistics.median(
        row["weighing"]["seconds"] * row["limits"]["float32"] / row["weighing"]["operations"]
        for row in figures["rounds"]
    )


def target(figures: dict[str, Any]) -> float:
    """Where the textbook loop ends: nats per test image after its last epoch."""
    return figures["curves"]["textbook"]["negative_elbo"][-1]


def chart(kind: str, figures: dict[str, Any]) -> Picture:
    """Time against -ELBO, one curve per contestant, from the end of its first epoch on."""
    curves = {n: (np.array(c["seconds"]), np.array(c["negative_elbo"])) for n, c in figures["curves"].items()}
    return plotting.lines(
        curves,
        f"{kind}: how soon each training comes how far",
        "seconds of training",
        "test -ELBO, nats per image",
        level=("where the textbook loop ends", target(figures)),
        log_x=True,
    )


@dataclass(frozen=True)
class Loop:
    """What one contestant comes to.

    Seconds per epoch at the plain settings, how many times the textbook loop's speed that is, the share of
    the machine's float32 products; then, for its own training, nats per test image at the end, seconds to
    where the textbook loop ends (None: never), and the most memory its process held, GiB.
    """

    name: str
    seconds: float
    speed_up: float
    share: float
    nats: float
    seconds_to_target: float | None
    memory: float | None

    def cells(self) -> tuple[str, ...]:
        """What `Summary.columns` say."""
        return (
            self.name,
            f"{self.seconds:.2f}",
            f"{self.speed_up:.1f}",
            f"{self.share:.0%}",
            f"{self.nats:.2f}",
            "not reached" if self.seconds_to_target is None else f"{self.seconds_to_target:.0f}",
            "unknown" if self.memory is None else f"{self.memory:.2f}",
        )


@dataclass(frozen=True)
class Summary:
    """One network's figures, as they are printed and quoted; rates in operations per second."""

    kind: str
    data: str
    machine: str
    date: str
    target: float
    float32: float
    bfloat16: float
    weighing: float
    loops: tuple[Loop, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (
            "loop", "s per epoch", "times textbook", "share of float32 limit", "test -ELBO",
            f"s to {self.target:.2f} nats", "GiB",
        )  # fmt: skip

    def loop(self, name: str) -> Loop:
        return next(loop for loop in self.loops if loop.name == name)

    @property
    def sooner(self) -> float | None:
        """How many times sooner than the textbook loop the fast path is where that ends; None: never."""
        slow, quick = (self.loop(name).seconds_to_target for name in ("textbook", "fast"))
        return slow / quick if slow and quick else None

    def sentence(self) -> str:
        """What README and terminal say below the table."""
        sooner = "never" if self.sooner is None else f"{self.sooner:.1f} times sooner than the textbook loop"
        return (
            f"{self.kind} on {self.data}: the fast path reaches {self.target:.2f} nats {sooner}. "
            f"Matrix products: {self.float32 / 1e9:.0f} GFLOP/s in float32, "
            f"{self.bfloat16 / 1e9:.0f} in bfloat16; an importance-weighted log p(x) takes "
            f"{self.weighing:.1f} times its products alone. ({self.machine}, {self.date})"
        )

    def markdown(self) -> str:
        """The table and the sentence."""
        rows = [self.columns, ("---",) * len(self.columns), *(loop.cells() for loop in self.loops)]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
        return f"{table}\n\n{self.sentence()}"


def summary(kind: str, data_name: str, figures: dict[str, Any]) -> Summary:
    """What the figures of one network come to."""
    level = target(figures)
    return Summary(
        kind,
        data_name,
        figures["here"]["machine"],
        figures["date"],
        level,
        statistics.median(row["limits"]["float32"] for row in figures["rounds"]),
        statistics.median(row["limits"]["bfloat16"] for row in figures["rounds"]),
        cost_of_weighing(figures),
        tuple(
            Loop(
                name,
                seconds_per_epoch(figures, name),
                speed_up(figures, "textbook", name),
                share_of_limit(figures, name),
                curve["negative_elbo"][-1],
                seconds_to(curve, level),
                curve["memory"],
            )
            for name, curve in figures["curves"].items()
        ),
    )


def store(found: list[Summary], root: Path) -> None:
    """Keep the figures where the README quotes them from."""
    text = json.dumps([asdict(one) for one in found], indent=1)
    (root / FILE).write_text(text + "\n", encoding="utf-8")


def stored(root: Path) -> list[Summary]:
    """The figures of the last stored run, none if there is none."""
    path = root / FILE
    if not path.is_file():
        return []
    return [
        Summary(**{**one, "loops": tuple(Loop(**loop) for loop in one["loops"])})
        for one in json.loads(path.read_text("utf-8"))
    ]

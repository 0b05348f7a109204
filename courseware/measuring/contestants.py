"""The ways to train one network that `loops` times: each gets a model, data, epochs and a watch.

Batches of 128 and Adam at 0.001, unless said; the tuned ones have a rate chosen on validation images, and
workers, which give a GPU pinned memory where the library can. pythae is Chadebec, Vincent & Allassonnière
2022 (arXiv:2206.08309).
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.benchmark import Timer
from torch.utils.data import DataLoader

from course_utils import data, evaluation, models, objectives, settings, training
from course_utils.data import Dataset
from course_utils.engine import fast
from course_utils.models import Model, device_of
from courseware.measuring import literature

KINDS: dict[str, Callable[[], Model]] = {"VAE": models.VAE, "ConvVAE": models.ConvVAE}
BATCH = 128
RATES = (5e-4, 1e-3, 2e-3, 4e-3)  # from which a tuned one is chosen
GAIN = 1.3  # a product has to be so much faster: autocast spends some of it on conversions

# Where the fast path may choose: few epochs, a higher learning rate, batches that grow, Muon. The ConvVAE has
# no use for Muon, nor for fewer epochs: three end, on images held out, at 104.1 to 104.5 nats with Adam in
# batches of 32 to 128, at 104.5 to 105.1 with Muon for its convolutions, at 105.5 to 107.3 for all matrices.
RECIPES: dict[str, dict[str, Any]] = {
    "VAE": {"batch_size": [256] * 3 + [512], "learning_rate": 8e-3, "muon": True},
    "ConvVAE": {"batch_size": [128] * 5, "learning_rate": 1e-2},
}
# What a recipe may lack, to see what each part buys; epochs stay as many.
LACKING: dict[str, dict[str, Any]] = {
    "without Muon": {"muon": False},
    "at a rate of 0.001 that stays": {"learning_rate": 1e-3, "schedule": None},
    "with Adam's usual memory": {"betas": (0.9, 0.999)},
    "from the usual biases": {"start": False},
}


class How(NamedTuple):
    """What may differ between two trainings of a contestant; `rate` is not for the fast path's own recipe."""

    seed: int = 0
    rate: float = 1e-3
    workers: int = 0  # that load data
    lacking: str = ""  # a part of its own recipe, one of LACKING


class Laps(training.Observer):
    """A watch that is stopped while the model is judged, after every epoch."""

    def __init__(self, test_images: Tensor | None) -> None:
        self.test_images = test_images
        self.seconds: list[float] = []
        self.negative_elbo: list[float] = []
        self.running_since = time.perf_counter()

    def lap(self, model: Model) -> None:
        self.seconds.append(sum(self.seconds[-1:]) + time.perf_counter() - self.running_since)
        if self.test_images is not None:
            judged = evaluation.test_elbo(model, self.test_images, model_name="", data_name="")
            self.negative_elbo.append(judged.negative_elbo.mean)
            model.train()
        self.running_since = time.perf_counter()

    def epoch(self, state: training.State) -> None:
        self.lap(state.model)


def pictures(dataset: Dataset) -> Any:
    """torchvision's own MNIST, which makes a PIL image and a tensor for one index, of these images."""
    data.torchvision()  # makes it importable
    from torchvision import datasets, transforms

    made = object.__new__(datasets.MNIST)  # its __init__ reads files
    made.data = (255 * dataset.train_images[:, 0]).round().to(torch.uint8).cpu()
    made.targets = dataset.train_labels.cpu()
    made.transform, made.target_transform = transforms.ToTensor(), None
    return made


def textbook(model: Model, dataset: Dataset, epochs: int, laps: Laps, how: How) -> None:
    """The loop that most tutorials show: a PIL image at a time, and three `.item()` per step."""
    torch.manual_seed(how.seed)
    device, many = device_of(model), how.workers > 0
    usual: Any = {"persistent_workers": many, "pin_memory": many and device.type == "cuda"}
    if many and sys.platform == "linux":  # as in a script; a process that was spawned would spawn
        usual["multiprocessing_context"] = "fork"
    loader = DataLoader(pictures(dataset), BATCH, shuffle=True, num_workers=how.workers, **usual)
    optimizer = torch.optim.Adam(model.parameters(), lr=how.rate)
    for _ in range(epochs):
        totals = [0.0, 0.0, 0.0]
        for x, _label in loader:
            terms = objectives.negative_elbo(model, x.to(device, non_blocking=many))
            optimizer.zero_grad()
            terms.loss.backward()
            optimizer.step()
            totals = [total + term.item() * len(x) for total, term in zip(totals, terms, strict=True)]
        laps.lap(model)


def pythae(model: Model, dataset: Dataset, epochs: int, laps: Laps, how: How) -> None:
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
    plan: Any = {"num_epochs": epochs, "per_device_train_batch_size": BATCH, "seed": how.seed}
    plan |= {"learning_rate": how.rate, "train_dataloader_num_workers": how.workers}
    plan |= {"no_cuda": not dataset.train_images.is_cuda}
    with tempfile.TemporaryDirectory() as folder:
        given = dataset.to(torch.device("cpu")) if how.workers else dataset
        images = BaseDataset(given.train_images, given.train_labels)
        config = BaseTrainerConfig(output_dir=folder, **plan)
        trainer = BaseTrainer(vae, images, training_config=config, callbacks=[Watch()])
        laps.running_since = time.perf_counter()
        trainer.train()


def plain(model: Model, dataset: Dataset, epochs: int, laps: Laps, how: How) -> None:
    """The loop that students read."""
    images, loss = dataset.train_images, objectives.negative_elbo
    plan: Any = {"batch_size": BATCH, "learning_rate": how.rate, "seed": how.seed}
    training.fit(model, images, loss, epochs=epochs, observers=[laps], **plan)


def quick(model: Model, dataset: Dataset, epochs: int, laps: Laps, how: How, **recipe: Any) -> None:
    """The fast path, at the plain settings unless told otherwise."""
    images, loss = dataset.train_images, objectives.negative_elbo
    recipe["precision"] = best_precision(images.device)
    fast.fit(model, images, loss, epochs=epochs, seed=how.seed, observers=[laps], **recipe)


def by_recipe(model: Model, dataset: Dataset, _epochs: int, laps: Laps, how: How) -> None:
    """The fast path as it is meant to be used: `RECIPES` say how long it takes."""
    given = RECIPES[type(model).__name__]
    schedule = fast.early_peak if given.get("muon") else fast.one_cycle
    recipe: dict[str, Any] = (
        {"start": True, "betas": (0.9, 0.99), "schedule": schedule} | given | LACKING.get(how.lacking, {})
    )
    if recipe.pop("start"):
        fast.start(model, dataset.train_images)
    quick(model, dataset, len(recipe["batch_size"]), laps, how, **recipe)


# For the time of an epoch, and for the way to a good model.
EQUAL = {"textbook": textbook, "textbook, tuned": textbook, "pythae": pythae, "pythae, tuned": pythae}
EQUAL |= {"plain": plain, "fast": quick}
OWN = {**EQUAL, "fast": by_recipe}


def product_rate(
    device: torch.device, precision: torch.dtype, shape: tuple[int, int, int] = (256, 784, 512)
) -> float:
    """Operations per second in products (n, k) (k, m) of `shape`, the limit of what a training can reach."""
    n, k, m = shape
    draw = partial(torch.randn, device=device, dtype=precision)
    timer = Timer("a @ b", globals={"a": draw(n, k), "b": draw(k, m)}, num_threads=torch.get_num_threads())
    return 2 * n * k * m / timer.blocked_autorange(min_run_time=0.1).median


def best_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where this machine multiplies matrices in it clearly faster, float32 elsewhere."""
    # Measured, not looked up: processors exist that have the instructions and lose by them.
    rates = {p: product_rate(device, p) for p in (torch.float32, torch.bfloat16)}
    return torch.bfloat16 if rates[torch.bfloat16] > GAIN * rates[torch.float32] else torch.float32


def train(
    name: str, kind: str, data_name: str, epochs: int, how: How, *, judge: bool = True, choosing: bool = False
) -> dict[str, Any]:
    """Seconds after each epoch, the most GiB held, and -ELBO on test images after each epoch if it is to be
    judged: then each trains in its own way, otherwise at equal settings. A training that is for choosing has
    a part of the training images, and is judged on the rest."""
    os.environ["TQDM_DISABLE"] = "1"  # nobody watches
    device = settings.device()
    dataset = data.load(data_name, download=False).to(device)
    dataset = literature.for_choices(dataset) if choosing else dataset
    torch.manual_seed(how.seed)
    model = KINDS[kind]().to(device)
    laps = Laps(dataset.test_images if judge else None)
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):  # for pythae
        (OWN if judge else EQUAL)[name](model, dataset, epochs, laps, how)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
    return {"seconds": laps.seconds, "negative_elbo": laps.negative_elbo, "memory": most}

"""What a run of the course is allowed to cost, and where it runs.

Four environment variables, read here, and the second of them where data are loaded:

- `COURSE_BUDGET`: `smoke`, `laptop` (the default) or `full`;
- `COURSE_DATASET`: which images the lessons use; unset, MNIST where its files are already in the data folder
  and the embedded `digits` where they are not, so that nothing is downloaded unasked;
- `COURSE_DATA`: the folder with data sets in torchvision's layout, `data/` in the project by default;
- `COURSE_BUILD`: the folder for kept trainings and a student's standing, `build/` in the project by default.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class CourseError(Exception):
    """Something the reader can put right; the message is one sentence that says how."""

    def _render_traceback_(self) -> list[str]:
        """IPython shows this instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Budget:
    """How much of the full course one run may do; the same cells run under each budget.

    `train_images` and `test_images` cap the data (None: all of it), `epoch_share` scales the number of
    epochs, `importance_samples` is K in the importance-weighted estimates of log p(x).
    """

    name: str
    train_images: int | None
    test_images: int | None
    epoch_share: float
    importance_samples: int

    def epochs(self, full: int) -> int:
        """Epochs under this budget of a training that takes `full` epochs under the full one."""
        return max(1, round(full * self.epoch_share))

    def __str__(self) -> str:
        images = "all images" if self.train_images is None else f"up to {self.train_images:,} images"
        epochs = f"{self.epoch_share:.0%} of the full epochs" if self.epoch_share else "1 epoch each"
        return f"budget '{self.name}': {images}, {epochs}"


BUDGETS = {
    "smoke": Budget("smoke", 640, 256, 0.0, 16),
    "laptop": Budget("laptop", 12_000, 2_000, 0.6, 100),
    "full": Budget("full", None, None, 1.0, 500),
}


def one_of(kind: str, name: str, known: list[str]) -> str:
    """`name` if it is among `known`, otherwise a CourseError that lists what there is."""
    if name not in known:
        raise CourseError(f"There is no {kind} '{name}'; choose one of: {', '.join(known)}.")
    return name


def budget(name: str | None = None) -> Budget:
    """The budget of that name; without one, the budget named by COURSE_BUDGET."""
    return BUDGETS[one_of("budget", name or os.environ.get("COURSE_BUDGET") or "laptop", list(BUDGETS))]


def project_folder() -> Path:
    """The nearest folder upwards that holds the course, or the working folder where there is none."""
    here = Path.cwd()
    return next((up for up in (here, *here.parents) if (up / "nbgrader_config.py").is_file()), here)


def data_folder() -> Path:
    """The folder named by COURSE_DATA, relative to the project, `~` being home; `data/` by default."""
    return project_folder() / Path(os.environ.get("COURSE_DATA") or "data").expanduser()


def build_folder() -> Path:
    """The folder named by COURSE_BUILD, as `data_folder` is; `build/` by default."""
    return project_folder() / Path(os.environ.get("COURSE_BUILD") or "build").expanduser()


def watched() -> bool:
    """Whether somebody is watching: nobody is under TQDM_DISABLE, as in stored runs, nbval and grading."""
    return "TQDM_DISABLE" not in os.environ


def remark(line: str) -> None:
    """Say something about this run that is no result of it; silent where nobody watches."""
    if watched():
        print(line)


def device() -> "torch.device":
    """The fastest device here: CUDA, then Apple's GPU, then the processor."""
    import torch  # here, so that the command line answers at once

    gpus = {"cuda": torch.cuda, "mps": torch.backends.mps}
    return torch.device(next((kind for kind, gpu in gpus.items() if gpu.is_available()), "cpu"))


def device_name() -> str:
    """The CUDA card's own name, or the kind of device."""
    import torch

    kind = device().type
    return torch.cuda.get_device_name() if kind == "cuda" else kind

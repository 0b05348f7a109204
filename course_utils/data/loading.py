"""Images in: real data sets from disk, stand-ins that need no network.

`load` returns plain tensors: a DataLoader that decodes one PIL image at a time costs more than the small
models of this course.

- `mnist`, `fashion-mnist`: torchvision's data sets in `COURSE_DATA`, in any usual layout, downloaded once if
  asked for by name, checked before use.
- `digits` and `garments`: made here, in modules of these names; they stand in for the other two.
"""

import gzip
import hashlib
import http.client
import importlib
import math
import os
import shutil
import socket
import sys
import tempfile
import threading
import urllib.request
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils import settings
from course_utils.data import digits, garments
from course_utils.files import writable
from course_utils.settings import Budget, CourseError

REAL = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}  # our name: torchvision's class and folder
STAND_IN = {"mnist": "digits", "fashion-mnist": "garments"}
SOURCES = {
    "digits": "scikit-learn's handwritten digits, enlarged; a stand-in for MNIST",
    "garments": "drawn by code; a stand-in for Fashion-MNIST",
}
NAMES = ["digits", "mnist", "garments", "fashion-mnist"]

# SHA-256 of MNIST's four files: torchvision verifies archives that it downloads, but not what lies on disk.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
NETWORK_SECONDS = 10


@dataclass(frozen=True)
class Dataset:
    """Images (N, 1, 28, 28) float32 in [0, 1] and labels (N,) int64, for training and for testing."""

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    class_names: tuple[str, ...]
    source: str
    originals: int | None = None  # training images, where all others are variants of these, in their order

    def validation_split(self, share: float = 0.2) -> tuple[Tensor, Tensor]:
        """Row numbers of the training images to train with, and of those to make choices on.

        The latter are a `share` of the originals, the last ones; the former hold no variant of them.
        """
        rows = torch.arange(len(self.train_images))
        originals = min(self.originals or len(rows), len(rows))
        held_out = rows % originals >= round((1 - share) * originals)
        return rows[~held_out], rows[held_out & (rows < originals)]

    def to(self, device: torch.device) -> "Dataset":
        """The same data on `device`."""
        moved: Any = {name: x.to(device) for name, x in vars(self).items() if isinstance(x, Tensor)}
        return replace(self, **moved)

    def __repr__(self) -> str:
        train, test = len(self.train_images), len(self.test_images)
        return f"{self.name}: {train:,} training and {test:,} test images ({self.source})"


def load(name: str, *, download: bool = True, train: int | None = None, test: int | None = None) -> Dataset:
    """The data set `name` on the processor: all of it, or its first `train` and `test` images.

    Raises CourseError for an unknown name, and where files of a real one are damaged or cannot be had.
    """
    settings.one_of("data set", name, NAMES)
    originals = None
    if name == "digits":
        tensors, originals = digits.enlarged(train or digits.MOST), digits.TRAIN
    elif name == "garments":  # no more than wanted: drawing all takes ten seconds
        counts = min(12_000, train or 12_000), min(5_000, test or 5_000)
        tensors = (*garments.draw(counts[0], seed=0), *garments.draw(counts[1], seed=1))
    else:
        if not _files(name):
            if not download:
                raise CourseError(
                    f"{_not_there(name)}: set COURSE_DATASET={name} to have it downloaded, or point "
                    "COURSE_DATA at a folder that holds it."
                )
            _download(name, settings.data_folder())
        # torchvision would prefer a cache of its older versions, if one lies there, to the files checked.
        files = _files(name)
        tensors = (*_split(name, files, "train"), *_split(name, files, "t10k"))
    classes = tuple(map(str, range(10))) if name in ("digits", "mnist") else garments.CLASS_NAMES
    source = SOURCES.get(name, f"real images from {_shown(settings.data_folder())}")
    images, labels, test_images, test_labels = tensors
    training, testing = (images[:train], labels[:train]), (test_images[:test], test_labels[:test])
    return Dataset(name, *training, *testing, classes, source, originals)


def for_lesson(budget: Budget, *, clothing: bool = False) -> Dataset:
    """The data a lesson runs on, cut to the budget, on the device; a stand-in for it is said in one line.

    `clothing` selects Fashion-MNIST where COURSE_DATASET asks for real digits, `garments` where for embedded.
    """
    name = wanted()
    if clothing:
        name = "fashion-mnist" if name in REAL else "garments"
    load_most = partial(load, train=budget.train_images, test=budget.test_images)
    try:
        dataset = load_most(name, download=bool(os.environ.get("COURSE_DATASET")))
    except CourseError as problem:
        if name not in REAL:
            raise
        dataset = load_most(STAND_IN[name])
        print(f"NOT {REAL[name]}: this run uses the stand-in '{dataset.name}'. {problem}")
    dataset = dataset.to(settings.device())
    print(f"{dataset}\n{budget}; device: {settings.device()}")
    return dataset


def wanted(name: str | None = None) -> str:
    """The data set of that name; without one, COURSE_DATASET's; unset, what needs no download."""
    name = name or os.environ.get("COURSE_DATASET") or ("mnist" if _files("mnist") else "digits")
    return settings.one_of("data set", name, NAMES)


def torchvision() -> ModuleType:
    """torchvision, also where its operators do not fit the installed torch.

    The package index has it built for CUDA. Beside a CPU-only torch its operators do not load, and the import
    stops where it describes one (pytorch/vision issues 9077 and 9085). The course needs data sets only, so
    they are then declared, without code, and the import repeated.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as problem:
        if "operator torchvision::" not in str(problem):
            raise
    for module in [m for m in sys.modules if m.partition(".")[0] == "torchvision"]:
        del sys.modules[module]
    for operator in ("nms", "qnms"):
        _DECLARED.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("torchvision")


_DECLARED = torch.library.Library("torchvision", "FRAGMENT")  # declarations die with their Library


def _files(name: str) -> dict[str, Path]:
    """Where the four files of a data set lie, {} unless all do.

    torchvision's layout comes first. The folder of COURSE_DATA may also be a part of it, or hold the files as
    other sites spell and pack them. Both data sets' have the same names: there the folder's own decides.
    """
    folder = settings.data_folder()
    places = [folder / REAL[name] / "raw", folder / REAL[name], folder / "raw", folder]
    fashion = "fashion" in f"{folder.parent.name}/{folder.name}".lower()
    for place in places if fashion == (name == "fashion-mnist") else places[:2]:
        found = {
            file: path
            for file in MNIST_SHA256
            for stem in (file, file.replace("-idx", ".idx"))
            for path in (place / f"{stem}.gz", place / stem)
            if path.is_file()
        }
        if len(found) == len(MNIST_SHA256):
            return found
    return {}


def _not_there(name: str) -> str:
    """What was looked for, and what lies there instead."""
    folder = settings.data_folder()
    inside = sorted(path.name for path in folder.glob("*"))
    holds = f", which holds {', '.join(inside[:5])}{', ...' * (len(inside) > 5)}" if inside else ""
    wanted = f"{REAL[name]}/raw/train-images-idx3-ubyte and three more files, packed (.gz) or not"
    return f"{REAL[name]} is not in {_shown(folder)}{holds} (wanted: {wanted})"


def _shown(folder: Path) -> str:
    """The folder as seen from the project: a stored notebook should not tell where it was executed."""
    try:
        return os.path.relpath(folder, settings.project_folder())
    except ValueError:  # another drive, on Windows
        return str(folder)


def _split(name: str, files: dict[str, Path], kind: str) -> tuple[Tensor, Tensor]:
    """Images and labels of one split; CourseError unless both files are whole and belong together."""
    images = _read(name, files, f"{kind}-images-idx3-ubyte", (28, 28))
    labels = _read(name, files, f"{kind}-labels-idx1-ubyte", ())
    file = files[f"{kind}-labels-idx1-ubyte"]
    if len(images) != len(labels) or not len(images):
        raise _damaged(file, f"goes with {len(images)} images and holds {len(labels)} labels for '{kind}'")
    if labels.max() > 9:
        raise _damaged(file, "holds labels beyond 9")
    return images.unsqueeze(1).float() / 255, labels.long()


def _read(name: str, files: dict[str, Path], file: str, shape: tuple[int, ...]) -> Tensor:
    """The bytes (N, *shape) of a file in MNIST's format: a magic number, N, `shape`, bytes."""
    path = files[file]
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as problem:
        raise _damaged(path, f"cannot be read ({problem})") from None
    header = 4 * (2 + len(shape))
    magic, count, *found = map(int, np.frombuffer(content[:header].ljust(header, b"\0"), ">u4"))
    if (magic, *found, len(content)) != (2049 + len(shape), *shape, header + count * math.prod(shape)):
        raise _damaged(path, "is not a whole MNIST file")
    # A teacher's own subset has another length and no published checksum.
    published = name == "mnist" and count in (10_000, 60_000)
    if published and hashlib.sha256(content).hexdigest() != MNIST_SHA256[file]:
        raise _damaged(path, "is garbled (its checksum is not MNIST's)")
    return torch.from_numpy(np.frombuffer(content[header:], np.uint8).copy()).view(count, *shape)


def _damaged(file: Path, what: str) -> CourseError:
    """What to do is another matter where a folder is everybody's: only the course's own may be deleted."""
    if settings.project_folder() in file.resolve().parents:
        return CourseError(f"{file} {what}; delete the folder {file.parent} and run again to fetch it anew.")
    return CourseError(f"{file} {what}; tell whoever keeps that folder, or point COURSE_DATA at another one.")


def _download(name: str, folder: Path) -> None:
    """Fetch a data set beside its final place and move it there when it is complete."""
    kind = getattr(importlib.import_module(torchvision().__name__ + ".datasets"), REAL[name])
    if not _answers(kind.mirrors[0]):
        raise CourseError(
            f"{_not_there(name)} and no network answers: connect once, or copy the data set there, or choose "
            "the embedded data set with COURSE_DATASET=digits."
        )
    with writable(folder / REAL[name], "point COURSE_DATA at a folder of yours"):
        temporary = tempfile.TemporaryDirectory(prefix=".download-", dir=folder)
    print(f"Downloading {REAL[name]} to {folder} (about 12 to 30 MB, once).")
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(NETWORK_SECONDS)
    try:
        with temporary as part:
            kind(part, download=True)  # verifies each archive's checksum
            shutil.rmtree(folder / REAL[name], ignore_errors=True)
            os.replace(Path(part, REAL[name]), folder / REAL[name])
    except (OSError, RuntimeError, http.client.HTTPException) as problem:
        failed = f"The download of {REAL[name]} failed ({' '.join(str(problem).split())})"
        raise CourseError(f"{failed}; nothing was kept, run again to retry.") from None
    finally:
        socket.setdefaulttimeout(timeout)


def _answers(url: str) -> bool:
    """Whether a server says anything in time; asked by a thread, as looking up a name may heed no timeout."""
    answered = threading.Event()

    def ask() -> None:
        with suppress(OSError, http.client.HTTPException):
            with suppress(urllib.error.HTTPError):  # a refusal is an answer: the network is there
                urllib.request.urlopen(url, timeout=NETWORK_SECONDS).close()
            answered.set()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(NETWORK_SECONDS)
    return answered.is_set()

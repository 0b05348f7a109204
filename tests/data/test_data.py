"""Images in: what the data sets hold, and what happens where they cannot be had."""

import contextlib
import gzip
import hashlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pictures import write_idx
from torch import Tensor

from course_utils import settings
from course_utils.data import Dataset
from course_utils.data import loading as data
from course_utils.settings import CourseError
from courseware import notebooks

FILES = list(data.MNIST_SHA256)
LESSON = settings.BUDGETS["smoke"]


def assert_one_sentence(text: str) -> None:
    assert re.fullmatch(r"[^\n]+\.", text) and not re.search(r"\. [A-Z]", text), text


def all_different(images: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


@pytest.fixture
def no_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """COURSE_DATA names an empty folder."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.setenv("COURSE_DATA", str(folder))
    return folder


@pytest.fixture
def few_garments(monkeypatch: pytest.MonkeyPatch) -> None:
    """`garments` drawn in a moment."""
    draw = data.garments.draw
    monkeypatch.setattr(data.garments, "draw", lambda count, seed: draw(min(count, 40), seed))


# --- every data set ------------------------------------------------------------------------------

EMBEDDED = {
    "digits": lambda: data.load("digits"),
    "garments": lambda: data.load("garments", train=200, test=100),
}
SIZES = {"digits": (11_320, 382), "garments": (200, 100)}


@pytest.fixture(scope="module", params=EMBEDDED)
def embedded(request: pytest.FixtureRequest) -> Dataset:
    return EMBEDDED[request.param]()


def test_an_unknown_data_set_is_refused_with_the_choices(monkeypatch):
    monkeypatch.setenv("COURSE_DATASET", "cifar")
    for refuses in (lambda: data.load("cifar"), lambda: data.for_lesson(LESSON)):
        with pytest.raises(CourseError, match=f"'cifar'.*{', '.join(data.NAMES)}"):
            refuses()


def test_embedded_images_and_labels_are_like_mnist_s(embedded):
    """In the whole range of grey, of ten classes with names, evenly."""
    images, labels = ([getattr(embedded, f"{split}_{what}") for split in ("train", "test")]
                      for what in ("images", "labels"))  # fmt: skip
    for x, y, count in zip(images, labels, SIZES[embedded.name], strict=True):
        assert (x.shape, x.dtype) == ((count, 1, 28, 28), torch.float32)
        assert (y.shape, y.dtype) == ((count,), torch.int64)
        assert ((x >= 0) & (x <= 1)).all()
    assert images[0].min() == 0 and images[0].flatten(1).amax(1).mean() > 0.7
    counts = labels[0].bincount(minlength=10)
    assert len(counts) == 10 and counts.min() > 0.9 * counts.float().mean()
    assert len(set(embedded.class_names)) == 10


def test_embedded_data_comes_out_the_same_every_time_by_no_one_s_random_state(embedded):
    before = torch.get_rng_state().numpy(), np.random.get_state()
    assert torch.equal(EMBEDDED[embedded.name]().train_images, embedded.train_images)
    np.testing.assert_equal((torch.get_rng_state().numpy(), np.random.get_state()), before)


def test_no_embedded_test_image_is_a_training_image(embedded):
    assert not all_different(embedded.test_images) & all_different(embedded.train_images)


def test_a_data_set_moves_as_a_whole(embedded):
    moved = embedded.to(torch.device("meta"))
    for now, before in zip(vars(moved).values(), vars(embedded).values(), strict=True):
        if isinstance(before, Tensor):
            assert (now.device.type, now.shape) == ("meta", before.shape)
        else:
            assert now == before


def test_no_variant_of_an_image_to_choose_with_is_trained_on():
    dataset = data.load("digits")
    train, held_out = dataset.validation_split()
    originals = dataset.originals
    assert len(held_out) == round(originals / 5) and held_out.max() < originals
    assert not set((train % originals).tolist()) & set(held_out.tolist())
    assert len(train) == 8 * (originals - len(held_out))  # with all seven variants


def test_a_split_for_choices_takes_every_image_that_stands_for_itself(embedded):
    few = data.load(embedded.name, train=40, test=1)
    train, held_out = few.validation_split(share=0.1)
    assert torch.cat([train, held_out]).tolist() == list(range(40)) and len(held_out) == 4


def test_embedded_data_says_that_it_is_a_stand_in(embedded):
    train, test = SIZES[embedded.name]
    told = f"{embedded.name}: {train:,} training and {test:,} test images ({data.SOURCES[embedded.name]})"
    assert repr(embedded) == told and "stand-in" in told


def test_the_first_cells_of_the_lessons_do_without_the_libraries_that_take_long_to_import():
    """Each lesson's imports, one after the other, and the images that most begin with."""
    first = {}
    for path in sorted(Path(__file__).parents[2].glob("solutions/*/*.ipynb")):
        codes = [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "code"]
        first[path.stem] = re.findall(r"^(?:from|import) .+", codes[1], re.MULTILINE)
    slow = "{'sklearn', 'scipy', 'torchvision', 'pandas', 'matplotlib', 'ipywidgets'} & set(sys.modules)"
    lines = ["import sys", *chain(*([*own, f"print({slow}, {name!r})"] for name, own in first.items()))]
    lines += ["from course_utils import data", "data.load('digits')", f"print({slow}, 'the digits')"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"set() {name}" for name in [*first, "the digits"]]
    assert all("import torch" in own for own in first.values())


def test_a_cut_keeps_the_first_images_and_labels(embedded):
    cut = data.load(embedded.name, train=30, test=9)
    for split, count in (("train", 30), ("test", 9)):
        for what in (f"{split}_images", f"{split}_labels"):
            assert torch.equal(getattr(cut, what), getattr(embedded, what)[:count])


def test_there_are_12_000_garments_to_train_with_and_5_000_to_test(monkeypatch):
    asked, draw = [], data.garments.draw
    monkeypatch.setattr(
        data.garments, "draw", lambda count, seed: asked.append((count, seed)) or draw(1, seed)
    )
    data.load("garments")
    data.load("garments", train=20_000, test=20_000)
    assert asked == [(12_000, 0), (5_000, 1)] * 2


# --- MNIST on disk -------------------------------------------------------------------------------


def content(folder: Path, file: str, header: int) -> np.ndarray:
    return np.frombuffer((folder / "MNIST" / "raw" / file).read_bytes()[header:], np.uint8)


@pytest.mark.parametrize(("split", "kind"), [("train", "train"), ("test", "t10k")])
def test_mnist_s_grey_values_are_its_bytes_divided_by_255(split, kind, tiny_mnist):
    mnist = data.load("mnist")
    images, labels = (getattr(mnist, f"{split}_{what}") for what in ("images", "labels"))
    values = content(tiny_mnist, f"{kind}-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    np.testing.assert_array_equal(images.numpy(), values.astype(np.float32) / np.float32(255))
    assert labels.tolist() == content(tiny_mnist, f"{kind}-labels-idx1-ubyte", 8).tolist()
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)


def test_mnist_says_how_much_it_is_and_where_it_lies(tiny_mnist):
    folder = os.path.relpath(tiny_mnist, settings.project_folder())
    told = f"mnist: 600 training and 20 test images (real images from {folder})"
    mnist = data.load("mnist")
    assert repr(mnist) == told
    assert mnist.class_names == tuple("0123456789") == data.load("digits").class_names


def test_torchvision_s_old_cache_does_not_replace_the_checked_files(tiny_mnist):
    """Old versions of torchvision left processed/*.pt, which it still prefers to the raw files."""
    processed = tiny_mnist / "MNIST" / "processed"
    processed.mkdir()
    for file in ("training.pt", "test.pt"):
        torch.save((torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3)), processed / file)
    assert len(data.load("mnist").train_images) == 600


@pytest.mark.parametrize("file", FILES)
def test_the_published_checksums_are_those_of_the_real_mnist(file, real_mnist):
    found = hashlib.sha256((real_mnist / "MNIST" / "raw" / file).read_bytes()).hexdigest()
    assert found == data.MNIST_SHA256[file]


def damage(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


DAMAGES = {
    "is empty": lambda old: b"",
    "lost its last byte": lambda old: old[:-1],
    "ends after its magic number": lambda old: old[:4],
    "ends within a number of its header": lambda old: old[:6],
    "has a byte too many": lambda old: old + b"\0",
    "has another magic number": lambda old: b"\0\0\x08\x09" + old[4:],
    "is a web page": lambda old: b"<html><body>Please log in to this network.</body></html>",
    "is still compressed": lambda old: b"\x1f\x8b\x08" + old,
    "claims another count": lambda old: old[:4] + b"\xff\xff\xff\xff" + old[8:],
}


OF_IMAGES = {"is of 56 x 14 pixels": lambda old: old[:8] + b"\0\0\0\x38\0\0\0\x0e" + old[16:]}
OF_LABELS = {"holds a label beyond 9": lambda old: old[:-1] + b"\x0a"}
REFUSED = [
    pytest.param(file, change, id=f"{file} {what}")
    for file in FILES
    for what, change in (DAMAGES | (OF_IMAGES if "images" in file else OF_LABELS)).items()
]


@pytest.mark.parametrize(("file", "change"), REFUSED)
def test_a_damaged_file_is_refused_by_name_in_one_sentence(file, change, tiny_mnist):
    damage(tiny_mnist / "MNIST" / "raw" / file, change)
    with pytest.raises(CourseError, match=file) as caught:
        data.load("mnist")
    assert_one_sentence(str(caught.value))


@pytest.mark.parametrize("kind", ["train", "t10k"])
@pytest.mark.parametrize("count", [1, 19, 21])
def test_a_split_is_refused_where_it_has_fewer_or_more_labels_than_images(kind, count, tiny_mnist):
    write_idx(tiny_mnist / "MNIST" / "raw" / f"{kind}-labels-idx1-ubyte", np.zeros(count))
    with pytest.raises(CourseError, match=f"{count} labels for '{kind}'"):
        data.load("mnist")


def test_a_split_is_refused_where_it_is_empty(tiny_mnist):
    raw = tiny_mnist / "MNIST" / "raw"
    write_idx(raw / "t10k-images-idx3-ubyte", np.zeros((0, 28, 28)))
    write_idx(raw / "t10k-labels-idx1-ubyte", np.zeros(0))
    with pytest.raises(CourseError, match="0 images"):
        data.load("mnist")


@pytest.fixture
def official_size(tiny_mnist: Path) -> Path:
    """The tiny MNIST with as many test images as the real one has, all of them black."""
    raw = tiny_mnist / "MNIST" / "raw"
    write_idx(raw / "t10k-images-idx3-ubyte", np.zeros((10_000, 28, 28)))
    write_idx(raw / "t10k-labels-idx1-ubyte", np.zeros(10_000))
    return raw


@pytest.mark.parametrize("garbled", ["images-idx3", "labels-idx1", None])
def test_a_file_of_the_official_size_is_refused_by_name_only_where_it_is_garbled(
    garbled, official_size, monkeypatch
):
    for file in official_size.glob("t10k-*"):
        if garbled is None or garbled not in file.name:
            checksum = hashlib.sha256(file.read_bytes()).hexdigest()
            monkeypatch.setitem(data.MNIST_SHA256, file.name, checksum)
    refused = pytest.raises(CourseError, match=f"t10k-{garbled}-ubyte is garbled")
    with refused if garbled else contextlib.nullcontext():
        assert len(data.load("mnist").test_images) == 10_000


def test_fashion_mnist_is_not_held_against_mnist_s_checksums(official_size, tiny_mnist):
    (tiny_mnist / "MNIST").rename(tiny_mnist / "FashionMNIST")
    fashion = data.load("fashion-mnist")
    assert (len(fashion.test_images), fashion.class_names[9]) == (10_000, "Ankle boot")


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_means_that_mnist_is_not_there(file, tiny_mnist):
    assert data._files("mnist")
    (tiny_mnist / "MNIST" / "raw" / file).unlink()
    assert not data._files("mnist")
    shown = os.path.relpath(tiny_mnist, settings.project_folder())
    with pytest.raises(CourseError, match=re.escape(f"MNIST is not in {shown}, which holds MNIST (wanted: ")):
        data.load("mnist", download=False)


@pytest.mark.parametrize("own", [True, False], ids=["the course's own", "everybody's"])
def test_damage_is_told_with_the_folder_to_delete_where_that_is_the_course_s_own(
    own, tiny_mnist, monkeypatch
):
    if own:
        (tiny_mnist / "nbgrader_config.py").touch()
        monkeypatch.chdir(tiny_mnist)
    damage(tiny_mnist / "MNIST" / "raw" / FILES[0], DAMAGES["is empty"])
    remedy = f"delete the folder {tiny_mnist / 'MNIST' / 'raw'}" if own else "tell whoever keeps that folder"
    with pytest.raises(CourseError, match=f"is not a whole MNIST file; {remedy}"):
        data.load("mnist")


# --- layouts ---------------------------------------------------------------------------------------


def packed(raw: Path) -> None:
    for file in list(raw.iterdir()):
        Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()


def spelt_with_a_dot(raw: Path) -> None:
    for file in list(raw.iterdir()):
        file.rename(raw / file.name.replace("-idx", ".idx"))


@pytest.mark.parametrize("place", [".", "MNIST", "MNIST/raw"])
@pytest.mark.parametrize("change", [None, packed, spelt_with_a_dot], ids=["plain", "packed", "with a dot"])
def test_course_data_may_be_any_folder_of_the_layout_with_files_as_sites_have_them(
    place, change, tiny_mnist, monkeypatch
):
    expected = data.load("mnist")
    if change:
        change(tiny_mnist / "MNIST" / "raw")
    monkeypatch.setenv("COURSE_DATA", str(tiny_mnist / place))
    found = data.load("mnist", download=False)
    assert torch.equal(found.train_images, expected.train_images)
    assert torch.equal(found.test_labels, expected.test_labels)


@pytest.mark.parametrize("name", ["images", "fashion", "FashionMNIST"])
def test_a_flat_folder_is_fashion_mnist_s_where_its_name_says_so(name, tiny_mnist, tmp_path, monkeypatch):
    shutil.copytree(tiny_mnist / "MNIST" / "raw", tmp_path / "flat" / name)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "flat" / name))
    found = [real for real in data.REAL if data._files(real)]
    assert found == ["mnist" if name == "images" else "fashion-mnist"]


def test_a_packed_file_beside_a_plain_one_is_not_looked_at(tiny_mnist):
    (tiny_mnist / "MNIST" / "raw" / f"{FILES[0]}.gz").write_bytes(b"")
    assert len(data.load("mnist").train_images) == 600


def test_a_packed_file_that_is_damaged_is_told_in_one_sentence(tiny_mnist):
    packed(tiny_mnist / "MNIST" / "raw")
    damage(tiny_mnist / "MNIST" / "raw" / f"{FILES[0]}.gz", DAMAGES["lost its last byte"])
    with pytest.raises(CourseError, match="cannot be read") as caught:
        data.load("mnist")
    assert_one_sentence(str(caught.value))


@pytest.mark.parametrize(("names", "told"), [("abcde", "a, b, c, d, e"), ("abcdef", "a, b, c, d, e, ...")])
def test_absence_is_told_with_five_of_the_names_that_lie_there(names, told, no_mnist):
    for name in names:
        (no_mnist / name).touch()
    with pytest.raises(CourseError, match=re.escape(f", which holds {told} (wanted: ")) as caught:
        data.load("mnist", download=False)
    assert re.search("COURSE_DATASET=mnist.* COURSE_DATA at a folder", str(caught.value))  # both remedies
    assert_one_sentence(str(caught.value))


# --- for a lesson --------------------------------------------------------------------------------


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, folder: Path) -> None:
        pytest.fail(f"{name} would have been downloaded to {folder}, unasked.")

    monkeypatch.setattr(data, "_download", refuse)


@pytest.fixture
def dead_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_answers", lambda url: False)


@pytest.mark.parametrize("clothing", [False, True])
def test_a_lesson_downloads_nothing_unasked(clothing, no_mnist, no_download, few_garments):
    assert data.for_lesson(LESSON, clothing=clothing).name == ("garments" if clothing else "digits")


def test_a_lesson_on_clothing_downloads_nothing_where_only_mnist_is_there(
    tiny_mnist, no_download, few_garments
):
    assert data.for_lesson(LESSON, clothing=True).name == "garments"


def test_a_lesson_downloads_what_it_was_asked_for(no_mnist, no_download, monkeypatch):
    monkeypatch.setenv("COURSE_DATASET", "mnist")
    with pytest.raises(pytest.fail.Exception, match=f"mnist would have been downloaded to {no_mnist}"):
        data.for_lesson(LESSON)


def test_a_lesson_uses_mnist_where_it_is_on_disk_or_the_data_set_it_is_told_to_use(tiny_mnist, monkeypatch):
    assert data.for_lesson(LESSON).name == "mnist"
    monkeypatch.setenv("COURSE_DATASET", "digits")
    assert data.for_lesson(LESSON).name == "digits"


def test_a_lesson_says_which_data_it_runs_on_and_nothing_of_mnist_where_nobody_asked_for_it(no_mnist, capsys):
    digits = data.for_lesson(LESSON)
    images, budget = capsys.readouterr().out.splitlines()
    assert images.startswith("digits: 640 training and 256 test images")
    assert budget == f"{LESSON}; device: {settings.device()}"
    assert (len(digits.train_images), len(digits.test_images)) == (LESSON.train_images, LESSON.test_images)


@pytest.mark.parametrize(("name", "files"), [("mnist", "missing"), ("mnist", "damaged"), ("", "damaged")])
def test_a_lesson_goes_on_with_the_stand_in_and_says_so_in_one_line(
    name, files, tiny_mnist, dead_network, monkeypatch, capsys
):
    raw = tiny_mnist / "MNIST" / "raw"
    if files == "missing":
        shutil.rmtree(raw)
    else:
        damage(raw / FILES[0], DAMAGES["lost its last byte"])
    monkeypatch.setenv("COURSE_DATASET", name)
    assert data.for_lesson(LESSON).name == "digits"
    notice, what_runs, *_ = capsys.readouterr().out.splitlines()
    assert notice.startswith("NOT MNIST") and what_runs.startswith("digits")


# --- downloading ---------------------------------------------------------------------------------


class FakeMnist:
    """torchvision's MNIST as far as the course uses it; its server sends black images."""

    mirrors = ("http://mirror.invalid/",)
    interruption: BaseException | None = None  # what ends the download half-way

    def __call__(self, root: str, download: bool) -> None:
        assert download
        for file in FILES:
            write_idx(Path(root, "MNIST", "raw", file), np.zeros((1, 28, 28) if "images" in file else 1))
            if self.interruption is not None:
                raise self.interruption


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeMnist:
    """A torchvision whose MNIST comes from a server that answers."""
    mnist = FakeMnist()
    monkeypatch.setattr(data, "torchvision", lambda: SimpleNamespace(__name__="served"))
    monkeypatch.setitem(sys.modules, "served.datasets", SimpleNamespace(MNIST=mnist))
    monkeypatch.setattr(data, "_answers", lambda url: True)
    return mnist


TORCHVISION_S_WORDS = (  # as its MNIST.download puts it when no mirror delivers
    "Error downloading train-images-idx3-ubyte.gz:\n"
    "Tried http://mirror.invalid/train-images-idx3-ubyte.gz, got:\nFile not found or corrupted.\n"
)
INTERRUPTIONS = {
    "the connection breaks": ConnectionResetError(104, "Connection reset by peer"),
    "the disk is full": OSError(28, "No space left on device"),
    "an archive arrives corrupted": RuntimeError(TORCHVISION_S_WORDS),
    "a proxy stops half-way": http.client.IncompleteRead(b"", 9_912_422),
    "the reader interrupts it": KeyboardInterrupt(),
}


@pytest.mark.parametrize("why", INTERRUPTIONS)
def test_a_download_leaves_nothing_behind_but_one_sentence_when(why, server, no_mnist, monkeypatch):
    """And the default timeout of sockets as it was."""
    timeouts = [77.0]
    monkeypatch.setattr(socket, "getdefaulttimeout", lambda: timeouts[-1])
    monkeypatch.setattr(socket, "setdefaulttimeout", timeouts.append)
    server.interruption = INTERRUPTIONS[why]
    by_reader = isinstance(server.interruption, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt if by_reader else CourseError) as caught:
        data.load("mnist")
    assert by_reader or assert_one_sentence(str(caught.value)) is None
    assert list(no_mnist.iterdir()) == []
    assert timeouts == [77.0, data.NETWORK_SECONDS, 77.0]


def test_a_failed_download_keeps_the_files_that_were_there(server, tiny_mnist):
    raw = tiny_mnist / "MNIST" / "raw"
    (raw / FILES[0]).unlink()
    server.interruption = INTERRUPTIONS["the connection breaks"]
    with pytest.raises(CourseError):
        data.load("mnist")
    assert sorted(file.name for file in raw.iterdir()) == sorted(FILES[1:])


@pytest.mark.parametrize("below", [".", "a/b"])
def test_a_finished_download_is_announced_complete_and_all_there_is(
    below, server, no_mnist, monkeypatch, capsys
):
    """Also in a folder that is not there yet."""
    folder = no_mnist / below
    monkeypatch.setenv("COURSE_DATA", str(folder))
    data.load("mnist")
    assert "Downloading MNIST" in capsys.readouterr().out
    assert [file.name for file in folder.iterdir()] == ["MNIST"]
    assert sorted(file.name for file in (folder / "MNIST" / "raw").iterdir()) == sorted(FILES)


def test_a_download_replaces_an_incomplete_copy(server, tiny_mnist):
    (tiny_mnist / "MNIST" / "raw" / FILES[0]).unlink()
    assert len(data.load("mnist").train_images) == 1


def test_a_file_in_place_of_the_data_folder_is_told_in_one_sentence_with_the_remedy(
    server, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "file"))
    with pytest.raises(CourseError, match="point COURSE_DATA at a folder of yours") as caught:
        data.load("mnist")
    assert_one_sentence(str(caught.value))


def test_a_dead_network_is_told_in_one_sentence_and_leaves_nothing_behind(server, dead_network, no_mnist):
    with pytest.raises(CourseError) as caught:
        data.load("mnist")
    assert_one_sentence(str(caught.value))
    assert list(no_mnist.iterdir()) == []


def test_a_network_that_never_answers_is_not_waited_for(monkeypatch):
    """Whoever waits for the answer gets one, and then says that the network is alive."""
    given_up, daemons = threading.Event(), []

    def hang(url: str, timeout: float) -> SimpleNamespace:
        daemons.append(threading.current_thread().daemon)  # nor does Python wait for one when it ends
        given_up.wait(20)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(urllib.request, "urlopen", hang)
    monkeypatch.setattr(data, "NETWORK_SECONDS", 0.2)
    alive = data._answers("http://mirror.invalid/")
    given_up.set()
    assert not alive and daemons == [True]


REFUSAL = urllib.error.HTTPError("", 403, "Forbidden", Message(), None)
NONSENSE = http.client.BadStatusLine("SSH-2.0-OpenSSH_9.2")


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("problem", "there"),
    [
        (None, True),
        (REFUSAL, True),
        (urllib.error.URLError("no such host"), False),
        (TimeoutError(), False),
        (NONSENSE, False),
    ],
    ids=["answers", "refuses", "has no address", "is silent", "talks nonsense"],
)
def test_whether_a_server_is_there_that(problem, there, monkeypatch):
    def urlopen(url: str, timeout: float) -> SimpleNamespace:
        if problem:
            raise problem
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    assert data._answers("http://mirror.invalid/") == there

"""The latent explorer: move over a latent space and watch the decoded image.

`write` and `page` make one HTML file that needs neither a kernel nor a network: it carries the model's
weights, and encoder and decoder run in the page in plain JavaScript. `explore` shows the same front end in
a notebook, with PyTorch in the kernel behind it, and leaves a smaller page in the saved output.

A page holds each linear layer as whole numbers, with one float scale per row and floats for the biases:
`Exported`. What that rounding costs is measured against PyTorch and stated in the page.
"""

from __future__ import annotations

import copy
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets
from IPython.display import display
from torch import Tensor, nn

from course_utils import evaluation, objectives, plotting, settings
from course_utils.data import Dataset, loading
from course_utils.models import PIXELS, Model
from course_utils.settings import CourseError
from course_utils.viewers import standalone

POINTS = 2000  # test images on the map of a page ...
SAVED_POINTS = 500  # ... and of the output saved in a notebook, which is committed with it
BITS = 8  # of a weight in a page ...
SAVED_BITS = 6  # ... and in a saved output
SLIDERS = 10
GREYS = 15  # steps of grey in which the original images are kept
IMAGES_ASKED = 200  # a request to the kernel for more is refused: the front end's largest is a row of 20
SAVED_HEIGHT = {True: 1340, False: 1480}  # pixels of the page in a notebook, of a plane and of more


# --- weights --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exported:
    """A VAE's linear layers in whole numbers: {"decoder.0.weight": int8 (out, in), ".scale", ".bias"}."""

    arrays: dict[str, np.ndarray]
    encoder: list[str]
    heads: list[str]
    decoder: list[str]

    @classmethod
    def of(cls, model: Model, bits: int = BITS) -> Exported:
        """The layers of `model`, each row of weights on its own scale of 2^bits - 1 steps."""
        _check_model(model)
        names = {
            part: [f"{part}.{i}" for i in range(0, len(getattr(model, part)), 2)]  # a ReLU follows each
            for part in ("encoder", "decoder")
        }
        heads = ["fc_mu", "fc_logvar"]
        arrays: dict[str, np.ndarray] = {}
        for name in [*names["encoder"], *heads, *names["decoder"]]:
            layer = operator.attrgetter(name)(model)
            weight = plotting.to_numpy(layer.weight)
            top = 2 ** (bits - 1) - 1
            scale = np.maximum(np.abs(weight).max(1) / top, 1e-12).astype(np.float32)
            arrays[f"{name}.weight"] = np.rint(weight / scale[:, None]).astype(np.int8)
            arrays[f"{name}.scale"] = scale
            arrays[f"{name}.bias"] = plotting.to_numpy(layer.bias).astype(np.float32)
        return cls(arrays, names["encoder"], heads, names["decoder"])

    def rounded(self, model: Model) -> Model:
        """A copy of `model`, on the processor, with the weights that a page computes with."""
        twin = copy.deepcopy(model).to("cpu")
        state = twin.state_dict()
        for name in [*self.encoder, *self.heads, *self.decoder]:
            weight = self.arrays[f"{name}.weight"] * self.arrays[f"{name}.scale"][:, None]
            state[f"{name}.weight"] = torch.from_numpy(weight)
        twin.load_state_dict(state)
        return twin


def _check_model(model: Model) -> None:
    """Raise CourseError where `model` is not what a page can compute: a VAE of linear layers and ReLU."""
    kind = type(model).__name__
    if hasattr(model, "num_classes"):
        raise CourseError(f"The explorer decodes a code alone, and a {kind} needs its label too: give a VAE.")
    parts = [getattr(model, name, None) for name in ("encoder", "decoder", "fc_mu", "fc_logvar")]
    bodies, heads = parts[:2], parts[2:]
    plain = all(
        isinstance(body, nn.Sequential)
        and all(isinstance(layer, nn.Linear if i % 2 == 0 else nn.ReLU) for i, layer in enumerate(body))
        for body in bodies
    ) and all(isinstance(head, nn.Linear) for head in heads)
    if not plain or model.encoder[0].in_features != PIXELS or model.decoder[-1].out_features != PIXELS:
        raise CourseError(
            f"The explorer computes VAEs of linear layers with ReLU on 28 x 28 pixels, which this {kind} is "
            "not: give a models.VAE."
        )
    if model.latent_dim < 2:
        raise CourseError("A map needs a model with at least two latent dimensions.")


def _check_data(images: Tensor, labels: Tensor, class_names: tuple[str, ...] | list[str]) -> None:
    """Raise CourseError where no map can be drawn of these images."""
    if images.ndim != 4 or tuple(images.shape[1:]) != (1, 28, 28) or tuple(labels.shape) != (len(images),):
        raise CourseError(
            f"The explorer needs images (N, 1, 28, 28) with labels (N,), not {tuple(images.shape)} "
            f"with {tuple(labels.shape)}."
        )
    found = labels.unique().tolist()
    if len(found) < 2:
        raise CourseError("A map of classes needs images of at least two of them.")
    if min(found) < 0 or max(found) >= min(len(class_names), len(plotting.COLOURS)):
        raise CourseError(
            f"Labels go from 0 to {max(found)}, but there are {len(class_names)} class names and "
            f"{len(plotting.COLOURS)} colours."
        )


# --- what the front end shows ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Plane:
    """The plane that is shown: z lies at axes @ (z - centre)."""

    axes: np.ndarray  # (2, latent_dim), orthonormal
    centre: np.ndarray  # (latent_dim,)
    names: tuple[str, str]
    note: str

    @classmethod
    def of(cls, means: np.ndarray) -> Plane:
        """All of a plane; of more dimensions the two leading principal components of the means (N, d)."""
        dimensions = means.shape[1]
        if dimensions == 2:
            return cls(np.eye(2), np.zeros(2), ("z1", "z2"), "The map is the whole latent space.")
        centre = means.mean(0)
        _, singular, rows = np.linalg.svd(means - centre, full_matrices=False)
        # A component's sign is arbitrary: here its largest entry is positive.
        axes = np.array([row * np.sign(row[np.abs(row).argmax()]) for row in rows[:2]])
        share = (singular[:2] ** 2).sum() / (singular**2).sum()
        note = (
            f"The map shows the two leading principal components of the means, {share:.0%} of their variance "
            f"in {dimensions} dimensions; moving over it keeps the rest of the code."
        )
        return cls(axes, centre, ("PC 1", "PC 2"), note)

    def places(self, means: np.ndarray) -> np.ndarray:
        """Where codes (N, d) lie: (N, 2)."""
        return (means - self.centre) @ self.axes.T


def _content(
    model: Model,
    images: Tensor,
    labels: Tensor,
    class_names: tuple[str, ...] | list[str],
    points: int,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Values and arrays that every form of the explorer shows: a map of `points` images.

    Axes, KL and the places of names come from POINTS of them whatever is shown, so that the forms agree.
    """
    _check_model(model)
    _check_data(images, labels, class_names)
    device = next(model.parameters()).device
    images, labels = images[:POINTS], labels[:POINTS].cpu()
    _check_data(images, labels, class_names)
    mu, logvar = evaluation.posterior(model, images.to(device))
    kl = plotting.to_numpy(objectives.gaussian_kl(mu, logvar).mean(0))
    means = plotting.to_numpy(mu).astype(np.float64)
    plane = Plane.of(means)
    places = plane.places(means)
    half = max(3.0, float(np.quantile(np.abs(places).max(1), 0.997)) * 1.06)
    near = plotting.label_places(places, labels.numpy(), class_names)
    meta = {
        "classes": list(class_names),
        "colours": plotting.COLOURS,
        "latent": model.latent_dim,
        "kl": [round(float(value), 4) for value in kl],
        "first": first_of(model.latent_dim),
        "order": np.argsort(-kl, kind="stable")[:SLIDERS].tolist(),
        "reach": int(np.ceil(max(3.0, np.quantile(np.abs(means), 0.999)))),
        "axes": plane.axes.round(6).tolist(),
        "centre": plane.centre.round(6).tolist(),
        "axisNames": plane.names,
        "half": round(half, 3),
        "names": [[label, place.round(3).tolist()] for label, place in near.items()],
        "sliderNote": _slider_note(model.latent_dim),
        "mapNote": (
            f"Each point is the mean code of one of {min(points, len(images)):,} test images. {plane.note} "
            "Dashed circles: one and two standard deviations of the prior."
        ),
    }
    shown = plotting.to_numpy(images[:points])
    arrays = {
        "labels": labels[:points].numpy().astype(np.uint8),
        "means": np.rint(means[:points] * 1000).clip(-32768, 32767).astype(np.int16),
        "images": np.rint(shown.reshape(-1, PIXELS) * GREYS).astype(np.uint8),
    }
    return meta, arrays


def _slider_note(dimensions: int) -> str:
    shown = "Both dimensions" if dimensions == 2 else "All dimensions" if dimensions <= SLIDERS else ""
    shown = shown or f"The {SLIDERS} of {dimensions} dimensions with the highest KL"
    numbered = "" if first_of(dimensions) else ", numbered from 0 as in the code"
    return f"{shown}{numbered}, the highest KL first; on the right its nats per image."


def first_of(dimensions: int) -> int:
    """The number of the first dimension: the axes of a plane are z1 and z2, as on every map of the course."""
    return 1 if dimensions == 2 else 0


# --- without a kernel -----------------------------------------------------------------------------------


def page(
    model: Model,
    images: Tensor,
    labels: Tensor,
    class_names: tuple[str, ...] | list[str],
    *,
    title: str = "Latent explorer",
    bits: int = BITS,
    points: int = POINTS,
) -> str:
    """One HTML file with everything in it.

    Raises CourseError for models other than VAEs of linear layers and for images no map can be drawn of.
    """
    meta, arrays = _content(model, images, labels, class_names, points)
    exported = Exported.of(model, bits)
    parts = {"encoder": exported.encoder, "heads": exported.heads, "decoder": exported.decoder}
    largest, mean = pixel_errors(model, exported.rounded(model), images[:points])
    return standalone.page(
        "explorer",
        {**meta, **parts},
        {**arrays, **exported.arrays},
        title=title,
        lead="Move over the map and watch what the decoder makes of each place.",
        colophon=(
            f"Everything is computed in this page, from weights of {bits} bits. Decoded at the means of the "
            f"images, pixels differ from PyTorch's by {mean:.4f} on average and {largest:.3f} at most, on a "
            "scale from 0 to 1."
        ),
    )


def pixel_errors(model: Model, twin: Model, images: Tensor) -> tuple[float, float]:
    """Largest and mean difference of the pixels that model and twin decode at the model's means."""
    means = evaluation.codes(model, images.to(next(model.parameters()).device))
    ours = evaluation.decode(model, means).cpu()
    difference = (ours - evaluation.decode(twin, means.cpu())).abs()
    return difference.max().item(), difference.mean().item()


def title_of(model: Model, dataset: Dataset) -> str:
    """What a page is called."""
    return f"The latent space of a VAE({model.latent_dim}) on {loading.REAL.get(dataset.name, dataset.name)}"


def write(model: Model, dataset: Dataset, file: Path, *, title: str | None = None) -> Path:
    """Write the page of `model` and a data set's test images to `file`."""
    text = page(
        model,
        dataset.test_images,
        dataset.test_labels,
        dataset.class_names,
        title=title or title_of(model, dataset),
    )
    return standalone.write(text, file)


# --- in a notebook --------------------------------------------------------------------------------------


class Live(anywidget.AnyWidget):
    """The explorer with a kernel behind it: the front end asks, PyTorch decodes and encodes."""

    _esm = standalone.source("explorer", "js")
    _css = standalone.source("explorer", "css")
    meta = traitlets.Dict().tag(sync=True)
    pack = traitlets.Bytes().tag(sync=True)

    def __init__(self, model: Model, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        layout, pack = standalone.packed(arrays)
        super().__init__(meta={**meta, "arrays": layout}, pack=pack)
        self._explored = model
        self.on_msg(self._reply)

    def _reply(self, _widget: object, request: dict[str, Any], _buffers: object) -> None:
        answer = self.answer(request["task"], request["rows"])
        self.send({"id": request["id"]}, [answer.astype("<f4").tobytes()])

    def answer(self, task: str, rows: list[list[float]]) -> np.ndarray:
        """What the front end asked for: decoded images (N, 784), or mean and log-variance of one image."""
        if len(rows) > IMAGES_ASKED:
            raise CourseError(f"At most {IMAGES_ASKED} images are decoded at once.")
        device = next(self._explored.parameters()).device
        values = torch.tensor(rows, dtype=torch.float32, device=device)
        if task == "decode":
            return plotting.to_numpy(evaluation.decode(self._explored, values)).reshape(len(rows), PIXELS)
        mu, logvar = evaluation.posterior(self._explored, values.view(-1, 1, 28, 28))
        return plotting.to_numpy(torch.cat([mu, logvar]))


class Explorer:
    """What a notebook shows of a model: a live explorer, and a page that works where no kernel is.

    They are two outputs. In one output JupyterLab would choose the widget even where its kernel is gone, and
    show an error instead of the page. A style in the second output hides whichever of the two is not of use.
    Where nobody is watching (TQDM_DISABLE is set, as in `course run`) only the page is left.
    """

    def __init__(self, model: Model, dataset: Dataset) -> None:
        self.model, self.dataset = model, dataset
        self._data = (dataset.test_images, dataset.test_labels, dataset.class_names)
        _content(model, *self._data, SAVED_POINTS)  # refuses now what could not be shown later

    def __repr__(self) -> str:
        return (
            f"Latent explorer of a VAE({self.model.latent_dim}) on {self.dataset.name}: a map of codes and "
            "the images decoded from them, to be moved over in a browser."
        )

    def live(self) -> Live:
        """The widget that asks this kernel."""
        return Live(self.model, *_content(self.model, *self._data, POINTS))

    def _ipython_display_(self) -> None:
        watched = settings.watched()
        if watched:
            display(self.live())
        bundle = self._repr_mimebundle_()
        if watched:
            bundle["text/html"] = ONE_OF_TWO + bundle["text/html"]
        display(bundle, raw=True)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """The form that needs no kernel: the same for the same model, byte for byte."""
        text = page(
            self.model,
            *self._data,
            title=title_of(self.model, self.dataset),
            bits=SAVED_BITS,
            points=SAVED_POINTS,
        )
        height = SAVED_HEIGHT[self.model.latent_dim == 2]
        frame = standalone.frame("explorer", text, title="Latent explorer", height=height)
        return {"text/html": frame, "text/plain": repr(self)}


# JupyterLab's and Notebook's classes. The live explorer is there: hide the page; it is not: hide its error.
ONE_OF_TWO = (
    "<style>.jp-OutputArea:has(.vae-explorer) > .jp-OutputArea-child:has(.explorer-saved),"
    ".jp-OutputArea:not(:has(.vae-explorer)) > .jp-OutputArea-child:has(+ * .explorer-saved)"
    "{display:none}</style>"
)


def explore(model: Model, dataset: Dataset) -> Explorer:
    """The latent explorer of `model` over the test images of `dataset`, for the last line of a cell.

    Raises CourseError for models other than VAEs of linear layers and for images no map can be drawn of.
    """
    return Explorer(model, dataset)

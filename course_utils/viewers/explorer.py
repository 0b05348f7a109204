"""The latent explorer: move over a latent space and watch the decoded image.

`explore` shows it in a notebook, with PyTorch in the kernel behind it, and leaves a page in the saved output
that needs neither a kernel nor a network: it carries the model's weights, rounded, and JavaScript that
computes with them. What the rounding costs is measured against PyTorch and stated in the page.
"""

import copy
import itertools
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets
from IPython.display import display
from torch import nn

from course_utils import evaluation, objectives, plotting, settings
from course_utils.data import Dataset, loading
from course_utils.models import PIXELS, Model, device_of
from course_utils.settings import CourseError
from course_utils.viewers import standalone

POINTS = 2000  # test images on the map of the live explorer ...
SAVED_POINTS = 500  # ... and of the page saved in a notebook, which is committed with it
BITS = 6  # of a weight in a page
SLIDERS = 10
GREYS = 15  # steps of grey in which the original images are kept
HEIGHT = {True: 1540, False: 1950}  # pixels of the page in a notebook, of a plane and of more


def exported(model: Model) -> tuple[dict[str, list[str]], dict[str, np.ndarray], Model]:
    """A VAE's linear layers in whole numbers: their names by part, the arrays, and a model that computes so.

    Arrays are "decoder.0.weight", int8 (out, in), ".scale" (a row of weights has 2^BITS - 1 steps), ".bias".
    """
    twin: Any = copy.deepcopy(model).to("cpu")
    encoder, decoder = (  # a ReLU follows each
        [f"{part}.{i}" for i in range(0, len(getattr(model, part)), 2)] for part in ("encoder", "decoder")
    )
    parts = {"encoder": encoder, "heads": ["fc_mu", "fc_logvar"], "decoder": decoder}
    arrays: dict[str, np.ndarray] = {}
    for name in itertools.chain(*parts.values()):
        layer = twin.get_submodule(name)
        weight = plotting.to_numpy(layer.weight)
        scale = np.maximum(np.abs(weight).max(1) / (2 ** (BITS - 1) - 1), 1e-12).astype(np.float32)
        whole = np.rint(weight / scale[:, None]).astype(np.int8)
        bias = plotting.to_numpy(layer.bias).astype(np.float32)
        arrays |= {f"{name}.weight": whole, f"{name}.scale": scale, f"{name}.bias": bias}
        layer.weight.data = torch.from_numpy(whole * scale[:, None])
    return parts, arrays, twin


def _check_model(model: Model) -> None:
    """CourseError where `model` is not what a page can compute: a VAE of linear layers and ReLU."""
    kind = type(model).__name__
    parts = [getattr(model, name, nn.Identity()) for name in ("encoder", "decoder")]
    bodies = [[type(layer) for layer in part.children()] for part in parts]
    heads = {type(getattr(model, name, None)) for name in ("fc_mu", "fc_logvar")}
    plain = heads == {nn.Linear} and all(b and b == ([nn.Linear, nn.ReLU] * len(b))[: len(b)] for b in bodies)
    if not plain or model.encoder[0].in_features != PIXELS or model.decoder[-1].out_features != PIXELS:
        raise CourseError(
            f"The explorer computes VAEs of linear layers with ReLU on 28 x 28 pixels, which this {kind} is "
            "not: give a models.VAE."
        )
    if model.latent_dim < 2:
        raise CourseError("A map needs a model with at least two latent dimensions.")


def plane(means: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, str], str]:
    """The plane shown of codes (N, d), of d > 2 their principal one: axes (2, d), centre (d,), names, a note.

    Codes z lie at axes @ (z - centre).
    """
    dimensions = means.shape[1]
    if dimensions == 2:
        return np.eye(2), np.zeros(2), ("z1", "z2"), "The map is the whole latent space."
    centre = means.mean(0)
    _, singular, rows = np.linalg.svd(means - centre, full_matrices=False)
    # A component's sign is arbitrary: here its largest entry is positive.
    axes = np.array([row * np.sign(row[np.abs(row).argmax()]) for row in rows[:2]])
    share = (singular[:2] ** 2).sum() / (singular**2).sum()
    note = (
        f"The map shows the two leading principal components of the means, {share:.0%} of their variance "
        f"in {dimensions} dimensions; moving over it keeps the rest of the code."
    )
    return axes, centre, ("PC 1", "PC 2"), note


def _content(model: Model, dataset: Dataset, points: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Values and arrays that every form of the explorer shows: of POINTS images, `points` of them drawn."""
    _check_model(model)
    images, labels = dataset.test_images[:POINTS], dataset.test_labels[:POINTS].cpu()
    mu, logvar = evaluation.posterior(model, images.to(device_of(model)))
    kl = plotting.to_numpy(objectives.gaussian_kl(mu, logvar).mean(0))
    means = plotting.to_numpy(mu).astype(np.float64)
    axes, centre, axis_names, note = plane(means)
    places = (means - centre) @ axes.T
    half = max(3.0, float(np.quantile(np.abs(places).max(1), 0.997)) * 1.06)
    near = plotting.label_places(places, labels.numpy(), dataset.class_names)
    dimensions = model.latent_dim
    sliders = "Both dimensions" if dimensions == 2 else "All dimensions"
    if dimensions > SLIDERS:
        sliders = f"The {SLIDERS} of {dimensions} dimensions with the highest KL"
    meta = {
        "classes": list(dataset.class_names),
        "colours": plotting.COLOURS,
        "latent": dimensions,
        "kl": [round(float(value), 4) for value in kl],
        "first": int(dimensions == 2),  # axes of a plane are z1 and z2, as on every map of the course
        "order": np.argsort(-kl, kind="stable")[:SLIDERS].tolist(),
        "reach": int(np.ceil(max(3.0, np.quantile(np.abs(means), 0.999)))),
        "axes": axes.round(6).tolist(),
        "centre": centre.round(6).tolist(),
        "axisNames": axis_names,
        "half": round(half, 3),
        "names": [[label, place.round(3).tolist()] for label, place in near.items()],
        "sliderNote": (
            f"{sliders}{', numbered from 0 as in the code' * (dimensions > 2)}, the highest KL first; "
            "on the right its nats per image."
        ),
        "mapNote": (
            f"Each point is the mean code of one of {min(points, len(images)):,} test images. {note} "
            "Dashed circles: one and two standard deviations of the prior."
        ),
    }
    arrays = {
        "labels": labels[:points].numpy().astype(np.uint8),
        "means": np.rint(means[:points] * 1000).clip(-32768, 32767).astype(np.int16),
        "images": np.rint(plotting.to_numpy(images[:points].flatten(1)) * GREYS).astype(np.uint8),
    }
    return meta, arrays


def page(model: Model, dataset: Dataset) -> str:
    """One HTML file with everything in it, which needs no kernel."""
    meta, arrays = _content(model, dataset, SAVED_POINTS)
    parts, weights, twin = exported(model)
    means = evaluation.codes(model, dataset.test_images[:SAVED_POINTS].to(device_of(model)))
    off = (evaluation.decode(model, means).cpu() - evaluation.decode(twin, means.cpu())).abs()
    on = loading.REAL.get(dataset.name, dataset.name)
    return standalone.page(
        "explorer",
        {**meta, **parts},
        {**arrays, **weights},
        title=f"The latent space of a VAE({model.latent_dim}) on {on}",
        lead="Move over the map and watch what is decoded there, or draw a digit: where does it land?",
        colophon=(
            f"Everything is computed in this page, from weights of {BITS} bits. Decoded at the means of the "
            f"images, pixels differ from PyTorch's by {off.mean():.4f} on average and {off.max():.3f} at "
            "most, on a scale from 0 to 1."
        ),
    )


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
        """Send what was asked for: decoded images (N, 784), or mean and log-variance of one image."""
        values = torch.tensor(request["rows"], dtype=torch.float32, device=device_of(self._explored))
        if request["task"] == "decode":
            answer = evaluation.decode(self._explored, values)
        else:
            answer = torch.cat(evaluation.posterior(self._explored, values.view(-1, 1, 28, 28)))
        self.send({"id": request["id"]}, [plotting.to_numpy(answer).astype("<f4").tobytes()])


class Explorer:
    """What a notebook shows of a model: a live explorer, and a page that works where no kernel is.

    They are two outputs: of one, JupyterLab would choose the widget even where its kernel is gone, and show
    an error. A style hides whichever is not of use. Where nobody is watching (`settings.watched`) only the
    page is left. Raises CourseError for models other than VAEs of linear layers.
    """

    def __init__(self, model: Model, dataset: Dataset) -> None:
        self.model, self.dataset = model, dataset
        _content(model, dataset, SAVED_POINTS)  # refuses now what could not be shown later

    def __repr__(self) -> str:
        return (
            f"Latent explorer of a VAE({self.model.latent_dim}) on {self.dataset.name}: a map of codes and "
            "the images decoded from them, to be moved over in a browser."
        )

    def live(self) -> Live:
        """The widget that asks this kernel."""
        return Live(self.model, *_content(self.model, self.dataset, POINTS))

    def _ipython_display_(self) -> None:
        bundle = self._repr_mimebundle_()
        if settings.watched():
            display(self.live())
            bundle["text/html"] = ONE_OF_TWO + bundle["text/html"]
        display(bundle, raw=True)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """The form that needs no kernel: the same for the same model, byte for byte."""
        height, saved = HEIGHT[self.model.latent_dim == 2], page(self.model, self.dataset)
        frame = standalone.frame("explorer", saved, title="Latent explorer", height=height)
        return {"text/html": frame, "text/plain": repr(self)}


# JupyterLab's and Notebook's classes. The live explorer is there: hide the page; it is not: hide its error.
ONE_OF_TWO = (
    "<style>.jp-OutputArea:has(.vae-explorer) > .jp-OutputArea-child:has(.explorer-saved),"
    ".jp-OutputArea:not(:has(.vae-explorer)) > .jp-OutputArea-child:has(+ * .explorer-saved)"
    "{display:none}</style>"
)

explore = Explorer  # as the last line of a cell says it

"""How a latent space forms: an animation over the epochs of a training, and stills of it for print.

`snapshot` is what a training's `watch` records: where the means of some images lie, and what a few codes
decode to. `Film` makes of it, with the History's losses, a page that needs no kernel and loads nothing.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.patches import Patch
from torch import Tensor

from course_utils import evaluation, plotting
from course_utils.engine import watching
from course_utils.models import Model
from course_utils.plotting import Picture
from course_utils.settings import CourseError
from course_utils.training import History
from course_utils.viewers import standalone

STEP = 0.01  # to which codes are kept: a fifth of a pixel of the map
GREYS = 15  # steps of grey in which a page holds samples
SIDE = 28
HEIGHT = 1010  # pixels of the page in a notebook
TITLE = "How the latent space forms"

Snapshot: TypeAlias = dict[str, Any]


def snapshot(model: Model, images: Tensor, z: Tensor) -> Snapshot:
    """What a training's `watch` returns of `images` (N, 1, 28, 28) and codes `z` (K, 2): whole numbers.

    'means' are those of the images, (N, 2) hundredths; 'samples' are decoded, (K, 784) greys from 0 to 255.
    """
    means = evaluation.codes(model, images) / STEP
    samples = 255 * evaluation.decode(model, z).flatten(1)
    return {"means": means.round().int().tolist(), "samples": samples.round().int().tolist()}


class Film:
    """The epochs of a 2-D model's training whose `watch` recorded `snapshot`s of images with `labels` (N,).

    `before` is a snapshot of the untrained model, epoch 0. CourseError where there is no record of a plane.
    """

    def __init__(
        self, history: History, labels: Tensor, class_names: Sequence[str], *, before: Snapshot | None = None
    ) -> None:
        if not {"means", "samples"} <= set(history.watched):
            raise CourseError("This training has no snapshots: let `watch` return animation.snapshot(...).")
        seen = {name: [before[name]] if before else [] for name in ("means", "samples")}
        self.means = np.array(seen["means"] + history.watched["means"]) * STEP  # (frames, N, 2)
        self.samples = np.array(seen["samples"] + history.watched["samples"]) / 255  # (frames, K, 784)
        if self.means.shape[2] != 2 or self.means.shape[1] != len(labels):
            raise CourseError(
                f"An animation shows a plane and one label per image; here are {self.means.shape[1]:,} codes "
                f"of {self.means.shape[2]} dimensions and {len(labels):,} labels."
            )
        self.history, self.class_names = history, list(class_names)
        self.labels = plotting.to_numpy(labels)
        self.epochs = list(range(0 if before else 1, history.epochs + 1))

    def __repr__(self) -> str:
        return (
            f"Animation of {self.means.shape[1]:,} codes and {self.samples.shape[1]} samples over epochs "
            f"{self.epochs[0]} to {self.epochs[-1]}, to be played in a browser."
        )

    @property
    def half(self) -> float:
        """How far the map reaches: all but a few of the codes of every epoch lie in it."""
        reach = np.quantile(np.abs(self.means).max(2), 0.995, axis=1).max()
        return max(3.0, float(reach) * 1.06)

    def page(self) -> str:
        """The animation as one HTML file with everything in it."""
        # Of the classes' names, in every epoch.
        places = [plotting.label_places(frame, self.labels, self.class_names) for frame in self.means]
        whole = np.rint(self.means / STEP).astype(np.int16)
        meta = {
            "classes": self.class_names,
            "colours": plotting.COLOURS,
            "epochs": self.epochs,
            "half": round(self.half, 3),
            "step": STEP,
            "greys": GREYS,
            "named": sorted(places[-1]),
            "names": [[frame[label].round(3).tolist() for label in sorted(frame)] for frame in places],
            "said": [self._said(epoch) for epoch in self.epochs],
            "curves": watching.curves(self.history.train, self.history.test, self.history.epochs),
            "panel": watching.AXES,
            "mapNote": (
                f"Each point is the mean code of one of {len(self.labels):,} images. Dashed circles: one and "
                "two standard deviations of the prior. Between two epochs points move in straight lines."
            ),
        }
        arrays = {
            # What changes from an epoch to the next takes half the room of where things are.
            "moves": np.diff(whole, axis=0, prepend=np.zeros_like(whole[:1])),
            "labels": self.labels.astype(np.uint8),
            "samples": np.rint(self.samples * GREYS).astype(np.uint8),
        }
        lead = "Play, or move the slider, and watch the codes of the images find their places."
        colophon = "Recorded after every epoch of one training. It plays without a network."
        return standalone.page("animation", meta, arrays, title=TITLE, lead=lead, colophon=colophon)

    def _said(self, epoch: int) -> str:
        """What is said of an epoch beside its pictures."""
        if epoch == 0:
            return "before training"
        terms = {name: line[epoch - 1] for name, line in (self.history.test or self.history.train).items()}
        images = "test" if self.history.test else "training"
        return f"{images} images: " + ", ".join(f"{name} {value:.1f}" for name, value in terms.items())

    @plotting.styled
    def stills(self, count: int = 6) -> Picture:
        """Up to `count` epochs side by side, closer together where more happens: map, samples, losses."""
        # The first, the last, and between them steps that grow by the same factor.
        frames = len(self.epochs)
        chosen = np.unique(np.rint(np.geomspace(1, frames, min(count, frames))).astype(int) - 1)
        terms = {"training images": self.history.train, "test images": self.history.test}
        losses = {name: next(iter(lines.values())) for name, lines in terms.items() if lines}
        y = f"loss{', nats per image' if watching.unit(self.history.train) else ''}"
        alt = (
            f"From the left, epochs {', '.join(str(self.epochs[i]) for i in chosen)}: maps of "
            f"{len(self.labels):,} codes coloured by class, over decoded samples. At the bottom "
            f"{y} by epoch: {', '.join(losses)}."
        )
        inches = plotting.WIDTH / max(len(chosen), 4)  # of a column
        picture = Picture(plotting.WIDTH, 2 * inches + 2.6, TITLE, alt, has_dark=True)
        grid = picture.add_gridspec(3, len(chosen), height_ratios=[inches, inches, 1.6])
        columns = math.ceil(math.sqrt(self.samples.shape[1]))
        blank = np.zeros((-self.samples.shape[1] % columns, SIDE * SIDE))
        for column, i in enumerate(chosen):
            above, below = (picture.add_subplot(grid[row, column]) for row in (0, 1))
            # Names on maps this small would cover what there is: a legend below has them.
            plotting.draw_classes(above, self.means[i], self.labels, [], inches)
            reach = (-self.half, self.half)
            above.set(xlim=reach, ylim=reach, aspect="equal", xticks=[], yticks=[])
            above.set_title(f"epoch {self.epochs[i]}" if self.epochs[i] else "untrained")
            samples = np.concatenate([self.samples[i], blank]).reshape(-1, 1, SIDE, SIDE)
            plotting.show(below, plotting.tile(samples, columns))
        axes = picture.add_subplot(grid[2, :])
        curves = {name: (range(1, len(line) + 1), line) for name, line in losses.items()}
        plotting.draw_lines(axes, curves, "epoch (dotted: the stills)", y)
        for i in chosen:
            axes.axvline(self.epochs[i], color="#444444", linestyle=":", linewidth=1)
        axes.legend()
        named = zip(self.class_names, plotting.COLOURS, strict=False)
        patches = [Patch(color=colour, label=name) for name, colour in named]
        columns = len(patches) if sum(map(len, self.class_names)) < 40 else 5
        picture.legend(handles=patches, loc="outside lower center", ncols=columns, handlelength=1)
        return picture

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """The same for the same training, byte for byte."""
        frame = standalone.frame("animation", self.page(), title=TITLE, height=HEIGHT)
        return {"text/html": frame, "text/plain": repr(self)}

"""Every figure of the lessons.

Each function takes arrays or tensors and returns a `Picture`, which the notebook displays as a cell's value.
A Picture is a matplotlib Figure made without pyplot, so no global state is left behind, and it carries its
alternative text into the notebook's output, where nbconvert finds it.

The ten class colours were searched for: the least difference between any two, as readers without red, green
or blue cones see them, is as large as was found (19 in CIELAB; a test simulates it). Every map also writes
each class's name near its median, so that colour is never the only sign.
"""

import html
import io
import itertools
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from PIL import Image
from torch import Tensor

COLOURS = ("#0072b2", "#d55e00", "#0da353", "#d66aff", "#00c8df",
           "#950425", "#0a34b8", "#d3b400", "#dd6aa1", "#77665b")  # fmt: skip
MARKERS = "osD^vP"
DPI = 110
WIDTH = 8.5  # inches; what a notebook's output column shows without scaling
NARROW = 6.8  # of a single chart
DARK_PAPER = 20  # grey, of 255
GAP = 2  # pixels of paper between images in rows
COVER = 1000  # of a map's points together, square points (72 to the inch) per square inch of its panel

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "image.cmap": "gray",
    "legend.frameon": False,
}
styled = matplotlib.rc_context(STYLE)  # a decorator: afterwards matplotlib's own settings are as they were

Values: TypeAlias = np.ndarray | Tensor | Sequence[Any]  # images, coordinates or plain numbers
Named: TypeAlias = Mapping[str, Values]
Series: TypeAlias = Mapping[str, tuple[Values, Values]]  # curves by name: xs and ys
Names: TypeAlias = Sequence[str]
Charts: TypeAlias = Mapping[str, Series]  # curves by panel
Level: TypeAlias = tuple[str, float] | None  # a dashed line: its name, and where it is
Content = TypeVar("Content")


class Picture(Figure):
    """A Figure with alternative text, shown by notebooks as PNG, by dark ones as another if it `has_dark`."""

    def __init__(self, width: float, height: float, title: str, alt: str, has_dark: bool = False) -> None:
        super().__init__(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
        self.alt, self.has_dark = f"{title}{'' if title.endswith('?') else '.'} {alt}", has_dark
        self.suptitle(title, fontsize=11.5)

    def panels(
        self, contents: Mapping[str, Content], x: str = "", y: str = "", one_y: bool = False
    ) -> Iterator[tuple[Axes, Content]]:
        """Axes side by side under the names of what they show, and what that is; `one_y` has them share y."""
        row = self.subplots(1, len(contents), squeeze=False, sharey=one_y)[0]
        for axes, (name, content) in zip(row, contents.items(), strict=True):
            axes.set(title=name, xlabel=x, ylabel="" if one_y and axes is not row[0] else y)
            yield axes, content

    def __repr__(self) -> str:
        return f"<Picture: {self.alt}>"

    @styled
    def png(self, dark: bool = False) -> bytes:
        """The picture as a PNG file of at most 256 colours, half the size or less in every clone and page.

        They cover all that occur: chosen by frequency, rare ones such as those of labels would fall together.
        """
        drawn, file = io.BytesIO(), io.BytesIO()
        if dark:
            self._reverse_images()  # which `on_dark` turns back
        self.savefig(drawn, format="png")
        image = Image.open(drawn).convert("RGB")
        if dark:
            self._reverse_images()
            image = Image.fromarray(on_dark(np.asarray(image)))
        few = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(file, "PNG", optimize=True)
        return file.getvalue()

    def _reverse_images(self) -> None:
        for axes in self.axes:
            for image in axes.images:
                image.set_cmap(image.get_cmap().reversed())

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, Any]]:
        data = {"image/png": b64encode(self.png()).decode(), "text/plain": repr(self)}
        if self.has_dark:
            dark = b64encode(self.png(dark=True)).decode()
            data["text/html"] = on_either(data["image/png"], dark, self.alt)
        return data, {"image/png": {"alt": self.alt}}


def on_dark(pixels: np.ndarray) -> np.ndarray:
    """A drawing (H, W, 3) of bytes on white as one on dark paper: hues stay, what has no colour is exchanged.

    A colour that is light already is not made dark.
    """
    high, low = pixels.max(2, keepdims=True).astype(int), pixels.min(2, keepdims=True).astype(int)
    light = (high + low) // 2
    shift = np.maximum(255 - light, np.minimum(high - low, 150)) - light
    return (DARK_PAPER + (pixels + shift).clip(0, 255) * (255 - DARK_PAPER) // 255).astype(np.uint8)


def on_either(light: str, dark: str, alt: str) -> str:
    """HTML that shows the second of two PNG files, in base64, on a screen where JupyterLab is dark."""
    source = "data:image/png;base64,"
    return (
        "<style>@media not print{[data-jp-theme-light=false] .on-dark{content:var(--dark)}}</style>"
        f'<img class="on-dark" alt="{html.escape(alt)}" src="{source}{light}" '
        f'style="--dark:url({source}{dark})">'
    )


def to_numpy(values: Values) -> np.ndarray:
    """Any array or tensor, from any device, as a NumPy array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _listed(panels: Mapping[str, Iterable[object]]) -> str:
    """Panels and what is in each, for an alternative text."""
    return "; ".join(f"{name}: {', '.join(map(str, parts))}" for name, parts in panels.items())


def show(axes: Axes, image: np.ndarray) -> None:
    """One grey image on a scale of [0, 1], without ticks but with its label kept."""
    axes.imshow(image.reshape(image.shape[-2:]), vmin=0, vmax=1, cmap="gray", interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)


@styled
def image_rows(rows: Named, title: str, columns: Names = ()) -> Picture:
    """Images in labelled rows, e.g. originals over reconstructions: each value (N, 1, 28, 28)."""
    count = max(len(images) for images in rows.values())
    words = max(len(line) for label in rows for line in label.split("\n"))
    size = min(0.8, (WIDTH - 0.2 - 0.085 * words) / count)  # inches: what the row labels leave
    alt = f"Rows of {count} images, from the top: {', '.join(rows)}."
    picture = Picture(WIDTH, size * 1.06 * len(rows) + (0.7 if columns else 0.45), title, alt)
    paper = np.full((len(rows), count, 1, 28 + GAP, 28 + GAP), np.nan)
    for row, images in zip(paper, rows.values(), strict=True):
        row[: len(images), :, :28, :28] = to_numpy(images)
    axes = picture.subplots()
    show(axes, tile(paper.reshape(-1, *paper.shape[2:]), count)[:-GAP, :-GAP])
    axes.set_yticks(np.arange(len(rows)) * (28 + GAP) + 14, list(rows), fontsize=10)
    axes.set_xticks(np.arange(len(columns)) * (28 + GAP) + 14, columns, fontsize=9)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    return picture


def tile(images: np.ndarray, columns: int) -> np.ndarray:
    """Images (rows * columns, 1, h, w) side by side as one (rows * h, columns * w)."""
    count, _, height, width = images.shape
    tiles = images.reshape(count // columns, columns, height, width)
    return tiles.transpose(0, 2, 1, 3).reshape(-1, columns * width)


@styled
def image_grids(grids: Named, title: str, columns: int, size: float = 3.6) -> Picture:
    """Square grids of samples side by side, one per entry: each value (rows * columns, 1, 28, 28)."""
    width = max(min(WIDTH, size * len(grids)), 4.5)
    alt = f"Grids of images with {columns} columns, from the left: {', '.join(grids)}."
    tallest = max(len(images) / columns for images in grids.values()) / columns
    picture = Picture(width, width / len(grids) * tallest + 0.55, title, alt)
    for axes, images in picture.panels(grids):
        show(axes, tile(to_numpy(images), columns))
    return picture


@styled
def plane_grids(grids: Mapping[str, tuple[Values, Values]], title: str) -> Picture:
    """Decoded planes beside each other: name -> (coordinates (n,), images (n * n, 1, 28, 28)).

    Row i, column j shows the image decoded from z = (coordinates[j], coordinates[i]); z2 grows upwards.
    """
    alt = f"Decoded images over a plane, z1 to the right, z2 upwards, from the left: {', '.join(grids)}."
    picture = Picture(WIDTH, WIDTH / max(2, len(grids)) + 0.4, title, alt)
    for axes, (coordinates, images) in picture.panels(grids, "z1", "z2"):
        ticks = to_numpy(coordinates)
        n = len(ticks)
        by_row = to_numpy(images).reshape(n, n, 1, 28, 28)[::-1].reshape(n * n, 1, 28, 28)
        show(axes, tile(by_row, n))
        shown = np.unique(np.linspace(0, n - 1, min(n, 5)).round().astype(int))
        names = [f"{round(float(ticks[i]), 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}") for i in shown]
        axes.set_xticks(shown * 28 + 14, names)
        axes.set_yticks((n - 1 - shown) * 28 + 14, names)
    return picture


@styled
def maps(
    panels: Named, labels: Values, class_names: Names, title: str, axis_names: tuple[str, str] = ("z1", "z2")
) -> Picture:
    """Points of the plane coloured by class, one panel per entry: each value (N, 2)."""
    labels = to_numpy(labels)
    alt = (
        f"Scatter plots of {len(labels):,} points coloured by class ({', '.join(class_names)}), "
        f"{axis_names[0]} against {axis_names[1]}, from the left: {', '.join(panels)}."
    )
    width = WIDTH if len(panels) > 1 else NARROW
    picture = Picture(width, width / max(len(panels), 1.25) + 0.4, title, alt)
    for axes, points in picture.panels(panels, *axis_names):
        draw_classes(axes, to_numpy(points), labels, class_names, inches=width / len(panels))
    return picture


def ink_on(colour: str) -> str:
    """Black or white, whichever reads better on a hexadecimal colour (WCAG's relative luminance)."""
    red, green, blue = (((int(colour[i : i + 2], 16) / 255 + 0.055) / 1.055) ** 2.4 for i in (1, 3, 5))
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "white"


def draw_classes(axes: Axes, points: np.ndarray, labels: np.ndarray, names: Names, inches: float) -> None:
    """Points (N, 2) in the colours of their classes, on axes so many `inches` wide, with any class `names`.

    All are drawn in one shuffled order: class by class, the last would cover the first. Their area is a fixed
    share of the panel's, so that 10,000 leave paper between them and 60 are seen.
    """
    order = np.random.default_rng(0).permutation(len(points))
    x, y = points[order].T
    size = float(np.clip(COVER * inches**2 / len(points), 0.7, 14))
    axes.scatter(x, y, s=size, c=np.array(COLOURS)[labels[order]].tolist(), alpha=0.7, linewidths=0)
    look: Any = {"ha": "center", "va": "center", "fontweight": "bold", "fontsize": 9 if inches > 2 else 6}
    for index, place in label_places(points, labels, names).items():
        colour = COLOURS[index]
        box = {"boxstyle": "round,pad=0.2,rounding_size=0.5", "fc": colour, "ec": "white"}
        axes.annotate(names[index], tuple(place), color=ink_on(colour), bbox=box, **look)


def label_places(points: np.ndarray, labels: np.ndarray, names: Names) -> dict[int, np.ndarray]:
    """For each class the member nearest to its median whose label keeps clear of the labels before it."""
    places: dict[int, np.ndarray] = {}
    span = np.ptp(points, axis=0) + 1e-9
    room = np.array([0.03 + 0.03 * max(map(len, names), default=0), 0.06])  # of a label, share of the axes

    def clear(place: np.ndarray) -> bool:
        return all((np.abs(place - other) / span > room).any() for other in places.values())

    for index in range(len(names)):
        if len(members := points[labels == index]):
            median = np.median(members, axis=0)
            nearest = np.argsort((np.abs(members - median) / span).sum(1))
            places[index] = next(filter(clear, members[nearest]), median)
    return places


@styled
def lines(
    series: Series,
    title: str,
    x: str,
    y: str,
    *,
    errors: Named | None = None,
    level: Level = None,
    log_x: bool = False,
) -> Picture:
    """Curves over a common axis: name -> (xs, ys); `errors` are one standard error, `level` a dashed line."""
    alt = f"Line chart of {y} against {x}, one line each: {', '.join(series)}."
    picture = Picture(NARROW, 3.7, title, alt)
    axes = picture.subplots()
    draw_lines(axes, series, x, y, errors)
    if level is not None:
        axes.axhline(level[1], color="#444444", linestyle="--", linewidth=1.2, label=level[0])
        axes.legend()
    logarithmic(axes, "x" * log_x)
    return picture


@styled
def panels(
    charts: Charts, title: str, x: str | Names, y: str | Names, *, log_x: bool = False, log_y: bool = False
) -> Picture:
    """Several line charts side by side: panel name -> the `series` of `lines`."""
    xs, ys = ([names] * len(charts) if isinstance(names, str) else names for names in (x, y))
    content = {
        name: [*series, f"{y_name} against {x_name}"]
        for (name, series), x_name, y_name in zip(charts.items(), xs, ys, strict=True)
    }
    picture = Picture(WIDTH, 3.3, title, f"Line charts. {_listed(content)}.")
    for (axes, series), x_name, y_name in zip(picture.panels(charts), xs, ys, strict=True):
        draw_lines(axes, series, x_name, y_name)
        logarithmic(axes, "x" * log_x + "y" * log_y)
    return picture


@styled
def fading(charts: Named, title: str, x: str, y: str) -> Picture:
    """Many curves of one kind, in panels on one scale: panel name -> (steps, curves); steps count from 1."""
    arrays = {name: to_numpy(curves) for name, curves in charts.items()}
    content = _listed({name: [f"{curves.shape[1]} curves"] for name, curves in arrays.items()})
    picture = Picture(WIDTH, 3.3, title, f"Line charts of {y} against {x}. {content}.")
    for axes, curves in picture.panels(arrays, x, y, one_y=True):
        axes.plot(range(1, len(curves) + 1), curves, color=COLOURS[0], alpha=0.55, linewidth=1.2)
    return picture


@styled
def strips(charts: Mapping[str, Named], title: str, x: str, y: str) -> Picture:
    """Single results as points over their group, with the group's mean: panel name -> {group: values}."""
    content = {name: [" ".join(group.split()) for group in groups] for name, groups in charts.items()}
    by = f" by {x}" if x else ""
    picture = Picture(WIDTH, 3.4, title, f"Points of {y}{by}, with means as bars. {_listed(content)}.")
    for axes, groups in picture.panels(charts, x, y, one_y=True):
        for place, values in enumerate(map(to_numpy, groups.values())):
            beside = place + (np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(1))
            axes.plot(beside, values, "o", color=COLOURS[0], markersize=5, alpha=0.8)
            axes.hlines(values.mean(), place - 0.3, place + 0.3, color=COLOURS[1], linewidth=2)
        axes.set_xticks(range(len(groups)), list(groups))
        axes.grid(axis="x", visible=False)
    return picture


@styled
def posteriors(
    panels: Mapping[str, tuple[Values, Values, Values, Values]], title: str, reach: float = 4.0
) -> Picture:
    """True posteriors of the plane and Gaussian ones: name -> (coordinates (n,), density (n, n), mu, sigma).

    Row i, column j of the density stands at z = (coordinates[j], coordinates[i]); coordinates (2, n) are the
    axes' own. N(mu, diag(sigma^2)) is drawn at one and two sigma; a panel shows `reach` sigma around it.
    """
    alt = (
        "For each image the true posterior over the plane as shades, and the Gaussian q(z|x) as ellipses at "
        f"one and two sigma: {', '.join(panels)}."
    )
    picture = Picture(WIDTH, WIDTH / len(panels) + 0.5, title, alt)
    angle = np.linspace(0, 2 * np.pi, 100)
    for axes, values in picture.panels(panels, "z1", "z2"):
        ticks, density, mu, sigma = map(to_numpy, values)
        axes.contourf(*np.broadcast_to(ticks, (2, len(density))), density, levels=20, cmap="Blues")
        for times in (1, 2):
            x, y = (mu[i] + times * sigma[i] * f(angle) for i, f in enumerate((np.cos, np.sin)))
            axes.plot(x, y, color=COLOURS[1], linewidth=1.6)
        near = reach * sigma.max()
        axes.set(xlim=(mu[0] - near, mu[0] + near), ylim=(mu[1] - near, mu[1] + near), aspect="equal")
        axes.grid(False)
    return picture


def draw_lines(axes: Axes, series: Series, x: str, y: str, errors: Named | None = None) -> None:
    """Lines told apart by colour and by marker, with a legend if there are several."""
    for (name, (xs, ys)), marker in zip(series.items(), itertools.cycle(MARKERS), strict=False):
        error = to_numpy(errors[name]) if errors and name in errors else None
        axes.errorbar(to_numpy(xs), to_numpy(ys), error, label=name, marker=marker, markersize=4, capsize=2)
    if all(to_numpy(xs).dtype.kind == "i" for xs, _ in series.values()):  # there is no epoch 2.5
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axes.set(xlabel=x, ylabel=y)
    if len(series) > 1:
        axes.legend()


def logarithmic(axes: Axes, names: str) -> None:
    """Scale the axes of these names so, 'x', 'y' or 'xy', with plain numbers at the ticks: 1, 2, 5, 10, or
    powers of ten alone where the axis is long.

    Matplotlib's own 10^1 asks for mathematical fonts, and warns 21 times where it knows of none.
    """
    for name in names:
        axes.set(**{f"{name}scale": "log"})
        axis = getattr(axes, f"{name}axis")
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 300 * low else (1,)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


@styled
def points(named: Named, title: str, x: str, y: str, marked: Names = (), equal: Level = None) -> Picture:
    """Single named points in the plane, joined in the order given: a rate-distortion curve.

    Those `marked` are larger and in another colour; `equal` is the name of a dashed line, and x + y on it.
    """
    dashed = f" A dashed line of slope -1: {equal[0]}." if equal is not None else ""
    picture = Picture(NARROW, 4.0, title, f"Points of {y} against {x}: {', '.join(named)}.{dashed}")
    axes = picture.subplots()
    positions = np.array([*named.values()])
    axes.plot(*positions.T, "o-", color=COLOURS[0], markersize=5)
    for name, position in zip(named, positions, strict=True):
        bold: Any = {"fontweight": "bold"} if name in marked else {}
        axes.annotate(name, position, xytext=(6, 6), textcoords="offset points", fontsize=9, **bold)
    if marked:
        axes.plot(*np.array([named[name] for name in marked]).T, "s", color=COLOURS[1], markersize=8)
    if equal is not None:
        ends = np.array([positions[:, 0].min(), positions[:, 0].max()])
        axes.plot(ends, equal[1] - ends, "--", color="#444444", linewidth=1.2, label=equal[0])
        axes.legend()
    axes.margins(0.14)
    axes.set(xlabel=x, ylabel=y)
    return picture


@styled
def bars(
    groups: Mapping[str, Mapping[str, Any]], title: str, y: str, errors: bool = False, one_scale: bool = False
) -> Picture:
    """Bars side by side: chart name -> {bar name: height}, or (height, error); `one_scale`: one y for all."""
    picture = Picture(WIDTH, 3.4, title, f"Bar charts of {y}. {_listed(groups)}.")
    for axes, values in picture.panels(groups, y=y):
        heights, spread = zip(*values.values(), strict=True) if errors else ([*values.values()], None)
        names = list(map(str, values))
        axes.bar(range(len(names)), heights, yerr=spread, capsize=3, color=COLOURS[0], width=0.7)
        wide = max(map(len, names)) * len(names) * len(groups) > 75
        slant: Any = {"rotation": 35, "ha": "right"} if wide else {}
        axes.set_xticks(range(len(names)), names, **slant)
        axes.grid(axis="x", visible=False)
    if len(groups) == 1:
        picture.axes[0].set_title("")
    if one_scale:
        top = max(axes.get_ylim()[1] for axes in picture.axes)
        for axes in picture.axes:
            axes.set_ylim(top=top)
    return picture


@styled
def confusion(matrix: Values, class_names: Names, title: str) -> Picture:
    """A confusion matrix (C, C) of counts as shares of each true class's row."""
    counts = np.asarray(matrix, dtype=float)
    shares = counts / counts.sum(1, keepdims=True).clip(min=1)
    picture = Picture(NARROW, 5.8, title, "Matrix of true class (rows) against predicted class (columns).")
    axes = picture.subplots()
    axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
    axes.grid(False)
    axes.set_xticks(range(len(class_names)), class_names, rotation=45, ha="right")
    axes.set_yticks(range(len(class_names)), class_names)
    axes.set(xlabel="predicted class", ylabel="true class")
    for i, j in np.ndindex(shares.shape):
        if shares[i, j] >= 0.005:
            colour = "white" if shares[i, j] > 0.5 else "black"
            axes.text(j, i, f"{shares[i, j]:.0%}", ha="center", va="center", fontsize=7.5, color=colour)
    return picture

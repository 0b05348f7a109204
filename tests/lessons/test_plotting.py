"""Every figure of the lessons: that it is one, that it is drawn, and that it says what it shows."""

import base64
import functools
import inspect
import io
import itertools
import sys
from collections.abc import Callable

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.text import Text
from PIL import Image
from tiers import quick

from course_utils import plotting
from course_utils.plotting import Picture

TITLE = "What the title says"
RNG = np.random.default_rng(0)
IMAGES = torch.tensor(RNG.random((10, 1, 28, 28)), dtype=torch.float32)
LABELS = torch.arange(60) % 3
POINTS = RNG.standard_normal((60, 2))
NAMES = ("T-shirt/top", "Trouser", "Bag")
DENSITY = RNG.random((5, 5))
X, Y = np.arange(5), np.arange(5) ** 2
PLANE = (torch.linspace(-2, 2, 3), IMAGES[:9])

# One call per function, with everything optional in use; `lines` twice, since its options are many.
CALLS: dict[str, Callable[[], Picture]] = {
    "image_rows": lambda: plotting.image_rows(
        {"original": IMAGES[:5], "reconstruction": IMAGES[:4]},
        TITLE,
        columns=[f"digit {i}" for i in range(5)],
    ),
    "image_grids": lambda: plotting.image_grids({"before": IMAGES[:9], "after": IMAGES[:6]}, TITLE, 3),
    "plane_grids": lambda: plotting.plane_grids({"plain": PLANE, "by quantiles": PLANE}, TITLE),
    "maps": lambda: plotting.maps({"means": POINTS, "t-SNE": torch.tensor(POINTS)}, LABELS, NAMES, TITLE),
    "lines": lambda: plotting.lines({"VAE": (X, Y)}, TITLE, "epoch", "nats"),
    "lines with options": lambda: plotting.lines(
        {"VAE": (X + 1, Y), "ConvVAE": (X + 1, Y / 2)},
        TITLE,
        "samples",
        "nats",
        errors={"VAE": np.ones(5)},
        level=("floor", 1.0),
        log_x=True,
    ),
    "panels": lambda: plotting.panels(
        {"loss": {"train": (X, Y), "test": (X, Y + 1)}, "KL": {"train": (X, Y)}}, TITLE, "epoch", "nats"
    ),
    "panels with logarithms": lambda: plotting.panels(
        {"loss": {"train": (X + 1, Y + 1)}, "KL": {"train": (X + 1, Y + 1)}},
        TITLE,
        "epoch",
        "nats",
        log_x=True,
        log_y=True,
    ),
    "fading": lambda: plotting.fading({"plain": POINTS[:9], "warmed": POINTS[:5]}, TITLE, "epoch", "nats"),
    "strips": lambda: plotting.strips(
        {"binned": {"beta 1": [0.1, 0.3], "beta 4": [0.2]}, "sampled": {"beta 1": [0.2, 0.1, 0.4]}},
        TITLE,
        "beta",
        "gap",
    ),
    "posteriors": lambda: plotting.posteriors(
        {
            "square": (X - 2.0, DENSITY, [0.1, 0.2], [0.5, 0.3]),
            "axes of their own": ([X - 2.0, X - 1.0], DENSITY, [0.1, 1.2], [0.5, 0.3]),
        },
        TITLE,
    ),
    "points": lambda: plotting.points(
        {"beta 1": (25, 80), "beta 4": (12, 95)}, TITLE, "rate", "distortion", marked=["beta 1"]
    ),
    "points with a line": lambda: plotting.points(
        {"beta 1": (25, 80), "beta 4": (12, 95)}, TITLE, "rate", "distortion", equal=("D + R = 105", 105)
    ),
    "bars": lambda: plotting.bars(
        {"k-NN": {"VAE": (0.9, 0.01), "PCA": (0.8, 0.01)}, "probe": {"VAE": (0.7, 0.02)}},
        TITLE,
        "accuracy",
        errors=True,
    ),
    "confusion": lambda: plotting.confusion([[20, 5, 1], [2, 30, 0], [9, 9, 9]], NAMES, TITLE),
}
every_figure = pytest.mark.parametrize("name", CALLS)


SETTINGS_AT_START = dict(matplotlib.rcParams)


@functools.cache
def drawn(name: str) -> tuple[Picture, bytes]:
    """The figure and its PNG, drawn once for all tests that only look."""
    picture = CALLS[name]()
    return picture, picture.png()


def figure(name: str) -> Picture:
    return drawn(name)[0]


def pixels(png: bytes) -> np.ndarray:
    """The picture as a notebook shows it: (height, width, 3) bytes."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def laid_out(picture: Picture) -> Picture:
    """The picture with everything where it will be drawn."""
    picture.draw_without_rendering()
    return picture


def texts(picture: Picture) -> list[Text]:
    """All visible, non-empty texts of a picture that has been laid out."""
    return [text for text in picture.findobj(Text) if text.get_visible() and text.get_text()]


def test_every_function_that_makes_a_picture_is_tested_here():
    public = inspect.getmembers(plotting, inspect.isfunction)
    makers = {name for name, f in public if name[0] != "_" and f.__annotations__.get("return") is Picture}
    assert makers == {name.partition(" ")[0] for name in CALLS}


@every_figure
def test_a_figure_shows_more_than_its_title(name):
    picture, png = drawn(name)
    title_alone = Picture(*picture.get_size_inches(), TITLE, "").png()
    ink, title_s_ink = ((pixels(file) < 250).any(2).mean() for file in (png, title_alone))
    assert isinstance(picture, Picture) and ink > title_s_ink + 0.01


@every_figure
def test_a_notebook_gets_a_figure_as_a_png_that_fits_its_column_with_title_and_alternative_text(
    name, monkeypatch
):
    picture, png = drawn(name)
    monkeypatch.setattr(picture, "png", lambda **_: png)
    data, more = picture._repr_mimebundle_()
    assert (base64.b64decode(data["image/png"]), more["image/png"]["alt"]) == (png, picture.alt)
    assert picture.get_suptitle() == TITLE
    assert picture.alt.startswith(f"{TITLE}. ") and len(picture.alt) > len(TITLE) + 30
    width, height = picture.get_size_inches() * plotting.DPI
    assert pixels(png).shape[:2] == (int(height), int(width))
    assert width <= plotting.WIDTH * plotting.DPI


SERIES = {
    "image_rows": ["original", "reconstruction"],
    "image_grids": ["before", "after"],
    "plane_grids": ["plain", "by quantiles"],
    "maps": ["means", "t-SNE", *NAMES],
    "lines with options": ["VAE", "ConvVAE", "samples", "nats"],
    "panels": ["loss", "KL", "train", "test", "epoch", "nats"],
    "points": ["beta 1", "beta 4", "rate", "distortion"],
    "bars": ["k-NN", "probe", "VAE", "PCA", "accuracy"],
    "confusion": NAMES,
}


@pytest.mark.parametrize("name", SERIES)
def test_a_figure_writes_what_is_drawn_and_its_alternative_text_names_it(name):
    written = {text.get_text() for text in texts(figure(name))}
    assert set(SERIES[name]) <= written
    assert name == "confusion" or all(word in figure(name).alt for word in SERIES[name])


@every_figure
def test_nothing_is_cut_off_at_the_edge_of_a_figure(name):
    picture = figure(name)
    inches = picture.get_tightbbox()  # what is drawn; ticks beyond an axis's ends are not
    width, height = picture.get_size_inches()
    assert min(inches.x0, inches.y0, width - inches.x1, height - inches.y1) > -0.01


def test_on_dark_paper_text_is_light_and_images_stay_white_on_black():
    image = np.zeros((1, 1, 28, 28))
    image[..., 14:] = 1
    picture = plotting.image_rows({"": image}, TITLE)
    light, dark = picture.png(), pixels(picture.png(dark=True))
    assert dark[0, 0].tolist() == [plotting.DARK_PAPER] * 3 and dark.max() == 255
    left, bottom, right, top = picture.axes[0].get_window_extent().extents.astype(int)
    seen = dark[len(dark) - top + 3 : len(dark) - bottom - 3, left + 3 : right - 3, 0]
    assert seen[:, :5].max() <= plotting.DARK_PAPER and seen[:, -5:].min() == 255
    assert picture.png() == light  # it is as it was


@pytest.mark.parametrize("colour", plotting.COLOURS)
def test_on_dark_paper_a_class_s_colour_stands_out_by_3_to_1(colour):
    flat = np.array([[[int(colour[i : i + 2], 16) for i in (1, 3, 5)], [255, 255, 255]]], np.uint8)
    share = plotting.on_dark(flat)[0] / 255
    luminance = ((share + 0.055) / 1.055) ** 2.4 @ [0.2126, 0.7152, 0.0722]
    assert (luminance[0] + 0.05) / (luminance[1] + 0.05) > 3


@pytest.mark.parametrize("name", quick({name: name for name in CALLS}, 4))
def test_a_figure_made_again_without_pyplot_is_the_same_file(name, monkeypatch):
    """Or every execution of a notebook would change the images that are committed with it."""
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it now raises ImportError
    assert CALLS[name]().png() == drawn(name)[1]


@every_figure
def test_a_figure_leaves_pyplot_and_matplotlib_s_settings_alone(name):
    drawn(name)
    assert pyplot.get_fignums() == [] and dict(matplotlib.rcParams) == SETTINGS_AT_START


# --- tensors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values", [[1.0, 2.0], np.array([1.0, 2.0]), torch.tensor([1.0, 2.0], requires_grad=True)]
)
def test_anything_like_an_array_becomes_one(values):
    assert plotting.to_numpy(values).tolist() == [1, 2]


# --- images --------------------------------------------------------------------------------------


def shades(*values: float) -> torch.Tensor:
    """One image per value, of that grey all over."""
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)


def shown(picture: Picture, panel: int = 0) -> np.ndarray:
    """The image in a panel as it appears: its first row is the top one."""
    image = picture.axes[panel].images[0]
    assert image.origin == "upper"
    return np.asarray(image.get_array())


@every_figure
def test_grey_values_are_shown_on_a_scale_from_0_to_1(name):
    """Or faint images would look as strong as bright ones."""
    scales = {image.get_clim() for axes in figure(name).axes for image in axes.images}
    assert scales <= {(0.0, 1.0)}


@pytest.mark.parametrize("label", ["x", "reconstruction", "nearest training image"])
def test_row_labels_are_inside_the_figure_and_cover_no_image(label):
    picture = laid_out(plotting.image_rows({label: IMAGES, "original": IMAGES}, TITLE))
    box = next(text for text in texts(picture) if text.get_text() == label).get_window_extent()
    images = min(axes.get_window_extent().x0 for axes in picture.axes)
    assert box.x0 >= 0 and box.x1 <= min(images, picture.bbox.x1)


@pytest.mark.parametrize("count", [1, 2, 10, 16])
def test_a_row_of_images_stays_visible_however_many_there_are(count):
    picture = laid_out(plotting.image_rows({"original": IMAGES[:1].expand(count, 1, 28, 28)}, TITLE))
    assert picture.axes[0].get_window_extent().height > 28


def test_rows_of_images_keep_their_order_from_the_top():
    picture = laid_out(plotting.image_rows({"dark": shades(0.1, 0.2), "light": shades(0.8, 0.9)}, TITLE))
    np.testing.assert_allclose(shown(picture)[14::30, 14::30], [[0.1, 0.2], [0.8, 0.9]], rtol=1e-6)
    tops = {text.get_text(): text.get_window_extent().y0 for text in texts(picture)}
    assert tops["dark"] > tops["light"]


def test_a_short_row_leaves_the_rest_of_its_places_empty_and_images_are_shown_as_they_are():
    picture = plotting.image_rows({"three": IMAGES[:3], "one": IMAGES[:1]}, TITLE)
    empty = np.isnan(shown(picture)[14::30, 14::30])
    assert empty.tolist() == [[False, False, False], [False, True, True]]
    np.testing.assert_array_equal(shown(picture)[:28, :28], IMAGES[0, 0])


def test_columns_are_named_above_their_images():
    picture = laid_out(plotting.image_rows({"all": IMAGES[:3]}, TITLE, columns=["one", "two", "three"]))
    image = picture.axes[0].get_window_extent()
    named = {text.get_text(): text.get_window_extent() for text in texts(picture)}
    for place, name in enumerate(("one", "two", "three")):
        assert named[name].y0 >= image.y1
        middle = (named[name].x0 + named[name].x1) / 2
        assert image.x0 + place * image.width / 3 < middle < image.x0 + (place + 1) * image.width / 3


def test_a_grid_of_images_is_filled_row_by_row_and_none_is_turned_over():
    picture = plotting.image_grids({"samples": IMAGES[:6]}, TITLE, columns=3)
    np.testing.assert_array_equal(shown(picture)[28:, 28:56], IMAGES[4, 0])


def test_z2_grows_upwards_on_a_plane_and_z1_to_the_right_and_no_image_is_turned_over():
    image = shown(plotting.plane_grids({"decoded": PLANE}, TITLE))
    for place in range(9):
        top, left = 28 * (2 - place // 3), 28 * (place % 3)
        np.testing.assert_array_equal(image[top : top + 28, left : left + 28], IMAGES[place, 0])


@pytest.mark.parametrize(("axis", "places"), [("x", [14, 42, 70]), ("y", [70, 42, 14])])
def test_a_plane_s_ticks_are_at_the_middle_of_their_images(axis, places):
    axes = plotting.plane_grids({"decoded": ([-1.0, 0.0, 3.0], IMAGES[:9])}, TITLE).axes[0]
    named = [label.get_text() for label in getattr(axes, f"get_{axis}ticklabels")()]
    assert [float(name.replace("\N{MINUS SIGN}", "-")) for name in named] == [-1.0, 0.0, 3.0]
    assert list(getattr(axes, f"get_{axis}ticks")()) == places


# --- charts --------------------------------------------------------------------------------------


def test_a_map_draws_every_point_and_gives_every_class_a_colour_of_its_own():
    (points,) = figure("maps").axes[0].collections
    assert len(points.get_offsets()) == 60
    assert len({tuple(colour) for colour in points.get_facecolor()}) == 3


def test_no_class_of_a_map_covers_those_before_it():
    """Two classes in one crowded place: each has about half of the pixels that are in a class's colour."""
    labels = np.repeat([0, 1], 5000)
    picture = plotting.maps({"": RNG.standard_normal((10_000, 2))}, labels, [" ", " "], TITLE)
    picture.axes[0].collections[0].set_alpha(1)
    seen = pixels(picture.png()).astype(int)
    colours = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in plotting.COLOURS[:2]]
    first, second = ((np.abs(seen - np.array(colour)).max(-1) < 30).sum() for colour in colours)
    assert first + second > 5000
    assert first / (first + second) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("count", [2_000, 10_000])
def test_points_of_a_crowded_map_leave_paper_between_them(count):
    """Spread evenly, they are seen and cover less than half of a panel."""
    picture = plotting.maps({"": RNG.uniform(-1, 1, (count, 2))}, np.zeros(count, int), [" "], TITLE)
    axes = laid_out(picture).axes[0]
    (left, bottom), (right, top) = axes.transData.transform([(-0.7, -0.7), (0.7, 0.7)]).astype(int)
    shown = pixels(picture.png())
    middle = shown[len(shown) - top : len(shown) - bottom, left:right]
    assert 0.15 < (middle.min(-1) < 200).mean() < 0.5


@pytest.mark.parametrize(("colour", "ink"), [("#d3b400", "black"), ("#0a34b8", "white")])
def test_a_class_s_name_is_written_in_what_reads_on_its_colour(colour, ink):
    assert plotting.ink_on(colour) == ink


def test_a_map_does_without_a_class_that_has_no_points():
    picture = plotting.maps({"means": POINTS}, torch.zeros(60, dtype=torch.int64), NAMES, TITLE)
    assert "Bag" not in [text.get_text() for text in texts(picture)]


def test_a_map_writes_a_class_s_name_amid_its_points():
    centres = np.array([[0, 0], [10, 0], [0, 10]])[LABELS]
    picture = plotting.maps({"means": centres + 0.1 * POINTS}, LABELS, NAMES, TITLE)
    named = {text.get_text(): text.xy for text in picture.axes[0].texts}
    np.testing.assert_allclose(named["Trouser"], (10, 0), atol=0.2)


# What dichromats see of linear RGB (Machado, Oliveira & Fernandes 2009, severity 1).
DICHROMATS = {
    "all cones": np.eye(3),
    "no red cones": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ],
    "no green cones": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ],
    "no blue cones": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colours: tuple[str, ...], seen: np.ndarray) -> np.ndarray:
    """CIELAB coordinates of hexadecimal colours as somebody sees them."""
    rgb = np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.transpose(seen), 0, 1) @ TO_XYZ.T / TO_XYZ.sum(1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("seen", DICHROMATS.values(), ids=DICHROMATS)
def test_the_ten_colours_keep_apart_for_everybody(seen):
    differences = [np.linalg.norm(a - b) for a, b in itertools.combinations(lab(plotting.COLOURS, seen), 2)]
    assert len(differences) == 45 and min(differences) > 19


def test_a_line_goes_through_its_points():
    line = figure("lines").axes[0].containers[0].lines[0]
    np.testing.assert_array_equal(line.get_xydata(), np.stack([X, Y], 1))


def test_lines_differ_in_more_than_colour_and_have_the_errors_given_for_them():
    lines = figure("lines with options").axes[0].containers
    assert len({line.lines[0].get_marker() for line in lines}) == 2
    assert [line.has_yerr for line in lines] == [True, False]


def test_panels_take_one_axis_name_for_all_or_one_each():
    charts = {"a": {"s": (X, Y)}, "b": {"s": (X, Y)}}
    picture = plotting.panels(charts, TITLE, "epoch", ["nats", "seconds"])
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in picture.axes] == [
        ("epoch", "nats"), ("epoch", "seconds"),
    ]  # fmt: skip


@every_figure
def test_no_figure_asks_for_mathematical_fonts(name):
    # A list of fonts that lacks them costs 21 warnings for one `$`.
    assert [text for text in figure(name).findobj(Text) if "$" in text.get_text()] == []


def test_logarithmic_axes_show_plain_numbers():
    picture = plotting.lines({"VAE": ([2, 10, 50, 100], range(4))}, TITLE, "dimensions", "nats", log_x=True)
    picture.png()
    ticks = [tick.label1.get_text() for tick in picture.axes[0].xaxis.get_major_ticks()]
    assert {"2", "5", "10", "20", "50", "100"} <= set(ticks)


def test_a_marked_point_stands_on_the_point_it_marks():
    _, marks = figure("points").axes[0].lines
    assert marks.get_xydata().tolist() == [[25, 80]]


def test_the_line_of_an_equal_sum_goes_through_the_point_that_has_it():
    line = figure("points with a line").axes[0].lines[-1].get_xydata()
    assert line.tolist() == [[12, 93], [25, 80]]


def test_a_bar_starts_at_zero_and_is_as_high_as_its_value():
    axes = plotting.bars({"": {"VAE": 0.9, "PCA": 0.8}}, TITLE, "accuracy").axes[0]
    assert axes.get_ylim()[0] == 0
    assert [bar.get_height() for bar in axes.patches] == [0.9, 0.8]


def test_charts_of_bars_on_one_scale_are_equally_high_with_room_for_the_highest():
    picture = plotting.bars({"a": {"VAE": 0.9}, "b": {"VAE": 0.1}}, TITLE, "accuracy", one_scale=True)
    (top,) = {axes.get_ylim()[1] for axes in picture.axes}
    assert top >= 0.9


def test_a_confusion_matrix_shows_and_writes_shares_of_each_true_class():
    """One of them never occurs."""
    picture = plotting.confusion([[30, 10, 0], [0, 5, 0], [0, 0, 0]], ["a", "b", "c"], TITLE)
    np.testing.assert_allclose(shown(picture), [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]])
    written = {text.get_text(): text.get_position() for text in picture.axes[0].texts}
    assert written == {"75%": (0, 0), "25%": (1, 0), "100%": (1, 1)}


def test_labels_of_classes_that_lie_together_keep_apart():
    points = np.random.default_rng(0).normal(size=(2000, 2))
    places = plotting.label_places(points, np.arange(2000) % 10, [str(digit) for digit in range(10)])
    across = np.ptp(points, axis=0)
    for first, second in itertools.combinations(places.values(), 2):
        assert (np.abs(first - second) / across > [0.06, 0.06]).any()


def test_whole_numbers_have_whole_ticks():
    curve = {"VAE": (range(1, 13), np.arange(12))}
    picture = laid_out(plotting.panels(dict.fromkeys("abc", curve), TITLE, "epoch", "nats"))
    ticks = picture.axes[0].get_xticks()
    assert np.array_equal(ticks, ticks.round())


def test_the_only_point_of_a_group_stands_in_its_middle():
    picture = plotting.strips({"holes": {"VAE": [0.1], "AE": [0.2, 0.3]}}, TITLE, "model", "share")
    assert picture.axes[0].lines[0].get_xdata() == [0]


def test_few_colours_are_enough_for_a_crowded_map(monkeypatch):
    """No pixel is far from what was drawn, and white stays white."""
    points, labels = RNG.standard_normal((5000, 2)), torch.arange(5000) % 10
    picture = plotting.maps({"one": points}, labels, [str(label) for label in range(10)], TITLE)
    few = pixels(picture.png()).astype(int)
    monkeypatch.setattr(Image.Image, "quantize", lambda image, *_, **__: image)
    assert abs(few - pixels(picture.png())).max() <= 32  # of 255
    assert (few[0, 0] == 255).all()

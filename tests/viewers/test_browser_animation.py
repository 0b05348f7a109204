"""The animation in a real browser: playing, scrubbing, keys, and that nothing else happens."""

import io
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
import torch
from browser import DESK, PHONE
from PIL import Image

from course_utils.training import History
from course_utils.viewers.animation import Film

EPOCHS = 8


@pytest.fixture(scope="module")
def film() -> Film:
    """Classes that walk outwards, a step an epoch, and samples that brighten."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    out = np.stack([np.cos(2.1 * labels), np.sin(2.1 * labels)], 1)
    means = [30 * epoch * out + rng.normal(0, 12, out.shape) for epoch in range(EPOCHS + 1)]
    samples = [np.full((4, 784), 255 * epoch // EPOCHS) for epoch in range(EPOCHS + 1)]
    frames = {
        "means": [frame.astype(int).tolist() for frame in means],
        "samples": [frame.tolist() for frame in samples],
    }
    terms = {name: np.linspace(9, 2, EPOCHS).tolist() for name in ("loss", "reconstruction", "kl")}
    watched = {name: values[1:] for name, values in frames.items()}
    history = History(terms, terms, [1.0] * EPOCHS, watched)
    before = {name: values[0] for name, values in frames.items()}
    return Film(history, torch.tensor(labels), ["left", "middle", "right"], before=before)


class Reader:
    """Somebody with the page open."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.wait_for_selector("[data-ready]", state="attached")
        page.wait_for_timeout(100)

    def epoch(self) -> int:
        return int(self.page.locator(".vae-animation").get_attribute("data-epoch"))

    def sample(self) -> int:
        """The grey of the samples."""
        return self.page.locator(".sheet").evaluate(
            "c => c.getContext('2d').getImageData(5, 5, 1, 1).data[0]"
        )

    def map(self) -> str:
        return self.page.locator(".points").evaluate("canvas => canvas.toDataURL()")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.locator(".scrub").press(key)


@pytest.fixture
def open_page(visitor: browser.Visitor, film: Film, tmp_path: Path) -> Any:
    """Opens the page."""
    file = tmp_path / "film.html"
    file.write_text(film.page(), encoding="utf-8")
    return lambda **options: Reader(visitor.open(file.as_uri(), **options))


def test_it_waits_at_the_first_epoch(open_page):
    reader = open_page()
    reader.page.wait_for_timeout(700)
    assert reader.epoch() == 0 and reader.sample() == 0


def test_it_plays_to_the_end_and_then_once_more(open_page):
    reader = open_page()
    reader.page.locator(".speed").select_option("4")
    for _ in range(2):
        reader.page.locator(".play").click()
        assert reader.page.locator(".play").inner_text() == "Pause"
        reader.page.get_by_role("button", name="Play").wait_for()
        assert (reader.epoch(), reader.sample()) == (EPOCHS, 255)


def test_the_slider_is_moved_by_keys_and_says_what_an_epoch_is_like(open_page):
    reader = open_page()
    seen = []
    for key in ("ArrowRight", "ArrowRight", "End", "ArrowLeft", "Home", "End"):
        reader.press(key)
        seen.append(reader.epoch())
    assert seen == [1, 2, EPOCHS, EPOCHS - 1, 0, EPOCHS]
    said = "test images: loss 2.0, reconstruction 2.0, kl 2.0"
    assert reader.page.locator(".scrub").get_attribute("aria-valuetext") == f"epoch {EPOCHS}: {said}"
    assert said in reader.page.locator(".now").inner_text()


def test_space_on_the_slider_plays_it_and_it_stops_where_it_is_paused(open_page):
    reader = open_page()
    reader.press(" ")
    reader.page.wait_for_selector("[data-epoch='1']")
    reader.page.locator(".play").click()
    there = reader.map()
    reader.page.wait_for_timeout(700)
    assert reader.map() == there


def test_a_click_into_the_slider_or_a_curve_goes_to_its_epoch(open_page):
    reader = open_page()
    for place, share, epoch in ((".scrub", 1 / 2, EPOCHS // 2), (".curves svg", 300 / 316, EPOCHS)):
        box = reader.page.locator(place).last.bounding_box()
        reader.page.mouse.click(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
        assert reader.epoch() == epoch


@pytest.mark.parametrize(("motion", "glide"), [("reduce", False), ("no-preference", True)])
def test_points_glide_between_epochs_only_where_motion_is_wanted(open_page, motion, glide):
    """Whether two looks within one epoch ever differ."""
    reader = open_page(**DESK, reduced_motion=motion)
    reader.page.locator(".speed").select_option("0.5")
    reader.page.locator(".play").click()
    maps: dict[int, set[str]] = {}
    while (before := reader.epoch()) < 3:
        seen = reader.map()
        if reader.epoch() == before:
            maps.setdefault(before, set()).add(seen)
    assert maps and (max(map(len, maps.values())) > 1) is glide


on_either = pytest.mark.parametrize(("light", "grey"), [("true", 255), ("false", 20)])


def shown(visitor: browser.Visitor, light: str, part: str) -> Any:
    """A page in JupyterLab's colours with this part of a notebook in it."""
    page = visitor.open("about:blank", color_scheme="null")  # else it is forced on a frame as well
    page.set_content(f'<body style="margin:0" data-jp-theme-light="{light}">{part}</body>')
    return page


def corner(seen: Any) -> list[int]:
    """A pixel of its paper."""
    return np.asarray(Image.open(io.BytesIO(seen.screenshot())).convert("RGB"))[3, 3].tolist()


@on_either
def test_stills_are_on_dark_paper_where_jupyterlab_is_dark_and_not_in_print(visitor, film, light, grey):
    page = shown(visitor, light, film.stills()._repr_mimebundle_()[0]["text/html"])
    for medium, expected in (("screen", grey), ("print", 255)):
        page.emulate_media(media=medium)
        assert corner(page.locator("img")) == [expected] * 3


@on_either
def test_a_saved_film_works_in_its_frame_on_dark_paper_where_jupyterlab_is_dark(visitor, film, light, grey):
    page = shown(visitor, light, film._repr_mimebundle_()["text/html"])
    frame = page.frame_locator("iframe")
    frame.locator("[data-ready]").wait_for(state="attached")
    assert abs(corner(page)[0] - grey) < 5
    frame.locator(".scrub").press("End")
    assert frame.locator(".now b").inner_text() == f"epoch {EPOCHS}"


@pytest.mark.parametrize("look", [DESK, PHONE, DESK | {"color_scheme": "dark"}])
def test_nobody_is_kept_out(open_page, look):
    reader = open_page(**look)
    reader.press("ArrowRight")
    assert browser.barriers(reader.page) == []

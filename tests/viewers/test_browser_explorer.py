"""The latent explorer in a real browser: what pointer and keys do, and that nothing else happens."""

import html
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import lab
import nbformat
import numpy as np
import pytest
import torch
from browser import DESK, PHONE
from programs import ROOT

from course_utils import data, evaluation, models, objectives
from course_utils.data import Dataset
from course_utils.engine import fast
from course_utils.viewers import explorer

DIMENSIONS = pytest.mark.parametrize("latent_dim", [2, 20])
STILL = {"reduced_motion": "reduce"}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return data.load("digits")


@pytest.fixture(scope="module")
def trained(digits: Dataset) -> dict[int, models.VAE]:
    """VAEs that have learned enough to draw different digits, by their dimensions."""
    vaes = {}
    for latent_dim in (2, 20):
        torch.manual_seed(0)
        vaes[latent_dim] = models.VAE(latent_dim)
        fast.fit(vaes[latent_dim], digits.train_images[:3000], objectives.negative_elbo, epochs=8)
    return vaes


@pytest.fixture(scope="module")
def files(
    trained: dict[int, models.VAE], digits: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, Path]:
    """Their pages."""
    folder = tmp_path_factory.mktemp("explorer")
    files = {k: folder / f"vae{k}.html" for k in trained}
    for k, vae in trained.items():
        files[k].write_text(explorer.page(vae, digits), encoding="utf-8")
    return files


class Reader:
    """Somebody with the page open."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.wait_for_selector("[data-ready]", state="attached")
        self.settle()

    def settle(self) -> None:
        browser.after(self.page, 200)  # the spoken text waits 120 ms

    def at(self, x: float, y: float, canvas: str = ".cursor") -> tuple[float, float]:
        """Where in the window the share (x, y) of a canvas lies."""
        self.page.locator(canvas).scroll_into_view_if_needed()
        box = self.page.locator(canvas).bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def code(self) -> torch.Tensor:
        """The z that is decoded."""
        return torch.tensor([json.loads(self.page.locator(".decoded").get_attribute("data-z"))]).float()

    def picture(self, canvas: str) -> np.ndarray:
        """What a canvas shows, (28, 28) from 0 to 1."""
        values = self.page.locator(canvas).evaluate(
            "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, 28, 28).data)"
        )
        return np.array(values).reshape(28, 28, 4)[:, :, 0] / 255

    def text(self, element: str) -> str:
        return str(self.page.locator(element).text_content())

    def draw(self, *corners: tuple[float, float]) -> None:
        """One line through these places, in shares of the pad."""
        self.page.mouse.move(*self.at(*corners[0], ".ink"))
        self.page.mouse.down()
        for corner in corners[1:]:
            self.page.mouse.move(*self.at(*corner, ".ink"), steps=8)
        self.page.mouse.up()
        self.settle()

    def draw_a_one(self, left: float = 0.5) -> None:
        self.draw((left, 0.2), (left, 0.8))

    def box(self, element: str) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of an element."""
        box = self.page.locator(element).bounding_box()
        return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]

    def numbers(self, element: str) -> list[float]:
        """Those in its text."""
        return [float(n) for n in re.findall(r"-?\d+\.\d+", self.text(element).replace("\u2212", "-"))]

    def rows(self) -> np.ndarray:
        """The table of the forward pass: mu, sigma, eps, z and KL of each dimension shown."""
        count = self.page.locator("tbody tr").count()
        cells = self.page.locator("tbody td").all_text_contents()
        return np.array([float(cell.replace("\u2212", "-")) for cell in cells]).reshape(count, 5)


@pytest.fixture
def open_page(visitor: browser.Visitor, files: dict[int, Path]) -> Any:
    """Opens a page, where jumps take no time unless told otherwise."""
    return lambda latent_dim, **options: Reader(visitor.open(files[latent_dim].as_uri(), **STILL | options))


@DIMENSIONS
def test_the_page_decodes_what_pytorch_decodes(open_page, latent_dim, trained):
    reader = open_page(latent_dim)
    for place in ((0.5, 0.5), (0.35, 0.4), (0.6, 0.7)):
        reader.page.mouse.move(*reader.at(*place))
        reader.settle()
        truth = evaluation.decode(trained[latent_dim], reader.code()).numpy()[0, 0]
        assert np.abs(reader.picture(".decoded") - truth).max() < 0.1
        assert np.abs(reader.picture(".decoded") - truth).mean() < 0.004
        assert "nearest class: " in reader.text(".where")


@DIMENSIONS
def test_clicking_a_point_shows_its_image_beside_what_is_decoded_of_its_code(
    open_page, latent_dim, trained, digits
):
    reader = open_page(latent_dim)
    half, axes, centre = reader.page.evaluate(
        "(({half, axes, centre}) => [half, axes, centre])(JSON.parse(data.textContent))"
    )
    means = evaluation.codes(trained[latent_dim], digits.test_images).numpy()
    x, y = (np.array(axes) @ (means[11] - centre)) / half
    reader.page.mouse.click(*reader.at((1 + x) / 2, (1 - y) / 2))
    reader.settle()
    index = int(reader.text(".which").split()[2].rstrip(";")) - 1
    assert np.allclose(reader.code().numpy(), means[index], atol=6e-4)
    assert np.abs(reader.picture(".original") - digits.test_images[index, 0].numpy()).max() < 0.05
    there = reader.code()
    reader.page.mouse.move(*reader.at(0.1, 0.1))
    reader.settle()
    assert torch.equal(reader.code(), there)  # it stays until let go
    reader.page.mouse.click(*reader.at(0.02, 0.02))
    reader.page.mouse.move(*reader.at(0.5, 0.3))
    reader.settle()
    assert not torch.equal(reader.code(), there)


@DIMENSIONS
def test_a_drawing_lands_where_pytorch_s_encoder_puts_it(open_page, latent_dim, trained):
    reader = open_page(latent_dim)
    reader.draw_a_one()
    seen = torch.tensor(reader.picture(".original"), dtype=torch.float32).view(1, 1, 28, 28)
    mu, _ = evaluation.posterior(trained[latent_dim], seen)
    assert torch.allclose(reader.code(), mu, atol=0.15)
    assert "It lands at" in reader.text(".landed")
    assert reader.picture(".decoded").max() > 0.3
    reader.page.locator(".clear").click()
    reader.settle()
    assert reader.text(".landed") == "Where does it land?" and reader.picture(".ink").max() == 0


def test_a_drawing_is_scaled_and_centred_as_mnist_does_where_asked(open_page):
    reader = open_page(2)
    reader.draw_a_one(left=0.2)
    rows, columns = np.indices((28, 28))
    seen = reader.picture(".original")
    assert (seen * columns).sum() / seen.sum() == pytest.approx(13.5, abs=0.3)
    assert (seen * rows).sum() / seen.sum() == pytest.approx(13.5, abs=0.3)
    assert 19 <= np.ptp(np.nonzero(seen.max(1) > 0.3)[0]) + 1 <= 21
    reader.page.locator(".mnist").uncheck()
    reader.settle()
    assert np.array_equal(reader.picture(".original"), reader.picture(".ink"))


def test_the_pen_is_as_thick_as_mnist_s_strokes_however_large_one_draws(open_page):
    """A row through an upright line holds its thickness. Half of MNIST's strokes lie between 2.0 and 2.9."""
    reader = open_page(2)
    for height in (0.25, 0.5, 0.85):
        reader.draw((0.5, 0.5 - height / 2), (0.5, 0.5 + height / 2))
        thickness = reader.picture(".original")[8:20].sum(1)
        assert thickness.min() > 2.0 and thickness.max() < 2.9, height
        reader.page.locator(".clear").click()


SEVEN = ((0.25, 0.2), (0.72, 0.2), (0.42, 0.8))
SIX = (
    (0.6, 0.18), (0.43, 0.32), (0.32, 0.54), (0.32, 0.71), (0.46, 0.82), (0.6, 0.79), (0.68, 0.68),
    (0.6, 0.57), (0.46, 0.57), (0.32, 0.68),
)  # fmt: skip


@pytest.mark.parametrize("cell", ["exploration-explorer", "explore-twenty"])
def test_a_drawn_7_lands_among_7s_and_a_6_among_6s_of_the_lesson_s_own_map(visitor, tmp_path, cell):
    lesson = nbformat.read(ROOT / "solutions/04-exploration/exploration.ipynb", as_version=4)
    (stored,) = next(one for one in lesson.cells if one.id == cell).outputs
    file = tmp_path / "stored.html"
    page = re.search(r'srcdoc="(.*?)"></iframe>', stored.data["text/html"], re.DOTALL)[1]
    file.write_text(html.unescape(page), encoding="utf-8")
    reader = Reader(visitor.open(file.as_uri(), **STILL))
    for (digit, corners), size in itertools.product({7: SEVEN, 6: SIX}.items(), (0.4, 1.0)):
        reader.draw(*((0.5 + size * (x - 0.5), 0.5 + size * (y - 0.5)) for x, y in corners))
        assert f"nearest class: {digit} " in reader.text(".landed")
        reader.page.locator(".clear").click()


@DIMENSIONS
def test_a_forward_pass_has_pytorch_s_numbers(open_page, latent_dim, trained):
    reader = open_page(latent_dim)
    reader.draw_a_one()
    reader.page.locator(".again").click()
    reader.settle()
    x = torch.tensor(reader.picture(".original"), dtype=torch.float32).view(1, 1, 28, 28)
    mu, logvar = evaluation.posterior(trained[latent_dim], x)
    kl = objectives.gaussian_kl(mu, logvar)[0]
    order = reader.page.evaluate("JSON.parse(data.textContent).order")
    rows = reader.rows()
    assert rows[:, 0] == pytest.approx(mu[0, order].numpy(), abs=0.15)
    assert rows[:, 1] == pytest.approx((logvar[0, order] / 2).exp().numpy(), abs=0.05)
    assert rows[:, 4] == pytest.approx(kl[order].numpy(), abs=0.3)
    assert reader.code()[0, order].numpy() == pytest.approx(rows[:, 3], abs=0.006)
    error, price, together = reader.numbers(".terms")
    logits = trained[latent_dim].decode(reader.code())
    assert error == pytest.approx(objectives.bernoulli_nll(logits, x).item(), rel=0.05)
    assert price == pytest.approx(kl.sum().item(), rel=0.05)
    assert together == pytest.approx(error + price, abs=0.11)


def test_drawing_eps_again_gives_another_z_of_the_same_posterior(open_page):
    reader = open_page(2)
    assert reader.page.locator(".again").is_disabled()
    reader.page.locator(".cursor").press("Enter")
    reader.settle()
    assert np.array_equal(reader.rows()[:, 2], [0, 0])  # at its mean
    passes = []
    for _ in range(20):
        reader.page.locator(".again").click()
        reader.settle()
        passes.append(reader.rows())
    mu, sigma, eps, z, kl = np.moveaxis(np.array(passes), 2, 0)
    assert all(np.ptp(same, 0).max() == 0 for same in (mu, sigma, kl))
    assert z == pytest.approx(mu + sigma * eps, abs=0.012)
    assert abs(eps.mean()) < 0.65 and 0.5 < eps.std() < 1.6  # four standard errors


@pytest.mark.parametrize(("width", "height"), [(360, 780), (600, 600), (1000, 700)])
def test_map_and_decoded_image_are_in_sight_together(open_page, width, height):
    reader = open_page(2, viewport={"width": width, "height": height})
    image, ground = reader.box(".decoded"), reader.box(".frame")
    assert max(image[3], ground[3]) - min(image[1], ground[1]) < height


@pytest.mark.parametrize("width", [600, 1000])
def test_the_pad_stands_beside_the_map(open_page, width):
    reader = open_page(2, viewport={"width": width, "height": 900})
    pad, ground = reader.box(".ink"), reader.box(".map")
    assert pad[0] > ground[2] and pad[3] < ground[3]


@DIMENSIONS
def test_an_address_brings_back_the_view(open_page, latent_dim):
    reader = open_page(latent_dim)
    assert "#" not in reader.page.url
    reader.page.mouse.click(*reader.at(0.4, 0.3))
    reader.page.locator(".set-a").click()
    reader.page.locator(".cursor").press("Enter")
    reader.settle()
    reader.page.locator(".set-b").click()
    reader.page.locator(".again").click()
    reader.settle()
    seen = [reader.text(part) for part in (".where", ".which", ".ends", "table", ".terms")]
    address = reader.page.url
    reader.page.goto("about:blank")
    reader.page.goto(address)
    again = Reader(reader.page)
    assert [again.text(part) for part in (".where", ".which", ".ends")] == seen[:3]
    assert again.rows() == pytest.approx(reader.rows(), abs=0.02)
    again.page.mouse.move(*again.at(0.1, 0.1))
    again.settle()
    assert again.text(".where") == seen[0]  # it is held


def test_an_address_with_an_image_alone_leads_to_its_mean(open_page):
    reader = open_page(2)
    reader.page.evaluate("location.hash = '#x=12'")
    reader.settle()
    assert reader.text(".which").startswith("Test image 12;")
    assert np.array_equal(reader.rows()[:, 2], [0, 0])


def test_an_address_that_says_nothing_of_a_view_is_as_none(open_page):
    reader = open_page(2)
    plain = reader.text(".where")
    for hash_ in ("#explorer", "#z=1", "#z=a,b&x=0&a=", "#x=1e9&z=1,Infinity"):
        reader.page.evaluate("hash => { location.hash = hash; }", hash_)
        reader.settle()
        assert reader.text(".where") == plain and reader.page.url.endswith(hash_)


def test_everything_can_be_done_with_keys(open_page):
    reader = open_page(20)
    page = reader.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "cursor"
    before = reader.code()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    reader.settle()
    assert (reader.code() - before).norm().item() == pytest.approx((0.1**2 + 0.5**2) ** 0.5, abs=1e-3)
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    reader.settle()
    assert reader.text(".which").startswith("Test image")
    page.keyboard.press("b")
    reader.settle()
    page.locator(".straight button").last.press("Enter")
    reader.settle()
    page.locator(".slider input").first.press("Home")
    reader.settle()
    assert reader.code().min() <= -3
    page.locator(".ink").focus()
    for key in (" ", *["ArrowDown"] * 6):
        page.keyboard.press(key)
    reader.settle()
    assert "It lands at" in reader.text(".landed")


@DIMENSIONS
def test_a_walk_leads_from_a_to_b(open_page, latent_dim, trained):
    reader = open_page(latent_dim)
    ends = []
    for name, place in (("a", (0.4, 0.3)), ("b", (0.6, 0.7))):
        reader.page.mouse.click(*reader.at(*place))
        reader.settle()
        ends.append(reader.code()[0])
        reader.page.locator(f".set-{name}").click()
    reader.settle()
    for name, spherical in (("straight", False), ("round", True))[: 1 if latent_dim == 2 else 2]:
        walk = evaluation.interpolate(*ends, 10, spherical=spherical)
        truth = evaluation.decode(trained[latent_dim], walk).numpy()[:, 0]
        for i in (0, 4, 9):
            shown = reader.picture(f".{name} button:nth-child({i + 1}) canvas")
            assert np.abs(shown - truth[i]).max() < 0.1


@DIMENSIONS
def test_a_phone_has_no_sideways_scrolling_and_a_finger_moves(open_page, latent_dim):
    reader = open_page(latent_dim, **PHONE)
    assert reader.page.evaluate("document.documentElement.scrollWidth") == 360
    before = reader.code()
    reader.page.touchscreen.tap(*reader.at(0.3, 0.25))
    reader.settle()
    assert not torch.equal(reader.code(), before)


@pytest.mark.parametrize(("motion", "milliseconds"), [("reduce", 50), ("no-preference", 500)])
def test_a_jump_is_at_once_where_motion_is_not_wanted_else_a_glide(open_page, motion, milliseconds):
    reader = open_page(2, reduced_motion=motion)
    reader.page.locator(".cursor").press("Enter")
    browser.after(reader.page, milliseconds)
    assert reader.text(".which").startswith("Test image")


@pytest.mark.parametrize(("latent_dim", "scheme"), [(2, "light"), (20, "dark")])
def test_axe_finds_no_barriers(open_page, latent_dim, scheme):
    reader = open_page(latent_dim, **DESK, color_scheme=scheme)
    reader.page.locator(".cursor").focus()
    for key in ("a", "Enter", "b"):
        reader.page.keyboard.press(key)
        reader.settle()
    reader.draw_a_one()
    assert browser.barriers(reader.page) == []


@pytest.mark.parametrize(("light", "theme"), [("true", "light"), ("false", "dark")])
def test_what_a_notebook_saves_works_in_its_frame_in_the_colours_of_jupyterlab(
    visitor, trained, digits, light, theme
):
    saved = explorer.explore(trained[2], digits)._repr_mimebundle_()["text/html"]
    page = visitor.open("about:blank", color_scheme="null", **STILL)  # "null": else it is forced on the frame
    page.set_content(f'<body data-jp-theme-light="{light}">{saved}</body>')
    frame = page.frame_locator("iframe")
    frame.locator(f"[data-ready][data-theme={theme}]").wait_for(state="attached")
    frame.locator(".cursor").press("Enter")
    browser.after(page, 200)
    assert frame.locator(".which").inner_text().startswith("Test image")
    assert frame.locator(".draw .ink").is_visible()


# --- in JupyterLab --------------------------------------------------------------------------------------

CELL = """import torch
from course_utils import data, models
from course_utils.viewers import explorer

torch.manual_seed(0)
explorer.explore(models.VAE(20), data.load("digits"))"""


@pytest.fixture
def jupyterlab(tmp_path: Path) -> Iterator[str]:
    """The address of a JupyterLab that shows a notebook with an explorer in it, not yet run."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    folder = tmp_path / "course"
    folder.mkdir()
    nbformat.write(notebook, folder / "explorer.ipynb")
    with lab.running(folder) as address:
        yield address


def test_in_jupyterlab_the_kernel_decodes_and_without_it_the_saved_page(chromium, jupyterlab):
    page = lab.opened(chromium, jupyterlab, "explorer.ipynb")
    lab.Notebook(page).run_all()
    live = page.locator(".vae-explorer[data-ready]")
    live.wait_for()
    page.wait_for_timeout(500)
    assert not page.locator("iframe.explorer-saved").is_visible()
    live.locator(".cursor").focus()
    codes = set()
    for _ in range(10):
        page.keyboard.press("ArrowRight")  # JupyterLab's own keys do not take it
        browser.after(page, 200)
        codes.add(live.locator(".decoded").get_attribute("data-z"))
    assert len(codes) == 10
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    assert live.get_attribute("data-theme") == "dark"
    page.evaluate("jupyterapp.commands.execute('docmanager:save').then(() => null)")
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    page.context.close()

    page = lab.opened(chromium, jupyterlab, "explorer.ipynb")
    page.locator("iframe.explorer-saved").scroll_into_view_if_needed()
    page.frame_locator("iframe.explorer-saved").locator("[data-ready]").wait_for(state="attached")
    assert page.locator("iframe.explorer-saved").is_visible()
    assert (
        not page.locator(".jp-OutputArea-child").filter(has_text="rror displaying widget").first.is_visible()
    )
    page.context.close()

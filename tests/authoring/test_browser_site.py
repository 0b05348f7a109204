"""The site in a real browser: what pointer, keys and a phone can do, and that nothing leaves the machine.

It is the instructors' edition of what is stored in solutions/.
"""

from pathlib import Path
from typing import Any

import browser
import pytest
from browser import PHONE
from programs import ROOT

from courseware import sections
from courseware.authoring import runner
from courseware.authoring.site import pages as site

LESSON = "05-convolutional-vae.html"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site.write(runner.stored(ROOT / "solutions"), tmp_path_factory.mktemp("browser") / "site").parent


@pytest.fixture
def open_page(visitor: browser.Visitor, folder: Path) -> Any:
    """Opens a page."""
    return lambda name, *script, **options: visitor.open(f"{folder.as_uri()}/{name}", *script, **options)


def follow(page: Any, link: Any) -> str:
    """Click on a link that leads to another page; the file that is then shown."""
    with page.expect_navigation():
        link.click()
    return at(page)


def at(page: Any) -> str:
    """The file that is shown."""
    return str(page.url).rpartition("/")[2].partition("#")[0]


# --- ways through the site ------------------------------------------------------------------------------


def test_the_whole_site_can_be_read_from_page_to_page(open_page, folder):
    page = open_page("index.html")
    seen = [at(page)]
    while page.locator("a[rel=next]").count():
        seen.append(follow(page, page.locator("a[rel=next]")))
        page.wait_for_function(
            "[...document.images].every(image => image.complete && (image.naturalWidth || !image.src))"
        )
        assert page.locator("#menu [aria-current=page]").get_attribute("href") == at(page)
    lessons = [site.page_name(lesson) for lesson in sections.lessons()]
    assert seen == ["index.html", *lessons, "explorer-1.html", "numbers.html"]
    assert follow(page, page.locator("a[rel=prev]")) == "explorer-1.html"
    assert follow(page, page.locator(".models a").last) == "explorer-2.html"
    page.goto((folder / "04-exploration.html").as_uri())
    assert follow(page, page.locator("a[href='animation-1.html']")) == "animation-1.html"
    assert {*seen, "explorer-2.html", "animation-1.html"} == {path.name for path in folder.glob("*.html")}


def test_the_first_tab_stop_skips_to_the_content(open_page):
    page = open_page(LESSON)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_a_heading_in_the_contents_leads_there(open_page):
    page = open_page(LESSON)
    page.locator("#menu .contents a", has_text="Summary").click()
    below = page.locator("#summary").bounding_box()["y"] - page.locator("header").bounding_box()["height"]
    assert 0 <= below < 600


def test_on_a_phone_the_menu_opens_by_tap_or_key_and_gives_way(open_page):
    page = open_page(LESSON, **PHONE)
    entry = page.locator("#menu a", has_text="3. VAE").first
    assert not entry.is_visible()
    page.locator(".menu").tap()
    assert entry.is_visible()
    page.keyboard.press("Escape")
    assert not entry.is_visible()
    page.locator(".menu").press("Enter")
    page.locator("#menu .contents a", has_text="Summary").tap()
    assert not entry.is_visible() and page.url.endswith("#summary")
    page.locator(".menu").tap()
    assert follow(page, entry) == "03-vae.html"


def test_without_scripts_everything_can_be_read(open_page):
    page = open_page(LESSON, java_script_enabled=False)
    assert not page.locator(".search").is_visible() and not page.locator(".theme").is_visible()
    assert page.locator("#menu a", has_text="6. Beta-VAE").first.is_visible()
    page.locator("summary").first.click()
    assert page.locator("details[open]").count() == 1
    assert follow(page, page.locator("a.figure").first).endswith(".png")


def test_on_a_phone_without_scripts_the_menu_opens(open_page):
    page = open_page(LESSON, **PHONE, java_script_enabled=False)
    page.locator(".menu").tap()
    assert follow(page, page.locator("#menu a", has_text="6. Beta-VAE").first) == "06-beta-vae.html"


def test_the_guess_of_section_2_slides_by_keys_until_the_bound_touches(open_page):
    page = open_page("02-theory.html")
    slider, figure = page.get_by_role("slider", name="mean of q"), page.locator(".sliding")
    before = figure.locator(".moves").bounding_box()["x"]
    for _ in range(16):
        slider.press("ArrowRight")
    assert figure.locator("output").text_content() == "q around 1.1: ELBO -1.90 nats, log p(x) -1.90"
    assert slider.get_attribute("aria-valuetext") == figure.locator("output").text_content()
    assert figure.locator(".moves").bounding_box()["x"] > before + 50


# --- search ---------------------------------------------------------------------------------------------


def search(page: Any, query: str) -> list[str]:
    """The headings that are found, the best first."""
    page.keyboard.press("/")
    page.locator("#query").fill(query)
    page.wait_for_selector(".hits:not([hidden])")
    return page.locator(".hits strong").all_text_contents()


def test_search_by_keys_leads_to_the_heading(open_page):
    page = open_page("index.html")
    found = search(page, "collapse bug")
    assert found[0] == "Exercise 3.7: collapse, bug or not?"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.querySelector('strong').textContent") == found[0]
    page.keyboard.press("Enter")
    page.wait_for_url("**/03-vae-further.html#exercise-3-7-collapse-bug-or-not")
    top = page.locator("#exercise-3-7-collapse-bug-or-not").bounding_box()["y"]
    assert page.locator("header").bounding_box()["height"] <= top < 200


def test_a_hit_in_a_heading_comes_before_one_in_a_text(open_page):
    found = search(open_page("numbers.html"), "reparameterise")
    assert found[0] == "Exercise 2.2: reparameterise" and len(found) > 2


def test_words_are_found_by_their_beginnings_and_all_of_them_must_be_there(open_page):
    page = open_page("index.html")
    assert "Exercise 6.5: the mutual information gap" in search(page, "mutu inform")
    assert search(page, "mutual xylophone") == []
    assert page.locator("#search-status").text_content() == "No passages"
    assert search(page, "(") != [], "a query is no regular expression"


def test_escape_closes_the_results_and_a_slash_in_the_field_is_a_slash(open_page):
    page = open_page("index.html")
    search(page, "elbo")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    assert not page.locator(".hits").is_visible()
    assert page.evaluate("document.activeElement.id") == "query"
    page.locator("#query").fill("")
    page.keyboard.press("/")
    assert page.locator("#query").input_value() == "/"


# --- figures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["key", "pointer"])
def test_a_figure_is_enlarged_and_the_focus_comes_back(open_page, by):
    page = open_page(LESSON)
    figure = page.locator("a.figure").nth(1)
    before = figure.locator("img").bounding_box()["width"]
    figure.press("Enter") if by == "key" else figure.click()
    assert page.locator("dialog").is_visible()
    large = page.locator("dialog img")
    assert large.get_attribute("alt") == figure.locator("img").get_attribute("alt")
    page.wait_for_function("document.querySelector('dialog img').complete")
    assert large.bounding_box()["width"] > before
    page.keyboard.press("Escape") if by == "key" else large.click()
    assert not page.locator("dialog").is_visible()
    assert figure.evaluate("figure => figure === document.activeElement")
    assert at(page) == LESSON


# --- light and dark -------------------------------------------------------------------------------------


def paper(page: Any) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_choice_of_colours_is_remembered_on_every_page(open_page):
    page = open_page("index.html")
    light = paper(page)
    page.get_by_role("button", name="Dark colours").click()
    dark = paper(page)
    assert dark != light
    page.goto(page.url.replace("index", "numbers"))
    assert paper(page) == dark
    page.get_by_role("button", name="Light colours").click()
    assert paper(page) == light


def test_a_browser_that_remembers_nothing_still_changes_colours(open_page):
    refuse = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } })"
    page = open_page("index.html", refuse, color_scheme="dark")
    dark = paper(page)
    page.get_by_role("button", name="Light colours").click()
    assert paper(page) != dark


def test_the_explorer_computes_and_takes_the_colours_that_were_chosen(open_page):
    page = open_page("explorer-1.html")
    page.wait_for_selector("[data-ready]", state="attached")
    shown = page.locator("#scene")
    assert shown.get_attribute("data-theme") == "light"
    before = page.locator(".where").text_content()
    page.locator(".cursor").press("ArrowRight")
    page.wait_for_function("before => document.querySelector('.where').textContent !== before", arg=before)
    page.get_by_role("button", name="Dark colours").click()
    page.wait_for_selector("#scene[data-theme=dark]")


def test_the_animation_plays(open_page):
    page = open_page("animation-1.html")
    page.wait_for_selector("[data-ready]", state="attached")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => Number(document.querySelector('.scrub').value) > 1")


# --- for everybody --------------------------------------------------------------------------------------


def test_no_page_scrolls_sideways_on_a_phone(open_page, folder):
    page = open_page("index.html", **PHONE)
    for path in sorted(folder.glob("*.html")):
        page.goto(path.as_uri())
        page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path.name


def test_what_scrolls_within_itself_is_a_tab_stop_and_nothing_else_of_its_kind(open_page):
    page = open_page(LESSON, **PHONE)
    page.wait_for_selector("pre[tabindex]")
    stops = page.evaluate(
        """[...document.querySelectorAll('pre')].filter(box => box.checkVisibility())
             .map(box => [box.scrollWidth > box.clientWidth + 1, box.tabIndex === 0])"""
    )
    assert all(scrolls == stop for scrolls, stop in stops)
    assert {stop for _, stop in stops} == {True, False}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", ["index.html", LESSON, "numbers.html", "explorer-1.html", "animation-1.html"]
)
def test_axe_finds_no_barriers(open_page, name, scheme):
    page = open_page(name, color_scheme=scheme)
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    if name == "index.html":
        search(page, "elbo")
    assert browser.barriers(page) == []


def test_axe_finds_no_barriers_on_a_phone_with_the_menu_open(open_page):
    page = open_page("numbers.html", **PHONE)
    page.locator(".menu").tap()
    assert browser.barriers(page) == []

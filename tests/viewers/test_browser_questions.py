"""Questions that come back and lines to put in order, in a browser: by keyboard, in the dark, on a phone."""

from pathlib import Path
from typing import Any

import pytest
from browser import DESK, PHONE, barriers

from course_utils.checks.judges import standing, worked
from course_utils.viewers import recall

SHELL = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
    '<meta name="viewport" content="width=device-width"><title>A notebook</title>'
    "<body><main><h1>A notebook</h1>{}</main></body></html>"
)


def write(folder: Path, *parts: str) -> str:
    """The address of a page with these parts of a notebook."""
    (folder / "page.html").write_text(SHELL.format("".join(parts)), encoding="utf-8")
    return (folder / "page.html").as_uri()


@pytest.fixture
def both(tmp_path: Path) -> str:
    """The address of a page with questions, and a puzzle that is unfolded."""
    puzzle = worked.puzzle("MyVAE").replace("<details", "<details open", 1)
    return write(tmp_path, recall.questions("theory")._repr_html_(), puzzle)


def test_a_question_is_answered_by_keyboard_and_first_tries_are_counted_in_the_browser(visitor, tmp_path):
    page = visitor.open(write(tmp_path, recall.questions("vae")._repr_html_()))
    first = page.locator("li").first
    at = int(first.get_attribute("data-right"))
    right, wrong = first.locator("summary").nth(at), first.locator("summary").nth((at + 1) % 4)
    right.press("Enter")
    wrong.press("Enter")
    assert first.locator("details[open] b").all_inner_texts() == ["Yes.", "No."] or at == 3
    page.get_by_text("1 of 1").wait_for()
    page.reload()
    page.get_by_text("1 of 1").wait_for()  # kept, and still the first try


def test_the_lines_are_put_in_order_by_keyboard_and_compared(visitor, tmp_path):
    found = worked.every()["reparameterize"]
    page = visitor.open(write(tmp_path, worked.puzzle("reparameterize")))
    page.locator("summary").press("Enter")

    def line(text: str) -> Any:
        return page.locator("li").filter(has=page.get_by_text(text.strip(), exact=True))

    compare, status = page.get_by_role("button", name="Compare"), page.locator("[role=status]")
    for text, mistake in found["wrong"]:
        while "line 1 of" not in (status.text_content() or ""):
            line(text).get_by_role("button", name="Move up").press("Enter")
        compare.press("Enter")
        assert mistake in status.text_content()
        line(text).get_by_role("button", name="Not needed").press("Enter")
    for text in reversed(found["right"]):
        status.evaluate("it => it.textContent = ''")
        while "line 1 of" not in (status.text_content() or ""):
            line(text).get_by_role("button", name="Move up").press("Enter")
    compare.press("Enter")
    assert "an answer that works" in status.text_content()


@pytest.mark.parametrize(
    "look", [DESK, PHONE, DESK | {"color_scheme": "dark"}], ids=["desk", "phone", "dark"]
)
def test_nobody_is_kept_out(visitor, both, look):
    page = visitor.open(both, **look)
    page.locator("summary").first.press("Enter")
    assert barriers(page) == []


def test_without_a_script_both_are_plain_lists(visitor, both):
    page = visitor.open(both, java_script_enabled=False)
    page.locator(".recall summary").first.press("Enter")
    assert page.locator("button").count() == 0
    assert page.locator(".puzzle li").count() > 10 and page.locator(".recall details[open]").count() == 1


def test_questions_answered_wrong_stand_on_the_page_of_where_one_is(visitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = recall.questions("vae")._repr_html_(), standing.Progress()._repr_html_()
    page = visitor.open(write(tmp_path, *parts))
    assert not page.locator(".again").is_visible()
    first = page.locator(".recall li").first
    first.locator("summary").nth((int(first.get_attribute("data-right")) + 1) % 4).press("Enter")
    page.get_by_text("first try: 0 of 1").wait_for()
    page.reload()
    assert page.locator(".again li").count() == 1
    assert barriers(page) == []

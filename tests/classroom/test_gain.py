"""The test after the course asks what the one before it asked, with other numbers, and needs no network."""

import re

import pytest

from course_utils.viewers import recall
from courseware.classroom import gain

ASKED = re.compile(r"<legend>(.*?)</legend>")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return [path.read_text("utf-8") for path in gain.write(tmp_path_factory.mktemp("quiz"))]


def test_both_ask_twelve_questions_on_every_idea_and_none_is_the_same_in_both(pages):
    before, after = (ASKED.findall(page) for page in pages)
    assert len(before) == len(after) == 12
    known = {one.name: one for one in recall.every()}
    assert {known[name].idea for name in gain.ITEMS} == {one.idea for one in known.values()}
    assert re.findall(r'name="(\d+)" data-right', pages[0]) == [str(n) for n in range(1, 13)]
    same = [one for one, other in zip(before, after, strict=True) if one == other]
    assert not [one for one in same if re.search(r"\d", one)]
    assert "further notebook" not in pages[0]


def test_every_answer_is_explained_and_nothing_is_asked_of_another_machine(pages):
    for page in pages:
        assert page.count('class="said"') == page.count('type="radio"') >= 36
        assert not re.search(r"https?://|src=|<link", page)
        assert "default-src 'none'" in page

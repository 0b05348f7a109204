"""The README quotes what was measured, word for word."""

from __future__ import annotations

from pathlib import Path

import pytest

from course_utils import benchmark, readme, reproduce
from course_utils.settings import CourseError

ROOT = Path(__file__).parent.parent


def test_a_figure_is_put_at_its_place_and_nothing_else_changes(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("one\n<!-- a -->old\n<!-- /a -->\ntwo <!-- b --><!-- /b -->")
    readme.quote(tmp_path, "a", r"new \1 | text")
    assert file.read_text() == "one\n<!-- a -->\nnew \\1 | text\n<!-- /a -->\ntwo <!-- b --><!-- /b -->"
    assert readme.quoted(tmp_path, "a") == r"new \1 | text"


def test_a_readme_without_the_place_is_left_as_it_is(tmp_path):
    file = tmp_path / "README.md"
    file.write_text("one")
    with pytest.raises(CourseError, match="no place <!-- a -->"):
        readme.quote(tmp_path, "a", "text")
    assert file.read_text() == "one"


def test_the_readme_quotes_the_stored_benchmark():
    found = benchmark.stored(ROOT)
    assert found
    for one in found:
        assert readme.quoted(ROOT, f"bench {one.kind}") == one.markdown()


def test_the_readme_quotes_the_stored_figures_beside_the_literature():
    found = reproduce.stored(ROOT)
    assert found
    assert readme.quoted(ROOT, "reproduced") == reproduce.markdown(found)

"""What is measured is kept whole, and docs/measurements.md quotes it word for word."""

import re
from pathlib import Path

import pytest
import speed

from course_utils.checks.judges import EXERCISES
from course_utils.settings import CourseError
from courseware import record
from courseware.authoring import runner
from courseware.measuring import contestants, graders, likeness, literature, loops

ROOT = Path(__file__).parents[2]


def test_what_is_kept_is_read_as_it_was(tmp_path):
    file = tmp_path / "new" / "kept.json"
    record.keep(file, {"a": [1.5, None]})
    assert record.kept(file) == {"a": [1.5, None]}
    assert [path.name for path in file.parent.iterdir()] == ["kept.json"]


@pytest.mark.parametrize("content", [None, "{", "\udcff"])
def test_nothing_is_read_from_a_missing_or_damaged_file(content, tmp_path):
    file = tmp_path / "kept.json"
    if content is not None:
        file.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert record.kept(file) is None


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CourseError, match=r"cannot be written .*: make room"):
        record.keep(tmp_path / "file" / "kept.json", {})


def test_a_table_has_its_columns_and_its_rows():
    assert record.table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def quoted(root: Path, name: str, text: str) -> bool:
    """Whether one of the documents has this text at that place."""
    documents = filter(Path.is_file, (root / document for document in record.DOCUMENTS))
    return any(f"<!-- {name} -->\n{text}\n<!-- /{name} -->" in one.read_text("utf-8") for one in documents)


@pytest.fixture
def document(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    file = tmp_path / record.DOCUMENTS[0]
    file.write_text("one\n<!-- a -->old\n<!-- /a -->\ntwo <!-- b --><!-- /b -->")
    return file


def test_a_figure_is_put_at_its_place_and_nothing_else_changes(document, tmp_path):
    record.quote(tmp_path, "a", r"new \1 | text")
    assert document.read_text() == "one\n<!-- a -->\nnew \\1 | text\n<!-- /a -->\ntwo <!-- b --><!-- /b -->"


def test_a_place_of_the_readme_is_filled_as_well(document, tmp_path):
    (tmp_path / "README.md").write_text("<!-- c --><!-- /c -->")
    record.quote(tmp_path, "c", "text")
    assert quoted(tmp_path, "c", "text")


def test_a_document_without_the_place_is_left_as_it_is(document, tmp_path):
    before = document.read_text()
    with pytest.raises(CourseError, match="no place <!-- d -->"):
        record.quote(tmp_path, "d", "text")
    assert document.read_text() == before


SUMS = record.Measurement[list[int]]("sums", lambda kept: kept or [], lambda found: {"a": f"{sum(found)}"})


def test_a_measurement_is_kept_and_quoted(document, tmp_path):
    assert SUMS.stored(tmp_path) == []
    SUMS.store(tmp_path, [1, 2])
    assert SUMS.stored(tmp_path) == [1, 2] and quoted(tmp_path, "a", "3")


def test_a_measurement_without_its_place_is_kept_all_the_same(tmp_path):
    with pytest.raises(CourseError, match="no place <!-- a -->"):
        SUMS.store(tmp_path, [1, 2])
    assert SUMS.stored(tmp_path) == [1, 2]


MEASURED = (
    graders.FIGURES,
    graders.GENERATED,
    likeness.FIGURES,
    literature.FIGURES,
    loops.FIGURES,
    speed.FIGURES,
)


@pytest.mark.parametrize("measured", MEASURED, ids=lambda one: one.name)
def test_the_documents_quote_what_is_stored(measured):
    texts = measured.texts(measured.stored(ROOT))
    assert texts
    for place, text in texts.items():
        assert quoted(ROOT, place, text)


@pytest.mark.parametrize("measured", MEASURED, ids=lambda one: one.name)
def test_what_is_stored_is_read_as_it_was_and_written_as_it_is(measured, tmp_path):
    stored = measured.stored(ROOT)
    record.keep(tmp_path / "again.json", stored)
    assert (tmp_path / "again.json").read_bytes() == (ROOT / "docs" / f"{measured.name}.json").read_bytes()


def test_every_place_of_the_document_is_one_that_a_command_fills():
    texts = [(ROOT / document).read_text("utf-8") for document in record.DOCUMENTS]
    places = [place for text in texts for place in re.findall(r"<!-- /(.+?) -->", text)]
    known = [place for measured in MEASURED for place in measured.texts(measured.stored(ROOT))]
    assert sorted(places) == sorted([*known, "results", "grading scale", "strangers"])


def test_the_documents_quote_the_stored_notebooks():
    rows = runner.rows(runner.stored(ROOT / "solutions"))
    assert quoted(ROOT, "results", record.table(runner.COLUMNS, rows))


def test_section_3_shows_the_stored_figures_beside_the_literature():
    text = (ROOT / "docs" / "reproduced.md").read_text("utf-8")
    assert text == f"{literature.markdown(literature.FIGURES.stored(ROOT))}\n"


def test_every_exercise_and_every_network_is_measured():
    assert {tally.answer for tally in graders.FIGURES.stored(ROOT)} == set(EXERCISES)
    assert {one.kind for one in loops.FIGURES.stored(ROOT)} == set(contestants.KINDS)

"""The measurement of a large class, on a small one: what it states of a thousand holds of ten."""

import pytest
import scale

from courseware import record

pytestmark = [pytest.mark.sandbox, pytest.mark.scale]


@pytest.fixture(scope="module")
def found() -> dict:
    """Four submissions, of which every other is damaged without costing time."""
    ways = [scale.DAMAGES[name] for name in ("half a file", "a check deleted")]
    return scale.measure(4, ways, compared=1, damaged_one_in=2)


def test_everybody_has_a_result(found):
    assert found["submissions"] == 4


def test_a_few_cells_in_a_pool_score_what_all_cells_in_one_process_do(found):
    assert (found["compared"], found["differing"]) == (1, 0)


def test_the_damaged_are_named(found):
    assert found["reasons"] == {"MISSING_CELLS": 1, "NOT_A_NOTEBOOK": 1}
    assert found["zeros_untold"] == 0


def test_the_coordinator_grows_by_no_submission(found):
    assert found["MiB_at_the_end"] - found["MiB_at_a_tenth"] < 20


def test_the_documents_quote_what_was_measured_of_a_thousand():
    kept = scale.FIGURES.stored(scale.ROOT)
    assert (kept["submissions"], kept["differing"], kept["zeros_untold"]) == (1000, 0, 0)
    quoted = f"<!-- grading scale -->\n{scale.sentences(kept)}\n<!-- /grading scale -->"
    assert any(quoted in (scale.ROOT / document).read_text("utf-8") for document in record.DOCUMENTS)

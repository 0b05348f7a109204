"""The measurement of a large class, on a small one: what it states of a thousand holds of ten."""

import pytest
import scale

from courseware import record

pytestmark = [pytest.mark.sandbox, pytest.mark.scale]


def test_a_class_is_graded_whole_its_damages_are_named_and_scores_and_memory_stay_as_they_are():
    """Four submissions, of which every other is damaged without costing time."""
    ways = [scale.DAMAGES[name] for name in ("half a file", "a check deleted")]
    found = scale.measure(4, ways, compared=1, damaged_one_in=2)
    assert (found["machine_faults"], found["zeros_untold"]) == (0, 0)
    assert found["reasons"] == {"MISSING_CELLS": 1, "NOT_A_NOTEBOOK": 1}
    assert (found["compared"], found["differing"]) == (1, 0)  # with all cells, in one process
    assert found["MiB_at_the_end"] - found["MiB_at_a_tenth"] < 20


def test_the_documents_quote_what_was_measured_of_a_thousand():
    kept = scale.FIGURES.stored(scale.ROOT)
    assert (kept["submissions"], kept["differing"], kept["zeros_untold"]) == (1000, 0, 0)
    quoted = f"<!-- grading scale -->\n{scale.sentences(kept)}\n<!-- /grading scale -->"
    assert any(quoted in (scale.ROOT / document).read_text("utf-8") for document in record.DOCUMENTS)

"""The measurement of a large class, on a small one: what it states of a thousand holds of ten."""

from __future__ import annotations

import pytest
import scale

from course_utils.grading import sandbox
from course_utils.grading.reasons import Reason

pytestmark = pytest.mark.skipif(bool(sandbox.missing()), reason=sandbox.missing())


@pytest.fixture(scope="module")
def found() -> dict:
    """Six submissions, of which every third is damaged without costing time."""
    patch = pytest.MonkeyPatch()
    patch.setattr(scale, "DAMAGED_ONE_IN", 3)
    damages = {reason: scale.DAMAGES[reason] for reason in (Reason.NOT_A_NOTEBOOK, Reason.MISSING_CELLS)}
    yield scale.measure(6, damages, compared=2)
    patch.undo()


def test_everybody_has_a_result(found):
    assert found["submissions"] == 6


def test_a_few_cells_in_a_pool_score_what_all_cells_in_one_process_do(found):
    assert (found["compared"], found["differing"]) == (2, 0)


def test_the_damaged_are_named(found):
    assert found["reasons"] == {"MISSING_CELLS": 1, "NOT_A_NOTEBOOK": 1}


def test_the_coordinator_grows_by_no_submission(found):
    assert found["MiB_at_the_end"] - found["MiB_at_a_tenth"] < 20

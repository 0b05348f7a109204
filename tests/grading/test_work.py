"""A teacher's own graded cells: plain assertions, judged as nbgrader judges them."""

import nbformat
import pytest
from cells import KERNEL, answer_cell, grade_file, graded_cell
from nbformat.v4 import new_notebook

STUB = "def half(x):\n    raise NotImplementedError()"


def score(answer: str, handed_in: bytes | None = None) -> float | None:
    """What `half`, answered so, earns from a cell that asserts."""

    def notebook(source: str) -> str:
        assertion = graded_cell(grade_id="half-check", source="assert half(4) == 2", points=2)
        cells = [answer_cell(source, "half"), assertion]
        return nbformat.writes(new_notebook(cells=cells, metadata={"kernelspec": KERNEL}))

    given = notebook(answer).encode() if handed_in is None else handed_in
    return grade_file(given, notebook(STUB), notebook("half = abs")).scores["half-check"]


@pytest.mark.sandbox
@pytest.mark.parametrize(("answer", "points"), [("half = lambda x: x / 2", 2), ("half = abs", 0), (STUB, 0)])
def test_an_assertion_that_says_nothing_has_its_points_and_one_that_fails_has_none(answer, points):
    assert score(answer) == points


@pytest.mark.sandbox
def test_an_assertion_that_was_never_run_has_no_points():
    assert score(STUB, b"no notebook") == 0

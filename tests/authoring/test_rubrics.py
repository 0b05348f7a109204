"""Rubrics of written questions: how they are read, what is wrong with one, and those of the course."""

from pathlib import Path

import pytest
from nbformat.v4 import new_markdown_cell
from nbgrader.utils import is_grade, is_solution

from course_utils.settings import CourseError
from courseware import notebooks, sections
from courseware.authoring import rubrics

ROOT = Path(__file__).parents[2]
FAULTS = {
    "two with one key": ("- **a, +1:** So.\n- **a, +2:** And so.", "two have the key a"),
    "beyond the points": ("- **b, +3.5:** So.", "b is worth 3.5, beyond its 3 points"),
    "beyond them downwards": ("- **b, −4:** So.", "b is worth -4, beyond its 3 points"),
    "no key": ("- **+1:** So.", "'- **+1:** So.' has not the form `- **a, +1:** sentence`"),
    "a word besides": ("- **a, +1:** So.\n\nNo.", "'No.' has not the form `- **a, +1:** sentence`"),
}


def cell(rubric: str) -> object:
    marks = {"grade_id": "why", "points": 3}
    return new_markdown_cell(f"**Model answer.** So.\n\n**Rubric.**\n{rubric}", metadata={"nbgrader": marks})


def test_an_item_has_a_key_a_worth_and_a_sentence_over_as_many_lines_as_it_takes():
    read = rubrics.items(cell("- **a, +1.5:** You say\n  why: $x$.\n- **x, −0.5:** When?"))
    assert read["a"] == ("- **a, +1.5:** You say why: $x$.", "a", 1.5)
    assert rubrics.found("\n\n".join(one.line for one in read.values())) == list(read.values())
    points = [rubrics.points([read[key] for key in keys], 3) for keys in ("a", "ax", "x", "aaa")]
    assert points == [1.5, 1, 0, 3]


@pytest.mark.parametrize(("rubric", "lacks"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_with_a_rubric_is_one_sentence(rubric, lacks):
    with pytest.raises(CourseError) as told:
        rubrics.items(cell(rubric))
    assert str(told.value) == f"The rubric of why cannot be used ({lacks}): mend solutions/."


@pytest.mark.parametrize("lesson", sections.lessons(), ids=lambda lesson: lesson.name)
def test_the_course_s_items_earn_all_points_of_a_question_and_one_earns_none(lesson):
    for one in notebooks.read(ROOT / "solutions" / lesson.path).cells:
        if one.cell_type == "markdown" and is_grade(one) and is_solution(one):
            worths = [item.worth for item in rubrics.items(one).values()]
            assert sum(worth for worth in worths if worth > 0) == one.metadata.nbgrader.points and 0 in worths

"""A test of twelve questions before the course and one after it, so that a teacher can tell what was gained.

Both ask the same, with other numbers and in another order of answers: questions of the lessons (recall.py).
"""

import random
from pathlib import Path

from markupsafe import Markup

from course_utils.viewers import recall, standalone
from courseware.classroom import handouts

ITEMS = (
    "outputs_of_two_heads", "why_random_codes_fail", "from_mean_to_sum", "forgotten_zero_grad",
    "kl_of_one_dimension", "kl_of_the_prior", "sigma_of_logvar", "why_reparameterise",
    "what_lacks_to_the_evidence", "standard_error", "inactive_dimensions", "what_should_match",
)  # fmt: skip
FORMS = {"before": 0, "after": -1}  # which of a question's choices of numbers it asks with


def write(folder: Path) -> list[Path]:
    """The two pages. They count in the browser, and nothing leaves it."""
    known = {one.name: one for one in recall.every()}
    pages = []
    for form, place in FORMS.items():
        items = []
        for name in ITEMS:
            text, answers = known[name].asked(list(known[name].every())[place])
            right = next(iter(answers))
            order = random.Random(f"{form} {name}").sample(list(answers), len(answers))
            shown = [(_html(one), _html(answers[one]), one == right) for one in order]
            items.append((_html(text), shown))
        pages.append(handouts.write(folder / f"test-{form}.html", "test", form=form, items=items))
    return pages


def _html(text: str) -> Markup:
    return Markup(standalone.sentence(text))

"""Who wrote alike is found, whatever the names; the natural answer makes nobody alike; pages run nothing."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nbformat import writes
from nbformat.v4 import new_code_cell, new_notebook

import bank
from course_utils.settings import CourseError
from courseware import notebooks
from courseware.classroom import likeness, summary

OWN = """
def gaussian_kl(mu, logvar):
    parts = []
    for row, wide in zip(mu, torch.exp(logvar)):
        square = torch.stack([one * one for one in row])
        parts.append((square + wide - torch.log(wide) - torch.ones_like(wide)) / 2)
    return torch.stack(parts)
"""
COPY = """
def gaussian_kl(mu, logvar):  # all mine
    result: list = []
    for m, v in zip(mu, torch.exp(logvar)):
        m2 = torch.stack([k * k for k in m])
        result.append((v + m2 - torch.log(v) - torch.ones_like(v)) / 2)
    return torch.stack(result)
"""
SHORT = """
def gaussian_kl(mu, logvar):
    return sum([mu ** 2, logvar.exp(), -1 - logvar], torch.zeros_like(mu)) / 2
"""
SHORT_TOO = """
def reparameterize(mu, logvar, eps=None):
    noise = torch.randn_like(mu) if eps is None else eps.view(*mu.shape)
    return torch.addcmul(mu, torch.pow(math.e, logvar / 2), noise)
"""
RIGHT = [one.code for one in bank.RIGHT if one.exercise == "gaussian_kl"]
STUB = "def gaussian_kl(mu, logvar):\n    raise NotImplementedError()"
CHECKS = [f'check("{name}", globals())' for name in ("gaussian_kl", "reparameterize")]


def notebook(*codes: str) -> Any:
    return new_notebook(cells=[new_code_cell(code) for code in (*codes, *CHECKS)])


@pytest.fixture
def grade(tmp_path: Path):
    """Makes a course in which these have been graded: by student, the codes that they wrote."""

    def made(**wrote: tuple[str, ...]) -> Any:
        folder = lambda kind, student, name: tmp_path / kind / student / name  # noqa: E731
        for student, codes in wrote.items():
            (file := folder("autograded", student, "small") / "one.ipynb").parent.mkdir(parents=True)
            notebooks.write(notebook(*codes), file)
        released, solved = writes(notebook(STUB)), writes(notebook(RIGHT[0]))
        assignment = SimpleNamespace(released={"one": released}, solved={"one": solved})
        everybody = [*wrote, "not graded"]
        return SimpleNamespace(
            assignment=lambda name: assignment, students=lambda name: everybody, folder=folder
        )

    return made


def test_a_copy_in_other_words_is_found_and_its_common_lines_are_marked(grade):
    found = likeness.of(grade(ada=(OWN,), bob=(COPY,), cy=(RIGHT[2],)), "small")
    assert found.pairs == {("ada", "bob"): ["2.1 gaussian_kl"]}
    (_, ours), (_, theirs) = found.exercises[0].sides(("ada", "bob"))
    assert sum(marked for _, marked in ours) >= 4 and ours[4][1] and theirs[4][1]


def test_the_natural_answer_makes_nobody_alike_and_is_too_short_to_tell(grade):
    for code in RIGHT:
        found = likeness.of(grade(**{f"{hash(code)} {who}": (code,) for who in "abc"}), "small")
        assert found.pairs == {}
        assert found.exercises[0].cells()[2:] == ("3", "3", "0")


def test_what_much_of_the_class_has_is_nobody_s_own(grade):
    honest = {f"student {n}": (STUB + f"\n# {n}",) for n in range(20)}
    few = likeness.of(grade(**honest, **{f"few {n}": (OWN,) for n in range(3)}), "small")
    assert len(few.pairs) == 3
    many = likeness.of(grade(**{f"many {n}": (OWN,) for n in range(12)}), "small")
    assert many.pairs == {}


def test_what_is_too_short_alone_may_tell_over_a_notebook(grade):
    course = grade(ada=(SHORT, SHORT_TOO), bob=(SHORT_TOO, SHORT), cy=(SHORT,))
    assert likeness.of(course, "small").pairs == {("ada", "bob"): ["one as a whole"]}


def test_what_students_wrote_is_text_on_the_page_and_the_page_asks_for_nothing(grade, tmp_path):
    bad = OWN + "\n# <script>alert(1)</script> \u202e"
    course = grade(ada=(bad,), bob=(bad.replace("parts", "p"),))
    page = likeness.write(likeness.of(course, "small"), "small", tmp_path / "build").read_text("utf-8")
    assert "<script" not in page and "\u202e" not in page and "http" not in page.replace("http-equiv", "")
    assert "&lt;script&gt;" in page and "<h2>ada and bob</h2>" in page and "default-src 'none'" in page


def test_code_that_cannot_be_read_is_compared_with_nobody(grade):
    course = grade(ada=(OWN + "\n)",), bob=(OWN + "\n)",), cy=("x" * 99,))
    assert likeness.of(course, "small").pairs == {}


def test_where_nobody_is_graded_yet_it_is_said_what_to_do(grade):
    with pytest.raises(CourseError, match="graded yet: call `course grade small` first"):
        likeness.of(grade(), "small")


def test_the_page_for_the_lecture_shows_of_a_mistake_the_line_that_is_least_like_a_right_one(grade, tmp_path):
    wrong = (
        "def gaussian_kl(mu, logvar):\n    v = logvar.exp()\n    return (mu**2 + v - 1 - v.log10()) / 2 # <b>"
    )
    made = {"the wrong <i>logarithm</i>": ["ada", "not graded"]}
    exercise = summary.ExerciseSummary("2.1", "gaussian_kl", 3.0, {"ada": 1.0, "bob": 3.0}, made)
    found = summary.Summary([exercise], 2, {}, 0, 0, 0)
    file = summary.lecture(found, grade(ada=(wrong,), bob=(OWN,)), "small", tmp_path)
    page = file.read_text("utf-8")
    assert '<pre tabindex="0">return (mu**2 + v - 1 - v.log10()) / 2 # &lt;b&gt;</pre>' in page
    assert "the wrong &lt;i&gt;logarithm&lt;/i&gt;" in page and "2 of 2 students" in page

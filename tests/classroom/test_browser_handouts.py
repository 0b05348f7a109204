"""Pages about a class in a browser: the test counts, nobody is kept out by day or night."""

from pathlib import Path

import pytest
from browser import PHONE, barriers

from courseware.classroom import gain, handouts, likeness, summary

EXERCISE = summary.ExerciseSummary("2.1", "gaussian_kl", 3.0, {"ada": 3.0}, {"the sign is turned": ["ada"]})
PRINTS = {f"print {n}": {1} for n in range(20)}
ANSWER = likeness.Answer(["return -mu", "# " + "far " * 60], PRINTS)


def written(folder: Path) -> list[Path]:
    two = ("ada", "bob")
    exercise = likeness.ExerciseAnswers("2.1", "gaussian_kl", dict.fromkeys(two, ANSWER), {two})
    alike = likeness.write(likeness.Likeness([exercise], 2, {two: ["2.1 gaussian_kl"]}), "small", folder)
    found = summary.Summary([EXERCISE], 1, {}, 0, 0, 0)
    mistakes = [(1, EXERCISE, "the sign is turned", "return -mu")]
    content = {"assignment": "small", "found": found, "mistakes": mistakes, "least": summary.LEAST}
    lecture = handouts.write(folder / "lecture.html", "lecture", **content)
    return [alike, lecture, *gain.write(folder)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(scheme, visitor, tmp_path):
    for file in written(tmp_path):
        page = visitor.open(file.as_uri(), **PHONE, color_scheme=scheme)
        assert barriers(page) == [], file.name


def test_the_test_counts_and_explains_when_it_is_asked_to(visitor, tmp_path):
    page = visitor.open(gain.write(tmp_path)[0].as_uri())
    assert page.locator(".said:visible").count() == 0
    for answer in page.locator("input[data-right]").all()[:3]:
        answer.check()
    page.get_by_role("button").press("Enter")
    page.get_by_text("Right: 3 of 12.").wait_for()
    assert page.locator(".said:visible").count() == page.locator("input").count()

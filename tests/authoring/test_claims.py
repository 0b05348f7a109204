"""Every claim of a lesson has a value, holds where it should, and is named where it does not."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils.settings import CourseError
from courseware import sections
from courseware.authoring import claims, runner
from courseware.sections import Lesson, Section

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "solutions"
LESSON = Lesson(Section("02-small", "Small", "A tiny section."), "small")
LEDGERS = {lesson.name: claims.ledger(SOURCE, lesson) for lesson in sections.lessons()}
CLAIM = '[[claim]]\nsays = "Seven is more than six."\nvalue = "seven - 6"\nboth = [1, inf]\n'
DIGITS = claims.SETTINGS["digits"]


@pytest.fixture
def source(tmp_path) -> Path:
    """solutions/ with one lesson, and the claim CLAIM beside it."""
    cells = [new_markdown_cell("Seven is more\nthan six."), new_code_cell("seven = 7")]
    folder = tmp_path / "solutions" / LESSON.section.folder
    folder.mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells), folder / "small.ipynb")
    (folder / "small.claims.toml").write_text(CLAIM)
    return tmp_path / "solutions"


def rewrite(source: Path, old: str, new: str) -> None:
    file = source / LESSON.path.with_suffix(".claims.toml")
    file.write_text(file.read_text().replace(old, new))


def ran(source: Path) -> runner.Executed:
    run = runner.Run(source, source.parent / "run", {}, jobs=1)
    (executed,) = runner.execute(run, [LESSON], lambda *_: None)
    return executed


# --- the lessons ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LEDGERS)
def test_every_measurable_sentence_has_a_claim_or_a_reason_to_need_none(name):
    assert claims.unbound(SOURCE, LEDGERS[name]) == []


@pytest.mark.parametrize("setting", claims.SETTINGS.values())
@pytest.mark.parametrize("name", LEDGERS)
def test_every_claim_holds_for_the_values_that_are_stored(name, setting):
    assert LEDGERS[name].broken(claims.kept(ROOT)[setting].get(name, {}), setting) == []


def test_there_are_at_least_two_hundred_claims():
    assert sum(len(one.claims) for one in LEDGERS.values()) >= 200


# --- the ledger -------------------------------------------------------------------------------------------


def test_a_claim_is_evaluated_after_the_lesson_leaves_no_cell_and_is_kept_with_the_run(source):
    executed, again = ran(source), ran(source)
    assert executed.claimed == again.claimed == {"seven - 6": 1.0}
    assert len(executed.notebook.cells) == 2
    assert again.reused


def test_a_lesson_is_run_again_when_an_expression_changes(source):
    ran(source)
    rewrite(source, "seven - 6", "seven - 5")
    assert ran(source).claimed == {"seven - 5": 2.0}


NOT_SO = {
    "seven - 8": "is -1, which should lie in [1, inf]",
    "eight - 6": "is an error (NameError: name 'eight' is not defined)",
    "float('nan')": "is nan",
}


def test_claims_that_do_not_hold_are_named_with_lesson_sentence_value_and_limits(source):
    rewrite(source, CLAIM, "".join(CLAIM.replace("seven - 6", value) for value in NOT_SO))
    broken, made = claims.judged(source, {LESSON: ran(source).claimed}, DIGITS)
    assert made == 3
    for sentence, (value, said) in zip(broken, NOT_SO.items(), strict=True):
        assert sentence.startswith(f"small: 'Seven is more than six.' ({DIGITS}): {value} {said}")


def test_a_claim_without_a_value_says_how_it_gets_one(source):
    (sentence,) = claims.ledger(source, LESSON).broken({}, DIGITS)
    run = "course run --section 2 --data digits --budget laptop"
    assert f"seven - 6 is not stored: call `{run}`, then `course claims --store`" in sentence


def test_under_another_budget_only_values_are_asked_for(source):
    assert not claims.ledger(source, LESSON).broken({"seven - 6": -1.0}, "digits at smoke")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Seven is", "Eight is", "the lesson does not say 'Eight is more than six.'"),
        ("seven - 6", "seven -", "'seven -', which is no expression of Python"),
        ("both", "fashion", "has 'fashion', and may have digits, mnist, both, always"),
        ("both = [1, inf]", "", "lacks one of: says, value, and limits"),
        ("[[claim]]", "[[claim", "small.claims.toml: "),
        ("[1, inf]", "3", "small.claims.toml: "),
    ],
)
def test_an_entry_that_cannot_be_used_is_an_error_in_one_sentence(old, new, said, source):
    rewrite(source, old, new)
    with pytest.raises(CourseError) as problem:
        claims.ledger(source, LESSON)
    assert said in str(problem.value)


def test_a_sentence_without_a_claim_is_found_and_one_with_a_reason_is_not(source):
    rewrite(source, CLAIM, "")
    assert claims.unbound(source, claims.ledger(source, LESSON)) == ["Seven is more than six."]
    rewrite(source, "", '[exempt]\n"arithmetic" = ["more than six"]')
    assert claims.unbound(source, claims.ledger(source, LESSON)) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It has 784 pixels.", ["It has 784 pixels."]),
        ("The blurriest of them.", ["The blurriest of them."]),
        ("See section 3 and exercise 2.4, $x = 3$ and `f(2)`.", []),
        ("Is it larger?", []),
        ("**Papers.** Nobody 2006, [Less](https://example.org).", []),
    ],
)
def test_numbers_comparatives_and_superlatives_are_measurable(text, found):
    assert [*claims.measurable(new_notebook(cells=[new_markdown_cell(text)]))] == found


def test_the_title_of_a_figure_is_a_sentence_too():
    cell = new_code_cell('plotting.lines({}, f"A longer "\n    f"walk, {n}", x="more or less")')
    assert [*claims.measurable(new_notebook(cells=[cell]))] == ["A longer walk, ..."]


def test_values_are_kept_by_setting_and_lesson_beside_those_of_others(tmp_path):
    claims.keep(tmp_path, DIGITS, {"one": {"x": 1.0}})
    claims.keep(tmp_path, DIGITS, {"two": {"y": 2.0}})
    assert claims.kept(tmp_path) == {DIGITS: {"one": {"x": 1.0}, "two": {"y": 2.0}}}

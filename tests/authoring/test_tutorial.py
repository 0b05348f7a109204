"""CONTRIBUTING.md's two tutorials, performed on a copy of the course that has section 2 alone.

An exercise is written in three places, where its check is the document's own; a section in its folder and a
line of the table of contents. Then `course build` does the rest.
"""

import json
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from cells import answer_cell, graded_cell
from nbformat.v4 import new_markdown_cell, new_notebook
from nbgrader.utils import is_grade
from programs import ROOT, call

pytestmark = pytest.mark.slow

THEORY = Path("02-theory") / "theory.ipynb"
TABLE = """
SECTIONS = (
    Section("02-theory", "Theory", "One checked line at a time."),
    Section("08-means", "Means", "What an average hides."),
)
"""

STATEMENT = """### Exercise 2.9: the mean square

*Difficulty 1 of 5 · about 5 minutes · 2 points*

Write `mean_square`. Expected of (1, 3) is 5.

<details><summary>Hint 1: a question</summary>

Which comes first, the square or the mean?
</details>
<details><summary>Hint 2: the idea</summary>

Square every entry, then average.
</details>"""

ANSWER = '''def mean_square(x: torch.Tensor) -> torch.Tensor:
    """The mean of the squares of all entries."""
    ### BEGIN SOLUTION
    return (x**2).mean()
    ### END SOLUTION'''

BANK = '''

SQUARE = """
def mean_square(x):
    return (x**2).mean()
"""
RIGHT += [
    Answer("mean_square", "vectorised", SQUARE),
    Answer("mean_square", "by hand", SQUARE.replace("(x**2).mean()", "(x * x).sum() / x.numel()")),
    Answer("mean_square", "torch.mean", SQUARE.replace("(x**2).mean()", "torch.mean(x.square())")),
]
WRONG += edited(
    "mean_square",
    SQUARE,
    [
        ("a sum", ".mean()", ".sum()", "This is the sum"),
        ("a maximum", ".mean()", ".max()", "Largest difference"),
        ("a sign", "(x**2)", "-(x**2)", "wrong sign"),
        ("an absolute value", "x**2", "x.abs()", "Largest difference"),
        ("a cube", "2", "3", "Largest difference"),
        ("a square root", ".mean()", ".mean().sqrt()", "square root has been taken"),
        ("a mean per row", ".mean()", ".mean(-1)", "expected ()"),
        ("no mean", ".mean()", "", "expected ()"),
        ("a mean of no squares", "**2", "", "Largest difference"),
    ],
)
'''

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PROBE, JUDGE = re.findall(r"^```python\n(.+?)^```$", TEXT, re.MULTILINE | re.DOTALL)[:2]
EXERCISE = re.search(r"`(Exercise\(.+?\))`", TEXT)[1]
PLACES = {
    "course_utils/checks/probes": f'{PROBE}\n\nPROBES["mean_square"] = probe_mean_square\n',
    "course_utils/checks/judges": "from course_utils.checks.probes.section_2 import square_looks\n"
    f"{JUDGE}\n\nEXERCISES += ({EXERCISE},)\n",
    "bank": BANK,
}

COMMANDS = """
import json, sys
import bank
from courseware.cli import main
from course_utils.checks import check
from course_utils.checks.judges import EXERCISES, core
main(["build"], standalone_mode=False)
found = []
for answers in (bank.RIGHT, bank.WRONG):
    own = [answer for answer in answers if answer.exercise == "mean_square"]
    reports = [check("mean_square", answer.namespace()) for answer in own]
    found.append([[r.points, a.hint in str(r)] for r, a in zip(reports, own)])
print(json.dumps([bank.__file__, *found]))
"""


def add_the_exercise(root: Path) -> None:
    """Lesson, check and answers."""
    lesson = nbformat.read(root / "solutions" / THEORY, as_version=4)
    answer = answer_cell(ANSWER, "mean-square")
    answer.metadata["tags"] = ["raises-exception"]
    check = graded_cell("mean_square", "mean-square-check", points=2)
    lesson.cells += [new_markdown_cell(STATEMENT), answer, check]
    nbformat.write(lesson, root / "solutions" / THEORY)
    for room, text in PLACES.items():
        with open(root / room / "section_2.py", "a", encoding="utf-8") as file:
            file.write(f"\n\n{text}")


def add_the_section(root: Path) -> None:
    """A folder, and the line that the copy's table already has."""
    lesson = nbformat.read(root / "solutions" / THEORY, as_version=4)
    door = next(cell for cell in lesson.cells if cell.cell_type == "code")
    (root / "solutions" / "08-means").mkdir()
    notebook = new_notebook(cells=[new_markdown_cell("# 8. Means"), door], metadata=lesson.metadata)
    nbformat.write(notebook, root / "solutions" / "08-means" / "means.ipynb")


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Path, list]:
    """The course after both tutorials and one `course build`, and what it printed."""
    root = tmp_path_factory.mktemp("course")
    for name in ("bank", "course_utils", "courseware", "notebooks"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "nbgrader_config.py"):
        shutil.copy(ROOT / name, root)
    lesson = nbformat.read(ROOT / "solutions" / THEORY, as_version=4)
    for cell in lesson.cells:  # nor does it refer to sections that the copy lacks
        cell.source = re.sub(r"\b([Ss]ections?)\s+\d|\*\*Next:\*\*.+", r"\1", cell.source)
    (root / "solutions" / THEORY.parent).mkdir(parents=True)
    nbformat.write(lesson, root / "solutions" / THEORY)
    table = root / "courseware" / "sections.py"
    table.write_text(re.sub(r"\nSECTIONS = \(.+?\n\)\n", TABLE, table.read_text("utf-8"), flags=re.DOTALL))

    add_the_exercise(root)
    add_the_section(root)
    said = call(root, sys.executable, "-c", COMMANDS, PYTHONPATH=str(root))
    return root, json.loads(said.splitlines()[-1])


def test_the_new_exercise_is_released_without_its_answer(done):
    root, _ = done
    cells = nbformat.read(root / "notebooks" / THEORY, as_version=4).cells
    sources = "\n".join(cell.source for cell in cells)
    assert STATEMENT in sources and 'check("mean_square", globals())' in sources
    assert "(x**2).mean()" not in sources


def test_it_gives_right_answers_its_points_and_names_the_mistakes_of_wrong_ones(done):
    root, (module, right, wrong) = done
    assert Path(module).is_relative_to(root)  # the copy's, not the course's own
    assert right == [[2, True]] * 3
    assert wrong[0] == [1.0, True]  # a mistake that is understood costs the purpose alone: half
    assert len(wrong) == 9 and all(points < 2 and named for points, named in wrong)


def test_the_readme_counts_the_lessons_again(done):
    root, _ = done
    cells = nbformat.read(root / "notebooks" / THEORY, as_version=4).cells
    marks = [cell.metadata.nbgrader for cell in filter(is_grade, cells)]
    readme = " ".join((root / "README.md").read_text("utf-8").split())
    assert f"{sum(not mark.solution for mark in marks)} exercises checked by program" in readme


def test_the_new_section_is_released_and_a_section_that_is_gone_is_so_there_too(done):
    root, _ = done
    assert {path.name for path in (root / "notebooks").iterdir()} == {"02-theory", "08-means"}

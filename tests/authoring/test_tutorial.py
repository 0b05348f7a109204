"""CONTRIBUTING.md's two tutorials, performed on a copy of the course, and there the course's own tests.

An exercise is written in three places, where its check is the document's own; a section in its folder and a
line of the table of contents. Then `course build` does the rest.
"""

import re
import sys
from pathlib import Path

import nbformat
import pytest
from cells import answer_cell, clone, graded_cell
from nbformat.v4 import new_markdown_cell, new_notebook
from programs import ROOT, call

pytestmark = pytest.mark.slow

LESSON = Path("01-autoencoder") / "autoencoder.ipynb"
LAST = Path("07-exercises") / "closing.ipynb", Path("07-exercises-further") / "speedrun.ipynb"
ENTRY = '    Section("08-means", "Means", "What an average hides."),\n'
FIRST_CELL = "# 8. Means\n\n[Symbols](../02-theory/theory.ipynb#Notation)."
LAST_CELL = "[Hand it in](../../docs/students.md#check-and-hand-in)."

STATEMENT = """### Exercise 1.6: the mean square

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
    "course_utils/checks/judges": "from course_utils.checks.probes.section_1 import square_looks\n"
    f"{JUDGE}\n\nEXERCISES += ({EXERCISE},)\n",
    "bank": BANK,
}


def add_the_exercise(root: Path) -> None:
    """Lesson, check and answers."""
    lesson = nbformat.read(root / "solutions" / LESSON, as_version=4)
    answer = answer_cell(ANSWER, "mean-square")
    answer.metadata["tags"] = ["raises-exception"]
    check = graded_cell("mean_square", "mean-square-check", points=2)
    lesson.cells[-1:-1] = [new_markdown_cell(STATEMENT), answer, check]
    first = lesson.cells[0]
    first.source = first.source.replace("about 90 minutes", "about 95 minutes").replace("60 for", "65 for")
    nbformat.write(lesson, root / "solutions" / LESSON)
    for room, text in PLACES.items():
        with open(root / room / "section_1.py", "a", encoding="utf-8") as file:
            file.write(f"\n\n{text}")


def add_the_section(root: Path) -> None:
    """A folder, an entry in the table of contents, and links in the last cells before it."""
    for before in LAST:
        last = nbformat.read(root / "solutions" / before, as_version=4)
        last.cells[-1].source += "\n**Next:** [8. Means](../08-means/means.ipynb)."
        nbformat.write(last, root / "solutions" / before)
    door = next(cell for cell in last.cells if cell.cell_type == "code")
    cells = [new_markdown_cell(FIRST_CELL), door, new_markdown_cell(LAST_CELL)]
    (root / "solutions" / "08-means").mkdir()
    notebook = new_notebook(cells=cells, metadata=last.metadata)
    nbformat.write(notebook, root / "solutions" / "08-means" / "means.ipynb")
    table = root / "courseware" / "sections.py"
    table.write_text(table.read_text("utf-8").replace("\n)\n# fmt: on", f"\n{ENTRY})\n# fmt: on"), "utf-8")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, str]:
    """The course after both tutorials and one `course build`, and what that said."""
    root = tmp_path_factory.mktemp("whole") / "course"
    clone(root, short=False)
    add_the_exercise(root)
    add_the_section(root)
    return root, call(root, "course", "build", PYTHONPATH=str(root))


def test_the_new_exercise_is_released_without_its_answer(built):
    root, _ = built
    cells = nbformat.read(root / "notebooks" / LESSON, as_version=4).cells
    sources = "\n".join(cell.source for cell in cells)
    assert STATEMENT in sources and 'check("mean_square", globals())' in sources
    assert "(x**2).mean()" not in sources


def test_the_new_section_is_released_and_nothing_is_left_to_mend(built):
    root, said = built
    assert (root / "notebooks" / "08-means" / "means.ipynb").is_file()
    assert said.splitlines() == [f"Student notebooks are in {root / 'notebooks'}."]


OWN = (
    "authoring/test_notation.py",
    "authoring/test_claims.py",
    "test_docs.py",
    "checks/test_bank.py -k mean_square",
)


@pytest.mark.parametrize("tests", OWN)
def test_the_course_with_both_passes_its_own_tests(tests, built):
    root, _ = built
    words = f"-m pytest -q -p no:cacheprovider -m not(slow) tests/{tests}".split(" ")
    call(root, sys.executable, *words, PYTHONPATH=str(root))

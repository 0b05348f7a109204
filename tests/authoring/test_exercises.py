"""What an exercise lacks of all that one has is named; test_release.py sees a release refused for it."""

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from courseware.authoring import exercises

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "solutions" / "03-vae" / "vae.ipynb"
FURTHER = ROOT / "solutions" / "03-vae-further" / "vae_further.ipynb"


def without(old: str, new: str) -> NotebookNode:
    """Section 3, with what is further in it, with one text replaced in the first cell that has it."""
    notebook = nbformat.read(SOURCE, as_version=4)
    notebook.cells += nbformat.read(FURTHER, as_version=4).cells
    cell = next(cell for cell in notebook.cells if old in cell.source)
    cell.source = cell.source.replace(old, new, 1)
    return notebook


DISAGREE = "lacks agreement on its points: 3 in the graded cell"
FAULTS = {
    "difficulty": ("*Difficulty 2 of 5 · ", "*", "its line of difficulty, minutes and points"),
    "minutes": ("about 15 minutes", "a while", "its line of difficulty, minutes and points"),
    "second hint": ("<details><summary>Hint 2: the idea</summary>", "", "two hints folded away"),
    "question": ("does a linear layer want?", "a linear layer wants.", "a question as its first hint"),
    "expected number": ("expected are `torch", "the sizes are `torch", "an expected figure or number"),
    "solution": ("    ### BEGIN SOLUTION\n    pixels", "    pixels", "a solution"),
    "docstring": ('"""784-512-256 to mu', 'x = """784-512-256 to mu', "a docstring"),
    "types": ("encode(self, x: torch.Tensor)", "encode(self, x)", "types in the signature of `encode`"),
    "graded cell": ('check("MyVAE", globals())', "pass", "a graded cell below its answer"),
    "name": ("class MyVAE", "class TheVAE", "an answer and a check called `MyVAE`"),
    "number": ("### Exercise 3.1:", "### Exercise 3.9:", "exercise 3.9 lacks the number of its check, 3.1"),
    "points": ("· 3 points*", "· 7 points*", f"3.1 {DISAGREE}, 7 in the statement, 3 in the check"),
    "points by hand": ("3 points, graded", "4 points, graded", f"{DISAGREE}, 4 in the statement"),
    "syntax": ("encode(self, x: torch.Tensor)", "encode(self x)", "code that Python can read (line"),
    "mark scheme": ("**Mark scheme.**", "Marks:", "Mark scheme."),
    "rubric": ("**Rubric.**", "Items:", "Rubric."),
    "model answer": ("**Model answer.**", "Answer:", "Model answer."),
    "statement": ("### Exercise 3.1:", "### Task:", "a statement above it"),
}


@pytest.mark.parametrize(("old", "new", "lacks"), FAULTS.values(), ids=FAULTS)
def test_what_an_exercise_lacks_is_named(old, new, lacks):
    assert any(lacks in sentence for sentence in exercises.lacks(without(old, new)))

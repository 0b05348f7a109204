"""Answers that a person reads: what formgrader shows beside each, and what follows when a rubric changes.

Which items an answer has stands in its comment (`rubrics`), so the gradebook alone keeps it: through grading
anew, for several instructors, and where other programs know nothing of rubrics.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode
from nbgrader.api import Comment, Grade, Gradebook
from nbgrader.utils import is_grade, is_solution

from course_utils.settings import CourseError
from courseware import notebooks
from courseware.authoring import rubrics
from courseware.classroom import feedback
from courseware.classroom.course import Course

REUSED = 9  # comments that are offered again: a digit is the key of each
Pile = list[tuple[Grade, Comment]]  # of all answers to a question that are graded, in formgrader's order


def piles(course: Course, book: Gradebook, assignment: str, only: str = "*") -> Iterator[tuple[Any, Pile]]:
    """The model answer to each written question of an assignment, or of one notebook, and the pile."""
    entries = sorted(feedback.entries(book, assignment), key=lambda row: row[0].id)
    for source in sorted(course.folder("source", ".", assignment).glob(f"{only}.ipynb")):
        for cell in notebooks.read(source).cells:
            if cell.cell_type == "markdown" and is_grade(cell) and is_solution(cell):
                pile = [
                    (grade, said)
                    for entry, student in entries
                    if entry.name == source.stem
                    and (course.folder("autograded", student, assignment) / source.name).is_file()
                    for grade in entry.grades
                    for said in entry.comments
                    if grade.name == said.name == cell.metadata.nbgrader.grade_id
                ]
                yield cell, pile


class Beside(Preprocessor):
    """Hand formgrader's template what belongs beside each written answer of the submission it shows."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        me, place = resources.get("submission_id"), resources["metadata"].get("path")
        if me and place:  # feedback has no id, a notebook that is no file has no place
            folder = Path(place)  # root/autograded/STUDENT/ASSIGNMENT
            course = Course(folder.parents[2], self.config)
            try:
                with Gradebook(course.directory.db_url, course.directory.course_id) as book:
                    resources["beside"] = {
                        cell.metadata.nbgrader.grade_id: _beside(cell, pile, me)
                        for cell, pile in piles(course, book, folder.name, resources["notebook_id"])
                    }
            except CourseError as problem:
                resources["problem"] = str(problem)
        return nb, resources


def _beside(cell: NotebookNode, pile: Pile, me: str) -> dict[str, Any]:
    """Rubric and model answer, how far the pile is read, who is next, and comments to use again."""
    waiting = [grade.notebook_id for grade, _ in pile if grade.needs_manual_grade]
    others = [one for one in waiting if one != me]
    texts = [rubrics.ITEM.sub("\n", said.manual_comment or "") for _, said in pile]
    words = Counter(part.strip() for text in texts for part in text.split("\n\n") if part.strip())
    return {
        "rubric": list(rubrics.items(cell).values()),
        "model": cell.source.partition(rubrics.HEAD)[0],
        "size": len(pile),
        "others": len(others),
        "waits": me in waiting,
        "next": min(others, key=lambda one: (one < me, one), default=""),
        "words": [text for text, _ in words.most_common(REUSED)],
    }


def renew(course: Course, book: Gradebook, assignment: str) -> dict[str, tuple[int, int]]:
    """Bring the rubrics of solutions/ to the answers that have items; it is the caller who commits.

    How many answers get another comment, and how many other points, by question. Points that a person has
    set to something else than the sum of the items stay. Raises CourseError for an item that is gone.
    """
    comments, points = Counter[str](), Counter[str]()
    for cell, pile in piles(course, book, assignment):
        name, most, now = cell.metadata.nbgrader.grade_id, cell.metadata.nbgrader.points, rubrics.items(cell)
        had = [rubrics.found(said.manual_comment) for _, said in pile]
        for key, count in Counter(one.key for ticked in had for one in ticked if one.key not in now).items():
            raise CourseError(
                f"The rubric of {name} has no item {key} any more, but {count} answers have it: put it back "
                "in solutions/, or delete its line from their comments in formgrader."
            )
        for (grade, said), ticked in zip(pile, had, strict=True):
            renewed = [now[one.key] for one in ticked]
            for old, new in zip(ticked, renewed, strict=True):
                said.manual_comment = said.manual_comment.replace(old.line, new.line)
            before, after = rubrics.points(ticked, most), rubrics.points(renewed, most)
            if ticked and grade.manual_score == before != after:
                grade.manual_score = after
                points[name] += 1
            comments[name] += renewed != ticked
    return {name: (count, points[name]) for name, count in comments.items() if count}

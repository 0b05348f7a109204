"""Answers to every exercise that asks for a prediction: all have one form (checks/predictions.py)."""

from __future__ import annotations

from bank.answers import Answer
from course_utils.checks.judges import EXERCISES
from course_utils.checks.judges.core import Exercise
from course_utils.checks.probes.predictions import measured


def _right(exercise: Exercise) -> list[Answer]:
    first, last = ({q: offered[i] for q, offered in exercise.questions.items()} for i in (0, -1))
    body = {
        "the first answer on offer everywhere": f"return {first!r}",
        "the last answer on offer everywhere": f"return {last!r}",
        "as keys and values": f"return dict(zip({list(first)!r}, {list(first.values())!r}))",
    }
    # What these measured is what they said: a report says the rest of a prediction that does not come true.
    return [
        Answer(
            exercise.answer,
            name,
            f"def {exercise.answer}():\n    {code}\n{measured(exercise.answer)} = {exercise.answer}()",
        )
        for name, code in body.items()
    ]


def _wrong(exercise: Exercise) -> list[Answer]:
    said = {question: offered[0] for question, offered in exercise.questions.items()}
    question, answer = next(iter(said.items()))
    offered, form = "the answers on offer are", "return a dict with an answer per question"
    body = {
        "nothing returned": (f"said = {said!r}", form),
        "the answers without their questions": (f"return {list(said.values())!r}", form),
        "one string": (f"return {answer!r}", form),
        "pairs instead of a dict": (f"return {list(said.items())!r}", form),
        "no question answered": ("return {}", offered),
        "a question left out": (f"said = {said!r}\n    del said[{question!r}]\n    return said", offered),
        "an answer in other words": (f"return {said | {question: 'it depends'}!r}", offered),
        "the number of an answer": (f"return {said | {question: 1}!r}", offered),
        "several answers to one question": (f"return {said | {question: [answer]}!r}", offered),
    }
    return [
        Answer(exercise.answer, name, f"def {exercise.answer}():\n    {code}", hint)
        for name, (code, hint) in body.items()
    ]


_PREDICTIONS = [exercise for exercise in EXERCISES.values() if exercise.questions]
RIGHT = [answer for exercise in _PREDICTIONS for answer in _right(exercise)]
WRONG = [answer for exercise in _PREDICTIONS for answer in _wrong(exercise)]

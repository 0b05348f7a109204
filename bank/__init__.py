"""Right and wrong answers to every exercise, as a student would write them.

One module per section holds RIGHT and WRONG. Right answers differ in style; wrong ones are named after
the misconception that they hold, and most are a right answer with one piece of code replaced.
"""

from __future__ import annotations

from bank import predictions, section_1, section_2, section_3, section_4, section_5, section_6, section_7
from bank.answers import Answer

_SECTIONS = (section_1, section_2, section_3, section_4, section_5, section_6, section_7, predictions)
RIGHT: list[Answer] = [answer for section in _SECTIONS for answer in section.RIGHT]
WRONG: list[Answer] = [answer for section in _SECTIONS for answer in section.WRONG]

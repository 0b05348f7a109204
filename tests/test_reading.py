"""What students hand in, and what could be made to look like it: it is read, put right or refused."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import compute_checksum, is_locked, is_solution

from course_utils import sections
from course_utils.grading import reading
from course_utils.grading.reading import Submission, collect, repair
from course_utils.grading.reasons import Reason

ROOT = Path(__file__).parent.parent
by_lesson = pytest.mark.parametrize("lesson", sections.lessons(), ids=lambda lesson: lesson.name)

RELEASED = ROOT / "notebooks" / "07-exercises" / "latent_dimension.ipynb"
RELEASE = nbformat.read(RELEASED, as_version=4)
MARKED = {cell.metadata.nbgrader.grade_id: cell for cell in RELEASE.cells if "nbgrader" in cell.metadata}
CODE, WRITTEN = "sampler", "sweet-spot"

"""Student notebooks from solutions, made by nbgrader itself.

`build` runs nbgrader's generate_assignment for every section: solutions/ -> notebooks/. Nothing in
notebooks/ is ever edited; `drift` tells where it is not what nbgrader would make today.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config, PyFileConfigLoader

from course_utils import sections
from course_utils.sections import SECTIONS
from course_utils.settings import CourseError


def build(root: Path, release: Path | None = None) -> None:
    """Generate the student edition of every section into `release` (default: notebooks/ of `root`).

    Also enters the assignments into the instructor's gradebook, unless `release` names another folder.
    Raises CourseError with nbgrader's reason if a section cannot be released.
    """
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    if release is not None:
        config.CourseDirectory.release_directory = str(release)
        config.GenerateAssignment.no_database = True
    for section in SECTIONS:
        log = _generate(section.folder, Config(config))
        if log:
            raise CourseError(f"nbgrader could not release {section.folder}: {log}")


def _generate(assignment: str, config: Config) -> str:
    """Run nbgrader's generate_assignment; its error log if it failed, else ''."""
    logging.getLogger("traitlets").setLevel(logging.ERROR)
    course = CourseDirectory(config=config)
    result = NbGraderAPI(course, config=config).generate_assignment(assignment)
    if result["success"]:
        return ""
    lines = (result.get("error") or result.get("log") or "no reason given").strip().splitlines()
    return lines[-1]


def drift(root: Path) -> list[str]:
    """The student notebooks that differ from what nbgrader makes of solutions/ now."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "notebooks"
        build(root, fresh)
        differing = []
        for lesson in sections.lessons():
            committed = root / "notebooks" / lesson.path
            generated = fresh / lesson.path
            same = committed.is_file() and committed.read_bytes() == generated.read_bytes()
            if not same:
                differing.append(str(lesson.path))
        shutil.rmtree(fresh)
        return differing

"""Student notebooks from solutions, made by nbgrader itself.

`build` runs nbgrader's generate_assignment for every section: solutions/ -> notebooks/. Nothing in
notebooks/ is ever edited; `drift` tells where it is not what nbgrader would make today.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode
from traitlets.config import Config, PyFileConfigLoader

from course_utils.settings import CourseError
from courseware import notebooks
from courseware.authoring import exercises, sections
from courseware.authoring.sections import SECTIONS
from courseware.grading.submission import demonstrations


def build(root: Path, release: Path | None = None) -> None:
    """Generate the student edition of every section: into notebooks/, and into the gradebook of `root`.

    With `release` both go there instead and `root` stays untouched. Raises CourseError if an exercise lacks
    something or a demonstration's tag is in doubt, and with nbgrader's reason if a section cannot be
    released.
    """
    missing = [
        f"{lesson.path}: {sentence}"
        for lesson in sections.lessons()
        for notebook in [notebooks.read(root / "solutions" / lesson.path)]
        for sentence in [*exercises.lacks(notebook), *demonstrations.doubts(notebook)]
    ]
    if missing:
        raise CourseError("solutions/ cannot be released: " + "; ".join(missing) + ".")
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    if release is not None:
        release.mkdir(parents=True, exist_ok=True)
        config.CourseDirectory.release_directory = str(release)
        config.CourseDirectory.db_url = f"sqlite:///{release / 'gradebook.db'}"
    for section in SECTIONS:
        generate(section.folder, Config(config))


def generate(assignment: str, config: Config) -> None:
    """Run nbgrader's generate_assignment; CourseError with the reason from its log if it fails."""
    course = CourseDirectory(config=config)
    result = NbGraderAPI(course, config=config).generate_assignment(assignment)
    if result["success"]:
        return
    # The exception that matters is the last indented line of the log; what follows points back to it.
    log = [line for line in result.get("log", "").splitlines() if line.startswith(" ") and line.strip()]
    reason = log[-1].strip() if log else "it gave no reason"
    raise CourseError(f"nbgrader could not release {assignment} ({reason}); mend it in solutions/.")


def drift(root: Path) -> list[str]:
    """The student notebooks that differ from what nbgrader makes of solutions/ now."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        build(root, fresh)
        return [
            str(lesson.path)
            for lesson in sections.lessons()
            if _content(root / "notebooks" / lesson.path) != _content(fresh / lesson.path)
        ]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


class Door(NbGraderPreprocessor):
    """Write into a notebook's first code cell from where it installs the course if that is missing."""

    address = Unicode("", help="What pip installs the course from, in students' notebooks.").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        first = next(cell for cell in nb.cells if cell.cell_type == "code")
        first.source = re.sub(r'^COURSE = ""', f'COURSE = "{self.address}"', first.source, flags=re.MULTILINE)
        return nb, resources

"""The archive to hand out: what a student needs and nothing that an instructor keeps.

Students get the notebooks twice, to work in (notebooks/) and as they were (release/), `course_utils`, of
`courseware` what checks their own work, and a README and a Makefile of their own. The same course gives the
same bytes: names are sorted, times and rights fixed.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from course_utils.files import whole
from courseware import sections
from courseware.authoring import exercises, release

TOP = "vae-course"  # the folder that unpacking makes
TEMPLATES = Path(__file__).parent / "templates" / "bundle"
# What students' commands need, as patterns below the course's folder; nothing else ships. Validate runs a
# notebook with nbgrader_config.py's limits, and the package finds its folder by that file.
SHIPPED = (
    ".dockerignore",
    "Dockerfile",
    "LICENSE",
    "constraints.txt",
    "docs/reproduced.md",
    "docs/students.md",
    "jupyter_lab_config.py",
    "nbgrader_config.py",
    "pyproject.toml",
    "vae.py",
    "course_utils/**/*",
    *(
        f"courseware/{name}.py"
        for name in ("__init__", "cli", "doctor", "exchange", "markup", "notebooks", "sections", "updating")
    ),
    "courseware/grading/**/*",  # for `course check`
    "courseware/jupyterlab/*",
    "courseware/templates/**/*",
)
PACKAGES = ("course_utils/", "courseware/")
KINDS = (".py", ".toml", ".j2", ".html", ".js", ".css", ".json")  # of their files


def write(root: Path, file: Path) -> int:
    """Write the archive, whole or not at all, where notebooks/ are current; the number of files in it."""
    release.require_current(root)
    found = contents(root)
    with whole(file) as part, zipfile.ZipFile(part, "w") as archive:
        for name, content in sorted(found.items()):
            entry = zipfile.ZipInfo(f"{TOP}/{name}")  # dated 1980, whenever it was made
            entry.create_system, entry.external_attr = 3, 0o100644 << 16  # Unix, whatever made it
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return len(found)


def contents(root: Path) -> dict[str, bytes]:
    """Every file of the archive by its name."""
    found = {}
    for path in (path for pattern in SHIPPED for path in root.glob(pattern) if path.is_file()):
        name = path.relative_to(root).as_posix()
        if path.suffix in KINDS or not name.startswith(PACKAGES):
            found[name] = path.read_bytes()
    for lesson in sections.lessons():
        content = (root / "notebooks" / lesson.path).read_bytes()
        found |= {f"{edition}/{lesson.path.as_posix()}": content for edition in ("notebooks", "release")}
    templates = Environment(loader=FileSystemLoader(TEMPLATES), keep_trailing_newline=True)
    conda, make = ((root / name).read_text("utf-8") for name in ("environment.yml", "Makefile"))
    setup = make[make.index("\n$(READY):") :].strip().replace("'.[test]'", ".")
    own = {  # which students get in an edition of their own
        "README.md": templates.get_template("README.md.j2").render(rows=_rows(root)),
        "Makefile": templates.get_template("Makefile.j2").render(setup=setup),
        "environment.yml": conda.replace("course run", "jupyter lab"),
    }
    return found | {name: text.encode() for name, text in own.items()}


def _rows(root: Path) -> Iterator[tuple[str, int, int]]:
    """Each notebook with exercises: its title, their minutes and points, as their statements say."""
    for lesson in sections.lessons():
        if terms := exercises.TERMS.findall((root / "notebooks" / lesson.path).read_text("utf-8")):
            minutes, points = (sum(map(int, numbers)) for numbers in zip(*terms, strict=True))
            yield lesson.title, minutes, points

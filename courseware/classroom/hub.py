"""A classroom on a JupyterHub: files that tell the hub, Jupyter and nbgrader of the course.

The account that owns the course's folder grades; instructors open its server under their own names. The
files lie in one folder that everybody can read, but for the hub's own part where The Littlest JupyterHub
looks for it. A record beside them keeps what was written, so that nothing else is ever replaced or removed.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import courseware
from course_utils.files import whole, writable
from course_utils.settings import CourseError
from courseware import record
from courseware.authoring import release

TEMPLATES = Path(__file__).parent / "templates" / "hub"
LITTLEST = Path("/opt/tljh/config/jupyterhub_config.d")  # whatever lies there is read
RECORD = ".written-by-course-hub.json"
# Below the folder, with their modes; those of the account that grades, and of its group.
FOLDERS = {"": 0o755, "jupyter": 0o755, "jupyter/labconfig": 0o755, "data": 0o755, "exchange": 0o2775}
GRADERS = ("data", "exchange")
MEND = "call this as root, with a --folder that has room"


def account(root: Path) -> pwd.struct_passwd:
    """Who owns the course's folder. Raises CourseError where that account cannot grade."""
    if not (root / "nbgrader_config.py").is_file():
        raise CourseError(f"{root} is no clone of the course: say with --course where that lies.")
    owner = pwd.getpwuid(root.stat().st_uid)
    if not owner.pw_uid:
        raise CourseError(f"{root} is root's: give it to an account that grades and does nothing else.")
    if Path(owner.pw_dir) not in root.parents:
        raise CourseError(
            f"{root} is not in {owner.pw_dir}, the home of {owner.pw_name}, who owns it: move it there, since"
            " formgrader sees nothing outside."
        )
    return owner


def snippet(folder: Path) -> Path:
    """The hub's part."""
    return LITTLEST / "vae-course.py" if LITTLEST.is_dir() else folder / "jupyterhub_config.py"


def name_on_hub(owner: pwd.struct_passwd) -> str:
    """The Littlest JupyterHub has accounts for its users, with a word before their names."""
    return owner.pw_name.removeprefix("jupyter-") if LITTLEST.is_dir() else owner.pw_name


def plan(
    own: Path, root: Path, folder: Path, instructors: Sequence[str], memory: str, processors: float
) -> dict[Path, str]:
    """The files and what they will say. Raises CourseError where one is there that is not ours.

    The course's settings are read in `own`, the caller's clone: `root` is the graders', who can change it,
    and the superuser is to run nothing of theirs.
    """
    if not os.geteuid() and own.stat().st_uid:
        raise CourseError(
            f"{own} is not root's, so others can change what root would run: call this in a clone of root's"
            f" own, with --course {root}."
        )
    if not instructors:
        raise CourseError("Say who teaches, by their names on the hub: `course hub NAME NAME`.")
    if not re.fullmatch(r"\d+(\.\d+)?[KMGT]", memory):
        raise CourseError("--memory is a number with K, M, G or T behind it, such as 4G.")
    owner, settings = account(root), release.settings(own)
    course_id = settings.CourseDirectory.course_id
    grader = name_on_hub(owner)
    values = {
        "grader": grader,
        "teachers": list(dict.fromkeys([grader, *instructors])),
        "group": f"formgrade-{course_id}",  # as nbgrader calls it
        "user": owner.pw_uid,
        "root": str(root),
        "course_id": course_id,
        "plugins": dict(settings.ExchangeFactory),
        "memory": memory,
        "processors": processors,
        "threads": str(max(1, int(processors))),
        **{name: str(folder / name) for name in ("jupyter", "data", "exchange")},
    }
    pages = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined)
    pages.filters["repr"] = repr
    jupyter = folder / "jupyter"
    files = {
        snippet(folder): "jupyterhub_config.py.j2",
        jupyter / "nbgrader_config.py": "nbgrader_config.py.j2",
        jupyter / "jupyter_server_config.py": "jupyter_server_config.py.j2",
    }
    texts = {file: pages.get_template(template).render(values) + "\n" for file, template in files.items()}
    overrides = Path(courseware.__file__).parent / "jupyterlab" / "overrides.json"  # as for `make lab`
    texts[jupyter / "labconfig" / "default_setting_overrides.json"] = overrides.read_text("utf-8")
    written = _written(folder)["files"]
    if strange := [str(file) for file in texts if os.path.lexists(file) and not _ours(file, written)]:
        found = f"Not written by `course hub`, or changed since: {', '.join(strange)}"
        raise CourseError(f"{found}; move it away.")
    return texts


def _written(folder: Path) -> dict[str, Any]:
    """What the record has: files with the digests that ours have had, and folders that were made."""
    return record.kept(folder / RECORD) or {"files": {}, "folders": []}


def _ours(file: Path, written: dict[str, list[str]]) -> bool:
    plain = file.is_file() and not file.is_symlink()
    return plain and sha256(file.read_bytes()).hexdigest() in written.get(str(file), ())


def write(root: Path, folder: Path, texts: dict[Path, str]) -> None:
    """Write what was planned; the record first, so that what an interruption leaves can be undone as well."""
    owner, written = account(root), _written(folder)
    if os.geteuid() not in (0, owner.pw_uid):
        raise CourseError(f"Only root can set up a hub for {owner.pw_name}: call this with sudo.")
    made = [name for name in FOLDERS if not (folder / name).is_dir()]
    written["folders"] += made
    for file, text in texts.items():
        written["files"].setdefault(str(file), []).append(sha256(text.encode()).hexdigest())
    with writable(folder / RECORD, MEND):
        record.keep(folder / RECORD, written)
        for name in made:
            (folder / name).mkdir(exist_ok=True)
            if name in GRADERS:
                shutil.chown(folder / name, owner.pw_uid, owner.pw_gid)
            (folder / name).chmod(FOLDERS[name])
    for file, text in texts.items():
        with whole(file, MEND) as part:
            part.write_text(text, encoding="utf-8")
            part.chmod(0o644)


def undo(folder: Path) -> tuple[list[Path], list[Path]]:
    """Remove what was written, and the folders made for it that are empty; what is gone, and what stays."""
    written = _written(folder)
    files = [Path(name) for name in written["files"] if os.path.lexists(name)]
    gone = [file for file in files if _ours(file, written["files"])]
    with writable(folder / RECORD, "call this as root"):
        for file in gone:
            file.unlink()
        (folder / RECORD).unlink(missing_ok=True)
    places = [folder / name for name in reversed(written["folders"])]
    for place in places:
        with suppress(OSError):  # something of other people's is in it
            place.rmdir()
    return gone, [*(file for file in files if file not in gone), *(one for one in places if one.exists())]


def steps(root: Path, folder: Path) -> list[str]:
    """What is left to do by hand."""
    file = snippet(folder)
    line = f"Make this the last line of the hub's configuration: load_subconfig({str(file)!r})"
    return [
        "The Littlest JupyterHub reads its part from there." if file.parent == LITTLEST else line,
        f"Restart the hub. Instructors open /user/{name_on_hub(account(root))}/lab below its address;"
        " `course doctor --hub` in a terminal there, and in a student's, says what is wrong.",
    ]

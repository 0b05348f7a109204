"""`course doctor`: is this machine ready for the course, and if not, what to do about it.

What a command could fail at is tried: a page is rendered, a gradebook made in memory. Nothing is changed,
downloaded or sent. On a JupyterHub, in a terminal of the account in question, the classroom is looked at too.
"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement

from course_utils import settings

GB = 1e9
DISK, MEMORY = 2 * GB, 4 * GB  # what a run of the whole course takes, with room to spare
CGROUPS = Path("/sys/fs/cgroup")
REINSTALL = "Run `pip install -c constraints.txt -e .` once more."


class Status(NamedTuple):
    """What was looked at, what was found, and what to do: '' where all is well."""

    name: str
    found: str
    advice: str = ""
    needed: bool = True  # whether the course cannot do without


def examine(hub: bool = False) -> Iterator[Status]:
    """Look at everything, one thing after the other. A look that itself fails is told as one."""
    looks: tuple[Callable[[], Status], ...] = (
        python, packages, pytorch, torchvision, kernel, pages, gradebook, data, sandbox, disk, memory,
    )  # fmt: skip
    for look in (*looks, account, limits, umask, course_id, exchange, scopes, edition) if hub else looks:
        try:
            yield look()
        except settings.CourseError as problem:
            yield Status(look.__name__, "not as it should be", str(problem))
        except Exception as problem:  # whatever is broken on this machine
            yield Status(look.__name__, f"{type(problem).__name__}: {problem}", REINSTALL)


def python() -> Status:
    own = sys.prefix != sys.base_prefix or (Path(sys.prefix) / "conda-meta").is_dir()
    advice = "Use an environment of the course's own (`make .venv/.ready`), not the system's Python."
    found = f"{platform.python_version()} in {sys.prefix}"
    return Status("Python", found, "" if own else advice, needed=False)


def packages() -> Status:
    """What pyproject.toml asks for, and what is installed."""
    wrong = []
    wanted = [Requirement(text) for text in importlib.metadata.requires("vae-course") or []]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    for one in wanted:
        try:
            version = importlib.metadata.version(one.name)
            if not one.specifier.contains(version, prereleases=True):
                wrong.append(f"{one.name} is {version}, wanted {one.specifier}")
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{one.name} is missing")
    return Status("packages", "; ".join(wrong) or f"all {len(wanted)} there", REINSTALL if wrong else "")


def pytorch() -> Status:
    import torch

    idle = shutil.which("nvidia-smi") and not torch.cuda.is_available()
    advice = "There is an NVIDIA GPU that this PyTorch cannot use: install a CUDA build to train on it."
    found = f"{torch.__version__}, trains on {settings.device_name()}"
    return Status("PyTorch", found, advice if idle else "", needed=False)


def torchvision() -> Status:
    """Whether the data sets of torchvision can be had beside this torch."""
    from course_utils import data as datasets

    library = datasets.torchvision()
    return Status("data sets", f"torchvision {library.__version__} has {library.datasets.MNIST.__name__}")


def kernel() -> Status:
    """Whether notebooks start with this Python."""
    from jupyter_client.kernelspec import KernelSpecManager

    program = Path(KernelSpecManager().get_kernel_spec("python3").argv[0])
    other = program.is_absolute() and program.parent != Path(sys.executable).parent
    advice = "`python -m ipykernel install --sys-prefix` makes the kernel 'python3' this Python."
    return Status("kernel", f"'python3' is {program}", advice if other else "")


def pages() -> Status:
    """Whether a notebook becomes a web page: rendered as feedback is, which never raises."""
    from nbformat import v4

    from courseware.grading import pages as feedback

    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("$x$")])
    drawn = "<math" in feedback.page(notebook, {}, {}, title="")
    return Status("pages", f"formulas are{'' if drawn else ' not'} drawn", "" if drawn else REINSTALL)


def gradebook() -> Status:
    """Whether nbgrader can make a gradebook, for which it calls `alembic`."""
    from nbgrader.api import Gradebook
    from traitlets.config import PyFileConfigLoader

    folder = settings.project_folder()
    if not (folder / "nbgrader_config.py").is_file():
        return Status("gradebook", "not tried", "Call this inside the course's folder.", needed=False)
    PyFileConfigLoader("nbgrader_config.py", str(folder)).load_config()  # puts `alembic` on the PATH
    Gradebook("sqlite://").close()
    return Status("gradebook", "nbgrader can make one")


def data() -> Status:
    """The images that lessons will use, and whether the real ones are there."""
    from course_utils import data as datasets

    name = datasets.wanted()
    advice = "`course run --data mnist` downloads the real MNIST once; all lessons run without it as well."
    found = f"lessons use '{name}'; real images belong in {settings.data_folder()}"
    return Status("data", found, "" if name == "mnist" else advice, needed=False)


def sandbox() -> Status:
    from courseware.grading.kernel import sandbox as walls

    counted = "bubblewrap works; memory and processes are counted twice a second, without control groups"
    found = "not here" if walls.missing() else counted
    return Status("sandbox", found, walls.missing() or walls.lacking(), needed=False)


def disk() -> Status:
    free = shutil.disk_usage(settings.project_folder()).free
    advice = f"Make room: {DISK / GB:.0f} GB are enough; `course cache` says what is kept."
    return Status("disk", f"{free / GB:.0f} GB free", advice if free < DISK else "")


def memory() -> Status:
    import psutil

    free = psutil.virtual_memory().available
    advice = f"Close other programs: {MEMORY / GB:.0f} GB are enough."
    return Status("memory", f"{free / GB:.0f} GB free", advice if free < MEMORY else "", needed=False)


# --- on a hub -------------------------------------------------------------------------------------------


def account() -> Status:
    """Whether the hub has started this server, and for an account that can do no harm."""
    name = os.environ.get("JUPYTERHUB_USER", "")
    if not name:
        return Status("account", "no server of a hub", "Call this in a terminal that the hub has opened.")
    mend = "Kernels are root's: choose a spawner that starts servers as their users, not the 'simple' one."
    return Status("account", f"'{name}' is user {os.getuid()} here", "" if os.getuid() else mend)


def limits() -> Status:
    """Whether control groups, of either version, hold this server to the memory that the hub has set."""
    limit = int(os.environ.get("MEM_LIMIT") or 0)
    groups = [Path(line.split(":/", 1)[1]) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    files = [
        file
        for group in groups
        for above in (group, *group.parents)
        for file in (CGROUPS / above / "memory.max", CGROUPS / "memory" / above / "memory.limit_in_bytes")
    ]
    held = [file.read_text().strip() for file in files if file.is_file()]
    kept = any(text.isdigit() and int(text) <= limit for text in held)
    advice = "Limits are not kept by this spawner: those of systemd, Docker and Kubernetes keep them."
    said = f"{limit / GB:.1f} GB of memory" if limit else "none set"
    return Status("limits", said, advice if limit and not kept else "", needed=False)


def umask() -> Status:
    """Whether the others of a class can read what is released to them, and not write it."""
    mask = os.umask(0o022)
    os.umask(mask)
    advice = "Set `UMask=0022` for the hub's service, and `umask 022` wherever else one is set."
    return Status("umask", f"{mask:04o}", "" if mask & 0o007 == 0o002 else advice)


def course_id() -> Status:
    name = _nbgrader().CourseDirectory.get("course_id", "")
    advice = "nbgrader knows no course: load what `course hub` wrote as the hub's last settings; restart it."
    return Status("course_id", f"'{name}'", "" if name else advice)


def exchange() -> Status:
    """Whether releases are found or can be made, and hand-ins left, where nbgrader's configuration says."""
    from nbgrader.coursedir import CourseDirectory
    from nbgrader.exchange import ExchangeError, ExchangeFactory

    config = _nbgrader()
    place = ExchangeFactory(config=config).list(coursedir=CourseDirectory(config=config), config=config)
    root = Path(place.root)
    course = root / config.CourseDirectory.get("course_id", "")
    if not os.access(root, os.R_OK | os.X_OK):
        return Status("exchange", f"{root} cannot be read", "As root: `course hub ... --write` makes it.")
    mends = {course / "inbound": "As its owner: `chmod 3773 {0}`."}
    if "root" in config.CourseDirectory:  # who grades
        mend = f"As root: `chown {os.getuid()} {{0}} && chmod 2775 {{0}}`."
        mends |= dict.fromkeys((root, course, course / "outbound"), mend)
    for folder, mend in mends.items():
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            return Status("exchange", f"{folder} cannot be written", mend.format(folder))
    try:
        place.ensure_root()  # which asks for modes that keep secrets, where the exchange is ours
    except ExchangeError as problem:
        return Status("exchange", "not as it should be", str(problem))
    return Status("exchange", f"{root} takes hand-ins")


def scopes() -> Status:
    """Whether the hub tells nbgrader, where that asks, which courses are this user's."""
    from nbgrader.auth import Authenticator

    config = _nbgrader()
    name = config.CourseDirectory.get("course_id", "")
    try:
        courses = Authenticator(config=config).get_student_courses("*")
    except Exception as problem:  # such as an answer without groups
        advice = "Give the hub's role 'server' also the scope 'read:users:groups!user', and restart the hub."
        return Status("scopes", f"groups cannot be read ({type(problem).__name__})", advice)
    if courses is None:
        return Status("scopes", "every user of the hub is in the course")
    advice = f"Put the user into the hub's group 'nbgrader-{name}', or 'formgrade-{name}' for who teaches."
    return Status("scopes", f"courses: {', '.join(courses) or 'none'}", "" if name in courses else advice)


def edition() -> Status:
    """Whether students' Python has what only the account that grades may see."""
    answers = importlib.util.find_spec("bank") is not None
    grades = "root" in _nbgrader().CourseDirectory
    mend = "Install the archive of `course bundle` in the hub's Python, in place of the instructor's edition."
    found = "with the answers" if answers else "the students'"
    return Status("edition", found, mend if answers and not grades else "")


def _nbgrader() -> Any:
    """What nbgrader finds configured here."""
    from nbgrader.apps import NbGrader

    app = NbGrader()
    app.load_config_file()
    return app.config

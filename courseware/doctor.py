"""`course doctor`: is this machine ready for the course, and if not, what to do about it.

What a command could fail at is tried: a page is rendered, a gradebook made in memory. Nothing is changed,
downloaded or sent.
"""

import importlib.metadata
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

from course_utils import settings

GB = 1e9
DISK, MEMORY = 2 * GB, 4 * GB  # what a run of the whole course takes, with room to spare
REINSTALL = "Run `pip install -c constraints.txt -e .` once more."


class Finding(NamedTuple):
    """What was looked at, what was found, and what to do: '' where all is well."""

    name: str
    found: str
    advice: str = ""
    needed: bool = True  # whether the course cannot do without


def examine() -> Iterator[Finding]:
    """Look at everything, one thing after the other. A look that itself fails is a finding."""
    looks: tuple[Callable[[], Finding], ...] = (
        python, packages, pytorch, torchvision, kernel, pages, gradebook, data, sandbox, disk, memory,
    )  # fmt: skip
    for look in looks:
        try:
            yield look()
        except Exception as problem:  # whatever is broken on this machine
            yield Finding(look.__name__, f"{type(problem).__name__}: {problem}", REINSTALL)


def python() -> Finding:
    own = sys.prefix != sys.base_prefix or (Path(sys.prefix) / "conda-meta").is_dir()
    advice = "Use an environment of the course's own (`make .venv/.ready`), not the system's Python."
    found = f"{platform.python_version()} in {sys.prefix}"
    return Finding("Python", found, "" if own else advice, needed=False)


def packages() -> Finding:
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
    return Finding("packages", "; ".join(wrong) or f"all {len(wanted)} there", REINSTALL if wrong else "")


def pytorch() -> Finding:
    import torch

    idle = shutil.which("nvidia-smi") and not torch.cuda.is_available()
    advice = "There is an NVIDIA GPU that this PyTorch cannot use: install a CUDA build to train on it."
    found = f"{torch.__version__}, trains on {settings.device_name()}"
    return Finding("PyTorch", found, advice if idle else "", needed=False)


def torchvision() -> Finding:
    """Whether the data sets of torchvision can be had beside this torch."""
    from course_utils import data as datasets

    library = datasets.torchvision()
    return Finding("data sets", f"torchvision {library.__version__} has {library.datasets.MNIST.__name__}")


def kernel() -> Finding:
    """Whether notebooks start with this Python."""
    from jupyter_client.kernelspec import KernelSpecManager

    program = Path(KernelSpecManager().get_kernel_spec("python3").argv[0])
    other = program.is_absolute() and program.parent != Path(sys.executable).parent
    advice = "`python -m ipykernel install --sys-prefix` makes the kernel 'python3' this Python."
    return Finding("kernel", f"'python3' is {program}", advice if other else "")


def pages() -> Finding:
    """Whether a notebook becomes a web page: rendered as feedback is, which never raises."""
    from nbformat import v4

    from courseware.grading import pages as feedback

    notebook = v4.new_notebook(cells=[v4.new_markdown_cell("$x$")])
    drawn = "<math" in feedback.page(notebook, {}, {}, title="")
    return Finding("pages", f"formulas are{'' if drawn else ' not'} drawn", "" if drawn else REINSTALL)


def gradebook() -> Finding:
    """Whether nbgrader can make a gradebook, for which it calls `alembic`."""
    from nbgrader.api import Gradebook
    from traitlets.config import PyFileConfigLoader

    folder = settings.project_folder()
    if not (folder / "nbgrader_config.py").is_file():
        return Finding("gradebook", "not tried", "Call this inside the course's folder.", needed=False)
    PyFileConfigLoader("nbgrader_config.py", str(folder)).load_config()  # puts `alembic` on the PATH
    Gradebook("sqlite://").close()
    return Finding("gradebook", "nbgrader can make one")


def data() -> Finding:
    """The images that lessons will use, and whether the real ones are there."""
    from course_utils import data as datasets

    name = datasets.wanted()
    advice = "`course run --data mnist` downloads the real MNIST once; all lessons run without it as well."
    found = f"lessons use '{name}'; real images belong in {settings.data_folder()}"
    return Finding("data", found, "" if name == "mnist" else advice, needed=False)


def sandbox() -> Finding:
    from courseware.grading.kernel import sandbox as walls

    counted = "bubblewrap works; memory and processes are counted twice a second, without control groups"
    found = "not here" if walls.missing() else counted
    return Finding("sandbox", found, walls.missing() or walls.lacking(), needed=False)


def disk() -> Finding:
    free = shutil.disk_usage(settings.project_folder()).free
    advice = f"Make room: {DISK / GB:.0f} GB are enough; `course cache` says what is kept."
    return Finding("disk", f"{free / GB:.0f} GB free", advice if free < DISK else "")


def memory() -> Finding:
    import psutil

    free = psutil.virtual_memory().available
    advice = f"Close other programs: {MEMORY / GB:.0f} GB are enough."
    return Finding("memory", f"{free / GB:.0f} GB free", advice if free < MEMORY else "", needed=False)

"""The process that sandboxed kernels are forked from (see `zygote`), and what it may know.

It listens on a socket in a folder that is its maker's alone, and ends with its maker. Whoever is told its
address shares it: a batch has one for all workers, which imports what notebooks import while the coordinator
still imports what it needs itself. A worker that has imported the package from another place, of which a
room will be a view, makes its own. Where one was killed, the next kernel comes from a new one.
"""

import atexit
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import course_utils
from course_utils.settings import CourseError

HOME = "/home/student"  # in the sandbox
PASSED_ON = ("COURSE_", "OMP_", "MKL_", "OPENBLAS_", "TQDM_", "LC_")
LONGEST_PLACE = 60  # characters of a folder in which sockets are made: their addresses end at 107
WAITING = 128  # requests


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The little of the grader's environment that a kernel is to know."""
    passed_on = {name: value for name, value in given.items() if name.startswith(PASSED_ON)}
    return passed_on | {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": HOME,
        "LANG": "C.UTF-8",
        "MPLCONFIGDIR": f"{HOME}/.matplotlib",
        "IPYTHONDIR": f"{HOME}/.ipython",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(Path(course_utils.__file__).parent.parent),
    }


def outside() -> dict[str, str]:
    """What kernels may know, but for places that are there in the sandbox only: for the zygote."""
    known = {name: value for name, value in environment(os.environ).items() if HOME not in value}
    home = {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
    # A library that starts its threads when it is imported would make every fork unsafe.
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    silent = {"PYDEVD_DISABLE_FILE_VALIDATION": "1"}  # a debugger that ipykernel imports, and nobody asks for
    return known | home | alone | silent | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


def temporary() -> str:
    """Where sockets lie: the folder for temporary files, unless its name is too long."""
    asked = tempfile.gettempdir()
    return asked if len(os.fsencode(asked)) <= LONGEST_PLACE else "/tmp"


def own_prefix() -> str:
    """How this process's temporary folders are called."""
    return f"course-{os.getpid()}-"


def _view() -> str:
    """A name for the place of the package."""
    return hashlib.sha256(course_utils.__file__.encode()).hexdigest()[:8]


class Zygote:
    """The process that listens at this address; without one it is made here, and imports meanwhile."""

    def __init__(self, address: str = "") -> None:
        self.address, self.folder = address, ""
        self.process: subprocess.Popen | None = None
        if address:
            return
        self.folder = tempfile.mkdtemp(prefix=own_prefix(), dir=temporary())  # for this user alone
        self.address = f"{self.folder}/{_view()}"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(self.address)
            listening.listen(WAITING)
            numbers = map(str, (listening.fileno(), os.getpid()))
            self.process = subprocess.Popen(
                [sys.executable, "-m", "courseware.grading.kernel.zygote", *numbers],
                pass_fds=[listening.fileno()],
                env=outside(),
                stdin=subprocess.DEVNULL,
                cwd="/",
            )

    def wait(self) -> None:
        """Until it has imported all, or has ended."""
        with socket.socket(socket.AF_UNIX) as ours, suppress(OSError):
            ours.connect(self.address)
            ours.shutdown(socket.SHUT_WR)
            ours.recv(1)

    def fork(self, request: dict[str, Any], door: int) -> int:
        """Ask for a kernel; the process number of its keeper. Raises CourseError where it has ended."""
        with socket.socket(socket.AF_UNIX) as ours, suppress(OSError):
            ours.connect(self.address)
            socket.send_fds(ours, [b"\n"], [door])
            ours.sendall(json.dumps(request).encode())
            ours.shutdown(socket.SHUT_WR)
            if keeper := ours.recv(20):
                return int(keeper)
        _end()
        raise CourseError("The process that kernels are forked from has ended.")

    def end(self) -> None:
        """End it where it was made here."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)


_known: list[Zygote] = []  # at most one


@atexit.register
def _end() -> None:
    while _known:
        _known.pop().end()


def zygote(address: str = "") -> Zygote:
    """The one that this process has kernels forked from: that at the address, or its own."""
    if not _known:
        _known.append(Zygote(address if Path(address).name == _view() else ""))
    return _known[0]


def early() -> str:
    """Start it now, where there may be kernels to fork, beside what is imported meanwhile; its address."""
    return zygote().address if shutil.which("bwrap") else ""

"""Sandboxed kernels that are forked from a process which has imported everything: see `zygote`.

A batch's worker makes one zygote, another where that is killed, and asks it for every kernel. bubblewrap
makes the room as ever, with a process in it that does nothing; the kernel steps in. Walls, limits and
messages are those of `sandbox`.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.provisioning import LocalProvisioner

from course_utils.settings import CourseError
from courseware.grading.kernel import sandbox


class Zygote:
    """The process, and the socket it listens to. Raises CourseError where it has ended, or does not start."""

    def __init__(self) -> None:
        self.channel, theirs = socket.socketpair()
        self.answers = self.channel.makefile()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "courseware.grading.kernel.zygote", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
        self.answer()  # when it has imported all

    def answer(self) -> dict[str, Any]:
        """What it says next."""
        said = ""
        with contextlib.suppress(ConnectionError):
            said = self.answers.readline()
        if not said.endswith("\n"):
            self.end()
            raise CourseError("The process that kernels are forked from has ended.")
        return json.loads(said)

    def fork(self, request: dict[str, Any], door: int) -> int:
        """Ask for a kernel; the process number of its keeper."""
        with contextlib.suppress(ConnectionError):  # there is no answer then
            socket.send_fds(self.channel, [json.dumps(request).encode()], [door])
        return self.answer()["keeper"]

    def end(self) -> None:
        self.answers.close()
        self.channel.close()
        self.process.kill()
        self.process.wait()


def _environment() -> dict[str, str]:
    """What kernels may know, but for places that are there in the sandbox only."""
    inside = sandbox.environment(os.environ)
    outside = {name: value for name, value in inside.items() if sandbox.HOME not in value}
    home = {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
    # A library that starts its threads when it is imported would make every fork unsafe.
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return outside | home | alone | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


_own: list[Zygote] = []  # at most one


@atexit.register
def _end() -> None:
    while _own:
        _own.pop().end()


def zygote() -> Zygote:
    """This process's own, started when it is first asked for, and anew where it was killed."""
    if _own and _own[0].process.poll() is not None:
        _end()
    if not _own:
        _own.append(Zygote())
    return _own[0]


class ForkedProvisioner(sandbox.SandboxProvisioner):
    """Has a kernel forked into the sandbox. Raises CourseError where that cannot be done."""

    request: dict[str, Any]

    def inside(self, kernel: list[str], environment: dict[str, str], folder: Path, user: int) -> list[str]:
        """The kernel comes later; until then somebody has to be in the room."""
        self.request = {
            "arguments": kernel[kernel.index("ipykernel_launcher") + 1 :],
            "environment": environment,
            "folder": str(folder),
            "user": user,
            "limits": self.limits.of_a_process(),
        }
        return ["sh", "-c", "echo; exec cat >/dev/null"]  # says that it is there, stays until the door closes

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Make the room and send a kernel into it."""
        inner, door = os.pipe()
        try:
            kwargs |= {"stdin": inner, "stdout": subprocess.PIPE}
            connection = await LocalProvisioner.launch_kernel(self, cmd, **kwargs)
            room: Any = self.process
            if not room.stdout.readline():
                raise CourseError("bubblewrap could not make a sandbox; `course doctor` says more.")
            (first,) = psutil.Process(room.pid).children()
            keeper = zygote().fork({**self.request, "room": first.pid}, door)
        finally:
            os.close(inner)
            os.close(door)
        self.watched = [room.pid, keeper]
        self.uncounted = sum(one.memory for one in sandbox.taken(keeper)[:1])  # the keeper's: the zygote's
        return connection


class KernelManager(sandbox.KernelManager):
    """Starts every kernel as a fork in the sandbox."""

    provisioner_name = "course-forked-sandbox"  # in pyproject.toml

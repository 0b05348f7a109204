"""This process's own zygote: the process that its sandboxed kernels are forked from (see `zygote`).

It is started for the first kernel, anew where it was killed, and ends with this process.
"""

import atexit
import contextlib
import json
import socket
import subprocess
import sys
from typing import Any

from course_utils.settings import CourseError


class Zygote:
    """The process, and the socket it listens to. Raises CourseError where it has ended, or does not start."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.channel, theirs = socket.socketpair()
        self.answers = self.channel.makefile()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "courseware.grading.kernel.zygote", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
        self.answer()  # when it has imported all

    def answer(self) -> dict[str, Any]:
        """What it says next. Raises CourseError where it has ended."""
        said = ""
        with contextlib.suppress(ConnectionError):
            said = self.answers.readline()
        if not said.endswith("\n"):
            self.end()
            raise CourseError("The process that kernels are forked from has ended.")
        return json.loads(said)

    def fork(self, request: dict[str, Any], door: int) -> int:
        """Ask for a kernel; the process number of its keeper. Raises CourseError where it has ended."""
        ours, theirs = socket.socketpair()
        with ours:
            # The keeper reads the request: what it says is never in the memory that later kernels come from.
            with theirs, contextlib.suppress(ConnectionError):  # there is no answer then
                socket.send_fds(self.channel, [b"one more"], [door, theirs.fileno()])
                ours.sendall(json.dumps(request).encode())
                ours.shutdown(socket.SHUT_WR)
            return self.answer()["keeper"]

    def end(self) -> None:
        self.answers.close()
        self.channel.close()
        self.process.kill()
        self.process.wait()


_own: list[Zygote] = []  # at most one


@atexit.register
def _end() -> None:
    while _own:
        _own.pop().end()


def zygote(environment: dict[str, str]) -> Zygote:
    """This process's own; where it has to be started, with this environment."""
    if _own and _own[0].process.poll() is not None:
        _end()
    if not _own:
        _own.append(Zygote(environment))
    return _own[0]

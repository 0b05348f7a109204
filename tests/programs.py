"""Programs called as people call them: the course's and nbgrader's, with little data and in one thread."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = Path(sys.executable).parent
PATH = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"  # where nbgrader looks for `alembic`
QUICK = {
    "COURSE_BUDGET": "smoke",
    "COURSE_DATASET": "digits",
    "OMP_NUM_THREADS": "1",
    "LOKY_MAX_CPU_COUNT": "1",  # one worker unless told otherwise: each takes seconds to start
}


def run(folder: Path, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """One of our programs, or another by its whole path, and what it says."""
    program, *words = command
    env = os.environ | QUICK | {"PATH": PATH, "PYTHONPATH": str(ROOT)} | environment
    return subprocess.run([PROGRAMS / program, *words], cwd=folder, env=env, capture_output=True, text=True)


def call(folder: Path, *command: str | Path, **environment: str) -> str:
    """What it prints; it has to end well."""
    done = run(folder, *command, **environment)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def configure(folder: Path, *lines: str) -> None:
    """Write more lines into a folder's nbgrader_config.py; where there is none, it begins as the course's."""
    file = folder / "nbgrader_config.py"
    if not file.exists():
        shutil.copyfile(ROOT / file.name, file)
    with file.open("a", encoding="utf-8") as config:
        config.writelines(f"{line}\n" for line in lines)


def free_ports(count: int) -> list[int]:
    """Numbers of ports of this machine that nobody listens at."""
    with ExitStack() as stack:
        every = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in every]


def wait_for(answer: Callable[[], Any]) -> Any:
    """What comes once there is an answer at all; a busy machine takes minutes."""
    until = time.monotonic() + 300
    while time.monotonic() < until:
        with suppress(OSError):
            return answer()
        time.sleep(0.5)
    return answer()

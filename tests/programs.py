"""Programs called as people call them: the course's and nbgrader's, with little data and in one thread."""

import os
import subprocess
import sys
from pathlib import Path

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

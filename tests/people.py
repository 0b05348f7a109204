"""Several users of one machine, with accounts that every Linux has: only root can act as these.

`act` calls a function of this process, in a child; `Person` calls commands as one calls them in a shell.
"""

import ctypes
import grp
import os
import pickle
import pwd
import signal
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import accounts
import pytest
from programs import PATH, ROOT

TEACHER, COLLEAGUE, STUDENTS = "daemon", "games", ("bin", "sys")
GROUP = grp.getgrnam("adm").gr_gid  # of the instructors

MARKS = [pytest.mark.slow, pytest.mark.skipif(bool(accounts.missing()), reason=accounts.missing())]

NEW_MOUNTS = 0x20000  # CLONE_NEWNS


def share(folder: Path) -> None:
    """Make a folder that is the instructors'."""
    folder.mkdir()
    os.chown(folder, pwd.getpwnam(TEACHER).pw_uid, GROUP)
    folder.chmod(0o2775)


class Failed(Exception):
    """What somebody tried came to nothing."""


def act(name: str, function: Callable, *arguments: Any, umask: int = 0o022, seconds: int = 20) -> Any:
    """What a function returns in a process of this user's, which may take so many seconds (0: any number).

    Raises Failed with what it raises, or where it is late.
    """
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            account = pwd.getpwnam(name)
            if ctypes.CDLL(None).unshare(NEW_MOUNTS):
                raise OSError("What is mounted here would be mounted for all.")
            subprocess.run(["bash", "-c", accounts.OPEN], env=os.environ | accounts.base(), check=True)
            os.setgroups([GROUP] if name in (TEACHER, COLLEAGUE) else [])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            os.umask(umask)
            signal.alarm(seconds)
            try:
                said = True, function(*arguments)
            except BaseException as problem:
                said = False, f"{type(problem).__name__}: {problem}"
            os.write(writing, pickle.dumps(said))
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        answer = file.read()
    os.waitpid(child, 0)
    well, said = pickle.loads(answer) if answer else (False, "no answer in time")
    if not well:
        raise Failed(said)
    return said


class Person(NamedTuple):
    """Somebody with an account and a folder of their own."""

    name: str
    folder: Path

    def call(self, line: str) -> str:
        """What a command says; it has to end well."""
        began = time.monotonic()
        environment = {
            "PATH": PATH, "PYTHONPATH": str(ROOT), "HOME": str(self.folder), "COLUMNS": "110",
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        bash = partial(subprocess.run, ["bash", "-c", line], cwd=self.folder, env=environment)
        done = act(self.name, partial(bash, capture_output=True, text=True), seconds=0)
        said = done.stdout + done.stderr
        print(f"{self.name}$ {line}    [{time.monotonic() - began:.1f} s]\n{said}")
        assert done.returncode == 0, said
        return said

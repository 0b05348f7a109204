"""Several users of one machine, with accounts that every Linux has: only root can act as these.

`Person` calls commands as one calls them in a shell; `act` calls a function of this process, in a child.
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
from pathlib import Path
from typing import Any, NamedTuple

import accounts
import pytest
from programs import PROGRAMS, ROOT

TEACHER, COLLEAGUE, STUDENTS = "daemon", "games", ("bin", "sys")
GROUP = grp.getgrnam("adm").gr_gid  # of the instructors

MARKS = [pytest.mark.slow, pytest.mark.skipif(bool(accounts.missing()), reason=accounts.missing())]

AS_USER = f"""{accounts.OPEN}
exec setpriv --reuid "$USER_ID" --regid "$GROUP_ID" --groups "$GROUPS_TOO" bash -c "$LINE"
"""
NEW_MOUNTS = 0x20000  # CLONE_NEWNS


def groups(name: str) -> list[int]:
    """What somebody is in beside a group of their own."""
    return [GROUP] if name in (TEACHER, COLLEAGUE) else []


def share(folder: Path) -> None:
    """Make a folder that is the instructors'."""
    folder.mkdir()
    os.chown(folder, pwd.getpwnam(TEACHER).pw_uid, GROUP)
    folder.chmod(0o2775)


class Failed(Exception):
    """What somebody tried came to nothing."""


def act(name: str, function: Callable, *arguments: Any, umask: int = 0o022) -> Any:
    """What a function returns in a process of this user's. Raises Failed with what it raises, or late."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            account = pwd.getpwnam(name)
            if ctypes.CDLL(None).unshare(NEW_MOUNTS):
                raise OSError("What is mounted here would be mounted for all.")
            subprocess.run(["bash", "-c", accounts.OPEN], env=os.environ | accounts.base(), check=True)
            os.setgroups(groups(name))
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            os.umask(umask)
            signal.alarm(20)
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
        account = pwd.getpwnam(self.name)
        began = time.monotonic()
        done = subprocess.run(
            ["unshare", "--mount", "bash", "-c", AS_USER],
            cwd=self.folder,
            env=accounts.base()
            | {
                "USER_ID": str(account.pw_uid),
                "GROUP_ID": str(account.pw_gid),
                "GROUPS_TOO": ",".join(map(str, groups(self.name) or [account.pw_gid])),
                "LINE": line,
                "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "HOME": str(self.folder),
                "COLUMNS": "110",
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
        )
        said = done.stdout + done.stderr
        print(f"{self.name}$ {line}    [{time.monotonic() - began:.1f} s]\n{said}")
        assert done.returncode == 0, said
        return said

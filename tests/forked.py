"""Processes that are there at once: forks of a server that has imported what they need.

Tests of the coordinator fork processes that have `faked`. The kernels in which nbval executes the notebooks
are forked too: importing what a lesson needs would take longer than most lessons do. `make run`, the tests of
the runner and those of `nbgrader autograde` start kernels as students do.
"""

import gc
import multiprocessing
import os
import random
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import local_provisioner

TESTS = Path(__file__).parent


def start_server(*modules: str) -> None:
    """Start multiprocessing's server of forks, once per process, with what lessons need and these modules."""
    from courseware.grading.kernel.zygote import IMPORTED  # needs Linux, as forks do

    multiprocessing.set_forkserver_preload(["__main__", *modules, *IMPORTED])
    places = [str(TESTS), str(TESTS.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, places))):
        forkserver.ensure_running()


class Kernels(KernelManager):
    """Starts kernels as forks."""

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        with mock.patch.object(local_provisioner, "launch_kernel", _forked):
            await super()._async_launch_kernel(kernel_cmd, **kw)


class _Process:
    """A fork, with what Jupyter asks of a process that `subprocess` has started."""

    stdin = stdout = stderr = None

    def __init__(self, arguments: list[str], folder: str, environment: dict[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        ready, leads = context.Pipe(duplex=False)
        self.fork = context.Process(target=_become_kernel, args=(leads, arguments, folder, environment))
        self.fork.start()
        ready.recv()  # Jupyter signals to groups: not before it has one of its own
        self.pid = self.fork.pid
        self.terminate, self.kill = self.fork.terminate, self.fork.kill

    def poll(self) -> int | None:
        return self.fork.exitcode

    def wait(self, timeout: float | None = None) -> int | None:
        self.fork.join(timeout)
        if self.fork.exitcode is None:
            raise subprocess.TimeoutExpired("a kernel", timeout or 0)
        return self.fork.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


def _forked(command: list[str], cwd: str, env: dict[str, str], **_: Any) -> _Process:
    start_server()
    return _Process(command[command.index("-f") :], str(cwd), dict(env))


def _become_kernel(leads: Any, arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    from ipykernel.kernelapp import IPKernelApp

    gc.freeze()  # what came with the fork is no garbage
    os.setpgrp()
    leads.send(True)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = ["ipykernel", *arguments], ""
    random.seed()
    np.random.seed()
    torch.seed()
    IPKernelApp.launch_instance(arguments)

"""Messages from kernels that nobody trusts: bounded in sum, and well formed.

The student's code shares its process with the kernel and can send what it likes on every channel, signed as
the kernel's own. `Client` drops what is no message, counts all that comes, also what nobody asked for, and
ends a kernel that sends more than its share. It waits as long as it is told and, so that nobody loses points
to a busy machine, for as long again as kernel and grader waited for a processor.
"""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Any

import zmq.asyncio
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from traitlets import Type

from courseware.grading.reasons import Reason

PARTS = {"header": dict, "parent_header": dict, "metadata": dict, "content": dict, "msg_type": str}
CONTENT = 4  # before it come signature, header, header of the request, metadata
LARGEST_HEADER = 2**16  # bytes of each of these; Jupyter's own have some hundred
OVERHEAD = 1000  # bytes that a message counts for beside its own: reading one takes a fifth of a millisecond
LONGEST = 10  # times a limit, however busy the machine: code can make itself wait for processes of its own


def patience(seconds: float, waited: float) -> float:
    """What is added to a limit of so many seconds of which so many were spent waiting for a processor."""
    return min(max(waited, 0.0), (LONGEST - 1) * seconds)


class Channel(AsyncZMQSocketChannel):
    """Gives well-formed messages only; other tasks run after each, however many are waiting."""

    accepts: Callable[[int], bool]  # whether a message of so many bytes is still to be looked at
    waited: Callable[[], float]  # seconds for which kernel and grader had to wait for a processor

    async def get_msg(self, timeout: float | None = None) -> dict[str, Any]:  # type: ignore[override]
        """The next message. Raises queue.Empty where none comes within `timeout` seconds of the kernel's."""
        began, waited, left = time.monotonic(), self.waited(), timeout
        while True:
            message = {}
            with suppress(Empty):
                message = await super().get_msg(left)
            await asyncio.sleep(0)
            if message:
                return message
            if timeout is not None:
                left = timeout + patience(timeout, self.waited() - waited) - (time.monotonic() - began)
                if left <= 0:
                    raise Empty

    async def _recv(self, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """A message, {} for what is none."""
        assert self.socket is not None
        parts = await self.socket.recv_multipart(**kwargs)
        if not self.accepts(OVERHEAD + sum(map(len, parts))):
            return {}
        with suppress(Exception):  # neither signed, nor JSON, nor of as many parts
            told = self.session.feed_identities(parts)[1]
            if max(map(len, told[:CONTENT])) <= LARGEST_HEADER:
                message = self.session.deserialize(told)
                if all(isinstance(message[part], kind) for part, kind in PARTS.items()):
                    return message
        return {}


class Client(AsyncKernelClient):
    """A client of a kernel whose manager says in `output_bytes` how much it may send."""

    shell_channel_class = iopub_channel_class = control_channel_class = Type(Channel)  # type: ignore[assignment]
    parent: Any
    received = 0

    def _context_default(self) -> zmq.asyncio.Context:
        context = super()._context_default()
        context.setsockopt(zmq.RECONNECT_IVL, 10)  # milliseconds: the kernel comes soon
        context.setsockopt(zmq.MAXMSGSIZE, 16 * self.parent.output_bytes)
        return context

    def start_channels(self, *args: Any, **kwargs: Any) -> None:
        """As ever; what comes is counted."""
        for channel in (self.shell_channel, self.iopub_channel, self.control_channel):
            channel.accepts = self._accepts
            channel.waited = lambda: getattr(self.parent.provisioner, "waited", 0.0)
        super().start_channels(*args, **kwargs)

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Until the kernel answers and is heard; before any code of the student's runs, the folder of the
        sockets is closed. Raises RuntimeError. Jupyter's own waits a fifth of a second more, in case that an
        earlier client left messages: here is no earlier client."""
        ends = time.monotonic() + (math.inf if timeout is None else timeout)
        while not await self._answers():
            if not await self.is_alive():
                raise RuntimeError("The kernel ended before it answered.")
            if time.monotonic() > ends:
                raise RuntimeError(f"The kernel did not answer within {timeout} seconds.")
        getattr(self.parent.provisioner, "close_shared", int)()

    async def _answers(self) -> bool:
        """Whether the kernel answers a question, and says on the channel for outputs that it has done so."""
        question, about, state = self.kernel_info(), "", ""
        with suppress(Empty):
            await self.shell_channel.get_msg(timeout=1)
            while (about, state) != (question, "idle"):
                message = await self.iopub_channel.get_msg(timeout=0.2)
                about = message["parent_header"].get("msg_id")
                state = message["content"].get("execution_state")
            return True
        return False

    def _accepts(self, count: int) -> bool:
        self.received += count
        if self.received <= self.parent.output_bytes:
            return True
        provisioner = self.parent.provisioner
        provisioner.excess = getattr(provisioner, "excess", None) or Reason.OUTPUT
        if provisioner.process is not None:
            provisioner.process.kill()
        return False

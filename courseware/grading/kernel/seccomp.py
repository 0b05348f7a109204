"""System calls that no notebook needs and that lead around the sandbox's limits.

Files in memory without a name, extended attributes, queues of messages and System V's shared memory and
semaphores belong to no process that could be measured; in a namespace of users of its own code could mount
more memory; other calls are known for holes in the kernel, and two families of sockets know no namespaces. A
filter (seccomp) answers all of them with an error.
"""

import ctypes
import errno
import os
import platform
import struct
from typing import Any

# linux/audit.h, and the calls' numbers on x86_64 and aarch64
MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
REFUSED = {
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "ptrace": (101, 117),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "memfd_secret": (447, 447),
}
CLONE, CLONE3, SOCKET = (56, 220), (435, 435), (41, 198)
NEW_USERS = 0x10000000  # a flag of clone; clone3 hides its flags, and C libraries then fall back on clone
FAMILIES = (38, 40)  # AF_ALG, AF_VSOCK
X32 = 0x40000000  # another set of numbers on x86_64

# linux/bpf_common.h, linux/seccomp.h, linux/prctl.h
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2

c = ctypes.CDLL(None, use_errno=True)


def compiled() -> bytes:
    """The filter for this machine as Linux reads it, b"" for machines that are not known.

    Each step is what to do, the steps to skip if so and if not, and with what.
    """
    if platform.machine() not in MACHINES:
        return b""
    architecture, which = MACHINES[platform.machine()]
    denied = (RETURN, 0, 0, ERROR | errno.EPERM)
    steps = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 1, 0, architecture), denied, (LOAD, 0, 0, NUMBER)]
    steps += [(AT_LEAST, 0, 1, X32), denied]
    for numbers in REFUSED.values():
        steps += [(EQUAL, 0, 1, numbers[which]), denied]
    steps += [(EQUAL, 0, 1, CLONE3[which]), (RETURN, 0, 0, ERROR | errno.ENOSYS)]
    steps += [(EQUAL, 0, 3, CLONE[which]), (LOAD, 0, 0, FIRST_ARGUMENT), (ANY_BIT, 0, 6, NEW_USERS), denied]
    steps += [(EQUAL, 0, 4, SOCKET[which]), (LOAD, 0, 0, FIRST_ARGUMENT)]
    steps += [(EQUAL, 1, 0, FAMILIES[0]), (EQUAL, 0, 1, FAMILIES[1]), denied]
    return b"".join(struct.pack("HBBI", *step) for step in [*steps, (RETURN, 0, 0, ALLOW)])


def apply() -> None:
    """Filter this process and all that it starts, for good; nothing on machines that are not known."""
    code = compiled()
    if not code:
        return
    held = ctypes.create_string_buffer(code, len(code))
    whole = ctypes.create_string_buffer(struct.pack("HP", len(code) // 8, ctypes.addressof(held)))
    call("prctl", NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    call("prctl", SET_SECCOMP, FILTER, ctypes.byref(whole), 0, 0)


def call(function: str, *arguments: Any) -> None:
    """Call a function of the C library. Raises OSError where it fails."""
    if getattr(c, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")

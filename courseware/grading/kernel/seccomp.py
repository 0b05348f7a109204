"""The system calls that code in the sandbox may make.

A list of what is allowed, so that a call nobody thought of is refused: what Python, NumPy, PyTorch,
matplotlib and Jupyter make in all notebooks (`strace -f -c` around their kernels), the older and newer
forms of these calls that other C libraries use, and what ordinary programs need. Not in it is what would lead
around the limits, since it belongs to no process that could be measured (files in memory without a name,
extended attributes, queues, System V's shared memory and semaphores), what makes namespaces and mounts, what
looks into other processes, and what is known for holes in Linux. Other calls are answered as by a kernel that
does not have them, so libraries fall back on others. libseccomp knows this machine's numbers of the calls.
"""

import ctypes
import ctypes.util
import errno
import functools
import os
import struct
import sys
import tempfile
from typing import Any

_CALLS = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek sendfile splice tee
open openat openat2 creat close close_range dup dup2 dup3 ioctl flock
stat lstat fstat newfstatat statx statfs fstatfs
access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd chdir fchdir umask
mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat
chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat
truncate ftruncate fallocate fadvise64 readahead copy_file_range sync_file_range
utime utimes utimensat futimesat fsync fdatasync msync
pipe pipe2 eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime signalfd signalfd4
inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait
epoll_wait_old epoll_pwait epoll_pwait2
socketpair bind connect listen accept accept4 getsockname getpeername setsockopt getsockopt shutdown
sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg
brk mmap munmap mremap mprotect madvise mincore mlock munlock membarrier
mbind set_mempolicy get_mempolicy get_mempolicy2 arch_prctl pkey_alloc pkey_free pkey_mprotect
fork vfork execve execveat exit exit_group wait4 waitid kill tkill tgkill pidfd_open
getpid getppid gettid getpgid getpgrp setpgid getsid setsid set_tid_address
futex futex_waitv get_robust_list set_robust_list rseq restart_syscall
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait rt_sigqueueinfo
sigaltstack pause alarm
getuid geteuid getgid getegid getresuid getresgid getgroups capget getrlimit setrlimit prlimit64
setuid setgid setreuid setregid setresuid setresgid setgroups capset prctl
sched_yield sched_getaffinity sched_setaffinity sched_getscheduler sched_setscheduler sched_getparam
sched_get_priority_max sched_get_priority_min getcpu getpriority setpriority ioprio_get
nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times getitimer setitimer
timer_create timer_settime timer_gettime timer_getoverrun timer_delete
getrandom getrusage uname sysinfo
"""
ALLOWED = _CALLS.split()
FAMILIES = (1, 2, 16)  # sockets of this machine, of the internet (ipykernel opens one), of its networks' list
# What fcntl may do: no locks, which are memory of nobody's and without number, and no larger pipes.
FILES = (0, 1, 2, 3, 4, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC
NEW_USERS = 0x10000000  # a flag of clone; clone3 hides its flags, and C libraries fall back on clone

# seccomp.h of libseccomp
ALLOW, MISSING = 0x7FFF0000, 0x00050000 | errno.ENOSYS
EQUAL, EQUAL_UNDER = 4, 7
# linux/prctl.h
NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2

c: Any = ctypes.CDLL(None, use_errno=True) if sys.platform.startswith("linux") else None


class Argument(ctypes.Structure):
    """A condition on one argument of a call."""

    _fields_ = (
        ("place", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@functools.cache
def compiled() -> bytes:
    """The filter for this machine as Linux reads it; b"" where libseccomp is missing."""
    name = ctypes.util.find_library("seccomp") if sys.platform.startswith("linux") else None
    if not name:
        return b""
    library = ctypes.CDLL(name)
    library.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(library.seccomp_init(MISSING))

    def allow(call: str, *conditions: Argument) -> None:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # this machine has it
            array = (Argument * len(conditions))(*conditions)
            library.seccomp_rule_add_array(rules, ALLOW, number, len(conditions), array)

    for call in ALLOWED:
        allow(call)
    allow("clone", Argument(0, EQUAL_UNDER, NEW_USERS, 0))
    for family in FAMILIES:
        allow("socket", Argument(0, EQUAL, family))
    for what in FILES:
        allow("fcntl", Argument(1, EQUAL, what))
    with tempfile.TemporaryFile() as file:
        library.seccomp_export_bpf(rules, file.fileno())
        library.seccomp_release(rules)
        file.seek(0)
        return file.read()


def apply() -> None:
    """Filter this process and all that it starts, for good; nothing where there is no filter."""
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

"""What a child process may still do once it meets somebody's file: compute, and answer. Everything else is refused.

Linux only, and never without it: a machine that cannot confine decodes nothing (`Unconfined`). This is an allowlist of
the kernel's calls; the belts beside it are in `belts.py`. The list is short because whatever a decoder needs was opened
and imported before: no call on it names a file, a process or an address. A call that nobody thought of, or that a newer
kernel adds, is refused like the rest.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
PROT_EXEC = 4
NEW_THREAD = 0x003D0F00
"""The flags of a thread as glibc asks for one. One bit more or less could mean a process or a namespace."""

ANSWER = 3
"""The one file that is open for the answer; 0, 1 and 2 lead nowhere."""

ALLOWED = (
    # Memory of its own.
    "munmap", "mremap", "brk", "madvise",
    # The answer, read and closed; opening is not here.
    "read", "pread64", "lseek", "close",
    # Threads of its own, and waiting for them.
    "futex", "set_robust_list", "rseq", "sched_yield", "getpid", "gettid", "exit", "exit_group",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
    # Time and chance.
    "nanosleep", "clock_nanosleep", "gettimeofday", "getrandom", "getcpu",
)  # fmt: skip
WRITES = ("write", "pwrite64", "writev", "ftruncate")
"""Allowed on the answer and on what leads nowhere."""
CLOCKS = 11
"""The clocks of the machine and of the process itself have numbers up to this; higher ones are those of others."""


class Unconfined(RuntimeError):
    """This machine cannot refuse system calls, so nothing is decoded on it."""


def library() -> Any:
    """Raises `Unconfined`."""
    try:
        # It looks for libseccomp when it is imported, and raises where there is none.
        import pyseccomp
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise Unconfined(
            "The library libseccomp is missing, and without it no photo and no workbook is opened. Install it:"
            " apt-get install libseccomp2"
        ) from error
    return pyseccomp


def allowlist() -> bytes:
    """The compiled filter, as the kernel takes it. Raises `Unconfined`."""
    seccomp = library()
    only, masked = seccomp.EQ, seccomp.MASKED_EQ
    filter_: Any = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    # The 32-bit names of the same calls: no library of ours uses them.
    filter_.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    for name in ALLOWED:
        filter_.add_rule(seccomp.ALLOW, name)
    for name in WRITES:
        filter_.add_rule(seccomp.ALLOW, name, seccomp.Arg(0, seccomp.LE, ANSWER))
    for name in ("mmap", "mprotect"):
        # Memory that can be written never becomes code.
        filter_.add_rule(seccomp.ALLOW, name, seccomp.Arg(2, masked, PROT_EXEC, 0))
    filter_.add_rule(seccomp.ALLOW, "clone", seccomp.Arg(0, only, NEW_THREAD))
    # The flags of clone3 lie in memory that a filter cannot read; told that it is absent, libc uses clone instead.
    filter_.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    filter_.add_rule(seccomp.ALLOW, "sched_getaffinity", seccomp.Arg(0, only, 0))
    for name in ("clock_gettime", "clock_getres"):
        filter_.add_rule(seccomp.ALLOW, name, seccomp.Arg(0, seccomp.LE, CLOCKS))
    return compiled(filter_)


def compiled(filter_: Any) -> bytes:
    held = os.memfd_create("filter")
    with os.fdopen(held, "w+b") as file:
        filter_.export_bpf(file)
        file.seek(0)
        return file.read()


def confine(libc: ctypes.CDLL, compiled: bytes) -> None:
    """Puts the filter on the thread that calls and on what it starts, for good. Raises `Unconfined`: then nothing may be
    decoded."""

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    held = ctypes.create_string_buffer(compiled, len(compiled))
    program = Program(len(compiled) // 8, ctypes.addressof(held))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise Unconfined(
            "This machine's kernel refuses filters on system calls (seccomp), and without one no photo and no workbook"
            " is opened. Check the container's security settings."
        )


def reached(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """For `likeness check`: a job that does nothing, so that its end says that the child was confined."""
    return about, data

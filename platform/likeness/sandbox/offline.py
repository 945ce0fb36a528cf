"""Work that may reach no network, in a process that otherwise may: a thread of its own behind a filter on system calls.

For what meets open faces and trains on them. It, and the threads and programs that it starts, open no connection and send
nothing to an address; what it has to fetch or store is done for it by a thread outside (`OnlineThreads`), which sees what
is sealed and nothing else.

This holds back whatever tries to reach somewhere, a library that reports home or fetches something, say. It is no cage for
code that was written to get out: threads of one process share their memory and their open connections. That is held by
the network policy around the machine.
"""

from __future__ import annotations

import ctypes
import errno
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from likeness.sandbox.confinement import compiled, confine, library

T = TypeVar("T")
P = ParamSpec("P")

REFUSED = (
    "connect", "sendmsg", "sendmmsg",
    # Ways around a filter: calls made by the kernel in one's place, and the hands of another process.
    "io_uring_setup", "io_uring_enter", "ptrace", "process_vm_writev", "pidfd_getfd",
    # The memory of another process, where another company's faces may be.
    "process_vm_readv", "process_madvise", "kcmp", "perf_event_open", "userfaultfd",
    # Another view of the machine than the container's own, and a kernel that runs what it is handed.
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_by_handle_at", "bpf", "keyctl", "add_key",
    "request_key", "init_module", "finit_module", "kexec_load",
)  # fmt: skip
AT_ONCE = 4
"""Requests of one order: photos are read one after the other, and written beside a checkpoint."""


@cache
def denylist() -> bytes:
    """The compiled filter. Raises `Unconfined` where there is none on this machine."""
    seccomp = library()
    filter_: Any = seccomp.SyscallFilter(seccomp.ALLOW)
    filter_.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    refused = seccomp.ERRNO(errno.EACCES)
    for name in REFUSED:
        filter_.add_rule(refused, name)
    # Of this machine alone, and then without `connect`: pairs of sockets between a program and what it starts.
    filter_.add_rule(refused, "socket", seccomp.Arg(0, seccomp.NE, int(socket.AF_UNIX)))
    filter_.add_rule(refused, "sendto", seccomp.Arg(4, seccomp.NE, 0))
    return compiled(filter_)


def offline(act: Callable[[], T]) -> T:
    """What `act` returns or raises. Raises `Unconfined`, and then nothing was done."""
    filter_ = denylist()
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            confine(ctypes.CDLL(None, use_errno=True), filter_)
            returned.append(act())
        except BaseException as error:
            raised.append(error)

    thread = Thread(target=run, name="offline")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return returned[0]


class OnlineThreads:
    """Threads that may reach a network, made by one that does. What a filtered thread starts would be filtered too."""

    def __init__(self) -> None:
        self._door, self._threads = ThreadPoolExecutor(1, "door"), ThreadPoolExecutor(AT_ONCE, "outside")
        self._door.submit(int).result()

    def do(self, act: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        return self._door.submit(self._threads.submit, act, *args, **named).result().result()

    def close(self) -> None:
        self._door.shutdown(wait=False)
        self._threads.shutdown(wait=False)

"""What is put around a whole process that opens faces and has to go on talking to its cluster, beside `offline`.

An allowlist of system calls would end it: drivers of GPUs, compilers and Ray use most of them. What can be had without one
is said here, so that an operator learns which belts hold where faces are opened.
"""

from __future__ import annotations

import ctypes
import logging
import resource
from pathlib import Path

from likeness.sandbox.belts import PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS

log = logging.getLogger(__name__)

PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS = 3, 39
OFFLINE = "no network for what meets open faces"
MEMORY = "memory that no other process of this user reads"
DUMPS = "no memory on a disk after a crash"
PRIVILEGES = "no program that gives more rights"
CAPABILITIES = "no capabilities"
FILTER = "the container's own filter on system calls"
AROUND = (OFFLINE, MEMORY, DUMPS, PRIVILEGES, CAPABILITIES, FILTER)


def close_in() -> list[str]:
    """Puts on what a process can put on by itself, and says what holds. `offline` is the work's own: it raises or holds."""
    libc = ctypes.CDLL(None, use_errno=True)
    # Another company's studio may run under the same user on this node, and a debugger asks for nothing more than that.
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    lines = Path("/proc/thread-self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    holds = {
        OFFLINE: True,
        MEMORY: libc.prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0,
        DUMPS: resource.getrlimit(resource.RLIMIT_CORE) == (0, 0),
        PRIVILEGES: libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
        CAPABILITIES: int(status["CapEff"], 16) == 0,
        FILTER: status["Seccomp"] == "2",
    }
    return [belt for belt in AROUND if holds[belt]]


def say(held: list[str]) -> None:
    """Which belts a studio's machine does not give is for its log."""
    missing = [belt for belt in AROUND if belt not in held]
    if missing:
        log.warning("the system refuses some belts around a studio: %s", ", ".join(missing))

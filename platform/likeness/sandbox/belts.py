"""Further belts around a child that opens somebody's file, beside the allowlist of system calls.

The allowlist alone has to hold. These are for the day on which it, or the kernel behind it, has a hole: then there is no
network, no other process, no shared memory, no file and no capability to reach. Kernels and containers refuse some of
them; what is refused is said, and nothing depends on it.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Callable

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
NAMESPACES = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNS
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF = 444, 446
"""These have the same numbers on every kind of processor."""
NOBODY, STRANGERS = 65534, 0x70000000
"""Where numbers of users begin that no system gives to anybody: as nobody, a decoder could be stopped by every service that
runs as nobody too."""

NETWORK, IPC, PROCESSES, FILES = "no network", "no shared memory", "no other process", "an empty root"
USER, CAPABILITIES, LANDLOCK = "a user who owns nothing", "no capabilities", "Landlock"
BELTS = (NETWORK, IPC, PROCESSES, FILES, USER, CAPABILITIES, LANDLOCK)


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


def put_on(libc: ctypes.CDLL, alone: Callable[[], None]) -> list[str]:
    """Puts on what the kernel allows, and says which belts hold.

    `alone` is called where processes are apart: it has to go on in a child, which is the first process there.
    """
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # A fork may not look into the memory of its parent.
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    held: list[str] = []
    root = os.geteuid() == 0
    # As root no namespace of users is needed, and in one root would still own root's files outside.
    apart = root and libc.unshare(NAMESPACES) == 0
    if root and not apart:
        held += _become_nobody()
    if not apart:
        apart = libc.unshare(CLONE_NEWUSER | NAMESPACES) == 0
    if apart:
        alone()
        held += [NETWORK, IPC, PROCESSES]
    held += _empty_root()
    if root and USER not in held:
        held += _become_nobody()
    held += _without_capabilities(libc)
    held += _landlock(libc)
    return [belt for belt in BELTS if belt in held]


def _empty_root() -> list[str]:
    """A folder that is gone already: nothing is in it, and nothing can be laid into it."""
    try:
        made = tempfile.mkdtemp(prefix="likeness-empty-")
        folder = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.rmdir(made)
        os.fchdir(folder)
        os.chroot(".")
        os.close(folder)
    except OSError:
        return []
    return [FILES]


def _become_nobody() -> list[str]:
    stranger = STRANGERS + int.from_bytes(os.urandom(3))
    for number in (stranger, NOBODY):  # A container may know no numbers beyond those of its own users.
        try:
            os.setgroups([])
            os.setresgid(number, number, number)
            os.setresuid(number, number, number)
        except OSError:
            continue
        return [USER]
    return []


def _without_capabilities(libc: ctypes.CDLL) -> list[str]:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    return [CAPABILITIES] if libc.capset(header, (ctypes.c_uint32 * 6)()) == 0 else []


def _landlock(libc: ctypes.CDLL) -> list[str]:
    """No file may be opened, made or changed, no port bound or called, no process outside signalled: no rule allows any."""
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return []
    files = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
    """How many rights on files this version knows."""
    ruleset = _Ruleset((1 << files) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    made = libc.syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), size, 0)
    if made < 0:
        return []
    try:
        return [LANDLOCK] if libc.syscall(LANDLOCK_RESTRICT_SELF, made, 0) == 0 else []
    finally:
        os.close(made)

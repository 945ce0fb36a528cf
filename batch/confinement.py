"""What a child process may not do: reach a network, open files, start programs, touch other processes.

Linux only, through libc. Two belts: a namespace without network, which some containers forbid, and a filter on the
kernel's calls, which nearly all of them allow.
"""

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

CLONE_THREAD, CLONE_NEWUSER, CLONE_NEWNET = 0x00010000, 0x10000000, 0x40000000
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 4, 22, 38, 2


def leave_network(libc: ctypes.CDLL) -> bool:
    """Moves to a namespace without network; containers may forbid that, and then the call filter alone holds."""
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # A fork may not look into the memory of its parent.
    return bool(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)


@dataclass(frozen=True)
class Machine:
    """The kernel's numbers on one kind of processor; `forbidden` are the calls that no decoder needs."""

    architecture: int
    clone: int
    clone3: int
    # In order: opening files, sockets, programs, other processes, mounts, tracing, namespaces, kernel programs.
    forbidden: tuple[int, ...]


MACHINES = {
    "x86_64": Machine(
        0xC000003E, 56, 435,
        (2, 85, 257, 437, 41, 42, 49, 50, 53, 57, 58, 59, 322, 62, 129, 297, 165, 101, 310, 311, 272, 308, 321, 425),
    ),
    "aarch64": Machine(
        0xC00000B7, 220, 435,
        (56, 437, 198, 199, 200, 201, 203, 221, 281, 129, 138, 240, 40, 117, 270, 271, 97, 268, 280, 425),
    ),
}  # fmt: skip


def call_filter(machine: Machine) -> bytes:
    """A seccomp program in classic BPF: forbidden calls and new processes answer "not permitted", new threads pass."""
    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    number, architecture, first_argument = 0, 4, 16  # Offsets in struct seccomp_data.
    steps: list[tuple[int, int, str, str]] = [
        (load, architecture, "", ""),
        (equal, machine.architecture, "", "refuse"),
        (load, number, "", ""),
        (at_least, 0x40000000, "refuse", ""),  # The x32 names of the same calls.
        *((equal, call, "refuse", "") for call in machine.forbidden),
        # The flags of clone3 lie in memory that a filter cannot read; told that it is absent, libc uses clone instead.
        (equal, machine.clone3, "absent", ""),
        (equal, machine.clone, "", "allow"),
        (load, first_argument, "", ""),
        (any_bit, CLONE_THREAD, "allow", "refuse"),
    ]
    ends = {"allow": 0x7FFF0000, "refuse": 0x00050000 | errno.EPERM, "absent": 0x00050000 | errno.ENOSYS}
    place = {name: len(steps) + at for at, name in enumerate(ends)}

    def jump(at: int, name: str) -> int:
        return place[name] - at - 1 if name else 0

    code = [struct.pack("=HBBI", op, jump(at, yes), jump(at, no), k) for at, (op, k, yes, no) in enumerate(steps)]
    code += [struct.pack("=HBBI", answer, 0, 0, value) for value in ends.values()]
    return b"".join(code)


def forbid_calls(libc: ctypes.CDLL) -> bool:
    """Puts the filter on this process for good; False on a kernel or processor that has none."""
    machine = MACHINES.get(os.uname().machine)
    if machine is None:
        return False
    code = call_filter(machine)
    held = ctypes.create_string_buffer(code)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    program = Program(len(code) // 8, ctypes.addressof(held))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)

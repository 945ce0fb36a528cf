"""Ports of this machine for servers that have to be told theirs."""

from __future__ import annotations

import os
import socket

FIRST, LAST = 20_000, 31_999
"""Below those that the system gives to whoever asks for any, and above those that Ray gives to its workers."""
_held: list[socket.socket] = []
_next = os.getpid() * 16


def free_port(count: int = 1) -> int:
    """The first of so many in a row that are this process's until it ends, though nobody listens there yet.

    A port that the system chose is anybody's again until its server listens, and every connection takes one of those, too.
    From the ports below only who names one gets one, and those of the tests' processes that chose one tell each other so.
    """
    global _next
    for _ in range(FIRST, LAST):
        first = FIRST + _next % (LAST - FIRST - count)
        _next += count
        held = [_claimed(port) for port in range(first, first + count)]
        if None not in held:
            _held.extend(one for one in held if one is not None)
            return first
        for one in held:
            if one is not None:
                one.close()
    raise RuntimeError(f"There are no {count} free ports in a row.")


def _claimed(port: int) -> socket.socket | None:
    """A name that one process alone can hold, and that goes with it."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0likeness-port-{port}")
        with socket.socket() as probe:
            probe.bind(("", port))
    except OSError:
        name.close()
        return None
    return name

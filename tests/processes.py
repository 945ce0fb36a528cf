"""Processes of this machine as tests look at them: any may end while it is looked at."""

from __future__ import annotations

from contextlib import suppress

import psutil


def below() -> list[tuple[psutil.Process, str]]:
    """What this process started, and what that started, each with its command line."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found.append((one, " ".join(one.cmdline())))
    return found


def ended(pid: int) -> bool:
    """Also when nobody has asked yet how it ended."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def worked() -> float:
    """Seconds of a processor that this process and all below it have had: its database and its children are among them,
    and what ended was counted by whoever waited for its end."""
    total = 0.0
    for one in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += sum(one.cpu_times()[:4])
    return total

"""Work that may reach no network is tried from inside, while the process around it reaches one."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from likeness.sandbox.offline import OnlineThreads, offline


@pytest.fixture
def there() -> Iterator[tuple[str, int]]:
    """The address of somebody who listens on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def reaches(there: tuple[str, int]) -> bool:
    with socket.create_connection(there, timeout=5):
        return True


def sends(there: tuple[str, int]) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        return made.sendto(b"a face", there)


def program(there: tuple[str, int]) -> int:
    """One that was started, which would reach out by itself."""
    code = f"import socket; socket.create_connection({there!r}, timeout=5)"
    return subprocess.run([sys.executable, "-S", "-c", code], stderr=subprocess.DEVNULL, check=False).returncode


def test_nothing_is_reached_from_inside_by_any_of_its_ways(there: tuple[str, int]) -> None:
    assert reaches(there)
    assert program(there) == 0
    ways: list[Callable[[], object]] = [
        lambda: reaches(there),
        lambda: sends(there),
        lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM),
        lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        lambda: socket.socket(socket.AF_UNIX).connect("/run/nobody.sock"),
        lambda: ThreadPoolExecutor(1).submit(reaches, there).result(),
    ]
    for way in ways:
        with pytest.raises(OSError) as refused:  # noqa: PT011
            offline(way)
        assert refused.value.errno == errno.EACCES
    assert offline(lambda: program(there)) != 0
    mine, yours = socket.socketpair()
    with mine, yours:
        # A connection that is open already is the process's own, and pipes between its parts go on.
        assert offline(lambda: mine.send(b"pipe")) == 4
    assert reaches(there), "the process itself is as it was"


def test_what_is_sealed_goes_through_threads_outside(there: tuple[str, int]) -> None:
    outside = OnlineThreads()
    try:
        assert offline(lambda: outside.do(reaches, there))
        assert offline(lambda: ThreadPoolExecutor(1).submit(outside.do, reaches, there).result())
        with pytest.raises(ZeroDivisionError):
            offline(lambda: outside.do(lambda: 1 // 0))
    finally:
        outside.close()
    assert offline(threading.get_ident) != threading.get_ident()
    with pytest.raises(SystemExit):
        offline(sys.exit)

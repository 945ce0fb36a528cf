"""How often an address may guess at links: 20 wrong ones a minute, counted in memory and bounded."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from litestar import Request

from likeness.errors import Gone, NotFound, TooMany

MOST = 20
WITHIN_SECONDS = 60.0
ADDRESSES = 10_000
"""The oldest address is forgotten beyond this many, so that a flood from many addresses fills no memory."""


class TooManyTries(TooMany):
    """Somebody at this address tried many links that lead nowhere."""


class Tries:
    """Wrong tries by address. Only failures count, so a whole office behind one address can open its links."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, address: str, now: float) -> None:
        """Raises `TooManyTries`."""
        with self._lock:
            times = self._wrong.get(address)
            while times and times[0] <= now - WITHIN_SECONDS:
                times.popleft()
            if times and len(times) >= MOST:
                raise TooManyTries("Too many links that lead nowhere. Please wait a minute.")

    def wrong(self, address: str, now: float) -> None:
        with self._lock:
            times = self._wrong.setdefault(address, deque(maxlen=MOST))
            times.append(now)
            self._wrong.move_to_end(address)
            while len(self._wrong) > ADDRESSES:
                self._wrong.popitem(last=False)


_creation = threading.Lock()


@contextmanager
def counted(request: Request[Any, Any, Any]) -> Iterator[None]:
    """Stands around the look-up of a token. Raises `TooManyTries`; a token that leads nowhere counts against it."""
    with _creation:
        tries: Tries = request.app.state.setdefault("tries", Tries())
    address = request.client.host if request.client else ""
    tries.check(address, time.monotonic())
    try:
        yield
    except (Gone, NotFound):
        tries.wrong(address, time.monotonic())
        raise

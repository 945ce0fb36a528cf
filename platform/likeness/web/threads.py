"""Who works when: a few threads for each kind of work, and turns among companies, so that nobody's rush is others' wait.

Everything that blocks is run in one of the `Room`s below, which a route names in its `opt`. In each room a company has
only so many threads at once, and whose turn is next goes round the companies that wait, however much each of them brought.
Whoever waits behind too much of their own company is told to come again, and nothing was done.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any, ParamSpec, TypeVar

from litestar.concurrency import set_asyncio_executor

from likeness.ground.errors import TooMany, Unavailable

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Room:
    """`at_once` threads, of which one company has `of_a_company`; so many calls may wait for a turn."""

    name: str
    at_once: int
    of_a_company: int
    waiting_of_a_person: int
    waiting_of_a_company: int
    waiting: int = 2_000


PROBES = Room("probes", 2, 2, 200, 200)
"""Whether we are alive and ready: never behind anything else."""
PAGES = Room("pages", 8, 4, 64, 400)
"""What reads and writes some rows. Four threads of a company fill a process of Python as eight would."""
READINGS = Room("readings", 2, 1, 16, 32)
"""Workbooks being read: seconds each, most of them in a child process."""
PHOTOS = Room("photos", 4, 2, 32, 200)
"""Photos being sealed and kept."""
PICTURES = Room("pictures", 4, 2, 128, 400)
"""Pictures being opened, cut, marked and signed to be shown. A page asks for all of its own at once."""
ROOMS = {room.name: room for room in (PROBES, PAGES, READINGS, PHOTOS, PICTURES)}
SHOWN = {"room": PICTURES.name}
"""For the `opt` of a route that answers with a picture of somebody."""


class TooMuchWaiting(TooMany):
    """The company's or the person's own calls fill their share of what may wait."""

    title = "Too much at once"


class Busy(Unavailable):
    title = "Very busy right now"


@dataclass(frozen=True)
class Place:
    """Where the calls of one request are worked. `company` and `person` only share out turns; they allow nothing."""

    room: Room = PAGES
    company: Hashable = None
    person: Hashable = None


_place: ContextVar[Place] = ContextVar("likeness_place")
ANYWHERE = Place()
"""Of what no request asked for."""


@dataclass
class _Queue:
    """One company's calls in one room."""

    calls: deque[tuple[Place, Future[Any], Callable[[], Any]]] = field(default_factory=deque)
    running: int = 0


class _Shared:
    """The threads of one room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(room.at_once, thread_name_prefix=room.name)
        self._queues: dict[Hashable, _Queue] = {}
        """In the order of their turns: who has had one goes to the end."""
        self._persons: Counter[Hashable] = Counter()
        self._running = self._waiting = 0

    def submit(self, place: Place, call: Callable[[], T]) -> Future[T]:
        """Raises `TooMuchWaiting` and `Busy`."""
        future: Future[T] = Future()
        with self._lock:
            queue = self._queues.get(place.company) or _Queue()
            self._check_room(place, queue)
            self._queues.setdefault(place.company, queue).calls.append((place, future, call))
            self._persons[place.person] += 1
            self._waiting += 1
            self._begin()
        return future

    def _check_room(self, place: Place, queue: _Queue) -> None:
        if self._waiting >= self._room.waiting:
            raise Busy("Very much is being done at the moment. Nothing was changed. Please try again in a minute.")
        own = place.person is not None and self._persons[place.person] >= self._room.waiting_of_a_person
        if own or (place.company is not None and len(queue.calls) >= self._room.waiting_of_a_company):
            raise TooMuchWaiting(
                "Several requests of this kind are waiting already. Nothing was changed. Please try again in a minute."
            )

    def _begin(self) -> None:
        """Starts what has a turn; the lock is held."""
        while self._running < self._room.at_once:
            turn = next(
                (name for name, one in self._queues.items() if one.calls and one.running < self._room.of_a_company),
                _NOBODY,
            )
            if turn is _NOBODY:
                return
            queue = self._queues.pop(turn)
            self._queues[turn] = queue
            place, future, call = queue.calls.popleft()
            queue.running += 1
            self._running += 1
            self._waiting -= 1
            self._threads.submit(self._work, place, future, call)

    def _work(self, place: Place, future: Future[T], call: Callable[[], T]) -> None:
        try:
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
        finally:
            with self._lock:
                queue = self._queues[place.company]
                queue.running -= 1
                self._running -= 1
                self._persons[place.person] -= 1
                if not self._persons[place.person]:
                    del self._persons[place.person]
                if not queue.running and not queue.calls:
                    del self._queues[place.company]
                self._begin()


_NOBODY = object()


class Threads(ThreadPoolExecutor):
    """An executor as asyncio and Litestar ask for one, which looks at the request's `Place` for where to work."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)  # It starts a thread only when asked for one, and it never is.
        self._rooms = {name: _Shared(room) for name, room in ROOMS.items()}

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self.begin(_place.get(ANYWHERE), partial(fn, *args, **kwargs))

    def begin(self, place: Place, call: Callable[[], T]) -> Future[T]:
        return self._rooms[place.room.name].submit(place, call)


THREADS = Threads()
"""One for the process: Litestar takes its executor for the whole process, too."""
set_asyncio_executor(THREADS)


async def run(room: Room, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs what blocks in a thread of this room, in the turn of whoever makes the request.

    Raises `TooMuchWaiting` and `Busy`, and what `fn` raises.
    """
    before = _place.get(ANYWHERE)
    place = Place(room, before.company, before.person)
    call = partial(copy_context().run, partial(fn, *args, **kwargs))
    return await asyncio.wrap_future(THREADS.begin(place, call))


_signed_in: OrderedDict[bytes, tuple[Hashable, Hashable]] = OrderedDict()
_MOST_SIGNED_IN = 20_000
_signing = threading.Lock()


def remember(cookie: str, company: Hashable, person: Hashable) -> None:
    """Whose turn the requests with this cookie take, once it is known that it belongs to a session."""
    name = sha256(cookie.encode()).digest()
    with _signing:
        _signed_in[name] = company, person
        _signed_in.move_to_end(name)
        if len(_signed_in) > _MOST_SIGNED_IN:
            _signed_in.popitem(last=False)


def whose(shown: str) -> tuple[Hashable, Hashable] | None:
    """Company and person behind a cookie or key that was known before; None for any other."""
    return _signed_in.get(sha256(shown.encode()).digest())


def take(place: Place) -> None:
    """Where the calls of the request are worked that is answered here."""
    _place.set(place)

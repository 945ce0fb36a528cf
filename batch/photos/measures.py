"""Face measures of the photos that are being compared: in this process's memory, and nowhere else.

A measure is made in the inspector's child and is kept here so that a set of photos can be compared anew whenever it
changes, without opening every photo again. It goes with its photo, by itself ten minutes after it was last used, and when
its person withdraws or has everything deleted: at once in the process that carries it out, within seconds in every
other, each of which asks after the people whose measures it holds. It is never written, logged or sent. A process that
has none makes it again from the sealed photo.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

MOST = 4_000
"""Photos whose measures are kept at once, 6 KB each; the ones used longest ago go first."""
IDLE_SECONDS = 600.0
ASK_SECONDS = 5.0
"""How often a process asks after the people whose measures it holds, while it holds any."""

Ask = Callable[[UUID, Collection[UUID]], Collection[UUID]]
"""Which of these people of a company may still be measured."""


@dataclass(frozen=True)
class Measure:
    """`embedding` tells people apart, `look` is the face alone, small and grey; `pixels` is how large the face is.

    Without an embedding the photo was looked at and shows no face that can be measured.
    """

    embedding: tuple[float, ...] = ()
    look: bytes = b""
    pixels: int = 0


class Measures:
    def __init__(
        self, most: int = MOST, idle_seconds: float = IDLE_SECONDS, ask_seconds: float = ASK_SECONDS
    ) -> None:
        self._most, self._idle, self._every = most, idle_seconds, min(idle_seconds, ask_seconds)
        self._watched: dict[UUID, tuple[UUID, Ask]] = {}
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[UUID, UUID], tuple[float, Measure]] = OrderedDict()
        self._timer: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, employee_id: UUID, photo_id: UUID, measure: Measure) -> None:
        with self._lock:
            self._kept[employee_id, photo_id] = time.monotonic(), measure
            self._kept.move_to_end((employee_id, photo_id))
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            self._wake()

    def of(self, employee_id: UUID, photo_ids: Collection[UUID]) -> dict[UUID, Measure]:
        """What is known of these photos of a person; measures of other photos of theirs are forgotten."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == employee_id and key[1] not in photo_ids]:
                del self._kept[key]
            found = {}
            for photo_id in photo_ids:
                if kept := self._kept.get((employee_id, photo_id)):
                    self._kept[employee_id, photo_id] = time.monotonic(), kept[1]
                    self._kept.move_to_end((employee_id, photo_id))
                    found[photo_id] = kept[1]
            return found

    def forget(self, employee_id: UUID) -> None:
        with self._lock:
            for key in [key for key in self._kept if key[0] == employee_id]:
                del self._kept[key]

    def people(self) -> set[UUID]:
        """Whose measures are held."""
        with self._lock:
            return {employee_id for employee_id, _ in self._kept}

    def watch(self, tenant: UUID, employee_id: UUID, ask: Ask) -> None:
        """From now on it is asked whether the measures of this person may stay, for as long as there are any."""
        with self._lock:
            self._watched[employee_id] = tenant, ask

    def _wake(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._every, self._clear)
            self._timer.daemon = True
            self._timer.start()

    def _clear(self) -> None:
        """Removes what nobody used for so long, the oldest of which stand first, and what is of nobody any more."""
        for employee_id in self._gone():
            self.forget(employee_id)
        with self._lock:
            self._timer = None
            limit = time.monotonic() - self._idle
            while self._kept and next(iter(self._kept.values()))[0] <= limit:
                self._kept.popitem(last=False)
            if self._kept:
                self._wake()

    def _gone(self) -> set[UUID]:
        with self._lock:
            held = {employee_id for employee_id, _ in self._kept}
            self._watched = {one: self._watched[one] for one in held if one in self._watched}
            watched = dict(self._watched)
        gone: set[UUID] = set()
        for tenant, ask in dict.fromkeys(watched.values()):
            people = {one for one, of in watched.items() if of == (tenant, ask)}
            try:
                gone |= people - set(ask(tenant, people))
            except Exception:  # Nobody says that they may stay; they are made again where they are needed.
                gone |= people
        return gone


KNOWN = Measures()
"""Of this process."""

"""Face measures of the photos that are being compared: in this process's memory, and nowhere else.

A measure is made in the inspector's child and is kept here so that a set of photos can be compared anew whenever it
changes, without opening every photo again. It goes with its photo, with its person, and by itself ten minutes after it
was last used; it is never written, logged or sent. A process that has none makes it again from the sealed photo.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

MOST = 4_000
"""Photos whose measures are kept at once, 6 KB each; the ones used longest ago go first."""
IDLE_SECONDS = 600.0


@dataclass(frozen=True)
class Measure:
    """`embedding` tells people apart, `look` is the face alone, small and grey; `pixels` is how large the face is.

    Without an embedding the photo was looked at and shows no face that can be measured.
    """

    embedding: tuple[float, ...] = ()
    look: bytes = b""
    pixels: int = 0


class Measures:
    def __init__(self, most: int = MOST, idle_seconds: float = IDLE_SECONDS) -> None:
        self._most, self._idle = most, idle_seconds
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

    def _wake(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._idle, self._clear)
            self._timer.daemon = True
            self._timer.start()

    def _clear(self) -> None:
        """Removes what nobody used for so long; the oldest stand first."""
        with self._lock:
            self._timer = None
            limit = time.monotonic() - self._idle
            while self._kept and next(iter(self._kept.values()))[0] <= limit:
                self._kept.popitem(last=False)
            if self._kept:
                self._wake()


KNOWN = Measures()
"""Of this process."""

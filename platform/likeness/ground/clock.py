"""The time that deletions, holds and leases follow: the database's, carried on by this machine's steady clock in between.

Every transaction reads the database's clock. When that differs from this machine's, or has jumped, nobody can tell which
is right: then time goes on from what was known before, and whatever is deleted or taken over because of the time waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

TOLERATED = timedelta(minutes=1)
MOMENT = timedelta(microseconds=1)
"""What PostgreSQL keeps apart."""


class Clock:
    """One for each process, because a process works with one database."""

    def __init__(
        self,
        host: Callable[[], datetime] = lambda: datetime.now(UTC),
        # It goes on while a machine sleeps, and nobody can set it.
        steady: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._host, self.steady = host, steady
        self._lock = threading.Lock()
        self._base: tuple[datetime, float] | None = None
        self._told: datetime | None = None
        self._apart, self._jumped = timedelta(), timedelta()

    def observe(self, database: datetime, took: float = 0.0) -> None:
        """What the database's clock said, in an answer that took so many seconds by the steady clock.

        It said so at some moment of these seconds, so that its time is now anything from what it said to so many seconds
        more. What was known before stays where it lies within, and otherwise moves to the nearer end: a quick answer
        corrects what a slow one left, and no time is earlier than what the database has said. A first answer that leaves
        more than `TOLERATED` open sets nothing, because what it left would be taken for a jump later.
        """
        steady, host = self.steady(), self._host()
        latest = database + timedelta(seconds=took)
        with self._lock:
            self._apart = host - min(max(host, database), latest)
            if self._base is None:
                if latest - database > TOLERATED:
                    return
                self._base = (database + (latest - database) / 2, steady)
            carried = self._carried(self._base, steady)
            off = min(max(carried, database), latest) - carried
            self._jumped = off if abs(off) > TOLERATED else timedelta()
            if off and not self._jumped:
                self._base = (carried + off, steady)

    def now(self) -> datetime:
        """Always later than what it said before, if only by a microsecond, so that rows stand in the order of their making.
        This machine's own time until the database was asked first."""
        with self._lock:
            if self._base is None:
                return self._host()
            now = self._carried(self._base, self.steady())
            self._told = now if self._told is None else max(now, self._told + MOMENT)
            return self._told

    def doubt(self) -> str:
        """Why nothing is deleted because of the time at present, in a sentence; empty when all is well."""
        with self._lock:
            if self._base is None:
                return "The database has not been asked for the time yet."
            if abs(self._apart) > TOLERATED:
                return f"This machine's clock is {_words(self._apart)} of the database's."
            if self._jumped:
                return (
                    f"The database's clock has jumped: it is {_words(self._jumped)} of where it was. If it is right now,"
                    " restart Likeness."
                )
            return ""

    def difference(self) -> float:
        """Seconds by which this machine's clock is ahead of the database's."""
        with self._lock:
            return self._apart.total_seconds()

    @staticmethod
    def _carried(base: tuple[datetime, float], steady: float) -> datetime:
        return base[0] + timedelta(seconds=steady - base[1])


def _words(by: timedelta) -> str:
    seconds = abs(by.total_seconds())
    amount = f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{seconds / 60:.1f} minutes"
    return f"{amount} {'ahead' if by > timedelta() else 'behind'}"


CLOCK = Clock()

"""Lanes: kinds of work that must not wait for each other, and whose turn it is within one of them.

Each lane has a queue and threads of its own, so a mail server that answers nothing holds up mails and nothing else.
Within a lane companies take turns: the one whose jobs have had the least time lately comes first, so ten jobs of one
company do not wait behind ten thousand of another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from likeness.ground.settings import Settings

HALF_LIFE_SECONDS = 10.0
"""What a company has had counts half as much ten seconds later: a pause is not saved up, a rush is soon forgiven."""
FIRST_GUESS_SECONDS = 0.01
"""What a job is taken to need before any of the same company has ended."""
LONGEST_REST_SECONDS = 60.0
CLAIM_SECONDS, CLAIM_MOST = 0.04, 16
"""Jobs that take no longer than this together are claimed together: another company hardly waits for it."""


class Lane(StrEnum):
    PRIVACY = "privacy"
    """Erasures, keys to destroy, and what people are told of their own decisions and of who wants to move their page: what
    somebody asked for themselves does not wait for anything else."""
    PHOTOS = "photos"
    """Looking at photos: seconds of processor each."""
    MAIL = "mail"
    """Talking to the mail server, which may answer slowly or not at all."""
    WEBHOOKS = "webhooks"
    """Talking to servers of companies, which may answer slowly or not at all."""
    GENERAL = "general"
    """Everything else: short work in the database."""


def threads(settings: Settings) -> dict[Lane, int]:
    """How many threads of one worker process each lane has; without any it is left to other processes."""
    return {
        Lane.PRIVACY: settings.privacy_threads,
        Lane.PHOTOS: settings.photo_threads,
        Lane.MAIL: settings.mail_threads,
        Lane.WEBHOOKS: settings.webhook_threads,
        Lane.GENERAL: settings.general_threads,
    }


class Lanes:
    """What one process remembers of its lanes; other processes have a memory of their own and are as fair as this one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._had: dict[tuple[str, UUID], tuple[float, float]] = {}
        self._needs: dict[tuple[str, UUID], float] = {}
        self._rests: dict[str, tuple[float, float]] = {}
        self._pace: dict[str, float] = {}

    def order(self, lane: str, tenants: Iterable[UUID]) -> list[UUID]:
        """The tenants in the order of their turns; among equals the order given stays."""
        with self._lock:
            now = self._clock()
            return sorted(tenants, key=lambda tenant: self._spent(lane, tenant, now))

    def begin(self, lane: str, tenant: UUID) -> float:
        """Charges a job before it runs, so that the next thread already sees it; returns what was charged."""
        with self._lock:
            guess = self._needs.get((lane, tenant), FIRST_GUESS_SECONDS)
            self._charge(lane, tenant, guess)
            return guess

    def end(self, lane: str, tenant: UUID, guess: float, seconds: float) -> None:
        """Puts what the job took in the place of what it was thought to need."""
        with self._lock:
            self._needs[lane, tenant] = max(seconds, 0.001)
            self._charge(lane, tenant, seconds - guess)
            # A slow one counts at once, quick ones little by little.
            self._pace[lane] = max(seconds, 0.8 * self._pace.get(lane, 1.0) + 0.2 * seconds, 0.0001)

    def at_once(self, lane: str) -> int:
        """How many jobs of a lane to claim together."""
        with self._lock:
            return max(1, min(CLAIM_MOST, int(CLAIM_SECONDS / self._pace.get(lane, 1.0))))

    def rest(self, lane: str) -> float:
        """Nobody takes a job of this lane for a while, twice as long each time; returns the seconds."""
        with self._lock:
            _, before = self._rests.get(lane, (0.0, 1.0))
            pause = min(before * 2, LONGEST_REST_SECONDS)
            self._rests[lane] = (self._clock() + pause, pause)
            return pause

    def wake(self, lane: str) -> None:
        """Something of this lane went well: the next rest is a short one again."""
        with self._lock:
            self._rests.pop(lane, None)

    def resting(self, lane: str) -> bool:
        with self._lock:
            until, _ = self._rests.get(lane, (0.0, 0.0))
            return self._clock() < until

    def _spent(self, lane: str, tenant: UUID, now: float) -> float:
        amount, at = self._had.get((lane, tenant), (0.0, now))
        return amount * float(0.5 ** ((now - at) / HALF_LIFE_SECONDS))

    def _charge(self, lane: str, tenant: UUID, seconds: float) -> None:
        now = self._clock()
        self._had[lane, tenant] = (max(0.0, self._spent(lane, tenant, now) + seconds), now)
        if len(self._had) > 10_000:  # Who had nothing for two minutes is as good as new.
            old = now - 12 * HALF_LIFE_SECONDS
            self._had = {key: kept for key, kept in self._had.items() if kept[1] > old}
            self._needs = {key: needs for key, needs in self._needs.items() if key in self._had}

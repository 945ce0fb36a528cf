"""Everybody's name as it is sought and sorted by: opened in memory, forgotten within a minute, and never written.

Names are sealed under a key of each person, and ten thousand of them take a second to open. What is opened is kept for
the next question, and each question asks the database first who is on the list and whether their line is still the same:
whoever was erased is in no answer from then on, and is forgotten a minute after the database last named them
(`docs/decisions/0058-names-are-sought-in-memory.md`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlmodel import Session

from batch.people import employees, funnel
from batch.people.finding import spelling
from batch.people.queries import ON_THE_LIST
from likeness.ground.db import tenant_of, utc_now
from likeness.keys.keys import KeyFolder
from tenants.plain import folded

KEPT_SECONDS = 60.0
MOST_KEPT = 50_000
"""Of all companies of this process, some 25 MB."""


class OpenedName(NamedTuple):
    digest: bytes
    """Of the sealed line that it was read from."""
    spellings: str
    """Empty once the person's key was destroyed, like the rest."""
    name: str
    department: str
    site: str


class SoughtLine(NamedTuple):
    employee_id: UUID
    who: OpenedName


@dataclass
class OpenedCompany:
    names: dict[UUID, OpenedName]
    until: float


def of(session: Session, keys: KeyFolder, **narrowed: Any) -> list[SoughtLine]:
    """Whom this transaction may see, in the order of the lists; `narrowed` as for `funnel.about`."""
    asked_at, tenant = time.monotonic(), tenant_of(session)
    asked = funnel.about(session, utc_now(), **narrowed)
    there = session.execute(ON_THE_LIST, asked).one()
    digests = dict(zip(there.people, there.digests, strict=True))
    whole = not narrowed and asked["departments"] is None
    known = _known(tenant)
    if _unread(digests, known):
        with _turn(tenant):  # Who asks at the same time waits for these names, and does not open them once more.
            known = _known(tenant)
            if new := _unread(digests, known):
                fresh = _read(session, keys, digests, new)
                known = known | fresh
                _keep(tenant, fresh, asked_at + KEPT_SECONDS, whole=False)
    found = [SoughtLine(one, known[one]) for one in there.people if one in known]
    if whole:
        _keep(tenant, dict(found), asked_at + KEPT_SECONDS, whole=True)
    return found


def _unread(digests: Mapping[UUID, bytes], known: Mapping[UUID, OpenedName]) -> list[UUID]:
    return [one for one, digest in digests.items() if (held := known.get(one)) is None or held.digest != digest]


def _read(
    session: Session, keys: KeyFolder, digests: Mapping[UUID, bytes], people: Collection[UUID]
) -> dict[UUID, OpenedName]:
    return {
        person: OpenedName(
            digests[person], spelling.of(who), folded(who.full_name), folded(who.department or ""), folded(who.site or "")
        )
        for person, who in employees.profiles(session, keys, people).items()
    }


_opened: dict[UUID, OpenedCompany] = {}
_change = threading.Lock()
_turns: dict[UUID, threading.Lock] = {}
_forgetting: list[threading.Thread] = []
"""The one that runs, if any is needed."""


def _turn(tenant: UUID) -> threading.Lock:
    with _change:
        return _turns.setdefault(tenant, threading.Lock())


def _known(tenant: UUID) -> dict[UUID, OpenedName]:
    with _change:
        held = _opened.get(tenant)
        return held.names if held is not None and held.until > time.monotonic() else {}


def _keep(tenant: UUID, names: dict[UUID, OpenedName], until: float, *, whole: bool) -> None:
    """A list of everybody takes the place of the one before; what was read for a part of it stays no longer than that."""
    with _change:
        held = _opened.get(tenant)
        if not whole and held is not None and held.until > time.monotonic():
            held.names = held.names | names
        elif names:
            _opened[tenant] = OpenedCompany(names, until)
        while sum(len(one.names) for one in _opened.values()) > MOST_KEPT:
            del _opened[min(_opened, key=lambda one: _opened[one].until)]
        if _opened and not _forgetting:
            _forgetting.append(threading.Thread(target=_forget, name="names", daemon=True))
            _forgetting[0].start()


def _forget() -> None:
    """By itself, since nobody may ask again."""
    while True:
        with _change:
            now = time.monotonic()
            for tenant in [one for one, held in _opened.items() if held.until <= now]:
                del _opened[tenant]
            if not _opened:
                _forgetting.clear()
                return
            wait = min(held.until for held in _opened.values()) - now
        time.sleep(min(max(wait, 0.05), 1.0))

"""Legal finds a person by name: each search is in the log, and each person that it showed reads that in their own record.

Everywhere else legal sees ids that name nobody (`tenants/members/permissions.py`). A search has a reason, which the log
keeps beside who searched and whom it showed; what was typed is kept nowhere. The person reads that they were found and not
for which reason, or a hold that they must not learn of would be told by it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlmodel import Session, col, select

from batch.models import Employee
from batch.people import employees
from compliance import holds, requests
from compliance.erasure import erasures
from compliance.models import Erasure, Hold, Request
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.ground.errors import Gone, Unprocessable
from likeness.keys.keys import KeyBroken, KeyFolder, SealBroken
from tenants.plain import one_line

MOST, SHORTEST = 20, 3


class Why(StrEnum):
    """For what somebody may be found by name; there is no other reason."""

    LETTER = "request-by-letter"
    ANSWER = "answer-to-the-person"
    COURT = "order-of-a-court"
    AUTHORITY = "question-of-an-authority"
    BREACH = "people-of-a-breach"


class SearchRefused(Unprocessable):
    """So few letters would list the company, and without a reason it would be curiosity."""

    title = "Say more about whom you look for"


@dataclass(frozen=True)
class FoundPerson:
    id: UUID
    name: str
    email: str
    requests: list[Request]
    holds: list[Hold]
    erasure: Erasure | None

    def late(self, now: datetime) -> bool:
        return any(one.done_at is None and one.due_at < now for one in self.requests)

    def held(self, now: datetime) -> bool:
        return any(one.confirmed_at and not one.lifted_at and one.expires_at > now for one in self.holds)


def find(session: Session, keys: KeyFolder, words: str, *, why: Why | str, caller: str) -> tuple[list[FoundPerson], bool]:
    """Those with all these words in their name, or with this address; and whether there were more than are shown.

    Raises `SearchRefused` and `TextRefused`.
    """
    if why not in set(Why):
        raise SearchRefused(
            "Say for what you look this person up, as one of: {words}. Nothing was searched. The log keeps the reason"
            " beside your search.",
            words=", ".join(Why),
        )
    wanted = _folded(one_line(words, 200, "name"))
    if len(wanted) < SHORTEST:
        raise SearchRefused("Please type at least {n} letters of the name, or the whole address.", n=SHORTEST)
    found: list[FoundPerson] = []
    more = False
    for person, name, email in _people(session, keys):
        if all(word in _folded(name) for word in wanted.split()) or _folded(email) == wanted:
            if len(found) == MOST:
                more = True
                break
            found.append(_file(session, person, name, email))
    ledger.record(session, "person.searched", caller=caller, objects=[*(one.id for one in found), str(why)])
    for one in found:
        ledger.record(session, "person.found", caller=caller, subject=one.id)
    return found, more


def _people(session: Session, keys: KeyFolder) -> Iterator[tuple[Employee, str, str]]:
    everybody = select(Employee).where(col(Employee.tenant_id) == tenant_of(session)).order_by(col(Employee.created_at))
    for person in session.exec(everybody).all():
        with suppress(Gone, SealBroken, KeyBroken):
            who = employees.profile(keys, person)
            yield person, who.full_name, who.email


def _file(session: Session, person: Employee, name: str, email: str) -> FoundPerson:
    return FoundPerson(
        person.id, name, email, requests.of(session, person.id), holds.of(session, person.id),
        erasures.open_of(session, person.id),
    )  # fmt: skip


def _folded(text: str) -> str:
    """Without case, accents and different spellings of the same sign."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in plain if not unicodedata.combining(sign))

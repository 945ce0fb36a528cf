"""Breaches: declared by an operator, told to each company at once, with the list of its people whom it may have reached.

The list is read from the rows that are there and from the log's entries of what went since, so it needs no copy of names;
a company has it within the minute, and its own 72 hours run from then (GDPR article 33).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, SQLModel, col, select

from batch.models import Employee
from batch.people import employees
from compliance import stores
from compliance.models import EVERYTHING, Breach, Erasure
from compliance.records.documents import Document, DocumentSection
from compliance.records.processors import those_told
from likeness import ledger
from likeness.ground.db import newest_first, row_of, tenant_of
from likeness.ground.errors import Gone, NotFound, Unprocessable
from likeness.kernel import Kernel
from likeness.keys.keys import KeyBroken, KeyClass, KeyFolder, SealBroken
from likeness.ledger import LedgerEntry
from likeness.locale.marks import N_
from likeness.locale.words import words
from likeness.mail import letters, mail
from tenants import tenants
from tenants.members import members

WITHIN = timedelta(hours=72)
NAMES = {
    KeyClass.SOURCE: N_("selfies"),
    KeyClass.MODEL: N_("models of one person"),
    KeyClass.HEADSHOT: N_("headshots"),
    KeyClass.PROFILE: N_("names and addresses"),
}

BY_HAND: Mapping[str, set[str]] = {
    "photo": {"photo.removed", "photo.rejected"},
    "headshot": {"headshot.removed", "headshot.not-me"},
}
"""What went before its day: a person deleted it, or a photo was refused, whose row may tell of a later arrival."""
CAME: Mapping[str, str] = {"photo": "photo.added", "headshot": "headshot.kept"}
"""What came only after the breach was not reached by it, however soon it went again."""


class BreachMissing(NotFound):
    """The company was told of no such breach."""

    title = "There is no such breach"


class BreachRefused(Unprocessable):
    """Times that do not follow each other, or a class that there is not."""

    title = "This report of a breach does not add up"


def declare(
    session: Session, kernel: Kernel, *, since: datetime, until: datetime, classes: Collection[str], known_at: datetime,
    now: datetime,
) -> Breach:  # fmt: skip
    """For the company of this transaction, whose owners and legal are told at once. Raises `BreachRefused`."""
    if not since <= until <= now or not known_at <= now:
        raise BreachRefused("A breach begins before it ends, and neither is in the future. Nobody was told.")
    if not classes or not set(classes) <= set(NAMES):
        raise BreachRefused("Name what may have been reached: {names}. Nobody was told.", names=", ".join(NAMES))
    made = Breach(
        tenant_id=tenant_of(session),
        since=since,
        until=until,
        classes=sorted(set(classes)),
        known_at=known_at,
        told_at=now,
    )
    made.people = len(affected(session, made))
    session.add(made)
    session.flush()
    ledger.record(session, "breach.declared", objects=[made.id])
    company = tenants.get(session)
    reads = words(company.language, company.time_zone)
    for member in those_told(session):
        who = members.profile(kernel.keys, member)
        letter = letters.letter(
            "breach", reads, who.email, name=who.name, controller=company.name, colour=company.colour,
            known=reads.moment(known_at), since=reads.moment(since), until=reads.moment(until),
            classes=reads.enumerated([reads.gettext(NAMES[KeyClass(cls)]) for cls in made.classes]),
            people=reads.number(made.people),
            link=f"{kernel.settings.public_url.rstrip('/')}/legal/records",
        )  # fmt: skip
        mail.post(session, kernel.keys, member.id, letter, template="breach", campaign=str(made.id))
    return made


def affected(session: Session, breach: Breach) -> dict[UUID, list[str]]:
    """By person, what of theirs was here in that time: what is here still, and what the log says has gone since."""
    found: dict[UUID, set[str]] = {}
    for due in stores.DUE:
        if due.cls in breach.classes:
            table = SQLModel.metadata.tables[due.table]
            there = (
                table.select()
                .with_only_columns(table.c.employee_id)
                .distinct()
                .where(table.c.tenant_id == tenant_of(session), table.c.created_at <= breach.until)
            )
            for person in session.execute(there).scalars():
                found.setdefault(person, set()).add(str(due.cls))
            later = _came_after(session, CAME[due.table], breach.until) if due.table in CAME else set()
            for person in _gone(session, {due.event} | BY_HAND.get(due.table, set()), breach.since, later):
                found.setdefault(person, set()).add(str(due.cls))
    for erasure in _erased(session, breach.since):
        reached = {cls for cls in breach.classes if _had(session, erasure, cls, breach.until)}
        if reached:
            found.setdefault(erasure.employee_id, set()).update(reached)
    if KeyClass.PROFILE in breach.classes:
        here = select(Employee.id).where(
            col(Employee.tenant_id) == tenant_of(session), col(Employee.created_at) <= breach.until
        )
        for person in session.exec(here):
            found.setdefault(person, set()).add(str(KeyClass.PROFILE))
    return {person: sorted(classes) for person, classes in sorted(found.items())}


def named(
    session: Session, keys: KeyFolder, found: Mapping[UUID, Collection[str]]
) -> Iterator[tuple[UUID, str, str, str]]:
    """Each with name and address; both are empty for somebody who is deleted since, of whom nobody knows them any more."""
    here = {one.id: one for one in session.exec(select(Employee).where(col(Employee.tenant_id) == tenant_of(session)))}
    for person, classes in found.items():
        name = address = ""
        with suppress(Gone, SealBroken, KeyBroken):
            if person in here:
                who = employees.profile(keys, here[person])
                name, address = who.full_name, who.email
        yield person, name, address, " ".join(classes)


def _gone(session: Session, events: set[str], since: datetime, later: set[str]) -> set[UUID]:
    """Whose things went since then, but for what had come `later`."""
    said = select(LedgerEntry.subject, LedgerEntry.objects).where(
        col(LedgerEntry.tenant_id) == tenant_of(session),
        col(LedgerEntry.event).in_(events),
        col(LedgerEntry.at) >= since,
    )
    return {UUID(subject) for subject, gone in session.exec(said) if subject and not (gone and set(gone) <= later)}


def _came_after(session: Session, event: str, until: datetime) -> set[str]:
    came = select(LedgerEntry.objects).where(
        col(LedgerEntry.tenant_id) == tenant_of(session),
        col(LedgerEntry.event) == event,
        col(LedgerEntry.at) > until,
    )
    return {one for objects in session.exec(came) for one in objects}


def _erased(session: Session, since: datetime) -> list[Erasure]:
    """Of people whose rows went since then, or are going, whenever it was asked for."""
    went = col(Erasure.deleted_at).is_(None) | (col(Erasure.deleted_at) >= since)
    return list(session.exec(select(Erasure).where(col(Erasure.tenant_id) == tenant_of(session), went)))


def _had(session: Session, erasure: Erasure, cls: str, until: datetime) -> bool:
    """Whether there was anything of this class then, as it was counted before the erasure. What was not counted yet is
    still there, and found by its rows; of names the log says since when they were known."""
    if cls == KeyClass.PROFILE:
        first = select(func.min(LedgerEntry.at)).where(
            col(LedgerEntry.tenant_id) == tenant_of(session), col(LedgerEntry.subject) == str(erasure.employee_id)
        )
        known = session.exec(first).one()
        return erasure.scope == EVERYTHING and (known is None or known <= until)
    counted = erasure.counts.get(cls, {})
    created = counted.get("created")
    return bool(counted.get("objects")) and (created is None or datetime.fromisoformat(created) <= until)


def of(session: Session, most: int | None = None, *, before: tuple[datetime, UUID] | None = None) -> list[Breach]:
    """Newest first; at most so many, those `before` the moment and the id of one."""
    query = select(Breach).where(col(Breach.tenant_id) == tenant_of(session))
    return list(session.exec(newest_first(query, col(Breach.told_at), col(Breach.id), most, before)))


def get(session: Session, breach_id: UUID) -> Breach:
    """Raises `BreachMissing`."""
    found = row_of(session, Breach, breach_id)
    if found is None:
        raise BreachMissing("There is no such breach.")
    return found


def document(session: Session, now: datetime) -> Document:
    company = tenants.get(session)
    rows = [
        (one.told_at, one.told_at + WITHIN, one.known_at, f"{_at(one.since)} to {_at(one.until)} UTC", _classes(one),
         one.people, str(one.id))
        for one in of(session)
    ]  # fmt: skip
    drafts = [
        DocumentSection(
            f"Draft of a notice about {one.id}", ("item of article 33(3)", "what is known"),
            [
                ("nature of the breach", f"Between {_at(one.since)} and {_at(one.until)} UTC, {_classes(one)} may have been"
                 " reached at the processor."),
                ("categories and number of people", f"employees of {company.name}: {one.people}"),
                ("contact", company.contact or "to be named by the controller"),
                ("likely consequences", "to be judged by the controller; what is stored is sealed under a key of each"
                 " person's own"),
                ("measures taken", "to be asked of the processor"),
            ],
        )
        for one in of(session)
    ]  # fmt: skip
    columns = ("told at", "notify by", "known to the processor at", "may have happened", "may have been reached", "people",
               "id")  # fmt: skip
    return Document(
        "breaches", "Breaches that this company was told of", now,
        "People appear by random ids; legal saves the list with their names, which the log says."
        " The company decides whether it notifies.",
        [DocumentSection("Breaches", columns, rows, "" if rows else "None so far."), *drafts],
    )  # fmt: skip


def _classes(one: Breach) -> str:
    return ", ".join(NAMES.get(KeyClass(cls), cls) for cls in one.classes)


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"

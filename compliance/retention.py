"""Retention: what has come to its last day goes, and the key of a class goes with the last object of that class.

Every row carries the absolute time of its deletion. Objects go before their rows, so a crash in between repeats a
deletion and forgets none. An object that cannot be deleted keeps its row, which tells how late it is (`lateness.py`),
and holds up no other. A key that ended this way may be followed by a fresh one, because the person may come back
for a reshoot; copies in backups stay unreadable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Table
from sqlmodel import Session, SQLModel, col, select

from batch import employees, texts
from batch.models import Employee, Headshot
from compliance import holds, stores
from likeness import jobs, ledger, mail, sweeping
from likeness.db import tenant_of
from likeness.errors import Gone
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyRef
from likeness.mail import Letter
from tenants import tenants

log = logging.getLogger(__name__)

SWEEP = "retention"
ROWS = 200
"""In one transaction, so that 10,000 due objects are many short ones."""
YOUNG_KEY = timedelta(hours=1)
"""A key is made just before its first object; it is not mistaken for one whose last object went."""
ORPHAN_AGE = timedelta(hours=24)
"""A run that is lost may have written weights without a row; a run that lives writes its row within hours."""
WARN_DAYS = (7, 1)


@jobs.every(timedelta(minutes=1), deletes=True)
def sweep(kernel: Kernel, now: datetime) -> None:
    """Deletes what is due; safe to repeat, and one company's failure does not stop the others'."""
    for tenant in tenants.all_ids(kernel):
        for step in (delete_due, retire_keys):
            try:
                step(kernel, tenant, now)
            except Exception:  # As above; the next minute tries again.
                log.exception("retention failed", extra={"tenant": str(tenant), "sweep": step.__name__})


def delete_due(kernel: Kernel, tenant: UUID, now: datetime) -> int:
    """Returns how many objects went with their rows."""
    rounds: list[Callable[..., tuple[int, set[UUID]]]] = [partial(_delete_some, due=due) for due in stores.DUE]
    return sum(_delete_all(kernel, tenant, now, some) for some in [*rounds, _delete_weights_without_photos])


def _delete_all(kernel: Kernel, tenant: UUID, now: datetime, some: Callable[..., tuple[int, set[UUID]]]) -> int:
    """Until nothing is left but what failed in this round or pauses from an earlier one."""
    deleted = 0
    aside = {one for one in kernel.failures.paused(SWEEP, now) if isinstance(one, UUID)}
    while True:
        count, failed = some(kernel, tenant, now=now, aside=aside)
        deleted, aside = deleted + count, aside | failed
        if not count and (not failed or len(failed) >= sweeping.FAILURES_IN_A_ROW):
            return deleted


def _delete_some(
    kernel: Kernel, tenant: UUID, *, due: stores.Due, now: datetime, aside: set[UUID]
) -> tuple[int, set[UUID]]:
    table = SQLModel.metadata.tables[due.table]
    with kernel.db.transaction(tenant) as session:
        rows = session.execute(
            table.select()
            .with_only_columns(table.c.id, table.c.employee_id, table.c.path)
            .where(
                table.c.tenant_id == tenant_of(session),
                table.c.due_at <= now,
                table.c.employee_id.not_in(holds.held(session, now)),
                table.c.id.not_in(aside),
            )
            .order_by(table.c.due_at)
            .limit(ROWS)
            .with_for_update(skip_locked=True)
        ).all()
        return _delete(session, kernel, table, due.event, rows, now)


def _delete_weights_without_photos(
    kernel: Kernel, tenant: UUID, *, now: datetime, aside: set[UUID]
) -> tuple[int, set[UUID]]:
    """Weights share the fate of the selfies they were made of, also when the person deletes those early."""
    weights, photo = SQLModel.metadata.tables["weights"], SQLModel.metadata.tables["photo"]
    with kernel.db.transaction(tenant) as session:
        left = photo.select().where(
            photo.c.tenant_id == weights.c.tenant_id, photo.c.employee_id == weights.c.employee_id
        )
        rows = session.execute(
            weights.select()
            .with_only_columns(weights.c.id, weights.c.employee_id, weights.c.path)
            .where(
                weights.c.tenant_id == tenant_of(session),
                weights.c.employee_id.not_in(holds.held(session, now)),
                weights.c.id.not_in(aside),
                ~left.exists(),
            )
            .limit(ROWS)
            .with_for_update(skip_locked=True)
        ).all()
        return _delete(session, kernel, weights, "weights.expired", rows, now)


def _delete(
    session: Session, kernel: Kernel, table: Table, event: str, rows: Iterable[Any], now: datetime
) -> tuple[int, set[UUID]]:
    """How many went, and the ids of those whose object could not be deleted: their rows stay, and are late."""
    found: list[Any] = []
    failed: set[UUID] = set()
    for row in rows:
        try:
            if row.path:  # An upload that is a photo by now has nothing of its own.
                kernel.objects.delete(row.path)
        except Exception:  # One object's trouble keeps no other from going.
            sweeping.failed(kernel, SWEEP, tenant_of(session), row.id, now)
            failed.add(row.id)
            if not found and len(failed) >= sweeping.FAILURES_IN_A_ROW:
                break
        else:
            kernel.failures.forget(SWEEP, row.id)
            found.append(row)
    if not found:
        return 0, failed
    session.execute(
        table.delete().where(table.c.tenant_id == tenant_of(session), table.c.id.in_([row.id for row in found]))
    )
    for person in dict.fromkeys(row.employee_id for row in found):
        gone = [row.id for row in found if row.employee_id == person]
        ledger.record(session, event, subject=person, objects=gone)
    return len(found), failed


def retire_keys(kernel: Kernel, tenant: UUID, now: datetime) -> int:
    """Destroys the keys of classes of which a person has nothing left; returns how many."""
    classes = {due.cls for due in stores.DUE}
    refs = [ref for ref in kernel.keys.refs(tenant) if ref.cls in classes]
    old = [ref for ref in refs if (made := kernel.keys.made_at(ref)) is None or made < now - YOUNG_KEY]
    if not old:
        return 0
    with kernel.db.transaction(tenant) as session:
        kept = holds.held(session, now)
        owners: dict[KeyClass, set[UUID]] = {cls: set() for cls in classes}
        for due in stores.DUE:
            owners[due.cls] |= _owners(session, due.table)
    over = [ref for ref in old if ref.owner not in owners[ref.cls] and ref.owner not in kept]
    retired = []

    def retire(session: Session, ref: KeyRef) -> None:
        if _empty(kernel, ref, now):
            kernel.keys.destroy(ref, now, final=False)
            ledger.record(session, "key.destroyed", subject=ref.owner)
            retired.append(ref)

    sweeping.each(kernel, "retire-keys", tenant, over, now, retire)
    return len(retired)


def _owners(session: Session, name: str) -> set[UUID]:
    table = SQLModel.metadata.tables[name]
    return set(
        session.execute(
            table.select()
            .with_only_columns(table.c.employee_id)
            .distinct()
            .where(table.c.tenant_id == tenant_of(session))
        ).scalars()
    )


def _empty(kernel: Kernel, ref: KeyRef, now: datetime) -> bool:
    """Whether the class holds no object; weights that a lost run left without a row are deleted on the way."""
    stored = kernel.objects.list(f"tenants/{ref.tenant}/employees/{ref.owner}/{ref.cls}")
    if ref.cls == KeyClass.MODEL:
        for orphan in [one for one in stored if one.modified < now - ORPHAN_AGE]:
            kernel.objects.delete(orphan.path)
            stored.remove(orphan)
    return not stored


# Warning


@jobs.every(timedelta(hours=1))
def warn(kernel: Kernel, now: datetime) -> None:
    """A mail 7 days and 1 day before headshots go, to people who took part; once for each."""
    for tenant in tenants.all_ids(kernel):
        try:
            with kernel.db.transaction(tenant) as session:
                found = {(person.id, days): (person, last) for person, days, last in _to_warn(session, now)}
        except Exception:  # As in `sweep`.
            log.exception("warnings failed", extra={"tenant": str(tenant)})
            continue

        def warn_one(
            session: Session, about: tuple[UUID, int], found: dict[tuple[UUID, int], tuple[Employee, datetime]] = found
        ) -> None:
            person, last = found[about]
            _warn(session, kernel, person, about[1], last)

        sweeping.each(kernel, "warn", tenant, found, now, warn_one)


def _to_warn(session: Session, now: datetime) -> Iterator[tuple[Employee, int, datetime]]:
    """People whose last headshots go soon, with the days that are left and the day itself."""
    for days in WARN_DAYS:
        rows = session.exec(
            select(Employee, Headshot.due_at)
            .join(
                Headshot,
                (col(Headshot.tenant_id) == col(Employee.tenant_id)) & (col(Headshot.employee_id) == col(Employee.id)),
            )
            .where(
                col(Employee.tenant_id) == tenant_of(session),
                col(Employee.opted_out_at).is_(None),
                col(Headshot.due_at) > now + timedelta(days=days - 1),
                col(Headshot.due_at) <= now + timedelta(days=days),
                # Headshots kept for less than that were announced with their last day when they were made.
                col(Headshot.created_at) < col(Headshot.due_at) - timedelta(days=days),
            )
        ).all()
        last: dict[UUID, tuple[Employee, datetime]] = {}
        for person, due_at in rows:
            if person.id not in last or last[person.id][1] < due_at:
                last[person.id] = (person, due_at)
        for person, due_at in last.values():
            yield person, days, due_at


WORDS = {
    "en": (
        "Your headshots are deleted on {day}",
        "Hello {name},\n\nyour headshots at {company} are deleted on {day}{left}.\n"
        "What you released and your company downloaded stays with your company. If you want to keep pictures for"
        " yourself, download them before that day; your last invitation mail leads to them.\n\nLikeness\n",
        ", in one day",
        ", in {days} days",
    ),
    "de": (
        "Ihre Porträts werden am {day} gelöscht",
        "Guten Tag {name},\n\nIhre Porträts bei {company} werden am {day} gelöscht{left}.\n"
        "Was Sie freigegeben haben und Ihr Unternehmen heruntergeladen hat, bleibt dort. Wenn Sie Bilder für sich"
        " behalten möchten, laden Sie sie vorher herunter; Ihre letzte Einladung führt Sie dorthin.\n\nLikeness\n",
        ", also in einem Tag",
        ", also in {days} Tagen",
    ),
}


def _warn(session: Session, kernel: Kernel, person: Employee, days: int, due_at: datetime) -> None:
    try:
        who = employees.profile(kernel.keys, person)
    except Gone:
        return
    subject, words, one_day, more_days = WORDS[texts.language_for(who.language)]
    day = f"{due_at:%Y-%m-%d}"
    left = one_day if days == 1 else more_days.format(days=days)
    letter = Letter(
        who.email,
        subject.format(day=day),
        words.format(name=who.full_name, company=tenants.get(session).name, day=day, left=left),
    )
    mail.post(session, kernel.keys, person.id, letter, template="expiry", campaign=f"{day}:{days}")

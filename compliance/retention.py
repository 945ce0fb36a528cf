"""Retention: what has come to its last day goes, and the key of a class goes with the last object of that class.

Every row carries the absolute time of its deletion. Objects go before their rows, so a crash in between repeats a
deletion and forgets none. A key that ended this way may be followed by a fresh one, because the person may come back
for a reshoot; copies in backups stay unreadable.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Table
from sqlmodel import Session, SQLModel, col, select

from batch import employees, texts
from batch.models import Employee, Headshot
from compliance import holds, stores
from likeness import jobs, ledger, mail
from likeness.db import tenant_of
from likeness.errors import Gone
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyRef
from likeness.mail import Letter
from tenants import tenants

log = logging.getLogger(__name__)

ROWS = 200
"""In one transaction, so that 10,000 due objects are many short ones."""
YOUNG_KEY = timedelta(hours=1)
"""A key is made just before its first object; it is not mistaken for one whose last object went."""
ORPHAN_AGE = timedelta(hours=24)
"""A run that is lost may have written weights without a row; a run that lives writes its row within hours."""
WARN_DAYS = (7, 1)


@jobs.every(timedelta(minutes=1))
def sweep(kernel: Kernel, now: datetime) -> None:
    """Deletes what is due; safe to repeat, and one company's failure does not stop the others'."""
    for tenant in tenants.all_ids(kernel):
        try:
            delete_due(kernel, tenant, now)
            retire_keys(kernel, tenant, now)
        except Exception:  # As above; the next minute tries again.
            log.exception("retention failed", extra={"tenant": str(tenant)})


def delete_due(kernel: Kernel, tenant: UUID, now: datetime) -> int:
    """Returns how many objects went with their rows."""
    deleted = 0
    for due in stores.DUE:
        while count := _delete_some(kernel, tenant, due, now):
            deleted += count
    while count := _delete_weights_without_photos(kernel, tenant, now):
        deleted += count
    return deleted


def _delete_some(kernel: Kernel, tenant: UUID, due: stores.Due, now: datetime) -> int:
    table = SQLModel.metadata.tables[due.table]
    with kernel.db.transaction(tenant) as session:
        rows = session.execute(
            table.select()
            .with_only_columns(table.c.id, table.c.employee_id, table.c.path)
            .where(
                table.c.tenant_id == tenant_of(session),
                table.c.due_at <= now,
                table.c.employee_id.not_in(holds.held(session, now)),
            )
            .order_by(table.c.due_at)
            .limit(ROWS)
            .with_for_update(skip_locked=True)
        ).all()
        return _delete(session, kernel, table, due.event, rows)


def _delete_weights_without_photos(kernel: Kernel, tenant: UUID, now: datetime) -> int:
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
                ~left.exists(),
            )
            .limit(ROWS)
            .with_for_update(skip_locked=True)
        ).all()
        return _delete(session, kernel, weights, "weights.expired", rows)


def _delete(session: Session, kernel: Kernel, table: Table, event: str, rows: Iterable[Any]) -> int:
    found = list(rows)
    if not found:
        return 0
    for row in found:
        kernel.objects.delete(row.path)
    session.execute(
        table.delete().where(table.c.tenant_id == tenant_of(session), table.c.id.in_([row.id for row in found]))
    )
    for person in dict.fromkeys(row.employee_id for row in found):
        gone = [row.id for row in found if row.employee_id == person]
        ledger.record(session, event, subject=person, objects=gone)
    return len(found)


def retire_keys(kernel: Kernel, tenant: UUID, now: datetime) -> int:
    """Destroys the keys of classes of which a person has nothing left; returns how many."""
    classes = {due.cls: due for due in stores.DUE}
    refs = [ref for ref in kernel.keys.refs(tenant) if ref.cls in classes]
    old = [ref for ref in refs if (made := kernel.keys.made_at(ref)) is None or made < now - YOUNG_KEY]
    if not old:
        return 0
    with kernel.db.transaction(tenant) as session:
        kept = holds.held(session, now)
        owners = {cls: _owners(session, due.table) for cls, due in classes.items()}
    retired = [
        ref for ref in old if ref.owner not in owners[ref.cls] and ref.owner not in kept and _empty(kernel, ref, now)
    ]
    for ref in retired:
        kernel.keys.destroy(ref, now, final=False)
    if retired:
        with kernel.db.transaction(tenant) as session:
            for ref in retired:
                ledger.record(session, "key.destroyed", subject=ref.owner)
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
                for person, days, last in list(_to_warn(session, now)):
                    _warn(session, kernel, person, days, last)
        except Exception:  # As in `sweep`.
            log.exception("warnings failed", extra={"tenant": str(tenant)})


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

"""Retention: what has come to its last day goes, and the key of a class goes with the last object of that class.

Every row carries the absolute time of its deletion. Objects go before their rows, so a crash in between repeats a
deletion and forgets none. An object that cannot be deleted keeps its row, which tells how late it is (`lateness.py`),
and holds up no other. A key that ended this way may be followed by a fresh one, because the person may come back
for a reshoot; copies in backups stay unreadable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from math import ceil
from typing import Any
from uuid import UUID

from sqlalchemy import Table, func, or_, text
from sqlmodel import Session, SQLModel, col, select

from batch.models import Employee, Headshot
from batch.people import employees
from batch.people.held import free
from compliance import holds, stores
from compliance.models import Erasure, ErasureState, Trigger
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.ground.errors import Gone
from likeness.jobs import jobs, sweeping
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.ledger import LedgerEntry
from likeness.mail import mail
from likeness.mail.mail import Mail
from likeness.store.storage import StoreSilent
from tenants import tenants

log = logging.getLogger(__name__)

SWEEP = "retention"
ROWS = 200
"""In one round, so that the rows of 10,000 due objects go in many short transactions. The store is asked in none: one that
is slow to answer would hold the connection and the rows."""
YOUNG_KEY = timedelta(hours=1)
"""A key is made just before its first object; it is not mistaken for one whose last object went."""
ORPHAN_AGE = timedelta(hours=24)
"""A run that is lost may have written weights without a row; a run that lives writes its row within hours."""
WARN_DAYS = (7, 1)


@jobs.every(timedelta(minutes=1), deletes=True)
def sweep(kernel: Kernel, now: datetime) -> None:
    """Deletes what is due; safe to repeat, and one company's failure does not stop the others'."""
    for step in (shorten, delete_due, retire_keys):
        tenants.each_id(kernel, step, now)


NOTICE_OF = timedelta(days=1)
"""Headshots whose last day comes nearer stay for as long as this, so that their people are warned and can take them."""
UPLOAD = "upload"
"""Gone a day after it began, whatever the terms are."""
SHORTENED = tuple(
    text(
        f"update {due.table} set due_at = {day} from tenant"  # noqa: S608
        f" where tenant.id = {due.table}.tenant_id and tenant.id = :tenant and due_at > {day}"
    )
    for due in stores.DUE
    if due.table != UPLOAD
    for days in ["tenant.headshot_days" if due.cls == KeyClass.HEADSHOT else "tenant.source_days"]
    for last in [f"{due.table}.created_at + make_interval(hours => 24 * {days})"]
    for day in [f"greatest({last}, :warned)" if due.cls == KeyClass.HEADSHOT else last]
)


def shorten(kernel: Kernel, tenant: UUID, now: datetime) -> int:
    """Terms that a company made shorter reach what is stored already; returns of how many things the last day moved."""
    with kernel.db.transaction(tenant) as session:
        about = {"tenant": tenant, "warned": now + NOTICE_OF}
        moved = sum(session.connection().execute(one, about).rowcount for one in SHORTENED)
        if moved:
            ledger.record(session, "retention.shortened", objects=[tenant])
    return moved


@dataclass(frozen=True)
class DeletionRound:
    """How many went, and the ids of those whose object could not be deleted: their rows stay, and are late."""

    deleted: int
    failed: set[UUID]
    store_away: bool
    """It is not these objects: the next pass of the sweep will see."""


def delete_due(kernel: Kernel, tenant: UUID, now: datetime) -> int:
    """Returns how many objects went with their rows."""
    rounds: list[Callable[..., DeletionRound]] = [partial(_delete_some, due=due) for due in stores.DUE]
    return sum(_delete_all(kernel, tenant, now, some) for some in [*rounds, _delete_weights_without_photos])


def _delete_all(kernel: Kernel, tenant: UUID, now: datetime, some: Callable[..., DeletionRound]) -> int:
    """Until nothing is left but what failed in this round or pauses from an earlier one."""
    deleted = 0
    aside = {one for one in kernel.failures.paused(SWEEP, now) if isinstance(one, UUID)}
    while True:
        went = some(kernel, tenant, now=now, aside=aside)
        deleted, aside = deleted + went.deleted, aside | went.failed
        if went.store_away or (not went.deleted and not went.failed):
            return deleted


def _delete_some(
    kernel: Kernel, tenant: UUID, *, due: stores.Due, now: datetime, aside: set[UUID]
) -> DeletionRound:
    table = SQLModel.metadata.tables[due.table]
    with kernel.db.transaction(tenant) as session:
        rows = session.execute(
            table.select()
            .with_only_columns(table.c.id, table.c.employee_id, table.c.path)
            .where(
                table.c.tenant_id == tenant_of(session),
                table.c.due_at <= now,
                free(due.table, due.cls, now),
                table.c.id.not_in(aside),
            )
            .order_by(table.c.due_at)
            .limit(ROWS)
        ).all()
    return _delete(kernel, tenant, table, due.event, rows, now)


def _delete_weights_without_photos(
    kernel: Kernel, tenant: UUID, *, now: datetime, aside: set[UUID]
) -> DeletionRound:
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
                free("weights", KeyClass.MODEL, now),
                weights.c.id.not_in(aside),
                ~left.exists(),
            )
            .limit(ROWS)
        ).all()
    return _delete(kernel, tenant, weights, "weights.expired", rows, now)


def _delete(
    kernel: Kernel, tenant: UUID, table: Table, event: str, rows: Iterable[Any], now: datetime
) -> DeletionRound:
    found: list[Any] = []
    failed: set[UUID] = set()
    silent: set[UUID] = set()
    """People of whom the store kept an answer back. It is not waited for once more in this round, since others wait."""
    tried = 0
    for row in rows:
        if row.employee_id in silent:
            kernel.failures.note(SWEEP, row.id, now)
            failed.add(row.id)
            continue
        try:
            if row.path:  # An upload that is a photo by now has nothing of its own.
                kernel.objects.delete(row.path)
        except Exception as error:  # One object's trouble keeps no other from going.
            if isinstance(error, StoreSilent):
                silent.add(row.employee_id)
            sweeping.failed(kernel, SWEEP, tenant, row.id, now)
            failed.add(row.id)
            tried += 1
            if len(silent) >= sweeping.SILENCES or (not found and tried >= sweeping.FAILURES_IN_A_ROW):
                break
        else:
            kernel.failures.forget(SWEEP, row.id)
            found.append(row)
    away = len(silent) >= sweeping.SILENCES or (not found and tried >= sweeping.FAILURES_IN_A_ROW)
    if not found:
        return DeletionRound(0, failed, away)
    with kernel.db.transaction(tenant) as session:
        mine = (table.c.tenant_id == tenant, table.c.id.in_([row.id for row in found]))
        # Whoever else deleted one of them meanwhile has put it on record.
        went = session.execute(table.delete().where(*mine).returning(table.c.id, table.c.employee_id)).all()
        for person in dict.fromkeys(row.employee_id for row in went):
            gone = [row.id for row in went if row.employee_id == person]
            ledger.record(session, event, subject=person, objects=gone)
    return DeletionRound(len(found), failed, away)


def retire_keys(kernel: Kernel, tenant: UUID, now: datetime) -> int:
    """Destroys the keys of classes of which a person has nothing left; returns how many."""
    classes = {due.cls for due in stores.DUE}
    refs = [ref for ref in kernel.keys.refs(tenant) if ref.cls in classes]
    old = [ref for ref in refs if (made := kernel.keys.made_at(ref)) is None or made < now - YOUNG_KEY]
    if not old:
        return 0
    with kernel.db.transaction(tenant) as session:
        kept = {cls: holds.held(session, now, cls) for cls in classes}
        owners: dict[KeyClass, set[UUID]] = {cls: set() for cls in classes}
        for due in stores.DUE:
            owners[due.cls] |= _owners(session, due.table)
    over = [ref for ref in old if ref.owner not in owners[ref.cls] and ref.owner not in kept[ref.cls]]
    retired = []

    def retire(ref: KeyRef) -> None:
        if not _empty(kernel, ref, now):
            return
        with kernel.db.transaction(tenant) as session:
            kernel.keys.destroy(ref, now, final=False)
            ledger.record(session, "key.destroyed", subject=ref.owner)
            _leave_to_certify(session, ref, now)
        retired.append(ref)

    sweeping.alone(kernel, "retire-keys", tenant, over, now, retire)
    return len(retired)


def _leave_to_certify(session: Session, ref: KeyRef, now: datetime) -> None:
    """What went on its day, and not by the person's own hand, is looked for again and certified: `erasure/scheduled.py`."""
    mine = (col(Erasure.tenant_id) == ref.tenant, col(Erasure.employee_id) == ref.owner, col(Erasure.scope) == str(ref.cls))
    last = session.exec(select(Erasure.deleted_at).where(*mine).order_by(col(Erasure.deleted_at).desc())).first()
    events = {due.event for due in stores.DUE if due.cls == ref.cls}
    gone = [
        entry
        for entry in ledger.entries(session, subject=ref.owner)
        if entry.event in events and (last is None or entry.at > last)
    ]
    if not gone:
        return
    count = sum(len(entry.objects) for entry in gone)
    counts = {str(ref.cls): {"objects": count, "bytes": None, "created": None, "due": None}}
    session.add(
        Erasure(
            tenant_id=ref.tenant, employee_id=ref.owner, trigger=Trigger.RETENTION, scope=str(ref.cls),
            state=ErasureState.VERIFYING, requested_by=ledger.SYSTEM, requested_at=min(entry.at for entry in gone),
            deleted_at=now, settled_at=now, counts=counts, traces={"keys": [str(ref.cls)]},
        )
    )  # fmt: skip


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
                told = _warned(session)
                found = {about: it for about, it in found.items() if (about[0], _campaign(it[1], about[1])) not in told}
        except Exception:  # As in `sweep`.
            log.exception("warnings failed", extra={"tenant": str(tenant)})
            continue

        def warn_one(
            session: Session, about: tuple[UUID, int], found: dict[tuple[UUID, int], tuple[Employee, datetime]] = found
        ) -> None:
            person, last = found[about]
            _warn(session, kernel, person, about[1], last, now)

        sweeping.each(kernel, "warn", tenant, found, now, warn_one)


def _to_warn(session: Session, now: datetime) -> Iterator[tuple[Employee, int, datetime]]:
    """People whose last headshots go soon, with which of the warnings it is, and the day itself; those too whose day was
    brought forward past the time of a warning."""
    shortened = _shortened_at(session)
    for days, sooner in zip(WARN_DAYS, (*WARN_DAYS[1:], 0), strict=True):
        rows = session.exec(
            select(Employee, Headshot.due_at)
            .join(
                Headshot,
                (col(Headshot.tenant_id) == col(Employee.tenant_id)) & (col(Headshot.employee_id) == col(Employee.id)),
            )
            .where(
                col(Employee.tenant_id) == tenant_of(session),
                col(Employee.opted_out_at).is_(None),
                col(Headshot.due_at) > now + timedelta(days=sooner),
                col(Headshot.due_at) <= now + timedelta(days=days),
                # Headshots kept for less than that were announced with their last day when they were made, unless it
                # was brought forward since.
                or_(
                    col(Headshot.created_at) < col(Headshot.due_at) - timedelta(days=days),
                    col(Headshot.created_at) < shortened,
                ),
            )
        ).all()
        last: dict[UUID, tuple[Employee, datetime]] = {}
        for person, due_at in rows:
            if person.id not in last or last[person.id][1] < due_at:
                last[person.id] = (person, due_at)
        for person, due_at in last.values():
            yield person, days, due_at


def _warned(session: Session) -> set[tuple[UUID, str]]:
    rows = session.execute(
        select(col(Mail.owner_id), col(Mail.campaign)).where(
            col(Mail.tenant_id) == tenant_of(session), col(Mail.template) == "expiry"
        )
    )
    return {(owner, campaign) for owner, campaign in rows}


def _shortened_at(session: Session) -> datetime:
    """When the company's terms were last changed."""
    changed = session.execute(
        select(func.max(col(LedgerEntry.at))).where(
            col(LedgerEntry.tenant_id) == tenant_of(session), col(LedgerEntry.event) == "tenant.changed"
        )
    ).scalar()
    return changed or datetime.fromtimestamp(0, UTC)


def _campaign(due_at: datetime, days: int) -> str:
    return f"{due_at:%Y-%m-%d}:{days}"


def _warn(session: Session, kernel: Kernel, person: Employee, days: int, due_at: datetime, now: datetime) -> None:
    try:
        who = employees.profile(kernel.keys, person)
    except Gone:
        return
    tenant = tenants.get(session)
    reads = employees.words(kernel.keys, person, tenant)
    letter = employees.letter(
        "expiry",
        reads,
        who,
        tenant,
        day=reads.day(due_at),
        left=reads.ngettext("in {n} day", "in {n} days", ceil((due_at - now) / timedelta(days=1))),
    )
    mail.post(session, kernel.keys, person.id, letter, template="expiry", campaign=_campaign(due_at, days))

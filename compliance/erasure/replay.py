"""After a restore: a new epoch of the log, and once more whatever had narrowed something since the backup was taken.

Every start comes here before anybody is served, and the leading process when it notices that its database is another.
What lies outside the database says how far each company's log had come; a database that is behind was restored. Then the
log goes on in a new epoch whose first entry names the gap, everybody is signed out, and each narrowing act that the
database does not know of is carried out again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, text
from sqlmodel import Session, col, select

from compliance import repeating
from compliance.erasure import certifying, staying, wiping
from compliance.models import Certificate
from likeness import ledger
from likeness.evidence.outside import NARROWING, Act, LogHead, Outside
from likeness.ground.db import PLATFORM, tenant_of, utc_now
from likeness.identity import SignInLink, WebSession
from likeness.jobs import held as waiting
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from tenants import tenants

ONE_AT_A_TIME = 7465751
"""Several processes may start together over a restored database."""
REPEATED = "act.repeated"
REPEAT = {**repeating.REPEAT, "erasure.withdrawn": staying.repeat}
CAUGHT_UP = timedelta(hours=26)


@dataclass
class Report:
    """What stayed away although a backup had brought it back."""

    epochs: dict[UUID, int] = field(default_factory=dict)
    """Companies whose log was behind, with the epoch that was opened."""
    acts: list[Act] = field(default_factory=list)
    people: int = 0
    certificates: int = 0
    lost: list[UUID] = field(default_factory=list)
    """Companies that are known outside and that this database lacks: they came after the backup."""


def after_restore(kernel: Kernel) -> Report:
    """Safe to repeat; changes nothing where nothing was restored. Raises `ValueError` where what is kept outside cannot be
    read, and what the counter's store raises: then nothing is served.
    """
    report = Report()
    with kernel.db.lone_connection() as alone:
        # Of the connection, not of a transaction: one that idles for minutes is ended by the server.
        alone.execute(text("select pg_advisory_lock(:key)"), {"key": ONE_AT_A_TIME})
        alone.commit()
        known = _companies(kernel)
        for tenant in sorted(known, key=str):
            _resume(kernel, tenant, report)
        report.people = wiping.replay_tombstones(kernel)
        for tenant in sorted(known, key=str):
            report.certificates += _certificates(kernel, tenant)
        report.lost = lost(kernel)
    return report


def lost(kernel: Kernel) -> list[UUID]:
    """Companies whose log is known outside and that are not in this database. Their objects and keys are still there, and
    no sweep, which goes by companies, deletes them on their day. Nothing is deleted for that reason: the database may be a
    wrong one."""
    return sorted(kernel.db.outside.tenants() - _companies(kernel), key=str)


def was_restored(kernel: Kernel) -> bool:
    """Whether the database was put back under this running process since it last asked.

    What is noted outside is read before the log: a head is noted after its commit, so a log that lacks it lost it. What
    this process has seen itself is asked for as well, because entries after the restore overtake what was noted.
    """
    return any([_was_behind(kernel, tenant) for tenant in _companies(kernel)])


def _was_behind(kernel: Kernel, tenant: UUID) -> bool:
    outside: Outside = kernel.db.outside
    heads = [one for one in (outside.noted(tenant), outside.seen.get(tenant)) if one is not None]
    with kernel.db.transaction(tenant) as session:
        if any(_is_behind(session, one) for one in heads):
            return True
        if (last := ledger.head(session)) is not None:
            outside.seen[tenant] = LogHead(last.epoch, last.position + 1, last.sequence, last.leaf)
    return False


def _companies(kernel: Kernel) -> set[UUID]:
    with kernel.db.transaction(PLATFORM) as session:
        return set(session.execute(text("select id from tenant")).scalars())


def _resume(kernel: Kernel, tenant: UUID, report: Report) -> None:
    outside: Outside = kernel.db.outside
    # What this process has seen is dropped here: with the new epoch it is history.
    heads = [one for one in (outside.head(tenant), outside.seen.pop(tenant, None)) if one is not None]
    with kernel.db.transaction(tenant) as session:
        known = next((one for one in heads if _is_behind(session, one)), None)
        missing = _unknown(session, outside.acts(tenant))
        if known is not None:
            report.epochs[tenant] = _open_epoch(session, known)
            for table in (WebSession, SignInLink):
                session.execute(delete(table).where(col(table.tenant_id) == tenant))
            waiting.forget(session)
        for act in missing:
            REPEAT[act.event](session, kernel, act)
            report.acts.append(act)
            ledger.record(session, REPEATED, subject=act.subject, objects=[f"{act.event}:{act.leaf.hex()}"])


def _unknown(session: Session, acts: list[Act]) -> list[Act]:
    """Those that this database has no entry of, in the order in which they happened.

    Each is looked for by itself: one that `catch_up` laid down late stands behind newer ones, and that it is known says
    nothing of these.
    """
    if not acts:
        return []
    mine = col(LedgerEntry.tenant_id) == tenant_of(session)
    known = set(session.exec(select(LedgerEntry.leaf).where(mine, col(LedgerEntry.event).in_(NARROWING))))
    repeated = {
        bytes.fromhex(one.rpartition(":")[2])
        for objects in session.exec(select(LedgerEntry.objects).where(mine, col(LedgerEntry.event) == REPEATED))
        for one in objects
    }
    return sorted((act for act in acts if act.leaf not in known | repeated), key=lambda act: act.at)


def _is_behind(session: Session, known: LogHead) -> bool:
    last = ledger.head(session)
    here = (last.epoch, last.position + 1) if last else (1, 0)
    if here < known.place:
        return True
    if known.leaf is None:
        return False
    there = session.exec(
        select(LedgerEntry.leaf).where(
            col(LedgerEntry.tenant_id) == tenant_of(session),
            col(LedgerEntry.epoch) == known.epoch,
            col(LedgerEntry.position) == known.size - 1,
        )
    ).first()
    return there != known.leaf


def _open_epoch(session: Session, known: LogHead) -> int:
    """Its first entry says how far the log had come, and how much of that is here."""
    ledger.lock(session)
    last = ledger.head(session)
    epoch = max(known.epoch, last.epoch if last else 1) + 1
    here = f"{last.epoch}/{last.position + 1}" if last else "1/0"
    opening = LedgerEntry(
        tenant_id=tenant_of(session),
        epoch=epoch,
        position=0,
        sequence=max(known.sequence, last.sequence if last else 0) + 1,
        at=utc_now(),
        event=ledger.OPENED,
        caller=ledger.SYSTEM,
        objects=[f"held:{here}", f"known:{known.epoch}/{known.size}"],
        leaf=b"",
    )
    ledger.add(session, (opening, {}))
    return epoch


def _certificates(kernel: Kernel, tenant: UUID) -> int:
    kept = kernel.db.outside.certificates(tenant)
    if not kept:
        return 0
    with kernel.db.transaction(tenant) as session:
        known = set(session.exec(select(Certificate.id).where(col(Certificate.tenant_id) == tenant)))
        missing = sorted(set(kept) - known, key=str)
        return sum(certifying.give_back(session, kernel, json.loads(kept[one].read_bytes())) for one in missing)


@jobs.every(timedelta(hours=1))
def catch_up(kernel: Kernel, now: datetime) -> None:
    """Acts that a full disk kept from being laid down are taken from the log."""
    for tenant in (*tenants.all_ids(kernel), PLATFORM):
        outside: Outside = kernel.db.outside
        laid = {act.leaf for act in outside.acts(tenant)}
        with kernel.db.transaction(tenant) as session:
            lately = session.exec(
                select(LedgerEntry)
                .where(
                    col(LedgerEntry.tenant_id) == tenant,
                    col(LedgerEntry.at) > now - CAUGHT_UP,
                    col(LedgerEntry.event).in_(NARROWING),
                )
                .order_by(col(LedgerEntry.sequence))
            ).all()
        for one in lately:
            if one.leaf not in laid:
                subject = UUID(one.subject) if one.subject else None
                outside.lay(Act(one.event, tenant, one.at, subject, tuple(one.objects), one.leaf, {}))

"""A backup that was put back is told: to operators in the log, by a figure and on their page, to them and legal by mail.

What is told is read from the companies' own logs, which go on in a new epoch from there: counts and times, nobody's name.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import Session, col, select

from compliance.erasure import replay
from likeness import ledger
from likeness.ground.db import PLATFORM, tenant_of
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from likeness.locale.words import words as words_for
from likeness.mail import letters, mail
from tenants import tenants
from tenants.members import members
from tenants.models import Role

log = logging.getLogger(__name__)

SHOWN, MAILED = timedelta(days=30), timedelta(days=7)


@dataclass(frozen=True)
class Restored:
    at: datetime
    """Of the newest, when the first start after it noticed."""
    companies: int
    """Whose logs go on in a new epoch, the operators' own among them."""
    acts: int
    """What had narrowed something since the backup, and was carried out again."""


def start(kernel: Kernel) -> None:
    """What each start does before anybody is served. Raises what `replay.after_restore` raises."""
    report = replay.after_restore(kernel)
    for what, count in (
        ("a restored backup was noticed: logs that go on in a new epoch", len(report.epochs)),
        ("a restored backup was noticed: narrowing acts that were carried out again", len(report.acts)),
        ("a restored backup was noticed: people who were deleted again", report.people),
        ("a restored backup was noticed: certificates that were put back", report.certificates),
    ):
        if count:
            log.warning(what, extra={"count": count})
    for tenant in report.lost:
        log.error("this database lacks a company whose files and keys are here", extra={"tenant": str(tenant)})


@jobs.every(timedelta(seconds=20))
def notice(kernel: Kernel, now: datetime) -> None:
    """A database that is put back under a running site is dealt with as at a start, within a minute."""
    if replay.was_restored(kernel):
        start(kernel)


def of_all(kernel: Kernel, now: datetime) -> Restored | None:
    """Of the last thirty days; None where nothing was restored."""
    found = []
    for tenant in (*tenants.all_ids(kernel), PLATFORM):
        with kernel.db.transaction(tenant) as session:
            opened = _opened(session, now - SHOWN)
            if opened:
                found.append((opened[-1].at, _again(session, opened[0].at)))
    if not found:
        return None
    return Restored(max(at for at, _ in found), len(found), sum(acts for _, acts in found))


def _opened(session: Session, since: datetime) -> list[LedgerEntry]:
    mine = (col(LedgerEntry.tenant_id) == tenant_of(session), col(LedgerEntry.event) == ledger.OPENED)
    query = select(LedgerEntry).where(*mine, col(LedgerEntry.at) > since)
    return list(session.exec(query.order_by(col(LedgerEntry.sequence))))


def _again(session: Session, since: datetime) -> int:
    mine = (col(LedgerEntry.tenant_id) == tenant_of(session), col(LedgerEntry.event) == replay.REPEATED)
    return session.exec(select(func.count(col(LedgerEntry.id))).where(*mine, col(LedgerEntry.at) >= since)).one()


@jobs.every(timedelta(minutes=10))
def tell(kernel: Kernel, now: datetime) -> None:
    """A mail to each of the company's legal, and to each operator, once for each epoch."""
    tenants.for_each(kernel, lambda session: _mail(session, kernel, Role.LEGAL, "/legal/ledger", now))
    with kernel.db.transaction(PLATFORM) as session:
        _mail(session, kernel, Role.OPERATOR, "/operations", now)


def _mail(session: Session, kernel: Kernel, role: Role, page: str, now: datetime) -> None:
    for opened in _opened(session, now - MAILED):
        company, again = tenants.get(session), _again(session, opened.at)
        reads = words_for(company.language, company.time_zone)
        for member in members.all(session):
            if member.disabled_at is None and role in member.roles:
                who = members.profile(kernel.keys, member)
                letter = letters.letter(
                    "restored", reads, who.email, name=who.name, controller=company.name, colour=company.colour,
                    at=reads.moment(opened.at), epoch=str(opened.epoch), again=reads.number(again),
                    link=f"{kernel.settings.public_url.rstrip('/')}{page}",
                )  # fmt: skip
                campaign = f"epoch:{opened.epoch}"
                mail.post(session, kernel.keys, member.id, letter, template="restored", campaign=campaign)

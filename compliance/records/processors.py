"""Sub-processors: announced before they begin; every company's owners and legal are told of each (GDPR article 28(2))."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from compliance.models import SubProcessor
from likeness import ledger
from likeness.ground.db import PLATFORM, tenant_of
from likeness.ground.errors import Conflict, NotFound, Unprocessable
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.locale.words import words
from likeness.mail import letters, mail
from tenants import tenants
from tenants.members import members
from tenants.models import Member, Role, Tenant
from tenants.plain import one_line

NOTICE = timedelta(days=30)
"""A company has so long to object before another one begins."""
TOLD = frozenset({Role.OWNER, Role.LEGAL})


class AnnouncedAlready(Conflict):
    """There is a sub-processor of this name."""

    title = "This sub-processor was announced already"


class TooSoon(Unprocessable):
    """Companies have to be told thirty days before."""

    title = "Companies have to be told thirty days before"


class ProcessorMissing(NotFound):
    """There is no such sub-processor."""

    title = "There is no such sub-processor"


def announce(
    session: Session, name: str, *, purpose: str, country: str, safeguards: str, begins_at: datetime, now: datetime
) -> SubProcessor:
    """In a transaction of the operators' tenant. Raises `AnnouncedAlready`, `TooSoon` and `TextRefused`.

    Where no company is there yet nobody has to be told, so that it may begin at once.
    """
    said = one_line(name, 200, "name")
    if any(one.name == said for one in current(session)):
        raise AnnouncedAlready(
            "{name} is on the list already. End that entry first, if something about it changes.", name=said
        )
    if begins_at < now + NOTICE and _anybody(session):
        raise TooSoon("Companies are told {n} days before. Nothing was announced.", n=NOTICE.days)
    made = SubProcessor(
        tenant_id=tenant_of(session), name=said, purpose=one_line(purpose, 300, "purpose"),
        country=one_line(country, 100, "country"),
        safeguards=one_line(safeguards, 300, "safeguards") if safeguards.strip() else "",
        announced_at=now, begins_at=max(begins_at, now),
    )  # fmt: skip
    session.add(made)
    session.flush()
    ledger.record(session, "processor.announced", objects=[made.id])
    return made


def _anybody(session: Session) -> bool:
    here = select(Tenant.id).where(col(Tenant.id) != PLATFORM, col(Tenant.left_at).is_(None))
    return session.exec(here.limit(1)).first() is not None


def end(session: Session, name: str, now: datetime) -> SubProcessor:
    """Raises `ProcessorMissing`."""
    for one in current(session):
        if one.name == name:
            one.ended_at = now
            session.add(one)
            ledger.record(session, "processor.ended", objects=[one.id])
            return one
    raise ProcessorMissing("No sub-processor of the name {name} is on the list.", name=name)


def current(session: Session) -> list[SubProcessor]:
    """Those that process or are going to. In a transaction of the operators' tenant, as everything here."""
    mine = (col(SubProcessor.tenant_id) == tenant_of(session), col(SubProcessor.ended_at).is_(None))
    return list(session.exec(select(SubProcessor).where(*mine).order_by(col(SubProcessor.begins_at))))


def everything(session: Session) -> list[SubProcessor]:
    """With those that ended."""
    mine = col(SubProcessor.tenant_id) == tenant_of(session)
    return list(session.exec(select(SubProcessor).where(mine).order_by(col(SubProcessor.announced_at))))


@jobs.every(timedelta(minutes=1))
def tell(kernel: Kernel, now: datetime) -> None:
    """A mail to each owner and each of legal of every company, once for each announcement that has not begun yet."""
    with kernel.db.transaction(PLATFORM) as session:
        coming = [one for one in current(session) if one.begins_at > now]
    if coming:
        tenants.for_each(kernel, lambda session: _tell(session, kernel, coming))


def _tell(session: Session, kernel: Kernel, coming: list[SubProcessor]) -> None:
    company = tenants.get(session)
    for one in coming:
        written = [
            mail.post(session, kernel.keys, member.id, _letter(kernel, member, company, one),
                      template="processor", campaign=str(one.id))
            for member in those_told(session)
        ]  # fmt: skip
        if any(written):
            ledger.record(session, "processor.announced", objects=[one.id])


def those_told(session: Session) -> list[Member]:
    """Who answers for the company, and works here."""
    return [one for one in members.all(session) if one.disabled_at is None and TOLD & set(one.roles)]


def _letter(kernel: Kernel, member: Member, company: Tenant, one: SubProcessor) -> mail.Letter:
    who, reads = members.profile(kernel.keys, member), words(company.language, company.time_zone)
    return letters.letter(
        "processor", reads, who.email, name=who.name, controller=company.name, colour=company.colour,
        processor=one.name, purpose=one.purpose, country=one.country,
        safeguards=one.safeguards or reads.gettext("none needed"), day=reads.day(one.begins_at),
        link=f"{kernel.settings.public_url.rstrip('/')}/trust",
    )  # fmt: skip

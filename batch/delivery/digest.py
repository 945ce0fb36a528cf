"""HR's morning mail: what happened since the last one and what waits for them, in numbers alone, on working days.

Nobody is named, and nothing is said of those who take no part. Where there is nothing to say, nothing is sent.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta

from sqlmodel import Session, col, func, select

from batch.models import Employee, Release
from batch.people import departments, funnel
from batch.people.funnel import Stage
from batch.sittings import approvals, headshots
from batch.visit import concerns
from likeness.ground.db import tenant_of
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.locale.words import Words, zone
from likeness.locale.words import words as words_for
from likeness.mail import letters, mail
from tenants import bounds, tenants
from tenants.members import members
from tenants.models import Role, Tenant

FROM, UNTIL = time(8), time(10)
"""When it is written, where the company is. After two hours it is left out rather than sent into the afternoon."""


@jobs.every(timedelta(minutes=15))
def write_digests(kernel: Kernel, now: datetime) -> None:
    def of_company(session: Session) -> None:
        tenant = tenants.get(session)
        here = now.astimezone(zone(tenant.time_zone))
        if here.weekday() < 5 and FROM <= here.time() < UNTIL:
            _write(session, kernel, tenant, here, now)

    tenants.for_each(kernel, of_company)


def _write(session: Session, kernel: Kernel, tenant: Tenant, here: datetime, now: datetime) -> None:
    """At most one a day to each of HR: a second run finds that it is written."""
    reads = words_for(tenant.language, tenant.time_zone)
    days = 3 if here.weekday() == 0 else 1
    since = datetime.combine(here.date() - timedelta(days=days), FROM, here.tzinfo).astimezone(UTC)
    for member in members.all(session):
        if Role.HR not in member.roles or not member.joined_at or member.disabled_at:
            continue
        # Whoever works for some departments reads of these alone.
        bounds.bind(session, None if member.departments is None else [bytes.fromhex(one) for one in member.departments])
        said = sentences(session, reads, since, now)
        if said:
            letter = letters.letter(
                "digest", reads, members.profile(kernel.keys, member).email, brand=tenant.name, colour=tenant.colour,
                lines="\n".join(f"* {one}" for one in said), link=f"{kernel.settings.public_url.rstrip('/')}/desk",
                controller=tenant.name, day=reads.day(now),
            )  # fmt: skip
            mail.post(session, kernel.keys, member.id, letter, template="digest", campaign=f"{here.date():%Y-%m-%d}")
    bounds.bind(session, None)


def sentences(session: Session, reads: Words, since: datetime, now: datetime) -> list[str]:
    """What there is to say; nothing of whatever is none."""
    stages: Counter[Stage] = Counter()
    needy: Counter[Stage] = Counter()
    for one in funnel.tallies(session, now):
        stages[one.stage] += one.people
        needy[one.stage] += len(one.needy)
    fetch, waiting = headshots.not_fetched(session, now), concerns.open_for(session, "hr")
    released, approve = _released(session, since), approvals.count(session, now)
    short = needy[Stage.UPLOADING]
    said = [
        (waiting, reads.ngettext("{n} person wrote that something is wrong and waits for an answer.",
                                 "{n} people wrote that something is wrong and wait for an answer.", waiting)),
        (stages[Stage.BOUNCED], reads.ngettext("{n} mail came back.", "{n} mails came back.", stages[Stage.BOUNCED])),
        (stages[Stage.STUCK], reads.ngettext("The headshots of {n} person do not move on.",
                                             "The headshots of {n} people do not move on.", stages[Stage.STUCK])),
        (stages[Stage.FAILED], reads.ngettext("{n} person has no headshot that passed the check.",
                                              "{n} people have no headshot that passed the check.",
                                              stages[Stage.FAILED])),
        (short, reads.ngettext("{n} person has been short of photos for three days or more.",
                               "{n} people have been short of photos for three days or more.", short)),
        (approve, reads.ngettext("{n} released headshot waits for your company's approval.",
                                 "{n} released headshots wait for your company's approval.", approve)),
        (released, reads.ngettext("{n} person released a headshot since {day}.",
                                  "{n} people released a headshot since {day}.", released, day=reads.day(since))),
        (fetch.headshots, reads.ngettext("{n} released headshot was not downloaded yet; it is deleted here on {day}.",
                                         "{n} released headshots were not downloaded yet; the first is deleted here on"
                                         " {day}.", fetch.headshots, day=reads.day(fetch.first_gone or now))),
    ]  # fmt: skip
    return [sentence for count, sentence in said if count]


def _released(session: Session, since: datetime) -> int:
    """People, not headshots."""
    return session.exec(
        select(func.count(func.distinct(Release.employee_id)))
        .join(
            Employee,
            (col(Employee.tenant_id) == col(Release.tenant_id)) & (col(Employee.id) == col(Release.employee_id)),
        )
        .where(
            col(Release.tenant_id) == tenant_of(session),
            col(Release.at) >= since,
            col(Employee.opted_out_at).is_(None),
            departments.within(session),
        )
    ).one()

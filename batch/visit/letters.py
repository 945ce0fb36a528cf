"""The letters that bring a person their link, in the language that they read."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from batch.models import Employee, Invitation, Link
from batch.people import employees, funnel, notes
from batch.visit import notices
from likeness import ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.settings import Settings
from likeness.identity import new_token, token_hash
from likeness.kernel import Kernel
from likeness.locale.words import words
from likeness.mail import mail
from likeness.mail.letters import letter, render
from likeness.mail.mail import Letter
from tenants import tenants


def post(
    session: Session, kernel: Kernel, invitation: Invitation, template: str, campaign: str, now: datetime,
    until: datetime, **facts: str,
) -> bool:  # fmt: skip
    """Makes a token and writes the mail that carries it, in one transaction: the token is in no other place. Whether the
    same one was not written before."""
    employee = employees.get(session, invitation.employee_id)
    token = new_token(invitation.tenant_id)
    letter = with_link(session, kernel, employee, template, token, until, **facts)
    mail_id = mail.post(session, kernel.keys, employee.id, letter, template=template, campaign=campaign)
    if mail_id is None:
        return False
    session.add(
        Link(
            tenant_id=invitation.tenant_id,
            employee_id=employee.id,
            invitation_id=invitation.id,
            token_hash=token_hash(token),
            mail_id=mail_id,
            created_at=now,
            expires_at=until,
        )
    )
    ledger.record(session, "invitation.sent", subject=employee.id, objects=[invitation.id])
    return True


def with_link(
    session: Session, kernel: Kernel, employee: Employee, template: str, token: str, until: datetime, **facts: str
) -> Letter:
    tenant, who = tenants.get(session), employees.profile(kernel.keys, employee)
    reads = employees.words(kernel.keys, employee, tenant)
    return letter(
        template,
        reads,
        who.email,
        colour=tenant.colour,
        name=who.full_name,
        link=address(kernel.settings, token),
        until=reads.day(until),
        note=notes.quoted(notes.for_people_of(session, kernel.keys, employee.batch_id)),
        photos=str(funnel.lines(session, utc_now(), employee_id=employee.id)[0].photos),
        **notices.terms(tenant, reads),
        **facts,
    )


def sample(session: Session, note: str, until: datetime) -> str:
    """The invitation as HR may read it before it leaves: in the company's language, to nobody, with a link to nowhere."""
    tenant = tenants.get(session)
    reads = words(tenant.language, tenant.time_zone)
    return render(
        "invitation", reads, name="…", link="https://…", until=reads.day(until), note=notes.quoted(note),
        photos="0", **notices.terms(tenant, reads),
    )  # fmt: skip


def address(settings: Settings, token: str) -> str:
    return f"{settings.public_url.rstrip('/')}/i/{token}"


def lead_anew(session: Session, people: Collection[UUID]) -> None:
    """The links that these people kept lead to the invitation that stands now."""
    session.execute(LED_ANEW, {"tenant": tenant_of(session), "people": list(people)})


# Who has said no keeps their way back to their page. What a mail server said of the old mail is of another invitation.
# From the people to what is theirs: beside a list of ten thousand ids each row would be compared with all of them.
LED_ANEW = text(
    """
    update link l set invitation_id = i.id, mail_id = gen_random_uuid()
    from unnest(cast(:people as uuid[])) as person (id)
    join invitation i on i.tenant_id = :tenant and i.employee_id = person.id and i.revoked_at is null
    where l.tenant_id = i.tenant_id and l.employee_id = i.employee_id
    """
)

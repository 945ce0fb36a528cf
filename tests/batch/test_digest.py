"""HR's morning mail: numbers alone, on working days where the company is, to each of HR once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from batch.delivery import digest
from batch.models import Employee
from batch.sittings import headshots
from batch.visit import concerns, invitations
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.mail.mail import Letter
from tenants.models import Role
from tests.factories import give_consent, make_employee, make_member, make_tenant
from tests.handed_in import make_headshots


def morning(days: int = 1) -> datetime:
    """Eight of a coming working day in Berlin, where it is never more than ten by UTC."""
    day = utc_now() + timedelta(days=days)
    while day.weekday() in (0, 5, 6):
        day += timedelta(days=1)
    return day.astimezone(UTC).replace(hour=7, minute=30)


def told(kernel: Kernel, person: Employee) -> dict[str, Letter]:
    with kernel.db.transaction(person.tenant_id) as session:
        rows = [one for one in mail.mailbox(session) if one.template == "digest"]
        return {str(one.owner_id): letter for one in rows if (letter := mail.read(kernel.keys, one))}


def test_hr_reads_what_happened_and_what_waits_once_a_morning(kernel: Kernel) -> None:
    tenant, quiet = (make_tenant(kernel, time_zone="Europe/Berlin", language=language) for language in ("en", "de"))
    hr, other = make_member(kernel, tenant), make_member(kernel, quiet)
    legal = make_member(kernel, tenant, Role.LEGAL)
    with kernel.db.transaction(tenant) as session:
        person, refuser = make_employee(session, kernel), make_employee(session, kernel, full_name="Nobody Knows")
        give_consent(session, kernel, person)
        invitations.invite(session, refuser, utc_now())
        concerns.write(session, kernel.keys, person.id, "hr", "", "secret words", "http://x", utc_now())
    made = make_headshots(kernel, person)
    at = morning()
    with kernel.db.transaction(tenant) as session:
        headshots.release(session, person.id, [made[0].id, made[1].id], at - timedelta(hours=5))
    digest.write_digests(kernel, at.replace(hour=3))
    digest.write_digests(kernel, at + timedelta(days=(5 - at.weekday()) % 7))
    assert told(kernel, person) == {}, "neither at night nor on a Saturday"
    for _ in range(2):
        digest.write_digests(kernel, at)
    found = told(kernel, person)
    assert set(found) == {str(hr.id)}, f"not to {legal.id}, and to nobody of a company without news such as {other.id}"
    text = " ".join(found[str(hr.id)].text.split())
    assert "1 person wrote that something is wrong and waits for an answer." in text
    assert "1 person released a headshot since" in text
    assert "2 released headshots were not downloaded yet; the first is deleted here on" in text
    for word in ("Nadia", "Nobody Knows", "secret words", "opted", "came back"):
        assert word not in text, word

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlmodel import Session, col, select

from batch.models import Employee, Invitation, Link
from batch.people import employees, funnel
from batch.people.funnel import Stage
from batch.reading import places
from batch.visit import consents, invitations, mailing, reminders
from likeness.ground.db import utc_now
from likeness.identity import Kind, LinkUnknown, LinkUsed, caller_of, new_token, start_session
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.mail.mail import Letter, Mail
from tenants import credits, tenants
from tests.factories import give_consent, make_batch, make_employee, make_tenant, run_jobs

FORTNIGHT = timedelta(days=14)
TUESDAY = datetime(2026, 12, 1, 10, tzinfo=UTC)


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    """Invited, and the mail is in the mailbox."""
    return invited(kernel)


def invited(kernel: Kernel, **changes: str) -> Employee:
    tenant = make_tenant(kernel, with_credits=3)
    with kernel.db.transaction(tenant) as session:
        employee = make_employee(session, kernel, **changes)
        invitations.invite(session, employee, utc_now())
    run_jobs(kernel, tenant=tenant)
    return employee


def letters(kernel: Kernel, tenant: UUID) -> list[Letter]:
    """Newest first."""
    with kernel.db.transaction(tenant) as session:
        read = [mail.read(kernel.keys, one) for one in mail.mailbox(session)]
    return [letter for letter in read if letter is not None]


def token_of(letter: Letter) -> str:
    return next(line for line in letter.text.splitlines() if "/i/" in line).rpartition("/")[2]


def token(kernel: Kernel, person: Employee) -> str:
    return token_of(letters(kernel, person.tenant_id)[0])


def stage(kernel: Kernel, person: Employee, now: datetime | None = None) -> Stage:
    with kernel.db.transaction(person.tenant_id) as session:
        return employees.stage(session, person.id, now)


def accept(kernel: Kernel, person: Employee, token: str, now: datetime | None = None) -> UUID:
    with kernel.db.transaction(person.tenant_id) as session:
        return invitations.accept(session, token, now or utc_now())


@pytest.mark.parametrize(
    ("language", "source", "controller"),
    [("en", "own list of employees", "the controller"), ("de", "Liste der Beschäftigten", "verantwortlich")],
)
def test_the_mail_says_who_from_where_and_what_rights(
    kernel: Kernel, language: str, source: str, controller: str
) -> None:
    person = invited(kernel, language=language)
    other = invited(kernel, full_name="Bob Elsewhere")
    (letter,) = letters(kernel, person.tenant_id)
    words = " ".join(letter.text.split())
    for said in (source, controller, "Nadia Ümit", "Zebra Works", "privacy@zebra.example", "7", "30", "365"):
        assert said in words
    assert "Nadia" not in letter.subject
    assert "Nadia" not in token_of(letter)
    assert "Elsewhere" not in letter.text
    assert "Elsewhere" in letters(kernel, other.tenant_id)[0].text


def test_the_token_is_nowhere_but_in_the_mail(kernel: Kernel, alice: Employee) -> None:
    secret = token(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        for table in (Link, Mail, Invitation):
            for row in session.exec(select(table).where(col(table.tenant_id) == alice.tenant_id)):
                assert secret.encode() not in repr(row).encode()


def test_looking_consumes_nothing_and_the_button_works_once(kernel: Kernel, alice: Employee) -> None:
    secret = token(kernel, alice)
    for _ in range(3):
        with kernel.db.transaction(alice.tenant_id) as session:
            assert invitations.look_up(session, secret, utc_now()).state == "open"
    assert stage(kernel, alice) == Stage.INVITED
    assert accept(kernel, alice, secret) == alice.id
    assert stage(kernel, alice) == Stage.OPENED
    with pytest.raises(LinkUsed):
        accept(kernel, alice, secret)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert invitations.look_up(session, secret, utc_now()).state == "used"


def test_a_used_link_brings_a_fresh_one_to_the_same_address(kernel: Kernel, alice: Employee) -> None:
    secret = token(kernel, alice)
    accept(kernel, alice, secret)
    later = utc_now() + timedelta(minutes=3)
    for moment in (utc_now(), later):
        with kernel.db.transaction(alice.tenant_id) as session:
            invitations.renew(session, secret, moment)
    run_jobs(kernel, tenant=alice.tenant_id)
    first, second = reversed(letters(kernel, alice.tenant_id))
    assert first.to == second.to
    assert accept(kernel, alice, token_of(second)) == alice.id


def test_a_link_lasts_a_fortnight(kernel: Kernel, alice: Employee) -> None:
    secret, end = token(kernel, alice), utc_now() + FORTNIGHT
    with kernel.db.transaction(alice.tenant_id) as session:
        assert invitations.look_up(session, secret, end - timedelta(minutes=1)).state == "open"
        assert invitations.look_up(session, secret, end).state == "expired"
        with pytest.raises(invitations.LinkExpired):
            invitations.accept(session, secret, end)
    assert stage(kernel, alice, end) == Stage.OPTED_OUT


@pytest.mark.parametrize("guess", ["", "x", "\0", "a" * 100_000, "'; drop table link; --"])
def test_guesses_lead_nowhere(kernel: Kernel, alice: Employee, guess: str) -> None:
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(LinkUnknown):
        invitations.look_up(session, guess, utc_now())


def test_a_link_of_another_company_leads_nowhere(kernel: Kernel, alice: Employee) -> None:
    other = make_tenant(kernel)
    secret = token(kernel, alice)
    renamed = new_token(other).partition(".")[0] + "." + secret.partition(".")[2]
    with kernel.db.transaction(other) as session:
        for one in (secret, renamed):
            with pytest.raises(LinkUnknown):
                invitations.accept(session, one, utc_now())
        with pytest.raises(employees.EmployeeMissing):
            invitations.resend(session, alice.id, utc_now(), caller="member:x")
        assert invitations.revoke(session, [alice.id], utc_now()) == 0
    assert accept(kernel, alice, secret) == alice.id


def test_one_invitation_at_a_time(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(invitations.AlreadyInvited):
        invitations.invite(session, alice, utc_now())


def test_a_no_a_withdrawal_and_no_answer_are_the_same_to_hr_at_every_time(kernel: Kernel) -> None:
    tenant = make_tenant(kernel, with_credits=9)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        people = [make_employee(session, kernel, batch=batch, full_name=name) for name in ("Al", "Bo", "Cy")]
        for one in people:
            invitations.invite(session, one, utc_now())
    run_jobs(kernel, tenant=tenant)
    declined, withdrew, _ = people
    for one, letter in zip(reversed(people), letters(kernel, tenant), strict=True):
        accept(kernel, one, token_of(letter))
    with kernel.db.transaction(tenant) as session:
        consents.decline(session, declined.id, utc_now())
        give_consent(session, kernel, withdrew)
        consents.withdraw(session, withdrew.id, utc_now())

    def told(now: datetime) -> list[tuple[Stage, str]]:
        found = []
        for one in people:
            with kernel.db.transaction(tenant) as session:
                shown = employees.stage(session, one.id, now)
                try:
                    invitations.invite(session, employees.get(session, one.id), now)
                    found.append((shown, "invited"))
                except (invitations.AlreadyInvited, invitations.HasOptedOut) as refused:
                    found.append((shown, f"{refused.title}: {refused}"))
        return found

    with kernel.db.transaction(tenant) as session:
        assert credits.balance(session) == 6
    running = told(utc_now())
    assert len(set(running)) == 1
    assert running[0][0] == Stage.OPENED
    assert "This person is invited already" in running[0][1]
    end = utc_now() + FORTNIGHT + timedelta(hours=1)
    reminders.run_out(kernel, end)
    with kernel.db.transaction(tenant) as session:
        assert credits.balance(session) == 9
    ended = told(end)
    assert len(set(ended)) == 1
    assert ended[0][0] == Stage.OPTED_OUT
    with kernel.db.transaction(tenant) as session:
        days = set(funnel.again_from(session, [one.id for one in people]).values())
    assert len(days) == 1
    (day,) = days
    assert f"again from {day}." in ended[0][1]
    begins = datetime.combine(day, time(), UTC)
    assert end + funnel.REST - timedelta(hours=2) < begins <= end + funnel.REST + timedelta(days=1)
    assert set(told(begins - timedelta(microseconds=1))) == {ended[0]}
    assert set(told(begins)) == {(Stage.OPTED_OUT, "invited")}
    with kernel.db.transaction(tenant) as session:
        assert employees.stage(session, declined.id, begins) == Stage.INVITED


def test_hr_cannot_find_out_by_a_fresh_link_who_said_no(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        people = [make_employee(session, kernel) for _ in range(2)]
        for one in people:
            invitations.invite(session, one, utc_now())
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        consents.decline(session, people[0].id, utc_now())
    later = utc_now() + timedelta(minutes=5)
    for moment, answered in ((later, True), (later + timedelta(minutes=1), False), (later + timedelta(hours=1), True)):
        answers = []
        for one in people:
            with kernel.db.transaction(tenant) as session:
                try:
                    invitations.resend(session, one.id, moment, caller="member:x")
                    answers.append(True)
                except invitations.SentJustNow:
                    answers.append(False)
            run_jobs(kernel, tenant=tenant)
        assert answers == [answered, answered]
    links = [letter for letter in letters(kernel, tenant) if letter.subject == "Your fresh link"]
    assert len(links) == 2


def test_revoking_ends_link_session_and_reservation(kernel: Kernel, alice: Employee) -> None:
    secret = token(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        cookie = start_session(session, Kind.EMPLOYEE, alice.id, utc_now())
    with kernel.db.transaction(alice.tenant_id) as session:
        assert credits.balance(session) == 2
        assert invitations.revoke(session, [alice.id], utc_now()) == 1
        assert credits.balance(session) == 3
    with pytest.raises(LinkUnknown):
        accept(kernel, alice, secret)
    assert caller_of(kernel.db, cookie, utc_now()) is None
    assert stage(kernel, alice) == Stage.ADDED
    with kernel.db.transaction(alice.tenant_id) as session:
        invitations.invite(session, alice, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    assert accept(kernel, alice, token(kernel, alice)) == alice.id


def test_a_mail_is_written_once_however_often_its_job_runs(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        held = invitations.standing(session, alice.id)
        assert held is not None
        jobs.send(session, invitations.deliver, str(held.id), "invitation", "1", key="once-more")
    run_jobs(kernel, tenant=alice.tenant_id)
    assert len(letters(kernel, alice.tenant_id)) == 1


def test_a_mail_can_wait_for_its_hour(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    nine = utc_now() + timedelta(hours=5)
    with kernel.db.transaction(tenant) as session:
        held = invitations.invite(session, make_employee(session, kernel), utc_now(), send_at=nine)
        assert held.expires_at == nine + FORTNIGHT
    run_jobs(kernel, tenant=tenant)
    assert letters(kernel, tenant) == []


def test_what_became_of_the_mail_shows(kernel: Kernel, alice: Employee) -> None:
    bounced = invited(kernel)
    with kernel.db.transaction(bounced.tenant_id) as session:
        session.execute(
            update(Mail).where(col(Mail.tenant_id) == bounced.tenant_id).values(sent_at=None, failed_at=utc_now())
        )
    mailing.note_deliveries(kernel, utc_now())
    assert stage(kernel, alice) == Stage.DELIVERED
    assert stage(kernel, bounced) == Stage.BOUNCED
    with kernel.db.transaction(bounced.tenant_id) as session:
        invitations.resend(session, bounced.id, utc_now() + timedelta(minutes=3), caller="member:x")
    run_jobs(kernel, tenant=bounced.tenant_id)
    mailing.note_deliveries(kernel, utc_now())
    assert stage(kernel, bounced) == Stage.DELIVERED


def delivered(
    kernel: Kernel, at: datetime, *, due_on: datetime | None = None, site: str | None = None, **terms: Any
) -> Employee:
    tenant = make_tenant(kernel, **terms)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session, due_on=due_on.date() if due_on else None)
        employee = make_employee(session, kernel, batch=batch, site=site)
        held = invitations.invite(session, employee, at)
        session.execute(
            update(Invitation)
            .where(col(Invitation.id) == held.id)
            .values(delivered_at=at, expires_at=at + 9 * FORTNIGHT)
        )
    run_jobs(kernel, tenant=tenant)
    return employee


def reminded(kernel: Kernel, person: Employee) -> list[str]:
    run_jobs(kernel, tenant=person.tenant_id)
    with kernel.db.transaction(person.tenant_id) as session:
        return [one.template for one in reversed(mail.mailbox(session)) if one.template.startswith("remind")]


def test_at_most_three_reminders_on_weekdays_by_day(kernel: Kernel) -> None:
    person = delivered(kernel, TUESDAY)
    reminders.remind(kernel, TUESDAY + timedelta(days=2))
    assert reminded(kernel, person) == []
    for days in range(3, 17):
        reminders.remind(kernel, TUESDAY + timedelta(days=days))
    assert reminded(kernel, person) == ["remind-start"] * 3
    with kernel.db.transaction(person.tenant_id) as session:
        held = invitations.standing(session, person.id)
        assert held is not None
        assert held.reminded_at is not None
        assert held.reminded_at.weekday() < 5
        assert 8 <= held.reminded_at.hour < 17


@pytest.mark.parametrize("moment", [datetime(2026, 12, 5, 10, tzinfo=UTC), datetime(2026, 12, 7, 6, tzinfo=UTC)])
def test_nobody_is_reminded_at_night_or_on_weekends(kernel: Kernel, moment: datetime) -> None:
    person = delivered(kernel, TUESDAY)
    reminders.remind(kernel, moment)
    assert reminded(kernel, person) == []


def test_quiet_hours_are_those_of_the_site_or_else_of_the_company(kernel: Kernel) -> None:
    person = delivered(kernel, TUESDAY, time_zone="Asia/Tokyo", site="Main building")
    away = delivered(kernel, TUESDAY, time_zone="Asia/Tokyo", site="Berlin")
    friday = TUESDAY + timedelta(days=3)
    reminders.remind(kernel, friday.replace(hour=10))
    assert reminded(kernel, person) == [], "it is evening there"
    assert reminded(kernel, away) == ["remind-start"]
    reminders.remind(kernel, (friday + timedelta(days=2)).replace(hour=23))
    assert reminded(kernel, person) == ["remind-start"], "Sunday night here is Monday morning there"


@pytest.mark.parametrize(
    ("site", "zone"),
    [
        ("Zürich", "Europe/Zurich"), ("Tokyo, Japan", "Asia/Tokyo"), ("東京", "Asia/Tokyo"), ("Allemagne", "Europe/Berlin"),
        ("Madrid, Spain", "Europe/Madrid"), ("New York", "America/New_York"), ("Berlin / Paris", "Europe/Berlin"),
        ("Spain", None), ("United States", None), ("New York / Berlin", None), ("Georgia", None), ("DE", None),
        ("Main building", None), ("", None),
    ],
)  # fmt: skip
def test_a_site_says_its_time_where_it_is_plain(site: str, zone: str | None) -> None:
    assert places.zone_of(site, TUESDAY) == zone


def test_reminders_speak_of_the_stage_and_stop_with_it(kernel: Kernel) -> None:
    person, gone = delivered(kernel, TUESDAY), delivered(kernel, TUESDAY)
    with kernel.db.transaction(person.tenant_id) as session:
        give_consent(session, kernel, person, TUESDAY)
    with kernel.db.transaction(gone.tenant_id) as session:
        consents.decline(session, gone.id, TUESDAY)
    reminders.remind(kernel, TUESDAY + timedelta(days=3))
    assert reminded(kernel, person) == ["remind-photos"]
    assert reminded(kernel, gone) == []
    # Asked for, but pointless by the time it would be written.
    reminders.remind(kernel, TUESDAY + timedelta(days=6))
    with kernel.db.transaction(person.tenant_id) as session:
        consents.withdraw(session, person.id, TUESDAY)
    assert reminded(kernel, person) == ["remind-photos"]


def test_the_due_day_brings_a_reminder_the_day_before(kernel: Kernel) -> None:
    person = delivered(kernel, TUESDAY, due_on=TUESDAY + timedelta(days=2))
    reminders.remind(kernel, TUESDAY + timedelta(days=1, hours=6))
    assert reminded(kernel, person) == []
    reminders.remind(kernel, TUESDAY + timedelta(days=2))
    assert reminded(kernel, person) == ["remind-start"]


def test_who_let_it_run_out_opted_out_and_may_come_back(kernel: Kernel, alice: Employee) -> None:
    consented, secret = invited(kernel), token(kernel, alice)
    with kernel.db.transaction(consented.tenant_id) as session:
        give_consent(session, kernel, consented)
    later = utc_now() + FORTNIGHT + timedelta(hours=1)
    for _ in range(2):
        reminders.run_out(kernel, later)
    assert stage(kernel, consented, later) == Stage.CONSENTED
    with kernel.db.transaction(alice.tenant_id) as session:
        assert employees.stage(session, alice.id, later) == Stage.OPTED_OUT
        assert credits.balance(session) == 3
        # HR is told the same as of whoever declined; only the person has a way back.
        with pytest.raises(invitations.HasOptedOut):
            invitations.resend(session, alice.id, later, caller="member:x")
        invitations.renew(session, secret, later)
    run_jobs(kernel, tenant=alice.tenant_id)
    # The mail was written just now, so its link is open now and not a fortnight later.
    assert accept(kernel, alice, token(kernel, alice)) == alice.id
    with kernel.db.transaction(alice.tenant_id) as session:
        give_consent(session, kernel, alice)
        assert employees.stage(session, alice.id) == Stage.CONSENTED
        assert credits.balance(session) == 2


def test_a_new_address_of_somebody_who_declined_gets_no_mail(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        consents.decline(session, alice.id, utc_now())
        invitations.readdress(session, alice.id, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    assert len([letter for letter in letters(kernel, alice.tenant_id) if "/i/" in letter.text]) == 1


def test_one_companys_trouble_does_not_stop_a_sweep(kernel: Kernel, alice: Employee) -> None:
    troubled = invited(kernel)
    seen = []

    def act(session: Session) -> None:
        seen.append(session.info["tenant"])
        if session.info["tenant"] == troubled.tenant_id:
            raise RuntimeError

    tenants.for_each(kernel, act)
    assert {alice.tenant_id, troubled.tenant_id} <= set(seen)


def test_an_erased_person_gets_no_mail(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        employee = make_employee(session, kernel)
        invitations.invite(session, employee, utc_now())
        session.delete(employees.get(session, employee.id))
    run_jobs(kernel, tenant=tenant)
    assert letters(kernel, tenant) == []
    with kernel.db.transaction(tenant) as session:
        assert invitations.standing(session, employee.id) is None

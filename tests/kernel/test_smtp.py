"""Each line of SMTP at which a server can say no, go away or fall silent, and what becomes of the mail."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from likeness.ground.db import utc_now
from likeness.ground.lanes import Lane, Lanes
from likeness.jobs import claims, jobs
from likeness.jobs.jobs import JobState
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.mail import mail
from likeness.mail.mail import Letter, Mail
from likeness.mail.smtp import MailOutcome
from tests.factories import make_tenant, run_jobs
from tests.kernel.scripted import CUT, SILENT, Scripted, scripted

LETTER = Letter("Nadia Ümit <nadia@zebra.example>", "Ihre Porträts", "Guten Tag,\n.\n.punkt\nhttps://here/i/token\n")


def through(kernel: Kernel, server: Scripted, **changes: object) -> Kernel:
    settings = {"smtp_url": server.url, "smtp_timeout": server.patience, "mail_from": "HR <hr@likeness.example>"} | changes
    return replace(kernel, settings=kernel.settings.model_copy(update=settings), lanes=Lanes())


def write(kernel: Kernel, tenant: UUID, letter: Letter = LETTER, owner: UUID | None = None) -> UUID:
    owner = owner or uuid4()
    kernel.keys.open_or_create(KeyRef(tenant, owner, KeyClass.PROFILE))
    with kernel.db.transaction(tenant) as session:
        made = mail.post(session, kernel.keys, owner, letter, template="invitation", campaign="1")
    assert made is not None
    return made


def row(kernel: Kernel, tenant: UUID) -> Mail:
    with kernel.db.transaction(tenant) as session:
        (kept,) = mail.mailbox(session)
    return kept


def job_state(kernel: Kernel, tenant: UUID) -> tuple[str, int]:
    with kernel.db.transaction(tenant) as session:
        found = session.execute(text("select state, attempt - excused from job where kind = 'likeness.mail.deliver'"))
        state, counted = found.one()
    return state, counted


def again(kernel: Kernel, tenant: UUID) -> None:
    with kernel.db.transaction(tenant) as session:
        session.execute(text("update job set due = now() where state = 'ready'"))
    run_jobs(kernel, tenant=tenant)


def test_what_arrives_is_a_whole_mail(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with scripted() as server:
        sending = through(kernel, server)
        mail_id = write(sending, tenant)
        run_jobs(sending, tenant=tenant)
    (handed,) = server.texts
    undotted = handed.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
    message = email.message_from_bytes(undotted, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert message["Message-ID"] == f"<{mail_id}@likeness.example>"
    assert abs(parsedate_to_datetime(message["Date"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert (message["Subject"], message["To"].addresses[0].display_name) == ("Ihre Porträts", "Nadia Ümit")
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().replace("\r\n", "\n") == LETTER.text
    assert '<a href="https://here/i/token"' in html.get_content()
    assert all(line.isascii() for line in handed.decode().splitlines())
    kept = row(kernel, tenant)
    assert (kept.outcome, kept.code, kept.sealed, kept.failed_at) == (MailOutcome.SENT, "250 2.0.0", None, None)
    assert kept.sent_at is not None


def test_a_mail_comes_from_the_name_that_its_company_chose(kernel: Kernel) -> None:
    """The address stays the installation's, whose domain the checks of receivers ask about."""
    names = {make_tenant(kernel, sender_name=name): name for name in ("Müller, Söhne & Co.", "")}
    for tenant, name in names.items():
        with scripted() as server:
            sending = through(kernel, server)
            write(sending, tenant)
            run_jobs(sending, tenant=tenant)
        (sender,) = email.message_from_bytes(server.texts[0], policy=email.policy.default)["From"].addresses
        assert (sender.display_name, sender.addr_spec) == (name or "HR", "hr@likeness.example")


@pytest.mark.parametrize(
    ("script", "outcome", "code"),
    [
        ({"rcpt": "550 5.1.1 no nadia@zebra.example here"}, MailOutcome.ADDRESS, "550 5.1.1"),
        ({"rcpt": "553 no"}, MailOutcome.ADDRESS, "553"),
        ({"mail": "550 5.7.1 not you"}, MailOutcome.REFUSED, "550 5.7.1"),
        ({"data": "554 5.7.1 no"}, MailOutcome.REFUSED, "554 5.7.1"),
        ({"text": "554 5.7.1 spam"}, MailOutcome.REFUSED, "554 5.7.1"),
        ({"text": "552-5.3.4 too\r\n552 5.3.4 large"}, MailOutcome.REFUSED, "552 5.3.4"),
    ],
)
def test_what_is_refused_for_good_is_not_tried_again(
    kernel: Kernel, script: dict[str, str], outcome: MailOutcome, code: str
) -> None:
    tenant = make_tenant(kernel)
    with scripted(**script) as server:
        sending = through(kernel, server)
        write(sending, tenant)
        run_jobs(sending, tenant=tenant)
    kept = row(kernel, tenant)
    assert (kept.outcome, kept.code) == (outcome, code)
    assert kept.failed_at is not None
    assert kept.sent_at is None
    assert job_state(kernel, tenant)[0] == JobState.DONE


@pytest.mark.parametrize("at", ["mail", "rcpt", "data", "text"])
@pytest.mark.parametrize("answer", ["452 4.2.2 full", "450 greylisted", "451 4.3.0 try later"])
def test_who_is_asked_to_wait_comes_again(kernel: Kernel, at: str, answer: str) -> None:
    tenant = make_tenant(kernel)
    with scripted(**{at: answer}) as server:
        sending = through(kernel, server)
        write(sending, tenant)
        run_jobs(sending, tenant=tenant)
        kept = row(kernel, tenant)
        assert (kept.outcome, kept.sent_at, kept.failed_at, kept.handed_at) == (MailOutcome.LATER, None, None, None)
        assert job_state(kernel, tenant) == (JobState.READY, 1)
        server.script[at] = {"data": "354 go on"}.get(at, "250 ok")
        server.texts.clear()
        again(sending, tenant)
    assert len(server.texts) == 1
    assert row(kernel, tenant).outcome == MailOutcome.SENT


@pytest.mark.parametrize("at", ["banner", "ehlo", "mail", "rcpt", "data"])
@pytest.mark.parametrize("answer", ["421 4.3.2 going down", SILENT, CUT, "what?"])
def test_a_server_that_goes_away_before_the_text_costs_no_try_and_no_mail(kernel: Kernel, at: str, answer: str) -> None:
    tenant = make_tenant(kernel)
    with scripted(**{at: answer}) as server:
        sending = through(kernel, server)
        write(sending, tenant)
        run_jobs(sending, tenant=tenant)
    kept = row(kernel, tenant)
    assert (kept.outcome, kept.sent_at, kept.failed_at, kept.handed_at) == (MailOutcome.AWAY, None, None, None)
    assert job_state(kernel, tenant) == (JobState.READY, 0)
    assert sending.lanes.resting(Lane.MAIL)
    with scripted() as server:
        again(through(kernel, server), tenant)
    assert len(server.texts) == 1
    assert row(kernel, tenant).outcome == MailOutcome.SENT


def test_421_instead_of_an_answer_to_the_text_means_that_nothing_was_taken(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with scripted(text="421 4.3.2 going down") as server:
        sending = through(kernel, server)
        write(sending, tenant)
        run_jobs(sending, tenant=tenant)
    assert (row(kernel, tenant).outcome, row(kernel, tenant).code) == (MailOutcome.AWAY, "421 4.3.2")
    with scripted() as server:
        again(through(kernel, server), tenant)
    assert row(kernel, tenant).outcome == MailOutcome.SENT


@pytest.mark.parametrize("answer", [SILENT, CUT, "(cut before the end)", "what?", "354 more"])
def test_no_answer_to_the_text_is_written_down_and_never_sent_again(kernel: Kernel, answer: str) -> None:
    tenant = make_tenant(kernel)
    with scripted(text=answer) as server:
        sending = through(kernel, server)
        mail_id = write(sending, tenant)
        run_jobs(sending, tenant=tenant)
    kept = row(kernel, tenant)
    assert (kept.outcome, kept.sent_at, kept.failed_at) == (MailOutcome.UNKNOWN, None, None)
    assert kept.handed_at is not None
    assert kept.sealed is None
    assert sending.lanes.resting(Lane.MAIL), "the next mails do not fall into the same silence at once"
    with scripted() as server:
        with kernel.db.transaction(tenant) as session:
            jobs.send(session, mail.deliver, str(mail_id), key="again")
        again(through(kernel, server), tenant)
    assert server.texts == []


def test_a_program_that_ends_between_text_and_answer_sends_no_second_copy(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with scripted() as server:
        sending = through(kernel, server)
        mail_id = write(sending, tenant)
        with kernel.db.transaction(tenant) as session:
            session.execute(text("update mail set handed_at = now() where id = :id"), {"id": mail_id})
        run_jobs(sending, tenant=tenant)
    assert server.texts == []
    assert row(kernel, tenant).outcome == MailOutcome.UNKNOWN


@pytest.mark.parametrize("able", [False, True])
def test_a_domain_with_other_letters_goes_out_as_the_mail_system_spells_it(kernel: Kernel, able: bool) -> None:
    tenant = make_tenant(kernel)
    with scripted(ehlo="250-scripted\r\n250 SMTPUTF8" if able else "250 scripted") as server:
        sending = through(kernel, server)
        write(sending, tenant, Letter("Zoë <zoe@bücher.example>", "Hi", "Hello\n"))
        run_jobs(sending, tenant=tenant)
    assert "RCPT TO:<zoe@xn--bcher-kva.example>" in server.lines
    assert row(kernel, tenant).outcome == MailOutcome.SENT


def test_letters_before_the_at_need_a_server_that_can(kernel: Kernel) -> None:
    unable, able = make_tenant(kernel), make_tenant(kernel)
    letter = Letter("zoë@zebra.example", "Hi", "Hello\n")
    with scripted() as server:
        sending = through(kernel, server)
        write(sending, unable, letter)
        run_jobs(sending, tenant=unable)
        assert not any(line.startswith("MAIL") for line in server.lines)
    assert row(kernel, unable).outcome == MailOutcome.SPELLING
    assert row(kernel, unable).failed_at is not None
    with scripted(ehlo="250-scripted\r\n250-8BITMIME\r\n250 SMTPUTF8") as server:
        sending = through(kernel, server)
        write(sending, able, letter)
        run_jobs(sending, tenant=able)
    assert "RCPT TO:<zoë@zebra.example>" in server.lines
    assert "SMTPUTF8" in next(line for line in server.lines if line.startswith("MAIL"))
    assert row(kernel, able).outcome == MailOutcome.SENT


@pytest.mark.parametrize("to", ["nobody", "a@b\r\nBcc: x@y.example", ""])
def test_what_is_no_address_is_said_and_not_tried_again(kernel: Kernel, to: str) -> None:
    tenant = make_tenant(kernel)
    with scripted() as server:
        sending = through(kernel, server)
        write(sending, tenant, Letter(to, "Hi", "Hello\n"))
        run_jobs(sending, tenant=tenant)
    assert server.texts == []
    assert row(kernel, tenant).outcome == MailOutcome.ADDRESS


def test_a_silent_server_opens_the_breaker_and_the_other_mails_wait(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with scripted() as server:
        before = through(kernel, server)
        while claims.work_next(before, Lane.MAIL):
            pass  # What other companies have in line would be tried first.
    with scripted(banner=SILENT) as server:
        sending = through(kernel, server)
        for _ in range(5):
            write(sending, tenant, owner=uuid4())
        while claims.work_next(sending, Lane.MAIL):
            pass
        with kernel.db.transaction(tenant) as session:
            tried = session.execute(text("select count(*) from mail where tried_at is not null")).scalar_one()
        assert tried == 1
        assert sending.lanes.resting(Lane.MAIL)


def test_a_mail_that_no_server_takes_for_three_days_is_given_up(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with scripted(mail="421 busy") as server:
        sending = through(kernel, server)
        mail_id = write(sending, tenant)
        with kernel.db.transaction(tenant) as session:
            session.execute(
                text("update mail set created_at = :then where id = :id"),
                {"then": utc_now() - mail.KEEP_TRYING - timedelta(minutes=1), "id": mail_id},
            )
        run_jobs(sending, tenant=tenant)
    assert row(kernel, tenant).failed_at is not None
    assert job_state(kernel, tenant)[0] == JobState.DONE

"""HR sees per person what became of the mail, and decides where nobody can know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from batch.models import Employee
from batch.visit import consents, invitations, mailing
from likeness.ground.db import utc_now
from likeness.ground.lanes import Lanes
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.mail.bounces import Bounce
from likeness.mail.smtp import MailOutcome
from tests.factories import give_consent, make_batch, make_employee, make_tenant, run_jobs, sign_in_member
from tests.kernel.scripted import SILENT, Scripted, scripted


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as running:
        yield running


@pytest.fixture
def alice(kernel: Kernel) -> UUID:
    return make_tenant(kernel)


@pytest.fixture
def bob(kernel: Kernel) -> UUID:
    return make_tenant(kernel)


def invite(kernel: Kernel, tenant: UUID, server: Scripted) -> Employee:
    reached = {"smtp_url": server.url, "smtp_timeout": server.patience}
    sending = replace(kernel, settings=kernel.settings.model_copy(update=reached), lanes=Lanes())
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel, batch=make_batch(session))
        invitations.invite(session, person, utc_now())
    run_jobs(sending, tenant=tenant)
    mailing.note_deliveries(kernel, utc_now())
    return person


def shown(client: TestClient[Any], kernel: Kernel, person: Employee) -> tuple[dict[str, Any], str]:
    """As the API says it, and the page."""
    sign_in_member(client, kernel, person.tenant_id)
    lines = client.get(f"/api/v1/batches/{person.batch_id}/people").json()
    page = client.get(f"/desk/batches/{person.batch_id}", headers={"accept": "text/html"}).text
    return next(line for line in lines if line["id"] == str(person.roster_id)), page


@pytest.mark.parametrize(
    ("script", "stage", "state", "code", "sentence"),
    [
        ({"rcpt": "550 5.1.1 unknown"}, "bounced", "not delivered", "550 5.1.1", "does not take mail for this address"),
        ({"text": "554 5.7.1 spam"}, "bounced", "not delivered", "554 5.7.1", "refused this mail"),
        ({"rcpt": "452 4.2.2 full"}, "invited", "waiting", "452 4.2.2", "asked to come again later"),
        ({"mail": "421 4.3.2 bye"}, "invited", "waiting", "421 4.3.2", "does not take mails right now"),
        ({"text": SILENT}, "invited", "unknown", "", "Nobody knows whether it arrives"),
    ],
)
def test_each_outcome_is_said_to_hr(
    client: TestClient[Any], kernel: Kernel, alice: UUID, bob: UUID, script: dict[str, str], stage: str, state: str,
    code: str, sentence: str,
) -> None:  # fmt: skip
    with scripted(**script) as server:
        person = invite(kernel, alice, server)
    with scripted() as server:
        other = invite(kernel, bob, server)
    line, page = shown(client, kernel, person)
    assert (line["stage"], line["mail"]["state"], line["mail"]["code"]) == (stage, state, code)
    assert sentence in line["mail"]["message"]
    assert not code or f"The server said {code}" in page
    if state != "waiting":
        assert sentence in page, "it stands where HR looks for what needs them"
        assert "Send again" in page
    line, page = shown(client, kernel, other)
    assert line["mail"] is None
    assert line["stage"] == "delivered"
    assert "Send again" not in page


def test_what_comes_back_later_is_said_to_hr_and_takes_the_delivery_back(
    client: TestClient[Any], kernel: Kernel, alice: UUID, bob: UUID
) -> None:
    with scripted() as server:
        person, other, opened = invite(kernel, alice, server), invite(kernel, bob, server), invite(kernel, alice, server)
    assert shown(client, kernel, person)[0]["stage"] == "delivered"
    with kernel.db.transaction(alice) as session:
        ids = {one.owner_id: one.id for one in mail.mailbox(session)}
        session.execute(text("update invitation set opened_at = now() where employee_id = :id"), {"id": opened.id})
    back = [Bounce(one, MailOutcome.NO_MAILBOX, "550 5.1.1") for one in ids.values()]
    for tenant in (alice, bob):
        with kernel.db.transaction(tenant) as session:
            mail.came_back(session, back, utc_now())
    mailing.note_deliveries(kernel, utc_now())
    line, page = shown(client, kernel, person)
    assert (line["stage"], line["mail"]["state"], line["mail"]["code"]) == ("bounced", "not delivered", "550 5.1.1")
    assert "there is no such mailbox" in page
    assert "The server said 550 5.1.1" in page
    assert "Send again" in page
    assert shown(client, kernel, opened)[0]["stage"] == "opened", "whoever opened the link has got the mail"
    line, page = shown(client, kernel, other)
    assert (line["stage"], line["mail"]) == ("delivered", None)


def test_hr_decides_to_send_again_and_only_their_own(
    client: TestClient[Any], kernel: Kernel, alice: UUID, bob: UUID
) -> None:
    with scripted(text=SILENT) as server:
        person = invite(kernel, alice, server)
    with kernel.db.transaction(alice) as session:
        session.execute(text("update link set created_at = created_at - interval '3 minutes'"))
    address = f"/desk/batches/{person.batch_id}/people/{person.roster_id}/remind"
    sign_in_member(client, kernel, bob)
    assert client.post(address, headers={"accept": "text/html"}).status_code == 404
    with scripted() as server:
        again = replace(kernel, settings=kernel.settings.model_copy(update={"smtp_url": server.url}), lanes=Lanes())
        run_jobs(again, tenant=alice)
        assert server.texts == [], "nothing is sent a second time by itself"
        sign_in_member(client, kernel, alice)
        assert client.post(address, headers={"accept": "text/html"}).status_code in (200, 303)
        run_jobs(again, tenant=alice)
        assert len(server.texts) == 1
    mailing.note_deliveries(kernel, utc_now())
    line, _ = shown(client, kernel, person)
    assert (line["mail"], line["stage"]) == (None, "delivered")


def test_nothing_is_said_of_who_opted_out_or_has_opened_the_link(
    client: TestClient[Any], kernel: Kernel, alice: UUID, bob: UUID
) -> None:
    with scripted(text=SILENT) as server:
        people = [invite(kernel, alice, server) for _ in range(2)]
        invite(kernel, bob, server)
    with kernel.db.transaction(alice) as session:
        session.execute(text("update employee set opted_out_at = now() where id = :id"), {"id": people[0].id})
        session.execute(
            text("update invitation set opened_at = :now where employee_id = :id"),
            {"id": people[1].id, "now": utc_now() + timedelta(seconds=1)},
        )
    for person in people:
        line, page = shown(client, kernel, person)
        assert line["mail"] is None
        assert "Nobody knows" not in page


@pytest.mark.parametrize("script", [{"mail": "421 4.3.2 bye"}, {"rcpt": "550 5.1.1 unknown"}, {"text": SILENT}])
def test_a_mail_server_that_is_away_does_not_tell_who_said_no(
    client: TestClient[Any], kernel: Kernel, alice: UUID, bob: UUID, script: dict[str, str]
) -> None:
    """To who said no nothing is sent, so nothing can fail; nobody else who opened their page and has not agreed has a
    failure of later mails told of them either. Of who agreed it is told: that they did is no secret."""
    with scripted() as server:
        waits, declined, agreed = (invite(kernel, alice, server) for _ in range(3))
        other = invite(kernel, bob, server)
    for person in (waits, declined, agreed):
        with kernel.db.transaction(alice) as session:
            session.execute(
                text("update invitation set opened_at = created_at + interval '1 ms' where employee_id = :id"),
                {"id": person.id},
            )
            session.execute(text("update link set used_at = now() where employee_id = :id"), {"id": person.id})
            session.execute(text("update link set created_at = created_at - interval '3 minutes'"))
            session.execute(text("update invitation set delivered_at = delivered_at - interval '3 minutes'"))
    with kernel.db.transaction(alice) as session:
        consents.decline(session, declined.id, utc_now())
        give_consent(session, kernel, agreed)
    run_jobs(kernel, tenant=alice)
    with scripted(**script) as server:
        reached = {"smtp_url": server.url, "smtp_timeout": server.patience}
        sending = replace(kernel, settings=kernel.settings.model_copy(update=reached), lanes=Lanes())
        for person in (waits, declined, agreed):
            sign_in_member(client, kernel, alice)
            assert client.post(f"/api/v1/employees/{person.roster_id}/resend").status_code == 204
        run_jobs(sending, tenant=alice)
    mailing.note_deliveries(kernel, utc_now())
    lines = {person.id: shown(client, kernel, person)[0] for person in (waits, declined, agreed, other)}
    told = {str({**lines[person.id], "id": "", "email": "", "row": 0, "since": ""}) for person in (waits, declined)}
    assert len(told) == 1, told
    assert lines[waits.id]["stage"] == "opened"
    assert lines[agreed.id]["mail"] is not None
    assert lines[other.id]["mail"] is None

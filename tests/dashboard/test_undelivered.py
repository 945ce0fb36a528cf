"""Every kind of mail that does not arrive is shown to somebody who can do something about it, and to no other company."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlmodel import select

from batch.visit import mailing
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.mail.mail import Mail
from likeness.mail.smtp import MailOutcome
from tenants.members import members
from tenants.models import Role
from tests.factories import give_consent, make_employee, make_member, make_tenant, sign_in, sign_in_member


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def refuse(kernel: Kernel, tenant: UUID, owner: UUID, outcome: MailOutcome = MailOutcome.ADDRESS) -> None:
    """As the job writes it when the mail server has answered, or has not."""
    with kernel.db.transaction(tenant) as session:
        for one in session.exec(select(Mail).where(Mail.tenant_id == tenant, Mail.owner_id == owner)):
            one.outcome, one.code, one.tried_at = outcome, "550 5.1.1", utc_now()
            one.failed_at = None if outcome == MailOutcome.UNKNOWN else utc_now()
            session.add(one)


@pytest.mark.parametrize("outcome", [MailOutcome.ADDRESS, MailOutcome.UNKNOWN])
def test_a_members_link_that_did_not_arrive_is_on_the_team_page(
    kernel: Kernel, client: TestClient[Any], outcome: MailOutcome
) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.OWNER, Role.HR)
    words = "Nobody knows whether" if outcome == MailOutcome.UNKNOWN else "newest mail was not delivered"
    people = {}
    for company in (tenant, other):
        people[company] = make_member(kernel, company, Role.HR, name="Ida Lind").id
        with kernel.db.transaction(company) as session:
            ida = members.active(session, people[company])
            members.mail_link(session, kernel, ida, utc_now(), campaign="one")
    refuse(kernel, other, people[other], outcome)
    assert words not in client.get("/team").text
    refuse(kernel, tenant, people[tenant], outcome)
    page = client.get("/team").text
    assert page.count(words) == 1
    assert "550 5.1.1" in page


def test_a_receipt_that_did_not_arrive_is_shown_beside_its_person(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(other) as session:
        stranger = make_employee(session, kernel)
        give_consent(session, kernel, stranger)
    with kernel.db.transaction(tenant) as session:
        alice, bob = make_employee(session, kernel), make_employee(session, kernel)
        for person in (alice, bob):
            give_consent(session, kernel, person)
    refuse(kernel, tenant, alice.id)
    refuse(kernel, other, stranger.id)
    with kernel.db.transaction(tenant) as session:
        told = mailing.notes(session)
    assert set(told) == {alice.id}
    note = told[alice.id]
    assert (note.state, note.code, note.send_again) == ("not delivered", "550 5.1.1", False)
    assert "receipt" in note.message


def test_the_operator_sees_every_kind_of_mail_that_failed_and_nobodys_name(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    operator = make_member(kernel, PLATFORM, Role.OPERATOR)
    tenant = make_tenant(kernel, name="Heron Glass")
    with kernel.db.transaction(tenant) as session:
        alice = make_employee(session, kernel, email="alice@heron.example")
        give_consent(session, kernel, alice)
    sign_in(client, kernel, PLATFORM, Kind.OPERATOR, operator.id)
    refuse(kernel, tenant, alice.id)
    page = client.get("/operations").text
    assert "Mails that did not arrive" in page
    assert "Heron Glass" in page
    assert ">receipt</code>" in page
    assert "the address is not taken: 550 5.1.1" in page
    assert "alice@heron.example" not in page

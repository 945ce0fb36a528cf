"""What is done with many people at once takes no more statements than with few: a company has ten thousand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import event
from sqlmodel import col, select

from batch.models import Employee, Invitation
from batch.reading import workbook
from batch.roster import undoing
from batch.visit import invitations
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.mail import mail
from tests.factories import begin_held, make_batch, make_employee, make_tenant, run_jobs, sign_in_member

FEW, MANY = 3, 40
HEADINGS = ("Employee ID", "Full name", "E-mail", "Department")
INA = ("0", "Ina Klar", "ina@acme.example", "Sales")


@contextmanager
def statements(kernel: Kernel) -> Iterator[list[str]]:
    """What is asked of the database meanwhile; one with many rows is one."""
    asked = list[str]()

    def note(*seen: Any) -> None:
        asked.append(seen[2])

    event.listen(kernel.db.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(kernel.db.engine, "before_cursor_execute", note)


def imported(client: TestClient[Any], *rows: Sequence[str], invite: bool = False) -> tuple[str, dict[str, Any]]:
    dropped = client.post("/api/v1/batches", files={"workbook": ("people.xlsx", workbook.export(HEADINGS, rows))}).json()
    base = f"/api/v1/batches/{dropped['batch']['id']}"
    return base, client.post(f"{base}/commit", json={"digest": dropped["reading"]["digest"], "invite": invite}).json()


def test_an_import_its_corrections_and_both_taken_back(kernel: Kernel, app: Litestar) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    counted: dict[int, list[int]] = {FEW: [], MANY: []}
    with TestClient(app) as client:
        for company in (other, tenant):
            sign_in_member(client, kernel, company)
            imported(client, INA)
        for many, counts in counted.items():
            rows = [(f"{many}-{one}", f"Eva {one}", f"eva.{many}.{one}@acme.example", "Design") for one in range(many)]
            with statements(kernel) as asked:
                added, done = imported(client, *rows, invite=True)
            assert (done["created"], done["invited"]) == (many, many)
            counts.append(len(asked))
            with statements(kernel) as asked:
                corrected, done = imported(client, *((*row[:3], "Legal") for row in rows))
            assert done["updated"] == many
            counts.append(len(asked))
            for base, undone in ((corrected, "restored"), (added, "removed")):
                with statements(kernel) as asked:
                    assert client.post(f"{base}/undo").json()[undone] == many
                counts.append(len(asked))
    assert counted[FEW] == counted[MANY]
    for company in (other, tenant):
        with kernel.db.transaction(company) as session:
            assert len(session.exec(select(Employee).where(col(Employee.tenant_id) == company)).all()) == 1


def test_fresh_links_for_everybody_who_matches(kernel: Kernel) -> None:
    """Of a hundred and ten, who got one a moment ago gets no other, and who has said no none, which looks the same."""
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    earlier = utc_now() - timedelta(days=1)
    with kernel.db.transaction(other) as session:
        invitations.invite(session, make_employee(session, kernel), earlier)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        people = [make_employee(session, kernel, batch=batch) for _ in range(2 * MANY + 30)]
        ids = [one.id for one in people]
        invitations.invite_all(session, ids[1:], earlier)
        people[2].opted_out_at = earlier
        session.add(people[2])
        invitations.resend(session, ids[3], utc_now(), caller="test")
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        lately = earlier + timedelta(hours=1)
        for link in session.exec(select(invitations.Link).where(col(invitations.Link.employee_id) != ids[3])):
            link.created_at = lately
            session.add(link)
        for one in session.exec(select(Invitation).where(col(Invitation.tenant_id) == tenant)):
            one.delivered_at = lately
            session.add(one)
        act = undoing.ask(session, "remind", ids, utc_now(), caller="test")
    with statements(kernel) as asked:
        begin_held(kernel, tenant)
    assert sum("max(link.created_at)" in one for one in asked) == 4, "once a job, and who was left out is tried alone"
    with kernel.db.transaction(tenant) as session:
        assert undoing.refused(session, act) == 0
        noted = [one.subject or "" for one in ledger.entries(session) if one.event == "invitation.resent"]
        assert sorted(noted) == sorted(str(one) for one in ids[1:]), "once each"
        assert ledger.verify(session) > len(noted)
        found = session.exec(select(Invitation).where(col(Invitation.tenant_id) == tenant)).all()
        assert {one.employee_id: one.mails for one in found} == {one: 2 for one in ids[1:]}
        assert all(one.reminded_at for one in found)
        sent = {letter.owner_id for letter in mail.mailbox(session) if letter.template == "link"}
    assert sent == {*ids[1:]} - {ids[2]}
    with kernel.db.transaction(other) as session:
        assert session.exec(select(Invitation)).one().mails == 1

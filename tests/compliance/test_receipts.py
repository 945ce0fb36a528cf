"""The receipt of an erasure: shown once, mailed as the last thing, and gone before anything is certified."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlalchemy import text

from batch.models import Employee
from batch.people import employees
from compliance.erasure import erasures
from compliance.models import ErasureState
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.jobs import claims
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.mail import mail
from likeness.run.app import create_app
from tests.compliance.people import full_person, reread
from tests.factories import run_jobs, sign_in_employee
from tests.kernel.scripted import scripted


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return full_person(kernel)


def address_of(kernel: Kernel, person: Employee) -> str:
    with kernel.db.transaction(person.tenant_id) as session:
        return employees.profile(kernel.keys, employees.get(session, person.id)).email


def run_later(kernel: Kernel, person: Employee) -> None:
    with kernel.db.transaction(person.tenant_id) as session:
        session.execute(text("update job set due = now() where due is not null"))
    run_jobs(kernel, tenant=person.tenant_id)


def events(kernel: Kernel, person: Employee) -> list[str]:
    with kernel.db.transaction(person.tenant_id) as session:
        return [entry.event for entry in ledger.entries(session) if entry.event.startswith("receipt.")]


@pytest.mark.parametrize("path", ["/visit/erasure", "/api/v1/visit/erasure"])
def test_who_deletes_everything_gets_the_way_to_the_certificate_by_mail(
    kernel: Kernel, alice: Employee, path: str
) -> None:
    bob, address = full_person(kernel), address_of(kernel, alice)
    with scripted() as server:
        ours = replace(kernel, settings=kernel.settings.model_copy(update={"smtp_url": server.url}))
        with TestClient(create_app(ours)) as client:
            sign_in_employee(client, ours, alice)
            asked = client.post(path, follow_redirects=False)
            shown = asked.headers["location"] if path.startswith("/visit") else f"/gone/{asked.json()['receipt']}"
            run_jobs(ours, tenant=alice.tenant_id)
            run_later(ours, alice)
            sent = [message_from_bytes(one, policy=default) for one in server.texts]
            (letter,) = [one for one in sent if shown in one.get_body(("plain",)).get_content()]  # type: ignore[union-attr]
            assert letter["to"] == address
            assert "certificate" in client.get(shown, headers={"accept": "text/html"}).text
            assert client.get(f"{shown}/certificate").status_code == 200
    assert events(kernel, alice) == ["receipt.mailed"]
    assert events(kernel, bob) == []
    nothing_is_left(kernel, alice)


def nothing_is_left(kernel: Kernel, person: Employee) -> None:
    with kernel.db.transaction(person.tenant_id) as session:
        (erasure,) = erasures.all_erasures(session)
        assert erasure.state == ErasureState.CERTIFIED
        assert [one for one in mail.mailbox(session) if one.owner_id in (person.id, erasure.id)] == []
    assert kernel.keys.state(KeyRef(person.tenant_id, erasure.id, KeyClass.PROFILE)) == "destroyed"


def test_a_silent_mail_server_holds_nothing_up_and_keeps_no_address(kernel: Kernel, alice: Employee) -> None:
    silent = replace(kernel, settings=kernel.settings.model_copy(update={"smtp_url": "smtp://127.0.0.1:9"}))
    with silent.db.transaction(alice.tenant_id) as session:
        erasure, _ = erasures.ask(session, silent, alice.id, utc_now())
    run_jobs(silent, tenant=alice.tenant_id)
    # What there was of the person is gone at once; the mail alone waits, for a minute at most.
    assert reread(kernel, erasure).state == ErasureState.VERIFYING
    assert kernel.keys.refs(alice.tenant_id, alice.id) == []
    assert kernel.objects.list(f"tenants/{alice.tenant_id}/employees/{alice.id}") == []
    with kernel.db.transaction(alice.tenant_id) as session:
        erasures.get(session, erasure.id).deleted_at = utc_now() - timedelta(minutes=2)
        job = session.execute(text("select id from job where kind like '%execute' and due is not null")).scalar_one()
        session.execute(text("update job set due = now() where id = :id"), {"id": job})
    assert claims.work(silent, job)
    assert events(kernel, alice) == ["receipt.not-mailed"]
    nothing_is_left(kernel, alice)


def test_who_asks_twice_gets_the_newest_receipt_by_mail(kernel: Kernel, alice: Employee) -> None:
    tokens: list[Any] = []
    for _ in range(2):
        with kernel.db.transaction(alice.tenant_id) as session:
            tokens.append(erasures.ask(session, kernel, alice.id, utc_now()))
    assert tokens[0][0].id == tokens[1][0].id
    with kernel.db.transaction(alice.tenant_id) as session:
        letters = [mail.read(kernel.keys, one) for one in mail.mailbox(session) if one.owner_id == tokens[0][0].id]
    lines = [line for one in letters if one for line in one.text.splitlines() if "/gone/" in line]
    assert {token for _, token in tokens} == {line.rpartition("/")[2].partition("?")[0] for line in lines}
    run_jobs(kernel, tenant=alice.tenant_id)
    nothing_is_left(kernel, alice)

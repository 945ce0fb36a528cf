"""Mail: once for each (owner, template, campaign), sealed, into the mailbox or through a real SMTP server."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from likeness.ground.db import utc_now
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.mail import mail
from likeness.mail.mail import Letter
from tests.factories import make_tenant, run_jobs
from tests.ports import free_port
from tests.tls import Certificates
from tests.waiting import answers, until

SERVERS = Path(os.environ.get("LIKENESS_TEST_SERVERS", Path(__file__).parents[3] / "shared/servers"))
LETTER = Letter("Nadia Ümit <nadia@zebra.example>", "Your portraits", "Hello Nadia,\nhere is your link.\n")


def write(kernel: Kernel, tenant: UUID, owner: UUID, campaign: str = "1") -> UUID | None:
    kernel.keys.open_or_create(KeyRef(tenant, owner, KeyClass.PROFILE))
    with kernel.db.transaction(tenant) as session:
        return mail.post(session, kernel.keys, owner, LETTER, template="invitation", campaign=campaign)


def test_the_same_mail_is_written_once(kernel: Kernel) -> None:
    tenant, owner = make_tenant(kernel), uuid4()
    assert write(kernel, tenant, owner) is not None
    assert write(kernel, tenant, owner) is None
    assert write(kernel, tenant, owner, campaign="2") is not None


def test_without_a_server_it_stays_in_the_tenants_own_mailbox(kernel: Kernel) -> None:
    alice, bob, owner = make_tenant(kernel), make_tenant(kernel), uuid4()
    write(kernel, alice, owner)
    run_jobs(kernel, tenant=alice)
    with kernel.db.transaction(alice) as session:
        (kept,) = mail.mailbox(session)
        assert kept.sent_at is not None
        assert mail.read(kernel.keys, kept) == LETTER
    with kernel.db.transaction(bob) as session:
        assert mail.mailbox(session) == []


def test_nothing_of_it_stands_in_clear_and_the_owners_key_closes_it(kernel: Kernel) -> None:
    tenant, owner = make_tenant(kernel), uuid4()
    write(kernel, tenant, owner)
    with kernel.db.transaction(tenant) as session:
        everything = str(session.execute(text("select row_to_json(m)::text from mail m")).scalars().all())
        everything += str(session.execute(text("select row_to_json(j)::text from job j")).scalars().all())
        assert "nadia" not in everything.lower()
        (kept,) = mail.mailbox(session)
    kernel.keys.destroy(KeyRef(tenant, owner, KeyClass.PROFILE), utc_now())
    assert mail.read(kernel.keys, kept) is None


@pytest.fixture(scope="module")
def mailpit() -> Iterator[tuple[str, str]]:
    with mail_server() as running:
        yield running


@contextmanager
def mail_server(tls: Certificates | None = None) -> Iterator[tuple[str, str]]:
    """Where it takes mail, and where its own API shows them. With `tls` it takes nothing before STARTTLS."""
    if not (SERVERS / "unpack").exists():
        pytest.skip("the mail server for tests is not on this machine")
    folder = subprocess.run([SERVERS / "unpack"], capture_output=True, text=True, check=True).stdout.strip()
    smtp, web = free_port(), free_port()
    command = [f"{folder.splitlines()[-1]}/bin/mailpit", "--smtp", f"127.0.0.1:{smtp}", "--listen", f"127.0.0.1:{web}"]
    if tls:
        command += ["--smtp-tls-cert", str(tls.certificate), "--smtp-tls-key", str(tls.key), "--smtp-require-starttls"]
        command += ["--smtp-auth-accept-any"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: answers(smtp) and answers(web))
    address = f"likeness:secret@localhost:{smtp}" if tls else f"127.0.0.1:{smtp}"
    try:
        yield f"smtp://{address}", f"http://127.0.0.1:{web}/api/v1"
    finally:
        server.kill()
        server.wait()


def received(api: str) -> list[dict[str, object]]:
    with urllib.request.urlopen(f"{api}/messages") as answer:
        messages: list[dict[str, object]] = json.load(answer)["messages"]
        return messages


def test_through_smtp_it_arrives_once_and_its_words_are_forgotten(kernel: Kernel, mailpit: tuple[str, str]) -> None:
    url, api = mailpit
    sending = replace(kernel, settings=kernel.settings.model_copy(update={"smtp_url": url}))
    tenant, owner = make_tenant(kernel), uuid4()
    mail_id = write(sending, tenant, owner)
    assert mail_id is not None
    run_jobs(sending, tenant=tenant)
    (message,) = received(api)
    assert message["Subject"] == "Your portraits"
    assert "here is your link" in str(message["Snippet"])
    with kernel.db.transaction(tenant) as session:
        (kept,) = mail.mailbox(session)
        assert kept.sealed is None
        assert kept.sent_at is not None
        jobs.send(session, mail.deliver, str(mail_id), key="again")
    run_jobs(sending, tenant=tenant)
    assert len(received(api)) == 1


def test_a_server_that_is_down_costs_time_and_no_mail(kernel: Kernel, mailpit: tuple[str, str]) -> None:
    url, api = mailpit
    before = len(received(api))
    down = replace(kernel, settings=kernel.settings.model_copy(update={"smtp_url": "smtp://127.0.0.1:9"}))
    tenant = make_tenant(kernel)
    write(kernel, tenant, uuid4())
    run_jobs(down, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        assert [kept.sent_at for kept in mail.mailbox(session)] == [None]
        session.execute(text("update job set due = now() where state = 'ready'"))
    up = replace(kernel, settings=kernel.settings.model_copy(update={"smtp_url": url}))
    run_jobs(up, tenant=tenant)
    assert len(received(api)) == before + 1

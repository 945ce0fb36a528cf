"""A way in for a company that has none left: two operators, fifteen minutes, and the company is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from likeness import ledger
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.run.postgres import EmbeddedPostgres
from tenants.members import break_glass, members
from tenants.models import Member, Role
from tests.factories import make_member, make_tenant, sign_in
from tests.waiting import PATIENCE, until

LIKENESS = Path(sys.executable).with_name("likeness")
REASON = "Their owner left and the mailbox is closed; ticket 4711."


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def operator(kernel: Kernel, name: str) -> tuple[Member, str]:
    email = f"{uuid4().hex}@ops.example"
    return make_member(kernel, PLATFORM, Role.OPERATOR, name=name, email=email), email


def events(kernel: Kernel, tenant: UUID) -> list[str]:
    with kernel.db.transaction(tenant) as session:
        return [entry.event for entry in ledger.entries(session) if entry.event.startswith("break-glass")]


def test_two_operators_let_a_member_in_and_legal_reads_who_why_and_when(
    kernel: Kernel, client: TestClient[Any], postgres: EmbeddedPostgres
) -> None:
    name = f"Zebra {uuid4().hex[:6]}"
    tenant, other = make_tenant(kernel, name=name), make_tenant(kernel)
    owner = f"{uuid4().hex}@zebra.example"
    make_member(kernel, tenant, Role.OWNER, email=owner, name="Olga Owner")
    make_member(kernel, tenant, Role.LEGAL, email="lena@zebra.example", name="Lena")
    make_member(kernel, other, Role.LEGAL)
    first, address = operator(kernel, "Otto First")
    second, _ = operator(kernel, "Susan Second")
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith("LIKENESS_")} | {
        "LIKENESS_PROFILE": "production",
        "LIKENESS_HOME": str(kernel.settings.home),
        "LIKENESS_DATABASE_URL": postgres.url("likeness_app"),
        "LIKENESS_KEY_FOLDER": str(kernel.settings.keys_path()),
        "LIKENESS_PUBLIC_URL": "https://headshots.example",
    }
    command = [LIKENESS, "admin", "link", "--company", name, "--email", owner, "--operator", address, "--reason", REASON]
    running = subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        question = waits_for(kernel, tenant)
        sign_in(client, kernel, PLATFORM, Kind.OPERATOR, first.id)
        page = client.get("/operations").text
        assert f"Otto First asks for a way into {name}" in page
        assert REASON in page
        assert "Olga" not in page, "an operator sees no people"
        refused = client.post(f"/operations/break-glass/{question}/confirm")
        assert (refused.status_code, "It takes a second operator" in refused.text) == (409, True)
        late, _ = operator(kernel, "Late")
        sign_in(client, kernel, PLATFORM, Kind.OPERATOR, late.id)
        assert client.post(f"/operations/break-glass/{question}/confirm").status_code == 409
        sign_in(client, kernel, PLATFORM, Kind.OPERATOR, second.id)
        assert client.post(f"/operations/break-glass/{question}/confirm").status_code == 200
        printed, said = running.communicate(timeout=PATIENCE)
    finally:
        running.kill()
    link = re.search(r"https://headshots\.example/sign-in/(\S+)", printed)
    assert link, said
    client.cookies.clear()
    assert client.post(f"/api/v1/sign-in/{link[1]}").json() == {"kind": "member"}
    assert client.get("/team").status_code == 200
    assert client.post(f"/api/v1/sign-in/{link[1]}").status_code == 410
    with kernel.db.transaction(tenant) as session:
        (letter,) = [mail.read(kernel.keys, one) for one in mail.mailbox(session) if one.template == "break-glass"]
    assert letter
    assert letter.to == "lena@zebra.example"
    for words in ("Otto First", "Susan Second", REASON, "Olga Owner", name):
        assert words in letter.text
    with kernel.db.transaction(other) as session:
        assert mail.mailbox(session) == []
    assert events(kernel, tenant) == ["break-glass.opened"]
    assert events(kernel, PLATFORM)[-3:] == ["break-glass.asked", "break-glass.confirmed", "break-glass.opened"]
    with kernel.db.transaction(PLATFORM) as session:
        rows = session.execute(text("select b::text from break_glass b")).scalars().all()
    assert not any("ticket" in row or REASON.encode().hex() in row for row in rows)
    assert client.post(f"/operations/break-glass/{question}/confirm").status_code == 403


def waits_for(kernel: Kernel, company: UUID) -> UUID:
    found: list[UUID] = []

    def asked() -> list[UUID]:
        with kernel.db.transaction(PLATFORM) as session:
            found.extend(one.id for one in break_glass.waiting(session, utc_now()) if one.company == company)
        return found

    until(asked)
    return found[0]


def test_fifteen_minutes_and_once(kernel: Kernel) -> None:
    tenant, email = make_tenant(kernel), f"{uuid4().hex}@zebra.example"
    make_member(kernel, tenant, Role.OWNER, email=email)
    (_, address), (second, _) = operator(kernel, "First"), operator(kernel, "Second")
    now = utc_now()
    asked = break_glass.ask(kernel, tenant, email, operator=address, reason=REASON, now=now)
    assert break_glass.open_once(kernel, asked, now) == ""
    with kernel.db.transaction(PLATFORM) as session, pytest.raises(break_glass.QuestionMissing):
        break_glass.confirm(session, asked, by=second.id, now=now + timedelta(minutes=16))
    with kernel.db.transaction(PLATFORM) as session:
        break_glass.confirm(session, asked, by=second.id, now=utc_now())
    assert "/sign-in/" in break_glass.open_once(kernel, asked, now)
    with pytest.raises(break_glass.QuestionMissing):
        break_glass.open_once(kernel, asked, now)
    with kernel.db.transaction(tenant) as session:
        left = session.execute(text("select max(expires_at) - :now from sign_in_link"), {"now": now}).scalar()
    assert left == timedelta(minutes=15)


def test_what_is_refused_before_anybody_is_asked(kernel: Kernel) -> None:
    tenant, now = make_tenant(kernel), utc_now()
    _, address = operator(kernel, "First")
    hr = f"{uuid4().hex}@zebra.example"
    make_member(kernel, tenant, Role.HR, email=hr)
    with pytest.raises(break_glass.NobodyToTell):
        break_glass.ask(kernel, tenant, hr, operator=address, reason=REASON, now=now)
    make_member(kernel, tenant, Role.OWNER)
    with pytest.raises(break_glass.ReasonMissing):
        break_glass.ask(kernel, tenant, hr, operator=address, reason="because", now=now)
    for wrong in ({"email": "nobody@zebra.example", "operator": address}, {"email": hr, "operator": hr}):
        with pytest.raises(members.MemberMissing):
            break_glass.ask(kernel, tenant, reason=REASON, now=now, **wrong)

"""One's own account: idle sessions end, one is seen and ended elsewhere, and one leaves; the company's terms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from likeness import identity, ledger
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from tenants import tenants
from tenants.models import Role
from tests.factories import make_employee, make_member, make_tenant, sign_in, sign_in_employee, sign_in_member


def rest(kernel: Kernel, tenant: UUID, minutes: int) -> None:
    """Nobody of this company did anything for so long."""
    with kernel.db.transaction(tenant) as session:
        session.execute(text("update web_session set seen_at = now() - :m * interval '1 minute'"), {"m": minutes})


def test_a_session_of_the_desk_ends_after_half_an_hour_without_anybody(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    rest(kernel, tenant, 29)
    assert client.get("/desk").status_code == 200, "and that counts as somebody"
    rest(kernel, tenant, 29)
    # What an open page asks by itself keeps nothing awake.
    for _ in range(2):
        assert client.get("/desk", headers={"likeness-by-itself": "1"}).status_code == 200
    with kernel.db.transaction(tenant) as session:
        idle = session.execute(text("select now() - seen_at > interval '20 minutes' from web_session")).scalar()
    assert idle
    rest(kernel, tenant, 31)
    assert client.get("/desk").status_code == 401
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel)
    sign_in_employee(client, kernel, person)
    rest(kernel, tenant, 300)
    assert client.get("/visit", follow_redirects=False).status_code != 401, "an employee reads a notice for a while"


def test_operators_are_idle_too_and_twelve_hours_are_the_most(kernel: Kernel) -> None:
    operator, now = make_member(kernel, PLATFORM, Role.OPERATOR), utc_now()
    with kernel.db.transaction(PLATFORM) as session:
        cookie = identity.start_session(session, Kind.OPERATOR, operator.id, now)
    moment = now
    while moment < now + timedelta(hours=12):
        assert identity.caller_of(kernel.db, cookie, moment), moment - now
        moment += timedelta(minutes=25)
    assert identity.caller_of(kernel.db, cookie, now + timedelta(hours=12, minutes=1)) is None
    with kernel.db.transaction(PLATFORM) as session:
        again = identity.start_session(session, Kind.OPERATOR, operator.id, now)
    assert identity.caller_of(kernel.db, again, now + timedelta(minutes=31)) is None


def test_ones_sessions_are_seen_and_ended_one_or_all(kernel: Kernel, app: Litestar, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    me = sign_in_member(client, kernel, tenant, Role.LEGAL)
    stranger = make_member(kernel, tenant)
    with TestClient(app) as elsewhere, TestClient(app) as theirs:
        sign_in(elsewhere, kernel, tenant, Kind.MEMBER, me.id)
        sign_in(theirs, kernel, tenant, Kind.MEMBER, stranger.id)
        page = client.get("/account").text
        assert page.count("Another browser") == page.count("This browser") == 1
        with kernel.db.transaction(tenant) as session:
            (foreign,) = identity.sessions_of(session, stranger.id, utc_now())
            other = [one.id for one in identity.sessions_of(session, me.id, utc_now())]
        assert client.post(f"/account/sessions/{foreign.id}/end").status_code == 404
        assert client.post(f"/account/sessions/{uuid4()}/end").status_code == 404
        for one in other:
            if f"/account/sessions/{one}/end" in page:
                assert client.post(f"/account/sessions/{one}/end").status_code == 200
        assert elsewhere.get("/legal").status_code == 401
        assert client.get("/legal").status_code == 200
        sign_in(elsewhere, kernel, tenant, Kind.MEMBER, me.id)
        with kernel.db.transaction(tenant) as session:
            unused = identity.make_link(session, Kind.MEMBER, me.id, utc_now())
        assert client.post("/account/sign-out-everywhere", follow_redirects=False).headers["location"] == "/"
        assert elsewhere.get("/legal").status_code == client.get("/legal").status_code == 401
        assert client.post(f"/api/v1/sign-in/{unused}").status_code == 410
        assert theirs.get("/desk").status_code == 200
    with kernel.db.transaction(tenant) as session:
        assert [entry.event for entry in ledger.entries(session)][-1] == "session.ended-everywhere"


def test_whoever_leaves_is_out_and_can_be_let_back_and_the_last_owner_stays(
    kernel: Kernel, app: Litestar, client: TestClient[Any]
) -> None:
    tenant = make_tenant(kernel)
    owner = sign_in_member(client, kernel, tenant, Role.OWNER, Role.HR)
    refused = client.post("/account/leave")
    assert (refused.status_code, "No other owner has signed in yet" in refused.text) == (409, True)
    with TestClient(app) as theirs:
        leaver = sign_in_member(theirs, kernel, tenant, Role.AUDITOR)
        assert theirs.post("/account/leave", follow_redirects=False).headers["location"] == "/"
        assert theirs.get("/legal").status_code == 401
        assert "may work here again" in client.post(f"/team/{leaver.id}/let-back").text
        sign_in(theirs, kernel, tenant, Kind.MEMBER, leaver.id)
        assert theirs.get("/legal").status_code == 200
    make_member(kernel, tenant, Role.OWNER)
    assert client.post("/account/leave", follow_redirects=False).status_code == 303
    assert client.get("/desk").status_code == 401
    assert owner.id


@pytest.mark.parametrize("role", [Role.OWNER, Role.LEGAL])
def test_the_companys_terms_are_changed_by_who_may_and_days_only_shortened(
    kernel: Kernel, client: TestClient[Any], role: Role
) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    for reader in (Role.HR, Role.BRAND, Role.AUDITOR):
        sign_in_member(client, kernel, tenant, reader)
        page = client.get("/settings").text
        assert "deleted after 7 days" in page
        assert "<dt>Mails come from</dt><dd>Likeness &lt;likeness@localhost&gt;</dd>" in page
        assert 'action="/settings"' not in page
        assert client.post("/settings", data={"name": "Mine"}).status_code == 403
    sign_in_member(client, kernel, tenant, role)
    client.headers["accept-language"] = "en"  # So that the page stays in English when the company's language changes.
    done = client.post("/settings", data={"contact": "dpo@zebra.example", "source_days": "5", "headshot_days": "30"})
    assert "Saved" in done.text
    assert 'value="dpo@zebra.example"' in done.text
    done = client.post("/settings", data={"language": "de", "time_zone": "Europe/Berlin", "colour": "#1f5a8c",
                                           "sender_name": "Zebra Works, People"})  # fmt: skip
    assert "Mails come from &#34;Zebra Works, People&#34; &lt;likeness@localhost&gt;" in done.text
    assert client.get("/api/v1/tenant").json()["sender_name"] == "Zebra Works, People"
    assert "Mails that leave from now on" in done.text
    assert '<option value="de" lang="de" selected>Deutsch' in done.text
    for wrong in (
        {"source_days": "6"}, {"source_days": "x"}, {"headshot_days": "0"}, {"name": ""}, {"name": "a\0"},
        {"language": "xx"}, {"time_zone": "Europe/Nowhere"}, {"time_zone": "a\0"}, {"colour": "red"},
        {"sender_name": "boss@bank.example"}, {"sender_name": "Boss <boss>"}, {"sender_name": "a\0"},
        {"sender_name": "x" * 61},
    ):  # fmt: skip
        assert client.post("/settings", data=wrong).status_code == 422, wrong
    assert client.patch("/api/v1/tenant", json={"source_days": 6}).status_code == 422
    # Shorter days cannot be made longer again, so they take somebody who proved a moment ago who they are.
    with kernel.db.transaction(tenant) as session:
        session.execute(text("update web_session set authenticated_at = now() - interval '6 minutes'"))
    assert client.post("/settings", data={"source_days": "4"}).status_code == 403
    assert client.post("/settings", data={"authority": "The authority"}).status_code == 200
    with kernel.db.transaction(tenant) as session:
        mine = tenants.get(session)
        assert (mine.source_days, mine.contact, mine.authority) == (5, "dpo@zebra.example", "The authority")
        assert (mine.language, mine.time_zone, mine.colour) == ("de", "Europe/Berlin", "#1f5a8c")
    with kernel.db.transaction(other) as session:
        assert tenants.get(session).source_days == 7

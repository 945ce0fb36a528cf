"""The Team page: invited, changed, disabled and let back by whoever may, and seen by their own company only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.web.guards import BY_ITSELF
from tenants.members import members
from tenants.models import Member, Role
from tests.factories import make_employee, make_member, make_tenant, sign_in, sign_in_employee, sign_in_member


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def test_a_team_is_invited_changed_disabled_and_let_back(kernel: Kernel, app: Litestar, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    me = sign_in_member(client, kernel, tenant, Role.OWNER, Role.HR)
    page = client.get("/team").text
    assert "Hanna Reiter" in page
    assert "(you)" in page
    assert 'href="/team" aria-current="page"' in client.get("/team").text
    form = {"name": "Ida Lind", "email": "ida@zebra.example", "role-legal": "1"}
    done = client.post("/team", data=form)
    assert "to their address, and to nobody else" in done.text
    assert "Waiting invitations" in done.text
    assert "/sign-in/" not in done.text
    refused = client.post("/team", data=form)
    assert (refused.status_code, "ida@zebra.example" in refused.text) == (409, True)
    assert client.post("/team", data=form | {"email": "x@zebra.example", "role-legal": ""}).status_code == 422
    with kernel.db.transaction(tenant) as session:
        ida = members.find(session, kernel.keys, "ida@zebra.example")
        assert ida
        assert ida.invited_by == me.id
    assert "A fresh invitation is on its way" in client.post(f"/team/{ida.id}/again").text
    assert client.post(f"/team/{ida.id}/again").status_code == 409
    with kernel.db.transaction(tenant) as session:
        assert len(mail.mailbox(session)) == 2
        members.came_in(session, ida.id, utc_now())
    assert client.post(f"/team/{ida.id}/again").status_code == 409
    both = client.post(f"/team/{ida.id}/roles", data={"role-hr": "1", "role-legal": "1"})
    assert (both.status_code, "Invite a second person for the other part" in both.text) == (409, True)
    changed = client.post(f"/team/{ida.id}/roles", data={"role-hr": "1", "role-brand": "1"})
    assert "They count from now on" in changed.text
    assert client.post(f"/team/{ida.id}/roles", data={}).status_code == 422
    assert client.post(f"/team/{ida.id}/nothing").status_code == 404
    with TestClient(app) as theirs:
        sign_in(theirs, kernel, tenant, Kind.MEMBER, ida.id)
        assert theirs.get("/desk").status_code == 200
        assert "signed out everywhere" in client.post(f"/team/{ida.id}/disable").text
        assert theirs.get("/desk").status_code == 401
    assert "No longer here" in client.get("/team").text
    assert client.post(f"/team/{me.id}/disable").status_code == 409
    assert "may work here again" in client.post(f"/team/{ida.id}/let-back").text
    client.post(f"/team/{ida.id}/roles", data={"role-owner": "1"})
    answer = client.post(f"/team/{me.id}/disable", follow_redirects=False)
    assert answer.headers["location"] == "/"
    assert client.get("/team").status_code == 401


def test_only_owners_change_the_team_and_not_themselves(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    owner = make_member(kernel, tenant, Role.OWNER, name="Olga Owner")
    for role in (Role.HR, Role.BRAND, Role.LEGAL, Role.AUDITOR):
        me = sign_in_member(client, kernel, tenant, role)
        page = client.get("/team").text
        assert "Olga Owner" in page
        assert 'action="/team' not in page
        for path in ("/team", f"/team/{owner.id}/disable", f"/team/{owner.id}/roles", f"/team/{me.id}/roles"):
            assert client.post(path, data={"role-owner": "1"}).status_code == 403
    sign_in(client, kernel, tenant, Kind.MEMBER, owner.id)
    refused = client.post(f"/team/{owner.id}/roles", data={"role-owner": "1", "role-hr": "1"})
    assert (refused.status_code, "Nobody gives themselves a role" in refused.text) == (403, True)
    with kernel.db.transaction(tenant) as session:
        assert members.get(session, owner.id).roles == ["owner"]


def test_who_held_hr_and_legal_works_with_names_until_they_choose(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    for keep, here, closed, kept in (
        ("hr", "/desk", "/legal", ["hr", "owner"]),
        ("legal", "/legal", "/desk", ["legal", "owner"]),
    ):
        both = sign_in_member(client, kernel, tenant, Role.OWNER, Role.HR)
        with kernel.db.transaction(tenant) as session:
            members.get(session, both.id).roles = ["hr", "legal", "owner"]
        page = client.get("/desk")
        assert (page.status_code, "choose one" in page.text) == (200, True)
        assert client.get("/legal").status_code == client.get("/api/v1/holds").status_code == 403
        assert "Your other part (legal) rests until you choose" in client.get("/team").text
        assert "They count from now on" in client.post(f"/team/keep/{keep}").text
        with kernel.db.transaction(tenant) as session:
            assert members.get(session, both.id).roles == kept
        assert (client.get(here).status_code, client.get(closed).status_code) == (200, 403)
        assert "choose one" not in client.get("/team").text
    # It gives nobody a part that they did not hold.
    sign_in_member(client, kernel, other, Role.HR)
    for role in ("legal", "owner", "god"):
        assert client.post(f"/team/keep/{role}").status_code == 404


def test_a_team_is_its_own_companys(kernel: Kernel, client: TestClient[Any]) -> None:
    stranger = make_member(kernel, make_tenant(kernel), name="Stranger Danger")
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.OWNER)
    assert "Stranger Danger" not in client.get("/team").text
    for act in ("again", "roles", "disable", "let-back"):
        assert client.post(f"/team/{stranger.id}/{act}", data={"role-legal": "1"}).status_code == 404
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel)
    sign_in_employee(client, kernel, person)
    assert client.get("/team").status_code == 403
    client.cookies.clear()
    assert client.get("/team").status_code == 401


def test_when_somebody_was_last_there_outlives_their_session(
    kernel: Kernel, app: Litestar, client: TestClient[Any]
) -> None:
    tenant, elsewhere = make_tenant(kernel), make_tenant(kernel)
    stranger = make_member(kernel, elsewhere, Role.OWNER)
    me = sign_in_member(client, kernel, tenant, Role.OWNER)

    def seen(member: Member = me) -> datetime | None:
        with kernel.db.transaction(member.tenant_id) as session:
            return members.get(session, member.id).seen_at

    def ago(minutes: int, session_minutes: int) -> None:
        """As if the member and their session had been there so long ago."""
        with kernel.db.transaction(tenant) as session:
            for table, since in (("member", minutes), ("web_session", session_minutes)):
                at = {"at": utc_now() - timedelta(minutes=since)}
                session.execute(text(f"update {table} set seen_at = :at"), at)

    untouched = seen(stranger)
    ago(20, 20)
    client.get("/team", headers={BY_ITSELF: "true"})
    assert utc_now() - (seen() or utc_now()) > timedelta(minutes=19), "what a page asks by itself is nobody's doing"
    assert "Last seen" in client.get("/team").text
    noted = seen()
    assert noted is not None
    assert utc_now() - noted < timedelta(minutes=1)
    ago(4, 3)
    before = seen()
    client.get("/team")
    assert seen() == before, "not at every step"
    ago(20, 20)
    client.get("/team")
    client.post("/sign-out")
    last = seen()
    assert last is not None
    assert utc_now() - last < timedelta(minutes=1)
    sign_in_member(client, kernel, tenant, Role.OWNER)
    (told,) = [one for one in client.get("/api/v1/members").json() if one["id"] == str(me.id)]
    assert datetime.fromisoformat(told["seen_at"]) == last
    assert seen(stranger) == untouched
    assert str(me.id) not in TestClient(app).get("/api/v1/members").text

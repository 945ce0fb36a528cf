"""The Team page: invited, changed, disabled and let back by whoever may, and seen by their own company only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar.testing import TestClient

from likeness import mail
from likeness.app import create_app
from likeness.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from tenants import members
from tenants.models import Role
from tests.factories import make_employee, make_member, make_tenant, sign_in, sign_in_employee, sign_in_member


@pytest.fixture
def client(kernel: Kernel) -> Iterator[TestClient[Any]]:
    with TestClient(create_app(kernel)) as client:
        yield client


def test_a_team_is_invited_changed_disabled_and_let_back(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    me = sign_in_member(client, kernel, tenant, Role.HR, Role.LEGAL)
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
    changed = client.post(f"/team/{ida.id}/roles", data={"role-hr": "1", "role-legal": "1"})
    assert "They count from now on" in changed.text
    assert client.post(f"/team/{ida.id}/roles", data={}).status_code == 422
    assert client.post(f"/team/{ida.id}/nothing").status_code == 404
    with TestClient(create_app(kernel)) as theirs:
        sign_in(theirs, kernel, tenant, Kind.MEMBER, ida.id)
        assert theirs.get("/desk").status_code == 200
        assert "signed out everywhere" in client.post(f"/team/{ida.id}/disable").text
        assert theirs.get("/desk").status_code == 401
    assert "No longer here" in client.get("/team").text
    assert client.post(f"/team/{me.id}/disable").status_code == 409
    assert "may work here again" in client.post(f"/team/{ida.id}/let-back").text
    answer = client.post(f"/team/{me.id}/disable", follow_redirects=False)
    assert answer.headers["location"] == "/"
    assert client.get("/team").status_code == 401


def test_nobody_gives_or_takes_what_they_do_not_hold(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    both = make_member(kernel, tenant, Role.HR, Role.LEGAL, name="Both Roles")
    make_member(kernel, tenant, Role.HR, Role.LEGAL)
    sign_in_member(client, kernel, tenant, Role.HR)
    page = client.get("/team").text
    assert "Only somebody who holds all their roles can disable them." in page
    assert 'name="role-legal"' not in page
    refused = client.post("/team", data={"name": "A", "email": "a@zebra.example", "role-legal": "1"})
    assert (refused.status_code, "who holds a role can give" in refused.text) == (403, True)
    assert client.post(f"/team/{both.id}/disable").status_code == 403
    # A form that says nothing of a role that the reader lacks leaves it alone.
    client.post(f"/team/{both.id}/roles", data={"role-hr": "1"})
    client.post(f"/team/{both.id}/roles", data={"role-hr": "1", "role-legal": ""})
    client.post(f"/team/{both.id}/roles", data={})
    with kernel.db.transaction(tenant) as session:
        assert members.get(session, both.id).roles == ["legal"]


def test_a_team_is_its_own_companys(kernel: Kernel, client: TestClient[Any]) -> None:
    stranger = make_member(kernel, make_tenant(kernel), name="Stranger Danger")
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.LEGAL)
    assert "Stranger Danger" not in client.get("/team").text
    for act in ("again", "roles", "disable", "let-back"):
        assert client.post(f"/team/{stranger.id}/{act}", data={"role-legal": "1"}).status_code == 404
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel)
    sign_in_employee(client, kernel, person)
    assert client.get("/team").status_code == 403
    client.cookies.clear()
    assert client.get("/team").status_code == 401

"""Who may hand in a company's own provider, and that nothing is changed where Keycloak does not do it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlalchemy import text

from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.run.app import create_app
from tenants import suspension, tenants
from tenants.members import members
from tenants.models import Role
from tenants.sso import changing
from tenants.sso.providers import Provider
from tests.factories import make_member, make_tenant, sign_in
from tests.sso.conftest import Company
from tests.sso.test_described import GOOD, POST, key_of, metadata

GIVEN = {"kind": "saml", "metadata": metadata(key_of(GOOD), POST)}


def reaching(kernel: Kernel, **changes: Any) -> Kernel:
    """As a web server that may change a Keycloak which does not answer."""
    away = {"keycloak_url": "http://127.0.0.1:9", "keycloak_setup_secret": "a-secret"} | changes
    return replace(kernel, settings=kernel.settings.model_copy(update=away))


@contextmanager
def as_member(kernel: Kernel, company: Company, *roles: Role, **changes: Any) -> Iterator[TestClient[Any]]:
    with TestClient(create_app(reaching(kernel, **changes))) as client:
        sign_in(client, kernel, company.tenant, Kind.MEMBER, company.member(*roles).id)
        yield client


def row_of(company: Company) -> tuple[Any, ...]:
    with company.kernel.db.transaction(company.tenant) as session:
        row: Provider = changing.row(session)
        return row.alias, row.organization, row.brokered, row.members_acr, row.disabled_at


@pytest.mark.parametrize("roles", [(Role.HR,), (Role.LEGAL,), (Role.BRAND,), (Role.AUDITOR,)])
def test_nobody_but_an_owner_hands_in_a_provider(
    sso_kernel: Kernel, zebra: Company, acme: Company, roles: tuple[Role, ...]
) -> None:
    with as_member(sso_kernel, zebra, *roles) as client:
        assert "Hand in" not in client.get("/settings").text
        assert client.post("/settings/provider", data=GIVEN).status_code == 403
        answer = client.put("/api/v1/tenant/sign-in/provider", json=GIVEN)
        assert (answer.status_code, "accounts.change" in answer.json()["detail"]) == (403, True)
        read = client.get("/api/v1/tenant/sign-in").json()
        assert (read["domains"], read["brokered"]) == ([zebra.domain], True)
    assert acme.domain not in str(read)


def test_an_owner_who_works_for_some_departments_hands_in_none(sso_kernel: Kernel, zebra: Company) -> None:
    with as_member(sso_kernel, zebra, Role.OWNER, Role.HR) as client:
        assert "Hand in" in client.get("/settings").text
        with sso_kernel.db.transaction(zebra.tenant) as session:
            owner = next(one for one in members.all(session) if Role.OWNER in one.roles)
            owner.departments = [b"x".hex()]
            session.add(owner)
        answer = client.put("/api/v1/tenant/sign-in/provider", json=GIVEN)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:likeness:bound-to-departments")


def test_it_takes_a_fresh_sign_in(sso_kernel: Kernel, zebra: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    with as_member(sso_kernel, zebra, Role.OWNER) as client:
        with sso_kernel.db.transaction(zebra.tenant) as session:
            session.execute(text("update web_session set authenticated_at = authenticated_at - interval '6 minutes'"))
        page = client.get("/settings").text
        assert 'action="/settings/provider"' not in page, "no form whose words would be lost"
        assert "/sso/again" in page
        for answer in (client.post("/settings/provider", data=GIVEN),
                       client.put("/api/v1/tenant/sign-in/provider", json=GIVEN)):  # fmt: skip
            assert answer.status_code == 403
            assert "Sign in once more" in answer.text


def test_a_keycloak_that_does_not_answer_leaves_everything_as_it_was(
    sso_kernel: Kernel, zebra: Company, acme: Company
) -> None:
    with as_member(sso_kernel, zebra, Role.OWNER) as client:
        before = row_of(zebra), zebra.events()
        answer = client.post("/settings/provider", data=GIVEN)
        assert answer.status_code == 503
        assert "Keycloak does not answer" in answer.text
        assert "https://idp.example" in answer.text, "what was typed is kept"
        assert client.put("/api/v1/tenant/sign-in/provider", json=GIVEN).status_code == 503
        wrong = client.put("/api/v1/tenant/sign-in/provider", json=GIVEN | {"metadata": "<a>"})
        assert (wrong.status_code, wrong.json()["title"]) == (422, "This identity provider cannot be added")
        more = client.put("/api/v1/tenant/sign-in/provider", json=GIVEN | {"trusts_addresses": True})
        assert more.status_code == 400, "an owner does not say what is believed"
    assert (row_of(zebra), zebra.events()) == before
    assert "provider.changed" not in acme.events()


def test_where_the_server_may_not_change_keycloak_the_page_says_who_can(sso_kernel: Kernel, zebra: Company) -> None:
    with as_member(sso_kernel, zebra, Role.OWNER, keycloak_setup_secret="") as client:
        page = client.get("/settings").text
        assert "Whoever runs Likeness for you enters another provider" in page
        assert 'action="/settings/provider"' not in page
        assert client.put("/api/v1/tenant/sign-in/provider", json=GIVEN).status_code == 409


def test_a_sign_in_that_ended_and_a_company_without_domains_are_the_operators(
    sso_kernel: Kernel, zebra: Company
) -> None:
    """Domains are named by who has checked whose they are; an owner who could name them would take other people's."""
    with as_member(sso_kernel, zebra, Role.OWNER) as client:
        with sso_kernel.db.transaction(zebra.tenant) as session:
            changing.end(session, utc_now())
        assert 'action="/settings/provider"' not in client.get("/settings").text
        answer = client.put("/api/v1/tenant/sign-in/provider", json=GIVEN)
        assert (answer.status_code, answer.json()["title"]) == (409, "This sign-in has ended")
    kernel = reaching(sso_kernel)
    bare = make_tenant(kernel)
    with TestClient(create_app(kernel)) as client:
        sign_in(client, kernel, bare, Kind.MEMBER, make_member(kernel, bare, Role.OWNER).id)
        page = client.get("/settings").text
        assert "Once they have checked your mail domains" in page
        assert client.get("/api/v1/tenant/sign-in").status_code == 404
        for answer in (client.put("/api/v1/tenant/sign-in/provider", json=GIVEN),
                       client.post("/settings/provider", data=GIVEN)):  # fmt: skip
            assert answer.status_code == 404
        assert client.put("/api/v1/tenant/sign-in/provider", json=GIVEN | {"domains": ["x.example"]}).status_code == 400


def test_a_suspended_company_hands_in_nothing(sso_kernel: Kernel, zebra: Company) -> None:
    with as_member(sso_kernel, zebra, Role.OWNER) as client:
        with sso_kernel.db.transaction(zebra.tenant) as session:
            suspension.suspend(session, utc_now(), caller="test")
        assert client.put("/api/v1/tenant/sign-in/provider", json=GIVEN).status_code == 409
        assert row_of(zebra)[0] == zebra.provider.alias


def test_an_operator_hands_in_a_provider_only_with_a_domain_and_a_fresh_sign_in(sso_kernel: Kernel) -> None:
    kernel = reaching(sso_kernel)
    bare = make_tenant(kernel)
    with TestClient(create_app(kernel)) as client:
        sign_in(client, kernel, PLATFORM, Kind.OPERATOR, make_member(kernel, PLATFORM, Role.OPERATOR).id)
        at = f"/api/v1/tenants/{bare}/sign-in"
        assert client.post(at, json={"domains": [], "provider": GIVEN}).status_code == 422
        assert client.post(at, json={"domains": ["kestrel.example"], "provider": GIVEN}).status_code == 503
        assert client.put(at, json={"provider": GIVEN}).status_code == 404
        page = client.get(f"/operations/companies/{bare}").text
        assert f'action="/operations/companies/{bare}/sign-in"' in page
        with kernel.db.transaction(PLATFORM) as session:
            session.execute(text("update web_session set authenticated_at = authenticated_at - interval '6 minutes'"))
        assert client.put(at, json={"provider": GIVEN}).status_code == 403
        page = client.get(f"/operations/companies/{bare}").text
        assert f'action="/operations/companies/{bare}/sign-in"' not in page
        assert "/sso/again" in page
    with kernel.db.transaction(bare) as session:
        assert changing.shown(session) is None
        assert tenants.get(session).name

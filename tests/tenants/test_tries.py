"""Links that lead nowhere: they are slowed down, and nobody whose link is in order ever notices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import delete, text
from sqlmodel import select

from batch.visit import invitations
from compliance.erasure import receipts
from compliance.models import Erasure
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.settings import Settings
from likeness.identity import Kind, make_link, new_token
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.run.app import create_app
from tenants import tries
from tenants.tries import MOST, WrongTry, network
from tests.browser.world import served
from tests.factories import make_employee, make_member, make_tenant, run_jobs
from tests.waiting import PATIENCE


@pytest.fixture(autouse=True)
def nothing_counted(kernel: Kernel) -> None:
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(delete(WrongTry))


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def guesses(client: TestClient[Any] | httpx.Client, tenant: UUID, count: int, path: str = "sign-in") -> list[int]:
    return [client.post(f"/api/v1/{path}/{new_token(tenant)}").status_code for _ in range(count)]


def test_guessing_is_slowed_down(kernel: Kernel, client: TestClient[Any]) -> None:
    assert guesses(client, make_tenant(kernel), 22) == [410] * MOST + [429] * 2
    # Companies that do not exist are no way round.
    assert [guesses(client, uuid4(), 1)[0] for _ in range(22)] == [410] * MOST + [429] * 2
    answer = client.post("/api/v1/sign-in/no-token")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    assert "works all the same" in answer.json()["detail"]


def test_a_link_that_exists_works_whatever_came_before(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    hr = make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel)
        invitations.invite(session, person, utc_now())
        member_link = make_link(session, Kind.MEMBER, hr.id, utc_now())
        erasure = Erasure(tenant_id=tenant, employee_id=uuid4(), trigger="person", requested_by="x", state="certified")
        session.add(erasure)
        session.flush()
        receipt = receipts.issue(session, kernel.keys, erasure)
    run_jobs(kernel, tenant=tenant)
    personal = personal_link(kernel, tenant)
    assert guesses(client, tenant, 60)[-1] == 429
    assert client.get(f"/i/{personal}").status_code == 200
    assert client.post(f"/api/v1/links/{personal}").status_code == 200
    assert client.post(f"/api/v1/links/{personal}/renew").status_code == 202
    assert client.get(f"/gone/{receipt}").status_code == 200
    assert client.get(f"/api/v1/receipts/{receipt}").status_code == 200
    assert client.post(f"/api/v1/sign-in/{member_link}").status_code == 200
    # One that was used says so, and is no guess.
    again = client.post(f"/api/v1/sign-in/{member_link}")
    assert (again.status_code, again.json()["type"]) == (410, "urn:likeness:link-used")
    assert client.post(f"/api/v1/links/{personal}").json()["type"] == "urn:likeness:link-used"


def personal_link(kernel: Kernel, tenant: UUID) -> str:
    with kernel.db.transaction(tenant) as session:
        letter = mail.read(kernel.keys, mail.mailbox(session)[0])
    assert letter is not None
    return letter.text.split("/i/")[1].split()[0]


def test_used_links_opened_again_and_again_are_no_guesses(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    hr = make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        link = make_link(session, Kind.MEMBER, hr.id, utc_now() - timedelta(days=1))
    assert [client.post(f"/api/v1/sign-in/{link}").status_code for _ in range(40)] == [410] * 40


def test_one_companys_guesses_change_nothing_for_another_behind_the_same_proxy(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice, bob = make_tenant(kernel), make_tenant(kernel)
    assert guesses(client, alice, 30)[-1] == 429
    assert guesses(client, bob, 3) == [410] * 3
    assert client.get(f"/i/{new_token(bob)}").status_code == 410


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/receipts/{}"), ("GET", "/gone/{}"), ("GET", "/gone/{}/certificate"), ("GET", "/i/{}"),
        ("GET", "/left/{}"), ("GET", "/api/v1/departures/{}"),
        ("POST", "/i/{}"), ("POST", "/i/{}/renew"), ("GET", "/api/v1/links/{}"), ("POST", "/api/v1/links/{}"),
        ("POST", "/api/v1/links/{}/renew"), ("POST", "/api/v1/sign-in/{}"), ("POST", "/sign-in/{}"),
    ],
)  # fmt: skip
def test_every_way_in_by_a_token_is_counted(kernel: Kernel, client: TestClient[Any], method: str, path: str) -> None:
    tenant = make_tenant(kernel)
    said = [client.request(method, path.format(new_token(tenant))).status_code for _ in range(MOST + 1)]
    assert set(said[:MOST]) <= {404, 410}
    assert said[MOST] == 429


def test_replicas_count_together(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with TestClient(create_app(kernel)) as one, TestClient(create_app(kernel)) as other:
        assert guesses(one, tenant, MOST // 2) + guesses(other, tenant, MOST // 2) == [410] * MOST
        assert guesses(one, tenant, 1) == guesses(other, tenant, 1) == [429]


def test_a_minute_later_it_begins_anew_and_old_counts_go(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    assert guesses(client, tenant, MOST + 1)[-1] == 429
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(text("update wrong_try set since = since - interval '61 seconds'"))
    assert guesses(client, tenant, 1) == [410]
    tries.forget(kernel, utc_now())
    assert counts(kernel) == [1]
    tries.forget(kernel, utc_now() + timedelta(hours=3))
    assert counts(kernel) == []


def counts(kernel: Kernel) -> list[int]:
    with kernel.db.transaction(PLATFORM) as session:
        return list(session.exec(select(WrongTry.count)))


def test_no_address_of_anybody_is_kept(kernel: Kernel, client: TestClient[Any]) -> None:
    guesses(client, make_tenant(kernel), 2)
    with kernel.db.transaction(PLATFORM) as session:
        rows = session.execute(text("select w::text from wrong_try w")).scalars().all()
    assert len(rows) == 1
    assert "testclient" not in rows[0]
    assert b"testclient".hex() not in rows[0]


def test_another_company_sees_no_counts(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    guesses(client, tenant, 2)
    with kernel.db.transaction(tenant) as session:
        assert session.exec(select(WrongTry)).all() == []


def over_http(kernel: Kernel, proxies: str, ask: Callable[[httpx.Client], None]) -> None:
    settings = Settings(**(kernel.settings.model_dump() | {"trusted_proxies": proxies}))
    with (
        served(replace(kernel, settings=settings)) as address,
        httpx.Client(base_url=address, trust_env=False, timeout=PATIENCE) as http,
    ):
        ask(http)


@pytest.mark.parametrize("proxies", ["", "192.0.2.1", "10.0.0.0/8, 2001:db8::/32"])
def test_a_forged_header_is_no_way_round(kernel: Kernel, proxies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    tenant = make_tenant(kernel)

    def ask(http: httpx.Client) -> None:
        said = [
            http.post(
                f"/api/v1/sign-in/{new_token(tenant)}", headers={"x-forwarded-for": f"198.51.100.{n}"}
            ).status_code
            for n in range(MOST + 2)
        ]
        assert said == [410] * MOST + [429] * 2

    over_http(kernel, proxies, ask)


def test_a_proxy_that_is_named_is_believed_about_the_last_step_only(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)

    def ask(http: httpx.Client) -> None:
        def come(said: str) -> int:
            return http.post(f"/api/v1/sign-in/{new_token(tenant)}", headers={"x-forwarded-for": said}).status_code

        # What the caller itself wrote stands before what the proxy added.
        assert [come(f"203.0.113.{n}, 198.51.100.7") for n in range(MOST + 1)] == [410] * MOST + [429]
        assert come("198.51.100.8") == 410

    over_http(kernel, "127.0.0.0/8", ask)


@pytest.mark.parametrize("written", ["*", "proxy.example", "10.0.0.0/33", "10.0.0.1/8"])
def test_a_proxy_that_is_no_network_is_refused_with_a_sentence(written: str) -> None:
    with pytest.raises(ValueError, match="is no address and no network"):
        Settings(trusted_proxies=written)


def test_a_network_is_what_one_caller_has_to_itself() -> None:
    assert network("2001:db8:1:2:aaaa::1") == network("2001:db8:1:2:bbbb::2") != network("2001:db8:1:3::1")
    assert network("::ffff:192.0.2.1") == network("192.0.2.1") != network("192.0.2.2")
    assert network("testclient") == "testclient"

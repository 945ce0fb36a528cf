"""A roster of any size: a page of it costs what a page costs, and nobody who is not shown is opened."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlmodel import Session

from batch.delivery.downloads import Download
from batch.models import Batch, Employee
from batch.people import employees
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants.models import Role
from tests.factories import make_batch, make_employee, make_tenant, sign_in_member

PEOPLE = 120


def make_roster(session: Session, kernel: Kernel) -> tuple[Batch, list[Employee]]:
    batch = make_batch(session)
    people = []
    for number in range(PEOPLE):
        one = make_employee(
            session,
            kernel,
            batch=batch,
            full_name=f"Person {number:03}",
            # Search reads addresses too: none of these begins like a number.
            email=f"somebody-{number:03}@zebra.example",
            department="Sales" if number % 3 else "Design",
        )
        one.row = 2 + number // 2
        people.append(one)
    session.flush()
    return batch, sorted(people, key=lambda one: (one.row, one.roster_id))


def key_folder(kernel: Kernel, person: Employee) -> Any:
    owner = str(employees.profile_ref(person.tenant_id, person.id)).rpartition("/")[0]
    return kernel.settings.keys_path() / "tenants" / owner


@pytest.fixture(scope="module")
def world(kernel: Kernel) -> tuple[Any, Batch, list[Employee]]:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch, people = make_roster(session, kernel)
    return tenant, batch, people


@pytest.fixture
def client(kernel: Kernel, app: Litestar, world: Any) -> Any:
    with TestClient(app) as client:
        sign_in_member(client, kernel, world[0])
        yield client


def names(page: str) -> list[str]:
    return re.findall(r"<bdi>(Person \d+)</bdi>", page)


def test_the_api_gives_everybody_once_page_by_page(client: TestClient[Any], kernel: Kernel, world: Any) -> None:
    _, batch, people = world
    path, seen = f"/api/v1/batches/{batch.id}/people?most=50", []
    while path:
        answer = client.get(path)
        part = answer.json()
        assert 0 < len(part) <= 50
        seen += [one["id"] for one in part]
        link = answer.headers.get("link", "")
        path = link.partition(">")[0].removeprefix("<")
        assert not link or link.endswith('rel="next"')
    assert seen == [str(one.roster_id) for one in people]
    assert len(client.get(f"/api/v1/batches/{batch.id}/people").json()) == PEOPLE
    for wrong in (
        "most=0",
        "most=1001",
        "most=x",
        "after=1",
        "after=x.y",
        f"after={'9' * 5000}.{uuid4()}",
        "after=-1.1",
    ):
        assert client.get(f"/api/v1/batches/{batch.id}/people?{wrong}").status_code in (400, 422), wrong
    stranger = make_tenant(kernel)
    sign_in_member(client, kernel, stranger)
    assert client.get(f"/api/v1/batches/{batch.id}/people").status_code == 404


def test_people_of_all_batches_are_read_page_by_page(client: TestClient[Any], kernel: Kernel, world: Any) -> None:
    tenant, _, people = world
    with kernel.db.transaction(tenant) as session:
        other = make_batch(session, name="Autumn")
        added = make_employee(session, kernel, batch=other, full_name="Person of autumn", department="Sales")
    everybody = {str(one.roster_id) for one in [*people, added]}

    def read(path: str) -> list[str]:
        seen = list[str]()
        while path:
            answer = client.get(path)
            assert answer.status_code == 200, answer.text
            seen += [one["line"]["id"] if "line" in one else one.get("person_id") or one["id"] for one in answer.json()]
            path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
        return seen

    for path, wanted in (("employees?most=50", everybody), (f"employees?most=50&batch={other.id}", {str(added.roster_id)}),
                         ("employees?q=of+autumn", {str(added.roster_id)}), ("employees?q=person&most=100", everybody),
                         ("employees?stage=added&stage=invited&most=50", everybody), ("employees?stage=invited", set()),
                         ("headshots?most=50", everybody), ("credits/people?most=50", everybody)):  # fmt: skip
        seen = read(f"/api/v1/{path}")
        assert set(seen) == wanted, path
        assert len(seen) == len(wanted), path
    sales = read("/api/v1/employees?department=sales&most=30")
    assert len(sales) == len(set(sales)) == PEOPLE * 2 // 3 + 1
    names = [str(one.roster_id) for one in sorted(people, key=lambda one: employees.profile(kernel.keys, one).full_name)]
    assert read("/api/v1/employees?order=name&most=40") == [*names, str(added.roster_id)]
    assert read("/api/v1/employees?order=name-down&most=40")[0] == str(added.roster_id)
    assert "order=stage" in client.get("/api/v1/employees?order=stage&most=1").headers["link"]
    for wrong in ("order=face", "order=name&after=x", f"order=name&after={uuid4()}.1.{uuid4()}"):
        assert client.get(f"/api/v1/employees?{wrong}").status_code in (400, 422), wrong
    wrongs = ("after=3", f"after={uuid4()}.{2**31}.{uuid4()}", f"after={uuid4()}.1.x", "stage=nowhere", "q=" + "x" * 201)
    for wrong in wrongs:
        assert client.get(f"/api/v1/employees?{wrong}").status_code in (400, 422), wrong
    for wrong in ("2026-01-01", "2026-01-01.a%00b", "x.grant", "2026-13-01.grant"):
        assert client.get(f"/api/v1/credits/days?after={wrong}").status_code == 422, wrong
    granted = client.get("/api/v1/credits/days?most=1")
    assert client.get(f"/api/v1/credits/days?after={granted.json()[0]['day']}.grant").json() == []
    sign_in_member(client, kernel, make_tenant(kernel))
    assert client.get("/api/v1/employees").json() == []


def test_lists_that_grow_go_on_where_they_were(client: TestClient[Any], kernel: Kernel) -> None:
    """What comes between two pages moves no line: none is read twice, and none is missed."""
    tenant, stranger, now = make_tenant(kernel), make_tenant(kernel), utc_now()
    with kernel.db.transaction(stranger) as session:
        make_batch(session, name="Theirs")
    with kernel.db.transaction(tenant) as session:
        # Two of the same moment stand on different pages.
        made = [make_batch(session, created_at=now - timedelta(minutes=minutes)).id for minutes in (4, 3, 3, 2, 1)]
        taken = [
            Download(tenant_id=tenant, member_id=uuid4(), which="all", preset="full", people=1, headshots=1, tag="t",
                     begun_at=now - timedelta(minutes=minutes))
            for minutes in (4, 3, 3, 2, 1)
        ]  # fmt: skip
        session.add_all(taken)
        began = [one.id for one in taken]
    sign_in_member(client, kernel, tenant, Role.OWNER, Role.HR, Role.BRAND)

    def read(path: str, more: Callable[[Session], object]) -> list[str]:
        seen, first = list[str](), True
        while path:
            answer = client.get(path)
            assert answer.status_code == 200, answer.text
            seen += [one["id"] for one in answer.json()]
            path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
            if first:
                with kernel.db.transaction(tenant) as session:
                    more(session)
                first = False
        return seen

    seen = read("/api/v1/batches?most=2", lambda session: make_batch(session, name="Meanwhile"))
    assert sorted(seen) == sorted(map(str, made))
    assert seen[:2] == [str(made[4]), str(made[3])]
    one_more = Download(
        tenant_id=tenant, member_id=uuid4(), which="all", preset="full", people=1, headshots=1, tag="u", begun_at=now
    )
    assert sorted(read("/api/v1/downloads?most=2", lambda session: session.add(one_more))) == sorted(map(str, began))
    for path in ("batches", "downloads"):
        for wrong in ("after=1", "after=x.y", f"after={'9' * 17}.{uuid4()}", "most=0", "most=501"):
            assert client.get(f"/api/v1/{path}?{wrong}").status_code in (400, 422), (path, wrong)


def test_the_desk_shows_fifty_and_how_to_go_on(client: TestClient[Any], world: Any) -> None:
    _, batch, _ = world
    at = f"/desk/batches/{batch.id}"
    first, second, third = (client.get(f"{at}?page={number}").text for number in (1, 2, 3))
    assert [len(names(page)) for page in (first, second, third)] == [50, 50, 20]
    assert len({*names(first), *names(second), *names(third)}) == PEOPLE
    assert "1 to 50 of 120" in first
    assert "101 to 120 of 120" in third
    assert ">Next<" in second
    assert ">Next<" not in third
    design = [client.get(f"{at}?department=Design&page={number}").text for number in (1, 2)]
    assert [len(names(page)) for page in design] == [40, 0]
    assert sorted(names(client.get(f"{at}?q=PERSON+01").text)) == [f"Person 01{digit}" for digit in range(10)]
    sales = [client.get(f"{at}?department=Sales&page={number}").text for number in (1, 2)]
    assert [len(names(page)) for page in sales] == [50, 30]
    assert "51 to 80 of 80" in sales[1]
    assert len(names(client.get(f"{at}?stage=added&page=3").text)) == 20
    for odd in ("page=0", "page=-1", f"page={'9' * 5000}", "stage=nothing", "page=99"):
        assert client.get(f"{at}?{odd}").status_code == 200, odd
    assert client.get(at, headers={"hx-target": "live"}).status_code == 200


def test_nobody_who_is_not_shown_is_opened(kernel: Kernel, app: Litestar) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch, people = make_roster(session, kernel)
    with TestClient(app) as client:
        sign_in_member(client, kernel, tenant)
        assert client.get(f"/desk/batches/{batch.id}").status_code == 200
        # Whose key is away cannot be opened, and a page that tried would be answered with 503.
        for one in people[55:]:
            shutil.rmtree(key_folder(kernel, one))
        assert client.get(f"/desk/batches/{batch.id}").status_code == 200
        assert client.get(f"/api/v1/batches/{batch.id}/people?most=50").status_code == 200
        assert client.get("/desk").status_code == 200
        assert client.get(f"/api/v1/batches/{batch.id}/funnel").json()["roster"] == PEOPLE
        assert client.get(f"/desk/batches/{batch.id}?page=2").status_code == 503

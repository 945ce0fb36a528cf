"""What a page of the desk asks the database, of which the time it takes is made: nothing twice, and for a part of a page
that is fetched by itself only what this part shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar.testing import TestClient
from sqlalchemy import event
from sqlalchemy.pool import QueuePool
from sqlmodel import col, select

from batch.models import Employee, Sitting, SittingState
from batch.visit import invitations
from compliance.desk import deleting
from compliance.models import Erasure, Trigger
from likeness.ground.db import BEGIN, utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.mail import mail
from likeness.store.objects import person_path
from likeness.store.storage import StoredObject
from tenants.models import Role
from tests.factories import make_batch, make_employee, make_tenant, run_jobs, sign_in_member

PARTS = {
    "live": 'id="live"',
    "done": 'id="done"',
    "roster": 'id="roster"',
}


def company(kernel: Kernel) -> tuple[UUID, UUID]:
    """With a batch of twelve people, of whom three are tried first, two are invited, and one needs help."""
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        people = [make_employee(session, kernel, batch=batch, full_name=f"Person {n}") for n in range(12)]
        for one in people[:3]:
            one.pilot_at = utc_now()
        for one in people[:5]:
            invitations.invite(session, one, utc_now())
        session.add(Sitting(tenant_id=tenant, employee_id=people[5].id, state=SittingState.FAILED, seed=1))
    return tenant, batch.id


@contextmanager
def asked(kernel: Kernel) -> Iterator[list[tuple[str, str]]]:
    """Each statement with its values."""
    said: list[tuple[str, str]] = []

    def note(*seen: Any) -> None:
        said.append((" ".join(seen[2].split()), repr(seen[3])))

    event.listen(kernel.db.engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(kernel.db.engine, "before_cursor_execute", note)


def got(client: TestClient[Any], kernel: Kernel, path: str, part: str = "") -> tuple[str, list[tuple[str, str]]]:
    """As somebody meets the page who has seen it today: that its names were shown is on record then."""
    headers = {"hx-request": "true", "hx-target": part} if part else {}
    client.get(path, headers=headers)
    with asked(kernel) as said:
        page = client.get(path, headers=headers)
    assert page.status_code == 200
    return page.text, said


PAGES = {
    "/desk": 12,
    "/desk/batches": 8,
    "/desk/batches/{batch}": 22,
    "/desk/batches/{batch}?stage=added": 22,
    "/desk/looks": 6,
    "/desk/credits": 18,
    "/desk/people": 11,
    "/desk/headshots": 15,
    "/desk/batches/{batch}/headshots": 16,
    "/team": 6,
    "/settings": 11,
}
"""How many statements each takes: whoever adds one to a page that is opened all day says so here."""


@pytest.mark.parametrize("path", PAGES)
def test_no_page_asks_the_same_twice(client: TestClient[Any], kernel: Kernel, path: str) -> None:
    tenant, batch = company(kernel)
    sign_in_member(client, kernel, tenant)
    _, said = got(client, kernel, path.format(batch=batch))
    begun = [one for one in said if one[0] == " ".join(BEGIN.text.split()).replace(":tenant", "%(tenant)s")]
    assert len(begun) == 2, "one transaction finds out who asks, the other makes the page"
    rest = Counter(one for one in said if one not in begun)
    assert {one: count for one, count in rest.items() if count > 1} == {}
    assert len(said) <= PAGES[path]


def test_a_part_of_a_page_asks_only_for_what_it_shows(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, batch = company(kernel)
    stranger, _ = company(kernel)
    path = f"/desk/batches/{batch}"
    sign_in_member(client, kernel, tenant)
    whole, of_whole = got(client, kernel, path)
    shown = {part: got(client, kernel, path, part) for part in PARTS}
    for part, (page, said) in shown.items():
        assert [mark in page for mark in PARTS.values()] == [one == part for one in PARTS]
        assert len(said) < len(of_whole)
    assert all(mark in whole for mark in PARTS.values())
    tables = {part: " ".join(statement for statement, _ in said) for part, (_, said) in shown.items()}
    # Neither what was released nor copies to delete stand in any of them, nor is a page of everybody part of what is live.
    assert not any("take_back" in said or "release JOIN headshot" in said for said in tables.values())
    assert [part for part, said in tables.items() if "offset cast" in said] == ["roster"]
    assert [part for part, said in tables.items() if "from mail m" in said] == ["live", "done", "roster"]
    # What says whether an act is over is asked every two seconds, and counts nobody's sittings.
    assert [part for part, said in tables.items() if "FROM sitting JOIN employee" in said] == ["live"]
    sign_in_member(client, kernel, stranger)
    assert client.get(path, headers={"hx-request": "true", "hx-target": "live"}).status_code == 404


def test_the_stages_of_a_batch_are_counted_once_for_its_page(client: TestClient[Any], kernel: Kernel) -> None:
    """Each time everybody's facts are looked up, five look-ups a person."""
    tenant, batch = company(kernel)
    sign_in_member(client, kernel, tenant)
    for path in (f"/desk/batches/{batch}", "/desk", "/desk/batches"):
        _, said = got(client, kernel, path)
        assert sum("percentile_cont" in statement for statement, _ in said) == 1
        assert sum(") placed" in statement or "from placed" in statement for statement, _ in said) == 1
    assert "Person 5" in got(client, kernel, f"/desk/batches/{batch}", "live")[0], "who needs help stands on the page"


@pytest.mark.parametrize("few", [deleting.FEW, 2])
def test_a_batch_is_counted_for_its_deletion_with_as_many_statements_as_one_of_one_person(
    client: TestClient[Any], kernel: Kernel, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """`few` people are looked for one by one in the store, more of them with all that the company has."""
    monkeypatch.setattr(deleting, "FEW", few)
    tenant, batch = company(kernel)
    stranger, _ = company(kernel)
    with kernel.db.transaction(tenant) as session:
        other = make_employee(session, kernel, full_name="Of another batch")
        here = session.exec(select(Employee).where(col(Employee.batch_id) == batch).order_by(col(Employee.row))).all()
        first, withdrawn, deleted, *_ = here
        for person, trigger in ((withdrawn, Trigger.WITHDRAWAL), (deleted, Trigger.EMPLOYER)):
            session.add(Erasure(tenant_id=tenant, employee_id=person.id, trigger=trigger, requested_by="test"))
    with kernel.db.transaction(stranger) as session:
        foreign = make_employee(session, kernel)
    for person in (first, withdrawn, deleted, other, foreign):
        for cls, count in ((KeyClass.SOURCE, 3), (KeyClass.HEADSHOT, 2)):
            key = kernel.keys.open_or_create(KeyRef(person.tenant_id, person.id, cls))
            for _ in range(count):
                kernel.objects.put(person_path(person.tenant_id, person.id, cls, uuid4()), b"x", key)
    strange = kernel.settings.home / f"objects/tenants/{tenant}/employees"
    for name in ("copy.tar.gz", f"{first.id}/copy.tar.gz"):
        (strange / name).write_bytes(b"which somebody put there")
    sign_in_member(client, kernel, tenant)
    page, said = got(client, kernel, f"/desk/batches/{batch}/delete")
    assert 'name="people" value="11"' in page
    assert 'name="objects" value="5"' in page
    _, of_one = got(client, kernel, f"/desk/batches/{other.batch_id}/delete")
    assert len(said) == len(of_one)


@contextmanager
def taken(kernel: Kernel) -> Iterator[list[int]]:
    """How many connections are out whenever another one is taken."""
    found: list[int] = []
    pool = kernel.db.engine.pool

    def note(*_: Any) -> None:
        assert isinstance(pool, QueuePool)
        found.append(pool.checkedout())

    event.listen(pool, "checkout", note)
    try:
        yield found
    finally:
        event.remove(pool, "checkout", note)


def test_no_page_asks_for_a_second_connection_while_it_holds_one(client: TestClient[Any], kernel: Kernel) -> None:
    """As many requests as there are connections, each waiting for another one, would wait for each other."""
    tenant, batch = company(kernel)
    with kernel.db.transaction(tenant) as session:
        person = session.exec(select(Employee).where(col(Employee.batch_id) == batch, col(Employee.row) == 1)).first()
        person = person or make_employee(session, kernel)
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        sent = [letter for one in mail.mailbox(session) if (letter := mail.read(kernel.keys, one)) is not None]
    link = next(found[0] for one in sent if (found := re.search(r"/i/[\w.-]+", one.text)))
    sign_in_member(client, kernel, tenant, Role.OWNER, Role.HR)
    line = str(person.roster_id)
    presses: list[tuple[str, dict[str, Any], int]] = [
        ("/desk/people/invite", {}, 422), ("/desk/people/revoke", {"all": "1", "query": ""}, 200),
        ("/desk/people/preview-deletion", {"person": [line]}, 200), (f"/desk/people/{line}/correct", {"email": "x"}, 422),
        (f"/desk/batches/{batch}/change", {"name": "x", "due_on": "tomorrow"}, 422), (f"{link}/renew", {}, 200),
        ("/desk/batches/x/change", {}, 404), ("/desk/looks", {}, 422), ("/team", {}, 422), ("/settings", {"name": ""}, 422),
    ]  # fmt: skip
    for path in ("/desk", "/desk/people", f"/desk/people/{line}", f"/desk/batches/{batch}", "/desk/headshots", link):
        with taken(kernel) as out:
            assert client.get(path, headers={"accept": "text/html"}).status_code == 200, path
        assert max(out) == 1, path
    for path, form, status in presses:
        with taken(kernel) as out:
            answer = client.post(path, data=form, headers={"accept": "text/html"})
        assert (answer.status_code, max(out)) == (status, 1), path


def test_of_a_small_batch_in_a_large_company_the_store_is_asked_about_its_people_alone(
    client: TestClient[Any], kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To list all that a large company has takes more requests than its batch has people."""
    monkeypatch.setattr(deleting, "FEW", 2)
    tenant, batch = company(kernel)
    sign_in_member(client, kernel, tenant)
    asked, found = set[str](), kernel.objects.list

    def counted(prefix: str = "") -> list[StoredObject]:
        asked.add(prefix)
        return found(prefix)

    monkeypatch.setattr(kernel.objects, "list", counted)
    everybody = f"tenants/{tenant}/employees"
    for each, wanted in ((1000, 12), (100, 1)):
        asked.clear()
        monkeypatch.setattr(deleting, "EACH", each)
        got(client, kernel, f"/desk/batches/{batch}/delete")
        assert (len(asked), everybody in asked) == (wanted, wanted == 1)

"""What cannot be deleted holds up nothing else, is counted by its own row, and is said in red until it is gone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import col, select

from batch.models import Employee, Photo
from batch.photos import intake
from batch.roster import raw_workbooks
from compliance import holds
from compliance.erasure import erasures
from compliance.models import Erasure, ErasureState, Trigger
from compliance.retention import lateness, retention
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.mail import mail
from likeness.run.app import create_app
from likeness.store.objects import person_path, tenant_path
from tenants.members import members
from tenants.models import Role
from tests.compliance.people import colleague_of, full_person
from tests.factories import make_member, make_tenant, run_jobs, sign_in, sign_in_member
from tests.metrics import figure

HOURS = timedelta(hours=3)


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return full_person(kernel)


@pytest.fixture
def bob(kernel: Kernel) -> Employee:
    """Of another company."""
    return full_person(kernel)


@pytest.fixture(scope="module")
def client(kernel: Kernel) -> Iterator[TestClient]:  # type: ignore[type-arg]
    with TestClient(create_app(kernel)) as running:
        yield running


def folder(kernel: Kernel, person: Employee) -> Path:
    return kernel.settings.home / "objects/tenants" / str(person.tenant_id) / "employees" / str(person.id) / "source"


def block(kernel: Kernel, person: Employee) -> Path:
    """A link in the place of the folder: no object of it can be read or deleted, and root cannot do it either."""
    there = folder(kernel, person)
    aside = there.with_name(f"aside-{uuid4()}")
    there.rename(aside)
    there.symlink_to(aside)
    return aside


def unblock(kernel: Kernel, person: Employee, aside: Path) -> None:
    folder(kernel, person).unlink(missing_ok=True)
    aside.rename(folder(kernel, person))


def due_since(kernel: Kernel, *people: Employee) -> None:
    for person in people:
        with kernel.db.transaction(person.tenant_id) as session:
            session.execute(
                text("update photo set due_at = :due where tenant_id = :tenant and employee_id = :id"),
                {"due": utc_now() - HOURS, "tenant": person.tenant_id, "id": person.id},
            )


def stored(kernel: Kernel, person: Employee) -> int:
    with kernel.db.transaction(person.tenant_id) as session:
        return len(session.exec(select(Photo.id).where(col(Photo.employee_id) == person.id)).all())


def late(kernel: Kernel, person: Employee) -> lateness.Lateness:
    with kernel.db.transaction(person.tenant_id) as session:
        return lateness.of_company(session, utc_now())


def gauge(client: TestClient) -> float:  # type: ignore[type-arg]
    client.app.state.pop("figures", None)
    return figure(client, "likeness_deletions_late_seconds")


def test_one_object_that_cannot_be_deleted_holds_up_nobody_and_is_told(
    kernel: Kernel,
    alice: Employee,
    bob: Employee,
    client: TestClient,  # type: ignore[type-arg]
) -> None:
    colleagues = [colleague_of(kernel, alice) for _ in range(2)]
    due_since(kernel, alice, *colleagues)
    aside = block(kernel, alice)
    try:
        for _ in range(2):
            retention.sweep(kernel, utc_now())
        assert [stored(kernel, one) for one in (alice, *colleagues)] == [6, 0, 0]
        retention.retire_keys(kernel, alice.tenant_id, utc_now() + 2 * retention.YOUNG_KEY)
        for one in colleagues:
            assert kernel.keys.state(KeyRef(one.tenant_id, one.id, KeyClass.MODEL)) == "destroyed"
        assert (late(kernel, alice).objects, late(kernel, alice).told) == (6, True)
        assert late(kernel, bob).seconds == 0
        assert HOURS.total_seconds() <= gauge(client) < HOURS.total_seconds() + 600
        pages = {}
        for person in (alice, bob):
            sign_in_member(client, kernel, person.tenant_id, Role.LEGAL)
            pages[person.id] = client.get("/legal", headers={"accept": "text/html"}).text
        assert "6 things of your people should be deleted and are still there" in pages[alice.id]
        assert "Deletion is late" not in pages[bob.id]
    finally:
        unblock(kernel, alice, aside)
    retention.sweep(kernel, utc_now() + timedelta(minutes=16))
    assert stored(kernel, alice) == 0
    assert late(kernel, alice).seconds == 0
    # The one gauge is of all companies, and another test's may be a moment late.
    assert gauge(client) < HOURS.total_seconds() / 2


def test_the_operators_page_names_the_company_in_red(kernel: Kernel, alice: Employee, client: TestClient) -> None:  # type: ignore[type-arg]
    with kernel.db.transaction(PLATFORM) as session:
        operator = members.invite_member(session, kernel.keys, f"{uuid4().hex}@ops.example", "Otto", [Role.OPERATOR])
        company = f"Late {uuid4().hex[:8]}"
        session.execute(text("update tenant set name = :name where id = :id"), {"name": company, "id": alice.tenant_id})
    sign_in(client, kernel, PLATFORM, Kind.OPERATOR, operator.id)
    assert f"Deletion is late for {company}" not in client.get("/operations", headers={"accept": "text/html"}).text
    due_since(kernel, alice)
    page = client.get("/operations", headers={"accept": "text/html"}).text
    assert f"Deletion is late for {company}" in page
    assert "keeping up" not in page
    retention.sweep(kernel, utc_now())
    assert f"Deletion is late for {company}" not in client.get("/operations", headers={"accept": "text/html"}).text


def test_what_lies_in_the_place_of_an_object_goes_with_it(kernel: Kernel, alice: Employee) -> None:
    for number, path in enumerate(sorted(folder(kernel, alice).iterdir())[:2]):
        path.unlink()
        (path / "deeper").mkdir(parents=True)
        if number:
            (path / "deeper" / "copy").write_bytes(b"face")
    due_since(kernel, alice)
    retention.sweep(kernel, utc_now())
    assert stored(kernel, alice) == 0
    assert not folder(kernel, alice).exists()


def test_a_hold_is_not_late(kernel: Kernel, alice: Employee) -> None:
    due_since(kernel, alice)
    one, other = (make_member(kernel, alice.tenant_id, Role.LEGAL) for _ in range(2))
    with kernel.db.transaction(alice.tenant_id) as session:
        hold = holds.place(
            session, kernel.keys, alice.id, basis="subpoena", reference="12 C 345/26", reason="Evidence", placed_by=one.id,
            expires_at=utc_now() + timedelta(days=1), now=utc_now(),
        )  # fmt: skip
        holds.confirm(session, hold.id, confirmed_by=other.id, now=utc_now())
    assert late(kernel, alice).seconds == 0


def _erase(kernel: Kernel, person: Employee) -> Erasure:
    with kernel.db.transaction(person.tenant_id) as session:
        return erasures.request(session, person.id, trigger=Trigger.PERSON, requested_by="test", now=utc_now())


def _reread(kernel: Kernel, erasure: Erasure) -> Erasure:
    with kernel.db.transaction(erasure.tenant_id) as session:
        return erasures.get(session, erasure.id)


def forbid(file: Path, *, again: bool = False) -> bool:
    """Whether the file system has an attribute that keeps even root from deleting."""
    tool = shutil.which("chattr")
    return (
        bool(tool) and subprocess.run([str(tool), "-i" if again else "+i", file], capture_output=True).returncode == 0
    )


def test_an_erasure_that_cannot_delete_an_object_deletes_all_else_and_is_told(
    kernel: Kernel,
    alice: Employee,
    client: TestClient,  # type: ignore[type-arg]
) -> None:
    first, *others = sorted(folder(kernel, alice).iterdir())
    if not forbid(first):
        pytest.skip("this file system has no attribute that forbids deletion")
    erasure = _erase(kernel, alice)
    try:
        run_jobs(kernel, tenant=alice.tenant_id)
        now = _reread(kernel, erasure)
        assert (now.state, now.failures) == (ErasureState.DELETING, 1)
        assert first.exists()
        assert not any(other.exists() for other in others)
        assert all(kernel.keys.state(KeyRef(alice.tenant_id, alice.id, cls)) == "destroyed" for cls in KeyClass)
        with kernel.db.transaction(alice.tenant_id) as session:
            assert session.exec(select(Employee.id).where(col(Employee.id) == alice.id)).first() is None
            session.execute(text("update erasure set requested_at = now() - interval '3 hours', settled_at = null"))
        sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
        page = client.get("/legal", headers={"accept": "text/html"}).text
        assert "1 look found something left" in page
        assert "1 erasure has not ended" in page
        assert gauge(client) > timedelta(hours=2).total_seconds()
    finally:
        forbid(first, again=True)
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("update job set due = now() where state = 'ready'"))
    run_jobs(kernel, tenant=alice.tenant_id)
    assert _reread(kernel, erasure).state == ErasureState.CERTIFIED


def test_an_erasure_of_what_cannot_be_read_ends(kernel: Kernel, alice: Employee) -> None:
    for path in folder(kernel, alice).iterdir():
        path.write_bytes(b"not what was sealed")
    keys = kernel.settings.keys_path() / "tenants" / str(alice.tenant_id) / str(alice.id)
    for key in keys.glob("*.key"):
        key.write_bytes(key.read_bytes()[:-1] + b"x")
    erasure = _erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    assert _reread(kernel, erasure).state == ErasureState.CERTIFIED


def test_one_person_whose_name_cannot_be_read_leaves_the_others_warned(
    kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    colleague = colleague_of(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("update employee set profile = 'x' where id = :id"), {"id": alice.id})
    retention.warn(kernel, utc_now() + timedelta(days=29.5))
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [one.owner_id for one in mail.mailbox(session) if one.template == "expiry"] == [colleague.id]


def test_one_workbook_and_one_companys_orphans_hold_up_no_others(kernel: Kernel) -> None:
    tenants = [make_tenant(kernel), make_tenant(kernel)]
    old = utc_now() + timedelta(days=2)
    stuck = []
    for tenant in tenants:
        for number in range(2):
            key = kernel.keys.open_or_create(KeyRef(tenant, uuid4(), KeyClass.PROFILE))
            path = tenant_path(tenant, raw_workbooks.WORKBOOKS, key.ref.owner)
            kernel.objects.put(path, b"roster", key)
            if not number:
                stuck.append(kernel.settings.home / "objects" / path)
    if not all(forbid(file) for file in stuck):
        pytest.skip("this file system has no attribute that forbids deletion")
    try:
        raw_workbooks.forget_due(kernel, old)
        assert [len(kernel.objects.list(f"tenants/{tenant}/{raw_workbooks.WORKBOOKS}")) for tenant in tenants] == [1, 1]
    finally:
        for file in stuck:
            forbid(file, again=True)
    raw_workbooks.forget_due(kernel, old + timedelta(minutes=1))
    assert [len(kernel.objects.list(f"tenants/{tenant}/{raw_workbooks.WORKBOOKS}")) for tenant in tenants] == [0, 0]


def test_one_companys_stuck_orphan_leaves_no_others(kernel: Kernel, alice: Employee, bob: Employee) -> None:
    paths = []
    for person in (alice, bob):
        key = kernel.keys.open(KeyRef(person.tenant_id, person.id, KeyClass.SOURCE))
        paths.append(person_path(person.tenant_id, person.id, KeyClass.SOURCE, uuid4()))
        kernel.objects.put(paths[-1], b"orphan", key)
    first = kernel.settings.home / "objects" / paths[0]
    if not forbid(first):
        pytest.skip("this file system has no attribute that forbids deletion")
    try:
        intake.sweep_orphans(kernel, utc_now() + timedelta(hours=2))
        assert [kernel.objects.exists(path) for path in paths] == [True, False]
    finally:
        forbid(first, again=True)

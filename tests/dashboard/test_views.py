"""Views that a member keeps, and invitations that leave at nine in the company's own time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from litestar.testing import TestClient
from sqlalchemy import update
from sqlmodel import col, select

from batch.people import employees
from likeness.ground.db import utc_now
from likeness.jobs.jobs import Job
from likeness.kernel import Kernel
from tenants import tenants
from tenants.models import Role
from tests.dashboard.markup import get
from tests.factories import begin_held, make_batch, make_employee, make_tenant, sign_in_member

API = "/api/v1"


def test_a_member_keeps_views_for_themselves(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        make_employee(session, kernel, batch=make_batch(session), full_name="Dora", department="Design")
    me = sign_in_member(client, kernel, tenant)
    sent = {"name": "Design & late", "query": "department=Design&days=7"}
    assert "department=Design&amp;days=7" in client.post("/desk/people/views", data=sent).text
    page = get(client, "/desk/people?department=Design")
    assert "Design &amp; late" in page
    assert client.get(f"{API}/views").json() == [{"name": "Design & late", "query": "department=Design&days=7"}]
    assert client.put(f"{API}/views", json={"name": "Design & late", "query": "stage=added"}).status_code == 200
    assert len(client.get(f"{API}/views").json()) == 1
    with kernel.db.transaction(tenant) as session:
        session.refresh(session.merge(me))
        assert b"Design" not in session.merge(me).profile, "what is asked is sealed"
    for wrong in ({"name": " ", "query": ""}, {"name": "x" * 80, "query": ""}, {"name": "a\x00", "query": "q=1"}):
        assert client.put(f"{API}/views", json=wrong).status_code == 422
    sign_in_member(client, kernel, tenant)
    assert client.get(f"{API}/views").json() == [], "another member's are their own"
    assert client.post("/desk/people/views/forget", data={"name": "Design & late"}).status_code == 404
    sign_in_member(client, kernel, tenant, Role.LEGAL)
    assert client.get(f"{API}/views").status_code == 403


def test_nine_o_clock_is_that_of_the_site_or_else_of_the_company(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel, time_zone="Asia/Tokyo")
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel)
        away = make_employee(session, kernel, site="Sydney, Australia")
    sign_in_member(client, kernel, tenant)
    assert "Invite tomorrow, 09:00" in get(client, "/desk/people")
    sent = client.post("/desk/people/invite", data={"person": str(person.roster_id), "when": "later"})
    assert "will be invited tomorrow at 09:00" in sent.text
    assert "own site" not in sent.text
    two = client.post("/desk/people/invite", data={"person": str(away.roster_id), "when": "later"})
    assert "For 1 of them that is the time of their own site" in two.text
    # It is asked for on another day than it begins, as around midnight: the page has said which day tomorrow is.
    asked = utc_now() + timedelta(days=1)
    with kernel.db.transaction(tenant) as session:
        session.execute(update(Job).where(col(Job.kind) == "batch.undoing.begin").values(created_at=asked))
    begin_held(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        jobs = select(Job.due).where(Job.tenant_id == tenant, Job.kind == "batch.invitations.deliver")
        dues = sorted(due for due in session.exec(jobs.order_by(col(Job.due))) if due)
        told = [due.astimezone(ZoneInfo(zone)) for due, zone in zip(dues, ("Australia/Sydney", "Asia/Tokyo"), strict=True)]
        assert [(one.hour, one.minute) for one in told] == [(9, 0), (9, 0)]
        assert dues[1] == employees.nine(asked, "Asia/Tokyo")
        assert tenants.get(session).time_zone == "Asia/Tokyo"
    evening = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
    assert employees.nine(evening, "Europe/Berlin") == datetime(2026, 3, 30, 7, tzinfo=UTC), "the clocks went forward"

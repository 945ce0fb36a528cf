"""Every route that takes an id, called by everybody of another company with ids that exist: they must look unknown.

The routes come from the application itself, so a new one is tried without anybody thinking of it.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import SQLModel, select

from batch.models import Employee, Headshot, Photo, PhotoState, Sitting, SittingState, Upload
from compliance.models import Erasure, Hold
from gpu_cluster.models import Run
from likeness.app import create_app
from likeness.db import utc_now
from likeness.kernel import Kernel
from tenants import looks
from tenants.models import Role
from tests.factories import (
    give_consent,
    make_batch,
    make_employee,
    make_member,
    make_tenant,
    sign_in_employee,
    sign_in_member,
)  # fmt: skip

MEANT_FOR_EVERYBODY = {"/retention/{tenant_id:uuid}"}
"""A company's retention terms are public by law; the page names the company and nobody in it."""
PARAMETER = re.compile(r"{(\w+):(\w+)}")


class World:
    """One company with a row of everything that an id in an address can name."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.tenant, now = kernel, make_tenant(kernel), utc_now()
        member = make_member(kernel, self.tenant, Role.HR, Role.LEGAL)
        with kernel.db.transaction(self.tenant) as session:
            batch = make_batch(session)
            self.employee = make_employee(session, kernel, batch=batch)
            consent = give_consent(session, kernel, self.employee)[0]
            look = looks.add(session, "Studio", "white", "navy suit", "close-up", "soft light")
            common: dict[str, Any] = {"tenant_id": self.tenant, "employee_id": self.employee.id}
            due = now + timedelta(days=5)
            photo = Photo(
                **common, consent_id=consent.id, state=PhotoState.ACCEPTED, path="x", digest="d", due_at=due
            )
            sitting = Sitting(**common, seed=1, state=SittingState.DONE)
            upload = Upload(**common, consent_id=consent.id, length=9, due_at=due)
            session.add_all([photo, sitting, upload])
            session.flush()
            headshot = Headshot(
                **common, sitting_id=sitting.id, look_id=look.id, number=1, path="y", bytes=1, likeness_ratio=1.0,
                due_at=due,
            )  # fmt: skip
            run = Run(**common, sitting_id=sitting.id, fence=1, recipe={})
            hold = Hold(
                **common, basis="litigation", reference="R-1", reason="case", placed_by=member.id,
                expires_at=now + timedelta(days=9),
            )  # fmt: skip
            erasure = Erasure(
                tenant_id=self.tenant, employee_id=uuid4(), trigger="person", requested_by="test", state="certified"
            )
            session.add_all([headshot, run, hold, erasure])
        self.ids = {
            "batch_id": batch.id, "employee_id": self.employee.id, "photo_id": photo.id, "upload_id": upload.id,
            "sitting_id": sitting.id,
            "headshot_id": headshot.id, "look_id": look.id, "member_id": member.id, "hold_id": hold.id,
            "erasure_id": erasure.id, "certificate_id": erasure.id, "tenant_id": self.tenant, "run_id": run.id,
        }  # fmt: skip

    def fingerprint(self) -> dict[str, str]:
        """A digest of every row of the company, but for what sweeps may touch."""
        with self.kernel.db.transaction(self.tenant) as session:
            return {
                name: str(
                    session.execute(
                        text(f'select md5(coalesce(string_agg(t::text, chr(10) order by t::text), \'\')) from "{name}" t')
                    ).scalar()
                )
                for name in SQLModel.metadata.tables
                if name not in {"job"}
            }


def addresses(client: TestClient[Any]) -> list[tuple[str, str]]:
    found = []
    for route in client.app.routes:
        if isinstance(route, HTTPRoute) and PARAMETER.search(route.path) and route.path not in MEANT_FOR_EVERYBODY:
            kinds = {kind for _, kind in PARAMETER.findall(route.path)}
            if "uuid" in kinds:
                found += [(method, route.path) for method in sorted(route.methods - {"OPTIONS", "HEAD"})]
    return sorted(set(found))


def filled(path: str, ids: dict[str, UUID], *, random: bool) -> str:
    def value(match: re.Match[str]) -> str:
        name, kind = match.groups()
        if kind != "uuid":
            return "favourite"
        assert name in ids, f"teach tests/promises/test_strangers.py what {name} is ({path})"
        return str(uuid4() if random else ids[name])

    return PARAMETER.sub(value, path)


@pytest.mark.timeout(600)
def test_a_strangers_id_is_answered_like_one_that_does_not_exist(kernel: Kernel) -> None:
    alice = World(kernel)
    stranger = make_tenant(kernel)
    with kernel.db.transaction(stranger) as session:
        person = make_employee(session, kernel)
        give_consent(session, kernel, person)
    app = create_app(kernel)
    before, tried = alice.fingerprint(), 0
    for who in ("nobody", "hr", "legal", "employee"):
        with TestClient(app) as client:
            if who == "hr":
                sign_in_member(client, kernel, stranger, Role.HR)
            elif who == "legal":
                sign_in_member(client, kernel, stranger, Role.LEGAL)
            elif who == "employee":
                sign_in_employee(client, kernel, person)
            for method, path in addresses(client):
                answers = []
                for random in (False, True):
                    address = filled(path, alice.ids, random=random)
                    for body in ({}, {"json": {}}, {"data": {}}):
                        answer = client.request(method, address, follow_redirects=False, **body)  # type: ignore[arg-type]
                        answers.append((str(body), answer.status_code))
                        assert answer.status_code != 500, (who, method, path)
                        tried += 1
                known, unknown = answers[:3], answers[3:]
                assert known == unknown, f"{who} learns that an id exists: {method} {path}: {known} {unknown}"
                assert all(status >= 300 for _, status in known), (who, method, path, known)
    assert alice.fingerprint() == before
    assert tried > 300


def test_hr_never_sees_selfies_or_unreleased_headshots(kernel: Kernel) -> None:
    alice = World(kernel)
    with TestClient(create_app(kernel)) as client:
        sign_in_member(client, kernel, alice.tenant, Role.HR, Role.LEGAL)
        batch, headshot, photo = (alice.ids[name] for name in ("batch_id", "headshot_id", "photo_id"))
        assert client.get(f"/api/v1/batches/{batch}/headshots").json() == []
        for path in (
            f"/api/v1/batches/{batch}/headshots/{headshot}/picture",
            f"/api/v1/visit/headshots/{headshot}/picture",
            f"/api/v1/visit/photos/{photo}/picture",
            "/api/v1/visit/export",
        ):
            assert client.get(path).status_code in {403, 404}, path
        assert client.post("/api/v1/visit/consent", json={}).status_code == 403
    with kernel.db.transaction(alice.tenant) as session:
        assert session.exec(select(Employee.opted_out_at)).all() == [None]

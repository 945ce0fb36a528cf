"""A program and a person who never see a page: from the list to the archive over the API alone, as the guide says."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from gpu_cluster.cluster import scheduling
from likeness.demo.cast import PHOTOGRAPH
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.run.app import create_app
from tenants import looks
from tenants.members import permissions, programs
from tenants.models import Role
from tests.factories import make_member, make_tenant, run_jobs

pytestmark = pytest.mark.timeout(1200)

LIST = b"Employee ID,Full name,E-mail\n0001,Grace Hopper,grace@northlight.example\n"
OWN = scheduling.Cluster()


@pytest.fixture(scope="module")
def studio(kernel: Kernel) -> Iterator[Kernel]:
    """An installation without a base."""
    alone = replace(kernel, settings=kernel.settings.model_copy(update={"recipe": "cutout"}))
    yield alone
    OWN.close(alone)


def program(kernel: Kernel, app: Litestar, tenant: UUID) -> TestClient[Any]:
    """With a key for whatever HR's keys may."""
    maker = make_member(kernel, tenant, Role.HR)
    with kernel.db.transaction(tenant) as session:
        scope = permissions.ROLES[Role.HR] & permissions.FOR_MACHINES
        _, token = programs.make(session, maker, "Payroll", sorted(scope), utc_now())
    client = TestClient(app)
    client.headers["authorization"] = f"Bearer {token}"
    return client


def done(answer: Any) -> Any:
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


def test_from_the_list_to_the_archive_without_a_page(studio: Kernel) -> None:
    here, there = make_tenant(studio, recipes=["cutout"], with_credits=5), make_tenant(studio)
    with studio.db.transaction(here) as session:
        looks.add(session, "Studio", "light grey", "navy suit", "close-up", "soft light")
    app = create_app(studio)
    ours, theirs = program(studio, app, here), program(studio, app, there)
    dropped = done(ours.post("/api/v1/batches", files={"workbook": ("people.csv", LIST)}))
    batch = f"/api/v1/batches/{dropped['batch']['id']}"
    done(ours.post(f"{batch}/commit", json={"digest": dropped["reading"]["digest"], "invite": True}))
    run_jobs(studio, tenant=here)
    with studio.db.transaction(here) as session:
        letters = [mail.read(studio.keys, one) for one in mail.mailbox(session)]
    (token,) = [one.text.split("/i/")[1].split()[0] for one in letters if one and "/i/" in one.text]

    grace = TestClient(app)
    done(grace.post(f"/api/v1/links/{token}"))
    notice = done(grace.get("/api/v1/visit/notice"))
    said = {"purposes": ["portrait", "biometric"], "notice_id": notice["id"], "typed_name": "Grace Hopper"}
    done(grace.post("/api/v1/visit/consent", json=said))
    done(grace.post("/api/v1/visit/photos", files={"photo": (PHOTOGRAPH.name, PHOTOGRAPH.read_bytes())}))
    run_jobs(studio, tenant=here)
    assert [one["state"] for one in done(grace.get("/api/v1/visit/photos"))["photos"]] == ["accepted"]
    assert done(grace.post("/api/v1/visit/sitting"))["recipe"] == "cutout"
    deadline = time.monotonic() + 280
    while not (shots := done(grace.get("/api/v1/visit/headshots"))):
        assert time.monotonic() < deadline, "it did not happen in time"
        OWN.run(studio, utc_now())
        time.sleep(0.3)
    assert [one["headshots"] for one in done(ours.get("/api/v1/headshots"))] == [[]], "not before the person says so"
    done(grace.post("/api/v1/visit/release", json={"headshot_ids": [shots[0]["id"]]}))
    (shelf,) = done(ours.get("/api/v1/headshots"))
    assert [shelf["full_name"], len(shelf["headshots"])] == ["Grace Hopper", 1]
    archive = ours.get(f"{batch}/archive")
    names = zipfile.ZipFile(io.BytesIO(archive.content)).namelist()
    assert sorted(Path(one).suffix for one in names) == [".csv", ".jpg"]
    assert done(theirs.get("/api/v1/headshots")) == []
    assert theirs.get(f"{batch}/archive").status_code == 404

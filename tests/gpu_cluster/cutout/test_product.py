"""Studio portraits through the product: consent, hand-in, a process of their own on a real Ray, choosing, delivery."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import skimage.data
from litestar.testing import TestClient
from PIL import Image
from sqlmodel import Session, select

from batch import consents, framing, notices, sittings
from batch.models import Employee, Headshot, Photo, PhotoState, Purpose, Sitting, SittingState
from gpu_cluster import tending
from gpu_cluster.cutout.darkroom import SHOWN, pairs
from gpu_cluster.models import Run, RunState, Weights
from likeness.app import create_app
from likeness.db import utc_now
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyRef
from likeness.objects import person_path
from tenants import looks
from tests.factories import make_employee, make_tenant, sign_in_employee, sign_in_member

ENDED = {SittingState.DONE, SittingState.FAILED, SittingState.CANCELLED}


@pytest.fixture(scope="module")
def darkroom(kernel: Kernel) -> Iterator[Kernel]:
    """An installation without a base."""
    alone = replace(kernel, settings=kernel.settings.model_copy(update={"recipe": "cutout"}))
    yield alone
    tending.close(alone)


@pytest.fixture(scope="module")
def client(darkroom: Kernel) -> Iterator[TestClient[Any]]:
    with TestClient(create_app(darkroom)) as client:
        yield client


def person(kernel: Kernel, tenant: UUID, pictures: list[Image.Image], purposes: set[Purpose]) -> Employee:
    """Somebody with these photos, all accepted."""
    with kernel.db.transaction(tenant) as session:
        employee = make_employee(session, kernel)
        notice = notices.current(session, "en")
        given = consents.give(session, kernel.keys, employee.id, purposes, notice.id, "Nadia Ümit", utc_now())
        key = kernel.keys.open_or_create(KeyRef(tenant, employee.id, KeyClass.SOURCE))
        for number, picture in enumerate(pictures):
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=95)
            path = person_path(tenant, employee.id, KeyClass.SOURCE, uuid4())
            kernel.objects.put(path, buffer.getvalue(), key)
            session.add(
                Photo(
                    tenant_id=tenant, employee_id=employee.id, consent_id=given[0].id, state=PhotoState.ACCEPTED,
                    path=path, digest=str(number), due_at=utc_now() + timedelta(days=3),
                )
            )  # fmt: skip
    return employee


def sitting_of(session: Session, employee: Employee) -> Sitting:
    return session.exec(select(Sitting).where(Sitting.employee_id == employee.id)).one()


def tend_until_ended(kernel: Kernel, people: list[Employee], seconds: float = 150) -> None:
    deadline = time.monotonic() + seconds
    while True:
        states = []
        for one in people:
            with kernel.db.transaction(one.tenant_id) as session:
                states.append(sitting_of(session, one).state)
        if set(states) <= ENDED:
            return
        assert time.monotonic() < deadline, f"it did not happen in time: {states}"
        tending.tend(kernel, utc_now())
        time.sleep(0.3)


PORTRAIT = {Purpose.PORTRAIT, Purpose.BIOMETRIC}


def test_from_one_photo_to_the_download(darkroom: Kernel, client: TestClient[Any]) -> None:
    """Alice has one photo, Bob of another company one without a face. Alice gets her photo on each of the company's
    backdrops, no model is made, and HR gets every format; Bob is told what to do."""
    photo = Image.fromarray(skimage.data.astronaut()).resize((1200, 1200), Image.Resampling.LANCZOS)
    here, there = (make_tenant(darkroom, recipes=["cutout"]) for _ in range(2))
    alice = person(darkroom, here, [photo], PORTRAIT)
    bob = person(darkroom, there, [Image.fromarray(skimage.data.coffee())], PORTRAIT)
    for one in (alice, bob):
        sign_in_employee(client, darkroom, one)
        answer = client.post("/api/v1/visit/sitting")
        assert answer.status_code == 201, answer.text
        assert answer.json()["recipe"] == "cutout"
    tend_until_ended(darkroom, [alice, bob])

    with darkroom.db.transaction(there) as session:
        failed = sitting_of(session, bob)
        assert (failed.state, failed.failure) == (
            SittingState.FAILED, "We could not find a face in this photo. Choose one facing the camera.",
        )  # fmt: skip
    with darkroom.db.transaction(here) as session:
        assert sitting_of(session, alice).state == SittingState.DONE
        shots = list(session.exec(select(Headshot).where(Headshot.employee_id == alice.id)))
        assert len({shot.look_id for shot in shots}) == len(shots) == 3
        assert all(shot.likeness_ratio is None and shot.loosening for shot in shots)
        assert not session.exec(select(Weights)).all()
        (run,) = session.exec(select(Run)).all()
        assert (run.state, run.recipe, run.passed) == (RunState.SUCCEEDED, {"name": "cutout"}, 1)
        batch = alice.batch_id

    sign_in_employee(client, darkroom, alice)
    listed = client.get("/api/v1/visit/headshots").json()
    seen = client.get(f"/api/v1/visit/headshots/{listed[0]['id']}/picture")
    assert Image.open(io.BytesIO(seen.content)).size == (1024, 1024)
    assert client.get("/visit/headshots").status_code == 200
    client.post("/api/v1/visit/release", json={"headshot_ids": [listed[0]["id"]]})
    sign_in_employee(client, darkroom, bob)
    assert client.get(f"/api/v1/visit/headshots/{listed[0]['id']}/picture").status_code == 404

    sign_in_member(client, darkroom, here)
    sizes = {"square": (1024, 1024), "portrait": (1024, 1280), "circle": (1024, 1024), "directory": (648, 648)}
    for name, size in sizes.items():
        packed = zipfile.ZipFile(io.BytesIO(client.get(f"/api/v1/batches/{batch}/archive?preset={name}").content))
        (file,) = (entry for entry in packed.namelist() if entry != "manifest.csv")
        assert file.endswith(".png" if name == "circle" else ".jpg")
        assert Image.open(io.BytesIO(packed.read(file))).size == size
    assert client.get(f"/api/v1/batches/{batch}/archive?preset=poster").status_code == 422
    page = client.get(f"/desk/batches/{batch}/headshots")
    assert "preset=directory" in page.text
    sign_in_member(client, darkroom, there)
    assert client.get(f"/api/v1/batches/{batch}/archive?preset=directory").status_code == 404


def test_somebody_who_wants_no_model_gets_a_portrait_beside_those_who_do(kernel: Kernel) -> None:
    """In a company that offers both, the answer to each question decides what may be made."""
    tenant = make_tenant(kernel, recipes=["portrait-small", "cutout"])
    photo = Image.new("RGB", (64, 64))
    with_model = person(kernel, tenant, [photo] * 6, {Purpose.HEADSHOTS, Purpose.BIOMETRIC})
    without = person(kernel, tenant, [photo], PORTRAIT)
    both = person(kernel, tenant, [photo] * 6, set(Purpose))
    with kernel.db.transaction(tenant) as session:
        assert sittings.submit(session, with_model.id, utc_now()).recipe == "portrait-small"
        assert sittings.submit(session, without.id, utc_now()).recipe == "cutout"
        with pytest.raises(sittings.RecipeNotOffered):
            sittings.submit(session, both.id, utc_now(), "sdxl")
        assert sittings.submit(session, both.id, utc_now(), "cutout").recipe == "cutout"
        assert {one.employee_id for one in sittings.ready(session, 9, portraits=True)} == {without.id, both.id}
        assert {one.employee_id for one in sittings.ready(session, 9)} == {with_model.id}
        for one in (with_model, without, both):
            sittings.cancel(session, one.id)


def test_a_company_is_asked_about_what_it_offers_alone(kernel: Kernel) -> None:
    """No box, and no sentence of the notice, for what is not offered; a change of the offer is a new notice."""
    portraits, models = make_tenant(kernel, recipes=["cutout"]), make_tenant(kernel, recipes=["portrait-small"])
    texts = {}
    for tenant in (portraits, models):
        with kernel.db.transaction(tenant) as session:
            texts[tenant] = (notices.current(session, "en"), notices.current(session, "de"))
            words = consents.words(session, "en")
            assert set(words) == {Purpose.BIOMETRIC} | (
                {Purpose.PORTRAIT} if tenant == portraits else {Purpose.HEADSHOTS}
            )
            employee = make_employee(session, kernel)
            with pytest.raises(consents.PurposeMissing):
                consents.give(session, kernel.keys, employee.id, set(Purpose), texts[tenant][0].id, "Nadia", utc_now())
    english, german = texts[portraits]
    assert "No model of you is made, nothing is" in english.text
    assert "used to train a small model" not in english.text
    assert "Es entsteht kein Modell von Ihnen" in german.text
    assert "{" not in english.text + german.text
    assert "used to train a small model" in texts[models][0].text
    assert "cut out" not in texts[models][0].text
    assert english.version != texts[models][0].version


def test_one_frame_for_the_company(kernel: Kernel) -> None:
    """One person's hair loosens everybody's frame, and nobody's of another company."""
    here, there = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(here) as session:
        assert framing.of_company(session) == 1.0
        employee = make_employee(session, kernel)
        sitting = Sitting(tenant_id=here, employee_id=employee.id, seed=1, state=SittingState.DONE)
        session.add(sitting)
        session.flush()
        look = looks.list_looks(session)[0].id
        for number, loosening in enumerate((1.0, 1.15)):
            session.add(
                Headshot(
                    tenant_id=here, employee_id=employee.id, sitting_id=sitting.id, look_id=look, number=number,
                    path="x", bytes=1, loosening=loosening, due_at=utc_now() + timedelta(days=1),
                )
            )  # fmt: skip
        session.flush()
        assert framing.of_company(session) == pytest.approx(1.15)
        session.rollback()
    with kernel.db.transaction(there) as session:
        assert framing.of_company(session) == 1.0


def test_six_pictures_spread_over_portraits_and_looks() -> None:
    assert pairs(1, 3) == [(0, 0), (0, 1), (0, 2)]
    assert pairs(6, 1) == [(at, 0) for at in range(6)]
    six = pairs(4, 3)
    assert len(six) == SHOWN
    assert six[0] == (0, 0)
    assert len({at for at, _ in six}) == 3
    assert {look for _, look in six} == {0, 1, 2}

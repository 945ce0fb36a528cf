"""Studio portraits through the product: consent, hand-in, a process of their own on a real Ray, choosing, delivery."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
import skimage.data
from litestar.testing import TestClient
from PIL import Image, ImageChops, ImageStat
from sqlmodel import Session, select

from batch.models import Employee, Headshot, Photo, PhotoState, Purpose, Sitting, SittingState
from batch.sittings import framing, headshots, sittings
from batch.sittings.runs import Run, RunState, Weights
from batch.vision import presets
from batch.visit import consents, notices
from gpu_cluster.cluster import scheduling
from gpu_cluster.cluster.darkroom import Darkroom, pairs
from gpu_cluster.cutout import sight
from gpu_cluster.engine.orders import PORTRAITS_SHOWN as SHOWN
from gpu_cluster.engine.orders import LookShot, Order, Outcome
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.run.app import create_app
from likeness.store.objects import person_path
from tenants import looks
from tests.factories import begin_held, make_employee, make_tenant, sign_in_employee, sign_in_member
from tests.gpu_cluster.test_studio import Stores

pytestmark = pytest.mark.timeout(1200)

ENDED = {SittingState.DONE, SittingState.FAILED, SittingState.CANCELLED}


OWN = scheduling.Cluster()


@pytest.fixture(scope="module")
def darkroom(kernel: Kernel) -> Iterator[Kernel]:
    """An installation without a base."""
    alone = replace(kernel, settings=kernel.settings.model_copy(update={"recipe": "cutout"}))
    yield alone
    OWN.close(alone)


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


def tend_until_ended(kernel: Kernel, people: list[Employee], seconds: float = 280) -> None:
    deadline = time.monotonic() + seconds
    while True:
        states = []
        for one in people:
            with kernel.db.transaction(one.tenant_id) as session:
                states.append(sitting_of(session, one).state)
        if set(states) <= ENDED:
            return
        assert time.monotonic() < deadline, f"it did not happen in time: {states}"
        OWN.run(kernel, utc_now())
        time.sleep(0.3)


def edited(kernel: Kernel, client: TestClient[Any], seconds: float = 280) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while (found := client.get("/api/v1/visit/edit").json())["state"] in ("ready", "working"):
        assert time.monotonic() < deadline, f"it did not happen in time: {found}"
        OWN.run(kernel, utc_now())
        time.sleep(0.3)
    assert found["state"] == "draft", found
    draft: dict[str, Any] = found["draft"]
    return draft


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(ImageStat.Stat(ImageChops.difference(one.convert("L"), other.convert("L"))).mean[0])


def on_shelf(client: TestClient[Any], kernel: Kernel, tenant: UUID) -> list[str]:
    sign_in_member(client, kernel, tenant)
    return [item["look_id"] for one in client.get("/api/v1/headshots").json() for item in one["headshots"]]


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
        assert {shot.photo_id for shot in shots} == set(session.exec(select(Photo.id)).all())
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
    assert re.search(r'name="preset"[^>]*value="directory"', page.text)
    sign_in_member(client, darkroom, there)
    assert client.get(f"/api/v1/batches/{batch}/archive?preset=directory").status_code == 404

    # Another backdrop, of the same photo: what HR has stays until she releases the new one in its place.
    sign_in_employee(client, darkroom, alice)
    first, other = listed[0], listed[1]
    asked = client.post(f"/api/v1/visit/headshots/{first['id']}/edit", json={"look_id": other["look_id"], "closer": -1})
    assert (asked.status_code, asked.json()["state"]) == (202, "ready")
    draft = edited(darkroom, client)
    assert (draft["look_id"], draft["closer"], draft["due_at"]) == (other["look_id"], -1, first["due_at"])
    made = Image.open(io.BytesIO(client.get("/api/v1/visit/edit/picture").content))
    before = Image.open(io.BytesIO(client.get(f"/api/v1/visit/headshots/{other['id']}/picture").content))
    middle, corner = (300, 300, 700, 700), (10, 10, 60, 60)
    assert difference(made.crop(corner), before.crop(corner)) < 4, "not the other backdrop"
    assert difference(made.crop(middle), before.crop(middle)) > 4, "not another crop"
    assert {one["id"] for one in client.get("/api/v1/visit/headshots").json()} == {one["id"] for one in listed}
    assert client.post("/api/v1/visit/edit/keep").json()["id"] == draft["id"]
    assert on_shelf(client, darkroom, here) == [first["look_id"]]
    sign_in_employee(client, darkroom, alice)
    client.post("/api/v1/visit/release", json={"headshot_ids": [draft["id"]]})
    assert on_shelf(client, darkroom, here) == [other["look_id"]]
    assert on_shelf(client, darkroom, there) == []

    # What she says is not her goes with the photo that it was cut from, and with all that was cut from it.
    sign_in_employee(client, darkroom, alice)
    assert client.post(f"/api/v1/visit/headshots/{draft['id']}/not-me").status_code == 204
    assert client.get("/api/v1/visit/headshots").json() == []
    begin_held(darkroom, here)
    with darkroom.db.transaction(here) as session:
        assert session.exec(select(Photo)).all() == []


def test_somebody_who_wants_no_model_gets_a_portrait_beside_those_who_do(kernel: Kernel) -> None:
    """In a company that offers both, the answer to each question decides what may be made."""
    tenant = make_tenant(kernel, recipes=["portrait-small", "cutout"])
    photo = Image.new("RGB", (64, 64))
    with_model = person(kernel, tenant, [photo] * 6, {Purpose.HEADSHOTS, Purpose.BIOMETRIC})
    without = person(kernel, tenant, [photo], PORTRAIT)
    both = person(kernel, tenant, [photo] * 6, PORTRAIT | {Purpose.HEADSHOTS})
    with kernel.db.transaction(tenant) as session:
        assert sittings.submit(session, with_model.id, utc_now()).recipe == "portrait-small"
        assert sittings.submit(session, without.id, utc_now()).recipe == "cutout"
        with pytest.raises(sittings.RecipeNotOffered):
            sittings.submit(session, both.id, utc_now(), "sdxl")
        assert sittings.submit(session, both.id, utc_now(), "cutout").recipe == "cutout"
        assert {one.employee_id for one in sittings.ready(session, 9, "cutout")} == {without.id, both.id}
        assert {one.employee_id for one in sittings.ready(session, 9, "portrait-small")} == {with_model.id}
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
                consents.give(session, kernel.keys, employee.id, set(Purpose), texts[tenant][0].id, "Nadia Ümit", utc_now())
    english, german = texts[portraits]
    assert "No model of you is made, nothing is" in english.text
    assert "used to train a small model" not in english.text
    assert "Es entsteht kein Modell von Ihnen" in german.text
    assert "{" not in english.text + german.text
    assert "used to train a small model" in texts[models][0].text
    assert "cut out" not in texts[models][0].text
    assert english.version != texts[models][0].version


def test_one_frame_for_the_company_that_stays_when_who_needed_it_is_gone(kernel: Kernel) -> None:
    """One person's hair loosens everybody's frame, and nobody's of another company. Later colleagues get the frame of those
    whose pictures are in use."""
    here, there = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(here) as session:
        assert framing.of_company(session) == 1.0
        employee = make_employee(session, kernel)
        sitting = Sitting(tenant_id=here, employee_id=employee.id, seed=1, state=SittingState.DONE)
        session.add(sitting)
        session.flush()
        look = looks.list_looks(session)[0].id
        for number, loosening in enumerate((1.13, None, 1.0)):
            headshots.record(
                session, sitting.id, employee.id, look_id=look, number=number, path="x", size=1, likeness_ratio=None,
                now=utc_now(), loosening=loosening,
            )  # fmt: skip
            assert framing.of_company(session) == pytest.approx(1.15), "a step, and not one person's number"
    with kernel.db.transaction(here) as session:
        for shot in session.exec(select(Headshot).where(Headshot.tenant_id == here)):
            session.delete(shot)
    for tenant, frame in ((here, 1.15), (there, 1.0)):
        with kernel.db.transaction(tenant) as session:
            assert framing.of_company(session) == pytest.approx(frame)


@pytest.mark.parametrize(
    ("needed", "frame"),
    [(0.7, 1.0), (1.0, 1.0), (1.001, 1.05), (1.05, 1.05), (1.1, 1.1), (1.101, 1.15), (1.21, presets.LOOSEST),
     (3.0, presets.LOOSEST)],
)
def test_a_frame_widens_by_coarse_steps_to_the_loosest(needed: float, frame: float) -> None:
    assert framing.stepped(needed) == pytest.approx(frame)


@pytest.mark.parametrize("portraits", range(1, 9))
@pytest.mark.parametrize("number", range(1, 9))
def test_every_look_gets_a_picture_before_any_gets_two(portraits: int, number: int) -> None:
    found = pairs(portraits, number)
    assert len(set(found)) == len(found) == min(SHOWN, portraits * number)
    counts = Counter(look for _, look in found)
    assert set(counts) == set(range(min(SHOWN, number)))
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len({at for at, _ in found}) == min(portraits, len(found))


@pytest.fixture
def cutter(tmp_path: Path) -> Callable[[list[list[bytes]], list[bytes]], list[Outcome]]:
    """Cuts out these photos of people before these pictures of their company, in this process."""
    stores, tenant = Stores(tmp_path), uuid4()

    def cut(people: list[list[bytes]], pictures: list[bytes]) -> list[Outcome]:
        persons = []
        for taken in people:
            person = stores.person(tenant, 1, 0)
            key, paths = stores.keys.open(KeyRef(tenant, person.employee, KeyClass.SOURCE)), list[str]()
            for data in taken:
                paths.append(person_path(tenant, person.employee, KeyClass.SOURCE, uuid4()))
                stores.objects.put(paths[-1], data, key)
            persons.append(replace(person, photos=tuple(paths)))
        shots = tuple(LookShot(uuid4(), "", "", "", "", "#c8ccd0", data) for data in pictures)
        order = Order(uuid4(), tenant, tuple(persons), shots, {"name": "cutout"})
        return Darkroom()._all(order, stores.lease(order))

    return cut


def test_one_bad_photo_and_one_bad_look_cost_nothing_else(
    cutter: Callable[[list[list[bytes]], list[bytes]], list[Outcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alice has a photo that breaks off and one on which the outline cannot be solved, Bob nothing but broken ones; one of
    the company's three pictures is none."""
    first, second = (encoded(skimage.data.astronaut(), size) for size in (900, 700))
    turned, tries = np.linalg.inv, count()

    def unsolvable(matrices: Any) -> Any:
        # The outline's are of many windows at once, those of a view a single one.
        if matrices.ndim == 3 and next(tries) == 0:
            raise np.linalg.LinAlgError("Singular matrix")
        return turned(matrices)

    monkeypatch.setattr(np.linalg, "inv", unsolvable)
    monkeypatch.setattr(sight, "ranked", lambda sights: list(range(len(sights))))
    broken = first[: len(first) // 2]
    alice, bob, carol = cutter([[broken, first, second], [broken], [second]], [b"", b"no picture", b""])
    assert {len(alice.pictures), len(carol.pictures)} == {2}
    assert len({picture.look for picture in alice.pictures}) == 2
    assert list(alice.missed.values()) == list(carol.missed.values()) == ["no_wall"]
    assert (alice.failure, alice.error, carol.error) == ("", "LinAlgError", "")
    assert (list(alice.unused.values()), list(bob.unused.values())) == (["unforeseen"] * 2, ["unforeseen"])
    assert carol.unused == {}
    assert bob.failure.startswith("Something went wrong")
    assert bob.error == "OSError"


def test_where_there_are_more_looks_than_pictures_it_is_said_which(
    cutter: Callable[[list[list[bytes]], list[bytes]], list[Outcome]],
) -> None:
    (alice,) = cutter([[encoded(skimage.data.astronaut(), 700)]], [b""] * 8)
    assert len({picture.look for picture in alice.pictures}) == SHOWN
    assert list(alice.missed.values()) == ["later"] * 2


def encoded(picture: Any, size: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).resize((size, size), Image.Resampling.LANCZOS).save(out, "JPEG", quality=95)
    return out.getvalue()


def test_six_pictures_spread_over_portraits_and_looks() -> None:
    assert pairs(1, 3) == [(0, 0), (0, 1), (0, 2)]
    assert pairs(6, 1) == [(at, 0) for at in range(6)]
    six = pairs(4, 3)
    assert len(six) == SHOWN
    assert six[0] == (0, 0)
    assert len({at for at, _ in six}) == 4
    assert {look for _, look in six} == {0, 1, 2}

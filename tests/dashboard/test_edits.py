"""Another backdrop or crop of a finished portrait: what is offered, what stays meanwhile, what follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from litestar.testing import TestClient
from sqlmodel import select

from batch.models import Employee, Headshot, Photo, Purpose
from batch.photos import decisions, photos
from batch.sittings import edits, headshots, resemblance, sittings
from batch.sittings.edits import Edit, EditState
from batch.vision import presets
from batch.vision.presets import PRESETS, Crop
from batch.visit import consents, notices
from compliance.rights import reading
from gpu_cluster.cluster import claiming, scheduling
from gpu_cluster.cluster.fleet import Loss
from gpu_cluster.engine.orders import Order, Outcome, PersonOrder, Picture
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.store.objects import person_path
from tenants import looks, tenants
from tests.dashboard.markup import get
from tests.factories import sign_in_employee, sign_in_member
from tests.handed_in import make_headshots, make_person, picture


def portraits(kernel: Kernel, count: int = 2, **terms: Any) -> tuple[Employee, list[Headshot]]:
    """Somebody whose headshots were cut from a photo of theirs."""
    person = make_person(kernel, consented=False, recipes=["cutout"], **terms)
    with kernel.db.transaction(person.tenant_id) as session:
        notice = notices.current(session, "en")
        asked = {Purpose.PORTRAIT, Purpose.BIOMETRIC}
        consents.give(session, kernel.keys, person.id, asked, notice.id, "Nadia Ümit", utc_now())
    made = make_headshots(kernel, person, count)
    with kernel.db.transaction(person.tenant_id) as session:
        photo = photos.accepted(session, person.id)[0]
        for one in made:
            one.likeness_ratio, one.loosening, one.photo_id = None, 0.9, photo.id
            session.add(one)
    return person, made


def taken(kernel: Kernel) -> tuple[Order, PersonOrder]:
    """As the cluster takes it; what else waits is let go."""
    alone = replace(kernel, settings=kernel.settings.model_copy(update={"recipe": "cutout"}))
    while (order := claiming.take(alone, [], utc_now(), portraits=True)) is not None:
        if order.edits:
            return order, order.people[0]
    raise AssertionError("nothing waits")


def outcome(kernel: Kernel, order: Order, person: PersonOrder) -> Outcome:
    key = kernel.keys.open_or_create(KeyRef(order.tenant, person.employee, KeyClass.HEADSHOT))
    path = person_path(order.tenant, person.employee, KeyClass.HEADSHOT, uuid4())
    size = kernel.objects.put(path, picture(7), key)
    made = Picture(order.looks[0].look, 0, path, size, None, "soft", 0.9, person.cut_from)
    return Outcome(person.sitting, pictures=[made], made=1, passed=1)


def test_a_crop_is_moved_at_once_and_takes_the_place_of_the_one_before(
    client: TestClient[Any], kernel: Kernel
) -> None:
    alice, (one, other) = portraits(kernel)
    bob, (theirs, _) = portraits(kernel)
    sign_in_employee(client, kernel, alice)
    assert "Change backdrop or crop" in get(client, f"/visit/headshots/{one.id}")
    assert client.get(f"/visit/headshots/{theirs.id}/edit").status_code == 404
    assert client.post(f"/visit/headshots/{theirs.id}/edit", data={"closer": "1"}).status_code == 404
    form = get(client, f"/visit/headshots/{one.id}/edit")
    assert "A little closer" in form
    assert "Much closer" not in form
    at = f"/visit/headshots/{one.id}/edit"
    for wrong in ({"closer": "0"}, {"closer": "2"}, {"raised": "-2"}):
        assert client.post(at, data=wrong).status_code == 422
    result = client.post(at, data={"closer": "1", "raised": "1"})
    assert "Keep the new one?" in result.text
    assert "the one before is deleted for good" in result.text
    # A draft is nobody's headshot yet.
    assert get(client, "/visit/headshots").count('id="shot-') == 2
    draft = client.get("/api/v1/visit/edit").json()["draft"]["id"]
    assert client.post("/api/v1/visit/release", json={"headshot_ids": [draft]}).status_code == 404
    assert client.get(f"/api/v1/visit/headshots/{draft}/picture").status_code == 404
    assert client.get("/api/v1/visit/edit/picture").headers["content-type"] == "image/jpeg"
    sign_in_employee(client, kernel, bob)
    assert client.get("/api/v1/visit/edit").json()["state"] == "none"
    assert client.get("/api/v1/visit/edit/picture").status_code == 404
    assert client.post("/visit/edit/keep").status_code == 404

    sign_in_employee(client, kernel, alice)
    assert client.post("/visit/edit/keep", follow_redirects=False).headers["location"] == f"/visit/headshots/{draft}"
    listed = {shot["id"]: shot for shot in client.get("/api/v1/visit/headshots").json()}
    assert listed.keys() == {draft, str(other.id)}
    assert (listed[draft]["closer"], listed[draft]["raised"]) == (1, 1)
    assert not kernel.objects.exists(one.path)
    with kernel.db.transaction(alice.tenant_id) as session:
        kept = reading.everything(session, kernel, alice).records["headshot"]
        assert {(shot["closer"], shot["draft"]) for shot in kept} == {(0, False), (1, False)}


def test_what_hr_has_stays_until_the_edit_is_released(client: TestClient[Any], kernel: Kernel) -> None:
    alice, (one, other) = portraits(kernel)
    sign_in_employee(client, kernel, alice)
    client.post("/visit/hand-over", data={"headshots": str(one.id)})
    with kernel.db.transaction(alice.tenant_id) as session:
        headshots.releases(session, alice.id)[0].downloaded_at = utc_now()
    client.post(f"/visit/headshots/{one.id}/edit", data={"closer": "-1"})
    assert "until you release the new one in its place" in get(client, "/visit/edit")
    # Dropped, nothing is changed; kept twice, the last one counts.
    client.post("/visit/edit/drop")
    assert client.post("/visit/edit/drop").status_code == 404
    for step in ("-1", "1"):
        client.post(f"/visit/headshots/{one.id}/edit", data={"raised": step})
    client.post("/visit/edit/keep")
    with kernel.db.transaction(alice.tenant_id) as session:
        (kept,) = (shot for shot in headshots.of(session, alice.id, utc_now()) if shot.raised == 1)
        assert [shot.headshot.id for shot in headshots.released(session, None, utc_now())] == [one.id]
    assert "takes the place" in get(client, f"/visit/hand-over?headshot={kept.id}")
    client.post("/visit/hand-over", data={"headshots": str(kept.id)})
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [shot.headshot.id for shot in headshots.released(session, None, utc_now())] == [kept.id]
        assert {shot.id for shot in headshots.of(session, alice.id, utc_now())} == {kept.id, other.id}
    sign_in_member(client, kernel, alice.tenant_id)
    assert "Our copies are deleted" in get(client, "/desk/headshots")


def test_another_backdrop_is_made_by_the_cluster_of_the_same_photo(client: TestClient[Any], kernel: Kernel) -> None:
    alice, (one, _) = portraits(kernel)
    bob, (theirs, _) = portraits(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        _, grey, _ = looks.list_looks(session)
        photo = session.exec(select(Photo).where(Photo.id == one.photo_id)).one()
    sign_in_employee(client, kernel, alice)
    assert "Another backdrop can be had until" in get(client, f"/visit/headshots/{one.id}/edit")
    wish = {"look": str(grey.id), "closer": "1"}
    assert "being made" in client.post(f"/visit/headshots/{one.id}/edit", data=wish).text
    order, person = taken(kernel)
    assert (person.employee, person.cut_from, order.looks[0].look) == (alice.id, photo.path, grey.id)
    # A studio that dies is not her doing at once; a claim that was lost writes nothing.
    lost = outcome(kernel, order, person)
    scheduling.settle(kernel, order, person, Loss.NODE_LOST)
    again, person = taken(kernel)
    scheduling.settle(kernel, order, order.people[0], lost)
    assert not kernel.objects.exists(lost.pictures[0].path)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert edits.under_way(session, alice.id)
        # Nothing of it is a sitting: no credit, no retake, no mail.
        assert len(session.exec(select(sittings.Sitting)).all()) == 1
    scheduling.settle(kernel, again, person, outcome(kernel, again, person))
    page = get(client, "/visit/edit")
    assert "The edge of your hair is not clear." in page
    client.post("/visit/edit/keep")
    with kernel.db.transaction(alice.tenant_id) as session:
        (kept,) = (shot for shot in headshots.of(session, alice.id, utc_now()) if shot.closer == 1)
        assert (kept.look_id, kept.photo_id, kept.due_at) == (grey.id, photo.id, one.due_at)

    # Without the photo the crop alone can be moved, and what was being made is not shown.
    sign_in_employee(client, kernel, bob)
    with kernel.db.transaction(bob.tenant_id) as session:
        dark = looks.list_looks(session)[2]
    client.post(f"/visit/headshots/{theirs.id}/edit", data={"look": str(dark.id)})
    order, person = taken(kernel)
    made = outcome(kernel, order, person)
    with kernel.db.transaction(bob.tenant_id) as session:
        assert theirs.photo_id is not None
        decisions.remove(session, kernel.objects, bob.id, theirs.photo_id)
    scheduling.settle(kernel, order, person, made)
    assert "is not there any more" in get(client, "/visit/edit")
    assert not kernel.objects.exists(made.pictures[0].path)
    assert "cannot be had any more" in get(client, f"/visit/headshots/{theirs.id}/edit")
    assert client.post(f"/visit/headshots/{theirs.id}/edit", data={"look": str(dark.id)}).status_code == 409
    assert "Keep the new one?" in client.post(f"/visit/headshots/{theirs.id}/edit", data={"closer": "-1"}).text


def test_who_withdrew_or_asked_for_a_stop_gets_nothing_made(client: TestClient[Any], kernel: Kernel) -> None:
    alice, (one, _) = portraits(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        grey = looks.list_looks(session)[1]
    sign_in_employee(client, kernel, alice)
    client.post(f"/visit/headshots/{one.id}/edit", data={"look": str(grey.id)})
    order, person = taken(kernel)
    made = outcome(kernel, order, person)
    with kernel.db.transaction(alice.tenant_id) as session:
        sittings.withdraw(session, alice.id, utc_now())
    scheduling.settle(kernel, order, person, made)
    assert not kernel.objects.exists(made.pictures[0].path)
    with kernel.db.transaction(alice.tenant_id) as session:
        (edit,) = session.exec(select(Edit).where(Edit.employee_id == alice.id)).all()
        assert edit.state == EditState.FAILED
        assert edits.standing(session, alice.id, utc_now()).draft is None


def test_a_draft_goes_with_what_it_was_cut_from(client: TestClient[Any], kernel: Kernel) -> None:
    alice, (one, other) = portraits(kernel)
    sign_in_employee(client, kernel, alice)
    client.post(f"/visit/headshots/{one.id}/edit", data={"closer": "1"})
    with kernel.db.transaction(alice.tenant_id) as session:
        draft = edits.standing(session, alice.id, utc_now()).draft
        assert draft is not None
        # Nobody's picture is kept longer by an edit.
        assert draft.due_at == one.due_at
        assert edits.standing(session, alice.id, one.due_at + timedelta(seconds=1)).draft is None
    with kernel.db.transaction(alice.tenant_id) as session:
        resemblance.reject(session, kernel.objects, kernel.keys, alice.id, other.id, utc_now())
    assert not kernel.objects.exists(draft.path)
    assert client.get("/api/v1/visit/edit").json()["state"] == "none"


def test_a_company_may_let_people_choose_and_hair_is_never_cut(client: TestClient[Any], kernel: Kernel) -> None:
    alice, (one, _) = portraits(kernel)
    sign_in_member(client, kernel, alice.tenant_id)
    assert client.post("/desk/looks/crops", data={"crops": "free"}).status_code == 403
    with kernel.db.transaction(alice.tenant_id) as session:
        one.loosening = 1.0
        session.add(one)
        crops = set(edits.choices(session, one, utc_now()).crops)
        assert Crop(1, 0) not in crops
        assert {Crop(-1, -1), Crop(-1, 0), Crop(0, -1), Crop(0, 0)} <= crops
        tenants.change(session, free_crops=True, caller="member:x")
        one.loosening = 0.75
        session.flush()
        assert len(edits.choices(session, one, utc_now()).crops) == (2 * presets.FREE + 1) ** 2
        one.loosening = None
        with pytest.raises(edits.NotEditable):
            edits.choices(session, one, utc_now())


def test_a_step_moves_the_head_and_never_beyond_the_canvas() -> None:
    usual = PRESETS["square"].box()
    closer = PRESETS["square"].box(crop=Crop(1, 0))
    assert (closer[2] - closer[0]) / (usual[2] - usual[0]) == pytest.approx(1 - presets.CLOSER)
    raised = PRESETS["square"].box(crop=Crop(0, 1))
    assert (raised[1] - usual[1]) / (usual[3] - usual[1]) == pytest.approx(presets.RAISED)
    steps = range(-presets.FREE, presets.FREE + 1)
    for preset in PRESETS.values():
        for crop in (Crop(one, other) for one in steps for other in steps):
            for loosened in (1.0, presets.LOOSEST):
                left, top, right, bottom = preset.box(loosened, crop)
                assert 0 <= left < right <= presets.CANVAS
                assert 0 <= top < bottom <= presets.CANVAS + 1e-6

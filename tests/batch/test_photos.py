from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from batch.models import Employee, Photo, PhotoState
from batch.photos import decisions, intake, photos
from batch.vision import inspection
from batch.visit import consents
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.jobs import claims, jobs
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.store.objects import person_path
from tests import pictures
from tests.compliance.people import make_weights
from tests.factories import give_consent, make_employee, run_jobs
from tests.handed_in import make_headshots, make_person, make_photos

NOW = utc_now()


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel)


@pytest.fixture
def bob(kernel: Kernel) -> Employee:
    """Of another company."""
    return make_person(kernel)


def add(kernel: Kernel, person: Employee, data: bytes) -> Photo:
    return intake.add(kernel, person.tenant_id, person.id, data, utc_now())


def checked(kernel: Kernel, person: Employee, *pictures: bytes) -> list[Photo]:
    ids = []
    for data in pictures:
        ids.append(add(kernel, person, data).id)
        run_jobs(kernel, tenant=person.tenant_id)
    with kernel.db.transaction(person.tenant_id) as session:
        return [photos.get(session, person.id, photo_id) for photo_id in ids]


def stored(kernel: Kernel, person: Employee) -> list[str]:
    return [found.path for found in kernel.objects.list(f"tenants/{person.tenant_id}/employees/{person.id}/source")]


def events(kernel: Kernel, person: Employee) -> list[str]:
    with kernel.db.transaction(person.tenant_id) as session:
        return [entry.event for entry in ledger.entries(session, subject=person.id)]


def codes(photo: Photo) -> list[str]:
    return [finding["code"] for finding in photo.findings]


# Taking in


def test_a_byte_before_consent_is_refused_and_leaves_nothing(kernel: Kernel) -> None:
    person = make_person(kernel, consented=False)
    with pytest.raises(consents.ConsentMissing):
        add(kernel, person, pictures.drawn(1)[0])
    assert stored(kernel, person) == []


def test_the_database_refuses_a_photo_without_its_persons_consent(
    kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    with kernel.db.transaction(bob.tenant_id) as session:
        foreign = consents.require(session, bob.id).id
    for consent_id in (uuid4(), foreign):
        photo = Photo(
            tenant_id=alice.tenant_id,
            employee_id=alice.id,
            consent_id=consent_id,
            path=person_path(alice.tenant_id, alice.id, KeyClass.SOURCE, uuid4()),
            digest="x",
            due_at=NOW,
        )
        with pytest.raises(IntegrityError), kernel.db.transaction(alice.tenant_id) as session:
            session.add(photo)


def test_an_accepted_upload_is_sealed_under_the_source_key_and_due_on_the_tenants_day(kernel: Kernel) -> None:
    person = make_person(kernel, source_days=3)
    data = pictures.drawn(1)[0]
    photo = add(kernel, person, data)
    assert photo.state == PhotoState.CHECKING
    assert photo.due_at - photo.created_at == timedelta(days=3)
    assert data[:64] not in kernel.objects.raw(photo.path)
    key = kernel.keys.open(KeyRef(person.tenant_id, person.id, KeyClass.SOURCE))
    assert kernel.objects.get(photo.path, key) == data
    assert "photo.added" in events(kernel, person)


def test_the_same_bytes_again_are_the_same_photo_also_at_the_same_time(kernel: Kernel, alice: Employee) -> None:
    data = pictures.drawn(1)[0]
    with ThreadPoolExecutor(4) as pool:
        ids = {photo.id for photo in pool.map(lambda _: add(kernel, alice, data), range(6))}
    assert len(ids) == 1
    assert len(stored(kernel, alice)) == 1


def test_the_same_bytes_of_two_people_share_nothing(kernel: Kernel, alice: Employee, bob: Employee) -> None:
    data = pictures.drawn(1)[0]
    one, other = add(kernel, alice, data), add(kernel, bob, data)
    assert one.digest != other.digest
    assert one.path != other.path


def test_empty_large_and_too_many_files_are_refused_with_a_sentence(
    kernel: Kernel, alice: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(intake.PhotoEmpty):
        add(kernel, alice, b"")
    with pytest.raises(intake.PhotoTooLarge, match="25 MB"):
        add(kernel, alice, bytes(intake.LARGEST + 1))
    monkeypatch.setattr(intake, "MOST", 2)
    first = add(kernel, alice, b"one")
    add(kernel, alice, b"two")
    with pytest.raises(intake.TooManyPhotos):
        add(kernel, alice, b"three")
    assert add(kernel, alice, b"one").id == first.id
    assert len(stored(kernel, alice)) == 2


def test_after_withdrawal_nothing_is_taken_and_nothing_is_left_of_the_try(
    kernel: Kernel, alice: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = kernel.objects.put

    def withdrawn_meanwhile(*args: object) -> int:
        with kernel.db.transaction(alice.tenant_id) as session:
            consents.withdraw(session, alice.id, utc_now())
        return put(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(kernel.objects, "put", withdrawn_meanwhile)
    with pytest.raises(consents.ConsentMissing):
        add(kernel, alice, pictures.drawn(1)[0])
    assert stored(kernel, alice) == []


def test_after_the_key_is_destroyed_no_photo_is_taken(kernel: Kernel, alice: Employee) -> None:
    kernel.keys.destroy(KeyRef(alice.tenant_id, alice.id, KeyClass.SOURCE), NOW)
    with pytest.raises(intake.PhotosClosed):
        add(kernel, alice, pictures.drawn(1)[0])


def test_a_restricted_persons_photo_is_not_taken(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        photos.hold(session, alice.id).restricted_at = NOW
    with pytest.raises(photos.Restricted):
        add(kernel, alice, pictures.drawn(1)[0])


def test_the_sweep_removes_objects_without_a_row_after_an_hour_and_no_others(
    kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    photo = add(kernel, alice, b"a photo")
    key = kernel.keys.open(KeyRef(alice.tenant_id, alice.id, KeyClass.SOURCE))
    orphan = person_path(alice.tenant_id, alice.id, KeyClass.SOURCE, uuid4())
    kernel.objects.put(orphan, b"of a process that was killed", key)
    others = add(kernel, bob, b"a photo")
    half = kernel.settings.home / "objects" / Path(orphan).parent / "_0123.part"
    half.write_bytes(b"half of an object")
    strange = kernel.settings.home / f"objects/tenants/{alice.tenant_id}/employees/copy.tar.gz"
    strange.write_bytes(b"which somebody put there")
    intake.sweep_orphans(kernel, utc_now() + timedelta(minutes=59))
    assert kernel.objects.exists(orphan)
    assert half.exists()
    intake.sweep_orphans(kernel, utc_now() + timedelta(minutes=61))
    assert stored(kernel, alice) == [photo.path]
    assert stored(kernel, bob) == [others.path]
    assert not half.exists()
    make_headshots(kernel, bob, 1)
    named, model = make_weights(kernel, bob), person_path(bob.tenant_id, bob.id, KeyClass.MODEL, uuid4())
    kernel.objects.put(model, b"of a run that was lost", kernel.keys.open(KeyRef(bob.tenant_id, bob.id, KeyClass.MODEL)))
    for hours in (23, 25):
        intake.sweep_orphans(kernel, utc_now() + timedelta(hours=hours))
        assert (kernel.objects.exists(model), kernel.objects.exists(named)) == (hours == 23, True)


# Checking


def test_a_good_photo_is_accepted_and_replaced_by_a_clean_picture(kernel: Kernel, alice: Employee) -> None:
    raw = pictures.located(pictures.drawn(1)[0])
    assert b"Nadia at home" in raw
    [photo] = checked(kernel, alice, raw)
    assert photo.state == PhotoState.ACCEPTED
    assert photo.checked_at is not None
    assert photo.pose in ("front", "left", "right")
    assert stored(kernel, alice) == [photo.path]
    clean = photos.picture(kernel, alice.tenant_id, alice.id, photo.id, utc_now())
    assert b"Nadia" not in clean
    assert not Image.open(io.BytesIO(clean)).getexif()
    assert "photo.accepted" in events(kernel, alice)


def test_rejected_photos_keep_their_reason_and_lose_their_object(kernel: Kernel, alice: Employee) -> None:
    found = checked(kernel, alice, b"not a picture", pictures.without_face())
    assert [photo.state for photo in found] == [PhotoState.REJECTED] * 2
    assert [codes(photo) for photo in found] == [["unreadable"], ["no_face"]]
    assert all(photo.findings[0]["action"] for photo in found)
    assert stored(kernel, alice) == []
    with pytest.raises(photos.PhotoMissing):
        photos.picture(kernel, alice.tenant_id, alice.id, found[0].id, utc_now())


def test_of_two_nearly_equal_photos_the_better_one_counts_whichever_came_first(kernel: Kernel, alice: Employee) -> None:
    original = pictures.drawn(1)[0]
    copy, better = checked(kernel, alice, pictures.smaller(original), original)
    with kernel.db.transaction(alice.tenant_id) as session:
        copy = photos.get(session, alice.id, copy.id)
    assert (copy.state, better.state) == (PhotoState.SPARE, PhotoState.ACCEPTED)
    assert codes(copy) == ["near_duplicate"]
    assert sorted(stored(kernel, alice)) == sorted([copy.path, better.path])
    with kernel.db.transaction(alice.tenant_id) as session:
        decisions.remove(session, kernel.objects, alice.id, better.id)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert photos.get(session, alice.id, copy.id).state == PhotoState.ACCEPTED


def test_no_face_measure_is_stored() -> None:
    assert not {"embedding", "look", "fingerprint"} & set(Photo.model_fields)


def test_two_first_photos_checked_at_the_same_time_are_compared_all_the_same(kernel: Kernel, alice: Employee) -> None:
    ids = [add(kernel, alice, data).id for data in (pictures.drawn(1)[0], pictures.astronaut())]
    with kernel.db.transaction(alice.tenant_id) as session:
        queue = session.execute(
            select(jobs.Job.id).where(jobs.Job.tenant_id == alice.tenant_id, jobs.Job.kind == "batch.photos.check")  # type: ignore[arg-type]
        ).scalars().all()  # fmt: skip
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job_id: claims.work(kernel, job_id), queue))
    run_jobs(kernel, tenant=alice.tenant_id, ahead=timedelta(minutes=1))
    with kernel.db.transaction(alice.tenant_id) as session:
        states = sorted(photos.get(session, alice.id, photo_id).state for photo_id in ids)
    assert states == [PhotoState.ACCEPTED, PhotoState.ASIDE]


def test_with_several_people_the_owner_taps_their_face_and_it_is_cut_out(kernel: Kernel, alice: Employee) -> None:
    one, other = pictures.drawn(1)[0], pictures.drawn(2)[1]
    [photo] = checked(kernel, alice, pictures.beside(one, other))
    assert photo.state == PhotoState.CHOOSING
    assert len(photo.faces) == 2
    picture = photos.picture(kernel, alice.tenant_id, alice.id, photo.id, utc_now())
    with kernel.db.transaction(alice.tenant_id) as session:
        assert photos.progress(session, alice.id).accepted == 0
        with pytest.raises(decisions.NoSuchFace):
            decisions.choose_face(session, alice.id, photo.id, 2)
        decisions.choose_face(session, alice.id, photo.id, 0)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        photo = photos.get(session, alice.id, photo.id)
    assert photo.state == PhotoState.ACCEPTED
    assert photo.faces == []
    assert photo.width < Image.open(io.BytesIO(picture)).width
    assert stored(kernel, alice) == [photo.path]


def test_while_the_inspector_is_down_a_photo_stays_checking_and_is_checked_later(
    kernel: Kernel, alice: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def down(*_: object, **__: object) -> inspection.Inspection:
            raise inspection.InspectorDown("start")

        patch.setattr(inspection, "inspect", down)
        [photo] = checked(kernel, alice, pictures.drawn(1)[0])
        with kernel.db.transaction(alice.tenant_id) as session:
            given_up = {"state": jobs.JobState.DEAD, "due": None, "finished_at": utc_now()}
            session.execute(jobs.update(jobs.Job).values(given_up).where(jobs.Job.key == str(photo.id)))  # type: ignore[arg-type]
    assert photo.state == PhotoState.CHECKING
    with pytest.raises(photos.PictureNotReady):
        photos.picture(kernel, alice.tenant_id, alice.id, photo.id, utc_now())
    photos.check_again(kernel, utc_now() + timedelta(minutes=3))
    photos.check_again(kernel, utc_now() + timedelta(minutes=3))
    assert run_jobs(kernel, tenant=alice.tenant_id) == 1
    with kernel.db.transaction(alice.tenant_id) as session:
        assert photos.get(session, alice.id, photo.id).state == PhotoState.ACCEPTED


def test_a_photo_deleted_while_it_is_checked_stays_deleted(
    kernel: Kernel, alice: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect = inspection.inspect

    def removed_meanwhile(*args: object, **options: object) -> inspection.Inspection:
        with kernel.db.transaction(alice.tenant_id) as session:
            decisions.remove(session, kernel.objects, alice.id, photo.id)
        return inspect(*args, **options)  # type: ignore[arg-type]

    photo = add(kernel, alice, pictures.drawn(1)[0])
    monkeypatch.setattr(inspection, "inspect", removed_meanwhile)
    run_jobs(kernel, tenant=alice.tenant_id)
    assert stored(kernel, alice) == []
    with kernel.db.transaction(alice.tenant_id) as session:
        assert photos.of(session, alice.id) == []


# What the person does


def test_advice_is_overruled_twice_by_the_person(kernel: Kernel, alice: Employee) -> None:
    made = make_photos(kernel, alice, 3, PhotoState.ADVISED)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert photos.progress(session, alice.id).accepted == 0
        for photo in made[:2]:
            assert decisions.use_anyway(session, alice.id, photo.id).state == PhotoState.ACCEPTED
        decisions.use_anyway(session, alice.id, made[0].id)
        assert photos.progress(session, alice.id).accepted == 2
        with pytest.raises(decisions.OverruledOften):
            decisions.use_anyway(session, alice.id, made[2].id)


def test_a_photo_under_check_or_rejected_cannot_be_overruled(kernel: Kernel, alice: Employee) -> None:
    photo = add(kernel, alice, b"not a picture")
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(decisions.NoAdvice):
        decisions.use_anyway(session, alice.id, photo.id)


def test_hr_waves_usable_photos_through_after_twelve_uploads(kernel: Kernel, alice: Employee, bob: Employee) -> None:
    make_photos(kernel, alice, 3, PhotoState.ADVISED)
    make_photos(kernel, alice, 8, PhotoState.REJECTED)
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(decisions.NothingToWave):
        decisions.wave_through(session, alice.id, caller="member:x")
    make_photos(kernel, alice, 1)
    with kernel.db.transaction(alice.tenant_id) as session:
        seen = decisions.trouble(session, alice.id)
        assert (seen.uploads, seen.accepted, seen.advised, seen.reasons) == (12, 1, 3, {"blurred": 3})
        assert decisions.wave_through(session, alice.id, caller="member:x") == 3
        assert photos.progress(session, alice.id).accepted == 4
    with kernel.db.transaction(bob.tenant_id) as session, pytest.raises(photos.EmployeeMissing):
        decisions.wave_through(session, alice.id, caller="member:x")


def test_a_photo_is_deleted_at_any_time_with_its_object(kernel: Kernel, alice: Employee) -> None:
    photo = add(kernel, alice, b"a photo")
    with kernel.db.transaction(alice.tenant_id) as session:
        decisions.remove(session, kernel.objects, alice.id, photo.id)
        assert kernel.objects.exists(photo.path)
    assert stored(kernel, alice) == []
    assert "photo.removed" in events(kernel, alice)


def test_a_photo_whose_time_is_up_is_not_shown(kernel: Kernel, alice: Employee) -> None:
    photo = make_photos(kernel, alice, 1, PhotoState.ADVISED)[0]
    assert photos.picture(kernel, alice.tenant_id, alice.id, photo.id, photo.due_at - timedelta(seconds=1))
    with pytest.raises(photos.PhotoMissing):
        photos.picture(kernel, alice.tenant_id, alice.id, photo.id, photo.due_at)


def test_photos_are_hidden_from_another_company_and_from_a_colleague(
    kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    photo = make_photos(kernel, alice, 1, PhotoState.ADVISED)[0]
    with kernel.db.transaction(alice.tenant_id) as session:
        colleague = make_employee(session, kernel)
        give_consent(session, kernel, colleague)
    for stranger in (bob, colleague):
        with pytest.raises(photos.PhotoMissing):
            photos.picture(kernel, stranger.tenant_id, stranger.id, photo.id, utc_now())
        with kernel.db.transaction(stranger.tenant_id) as session:
            assert photos.of(session, stranger.id) == []
            with pytest.raises(photos.PhotoMissing):
                decisions.use_anyway(session, stranger.id, photo.id)
            with pytest.raises(photos.PhotoMissing):
                decisions.choose_face(session, stranger.id, photo.id, 0)
            with pytest.raises(photos.PhotoMissing):
                decisions.remove(session, kernel.objects, stranger.id, photo.id)
    with kernel.db.transaction(bob.tenant_id) as session:
        assert photos.of(session, alice.id) == []
    with pytest.raises(photos.EmployeeMissing):
        intake.add(kernel, bob.tenant_id, alice.id, b"a photo", NOW)

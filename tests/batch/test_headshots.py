from __future__ import annotations

from datetime import timedelta

import pytest

from batch.models import Employee, SittingState
from batch.sittings import headshots, sittings
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tests.factories import make_employee
from tests.handed_in import get_sitting, keep, make_headshots, make_person, make_sitting, run_sitting, shows


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel, headshot_days=20)


@pytest.fixture
def bob(kernel: Kernel) -> Employee:
    """Of another company."""
    return make_person(kernel)


def test_a_headshot_is_sealed_and_due_on_the_tenants_day(kernel: Kernel, alice: Employee) -> None:
    headshot = make_headshots(kernel, alice, 1)[0]
    assert headshot.due_at - headshot.created_at == timedelta(days=20)
    assert b"PNG" not in kernel.objects.raw(headshot.path)[:64]
    seen = headshots.picture(kernel, alice.tenant_id, alice.id, headshot.id, utc_now())
    assert shows(seen, 0)


def test_the_owner_sees_them_once_the_sitting_is_done_likest_first(kernel: Kernel, alice: Employee) -> None:
    sitting = make_sitting(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        fence = sittings.claim(session, sitting.id, utc_now())
        assert fence is not None
        kept = [keep(session, kernel, get_sitting(session, sitting.id), number).id for number in (2, 0)]
        assert headshots.of(session, alice.id, utc_now()) == []
        sittings.advance(session, sitting.id, fence, SittingState.TRAINING, SittingState.RENDERING)
        sittings.finish(session, sitting.id, fence)
        assert [headshot.id for headshot in headshots.of(session, alice.id, utc_now())] == kept[::-1]


def test_a_favourite_is_marked_and_unmarked(kernel: Kernel, alice: Employee) -> None:
    headshot = make_headshots(kernel, alice, 1)[0]
    with kernel.db.transaction(alice.tenant_id) as session:
        assert headshots.favourite(session, alice.id, headshot.id, utc_now()).favourite_at
        assert headshots.favourite(session, alice.id, headshot.id, utc_now(), chosen=False).favourite_at is None


def test_hr_has_what_was_released_until_it_is_taken_back(kernel: Kernel, alice: Employee) -> None:
    one, other, _ = make_headshots(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert headshots.released(session, alice.batch_id, utc_now()) == []
        for _ in range(2):
            given = headshots.release(session, alice.id, [one.id, other.id], utc_now())
            assert {release.headshot_id for release in given} == {one.id, other.id}
    with kernel.db.transaction(alice.tenant_id) as session:
        headshots.unrelease(session, alice.id, other.id, utc_now())
        found = headshots.released(session, alice.batch_id, utc_now())
        assert [(item.headshot.id, item.employee.id) for item in found] == [(one.id, alice.id)]
        with pytest.raises(headshots.HeadshotMissing):
            headshots.unrelease(session, alice.id, other.id, utc_now())
        with pytest.raises(headshots.NothingToRelease):
            headshots.release(session, alice.id, [], utc_now())
    with kernel.db.transaction(alice.tenant_id) as session:
        seen = headshots.viewed(session, alice.batch_id, one.shelf_id, utc_now(), caller="member:x")
    assert shows(headshots.square(kernel, *seen), 0)
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(headshots.HeadshotMissing):
        headshots.viewed(session, alice.batch_id, other.shelf_id, utc_now(), caller="member:x")
    with kernel.db.transaction(alice.tenant_id) as session:
        events = [entry.event for entry in ledger.entries(session, subject=alice.id)]
    assert events[-4:] == ["release.given", "release.given", "release.taken-back", "headshot.viewed"]


def test_the_old_set_stays_until_one_of_the_new_is_released(kernel: Kernel, alice: Employee) -> None:
    old = make_headshots(kernel, alice, 3)
    with kernel.db.transaction(alice.tenant_id) as session:
        headshots.release(session, alice.id, [old[0].id], utc_now())
        again = sittings.reshoot(session, alice.id, utc_now())
        assert again is not None
    with kernel.db.transaction(alice.tenant_id) as session:
        assert len(headshots.of(session, alice.id, utc_now())) == 3
    new = run_sitting(kernel, again, 2)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert len(headshots.of(session, alice.id, utc_now())) == 5
        headshots.release(session, alice.id, [old[1].id], utc_now())
        assert len(headshots.of(session, alice.id, utc_now())) == 5
        headshots.unrelease(session, alice.id, old[1].id, utc_now())
        headshots.release(session, alice.id, [new[0].id], utc_now())
        left = {headshot.id for headshot in headshots.of(session, alice.id, utc_now())}
    assert left == {old[0].id, new[0].id, new[1].id}


def test_a_headshot_whose_time_is_up_is_gone_for_everybody(kernel: Kernel, alice: Employee) -> None:
    headshot = make_headshots(kernel, alice, 1)[0]
    with kernel.db.transaction(alice.tenant_id) as session:
        headshots.release(session, alice.id, [headshot.id], utc_now())
        assert headshots.of(session, alice.id, headshot.due_at) == []
        assert headshots.released(session, alice.batch_id, headshot.due_at) == []
    with pytest.raises(headshots.HeadshotMissing):
        headshots.picture(kernel, alice.tenant_id, alice.id, headshot.id, headshot.due_at)


def test_headshots_are_hidden_from_another_company_and_from_a_colleague(
    kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    headshot = make_headshots(kernel, alice, 1)[0]
    with kernel.db.transaction(alice.tenant_id) as session:
        headshots.release(session, alice.id, [headshot.id], utc_now())
        colleague = make_employee(session, kernel)
    for stranger in (bob, colleague):
        with pytest.raises(headshots.HeadshotMissing):
            headshots.picture(kernel, stranger.tenant_id, stranger.id, headshot.id, utc_now())
        with kernel.db.transaction(stranger.tenant_id) as session:
            with pytest.raises(headshots.HeadshotMissing):
                headshots.release(session, stranger.id, [headshot.id], utc_now())
            with pytest.raises(headshots.HeadshotMissing):
                headshots.unrelease(session, stranger.id, headshot.id, utc_now())
            with pytest.raises(headshots.HeadshotMissing):
                headshots.favourite(session, stranger.id, headshot.id, utc_now())
    with kernel.db.transaction(bob.tenant_id) as session:
        assert headshots.released(session, alice.batch_id, utc_now()) == []

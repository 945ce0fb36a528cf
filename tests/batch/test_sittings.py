from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from batch.models import Employee, Sitting, SittingState
from batch.photos import photos
from batch.sittings import sittings
from batch.visit import consents
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants import credits
from tests.handed_in import get_sitting, make_person, make_photos, make_sitting, run_sitting


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel, with_credits=10)


@pytest.fixture
def bob(kernel: Kernel) -> Employee:
    """Of another company."""
    return make_person(kernel)


def submit(kernel: Kernel, person: Employee) -> Sitting:
    with kernel.db.transaction(person.tenant_id) as session:
        return sittings.submit(session, person.id, utc_now())


def reshoot(kernel: Kernel, person: Employee) -> Sitting | None:
    with kernel.db.transaction(person.tenant_id) as session:
        return sittings.reshoot(session, person.id, utc_now())


def claim(kernel: Kernel, sitting: Sitting) -> int | None:
    with kernel.db.transaction(sitting.tenant_id) as session:
        return sittings.claim(session, sitting.id, utc_now())


def state(kernel: Kernel, sitting: Sitting) -> str:
    with kernel.db.transaction(sitting.tenant_id) as session:
        return get_sitting(session, sitting.id).state


def balance(kernel: Kernel, person: Employee) -> int:
    with kernel.db.transaction(person.tenant_id) as session:
        return credits.balance(session)


def fail(kernel: Kernel, sitting: Sitting) -> None:
    fence = claim(kernel, sitting)
    assert fence is not None
    with kernel.db.transaction(sitting.tenant_id) as session:
        assert sittings.fail(session, sitting.id, fence, "The training did not settle.")


# Handing in


def test_six_accepted_photos_make_a_sitting_once(kernel: Kernel, alice: Employee) -> None:
    make_photos(kernel, alice)
    sitting = submit(kernel, alice)
    assert sitting.state == SittingState.READY
    assert submit(kernel, alice).id == sitting.id
    assert balance(kernel, alice) == 9
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [found.id for found in sittings.ready(session, 10, "portrait-small")] == [sitting.id]
        assert len(sittings.photos_for(session, sitting)) == 6
        assert "sitting.submitted" in [entry.event for entry in ledger.entries(session, subject=alice.id)]


def test_handing_in_five_times_at_once_makes_one_sitting(kernel: Kernel, alice: Employee) -> None:
    make_photos(kernel, alice)
    with ThreadPoolExecutor(5) as pool:
        assert len({sitting.id for sitting in pool.map(lambda _: submit(kernel, alice), range(5))}) == 1


def test_the_database_holds_one_active_sitting_for_each_person(kernel: Kernel, alice: Employee) -> None:
    make_sitting(kernel, alice)
    with pytest.raises(IntegrityError), kernel.db.transaction(alice.tenant_id) as session:
        session.add(Sitting(tenant_id=alice.tenant_id, employee_id=alice.id, seed=1))


def test_five_photos_are_too_few_and_so_are_photos_whose_time_is_up(kernel: Kernel, alice: Employee) -> None:
    make_photos(kernel, alice, 5)
    with pytest.raises(sittings.TooFewPhotos, match="Accepted so far: 5; needed: 6"):
        submit(kernel, alice)
    make_photos(kernel, alice, 6)
    later = utc_now() + timedelta(days=8)
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(sittings.TooFewPhotos):
        sittings.submit(session, alice.id, later)


def test_without_consent_nothing_is_handed_in(kernel: Kernel, alice: Employee) -> None:
    make_photos(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        consents.withdraw(session, alice.id, utc_now())
    with pytest.raises(consents.ConsentMissing):
        submit(kernel, alice)


def test_a_restricted_person_waits(kernel: Kernel, alice: Employee) -> None:
    make_sitting(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        photos.hold(session, alice.id).restricted_at = utc_now()
    with kernel.db.transaction(alice.tenant_id) as session:
        assert sittings.ready(session, 10, "portrait-small") == []


# On the cluster


def test_a_sitting_goes_through_its_states_under_one_fence(kernel: Kernel, alice: Employee) -> None:
    sitting = make_sitting(kernel, alice)
    assert len(run_sitting(kernel, sitting)) == 3
    assert state(kernel, sitting) == SittingState.DONE
    with pytest.raises(sittings.AlreadyDone):
        submit(kernel, alice)


def test_of_many_claims_one_wins(kernel: Kernel, alice: Employee) -> None:
    sitting = make_sitting(kernel, alice)
    with ThreadPoolExecutor(4) as pool:
        fences = list(pool.map(lambda _: claim(kernel, sitting), range(8)))
    assert sorted(fences, key=str) == [1, *[None] * 7]


def test_a_lost_run_is_taken_over_and_can_write_nothing_more(kernel: Kernel, alice: Employee) -> None:
    sitting = make_sitting(kernel, alice)
    lost = claim(kernel, sitting)
    assert lost is not None
    with kernel.db.transaction(alice.tenant_id) as session:
        assert sittings.advance(session, sitting.id, lost, SittingState.TRAINING, SittingState.READY)
    assert claim(kernel, sitting) == lost + 1
    assert claim(kernel, sitting) is None
    with kernel.db.transaction(alice.tenant_id) as session:
        assert not sittings.advance(session, sitting.id, lost, SittingState.TRAINING, SittingState.RENDERING)
        assert not sittings.finish(session, sitting.id, lost)
        assert not sittings.fail(session, sitting.id, lost, "late")
        assert sittings.advance(session, sitting.id, lost + 1, SittingState.TRAINING, SittingState.READY)
    assert state(kernel, sitting) == SittingState.READY


def test_steps_that_do_not_exist_are_a_mistake_of_the_program(kernel: Kernel, alice: Employee) -> None:
    sitting = make_sitting(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(ValueError, match="does not go"):
        sittings.advance(session, sitting.id, 0, SittingState.DONE, SittingState.READY)


def test_a_third_failure_refunds_the_credit(kernel: Kernel, alice: Employee) -> None:
    for expected in (9, 9, 10):
        fail(kernel, make_sitting(kernel, alice))
        assert balance(kernel, alice) == expected


# Ending


def test_withdrawing_ends_the_sitting_in_any_state_and_gives_the_credit_back(kernel: Kernel, alice: Employee) -> None:
    sitting = make_sitting(kernel, alice)
    fence = claim(kernel, sitting)
    assert fence is not None
    with kernel.db.transaction(alice.tenant_id) as session:
        assert sittings.withdraw(session, alice.id, utc_now()) == 1
        assert consents.standing(session, alice.id) == set()
    assert state(kernel, sitting) == SittingState.CANCELLED
    assert balance(kernel, alice) == 10
    with kernel.db.transaction(alice.tenant_id) as session:
        assert not sittings.finish(session, sitting.id, fence)
        with pytest.raises(consents.ConsentMissing):
            sittings.photos_for(session, sitting)
        events = [entry.event for entry in ledger.entries(session, subject=alice.id)]
    assert {"sitting.cancelled", "consent.withdrawn", "credit.released"} <= set(events)


def test_a_credit_that_paid_for_headshots_is_not_given_back(kernel: Kernel, alice: Employee) -> None:
    run_sitting(kernel, make_sitting(kernel, alice))
    reshoot(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert sittings.cancel(session, alice.id) == 1
        assert sittings.cancel(session, alice.id) == 0
    assert balance(kernel, alice) == 9


# Reshoots


def test_two_reshoots_are_free_and_then_the_credit_is_refunded(kernel: Kernel, alice: Employee) -> None:
    first = make_sitting(kernel, alice)
    run_sitting(kernel, first)
    for _ in range(sittings.FREE_RESHOOTS):
        again = reshoot(kernel, alice)
        assert again is not None
        assert again.reshoot_of is not None
        assert again.seed != first.seed
        assert reshoot(kernel, alice).id == again.id  # type: ignore[union-attr]
        run_sitting(kernel, again)
    assert balance(kernel, alice) == 9
    assert reshoot(kernel, alice) is None
    assert reshoot(kernel, alice) is None
    assert balance(kernel, alice) == 10


def test_a_reshoot_needs_something_to_take_again(kernel: Kernel, alice: Employee) -> None:
    make_sitting(kernel, alice)
    with pytest.raises(sittings.NothingToReshoot):
        reshoot(kernel, alice)


# Strangers


def test_sittings_are_hidden_from_another_company(kernel: Kernel, alice: Employee, bob: Employee) -> None:
    sitting = make_sitting(kernel, alice)
    with kernel.db.transaction(bob.tenant_id) as session:
        assert sittings.ready(session, 10, "portrait-small") == []
        assert sittings.claim(session, sitting.id, utc_now()) is None
        assert sittings.latest_of(session, alice.id) is None
        assert sittings.cancel(session, alice.id) == 0
        assert not session.exec(select(Sitting).where(Sitting.id == sitting.id)).all()
        with pytest.raises(photos.EmployeeMissing):
            sittings.submit(session, alice.id, utc_now())
    assert state(kernel, sitting) == SittingState.READY

""""Not me": what is said on the page, what goes, and what it changes for the headshots that are made afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import select

from batch.models import Employee, Headshot, NotMe, Purpose, Sitting, SittingState
from batch.photos import photos, rejections
from batch.sittings import headshots, narrowing, resemblance, sittings
from compliance.models import Hold
from compliance.retention import retention
from compliance.rights import reading
from gpu_cluster.cluster import claiming, scheduling
from gpu_cluster.engine.orders import Order, Outcome, PersonOrder, Picture
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.store.objects import person_path
from tenants import looks
from tenants.models import CUTOUT
from tests.dashboard.markup import get
from tests.factories import begin_held, give_consent, make_employee, run_jobs, sign_in_employee
from tests.handed_in import make_headshots, make_person, picture

MODEL = "portrait-small"


@pytest.mark.parametrize(
    ("rejected", "accepted", "bar"),
    [
        ([], [], 0.0),
        ([], [0.8], 0.0),
        ([0.74], [], 0.775),
        ([0.74, 0.78, 0.71], [], 0.815),
        # What they accepted would pass again.
        ([0.74], [0.75], 0.75),
        ([0.74], [0.86, 0.9], 0.775),
        # They see what the measure does not: what it found liker than one that they accepted raises nothing.
        ([0.88], [0.8], 0.0),
        ([0.88, 0.74], [0.8], 0.775),
        # No higher than people's own photographs reach.
        ([0.89], [], resemblance.HIGHEST),
        ([1.3], [], resemblance.HIGHEST),
    ],
)
def test_the_bar_lies_above_what_was_rejected_and_refuses_nothing_that_was_accepted(
    rejected: list[float], accepted: list[float], bar: float
) -> None:
    assert resemblance.least_ratio(rejected, accepted) == pytest.approx(bar)
    assert all(ratio >= resemblance.least_ratio(rejected, accepted) for ratio in accepted)


def with_ratios(kernel: Kernel, person: Employee, *ratios: float) -> list[Headshot]:
    made = make_headshots(kernel, person, len(ratios))
    with kernel.db.transaction(person.tenant_id) as session:
        for headshot, ratio in zip(made, ratios, strict=True):
            headshot.likeness_ratio = ratio
            session.add(headshot)
    return made


def claimed(kernel: Kernel, *people: Employee) -> dict[UUID, tuple[Order, PersonOrder]]:
    """These people as the cluster takes them, each with the order; whoever else waits is let go."""
    found: dict[UUID, tuple[Order, PersonOrder]] = {}
    with_base = replace(kernel, settings=kernel.settings.model_copy(update={"recipe": MODEL}))
    while (order := claiming.take(with_base, [], utc_now() + timedelta(minutes=1), portraits=False)) is not None:
        found |= {one.employee: (order, one) for one in order.people}
    return {person.id: found[person.id] for person in people}


def drawn(kernel: Kernel, person: Employee, ratios: Sequence[float]) -> list[Picture]:
    """Sealed pictures, as a studio leaves them."""
    key = kernel.keys.open_or_create(KeyRef(person.tenant_id, person.id, KeyClass.HEADSHOT))
    with kernel.db.transaction(person.tenant_id) as session:
        look = looks.list_looks(session)[0].id
    made = []
    for number, ratio in enumerate(ratios):
        path = person_path(person.tenant_id, person.id, KeyClass.HEADSHOT, uuid4())
        made.append(Picture(look, number, path, kernel.objects.put(path, picture(number), key), ratio))
    return made


def test_what_is_said_not_to_be_them_is_gone_and_raises_their_own_bar_alone(
    client: TestClient[Any], kernel: Kernel
) -> None:
    alice, stranger = make_person(kernel), make_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        colleague = make_employee(session, kernel)
        give_consent(session, kernel, colleague)
    unlike, good, best = with_ratios(kernel, alice, 0.74, 0.8, 0.95)
    theirs, other = with_ratios(kernel, stranger, 0.74)[0], with_ratios(kernel, colleague, 0.74)[0]
    sign_in_employee(client, kernel, alice)
    assert get(client, "/visit/headshots").count("Not me?") == 3
    assert "has to be more like you than this one, by our measure" in get(client, f"/visit/headshots/{unlike.id}")
    assert "cannot surely keep others like it away" in get(client, f"/visit/headshots/{best.id}")
    for foreign in (theirs, other):
        assert client.post(f"/visit/headshots/{foreign.id}/not-me").status_code == 404
    client.post("/visit/hand-over", data={"headshots": f"{unlike.id} {good.id}"})

    gone = client.post(f"/visit/headshots/{unlike.id}/not-me", follow_redirects=False)
    assert gone.headers["location"] == "/visit/headshots"
    begin_held(kernel, alice.tenant_id)
    page = get(client, "/visit/headshots")
    assert str(unlike.id) not in page
    assert "You said of 1 headshot that it is not you: it is deleted. What is made from now on has to be more" in page
    assert "You said that a headshot is not you" in get(client, "/visit/face")
    for path in (f"/visit/headshots/{unlike.id}/not-me", f"/visit/headshots/{unlike.id}/release"):
        assert client.post(path).status_code == 404
    assert client.post("/visit/hand-over", data={"headshots": str(unlike.id)}).status_code == 404
    assert not kernel.objects.exists(unlike.path)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [one.headshot.id for one in headshots.released(session, alice.batch_id, utc_now())] == [good.id]
        kept = reading.everything(session, kernel, alice).records["not_me"]
        assert [one["likeness_ratio"] for one in kept] == [0.74]
        assert reading.everything(session, kernel, colleague).records["not_me"] == []

    # What is made next: the order carries her bar, and nobody else's carries one.
    client.post("/visit/reshoot")
    for person in (colleague, stranger):
        with kernel.db.transaction(person.tenant_id) as session:
            sittings.reshoot(session, person.id, utc_now())
    orders = claimed(kernel, alice, colleague, stranger)
    assert {person: one.least_ratio for person, (_, one) in orders.items()} == {
        alice.id: pytest.approx(0.775), colleague.id: 0.0, stranger.id: 0.0,
    }  # fmt: skip
    # While it was made she rejected another, and what is as unlike as that is not shown any more.
    assert client.post(f"/api/v1/visit/headshots/{good.id}/not-me").status_code == 204
    begin_held(kernel, alice.tenant_id)
    for person in (alice, colleague):
        order, one = orders[person.id]
        made = drawn(kernel, person, [0.77, 0.81, 0.9])
        scheduling.settle(kernel, order, one, Outcome(one.sitting, pictures=made, made=3, passed=3))
        with kernel.db.transaction(person.tenant_id) as session:
            shown = [shot.likeness_ratio for shot in headshots.of(session, person.id, utc_now())]
        assert shown == ([0.9, 0.95] if person is alice else [0.9, 0.81, 0.77, 0.74])
        assert [kernel.objects.exists(shot.path) for shot in made] == [person is colleague] * 2 + [True]


@pytest.mark.parametrize("by", ["page", "program"])
def test_a_tap_in_the_wrong_place_is_undone_within_ten_seconds(
    client: TestClient[Any], kernel: Kernel, by: str
) -> None:
    alice, stranger = make_person(kernel), make_person(kernel)
    shot, other = with_ratios(kernel, alice, 0.74, 0.8)
    theirs = with_ratios(kernel, stranger, 0.74)[0]
    at = f"/visit/headshots/{shot.id}"

    def say(one: Headshot) -> int:
        path = f"/visit/headshots/{one.id}/not-me"
        return client.post(path if by == "page" else f"/api/v1{path}", follow_redirects=False).status_code

    def keep(one: Headshot) -> int:
        path = f"/visit/headshots/{one.id}"
        if by == "page":
            return client.post(f"{path}/keep", follow_redirects=False).status_code
        return client.delete(f"/api/v1{path}/not-me").status_code

    sign_in_employee(client, kernel, stranger)
    say(theirs)
    sign_in_employee(client, kernel, alice)
    client.post("/visit/hand-over", data={"headshots": str(shot.id)})
    assert "You can undo it for ten seconds." in get(client, at)
    assert keep(shot) == 410, "nothing to undo"
    for _ in range(2):
        assert say(shot) == (303 if by == "page" else 204)
        assert say(shot) == 404, "it is not shown any more"
        page = get(client, "/visit/headshots")
        assert f'src="/api/v1{at}/picture"' not in page
        assert "It goes in a few seconds; until then you can keep it." in page
        assert "Nothing released yet." in page, "what goes is not counted"
        part = client.get("/visit/headshots", headers={"hx-request": "true", "hx-target": "leaving"}).text
        assert part.strip().startswith('<div id="leaving"')
        assert "you can keep it" in part
        assert [one["id"] for one in client.get("/api/v1/visit/headshots").json()] == [str(other.id)]
        assert keep(theirs) == 410
        assert keep(shot) == (303 if by == "page" else 204)
        assert keep(shot) == 410
    begin_held(kernel, alice.tenant_id)
    page = get(client, "/visit/headshots")
    assert f'src="/api/v1{at}/picture"' in page
    assert "you can keep it" not in page
    assert "You kept a headshot after all" in get(client, "/visit/face")
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [one.headshot_id for one in headshots.releases(session, alice.id)] == [shot.id], "it was never taken back"
        assert resemblance.bar(session, alice.id) == 0.0
    say(shot)
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("update job set due = now() where finished_at is null"))
    assert keep(shot) == 410
    page = get(client, "/visit/headshots")
    assert "you can keep it" not in page
    assert f'src="/api/v1{at}/picture"' not in page, "it stays away while its deletion waits for a worker"
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert headshots.releases(session, alice.id) == []
    begin_held(kernel, stranger.tenant_id)
    with kernel.db.transaction(stranger.tenant_id) as session:
        assert headshots.of(session, stranger.id, utc_now()) == []


def test_what_is_said_while_a_result_is_written_counts_for_it(kernel: Kernel) -> None:
    person, stranger = make_person(kernel), make_person(kernel)
    (unlike,), _ = with_ratios(kernel, person, 0.74), with_ratios(kernel, stranger, 0.74)
    for one in (person, stranger):
        with kernel.db.transaction(one.tenant_id) as session:
            sittings.reshoot(session, one.id, utc_now())
    orders = claimed(kernel, person, stranger)
    outcomes = {}
    for one in (person, stranger):
        claim = orders[one.id][1]
        outcomes[one.id] = Outcome(claim.sitting, pictures=drawn(kernel, one, [0.75, 0.9]), made=2, passed=2)
    with ThreadPoolExecutor(1) as pool:
        with kernel.db.transaction(person.tenant_id) as session:
            resemblance.reject(session, kernel.objects, kernel.keys, person.id, unlike.id, utc_now())
            written = pool.submit(scheduling.settle, kernel, *orders[person.id], outcomes[person.id])
            with kernel.db.engine.connect() as looking:
                while not looking.execute(text("select 1 from pg_stat_activity where wait_event_type = 'Lock'")).all():
                    assert not written.done(), "it did not wait"
                    looking.rollback()
        written.result()
    scheduling.settle(kernel, *orders[stranger.id], outcomes[stranger.id])
    for one, ratios in ((person, [0.9]), (stranger, [0.9, 0.75, 0.74])):
        with kernel.db.transaction(one.tenant_id) as session:
            assert [shot.likeness_ratio for shot in headshots.of(session, one.id, utc_now())] == ratios


def test_where_nothing_is_left_of_what_was_made_the_person_is_told_and_the_old_set_stays(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person = make_person(kernel)
    one, two = with_ratios(kernel, person, 0.85, 0.72)
    sign_in_employee(client, kernel, person)
    client.post("/visit/reshoot")
    order, claim = claimed(kernel, person)[person.id]
    client.post(f"/visit/headshots/{one.id}/not-me")
    begin_held(kernel, person.tenant_id)
    made = drawn(kernel, person, [0.8, 0.86])
    scheduling.settle(kernel, order, claim, Outcome(claim.sitting, pictures=made, made=2, passed=2))
    page = get(client, "/visit/making")
    assert "you said of headshots as little like you that they are not you" in page
    assert not any(kernel.objects.exists(shot.path) for shot in made)
    with kernel.db.transaction(person.tenant_id) as session:
        newest = sittings.latest_of(session, person.id)
        assert newest is not None
        assert newest.state == SittingState.FAILED
        old = session.exec(select(Headshot.id).where(Headshot.employee_id == person.id)).all()
    assert old == [two.id]


def test_whoever_rejects_them_all_is_told_so_and_led_to_new_ones(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    (only,) = with_ratios(kernel, person, 0.8)
    sign_in_employee(client, kernel, person)
    client.post(f"/visit/headshots/{only.id}/not-me")
    begin_held(kernel, person.tenant_id)
    assert "You deleted them, or their time was up" in get(client, "/visit/headshots")
    for path in ("/visit/photos", "/visit/making"):
        page = get(client, path)
        assert "No headshot is left: have them made again" in page
        assert "Your headshots are ready" not in page
    assert client.post("/visit/reshoot", follow_redirects=False).headers["location"] == "/visit/making"


def test_a_portrait_goes_with_its_photo_and_its_siblings(client: TestClient[Any], kernel: Kernel) -> None:
    person, stranger = (make_person(kernel, recipes=[MODEL, CUTOUT]) for _ in range(2))
    first, second, third = make_headshots(kernel, person)
    theirs = make_headshots(kernel, stranger, 1)
    with kernel.db.transaction(person.tenant_id) as session:
        cut_from, other = photos.of(session, person.id)[:2]
        for headshot, photo in ((first, cut_from), (second, cut_from), (third, other)):
            headshot.likeness_ratio, headshot.photo_id = None, photo.id
            session.add(headshot)
    sign_in_employee(client, kernel, person)
    page = get(client, f"/visit/headshots/{first.id}")
    assert "Your photo that it was cut from is deleted with it" in page
    assert "So is 1 other portrait of that photo." in page
    assert "by our measure" not in page, "a studio portrait is compared with nothing"
    client.post(f"/visit/headshots/{first.id}/not-me")
    page = get(client, "/visit/headshots")
    assert [str(shot.id) in page for shot in (second, third)] == [False, True], "what goes with it is not shown either"
    begin_held(kernel, person.tenant_id)
    with kernel.db.transaction(person.tenant_id) as session:
        assert [shot.id for shot in headshots.of(session, person.id, utc_now())] == [third.id]
        assert cut_from.id not in {photo.id for photo in photos.of(session, person.id)}
        assert resemblance.bar(session, person.id) == 0.0
        assert session.exec(select(NotMe).where(NotMe.employee_id == person.id)).all() == []
    assert not kernel.objects.exists(cut_from.path)
    assert kernel.objects.exists(other.path)
    with kernel.db.transaction(stranger.tenant_id) as session:
        assert [shot.id for shot in headshots.of(session, stranger.id, utc_now())] == [theirs[0].id]


def test_what_was_said_goes_with_what_the_headshots_were_made_for(kernel: Kernel) -> None:
    person, stranger = (make_person(kernel, recipes=[MODEL, CUTOUT]) for _ in range(2))
    for one in (person, stranger):
        shot = with_ratios(kernel, one, 0.8, 0.9)[0]
        with kernel.db.transaction(one.tenant_id) as session:
            resemblance.reject(session, kernel.objects, kernel.keys, one.id, shot.id, utc_now())
            assert session.exec(select(Sitting.recipe).where(Sitting.employee_id == one.id)).one() == MODEL
    with kernel.db.transaction(person.tenant_id) as session:
        assert resemblance.bar(session, person.id) == pytest.approx(0.835)
        assert narrowing.withdraw_one(session, person.id, Purpose.HEADSHOTS, utc_now())
        assert resemblance.bar(session, person.id) == 0.0
    with kernel.db.transaction(stranger.tenant_id) as session:
        assert resemblance.bar(session, stranger.id) == pytest.approx(0.835)


def test_under_a_hold_what_was_said_is_kept_and_counts_for_nothing(kernel: Kernel) -> None:
    held, free = (make_person(kernel, recipes=[MODEL, CUTOUT]) for _ in range(2))
    numbers = {}
    for one in (held, free):
        shot = with_ratios(kernel, one, 0.8, 0.9)[0]
        with kernel.db.transaction(one.tenant_id) as session:
            resemblance.reject(session, kernel.objects, kernel.keys, one.id, shot.id, utc_now())
            if one is held:
                session.add(hold := hold_on(one))
            assert narrowing.withdraw_one(session, one.id, Purpose.HEADSHOTS, utc_now())
            assert resemblance.bar(session, one.id) == 0.0
            numbers[one.id] = session.exec(select(NotMe.likeness_ratio).where(NotMe.employee_id == one.id)).all()
    assert numbers == {held.id: [0.8], free.id: []}
    resemblance.forget_ended(kernel, utc_now())
    with kernel.db.transaction(held.tenant_id) as session:
        (kept,) = reading.everything(session, kernel, held).records["not_me"]
        assert kept["ended_at"], "the person reads that it counts no more"
        session.exec(select(Hold).where(Hold.id == hold.id)).one().lifted_at = utc_now()
    resemblance.forget_ended(kernel, utc_now())
    with kernel.db.transaction(held.tenant_id) as session:
        assert session.exec(select(NotMe).where(NotMe.employee_id == held.id)).all() == []


def hold_on(person: Employee) -> Hold:
    return Hold(tenant_id=person.tenant_id, employee_id=person.id, placed_by=uuid4(), confirmed_by=uuid4(),
                unsealed_reference="12 O 34/26", unsealed_reason="x", confirmed_at=utc_now(),
                expires_at=utc_now() + timedelta(days=40))  # fmt: skip


def test_under_a_hold_the_page_says_what_is_kept_and_it_goes_when_the_hold_ends(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, stranger = make_person(kernel), make_person(kernel)
    unlike, other = with_ratios(kernel, person, 0.74, 0.8)
    theirs = with_ratios(kernel, stranger, 0.74)[0]
    with kernel.db.transaction(person.tenant_id) as session:
        session.add(hold := hold_on(person))
    sign_in_employee(client, kernel, person)
    page = get(client, f"/visit/headshots/{unlike.id}")
    assert page.count("ou never see it again: it is used for nothing else, and deleted when the legal hold ends.") == 2
    assert "deleted for good" not in page
    client.post(f"/visit/headshots/{unlike.id}/not-me")
    begin_held(kernel, person.tenant_id)
    page = get(client, "/visit/headshots")
    assert str(unlike.id) not in page
    assert "it is not you: it is not shown any more. What a legal hold keeps is used for nothing else" in page
    assert "it is deleted" not in page
    assert "You said that a headshot is not you, and it is not shown any more" in get(client, "/visit/face")
    assert client.post("/visit/hand-over", data={"headshots": str(unlike.id)}).status_code == 404
    retention.delete_due(kernel, person.tenant_id, utc_now())
    assert kernel.objects.exists(unlike.path), "the hold keeps it"
    with kernel.db.transaction(person.tenant_id) as session:
        assert [shot.id for shot in headshots.of(session, person.id, utc_now())] == [other.id]
        session.exec(select(Hold).where(Hold.id == hold.id)).one().lifted_at = utc_now()
    retention.delete_due(kernel, person.tenant_id, utc_now())
    assert not kernel.objects.exists(unlike.path)
    sign_in_employee(client, kernel, stranger)
    assert get(client, f"/visit/headshots/{theirs.id}").count("deleted for good") == 2


def test_how_often_it_is_said_is_published_of_months_that_are_over_and_had_many(
    client: TestClient[Any], kernel: Kernel
) -> None:
    """From what changes between two looks at the page nobody reads who said it."""
    person, stranger = make_person(kernel), make_person(kernel)
    shots = make_headshots(kernel, person)
    sign_in_employee(client, kernel, person)
    now, at, many = utc_now(), f"/retention/{person.tenant_id}", rejections.LEAST_HEADSHOTS
    before, long_before = now - timedelta(days=31), now - timedelta(days=95)
    with kernel.db.transaction(person.tenant_id) as session:
        rejections.count(session, rejections.CHECKED, now, rejections.LEAST)
        rejections.count(session, rejections.SHOWN, now, many)
        rejections.count(session, rejections.SHOWN, before, many - 1)
        rejections.count(session, rejections.NOT_ME, before, 7)
    client.post(f"/visit/headshots/{shots[0].id}/not-me")
    begin_held(kernel, person.tenant_id)
    assert "headshots that were made and shown" not in get(client, at), "one month goes on, and one had too few"
    with kernel.db.transaction(person.tenant_id) as session:
        rejections.count(session, rejections.SHOWN, before)
        rejections.count(session, rejections.SHOWN, long_before, many - 1)
        rejections.count(session, rejections.NOT_ME, long_before)
        tally = rejections.of_company(session, now)
    assert (tally.shown, tally.not_me, tally.refused) == (many, 7, {})
    said = f"Of {many} headshots that were made and shown to people, they said of 7 that they are not them."
    assert said in get(client, at)
    assert "headshots that were made and shown" not in get(client, f"/retention/{stranger.tenant_id}")
    assert rejections.everywhere(kernel, now).not_me >= 7

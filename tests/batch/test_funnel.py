from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import product
from statistics import median
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, text

from batch.models import Photo, PhotoState, Purpose, Sitting, SittingState
from batch.people import employees, funnel
from batch.people.funnel import FunnelLine, Stage
from batch.people.queries import PLACED
from batch.roster import batches
from batch.visit import consents, invitations, notices
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants.models import CUTOUT
from tests.factories import give_consent, make_batch, make_employee, make_tenant

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
INVITED = {"invited_at": NOW - DAY, "expires_at": NOW + DAY}


def facts(**changes: Any) -> SimpleNamespace:
    names = (
        "opted_out_at revoked_at invited_at expires_at delivered_at opened_at bounced_at given_at first_at state changed_at"
        " released_at downloaded_at"
    )
    return SimpleNamespace(created_at=NOW - 2 * DAY, **(dict.fromkeys(names.split()) | changes))


@pytest.mark.parametrize(
    ("changes", "stage"),
    [
        ({}, Stage.ADDED),
        (INVITED, Stage.INVITED),
        (INVITED | {"delivered_at": NOW}, Stage.DELIVERED),
        (INVITED | {"delivered_at": NOW, "opened_at": NOW}, Stage.OPENED),
        (INVITED | {"bounced_at": NOW}, Stage.BOUNCED),
        (INVITED | {"expires_at": NOW}, Stage.OPTED_OUT),
        (INVITED | {"expires_at": NOW, "opened_at": NOW}, Stage.OPTED_OUT),
        (INVITED | {"expires_at": NOW, "given_at": NOW}, Stage.CONSENTED),
        (INVITED | {"given_at": NOW, "first_at": NOW}, Stage.UPLOADING),
        ({"state": "ready", "changed_at": NOW}, Stage.QUEUED),
        ({"state": "ready", "changed_at": NOW - timedelta(hours=25)}, Stage.STUCK),
        ({"state": "training", "changed_at": NOW}, Stage.TRAINING),
        ({"state": "training", "changed_at": NOW - timedelta(hours=2)}, Stage.STUCK),
        ({"state": "rendering", "changed_at": NOW}, Stage.RENDERING),
        ({"state": "done", "changed_at": NOW - 9 * DAY}, Stage.READY),
        ({"state": "failed", "changed_at": NOW - 9 * DAY}, Stage.FAILED),
        ({"state": "cancelled", "changed_at": NOW, "first_at": NOW}, Stage.UPLOADING),
        ({"state": "done", "changed_at": NOW, "released_at": NOW}, Stage.CHOSEN),
        ({"state": "done", "changed_at": NOW, "released_at": NOW, "downloaded_at": NOW}, Stage.EXPORTED),
        ({"state": "done", "changed_at": NOW, "released_at": NOW, "opted_out_at": NOW}, Stage.OPTED_OUT),
        ({"opted_out_at": NOW - DAY, "revoked_at": NOW}, Stage.ADDED),
    ],
)
def test_the_stage_is_what_happened_last(changes: dict[str, Any], stage: Stage) -> None:
    assert funnel.place(facts(**changes), NOW)[0] == stage


def test_the_database_places_people_as_the_program_does(kernel: Kernel) -> None:
    """Every combination of what can have happened to somebody, each fact late and early."""
    moments = (None, NOW - 30 * DAY, NOW - timedelta(minutes=5))
    names = ("opted_out_at", "delivered_at", "opened_at", "bounced_at", "given_at", "first_at", "released_at")
    combinations = [
        facts(
            **dict(zip(names, chosen, strict=True)), invited_at=moments[1] if ends else None, expires_at=ends,
            state=state, changed_at=state and changed, downloaded_at=chosen[-1] and downloaded, revoked_at=revoked,
        )
        for chosen in product((None, moments[1]), repeat=len(names))
        for ends, revoked in (
            (None, None), (None, moments[1]), (NOW - DAY, moments[1]), (NOW, None), (NOW + DAY, None))
        for state in (None, *SittingState)
        for changed, downloaded in ((moments[2], None), (moments[1], moments[2]))
    ]  # fmt: skip
    columns = ("created_at", "revoked_at", "invited_at", "expires_at", *names, "state", "changed_at", "downloaded_at")
    lists = {name: [getattr(one, name) for one in combinations] for name in columns}
    types = {name: "text[]" if name == "state" else "timestamptz[]" for name in columns}
    unnested = ", ".join(f"cast(:{name} as {kind})" for name, kind in types.items())
    query = text(
        f"with facts as (select * from unnest({unnested}) with ordinality as f({', '.join(columns)}, number))"
        f" select stage, since from ({PLACED}) placed order by number"
    )
    about = {"now": NOW, "queued_too_long": funnel.QUEUED_TOO_LONG, "step_too_long": funnel.STEP_TOO_LONG}
    with kernel.db.engine.connect() as connection:
        placed = [(one.stage, one.since) for one in connection.execute(query, lists | about)]
    assert len(placed) == len(combinations) > 4_000
    assert placed == [(str(stage), since) for stage, since in (funnel.place(one, NOW) for one in combinations)]


def test_a_page_a_tally_and_those_in_need_are_what_the_whole_list_says(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        people = [make_employee(session, kernel, batch=batch) for _ in range(11)]
        make_employee(session, kernel)
        for number, one in enumerate(people):
            one.row = 2 + number // 3  # Rows are not unique: a person of a later file may have the same.
            if number % 2:
                invitations.invite(session, one, utc_now() - timedelta(days=number))
        for one in people[:3]:
            session.add(Sitting(tenant_id=tenant, employee_id=one.id, state=SittingState.FAILED, seed=1))
    now = utc_now()
    with kernel.db.transaction(tenant) as session:
        everybody = funnel.lines(session, now, batch_id=batch.id)
        paged: list[FunnelLine] = []
        while part := funnel.page(
            session, now, batch.id, 4, after=(paged[-1].row, paged[-1].roster_id) if paged else None
        ):
            paged += part
        assert paged == everybody
        assert funnel.page(session, now, batch.id, 4, skip=8) == everybody[8:]
        invited = [one for one in everybody if one.stage == Stage.INVITED]
        assert len(invited) > 3
        assert funnel.page(session, now, batch.id, 50, stage=Stage.INVITED) == invited
        assert funnel.page(session, now, batch.id, 2, skip=1, stage=Stage.INVITED) == invited[1:3]
        tallies = {one.stage: one for one in funnel.tallies(session, now, batch_id=batch.id)}
        assert {stage: one.people for stage, one in tallies.items()} == {
            stage: count for stage, count in Counter(one.stage for one in everybody).items()
        }
        for stage, tally in tallies.items():
            ages = [now - one.since for one in everybody if one.stage == stage and one.since]
            # The database rounds half a microsecond to the other side.
            assert tally.age
            assert abs(tally.age.median - median(ages)) < timedelta(milliseconds=1)
            assert abs(tally.age.oldest - max(ages)) < timedelta(milliseconds=1)
        assert sum(one.people for one in funnel.tallies(session, now)) == 12
        assert funnel.in_need(session, now, batch_id=batch.id) == funnel.attention(everybody, now) == everybody[:3]
        assert {stage: set(tally.needy) for stage, tally in tallies.items() if tally.needy} == {
            Stage.FAILED: {one.employee_id for one in everybody[:3]}
        }
    with kernel.db.transaction(other) as session:
        assert funnel.page(session, now, batch.id, 50) == funnel.tallies(session, now, batch_id=batch.id) == []
        assert funnel.in_need(session, now, batch_id=batch.id) == []


def test_every_state_of_a_sitting_has_a_stage() -> None:
    for state in SittingState:
        funnel.place(facts(state=state, changed_at=NOW), NOW)


def line(stage: Stage, age: timedelta = timedelta(), photos: int = 0, enough: int = 6) -> FunnelLine:
    return FunnelLine(uuid4(), uuid4(), uuid4(), 2, stage, NOW - age, photos, enough, None)


def test_those_who_need_help() -> None:
    lines = [
        line(Stage.UPLOADING, 4 * DAY, 3),
        line(Stage.UPLOADING, 4 * DAY, 6),
        line(Stage.UPLOADING, DAY, 1),
        line(Stage.UPLOADING, 4 * DAY, 3, enough=3),
        line(Stage.BOUNCED),
        line(Stage.STUCK),
        line(Stage.FAILED),
        line(Stage.OPTED_OUT, 9 * DAY),
    ]
    assert funnel.attention(lines, NOW) == [lines[0], *lines[4:7]]


def test_the_stages_of_a_real_roster_sum_to_it_in_two_queries(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        people = [make_employee(session, kernel, batch=batch) for _ in range(7)]
        for one in people[1:]:
            invitations.invite(session, one, utc_now())
        for one in people[2:]:
            given = give_consent(session, kernel, one)
            if one in people[3:]:
                photo = Photo(
                    tenant_id=tenant, employee_id=one.id, consent_id=given[0].id, path=f"x{one.id}", digest="d",
                    due_at=utc_now(), state=PhotoState.ACCEPTED,
                )  # fmt: skip
                session.add(photo)
        for one, state in zip(people[4:], (SittingState.READY, SittingState.DONE, SittingState.DONE), strict=True):
            session.add(Sitting(tenant_id=tenant, employee_id=one.id, state=state, seed=1))
        session.flush()
        consents.withdraw(session, people[6].id, utc_now())
    with kernel.db.transaction(tenant) as session:
        asked: list[str] = []
        event.listen(kernel.db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
        stages = {stage: count for stage, count in batches.funnel(session, batch.id, utc_now()).items() if count}
        assert len(asked) == 2
        assert stages == {
            Stage.ADDED: 1,
            # One of them withdrew: until the invitation ends, that looks like no answer.
            Stage.INVITED: 2,
            Stage.CONSENTED: 1,
            Stage.UPLOADING: 1,
            Stage.QUEUED: 1,
            Stage.READY: 1,
        }
        assert [employees.stage(session, one.id) for one in people[:2]] == [Stage.ADDED, Stage.INVITED]
    with kernel.db.transaction(other) as session:
        assert funnel.lines(session, utc_now()) == []
        assert funnel.lines(session, utc_now(), batch_id=batch.id) == []
        with pytest.raises(employees.EmployeeMissing):
            employees.stage(session, people[0].id)


def test_what_is_enough_depends_on_the_way_that_each_agreed_to(kernel: Kernel) -> None:
    tenant, long_ago = make_tenant(kernel, recipes=["sdxl", CUTOUT]), utc_now() - 9 * DAY
    people, agreed = [], [(Purpose.PORTRAIT,), (Purpose.HEADSHOTS,), (Purpose.HEADSHOTS, Purpose.PORTRAIT)]
    with kernel.db.transaction(tenant) as session:
        notice = notices.current(session, "en")
        for purposes in agreed:
            one = make_employee(session, kernel)
            people.append(one.id)
            given = consents.give(
                session, kernel.keys, one.id, [*purposes, Purpose.BIOMETRIC], notice.id, "Nadia Ümit", long_ago
            )
            for number in range(3):
                session.add(
                    Photo(
                        tenant_id=tenant, employee_id=one.id, consent_id=given[0].id, path=f"{one.id}/{number}",
                        digest=str(number), due_at=long_ago + 7 * DAY, created_at=long_ago, state=PhotoState.ACCEPTED,
                    )
                )  # fmt: skip
    with kernel.db.transaction(tenant) as session:
        lines = {line.employee_id: line for line in funnel.lines(session, utc_now())}
        assert [lines[one].enough for one in people] == [3, 6, 3]
        now = utc_now()
        assert funnel.in_need(session, now) == funnel.attention(lines.values(), now) == [lines[people[1]]]
        assert [one for tally in funnel.tallies(session, now) for one in tally.needy] == [people[1]]

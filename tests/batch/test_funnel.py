from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from batch import batches, consents, employees, funnel, invitations
from batch.funnel import Line, Stage
from batch.models import Photo, PhotoState, Sitting, SittingState
from likeness.db import utc_now
from likeness.kernel import Kernel
from tests.factories import give_consent, make_batch, make_employee, make_tenant

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
INVITED = {"invited_at": NOW - DAY, "expires_at": NOW + DAY}


def facts(**changes: Any) -> SimpleNamespace:
    names = (
        "opted_out_at invited_at expires_at delivered_at opened_at bounced_at given_at first_at state changed_at"
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
        ({"state": "judging", "changed_at": NOW}, Stage.IN_REVIEW),
        ({"state": "done", "changed_at": NOW - 9 * DAY}, Stage.READY),
        ({"state": "failed", "changed_at": NOW - 9 * DAY}, Stage.FAILED),
        ({"state": "cancelled", "changed_at": NOW, "first_at": NOW}, Stage.UPLOADING),
        ({"state": "done", "changed_at": NOW, "released_at": NOW}, Stage.CHOSEN),
        ({"state": "done", "changed_at": NOW, "released_at": NOW, "downloaded_at": NOW}, Stage.EXPORTED),
        ({"state": "done", "changed_at": NOW, "released_at": NOW, "opted_out_at": NOW}, Stage.OPTED_OUT),
    ],
)
def test_the_stage_is_what_happened_last(changes: dict[str, Any], stage: Stage) -> None:
    assert funnel.place(facts(**changes), NOW)[0] == stage


def test_every_state_of_a_sitting_has_a_stage() -> None:
    for state in SittingState:
        funnel.place(facts(state=state, changed_at=NOW), NOW)


def line(stage: Stage, age: timedelta = timedelta(), photos: int = 0) -> Line:
    return Line(uuid4(), uuid4(), 2, stage, NOW - age, photos, None)


def test_ages_and_those_who_need_help() -> None:
    lines = [
        line(Stage.UPLOADING, 4 * DAY, 3),
        line(Stage.UPLOADING, 4 * DAY, 6),
        line(Stage.UPLOADING, DAY, 1),
        line(Stage.BOUNCED),
        line(Stage.STUCK),
        line(Stage.FAILED),
        line(Stage.OPTED_OUT, 9 * DAY),
    ]
    assert funnel.attention(lines, NOW) == [lines[0], *lines[3:6]]
    age = funnel.ages(lines, NOW)[Stage.UPLOADING]
    assert (age.median, age.oldest) == (4 * DAY, 4 * DAY)
    assert sum(funnel.counts(lines).values()) == len(lines)


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

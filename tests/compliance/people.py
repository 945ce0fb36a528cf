"""Somebody with everything a person can have, and a colleague of the same company who stays."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlmodel import Session, SQLModel

import batch.sittings.runs  # noqa: F401 - the neighbour's tables, as every process of the product knows them
from batch.models import Employee, Sitting
from batch.photos import photos
from batch.sittings import headshots
from compliance import stores
from compliance.desk import deleting, leaving
from compliance.erasure import erasures
from compliance.models import Departure, Erasure, Trigger
from likeness.ground.db import utc_now
from likeness.identity import Kind, make_link, start_session
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.store.objects import person_path
from tenants import tenants
from tests.factories import give_consent, make_employee, run_jobs
from tests.handed_in import make_headshots, make_person

AFTER_THE_PAUSE = leaving.PAUSE + timedelta(hours=1)


def full_person(kernel: Kernel) -> Employee:
    """Photos, a sitting, headshots one of which is released, weights, a session, a link, mails."""
    return fill(kernel, make_person(kernel))


def colleague_of(kernel: Kernel, person: Employee) -> Employee:
    with kernel.db.transaction(person.tenant_id) as session:
        colleague = make_employee(session, kernel, full_name="Bo Linde")
        give_consent(session, kernel, colleague)
    return fill(kernel, colleague)


def fill(kernel: Kernel, person: Employee) -> Employee:
    made = make_headshots(kernel, person, 2)
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [made[0].id], utc_now())
        start_session(session, Kind.EMPLOYEE, person.id, utc_now())
        make_link(session, Kind.EMPLOYEE, person.id, utc_now())
    make_weights(kernel, person)
    return person


def make_weights(kernel: Kernel, person: Employee) -> str:
    key = kernel.keys.open_or_create(KeyRef(person.tenant_id, person.id, KeyClass.MODEL))
    path = person_path(person.tenant_id, person.id, KeyClass.MODEL, uuid4())
    size = kernel.objects.put(path, b"lora", key)
    weights = SQLModel.metadata.tables["weights"]
    with kernel.db.transaction(person.tenant_id) as session:
        sitting = session.execute(select(Sitting.id).where(Sitting.employee_id == person.id)).scalars().first()  # type: ignore[arg-type, call-overload]
        due = photos.of(session, person.id)[0].due_at
        session.execute(
            weights.insert().values(
                id=uuid4(), tenant_id=person.tenant_id, employee_id=person.id, sitting_id=sitting, kind="adapter",
                path=path, bytes=size, created_at=utc_now(), due_at=due,
            )
        )  # fmt: skip
    return path


def erase(kernel: Kernel, person: Employee) -> Erasure:
    with kernel.db.transaction(person.tenant_id) as session:
        return erasures.request(
            session, person.id, trigger=Trigger.PERSON, requested_by=f"employee:{person.id}", now=utc_now()
        )


def reread(kernel: Kernel, erasure: Erasure) -> Erasure:
    with kernel.db.transaction(erasure.tenant_id) as session:
        return erasures.get(session, erasure.id)


def rows_naming(session: Session, person: UUID) -> dict[str, int]:
    """By table, counted by the declared columns."""
    found = {}
    for declared in stores.TABLES.values():
        if declared.name in SQLModel.metadata.tables and declared.person:
            where = " or ".join(f"{column}::text like :id" for column in declared.person)
            count = session.execute(
                text(f'select count(*) from "{declared.name}" where {where}'),
                {"id": f"%{person}%"},
            ).scalar_one()
            found[declared.name] = count
    return found


def readable(kernel: Kernel, person: Employee) -> bool:
    """Whether everything of the person that is on record opens."""
    with kernel.db.transaction(person.tenant_id) as session:
        pictures = headshots.of(session, person.id, utc_now())
        selfies = photos.of(session, person.id)
    source = kernel.keys.open(KeyRef(person.tenant_id, person.id, KeyClass.SOURCE))
    return (
        len(pictures) == 2
        and len(selfies) == 6
        and all(headshots.opened(kernel, one) for one in pictures)
        and all(kernel.objects.get(one.path, source) for one in selfies)
    )


def company_leaves(kernel: Kernel, tenant: UUID, owner: UUID) -> tuple[Departure, str]:
    """An owner has the company leave, as the page does it."""
    with kernel.db.transaction(tenant) as session:
        name, going = tenants.get(session).name, leaving.everybody(session, utc_now())
    said = deleting.preview(kernel, going)
    with kernel.db.transaction(tenant) as session:
        return leaving.ask(
            session, kernel, owner, utc_now(), name=name, counted=said.people + said.under_way, said=said, hand_back=False
        )


def gone_on(kernel: Kernel, person: Employee, ahead: timedelta = AFTER_THE_PAUSE) -> None:
    """What sweeps and workers do within the hour after the pause."""
    for _ in range(4):
        with kernel.db.transaction(person.tenant_id) as session:
            leaving._step(session, kernel, utc_now() + ahead)
        run_jobs(kernel, tenant=person.tenant_id)
        with kernel.db.transaction(person.tenant_id) as session:
            session.execute(text("update job set due = now() where due is not null"))
        run_jobs(kernel, tenant=person.tenant_id)


def root_of(point: dict[str, Any]) -> str:
    """As the checkpoint spells it."""
    return b64encode(point["root"]).decode()

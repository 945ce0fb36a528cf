"""HR chooses the three people with whom a batch is tried."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath
from sqlmodel import Session

from batch.models import Employee
from batch.people import employees, funnel
from batch.people.funnel import Stage
from batch.pilots import pilots
from batch.roster import batches, listings, naming, searching, undoing
from dashboard.desk.desk import DESK, Ticks, Tried, show, to_batch
from likeness.ground.db import utc_now
from likeness.ground.errors import Conflict, LikenessError, Unprocessable
from likeness.web.guards import kernel_of, signed_in
from tenants import credits
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.plain import whole_number

OTHERS = 20
"""People shown below the three, for an exchange."""


@get("/desk/batches/{batch_id:uuid}/pilot", sync_to_thread=True, guards=DESK)
def show_pilot(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[str]:
    ticked = list[UUID]()
    with suppress(ValueError):
        ticked = [UUID(one) for one in request.query_params.getall("person", [])[: pilots.SIZE + OTHERS]]
    return _pilot_page(request, batch_id, ticked)


def _pilot_page(
    request: Request[Any, Any, Any], batch_id: UUID, ticked: list[UUID], problem: LikenessError | None = None
) -> Response[str]:
    kernel, now = kernel_of(request), utc_now()
    sought = str(request.query_params.get("q", "")).strip()[:200]
    with desk(request, Permission.PEOPLE_CHANGE) as (session, member):
        batch = batches.get(session, batch_id)
        tried, suggested = pilots.of(session, batch_id, now), pilots.suggested(session, batch_id, now)
        # Whoever came with the address of another page, or was invited meanwhile, is none of the choice.
        lines = [
            line for one in ticked or suggested if (found := _found(session, one)) is not None
            for line in funnel.lines(session, now, employee_id=found.id)
            if line.stage == Stage.ADDED and line.batch_id == batch_id
        ]  # fmt: skip
        chosen = batches.seen(session, kernel.keys, lines)

        taken = {line.id for line in chosen}
        asked = searching.PeopleSearch(sought, (Stage.ADDED,), batch_id=batch_id)
        waiting = [one for _, one in searching.people(session, kernel.keys, asked, now, OTHERS + len(taken))]
        others = [line for line in waiting if line.id not in taken][:OTHERS]
        listings.note(session, [line.id for line in (*chosen, *others)], now, caller=str(signed_in(request)))
        balance = credits.balance(session)
    context = {
        "batch": batch,
        "batch_name": naming.of(kernel.keys, batch),
        "possible": bool(suggested) and not tried.lines,
        "tried": bool(tried.lines),
        "size": pilots.SIZE,
        "balance": balance,
        "rest": tried.rest,
        "chosen": chosen,
        "others": others,
        "sought": sought,
        "created": whole_number(str(request.query_params.get("created", "")), 99_999),
        "problem": problem,
    }
    return show(request, member, "desk/pilot.html", context, problem.status if problem else 200)


def _found(session: Session, one: UUID) -> Employee | None:
    with suppress(employees.EmployeeMissing):
        return employees.on_roster(session, one)
    return None


@post("/desk/batches/{batch_id:uuid}/pilot", sync_to_thread=True, guards=DESK)
def begin_pilot(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: Ticks) -> Response[Any]:
    """Tries it, so that what is promised is what follows, and leaves it to begin in ten seconds."""
    now, caller, people = utc_now(), str(signed_in(request)), list[UUID]()
    try:
        with suppress(Tried), desk(request, Permission.PEOPLE_CHANGE) as (session, _):
            people = [one.roster_id for one in undoing.ticked(session, data.get("person"))]
            pilots.begin(session, batch_id, people, now, caller=caller)
            raise Tried
        with desk(request, Permission.PEOPLE_CHANGE) as (session, member):
            act = pilots.ask(session, batch_id, people, member.id, now, caller=caller)
    except (Conflict, Unprocessable) as problem:
        return _pilot_page(request, batch_id, people, problem)
    return to_batch(batch_id, trying=len(people), act=act)


routes: list[Any] = [show_pilot, begin_pilot]

"""Everybody of a batch is invited, now or at nine of a day, or the open invitations are taken back; each can be undone."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from litestar import Request, Response, post
from litestar.params import FromPath
from sqlmodel import Session

from batch.people import employees
from batch.pilots import pilots
from batch.roster import batches, undoing
from batch.roster.api import TimeRefused, later
from dashboard.desk.desk import DESK, Form, MaybeForm, Tried, act_in, batch_page, to_batch
from likeness.ground.db import utc_now
from likeness.ground.errors import Conflict, Unprocessable
from likeness.web.guards import fresh, kernel_of, signed_in
from tenants import tenants
from tenants.members.access import desk
from tenants.members.permissions import Permission


@post("/desk/batches/{batch_id:uuid}/invite", sync_to_thread=True, guards=DESK)
def invite(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: MaybeForm = None) -> Response[Any]:
    """Everybody of the batch who was not invited yet."""
    return _ask(request, batch_id, "invite", data or {})


@post("/desk/batches/{batch_id:uuid}/revoke", sync_to_thread=True, guards=[*DESK, fresh])
def revoke(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[Any]:
    """Takes back every invitation that nobody has answered yet."""
    return _ask(request, batch_id, "revoke", {})


def _ask(request: Request[Any, Any, Any], batch_id: UUID, act: str, data: dict[str, str]) -> Response[Any]:
    """Tries the act, so that what is promised is what follows, and leaves it to begin in ten seconds."""
    now, caller, count, send_at = utc_now(), str(signed_in(request)), 0, None
    try:
        with suppress(Tried), desk(request, Permission.PEOPLE_CHANGE) as (session, _):
            send_at = _send_at(session, data, now)
            count = undoing.with_batch(session, act, batch_id, now, caller=caller, send_at=send_at)
            raise Tried
        word = "revoking" if act == "revoke" else "inviting_later" if send_at else "inviting"
        if not count:
            return to_batch(batch_id, **{word: 0})
        own = 0
        with desk(request, Permission.PEOPLE_CHANGE) as (session, member):
            held_act = undoing.ask_with_batch(session, act, batch_id, member.id, now, caller=caller, send_at=send_at)
            if send_at:
                own = undoing.by_own_clock_of_batch(session, kernel_of(request).keys, batch_id, send_at, now)
    except (Conflict, Unprocessable) as problem:
        return batch_page(request, batch_id, problem=problem)
    return to_batch(batch_id, **{word: count}, **({"own_clock": own} if own else {}), act=held_act)


def _send_at(session: Session, data: dict[str, str], now: datetime) -> datetime | None:
    """When the mails leave. Raises `TimeRefused`."""
    if data.get("when") not in ("nine", "day"):
        return None
    day = None
    if data["when"] == "day":
        try:
            day = date.fromisoformat(data.get("day", ""))
        except ValueError:
            raise TimeRefused("Choose the day on which the invitations are to leave. Nobody was invited.") from None
    return later(employees.nine(now, tenants.get(session).time_zone, day), now)


@post("/desk/batches/{batch_id:uuid}/take-back", sync_to_thread=True, guards=DESK)
def take_back(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Within ten seconds, by whoever may act on people. Raises `TooLateToTakeBack`."""
    undo = pilots.take_back if "trying" in data else undoing.take_back_with_batch
    with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
        batches.get(session, batch_id)
        act, caller = act_in(data) or uuid4(), str(signed_in(request))
        undo(session, act, batch_id, utc_now(), caller=caller)
    return to_batch(batch_id, taken_back=1)


routes: list[Any] = [invite, revoke, take_back]

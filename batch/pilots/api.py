"""The JSON edge of trying a batch with three people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Request, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from batch.people.funnel import Stage
from batch.pilots import pilots
from batch.roster.api import DESK, Count
from likeness.ground.db import utc_now
from likeness.web.guards import signed_in
from tenants.members.access import desk
from tenants.members.permissions import Permission


@dataclass
class PilotPerson:
    person_id: UUID
    stage: Stage


@dataclass
class PilotShown:
    """How many of the three got how far; who has released is counted as ready and as handed in, too."""

    people: list[PilotPerson]
    """Nobody as long as the batch was not tried."""
    invited: int
    handed_in: int
    ready: int
    released: int
    not_invited: int
    """How many people of the batch are not invited yet."""
    suggested: list[UUID]
    """Three to try it with, of different departments where there are several; nobody once it was tried, nor where at most
    three people are not invited yet."""


class Three(Struct, forbid_unknown_fields=True):
    people: list[UUID]


@get("/batches/{batch_id:uuid}/pilot", guards=DESK, sync_to_thread=True)
def show_pilot(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> PilotShown:
    now = utc_now()
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        pilot = pilots.of(session, batch_id, now)
        return PilotShown(
            people=[PilotPerson(line.roster_id, line.stage) for line in pilot.lines],
            invited=pilot.invited,
            handed_in=pilot.handed_in,
            ready=pilot.ready,
            released=pilot.released,
            not_invited=pilot.rest,
            suggested=[] if pilot.lines else pilots.suggested(session, batch_id, now),
        )


@post("/batches/{batch_id:uuid}/pilot", guards=DESK, status_code=200, sync_to_thread=True)
def begin_pilot(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[Three]) -> Count:
    """Invites these three and nobody else."""
    caller = str(signed_in(request))
    with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
        return Count(pilots.begin(session, batch_id, data.people, utc_now(), caller=caller))


routes: list[Any] = [show_pilot, begin_pilot]

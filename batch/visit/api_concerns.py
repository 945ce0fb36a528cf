"""The JSON edge of what people say is wrong: the person's own messages, and the desk that answers them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from batch.models import Employee
from batch.people import employees
from batch.visit import concerns
from batch.visit.concerns import ReadConcern
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.web.guards import kernel_of, only, signed_in
from likeness.web.paging import ON_A_PAGE, After, Most, Page, Turn
from tenants.members.access import desk
from tenants.members.permissions import Permission

EMPLOYEE = [only(Kind.EMPLOYEE)]
DESK = [only(Kind.MEMBER)]


class NewConcern(Struct, forbid_unknown_fields=True):
    """`desk` is who reads it: HR with the person's name, legal without."""

    desk: Literal["hr", "legal"]
    words: str
    page: str = ""


class Reply(Struct, forbid_unknown_fields=True):
    words: str


@dataclass
class ConcernShown:
    id: UUID
    desk: str
    page: str
    words: str
    asked_at: datetime
    promised_at: datetime
    answered_at: datetime | None
    answer: str


@dataclass
class ConcernRead:
    """As the desk reads it; `name` is empty for legal, which does not learn it here."""

    concern: ConcernShown
    person_id: UUID
    name: str


@get("/visit/concerns", guards=EMPLOYEE, sync_to_thread=True)
def list_own(request: Request[Any, Any, Any]) -> list[ConcernShown]:
    """The person's own, newest first."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        employees.get(session, caller.id)
        return [_shown(one) for one in concerns.of(session, kernel.keys, caller.id)]


@post("/visit/concerns", guards=EMPLOYEE, status_code=201, sync_to_thread=True)
def say_it(request: Request[Any, Any, Any], data: JSONBody[NewConcern]) -> ConcernShown:
    """The answer is promised by `promised_at`."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        employees.speaking(session, caller)
        row = concerns.write(
            session, kernel.keys, caller.id, data.desk, concerns.page_of(data.page), data.words,
            kernel.settings.public_url, utc_now(),
        )  # fmt: skip
        return next(_shown(one) for one in concerns.of(session, kernel.keys, caller.id) if one.row.id == row.id)


@get("/concerns", guards=DESK, sync_to_thread=True)
def list_for_desk(
    request: Request[Any, Any, Any], most: Most = ON_A_PAGE, after: After = ""
) -> Response[list[ConcernRead]]:
    """What the caller's desk was written: open ones first, the soonest due; then the answered ones, newest first. While
    there are more, the header `Link` names the next page."""
    page, keys = Page(Turn, most, after), kernel_of(request).keys
    with desk(request, Permission.CONCERNS_ANSWER) as (session, member):
        here = concerns.desk_of(member)

        def read(found: tuple[ReadConcern, Employee]) -> ConcernRead:
            said, person = found
            if here == "legal":
                return ConcernRead(_shown(said), person.id, "")
            return ConcernRead(_shown(said), person.roster_id, employees.profile(keys, person).full_name)

        found = concerns.for_desk(session, keys, here, page.lines, after=page.after)
        return page.answer(request, found, lambda one: turn(one[0]), read)


def turn(said: ReadConcern) -> Turn:
    row = said.row
    return Turn(row.answered_at is not None, row.answered_at or row.promised_at, row.id)


@post("/concerns/{concern_id:uuid}/answer", guards=DESK, status_code=204, sync_to_thread=True)
def answer(request: Request[Any, Any, Any], concern_id: FromPath[UUID], data: JSONBody[Reply]) -> None:
    """The person gets it by mail and reads it on their page."""
    with desk(request, Permission.CONCERNS_ANSWER) as (session, member):
        concerns.answer(
            session, kernel_of(request).keys, concern_id, concerns.desk_of(member), member.id, data.words, utc_now()
        )


def _shown(said: ReadConcern) -> ConcernShown:
    row = said.row
    return ConcernShown(
        row.id, row.desk, row.page, said.words, row.asked_at, row.promised_at, row.answered_at, said.answer
    )


routes: list[Any] = [list_own, say_it, list_for_desk, answer]

"""What people say is wrong, for the desk that they chose: HR reads it with their name, legal with an id."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect

from batch.people import employees
from batch.visit import concerns
from batch.visit.api_concerns import turn
from dashboard.pages import page, part_of
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError
from likeness.identity import Kind
from likeness.web.guards import kernel_of, only
from likeness.web.paging import Turn
from tenants.members.access import desk
from tenants.members.permissions import Permission

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
ON_A_PAGE = 50


@get("/questions", sync_to_thread=True, guards=DESK)
def show_questions(request: Request[Any, Any, Any]) -> Response[Any]:
    return _page(request)


def _page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[Any]:
    keys, part = kernel_of(request).keys, part_of(request, Turn, ON_A_PAGE)
    with desk(request, Permission.CONCERNS_ANSWER) as (session, member):
        here = concerns.desk_of(member)
        listed = concerns.for_desk(session, keys, here, part.lines, after=part.after)
        found = listed[:ON_A_PAGE]
        names = {
            said.row.id: employees.profile(keys, person).full_name if here == "hr" else str(person.id)
            for said, person in found
        }
    said = [one for one, _ in found]
    context = {
        "roles": member.roles, "problem": problem, "now": utc_now(), "names": names, "desk": here,
        "open": [one for one in said if not one.answer], "answered": [one for one in said if one.answer],
        "after": part.onward(listed, lambda one: turn(one[0])), "later": part.after is not None,
    }  # fmt: skip
    return page(request, "legal/questions.html", context, status=problem.status if problem else 200)


@post("/questions/{concern_id:uuid}", sync_to_thread=True, guards=DESK)
def answer(request: Request[Any, Any, Any], concern_id: FromPath[UUID], data: Form) -> Response[Any]:
    try:
        with desk(request, Permission.CONCERNS_ANSWER) as (session, member):
            here, words = concerns.desk_of(member), data.get("words", "")
            concerns.answer(session, kernel_of(request).keys, concern_id, here, member.id, words, utc_now())
    except concerns.WordsMissing as problem:
        return _page(request, problem)
    return Redirect("/questions", status_code=303)


routes: list[Any] = [show_questions, answer]

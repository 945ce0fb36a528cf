"""Something is wrong: from every page of the visit to a person at the company, with the day of the answer said before."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromQuery
from litestar.response import Redirect

from batch.people import employees
from batch.visit import concerns
from dashboard.visit.around.frame import EMPLOYEE, Form, show
from dashboard.visit.around.standing import standing
from dashboard.visit.language import choose
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError
from likeness.web.guards import kernel_of, signed_in


@get("/visit/wrong", sync_to_thread=True, guards=EMPLOYEE)
def show_wrong(request: Request[Any, Any, Any], page: FromQuery[str] = "") -> Response[Any]:
    return _page(request, {"page": concerns.page_of(page)})


def _page(
    request: Request[Any, Any, Any], typed: dict[str, str], problem: LikenessError | None = None
) -> Response[Any]:
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, now)
        mine, desks = concerns.of(session, kernel.keys, caller.id), list(concerns.readers(session, me.employee))
    context = {
        "mine": mine,
        "desks": desks,
        "chosen": typed.get("desk") if typed.get("desk") in desks else (desks or [""])[0],
        "by": concerns.answer_by(now, me.tenant.time_zone),
        "typed": typed,
        "longest": concerns.LONGEST,
        "problem": problem,
    }
    return show(request, "visit/wrong.html", me, 0, context, status=problem.status if problem else 200)


@post("/visit/wrong", sync_to_thread=True, guards=EMPLOYEE)
def say_it(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """Where another language was asked for, nothing is said yet, and what is typed stays. Raises `LanguageUnknown`."""
    if "language" in data:
        choose(request, data["language"])
        return _page(request, data | {"page": concerns.page_of(data.get("page", ""))})
    kernel, caller = kernel_of(request), signed_in(request)
    try:
        with kernel.db.transaction(caller.tenant) as session:
            employees.speaking(session, caller)
            concerns.write(
                session, kernel.keys, caller.id, data.get("desk", ""), concerns.page_of(data.get("page", "")),
                data.get("words", ""), kernel.settings.public_url, utc_now(),
            )  # fmt: skip
    except (concerns.WordsMissing, concerns.TooManyOpen) as problem:
        return _page(request, data, problem)
    return Redirect("/visit/wrong", status_code=303)


routes: list[Any] = [show_wrong, say_it]

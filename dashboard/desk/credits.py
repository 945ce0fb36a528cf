"""The company's credits as a statement: what is left, what happened on each day, where the credit of each person stands."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Request, Response, get

from batch.delivery import statement
from batch.people.funnel import Stage
from batch.roster import batches, listings, naming
from batch.roster.searching import PeopleSearch
from dashboard.desk.desk import DESK, TONES, show
from likeness.ground.db import utc_now
from likeness.web.guards import kernel_of, signed_in
from tenants import credits, tenants
from tenants.credits import CreditState
from tenants.members import permissions
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.plain import whole_number

ON_A_PAGE, DAYS_SHOWN = 30, 30


@get("/desk/credits", sync_to_thread=True, guards=DESK)
def show_credits(request: Request[Any, Any, Any]) -> Response[str]:
    kernel, now = kernel_of(request), utc_now()
    values = request.query_params
    words, batch = str(values.get("q", "")).strip()[:200], None
    with suppress(ValueError):
        batch = UUID(str(values.get("batch", "")))
    at = max(1, whole_number(str(values.get("page", "1")), 99_999) or 1)
    with desk(request, Permission.CREDITS_READ) as (session, member):
        may = permissions.of(member.roles)
        balance, found = credits.balance(session), credits.totals(session)
        days = credits.days(session, DAYS_SHOWN)
        quota = tenants.get(session).employee_quota
        named, of_batches, people = {}, [], []
        if Permission.BATCHES_READ in may:
            named = {one.id: naming.of(kernel.keys, one) for one in batches.list_batches(session)}
            of_batches = statement.of_batches(session, now)
        if Permission.PEOPLE_READ in may:
            asked = PeopleSearch(words=words, batch_id=batch if batch in named else None)
            people = statement.accounts(session, kernel.keys, asked, now, ON_A_PAGE + 1, skip=(at - 1) * ON_A_PAGE)
            listings.note(session, [one.id for one in people[:ON_A_PAGE]], now, caller=str(signed_in(request)))
    context = {
        "balance": balance,
        "quota": quota,
        "totals": {str(one): found.get(one, 0) for one in CreditState},
        "days": days,
        "kinds": statement.KINDS,
        "standings": statement.WORDS,
        "tones": {CreditState.CHARGED: "tag-good", CreditState.RESERVED: "tag-live", CreditState.REFUNDED: "tag-warn"},
        "stage_tones": TONES,
        "stages": list(Stage),
        "named": named,
        "of_batches": of_batches,
        "people": people[:ON_A_PAGE],
        "more": len(people) > ON_A_PAGE,
        "page": at,
        "query": words,
        "batch_id": batch,
        "filter": urlencode({name: value for name, value in (("q", words), ("batch", batch or "")) if value}),
    }
    return show(request, member, "desk/credits.html", context)


routes: list[Any] = [show_credits]

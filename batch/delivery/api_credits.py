"""The JSON edge of a company's credits: what is left, what happened on each day, where each person's credit stands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from litestar import Request, Response, get
from litestar.params import FromPath, FromQuery

from batch.delivery import statement
from batch.people import employees
from batch.people.funnel import Stage
from batch.roster import listings
from batch.roster.searching import PeopleSearch
from batch.sittings.retakes import Retake
from batch.sittings.sittings import FREE_RESHOOTS
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.web.files import XLSX, saved
from likeness.web.guards import kernel_of, only, signed_in
from likeness.web.paging import ON_A_PAGE, After, DayCursor, Mark, Most, Page, PersonCursor
from tenants import credits
from tenants.credits import CreditState
from tenants.members import permissions
from tenants.members.access import desk
from tenants.members.permissions import Permission

DESK = [only(Kind.MEMBER)]


class SheetFormat(StrEnum):
    XLSX = "xlsx"
    CSV = "csv"


@dataclass
class CreditsShown:
    """`left` can be used; the others are people's credits by where they stand."""

    left: int
    set_aside: int
    charged: int
    given_back: int
    refunded: int


@dataclass
class DayShown:
    """What one kind of movement came to on a day; `balance` is what was left at its end."""

    day: date
    kind: str
    credits: int
    movements: int
    balance: int


@dataclass
class AccountShown:
    person_id: UUID
    batch_id: UUID
    name: str
    stage: Stage
    standing: CreditState
    since: date | None


@dataclass
class PersonCredit:
    """Where somebody's credit and retakes stand; of who does not take part there is nothing."""

    standing: CreditState
    since: date | None
    retake: Retake
    free_retakes: int
    retake_since: datetime | None


@dataclass
class BatchCredits:
    batch_id: UUID
    set_aside: int
    charged: int
    given_back: int
    refunded: int
    not_taking_part: int


@get("/credits", guards=DESK, sync_to_thread=True)
def show_credits(request: Request[Any, Any, Any]) -> CreditsShown:
    with desk(request, Permission.CREDITS_READ) as (session, _):
        left, found = credits.balance(session), credits.totals(session)
    return CreditsShown(left, *(found.get(one, 0) for one in list(CreditState)[1:]))


@get("/credits/days", guards=DESK, sync_to_thread=True)
def list_days(
    request: Request[Any, Any, Any],
    most: Most = ON_A_PAGE,
    after: After = "",
) -> Response[list[DayShown]]:
    """Newest first. While there are more, the header `Link` names the next page."""
    page = Page(DayCursor, most, after)
    with desk(request, Permission.CREDITS_READ) as (session, _):
        found = credits.days(session, page.lines, after=page.after)
    return page.answer(
        request,
        found,
        lambda one: DayCursor(one.day, one.reason),
        lambda one: DayShown(one.day, one.reason, one.amount, one.count, one.balance),
    )


@get("/credits/batches", guards=DESK, sync_to_thread=True)
def list_of_batches(
    request: Request[Any, Any, Any], most: Most = ON_A_PAGE, after: After = ""
) -> Response[list[BatchCredits]]:
    """Newest batch first. While there are more, the header `Link` names the next page."""
    page = Page(Mark, most, after)
    with desk(request, Permission.BATCHES_READ) as (session, _):
        found = statement.of_batches(session, utc_now(), page.lines, before=page.after)
    return page.answer(
        request,
        found,
        lambda one: Mark(one.created_at, one.batch_id),
        lambda one: BatchCredits(one.batch_id, one.set_aside, one.charged, one.given_back, one.refunded, one.aside),
    )


@get("/credits/people", guards=DESK, sync_to_thread=True)
def list_accounts(
    request: Request[Any, Any, Any],
    batch: FromQuery[UUID | None] = None,
    most: Most = ON_A_PAGE,
    after: After = "",
) -> Response[list[AccountShown]]:
    """Where the credit of each person who takes part stands, page by page."""
    page, keys = Page(PersonCursor, most, after), kernel_of(request).keys
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        now = utc_now()
        found = statement.accounts(session, keys, PeopleSearch(batch_id=batch), now, page.lines, after=page.after)
        listings.note(session, [one.id for one in found[:most]], now, caller=str(signed_in(request)))
    return page.answer(
        request,
        found,
        lambda one: PersonCursor(one.batch_id, one.row, one.id),
        lambda one: AccountShown(one.id, one.batch_id, one.name, one.stage, one.standing, one.since),
        batch=batch or "",
    )


@get("/employees/{person_id:uuid}/credit", guards=DESK, sync_to_thread=True)
def show_account(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> PersonCredit:
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        employee = employees.on_roster(session, person_id)
        found = statement.of_person(session, kernel_of(request).keys, employee, utc_now())
    again = found.retakes
    return PersonCredit(
        found.account.standing, found.account.since, again.state if again else Retake.NONE,
        again.free if again else FREE_RESHOOTS, again.since if again else None,
    )  # fmt: skip


@get("/credits/export", guards=DESK, sync_to_thread=True)
def export_credits(
    request: Request[Any, Any, Any], form: FromQuery[SheetFormat] = SheetFormat.XLSX, people: FromQuery[bool] = False
) -> Response[bytes]:
    """The whole statement: a workbook with a sheet for the days and one for the people, or a CSV of the days or, with
    `people`, of the people. Whoever may not see who is on the list gets the days alone."""
    with desk(request, Permission.CREDITS_READ) as (session, member):
        seen = Permission.PEOPLE_READ in permissions.of(member.roles)
        caller = str(signed_in(request))
        found = statement.exported(session, kernel_of(request).keys, utc_now(), with_people=seen, caller=caller)
    if form == SheetFormat.XLSX:
        data, kind = statement.excel(found, with_people=seen), XLSX
    else:
        data, kind = statement.csv(found, people=people and seen), "text/csv"
    return saved(data, f"credits-{utc_now():%Y-%m-%d}.{form}", kind)


routes: list[Any] = [show_credits, list_days, list_of_batches, list_accounts, show_account, export_credits]

"""The JSON edge for operators: one company as counts and times, its suspension and end, lanes, jobs, and the last days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Struct, UnsetType

from compliance.desk import closing
from compliance.desk.closing import ClosingCompany
from compliance.retention import pulse
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.ground.lanes import Lane
from likeness.identity import Kind
from likeness.jobs import watching
from likeness.mail import sender
from likeness.web.guards import fresh, kernel_of, only, signed_in
from likeness.web.paging import ON_A_PAGE, After, Mark, Most, Page
from tenants import suspension, tenants
from tenants.credits import CreditState
from tenants.members import access, founding
from tenants.members.access import desk
from tenants.members.permissions import Permission

OPERATORS = [only(Kind.OPERATOR)]
LONGEST_LOOK = timedelta(days=30)


@dataclass
class CompanyShown:
    id: UUID
    name: str
    created_at: datetime
    suspended_at: datetime | None
    closes_at: datetime | None
    people: int
    employee_quota: int
    credits_left: int
    credits_set_aside: int
    credits_charged: int
    in_line: int
    being_made: int
    owner_came_in: bool
    deletion_late_seconds: float
    mails_not_delivered: int
    """In the last seven days."""


class NewTerms(Struct, forbid_unknown_fields=True):
    """A new name stands in a new edition of the notice, which people are asked about anew."""

    name: str | UnsetType = UNSET
    employee_quota: int | UnsetType = UNSET


class Named(Struct, forbid_unknown_fields=True):
    name: str
    """The company's, as a second look."""


@dataclass
class LaneShown:
    lane: Lane
    waiting: int
    running: int
    given_up: int
    oldest_seconds: float
    done_a_minute: float


@dataclass
class JobShown:
    """A job that was given up: its kind and the name of its error, and nobody's id."""

    id: UUID
    kind: str
    tries: int
    error: str | None
    finished_at: datetime | None


@dataclass
class HourShown:
    """The worst of an hour, in seconds."""

    at: datetime
    waited: dict[str, float]
    deletions_late: float


def shown(one: ClosingCompany) -> CompanyShown:
    return CompanyShown(
        id=one.row.id,
        name=one.row.name,
        created_at=one.row.created_at,
        suspended_at=one.row.suspended_at,
        closes_at=one.departure.begins_at if one.departure else None,
        people=one.people,
        employee_quota=one.row.employee_quota,
        credits_left=one.left,
        credits_set_aside=one.standings.get(CreditState.RESERVED, 0),
        credits_charged=one.standings.get(CreditState.CHARGED, 0),
        in_line=one.line.waiting,
        being_made=one.line.running,
        owner_came_in=one.owner.joined,
        deletion_late_seconds=one.late.seconds,
        mails_not_delivered=sum(line.count for line in one.mails),
    )


@get("/tenants/{tenant_id:uuid}", guards=OPERATORS, sync_to_thread=True)
def show_company(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> CompanyShown:
    access.check(request, Permission.INSTALLATION_READ)
    return shown(closing.company(kernel_of(request), tenant_id, utc_now()))


@patch("/tenants/{tenant_id:uuid}", guards=OPERATORS, sync_to_thread=True)
def change_company(request: Request[Any, Any, Any], tenant_id: FromPath[UUID], data: JSONBody[NewTerms]) -> CompanyShown:
    access.check(request, Permission.COMPANIES_CHANGE)
    terms = {name: value for name in data.__struct_fields__ if (value := getattr(data, name)) is not UNSET}
    kernel = kernel_of(request)
    with kernel.db.transaction(tenant_id) as session:
        tenants.change(session, caller=str(signed_in(request)), **terms)
    return shown(closing.company(kernel, tenant_id, utc_now()))


@post("/tenants/{tenant_id:uuid}/suspend", guards=[*OPERATORS, fresh], status_code=204, sync_to_thread=True)
def suspend(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> None:
    """Nothing new is begun for the company; everything that deletes, answers or proves goes on."""
    access.check(request, Permission.COMPANIES_CHANGE)
    with kernel_of(request).db.transaction(tenant_id) as session:
        suspension.suspend(session, utc_now(), caller=str(signed_in(request)))


@post("/tenants/{tenant_id:uuid}/resume", guards=OPERATORS, status_code=204, sync_to_thread=True)
def resume(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> None:
    access.check(request, Permission.COMPANIES_CHANGE)
    with kernel_of(request).db.transaction(tenant_id) as session:
        suspension.resume(session, caller=str(signed_in(request)))


@post("/tenants/{tenant_id:uuid}/link", guards=OPERATORS, status_code=204, sync_to_thread=True)
def mail_first_link(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> None:
    """To the address of an owner who has not come in, which no operator is shown."""
    access.check(request, Permission.COMPANIES_FOUND)
    kernel = kernel_of(request)
    with kernel.db.transaction(tenant_id) as session:
        tenants.get(session)
        founding.mail_again(session, kernel, utc_now())


@post("/tenants/{tenant_id:uuid}/close", guards=[*OPERATORS, fresh], status_code=202, sync_to_thread=True)
def close(request: Request[Any, Any, Any], tenant_id: FromPath[UUID], data: JSONBody[Named]) -> CompanyShown:
    """A company of nobody, after a day; one with people is closed by its owner."""
    kernel = kernel_of(request)
    with desk(request, Permission.COMPANIES_CHANGE) as (_, me):
        operator = me.id
    with kernel.db.transaction(tenant_id) as session:
        closing.close(session, kernel, operator, utc_now(), name=data.name)
    return shown(closing.company(kernel, tenant_id, utc_now()))


@post("/tenants/{tenant_id:uuid}/keep", guards=OPERATORS, status_code=204, sync_to_thread=True)
def keep(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> None:
    """Calls off what an operator has begun."""
    with desk(request, Permission.COMPANIES_CHANGE) as (_, me):
        operator = me.id
    with kernel_of(request).db.transaction(tenant_id) as session:
        closing.keep(session, operator, utc_now())


@get("/lanes", guards=OPERATORS, sync_to_thread=True)
def list_lanes(request: Request[Any, Any, Any]) -> list[LaneShown]:
    with desk(request, Permission.INSTALLATION_READ) as (session, _):
        found = watching.lanes(session, utc_now())
    return [
        LaneShown(one.lane, one.waiting, one.running, one.given_up, one.oldest, round(one.a_minute, 2)) for one in found
    ]


@get("/jobs/given-up", guards=OPERATORS, sync_to_thread=True)
def list_given_up(
    request: Request[Any, Any, Any],
    most: Most = ON_A_PAGE,
    after: After = "",
) -> Response[list[JobShown]]:
    """Newest first; they are kept for a day. While there are more, the header `Link` names the next page."""
    page = Page(Mark, most, after)
    with desk(request, Permission.INSTALLATION_READ) as (session, _):
        found = watching.given_up(session, page.lines, before=page.after)
    return page.answer(
        request,
        found,
        lambda one: Mark(one.finished_at or one.created_at, one.id),  # It has ended, which its type does not say.
        lambda one: JobShown(one.id, one.kind, one.attempt - one.excused, one.error, one.finished_at),
    )


@post("/jobs/{job_id:uuid}/again", guards=OPERATORS, status_code=204, sync_to_thread=True)
def try_again(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> None:
    """A job that was given up is due again, with all its tries."""
    with desk(request, Permission.JOBS_REVIVE) as (session, _):
        watching.revive(session, job_id, utc_now())
        ledger.record(session, "job.revived", caller=str(signed_in(request)), objects=[job_id])


@dataclass
class CheckShown:
    """What DNS says of the sender's domain: `name` is SPF, DKIM or DMARC, `state` good, warn or bad."""

    name: str
    state: str
    says: str
    record: str


@get("/sender", guards=OPERATORS, sync_to_thread=True)
def check_sender(
    request: Request[Any, Any, Any], selector: Annotated[str, QueryParameter(max_length=63)] = ""
) -> list[CheckShown]:
    """Whether receivers can tell that mails from here are genuine. `selector` is that of the DKIM key."""
    access.check(request, Permission.INSTALLATION_READ)
    settings = kernel_of(request).settings
    found = sender.check(
        settings.mail_from, settings.smtp_url, selector.strip(), sender.Names(settings.dns_server),
        returns=settings.bounces_address,
    )  # fmt: skip
    return [CheckShown(one.name, one.state, one.says, one.record) for one in found]


@get("/pulse", guards=OPERATORS, sync_to_thread=True)
def list_hours(
    request: Request[Any, Any, Any], days: Annotated[int, QueryParameter(ge=1, le=LONGEST_LOOK.days)] = 7
) -> list[HourShown]:
    with desk(request, Permission.INSTALLATION_READ) as (session, _):
        found = pulse.hours(session, utc_now() - timedelta(days=days))
    return [HourShown(one.at, {str(lane): waited for lane, waited in one.waited.items()}, one.late) for one in found]


routes: list[Any] = [
    show_company,
    change_company,
    suspend,
    resume,
    mail_first_link,
    close,
    keep,
    list_lanes,
    list_given_up,
    try_again,
    check_sender,
    list_hours,
]

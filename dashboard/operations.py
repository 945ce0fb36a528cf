"""The operators' pages: companies, jobs and the cluster, as counts and times; never people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from sqlalchemy import func
from sqlmodel import Session, col, select

from batch.models import Employee
from compliance import lateness
from compliance.lateness import Lateness
from dashboard.pages import page
from gpu_cluster.api import RunLine, runs_of
from gpu_cluster.models import RunState
from likeness import claims, mail
from likeness.clock import CLOCK
from likeness.db import PLATFORM, utc_now
from likeness.errors import LikenessError, NotFound, Unprocessable
from likeness.identity import Kind
from likeness.jobs import Job, JobState
from likeness.kernel import Kernel
from likeness.lanes import Lane
from likeness.tend import WHERE_IT_TENDS, deletions_paused
from likeness.web import kernel_of, only, signed_in
from tenants import access, credits, members, tenants
from tenants.models import Role, Tenant

OPERATORS = [only(Kind.OPERATOR)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
LINK = re.compile(r"https?://[^\s<>]+/(?:i|sign-in)/[^\s<>]+")
LATE_SECONDS = 30.0
"""A job that waits longer than this is worth an alarm; the target is 1 s when idle."""


class MailboxClosed(NotFound):
    """Mails go out through a server here, and their text is not kept."""


class NumberRefused(Unprocessable):
    """Not a whole number."""


@dataclass(frozen=True)
class Letter:
    subject: str
    to: str
    text: str
    link: str | None
    created_at: datetime
    sent: bool


@dataclass(frozen=True)
class TenantLine:
    row: Tenant
    people: int
    balance: int


@dataclass(frozen=True)
class LateLine:
    company: str
    late: Lateness


@dataclass(frozen=True)
class DeadJob:
    kind: str
    attempt: int
    error: str | None
    finished_at: datetime | None


@dataclass(frozen=True)
class JobHealth:
    oldest_due: float
    lanes: Mapping[Lane, float]
    """How long the oldest due job of each lane has waited, in seconds."""
    waits_for: Mapping[str, int]
    """What jobs wait for that is away, by the name of the error, with how many of them."""
    counts: Mapping[str, int]
    dead: list[DeadJob]

    @property
    def late(self) -> bool:
        return self.oldest_due > LATE_SECONDS


def _operator(request: Request[Any, Any, Any], session: Session) -> None:
    access.require(session, signed_in(request), Role.OPERATOR)


@get("/operations", sync_to_thread=True, guards=OPERATORS)
def show_operations(request: Request[Any, Any, Any]) -> Response[str]:
    return _operations_page(request)


def _operations_page(
    request: Request[Any, Any, Any], context: Mapping[str, Any] | None = None, problem: LikenessError | None = None
) -> Response[str]:
    kernel = kernel_of(request)
    with kernel.db.transaction(PLATFORM) as session:
        _operator(request, session)
        everybody = tenants.all_tenants(session)
        paused = deletions_paused(session)
    lines, runs, late = [], [], []
    for tenant in everybody:
        with kernel.db.transaction(tenant.id) as session:
            lines.append(TenantLine(tenant, _people(session), credits.balance(session)))
            runs += runs_of(session, limit=20)
            late.append(LateLine(tenant.name, lateness.of_company(session, utc_now())))
    runs.sort(key=lambda run: run.started_at, reverse=True)
    about: dict[str, Any] = {
        "tenants": lines,
        "health": job_health(kernel),
        "paused": CLOCK.doubt() or (WHERE_IT_TENDS if paused else ""),
        "late": sorted((one for one in late if one.late.told), key=lambda one: -one.late.seconds),
        "runs": runs[:30],
        "cluster": _cluster(kernel, runs),
        "founded": None,
        "typed": {},
        "problem": problem,
    }
    return page(
        request, "operations/operations.html", about | dict(context or {}), status=problem.status if problem else 200
    )


def _people(session: Session) -> int:
    """How many are on the roster: a number, and nothing of anybody."""
    return session.exec(
        select(func.count()).select_from(Employee).where(col(Employee.tenant_id) == session.info["tenant"])
    ).one()


def job_health(kernel: Kernel) -> JobHealth:
    with kernel.db.transaction(PLATFORM) as session:
        counted = session.execute(select(col(Job.state), func.count()).group_by(col(Job.state))).all()
        dead = session.exec(
            select(Job).where(col(Job.state) == JobState.DEAD).order_by(col(Job.finished_at).desc()).limit(20)
        ).all()
        waiting = session.execute(
            select(col(Job.error), func.count())
            .where(col(Job.state) == JobState.READY, col(Job.excused) > 0, col(Job.error).is_not(None))
            .group_by(col(Job.error))
        ).all()
    lanes = claims.waits(kernel, utc_now())
    return JobHealth(
        max(lanes.values()),
        lanes,
        {str(error): count for error, count in waiting},
        {state: count for state, count in counted},
        [DeadJob(job.kind, job.attempt, job.error, job.finished_at) for job in dead],
    )


def _cluster(kernel: Kernel, runs: list[RunLine]) -> dict[str, str]:
    running = sum(run.state == RunState.RUNNING for run in runs)
    lost = sum(run.state == RunState.LOST for run in runs)
    return {
        "Address": kernel.settings.ray_address or "on this machine, started by the program",
        "Recipe": kernel.settings.recipe,
        "Running now": str(running),
        "Lost and taken up again": str(lost),
    }


@post("/operations/tenants", sync_to_thread=True, status_code=200, guards=OPERATORS)
def found_tenant(request: Request[Any, Any, Any], data: Form) -> Response[str]:
    """A company with its first member, whose link goes to their own address and is shown to nobody else."""
    kernel, caller = kernel_of(request), signed_in(request)
    try:
        with kernel.db.transaction(PLATFORM) as session:
            _operator(request, session)
        members.check_new(data.get("admin_email", ""), data.get("admin_name", ""))
        tenant = tenants.found(
            kernel,
            data.get("name", ""),
            contact=data.get("contact", ""),
            authority=data.get("authority", ""),
            employee_quota=_number(data, "employee_quota", 500),
            recipes=tenants.offers(kernel.settings.recipe),
        )
        granted = _number(data, "credits", 0)
        with kernel.db.transaction(tenant) as session:
            member = members.invite_member(
                session, kernel.keys, data.get("admin_email", ""), data.get("admin_name", ""),
                [Role.HR, Role.LEGAL], caller=str(caller),
            )  # fmt: skip
            if granted:
                credits.grant(session, granted, "first", caller=str(caller))
            members.mail_link(session, kernel, member, utc_now(), campaign="first", inviter="The operator")
    except LikenessError as problem:
        if problem.status not in (409, 422):
            raise
        return _operations_page(request, {"typed": data}, problem)
    founded = {"name": data.get("name", ""), "address": data.get("admin_email", ""), "id": tenant}
    return _operations_page(request, {"founded": founded})


def _number(data: Mapping[str, str], name: str, otherwise: int) -> int:
    text = data.get(name, "").strip() or str(otherwise)
    if not text.isdecimal() or len(text) > 7:
        raise NumberRefused("Credits and people are whole numbers.")
    return int(text)


def mailbox_of(kernel: Kernel, session: Session) -> list[Letter]:
    """The newest mails of the embedded profile, for operators only: a personal link would let HR act as the person.

    Raises `MailboxClosed` where mails really leave."""
    if kernel.settings.smtp_url or not kernel.settings.embedded:
        raise MailboxClosed("Mails leave through your mail server; there is no mailbox page here.")
    found = []
    for one in mail.mailbox(session)[:100]:
        letter = mail.read(kernel.keys, one)
        if letter is not None:
            link = LINK.search(letter.text)
            # The path alone, so that the link works under whichever address this page was opened.
            path = urlsplit(link.group()).path if link else None
            found.append(Letter(letter.subject, letter.to, letter.text, path, one.created_at, one.sent_at is not None))
    return found


@get("/operations/mailbox", sync_to_thread=True, guards=OPERATORS)
def show_mailbox(request: Request[Any, Any, Any]) -> Response[str]:
    """Whose mails to look at."""
    kernel = kernel_of(request)
    with kernel.db.transaction(PLATFORM) as session:
        _operator(request, session)
        known = tenants.all_tenants(session)
        letters = mailbox_of(kernel, session)
    return page(request, "operations/mailbox.html", {"tenants": known, "chosen": None, "letters": letters})


@get("/operations/mailbox/{tenant_id:uuid}", sync_to_thread=True, guards=OPERATORS)
def show_mailbox_of(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> Response[str]:
    kernel = kernel_of(request)
    with kernel.db.transaction(PLATFORM) as session:
        _operator(request, session)
        known = tenants.all_tenants(session)
    with kernel.db.transaction(tenant_id) as session:
        chosen = tenants.get(session)
        letters = mailbox_of(kernel, session)
    return page(request, "operations/mailbox.html", {"tenants": known, "chosen": chosen, "letters": letters})


routes: list[Any] = [show_operations, found_tenant, show_mailbox, show_mailbox_of]

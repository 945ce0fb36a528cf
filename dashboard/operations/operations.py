"""The operators' first page: lanes, jobs, the cluster, deletions and mail, now and in the last days; never people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect
from sqlalchemy import func
from sqlmodel import Session, col, select

from batch.sittings import sittings
from batch.sittings.runs import RunState
from batch.sittings.sittings import InLine
from compliance import restores
from compliance.erasure import replay
from compliance.retention import lateness, pulse
from compliance.retention.lateness import Lateness
from compliance.retention.pulse import Hour
from dashboard.operations import words
from dashboard.pages import page
from dashboard.reader import reader
from gpu_cluster.api import RunLine, run_line, runs_of, weights_refused
from gpu_cluster.bases import weights
from gpu_cluster.bases.recipe import PHOTOGRAPHS, Recipe, recipes
from likeness import ledger
from likeness.ground.clock import CLOCK
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.errors import Conflict, LikenessError, Unprocessable
from likeness.ground.lanes import Lane
from likeness.identity import Kind
from likeness.jobs import watching
from likeness.jobs.jobs import Job, JobState
from likeness.jobs.pause import WHERE_THE_SCHEDULER_RUNS, deletions_paused
from likeness.jobs.watching import LaneNow
from likeness.kernel import Kernel
from likeness.locale.marks import N_, Term, Told
from likeness.locale.words import Words
from likeness.mail import mail
from likeness.web.guards import kernel_of, only, signed_in
from tenants import tenants
from tenants.members import break_glass, members
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.models import Tenant

OPERATORS = [only(Kind.OPERATOR)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
MAILS_LOOKED_AT, HISTORY = timedelta(days=7), timedelta(days=7)
LATE_SECONDS = 30.0
"""A job that waits longer than this is worth an alarm; the target is 1 s when idle."""
MOST_DEAD = 5
WIDE, HIGH = 320, 48


class NumberRefused(Unprocessable):
    """Not a whole number."""

    title = "This is not a whole number"


@dataclass(frozen=True)
class LateLine:
    company: str
    late: Lateness


@dataclass(frozen=True)
class MailLine:
    company: str
    """Empty for operators."""
    mails: mail.MailFailures


@dataclass(frozen=True)
class AccessQuestion:
    """An operator asks for a way into a company that has none left; the member is named to the company alone."""

    id: UUID
    company: str
    asker: str
    reason: str
    until: datetime


@dataclass(frozen=True)
class JobHealth:
    lanes: list[LaneNow]
    waits_for: Mapping[str, int]
    """What jobs wait for that is away, by the name of the error, with how many of them."""
    dead: list[Job]

    @property
    def late(self) -> bool:
        return max(one.oldest for one in self.lanes) > LATE_SECONDS


@dataclass(frozen=True)
class Mailed:
    """Mails of the last 24 hours of everybody."""

    sent: int = 0
    waiting: int = 0
    failed: int = 0
    oldest: float = 0.0


@dataclass(frozen=True)
class Trend:
    """One line of the last days: `path` in units of the drawing, and the `most` seconds that it reaches."""

    name: str
    most: float
    path: str
    bad: bool


@get("/operations", sync_to_thread=True, guards=OPERATORS)
def show_operations(request: Request[Any, Any, Any]) -> Response[str]:
    return _operations_page(request)


def _operations_page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[str]:
    kernel, now = kernel_of(request), utc_now()
    with desk(request, Permission.INSTALLATION_READ) as (session, _):
        everybody = tenants.all_tenants(session)
        paused = deletions_paused(session)
        asked = _questions(kernel, session, everybody)
        history = pulse.hours(session, now - HISTORY)
        mailed = [mail.told(session, now)]
    late, lines = [], []
    runs: list[RunLine] = []
    with kernel.db.transaction(PLATFORM) as session:
        mails = [MailLine("", one) for one in mail.failures(session, now - MAILS_LOOKED_AT)]
    for tenant in everybody:
        with kernel.db.transaction(tenant.id) as session:
            runs += map(run_line, runs_of(session, 20))
            mails += [MailLine(tenant.name, one) for one in mail.failures(session, now - MAILS_LOOKED_AT)]
            late.append(LateLine(tenant.name, lateness.of_company(session, now)))
            mailed.append(mail.told(session, now))
            lines.append(sittings.in_line(session, now))
    runs.sort(key=lambda run: run.started_at, reverse=True)
    health = job_health(kernel)
    context = {
        "health": health,
        "paths": {one.lane: path([float(count) for count in one.done], 96, 20) for one in health.lanes},
        "late_seconds": LATE_SECONDS,
        "dead_more": sum(one.given_up for one in health.lanes) - len(health.dead),
        "words": words,
        "paused": CLOCK.doubt() or (WHERE_THE_SCHEDULER_RUNS if paused else ""),
        "restored": restores.of_all(kernel, now),
        "lost": len(replay.lost(kernel)),
        "late": sorted((one for one in late if one.late.told), key=lambda one: -one.late.seconds),
        "mails": sorted(mails, key=lambda line: line.mails.newest, reverse=True)[:30],
        "mailed": Mailed(
            sum(one.sent for one in mailed), sum(one.waiting for one in mailed), sum(one.failed for one in mailed),
            max(one.oldest for one in mailed),
        ),
        "runs": runs[:6],
        "doubts": weights.doubts(recipe) if (recipe := _base(kernel)) else [],
        "refused": weights_refused(runs, now),
        "cluster": _cluster(kernel, reader(request), runs, lines, sum(bool(one.away) for one in everybody)),
        "asked": asked,
        "history": _trends(history, now),
        "first": (now - HISTORY).date(),
        "wide": WIDE,
        "high": HIGH,
        "said": N_("The job is due again.") if request.query_params.get("again") else "",
        "problem": problem,
    }  # fmt: skip
    return page(request, "operations/operations.html", context, status=problem.status if problem else 200)


def _trends(history: Sequence[Hour], now: datetime) -> list[Trend]:
    """The worst wait of each lane in each hour, and how late deletions were."""
    if not history:
        return []
    hours = {int((one.at - (now - HISTORY)).total_seconds() // 3600): one for one in history}
    places = range(int(HISTORY.total_seconds() // 3600) + 1)
    found = []
    for lane in Lane:
        waited = [hours[place].waited.get(lane) if place in hours else None for place in places]
        found.append(_trend(Told("{lane}: the oldest job waited", lane=Term(words.LANES[lane])), waited, LATE_SECONDS))
    late = [hours[place].late if place in hours else None for place in places]
    found.append(_trend(Told("Deletions: the oldest was late"), late, lateness.TOLD_AFTER.total_seconds()))
    return found


def _trend(name: str, values: Sequence[float | None], bad: float) -> Trend:
    most = max((value for value in values if value is not None), default=0.0)
    return Trend(name, most, path(values, WIDE, HIGH, at_least=bad), most > bad)


def path(values: Sequence[float | None], wide: int, high: int, *, at_least: float = 1.0) -> str:
    """A line through these values as the path of an SVG; a value that is missing breaks it. What is below `at_least`
    never fills the height, so that a second's wait does not look like a mountain."""
    most = max([value for value in values if value is not None] + [at_least])
    step, parts, broken = wide / max(1, len(values) - 1), [], True
    for number, value in enumerate(values):
        if value is None:
            broken = True
            continue
        parts.append(f"{'M' if broken else 'L'}{round(number * step, 1)} {round(high - high * value / most, 1)}")
        broken = False
    return " ".join(parts)


def _questions(kernel: Kernel, session: Session, everybody: list[Tenant]) -> list[AccessQuestion]:
    companies = {one.id: one.name for one in everybody}
    return [
        AccessQuestion(
            one.id,
            companies.get(one.company, ""),
            members.profile(kernel.keys, members.get(session, one.asked_by)).name,
            break_glass.reason_of(kernel, one),
            one.until,
        )
        for one in break_glass.waiting(session, utc_now())
    ]


@post("/operations/break-glass/{question_id:uuid}/confirm", sync_to_thread=True, guards=OPERATORS)
def confirm_break_glass(request: Request[Any, Any, Any], question_id: FromPath[UUID]) -> Response[Any]:
    """The second of two operators: the first one's machine prints the link then, and the company is told."""
    try:
        with desk(request, Permission.EMERGENCY_CONFIRM) as (session, me):
            break_glass.confirm(session, question_id, by=me.id, now=utc_now())
    except Conflict as problem:
        return _operations_page(request, problem)
    return Redirect("/operations", status_code=303)


def job_health(kernel: Kernel) -> JobHealth:
    now = utc_now()
    with kernel.db.transaction(PLATFORM) as session:
        found = watching.lanes(session, now)
        dead = watching.given_up(session, MOST_DEAD)
        waiting = session.execute(
            select(col(Job.error), func.count())
            .where(col(Job.state) == JobState.READY, col(Job.excused) > 0, col(Job.error).is_not(None))
            .group_by(col(Job.error))
        ).all()
    return JobHealth(found, {str(error): count for error, count in waiting}, dead)


def _base(kernel: Kernel) -> Recipe | None:
    """Whose weights lie on this machine; on a cluster they lie on its nodes."""
    recipe = recipes().get(kernel.settings.recipe)
    return recipe if recipe and recipe.world == PHOTOGRAPHS and not kernel.settings.ray_address else None


def _weights(kernel: Kernel) -> str:
    recipe = _base(kernel)
    if recipe is None:
        return _on_nodes(kernel) if kernel.settings.ray_address else Told("none are needed")
    folders = weights.folders(recipe)
    if weights.missing(recipe):
        return Told("not here, or not whole")
    if not all(map(weights.pinned, folders)):
        return Told("not fixed: `likeness weights pin` does it")
    named = [weights.fixed_revision(folder)[:12] for folder in folders]
    said = [Told("fixed, revision {revision}", revision=one) if one else Told("fixed") for one in named]
    return reduce(lambda first, second: Told("{first} and {second}", first=first, second=second), said)


def _on_nodes(kernel: Kernel) -> str:
    if kernel.settings.weights:
        return Told("on the cluster's nodes; each compares its own with LIKENESS_WEIGHTS")
    return Told("on the cluster's nodes; each compares its own with what was fixed on it, if anything was")


def _cluster(
    kernel: Kernel, reads: Words, runs: list[RunLine], lines: list[InLine], away: int
) -> list[tuple[str, str]]:
    waiting, oldest = sum(one.waiting for one in lines), max((one.oldest for one in lines), default=0.0)
    first = Told("{n}, the first for {span}", n=waiting, span=reads.span(oldest))
    return [
        (N_("Address"), kernel.settings.ray_address or Told("on this machine, started by the program")),
        (N_("Recipe"), kernel.settings.recipe),
        (N_("Weights"), _weights(kernel)),
        (N_("Companies that chose what cannot be made"), reads.number(away) if away else Told("none")),
        (N_("Being made"), reads.number(sum(one.running for one in lines))),
        (N_("In line"), first if waiting else Told("nobody")),
        (N_("Lost and taken up again"), reads.number(sum(run.state == RunState.LOST for run in runs))),
    ]


@post("/operations/jobs/{job_id:uuid}/again", sync_to_thread=True, guards=OPERATORS)
def try_again(request: Request[Any, Any, Any], job_id: FromPath[UUID]) -> Response[Any]:
    """A job that was given up is due again."""
    with desk(request, Permission.JOBS_REVIVE) as (session, _):
        watching.revive(session, job_id, utc_now())
        ledger.record(session, "job.revived", caller=str(signed_in(request)), objects=[job_id])
    return Redirect("/operations?again=1", status_code=303)


def number(data: Mapping[str, str], name: str, otherwise: int) -> int:
    """Raises `NumberRefused`."""
    text = data.get(name, "").strip() or str(otherwise)
    if not text.isdecimal() or len(text) > 7:
        raise NumberRefused("Credits and people are whole numbers.")
    return int(text)


routes: list[Any] = [confirm_break_glass, show_operations, try_again]

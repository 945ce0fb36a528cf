"""What operators and the desk may know of the cluster: counts and times, never people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get
from pydantic import BaseModel
from sqlmodel import Session, col, select

from batch.sittings.runs import Run, RunState
from gpu_cluster.cluster import scheduling
from gpu_cluster.cluster.fleet import Loss
from likeness.ground.db import newest_first, tenant_of
from likeness.identity import Kind
from likeness.web.guards import kernel_of, only
from likeness.web.paging import ON_A_PAGE, After, Mark, Most, Page
from tenants import tenants
from tenants.members import access
from tenants.members.permissions import Permission

__all__ = ["router", "scheduling"]


LATELY = timedelta(minutes=15)
"""What waits is tried again every half minute, and a large base needs minutes to be read."""


class RunLine(BaseModel):
    """One attempt at one sitting."""

    run: str
    tenant: str
    state: str
    step: int
    steps: int
    made: int
    passed: int
    seconds: dict[str, float]
    started_at: str
    heartbeat_at: str
    """The studio's last sign of life."""
    error: str | None


def runs_of(session: Session, most: int, *, before: tuple[datetime, UUID] | None = None) -> list[Run]:
    """The tenant's newest runs; those `before` the moment and the id of one."""
    theirs = select(Run).where(col(Run.tenant_id) == tenant_of(session))
    return list(session.exec(newest_first(theirs, col(Run.started_at), col(Run.id), most, before)))


def weights_refused(runs: Sequence[RunLine], now: datetime) -> bool:
    """Whether one of them found a node with other weights than those that were fixed, a short while ago."""
    refused = [run for run in runs if run.error == Loss.WEIGHTS_CHANGED]
    return any(datetime.fromisoformat(run.started_at) > now - LATELY for run in refused)


def run_line(run: Run) -> RunLine:
    return RunLine(
        run=str(run.id),
        tenant=str(run.tenant_id),
        state=RunState(run.state),
        step=run.step,
        steps=run.steps,
        made=run.made,
        passed=run.passed,
        seconds=run.seconds,
        started_at=run.started_at.isoformat(timespec="seconds"),
        heartbeat_at=run.heartbeat_at.isoformat(timespec="seconds"),
        error=run.error,
    )


def _mark(run: Run) -> Mark:
    return Mark(run.started_at, run.id)


@get("/cluster/runs", guards=[only(Kind.OPERATOR)], sync_to_thread=True)
def list_runs(request: Request[Any, Any, Any], most: Most = ON_A_PAGE, after: After = "") -> Response[list[RunLine]]:
    """The runs of all tenants, newest first. While there are more, the header `Link` names the next page."""
    page, kernel = Page(Mark, most, after), kernel_of(request)
    access.check(request, Permission.INSTALLATION_READ)
    found: list[Run] = []
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            found += runs_of(session, page.lines, before=page.after)
        found = sorted(found, key=_mark, reverse=True)[: page.lines]
    return page.answer(request, found, _mark, run_line)


router = Router(path="/api/v1", route_handlers=[list_runs], tags=["cluster"])

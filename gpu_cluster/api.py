"""What operators and the desk may know of the cluster: counts and times, never people."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, get
from pydantic import BaseModel
from sqlmodel import Session, col, select

from gpu_cluster import tending
from gpu_cluster.models import Run, RunState
from likeness.db import tenant_of
from likeness.identity import Kind
from likeness.web import kernel_of, only, signed_in
from tenants import access, tenants
from tenants.models import Role

__all__ = ["router", "tending"]


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


def runs_of(session: Session, limit: int = 50) -> list[RunLine]:
    """The tenant's newest runs."""
    rows = session.exec(
        select(Run).where(Run.tenant_id == tenant_of(session)).order_by(col(Run.started_at).desc()).limit(limit)
    ).all()
    return [
        RunLine(
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
        for run in rows
    ]


@get("/cluster/runs", guards=[only(Kind.OPERATOR)], sync_to_thread=True)
def list_runs(request: Request[Any, Any, Any]) -> list[RunLine]:
    """The newest runs of all tenants, newest first."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.OPERATOR)
    lines: list[RunLine] = []
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            lines += runs_of(session)
    return sorted(lines, key=lambda line: line.started_at, reverse=True)[:200]


router = Router(path="/api/v1", route_handlers=[list_runs], tags=["cluster"])

"""Runs on the cluster, and the weights that they leave."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column, ForeignKeyConstraint, UniqueConstraint
from sqlmodel import Field

from likeness.ground.db import Moment, TenantRow, belongs_to, utc_now


class RunState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LOST = "lost"
    """It ended without an answer (`error` says how); another run takes the sitting up from the last checkpoint."""
    CANCELLED = "cancelled"


class Run(TenantRow, table=True):
    """One attempt at one sitting on the cluster."""

    __table_args__ = (
        belongs_to("employee", "employee_id"),
        belongs_to("sitting", "sitting_id"),
        UniqueConstraint("tenant_id", "sitting_id", "fence"),
    )

    employee_id: UUID = Field(index=True)
    sitting_id: UUID = Field(index=True)
    fence: int
    pack: int = 1
    """People in the order that the run was a part of: whose fault a loss was shows only in ever smaller orders."""
    state: str = RunState.RUNNING
    recipe: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    seconds: dict[str, float] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """Wall-clock seconds of each stage: load, train, render, judge."""
    step: int = 0
    steps: int = 0
    made: int = 0
    passed: int = 0
    likeness_ratio: float | None = None
    started_at: datetime = Moment(default_factory=utc_now)
    heartbeat_at: datetime = Moment(default_factory=utc_now)
    """The studio's last sign of life."""
    finished_at: datetime | None = Moment(default=None, nullable=True)
    error: str | None = None


class Weights(TenantRow, table=True):
    """A person's LoRA as an encrypted object; it never outlives the person's last selfie. The database refuses one of a
    sitting of somebody else."""

    __table_args__ = (
        belongs_to("employee", "employee_id"),
        ForeignKeyConstraint(
            ["tenant_id", "employee_id", "sitting_id"], ["sitting.tenant_id", "sitting.employee_id", "sitting.id"],
            name="weights_of_own_sitting", ondelete="CASCADE",
        ),
    )  # fmt: skip

    employee_id: UUID = Field(index=True)
    sitting_id: UUID
    kind: str
    """`checkpoint` or `adapter`."""
    path: str
    bytes: int
    created_at: datetime = Moment(default_factory=utc_now)
    due_at: datetime = Moment()

"""Erasures and the certificates that prove them. No row here hangs under the employee, because these outlive the person's
data; they hold opaque ids only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column, Index, UniqueConstraint, text
from sqlmodel import Field

from likeness.db import Moment, TenantRow, belongs_to, of_tenant, utc_now


class ErasureState(StrEnum):
    REQUESTED = "requested"
    HELD = "held"
    DELETING = "deleting"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    CERTIFIED = "certified"


class Erasure(TenantRow, table=True):
    """One person's things going away, all of them."""

    __table_args__ = (
        of_tenant(),
        Index("erasure_open", "tenant_id", "employee_id", unique=True,
              postgresql_where=text("state in ('requested','held','deleting','verifying','verified')")),
    )  # fmt: skip

    employee_id: UUID = Field(index=True)
    state: str = ErasureState.REQUESTED
    trigger: str
    """`person`, `withdrawal`, `undo`, `retention` or `tenant-exit`."""
    requested_by: str
    requested_at: datetime = Moment(default_factory=utc_now)
    counts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """What was found before deletion, for each class: objects, bytes, created, due, deleted_at."""
    scan: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    verified_at: datetime | None = Moment(default=None, nullable=True)
    failures: int = 0


class Certificate(TenantRow, table=True):
    __table_args__ = (belongs_to("erasure", "erasure_id"), UniqueConstraint("tenant_id", "erasure_id", "stage"))

    erasure_id: UUID
    stage: int = 1
    document: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    jws: str
    issued_at: datetime = Moment(default_factory=utc_now)


class Hold(TenantRow, table=True):
    """A legal hold: erasure and retention wait while it stands. Biometrics need a warrant or subpoena reference."""

    __table_args__ = (of_tenant(),)

    employee_id: UUID = Field(index=True)
    reference: str
    reason: str
    placed_by: UUID
    confirmed_by: UUID | None = None
    placed_at: datetime = Moment(default_factory=utc_now)
    expires_at: datetime = Moment()
    lifted_at: datetime | None = Moment(default=None, nullable=True)


class RequestKind(StrEnum):
    ACCESS = "access"
    ERASURE = "erasure"


class Request(TenantRow, table=True):
    """A data-subject request and the times it passed."""

    __table_args__ = (of_tenant(),)

    employee_id: UUID = Field(index=True)
    kind: str
    regime: str = "gdpr"
    received_at: datetime = Moment(default_factory=utc_now)
    due_at: datetime = Moment()
    done_at: datetime | None = Moment(default=None, nullable=True)

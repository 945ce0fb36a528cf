"""Erasures and the certificates that prove them. No row here hangs under the employee, because these outlive the person's
data; they hold opaque ids only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, Column, Index, UniqueConstraint, text
from sqlmodel import Field

from likeness.db import Moment, TenantRow, belongs_to, of_tenant, utc_now


class ErasureState(StrEnum):
    REQUESTED = "requested"
    HELD = "held"
    DELETING = "deleting"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    CERTIFIED = "certified"


OPEN = tuple(state for state in ErasureState if state != ErasureState.CERTIFIED)


class Trigger(StrEnum):
    PERSON = "person"
    WITHDRAWAL = "withdrawal"
    ADDRESS = "address-change"
    """Nobody at the old address answered whether the new one is theirs."""
    UNDO = "undo"
    RETENTION = "retention"
    TENANT_EXIT = "tenant-exit"


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
    requested_by: str
    requested_at: datetime = Moment(default_factory=utc_now)
    receipt_hash: bytes | None = Field(default=None, unique=True)
    """Of the token with which the person fetches the certificate once their session is gone."""
    counts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """What was found before deletion, for each class: objects, bytes, created, due, deleted_at."""
    recipients: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Who downloaded released headshots, and when (GDPR article 19)."""
    traces: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """What the re-scan looks for besides the id; emptied after the last look."""
    scan: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    settled_at: datetime | None = Moment(default=None, nullable=True)
    """Until then a run on the cluster that was told to stop may still write; nothing is verified before."""
    deleted_at: datetime | None = Moment(default=None, nullable=True)
    verified_at: datetime | None = Moment(default=None, nullable=True)
    looked_again_at: datetime | None = Moment(default=None, nullable=True)
    failures: int = 0


class Certificate(TenantRow, table=True):
    __table_args__ = (belongs_to("erasure", "erasure_id"), UniqueConstraint("tenant_id", "erasure_id", "stage"))

    erasure_id: UUID
    stage: int = 1
    document: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    jws: str
    issued_at: datetime = Moment(default_factory=utc_now)


class Basis(StrEnum):
    """What a hold may rest on. It keeps faces from being deleted, so a mere expectation of a dispute is not enough."""

    WARRANT = "warrant"
    SUBPOENA = "subpoena"


class Hold(TenantRow, table=True):
    """A legal hold: erasure and retention wait while it is confirmed, not lifted and not run out."""

    __table_args__ = (
        of_tenant(),
        CheckConstraint("confirmed_by <> placed_by", name="hold_two_people"),
        CheckConstraint("lifted_by <> lift_asked_by", name="hold_lifted_by_two"),
        CheckConstraint("reference <> ''", name="hold_reference"),
    )

    employee_id: UUID = Field(index=True)
    basis: str = Basis.SUBPOENA
    reference: str
    reason: str
    placed_by: UUID
    placed_at: datetime = Moment(default_factory=utc_now)
    confirmed_by: UUID | None = None
    confirmed_at: datetime | None = Moment(default=None, nullable=True)
    expires_at: datetime = Moment()
    lift_asked_by: UUID | None = None
    lift_asked_at: datetime | None = Moment(default=None, nullable=True)
    """One of two wants it lifted; until the second does too, it stands."""
    lifted_by: UUID | None = None
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

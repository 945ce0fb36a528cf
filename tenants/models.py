"""Companies, the people who work the desk, the looks they approved, and what they paid for."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import JSON, CheckConstraint, Column, UniqueConstraint
from sqlmodel import Field, SQLModel

from likeness.db import Moment, TenantRow, of_tenant, utc_now

CUTOUT = "cutout"
"""The recipe that makes no model of anybody: the person's own photos, cut out and set on the company's backdrop."""


class Role(StrEnum):
    HR = "hr"
    LEGAL = "legal"
    OPERATOR = "operator"
    """Only members of the platform's own tenant hold it."""


class Tenant(SQLModel, table=True):
    """A company: the controller of its employees' data."""

    __table_args__ = (
        CheckConstraint("source_days between 0 and 7", name="tenant_source_days"),
        CheckConstraint("headshot_days between 1 and 30", name="tenant_headshot_days"),
    )

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str
    contact: str = ""
    """Where employees reach the controller's data protection officer."""
    authority: str = ""
    """The supervisory authority that complaints go to."""
    source_days: int = 7
    """Days until selfies and weights are gone; a tenant may shorten only."""
    headshot_days: int = 30
    employee_quota: int = 500
    recipes: list[str] = Field(default_factory=lambda: [CUTOUT], sa_column=Column(JSON, nullable=False))
    """What the company offers its people, the one it prefers first: CUTOUT, or the base that the installation has."""
    created_at: datetime = Moment(default_factory=utc_now)
    left_at: datetime | None = Moment(default=None, nullable=True)


class Member(TenantRow, table=True):
    """Somebody who works the desk. Name and address are sealed under the member's own profile key."""

    __table_args__ = (UniqueConstraint("tenant_id", "email_index"), of_tenant())

    email_index: bytes
    profile: bytes
    roles: list[str] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = Moment(default_factory=utc_now)
    invited_by: UUID | None = None
    """The member who did; None for a company's first, whom the operator named."""
    roles_by: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """The ids of all who changed the roles since the invitation or let the member back; none is ever taken out."""
    roles_at: datetime = Moment(default_factory=utc_now)
    joined_at: datetime | None = Moment(default=None, nullable=True)
    """The first sign-in; until then the invitation waits."""
    signed_in_at: datetime | None = Moment(default=None, nullable=True)
    disabled_at: datetime | None = Moment(default=None, nullable=True)


class Look(TenantRow, table=True):
    """Backdrop, framing and dress that the company approved; a change makes a new version."""

    __table_args__ = (UniqueConstraint("tenant_id", "name", "version"), of_tenant())

    name: str
    version: int = 1
    backdrop: str
    wall: str = "gradient:#c3cad2"
    """What stands behind a studio portrait: `#rrggbb`, `gradient:#rrggbb` or `office`."""
    dress: str
    framing: str
    light: str
    created_at: datetime = Moment(default_factory=utc_now)
    retired_at: datetime | None = Moment(default=None, nullable=True)


class CreditReason(StrEnum):
    GRANT = "grant"
    RESERVE = "reserve"
    RELEASE = "release"
    """A reservation that was given back, because the person declined or left."""
    REFUND = "refund"


class Credit(TenantRow, table=True):
    """One movement of credits; the balance is their sum. A movement happens once for each (reason, cause)."""

    __table_args__ = (UniqueConstraint("tenant_id", "reason", "cause"), of_tenant())

    amount: int
    reason: str
    cause: str
    """An opaque id: the employee whose sitting it is, or the order that granted credits."""
    at: datetime = Moment(default_factory=utc_now)

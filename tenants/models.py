"""Companies, the people who work the desk, the looks they approved, and what they paid for."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import JSON, CheckConstraint, Column, LargeBinary, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from likeness.ground.db import Moment, TenantRow, of_tenant, utc_now
from likeness.locale.languages import ENGLISH

CUTOUT = "cutout"
"""The recipe that makes no model of anybody: the person's own photos, cut out and set on the company's backdrop."""
REFERENCE = "-reference"
"""How the name of a recipe ends that trains nothing and draws from a person's own selfies."""


class Role(StrEnum):
    """What each may do is in `members/permissions.py` alone."""

    OWNER = "owner"
    """Sets the company's terms and says who works here; sees nobody's name and no act."""
    HR = "hr"
    BRAND = "brand"
    LEGAL = "legal"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    """Only members of the platform's own tenant hold it."""


class Tenant(SQLModel, table=True):
    """A company: the controller of its employees' data."""

    __table_args__ = (
        CheckConstraint("source_days between 1 and 7", name="tenant_source_days"),
        CheckConstraint("headshot_days between 1 and 30", name="tenant_headshot_days"),
        CheckConstraint("leaver_days between 0 and 30", name="tenant_leaver_days"),
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
    """The ways that the company chose, the one it prefers first: CUTOUT, or a base that the installation had then."""
    base: str = Field(default=CUTOUT, sa_column_kwargs={"server_default": CUTOUT})
    """What this installation makes headshots with beside CUTOUT, as whoever looks after its cluster last said; CUTOUT for
    nothing."""
    language: str = ENGLISH
    """For its members, and for people whose own language nobody named."""
    time_zone: str = "UTC"
    """In which its people read days and times, by its IANA name."""
    colour: str = ""
    """Of its mails, as #rrggbb; empty for the one of Likeness."""
    sender_name: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """That its mails come from, before the address; empty for the installation's own name."""
    leaver_days: int = Field(default=7, sa_column_kwargs={"server_default": "7"})
    """Days until everything of somebody is deleted whom the company's directory says to have left."""
    invite_joiners: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Whoever the directory adds is invited at once."""
    free_crops: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """Its people may move their crops further than their heads stay alike."""
    loosened: float = Field(default=1.0, sa_column_kwargs={"server_default": "1"})
    """By how much the frame of its studio portraits is loosened, in coarse steps; never less than it was."""
    approves: bool = Field(default=False, sa_column_kwargs={"server_default": "false"})
    """It looks at released headshots before it uses them."""
    created_at: datetime = Moment(default_factory=utc_now)
    suspended_at: datetime | None = Moment(default=None, nullable=True)
    """Since when nothing new is begun for it; see `suspension.py`."""
    left_at: datetime | None = Moment(default=None, nullable=True)

    @property
    def offered(self) -> list[str]:
        """What the company chose and this installation can make; studio portraits, which each one makes, where it can make
        nothing of it."""
        return [recipe for recipe in self.recipes if recipe not in self.away] or [CUTOUT]

    @property
    def away(self) -> list[str]:
        """What the company chose and this installation cannot make."""
        return [recipe for recipe in self.recipes if recipe not in (CUTOUT, self.base)]


class Member(TenantRow, table=True):
    """Somebody who works the desk. Name and address are sealed under the member's own profile key."""

    __table_args__ = (UniqueConstraint("tenant_id", "email_index"), of_tenant())

    email_index: bytes
    profile: bytes
    roles: list[str] = Field(sa_column=Column(JSON, nullable=False))
    departments: list[str] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    """Digests, in hexadecimal, of the departments whose people the member may see; None for everybody. Their names are
    in the profile."""
    created_at: datetime = Moment(default_factory=utc_now)
    invited_by: UUID | None = None
    """The member who did; None for a company's first, whom the operator named."""
    roles_by: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """The ids of all who changed the roles since the invitation or let the member back; none is ever taken out."""
    roles_at: datetime = Moment(default_factory=utc_now)
    joined_at: datetime | None = Moment(default=None, nullable=True)
    """The first sign-in; until then the invitation waits."""
    signed_in_at: datetime | None = Moment(default=None, nullable=True)
    seen_at: datetime | None = Moment(default=None, nullable=True)
    """When they last did something at the desk, to within five minutes. It outlives their sessions."""
    disabled_at: datetime | None = Moment(default=None, nullable=True)


class Look(TenantRow, table=True):
    """Backdrop, framing and dress that the company approved; a change makes a new version."""

    __table_args__ = (UniqueConstraint("tenant_id", "name", "version"), of_tenant())

    name: str
    version: int = 1
    backdrop: str
    wall: str = "gradient:#c3cad2"
    """What stands behind a studio portrait: `#rrggbb`, `gradient:#rrggbb`, `office` or `picture:` and a Backdrop's id."""
    dress: str
    framing: str
    light: str
    departments: list[bytes] | None = Field(default=None, sa_column=Column(ARRAY(LargeBinary()), nullable=True))
    """Digests of the departments whose people get it; None for everybody whose department has no look of its own, empty
    for nobody yet."""
    sealed_departments: bytes | None = None
    """How these are called, sealed under the look's own key."""
    created_at: datetime = Moment(default_factory=utc_now)
    retired_at: datetime | None = Moment(default=None, nullable=True)


class LookPack(TenantRow, table=True):
    """Looks that go together under a name, see `packs.py`."""

    __tablename__ = "look_pack"
    __table_args__ = (UniqueConstraint("tenant_id", "name"), of_tenant())

    name: str
    looks: list[UUID] = Field(default_factory=list, sa_column=Column(ARRAY(Uuid()), nullable=False))
    created_at: datetime = Moment(default_factory=utc_now)


class Backdrop(TenantRow, table=True):
    """A picture of the company's own that stands behind studio portraits; it is gone with the last look that names it."""

    __table_args__ = (of_tenant(),)

    picture: bytes
    """A square JPEG made from the pixels alone."""
    created_at: datetime = Moment(default_factory=utc_now)


class CreditReason(StrEnum):
    GRANT = "grant"
    RESERVE = "reserve"
    CHARGE = "charge"
    """Headshots are there to choose from: the reservation is used. Its amount is 0, because the reservation took it."""
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

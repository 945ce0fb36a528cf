"""The roster: people and everything that belongs to them. What people do is a timestamp; what a machine claims is a state.

Everything of one person hangs under `employee` by a cascading foreign key that carries the tenant.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, CheckConstraint, Column, ForeignKeyConstraint, Index, UniqueConstraint, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from likeness.ground.db import Moment, TenantRow, belongs_to, of_tenant, utc_now
from tenants.models import CUTOUT


class Batch(TenantRow, table=True):
    """One roster that HR dropped, and what it is for."""

    __table_args__ = (UniqueConstraint("tenant_id", "workbook_digest"), of_tenant())

    sealed_name: bytes | None = None
    """What HR calls it, sealed under the batch's own key; see `roster/naming.py`."""
    sealed_note: bytes | None = None
    """What HR writes to everybody of it, sealed in the same way; see `people/notes.py`."""
    unsealed_name: str | None = None
    """What an older version called it in clear, until it is sealed at the next start."""
    due_on: date | None = None
    pack_id: UUID | None = None  # Of looks. No foreign key: a pack that was removed chooses nothing.
    created_by: UUID
    created_at: datetime = Moment(default_factory=utc_now)
    workbook_digest: str | None = None
    """Keyed digest of the workbook's bytes, so that the same file dropped twice makes one batch."""
    imported_at: datetime | None = Moment(default=None, nullable=True)
    undone_at: datetime | None = Moment(default=None, nullable=True)
    mapping: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """What somebody said about the columns: our field to the file's heading, or to nothing."""
    shape: str | None = None
    """Stands for the set of headings that `mapping` is about; other files are not read by it."""
    workbook_id: UUID | None = None
    """Names the raw file and the owner of its key; None when it is gone."""
    workbook_due_at: datetime | None = Moment(default=None, nullable=True)
    """When the raw file goes, 24 hours after it came at the latest; None when it is gone."""


NAMES_DAYS = 365
"""After which a name goes of whom nothing new was kept or asked: told in the notice, done by
`compliance/rights/lasting.py`."""


class Employee(TenantRow, table=True):
    """A person. Who they are is sealed under their own profile key; the indexes only allow to find them again."""

    __table_args__ = (
        *(UniqueConstraint("tenant_id", one) for one in ("email_index", "key_index", "roster_id", "user_name_index")),
        Index("employee_leaving", "tenant_id", "leaves_at"),
        *(Index(f"employee_{one}", "tenant_id", f"{one}_index") for one in ("department", "site", "manager")),
        belongs_to("batch", "batch_id"),
        of_tenant(),
    )

    roster_id: UUID = Field(default_factory=uuid4)
    """What HR calls this line by. It stays when a withdrawal gives the person a new id, so that HR cannot tell by it
    who withdrew; nothing that belongs to the person hangs under it."""
    batch_id: UUID = Field(index=True)
    row: int
    email_index: bytes
    key_index: bytes | None = None
    department_index: bytes | None = None
    """None until it was looked at: nobody who is bound to a department sees the line then."""
    site_index: bytes | None = None
    manager_index: bytes | None = None
    """Of the manager's address. Both None until they were looked at: the line is found by neither then."""
    user_name_index: bytes | None = None
    """Stands for the person's name in the company's directory; None for who is none of its users."""
    external_index: bytes | None = None
    profile: bytes
    reads: bytes | None = None
    """The language that the person chose on their own page, sealed like the profile; it goes before the list's."""
    created_at: datetime = Moment(default_factory=utc_now)
    pilot_at: datetime | None = Moment(default=None, nullable=True)
    """Since when they are one of the three with whom HR tries the batch; see `pilots/pilots.py`."""
    leaves_at: datetime | None = Moment(default=None, nullable=True)
    """The directory says that they left: when everything of theirs is deleted."""
    opted_out_at: datetime | None = Moment(default=None, nullable=True)
    """Declined, withdrew or ran out: HR sees the same word for all of them."""
    restricted_at: datetime | None = Moment(default=None, nullable=True)


class AddressChange(TenantRow, table=True):
    """The company has another address for somebody who has consented: only that person can say that it is theirs."""

    __tablename__ = "address_change"
    __table_args__ = (
        belongs_to("employee", "employee_id"),
        Index("address_change_open", "tenant_id", "employee_id", unique=True,
              postgresql_where=text("ended_at is null")),
    )  # fmt: skip

    employee_id: UUID = Field(index=True)
    asked_by: str
    asked_at: datetime = Moment()
    until: datetime = Moment()
    """When silence ends it: what was handed in is deleted then, and the new address gets an empty visit."""
    email_index: bytes
    sealed: bytes
    """The new address, sealed under the person's profile key."""
    token_hash: bytes | None = Field(default=None, unique=True)
    """Of the link in the mail to the address as it is; None until that mail is written."""
    token_sealed: bytes | None = None
    """The token itself under the person's profile key, so that a reminder carries the link that the first mail had."""
    reminders: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    ended_at: datetime | None = Moment(default=None, nullable=True)
    outcome: str | None = None


class Correction(TenantRow, table=True):
    """What a person's line said before an import corrected it, kept as long as that import can be undone."""

    __table_args__ = (belongs_to("employee", "employee_id"), belongs_to("batch", "batch_id"))

    employee_id: UUID = Field(index=True)
    batch_id: UUID = Field(index=True)
    at: datetime = Moment()
    due_at: datetime = Moment()
    """When it is deleted, undone or not."""
    before: bytes
    """The profile as it was, sealed under the person's profile key."""
    after_digest: bytes
    """Of the sealed profile as the import left it: whatever was said since is not undone."""


class Invitation(TenantRow, table=True):
    """A person is asked to take part. At most one stands at a time; the mails that lead to it are its links."""

    __table_args__ = (
        belongs_to("employee", "employee_id"),
        Index("invitation_standing", "tenant_id", "employee_id", unique=True,
              postgresql_where=text("revoked_at is null")),
    )  # fmt: skip

    employee_id: UUID = Field(index=True)
    created_at: datetime = Moment(default_factory=utc_now)
    expires_at: datetime = Moment()
    """When its newest link runs out."""
    delivered_at: datetime | None = Moment(default=None, nullable=True)
    opened_at: datetime | None = Moment(default=None, nullable=True)
    revoked_at: datetime | None = Moment(default=None, nullable=True)
    bounced_at: datetime | None = Moment(default=None, nullable=True)
    mails: int = 0  # With a link, that were asked for: a part of each mail's campaign, so that none goes out twice.
    reminders: int = 0
    reminded_at: datetime | None = Moment(default=None, nullable=True)
    quiet: bool = False  # HR is told nothing of what becomes of its mails: `mailing.reached`.


class Link(TenantRow, table=True):
    """One mail's way in, good for one use. The token itself is never stored."""

    __table_args__ = (belongs_to("employee", "employee_id"), belongs_to("invitation", "invitation_id"))

    employee_id: UUID = Field(index=True)
    invitation_id: UUID = Field(index=True)
    token_hash: bytes = Field(unique=True)
    mail_id: UUID
    created_at: datetime = Moment(default_factory=utc_now)
    expires_at: datetime = Moment()
    used_at: datetime | None = Moment(default=None, nullable=True)


class Notice(TenantRow, table=True):
    """What a person was told, word for word; the same version renders to the same digest for ever."""

    __table_args__ = (UniqueConstraint("tenant_id", "version", "language", "digest"), of_tenant())

    version: str
    language: str
    text: str
    digest: str
    """SHA-256 of the text, hexadecimal."""
    created_at: datetime = Moment(default_factory=utc_now)


class Purpose(StrEnum):
    HEADSHOTS = "headshots"
    """Selfies are used to train this person's own model and to render their headshots."""
    DRAWN = "drawn"
    """A model that exists already looks at selfies while it draws headshots; nothing is trained."""
    PORTRAIT = "portrait"
    """Photos are cut out and set on the company's backdrop; nothing is trained."""
    BIOMETRIC = "biometric"
    """Face measures are taken in memory to check that the headshots look like the person."""


class Consent(TenantRow, table=True):
    """One person's answer to one purpose of one notice."""

    __table_args__ = (
        belongs_to("employee", "employee_id"),
        belongs_to("notice", "notice_id"),
        UniqueConstraint("tenant_id", "employee_id", "id"),
        Index("consent_standing", "tenant_id", "employee_id", "purpose", "notice_id", unique=True,
              postgresql_where=text("withdrawn_at is null")),
    )  # fmt: skip

    employee_id: UUID = Field(index=True)
    notice_id: UUID
    purpose: str
    given_at: datetime = Moment()
    withdrawn_at: datetime | None = Moment(default=None, nullable=True)
    signature: bytes
    """The typed name, sealed under the person's profile key."""
    named_otherwise: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """The list has another name, and the person said that this one is theirs."""
    signed_receipt: str | None = None
    """In the structure of ISO/IEC TS 27560, signed; it names the person by their random id alone."""


class PhotoState(StrEnum):
    CHECKING = "checking"
    CHOOSING = "choosing"
    """Several people are in it: the person has to tap their own face, then it is cropped and checked again."""
    ADVISED = "advised"
    """Usable, but a better one is easy to take; it counts once the person says to use it anyway."""
    ACCEPTED = "accepted"
    ASIDE = "aside"
    """It seems to show somebody else than the photos that count; kept until the person has said who it is."""
    SPARE = "spare"
    """Nearly the same as another photo, which is the better one and counts for both."""
    REJECTED = "rejected"


class Photo(TenantRow, table=True):
    """A selfie. The row cannot exist without the consent it rests on."""

    __table_args__ = (
        belongs_to("employee", "employee_id"),
        ForeignKeyConstraint(
            ["tenant_id", "employee_id", "consent_id"],
            ["consent.tenant_id", "consent.employee_id", "consent.id"],
            ondelete="CASCADE",
        ),
        UniqueConstraint("tenant_id", "employee_id", "digest"),
    )

    employee_id: UUID = Field(index=True)
    consent_id: UUID
    state: str = PhotoState.CHECKING
    path: str
    """Of the encrypted object: the picture as it came until it is checked, then a clean one without metadata."""
    digest: str
    """Of the bytes as they came, for exact duplicates and repeated uploads; see `photos/digests.py`."""
    bytes: int = 0
    width: int = 0
    height: int = 0
    pose: str = ""
    findings: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    faces: list[list[int]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Where the faces are, for tapping one's own: left, top, right, bottom in pixels; never what they look like."""
    face: int | None = None
    """Which of the faces the person tapped."""
    dress: list[int] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    """The colour of what is worn, red, green and blue, for the advice to wear something else once."""
    used_anyway: bool = False
    waved: bool = False
    """HR let it count without seeing it."""
    person: int | None = None
    """Which of the people on this person's photos it shows: a number that means nothing outside of the set, given anew
    at each comparison; None when it was not compared."""
    is_me: bool | None = None
    """What the person said about it: it shows them, or somebody else."""
    twin_of: UUID | None = None
    """The better photo of nearly the same moment."""
    created_at: datetime = Moment(default_factory=utc_now)
    checked_at: datetime | None = Moment(default=None, nullable=True)
    removed_at: datetime | None = Moment(default=None, nullable=True)
    """The person deleted it while a legal hold keeps it: it is used for nothing, and goes when the hold ends."""
    missing_since: datetime | None = Moment(default=None, nullable=True)
    """When a sweep first found no object for it; it does not count until the object is back or the person adds it again."""
    due_at: datetime = Moment()
    """The absolute time of its deletion, set at creation."""


class Upload(TenantRow, table=True):
    """A photo that is still arriving: what came lies sealed, and is gone a day after it began."""

    __table_args__ = (
        belongs_to("employee", "employee_id"),
        ForeignKeyConstraint(
            ["tenant_id", "employee_id", "consent_id"],
            ["consent.tenant_id", "consent.employee_id", "consent.id"],
            ondelete="CASCADE",
        ),
        CheckConstraint("received between 0 and length", name="upload_received"),
    )

    employee_id: UUID = Field(index=True)
    consent_id: UUID
    length: int
    received: int = 0
    path: str | None = None
    """Of the object with what came so far; none before the first byte, and none once it is a photo."""
    digest: str = ""
    """What the photo's digest will be, where the browser could say it before it began."""
    photo_id: UUID | None = None
    """The photo that it became."""
    created_at: datetime = Moment(default_factory=utc_now)
    touched_at: datetime = Moment(default_factory=utc_now)
    due_at: datetime = Moment()


class SittingState(StrEnum):
    READY = "ready"
    TRAINING = "training"
    RENDERING = "rendering"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (SittingState.READY, SittingState.TRAINING, SittingState.RENDERING)


class Sitting(TenantRow, table=True):
    """One fine-tune plus renders for one employee."""

    __table_args__ = (
        belongs_to("employee", "employee_id"),
        Index("sitting_active", "tenant_id", "employee_id", unique=True,
              postgresql_where=text("state in ('ready','training','rendering')")),
        Index("sitting_ready", "state", "created_at"),
        UniqueConstraint("tenant_id", "employee_id", "id", name="sitting_of_one_person"),
    )  # fmt: skip

    employee_id: UUID = Field(index=True)
    state: str = SittingState.READY
    fence: int = 0
    """Counts the claims: who writes a result must still hold the number it claimed with."""
    seed: int
    recipe: str = CUTOUT
    """How the headshots are made: CUTOUT, or the base that a model of this person is trained on."""
    looks: list[UUID] = Field(default_factory=list, sa_column=Column(ARRAY(Uuid()), nullable=False, server_default="{}"))
    """What it began with; empty of an older version, whose looks are those of the moment when it is claimed."""
    reshoot_of: UUID | None = None
    created_at: datetime = Moment(default_factory=utc_now)
    changed_at: datetime = Moment(default_factory=utc_now)
    failure: str | None = None
    """A reason in plain words, made by the program."""
    missed: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """The looks of which nothing passed, each with the judge's name for what was wrong with most of its pictures."""
    unused: dict[str, str] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False, server_default="{}"))
    """The photos that nothing came of, each with the name of what was wrong."""


class Headshot(TenantRow, table=True):
    """A rendered picture that passed the judge."""

    __table_args__ = (
        belongs_to("employee", "employee_id"),
        belongs_to("sitting", "sitting_id"),
        belongs_to("look", "look_id"),
        UniqueConstraint("tenant_id", "sitting_id", "number"),
        UniqueConstraint("tenant_id", "shelf_id"),
    )

    shelf_id: UUID = Field(default_factory=uuid4, sa_column_kwargs={"server_default": text("gen_random_uuid()")})
    """What HR and its programs call it by. The log has `id` alone, so that no file of HR's says whose entries there are."""
    employee_id: UUID = Field(index=True)
    sitting_id: UUID = Field(index=True)
    look_id: UUID
    number: int
    path: str
    bytes: int
    likeness_ratio: float | None = None
    """Of a picture that a model made; None for the person's own photo, which needs no comparison."""
    question: str | None = None
    """What the person should look at before they release a studio portrait: a name of `cutout.check.LIMITS`."""
    loosening: float | None = None
    """By how much the company's frame has to be loosened for this person's hair. None: no frame is cut from it."""
    photo_id: UUID | None = None
    """The photo that a studio portrait was cut from. No foreign key: the photo goes first."""
    closer: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    raised: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """Steps by which its owner moved the crop, see `vision/presets.py`."""
    edit_of: UUID | None = None
    """The released headshot whose place it takes once it is released itself. No foreign key: that one may go first."""
    draft: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """An edit that its owner has neither kept nor dropped: it is no headshot of theirs yet, and cannot be released."""
    favourite_at: datetime | None = Moment(default=None, nullable=True)
    created_at: datetime = Moment(default_factory=utc_now)
    due_at: datetime = Moment()


class Release(TenantRow, table=True):
    """The person's decision that HR may have a headshot."""

    __table_args__ = (
        belongs_to("employee", "employee_id"),
        belongs_to("headshot", "headshot_id"),
        UniqueConstraint("tenant_id", "headshot_id"),
    )

    employee_id: UUID = Field(index=True)
    headshot_id: UUID
    at: datetime = Moment(default_factory=utc_now)
    downloaded_at: datetime | None = Moment(default=None, nullable=True)
    approved_at: datetime | None = Moment(default=None, nullable=True)
    returned_at: datetime | None = Moment(default=None, nullable=True)
    """When the company asked for another picture in its place, and for which reason, see `sittings/approvals.py`."""
    returned_for: str | None = None
    kept_at: datetime | None = Moment(default=None, nullable=True)
    """When its owner answered that they keep it."""


class NotMe(TenantRow, table=True):
    """The person said of a headshot that it is not them: how like them the judge had found it, so that what is made from
    then on is liker. The headshot itself is deleted."""

    __tablename__ = "not_me"
    __table_args__ = (belongs_to("employee", "employee_id"), belongs_to("sitting", "sitting_id"))

    employee_id: UUID = Field(index=True)
    sitting_id: UUID
    created_at: datetime = Moment(default_factory=utc_now)
    """When they said so."""
    likeness_ratio: float
    ended_at: datetime | None = Moment(default=None, nullable=True)
    """When they took back what it was made for: it counts for nothing any more, and only a legal hold keeps it."""


class TakeBack(TenantRow, table=True):
    """The person took back a headshot that HR had downloaded: HR is asked to delete its copy, in the sight of both."""

    __tablename__ = "take_back"
    __table_args__ = (
        belongs_to("employee", "employee_id"),
        UniqueConstraint("tenant_id", "employee_id", "headshot_id"),
    )

    employee_id: UUID = Field(index=True)
    headshot_id: UUID | None = None
    """No foreign key: HR's copy outlives the headshot. None once the person's own things are gone."""
    downloaded_at: datetime = Moment()
    asked_at: datetime = Moment()
    deleted_at: datetime | None = Moment(default=None, nullable=True)
    """When somebody at HR said that the copy is deleted. Likeness cannot see it."""
    deleted_by: UUID | None = None

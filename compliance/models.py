"""Erasures and the certificates that prove them. No row here hangs under the employee, because these outlive the person's
data; they hold opaque ids only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, Column, Index, UniqueConstraint, text
from sqlmodel import Field

from likeness.ground.db import Moment, TenantRow, belongs_to, of_tenant, utc_now


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
    LEAVER = "leaver"
    """The company's directory said that they left, and the days of its rule are over."""
    UNDO = "undo"
    RETENTION = "retention"
    TENANT_EXIT = "tenant-exit"
    EMPLOYER = "employer"
    """HR deleted the person, alone or with a batch."""


LEFT_BY = (Trigger.WITHDRAWAL, Trigger.ADDRESS)
"""Erasures after which the company still has its own line; every other leaves none."""


EVERYTHING = "everything"


class Erasure(TenantRow, table=True):
    """One person's things going away: all of them, or those of one class on their last day."""

    __table_args__ = (
        of_tenant(),
        Index("erasure_open", "tenant_id", "employee_id", "scope", unique=True,
              postgresql_where=text("state in ('requested','held','deleting','verifying','verified')")),
        Index("erasure_recipients", "tenant_id", postgresql_where=text("recipients_settled_at is null")),
    )  # fmt: skip

    employee_id: UUID = Field(index=True)
    state: str = ErasureState.REQUESTED
    trigger: str
    scope: str = EVERYTHING
    """`everything`, or the one class of keys whose last day came."""
    language: str = "en"
    """The person's, for the certificate that is written when nothing of theirs is left to ask."""
    subject_commitment: str | None = None
    """Whose it is, for whoever has the proof code: see `proof/whose.py`."""
    requested_by: str
    requested_at: datetime = Moment(default_factory=utc_now)
    receipt_hash: bytes | None = Field(default=None, unique=True)
    """Of the token with which the person fetches the certificate once their session is gone."""
    counts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    """What was found before deletion, for each class: objects, bytes, created, due, deleted_at."""
    recipients: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Who downloaded released headshots, and when (GDPR article 19); how they were informed, or why not."""
    recipients_settled_at: datetime | None = Moment(default=None, nullable=True)
    """When the last of them was informed or excused; a request to delete is not answered before."""
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
    """Of somebody's deletion, or of a company that left: one of the two."""

    __table_args__ = (
        belongs_to("erasure", "erasure_id"),
        belongs_to("departure", "departure_id"),
        UniqueConstraint("tenant_id", "erasure_id", "stage"),
        UniqueConstraint("tenant_id", "departure_id", "stage"),
        CheckConstraint("(erasure_id is null) <> (departure_id is null)", name="certificate_of_one"),
    )

    erasure_id: UUID | None = None
    departure_id: UUID | None = None
    stage: int = 1
    document: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    jws: str
    paper: bytes | None = None
    """The page for people: a sealed PDF."""
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
        CheckConstraint("made_until > made_from", name="hold_period"),
    )

    employee_id: UUID = Field(index=True)
    basis: str = Basis.SUBPOENA
    sealed: bytes | None = None
    """Reference and reason, under a key of the hold's own. None for a hold whose words a restored backup did not have."""
    unsealed_reference: str | None = None
    unsealed_reason: str | None = None
    """As an older version wrote them in clear, until they are sealed at the next start."""
    placed_by: UUID
    placed_at: datetime = Moment(default_factory=utc_now)
    confirmed_by: UUID | None = None
    confirmed_at: datetime | None = Moment(default=None, nullable=True)
    expires_at: datetime = Moment()
    classes: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """What of the person it covers, by class of keys; everything where none is named."""
    made_from: datetime | None = Moment(default=None, nullable=True)
    made_until: datetime | None = Moment(default=None, nullable=True)
    """Only what was made from the one moment on and before the other; None for no bound."""
    barred: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    """Whoever issued it forbids telling the person: no letter, and nothing on their pages."""
    lift_asked_by: UUID | None = None
    lift_asked_at: datetime | None = Moment(default=None, nullable=True)
    """One of two wants it lifted; until the second does too, it stands."""
    lifted_by: UUID | None = None
    lifted_at: datetime | None = Moment(default=None, nullable=True)


class RequestKind(StrEnum):
    ACCESS = "access"
    PORTABILITY = "portability"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    KNOW = "know"
    DELETE = "delete"
    CORRECT = "correct"
    OPT_OUT = "opt-out"
    LIMIT = "limit"


CALIFORNIAN = frozenset(
    {RequestKind.KNOW, RequestKind.DELETE, RequestKind.CORRECT, RequestKind.OPT_OUT, RequestKind.LIMIT}
)
"""Rights of the CCPA; the others are the GDPR's."""
BY_PACKAGE = frozenset({RequestKind.ACCESS, RequestKind.PORTABILITY, RequestKind.KNOW})
"""Answered when the person took their package."""
BY_ERASURE = frozenset({RequestKind.ERASURE, RequestKind.DELETE})
"""Answered when the erasure is certified."""
BY_CORRECTION = frozenset({RequestKind.RECTIFICATION, RequestKind.CORRECT})
BY_STOPPING = frozenset({RequestKind.RESTRICTION, RequestKind.OBJECTION, RequestKind.OPT_OUT, RequestKind.LIMIT})
"""Nothing more is made of the person's photos from the moment in which they ask."""


class Method(StrEnum):
    """How a request came in."""

    SIGNED_IN = "signed-in"
    LETTER = "letter"
    MAIL = "mail"
    PHONE = "phone"
    IN_PERSON = "in-person"


class Verification(StrEnum):
    """How it is known who asks. There is none by a copy of a passport."""

    SIGNED_IN = "signed-in"
    KNOWN = "known-in-person"
    CALLED_BACK = "called-back"


class Extension(StrEnum):
    COMPLEX = "complex"
    MANY = "many-requests"


class Refusal(StrEnum):
    """Reason codes of the Data Rights Protocol 1.0."""

    NO_MATCH = "no_match"
    NOT_VERIFIED = "insuf_verification"
    NOT_COVERED = "claim_not_covered"
    OUTSIDE = "outside_jurisdiction"
    TOO_MANY = "too_many_requests"


class Excuse(StrEnum):
    """Why a recipient is not informed (GDPR article 19)."""

    IMPOSSIBLE = "impossible"
    DISPROPORTIONATE = "disproportionate-effort"


class Means(StrEnum):
    """How somebody was informed whom no mail of this program reached."""

    PHONE = "by-telephone"
    IN_PERSON = "in-person"
    LETTER = "by-letter"
    MESSAGE = "by-another-message"


class Request(TenantRow, table=True):
    """A data-subject request and the times it passed. It holds codes and times; what was written is in the letters."""

    __table_args__ = (
        of_tenant(),
        CheckConstraint(
            "verified_at >= received_at and dispatched_at >= verified_at and done_at >= received_at"
            " and (dispatched_at is null or done_at >= dispatched_at) and delivered_at >= done_at",
            name="request_stages",
        ),
        CheckConstraint("(extended_at is null) = (extension is null)", name="request_extension"),
        Index("request_open", "tenant_id", "employee_id", "kind", unique=True,
              postgresql_where=text("done_at is null and not passed_on")),
    )  # fmt: skip

    employee_id: UUID = Field(index=True)
    kind: str
    regime: str = "gdpr"
    entered_by: str = "system"
    method: str = Method.SIGNED_IN
    received_at: datetime = Moment(default_factory=utc_now)
    due_at: datetime = Moment()
    asked: int = 1
    """How often the same was asked for while this was open; each time is acknowledged."""
    acknowledged: int = 0
    """For how many of them the mail that says so is written."""
    acknowledged_at: datetime | None = Moment(default=None, nullable=True)
    """When the mail server took the first of these mails, or somebody told the person by other means."""
    verified_at: datetime | None = Moment(default=None, nullable=True)
    verification: str | None = None
    extended_at: datetime | None = Moment(default=None, nullable=True)
    extension: str | None = None
    approved_at: datetime | None = Moment(default=None, nullable=True)
    approved_by: UUID | None = None
    dispatched_at: datetime | None = Moment(default=None, nullable=True)
    answer_asked_at: datetime | None = Moment(default=None, nullable=True)
    """When legal answered while mails to recipients were on their way; the answer follows the last of these."""
    done_at: datetime | None = Moment(default=None, nullable=True)
    delivered_at: datetime | None = Moment(default=None, nullable=True)
    refusal: str | None = None
    recipients: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Who received headshots: `by`, `at`, and `informed_at` or `excuse`."""
    passed_on: bool = False
    """The line's address was corrected since: whoever reads the new one neither sees this nor is written to about it."""

    @property
    def number(self) -> str:
        """What people call it by."""
        return f"R-{self.received_at:%Y}-{self.id.hex[:8]}"


class Package(TenantRow, table=True):
    """An access package that was made: the list of its files by fingerprint, and the signature over it. The package itself
    is stored nowhere."""

    __table_args__ = (belongs_to("employee", "employee_id"),)

    employee_id: UUID = Field(index=True)
    digest: str
    """SHA-256 of its manifest, hexadecimal."""
    made_at: datetime = Moment()
    due_at: datetime = Moment()
    jws: str | None = None
    """None until a process that has the signer took it up."""


class Departure(TenantRow, table=True):
    """A company leaves. Its row outlives the company, because its receipt leads to the certificates by it."""

    __table_args__ = (
        of_tenant(),
        Index("departure_open", "tenant_id", unique=True, postgresql_where=text("called_off_at is null")),
    )

    asked_by: UUID
    asked_at: datetime = Moment()
    begins_at: datetime = Moment()
    hand_back: bool = False
    """Nothing is deleted before the company took what is handed back."""
    returned_at: datetime | None = Moment(default=None, nullable=True)
    called_off_at: datetime | None = Moment(default=None, nullable=True)
    begun_at: datetime | None = Moment(default=None, nullable=True)
    ended_at: datetime | None = Moment(default=None, nullable=True)
    receipt_hash: bytes = Field(unique=True)
    counts: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    language: str = "en"
    """The company's when it asked; its certificates are written in it."""


class SubProcessor(TenantRow, table=True):
    """Who else processes something of people for whoever runs this installation. Rows belong to the operators' tenant."""

    __tablename__ = "sub_processor"
    __table_args__ = (
        of_tenant(),
        CheckConstraint("begins_at >= announced_at", name="sub_processor_announced_before"),
        Index("sub_processor_name", "tenant_id", "name", unique=True, postgresql_where=text("ended_at is null")),
    )

    name: str
    purpose: str
    country: str
    safeguards: str
    """What a transfer there rests on; empty where there is none (GDPR articles 44 to 49)."""
    announced_at: datetime = Moment()
    begins_at: datetime = Moment()
    ended_at: datetime | None = Moment(default=None, nullable=True)


class Breach(TenantRow, table=True):
    """A breach of security, as one company that it may have reached is told of it. It names nobody: who is affected is
    read from the rows and the log each time."""

    __table_args__ = (of_tenant(), CheckConstraint("until >= since and told_at >= known_at", name="breach_order"))

    since: datetime = Moment()
    until: datetime = Moment()
    """When it may have happened."""
    classes: list[str] = Field(sa_column=Column(JSON, nullable=False))
    """What may have been reached: classes of keys."""
    known_at: datetime = Moment()
    """When whoever runs this installation learned of it."""
    told_at: datetime = Moment()
    """When the company's owners and legal were told: from here its own 72 hours run (GDPR article 33)."""
    people: int = 0
    """As counted then."""


class Pulse(TenantRow, table=True):
    """How the installation stood at one time: rows of the operators' own tenant, with figures of all companies together."""

    __table_args__ = (of_tenant(),)

    at: datetime = Moment(index=True)
    waited: dict[str, float] = Field(sa_column=Column(JSON, nullable=False))
    """For each lane, how many seconds its oldest due job had waited."""
    late_seconds: float
    """How late the oldest deletion of any company was."""

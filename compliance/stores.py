"""Every place where something of a person can be, each with what becomes of it at an erasure.

Plain data, so that the eraser, the re-scan and the certificate read the same list. A table, a column or a class of keys
that is not declared here fails the tests, and a table that only the database knows makes every re-scan fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from likeness.keys import KeyClass


class Fate(StrEnum):
    ERASED = "erased"
    """No row of it may name the person afterwards."""
    KEPT = "kept"
    """Evidence and accounts: the opaque id stays, in the columns that are named and nowhere else."""
    NOBODY = "nobody"
    """Rows are about a company or a machine; an id of a person in them is a leftover."""


@dataclass(frozen=True)
class Table:
    name: str
    fate: Fate
    person: tuple[str, ...] = ()
    """Columns that name the employee by opaque id."""
    identifying: tuple[str, ...] = ()
    """Columns that say who somebody is, sealed or keyed unless `plain` says otherwise."""
    biometric: tuple[str, ...] = ()
    """Columns that come from a face or lead to a picture of one."""
    plain: tuple[str, ...] = ()
    """Columns with words that a person wrote and that are not sealed: they go with the row."""
    technical: tuple[str, ...] = ()
    why: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.person, *self.identifying, *self.biometric, *self.plain, *self.technical)

    @property
    def may_name(self) -> tuple[str, ...]:
        """The columns in which the id may stand after an erasure."""
        return self.person if self.fate == Fate.KEPT else ()


def _table(name: str, fate: Fate, why: str = "", **columns: str) -> Table:
    return Table(name, fate, why=why, **{kind: tuple(names.split()) for kind, names in columns.items()})


TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        # What hangs under the person and goes with their row.
        _table("employee", Fate.ERASED, person="id", identifying="email_index key_index profile",
               technical="tenant_id batch_id row created_at opted_out_at restricted_at"),
        _table("invitation", Fate.ERASED, person="employee_id",
               technical="id tenant_id created_at expires_at delivered_at opened_at revoked_at bounced_at mails reminders"
               " reminded_at"),
        _table("address_change", Fate.ERASED, person="employee_id", identifying="email_index sealed",
               technical="id tenant_id asked_by asked_at until token_hash ended_at outcome"),
        _table("correction", Fate.ERASED, person="employee_id", identifying="before after_digest",
               technical="id tenant_id batch_id at due_at"),
        _table("link", Fate.ERASED, person="employee_id",
               technical="id tenant_id invitation_id token_hash mail_id created_at expires_at used_at"),
        _table("consent", Fate.ERASED, person="employee_id", identifying="signature",
               technical="id tenant_id notice_id purpose given_at withdrawn_at"),
        _table("photo", Fate.ERASED, person="employee_id",
               biometric="path digest pose findings faces face dress person is_me twin_of",
               technical="id tenant_id consent_id state bytes width height used_anyway waved created_at checked_at"
               " missing_since due_at"),
        _table("upload", Fate.ERASED, person="employee_id", biometric="path digest",
               technical="id tenant_id consent_id length received photo_id created_at touched_at due_at"),
        _table("sitting", Fate.ERASED, person="employee_id", plain="reshoot_reason",
               technical="id tenant_id state fence seed recipe reshoot_of created_at changed_at failure"),
        _table("headshot", Fate.ERASED, person="employee_id", biometric="path likeness_ratio question loosening",
               technical="id tenant_id sitting_id look_id number bytes favourite_at created_at due_at"),
        _table("release", Fate.ERASED, person="employee_id", technical="id tenant_id headshot_id at downloaded_at"),
        _table("take_back", Fate.ERASED, person="employee_id",
               technical="id tenant_id headshot_id downloaded_at asked_at deleted_at deleted_by"),
        _table("run", Fate.ERASED, person="employee_id", biometric="likeness_ratio",
               technical="id tenant_id sitting_id fence pack state recipe seconds step steps made passed started_at"
               " heartbeat_at finished_at error"),
        _table("weights", Fate.ERASED, person="employee_id", biometric="path",
               technical="id tenant_id sitting_id kind bytes created_at due_at"),
        # What names the person without hanging under them.
        _table("mail", Fate.ERASED, person="owner_id", identifying="sealed",
               technical="id tenant_id template campaign created_at sent_at failed_at outcome code tried_at handed_at"),
        _table("web_session", Fate.ERASED, person="subject_id",
               technical="id tenant_id token_hash kind created_at expires_at issuer issuer_session"),
        _table("sign_in_link", Fate.ERASED, person="subject_id",
               technical="id tenant_id token_hash kind expires_at used_at"),
        _table("job", Fate.ERASED, person="args key",
               technical="id tenant_id kind lane state attempt excused due created_at finished_at error"),
        # Evidence and accounts, under an id that leads nowhere once the row above is gone.
        _table("ledger_entry", Fate.KEPT, "the audit log is append-only and holds opaque ids alone",
               person="caller subject objects", technical="id tenant_id sequence at event previous hash"),
        _table("credit", Fate.KEPT, "an account of what was paid for", person="cause",
               technical="id tenant_id amount reason at"),
        _table("erasure", Fate.KEPT, "the record of this erasure", person="employee_id requested_by",
               technical="id tenant_id state trigger requested_at receipt_hash counts recipients traces scan settled_at"
               " deleted_at verified_at looked_again_at failures"),
        _table("request", Fate.KEPT, "requests are on record for 24 months", person="employee_id",
               technical="id tenant_id kind regime received_at due_at done_at"),
        _table("hold", Fate.KEPT, "the record of a legal hold", person="employee_id", plain="reference reason",
               technical="id tenant_id basis placed_by placed_at confirmed_by confirmed_at expires_at lift_asked_by"
               " lift_asked_at lifted_by lifted_at"),
        # Companies, their desks, and what they told people.
        _table("tenant", Fate.NOBODY, plain="name contact authority",
               technical="id source_days headshot_days employee_quota recipes created_at left_at"),
        _table("member", Fate.NOBODY, identifying="email_index profile",
               technical="id tenant_id roles created_at invited_by roles_by roles_at joined_at signed_in_at disabled_at"),
        _table("sign_in_wish", Fate.NOBODY, identifying="sealed", technical="id tenant_id created_at counted"),
        _table("key_fingerprint", Fate.NOBODY, technical="id tenant_id fingerprint noted_at"),
        _table("wrong_try", Fate.NOBODY, technical="id tenant_id key since count"),
        _table("look", Fate.NOBODY,
               technical="id tenant_id name version backdrop wall dress framing light created_at retired_at"),
        _table("batch", Fate.NOBODY, plain="name",
               technical="id tenant_id due_on created_by created_at workbook_digest imported_at undone_at mapping"
               " shape workbook_id workbook_due_at"),
        _table("notice", Fate.NOBODY, technical="id tenant_id version language text digest created_at"),
        _table("certificate", Fate.NOBODY, technical="id tenant_id erasure_id stage document jws issued_at"),
        _table("alembic_version", Fate.NOBODY, technical="version_num"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A store that is no table."""

    name: str
    holds: str
    nist: str = "Clear"
    """The term of NIST SP 800-88 Rev. 1 for how it is deleted."""


WORKBOOKS = Place("objects:workbooks", "the raw workbook of a batch, at most 24 hours, of 500 people or so")
OBJECTS: Mapping[KeyClass, Place] = {
    cls: Place(f"objects:{cls}", f"encrypted objects below tenants/T/employees/E/{cls}") for cls in KeyClass
}
KEYS: Mapping[KeyClass, Place] = {
    cls: Place(f"key:{cls}", "the wrapped key of this class", nist="Purge (cryptographic erase)") for cls in KeyClass
}
SAMPLES = Place("samples", "texts sealed by the keys before these were destroyed; they must not open")
LOG = Place("log", "the program's and the database's log files of the embedded profile")
SCRATCH = Place("scratch", "Ray's folder and the studios' scratch on this machine")
QUEUE = Place("queue", "RabbitMQ: a message says that something is due in a lane, and nothing else")
TOMBSTONES = Place("tombstones", "files that name what to delete again after a restore: random ids alone")

PLACES: tuple[Place, ...] = (
    WORKBOOKS, *OBJECTS.values(), *KEYS.values(), SAMPLES, LOG, SCRATCH, QUEUE, TOMBSTONES,
)  # fmt: skip


def names() -> frozenset[str]:
    """Every store that a re-scan must answer for."""
    return frozenset([*(f"table:{name}" for name in TABLES), *(place.name for place in PLACES)])


@dataclass(frozen=True)
class Due:
    """A class of things that are deleted by their own absolute `due_at`."""

    table: str
    cls: KeyClass
    event: str = field(default="")


DUE: tuple[Due, ...] = (
    Due("photo", KeyClass.SOURCE, "photo.expired"),
    Due("upload", KeyClass.SOURCE, "upload.forgotten"),
    Due("weights", KeyClass.MODEL, "weights.expired"),
    Due("headshot", KeyClass.HEADSHOT, "headshot.expired"),
)

"""Every place where something of a person can be, each with what becomes of it at an erasure.

Plain data, so that the eraser, the re-scan and the certificate read the same list. A table, a column or a class of keys
that is not declared here fails the tests, and a table that only the database knows makes every re-scan fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from likeness.ground.db import PLATFORM
from likeness.keys.keys import KeyClass, KeyRef


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
    """Columns with words that a person wrote and that are not sealed: they go with the row, and `unsealed` ones at the
    first start of this version. Where the row outlives somebody who is erased, their name and address are masked in it."""
    technical: tuple[str, ...] = ()
    """What the program writes of its own: numbers, times, digests, and in text its own codes, which `CODES` lists."""
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
        _table("employee", Fate.ERASED, person="id",
               identifying="email_index key_index department_index site_index manager_index user_name_index external_index"
               " profile reads",
               technical="tenant_id roster_id batch_id row created_at pilot_at leaves_at opted_out_at restricted_at"),
        _table("invitation", Fate.ERASED, person="employee_id",
               technical="id tenant_id created_at expires_at delivered_at opened_at revoked_at bounced_at mails reminders"
               " reminded_at quiet"),
        _table("address_change", Fate.ERASED, person="employee_id", identifying="email_index sealed token_sealed",
               technical="id tenant_id asked_by asked_at until token_hash reminders ended_at outcome"),
        _table("correction", Fate.ERASED, person="employee_id", identifying="before after_digest",
               technical="id tenant_id batch_id at due_at"),
        _table("link", Fate.ERASED, person="employee_id",
               technical="id tenant_id invitation_id token_hash mail_id created_at expires_at used_at"),
        _table("consent", Fate.ERASED, person="employee_id", identifying="signature",
               technical="id tenant_id notice_id purpose given_at withdrawn_at named_otherwise signed_receipt"),
        _table("photo", Fate.ERASED, person="employee_id",
               biometric="path digest pose findings faces face dress person is_me twin_of",
               technical="id tenant_id consent_id state bytes width height used_anyway waved created_at checked_at"
               " missing_since removed_at due_at"),
        _table("upload", Fate.ERASED, person="employee_id", biometric="path digest",
               technical="id tenant_id consent_id length received photo_id created_at touched_at due_at"),
        _table("sitting", Fate.ERASED, person="employee_id",
               technical="id tenant_id state fence seed recipe looks reshoot_of created_at changed_at failure missed"
               " unused"),
        _table("edit", Fate.ERASED, person="employee_id",
               technical="id tenant_id sitting_id headshot_id look_id closer raised state fence failure created_at"
               " changed_at"),
        _table("headshot", Fate.ERASED, person="employee_id", biometric="path likeness_ratio question loosening",
               technical="id tenant_id shelf_id sitting_id look_id number bytes photo_id closer raised edit_of draft"
               " favourite_at created_at due_at"),
        _table("not_me", Fate.ERASED, person="employee_id", biometric="likeness_ratio",
               technical="id tenant_id sitting_id created_at ended_at"),
        _table("release", Fate.ERASED, person="employee_id",
               technical="id tenant_id headshot_id at downloaded_at approved_at returned_at returned_for kept_at"),
        _table("concern", Fate.ERASED, person="employee_id", identifying="sealed answer",
               technical="id tenant_id desk page asked_at promised_at answered_at answered_by passed_on"),
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
        _table("web_session", Fate.ERASED, person="subject_id other_id",
               technical="id tenant_id token_hash kind created_at expires_at authenticated_at seen_at other_kind"),
        _table("identity", Fate.ERASED, person="person_id", identifying="issuer subject",
               technical="id tenant_id kind bound_by bound_at"),
        _table("sign_in_attempt", Fate.ERASED, person="subject_id",
               technical="id tenant_id provider_id state_hash browser_hash nonce_hash sealed acr again kind go_to"
               " started_at expires_at"),
        _table("sign_in_link", Fate.ERASED, person="subject_id",
               technical="id tenant_id token_hash kind expires_at used_at"),
        _table("webhook_delivery", Fate.ERASED, person="employee_id",
               technical="id tenant_id endpoint_id event body created_at wanted_at next_at delivered_at tries"),
        _table("package", Fate.ERASED, person="employee_id", technical="id tenant_id digest made_at due_at jws"),
        _table("listing", Fate.ERASED, person="employee_id", technical="id tenant_id caller month days"),
        _table("ledger_detail", Fate.ERASED, person="employee_id", identifying="sealed", technical="id tenant_id sequence"),
        _table("job", Fate.ERASED, person="args key",
               technical="id tenant_id kind lane state attempt excused due created_at finished_at error"),
        # Evidence and accounts, under an id that leads nowhere once the row above is gone.
        _table("ledger_entry", Fate.KEPT, "the audit log is append-only and holds opaque ids alone",
               person="caller subject objects",
               technical="id tenant_id sequence epoch position at event detail_commit format"
               " leaf previous hash"),
        _table("credit", Fate.KEPT, "an account of what was paid for", person="cause",
               technical="id tenant_id amount reason at"),
        _table("erasure", Fate.KEPT, "the record of this erasure", person="employee_id requested_by",
               technical="id tenant_id state trigger scope language subject_commitment requested_at receipt_hash"
               " counts recipients recipients_settled_at traces scan settled_at deleted_at verified_at looked_again_at"
               " failures"),
        _table("request", Fate.KEPT, "requests are on record for 24 months", person="employee_id entered_by",
               technical="id tenant_id kind regime method received_at due_at asked acknowledged acknowledged_at"
               " verified_at verification extended_at extension approved_at approved_by dispatched_at"
               " answer_asked_at done_at delivered_at refusal recipients passed_on"),
        _table("hold", Fate.KEPT, "the record of a legal hold", person="employee_id", identifying="sealed",
               plain="unsealed_reference unsealed_reason",
               technical="id tenant_id basis placed_by placed_at confirmed_by confirmed_at expires_at lift_asked_by"
               " lift_asked_at lifted_by lifted_at classes made_from made_until barred"),
        _table("departure", Fate.NOBODY,
               technical="id tenant_id asked_by asked_at begins_at hand_back returned_at called_off_at begun_at ended_at"
               " receipt_hash counts language"),
        # Companies, their desks, and what they told people.
        _table("tenant", Fate.NOBODY, plain="name contact authority sender_name",
               technical="id source_days headshot_days employee_quota language time_zone colour recipes base leaver_days"
               " invite_joiners free_crops loosened approves created_at"
               " left_at suspended_at"),
        _table("member", Fate.NOBODY, identifying="email_index profile",
               technical="id tenant_id roles departments created_at invited_by roles_by roles_at joined_at signed_in_at"
               " seen_at disabled_at"),
        _table("provider", Fate.NOBODY,
               technical="id tenant_id issuer organization alias brokered members_acr created_at disabled_at came_at"
               " refused_at"),
        _table("provider_session", Fate.NOBODY, identifying="hint",
               technical="id tenant_id session_id session_hash subject_hash started_at"),
        _table("provider_domain", Fate.NOBODY, technical="id tenant_id provider_id domain"),
        _table("break_glass", Fate.NOBODY, identifying="reason",
               technical="id tenant_id company member_id asked_by asked_at until confirmed_by confirmed_at opened_at"),
        _table("sign_in_wish", Fate.NOBODY, identifying="sealed", technical="id tenant_id created_at counted"),
        _table("machine_key", Fate.NOBODY, plain="name",
               technical="id tenant_id token_hash member_id scope created_at expires_at used_at revoked_at"),
        _table("webhook_endpoint", Fate.NOBODY,
               technical="id tenant_id member_id sealed events created_at failures rests_until stopped_at"),
        _table("directory_group", Fate.NOBODY, plain="name external_id", technical="id tenant_id people created_at",
               why="people are lines of the list, by an id; who is deleted is taken out"),
        _table("key_fingerprint", Fate.NOBODY, technical="id tenant_id fingerprint noted_at"),
        _table("wrong_try", Fate.NOBODY, technical="id tenant_id key since count"),
        _table("look", Fate.NOBODY, identifying="sealed_departments", plain="name",
               technical="id tenant_id version backdrop wall dress framing light departments created_at retired_at"),
        _table("logo", Fate.NOBODY, technical="id tenant_id picture width height changed_at"),
        _table("look_pack", Fate.NOBODY, plain="name", technical="id tenant_id looks created_at"),
        _table("sender", Fate.NOBODY, plain="address", technical="id tenant_id selector changed_at proven_at"),
        _table("backdrop", Fate.NOBODY, technical="id tenant_id picture created_at"),
        _table("batch", Fate.NOBODY, identifying="sealed_name sealed_note", plain="unsealed_name mapping",
               technical="id tenant_id due_on pack_id created_by created_at workbook_digest imported_at undone_at"
               " shape workbook_id workbook_due_at"),
        _table("download", Fate.NOBODY,
               technical="id tenant_id member_id batch_id which preset people headshots tag begun_at continued ended_at"),
        _table("verdict", Fate.NOBODY, technical="id tenant_id month kind count"),
        _table("pulse", Fate.NOBODY, technical="id tenant_id at waited late_seconds"),
        _table("answered", Fate.NOBODY, technical="id tenant_id key_hash request_digest at status sealed"),
        _table("notice", Fate.NOBODY, technical="id tenant_id version language text digest created_at"),
        _table("certificate", Fate.NOBODY,
               technical="id tenant_id erasure_id departure_id stage document jws paper issued_at"),
        _table("checkpoint", Fate.NOBODY, technical="id tenant_id epoch size root sequence note kid signed_at"),
        _table("sub_processor", Fate.NOBODY, plain="name purpose country safeguards",
               technical="id tenant_id announced_at begins_at ended_at"),
        _table("breach", Fate.NOBODY, technical="id tenant_id since until classes known_at told_at people"),
        _table("alembic_version", Fate.NOBODY, technical="version_num"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class NamedStore:
    """A store that is no table."""

    name: str
    holds: str
    nist: str = "Clear"
    """The term of NIST SP 800-88 Rev. 1 for how it is deleted."""


WORKBOOKS = NamedStore("objects:workbooks", "the raw workbook of a batch, at most 24 hours, of 500 people or so")
OBJECTS: Mapping[KeyClass, NamedStore] = {
    cls: NamedStore(f"objects:{cls}", f"encrypted objects below tenants/T/employees/E/{cls}") for cls in KeyClass
}
KEYS: Mapping[KeyClass, NamedStore] = {
    cls: NamedStore(f"key:{cls}", "the wrapped key of this class", nist="Purge (cryptographic erase)") for cls in KeyClass
}
SAMPLES = NamedStore("samples", "texts sealed by the keys before these were destroyed; they must not open")
STRANGE = NamedStore(
    "objects:unexpected", "objects under a path that Likeness does not make, or of a person in another folder"
)
HOME = NamedStore("home", "files beside those that Likeness makes in its folder and in the folder of keys")
CATALOGUE = NamedStore(
    "catalogue", "what the database keeps beside its rows: names of its parts, comments, functions, prepared transactions"
)
NODES = NamedStore("nodes", "logs, spill and scratch on the nodes of the cluster")
LOG = NamedStore("log", "the program's and the database's log files of the embedded profile")
SCRATCH = NamedStore("scratch", "Ray's folder, and what studios of earlier versions left on this machine")
CACHES = NamedStore("caches", "what libraries keep of their own: compiled code, weights of public bases, fonts")
QUEUE = NamedStore("queue", "RabbitMQ: a message says that something is due in a lane, and nothing else")
TOMBSTONES = NamedStore(
    "tombstones",
    "files that name what to delete, withdraw or hold again after a restore: ids, the program's words, sealed numbers",
)

PLACES: tuple[NamedStore, ...] = (
    WORKBOOKS, *OBJECTS.values(), *KEYS.values(), SAMPLES, STRANGE, HOME, CATALOGUE, NODES, LOG, SCRATCH, CACHES,
    QUEUE, TOMBSTONES,
)  # fmt: skip


@dataclass(frozen=True)
class Cache:
    """A folder that a library fills by itself, on every machine on which a process of the program runs."""

    library: str
    variable: str
    """The setting of the environment that moves it; empty where none does."""
    usual: str
    """A pattern below the user's home (`~`) or the folder for temporary files (`$TMP`)."""


KEPT_BY_LIBRARIES: tuple[Cache, ...] = (
    Cache("torch inductor", "TORCHINDUCTOR_CACHE_DIR", "$TMP/torchinductor_*"),
    Cache("triton", "TRITON_CACHE_DIR", "~/.triton"),
    Cache("torch", "TORCH_HOME", "~/.cache/torch"),
    Cache("huggingface", "HF_HOME", "~/.cache/huggingface"),
    Cache("matplotlib", "MPLCONFIGDIR", "~/.cache/matplotlib"),
    Cache("typst", "", "~/.cache/typst"),
    Cache("fontconfig", "", "~/.cache/fontconfig"),
)
"""What a browser keeps is the browser's: pages with anything of a person tell it to keep nothing."""


FUNCTIONS = frozenset({"rests_on_consent", "due_within_terms"})
"""The functions that migrations make."""


SEALED_BY_DESK: Mapping[str, Mapping[str, str]] = {
    "batch": {"sealed_name": "batch name", "sealed_note": "batch note"},
    "look": {"sealed_departments": "look departments"},
    "hold": {"sealed": "hold"},
    "break_glass": {"reason": "break-glass reason"},
    "sign_in_wish": {"sealed": "sign-in wish"},
}
"""What people at a desk or at its door wrote, with the context of its seal: under a key of the row's own, or the
operators' own. It may name anybody, so the re-scan opens it. What else is sealed hangs under the person it is about."""

PUBLISHED = frozenset(
    f"{table}.{column}"
    for table, columns in {
        "tenant": "name contact authority sender_name",
        "sender": "address",
        "provider": "issuer organization alias",
        "provider_domain": "domain",
        "sub_processor": "name purpose country safeguards",
        "notice": "text",
        "certificate": "document jws",
    }.items()
    for column in columns.split()
)
"""What a company and the operator tell everybody about themselves, and documents that repeat it. A company's contact may be
an employee, so the re-scan looks through these for ids and not for names."""

CODES: Mapping[str, str] = {
    "batch": "workbook_digest shape", "breach": "classes", "checkpoint": "note kid", "credit": "reason cause",
    "departure": "counts language", "directory_group": "people", "download": "which preset tag",
    "erasure": "state trigger scope language subject_commitment requested_by counts recipients traces scan",
    "hold": "basis classes", "key_fingerprint": "fingerprint", "ledger_entry": "event caller subject objects",
    "look": "backdrop wall dress framing light", "machine_key": "scope", "member": "roles departments roles_by",
    "notice": "version language digest", "provider": "members_acr", "pulse": "waited",
    "sender": "selector",
    "request": "kind regime entered_by method verification extension refusal recipients",
    "tenant": "recipes base language time_zone colour", "verdict": "kind", "webhook_endpoint": "events",
    # Of these the person's own rows go, and a colleague's stay.
    "address_change": "asked_by outcome", "concern": "desk page", "consent": "purpose signed_receipt",
    "edit": "state failure",
    "headshot": "path question", "identity": "issuer subject kind bound_by", "job": "kind lane key args state error",
    "listing": "caller", "mail": "template campaign outcome code", "package": "digest jws",
    "photo": "state path digest pose findings faces dress", "release": "returned_for", "run": "state recipe seconds error",
    "sign_in_attempt": "acr kind go_to", "sign_in_link": "kind", "sitting": "state recipe failure missed unused",
    "upload": "path digest", "web_session": "kind other_kind", "webhook_delivery": "event body tries",
    "weights": "kind path",
}  # fmt: skip
"""Columns of text in which nobody writes: states, kinds, ids, digests, signed documents. Every other one that the re-scan
reads is written by people, and an erasure masks it."""


def written(table: str) -> tuple[str, ...]:
    """The columns in clear that people write and nobody publishes."""
    return tuple(one for one in TABLES[table].plain if f"{table}.{one}" not in PUBLISHED)


def desk_key(tenant: UUID, row: UUID) -> KeyRef:
    """Under which a desk's words are sealed: a key of the row's own, or the operators' own."""
    return KeyRef(tenant, PLATFORM if tenant == PLATFORM else row, KeyClass.PROFILE)


def naming_objects() -> list[str]:
    """The tables whose rows name an object in the store."""
    return sorted(name for name, table in TABLES.items() if "path" in table.columns)


def of_companies() -> frozenset[str]:
    """The tables whose rows are a company's."""
    return frozenset(name for name, table in TABLES.items() if "tenant_id" in table.columns)


COMPANY_OBJECTS, COMPANY_VERSIONS, COMPANY_KEYS = "objects", "older versions of objects", "keys"


def company_names() -> frozenset[str]:
    """Every store that has to answer when a company is looked for that left."""
    return frozenset([*(f"table:{name}" for name in of_companies()), COMPANY_OBJECTS, COMPANY_VERSIONS, COMPANY_KEYS])


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

"""Which control of ISO/IEC 27001:2022 Annex A and of SOC 2 rests on what, each with dated evidence read from live rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, col, select

from batch.models import Consent, Notice
from compliance import holds, requests
from compliance.models import Certificate, Erasure, ErasureState
from compliance.records import breaches
from compliance.records.documents import Document, DocumentSection
from compliance.retention import lateness
from likeness import checkpoints, ledger
from likeness.ground.db import TenantRow, tenant_of
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from tenants.members import members

Evidence = Callable[[Session, Kernel, datetime], str]


@dataclass(frozen=True)
class Control:
    ids: str
    what: str
    evidence: Evidence
    test: str


def document(session: Session, kernel: Kernel, now: datetime) -> Document:
    rows = [(one.ids, one.what, one.evidence(session, kernel, now), now, f"tests/{one.test}") for one in CONTROLS]
    return Document(
        "controls", "Controls and their evidence", now,
        "Controls of ISO/IEC 27001:2022 (A), SOC 2 (CC, C, P). The evidence was read from this company's rows.",
        [DocumentSection("Controls", ("controls", "what the program does", "evidence", "read at", "test"), rows)],
    )  # fmt: skip


def _count(session: Session, table: type[TenantRow], *where: ColumnElement[bool]) -> int:
    mine = select(func.count()).select_from(table).where(col(table.tenant_id) == tenant_of(session), *where)
    return session.exec(mine).one()


def _last(
    session: Session, column: datetime, table: type[TenantRow], *where: ColumnElement[bool]
) -> datetime | None:
    mine = select(func.max(col(column))).select_from(table).where(col(table.tenant_id) == tenant_of(session), *where)
    found: datetime | None = session.execute(mine).scalar_one()
    return found


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never so far"


def _event(session: Session, *events: str) -> str:
    kinds = col(LedgerEntry.event).in_(events)
    last = _last(session, LedgerEntry.at, LedgerEntry, kinds)
    return f"{_count(session, LedgerEntry, kinds)} so far, the last {_at(last)}"


def _privacy(session: Session, kernel: Kernel, now: datetime) -> str:
    given = _count(session, Consent, col(Consent.withdrawn_at).is_(None))
    return f"{given} consents stand; the notice was last renewed {_at(_last(session, Notice.created_at, Notice))}"


def _deletion(session: Session, kernel: Kernel, now: datetime) -> str:
    late = lateness.of_company(session, now)
    open_ = _count(session, Erasure, col(Erasure.state) != ErasureState.CERTIFIED)
    return (
        f"{_count(session, Certificate)} certificates, the last {_at(_last(session, Certificate.issued_at, Certificate))};"
        f" {open_} deletions under way; {late.objects} things late"
    )


def _log(session: Session, kernel: Kernel, now: datetime) -> str:
    head, point = ledger.head(session), checkpoints.shown(session)
    signed = f"signed up to entry {point.sequence} at {_at(point.signed_at)}" if point else "not signed yet"
    return f"{head.sequence if head else 0} entries, {signed}"


def _keys(session: Session, kernel: Kernel, now: datetime) -> str:
    live = len(list(kernel.keys.refs(tenant_of(session))))
    return f"{live} keys of people and classes are there; destroyed: {_event(session, 'key.destroyed')}"


def _people(session: Session, kernel: Kernel, now: datetime) -> str:
    working = [one for one in members.all(session) if one.disabled_at is None]
    unused = [one for one in working if one.joined_at is None]
    return f"{len(working)} members, {len(unused)} of whom never came in; changed: {_event(session, 'member.changed')}"


def _out(session: Session, kernel: Kernel, now: datetime) -> str:
    return _event(session, "member.disabled", "session.ended-everywhere")


def _restored(session: Session, kernel: Kernel, now: datetime) -> str:
    drill = kernel.db.outside.last_drill()
    if drill is None:
        return "no trial restore is on record"
    return f"trial restore at {_at(drill.at)}: a second start {'had nothing to do' if drill.whole else 'found more'}"


def _asked(session: Session, kernel: Kernel, now: datetime) -> str:
    found = requests.counts(session, now)
    return f"{found.everything} requests on record, {found.late} late"


def _held(session: Session, kernel: Kernel, now: datetime) -> str:
    return f"{len(holds.held(session, now))} people held now; confirmed: {_event(session, 'hold.confirmed')}"


def _breached(session: Session, kernel: Kernel, now: datetime) -> str:
    return f"{len(breaches.of(session))} breaches told of"


def _taken(session: Session, kernel: Kernel, now: datetime) -> str:
    return f"taken out: {_event(session, 'release.downloaded', 'log.exported')}"


CONTROLS = (
    Control("A.5.34; P3.2, P2.1", "No photo before consent, purpose by purpose, to a notice with a version", _privacy,
            "batch/test_photos.py::test_a_byte_before_consent_is_refused_and_leaves_nothing"),
    Control("A.8.10; C1.2, P4.3", "Deletion on an absolute day, looked for again by a second program, certified", _deletion,
            "compliance/test_certificates.py::test_without_a_passed_scan_there_is_no_certificate"),
    Control("A.8.15, A.5.28; CC7.2", "An append-only log, one Merkle tree a company, signed hourly", _log,
            "compliance/test_restore.py::test_whatever_the_owner_does_to_the_log_is_noticed_by_who_holds_one_checkpoint"),
    Control("A.8.24; CC6.1", "A key for each person and class, outside the database's backups", _keys,
            "kernel/test_keys.py::test_destroying_one_class_leaves_the_other_classes_and_the_other_people"),
    Control("A.5.15, A.5.18; CC6.2, CC6.3", "A permission map that every route goes through", _people,
            "promises/test_permissions.py::test_every_route_asks_for_a_permission_and_every_role_gets_what_the_map_says"),
    Control("A.5.16, A.8.5; CC6.2", "Accounts are taken back at once, with their sessions", _out,
            "sso/test_signing_out.py::test_a_session_that_ends_at_the_issuer_ends_here"),
    Control("A.8.13, A.5.29; A1.3", "A restore that undoes no deletion, tried", _restored,
            "compliance/test_restore.py::test_what_narrowed_stays_away_when_the_database_comes_back"),
    Control("P5.1, P5.2", "Requests under the clock of their law, each with a record", _asked,
            "compliance/test_request_desk.py::test_each_kind_comes_to_an_end"),
    Control("A.5.31, A.5.33", "Legal holds of two people, each with its end", _held,
            "compliance/test_holds.py::test_it_stands_once_a_second_person_confirmed_it_and_until_it_is_lifted"),
    Control("A.5.24, A.5.26; CC7.3, CC7.4, P6.6", "A list of affected people for each company within the hour", _breached,
            "compliance/test_records.py::test_a_company_has_its_list_of_a_breach_at_once"),
    Control("A.8.12; C1.1, P6.1", "What leaves is written down: who took what, and when", _taken,
            "batch/test_headshots.py::test_hr_has_what_was_released_until_it_is_taken_back"),
)  # fmt: skip

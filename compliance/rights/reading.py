"""Everything that the registry knows of one person, read by the registry: table by table, column by column."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ColumnElement, Text, cast, or_
from sqlmodel import Session, SQLModel, col, select

from batch.models import Employee
from batch.people import employees, lines
from batch.people.employees import EmployeeProfile
from batch.roster import listings
from batch.visit import addresses, concerns, consents, notices
from compliance import holds, stores
from compliance.models import SubProcessor
from compliance.proof import certificates
from compliance.rights import consent_receipts
from compliance.rights.contents import CONTENTS, PackageSection
from likeness import ledger
from likeness.ground.db import PLATFORM, tenant_of, utc_now
from likeness.ground.errors import Gone
from likeness.kernel import Kernel
from likeness.keys.keys import KeyBroken, KeyClass, KeyRef, SealBroken
from likeness.locale.marks import N_
from likeness.mail.mail import Letter

CHANGED = N_("It was changed in the database, so it is not handed out. Whoever runs this installation is told.")
TOKENS = re.compile(r"[0-9a-f]{32}\.[\w-]{20,}")
"""What lets somebody in; a copy of a mail must not."""
PARTS = {
    "member": "your employer", "machine": "your employer", "employee": "you", "operator": "the operator",
    "system": "the program",
}  # fmt: skip
PROCESSOR = ("name", "purpose", "country", "safeguards", "begins_at", "ended_at")
EARLIER = {"ledger_entry": "at", "mail": "created_at", "package": "made_at", "request": "received_at"}
"""What somebody at another address may have been written, done or asked for under this line, and by which time."""
BY_SUBJECT = frozenset({"objects"})
"""Entries of the log are found by whom they are about and who acted; both are named in columns that are indexed."""
DUE = frozenset(one.table for one in stores.DUE)


@dataclass
class PersonRecords:
    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By table, oldest first."""
    processors: list[dict[str, Any]] = field(default_factory=list)
    """Who else processed it."""
    unread: list[dict[str, str]] = field(default_factory=list)
    """What is on record, but whose key is destroyed or broken, or what for another `reason` is not shown."""

    def of(self, section: PackageSection) -> dict[str, list[dict[str, Any]]]:
        return {table: rows for table, rows in self.records.items() if CONTENTS[table].section == section}


def everything(session: Session, kernel: Kernel, person: Employee) -> PersonRecords:
    read = PersonRecords()
    for name, contents in CONTENTS.items():
        table = SQLModel.metadata.tables[name]
        rows = session.execute(
            table.select()
            .where(table.c.tenant_id == tenant_of(session), or_(*_named(name, person.id)), *_known(session, name, person))
            .order_by(*(table.c[one] for one in ("created_at", "at", "sequence", "month", "id") if one in table.c))
        ).mappings()
        read.records[name] = [_shown(session, kernel, person, name, contents.shown, row, read) for row in rows]
    return read


def sub_processors(session: Session, since: datetime, now: datetime) -> list[dict[str, Any]]:
    """Who else processed something while the person was on record. For a transaction of the operators' own tenant."""
    rows = session.exec(
        select(SubProcessor)
        .where(
            col(SubProcessor.tenant_id) == PLATFORM,
            col(SubProcessor.begins_at) <= now,
            col(SubProcessor.ended_at).is_(None) | (col(SubProcessor.ended_at) > since),
        )
        .order_by(col(SubProcessor.begins_at))
    )
    return [{one: plain(getattr(row, one)) for one in PROCESSOR} for row in rows]


def _known(session: Session, name: str, person: Employee) -> Iterator[ColumnElement[bool]]:
    """Without a hold that the person must not learn of and its entries in the log, and without what is of whoever had
    the line before its address was corrected."""
    table = SQLModel.metadata.tables[name]
    if name == "hold":
        yield table.c.barred.is_(False)
    if name == "concern":
        yield table.c.passed_on.is_(False)
    if name in EARLIER and (since := lines.read_since(session, person.id)):
        yield table.c[EARLIER[name]] >= since
    if name == "ledger_entry":
        yield cast(table.c.objects, Text).not_in(holds.barred_entries(session, person.id))
        yield table.c.id.not_in(_held_untold(session, person.id))
    now = utc_now()
    if name in DUE and holds.silent(session, person.id, now):
        yield table.c.due_at > now  # That it is still here would tell of the hold.


def _held_untold(session: Session, person: UUID) -> list[UUID]:
    """Entries about an erasure that only a hold kept that the person must not learn of."""
    entries = [one for one in ledger.entries(session, subject=person) if one.event == "erasure.held"]
    return [one.id for one in entries if not holds.told_at(session, person, one.at)]


def _named(name: str, person: UUID) -> Iterator[ColumnElement[bool]]:
    """By every column that the registry says may hold the person's id, as a number or within words."""
    table = SQLModel.metadata.tables[name]
    for one in stores.TABLES[name].person:
        column = table.c[one]
        if name == "ledger_entry":
            if one not in BY_SUBJECT:
                yield column.in_([str(person), f"employee:{person}"])
        elif isinstance(column.type, JSON) or column.type.python_type is str:
            yield cast(column, Text).contains(str(person))
        else:
            yield column == person


def _shown(
    session: Session, kernel: Kernel, person: Employee, name: str, columns: tuple[str, ...], row: Mapping[Any, Any],
    read: PersonRecords,
) -> dict[str, Any]:  # fmt: skip
    found = {}
    for column in columns:
        opened = OPENED.get(f"{name}.{column}")
        try:
            found[column] = opened(session, kernel, person, row) if opened else plain(row[column])
        except (Gone, SealBroken, KeyBroken):
            found[column] = None
            read.unread.append({"what": f"{name}.{column}", "number": str(row["id"])})
        except consent_receipts.ReceiptChanged:
            found[column] = None
            read.unread.append({"what": f"{name}.{column}", "number": str(row["id"]), "reason": CHANGED})
    return found


def plain(value: Any) -> Any:
    """As JSON says it."""
    if isinstance(value, datetime):
        return certificates.moment(value)
    if isinstance(value, date | UUID):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


# What is sealed, or says more than the person is to know of others


def _key(kernel: Kernel, person: Employee, cls: KeyClass = KeyClass.PROFILE) -> Any:
    return kernel.keys.open(KeyRef(person.tenant_id, person.id, cls))


def _profile(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    return asdict(employees.profile(kernel.keys, person))


def _reads(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    return employees.chosen_language(kernel.keys, person)


def _before(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    return asdict(EmployeeProfile.opened(_key(kernel, person), row["before"]))


def _address(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    return _key(kernel, person).open(row["sealed"], addresses.CONTEXT).decode().partition("\n")[0]


def _mail(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    """Without what would let somebody in."""
    if row["sealed"] is None:
        return None  # It was handed over, and nothing is kept of what it said.
    letter = Letter(**json.loads(_key(kernel, person).open(row["sealed"], f"mail/{row['template']}/{row['campaign']}")))
    return {"to": letter.to, "subject_line": letter.subject, "text": TOKENS.sub("…", letter.text)}


def _signature(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    return _key(kernel, person).open(row["signature"], consents.CONTEXT).decode()


def _asked(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    return _key(kernel, person).open(row["sealed"], concerns.ASKED).decode()


def _answer(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    return _key(kernel, person).open(row["answer"], concerns.ANSWERED).decode() if row["answer"] else None


def _receipt(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    signed = row["signed_receipt"]
    return consent_receipts.as_signed(kernel, signed, person.id, row["id"]) if signed else None


def _notice(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    notice = notices.get(session, row["notice_id"])
    return {"version": notice.version, "language": notice.language, "text": notice.text, "sha256": notice.digest}


def _detail(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    return json.loads(_key(kernel, person, KeyClass.LOG_DETAIL).open(row["sealed"], ledger.CONTEXT)[32:])


def _caller(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    """Who did it is told by their part, not by name: the staff are third parties here (C-579/21)."""
    return PARTS.get(str(row["caller"]).partition(":")[0], "the program")


def _days(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    return [day.isoformat() for day in listings.dates(row["month"], row["days"])]


def _state(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    return holds.state_told(session, person.id, row["state"])


def _recipients(session: Session, kernel: Kernel, person: Employee, row: Mapping[Any, Any]) -> Any:
    told = ("recipient", "at", "headshots", "informed_at", "excuse")
    return [{name: one[name] for name in told if name in one} for one in row["recipients"]]


Opening = Callable[[Session, Kernel, Employee, Mapping[Any, Any]], Any]
OPENED: Mapping[str, Opening] = {
    "employee.profile": _profile,
    "employee.reads": _reads,
    "correction.before": _before,
    "address_change.sealed": _address,
    "mail.sealed": _mail,
    "consent.signature": _signature,
    "concern.sealed": _asked,
    "concern.answer": _answer,
    "consent.notice_id": _notice,
    "consent.signed_receipt": _receipt,
    "ledger_detail.sealed": _detail,
    "ledger_entry.caller": _caller,
    "listing.caller": _caller,
    "listing.days": _days,
    "request.recipients": _recipients,
    "erasure.recipients": _recipients,
    "erasure.state": _state,
}

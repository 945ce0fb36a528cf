"""The audit log, or a part of it, as a file: a stretch of time, one person, or all, in four forms, a page at a time.

`jsonl` holds each entry byte for byte as it was hashed, with the proof that it is in the log that a signed checkpoint
names; `verifier.py entries` checks it without a network. `csv` says the same for spreadsheets, `xlsx` without the proofs,
and `ocsf` is for a SIEM. All of it names people by random ids, as the log does.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from importlib.metadata import version
from typing import IO, Any
from uuid import UUID

from openpyxl import Workbook

from batch.reading import workbook
from likeness import checkpoints, ledger
from likeness.checkpoints import Checkpoint
from likeness.evidence.merkle import Levels
from likeness.ground.db import utc_now
from likeness.ground.errors import Unprocessable
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from likeness.web.files import XLSX

LINES = 1000
BLOCK = 1 << 20
SHEET_ROWS = 1_048_576
"""The most that Excel opens in one sheet."""
COLUMNS = ("number", "at", "event", "by", "about", "objects", "epoch", "position", "leaf")
PROVED = ("entry", "tree_size", "tree_root", "proof")


class FormUnknown(Unprocessable):
    """There is no such form of the log."""

    title = "The log has no such form"


class PartRefused(Unprocessable):
    """A day or a person that cannot be read."""

    title = "This day or person cannot be read"


@dataclass(frozen=True)
class AuditPeriod:
    since: datetime | None = None
    before: datetime | None = None
    subject: UUID | None = None


def wanted(since: str, until: str, person: str) -> AuditPeriod:
    """Of days as `2027-03-31`, in UTC, both included; empty means no limit. Raises `PartRefused`."""
    try:
        first, last = (date.fromisoformat(one) if one else None for one in (since.strip(), until.strip()))
    except ValueError:
        raise PartRefused("Write each day as year-month-day. Nothing was exported.") from None
    try:
        subject = UUID(person.strip()) if person.strip() else None
    except ValueError:
        raise PartRefused("The person's id has the form 8-4-4-4-12. Nothing was exported.") from None
    if first and last and last < first:
        raise PartRefused("The last day is before the first one. Nothing was exported.")
    return AuditPeriod(
        datetime.combine(first, time(), UTC) if first else None,
        datetime.combine(last, time(), UTC) + timedelta(days=1) if last and last < date.max else None,
        subject,
    )


@dataclass(frozen=True)
class Proved:
    """`proof` is None for an entry that is younger than its epoch's newest checkpoint."""

    entry: LedgerEntry
    point: Checkpoint | None
    proof: list[bytes] | None


def pieces(kernel: Kernel, tenant: UUID, part: AuditPeriod, name: str, *, caller: str) -> Iterator[bytes]:
    """That somebody took it is an entry of its own."""
    with kernel.db.transaction(tenant) as session:
        head = ledger.head(session)
        epochs = sorted({point.epoch for point in checkpoints.of(session)})
        points = {epoch: point for epoch in epochs if (point := checkpoints.shown(session, epoch)) is not None}
        ledger.record(session, "log.exported", caller=caller, subject=part.subject)
    end = head.sequence if head else 0
    yield from FORMS[name].write(kernel, tenant, part, points, end)


def _entries(kernel: Kernel, tenant: UUID, part: AuditPeriod, end: int) -> Iterator[LedgerEntry]:
    last = 0
    while last < end:
        with kernel.db.transaction(tenant) as session:
            page = ledger.page(
                session, after=last, until=end, limit=LINES, subject=part.subject, since=part.since,
                before=part.before,
            )  # fmt: skip
        yield from page
        last = page[-1].sequence if len(page) == LINES else end


def _proved(
    kernel: Kernel, tenant: UUID, part: AuditPeriod, points: Mapping[int, Checkpoint], end: int
) -> Iterator[Proved]:
    tree: Levels | None = None
    of = 0
    for entry in _entries(kernel, tenant, part, end):
        point = points.get(entry.epoch)
        if point is not None and entry.position < point.size:
            if tree is None or of != entry.epoch:
                tree = None  # The one before goes first: each may be as large as memory allows.
                with kernel.db.transaction(tenant) as session:
                    tree = Levels(ledger.streamed_leaves(session, entry.epoch, point.size))
                of = entry.epoch
            yield Proved(entry, point, tree.inclusion(entry.position))
        else:
            yield Proved(entry, None, None)


def _together(lines: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for line in lines:
        held += line
        if len(held) >= BLOCK:
            yield bytes(held)
            held.clear()
    yield bytes(held)


def _jsonl(kernel: Kernel, tenant: UUID, part: AuditPeriod, points: Mapping[int, Checkpoint], end: int) -> Iterator[bytes]:
    def lines() -> Iterator[bytes]:
        about = {
            "log": str(tenant), "subject": str(part.subject) if part.subject else None,
            "since": part.since.isoformat() if part.since else None,
            "before": part.before.isoformat() if part.before else None,
            "checkpoints": [point.note for point in points.values()],
        }  # fmt: skip
        yield json.dumps(about).encode() + b"\n"
        for one in _proved(kernel, tenant, part, points, end):
            proof = [each.hex() for each in one.proof] if one.proof is not None else None
            said = {"entry": one.entry.data().decode(), "position": one.entry.position, "proof": proof}
            yield json.dumps(said, ensure_ascii=False).encode() + b"\n"

    yield from _together(lines())


def _csv(kernel: Kernel, tenant: UUID, part: AuditPeriod, points: Mapping[int, Checkpoint], end: int) -> Iterator[bytes]:
    def lines() -> Iterator[bytes]:
        yield _line((*COLUMNS, *PROVED))
        for one in _proved(kernel, tenant, part, points, end):
            point = (str(one.point.size), one.point.root.hex()) if one.point else ("", "")
            proof = " ".join(each.hex() for each in one.proof or [])
            yield _line((*_cells(one.entry), one.entry.data().decode(), *point, proof))

    yield from _together(lines())


def _line(cells: tuple[str, ...]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerow(cells)
    return out.getvalue().encode()


def _cells(entry: LedgerEntry) -> tuple[str, ...]:
    """Numbers, ids and words of the program: none of them begins as a formula does."""
    return (
        str(entry.sequence), entry.at.astimezone(UTC).isoformat(), entry.event, entry.caller, entry.subject or "",
        " ".join(entry.objects), str(entry.epoch), str(entry.position), entry.leaf.hex(),
    )  # fmt: skip


def _xlsx(kernel: Kernel, tenant: UUID, part: AuditPeriod, points: Mapping[int, Checkpoint], end: int) -> Iterator[bytes]:
    """The rows lie in a file until the book is whole; it is gone afterwards."""
    book = Workbook(write_only=True)
    page: Any = None
    row = 0
    for entry in _entries(kernel, tenant, part, end):
        if page is None or row == SHEET_ROWS:
            page, row = _sheet(book), 1
        page.append(_cells(entry))
        row += 1
    if page is None:
        _sheet(book)
    with tempfile.TemporaryFile() as file:
        book.save(file)
        file.seek(0)
        yield from _read(file)


def _sheet(book: Any) -> Any:
    page = book.create_sheet(f"Log {len(book.worksheets) + 1}")
    workbook.dress(page, COLUMNS)
    return page


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block


# The Open Cybersecurity Schema Framework, 1.3: classes by what an event is about, activities by what was done.

CLASSES = {
    "session": (3, "Identity & Access Management", 3002, "Authentication"),
    "account": (3, "Identity & Access Management", 3002, "Authentication"),
    "member": (3, "Identity & Access Management", 3001, "Account Change"),
    "break-glass": (3, "Identity & Access Management", 3001, "Account Change"),
}
VERSION = version("likeness")
OTHERWISE = (3, "Identity & Access Management", 3004, "Entity Management")
CREATED = frozenset(
    {
        "added", "asked", "connected", "created", "dropped", "given", "granted", "imported", "invited", "issued", "joined",
        "made", "placed", "published", "received", "requested",
    }
)  # fmt: skip
READ = frozenset({"downloaded", "exported", "found", "handed", "searched", "seen", "viewed"})
DELETED = frozenset({"declined", "deleted", "destroyed", "disabled", "expired", "forgotten", "left", "ran-out", "removed",
                     "retired", "revoked", "taken-back", "unconnected", "undone", "withdrawn"})  # fmt: skip
FAILED = frozenset(
    {
        "identity.refused", "line.refused", "sitting.failed", "photo.rejected", "erasure.incident", "departure.incident",
        "receipt.not-mailed",
    }
)  # fmt: skip
"""Acts that were refused, or did not come about. A request that is refused is none: that is what legal did."""
ACTIVITIES = {1: "Create", 2: "Read", 3: "Update", 4: "Delete", 99: "Other"}


def ocsf(entry: LedgerEntry, tenant: UUID) -> dict[str, Any]:
    """One entry as an event of OCSF. What has no place there stands under `unmapped`."""
    noun, _, verb = entry.event.partition(".")
    category, category_name, cls, name = CLASSES.get(noun, OTHERWISE)
    activity = _activity(verb) if cls == 3004 else 99
    kind, _, caller = entry.caller.partition(":")
    return {
        "metadata": {
            "version": "1.3.0", "uid": f"{tenant}/{entry.sequence}", "log_name": "ledger", "tenant_uid": str(tenant),
            "original_time": entry.at.astimezone(UTC).isoformat(),
            "product": {"name": "Likeness", "vendor_name": "Likeness", "version": VERSION},
        },
        "time": int(entry.at.timestamp() * 1000),
        "category_uid": category, "category_name": category_name, "class_uid": cls, "class_name": name,
        "activity_id": activity, "activity_name": ACTIVITIES[activity] if activity != 99 else verb,
        "type_uid": cls * 100 + activity, "type_name": f"{name}: {ACTIVITIES[activity]}",
        "severity_id": 1, "severity": "Informational",
        "status_id": 2 if entry.event in FAILED else 1, "status": "Failure" if entry.event in FAILED else "Success",
        "actor": {"user": {"uid": caller or kind, "type": kind}},
        "user": {"uid": caller or kind, "type": kind},
        "entity": {"type": noun, "uid": entry.objects[0] if entry.objects else entry.subject or ""},
        "unmapped": {
            "event": entry.event, "sequence": entry.sequence, "epoch": entry.epoch, "position": entry.position,
            "leaf": entry.leaf.hex(), "subject": entry.subject, "objects": list(entry.objects),
        },
    }  # fmt: skip


def _activity(verb: str) -> int:
    for number, verbs in ((1, CREATED), (2, READ), (4, DELETED)):
        if verb in verbs:
            return number
    return 3


def _ocsf(kernel: Kernel, tenant: UUID, part: AuditPeriod, points: Mapping[int, Checkpoint], end: int) -> Iterator[bytes]:
    events = (ocsf(entry, tenant) for entry in _entries(kernel, tenant, part, end))
    yield from _together(json.dumps(event).encode() + b"\n" for event in events)


Writer = Callable[[Kernel, UUID, AuditPeriod, Mapping[int, Checkpoint], int], Iterator[bytes]]


@dataclass(frozen=True)
class LogFormat:
    write: Writer
    filename: str
    media_type: str


FORMS: Mapping[str, LogFormat] = {
    "jsonl": LogFormat(_jsonl, "log.jsonl", "application/x-ndjson"),
    "csv": LogFormat(_csv, "log.csv", "text/csv"),
    "xlsx": LogFormat(_xlsx, "log.xlsx", XLSX),
    "ocsf": LogFormat(_ocsf, "log.ocsf.jsonl", "application/x-ndjson"),
}


def form(name: str) -> LogFormat:
    """Raises `FormUnknown`."""
    if name not in FORMS:
        raise FormUnknown("There is no such form of the log. There are: {names}.", names=", ".join(FORMS))
    return FORMS[name]


def filename(of: str) -> str:
    """With the day, so that two exports do not overwrite each other."""
    name, _, rest = FORMS[of].filename.partition(".")
    return f"{name}-{utc_now():%Y-%m-%d}.{rest}"

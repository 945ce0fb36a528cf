"""Delivery: what the people of a batch released, as one archive for HR.

The archive is made while it is sent, one picture in memory at a time. Before the first byte of a person's pictures
leaves it is on record who received them; what was taken back or deleted meanwhile is left out.
"""

from __future__ import annotations

import re
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from io import RawIOBase
from uuid import UUID

from sqlmodel import Session, col, select

from batch import employees, framing, headshots, workbook
from batch.employees import EmployeeProfile
from batch.headshots import Released
from batch.models import Batch
from likeness import ledger
from likeness.db import tenant_of, utc_now
from likeness.errors import Gone, NotFound
from likeness.kernel import Kernel
from tenants.models import Look

COLUMNS = (
    "File", "Employee ID", "Full name", "E-mail", "Department", "Site", "Look", "Released at", "Headshot",
)  # fmt: skip
MANIFEST = "manifest.csv"
NAME_LENGTH = 80
# What Windows refuses in names, and what means something to some system or program.
REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class BatchMissing(NotFound):
    """There is no such batch."""


def archive(
    kernel: Kernel, tenant: UUID, batch_id: UUID, now: datetime, *, caller: str, format_name: str = "square"
) -> Iterator[bytes]:
    """A ZIP of the released headshots and a manifest, in pieces. Raises `BatchMissing` before the first piece.

    Names are `department/full-name.png`; names that would be the same are numbered. Pictures are stored as they are,
    because they do not compress. Studio portraits are cut to the format that was asked for, in one frame for the whole
    company. Raises `PresetUnknown` as well.
    """
    preset = framing.preset(format_name)
    with kernel.db.transaction(tenant) as session:
        check_batch(session, batch_id)
        found = headshots.released(session, batch_id, now)
        looks = {look.id: look.name for look in session.exec(select(Look).where(col(Look.tenant_id) == tenant))}
        loosened = framing.of_company(session)
    people = list(dict.fromkeys(item.employee.id for item in found))
    def cut(item: Released) -> bytes:
        return framing.framed(headshots.opened(kernel, item.headshot), item.headshot, preset, loosened)

    return _pieces(kernel, tenant, batch_id, people, looks, caller, cut)


def _pieces(
    kernel: Kernel,
    tenant: UUID,
    batch_id: UUID,
    people: Iterable[UUID],
    looks: dict[UUID, str],
    caller: str,
    cut: Callable[[Released], bytes],
) -> Iterator[bytes]:
    sent = _Sent()
    names = _Names()
    lines: list[tuple[object, ...]] = []
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_STORED) as packed:
        for person in people:
            for item, profile in _hand_over(kernel, tenant, batch_id, person, caller):
                try:
                    picture = cut(item)
                except (NotFound, Gone):  # Deleted a moment ago: its object or its key is gone.
                    continue
                name = names.give(profile.department or "", profile.full_name, headshots.kind(picture))
                packed.writestr(_entry(name, item.release.at), picture)
                lines.append(_line(name, item, profile, looks))
                yield sent.take()
        packed.writestr(_entry(MANIFEST, utc_now()), workbook.export_csv(COLUMNS, lines))
    yield sent.take()


def _hand_over(
    kernel: Kernel, tenant: UUID, batch_id: UUID, employee_id: UUID, caller: str
) -> list[tuple[Released, EmployeeProfile]]:
    """What this person has released as of now, on record as downloaded."""
    now = utc_now()
    try:
        with kernel.db.transaction(tenant) as session:
            found = headshots.released(session, batch_id, now, employee_id=employee_id)
            if not found:
                return []
            profile = employees.profile(kernel.keys, found[0].employee)
            for item in found:
                item.release.downloaded_at = now
                session.add(item.release)
            ids = [item.headshot.id for item in found]
            ledger.record(session, "release.downloaded", caller=caller, subject=employee_id, objects=ids)
    except Gone:  # The person was erased a moment ago.
        return []
    return [(item, profile) for item in found]


def check_batch(session: Session, batch_id: UUID) -> None:
    known = session.exec(
        select(Batch.id).where(col(Batch.tenant_id) == tenant_of(session), col(Batch.id) == batch_id)
    ).first()
    if known is None:
        raise BatchMissing("There is no such batch.")


def _line(name: str, item: Released, profile: EmployeeProfile, looks: dict[UUID, str]) -> tuple[object, ...]:
    return (
        name,
        profile.employee_key,
        profile.full_name,
        profile.email,
        profile.department,
        profile.site,
        looks.get(item.headshot.look_id),
        item.release.at.isoformat(timespec="seconds"),
        item.headshot.id,
    )


def _entry(name: str, at: datetime) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, at.timetuple()[:6])
    entry.external_attr = 0o644 << 16
    return entry


class _Names:
    """File names from people's names: no path, nothing a system refuses, none twice even where case does not count."""

    def __init__(self) -> None:
        self._given = {MANIFEST}

    def give(self, department: str, full_name: str, ending: str) -> str:
        folder, name = plain_name(department), plain_name(full_name) or "headshot"
        stem = f"{folder}/{name}" if folder else name
        number, given = 1, f"{stem}.{ending}"
        while given.casefold() in self._given:
            number += 1
            given = f"{stem}-{number}.{ending}"
        self._given.add(given.casefold())
        return given


def plain_name(text: str) -> str:
    """One part of a path: letters of every script stay, spaces become hyphens."""
    text = unicodedata.normalize("NFC", text)
    shown = "".join(sign for sign in text if sign.isspace() or unicodedata.category(sign) not in ("Cc", "Cf"))
    name = "-".join(REFUSED.sub(" ", shown).split()).strip(".-")[:NAME_LENGTH].rstrip(".-")
    return f"{name}-" if DEVICES.fullmatch(name) else name


class _Sent(RawIOBase):
    """What the archive has written and nobody has taken yet. It cannot seek, so sizes follow each file."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._held += data
        return len(data)

    def take(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held

"""Delivery: what people released, as one archive for HR.

An archive is planned first: whose pictures, under which names, in which order. The same plan gives the same bytes, so a
download that broke goes on where it stopped. It is made while it is sent, one piece in memory at a time. Before the first
byte of a person's pictures leaves it is on record who received them; what was taken back or deleted meanwhile is left out.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from threading import Lock
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

from sqlmodel import Session

from batch.delivery import directories, names, zipped
from batch.delivery.directories import DIRECTORIES, Directory
from batch.delivery.zipped import Entry
from batch.marks import credential
from batch.marks.credential import Credential
from batch.models import Headshot
from batch.people import employees
from batch.reading import workbook
from batch.roster import batches, listings, naming, searching
from batch.sittings import framing, headshots
from batch.vision.presets import EDITION, Preset
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.ground.errors import Conflict, Gone, NotFound, Unprocessable
from likeness.kernel import Kernel
from tenants import looks
from tenants.bounds import bind

COLUMNS = (
    "File", "Employee ID", "Full name", "E-mail", "Department", "Site", "Look", "Released at", "Headshot",
)  # fmt: skip
MANIFEST = "manifest.csv"
EMPTY_AT = datetime(2020, 1, 1, tzinfo=UTC)
"""The time of a manifest of nothing; any will do, as long as it stays."""
MOST_CHOSEN = 1_000
KNOWN = 50_000
PIECE = 2**20
"""Bytes of pictures that are sent in one piece, where those of several people are so small: then the people of a piece are
put on record together, in seven statements and not in eight for each of them."""
MOST_IN_PIECE = 40
AT_ONCE = 2
"""Pictures that are cut at a time to learn how long they become."""


class Changed(Conflict):
    """The archive cannot become what was promised: somebody took a headshot back, or it was deleted."""

    title = "What people released has changed"


class NobodyChosen(Unprocessable):
    title = "Tick somebody first"


@dataclass(frozen=True)
class DeliveryChoice:
    """Whose headshots, and as what; empty means everybody whom the caller may see."""

    batch_id: UUID | None = None
    people: tuple[UUID, ...] = ()
    """By the ids of their lines."""
    not_fetched_before: datetime | None = None
    """Only what nobody had downloaded before this time: with a flag instead, what is fetched would drop out meanwhile."""
    preset: str = "square"
    names: str = names.USUAL
    words: str = ""
    """A part of a name, a number or an address, as the pages search."""
    department: str = ""


@dataclass(frozen=True)
class Item:
    headshot: Headshot
    employee_id: UUID
    person: UUID
    """By the id of their line."""
    stem: str
    """The file's name without its ending, which follows from the picture."""
    released_at: datetime
    line: tuple[object, ...]
    """What the manifest says behind the name."""
    address: str


class KnownCut(NamedTuple):
    """What is known of a picture that was cut once."""

    size: int
    crc: int
    ending: str


class LeftOut(NamedTuple):
    line: UUID
    name: str
    address: str


@dataclass(frozen=True)
class Plan:
    items: tuple[Item, ...]
    preset: Preset
    loosened: float
    called: str
    """As what it was asked for: the preset's name, or the directory's that takes it."""
    signer: Credential
    """Of what each picture says of itself."""
    left_out: tuple[LeftOut, ...] = ()
    """Whoever the directory cannot have an account of."""

    @property
    def tag(self) -> str:
        """Stands for every byte of the archive: the same tag, the same bytes."""
        told: list[object] = [EDITION, self.called, self.loosened, self.signer.fingerprint]
        told += [[one.name, one.address] for one in self.left_out]
        told += [
            [str(one.headshot.id), one.stem, one.released_at.isoformat(), *map(str, one.line)] for one in self.items
        ]
        return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()[:32]

    @property
    def people(self) -> int:
        return len({one.employee_id for one in self.items})

    def known(self) -> list[KnownCut] | None:
        """None while any of the pictures was not cut yet."""
        found = [_cuts.get(self, one) for one in self.items]
        return None if None in found else [one for one in found if one is not None]

    def length(self) -> int | None:
        """Of the archive in bytes, once every picture was cut by this process."""
        cuts = self.known()
        if cuts is None:
            return None
        entries = [_entry(one, cut) for one, cut in zip(self.items, cuts, strict=True)]
        ends = [*entries, *(one.entry for one in _lasts(self, list(zip(entries, self.items, strict=True))))]
        return sum(one.length for one in ends) + len(zipped.directory(ends))

    @property
    def directory(self) -> Directory | None:
        return DIRECTORIES.get(self.called)

    @property
    def filename(self) -> str:
        return f"headshots-{self.called}.zip" if self.directory else "headshots.zip"


def plan(session: Session, kernel: Kernel, asked: DeliveryChoice, now: datetime) -> Plan:
    """Raises `BatchMissing`, `NobodyChosen`, `PresetUnknown`, `PatternRefused`, and `KeyUnavailable` where nobody signs."""
    directory = DIRECTORIES.get(asked.preset)
    preset = framing.preset(directories.PRESET if directory else asked.preset)
    pattern = names.pattern(asked.names)
    if len(asked.people) > MOST_CHOSEN:
        raise NobodyChosen("Choose at most {n} people at a time, or all of a batch.", n=MOST_CHOSEN)
    if asked.batch_id is not None:
        batches.get(session, asked.batch_id)
    found = headshots.released(
        session, asked.batch_id, now, people=asked.people, not_fetched_before=asked.not_fetched_before, in_use=True
    )
    if asked.department:
        within = searching.index_of(session, kernel.keys, asked.department)
        found = [one for one in found if one.employee.department_index == within]
    sought = searching.PeopleSearch(asked.words)
    called_looks = looks.names(session)
    called = {one.id: naming.of(kernel.keys, one) for one in batches.list_batches(session)} if found else {}
    items, given, left_out = list[Item](), names.TakenNames(), list[LeftOut]()
    for _, group in groupby(found, key=lambda one: one.employee.id):
        theirs = list(group)
        person = theirs[0].employee
        try:
            who = employees.profile(kernel.keys, person)
        except Gone:  # Erased a moment ago.
            continue
        if not sought.names(who):
            continue
        if directory is not None:
            if not directories.takes(who.email):
                left_out.append(LeftOut(person.roster_id, who.full_name, who.email))
                continue
            theirs = [directories.chosen(theirs)]
        for one in theirs:
            look = called_looks.get(one.headshot.look_id, "")
            wanted = pattern.fill(names.values(who, look, called.get(person.batch_id, "")))
            stem = given.give(directories.stem(who.email) if directory else wanted)
            line = (
                who.employee_key, who.full_name, who.email, who.department, who.site, look,
                one.release.at.isoformat(timespec="seconds"), one.headshot.shelf_id,
            )  # fmt: skip
            items.append(Item(one.headshot, person.id, person.roster_id, stem, one.release.at, line, who.email))
    signer = credential.of(kernel)
    return Plan(tuple(items), preset, framing.of_company(session), asked.preset, signer, tuple(left_out))


def archive(kernel: Kernel, tenant: UUID, batch_id: UUID, now: datetime, *, caller: str) -> Iterator[bytes]:
    """All that the people of a batch released, in pieces, as it was made. Raises `BatchMissing` before the first piece."""
    with kernel.db.transaction(tenant) as session:
        planned = plan(session, kernel, DeliveryChoice(batch_id), now)
    return pieces(kernel, tenant, planned, caller=caller)


def measure(kernel: Kernel, planned: Plan) -> int:
    """How long the archive is, which takes cutting whatever was not cut yet. Raises `Changed`."""
    unknown = [one for one in planned.items if _cuts.get(planned, one) is None]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        try:
            for _ in threads.map(lambda one: _cut(kernel, planned, one), unknown):
                pass
        except (NotFound, Gone):
            threads.shutdown(cancel_futures=True)
            raise _changed() from None
    length = planned.length()
    if length is None:  # More pictures than are remembered.
        raise _changed()
    return length


def _changed() -> Changed:
    return Changed("Somebody took a headshot back, or it was deleted on its day. Please start the download again.")


def pieces(
    kernel: Kernel,
    tenant: UUID,
    planned: Plan,
    *,
    caller: str,
    span: tuple[int, int] | None = None,
    departments: Collection[bytes] | None = None,
    ended: Callable[[], None] | None = None,
) -> Iterator[bytes]:
    """The archive as it is made, or the bytes of `span`, its first and the one behind its last.

    With a span what went meanwhile cannot be left out any more: the archive ends there, shorter than was promised. Raises
    `Changed`. `departments` are those that the caller is bound to; `ended` is called behind the last piece.
    """
    begin, stop = span or (0, 1 << 62)
    place, given, handed = 0, list[tuple[Entry, Item]](), set[UUID]()
    for mine in _together(planned):
        asked = _asked(planned, mine, place, begin, stop) if span else mine
        allowed = _hand_over(kernel, tenant, asked, caller, departments) if asked else set()
        handed |= allowed
        wanted, piece = {one.headshot.id for one in asked}, list[bytes]()
        several = len({one.employee_id for one in mine}) > 1
        for item in mine:
            made = _part(kernel, planned, item, wanted=wanted, allowed=allowed, promised=span is not None)
            if made is None:
                continue
            piece += _within(made[1], place, begin, stop)
            if piece and not several:
                yield piece.pop()
            given.append((made[0], item))
            place += made[0].length
        if piece:
            yield b"".join(piece)
    lasts = _lasts(planned, given)
    entries = [*(one for one, _ in given), *(one.entry for one in lasts)]
    tail = b"".join(zipped.header(one.entry) + one.data for one in lasts) + zipped.directory(entries)
    rest = list(_within(tail, place, begin, stop))
    # It names everybody; whose picture came before it is on record by that.
    unseen = [item.person for _, item in given if item.headshot.id not in handed]
    if rest and unseen:
        with kernel.db.transaction(tenant) as session:
            listings.note(session, unseen, utc_now(), caller=caller)
    yield from rest
    if ended is not None:
        ended()


def _together(planned: Plan) -> Iterator[list[Item]]:
    """The pictures by person; those of several people where all of them make one piece. The first person's go alone, so
    that the download begins at once."""
    group, size, first = list[Item](), 0, True
    for _, theirs in groupby(planned.items, key=lambda one: one.employee_id):
        mine = list(theirs)
        wide = sum(cut.size if (cut := _cuts.get(planned, one)) else one.headshot.bytes for one in mine)
        if group and (first or size + wide > PIECE or len(group) + len(mine) > MOST_IN_PIECE):
            yield group
            group, size, first = [], 0, False
        group, size = group + mine, size + wide
    if group:
        yield group


def _asked(planned: Plan, mine: Sequence[Item], place: int, begin: int, stop: int) -> list[Item]:
    """Of these, which begin at `place`, those that lie in the span: nobody else's are handed over. Where one was not cut
    yet, what follows it may lie there."""
    asked = list[Item]()
    for at, item in enumerate(mine):
        cut = _cuts.get(planned, item)
        if cut is None:
            return [*asked, *mine[at:]]
        length = _entry(item, cut).length
        if place + length > begin and place < stop:
            asked.append(item)
        place += length
    return asked


def _within(piece: bytes, place: int, begin: int, stop: int) -> Iterator[bytes]:
    part = piece[max(0, begin - place) : max(0, stop - place)]
    if part:
        yield part


class _Last(NamedTuple):
    entry: Entry
    data: bytes


def _lasts(planned: Plan, given: list[tuple[Entry, Item]]) -> list[_Last]:
    """What stands behind the pictures: the manifest, or what the directory takes instead."""
    newest = max((item.released_at for _, item in given), default=EMPTY_AT)
    if planned.directory is not None:
        left_out = [(one.name, one.address) for one in planned.left_out]
        files = planned.directory.files([(item.address, one.name) for one, item in given], left_out)
    else:
        files = [(MANIFEST, workbook.export_csv(COLUMNS, [(one.name, *item.line) for one, item in given]))]
    return [_Last(zipped.entry(name, newest, data), data) for name, data in files]


def _entry(item: Item, cut: KnownCut) -> Entry:
    return Entry(f"{item.stem}.{cut.ending}", item.released_at, cut.size, cut.crc)


def _part(
    kernel: Kernel, planned: Plan, item: Item, *, wanted: set[UUID], allowed: set[UUID], promised: bool
) -> tuple[Entry, bytes] | None:
    """A picture's part of the archive, without its bytes where they are not wanted; None of one that is left out. Raises
    `Changed` where its bytes were promised."""
    cut = _cuts.get(planned, item)
    if cut and item.headshot.id not in wanted:
        return _entry(item, cut), b""
    made = _made(kernel, planned, item) if item.headshot.id in allowed else None
    if promised and (made is None or (cut and (made[0].size, made[0].crc) != (cut.size, cut.crc))):
        raise _changed()
    return (made[0], zipped.header(made[0]) + made[1]) if made else None


def _made(kernel: Kernel, planned: Plan, item: Item) -> tuple[Entry, bytes] | None:
    try:
        picture, cut = _cut(kernel, planned, item)
    except (NotFound, Gone):  # Deleted a moment ago: its object or its key is gone.
        return None
    return _entry(item, cut), picture


def _cut(kernel: Kernel, planned: Plan, item: Item) -> tuple[bytes, KnownCut]:
    picture = framing.framed(
        headshots.opened(kernel, item.headshot), item.headshot, planned.preset, planned.loosened, planned.signer
    )
    cut = KnownCut(len(picture), crc32(picture), headshots.kind(picture))
    _cuts.keep(planned, item, cut)
    return picture, cut


def _hand_over(
    kernel: Kernel, tenant: UUID, asked: Sequence[Item], caller: str, departments: Collection[bytes] | None
) -> set[UUID]:
    """Which of these the company may have as of now, on record as downloaded, each person's by itself."""
    now, wanted, given = utc_now(), {one.headshot.id for one in asked}, set[UUID]()
    with kernel.db.transaction(tenant) as session:
        bind(session, departments)
        found = [
            one
            for one in headshots.released(
                session, None, now, employee_ids={one.employee_id for one in asked}, in_use=True, held=True
            )
            if one.headshot.id in wanted
        ]
        for person_id, group in groupby(found, key=lambda one: one.employee.id):
            theirs = list(group)
            with suppress(Gone):  # The person was erased a moment ago.
                employees.profile(kernel.keys, theirs[0].employee)
                ids = [one.headshot.id for one in theirs]
                for one in theirs:
                    one.release.downloaded_at = now
                    session.add(one.release)
                ledger.record(
                    session, "release.downloaded", caller=caller, subject=person_id, objects=ids,
                    detail=(kernel.keys, {"headshots": len(ids)}),
                )  # fmt: skip
                given.update(ids)
    return given


class _Cuts:
    """How long each picture became when it was cut. It is forgotten with the process, and says nothing of anybody."""

    def __init__(self) -> None:
        self._lock, self._known = Lock(), OrderedDict[tuple[UUID, str, float, str], KnownCut]()

    def get(self, planned: Plan, item: Item) -> KnownCut | None:
        return self._known.get(self._key(planned, item))

    def keep(self, planned: Plan, item: Item, cut: KnownCut) -> None:
        with self._lock:
            self._known[self._key(planned, item)] = cut
            while len(self._known) > KNOWN:
                self._known.popitem(last=False)

    def _key(self, planned: Plan, item: Item) -> tuple[UUID, str, float, str]:
        return item.headshot.id, planned.preset.name, planned.loosened, planned.signer.fingerprint


_cuts = _Cuts()

"""What was ever done with somebody's face, in the order in which it happened: the log's own entries about them, in words.

Nothing is chosen for the person but entries that tell of the machine alone; who acted for the company stays unnamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import Text, cast, true
from sqlmodel import Session, col, select

from batch.people import lines
from batch.roster import listings
from compliance import holds
from likeness.ground.db import tenant_of
from likeness.identity import Kind
from likeness.ledger import LedgerEntry
from likeness.locale.marks import N_

NEWEST = 1000
TOGETHER = timedelta(hours=1)
"""The same thing again within this time is one line with a count."""
SAID = {
    "invitation.sent": N_("A mail with your link was written"),
    "invitation.opened": N_("You opened your page"),
    "consent.given": N_("You agreed"),
    "consent.declined": N_("You said no"),
    "consent.withdrawn": N_("You withdrew your consent"),
    "consent.narrowed": N_("You took back one of the things that you had agreed to"),
    "photo.added": N_("A photo of yours arrived and was encrypted"),
    "photo.accepted": N_("A program looked at a photo, and it counts"),
    "photo.rejected": N_("A photo could not be used and was deleted at once"),
    "photo.leaving": N_("You asked for a photo to be deleted; you could keep it for ten seconds"),
    "photo.kept": N_("You kept a photo after all"),
    "photo.removed": N_("You deleted a photo"),
    "photo.expired": N_("A photo was deleted because its time was up"),
    "upload.forgotten": N_("Parts of a photo that never arrived whole were deleted"),
    "sitting.claimed": N_("One computer borrowed your key and began to make your headshots"),
    "sitting.done": N_("Your headshots were made"),
    "sitting.failed": N_("No headshot was good enough; what was made is deleted"),
    "sitting.cancelled": N_("The making was stopped"),
    "person.viewed": N_("Somebody at your company opened your entry in the list"),
    "headshot.viewed": N_("Your employer looked at a headshot that you released"),
    "headshot.removed": N_("You deleted a headshot"),
    "headshot.leaving": N_("You said that a headshot is not you; you could keep it for ten seconds"),
    "headshot.stays": N_("You kept a headshot after all"),
    "headshot.not-me": N_("You said that a headshot is not you, and it is not shown any more"),
    "headshot.retired": N_("A headshot of before was set aside for deletion, because you accepted a new one"),
    "headshot.expired": N_("A headshot was deleted because its time was up"),
    "weights.expired": N_("The model of you was deleted"),
    "key.destroyed": N_("A key of yours was destroyed: no backup can be read with it any more"),
    "release.given": N_("You released a headshot"),
    "release.taken-back": N_("You took a headshot back"),
    "release.downloaded": N_("Your employer downloaded what you released"),
    "copy.asked-back": N_("Your employer was asked to delete its copy"),
    "copy.deleted": N_("Your employer said that its copy is deleted"),
    "hold.confirmed": N_("A legal hold began: what it covers is not deleted while it stands"),
    "hold.lifted": N_("A legal hold ended"),
    "person.found": N_("Somebody at your employer's legal department found you by name"),
    "package.handed": N_("A copy of your data was handed out"),
    "request.received": N_("You asked for something under data protection law"),
    "erasure.requested": N_("A deletion was asked for"),
    "erasure.withdrawn": N_("The deletion was called off, because your employer said that you stay"),
    "erasure.verified": N_("A second program looked for anything left, and found nothing"),
}


LISTED = {
    Kind.MEMBER: N_("Somebody at your company looked at a list with your name on it"),
    Kind.MACHINE: N_("A program of your company read a list with your name on it"),
}


@dataclass(frozen=True)
class StoryLine:
    sentence: str
    """Of the catalogue."""
    count: int
    first: datetime
    last: datetime
    days: tuple[date, date] | None = None
    """The first and the last day, of what is on record by days."""


def story(session: Session, employee_id: UUID) -> list[StoryLine]:
    """Newest first; without what is of whoever read the line's address before it was corrected."""
    since = lines.read_since(session, employee_id)
    entries = session.exec(
        select(LedgerEntry)
        .where(
            col(LedgerEntry.at) >= since if since else true(),
            col(LedgerEntry.tenant_id) == tenant_of(session),
            col(LedgerEntry.subject) == str(employee_id),
            col(LedgerEntry.event).in_(SAID),
            cast(col(LedgerEntry.objects), Text).not_in(holds.barred_entries(session, employee_id)),
        )
        .order_by(col(LedgerEntry.sequence).desc())
        .limit(NEWEST)
    ).all()
    told: list[StoryLine] = []
    for entry in entries:
        sentence, count = SAID[entry.event], 1
        if told and told[-1].sentence == sentence and told[-1].last - entry.at < TOGETHER:
            count += told[-1].count
            told[-1] = StoryLine(sentence, count, entry.at, told[-1].last)
        else:
            told.append(StoryLine(sentence, count, entry.at, entry.at))
    lists = [
        StoryLine(sentence, count, end, end, (day, day))
        for kind, sentence in LISTED.items()
        for day, count in listings.days_of(session, employee_id, kind).items()
        for end in [datetime.combine(day, time.max, UTC)]
    ]
    return _with_lists(told, lists)


def _with_lists(told: list[StoryLine], lists: list[StoryLine]) -> list[StoryLine]:
    """Days with nothing else between them are one line, or one of people and one of programs; the copy of one's data has
    each of them."""
    whole: list[StoryLine] = []
    since: dict[str, int] = {}
    for one in sorted([*told, *lists], key=lambda one: one.last, reverse=True):
        at = since.get(one.sentence)
        if not one.days:
            since.clear()
        elif at is None:
            since[one.sentence] = len(whole)
        elif days := whole[at].days:
            whole[at] = StoryLine(
                one.sentence, whole[at].count + one.count, one.first, whole[at].last, (one.days[0], days[1])
            )
            continue
        whole.append(one)
    return whole

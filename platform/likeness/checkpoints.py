"""Signed checkpoints of a company's log, and the two proofs that rest on them.

One is signed each hour in which something happened, and whenever a certificate needs one. Each is handed out in receipts
and certificates, so that what the log held then is known to people who do not run this program.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from likeness import ledger
from likeness.evidence import merkle, notes
from likeness.evidence.notes import CheckpointNote, NoteInvalid
from likeness.ground.db import Moment, TenantRow, after_commit, of_tenant, outside_of, tenant_of
from likeness.ground.errors import NotFound, Unprocessable
from likeness.ledger import LedgerBroken, LedgerEntry

log = logging.getLogger(__name__)

ANSWERS: dict[tuple[UUID, int, int, int], list[bytes]] = {}
"""Anybody may ask for the growth of a log, and each answer reads all of it."""
MOST_ANSWERS = 1000
TOLERATED = timedelta(minutes=5)
"""By which the clocks of two machines that sign may differ."""
CHANGED: set[UUID] = set()
"""Those that this process refused to hand out: operators watch how many."""
MOST = 2**31 - 1
"""What the database keeps as a number of an epoch or a size."""


class CheckpointMissing(NotFound):
    """No such checkpoint of this log was ever signed."""

    title = "There is no such checkpoint"


class CheckpointChanged(Unprocessable):
    """The row holds something else than what was signed for this log."""

    title = "This checkpoint was changed"


class Checkpoint(TenantRow, table=True):
    __table_args__ = (UniqueConstraint("tenant_id", "epoch", "size"), of_tenant())

    epoch: int
    size: int
    root: bytes
    sequence: int
    note: str
    """The signed text, see `evidence/notes.py`."""
    kid: str
    """The fingerprint of the key that signed it (RFC 7638)."""
    signed_at: datetime = Moment()

    @property
    def fingerprint(self) -> str:
        return self.kid


@dataclass(frozen=True)
class Signer:
    """Whoever holds the key that signs. `kid` is its fingerprint."""

    key: Ed25519PrivateKey
    kid: str
    instance: str


@dataclass(frozen=True)
class Grown:
    """The newest checkpoint of an epoch, with the proof that its log begins with an earlier one's."""

    newest: Checkpoint
    proof: list[bytes]


def newest(session: Session, epoch: int | None = None) -> Checkpoint | None:
    query = select(Checkpoint).where(col(Checkpoint.tenant_id) == tenant_of(session))
    if epoch is not None:
        query = query.where(col(Checkpoint.epoch) == epoch)
    by_place = (col(Checkpoint.epoch).desc(), col(Checkpoint.size).desc())
    return session.execute(query.order_by(*by_place).limit(1)).scalar_one_or_none()


def as_signed(session: Session, point: Checkpoint) -> str:
    """The note, as it is handed out: one of our keys signed it, of this company's log and for all that the row says. Raises
    `CheckpointChanged`."""
    outside = outside_of(session)
    said = None
    with suppress(NoteInvalid):
        said = notes.read(point.note)
    row = (tenant_of(session), point.epoch, point.size, point.root, point.sequence, point.signed_at.replace(microsecond=0))
    signers = [one["jwk"] for one in outside.signers()] if outside is not None else []
    if said is None or (said.tenant, said.epoch, said.size, said.root, said.sequence, said.at) != row or (
        not notes.signed_by(point.note, signers)
    ):  # fmt: skip
        CHANGED.add(point.id)
        log.error("a checkpoint was changed in the database", extra={"checkpoint": str(point.id)})
        raise CheckpointChanged(
            "This checkpoint was changed in the database, so it is not handed out. Whoever runs this installation is told."
        )
    return point.note


def shown(session: Session, epoch: int | None = None) -> Checkpoint | None:
    """The newest that is as it was signed: where one was changed, the one before it."""
    query = select(Checkpoint).where(col(Checkpoint.tenant_id) == tenant_of(session))
    if epoch is not None:
        query = query.where(col(Checkpoint.epoch) == epoch)
    query = query.order_by(col(Checkpoint.epoch).desc(), col(Checkpoint.size).desc()).limit(1)
    for before in count():
        point: Checkpoint | None = session.execute(query.offset(before)).scalar_one_or_none()
        if point is None:
            return None
        with suppress(CheckpointChanged):
            as_signed(session, point)
            return point
    return None


def of(session: Session) -> list[Checkpoint]:
    """All of them, oldest first."""
    query = select(Checkpoint).where(col(Checkpoint.tenant_id) == tenant_of(session))
    return list(session.execute(query.order_by(col(Checkpoint.epoch), col(Checkpoint.size))).scalars())


def is_due(session: Session) -> bool:
    """Whether the log has grown since the newest checkpoint."""
    last, point = ledger.head(session), newest(session)
    return last is not None and (point is None or (point.epoch, point.size) != (last.epoch, last.position + 1))


def sign(session: Session, signer: Signer, now: datetime) -> Checkpoint | None:
    """A checkpoint of the log as it is now, the known one if there is one; None while the log is empty. It is dated no
    earlier than the one before.

    Raises `LedgerBroken` rather than sign a log that does not begin with what was signed before, or before the day of an
    earlier one; and `CheckpointChanged` where the known one is not as it was signed.
    """
    before = _signed_before(session)
    latest = max((_moment(one) for one in before), default=now)
    if latest > now + TOLERATED:
        raise LedgerBroken(
            "The last checkpoint of the log is dated {day}, which is still to come. Nothing is signed until then.",
            day=f"{latest:%Y-%m-%d %H:%M} UTC",
        )
    last = ledger.head(session)
    if last is None and not before:
        return None
    epoch, size = (last.epoch, last.position + 1) if last is not None else (1, 0)
    leaves = ledger.leaves(session, epoch, size)
    if last is None or not all(_begins_with(epoch, leaves, one) for one in before):
        raise LedgerBroken(
            "The log does not begin with what its last checkpoint says. It was changed, and is not signed."
        )
    known = newest(session, epoch)
    if known is not None and known.size == size:
        as_signed(session, known)
        return known
    root = merkle.root(leaves)
    at = max(now, latest)  # Another process may have signed since the caller looked at the clock.
    said = notes.CheckpointNote(signer.instance, last.tenant_id, last.epoch, size, root, at, last.sequence)
    note = notes.sign(said, signer.key)
    made = Checkpoint(
        tenant_id=last.tenant_id, epoch=last.epoch, size=size, root=root, sequence=last.sequence, note=note,
        kid=signer.kid, signed_at=at,
    )  # fmt: skip
    values = made.model_dump()
    session.execute(insert(Checkpoint).values(**values).on_conflict_do_nothing())
    after_commit(session, _keeping(session, note))
    return newest(session, last.epoch)


def _signed_before(session: Session) -> list[Checkpoint | CheckpointNote]:
    """The newest in this database, and the newest that is kept outside of it, where whoever changes the database does not
    reach. To be read before the log, which may grow and be signed meanwhile."""
    outside, known = outside_of(session), newest(session)
    kept = outside.checkpoints(tenant_of(session), newest=True) if outside is not None else []
    return [*(notes.read(note) for note in kept), *([known] if known is not None else [])]


def _moment(point: Checkpoint | CheckpointNote) -> datetime:
    return point.at if isinstance(point, CheckpointNote) else point.signed_at


def _begins_with(epoch: int, leaves: list[bytes], point: Checkpoint | CheckpointNote) -> bool:
    """Whether the epoch that goes on holds what was signed. An earlier one ended with a restore, and the log says so."""
    held = point.epoch == epoch and point.size <= len(leaves) and merkle.root(leaves[: point.size]) == point.root
    return held or point.epoch < epoch


def _keeping(session: Session, note: str) -> Callable[[], None]:
    tenant, outside = tenant_of(session), outside_of(session)
    return (lambda: outside.keep_checkpoint(tenant, note)) if outside is not None else (lambda: None)


def check(session: Session, now: datetime) -> None:
    """Raises `LedgerBroken` when the log does not begin with what one of its own checkpoints says, or in the epoch that
    goes on, one of those that are kept outside the database; and when one is dated before a smaller one, or later than
    now."""
    outside = outside_of(session)
    kept = [notes.read(note) for note in outside.checkpoints(tenant_of(session))] if outside is not None else []
    points = {(point.epoch, point.size, point.root): point.signed_at for point in of(session)}
    last = ledger.head(session)
    epoch = last.epoch if last is not None else 1
    points |= {(note.epoch, note.size, note.root): note.at for note in kept if note.epoch >= epoch}
    _check_times([(*point[:2], signed_at) for point, signed_at in points.items()], now)
    leaves = {one: ledger.leaves(session, one) for one in {point[0] for point in points}}
    for (one, size, _), signed_at in points.items():
        if len(leaves[one]) < size:
            raise LedgerBroken(
                "The log had {size} entries on {day}; {left} are left.", size=size, day=f"{signed_at:%Y-%m-%d}",
                left=len(leaves[one]),
            )  # fmt: skip
    roots = {one: merkle.roots(held, {size for epoch, size, _ in points if epoch == one}) for one, held in leaves.items()}
    for one, size, root in points:
        if roots[one][size] != root:
            raise LedgerBroken(
                "Epoch {number} of the log does not begin with what one of its checkpoints says.", number=str(one)
            )


def _check_times(points: list[tuple[int, int, datetime]], now: datetime) -> None:
    before: datetime | None = None
    for epoch, size, at in sorted(points):
        if at > now + TOLERATED or (before is not None and at.replace(microsecond=0) < before.replace(microsecond=0)):
            raise LedgerBroken(
                "The checkpoint of {size} entries in epoch {number} of the log is dated {day}: before an earlier one, or"
                " later than now.", size=size, number=str(epoch), day=f"{at:%Y-%m-%d %H:%M} UTC",
            )  # fmt: skip
        before = at


def inclusion(session: Session, entry: LedgerEntry, point: Checkpoint) -> list[bytes]:
    """Proves that the entry is in the log that the checkpoint names."""
    return merkle.inclusion(ledger.leaves(session, point.epoch, point.size), entry.position)


def place(session: Session, entry: LedgerEntry, point: Checkpoint) -> dict[str, Any]:
    """What shows whoever holds it that the entry is in the log, without this program; `point` covers the entry. Raises
    `CheckpointChanged`."""
    return {
        "entry": entry.data().decode(),
        "position": entry.position,
        "proof": [one.hex() for one in inclusion(session, entry, point)],
        "checkpoint": as_signed(session, point),
    }


def grown(session: Session, epoch: int, size: int, root: str) -> Grown:
    """From a checkpoint that somebody holds to the newest of its epoch. Raises `CheckpointMissing`.

    Only who can name the `root`, as the checkpoint spells it, is answered: whoever tried one size after the other would
    learn how long a log is, and so in a small company whether anything is deleted. Each answer reads the whole log.
    """
    if not (0 < epoch <= MOST and 0 < size <= MOST):
        raise CheckpointMissing("This log knows of no such checkpoint. Its numbers are larger than any log.")
    known = session.execute(
        select(Checkpoint).where(
            col(Checkpoint.tenant_id) == tenant_of(session),
            col(Checkpoint.epoch) == epoch,
            col(Checkpoint.size) == size,
        )
    ).scalar_one_or_none()
    last = shown(session, epoch)
    # In an address a plus stands for a space where it was not encoded.
    holds = known is not None and b64encode(known.root).decode() == root.replace(" ", "+")
    if not holds or last is None or last.size < size:
        raise CheckpointMissing("This log knows of no such checkpoint. If you hold one, the log was cut or restored.")
    question = (tenant_of(session), epoch, size, last.size)
    if question not in ANSWERS:
        if len(ANSWERS) >= MOST_ANSWERS:
            ANSWERS.clear()
        ANSWERS[question] = merkle.consistency(ledger.leaves(session, epoch, last.size), size)
    return Grown(last, ANSWERS[question])

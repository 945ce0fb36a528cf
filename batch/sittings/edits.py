"""Edits of a finished studio portrait: another of the company's backdrops, or another crop, without a new sitting.

Another crop is cut from what is kept, at once. Another backdrop takes the person's photo once more: a row waits for the
cluster, which cuts them out of the same photo again. What comes of it is a draft that its owner keeps or drops. The
headshot stays as it is until then, and one that is released stays with HR until the edit is released in its place.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import Index, func, text, update
from sqlmodel import Field, Session, col, select

from batch.models import Employee, Headshot, Photo, Purpose
from batch.people import department_looks, employees
from batch.photos import photos
from batch.sittings import framing, headshots
from batch.sittings.headshots import HeadshotMissing
from batch.vision import presets
from batch.vision.presets import Crop
from batch.visit import consents
from batch.visit.consents import ConsentMissing
from likeness import ledger
from likeness.ground.db import Moment, TenantRow, belongs_to, on_rollback, row_of, tenant_of, utc_now
from likeness.ground.errors import Conflict, NotFound, Unprocessable
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef
from likeness.locale.marks import N_
from likeness.store.objects import Objects, person_path
from tenants import looks, suspension, tenants
from tenants.models import Look

MOST = 20
"""Backdrops that may be asked for in one set of headshots; each costs a few seconds of a processor."""
GONE = N_("The photo, the headshot or the backdrop is not there any more. The headshot that you have stays as it is.")
STOPPED = N_("The program stopped while it worked on this. The headshot that you have stays as it is; you can try again.")
TRIES = 3


class EditState(StrEnum):
    READY = "ready"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    DROPPED = "dropped"


OPEN = (EditState.READY, EditState.WORKING)


class Edit(TenantRow, table=True):
    """Somebody asked for another backdrop of one of their headshots. One at most is open for each person."""

    __table_args__ = (
        belongs_to("employee", "employee_id"),
        belongs_to("sitting", "sitting_id"),
        belongs_to("look", "look_id"),
        Index("edit_open", "tenant_id", "employee_id", unique=True,
              postgresql_where=text("state in ('ready','working')")),
    )  # fmt: skip

    employee_id: UUID = Field(index=True)
    sitting_id: UUID
    headshot_id: UUID
    """No foreign key: its owner may delete it meanwhile."""
    look_id: UUID
    closer: int
    raised: int
    state: str = EditState.READY
    fence: int = 0
    """Counts the claims: who writes a result must still hold the number it claimed with."""
    failure: str | None = None
    """A reason in plain words, made by the program."""
    created_at: datetime = Moment(default_factory=utc_now)
    changed_at: datetime = Moment(default_factory=utc_now)


class NotEditable(Conflict):
    """A model drew it, or it is framed already: nothing can be cut anew."""

    title = "This headshot cannot be changed"


class CropRefused(Unprocessable):
    """Further than the company lets its people's heads differ, or the hair would be cut."""

    title = "The crop cannot be moved that far"


class SameHeadshot(Unprocessable):
    title = "Choose another backdrop or crop first"


class EditRefused(Conflict):
    """The photo is gone, the company has no such backdrop, or enough of them were made."""

    title = "Another backdrop cannot be had"


class EditMissing(NotFound):
    """Nothing is being changed."""

    title = "Nothing is being changed"


class EditGone(NotFound):
    """What an edit is made of is not there any more."""

    title = "The photo behind this change is gone"


@dataclass(frozen=True)
class Choices:
    """What may be made of one headshot."""

    looks: tuple[Look, ...]
    """Other backdrops that the company offers to people of their department; none once the photo is gone."""
    crops: tuple[Crop, ...]
    """Those in which all the hair stays."""
    photo_until: datetime | None
    """When the photo goes that it is cut from; None when it is gone."""
    left: int
    """Backdrops that may still be asked for in this set."""


def editable(headshot: Headshot) -> bool:
    return headshot.loosening is not None and headshot.photo_id is not None


def choices(session: Session, headshot: Headshot, now: datetime) -> Choices:
    """Raises `NotEditable`."""
    if headshot.loosening is None or headshot.photo_id is None:
        raise NotEditable("A model drew it, so there is no photo that it could be cut from again.")
    most = presets.FREE if tenants.get(session).free_crops else presets.ALIKE
    steps, loosened = range(-most, most + 1), framing.of_company(session)
    crops = tuple(
        crop
        for crop in (Crop(closer, raised) for closer in steps for raised in steps)
        if crop.room >= 1 or loosened * crop.room >= headshot.loosening
    )
    photo = _photo(session, headshot, now)
    left = max(0, MOST - _count(session, headshot.sitting_id))
    behind = looks.get(session, headshot.look_id).wall
    theirs = department_looks.meant_for(session, employees.get(session, headshot.employee_id))
    others = tuple(one for one in theirs if one.wall != behind)
    return Choices(others if photo and left else (), crops, photo.due_at if photo else None, left)


def ask(
    session: Session,
    objects: Objects,
    keys: KeyFolder,
    employee_id: UUID,
    headshot_id: UUID,
    now: datetime,
    *,
    look_id: UUID | None = None,
    crop: Crop = presets.AS_EVERYBODY,
) -> Edit | Headshot:
    """The draft where only the crop moves, and otherwise the row that the cluster takes. What was asked for before and not
    kept is dropped.

    Raises `CompanySuspended`, `ConsentMissing`, `Restricted`, `HeadshotMissing`, `NotEditable`, `CropRefused`,
    `EditRefused` and `SameHeadshot`.
    """
    suspension.check(session)
    photos.permitted(session, employee_id)
    _check_agreed(session, employee_id)
    headshot = headshots.get(session, employee_id, headshot_id, now)
    allowed = choices(session, headshot, now)
    if crop not in allowed.crops:
        raise CropRefused("Your hair would be cut, or your head be unlike your colleagues'. Choose a smaller step.")
    other = look_id if look_id != headshot.look_id else None
    if other is not None and other not in {one.id for one in allowed.looks}:
        raise EditRefused("The photo that it was cut from is deleted, or your company does not offer this backdrop.")
    if other is None and crop == Crop(headshot.closer, headshot.raised):
        raise SameHeadshot("It is the headshot that you have. Nothing was changed.")
    _clear(session, objects, employee_id, now)
    if other is not None:
        asked = Edit(
            tenant_id=headshot.tenant_id, employee_id=employee_id, sitting_id=headshot.sitting_id, headshot_id=headshot.id,
            look_id=other, closer=crop.closer, raised=crop.raised, created_at=now, changed_at=now,
        )  # fmt: skip
        session.add(asked)
        session.flush()
        _record(session, "edit.asked", employee_id, asked.id, headshot.id)
        return asked
    key = keys.open(KeyRef(headshot.tenant_id, employee_id, KeyClass.HEADSHOT))
    path = person_path(headshot.tenant_id, employee_id, KeyClass.HEADSHOT, uuid4())
    on_rollback(session, lambda: objects.delete(path))
    size = objects.put(path, objects.get(headshot.path, key), key)
    _record(session, "edit.asked", employee_id, headshot.id)
    return _draft(session, headshot, headshot.look_id, crop, path, size, headshot.question, headshot.loosening, now)


@dataclass(frozen=True)
class OpenEdit:
    """What is being changed: at most one of the two is there."""

    edit: Edit | None
    """Open, or failed and not dropped yet."""
    draft: Headshot | None


def standing(session: Session, employee_id: UUID, now: datetime) -> OpenEdit:
    draft = _draft_of(session, employee_id, now)
    return OpenEdit(None if draft else _latest(session, employee_id), draft)


def keep(session: Session, objects: Objects, employee_id: UUID, now: datetime) -> Headshot:
    """The draft becomes a headshot. The one that it was made of is deleted, unless it is released: then it stays until this
    one is released in its place. Raises `EditMissing`."""
    photos.hold(session, employee_id)
    draft = _draft_of(session, employee_id, now)
    if draft is None:
        raise EditMissing("Nothing of yours is being changed.")
    with suppress(HeadshotMissing):
        before = headshots.get(session, employee_id, draft.edit_of or draft.id, now)
        if before.id not in {release.headshot_id for release in headshots.releases(session, employee_id)}:
            draft.edit_of, draft.favourite_at = before.edit_of, before.favourite_at
            headshots.discard(session, objects, employee_id, before.id, now)
    draft.draft = False
    session.add(draft)
    session.flush()
    _record(session, "edit.kept", employee_id, draft.id)
    return draft


def drop(session: Session, objects: Objects, employee_id: UUID, now: datetime) -> None:
    """Nothing of it stays, and the headshot is as it was. Raises `EditMissing`."""
    photos.hold(session, employee_id)
    if standing(session, employee_id, now) == OpenEdit(None, None):
        raise EditMissing("Nothing of yours is being changed.")
    _clear(session, objects, employee_id, now)


def picture(kernel: Kernel, tenant: UUID, employee_id: UUID, now: datetime) -> bytes:
    """Of the draft, for its owner. Raises `EditMissing`."""
    with kernel.db.transaction(tenant) as session:
        draft, loosened = _draft_of(session, employee_id, now), framing.of_company(session)
    if draft is None:
        raise EditMissing("Nothing of yours is being changed.")
    return headshots.square(kernel, draft, loosened)


# What the cluster does with the rows that wait for it.


def ready(session: Session) -> Edit | None:
    """The company's oldest that waits, of nobody who is restricted."""
    same = (col(Employee.tenant_id) == col(Edit.tenant_id)) & (col(Employee.id) == col(Edit.employee_id))
    return session.exec(
        select(Edit)
        .join(Employee, same)
        .where(
            col(Edit.tenant_id) == tenant_of(session),
            col(Edit.state) == EditState.READY,
            col(Employee.restricted_at).is_(None),
        )
        .order_by(col(Edit.created_at))
        .limit(1)
    ).first()


def photo_of(session: Session, edit: Edit, now: datetime) -> Photo:
    """What it is cut from. Raises `EditGone`."""
    with suppress(HeadshotMissing, ConsentMissing):
        _check_agreed(session, edit.employee_id)
        photo = _photo(session, headshots.get(session, edit.employee_id, edit.headshot_id, now), now)
        if photo is not None:
            return photo
    raise EditGone


def claim(session: Session, edit: Edit, now: datetime) -> int:
    edit.state, edit.fence, edit.changed_at = EditState.WORKING, edit.fence + 1, now
    session.add(edit)
    session.flush()
    return edit.fence


def held(session: Session, edit_id: UUID, fence: int) -> Edit | None:
    """None when it was dropped, or somebody else claimed it."""
    found = row_of(session, Edit, edit_id)
    return found if found and found.state == EditState.WORKING and found.fence == fence else None


def finish(
    session: Session, edit: Edit, path: str, size: int, question: str | None, loosening: float | None, now: datetime
) -> Headshot:
    """What was made of it is the draft. Raises `EditGone`, also for a photo that its owner deleted meanwhile."""
    photo_of(session, edit, now)
    before = headshots.get(session, edit.employee_id, edit.headshot_id, now)
    edit.state, edit.changed_at = EditState.DONE, now
    session.add(edit)
    crop = Crop(edit.closer, edit.raised)
    return _draft(session, before, edit.look_id, crop, path, size, question, loosening, now)


def fail(session: Session, edit_id: UUID, fence: int, reason: str, now: datetime) -> None:
    _step(session, edit_id, fence, OPEN, state=EditState.FAILED, failure=reason, changed_at=now)


def give_back(session: Session, edit_id: UUID, fence: int, now: datetime, *, blamed: bool) -> None:
    """It is taken again, unless what took it down with it may be its own photo's doing a third time."""
    if blamed and fence >= TRIES:
        fail(session, edit_id, fence, STOPPED, now)
    else:
        _step(session, edit_id, fence, (EditState.WORKING,), state=EditState.READY, changed_at=now)


def give_back_lost(session: Session, alive: Collection[tuple[UUID, int]], now: datetime) -> None:
    """Those that nobody works on any more, as after a restart."""
    working = select(Edit).where(col(Edit.tenant_id) == tenant_of(session), col(Edit.state) == EditState.WORKING)
    for edit in session.exec(working).all():
        if (edit.id, edit.fence) not in alive:
            give_back(session, edit.id, edit.fence, now, blamed=False)


def under_way(session: Session, employee_id: UUID) -> bool:
    """Whether the cluster is at work on one of this person."""
    mine = (col(Edit.tenant_id) == tenant_of(session), col(Edit.employee_id) == employee_id)
    return session.exec(select(Edit.id).where(*mine, col(Edit.state) == EditState.WORKING)).first() is not None


def _step(session: Session, edit_id: UUID, fence: int, states: Collection[str], **values: object) -> None:
    mine = (col(Edit.tenant_id) == tenant_of(session), col(Edit.id) == edit_id, col(Edit.fence) == fence)
    session.execute(update(Edit).where(*mine, col(Edit.state).in_(states)).values(**values))


def _draft(
    session: Session, before: Headshot, look_id: UUID, crop: Crop, path: str, size: int, question: str | None,
    loosening: float | None, now: datetime,
) -> Headshot:  # fmt: skip
    """It goes on the day of the one that it was made of: an edit keeps nobody's picture longer."""
    mine = (col(Headshot.tenant_id) == tenant_of(session), col(Headshot.sitting_id) == before.sitting_id)
    last = session.exec(select(func.max(Headshot.number)).where(*mine)).one()
    draft = Headshot(
        tenant_id=before.tenant_id, employee_id=before.employee_id, sitting_id=before.sitting_id, look_id=look_id,
        number=(last or 0) + 1, path=path, bytes=size, question=question, loosening=loosening, photo_id=before.photo_id,
        closer=crop.closer, raised=crop.raised, edit_of=before.id, draft=True, created_at=now, due_at=before.due_at,
    )  # fmt: skip
    session.add(draft)
    framing.loosen(session, loosening)
    session.flush()
    ledger.record(session, "edit.made", subject=before.employee_id, objects=[draft.id, before.id])
    return draft


def _draft_of(session: Session, employee_id: UUID, now: datetime) -> Headshot | None:
    mine = headshots.of(session, employee_id, now, drafts=True)
    return next((one for one in mine if one.draft), None)


def _latest(session: Session, employee_id: UUID) -> Edit | None:
    mine = (col(Edit.tenant_id) == tenant_of(session), col(Edit.employee_id) == employee_id)
    found = session.exec(select(Edit).where(*mine).order_by(col(Edit.created_at).desc()).limit(1)).first()
    return found if found and found.state in (*OPEN, EditState.FAILED) else None


def _clear(session: Session, objects: Objects, employee_id: UUID, now: datetime) -> None:
    draft = _draft_of(session, employee_id, now)
    if draft is not None:
        headshots.discard(session, objects, employee_id, draft.id, now)
    mine = (col(Edit.tenant_id) == tenant_of(session), col(Edit.employee_id) == employee_id)
    over = (*OPEN, EditState.FAILED)
    session.execute(
        update(Edit).where(*mine, col(Edit.state).in_(over)).values(state=EditState.DROPPED, changed_at=now)
    )


def _photo(session: Session, headshot: Headshot, now: datetime) -> Photo | None:
    """The one that it was cut from, as long as it counts among its owner's photos."""
    mine = photos.accepted(session, headshot.employee_id)
    return next((one for one in mine if one.id == headshot.photo_id and one.due_at > now), None)


def _check_agreed(session: Session, employee_id: UUID) -> None:
    if Purpose.PORTRAIT not in consents.standing(session, employee_id):
        raise ConsentMissing("You have withdrawn your consent to studio portraits.")


def _count(session: Session, sitting_id: UUID) -> int:
    mine = (col(Edit.tenant_id) == tenant_of(session), col(Edit.sitting_id) == sitting_id)
    return session.exec(select(func.count()).select_from(Edit).where(*mine)).one()


def _record(session: Session, event: str, employee_id: UUID, *about: UUID) -> None:
    ledger.record(session, event, caller=f"employee:{employee_id}", subject=employee_id, objects=list(about))

"""Writes what came of an edit: of a finished headshot that was cut out once more, for another backdrop."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from batch.people.employees import EmployeeMissing
from batch.photos import photos
from batch.sittings import edits
from batch.sittings.edits import EditGone
from gpu_cluster.cluster.claiming import BLAMED
from gpu_cluster.cluster.fleet import Loss
from gpu_cluster.engine.orders import Outcome, PersonOrder


def settle(session: Session, person: PersonOrder, outcome: Outcome | Loss, now: datetime) -> None:
    """If this claim still holds; the picture of one that does not is an object without a row, and is removed."""
    try:
        # Whoever deletes a photo at this moment, or drops the edit, has done so before it is looked at.
        photos.hold(session, person.employee)
    except EmployeeMissing:
        return
    edit = edits.held(session, person.sitting, person.fence)
    if edit is None:
        return
    if isinstance(outcome, Loss) or outcome.away:
        edits.give_back(session, edit.id, edit.fence, now, blamed=outcome in BLAMED)
    elif outcome.failure:
        edits.fail(session, edit.id, edit.fence, outcome.failure, now)
    elif outcome.pictures:
        made = outcome.pictures[0]
        try:
            edits.finish(session, edit, made.path, made.bytes, made.question, made.loosening, now)
        except EditGone:
            edits.fail(session, edit.id, edit.fence, edits.GONE, now)

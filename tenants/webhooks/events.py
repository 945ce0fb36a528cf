"""What programs are told of: only what their endpoint's maker could see as well, so names and acts stay apart."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from likeness.locale.marks import N_
from tenants.members import permissions
from tenants.members.permissions import Permission
from tenants.models import Member


class Event(StrEnum):
    BATCH_IMPORTED = "batch.imported"
    HEADSHOTS_READY = "headshots.ready"
    HEADSHOT_RELEASED = "headshot.released"
    HEADSHOT_APPROVED = "headshot.approved"
    """Where the company approves them: from now on it can be fetched."""
    HEADSHOT_TAKEN_BACK = "headshot.taken-back"
    """Whoever keeps a copy of it deletes that."""
    ERASURE_DELETED = "erasure.deleted"
    CERTIFICATE_ISSUED = "certificate.issued"
    TEST = "webhook.test"
    """Sent by a button, to every endpoint."""


NEEDS: Mapping[Event, Permission] = {
    Event.BATCH_IMPORTED: Permission.BATCHES_READ,
    Event.HEADSHOTS_READY: Permission.PEOPLE_READ,
    Event.HEADSHOT_RELEASED: Permission.HEADSHOTS_READ,
    Event.HEADSHOT_APPROVED: Permission.HEADSHOTS_READ,
    Event.HEADSHOT_TAKEN_BACK: Permission.HEADSHOTS_READ,
    Event.ERASURE_DELETED: Permission.ACTS_READ,
    Event.CERTIFICATE_ISSUED: Permission.ACTS_READ,
}
WORDS: Mapping[Event, str] = {
    Event.BATCH_IMPORTED: N_("a batch was imported"),
    Event.HEADSHOTS_READY: N_("somebody's headshots are made"),
    Event.HEADSHOT_RELEASED: N_("somebody released a headshot"),
    Event.HEADSHOT_APPROVED: N_("a released headshot was approved, where the company approves them"),
    Event.HEADSHOT_TAKEN_BACK: N_("a released headshot was taken back: delete your copy"),
    Event.ERASURE_DELETED: N_("an erasure has deleted what there was"),
    Event.CERTIFICATE_ISSUED: N_("a certificate was issued"),
    Event.TEST: N_("a test"),
}

OUTLIVES = frozenset({Event.HEADSHOT_TAKEN_BACK})
"""What has to arrive although everything of the person is deleted meanwhile; it names a line of the list and a headshot by
random numbers that lead to nobody then."""


def open_to(member: Member) -> list[Event]:
    """What this member's endpoints may be told of now: nothing once they left, or while they work for some departments."""
    if member.disabled_at is not None or member.departments is not None:
        return []
    mine = permissions.of(member.roles)
    return [event for event, needed in NEEDS.items() if needed in mine]

"""Seals words that older versions of the program wrote in clear: names of batches, holds, and digests of photos.

A migration cannot do it, because the keys are not in the database and often not where migrations run. It is done at a
start of the embedded profile, by `likeness migrate` where that reaches the keys, and by a sweep otherwise.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from batch.photos import digests
from batch.roster import naming
from compliance import holds
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import KeyDestroyed, KeyUnavailable
from tenants import tenants

log = logging.getLogger(__name__)


def seal_clear(kernel: Kernel) -> list[str]:
    """Company by company, in transactions of its own; safe to repeat. Returns sentences, none if nothing was to be done."""
    names = holds_sealed = photos = waiting = 0
    for tenant in tenants.all_ids(kernel):
        try:
            with kernel.db.transaction(tenant) as session:
                named, held = naming.seal_clear(session, kernel.keys), holds.seal_clear(session, kernel.keys)
                people = digests.unsealed(session)
        except (KeyDestroyed, KeyUnavailable):
            waiting += 1
            continue
        sealed, missed = _digests(kernel, tenant, people)
        names, holds_sealed, photos = names + named, holds_sealed + held, photos + sealed
        waiting += missed > 0
    said = []
    if names or holds_sealed or photos:
        said.append(
            "What an older version kept in clear was sealed:"
            f" {names} names of batches, {holds_sealed} holds, {photos} digests of photos."
        )
    if waiting:
        said.append(f"Keys of {waiting} companies were away: what they keep in clear is sealed once the keys are back.")
    return said


def _digests(kernel: Kernel, tenant: UUID, people: list[UUID]) -> tuple[int, int]:
    """How many were sealed, and of how many people the keys are away."""
    sealed = missed = 0
    for person in people:
        try:
            with kernel.db.transaction(tenant) as session:
                sealed += digests.seal_clear(session, kernel.keys, person)
        except KeyUnavailable:
            missed += 1
    return sealed, missed


@jobs.every(timedelta(hours=1))
def seal_what_is_clear(kernel: Kernel, now: datetime) -> None:
    """What a start or a migration could not reach the keys of."""
    if said := seal_clear(kernel):
        log.info(" ".join(said))

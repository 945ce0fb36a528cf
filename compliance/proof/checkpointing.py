"""Each company's log is signed once an hour, where it grew, and within a minute of its first entry."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from compliance.proof import signing
from likeness import checkpoints
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.lanes import Lane
from likeness.jobs import jobs
from likeness.kernel import Kernel
from tenants import tenants

EVERY = timedelta(hours=1)


@jobs.every(timedelta(minutes=1))
def ask(kernel: Kernel, now: datetime) -> None:
    """Leaves it to the lane whose workers hold the key that signs."""
    tenants.each_id(kernel, ask_for, now, PLATFORM)


def ask_for(kernel: Kernel, tenant: UUID, now: datetime) -> None:
    with kernel.db.transaction(tenant) as session:
        last = checkpoints.newest(session)
        # One that is dated later than now is asked for as well, so that it is told that nothing can be signed.
        lately = last is not None and now - EVERY < last.signed_at <= now + checkpoints.TOLERATED
        if not lately and checkpoints.is_due(session):
            jobs.send(session, sign, key=f"checkpoint:{now:%Y%m%d%H%M}")


@jobs.actor(lane=Lane.PRIVACY, attempts=5, lease=timedelta(minutes=3))
def sign(attempt: jobs.Attempt) -> None:
    """Raises `LedgerBroken` where the log does not begin with what was signed before, or that is dated later than now: that
    is not signed."""
    now = utc_now()
    with attempt.finishing() as session:
        checkpoints.sign(session, signing.signer(attempt.kernel, now), now)

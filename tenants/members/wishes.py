"""Wishes for a sign-in link, from whoever stands at the front door.

The door answers the same, in the same time, whether the address is known or not: it writes the wish down and a job looks
for the address in every company. The mail goes to the address of the member's own row.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlmodel import Field, Session, col, delete, select

from likeness.ground.db import PLATFORM, Moment, TenantRow, of_tenant, tenant_of, utc_now
from likeness.ground.lanes import Lane
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import DataKey, KeyClass, KeyFolder, KeyRef, KeyUnavailable
from tenants import tenants, tries
from tenants.members import members

log = logging.getLogger(__name__)

MOST = 5
WITHIN = timedelta(hours=1)
"""One address gets so many links in this time, however often somebody asks for more."""
KEPT = timedelta(hours=1)
"""A wish that could not be carried out by then is of no use to anybody."""
CONTEXT = "sign-in wish"


class SignInWish(TenantRow, table=True):
    """An address that somebody typed, sealed, for the seconds until the job has looked for it. Of the platform's own
    tenant, because nobody knows yet of which company it is. The table is unlogged: no archive of the database holds it."""

    __tablename__ = "sign_in_wish"
    __table_args__ = (of_tenant(), {"prefixes": ["UNLOGGED"]})

    sealed: bytes
    created_at: datetime = Moment(default_factory=utc_now)
    counted: bool = Field(default=True)
    """False where the address had its links for this hour: nothing is mailed, and the answer took as long."""


class LinksFailed(Exception):
    """Some company's members could not be looked at; the job comes again."""


def ask(session: Session, keys: KeyFolder, email: str, now: datetime) -> None:
    """For a transaction of the platform's own tenant. Raises `MemberRefused` for what is no address."""
    typed = members.address(email)
    enough = tries.count(session, keys, f"sign-in mail|{typed}", WITHIN) > MOST
    wish = SignInWish(
        id=uuid4(),
        tenant_id=PLATFORM,
        sealed=_key(keys).seal(typed.encode(), CONTEXT),
        created_at=now,
        counted=not enough,
    )
    session.add(wish)
    jobs.send(session, answer, str(wish.id))


@jobs.actor(lane=Lane.GENERAL)
def answer(attempt: jobs.Attempt, wish_id: str) -> None:
    """Mails links for every wish that waits: a thousand wishes cost one look into each company, not a thousand."""
    kernel, now = attempt.kernel, utc_now()
    with attempt.transaction() as session:
        waiting = list(session.exec(select(SignInWish).where(col(SignInWish.tenant_id) == PLATFORM)))
    wanted = {_key(kernel.keys).open(one.sealed, CONTEXT).decode(): one.id for one in waiting if one.counted}
    failed = 0
    for tenant in [PLATFORM, *tenants.all_ids(kernel)] if wanted else []:
        try:
            with kernel.db.transaction(tenant) as session:
                _mail(session, kernel, wanted, now)
        except KeyUnavailable:
            # Who works there may ask again when the key is back; nobody else is kept waiting for it.
            log.warning("a company's key is away, so nobody there got a link", extra={"tenant": str(tenant)})
        except Exception:
            failed += 1
            log.exception("sign-in links failed for one company", extra={"tenant": str(tenant)})
    if failed and not attempt.last:
        # Mails that were written are not written twice: each carries the id of its wish.
        raise LinksFailed
    with attempt.finishing() as session:
        _forget(session, [one.id for one in waiting])


def _mail(session: Session, kernel: Kernel, wanted: dict[str, UUID], now: datetime) -> None:
    for member, email in members.find_all(session, kernel.keys, list(wanted)):
        members.mail_link(session, kernel, member, now, campaign=str(wanted[email]))


def _forget(session: Session, ids: Sequence[UUID]) -> None:
    session.execute(
        delete(SignInWish).where(col(SignInWish.tenant_id) == tenant_of(session), col(SignInWish.id).in_(ids))
    )


@jobs.every(timedelta(minutes=10))
def forget(kernel: Kernel, now: datetime) -> None:
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(
            delete(SignInWish).where(col(SignInWish.tenant_id) == PLATFORM, col(SignInWish.created_at) < now - KEPT)
        )


def _key(keys: KeyFolder) -> DataKey:
    return keys.open_or_create(KeyRef(PLATFORM, PLATFORM, KeyClass.PROFILE))

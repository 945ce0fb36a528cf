"""Endpoints: where a program of the company listens, what it is told of, and the secret that signs its messages.

Address and secret are sealed under a key of the endpoint's own, which is destroyed when the endpoint is removed. It
works for the member who made it, as their keys do: it is told what they may see, as long as they may.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from secrets import token_bytes
from uuid import UUID, uuid4

from sqlalchemy import JSON, Column, delete
from sqlmodel import Field, Session, col, select

from likeness import ledger, outbound
from likeness.ground.db import Moment, TenantRow, after_commit, of_tenant, oldest_first, on_rollback, tenant_of
from likeness.ground.errors import NotFound, Unprocessable
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef
from tenants.members import members, permissions
from tenants.members.permissions import Permission
from tenants.models import Member
from tenants.webhooks import events
from tenants.webhooks.events import Event

MOST = 10
"""Endpoints of one member."""
BOTH = timedelta(hours=24)
"""So long messages are signed with the secret before as well, so that no message is refused while a program changes."""
CONTEXT = "webhook endpoint"


class EndpointMissing(NotFound):
    """The company has no such endpoint, or it is another member's."""

    title = "There is no such endpoint"


class EndpointRefused(Unprocessable):
    """No endpoint can be made like this."""

    title = "Nothing was added"


class Endpoint(TenantRow, table=True):
    __tablename__ = "webhook_endpoint"
    __table_args__ = (of_tenant(),)

    member_id: UUID = Field(index=True)
    """Who made it: it is told what they may see, and nothing once they are disabled."""
    sealed: bytes
    events: list[str] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime = Moment()
    failures: int = 0
    """How often in a row it did not answer, or could not."""
    rests_until: datetime | None = Moment(default=None, nullable=True)
    """Nothing is sent before: a receiver that is down is not asked for each message."""
    stopped_at: datetime | None = Moment(default=None, nullable=True)
    """When it answered that it wants nothing any more (410)."""


@dataclass(frozen=True)
class Sealed:
    url: str
    secret: str
    before: str = ""
    before_until: str = ""

    def secrets(self, now: datetime) -> list[str]:
        """What messages are signed with, the newest first."""
        still = self.before and now < datetime.fromisoformat(self.before_until)
        return [self.secret, self.before] if still else [self.secret]


def make(
    session: Session,
    keys: KeyFolder,
    maker: Member,
    url: str,
    wanted: Collection[str],
    now: datetime,
    *,
    networks: Collection[str],
) -> tuple[Endpoint, str]:
    """The endpoint and its secret, which is shown this once. Raises `EndpointRefused` and `AddressRefused`."""
    allowed = events.open_to(maker)
    chosen = [str(one) for one in allowed if one in set(wanted)]
    if maker.departments is not None:
        raise EndpointRefused(
            "You work for some departments, and messages are about everybody: ask somebody who works for all of them."
        )
    if not wanted or len(chosen) != len(set(wanted)):
        raise EndpointRefused("Choose one or more events, among those that you may see yourself.")
    if len(of_member(session, maker.id)) >= MOST:
        raise EndpointRefused("You have {n} endpoints. Remove one that is not used any more.", n=MOST)
    kept = Sealed(outbound.checked(url.strip(), networks), _secret())
    endpoint = Endpoint(
        id=uuid4(), tenant_id=tenant_of(session), member_id=maker.id, sealed=b"", events=chosen, created_at=now
    )
    on_rollback(session, lambda: keys.destroy(_ref(endpoint), now))
    endpoint.sealed = _seal(keys, endpoint, kept)
    session.add(endpoint)
    session.flush()
    ledger.record(session, "webhook.added", caller=f"member:{maker.id}", objects=[endpoint.id])
    return endpoint, kept.secret


def of_member(session: Session, member_id: UUID) -> list[Endpoint]:
    return everybodys(session, member_id)


def everybodys(
    session: Session, member_id: UUID | None = None, most: int | None = None, *,
    after: tuple[datetime, UUID] | None = None,
) -> list[Endpoint]:  # fmt: skip
    """Or one member's; oldest first, at most so many, those `after` the moment and the id of one."""
    query = select(Endpoint).where(col(Endpoint.tenant_id) == tenant_of(session))
    if member_id is not None:
        query = query.where(col(Endpoint.member_id) == member_id)
    return list(session.exec(oldest_first(query, col(Endpoint.created_at), col(Endpoint.id), most, after)))


def seen_by(
    session: Session, member: Member, most: int | None = None, *, after: tuple[datetime, UUID] | None = None
) -> list[Endpoint]:
    """One's own; everybody's for who says who works here, who sees their hosts and may remove them."""
    whole = Permission.MEMBERS_CHANGE in permissions.of(member.roles)
    return everybodys(session, None if whole else member.id, most, after=after)


def mine(session: Session, member: Member, endpoint_id: UUID) -> Endpoint:
    """What it was told is shown to its maker alone. Raises `EndpointMissing`."""
    return _one(of_member(session, member.id), endpoint_id)


def remove(session: Session, keys: KeyFolder, member: Member, endpoint_id: UUID, now: datetime) -> None:
    """With everything that waits for it. Raises `EndpointMissing`."""
    endpoint = _one(seen_by(session, member), endpoint_id)
    session.execute(
        delete(Endpoint).where(col(Endpoint.tenant_id) == tenant_of(session), col(Endpoint.id) == endpoint_id)
    )
    after_commit(session, lambda: keys.destroy(_ref(endpoint), now))
    ledger.record(session, "webhook.removed", caller=f"member:{member.id}", objects=[endpoint_id])


def new_secret(session: Session, keys: KeyFolder, member: Member, endpoint_id: UUID, now: datetime) -> str:
    """Shown this once; the one before goes on for a day. Raises `EndpointMissing`."""
    endpoint = mine(session, member, endpoint_id)
    old = opened(keys, endpoint)
    new = replace(old, secret=_secret(), before=old.secret, before_until=(now + BOTH).isoformat())
    endpoint.sealed = _seal(keys, endpoint, new)
    session.add(endpoint)
    ledger.record(session, "webhook.secret-changed", caller=f"member:{member.id}", objects=[endpoint_id])
    return new.secret


def opened(keys: KeyFolder, endpoint: Endpoint) -> Sealed:
    """Raises `KeyDestroyed` where it was removed meanwhile, and `KeyUnavailable`."""
    return Sealed(**json.loads(keys.open(_ref(endpoint)).open(endpoint.sealed, CONTEXT)))


def told_of(session: Session, event: Event) -> list[Endpoint]:
    """The endpoints that are told of it, because their makers may know it."""
    listening = [one for one in everybodys(session) if event in one.events and one.stopped_at is None]
    return [one for one in listening if event in events.open_to(members.get(session, one.member_id))]


def _one(among: Collection[Endpoint], endpoint_id: UUID) -> Endpoint:
    found = next((one for one in among if one.id == endpoint_id), None)
    if found is None:
        raise EndpointMissing("There is no such endpoint.")
    return found


def _seal(keys: KeyFolder, endpoint: Endpoint, kept: Sealed) -> bytes:
    return keys.open_or_create(_ref(endpoint)).seal(json.dumps(kept.__dict__).encode(), CONTEXT)


def _ref(endpoint: Endpoint) -> KeyRef:
    return KeyRef(endpoint.tenant_id, endpoint.id, KeyClass.PROFILE)


def _secret() -> str:
    return "whsec_" + base64.b64encode(token_bytes(32)).decode()

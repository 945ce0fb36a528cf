"""Who makes this request: one-time links, sessions, and the `Caller` that both lead to.

Tokens are `<tenant>.<secret>`: the tenant's opaque id says under which tenant to look, the 256-bit secret is stored
hashed only. A GET never consumes a link, because mail scanners open links; a page posts.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, Row, Uuid, any_, delete, literal, select, update
from sqlmodel import Field, Session, col

from likeness.ground.db import Database, Moment, TenantRow, of_tenant, row_of, tenant_of
from likeness.ground.errors import Forbidden, Gone, LikenessError

SESSION_LIFETIME = timedelta(hours=12)
IDLE = timedelta(minutes=30)
"""A session that works the desk ends after this time in which nobody did anything, however long it may last."""
NOTED = timedelta(minutes=1)
"""How exactly it is known when a session was last used: not every request writes."""
FRESH = timedelta(minutes=5)
"""How long after a sign-in somebody may do what cannot be taken back."""
LINK_LIFETIME = timedelta(minutes=30)
INVITED_LIFETIME = timedelta(days=7)
"""An invitation is read when there is time for it; a link that one asked for is opened at once."""


class Kind(StrEnum):
    MEMBER = "member"
    EMPLOYEE = "employee"
    OPERATOR = "operator"
    MACHINE = "machine"
    """A program that calls with a key of a member's: see `machines.py`."""


class LeadsNowhere(LikenessError):
    """A token that was never made, or whose row is gone. Only such are counted as guesses."""


class LinkUnknown(LeadsNowhere, Gone):
    """There is no such link to sign in or invitation, it was withdrawn, or it ran out so long ago that it was forgotten."""

    title = "This link does not work"


class LinkUsed(Gone):
    """The link was used, or it is one to sign in and ran out. An invitation offers to mail a fresh one."""

    title = "This link was used or has run out"


class FreshSignInNeeded(Forbidden):
    """What weighs much is done by somebody who proved a moment ago who they are."""

    title = "Please sign in once more"


@dataclass(frozen=True)
class Caller:
    """Who makes this request. What they may do is decided by the tenants floor."""

    tenant: UUID
    kind: Kind
    id: UUID
    session: UUID
    authenticated_at: datetime
    """When they last proved who they are: by a mailed link, or with their company's account."""
    other: tuple[Kind, UUID] | None = None
    """The same human's other part, for somebody who works the desk and is photographed."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    def as_kind(self, *kinds: Kind) -> Caller | None:
        """The caller in a part of one of these kinds; None where they have none."""
        if self.kind in kinds:
            return self
        if self.other is None or self.other[0] not in kinds:
            return None
        return replace(self, kind=self.other[0], id=self.other[1], other=(self.kind, self.id))

    def check_fresh(self, now: datetime) -> None:
        """Raises `FreshSignInNeeded`."""
        if now - self.authenticated_at > FRESH:
            raise FreshSignInNeeded(
                "What cannot be taken back, hands out records, or decides who has access is asked of somebody who signed in"
                " within the last five minutes. Nothing was changed. Sign in once more, and then do it again."
            )


class SignInLink(TenantRow, table=True):
    __tablename__ = "sign_in_link"
    __table_args__ = (of_tenant(),)

    token_hash: bytes = Field(unique=True)
    kind: str
    subject_id: UUID
    expires_at: datetime = Moment()
    used_at: datetime | None = Moment(default=None, nullable=True)


class WebSession(TenantRow, table=True):
    __tablename__ = "web_session"
    __table_args__ = (of_tenant(),)

    token_hash: bytes = Field(unique=True)
    kind: str
    subject_id: UUID = Field(index=True)
    created_at: datetime = Moment()
    expires_at: datetime = Moment()
    authenticated_at: datetime = Moment()
    seen_at: datetime = Moment()
    """When somebody last did something in it; what a page asks by itself is nobody's doing."""
    other_kind: str | None = None
    other_id: UUID | None = Field(default=None, index=True)
    """The same human's other part, where their company's account is connected with both."""


def new_token(tenant: UUID) -> str:
    return f"{tenant.hex}.{secrets.token_urlsafe(32)}"


def token_hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def tenant_in(token: str) -> UUID | None:
    """The tenant a token names, None for anything that is no token."""
    try:
        return UUID(hex=token.split(".", 1)[0])
    except ValueError:
        return None


def make_link(
    session: Session,
    kind: Kind,
    subject_id: UUID,
    now: datetime,
    lasting: timedelta = LINK_LIFETIME,
    *,
    link: UUID | None = None,
) -> str:
    """A token that signs `subject_id` in once, within half an hour unless another time is given. `link` is the id of its
    row, where something else has to know this very link."""
    token = new_token(tenant_of(session))
    keep_link(session, token, kind, subject_id, now + lasting, link=link)
    return token


def keep_link(
    session: Session, token: str, kind: Kind, subject_id: UUID, until: datetime, *, link: UUID | None = None
) -> None:
    session.add(
        SignInLink(
            id=link or uuid4(),
            tenant_id=tenant_of(session),
            token_hash=token_hash(token),
            kind=kind,
            subject_id=subject_id,
            expires_at=until,
        )
    )


@dataclass(frozen=True)
class Code:
    token: str
    until: datetime
    used: bool


def make_code(session: Session, caller: Caller, cookie: str, now: datetime, lasting: timedelta) -> str:
    """A token that lets the caller go on once on another device, in the place of the one before. Its row has the id of the
    session that shows it: what goes on there is a part of that session, see `going_on`."""
    screen = select(col(WebSession.id)).where(
        col(WebSession.tenant_id) == tenant_of(session), col(WebSession.id) == caller.session
    )
    session.execute(screen.with_for_update())  # Two codes of one session are made one after the other.
    mine = col(SignInLink.tenant_id) == tenant_of(session), col(SignInLink.id) == caller.session
    before = session.execute(delete(SignInLink).where(*mine).returning(col(SignInLink.expires_at))).scalar()
    until = now + lasting
    if before is not None and until <= before:  # No two codes of a session end at the same moment, nor are the same.
        until = before + timedelta(microseconds=1)
    token = _code(tenant_of(session), cookie, until)
    keep_link(session, token, caller.kind, caller.id, until, link=caller.session)
    return token


def code_of(session: Session, caller: Caller, cookie: str) -> Code | None:
    """The code that the caller's session has made last, made once more; None for none that this cookie made."""
    mine = col(SignInLink.tenant_id) == tenant_of(session), col(SignInLink.id) == caller.session
    row = session.execute(select(SignInLink).where(*mine)).scalar()
    if row is None or (row.kind, row.subject_id) != (caller.kind, caller.id):
        return None
    token = _code(row.tenant_id, cookie, row.expires_at)
    if token_hash(token) != row.token_hash:
        return None
    return Code(token, row.expires_at, row.used_at is not None)


def _code(tenant: UUID, cookie: str, until: datetime) -> str:
    """Follows from the cookie of the session that shows it, which is stored nowhere here, so that a page can be loaded once
    more although the code is stored hashed only. The cookie does not follow from it."""
    told = f"code until {until.astimezone(UTC).isoformat(timespec='microseconds')}"
    secret = hmac.digest(cookie.encode(), told.encode(), "sha256")
    return f"{tenant.hex}.{urlsafe_b64encode(secret).decode().rstrip('=')}"


def going_on(session: Session, token: str, now: datetime) -> WebSession | None:
    """The session that shows this code; None where it has ended."""
    screen = row_of(session, WebSession, shown) if (shown := link_id(session, token)) else None
    return screen if screen is not None and screen.expires_at > now and not _asleep(screen, now) else None


def promised(session: Session, token: str, now: datetime) -> tuple[Kind, UUID] | None:
    """Whom a link would sign in; None for one that signs nobody in. Consumes nothing."""
    found = session.execute(
        select(col(SignInLink.kind), col(SignInLink.subject_id)).where(
            col(SignInLink.tenant_id) == tenant_of(session),
            col(SignInLink.token_hash) == token_hash(token),
            col(SignInLink.used_at).is_(None),
            col(SignInLink.expires_at) > now,
        )
    ).first()
    return (Kind(found.kind), found.subject_id) if found else None


def link_id(session: Session, token: str) -> UUID | None:
    found = session.execute(
        select(col(SignInLink.id)).where(
            col(SignInLink.tenant_id) == tenant_of(session), col(SignInLink.token_hash) == token_hash(token)
        )
    ).scalar()
    return UUID(str(found)) if found else None


def redeem(session: Session, token: str, now: datetime) -> tuple[Kind, UUID]:
    """Consumes a one-time link. Raises `LinkUsed` or `LinkUnknown`."""
    used = session.execute(
        update(SignInLink)
        .where(
            col(SignInLink.tenant_id) == tenant_of(session),
            col(SignInLink.token_hash) == token_hash(token),
            col(SignInLink.used_at).is_(None),
            col(SignInLink.expires_at) > now,
        )
        .values(used_at=now)
        .returning(col(SignInLink.kind), col(SignInLink.subject_id))
    ).first()
    if used is None:
        known = session.execute(
            select(col(SignInLink.id)).where(
                col(SignInLink.tenant_id) == tenant_of(session), col(SignInLink.token_hash) == token_hash(token)
            )
        ).first()
        if known is None:
            raise LinkUnknown("This sign-in link leads nowhere. Copy the whole address, or ask for a new link.")
        raise LinkUsed("This sign-in link was used already or has run out. Ask for a new one.")
    return Kind(used.kind), used.subject_id


def start_session(
    session: Session,
    kind: Kind,
    subject_id: UUID,
    now: datetime,
    *,
    other: tuple[Kind, UUID] | None = None,
    authenticated_at: datetime | None = None,
    session_id: UUID | None = None,
    until: datetime | None = None,
) -> str:
    """A new session; returns the cookie's value. `other` is the same human's other part. It ends after half a day, or
    `until` then where it is a part of another one."""
    token = new_token(tenant_of(session))
    session.add(
        WebSession(
            id=session_id or uuid4(),
            tenant_id=tenant_of(session),
            token_hash=token_hash(token),
            kind=kind,
            subject_id=subject_id,
            created_at=now,
            expires_at=until or now + SESSION_LIFETIME,
            authenticated_at=authenticated_at or now,
            seen_at=now,
            other_kind=other[0] if other else None,
            other_id=other[1] if other else None,
        )
    )
    return token


def caller_of(db: Database, cookie: str | None, now: datetime, *, by_itself: bool = False) -> Caller | None:
    """Who holds this cookie; None for no session, a foreign or an ended one. `by_itself` is what a page asks again and
    again without anybody's doing: it keeps no session awake."""
    tenant = tenant_in(cookie) if cookie else None
    if cookie is None or tenant is None:
        return None
    with db.transaction(tenant) as session:
        # Every request asks this, so it reads the columns alone.
        row = session.execute(
            select(
                col(WebSession.id), col(WebSession.kind), col(WebSession.subject_id), col(WebSession.authenticated_at),
                col(WebSession.seen_at), col(WebSession.other_kind), col(WebSession.other_id),
            ).where(
                col(WebSession.tenant_id) == tenant,
                col(WebSession.token_hash) == token_hash(cookie),
                col(WebSession.expires_at) > now,
            )
        ).one_or_none()  # fmt: skip
        if row is None or _asleep(row, now):
            return None
        if not by_itself and now - row.seen_at > NOTED:
            this = (col(WebSession.tenant_id) == tenant) & (col(WebSession.id) == row.id)
            session.execute(update(WebSession).where(this).values(seen_at=now))
    other = (Kind(row.other_kind), row.other_id) if row.other_kind and row.other_id else None
    return Caller(tenant, Kind(row.kind), row.subject_id, row.id, row.authenticated_at, other)


def _asleep(row: WebSession | Row[Any], now: datetime) -> bool:
    works_the_desk = {Kind.MEMBER, Kind.OPERATOR} & {row.kind, row.other_kind}
    return bool(works_the_desk) and now - row.seen_at > IDLE


def sessions_of(session: Session, subject_id: UUID, now: datetime) -> list[WebSession]:
    """Where somebody is signed in right now, the last used first."""
    mine = (col(WebSession.subject_id) == subject_id) | (col(WebSession.other_id) == subject_id)
    rows = session.execute(
        select(WebSession)
        .where(col(WebSession.tenant_id) == tenant_of(session), col(WebSession.expires_at) > now, mine)
        .order_by(col(WebSession.seen_at).desc())
    )
    return [row for row in rows.scalars() if not _asleep(row, now)]


def stands(session: Session, caller: Caller) -> bool:
    """Whether the caller's session is still theirs, as this transaction sees it."""
    found = session.execute(
        select(col(WebSession.id)).where(
            col(WebSession.tenant_id) == tenant_of(session),
            col(WebSession.id) == caller.session,
            col(WebSession.subject_id) == caller.id,
        )
    ).first()
    return found is not None


def end_session(session: Session, session_id: UUID) -> None:
    session.execute(
        delete(WebSession).where(col(WebSession.tenant_id) == tenant_of(session), col(WebSession.id) == session_id)
    )


def end_sessions_of(session: Session, *subjects: UUID, keep: UUID | None = None) -> None:
    """Signs them out everywhere but in the session `keep`, and voids the links they have not used."""
    theirs = any_(literal(list(subjects), ARRAY(Uuid())))
    for table in (WebSession, SignInLink):
        statement = delete(table).where(col(table.tenant_id) == tenant_of(session), col(table.subject_id) == theirs)
        session.execute(statement if keep is None else statement.where(col(table.id) != keep))
    # A session of their other part goes on without this one.
    part = update(WebSession).where(col(WebSession.tenant_id) == tenant_of(session), col(WebSession.other_id) == theirs)
    part = part if keep is None else part.where(col(WebSession.id) != keep)
    session.execute(part.values(other_kind=None, other_id=None))


def hand_over_sessions(session: Session, before: UUID, after: UUID) -> None:
    """Whoever is signed in as `before` goes on as `after`."""
    for column in (col(WebSession.subject_id), col(WebSession.other_id)):
        session.execute(
            update(WebSession)
            .where(col(WebSession.tenant_id) == tenant_of(session), column == before)
            .values({column: after})
        )


def forget_ended(session: Session, now: datetime) -> None:
    """Deletes the tenant's sessions and links that ran out."""
    for table in (WebSession, SignInLink):
        session.execute(delete(table).where(col(table.tenant_id) == tenant_of(session), col(table.expires_at) < now))

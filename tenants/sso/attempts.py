"""A sign-in that is on its way: begun in one browser, to be finished in the same one, once, within ten minutes.

`state` names the company and proves nothing; the browser's own cookie does. Both are stored hashed, the nonce too, and
the PKCE verifier sealed, so that a copy of the table finishes no sign-in.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from sqlalchemy import delete
from sqlmodel import Field, Session, col

from likeness.ground.db import PLATFORM, Moment, TenantRow, of_tenant, tenant_of
from likeness.ground.errors import Gone
from likeness.identity import Kind, new_token, token_hash
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import DataKey, KeyClass, KeyFolder, KeyRef
from likeness.locale.marks import N_
from tenants.tenants import for_each

LIFETIME = timedelta(minutes=10)
CONTEXT = "sign-in attempt"


class AttemptOver(Gone):
    """The sign-in was finished, ran out, or was begun in another browser."""

    title = "This sign-in is over"


class SignInAttempt(TenantRow, table=True):
    """Unlogged: a crash of the database costs the sign-ins of that minute, and no archive holds them."""

    __tablename__ = "sign_in_attempt"
    __table_args__ = (of_tenant(), {"prefixes": ["UNLOGGED"]})

    provider_id: UUID
    state_hash: bytes = Field(unique=True)
    browser_hash: bytes
    nonce_hash: bytes
    sealed: bytes
    """The PKCE verifier."""
    acr: str = ""
    """What was asked for, so that it is asked for once."""
    again: bool = False
    """The password is asked for also of somebody who is signed in there."""
    kind: str | None = None
    subject_id: UUID | None = None
    """Who proved by a mailed link that they are this person, and now connects their company's account."""
    go_to: str = "/"
    started_at: datetime = Moment()
    expires_at: datetime = Moment(index=True)


@dataclass(frozen=True)
class SignInBegun:
    """What the browser is sent away with; `browser` is the cookie that stays with it."""

    state: str
    nonce: str
    challenge: str
    browser: str


def begin(
    session: Session,
    keys: KeyFolder,
    provider_id: UUID,
    now: datetime,
    *,
    acr: str = "",
    again: bool = False,
    known: tuple[Kind, UUID] | None = None,
    go_to: str = "/",
) -> SignInBegun:
    tenant = tenant_of(session)
    state, verifier = new_token(tenant), secrets.token_urlsafe(48)
    browser, nonce = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    session.add(
        SignInAttempt(
            id=(attempt_id := uuid4()),
            tenant_id=tenant,
            provider_id=provider_id,
            state_hash=token_hash(state),
            browser_hash=token_hash(browser),
            nonce_hash=token_hash(nonce),
            sealed=_key(keys).seal(verifier.encode(), f"{CONTEXT}/{attempt_id}"),
            acr=acr,
            again=again,
            kind=known[0] if known else None,
            subject_id=known[1] if known else None,
            go_to=local(go_to),
            started_at=now,
            expires_at=now + LIFETIME,
        )
    )
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return SignInBegun(state, nonce, challenge, browser)


def take(session: Session, state: str, browser: str, now: datetime) -> SignInAttempt:
    """The attempt, which nobody can take again. Raises `AttemptOver`."""
    taken: SignInAttempt | None = session.execute(
        delete(SignInAttempt)
        .where(
            col(SignInAttempt.tenant_id) == tenant_of(session),
            col(SignInAttempt.state_hash) == token_hash(state),
            col(SignInAttempt.browser_hash) == token_hash(browser),
            col(SignInAttempt.expires_at) > now,
        )
        .returning(SignInAttempt)
    ).scalar_one_or_none()
    if taken is None:
        raise AttemptOver(N_(
            "It was finished already, took longer than ten minutes, or was begun in another browser. Nothing was changed."
            " Please start once more."
        ))  # fmt: skip
    return taken


def verifier(keys: KeyFolder, attempt: SignInAttempt) -> str:
    return _key(keys).open(attempt.sealed, f"{CONTEXT}/{attempt.id}").decode()


@jobs.every(timedelta(minutes=10))
def forget(kernel: Kernel, now: datetime) -> None:
    """Attempts that ran out are of no use to anybody."""
    for_each(kernel, lambda session: _forget(session, now))


def _forget(session: Session, now: datetime) -> None:
    session.execute(
        delete(SignInAttempt).where(
            col(SignInAttempt.tenant_id) == tenant_of(session), col(SignInAttempt.expires_at) < now
        )
    )


def local(path: str) -> str:
    """A path of this program, "/" for anything that a browser could read as another address."""
    plain = path.startswith("/") and not path.startswith("//") and len(path) <= 300
    return path if plain and path.isascii() and path.isprintable() and "\\" not in path else "/"


def _key(keys: KeyFolder) -> DataKey:
    return keys.open_or_create(KeyRef(PLATFORM, PLATFORM, KeyClass.PROFILE))

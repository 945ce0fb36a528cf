"""The JSON edge of keys for programs. `routes` is a part of the floor's router."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.machines import MachineKey
from likeness.web.described import FOR_PEOPLE
from likeness.web.guards import fresh, only
from likeness.web.paging import ON_A_PAGE, After, Mark, Most, Page
from tenants.members import programs
from tenants.members.access import desk
from tenants.members.permissions import Permission

DESK = [only(Kind.MEMBER)]


@dataclass
class KeyShown:
    id: UUID
    name: str
    scope: list[str]
    made_by: UUID
    created_at: datetime
    expires_at: datetime | None
    """None for a key that lasts until it is revoked."""
    used_at: datetime | None
    """To the minute."""


@dataclass
class KeyMade:
    """`token` is shown here once; send it as `Authorization: Bearer`."""

    key: KeyShown
    token: str


class NewKey(Struct, forbid_unknown_fields=True):
    name: str
    scope: list[str]
    """Names of permissions, such as `people.read`. Whatever takes a sign-in within the last five minutes is open to no
    key: with `acts.read` a program reads erasures, certificates, holds and checkpoints, and exports no ledger."""
    days: int | None = programs.LASTS
    """It works for so many days; with `null` until it is revoked."""


@get("/keys", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def list_keys(request: Request[Any, Any, Any], most: Most = ON_A_PAGE, after: After = "") -> Response[list[KeyShown]]:
    """Keys of programs that work, newest first: one's own, and everybody's for an owner. While there are more, the header
    `Link` names the next page."""
    page = Page(Mark, most, after)
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        found = programs.seen_by(session, me, utc_now(), page.lines, before=page.after)
        return page.answer(request, found, lambda one: Mark(one.created_at, one.id), _shown)


@post("/keys", guards=[*DESK, fresh], sync_to_thread=True)
def make_key(request: Request[Any, Any, Any], data: JSONBody[NewKey]) -> KeyMade:
    """A key that may do these of the things that its maker may do, as long as they may."""
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        key, token = programs.make(session, me, data.name, data.scope, utc_now(), days=data.days)
        return KeyMade(_shown(key), token)


@delete("/keys/{key_id:uuid}", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def revoke_key(request: Request[Any, Any, Any], key_id: FromPath[UUID]) -> None:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        programs.revoke(session, me, key_id, utc_now())


def _shown(key: MachineKey) -> KeyShown:
    return KeyShown(key.id, key.name, key.scope, key.member_id, key.created_at, key.expires_at, key.used_at)


routes: list[Any] = [list_keys, make_key, revoke_key]

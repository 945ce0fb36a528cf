"""Gives every request its place among the threads: the room that its route names, and the turn of its company."""

from __future__ import annotations

from collections.abc import Hashable

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from likeness.web import threads
from likeness.web.guards import shown
from likeness.web.threads import PAGES, ROOMS, Place


class InTurn:
    """Before a session is known the turn is that of the address that asks, so nobody gets more turns by making companies
    up."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            named = scope["route_handler"].opt.get("room", PAGES.name)
            threads.take(Place(ROOMS[named], *_whose_turn(scope)))
        await self.app(scope, receive, send)


def _whose_turn(scope: Scope) -> tuple[Hashable, Hashable]:
    # Read as whoever lets people in reads it, or another spelling of the same cookie would take another turn.
    known = threads.whose(shown(ASGIConnection(scope))[0])
    client = scope.get("client")
    return known or (client[0] if client else None, None)

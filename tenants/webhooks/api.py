"""The JSON edge of webhooks. `routes` is a part of the floor's router."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from likeness import outbound
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.keys.keys import KeyFolder
from likeness.web.described import FOR_PEOPLE
from likeness.web.guards import fresh, kernel_of, only
from likeness.web.paging import ON_A_PAGE, After, Mark, Most, Page
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.models import Member
from tenants.webhooks import deliveries, endpoints
from tenants.webhooks.deliveries import Delivery, Try
from tenants.webhooks.endpoints import Endpoint

DESK = [only(Kind.MEMBER)]
Asked = Request[Any, Any, Any]


@dataclass
class EndpointShown:
    id: UUID
    host: str
    url: str | None
    """Null for an owner who looks at somebody else's."""
    events: list[str]
    made_by: UUID
    created_at: datetime
    rests_until: datetime | None
    """It did not answer, and nothing is sent before."""
    stopped_at: datetime | None
    """When it answered 410; sending a test begins again."""


@dataclass
class EndpointMade:
    """`secret` is shown here once; messages are signed with it as Standard Webhooks has it."""

    endpoint: EndpointShown
    secret: str


@dataclass
class SecretShown:
    """Messages are signed with the one before as well, for 24 hours."""

    secret: str


@dataclass
class DeliveryShown:
    """`id` is the message's `webhook-id`, the same at every try."""

    id: UUID
    event: str
    created_at: datetime
    state: str
    """`waiting`, `delivered` or `given up`."""
    next_at: datetime | None
    tries: list[Try]
    """Oldest first; each `answered`, or `no answer`, `not public` (its name leads nowhere allowed) or `not trusted`."""


@dataclass
class SentAgain:
    messages: int


class NewEndpoint(Struct, forbid_unknown_fields=True):
    url: str
    events: list[str]


@get("/webhooks", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def list_endpoints(request: Asked, most: Most = ON_A_PAGE, after: After = "") -> Response[list[EndpointShown]]:
    """One's own, oldest first; an owner sees the hosts of everybody's. While there are more, the header `Link` names the
    next page."""
    page, keys = Page(Mark, most, after), kernel_of(request).keys
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        found = endpoints.seen_by(session, me, page.lines, after=page.after)
        return page.answer(request, found, _mark, lambda one: _shown(keys, one, me))


def _mark(one: Endpoint | Delivery) -> Mark:
    return Mark(one.created_at, one.id)


@post("/webhooks", guards=[*DESK, fresh], sync_to_thread=True)
def add_endpoint(request: Asked, data: JSONBody[NewEndpoint]) -> EndpointMade:
    """An address that is told of these events, as long as whoever adds it may see them."""
    kernel = kernel_of(request)
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        made, secret = endpoints.make(
            session, kernel.keys, me, data.url, data.events, utc_now(), networks=kernel.settings.hooks_inside
        )
        return EndpointMade(_shown(kernel.keys, made, me), secret)


@delete("/webhooks/{endpoint_id:uuid}", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def remove_endpoint(request: Asked, endpoint_id: FromPath[UUID]) -> None:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        endpoints.remove(session, kernel_of(request).keys, me, endpoint_id, utc_now())


@post("/webhooks/{endpoint_id:uuid}/secret", guards=[*DESK, fresh], sync_to_thread=True)
def change_secret(request: Asked, endpoint_id: FromPath[UUID]) -> SecretShown:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        return SecretShown(endpoints.new_secret(session, kernel_of(request).keys, me, endpoint_id, utc_now()))


@post("/webhooks/{endpoint_id:uuid}/test", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def send_test(request: Asked, endpoint_id: FromPath[UUID]) -> DeliveryShown:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        return _told(deliveries.test(session, me, endpoint_id, utc_now()))


@get("/webhooks/{endpoint_id:uuid}/deliveries", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def list_deliveries(
    request: Asked, endpoint_id: FromPath[UUID], most: Most = ON_A_PAGE, after: After = ""
) -> Response[list[DeliveryShown]]:
    """The messages of the last seven days, newest first, with each try. While there are more, the header `Link` names the
    next page."""
    page = Page(Mark, most, after)
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        endpoint = endpoints.mine(session, me, endpoint_id)
        found = deliveries.of_endpoint(session, endpoint, page.lines, before=page.after)
        return page.answer(request, found, _mark, _told)


@post("/webhooks/{endpoint_id:uuid}/again", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def send_all_again(request: Asked, endpoint_id: FromPath[UUID]) -> SentAgain:
    """Everything of the last seven days that was not delivered."""
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        return SentAgain(deliveries.all_again(session, me, endpoint_id, utc_now()))


@post("/webhooks/{endpoint_id:uuid}/deliveries/{delivery_id:uuid}/again", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def send_again(request: Asked, endpoint_id: FromPath[UUID], delivery_id: FromPath[UUID]) -> DeliveryShown:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        return _told(deliveries.again(session, me, endpoint_id, delivery_id, utc_now()))


def _shown(keys: KeyFolder, one: Endpoint, me: Member) -> EndpointShown:
    url = endpoints.opened(keys, one).url
    return EndpointShown(
        one.id, outbound.host_of(url), url if one.member_id == me.id else None, one.events, one.member_id,
        one.created_at, one.rests_until, one.stopped_at,
    )  # fmt: skip


def _told(one: Delivery) -> DeliveryShown:
    return DeliveryShown(one.id, one.event, one.created_at, one.state, one.next_at, one.told)


routes: list[Any] = [
    list_endpoints,
    add_endpoint,
    remove_endpoint,
    change_secret,
    send_test,
    list_deliveries,
    send_all_again,
    send_again,
]

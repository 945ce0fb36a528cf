"""Webhooks: where a member's programs listen, what each was told, and the way to send it again."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect

from dashboard.pages import page, part_of
from likeness import outbound
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError, Unprocessable
from likeness.identity import Kind
from likeness.web.guards import fresh, kernel_of, only
from likeness.web.paging import ON_A_PAGE, Mark
from tenants.members import members
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.webhooks import deliveries, endpoints, events
from tenants.webhooks.events import Event

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
Asked = Request[Any, Any, Any]


@get("/team/webhooks", sync_to_thread=True, guards=DESK)
def show_webhooks(request: Asked) -> Response[str]:
    return _list_page(request)


def _list_page(
    request: Asked, problem: LikenessError | None = None, typed: dict[str, str] | None = None, secret: str = ""
) -> Response[str]:
    kernel = kernel_of(request)
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        seen = endpoints.seen_by(session, me)
        names = {one.id: members.profile(kernel.keys, one).name for one in members.all(session)}
        lines = [
            {
                "row": one,
                "mine": one.member_id == me.id,
                "host": outbound.host_of(url := endpoints.opened(kernel.keys, one).url),
                "url": url if one.member_id == me.id else "",
                "maker": names.get(one.member_id, ""),
            }
            for one in seen
        ]
    context = {
        "roles": me.roles,
        "lines": lines,
        "choices": events.open_to(me),
        "bound": me.departments is not None,
        "words": events.WORDS,
        "typed": typed or {},
        "secret": secret,
        "problem": problem,
        "now": utc_now(),
    }
    return page(request, "desk/webhooks.html", context, status=problem.status if problem else 200)


@post("/team/webhooks", sync_to_thread=True, guards=[*DESK, fresh], status_code=200)
def add_webhook(request: Asked, data: Form) -> Response[str]:
    """The answer is the one page that ever shows the secret."""
    kernel = kernel_of(request)
    try:
        with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
            wanted = [one for one in Event if data.get(f"for-{one}")]
            _, secret = endpoints.make(
                session, kernel.keys, me, data.get("url", ""), wanted, utc_now(), networks=kernel.settings.hooks_inside
            )
    except Unprocessable as problem:
        return _list_page(request, problem, data)
    return _list_page(request, secret=secret)


@get("/team/webhooks/{endpoint_id:uuid}", sync_to_thread=True, guards=DESK)
def show_webhook(request: Asked, endpoint_id: FromPath[UUID]) -> Response[str]:
    return _one_page(request, endpoint_id)


def _one_page(request: Asked, endpoint_id: UUID, secret: str = "") -> Response[str]:
    kernel, part = kernel_of(request), part_of(request, Mark, ON_A_PAGE)
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        endpoint = endpoints.mine(session, me, endpoint_id)
        told = deliveries.of_endpoint(session, endpoint, part.lines, before=part.after)
        lost = deliveries.lost(session, endpoint)
    context = {
        "roles": me.roles,
        "endpoint": endpoint,
        "url": endpoints.opened(kernel.keys, endpoint).url,
        "told": told[:ON_A_PAGE],
        "after": part.onward(told, lambda one: Mark(one.created_at, one.id)),
        "later": part.after is not None,
        "lost": lost,
        "states": deliveries.STATES,
        "words": events.WORDS,
        "secret": secret,
        "problem": None,
        "now": utc_now(),
    }
    return page(request, "desk/webhook.html", context)


@post("/team/webhooks/{endpoint_id:uuid}/secret", sync_to_thread=True, guards=[*DESK, fresh], status_code=200)
def change_secret(request: Asked, endpoint_id: FromPath[UUID]) -> Response[str]:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        secret = endpoints.new_secret(session, kernel_of(request).keys, me, endpoint_id, utc_now())
    return _one_page(request, endpoint_id, secret)


@post("/team/webhooks/{endpoint_id:uuid}/remove", sync_to_thread=True, guards=DESK)
def remove_webhook(request: Asked, endpoint_id: FromPath[UUID]) -> Response[Any]:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        endpoints.remove(session, kernel_of(request).keys, me, endpoint_id, utc_now())
    return Redirect("/team/webhooks", status_code=303)


@post("/team/webhooks/{endpoint_id:uuid}/test", sync_to_thread=True, guards=DESK)
def send_test(request: Asked, endpoint_id: FromPath[UUID]) -> Response[Any]:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        deliveries.test(session, me, endpoint_id, utc_now())
    return _back(endpoint_id)


@post("/team/webhooks/{endpoint_id:uuid}/again", sync_to_thread=True, guards=DESK)
def send_all_again(request: Asked, endpoint_id: FromPath[UUID]) -> Response[Any]:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        deliveries.all_again(session, me, endpoint_id, utc_now())
    return _back(endpoint_id)


@post("/team/webhooks/{endpoint_id:uuid}/{delivery_id:uuid}/again", sync_to_thread=True, guards=DESK)
def send_again(request: Asked, endpoint_id: FromPath[UUID], delivery_id: FromPath[UUID]) -> Response[Any]:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        deliveries.again(session, me, endpoint_id, delivery_id, utc_now())
    return _back(endpoint_id)


def _back(endpoint_id: UUID) -> Response[Any]:
    return Redirect(f"/team/webhooks/{endpoint_id}", status_code=303)


routes: list[Any] = [
    show_webhooks,
    add_webhook,
    show_webhook,
    change_secret,
    remove_webhook,
    send_test,
    send_all_again,
    send_again,
]

"""The company's own sender: its address, and what its domain says of it, record by record."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.response import Redirect

from dashboard.desk.settings import DESK, Form
from dashboard.pages import page
from likeness.ground.errors import LikenessError
from likeness.mail import mail, sender, senders
from likeness.web.guards import kernel_of
from tenants.members.access import desk
from tenants.members.edges import api_sender
from tenants.members.permissions import Permission


@get("/settings/sender", sync_to_thread=True, guards=DESK)
def show_own_sender(request: Request[Any, Any, Any]) -> Response[str]:
    return _page(request)


def _page(
    request: Request[Any, Any, Any], problem: LikenessError | None = None, typed: dict[str, str] | None = None
) -> Response[str]:
    settings = kernel_of(request).settings
    with desk(request, Permission.COMPANY_READ) as (session, me):
        mine, now_from = senders.of(session), mail.sender_of(session, settings.mail_from)
    context = {
        "roles": me.roles,
        "mine": mine,
        "checks": api_sender.looked_up(request, mine) if mine else [],
        "proof": sender.record_of(mine.tenant_id) if mine else "",
        "domain": sender.domain_of(mine.address) if mine else "",
        "now_from": now_from,
        "typed": typed or {},
        "used": request.query_params.get("used") == "1",
        "problem": problem,
    }
    return page(request, "desk/sender.html", context, status=problem.status if problem else 200)


@post("/settings/sender", sync_to_thread=True, guards=DESK)
def give_own_sender(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    try:
        api_sender.kept(request, data.get("address", ""), data.get("selector", ""))
    except senders.SenderRefused as problem:
        return _page(request, problem, data)
    return Redirect("/settings/sender", status_code=303)


@post("/settings/sender/use", sync_to_thread=True, guards=DESK)
def use_own_sender(request: Request[Any, Any, Any]) -> Response[Any]:
    try:
        api_sender.used(request)
    except (senders.SenderUnproven, senders.SenderMissing) as problem:
        return _page(request, problem)
    return Redirect("/settings/sender?used=1", status_code=303)


@post("/settings/sender/remove", sync_to_thread=True, guards=DESK)
def remove_own_sender(request: Request[Any, Any, Any]) -> Redirect:
    api_sender.removed(request)
    return Redirect("/settings/sender", status_code=303)


routes: list[Any] = [show_own_sender, give_own_sender, use_own_sender, remove_own_sender]

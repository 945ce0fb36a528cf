"""How a person comes in: by their link, by the button on its page, and on to the step that they are at."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from sqlmodel import Session

from batch.models import SittingState
from batch.people import employees
from batch.visit import invitations
from batch.visit.api import enter
from compliance.erasure import erasures
from compliance.models import Trigger
from dashboard.pages import page, signed
from dashboard.reader import asked, chosen, kept
from dashboard.visit.around.frame import EMPLOYEE, PUBLIC, me_of
from dashboard.visit.around.standing import Me
from likeness.ground.db import utc_now
from likeness.identity import LinkUnknown, LinkUsed, tenant_in
from likeness.kernel import Kernel
from likeness.web.guards import kernel_of, signed_in
from tenants import tenants
from tenants.tries import counted


@get("/i/{token:str}", sync_to_thread=True, opt=PUBLIC)
def open_link(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    """Consumes nothing, because mail scanners open links. Raises `LinkUnknown`."""
    kernel = kernel_of(request)
    with counted(request), kernel.db.transaction(_tenant(token)) as session:
        found = invitations.look_up(session, token, utc_now())
        about = _link(request, session, kernel, found.employee_id, found.state)
    return page(request, "visit/link.html", about)


def _link(
    request: Request[Any, Any, Any], session: Session, kernel: Kernel, employee_id: UUID, state: str
) -> dict[str, Any]:
    tenant, path = tenants.get(session), request.url.path.removesuffix("/renew")
    reads = chosen(request, employees.words(kernel.keys, employees.get(session, employee_id), tenant))
    return {"state": state, "company": tenant.name, "path": path, "here": path, "reads": reads}


@post("/i/{token:str}", sync_to_thread=True, opt=PUBLIC)
def come_in(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Consumes the link. One that was used or ran out shows its page again, which offers a fresh one."""
    try:
        with counted(request):
            cookie = enter(kernel_of(request), token, utc_now(), language=asked(request))
    except (LinkUsed, invitations.LinkExpired):
        return Redirect(f"{request.url.path}{kept(request)}", status_code=303)
    return signed(request, cookie, "/visit")


@post("/i/{token:str}/renew", sync_to_thread=True, status_code=200, opt=PUBLIC)
def renew_link(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
    kernel = kernel_of(request)
    with counted(request), kernel.db.transaction(_tenant(token)) as session:
        invitations.renew(session, token, utc_now())
        found = invitations.look_up(session, token, utc_now())
        about = _link(request, session, kernel, found.employee_id, "sent")
    return page(request, "visit/link.html", about)


def _tenant(token: str) -> UUID:
    tenant = tenant_in(token)
    if tenant is None:
        raise LinkUnknown("This link is not complete. Copy the whole address from the mail and try again.")
    return tenant


@get("/visit", sync_to_thread=True, guards=EMPLOYEE)
def where_now(request: Request[Any, Any, Any]) -> Response[Any]:
    """On to the step that the person is at."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        erasure = erasures.open_of(session, caller.id)
    if erasure is not None and erasure.trigger != Trigger.WITHDRAWAL:
        return Redirect("/visit/erasure", status_code=303)
    me = me_of(request)[2]
    return Redirect(_next_step(me), status_code=303)


def _next_step(me: Me) -> str:
    if me.employee.opted_out_at:
        return "/visit/declined"
    without = me.sitting and (me.sitting.state == SittingState.FAILED or me.sitting.failure)
    if me.active or (without and not me.headshots):
        return "/visit/making"
    if me.headshots:
        return "/visit/done" if me.released else "/visit/headshots"
    if me.sitting and me.sitting.state == SittingState.DONE and not me.photos:
        return "/visit/done"
    return "/visit/photos" if me.consented else "/visit/welcome"


routes: list[Any] = [open_link, come_in, renew_link, where_now]

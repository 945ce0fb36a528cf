"""From the desk to the phone: a code on the screen that signs the same person in once, on the phone that reads it."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import segno
from litestar import Request, Response, get, post
from litestar.params import FromPath

from batch.people import employees
from dashboard.pages import back, page, signed
from dashboard.reader import chosen, kept
from dashboard.sso import BY_LINK
from dashboard.visit.around.frame import EMPLOYEE, PUBLIC, show
from dashboard.visit.around.standing import standing
from likeness import identity
from likeness.ground.db import utc_now
from likeness.identity import (
    Kind,
    LinkUnknown,
    code_of,
    going_on,
    make_code,
    promised,
    redeem,
    start_session,
    tenant_in,
)
from likeness.locale.marks import N_
from likeness.web.guards import kernel_of, shown, signed_in
from tenants import tenants
from tenants.tries import counted

LASTS = timedelta(minutes=10)
"""A code stands on a screen that others may see: it is good once, and not for long."""
GONE = N_("This code was used already or has run out. Show a new one on your other screen.")


@post("/visit/phone", sync_to_thread=True, guards=EMPLOYEE)
def new_code(request: Request[Any, Any, Any]) -> Response[Any]:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        employees.speaking(session, caller)
        make_code(session, caller, shown(request)[0], utc_now(), LASTS)
    return back(request, "/visit/phone")


@get("/visit/phone", sync_to_thread=True, guards=EMPLOYEE)
def show_code(request: Request[Any, Any, Any]) -> Response[Any]:
    """Makes none: the page can be loaded again, and shows the code that the button made until it is used or runs out."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    with kernel.db.transaction(caller.tenant) as session:
        code = code_of(session, caller, shown(request)[0])
        me = standing(session, kernel, caller.id, now)
    used = code is not None and code.used
    stands = code if code is not None and not used and code.until > now else None
    address = f"{kernel.settings.public_url.rstrip('/')}/p/{stands.token}" if stands else ""
    context = {"svg": drawn(address) if stands else "", "address": address, "code": stands, "used": used}
    return show(request, "visit/phone.html", me, 2, context)


def drawn(address: str) -> str:
    """The code as an SVG for the page itself, dark on white by day and by night, because readers expect that."""
    out = io.BytesIO()
    segno.make(address, error="m").save(
        out, kind="svg", scale=6, border=3, xmldecl=False, svgns=False, dark="#000", light="#fff", omitsize=True
    )
    return out.getvalue().decode()


@get("/p/{token:str}", sync_to_thread=True, opt=PUBLIC)
def ask_on_phone(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Consumes nothing. Raises `LinkUnknown` for a code that signs nobody in."""
    kernel = kernel_of(request)
    with counted(request), kernel.db.transaction(_tenant(token)) as session:
        found = promised(session, token, utc_now())
        if found is None or found[0] != Kind.EMPLOYEE:
            raise LinkUnknown(GONE)
        tenant = tenants.get(session)
        reads = chosen(request, employees.words(kernel.keys, employees.get(session, found[1]), tenant))
    about = {"company": tenant.name, "path": f"{request.url.path}{kept(request)}", "reads": reads}
    return page(request, "visit/on_phone.html", about)


@post("/p/{token:str}", sync_to_thread=True, opt=PUBLIC)
def go_on_here(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Raises `LinkUnknown`, also where another phone was sooner."""
    now = utc_now()
    with counted(request), kernel_of(request).db.transaction(_tenant(token)) as session:
        try:
            kind, person = redeem(session, token, now)
        except identity.LinkUsed:
            raise LinkUnknown(GONE) from None
        screen = going_on(session, token, now)
        if kind != Kind.EMPLOYEE or screen is None:
            raise LinkUnknown(GONE)
        # The code proves who held the other screen, not who they are: what asks for a fresh sign-in asks for one here too,
        # an account is connected by whoever opens the mailed link, and it ends when the session of the screen would.
        proved = min(screen.authenticated_at, now - BY_LINK)
        value = start_session(session, kind, person, now, authenticated_at=proved, until=screen.expires_at)
    return signed(request, value, "/visit/photos")


def _tenant(token: str) -> UUID:
    tenant = tenant_in(token)
    if tenant is None:
        raise LinkUnknown(GONE)
    return tenant


routes: list[Any] = [new_code, show_code, ask_on_phone, go_on_here]

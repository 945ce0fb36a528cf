"""Coming in and going out. The front page answers what every visitor wants to know first."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect

from dashboard import sso
from dashboard.pages import home_of, page, signed
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.errors import Gone, LikenessError
from likeness.identity import Kind, end_session, promised, tenant_in
from likeness.kernel import Kernel
from likeness.web.guards import caller_or_none, cookie, kernel_of
from tenants import tenants
from tenants.api import WISHED, enter
from tenants.members import letters, members, wishes
from tenants.members.members import MemberRefused
from tenants.models import Tenant
from tenants.plain import TextRefused
from tenants.sso import providers
from tenants.sso.providers import AccountNeeded
from tenants.tries import counted

PUBLIC = {"public": True}
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/", sync_to_thread=True, opt=PUBLIC)
def front(request: Request[Any, Any, Any]) -> Response[Any]:
    """Straight to one's own part; a stranger reads what happens to faces here."""
    caller = caller_or_none(request)
    if caller is None:
        return page(request, "sign_in/front.html")
    roles: list[str] = []
    if caller.kind == Kind.MEMBER:
        with kernel_of(request).db.transaction(caller.tenant) as session:
            roles = members.get(session, caller.id).roles
    return Redirect(home_of(caller, roles), status_code=303)


@get("/sign-in", sync_to_thread=True, opt=PUBLIC)
def show_door(request: Request[Any, Any, Any]) -> Response[str]:
    return _door(request)


def _door(request: Request[Any, Any, Any], problem: LikenessError | None = None, typed: str = "") -> Response[str]:
    context = {"problem": problem, "typed": typed, "said": "", "provider": None, "domain": ""}
    return page(request, "sign_in/door.html", context, status=problem.status if problem else 200)


@post("/sign-in", sync_to_thread=True, status_code=200, opt=PUBLIC)
def ask_for_link(request: Request[Any, Any, Any], data: Form) -> Response[str]:
    """Mails a member's link to the member's address; the page is the same whether there is such a member."""
    kernel, typed = kernel_of(request), data.get("email", "")
    try:
        with kernel.db.transaction(PLATFORM) as session:
            wishes.ask(session, kernel.keys, typed, utc_now())
            provider = providers.by_address(session, typed) if kernel.issuer else None
    except (MemberRefused, TextRefused) as problem:
        return _door(request, problem, typed[:254])
    context = {"provider": provider, "domain": providers.domain_of(typed) if provider else ""}
    return page(request, "sign_in/door.html", context | {"problem": None, "typed": "", "said": WISHED})


@get("/sign-in/{token:str}", sync_to_thread=True, opt=PUBLIC)
def confirm(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Consumes nothing, because mail scanners and chat previews open links."""
    return page(request, "sign_in/confirm.html", {"company": _company(kernel_of(request), token)})


def _company(kernel: Kernel, token: str) -> str:
    """For whom a link is, so that somebody who works for two companies knows; empty for one that signs nobody in."""
    tenant = tenant_in(token)
    if tenant is None:
        return ""
    with kernel.db.transaction(tenant) as session:
        if promised(session, token, utc_now()) is None:
            return ""
        return letters.company_of(Tenant(id=PLATFORM, name="") if tenant == PLATFORM else tenants.get(session))


@post("/sign-in/{token:str}", sync_to_thread=True, opt=PUBLIC)
def sign_in(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """One that was used or ran out shows the door, which mails a fresh one."""
    try:
        with counted(request):
            _, value = enter(kernel_of(request), token, utc_now())
    except AccountNeeded:
        return sso.with_account(request, token)
    except Gone as problem:
        return _door(request, problem)
    return signed(request, value, "/")


@post("/sign-out", sync_to_thread=True, opt=PUBLIC)
def sign_out(request: Request[Any, Any, Any]) -> Response[Any]:
    """Whoever came with their company's account is led on to sign out there too."""
    kernel, caller, onward = kernel_of(request), caller_or_none(request), ""
    if caller is not None:
        with kernel.db.transaction(caller.tenant) as session:
            onward = sso.leaving(kernel, session, caller)
            end_session(session, caller.session)
    if not onward:
        return signed(request, "", "/")
    response = page(request, "sign_in/onward.html", {"address": onward, "signed_out": True, "caller": None})
    response.set_cookie(**cookie(kernel.settings, ""))
    return response


routes: list[Any] = [front, show_door, ask_for_link, confirm, sign_in, sign_out]

"""The company's own terms: who it is to its people, whom they ask, and how long anything is kept."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any
from zoneinfo import available_timezones

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from batch.people import api_logo
from batch.vision import logos as pictures
from compliance.desk import leaving
from dashboard.pages import page
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError, Unprocessable
from likeness.identity import Kind
from likeness.mail import logos, mail
from likeness.sso.described import GivenProvider
from likeness.web import threads
from likeness.web.bodies import WITH_FILE
from likeness.web.guards import fresh, kernel_of, only, recent, signed_in
from likeness.web.threads import PHOTOS
from tenants import credits, tenants
from tenants.accounts import giving
from tenants.members import access, members
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.plain import whole_number
from tenants.sso import changing, organizations

DESK = [only(Kind.MEMBER)]
MOST_DAYS = 366
MAILED = ("language", "time_zone", "colour", "sender_name")
"""How mails and pages look and read; no notice says anything of it."""
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
AREAS = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")


@cache
def _zones() -> list[str]:
    """By their cities, of which a browser offers those that hold what is typed."""
    return sorted(name for name in available_timezones() if name.startswith(AREAS))


@get("/settings", sync_to_thread=True, guards=DESK)
def show_settings(request: Request[Any, Any, Any]) -> Response[str]:
    return _settings_page(request)


def _settings_page(
    request: Request[Any, Any, Any], problem: LikenessError | None = None, typed: dict[str, str] | None = None
) -> Response[str]:
    with desk(request, Permission.COMPANY_READ) as (session, me):
        tenant = tenants.get(session)
        logo = logos.of(session)
        sender = mail.sender_of(session, kernel_of(request).settings.mail_from)
        balance = credits.balance(session)
        departure = leaving.open_of(session)
        sign_in = changing.shown(session)
        working = sum(one.disabled_at is None and one.joined_at is not None for one in members.all(session))
    kernel = kernel_of(request)
    there = organizations.at_the_provider(kernel, sign_in.alias) if sign_in else None
    context = {
        "hands_in": organizations.reach_of(kernel) is not None,
        "recent": recent(request),
        "there": there,
        "provider_saved": request.query_params.get("provider") == "1",
        "roles": me.roles,
        "tenant": tenant,
        "balance": balance,
        "working": working,
        "departure": departure,
        "bound": me.departments is not None,
        "sign_in": sign_in,
        "typed": typed or {},
        "logo": logo,
        "sender": sender,
        "zones": _zones(),
        "words_saved": request.query_params.get("words") == "1",
        "logo_saved": request.query_params.get("logo") == "1",
        "approval_saved": request.query_params.get("approval") == "1",
        "saved": request.query_params.get("saved") == "1",
        "problem": problem,
    }
    return page(request, "desk/settings.html", context, status=problem.status if problem else 200)


@post("/settings", sync_to_thread=True, guards=DESK)
def change_settings(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """People are asked about changed terms anew. Shorter days cannot be made longer again, so they take a fresh sign-in."""
    caller = signed_in(request)
    try:
        with desk(request, Permission.COMPANY_CHANGE) as (session, _):
            tenant = tenants.get(session)
            days = {name: _days(data[name]) for name in ("source_days", "headshot_days") if name in data}
            if any(value != getattr(tenant, name) for name, value in days.items()):
                caller.check_fresh(utc_now())
            words = {name: data[name] for name in ("name", "contact", "authority", *MAILED) if name in data}
            tenants.change(session, caller=str(caller), **words, **days)
    except Unprocessable as problem:
        return _settings_page(request, problem, data)
    return Redirect(f"/settings?{'words' if 'language' in data else 'saved'}=1", status_code=303)


@post("/settings/approval", sync_to_thread=True, guards=DESK)
def change_approval(request: Request[Any, Any, Any], data: Form) -> Redirect:
    """Whether released headshots are approved before they are used."""
    with desk(request, Permission.APPROVAL_CHANGE) as (session, _):
        tenants.change_approval(session, approves=data.get("approves") == "on", caller=str(signed_in(request)))
    return Redirect("/settings?approval=1", status_code=303)


@post("/settings/logo", guards=DESK, request_max_body_size=WITH_FILE)
async def give_logo(request: Request[Any, Any, Any]) -> Response[Any]:
    return await threads.run(PHOTOS, _kept, request, await api_logo.handed_in(request))


def _kept(request: Request[Any, Any, Any], data: bytes) -> Response[Any]:
    try:
        api_logo.kept(request, data)
    except (pictures.LogoRefused, pictures.LogoUnread) as problem:
        return _settings_page(request, problem)
    return Redirect("/settings?logo=1", status_code=303)


@post("/settings/logo/remove", sync_to_thread=True, guards=DESK)
def remove_logo(request: Request[Any, Any, Any]) -> Response[Any]:
    api_logo.removed(request)
    return Redirect("/settings?logo=1", status_code=303)


@post("/settings/provider", sync_to_thread=True, guards=[*DESK, fresh])
def give_provider(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """The company's own provider. Where it is another one than before, whoever had come in by an account is signed out."""
    access.check(request, Permission.ACCOUNTS_CHANGE)
    caller = signed_in(request)
    try:
        given = giving.in_form(data) or GivenProvider("")
        giving.by_owner(kernel_of(request), caller.tenant, given, utc_now(), caller=str(caller))
    except LikenessError as problem:
        if problem.status not in (404, 409, 422, 503):
            raise
        return _settings_page(request, problem, data)
    return Redirect("/settings?provider=1", status_code=303)


def _days(typed: str) -> int:
    number = whole_number(typed.strip(), MOST_DAYS)
    if number is None:
        raise tenants.TermsRefused("Days are a whole number.")
    return number


routes: list[Any] = [show_settings, change_settings, change_approval, give_provider, give_logo, remove_logo]

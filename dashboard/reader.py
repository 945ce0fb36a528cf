"""In whose language a page is: the one that its reader chose, or what the browser asks for where nobody is known."""

from __future__ import annotations

from typing import Any

from litestar import Request

from batch.people import employees
from likeness.ground.errors import LikenessError
from likeness.identity import Caller, Kind
from likeness.locale.languages import ENGLISH, accepted, known
from likeness.locale.words import Words, words
from likeness.web.guards import caller_or_none, kernel_of
from tenants import tenants
from tenants.members import members
from tenants.members.access import reads_behind

# Pages that people come to without being signed in; the address carries the language that they chose there.
OPEN = ("/i/", "/a/", "/p/", "/gone/", "/left/", "/retention/", "/trust", "/verify", "/sign-in", "/sso")


def asked(request: Request[Any, Any, Any]) -> str | None:
    """The language in the address, `?language=fr`."""
    return known(request.query_params.get("language"))


def kept(request: Request[Any, Any, Any]) -> str:
    """The end of an address that keeps the language that was asked for."""
    code = asked(request)
    return f"?language={code}" if code else ""


def chosen(request: Request[Any, Any, Any], person: Words) -> Words:
    """For a page about one person who is not signed in: what they chose on it, else what they read everywhere."""
    code = asked(request)
    return words(code, person.zone) if code else person


def reader(request: Request[Any, Any, Any]) -> Words:
    """Who reads this page, as far as it is known."""
    if "likeness_reader" not in request.scope["state"]:
        request.scope["state"]["likeness_reader"] = _reader(request)
    found: Words = request.scope["state"]["likeness_reader"]
    return found


def _reader(request: Request[Any, Any, Any]) -> Words:
    browser = accepted(request.headers.get("accept-language", ""))
    try:
        caller = caller_or_none(request)
        person = words(browser) if caller is None else _known(request, caller, browser)
    except LikenessError:  # The database or a key is away, or the person was deleted: the page must not need them.
        person = words(browser)
    return chosen(request, person) if _open(request) else person


def _known(request: Request[Any, Any, Any], caller: Caller, browser: str | None) -> Words:
    kernel = kernel_of(request)
    if caller.kind not in (Kind.EMPLOYEE, Kind.MEMBER, Kind.OPERATOR):
        return words(ENGLISH)
    if behind := reads_behind(request):
        return members.words_of(kernel.keys, *behind, browser)
    with kernel.db.transaction(caller.tenant) as session:
        tenant = tenants.get(session)
        if caller.kind == Kind.EMPLOYEE:
            return employees.words(kernel.keys, employees.get(session, caller.id), tenant)
        member = members.get(session, caller.id)
        return members.words_of(kernel.keys, member, tenant.language, tenant.time_zone, browser)


def switch(request: Request[Any, Any, Any]) -> str:
    """How a page lets its reader choose another language: by a form, by links, in the menu of their account, or not at
    all."""
    path, caller = request.url.path, caller_or_none(request)
    if caller is not None and caller.kind in (Kind.MEMBER, Kind.OPERATOR) and not path.startswith(OPEN):
        return "menu"
    if path.startswith("/visit"):
        return "form"
    return "links" if _open(request) else ""


def _open(request: Request[Any, Any, Any]) -> bool:
    return request.url.path == "/" or request.url.path.startswith(OPEN)

"""Companies, for operators: opened, changed, suspended, closed and credited, as counts and times; nobody is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from compliance.desk import closing
from compliance.desk.closing import ClosingCompany
from dashboard.operations import words
from dashboard.operations.operations import OPERATORS, Form, number
from dashboard.pages import page, part_of
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from likeness.web.guards import fresh, kernel_of, recent, signed_in
from likeness.web.paging import Mark
from tenants import credits, suspension, tenants
from tenants.accounts import giving
from tenants.members import access, founding
from tenants.members.access import desk
from tenants.members.founding import Seat
from tenants.members.permissions import Permission
from tenants.sso import changing, organizations

ON_A_PAGE = 100
TOLD = (409, 422, 503)
"""What is said beside the form, with everything that was typed: Keycloak that does not answer, too."""


@get("/operations/companies", sync_to_thread=True, guards=OPERATORS)
def show_companies(request: Request[Any, Any, Any]) -> Response[str]:
    return _companies_page(request)


def _companies_page(
    request: Request[Any, Any, Any], context: Mapping[str, Any] | None = None, problem: LikenessError | None = None
) -> Response[str]:
    kernel, now, part = kernel_of(request), utc_now(), part_of(request, Mark, ON_A_PAGE)
    with desk(request, Permission.INSTALLATION_READ) as (session, _):
        found = tenants.all_tenants(session, part.lines, before=part.after)
    lines = [closing.company(kernel, one.id, now) for one in found[:ON_A_PAGE]]
    about: dict[str, Any] = {
        "keycloak": _keycloak(kernel),
        "companies": lines, "founded": None, "typed": {}, "problem": problem, "later": part.after is not None,
        "after": part.onward(found, lambda one: Mark(one.created_at, one.id)),
    }  # fmt: skip
    status = problem.status if problem else 200
    return page(request, "operations/companies.html", about | dict(context or {}), status=status)


@post("/operations/tenants", sync_to_thread=True, status_code=200, guards=OPERATORS)
def found_tenant(request: Request[Any, Any, Any], data: Form) -> Response[str]:
    """A company with its owner and a second seat for legal. A link goes to its person's own address alone."""
    kernel, caller = kernel_of(request), signed_in(request)
    try:
        access.check(request, Permission.COMPANIES_FOUND)
        wanted = giving.wanted(kernel, data.get("domains", ""), giving.in_form(data), utc_now())
        with organizations.made(kernel, data.get("name", ""), wanted) as made:
            tenant = founding.found(
                kernel,
                data.get("name", ""),
                Seat(data.get("admin_name", ""), data.get("admin_email", "")),
                Seat(data.get("legal_name", ""), data.get("legal_email", "")),
                granted=number(data, "credits", 0),
                caller=str(caller),
                now=utc_now(),
                contact=data.get("contact", ""),
                authority=data.get("authority", ""),
                employee_quota=number(data, "employee_quota", 500),
            )
            organizations.connect(kernel, tenant, made, caller=str(caller))
    except LikenessError as problem:
        if problem.status not in TOLD:
            raise
        return _companies_page(request, {"typed": data}, problem)
    addresses = [one for one in (data.get("admin_email", ""), data.get("legal_email", "").strip()) if one]
    founded = {"name": data.get("name", ""), "addresses": addresses, "id": tenant}
    return _companies_page(request, {"founded": founded})


@post("/operations/companies/{tenant_id:uuid}/sign-in", sync_to_thread=True, guards=[*OPERATORS, fresh])
def connect_company(request: Request[Any, Any, Any], tenant_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Gives a company that is here already its organization, and its own provider where one is described."""
    access.check(request, Permission.COMPANIES_FOUND)
    kernel, caller = kernel_of(request), str(signed_in(request))
    with kernel.db.transaction(tenant_id) as session:
        name = tenants.get(session).name
    try:
        begins = giving.wanted(kernel, data.get("domains", ""), giving.in_form(data), utc_now(), needed=True)
        giving.first(kernel, tenant_id, name, begins, caller=caller)
    except LikenessError as problem:
        if problem.status not in TOLD:
            raise
        return _company_page(request, tenant_id, problem, data)
    return Redirect(f"/operations/companies/{tenant_id}?said=connected", status_code=303)


@post("/operations/companies/{tenant_id:uuid}/sign-in/change", sync_to_thread=True, guards=[*OPERATORS, fresh])
def change_company_sign_in(request: Request[Any, Any, Any], tenant_id: FromPath[UUID], data: Form) -> Response[Any]:
    """All of its domains, and its provider where one is described. It works from then on, also where it had ended."""
    access.check(request, Permission.COMPANIES_FOUND)
    kernel, caller, now, given = kernel_of(request), str(signed_in(request)), utc_now(), giving.in_form(data)
    try:
        domains = organizations.in_words(data.get("domains", "")).domains
        giving.changed_by_operator(kernel, tenant_id, now, domains=domains, given=given, caller=caller)
    except LikenessError as problem:
        if problem.status not in TOLD:
            raise
        return _company_page(request, tenant_id, problem, data)
    return Redirect(f"/operations/companies/{tenant_id}?said=signs-in", status_code=303)


@get("/operations/companies/{tenant_id:uuid}", sync_to_thread=True, guards=OPERATORS)
def show_company(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> Response[str]:
    return _company_page(request, tenant_id)


def _company_page(
    request: Request[Any, Any, Any], tenant_id: UUID, problem: LikenessError | None = None,
    typed: Mapping[str, str] | None = None,
) -> Response[str]:  # fmt: skip
    kernel = kernel_of(request)
    access.check(request, Permission.INSTALLATION_READ)
    found: ClosingCompany = closing.company(kernel, tenant_id, utc_now())
    with kernel.db.transaction(tenant_id) as session:
        sign_in = changing.shown(session)
    context = {"one": found, "order": uuid4(), "typed": typed or {}, "problem": problem, "said": _said(request)}
    there = organizations.at_the_provider(kernel, sign_in.alias) if sign_in else None
    context |= {"sign_in": sign_in, "there": there, "keycloak": _keycloak(kernel)}
    context |= {"recent": recent(request), "words": words}
    return page(request, "operations/company.html", context, status=problem.status if problem else 200)


def _keycloak(kernel: Kernel) -> str:
    """Whether there is one, and whether this server may make organizations in it."""
    if not kernel.settings.keycloak_url:
        return ""
    return "ours" if organizations.reach_of(kernel) else "read"


SAID = {
    "changed": N_("The terms are changed."),
    "granted": N_("The credits are there."),
    "suspended": N_("The company is suspended. Nothing new is begun for it; everything that deletes goes on."),
    "resumed": N_("The company goes on as before."),
    "signs-in": N_("Its sign-in is up to date."),
    "connected": N_("Its people sign in with their accounts now."),
    "mailed": N_("A fresh link went to the owner's own address."),
    "closing": N_("The company is closed in a day, unless an owner or an operator calls it off."),
    "kept": N_("The closing is called off."),
}


def _said(request: Request[Any, Any, Any]) -> str:
    return SAID.get(str(request.query_params.get("said", "")), "")


def _act(request: Request[Any, Any, Any], tenant_id: UUID, said: str, work: Any, data: Mapping[str, str]) -> Response[Any]:
    """Carries something out for a company that is there, and leads back to its page."""
    try:
        with kernel_of(request).db.transaction(tenant_id) as session:
            tenants.get(session)
            work(session)
    except LikenessError as problem:
        if problem.status not in (409, 422):
            raise
        return _company_page(request, tenant_id, problem, data)
    return Redirect(f"/operations/companies/{tenant_id}?said={said}", status_code=303)


@post("/operations/companies/{tenant_id:uuid}/change", sync_to_thread=True, guards=OPERATORS)
def change_company(request: Request[Any, Any, Any], tenant_id: FromPath[UUID], data: Form) -> Response[Any]:
    access.check(request, Permission.COMPANIES_CHANGE)
    caller = str(signed_in(request))
    return _act(
        request, tenant_id, "changed",
        lambda session: tenants.change(
            session, name=data.get("name", ""), employee_quota=number(data, "employee_quota", 0), caller=caller
        ), data,
    )  # fmt: skip


@post("/operations/companies/{tenant_id:uuid}/credits", sync_to_thread=True, guards=OPERATORS)
def grant(request: Request[Any, Any, Any], tenant_id: FromPath[UUID], data: Form) -> Response[Any]:
    """The order stands in the form, so that sending it twice grants once."""
    access.check(request, Permission.CREDITS_GRANT)
    caller = str(signed_in(request))
    return _act(
        request, tenant_id, "granted",
        lambda session: credits.grant(session, number(data, "amount", 0), data.get("order", "")[:40], caller=caller), data,
    )  # fmt: skip


@post("/operations/companies/{tenant_id:uuid}/suspend", sync_to_thread=True, guards=[*OPERATORS, fresh])
def suspend(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> Response[Any]:
    access.check(request, Permission.COMPANIES_CHANGE)
    caller = str(signed_in(request))
    return _act(request, tenant_id, "suspended", lambda session: suspension.suspend(session, utc_now(), caller=caller), {})


@post("/operations/companies/{tenant_id:uuid}/resume", sync_to_thread=True, guards=OPERATORS)
def resume(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> Response[Any]:
    access.check(request, Permission.COMPANIES_CHANGE)
    caller = str(signed_in(request))
    return _act(request, tenant_id, "resumed", lambda session: suspension.resume(session, caller=caller), {})


@post("/operations/companies/{tenant_id:uuid}/link", sync_to_thread=True, guards=OPERATORS)
def mail_first_link(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> Response[Any]:
    """To the owner's own address, which no operator is shown; refused once an owner has come in."""
    access.check(request, Permission.COMPANIES_FOUND)
    kernel = kernel_of(request)
    return _act(request, tenant_id, "mailed", lambda session: founding.mail_again(session, kernel, utc_now()), {})


@post("/operations/companies/{tenant_id:uuid}/close", sync_to_thread=True, guards=[*OPERATORS, fresh])
def close(request: Request[Any, Any, Any], tenant_id: FromPath[UUID], data: Form) -> Response[Any]:
    """A company of nobody, after a day; who has people is closed by its owner."""
    with desk(request, Permission.COMPANIES_CHANGE) as (_, me):
        operator = me.id
    kernel = kernel_of(request)
    return _act(
        request, tenant_id, "closing",
        lambda session: closing.close(session, kernel, operator, utc_now(), name=data.get("name", "")), data,
    )  # fmt: skip


@post("/operations/companies/{tenant_id:uuid}/keep", sync_to_thread=True, guards=OPERATORS)
def keep(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> Response[Any]:
    with desk(request, Permission.COMPANIES_CHANGE) as (_, me):
        operator = me.id
    return _act(request, tenant_id, "kept", lambda session: closing.keep(session, operator, utc_now()), {})


routes: list[Any] = [
    show_companies,
    found_tenant,
    show_company,
    connect_company,
    change_company_sign_in,
    change_company,
    grant,
    suspend,
    resume,
    mail_first_link,
    close,
    keep,
]

"""The JSON edge of companies, looks and credits, and the way in for members; it assembles the floor's router."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct, UnsetType
from sqlmodel import Session

from likeness import ledger
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind, LinkUnknown, end_session, link_id, promised, redeem, start_session, tenant_in
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from likeness.mail import mail
from likeness.web.described import FOR_PEOPLE
from likeness.web.guards import caller_or_none, cookie, end_before, fresh, kernel_of, only, signed_in
from likeness.web.paging import ON_A_PAGE, After, Mark, Most, Page
from tenants import credits, looks, tenants
from tenants.accounts import api as api_accounts
from tenants.accounts.api import CheckedProvider, wanted_of
from tenants.members import (
    access,
    api_members,
    api_operators,
    break_glass,
    founding,
    members,
    wishes,
)
from tenants.members.access import desk
from tenants.members.edges import api_programs, api_sender
from tenants.members.founding import Seat
from tenants.members.permissions import Permission
from tenants.models import Look, Tenant
from tenants.sso import identities, letters, organizations, providers
from tenants.tries import counted
from tenants.webhooks import api as api_webhooks

DESK = [only(Kind.MEMBER)]
OPERATORS = [only(Kind.OPERATOR)]
PUBLIC = {"public": True}


@dataclass
class SignedIn:
    """Who the cookie now stands for."""

    kind: str


@dataclass
class TenantShown:
    id: UUID
    name: str
    contact: str
    authority: str
    source_days: int
    headshot_days: int
    employee_quota: int
    recipes: list[str]
    language: str
    time_zone: str
    colour: str
    free_crops: bool
    sender_name: str
    approves: bool
    credits: int


@dataclass
class TenantLine:
    id: UUID
    name: str
    created_at: datetime


class TenantTerms(Struct, forbid_unknown_fields=True):
    """What the company may change itself; days may be shortened, never lengthened."""

    contact: str | UnsetType = UNSET
    authority: str | UnsetType = UNSET
    source_days: int | UnsetType = UNSET
    headshot_days: int | UnsetType = UNSET
    recipes: list[str] | UnsetType = UNSET
    """What its people may choose: `cutout`, and the base that this installation has."""
    language: str | UnsetType = UNSET
    """For its members, and for people whose own language is not in its list."""
    time_zone: str | UnsetType = UNSET
    """In which its people read days and times, such as `Europe/Berlin`; `colour` is that of its mails, as `#1f5a8c`."""
    colour: str | UnsetType = UNSET
    free_crops: bool | UnsetType = UNSET
    """Its people may move the crops of studio portraits by three steps each way instead of one."""
    sender_name: str | UnsetType = UNSET
    """That its mails come from; `PUT /tenant/sender` says which address. Empty: the installation's own name."""


class DirectoryTerms(Struct, forbid_unknown_fields=True):
    """Days until everything of somebody who left is deleted, and whether who joins is invited."""

    leaver_days: int
    invite_joiners: bool


class ApprovalTerms(Struct, forbid_unknown_fields=True):
    """Whether released headshots are approved before they are used; until then nobody can download them."""

    approves: bool


class NewTenant(Struct, forbid_unknown_fields=True):
    name: str
    admin_name: str
    admin_email: str
    legal_name: str = ""
    """Somebody else, for legal: one person never works HR and legal."""
    legal_email: str = ""
    contact: str = ""
    authority: str = ""
    employee_quota: int = 500
    credits: int = 0
    domains: list[str] = []
    """Mail domains that were checked to be the company's: it gets an organization in Keycloak, and its people come in with
    their accounts. Needs a server that may add organizations."""
    provider: CheckedProvider | None = None
    """Its own, beside at least one domain."""


@dataclass
class TenantFounded:
    """Each first member's link goes to their own address, and is shown to nobody else; `mailed` is the owner's."""

    id: UUID
    mailed: str


class Wish(Struct, forbid_unknown_fields=True):
    email: str


@dataclass
class Wished:
    """The same whether the address is known or not."""

    detail: str


@dataclass
class LookShown:
    id: UUID
    name: str
    version: int
    backdrop: str
    dress: str
    framing: str
    light: str
    wall: str
    """What stands behind a studio portrait: `#rrggbb`, `gradient:#rrggbb`, `office` or `picture:` and an id."""
    departments: list[str] | None
    """Whose people get it; null: everybody whose department has no look of its own; empty: nobody yet."""


class LookWords(Struct, forbid_unknown_fields=True):
    backdrop: str
    dress: str
    framing: str
    light: str
    wall: str = ""


class NewLook(LookWords, kw_only=True):
    """With `for_nobody` nobody gets it before `PUT /looks/{id}/departments` says who does."""

    name: str
    for_nobody: bool = False


class Grant(Struct, forbid_unknown_fields=True):
    """`order` names what was bought; the same order is granted once."""

    amount: int
    order: UUID


@dataclass
class Balance:
    credits: int


WISHED = (
    N_("If this address belongs to a member here, a link is on its way to it: one for each company. It works once, for 30"
    " minutes. An address gets at most five an hour.")
)


@post("/sign-in", opt=PUBLIC, status_code=202, sync_to_thread=True)
def ask_for_link(request: Request[Any, Any, Any], data: JSONBody[Wish]) -> Wished:
    """Mails a one-time link to a member's own address."""
    kernel = kernel_of(request)
    with kernel.db.transaction(PLATFORM) as session:
        wishes.ask(session, kernel.keys, data.email, utc_now())
    return Wished(WISHED)


@post("/sign-in/{token:str}", opt=PUBLIC, status_code=200, sync_to_thread=True)
def sign_in(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[SignedIn]:
    """Consumes a one-time link and sets the session's cookie."""
    kernel = kernel_of(request)
    with counted(request):
        kind, value = enter(kernel, token, utc_now())
    end_before(request)
    response = Response(SignedIn(kind), headers={"cache-control": "no-store"})
    response.set_cookie(**cookie(kernel.settings, value))
    return response


def enter(kernel: Kernel, token: str, now: datetime) -> tuple[Kind, str]:
    """Whom a one-time link signs in, and the new session's cookie. Raises `LinkUsed` or `LinkUnknown`."""
    tenant = tenant_in(token)
    if tenant is None:
        raise LinkUnknown(N_("This sign-in link is not complete. Copy the whole address and try again."))
    let_in = break_glass.let_in(kernel, tenant, now)
    with kernel.db.transaction(tenant) as session:
        found = promised(session, token, now)
        if found is not None:
            if found[0] == Kind.EMPLOYEE:
                # A code for the phone, which proves nobody anew, opens its own door alone.
                raise LinkUnknown("This sign-in link leads nowhere. Copy the whole address, or ask for a new link.")
            if link_id(session, token) not in let_in:
                providers.check_link_opens(session)
            # The member's row before the link's: whoever disables them takes the two in the same order.
            members.came_in(session, found[1], now)
        kind, subject = redeem(session, token, now)
        link_opened(session, kernel, kind, subject, now)
        value = start_session(session, kind, subject, now)
        ledger.record(session, "session.started", caller=f"{kind}:{subject}")
    return kind, value


def link_opened(session: Session, kernel: Kernel, kind: Kind, subject: UUID, now: datetime) -> None:
    """Before the member's session begins: an account that was connected by its address alone is so no longer."""
    if kind == Kind.MEMBER and identities.link_opened(session, kind, subject):
        who = members.profile(kernel.keys, members.get(session, subject))
        letter, campaign = letters.about("disconnected", tenants.get(session), who.name, who.email), f"{now:%Y%m%d%H%M%S%f}"
        mail.post(session, kernel.keys, subject, letter, template="account-disconnected", campaign=campaign)


@post("/sign-out", opt=PUBLIC, status_code=204, sync_to_thread=True)
def sign_out(request: Request[Any, Any, Any]) -> Response[None]:
    kernel, caller = kernel_of(request), caller_or_none(request)
    if caller is not None:
        with kernel.db.transaction(caller.tenant) as session:
            end_session(session, caller.session)
    response = Response(None, status_code=204)
    response.set_cookie(**cookie(kernel.settings, ""))
    return response


@get("/tenant", guards=DESK, sync_to_thread=True)
def show_tenant(request: Request[Any, Any, Any]) -> TenantShown:
    with desk(request, Permission.COMPANY_READ) as (session, _):
        return _tenant_shown(tenants.get(session), credits.balance(session))


@patch("/tenant", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def change_tenant(request: Request[Any, Any, Any], data: JSONBody[TenantTerms]) -> TenantShown:
    """A changed term makes a new notice, which everybody is asked about anew before anything else is taken."""
    caller = signed_in(request)
    terms = {name: value for name in data.__struct_fields__ if (value := getattr(data, name)) is not UNSET}
    if "recipes" in terms and not set(terms["recipes"]) <= set(tenants.offers(kernel_of(request).settings.recipe)):
        raise tenants.TermsRefused("This installation cannot make headshots in that way.")
    with desk(request, Permission.COMPANY_CHANGE) as (session, _):
        if terms.keys() & set(tenants.RETENTION):
            caller.check_fresh(utc_now())
        return _tenant_shown(tenants.change(session, caller=str(caller), **terms), credits.balance(session))


@patch("/tenant/directory", guards=[*DESK, fresh], sync_to_thread=True)
def change_directory(request: Request[Any, Any, Any], data: JSONBody[DirectoryTerms]) -> DirectoryTerms:
    """What follows when the company's directory says that somebody joined or left. A member says it, no program."""
    caller = str(signed_in(request))
    with desk(request, Permission.LEAVERS_RULE) as (session, _):
        tenant = tenants.change_directory(
            session, leaver_days=data.leaver_days, invite_joiners=data.invite_joiners, caller=caller
        )
        return DirectoryTerms(tenant.leaver_days, tenant.invite_joiners)


@patch("/tenant/approval", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def change_approval(request: Request[Any, Any, Any], data: JSONBody[ApprovalTerms]) -> ApprovalTerms:
    """People read it before they release anything."""
    caller = str(signed_in(request))
    with desk(request, Permission.APPROVAL_CHANGE) as (session, _):
        return ApprovalTerms(tenants.change_approval(session, approves=data.approves, caller=caller).approves)


@get("/tenants", guards=OPERATORS, sync_to_thread=True)
def list_tenants(
    request: Request[Any, Any, Any], most: Most = ON_A_PAGE, after: After = ""
) -> Response[list[TenantLine]]:
    """Newest first. While there are more, the header `Link` names the next page."""
    page = Page(Mark, most, after)
    with desk(request, Permission.INSTALLATION_READ) as (session, _):
        found = tenants.all_tenants(session, page.lines, before=page.after)
        return page.answer(request, found, _mark, lambda one: TenantLine(one.id, one.name, one.created_at))


def _mark(one: Tenant | Look) -> Mark:
    return Mark(one.created_at, one.id)


@post("/tenants", guards=OPERATORS, sync_to_thread=True)
def found_tenant(request: Request[Any, Any, Any], data: JSONBody[NewTenant]) -> TenantFounded:
    """A company with its owner, who works HR as well, and a second seat for legal, which may be taken later."""
    kernel, caller = kernel_of(request), str(signed_in(request))
    access.check(request, Permission.COMPANIES_FOUND)
    with organizations.made(kernel, data.name, wanted_of(kernel, data.domains, data.provider)) as made:
        tenant = founding.found(
            kernel,
            data.name,
            Seat(data.admin_name, data.admin_email),
            Seat(data.legal_name, data.legal_email),
            granted=data.credits,
            caller=caller,
            now=utc_now(),
            contact=data.contact,
            authority=data.authority,
            employee_quota=data.employee_quota,
        )
        organizations.connect(kernel, tenant, made, caller=caller)
    return TenantFounded(tenant, data.admin_email)


@post("/tenants/{tenant_id:uuid}/credits", guards=OPERATORS, status_code=200, sync_to_thread=True)
def grant_credits(request: Request[Any, Any, Any], tenant_id: FromPath[UUID], data: JSONBody[Grant]) -> Balance:
    kernel, caller = kernel_of(request), signed_in(request)
    access.check(request, Permission.CREDITS_GRANT)
    with kernel.db.transaction(tenant_id) as session:
        tenants.get(session)
        credits.grant(session, data.amount, str(data.order), caller=str(caller))
        return Balance(credits.balance(session))


@get("/looks", guards=DESK, sync_to_thread=True)
def list_looks(request: Request[Any, Any, Any], most: Most = ON_A_PAGE, after: After = "") -> Response[list[LookShown]]:
    """Those in use, oldest first. While there are more, the header `Link` names the next page."""
    page = Page(Mark, most, after)
    with desk(request, Permission.LOOKS_READ) as (session, _):
        found = looks.list_looks(session, page.lines, after=page.after)
        return page.answer(request, found, _mark, lambda look: _look_shown(kernel_of(request), look))


@post("/looks", guards=DESK, sync_to_thread=True)
def add_look(request: Request[Any, Any, Any], data: JSONBody[NewLook]) -> LookShown:
    caller = signed_in(request)
    with desk(request, Permission.LOOKS_CHANGE) as (session, _):
        look = looks.add(
            session, data.name, data.backdrop, data.dress, data.framing, data.light, wall=data.wall,
            for_nobody=data.for_nobody, caller=str(caller),
        )  # fmt: skip
        return _look_shown(kernel_of(request), look)


@post("/looks/{look_id:uuid}/revise", guards=DESK, status_code=200, sync_to_thread=True)
def revise_look(request: Request[Any, Any, Any], look_id: FromPath[UUID], data: JSONBody[LookWords]) -> LookShown:
    """The next version; headshots that were made keep naming the old one."""
    caller = signed_in(request)
    with desk(request, Permission.LOOKS_CHANGE) as (session, _):
        look = looks.revise(
            session,
            kernel_of(request).keys,
            look_id,
            backdrop=data.backdrop,
            dress=data.dress,
            framing=data.framing,
            light=data.light,
            wall=data.wall,
            caller=str(caller),
        )
        return _look_shown(kernel_of(request), look)


@delete("/looks/{look_id:uuid}", guards=DESK, sync_to_thread=True)
def retire_look(request: Request[Any, Any, Any], look_id: FromPath[UUID]) -> None:
    caller = signed_in(request)
    with desk(request, Permission.LOOKS_CHANGE) as (session, _):
        looks.retire(session, look_id, caller=str(caller))


def _tenant_shown(tenant: Tenant, balance: int) -> TenantShown:
    terms = {one.name: getattr(tenant, one.name) for one in fields(TenantShown) if one.name != "credits"}
    return TenantShown(**terms, credits=balance)


def _look_shown(kernel: Kernel, look: Look) -> LookShown:
    words = (look.name, look.version, look.backdrop, look.dress, look.framing, look.light, look.wall)
    return LookShown(look.id, *words, looks.departments_of(kernel.keys, look))


router = Router(
    path="/api/v1",
    route_handlers=[
        ask_for_link,
        sign_in,
        sign_out,
        show_tenant,
        change_tenant,
        change_directory,
        change_approval,
        list_tenants,
        found_tenant,
        grant_credits,
        list_looks,
        add_look,
        revise_look,
        retire_look,
        *api_accounts.routes,
        *api_members.routes,
        *api_operators.routes,
        *api_programs.routes,
        *api_sender.routes,
        *api_webhooks.routes,
    ],
    tags=["company"],
)

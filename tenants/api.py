"""The JSON edge of companies, members, looks and credits, and the way in for members."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, delete, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Struct, UnsetType

from likeness import ledger
from likeness.db import PLATFORM, utc_now
from likeness.identity import Kind, LinkUnknown, end_session, promised, redeem, start_session, tenant_in
from likeness.kernel import Kernel
from likeness.web import caller_or_none, cookie, kernel_of, only, signed_in
from tenants import access, credits, looks, members, tenants, wishes
from tenants.models import Look, Member, Role, Tenant
from tenants.tries import counted

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


class NewTenant(Struct, forbid_unknown_fields=True):
    name: str
    admin_name: str
    admin_email: str
    contact: str = ""
    authority: str = ""
    employee_quota: int = 500
    credits: int = 0


@dataclass
class TenantFounded:
    """The first member's link goes to their own address, and is shown to nobody else."""

    id: UUID
    mailed: str


@dataclass
class MemberShown:
    id: UUID
    name: str
    email: str
    roles: list[str]
    disabled: bool
    joined_at: datetime | None
    """The first sign-in; null while the invitation waits."""
    signed_in_at: datetime | None


class NewMember(Struct, forbid_unknown_fields=True):
    name: str
    email: str
    roles: list[Role]


@dataclass
class MemberInvited:
    """The link is in the mail to the member alone."""

    member: MemberShown
    mailed: str


class Wish(Struct, forbid_unknown_fields=True):
    email: str


@dataclass
class Wished:
    """The same whether the address is known or not."""

    detail: str


class NewRoles(Struct, forbid_unknown_fields=True):
    roles: list[Role]


@dataclass
class LookShown:
    id: UUID
    name: str
    version: int
    backdrop: str
    dress: str
    framing: str
    light: str


class NewLook(Struct, forbid_unknown_fields=True):
    name: str
    backdrop: str
    dress: str
    framing: str
    light: str


class LookWords(Struct, forbid_unknown_fields=True):
    backdrop: str
    dress: str
    framing: str
    light: str


class Grant(Struct, forbid_unknown_fields=True):
    """`order` names what was bought; the same order is granted once."""

    amount: int
    order: UUID


@dataclass
class Balance:
    credits: int


WISHED = (
    "If this address belongs to a member here, a link is on its way to it: one for each company. It works once, for 30"
    " minutes. An address gets at most five an hour."
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
    response = Response(SignedIn(kind), headers={"cache-control": "no-store"})
    response.set_cookie(**cookie(kernel.settings, value))
    return response


def enter(kernel: Kernel, token: str, now: datetime) -> tuple[Kind, str]:
    """Whom a one-time link signs in, and the new session's cookie. Raises `LinkUsed` or `LinkUnknown`."""
    tenant = tenant_in(token)
    if tenant is None:
        raise LinkUnknown("This sign-in link is not complete. Copy the whole address and try again.")
    with kernel.db.transaction(tenant) as session:
        found = promised(session, token, now)
        if found is not None and found[0] != Kind.EMPLOYEE:
            # The member's row before the link's: whoever disables them takes the two in the same order.
            members.came_in(session, found[1], now)
        kind, subject = redeem(session, token, now)
        value = start_session(session, kind, subject, now)
        ledger.record(session, "session.started", caller=f"{kind}:{subject}")
    return kind, value


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
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR, Role.LEGAL)
        return _tenant_shown(tenants.get(session), credits.balance(session))


@patch("/tenant", guards=DESK, sync_to_thread=True)
def change_tenant(request: Request[Any, Any, Any], data: JSONBody[TenantTerms]) -> TenantShown:
    """A changed term makes a new notice, which everybody is asked about anew before anything else is taken."""
    caller = signed_in(request)
    terms = {name: value for name in data.__struct_fields__ if (value := getattr(data, name)) is not UNSET}
    if "recipes" in terms and not set(terms["recipes"]) <= set(tenants.offers(kernel_of(request).settings.recipe)):
        raise tenants.TermsRefused("This installation cannot make headshots in that way.")
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.LEGAL)
        return _tenant_shown(tenants.change(session, caller=str(caller), **terms), credits.balance(session))


@get("/tenants", guards=OPERATORS, sync_to_thread=True)
def list_tenants(request: Request[Any, Any, Any]) -> list[TenantLine]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.OPERATOR)
        return [TenantLine(one.id, one.name, one.created_at) for one in tenants.all_tenants(session)]


@post("/tenants", guards=OPERATORS, sync_to_thread=True)
def found_tenant(request: Request[Any, Any, Any], data: JSONBody[NewTenant]) -> TenantFounded:
    """A company with its first member, who works HR and legal until they invite others."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.OPERATOR)
    members.check_new(data.admin_email, data.admin_name)
    tenant = tenants.found(
        kernel,
        data.name,
        contact=data.contact,
        authority=data.authority,
        employee_quota=data.employee_quota,
        recipes=tenants.offers(kernel.settings.recipe),
    )
    with kernel.db.transaction(tenant) as session:
        member = members.invite_member(
            session, kernel.keys, data.admin_email, data.admin_name, [Role.HR, Role.LEGAL], caller=str(caller)
        )
        if data.credits:
            credits.grant(session, data.credits, "first", caller=str(caller))
        members.mail_link(session, kernel, member, utc_now(), campaign="first", inviter="The operator")
        return TenantFounded(tenant, data.admin_email)


@post("/tenants/{tenant_id:uuid}/credits", guards=OPERATORS, status_code=200, sync_to_thread=True)
def grant_credits(request: Request[Any, Any, Any], tenant_id: FromPath[UUID], data: JSONBody[Grant]) -> Balance:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.OPERATOR)
    with kernel.db.transaction(tenant_id) as session:
        tenants.get(session)
        credits.grant(session, data.amount, str(data.order), caller=str(caller))
        return Balance(credits.balance(session))


@get("/members", guards=DESK, sync_to_thread=True)
def list_members(request: Request[Any, Any, Any]) -> list[MemberShown]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR, Role.LEGAL)
        return [_member_shown(kernel, one) for one in members.all(session)]


@post("/members", guards=DESK, sync_to_thread=True)
def invite_member(request: Request[Any, Any, Any], data: JSONBody[NewMember]) -> MemberInvited:
    """Nobody hands out a role that they do not hold."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        inviter = access.require(session, caller, Role.HR, Role.LEGAL)
        members.check_may_give(inviter, data.roles)
        member = members.invite(session, kernel, data.email, data.name, data.roles, inviter=inviter, now=utc_now())
        return MemberInvited(_member_shown(kernel, member), data.email)


@post("/members/{member_id:uuid}/link", guards=DESK, sync_to_thread=True)
def new_sign_in_link(request: Request[Any, Any, Any], member_id: FromPath[UUID]) -> MemberInvited:
    """Mails a fresh invitation to somebody who has not come in yet; a member asks for a link at the front door."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        inviter = access.require(session, caller, Role.HR, Role.LEGAL)
        member = members.invite_again(session, kernel, member_id, inviter=inviter, now=utc_now())
        return MemberInvited(_member_shown(kernel, member), members.profile(kernel.keys, member).email)


@patch("/members/{member_id:uuid}", guards=DESK, sync_to_thread=True)
def change_roles(request: Request[Any, Any, Any], member_id: FromPath[UUID], data: JSONBody[NewRoles]) -> MemberShown:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        giver = access.require(session, caller, Role.HR, Role.LEGAL)
        before = {Role(role) for role in members.get(session, member_id).roles}
        members.check_may_give(giver, before ^ set(data.roles))
        return _member_shown(kernel, members.give_roles(session, member_id, data.roles, by=giver.id, caller=str(caller)))


@delete("/members/{member_id:uuid}", guards=DESK, sync_to_thread=True)
def disable_member(request: Request[Any, Any, Any], member_id: FromPath[UUID]) -> None:
    """Signs the member out everywhere; what they did stays on record."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        giver = access.require(session, caller, Role.HR, Role.LEGAL)
        members.check_may_give(giver, [Role(role) for role in members.get(session, member_id).roles])
        members.disable(session, member_id, utc_now(), caller=str(caller))


@post("/members/{member_id:uuid}/let-back", guards=DESK, status_code=200, sync_to_thread=True)
def let_member_back(request: Request[Any, Any, Any], member_id: FromPath[UUID]) -> MemberShown:
    """Somebody who was disabled works the desk again; they ask for a link at the front door."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        giver = access.require(session, caller, Role.HR, Role.LEGAL)
        members.check_may_give(giver, [Role(role) for role in members.get(session, member_id).roles])
        return _member_shown(kernel, members.let_back(session, member_id, by=giver.id, caller=str(caller)))


@get("/looks", guards=DESK, sync_to_thread=True)
def list_looks(request: Request[Any, Any, Any]) -> list[LookShown]:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR, Role.LEGAL)
        return [_look_shown(look) for look in looks.list_looks(session)]


@post("/looks", guards=DESK, sync_to_thread=True)
def add_look(request: Request[Any, Any, Any], data: JSONBody[NewLook]) -> LookShown:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        look = looks.add(session, data.name, data.backdrop, data.dress, data.framing, data.light, caller=str(caller))
        return _look_shown(look)


@post("/looks/{look_id:uuid}/revise", guards=DESK, status_code=200, sync_to_thread=True)
def revise_look(request: Request[Any, Any, Any], look_id: FromPath[UUID], data: JSONBody[LookWords]) -> LookShown:
    """The next version; headshots that were made keep naming the old one."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        look = looks.revise(
            session,
            look_id,
            backdrop=data.backdrop,
            dress=data.dress,
            framing=data.framing,
            light=data.light,
            caller=str(caller),
        )
        return _look_shown(look)


@delete("/looks/{look_id:uuid}", guards=DESK, sync_to_thread=True)
def retire_look(request: Request[Any, Any, Any], look_id: FromPath[UUID]) -> None:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        looks.retire(session, look_id, caller=str(caller))


def _tenant_shown(tenant: Tenant, balance: int) -> TenantShown:
    return TenantShown(
        id=tenant.id,
        name=tenant.name,
        contact=tenant.contact,
        authority=tenant.authority,
        source_days=tenant.source_days,
        headshot_days=tenant.headshot_days,
        employee_quota=tenant.employee_quota,
        recipes=tenant.recipes,
        credits=balance,
    )


def _member_shown(kernel: Kernel, member: Member) -> MemberShown:
    who = members.profile(kernel.keys, member)
    return MemberShown(
        id=member.id,
        name=who.name,
        email=who.email,
        roles=list(member.roles),
        disabled=member.disabled_at is not None,
        joined_at=member.joined_at,
        signed_in_at=member.signed_in_at,
    )


def _look_shown(look: Look) -> LookShown:
    return LookShown(look.id, look.name, look.version, look.backdrop, look.dress, look.framing, look.light)


router = Router(
    path="/api/v1",
    route_handlers=[
        ask_for_link,
        sign_in,
        sign_out,
        show_tenant,
        change_tenant,
        list_tenants,
        found_tenant,
        grant_credits,
        list_members,
        invite_member,
        new_sign_in_link,
        change_roles,
        disable_member,
        let_member_back,
        list_looks,
        add_look,
        revise_look,
        retire_look,
    ],
    tags=["company"],
)

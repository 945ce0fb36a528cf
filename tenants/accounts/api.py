"""The JSON edge of a company's sign-in with accounts: for operators, and for its owner. `routes` is a part of the floor's
router. A client's secret comes in here and is shown nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from litestar import Request, get, post, put
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.sso.described import GivenProvider
from likeness.web.described import FOR_PEOPLE
from likeness.web.guards import fresh, kernel_of, only, signed_in
from tenants import tenants
from tenants.accounts import giving
from tenants.members import access
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.sso import changing, organizations
from tenants.sso.organizations import WantedSignIn
from tenants.sso.providers import ProviderMissing

DESK = [only(Kind.MEMBER)]
OPERATORS = [only(Kind.OPERATOR)]


class OwnProvider(Struct, forbid_unknown_fields=True):
    """`oidc` takes issuer, client id and secret; the rest is asked of the issuer. `saml` takes the metadata, as XML."""

    kind: Literal["oidc", "saml"]
    issuer: str = ""
    client_id: str = ""
    client_secret: str = ""
    """Written, and shown to nobody afterwards."""
    metadata: str = ""


class CheckedProvider(OwnProvider, kw_only=True):
    """What an operator may say beside it, after having asked the company."""

    trusts_addresses: bool | None = None
    """It vouches for the addresses that it tells, and people cannot change them there by themselves. Null, here and below:
    as it is of the same provider, and not so of a new one."""
    second_factor: bool | None = None
    """Members need one, and a mailed link alone opens no desk."""


class NewSignIn(Struct, forbid_unknown_fields=True):
    domains: list[str]
    provider: CheckedProvider | None = None
    """Without one its people have accounts in the installation's own Keycloak."""


class ChangedSignIn(Struct, forbid_unknown_fields=True):
    """All of its domains where any are named, and its provider where one is described."""

    domains: list[str] = []
    provider: CheckedProvider | None = None


@dataclass
class SignInShown:
    domains: list[str]
    brokered: bool
    """By a provider of the company's own."""
    second_factor: bool
    since: datetime
    ended_at: datetime | None
    came_at: datetime | None
    """When it last worked for a member."""
    refused_at: datetime | None
    way: str
    """Where a browser begins."""
    redirect: str
    """What the provider is told: where it sends people back to."""


@dataclass
class SignInChanged:
    """`anew`: it is another provider, so whoever had come by the earlier one is signed out and connects anew."""

    domains: list[str]
    anew: bool


@get("/tenant/sign-in", guards=DESK, sync_to_thread=True)
def show_own_sign_in(request: Request[Any, Any, Any]) -> SignInShown:
    """How the company's people come in with accounts."""
    with desk(request, Permission.COMPANY_READ) as (session, _):
        found = changing.shown(session)
    if found is None:
        raise ProviderMissing("Your company has no sign-in of its own.")
    return SignInShown(
        found.domains, found.brokered, found.second_factor, found.since, found.ended_at, found.came_at, found.refused_at,
        found.way, organizations.at_the_provider(kernel_of(request), found.alias).redirect,
    )  # fmt: skip


@put("/tenant/sign-in/provider", guards=[*DESK, fresh], opt=FOR_PEOPLE, sync_to_thread=True)
def give_own_provider(request: Request[Any, Any, Any], data: JSONBody[OwnProvider]) -> SignInChanged:
    """The company's own provider. Its domains are named by an operator, who checked whose they are; so is whether the
    provider vouches for addresses, and without that everybody connects their account once by a mailed link."""
    access.check(request, Permission.ACCOUNTS_CHANGE)
    caller = signed_in(request)
    given = giving.by_owner(kernel_of(request), caller.tenant, of(data), utc_now(), caller=str(caller))
    return SignInChanged(given.domains, given.anew)


@post("/tenants/{tenant_id:uuid}/sign-in", guards=[*OPERATORS, fresh], status_code=204, sync_to_thread=True)
def connect_tenant(request: Request[Any, Any, Any], tenant_id: FromPath[UUID], data: JSONBody[NewSignIn]) -> None:
    """Gives a company that is here already its organization in Keycloak, and its own provider where one is described."""
    access.check(request, Permission.COMPANIES_FOUND)
    kernel, caller = kernel_of(request), str(signed_in(request))
    with kernel.db.transaction(tenant_id) as session:
        name = tenants.get(session).name
    giving.first(kernel, tenant_id, name, wanted_of(kernel, data.domains, data.provider, needed=True), caller=caller)


@put("/tenants/{tenant_id:uuid}/sign-in", guards=[*OPERATORS, fresh], sync_to_thread=True)
def change_sign_in(
    request: Request[Any, Any, Any], tenant_id: FromPath[UUID], data: JSONBody[ChangedSignIn]
) -> SignInChanged:
    """Other domains, a new secret or certificate, or another provider; it works from then on, also where it had ended."""
    access.check(request, Permission.COMPANIES_FOUND)
    kernel, now, caller = kernel_of(request), utc_now(), str(signed_in(request))
    given = giving.changed_by_operator(
        kernel, tenant_id, now, domains=organizations.plain(data.domains),
        given=of(data.provider) if data.provider else None, caller=caller,
    )  # fmt: skip
    return SignInChanged(given.domains, given.anew)


def wanted_of(
    kernel: Kernel, domains: Iterable[str], provider: CheckedProvider | None, *, needed: bool = False
) -> WantedSignIn:
    """Raises `DomainRefused` and `ProviderRefused`."""
    return giving.wanted(kernel, " ".join(domains), of(provider) if provider else None, utc_now(), needed=needed)


def of(data: OwnProvider) -> GivenProvider:
    words = (data.kind, data.issuer, data.client_id, data.client_secret, data.metadata)
    if isinstance(data, CheckedProvider):
        return GivenProvider(*words, data.trusts_addresses, data.second_factor)
    return GivenProvider(*words)


routes: list[Any] = [show_own_sign_in, give_own_provider, connect_tenant, change_sign_in]

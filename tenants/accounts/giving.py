"""A company that has a sign-in is given another provider, other domains or another demand: in Keycloak first, then here.

Operators, by the command, the page and the API, and the company's owner come here. What an owner hands in is believed less:
whoever describes a provider could run it, and say there of any account whose it is. So nobody is connected by an address
that it tells unless an operator has said that it vouches for them. And a provider that signs with another certificate is
another one: its accounts are nobody here before their people connect them by a mailed link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from likeness import ledger
from likeness.ground.db import PLATFORM
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.sso.administering import Reach
from likeness.sso.companies import Broker, Brokered, brokered, change_company, remove_company, replace_company
from likeness.sso.described import GivenProvider, looked_at
from likeness.sso.keycloak import MFA
from tenants import tenants
from tenants.members import members
from tenants.models import Role
from tenants.sso import changing, letters, organizations, providers
from tenants.sso.organizations import NotAdministered, WantedSignIn
from tenants.sso.providers import SignInEnded


@dataclass(frozen=True)
class SignInGiven:
    """`anew`: accounts of the earlier provider are nobody any more, and whoever had come by them is signed out."""

    domains: list[str]
    anew: bool


def by_owner(kernel: Kernel, tenant: UUID, given: GivenProvider, now: datetime, *, caller: str) -> SignInGiven:
    """The company's own provider, as its owner describes it; whether members need a second factor stays as it is.

    Raises `ProviderMissing` where no operator has named its domains yet, `SignInEnded`, `NotAdministered`,
    `ProviderRefused` and `KeycloakRefused`.
    """
    reach = reach_here(kernel)
    with kernel.db.transaction(tenant) as session:
        row = changing.row(session)
        if row.disabled_at is not None:
            raise SignInEnded("Whoever runs Likeness for you ended it, and lets it work again. Nothing was changed.")
        alias, demands = row.alias, bool(row.members_acr)
    broker = looked_at(given, kernel.settings.hooks_inside, now)
    there = brokered(reach, alias)
    known = there is not None and there.trusts_addresses and not there.is_other(broker, signed_by_another=True)
    broker = replace(broker, trusts_addresses=known, second_factor=demands)
    return _give(kernel, reach, tenant, there, broker, now=now, caller=caller, owner=True)


def by_operator(
    kernel: Kernel,
    tenant: UUID,
    now: datetime,
    *,
    domains: Sequence[str] = (),
    broker: Broker | None = None,
    members_acr: str | None = None,
    keeps_trust: bool = False,
    caller: str = ledger.SYSTEM,
) -> SignInGiven:
    """All of its domains where any are named, its provider where one is described; it works from now on, also where it
    had ended. Raises `ProviderMissing`, `DomainTaken`, `NotAdministered` and `KeycloakRefused`."""
    reach = reach_here(kernel)
    with kernel.db.transaction(tenant) as session:
        row = changing.row(session)
        alias, demanded = row.alias, row.members_acr
    members_acr = demanded if members_acr is None else members_acr
    if broker is not None:
        broker = replace(broker, second_factor=bool(members_acr))
    there = brokered(reach, alias) if broker is not None else None
    if broker is not None and there is not None and keeps_trust and not there.is_other(broker):
        broker = replace(broker, trusts_addresses=there.trusts_addresses)
    return _give(kernel, reach, tenant, there, broker, domains, members_acr, now=now, caller=caller)


def reach_here(kernel: Kernel) -> Reach:
    """Raises `NotAdministered`."""
    reach = organizations.reach_of(kernel)
    if reach is None:
        raise NotAdministered(
            "This server may not change Keycloak. Whoever holds Keycloak's setup secret runs `likeness company change`."
            " Nothing was changed."
        )
    return reach


def wanted(
    kernel: Kernel, domains: str, given: GivenProvider | None, now: datetime, *, needed: bool = False
) -> WantedSignIn:
    """What a company begins with; domains have commas or spaces between them. Raises `DomainRefused` and
    `ProviderRefused`."""
    plain = organizations.in_words(domains, needed=needed or given is not None)
    if given is None:
        return plain
    return WantedSignIn(plain.domains, *read(given, kernel, now))


def first(kernel: Kernel, tenant: UUID, name: str, begins: WantedSignIn, *, caller: str) -> None:
    """For a company that is here already and has none. Raises `NotAdministered`, `DomainTaken` and `KeycloakRefused`."""
    with organizations.made(kernel, name, begins) as made:
        organizations.connect(kernel, tenant, made, caller=caller)


def in_form(data: Mapping[str, str]) -> GivenProvider | None:
    """None where no kind is chosen."""
    kind = data.get("kind", "")
    if not kind:
        return None
    return GivenProvider(
        kind, data.get("issuer", ""), data.get("client_id", ""), data.get("client_secret", ""), data.get("metadata", ""),
        trusts_addresses=_ticked(data.get("trusts_addresses", "0")), second_factor=_ticked(data.get("second_factor", "0")),
    )  # fmt: skip


def _ticked(said: str) -> bool | None:
    """None where a menu says that it stays as it is."""
    return said != "0" if said else None


def read(given: GivenProvider, kernel: Kernel, now: datetime) -> tuple[Broker, str]:
    """What an operator handed in, and what members' sign-ins have to show then. Raises `ProviderRefused`."""
    broker = looked_at(given, kernel.settings.hooks_inside, now)
    return broker, MFA if broker.second_factor else ""


def changed_by_operator(
    kernel: Kernel, tenant: UUID, now: datetime, *, domains: Sequence[str], given: GivenProvider | None, caller: str
) -> SignInGiven:
    """As an operator hands it in. What is said to be as it is stays so of the same provider, and is not so of another.

    Raises what `by_operator` raises, and `ProviderRefused`.
    """
    if given is None:
        return by_operator(kernel, tenant, now, domains=domains, caller=caller)
    broker, acr = read(given, kernel, now)
    return by_operator(
        kernel, tenant, now, domains=domains, broker=broker, keeps_trust=given.trusts_addresses is None,
        members_acr=None if given.second_factor is None else acr, caller=caller,
    )  # fmt: skip


def tell(session: Session, kernel: Kernel, now: datetime, *, owner: bool, anew: bool) -> None:
    """Owners and legal of the company, in the transaction that changed it."""
    tenant, campaign = tenants.get(session), f"{now:%Y%m%d%H%M%S%f}"
    for one in members.all(session):
        if one.disabled_at is None and {Role.OWNER, Role.LEGAL} & set(one.roles):
            who = members.profile(kernel.keys, one)
            letter = letters.changed(tenant, tenant.name, who.name, who.email, owner=owner, anew=anew)
            mail.post(session, kernel.keys, one.id, letter, template="sign-in-changed", campaign=campaign)


def _tell_operators(kernel: Kernel, company: str, now: datetime, *, anew: bool) -> None:
    """What an owner did: they looked after it until now, and are asked where it does not work."""
    with kernel.db.transaction(PLATFORM) as session:
        reader, campaign = tenants.get(session), f"{now:%Y%m%d%H%M%S%f}"
        for one in members.all(session):
            if one.disabled_at is None and Role.OPERATOR in one.roles:
                who = members.profile(kernel.keys, one)
                letter = letters.changed(reader, company, who.name, who.email, owner=True, anew=anew)
                mail.post(session, kernel.keys, one.id, letter, template="sign-in-changed", campaign=campaign)


def _give(
    kernel: Kernel,
    reach: Reach,
    tenant: UUID,
    there: Brokered | None,
    broker: Broker | None,
    domains: Sequence[str] = (),
    members_acr: str | None = None,
    *,
    now: datetime,
    caller: str,
    owner: bool = False,
) -> SignInGiven:
    with kernel.db.transaction(tenant) as session:
        name, row = tenants.get(session).name, changing.row(session)
        wanted = [providers.plain_domain(one) for one in domains] or providers.domains(session, row)
        known = (row.alias, row.organization)
    providers.check_free(kernel.db, wanted, tenant)
    successor = organizations.alias_after(row.alias, tenant)
    # A try that broke off before it was on record here left that in the realm, and it holds the company's domains.
    remove_company(reach, successor)
    # Where the realm has none of the company, an owner's is a new one: whom it calls by which number is not known.
    if broker is not None and (owner if there is None else there.is_other(broker, signed_by_another=owner)):
        alias = successor
        organization = replace_company(reach, row.alias, alias, name, wanted, broker)
    else:
        alias, organization = row.alias, change_company(reach, row.alias, name, wanted, broker)
    moved = None if (alias, organization) == known else (alias, organization)
    with kernel.db.transaction(tenant) as session:
        changing.change(
            session, domains=domains and wanted, broker=broker is not None, members_acr=members_acr, moved=moved,
            caller=caller,
        )  # fmt: skip
        if broker is not None:
            tell(session, kernel, now, owner=owner, anew=moved is not None)
    if owner:
        _tell_operators(kernel, name, now, anew=moved is not None)
    return SignInGiven(wanted, moved is not None)

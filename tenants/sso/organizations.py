"""A company's organization in the realm, made together with the company, and taken away again where the company cannot be.

Every way of adding a company comes here: the command, the operators' page and the API. It is made before the company,
because Keycloak may be away or refuse it, and then nothing was begun.
"""

from __future__ import annotations

import logging
import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from likeness.ground.errors import Conflict, LikenessError
from likeness.kernel import Kernel
from likeness.sso.administering import Reach
from likeness.sso.companies import Broker, add_company, remove_company
from tenants.sso import providers
from tenants.sso.providers import DomainRefused

log = logging.getLogger(__name__)


class NotAdministered(Conflict):
    """The setup secret is not here, or there is no Keycloak."""

    title = "Keycloak is not administered from here"


@dataclass(frozen=True)
class WantedSignIn:
    """How a company's people are to come in, read before anything is made."""

    domains: list[str]
    broker: Broker | None = None
    members_acr: str = ""


@dataclass(frozen=True)
class MadeInKeycloak:
    alias: str
    organization: str
    wanted: WantedSignIn


@dataclass(frozen=True)
class ToldProvider:
    """What people enter of Keycloak at their own provider."""

    redirect: str
    entity: str
    """The name of the service in SAML."""


def in_words(typed: str, *, needed: bool = False) -> WantedSignIn:
    """Domains with commas or spaces between them. Raises `DomainRefused`."""
    domains = plain(one for one in re.split(r"[\s,;]+", typed) if one)
    if needed and not domains:
        raise DomainRefused("Name at least one mail domain. Nothing was changed.")
    return WantedSignIn(domains)


def plain(domains: Iterable[str]) -> list[str]:
    """Each once, as they are compared. Raises `DomainRefused`."""
    return list(dict.fromkeys(providers.plain_domain(one) for one in domains))


def reach_of(kernel: Kernel) -> Reach | None:
    """None where this process may not change the realm."""
    settings = kernel.settings
    if not settings.keycloak_url or not settings.keycloak_setup_secret:
        return None
    return Reach(settings.keycloak_url, settings.keycloak_realm, client_secret=settings.keycloak_setup_secret)


def at_the_provider(kernel: Kernel, alias: str) -> ToldProvider:
    settings = kernel.settings
    realm = f"{settings.keycloak_url.rstrip('/')}/realms/{settings.keycloak_realm}"
    return ToldProvider(f"{realm}/broker/{alias}/endpoint", realm)


@contextmanager
def made(kernel: Kernel, name: str, wanted: WantedSignIn) -> Iterator[MadeInKeycloak | None]:
    """The organization, for as long as nothing fails; None where no domain is named.

    Raises `NotAdministered`, `DomainTaken` and `KeycloakRefused`.
    """
    if not wanted.domains:
        yield None
        return
    reach = reach_of(kernel)
    if reach is None:
        raise NotAdministered(
            "This server may not add organizations to Keycloak. Add the company without domains, and let whoever holds"
            " Keycloak's setup secret run `likeness company connect`. Nothing was changed."
        )
    providers.check_free(kernel.db, wanted.domains)
    alias = alias_for(name)
    made_there = MadeInKeycloak(alias, add_company(reach, alias, name, wanted.domains, wanted.broker), wanted)
    try:
        yield made_there
    except BaseException:
        try:
            remove_company(reach, alias)
        except LikenessError:
            # Nobody comes in by it: no company is connected with it. What failed first is what has to be told.
            log.warning("an organization without a company was left in the realm")
        raise


def connect(kernel: Kernel, tenant: UUID, begun: MadeInKeycloak | None, *, caller: str) -> None:
    """From now on the company's people come in by it. Raises `DomainTaken`."""
    if begun is None:
        return
    with kernel.db.transaction(tenant) as session:
        providers.connect(
            session, issuer=kernel.issuer.name if kernel.issuer else "", organization=begun.organization,
            alias=begun.alias, domains=begun.wanted.domains, brokered=begun.wanted.broker is not None,
            members_acr=begun.wanted.members_acr, caller=caller,
        )  # fmt: skip


def alias_for(name: str) -> str:
    """A name of its own in the realm: two companies may be called the same."""
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return f"{re.sub(r'[^a-z0-9]+', '-', letters).strip('-')[:30] or 'company'}-{secrets.token_hex(3)}"


def alias_after(before: str, tenant: UUID) -> str:
    """Of the organization that takes the place of `before`. It is the same for each try, so that the next finds what one
    that broke off has left in the realm."""
    return f"{before.rpartition('-')[0] or 'company'}-{sha256(f'{tenant} {before}'.encode()).hexdigest()[:16]}"

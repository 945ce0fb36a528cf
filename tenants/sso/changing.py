"""What becomes of a company's sign-in after it was made: other domains, another provider, its end, and its return.

Nothing here speaks with Keycloak: whoever calls has said it there first (`likeness/sso/companies.py`), so that a sign-in
that Keycloak did not change is not told as changed here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete, select

from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.identity import WebSession
from tenants.sso import providers
from tenants.sso.identities import Identity
from tenants.sso.providers import DomainTaken, Provider, ProviderDomain, ProviderMissing
from tenants.sso.sessions import ProviderSession


@dataclass(frozen=True)
class SignIn:
    """How people of a company come in with accounts, as operators see it: it names no person."""

    alias: str
    domains: list[str]
    brokered: bool
    second_factor: bool
    since: datetime
    ended_at: datetime | None
    came_at: datetime | None
    refused_at: datetime | None
    way: str
    """Where the sign-in begins."""


def shown(session: Session) -> SignIn | None:
    """Of the transaction's own company; None where it never had one."""
    row = _row(session)
    if row is None:
        return None
    domains = providers.domains(session, row)
    return SignIn(
        row.alias, domains, row.brokered, bool(row.members_acr), row.created_at, row.disabled_at, row.came_at,
        row.refused_at, f"/sso/{row.id}",
    )  # fmt: skip


def row(session: Session) -> Provider:
    """Raises `ProviderMissing`."""
    found = _row(session)
    if found is None:
        raise ProviderMissing("This company has no sign-in of its own yet.")
    return found


def change(
    session: Session,
    *,
    domains: Collection[str] = (),
    broker: bool = False,
    members_acr: str | None = None,
    moved: tuple[str, str] | None = None,
    caller: str = ledger.SYSTEM,
) -> None:
    """It works from now on, also where it had ended. `domains` are all of them, where any are named; `broker` says that a
    provider was described; and `moved` names alias and organization of another one in its place.

    Then whoever came by the earlier one is signed out, and accounts are connected anew: two providers may call two people
    by the same number. Raises `ProviderMissing` and `DomainTaken`.
    """
    provider = row(session)
    if moved is not None:
        end_sessions(session)
        session.exec(delete(Identity).where(col(Identity.tenant_id) == tenant_of(session)))
        provider.alias, provider.organization = moved
    provider.brokered = provider.brokered or broker
    provider.members_acr = provider.members_acr if members_acr is None else members_acr
    provider.disabled_at = None
    session.add(provider)
    if domains:
        _name(session, provider, set(domains))
    session.flush()
    ledger.record(session, "provider.changed", caller=caller, objects=[provider.id])


def end(session: Session, now: datetime, *, caller: str = ledger.SYSTEM) -> int:
    """Nobody comes in by it any more, and whoever had is signed out; how many sessions that were. Mailed links open
    everything again, the desk of a company that demanded a second factor too. Raises `ProviderMissing`."""
    provider = row(session)
    if provider.disabled_at is None:
        provider.disabled_at = now
        session.add(provider)
        ledger.record(session, "provider.ended", caller=caller, objects=[provider.id])
    return end_sessions(session)


def end_sessions(session: Session) -> int:
    """Those of the company that began with an account."""
    mine = select(ProviderSession.session_id).where(col(ProviderSession.tenant_id) == tenant_of(session))
    ended = session.exec(
        delete(WebSession)
        .where(col(WebSession.tenant_id) == tenant_of(session), col(WebSession.id).in_(mine))
        .returning(col(WebSession.id))
    )
    return len(ended.all())


def _name(session: Session, provider: Provider, wanted: set[str]) -> None:
    there: set[str] = set(providers.domains(session, provider))
    own = (col(ProviderDomain.tenant_id) == provider.tenant_id, col(ProviderDomain.provider_id) == provider.id)
    session.exec(delete(ProviderDomain).where(*own, col(ProviderDomain.domain).in_(there - wanted)))
    try:
        with session.begin_nested():
            for domain in sorted(wanted - there):
                session.add(ProviderDomain(tenant_id=provider.tenant_id, provider_id=provider.id, domain=domain))
            session.flush()
    except IntegrityError:
        raise DomainTaken("Another company has one of: {domains}.", domains=", ".join(sorted(wanted - there))) from None


def _row(session: Session) -> Provider | None:
    return session.exec(select(Provider).where(col(Provider.tenant_id) == tenant_of(session))).one_or_none()



"""A company's own sign-in: its organization in the realm, its domains, and what it demands of its members.

One row a company, visible to the platform, because whoever stands at the front door has named no company yet. It names
no person.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import idna
from sqlalchemy import UniqueConstraint, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, col, select

from likeness import ledger
from likeness.ground.db import PLATFORM, Database, Moment, TenantRow, belongs_to, of_tenant, tenant_of, utc_now
from likeness.ground.errors import Conflict, Forbidden, NotFound, Unprocessable
from likeness.locale.marks import N_
from likeness.sso.tokens import Proof, SignInRefused


class ProviderMissing(NotFound):
    """There is no such sign-in, or it was switched off."""

    title = "There is no such sign-in"


class SignInEnded(Conflict):
    """An operator ended the company's sign-in."""

    title = "This sign-in has ended"


class DomainRefused(Unprocessable):
    """It is no domain, or one that anybody may have an address of."""

    title = "This domain cannot be used"


class DomainTaken(Conflict):
    """Another company has this domain, or this one has a sign-in already."""

    title = "This domain is in use already"


class AccountNeeded(Forbidden):
    """The company demands more of its members than a mailed link."""

    title = "Your company asks for its own sign-in"


class Provider(TenantRow, table=True):
    __table_args__ = (UniqueConstraint("tenant_id"), UniqueConstraint("issuer", "organization"), of_tenant())

    issuer: str
    organization: str
    """Its id in the realm, which never changes."""
    alias: str
    """Its name in the realm: part of the question, never of the answer that is believed."""
    brokered: bool
    """It has an identity provider of its own, which people are sent to at once."""
    members_acr: str = ""
    """What members' sign-ins have to show, `mfa` for a second factor; then a mailed link alone opens no desk."""
    created_at: datetime = Moment(default_factory=utc_now)
    disabled_at: datetime | None = Moment(default=None, nullable=True)
    came_at: datetime | None = Moment(default=None, nullable=True)
    """When a member last came in by it."""
    refused_at: datetime | None = Moment(default=None, nullable=True)
    """When an answer of it was last refused: a sign-in that was set up wrongly is seen by that."""


class ProviderDomain(TenantRow, table=True):
    """A mail domain that the operator has checked to be the company's."""

    __tablename__ = "provider_domain"
    __table_args__ = (belongs_to("provider", "provider_id"), of_tenant())

    provider_id: UUID = Field(index=True)
    domain: str = Field(unique=True)


def connect(
    session: Session,
    *,
    issuer: str,
    organization: str,
    alias: str,
    domains: Collection[str],
    brokered: bool,
    members_acr: str = "",
    caller: str = ledger.SYSTEM,
) -> Provider:
    """The company of the transaction signs in by this organization from now on. Raises `DomainTaken`."""
    provider = Provider(
        tenant_id=tenant_of(session), issuer=issuer, organization=organization, alias=alias, brokered=brokered,
        members_acr=members_acr,
    )  # fmt: skip
    try:
        with session.begin_nested():
            session.add(provider)
            session.flush()
            for domain in domains:
                session.add(ProviderDomain(tenant_id=provider.tenant_id, provider_id=provider.id, domain=domain))
            session.flush()
    except IntegrityError:
        raise DomainTaken(
            "The company has a sign-in already, or another company has one of: {domains}.",
            domains=", ".join(sorted(domains)),
        ) from None
    ledger.record(session, "provider.connected", caller=caller, objects=[provider.id])
    return provider


def check_free(db: Database, wanted: Collection[str], tenant: UUID = PLATFORM) -> None:
    """Raises `DomainTaken` where another company than this one has one of these."""
    with db.transaction(PLATFORM) as session:
        others = (col(ProviderDomain.domain).in_(wanted), col(ProviderDomain.tenant_id) != tenant)
        taken = session.exec(select(ProviderDomain.domain).where(*others)).all()
    if taken:
        raise DomainTaken("Another company has: {domains}.", domains=", ".join(sorted(taken)))


def note(session: Session, provider: Provider, **at: datetime) -> None:
    """When a member last came to the desk by it, or an answer was refused. Of employees' own sign-ins nothing is noted."""
    mine = (col(Provider.tenant_id) == tenant_of(session), col(Provider.id) == provider.id)
    session.execute(update(Provider).where(*mine).values(**at))


def of_company(session: Session) -> Provider | None:
    """The sign-in of the transaction's own company, unless it is switched off."""
    return session.exec(
        select(Provider).where(col(Provider.tenant_id) == tenant_of(session), col(Provider.disabled_at).is_(None))
    ).one_or_none()


def check_link_opens(session: Session) -> None:
    """Raises `AccountNeeded` where a link alone opens no desk: a demand that a mailbox gets around is none."""
    provider = of_company(session)
    if provider is not None and provider.members_acr:
        raise AccountNeeded(N_("Sign in with your company's account: it asks for a second factor, and a link is none."))


def get(db: Database, provider_id: UUID) -> Provider:
    """For somebody who has named no company yet. Raises `ProviderMissing`."""
    with db.transaction(PLATFORM) as session:
        found = session.exec(
            select(Provider).where(col(Provider.id) == provider_id, col(Provider.disabled_at).is_(None))
        ).one_or_none()
    if found is None:
        raise ProviderMissing
    return found


def by_address(session: Session, email: str) -> Provider | None:
    """Whose people have addresses like this one; for a transaction of the platform."""
    try:
        domain = domain_of(email)
    except DomainRefused:
        return None
    return session.exec(
        select(Provider)
        .join(ProviderDomain, col(ProviderDomain.provider_id) == col(Provider.id))
        .where(col(ProviderDomain.domain) == domain, col(Provider.disabled_at).is_(None))
    ).one_or_none()


def domains(session: Session, provider: Provider) -> list[str]:
    return list(
        session.exec(
            select(ProviderDomain.domain)
            .where(col(ProviderDomain.tenant_id) == provider.tenant_id, col(ProviderDomain.provider_id) == provider.id)
            .order_by(col(ProviderDomain.domain))
        )
    )


def check_organization(provider: Provider, proof: Proof) -> None:
    """The proof is about somebody of this company and of no other. Raises `SignInRefused`."""
    found: Sequence[str] = list(proof.organizations.values())
    if proof.issuer != provider.issuer:
        raise SignInRefused("issuer")
    if found != [provider.organization]:
        raise SignInRefused(
            "another organization" if found else "no organization",
            N_("Your account does not belong to this company's sign-in. Nothing was changed. Ask the people who look after"
            " your company's accounts."),
        )


def domain_of(email: str) -> str:
    return plain_domain(email.rpartition("@")[2])


def plain_domain(written: str) -> str:
    """The domain as it is compared: small letters, punycode. Raises `DomainRefused`."""
    try:
        domain = idna.encode(written.strip().rstrip("."), uts46=True).decode().lower()
    except idna.IDNAError:
        raise DomainRefused("{domain} is not a domain.", domain=repr(written[:100])) from None
    if "." not in domain:
        raise DomainRefused("{domain} is not a whole domain.", domain=repr(written[:100]))
    return domain

"""Which account of a company's sign-in is which person here: bound once, by somebody who proved both.

An account is named by issuer and subject, which no provider gives to anybody else. What its address says is read once,
at the first sign-in, and never again: an address that changes at the provider moves nobody.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import UniqueConstraint, delete, update
from sqlmodel import Field, Session, col, select

from likeness import ledger
from likeness.ground.db import Moment, TenantRow, of_tenant, tenant_of
from likeness.identity import Kind, end_sessions_of
from likeness.locale.marks import N_
from likeness.sso.tokens import Proof, SignInRefused
from tenants.sso.attempts import SignInAttempt


class ConnectedBy(StrEnum):
    LINK = "link"
    """A link that was mailed to the person's own address was opened in the same browser."""
    DOMAIN = "domain"
    """The provider vouched for an address of the company's own domain, and there was nothing of the person yet."""


class Identity(TenantRow, table=True):
    __table_args__ = (
        UniqueConstraint("tenant_id", "issuer", "subject", "kind"),
        UniqueConstraint("tenant_id", "issuer", "kind", "person_id"),
        of_tenant(),
    )

    issuer: str
    subject: str
    kind: str
    person_id: UUID = Field(index=True)
    """The member or the employee."""
    bound_by: str
    bound_at: datetime = Moment()


def of(session: Session, proof: Proof) -> dict[Kind, UUID]:
    """Who this account is here: at most one person of each kind."""
    rows = session.exec(
        select(Identity).where(
            col(Identity.tenant_id) == tenant_of(session),
            col(Identity.issuer) == proof.issuer,
            col(Identity.subject) == proof.subject,
        )
    )
    return {Kind(row.kind): row.person_id for row in rows}


def of_person(session: Session, kind: Kind, person_id: UUID) -> Identity | None:
    return session.exec(
        select(Identity).where(
            col(Identity.tenant_id) == tenant_of(session),
            col(Identity.kind) == kind,
            col(Identity.person_id) == person_id,
        )
    ).first()


def bind(session: Session, proof: Proof, kind: Kind, person_id: UUID, how: ConnectedBy, now: datetime) -> None:
    """Raises `SignInRefused` for an account that is somebody else here already.

    By a mailed link a person may also put another account in the place of an earlier one, after a change of provider.
    """
    known = of(session, proof).get(kind)
    if known is not None and known != person_id:
        refused(session, person_id, "account of somebody else")
    earlier = of_person(session, kind, person_id)
    if earlier is not None and (earlier.issuer, earlier.subject) == (proof.issuer, proof.subject):
        if how == ConnectedBy.LINK:
            earlier.bound_by = how
            session.add(earlier)
        return
    if earlier is not None:
        if how != ConnectedBy.LINK:
            refused(session, person_id, "another account is connected")
        end_sessions_of(session, person_id)
        session.delete(earlier)
        session.flush()
    session.add(
        Identity(
            tenant_id=tenant_of(session), issuer=proof.issuer, subject=proof.subject, kind=kind, person_id=person_id,
            bound_by=how, bound_at=now,
        )
    )  # fmt: skip
    session.flush()
    _record(session, "identity.bound", kind, person_id)


def refused(session: Session, person_id: UUID, why: str) -> None:
    raise SignInRefused(
        why,
        N_("Another account is connected with this page, or this account with another page. Nothing was changed. If the"
        " account is yours, sign in with the link in your mail and connect it there."),
    )


def link_opened(session: Session, kind: Kind, person_id: UUID) -> bool:
    """A mailed link proves more than an address that a provider tells: an account that came before it, by nothing but
    its address, opens nothing any more, and whoever is signed in is signed out. Returns whether there was one."""
    row = of_person(session, kind, person_id)
    if row is None or row.bound_by != ConnectedBy.DOMAIN:
        return False
    end_sessions_of(session, person_id)
    return disconnect(session, kind, person_id)


def disconnect(session: Session, kind: Kind, person_id: UUID) -> bool:
    """Returns whether an account was connected."""
    if of_person(session, kind, person_id) is None:
        return False
    forget(session, person_id)
    _record(session, "identity.forgotten", kind, person_id)
    return True


def forget(session: Session, person_id: UUID) -> None:
    """Nobody comes in as this person by an account any more, until one is bound anew."""
    tenant = tenant_of(session)
    session.execute(delete(Identity).where(col(Identity.tenant_id) == tenant, col(Identity.person_id) == person_id))
    session.execute(
        delete(SignInAttempt).where(col(SignInAttempt.tenant_id) == tenant, col(SignInAttempt.subject_id) == person_id)
    )


def hand_over(session: Session, before: UUID, after: UUID) -> None:
    """The person's row goes on under another id."""
    session.execute(
        update(Identity)
        .where(col(Identity.tenant_id) == tenant_of(session), col(Identity.person_id) == before)
        .values(person_id=after)
    )


def _record(session: Session, event: str, kind: Kind, person_id: UUID) -> None:
    subject = person_id if kind == Kind.EMPLOYEE else None
    ledger.record(session, event, caller=f"{kind}:{person_id}", subject=subject, objects=[person_id])

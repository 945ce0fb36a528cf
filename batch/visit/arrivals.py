"""Somebody comes with the account of their company: to the desk, to their own visit, or to both.

The account alone says nothing about who somebody is here. It is connected once: by a mailed link that was opened in the
same browser, or at its first sign-in, where the provider vouches for an address of the company's own domain and whoever
is listed with it has nothing here yet that could be taken from them. In every other case a link goes to the address that
is on the list, and whoever opens it decides: a connection by an address alone ends with the first such link.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from batch.mailbox import email_identity
from batch.models import Employee, Link
from batch.people import employees, lines
from batch.visit import invitations
from likeness import ledger
from likeness.ground.errors import Forbidden
from likeness.identity import Caller, Kind, end_sessions_of, sessions_of
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.sso.issuer import Address
from likeness.sso.tokens import Proof
from tenants import suspension, tenants
from tenants.members import members
from tenants.models import Member
from tenants.sso import identities, letters, providers
from tenants.sso.identities import ConnectedBy
from tenants.sso.providers import Provider

Parts = Mapping[Kind, UUID]


class NotConnected(Forbidden):
    """The account is in order, and nobody here is known by it. The answer is the same whoever is on the list."""

    title = "Your account is not connected yet"


@dataclass(frozen=True)
class Listed:
    """Who has the address of an account that nobody is known by."""

    member: Member | None
    employee: Employee | None


def of(session: Session, kernel: Kernel, proof: Proof, known: tuple[Kind, UUID] | None, now: datetime) -> Parts:
    """Who this account is here; empty where nobody is known by it. `known` proved by a mailed link who they are.

    Raises `SignInRefused` where the account is another person's.
    """
    if known is not None:
        _connect(session, kernel, proof, *known, ConnectedBy.LINK, now)
    return _present(session, identities.of(session, proof), now)


def by_address(
    session: Session, kernel: Kernel, provider: Provider, proof: Proof, address: Address | None, now: datetime
) -> Parts:
    """At the first sign-in of an account. Mails a link to whoever is listed but may not be connected by an address.

    Raises `SignInRefused`.
    """
    if address is None or not address.verified or not _own(session, provider, address.email):
        return {}
    listed = _listed(session, kernel, address.email)
    if listed.member is not None:
        if listed.member.joined_at is None and identities.of_person(session, Kind.MEMBER, listed.member.id) is None:
            _connect(session, kernel, proof, Kind.MEMBER, listed.member.id, ConnectedBy.DOMAIN, now)
        else:
            members.mail_link(
                session, kernel, listed.member, now, campaign=f"connect-{now:%Y%m%d}", template="member-refused"
            )
            ledger.record(session, "identity.unconnected", objects=[listed.member.id])
    if listed.employee is not None:
        if _untouched(session, listed.employee, now):
            _connect(session, kernel, proof, Kind.EMPLOYEE, listed.employee.id, ConnectedBy.DOMAIN, now)
        else:
            _tell_refused(session, listed.employee, now)
            ledger.record(session, "identity.unconnected", subject=listed.employee.id, objects=[listed.employee.id])
    return _present(session, identities.of(session, proof), now)


def _tell_refused(session: Session, employee: Employee, now: datetime) -> None:
    """Their page stayed closed; the mail that says so, one a day, has a link for whoever's account it is. Nobody who said
    no is written to."""
    invitation = invitations.standing(session, employee.id)
    if invitation is not None and employee.opted_out_at is None and not suspension.is_suspended(session):
        jobs.send(session, invitations.deliver, str(invitation.id), "account-refused", f"{now:%Y%m%d}")


def _own(session: Session, provider: Provider, email: str) -> bool:
    try:
        return providers.domain_of(email) in providers.domains(session, provider)
    except providers.DomainRefused:
        return False


def _listed(session: Session, kernel: Kernel, email: str) -> Listed:
    """Who is found by an address is not yet who has it: the list keeps addresses further apart than mail servers do."""
    keys, wanted = kernel.keys, email_identity(email)
    member, employee = members.find(session, keys, email), employees.find(session, keys, email)
    if member is not None and email_identity(members.profile(keys, member).email) != wanted:
        member = None
    if employee is not None and email_identity(employees.profile(keys, employee).email) != wanted:
        employee = None
    invited = employee is not None and invitations.standing(session, employee.id) is not None
    return Listed(member, employee if invited else None)


def _untouched(session: Session, employee: Employee, now: datetime) -> bool:
    """Nothing of theirs is here: they have never consented or declined, no account was connected before, and nobody has
    come by a mailed link, who may be about to consent."""
    return (
        employee.opted_out_at is None
        and employee.id not in lines.protected(session, [employee.id])
        and identities.of_person(session, Kind.EMPLOYEE, employee.id) is None
        and not _opened(session, employee)
        and not sessions_of(session, employee.id, now)
    )


def _opened(session: Session, employee: Employee) -> bool:
    mine = (col(Link.tenant_id) == employee.tenant_id, col(Link.employee_id) == employee.id)
    return session.exec(select(Link.id).where(*mine, col(Link.used_at).is_not(None)).limit(1)).first() is not None


def _connect(
    session: Session, kernel: Kernel, proof: Proof, kind: Kind, person_id: UUID, how: ConnectedBy, now: datetime
) -> None:
    if identities.of(session, proof).get(kind) == person_id:
        return
    identities.bind(session, proof, kind, person_id, how, now)
    _tell(session, kernel, "connected", kind, person_id, now)


def by_link(session: Session, kernel: Kernel, employee_id: UUID, now: datetime) -> None:
    """Somebody opened their mailed link, and no session of theirs has begun by it yet."""
    if identities.link_opened(session, Kind.EMPLOYEE, employee_id):
        _tell(session, kernel, "disconnected", Kind.EMPLOYEE, employee_id, now)


def disconnect(session: Session, kernel: Kernel, caller: Caller, now: datetime) -> None:
    """Their account opens nothing any more; where else they are signed in ends too."""
    if identities.disconnect(session, caller.kind, caller.id):
        end_sessions_of(session, caller.id, keep=caller.session)
        _tell(session, kernel, "disconnected", caller.kind, caller.id, now)


def _tell(session: Session, kernel: Kernel, what: str, kind: Kind, person_id: UUID, now: datetime) -> None:
    """Whoever did not do it themselves learns of it at the address that the company knows."""
    company, campaign = tenants.get(session), f"{now:%Y%m%d%H%M%S%f}"
    if kind == Kind.MEMBER:
        who = members.profile(kernel.keys, members.get(session, person_id))
        letter = letters.about(what, company, who.name, who.email)
    else:
        employee = employees.get(session, person_id)
        person, reads = employees.profile(kernel.keys, employee), employees.words(kernel.keys, employee, company)
        letter = employees.letter(f"account-{what}", reads, person, company)
    mail.post(session, kernel.keys, person_id, letter, template=f"account-{what}", campaign=campaign)


def _present(session: Session, parts: Mapping[Kind, UUID], now: datetime) -> Parts:
    """Those of the parts that are open: a member who was disabled or a person who is not invited has none."""
    found: dict[Kind, UUID] = {}
    if (member_id := parts.get(Kind.MEMBER)) is not None:
        with suppress(members.NoLongerMember, members.MemberMissing):
            members.came_in(session, member_id, now)
            found[Kind.MEMBER] = member_id
    if (employee_id := parts.get(Kind.EMPLOYEE)) is not None and _came(session, employee_id, now):
        found[Kind.EMPLOYEE] = employee_id
    return found


def _came(session: Session, employee_id: UUID, now: datetime) -> bool:
    """Marks the invitation as opened, as its link would; False where none stands."""
    invitation = invitations.standing(session, employee_id)
    if invitation is None:
        return False
    if invitation.opened_at is None:
        invitation.opened_at = now
        session.add(invitation)
        caller = f"{Kind.EMPLOYEE}:{employee_id}"
        ledger.record(session, "invitation.opened", caller=caller, subject=employee_id, objects=[invitation.id])
    return True

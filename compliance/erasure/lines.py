"""The line that stays on the company's list when a person's own things go: under a new id and a new key.

Nothing in the database leads from it to what there was of the person, nor back. What the line keeps of theirs is sealed
in it: the receipt, with which their own page finds the certificate. Their session, their link and their invitation go
on, so that somebody who withdrew can read what became of their data, and change their mind.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

from sqlmodel import Session, col, select

from batch.models import Employee, Invitation, Link, Sitting, SittingState, TakeBack
from batch.people import employees
from batch.people.employees import EmployeeProfile
from batch.visit import addresses, concerns, invitations
from compliance.erasure.wiping import wipe_rows
from compliance.models import Erasure, Trigger
from compliance.proof import whose
from likeness.ground.db import tenant_of
from likeness.ground.errors import Gone
from likeness.ground.settings import Settings
from likeness.identity import hand_over_sessions, new_token
from likeness.kernel import Kernel
from likeness.keys.keys import KeyBroken, SealBroken
from likeness.mail import mail
from tenants import credits, suspension, tenants
from tenants.sso import identities


def leave(session: Session, kernel: Kernel, person: Employee, erasure: Erasure, now: datetime) -> None:
    """Takes the person's rows away and enters the line, in one transaction: a crash leaves neither two lines nor none.

    It is done before the keys go, because the name has to be read once more.
    """
    try:
        who = employees.profile(kernel.keys, person)
    except (Gone, SealBroken, KeyBroken):  # Without its keys or damaged: nobody can say any more whose line it was.
        return
    if erasure.trigger == Trigger.ADDRESS:
        _start_empty(session, kernel, person, who, now)
    else:
        _go_on(session, kernel, person, who, erasure, now)


def _go_on(
    session: Session, kernel: Kernel, person: Employee, who: EmployeeProfile, erasure: Erasure, now: datetime
) -> None:
    """For who withdrew: to HR a line like every other of who did not take part, to the person their own page."""
    receipt, again = new_token(person.tenant_id), uuid4()
    reads = employees.words(kernel.keys, person, tenants.get(session))
    left = _as_they_left(session, kernel, person, who)
    whose.hand(erasure, receipt, left or who, reads.language)
    session.add(erasure)
    invitation, links, copies = _invitation(session, person), _links(session, person), _copies(session, person)
    runs = invitation is not None and invitation.revoked_at is None and invitation.expires_at > now
    hand_over_sessions(session, person.id, again)
    identities.hand_over(session, person.id, again)
    if runs:
        # While the invitation runs, a credit that came back would tell the company that somebody said no.
        credits.hand_over(session, person.id, again)
    elif not _served(session, person):
        credits.release(session, person.id)
    chosen, messages = employees.chosen_language(kernel.keys, person), concerns.with_line(session, kernel.keys, person.id)
    wipe_rows(session, kernel, person.id, now, line_stays=True)
    # Whoever reads another address that the company has entered since is not to learn what was deleted, nor of whom.
    who = replace(who, receipt=receipt if left is None else None)
    employees.enter_again(
        session, kernel.keys, again, person, who, language=chosen, opted_out_at=person.opted_out_at or now
    )
    if invitation is not None:
        invitation_id = uuid4()
        facts = invitation.model_dump(exclude={"id", "employee_id"})
        session.add(Invitation(id=invitation_id, employee_id=again, **facts))
        session.flush()
        for link in links:
            facts = link.model_dump(exclude={"id", "employee_id", "invitation_id", "mail_id"})
            session.add(Link(employee_id=again, invitation_id=invitation_id, mail_id=uuid4(), **facts))
    _keep_copies(session, again, copies)
    tenant, line = tenants.get(session), employees.get(session, again)
    concerns.enter_again(session, kernel.keys, line, messages)
    letter = employees.letter(
        "withdrawn",
        reads := employees.words(kernel.keys, line, tenant),
        left or who,
        tenant,
        link=f"{receipt_link(kernel.settings, receipt)}?language={reads.language}",
    )
    mail.post(session, kernel.keys, again, letter, template="withdrawn", campaign=str(again))


def _start_empty(session: Session, kernel: Kernel, person: Employee, who: EmployeeProfile, now: datetime) -> None:
    """For whom nobody answered at the old address: an empty visit at the new one, asked like everybody else."""
    change = addresses.ran_out_of(session, person.id)
    if change is None:
        return
    moved, copies = (
        replace(who, email=addresses.new_address(kernel.keys, change), receipt=None),
        _copies(session, person),
    )
    invited = session.exec(
        select(Invitation.id).where(
            col(Invitation.tenant_id) == person.tenant_id, col(Invitation.employee_id) == person.id
        )
    ).first()
    chosen = employees.chosen_language(kernel.keys, person)
    wipe_rows(session, kernel, person.id, now, line_stays=True)
    if employees.find(session, kernel.keys, moved.email) is not None:
        return
    again = uuid4()
    employees.enter_again(
        session, kernel.keys, again, person, moved, language=chosen, opted_out_at=person.opted_out_at
    )
    _keep_copies(session, again, copies)
    if invited is None or person.opted_out_at is not None or suspension.is_suspended(session):
        return
    if credits.balance(session) > 0:
        invitations.invite_all(session, [again], now)


def receipt_link(settings: Settings, receipt: str) -> str:
    return f"{settings.public_url.rstrip('/')}/gone/{receipt}"


def _invitation(session: Session, person: Employee) -> Invitation | None:
    """The one that stands, else the last that was taken back."""
    mine = (col(Invitation.tenant_id) == person.tenant_id, col(Invitation.employee_id) == person.id)
    newest = (col(Invitation.revoked_at).is_(None).desc(), col(Invitation.created_at).desc())
    return session.exec(select(Invitation).where(*mine).order_by(*newest).limit(1)).first()


def _as_they_left(session: Session, kernel: Kernel, person: Employee, who: EmployeeProfile) -> EmployeeProfile | None:
    """With the name and the address under which they withdrew, where the company has given their line another one since."""
    since = [
        one
        for one in addresses.corrected(session, person.id)
        if person.opted_out_at and one.ended_at and one.ended_at >= person.opted_out_at
    ]
    if not since:
        return None
    key = kernel.keys.open(employees.profile_ref(person.tenant_id, person.id))
    email, _, name = key.open(since[-1].sealed, addresses.CONTEXT).decode().partition("\n")
    return replace(who, email=email, full_name=name or who.full_name)


def _links(session: Session, person: Employee) -> list[Link]:
    mine = select(Link).where(col(Link.tenant_id) == person.tenant_id, col(Link.employee_id) == person.id)
    return list(session.exec(mine))


def _copies(session: Session, person: Employee) -> list[TakeBack]:
    mine = select(TakeBack).where(col(TakeBack.tenant_id) == person.tenant_id, col(TakeBack.employee_id) == person.id)
    return list(session.exec(mine))


def _keep_copies(session: Session, employee_id: UUID, copies: list[TakeBack]) -> None:
    """HR's copies outlive what they were made from; which headshots they are is in the ledger under the old id alone."""
    for copy in copies:
        facts = copy.model_dump(exclude={"id", "employee_id", "headshot_id"})
        session.add(TakeBack(employee_id=employee_id, **facts))


def _served(session: Session, person: Employee) -> bool:
    done = select(Sitting.id).where(
        col(Sitting.tenant_id) == tenant_of(session),
        col(Sitting.employee_id) == person.id,
        col(Sitting.state) == SittingState.DONE,
    )
    return session.exec(done).first() is not None

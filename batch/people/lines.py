"""Whose line of the company's list it is: what a workbook, a correction by hand and the directory are refused alike.

A line to which somebody was invited is theirs. Its name may be spelled otherwise and its address may change, not both at
once; and once somebody has been on their page or has consented, nobody of another name is given their line, in small
steps neither.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, any_, func, literal, or_, true
from sqlmodel import Session, col, select

from batch.mailbox import email_identity
from batch.models import Consent, Employee, Invitation
from batch.people.employees import EmployeeProfile
from likeness import ledger
from likeness.ground.db import Database, tenant_of
from likeness.ground.errors import Conflict
from likeness.ledger import LedgerEntry
from likeness.locale.marks import Told

PERSON, ADDRESS = "other_person", "address_refused"


class OtherPerson(Conflict):
    """It would turn one person into another."""

    title = "This is somebody else"

    def __init__(self, detail: Told, person: UUID) -> None:
        super().__init__(detail.sentence, many=detail.many, **detail.values)
        self.person = person


def contradiction(
    old: EmployeeProfile,
    new: EmployeeProfile,
    *,
    asked: str | None,
    kept: bool,
    refused: datetime | None,
    empty: bool = False,
) -> tuple[str, Told] | None:
    """What speaks against it, as a code and a sentence. `asked` is the address that waits for the person's word, `kept`
    whether it is somebody's own line by now, and `refused` when they said that the new address is not theirs. An `empty`
    line is one to which nobody was ever invited, and which was named by itself, not found by a number that may have been
    used again: it may become anybody's."""
    known = {email_identity(one) for one in (old.email, asked) if one}
    moves = email_identity(new.email) not in known
    if kept and not any_name_in_common(theirs(old), new.full_name):
        return PERSON, Told(
            "On the list this is somebody with another name, whose page it is by now. Give a new person an address and a"
            " number of their own."
        )
    if moves and not empty and not same_name(old.full_name, new.full_name):
        return PERSON, Told(
            "On the list this is somebody with another name and another address. If it is the same person, correct the"
            " name first and the address afterwards. A new person needs a line of their own."
        )
    if moves and refused is not None:
        return ADDRESS, Told("On {day} the person said that this address is not theirs.", day=f"{refused:%Y-%m-%d}")
    return None


def same_name(one: str, other: str) -> bool:
    """Whether two spellings are one name: in another order, without accents, or with a middle name more."""
    ours, theirs = _parts(one), _parts(other)
    fewer = min(ours, theirs, key=len)
    return ours == theirs or (len(fewer) > 1 and (ours <= theirs or theirs <= ours))


def theirs(profile: EmployeeProfile) -> str:
    """The name under which the line became somebody's own: several small corrections lead no further than one."""
    return profile.known_as or profile.full_name


def any_name_in_common(one: str, other: str) -> bool:
    """Somebody who marries keeps a first name; somebody else has neither."""
    return bool(_parts(one) & _parts(other))


def _parts(name: str) -> frozenset[str]:
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    return frozenset(re.findall(r"\w+", bare.casefold()))


def protected(session: Session, people: Collection[UUID] | None = None) -> set[UUID]:
    """Whose consent stands, of the whole company or of these people: what hangs under them is theirs. Nothing is asked of
    who withdrew, as of nobody who declined, although a hold may keep what they had handed in."""
    tenant = tenant_of(session)
    out = select(Employee.id).where(col(Employee.tenant_id) == tenant, col(Employee.opted_out_at).is_not(None))
    mine = (col(Consent.tenant_id) == tenant, col(Consent.employee_id).not_in(out), _among(Consent.employee_id, people))
    return set(session.exec(select(Consent.employee_id).where(*mine).distinct()))


def kept(session: Session, now: datetime, people: Collection[UUID] | None = None) -> set[UUID]:
    """Whose line it is by now, of the whole company or of these people: who has consented, who has been on their page, and
    everybody whose invitation is over, opened or not, because a difference between those would tell who has said no."""
    tenant = tenant_of(session)
    used = or_(col(Invitation.opened_at).is_not(None), col(Invitation.expires_at) <= now)
    mine = (col(Invitation.tenant_id) == tenant, _among(Invitation.employee_id, people))
    invited = select(Invitation.employee_id).where(*mine, used)
    # Who withdrew may have lost their invitation, which is over then.
    running = select(Invitation.employee_id).where(*mine, col(Invitation.expires_at) > now)
    out = (col(Employee.tenant_id) == tenant, col(Employee.opted_out_at).is_not(None), _among(Employee.id, people))
    over = select(Employee.id).where(*out, col(Employee.id).not_in(running))
    return protected(session, people) | set(session.exec(invited)) | set(session.exec(over))


def read_since(session: Session, employee_id: UUID) -> datetime | None:
    """When the company's list last moved this line to another address: what was before is of whoever read that one."""
    moved = (col(LedgerEntry.subject) == str(employee_id), col(LedgerEntry.event) == "address.corrected")
    return session.exec(
        select(func.max(LedgerEntry.at)).where(col(LedgerEntry.tenant_id) == tenant_of(session), *moved)
    ).one()


def _among(column: UUID, people: Collection[UUID] | None) -> ColumnElement[bool]:
    return true() if people is None else col(column) == any_(literal(list(people), ARRAY(Uuid())))


def named(
    session: Session, old: EmployeeProfile, new: EmployeeProfile, caller: str, employee_id: UUID, *, kept: bool
) -> EmployeeProfile:
    """Of somebody's own line the name from which it started goes on, whatever is corrected. Its owner may have come since
    the file was looked at: then another's name stays out."""
    if not kept:
        return replace(new, known_as=None)
    known_as = theirs(old)
    if not any_name_in_common(known_as, new.full_name):
        record(session, [employee_id], caller=caller)
        return replace(new, full_name=old.full_name, known_as=old.known_as)
    return replace(new, known_as=old.known_as if new.full_name == old.full_name else known_as)


@contextmanager
def on_record(db: Database, tenant: UUID, *, caller: str) -> Iterator[None]:
    """An attempt that is refused leaves a trace, although everything else of it is rolled back."""
    try:
        yield
    except OtherPerson as problem:
        with db.transaction(tenant) as session:
            record(session, [problem.person], caller=caller)
        raise


def record(session: Session, people: Iterable[UUID], *, caller: str) -> None:
    """Whose lines somebody tried to give to somebody else, in vain."""
    for one in people:
        ledger.record(session, "line.refused", caller=caller, subject=one)

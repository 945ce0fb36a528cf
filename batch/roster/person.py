"""One person of HR's list: what is recorded of their way, and a typing error put right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from batch.mailbox import email_identity
from batch.models import Employee, Invitation
from batch.people import employees, funnel, lines
from batch.people.employees import EmployeeProfile
from batch.people.funnel import Stage
from batch.visit import addresses
from batch.visit.addresses import AddressTaken
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.ground.errors import Conflict
from likeness.keys.keys import KeyFolder
from likeness.ledger import LedgerEntry
from likeness.locale.marks import N_
from tenants.plain import one_line


def viewed(session: Session, employee_id: UUID, now: datetime, *, caller: str) -> None:
    """Whoever looks somebody up, and on which day, is on record (CJEU C-579/21): once a day for each who does."""
    today = session.exec(
        select(LedgerEntry.id).where(
            col(LedgerEntry.tenant_id) == tenant_of(session),
            col(LedgerEntry.subject) == str(employee_id),
            col(LedgerEntry.event) == "person.viewed",
            col(LedgerEntry.caller) == caller,
            col(LedgerEntry.at) >= now.replace(hour=0, minute=0, second=0, microsecond=0),
        )
    ).first()
    if today is None:
        ledger.record(session, "person.viewed", caller=caller, subject=employee_id)


class NothingChanged(Conflict):
    """What was typed is what the list says."""

    title = "Nothing was changed"


@dataclass(frozen=True)
class CorrectedFields:
    """What HR may put right."""

    name: str
    email: str
    department: str = ""
    site: str = ""


def correct(
    session: Session, keys: KeyFolder, employee: Employee, words: CorrectedFields, now: datetime, *, caller: str
) -> bool:
    """Returns whether the new address waits for the person's own word, as after an import.

    `email` was looked at by the caller. Raises `AddressTaken`, `OtherPerson`, `NothingChanged`, `TextRefused`
    and `KeyDestroyed`.
    """
    before = employees.profile(keys, employee)
    after = replace(
        before,
        full_name=one_line(words.name, 200, "name"),
        email=words.email,
        department=one_line(words.department, 200, "department", needed=False) or None,
        site=one_line(words.site, 200, "site", needed=False) or None,
    )
    if after == before:
        raise NothingChanged("The list says so already.")
    if email_identity(after.email) != email_identity(before.email):
        other = employees.find(session, keys, after.email)
        if other is not None and other.id != employee.id:
            raise AddressTaken("Somebody else on the list has this address. Nothing was changed.")
    check_same_person(session, keys, employee, before, after, now)
    return bool(addresses.correct(session, keys, {employee.id: after}, now, caller=caller))


def check_same_person(
    session: Session,
    keys: KeyFolder,
    employee: Employee,
    old: EmployeeProfile,
    new: EmployeeProfile,
    now: datetime,
    *,
    by_number: bool = False,
) -> None:
    """Raises `OtherPerson` for what would turn one person into another. `by_number` says how the line was found."""
    waiting = addresses.pending_of(session, employee.id)
    wanted = employees.email_index(keys.index_key(employee.tenant_id), new.email)
    why = lines.contradiction(
        old, new, asked=addresses.new_address(keys, waiting) if waiting else None,
        kept=employee.id in lines.kept(session, now, [employee.id]),
        refused=addresses.refusals(session).get((employee.id, wanted)),
        empty=not by_number and not _invited(session, employee),
    )  # fmt: skip
    if why:
        raise lines.OtherPerson(why[1], employee.id)


def _invited(session: Session, employee: Employee) -> bool:
    mine = (col(Invitation.tenant_id) == employee.tenant_id, col(Invitation.employee_id) == employee.id)
    return session.exec(select(Invitation.id).where(*mine).limit(1)).first() is not None


MADE = {
    "ready": N_("Waits for the cluster"),
    "training": N_("Headshots are being made"),
    "rendering": N_("Headshots are being made"),
    "done": N_("Headshots are ready"),
    "failed": N_("No headshot passed the check"),
}
"""By the state of the newest sitting."""
TAKEN = N_("A mail server took the mail")
WRITTEN = N_("A mail was written. Whether it arrived is not told of people who were asked before")


def history(session: Session, employee_id: UUID, now: datetime) -> list[tuple[str, datetime]]:
    """The steps that HR may know of, in order. Of who opted out only that they are on the list: every further step would
    tell a no from no answer."""
    facts = funnel.facts(session, employee_id, now)
    stage, _ = funnel.place(facts, now)
    steps = [(N_("Added to the list"), facts.created_at)]
    if stage == Stage.OPTED_OUT:
        return steps
    steps += [
        (words, at)
        for words, at in (
            (N_("Invited"), facts.invited_at), (WRITTEN if facts.quiet else TAKEN, facts.delivered_at),
            (N_("Opened the link"), facts.opened_at), (N_("The mail came back"), facts.bounced_at),
        )
        if at is not None
    ]  # fmt: skip
    # As long as an invitation runs, a no looks like no answer.
    if facts.opted_out_at is None:
        steps += [
            (words, at)
            for words, at in (
                (N_("Said yes"), facts.given_at), (N_("Handed in the first photo"), facts.first_at),
                (MADE.get(facts.state or "", ""), facts.changed_at if facts.state in MADE else None),
                (N_("Released a headshot"), facts.released_at), (N_("You downloaded it"), facts.downloaded_at),
                (N_("The newest mail with a link"), facts.reminded_at if facts.given_at else None),
            )
            if at is not None
        ]  # fmt: skip
    return sorted(steps, key=lambda step: step[1])


def reminded(session: Session, employee_id: UUID, now: datetime) -> int:
    """How often the person was reminded by itself. Of who opted out nothing is said; and no time, because a mail that
    headshots are ready would tell who withdrew from who never answered."""
    facts = funnel.facts(session, employee_id, now)
    return 0 if funnel.place(facts, now)[0] == Stage.OPTED_OUT else facts.reminders or 0

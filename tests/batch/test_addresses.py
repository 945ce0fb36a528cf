"""Nobody but the person moves their visit once they have consented."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlmodel import Session, col, select

from batch import addresses, batches, consents, employees, imports, invitations, workbook
from batch.imports import ImportResult
from batch.merging import Merge, Verdict
from batch.models import AddressChange, Employee
from likeness import ledger, mail
from likeness.db import utc_now
from likeness.identity import Kind, caller_of, start_session
from likeness.kernel import Kernel
from likeness.mail import Letter
from tests.factories import give_consent, make_tenant, run_jobs

CASES = Path(__file__).parents[1] / "cases"
NADIA = ("1001", "Nadia Example", "nadia@company.example")
ELSE = "somebody-else@company.example"


def imported(kernel: Kernel, tenant: UUID, *rows: tuple[str, str, str], invite: bool = False) -> ImportResult:
    lines = ["Employee ID;Full name;E-mail", *(";".join(row) for row in rows)]
    return imported_file(kernel, tenant, "\n".join(lines).encode(), "roster.csv", invite=invite)


def imported_file(kernel: Kernel, tenant: UUID, data: bytes, name: str, *, invite: bool = False) -> ImportResult:
    with kernel.db.transaction(tenant) as session:
        batch, shown = imports.drop(
            session, kernel.keys, kernel.objects, data, name, name, None, uuid4(), utc_now()
        )  # fmt: skip
    with kernel.db.transaction(tenant) as session:
        return imports.commit(
            session, kernel.keys, kernel.objects, batch.id, digest=shown.digest, invite=invite,
            caller="member:hanna", now=utc_now(),
        )  # fmt: skip


def looked_at(kernel: Kernel, tenant: UUID, data: bytes, name: str) -> Merge:
    with kernel.db.transaction(tenant) as session:
        return Merge(session, kernel.keys, workbook.read(data))


def found(kernel: Kernel, tenant: UUID, email: str) -> Employee | None:
    with kernel.db.transaction(tenant) as session:
        return employees.find(session, kernel.keys, email)


def somebody(kernel: Kernel, *, consented: bool = True) -> Employee:
    """Number 1001, invited, signed in, and with consents unless told otherwise."""
    tenant = make_tenant(kernel, name="Lens & Co")
    imported(kernel, tenant, NADIA, invite=True)
    run_jobs(kernel, tenant=tenant)
    person = found(kernel, tenant, NADIA[2])
    assert person is not None
    if consented:
        with kernel.db.transaction(tenant) as session:
            give_consent(session, kernel, employees.get(session, person.id))
    return person


def letters(kernel: Kernel, tenant: UUID, template: str) -> list[Letter]:
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        read = [mail.read(kernel.keys, one) for one in mail.mailbox(session) if one.template == template]
    return [letter for letter in read if letter]


def token_of(letter: Letter, mark: str) -> str:
    return next(line for line in letter.text.splitlines() if mark in line).rpartition("/")[2]


def profile_of(kernel: Kernel, person: Employee) -> employees.EmployeeProfile:
    with kernel.db.transaction(person.tenant_id) as session:
        return employees.profile(kernel.keys, employees.get(session, person.id))


def events(session: Session, person: Employee) -> list[tuple[str, str]]:
    return [
        (entry.event, entry.caller)
        for entry in ledger.entries(session, subject=person.id)
        if entry.event.startswith("address.")
    ]


def test_hr_cannot_become_somebody_who_has_consented(kernel: Kernel) -> None:
    person, stranger = somebody(kernel), somebody(kernel)
    tenant = person.tenant_id
    with kernel.db.transaction(tenant) as session:
        cookie = start_session(session, Kind.EMPLOYEE, person.id, utc_now())
    result = imported_file(kernel, tenant, (CASES / "readdress.csv").read_bytes(), "readdress.csv", invite=True)
    assert (result.created, result.asked) == (0, 1)
    # Nothing has moved: the session, the address, and no link went to the new one.
    assert caller_of(kernel.db, cookie, utc_now()) is not None
    assert profile_of(kernel, person).email == NADIA[2]
    (asked,), (announced,) = letters(kernel, tenant, "address-asked"), letters(kernel, tenant, "address-announced")
    assert (asked.to, announced.to) == (NADIA[2], ELSE)
    assert ELSE in asked.text
    assert "Nadia" not in announced.text + announced.subject
    assert NADIA[2] not in announced.text
    assert "/a/" not in announced.text
    with kernel.db.transaction(tenant) as session:
        assert events(session, person) == [("address.asked", "member:hanna")]
        assert all(letter.to != ELSE for letter in letters(kernel, tenant, "link"))
        (line,) = batches.people(session, kernel.keys, person.batch_id, utc_now())
        assert line.address_waits_until is not None
    assert profile_of(kernel, stranger).email == NADIA[2]


def test_only_what_was_previewed_as_asked_is_asked_and_once(kernel: Kernel) -> None:
    person = somebody(kernel)
    data = (CASES / "readdress.csv").read_bytes()
    (judged,) = looked_at(kernel, person.tenant_id, data, "readdress.csv").judged
    assert judged.verdict == Verdict.ADDRESS_ASKED
    assert judged.before is not None
    assert judged.after is not None
    assert (judged.before.email, judged.after.email) == (NADIA[2], ELSE)
    for _ in range(2):
        imported_file(kernel, person.tenant_id, data, "readdress.csv")
    (again,) = looked_at(kernel, person.tenant_id, data, "readdress.csv").judged
    assert again.verdict == Verdict.UNCHANGED
    assert len(letters(kernel, person.tenant_id, "address-asked")) == 1


def test_the_person_confirms_from_the_old_address_and_takes_everything_along(kernel: Kernel) -> None:
    person = somebody(kernel)
    tenant = person.tenant_id
    with kernel.db.transaction(tenant) as session:
        cookie = start_session(session, Kind.EMPLOYEE, person.id, utc_now())
    imported(kernel, tenant, (NADIA[0], NADIA[1], ELSE))
    old_link = token_of(letters(kernel, tenant, "invitation")[0], "/i/")
    token = token_of(letters(kernel, tenant, "address-asked")[0], "/a/")
    with kernel.db.transaction(tenant) as session:
        addresses.confirm(session, kernel.keys, addresses.look_up(session, token), utc_now())
    assert profile_of(kernel, person).email == ELSE
    assert caller_of(kernel.db, cookie, utc_now()) is None
    assert letters(kernel, tenant, "address-moved")[0].to == NADIA[2]
    (link,) = letters(kernel, tenant, "link")
    assert link.to == ELSE
    with kernel.db.transaction(tenant) as session:
        with pytest.raises(invitations.LinkUnknown):
            invitations.look_up(session, old_link, utc_now())
        with pytest.raises(addresses.ChangeUnknown):
            addresses.look_up(session, token)
        assert invitations.accept(session, token_of(link, "/i/"), utc_now()) == person.id
        assert consents.is_current(session, person.id)
        assert events(session, person)[-1] == ("address.confirmed", f"employee:{person.id}")


def test_who_is_signed_in_stays_signed_in_when_they_confirm(kernel: Kernel) -> None:
    person = somebody(kernel)
    with kernel.db.transaction(person.tenant_id) as session:
        cookies = [start_session(session, Kind.EMPLOYEE, person.id, utc_now()) for _ in range(2)]
    imported(kernel, person.tenant_id, (NADIA[0], NADIA[1], ELSE))
    here = caller_of(kernel.db, cookies[0], utc_now())
    assert here is not None
    with kernel.db.transaction(person.tenant_id) as session:
        change = addresses.pending_of(session, person.id)
        assert change is not None
        addresses.confirm(session, kernel.keys, change, utc_now(), keep=here.session)
    assert caller_of(kernel.db, cookies[0], utc_now()) == here
    assert caller_of(kernel.db, cookies[1], utc_now()) is None


def test_a_no_keeps_everything_and_the_same_address_is_not_asked_about_again(kernel: Kernel) -> None:
    person = somebody(kernel)
    tenant = person.tenant_id
    imported(kernel, tenant, (NADIA[0], NADIA[1], ELSE))
    token = token_of(letters(kernel, tenant, "address-asked")[0], "/a/")
    with kernel.db.transaction(tenant) as session:
        addresses.refuse(session, addresses.look_up(session, token), utc_now())
    again = imported(kernel, tenant, (NADIA[0], NADIA[1], ELSE))
    assert again.asked == 0
    with kernel.db.transaction(tenant) as session:
        batch = batches.list_batches(session)[0]
        problems = imports.preview(session, kernel.keys, kernel.objects, batch.id).reading.problems
    assert [problem.code for problem in problems] == ["address_refused"]
    assert len(letters(kernel, tenant, "address-asked")) == 1
    assert profile_of(kernel, person).email == NADIA[2]


def test_another_answer_of_the_list_replaces_the_question_or_takes_it_back(kernel: Kernel) -> None:
    person = somebody(kernel)
    tenant = person.tenant_id
    for email in (ELSE, "third@company.example"):
        imported(kernel, tenant, (NADIA[0], NADIA[1], email))
        run_jobs(kernel, tenant=tenant)
    newest = letters(kernel, tenant, "address-asked")[0]
    assert "third@" in newest.text
    imported(kernel, tenant, (*NADIA[:2], NADIA[2].upper()))
    with kernel.db.transaction(tenant) as session:
        assert addresses.pending(session) == {}
        with pytest.raises(addresses.ChangeUnknown):
            addresses.look_up(session, token_of(newest, "/a/"))
        outcomes = [change.outcome for change in session.exec(select(AddressChange).order_by(col(AddressChange.asked_at)))
                    if change.tenant_id == tenant]  # fmt: skip
    assert outcomes == ["replaced", "taken back"]


def test_before_consent_an_address_is_corrected_and_nothing_carries_over(kernel: Kernel) -> None:
    person = somebody(kernel, consented=False)
    tenant = person.tenant_id
    first = token_of(letters(kernel, tenant, "invitation")[0], "/i/")
    with kernel.db.transaction(tenant) as session:
        invitations.accept(session, first, utc_now())
        cookie = start_session(session, Kind.EMPLOYEE, person.id, utc_now())
    result = imported(kernel, tenant, (NADIA[0], NADIA[1], ELSE))
    assert (result.updated, result.asked) == (1, 0)
    assert caller_of(kernel.db, cookie, utc_now()) is None
    newest = letters(kernel, tenant, "invitation")[0]
    assert newest.to == ELSE
    with kernel.db.transaction(tenant) as session:
        with pytest.raises(invitations.LinkUnknown):
            invitations.look_up(session, first, utc_now())
        assert events(session, person) == [("address.corrected", "member:hanna")]
        assert employees.stage(session, person.id) == "invited"


@pytest.mark.parametrize("consented", [False, True])
def test_a_number_that_was_given_to_somebody_else_is_a_refused_row(kernel: Kernel, consented: bool) -> None:
    tenant = make_tenant(kernel)
    imported_file(kernel, tenant, (CASES / "site_a.xlsx").read_bytes(), "site_a.xlsx", invite=True)
    if consented:
        with kernel.db.transaction(tenant) as session:
            for one in session.exec(select(Employee).where(col(Employee.tenant_id) == tenant)).all():
                give_consent(session, kernel, one)
    result = imported_file(kernel, tenant, (CASES / "site_b.xlsx").read_bytes(), "site_b.xlsx", invite=True)
    assert (result.created, result.updated, result.asked) == (0, 0, 0)
    assert [problem.code for problem in result.problems] == ["other_person", "other_person"]
    assert found(kernel, tenant, "anna.alt@com.example") is not None
    assert found(kernel, tenant, "carla.neu@com.example") is None


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("Nadia Example", Verdict.CORRECTED),
        ("EXAMPLE, Nadia", Verdict.CORRECTED),
        ("Nadia M. Example", Verdict.CORRECTED),
        ("Nadia Married", Verdict.REFUSED),
        ("Nadia", Verdict.REFUSED),
    ],
)
def test_which_names_are_one_name(kernel: Kernel, name: str, verdict: Verdict) -> None:
    person = somebody(kernel, consented=False)
    data = f"Employee ID;Full name;E-mail\n1001;{name};{ELSE}".encode()
    (judged,) = looked_at(kernel, person.tenant_id, data, "names.csv").judged
    assert judged.verdict == verdict


def test_an_address_that_was_given_to_somebody_else_is_a_refused_row_once_there_is_consent(kernel: Kernel) -> None:
    person = somebody(kernel)
    married = imported(kernel, person.tenant_id, (NADIA[0], "Nadia Married", NADIA[2]))
    other = imported(kernel, person.tenant_id, ("", "Carla Neu", NADIA[2]))
    assert (married.updated, other.updated) == (1, 0)
    assert [problem.code for problem in other.problems] == ["other_person"]


def test_an_address_that_waits_is_given_to_nobody_else(kernel: Kernel) -> None:
    person = somebody(kernel)
    imported(kernel, person.tenant_id, (NADIA[0], NADIA[1], ELSE))
    for number in ("1002", ""):
        result = imported(kernel, person.tenant_id, (number, "Bo Linde", ELSE))
        assert result.created == 0
        assert [problem.severity for problem in result.problems] == ["error"]


def test_a_question_of_another_company_does_not_exist(kernel: Kernel) -> None:
    person, stranger = somebody(kernel), somebody(kernel)
    imported(kernel, person.tenant_id, (NADIA[0], NADIA[1], ELSE))
    token = token_of(letters(kernel, person.tenant_id, "address-asked")[0], "/a/")
    with kernel.db.transaction(stranger.tenant_id) as session:
        with pytest.raises(addresses.ChangeUnknown):
            addresses.look_up(session, token)
        assert addresses.pending(session) == {}
        assert addresses.silent(session, utc_now() + timedelta(days=30)) == []

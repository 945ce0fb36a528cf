"""Nobody but the person moves their visit once they have consented."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlmodel import Session, col, select

from batch.models import AddressChange, Employee
from batch.people import employees
from batch.reading import workbook
from batch.roster import batches, imports
from batch.roster.imports import ImportResult
from batch.roster.merging import Merge, RowVerdict
from batch.sittings import sittings
from batch.visit import addresses, consents, invitations
from compliance.erasure import erasures
from compliance.proof import whose
from compliance.rights import attending
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.identity import Kind, LinkUnknown, caller_of, start_session
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.mail.mail import Letter
from tenants.models import Role
from tests.factories import give_consent, make_tenant, run_jobs, sign_in_member

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


@pytest.mark.parametrize("alike", ["stra\u00df@company.example", "\u017ftrass@company.example"])
def test_hr_cannot_become_by_an_address_that_only_looks_the_same(kernel: Kernel, app: Litestar, alike: str) -> None:
    """A mail server keeps two mailboxes, so they are two for us: it is asked about, and nothing goes to the other one."""
    own = "strass@company.example"
    tenant, others = make_tenant(kernel), make_tenant(kernel)
    for one in (tenant, others):
        imported(kernel, one, (*NADIA[:2], own), invite=True)
        run_jobs(kernel, tenant=one)
    person = found(kernel, tenant, own)
    assert person is not None
    with kernel.db.transaction(tenant) as session:
        give_consent(session, kernel, person)
    assert imported(kernel, tenant, (*NADIA[:2], alike)).asked == 1
    with TestClient(app) as hr:
        sign_in_member(hr, kernel, tenant, Role.HR)
        patch = hr.patch(f"/api/v1/employees/{person.roster_id}", json={"name": NADIA[1], "email": alike})
        assert patch.json() == {"waits_for_their_word": True}
    assert profile_of(kernel, person).email == own
    (asked,) = letters(kernel, tenant, "address-asked")
    assert (asked.to, alike in asked.text) == (own, True)
    change = addresses_waiting(kernel, person)
    with kernel.db.transaction(tenant) as session:
        assert addresses.run_out(session, kernel.keys, session.merge(change), utc_now()), "the new one gets an empty page"
    assert imported(kernel, others, (*NADIA[:2], alike)).asked == 0
    (told,) = letters(kernel, others, "address-corrected")
    assert told.to == own, "before there is consent the old address hears of it"


def test_a_file_with_two_addresses_that_the_list_cannot_keep_apart_is_told_so(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    data = "Full name;E-mail\nAda Strass;strass@company.example\nBo Stra\u00df;stra\u00df@company.example"
    merge = looked_at(kernel, tenant, data.encode(), "roster.csv")
    assert [problem.code for problem in merge.reading.problems] == ["duplicate_email"] * 2


def addresses_waiting(kernel: Kernel, person: Employee) -> AddressChange:
    with kernel.db.transaction(person.tenant_id) as session:
        return addresses.pending(session)[person.id]


def test_a_file_that_says_the_new_address_again_takes_no_question_back(kernel: Kernel) -> None:
    person, other = somebody(kernel), somebody(kernel)
    tenant = person.tenant_id
    head = "Employee ID;Full name;E-mail;Department\n"
    for department in ("Design", "Sales"):
        data = f"{head}{NADIA[0]};{NADIA[1]};{ELSE};{department}".encode()
        imported_file(kernel, tenant, data, "roster.csv")
        run_jobs(kernel, tenant=tenant)
    assert addresses_waiting(kernel, person).outcome is None
    assert (profile_of(kernel, person).email, profile_of(kernel, person).department) == (NADIA[2], "Sales")
    assert len(letters(kernel, tenant, "address-asked")) == 1
    assert profile_of(kernel, other).department is None


def test_only_what_was_previewed_as_asked_is_asked_and_once(kernel: Kernel) -> None:
    person = somebody(kernel)
    data = (CASES / "readdress.csv").read_bytes()
    (judged,) = looked_at(kernel, person.tenant_id, data, "readdress.csv").judged
    assert judged.verdict == RowVerdict.ADDRESS_ASKED
    assert judged.before is not None
    assert judged.after is not None
    assert (judged.before.email, judged.after.email) == (NADIA[2], ELSE)
    for _ in range(2):
        imported_file(kernel, person.tenant_id, data, "readdress.csv")
    (again,) = looked_at(kernel, person.tenant_id, data, "readdress.csv").judged
    assert again.verdict == RowVerdict.UNCHANGED
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
        with pytest.raises(LinkUnknown):
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


def test_an_old_address_hears_of_the_change_and_of_the_answer_at_the_new_one(kernel: Kernel) -> None:
    """HR cannot have somebody answered for unseen: whoever reads the first mailbox is told of both."""
    person, stranger = somebody(kernel, consented=False), somebody(kernel, consented=False)
    tenant = person.tenant_id
    imported(kernel, tenant, (NADIA[0], NADIA[1], ELSE))
    (told,) = letters(kernel, tenant, "address-corrected")
    assert told.to == NADIA[2]
    assert "somebody else could answer in your name" in " ".join(told.text.split())
    assert ELSE not in told.text, "the old mailbox learns no other address"
    assert letters(kernel, tenant, "address-agreed") == []
    for _ in range(2):
        with kernel.db.transaction(tenant) as session:
            give_consent(session, kernel, employees.get(session, person.id))
    (agreed,) = letters(kernel, tenant, "address-agreed")
    assert agreed.to == NADIA[2]
    assert ELSE not in agreed.text
    with kernel.db.transaction(tenant) as session:
        (change,) = addresses.corrected(session, person.id)
        assert addresses.new_address(kernel.keys, change) == NADIA[2]
        assert addresses.pending(session) == {}
    # Where no link had gone, nobody is told, and so it is where nothing was changed.
    quiet = make_tenant(kernel)
    imported(kernel, quiet, NADIA)
    imported(kernel, quiet, (NADIA[0], NADIA[1], ELSE))
    assert letters(kernel, quiet, "address-corrected") == letters(kernel, stranger.tenant_id, "address-corrected") == []


def test_an_old_address_hears_of_the_change_although_its_invitation_was_taken_back_first(kernel: Kernel) -> None:
    person, stranger = somebody(kernel, consented=False), somebody(kernel, consented=False)
    tenant, third = person.tenant_id, "third@company.example"
    with kernel.db.transaction(tenant) as session:
        assert invitations.revoke(session, [person.id], utc_now()) == 1
    imported(kernel, tenant, (NADIA[0], NADIA[1], ELSE))
    assert [letter.to for letter in letters(kernel, tenant, "address-corrected")] == [NADIA[2]]
    # Nothing had gone to the second address, so a third in its place concerns nobody there.
    imported(kernel, tenant, (NADIA[0], NADIA[1], third))
    assert [letter.to for letter in letters(kernel, tenant, "address-corrected")] == [NADIA[2]]
    with kernel.db.transaction(tenant) as session:
        invitations.invite(session, employees.get(session, person.id), utc_now())
    assert letters(kernel, tenant, "invitation")[0].to == third
    with kernel.db.transaction(tenant) as session:
        give_consent(session, kernel, employees.get(session, person.id))
    assert [letter.to for letter in letters(kernel, tenant, "address-agreed")] == [NADIA[2]]
    assert letters(kernel, stranger.tenant_id, "address-corrected") == []


def test_an_old_address_reads_no_name_but_its_own(kernel: Kernel) -> None:
    """HR corrects name and address together: the line may be somebody else's from then on."""
    person = somebody(kernel, consented=False)
    tenant = person.tenant_id
    with kernel.db.transaction(tenant) as session:
        employee = employees.get(session, person.id)
        other = replace(employees.profile(kernel.keys, employee), full_name="Quentin Zorn", email=ELSE)
        addresses.correct(session, kernel.keys, {person.id: other}, utc_now(), caller="member:x")
    told = letters(kernel, tenant, "address-corrected")
    with kernel.db.transaction(tenant) as session:
        give_consent(session, kernel, employees.get(session, person.id))
    told += letters(kernel, tenant, "address-agreed")
    assert [letter.to for letter in told] == [NADIA[2]] * 2
    assert all(NADIA[1] in letter.text and "Quentin" not in letter.text for letter in told)


def test_a_line_that_went_on_after_a_withdrawal_has_an_old_address_too(kernel: Kernel) -> None:
    person, stranger = somebody(kernel, consented=False), somebody(kernel)
    tenant = person.tenant_id
    link = token_of(letters(kernel, tenant, "invitation")[0], "/i/")
    with kernel.db.transaction(tenant) as session:
        invitations.accept(session, link, utc_now())
        give_consent(session, kernel, employees.get(session, person.id))
        sittings.withdraw(session, person.id, utc_now())
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=tenant)
    line = found(kernel, tenant, NADIA[2])
    assert line is not None
    assert line.id != person.id
    with kernel.db.transaction(tenant) as session:
        invitations.revoke(session, [line.id], utc_now())
    imported(kernel, tenant, (NADIA[0], NADIA[1], ELSE))
    assert [letter.to for letter in letters(kernel, tenant, "address-corrected")] == [NADIA[2]]
    assert letters(kernel, stranger.tenant_id, "address-corrected") == []


def test_what_becomes_of_who_withdrew_is_told_where_they_withdrew(kernel: Kernel) -> None:
    """HR that enters an address of its own before the erasure is done reads neither that mail nor the certificate."""
    person = somebody(kernel)
    tenant, old = person.tenant_id, profile_of(kernel, person)
    with kernel.db.transaction(tenant) as session:
        waits = replace(old, email="waits@zebra.example")
        assert addresses.correct(session, kernel.keys, {person.id: waits}, utc_now(), caller="hr") == {person.id}
        consents.withdraw(session, person.id, utc_now())
        assert addresses.pending(session) == {}, "nothing is asked of them any more"
        # They ask for a link, and HR is quicker than the mail.
        invitations.link_to_oneself(session, person.id, utc_now() + timedelta(minutes=3), caller="employee:x")
        entered = replace(old, email="entered@zebra.example")
        assert addresses.correct(session, kernel.keys, {person.id: entered}, utc_now(), caller="hr") == set()
        other = replace(entered, full_name="Somebody New")
        assert addresses.correct(session, kernel.keys, {person.id: other}, utc_now(), caller="hr") == set()
    run_jobs(kernel, tenant=tenant)
    assert letters(kernel, tenant, "link") == []
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=tenant, ahead=timedelta(minutes=11))
    (told,) = letters(kernel, tenant, "withdrawn")
    assert (told.to, "Hello Nadia Example" in told.text, "Somebody" in told.text) == (old.email, True, False)
    receipt = token_of(told, "/gone/").partition("?")[0]
    with kernel.db.transaction(tenant) as session:
        erasure = erasures.by_receipt(session, receipt)
        assert erasure.subject_commitment == whose.commitment(receipt, old.full_name, old.email)
    line = found(kernel, tenant, "entered@zebra.example")
    assert line is not None
    assert line.id != person.id
    assert profile_of(kernel, line).receipt is None


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
        with pytest.raises(LinkUnknown):
            invitations.look_up(session, first, utc_now())
        assert events(session, person) == [("address.corrected", "member:hanna")]
        # They may have said no, and nothing would be sent to them then (`batch/visit/mailing.py`).
        assert employees.stage(session, person.id) == "delivered"


@pytest.mark.parametrize("consented", [False, True])
def test_hr_cannot_become_by_a_number_that_a_workbook_uses_again(kernel: Kernel, consented: bool) -> None:
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
    with kernel.db.transaction(tenant) as session:
        refused = [entry.subject for entry in ledger.entries(session) if entry.event == "line.refused"]
    # Once when the file was shown, once when it was imported.
    assert sorted(refused) == sorted(refused[:2] * 2)
    assert len(set(refused)) == 2


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("Nadia Example", RowVerdict.CORRECTED),
        ("EXAMPLE, Nadia", RowVerdict.CORRECTED),
        ("Nadia M. Example", RowVerdict.CORRECTED),
        ("Nadia Married", RowVerdict.REFUSED),
        ("Nadia", RowVerdict.REFUSED),
    ],
)
def test_which_names_are_one_name(kernel: Kernel, name: str, verdict: RowVerdict) -> None:
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


def test_hr_cannot_become_by_a_correction_by_hand(kernel: Kernel, app: Litestar) -> None:
    person, stranger = somebody(kernel), somebody(kernel)
    tenant, line = person.tenant_id, person.roster_id
    app = app
    with TestClient(app) as hr, TestClient(app) as others:
        sign_in_member(hr, kernel, tenant, Role.HR)
        sign_in_member(others, kernel, stranger.tenant_id, Role.HR)

        def patch(name: str, email: str) -> Any:
            return hr.patch(f"/api/v1/employees/{line}", json={"name": name, "email": email})

        assert others.patch(f"/api/v1/employees/{line}", json={"name": "X Y", "email": ELSE}).status_code == 404
        assert patch("Carla Neu", NADIA[2]).json()["type"] == "urn:likeness:other-person"
        assert patch("Carla Neu", ELSE).status_code == 409
        assert patch("Nadia Married", ELSE).status_code == 409
        page = hr.post(f"/desk/people/{line}/correct", data={"name": "Carla Neu", "email": NADIA[2]})
        assert page.status_code == 409
        assert patch(NADIA[1], ELSE).json() == {"waits_for_their_word": True}
        with kernel.db.transaction(tenant) as session:
            addresses.refuse(session, addresses.pending(session)[person.id], utc_now())
        assert patch(NADIA[1], ELSE).status_code == 409
        # Whoever marries keeps a name, and is told.
        assert patch("Nadia Married", NADIA[2]).status_code == 200
    (told,) = letters(kernel, tenant, "name-corrected")
    assert (told.to, "Nadia Married" in told.text) == (NADIA[2], True)
    with kernel.db.transaction(tenant) as session:
        what = [entry.event for entry in ledger.entries(session, subject=person.id)]
    assert (what.count("line.refused"), what.count("name.corrected")) == (5, 1)
    assert letters(kernel, stranger.tenant_id, "name-corrected") == []


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


def test_both_addresses_are_reminded_twice_before_the_silence_ends_and_every_link_goes_on(kernel: Kernel) -> None:
    person, stranger = somebody(kernel), somebody(kernel)
    tenant, now = person.tenant_id, utc_now()
    imported(kernel, tenant, (NADIA[0], NADIA[1], ELSE))
    first = token_of(letters(kernel, tenant, "address-asked")[0], "/a/")

    def after(days: float) -> tuple[list[str], list[str]]:
        for _ in range(2):  # A sweep that comes twice reminds once.
            addresses.remind(kernel, now + timedelta(days=days))
        asked, announced = (letters(kernel, tenant, name) for name in ("address-asked", "address-announced"))
        assert {token_of(one, "/a/") for one in asked} == {first}, "an earlier mail's link leads nowhere"
        assert "/a/" not in "".join(one.text for one in announced)
        return [one.to for one in asked], [one.to for one in announced]

    for days, mails in ((6.9, 1), (7.1, 2), (11.9, 2), (12.1, 3), (13.9, 3), (15, 3)):
        assert after(days) == ([NADIA[2]] * mails, [ELSE] * mails), days
    assert letters(kernel, stranger.tenant_id, "address-asked") == []


def test_nobody_is_reminded_of_what_they_have_answered(kernel: Kernel) -> None:
    person = somebody(kernel)
    tenant = person.tenant_id
    imported(kernel, tenant, (NADIA[0], NADIA[1], ELSE))
    token = token_of(letters(kernel, tenant, "address-asked")[0], "/a/")
    with kernel.db.transaction(tenant) as session:
        addresses.refuse(session, addresses.look_up(session, token), utc_now())
    addresses.remind(kernel, utc_now() + timedelta(days=8))
    assert len(letters(kernel, tenant, "address-asked")) == 1


def test_after_a_sweep_that_did_not_run_for_days_one_reminder_is_enough(kernel: Kernel) -> None:
    person = somebody(kernel)
    tenant = person.tenant_id
    imported(kernel, tenant, (NADIA[0], NADIA[1], ELSE))
    run_jobs(kernel, tenant=tenant)
    for _ in range(3):
        addresses.remind(kernel, utc_now() + timedelta(days=13))
    assert len(letters(kernel, tenant, "address-asked")) == 2

from __future__ import annotations

from uuid import uuid4

import pytest

from batch.models import Employee, Purpose, Sitting, SittingState
from batch.people import employees
from batch.people.funnel import Stage
from batch.visit import consents, notices
from compliance.rights import attending
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.ground.errors import Gone
from likeness.kernel import Kernel
from likeness.mail import mail
from tenants import credits, tenants
from tenants.plain import TextRefused
from tests.factories import give_consent, make_employee, make_tenant, run_jobs

BOTH = {Purpose.HEADSHOTS, Purpose.BIOMETRIC}


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    with kernel.db.transaction(make_tenant(kernel, with_credits=3)) as session:
        return make_employee(session, kernel)


@pytest.fixture
def bob(kernel: Kernel) -> Employee:
    """Of another company."""
    with kernel.db.transaction(make_tenant(kernel, with_credits=3)) as session:
        return make_employee(session, kernel)


def test_each_purpose_is_stored_alone_and_both_are_needed(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        notice = notices.current(session, "en")
        with pytest.raises(consents.ConsentMissing):
            consents.require(session, alice.id)
        consents.give(session, kernel.keys, alice.id, {Purpose.HEADSHOTS}, notice.id, "Nadia Ümit", utc_now())
        assert consents.standing(session, alice.id) == {Purpose.HEADSHOTS}
        assert not consents.is_current(session, alice.id)
        consents.give(session, kernel.keys, alice.id, {Purpose.BIOMETRIC}, notice.id, "Nadia Ümit", utc_now())
        assert consents.require(session, alice.id).purpose == Purpose.HEADSHOTS
        assert employees.stage(session, alice.id) == Stage.CONSENTED


def test_the_same_answer_twice_is_one_consent_one_credit_one_receipt(kernel: Kernel, alice: Employee) -> None:
    for _ in range(2):
        with kernel.db.transaction(alice.tenant_id) as session:
            given = give_consent(session, kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert len(consents.of(session, alice.id)) == len(given) == 2
        assert credits.balance(session) == 2
        (receipt,) = mail.mailbox(session)
        letter = mail.read(kernel.keys, receipt)
        assert letter is not None
        notice = notices.current(session, "en")
        assert notice.digest in letter.text
        assert notice.text in letter.text
        assert all(words in letter.text for words in consents.words(session, "en").values())
        assert [e.event for e in ledger.entries(session, subject=alice.id)].count("consent.given") == 2
        assert consents.signature(kernel.keys, given[0]) == "Nadia Ümit"
        assert b"Nadia" not in given[0].signature


@pytest.mark.parametrize("purposes", [set(), {"marketing"}, {Purpose.HEADSHOTS, "sale"}])
def test_nothing_else_can_be_agreed_to(kernel: Kernel, alice: Employee, purposes: set[str]) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        notice = notices.current(session, "en")
        with pytest.raises(consents.PurposeMissing):
            consents.give(session, kernel.keys, alice.id, purposes, notice.id, "Nadia Ümit", utc_now())
        assert consents.of(session, alice.id) == []


@pytest.mark.parametrize("name", ["", "  ", "a\0", "x" * 1_000_000, "\ud800"])
def test_a_signature_is_a_name(kernel: Kernel, alice: Employee, name: str) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        notice = notices.current(session, "en")
        with pytest.raises(TextRefused):
            consents.give(session, kernel.keys, alice.id, BOTH, notice.id, name, utc_now())


def test_a_changed_notice_blocks_what_is_new_until_it_is_answered(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        give_consent(session, kernel, alice)
        old = notices.current(session, "en")
    with kernel.db.transaction(alice.tenant_id) as session:
        tenants.change(session, caller="system", source_days=2)
    with kernel.db.transaction(alice.tenant_id) as session:
        with pytest.raises(consents.ConsentMissing):
            consents.require(session, alice.id)
        # What is under way rests on the earlier answer and goes on.
        assert consents.standing(session, alice.id) == BOTH
        with pytest.raises(consents.NoticeOutdated):
            consents.give(session, kernel.keys, alice.id, BOTH, old.id, "Nadia Ümit", utc_now())
        give_consent(session, kernel, alice)
        assert consents.require(session, alice.id).notice_id != old.id
        assert credits.balance(session) == 2


@pytest.mark.parametrize("way", [consents.decline, consents.withdraw])
def test_no_and_no_longer_look_the_same_to_hr(kernel: Kernel, alice: Employee, way: object) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        if way is consents.withdraw:
            give_consent(session, kernel, alice)
        else:
            credits.reserve(session, alice.id)
        session.add(Sitting(tenant_id=alice.tenant_id, employee_id=alice.id, seed=1, fence=4))
        session.flush()
        way(session, alice.id, utc_now())  # type: ignore[operator]
        way(session, alice.id, utc_now())  # type: ignore[operator]
    with kernel.db.transaction(alice.tenant_id) as session:
        assert employees.stage(session, alice.id) == Stage.OPTED_OUT
        assert consents.standing(session, alice.id) == set()
        assert credits.balance(session) == 3
        sittings = session.execute(Sitting.__table__.select()).mappings().all()  # type: ignore[attr-defined]
        assert [(one["state"], one["fence"]) for one in sittings] == [(SittingState.CANCELLED, 5)]
        events = [entry.event for entry in ledger.entries(session, subject=alice.id)]
        assert sum(event in ("consent.declined", "consent.withdrawn") for event in events) == 1
        assert events.count("sitting.cancelled") == 1
    if way is consents.withdraw:
        # What was agreed to goes first, under another id of the person; HR's own id of the line stays.
        with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(consents.BeingDeleted):
            give_consent(session, kernel, alice)
        attending.attend(kernel, utc_now())
        run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        # Whoever changes their mind may.
        again = employees.on_roster(session, alice.roster_id)
        give_consent(session, kernel, again)
        assert employees.stage(session, again.id) == Stage.CONSENTED
        assert credits.balance(session) == 2


def test_a_finished_sitting_keeps_its_credit(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        give_consent(session, kernel, alice)
        session.add(Sitting(tenant_id=alice.tenant_id, employee_id=alice.id, seed=1, state=SittingState.DONE))
        session.flush()
        consents.withdraw(session, alice.id, utc_now())
        assert credits.balance(session) == 2


def test_another_companys_people_and_notices_do_not_exist(kernel: Kernel, alice: Employee, bob: Employee) -> None:
    with kernel.db.transaction(bob.tenant_id) as session:
        foreign = notices.current(session, "en")
        give_consent(session, kernel, bob)
    with kernel.db.transaction(alice.tenant_id) as session:
        own = notices.current(session, "en")
        for employee_id, notice_id in (
            (bob.id, own.id),
            (alice.id, foreign.id),
            (uuid4(), own.id),
            (alice.id, uuid4()),
        ):
            with pytest.raises((employees.EmployeeMissing, notices.NoticeMissing)):
                consents.give(session, kernel.keys, employee_id, BOTH, notice_id, "Nadia Ümit", utc_now())
        with pytest.raises(employees.EmployeeMissing):
            consents.withdraw(session, bob.id, utc_now())
        assert consents.of(session, bob.id) == []
        with pytest.raises(consents.ConsentMissing):
            consents.require(session, bob.id)
    with kernel.db.transaction(bob.tenant_id) as session:
        assert consents.standing(session, bob.id) == BOTH


def test_an_erased_person_cannot_consent(kernel: Kernel, alice: Employee) -> None:
    kernel.keys.destroy(employees.profile_ref(alice.tenant_id, alice.id), utc_now())
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(Gone):
        give_consent(session, kernel, alice)

"""Details that can be erased, checkpoints that are signed in time, and the receipts that carry them."""

from __future__ import annotations

import json
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from sqlmodel import Session, select

from compliance.proof import certificates, checkpointing, signing, verifier
from likeness import checkpoints, ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.ledger import LedgerDetail
from likeness.mail.mail import Mail, read
from tests.compliance.people import erase, full_person
from tests.factories import give_consent, make_employee, make_tenant, run_jobs
from tests.handed_in import make_person


def signed(kernel: Kernel, tenant: UUID) -> list[int]:
    with kernel.db.transaction(tenant) as session:
        return [one.size for one in checkpoints.of(session)]


def test_a_log_is_signed_at_once_and_then_every_hour_in_which_it_grew(kernel: Kernel) -> None:
    tenant, now = make_tenant(kernel), utc_now()

    def pass_by(ahead: timedelta) -> int:
        checkpointing.ask_for(kernel, tenant, now + ahead)
        run_jobs(kernel, tenant=tenant)
        return len(signed(kernel, tenant))

    assert pass_by(timedelta()) == 1
    with kernel.db.transaction(tenant) as session:
        ledger.record(session, "test.happened")
    assert pass_by(timedelta(minutes=30)) == 1
    assert pass_by(timedelta(minutes=70)) == 2
    assert pass_by(timedelta(minutes=140)) == 2, "nothing happened"
    sizes = signed(kernel, tenant)
    kept = kernel.db.outside.checkpoints(tenant)
    assert [verifier.checkpoint(note, verifier.Pin(signing.published(kernel)))["size"] for note in kept] == sizes


def test_a_detail_is_sealed_committed_and_goes_with_the_person_while_the_log_stays_whole(kernel: Kernel) -> None:
    alice, bob = full_person(kernel), make_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        known = {one.sequence: one for one in session.exec(select(LedgerDetail)) if one.employee_id == alice.id}
        given = [one for one in ledger.entries(session, subject=alice.id) if one.event == "consent.given"]
        assert set(known) >= {one.sequence for one in given}
        key = kernel.keys.open(KeyRef(alice.tenant_id, alice.id, KeyClass.LOG_DETAIL))
        opened = [key.open(known[one.sequence].sealed, ledger.CONTEXT) for one in given]
        told = [json.loads(one[32:])["purpose"] for one in opened]
        assert set(told) == {"headshots", "biometric"}
        assert all(one.encode() not in known[at.sequence].sealed for one, at in zip(told, given, strict=True))
        commits = [one.detail_commit for one in given]
        assert commits == [sha256(one).digest() for one in opened], "the salt is in front of the words"
        assert len(set(commits)) == len(given)
    erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert session.exec(select(LedgerDetail)).all() == []
        still = [one for one in ledger.entries(session, subject=alice.id) if one.event == "consent.given"]
        assert [one.detail_commit for one in still] == commits
        ledger.verify(session)
    with kernel.db.transaction(bob.tenant_id) as session:
        assert [one for one in session.exec(select(LedgerDetail)) if one.employee_id == bob.id]


@pytest.mark.parametrize(
    "said", [{"purpose": "Nadia Ümit"}, {"purpose": 3}, {"purpose": "x", "more": "y"}, {}, {"purpose": "a@b.example"}]
)
def test_a_detail_of_another_type_is_refused(kernel: Kernel, said: dict[str, str | int | bool]) -> None:
    alice = make_person(kernel)
    whole = {"purpose": "headshots", "notice": "v1", "language": "en"}
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(ValueError, match="tells"):
        ledger.record(session, "consent.given", subject=alice.id, detail=(kernel.keys, whole | said if said else {}))


def receipt_of(session: Session, kernel: Kernel, person: UUID) -> str:
    (mail,) = session.exec(select(Mail).where(Mail.owner_id == person, Mail.template == "receipt")).all()
    return read(kernel.keys, mail).text


def test_a_consent_receipt_makes_its_reader_a_witness(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    checkpointing.ask_for(kernel, tenant, utc_now())
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        alice = make_employee(session, kernel)
        give_consent(session, kernel, alice)
    with kernel.db.transaction(tenant) as session:
        text = receipt_of(session, kernel, alice.id)
        point = checkpoints.newest(session)
    assert point is not None
    fingerprint = signing.signer(kernel, utc_now()).kid
    assert fingerprint in text
    note = text[text.index(point.note.splitlines()[0]) :]
    lines = [line.strip() for line in note.splitlines()]
    copied = "\n".join(lines[: point.note.count("\n")]) + "\n"
    assert verifier.checkpoint(copied, verifier.Pin(signing.published(kernel)))["size"] == point.size


def test_keys_that_signed_before_stay_published(kernel: Kernel) -> None:
    now = utc_now()
    before = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    kid = certificates.fingerprint(before)
    signing.signer(kernel, now)
    kernel.db.outside.keep_signer(kid, before, now - timedelta(days=400))
    keys = signing.published(kernel)["keys"]
    assert keys[0]["kid"] == signing.signer(kernel, utc_now()).kid
    assert kid in [one["kid"] for one in keys]
    assert all("d" not in one for one in keys)
    (kernel.settings.tombstones_path() / "signers" / f"{kid}.json").unlink()

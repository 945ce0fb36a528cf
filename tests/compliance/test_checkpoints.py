"""Details that can be erased, checkpoints that are signed in time, and the receipts that carry them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from sqlmodel import Session, col, select

from compliance.proof import certificates, checkpointing, signing, verifier
from likeness import checkpoints, ledger
from likeness.evidence import merkle, notes
from likeness.ground.db import utc_now
from likeness.jobs.jobs import Job
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.ledger import LedgerBroken, LedgerDetail
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


def test_no_checkpoint_is_dated_before_the_one_that_was_signed_meanwhile(kernel: Kernel) -> None:
    """Two processes sign: the one that looked at the clock first may come last."""
    tenant, now = make_tenant(kernel), utc_now()
    for at in (now, now - timedelta(seconds=90)):
        with kernel.db.transaction(tenant) as session:
            ledger.record(session, "test.happened")
        with kernel.db.transaction(tenant) as session:
            checkpoints.sign(session, signing.signer(kernel, now), at)
    pin = verifier.Pin(signing.published(kernel))
    points = [verifier.checkpoint(note, pin) for note in kernel.db.outside.checkpoints(tenant)]
    assert [one["at"] for one in points] == sorted(one["at"] for one in points)
    with kernel.db.transaction(tenant) as session:
        checkpoints.check(session, utc_now())
        moments = [one.signed_at for one in checkpoints.of(session)]
    assert moments == sorted(moments)


@pytest.mark.parametrize("where", ["in both places", "outside the database"])
def test_nothing_is_signed_after_a_checkpoint_that_is_dated_later_than_now(kernel: Kernel, where: str) -> None:
    """And nobody keeps the hourly ones away by such a date without a job that is given up, which operators see."""
    tenant, other, now = make_tenant(kernel), make_tenant(kernel), utc_now()
    day = timedelta(days=1)
    for company, at in ((tenant, now + day if where == "in both places" else now), (other, now)):
        with kernel.db.transaction(company) as session:
            checkpoints.sign(session, signing.signer(kernel, now), at)
    if where == "outside the database":
        with kernel.db.transaction(tenant) as session:
            known = notes.read(kernel.db.outside.checkpoints(tenant, newest=True)[0])
        key = signing.signer(kernel, now).key
        (folder,) = (kernel.settings.tombstones_path() / "notes" / str(tenant)).iterdir()
        folder.write_text(notes.sign(replace(known, at=now + day), key))
    for company in (tenant, other):
        with kernel.db.transaction(company) as session:
            ledger.record(session, "test.happened")
    with kernel.db.transaction(tenant) as session, pytest.raises(LedgerBroken):
        checkpoints.check(session, now)
    with kernel.db.transaction(tenant) as session, pytest.raises(LedgerBroken, match="still to come"):
        checkpoints.sign(session, signing.signer(kernel, now), now)
    checkpointing.ask_for(kernel, tenant, now if where == "in both places" else now + timedelta(hours=2))
    with kernel.db.transaction(tenant) as session:
        asked = session.exec(select(Job).where(col(Job.tenant_id) == tenant, col(Job.kind).endswith("sign"))).all()
    assert len(asked) == 1
    with kernel.db.transaction(other) as session:
        checkpoints.check(session, now)
        assert checkpoints.sign(session, signing.signer(kernel, now), now)


def test_a_checkpoint_that_goes_backwards_is_told(kernel: Kernel) -> None:
    tenant, now = make_tenant(kernel), utc_now()
    for _ in range(2):
        with kernel.db.transaction(tenant) as session:
            ledger.record(session, "test.happened")
        with kernel.db.transaction(tenant) as session:
            checkpoints.sign(session, signing.signer(kernel, now), now)
    folder = kernel.settings.tombstones_path() / "notes" / str(tenant)
    last = max(folder.iterdir())
    earlier = replace(notes.read(last.read_text()), at=now - timedelta(hours=1))
    last.write_text(notes.sign(earlier, signing.signer(kernel, now).key))
    with kernel.db.transaction(tenant) as session, pytest.raises(LedgerBroken, match="before an earlier one"):
        checkpoints.check(session, now)


def test_a_log_is_walked_once_however_often_it_was_signed(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100,000 entries one root takes 0.06 s of a processor, and those of 2,000 checkpoints 0.08 s in one walk."""
    tenant = make_tenant(kernel)
    for _ in range(20):
        with kernel.db.transaction(tenant) as session:
            ledger.record(session, "test.happened")
        with kernel.db.transaction(tenant) as session:
            checkpoints.sign(session, signing.signer(kernel, utc_now()), utc_now())
    size, hashed, node_hash = max(signed(kernel, tenant)), list[int](), merkle.node_hash

    def counted(left: bytes, right: bytes) -> bytes:
        hashed.append(1)
        return node_hash(left, right)

    monkeypatch.setattr(merkle, "node_hash", counted)
    with kernel.db.transaction(tenant) as session:
        checkpoints.check(session, utc_now())
    assert size < len(hashed) + size.bit_length() < size + 22 * size.bit_length()

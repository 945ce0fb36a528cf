"""Checkpoints, and the signature of a package, that somebody who writes to the database put in the place of others: what is
handed out is what was signed, of this company and for this person, or nothing is."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import OKPKey
from litestar.testing import TestClient
from sqlalchemy import create_engine, delete, update
from sqlmodel import col, select

from batch.visit import consents
from compliance.models import Package
from compliance.proof import certificates, checkpointing, signing, stored, verifier
from compliance.rights import consent_receipts, handing
from likeness import checkpoints, ledger
from likeness.checkpoints import Checkpoint
from likeness.evidence import merkle, notes
from likeness.ground.db import PLATFORM, utc_now
from likeness.kernel import Kernel
from likeness.run.postgres import EmbeddedPostgres
from tenants.models import Role
from tenants.webhooks import deliveries, endpoints
from tenants.webhooks.events import Event
from tests.compliance.test_checkpoints import receipt_of
from tests.compliance.test_forged import API, client, package
from tests.factories import give_consent, make_employee, make_tenant, run_jobs, sign_in_member
from tests.handed_in import make_person
from tests.metrics import figure
from tests.waiting import until

__all__ = ["client"]


def signed_twice(kernel: Kernel, tenant: UUID) -> tuple[Checkpoint, Checkpoint]:
    for _ in range(2):
        with kernel.db.transaction(tenant) as session:
            ledger.record(session, "test.happened")
        with kernel.db.transaction(tenant) as session:
            checkpoints.sign(session, signing.signer(kernel, utc_now()), utc_now())
    with kernel.db.transaction(tenant) as session:
        first, second = checkpoints.of(session)[-2:]
        session.expunge_all()
    return first, second


def forgeries(kernel: Kernel, tenant: UUID, older: Checkpoint, newest: Checkpoint) -> dict[str, dict[str, Any]]:
    """What is written into the row of the newest one."""
    said = notes.read(newest.note)
    theirs = signed_twice(kernel, make_tenant(kernel))[1]
    rewritten = replace(said, root=merkle.root([b"another log"]))
    other = notes.sign(rewritten, Ed25519PrivateKey.generate())
    text, _, last = newest.note.partition("\n\n")
    return {
        "signed by somebody else": {"note": other, "root": rewritten.root},
        "other words over the signature": {"note": f"{rewritten.text()}\n{last}", "root": rewritten.root},
        "another company's": {"note": theirs.note},
        "another company's, with its facts": {"note": theirs.note, "root": theirs.root, "sequence": theirs.sequence},
        "an earlier one": {"note": older.note},
        "an earlier one, with its facts": {"note": older.note, "root": older.root, "sequence": older.sequence},
        "dated anew": {"signed_at": newest.signed_at + timedelta(days=1)},
        "no note": {"note": text},
    }


def written(postgres: EmbeddedPostgres, row: Checkpoint, said: dict[str, Any]) -> None:
    """As whoever owns the database: the program itself may change no checkpoint."""
    with create_engine(postgres.url("postgres")).begin() as connection:
        connection.execute(update(Checkpoint).where(col(Checkpoint.id) == row.id).values(**said))


def handed_out(client: TestClient[Any], kernel: Kernel, endpoint: endpoints.Endpoint, older: Checkpoint) -> dict[str, str]:
    """The newest checkpoint by every door: to legal, in a part of the log, to whoever holds an earlier one, to a program,
    and in the mail that tells somebody what they agreed to."""
    tenant = older.tenant_id
    asked = f"{API}/logs/{tenant}/{older.epoch}/{older.size}"
    found = {
        "legal": client.get(f"{API}/ledger/checkpoint").text,
        "holder": client.get(asked, params={"root": older.note.splitlines()[2]}).json()["checkpoint"],
        "export": json.loads(client.get(f"{API}/ledger/export?form=jsonl").text.splitlines()[0])["checkpoints"][-1],
    }
    with kernel.db.transaction(tenant) as session:
        left = deliveries.leave(session, endpoint, Event.ERASURE_DELETED, {"erasure": uuid4()}, utc_now())
        found["webhook"] = json.loads(left.body)["checkpoint"]
        alice = make_employee(session, kernel)
        give_consent(session, kernel, alice)
    with kernel.db.transaction(tenant) as session:
        found["mail"] = receipt_of(session, kernel, alice.id)
    return found


def test_a_checkpoint_that_was_changed_leaves_by_no_door(
    kernel: Kernel, client: TestClient[Any], postgres: EmbeddedPostgres
) -> None:
    tenant = make_tenant(kernel)
    member = sign_in_member(client, kernel, tenant, Role.LEGAL)
    with kernel.db.transaction(tenant) as session:
        endpoint, _ = endpoints.make(
            session, kernel.keys, member, "https://example.com/", [Event.ERASURE_DELETED], utc_now(), networks=()
        )
    older, newest = signed_twice(kernel, tenant)
    for told in handed_out(client, kernel, endpoint, older).values():
        assert newest.note.strip() in told
    true = {name: getattr(newest, name) for name in ("note", "root", "sequence", "signed_at")}
    before = figure(client, "likeness_certificates_changed")
    for what, said in forgeries(kernel, tenant, older, newest).items():
        written(postgres, newest, said)
        for door, told in handed_out(client, kernel, endpoint, older).items():
            assert older.note.strip() in told, (what, door)
            assert said.get("note", newest.note).strip() in (older.note.strip(), "") or (
                said.get("note", newest.note).strip() not in told), (what, door)  # fmt: skip
        assert figure(client, "likeness_certificates_changed") == before + 1, (what, "it is one row")
        written(postgres, newest, true)
    # What the alarm advises: the row is deleted, and the log is signed again.
    with create_engine(postgres.url("postgres")).begin() as connection:
        connection.execute(delete(Checkpoint).where(col(Checkpoint.id) == newest.id))
    checkpointing.ask_for(kernel, tenant, utc_now() + checkpointing.EVERY)
    run_jobs(kernel, tenant=tenant)
    again = client.get(f"{API}/ledger/checkpoint").text
    assert verifier.checkpoint(again, verifier.Pin(signing.published(kernel)))["size"] >= newest.size


def test_nothing_is_signed_that_carries_a_changed_checkpoint(kernel: Kernel, postgres: EmbeddedPostgres) -> None:
    """A receipt with another checkpoint in it would be signed, and then verify nowhere: it waits for the next one."""
    tenant = make_tenant(kernel)
    theirs = signed_twice(kernel, make_tenant(kernel))[1]
    signed_twice(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        alice = make_employee(session, kernel)
        give_consent(session, kernel, alice)
    newest = signed_twice(kernel, tenant)[1]
    written(postgres, newest, {"note": theirs.note})

    def receipt() -> str:
        consent_receipts.ask(kernel, utc_now())
        run_jobs(kernel, tenant=tenant, ahead=timedelta(hours=1))
        with kernel.db.transaction(tenant) as session:
            return consents.of(session, alice.id)[0].signed_receipt or ""

    for _ in range(2):
        if not (token := receipt()):
            with kernel.db.transaction(tenant) as session:
                ledger.record(session, "test.happened")
    said = verifier.certificate(token, verifier.Pin(signing.published(kernel)), verifier.RECEIPT)
    assert notes.read(said["ledger"]["checkpoint"]).tenant == tenant


def test_the_page_on_trust_shows_the_installations_checkpoint_as_it_was_signed(
    kernel: Kernel, client: TestClient[Any], postgres: EmbeddedPostgres
) -> None:
    older, newest = signed_twice(kernel, PLATFORM)
    root = newest.note.splitlines()[2]
    assert root in client.get("/trust").text.replace("&#43;", "+").replace("&#x2b;", "+")
    said = forgeries(kernel, PLATFORM, older, newest)["signed by somebody else"]
    written(postgres, newest, said)
    page = client.get("/trust").text.replace("&#43;", "+").replace("&#x2b;", "+")
    written(postgres, newest, {"note": newest.note, "root": newest.root})
    assert said["note"].splitlines()[2] not in page
    assert older.note.splitlines()[2] in page


def forged_signature(kernel: Kernel, row: Package, what: str) -> str:
    if what == "of another package":
        other = Package(id=uuid4(), tenant_id=row.tenant_id, employee_id=row.employee_id, digest=row.digest,
                        made_at=row.made_at, due_at=row.due_at)  # fmt: skip
        return handing.signature(kernel, other)
    key, ours = OKPKey.generate_key("Ed25519"), signing.published(kernel)["keys"][0]
    said = {"package": str(row.id), "made_at": certificates.moment(row.made_at), "manifest_sha256": row.digest,
            "instance": kernel.settings.public_url}  # fmt: skip
    shown = {"by somebody else": (key.as_dict(private=False), key.thumbprint()),
             "under our name": (key.as_dict(private=False), certificates.fingerprint(ours)),
             "under our key and name": ({name: ours[name] for name in ("crv", "kty", "x")}, certificates.fingerprint(ours)),
             }[what]  # fmt: skip
    header = {"alg": certificates.ALGORITHM, "jwk": shown[0], "kid": shown[1], "typ": handing.TYPE}
    return jws.serialize_compact(header, rfc8785.dumps(said), key, algorithms=[certificates.ALGORITHM])


@pytest.mark.parametrize(
    "what", ["by somebody else", "under our name", "under our key and name", "of another package", "of another list"]
)
def test_a_package_leaves_under_its_own_signature_alone(kernel: Kernel, what: str) -> None:
    """The web server has no signer, and waits for what is written into the row."""
    alice = make_person(kernel)
    web = replace(kernel, settings=kernel.settings.model_copy(update={"profile": "production"}))
    signing.key(kernel, utc_now())
    mine = (col(Package.tenant_id) == alice.tenant_id, col(Package.employee_id) == alice.id)

    def row() -> Package | None:
        with kernel.db.transaction(alice.tenant_id) as session:
            found = session.exec(select(Package).where(*mine)).first()
            session.expunge_all()
        return found

    before = set(stored.CHANGED)
    with ThreadPoolExecutor(1) as apart:
        made = apart.submit(package, web, alice)
        until(lambda: row() is not None or made.done())
        waiting = row()
        assert waiting is not None
        assert waiting.jws is None
        changed = {"digest": "0" * 64} if "list" in what else {"jws": forged_signature(kernel, waiting, what)}
        with kernel.db.transaction(alice.tenant_id) as session:
            session.execute(update(Package).where(*mine, col(Package.id) == waiting.id).values(**changed))
        run_jobs(kernel, tenant=alice.tenant_id)  # A worker with the signer signs what it finds, where nothing is signed.
        with pytest.raises(handing.SignatureChanged):
            made.result()
    assert stored.CHANGED - before == {waiting.id}

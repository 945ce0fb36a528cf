"""What a certificate says of a deletion that did not work at once, and once somebody changed it in the database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import event, text, update
from sqlmodel import Session, col, select

from compliance.desk import leaving
from compliance.erasure import certifying, erasures
from compliance.models import Certificate, Erasure
from compliance.proof import certificates, signing, verifier
from likeness.ground.db import utc_now
from likeness.jobs import claims
from likeness.jobs.jobs import Job, JobState
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass
from likeness.store.objects import person_path
from tenants.models import Role
from tests.compliance.people import colleague_of, company_leaves, erase, full_person, gone_on, reread
from tests.factories import make_member, run_jobs, sign_in_employee, sign_in_member

API = "/api/v1"
LATER = timedelta(days=10)


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@contextmanager
def away(place: Path, once: Callable[[], bool]) -> Iterator[None]:
    """From the first commit after which `once` holds."""
    aside, looking = place.with_name(f"{place.name}-away"), False

    def look(_: object) -> None:
        nonlocal looking
        if looking or not place.exists():
            return
        looking = True
        if once():
            place.rename(aside)
        looking = False

    event.listen(Session, "after_commit", look)
    try:
        yield
    finally:
        event.remove(Session, "after_commit", look)
        os.rename(aside, place)


def work_due(kernel: Kernel, erasure: Erasure) -> None:
    """Each waiting job of the company once, as if its pause were over."""
    with kernel.db.transaction(erasure.tenant_id) as session:
        session.execute(
            text("update job set due = now() where tenant_id = :t and state = 'ready'"), {"t": erasure.tenant_id}
        )
        mine = (col(Job.tenant_id) == erasure.tenant_id, col(Job.state) == JobState.READY)
        due = list(session.exec(select(Job.id).where(*mine)))
    for job_id in due:
        claims.work(kernel, job_id)


def ten_days_pass(kernel: Kernel, erasure: Erasure) -> None:
    with kernel.db.transaction(erasure.tenant_id) as session:
        mine = (col(Erasure.tenant_id) == erasure.tenant_id, col(Erasure.id) == erasure.id)
        session.execute(update(Erasure).where(*mine).values(deleted_at=col(Erasure.deleted_at) - LATER))


def test_a_deletion_whose_keys_were_away_is_dated_when_they_were_destroyed(kernel: Kernel) -> None:
    """Backups made meanwhile hold the keys, so that what is said of backups begins to count on that day, too."""
    stated = replace(kernel, settings=kernel.settings.model_copy(update={"backup_days": 3}))
    alice = full_person(stated)
    asked = erase(stated, alice)
    keys = stated.settings.keys_path() / "tenants" / str(alice.tenant_id)
    with away(keys, once=lambda: reread(stated, asked).state == "deleting"):
        for _ in range(3):
            work_due(stated, asked)
        assert not keys.exists()
        assert reread(stated, asked).deleted_at
        ten_days_pass(stated, asked)
        work_due(stated, asked)
    back = utc_now()
    for _ in range(3):
        work_due(stated, asked)
    assert reread(stated, asked).state == "certified"
    with kernel.db.transaction(alice.tenant_id) as session:
        document = erasures.certificate_of(session, asked.id).document
    destroyed = [datetime.fromisoformat(key["destroyed_at"]) for key in document["keys"]]
    assert destroyed
    assert min(destroyed) >= back - timedelta(seconds=1)
    assert datetime.fromisoformat(document["deleted_at"]) >= max(destroyed)
    assert datetime.fromisoformat(document["residuals"][0]["until"]) >= max(destroyed) + timedelta(days=3)
    certifying.begin_second(stated, back + timedelta(days=1))
    run_jobs(stated, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [one.stage for one in certifying.certificates_of(session, asked.id)] == [1]


def test_what_came_back_after_the_certificate_is_dated_in_the_second_when_it_was_deleted_again(kernel: Kernel) -> None:
    """The look ten minutes later deletes it once more, and the backups count from there."""
    stated = replace(kernel, settings=kernel.settings.model_copy(update={"backup_days": 3}))
    alice = full_person(stated)
    hers, his = erase(stated, alice), erase(stated, full_person(stated))
    for one in (hers, his):
        run_jobs(stated, tenant=one.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        first = erasures.certificate_of(session, hers.id).document
        # As long ago as the pauses that a test does not wait for.
        session.execute(update(Erasure).where(col(Erasure.id) == hers.id).values(deleted_at=utc_now() - LATER))
    left = person_path(alice.tenant_id, alice.id, KeyClass.SOURCE, uuid4())
    place = stated.settings.home / "objects" / left
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"what a process wrote that nobody had stopped")
    before = utc_now()
    work_due(stated, hers)
    assert not place.exists()
    again = reread(stated, hers).deleted_at
    assert again is not None
    assert again >= before
    work_due(stated, hers)
    assert reread(stated, hers).looked_again_at
    assert reread(stated, hers).deleted_at == again
    # The first certificate's own day is over by now, and that of the second deletion is not.
    moved = first["deleted_at"]
    assert certificates.run_out(certificates.deleted_again(first, again), 3)["ran_out"] == max(
        first["residuals"][0]["until"], certificates.moment(again + timedelta(days=3))
    )
    certifying.begin_second(stated, again + timedelta(days=3, minutes=1))
    run_jobs(stated, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        second = certifying.certificates_of(session, hers.id)[1].document
    assert (second["deleted_at"], second["deleted_first_at"]) == (certificates.moment(again), moved)
    assert second["issued_at"] >= second["verification"]["finished_at"][:19]
    certifying.begin_second(stated, utc_now() + timedelta(days=4))
    run_jobs(stated, tenant=his.tenant_id)
    with kernel.db.transaction(his.tenant_id) as session:
        assert "deleted_first_at" not in certifying.certificates_of(session, his.id)[1].document


@pytest.mark.parametrize("what", ["another text", "another's certificate"])
def test_a_second_certificate_does_not_sign_what_somebody_wrote_into_the_row_of_the_first(
    kernel: Kernel, what: str
) -> None:
    stated = replace(kernel, settings=kernel.settings.model_copy(update={"backup_days": 3}))
    alice = full_person(stated)
    bob = colleague_of(stated, alice)
    hers, his = erase(stated, alice), erase(stated, bob)
    run_jobs(stated, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        first, other = erasures.certificate_of(session, hers.id), erasures.certificate_of(session, his.id)
        signed = dict(first.document)
        forged = {**signed, "controller": "Somebody Else Ltd.", "subject_commitment": "0" * 64}
        row = update(Certificate).where(col(Certificate.tenant_id) == alice.tenant_id, col(Certificate.id) == first.id)
        changed = {"document": forged} if what == "another text" else {"document": other.document, "jws": other.jws}
        session.execute(row.values(**changed))
    certifying.begin_second(stated, utc_now() + timedelta(days=3, minutes=1))
    run_jobs(stated, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        issued = certifying.certificates_of(session, hers.id)
    if what == "another text":
        second = verifier.certificate(issued[1].jws, verifier.Pin(signing.published(kernel)))
        for field in ("controller", "subject_commitment", "deleted_at"):
            assert second[field] == signed[field]
    else:
        assert [one.stage for one in issued] == [1]


def test_the_second_certificate_does_not_come_on_a_day_that_somebody_wrote_into_the_rows(kernel: Kernel) -> None:
    """While a backup may still bring a key back, whatever the columns beside the signed text say."""
    stated = replace(kernel, settings=kernel.settings.model_copy(update={"backup_days": 3}))
    alice = full_person(stated)
    hers, long_ago = erase(stated, alice), utc_now() - timedelta(days=9)
    run_jobs(stated, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        first = erasures.certificate_of(session, hers.id)
        earlier = [{**one, "until": long_ago.isoformat()} for one in first.document["residuals"]]
        row = update(Certificate).where(col(Certificate.tenant_id) == alice.tenant_id, col(Certificate.id) == first.id)
        session.execute(row.values(document={**first.document, "residuals": earlier}))
        session.execute(
            update(Erasure).where(col(Erasure.tenant_id) == alice.tenant_id).values(deleted_at=long_ago)
        )
    for later, stages in ((timedelta(), [1]), (timedelta(days=3, minutes=1), [1, 2])):
        certifying.begin_second(stated, utc_now() + later)
        run_jobs(stated, tenant=alice.tenant_id)
        with kernel.db.transaction(alice.tenant_id) as session:
            assert [one.stage for one in certifying.certificates_of(session, hers.id)] == stages


@pytest.mark.parametrize("what", ["text", "signed", "page", "page of another"])
def test_a_certificate_that_was_changed_in_the_database_is_shown_to_nobody(
    kernel: Kernel, client: TestClient[Any], what: str
) -> None:
    alice = full_person(kernel)
    bob = colleague_of(kernel, alice)
    tenant, receipts = alice.tenant_id, {}
    for person in (alice, bob):
        sign_in_employee(client, kernel, person)
        receipts[person.id] = client.post(f"{API}/visit/erasure").json()["receipt"]
        client.cookies.clear()
    run_jobs(kernel, tenant=tenant)
    receipt = receipts[alice.id]
    with kernel.db.transaction(tenant) as session:
        mine = erasures.certificate_of(session, erasures.by_receipt(session, receipt).id)
        other = erasures.certificate_of(session, erasures.by_receipt(session, receipts[bob.id]).id)
        signed, page = dict(mine.document), mine.paper or b""
        changed: dict[str, dict[str, Any]] = {
            "text": {"document": {**signed, "controller": "Somebody Else Ltd."}},
            "signed": {"jws": other.jws, "document": other.document, "paper": other.paper},
            "page": {"paper": page.replace(b"/Lang", b"/Lanx")},
            "page of another": {"paper": other.paper},
        }
        row = update(Certificate).where(col(Certificate.tenant_id) == tenant, col(Certificate.id) == mine.id)
        session.execute(row.values(**changed[what]))
    sign_in_member(client, kernel, tenant, Role.LEGAL)
    texts = [f"/gone/{receipt}/certificate", f"{API}/certificates/{mine.id}/jws", f"/legal/certificates/{mine.id}"]
    papers = [f"/gone/{receipt}/certificate.pdf", f"{API}/certificates/{mine.id}/pdf"]
    documents = [client.get(f"{API}/certificates/{mine.id}"), client.get(f"{API}/receipts/{receipt}")]
    if what == "signed":
        for answer in documents:
            assert (answer.status_code, answer.json()["type"]) == (422, "urn:likeness:certificate-changed")
    else:
        assert documents[0].json() == documents[1].json()["document"] == signed
    for path in texts:
        assert client.get(path).status_code == (422 if what == "signed" else 200), path
    for path in papers:
        assert client.get(path).status_code == (200 if what == "text" else 422), path
    assert client.get("/legal").status_code == 200
    assert client.get(f"/gone/{receipt}").status_code == 200


def test_nor_is_the_certificate_of_a_company_that_left(kernel: Kernel, client: TestClient[Any]) -> None:
    stated = replace(kernel, settings=kernel.settings.model_copy(update={"backup_days": 3}))
    alice = full_person(stated)
    tenant, owner = alice.tenant_id, make_member(kernel, alice.tenant_id, Role.OWNER)
    _, receipt = company_leaves(kernel, tenant, owner.id)
    gone_on(stated, alice)
    mine = (col(Certificate.tenant_id) == tenant, col(Certificate.departure_id).is_not(None))

    def change(**said: Any) -> Certificate:
        with kernel.db.transaction(tenant) as session:
            before = session.exec(select(Certificate).where(*mine, col(Certificate.stage) == 1)).one()
            session.expunge(before)
            session.execute(update(Certificate).where(*mine, col(Certificate.stage) == 1).values(**said))
        return before

    signed = change(stage=1)
    paper = client.get(f"/left/{receipt}/certificate/1/pdf")
    assert paper.status_code == 200
    change(document={**signed.document, "controller": "Somebody Else Ltd."})
    leaving.begin_second_of_companies(stated, utc_now() + timedelta(days=4))
    run_jobs(stated, tenant=tenant)
    second = client.get(f"{API}/departures/{receipt}").json()["certificate"]
    assert verifier.certificate(second, verifier.Pin(signing.published(kernel)))["controller"] == "Zebra Works"
    change(jws=second)
    for path in (f"{API}/departures/{receipt}", f"/left/{receipt}/certificate/1", f"/left/{receipt}/certificate/1/pdf"):
        assert client.get(path).status_code == 422, path
    assert client.get(f"/left/{receipt}/certificate/2").status_code == 200

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from batch import employees
from batch.models import Employee
from compliance import erasures, rescan, stores
from compliance.rescan import Subject
from compliance.scan import PassedScan, Scan
from likeness.db import utc_now
from likeness.jobs import Job
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyRef
from likeness.mail import Letter, post
from likeness.objects import person_path, tenant_path
from likeness.postgres import EmbeddedPostgres
from tests.compliance.people import erase, full_person
from tests.factories import run_jobs


@pytest.fixture
def reading(kernel: Kernel, postgres: EmbeddedPostgres) -> Kernel:
    """With the re-scan's own role, which may only read."""
    settings = kernel.settings.model_copy(update={"rescan_database_url": postgres.url("likeness_rescan")})
    return replace(kernel, settings=settings)


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return full_person(kernel)


@pytest.fixture
def scratch() -> Iterator[Path]:
    folder = Path(mkdtemp(prefix="lk-ray-test-"))
    yield folder
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def results(scan: Scan) -> dict[str, str]:
    return {answer.store: answer.result for answer in scan.answers}


def subject_of(kernel: Kernel, person: Employee) -> Subject:
    workbook = uuid4()
    key = kernel.keys.open_or_create(KeyRef(person.tenant_id, workbook, KeyClass.PROFILE))
    kernel.objects.put(tenant_path(person.tenant_id, "workbooks", workbook), b"500 people", key)
    profile = kernel.keys.open(KeyRef(person.tenant_id, person.id, KeyClass.PROFILE))
    sample = b64encode(profile.seal(b"sample", rescan.SAMPLE_CONTEXT)).decode()
    return Subject(person.tenant_id, person.id, person.email_index, (workbook,), {"profile": sample})


def plant_what_a_person_does_not_have_yet(kernel: Kernel, person: Employee, scratch: Path) -> None:
    for cls in (KeyClass.PROFILE, KeyClass.LOG_DETAIL):
        key = kernel.keys.open_or_create(KeyRef(person.tenant_id, person.id, cls))
        kernel.objects.put(person_path(person.tenant_id, person.id, cls, uuid4()), b"x", key)
    (kernel.settings.home / "likeness.log").open("a").write(f'{{"employee": "{person.id}"}}\n')
    (scratch / "worker.log").write_text(f"{'x' * rescan.BLOCK}{person.id}")
    with kernel.db.transaction(person.tenant_id) as session:
        post(session, kernel.keys, person.id, Letter("a@b.example", "s", "t"), template="test", campaign="one")
        session.add(
            Job(
                tenant_id=person.tenant_id, kind="test", key="x", args=[str(person.id)], due=None, state="done",
                finished_at=utc_now(),
            )
        )  # fmt: skip
        session.execute(
            text(
                "insert into link (id, tenant_id, employee_id, invitation_id, token_hash, mail_id, created_at, expires_at)"
                " values (gen_random_uuid(), :t, :e, :i, :h, gen_random_uuid(), now(), now())"
            ),
            {"t": person.tenant_id, "e": person.id, "i": _invitation(session, person), "h": uuid4().bytes},
        )
        session.execute(
            text(
                "insert into address_change (id, tenant_id, employee_id, email_index, sealed, asked_by, asked_at, until,"
                " token_hash) values (gen_random_uuid(), :t, :e, '', '', 'x', now(), now(), '')"
            ),
            {"t": person.tenant_id, "e": person.id},
        )
        session.execute(
            text(
                "insert into take_back (id, tenant_id, employee_id, headshot_id, downloaded_at, asked_at)"
                " select gen_random_uuid(), :t, :e, id, now(), now() from headshot where employee_id = :e limit 1"
            ),
            {"t": person.tenant_id, "e": person.id},
        )
        session.execute(
            text(
                "insert into upload (id, tenant_id, employee_id, consent_id, length, received, digest, created_at,"
                " touched_at, due_at) select gen_random_uuid(), :t, :e, id, 9, 0, '', now(), now(), now()"
                " from consent where employee_id = :e limit 1"
            ),
            {"t": person.tenant_id, "e": person.id},
        )
        session.execute(
            text(
                "insert into correction (id, tenant_id, employee_id, batch_id, at, due_at, before, after_digest)"
                " select gen_random_uuid(), :t, :e, batch_id, now(), now(), '', '' from employee where id = :e"
            ),
            {"t": person.tenant_id, "e": person.id},
        )
        sitting = session.execute(text("select id from sitting where employee_id = :e"), {"e": person.id}).scalar()
        session.execute(
            text(
                "insert into run (id, tenant_id, employee_id, sitting_id, fence, state, recipe, seconds, step, steps, made,"
                " passed, started_at, heartbeat_at)"
                " values (gen_random_uuid(), :t, :e, :s, 9, 'failed', '{}', '{}', 0, 0, 0, 0, now(), now())"
            ),
            {"t": person.tenant_id, "e": person.id, "s": sitting},
        )
        # Where no column is meant to name anybody: in free text, in JSON, in another form of the same id.
        session.execute(text("update batch set name = :e"), {"e": str(person.id)})
        session.execute(text("update tenant set contact = :e"), {"e": person.id.hex})
        session.execute(text("update look set dress = :e where version = 1"), {"e": str(person.id).upper()})
        session.execute(text("update notice set text = text || :e"), {"e": str(person.id)})
        session.execute(
            text(
                "insert into hold (id, tenant_id, employee_id, basis, reference, reason, placed_by, placed_at, expires_at)"
                " values (gen_random_uuid(), :t, gen_random_uuid(), 'warrant', '1', :e, gen_random_uuid(), now(), now())"
            ),
            {"t": person.tenant_id, "e": str(person.id)},
        )
        session.execute(
            text(
                "insert into request (id, tenant_id, employee_id, kind, regime, received_at, due_at)"
                " values (gen_random_uuid(), :t, gen_random_uuid(), 'access', :e, now(), now())"
            ),
            {"t": person.tenant_id, "e": str(person.id)},
        )
        session.execute(
            text("update credit set reason = :e where cause like :c"), {"e": str(person.id), "c": f"{person.id}%"}
        )


def _invitation(session: Session, person: Employee) -> UUID:
    made: UUID = session.execute(
        text(
            "insert into invitation (id, tenant_id, employee_id, created_at, expires_at, mails, reminders)"
            " values (gen_random_uuid(), :t, :e, now(), now(), 0, 0) returning id"
        ),
        {"t": person.tenant_id, "e": person.id},
    ).scalar_one()
    return made


def test_a_planted_leftover_is_found_in_every_store(reading: Kernel, alice: Employee, scratch: Path) -> None:
    subject = subject_of(reading, alice)
    plant_what_a_person_does_not_have_yet(reading, alice, scratch)
    erasure = erase(reading, alice)
    with reading.db.transaction(alice.tenant_id) as session:
        session.execute(
            text(
                "insert into certificate (id, tenant_id, erasure_id, stage, document, jws, issued_at)"
                " values (gen_random_uuid(), :t, :x, 1, cast(:d as json), '', now())"
            ),
            {"t": alice.tenant_id, "x": erasure.id, "d": f'{{"who": "{alice.id}"}}'},
        )
        session.execute(text("update erasure set counts = cast(:d as json)"), {"d": f'{{"who": "{alice.id}"}}'})
    found = results(rescan.scan(reading, subject))
    (reading.settings.home / "likeness.log").unlink()
    # These cannot hold a leftover of this kind: append-only without free text, members' seals, a version, digests.
    exempt = {"table:ledger_entry", "table:member", "table:alembic_version", "queue", "tombstones"}
    exempt |= {"table:key_fingerprint", "table:wrong_try", "table:sign_in_wish"}
    assert {store for store, result in found.items() if result != "found"} == exempt
    assert set(found) == stores.names()


def test_the_re_scan_of_a_stranger_in_the_same_company_is_not_troubled(reading: Kernel, alice: Employee) -> None:
    nobody = Subject(alice.tenant_id, uuid4())
    for cls in KeyClass:
        reading.keys.destroy(KeyRef(nobody.tenant, nobody.employee, cls), utc_now())
    scan = rescan.scan(reading, nobody)
    assert scan.problems() == []
    assert PassedScan(scan).scan is scan


def test_a_store_that_does_not_answer_is_not_reachable(reading: Kernel, alice: Employee) -> None:
    settings = reading.settings.model_copy(
        update={"rescan_database_url": "postgresql+psycopg://nobody@/likeness?host=/nonexistent"}
    )
    scan = rescan.scan(replace(reading, settings=settings), Subject(alice.tenant_id, alice.id))
    tables = {result for store, result in results(scan).items() if store.startswith("table:")}
    assert tables == {"not reachable"}
    assert "table:photo" in scan.problems()


def test_a_table_that_only_the_database_knows_keeps_every_scan_from_passing(
    reading: Kernel, alice: Employee, postgres: EmbeddedPostgres
) -> None:
    address = postgres.url("likeness_owner").replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("create table shadow (words text)")
    try:
        assert "table:shadow" in rescan.scan(reading, Subject(alice.tenant_id, uuid4())).problems()
    finally:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("drop table shadow")


def test_the_address_is_found_in_the_log_by_its_keyed_digest_alone(reading: Kernel, alice: Employee) -> None:
    address = employees.profile(reading.keys, alice).email
    log = reading.settings.home / "likeness.log"
    subject = Subject(alice.tenant_id, uuid4(), alice.email_index)
    try:
        log.write_text('{"message": "sent to somebody@else.example"}\n')
        assert results(rescan.scan(reading, subject))["log"] == "clean"
        log.write_text(f'{{"message": "sent to <{address.upper()}>."}}\n')
        assert results(rescan.scan(reading, subject))["log"] == "found"
    finally:
        log.unlink()


def test_the_role_of_the_re_scan_cannot_write(reading: Kernel, alice: Employee) -> None:
    engine = create_engine(reading.settings.rescan_database_url)
    with engine.connect() as connection, pytest.raises(DBAPIError):
        rescan._read_only(connection, alice.tenant_id)
        connection.execute(text("delete from photo"))
    engine.dispose()


def test_an_erasure_passes_under_the_role_of_its_own(reading: Kernel, alice: Employee) -> None:
    erasure = erase(reading, alice)
    run_jobs(reading, tenant=alice.tenant_id)
    with reading.db.transaction(alice.tenant_id) as session:
        assert erasures.get(session, erasure.id).state == "certified"

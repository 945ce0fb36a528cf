"""A database of schema 0002 that holds something in every table comes through all later migrations without a loss."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, MetaData, Table, create_engine, text
from sqlalchemy.engine import Engine

from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres

Row = dict[str, Any]

CHANGED = {
    ("photo", "fingerprint"): "hashes of whole pictures are not kept any more",
    ("web_session", "issuer"): "what a provider knows of a session is a row of its own",
    ("web_session", "issuer_session"): "what a provider knows of a session is a row of its own",
    ("member", "roles"): "every company has an owner",
    ("sitting", "reshoot_reason"): "words that nobody read are not kept",
}
"""Columns that a later schema changes on purpose. Everything else reads as it was written."""
RENAMED = {
    ("batch", "name"): "unsealed_name",
    ("hold", "reference"): "unsealed_reference",
    ("hold", "reason"): "unsealed_reason",
}
"""Columns whose words the program seals at the next start; until then they stand where the new name says."""


def rows_of(tenant: UUID) -> dict[str, list[Row]]:
    """One company's rows, parents first: something in every table, and in every column that may be empty."""
    now = datetime.fromisoformat("2026-03-02T10:11:12.123456+00:00")
    later, before = now + timedelta(days=5), now - timedelta(days=5)
    batch, member, other, employee, notice, consent, invitation, sitting, first, look, headshot, erasure = (
        uuid4() for _ in range(12)
    )

    def path(cls: str) -> str:
        return f"tenants/{tenant}/employees/{employee}/{cls}/{uuid4()}"

    return {
        "tenant": [
            {"id": tenant, "name": "Zebra Works", "contact": "privacy@zebra.example", "authority": "Berlin",
             "source_days": 5, "headshot_days": 20, "employee_quota": 250, "created_at": before, "left_at": None},
        ],
        "member": [
            {"id": one, "tenant_id": tenant, "email_index": one.bytes, "profile": b"sealed " + one.bytes,
             "roles": roles, "created_at": before, "disabled_at": disabled}
            for one, roles, disabled in ((member, ["hr", "legal"], None), (other, ["hr"], now))
        ],
        "batch": [
            {"id": batch, "tenant_id": tenant, "name": "Spring", "due_on": later.date(), "created_by": member,
             "created_at": before, "workbook_digest": f"digest {tenant}", "imported_at": now, "undone_at": None,
             "mapping": {"Name": "full_name"}, "workbook_id": uuid4(), "workbook_due_at": later},
        ],
        "look": [
            {"id": look, "tenant_id": tenant, "name": "Studio", "version": 2, "backdrop": "white", "dress": "suit",
             "framing": "close-up", "light": "soft", "created_at": before, "retired_at": later},
        ],
        "notice": [
            {"id": notice, "tenant_id": tenant, "version": "2026-01", "language": "de", "text": "Hinweis …",
             "digest": "abc", "created_at": before},
        ],
        "employee": [
            {"id": employee, "tenant_id": tenant, "batch_id": batch, "row": 7, "email_index": employee.bytes,
             "key_index": employee.bytes[:8], "profile": b"sealed profile", "created_at": before,
             "opted_out_at": None, "restricted_at": later},
        ],
        "consent": [
            {"id": consent, "tenant_id": tenant, "employee_id": employee, "notice_id": notice, "purpose": "headshots",
             "given_at": now, "withdrawn_at": None, "signature": b"sealed name"},
            {"id": uuid4(), "tenant_id": tenant, "employee_id": employee, "notice_id": notice, "purpose": "biometric",
             "given_at": before, "withdrawn_at": now, "signature": b"sealed name"},
        ],
        "invitation": [
            {"id": invitation, "tenant_id": tenant, "employee_id": employee, "created_at": before, "expires_at": later,
             "delivered_at": before, "opened_at": now, "revoked_at": None, "bounced_at": None, "mails": 3,
             "reminders": 2, "reminded_at": now},
        ],
        "link": [
            {"id": uuid4(), "tenant_id": tenant, "employee_id": employee, "invitation_id": invitation,
             "token_hash": uuid4().bytes, "mail_id": uuid4(), "created_at": before, "expires_at": later,
             "used_at": now},
        ],
        "photo": [
            {"id": uuid4(), "tenant_id": tenant, "employee_id": employee, "consent_id": consent, "state": state,
             "path": path("source"), "digest": f"digest {number}", "bytes": 123, "width": 3000, "height": 4000,
             "pose": "frontal", "fingerprint": 2**62, "findings": [{"kind": "advice", "word": "dark"}],
             "faces": [[1, 2, 3, 4]], "face": 0, "dress": {"suit": 0.5}, "used_anyway": number == 0,
             "created_at": now, "checked_at": now, "due_at": later}
            for number, state in enumerate(("accepted", "accepted", "rejected"))
        ],
        "sitting": [
            {"id": first, "tenant_id": tenant, "employee_id": employee, "state": "failed", "fence": 1, "seed": 4,
             "reshoot_of": None, "reshoot_reason": None, "created_at": before, "changed_at": now, "failure": "Too few."},
            {"id": sitting, "tenant_id": tenant, "employee_id": employee, "state": "done", "fence": 3, "seed": 5,
             "reshoot_of": first, "reshoot_reason": "not me", "created_at": now, "changed_at": now, "failure": None},
        ],
        "headshot": [
            {"id": headshot, "tenant_id": tenant, "employee_id": employee, "sitting_id": sitting, "look_id": look,
             "number": 1, "path": path("headshot"), "bytes": 99, "likeness_ratio": 0.875, "favourite_at": now,
             "created_at": now, "due_at": later},
        ],
        "release": [
            {"id": uuid4(), "tenant_id": tenant, "employee_id": employee, "headshot_id": headshot, "at": now,
             "downloaded_at": now},
        ],
        "run": [
            {"id": uuid4(), "tenant_id": tenant, "employee_id": employee, "sitting_id": sitting, "fence": 3,
             "state": "succeeded", "recipe": {"name": "portrait-small", "steps": 10}, "seconds": {"train": 3.5},
             "step": 10, "steps": 10, "made": 8, "passed": 5, "likeness_ratio": 0.75, "started_at": before,
             "heartbeat_at": now, "finished_at": now, "error": "TooFewFaces"},
        ],
        "weights": [
            {"id": uuid4(), "tenant_id": tenant, "employee_id": employee, "sitting_id": sitting, "kind": "adapter",
             "path": path("model"), "bytes": 77, "created_at": now, "due_at": later},
        ],
        "credit": [
            {"id": uuid4(), "tenant_id": tenant, "amount": amount, "reason": reason, "cause": cause, "at": now}
            for amount, reason, cause in ((100, "granted", "order 1"), (-1, "reserved", str(employee)))
        ],
        "erasure": [
            {"id": erasure, "tenant_id": tenant, "employee_id": uuid4(), "state": "certified", "trigger": "person",
             "requested_by": f"employee:{employee}", "requested_at": before, "receipt_hash": uuid4().bytes,
             "counts": {"source": {"objects": 3}}, "recipients": [{"recipient": "the employer's desk"}],
             "traces": {"samples": {}}, "scan": {"problems": []}, "settled_at": before, "deleted_at": before,
             "verified_at": now, "looked_again_at": now, "failures": 1},
            {"id": uuid4(), "tenant_id": tenant, "employee_id": uuid4(), "state": "held", "trigger": "company",
             "requested_by": f"member:{member}", "requested_at": before, "receipt_hash": None, "counts": {},
             "recipients": [], "traces": {}, "scan": {}, "settled_at": None, "deleted_at": None, "verified_at": None,
             "looked_again_at": None, "failures": 0},
        ],
        "certificate": [
            {"id": uuid4(), "tenant_id": tenant, "erasure_id": erasure, "stage": 1, "document": {"version": 1},
             "jws": "header.payload.signature", "issued_at": now},
        ],
        "hold": [
            {"id": uuid4(), "tenant_id": tenant, "employee_id": employee, "basis": "claim", "reference": "4 O 12/26",
             "reason": "A claim is before the court", "placed_by": member, "placed_at": before, "confirmed_by": other,
             "confirmed_at": before, "expires_at": later, "lifted_at": now},
        ],
        "request": [
            {"id": uuid4(), "tenant_id": tenant, "employee_id": employee, "kind": "access", "regime": "gdpr",
             "received_at": before, "due_at": later, "done_at": now},
        ],
        "mail": [
            {"id": uuid4(), "tenant_id": tenant, "owner_id": employee, "template": "invitation",
             "campaign": f"{invitation}:1", "sealed": b"sealed mail", "created_at": before, "sent_at": now,
             "failed_at": None},
            {"id": uuid4(), "tenant_id": tenant, "owner_id": member, "template": "member", "campaign": "2",
             "sealed": None, "created_at": before, "sent_at": None, "failed_at": now},
        ],
        "sign_in_link": [
            {"id": uuid4(), "tenant_id": tenant, "token_hash": uuid4().bytes, "kind": "member", "subject_id": member,
             "expires_at": later, "used_at": now},
        ],
        "web_session": [
            {"id": uuid4(), "tenant_id": tenant, "token_hash": uuid4().bytes, "kind": "employee",
             "subject_id": employee, "created_at": before, "expires_at": later, "issuer": "https://login.example",
             "issuer_session": "abc"},
        ],
        "job": [
            {"id": uuid4(), "tenant_id": tenant, "kind": kind, "key": str(number), "args": [str(uuid4())],
             "state": state, "attempt": number, "due": due, "created_at": before, "finished_at": finished,
             "error": "TimeoutError"}
            for number, (kind, state, due, finished) in enumerate((
                ("compliance.erasures.execute", "ready", later, None),
                ("batch.photos.check", "running", later, None),
                ("likeness.mail.deliver", "done", None, now),
                ("batch.invitations.deliver", "dead", None, now),
            ))
        ],
        "ledger_entry": list(_ledger(tenant, member, employee, batch, before)),
    }  # fmt: skip


def _ledger(tenant: UUID, member: UUID, employee: UUID, batch: UUID, start: datetime) -> Iterator[Row]:
    """A chain as version 0002 wrote it: each entry's hash covers the one before."""
    previous = bytes(32)
    events = (
        ("batch.imported", f"member:{member}", None, [batch]),
        ("consent.given", f"employee:{employee}", str(employee), [uuid4()]),
        ("session.started", f"member:{member}", None, []),
    )
    for sequence, (event, caller, subject, objects) in enumerate(events, 1):
        at = start + timedelta(minutes=sequence)
        named = [str(one) for one in objects]
        said = {"tenant": str(tenant), "sequence": sequence, "at": at.isoformat(), "event": event, "caller": caller,
                "subject": subject, "objects": named}  # fmt: skip
        words = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(previous + words.encode()).digest()
        yield {"id": uuid4(), "tenant_id": tenant, "sequence": sequence, "at": at, "event": event, "caller": caller,
               "subject": subject, "objects": named, "previous": previous, "hash": digest}  # fmt: skip
        previous = digest


@pytest.fixture
def old(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The owner's address of a database at schema 0002."""
    server = create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("create database whole owner likeness_owner"))
    url = postgres.url("likeness_owner").replace("/likeness?", "/whole?")
    migrate(url, "0002")
    yield url
    with server.connect() as connection:
        connection.execute(text("drop database whole with (force)"))
    server.dispose()


def test_every_row_of_the_version_before_is_there_afterwards(old: str, postgres: EmbeddedPostgres) -> None:
    tenants = {one: rows_of(one) for one in (uuid4(), uuid4())}
    engine = create_engine(old)
    before = _tables(engine)
    assert {name for name in before} == set(rows_of(uuid4())), "a table of schema 0002 has no row in this test"
    for tenant, written in tenants.items():
        _fill(engine, tenant, written, before)
    migrate(old, "0059")
    departures = {tenant: _departed(engine, tenant) for tenant in tenants}
    migrate(old)
    now = _tables(engine)
    # Asked as the program asks, under row-level security, so that a row which lost its company counts as lost.
    app = create_engine(postgres.url("likeness_app").replace("/likeness?", "/whole?"))
    for tenant, written in tenants.items():
        for name, rows in written.items():
            assert name in now, f"table {name} is gone"
            _compare(app, tenant, now[name], rows)
        _has_left(app, tenant, departures[tenant])
    app.dispose()
    engine.dispose()


def _departed(engine: Engine, tenant: UUID) -> str:
    """Of 0059: a company that left, with its certificate in the departure, and a deletion that 0058 should have settled."""
    document = {"id": str(uuid4()), "issued_at": "2026-03-02T10:11:12+00:00", "controller": "Zebra Wörks"}
    payload = urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()
    left = (
        "insert into departure"
        " (id, tenant_id, asked_by, asked_at, begins_at, hand_back, ended_at, receipt_hash, counts, jws)"
        " values (:id, :tenant, :id, now(), now(), false, now(), :hash, '{}', :jws)"
    )
    with engine.begin() as connection:
        _enter(connection, tenant)
        said = {"id": uuid4(), "tenant": tenant, "hash": tenant.bytes, "jws": f"a.{payload}.c"}
        connection.execute(text(left), said)
        other = "jsonb_build_object('id', cast(:id as uuid), 'recipients', cast('[]' as jsonb), 'receipt_hash', null)"
        copy = f"select (jsonb_populate_record(e, {other})).* from erasure e where state = 'certified' limit 1"
        connection.execute(text(f"insert into erasure {copy}"), {"id": uuid4()})
    return document["id"]


def _has_left(engine: Engine, tenant: UUID, certificate: str) -> None:
    with engine.begin() as connection:
        _enter(connection, tenant)
        found = connection.execute(text("select id::text, stage, document from certificate where departure_id is not null"))
        (row,) = found.all()
        assert (row.id, row.stage, row.document["controller"]) == (certificate, 1, "Zebra Wörks")
        nobody = "state = 'certified' and recipients::text = '[]'"
        unsettled = f"select count(*) from erasure where {nobody} and recipients_settled_at is null"
        assert connection.execute(text(unsettled)).scalar_one() == 0


def _tables(engine: Engine) -> dict[str, Table]:
    found = MetaData()
    found.reflect(engine)
    return {name: table for name, table in found.tables.items() if name != "alembic_version"}


def _enter(connection: Connection, tenant: UUID) -> None:
    connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant)})


def _fill(engine: Engine, tenant: UUID, written: dict[str, list[Row]], tables: dict[str, Table]) -> None:
    with engine.begin() as connection:
        _enter(connection, tenant)
        for name, rows in written.items():
            for row in rows:
                assert set(row) == set(tables[name].columns.keys()), name
                connection.execute(tables[name].insert().values(row))


def _compare(engine: Engine, tenant: UUID, table: Table, rows: list[Row]) -> None:
    with engine.begin() as connection:
        _enter(connection, tenant)
        found = {row.id: row._mapping for row in connection.execute(table.select())}
    assert set(found) >= {row["id"] for row in rows}, f"rows of {table.name} are gone"
    for row in rows:
        kept = {name: value for name, value in row.items() if (table.name, name) not in CHANGED}
        now = {name: RENAMED.get((table.name, name), name) for name in kept}
        assert {name: found[row["id"]].get(now[name], "gone") for name in kept} == kept, table.name

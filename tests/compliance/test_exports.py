from __future__ import annotations

import csv
import io
import json
from typing import Any

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from compliance.proof import exports, signing, verifier
from compliance.records import auditing
from likeness import checkpoints, ledger
from likeness.evidence import merkle
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants.models import Role
from tests.factories import make_tenant, sign_in_member
from tests.handed_in import make_person


def test_the_exported_ledger_verifies_offline_and_any_change_shows(kernel: Kernel) -> None:
    one, other = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(one) as session:
        for _ in range(20):
            ledger.record(session, "test.happened")
    with kernel.db.transaction(one) as session:
        point = checkpoints.sign(session, signing.signer(kernel, utc_now()), utc_now())
    assert point is not None
    kept = verifier.checkpoint(point.note, verifier.Pin(signing.published(kernel)))
    lines = b"".join(exports.jsonl(kernel, one)).splitlines()
    with kernel.db.transaction(one) as session:
        assert ledger.verify(session) == len(lines) == point.size
    good, bad = verifier.check_log(lines, [kept])
    assert (bool(good), bad) == (True, [])
    assert str(other) not in str(lines)
    changed = lines.copy()
    entry = json.loads(changed[3])
    changed[3] = verifier.canonical(entry | {"event": "test.invented"})
    for broken in (changed, lines[1:], lines[:3] + lines[4:], [*lines[:3], b"nonsense", *lines[4:]], lines[:5], []):
        assert verifier.check_log(broken, [kept])[1]
    assert merkle.root([merkle.leaf_hash(line) for line in lines]) == point.root


def _lines(client: TestClient[Any], **asked: str) -> list[bytes]:
    answer = client.get("/api/v1/ledger/export", params=asked)
    assert answer.status_code == 200, answer.text
    return [line for line in answer.content.split(b"\n") if line]


def test_a_part_of_the_log_leaves_in_four_forms_and_its_proofs_hold(
    kernel: Kernel, app: Litestar, monkeypatch: Any
) -> None:
    alice, bob = make_person(kernel), make_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        for _ in range(9):
            ledger.record(session, "test.happened", subject=alice.id)
        ledger.record(session, "line.refused", subject=alice.id)
    with kernel.db.transaction(alice.tenant_id) as session:
        point = checkpoints.sign(session, signing.signer(kernel, utc_now()), utc_now())
    assert point is not None
    pin = verifier.Pin(signing.published(kernel))
    with TestClient(app) as client:
        sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
        whole = _lines(client, form="jsonl")
        assert f"{point.size} entries are in the log" in verifier.check_entries(whole, pin)
        assert "are younger" in verifier.check_entries(whole, pin), "what came after the checkpoint is not proved yet"
        mine = _lines(client, form="jsonl", person=str(alice.id))
        verifier.check_entries(mine, pin)
        assert {json.loads(json.loads(line)["entry"])["subject"] for line in mine[1:]} == {str(alice.id)}
        assert len(mine) < len(whole)
        for broken in ([whole[0], whole[1].replace(b'"position": 0', b'"position": 1')],
                       [whole[0], whole[1].replace(b"system", b"nobody")],
                       [json.dumps({"checkpoints": []}).encode(), whole[1]]):  # fmt: skip
            with pytest.raises(verifier.Invalid):
                verifier.check_entries(broken, pin)
        today, gone = f"{utc_now():%Y-%m-%d}", "2020-01-01"
        assert len(_lines(client, form="jsonl", since=today, until=today)) >= len(whole)
        assert len(_lines(client, form="jsonl", until=gone)) == 1
        rows = list(csv.DictReader(io.StringIO(b"\n".join(_lines(client, form="csv")).decode())))
        for row in rows[: point.size]:
            proof = [bytes.fromhex(one) for one in row["proof"].split()]
            leaf = merkle.leaf_hash(row["entry"].encode())
            assert leaf.hex() == row["leaf"]
            verifier.check_inclusion(
                leaf, int(row["position"]), int(row["tree_size"]), proof, bytes.fromhex(row["tree_root"])
            )
        events = [json.loads(line) for line in _lines(client, form="ocsf")]
        assert all(one["type_uid"] == one["class_uid"] * 100 + one["activity_id"] for one in events)
        assert [event["unmapped"]["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert "tenant.created" in {event["unmapped"]["event"] for event in events}
        failed = {event["unmapped"]["event"] for event in events if event["status"] != "Success"}
        assert failed == {"line.refused"}, "what was refused is no success"
        assert {event["status_id"] for event in events if event["status"] == "Failure"} == {2}
        assert events[-1]["activity_name"] == "Read", "who exported the log is in the log"
        monkeypatch.setattr(auditing, "SHEET_ROWS", 5)
        book = openpyxl.load_workbook(io.BytesIO(client.get("/api/v1/ledger/export", params={"form": "xlsx"}).content))
        cells = [[cell.value for cell in row] for page in book.worksheets for row in page.iter_rows(min_row=2)]
        assert len(book.worksheets) > 2
        assert all(page["A1"].font.b and page.column_dimensions["B"].width > 20 for page in book.worksheets)
        assert [int(row[0]) for row in cells] == list(range(1, len(cells) + 1))
        assert all(page.max_row <= 5 and page.cell(1, 1).value == "number" for page in book.worksheets)
        for bad in ({"form": "pdf"}, {"since": "31.3.2027"}, {"person": "Nadia"}, {"since": today, "until": gone}):
            assert client.get("/api/v1/ledger/export", params=bad).status_code == 422
        assert len(_lines(client, form="jsonl", person=str(bob.id))) == 1, "another company's person is not in this log"
        sign_in_member(client, kernel, alice.tenant_id, Role.HR)
        assert client.get("/api/v1/ledger/export").status_code == 403
        sign_in_member(client, kernel, alice.tenant_id, Role.AUDITOR)
        with kernel.db.transaction(alice.tenant_id) as session:
            session.execute(text("update web_session set authenticated_at = now() - interval '1 hour'"))
        assert client.get("/api/v1/ledger/export").status_code == 403, "it takes a fresh sign-in"


def test_flat_trees_have_the_roots_and_proofs_of_the_standard() -> None:
    for size in (0, 1, 2, 3, 5, 8, 13, 200):
        log = [merkle.leaf_hash(str(number).encode()) for number in range(size)]
        flat = merkle.Levels(iter(log))
        assert flat.root == merkle.root(log)
        assert [flat.inclusion(at) for at in range(size)] == [merkle.inclusion(log, at) for at in range(size)]
        with pytest.raises(IndexError):
            flat.inclusion(size)

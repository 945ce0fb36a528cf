"""What is previewed is what is imported, what will change is said, and all of it can be undone for a while."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import select

from batch.models import Correction, Employee
from batch.people import employees
from batch.reading import workbook
from batch.roster import corrections
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.mail import mail
from tests.factories import give_consent, make_tenant, run_jobs, sign_in_member

CASES = Path(__file__).parents[1] / "cases"
HEADINGS = ("Employee ID", "Full name", "E-mail", "Department")
EVA = ("1", "Eva Neu", "eva@acme.example", "Design")
HANS = ("2", "Hans Alt", "hans@acme.example", "Sales")
INA = ("3", "Ina Klar", "ina@acme.example", "Sales")


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def tenant(kernel: Kernel, client: TestClient[Any]) -> UUID:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    return tenant


def roster(*rows: Sequence[str], headings: Sequence[str] = HEADINGS) -> bytes:
    return workbook.export(headings, rows)


def drop(client: TestClient[Any], data: bytes, name: str = "people.xlsx") -> tuple[str, dict[str, Any]]:
    dropped = client.post("/api/v1/batches", files={"workbook": (name, data)})
    assert dropped.status_code == 201, dropped.text
    return f"/api/v1/batches/{dropped.json()['batch']['id']}", dropped.json()["reading"]


def imported(client: TestClient[Any], data: bytes, **how: Any) -> tuple[str, dict[str, Any]]:
    base, reading = drop(client, data)
    if "mapping" in how:
        reading = client.post(f"{base}/preview", json={"mapping": how["mapping"]}).json()
    done = client.post(f"{base}/commit", json={"digest": reading["digest"], **how})
    assert done.status_code == 200, done.text
    return base, done.json()


def people(client: TestClient[Any], base: str) -> list[str]:
    return [one["name"] for one in client.get(f"{base}/people").json()]


def everybody(kernel: Kernel, tenant: UUID) -> dict[str, employees.EmployeeProfile]:
    with kernel.db.transaction(tenant) as session:
        found = session.exec(select(Employee).where(Employee.tenant_id == tenant)).all()
        return {who.email: who for who in (employees.profile(kernel.keys, one) for one in found)}


def test_what_was_shown_is_what_is_imported(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    base, first = drop(client, (CASES / "06_two_sheets.xlsx").read_bytes())
    shown = client.post(f"{base}/preview", json={"sheet": "Hamburg"}).json()
    assert (first["good_rows"], shown["good_rows"]) == (5, 6)
    for refused in (
        {"digest": shown["digest"]},
        {"digest": first["digest"], "sheet": "Hamburg"},
        {"digest": shown["digest"], "sheet": "Hamburg", "mapping": {"department": ""}},
        {"sheet": "Hamburg"},
    ):
        answer = client.post(f"{base}/commit", json=refused)
        assert answer.status_code == 409
        assert answer.json()["title"] == "Nothing was imported"
    assert everybody(kernel, tenant) == {}
    done = client.post(f"{base}/commit", json={"digest": shown["digest"], "sheet": "Hamburg"}).json()
    assert done["created"] == 6
    assert people(client, base) == [f"Hamburg Person {number}" for number in range(1, 7)]


def test_a_roster_that_changed_meanwhile_is_looked_at_again(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    imported(client, roster(EVA))
    base, shown = drop(client, roster((*EVA[:3], "Legal"), HANS))
    imported(client, roster((*EVA[:3], "Finance")))
    answer = client.post(f"{base}/commit", json={"digest": shown["digest"]})
    assert answer.status_code == 409
    assert "has changed since you looked" in answer.json()["detail"]
    assert everybody(kernel, tenant)[EVA[2]].department == "Finance"
    again = client.post(f"{base}/preview", json={}).json()
    for created in (1, 0):  # Repeating an import that was done is no contradiction.
        assert client.post(f"{base}/commit", json={"digest": again["digest"]}).json()["created"] == created
    assert everybody(kernel, tenant)[EVA[2]].department == "Legal"


def test_the_digest_of_another_company_is_worth_nothing(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    _, theirs = drop(client, roster(EVA))
    sign_in_member(client, kernel, make_tenant(kernel))
    base, ours = drop(client, roster(EVA))
    assert ours["digest"] != theirs["digest"]
    assert client.post(f"{base}/commit", json={"digest": theirs["digest"]}).status_code == 409


def test_a_question_is_answered_before_anything_is_imported(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    heads = ("Name", "E-Mail 1", "E-Mail 2")
    base, shown = drop(client, roster(("Eva Neu", "a@acme.example", "b@acme.example"), headings=heads))
    assert [question["field"] for question in shown["questions"]] == ["email"]
    answer = client.post(f"{base}/commit", json={"digest": shown["digest"]})
    assert answer.status_code == 409
    assert "E-Mail 1" in answer.json()["detail"]
    assert everybody(kernel, tenant) == {}
    answered = {"mapping": {"email": "E-Mail 2"}}
    shown = client.post(f"{base}/preview", json=answered).json()
    assert shown["questions"] == []
    assert client.post(f"{base}/commit", json={"digest": shown["digest"], **answered}).json()["created"] == 1
    assert list(everybody(kernel, tenant)) == ["b@acme.example"]


def test_what_was_said_about_columns_is_remembered_for_the_same_headings_only(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    heads, said = ("Wer", "Wohin", "Wo"), {"full_name": "Wer", "email": "Wohin"}
    imported(client, roster(("Eva Neu", EVA[2], "Bonn"), headings=heads), mapping=said)
    _, again = drop(client, roster(("Bonn", "Hans Alt", HANS[2]), headings=("Wo", "Wer", "Wohin")))
    assert (again["sample"][0]["full_name"], again["questions"]) == ("Hans Alt", [])
    _, other = drop(client, roster(("Ina Klar", INA[2]), headings=("Wer", "Wohin")))
    assert {question["field"] for question in other["questions"]} == {"email", "full_name"}
    # One name column in an earlier file says nothing about a file with two.
    imported(client, (CASES / "remembered_mapping_1.xlsx").read_bytes())
    _, parts = drop(client, (CASES / "remembered_mapping_2_vorname_name.xlsx").read_bytes())
    assert [one["full_name"] for one in parts["sample"]] == ["Hans Müller", "Eva Schmidt"]
    sign_in_member(client, kernel, make_tenant(kernel))
    _, stranger = drop(client, roster(("Eva Neu", EVA[2], "Bonn"), headings=heads))
    assert stranger["questions"]


def test_rows_that_the_roster_contradicts_come_back_whole(client: TestClient[Any], tenant: UUID) -> None:
    imported(client, roster(("88", "Otto Alt", "otto@coa.example", "")))
    base, shown = drop(client, (CASES / "roster_conflict_two_name_columns.xlsx").read_bytes())
    assert (shown["good_rows"], shown["failed_rows"]) == (0, 1)
    sheet = openpyxl.load_workbook(io.BytesIO(client.get(f"{base}/problems").content)).worksheets[0]
    heads, row = ([cell.value for cell in line] for line in sheet.iter_rows())
    assert heads == ["Reason", "Personalnummer", "Vorname", "Nachname", "E-Mail", "Kostenstelle", "Tel"]
    assert row[1:] == ["88", "Eva", "Neu", "eva@coa.example", "K3", "0123"]
    assert "another name and another address" in row[0]


def test_bad_rows_are_those_of_the_reading_that_was_asked_for(client: TestClient[Any], tenant: UUID) -> None:
    base, _ = drop(client, roster(("1", "Eva Neu", "nowhere", "x@acme.example")))
    assert client.get(f"{base}/problems").status_code == 200
    how = {"mapping": {"email": "Department", "full_name": "E-mail"}}
    data = client.post(f"{base}/problems", json=how).content
    assert openpyxl.load_workbook(io.BytesIO(data)).worksheets[0].max_row == 1


def test_undo_takes_corrections_back_too(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    imported(client, roster(EVA, ("", *HANS[1:])))
    before = everybody(kernel, tenant)
    moved = ("1", "Eva Neu", "eva.neu@acme.example", "Legal")
    base, done = imported(client, roster(moved, ("2", "Hans H. Alt", *HANS[2:]), INA))
    assert (done["created"], done["updated"]) == (1, 2)
    assert everybody(kernel, tenant)["eva.neu@acme.example"].department == "Legal"
    assert client.post(f"{base}/undo").json() == {
        "removed": 1, "restored": 2, "kept": 0, "still_corrected": 0, "mailed": 0,
    }  # fmt: skip
    assert everybody(kernel, tenant) == before
    with kernel.db.transaction(tenant) as session:
        found = employees.find(session, kernel.keys, EVA[2])
        assert found is not None
        assert session.exec(select(Correction).where(Correction.tenant_id == tenant)).all() == []
    # The number that Hans was given is free again.
    assert imported(client, roster(("2", "Otto Fern", "otto@acme.example", "")))[1]["created"] == 1


def test_a_correction_that_was_corrected_again_stays_and_undo_says_so(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    imported(client, roster(EVA, HANS))
    base, _ = imported(client, roster((*EVA[:3], "Legal"), (*HANS[:3], "Legal")))
    imported(client, roster((*EVA[:3], "Finance")))
    done = client.post(f"{base}/undo").json()
    assert (done["restored"], done["still_corrected"], done["removed"]) == (1, 1, 0)
    now = everybody(kernel, tenant)
    assert (now[EVA[2]].department, now[HANS[2]].department) == ("Finance", HANS[3])


def test_undo_moves_nobody_who_consented_at_the_new_address(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    imported(client, roster(EVA), invite=True)
    base, _ = imported(client, roster((EVA[0], EVA[1], "eva.neu@acme.example", EVA[3])))
    with kernel.db.transaction(tenant) as session:
        person = employees.find(session, kernel.keys, "eva.neu@acme.example")
        assert person is not None
        give_consent(session, kernel, person)
    done = client.post(f"{base}/undo").json()
    assert (done["restored"], done["still_corrected"]) == (0, 1)
    assert list(everybody(kernel, tenant)) == ["eva.neu@acme.example"]


def test_a_question_about_an_address_is_taken_back_by_undo(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    imported(client, roster(EVA), invite=True)
    with kernel.db.transaction(tenant) as session:
        person = employees.find(session, kernel.keys, EVA[2])
        assert person is not None
        give_consent(session, kernel, person)
    base, done = imported(client, roster((EVA[0], EVA[1], "eva.neu@acme.example", EVA[3])))
    assert done["asked"] == 1
    assert client.post(f"{base}/undo").json()["restored"] == 1
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        assert not [letter for letter in mail.mailbox(session) if letter.template == "address-asked"]


def test_old_values_are_sealed_and_gone_when_undo_is(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    imported(client, roster(("1", "Canary Zimtstern", EVA[2], "Canaryland")))
    imported(client, roster(("1", "Canary Zimtstern", EVA[2], "Elsewhere")))
    with kernel.db.transaction(tenant) as session:
        rows = session.execute(text("select t::text from correction t")).scalars().all()
        assert len(rows) == 1
        assert not re.search("canary|zimtstern", rows[0], re.IGNORECASE)
        assert b"Canaryland".hex() not in rows[0]
    corrections.forget(kernel, utc_now() + timedelta(minutes=14))
    with kernel.db.transaction(tenant) as session:
        assert session.exec(select(Correction.id)).all()
    corrections.forget(kernel, utc_now() + timedelta(minutes=15, seconds=1))
    with kernel.db.transaction(tenant) as session:
        assert session.exec(select(Correction.id)).all() == []


def test_old_values_of_another_company_are_out_of_reach(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    imported(client, roster(EVA))
    base, _ = imported(client, roster((*EVA[:3], "Legal")))
    sign_in_member(client, kernel, make_tenant(kernel))
    assert client.post(f"{base}/undo").status_code == 404
    assert everybody(kernel, tenant)[EVA[2]].department == "Legal"

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlmodel import col, select

from batch.models import Employee
from batch.people import employees
from batch.reading import workbook
from batch.roster import batches
from batch.visit import consents
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.jobs.jobs import Job
from likeness.kernel import Kernel
from likeness.mail import mail
from tenants.members import programs
from tenants.members.permissions import Permission
from tenants.models import Role
from tests.factories import (
    give_consent,
    make_batch,
    make_employee,
    make_member,
    make_tenant,
    run_jobs,
    sign_in,
    sign_in_employee,
    sign_in_member,
)

ROWS = [["00001", "Nadia Ümit", "nadia@zebra.example"], ["00002", "Zoë van B", "zoe@zebra.example"], ["3", "X", "bad"]]
ROSTER = workbook.export(["Employee ID", "Name", "E-mail"], ROWS)
HOSTILE = ["'; drop table employee; --", "{{7*7}}", "a\u0000b", "x" * 1_000_000, "\u202e", "../../etc/passwd", "%s%n"]


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    """A browser of its own, at an address that has not guessed at links yet."""
    app.state.pop("tries", None)
    with TestClient(app=app) as client:
        yield client


@pytest.fixture
def tenant(kernel: Kernel) -> UUID:
    return make_tenant(kernel, with_credits=5)


def drop(client: TestClient[Any], data: bytes = ROSTER, path: str = "/api/v1/batches", **fields: str) -> Any:
    return client.post(path, files={"workbook": ("people.xlsx", data)}, data={"name": "Spring"} | fields)


def token(kernel: Kernel, tenant: UUID) -> str:
    with kernel.db.transaction(tenant) as session:
        letter = mail.read(kernel.keys, mail.mailbox(session)[0])
    assert letter is not None
    return next(line for line in letter.text.splitlines() if "/i/" in line).rpartition("/")[2]


def person(kernel: Kernel, tenant: UUID) -> Employee:
    with kernel.db.transaction(tenant) as session:
        return make_employee(session, kernel)


def test_from_the_workbook_to_the_first_consent(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    sign_in_member(client, kernel, tenant)
    dropped = drop(client, due_on="2027-01-31")
    assert dropped.status_code == 201
    reading, batch = dropped.json()["reading"], dropped.json()["batch"]
    assert (reading["good_rows"], reading["failed_rows"], batch["due_on"]) == (2, 1, "2027-01-31")
    base = f"/api/v1/batches/{batch['id']}"
    assert client.get(f"{base}/people").json() == []
    assert client.post(f"{base}/preview", json={"mapping": {"full_name": "Name"}}).json()["good_rows"] == 2
    done = client.post(f"{base}/commit", json={"invite": True, "digest": reading["digest"]}).json()
    assert (done["created"], done["invited"], len(done["problems"])) == (2, 2, 1)
    again = client.post(f"{base}/commit", json={"invite": True, "digest": reading["digest"]})
    assert again.json()["created"] == 0
    bad = openpyxl.load_workbook(io.BytesIO(client.get(f"{base}/problems").content)).worksheets[0]
    assert bad.max_row == 2
    run_jobs(kernel, tenant=tenant)
    people = client.get(f"{base}/people").json()
    assert [one["name"] for one in people] == ["Nadia Ümit", "Zoë van B"]
    assert client.get(f"/api/v1/employees/{people[0]['id']}").json()["email"] == "nadia@zebra.example"

    link = token(kernel, tenant)
    client.cookies.clear()
    assert client.get("/api/v1/visit").status_code == 401
    shown = client.get(f"/api/v1/links/{link}")
    assert shown.json() == {"state": "open", "controller": "Zebra Works"}
    assert client.post(f"/api/v1/links/{link}").json() == {"go_to": "/visit"}
    visit = client.get("/api/v1/visit").json()
    assert (visit["stage"], visit["consented"], visit["controller"]) == ("opened", False, "Zebra Works")
    notice = client.get("/api/v1/visit/notice").json()
    assert client.get("/api/v1/visit/notice?language=de").json()["language"] == "de"
    answer = {"purposes": list(notice["purposes"]), "notice_id": notice["id"], "typed_name": visit["name"]}
    assert client.post("/api/v1/visit/consent", json=answer | {"purposes": []}).status_code == 422
    assert len(client.post("/api/v1/visit/consent", json=answer).json()) == 2
    assert client.get("/api/v1/visit").json()["consented"] is True
    assert len(client.get("/api/v1/visit/consent").json()) == 2
    again = client.post(f"/api/v1/links/{link}")
    assert (again.status_code, again.json()["type"]) == (410, "urn:likeness:link-used")
    assert client.get(f"/api/v1/links/{link}").json()["state"] == "used"
    assert client.post(f"/api/v1/links/{link}/renew").status_code == 202
    assert client.post("/api/v1/visit/decline").status_code == 204

    sign_in_member(client, kernel, tenant)
    funnel = client.get(f"{base}/funnel").json()
    assert funnel["roster"] == 2 == sum(line["people"] for line in funnel["stages"])
    # A no is not shown before the invitation ends.
    assert {line["stage"]: line["people"] for line in funnel["stages"]}["opted out"] == 0
    assert client.get(f"{base}/attention").json() == []
    assert client.get(f"{base}/status").content[:2] == b"PK"
    assert client.patch(base, json={"name": "Autumn", "due_on": None}).json()["name"] == "Autumn"
    assert [one["name"] for one in client.get("/api/v1/batches").json()] == ["Autumn"]
    assert client.post(f"{base}/revoke").json() == {"people": 2}  # The one who said no is not told apart.
    assert client.post(f"{base}/invite", json={}).json() == {"people": 2}
    undone = client.post(f"{base}/undo").json()
    assert (undone["removed"], undone["kept"], undone["restored"]) == (1, 1, 0)


def test_an_import_by_a_key_is_the_members_who_made_the_key(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    maker = make_member(kernel, tenant, Role.HR)
    with kernel.db.transaction(tenant) as session:
        _, key = programs.make(session, maker, "HRIS", [Permission.PEOPLE_IMPORT], utc_now())
    client.cookies.clear()
    answer = client.post(
        "/api/v1/batches", files={"workbook": ("people.xlsx", ROSTER)}, headers={"authorization": f"Bearer {key}"}
    )
    assert answer.status_code == 201
    with kernel.db.transaction(tenant) as session:
        assert batches.get(session, UUID(answer.json()["batch"]["id"])).created_by == maker.id
        (dropped,) = [one for one in ledger.entries(session) if one.event == "batch.dropped"]
        assert dropped.caller == f"member:{maker.id}"


def test_the_template_reads_as_an_empty_roster(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    sign_in_member(client, kernel, tenant)
    for language in ("en", "de", "xx"):
        template = client.get(f"/api/v1/template?language={language}")
        assert template.headers["content-type"].startswith("application/vnd.openxmlformats")
        assert "email" in workbook.read(template.content).mapping


def test_hr_consents_for_nobody_and_sees_one_word(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        declined, withdrew = (make_employee(session, kernel, batch=batch) for _ in range(2))
        give_consent(session, kernel, withdrew)
    with kernel.db.transaction(tenant) as session:
        consents.decline(session, declined.id, utc_now())
        consents.withdraw(session, withdrew.id, utc_now())
    for role in Role.HR, Role.LEGAL:
        sign_in_member(client, kernel, tenant, role)
        answer = {"purposes": ["headshots"], "notice_id": str(uuid4()), "typed_name": "x"}
        assert client.post("/api/v1/visit/consent", json=answer).status_code == 403
        assert client.post("/api/v1/visit/decline").status_code == 403
        assert client.get("/api/v1/visit").status_code == 403
    sign_in_member(client, kernel, tenant)
    people = client.get(f"/api/v1/batches/{batch.id}/people").json()
    told = [{k: v for k, v in one.items() if k not in ("id", "email")} for one in people]
    assert told[0] == told[1]
    date.fromisoformat(told[0]["invite_from"])  # A day, which tells nobody the moment of an answer.
    assert told[0]["since"] is None
    assert told[0]["stage"] == "opted out"


def test_every_route_of_the_desk_hides_other_companies(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    other = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        employee = make_employee(session, kernel, batch=batch)
    sign_in_member(client, kernel, other)
    routes = [
        ("GET", f"/batches/{{}}{end}") for end in ("", "/people", "/funnel", "/attention", "/status", "/problems")
    ]
    routes += [("POST", f"/batches/{{}}{end}") for end in ("/preview", "/commit", "/undo", "/revoke", "/invite")]
    assert client.get("/api/v1/batches").json() == []
    found = []
    for method, path in routes:
        for batch_id in (batch.id, uuid4()):
            answer = client.request(method, "/api/v1" + path.format(batch_id), json={} if method == "POST" else None)
            found.append((answer.status_code, answer.json()))
    assert {status for status, _ in found} == {404}
    assert all(found[at] == found[at + 1] for at in range(0, len(found), 2))
    assert client.patch(f"/api/v1/batches/{batch.id}", json={"name": "x"}).status_code == 404
    assert drop(client, path=f"/api/v1/batches/{batch.id}/workbook").status_code == 404
    for method, end in (("GET", ""), ("POST", "/invite"), ("POST", "/resend"), ("POST", "/revoke")):
        assert client.request(method, f"/api/v1/employees/{employee.roster_id}{end}").status_code == 404


def test_the_desk_is_hrs_alone(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    one = person(kernel, tenant)
    paths = ["/batches", f"/batches/{one.batch_id}", f"/batches/{one.batch_id}/people", f"/employees/{one.roster_id}"]
    for come_in in (
        lambda: client.cookies.clear(),
        lambda: sign_in_employee(client, kernel, one),
        lambda: sign_in_member(client, kernel, tenant, Role.LEGAL),
    ):
        come_in()
        assert {client.get(f"/api/v1{path}").status_code for path in paths} <= {401, 403}
        assert drop(client).status_code in (401, 403)


def test_an_employee_sees_only_their_own_visit(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    one, two = person(kernel, tenant), person(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        give_consent(session, kernel, two)
    sign_in_employee(client, kernel, one)
    assert client.get("/api/v1/visit/consent").json() == []
    assert client.get("/api/v1/visit").json()["consented"] is False
    # A session of somebody who was erased meanwhile leads nowhere.
    sign_in(client, kernel, tenant, Kind.EMPLOYEE, uuid4())
    assert client.get("/api/v1/visit").status_code == 404
    assert client.post("/api/v1/visit/decline").status_code == 404


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_are_kept_or_refused_and_never_break(
    kernel: Kernel, client: TestClient[Any], tenant: UUID, text: str
) -> None:
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        one = make_employee(session, kernel, batch=batch)
    sign_in_member(client, kernel, tenant)
    refused = "\0" in text or len(text) > 1000
    expected = {422} if refused else {200, 201}
    assert client.patch(f"/api/v1/batches/{batch.id}", json={"name": text}).status_code in expected
    how = client.post(f"/api/v1/batches/{batch.id}/preview", json={"sheet": text, "mapping": {text: text}})
    assert how.status_code in (400, 410, 413, 422)  # Twice a megabyte is more than a body may be.
    assert drop(client, name=text[:20_000]).status_code in (201, 422)
    sign_in_employee(client, kernel, one)
    notice = client.get("/api/v1/visit/notice").json()
    answer = {"purposes": list(notice["purposes"]), "notice_id": notice["id"], "typed_name": text,
              "named_otherwise": True}  # fmt: skip
    signed = expected if any(sign.isalpha() for sign in text) else {422}  # Nobody's name is without a letter.
    assert client.post("/api/v1/visit/consent", json=answer).status_code in signed
    # Twice a megabyte is more than a body may be.
    assert client.post("/api/v1/visit/consent", json=answer | {"purposes": [text]}).status_code in (413, 422)
    assert client.get("/api/v1/visit/notice", params={"language": text[:2000]}).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=workbook\r\n\r\ncut"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
        ),
        ("multipart/form-data; boundary=b", b"\0" * 5000),
    ],
)
def test_what_is_no_form_is_told(
    kernel: Kernel, client: TestClient[Any], tenant: UUID, content_type: str, body: bytes
) -> None:
    sign_in_member(client, kernel, tenant)
    answer = client.post("/api/v1/batches", content=body, headers={"content-type": content_type})
    assert answer.status_code == 422


def test_files_too_large_or_unreadable_are_refused(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    sign_in_member(client, kernel, tenant)
    assert drop(client, b"x" * (10 * 2**20 + 1)).status_code == 413
    assert drop(client, b"%PDF-1.7").status_code == 422
    assert drop(client, due_on="tomorrow").status_code == 422
    batch = drop(client).json()["batch"]["id"]
    assert client.post(f"/api/v1/batches/{batch}/invite", json={"send_at": "2020-01-01T09:00:00Z"}).status_code == 422
    assert client.post(f"/api/v1/batches/{batch}/commit", json={"header_row": 0}).status_code == 400
    assert client.post(f"/api/v1/batches/{batch}/commit", json={"sheet": "None such"}).status_code == 422


def test_guessing_at_links_is_slowed_down_and_offices_are_not(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    sign_in_member(client, kernel, tenant)
    dropped = drop(client).json()
    shown = {"invite": True, "digest": dropped["reading"]["digest"]}
    client.post(f"/api/v1/batches/{dropped['batch']['id']}/commit", json=shown)
    run_jobs(kernel, tenant=tenant)
    link = token(kernel, tenant)
    for _ in range(30):
        assert client.get(f"/api/v1/links/{link}").status_code == 200
    guesses = [client.get(f"/api/v1/links/{tenant.hex}.{number}").status_code for number in range(22)]
    assert guesses == [410] * 20 + [429] * 2
    assert client.get(f"/api/v1/links/{link}").status_code == 200  # A link that exists always works.


def test_one_person_is_invited_at_a_moment_of_the_next_sixty_days(
    kernel: Kernel, client: TestClient[Any], tenant: UUID
) -> None:
    one, now = person(kernel, tenant), utc_now()
    sign_in_member(client, kernel, tenant)
    path = f"/api/v1/employees/{one.roster_id}/invite"
    for wrong in (now - timedelta(hours=1), now + timedelta(days=61), now.replace(tzinfo=None) + timedelta(days=1)):
        assert client.post(path, json={"send_at": wrong.isoformat()}).status_code == 422, wrong
    assert client.post(path, json={"when": "later"}).status_code == 400
    assert client.post(path, json={"send_at": (now + timedelta(days=2)).isoformat()}).status_code == 204
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        assert not [row for row in mail.mailbox(session) if row.owner_id == one.id], "not before the moment"
        waits = session.exec(select(Job.due).where(Job.tenant_id == tenant, col(Job.due) > now + timedelta(days=1))).all()
        assert waits == [now + timedelta(days=2)]


def test_a_link_is_made_for_hr_only_by_mail(kernel: Kernel, client: TestClient[Any], tenant: UUID) -> None:
    one = person(kernel, tenant)
    sign_in_member(client, kernel, tenant)
    assert client.post(f"/api/v1/employees/{one.roster_id}/resend").json()["type"] == "urn:likeness:not-invited"
    assert client.post(f"/api/v1/employees/{one.roster_id}/invite").status_code == 204
    assert client.post(f"/api/v1/employees/{one.roster_id}/invite").status_code == 409
    run_jobs(kernel, tenant=tenant)
    assert client.post(f"/api/v1/employees/{one.roster_id}/resend").json()["type"] == "urn:likeness:sent-just-now"
    assert client.post(f"/api/v1/employees/{one.roster_id}/revoke").status_code == 204
    with kernel.db.transaction(tenant) as session:
        assert employees.stage(session, one.id) == "added"

"""HR's, legal's and the operators' pages, through HTTP."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl
from litestar.testing import TestClient

import dashboard
from batch import batches, employees, headshots, invitations
from batch.models import Batch
from likeness.db import PLATFORM, utc_now
from likeness.identity import Kind, start_session
from likeness.jobs import Job, JobState
from likeness.kernel import Kernel
from likeness.web import cookie_name
from tenants import members
from tenants.models import Role
from tests.dashboard.markup import check, get
from tests.factories import (
    make_batch,
    make_employee,
    make_member,
    make_tenant,
    run_jobs,
    sign_in,
    sign_in_employee,
    sign_in_member,
)  # fmt: skip
from tests.handed_in import make_headshots, make_person

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def workbook(*rows: tuple[str, str]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["Full name", "E-mail"])
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def drop(client: TestClient[Any], data: bytes, name: str = "people.xlsx", **fields: str) -> Any:
    return client.post("/desk/batches", files={"workbook": (name, data, XLSX)}, data=fields, follow_redirects=False)


def test_an_empty_desk_says_what_to_do(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_member(client, kernel, make_tenant(kernel))
    assert "No batch yet" in get(client, "/desk")
    assert get(client, "/", 303) == "/desk"


def digest_in(page: str) -> str:
    found = re.search(r'name="digest" value="([0-9a-f.]+)"', page)
    assert found
    return found[1]


def test_a_workbook_is_looked_at_imported_and_undone(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    dropped = drop(client, workbook(("Ada Byron", "ada@desk.example"), ("Bad", "nowhere")), name="a.xlsx")
    preview = dropped.headers["location"]
    page = get(client, preview)
    assert "Ada Byron" in page
    assert "Row 3" in page
    batch = preview.split("/")[3]
    with kernel.db.transaction(tenant) as session:
        assert batches.people(session, kernel.keys, UUID(batch), utc_now()) == []
    bad = client.get(f"/desk/batches/{batch}/bad-rows")
    assert openpyxl.load_workbook(io.BytesIO(bad.content)).active.max_row == 2  # type: ignore[union-attr]
    imported = client.post(f"/desk/batches/{batch}/commit", data={"invite": "now", "digest": digest_in(page)})
    assert "1 person added, 1 invited." in imported.text
    assert "Undo the import" in imported.text
    check("batch", imported.text, dict(imported.headers))
    assert "1 person removed again" in client.post(f"/desk/batches/{batch}/undo").text


def test_a_file_that_cannot_be_read_is_told_on_the_page(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_member(client, kernel, make_tenant(kernel))
    refused = drop(client, b"PK\x03\x04 no workbook", name="people.xlsx")
    assert refused.status_code == 422
    assert 'role="alert"' in refused.text
    assert drop(client, workbook(("Ada", "ada@x.example")), due_on="tomorrow").status_code == 422


def test_without_credits_nothing_is_imported_and_the_page_says_so(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_member(client, kernel, make_tenant(kernel, with_credits=0))
    preview = drop(client, workbook(("Ada", "ada@poor.example"))).headers["location"]
    form = {"invite": "now", "digest": digest_in(get(client, preview))}
    refused = client.post(preview.replace("/preview", "/commit"), data=form)
    assert refused.status_code == 409
    assert "credits" in refused.text


def some_batch(kernel: Kernel, tenant: UUID, people: int = 3) -> Batch:
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session, imported_at=utc_now() - timedelta(hours=2))
        for number in range(people):
            make_employee(session, kernel, batch=batch, full_name=f"Person {number}", department="Design")
    return batch


def test_the_funnel_is_fetched_alone_and_sums_to_the_roster(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    batch = some_batch(kernel, tenant)
    at = f"/desk/batches/{batch.id}"
    assert "3 of 3 counted" in get(client, at)
    live = client.get(at, headers={"hx-request": "true", "hx-target": "live"})
    assert live.text.strip().startswith('<div id="live"')
    assert "<html" not in live.text
    assert "Undo the import" not in get(client, at)


def test_people_are_found_by_name_stage_and_department(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    at = f"/desk/batches/{some_batch(kernel, tenant).id}"
    roster = {"hx-request": "true", "hx-target": "roster"}
    assert client.get(f"{at}?q=person+1", headers=roster).text.count("<tr>") == 2
    assert "Nobody matches" in client.get(f"{at}?stage=training", headers=roster).text
    assert client.get(f"{at}?department=Design&page=1", headers=roster).text.count("<tr>") == 4
    assert "Nobody matches" in client.get(f"{at}?page=99", headers=roster).text


def test_invite_remind_and_revoke(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    at = f"/desk/batches/{some_batch(kernel, tenant).id}"
    assert "3 invited." in client.post(f"{at}/invite").text
    run_jobs(kernel, tenant=tenant)
    # Whoever reads the mailbox could act as the people in it, so HR has none.
    get(client, "/desk/mailbox", 404)
    get(client, f"/operations/mailbox/{tenant}", 403)
    assert "3 invitations revoked" in client.post(f"{at}/revoke").text
    assert client.post(f"{at}/nonsense").status_code == 404


def test_hr_sees_released_headshots_only(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    one, other, *_ = make_headshots(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [one.id], utc_now())
    sign_in_member(client, kernel, person.tenant_id)
    page = get(client, f"/desk/batches/{person.batch_id}/headshots")
    assert str(one.id) in page
    assert str(other.id) not in page
    assert client.get(f"/desk/batches/{person.batch_id}/status").content[:2] == b"PK"


def test_another_companys_batch_is_not_found(client: TestClient[Any], kernel: Kernel) -> None:
    batch = some_batch(kernel, make_tenant(kernel))
    sign_in_member(client, kernel, make_tenant(kernel))
    for path in ("", "/preview", "/headshots", "/status", "/bad-rows"):
        get(client, f"/desk/batches/{batch.id}{path}", 404)
    for act in ("invite", "undo", "revoke", "commit"):
        assert client.post(f"/desk/batches/{batch.id}/{act}", data={"invite": "now"}).status_code == 404, act


def test_looks_are_added_and_retired(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_member(client, kernel, make_tenant(kernel))
    page = get(client, "/desk/looks")
    assert "Studio grey" in page
    words = {"name": "Blue", "backdrop": "blue", "dress": "navy suit", "framing": "close-up", "light": "daylight"}
    added = client.post("/desk/looks", data=words)
    assert added.text.count("version 1") == page.count("version 1") + 1
    again = client.post("/desk/looks", data=words)
    assert again.status_code == 409
    assert 'value="Blue"' in again.text
    look = re.search(r"/desk/looks/([0-9a-f-]{36})/retire", page)
    assert look
    assert "Studio grey" not in client.post(f"/desk/looks/{look[1]}/retire").text


def test_credits_show_balance_and_movements(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_member(client, kernel, make_tenant(kernel, with_credits=7))
    assert "+7" in get(client, "/desk/credits")


def test_legal_sees_erasures_and_the_ledger_and_hr_does_not(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.LEGAL)
    assert get(client, "/", 303) == "/legal"
    assert "Nothing was erased yet" in get(client, "/legal")
    assert "tenant: created" in get(client, "/legal/ledger")
    assert "The chain is whole" in get(client, "/legal/ledger/check")
    export = client.get("/api/v1/ledger")
    assert export.text.count("\n") >= 3
    assert '"event":"tenant.created"' in export.text
    get(client, "/desk", 403)
    sign_in_member(client, kernel, tenant, Role.HR)
    for path in ("/legal", "/legal/ledger"):
        get(client, path, 403)


def test_a_hold_takes_two_people_and_shows_to_the_person(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    second = make_member(kernel, person.tenant_id, Role.LEGAL, name="Second Sight")
    sign_in_member(client, kernel, person.tenant_id, Role.LEGAL)
    form = {"employee_id": str(person.id), "basis": "subpoena", "reference": "12 O 34/26", "reason": "order",
            "until": f"{utc_now() + timedelta(days=30):%Y-%m-%d}"}  # fmt: skip
    assert "needs a second person" in client.post("/legal/holds", data=form).text
    for refused in ({"employee_id": "Nadia"}, {"until": "soon"}, {"reference": " "}, {"basis": "a whim"}):
        assert client.post("/legal/holds", data=form | refused).status_code == 422
    hold = re.search(r"/legal/holds/([0-9a-f-]{36})/lift", get(client, "/legal"))
    assert hold
    assert client.post(f"/legal/holds/{hold[1]}/confirm").status_code == 409
    assert "It takes one of: Second Sight." in get(client, "/legal")
    sign_in(client, kernel, person.tenant_id, Kind.MEMBER, second.id)
    assert "stands" in client.post(f"/legal/holds/{hold[1]}/confirm").text
    stranger = make_tenant(kernel)
    sign_in_member(client, kernel, stranger, Role.LEGAL)
    assert client.post(f"/legal/holds/{hold[1]}/lift").status_code == 404
    sign_in_employee(client, kernel, person)
    assert "12 O 34/26" in get(client, "/visit/face")


def test_anybody_reads_how_long_a_company_keeps_what(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel, name="Public Terms", source_days=3)
    assert "deleted after 3 days" in get(client, f"/retention/{tenant}")
    assert '<html lang="de">' in get(client, f"/retention/{tenant}?language=de")
    get(client, f"/retention/{tenant.__class__(int=7)}", 404)


def sign_in_operator(client: TestClient[Any], kernel: Kernel) -> None:
    with kernel.db.transaction(PLATFORM) as session:
        address = f"{utc_now().timestamp()}@operators.example"
        operator = members.invite_member(session, kernel.keys, address, "Op", [Role.OPERATOR])
        value = start_session(session, Kind.OPERATOR, operator.id, utc_now())
    client.cookies.set(cookie_name(kernel.settings), value)


def test_an_operator_adds_a_company_whose_admin_can_come_in(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_operator(client, kernel)
    assert get(client, "/", 303) == "/operations"
    assert "This installation" in get(client, "/operations")
    form = {"name": "Fresh Ltd", "admin_name": "Ines", "admin_email": "ines@fresh.example", "credits": "12"}
    founded = client.post("/operations/tenants", data=form)
    assert "/sign-in/" not in founded.text, "the operator is never shown somebody's link"
    company = re.search(r"/operations/mailbox/([0-9a-f-]{36})\"", founded.text)
    assert company
    run_jobs(kernel, tenant=UUID(company[1]))
    link = re.search(r"(/sign-in/[0-9a-f]{32}[^\s<\"]+)", get(client, f"/operations/mailbox/{company[1]}"))
    assert link
    assert client.post("/operations/tenants", data=form | {"credits": "many"}).status_code == 422
    assert "no mail leaves this machine" in get(client, "/operations/mailbox")
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        invitations.invite(session, make_employee(session, kernel), utc_now())
    run_jobs(kernel, tenant=tenant)
    assert get(client, f"/operations/mailbox/{tenant}").count("Open the personal link") == 1
    get(client, "/desk", 403)
    client.cookies.clear()
    assert "works once" in get(client, link[1])
    assert "12 credits left" in client.post(link[1]).text
    assert client.post(link[1]).status_code == 410
    client.post("/sign-out")
    get(client, "/desk", 401)


def test_an_operator_sees_jobs_that_were_given_up(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        given_up = {"state": JobState.DEAD, "due": None, "finished_at": utc_now(), "error": "OutOfPaper", "attempt": 5}
        session.add(Job(tenant_id=tenant, kind="batch.letters.print", key="one", args=[], **given_up))
    sign_in_operator(client, kernel)
    page = re.sub("<[^>]+>", "", get(client, "/operations"))
    assert "batch.letters.print" in page
    assert "OutOfPaper" in page


def test_strangers_read_what_happens_to_faces_and_see_nothing_else(client: TestClient[Any], kernel: Kernel) -> None:
    client.cookies.clear()
    assert "What happens to my face" in get(client, "/")
    for path in ("/desk", "/visit", "/legal", "/operations", "/visit/photos", "/desk/looks"):
        get(client, path, 401)
    get(client, "/nowhere", 404)


def test_an_error_for_htmx_is_a_fragment_for_the_message_area(client: TestClient[Any]) -> None:
    answer = client.get("/nowhere", headers={"hx-request": "true"})
    assert answer.status_code == 404
    assert "<html" not in answer.text
    assert answer.headers["hx-retarget"] == "#messages"


def test_what_others_wrote_is_what_they_published() -> None:
    """Each file stands with its source, its licence and its SHA-256 in the folder's own page."""
    folder = Path(dashboard.__file__).parent / "static/vendor"
    said = (folder / "README.md").read_text()
    scripts = sorted(folder.glob("*.js"))
    assert len(scripts) >= 2
    for script in scripts:
        assert f"`{script.name}`" in said
        assert sha256(script.read_bytes()).hexdigest() in said, script.name
        assert (folder / f"{script.name.split('-')[0]}-LICENSE.txt").exists()


def test_files_of_the_pages_are_there(client: TestClient[Any]) -> None:
    for path in (
        "likeness.css", "app.js", "photos.js", "theme.js", "mark.svg", "vendor/htmx-2.0.11.min.js",
        "vendor/tus-4.3.1.min.js", "guidance/front.svg",
    ):  # fmt: skip
        assert client.get(f"/static/{path}").status_code == 200, path
    assert "http" not in client.get("/static/likeness.css").text


def test_who_does_not_take_part_may_be_invited_again_from_a_day_on(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        resting, rested = (make_employee(session, kernel, batch=batch) for _ in range(2))
        resting.opted_out_at = utc_now()
        rested.opted_out_at = utc_now() - invitations.LIFETIME - invitations.REST - timedelta(days=1)
        session.add_all([resting, rested])
    with kernel.db.transaction(tenant) as session:
        day = invitations.again_from(session, [resting.id])[resting.id]
    page, base = get(client, f"/desk/batches/{batch.id}"), f"/desk/batches/{batch.id}/people"
    assert page.count(f"may be invited again from {day:%-d %b %Y}") == 1
    assert f"{base}/{rested.id}/invite" in page
    assert f"{base}/{resting.id}/invite" not in page
    assert "does not take part" in client.post(f"{base}/{resting.id}/invite").text
    assert client.post(f"{base}/{rested.id}/invite", follow_redirects=False).status_code == 303
    with kernel.db.transaction(tenant) as session:
        assert employees.stage(session, rested.id) == "invited"

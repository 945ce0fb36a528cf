"""HR's, legal's and the operators' pages, through HTTP."""

from __future__ import annotations

import gzip
import io
import re
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from litestar.testing import TestClient
from sqlmodel import select

import dashboard
from batch.models import Batch, Employee, Invitation
from batch.people import employees, funnel
from batch.roster import batches
from batch.sittings import headshots
from batch.visit import invitations
from likeness import ledger
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind, start_session
from likeness.jobs.jobs import Job, JobState
from likeness.kernel import Kernel
from likeness.mail.mail import Mail
from likeness.web.guards import cookie_name
from tenants.members import members
from tenants.models import Role
from tests.dashboard.markup import check, get
from tests.factories import (
    begin_held,
    give_consent,
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
    for path in ("/desk", "/desk/batches"):
        assert "No batch yet" in get(client, path)
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


def some_batch(kernel: Kernel, tenant: UUID, people: int = 3, domain: str = "desk.example") -> Batch:
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session, imported_at=utc_now() - timedelta(hours=2))
        for number in range(people):
            who = {"full_name": f"Person {number}", "email": f"person-{number}@{domain}", "department": "Design"}
            make_employee(session, kernel, batch=batch, **who)
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


def test_departments_are_named_once_in_whichever_spelling_also_after_their_first_person_was_erased(
    client: TestClient[Any], kernel: Kernel
) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        first, *_ = [
            make_employee(session, kernel, batch=batch, full_name=name, department=department)
            for name, department in (("Ada", "Sales"), ("Bo", "Sales"), ("Cy", "sales "), ("Di", "Legal"), ("Ed", None))
        ]
    kernel.keys.destroy(employees.profile_ref(tenant, first.id), utc_now())
    page = get(client, f"/desk/batches/{batch.id}")
    assert re.findall(r"<option >([^<]+)<", page.partition('id="department"')[2]) == ["Legal", "Sales"]
    roster = {"hx-request": "true", "hx-target": "roster"}
    found = client.get(f"/desk/batches/{batch.id}?department=Sales", headers=roster).text
    assert "Bo" in found
    assert "Cy" in found
    assert "Di" not in found


def test_invite_remind_and_revoke(client: TestClient[Any], kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    batch = some_batch(kernel, tenant)
    at = f"/desk/batches/{batch.id}"

    def act(page: str) -> dict[str, str]:
        return {"act": re.findall(r'name="act" value="([^"]+)"', page)[0]}

    asked = client.post(f"{at}/invite").text
    assert "Not done yet" in asked
    assert "3 people are invited." in asked
    sign_in_member(client, kernel, make_tenant(kernel))
    assert client.post(f"{at}/take-back", data=act(asked)).status_code == 404, "another company's"
    sign_in_member(client, kernel, tenant)
    elsewhere = f"/desk/batches/{some_batch(kernel, make_tenant(kernel)).id}/take-back"
    assert client.post(elsewhere, data=act(asked)).status_code == 404
    colleague = f"/desk/batches/{some_batch(kernel, tenant, domain='colleague.example').id}/take-back"
    assert client.post(colleague, data=act(asked)).status_code == 410, "an act on another batch of the same company"
    assert "Undone: nobody was invited" in client.post(f"{at}/take-back", data=act(asked)).text
    assert client.post(f"{at}/take-back", data=act(asked)).status_code == 410
    begin_held(kernel, tenant)
    assert "Invite 3 not invited yet" in get(client, at), "what was taken back is not done later"
    client.post(f"{at}/invite")
    assert "Invite 3 not invited yet" in get(client, at), "nothing is done within the ten seconds"
    begin_held(kernel, tenant)
    assert "not invited yet</button>" not in get(client, at)
    assert "0 people are invited." in client.post(f"{at}/invite").text
    # Whoever reads the mailbox could act as the people in it, so HR has none.
    get(client, "/desk/mailbox", 404)
    get(client, f"/operations/mailbox/{tenant}", 403)
    # The trial that counts them lays nothing down outside, because the log is written as a transaction commits.
    laid, lay = list[str](), kernel.db.outside.lay
    monkeypatch.setattr(kernel.db.outside, "lay", lambda one: laid.append(one.event) or lay(one))
    asked = client.post(f"{at}/revoke").text
    with kernel.db.transaction(tenant) as session:
        people = [str(one) for one in session.exec(select(Employee.roster_id).where(Employee.batch_id == batch.id))]
    ticked = client.post("/desk/people/revoke", data={"person": people}, follow_redirects=False)
    assert "revoked=3" in ticked.headers["location"]
    assert laid == []
    monkeypatch.undo()
    theirs = {"act": ticked.headers["location"].rpartition("act=")[2]}
    assert client.post("/desk/people/undo", data=theirs).status_code == 200
    assert "3 invitations are taken back." in asked
    polled = f"{at}?revoking=3&act={act(asked)['act']}"
    fragment = {"hx-request": "true", "hx-target": "done"}
    waits = client.get(polled, headers=fragment)
    assert (waits.text.startswith('<div id="done" hx-get="'), "hx-trigger" in waits.headers) == (True, False)
    assert 'hx-trigger="act-done from:body"' in get(client, at), "the list is fetched again once the stages are others"
    begin_held(kernel, tenant)
    done = client.get(polled, headers=fragment).text
    assert client.get(polled, headers=fragment).headers["hx-trigger"] == "act-done"
    assert "3 invitations are taken back." in done
    assert "hx-get" not in done
    assert "Invite 3 not invited yet" in get(client, at)
    with kernel.db.transaction(tenant) as session:
        wanted = ["invitation.asked", "invitation.undone", "invitation.asked"]
        wanted += ["revocation.asked", "revocation.asked", "revocation.undone"]
        told = [one.event for one in ledger.entries(session)]
        assert [one for one in told if one.endswith((".asked", ".undone"))] == wanted
    assert client.post(f"{at}/nonsense").status_code == 404


def test_hr_sees_released_headshots_only(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    one, other, *_ = make_headshots(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [one.id], utc_now())
    sign_in_member(client, kernel, person.tenant_id)
    page = get(client, f"/desk/batches/{person.batch_id}/headshots")
    assert str(one.shelf_id) in page
    assert str(other.shelf_id) not in page
    status = client.get(f"/desk/batches/{person.batch_id}/status")
    assert status.content[:2] == b"PK"
    assert f"status-{utc_now():%Y-%m-%d}.xlsx" in status.headers["content-disposition"], "one for each day"


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
    form = {"data": words | {"wall": "colour", "colour": "#123456"}, "files": {"picture": ("", b"")}}
    added = client.post("/desk/looks", **form)
    assert added.text.count("version 1") == page.count("version 1") + 1
    again = client.post("/desk/looks", **form)
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
    assert "The log is whole" in get(client, "/legal/ledger/check")
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
    face = get(client, "/visit/face")
    assert "A legal hold stands until" in face
    assert "12 O 34/26" not in face, "the words are for legal alone"


def test_anybody_reads_how_long_a_company_keeps_what(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel, name="Public Terms", source_days=3)
    assert "deleted after 3 days" in get(client, f"/retention/{tenant}")
    assert '<html lang="de" dir="ltr">' in get(client, f"/retention/{tenant}?language=de")
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
    # As browsers send it: HTMX asks for anything, and not for HTML by name.
    answer = client.get("/nowhere", headers={"hx-request": "true", "accept": "*/*"})
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
    for path in ("nothing.css", "../pages.py", "..%2fpages.py", ""):
        assert client.get(f"/static/{path}").status_code in (404, 405), path


def test_what_a_page_loads_is_packed_and_kept_for_a_year(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_employee(client, kernel, make_person(kernel))
    page = get(client, "/visit/photos")
    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert len(named) > 6
    size = len(gzip.compress(page.encode()))
    for address in named:
        answer = client.get(address, headers={"accept-encoding": "gzip"})
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable", address
        again = client.get(address, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        size += int(answer.headers["content-length"])
        if address.split("?")[0].endswith((".css", ".js")):
            assert answer.headers["content-encoding"] == "gzip"
    css = client.get("/static/likeness.css?v=old")
    assert css.headers["cache-control"] == "public, max-age=300", "an address of before is not kept for long"
    letters = set(re.findall(r"url\(([^)]+)\)", css.text))
    assert letters
    for name in letters:
        size += len(client.get(f"/static/{name}").content) if "latin.woff2" in name else 0
    assert size < 150_000, "with its letters, without photos"


def test_who_does_not_take_part_may_be_invited_again_from_a_day_on(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        resting, rested = (make_employee(session, kernel, batch=batch) for _ in range(2))
        resting.opted_out_at = utc_now()
        rested.opted_out_at = utc_now() - funnel.LIFETIME - funnel.REST - timedelta(days=1)
        session.add_all([resting, rested])
    with kernel.db.transaction(tenant) as session:
        day = funnel.again_from(session, [resting.id])[resting.id]
    page, base = get(client, f"/desk/batches/{batch.id}"), f"/desk/batches/{batch.id}/people"
    assert page.count(f"may be invited again from {day:%-d %b %Y}") == 1
    assert f"{base}/{rested.roster_id}/invite" in page
    assert f"{base}/{resting.roster_id}/invite" not in page
    assert "does not take part" in client.post(f"{base}/{resting.roster_id}/invite").text
    assert client.post(f"{base}/{rested.roster_id}/invite", follow_redirects=False).status_code == 303
    with kernel.db.transaction(tenant) as session:
        assert employees.stage(session, rested.id) == "invited"


class Tried:
    """A batch of six people in two departments, of whom nobody is invited yet."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.tenant = kernel, make_tenant(kernel, time_zone="Europe/Berlin")
        with kernel.db.transaction(self.tenant) as session:
            batch = make_batch(session, imported_at=utc_now() - timedelta(hours=2))
            self.batch, self.at, self.api = batch.id, f"/desk/batches/{batch.id}", f"/api/v1/batches/{batch.id}"
            rows = [("Sales", "Sam"), ("Sales", "Sue"), ("Sales", "Sid"), ("Design", "Dora"), ("Design", "Dan")]
            rows.append(("", "Nora"))
            self.people = [
                make_employee(session, kernel, batch=batch, full_name=name, department=department)
                for department, name in rows
            ]
            for number, one in enumerate(self.people):
                one.row = number

    def written_to(self) -> set[UUID]:
        run_jobs(self.kernel, tenant=self.tenant)
        with self.kernel.db.transaction(self.tenant) as session:
            return set(session.exec(select(Mail.owner_id).where(Mail.tenant_id == self.tenant)))

    def invited(self) -> set[UUID]:
        with self.kernel.db.transaction(self.tenant) as session:
            return set(session.exec(select(Invitation.employee_id).where(Invitation.tenant_id == self.tenant)))


def act_of(page: str) -> dict[str, str]:
    """What the button sends that undoes an act."""
    return {name: re.findall(f'name="{name}" value="([^"]+)"', page)[0] for name in ("act", "trying") if name in page}


def test_a_batch_is_tried_with_three_people_first(client: TestClient[Any], kernel: Kernel) -> None:
    ours, theirs = Tried(kernel), Tried(kernel)
    three = {"person": [str(ours.people[number].roster_id) for number in (0, 3, 5)]}
    sign_in_member(client, kernel, ours.tenant)
    assert "Try it with three people first" in get(client, ours.at)
    page = get(client, f"{ours.at}/pilot")
    assert re.findall(r'value="([^"]+)" checked', page) == three["person"], "of three departments"
    assert client.get(f"{ours.api}/pilot").json()["suggested"] == three["person"]
    found = get(client, f"{ours.at}/pilot?q=sid&{urlencode(three, doseq=True)}")
    assert ("Sid" in found, "Dan" in found, found.count(" checked")) == (True, False, 3)
    for wrong in ({"person": three["person"][:2]}, {"person": three["person"][:1] * 3}, {}):
        refused = client.post(f"{ours.at}/pilot", data=wrong)
        assert refused.status_code == 422
        assert "Try it with three people first" in refused.text
    stranger = [*three["person"][:2], str(theirs.people[0].roster_id)]
    assert client.post(f"{ours.api}/pilot", json={"people": stranger}).status_code == 404
    asked = client.post(f"{ours.at}/pilot", data=three).text
    assert "3 people are invited, and nobody else." in asked
    assert client.post(f"{theirs.at}/take-back", data=act_of(asked)).status_code == 404
    assert "Undone: nobody was invited" in client.post(f"{ours.at}/take-back", data=act_of(asked)).text
    begin_held(kernel, ours.tenant)
    assert not ours.invited()
    asked = client.post(f"{ours.at}/pilot", data=three).text
    begin_held(kernel, ours.tenant)
    part = {"hx-request": "true", "hx-target": "done"}
    ended = client.get(f"{ours.at}?trying=3&{urlencode(act_of(asked))}", headers=part).text
    assert re.search(r'id="send" hx-swap-oob="true".*Invite everyone else \(3\)', ended, re.S), "the page goes on with it"
    tried = {ours.people[number].id for number in (0, 3, 5)}
    assert ours.written_to() == ours.invited() == tried, "nothing is sent to the others"
    assert client.post(f"{ours.at}/pilot", data=three).status_code == 409, "a batch is tried once"
    with kernel.db.transaction(ours.tenant) as session:
        give_consent(session, kernel, ours.people[0])
    shot = make_headshots(kernel, ours.people[0], 1)[0]
    with kernel.db.transaction(ours.tenant) as session:
        headshots.release(session, ours.people[0].id, [shot.id], utc_now())
    shown = client.get(f"{ours.api}/pilot").json()
    assert [shown[name] for name in ("invited", "handed_in", "ready", "released", "not_invited")] == [3, 1, 1, 1, 3]
    assert not shown["suggested"]
    page = get(client, ours.at)
    assert "Tried with 3 people" in page
    assert "Invite everyone else (3)" in page
    # The others are invited at nine of a day in the company's zone, and until then nothing leaves.
    day = (utc_now() + timedelta(days=9)).date()
    for odd in ("", "2020-01-01", "soon"):
        assert client.post(f"{ours.at}/invite", data={"when": "day", "day": odd}).status_code == 422
    later = client.post(f"{ours.at}/invite", data={"when": "day", "day": f"{day}"}).text
    assert "3 people are invited by mails at the time that you chose." in later
    client.post(f"{ours.at}/take-back", data=act_of(later))
    client.post(f"{ours.at}/invite", data={"when": "day", "day": f"{day}"})
    begin_held(kernel, ours.tenant)
    assert len(ours.invited()) == 6
    assert ours.written_to() == tried, "nothing leaves before that"
    with kernel.db.transaction(ours.tenant) as session:
        due = session.exec(select(Job.due).where(Job.tenant_id == ours.tenant, Job.state == JobState.READY)).all()
    nine = datetime(day.year, day.month, day.day, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    assert list(due).count(nine) == 3
    sign_in_member(client, kernel, theirs.tenant)
    for method, path in (("GET", ours.at), ("GET", ours.api), ("POST", ours.at), ("POST", ours.api)):
        sent = {"json": {"people": three["person"]}} if path == ours.api and method == "POST" else {}
        assert client.request(method, f"{path}/pilot", **sent, data=None if sent else three).status_code == 404


def test_a_pilot_is_of_whom_the_member_sees_and_of_nobody_who_was_invited_meanwhile(
    client: TestClient[Any], kernel: Kernel
) -> None:
    ours = Tried(kernel)
    three = [str(one.roster_id) for one in ours.people[:3]]
    bound = make_member(kernel, ours.tenant)
    with kernel.db.transaction(ours.tenant) as session:
        members.bind_to(session, kernel.keys, bound.id, ["Design"], caller="member:x")
    sign_in(client, kernel, ours.tenant, Kind.MEMBER, bound.id)
    assert client.post(f"{ours.api}/pilot", json={"people": three}).status_code == 404
    assert client.get(f"{ours.api}/pilot").json()["suggested"] == [], "two people leave nobody for later"
    sign_in_member(client, kernel, ours.tenant, Role.BRAND)
    assert client.post(f"{ours.api}/pilot", json={"people": three}).status_code == 403
    sign_in_member(client, kernel, ours.tenant)
    asked = client.post(f"{ours.at}/pilot", data={"person": three}, follow_redirects=False).headers["location"]
    with kernel.db.transaction(ours.tenant) as session:
        invitations.invite(session, employees.get(session, ours.people[0].id), utc_now())
    begin_held(kernel, ours.tenant)
    assert ours.invited() == {ours.people[0].id}, "all three or nobody"
    assert "Nobody was invited" in get(client, asked)
    assert client.post(f"{ours.api}/pilot", json={"people": three}).status_code == 409
    others = [str(one.roster_id) for one in ours.people[1:4]]
    assert client.post(f"{ours.api}/pilot", json={"people": others}).json() == {"people": 3}
    assert ours.invited() == {one.id for one in ours.people[:4]}

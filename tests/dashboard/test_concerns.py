"""Something is wrong: from a page of the visit to the desk that the person chose, and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import select

from batch.photos import rejections
from batch.vision.inspection import FINDINGS
from batch.visit import concerns
from batch.visit.concerns import Concern
from compliance.records import proofs
from dashboard.visit.instead import initials
from likeness.ground.db import utc_now
from likeness.identity import Kind, make_link
from likeness.kernel import Kernel
from likeness.locale.words import words
from likeness.mail import mail
from tenants.members import members
from tenants.models import Role
from tests.dashboard.markup import get
from tests.factories import make_member, run_jobs, sign_in, sign_in_employee, sign_in_member
from tests.handed_in import make_person


def test_an_answer_is_promised_for_the_second_working_day() -> None:
    friday = datetime(2026, 11, 27, 22, tzinfo=UTC)
    assert concerns.answer_by(friday, "Europe/Berlin") == datetime(2026, 12, 1, 16, tzinfo=UTC)
    assert concerns.answer_by(friday, "Asia/Tokyo") == datetime(2026, 12, 1, 8, tzinfo=UTC), "there it is Saturday"


def test_what_is_wrong_reaches_the_desk_that_was_chosen_and_is_answered(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, stranger = make_person(kernel), make_person(kernel)
    hr = make_member(kernel, person.tenant_id)
    legal = make_member(kernel, person.tenant_id, Role.LEGAL)
    sign_in_employee(client, kernel, person)
    assert 'href="/visit/wrong?page=/visit/photos"' in get(client, "/visit/photos")
    by = words("en").moment(concerns.answer_by(utc_now(), "UTC"))
    assert f"answers by {by}" in get(client, "/visit/wrong?page=/visit/photos")
    assert client.post("/visit/wrong", data={"desk": "hr", "words": "  "}).status_code == 422
    long = client.post("/visit/wrong", data={"desk": "hr", "words": "x" * 2001, "page": "/visit/photos"})
    assert long.status_code == 422
    assert "x" * 2001 in long.text, "nothing that was typed is lost"
    said = "I never <b>asked</b> for this.\nWho did?"
    sent = client.post("/visit/wrong", data={"desk": "hr", "words": said, "page": "/visit/photos"})
    assert f"An answer is promised by {by}" in sent.text
    assert "I never &lt;b&gt;asked" in sent.text
    there = f"/visit/headshots/{uuid4()}"
    client.post("/visit/wrong", data={"desk": "legal", "words": "HR must not know", "page": there})
    run_jobs(kernel, tenant=person.tenant_id)
    with kernel.db.transaction(person.tenant_id) as session:
        told = {one.owner_id: mail.read(kernel.keys, one) for one in mail.mailbox(session) if one.template == "concern"}
        rows = {one.desk: one for one in session.exec(select(Concern))}
    assert set(told) == {hr.id, legal.id}
    letter = told[hr.id]
    assert letter is not None
    assert "Nadia" not in letter.text + letter.subject
    assert "asked" not in letter.text
    assert rows["legal"].page == "/visit/headshots", "no id is kept of where somebody was"
    assert b"asked" not in rows["hr"].sealed

    sign_in(client, kernel, person.tenant_id, Kind.MEMBER, hr.id)
    page = get(client, "/questions")
    assert "Nadia Ümit" in page
    assert "HR must not know" not in page
    assert "person waits for an answer" in get(client, "/desk")
    assert client.post(f"/questions/{rows['legal'].id}", data={"words": "x"}).status_code == 404, "written to legal"
    sign_in_member(client, kernel, stranger.tenant_id)
    assert "asked" not in get(client, "/questions")
    assert client.post(f"/questions/{rows['hr'].id}", data={"words": "x"}).status_code == 404
    sign_in(client, kernel, person.tenant_id, Kind.MEMBER, legal.id)
    page = get(client, "/questions")
    assert "HR must not know" in page
    assert "Nadia" not in page
    assert "I never" not in page
    sign_in(client, kernel, person.tenant_id, Kind.MEMBER, hr.id)
    (mine,) = client.get("/api/v1/concerns").json()
    assert (mine["name"], mine["concern"]["words"], mine["concern"]["page"]) == ("Nadia Ümit", said, "")
    by_program = f"/api/v1/concerns/{rows['legal'].id}/answer"
    assert client.post(by_program, json={"words": "x"}).status_code == 404
    assert "Nobody waits for an answer" in client.post(f"/questions/{rows['hr'].id}", data={"words": "Your team did."}).text
    assert client.post(f"/questions/{rows['hr'].id}", data={"words": "Again"}).status_code == 404
    run_jobs(kernel, tenant=person.tenant_id)
    sign_in_employee(client, kernel, person)
    assert "Your team did." in get(client, "/visit/wrong")
    with kernel.db.transaction(person.tenant_id) as session:
        (answered,) = [mail.read(kernel.keys, one) for one in mail.mailbox(session) if one.template == "answered"]
    assert answered is not None
    assert "Your team did." in answered.text
    for _ in range(concerns.MOST_OPEN):
        last = client.post("/visit/wrong", data={"desk": "hr", "words": "more"})
    assert last.status_code == 409
    told = {"desk": "hr", "words": "more"}
    assert client.post("/api/v1/visit/concerns", json=told).status_code == 409
    assert said in [one["words"] for one in client.get("/api/v1/visit/concerns").json()]
    sign_in_employee(client, kernel, stranger)
    assert client.get("/api/v1/visit/concerns").json() == []
    kept = client.post("/api/v1/visit/concerns", json=told | {"page": f"/visit/photos/{uuid4()}"}).json()
    assert (kept["words"], kept["page"], kept["answer"]) == ("more", "", "")
    assert "Your team did." not in get(client, "/visit/wrong")


def test_only_desks_with_somebody_who_can_read_it_are_offered_and_mailed(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person = make_person(kernel, profile={"department": "Design"})
    wanted = {"desk": "legal", "words": "Help"}
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/wrong")
    assert "Nobody at Zebra Works reads messages here at the moment." in page
    assert "answers by" not in page
    assert "<textarea" not in page
    theirs, others = (make_member(kernel, person.tenant_id) for _ in range(2))
    with kernel.db.transaction(person.tenant_id) as session:
        members.bind_to(session, kernel.keys, others.id, ["Sales"], caller="system")
        members.bind_to(session, kernel.keys, theirs.id, ["Sales"], caller="system")
    assert 'value="hr"' not in get(client, "/visit/wrong"), "both are bound to people of another department"
    assert client.post("/visit/wrong", data=wanted | {"desk": "hr"}).status_code == 422
    with kernel.db.transaction(person.tenant_id) as session:
        members.bind_to(session, kernel.keys, theirs.id, ["Design"], caller="system")
    page = get(client, "/visit/wrong")
    assert 'value="hr" checked' in page
    assert 'value="legal"' not in page
    refused = client.post("/visit/wrong", data=wanted)
    assert refused.status_code == 422, "nobody of legal is there"
    assert 'value="hr" checked' in refused.text
    assert client.post("/visit/wrong", data=wanted | {"desk": "hr"}).status_code == 200
    legal = make_member(kernel, person.tenant_id, Role.LEGAL)
    assert 'value="legal"' in get(client, "/visit/wrong")
    client.post("/visit/wrong", data=wanted)
    with kernel.db.transaction(person.tenant_id) as session:
        told = [one.owner_id for one in mail.mailbox(session) if one.template == "concern"]
    assert sorted(told) == sorted([theirs.id, legal.id])


def test_reasons_are_counted_for_the_company_and_named_once_they_tell_of_nobody(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, stranger = make_person(kernel), make_person(kernel)
    now = utc_now()
    with kernel.db.transaction(person.tenant_id) as session:
        for number in range(rejections.LEAST - 1):
            rejections.note(session, [FINDINGS["turned"], FINDINGS["no_face"]], now, refused=number < 3)
        rejections.note(session, [FINDINGS["small_face"]], now - timedelta(days=500), refused=True)
    at = f"/retention/{person.tenant_id}"
    assert "Too few photos were checked" in get(client, at)
    with kernel.db.transaction(person.tenant_id) as session:
        rejections.note(session, [FINDINGS["blurred"]], now, refused=False)
        tally = rejections.of_company(session, now)
    assert (tally.checked, tally.refused) == (rejections.LEAST, {"no_face": 3})
    page = get(client, at)
    assert f"Of {rejections.LEAST} photos" in page
    assert "3 (1%)" in page
    assert "Too few photos were checked" in get(client, f"/retention/{stranger.tenant_id}")
    everywhere = rejections.everywhere(kernel, now)
    assert everywhere.checked >= rejections.LEAST
    assert everywhere.refused["no_face"] >= 3
    proofs._known.clear()  # The page reads every company's rows once a minute.
    assert "No face was found" in get(client, "/trust")


def address_on(page: str) -> str:
    found = re.search(r'data-address="[^"]*(/p/[^"]+)"', page)
    return found[1] if found else ""


def test_the_page_with_a_code_can_be_loaded_again_and_makes_none(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    sign_in_employee(client, kernel, person)
    none = get(client, "/visit/phone")
    assert "No code stands here" in none
    assert '<button class="button" type="submit">Show a new code' in none, "what leads on comes first"
    made = client.post("/visit/phone", follow_redirects=False)
    assert (made.status_code, made.headers["location"]) == (303, "/visit/phone"), "the address holds no code"
    first, again = (address_on(get(client, "/visit/phone")) for _ in range(2))
    assert first == again != ""
    client.post("/visit/phone")
    second = address_on(get(client, "/visit/phone"))
    assert second not in ("", first)
    with kernel.db.transaction(person.tenant_id) as session:
        stored = session.execute(text("select (select json_agg(l) from sign_in_link l)::text || (select json_agg(s) from"
                                      " web_session s)::text")).scalar_one()  # fmt: skip
    assert second.rpartition(".")[2] not in stored
    with TestClient(client.app) as phone:
        assert phone.post(first, follow_redirects=False).status_code == 410
        assert phone.post(second, follow_redirects=False).status_code == 303
        # The phone is signed in, and has made no code of its own: that of the screen is none of its page's.
        assert "No code stands here" in get(phone, "/visit/phone")
        phone.cookies.clear()
        assert phone.post(second, follow_redirects=False).status_code == 410
        sign_in_employee(phone, kernel, make_person(kernel))
        assert "No code stands here" in get(phone, "/visit/phone")
    gone_on = get(client, "/visit/phone")
    assert "Your phone has gone on with your page" in gone_on
    assert address_on(gone_on) == ""


def test_a_code_that_ran_out_is_not_shown(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    sign_in_employee(client, kernel, person)
    code = address_on(client.post("/visit/phone").text)
    with kernel.db.transaction(person.tenant_id) as session:
        session.execute(text("update sign_in_link set expires_at = expires_at - interval '11 minutes'"))
    assert address_on(get(client, "/visit/phone")) == ""
    client.post("/visit/phone")
    assert address_on(get(client, "/visit/phone")) not in ("", code)


def test_a_code_on_the_screen_signs_in_one_phone_once(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    sign_in_employee(client, kernel, person)
    page = client.post("/visit/phone").text
    assert "<svg" in page
    address = page.split('data-address="')[1].split('"')[0]
    link = "/p/" + address.split("/p/")[1]
    client.cookies.clear()
    for _ in range(2):
        assert "Go on with this phone?" in get(client, link)
    assert client.get("/visit", follow_redirects=False).status_code == 401
    came = client.post(link, follow_redirects=False)
    assert came.headers["location"] == "/visit/photos"
    assert "Zebra Works" in get(client, "/visit/face")
    packed = client.get("/api/v1/visit/export", follow_redirects=False)
    assert packed.status_code == 403, "a code is no proof of who holds the phone"
    client.cookies.clear()
    assert client.post(link, follow_redirects=False).status_code == 410
    assert "Show a new one" in client.get(link).text
    member = make_member(kernel, person.tenant_id)
    with kernel.db.transaction(person.tenant_id) as session:
        foreign = make_link(session, Kind.MEMBER, member.id, utc_now())
    assert client.post(f"/p/{foreign}", follow_redirects=False).status_code == 410, "a member's link signs nobody in here"


def test_whoever_says_no_gets_their_initials_and_hr_reads_one_word(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel, consented=False, colour="#1f5a8c")
    sign_in_employee(client, kernel, person)
    assert "Save my initials as a picture" in client.post("/visit/decline").text
    drawn = client.get("/visit/initials.svg")
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    assert ">NÜ</text>" in drawn.text
    assert 'fill="#1f5a8c"' in drawn.text
    names = {"Zoë van der Berg": "ZB", "李小龙": "李", "ليلى حداد": "لح", "<x>": "•", "": "•"}
    assert {name: initials(name) for name in names} == names

"""What a page of the visit says is so in the state in which it is shown, and what it offers can be done there."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from litestar.testing import TestClient

from batch.models import Employee, SittingState
from batch.sittings import sittings
from batch.visit import concerns, invitations
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.mail import mail
from tenants.models import Role
from tests.dashboard.markup import get
from tests.factories import make_member, run_jobs, sign_in, sign_in_employee
from tests.handed_in import make_headshots, make_person, make_photos, make_sitting


def test_a_yes_is_not_said_to_take_one_tap(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_employee(client, kernel, make_person(kernel, consented=False))
    page = get(client, "/visit/welcome")
    assert "A no takes one tap" in page
    assert "both answers" not in page


@pytest.mark.parametrize("state", [SittingState.READY, SittingState.TRAINING])
def test_while_headshots_are_made_the_photos_lead_there_and_begin_no_other(
    client: TestClient[Any], kernel: Kernel, state: SittingState
) -> None:
    person = make_person(kernel)
    sitting = make_sitting(kernel, person)
    if state != SittingState.READY:
        with kernel.db.transaction(person.tenant_id) as session:
            assert sittings.claim(session, sitting.id, utc_now())
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/photos")
    assert 'action="/visit/sitting"' not in page
    assert 'href="/visit/making"' in page
    assert "That is enough to begin" not in page


def test_making_headshots_is_not_told_as_keeping_one_after_all(client: TestClient[Any], kernel: Kernel) -> None:
    person, stranger = make_person(kernel), make_person(kernel)
    make_headshots(kernel, person)
    for somebody in (person, stranger):
        sign_in_employee(client, kernel, somebody)
        assert "You kept a headshot after all" not in get(client, "/visit/face")
    sign_in_employee(client, kernel, person)
    assert "Your headshots were made" in get(client, "/visit/face")


def test_who_has_no_headshots_is_not_asked_to_choose_among_them(client: TestClient[Any], kernel: Kernel) -> None:
    before, with_photos, making, withdrew = (make_person(kernel, consented=number > 0) for number in range(4))
    make_photos(kernel, with_photos)
    make_sitting(kernel, making)
    make_headshots(kernel, withdrew)
    sign_in_employee(client, kernel, withdrew)
    assert "Choose what your employer may have" in get(client, "/visit/headshots")
    client.post("/visit/withdraw")
    run_jobs(kernel, tenant=withdrew.tenant_id, ahead=timedelta(minutes=11))
    assert get(client, "/visit/headshots", 303) == "/visit"
    for somebody in (before, with_photos, making):
        sign_in_employee(client, kernel, somebody)
        assert get(client, "/visit/headshots", 303) == "/visit"


def test_what_is_to_be_deleted_is_what_there_is(client: TestClient[Any], kernel: Kernel) -> None:
    nothing, photos, withdrew = make_person(kernel, consented=False), make_person(kernel), make_person(kernel)
    make_photos(kernel, photos, 2)
    make_headshots(kernel, withdrew)
    sign_in_employee(client, kernel, nothing)
    page = get(client, "/visit/delete")
    assert "selfie" not in page.split("<main")[1]
    assert "headshot" not in page.split("<main")[1].split("<footer")[0]
    assert "your name and address in the list" in page
    sign_in_employee(client, kernel, photos)
    page = get(client, "/visit/delete").split("<main")[1]
    assert "<li>2 selfies</li>" in page
    assert "released" not in page
    sign_in_employee(client, kernel, withdrew)
    assert "<li>3 headshots, the released ones too</li>" in get(client, "/visit/delete")
    client.post("/visit/withdraw")
    run_jobs(kernel, tenant=withdrew.tenant_id, ahead=timedelta(minutes=11))
    assert "<li>0" not in get(client, "/visit/delete")
    face = get(client, "/visit/face")
    assert "Nothing since what you handed in was deleted." in face
    assert '<ol class="line"></ol>' not in face


def test_a_message_says_whom_it_is_for_and_how_long_it_stays(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_member(kernel, person.tenant_id, Role.HR)
    make_member(kernel, person.tenant_id, Role.LEGAL)
    with kernel.db.transaction(person.tenant_id) as session:
        for desk in ("hr", "legal"):
            concerns.write(session, kernel.keys, person.id, desk, "", f"for {desk}", "https://x.example", utc_now())
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/wrong")
    written = page.split("What you wrote")[1]
    assert "To the personnel department" in written
    assert "To the legal department" in written
    assert "what you wrote to the personnel department stays" in page


def test_whoever_withdrew_is_not_told_of_other_peoples_parts(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    shot = make_headshots(kernel, person)[0]
    sign_in_employee(client, kernel, person)
    client.post("/visit/withdraw")
    page = client.get(f"/visit/hand-over?headshot={shot.id}")
    assert page.status_code == 403
    assert "nothing is handed over" in page.text
    assert "Everybody sees their own part only" not in page.text
    assert "Everybody sees their own part only" in client.get("/desk").text


def mails(kernel: Kernel, person: Employee, template: str) -> list[str]:
    with kernel.db.transaction(person.tenant_id) as session:
        kept = [one for one in mail.mailbox(session) if one.owner_id == person.id and one.template == template]
        return [letter.text for one in kept if (letter := mail.read(kernel.keys, one))]


def failed(kernel: Kernel, person: Employee) -> None:
    with kernel.db.transaction(person.tenant_id) as session:
        sitting = sittings.latest_of(session, person.id)
        assert sitting is not None
        fence = sittings.claim(session, sitting.id, utc_now())
        assert fence is not None
        assert sittings.fail(session, sitting.id, fence, "None of the headshots looked enough like you.")


def test_who_closed_the_page_is_mailed_that_nothing_came_of_it(client: TestClient[Any], kernel: Kernel) -> None:
    people = [make_person(kernel) for _ in range(4)]
    person, again, withdrew, stranger = people
    for somebody in people:
        with kernel.db.transaction(somebody.tenant_id) as session:
            invitations.invite(session, somebody, utc_now())
        run_jobs(kernel, tenant=somebody.tenant_id)
        make_sitting(kernel, somebody)
    for somebody in (person, again, withdrew):
        failed(kernel, somebody)
    with kernel.db.transaction(again.tenant_id) as session:
        sittings.submit(session, again.id, utc_now())
    with kernel.db.transaction(withdrew.tenant_id) as session:
        sittings.withdraw(session, withdrew.id, utc_now())
    for somebody in people:
        run_jobs(kernel, tenant=somebody.tenant_id)
    (letter,) = mails(kernel, person, "failed")
    link = "/i/" + letter.split("/i/")[1].split()[0]
    for somebody in (again, withdrew, stranger):
        assert mails(kernel, somebody, "failed") == []
    assert client.post(link, follow_redirects=False).status_code == 303
    assert get(client, "/visit", 303) == "/visit/making"
    assert "None of the headshots looked enough like you." in get(client, "/visit/making")


def test_a_retake_that_failed_is_told_beside_the_headshots_that_stay(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_headshots(kernel, person)
    sign_in_employee(client, kernel, person)
    client.post("/visit/reshoot")
    failed(kernel, person)
    assert get(client, "/visit", 303) == "/visit/headshots"
    page = get(client, "/visit/headshots")
    assert "None of the headshots looked enough like you." in page
    assert 'href="/visit/making"' in page


def test_whoever_had_the_use_of_their_photos_stopped_reads_so_and_finds_where_it_is_lifted(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, stranger = make_person(kernel), make_person(kernel)
    make_photos(kernel, person)
    sign_in_employee(client, kernel, person)
    client.post("/visit/requests", data={"kind": "restriction"})
    page = get(client, "/visit/photos")
    for offered in ('action="/visit/sitting"', 'action="/visit/photos"', "photos.js"):
        assert offered not in page
    for path in ("/visit/photos", "/visit/face", "/visit/delete"):
        page = get(client, path)
        assert "Your photos are not used at the moment" in page
        assert 'href="/visit/requests"' in page
    assert get(client, "/visit/requests").count("Your photos are not used at the moment") == 1
    refused = client.post("/visit/sitting")
    assert refused.status_code == 409
    assert '<a class="button" href="/visit/requests">' in refused.text
    client.post("/visit/processing/resume")
    assert 'action="/visit/sitting"' in get(client, "/visit/photos")
    sign_in_employee(client, kernel, stranger)
    assert "Your photos are not used" not in get(client, "/visit/face")


def test_who_is_signed_out_reads_it_once_and_how_to_come_in(client: TestClient[Any]) -> None:
    page = get(client, "/visit/photos", 401)
    assert page.count("Please sign in") == 2, "in the title and above the page"
    assert "its page sends a fresh one" in page


def test_the_page_that_somebody_wrote_from_does_not_tell_what_they_answered(
    client: TestClient[Any], kernel: Kernel
) -> None:
    """HR reads who wrote: that it was on the page of who said no, or of deletions or requests, it must not learn.
    Legal, which reads an id, is told the page, and the person reads that it is."""
    declined, agreed = make_person(kernel, consented=False), make_person(kernel)
    for person, pages in ((declined, ("declined", "requests")), (agreed, ("photos", "delete"))):
        desks = {role: make_member(kernel, person.tenant_id, role) for role in (Role.HR, Role.LEGAL)}
        sign_in_employee(client, kernel, person)
        if person is declined:
            client.post("/visit/decline")
        assert "what you write, and from which page" in get(client, "/visit/wrong")
        for desk, page in zip(("hr", "legal"), pages, strict=True):
            client.post("/visit/wrong", data={"desk": desk, "words": "Why me?", "page": f"/visit/{page}"})
        for role, told in ((Role.HR, ""), (Role.LEGAL, f"/visit/{pages[1]}")):
            sign_in(client, kernel, person.tenant_id, Kind.MEMBER, desks[role].id)
            (one,) = client.get("/api/v1/concerns", headers={"accept": "application/json"}).json()
            assert (one["concern"]["page"], f"/visit/{pages[0]}" in get(client, "/questions")) == (told, False)


def test_whoever_withdrew_downloads_a_certificate_that_people_can_read(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person = make_person(kernel)
    make_photos(kernel, person, 1)
    sign_in_employee(client, kernel, person)
    client.post("/visit/withdraw")
    run_jobs(kernel, tenant=person.tenant_id, ahead=timedelta(minutes=11))
    page = get(client, "/visit/declined")
    button = re.search(r'<a class="button" href="([^"]+)" download>', page)
    assert button
    assert client.get(button[1]).content.startswith(b"%PDF-")
    code = re.search(r'<a href="(/gone/[^"]+)">Your proof code', page)
    assert code
    assert "Keep it with the certificate" in get(client, code[1])

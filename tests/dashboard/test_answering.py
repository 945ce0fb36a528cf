"""Yes, no, and another address: what the person is told, what goes on, and what HR sees."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from litestar.testing import TestClient
from sqlalchemy import update
from sqlmodel import col

from batch.models import AddressChange, Employee, Sitting
from batch.people import employees
from batch.sittings import headshots, sittings
from batch.visit import reminders
from compliance import holds
from compliance.erasure import erasures
from compliance.proof import certificates, signing
from compliance.rights import attending
from gpu_cluster.cluster import scheduling
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.jobs.jobs import Job
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.mail.mail import Letter
from tenants import tenants
from tenants.models import CUTOUT, Role
from tests.batch.test_addresses import ELSE, NADIA, found, imported, letters, somebody, token_of
from tests.dashboard.markup import get, to_sign
from tests.factories import make_member, run_jobs, sign_in_employee, sign_in_member
from tests.handed_in import make_headshots, make_person, make_photos


def asked(kernel: Kernel) -> tuple[Employee, str]:
    """Somebody with headshots whose new address waits for their word, and the path of the link in their mail."""
    person = somebody(kernel)
    make_headshots(kernel, person, 2)
    imported(kernel, person.tenant_id, (NADIA[0], NADIA[1], ELSE))
    return person, "/a/" + token_of(letters(kernel, person.tenant_id, "address-asked")[0], "/a/")


def later(kernel: Kernel, person: Employee) -> None:
    """Two weeks pass over the question."""
    with kernel.db.transaction(person.tenant_id) as session:
        session.execute(
            update(AddressChange)
            .where(col(AddressChange.employee_id) == person.id)
            .values(until=utc_now() - timedelta(minutes=1))
        )


def erased(kernel: Kernel, person: Employee) -> None:
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=person.tenant_id, ahead=timedelta(minutes=2))


def to(kernel: Kernel, person: Employee, template: str) -> list[Letter]:
    return letters(kernel, person.tenant_id, template)


def test_the_link_in_the_mail_asks_and_only_the_button_moves(client: TestClient[Any], kernel: Kernel) -> None:
    person, path = asked(kernel)
    for _ in range(2):
        assert ELSE in get(client, path)
    assert found(kernel, person.tenant_id, ELSE) is None
    assert "Your page has moved" in client.post(f"{path}/confirm").text
    moved = found(kernel, person.tenant_id, ELSE)
    assert moved is not None
    assert moved.id == person.id
    assert client.get(path, headers={"accept": "text/html"}).status_code == 410
    assert client.post(f"{path}/confirm").status_code == 410


def test_who_is_signed_in_answers_on_their_page_and_nobody_elses(client: TestClient[Any], kernel: Kernel) -> None:
    person, _ = asked(kernel)
    sign_in_employee(client, kernel, make_person(kernel))
    assert client.post("/visit/address/confirm").status_code == 410
    assert client.get("/api/v1/visit/address").status_code == 410
    sign_in_employee(client, kernel, person)
    assert ELSE in get(client, "/visit/headshots")
    assert client.get("/api/v1/visit/address").json()["address"] == ELSE
    client.post("/visit/address/confirm")
    page = get(client, "/visit/face")
    assert "Is this your new address?" not in page
    assert ELSE in page


def test_silence_leaves_the_new_address_an_empty_visit_and_a_certificate_for_the_old(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, path = asked(kernel)
    erased(kernel, person)
    assert found(kernel, person.tenant_id, ELSE) is None
    later(kernel, person)
    erased(kernel, person)
    fresh = found(kernel, person.tenant_id, ELSE)
    assert fresh is not None
    assert fresh.id != person.id
    with kernel.db.transaction(person.tenant_id) as session:
        assert headshots.of(session, fresh.id, utc_now()) == []
        assert employees.stage(session, fresh.id) == "invited"
        assert employees.find(session, kernel.keys, NADIA[2]) is None
        events = [entry.event for entry in ledger.entries(session, subject=person.id)]
    assert {"address.asked", "address.ran-out", "erasure.verified"} <= set(events)
    assert kernel.objects.list(f"tenants/{person.tenant_id}/employees/{person.roster_id}") == []
    assert to(kernel, person, "invitation")[0].to == ELSE
    page = get(client, get(client, path, 303))
    assert "Everything you handed in is gone" in page
    assert "own line" in page


def test_silence_deletes_nothing_while_a_hold_stands(kernel: Kernel) -> None:
    person, _ = asked(kernel)
    placed, confirmed = (make_member(kernel, person.tenant_id, Role.LEGAL) for _ in range(2))
    with kernel.db.transaction(person.tenant_id) as session:
        hold = holds.place(
            session, kernel.keys, person.id, basis="subpoena", reference="12 C 3", reason="dispute", placed_by=placed.id,
            expires_at=utc_now() + timedelta(days=30), now=utc_now(),
        )  # fmt: skip
        holds.confirm(session, hold.id, confirmed_by=confirmed.id, now=utc_now())
    later(kernel, person)
    erased(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        assert len(headshots.of(session, person.id, utc_now())) == 2
        assert erasures.all_erasures(session) == []


def test_withdrawing_keeps_the_page_the_link_and_the_certificate(client: TestClient[Any], kernel: Kernel) -> None:
    person = somebody(kernel)
    make_headshots(kernel, person, 2)
    old_link = "/i/" + token_of(to(kernel, person, "invitation")[0], "/i/")
    sign_in_employee(client, kernel, person)
    assert client.post("/visit/withdraw", follow_redirects=False).headers["location"] == "/visit/declined"
    assert "is being deleted" in get(client, "/visit/declined")
    assert get(client, "/visit/consent", 303) == "/visit/declined"
    run_jobs(kernel, tenant=person.tenant_id, ahead=timedelta(minutes=2))
    page = get(client, "/visit/declined")
    assert "What you handed in is deleted" in page
    download = re.search(r'href="(/gone/[^"]+/certificate)"', page)
    assert download
    document = certificates.verify(client.get(download[1]).text, signing.published(kernel))
    assert document["trigger"] == "withdrawal"
    (letter,) = to(kernel, person, "withdrawn")
    assert letter.to == NADIA[2]
    assert "certificate" in client.get("/gone/" + token_of(letter, "/gone/")).text
    assert "See that deletion" in get(client, "/visit/face")
    # Their mind may change: by the page, and by the very link they had.
    assert "Yes, I agree" in get(client, "/visit/consent")
    client.cookies.clear()
    assert client.get(old_link, headers={"accept": "text/html"}).status_code == 200
    line = found(kernel, person.tenant_id, NADIA[2])
    assert line is not None
    assert line.id != person.id


def test_declining_is_on_record_by_mail(client: TestClient[Any], kernel: Kernel) -> None:
    person = somebody(kernel, consented=False)
    sign_in_employee(client, kernel, person)
    client.post("/visit/decline")
    page = get(client, "/visit/declined")
    assert "what it sees of everybody who has not answered" in page
    assert "Nothing of your face is held here" in page
    assert [letter.to for letter in to(kernel, person, "declined")] == [NADIA[2]]


def test_headshots_that_are_ready_are_mailed_at_once_and_once(kernel: Kernel) -> None:
    person = somebody(kernel)
    make_headshots(kernel, person, 2)
    (letter,) = to(kernel, person, "ready")
    assert letter.to == NADIA[2]
    assert "/i/" in letter.text
    # Monday morning, a day later at most: the reminder waits its three days from this mail.
    now = utc_now()
    monday = (now + timedelta(days=(7 - now.weekday()) % 7)).replace(hour=10)
    if monday - now < timedelta(days=2):
        reminders.remind(kernel, monday)
    assert to(kernel, person, "remind-choose") == []


def test_whose_headshots_cannot_be_made_any_more_is_mailed_so_in_their_language(kernel: Kernel) -> None:
    """Of one company somebody waits and somebody asked again at once; another company offers what is still there."""
    person, again, stranger = somebody(kernel), somebody(kernel), somebody(kernel)
    for one in (person, again, stranger):
        make_photos(kernel, one)
        with kernel.db.transaction(one.tenant_id) as session:
            employees.choose_language(session, kernel.keys, one.id, "de")
            sitting = sittings.submit(session, one.id, utc_now())
            if one is stranger:
                session.add(sitting)
                sitting.recipe = CUTOUT
    without = replace(kernel, settings=kernel.settings.model_copy(update={"recipe": CUTOUT}))
    try:
        scheduling.turn_away(without, utc_now())
        with kernel.db.transaction(again.tenant_id) as session:
            session.add(Sitting(tenant_id=again.tenant_id, employee_id=again.id, seed=1, recipe=CUTOUT))
        (letter,) = to(kernel, person, "not-made")
        assert letter.to == NADIA[2]
        assert "Ihre Porträts wurden nicht erstellt" in letter.subject
        assert "/i/" in letter.text
        assert to(kernel, again, "not-made") == [], "what they asked for since is being made"
        assert to(kernel, stranger, "not-made") == []
    finally:
        tenants.note_base(kernel)


def test_a_half_answer_is_recorded_without_red_and_without_losing_what_was_typed(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person = make_person(kernel, consented=False)
    sign_in_employee(client, kernel, person)
    notice = re.search(r'name="notice_id" value="([^"]+)"', to_sign(client, headshots="yes"))
    assert notice
    answer = {"notice_id": notice[1], "typed_name": "Nadia <b>Ümit", "headshots": "yes", "named_otherwise": "yes"}
    half = client.post("/visit/consent", data=answer).text
    assert "Your answer is recorded" in half
    assert "say-bad" not in half
    assert 'role="alert"' not in half
    assert 'value="Nadia &lt;b&gt;Ümit"' in half
    assert '<input type="hidden" name="headshots" value="yes">' in half
    assert 'name="biometric"' not in half
    nothing = client.post("/visit/consent", data=answer | {"headshots": ""})
    assert nothing.status_code == 422
    assert 'value="Nadia &lt;b&gt;Ümit"' in nothing.text


def test_a_copy_that_hr_has_is_named_and_asked_back_in_the_sight_of_both(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, stranger = somebody(kernel), make_person(kernel)
    made = make_headshots(kernel, person, 3)
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [one.id for one in made], utc_now())
    member = sign_in_member(client, kernel, person.tenant_id)
    downloaded = client.get(f"/api/v1/batches/{person.batch_id}/archive")
    assert downloaded.status_code == 200
    sign_in_employee(client, kernel, person)
    client.post(f"/visit/headshots/{made[0].id}/unrelease")
    face = " ".join(get(client, "/visit/face").split())
    assert "2 headshots" in face
    assert face.count("A headshot that you released</b>") == 2
    assert face.count("A headshot that you took back</b>") == 1
    assert "Your employer was asked on" in face
    assert "your employer has copies of 3 headshots" in face
    sign_in_employee(client, kernel, stranger)
    assert "Each one will stand here, with its time." in get(client, "/visit/face")
    sign_in_member(client, kernel, person.tenant_id)
    desk = f"/desk/batches/{person.batch_id}"
    assert "Copies to delete" in get(client, f"{desk}/headshots")
    other = sign_in_member(client, kernel, stranger.tenant_id)
    assert client.post(f"{desk}/people/{person.roster_id}/copies").status_code == 404
    assert other.tenant_id != member.tenant_id
    sign_in_member(client, kernel, person.tenant_id)
    client.post(f"{desk}/people/{person.roster_id}/copies")
    assert "Copies to delete" not in get(client, f"{desk}/headshots")
    sign_in_employee(client, kernel, person)
    assert "your employer said that its copy is deleted" in get(client, "/visit/face")


def test_a_certificate_claims_what_was_measured_and_no_more(client: TestClient[Any], kernel: Kernel) -> None:
    person = somebody(kernel)
    made = make_headshots(kernel, person, 1)
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [made[0].id], utc_now())
    member = sign_in_member(client, kernel, person.tenant_id)
    client.get(f"/api/v1/batches/{person.batch_id}/archive")
    with kernel.db.transaction(person.tenant_id) as session:
        erasure = erasures.request(
            session, person.id, trigger="person", requested_by=f"employee:{person.id}", now=utc_now()
        )
    run_jobs(kernel, tenant=person.tenant_id)
    with kernel.db.transaction(person.tenant_id) as session:
        # Once the mails are handed over, not before: a certificate that waited would be there already.
        with pytest.raises(erasures.CertificateMissing):
            erasures.certificate_of(session, erasure.id)
        session.execute(
            update(Job).where(col(Job.tenant_id) == person.tenant_id, col(Job.state) == "ready").values(due=utc_now())
        )
    run_jobs(kernel, tenant=person.tenant_id)
    with kernel.db.transaction(person.tenant_id) as session:
        document = erasures.certificate_of(session, erasure.id).document
        told = [one for one in mail.mailbox(session) if one.template == "copies"]
    assert [one.owner_id for one in told] == [member.id]
    (informed,) = document["recipients_informed"]
    assert informed["informed_at"]
    assert document["recipients_not_informed"] == []
    assert {key["class"] for key in document["keys"]} == {"source", "headshot", "profile", "log-detail"}
    assert document["classes"]["model"]["deleted_at"] is None
    (backups,) = [one for one in document["residuals"] if one["what"] == "backups of the key folder"]
    assert backups["until"] is None
    assert "not stated" in backups["basis"]
    assert "recipients_informed.informed_at" in document["claims"]["measured"]

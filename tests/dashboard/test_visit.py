"""The employee's pages, through HTTP."""

from __future__ import annotations

import re
from typing import Any

import pytest
from litestar.testing import TestClient

from batch import consents, headshots, invitations, photos, sets
from batch.models import Employee, PhotoState, Purpose
from dashboard import words
from dashboard.pages import FOLDER
from likeness import mail
from likeness.db import utc_now
from likeness.kernel import Kernel
from tenants.models import CUTOUT
from tests.dashboard.markup import get
from tests.factories import give_consent, make_employee, make_tenant, run_jobs, sign_in_employee
from tests.handed_in import make_headshots, make_person, make_photos, make_sitting


def invited(kernel: Kernel, **changes: Any) -> tuple[Employee, str]:
    """Somebody with an invitation in the mailbox, and the path of its link."""
    tenant = make_tenant(kernel, name="Lens & Co")
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel, **changes)
        invitations.invite(session, person, utc_now())
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        letters = [mail.read(kernel.keys, one) for one in mail.mailbox(session)]
    texts = [letter.text for letter in letters if letter and "/i/" in letter.text]
    return person, "/i/" + texts[0].split("/i/")[1].split()[0]


def test_looking_at_a_link_consumes_nothing_and_the_button_signs_in_once(
    client: TestClient[Any], kernel: Kernel
) -> None:
    _, link = invited(kernel)
    for _ in range(3):
        assert "Lens &amp; Co invites you" in get(client, link)
    assert client.get("/visit", follow_redirects=False).status_code == 401
    came_in = client.post(link, follow_redirects=False)
    assert (came_in.status_code, came_in.headers["location"]) == (303, "/visit")
    assert get(client, "/visit", 303) == "/visit/consent"
    assert client.post(link, follow_redirects=False).headers["location"] == link
    assert "used already" in get(client, link)


def test_a_used_link_sends_a_fresh_one_to_the_same_address(client: TestClient[Any], kernel: Kernel) -> None:
    _, link = invited(kernel)
    client.post(link)
    assert "on its way" in client.post(f"{link}/renew").text


@pytest.mark.parametrize("token", ["x", "00000000000000000000000000000000.x", "../etc", "%00"])
def test_a_link_that_leads_nowhere_is_a_page(client: TestClient[Any], token: str) -> None:
    answer = client.get(f"/i/{token}")
    assert answer.status_code in (404, 410)
    assert "<h1>" in answer.text


def test_nothing_is_ticked_and_an_empty_answer_changes_nothing(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel, consented=False)
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/consent")
    assert page.count('type="checkbox"') == 2
    assert not re.search(r"<input[^>]*\schecked", page)
    notice = re.search(r'name="notice_id" value="([^"]+)"', page)
    assert notice
    answer = client.post("/visit/consent", data={"notice_id": notice[1], "typed_name": "Nadia Ümit"})
    assert answer.status_code == 422
    assert "Tick what you agree to" in answer.text
    with kernel.db.transaction(person.tenant_id) as session:
        assert consents.standing(session, person.id) == set()


def test_each_purpose_is_stored_alone_and_both_lead_to_the_photos(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel, consented=False)
    sign_in_employee(client, kernel, person)
    notice = re.search(r'name="notice_id" value="([^"]+)"', get(client, "/visit/consent"))
    assert notice
    answer = {"notice_id": notice[1], "typed_name": "Nadia Ümit"}
    half = client.post("/visit/consent", data=answer | {"headshots": "yes"})
    assert "Something that headshots need is not ticked" in half.text
    with kernel.db.transaction(person.tenant_id) as session:
        assert consents.standing(session, person.id) == {Purpose.HEADSHOTS}
    whole = client.post("/visit/consent", data=answer | {"biometric": "yes"}, follow_redirects=False)
    assert whole.headers["location"] == "/visit/photos"
    assert "About eight selfies" in get(client, "/visit/photos")


def test_no_photo_before_consent(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_employee(client, kernel, make_person(kernel, consented=False))
    assert get(client, "/visit/photos", 303) == "/visit/consent"
    refused = client.post("/visit/photos", files={"photo": ("a.jpg", b"bytes", "image/jpeg")})
    assert refused.status_code == 403


def test_declining_is_one_click_and_can_be_taken_back(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_employee(client, kernel, make_person(kernel, consented=False))
    assert "You are not taking part" in client.post("/visit/decline").text
    assert get(client, "/visit", 303) == "/visit/declined"
    assert "I agree" in get(client, "/visit/consent")


def test_every_photo_shows_its_verdict_and_what_to_do(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_photos(kernel, person, 5)
    (advised,) = make_photos(kernel, person, 1, PhotoState.ADVISED)
    (choosing,) = make_photos(kernel, person, 1, PhotoState.CHOOSING)
    with kernel.db.transaction(person.tenant_id) as session:
        row = photos.get(session, person.id, choosing.id)
        row.width, row.height, row.faces = 800, 400, [[10, 10, 90, 90], [200, 10, 290, 90]]
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/photos")
    assert "5 of 8" in page
    assert "Use anyway" in page
    assert page.count("I am ") == 2
    assert "Make my headshots" not in page
    after = client.post(f"/visit/photos/{advised.id}/use-anyway", headers=fragment("photos"))
    assert "Make my headshots" in after.text
    assert "<html" not in after.text
    again = client.post(f"/visit/photos/{choosing.id}/face", data={"face": "1"}, headers=fragment("photos"))
    assert "checking…" in again.text
    gone = client.post(f"/visit/photos/{advised.id}/remove", headers=fragment("photos"))
    assert str(advised.id) not in gone.text
    assert gone.headers["hx-trigger"] == "fates-changed"
    fates = client.get("/visit/fates")
    assert "gone in 7 days" in fates.text
    assert "<html" not in fates.text


def test_waiting_says_what_happens_and_never_invents_a_time(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_photos(kernel, person)
    sign_in_employee(client, kernel, person)
    assert client.post("/visit/sitting", follow_redirects=False).headers["location"] == "/visit/making"
    page = get(client, "/visit/making")
    assert "Waiting for a free place" in page
    assert "We cannot say honestly yet" in page


def test_headshots_are_chosen_released_and_taken_back(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    one, *_ = make_headshots(kernel, person)
    sign_in_employee(client, kernel, person)
    assert get(client, "/visit", 303) == "/visit/headshots"
    assert "Nothing released yet" in get(client, "/visit/headshots")
    at = f"/visit/headshots/{one.id}"
    assert "1 of 3 released" in client.post(f"{at}/release", headers=fragment("headshots")).text
    assert "your employer may have it" in get(client, at)
    assert 'aria-pressed="true"' in client.post(f"{at}/favourite", headers=fragment("headshots")).text
    alone = client.post(f"{at}/unrelease", data={"alone": "yes"}, follow_redirects=False)
    assert alone.headers["location"] == at
    with kernel.db.transaction(person.tenant_id) as session:
        assert headshots.releases(session, person.id) == []
    assert client.post(f"{at}/steal").status_code == 404


def test_a_reshoot_is_asked_for_with_a_reason(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_headshots(kernel, person)
    sign_in_employee(client, kernel, person)
    assert client.post("/visit/reshoot", data={"reason": ""}).status_code == 422
    asked = client.post("/visit/reshoot", data={"reason": "not me"}, follow_redirects=False)
    assert asked.headers["location"] == "/visit/making"


def test_what_happens_to_the_face_is_on_every_page(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel, source_days=5)
    make_photos(kernel, person, 2)
    sign_in_employee(client, kernel, person)
    for path in ("/visit/consent", "/visit/photos", "/visit/face"):
        page = get(client, path)
        assert "gone in 5 days" in page, path
        assert "Delete everything now" in page


def test_deleting_everything_leads_to_a_certificate_without_a_session(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_photos(kernel, person, 2)
    sign_in_employee(client, kernel, person)
    assert "cannot be undone" in get(client, "/visit/delete")
    asked = client.post("/visit/erasure", follow_redirects=False)
    gone = asked.headers["location"]
    assert gone.startswith("/gone/")
    client.cookies.clear()
    assert "Deleting everything" in get(client, gone)
    assert client.get(f"{gone}/certificate").status_code == 404
    assert get(client, "/gone/nonsense", 404)


def test_another_persons_things_are_not_found(client: TestClient[Any], kernel: Kernel) -> None:
    owner, stranger = make_person(kernel), make_person(kernel)
    shot = make_headshots(kernel, owner)[0]
    (photo,) = make_photos(kernel, owner, 1, PhotoState.ADVISED)
    make_sitting(kernel, stranger)
    sign_in_employee(client, kernel, stranger)
    get(client, f"/visit/headshots/{shot.id}", 404)
    for path in (f"headshots/{shot.id}/release", f"photos/{photo.id}/use-anyway", f"photos/{photo.id}/remove"):
        assert client.post(f"/visit/{path}").status_code == 404, path
    assert client.post(f"/visit/photos/{photo.id}/face", data={"face": "0"}).status_code == 404


def test_employees_see_nothing_of_the_desk(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_employee(client, kernel, make_person(kernel))
    for path in ("/desk", "/desk/looks", "/desk/credits", "/legal", "/legal/ledger", "/operations"):
        get(client, path, 403)


def test_somebody_who_reads_german_gets_german(client: TestClient[Any], kernel: Kernel) -> None:
    person, link = invited(kernel, language="de")
    assert "lädt Sie zu einem Porträt ein" in get(client, link)
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/consent")
    assert '<html lang="de">' in page
    assert "Ich willige ein" in page


def test_every_sentence_of_the_visit_has_a_german_one() -> None:
    pattern = re.compile(r"""_\(\s*(?:"([^"]+)"|'([^']+)')""")
    sentences = {
        found[1] or found[2]
        for path in [*(FOLDER / "templates/visit").glob("*.html"), FOLDER / "templates/layout.html"]
        for found in pattern.finditer(path.read_text())
    }
    assert len(sentences) > 100
    assert not sentences - words.GERMAN.keys()


def fragment(target: str) -> dict[str, str]:
    return {"hx-request": "true", "hx-target": target}


def studio_person(kernel: Kernel) -> Employee:
    """Somebody of a company that makes studio portraits alone, with photos to choose from."""
    tenant = make_tenant(kernel, recipes=[CUTOUT])
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel)
        give_consent(session, kernel, person)
    return person


def test_where_no_model_is_made_nobody_is_told_of_one(client: TestClient[Any], kernel: Kernel) -> None:
    person = studio_person(kernel)
    sign_in_employee(client, kernel, person)
    face = get(client, "/visit/face")
    assert face.count("Studio portrait</b>") == 1
    assert face.count("Face measurements</b>") == 1
    for page in (face, get(client, "/visit/photos"), get(client, "/visit/delete")):
        assert "he model of you" not in page
    assert "You can begin with one photo." in get(client, "/visit/photos")
    sign_in_employee(client, kernel, make_person(kernel))
    assert "The model of you" in get(client, "/visit/face")
    assert "the model of you" in get(client, "/visit/delete")


def test_who_is_asked_once_and_not_at_every_photo(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_photos(kernel, person, 3)
    with kernel.db.transaction(person.tenant_id) as session:
        mine = photos.of(session, person.id)
        for photo, number in zip(mine, (1, 1, 2), strict=True):
            photo.state, photo.person = PhotoState.ACCEPTED, number
        sets.settle(mine)
        session.add_all(mine)
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/photos")
    assert "Which of these are you?" in page
    assert page.count("This is me") == 2  # One for each of the two people.
    assert page.count("It waits for your answer above.") == 1


def test_photos_whose_headshots_are_made_lead_to_these(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_headshots(kernel, person, 1)
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/photos")
    assert 'href="/visit/headshots"' in page
    assert 'action="/visit/sitting"' not in page

"""The employee's pages, through HTTP."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from litestar.testing import TestClient

from batch.models import Employee, PhotoState, Purpose, SittingState
from batch.people import employees
from batch.photos import photos, sets
from batch.sittings import headshots, sittings
from batch.sittings.runs import Run, RunState
from batch.visit import consents, invitations, notices
from compliance.models import Hold
from gpu_cluster.cluster import scheduling
from gpu_cluster.engine.doubts import DOUBTS
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.locale.words import words
from likeness.mail import mail
from tenants import credits, looks, tenants
from tenants.models import CUTOUT, Role
from tests.dashboard.markup import get, to_sign
from tests.factories import (
    begin_held,
    give_consent,
    make_employee,
    make_tenant,
    run_jobs,
    sign_in_employee,
    sign_in_member,
)
from tests.handed_in import make_headshots, make_person, make_photos, make_sitting

DRAWN = "flux2-klein-4b-reference"


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
    assert get(client, "/visit", 303) == "/visit/welcome"
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


def test_a_plain_form_says_that_a_photo_was_handed_in_already(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_employee(client, kernel, make_person(kernel))
    said = "You have handed in this photo already."
    for number, where in enumerate(("/visit/photos", "/visit/photos?known=1")):
        sent = client.post("/visit/photos", files={"photo": ("a.jpg", b"bytes", "image/jpeg")}, follow_redirects=False)
        assert (sent.status_code, sent.headers["location"]) == (303, where)
        assert (f"<div>{said}" in get(client, where)) is bool(number)
        assert get(client, where).count('class="picture') == 1 + 1  # The list, and one photo in it.


def test_no_line_of_a_french_page_begins_with_its_punctuation(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    with kernel.db.transaction(person.tenant_id) as session:
        employees.choose_language(session, kernel.keys, person.id, "fr")
    sign_in_employee(client, kernel, person)
    kept = list[str]()
    for path in ("/visit/photos", "/visit/delete", "/visit/phone", "/visit/wrong?page=/visit/photos"):
        said = unescape(re.sub("<[^>]+>", "\n", get(client, path)))
        assert re.findall("[^\n]*[ \u202f][;:?!»]|«[ \u202f][^\n]*", said) == [], path
        kept += re.findall("\u00a0[;:?!»]", said)
    assert kept


def test_nothing_is_ticked_and_an_empty_answer_changes_nothing(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel, consented=False)
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/consent")
    assert page.count('type="radio"') == 2
    assert not re.search(r"<input[^>]*\schecked", page)
    answer = client.post("/visit/consent", data={"notice_id": notice_in(to_sign(client)), "typed_name": "Nadia Ümit"})
    assert answer.status_code == 422
    assert "Say yes to what you agree to" in answer.text
    with kernel.db.transaction(person.tenant_id) as session:
        assert consents.standing(session, person.id) == set()


def notice_in(page: str) -> str:
    found = re.search(r'name="notice_id" value="([^"]+)"', page)
    assert found
    return found[1]


def test_each_purpose_is_stored_alone_and_both_lead_to_the_photos(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel, consented=False)
    sign_in_employee(client, kernel, person)
    answer = {"notice_id": notice_in(to_sign(client, headshots="yes")), "typed_name": "Nadia Ümit"}
    dot = client.post("/visit/consent", data=answer | {"headshots": "yes", "typed_name": "."})
    assert (dot.status_code, "Type your full name" in dot.text) == (422, True)
    half = client.post("/visit/consent", data=answer | {"headshots": "yes"})
    assert "Something that headshots need is missing" in half.text
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
    assert "Yes, I agree" in get(client, "/visit/consent")


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
    assert f'id="photo-{advised.id}"' not in gone.text
    assert "deleted in a few seconds" in gone.text
    assert "5 of 8" in gone.text, "it counts no more"
    assert gone.headers["hx-trigger"] == "fates-changed"
    assert kernel.objects.exists(advised.path), "nothing is deleted yet"
    stranger = make_person(kernel)
    sign_in_employee(client, kernel, stranger)
    assert client.post(f"/visit/photos/{advised.id}/keep", headers=fragment("photos")).status_code == 410
    sign_in_employee(client, kernel, person)
    stays = client.post(f"/visit/photos/{advised.id}/keep", headers=fragment("photos"))
    assert f'id="photo-{advised.id}"' in stays.text
    assert "Used at your wish" in stays.text
    assert "Make my headshots" in stays.text
    assert client.post(f"/visit/photos/{advised.id}/keep", headers=fragment("photos")).status_code == 410
    client.post(f"/visit/photos/{advised.id}/remove", headers=fragment("photos"))
    begin_held(kernel, person.tenant_id)
    assert not kernel.objects.exists(advised.path)
    assert client.post(f"/visit/photos/{advised.id}/keep", headers=fragment("photos")).status_code == 410
    assert "deleted in a few seconds" not in get(client, "/visit/photos")
    fates = client.get("/visit/fates")
    assert "gone in 7 days" in fates.text
    assert "<html" not in fates.text


def test_a_photo_that_is_one_of_two_is_no_fault_and_may_count_as_well(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    (spare,), (refused,) = (make_photos(kernel, person, 1, state) for state in (PhotoState.SPARE, PhotoState.REJECTED))
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/photos")
    shown, bad = (page.split(f'id="photo-{one.id}"')[1].split('id="photo-')[0] for one in (spare, refused))
    assert "one of two" in shown
    assert "tag-plain" in shown
    assert "tag-bad" not in shown
    assert "Count both" in shown
    assert "tag-bad" in bad


def test_waiting_says_what_happens_and_never_invents_a_time(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_photos(kernel, person)
    sign_in_employee(client, kernel, person)
    assert client.post("/visit/sitting", follow_redirects=False).headers["location"] == "/visit/making"
    page = get(client, "/visit/making")
    assert "Waiting for a free place" in page
    assert "We cannot say honestly yet" in page
    with kernel.db.transaction(person.tenant_id) as session:
        colleague = make_employee(session, kernel)
        give_consent(session, kernel, colleague)
    made = make_headshots(kernel, colleague, 1)[0]
    with kernel.db.transaction(person.tenant_id) as session:
        session.add(Run(tenant_id=person.tenant_id, employee_id=colleague.id, sitting_id=made.sitting_id, fence=1,
                        state=RunState.SUCCEEDED, recipe={}, started_at=utc_now() - timedelta(minutes=40),
                        finished_at=utc_now() - timedelta(minutes=21)))  # fmt: skip
    assert "About 19 minutes left" in get(client, "/visit/making")


def test_headshots_are_looked_at_once_more_handed_over_and_taken_back(client: TestClient[Any], kernel: Kernel) -> None:
    person, stranger = make_person(kernel), make_person(kernel)
    one, two, three = make_headshots(kernel, person)
    (theirs,) = make_headshots(kernel, stranger, 1)
    sign_in_employee(client, kernel, person)
    assert get(client, "/visit", 303) == "/visit/headshots"
    page = get(client, "/visit/headshots")
    assert "Nothing released yet" in page
    assert page.count("data-pick") == 3
    assert "checked" not in page, "nothing is ticked for anybody"
    assert "Tick at least one headshot first." in get(client, "/visit/hand-over", 422)
    before = get(client, f"/visit/hand-over?headshot={one.id}&headshot={two.id}&headshot={theirs.id}")
    assert "Hand these 2 over to Zebra Works?" in before
    assert "Your selfie, to compare" in before
    assert "You can take it back here until" in before
    with kernel.db.transaction(person.tenant_id) as session:
        assert headshots.releases(session, person.id) == [], "nothing leaves before it is handed over"
    foreign = client.post("/visit/hand-over", data={"headshots": f"{one.id} {theirs.id}"})
    assert foreign.status_code == 404
    assert client.post("/visit/hand-over", data={"headshots": ""}).status_code == 422
    given = client.post("/visit/hand-over", data={"headshots": f"{one.id} {two.id}", "first": str(two.id)})
    assert given.request.url.path == "/visit/done"
    assert "2 headshots are with Zebra Works." in given.text
    assert "your employer sees 2 headshots" in given.text
    assert get(client, "/visit", 303) == "/visit/done"
    with kernel.db.transaction(person.tenant_id) as session:
        marked = {shot.id: shot.favourite_at is not None for shot in headshots.of(session, person.id, utc_now())}
    assert marked == {one.id: False, two.id: True, three.id: False}
    at = f"/visit/headshots/{one.id}"
    assert "1 of 3 released" in client.post(f"{at}/unrelease", headers=fragment("headshots")).text
    assert 'aria-pressed="true"' in client.post(f"{at}/favourite", headers=fragment("headshots")).text
    alone = client.post(f"{at}/release", data={"back": "alone"}, follow_redirects=False)
    assert alone.headers["location"] == at
    assert "your employer may have it" in get(client, at)
    assert client.post("/visit/take-back", follow_redirects=False).headers["location"] == "/visit/headshots"
    with kernel.db.transaction(person.tenant_id) as session:
        assert headshots.releases(session, person.id) == []
    assert client.post(f"{at}/steal").status_code == 404


def test_one_headshot_is_deleted_in_one_step_and_the_others_stay(client: TestClient[Any], kernel: Kernel) -> None:
    person, stranger = make_person(kernel), make_person(kernel)
    one, two = make_headshots(kernel, person, 2)
    (theirs,) = make_headshots(kernel, stranger, 1)
    sign_in_employee(client, kernel, person)
    client.post("/visit/hand-over", data={"headshots": str(one.id)})
    assert "cannot be brought back" in get(client, f"/visit/headshots/{one.id}")
    assert client.post(f"/visit/headshots/{theirs.id}/delete").status_code == 404
    gone = client.post(f"/visit/headshots/{one.id}/delete", follow_redirects=False)
    assert gone.headers["location"] == "/visit/headshots"
    with kernel.db.transaction(person.tenant_id) as session:
        assert [shot.id for shot in headshots.of(session, person.id, utc_now())] == [two.id]
        assert headshots.releases(session, person.id) == []
    assert [kept.path for kept in kernel.objects.list(one.path.rpartition("/")[0])] == [two.path]
    assert "You deleted a headshot" in get(client, "/visit/face")
    with kernel.db.transaction(stranger.tenant_id) as session:
        assert headshots.of(session, stranger.id, utc_now())


def test_a_reshoot_is_asked_for_without_words(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_headshots(kernel, person)
    sign_in_employee(client, kernel, person)
    assert 'action="/visit/reshoot"' in (page := get(client, "/visit/headshots"))
    assert 'name="reason"' not in page, "words that nobody reads are not asked for"
    asked = client.post("/visit/reshoot", follow_redirects=False)
    assert asked.headers["location"] == "/visit/making"
    waits = get(client, "/visit/making")
    assert "The headshots that you have stay until you release one of the new ones." in waits
    assert 'href="/visit/headshots"' in waits, "they are not only left by withdrawing"


def test_what_happens_to_the_face_is_on_every_page(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel, source_days=5)
    make_photos(kernel, person, 2)
    sign_in_employee(client, kernel, person)
    until = words("en").weekday(utc_now() + timedelta(days=5))
    for path in ("/visit/welcome", "/visit/consent", "/visit/photos", "/visit/face", "/visit/delete"):
        page = get(client, path)
        assert f"2 selfies\xa0· gone by {until}\xa0· your employer has nothing</span>" in page, path
        assert "gone in 5 days" in page
        assert "Key of your selfies</b><span" in page
        assert "Delete everything now" in page
    # A page of another room has it fetched.
    assert 'hx-get="/visit/fates"' in get(client, "/visit/certificates")
    assert client.get("/visit/fates").text.count("2 selfies\xa0· gone by") == 2, "once more for whoever listens"


def test_the_strip_is_true_of_every_state(client: TestClient[Any], kernel: Kernel) -> None:
    def said() -> str:
        found = re.search(r'<span class="said">([^<]*)</span>', get(client, "/visit/face"))
        assert found
        return found[1]

    person = make_person(kernel, consented=False)
    sign_in_employee(client, kernel, person)
    assert said() == "Nothing of your face is here\xa0· your employer has nothing"
    with kernel.db.transaction(person.tenant_id) as session:
        give_consent(session, kernel, person)
    make_photos(kernel, person, 2, PhotoState.REJECTED)
    assert said() == "Nothing of your face is here\xa0· your employer has nothing", "a refused photo is gone at once"
    one, two, _ = make_headshots(kernel, person)
    assert said().startswith("6 selfies, 3 headshots\xa0· gone by ")
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [one.id, two.id], utc_now())
    assert said().endswith("your employer sees 2 headshots")
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.releases(session, person.id)[0].downloaded_at = utc_now()
    assert said().endswith("your employer has a copy of 1 headshot")
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.unrelease(session, person.id, headshots.releases(session, person.id)[0].headshot_id, utc_now())
    assert said().endswith("your employer has a copy of 1 headshot"), "what was downloaded is not here to be taken back"
    until = utc_now() + timedelta(days=40)
    with kernel.db.transaction(person.tenant_id) as session:
        session.add(Hold(tenant_id=person.tenant_id, employee_id=person.id, placed_by=uuid4(), expires_at=until,
                         unsealed_reference="12 O 34/26", unsealed_reason="x", confirmed_by=uuid4(),
                         confirmed_at=utc_now()))  # fmt: skip
    assert f"kept by a legal hold until {words('en').weekday(until)}" in said()
    assert "gone in" not in get(client, "/visit/face")
    client.post("/visit/withdraw")
    assert "kept by a legal hold until" in said()


def test_deleting_everything_leads_to_a_certificate_without_a_session(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_photos(kernel, person, 2)
    sign_in_employee(client, kernel, person)
    assert "cannot be undone" in get(client, "/visit/delete")
    asked = client.post("/visit/erasure", follow_redirects=False)
    gone, _, language = asked.headers["location"].partition("?")
    assert gone.startswith("/gone/")
    assert language == "language=en"
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
    assert '<html lang="de" dir="ltr">' in page
    assert "Ja, ich willige ein" in page
    assert ">Ich willige ein</button>" in to_sign(client, headshots="yes", biometric="yes")


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
    modelled = make_person(kernel)
    make_sitting(kernel, modelled)
    sign_in_employee(client, kernel, modelled)
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


def failed(kernel: Kernel, person: Employee, recipe: str = "portrait-small", reason: str = "unlike") -> None:
    """A sitting that ended with nothing, because of the company's only look."""
    make_photos(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        look = looks.list_looks(session) or [
            looks.add(session, "Garden", "garden", "navy suit", "close-up", "daylight")
        ]
        sitting = sittings.submit(session, person.id, utc_now(), recipe)
        fence = sittings.claim(session, sitting.id, utc_now())
        assert fence is not None
        sittings.fail(session, sitting.id, fence, "No headshot was good enough to be shown.", {look[0].id: reason})


def test_who_got_nothing_reads_why_and_is_offered_a_studio_portrait(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel, recipes=["portrait-small", CUTOUT])
    failed(kernel, person)
    sign_in_employee(client, kernel, person)
    assert get(client, "/visit", 303) == "/visit/making"
    page = get(client, "/visit/making")
    assert "No headshot was good enough to be shown." in page
    assert re.search(r"Nothing came of the look “[^”]+”: its pictures did not look enough like you\.", page)
    assert "Or have a studio portrait" in page
    again = client.post("/visit/sitting", data={"recipe": CUTOUT}, follow_redirects=False)
    assert again.headers["location"] == "/visit/making"
    with kernel.db.transaction(person.tenant_id) as session:
        newest = sittings.latest_of(session, person.id)
        assert newest is not None
        assert (newest.recipe, newest.state, newest.missed) == (CUTOUT, "ready", {})


def test_who_has_not_agreed_to_a_studio_portrait_is_told_that_they_would_be_asked(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person = make_person(kernel, consented=False, recipes=["portrait-small", CUTOUT])
    with kernel.db.transaction(person.tenant_id) as session:
        notice = notices.current(session, "en")
        agreed = [Purpose.HEADSHOTS, Purpose.BIOMETRIC]
        consents.give(session, kernel.keys, person.id, agreed, notice.id, "Nadia Ümit", utc_now())
    failed(kernel, person)
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/making")
    assert "Your company also offers a studio portrait" in page
    assert "Or have a studio portrait" not in page
    assert client.post("/visit/sitting", data={"recipe": CUTOUT}).status_code == 422


def test_who_is_drawn_after_selfies_agrees_to_that_and_to_no_model(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, stranger = (make_person(kernel, consented=False, recipes=[DRAWN, CUTOUT]) for _ in range(2))
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/welcome")
    assert "No model of you is made for either" in page
    assert "A model of you alone" not in page
    page = to_sign(client, drawn="yes", portrait="yes", biometric="yes", headshots="yes")
    assert [name for name in Purpose if f'name="{name.value}"' in page] == [
        Purpose.DRAWN, Purpose.PORTRAIT, Purpose.BIOMETRIC,
    ]  # fmt: skip
    with kernel.db.transaction(person.tenant_id) as session:
        notice = notices.current(session, "en")
        with pytest.raises(consents.PurposeMissing):
            consents.give(session, kernel.keys, person.id, [Purpose.HEADSHOTS], notice.id, "Nadia Ümit", utc_now())
    with kernel.db.transaction(person.tenant_id) as session:
        agreed = [Purpose.PORTRAIT, Purpose.BIOMETRIC]
        consents.give(session, kernel.keys, person.id, agreed, notice.id, "Nadia Ümit", utc_now())
    make_photos(kernel, person, 3)
    assert client.post("/visit/sitting", data={"recipe": DRAWN}).status_code == 422, "the portrait alone was agreed to"
    with kernel.db.transaction(person.tenant_id) as session:
        consents.give(session, kernel.keys, person.id, [Purpose.DRAWN], notice.id, "Nadia Ümit", utc_now())
    page = get(client, "/visit/photos")
    assert "Make headshots drawn after my photos" in page
    assert "with a model of me" not in page
    assert client.post("/visit/sitting", data={"recipe": DRAWN}, follow_redirects=False).status_code == 303
    page = get(client, "/visit/making")
    assert "draws headshots in the looks" in page
    assert "learns your face" not in page
    assert "The model of you" not in get(client, "/visit/face")
    with kernel.db.transaction(stranger.tenant_id) as session:
        assert not consents.of(session, stranger.id)


def test_where_no_studio_portrait_is_offered_none_is_spoken_of(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel, recipes=["portrait-small"])
    failed(kernel, person)
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/making")
    assert "Try again" in page
    assert "studio portrait" not in page


def test_what_cannot_be_made_any_more_is_not_offered_and_who_waits_for_it_reads_so(
    client: TestClient[Any], kernel: Kernel
) -> None:
    """An operator takes the base away from two people of one company, one of whom had agreed to a studio portrait too."""
    base = kernel.settings.recipe
    person, other, stranger = (make_person(kernel, consented=False, recipes=[base, CUTOUT]) for _ in range(3))
    for one, purposes in ((person, {Purpose.HEADSHOTS}), (other, {Purpose.HEADSHOTS, Purpose.PORTRAIT})):
        with kernel.db.transaction(one.tenant_id) as session:
            notice = notices.current(session, "en")
            given = purposes | {Purpose.BIOMETRIC}
            consents.give(session, kernel.keys, one.id, given, notice.id, "Nadia Ümit", utc_now())
        make_photos(kernel, one)
        with kernel.db.transaction(one.tenant_id) as session:
            assert sittings.submit(session, one.id, utc_now()).recipe == base
    without = replace(kernel, settings=kernel.settings.model_copy(update={"recipe": CUTOUT}))
    try:
        scheduling.turn_away(without, utc_now())
        for one in (person, other):
            sign_in_employee(client, kernel, one)
            assert get(client, "/visit", 303) == "/visit/making"
            page = get(client, "/visit/making")
            assert "is not available here any more. Nothing was made." in page
            assert "It is made only if you agree to it." in page
            assert "What is happening meanwhile" not in page
            assert client.post("/visit/sitting", data={"recipe": base}).status_code == 403
            assert client.get("/visit/consent/headshots").status_code == 404, "nobody is asked about a model"
            with kernel.db.transaction(one.tenant_id) as session:
                assert credits.balance(session) == 1000
                notice = notices.current(session, "en")
                given = {Purpose.PORTRAIT, Purpose.BIOMETRIC}
                consents.give(session, kernel.keys, one.id, given, notice.id, "Nadia Ümit", utc_now())
            assert "Make a studio portrait of my own photo" in get(client, "/visit/making")
            assert client.post("/visit/sitting", data={"recipe": CUTOUT}, follow_redirects=False).status_code == 303
            assert "Waiting for a free place" in get(client, "/visit/making")
        sign_in_employee(client, kernel, stranger)
        assert get(client, "/visit", 303) == "/visit/welcome"
        sign_in_member(client, kernel, person.tenant_id, Role.OWNER, Role.HR)
        assert "way of making headshots is not available any more" in get(client, "/desk")
        assert "Not available here any more: A model of each person" in get(client, "/desk/looks")
        client.post("/desk/looks/ways", data={f"way-{CUTOUT}": "on"})
        assert "not available any more" not in get(client, "/desk")
    finally:
        tenants.note_base(kernel)
    with kernel.db.transaction(other.tenant_id) as session:
        assert tenants.get(session).offered == [base, CUTOUT], "the choice comes back with the base"


def test_a_photo_that_nothing_came_of_is_named_to_its_person_in_words(client: TestClient[Any], kernel: Kernel) -> None:
    """Where the headshots are, and where there are none; nothing is said of one that was deleted, nor to a stranger."""
    person, stranger = make_person(kernel), make_person(kernel)
    for one in (person, stranger):
        make_photos(kernel, one, 6)
        make_headshots(kernel, one)
    with kernel.db.transaction(person.tenant_id) as session:
        first, second, third, *_ = photos.of(session, person.id)
        newest = sittings.latest_of(session, person.id)
        assert newest is not None
        newest.unused = {str(first.id): "turned", str(second.id): "unforeseen", str(third.id): "no_face"}
        session.delete(third)
    sign_in_employee(client, kernel, person)
    page = unescape(get(client, "/visit/headshots"))
    said = "Your face is turned far to the side. Turn a little towards the camera."
    assert f"Nothing came of your photo 5.</b> {said}" in page
    assert "Nothing came of your photo 4.</b> The program could not work on it" in page
    assert page.count("Nothing came of your photo") == 2
    assert f'src="/api/v1/visit/photos/{first.id}/picture"' in page
    with kernel.db.transaction(person.tenant_id) as session:
        newest = sittings.latest_of(session, person.id)
        assert newest is not None
        newest.state = SittingState.FAILED
    assert "Nothing came of your photo 5." in get(client, "/visit/making")
    sign_in_employee(client, kernel, stranger)
    assert "Nothing came of" not in get(client, "/visit/headshots")


@pytest.mark.parametrize("name", sorted(DOUBTS))
def test_a_look_that_failed_is_named_beside_the_headshots_of_the_others(
    client: TestClient[Any], kernel: Kernel, name: str
) -> None:
    person = make_person(kernel)
    make_headshots(kernel, person)
    sign_in_employee(client, kernel, person)
    assert "Nothing came of" not in get(client, "/visit/headshots")
    with kernel.db.transaction(person.tenant_id) as session:
        look = looks.add(session, "Garden", "garden", "navy suit", "close-up", "daylight")
        newest = sittings.latest_of(session, person.id)
        assert newest is not None
        newest.missed = {str(look.id): name}
    assert "Nothing came of your photo" not in get(client, "/visit/headshots")
    assert f"Nothing came of the look “Garden”: {DOUBTS[name]}." in unescape(get(client, "/visit/headshots"))

"""The consent, one question a page: nothing counts before the signature, and nothing that was answered is lost."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from litestar.testing import TestClient
from sqlmodel import col, select

from batch.models import Employee, Purpose
from batch.visit import consents
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from tenants import tenants
from tenants.models import CUTOUT
from tests.dashboard.markup import check, get, to_sign
from tests.factories import sign_in_employee, sign_in_member
from tests.handed_in import make_person

BOTH = ["portrait-small", CUTOUT]
YES_NO = re.compile(r'<input type="radio" name="answer" value="(yes|no)"( checked)?>')


def newcomer(client: TestClient[Any], kernel: Kernel, recipes: list[str] = BOTH) -> Employee:
    person = make_person(kernel, consented=False, recipes=recipes)
    sign_in_employee(client, kernel, person)
    return person


def answer(client: TestClient[Any], address: str, said: str = "", **more: str) -> str:
    """Where the answer leads."""
    draft = address.partition("?draft=")[2]
    done = client.post(address.partition("?")[0], data={"answer": said, "draft": draft} | more, follow_redirects=False)
    assert done.status_code == 303, done.text
    return done.headers["location"]


def on_record(kernel: Kernel, person: Employee) -> list[object]:
    with kernel.db.transaction(person.tenant_id) as session:
        told = select(LedgerEntry).where(
            col(LedgerEntry.subject) == str(person.id), col(LedgerEntry.event).startswith("consent")
        )
        return [*consents.of(session, person.id), *session.exec(told)]


def test_each_page_asks_one_thing_and_nothing_counts_before_the_signature(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, at = newcomer(client, kernel), "/visit/consent/headshots"
    for number, (name, said) in enumerate((("headshots", "yes"), ("portrait", "no"), ("biometric", "yes")), 1):
        assert at.partition("?")[0] == f"/visit/consent/{name}"
        page = get(client, at)
        assert YES_NO.findall(page) == [("yes", ""), ("no", "")], "nothing is ticked"
        assert f"Step {number} of 4" in page
        assert f"<title>Your answer, step {number} of 4" in page
        assert len(re.findall(r'class="button"', page.split("<main")[1])) == 1, "one primary button"
        assert "The whole notice, word for word" in page
        assert "typed_name" not in page
        at = answer(client, at, said)
    assert at.partition("?")[0] == "/visit/consent/name"
    page = get(client, at)
    assert "Step 4 of 4" in page
    assert page.count("<b>Yes, I agree</b>") == 2
    assert page.count("<b>No</b>") == 1
    assert on_record(kernel, person) == []
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.split('id="consent"')[1]))
    done = client.post("/visit/consent", data=fields | {"typed_name": "Nadia Ümit"}, follow_redirects=False)
    assert done.headers["location"] == "/visit/photos"
    with kernel.db.transaction(person.tenant_id) as session:
        assert consents.standing(session, person.id) == {Purpose.HEADSHOTS, Purpose.BIOMETRIC}


def test_what_was_answered_and_typed_survives_going_back_an_error_and_another_language(
    client: TestClient[Any], kernel: Kernel
) -> None:
    newcomer(client, kernel, ["portrait-small"])
    at = answer(client, answer(client, "/visit/consent/headshots", "yes"), "no")
    typed = {"typed_name": 'Nadia "Ü" <b>', "named_otherwise": "yes"}
    before = answer(client, at, **typed, to="biometric")
    assert before.startswith("/visit/consent/biometric?draft=")
    assert YES_NO.findall(get(client, before)) == [("yes", ""), ("no", " checked")]
    at = answer(client, answer(client, before, "yes"), to="headshots", **typed)
    assert YES_NO.findall(get(client, at)) == [("yes", " checked"), ("no", "")]
    # Without a new answer, by "Back" as well, to the page where it all begins, and from there again.
    welcome = answer(client, at, to="welcome")
    again = re.search(r'<a class="button" href="(/visit/consent\?draft=[^"]+)"', get(client, welcome))
    assert again
    assert YES_NO.findall(get(client, again[1])) == [("yes", " checked"), ("no", "")]
    last = answer(client, answer(client, "/visit/consent/headshots?" + at.partition("?")[2], "yes"), "yes")
    assert 'value="Nadia &#34;Ü&#34; &lt;b&gt;"' in get(client, last)
    assert 'name="named_otherwise" value="yes" checked' in get(client, last)
    switched = re.search(r'name="back" value="([^"]+)"', get(client, last))
    assert switched
    to = client.post("/visit/language", data={"language": "de", "back": unescape(switched[1])}, follow_redirects=False)
    page = get(client, to.headers["location"])
    assert "Schritt 3 von 3" in page
    assert page.count("<b>Ja, ich willige ein</b>") == 2
    assert 'value="Nadia &#34;Ü&#34; &lt;b&gt;"' in page


def test_what_is_typed_and_not_yet_handed_in_survives_another_language(
    client: TestClient[Any], kernel: Kernel
) -> None:
    """The switch hands the page's form in with it, so it needs no script."""
    person = newcomer(client, kernel, ["portrait-small"])
    asked = switched(client, "/visit/consent/headshots", "de", answer="no")
    assert '<html lang="de"' in asked
    assert YES_NO.findall(asked) == [("yes", ""), ("no", " checked")]
    asked = switched(client, "/visit/consent/headshots", "ja")
    assert YES_NO.findall(asked) == [("yes", ""), ("no", "")], "nothing was chosen, and nothing is said about that"
    last = answer(client, answer(client, "/visit/consent/headshots", "yes"), "yes")
    page = switched(client, last, "fr", typed_name="Nadia <Ü>", named_otherwise="yes")
    assert '<html lang="fr"' in page
    assert 'value="Nadia &lt;Ü&gt;"' in page
    assert 'name="named_otherwise" value="yes" checked' in page
    assert on_record(kernel, person) == []
    sign_in_member(client, kernel, person.tenant_id)  # Who reads what is wrong.
    sign_in_employee(client, kernel, person)
    page = switched(client, "/visit/wrong?page=/visit/consent", "ar", words="Who <reads> this?")
    assert 'dir="rtl"' in page
    assert ">Who &lt;reads&gt; this?</textarea>" in page
    assert 'name="page" value="/visit/consent"' in page
    refused = client.post("/visit/wrong", data={"words": "x", "language": "tlh"})
    assert refused.status_code == 422


def switched(client: TestClient[Any], address: str, language: str, **typed: str) -> str:
    """As a browser does it that knows no script: the button names the form that it hands in, and where to."""
    page = get(client, address)
    button = re.search(rf'<button type="submit" ([^>]*) name="language" value="{language}"', page)
    assert button
    told = dict(re.findall(r'(\w+)="([^"]*)"', button[1]))
    form = page.split(f'id="{told["form"]}"')[1].split("</form>")[0]
    hidden = {name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)}
    answered = client.post(told["formaction"], data=hidden | typed | {"language": language})
    assert answered.status_code == 200
    check(told["formaction"], answered.text, dict(answered.headers))
    return answered.text


def test_going_on_without_an_answer_says_so_and_keeps_the_rest(client: TestClient[Any], kernel: Kernel) -> None:
    newcomer(client, kernel, ["portrait-small"])
    at = answer(client, "/visit/consent/headshots", "no")
    again = client.post("/visit/consent/biometric", data={"draft": at.partition("?draft=")[2]})
    assert again.status_code == 422
    check("/visit/consent/biometric", again.text, dict(again.headers))
    assert "Say yes or no" in again.text
    assert "Step 2 of 3" in again.text
    last = answer(client, "/visit/consent/biometric?draft=" + unescape(draft_in(again.text)), "no")
    page = get(client, last)
    assert "there is nothing to sign" in page
    assert ">I agree</button>" not in page
    assert "No, thank you" in page


def draft_in(page: str) -> str:
    found = re.search(r'name="draft" value="([^"]+)"', page)
    assert found
    return found[1]


def test_answers_that_make_no_headshots_are_told_before_they_are_signed(
    client: TestClient[Any], kernel: Kernel
) -> None:
    newcomer(client, kernel)
    assert "With these answers no headshot can be made" in to_sign(client, portrait="yes")
    assert "With these answers no headshot can be made" in to_sign(client, biometric="yes")
    assert "With these answers" not in to_sign(client, portrait="yes", biometric="yes")


def test_nobody_signs_past_a_question_and_a_name_that_is_none_is_not_found(
    client: TestClient[Any], kernel: Kernel
) -> None:
    newcomer(client, kernel, ["portrait-small"])
    assert get(client, "/visit/consent/name", 303).startswith("/visit/consent/headshots?draft=")
    at = answer(client, "/visit/consent/headshots", "yes")
    assert get(client, at.replace("biometric", "name"), 303).startswith("/visit/consent/biometric?draft=")
    for name in ("portrait", "marketing", "Name", "%00"):
        assert client.get(f"/visit/consent/{name}").status_code == 404, name
        assert client.post(f"/visit/consent/{name}", data={"answer": "yes"}).status_code == 404, name


def test_a_draft_says_nothing_for_another_person_nor_under_another_notice(
    client: TestClient[Any], kernel: Kernel
) -> None:
    """A link that somebody else made answers nothing in advance, and its address tells nobody what was answered."""
    person = newcomer(client, kernel)
    yes, no = answer(client, "/visit/consent/headshots", "yes"), answer(client, "/visit/consent/headshots", "no")
    assert len(yes) == len(no)
    first = yes.replace("portrait", "headshots")
    assert YES_NO.findall(get(client, first)) == [("yes", " checked"), ("no", "")]
    for broken in ("x", "=", "%00", "é", "A" * 5000, first.partition("=")[2][:-9], "%ED%A0%80"):
        page = client.get(f"/visit/consent?draft={broken}")
        assert (page.status_code, YES_NO.findall(page.text)) == (200, [("yes", ""), ("no", "")]), broken
    newcomer(client, kernel)
    assert YES_NO.findall(get(client, first)) == [("yes", ""), ("no", "")]
    sign_in_employee(client, kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        tenants.get(session).contact = "somebody.else@example.org"
    assert YES_NO.findall(get(client, first)) == [("yes", ""), ("no", "")], "another notice"


def test_the_longest_name_comes_back_whole(client: TestClient[Any], kernel: Kernel) -> None:
    newcomer(client, kernel, ["portrait-small"])
    at = answer(client, answer(client, "/visit/consent/headshots", "yes"), "yes")
    name = "😀" * 200
    last = answer(client, answer(client, at, typed_name=name, to="biometric"), "yes")
    assert f'value="{name}"' in get(client, last)

"""A note that HR writes to everybody of a batch: in the invitation and on the visit's first page."""

from __future__ import annotations

import re
from typing import Any

from litestar.testing import TestClient
from sqlmodel import col, select

from batch.models import Batch
from batch.people import notes
from batch.reading import workbook
from batch.visit import invitations
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.locale.languages import LANGUAGES
from likeness.locale.words import words
from likeness.mail import letters, mail
from likeness.mail.markup import html_of
from tests.dashboard.markup import get
from tests.factories import make_batch, make_employee, make_tenant, run_jobs, sign_in_employee, sign_in_member

API = "/api/v1"
NOTE = "Bring <b>Mia</b>'s badge.\r\n\r\nhttps://intranet.zebra.example/photo\r\n* in room 4"


def test_a_note_stands_in_the_invitation_and_on_the_first_page(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, stranger = make_tenant(kernel, name="Lens & Co"), make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch, other = make_batch(session, name="Spring"), make_batch(session, name="Autumn")
        person = make_employee(session, kernel, batch=batch)
        elsewhere = make_employee(session, kernel, batch=other)
    at, by_program = f"/desk/batches/{batch.id}", f"{API}/batches/{batch.id}"
    sign_in_member(client, kernel, stranger)
    assert client.patch(by_program, json={"name": "x", "note": "x"}).status_code == 404
    assert client.post(f"{at}/note", data={"note": "x"}).status_code == 404
    sign_in_member(client, kernel, tenant)
    assert client.post(f"{at}/change", data={"name": "Spring", "note": "x" * 601}).status_code == 422
    assert client.patch(by_program, json={"name": "Spring", "note": "a\x00b"}).status_code == 422
    assert "Bring &lt;b&gt;Mia&lt;/b&gt;" in client.post(f"{at}/change", data={"name": "Spring", "note": NOTE}).text
    with kernel.db.transaction(tenant) as session:
        row = session.exec(select(Batch).where(col(Batch.id) == batch.id)).one()
        assert row.sealed_note is not None
        assert b"Mia" not in row.sealed_note
        for one in (person, elsewhere):
            invitations.invite(session, one, utc_now())
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        told = {one.owner_id: mail.read(kernel.keys, one) for one in mail.mailbox(session) if one.template == "invitation"}
    letter = told[person.id]
    assert letter is not None
    quoted = "A note from Lens & Co:\n> Bring <b>Mia</b>'s badge.\n> https://intranet.zebra.example/photo\n> * in room 4\n"
    assert quoted in letter.text
    page = html_of(letter)
    assert "Bring &lt;b&gt;Mia&lt;/b&gt;" in page
    assert page.count("display:inline-block") == 1, "the button is of the mail's own link alone"
    assert "A note from" not in told[elsewhere.id].text  # type: ignore[union-attr]
    assert client.patch(by_program, json={"name": "Spring"}).json()["note"] == notes.of(kernel.keys, row)
    assert client.patch(by_program, json={"name": "Spring", "note": "Room 7"}).json()["note"] == "Room 7"
    sign_in_employee(client, kernel, person)
    first = get(client, "/visit/welcome")
    assert "A note from Lens &amp; Co" in first
    assert "Room 7" in first, "as it is now"
    sign_in_employee(client, kernel, elsewhere)
    assert "A note from" not in get(client, "/visit/welcome")
    sign_in_member(client, kernel, tenant)
    assert client.patch(by_program, json={"name": "Spring", "note": ""}).json()["note"] == ""
    for language in LANGUAGES:
        values = dict.fromkeys(("name", "until", "source", "headshots", "names", "contact", "authority", "link"), "x")
        text = letters.render("invitation", words(language), kind="model", controller="Lens", note="> Room 7", **values)
        assert "\n> Room 7\n\n" in text, language
    mixed = {"kind": "model", "controller": "Lens", "note": "> Room 7 في الطابق\n> * Tor 3 يسار"}
    arabic = letters.letter("invitation", words("ar"), "a@zebra.example", **values, **mixed)
    page = html_of(arabic)
    quotes = re.findall(r"border-inline-start:3px[^>]*>([^<]*)</p>", page)
    assert page.count('<p dir="auto" style=') == len(quotes), "a note in another language runs as it is read"
    assert quotes == ["Room 7 في الطابق", "* Tor 3 يسار"], "the mark of plain text hides no quote"


def test_the_import_shows_the_invitation_with_the_note_before_anything_is_sent(
    client: TestClient[Any], kernel: Kernel
) -> None:
    tenant = make_tenant(kernel, name="Lens & Co", language="de")
    sign_in_member(client, kernel, tenant)
    data = workbook.export(("Full name", "E-mail"), [("Eva Neu", "eva@acme.example")])
    answer = client.post("/desk/batches", files={"workbook": ("people.xlsx", data)}, follow_redirects=False)
    preview = answer.headers["location"]
    page = get(client, preview)
    assert "Eine Nachricht von" not in page
    digest = page.split('name="digest" value="')[1].split('"')[0]
    shown = client.post(preview.replace("/preview", "/note"), data={"note": "Raum <7>", "digest": digest}).text
    assert "Eine Nachricht von Lens &amp; Co:\n&gt; Raum &lt;7&gt;" in shown
    assert "1 neue importieren" in shown
    too_long = client.post(preview.replace("/preview", "/note"), data={"note": "y" * 601, "digest": digest})
    assert too_long.status_code == 422
    assert "y" * 601 in too_long.text, "nothing that was typed is lost"
    done = {"invite": "now", "digest": digest, "note": "Raum 8"}
    assert client.post(preview.replace("/preview", "/commit"), data=done).status_code == 200
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        (sent,) = [mail.read(kernel.keys, one) for one in mail.mailbox(session)]
    assert sent is not None
    assert "> Raum 8\n" in sent.text

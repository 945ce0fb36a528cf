"""A desk where nothing has happened yet: each page says how to begin, and offers nothing that cannot be done."""

from __future__ import annotations

import re
from typing import Any

from litestar.testing import TestClient

from batch.reading import workbook
from batch.sittings import headshots
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants import tenants
from tenants.models import Role
from tests.dashboard.markup import get
from tests.dashboard.test_desk_import import dropped, hidden, page_at
from tests.factories import give_consent, make_employee, make_tenant, sign_in_member
from tests.handed_in import make_headshots

ACTS = {"/desk/people": "Send a fresh link", "/desk/headshots": "Download who is ticked", "/desk/credits": "All batches"}


def test_an_empty_desk_says_how_to_begin_and_offers_nothing_that_cannot_be_done(
    client: TestClient[Any], kernel: Kernel
) -> None:
    empty, other = make_tenant(kernel, with_credits=0), make_tenant(kernel)
    with kernel.db.transaction(other) as session:
        person = make_employee(session, kernel)
        give_consent(session, kernel, person)
    (made, *_) = make_headshots(kernel, person)
    with kernel.db.transaction(other) as session:
        headshots.release(session, person.id, [made.id], utc_now())
    sign_in_member(client, kernel, empty)
    home = get(client, "/desk")
    assert home.count('href="/desk/batches#drop-title"') == 1
    assert 'href="/desk/template"' in home
    assert "Your company has no credits yet" in home
    assert "Opted out" not in home, "a word is explained where it stands"
    assert 'href="/desk/batches#drop-title"' in get(client, "/desk/people")
    assert "Nobody is on a list yet" in get(client, "/desk/credits")
    for path, act in ACTS.items():
        assert act not in get(client, path)
    sign_in_member(client, kernel, other)
    assert "has no credits yet" not in get(client, "/desk")
    for path, act in ACTS.items():
        assert act in get(client, path)


def test_a_refused_form_of_a_key_keeps_what_was_typed_and_ticked(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_member(client, kernel, make_tenant(kernel), Role.HR)
    refused = client.post("/team/keys", data={"name": "", "for-people.read": "1", "days": "90"})
    assert refused.status_code == 422
    assert 'name="for-people.read" value="1" checked' in refused.text
    assert '<option value="90" selected>' in refused.text
    named = client.post("/team/keys", data={"name": "Payroll"})
    assert named.status_code == 422
    assert 'value="Payroll"' in named.text
    wrong = client.post("/team/directory", data={"leaver_days": "99", "invite_joiners": "1"})
    assert 'value="99"' in wrong.text


def test_a_time_zone_is_chosen_by_a_city_and_what_is_none_is_said(client: TestClient[Any], kernel: Kernel) -> None:
    ours, other = make_tenant(kernel), make_tenant(kernel)
    sign_in_member(client, kernel, ours, Role.OWNER)
    settings = get(client, "/settings")
    assert 'list="zones"' in settings
    assert "<option>Europe/Berlin</option>" in settings
    words = {"language": "de", "colour": "", "sender_name": ""}
    refused = client.post("/settings", data=words | {"time_zone": "Berlin"})
    assert refused.status_code == 422
    assert 'value="Berlin"' in refused.text
    assert client.post("/settings", data=words | {"time_zone": "Europe/Berlin"}).status_code == 200
    with kernel.db.transaction(ours) as session:
        assert tenants.get(session).time_zone == "Europe/Berlin"
    with kernel.db.transaction(other) as session:
        assert tenants.get(session).time_zone != "Europe/Berlin"


def test_who_has_too_few_credits_reads_it_before_anything_is_pressed(client: TestClient[Any], kernel: Kernel) -> None:
    rows = [(f"Person {number}", f"person{number}@acme.example") for number in range(5)]
    for left, offered in ((0, {"later"}), (4, {"pilot", "later"}), (5, {"now", "nine", "pilot", "later"})):
        tenant = make_tenant(kernel, with_credits=left)
        sign_in_member(client, kernel, tenant)
        preview = dropped(client, workbook.export(("Name", "E-Mail"), rows))
        page = page_at(client, preview)
        chosen = dict(re.findall(r'name="invite" value="(\w+)"([^>]*)>', page))
        assert {one for one in chosen if "disabled" not in chosen[one]} == offered
        assert ("Credits needed: 5. Credits left:" in page) == (left < 5)
        assert ("Nobody can be invited until" in page) == (left == 0)
        path = preview.removesuffix("/preview")
        refused = client.post(f"{path}/commit", data=hidden(page) | {"invite": "now"}) if left < 5 else None
        assert refused is None or refused.status_code == 409, "also where the page was open before"
        assert refused is None or f"Credits needed: 5. Credits left: {left}." in refused.text
        assert client.post(f"{path}/commit", data=hidden(page) | {"invite": "later"}).status_code == 200
        batch = page_at(client, path)
        assert (f'action="{path}/invite"' in batch) == (left == 5)
        assert (f'href="{path}/pilot"' in batch) == (left >= 3)
        assert ("Credits needed: 5. Credits left:" in batch) == (left < 5)
        three = page_at(client, f"{path}/pilot")
        assert ("Invite these three" in three) == (left >= 3)
        assert ("Credits needed: 3. Credits left: 0." in three) == (left < 3)

"""The frame of the desk and its first page."""

from __future__ import annotations

from datetime import timedelta
from html import unescape
from typing import Any

from litestar.testing import TestClient

from batch.delivery import digest
from batch.people import funnel, pace
from batch.photos import photos
from batch.roster import batches
from batch.sittings import headshots
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.locale.words import words
from tenants import tenants
from tenants.models import Role
from tests.dashboard.markup import get
from tests.factories import give_consent, make_batch, make_employee, make_tenant, sign_in_member
from tests.handed_in import make_headshots, make_person, make_photos


def test_every_role_has_its_own_pages_in_the_frame(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    for role, start, there, closed in (
        (Role.HR, "/desk", ("/desk/batches", "/desk/looks", "/desk/headshots", "/desk/credits"), ("/legal",)),
        (Role.BRAND, "/desk", ("/desk/batches", "/desk/looks", "/desk/headshots"), ("/legal", "/desk/credits")),
        (Role.LEGAL, "/legal", ("/desk/looks",), ("/desk", "/desk/batches", "/desk/headshots")),
    ):
        sign_in_member(client, kernel, tenant, role)
        page = get(client, start)
        for path in (*there, "/team", "/settings", "/help", "/account"):
            assert f'href="{path}"' in page, (role, path)
            get(client, path)
        for path in closed:
            assert f'href="{path}" ' not in page, (role, path)
            get(client, path, 403)
        assert "Hanna Reiter" in page, "who is signed in"


def test_home_of_a_company_without_people_says_how_to_begin(client: TestClient[Any], kernel: Kernel) -> None:
    begun, fresh = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(begun) as session:
        make_employee(session, kernel)
    for tenant, role, begins in ((fresh, Role.HR, True), (fresh, Role.BRAND, False), (begun, Role.HR, False)):
        sign_in_member(client, kernel, tenant, role)
        home = get(client, "/desk")
        assert ("Begin with a list of people" in home) is begins


def test_a_list_that_was_imported_waits_for_nobody_also_when_everybody_of_it_stood_on_another(
    client: TestClient[Any], kernel: Kernel
) -> None:
    mine, theirs = make_tenant(kernel), make_tenant(kernel)

    def dropped(name: str, end: str = "") -> dict[str, Any]:
        sheet = f"Full name,Email\nAda Okafor,ada@zebra.example\n{end}".encode()
        found: dict[str, Any] = client.post(
            "/api/v1/batches", files={"workbook": (f"{name}.csv", sheet)}, data={"name": name}
        ).json()
        return found

    def imported(found: dict[str, Any]) -> dict[str, int]:
        wish = {"invite": False, "digest": found["reading"]["digest"]}
        done: dict[str, int] = client.post(f"/api/v1/batches/{found['batch']['id']}/commit", json=wish).json()
        return done

    sign_in_member(client, kernel, theirs)
    dropped("Theirs")
    sign_in_member(client, kernel, mine)
    assert imported(dropped("First"))["created"] == 1
    again = dropped("Again", end="\n")
    assert "list waits to be checked: Again" in get(client, "/desk")
    assert imported(again)["unchanged"] == 1
    assert "waits to be checked" not in get(client, "/desk")
    sign_in_member(client, kernel, theirs)
    assert "list waits to be checked: Theirs" in get(client, "/desk")


def test_home_says_what_to_do_and_counts_no_other_company(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    one, *_ = make_headshots(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [one.id], utc_now())
        for _ in range(3):
            make_employee(session, kernel, batch=make_batch(session, name="Later"))
    sign_in_member(client, kernel, make_tenant(kernel))
    assert "To do today" not in get(client, "/desk")
    sign_in_member(client, kernel, person.tenant_id)
    page = get(client, "/desk")
    assert "3 people were not invited yet" in page.replace("</b><div><b>", " ")
    assert "released headshot was not downloaded yet" in page
    assert "1 of 4 people have released a headshot" in page
    assert "Burn-up of" not in page, "whoever takes part in that batch is through"
    sign_in_member(client, kernel, person.tenant_id, Role.BRAND)
    assert "were not invited yet" not in get(client, "/desk")


def test_home_and_the_morning_mail_count_who_is_short_of_photos_and_what_waits_for_approval(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, now = make_person(kernel), utc_now()
    one, *_ = make_headshots(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        short = make_employee(session, kernel, full_name="Zoe Short")
        give_consent(session, kernel, short)
        tenants.change_approval(session, approves=True, caller="test")
        headshots.release(session, person.id, [one.id], now)
    make_photos(kernel, short, 2)
    sign_in_member(client, kernel, person.tenant_id)
    assert "short of photos" not in get(client, "/desk"), "not on the first day"
    with kernel.db.transaction(person.tenant_id) as session:
        for photo in photos.of(session, short.id):
            photo.created_at = now - timedelta(days=4)
        session.flush()
        said = digest.sentences(session, words("en"), now - timedelta(days=9), now)
    assert "1 person has been short of photos for three days or more." in said
    assert "1 released headshot waits for your company's approval." in said
    page = get(client, "/desk").replace("</b><div><b>", " ")
    assert "1 person is short of photos" in page
    assert 'href="/desk/people?stage=uploading&amp;days=3"' in page
    assert "1 headshot waits for approval" in page


def test_the_forecast_is_the_pace_of_the_last_seven_days(client: TestClient[Any], kernel: Kernel) -> None:
    person, now = make_person(kernel), utc_now()
    one, *_ = make_headshots(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [one.id], now - timedelta(days=1))
        batch = batches.get(session, person.batch_id)
        batch.due_on = now.date() + timedelta(days=3)
        session.add(batch)
        for _ in range(3):
            make_employee(session, kernel, batch=batch)
    with kernel.db.transaction(person.tenant_id) as session:
        went = pace.of_batches(session, funnel.tallies(session, now), now)[person.batch_id]
    # One in the two days since the first: the other three take six more.
    assert (went.wanted, went.done) == (4, 1)
    assert went.days == ((now.date() - timedelta(days=1), 1),)
    assert went.expected == now.date() + timedelta(days=6)
    with kernel.db.transaction(person.tenant_id) as session:
        week = now + timedelta(days=8)
        assert pace.of_batches(session, funnel.tallies(session, week), week)[person.batch_id].expected is None
    sign_in_member(client, kernel, person.tenant_id)
    assert "3 days late at this week's pace" in unescape(get(client, "/desk"))
    told = client.get(f"/api/v1/batches/{person.batch_id}/funnel").json()
    assert (told["released"], told["expected_on"]) == (1, str(went.expected))

"""HR's page of released headshots: everybody beside each other, with gaps, and what to take as what."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from litestar.testing import TestClient

from batch.sittings import headshots
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants.models import Role
from tests.dashboard.markup import get
from tests.factories import give_consent, make_batch, make_employee, make_tenant, sign_in_member
from tests.handed_in import make_headshots, make_person


def test_headshots_of_all_batches_with_gaps_and_a_part_of_them_as_a_zip(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, stranger = make_person(kernel), make_person(kernel)
    for one in (person, stranger):
        made = make_headshots(kernel, one)
        with kernel.db.transaction(one.tenant_id) as session:
            headshots.release(session, one.id, [shot.id for shot in made[:2]], utc_now())
    with kernel.db.transaction(person.tenant_id) as session:
        later = make_batch(session, name="Later")
        missing = make_employee(session, kernel, batch=later, full_name="Zoe Gap")
    sign_in_member(client, kernel, person.tenant_id)
    page = get(client, "/desk/headshots")
    assert "1 person has released 2 headshots" in page
    assert page.count('alt="Nadia Ümit, ') == 2
    assert "<b>Added</b>" in page, "a gap says why it is one"
    assert "Zoe Gap" in page
    assert str(stranger.roster_id) not in page
    assert "Download 2 new ones" in page
    assert "Zoe Gap" in get(client, "/desk/headshots?part=missing")
    assert "Zoe Gap" not in get(client, "/desk/headshots?part=new")
    # Among thousands of gaps, and once all is downloaded, there has to be a way to what is there.
    assert "Released <b>1</b>" in page
    released = get(client, "/desk/headshots?part=released")
    assert released.count('alt="Nadia Ümit, ') == 2
    assert "Zoe Gap" not in released
    assert "Zoe Gap" not in get(client, f"/desk/headshots?batch={person.batch_id}")
    assert "Zoe Gap" in get(client, "/desk/headshots?q=zoe")
    assert "Nadia Ümit" not in get(client, "/desk/headshots?q=zoe")
    asked = {"hx-request": "true", "hx-target": "example"}
    named = client.get("/desk/headshots?names={number}/{name}_{look}", headers=asked).text
    assert named.startswith('<p id="example"')
    assert "10482/Nadia-Ümit_" in named
    assert "There is no field {salary}" in client.get("/desk/headshots?names={salary}", headers=asked).text
    ticked = "/desk/headshots/archive?which=ticked&preset=directory&names={name}"
    assert "Tick somebody first" in get(client, ticked, 422)
    assert "Files cannot be named like this" in get(client, "/desk/headshots/archive?which=all&names={x}", 422)
    sent = client.get(f"{ticked}&person={person.roster_id}&person={missing.roster_id}&person={stranger.roster_id}")
    packed = zipfile.ZipFile(io.BytesIO(sent.content))
    assert packed.namelist() == ["Nadia-Ümit.jpg", "Nadia-Ümit-2.jpg", "manifest.csv"]
    page = get(client, "/desk/headshots")
    assert "2 headshots of 1 person" in page, "what was downloaded and when"
    assert "Download 2 new ones" not in page
    assert "not finished" not in page
    sign_in_member(client, kernel, person.tenant_id, Role.BRAND)
    page = get(client, "/desk/headshots")
    assert "Nadia Ümit" in page
    assert "Zoe Gap" not in page, "who sees no list of people sees no gaps"
    assert "part=released" not in page, "everybody whom they see has released something"
    sign_in_member(client, kernel, stranger.tenant_id)
    assert "2 headshots of 1 person" not in get(client, "/desk/headshots")
    assert get(client, f"/desk/batches/{person.batch_id}/headshots", 404)


def test_a_download_holds_whom_the_page_shows(client: TestClient[Any], kernel: Kernel) -> None:
    """What is searched for, and a department, narrow what the buttons take, and they say so."""
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        people = [
            make_employee(session, kernel, batch=batch, full_name=name, department=department)
            for name, department in (("Ada Byron", "Design"), ("Grace Hopper", "Design"), ("Ida Rhodes", "Sales"))
        ]
        for one in people:
            give_consent(session, kernel, one)
    for one in people:
        made = make_headshots(kernel, one)
        with kernel.db.transaction(tenant) as session:
            headshots.release(session, one.id, [made[0].id], utc_now())
    sign_in_member(client, kernel, tenant)
    assert "Download all 3</button>" in get(client, "/desk/headshots")
    assert "Download all 2 of Design</button>" in get(client, "/desk/headshots?department=Design")
    page = get(client, "/desk/headshots?q=ada&department=Design")
    assert "Download 1 new one of Design matching “ada”</button>" in page
    assert '<input type="hidden" name="q" value="ada">' in page
    assert "Nothing of Sales matching “ada” can be downloaded." in get(client, "/desk/headshots?q=ada&department=Sales")

    def files(path: str) -> list[str]:
        names = zipfile.ZipFile(io.BytesIO(client.get(path).content)).namelist()
        return [name.partition(".")[0] for name in names if name != "manifest.csv"]

    archive = "/desk/headshots/archive?names={name}&which=all"
    assert files(f"{archive}&department=Sales") == ["Ida-Rhodes"]
    assert files(f"{archive}&q=grace&department=Design") == ["Grace-Hopper"]
    assert files("/api/v1/headshots/archive?names={name}&q=ada") == ["Ada-Byron"]
    assert "a department or a search" in get(client, "/desk/headshots")
    ticked = f"/desk/headshots/archive?names={{name}}&which=ticked&q=ada&person={people[2].roster_id}"
    assert files(ticked) == ["Ida-Rhodes"], "who is ticked is taken, whatever is searched for"
    found = client.get("/api/v1/headshots?q=ida&most=1").json()
    assert [one["full_name"] for one in found] == ["Ida Rhodes"]
    onward = client.get("/api/v1/headshots?department=Design&most=1")
    assert "department=Design" in onward.headers["link"]

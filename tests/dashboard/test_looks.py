"""HR's page of looks: walls, a picture of the company's own, and how headshots are made."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar.testing import TestClient
from PIL import Image

from batch.models import Sitting
from batch.people import department_looks
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from tenants import backdrops, looks, tenants
from tenants.members import members
from tenants.models import CUTOUT, Role
from tests.dashboard.markup import get
from tests.factories import (
    give_consent,
    make_employee,
    make_member,
    make_tenant,
    sign_in,
    sign_in_employee,
    sign_in_member,
)
from tests.handed_in import get_sitting, make_sitting

WORDS = {"backdrop": "light grey", "dress": "navy suit", "framing": "close-up", "light": "soft light"}


def picture(size: tuple[int, int] = (900, 700), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(file, kind)
    return file.getvalue()


def company(kernel: Kernel, *recipes: str) -> UUID:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        tenants.change(session, recipes=list(recipes or [CUTOUT]), caller="member:x")
    return tenant


def add(client: TestClient[Any], name: str, data: bytes = b"", **form: str) -> Any:
    return client.post("/desk/looks", data=WORDS | {"name": name} | form, files={"picture": ("wall.png", data)})


def walls(kernel: Kernel, tenant: UUID) -> dict[str, str]:
    with kernel.db.transaction(tenant) as session:
        return {look.name: look.wall for look in looks.list_looks(session)}


def test_a_wall_is_a_colour_a_gradient_or_the_office(client: TestClient[Any], kernel: Kernel) -> None:
    ours = company(kernel)
    sign_in_member(client, kernel, ours)
    assert add(client, "Teal", wall="colour", colour="#11aa99").status_code == 200
    assert add(client, "Lamp", wall="gradient", colour="#11aa99").status_code == 200
    assert add(client, "Room", wall="office", colour="#11aa99").status_code == 200
    added = walls(kernel, ours)
    assert (added["Teal"], added["Lamp"], added["Room"]) == ("#11aa99", "gradient:#11aa99", "office")
    page = get(client, "/desk/looks")
    assert 'fill="#11aa99"' in page
    assert "/static/sample/office.webp" in page
    for sample in ("portrait", "drawn-afro", "drawn-long"):
        assert f"/static/sample/{sample}.webp" in page, "people of different skin and hair"
        assert client.get(f"/static/sample/{sample}.webp").status_code == 200
    for name, pasted in (("Brand", " 0B5D4C "), ("Guide", "#0B5D4C")):
        assert add(client, name, wall="colour", colour=pasted).status_code == 200
        assert walls(kernel, ours)[name] == "#0b5d4c", "as a brand guide writes it"
    refused = add(client, "Wrong", wall="colour", colour="red")
    assert refused.status_code == 422
    assert 'value="Wrong"' in refused.text
    assert 'name="colour" value="red"' in refused.text, "what was typed stays to be put right"


def test_a_look_is_seen_as_it_will_be_before_it_is_added(client: TestClient[Any], kernel: Kernel) -> None:
    ours, plain = company(kernel), company(kernel)
    sign_in_member(client, kernel, ours)
    part = {"hx-request": "true", "hx-target": "look_sketch"}

    def sketch(**typed: str) -> Any:
        return client.get("/desk/looks", params=typed, headers=part)

    assert 'id="look_sketch"' in get(client, "/desk/looks")
    even = sketch(wall="colour", colour=" 11AA99 ").text
    assert even.lstrip().startswith('<div id="look_sketch"')
    assert even.count('fill="#11aa99"') == 3
    assert 'stop-color="#12b8a5"' in sketch(wall="gradient", colour="#11aa99").text
    assert "/static/sample/office.webp" in sketch(wall="office", colour="#11aa99").text
    assert sketch(wall="picture").text.count("data-own-picture") == 3, "the browser shows the file that was chosen"
    assert sketch(wall="colour", colour="#11a").status_code == 204, "half a colour changes nothing"
    assert sketch(wall="colour", colour="#11aa99", backdrop="<b>", dress="nothing known").status_code == 200
    assert set(walls(kernel, ours)) == set(walls(kernel, plain)), "nothing was added"
    sign_in_member(client, kernel, plain, Role.LEGAL)
    assert sketch(wall="office").status_code == 403


def test_a_picture_of_the_company_stands_behind_its_people_alone(client: TestClient[Any], kernel: Kernel) -> None:
    ours, theirs = company(kernel), company(kernel)
    sign_in_member(client, kernel, ours)
    assert add(client, "Lobby", picture(), wall="picture").status_code == 200
    wall = walls(kernel, ours)["Lobby"]
    at = f"/api/v1/looks/backdrops/{wall.removeprefix('picture:')}"
    assert at in get(client, "/desk/looks")
    shown = client.get(at)
    assert shown.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(shown.content)).size == (1152, 1152)
    with kernel.db.transaction(ours) as session:
        assert backdrops.behind(session, wall) == shown.content
    made = client.post("/api/v1/looks/backdrops", files={"picture": ("lobby.png", picture(), "image/png")}).json()
    assert client.post("/api/v1/looks", json=WORDS | {"name": "Hall", "wall": made["wall"]}).status_code == 201
    assert client.get(f"/api/v1/looks/backdrops/{made['id']}").content == shown.content
    broken = client.post("/api/v1/looks/backdrops", files={"picture": ("x.png", b"GIF89a", "image/png")})
    assert broken.status_code == 422
    sign_in_member(client, kernel, theirs)
    assert client.get(at).status_code == 404
    refused = client.post("/api/v1/looks", json=WORDS | {"name": "Stolen", "wall": wall})
    assert refused.status_code == 404
    assert "Stolen" not in walls(kernel, theirs)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(500), picture((400, 900))])
def test_what_is_no_picture_is_said_and_nothing_is_kept(client: TestClient[Any], kernel: Kernel, data: bytes) -> None:
    ours = company(kernel)
    sign_in_member(client, kernel, ours)
    refused = add(client, "Lobby", data, wall="picture")
    assert refused.status_code == 422
    assert "The picture cannot be used" in refused.text
    assert "Lobby" not in walls(kernel, ours)


def test_a_picture_goes_with_the_last_look_that_names_it(client: TestClient[Any], kernel: Kernel) -> None:
    ours = company(kernel)
    sign_in_member(client, kernel, ours)
    add(client, "Lobby", picture(), wall="picture")
    wall = walls(kernel, ours)["Lobby"]
    later = utc_now() + timedelta(hours=25)
    tenants.forget_backdrops(kernel, later)
    with kernel.db.transaction(ours) as session:
        assert backdrops.behind(session, wall)
        looks.retire(session, next(look.id for look in looks.list_looks(session) if look.name == "Lobby"))
    tenants.forget_backdrops(kernel, later)
    with kernel.db.transaction(ours) as session:
        assert backdrops.behind(session, wall), "what was begun is still made with it"
    tenants.forget_backdrops(kernel, later + backdrops.BEGUN)
    with kernel.db.transaction(ours) as session, pytest.raises(backdrops.BackdropMissing):
        backdrops.behind(session, wall)


def test_only_who_may_change_looks_hands_in_a_picture(client: TestClient[Any], kernel: Kernel) -> None:
    ours = company(kernel)
    sign_in_member(client, kernel, ours, Role.OWNER)
    assert add(client, "Lobby", picture(), wall="picture").status_code == 403
    assert "Lobby" not in walls(kernel, ours)


def test_the_owner_says_how_headshots_are_made(client: TestClient[Any], kernel: Kernel) -> None:
    offered = tenants.offers(kernel.settings.recipe)
    ours = company(kernel, *offered)
    sign_in_member(client, kernel, ours, Role.OWNER)
    assert len(re.findall(r'name="way-', get(client, "/desk/looks"))) == (len(offered) if len(offered) > 1 else 0)
    none = client.post("/desk/looks/ways", data={"nothing": "on"})
    assert none.status_code == 422
    assert client.post("/desk/looks/ways", data={f"way-{CUTOUT}": "on"}).status_code == 200
    with kernel.db.transaction(ours) as session:
        assert tenants.get(session).recipes == [CUTOUT]
    sign_in_member(client, kernel, ours, Role.HR)
    assert client.post("/desk/looks/ways", data={f"way-{CUTOUT}": "on"}).status_code == 403


API = "/api/v1"


class Locked:
    """A company with three people in two departments, a look for everybody and one more."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.tenant = kernel, company(kernel)
        with kernel.db.transaction(self.tenant) as session:
            self.sellers = [make_employee(session, kernel, full_name=name, department="Sales") for name in ("Sam", "Sue")]
            self.designer = make_employee(session, kernel, full_name="Dora", department="Design")
            for person in (*self.sellers, self.designer):
                give_consent(session, kernel, person)
            self.look = looks.add(session, "Lobby", "white", "navy suit", "close-up", "soft light").id
            self.general = [look.name for look in looks.list_looks(session) if look.id != self.look]

    def named(self, sitting: Sitting) -> list[str]:
        with self.kernel.db.transaction(self.tenant) as session:
            return [looks.get(session, one).name for one in get_sitting(session, sitting.id).looks]

    def bound(self, client: TestClient[Any], *departments: str) -> None:
        """Brand for these departments is signed in."""
        member = make_member(self.kernel, self.tenant, Role.BRAND)
        with self.kernel.db.transaction(self.tenant) as session:
            members.bind_to(session, self.kernel.keys, member.id, departments, caller="member:x")
        sign_in(client, self.kernel, self.tenant, Kind.MEMBER, member.id)


def test_a_department_gets_its_looks_and_what_was_begun_keeps_its_own(client: TestClient[Any], kernel: Kernel) -> None:
    ours, theirs = Locked(kernel), Locked(kernel)
    begun = make_sitting(kernel, ours.sellers[0])
    sign_in_member(client, kernel, ours.tenant, Role.OWNER)
    path = f"{API}/looks/{ours.look}/departments"
    shown = client.post(f"{path}/preview", json={"departments": ["sales "]})
    assert shown.json() == {
        "begun": None,
        "groups": [
            {"departments": ["Design"], "people": 1, "before": [*ours.general, "Lobby"], "after": ours.general},
            {"departments": ["Sales"], "people": 2, "before": [*ours.general, "Lobby"], "after": ["Lobby"]},
        ],
    }
    assert all(one["departments"] is None for one in client.get(f"{API}/looks").json()), "nothing is kept of a preview"
    sign_in_member(client, kernel, ours.tenant, Role.BRAND)
    assert client.get(f"{API}/looks/departments").json() == [
        {"name": "Design", "people": 1}, {"name": "Sales", "people": 2},
    ]  # fmt: skip
    form = {"who": "some", "department": "Sales", "others": "Board"}
    page = client.post(f"/desk/looks/{ours.look}/departments", data=form).text
    assert "1 of them has handed in" in page
    assert "for the people of Sales, Board, and for nobody else" in page
    assert "everybody without looks of their own" in get(client, "/desk/looks")
    assert client.post(f"/desk/looks/{ours.look}/departments", data=form | {"step": "save"}).status_code == 200
    assert "Sales, Board" in get(client, "/desk/looks")
    assert ours.named(begun) == [*ours.general, "Lobby"]
    assert ours.named(make_sitting(kernel, ours.sellers[1])) == ["Lobby"]
    assert ours.named(make_sitting(kernel, ours.designer)) == ours.general
    with kernel.db.transaction(ours.tenant) as session:
        look = looks.get(session, ours.look)
        assert look.departments
        assert look.sealed_departments
        assert b"ales" not in look.sealed_departments + b"".join(look.departments)
        assert [one.departments for one in looks.list_looks(session)].count(None) == len(ours.general)
    sign_in_employee(client, kernel, ours.sellers[1])
    assert client.get(f"{API}/visit/sitting").json()["looks"] == ["Lobby"]
    assert "Your looks: Lobby" in get(client, "/visit/making")
    sign_in_member(client, kernel, ours.tenant)
    for person, coming in ((ours.sellers[0], [*ours.general, "Lobby"]), (ours.designer, ours.general)):
        assert client.get(f"{API}/employees/{person.roster_id}").json()["looks"] == coming
        assert ", ".join(coming) in get(client, f"/desk/people/{person.roster_id}")
    # Only an owner or brand says it, and nobody of another company.
    for sign_in_other in (lambda: None, lambda: sign_in_member(client, kernel, theirs.tenant, Role.OWNER)):
        sign_in_other()
        for answer in (
            client.put(path, json={"departments": None}), client.post(f"{path}/preview", json={"departments": None}),
            client.get(f"/desk/looks/{ours.look}/departments"),
        ):  # fmt: skip
            assert answer.status_code in (403, 404)


def test_somebody_without_a_look_of_their_own_still_gets_one(client: TestClient[Any], kernel: Kernel) -> None:
    ours = Locked(kernel)
    sign_in_member(client, kernel, ours.tenant, Role.BRAND)
    known = client.get(f"{API}/looks").json()
    refused = [client.put(f"{API}/looks/{one['id']}/departments", json={"departments": ["Sales"]}) for one in known]
    assert [one.status_code for one in refused] == [200] * (len(known) - 1) + [409]
    assert client.delete(f"{API}/looks/{known[-1]['id']}").status_code == 409
    assert client.delete(f"{API}/looks/{known[0]['id']}").status_code == 204
    assert client.put(f"{API}/looks/{known[1]['id']}/departments", json={"departments": None}).status_code == 200
    for wrong in ([], ["a\0"], [f"x{number}" for number in range(201)]):
        assert client.put(f"{API}/looks/{known[1]['id']}/departments", json={"departments": wrong}).status_code == 422


def test_who_works_for_a_department_changes_its_looks_alone(client: TestClient[Any], kernel: Kernel) -> None:
    ours = Locked(kernel)
    with kernel.db.transaction(ours.tenant) as session:
        shared = looks.add(session, "Shared", "white", "navy suit", "close-up", "soft light").id
        looks.give_to(session, kernel.keys, shared, ["Sales", "Design"], caller="member:x")
        looks.give_to(session, kernel.keys, ours.look, ["Sales"], caller="member:x")
    ours.bound(client, "Design")
    assert client.get(f"{API}/looks/departments").json() == [{"name": "Design", "people": 1}]
    for look in (shared, ours.look):
        assert client.put(f"{API}/looks/{look}/departments", json={"departments": ["Design"]}).status_code == 403
        assert client.delete(f"{API}/looks/{look}").status_code == 403
        assert client.post(f"{API}/looks/{look}/revise", json=WORDS).status_code == 403
    assert client.post(f"{API}/looks", json=WORDS | {"name": "Mine"}).status_code == 403
    page = add(client, "Mine", wall="office", who="some")
    assert "Who gets “Mine”" in page.text
    assert "Sales" not in page.text
    mine = next(one for one in client.get(f"{API}/looks").json() if one["name"] == "Mine")
    assert mine["departments"] == []
    assert ours.named(make_sitting(kernel, ours.designer)) == ["Shared"]
    path = f"{API}/looks/{mine['id']}/departments"
    for wrong in (None, ["Sales"], ["Design", "Sales"]):
        assert client.put(path, json={"departments": wrong}).status_code == 403
    done = client.put(path, json={"departments": ["Design"]}).json()
    assert done["groups"] == [{"departments": ["Design"], "people": 1, "before": ["Shared"], "after": ["Shared", "Mine"]}]
    assert done["begun"] == 1
    revised = client.post(f"{API}/looks/{mine['id']}/revise", json=WORDS).json()
    assert (revised["version"], revised["departments"]) == (2, ["Design"])
    assert client.delete(f"{API}/looks/{revised['id']}").status_code == 204


def test_a_batch_gets_the_looks_of_its_pack_and_a_locked_department_its_own(
    client: TestClient[Any], kernel: Kernel
) -> None:
    ours, theirs = Locked(kernel), Locked(kernel)
    with kernel.db.transaction(ours.tenant) as session:
        board = looks.add(session, "Board", "white", "navy suit", "close-up", "soft light", for_nobody=True).id
        lead = make_employee(session, kernel, full_name="Lea", department="Board")
        give_consent(session, kernel, lead)
    sign_in_member(client, kernel, ours.tenant, Role.BRAND)
    assert "nobody yet" in get(client, "/desk/looks")
    ticked = {"pack_name": "Workshop", "look": [str(board)]}
    assert client.post("/desk/packs", data={"pack_name": "Empty"}).status_code == 422
    assert client.post("/desk/packs", data=ticked).status_code == 200
    assert client.post("/desk/packs", data=ticked | {"pack_name": "WORKSHOP "}).status_code == 409
    page = get(client, "/desk/looks")
    assert "the people of batches with a pack of it" in page
    (pack,) = client.get(f"{API}/packs").json()
    assert (pack["name"], pack["looks"]) == ("Workshop", [str(board)])
    # HR gives it to a batch; who works in another company finds neither.
    sign_in_member(client, kernel, ours.tenant, Role.HR)
    batch = f"{API}/batches/{ours.designer.batch_id}"
    page = get(client, f"/desk/batches/{ours.designer.batch_id}")
    assert f'<option value="{pack["id"]}">Workshop' in page
    form = {"name": "Autumn", "due_on": "", "note": "", "pack": pack["id"]}
    assert client.post(f"/desk/batches/{ours.designer.batch_id}/change", data=form).status_code == 200
    assert client.get(batch).json()["pack"] == pack["id"]
    assert client.patch(batch, json={"name": "Autumn"}).json()["pack"] == pack["id"], "what is not said stays"
    sign_in_member(client, kernel, theirs.tenant, Role.HR)
    words = {"name": "Theirs", "pack": pack["id"]}
    assert client.patch(f"{API}/batches/{theirs.designer.batch_id}", json=words).status_code == 404
    assert client.get(f"{API}/packs").json() == []
    assert ours.named(make_sitting(kernel, ours.designer)) == ["Board"]
    assert ours.named(make_sitting(kernel, lead)) == [*ours.general, "Lobby"], "another batch has no pack"
    # A department that is locked to another pack gets that one's looks, and the preview counts by batch and department.
    sign_in_member(client, kernel, ours.tenant, Role.BRAND)
    lobby = client.post(f"{API}/packs", json={"name": "Lobby", "looks": [str(ours.look)]}).json()["id"]
    shown = client.post(f"{API}/packs/{lobby}/departments/preview", json={"departments": ["Design", "Board"]}).json()
    assert shown["groups"] == [
        {"departments": ["Board"], "people": 1, "before": [*ours.general, "Lobby"], "after": ["Lobby"]},
        {"departments": ["Design"], "people": 1, "before": ["Board"], "after": ["Lobby"]},
        {"departments": ["Sales"], "people": 2, "before": [*ours.general, "Lobby"], "after": ours.general},
    ]
    form = {"who": "some", "department": ["Design", "Board"], "step": "save"}
    assert client.post(f"/desk/packs/{lobby}/departments", data=form).status_code == 200
    assert "checked" in get(client, f"/desk/packs/{lobby}/departments").split("Design")[0]
    with kernel.db.transaction(ours.tenant) as session:
        assert [one.name for one in department_looks.meant_for(session, ours.designer)] == ["Lobby"]
        revised = looks.revise(session, kernel.keys, board, backdrop="white", dress="navy suit", framing="close-up",
                               light="soft light").id  # fmt: skip
    assert client.get(f"{API}/packs").json()[0]["looks"] == [str(revised)], "the next version keeps the place"
    assert client.post(f"/desk/packs/{pack['id']}/remove").status_code == 200
    with kernel.db.transaction(ours.tenant) as session:
        assert [one.name for one in department_looks.meant_for(session, ours.sellers[0])] == ours.general
    sign_in_member(client, kernel, ours.tenant, Role.AUDITOR)
    assert "Lobby" in get(client, "/desk/looks")
    assert client.post("/desk/packs", data=ticked).status_code == 403

"""Stories of whole sets, as people live them: through the API, with pictures, a worker and the database."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from PIL import Image

from batch.models import Employee
from batch.people import ways
from batch.photos import groups, photos
from batch.photos.measures import KNOWN
from likeness.kernel import Kernel
from tenants.models import Role
from tests import pictures
from tests.factories import run_jobs, sign_in_employee, sign_in_member
from tests.handed_in import make_person, make_photos

API = "/api/v1/visit/photos"


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel)


@pytest.fixture
def bob(kernel: Kernel) -> Employee:
    """Of another company."""
    return make_person(kernel)


@pytest.fixture
def drawn_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn people all have one draughtsman and lie closer together than photographs of people do."""
    monkeypatch.setattr(groups, "TOGETHER", 0.4)


class Phone:
    """Somebody's browser: sends photos and lets the worker look at each."""

    def __init__(self, client: TestClient[Any], kernel: Kernel, person: Employee) -> None:
        self.client, self.kernel, self.person = client, kernel, person
        sign_in_employee(client, kernel, person)

    def send(self, *photos: bytes) -> list[str]:
        sent = [self.client.post(API, files={"photo": ("me.jpg", data, "image/jpeg")}) for data in photos]
        assert {answer.status_code for answer in sent} == {201}
        self.work()
        return [answer.json()["id"] for answer in sent]

    def work(self) -> None:
        run_jobs(self.kernel, tenant=self.person.tenant_id)

    def set(self) -> Any:
        return self.client.get(API).json()

    def states(self) -> dict[str, str]:
        return {photo["id"]: photo["state"] for photo in self.set()["photos"]}

    def say(self, mine: list[str], not_mine: list[str]) -> Any:
        answer = self.client.post(f"{API}/who", json={"mine": mine, "not_mine": not_mine})
        self.work()
        return answer

    def hand_in(self) -> Any:
        answer = self.client.post("/api/v1/visit/sitting")
        self.work()
        return answer


def test_one_strangers_photo_first_costs_one_tap(client: TestClient[Any], kernel: Kernel, alice: Employee) -> None:
    phone = Phone(client, kernel, alice)
    [stranger] = phone.send(pictures.astronaut())
    assert phone.states() == {stranger: "accepted"}
    own = phone.send(*pictures.drawn(1, 7))
    states = phone.states()
    assert states.pop(stranger) == "aside"
    counted = [photo_id for photo_id, state in states.items() if state == "accepted"]
    assert len(counted) >= ways.MODEL.needed
    shown = phone.set()
    assert shown["progress"]["who"]
    assert sorted(len(one["photos"]) for one in shown["who"])[0] == 1
    assert [finding["kind"] for finding in shown["photos"][0]["findings"]] == ["set"]

    refused = phone.hand_in()
    assert refused.status_code == 409
    assert "kept" in refused.json()["detail"]
    assert phone.say(own, [stranger]).status_code == 200
    assert not phone.set()["progress"]["who"]
    # Until it is handed in, the word can be taken back.
    assert client.get(f"{API}/{stranger}/picture").status_code == 200
    assert phone.hand_in().status_code == 201
    assert phone.states()[stranger] == "rejected"
    assert client.get(f"{API}/{stranger}/picture").status_code == 404
    left = {found.path for found in kernel.objects.list(f"tenants/{alice.tenant_id}/employees/{alice.id}/source")}
    assert len(left) == len(own)
    assert phone.send(pictures.astronaut()) == [stranger]
    assert phone.states()[stranger] == "aside"


def test_after_the_stranger_is_deleted_the_same_file_is_looked_at_anew(
    client: TestClient[Any], kernel: Kernel, alice: Employee
) -> None:
    phone = Phone(client, kernel, alice)
    strangers = phone.send(pictures.astronaut(), mirrored(pictures.astronaut()))
    mine = pictures.drawn(1)[0]
    [own] = phone.send(mine)
    assert phone.states()[own] == "aside"
    for stranger in strangers:
        assert client.delete(f"{API}/{stranger}").status_code == 204
    assert phone.states() == {own: "accepted"}
    assert phone.send(mine) == [own]
    assert phone.states() == {own: "accepted"}


@pytest.mark.usefixtures("drawn_world")
def test_of_two_people_four_each_the_person_says_who_they_are(
    client: TestClient[Any], kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    phone = Phone(client, kernel, alice)
    own, others = [], []
    for mine, theirs in zip(pictures.drawn(2, 4), pictures.drawn(7, 4), strict=True):
        others += phone.send(theirs)
        own += phone.send(mine)
    who = phone.set()["who"]
    assert sorted(sorted(one["photos"]) for one in who) == sorted([sorted(own), sorted(others)])

    # It is nobody else's to answer, also not somebody's of another company.
    sign_in_employee(client, kernel, bob)
    assert client.post(f"{API}/who", json={"mine": own, "not_mine": others}).status_code == 404
    sign_in_employee(client, kernel, alice)
    assert client.post(f"{API}/who", json={"mine": own, "not_mine": own}).status_code == 422

    page = client.get("/visit/photos").text
    assert "Which of these are you?" in page
    tapped = client.post("/visit/photos/who", data={"mine": " ".join(own), "not_mine": " ".join(others)})
    assert tapped.status_code == 200
    phone.work()
    assert {photo_id for photo_id, state in phone.states().items() if state == "aside"} == set(others)
    assert "Which of these are you?" not in client.get("/visit/photos").text
    # More of the other person than of oneself changes nothing.
    more = phone.send(*pictures.drawn(7, 6)[4:])
    states = phone.states()
    assert {states[photo_id] for photo_id in more} == {"aside"}
    assert "aside" not in {states[photo_id] for photo_id in own}


def test_use_anyway_on_a_photo_that_was_set_aside_says_this_is_me(
    client: TestClient[Any], kernel: Kernel, alice: Employee
) -> None:
    phone = Phone(client, kernel, alice)
    own = phone.send(*pictures.drawn(1, 2))
    [aside] = phone.send(pictures.astronaut())
    assert phone.states()[aside] == "aside"
    assert client.post(f"{API}/{aside}/use-anyway").json()["state"] == "accepted"
    phone.work()
    assert phone.states()[aside] == "accepted"
    assert {phone.states()[photo_id] for photo_id in own} == {"aside"}
    client.post(f"{API}/{own[0]}/use-anyway")
    phone.work()
    assert set(phone.states().values()) == {"accepted"}


def test_hr_waves_photos_through_that_were_set_aside_but_not_against_the_persons_word(
    client: TestClient[Any], kernel: Kernel, alice: Employee
) -> None:
    phone = Phone(client, kernel, alice)
    make_photos(kernel, alice, 11)
    aside = phone.send(*pictures.drawn(1, 2), pictures.astronaut())
    set_aside = [photo_id for photo_id in aside if phone.states()[photo_id] == "aside"]
    with kernel.db.transaction(alice.tenant_id) as session:
        for photo in photos.of(session, alice.id)[:11]:
            photo.state = "rejected"
    assert len(set_aside) == 1
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    trouble = client.get(f"/api/v1/people/{alice.roster_id}/photos").json()
    assert trouble["aside"] == 1
    assert trouble["reasons"] == {"another_person": 1}
    assert client.post(f"/api/v1/people/{alice.roster_id}/photos/wave-through").json() == {"photos": 1}
    phone = Phone(client, kernel, alice)
    assert phone.states()[set_aside[0]] == "accepted"
    phone.say([], set_aside)
    assert phone.states()[set_aside[0]] == "aside"
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    assert client.post(f"/api/v1/people/{alice.roster_id}/photos/wave-through").status_code == 409


def test_measures_are_in_memory_and_made_again_where_they_are_not(
    client: TestClient[Any], kernel: Kernel, alice: Employee
) -> None:
    phone = Phone(client, kernel, alice)
    [own] = phone.send(pictures.drawn(1)[0])
    KNOWN.forget(alice.id)  # As in a worker that was started since.
    [other] = phone.send(pictures.astronaut())
    assert phone.states() == {own: "accepted", other: "aside"}


def mirrored(data: bytes) -> bytes:
    return pictures.jpeg(Image.open(io.BytesIO(data)).transpose(Image.Transpose.FLIP_LEFT_RIGHT))

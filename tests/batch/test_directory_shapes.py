"""Requests as Okta and Entra ID send them beyond the simplest, and bodies that no directory sends by mistake."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from litestar.testing import TestClient
from pydantic import TypeAdapter
from scim2_models import Error, PayloadTooLargeException
from scim2_models.path import resolution, visitor
from sqlmodel import select

from batch.directory import answers
from batch.directory.bulk import BulkRequest
from batch.directory.resources import Group, GroupMember
from batch.models import Employee
from batch.people import employees
from likeness.kernel import Kernel
from tests.batch.test_directory import GROUP, KIND, MORE, PATCH, USER, directory_of, patched, put_on_list, row, user
from tests.factories import make_tenant


@pytest.fixture
def tenant(kernel: Kernel) -> UUID:
    return make_tenant(kernel, with_credits=5)


@pytest.fixture
def scim(kernel: Kernel, app: Any, tenant: UUID) -> Iterator[TestClient[Any]]:
    with directory_of(kernel, app, tenant) as client:
        yield client


def test_what_entra_sends_of_one_user_over_time(kernel: Kernel, tenant: UUID, scim: TestClient[Any]) -> None:
    """Its names of operations, its `True` as a word, and its keys with dots and filters where there is no path."""
    unknown = scim.get("/Users", params={"filter": 'userName eq "b6a34d35-8a1b-4f6e-9a1d-1d7f0e0c4f6a"'})
    assert (unknown.status_code, unknown.json()["totalResults"]) == (200, 0), "its test of the connection"
    sent = user("Ada Berg", externalId="0a21", displayName="Ada Berg", roles=[], preferredLanguage="de-DE",
                meta={"resourceType": "User"}, addresses=[{"type": "work", "formatted": "Quai 1"}],
                **{MORE: {"department": "Ops", "employeeNumber": "12", "manager": {"value": "55"}}})  # fmt: skip
    answer = scim.post("/Users", json=sent, headers={"content-type": "application/json"})
    assert answer.status_code == 201, answer.text
    line = answer.json()["id"]
    for operation in (
        {"op": "Replace", "value": {"name.givenName": "Ada M.", f"{MORE}:department": "Sales",
                                    'emails[type eq "work"].value': "ada.m@zebra.example"}},
        {"op": "Add", "value": {"title": "Head"}},
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+49 1"},
        {"op": "Add", "path": 'addresses[type eq "work"].locality', "value": "Berlin"},
        {"op": "Add", "path": f"{MORE}:manager", "value": [{"$ref": "../Users/55", "value": "55"}]},
        {"op": "Remove", "path": f"{MORE}:manager"},
        {"op": "Replace", "path": "externalId", "value": "0a22"},
        {"op": "Replace", "path": "userName", "value": "ada.m@zebra.example"},
        {"op": "Add", "path": "roles", "value": [{"value": "User"}]},
        {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:Own:2.0:User:tag", "value": "x"},
    ):  # fmt: skip
        assert patched(scim, line, operation).status_code == 200, operation
    found = scim.get("/Users", params={"filter": 'userName EQ "ADA.M@zebra.example"'}).json()["Resources"]
    assert [one["externalId"] for one in found] == ["0a22"]
    with kernel.db.transaction(tenant) as session:
        who = employees.profile(kernel.keys, row(session, line))
        assert (who.full_name, who.email, who.department) == ("Ada M. Berg", "ada.m@zebra.example", "Sales")
    for word, active in (("False", False), ("True", True)):
        off = patched(scim, line, {"op": "Replace", "path": "active", "value": word})
        assert (off.status_code, off.json()["active"]) == (200, active)
    with kernel.db.transaction(tenant) as session:
        assert row(session, line).leaves_at is None


def test_what_okta_sends_of_groups(kernel: Kernel, tenant: UUID, scim: TestClient[Any]) -> None:
    line, other = put_on_list(scim, user("Ada Berg")), put_on_list(scim, user("Bo Ek"))
    path = f"/Groups/{scim.post('/Groups', json={'schemas': [GROUP], 'displayName': 'Staff'}, headers=KIND).json()['id']}"

    def members(*operations: dict[str, Any]) -> list[str]:
        answer = scim.patch(path, json={"schemas": [PATCH], "Operations": list(operations)}, headers=KIND)
        assert answer.status_code == 200, answer.text
        return sorted(one["value"] for one in answer.json().get("members", []))

    added = {"op": "add", "path": "members", "value": [{"value": line, "display": "ada@zebra.example"}]}
    assert members(added) == members(added) == [line]
    assert members({"op": "replace", "value": {"id": path.rpartition("/")[2], "displayName": "Crew"}}) == [line]
    assert members({"op": "Add", "path": "members", "value": {"value": other}}) == sorted([line, other])
    assert members({"op": "remove", "path": f'members[value eq "{line}"]'}) == [other]
    assert members({"op": "replace", "path": "members", "value": [{"value": line}]}) == [line]
    asked = scim.get("/Groups", params={"filter": 'displayName eq "Crew"', "excludedAttributes": "members"}).json()
    assert (asked["totalResults"], "members" in asked["Resources"][0]) == (1, False)
    with kernel.db.transaction(tenant) as session:
        assert employees.profile(kernel.keys, row(session, line)).department == "Crew"
        assert employees.profile(kernel.keys, row(session, other)).department is None


def test_a_change_that_is_partly_wrong_changes_nothing(kernel: Kernel, tenant: UUID, scim: TestClient[Any]) -> None:
    line, other = put_on_list(scim, user("Ada Berg")), put_on_list(scim, user("Bo Ek"))
    good = {"op": "replace", "path": f"{MORE}:department", "value": "Sales"}
    for wrong, status in (
        ({"op": "replace", "path": "emails[type eq", "value": "x"}, 400),
        ({"op": "replace", "path": "id", "value": other}, 400),
        ({"op": "remove", "path": "userName"}, 400),
        ({"op": "move", "path": "title", "value": "x"}, 400),
        ({"op": "replace", "path": "active", "value": "maybe"}, 400),
        ({"op": "replace", "path": "userName", "value": "bo.ek@zebra.example"}, 409),
        ({"op": "replace", "path": 'emails[type eq "work"].value', "value": "bo.ek@zebra.example"}, 409),
    ):
        assert patched(scim, line, good, wrong).status_code == status, wrong
    with kernel.db.transaction(tenant) as session:
        who = employees.profile(kernel.keys, row(session, line))
        assert (who.full_name, who.email, who.department) == ("Ada Berg", "ada.berg@zebra.example", None)


DEEP = b"[" * 100_000
NO_LETTER = rb"\ud800"
"""Half of a pair of UTF-16: JSON can write it, and no text holds it."""


@pytest.mark.parametrize(
    "body",
    [
        DEEP, b'{"userName": ' + DEEP, b'{"schemas": ["' + USER.encode() + b'"], "x": ' + DEEP,
        b'{"userName": "a@zebra.example", "externalId": "1' + NO_LETTER + b'"}',
        b'{"userName": "a@zebra.example", "title": "' + NO_LETTER + b'"}',
        b'{"userName": "a@zebra.example", "name": {"formatted": "A ' + NO_LETTER + b'"}}',
        b'{"userName": ' + b"9" * 5000 + b"}",
    ],
    ids=["deep", "deep in a name", "deep in what is not known", "no letter in an id", "no letter in a title",
         "no letter in a name", "an endless number"],
)  # fmt: skip
def test_a_body_that_is_made_to_break_us_is_refused(
    kernel: Kernel, tenant: UUID, scim: TestClient[Any], body: bytes
) -> None:
    line = put_on_list(scim, user("Bo Ek"))
    group = scim.post("/Groups", json={"schemas": [GROUP], "displayName": "Staff"}, headers=KIND).json()["id"]
    for method, path in (("POST", "/Users"), ("PUT", f"/Users/{line}"), ("PATCH", f"/Users/{line}"),
                         ("POST", "/Groups"), ("PATCH", f"/Groups/{group}"), ("POST", "/Bulk")):  # fmt: skip
        answer = scim.request(method, path, content=body, headers=KIND)
        assert answer.status_code == 400, (method, path, answer.text)
        assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    with kernel.db.transaction(tenant) as session:
        assert len(session.exec(select(Employee).where(Employee.tenant_id == tenant)).all()) == 1


@pytest.mark.parametrize("kind", ["Users", "Groups"])
def test_a_filter_that_would_keep_a_thread_busy_for_minutes_is_refused(scim: TestClient[Any], kind: str) -> None:
    """Each of its terms is asked of everybody: a thousand of them of 20,000 people took 87 seconds of processor."""
    put_on_list(scim, user("Ada Berg"))
    name = "userName" if kind == "Users" else "displayName"
    longest = " or ".join(f'{name} co "{number:03}z"' for number in range(50))
    for asked in ("filter", "Filter"):
        refused = scim.get(f"/{kind}", params={asked: longest})
        assert (refused.status_code, refused.json().get("scimType")) == (400, "invalidFilter"), asked
    honest = longest[: longest.index(" or ", 400)]
    assert scim.get(f"/{kind}", params={"filter": honest}).status_code == 200


def test_a_filter_on_addresses_builds_nothing_for_each_person(
    scim: TestClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schema for each took 2.4 milliseconds of processor: 48 seconds of 20,000 people."""
    line, _ = put_on_list(scim, user("Ada Berg")), put_on_list(scim, user("Bo Ek"))
    built: list[object] = []
    monkeypatch.setattr(resolution, "TypeAdapter", lambda kind: (built.append(kind), TypeAdapter(kind))[1])
    for asked in ('emails.value eq "{}"', 'emails[value eq "{}"]', 'emails[type eq "work" and value eq "{}"]'):
        found = scim.get("/Users", params={"filter": asked.format("ada.berg@zebra.example")}).json()
        assert [one["id"] for one in found["Resources"]] == [line], asked
    assert not built
    wrong = scim.post("/Users", json=user("Cy Dahl", emails=[{"value": "no address"}]), headers=KIND)
    assert (wrong.status_code, wrong.json()["scimType"]) == (400, "invalidValue")


def group_of(number: int) -> Group:
    return Group(display_name="Staff", members=[GroupMember(value=f"p{one}") for one in range(number)])


def changed(resource: Group, *operations: Any) -> list[str]:
    answers.patched(Group, {"schemas": [PATCH], "Operations": list(operations)}, resource)
    return [str(one.value) for one in resource.members or []]


def test_whoever_leaves_a_group_is_not_compared_with_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred who left a group of 4,000 took 9.5 seconds of processor."""
    compared: list[object] = []
    compare = visitor._compare
    monkeypatch.setattr(visitor, "_compare", lambda *about: (compared.append(about), compare(*about))[1])
    named = {"op": "Remove", "path": "members", "value": [{"value": f"p{one}", "display": "X"} for one in range(100)]}
    assert changed(group_of(102), named) == ["p100", "p101"], "as Entra sends it"
    by_id = [{"op": "remove", "path": f'{GROUP}:members[value eq "p{one}"]'} for one in range(98)]
    back = {"op": "add", "path": "members", "value": [{"value": "p0"}]}
    assert changed(group_of(100), *by_id, back, named) == [], "in the order in which they stand"
    assert changed(group_of(2), back, {"op": "remove", "path": 'members[value eq "nobody"]'}) == ["p0", "p1"]
    assert not compared
    assert changed(group_of(2), {"op": "remove", "path": "members"}) == []
    assert changed(group_of(3), {"op": "remove", "path": 'members[not (value eq "p1")]'}) == ["p1"]
    assert compared


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "add", "path": "externalId", "value": "x"}] * 101,
        [{"op": "add", "path": "members[" + " or ".join(['type eq "x"'] * 40) + "]", "value": {"type": "x"}}],
        [{"op": "add", "value": {"members[" + " or ".join(['type eq "x"'] * 40) + "].type": "x"}}],
        [{"op": "add", "PATH": "members[" + " or ".join(['type eq "x"'] * 40) + "]", "value": {"type": "x"}}],
        [{"op": "add", "VALUE": {"members": {"[" + " or ".join(['type eq "x"'] * 40) + "]": "x"}}}],
        [{"op": "remove", "path": "members", "value": [{"type": f"x{one}"} for one in range(500)]}],
        [{"op": "add", "path": "members", "value": [{"value": "x"}] * 5000},
         *[{"op": "remove", "path": 'members[type eq "x"]'}] * 99],
    ],
    ids=["many operations", "a long path", "a long key", "a long PATH", "a long key within", "many values",
         "many who are asked"],
)  # fmt: skip
def test_a_change_that_would_keep_a_thread_busy_for_minutes_is_refused(operations: list[Any]) -> None:
    with pytest.raises(PayloadTooLargeException):
        changed(group_of(300), *operations)


def test_what_is_said_of_one_user_is_short(scim: TestClient[Any]) -> None:
    """It is kept, and opened with everybody's: three thousand addresses of one were."""
    line = put_on_list(scim, user("Ada Berg"))
    many = [{"value": f"a{one}@zebra.example"} for one in range(500)]
    for answer in (
        scim.post("/Users", json=user("Bo Ek", emails=many), headers=KIND),
        scim.post("/Users", json=user("Bo Ek", externalId="e" * 20_000), headers=KIND),
        scim.put(f"/Users/{line}", json=user("Ada Berg", displayName="A" * 20_000), headers=KIND),
        patched(scim, line, {"op": "add", "path": "emails", "value": many}),
    ):
        assert (answer.status_code, answer.json().get("scimType")) == (400, "invalidValue"), answer.text[:200]
    assert len(scim.get("/Users").json()["Resources"][0]["emails"]) == 1
    assert scim.get("/Users").json()["totalResults"] == 1


def test_what_operations_refer_to_is_looked_for_once() -> None:
    """However they wait for each other: a megabyte that was looked through for each of a hundred took 2.7 seconds."""
    many = [
        {"method": "POST", "path": "/Groups", "bulkId": f"b{number}",
         "data": {"a": [""] * 3300, "members": [f"bulkId:b{number + 1}"] if number < 99 else []}}
        for number in range(100)
    ]  # fmt: skip
    asked, made = BulkRequest.read({"Operations": many}, "https://likeness.example/scim/v2"), []

    def act(method: str, kind: str, resource_id: str, data: dict[str, Any]) -> str:
        made.append(data["members"])
        return f"https://likeness.example/scim/v2/Groups/{len(made)}"

    before = time.process_time()
    told = asked.carry_out(act, lambda error: Error(status=500, detail=str(error)))
    assert time.process_time() - before < 1.0
    assert made == [[], *([str(number)] for number in range(1, 100))]
    assert len(told["Operations"]) == 100

"""Every route, called by everybody of another company and by programs with every key that it can make: nothing of the
company is read, nothing is written, and ids that exist look unknown.

The routes come from the application itself, and what is sent from its own description, so a new one is tried without
anybody thinking of it.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import SQLModel, select

from batch.directory import groups, people
from batch.directory.groups import DirectoryGroup
from batch.directory.resources import POLICY, DirectoryUser
from batch.models import Employee, Headshot, Photo, PhotoState, Sitting, SittingState, Upload
from batch.sittings.runs import Run
from batch.visit import concerns
from compliance import requests
from compliance.models import Breach, Erasure, Hold
from likeness import machines
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind, WebSession
from likeness.jobs.jobs import Job, JobState
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from tenants import backdrops, looks, packs
from tenants.members import members, permissions, programs
from tenants.members.break_glass import CONTEXT, BreakGlass
from tenants.members.permissions import COMPANY_ROLES
from tenants.models import Role
from tenants.webhooks import deliveries, endpoints
from tenants.webhooks.events import Event
from tests.factories import (
    give_consent,
    make_batch,
    make_employee,
    make_member,
    make_tenant,
    sign_in,
    sign_in_employee,
    sign_in_member,
)  # fmt: skip

CANARY = "quokkafell"
"""In every name and address of the company that is attacked."""
MEANT_FOR_EVERYBODY = {"/retention/{tenant_id:uuid}", "/sso/{provider_id:uuid}"}
"""A company's retention terms are public by law, and its people begin to sign in there; neither names anybody."""
FOR_PROGRAMS = ("/api/", "/scim/")
FOR_OPERATORS = ("/operations", "/api/v1/tenants", "/api/v1/jobs", "/api/v1/lanes", "/api/v1/pulse", "/api/v1/cluster",
                 "/api/v1/sender")
"""There operators see companies by name and what runs, and no person: `tests/dashboard/test_operations.py`."""
PARAMETER = re.compile(r"{(\w+):(\w+)}")


class World:
    """One company with a row of everything that an id in an address can name."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.tenant, now = kernel, make_tenant(kernel, name=CANARY), utc_now()
        member = make_member(kernel, self.tenant, Role.OWNER, Role.HR, email=f"{CANARY}@zebra.example", name=CANARY)
        with kernel.db.transaction(self.tenant) as session:
            batch = make_batch(session, name=CANARY)
            self.employee = make_employee(session, kernel, batch=batch, email=f"{CANARY}-1@zebra.example")
            said: dict[str, Any] = {"userName": (address := f"{CANARY}-2@zebra.example"), "name": {"familyName": CANARY}}
            said["emails"] = [{"value": address, "primary": True}]
            user = DirectoryUser.model_validate(said, scim_policy=POLICY)
            joined = people.join(session, kernel.keys, user, now, caller="test", maker=member.id)
            group = DirectoryGroup(id=uuid4(), tenant_id=self.tenant, name="", created_at=now)
            groups.write(session, group, CANARY, None, [str(joined.roster_id)])
            consent = give_consent(session, kernel, self.employee)[0]
            look = looks.add(session, CANARY, "white", "navy suit", "close-up", "soft light")
            common: dict[str, Any] = {"tenant_id": self.tenant, "employee_id": self.employee.id}
            due = now + timedelta(days=5)
            photo = Photo(**common, consent_id=consent.id, state=PhotoState.ACCEPTED, path="x", digest="d", due_at=due)
            sitting = Sitting(**common, seed=1, state=SittingState.DONE)
            upload = Upload(**common, consent_id=consent.id, length=9, due_at=due)
            session.add_all([photo, sitting, upload])
            session.flush()
            headshot = Headshot(
                **common, id=(number := uuid4()), shelf_id=number, sitting_id=sitting.id, look_id=look.id, number=1,
                path="y", bytes=1, likeness_ratio=1.0, due_at=due,
            )  # fmt: skip
            run = Run(**common, sitting_id=sitting.id, fence=1, recipe={})
            hold = Hold(
                **common, basis="litigation", unsealed_reference="R-1", unsealed_reason="case", placed_by=member.id,
                expires_at=now + timedelta(days=9),
            )  # fmt: skip
            erasure = Erasure(
                tenant_id=self.tenant, employee_id=uuid4(), trigger="person", requested_by="test", state="certified"
            )
            web_session = WebSession(
                tenant_id=self.tenant, token_hash=uuid4().bytes, kind="member", subject_id=member.id, created_at=now,
                expires_at=now + timedelta(hours=9), authenticated_at=now, seen_at=now,
            )  # fmt: skip
            breach = Breach(
                tenant_id=self.tenant, since=now, until=now, classes=["source"], known_at=now, told_at=now
            )
            session.add_all([headshot, run, hold, erasure, web_session, breach])
            concern = concerns.write(session, kernel.keys, self.employee.id, "hr", "", CANARY, "http://x", now)
            asked = requests.receive(session, self.employee.id, "access", now, caller="system")
            backdrop = backdrops.add(session, b"picture")
            pack = packs.add(session, CANARY, [look.id], caller="test")
            owner = members.get(session, member.id)
            url = "https://example.com/"
            endpoint, _ = endpoints.make(session, kernel.keys, owner, url, ["batch.imported"], now, networks=())
            message = deliveries.leave(session, endpoint, Event.BATCH_IMPORTED, {"batch_id": batch.id}, now)
            key, _ = machines.make(session, member.id, CANARY, ["people.read"], now)
            job = Job(
                tenant_id=self.tenant, kind="likeness.mail.deliver", key=uuid4().hex, args=["x"], state=JobState.DEAD,
                finished_at=now,
            )  # fmt: skip
            session.add(job)
        operator = make_member(kernel, PLATFORM, Role.OPERATOR)
        with kernel.db.transaction(PLATFORM) as session:
            reason = kernel.keys.open_or_create(KeyRef(PLATFORM, PLATFORM, KeyClass.PROFILE)).seal(b"reason", CONTEXT)
            question = BreakGlass(
                tenant_id=PLATFORM, company=self.tenant, member_id=member.id, reason=reason, asked_by=operator.id,
                asked_at=now, until=now + timedelta(minutes=9),
            )  # fmt: skip
            session.add(question)
        self.ids = {
            "batch_id": batch.id, "employee_id": self.employee.id, "person_id": self.employee.roster_id,
            "session_id": web_session.id, "question_id": question.id,
            "photo_id": photo.id, "upload_id": upload.id,
            "sitting_id": sitting.id, "backdrop_id": backdrop.id,
            "headshot_id": headshot.id, "look_id": look.id, "pack_id": pack.id, "member_id": member.id, "hold_id": hold.id,
            "erasure_id": erasure.id, "certificate_id": erasure.id, "tenant_id": self.tenant, "run_id": run.id,
            "request_id": asked.id, "consent_id": consent.id, "concern_id": concern.id,
            "breach_id": breach.id, "job_id": job.id,
            "key_id": key.id, "endpoint_id": endpoint.id, "delivery_id": message.id,
        }  # fmt: skip
        self.in_directory = {"Users": joined.roster_id, "Groups": group.id}

    def fingerprint(self) -> dict[str, str]:
        """A digest of every row of the company, but for what sweeps may touch."""
        with self.kernel.db.transaction(self.tenant) as session:
            return {
                name: str(
                    session.execute(
                        text(
                            f"select md5(coalesce(string_agg(t::text, chr(10) order by t::text), '')) from \"{name}\" t"
                        )
                    ).scalar()
                )
                for name in SQLModel.metadata.tables
                if name not in {"job"}
            }


Route = tuple[str, str]


def routes(client: TestClient[Any]) -> tuple[list[Route], list[Route]]:
    """Those whose address names something by an id, and those whose address names nothing; methods with paths."""
    naming, plain = set(), set()
    for route in client.app.routes:
        if not isinstance(route, HTTPRoute) or route.path in MEANT_FOR_EVERYBODY or route.path.startswith("/static"):
            continue
        kinds = {kind if name != "resource_id" else "uuid" for name, kind in PARAMETER.findall(route.path)}
        for method in route.methods - {"OPTIONS", "HEAD"}:
            if "uuid" in kinds:
                naming.add((method, route.path))
            elif not kinds:
                plain.add((method, route.path))
    # What ends a session comes last, or what follows would be tried by nobody.
    return sorted(naming), sorted(plain, key=lambda one: ("sign-out" in one[1] or "leave" in one[1], one[0] != "GET", one))


def filled(path: str, alice: World, *, random: bool) -> str:
    def value(match: re.Match[str]) -> str:
        name, kind = match.groups()
        if name == "resource_id":
            found = next((one for key, one in alice.in_directory.items() if f"/{key}/" in path), uuid4())
        elif kind != "uuid":
            return "hr"
        else:
            assert name in alice.ids, f"teach tests/promises/test_strangers.py what {name} is ({path})"
            found = alice.ids[name]
        return str(uuid4() if random else found)

    return PARAMETER.sub(value, path)


def naming_bodies(document: dict[str, Any], alice: World) -> dict[Route, Any]:
    """For each operation of the API a body of the right shape that names what is Alice's wherever it takes an id."""
    parts, found = document["components"]["schemas"], {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}) if isinstance(operation, dict) else {}
            if schema := content.get("application/json", {}).get("schema"):
                found[method.upper(), path] = made(parts, schema, "", alice)
    return found


def made(parts: dict[str, Any], schema: dict[str, Any], name: str, alice: World) -> Any:
    if "$ref" in schema:
        return made(parts, parts[schema["$ref"].rpartition("/")[2]], name, alice)
    for several in ("oneOf", "anyOf", "allOf"):
        if several in schema:
            return made(parts, next(one for one in schema[several] if one.get("type") != "null"), name, alice)
    if schema.get("type") == "array":
        return [made(parts, schema.get("items", {}), name.removesuffix("s"), alice)]
    if schema.get("type") == "object":
        return {key: made(parts, one, key, alice) for key, one in schema.get("properties", {}).items()}
    return schema["enum"][0] if "enum" in schema else simple(schema, name, alice)


def simple(schema: dict[str, Any], name: str, alice: World) -> Any:
    day = "2027-01-31"
    formats = {"uuid": str(alice.ids.get(name, alice.employee.id)), "date": day, "date-time": f"{day}T00:00:00Z"}
    kinds = {"integer": 1, "number": 1, "boolean": True}
    return formats.get(schema.get("format", "")) or kinds.get(str(schema.get("type")), CANARY)


def directory_bodies(alice: World) -> dict[str, Any]:
    user = {"userName": "x@zebra.example", "name": {"givenName": "X", "familyName": "Y"}, "active": False}
    line = {"value": str(alice.in_directory["Users"])}
    patch = {"op": "add", "path": "members", "value": [line]}
    return {
        "Users": {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], **user},
        "Groups": {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "X", "members": [line]},
        "PATCH": {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [patch]},
    }


class Stranger:
    """Somebody, or a program, of another company, and what they got to see."""

    def __init__(
        self, kernel: Kernel, door: TestClient[Any], described: dict[str, Any], alice: World, tenant: UUID, who: str,
        scope: list[str],
    ) -> None:
        self.client, self.alice, self.who, self.seen, self.tried = TestClient(door.app), alice, who, 0, 0
        # All of them share the event loop of the door: one of its own for each call doubles what a call costs.
        self.client.blocking_portal = door.blocking_portal
        if scope:
            maker = make_member(kernel, tenant, Role(who))
            with kernel.db.transaction(tenant) as session:
                _, token = programs.make(session, maker, "Payroll", scope, utc_now())
            self.client.headers["authorization"] = f"Bearer {token}"
            self.who = f"a program of {who} for {', '.join(scope)}"
        elif who == "employee":
            with kernel.db.transaction(tenant) as session:
                person = make_employee(session, kernel)
                give_consent(session, kernel, person)
            sign_in_employee(self.client, kernel, person)
        elif who == "operator":
            operator = make_member(kernel, tenant, Role.OPERATOR)
            sign_in(self.client, kernel, tenant, Kind.OPERATOR, operator.id)
        elif who != "nobody":
            sign_in_member(self.client, kernel, tenant, Role(who))
        self.naming, self.plain = routes(self.client)
        if who == "operator":
            self.naming, self.plain = ([one for one in found if not one[1].startswith(FOR_OPERATORS)] for found in
                                       (self.naming, self.plain))  # fmt: skip
        if len(scope) == 1:  # A page lets no program in: that is tried with keys for everything that somebody may.
            self.naming, self.plain = ([one for one in found if one[1].startswith(FOR_PROGRAMS)] for found in
                                       (self.naming, self.plain))  # fmt: skip
        self.bodies = naming_bodies(described, alice)
        self.directory = directory_bodies(alice)
        ids = {name: str(one) for name, one in alice.ids.items()}
        lines = [ids["person_id"], ids["employee_id"]]
        words = {"kind": "access", "method": "letter", "basis": "litigation", "reference": "R", "reason": "case"}
        self.form = ids | words | {"person": lines, "until": "2027-01-31", "query": CANARY, "name": CANARY}

    def call(self, method: str, path: str, **sent: Any) -> int:
        answer = self.client.request(method, path, follow_redirects=False, **sent)
        self.tried += 1
        assert answer.status_code < 500 or answer.status_code == 501, (self.who, method, path, answer.status_code)
        if answer.status_code < 300:
            self.seen += 1
        if CANARY not in (said := f"{path} {sent}"):  # What somebody sent themselves may be shown to them.
            assert CANARY.encode() not in answer.content, (self.who, method, path)
            for name, one in self.alice.ids.items():
                assert str(one) in said or str(one).encode() not in answer.content, (self.who, method, path, name)
        return answer.status_code

    def bodies_for(self, method: str, path: str) -> list[dict[str, Any]]:
        if path.startswith("/scim/"):
            kind = "PATCH" if method == "PATCH" else "Users" if "/Users" in path else "Groups"
            return [{"json": self.directory[kind]}] if method in ("POST", "PUT", "PATCH") else [{}]
        if method in ("GET", "DELETE"):
            return [{}]
        named = self.bodies.get((method, re.sub(r":\w+}", "}", path)))
        if path.startswith("/api/"):
            return [{"json": {}}, *([{"json": named}] if named is not None else [{}])]
        return [{"data": self.form}]

    def names_what_is_alices(self, *, compared: bool) -> None:
        """An id of Alice's and one that nobody has are answered alike, and neither with success."""
        for method, path in self.naming:
            for body in self.bodies_for(method, path):
                known = self.call(method, filled(path, self.alice, random=False), **body)
                assert known >= 300, (self.who, method, path, known)
                if compared:
                    unknown = self.call(method, filled(path, self.alice, random=True), **body)
                    assert known == unknown, f"{self.who} learns that an id exists: {method} {path}: {known} {unknown}"

    def reads_and_writes_elsewhere(self) -> None:
        """Their own company may well answer; Alice's ids are in whatever they send."""
        for method, path in self.plain:
            for body in self.bodies_for(method, path):
                self.call(method, path, **body)


@pytest.mark.timeout(600)
def test_a_strangers_id_is_answered_like_one_that_does_not_exist(kernel: Kernel, app: Litestar) -> None:
    alice, described = World(kernel), app.openapi_schema.to_schema()
    before, tried = alice.fingerprint(), 0
    whole = {role: [str(one) for one in permissions.ROLES[role] & permissions.FOR_MACHINES] for role in COMPANY_ROLES}
    single = {one: role for role in reversed(COMPANY_ROLES) for one in whole[role]}
    assert set(single) == {str(one) for one in permissions.FOR_MACHINES}, "a key of every scope is tried"
    callers = [
        *((who, [], True) for who in ("nobody", "employee", *COMPANY_ROLES, "operator")),
        *((str(role), whole[role], True) for role in (Role.HR, Role.LEGAL)),
        *((str(role), [one], False) for one, role in single.items()),
    ]
    with TestClient(app) as door:
        for who, scope, compared in callers:
            tenant = PLATFORM if who == "operator" else make_tenant(kernel)
            stranger = Stranger(kernel, door, described, alice, tenant, who, scope)
            stranger.names_what_is_alices(compared=compared)
            stranger.reads_and_writes_elsewhere()
            assert stranger.seen >= (5 if compared else 1), f"{stranger.who} was let in nowhere, and so proves nothing"
            tried += stranger.tried
            assert alice.fingerprint() == before, stranger.who
    assert tried > 4000


def test_hr_never_sees_selfies_or_unreleased_headshots(kernel: Kernel, app: Litestar) -> None:
    alice = World(kernel)
    with TestClient(app) as client:
        sign_in_member(client, kernel, alice.tenant, Role.OWNER, Role.HR)
        batch, headshot, photo = (alice.ids[name] for name in ("batch_id", "headshot_id", "photo_id"))
        assert client.get(f"/api/v1/batches/{batch}/headshots").json() == []
        for path in (
            f"/api/v1/batches/{batch}/headshots/{headshot}/picture",
            f"/api/v1/visit/headshots/{headshot}/picture",
            f"/api/v1/visit/photos/{photo}/picture",
            "/api/v1/visit/export",
        ):
            assert client.get(path).status_code in {403, 404}, path
        assert client.post("/api/v1/visit/consent", json={}).status_code == 403
    with kernel.db.transaction(alice.tenant) as session:
        assert session.exec(select(Employee.opted_out_at)).all() == [None, None]

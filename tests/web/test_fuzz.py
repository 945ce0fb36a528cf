"""The whole OpenAPI document, called as everybody there is with whatever schemathesis makes up: never an error of ours,
never a status that the document does not name.

The suite tries one call of each operation as each of them; `make fuzz` tries as many of a hundred as go into eight seconds.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import delete
from sqlmodel import col

from batch.models import Headshot, Photo, Sitting
from batch.photos import photos
from batch.sittings.runs import Run
from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind, start_session
from likeness.kernel import Kernel
from likeness.web.guards import cookie_name
from tenants.members import programs
from tenants.members.permissions import NAMES
from tenants.models import Role
from tests.factories import make_member
from tests.handed_in import make_headshots
from tests.promises.test_strangers import World

EXAMPLES = int(os.environ.get("LIKENESS_FUZZ", "1"))
SECONDS = 8.0
"""For one operation: a hundred examples of each for everybody would take hours, most of them for the slow ones."""
WHO = ("nobody", *Role, "employee", "program")
NOT_TRIED = {"GET /api/v1/sender": "asks DNS, which answers as slowly as it likes"}
LAST = (
    "POST /api/v1/visit/decline", "DELETE /api/v1/visit/consent/{purpose}", "POST /api/v1/visit/withdraw",
    "POST /api/v1/employees/{person_id}/revoke", "POST /api/v1/batches/{batch_id}/revoke",
    "POST /api/v1/batches/{batch_id}/erasure", "POST /api/v1/people/{person_id}/erasure", "POST /api/v1/visit/erasure",
    "DELETE /api/v1/members/{member_id}", "POST /api/v1/leaving", "POST /api/v1/tenants/{tenant_id}/suspend",
    "POST /api/v1/tenants/{tenant_id}/close",
)  # fmt: skip
"""What takes a person or the company away from all that follows, so it comes at the end."""


class TimeIsUp(BaseException):
    """Handed on at once, where an `Exception` would be taken for a fault that has a smaller example."""


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


class RealWorld(World):
    """The same with photos and headshots that can be opened."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel)
        with kernel.db.transaction(self.tenant) as session:
            for table in (Headshot, Run, Sitting, Photo):
                session.execute(delete(table).where(col(table.tenant_id) == self.tenant))
        shots = make_headshots(kernel, self.employee)
        with kernel.db.transaction(self.tenant) as session:
            run = Run(
                tenant_id=self.tenant, employee_id=self.employee.id, sitting_id=shots[0].sitting_id, fence=1, recipe={}
            )
            session.add(run)
            self.ids |= {
                "photo_id": photos.of(session, self.employee.id)[0].id, "headshot_id": shots[0].id,
                "sitting_id": shots[0].sitting_id, "run_id": run.id,
            }  # fmt: skip


@pytest.fixture(scope="module")
def world(kernel: Kernel) -> World:
    return RealWorld(kernel)


@pytest.fixture(scope="module")
def foreign(kernel: Kernel) -> World:
    return RealWorld(kernel)


class Callers:
    """Everybody there is, who take turns in calling an operation, and what came of it."""

    def __init__(self, client: TestClient[Any], kernel: Kernel, world: World, foreign: World) -> None:
        self.client, self.kernel, self.world = client, kernel, world
        self.known = {name: [str(value), str(foreign.ids[name])] for name, value in world.ids.items()}
        self.proofs = {who: self._proof(who) for who in WHO}
        self.tried: dict[str, Counter[int]] = {who: Counter() for who in WHO}
        self.wrong: list[str] = []

    def _proof(self, who: str) -> str:
        """A new session, or a key for all that a program may do."""
        tenant, kind, subject = self.world.tenant, Kind.MEMBER, self.world.employee.id
        if who == "nobody":
            return ""
        if who == "program":
            maker = make_member(self.kernel, tenant, *NAMES, Role.OWNER)
            with self.kernel.db.transaction(tenant) as session:
                return programs.make(session, maker, "fuzz", programs.grantable(maker), utc_now())[1]
        if who == "employee":
            kind = Kind.EMPLOYEE
        elif who == Role.OPERATOR:
            tenant, kind, subject = PLATFORM, Kind.OPERATOR, make_member(self.kernel, PLATFORM, Role.OPERATOR).id
        else:
            subject = make_member(self.kernel, tenant, Role(who)).id
        with self.kernel.db.transaction(tenant) as session:
            return start_session(session, kind, subject, utc_now())

    def call(self, operation: Any, first: int) -> None:
        names = [name for name in self.known if "{" + name + "}" in operation.path]
        ids = st.fixed_dictionaries({name: st.sampled_from(self.known[name]) for name in names})
        # The first example is always the plainest one, so each operation gives it to another caller.
        turns = cycle(WHO[first % len(WHO) :] + WHO[: first % len(WHO)])
        until = time.monotonic() + SECONDS

        @seed(7)
        @settings(
            max_examples=EXAMPLES * len(WHO), deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(operation.as_strategy(), ids, st.booleans())
        def made_up(case: Any, ids: dict[str, str], real: bool) -> None:
            if time.monotonic() > until:
                raise TimeIsUp
            if real:
                case.path_parameters = {**(case.path_parameters or {}), **ids}
            self._call(operation, case, next(turns))

        with suppress(TimeIsUp):
            made_up()

    def _call(self, operation: Any, case: Any, who: str) -> None:
        self.client.cookies.clear()
        self.client.headers.pop("authorization", None)
        if who == "program":
            self.client.headers["authorization"] = f"Bearer {self.proofs[who]}"
        elif who != "nobody":
            self.client.cookies.set(cookie_name(self.kernel.settings), self.proofs[who])
        try:
            sent = case.as_transport_kwargs(base_url="http://testserver.local")
            sent.pop("cookies", None)
            sent["headers"].pop("Authorization", None)  # One that was made up would hide who calls.
            self.client.build_request(**sent).read()
            answer = self.client.request(**sent, follow_redirects=False)
        except (UnicodeError, ValueError, AttributeError, httpx.InvalidURL):
            return  # What no client can put on the wire is no call.
        self.tried[who][answer.status_code] += 1
        if answer.status_code >= 500 or str(answer.status_code) not in operation.definition.raw["responses"]:
            said = f"{operation.label} as {who}: {answer.status_code} {answer.text[:120]} to {str(sent)[:300]}"
            self.wrong.append(said)
        signed = operation.definition.raw["security"]
        if who == "program" and signed != [{}] and {"key": []} not in signed and answer.status_code < 400:
            self.wrong.append(f"{operation.label}: a program is answered, and the document does not say so")
        if "sign-out" in operation.path:
            self.proofs[who] = self._proof(who)


@pytest.mark.timeout(3600 if EXAMPLES > 10 else 900)
def test_no_call_is_an_error_of_ours_or_answered_by_surprise(
    client: TestClient[Any], kernel: Kernel, world: World, foreign: World
) -> None:
    schema = schemathesis.openapi.from_dict(client.app.openapi_schema.to_schema())
    operations = {found.ok().label: found.ok() for found in schema.get_all_operations()}
    assert operations.keys() >= {*NOT_TRIED, *LAST}
    callers = Callers(client, kernel, world, foreign)
    ordered = [label for label in operations if label not in {*NOT_TRIED, *LAST}]
    for number, label in enumerate([*ordered, *LAST]):
        callers.call(operations[label], number)
    tried = sum(counts.total() for counts in callers.tried.values())
    assert not callers.wrong, f"{len(callers.wrong)} of {tried}:\n" + "\n".join(callers.wrong[:60])
    for who, counts in callers.tried.items():
        print(who, dict(counts))
        assert counts.total() > len(operations) / 2, who
        assert who == "nobody" or counts[200] > 2, who


def test_the_document_says_who_may_call_and_how_it_refuses(client: TestClient[Any]) -> None:
    document = client.get("/api/openapi.json").json()
    scheme = document["components"]["securitySchemes"]["session"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "cookie", "likeness")
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in ("get", "post", "put", "patch", "delete", "head"):
                statuses = set(operation["responses"])
                assert {"400", "429", "503"} <= statuses, path
                if operation["security"] != [{}]:
                    assert {"401", "403"} <= statuses, path
                if method in ("post", "put", "patch", "delete"):
                    assert {"403", "409", "415", "422"} <= statuses, path
                if "{" in path:
                    assert "404" in statuses, path
    looks = document["paths"]["/api/v1/looks"]["post"]["responses"]["422"]["content"]
    assert looks["application/problem+json"]["schema"]["$ref"].endswith("/Problem")

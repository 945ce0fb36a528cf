"""Whoever is shown a person's name, on a page, in an answer or in a file, leaves a trace that the person can read.

The routes come from the application, so a new one that shows names is tried without anybody thinking of it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlmodel import select

from batch.models import Batch, Employee
from batch.roster import listings
from batch.sittings import headshots
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants.members import programs
from tenants.models import Role
from tests.factories import give_consent, make_employee, make_member, sign_in_member
from tests.handed_in import make_headshots
from tests.promises.test_strangers import CANARY, World, filled, routes

WROTE = "whoever wrote to HR sent their name with it"
NO_LIST = {"/api/v1/concerns": WROTE, "/questions": WROTE, "/verify/vectors.json": "an invented person of this name"}
CALLERS = ((Role.OWNER, Role.HR), (Role.LEGAL,), ())
"""Roles; none for the directory's own key."""
FILES = ("/archive?preset=entra", "/archive?preset=square")
"""What a file holds follows from what is asked for."""


def shown(content: bytes) -> Iterator[bytes]:
    """What somebody reads in an answer; an archive or a workbook is unpacked."""
    yield content
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            yield from (packed.read(name) for name in packed.namelist())


class People:
    """Three people of a company, and in which answers their names stand."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.world = kernel, World(kernel)
        tenant, listed = self.world.tenant, self.world.employee
        with kernel.db.transaction(tenant) as session:
            batch = session.get_one(Batch, (listed.batch_id, tenant))
            # No account of a directory can be called like the second.
            given = {name: make_employee(session, kernel, batch=batch, full_name=name, email=email) for name, email in
                     (("Iris Quendel", "iris@zebra.example"), ("Odd Quendel", "=odd@zebra.example"))}  # fmt: skip
            for person in given.values():
                give_consent(session, kernel, person)
            line = self.world.in_directory["Users"]
            joined = session.exec(select(Employee.id).where(Employee.tenant_id == tenant, Employee.roster_id == line)).one()
        for person in given.values():
            made = make_headshots(kernel, person, 1)
            with kernel.db.transaction(tenant) as session:
                headshots.release(session, person.id, [made[0].id], utc_now())
        self.words = {listed.id: ("Nadia Ümit", f"{CANARY}-1@"), joined: (f"{CANARY}-2@",)}
        self.words |= {person.id: (name,) for name, person in given.items()}

    def come_in(self, client: TestClient[Any], roles: tuple[Role, ...]) -> str:
        """Somebody new of these roles, or a new key of the directory for none; returns how the log calls them."""
        client.headers.pop("authorization", None)
        if roles:
            return f"member:{sign_in_member(client, self.kernel, self.world.tenant, *roles).id}"
        maker = make_member(self.kernel, self.world.tenant, Role.OWNER, Role.HR)
        with self.kernel.db.transaction(self.world.tenant) as session:
            key, token = programs.make(session, maker, "Directory", ["people.provision"], utc_now())
        client.headers["authorization"] = f"Bearer {token}"
        return f"machine:{key.id}"

    def named(self, client: TestClient[Any], path: str) -> list[UUID]:
        """Whose name or address stands in the answer."""
        answer = client.get(filled(path, self.world, random=False))
        whole = b"\0".join(shown(answer.content)) if answer.status_code == 200 else b""
        return [person for person, words in self.words.items() if any(word.encode() in whole for word in words)]

    def recorded(self, person: UUID, caller: str) -> bool:
        with self.kernel.db.transaction(self.world.tenant) as session:
            entries = ledger.entries(session, subject=person)
            return any(one.caller == caller for one in [*listings.of(session, person), *entries])


@pytest.mark.timeout(300)
def test_whoever_is_shown_a_name_is_on_record(kernel: Kernel, app: Litestar) -> None:
    people, naming, unrecorded = People(kernel), list[tuple[str, tuple[Role, ...]]](), set[str]()
    with TestClient(app) as client:
        paths = {path for several in routes(client) for method, path in several if method == "GET"}
        paths |= {path.removesuffix("/archive") + file for path in paths for file in FILES if path.endswith("/archive")}
        for roles in CALLERS:
            people.come_in(client, roles)
            mine = [path for path in sorted(paths) if path.startswith("/scim/") == (not roles)]
            naming += [(path, roles) for path in mine if people.named(client, path)]
        for path, roles in naming:
            # Everybody anew, because somebody is on record once a day.
            caller = people.come_in(client, roles)
            if not all(people.recorded(person, caller) for person in people.named(client, path)):
                unrecorded.add(path)
    assert unrecorded == NO_LIST.keys(), "a name is shown, and nobody can learn that it was"
    assert len(naming) > 25, "names stand on many pages, or nothing was proved"

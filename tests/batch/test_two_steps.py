"""What one step is refused is not done in two: first the name and then the address, or the other way round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from litestar.testing import TestClient

from batch.models import Employee
from batch.people import employees
from batch.roster import batches, corrections
from batch.visit import arrivals, invitations
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.identity import Kind, caller_of, start_session
from likeness.kernel import Kernel
from likeness.sso.tokens import Proof
from tenants.models import Role
from tenants.sso import identities
from tests.batch.test_addresses import ELSE, NADIA, found, imported, letters, profile_of, somebody, token_of
from tests.batch.test_directory import KIND, MORE, directory_of, user
from tests.factories import give_consent, run_jobs, sign_in_member

CARLA = "Carla Neu"
Say = Callable[[str, str], bool]
"""The company says of number 1001 that it has this name and address; whether it was taken."""


COMES_BY = {"workbook": "link", "by hand": "account", "directory": "link"}


@pytest.fixture(params=COMES_BY)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def saying(kernel: Kernel, app: Any, person: Employee, way: str) -> Say:
    """One of the ways in which a company changes its list."""
    tenant, line = person.tenant_id, person.roster_id
    client = TestClient(app) if way == "by hand" else directory_of(kernel, app, tenant)
    if way == "by hand":
        sign_in_member(client, kernel, tenant, Role.HR)

    def said(name: str, address: str) -> bool:
        if way == "workbook":
            return imported(kernel, tenant, (NADIA[0], name, address)).updated == 1
        if way == "by hand":
            answer = client.patch(f"/api/v1/employees/{line}", json={"name": name, "email": address})
            return bool(answer.status_code == 200)
        mail = [{"value": address, "type": "work", "primary": True}]
        body = user(name, userName=NADIA[2], emails=mail, displayName=name, **{MORE: {"employeeNumber": NADIA[0]}})
        if client.get(f"/Users/{line}").status_code == 200:
            return bool(client.put(f"/Users/{line}", json=body, headers=KIND).status_code == 200)
        return bool(client.post("/Users", json=body, headers=KIND).status_code == 201)

    return said


def opened(kernel: Kernel, person: Employee, *, by: str = "link") -> str:
    """They have been on their page, by the mailed link or with an account that was connected; returns their cookie."""
    link = token_of(letters(kernel, person.tenant_id, "invitation")[0], "/i/")
    with kernel.db.transaction(person.tenant_id) as session:
        if by == "link":
            invitations.accept(session, link, utc_now())
        else:
            proof = account()
            identities.bind(session, proof, Kind.EMPLOYEE, person.id, identities.ConnectedBy.DOMAIN, utc_now())
            assert arrivals.of(session, kernel, proof, None, utc_now()) == {Kind.EMPLOYEE: person.id}
        return start_session(session, Kind.EMPLOYEE, person.id, utc_now())


def account() -> Proof:
    return Proof("https://id.example", "nadias-account", "", {}, "", utc_now())


def of_log(kernel: Kernel, person: Employee) -> list[str]:
    with kernel.db.transaction(person.tenant_id) as session:
        return [entry.event for entry in ledger.entries(session, subject=person.id)]


def test_hr_cannot_become_somebody_who_has_been_here_by_the_name_first(kernel: Kernel, app: Any, way: str) -> None:
    person, stranger = somebody(kernel, consented=False), somebody(kernel, consented=False)
    cookie = opened(kernel, person, by=COMES_BY[way])
    say = saying(kernel, app, person, way)
    assert not say(CARLA, NADIA[2])
    assert not say(CARLA, ELSE)
    assert profile_of(kernel, person).full_name == NADIA[1]
    assert caller_of(kernel.db, cookie, utc_now()) is not None
    # Nor in small steps, each of which keeps a word of the one before.
    assert say("Nadia Neu", NADIA[2])
    assert not say(CARLA, NADIA[2])
    assert profile_of(kernel, person).full_name == "Nadia Neu"
    # They were told of the step that was taken, and every refused one is on record.
    (told,) = letters(kernel, person.tenant_id, "name-corrected")
    assert (told.to, "Nadia Neu" in told.text) == (NADIA[2], True)
    said = of_log(kernel, person)
    assert said.count("line.refused") >= 3
    assert said.count("name.corrected") == 1
    assert "line.refused" not in of_log(kernel, stranger)


def test_hr_cannot_become_somebody_who_has_been_here_by_the_address_first(kernel: Kernel, app: Any, way: str) -> None:
    person = somebody(kernel, consented=False)
    tenant, cookie = person.tenant_id, opened(kernel, person, by=COMES_BY[way])
    link = token_of(letters(kernel, tenant, "invitation")[0], "/i/")
    say = saying(kernel, app, person, way)
    assert say(NADIA[1], ELSE)
    assert say(CARLA, ELSE), "nobody has been there yet, so it may become anybody's"
    # What was the first one's opens nothing, and the second begins empty.
    assert caller_of(kernel.db, cookie, utc_now()) is None
    with kernel.db.transaction(tenant) as session:
        with pytest.raises(invitations.LinkUnknown):
            invitations.look_up(session, link, utc_now())
        assert identities.of(session, account()) == {}
        assert employees.stage(session, person.id) in ("invited", "delivered")
    (told,) = letters(kernel, tenant, "address-corrected")
    assert told.to == NADIA[2]
    assert "Carla" not in told.text
    # From the moment in which the second has been there the line is theirs.
    newest = letters(kernel, tenant, "invitation")[0]
    assert newest.to == ELSE
    with kernel.db.transaction(tenant) as session:
        invitations.accept(session, token_of(newest, "/i/"), utc_now())
    assert not say(NADIA[1], ELSE)


def test_hr_cannot_become_somebody_who_consented_by_small_steps(kernel: Kernel, app: Any, way: str) -> None:
    person = somebody(kernel)
    say = saying(kernel, app, person, way)
    assert say("Nadia Neu", NADIA[2])
    assert not say(CARLA, NADIA[2])
    assert not say("Neu Carla", NADIA[2])
    assert say("Nadia Sand", NADIA[2])
    assert profile_of(kernel, person).full_name == "Nadia Sand"


def test_hr_cannot_become_somebody_by_taking_an_import_back(kernel: Kernel) -> None:
    """The line was renamed, whoever it is now came to their page, and the import is undone afterwards."""
    person = somebody(kernel, consented=False)
    tenant = person.tenant_id
    imported(kernel, tenant, (NADIA[0], CARLA, NADIA[2]))
    opened(kernel, person)
    with kernel.db.transaction(tenant) as session:
        give_consent(session, kernel, employees.get(session, person.id))
    with kernel.db.transaction(tenant) as session:
        newest = max(batches.list_batches(session), key=lambda one: one.created_at)
        assert corrections.take_back(session, kernel.keys, newest, utc_now(), caller="member:hanna") == (0, 1)
    assert profile_of(kernel, person).full_name == CARLA


def test_a_mailbox_that_was_only_written_to_hears_of_another_name(kernel: Kernel, app: Any) -> None:
    person = somebody(kernel, consented=False)
    say = saying(kernel, app, person, "by hand")
    letters(kernel, person.tenant_id, "invitation")
    assert say(CARLA, NADIA[2]), "nobody has been there yet"
    (told,) = letters(kernel, person.tenant_id, "name-corrected")
    assert told.to == NADIA[2]
    assert of_log(kernel, person).count("name.corrected") == 1
    assert say(CARLA, ELSE)
    (moved,) = letters(kernel, person.tenant_id, "address-corrected")
    assert moved.to == NADIA[2]
    run_jobs(kernel, tenant=person.tenant_id)
    assert found(kernel, person.tenant_id, ELSE) is not None


def test_a_line_is_nobody_elses_from_the_end_of_its_invitation_on(kernel: Kernel, app: Any) -> None:
    """Whether or not its link was opened: a refusal that told the two apart would tell HR who has said no."""
    person = somebody(kernel, consented=False)
    tenant: UUID = person.tenant_id
    with kernel.db.transaction(tenant) as session:
        invitation = invitations.standing(session, person.id)
        assert invitation is not None
        invitation.expires_at = utc_now()
        session.add(invitation)
    say = saying(kernel, app, person, "workbook")
    assert not say(CARLA, NADIA[2])
    assert say("Nadia Neu", NADIA[2])

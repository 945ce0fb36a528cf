"""Links that the machine itself prints: for operators, and at the end of the demo for everybody."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import delete

from batch.visit import invitations
from likeness import ledger
from likeness.demo.doors import NobodyLeft, doors
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.errors import LikenessError
from likeness.kernel import Kernel
from likeness.run.first_admin import OperatorUnclear, operator_link, sign_in_address
from likeness.run.postgres import EmbeddedPostgres, url_of_running
from tenants.members import members
from tenants.models import Member, Role
from tests.factories import make_employee, make_member, make_tenant, run_jobs
from tests.kernel.warm import Warm


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


@pytest.fixture
def no_operators(kernel: Kernel) -> None:
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(delete(Member).where(Member.tenant_id == PLATFORM))  # type: ignore[arg-type]


def opens(client: TestClient[Any], link: str) -> str:
    """Where somebody stands who opened this link and pressed its button."""
    client.cookies.clear()
    path = "/" + link.split("/", 3)[3]
    assert client.get(path).status_code == 200
    answer = client.post(path)
    assert answer.status_code == 200, answer.text[:300]
    return str(answer.url.path)


def newest(kernel: Kernel, tenant: UUID) -> str:
    with kernel.db.transaction(tenant) as session:
        entry = ledger.head(session)
    return entry.event if entry else ""


def test_a_new_install_names_its_first_operator(kernel: Kernel, client: TestClient[Any], no_operators: None) -> None:
    with pytest.raises(OperatorUnclear, match="Name the first one: --email"):
        operator_link(kernel)
    link = operator_link(kernel, "otto@ops.example", "Otto")
    assert newest(kernel, PLATFORM) == "operator.link-made"
    assert opens(client, link) == "/operations"
    # The only operator needs no name; one who lost access gets a link again.
    assert opens(client, operator_link(kernel)) == "/operations"
    assert opens(client, operator_link(kernel, "OTTO@ops.example")) == "/operations"
    operator_link(kernel, "second@ops.example")
    with pytest.raises(OperatorUnclear, match="There are 2 operators"):
        operator_link(kernel)
    with pytest.raises(LikenessError, match="not an e-mail address"):
        operator_link(kernel, "nobody")
    assert opens(client, sign_in_address(kernel)) == "/operations"


def test_a_disabled_operator_gets_no_link(kernel: Kernel, no_operators: None) -> None:
    operator_link(kernel, "gone@ops.example")
    with kernel.db.transaction(PLATFORM) as session:
        gone = members.find(session, kernel.keys, "gone@ops.example")
        assert gone
        members.disable(session, gone.id, utc_now(), caller="test")
    with pytest.raises(members.MemberKnown):
        operator_link(kernel, "gone@ops.example")


def test_the_command_prints_a_link_and_nothing_else_to_follow(
    kernel: Kernel, postgres: EmbeddedPostgres, embedded_home: Path, client: TestClient[Any], no_operators: None,
    likeness: Warm,
) -> None:  # fmt: skip
    def command(surroundings: dict[str, str], *words: str) -> CompletedProcess[str]:
        return likeness.run("operator-link", *words, env=surroundings)

    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("LIKENESS_")}
    production = surroundings | {
        "LIKENESS_PROFILE": "production",
        "LIKENESS_HOME": str(kernel.settings.home),
        "LIKENESS_DATABASE_URL": postgres.url("likeness_app"),
        "LIKENESS_KEY_FOLDER": str(kernel.settings.keys_path()),
        "LIKENESS_PUBLIC_URL": "https://headshots.example",
    }
    refused = command(production)
    assert refused.returncode == 1
    assert "Name the first one" in refused.stderr
    assert "Traceback" not in refused.stderr
    printed = command(production, "--email", f"{uuid4().hex}@ops.example")
    link = re.search(r"https://headshots.example/sign-in/\S+", printed.stdout)
    assert link, printed.stderr
    assert opens(client, link[0]) == "/operations"
    # Beside a running `likeness up`, whose database is found by its folder.
    embedded = surroundings | {"LIKENESS_HOME": str(embedded_home)}
    again = command(embedded)
    assert "Sign in once within 30 minutes" in again.stdout, again.stderr
    away = command(surroundings | {"LIKENESS_HOME": str(kernel.settings.home / "elsewhere")})
    assert "Start it with `likeness up`" in away.stderr


@pytest.fixture
def embedded_home(home: Path, postgres: EmbeddedPostgres) -> Iterator[Path]:
    """With the running database where the embedded profile keeps it."""
    where = home / "postgres"
    where.symlink_to(postgres.folder)
    yield home
    where.unlink()


def test_a_database_is_found_only_while_it_runs(
    embedded_home: Path, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    assert url_of_running(embedded_home / "postgres", "likeness_app") == postgres.url("likeness_app")
    assert url_of_running(tmp_path, "likeness_app") is None


def test_the_demos_links_open_each_desk(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    with pytest.raises(NobodyLeft):
        doors(kernel, tenant, [])
    make_member(kernel, tenant, Role.OWNER, Role.HR)
    make_member(kernel, tenant, Role.LEGAL)
    with kernel.db.transaction(tenant) as session:
        uninvited, person = make_employee(session, kernel), make_employee(session, kernel)
        invitations.invite(session, person, utc_now())
    run_jobs(kernel, tenant=tenant)
    found = doors(kernel, tenant, [uuid4(), uninvited.id, person.id])
    assert list(found) == ["HR", "Legal", "Employee", "Operator"]
    assert opens(client, found["HR"]) == "/desk"
    assert opens(client, found["Legal"]) == "/legal"
    assert opens(client, found["Employee"]) == "/visit/notice" or client.get("/visit").status_code == 200
    assert opens(client, found["Operator"]) == "/operations"

"""Every role against every route that members and operators have.

The routes come from the application, and what each asks for from its own answer to somebody whose roles give nothing: so
a new route is in the table without anybody thinking of it, and one that asks for nothing fails.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from msgspec import NODEFAULT, Struct
from msgspec.structs import fields
from sqlalchemy import text

from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.web.guards import let_in
from tenants.members import permissions, programs
from tenants.members.permissions import COMPANY_ROLES, WORDS, Permission
from tenants.models import Role
from tests.factories import make_member, make_tenant, sign_in

PARAMETER = re.compile(r"{(\w+):(\w+)}")
ASKED = re.compile(r"\(([a-z]+\.[a-z]+)\)")
ABOUT_A_FILE = "multipart/form-data"


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def routes(client: TestClient[Any], kind: Kind) -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and a body that can be read, of each route that only this kind of caller may call."""
    found = []
    for route in client.app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            if kind in let_in(handler):
                method = next(iter(handler.http_methods - {"OPTIONS"}))
                found.append((method, route.path, body_of(handler)))
    return sorted(found, key=lambda one: one[:2])


def body_of(handler: Any) -> dict[str, Any]:
    wanted = handler.parsed_fn_signature.parameters.get("data")
    if wanted is None:
        return {}
    kind = wanted.annotation
    if typing.get_origin(kind) in (types.UnionType, typing.Union):  # A body that may be left out.
        kind = typing.get_args(kind)[0]
    is_json = isinstance(kind, type) and (issubclass(kind, Struct) or hasattr(kind, "__dataclass_fields__"))
    return {"json": plain(kind)} if is_json else {"data": {"x": "y"}}


def plain(kind: Any) -> Any:
    """Something that is read as this type."""
    if typing.get_origin(kind) in (typing.Annotated, types.UnionType, typing.Union):
        return plain(typing.get_args(kind)[0])
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)[0]
    if typing.get_origin(kind) is list:
        return [plain(typing.get_args(kind)[0])]
    if isinstance(kind, type) and issubclass(kind, Struct):
        hints = typing.get_type_hints(kind, include_extras=True)
        needed = [one.name for one in fields(kind) if one.default is one.default_factory is NODEFAULT]
        return {name: plain(hints[name]) for name in needed}
    if hasattr(kind, "__dataclass_fields__"):
        return {name: plain(hint) for name, hint in typing.get_type_hints(kind).items()}
    made = {UUID: str(uuid4()), datetime: datetime.now(UTC).isoformat(), date: "2027-01-01", int: 1, bool: True}
    return str(next(iter(kind))) if isinstance(kind, type) and issubclass(kind, Role) else made.get(kind, "x")


def called(client: TestClient[Any], method: str, path: str, body: dict[str, Any]) -> Any:
    address = PARAMETER.sub(lambda found: str(uuid4()) if found[2] == "uuid" else "hr", path)
    return client.request(method, address, follow_redirects=False, **body)


def asked_of(client: TestClient[Any], method: str, path: str, body: dict[str, Any]) -> Permission:
    answer = called(client, method, path, body)
    assert answer.status_code == 403, (
        f"{method} {path} asks for no permission: {answer.status_code} {answer.text[:200]}"
    )
    named = ASKED.search(answer.json()["detail"])
    assert named, f"{method} {path} does not name what it asks for: {answer.text}"
    return Permission(named[1])


def without_roles(client: TestClient[Any], kernel: Kernel, tenant: UUID, kind: Kind, role: Role) -> None:
    nobody = make_member(kernel, tenant, role)
    with kernel.db.transaction(tenant) as session:
        session.execute(text("update member set roles = '[]' where id = :id"), {"id": nobody.id})
    sign_in(client, kernel, tenant, kind, nobody.id)


def test_every_route_asks_for_a_permission_and_every_role_gets_what_the_map_says(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    tenant = make_tenant(kernel)
    make_member(kernel, tenant, Role.OWNER)
    without_roles(client, kernel, tenant, Kind.MEMBER, Role.HR)
    asked = {one[:2]: (asked_of(client, *one), one[2]) for one in routes(client, Kind.MEMBER)}
    assert len(asked) > 60
    for role in COMPANY_ROLES:
        member = make_member(kernel, tenant, role)
        for (method, path), (permission, body) in asked.items():
            # Each call anew, because some of them sign out.
            sign_in(client, kernel, tenant, Kind.MEMBER, member.id)
            answer = called(client, method, path, body)
            refused = answer.status_code == 403 and f"({permission})" in answer.json().get("detail", "")
            assert refused == (permission not in permissions.ROLES[role]), (role, method, path, answer.status_code)
            assert answer.status_code < 500, (role, method, path, answer.text)
            with kernel.db.transaction(tenant) as session:
                session.execute(text("update member set disabled_at = null"))
    # The routes of SCIM alone ask for that one, of programs.
    assert {permission for permission, _ in asked.values()} | {Permission.PEOPLE_PROVISION} == permissions.of(
        COMPANY_ROLES[:3]
    ) | permissions.of(COMPANY_ROLES[3:]), "what no route asks for is no permission"


def test_the_document_names_a_key_wherever_a_program_is_let_in(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    tokens = []
    for roles in (COMPANY_ROLES[:3], COMPANY_ROLES[3:]):
        maker = make_member(kernel, tenant, *roles)
        with kernel.db.transaction(tenant) as session:
            tokens.append(programs.make(session, maker, "all", programs.grantable(maker), utc_now())[1])
    document = client.get("/api/openapi.json").json()["paths"]
    for method, path, body in (one for one in routes(client, Kind.MEMBER) if one[1].startswith("/api/")):
        client.cookies.clear()
        kinds = set()
        for token in tokens:
            client.headers["authorization"] = f"Bearer {token}"
            answer = called(client, method, path, body)
            kinds.add(answer.json()["type"] if answer.status_code == 403 else "")
        client.headers.pop("authorization")
        refused = kinds <= {f"urn:likeness:{why}" for why in ("key-too-narrow", "fresh-sign-in-needed", "not-by-key")}
        signed = document[PARAMETER.sub(r"{\1}", path)][method.lower()]["security"]
        assert signed == [{"session": []}, *([] if refused else [{"key": []}])], (method, path, kinds)


def test_an_operator_reads_counts_and_nobody(kernel: Kernel, client: TestClient[Any]) -> None:
    without_roles(client, kernel, PLATFORM, Kind.OPERATOR, Role.OPERATOR)
    asked = {one[:2]: asked_of(client, *one) for one in routes(client, Kind.OPERATOR)}
    assert set(asked.values()) == permissions.ROLES[Role.OPERATOR]
    operator = make_member(kernel, PLATFORM, Role.OPERATOR)
    sign_in(client, kernel, PLATFORM, Kind.OPERATOR, operator.id)
    for method, path, body in routes(client, Kind.MEMBER):
        if (method, path) not in asked:
            assert called(client, method, path, body).status_code == 403, (method, path)


def test_an_auditor_changes_nothing(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    without_roles(client, kernel, tenant, Kind.MEMBER, Role.AUDITOR)
    for method, path, body in routes(client, Kind.MEMBER):
        if asked_of(client, method, path, body) in permissions.ROLES[Role.AUDITOR] - {Permission.ACCOUNT_CHANGE}:
            assert method == "GET", (method, path)


def test_the_map_has_a_sentence_for_everything_and_keeps_names_and_acts_apart() -> None:
    assert set(WORDS) == set(Permission)
    assert set(permissions.ROLES) == set(Role)
    names = {Permission.PEOPLE_READ, Permission.HEADSHOTS_READ}
    for role, given in permissions.ROLES.items():
        assert not (given & names and Permission.ACTS_READ in given), role
    assert not permissions.of({Role.HR, Role.LEGAL}) & {Permission.ACTS_READ, Permission.HOLDS_CHANGE}
    assert permissions.resting([Role.HR, Role.LEGAL, Role.OWNER]) == {Role.LEGAL}
    assert permissions.of([]) == frozenset()

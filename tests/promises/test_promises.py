"""Walks everything there is of a kind, so that the next one cannot be forgotten."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from litestar import Litestar
from litestar.routes import HTTPRoute
from sqlalchemy import create_engine, text
from sqlmodel import SQLModel

from likeness.ground.db import PLATFORM
from likeness.ground.lanes import Lane
from likeness.ground.settings import Settings
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.run.postgres import EmbeddedPostgres
from likeness.run.worker import FLOORS

ROOT = Path(__file__).parents[2]
OPERATORS_SEE_ALL = {"tenant", "job", "provider", "provider_domain", "provider_session", "answered"}
"""The only tables whose rows the operators' own transaction sees across companies; none names a person."""
DOCUMENT = {"/api", "/api/{path:str}", "/api/openapi.json"}
"""The OpenAPI document, and the answer that there is nothing else beside it."""
PUBLIC = DOCUMENT | {
    "/", "/livez", "/readyz", "/metrics", "/sign-in", "/sign-in/{token:str}", "/sign-out", "/i/{token:str}",
    "/i/{token:str}/renew", "/.well-known/likeness-certificates.jwks.json",
    "/.well-known/security.txt",
    "/api/v1/sign-in", "/api/v1/sign-in/{token:str}", "/api/v1/sign-out", "/api/v1/links/{token:str}",
    "/api/v1/links/{token:str}/renew", "/api/v1/receipts/{token:str}", "/api/v1/departures/{token:str}",
    "/gone/{receipt:str}", "/left/{receipt:str}", "/left/{receipt:str}/certificate/{stage:int}",
    "/left/{receipt:str}/certificate/{stage:int}/pdf",
    "/gone/{receipt:str}/certificate", "/gone/{receipt:str}/certificate.pdf",
    "/api/v1/logs/{tenant_id:uuid}/{epoch:int}/{size:int}",
    "/schemas/access-package-1.json", "/schemas/consent-receipt-1.json",
    "/verify", "/verify/verifier.py", "/verify/vectors.json", "/trust",
    "/retention/{tenant_id:uuid}",
    "/sso/{provider_id:uuid}", "/sso/callback", "/sso/logout",
    "/a/{token:str}", "/p/{token:str}", "/a/{token:str}/{answer:str}", "/api/v1/address-changes/{token:str}",
}  # fmt: skip
"""What anybody may call without a session; adding to it is a decision."""


def handlers(app: Litestar) -> list[tuple[str, Any]]:
    """Every handler with its path, but for the answers to OPTIONS that the framework adds."""
    found = [(route.path, h) for route in app.routes if isinstance(route, HTTPRoute) for h in route.route_handlers]
    return [(path, handler) for path, handler in found if handler.http_methods != {"OPTIONS"}]


def test_every_route_has_a_guard_or_is_meant_to_be_public(app: Litestar) -> None:
    assert len(handlers(app)) > 60
    open_paths = set()
    for path, handler in handlers(app):
        guarded = bool(handler.resolve_guards())
        public = bool(handler.opt.get("public")) or path in DOCUMENT or path.startswith("/static")
        assert guarded != public, f"{path} needs either a guard or opt={{'public': True}}"
        if public:
            open_paths.add(path)
    assert {path for path in open_paths if not path.startswith("/static")} - PUBLIC == set()


def test_every_route_of_the_api_is_described(app: Litestar) -> None:
    described = app.openapi_schema.paths or {}
    for path, handler in handlers(app):
        if path.startswith("/api/v1"):
            shown = re.sub(r":\w+}", "}", path)
            assert shown in described, f"{path} is missing in the OpenAPI document"
            assert handler.include_in_schema is not False


def test_every_table_is_under_forced_row_level_security(kernel: Kernel) -> None:
    with kernel.db.engine.connect() as connection:
        found = {
            row.relname: row
            for row in connection.execute(
                text(
                    "select c.relname, c.relrowsecurity, c.relforcerowsecurity,"
                    " (select count(*) from pg_policy p where p.polrelid = c.oid) as policies,"
                    " (select pg_get_expr(p.polqual, p.polrelid) from pg_policy p where p.polrelid = c.oid) as rule,"
                    " (select pg_get_expr(p.polwithcheck, p.polrelid) from pg_policy p where p.polrelid = c.oid) as writes"
                    " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                    " where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname <> 'alembic_version'"
                )
            )
        }
    assert set(found) == set(SQLModel.metadata.tables)
    for name, row in found.items():
        assert (row.relrowsecurity, row.relforcerowsecurity, row.policies) == (True, True, 1), name
        assert row.rule == row.writes, name
        column = "id" if name == "tenant" else "tenant_id"
        asked_once = "( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS \"nullif\")"
        own = f"({column} = {asked_once})"
        platform = f"({asked_once} = '{PLATFORM}'::uuid)"
        assert row.rule == (f"({own} OR {platform})" if name in OPERATORS_SEE_ALL else own), name


def test_there_are_no_views_or_functions_that_pierce_the_rules(kernel: Kernel) -> None:
    with kernel.db.engine.connect() as connection:
        views = connection.execute(text("select viewname from pg_views where schemaname = 'public'")).all()
        functions = connection.execute(
            text(
                "select proname, prosecdef from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
                " where nspname = 'public'"
            )
        ).all()
    assert views == []
    # These run with the rights of whoever writes.
    assert {tuple(one) for one in functions} == {("rests_on_consent", False), ("due_within_terms", False)}


def test_every_key_carries_the_tenant() -> None:
    for table in SQLModel.metadata.tables.values():
        if table.name == "tenant":
            continue
        assert {"tenant_id", "id"} == {column.name for column in table.primary_key}, table.name
        for constraint in table.foreign_key_constraints:
            columns = {column.name for column in constraint.columns}
            assert "tenant_id" in columns, f"{table.name}: {columns}"


def test_everything_of_a_person_goes_with_the_person() -> None:
    below = 0
    for table in SQLModel.metadata.tables.values():
        for constraint in table.foreign_key_constraints:
            if constraint.referred_table.name == "employee":
                below += 1
                assert constraint.ondelete == "CASCADE", table.name
    assert below >= 8


def test_every_actor_takes_opaque_ids_only() -> None:
    assert FLOORS
    assert len(jobs.KINDS) >= 4
    for kind in jobs.KINDS.values():
        if kind.function.__module__.startswith("tests."):
            continue
        first, *rest = inspect.signature(kind.function).parameters.values()
        assert first.annotation in ("jobs.Attempt", "Attempt"), kind.name
        assert all(parameter.annotation == "str" for parameter in rest), kind.name
        assert kind.lease.total_seconds() <= 300, kind.name


def test_every_kind_of_job_names_its_lane() -> None:
    lane = inspect.signature(jobs.actor).parameters["lane"]
    assert lane.default is inspect.Parameter.empty, "a kind of job that names no lane would wait behind everything"
    of = {name: kind.lane for name, kind in jobs.KINDS.items()}
    # What somebody is told of their own decision must not wait behind the ten thousand invitations of their company.
    for name in ("batch.addresses.tell", "batch.consents.acknowledge"):
        assert of[name] == Lane.PRIVACY != of["batch.invitations.deliver"]


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"`LIKENESS_{name.upper()}`" in page, f"run `docs/settings.py`: {name} is missing in docs/settings.md"
        assert field.description.replace("|", "\\|") in page, f"run `docs/settings.py`: {name} is described otherwise"


def test_no_table_has_a_place_for_a_face_measure() -> None:
    for table in SQLModel.metadata.tables.values():
        for column in table.columns:
            assert not re.search(r"embedding|descriptor|vector|landmark", column.name), f"{table.name}.{column.name}"


def test_the_migrations_make_what_the_models_say(kernel: Kernel, postgres: EmbeddedPostgres) -> None:
    with create_engine(postgres.url("likeness_owner")).connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, SQLModel.metadata) == []

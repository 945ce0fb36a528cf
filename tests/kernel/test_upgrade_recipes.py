"""An installation of schema 0002 keeps what its companies had: the base of their models, their looks, their headshots."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import create_engine, text

from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres


def test_sittings_and_companies_of_the_version_before_keep_their_base(postgres: EmbeddedPostgres) -> None:
    with create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("create database recipes owner likeness_owner"))
    url = postgres.url("likeness_owner").replace("/likeness?", "/recipes?")
    migrate(url, "0002")
    engine = create_engine(url)
    alice, bob = uuid4(), uuid4()
    batch, employee, sitting, look = (uuid4() for _ in range(4))

    def as_tenant(tenant: UUID, *statements: str) -> None:
        with engine.begin() as connection:
            connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant)})
            ids = {"tenant": tenant, "batch": batch, "employee": employee, "sitting": sitting, "look": look}
            for statement in statements:
                connection.execute(text(statement), ids)

    company = (
        "insert into tenant (id, name, contact, authority, source_days, headshot_days, employee_quota, created_at)"
        " values (:tenant, 'Old', '', '', 7, 30, 10, now())"
    )
    as_tenant(
        alice,
        company,
        "insert into look (id, tenant_id, name, version, backdrop, dress, framing, light, created_at)"
        " values (:look, :tenant, 'Dark', 1, 'dark grey', 'suit', 'close-up', 'soft', now())",
        "insert into batch (id, tenant_id, name, created_by, created_at, mapping)"
        " values (:batch, :tenant, 'b', :batch, now(), '{}')",
        "insert into employee (id, tenant_id, batch_id, row, email_index, profile, created_at)"
        " values (:employee, :tenant, :batch, 2, 'x', 'p', now())",
        "insert into sitting (id, tenant_id, employee_id, state, fence, seed, created_at, changed_at)"
        " values (:sitting, :tenant, :employee, 'done', 1, 1, now(), now())",
        "insert into run (id, tenant_id, employee_id, sitting_id, fence, state, recipe, seconds, step, steps, made,"
        " passed, started_at, heartbeat_at) values (gen_random_uuid(), :tenant, :employee, :sitting, 1, 'succeeded',"
        " '{\"name\": \"sdxl\"}', '{}', 1, 1, 1, 1, now(), now())",
        "insert into headshot (id, tenant_id, employee_id, sitting_id, look_id, number, path, bytes, likeness_ratio,"
        " created_at, due_at)"
        " values (gen_random_uuid(), :tenant, :employee, :sitting, :look, 1, 'p', 1, 0.9, now(), now())",
    )
    as_tenant(bob, company)
    migrate(url, "0036")
    endpoint = (
        "insert into webhook_endpoint (id, tenant_id, member_id, sealed, events, created_at, failures)"
        " values (gen_random_uuid(), :tenant, :batch, 'x', '[\"%s\"]', now(), 0)"
    )
    as_tenant(
        alice,
        endpoint % "headshot.released",
        endpoint % "batch.imported",
        "insert into directory_group (id, tenant_id, name, people, created_at) select gen_random_uuid(), :tenant, 'Sales',"
        " json_build_array(e.roster_id, cast(:look as text)), now() from employee e",
        "insert into directory_group (id, tenant_id, name, people, created_at) values (gen_random_uuid(), :tenant, 'No',"
        " json_build_array(cast(:look as text)), now())",
        "update headshot set loosening = 1.12",
    )
    migrate(url)
    with engine.begin() as connection:
        connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(alice)})
        assert connection.execute(text("select recipes from tenant")).scalar_one() == ["sdxl", "cutout"]
        assert connection.execute(text("select recipe from sitting")).scalar_one() == "sdxl"
        assert connection.execute(text("select wall from look")).scalar_one() == "gradient:#5b626c"
        events = connection.execute(text("select events from webhook_endpoint")).scalars()
        assert sorted(events) == [["batch.imported"], ["headshot.released", "headshot.taken-back"]]
        line = str(connection.execute(text("select roster_id from employee")).scalar_one())
        groups = connection.execute(text("select people from directory_group order by name desc")).scalars().all()
        assert groups == [[line], []], "who is not on the list any more is in no group"
        assert connection.execute(text("select likeness_ratio, loosening from headshot")).one() == (0.9, 1.12)
        assert connection.execute(text("select loosened from tenant")).scalar_one() == 1.15, "a step above"
        connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(bob)})
        assert connection.execute(text("select recipes from tenant")).scalar_one() == ["cutout"]
        # Row-level security holds for the owner again.
        names = "('tenant', 'sitting', 'run', 'look')"
        forced = text(f"select bool_and(relforcerowsecurity) from pg_class where relname in {names}")
        assert connection.execute(forced).scalar() is True
    engine.dispose()

"""An installation of schema 0002 keeps its members, and learns from its own ledger who invited whom."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import create_engine, text

from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres

MEMBER = (
    "insert into member (id, tenant_id, email_index, profile, roles, created_at)"
    " values (:id, :tenant, :index, 'p', '[\"legal\"]', '2026-01-01')"
)
ENTRY = (
    "insert into ledger_entry (id, tenant_id, sequence, at, event, caller, objects, previous, hash)"
    " values (gen_random_uuid(), :tenant, :n, :at, :event, :caller, cast(:objects as json), 'x', 'x')"
)


def test_members_of_the_version_before_know_their_makers(postgres: EmbeddedPostgres) -> None:
    with create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("create database makers owner likeness_owner"))
    url = postgres.url("likeness_owner").replace("/likeness?", "/makers?")
    migrate(url, "0002")
    engine = create_engine(url)
    alice, bob = uuid4(), uuid4()
    first, invited, promoted, waiting, theirs = (uuid4() for _ in range(5))

    def as_tenant(tenant: UUID, *statements: tuple[str, dict[str, object]]) -> None:
        with engine.begin() as connection:
            connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant)})
            for statement, values in statements:
                connection.execute(text(statement), {"tenant": tenant} | values)

    company = (
        "insert into tenant (id, name, contact, authority, source_days, headshot_days, employee_quota, created_at)"
        " values (:tenant, 'Old', '', '', 7, 30, 10, now())"
    )
    people = (first, invited, promoted, waiting)
    entries = [
        ("member.invited", f"operator:{uuid4()}", f'["{first}"]', "2026-01-01"),
        ("member.invited", f"member:{first}", f'["{invited}"]', "2026-01-02"),
        ("member.invited", f"member:{first}", f'["{waiting}"]', "2026-01-03"),
        ("session.started", f"member:{invited}", "[]", "2026-01-04"),
        ("session.started", f"member:{invited}", "[]", "2026-01-09"),
        ("member.changed", f"member:{first}", f'["{promoted}"]', "2026-01-05"),
        ("member.changed", f"member:{invited}", f'["{promoted}"]', "2026-01-06"),
    ]
    as_tenant(
        alice,
        (company, {}),
        *((MEMBER, {"id": one, "index": one.bytes}) for one in people),
        *(
            (ENTRY, {"n": n, "event": event, "caller": caller, "objects": objects, "at": at})
            for n, (event, caller, objects, at) in enumerate(entries, 1)
        ),
    )
    as_tenant(bob, (company, {}), (MEMBER, {"id": theirs, "index": b"x"}))
    migrate(url)
    with engine.begin() as connection:
        connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(alice)})
        found = {
            row.id: row
            for row in connection.execute(
                text("select id, invited_by, roles_by, roles_at::date::text, joined_at::date::text as joined,"
                     " signed_in_at::date::text as seen from member")
            )
        }  # fmt: skip
        # Row-level security holds for the owner again.
        forced = connection.execute(
            text("select bool_and(relforcerowsecurity) from pg_class where relname in ('member', 'ledger_entry')")
        ).scalar()
    engine.dispose()
    assert set(found) == set(people), "and the other company's are hidden"
    assert forced is True
    assert found[first].invited_by is None
    assert found[invited].invited_by == found[waiting].invited_by == first
    assert (found[invited].joined, found[invited].seen, found[waiting].joined) == ("2026-01-04", "2026-01-09", None)
    assert sorted(found[promoted].roles_by) == sorted([str(first), str(invited)])
    assert [found[one].roles_at for one in (promoted, first)] == ["2026-01-06", "2026-01-01"]


def test_a_company_of_the_version_before_has_an_owner(postgres: EmbeddedPostgres) -> None:
    with create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("create database owners owner likeness_owner"))
    url = postgres.url("likeness_owner").replace("/likeness?", "/owners?")
    migrate(url, "0014")
    engine = create_engine(url)
    joined = "2026-02-01"
    companies = {
        # Name: roles, disabled, joined; then the roles afterwards.
        "both": [('["hr", "legal"]', None, joined, {"hr", "legal", "owner"}), ('["hr"]', None, joined, {"hr"})],
        "apart": [('["legal"]', None, None, {"legal"}), ('["hr"]', None, joined, {"hr", "owner"}),
                  ('["legal"]', None, joined, {"legal"})],
        "left": [('["hr", "legal"]', joined, joined, {"hr", "legal"}), ('["legal"]', None, None, {"legal", "owner"})],
        "never came": [('["hr", "legal"]', None, None, {"hr", "legal", "owner"}),
                       ('["hr"]', None, joined, {"hr", "owner"})],
    }  # fmt: skip
    expected: dict[UUID, set[str]] = {}
    with engine.begin() as connection:
        for name, desk in companies.items():
            tenant = uuid4()
            connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant)})
            connection.execute(
                text("insert into tenant (id, name, contact, authority, source_days, headshot_days, employee_quota,"
                     " recipes, created_at) values (:tenant, :name, '', '', 7, 30, 10, '[\"cutout\"]', now())"),
                {"tenant": tenant, "name": name},
            )  # fmt: skip
            for number, (roles, disabled, came, after) in enumerate(desk):
                member = uuid4()
                expected[member] = after
                connection.execute(
                    text("insert into member (id, tenant_id, email_index, profile, roles, created_at, roles_by, roles_at,"
                         " disabled_at, joined_at) values (:id, :tenant, :index, 'p', cast(:roles as json),"
                         " timestamptz '2026-01-01' + :n * interval '1 day', '[]', now(), :disabled, :came)"),
                    {"id": member, "tenant": tenant, "index": member.bytes, "roles": roles, "n": number,
                     "disabled": disabled, "came": came},
                )  # fmt: skip
    migrate(url)
    with create_engine(url.replace("likeness_owner", "postgres")).connect() as connection:
        found = {row.id: set(row.roles) for row in connection.execute(text("select id, roles from member"))}
    engine.dispose()
    assert {one: roles for one, roles in found.items() if one in expected} == expected

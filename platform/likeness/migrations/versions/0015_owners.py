"""Every company has an owner, who says who works there: so far whoever held HR and legal gave both away."""

from alembic import op

from likeness.migrations.protect import PLATFORM, all_rows

revision = "0015"
down_revision = "0014"

# Who holds HR and legal keeps both roles on record; the program lets legal rest until they choose one.
AN_OWNER = """
    update member set roles = (
        select json_agg(role order by role)
        from (select json_array_elements_text(member.roles) union select 'owner') r(role)
    )
"""


def upgrade() -> None:
    with all_rows("member"):
        op.execute(
            f"{AN_OWNER} where tenant_id <> '{PLATFORM}' and disabled_at is null"
            " and exists (select from json_array_elements_text(roles) one(role) where role = 'hr')"
            " and exists (select from json_array_elements_text(roles) one(role) where role = 'legal')"
        )
        # Where nobody held both, or nobody who did ever came in: the member who has been there longest.
        op.execute(
            f"{AN_OWNER} where (tenant_id, id) in ("
            "  select distinct on (tenant_id) tenant_id, id from member m"
            f"  where tenant_id <> '{PLATFORM}' and disabled_at is null and not exists ("
            "    select from member o, json_array_elements_text(o.roles) one(role) where o.tenant_id = m.tenant_id"
            "    and o.disabled_at is null and o.joined_at is not null and role = 'owner')"
            "  order by tenant_id, joined_at nulls last, created_at, id)"
        )

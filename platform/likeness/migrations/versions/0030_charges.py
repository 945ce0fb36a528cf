"""Credits of people whose headshots are there count as charged; nothing of what is left changes."""

from alembic import op

from likeness.migrations.protect import all_rows

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    with all_rows("credit", "sitting"):
        op.execute(
            "insert into credit (id, tenant_id, amount, reason, cause, at)"
            " select gen_random_uuid(), c.tenant_id, 0, 'charge', c.cause, greatest(c.at, s.done_at) from credit c"
            " join (select tenant_id, employee_id, min(changed_at) as done_at from sitting where state = 'done'"
            " group by 1, 2) s on s.tenant_id = c.tenant_id and split_part(c.cause, ':', 1) = cast(s.employee_id as text)"
            " where c.reason = 'reserve' and not exists (select 1 from credit g where g.tenant_id = c.tenant_id"
            " and g.cause = c.cause and g.reason in ('release', 'refund', 'charge'))"
        )


def downgrade() -> None:
    with all_rows("credit"):
        op.execute("delete from credit where reason = 'charge'")

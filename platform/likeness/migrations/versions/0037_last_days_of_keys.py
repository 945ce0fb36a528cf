"""Keys have a last day; endpoints that hear of releases hear of take-backs; groups name nobody who was deleted."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import all_rows

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    # Those of before last until they are revoked.
    op.add_column("machine_key", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    with all_rows("webhook_endpoint", "directory_group", "employee"):
        op.execute(
            "update webhook_endpoint set events = cast(cast(events as jsonb) || '[\"headshot.taken-back\"]' as json)"
            " where cast(events as jsonb) @> '[\"headshot.released\"]'"
        )
        op.execute(
            "update directory_group g set people = (select coalesce(json_agg(line order by line), '[]') from"
            " json_array_elements_text(g.people) line where exists (select 1 from employee e where"
            " e.tenant_id = g.tenant_id and cast(e.roster_id as text) = line))"
        )


def downgrade() -> None:
    op.drop_column("machine_key", "expires_at")
    with all_rows("webhook_endpoint"):
        op.execute(
            "update webhook_endpoint set events = cast(cast(events as jsonb) - 'headshot.taken-back' as json)"
        )

"""On each company what this installation makes headshots with, so that nothing else is offered."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import all_rows

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    op.add_column("tenant", sa.Column("base", sa.String(), nullable=False, server_default="cutout"))
    with all_rows("tenant"):
        # Until the program has said what it has, a company goes on offering what it chose.
        op.execute("""
            update tenant set base = known.name
            from (select tenant.id, min(each.name) as name
                  from tenant, json_array_elements_text(tenant.recipes) as each(name)
                  where each.name <> 'cutout' group by tenant.id) as known
            where known.id = tenant.id
        """)


def downgrade() -> None:
    op.drop_column("tenant", "base")

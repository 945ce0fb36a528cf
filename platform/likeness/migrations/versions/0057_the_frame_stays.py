"""How wide a company's frame became stays with the company, and no sitting waits for a judge of its own."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import all_rows

revision = "0057"
down_revision = "0055"

ACTIVE = "state in ('ready','training','rendering')"


def upgrade() -> None:
    op.add_column("tenant", sa.Column("loosened", sa.Float(), nullable=False, server_default="1"))
    with all_rows("tenant", "headshot"):
        # In steps of five hundredths up to the loosest frame, as `batch/sittings/framing.py` keeps it.
        op.execute("""
            update tenant
            set loosened = least(1 + 0.05 * ceil(round(cast((widest.most - 1) / 0.05 as numeric), 6)), 2.75 / 2.25)
            from (select tenant_id, max(loosening) as most from headshot group by tenant_id) as widest
            where widest.tenant_id = tenant.id and widest.most > 1
        """)
    _active(ACTIVE)


def downgrade() -> None:
    _active("state in ('ready','training','rendering','judging')")
    op.drop_column("tenant", "loosened")


def _active(states: str) -> None:
    op.drop_index("sitting_active", table_name="sitting")
    one = ["tenant_id", "employee_id"]
    op.create_index("sitting_active", "sitting", one, unique=True, postgresql_where=sa.text(states))

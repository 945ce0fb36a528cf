"""Companies that are suspended, and how the installation did in the last days."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.add_column("tenant", sa.Column("suspended_at", moment, nullable=True))
    op.create_table(
        "pulse",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("waited", sa.JSON(), nullable=False),
        sa.Column("late_seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index("ix_pulse_tenant_id", "pulse", ["tenant_id"])
    op.create_index("ix_pulse_at", "pulse", ["at"])
    protect("pulse")


def downgrade() -> None:
    op.drop_table("pulse")
    op.drop_column("tenant", "suspended_at")

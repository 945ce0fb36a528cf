"""Pictures of a company's own that stand behind studio portraits."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "backdrop",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index(op.f("ix_backdrop_tenant_id"), "backdrop", ["tenant_id"], unique=False)
    protect("backdrop")

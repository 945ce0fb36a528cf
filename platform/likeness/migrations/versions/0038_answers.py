"""What was answered to a request that a program may send twice."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    op.create_table(
        "answered",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("tenant_id", "key_hash"),
    )
    op.create_index("ix_answered_tenant_id", "answered", ["tenant_id"])
    op.create_index("ix_answered_at", "answered", ["at"])
    # The sweep that forgets them works for every company at once.
    protect("answered", operators_see_all=True)


def downgrade() -> None:
    op.drop_table("answered")

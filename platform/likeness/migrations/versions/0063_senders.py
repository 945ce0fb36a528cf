"""A company's own address that its mails come from."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0063"
down_revision = "0061"


def upgrade() -> None:
    op.create_table(
        "sender",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("selector", sa.String(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proven_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("tenant_id"),
    )
    op.create_index("ix_sender_tenant_id", "sender", ["tenant_id"])
    protect("sender")


def downgrade() -> None:
    op.drop_table("sender")

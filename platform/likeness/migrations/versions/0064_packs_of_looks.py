"""Looks that go together under a name, and the batches whose people get them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from likeness.migrations.protect import protect

revision = "0064"
down_revision = "0063"


def upgrade() -> None:
    op.create_table(
        "look_pack",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("looks", ARRAY(sa.Uuid()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("tenant_id", "name"),
    )
    op.create_index("ix_look_pack_tenant_id", "look_pack", ["tenant_id"])
    op.add_column("batch", sa.Column("pack_id", sa.Uuid(), nullable=True))
    protect("look_pack")


def downgrade() -> None:
    op.drop_column("batch", "pack_id")
    op.drop_table("look_pack")

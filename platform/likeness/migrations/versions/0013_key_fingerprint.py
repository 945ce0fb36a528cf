"""Which master key the database is sealed under; the program notes it at its next start."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "key_fingerprint",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("tenant_id"),
    )
    op.create_index(op.f("ix_key_fingerprint_tenant_id"), "key_fingerprint", ["tenant_id"], unique=False)
    protect("key_fingerprint")

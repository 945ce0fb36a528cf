"""Keys with which a company's programs call the API."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "machine_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.JSON(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("used_at", moment, nullable=True),
        sa.Column("revoked_at", moment, nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_index(op.f("ix_machine_key_tenant_id"), "machine_key", ["tenant_id"], unique=False)
    op.create_index(op.f("ix_machine_key_member_id"), "machine_key", ["member_id"], unique=False)
    protect("machine_key")

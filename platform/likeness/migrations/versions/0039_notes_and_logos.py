"""What HR writes to everybody of a batch, and a company's logo above its mails."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    op.add_column("batch", sa.Column("sealed_note", sa.LargeBinary(), nullable=True))
    op.create_table(
        "logo",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("tenant_id"),
    )
    op.create_index("ix_logo_tenant_id", "logo", ["tenant_id"])
    protect("logo")


def downgrade() -> None:
    op.drop_table("logo")
    op.drop_column("batch", "sealed_note")

"""Links that lead nowhere are counted in the database, for all replicas."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # Unlogged: counts are written often, and a crash that forgets them harms nobody.
    op.create_table(
        "wrong_try",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("tenant_id", "key"),
        prefixes=["UNLOGGED"],
    )
    op.create_index(op.f("ix_wrong_try_tenant_id"), "wrong_try", ["tenant_id"], unique=False)
    protect("wrong_try")

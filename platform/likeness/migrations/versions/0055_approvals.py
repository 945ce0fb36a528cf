"""Released headshots that the company approves before it uses them, or asks to have changed."""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"

MOMENTS = ("approved_at", "returned_at", "kept_at")


def upgrade() -> None:
    op.add_column("tenant", sa.Column("approves", sa.Boolean(), nullable=False, server_default="false"))
    for name in MOMENTS:
        op.add_column("release", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.add_column("release", sa.Column("returned_for", sa.String(), nullable=True))


def downgrade() -> None:
    for name in (*MOMENTS, "returned_for"):
        op.drop_column("release", name)
    op.drop_column("tenant", "approves")

"""When what somebody said of headshots that are not them counts no more, so that a legal hold can keep it."""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0050"


def upgrade() -> None:
    op.alter_column("not_me", "at", new_column_name="created_at")
    op.add_column("not_me", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("not_me", "ended_at")
    op.alter_column("not_me", "created_at", new_column_name="at")

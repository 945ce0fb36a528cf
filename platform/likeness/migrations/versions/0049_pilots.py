"""Since when somebody is one of the three people with whom their batch is tried."""

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0045"


def upgrade() -> None:
    op.add_column("employee", sa.Column("pilot_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("employee", "pilot_at")

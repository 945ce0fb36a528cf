"""How many people a run's order had, so that an order that was lost is tried again in halves."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("run", sa.Column("pack", sa.Integer(), nullable=False, server_default="1"))
    op.alter_column("run", "pack", server_default=None)

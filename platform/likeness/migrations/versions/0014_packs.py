"""How many people a run's order had, so that an order that was lost is tried again in halves."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    # The server's own default lets the version before this one go on leaving runs while the new one is rolled out.
    op.add_column("run", sa.Column("pack", sa.Integer(), nullable=False, server_default="1"))

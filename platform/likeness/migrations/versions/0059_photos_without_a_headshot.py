"""Which photos nothing came of, and why, so that their person reads it."""

import sqlalchemy as sa
from alembic import op

revision = "0059"
down_revision = "0058"


def upgrade() -> None:
    op.add_column("sitting", sa.Column("unused", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("sitting", "unused")

"""A message says whether its line had another address since: whoever reads the new one does not see it."""

import sqlalchemy as sa
from alembic import op

revision = "0066"
down_revision = "0065"


def upgrade() -> None:
    op.add_column("concern", sa.Column("passed_on", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("concern", "passed_on", server_default=None)


def downgrade() -> None:
    op.drop_column("concern", "passed_on")

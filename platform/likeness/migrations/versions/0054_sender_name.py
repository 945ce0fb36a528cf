"""The name that a company's mails come from."""

import sqlalchemy as sa
from alembic import op

revision = "0054"
down_revision = "0053"


def upgrade() -> None:
    op.add_column("tenant", sa.Column("sender_name", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("tenant", "sender_name")

"""Invitations of whose mails HR is told nothing: one had reached these people before (`batch/visit/mailing.py`)."""

import sqlalchemy as sa
from alembic import op

revision = "0069"
down_revision = "0068"


def upgrade() -> None:
    op.add_column("invitation", sa.Column("quiet", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("invitation", "quiet")

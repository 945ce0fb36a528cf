"""Invitations of whose mails HR is told nothing: an invitation had reached these people before (`batch/visit/anew.py`)."""

import sqlalchemy as sa
from alembic import op

revision = "0068"
down_revision = "0067"


def upgrade() -> None:
    op.add_column("invitation", sa.Column("quiet", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("invitation", "quiet")

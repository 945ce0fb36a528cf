"""The looks of which a sitting has no headshot, each with what was wrong, so that the person can be told."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    # The server's own default lets the version before this one go on leaving sittings while the new one is rolled out.
    op.add_column("sitting", sa.Column("missed", sa.JSON(), nullable=False, server_default="{}"))

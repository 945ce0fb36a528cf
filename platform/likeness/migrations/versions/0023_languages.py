"""Which language and time zone a company's people read, its colour, and the language that a person chose."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    # The server's own defaults let the version before this one go on founding companies while the new one is rolled out.
    for name, default in (("language", "en"), ("time_zone", "UTC"), ("colour", "")):
        op.add_column("tenant", sa.Column(name, sa.String(), nullable=False, server_default=default))
    op.add_column("employee", sa.Column("reads", sa.LargeBinary(), nullable=True))

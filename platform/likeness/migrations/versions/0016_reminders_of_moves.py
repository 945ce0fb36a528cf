"""A question about an address is asked again before silence ends it, with the link that the first mail had."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("address_change", sa.Column("token_sealed", sa.LargeBinary(), nullable=True))
    # The server's own default lets the version before this one go on asking while the new one is rolled out.
    op.add_column("address_change", sa.Column("reminders", sa.Integer(), nullable=False, server_default=sa.text("0")))

"""What of a person a hold covers, and whether they may know of it; photos that they deleted while one keeps them."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    # Those of before cover everything, and their people see them.
    op.add_column("hold", sa.Column("classes", sa.JSON(), nullable=False, server_default="[]"))
    op.alter_column("hold", "classes", server_default=None)
    op.add_column("hold", sa.Column("made_from", moment, nullable=True))
    op.add_column("hold", sa.Column("made_until", moment, nullable=True))
    op.add_column("hold", sa.Column("barred", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_check_constraint("hold_period", "hold", "made_until > made_from")
    op.add_column("photo", sa.Column("removed_at", moment, nullable=True))

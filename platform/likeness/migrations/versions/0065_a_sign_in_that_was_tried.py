"""A company's sign-in says when it last worked for a member, and when it last refused somebody."""

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision = "0064"


def upgrade() -> None:
    for name in ("came_at", "refused_at"):
        op.add_column("provider", sa.Column(name, sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for name in ("came_at", "refused_at"):
        op.drop_column("provider", name)

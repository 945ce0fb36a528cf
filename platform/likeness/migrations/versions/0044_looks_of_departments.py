"""Looks for the people of some departments, and on each sitting the looks that it began with."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    op.add_column("look", sa.Column("departments", ARRAY(sa.LargeBinary()), nullable=True))
    op.add_column("look", sa.Column("sealed_departments", sa.LargeBinary(), nullable=True))
    op.add_column("sitting", sa.Column("looks", ARRAY(sa.Uuid()), nullable=False, server_default=text("'{}'")))


def downgrade() -> None:
    op.drop_column("sitting", "looks")
    op.drop_column("look", "sealed_departments")
    op.drop_column("look", "departments")

"""A request says whether its line had another address since: who reads the new one asks for the same by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0068"
down_revision = "0067"

NAMES = ["tenant_id", "employee_id", "kind"]


def upgrade() -> None:
    op.add_column("request", sa.Column("passed_on", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("request", "passed_on", server_default=None)
    op.drop_index("request_open", "request")
    where = sa.text("done_at is null and not passed_on")
    op.create_index("request_open", "request", NAMES, unique=True, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("request_open", "request")
    op.create_index("request_open", "request", NAMES, unique=True, postgresql_where=sa.text("done_at is null"))
    op.drop_column("request", "passed_on")

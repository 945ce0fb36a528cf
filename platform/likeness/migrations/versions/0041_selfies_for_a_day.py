"""Selfies stay for a day at least: with none their last day was the moment they came, before anything was made of them."""

from alembic import op
from sqlalchemy import text

from likeness.migrations.protect import all_rows

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    with all_rows("tenant"):
        op.execute(text("update tenant set source_days = 1 where source_days = 0"))
    op.drop_constraint("tenant_source_days", "tenant", type_="check")
    op.create_check_constraint("tenant_source_days", "tenant", "source_days between 1 and 7")

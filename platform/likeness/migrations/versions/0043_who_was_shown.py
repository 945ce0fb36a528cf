"""On which days whose name stood on a page that somebody at the company looked at, and a number of a headshot for HR alone.

Headshots that are there keep their number for HR, so that no program fetches them twice; they go within 30 days.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

from likeness.migrations.protect import all_rows, protect

revision = "0043"
down_revision = "0042"


def upgrade() -> None:
    op.create_table(
        "listing",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("tenant_id", "employee_id", "caller", "month"),
    )
    op.create_index("ix_listing_tenant_id", "listing", ["tenant_id"])
    protect("listing")
    op.add_column("headshot", sa.Column("shelf_id", sa.Uuid(), nullable=True, server_default=text("gen_random_uuid()")))
    with all_rows("headshot"):
        op.execute(text("update headshot set shelf_id = id"))
    op.alter_column("headshot", "shelf_id", nullable=False)
    op.create_unique_constraint(None, "headshot", ["tenant_id", "shelf_id"])


def downgrade() -> None:
    op.drop_column("headshot", "shelf_id")
    op.drop_table("listing")

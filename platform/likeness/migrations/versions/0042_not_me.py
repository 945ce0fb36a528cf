"""What people said of headshots that are not them, and the photo that a studio portrait was cut from."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    op.add_column("headshot", sa.Column("photo_id", sa.Uuid(), nullable=True))
    op.create_table(
        "not_me",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("sitting_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("likeness_ratio", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "employee_id"], ["employee.tenant_id", "employee.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tenant_id", "sitting_id"], ["sitting.tenant_id", "sitting.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index("ix_not_me_employee_id", "not_me", ["employee_id"])
    op.create_index("ix_not_me_tenant_id", "not_me", ["tenant_id"])
    protect("not_me")


def downgrade() -> None:
    op.drop_table("not_me")
    op.drop_column("headshot", "photo_id")

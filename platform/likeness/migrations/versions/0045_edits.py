"""Other backdrops and crops of finished headshots."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

from likeness.migrations.protect import protect

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    op.add_column("tenant", sa.Column("free_crops", sa.Boolean(), nullable=False, server_default="false"))
    op.add_column("headshot", sa.Column("closer", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("headshot", sa.Column("raised", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("headshot", sa.Column("edit_of", sa.Uuid(), nullable=True))
    op.add_column("headshot", sa.Column("draft", sa.Boolean(), nullable=False, server_default="false"))
    op.create_table(
        "edit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("sitting_id", sa.Uuid(), nullable=False),
        sa.Column("headshot_id", sa.Uuid(), nullable=False),
        sa.Column("look_id", sa.Uuid(), nullable=False),
        sa.Column("closer", sa.Integer(), nullable=False),
        sa.Column("raised", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("failure", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id", "employee_id"], ["employee.tenant_id", "employee.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tenant_id", "sitting_id"], ["sitting.tenant_id", "sitting.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["tenant_id", "look_id"], ["look.tenant_id", "look.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index("ix_edit_employee_id", "edit", ["employee_id"])
    op.create_index("ix_edit_tenant_id", "edit", ["tenant_id"])
    op.create_index(
        "edit_open", "edit", ["tenant_id", "employee_id"], unique=True,
        postgresql_where=text("state in ('ready','working')"),
    )  # fmt: skip
    protect("edit")


def downgrade() -> None:
    op.drop_table("edit")
    for column in ("draft", "edit_of", "raised", "closer"):
        op.drop_column("headshot", column)
    op.drop_column("tenant", "free_crops")

"""What the company's directory says of its people, its groups, and the rule for who leaves."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("tenant", sa.Column("leaver_days", sa.Integer(), nullable=False, server_default="7"))
    op.add_column("tenant", sa.Column("invite_joiners", sa.Boolean(), nullable=False, server_default="false"))
    op.create_check_constraint("tenant_leaver_days", "tenant", "leaver_days between 0 and 30")
    op.add_column("employee", sa.Column("user_name_index", sa.LargeBinary(), nullable=True))
    op.add_column("employee", sa.Column("external_index", sa.LargeBinary(), nullable=True))
    op.add_column("employee", sa.Column("leaves_at", sa.DateTime(timezone=True), nullable=True))
    op.create_unique_constraint(None, "employee", ["tenant_id", "user_name_index"])
    op.create_index("employee_leaving", "employee", ["tenant_id", "leaves_at"])
    op.create_table(
        "directory_group",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=True),
        sa.Column("people", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index(op.f("ix_directory_group_tenant_id"), "directory_group", ["tenant_id"], unique=False)
    protect("directory_group")

"""What an import corrected is kept sealed for as long as the import can be undone."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "correction",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=False),
        sa.Column("after_digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"], ["employee.tenant_id", "employee.id"], ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tenant_id", "batch_id"], ["batch.tenant_id", "batch.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    for column in ("employee_id", "batch_id", "tenant_id"):
        op.create_index(op.f(f"ix_correction_{column}"), "correction", [column], unique=False)
    protect("correction")

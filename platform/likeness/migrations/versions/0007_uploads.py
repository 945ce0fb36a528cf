"""Photos that arrive in parts, and photos whose object is not there."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("photo", sa.Column("missing_since", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "upload",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("consent_id", sa.Uuid(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("photo_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("received between 0 and length", name="upload_received"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"], ["employee.tenant_id", "employee.id"], ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id", "consent_id"],
            ["consent.tenant_id", "consent.employee_id", "consent.id"],
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index(op.f("ix_upload_employee_id"), "upload", ["employee_id"])
    op.create_index(op.f("ix_upload_tenant_id"), "upload", ["tenant_id"])
    protect("upload")

"""Fingerprints of access packages, for the week in which they are signed and asked about."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "package",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("made_at", moment, nullable=False),
        sa.Column("due_at", moment, nullable=False),
        sa.Column("jws", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"], ["employee.tenant_id", "employee.id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index(op.f("ix_package_tenant_id"), "package", ["tenant_id"], unique=False)
    op.create_index(op.f("ix_package_employee_id"), "package", ["employee_id"], unique=False)
    protect("package")

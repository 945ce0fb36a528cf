"""What people say is wrong and what they are answered; why photos could not be used, counted; the log read by person."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "concern",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("desk", sa.String(), nullable=False),
        sa.Column("page", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("asked_at", moment, nullable=False),
        sa.Column("promised_at", moment, nullable=False),
        sa.Column("answered_at", moment, nullable=True),
        sa.Column("answered_by", sa.Uuid(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("(answered_at is null) = (answer is null)", name="concern_answered"),
        sa.ForeignKeyConstraint(["tenant_id", "employee_id"], ["employee.tenant_id", "employee.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index(op.f("ix_concern_tenant_id"), "concern", ["tenant_id"], unique=False)
    op.create_index(op.f("ix_concern_employee_id"), "concern", ["employee_id"], unique=False)
    protect("concern")
    op.create_table(
        "verdict",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("tenant_id", "month", "kind"),
    )
    op.create_index(op.f("ix_verdict_tenant_id"), "verdict", ["tenant_id"], unique=False)
    protect("verdict")
    # Each person reads their own entries on their own page.
    op.create_index("ledger_entry_subject", "ledger_entry", ["tenant_id", "subject"], unique=False)

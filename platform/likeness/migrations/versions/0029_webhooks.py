"""Where programs of companies listen, and what they were told."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("rests_until", moment, nullable=True),
        sa.Column("stopped_at", moment, nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index(op.f("ix_webhook_endpoint_tenant_id"), "webhook_endpoint", ["tenant_id"], unique=False)
    op.create_index(op.f("ix_webhook_endpoint_member_id"), "webhook_endpoint", ["member_id"], unique=False)
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=True),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("wanted_at", moment, nullable=False),
        sa.Column("next_at", moment, nullable=True),
        sa.Column("delivered_at", moment, nullable=True),
        sa.Column("tries", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "endpoint_id"], ["webhook_endpoint.tenant_id", "webhook_endpoint.id"], ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"], ["employee.tenant_id", "employee.id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    for column in ("tenant_id", "endpoint_id", "employee_id"):
        op.create_index(op.f(f"ix_webhook_delivery_{column}"), "webhook_delivery", [column], unique=False)
    for table in ("webhook_endpoint", "webhook_delivery"):
        protect(table)

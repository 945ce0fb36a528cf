"""Sub-processors that operators announced, and breaches that companies were told of."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "sub_processor",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("country", sa.String(), nullable=False),
        sa.Column("safeguards", sa.String(), nullable=False),
        sa.Column("announced_at", moment, nullable=False),
        sa.Column("begins_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.CheckConstraint("begins_at >= announced_at", name="sub_processor_announced_before"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index(op.f("ix_sub_processor_tenant_id"), "sub_processor", ["tenant_id"], unique=False)
    op.create_index(
        "sub_processor_name", "sub_processor", ["tenant_id", "name"], unique=True,
        postgresql_where=sa.text("ended_at is null"),
    )  # fmt: skip
    op.create_table(
        "breach",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("since", moment, nullable=False),
        sa.Column("until", moment, nullable=False),
        sa.Column("classes", sa.JSON(), nullable=False),
        sa.Column("known_at", moment, nullable=False),
        sa.Column("told_at", moment, nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.CheckConstraint("until >= since and told_at >= known_at", name="breach_order"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index(op.f("ix_breach_tenant_id"), "breach", ["tenant_id"], unique=False)
    for table in ("sub_processor", "breach"):
        protect(table)

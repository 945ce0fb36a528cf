"""What a company downloaded, and when."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import protect

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "download",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("which", sa.String(), nullable=False),
        sa.Column("preset", sa.String(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("headshots", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("begun_at", moment, nullable=False),
        sa.Column("continued", sa.Integer(), nullable=False),
        sa.Column("ended_at", moment, nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
    )
    op.create_index("ix_download_tenant_id", "download", ["tenant_id"])
    op.create_index("ix_download_begun_at", "download", ["begun_at"])
    protect("download")


def downgrade() -> None:
    op.drop_table("download")

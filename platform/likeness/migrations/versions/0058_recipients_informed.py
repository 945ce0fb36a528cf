"""A request ends when the last recipient is informed or excused, also one to delete."""

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"

NOBODY = "state = 'certified' and (recipients::text = '[]' or trigger in ('retention', 'tenant-exit'))"


def upgrade() -> None:
    op.add_column("erasure", sa.Column("recipients_settled_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("request", sa.Column("answer_asked_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(f"update erasure set recipients_settled_at = coalesce(deleted_at, requested_at) where {NOBODY}")
    op.create_index(
        "erasure_recipients", "erasure", ["tenant_id"], postgresql_where=sa.text("recipients_settled_at is null")
    )


def downgrade() -> None:
    op.drop_index("erasure_recipients", "erasure")
    op.drop_column("request", "answer_asked_at")
    op.drop_column("erasure", "recipients_settled_at")

"""Requests of every kind, with the times they pass, what was decided, and who has to be informed; companies that leave."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import all_rows, protect

revision = "0025"
down_revision = "0024"

STAGES = (
    "verified_at >= received_at and dispatched_at >= verified_at and done_at >= received_at"
    " and (dispatched_at is null or done_at >= dispatched_at) and delivered_at >= done_at"
)


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    for column in (
        sa.Column("entered_by", sa.String(), nullable=False, server_default="system"),
        sa.Column("method", sa.String(), nullable=False, server_default="signed-in"),
        sa.Column("asked", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("acknowledged", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("acknowledged_at", moment, nullable=True),
        sa.Column("verified_at", moment, nullable=True),
        sa.Column("verification", sa.String(), nullable=True),
        sa.Column("extended_at", moment, nullable=True),
        sa.Column("extension", sa.String(), nullable=True),
        sa.Column("approved_at", moment, nullable=True),
        sa.Column("approved_by", sa.Uuid(), nullable=True),
        sa.Column("dispatched_at", moment, nullable=True),
        sa.Column("delivered_at", moment, nullable=True),
        sa.Column("refusal", sa.String(), nullable=True),
        sa.Column("recipients", sa.JSON(), nullable=False, server_default="[]"),
    ):
        op.add_column("request", column)
    for name in ("entered_by", "method", "asked", "acknowledged", "recipients"):
        op.alter_column("request", name, server_default=None)
    with all_rows("request"):
        # All that there were came from people who were signed in, and began at once.
        op.execute(
            "update request set verified_at = received_at, verification = 'signed-in', dispatched_at = received_at,"
            " done_at = greatest(done_at, received_at), delivered_at = greatest(done_at, received_at)"
        )
        op.execute("update request set delivered_at = null where done_at is null")
        # Two open cases about the same become one; the later one was answered by being the same.
        op.execute(
            "update request r set done_at = r.received_at, delivered_at = r.received_at where r.done_at is null and exists"
            " (select 1 from request o where o.tenant_id = r.tenant_id and o.employee_id = r.employee_id"
            " and o.kind = r.kind and o.done_at is null and (o.received_at, o.id) < (r.received_at, r.id))"
        )
    op.create_check_constraint("request_stages", "request", STAGES)
    op.create_check_constraint("request_extension", "request", "(extended_at is null) = (extension is null)")
    op.create_index(
        "request_open", "request", ["tenant_id", "employee_id", "kind"], unique=True,
        postgresql_where=sa.text("done_at is null"),
    )  # fmt: skip
    _departures()


def _departures() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "departure",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", moment, nullable=False),
        sa.Column("begins_at", moment, nullable=False),
        sa.Column("hand_back", sa.Boolean(), nullable=False),
        sa.Column("returned_at", moment, nullable=True),
        sa.Column("called_off_at", moment, nullable=True),
        sa.Column("begun_at", moment, nullable=True),
        sa.Column("ended_at", moment, nullable=True),
        sa.Column("receipt_hash", sa.LargeBinary(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("jws", sa.String(), nullable=True),
        sa.CheckConstraint("(ended_at is null) = (jws is null)", name="departure_certified"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("receipt_hash"),
    )
    op.create_index(op.f("ix_departure_tenant_id"), "departure", ["tenant_id"], unique=False)
    op.create_index(
        "departure_open", "departure", ["tenant_id"], unique=True, postgresql_where=sa.text("called_off_at is null")
    )
    protect("departure")

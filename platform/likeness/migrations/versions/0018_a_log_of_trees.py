"""The log becomes Merkle trees with signed checkpoints; its old entries become leaves in order. Certificates have pages."""

import json
from datetime import UTC
from hashlib import sha256
from typing import Any

import rfc8785
import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import all_rows, protect

revision = "0018"
down_revision = "0017"
ROWS = 2000


def upgrade() -> None:
    _leaves()
    op.create_table(
        "ledger_detail",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("employee_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "employee_id"], ["employee.tenant_id", "employee.id"], ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("tenant_id", "sequence"),
    )
    op.create_index(op.f("ix_ledger_detail_tenant_id"), "ledger_detail", ["tenant_id"])
    op.create_index(op.f("ix_ledger_detail_employee_id"), "ledger_detail", ["employee_id"])
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("kid", sa.String(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        sa.UniqueConstraint("tenant_id", "epoch", "size"),
    )
    op.create_index(op.f("ix_checkpoint_tenant_id"), "checkpoint", ["tenant_id"])
    protect("ledger_detail")
    protect("checkpoint", append_only=True)
    op.add_column("erasure", sa.Column("scope", sa.String(), nullable=False, server_default="everything"))
    op.add_column("erasure", sa.Column("subject_commitment", sa.String(), nullable=True))
    op.add_column("erasure", sa.Column("language", sa.String(), nullable=False, server_default="en"))
    for column in ("scope", "language"):
        op.alter_column("erasure", column, server_default=None)
    op.drop_index("erasure_open", "erasure")
    op.create_index(
        "erasure_open", "erasure", ["tenant_id", "employee_id", "scope"], unique=True,
        postgresql_where=sa.text("state in ('requested','held','deleting','verifying','verified')"),
    )  # fmt: skip
    op.add_column("certificate", sa.Column("paper", sa.LargeBinary(), nullable=True))


def _leaves() -> None:
    table = "ledger_entry"
    op.alter_column(table, "previous", nullable=True)
    op.alter_column(table, "hash", nullable=True)
    for name in ("epoch", "position", "format"):
        op.add_column(table, sa.Column(name, sa.Integer(), nullable=True))
    op.add_column(table, sa.Column("leaf", sa.LargeBinary(), nullable=True))
    op.add_column(table, sa.Column("detail_commit", sa.LargeBinary(), nullable=True))
    with all_rows(table):
        connection = op.get_bind()
        after = ("00000000-0000-0000-0000-000000000000", -1)
        position, tenant = 0, None
        while rows := connection.execute(
            sa.text(
                "select id, tenant_id, sequence, at, event, caller, subject, objects, hash from ledger_entry"
                " where (tenant_id, sequence) > (cast(:tenant as uuid), :sequence) order by tenant_id, sequence limit :most"
            ),
            {"tenant": after[0], "sequence": after[1], "most": ROWS},
        ).all():
            changes = []
            for row in rows:
                position, tenant = (0 if row.tenant_id != tenant else position + 1), row.tenant_id
                changes.append({"id": row.id, "tenant": row.tenant_id, "position": position, "leaf": _leaf(row)})
            connection.execute(
                sa.text(
                    "update ledger_entry set epoch = 1, format = 1, position = :position, leaf = :leaf"
                    " where tenant_id = :tenant and id = :id"
                ),
                changes,
            )
            after = (str(rows[-1].tenant_id), rows[-1].sequence)
    for name in ("epoch", "position", "format", "leaf"):
        op.alter_column(table, name, nullable=False)
    op.create_unique_constraint(None, table, ["tenant_id", "epoch", "position"])


def _leaf(row: sa.Row[Any]) -> bytes:
    """What `LedgerEntry.data` gives for an entry of format 1; it commits to the entry's place in the old chain."""
    objects = row.objects if isinstance(row.objects, list) else json.loads(row.objects)
    words = {
        "at": row.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "caller": row.caller,
        "event": row.event,
        "hash": bytes(row.hash).hex(),
        "objects": objects,
        "sequence": row.sequence,
        "subject": row.subject,
        "tenant": str(row.tenant_id),
        "v": 1,
    }
    return sha256(b"\x00" + rfc8785.dumps(words)).digest()

"""The certificate of a company that left has pages and a second stage, as those of people have."""

import json
from base64 import urlsafe_b64decode
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import all_rows

revision = "0060"
down_revision = "0059"

NOBODY = "state = 'certified' and (recipients::text = '[]' or trigger in ('retention', 'tenant-exit'))"
SETTLED = (
    "update erasure set recipients_settled_at = coalesce(deleted_at, requested_at)"
    " where recipients_settled_at is null and {}"
)


def upgrade() -> None:
    op.alter_column("certificate", "erasure_id", nullable=True)
    op.add_column("certificate", sa.Column("departure_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        None, "certificate", "departure", ["tenant_id", "departure_id"], ["tenant_id", "id"], ondelete="CASCADE"
    )
    op.create_unique_constraint(None, "certificate", ["tenant_id", "departure_id", "stage"])
    op.create_check_constraint("certificate_of_one", "certificate", "(erasure_id is null) <> (departure_id is null)")
    op.add_column("departure", sa.Column("language", sa.String(), nullable=False, server_default="en"))
    op.alter_column("departure", "language", server_default=None)
    op.drop_constraint("departure_certified", "departure")
    with all_rows("departure", "certificate", "erasure", "tenant"):
        _move()
        op.execute("update departure set language = tenant.language from tenant where tenant.id = departure.tenant_id")
        # Migration 0058 said the same where row-level security let it see no row.
        op.execute(SETTLED.format(NOBODY))
    op.drop_column("departure", "jws")


def _move() -> None:
    connection = op.get_bind()
    rows = connection.execute(sa.text("select id, tenant_id, jws from departure where jws is not null")).all()
    for row in rows:
        payload = row.jws.split(".")[1]
        document = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        connection.execute(
            sa.text(
                "insert into certificate (id, tenant_id, departure_id, stage, document, jws, issued_at)"
                " values (:id, :tenant, :departure, 1, cast(:document as json), :jws, :issued_at)"
            ),
            {
                "id": UUID(document["id"]), "tenant": row.tenant_id, "departure": row.id, "jws": row.jws,
                "document": json.dumps(document, ensure_ascii=False),
                "issued_at": datetime.fromisoformat(document["issued_at"]),
            },
        )  # fmt: skip


def downgrade() -> None:
    op.add_column("departure", sa.Column("jws", sa.String(), nullable=True))
    with all_rows("departure", "certificate"):
        op.execute(
            "update departure set jws = certificate.jws from certificate"
            " where certificate.departure_id = departure.id and certificate.stage = 1"
        )
        op.execute("delete from certificate where departure_id is not null")
    op.create_check_constraint("departure_certified", "departure", "(ended_at is null) = (jws is null)")
    op.drop_column("departure", "language")
    op.drop_constraint("certificate_of_one", "certificate")
    op.drop_column("certificate", "departure_id")
    op.alter_column("certificate", "erasure_id", nullable=False)

"""The first schema."""

from alembic import op
from sqlmodel import SQLModel

import tenants.models  # noqa: F401
from likeness.migrations.protect import PLATFORM, protect

revision = "0001"
down_revision = None


def upgrade() -> None:
    SQLModel.metadata.create_all(op.get_bind())
    op.execute(
        "insert into tenant (id, name, contact, authority, source_days, headshot_days, employee_quota, created_at)"
        f" values ('{PLATFORM}', 'Platform', '', '', 7, 30, 0, now())"
    )
    for table in SQLModel.metadata.sorted_tables:
        protect(
            table.name,
            column="id" if table.name == "tenant" else "tenant_id",
            operators_see_all=table.name in {"tenant", "job"},
            append_only=table.name == "ledger_entry",
        )
    op.execute("grant select on alembic_version to likeness_app, likeness_rescan")

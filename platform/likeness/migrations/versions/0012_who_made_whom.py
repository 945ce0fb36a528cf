"""Who invited whom and who came in when, two persons to lift a hold, and wishes for a sign-in link."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import all_rows, protect

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    for name, kind in (
        ("invited_by", sa.Uuid()),
        ("roles_by", sa.JSON()),
        ("roles_at", sa.DateTime(timezone=True)),
        ("joined_at", sa.DateTime(timezone=True)),
        ("signed_in_at", sa.DateTime(timezone=True)),
    ):
        op.add_column("member", sa.Column(name, kind, nullable=True))
    with all_rows("member", "ledger_entry"):
        # The ledger knows what the members' rows did not say so far.
        op.execute(
            "update member m set invited_by = substr(e.caller, 8)::uuid from ledger_entry e"
            " where e.tenant_id = m.tenant_id and e.event = 'member.invited' and e.caller like 'member:%'"
            " and e.objects ->> 0 = m.id::text"
        )
        op.execute(
            "update member m set roles_by = e.givers, roles_at = e.last from ("
            " select tenant_id, objects ->> 0 as member, json_agg(distinct substr(caller, 8)) as givers, max(at) as last"
            " from ledger_entry where event = 'member.changed' and caller like 'member:%' group by 1, 2) e"
            " where e.tenant_id = m.tenant_id and e.member = m.id::text"
        )
        op.execute(
            "update member m set joined_at = e.first, signed_in_at = e.last from ("
            " select tenant_id, split_part(caller, ':', 2) as member, min(at) as first, max(at) as last from ledger_entry"
            " where event = 'session.started' and caller ~ '^(member|operator):' group by 1, 2) e"
            " where e.tenant_id = m.tenant_id and e.member = m.id::text"
        )
        op.execute("update member set roles_at = coalesce(roles_at, created_at), roles_by = coalesce(roles_by, '[]')")
    op.alter_column("member", "roles_at", nullable=False)
    op.alter_column("member", "roles_by", nullable=False)
    op.add_column("hold", sa.Column("lift_asked_by", sa.Uuid(), nullable=True))
    op.add_column("hold", sa.Column("lift_asked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("hold", sa.Column("lifted_by", sa.Uuid(), nullable=True))
    op.create_check_constraint("hold_lifted_by_two", "hold", "lifted_by <> lift_asked_by")
    # Unlogged: a wish lives for seconds, and an archive of the database has no use for an address that somebody typed.
    op.create_table(
        "sign_in_wish",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        prefixes=["UNLOGGED"],
    )
    op.create_index(op.f("ix_sign_in_wish_tenant_id"), "sign_in_wish", ["tenant_id"], unique=False)
    protect("sign_in_wish")

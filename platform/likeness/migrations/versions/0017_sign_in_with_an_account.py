"""Sign-in with a company's account: providers, identities, attempts, and which sessions began at the issuer."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import all_rows, protect

revision = "0017"
down_revision = "0016"


def _table(name: str, *columns: Any, **options: Any) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", "tenant_id"),
        **options,
    )
    op.create_index(op.f(f"ix_{name}_tenant_id"), name, ["tenant_id"], unique=False)


def _index(table: str, column: str) -> None:
    op.create_index(op.f(f"ix_{table}_{column}"), table, [column], unique=False)


def _below(table: str, column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["tenant_id", column], [f"{table}.tenant_id", f"{table}.id"], ondelete="CASCADE")


def upgrade() -> None:
    op.add_column("web_session", sa.Column("authenticated_at", sa.DateTime(timezone=True), nullable=True))
    with all_rows("web_session"):
        op.execute("update web_session set authenticated_at = created_at")
    op.alter_column("web_session", "authenticated_at", nullable=False)
    op.add_column("web_session", sa.Column("other_kind", sa.String(), nullable=True))
    op.add_column("web_session", sa.Column("other_id", sa.Uuid(), nullable=True))
    _index("web_session", "other_id")
    # Nothing ever wrote these; what they were meant for needs an index that a logout token can be looked up in.
    op.drop_column("web_session", "issuer")
    op.drop_column("web_session", "issuer_session")
    moment = sa.DateTime(timezone=True)
    _table(
        "provider",
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("alias", sa.String(), nullable=False),
        sa.Column("brokered", sa.Boolean(), nullable=False),
        sa.Column("members_acr", sa.String(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("disabled_at", moment, nullable=True),
        sa.UniqueConstraint("tenant_id"),
        sa.UniqueConstraint("issuer", "organization"),
    )
    protect("provider", operators_see_all=True)
    _table(
        "provider_domain",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        _below("provider", "provider_id"),
        sa.UniqueConstraint("domain"),
    )
    _index("provider_domain", "provider_id")
    protect("provider_domain", operators_see_all=True)
    _table(
        "identity",
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("bound_by", sa.String(), nullable=False),
        sa.Column("bound_at", moment, nullable=False),
        sa.UniqueConstraint("tenant_id", "issuer", "subject", "kind"),
        sa.UniqueConstraint("tenant_id", "issuer", "kind", "person_id"),
    )
    _index("identity", "person_id")
    protect("identity")
    # Unlogged: an attempt lives for ten minutes, and a crash that forgets it costs one click.
    _table(
        "sign_in_attempt",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("browser_hash", sa.LargeBinary(), nullable=False),
        sa.Column("nonce_hash", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("acr", sa.String(), nullable=False),
        sa.Column("again", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("go_to", sa.String(), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.UniqueConstraint("state_hash"),
        prefixes=["UNLOGGED"],
    )
    _index("sign_in_attempt", "expires_at")
    protect("sign_in_attempt")
    _table(
        "provider_session",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("session_hash", sa.LargeBinary(), nullable=False),
        sa.Column("subject_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hint", sa.LargeBinary(), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        _below("web_session", "session_id"),
    )
    for column in ("session_id", "session_hash", "subject_hash"):
        _index("provider_session", column)
    protect("provider_session", operators_see_all=True)

"""Row-level security asks for the tenant once for a statement, and no longer for each row; see `protect.py`.

What the rules say is as before: each is read from the catalogue, and only the way in which it asks changes.
"""

from alembic import op
from sqlalchemy import text

revision = "0067"
down_revision = "0066"

FOR_EACH_ROW = "(NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid"
ONCE = f'( SELECT {FOR_EACH_ROW} AS "nullif")'
"""Both as PostgreSQL writes them."""


def upgrade() -> None:
    _ask(ONCE)


def downgrade() -> None:
    _ask(FOR_EACH_ROW)


def _ask(how: str) -> None:
    """Table after table, each in a transaction of its own: no program that runs meanwhile waits for more than one. What an
    interruption left is done when it is run again."""
    with op.get_context().autocommit_block():
        found = op.get_bind().execute(
            text(
                "select tablename, policyname, qual, with_check from pg_policies"
                " where schemaname = 'public' and qual is not null and with_check is not null order by tablename"
            )
        )
        for table, policy, *rules in found.all():
            asked = [rule.replace(ONCE, FOR_EACH_ROW).replace(FOR_EACH_ROW, how) for rule in rules]
            if asked != rules:
                op.execute(f'alter policy "{policy}" on "{table}" using {asked[0]} with check {asked[1]}')

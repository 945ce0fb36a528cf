"""Who is on a photo, what the person said about it, and which photo is the better of two; no hash of pictures any more."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import all_rows

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("photo", sa.Column("waved", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("photo", sa.Column("person", sa.Integer(), nullable=True))
    op.add_column("photo", sa.Column("is_me", sa.Boolean(), nullable=True))
    op.add_column("photo", sa.Column("twin_of", sa.Uuid(), nullable=True))
    # A photo that counts in spite of advice that nobody overruled is one that HR waved through; only its state said so.
    with all_rows("photo"):
        op.execute(
            "update photo set waved = true where state = 'accepted' and not used_anyway"
            " and exists (select from json_array_elements(findings) as one where one ->> 'kind' = 'advice')"
        )
    op.alter_column("photo", "waved", server_default=None)
    op.drop_column("photo", "fingerprint")

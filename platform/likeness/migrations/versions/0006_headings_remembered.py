"""What a company said about columns is remembered for files with the same headings only.

Mappings of earlier imports name no set of headings, so no file is read by them any more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("batch", sa.Column("shape", sa.String(), nullable=True))

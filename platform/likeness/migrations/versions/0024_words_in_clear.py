"""Names of batches and words about holds are sealed; why somebody wanted headshots made again is not kept."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.drop_column("sitting", "reshoot_reason")
    # The keys are not here, so the program seals what is there already: see `compliance/clear_text.py`.
    op.drop_constraint("hold_reference", "hold", type_="check")
    for table, old, new in (
        ("batch", "name", "unsealed_name"),
        ("hold", "reference", "unsealed_reference"),
        ("hold", "reason", "unsealed_reason"),
    ):
        op.alter_column(table, old, new_column_name=new, nullable=True)
    op.add_column("batch", sa.Column("sealed_name", sa.LargeBinary(), nullable=True))
    op.add_column("hold", sa.Column("sealed", sa.LargeBinary(), nullable=True))

"""People are found by site and by manager without being opened, as they are by department."""

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"


def upgrade() -> None:
    # The program fills them in, because the words are sealed.
    for name in ("site", "manager"):
        op.add_column("employee", sa.Column(f"{name}_index", sa.LargeBinary(), nullable=True))
        op.create_index(f"employee_{name}", "employee", ["tenant_id", f"{name}_index"])


def downgrade() -> None:
    for name in ("site", "manager"):
        op.drop_index(f"employee_{name}", "employee")
        op.drop_column("employee", f"{name}_index")

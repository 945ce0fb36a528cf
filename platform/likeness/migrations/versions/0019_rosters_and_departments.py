"""HR's own id of each line of the list, and departments that members can be bound to."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    # Another id than the person's own: that one is looked for after an erasure and must be nowhere.
    op.add_column(
        "employee", sa.Column("roster_id", sa.Uuid(), nullable=False, server_default=sa.text("gen_random_uuid()"))
    )
    op.alter_column("employee", "roster_id", server_default=None)
    op.create_unique_constraint("employee_tenant_id_roster_id_key", "employee", ["tenant_id", "roster_id"])
    # The program fills it in, because names of departments are sealed.
    op.add_column("employee", sa.Column("department_index", sa.LargeBinary(), nullable=True))
    op.create_index("employee_department", "employee", ["tenant_id", "department_index"])
    op.add_column("member", sa.Column("departments", sa.JSON(), nullable=True))

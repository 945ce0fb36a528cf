"""A model belongs to a sitting of the very person whose it is, and to nobody else's."""

from alembic import op

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    op.create_unique_constraint("sitting_of_one_person", "sitting", ["tenant_id", "employee_id", "id"])
    op.drop_constraint("weights_tenant_id_sitting_id_fkey", "weights", type_="foreignkey")
    op.create_foreign_key(
        "weights_of_own_sitting", "weights", "sitting", ["tenant_id", "employee_id", "sitting_id"],
        ["tenant_id", "employee_id", "id"], ondelete="CASCADE",
    )  # fmt: skip

"""Jobs have a lane, and attempts that failed because something was away do not count."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import all_rows

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # The server's own default lets the version before this one go on leaving jobs while the new one is rolled out.
    op.add_column("job", sa.Column("lane", sa.String(), nullable=False, server_default="general"))
    op.add_column("job", sa.Column("excused", sa.Integer(), nullable=False, server_default=sa.text("0")))
    with all_rows("job"):
        for lane, kinds in (
            (
                "privacy",
                "('compliance.erasures.execute', 'compliance.erasures.look_again', 'batch.batches.destroy_keys')",
            ),
            ("photos", "('batch.photos.check')"),
            ("mail", "('likeness.mail.deliver')"),
        ):
            op.execute(f"update job set lane = '{lane}' where kind in {kinds}")
    op.drop_index("job_due", "job")
    op.create_index("job_due", "job", ["lane", "due"], postgresql_where=sa.text("due is not null"))
    op.create_index("job_turn", "job", ["lane", "tenant_id", "due"], postgresql_where=sa.text("due is not null"))

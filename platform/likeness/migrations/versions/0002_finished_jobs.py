"""A job that has ended says when, and waits for nothing: otherwise it is never forgotten, and pages cannot show it."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # No version of the program has left such a row, so there is none to mend first.
    op.create_check_constraint(
        "job_finished",
        "job",
        "(state in ('done', 'dead')) = (finished_at is not null) and (due is null) = (finished_at is not null)",
    )

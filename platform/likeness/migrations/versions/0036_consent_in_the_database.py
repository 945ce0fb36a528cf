"""The database itself refuses a photo on a withdrawn consent, and a last day past the company's terms; receipts."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"

# They run with the rights of whoever writes, so that row-level security holds in them too. The lock waits for a withdrawal
# that is being written at this moment, and has one wait that comes after.
CONSENT = """
create function rests_on_consent() returns trigger language plpgsql security invoker set search_path = public as $$
begin
  perform 1 from consent c where c.tenant_id = new.tenant_id and c.employee_id = new.employee_id
    and c.id = new.consent_id and c.withdrawn_at is null for share;
  if not found then
    raise exception 'there is no consent that stands for this' using errcode = 'check_violation';
  end if;
  return new;
end $$
"""
# Hours, because a day in the zone of whoever writes may have 23 or 25. A day nearer than before is always fine: what was
# stored under longer terms keeps its day until the sweep brings it nearer. A minute is for clocks.
TERMS = """
create function due_within_terms() returns trigger language plpgsql security invoker set search_path = public as $$
declare
  days integer;
begin
  if tg_op = 'UPDATE' then
    if new.due_at <= old.due_at then
      return new;
    end if;
  end if;
  select case when tg_table_name = 'headshot' then t.headshot_days else t.source_days end into days
    from tenant t where t.id = new.tenant_id;
  if days is null or new.due_at > new.created_at + make_interval(hours => 24 * days) + interval '1 minute' then
    raise exception 'the last day is past the terms' using errcode = 'check_violation';
  end if;
  return new;
end $$
"""


def upgrade() -> None:
    op.add_column("consent", sa.Column("named_otherwise", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("consent", sa.Column("signed_receipt", sa.String(), nullable=True))
    op.execute(CONSENT)
    op.execute(TERMS)
    for table in ("photo", "upload"):
        op.execute(
            f"create trigger rests_on_consent before insert or update of consent_id on {table}"
            " for each row execute function rests_on_consent()"
        )
    for table in ("photo", "weights", "headshot"):
        op.execute(
            f"create trigger due_within_terms before insert or update of due_at on {table}"
            " for each row execute function due_within_terms()"
        )

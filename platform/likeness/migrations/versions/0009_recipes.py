"""Which recipe a company offers and a sitting follows, walls of studio portraits, and headshots without a judge."""

import sqlalchemy as sa
from alembic import op

from likeness.migrations.protect import all_rows

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("tenant", sa.Column("recipes", sa.JSON(), nullable=False, server_default=sa.text("'[\"cutout\"]'")))
    op.add_column("sitting", sa.Column("recipe", sa.String(), nullable=False, server_default="portrait-small"))
    op.add_column("look", sa.Column("wall", sa.String(), nullable=False, server_default="gradient:#c3cad2"))
    op.add_column("headshot", sa.Column("question", sa.String(), nullable=True))
    op.add_column("headshot", sa.Column("loosening", sa.Float(), nullable=True))
    op.alter_column("headshot", "likeness_ratio", nullable=True)
    with all_rows("tenant", "sitting", "run", "look"):
        # A sitting was made with the base that its newest run names; who never had a run waits for the one that is there.
        op.execute("""
            update sitting set recipe = known.name
            from (select distinct on (tenant_id, sitting_id) tenant_id, sitting_id, recipe ->> 'name' as name
                  from run where recipe ->> 'name' is not null order by tenant_id, sitting_id, started_at desc) as known
            where known.tenant_id = sitting.tenant_id and known.sitting_id = sitting.id
        """)
        # A company keeps offering the base that its people's headshots were made with, and offers studio portraits as well.
        op.execute("""
            update tenant set recipes = json_build_array(known.name, 'cutout')
            from (select distinct on (tenant_id) tenant_id, recipe as name from sitting order by tenant_id, created_at desc)
                 as known
            where known.tenant_id = tenant.id
        """)
        op.execute("update look set wall = '#f3f4f5' where backdrop = 'white'")
        op.execute("update look set wall = 'gradient:#5b626c' where backdrop = 'dark grey'")
        op.execute("update look set wall = 'office' where backdrop = 'office'")
    for table, column in (("tenant", "recipes"), ("sitting", "recipe"), ("look", "wall")):
        op.alter_column(table, column, server_default=None)

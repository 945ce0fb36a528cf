"""Alembic's entry point: connects with the address that `migrate` was called with."""

from alembic import context
from sqlalchemy import NullPool, create_engine, text
from sqlmodel import SQLModel

# The connection ends with the block, also when a migration fails, and with it the lock that it holds.
engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
with engine.connect() as connection:
    # Two replicas that start together must not both migrate.
    connection.execute(text("select pg_advisory_lock(746573)"))
    # From here on, because the other replica may take as long as it needs.
    connection.execute(text(f"set lock_timeout = '{context.config.attributes['lock_seconds']}s'"))
    connection.commit()
    context.configure(connection=connection, target_metadata=SQLModel.metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()

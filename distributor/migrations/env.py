"""Alembic's entry point: runs the steps on the connection that migrate.py hands over, within its transaction."""

from alembic import context

from distributor.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()

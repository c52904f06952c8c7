"""How alembic runs a migration here: on the connection that the caller gives, and no other."""

from __future__ import annotations

from alembic import context

from binary_split.keyservice.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()

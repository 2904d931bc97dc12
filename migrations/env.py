"""How Alembic runs the catalog's revisions.

The planner passes an open connection whose transaction it holds itself, its metadata, and whom to tell of each revision
that was run, through ``config.attributes``. An author's ``alembic`` command passes none of them: it connects to
``sqlalchemy.url``, or to what ``-x url=…`` says.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine, pool

config = context.config


def run(connection: Connection) -> None:
    """Run the wanted revisions on `connection`; an outer transaction, where there is one, stays open."""
    context.configure(
        connection=connection,
        target_metadata=config.attributes.get("target_metadata"),
        on_version_apply=config.attributes.get("on_version_apply"),
        transactional_ddl=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


def run_alone() -> None:
    """Connect first: for authors who call ``alembic`` themselves."""
    url = context.get_x_argument(as_dictionary=True).get("url") or config.get_main_option("sqlalchemy.url")
    if not url:
        raise SystemExit("no database: give one with -x url=sqlite:///file.db, or use planner db")
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        run(connection)


if context.is_offline_mode():
    context.configure(dialect_name="sqlite", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
elif (given := config.attributes.get("connection")) is not None:
    run(given)
else:
    run_alone()

"""Who may write the tables that only upgrades write, on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import Connection

BOOKKEEPING: Final = ("alembic_version", "catalog_state", "release")
"""Tables that say what the facts are and where they are from: no one's rows are in them."""
_WRITERS: Final = """
    SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
    FROM pg_class, aclexplode(relacl)
    WHERE pg_class.oid = to_regclass('{table}') AND grantee <> relowner
        AND privilege_type IN ('INSERT', 'UPDATE', 'DELETE')
"""


def bookkeeping(connection: Connection) -> frozenset[str]:
    """Those of the tables that a server has; of a file, which knows no rights, none."""
    if connection.dialect.name != "postgresql":
        return frozenset()
    there = (name for name in BOOKKEEPING if connection.exec_driver_sql(f"SELECT to_regclass('{name}')").scalar())
    return frozenset(there)


def protect(connection: Connection, before: frozenset[str]) -> None:
    """Take from everyone but the owner the right to write those that are there and were not `before`.

    A server gives a table that an upgrade makes the rights that its owner set for tables to come.
    """
    for table in sorted(bookkeeping(connection) - before):
        for (role,) in connection.exec_driver_sql(_WRITERS.format(table=table)).fetchall():
            connection.exec_driver_sql(f"REVOKE INSERT, UPDATE, DELETE ON {table} FROM {role}")

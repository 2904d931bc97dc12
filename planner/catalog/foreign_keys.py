"""References that lead nowhere: looked for before an upgrade of SQLite is committed, since its checks are off meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from planner.catalog.engine import shown
from planner.errors import CatalogError

if TYPE_CHECKING:
    from sqlalchemy import Connection


def refuse_broken_references(connection: Connection, url: str) -> None:
    """Raise CatalogError where a row refers to one that is gone."""
    for table, referred, _ in broken_references(connection):
        raise CatalogError(
            f"catalog {shown(url)}: a row of {table} would refer to a row of {referred} that is gone",
            hint="remove it first; nothing was changed",
        )


def broken_references(connection: Connection) -> Iterator[tuple[str, str, str | None]]:
    """The rows of SQLite that refer to nothing: their table, the table they refer to, their layer where they have one.

    Where a table has an index of its shared slugs, the user's rows are passed over: they refer by slug alone, and there
    may be a million of them.
    """
    if connection.dialect.name != "sqlite":
        return
    rows = connection.exec_driver_sql("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'").all()
    indices = {str(name): str(table) for name, table in rows}
    for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").all():
        if indices.get(f"ix_{name}_slug") == name:
            yield from _broken_facts(connection, name)
        else:
            yield from _broken_rows(connection, name)


def _broken_facts(connection: Connection, name: str) -> Iterator[tuple[str, str, str | None]]:
    keys: dict[int, list[tuple[str, str, str]]] = {}
    for number, _, target, column, key, *_ in connection.exec_driver_sql(f'PRAGMA foreign_key_list("{name}")').all():
        keys.setdefault(number, []).append((target, column, key))
    for columns in keys.values():
        target = columns[0][0]
        given = " AND ".join(f'own."{column}" IS NOT NULL' for _, column, _ in columns)
        same = " AND ".join(f'other."{key}" = own."{column}"' for _, column, key in columns)
        found = connection.exec_driver_sql(
            f'SELECT own.layer FROM "{name}" AS own INDEXED BY "ix_{name}_slug" WHERE own.layer <> \'user\' AND {given} '
            f'AND NOT EXISTS (SELECT 1 FROM "{target}" AS other WHERE {same})'
        )
        for (layer,) in found.all():
            yield name, target, layer


def _broken_rows(connection: Connection, name: str) -> Iterator[tuple[str, str, str | None]]:
    for _, rowid, target, _ in connection.exec_driver_sql(f'PRAGMA foreign_key_check("{name}")').all():
        layered = any(column[1] == "layer" for column in connection.exec_driver_sql(f'PRAGMA table_info("{name}")'))
        own = f'SELECT layer FROM "{name}" WHERE rowid = ?'
        yield name, target, connection.exec_driver_sql(own, (rowid,)).scalar() if layered else None

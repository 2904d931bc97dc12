"""References that lead nowhere: looked for before an upgrade of SQLite is committed, since its checks are off meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from planner.catalog.engine import shown
from planner.errors import CatalogError

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Before:
    """What there was before revisions ran: the accelerators of facts, and of each table that speaks of accelerators its first
    page, which changes where a table is made anew, and its last row."""

    accelerators: frozenset[str] = frozenset()
    tables: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def before(connection: Connection) -> Before:
    """Look at an SQLite database before revisions run. Costs what the facts cost."""
    accelerators = _accelerators(connection) if connection.dialect.name == "sqlite" else None
    if accelerators is None:
        return Before()
    return Before(
        frozenset(accelerators),
        {
            name: (page, connection.exec_driver_sql(f'SELECT max(rowid) FROM "{name}"').scalar() or 0)
            for name, page in _tables(connection).items()
            if {"accelerator", "layer"} <= _columns(connection, name)
        },
    )


def refuse_broken_references(connection: Connection, url: str, known: Before) -> None:
    """Raise CatalogError where a row refers to one that is gone."""
    for table, referred, _ in broken_references(connection, known):
        raise CatalogError(
            f"catalog {shown(url)}: a row of {table} would refer to a row of {referred} that is gone",
            hint="remove it first; nothing was changed",
        )


def broken_references(connection: Connection, known: Before | None = None) -> Iterator[tuple[str, str, str | None]]:
    """The rows of SQLite that refer to nothing: their table, the table they refer to, their layer where they have one.

    The user's rows are passed over where facts can be found without them: by an index of shared slugs, or, what is said of
    accelerators, by the accelerators of facts that there are and `known` ones, and as rows that are new since. No revision
    writes the user's rows, they refer by slug alone or to each other, and there may be a million of them.
    """
    if connection.dialect.name != "sqlite":
        return
    rows = connection.exec_driver_sql("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index'").all()
    indices = {str(name): str(table) for name, table in rows}
    for name, page in _tables(connection).items():
        if indices.get(f"ix_{name}_slug") == name:
            yield from _broken_facts(connection, name, f'INDEXED BY "ix_{name}_slug"', "1 = 1")
        elif known is not None and known.tables.get(name, (0, 0))[0] == page:
            slugs = known.accelerators.union(_accelerators(connection) or ())
            marks = ", ".join("?" for _ in slugs)
            yield from _broken_facts(connection, name, "", "own.rowid > ?", known.tables[name][1])
            yield from _broken_facts(connection, name, "", f"own.accelerator IN ({marks})", *slugs)
        else:
            yield from _broken_rows(connection, name)


def _tables(connection: Connection) -> dict[str, int]:
    """The tables and their first pages."""
    rows = connection.exec_driver_sql("SELECT name, rootpage FROM sqlite_master WHERE type = 'table' AND rootpage > 0")
    return {str(name): int(page) for name, page in rows.all()}


def _columns(connection: Connection, table: str) -> set[str]:
    return {str(row[1]) for row in connection.exec_driver_sql(f'PRAGMA table_info("{table}")')}


def _accelerators(connection: Connection) -> list[str] | None:
    """The slugs of the accelerators of facts; None before there is an index of them."""
    index = (
        "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = 'ix_accelerator_slug' AND tbl_name = 'accelerator'"
    )
    if not connection.exec_driver_sql(index).scalar():
        return None
    query = "SELECT slug FROM accelerator INDEXED BY ix_accelerator_slug WHERE layer <> 'user'"
    return list(connection.exec_driver_sql(query).scalars())


def _broken_facts(
    connection: Connection, name: str, how: str, which: str, *values: object
) -> Iterator[tuple[str, str, str | None]]:
    keys: dict[int, list[tuple[str, str, str]]] = {}
    for number, _, target, column, key, *_ in connection.exec_driver_sql(f'PRAGMA foreign_key_list("{name}")').all():
        keys.setdefault(number, []).append((target, column, key))
    for columns in keys.values():
        target = columns[0][0]
        given = " AND ".join(f'own."{column}" IS NOT NULL' for _, column, _ in columns)
        same = " AND ".join(f'other."{key}" = own."{column}"' for _, column, key in columns)
        found = connection.exec_driver_sql(
            f"SELECT own.layer FROM \"{name}\" AS own {how} WHERE {which} AND own.layer <> 'user' AND {given} "
            f'AND NOT EXISTS (SELECT 1 FROM "{target}" AS other WHERE {same})',
            values,
        )
        for (layer,) in found.all():
            yield name, target, layer


def _broken_rows(connection: Connection, name: str) -> Iterator[tuple[str, str, str | None]]:
    for _, rowid, target, _ in connection.exec_driver_sql(f'PRAGMA foreign_key_check("{name}")').all():
        own = f'SELECT layer FROM "{name}" WHERE rowid = ?'
        layered = "layer" in _columns(connection, name)
        yield name, target, connection.exec_driver_sql(own, (rowid,)).scalar() if layered else None

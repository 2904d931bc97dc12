"""Whether an SQLite catalog has the tables, indices, triggers and views that its revisions make, word for word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from planner.catalog.definitions import Definitions, compared, compared_views, plain, table_parts
from planner.catalog.findings import Finding

if TYPE_CHECKING:
    from sqlalchemy import Connection

_STORED: Final = """
    SELECT type, lower(tbl_name), lower(name), sql FROM sqlite_master
    WHERE sql IS NOT NULL ORDER BY tbl_name, name
"""
"""Without the indices that SQLite makes for keys by itself: they have no statement."""
Stored = Mapping[tuple[str, str], str]
"""Statements by the table and the name of what they make."""


def differences(connection: Connection, expected: Connection) -> Iterator[Finding]:
    """Where the statements that made the catalog differ from those of `expected`, made by the same revisions.

    Tables that `expected` lacks are a missing plugin's, or hold rows that wait: they are passed over, and what is theirs.
    """
    ours, theirs = _stored(connection), _stored(expected)
    tables = {name: sql for (_, name), sql in theirs["table"].items()}
    found = {name: sql for (_, name), sql in ours["table"].items()}
    yield from compared("", "tables", dict.fromkeys(found, ""), dict.fromkeys(tables, ""), extra=False)
    for name, sql in tables.items():
        if name in found:
            columns, constraints = table_parts(found[name])
            wanted_columns, wanted_constraints = table_parts(sql)
            yield from compared(name, "columns", columns, wanted_columns)
            yield from compared(name, "constraints", constraints, wanted_constraints)
            yield from compared(name, "indices", _of(name, ours["index"]), _of(name, theirs["index"]))
            yield from compared(name, "triggers", _of(name, ours["trigger"]), _of(name, theirs["trigger"]))
    yield from compared_views(_views(ours["view"]), _views(theirs["view"]))


def _stored(connection: Connection) -> dict[str, dict[tuple[str, str], str]]:
    found: dict[str, dict[tuple[str, str], str]] = {"table": {}, "index": {}, "trigger": {}, "view": {}}
    for kind, table, name, sql in connection.exec_driver_sql(_STORED):
        found[kind][table, name] = sql
    return found


def _of(table: str, stored: Stored) -> Definitions:
    return {name: plain(sql) for (owner, name), sql in stored.items() if owner == table}


def _views(stored: Stored) -> Definitions:
    return {name: plain(sql) for (_, name), sql in stored.items()}

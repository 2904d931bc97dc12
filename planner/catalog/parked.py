"""Rows of the user's own that the database has no place for at some revision.

A downgrade drops tables, to base all of them, and a stricter revision may refuse what an earlier one took. What a user
wrote then waits in a table ``parked_…`` of the same database, in the same transaction, until an upgrade can put it back.
The names of an entry and the prices of a cluster wait as long as it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from planner.catalog.engine import plain_errors, snapshot, writing_engine
from planner.catalog.kinds import TABLES
from planner.catalog.location import database_url, may_be_there

if TYPE_CHECKING:
    from sqlalchemy import Connection

PREFIX: Final = "parked_"
_COPY: Final = "kept_"
_NAMES: Final = "alias"
_PARKED: Final = re.compile(rf"{PREFIX}(?P<table>.+?)(_\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedRow:
    """One row that waits: the table that it belongs to, and why it is not there."""

    table: str
    slug: str
    why: str
    row: Mapping[str, Any]

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {"table": self.table, "slug": self.slug, "why": self.why, "row": dict(self.row)}


def copy_user_rows(connection: Connection) -> dict[str, int]:
    """Copy the user's rows of every table, for as long as the transaction lasts; how many, by table."""
    found: dict[str, int] = {}
    for table in _layered(connection):
        own = f"FROM {_quoted(table)} WHERE layer = 'user'"
        count = connection.exec_driver_sql(f"SELECT count(*) {own}").scalar() or 0
        if count:
            found[table] = count
            connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {_quoted(_COPY + table)} AS SELECT * {own}")
    return found


def other_places(connection: Connection, copied: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """Where else the user's rows of a table are: the copies of this transaction's downgrade, and where they wait."""
    found: dict[str, tuple[str, ...]] = {table: (_COPY + table,) for table in copied}
    for parked, table in _in_order(_tables(connection)):
        found[table] = (*found.get(table, ()), parked)
    return found


def waiting_tables(tables: Iterable[str], table: str) -> tuple[str, ...]:
    """Those of `tables` in which rows of `table` wait, in order."""
    parked = (name for name in tables if (match := _PARKED.fullmatch(name)) and match["table"] == table)
    return tuple(sorted(parked))


def park_what_is_gone(connection: Connection, copied: Mapping[str, int]) -> None:
    """Keep those of the `copied` rows that are no longer where they were, and forget the copies."""
    tables = set(_tables(connection))
    for table, count in copied.items():
        kept = _quoted(_COPY + table)
        if table not in tables:
            gone = f"SELECT * FROM {kept}"
        else:
            gone = f"SELECT * FROM {kept} k WHERE NOT EXISTS ({_same(connection, table, 'k')})"
            own = f"SELECT count(*) FROM {_quoted(table)} WHERE layer = 'user'"
            if connection.exec_driver_sql(own).scalar() == count:
                gone = ""
        if gone:
            connection.exec_driver_sql(f"CREATE TABLE {_quoted(_free_name(table, tables))} AS {gone}")
        connection.exec_driver_sql(f"DROP TABLE {kept}")


def restore(connection: Connection) -> None:
    """Put back what waits, where its table is there again and takes it; the rest goes on waiting."""
    tables = _tables(connection)
    for parked, table in _in_order(tables):
        if table not in tables:
            continue
        both = [name for name in _columns(connection, parked) if name in _columns(connection, table)]
        if not _insert_all(connection, parked, table, both):
            _insert_each(connection, parked, table, both)
        if not connection.exec_driver_sql(f"SELECT count(*) FROM {_quoted(parked)}").scalar():
            connection.exec_driver_sql(f"DROP TABLE {_quoted(parked)}")


def waiting(url: str | None = None) -> tuple[ParkedRow, ...]:
    """The rows that wait, by table and slug. Raises CatalogError where the database cannot be read."""
    wanted = database_url(url)
    if not may_be_there(wanted):
        return ()
    with snapshot(wanted) as connection:
        tables = _tables(connection)
        found = [
            _parked_row(table, dict(row), table in tables)
            for parked, table in _in_order(tables)
            for row in connection.exec_driver_sql(f"SELECT * FROM {_quoted(parked)}").mappings()
        ]
    return tuple(sorted(_explained(found), key=lambda row: (row.table, row.slug)))


def discard(url: str | None = None) -> tuple[ParkedRow, ...]:
    """Remove the rows that wait, for good, and return them. Raises CatalogError."""
    found = waiting(url)
    wanted = database_url(url)
    engine = writing_engine(wanted)
    if found:
        with plain_errors(wanted), engine.begin() as connection:
            for parked, _ in _in_order(_tables(connection)):
                connection.exec_driver_sql(f"DROP TABLE {_quoted(parked)}")
    engine.dispose()
    return found


def _parked_row(table: str, row: Mapping[str, Any], has_table: bool) -> ParkedRow:
    why = "refused by a rule of the database, or there is another of its name" if has_table else "no table yet"
    return ParkedRow(table=table, slug=str(row.get("slug") or row.get("accelerator") or ""), why=why, row=row)


def _explained(found: Sequence[ParkedRow]) -> Iterator[ParkedRow]:
    there = {(row.table, row.slug) for row in found}
    for row in found:
        owner = (
            TABLES.get(str(row.row.get("kind"))) if row.table == _NAMES else "cluster" if row.table == "price" else None
        )
        slug = row.row.get("cluster") if row.table == "price" else row.slug
        yield replace(row, why=f"the {owner} {slug} waits") if owner and (owner, slug) in there else row


def _insert_all(connection: Connection, parked: str, table: str, columns: Sequence[str]) -> bool:
    """Whether all rows whose references hold went back at once."""
    from sqlalchemy.exc import DataError, IntegrityError

    names = ", ".join(map(_quoted, columns))
    holding = f"FROM {_quoted(parked)} WHERE {_may_return(connection, parked, table)}"
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"INSERT INTO {_quoted(table)} ({names}) SELECT {names} {holding}")
            connection.exec_driver_sql(f"DELETE {holding}")
    except (IntegrityError, DataError):
        return False
    return True


def _insert_each(connection: Connection, parked: str, table: str, columns: Sequence[str]) -> None:
    from sqlalchemy import column, insert
    from sqlalchemy import table as table_clause
    from sqlalchemy.exc import DataError, IntegrityError

    target = table_clause(table, *map(column, columns))
    source = table_clause(parked, *map(column, _columns(connection, parked)))
    holding = f"SELECT * FROM {_quoted(parked)} WHERE {_may_return(connection, parked, table)}"
    for row in connection.exec_driver_sql(holding).mappings().all():
        try:
            with connection.begin_nested():
                connection.execute(insert(target).values({name: row[name] for name in columns}))
        except (IntegrityError, DataError):
            continue  # nothing else: a full disk ends the whole transaction, and what follows would stand by itself
        same = [source.c[name].is_not_distinct_from(value) for name, value in row.items()]
        connection.execute(source.delete().where(*same))


def _may_return(connection: Connection, parked: str, table: str) -> str:
    """SQL: what a row refers to is there, and what it belongs to does not wait."""
    conditions = [_references_hold(connection, parked, table)]
    waiting = list(_in_order(_tables(connection)))
    for which, column, owner in _belongings(table):
        for name in (name for name, each in waiting if each == owner):
            conditions.append(f"NOT ({which} AND {_quoted(column)} IN (SELECT slug FROM {_quoted(name)}))")
    return " AND ".join(conditions)


def _belongings(table: str) -> Iterator[tuple[str, str, str]]:
    """To which tables the rows of one belong: which rows (SQL), by which column."""
    if table == _NAMES:
        for kind, owner in TABLES.items():
            yield f"kind = '{kind}'", "slug", owner
    elif table == "price":
        yield "cluster IS NOT NULL", "cluster", "cluster"


def _references_hold(connection: Connection, parked: str, table: str) -> str:
    """SQL: what a row refers to is there. Foreign keys are off while revisions run."""
    from sqlalchemy import inspect

    conditions = ["1 = 1"]
    for key in inspect(connection).get_foreign_keys(table):
        pairs = list(zip(key["constrained_columns"], key["referred_columns"], strict=True))
        own = [f"{_quoted(parked)}.{_quoted(name)}" for name, _ in pairs]
        there = " AND ".join(f"r.{_quoted(to)} = {name}" for name, (_, to) in zip(own, pairs, strict=True))
        found = f"EXISTS (SELECT 1 FROM {_quoted(key['referred_table'])} r WHERE {there})"
        conditions.append(f"({' OR '.join([*(f'{name} IS NULL' for name in own), found])})")
    return " AND ".join(conditions)


def _same(connection: Connection, table: str, other: str) -> str:
    from sqlalchemy import inspect

    keys = inspect(connection).get_pk_constraint(table)["constrained_columns"]
    equal = " AND ".join(f"t.{_quoted(key)} = {other}.{_quoted(key)}" for key in keys)
    return f"SELECT 1 FROM {_quoted(table)} t WHERE {equal}"


def _in_order(tables: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The tables of parked rows, each with the one that its rows belong to; those that others refer to first."""
    found = [(name, match["table"]) for name in tables if (match := _PARKED.fullmatch(name))]
    if not found:
        return
    from planner.catalog.tables import Base

    # Names last: they belong to rows of the others.
    order = [table.name for table in Base.metadata.sorted_tables if table.name != _NAMES] + [_NAMES]
    yield from sorted(found, key=lambda pair: (order.index(pair[1]) if pair[1] in order else len(order), pair))


def _free_name(table: str, taken: Iterable[str]) -> str:
    names = set(taken)
    name, number = f"{PREFIX}{table}", 1
    while name in names:
        number += 1
        name = f"{PREFIX}{table}_{number}"
    return name


def _layered(connection: Connection) -> list[str]:
    return [
        name for name in _tables(connection) if not name.startswith(PREFIX) and "layer" in _columns(connection, name)
    ]


def _tables(connection: Connection) -> list[str]:
    from sqlalchemy import inspect

    return inspect(connection).get_table_names()


def _columns(connection: Connection, table: str) -> list[str]:
    from sqlalchemy import inspect

    return [each["name"] for each in inspect(connection).get_columns(table)]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

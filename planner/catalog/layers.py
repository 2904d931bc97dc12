"""The layers of a catalog held against each other: released facts, what plugins brought, what users wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from planner.catalog import overrides, parked
from planner.catalog.findings import ERROR, FEW, WARNING, Finding
from planner.catalog.kinds import TABLES
from planner.catalog.references import ALIAS, Reference, key_columns, layered_tables, named, references
from planner.catalog.tables import USER_LAYER, VENDOR_LAYER
from planner.catalog.taken_names import taken_names

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

Row = dict[str, Any]

_USERS: Final = f"layer = '{USER_LAYER}'"


def facts(connection: Connection, expected: Connection, branches: Collection[str]) -> Iterator[Finding]:
    """Where the facts of the planner and of installed plugins are not those of `expected`, made by the same revisions."""
    layers = (VENDOR_LAYER, *branches)
    for table in layered_tables():
        ours, theirs = _rows_by_key(connection, table, layers), _rows_by_key(expected, table, layers)
        missing = [named(table, row) for key, row in theirs.items() if key not in ours]
        added = [named(table, row) for key, row in ours.items() if key not in theirs]
        changed = [
            f"{named(table, row)}: {difference(row, theirs[key])}"
            for key, row in ours.items()
            if key in theirs and row != theirs[key]
        ]
        yield from _found("facts", ERROR, table.name, missing, "facts are missing that a revision brought")
        yield from _found("facts", ERROR, table.name, added, "rows outside the user's layer that no revision brought")
        yield from _found("facts", ERROR, table.name, changed, "facts are not as their revision brought them")


def orphans(connection: Connection, branches: Collection[str]) -> Iterator[Finding]:
    """The rows of plugins that are not installed."""
    for layer, rows in orphaned_layers(connection, branches).items():
        tables = ", ".join(f"{name} {count}" for name, count in rows.items())
        message = f"rows of the plugin of {layer!r}, which is not installed ({tables}): planner db prune removes them"
        yield Finding(check="orphans", severity=WARNING, rows=sum(rows.values()), message=message)


def orphaned_layers(connection: Connection, branches: Collection[str]) -> dict[str, dict[str, int]]:
    """How many rows each layer has that is neither the planner's, the user's nor an installed plugin's: by table."""
    known = {VENDOR_LAYER, USER_LAYER, *branches}
    found: dict[str, dict[str, int]] = {}
    for table in present(connection):
        for layer, count in connection.exec_driver_sql(f'SELECT layer, count(*) FROM "{table.name}" GROUP BY layer'):
            if layer not in known:
                found.setdefault(str(layer), {})[table.name] = count
    return dict(sorted(found.items()))


def user_rows(connection: Connection) -> Iterator[Finding]:
    """The user's rows that speak of what is gone, and those that nothing finds."""
    there = {table.name for table in present(connection)}
    for reference in references():
        if {reference.table, reference.target} <= there and _has_column(connection, reference):
            message = f"the user's rows name a {reference.target} that is gone, or waits (as {reference.column})"
            yield from _found("user rows", WARNING, reference.table, _dangling(connection, reference), message)
    for kind, table in TABLES.items():
        if table in there:
            entry = f'(SELECT 1 FROM "{table}" AS entry WHERE entry.slug = alias.slug)'
            query = f"SELECT alias, slug FROM alias WHERE {_USERS} AND kind = '{kind}' AND NOT EXISTS {entry}"
            gone = (f"{alias} of {slug}" for alias, slug in connection.exec_driver_sql(query))
            yield from _found("user rows", WARNING, ALIAS, gone, f"the user's names of {kind} that are gone")
            name = f"(SELECT 1 FROM alias WHERE alias.kind = '{kind}' AND alias.slug = entry.slug)"
            query = f'SELECT slug FROM "{table}" AS entry WHERE {_USERS} AND NOT EXISTS {name}'
            nameless = (str(row[0]) for row in connection.exec_driver_sql(query))
            yield from _found(
                "user rows", WARNING, table, nameless, "the user's rows have no name, so nothing finds them"
            )


def conflicts(connection: Connection) -> Iterator[Finding]:
    """What revisions did to facts that the user's rows stand in for, as long as these are as they were."""
    found = [str(each) for each in overrides.standing(connection)]
    message = "facts changed that the user's rows stand in for: change or remove yours, or db check --acknowledge"
    yield from _found("user rows", WARNING, "", found, message)


def taken(connection: Connection) -> Iterator[Finding]:
    """The user's names that hide those of other entries' facts."""
    found = map(str, sorted(taken_names(connection)))
    message = "the user's names are names of other facts too, which they hide: choose others with import --replace"
    yield from _found("names", WARNING, ALIAS, found, message)


def waiting(connection: Connection) -> Iterator[Finding]:
    """The user's rows that a downgrade or a stricter rule left without a place."""
    from sqlalchemy import inspect

    for name in inspect(connection).get_table_names():
        if name.startswith(parked.PREFIX):
            count = connection.exec_driver_sql(f'SELECT count(*) FROM "{name}"').scalar_one()
            message = "the user's rows wait for a table or a rule that allows them: planner db parked shows them"
            yield Finding(check="user rows", severity=WARNING, table=name, rows=count, message=message)


def names(connection: Connection) -> Iterator[Finding]:
    """Where two layers besides the user's have an entry of one name: which of them counts is chance."""
    for table in present(connection):
        if table.name != ALIAS and "slug" in table.primary_key.columns:
            query = f"SELECT slug, layer FROM \"{table.name}\" WHERE layer <> '{USER_LAYER}'"
            owners: dict[str, list[str]] = {}
            for slug, layer in connection.exec_driver_sql(query):
                owners.setdefault(slug, []).append(layer)
            twice = [f"{slug} of {' and '.join(sorted(found))}" for slug, found in owners.items() if len(found) > 1]
            yield from _found(
                "names", ERROR, table.name, sorted(twice), "two plugins, or one and the planner, use a name"
            )


def counts(connection: Connection) -> Counter[str]:
    """How many rows each layer has; names are not counted."""
    found: Counter[str] = Counter()
    for table in present(connection):
        if table.name != ALIAS:
            for layer, count in connection.exec_driver_sql(
                f'SELECT layer, count(*) FROM "{table.name}" GROUP BY layer'
            ):
                found[layer] += count
    return found


def difference(row: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The columns in which a row differs from another, with both values."""
    columns = [name for name in {**row, **other} if row.get(name) != other.get(name)]
    return ", ".join(f"{name} {row.get(name)!r} instead of {other.get(name)!r}" for name in columns)


def _found(check: str, severity: str, table: str, rows: Iterable[str], message: str) -> Iterator[Finding]:
    """A finding that counts the rows and names the first; none where there is no row."""
    counted = iter(rows)
    examples = tuple(islice(counted, FEW))
    if examples:
        count = len(examples) + sum(1 for _ in counted)
        yield Finding(check=check, severity=severity, table=table, rows=count, message=message, examples=examples)


def present(connection: Connection) -> tuple[Table, ...]:
    """The layered tables that the database has: at an older revision not all of them."""
    from sqlalchemy import inspect

    names_of_all = set(inspect(connection).get_table_names())
    return tuple(table for table in layered_tables() if table.name in names_of_all)


def _rows_by_key(connection: Connection, table: Table, layers: Iterable[str]) -> dict[tuple[Any, ...], Row]:
    from sqlalchemy import inspect

    if not inspect(connection).has_table(table.name):
        return {}
    chosen = ", ".join(f"'{layer}'" for layer in layers)  # labels: lower-case identifiers
    rows = connection.exec_driver_sql(f'SELECT * FROM "{table.name}" WHERE layer IN ({chosen})').mappings()
    keys = key_columns(table)
    # A file keeps truth values as numbers.
    plain = (
        {name: int(value) if value is True or value is False else value for name, value in row.items()} for row in rows
    )
    return {tuple(row[key] for key in keys): row for row in plain}


def _has_column(connection: Connection, reference: Reference) -> bool:
    from sqlalchemy import inspect

    return any(each["name"] == reference.column for each in inspect(connection).get_columns(reference.table))


def _dangling(connection: Connection, reference: Reference) -> Iterator[str]:
    (table,) = (table for table in layered_tables() if table.name == reference.table)
    columns = ", ".join(f'own."{name}"' for name in dict.fromkeys((*key_columns(table), reference.column)))
    query = (
        f'SELECT {columns} FROM "{table.name}" AS own WHERE own.{_USERS} AND own."{reference.column}" IS NOT NULL '
        f'AND NOT EXISTS (SELECT 1 FROM "{reference.target}" AS other WHERE other.slug = own."{reference.column}")'
    )
    for row in connection.exec_driver_sql(query).mappings():
        yield f"{named(table, row)}: {row[reference.column]}"

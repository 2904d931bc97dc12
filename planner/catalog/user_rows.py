"""The rows of the user's entries: read, written and found, on a connection that is open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from planner.catalog.database import older_is_said
from planner.catalog.engine import plain_errors, writing_engine
from planner.catalog.entries import Entry
from planner.catalog.fields import fields_of, peak_source_fields
from planner.catalog.kinds import EFFICIENCIES, KINDS, USER
from planner.catalog.location import database_url
from planner.catalog.names import lookup_keys, name_key

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, RowMapping, Table

CHUNK: Final = 500
"""Entries that are compared and stored together."""


@contextmanager
def writing(url: str | None) -> Iterator[Connection]:
    """One transaction on the catalog. Raises CatalogError."""
    wanted = database_url(url)
    with older_is_said(wanted), plain_errors(wanted):
        engine = writing_engine(wanted)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()


def stored(
    connection: Connection, kind: str, slug: str | None = None, layers: Sequence[str] | None = (USER,)
) -> Iterator[Entry]:
    """The entries of a kind by slug, or those of `slug`, in the user's layer or in `layers`; None means all of them."""
    table = table_named(KINDS[kind])
    query = table.select().order_by(*table.primary_key.columns)
    if layers is not None:
        query = query.where(table.c.layer.in_(layers))
    if slug is not None:
        query = query.where(table.c.slug == slug)
    rows = connection.execute(query).mappings()
    while part := rows.fetchmany(CHUNK):
        yield from _entries(connection, kind, part)


def visible(connection: Connection, kind: str) -> Iterator[Entry]:
    """The entries of a kind that count, by slug: the user's, and the facts that those do not stand in for.

    Of a fact's other names those are left out that mean an entry of the user's.
    """
    from sqlalchemy import exists, select

    table = table_named(KINDS[kind])
    own = table.alias("own")
    same = [own.c[name] == table.c[name] for name, fact in fields_of(kind).items() if fact.key]
    shadowed = exists().where(own.c.layer == USER, *same)
    query = table.select().where((table.c.layer == USER) | ~shadowed).order_by(*table.primary_key.columns)
    alias, mine = table_named("alias"), table_named("alias").alias("mine")
    both = (alias.c.kind == kind, alias.c.layer != USER, mine.c.layer == USER, mine.c.kind == kind)
    lost = select(alias.c.slug, alias.c.alias).where(*both, mine.c.key == alias.c.key, mine.c.slug != alias.c.slug)
    taken = {(slug, name) for slug, name in connection.execute(lost)}
    rows = connection.execute(query).mappings()
    while part := rows.fetchmany(CHUNK):
        for entry in _entries(connection, kind, part):
            kept = tuple(name for name in entry.aliases if (entry.slug, name) not in taken)
            yield replace(entry, aliases=kept) if len(kept) < len(entry.aliases) else entry


def stored_by_key(connection: Connection, kind: str, entries: Sequence[Entry]) -> dict[tuple[str, ...], Entry]:
    """Those of `entries` that are stored already, as they are stored."""
    table = table_named(KINDS[kind])
    first = "accelerator" if kind == EFFICIENCIES else "slug"
    found: dict[tuple[str, ...], Entry] = {}
    for part in parts(sorted({str(entry.values[first]) for entry in entries})):
        query = table.select().where(table.c.layer == USER, table.c[first].in_(part))
        found |= {entry.key: entry for entry in _entries(connection, kind, connection.execute(query).mappings().all())}
    return found


def _entries(connection: Connection, kind: str, rows: Sequence[RowMapping]) -> list[Entry]:
    slugs = [str(row["slug"]) for row in rows] if kind != EFFICIENCIES else []
    aliases = _grouped(connection, "alias", "slug", slugs, kind=kind)
    with_rates = slugs if kind == "accelerators" else []
    rates = _grouped(connection, "peak_rate", "accelerator", with_rates)
    sources = _grouped(connection, "peak_source", "accelerator", with_rates)
    return [
        Entry(
            kind=kind,
            values={name: _value(fact.type, row[name]) for name, fact in fields_of(kind).items()},
            aliases=tuple(
                str(each["alias"])
                for each in aliases.get((row.get("slug"), row["layer"]), ())
                if each["role"] == "alias"
            ),
            rates={each["format"]: each["flop_per_s"] for each in rates.get((row.get("slug"), row["layer"]), ())},
            peak_sources={
                each["format"]: {name: each[name] for name in peak_source_fields()}
                for each in sources.get((row.get("slug"), row["layer"]), ())
            },
        )
        for row in rows
    ]


def _value(type_: str, value: Any) -> Any:  # noqa: ANN401 - as the column holds it
    return bool(value) if type_ == "flag" and value is not None else value


def _grouped(
    connection: Connection, name: str, column: str, slugs: Sequence[str], **also: str
) -> dict[tuple[str | None, str], list[RowMapping]]:
    """The rows of a table by the entry that they belong to: its slug and layer."""
    table = table_named(name)
    found: dict[tuple[str | None, str], list[RowMapping]] = {}
    for part in parts(slugs):
        query = table.select().where(table.c[column].in_(part))
        query = query.where(*(table.c[each] == value for each, value in also.items()))
        for row in connection.execute(query.order_by(*table.primary_key.columns)).mappings():
            found.setdefault((row[column], row["layer"]), []).append(row)
    return found


def shared_slugs(connection: Connection, kind: str, entries: Sequence[Entry]) -> set[tuple[str]]:
    """Those of the entries' slugs that released entries and plugins' have too."""
    from sqlalchemy import select

    if kind == EFFICIENCIES:
        return set()
    table = table_named(KINDS[kind])
    found: set[tuple[str]] = set()
    for part in parts([entry.slug for entry in entries]):
        query = select(table.c.slug).where(table.c.slug.in_(part), table.c.layer != USER)
        found |= {(slug,) for slug in connection.execute(query).scalars()}
    return found


def find(connection: Connection, kind: str, name: str) -> str | None:
    """The slug that a name means, the user's own first."""
    alias = table_named("alias")
    for key in lookup_keys(name):
        query = alias.select().where(alias.c.kind == kind, alias.c.key == key)
        found = {row["layer"]: str(row["slug"]) for row in connection.execute(query).mappings()}
        if found:
            return found.get(USER) or next(iter(found.values()))
    return None


def slugs_like(connection: Connection, kind: str, name: str, own: bool = False) -> tuple[str, ...]:
    """Names of a kind that may have been meant: those released, and the user's that begin alike."""
    from sqlalchemy import select

    alias = table_named("alias")
    ours: ColumnElement[bool] = alias.c.layer == USER
    key = name_key(name)[:3]
    near = select(alias.c.slug).where(alias.c.kind == kind, ours, alias.c.key.startswith(key, autoescape=True))
    found = list(connection.execute(near.limit(CHUNK)).scalars())
    if not own:
        found += connection.execute(select(alias.c.slug).where(alias.c.kind == kind, ~ours)).scalars()
    return tuple(dict.fromkeys(found))


def parts(items: Sequence[Any], size: int = CHUNK) -> Iterator[Sequence[Any]]:
    """`items` in parts that one statement can hold."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def table_named(name: str) -> Table:
    """The table of a name."""
    from planner.catalog.tables import Base

    return Base.metadata.tables[name]


def insert_rows(connection: Connection, kind: str, entries: Sequence[Entry]) -> None:
    """Add entries of one kind with their rates and names."""
    from sqlalchemy import insert

    connection.execute(insert(table_named(KINDS[kind])), [{**entry.values, "layer": USER} for entry in entries])
    rates = [
        {"accelerator": entry.slug, "layer": USER, "format": name, "flop_per_s": rate}
        for entry in entries
        for name, rate in entry.rates.items()
    ]
    if rates:
        connection.execute(insert(table_named("peak_rate")), rates)
    sources = [
        {"accelerator": entry.slug, "layer": USER, "format": name, **said}
        for entry in entries
        for name, said in entry.peak_sources.items()
    ]
    if sources:
        connection.execute(insert(table_named("peak_source")), sources)
    if kind != EFFICIENCIES:
        connection.execute(insert(table_named("alias")), [row for entry in entries for row in _alias_rows(entry)])


def _alias_rows(entry: Entry) -> Iterator[dict[str, str]]:
    keys = set()
    for role, name in (("slug", entry.slug), *(("alias", alias) for alias in entry.aliases)):
        key = name_key(name)
        # Two spellings of one name are one name.
        if key not in keys:
            keys.add(key)
            yield {"kind": entry.kind, "key": key, "layer": USER, "alias": name, "slug": entry.slug, "role": role}


def delete_entries(connection: Connection, kind: str, entries: Sequence[Entry]) -> None:
    """Delete what is stored under the keys of `entries`, with its rates and names."""
    from sqlalchemy import and_, delete, or_

    if kind != EFFICIENCIES:
        delete_slugs(connection, kind, [entry.slug for entry in entries])
        return
    table = table_named(KINDS[kind])
    names = [name for name, fact in fields_of(kind).items() if fact.key]
    for part in parts(entries, 100):
        same = or_(*(and_(*(table.c[name] == entry.values[name] for name in names)) for entry in part))
        connection.execute(delete(table).where(table.c.layer == USER, same))


def delete_slugs(connection: Connection, kind: str, slugs: Sequence[str]) -> None:
    """Delete the user's entries of these slugs, with their rates and names."""
    from sqlalchemy import delete

    table, alias = table_named(KINDS[kind]), table_named("alias")
    for part in parts(slugs):
        for rate in map(table_named, ("peak_source", "peak_rate") if kind == "accelerators" else ()):
            connection.execute(delete(rate).where(rate.c.layer == USER, rate.c.accelerator.in_(part)))
        connection.execute(delete(alias).where(alias.c.kind == kind, alias.c.layer == USER, alias.c.slug.in_(part)))
        connection.execute(delete(table).where(table.c.layer == USER, table.c.slug.in_(part)))

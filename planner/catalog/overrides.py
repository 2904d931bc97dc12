"""Facts that a user's own rows stand in for, and what revisions did to them in the meantime.

A row of the user's layer shadows the fact of its slug; a calibration stands on the peaks of an accelerator's fact. Where
a revision changes, removes or newly brings such a fact, the user's row still counts, and the conflict is noted in a table
of its own, until the user changes or removes the row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from planner.catalog.tables import USER_LAYER

if TYPE_CHECKING:
    from sqlalchemy import Connection

Row = dict[str, Any]
Key = tuple[str, str]
"""A kind of entry and a slug."""

NOTES: Final = "noted_conflict"
"""The table of conflicts. It is made where there is one to note, and belongs to no revision."""
_COLUMNS: Final = ("kind", "slug", "layer_of_fact", "what", "details", "revision", "users_rows")
_PROVENANCE: Final = frozenset({"layer", "name", "document", "source", "source_date", "confidence", "note"})
"""Columns that say where a value is from and not what it is."""
_FEW: Final = 3
_ACCELERATORS: Final = "accelerators"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A fact that something of the user's stands in for, or on: its values, and a checksum of the user's rows."""

    layer: str | None
    values: Mapping[str, Any]
    own: Mapping[str, Any]
    users_rows: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """What a revision did to a fact that a row of the user's stands in for: ``changed``, ``removed`` or ``added`` it."""

    kind: str
    slug: str
    layer: str
    what: str
    details: str
    revision: str
    users_rows: str

    def __str__(self) -> str:
        """A line for people."""
        return f"{self.kind} {self.slug} ({self.details or self.what}; {self.revision})"


def stands(connection: Connection) -> dict[Key, Stand]:
    """Every fact that the user's rows shadow or calibrate. Costs what the facts cost, however many rows the user has."""
    from planner.catalog.reader import TABLES

    there = _tables(connection)
    if "alias" not in there:
        return {}
    found: dict[Key, Stand] = {}
    for kind, table in TABLES.items():
        if table in there:
            for slug in _slugs(connection, kind, table):
                found[kind, slug] = _stand(connection, kind, table, slug)
    return found


def conflicts(before: Mapping[Key, Stand], after: Mapping[Key, Stand], revision: str) -> tuple[Conflict, ...]:
    """What changed in the facts between two moments, but for what the user's row says too."""
    found = []
    for (kind, slug), now in after.items():
        then = before.get((kind, slug))
        if then is None and not now.own:
            continue  # a calibration of an accelerator that came back
        what = "added" if then is None else "changed"
        details = _details({} if then is None else then.values, now.values, now.own)
        if details:
            found.append(_conflict((kind, slug), now, what, details if then is not None else "", revision))
    for key, then in before.items():
        if key not in after and then.own:
            found.append(_conflict(key, then, "removed", "", revision))
    return tuple(found)


def note(connection: Connection, found: Iterable[Conflict]) -> None:
    """Write conflicts down; an older one of the same entry gives way."""
    from sqlalchemy import Column, MetaData, String, Table, Text

    table = Table(NOTES, MetaData(), *(Column(name, Text if name == "details" else String(120)) for name in _COLUMNS))
    for number, each in enumerate(found):
        if not number:
            table.create(connection, checkfirst=True)
        connection.execute(table.delete().where(table.c.kind == each.kind, table.c.slug == each.slug))
        values = (each.kind, each.slug, each.layer, each.what, each.details, each.revision, each.users_rows)
        connection.execute(table.insert(), dict(zip(_COLUMNS, values, strict=True)))


def forget(connection: Connection, revisions: Iterable[str]) -> None:
    """Drop the notes of revisions that are not among `revisions`, those behind the database."""
    if NOTES not in _tables(connection):
        return
    known = set(revisions)
    for (revision,) in connection.exec_driver_sql(f"SELECT DISTINCT revision FROM {NOTES}").fetchall():
        if revision not in known:
            _execute(connection, f"DELETE FROM {NOTES} WHERE revision = :revision", revision=revision)
    if not connection.exec_driver_sql(f"SELECT count(*) FROM {NOTES}").scalar():
        connection.exec_driver_sql(f"DROP TABLE {NOTES}")


def standing(connection: Connection) -> Iterator[Conflict]:
    """The conflicts that were noted and that the user has not settled: the rows in question are as they were."""
    from planner.catalog.reader import TABLES

    if NOTES not in _tables(connection):
        return
    query = f"SELECT {', '.join(_COLUMNS)} FROM {NOTES} ORDER BY kind, slug"
    for kind, slug, layer, what, details, revision, users_rows in connection.exec_driver_sql(query).fetchall():
        own, efficiencies = _users(connection, kind, TABLES[kind], slug)
        if _checksum(own, efficiencies) == users_rows:
            yield Conflict(
                kind=kind, slug=slug, layer=layer, what=what, details=details, revision=revision, users_rows=users_rows
            )  # fmt: skip


def warning(found: Iterable[Conflict]) -> str:
    """What to tell the user of conflicts that a revision just caused."""
    lines = [str(each) for each in found]
    more = f" and {len(lines) - _FEW} more" if len(lines) > _FEW else ""
    named = ", ".join(lines[:_FEW])
    return f"facts changed that rows of your own stand in for, and yours still count: {named}{more}: planner db check"


def _slugs(connection: Connection, kind: str, table: str) -> list[str]:
    """The slugs of facts that have rows of the user's. In this form both databases begin with the names of facts."""
    own = f"EXISTS (SELECT 1 FROM \"{table}\" own WHERE own.slug = a.slug AND own.layer = '{USER_LAYER}')"
    if kind == _ACCELERATORS:
        calibrated = f"own.accelerator = a.slug AND own.layer = '{USER_LAYER}'"
        own = f"({own} OR EXISTS (SELECT 1 FROM efficiency own WHERE {calibrated}))"
    query = f"SELECT a.slug FROM alias a WHERE a.kind = '{kind}' AND a.layer <> '{USER_LAYER}' AND a.role = 'slug' AND {own}"
    return sorted(row[0] for row in connection.exec_driver_sql(query))


def _stand(connection: Connection, kind: str, table: str, slug: str) -> Stand:
    query = f"SELECT * FROM \"{table}\" WHERE slug = :slug AND layer <> '{USER_LAYER}'"
    facts = _rows(connection, query, slug=slug)
    own, efficiencies = _users(connection, kind, table, slug)
    layer = str(facts[0]["layer"]) if facts else None
    values = _values(facts[0]) if facts else {}
    if kind == _ACCELERATORS and layer is not None:
        values |= _peaks(connection, slug, layer)
    mine = _values(own) | (_peaks(connection, slug, USER_LAYER) if own and kind == _ACCELERATORS else {})
    return Stand(layer=layer, values=values, own=mine, users_rows=_checksum(own, efficiencies))


def _users(connection: Connection, kind: str, table: str, slug: str) -> tuple[Row, list[Row]]:
    """The user's entry, and the user's efficiencies of an accelerator."""
    rows = _rows(connection, f"SELECT * FROM \"{table}\" WHERE slug = :slug AND layer = '{USER_LAYER}'", slug=slug)
    efficiencies: list[Row] = []
    if kind == _ACCELERATORS:
        query = f"SELECT * FROM efficiency WHERE accelerator = :slug AND layer = '{USER_LAYER}'"
        efficiencies = _rows(connection, query, slug=slug)
    return (rows[0] if rows else {}), efficiencies


def _peaks(connection: Connection, slug: str, layer: str) -> Row:
    query = "SELECT format, flop_per_s FROM peak_rate WHERE accelerator = :slug AND layer = :layer"
    return {
        f"{row['format']}_flop_per_s": row["flop_per_s"] for row in _rows(connection, query, slug=slug, layer=layer)
    }


def _values(row: Mapping[str, Any]) -> Row:
    return {name: v for name, v in row.items() if name not in _PROVENANCE and not name.endswith("_layer")}


def _details(then: Mapping[str, Any], now: Mapping[str, Any], own: Mapping[str, Any]) -> str:
    """The columns that changed, with both values, but for those in which the user's row agrees with the new one."""
    changed = (name for name in sorted({*then, *now}) if then.get(name) != now.get(name))
    differing = (name for name in changed if not own or own.get(name) != now.get(name))
    return ", ".join(f"{name} was {_said(then.get(name))}, is {_said(now.get(name))}" for name in differing)


def _said(value: object) -> str:
    return "unknown" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _conflict(key: Key, stand: Stand, what: str, details: str, revision: str) -> Conflict:
    return Conflict(
        kind=key[0], slug=key[1], layer=stand.layer or "", what=what, details=details, revision=revision,
        users_rows=stand.users_rows,
    )  # fmt: skip


def _checksum(own: Row, efficiencies: Iterable[Row]) -> str:
    plain = json.dumps(
        [own, sorted(map(repr, map(sorted, map(dict.items, efficiencies))))], sort_keys=True, default=str
    )
    return hashlib.sha256(plain.encode()).hexdigest()


def _rows(connection: Connection, query: str, **values: str) -> list[Row]:
    # A file keeps truth values as numbers.
    return [
        {name: int(value) if isinstance(value, bool) else value for name, value in row.items()}
        for row in _execute(connection, query, **values).mappings()
    ]


def _execute(connection: Connection, query: str, **values: str) -> Any:  # noqa: ANN401 - SQLAlchemy's result
    from sqlalchemy import text

    return connection.execute(text(query), values)


def _tables(connection: Connection) -> set[str]:
    from sqlalchemy import inspect

    return set(inspect(connection).get_table_names())

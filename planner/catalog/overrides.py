"""Facts that a user's own rows stand in for, and what revisions did to them in the meantime.

A row of the user's layer shadows the fact of its slug; a calibration stands on the peaks of an accelerator's fact. Where
a revision changes, removes or newly brings such a fact, the user's row still counts, and the conflict is noted in a table
of its own under that revision, until the user changes or removes the row, or says that it is known.

A downgrade drops the notes of the revisions that it takes back, since upgrading finds these conflicts again. What it would
find otherwise than it is now, as a conflict that the user has settled, is remembered in a second table until then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from planner.catalog.engine import plain_errors, upgradable, writing_engine
from planner.catalog.kinds import TABLES
from planner.catalog.location import database_url
from planner.catalog.tables import USER_LAYER

if TYPE_CHECKING:
    from sqlalchemy import Connection

Row = dict[str, Any]
Key = tuple[str, str]
"""A kind of entry and a slug."""

NOTES: Final = "noted_conflict"
"""The table of conflicts. It is made where there is one to note, and belongs to no revision."""
MEMORY: Final = "remembered_conflict"
"""The table of what the next upgrade is to make of conflicts. It too is there only where there is something in it."""
_COLUMNS: Final = ("kind", "slug", "layer_of_fact", "what", "details", "revision", "users_rows")
_PROVENANCE: Final = frozenset({"layer", "name", "document", "source", "source_date", "confidence", "note"})
"""Columns that say where a value is from and not what it is."""
_FEW: Final = 3
_ACCELERATORS: Final = "accelerators"
_REFERS: Final = "accelerator"
"""The column with which rates and efficiencies refer to their accelerator."""


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


class Watch:
    """Looks on while revisions run, and notes what each of them does. `found` are the new conflicts, for a warning.

    `places` says where else the user's rows of a table may be than in the table: see `planner.catalog.parked`.
    """

    def __init__(self, connection: Connection, places: Mapping[str, tuple[str, ...]]) -> None:
        """Look at the state from which the revisions start."""
        self.found: tuple[Conflict, ...] = ()
        self._connection = connection
        self._places = places
        self._stands = self._first = stands(connection, places)

    def applied(self, revision: str, *, up: bool) -> None:
        """A revision was run, `up` or down."""
        before, self._stands = self._stands, stands(self._connection, self._places)
        if up:
            self._brought(revision, conflicts(before, self._stands, revision))
        else:
            self._took_back(revision, conflicts(self._stands, before, revision))

    def settle(self) -> None:
        """Forget what one of the revisions did and a later one took back: nothing has changed for the user."""
        changed = {(each.kind, each.slug) for each in conflicts(self._first, self._stands, "")}
        taken_back = [each for each in self.found if (each.kind, each.slug) not in changed]
        if taken_back:
            forget(self._connection, taken_back)
            _drop_if_empty(self._connection, NOTES)
        self.found = tuple(each for each in self.found if (each.kind, each.slug) in changed)

    def _brought(self, revision: str, found: tuple[Conflict, ...]) -> None:
        settled = set(_stored(self._connection, MEMORY, revision, settled=True))
        new = tuple(each for each in found if each not in settled)
        note(self._connection, (*new, *_stored(self._connection, MEMORY, revision, settled=False)))
        _drop(self._connection, MEMORY, revision)
        self.found += new

    def _took_back(self, revision: str, again: tuple[Conflict, ...]) -> None:
        """`again` are the conflicts that the next upgrade would find if nothing were remembered."""
        noted = _stored(self._connection, NOTES, revision)
        _insert(self._connection, MEMORY, [each for each in again if each not in noted], settled=True)
        _insert(self._connection, MEMORY, [each for each in noted if each not in again], settled=False)
        _drop(self._connection, NOTES, revision)


def stands(connection: Connection, places: Mapping[str, tuple[str, ...]]) -> dict[Key, Stand]:
    """Every fact that the user's rows shadow or calibrate. Costs what the facts cost, however many rows the user has."""
    there = _tables(connection)
    if "alias" not in there:
        return {}
    found: dict[Key, Stand] = {}
    for kind, table in TABLES.items():
        if table in there:
            own = _Own(connection, there, places)
            for slug in _slugs(connection, kind, table, own):
                found[kind, slug] = _stand(connection, kind, table, slug, own)
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
    """Write conflicts down; an older one of the same entry and revision gives way."""
    new = list(found)
    forget(connection, new)
    _insert(connection, NOTES, new)


def forget(connection: Connection, found: Sequence[Conflict]) -> None:
    """Take the notes of these entries and revisions away."""
    if found and NOTES in _tables(connection):
        for each in found:
            query = f"DELETE FROM {NOTES} WHERE kind = :kind AND slug = :slug AND revision = :revision"
            _execute(connection, query, kind=each.kind, slug=each.slug, revision=each.revision)


def acknowledge(url: str | None = None) -> tuple[Conflict, ...]:
    """Settle every conflict that stands: the user knows of it and keeps the rows as they are. Returns them.

    Raises CatalogError where the database cannot be written.
    """
    wanted = database_url(url)
    with plain_errors(wanted):
        engine = writing_engine(wanted)
        with engine.begin() as connection:
            found = tuple(standing(connection))
            forget(connection, found)
            # On a server a table is removed by its owner alone; empty, it says the same.
            if found and upgradable(wanted):
                _drop_if_empty(connection, NOTES)
        engine.dispose()
    return found


def _insert(connection: Connection, name: str, found: Sequence[Conflict], *, settled: bool | None = None) -> None:
    from sqlalchemy import Boolean, Column, MetaData, String, Table, Text

    if not found:
        return
    columns: list[Column[Any]] = [
        Column(each, Text if each == "details" else String(120), nullable=False) for each in _COLUMNS
    ]
    if settled is not None:
        columns.append(Column("settled", Boolean, nullable=False))
    table = Table(name, MetaData(), *columns)
    table.create(connection, checkfirst=True)
    also = {} if settled is None else {"settled": settled}
    connection.execute(table.insert(), [dict(zip(_COLUMNS, _cells(each), strict=True)) | also for each in found])


def _cells(each: Conflict) -> tuple[str, ...]:
    return (each.kind, each.slug, each.layer, each.what, each.details, each.revision, each.users_rows)


def _stored(
    connection: Connection, name: str, revision: str | None = None, *, settled: bool | None = None
) -> tuple[Conflict, ...]:
    """The conflicts in a table: all, or those of a revision; of the memory, those that are settled or those that are not."""
    if name not in _tables(connection):
        return ()
    conditions = ["1 = 1"]
    if revision is not None:
        conditions.append("revision = :revision")
    if settled is not None:
        conditions.append("settled" if settled else "NOT settled")
    query = f"SELECT {', '.join(_COLUMNS)} FROM {name} WHERE {' AND '.join(conditions)} ORDER BY kind, slug, revision"
    rows = _execute(connection, query, **({} if revision is None else {"revision": revision})).fetchall()
    return tuple(
        Conflict(kind=kind, slug=slug, layer=layer, what=what, details=details, revision=step, users_rows=own)
        for kind, slug, layer, what, details, step, own in rows
    )


def _drop(connection: Connection, name: str, revision: str) -> None:
    if name in _tables(connection):
        _execute(connection, f"DELETE FROM {name} WHERE revision = :revision", revision=revision)
        _drop_if_empty(connection, name)


def _drop_if_empty(connection: Connection, name: str) -> None:
    if not connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar():
        connection.exec_driver_sql(f"DROP TABLE {name}")


def standing(connection: Connection) -> Iterator[Conflict]:
    """The conflicts that were noted and that the user has not settled: the rows in question are as they were."""
    from planner.catalog.parked import other_places

    noted = _stored(connection, NOTES)
    own = _Own(connection, _tables(connection), other_places(connection)) if noted else None
    for each in noted:
        if own is not None and _checksum(*own.of(each.kind, TABLES[each.kind], each.slug)) == each.users_rows:
            yield each


def warning(found: Iterable[Conflict]) -> str:
    """What to tell the user of conflicts that a revision just caused."""
    lines = [str(each) for each in found]
    more = f" and {len(lines) - _FEW} more" if len(lines) > _FEW else ""
    named = ", ".join(lines[:_FEW])
    return f"facts changed that rows of your own stand in for, and yours still count: {named}{more}: planner db check"


class _Own:
    """The user's rows, wherever they are: in their table, or where it is gone or refuses them, in another place."""

    def __init__(self, connection: Connection, there: Collection[str], places: Mapping[str, tuple[str, ...]]) -> None:
        self._connection = connection
        self._there = there
        self._places = places

    def places(self, table: str) -> tuple[str, ...]:
        """The tables that may hold the user's rows of `table`, the first counts first."""
        return (*((table,) if table in self._there else ()), *self._places.get(table, ()))

    def rows(self, table: str, column: str, slug: str) -> list[Row]:
        """The rows with this slug in `column`."""
        for place in self.places(table):
            query = f"SELECT * FROM \"{place}\" WHERE {column} = :slug AND layer = '{USER_LAYER}'"
            if rows := _rows(self._connection, query, slug=slug):
                return rows
        return []

    def of(self, kind: str, table: str, slug: str) -> tuple[list[Row], list[Row], list[Row]]:
        """The entry, and of an accelerator the peaks and the efficiencies. Where peaks were read is no part of what they say."""
        entry = self.rows(table, "slug", slug)
        if kind != _ACCELERATORS:
            return entry, [], []
        return entry, self.rows("peak_rate", _REFERS, slug), self.rows("efficiency", _REFERS, slug)


def _slugs(connection: Connection, kind: str, table: str, own: _Own) -> list[str]:
    """The slugs of facts that have rows of the user's. In this form both databases begin with the names of facts."""
    mine = [_has_own(place, "slug", place == table) for place in own.places(table)]
    if kind == _ACCELERATORS:
        mine += [_has_own(place, _REFERS, place == "efficiency") for place in own.places("efficiency")]
    facts = f"a.kind = '{kind}' AND a.layer <> '{USER_LAYER}' AND a.role = 'slug'"
    query = f"SELECT a.slug FROM alias a WHERE {facts} AND ({' OR '.join(mine)})"
    return sorted({row[0] for row in connection.exec_driver_sql(query)})


def _has_own(place: str, column: str, indexed: bool) -> str:
    # Rows that wait have no index: they are read once, not once for each fact.
    own = f"FROM \"{place}\" own WHERE own.layer = '{USER_LAYER}'"
    return f"EXISTS (SELECT 1 {own} AND own.{column} = a.slug)" if indexed else f"a.slug IN (SELECT own.{column} {own})"


def _stand(connection: Connection, kind: str, table: str, slug: str, own: _Own) -> Stand:
    query = f"SELECT * FROM \"{table}\" WHERE slug = :slug AND layer <> '{USER_LAYER}'"
    facts = _rows(connection, query, slug=slug)
    entry, rates, efficiencies = own.of(kind, table, slug)
    layer = str(facts[0]["layer"]) if facts else None
    values = _values(facts[0]) if facts else {}
    if kind == _ACCELERATORS and layer is not None:
        values |= _peaks(connection, slug, layer)
    mine = _values(entry[0]) | _as_columns(rates) if entry else {}
    return Stand(layer=layer, values=values, own=mine, users_rows=_checksum(entry, rates, efficiencies))


def _peaks(connection: Connection, slug: str, layer: str) -> Row:
    query = "SELECT format, flop_per_s FROM peak_rate WHERE accelerator = :slug AND layer = :layer"
    return _as_columns(_rows(connection, query, slug=slug, layer=layer))


def _as_columns(rates: Iterable[Row]) -> Row:
    return {f"{row['format']}_flop_per_s": row["flop_per_s"] for row in rates}


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


def _checksum(*rows: Iterable[Row]) -> str:
    """Of everything that is known: a revision may add a column, and then nobody has changed the row."""
    known = [sorted(repr(sorted((n, v) for n, v in row.items() if v is not None)) for row in part) for part in rows]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


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

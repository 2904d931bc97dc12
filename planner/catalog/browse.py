"""Looking through the catalog: a page of a kind by filters, a search over all names, however many rows a user has.

Every query either follows an index or stops at a limit, so that a million rows of a user's cost no more than a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from planner.catalog import records
from planner.catalog.filters import ALL, DEFAULT_LIMIT, INDEXED, RATE, REFERENCE, Filters, Query, columns, query_of
from planner.catalog.kinds import TABLES, USER, table_of
from planner.catalog.lookup import between
from planner.catalog.names import name_key
from planner.catalog.spelling import LONGEST_NAME
from planner.catalog.taken_names import BOTH
from planner.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from planner.catalog.database import Database

__all__ = ["ALL", "DEFAULT_LIMIT", "Filters", "Page", "page", "search", "taken_from"]

Row = dict[str, Any]

SEARCH_LIMIT: Final = 50
COUNTED: Final = 10_000
"""How many rows beyond a page are counted; more are only said to be more."""
_PARAMETERS: Final = 500


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and how many more there are; where `counted` is False there are more than that."""

    rows: list[Row]
    more: int = 0
    counted: bool = True


@dataclass(frozen=True, slots=True)
class _Order:
    """The column that rows are sorted by before their slugs, from the highest where `descending`."""

    column: str
    descending: bool

    @property
    def value(self) -> str:
        """Of a row ``t``."""
        if self.column == RATE:
            same = "r.accelerator = t.slug AND r.layer = t.layer"
            return f"(SELECT r.flop_per_s FROM peak_rate r WHERE {same} AND r.format = 'bf16')"
        return f't."{self.column}"'


def page(database: Database, kind: str, filters: Filters) -> Page:
    """A page of a kind's entries; accelerators with their bf16 rate.

    Each has the layer that it ``shadows``, and in ``takes_names_of`` the slugs of other facts that lost a name to it.

    Raises UnknownNameError for a name or a column that is not there, InputError for a filter that the kind has not.
    """
    found = query_of(database, kind, filters)
    order = None if filters.sort is None else _order(found, filters.sort)
    if found.impossible:
        return Page([])
    if not filters.limit:
        rows = _all(found, order)[filters.offset :]
        return Page(_told(found, rows))
    in_order = found.is_in_order and filters.sort in (None, "slug", "-slug")
    few = None if in_order else found.few()
    # One row more than the page, to see whether there is more at all.
    keys = _keys(found, order, filters.offset + filters.limit + 1, gather=few is not None)[filters.offset :]
    rows = _told(found, _rows(found, keys[: filters.limit]))
    if len(keys) <= filters.limit:
        return Page(rows)
    shown = filters.offset + filters.limit
    beyond = (found.count(shown + COUNTED + 1) if few is None else few) - shown
    return Page(rows, min(beyond, COUNTED), counted=beyond <= COUNTED)


def _all(found: Query, order: _Order | None) -> list[Row]:
    by = found.by_slug if order is None else f"{_sorted(order, order.value)}, {found.by_slug}"
    return found.database.select(f"SELECT t.* {found.gathered} ORDER BY {by}", **found.values)


def _sorted(order: _Order, value: str) -> str:
    # What is not known comes last either way.
    return f"{value} {'DESC' if order.descending else 'ASC'} NULLS LAST"


def _keys(found: Query, order: _Order | None, most: int, *, gather: bool) -> list[Row]:
    """Slug and layer of the first `most` rows that fit, in order: sorting whole rows would take ten times as long."""
    if order is not None and order.column == "slug":
        return _by_slugs(found, order, most, gather=gather)
    if order is not None and not gather and order.column in INDEXED.get(found.kind, ()):
        return _by_index(found, order, most)
    rows = found.gathered if gather else found.in_order_of_slugs if order is None else found.walked
    by = f"{found.unindexed(found.by_slug) if gather else found.by_slug}"
    if order is not None:
        by = f"{_sorted(order, found.unindexed(order.value))}, {by}"
    return found.database.select(
        f"SELECT t.slug, t.layer {rows} ORDER BY {by} LIMIT :most", **found.values, most=most
    )  # fmt: skip


def _by_slugs(found: Query, order: _Order, most: int, *, gather: bool) -> list[Row]:
    if not order.descending:
        return _keys(found, None, most, gather=gather)
    slug = found.unindexed("t.slug") if gather else "t.slug"
    by = f"{slug}{found.database.bytewise} DESC, t.layer{found.database.bytewise}"
    rows = found.gathered if gather else found.in_order_of_slugs
    return found.database.select(
        f"SELECT t.slug, t.layer {rows} ORDER BY {by} LIMIT :most", **found.values, most=most
    )  # fmt: skip


def _by_index(found: Query, order: _Order, most: int) -> list[Row]:
    """Slug and layer of the first `most` rows that fit, met in the order of a column's index.

    Followed backwards an index has the slugs of one value backwards too. So from the highest down it only tells the value at
    which there are enough; the rows above that are few, and those of the value itself come in the order of their slugs.
    """
    database, values = found.database, found.values
    rows, value, by_slug = found.walked, order.value, found.by_slug
    if order.column == RATE:
        rows = f"{rows} AND r.format = 'bf16' AND r.accelerator = t.slug AND r.layer = t.layer".replace(
            f"FROM {found.table} t", f"FROM peak_rate r CROSS JOIN {found.table} t", 1
        )
        value, by_slug = "r.flop_per_s", by_slug.replace("t.slug", "r.accelerator").replace("t.layer", "r.layer")
    keys, known = f"SELECT t.slug, t.layer {rows}", f"{value} IS NOT NULL"

    def selected(condition: str, by: str, **more: object) -> list[Row]:
        return database.select(f"{keys} AND {condition} ORDER BY {by} LIMIT :most", **values, **more)

    if not order.descending:
        first = selected(known, f"{value}, {by_slug}", most=most)
    else:
        least = database.select(
            f"SELECT {value} AS least {rows} AND {known} ORDER BY {value} DESC LIMIT 1 OFFSET :before",
            **values, before=most - 1,
        )  # fmt: skip
        if least:
            bound = least[0]["least"]
            first = selected(f"{value} > :bound", f"{value} DESC, {by_slug}", bound=bound, most=most)
            first += selected(f"{value} = :bound", by_slug, bound=bound, most=most - len(first))
        else:
            first = selected(known, f"{value} DESC, {by_slug}", most=most)
    if len(first) < most:
        unknown = (
            f"SELECT t.slug, t.layer {found.walked} AND {order.value} IS NULL ORDER BY {found.by_slug} LIMIT :most"
        )
        first += database.select(unknown, **values, most=most - len(first))
    return first


def _rows(found: Query, keys: Sequence[Row]) -> list[Row]:
    """The whole rows of slugs and layers, in their order."""
    rows = {
        (row["slug"], row["layer"]): row
        for marks, values in _marked([key["slug"] for key in keys])
        for row in found.database.select(f"SELECT * FROM {found.table} WHERE slug IN ({marks})", **values)
    }
    return [rows[key["slug"], key["layer"]] for key in keys]


def _told(found: Query, rows: Sequence[Row]) -> list[Row]:
    """Rows as they are shown: with what they stand in for, accelerators with their rate."""
    shown = [records.plain(row) for row in rows]
    _add_shadows(found.database, found, shown)
    if found.kind == "accelerators":
        _add_rates(found.database, shown)
    return shown


def _order(found: Query, sort: str) -> _Order:
    descending, name = sort.startswith("-"), sort.removeprefix("-").replace("-", "_").casefold()
    known = columns(found)
    if found.kind == "accelerators":
        known = (*known, RATE)
    fitting = [column for column in known if column == name] or [column for column in known if name and name in column]
    if len(fitting) != 1:
        raise UnknownNameError("column", name, fitting or known)
    return _Order(fitting[0], descending)


def _add_shadows(database: Database, of: Query, rows: Sequence[Row]) -> None:
    own = [row["slug"] for row in rows if row["layer"] == USER]
    behind = {
        row["slug"]: row["layer"]
        for marks, values in _marked(own)
        for row in database.select(
            f"SELECT slug, layer FROM {of.table} WHERE slug IN ({marks}) AND layer <> 'user'", **values
        )
    }
    taken = taken_from(database, of.kind, own)
    for row in rows:
        row["shadows"] = behind.get(row["slug"]) if row["layer"] == USER else None
        row["takes_names_of"] = taken.get(row["slug"], []) if row["layer"] == USER else []


def taken_from(database: Database, kind: str, own: Sequence[str]) -> dict[str, list[str]]:
    """The slugs of facts that lost a name to one of the user's entries `own`, by the slug of that entry."""
    found: dict[str, list[str]] = {}
    for marks, values in _marked(own):
        query = (
            f"SELECT DISTINCT own.slug AS taker, fact.slug AS loser FROM {BOTH} "
            f"WHERE own.kind = :kind AND own.slug IN ({marks}) AND own.layer = 'user'"
        )
        for row in database.select(query, kind=kind, **values):
            found.setdefault(row["taker"], []).append(row["loser"])
    return {slug: sorted(losers) for slug, losers in found.items()}


def _add_rates(database: Database, rows: Sequence[Row]) -> None:
    rates: dict[str, dict[str, float]] = {}
    for marks, values in _marked([row["slug"] for row in rows]):
        query = (
            f"SELECT accelerator, layer, flop_per_s FROM peak_rate WHERE accelerator IN ({marks}) AND format = 'bf16'"
        )
        for rate in database.select(query, **values):
            rates.setdefault(rate["accelerator"], {})[rate["layer"]] = rate["flop_per_s"]
    for row in rows:
        known = rates.get(row["slug"], {})
        row[RATE] = known.get(row["layer"], next(iter(known.values()), None) if row["shadows"] else None)


def _marked(slugs: Sequence[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Marks and values for ``IN (…)``, in parts that one statement can hold."""
    for start in range(0, len(slugs), _PARAMETERS):
        part = slugs[start : start + _PARAMETERS]
        values: dict[str, object] = {f"slug{index}": slug for index, slug in enumerate(part)}
        yield ", ".join(f":{name}" for name in values), values


def search(database: Database, text: str, filters: Filters, *, kind: str | None = None) -> Page:
    """Entries with a name that contains every word of `text`, best first: kind, slug, name, layer, which name matched.

    Where there are none, the part after the last slash is tried, as where a name is looked up. Of `filters` count those on
    accelerators and the limit. Raises InputError for a text that is longer than any name and for a filter that the kind has
    not, UnknownNameError.
    """
    if len(text) > LONGEST_NAME:
        raise InputError(
            f"a search for {len(text):,} characters finds nothing", hint=f"names have up to {LONGEST_NAME}"
        )
    found = _found(database, text, filters, kind)
    _, slash, last = text.rpartition("/")
    return _found(database, last, filters, kind) if slash and not found.rows else found


def _found(database: Database, text: str, filters: Filters, kind: str | None) -> Page:
    limit = filters.limit or None
    keys = [key for word in text.split() if (key := name_key(word))]
    if not keys:
        return Page([])
    # Keys hold no character that LIKE takes for a pattern.
    conditions = [f"key LIKE :key{index}" for index in range(len(keys))]
    values: dict[str, object] = {f"key{index}": f"%{key}%" for index, key in enumerate(keys)}
    condition, whole = " AND ".join(conditions), name_key(text)
    if not (filters.vendor or filters.min_memory_bytes or filters.formats):
        found = _matches(database, condition, values, whole, limit, tuple(TABLES) if kind is None else (kind,))
    else:
        queries = [query_of(database, each, filters) for each in (REFERENCE if kind is None else (kind,))]
        found = [
            row
            for each in queries
            if not each.impossible
            for row in _fitting_matches(each, condition, values, whole, limit)
        ]
    best: dict[tuple[str, str], Row] = {}
    for row in sorted(found, key=lambda row: (len(row["key"]), row["kind"], row["slug"], row["matched"])):
        best.setdefault((row["kind"], row["slug"]), row)
    rows = list(best.values())[: limit or None]
    _add_names(database, rows)
    more = len(best) - len(rows)
    return Page([_shown_match(row) for row in rows], more, counted=more == 0)


def _fitting_matches(
    of: Query, condition: str, values: Mapping[str, object], whole: str, limit: int | None
) -> list[Row]:
    """The names of entries that fit: of those entries, if they are few, else of all names those whose entry fits."""
    if of.few() is None:
        fits = f"EXISTS (SELECT 1 {of.alone} AND t.slug = named.slug)"
        return _matches(of.database, condition, {**values, **of.values}, whole, limit, (of.kind,), fits)
    query = (
        f"SELECT alias.kind, alias.slug, alias.alias AS matched, alias.key, alias.layer "
        f"FROM (SELECT t.slug {of.gathered}) fitting CROSS JOIN alias "
        f"WHERE alias.kind = :each AND alias.slug = fitting.slug AND {condition}"
    )
    return of.database.select(query, **values, **of.values, each=of.kind)


def _matches(
    database: Database,
    condition: str,
    values: Mapping[str, object],
    whole: str,
    limit: int | None,
    kinds: Sequence[str],
    fits: str = "1 = 1",
) -> list[Row]:
    """The names of `kinds` of which a condition holds, and whose entries fit: all that are shared, and enough of the user's."""
    columns = "named.kind, named.slug, named.alias AS matched, named.key, named.layer"
    names = f"SELECT {columns} FROM alias named WHERE"
    if len(kinds) == 1:
        condition, values = f"kind = :kind AND {condition}", {**values, "kind": kinds[0]}
    # Released names are few and have an index of their own, so the best of them are found by looking at all.
    found = database.select(f"{names} layer <> 'user' AND {condition} AND {fits}", **values)
    if limit is None:
        return found + database.select(f"{names} layer = 'user' AND {condition} AND {fits}", **values)
    # Of the user's names those that begin with the text come first, which an index finds; then any, as many as are shown.
    for each in kinds:
        span = {"first": whole, "after": f"{whole}\uffff", "most": limit + 1, "each": each}
        found += database.select(
            f"{names} kind = :each AND {between(database)} AND layer = 'user' AND {condition} AND {fits} LIMIT :most",
            **{**values, **span},
        )
    if len(found) <= limit:
        known = {(row["kind"], row["key"], row["layer"]) for row in found}
        # The inner part reads the index of the primary key alone, which is a fraction of the table.
        rest = database.select(
            f"SELECT {columns} FROM (SELECT kind, key, layer FROM alias WHERE {condition} AND layer = 'user') m "
            "CROSS JOIN alias named WHERE named.kind = m.kind AND named.key = m.key AND named.layer = m.layer "
            f"AND {fits} LIMIT :most",
            **values, most=limit + 1,
        )  # fmt: skip
        found += [row for row in rest if (row["kind"], row["key"], row["layer"]) not in known]
    return found


def _add_names(database: Database, rows: Sequence[Row]) -> None:
    for kind in {row["kind"] for row in rows}:
        of_kind = [row for row in rows if row["kind"] == kind]
        names: dict[str, tuple[str, str]] = {}
        for marks, values in _marked([row["slug"] for row in of_kind]):
            query = f"SELECT slug, layer, name FROM {table_of(kind)} WHERE slug IN ({marks})"
            for row in database.select(query, **values):
                if row["layer"] == USER or row["slug"] not in names:
                    names[row["slug"]] = (row["name"], row["layer"])
        for row in of_kind:
            row["name"], row["layer"] = names.get(row["slug"], ("", row["layer"]))


def _shown_match(row: Row) -> Row:
    return {name: row[name] for name in ("kind", "slug", "name", "matched", "layer")}

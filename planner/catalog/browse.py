"""Looking through the catalog: a page of a kind by filters, a search over all names, however many rows a user has.

Every query either follows an index or stops at a limit, so that a million rows of a user's cost no more than a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from planner.catalog import records
from planner.catalog.kinds import TABLES, USER, table_of
from planner.catalog.lookup import between, resolve
from planner.catalog.names import name_key
from planner.catalog.rates import number_formats
from planner.catalog.spelling import LONGEST_NAME
from planner.catalog.taken_names import BOTH
from planner.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from planner.catalog.database import Database

Row = dict[str, Any]

ALL: Final = "all"
DEFAULT_LIMIT: Final = 500
SEARCH_LIMIT: Final = 50
COUNTED: Final = 10_000
"""How many rows beyond a page are counted; more are only said to be more."""
RARE: Final = 2000
"""Fewer rows than that are looked up one by one and sorted; more are met soon enough on the way through all slugs."""
_PARAMETERS: Final = 500
_RATE: Final = "bf16_flop_per_s"
_ACCELERATOR_OF: Final[Mapping[str, str]] = {
    "accelerators": "t.slug",
    "nodes": "t.accelerator",
    "prices": "t.accelerator",
    "power": "t.accelerator",
    "clusters": "(SELECT n.accelerator FROM node n WHERE n.slug = t.node "
    "ORDER BY CASE WHEN n.layer = 'user' THEN 0 ELSE 1 END LIMIT 1)",
}
"""How the accelerator of an entry is found, for the kinds that have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which entries of a kind, in which order, how many; None and () ask for nothing.

    `formats` are number formats that the accelerator has a rate for. `layer` is a layer's name or ``all``; None means what counts:
    the user's own, and the others where they are not shadowed. `sort` is a column, from the highest with ``-`` before it.
    """

    vendor: str | None = None
    min_memory_bytes: float | None = None
    formats: tuple[str, ...] = ()
    accelerator: str | None = None
    provider: str | None = None
    family: str | None = None
    layer: str | None = None
    sort: str | None = None
    limit: int = DEFAULT_LIMIT
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and how many more there are; where `counted` is False there are more than that."""

    rows: list[Row]
    more: int = 0
    counted: bool = True


@dataclass(slots=True)
class _Query:
    """The conditions of a query as they are found, and their values.

    Where not `by_index`, SQLite is kept from the indexes of what is marked with ``{plus}``: it then walks all slugs in order, which
    ends soon where many rows fit, or takes the few that a format names.
    """

    kind: str
    table: str
    where: list[str] = field(default_factory=list)
    by_index: bool = True
    values: dict[str, object] = field(default_factory=dict)

    def add(self, condition: str, **values: object) -> None:
        self.where.append(condition)
        self.values |= values

    @property
    def text(self) -> str:
        # Values are bound apart, so only the conditions themselves hold marks.
        condition = " AND ".join(self.where).replace("{plus}", "" if self.by_index else "+") or "1 = 1"
        return f"FROM {self.table} t WHERE {condition}"


def page(database: Database, kind: str, filters: Filters) -> Page:
    """A page of a kind's entries; accelerators with their bf16 rate.

    Each has the layer that it ``shadows``, and in ``takes_names_of`` the slugs of other facts that lost a name to it.

    Raises UnknownNameError for a name or a column that is not there, InputError for a filter that the kind has not.
    """
    query = _query(database, kind, filters)
    order = _order(database, query, filters.sort)
    if filters.sort is None and kind == "accelerators" and database.is_sqlite:
        query.by_index = not filters.formats
        if _is_rare(database, query):
            order = order.replace("t.slug", "+t.slug", 1)
        else:
            query.by_index = False
    # One row more than the page, to see whether there is more at all. SQLite has no offset without a limit.
    most = filters.limit + 1 if filters.limit else 2**62
    found = database.select(
        f"SELECT t.* {query.text} ORDER BY {order} LIMIT :most OFFSET :start",
        **query.values, most=most, start=filters.offset,
    )  # fmt: skip
    rows = [records.plain(row) for row in (found[: filters.limit] if filters.limit else found)]
    _add_shadows(database, query, rows)
    if kind == "accelerators":
        _add_rates(database, rows)
    if not filters.limit or len(found) <= filters.limit:
        return Page(rows)
    count = f"SELECT count(*) AS n FROM (SELECT 1 {query.text} LIMIT :most) counted"
    total = int(database.select(count, **query.values, most=filters.offset + most + COUNTED)[0]["n"])
    beyond = total - filters.offset - filters.limit
    return Page(rows, min(beyond, COUNTED), counted=beyond <= COUNTED)


def _is_rare(database: Database, query: _Query) -> bool:
    """Whether only few rows fit the filters."""
    probe = f"SELECT count(*) AS n FROM (SELECT 1 {query.text} LIMIT :most) counted"
    return int(database.select(probe, **query.values, most=RARE)[0]["n"]) < RARE


def _query(database: Database, kind: str, filters: Filters) -> _Query:
    query = _Query(kind, table_of(kind))
    if filters.layer is None:
        query.add(
            f"(t.layer = 'user' OR NOT EXISTS (SELECT 1 FROM {query.table} u WHERE u.slug = t.slug AND u.layer = 'user'))"
        )
    elif filters.layer != ALL:
        query.add("t.layer = :layer", layer=filters.layer)
    _of_hardware(database, query, filters)
    for column, value in (("provider", filters.provider), ("family", filters.family)):
        if value is not None:
            if column not in _columns(database, query):
                raise _no_filter(kind, column)
            query.add(f"lower(t.{column}) = :{column}", **{column: value.casefold()})
    return query


def _of_hardware(database: Database, query: _Query, filters: Filters) -> None:
    """The filters that speak of an accelerator: the entry itself, or the one that it refers to."""
    wanted = [
        name
        for name, value in (
            ("vendor", filters.vendor), ("memory", filters.min_memory_bytes), ("number format", filters.formats),
            ("accelerator", filters.accelerator),
        )
        if value
    ]  # fmt: skip
    if not wanted:
        return
    slug = _ACCELERATOR_OF.get(query.kind)
    if slug is None:
        raise _no_filter(query.kind, wanted[0])
    if filters.accelerator is not None:
        query.add(f"{slug} = :accelerator", accelerator=resolve(database, "accelerators", filters.accelerator))
    own = query.kind == "accelerators"
    of, conditions = ("t" if own else "a"), _Query(query.kind, query.table)
    if filters.vendor is not None:
        conditions.add(f"{{plus}}{of}.vendor = :vendor", vendor=resolve(database, "vendors", filters.vendor))
    if filters.min_memory_bytes is not None:
        conditions.add(f"{{plus}}{of}.capacity_bytes >= :memory", memory=filters.min_memory_bytes)
    known = number_formats(database) if filters.formats else ()
    for index, name in enumerate(filters.formats):
        if name.casefold() not in known:
            raise UnknownNameError("number format", name, known)
        # One of the user's without any rates has those of the fact that it stands in for. The first part is for the index.
        conditions.add(
            f"{of}.slug IN (SELECT f.accelerator FROM peak_rate f WHERE f.format = :format{index}) AND "
            f"EXISTS (SELECT 1 FROM peak_rate r WHERE r.accelerator = {of}.slug AND r.format = :format{index} AND "
            f"(r.layer = {of}.layer OR NOT EXISTS (SELECT 1 FROM peak_rate o WHERE o.accelerator = {of}.slug "
            f"AND o.layer = {of}.layer)))",
            **{f"format{index}": name.casefold()},
        )
    if not conditions.where:
        return
    condition = " AND ".join(conditions.where)
    query.add(
        condition if own else f"EXISTS (SELECT 1 FROM accelerator a WHERE a.slug = {slug} AND {condition})",
        **conditions.values,
    )


def _no_filter(kind: str, name: str) -> InputError:
    return InputError(
        f"{kind} have no {name} to choose by", hint="planner catalog list --help says which filters there are"
    )


def _columns(database: Database, query: _Query) -> tuple[str, ...]:
    found = database.select(f"SELECT * FROM {query.table} LIMIT 1")
    return tuple(found[0]) if found else ()


def _order(database: Database, query: _Query, sort: str | None) -> str:
    by_slug = f"t.slug{database.bytewise}, t.layer{database.bytewise}"
    if sort is None:
        return by_slug
    descending, name = sort.startswith("-"), sort.removeprefix("-").replace("-", "_").casefold()
    known = _columns(database, query)
    if query.kind == "accelerators":
        known = (*known, _RATE)
    fitting = [column for column in known if column == name] or [column for column in known if name and name in column]
    if len(fitting) != 1:
        raise UnknownNameError("column", name, fitting or known)
    column = fitting[0]
    value = f't."{column}"'
    if column == _RATE:
        value = "(SELECT flop_per_s FROM peak_rate r WHERE r.accelerator = t.slug AND r.layer = t.layer AND r.format = 'bf16')"
    # What is not known comes last either way.
    return f"{value} {'DESC' if descending else 'ASC'} NULLS LAST, {by_slug}"


def _add_shadows(database: Database, query: _Query, rows: Sequence[Row]) -> None:
    own = [row["slug"] for row in rows if row["layer"] == USER]
    behind = {
        row["slug"]: row["layer"]
        for marks, values in _marked(own)
        for row in database.select(
            f"SELECT slug, layer FROM {query.table} WHERE slug IN ({marks}) AND layer <> 'user'", **values
        )
    }
    taken = taken_from(database, query.kind, own)
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
        row[_RATE] = known.get(row["layer"], next(iter(known.values()), None) if row["shadows"] else None)


def _marked(slugs: Sequence[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """Marks and values for ``IN (…)``, in parts that one statement can hold."""
    for start in range(0, len(slugs), _PARAMETERS):
        part = slugs[start : start + _PARAMETERS]
        values: dict[str, object] = {f"slug{index}": slug for index, slug in enumerate(part)}
        yield ", ".join(f":{name}" for name in values), values


def search(database: Database, text: str, filters: Filters, *, kind: str | None = None) -> Page:
    """Entries with a name that contains every word of `text`, best first: kind, slug, name, layer, which name matched.

    Of `filters` count those on accelerators and the limit. Raises InputError for a text that is longer than any name and for a
    filter that the kind has not, UnknownNameError.
    """
    limit = filters.limit or None
    if len(text) > LONGEST_NAME:
        raise InputError(
            f"a search for {len(text):,} characters finds nothing", hint=f"names have up to {LONGEST_NAME}"
        )
    keys = [key for word in text.split() if (key := name_key(word))]
    if not keys:
        return Page([])
    # Keys hold no character that LIKE takes for a pattern.
    conditions = [f"key LIKE :key{index}" for index in range(len(keys))]
    values: dict[str, object] = {f"key{index}": f"%{key}%" for index, key in enumerate(keys)}
    if kind is not None:
        conditions.append("kind = :kind")
        values["kind"] = kind
    if filters.vendor or filters.min_memory_bytes or filters.formats:
        queries = [_query(database, each, filters) for each in (_ACCELERATOR_OF if kind is None else (kind,))]
        fitting = (
            f"kind = '{each.kind}' AND EXISTS (SELECT 1 {each.text} AND t.slug = alias.slug)" for each in queries
        )
        conditions.append(f"({' OR '.join(fitting)})")
        values |= queries[0].values
    found = _matches(database, " AND ".join(conditions), values, name_key(text), limit)
    best: dict[tuple[str, str], Row] = {}
    for row in sorted(found, key=lambda row: (len(row["key"]), row["kind"], row["slug"], row["matched"])):
        best.setdefault((row["kind"], row["slug"]), row)
    rows = list(best.values())[: limit or None]
    _add_names(database, rows)
    more = len(best) - len(rows)
    return Page([_shown_match(row) for row in rows], more, counted=more == 0)


def _matches(
    database: Database, condition: str, values: Mapping[str, object], whole: str, limit: int | None
) -> list[Row]:
    columns = "SELECT kind, slug, alias AS matched, key, layer FROM alias WHERE"
    # Released names are few and have an index of their own, so the best of them are found by looking at all.
    found = database.select(f"{columns} layer <> 'user' AND {condition}", **values)
    if limit is None:
        return found + database.select(f"{columns} layer = 'user' AND {condition}", **values)
    # Of the user's names those that begin with the text come first, which an index finds; then any, as many as are shown.
    kinds = [values["kind"]] if "kind" in values else TABLES
    for each in kinds:
        span = {"first": whole, "after": f"{whole}\uffff", "most": limit + 1, "each": each}
        found += database.select(
            f"{columns} kind = :each AND {between(database)} AND layer = 'user' AND {condition} LIMIT :most",
            **{**values, **span},
        )
    if len(found) <= limit:
        known = {(row["kind"], row["key"], row["layer"]) for row in found}
        # The inner part reads the index of the primary key alone, which is a fraction of the table.
        rest = database.select(
            "SELECT a.kind, a.slug, a.alias AS matched, a.key, a.layer FROM (SELECT kind, key, layer FROM alias "
            f"WHERE {condition} AND layer = 'user' LIMIT :most) m "
            "JOIN alias a ON a.kind = m.kind AND a.key = m.key AND a.layer = m.layer",
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

"""What a list of the catalog is asked for, as conditions of SQL that an index can serve, however many rows a user has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from planner.catalog.kinds import USER, table_of
from planner.catalog.lookup import USER_FIRST, resolve
from planner.catalog.rates import number_formats
from planner.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from planner.catalog.database import Database

ALL: Final = "all"
DEFAULT_LIMIT: Final = 500
RATE: Final = "bf16_flop_per_s"
"""A column of accelerators that is in no table of theirs: their rate in bf16."""
REFERENCE: Final[Mapping[str, str]] = {
    "accelerators": "slug", "nodes": "accelerator", "prices": "accelerator", "power": "accelerator", "clusters": "node",
}  # fmt: skip
"""The column by which an entry's accelerator is found, for the kinds that have one; a cluster's by its node."""
INDEXED: Final[Mapping[str, frozenset[str]]] = {
    "models": frozenset({"family", "layers", "hidden", "heads", "kv_heads", "vocab"}),
    "accelerators": frozenset({"vendor", "year", "capacity_bytes", "memory_bandwidth_bytes_per_s", RATE}),
    "nodes": frozenset({"provider", "accelerator", "accelerators_per_node", "network_bytes_per_s"}),
    "clusters": frozenset({"node", "nodes", "name"}),
    "prices": frozenset({"accelerator", "node", "provider", "kind", "usd_per_accelerator_hour", "date"}),
    "power": frozenset({"accelerator"}),
}
"""The columns that have an index which goes on with slug and layer: those that a list shows, of kinds that users have many of."""
RARE: Final = 20_000
"""Fewer rows than that are found by what is filtered, then sorted; more are met soon enough in the order that is asked for.

Where so many of a million fit, both take as long: a page of 500 of them is met within 25,000 rows.
"""
FEW_VALUES: Final = 2_000
"""So many values of a column, or accelerators that fit, are looked at one by one; each is found by an index."""


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
class Condition:
    """One condition, in up to three wordings.

    `indexed` finds the rows that fit by an index; None where none does. `seen` is looked at in rows that come otherwise: it names
    no column in a way that SQLite would look for an index of, for which it would leave their order. `exact` is the column that
    has one value, whose index has the rows of that value in the order of their slugs. `alone` is for a single row: `seen` may
    list first what a column is looked for in.
    """

    indexed: str | None
    seen: str
    alone: str
    exact: str | None = None


@dataclass(slots=True)
class Query:
    """The conditions on the rows of a kind's table, called `alias` in them, and their values."""

    kind: str
    database: Database
    alias: str = "t"
    always: list[str] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)
    driver: int | None = None
    impossible: bool = False
    """Whether a value that is asked for is nowhere."""

    @property
    def table(self) -> str:
        """The table of the kind."""
        return table_of(self.kind)

    def add(
        self,
        indexed: str | None,
        seen: str,
        values: Mapping[str, object],
        *,
        alone: str | None = None,
        exact: str | None = None,
    ) -> None:
        """Add a condition and its values."""
        self.conditions.append(Condition(indexed, seen, seen if alone is None else alone, exact))
        self.values |= values

    def equal(self, column: str, value: object) -> None:
        """Add that a column with an index has one value."""
        name = f"{self.kind}_{column}"
        condition = f"{self.alias}.{column} = :{name}"
        self.add(condition, self.unindexed(condition), {name: value}, exact=column)

    def unindexed(self, expression: str) -> str:
        """An expression that begins with a column, so worded that SQLite looks for no index of that column."""
        return f"+{expression}" if self.database.is_sqlite else expression

    def few(self) -> int | None:
        """How many rows fit, if an index finds them and they are less than `RARE`; from then on they are `gathered` by it.

        Each condition is asked for alone, as a database without statistics takes one index for as good as another.
        """
        fewest = RARE
        for number, condition in enumerate(self.conditions):
            if condition.indexed is not None:
                count = self._count([condition.indexed], RARE)
                if count < fewest:
                    fewest, self.driver = count, number
        if self.driver is None:
            return None
        return fewest if len(self.conditions) == 1 else self._count(self._gathering(), RARE)

    def count(self, most: int) -> int:
        """How many rows fit, up to `most`."""
        return self._count(self._gathering(), most)

    def _count(self, conditions: list[str], most: int) -> int:
        count = f"SELECT count(*) AS n FROM (SELECT 1 {self._from(conditions)} LIMIT :most) counted"
        return int(self.database.select(count, **self.values, most=most)[0]["n"])

    @property
    def by_slug(self) -> str:
        """The order of a list that is not sorted otherwise."""
        bytewise = self.database.bytewise
        return f"{self.alias}.slug{bytewise}, {self.alias}.layer{bytewise}"

    @property
    def is_in_order(self) -> bool:
        """Whether an index has the rows that fit in the order of their slugs."""
        return len(self.conditions) == 1 and self.conditions[0].exact is not None

    @property
    def gathered(self) -> str:
        """The rows that fit, found by an index."""
        return self._from(self._gathering())

    @property
    def in_order_of_slugs(self) -> str:
        """The rows that fit, among all in the order of their slugs, or among those of one value."""
        first = next((each for each in self.conditions if each.exact is not None), None)
        return self._from([(each.indexed or each.seen) if each is first else each.seen for each in self.conditions])

    @property
    def walked(self) -> str:
        """The rows that fit, among all in whatever order."""
        return self._from([each.seen for each in self.conditions])

    @property
    def alone(self) -> str:
        """The rows that fit, of which further conditions choose a single one."""
        return self._from([each.alone for each in self.conditions])

    def _gathering(self) -> list[str]:
        if self.driver is None:
            return [each.indexed or each.seen for each in self.conditions]
        return [
            (each.indexed or each.seen) if number == self.driver else each.seen
            for number, each in enumerate(self.conditions)
        ]

    def _from(self, conditions: list[str]) -> str:
        return f"FROM {self.table} {self.alias} WHERE {' AND '.join([*self.always, *conditions]) or '1 = 1'}"


def query_of(database: Database, kind: str, filters: Filters) -> Query:
    """The conditions of `filters` on a kind. Raises UnknownNameError, and InputError for a filter that the kind has not."""
    found = Query(kind, database)
    if filters.layer is None:
        same = f"SELECT 1 FROM {found.table} u WHERE u.slug = t.slug AND u.layer = 'user'"
        found.always.append(f"(t.layer = 'user' OR NOT EXISTS ({same}))")
    elif filters.layer == USER:
        found.always.append("t.layer = 'user'")
    elif filters.layer != ALL:
        # The second part is for the index of shared slugs.
        layer = "t.layer = :layer"
        found.add(f"{layer} AND t.layer <> 'user'", found.unindexed(layer), {"layer": filters.layer})
    _of_hardware(found, filters)
    for column, value in (("provider", filters.provider), ("family", filters.family)):
        if value is not None:
            if column not in columns(found):
                raise _no_filter(kind, column)
            _of_text(found, column, value)
    return found


def columns(found: Query) -> tuple[str, ...]:
    """The columns of a kind's table; none where it is empty."""
    rows = found.database.select(f"SELECT * FROM {found.table} LIMIT 1")
    return tuple(rows[0]) if rows else ()


def _no_filter(kind: str, name: str) -> InputError:
    return InputError(
        f"{kind} have no {name} to choose by", hint="planner catalog list --help says which filters there are"
    )


def _of_text(found: Query, column: str, value: str) -> None:
    """That a text is `value`, whatever its case: the spellings that there are of it are looked for first."""
    values: dict[str, object] = {column: value.casefold()}
    if column not in INDEXED.get(found.kind, ()) or not _are_few(found.database, _distinct(found.table, column), {}):
        found.add(None, f"lower(t.{column}) = :{column}", values)
        return
    query = f"{_distinct(found.table, column)} AND lower(x) = :{column}"
    _one_of(found, column, query, f"lower(t.{column}) = :{column}", values)


def _one_of(found: Query, column: str, query_of_values: str, alone: str, values: Mapping[str, object]) -> None:
    """That a column with an index has one of the values of a query; `alone` says so of a single row."""
    first = found.database.select(f"SELECT x FROM ({query_of_values}) chosen LIMIT 2", **values)
    if not first:
        found.impossible = True
    elif len(first) == 1:
        found.equal(column, first[0]["x"])
    else:
        condition = f"t.{column} IN ({query_of_values})"
        found.add(condition, found.unindexed(condition), values, alone=alone)


def _distinct(table: str, column: str) -> str:
    """A query of the values ``x`` of a column, each found by the column's index; conditions on them may follow."""
    following = f"SELECT min(s.{column}) FROM {table} s WHERE s.{column} > used.x"
    return (
        f"WITH RECURSIVE used(x) AS (SELECT min({column}) FROM {table} UNION ALL "
        f"SELECT ({following}) FROM used WHERE used.x IS NOT NULL) SELECT x FROM used WHERE x IS NOT NULL"
    )


def _are_few(database: Database, listed: str, values: Mapping[str, object], *, most: int = FEW_VALUES) -> bool:
    counted = f"SELECT count(*) AS n FROM (SELECT 1 FROM ({listed}) listed LIMIT :few) counted"
    return int(database.select(counted, **values, few=most + 1)[0]["n"]) <= most


def _of_hardware(found: Query, filters: Filters) -> None:
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
    if found.kind not in REFERENCE:
        raise _no_filter(found.kind, wanted[0])
    database = found.database
    slug = None if filters.accelerator is None else resolve(database, "accelerators", filters.accelerator)
    vendor = None if filters.vendor is None else resolve(database, "vendors", filters.vendor)
    own = found.kind == "accelerators"
    fitting = found if own else Query("accelerators", database, alias="a")
    if slug is not None and own:
        found.add("t.slug = :accelerator", "t.slug = :accelerator", {"accelerator": slug})
    _of_vendor_and_memory(fitting, vendor, filters.min_memory_bytes)
    _of_formats(fitting, filters.formats)
    if not own:
        _of_references(found, slug, fitting)


def _of_vendor_and_memory(found: Query, vendor: str | None, memory: float | None) -> None:
    if memory is None:
        if vendor is not None:
            found.equal("vendor", vendor)
        return
    values: dict[str, object] = {"memory": memory}
    parts = [f"{found.alias}.capacity_bytes >= :memory"]
    if vendor is not None:
        parts.append(f"{found.alias}.vendor = :vendor")
        values["vendor"] = vendor
    # One index is of both.
    found.add(" AND ".join(parts), " AND ".join(map(found.unindexed, parts)), values)


def _of_formats(found: Query, names: tuple[str, ...]) -> None:
    """That an accelerator has a rate in each format; one of the user's without any has those of the fact behind it."""
    database, of = found.database, found.alias
    known = number_formats(database) if names else ()
    for index, name in enumerate(names):
        if name.casefold() not in known:
            raise UnknownNameError("number format", name, known)
        own = f"SELECT 1 FROM peak_rate o WHERE o.accelerator = {of}.slug AND o.layer = {of}.layer"
        seen = (
            f"EXISTS (SELECT 1 FROM peak_rate r WHERE r.accelerator = {of}.slug AND r.format = :format{index} AND "
            f"(r.layer = {of}.layer OR NOT EXISTS ({own})))"
        )
        with_rate = "SELECT f.accelerator FROM peak_rate f WHERE f.format = :format"
        # Else all of those with the format would be listed first.
        few = _are_few(database, with_rate, {"format": name.casefold()}, most=RARE)
        indexed = f"{of}.slug IN ({with_rate}{index}) AND {seen}" if few else None
        found.add(indexed, seen, {f"format{index}": name.casefold()})


def _of_references(found: Query, slug: str | None, fitting: Query) -> None:
    """That the accelerator of an entry is the one of `slug`, and is among those that fit.

    Which accelerators, or nodes, entries refer to is looked at first: most often they are few. Else it begins with the
    accelerators that fit. Where both are many, each entry is looked at until there are enough.
    """
    database, column = found.database, REFERENCE[found.kind]
    by_node = column == "node"

    def fits(value: str) -> str:
        accelerator = _accelerator_of_node(value) if by_node else value
        same = [] if slug is None else [f"{accelerator} = :accelerator"]
        one = [f"EXISTS (SELECT 1 {fitting.walked} AND a.slug = {accelerator})"] if fitting.conditions else []
        return " AND ".join([*same, *one])

    values = fitting.values | ({} if slug is None else {"accelerator": slug})
    if slug is not None and not by_node:
        found.equal("accelerator", slug)
        if fitting.conditions:
            found.add(None, fits(":accelerator"), values)
        return
    used = _distinct(found.table, column)
    if _are_few(database, used, {}):
        _one_of(found, column, f"{used} AND {fits('x')}", fits(f"t.{column}"), values)
    elif (few := 1 if slug is not None else fitting.few()) is not None and few <= FEW_VALUES:
        accelerators = f"SELECT a.slug AS x {fitting.gathered}" if slug is None else "SELECT :accelerator AS x"
        nodes = f"SELECT n.slug AS x FROM node n WHERE n.accelerator IN ({accelerators}) AND {fits('n.slug')}"
        _one_of(found, column, nodes if by_node else accelerators, fits(f"t.{column}"), values)
    else:
        found.add(None, fits(f"t.{column}"), values)


def _accelerator_of_node(value: str) -> str:
    """The accelerator of the node of a slug: of the user's own, if there is one."""
    return f"(SELECT e.accelerator FROM node e WHERE e.slug = {value} ORDER BY {USER_FIRST} LIMIT 1)"

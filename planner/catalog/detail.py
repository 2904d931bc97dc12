"""One entry with everything that is known of it."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from planner.catalog import shadows
from planner.catalog.browse import taken_from
from planner.catalog.kinds import USER, table_of
from planner.catalog.lookup import USER_FIRST, aliases, resolve, row_of
from planner.catalog.rates import efficiencies, peaks
from planner.catalog.records import plain
from planner.catalog.series import PRICED, newest_first, peaks_with_sources

if TYPE_CHECKING:
    from planner.catalog.database import Database

Row = dict[str, Any]

NEWEST_PRICES: Final = 200
"""Prices that an entry is shown with; `planner.catalog.series` has those before."""
_OF_PRICES: Final = ("provider", "region", "kind", "usd_per_accelerator_hour", "date", "superseded", "source")
_OF_EFFICIENCIES: Final = ("metric", "format", "fraction", "achieved_per_s", "condition", "source", "source_date")


def entry(database: Database, kind: str, name: str) -> Row:
    """The entry that `name` means: columns, aliases, source document, rates, efficiencies, prices.

    ``shadows`` is the layer of the fact that it stands in for, ``differences`` the columns in which they differ,
    ``takes_names_of`` the slugs of other facts whose names mean it. Raises UnknownNameError.
    """
    found = plain(row_of(database, kind, resolve(database, kind, name)))
    slug = found["slug"]
    found |= _behind(database, kind, found)
    own = [slug] if found["layer"] == USER else []
    found["takes_names_of"] = taken_from(database, kind, own).get(slug, [])
    found["aliases"] = [name for name in aliases(database, kind, slug) if name != slug]
    if found.get("document"):
        found["document_name"] = row_of(database, "sources", found["document"])["name"]
    if kind == "accelerators":
        found["peak_flop_per_s"] = peaks(database, found)
        found["peaks"] = peaks_with_sources(database, found)
        found["efficiencies"] = _efficiencies(database, slug)
    if column := PRICED.get(kind):
        found["prices"] = _newest_prices(database, column, slug)
    return found


def _behind(database: Database, kind: str, own: Row) -> Row:
    """What an entry shadows: the layer, and the differences."""
    query = f"SELECT * FROM {table_of(kind)} WHERE slug = :slug AND layer <> :layer ORDER BY {USER_FIRST} LIMIT 1"
    rows = [plain(row) for row in database.select(query, slug=own["slug"], layer=own["layer"])]
    if not rows:
        return {"shadows": None, "differences": []}
    pair = [{name: own[name] for name in rows[0]}, rows[0]]
    if kind == "accelerators":
        pair = [row | {f"{name}_flop_per_s": rate for name, rate in peaks(database, row).items()} for row in pair]
    return {"shadows": rows[0]["layer"], "differences": shadows.differences(*pair)}


def _efficiencies(database: Database, slug: str) -> list[Row]:
    rows = efficiencies(database, slug)
    forces = shadows.in_force(rows)
    return [
        {name: row[name] for name in _OF_EFFICIENCIES} | {"in_force": force}
        for row, force in zip(rows, forces, strict=True)
    ]


def _newest_prices(database: Database, column: str, slug: str) -> list[Row]:
    order = newest_first(database)
    query = f"SELECT * FROM price WHERE {column} = :slug ORDER BY {order} LIMIT {NEWEST_PRICES}"
    rows = [plain(row) for row in database.select(query, slug=slug)]
    rows.sort(key=itemgetter("provider", "slug"))
    rows.sort(key=itemgetter("date"), reverse=True)
    return [{name: row[name] for name in _OF_PRICES} for row in rows]

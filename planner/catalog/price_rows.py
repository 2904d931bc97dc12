"""The few prices that count among very many: found by indexes, never by reading them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from planner.catalog import prices

if TYPE_CHECKING:
    from planner.catalog.database import Database
    from planner.domain.hardware import Price

Row = dict[str, Any]

_OF_SERIES: Final = "p.accelerator = :slug AND p.kind = :kind AND p.superseded = false"
_DAY: Final = "length(p.date) = 10"
_ANY: Final = "1 = 1"


def newest_price(
    database: Database, column: str, slug: str, *, only: str | None = None, without: str | None = None
) -> Price | None:
    """The latest price of a node or a cluster that its source does not call historical; of two on one day the lower.

    `column` is ``node`` or ``cluster``; `only` and `without` are a kind of prices.
    """
    # Said so that no index of kinds is looked for, which has many times the rows of one node.
    kind = f"kind || '' {'<>' if only is None else '='} :kind"
    found = database.select(
        f"SELECT * FROM price WHERE {column} = :slug AND {kind} AND superseded = false "
        f"ORDER BY date{database.bytewise} DESC, usd_per_accelerator_hour, slug{database.bytewise} LIMIT 1",
        slug=slug, kind=only if only is not None else without,
    )  # fmt: skip
    return prices.newest(found)


def latest_offers(database: Database, slug: str, kind: str) -> list[Row]:
    """The latest prices of each provider for an accelerator: provider, kind, date, price, ``superseded``.

    Prices with a day count; where no provider has one, those with a year or a month alone. What a source itself calls historical
    never does.
    """
    return _offers(database, slug, kind, _DAY) or _offers(database, slug, kind, _ANY)


def _offers(database: Database, slug: str, kind: str, dated: str) -> list[Row]:
    # Providers are met one by one, each at its first entry of the index; its last one has the latest date.
    following = f"SELECT min(p.provider) FROM price p WHERE {_OF_SERIES} AND p.provider > seller.provider"
    latest = f"SELECT max(p.date) FROM price p WHERE {_OF_SERIES} AND p.provider = seller.provider AND {dated}"
    return database.select(
        f"WITH RECURSIVE seller(provider) AS (SELECT min(p.provider) FROM price p WHERE {_OF_SERIES} UNION ALL "
        f"SELECT ({following}) FROM seller WHERE seller.provider IS NOT NULL), "
        f"latest AS (SELECT provider, ({latest}) AS date FROM seller WHERE provider IS NOT NULL) "
        "SELECT p.provider, p.kind, p.date, p.usd_per_accelerator_hour, p.superseded FROM latest CROSS JOIN price p "
        f"WHERE {_OF_SERIES} AND p.provider = latest.provider AND p.date = latest.date",
        slug=slug, kind=kind,
    )  # fmt: skip


def kinds_of_prices(database: Database, slug: str) -> list[str]:
    """The kinds of prices that the catalog has for an accelerator, in order."""
    query = "SELECT DISTINCT kind FROM price WHERE accelerator = :slug AND superseded = false"
    return sorted(row["kind"] for row in database.select(query, slug=slug))

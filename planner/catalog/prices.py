"""Which of many dated prices is meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from planner.catalog.records import price
from planner.domain.hardware import Price

Row = Mapping[str, Any]

ON_DEMAND = "on-demand"
SPOT = "spot"


def newest(rows: Iterable[Row]) -> Price | None:
    """The latest price of one series that the source does not call historical; of two on one day the lower."""
    living = [row for row in rows if not row["superseded"]]
    if not living:
        return None
    latest = max(row["date"] for row in living)
    return price(min((row for row in living if row["date"] == latest), key=lambda row: row["usd_per_accelerator_hour"]))


def typical(rows: Iterable[Row]) -> Price | None:
    """The median, over providers, of the median of each one's latest on-demand prices; None where there is none.

    Prices with a day count; where no provider has one, prices with a year alone stand in. Spot prices never count.
    """
    living = [row for row in rows if row["kind"] == ON_DEMAND and not row["superseded"]]
    dated = [row for row in living if len(row["date"]) == len("2026-11-24")] or living
    if not dated:
        return None
    by_provider: dict[str, list[Row]] = defaultdict(list)
    for row in dated:
        by_provider[row["provider"]].append(row)
    medians = {}
    for provider, offers in by_provider.items():
        latest = max(row["date"] for row in offers)
        medians[provider] = median(row["usd_per_accelerator_hour"] for row in offers if row["date"] == latest)
    providers = ", ".join(sorted(medians))
    return Price(
        usd_per_accelerator_hour=median(medians.values()),
        kind=ON_DEMAND,
        provider=f"median of {providers}" if len(medians) > 1 else providers,
        date=max(row["date"] for row in dated),
        source=f"the catalog's {len(dated)} on-demand prices of {providers}",
    )
